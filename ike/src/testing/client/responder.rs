//! Requests of the server: questions whether the client lives, DELETE, and rekeying of both kinds (RFC 7296 sections 1.4,
//! 2.8 and 2.25).

use std::time::Instant;

use crate::crypto::dh::{Group, KeyPair};
use crate::proposal::{ChildKeyExchange, choose_child, choose_ike};
use crate::v2::keys::{self, IkeKeys, Nonces, SpiPair};
use crate::wire::header::Header;
use crate::wire::num::{ExchangeType, NotifyType, ProtocolId};
use crate::wire::v2::{
    About, ChainBuilder, Delete, KeyExchange, Nonce, Notify, Payload, Payloads, SecurityAssociation, TrafficSelectors,
};
use crate::wire::{EspSpi, IkeSpi};

use super::{Client, ClientChild, End, Outstanding, Task, Waiting};
use crate::testing::client_sa::{ClientSa, Opened};

/// What CREATE_CHILD_SA of the server asks for.
#[derive(Default)]
struct Wish<'a> {
    sa: Option<&'a SecurityAssociation>,
    nonce: Vec<u8>,
    ke: Option<KeyExchange<'a>>,
    rekeys: Option<EspSpi>,
    selectors: (Option<&'a TrafficSelectors>, Option<&'a TrafficSelectors>),
}

impl Client {
    pub(super) fn request(&mut self, now: Instant, opened: &Opened, old: bool) {
        let sa = if old { self.old_sa.as_ref() } else { self.sa.as_ref() };
        let (Some(sa), Ok(payloads)) = (sa, Payloads::parse(opened.first, &opened.chain)) else { return };
        let mut chain = ChainBuilder::new();
        let (mut new_sa, mut ends) = (None, false);
        if sa.is_new(opened.id) {
            match opened.exchange {
                ExchangeType::CREATE_CHILD_SA => new_sa = self.create(&payloads, old, &mut chain),
                _ => ends = self.informational(&payloads, &mut chain),
            }
        }
        let sa = if old { self.old_sa.as_mut() } else { self.sa.as_mut() };
        let messages = sa.map(|sa| sa.answer(opened.exchange, opened.id, chain, &mut self.random)).unwrap_or_default();
        self.send(messages);
        if let Some(new) = new_sa {
            self.server_deletes_old = true;
            self.old_sa = self.sa.replace(new);
            if let Some(outstanding) = &mut self.outstanding {
                outstanding.on_old = true;
            }
        }
        match (ends, old) {
            (true, false) if self.goes_on_with_rival() => self.next_task(now),
            (true, false) => self.finish(End::DeletedByServer),
            (true, true) => {
                self.lost.extend(self.old_sa.take());
                self.ask_again(now);
                self.next_task(now);
            }
            (false, _) => {}
        }
    }

    /// What was asked on an IKE SA that is gone is asked again on the new one.
    fn ask_again(&mut self, now: Instant) {
        let Some(Outstanding { waiting, .. }) = self.outstanding.take_if(|outstanding| outstanding.on_old) else {
            return;
        };
        let task = match waiting {
            Waiting::Probe => Task::Probe,
            Waiting::Update { .. } => Task::Update,
            Waiting::Delete(Some(spi)) => return self.delete_child(now, spi),
            Waiting::Child { replaces: Some(_), .. } => Task::RekeyChild,
            Waiting::Child { replaces: None, .. } => Task::NewChild,
            Waiting::Ike { .. } => Task::RekeyIke,
            Waiting::Close => Task::Close,
            Waiting::Init | Waiting::Auth | Waiting::DeleteOldIke | Waiting::Delete(None) => return,
        };
        self.tasks.push_front(task);
    }

    /// The server deletes the IKE SA that both sides are rekeying: its own new one is left.
    fn goes_on_with_rival(&mut self) -> bool {
        let is_rekeying = |o: &mut Outstanding| matches!(o.waiting, Waiting::Ike { rival: Some(_), .. });
        let Some(Outstanding { waiting: Waiting::Ike { rival: Some((_, rival)), .. }, .. }) =
            self.outstanding.take_if(is_rekeying)
        else {
            return false;
        };
        self.lost.extend(self.sa.replace(*rival));
        true
    }

