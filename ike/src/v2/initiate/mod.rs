//! IKE_SA_INIT as the initiator: RFC 7296 sections 1.2, 2.1, 2.6, 2.7, 2.21.1 and 2.23.
//!
//! ```text
//! initiate()                      answer                        answer
//!     |      IKE_SA_INIT            |       IKE_AUTH              |
//!     v                             v                             v
//! Initiating -----------------> Proving -----------------> Established
//!     ^   | COOKIE, INVALID_KE_PAYLOAD
//!     +---+
//! ```
//!
//! Nothing protects an answer to IKE_SA_INIT, so what makes no sense is passed over, an error is kept in mind while the
//! request is sent again, and demands are obeyed within bounds:
//!
//! - Another group is tried if it was offered. The key pairs of all groups that were tried are kept, so that the answer to an
//!   earlier request is as good as one to the last.
//! - A cookie goes into the request a moment later, unless the real answer comes before. Without this patience anybody on the
//!   way could spoil the handshake by a cookie that nobody asked for: AUTH covers the request that the peer has answered.

mod answer;
mod auth;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracing::debug;

use crate::cert::CertificatePath;
use crate::crypto::dh::{Group, KeyPair};
use crate::crypto::sign::HASH_ALGORITHMS;
use crate::event::{CloseReason, Path, SessionId, Transmit};
use crate::nat::{NatStatus, detection_hash};
use crate::proposal::{ike_guess, ike_offers, offers_group};
use crate::refusal::RefusalReason;
use crate::retransmit::{Retransmit, Verdict};
use crate::site::Site;
use crate::wire::IkeSpi;
use crate::wire::header::{Flags, Header, Version};
use crate::wire::num::{ExchangeType, NotifyType};
use crate::wire::v2::{KeyExchange, MessageBuilder, Nonce, Notify, Payload, SecurityAssociation, Spi};

pub(crate) use auth::Proving;

use super::mobike::Mobility;
use super::{Context, Session, State, child};

/// An error that anybody may have sent is told after this long. The request goes on until its last transmission.
const AFTER_ERROR: Duration = Duration::from_secs(10);

/// A cookie is used after this long.
const COOKIE_PATIENCE: Duration = Duration::from_millis(250);

/// Demands that are obeyed at once, until the request is due to be sent again.
const DEMANDS: u8 = 4;

/// Demands after which the schedule of transmissions begins anew.
const RESTARTS: u8 = 4;

/// The request is on its way.
pub(crate) struct Initiating {
    pub(super) spi: IkeSpi,
    nonce: Vec<u8>,
    offer: SecurityAssociation,
    /// One for each group that was tried; the last one is sent.
    attempts: Vec<Attempt>,
    cookie: Vec<u8>,
    /// A cookie that was demanded, and when it is used.
    demanded: Option<(Instant, Vec<u8>)>,
    retransmit: Retransmit,
    demands_left: u8,
    restarts_left: u8,
    /// What an answer complained of.
    problem: Option<Problem>,
    /// The tunnels to be made.
    children: Vec<usize>,
}

/// Something that an answer complained of, or that is wrong with it.
struct Problem {
    reason: RefusalReason,
    /// When people are told; `None`: they were.
    tell: Option<Instant>,
}

/// A request with a key pair of one group.
struct Attempt {
    group: Group,
    pair: KeyPair,
    request: Bytes,
}

impl Session {
    /// Begins with a site.
    pub(crate) fn initiate(
        id: SessionId,
        ctx: &mut Context<'_>,
        site: Arc<Site>,
        path: Path,
        children: Vec<usize>,
    ) -> Self {
        let mut session = Self {
            id,
            path,
            reply_path: path,
            nat: NatStatus::default(),
            mobility: Mobility::default(),
            is_childless: false,
            role: crate::event::Role::Initiator,
            site: Some(site),
            precedence: 0,
            ppk: false,
            established: None,
            login_ends: None,
            since: ctx.now,
            last_heard: ctx.now,
            identity: None,
            by: None,
            certificates: CertificatePath::default(),
            announced: true,
            state: State::Over,
        };
        session.state = Initiating::begin(&mut session, ctx, children);
        session
    }
}

