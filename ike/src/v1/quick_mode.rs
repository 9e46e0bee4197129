//! Quick mode, RFC 2409 section 5.5: three messages that make a pair of ESP SAs.
//!
//! ```text
//! 1 HASH(1), SA, Ni [, KE], IDci, IDcr [, NAT-OA x2]  ->
//! 2                                                    <-  HASH(2), SA, Nr [, KE], IDci, IDcr [, NAT-OA x2]
//! 3 HASH(3)                                            ->
//! ```
//!
//! The second message is the only one that we repeat by ourselves: a third one that gets lost is not missed by the client.
//! The pair is up when the second message is sent, and goes down if the third never comes: the client sends ESP together
//! with the third, and whichever arrives first must not be lost. Until ESP arrives we send with the pair that is replaced.
//! What the client calls both ends is repeated byte for byte. With a NAT on the way these are not addresses of this world,
//! so only protocol and port count.
//!
//! Does not: begin one; clients rekey.

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;
use tracing::debug;

use crate::child_sa::{ChildMode, ChildSa};
use crate::crypto::cbc::Iv;
use crate::crypto::dh::{Group, KeyPair};
use crate::crypto::hash::Hash as Digest;
use crate::crypto::secret::Secret;
use crate::event::{Event, Path};
use crate::refusal::RefusalReason;
use crate::retransmit::{Retransmit, Verdict};
use crate::v2::Context;
use crate::wire::EspSpi;
use crate::wire::header::ExchangeType;
use crate::wire::v1::num::{EncapsulationMode, NotifyType};
use crate::wire::v1::{
    Chain, ChainBuilder, Header, Identification, KeyExchange, NatOriginalAddress, Nonce, Notify, Payload, Payloads,
    SecurityAssociation,
};

use super::children::{Child, LIFETIME_MARGIN};
use super::choice::{self, Phase2Choice, Rules};
use super::keys::Nonces;
use super::main_mode::new_nonce;
use super::natt::ENCAPSULATION_PORT;
use super::peer::{Incoming, Peer};
use super::phase1::Phase1;
use super::selectors;

/// Quick modes of one ISAKMP SA that may be open at once.
const MAX_OPEN: usize = 4;

/// How long the third message may take.
const LIFETIME: std::time::Duration = std::time::Duration::from_secs(60);

/// A quick mode whose second message was sent.
pub(crate) struct QuickMode {
    message_id: u32,
    /// The digest of the first message.
    digest: Vec<u8>,
    /// The second message.
    answer: Bytes,
    /// Of the third message.
    iv: Iv,
    nonce_i: Vec<u8>,
    nonce_r: Vec<u8>,
    /// The pair that waits for the third message.
    inbound: EspSpi,
    /// The client wants to hear CONNECTED before it uses the SAs.
    commit: bool,
    retransmit: Retransmit,
    deadline: Instant,
    path: Path,
}

/// What the first message asks for.
struct Wish<'a> {
    sa: SecurityAssociation<'a>,
    nonce: &'a [u8],
    ke: Option<&'a [u8]>,
    /// The client's end and ours, with their bytes; both or none.
    ids: Option<[(Identification<'a>, &'a [u8]); 2]>,
    nat_oa: Vec<NatOriginalAddress>,
}

/// A first message that will not do.
struct Refused {
    reason: RefusalReason,
    notify: NotifyType,
}

impl Refused {
    fn new(reason: RefusalReason, notify: NotifyType) -> Self {
        Self { reason, notify }
    }
}

impl QuickMode {
    pub(crate) fn message_id(&self) -> u32 {
        self.message_id
    }

    /// Our SPI of the pair that waits for the third message.
    pub(crate) fn inbound(&self) -> EspSpi {
        self.inbound
    }

    pub(crate) fn timeout(&self) -> Instant {
        self.retransmit.due().min(self.deadline)
    }

    /// What to send again at `now`; an error if the exchange is over.
    pub(crate) fn due(&mut self, now: Instant) -> Result<Option<(Path, Bytes)>, ()> {
        if self.deadline <= now {
            return Err(());
        }
        match self.retransmit.check(now) {
            Verdict::Wait => Ok(None),
            Verdict::Send => Ok(Some((self.path, self.answer.clone()))),
            Verdict::GiveUp => Err(()),
        }
    }
}

