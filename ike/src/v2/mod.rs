//! IKEv2, RFC 7296: one [`Session`] for each client and for each IKE SA with a site, from its IKE_SA_INIT on.
//!
//! ```text
//! IKE_SA_INIT        IKE_AUTH                 grant()               DELETE
//!     |                 |                        |                    |
//!     v                 v                        v                    v
//!  HalfOpen ----> Authenticating (EAP ...) ----> Established ----> Closing ----> Over
//!                                                 ^
//!  Initiating (what we begin, `initiate`) --------+
//! ```
//!
//! Between HalfOpen and Authenticating a login may stay in AwaitingList, until a list of revoked certificates is there.
//!
//! Each state is a struct of its own; a step takes the state and gives back the next one. A message that is not authentic,
//! not fresh, or of an exchange that the state does not take changes nothing.

mod auth;
mod authenticating;
mod awaiting_list;
mod child;
mod closing;
mod configuration;
mod connection;
mod context;
pub(crate) mod cookie;
mod established;
mod fit;
pub(crate) mod fragments;
mod half_open;
mod informational;
pub(crate) mod init;
mod initial_contact;
mod initiate;
pub(crate) mod keys;
mod life;
mod login_limit;
mod mobike;
mod own_certificate;
mod own_child;
mod own_rekey;
mod ppk;
mod proof;
mod reauthentication;
mod rekey;
mod relocation;
pub(crate) mod request;
pub(crate) mod sa;
#[cfg(test)]
mod sa_tests;

use std::hash::{Hash, Hasher};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracing::debug;

use crate::cert::{CertError, CertificatePath};
use crate::config::{Config, Timing};
use crate::credential::PeerAuth;
use crate::event::{
    AuthenticatedBy, CloseReason, Denial, EapStep, Event, Grant, IkeVersion, Path, Role, SessionId, SessionInfo,
    SessionState,
};
use crate::identity::Identity;
use crate::nat::NatStatus;
use crate::proposal::Policy;
use crate::refusal::{Refusal, RefusalReason};
use crate::site::Site;
use crate::wire::header::Header;
use crate::wire::limits::MAX_MESSAGE;
use crate::wire::num::{ExchangeType, NotifyType};
use crate::wire::v2::{ChainBuilder, Notify, Payload};
use crate::wire::{EspSpi, IkeSpi};

use authenticating::Authenticating;
use awaiting_list::AwaitingList;
use closing::Closing;
pub(crate) use context::{Context, Shared};
use established::Established;
use fragments::MAX_UNPROVEN;
pub(crate) use half_open::HalfOpen;
use initiate::{Initiating, Proving};
use mobike::Mobility;
use sa::{IkeSa, Incoming, Message};

/// An IKE SA that failed or was deleted answers retransmissions of the last request for this long.
const LINGER: Duration = Duration::from_secs(20);

/// UDP port of encapsulated ESP, RFC 3948.
const ENCAPSULATION_PORT: u16 = 4500;

/// One client.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    path: Path,
    /// Where the request that waits for its answer came from.
    reply_path: Path,
    nat: NatStatus,
    mobility: Mobility,
    /// The IKE SA began without Child SA (RFC 6023) and may be without.
    is_childless: bool,
    /// Who began.
    role: Role,
    /// The other gateway, if the peer is one: known from the beginning if we began, otherwise from IKE_AUTH on.
    site: Option<Arc<Site>>,
    /// The same number at both ends, different for every session.
    precedence: u128,
    /// A postquantum preshared key is mixed in.
    ppk: bool,
    /// Since when the session is established.
    established: Option<Instant>,
    /// When the login has to be there anew, or the session ends (RFC 4478).
    login_ends: Option<Instant>,
    since: Instant,
    last_heard: Instant,
    identity: Option<Identity>,
    by: Option<AuthenticatedBy>,
    /// The certificates that it has shown for that.
    certificates: CertificatePath,
    /// The server knows of the session and wants to know of its end.
    announced: bool,
    state: State,
}

enum State {
    HalfOpen(Box<HalfOpen>),
    AwaitingList(Box<AwaitingList>),
    Authenticating(Box<Authenticating>),
    Initiating(Box<Initiating>),
    Proving(Box<Proving>),
    Established(Box<Established>),
    Closing(Box<Closing>),
    Over,
}