    /// IKE SAs that are not used any more only answer.
    pub(super) fn lost_sas(&mut self, now: Instant, header: &Header, message: &[u8]) {
        let mut answers = Vec::new();
        for sa in &mut self.lost {
            if let Some(opened) = sa.open(now, header, message)
                && !opened.response
            {
                answers.push(sa.answer(opened.exchange, opened.id, ChainBuilder::new(), &mut self.random));
            }
        }
        answers.into_iter().for_each(|messages| self.send(messages));
    }

    /// Whether the IKE SA is deleted.
    fn informational(&mut self, payloads: &Payloads<'_>, chain: &mut ChainBuilder) -> bool {
        let mut ends = false;
        self.show_presence(payloads, chain);
        if self.talks_nonsense {
            chain.push(&Payload::Nonce(Nonce(b"short")));
        }
        for payload in payloads {
            match payload {
                Payload::Delete(Delete::IkeSa) => ends = true,
                Payload::Delete(Delete::ChildSas { spis, .. }) => {
                    let gone = |child: &ClientChild| spis.contains(&child.outbound);
                    let ours = self.children.iter().filter(|child| gone(child)).map(|child| child.inbound).collect();
                    self.children.retain(|child| !gone(child));
                    chain.push(&Payload::Delete(Delete::ChildSas { protocol: ProtocolId::ESP, spis: ours }));
                }
                _ => {}
            }
        }
        ends
    }

    fn create(&mut self, payloads: &Payloads<'_>, old: bool, chain: &mut ChainBuilder) -> Option<ClientSa> {
        let wish = Wish::read(payloads);
        if let Some(refusal) = self.refusal(&wish, old) {
            chain.push(&Payload::Notify(Notify::new(refusal, &[])));
            return None;
        }
        match wish.rekeys {
            Some(spi) => {
                self.create_child(&wish, spi, chain);
                None
            }
            None => self.create_ike(&wish, chain),
        }
    }

    /// What does not go at the moment, section 2.25.
    fn refusal(&self, wish: &Wish<'_>, old: bool) -> Option<NotifyType> {
        let waiting = self.outstanding.as_ref().map(|outstanding| &outstanding.waiting);
        let is_busy = match (waiting, wish.rekeys) {
            (Some(Waiting::Ike { .. }), Some(_))
            | (Some(Waiting::Child { .. } | Waiting::Delete(Some(_))), None)
            | (Some(Waiting::Close), _) => true,
            (Some(Waiting::Delete(Some(gone))), Some(spi)) => {
                self.children.iter().any(|child| child.inbound == *gone && child.outbound == spi)
            }
            (_, None) => old || self.old_sa.is_some(),
            _ => old,
        };
        let knows = |spi: EspSpi| self.children.iter().any(|child| child.outbound == spi);
        // It may be the one that we have asked for, and whose answer is late.
        let may_come = matches!(waiting, Some(Waiting::Child { .. })) && wish.rekeys.is_some_and(|spi| !knows(spi));
        if is_busy || may_come {
            return Some(NotifyType::TEMPORARY_FAILURE);
        }
        self.refuses_rekeys.or(wish.rekeys.filter(|spi| !knows(*spi)).map(|_| NotifyType::CHILD_SA_NOT_FOUND))
    }

