//! The client's part of MOBIKE (RFC 4555): it tells that it has moved, tests paths, and shows that it is where it says.

use std::time::Instant;

use crate::event::{Path, Transmit};
use crate::nat::{NatStatus, told_hashes};
use crate::v2::keys::SpiPair;
use crate::wire::num::{ExchangeType, NotifyType};
use crate::wire::v2::{ChainBuilder, Notify, Payload, Payloads};

use super::{Client, End, Waiting};
use crate::testing::client_sa::Opened;

impl Client {
    /// Has another address from now on, and tells the server. A request that is on its way goes there, too.
    pub fn roam(&mut self, now: Instant, path: Path) {
        self.path = path;
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.due = now + outstanding.interval;
            let messages = outstanding.messages.clone();
            self.send(messages);
        }
        self.tasks.retain(|task| *task != super::Task::Update);
        self.tasks.push_front(super::Task::Update);
        self.next_task(now);
    }

    /// Has another address from now on, and does not tell.
    pub fn wander(&mut self, path: Path) {
        self.path = path;
    }

    /// Sends an empty INFORMATIONAL along another path and stays where it is.
    pub fn test_path(&mut self, now: Instant, path: Path) {
        let stays = std::mem::replace(&mut self.path, path);
        self.send_request(now, ExchangeType::INFORMATIONAL, ChainBuilder::new(), Waiting::Probe, false);
        self.path = stays;
    }

    pub(super) fn send_update(&mut self, now: Instant) {
        let cookie = self.bytes::<16>();
        let Some(spis) = self.sa.as_ref().map(|sa| sa.spis) else { return };
        let mut chain = ChainBuilder::new();
        chain.push(&Payload::Notify(Notify::new(NotifyType::UPDATE_SA_ADDRESSES, &[])));
        if let Some(claim) = &self.claims_no_nat {
            chain.push(&Payload::Notify(Notify::new(NotifyType::NO_NATS_ALLOWED, claim)));
        } else {
            self.push_hashes(spis, &mut chain);
        }
        chain.push(&Payload::Notify(Notify::new(NotifyType::COOKIE2, &cookie)));
        let waiting = Waiting::Update { cookie, path: self.path };
        self.send_request(now, ExchangeType::INFORMATIONAL, chain, waiting, false);
    }

    fn push_hashes(&self, spis: SpiPair, chain: &mut ChainBuilder) {
        let (source, destination) = told_hashes(spis, self.path, false);
        chain.push(&Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_SOURCE_IP, &source)));
        chain.push(&Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_DESTINATION_IP, &destination)));
    }

    pub(super) fn update_answer(&mut self, now: Instant, opened: &Opened, cookie: &[u8], path: Path) {
        let Some(spis) = self.sa.as_ref().map(|sa| sa.spis) else { return };
        let Ok(payloads) = Payloads::parse(opened.first, &opened.chain) else { return };
        let mut echoed = None;
        for payload in &payloads {
            match payload {
                Payload::Notify(Notify { kind: NotifyType::COOKIE2, data, .. }) => echoed = Some(*data),
                Payload::Notify(notify) if notify.kind.is_error() => self.refusals.push(notify.kind),
                _ => {}
            }
        }
        if echoed != Some(cookie) {
            return self.finish(End::Distrust("COOKIE2 is another one"));
        }
        let nat = NatStatus::detect_answer(payloads.iter(), spis, path);
        self.sees_nat = nat.supported.then_some(nat.self_behind);
        self.updates += 1;
        self.next_task(now);
    }

    /// Answers what the server asks about the path.
    pub(super) fn show_presence(&mut self, payloads: &Payloads<'_>, chain: &mut ChainBuilder) {
        for payload in payloads {
            let Payload::Notify(Notify { kind: NotifyType::COOKIE2, data, .. }) = payload else { continue };
            let mut cookie = data.to_vec();
            if self.breaks_cookie2 {
                cookie.reverse();
            }
            self.path_checks += 1;
            chain.push(&Payload::Notify(Notify::new(NotifyType::COOKIE2, &cookie)));
        }
    }

    /// Sends the last request again, along the path of the moment.
    pub fn retransmit(&mut self) {
        let messages = self.outstanding.as_ref().map(|outstanding| outstanding.messages.clone()).unwrap_or_default();
        let path = self.path;
        self.transmits.extend(messages.into_iter().map(|payload| Transmit { path, payload }));
    }
}