impl Session {
    /// A session whose IKE_SA_INIT was answered.
    pub(crate) fn new(id: SessionId, path: Path, nat: NatStatus, now: Instant, half_open: HalfOpen) -> Self {
        let precedence = half_open.spis.precedence();
        let state = State::HalfOpen(Box::new(half_open));
        Self {
            id,
            path,
            reply_path: path,
            nat,
            mobility: Mobility::default(),
            is_childless: false,
            role: Role::Responder,
            site: None,
            precedence,
            ppk: false,
            established: None,
            login_ends: None,
            since: now,
            last_heard: now,
            identity: None,
            by: None,
            certificates: CertificatePath::default(),
            announced: false,
            state,
        }
    }

    /// The site that the peer is, if it is one.
    pub(crate) fn site(&self) -> Option<&Arc<Site>> {
        self.site.as_ref()
    }

    /// Durations: those of the site, or of clients.
    pub(crate) fn timing(&self, config: &Config) -> Timing {
        self.site.as_ref().map_or(config.timing, |site| site.timing)
    }

    /// Acceptable algorithms: those of the site, or of clients.
    pub(crate) fn policy<'a>(&'a self, config: &'a Config) -> &'a Policy {
        self.site.as_ref().map_or(&config.policy, |site| &site.policy)
    }

    /// How long a login holds, RFC 4478: what the site says, or what is for clients.
    pub(crate) fn reauthentication(&self, config: &Config) -> Option<Duration> {
        self.site.as_ref().map_or(config.reauthentication, |site| site.reauthentication)
    }

    /// Whether ESP goes through UDP in any case.
    pub(crate) fn forces_udp(&self, config: &Config) -> bool {
        self.site.as_ref().map_or(config.force_udp_encap, |site| site.force_udp_encap)
    }

    /// Child SAs beyond which the peer gets no more.
    pub(crate) fn child_limit(&self, config: &Config) -> usize {
        let of_site = self.site.as_ref().map_or(0, |site| site.children.len().saturating_mul(2));
        config.limits.children.max(of_site)
    }

    /// Takes a message whose header names one of our SPIs.
    pub(crate) fn handle(&mut self, ctx: &mut Context<'_>, path: Path, header: &Header, message: &[u8]) {
        if matches!(self.state, State::Initiating(_)) {
            return self.step(
                |session, ctx, state| match state {
                    State::Initiating(state) => state.handle(session, ctx, path, header, message),
                    other => other,
                },
                ctx,
            );
        }
        let takes = self.state.takes(header.exchange, header.flags.response);
        let (incoming, replaced) = match self.receive(ctx, header, message, takes) {
            Ok(received) => received,
            Err(reason) => {
                self.refuse(ctx, header.exchange, reason);
                return self.end(ctx, CloseReason::Failed);
            }
        };
        match incoming {
            Incoming::Again(messages) => {
                ctx.shared.counters.retransmissions_answered += 1;
                ctx.send(path, messages);
            }
            Incoming::Forged => {
                debug!(session = %self.id, peer = %path.peer, exchange = %header.exchange, "integrity check failed");
                ctx.shared.counters.forged += 1;
            }
            Incoming::Unexpected => ctx.shared.counters.unexpected += 1,
            Incoming::Fragment => {}
            Incoming::Request(request) => {
                self.reply_path = path;
                self.heard(ctx, path);
                self.request(ctx, request, replaced);
            }
            Incoming::Response(purpose, answer) => {
                self.heard(ctx, path);
                self.step(|session, ctx, state| state.response(session, ctx, (purpose, &answer), replaced), ctx);
            }
        }
    }

