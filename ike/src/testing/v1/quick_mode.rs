//! Quick mode of the initiator, RFC 2409 section 5.5.

use std::time::Instant;

use crate::crypto::dh::{Group, KeyPair};
use crate::crypto::hash::Hash;
use crate::crypto::random::Random;
use crate::wire::num::{ExchangeType, GroupId};
use crate::wire::v1::num::{EncapsulationMode, PayloadType};
use crate::wire::v1::{
    Attribute, Chain, ChainBuilder, Header, KeyExchange, NatNumbering, NatOriginalAddress, Nonce, Payload, Payloads,
    Proposal, Transform,
};
use crate::wire::{EspSpi, IkeSpi};

use super::client::{Awaited, V1Child, V1Client, V1End};
use super::config::V1Id;
use super::isakmp::{Exchange, ExchangeKind, IsakmpSa, Opened, Quick};
use super::keys::ChildSeed;
use super::main_mode::{NAT_T_PORT, id_body, identification};
use super::offer::{EspLife, EspTransform, esp_offer};

impl V1Client {
    /// Begins a quick mode in the newest ISAKMP SA.
    pub(super) fn begin_quick_mode(&mut self, now: Instant, replaces: Option<EspSpi>) {
        let spi = EspSpi(u32::from_be_bytes(self.array()) | 0x100);
        let nonce = self.bytes(self.config.nonce_len);
        let message_id = self.message_id();
        let group = self.config.pfs.then(|| self.config.isakmp.first().map_or(14, |transform| transform.group));
        let pair = group.and_then(|group| Group::from_id(GroupId(group))).map(|group| self.key_pair(group));
        let chain = self.first_quick(spi, &nonce, pair.as_ref().map(KeyPair::public), group);
        let ids = (id_body(&self.local_id()), id_body(&self.config.remote_id));
        let quick = Quick { spi, nonce, pair, replaces, ids };
        let envelope = self.envelope(ExchangeType::QUICK_MODE, message_id);
        let Some(sa) = self.sas.last_mut() else { return };
        let hash = sa.keys.hash(message_id, &[&chain.bytes]);
        let chain = chain.behind_hash(hash.expose()).expect("short");
        let mut iv = sa.keys.phase_two_iv(&sa.last, message_id);
        let message = IsakmpSa::seal(&sa.keys, sa.cookies, &mut iv, chain, &envelope, &mut self.random);
        sa.exchanges.insert(message_id, Exchange { iv, kind: ExchangeKind::Quick(Box::new(quick)), last: None });
        let awaited = Awaited::Exchange(sa.cookies.0, message_id);
        self.expect(now, awaited, message);
    }

    fn first_quick(&self, spi: EspSpi, nonce: &[u8], public: Option<&[u8]>, group: Option<u16>) -> Chain {
        let life = EspLife {
            mode: self.encapsulation(),
            seconds: self.config.esp_life,
            kilobytes: self.config.esp_kilobytes,
            group,
        };
        let offer = esp_offer(&self.config.esp, self.config.dialect, spi, &life);
        let (local, remote) = (self.local_id(), &self.config.remote_id);
        let mut chain = ChainBuilder::new();
        chain.push(&Payload::SecurityAssociation(offer));
        chain.push(&Payload::Nonce(Nonce(nonce)));
        if let Some(public) = public {
            chain.push(&Payload::KeyExchange(KeyExchange(public)));
        }
        chain.push(&Payload::Identification(identification(&local)));
        chain.push(&Payload::Identification(identification(remote)));
        if let Some(numbering) = self.config.nat_t.filter(|_| self.is_udp() && !self.config.tunnel) {
            let addresses = [self.path.local.ip(), self.path.peer.ip()];
            for address in addresses.into_iter().take(usize::from(self.config.nat_oa)) {
                chain.push(&Payload::NatOriginalAddress(NatOriginalAddress { numbering, address }));
            }
        }
        chain.finish().expect("short")
    }