    fn create_child(&mut self, wish: &Wish<'_>, replaced: EspSpi, chain: &mut ChainBuilder) {
        let spi = EspSpi(u32::from_be_bytes(self.bytes()) | 0x100);
        let nonce = self.bytes::<32>().to_vec();
        let guess = wish.ke.map_or(ChildKeyExchange::Absent, |ke| ChildKeyExchange::Guess(ke.group));
        let Some(offer) = wish.sa else { return };
        let chosen = choose_child(&self.config.policy, offer, guess).expect("the server repeats our suite");
        let exchange = wish.ke.map(|ke| {
            let pair = self.generate(ke);
            let public = pair.public().to_vec();
            (ke.group, public, pair.agree(ke.data).expect("the server's value is good"))
        });
        let Some(sa) = &self.sa else { return };
        let nonces = Nonces { initiator: &wish.nonce, responder: &nonce };
        let shared = exchange.as_ref().map(|(_, _, shared)| shared);
        let keys = keys::child(sa.suite.prf, &sa.derive, &chosen.suite, shared, &nonces);
        chain.push(&Payload::SecurityAssociation(chosen.reply(spi)));
        chain.push(&Payload::Nonce(Nonce(&nonce)));
        if let Some((group, public, _)) = &exchange {
            chain.push(&Payload::KeyExchange(KeyExchange { group: *group, data: public }));
        }
        let selectors = |ts: Option<&TrafficSelectors>| ts.cloned().unwrap_or(TrafficSelectors(Vec::new()));
        let (theirs, ours) = (selectors(wish.selectors.0), selectors(wish.selectors.1));
        chain.push(&Payload::TsInitiator(theirs.clone()));
        chain.push(&Payload::TsResponder(ours.clone()));
        let child =
            ClientChild { inbound: spi, outbound: chosen.spi, suite: chosen.suite, keys, tsi: ours.0, tsr: theirs.0 };
        self.note_child_rival(replaced, [&wish.nonce, &nonce]);
        self.children.push(child);
    }

    fn note_child_rival(&mut self, outbound: EspSpi, nonces: [&Vec<u8>; 2]) {
        let old = self.children.iter().find(|child| child.outbound == outbound).map(|child| child.inbound);
        let waiting = self.outstanding.as_mut().map(|outstanding| &mut outstanding.waiting);
        if let Some(Waiting::Child { replaces, rival, .. }) = waiting
            && old.is_some()
            && *replaces == old
        {
            *rival = nonces.into_iter().min().cloned();
        }
    }

    fn create_ike(&mut self, wish: &Wish<'_>, chain: &mut ChainBuilder) -> Option<ClientSa> {
        let (offer, ke) = (wish.sa?, wish.ke?);
        let chosen = choose_ike(&self.config.policy, offer, ke.group).expect("the server repeats our suite");
        let spis =
            SpiPair { initiator: chosen.spi.expect("the server names its SPI"), responder: IkeSpi(self.bytes()) };
        let nonce = self.bytes::<32>().to_vec();
        let pair = self.generate(ke);
        let public = pair.public().to_vec();
        let shared = pair.agree(ke.data).expect("the server's value is good");
        chain.push(&Payload::SecurityAssociation(chosen.reply(Some(spis.responder))));
        chain.push(&Payload::Nonce(Nonce(&nonce)));
        chain.push(&Payload::KeyExchange(KeyExchange { group: ke.group, data: &public }));
        let sa = self.sa.as_ref()?;
        let nonces = Nonces { initiator: &wish.nonce, responder: &nonce };
        let keys = IkeKeys::rekeyed(sa.suite.prf, &sa.derive, &chosen.suite, &shared, &nonces, spis);
        let new = ClientSa::responder(spis, chosen.suite, keys.sa, self.config.fragmentation);
        let waiting = self.outstanding.as_mut().map(|outstanding| &mut outstanding.waiting);
        if let Some(Waiting::Ike { rival, .. }) = waiting {
            *rival = Some((wish.nonce.clone().min(nonce), Box::new(new)));
            return None;
        }
        Some(new)
    }

    fn generate(&mut self, ke: KeyExchange<'_>) -> KeyPair {
        let group = Group::from_id(ke.group).expect("the server repeats our group");
        KeyPair::generate(group, &mut self.random)
    }
}

impl<'a> Wish<'a> {
    fn read(payloads: &'a Payloads<'a>) -> Self {
        let mut wish = Self::default();
        for payload in payloads {
            match payload {
                Payload::SecurityAssociation(sa) => wish.sa = Some(sa),
                Payload::Nonce(nonce) => wish.nonce = nonce.0.to_vec(),
                Payload::KeyExchange(ke) => wish.ke = Some(*ke),
                Payload::TsInitiator(ts) => wish.selectors.0 = Some(ts),
                Payload::TsResponder(ts) => wish.selectors.1 = Some(ts),
                Payload::Notify(Notify { kind: NotifyType::REKEY_SA, about: About::ChildSa(_, spi), .. }) => {
                    wish.rekeys = Some(*spi);
                }
                _ => {}
            }
        }
        wish
    }
}