    /// Opens the message; with our SPI if it belongs to an IKE SA that was replaced by rekeying.
    fn receive(
        &mut self,
        ctx: &mut Context<'_>,
        header: &Header,
        message: &[u8],
        takes: bool,
    ) -> Result<(Incoming, Option<IkeSpi>), RefusalReason> {
        let is_unproven = self.is_half_open();
        if is_unproven && message.len() > MAX_UNPROVEN {
            return Ok((Incoming::Unexpected, None));
        }
        let room = if is_unproven { ctx.shared.kept.room(self.id) } else { MAX_MESSAGE };
        let (sa, replaced) = match &mut self.state {
            State::HalfOpen(state) if takes => (state.key()?, None),
            State::HalfOpen(_) | State::Initiating(_) | State::Over => return Ok((Incoming::Unexpected, None)),
            State::Proving(state) => (&mut state.sa, None),
            State::AwaitingList(state) => (&mut state.sa, None),
            State::Authenticating(state) => (&mut state.sa, None),
            State::Established(state) => match state.sa_of(header) {
                Some(found) => found,
                None => return Ok((Incoming::Unexpected, None)),
            },
            State::Closing(state) => state.sa_of(header),
        };
        Ok((sa.receive(ctx.now, header, message, takes, room), replaced))
    }

    fn request(&mut self, ctx: &mut Context<'_>, request: Message, replaced: Option<IkeSpi>) {
        debug!(session = %self.id, peer = %self.path.peer, exchange = %request.exchange, "request");
        self.step(
            |session, ctx, state| match (state, request.exchange) {
                (State::HalfOpen(state), _) => auth::first(session, ctx, *state, request),
                (State::Authenticating(state), ExchangeType::IKE_AUTH) => state.next(session, ctx, &request),
                (State::Authenticating(state), _) => state.informational(session, ctx, &request),
                (State::Established(state), ExchangeType::CREATE_CHILD_SA) => {
                    state.create_child(session, ctx, &request, replaced)
                }
                (State::Established(state), _) => state.informational(session, ctx, &request, replaced),
                (State::Closing(state), _) => state.request(session, ctx, &request, replaced),
                (state @ (State::AwaitingList(_) | State::Initiating(_) | State::Proving(_)), _) => state,
                (State::Over, _) => State::Over,
            },
            ctx,
        );
    }

    /// The packet path has heard the client.
    pub(crate) fn note_inbound(&mut self, now: Instant) {
        if matches!(self.state, State::Established(_)) {
            self.last_heard = self.last_heard.max(now);
        }
    }

    /// Moves to other addresses of ours or the peer's.
    pub(crate) fn relocate(&mut self, ctx: &mut Context<'_>, path: Path) {
        self.step(
            |session, ctx, mut state| {
                if let State::Established(state) = &mut state {
                    state.relocate(session, ctx, path);
                }
                state
            },
            ctx,
        );
    }

    /// Replaces a Child SA now.
    pub(crate) fn rekey_child(&mut self, ctx: &mut Context<'_>, inbound_spi: EspSpi) {
        self.if_established(ctx, |state, session, ctx| state.rekey_child(session, ctx, inbound_spi));
    }

    /// Replaces the IKE SA now.
    pub(crate) fn rekey_ike(&mut self, ctx: &mut Context<'_>) {
        self.if_established(ctx, Established::rekey_ike);
    }

    /// Deletes a Child SA at both ends.
    pub(crate) fn close_child(&mut self, ctx: &mut Context<'_>, inbound_spi: EspSpi) {
        self.if_established(ctx, |state, session, ctx| state.close_child(session, ctx, inbound_spi));
    }

    /// Makes one more Child SA of the site.
    pub(crate) fn create_child(&mut self, ctx: &mut Context<'_>, child: usize) {
        self.if_established(ctx, |state, session, ctx| state.want_child(session, ctx, child));
    }