    /// Sends one more message in the last quick mode, as Windows may.
    pub fn fourth_quick_message(&mut self, payload: &Payload<'_>) {
        let done = |exchange: &Exchange| matches!(exchange.kind, ExchangeKind::Done);
        let found = self.sas.iter().enumerate().rev().find_map(|(index, sa)| {
            let (id, exchange) = sa.exchanges.iter().find(|(_, exchange)| done(exchange))?;
            Some((index, *id, exchange.iv.clone()))
        });
        let Some((index, message_id, mut iv)) = found else { return };
        let envelope = self.envelope(ExchangeType::QUICK_MODE, message_id);
        let mut chain = ChainBuilder::new();
        chain.push(payload);
        let chain = chain.finish().expect("short");
        let sa = &self.sas[index];
        let hash = sa.keys.hash(message_id, &[&chain.bytes]);
        let chain = chain.behind_hash(hash.expose()).expect("short");
        let message = IsakmpSa::seal(&sa.keys, sa.cookies, &mut iv, chain, &envelope, &mut self.random);
        self.send_once(message);
    }

    pub(super) fn quick_mode(&mut self, now: Instant, header: &Header, message: &[u8]) {
        let digest = Hash::Sha256.digest(&[message]);
        let Some(index) = self.sas.iter().position(|sa| is_of(sa, header)) else { return };
        let Some(exchange) = self.sas[index].exchanges.get(&header.message_id) else { return };
        if let Some((_, answer)) = exchange.last.as_ref().filter(|(known, _)| *known == digest) {
            let answer = answer.clone();
            return self.send(&answer);
        }
        let ExchangeKind::Quick(quick) = &exchange.kind else { return };
        let nonce = quick.nonce.clone();
        let Some(opened) = self.sas[index].open_phase_two(header, message, &nonce) else { return };
        self.answered(Awaited::Exchange(header.initiator_cookie, header.message_id));
        match self.second_quick(index, header.message_id, opened, digest) {
            Ok(replaced) => {
                if let Some(spi) = replaced {
                    self.children.retain(|child| child.inbound != spi);
                    self.delete_child(spi);
                }
                self.next_task(now);
            }
            Err(problem) => self.finish(V1End::Distrust(problem)),
        }
    }

    /// Takes the answer, sends the third message, and has a child. Gives back the one that it replaces.
    fn second_quick(
        &mut self,
        index: usize,
        message_id: u32,
        opened: Opened,
        digest: Vec<u8>,
    ) -> Result<Option<EspSpi>, &'static str> {
        let payloads = Payloads::parse(opened.first, &opened.plaintext).map_err(|_| "malformed answer")?;
        self.observe_quick(&payloads);
        let sa = self.sas.get_mut(index).ok_or("no ISAKMP SA")?;
        let exchange = sa.exchanges.get_mut(&message_id).ok_or("no exchange")?;
        let ExchangeKind::Quick(quick) = std::mem::replace(&mut exchange.kind, ExchangeKind::Done) else {
            return Err("no quick mode");
        };
        let (nonce_r, public) = nonce_and_public(&payloads);
        let nonce_r = nonce_r.ok_or("no nonce")?;
        let (proposal, transform) = choice(&payloads)?;
        let chosen = chosen_transform(&self.config.esp, &transform).ok_or("the choice is not one of the offers")?;
        let (encr, integ) = chosen.algorithms().ok_or("an algorithm that cannot be computed")?;
        let shared = match quick.pair {
            Some(pair) => Some(pair.agree(public.ok_or("no public value")?).map_err(|_| "public value")?),
            None => None,
        };
        let spi = <[u8; 4]>::try_from(proposal.spi.as_ref()).map_err(|_| "SPI")?;
        let outbound = EspSpi(u32::from_be_bytes(spi));
        let seed = ChildSeed {
            shared: shared.as_ref(),
            own_spi: quick.spi,
            peer_spi: outbound,
            nonce_i: &quick.nonce,
            nonce_r,
        };
        let keys = sa.keys.child(&seed, encr, integ);
        if !self.observed.quick_ids.is_empty() && self.observed.quick_ids != [quick.ids.0, quick.ids.1] {
            return Err("the server changed the identifications");
        }
        let mode = transform.attributes.find(4).and_then(Attribute::number_u16).map_or(0, |mode| mode);
        let hash = sa.keys.hash_3(message_id, &quick.nonce, nonce_r);
        let chain = ChainBuilder::new().finish().expect("empty").behind_hash(hash.expose()).expect("short");
        let mut iv = opened.next;
        let (cookies, mode) = (sa.cookies, EncapsulationMode(mode));
        let envelope = self.envelope(ExchangeType::QUICK_MODE, message_id);
        let sa = self.sas.get_mut(index).ok_or("no ISAKMP SA")?;
        let message = IsakmpSa::seal(&sa.keys, cookies, &mut iv, chain, &envelope, &mut self.random);
        let answer = self.send_once(message);
        let sa = self.sas.get_mut(index).ok_or("no ISAKMP SA")?;
        sa.exchanges.insert(message_id, Exchange { iv, kind: ExchangeKind::Done, last: Some((digest, answer)) });
        self.children.push(V1Child { inbound: quick.spi, outbound, encr, integ, mode, keys });
        Ok(quick.replaces)
    }

    fn observe_quick(&mut self, payloads: &Payloads<'_>) {
        let of = |kind| payloads.entries().iter().filter(move |entry| entry.payload.kind() == kind);
        self.observed.quick_ids = of(PayloadType::IDENTIFICATION).map(|entry| entry.body.to_vec()).collect();
        self.observed.quick_sa =
            of(PayloadType::SECURITY_ASSOCIATION).next().map(|entry| entry.body.to_vec()).unwrap_or_default();
        let number = |oa: NatOriginalAddress| (oa.numbering.nat_oa().0, oa.address);
        self.observed.nat_oa = payloads.nat_original_addresses().map(number).collect();
    }

    /// Whether ESP and IKE use port 4500.
    pub(super) fn is_udp(&self) -> bool {
        self.path.local.port() == NAT_T_PORT
    }

    fn encapsulation(&self) -> EncapsulationMode {
        let is_draft = self.config.nat_t == Some(NatNumbering::Draft);
        match (self.is_udp() && self.config.proposes_udp, self.config.tunnel) {
            (false, false) => EncapsulationMode::TRANSPORT,
            (false, true) => EncapsulationMode::TUNNEL,
            (true, false) if is_draft => EncapsulationMode::UDP_TRANSPORT_DRAFT,
            (true, true) if is_draft => EncapsulationMode::UDP_TUNNEL_DRAFT,
            (true, false) => EncapsulationMode::UDP_TRANSPORT,
            (true, true) => EncapsulationMode::UDP_TUNNEL,
        }
    }

    /// Our side of the traffic: in tunnel mode the address that was given.
    fn local_id(&self) -> V1Id {
        let given = self.setting(crate::wire::v1::num::ConfigAttr::INTERNAL_IP4_ADDRESS).and_then(Attribute::bytes);
        match given.and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()) {
            Some(octets) if self.config.tunnel => V1Id::ip4(octets.into(), 0, 0),
            _ => self.config.local_id.clone(),
        }
    }

    /// Of an exchange of phase 2: counted, or random.
    pub(super) fn message_id(&mut self) -> u32 {
        if self.config.counts_message_ids {
            self.message_ids += 1;
            return self.message_ids;
        }
        let mut bytes = [0; 4];
        self.random.fill(&mut bytes);
        u32::from_be_bytes(bytes).max(1)
    }
}

