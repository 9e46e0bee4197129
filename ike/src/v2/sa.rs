//! One IKE SA: its keys, message IDs, and what it has to send again (RFC 7296 sections 2.1 to 2.3).
//!
//! The window is one message in each direction. A request is answered once; the same bytes again get the same answer. Nothing
//! here changes before the integrity of a message was checked.
//!
//! Does not: look into payloads of the peer.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use tracing::debug;

use crate::config::Timing;
use crate::crypto::hash::Hash;
use crate::crypto::random::Random;
use crate::crypto::secret::Secret;
use crate::crypto::sk::SkKey;
use crate::proposal::IkeSuite;
use crate::retransmit::{Retransmit, Verdict};
use crate::wire::chain::GENERIC_HEADER_LEN;
use crate::wire::header::{Flags, HEADER_LEN, Header, Version};
use crate::wire::num::{ExchangeType, PayloadType, ProtocolId};
use crate::wire::v2::{ChainBuilder, Delete, Fragment, Payload, Sealed, fragment_prefix, sealed_prefix};
use crate::wire::{EspSpi, IkeSpi};

use super::fragments::{Complete, FRAGMENT_LEN, Reassembly};
use super::keys::{SaKeys, SpiPair};
use super::request;

/// Own requests that may wait for the window: one for each Child SA of a site with many tunnels, and one for the IKE SA.
const MAX_WAITING: usize = 64;

/// Child SAs that one request of ours deletes.
const MAX_DELETES: usize = 1024;

/// Which end of the exchange that made an IKE SA we are. It stays so for the whole life of the SA, whoever sends a request
/// (RFC 7296 section 3.1, Initiator flag).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// We asked for the SA.
    Initiator,
    /// The peer did.
    Responder,
}

/// One IKE SA.
pub(crate) struct IkeSa {
    role: Role,
    pub(crate) spis: SpiPair,
    pub(crate) suite: IkeSuite,
    /// `SK_d`.
    pub(crate) derive: Secret,
    inbound: SkKey,
    outbound: SkKey,
    /// Both sides fragment messages, RFC 7383.
    fragmentation: bool,
    /// How many IKE SAs of the session came before, one in place of the other.
    generation: u32,
    received: Received,
    sent: Sent,
}

/// The peer's requests.
struct Received {
    /// Message ID of the next one.
    next: u32,
    /// That one has come and waits for its answer.
    busy: Option<Pending>,
    last: Option<Answered>,
    reassembly: Option<Reassembly>,
}

struct Pending {
    digest: Digest,
    exchange: ExchangeType,
}

struct Answered {
    digest: Digest,
    exchange: ExchangeType,
    messages: Vec<Bytes>,
}

type Digest = Vec<u8>;

/// Our own requests.
#[derive(Default)]
struct Sent {
    next: u32,
    outstanding: Option<Outstanding>,
    waiting: VecDeque<OwnRequest>,
    /// Fragments of the answer.
    reassembly: Option<Reassembly>,
}

struct Outstanding {
    id: u32,
    request: OwnRequest,
    messages: Vec<Bytes>,
    retransmit: Retransmit,
}

/// A request of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnRequest {
    pub(crate) purpose: Purpose,
    pub(crate) exchange: ExchangeType,
    pub(crate) first: Option<PayloadType>,
    pub(crate) chain: Vec<u8>,
}

impl OwnRequest {
    /// One request that deletes the Child SAs of both, the last [`MAX_DELETES`] of them: the peer has most likely forgotten the
    /// first ones by now.
    pub(crate) fn joined(&self, other: &Self) -> Self {
        let mut spis: Vec<EspSpi> = [self, other].into_iter().flat_map(Self::deleted).collect();
        spis.drain(..spis.len().saturating_sub(MAX_DELETES));
        Self::delete(self.purpose, Delete::ChildSas { protocol: ProtocolId::ESP, spis })
    }

    /// The Child SAs that it deletes.
    pub(crate) fn deleted(&self) -> Vec<EspSpi> {
        let deletes = request::deletes(self.first, &self.chain).unwrap_or_default();
        let spis = |delete| if let Delete::ChildSas { spis, .. } = delete { spis } else { Vec::new() };
        deletes.into_iter().flat_map(spis).collect()
    }

    /// Deletes SAs.
    pub(crate) fn delete(purpose: Purpose, delete: Delete) -> Self {
        let mut chain = ChainBuilder::new();
        chain.push(&Payload::Delete(delete));
        Self::informational(purpose, chain)
    }