    fn if_established(
        &mut self,
        ctx: &mut Context<'_>,
        act: impl FnOnce(&mut Established, &Session, &mut Context<'_>),
    ) {
        self.step(
            |session, ctx, mut state| {
                if let State::Established(state) = &mut state {
                    act(state, session, ctx);
                }
                state
            },
            ctx,
        );
    }

    /// What a list that is at hand says against the certificates of a peer that is in.
    pub(crate) fn revoked(&self, config: &Config) -> Option<CertError> {
        if self.certificates.is_empty() || !matches!(self.state, State::Established(_) | State::Authenticating(_)) {
            return None;
        }
        let authorities = match &self.site {
            None => config.client_authorities.as_ref(),
            Some(site) => match &site.peer_auth {
                PeerAuth::Certificate(authorities) => Some(authorities),
                PeerAuth::Psk(_) | PeerAuth::RawKey(_) => None,
            },
        };
        authorities?.revoked(&self.certificates)
    }

    /// There are other lists of revoked certificates.
    pub(crate) fn lists_changed(&mut self, ctx: &mut Context<'_>) {
        if let Some(error) = self.revoked(ctx.config) {
            self.refuse(ctx, ExchangeType::IKE_AUTH, RefusalReason::Certificate(error));
            return self.close(ctx, CloseReason::Revoked);
        }
        self.step(
            |session, ctx, state| match state {
                State::AwaitingList(state) => state.lists_changed(session, ctx),
                other => other,
            },
            ctx,
        );
    }

    /// The EAP server's answer.
    pub(crate) fn eap_continue(&mut self, ctx: &mut Context<'_>, eap: EapStep) {
        self.step(
            |session, ctx, state| match state {
                State::Authenticating(state) => state.eap_continue(session, ctx, eap),
                other => other,
            },
            ctx,
        );
    }

    /// The client may come in.
    pub(crate) fn grant(&mut self, ctx: &mut Context<'_>, grant: Grant) {
        self.step(
            |session, ctx, state| match state {
                State::Authenticating(state) => state.grant(session, ctx, grant),
                other => other,
            },
            ctx,
        );
    }

    /// The client stays out.
    pub(crate) fn deny(&mut self, ctx: &mut Context<'_>, denial: Denial) {
        self.step(
            |session, ctx, state| match state {
                State::Authenticating(state) => state.deny(session, ctx, denial),
                other => other,
            },
            ctx,
        );
    }

    /// Ends the session from our side.
    pub(crate) fn close(&mut self, ctx: &mut Context<'_>, reason: CloseReason) {
        self.step(
            |session, ctx, state| match state {
                State::Established(state) => state.close(session, ctx, reason),
                State::Authenticating(state) => {
                    session.announce_end(ctx, reason);
                    state.fail(session, ctx, NotifyType::AUTHENTICATION_FAILED)
                }
                State::Initiating(_) => {
                    session.announce_end(ctx, reason);
                    State::Over
                }
                State::Proving(state) => state.close(session, ctx, reason),
                State::Closing(state) if reason != CloseReason::Shutdown || state.waits_for_peer() => {
                    State::Closing(state)
                }
                State::Closing(_) | State::HalfOpen(_) | State::AwaitingList(_) | State::Over => State::Over,
            },
            ctx,
        );
    }

    /// The peer has forgotten the session: nothing is sent.
    pub(crate) fn abandon(&mut self, ctx: &mut Context<'_>, reason: CloseReason) {
        self.end(ctx, reason);
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, ctx: &mut Context<'_>) {
        self.step(
            |session, ctx, state| match state {
                State::HalfOpen(state) if state.deadline <= ctx.now => {
                    ctx.shared.counters.half_open_expired += 1;
                    let reason = RefusalReason::TimedOut { waiting_for: "IKE_AUTH" };
                    session.refuse(ctx, ExchangeType::IKE_SA_INIT, reason);
                    State::Over
                }
                State::HalfOpen(mut state) => {
                    state.expire(ctx.now);
                    State::HalfOpen(state)
                }
                State::AwaitingList(state) => state.handle_timeout(session, ctx),
                State::Authenticating(state) => state.handle_timeout(session, ctx),
                State::Initiating(state) => state.handle_timeout(session, ctx),
                State::Proving(state) => state.handle_timeout(session, ctx),
                State::Established(state) => state.handle_timeout(session, ctx),
                State::Closing(state) => state.handle_timeout(session, ctx),
                other => other,
            },
            ctx,
        );
    }

    /// When [`Session::handle_timeout`] is due.
    pub(crate) fn timeout(&self, config: &Config) -> Option<Instant> {
        match &self.state {
            State::HalfOpen(state) => Some(state.timeout()),
            State::AwaitingList(state) => Some(state.timeout()),
            State::Authenticating(state) => Some(state.timeout()),
            State::Initiating(state) => Some(state.timeout()),
            State::Proving(state) => state.timeout(),
            State::Established(state) => state.timeout(self, config),
            State::Closing(state) => Some(state.timeout()),
            State::Over => None,
        }
    }

    /// Whether nothing is left of the session.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether whoever began here has not proven who it is: not yet, or in vain and a moment ago.
    pub(crate) fn is_half_open(&self) -> bool {
        match self.state {
            State::HalfOpen(_) | State::AwaitingList(_) | State::Authenticating(_) => true,
            State::Closing(_) => self.role == Role::Responder && self.established.is_none(),
            State::Initiating(_) | State::Proving(_) | State::Established(_) | State::Over => false,
        }
    }

    /// How many octets of messages are kept that are incomplete or wait for something else.
    pub(crate) fn kept(&self) -> usize {
        match &self.state {
            State::HalfOpen(state) => state.kept(),
            State::AwaitingList(state) => state.sa.kept().saturating_add(state.request.chain.len()),
            State::Authenticating(state) => state.sa.kept(),
            State::Proving(state) => state.sa.kept(),
            State::Established(state) => state.sa.kept(),
            State::Closing(state) => state.sa.kept(),
            State::Initiating(_) | State::Over => 0,
        }
    }

    /// Whether IKE_AUTH is done.
    pub(crate) fn is_established(&self) -> bool {
        matches!(self.state, State::Established(_))
    }

    /// When the first message came or went.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// The answer to IKE_SA_INIT, as long as a retransmission of the request may come.
    pub(crate) fn init_answer(&self, request: &[u8]) -> Option<Bytes> {
        match &self.state {
            State::HalfOpen(state) => state.answer_to(request),
            _ => None,
        }
    }

    /// Where the client is.
    pub(crate) fn path(&self) -> Path {
        self.path
    }

    /// Our SPIs of the IKE SAs.
    pub(crate) fn ike_spis(&self) -> Vec<IkeSpi> {
        match &self.state {
            State::HalfOpen(state) => vec![state.spis.responder],
            State::AwaitingList(state) => vec![state.sa.own_spi()],
            State::Authenticating(state) => vec![state.sa.own_spi()],
            State::Initiating(state) => vec![state.spi],
            State::Proving(state) => vec![state.sa.own_spi()],
            State::Established(state) => state.ike_spis(),
            State::Closing(state) => state.ike_spis(),
            State::Over => Vec::new(),
        }
    }

    /// A view for people.
    pub(crate) fn info(&self) -> SessionInfo {
        let (state, suite) = match &self.state {
            State::HalfOpen(state) => (SessionState::HalfOpen, Some(state.suite)),
            State::AwaitingList(state) => (SessionState::Authenticating, Some(state.sa.suite)),
            State::Authenticating(state) => (SessionState::Authenticating, Some(state.sa.suite)),
            State::Initiating(_) => (SessionState::Initiating, None),
            State::Proving(state) => (SessionState::Authenticating, Some(state.sa.suite)),
            State::Established(state) => (SessionState::Established, Some(state.sa.suite)),
            State::Closing(state) => (SessionState::Closing, Some(state.sa.suite)),
            State::Over => (SessionState::Closing, None),
        };
        let established = if let State::Established(state) = &self.state { Some(state) } else { None };
        SessionInfo {
            session: self.id,
            version: IkeVersion::V2,
            state,
            path: self.path,
            behind_nat: self.nat.peer_behind,
            identity: self.identity.clone(),
            by: self.by,
            ike_suite: suite.map(|suite| suite.to_string()).unwrap_or_default(),
            child_suite: established.and_then(|state| state.child_suite()).map(|suite| suite.to_string()),
            addresses: established.map(|state| state.addresses()).unwrap_or_default(),
            children: established.map(|state| state.child_infos()).unwrap_or_default(),
            since: self.since,
            last_heard: self.last_heard,
            site: self.site.as_ref().map(|site| site.name.clone()),
            role: self.role,
            precedence: self.precedence,
            mobike: self.mobility.is_agreed(),
            ppk: self.ppk,
            ike_rekey: established.and_then(|state| state.life.rekey_at()),
        }
    }

    /// Everything that a stranger must not be able to change, for tests.
    pub(crate) fn fingerprint(&self, hasher: &mut impl Hasher) {
        (self.id, self.path, self.since, self.last_heard, &self.identity, self.announced).hash(hasher);
        match &self.state {
            State::HalfOpen(state) => (0, state.spis, state.deadline).hash(hasher),
            State::Authenticating(state) => (1, state.sa.fingerprint(), state.timeout()).hash(hasher),
            State::Established(state) => (2, state.sa.fingerprint(), state.child_spis(), state.ike_spis()).hash(hasher),
            State::Closing(state) => (3, state.sa.fingerprint(), state.timeout()).hash(hasher),
            State::Initiating(state) => (5, state.fingerprint()).hash(hasher),
            State::Proving(state) => (6, state.sa.fingerprint(), state.timeout()).hash(hasher),
            State::AwaitingList(state) => (7, state.sa.fingerprint(), state.timeout()).hash(hasher),
            State::Over => 4.hash(hasher),
        }
    }

    /// Replaces the state by what `step` makes of it.
    fn step(&mut self, step: impl FnOnce(&mut Self, &mut Context<'_>, State) -> State, ctx: &mut Context<'_>) {
        let state = mem::replace(&mut self.state, State::Over);
        self.state = step(self, ctx, state);
    }

    /// Tells the server that something was refused.
    fn refuse(&self, ctx: &mut Context<'_>, exchange: ExchangeType, reason: RefusalReason) {
        debug!(session = %self.id, peer = %self.path.peer, exchange = %exchange, reason = reason.name(), "refused");
        ctx.shared.counters.refused += 1;
        ctx.shared.events.push_back(Event::Refused(Box::new(Refusal {
            path: self.path,
            session: Some(self.id),
            exchange,
            identity: self.identity.clone(),
            site: self.site.as_ref().map(|site| site.name.clone()),
            reason,
        })));
    }

    /// Tells the server that the session is over, if it knows of it.
    fn announce_end(&mut self, ctx: &mut Context<'_>, reason: CloseReason) {
        if mem::take(&mut self.announced) {
            ctx.shared.events.push_back(Event::Closed { session: self.id, reason });
        }
    }

    /// Ends the session without another word to the peer.
    fn end(&mut self, ctx: &mut Context<'_>, reason: CloseReason) {
        match mem::replace(&mut self.state, State::Over) {
            State::Established(mut state) => state.take_down_all(self.id, ctx),
            State::Proving(state) => state.release(ctx),
            _ => {}
        }
        self.announce_end(ctx, reason);
    }

    /// Answers the request that waits in `sa`.
    fn answer(&self, ctx: &mut Context<'_>, sa: &mut IkeSa, chain: ChainBuilder) {
        let messages = sa.answer(chain, &mut *ctx.shared.random);
        ctx.send(self.reply_path, messages);
    }

    /// Answers with one notification about the IKE SA or the exchange.
    fn answer_notify(&self, ctx: &mut Context<'_>, sa: &mut IkeSa, kind: NotifyType, data: &[u8]) {
        let mut chain = ChainBuilder::new();
        chain.push(&Payload::Notify(Notify::new(kind, data)));
        self.answer(ctx, sa, chain);
    }
}

impl State {
    /// Whether this state takes messages of this kind.
    fn takes(&self, exchange: ExchangeType, response: bool) -> bool {
        match (self, exchange) {
            (Self::HalfOpen(_) | Self::AwaitingList(_) | Self::Authenticating(_), ExchangeType::IKE_AUTH)
            | (Self::Authenticating(_), ExchangeType::INFORMATIONAL)
            | (Self::Closing(_), ExchangeType::CREATE_CHILD_SA) => !response,
            (Self::Proving(_) | Self::Closing(_), ExchangeType::IKE_AUTH) => response,
            (Self::Established(_), ExchangeType::CREATE_CHILD_SA)
            | (Self::Established(_) | Self::Closing(_), ExchangeType::INFORMATIONAL) => true,
            _ => false,
        }
    }

    /// Takes the answer to a request of ours.
    fn response(
        self,
        session: &mut Session,
        ctx: &mut Context<'_>,
        answer: (sa::Purpose, &Message),
        replaced: Option<IkeSpi>,
    ) -> Self {
        match self {
            Self::Proving(state) => state.answer(session, ctx, answer.1),
            Self::Established(state) => state.response(session, ctx, answer, replaced),
            Self::Closing(state) => state.response(session, ctx, answer.0, replaced),
            other => other,
        }
    }
}