pub(super) fn is_of(sa: &IsakmpSa, header: &Header) -> bool {
    let cookies: (IkeSpi, Option<IkeSpi>) = (header.initiator_cookie, header.responder_cookie);
    (sa.cookies.0, Some(sa.cookies.1)) == cookies
}

fn nonce_and_public<'p>(payloads: &'p Payloads<'_>) -> (Option<&'p [u8]>, Option<&'p [u8]>) {
    let (mut nonce, mut public) = (None, None);
    for payload in payloads.iter() {
        match payload {
            Payload::Nonce(n) => nonce = Some(n.0),
            Payload::KeyExchange(ke) => public = Some(ke.0),
            _ => {}
        }
    }
    (nonce, public)
}

/// The only proposal with its only transform.
fn choice<'a>(payloads: &Payloads<'a>) -> Result<(Proposal<'a>, Transform<'a>), &'static str> {
    let sa = payloads.iter().find_map(|payload| match payload {
        Payload::SecurityAssociation(sa) => Some(sa),
        _ => None,
    });
    let [proposal] = sa.ok_or("no SA payload")?.proposals.as_slice() else { return Err("not one proposal") };
    let [transform] = proposal.transforms.as_slice() else { return Err("not one transform") };
    Ok((proposal.clone(), transform.clone()))
}

/// Our transform with the number of the chosen one, if the algorithms are the same.
fn chosen_transform(ours: &[EspTransform], chosen: &Transform<'_>) -> Option<EspTransform> {
    let number = |kind| chosen.attributes.find(kind).and_then(Attribute::number_u16);
    let index = usize::from(chosen.number).checked_sub(1)?;
    let transform = *ours.get(index)?;
    let same = transform.id == chosen.id && transform.bits == number(6) && transform.auth == number(5);
    same.then_some(transform)
}