impl<'a> Wish<'a> {
    fn read(payloads: &Payloads<'a>) -> Result<Self, &'static str> {
        let (mut sa, mut nonce, mut ke, mut ids, mut nat_oa) = (None, None, None, Vec::new(), Vec::new());
        for entry in payloads.entries() {
            let twice = match &entry.payload {
                Payload::SecurityAssociation(value) => sa.replace(value.clone()).is_some(),
                Payload::Nonce(value) => nonce.replace(value.0).is_some(),
                Payload::KeyExchange(value) => ke.replace(value.0).is_some(),
                Payload::Identification(value) => {
                    ids.push((*value, entry.body));
                    ids.len() > 2
                }
                Payload::NatOriginalAddress(value) => {
                    nat_oa.push(*value);
                    nat_oa.len() > 2
                }
                _ => false,
            };
            if twice {
                return Err("a payload is there too often");
            }
        }
        let ids = match ids[..] {
            [] => None,
            [initiator, responder] => Some([initiator, responder]),
            _ => return Err("only one end is identified"),
        };
        Ok(Self { sa: sa.ok_or("SA is missing")?, nonce: nonce.ok_or("NONCE is missing")?, ke, ids, nat_oa })
    }
}

/// Our half of an exchange of its own, for perfect forward secrecy.
struct Agreed {
    public: Vec<u8>,
    shared: Secret,
}

impl Peer {
    /// Takes a message of quick mode for the ISAKMP SA at `at`.
    pub(super) fn quick_mode(
        &mut self,
        ctx: &mut Context<'_>,
        at: usize,
        path: Path,
        (header, message): (&Header, &[u8]),
    ) -> Incoming {
        let phase1 = &self.phase1s[at];
        let digest = Digest::Sha256.digest(&[message]);
        match phase1.quick_modes.iter().position(|open| open.message_id == header.message_id) {
            Some(open) if phase1.quick_modes[open].digest == digest => {
                ctx.shared.counters.retransmissions_answered += 1;
                ctx.transmit(path, phase1.quick_modes[open].answer.clone());
                Incoming::Again
            }
            Some(open) => self.quick_mode_third(ctx, (at, open), path, (header, message)),
            None if phase1.is_finished(header.message_id) || header.message_id == 0 => Incoming::Unexpected,
            None => self.quick_mode_first(ctx, at, path, (header, message)),
        }
    }

    fn quick_mode_first(
        &mut self,
        ctx: &mut Context<'_>,
        at: usize,
        path: Path,
        (header, message): (&Header, &[u8]),
    ) -> Incoming {
        let phase1 = &self.phase1s[at];
        let id = header.message_id;
        let Some(decrypted) = phase1.open(&phase1.exchange_iv(id), header, message) else {
            return Incoming::Unexpected;
        };
        let Some(payloads) = decrypted.verify(|rest| phase1.keys.message_hash(id, &[rest])) else {
            return Incoming::Forged;
        };
        self.heard(ctx);
        let made = self.begin_quick_mode(ctx, at, path, header, (&payloads, &decrypted.next_iv));
        match made {
            Ok(mut open) => {
                open.digest = Digest::Sha256.digest(&[message]);
                ctx.transmit(path, open.answer.clone());
                self.phase1s[at].quick_modes.push(open);
            }
            Err(refused) => {
                self.phase1s[at].finish(id);
                self.refuse(ctx, ExchangeType::QUICK_MODE, refused.reason);
                let mut chain = ChainBuilder::new();
                chain.push(&Payload::Notify(Notify::new(refused.notify, &[])));
                let chain = chain.finish().expect("a notification is short");
                let notify = self.phase1s[at].informational(&chain, &mut *ctx.shared.random);
                ctx.transmit(path, notify);
            }
        }
        Incoming::Done
    }

