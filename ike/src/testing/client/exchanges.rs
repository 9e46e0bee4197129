//! What the client does once it is in: CREATE_CHILD_SA and INFORMATIONAL of both directions.

use std::time::Instant;

use crate::child_sa::ChildKeys;
use crate::crypto::dh::KeyPair;
use crate::crypto::secret::Secret;
use crate::proposal::{ChildKeyExchange, choose_child, choose_ike};
use crate::v2::keys;
use crate::v2::keys::{IkeKeys, Nonces, SpiPair};
use crate::wire::num::{ExchangeType, NotifyType, ProtocolId};
use crate::wire::v2::{ChainBuilder, Delete, KeyExchange, Nonce, Notify, Payload, Payloads};
use crate::wire::{EspSpi, IkeSpi};

use super::{Client, ClientChild, End, Outstanding, Task, Waiting};
use crate::testing::client_sa::{ClientSa, Opened};

impl Client {
    pub(super) fn next_task(&mut self, now: Instant) {
        if self.outstanding.is_some() || !self.is_up() {
            return;
        }
        if self.old_sa.is_some() && !self.server_deletes_old && !self.forgets_to_delete {
            return self.send_delete(now, Delete::IkeSa, Waiting::DeleteOldIke, true);
        }
        let Some(task) = self.tasks.pop_front() else { return };
        match task {
            Task::NewChild => self.send_child(now, None),
            Task::RekeyChild => match self.children.last().map(|child| child.inbound) {
                Some(old) => self.send_child(now, Some(old)),
                None => self.next_task(now),
            },
            Task::RekeyIke => self.send_rekey_ike(now),
            Task::DeleteChild => match self.children.last().map(|child| child.inbound) {
                Some(spi) => self.delete_child(now, spi),
                None => self.next_task(now),
            },
            Task::Probe => {
                self.send_request(now, ExchangeType::INFORMATIONAL, ChainBuilder::new(), Waiting::Probe, false);
            }
            Task::Update => self.send_update(now),
            Task::Close => self.send_delete(now, Delete::IkeSa, Waiting::Close, false),
        }
    }

    pub(super) fn delete_child(&mut self, now: Instant, spi: EspSpi) {
        let delete = Delete::ChildSas { protocol: ProtocolId::ESP, spis: vec![spi] };
        self.send_delete(now, delete, Waiting::Delete(Some(spi)), false);
    }

    pub(super) fn send_delete(&mut self, now: Instant, delete: Delete, waiting: Waiting, on_old: bool) {
        let mut chain = ChainBuilder::new();
        chain.push(&Payload::Delete(delete));
        self.send_request(now, ExchangeType::INFORMATIONAL, chain, waiting, on_old);
    }

    pub(super) fn send_child(&mut self, now: Instant, replaces: Option<EspSpi>) {
        let spi = EspSpi(u32::from_be_bytes(self.bytes()) | 0x100);
        let nonce = self.bytes::<32>().to_vec();
        let pair = self.config.pfs.then(|| KeyPair::generate(self.config.guess, &mut self.random));
        let mut chain = ChainBuilder::new();
        if let Some(old) = replaces {
            chain.push(&Payload::Notify(Notify::about_esp(old, NotifyType::REKEY_SA, &[])));
        }
        self.push_mode(&mut chain);
        chain.push(&Payload::SecurityAssociation(self.child_offer(spi, self.config.pfs)));
        chain.push(&Payload::Nonce(Nonce(&nonce)));
        if let Some(pair) = &pair {
            chain.push(&Payload::KeyExchange(KeyExchange { group: pair.group().id(), data: pair.public() }));
        }
        self.push_selectors(&mut chain);
        if self.config.asks_late && self.reply.is_empty() {
            self.push_attributes(&mut chain);
        }
        let waiting = Waiting::Child { spi, nonce, pair, replaces, rival: None };
        self.send_request(now, ExchangeType::CREATE_CHILD_SA, chain, waiting, false);
    }