    /// INFORMATIONAL with a few notifications; without any it asks for a sign of life.
    pub(crate) fn informational(purpose: Purpose, chain: ChainBuilder) -> Self {
        let (first, chain) = chain.finish().expect("INFORMATIONAL requests are short");
        Self { purpose, exchange: ExchangeType::INFORMATIONAL, first, chain }
    }
}

/// What a request of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// Whether the peer lives.
    Liveness,
    /// IKE_AUTH.
    Authenticate,
    /// One more Child SA.
    CreateChild,
    /// A Child SA in place of another.
    RekeyChild,
    /// An IKE SA in place of this one.
    RekeyIkeSa,
    /// DELETE of a Child SA.
    DeleteChild,
    /// DELETE of the IKE SA.
    DeleteIkeSa,
    /// Our addresses have changed, RFC 4555 section 3.5.
    UpdateAddresses,
    /// Whether the peer is where it says, RFC 4555 section 3.7.
    PathCheck,
}

/// What a message turned out to be.
pub(crate) enum Incoming {
    /// A new request, authentic.
    Request(Message),
    /// The answer to our request, authentic.
    Response(Purpose, Message),
    /// A request that was answered before: here is the answer again.
    Again(Vec<Bytes>),
    /// Part of a message whose other parts are missing; authentic.
    Fragment,
    /// The integrity check failed.
    Forged,
    /// Outside of the window, or not encrypted.
    Unexpected,
}

/// The payloads of an authentic message, decrypted.
pub(crate) struct Message {
    pub(crate) exchange: ExchangeType,
    pub(crate) first: Option<PayloadType>,
    pub(crate) chain: Vec<u8>,
}

/// What is due on our own requests.
pub(crate) enum Due {
    /// Nothing.
    Nothing,
    /// These messages are to be sent again.
    Again(Vec<Bytes>),
    /// The peer does not answer.
    Dead,
}

impl IkeSa {
    /// `next_request` is the message ID of the peer's next request: 1 after IKE_SA_INIT, 0 in a rekeyed SA.
    pub(crate) fn new(
        role: Role,
        spis: SpiPair,
        suite: IkeSuite,
        keys: SaKeys,
        fragmentation: bool,
        next_request: u32,
    ) -> Self {
        let (inbound, outbound) = match role {
            Role::Initiator => (keys.from_responder, keys.from_initiator),
            Role::Responder => (keys.from_initiator, keys.from_responder),
        };
        Self {
            role,
            spis,
            suite,
            derive: keys.derive,
            inbound,
            outbound,
            fragmentation,
            generation: 0,
            received: Received { next: next_request, busy: None, last: None, reassembly: None },
            sent: Sent::default(),
        }
    }

    /// The SA of an initiator after IKE_SA_INIT, whose request had message ID 0.
    pub(crate) fn after_own_init(spis: SpiPair, suite: IkeSuite, keys: SaKeys, fragmentation: bool) -> Self {
        let mut sa = Self::new(Role::Initiator, spis, suite, keys, fragmentation, 0);
        sa.sent.next = 1;
        sa
    }

    /// The SA that takes the place of `old`: message IDs begin with 0 in both directions (RFC 7296 section 2.18).
    pub(crate) fn rekeyed(role: Role, spis: SpiPair, suite: IkeSuite, keys: SaKeys, old: &Self) -> Self {
        let mut sa = Self::new(role, spis, suite, keys, old.fragmentation, 0);
        sa.generation = old.generation.saturating_add(1);
        sa
    }

    /// How many IKE SAs of the session came before this one.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// The SPI that we chose.
    pub(crate) fn own_spi(&self) -> IkeSpi {
        match self.role {
            Role::Initiator => self.spis.initiator,
            Role::Responder => self.spis.responder,
        }
    }