impl Initiating {
    fn begin(session: &mut Session, ctx: &mut Context<'_>, children: Vec<usize>) -> State {
        let policy = session.policy(ctx.config);
        let timing = session.timing(ctx.config);
        let Some(group) = ike_guess(policy) else {
            session.refuse(ctx, ExchangeType::IKE_SA_INIT, RefusalReason::NothingToOffer);
            session.announce_end(ctx, CloseReason::Failed);
            return State::Over;
        };
        let mut state = Self {
            spi: ctx.new_ike_spi(),
            nonce: child::new_nonce(ctx),
            offer: ike_offers(policy, Spi::EMPTY),
            attempts: Vec::new(),
            cookie: Vec::new(),
            demanded: None,
            retransmit: Retransmit::new(ctx.now, timing.retransmit, timing.transmissions),
            demands_left: DEMANDS,
            restarts_left: RESTARTS,
            problem: None,
            children,
        };
        debug!(session = %session.id, peer = %session.path.peer, "beginning IKE_SA_INIT");
        state.attempt(session, ctx, group);
        state.send(session, ctx);
        State::Initiating(Box::new(state))
    }

    /// Goes on with a key pair of this group, the one there was before if it was tried already.
    fn attempt(&mut self, session: &Session, ctx: &mut Context<'_>, group: Group) {
        let known = self.attempts.iter().position(|attempt| attempt.group == group).map(|at| self.attempts.remove(at));
        let pair = known.map_or_else(|| KeyPair::generate(group, &mut *ctx.shared.random), |attempt| attempt.pair);
        let request = self.request(session, &pair);
        self.attempts.push(Attempt { group, pair, request });
    }

    fn request(&self, session: &Session, pair: &KeyPair) -> Bytes {
        let header = Header {
            initiator_spi: self.spi,
            responder_spi: None,
            next_payload: None,
            version: Version::V2,
            exchange: ExchangeType::IKE_SA_INIT,
            flags: Flags { initiator: true, version: false, response: false },
            message_id: 0,
        };
        let mut message = MessageBuilder::new(&header);
        let notify = |message: &mut MessageBuilder, kind, data: &[u8]| {
            message.push(&Payload::Notify(Notify::new(kind, data)));
        };
        if !self.cookie.is_empty() {
            notify(&mut message, NotifyType::COOKIE, &self.cookie);
        }
        message.push(&Payload::SecurityAssociation(self.offer.clone()));
        message.push(&Payload::KeyExchange(KeyExchange { group: pair.group().id(), data: pair.public() }));
        message.push(&Payload::Nonce(Nonce(&self.nonce)));
        let site = session.site();
        let mut source = detection_hash(self.spi, None, session.path.local);
        if site.is_some_and(|site| site.force_udp_encap) {
            source.iter_mut().for_each(|byte| *byte = !*byte);
        }
        notify(&mut message, NotifyType::NAT_DETECTION_SOURCE_IP, &source);
        let destination = detection_hash(self.spi, None, session.path.peer);
        notify(&mut message, NotifyType::NAT_DETECTION_DESTINATION_IP, &destination);
        if site.is_some_and(|site| site.fragmentation) {
            notify(&mut message, NotifyType::IKEV2_FRAGMENTATION_SUPPORTED, &[]);
        }
        let hashes: Vec<u8> = HASH_ALGORITHMS.iter().flat_map(|hash| hash.0.to_be_bytes()).collect();
        notify(&mut message, NotifyType::SIGNATURE_HASH_ALGORITHMS, &hashes);
        if site.is_some_and(|site| site.ppk.is_some()) {
            notify(&mut message, NotifyType::USE_PPK, &[]);
        }
        message.finish().expect("what a policy offers is bounded").into()
    }

    fn send(&self, session: &Session, ctx: &mut Context<'_>) {
        if let Some(attempt) = self.attempts.last() {
            ctx.shared.transmits.push_back(Transmit { path: session.path, payload: attempt.request.clone() });
        }
    }