    pub(super) fn send_rekey_ike(&mut self, now: Instant) {
        let spi = IkeSpi(self.bytes());
        let nonce = self.bytes::<32>().to_vec();
        let pair = KeyPair::generate(self.config.guess, &mut self.random);
        let mut chain = ChainBuilder::new();
        chain.push(&Payload::SecurityAssociation(self.ike_offer(spi.into())));
        chain.push(&Payload::Nonce(Nonce(&nonce)));
        chain.push(&Payload::KeyExchange(KeyExchange { group: pair.group().id(), data: pair.public() }));
        let waiting = Waiting::Ike { spi, nonce, pair, rival: None };
        self.send_request(now, ExchangeType::CREATE_CHILD_SA, chain, waiting, false);
    }

    pub(super) fn answer(&mut self, now: Instant, opened: &Opened, old: bool) {
        let fits = |o: &Outstanding| o.id == opened.id && o.on_old == old && !matches!(o.waiting, Waiting::Init);
        let Some(outstanding) = self.outstanding.take_if(|outstanding| fits(outstanding)) else { return };
        match outstanding.waiting {
            Waiting::Auth => return self.auth_answer(now, opened),
            Waiting::Child { spi, nonce, pair, replaces, rival } => {
                return self.child_answer(now, opened, (spi, nonce, pair), replaces, rival);
            }
            Waiting::Ike { spi, nonce, pair, rival } => self.ike_answer(now, opened, (spi, &nonce, pair), rival),
            Waiting::Delete(spi) => self.children.retain(|child| Some(child.inbound) != spi),
            Waiting::DeleteOldIke => self.old_sa = None,
            Waiting::Init => {}
            Waiting::Probe => {
                self.raw_notifies = notifies_in(opened);
                self.raw_deletes = deletes_in(opened);
                self.raw_answer = self.raw_notifies.iter().map(|(kind, _)| *kind).find(|kind| kind.is_error());
            }
            Waiting::Update { cookie, path } => return self.update_answer(now, opened, &cookie, path),
            Waiting::Close => return self.finish(End::Closed),
        }
        self.next_task(now);
    }

    pub(super) fn child_answer(
        &mut self,
        now: Instant,
        opened: &Opened,
        (spi, nonce, pair): (EspSpi, Vec<u8>, Option<KeyPair>),
        replaces: Option<EspSpi>,
        rival: Option<Vec<u8>>,
    ) {
        let Ok(payloads) = Payloads::parse(opened.first, &opened.chain) else { return };
        let (mut responder_nonce, mut public) = (Vec::new(), None);
        for payload in &payloads {
            match payload {
                Payload::Notify(notify) if notify.kind.is_error() => self.refusals.push(notify.kind),
                Payload::Notify(notify) => self.told.push((notify.kind, notify.data.to_vec())),
                Payload::Nonce(n) => responder_nonce = n.0.to_vec(),
                Payload::KeyExchange(ke) => public = Some(ke.data),
                Payload::Configuration(reply) => {
                    self.reply = reply.attributes.iter().map(|a| (a.kind, a.value.to_vec())).collect();
                }
                _ => {}
            }
        }
        let guess = pair.as_ref().map_or(ChildKeyExchange::Absent, |pair| ChildKeyExchange::Guess(pair.group().id()));
        let shared = pair.zip(public).and_then(|(pair, public)| pair.agree(public).ok());
        let made = self.child(&payloads, spi, &nonce, &responder_nonce, shared.as_ref(), guess);
        let is_made = made.is_some();
        self.children.extend(made);
        // Of two Child SAs in place of one, the one made with the lowest nonce goes, deleted by who asked for it.
        let has_lost = rival.is_some_and(|rival| nonce.min(responder_nonce) < rival);
        let redundant = if has_lost { Some(spi) } else { replaces };
        match redundant.filter(|_| is_made && !self.forgets_to_delete) {
            Some(old) => self.delete_child(now, old),
            None => self.next_task(now),
        }
    }