    fn begin_quick_mode(
        &mut self,
        ctx: &mut Context<'_>,
        at: usize,
        path: Path,
        header: &Header,
        (payloads, iv): (&Payloads<'_>, &Iv),
    ) -> Result<QuickMode, Refused> {
        let invalid = |problem| Refused::new(RefusalReason::Payloads { problem }, NotifyType::PAYLOAD_MALFORMED);
        let wish = Wish::read(payloads).map_err(invalid)?;
        if self.phase1s[at].quick_modes.len() >= MAX_OPEN {
            return Err(Refused::new(RefusalReason::TooManyRequests, NotifyType::NO_PROPOSAL_CHOSEN));
        }
        let mode = self.child_mode();
        let (local_ts, remote_ts) = selectors::of(mode, self.grant(), wish.ids.map(|ids| ids.map(|(id, _)| id)), path)
            .map_err(|reason| Refused::new(reason, NotifyType::INVALID_ID_INFORMATION))?;
        let choice = self.choose_child(ctx, mode, &wish)?;
        let agreed = agree(ctx, choice.group, wish.ke)?;
        self.make_room(ctx).map_err(|reason| Refused::new(reason, NotifyType::NO_PROPOSAL_CHOSEN))?;

        let inbound = ctx.new_esp_spi(self.id);
        let nonce_r = new_nonce(&mut *ctx.shared.random);
        let nonces = Nonces { initiator: wish.nonce, responder: &nonce_r };
        let phase1 = &self.phase1s[at];
        let shared = agreed.as_ref().map(|agreed| &agreed.shared);
        let child = ChildSa {
            mode,
            inbound_spi: inbound,
            outbound_spi: choice.spi,
            suite: choice.suite,
            keys: phase1.keys.child(&choice.suite, shared, (inbound, choice.spi), nonces),
            local_ts,
            remote_ts,
            udp_encap: uses_udp(choice.encapsulation, phase1, path),
            path: self.path,
            site_child: None,
            lifetime: None,
        };
        let chain = second(&choice, inbound, &wish, &nonce_r, agreed.as_ref(), path);
        let hash = phase1.keys.message_hash(header.message_id, &[wish.nonce, &chain.bytes]);
        let chain = chain.behind_hash(hash.expose()).expect("a hash is short");
        let (answer, iv) = phase1.seal(iv, ExchangeType::QUICK_MODE, header.message_id, chain);
        let lifetime = choice.lifetime.min(self.max_lifetime(ctx));
        let ids = wish.ids.map(|[i, r]| (i.1.to_vec(), r.1.to_vec())).unwrap_or_default();
        self.child_up(ctx, child, ids, ctx.now + lifetime + LIFETIME_MARGIN);
        let timing = &ctx.config.timing;
        Ok(QuickMode {
            message_id: header.message_id,
            digest: Vec::new(),
            answer,
            iv,
            nonce_i: wish.nonce.to_vec(),
            nonce_r,
            inbound,
            commit: header.flags.commit,
            retransmit: Retransmit::new(ctx.now, timing.retransmit, timing.transmissions),
            deadline: ctx.now + LIFETIME,
            path,
        })
    }

    fn choose_child<'o, 'a>(
        &self,
        ctx: &Context<'_>,
        mode: ChildMode,
        wish: &'o Wish<'a>,
    ) -> Result<Phase2Choice<'o, 'a>, Refused> {
        let legacy = ctx.config.ikev1.as_ref().is_some_and(|config| config.legacy);
        let rules = Rules::new(&ctx.config.policy, legacy);
        let has_ke = wish.ke.is_some();
        choice::phase2(rules, mode, has_ke, &wish.sa).map_err(|mismatch| {
            let is_old = rules.lacks_legacy_only(|rules| choice::phase2(rules, mode, has_ke, &wish.sa).is_ok());
            let policy = crate::proposal::PolicyName::LegacyAndroid;
            let reason = match is_old {
                true => RefusalReason::LegacyOnly { policy, mismatch },
                false => RefusalReason::V1Phase2Proposal(mismatch),
            };
            Refused::new(reason, NotifyType::NO_PROPOSAL_CHOSEN)
        })
    }

    fn quick_mode_third(
        &mut self,
        ctx: &mut Context<'_>,
        (at, open): (usize, usize),
        path: Path,
        (header, message): (&Header, &[u8]),
    ) -> Incoming {
        let phase1 = &self.phase1s[at];
        let quick_mode = &phase1.quick_modes[open];
        let Some(decrypted) = phase1.open(&quick_mode.iv, header, message) else { return Incoming::Unexpected };
        let nonces = Nonces { initiator: &quick_mode.nonce_i, responder: &quick_mode.nonce_r };
        if decrypted.verify(|_| phase1.keys.hash_3(header.message_id, nonces)).is_none() {
            return Incoming::Forged;
        }
        let phase1 = &mut self.phase1s[at];
        let done = phase1.quick_modes.remove(open);
        phase1.finish(done.message_id);
        if done.commit || header.flags.commit {
            let mut chain = ChainBuilder::new();
            let spi = done.inbound.0.to_be_bytes();
            let protocol = crate::wire::v1::num::ProtocolId::ESP;
            let kind = NotifyType::CONNECTED;
            chain.push(&Payload::Notify(Notify { protocol, spi: &spi, kind, data: &[] }));
            let chain = chain.finish().expect("a notification is short");
            let exchange = ExchangeType::QUICK_MODE;
            let (connected, _) = phase1.seal_hashed(&decrypted.next_iv, exchange, done.message_id, &chain);
            ctx.transmit(path, connected);
        }
        self.heard(ctx);
        self.follow(ctx, path);
        self.children.confirm(done.inbound);
        if !self.children.is_empty() {
            self.childless_since = None;
        }
        Incoming::Done
    }

    fn child_up(&mut self, ctx: &mut Context<'_>, child: ChildSa, ids: (Vec<u8>, Vec<u8>), expires: Instant) {
        let replaces = self.children.newest_of(&ids);
        let (inbound, outbound, suite, since) = (child.inbound_spi, child.outbound_spi, child.suite, ctx.now);
        debug!(session = %self.id, %inbound, %outbound, %suite, ?replaces, "Child SA is up");
        let (local_ts, remote_ts) = (child.local_ts.clone(), child.remote_ts.clone());
        let mode = child.mode;
        let is_replaced = false;
        self.children.push(Child {
            inbound,
            outbound,
            suite,
            ids,
            since,
            expires,
            is_replaced,
            mode,
            local_ts,
            remote_ts,
        });
        ctx.shared.events.push_back(Event::ChildUp { session: self.id, child: Box::new(child), replaces });
    }
}

/// The payloads of the second message, without the hash.
fn second(
    choice: &Phase2Choice<'_, '_>,
    inbound: EspSpi,
    wish: &Wish<'_>,
    nonce: &[u8],
    agreed: Option<&Agreed>,
    path: Path,
) -> Chain {
    let mut chain = ChainBuilder::new();
    let spi = inbound.0.to_be_bytes();
    let chosen = SecurityAssociation::chosen(choice.proposal, choice.transform, &spi);
    chain.push(&Payload::SecurityAssociation(chosen));
    chain.push(&Payload::Nonce(Nonce(nonce)));
    if let Some(agreed) = agreed {
        chain.push(&Payload::KeyExchange(KeyExchange(&agreed.public)));
    }
    for (id, _) in wish.ids.iter().flatten() {
        chain.push(&Payload::Identification(*id));
    }
    // To each address that the client tells, the one that we see: RFC 3947 section 5.2.
    let seen: [IpAddr; 2] = [path.peer.ip().to_canonical(), path.local.ip().to_canonical()];
    if let Some(numbering) = wish.nat_oa.first().map(|nat_oa| nat_oa.numbering) {
        for address in seen {
            chain.push(&Payload::NatOriginalAddress(NatOriginalAddress { numbering, address }));
        }
    }
    chain.finish().expect("the second message is bounded")
}

fn agree(ctx: &mut Context<'_>, group: Option<Group>, ke: Option<&[u8]>) -> Result<Option<Agreed>, Refused> {
    let Some((group, ke)) = group.zip(ke) else { return Ok(None) };
    let pair = KeyPair::generate(group, &mut *ctx.shared.random);
    let public = pair.public().to_vec();
    let refused = |_| Refused::new(RefusalReason::KeyExchange, NotifyType::INVALID_KEY_INFORMATION);
    let shared = pair.agree(ke).map_err(refused)?;
    Ok(Some(Agreed { public, shared }))
}

/// Whether ESP goes through UDP: as proposed, and where a translation was detected but the client does not say so.
fn uses_udp(encapsulation: EncapsulationMode, phase1: &Phase1, path: Path) -> bool {
    encapsulation.is_udp() || (phase1.nat.any() && path.local.port() == ENCAPSULATION_PORT)
}