    /// Checks and decrypts a message for this SA. Unless `takes` is set, the state has no use for such an exchange: then
    /// only a retransmission of the last request is of interest. Of an incomplete message at most `room` bytes are kept.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        header: &Header,
        message: &[u8],
        takes: bool,
        room: usize,
    ) -> Incoming {
        let is_from_peer = header.flags.initiator == (self.role == Role::Responder);
        let is_of_this_sa =
            header.initiator_spi == self.spis.initiator && header.responder_spi == Some(self.spis.responder);
        if !is_from_peer || !is_of_this_sa {
            return Incoming::Unexpected;
        }
        let Ok(Some(sealed)) = Sealed::find(header, message) else { return Incoming::Unexpected };
        if header.flags.response {
            if !takes {
                return Incoming::Unexpected;
            }
            return self.receive_response(now, header, message, &sealed, room);
        }
        let digest = Hash::Sha256.digest(&[message]);
        if header.message_id != self.received.next {
            return self.again(header, message, &sealed, &digest);
        }
        if self.received.busy.is_some() || !takes {
            return Incoming::Unexpected;
        }
        let (incoming, complete) = self.open((now, room), header, message, &sealed, digest);
        match incoming {
            Incoming::Request(request) => {
                self.received.busy = Some(Pending { digest: complete, exchange: header.exchange });
                Incoming::Request(request)
            }
            other => other,
        }
    }

    /// The answer to a request that was answered before: one with the same bytes, or its first fragment cut in another way,
    /// which the peer does if its messages seem to be too long for the path (RFC 7383 sections 2.5.2 and 2.6.1).
    fn again(&self, header: &Header, message: &[u8], sealed: &Sealed<'_>, digest: &[u8]) -> Incoming {
        let is_last = header.message_id.checked_add(1) == Some(self.received.next);
        let Some(last) = self.received.last.as_ref().filter(|_| is_last) else { return Incoming::Unexpected };
        if last.digest == digest {
            return Incoming::Again(last.messages.clone());
        }
        let is_first = self.fragmentation && sealed.fragment.is_none_or(|fragment| fragment.number == 1);
        if !is_first || header.exchange != last.exchange {
            return Incoming::Unexpected;
        }
        match self.inbound.open(message, sealed.body_offset()) {
            Ok(_) => Incoming::Again(last.messages.clone()),
            Err(_) => Incoming::Forged,
        }
    }

    fn receive_response(
        &mut self,
        now: Instant,
        header: &Header,
        message: &[u8],
        sealed: &Sealed<'_>,
        room: usize,
    ) -> Incoming {
        let Some(purpose) = self.sent.awaits(header.message_id, header.exchange) else { return Incoming::Unexpected };
        match self.open((now, room), header, message, sealed, Vec::new()).0 {
            Incoming::Request(answer) => {
                self.sent.outstanding = None;
                Incoming::Response(purpose, answer)
            }
            other => other,
        }
    }

    /// Decrypts a whole message or the last missing fragment of one, and gives back the digest of what identifies its
    /// retransmission: the message, or its first fragment.
    fn open(
        &mut self,
        (now, room): (Instant, usize),
        header: &Header,
        message: &[u8],
        sealed: &Sealed<'_>,
        digest: Digest,
    ) -> (Incoming, Digest) {
        let key = &self.inbound;
        let parts = if header.flags.response { &mut self.sent.reassembly } else { &mut self.received.reassembly };
        let Some(fragment) = sealed.fragment else {
            let Ok(chain) = key.open(message, sealed.body_offset()) else { return (Incoming::Forged, digest) };
            // The whole message makes do without fragments of it.
            parts.take_if(|parts| parts.is_of(header));
            return (Incoming::Request(Message { exchange: header.exchange, first: sealed.inner, chain }), digest);
        };
        if !self.fragmentation {
            return (Incoming::Unexpected, digest);
        }
        let Ok(part) = key.open(message, sealed.body_offset()) else { return (Incoming::Forged, digest) };
        let reassembly = Reassembly::continued(parts.take(), now, header, fragment);
        let reassembly = reassembly.with(fragment, sealed.inner, part, digest, room);
        match reassembly.complete() {
            Ok(Complete { first, chain, digest }) => {
                (Incoming::Request(Message { exchange: header.exchange, first, chain }), digest)
            }
            Err(incomplete) => {
                *parts = Some(incomplete);
                (Incoming::Fragment, Vec::new())
            }
        }
    }

    /// Answers the request that is waiting, and keeps the answer for retransmissions. Nothing if none is waiting.
    pub(crate) fn answer(&mut self, chain: ChainBuilder, random: &mut dyn Random) -> Vec<Bytes> {
        let Some(pending) = self.received.busy.take() else { return Vec::new() };
        let (first, chain) = chain.finish().expect("answers are bounded");
        let id = self.received.next;
        let messages = self.seal(pending.exchange, id, true, first, &chain, random);
        self.received.next = id.saturating_add(1);
        self.received.last =
            Some(Answered { digest: pending.digest, exchange: pending.exchange, messages: messages.clone() });
        messages
    }

    /// Whether a request waits for its answer.
    pub(crate) fn is_busy(&self) -> bool {
        self.received.busy.is_some()
    }

    /// Whether a request of ours is on its way or waits to be.
    pub(crate) fn has_own_request(&self) -> bool {
        self.sent.outstanding.is_some() || !self.sent.waiting.is_empty()
    }

    /// Whether a request of ours for this purpose is on its way or waits to be.
    pub(crate) fn has_own_request_for(&self, purpose: Purpose) -> bool {
        let outstanding = self.sent.outstanding.as_ref().map(|outstanding| &outstanding.request);
        outstanding.into_iter().chain(&self.sent.waiting).any(|request| request.purpose == purpose)
    }

    /// Puts a request of ours behind those that wait. All Child SAs that are to be deleted go into one request, so that none
    /// is forgotten.
    pub(crate) fn enqueue(&mut self, request: OwnRequest) {
        let deletes = request.purpose == Purpose::DeleteChild;
        if let Some(waiting) = self.sent.waiting.iter_mut().find(|other| deletes && other.purpose == request.purpose) {
            *waiting = waiting.joined(&request);
        } else if deletes || self.sent.waiting.len() < MAX_WAITING {
            self.sent.waiting.push_back(request);
        }
    }

    /// Goes on with what an SA that this one replaces has yet to send. What it has sent already was about itself, or did not
    /// get an answer in time for it to matter.
    pub(crate) fn take_over_requests(&mut self, old: &mut Self) {
        let is_about_all = |request: &OwnRequest| request.purpose == Purpose::DeleteChild;
        let outstanding = old.sent.outstanding.as_ref().map(|outstanding| outstanding.request.clone());
        let left = outstanding.into_iter().chain(old.sent.waiting.drain(..));
        self.sent.waiting.extend(left.filter(is_about_all));
    }

    /// Puts a request of ours before those that wait.
    pub(crate) fn enqueue_first(&mut self, request: OwnRequest) {
        self.sent.waiting.push_front(request);
    }

    /// Whether a request of ours is on its way.
    pub(crate) fn has_outstanding(&self) -> bool {
        self.sent.outstanding.is_some()
    }

    /// The request of ours that is on its way, to be sent at once along another path; its transmissions begin anew.
    pub(crate) fn resend(&mut self, now: Instant, timing: &Timing) -> Vec<Bytes> {
        self.restart_transmissions(now, timing);
        self.sent.outstanding.as_ref().map(|outstanding| outstanding.messages.clone()).unwrap_or_default()
    }

    /// Sends no further requests of ours, except for the one that is on its way: until the peer has answered it, it takes no other.
    pub(crate) fn forget_waiting_requests(&mut self) {
        self.sent.waiting.clear();
    }

    /// Stops sending requests of ours.
    pub(crate) fn forget_own_requests(&mut self) {
        (self.sent.outstanding, self.sent.reassembly) = (None, None);
        self.sent.waiting.clear();
    }

    /// Begins anew with the transmissions of the request of ours that is on its way.
    pub(crate) fn restart_transmissions(&mut self, now: Instant, timing: &Timing) {
        if let Some(outstanding) = &mut self.sent.outstanding {
            outstanding.retransmit = Retransmit::new(now, timing.retransmit, timing.transmissions);
        }
    }

    /// Sends the next own request if the window is free.
    pub(crate) fn send_next(&mut self, now: Instant, timing: &Timing, random: &mut dyn Random) -> Vec<Bytes> {
        if self.sent.outstanding.is_some() {
            return Vec::new();
        }
        let Some(request) = self.sent.waiting.pop_front() else { return Vec::new() };
        let id = self.sent.next;
        self.sent.next = id.saturating_add(1);
        let messages = self.seal(request.exchange, id, false, request.first, &request.chain, random);
        let transmissions = match request.purpose {
            Purpose::DeleteIkeSa => timing.delete_transmissions,
            _ => timing.transmissions,
        };
        let retransmit = Retransmit::new(now, timing.retransmit, transmissions);
        self.sent.outstanding = Some(Outstanding { id, request, messages: messages.clone(), retransmit });
        messages
    }

    /// What is due at `now`.
    pub(crate) fn due(&mut self, now: Instant) -> Due {
        for parts in [&mut self.received.reassembly, &mut self.sent.reassembly] {
            parts.take_if(|parts| parts.expires() <= now);
        }
        let Some(outstanding) = &mut self.sent.outstanding else { return Due::Nothing };
        match outstanding.retransmit.check(now) {
            Verdict::Wait => Due::Nothing,
            Verdict::Send => Due::Again(outstanding.messages.clone()),
            Verdict::GiveUp => Due::Dead,
        }
    }

    /// How many bytes of incomplete messages are kept.
    pub(crate) fn kept(&self) -> usize {
        [&self.received.reassembly, &self.sent.reassembly].into_iter().flatten().map(Reassembly::kept).sum()
    }

    /// When [`IkeSa::due`] has something to do.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        let retransmit = self.sent.outstanding.as_ref().map(|o| o.retransmit.due());
        let parts = [&self.received.reassembly, &self.sent.reassembly].into_iter().flatten().map(Reassembly::expires);
        retransmit.into_iter().chain(parts).min()
    }

    /// What a stranger must not be able to change, for tests.
    pub(crate) fn fingerprint(&self) -> impl std::hash::Hash + use<> {
        let outstanding = self.sent.outstanding.as_ref().map(|o| (o.id, o.request.purpose, o.retransmit.due()));
        let last = self.received.last.as_ref().map(|answered| answered.digest.clone());
        let parts =
            [&self.received.reassembly, &self.sent.reassembly].map(|parts| parts.as_ref().map(Reassembly::parts));
        (self.spis, self.received.next, self.is_busy(), last, parts, self.sent.next, outstanding)
    }

    fn seal(
        &mut self,
        exchange: ExchangeType,
        message_id: u32,
        response: bool,
        first: Option<PayloadType>,
        chain: &[u8],
        random: &mut dyn Random,
    ) -> Vec<Bytes> {
        let header = Header {
            initiator_spi: self.spis.initiator,
            responder_spi: Some(self.spis.responder),
            next_payload: None,
            version: Version::V2,
            exchange,
            flags: Flags { initiator: self.role == Role::Initiator, version: false, response },
            message_id,
        };
        seal(&header, &mut self.outbound, self.fragmentation, first, chain, random)
    }
}