    pub(super) fn child(
        &self,
        payloads: &Payloads<'_>,
        spi: EspSpi,
        nonce: &[u8],
        responder_nonce: &[u8],
        shared: Option<&Secret>,
        key_exchange: ChildKeyExchange,
    ) -> Option<ClientChild> {
        let (mut chosen, mut tsi, mut tsr) = (None, Vec::new(), Vec::new());
        for payload in payloads {
            match payload {
                Payload::SecurityAssociation(sa) => chosen = choose_child(&self.config.policy, sa, key_exchange).ok(),
                Payload::TsInitiator(ts) => tsi.clone_from(&ts.0),
                Payload::TsResponder(ts) => tsr.clone_from(&ts.0),
                _ => {}
            }
        }
        let (chosen, sa) = (chosen?, self.sa.as_ref()?);
        let nonces = Nonces { initiator: nonce, responder: responder_nonce };
        let ChildKeys { inbound, outbound } = keys::child(sa.suite.prf, &sa.derive, &chosen.suite, shared, &nonces);
        let keys = ChildKeys { inbound: outbound, outbound: inbound };
        Some(ClientChild { inbound: spi, outbound: chosen.spi, suite: chosen.suite, keys, tsi, tsr })
    }

    pub(super) fn ike_answer(
        &mut self,
        now: Instant,
        opened: &Opened,
        (spi, nonce, pair): (IkeSpi, &[u8], KeyPair),
        rival: Option<(Vec<u8>, Box<ClientSa>)>,
    ) {
        let Some((lowest, rival)) = rival else {
            if let Some((new, _)) = self.new_ike_sa(opened, spi, nonce, pair) {
                self.old_sa = self.sa.replace(new);
                self.server_deletes_old = false;
            }
            return;
        };
        match self.new_ike_sa(opened, spi, nonce, pair) {
            // Ours is redundant: the server deletes the old one, we the new one.
            Some((new, responder_nonce)) if nonce.min(&responder_nonce) < lowest.as_slice() => {
                self.lost.extend(self.sa.replace(*rival));
                self.old_sa = Some(new);
                self.server_deletes_old = false;
            }
            Some((new, _)) => {
                self.old_sa = self.sa.replace(new);
                self.server_deletes_old = false;
                self.lost.push(*rival);
            }
            None => {
                self.old_sa = self.sa.replace(*rival);
                self.server_deletes_old = true;
            }
        }
        self.next_task(now);
    }

    fn new_ike_sa(&mut self, opened: &Opened, spi: IkeSpi, nonce: &[u8], pair: KeyPair) -> Option<(ClientSa, Vec<u8>)> {
        let payloads = Payloads::parse(opened.first, &opened.chain).ok()?;
        let (mut chosen, mut responder_nonce, mut public) = (None, Vec::new(), None);
        for payload in &payloads {
            match payload {
                Payload::Notify(notify) if notify.kind.is_error() => {
                    self.refusals.push(notify.kind);
                    return None;
                }
                Payload::SecurityAssociation(sa) => {
                    chosen = choose_ike(&self.config.policy, sa, pair.group().id()).ok();
                }
                Payload::Nonce(n) => responder_nonce = n.0.to_vec(),
                Payload::KeyExchange(ke) => public = Some(ke.data),
                _ => {}
            }
        }
        let (chosen, old) = (chosen?, self.sa.as_ref()?);
        let (responder, shared) = (chosen.spi?, pair.agree(public?).ok()?);
        let spis = SpiPair { initiator: spi, responder };
        let nonces = Nonces { initiator: nonce, responder: &responder_nonce };
        let keys = IkeKeys::rekeyed(old.suite.prf, &old.derive, &chosen.suite, &shared, &nonces, spis);
        Some((ClientSa::new(spis, chosen.suite, keys.sa, self.config.fragmentation, 0), responder_nonce))
    }
}

fn notifies_in(opened: &Opened) -> Vec<(NotifyType, Vec<u8>)> {
    let Ok(payloads) = Payloads::parse(opened.first, &opened.chain) else { return Vec::new() };
    let notify = |payload: &Payload<'_>| match payload {
        Payload::Notify(notify) => Some((notify.kind, notify.data.to_vec())),
        _ => None,
    };
    payloads.iter().filter_map(notify).collect()
}

fn deletes_in(opened: &Opened) -> Vec<EspSpi> {
    let Ok(payloads) = Payloads::parse(opened.first, &opened.chain) else { return Vec::new() };
    let spis = |payload: &Payload<'_>| match payload {
        Payload::Delete(Delete::ChildSas { spis, .. }) => spis.clone(),
        _ => Vec::new(),
    };
    payloads.iter().flat_map(spis).collect()
}