    /// Whether one more demand is obeyed at once.
    fn may_obey(&mut self, session: &Session, ctx: &Context<'_>) -> bool {
        let Some(left) = self.demands_left.checked_sub(1) else { return false };
        self.demands_left = left;
        if let Some(left) = self.restarts_left.checked_sub(1) {
            self.restarts_left = left;
            let timing = session.timing(ctx.config);
            self.retransmit = Retransmit::new(ctx.now, timing.retransmit, timing.transmissions);
        }
        true
    }

    /// The peer wants a key exchange of another group.
    fn other_group(&mut self, session: &Session, ctx: &mut Context<'_>, group: Option<Group>) {
        let Some(group) = group.filter(|group| offers_group(&self.offer, *group)) else {
            return self.complain(ctx, RefusalReason::NotOffered);
        };
        let is_sent = self.attempts.last().is_some_and(|attempt| attempt.group == group);
        if is_sent || !self.may_obey(session, ctx) {
            ctx.shared.counters.unexpected += 1;
            return;
        }
        debug!(session = %session.id, wanted = %group.id(), "the peer wants another group");
        self.attempt(session, ctx, group);
        self.send(session, ctx);
    }

    /// The peer wants to see that we receive what it sends to our address.
    fn cookie_demanded(&mut self, ctx: &mut Context<'_>, cookie: &[u8]) {
        if self.cookie == cookie || self.demanded.is_some() {
            ctx.shared.counters.unexpected += 1;
            return;
        }
        self.demanded = Some((ctx.now + COOKIE_PATIENCE, cookie.to_vec()));
    }

    fn use_cookie(&mut self, session: &Session, ctx: &mut Context<'_>) {
        let Some((_, cookie)) = self.demanded.take() else { return };
        let Some(group) = self.attempts.last().map(|attempt| attempt.group) else { return };
        if self.may_obey(session, ctx) {
            debug!(session = %session.id, "the peer demands a cookie");
            self.cookie = cookie;
            self.attempt(session, ctx, group);
            self.send(session, ctx);
        }
    }

    /// Keeps in mind what is wrong. The first complaint counts, and so does its time.
    fn complain(&mut self, ctx: &mut Context<'_>, reason: RefusalReason) {
        ctx.shared.counters.unexpected += 1;
        let tell = Some(ctx.now + AFTER_ERROR);
        self.problem.get_or_insert(Problem { reason, tell });
    }

    pub(super) fn handle_timeout(mut self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>) -> State {
        if self.demanded.as_ref().is_some_and(|(at, _)| *at <= ctx.now) {
            self.use_cookie(session, ctx);
        }
        if let Some(problem) = self.problem.as_mut().filter(|problem| problem.tell.is_some_and(|at| at <= ctx.now)) {
            problem.tell = None;
            session.refuse(ctx, ExchangeType::IKE_SA_INIT, problem.reason.clone());
        }
        match self.retransmit.check(ctx.now) {
            Verdict::Wait => {}
            Verdict::Send => {
                self.demands_left = DEMANDS;
                ctx.shared.counters.retransmissions_sent += 1;
                self.send(session, ctx);
            }
            Verdict::GiveUp => return self.fail(session, ctx),
        }
        State::Initiating(self)
    }

    fn fail(self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>) -> State {
        let (untold, end) = match self.problem {
            Some(Problem { reason, tell }) => (tell.map(|_| reason), CloseReason::Failed),
            None => (Some(RefusalReason::NoAnswer), CloseReason::PeerDead),
        };
        if let Some(reason) = untold {
            session.refuse(ctx, ExchangeType::IKE_SA_INIT, reason);
        }
        session.announce_end(ctx, end);
        State::Over
    }

    pub(super) fn timeout(&self) -> Instant {
        let demanded = self.demanded.as_ref().map(|(at, _)| *at);
        let problem = self.problem.as_ref().and_then(|problem| problem.tell);
        demanded.into_iter().chain(problem).fold(self.retransmit.due(), Instant::min)
    }

    /// What a stranger must not be able to change, for tests.
    pub(super) fn fingerprint(&self) -> impl std::hash::Hash + use<> {
        (self.spi, self.attempts.len(), self.cookie.clone(), self.problem.is_some(), self.timeout())
    }
}