/// Length of what precedes the IV: IKE header and generic header.
const PREFIX_LEN: usize = HEADER_LEN + GENERIC_HEADER_LEN;

/// The same in a fragment, with its two numbers.
const FRAGMENT_PREFIX_LEN: usize = PREFIX_LEN + 4;

/// Protects a chain of payloads: one message, or several fragments if it is long and `fragmentation` was agreed. Nothing if
/// it is longer than a datagram can be, and fragments were not agreed.
pub(crate) fn seal(
    header: &Header,
    key: &mut SkKey,
    fragmentation: bool,
    first: Option<PayloadType>,
    chain: &[u8],
    random: &mut dyn Random,
) -> Vec<Bytes> {
    let sealed_len = key.sealed_len(chain.len());
    if !fragmentation || PREFIX_LEN.saturating_add(sealed_len) <= FRAGMENT_LEN {
        let Ok(mut message) = sealed_prefix(header, first, sealed_len) else {
            debug!(exchange = %header.exchange, octets = chain.len(), "too long for a peer that takes no fragments");
            return Vec::new();
        };
        key.seal(&mut message, chain, random);
        return vec![message.into()];
    }
    let room = FRAGMENT_LEN.saturating_sub(FRAGMENT_PREFIX_LEN);
    let parts: Vec<&[u8]> = chain.chunks(key.plaintext_room(room).max(1)).collect();
    let total = u16::try_from(parts.len()).expect("messages are bounded");
    let seal_part = |(number, part): (u16, &&[u8])| {
        let fragment = Fragment::new(number, total).expect("messages are bounded");
        let mut message =
            fragment_prefix(header, first, fragment, key.sealed_len(part.len())).expect("fragments are short");
        key.seal(&mut message, part, random);
        Bytes::from(message)
    };
    (1..=total).zip(&parts).map(seal_part).collect()
}

impl Sent {
    fn awaits(&self, id: u32, exchange: ExchangeType) -> Option<Purpose> {
        let outstanding = self.outstanding.as_ref()?;
        (outstanding.id == id && outstanding.request.exchange == exchange).then_some(outstanding.request.purpose)
    }
}
