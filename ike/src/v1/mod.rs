//! The responder of IKEv1, RFC 2408 and 2409, for the native clients of L2TP/IPsec and XAUTH.
//!
//! ```text
//!  message 1           message 3            message 5                quick modes, informational exchanges
//!     |                    |                    |                         |
//!     v                    v                    v                         v
//!  First (ring) ----> Handshake ----------> Peer (session): ISAKMP SAs <-- joins: the next main mode of the same client
//!                                                           Child SAs
//! ```
//!
//! Everything is found by the pair of cookies; message IDs are those of one pair, since Windows counts from 1 in each. What
//! a stranger can begin is in the ring, which is bounded; a message that is not authentic changes nothing else.
//!
//! Does not: begin an exchange except DELETE, dead peer detection and XAUTH; new group mode; RSA encryption.

mod aggressive;
mod authentication;
mod children;
mod choice;
mod config;
mod dpd;
mod fragments;
mod informational;
mod keys;
mod main_mode;
mod mode_config;
mod natt;
mod peer;
mod phase1;
mod quick_mode;
mod ring;
mod selectors;
#[cfg(test)]
mod tests;
mod transaction;
mod vendor_ids;
mod xauth;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

pub use config::V1Config;
pub(crate) use peer::Peer;

use crate::config::Config;
use crate::event::{CloseReason, Path, SessionId, SessionInfo};
use crate::refusal::{Refusal, RefusalReason};
use crate::v2::Context;
use crate::wire::header::ExchangeType;
use crate::wire::v1::num::{NotifyType, PayloadType};
use crate::wire::v1::{Header, Payload};
use crate::wire::{IkeSpi, Malformed};

use aggressive::Aggressive;
use authentication::Authenticated;
use fragments::{Part, Reassembly};
use keys::Cookies;
use main_mode::{Done, Handshake, Unacceptable};
use peer::Joining;
use phase1::{Established, Phase1};
use ring::Ring;
use vendor_ids::Announced;

/// Handshakes of all clients that have got as far as Diffie-Hellman.
const MAX_HANDSHAKES: usize = 4096;

/// First messages that were refused and are remembered, so that each is refused once only.
const MAX_REMEMBERED: usize = 1024;

/// Longest lifetime of an ISAKMP SA beyond what the client proposes: it is the client that renews it.
const LIFETIME_MARGIN: std::time::Duration = std::time::Duration::from_secs(90);

/// A handshake that has got as far as Diffie-Hellman.
enum Begun {
    Main(Box<Handshake>),
    Aggressive(Box<Aggressive>),
}

impl Begun {
    fn cookies(&self) -> Cookies {
        match self {
            Self::Main(handshake) => handshake.cookies,
            Self::Aggressive(aggressive) => aggressive.cookies,
        }
    }

    fn path(&self) -> Path {
        match self {
            Self::Main(handshake) => handshake.path,
            Self::Aggressive(aggressive) => aggressive.path,
        }
    }

    fn deadline(&self) -> Instant {
        match self {
            Self::Main(handshake) => handshake.deadline,
            Self::Aggressive(aggressive) => aggressive.deadline,
        }
    }

    fn announced(&self) -> &Announced {
        match self {
            Self::Main(handshake) => &handshake.announced,
            Self::Aggressive(aggressive) => &aggressive.announced,
        }
    }

    fn exchange(&self) -> ExchangeType {
        match self {
            Self::Main(_) => ExchangeType::IDENTITY_PROTECTION,
            Self::Aggressive(_) => ExchangeType::AGGRESSIVE,
        }
    }

    /// What to say when its time is over; nothing if it was refused before.
    fn overdue(&self) -> Option<RefusalReason> {
        match self {
            Self::Main(handshake) if handshake.has_failed() => None,
            Self::Main(handshake) if handshake.looks_like_windows_behind_nat() => Some(RefusalReason::GatewayBehindNat),
            Self::Main(_) => Some(RefusalReason::TimedOut { waiting_for: "the fifth message of main mode" }),
            Self::Aggressive(aggressive) if aggressive.has_failed() => None,
            Self::Aggressive(_) => {
                Some(RefusalReason::TimedOut { waiting_for: "the third message of aggressive mode" })
            }
        }
    }
}

/// All IKEv1 clients of one endpoint.
#[derive(Default)]
pub(crate) struct Responder {
    ring: Ring,
    handshakes: BTreeMap<Cookies, Begun>,
    /// What finds a handshake of aggressive mode whose first message is sent again.
    initiators: BTreeMap<(IkeSpi, SocketAddr), Cookies>,
    /// When each of them runs out of time.
    deadlines: BTreeSet<(Instant, Cookies)>,
    /// Handshakes of each address.
    sources: BTreeMap<IpAddr, usize>,
    peers: BTreeMap<SessionId, Peer>,
    /// Whose an ISAKMP SA is.
    owners: BTreeMap<Cookies, SessionId>,
    timers: BTreeSet<(Instant, SessionId)>,
    armed: BTreeMap<SessionId, Instant>,
    reassembly: Reassembly,
    /// First messages that were refused, oldest first.
    refused: VecDeque<(IkeSpi, SocketAddr)>,
}

impl Responder {
    /// Takes a message of version 1.
    pub(crate) fn handle(&mut self, ctx: &mut Context<'_>, path: Path, message: &[u8], stopping: bool) {
        let header = match Header::parse(message) {
            Ok(header) if ctx.config.ikev1.is_some() => header,
            // AuthIP among them, which Windows tries on the same port.
            Ok(_) | Err(Malformed::ExchangeType) => return ctx.shared.counters.unexpected += 1,
            Err(_) => return ctx.shared.counters.malformed += 1,
        };
        let Some(responder) = header.responder_cookie else {
            if stopping {
                return ctx.shared.counters.unexpected += 1;
            }
            return self.first(ctx, path, &header, message);
        };
        let cookies = Cookies { initiator: header.initiator_cookie, responder };
        if header.next_payload == Some(PayloadType::FRAGMENT) {
            return self.fragment(ctx, cookies, path, (&header, message));
        }
        self.dispatch(ctx, cookies, path, (&header, message));
    }

    /// Takes a message of something that has begun.
    fn dispatch(&mut self, ctx: &mut Context<'_>, cookies: Cookies, path: Path, message: (&Header, &[u8])) {
        if let Some(id) = self.owners.get(&cookies).copied() {
            self.with_peer(ctx, id, |peer, ctx| peer.handle(ctx, cookies, path, message));
        } else if self.handshakes.contains_key(&cookies) {
            self.handshake(ctx, cookies, path, message);
        } else if self.ring.of(cookies).is_some() {
            self.third(ctx, cookies, path, message);
        } else {
            ctx.shared.counters.unknown_spi += 1;
        }
    }

    /// Collects a fragment of a message of something that has begun.
    fn fragment(&mut self, ctx: &mut Context<'_>, cookies: Cookies, path: Path, (header, message): (&Header, &[u8])) {
        let announced = match self.owners.get(&cookies).and_then(|id| self.peers.get(id)) {
            Some(peer) => peer.phase1s.iter().find(|phase1| phase1.cookies == cookies).map(|phase1| &phase1.announced),
            None => match self.handshakes.get(&cookies) {
                Some(begun) => Some(begun.announced()),
                None => self.ring.of(cookies).map(|first| &first.announced),
            },
        };
        if !announced.is_some_and(Announced::fragments) {
            return ctx.shared.counters.unexpected += 1;
        }
        let Ok(payloads) = main_mode::plain_payloads(header, message) else {
            return ctx.shared.counters.malformed += 1;
        };
        let Some(Payload::Fragment(fragment)) = payloads.iter().next() else { return };
        let part = Part { id: fragment.id, number: fragment.number, is_last: fragment.is_last, data: fragment.data };
        let Some(whole) = self.reassembly.push(ctx.now, cookies, &part) else { return };
        match Header::parse(&whole) {
            Ok(inner)
                if inner.initiator_cookie == cookies.initiator
                    && inner.responder_cookie == Some(cookies.responder)
                    && inner.next_payload != Some(PayloadType::FRAGMENT) =>
            {
                self.dispatch(ctx, cookies, path, (&inner, &whole));
            }
            _ => ctx.shared.counters.malformed += 1,
        }
    }

    /// Takes the first message of phase 1.
    fn first(&mut self, ctx: &mut Context<'_>, path: Path, header: &Header, message: &[u8]) {
        let Some(config) = ctx.config.ikev1.clone() else { return };
        if header.message_id != 0 || header.flags.encryption {
            return ctx.shared.counters.unexpected += 1;
        }
        if let Some(first) = self.ring.of_sender(header.initiator_cookie, path.peer) {
            if first.digest == crate::crypto::hash::Hash::Sha256.digest(&[message]) {
                ctx.shared.counters.retransmissions_answered += 1;
                let answer = first.answer.clone();
                return ctx.transmit(path, answer);
            }
            return ctx.shared.counters.unexpected += 1;
        }
        let sender = (header.initiator_cookie, path.peer);
        if self.refused.contains(&sender) {
            return ctx.shared.counters.unexpected += 1;
        }
        if self.peers.len() >= ctx.config.limits.sessions {
            return ctx.shared.counters.overload_dropped += 1;
        }
        let result = match header.exchange {
            ExchangeType::IDENTITY_PROTECTION => main_mode::first(ctx, &config, path, (header, message)),
            ExchangeType::AGGRESSIVE => return self.aggressive_first(ctx, &config, path, (header, message)),
            _ => return ctx.shared.counters.unexpected += 1,
        };
        match result {
            Ok(first) => {
                ctx.transmit(path, first.answer.clone());
                self.ring.insert(first);
            }
            Err(unacceptable) => self.refuse_first(ctx, path, header, unacceptable),
        }
    }

    /// Takes the first message of aggressive mode.
    fn aggressive_first(
        &mut self,
        ctx: &mut Context<'_>,
        config: &V1Config,
        path: Path,
        (header, message): (&Header, &[u8]),
    ) {
        if !config.xauth || !config.aggressive {
            let reason = RefusalReason::AggressiveDisabled;
            return self.refuse_first(ctx, path, header, Unacceptable { reason, notify: None });
        }
        let known = self.initiators.get(&(header.initiator_cookie, path.peer));
        if let Some(Begun::Aggressive(aggressive)) = known.and_then(|cookies| self.handshakes.get(cookies)) {
            return answer_again(ctx, path, aggressive.again(message));
        }
        if self.is_full(ctx.config, path.peer.ip()) {
            return ctx.shared.counters.overload_dropped += 1;
        }
        match Aggressive::begin(ctx, config, path, (header, message)) {
            Ok(aggressive) => {
                ctx.transmit(path, aggressive.answer());
                self.put_handshake(Begun::Aggressive(Box::new(aggressive)));
            }
            Err(unacceptable) => self.refuse_first(ctx, path, header, unacceptable),
        }
    }

    /// Refuses a first message, once.
    fn refuse_first(&mut self, ctx: &mut Context<'_>, path: Path, header: &Header, unacceptable: Unacceptable) {
        if self.refused.len() == MAX_REMEMBERED {
            self.refused.pop_front();
        }
        self.refused.push_back((header.initiator_cookie, path.peer));
        if let Some(kind) = unacceptable.notify {
            let cookies = Cookies { initiator: header.initiator_cookie, responder: ctx.new_ike_spi() };
            let notify = main_mode::unprotected(cookies, kind, &mut *ctx.shared.random);
            ctx.transmit(path, notify);
        }
        refuse_stranger(ctx, path, header.exchange, unacceptable.reason);
    }

    /// Takes the third message, from the address that has sent the first.
    fn third(&mut self, ctx: &mut Context<'_>, cookies: Cookies, path: Path, message: (&Header, &[u8])) {
        let (header, _) = message;
        let is_same = self.ring.of(cookies).is_some_and(|first| first.peer.ip() == path.peer.ip());
        let is_plain = header.exchange == ExchangeType::IDENTITY_PROTECTION && !header.flags.encryption;
        if !is_same || !is_plain || header.message_id != 0 {
            return ctx.shared.counters.unexpected += 1;
        }
        if self.is_full(ctx.config, path.peer.ip()) {
            return ctx.shared.counters.overload_dropped += 1;
        }
        let (Some(first), Some(config)) = (self.ring.take(cookies), ctx.config.ikev1.clone()) else { return };
        match Handshake::third(ctx, &config, first, path, message) {
            Ok(handshake) => {
                ctx.transmit(path, handshake.answer());
                self.put_handshake(Begun::Main(Box::new(handshake)));
            }
            Err(reason) => refuse_stranger(ctx, path, header.exchange, reason),
        }
    }

    /// Takes a message of a handshake.
    fn handshake(&mut self, ctx: &mut Context<'_>, cookies: Cookies, path: Path, message: (&Header, &[u8])) {
        let (header, _) = message;
        match self.handshakes.get(&cookies) {
            Some(begun) if begun.exchange() == header.exchange && header.message_id == 0 => {}
            _ => return ctx.shared.counters.unexpected += 1,
        }
        match self.handshakes.get_mut(&cookies) {
            Some(Begun::Main(_)) => self.main_mode(ctx, cookies, path, message),
            Some(Begun::Aggressive(_)) => self.aggressive_third(ctx, cookies, path, message),
            None => {}
        }
    }

    /// Takes a message of main mode: the third again, or the fifth.
    fn main_mode(&mut self, ctx: &mut Context<'_>, cookies: Cookies, path: Path, message: (&Header, &[u8])) {
        let (header, bytes) = message;
        let Some(Begun::Main(handshake)) = self.handshakes.get_mut(&cookies) else { return };
        if !header.flags.encryption {
            return answer_again(ctx, path, handshake.again(bytes));
        }
        let is_first_try = !handshake.has_failed();
        match handshake.fifth(ctx, path, message) {
            Ok(Some(authenticated)) => {
                if let Some(Begun::Main(handshake)) = self.take_handshake(cookies) {
                    self.established(ctx, handshake.done(authenticated, path, bytes));
                }
            }
            Ok(None) => ctx.shared.counters.unexpected += 1,
            Err(reason) => self.failed(ctx, cookies, path, header.exchange, reason, is_first_try),
        }
    }

    /// Takes a message of aggressive mode: the first again (which has our cookie by mistake) or the third.
    fn aggressive_third(&mut self, ctx: &mut Context<'_>, cookies: Cookies, path: Path, message: (&Header, &[u8])) {
        let (header, bytes) = message;
        let Some(Begun::Aggressive(aggressive)) = self.handshakes.get_mut(&cookies) else { return };
        let is_first_try = !aggressive.has_failed();
        match aggressive.third(path, header, bytes) {
            Ok(verified) => {
                if let Some(Begun::Aggressive(aggressive)) = self.take_handshake(cookies) {
                    self.established(ctx, aggressive.done(verified, path, bytes));
                }
            }
            Err(reason) => self.failed(ctx, cookies, path, header.exchange, reason, is_first_try),
        }
    }

    /// The client did not prove who it is. The right message may still come: this one may be forged.
    fn failed(
        &self,
        ctx: &mut Context<'_>,
        cookies: Cookies,
        path: Path,
        exchange: ExchangeType,
        reason: RefusalReason,
        is_first_try: bool,
    ) {
        if !is_first_try {
            return ctx.shared.counters.forged += 1;
        }
        // Both sides have no key in common, so there is no other way to say it than this.
        let kind = NotifyType::PAYLOAD_MALFORMED;
        let notify = main_mode::unprotected(cookies, kind, &mut *ctx.shared.random);
        ctx.transmit(path, notify);
        refuse_stranger(ctx, path, exchange, reason);
    }

    fn take_handshake(&mut self, cookies: Cookies) -> Option<Begun> {
        let begun = self.handshakes.remove(&cookies)?;
        self.deadlines.remove(&(begun.deadline(), cookies));
        self.reassembly.forget(cookies);
        self.initiators.remove(&(cookies.initiator, begun.path().peer));
        let source = begun.path().peer.ip();
        if let Some(count) = self.sources.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
        Some(begun)
    }

    fn put_handshake(&mut self, begun: Begun) {
        let cookies = begun.cookies();
        *self.sources.entry(begun.path().peer.ip()).or_default() += 1;
        self.deadlines.insert((begun.deadline(), cookies));
        if matches!(begun, Begun::Aggressive(_)) {
            self.initiators.insert((cookies.initiator, begun.path().peer), cookies);
        }
        self.handshakes.insert(cookies, begun);
    }

    /// Whether there is no room for one more handshake of this address.
    fn is_full(&self, config: &Config, source: IpAddr) -> bool {
        let of_source = self.sources.get(&source).copied().unwrap_or(0);
        self.handshakes.len() >= MAX_HANDSHAKES || of_source >= config.limits.cookie_threshold_per_source
    }

    /// Phase 1 is done: a new session, or a new ISAKMP SA of one that is there.
    fn established(&mut self, ctx: &mut Context<'_>, done: Done) {
        let Done { cookies, path, suite, announced, nat, since, lifetime, digest, authenticated } = done;
        let Authenticated { identity, id, by, certificates, initial_contact, keys, iv, answer } = authenticated;
        let max = ctx.config.ikev1.as_ref().map_or(lifetime, |config| config.max_lifetime);
        for part in answer.clone() {
            ctx.transmit(path, part);
        }
        let expires = ctx.now + lifetime.min(max) + LIFETIME_MARGIN;
        let last = (digest, answer);
        let established = Established { cookies, suite, keys, iv, announced, nat, since, expires, last };
        let phase1 = Phase1::new(established, &mut *ctx.shared.random);
        let is_xauth = choice::is_xauth(suite.auth);
        let joining = Joining { path, identity, id_body: id, by, certificates, is_xauth, phase1 };
        let known = self.peers.values().find(|peer| peer.is(&joining)).map(|peer| peer.id);
        match known {
            Some(id) if !initial_contact => self.with_peer(ctx, id, |peer, ctx| peer.join(ctx, joining)),
            known => {
                if let Some(id) = known {
                    self.with_peer(ctx, id, |peer, ctx| peer.abandon(ctx, CloseReason::Replaced));
                }
                let id = ctx.new_session_id();
                let peer = Peer::new(ctx, id, joining);
                self.settle(ctx, peer, &[]);
            }
        }
    }

    /// INITIAL-CONTACT came after phase 1: other sessions of the same client are stale. A neighbour behind the same NAT
    /// has another port, even if it has the same private address and thus the same name.
    fn initial_contact(&mut self, ctx: &mut Context<'_>, of: SessionId) {
        let Some(peer) = self.peers.get(&of) else { return };
        let is_stale = |other: &&Peer| other.id != of && other.is_from(peer.path) && other.id_body == peer.id_body;
        let stale: Vec<SessionId> = self.peers.values().filter(is_stale).map(|other| other.id).collect();
        for id in stale {
            self.with_peer(ctx, id, |peer, ctx| peer.abandon(ctx, CloseReason::Replaced));
        }
    }

    /// There are other lists of revoked certificates: sessions whose certificate is on one end.
    pub(crate) fn lists_changed(&mut self, ctx: &mut Context<'_>) {
        let Some(authorities) = ctx.config.client_authorities.clone() else { return };
        let found = self.peers.values().filter_map(|peer| Some((peer.id, authorities.revoked(&peer.certificates)?)));
        let revoked: Vec<_> = found.collect();
        for (id, error) in revoked {
            self.with_peer(ctx, id, |peer, ctx| {
                peer.refuse(ctx, ExchangeType::IDENTITY_PROTECTION, RefusalReason::Certificate(error));
                peer.close(ctx, CloseReason::Revoked);
            });
        }
    }

    /// Runs one step of a session, and keeps the indexes in step with it.
    pub(crate) fn with_peer(
        &mut self,
        ctx: &mut Context<'_>,
        id: SessionId,
        step: impl FnOnce(&mut Peer, &mut Context<'_>),
    ) {
        let Some(mut peer) = self.peers.remove(&id) else { return };
        let before = peer.cookies();
        step(&mut peer, ctx);
        let has_initial_contact = std::mem::take(&mut peer.has_initial_contact);
        self.settle(ctx, peer, &before);
        if has_initial_contact {
            self.initial_contact(ctx, id);
        }
    }

    fn settle(&mut self, ctx: &Context<'_>, peer: Peer, before: &[Cookies]) {
        let (id, after) = (peer.id, peer.cookies());
        for gone in before.iter().filter(|cookies| !after.contains(cookies)) {
            self.owners.remove(gone);
            self.reassembly.forget(*gone);
        }
        self.owners.extend(after.into_iter().map(|cookies| (cookies, id)));
        let due = if peer.is_over() { None } else { peer.timeout(ctx.config) };
        if let Some(old) = self.armed.remove(&id) {
            self.timers.remove(&(old, id));
        }
        if let Some(due) = due {
            self.armed.insert(id, due);
            self.timers.insert((due, id));
        }
        if !peer.is_over() {
            self.peers.insert(id, peer);
        }
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, ctx: &mut Context<'_>) {
        ctx.shared.counters.half_open_expired += self.ring.expire(ctx.now);
        self.reassembly.expire(ctx.now);
        while let Some((due, cookies)) = self.deadlines.first().copied() {
            if due > ctx.now {
                break;
            }
            let Some(begun) = self.take_handshake(cookies) else { break };
            ctx.shared.counters.half_open_expired += 1;
            if let Some(waiting_for) = begun.overdue() {
                refuse_stranger(ctx, begun.path(), begun.exchange(), waiting_for);
            }
        }
        while let Some((due, id)) = self.timers.first().copied() {
            if due > ctx.now {
                break;
            }
            self.timers.pop_first();
            self.armed.remove(&id);
            self.with_peer(ctx, id, Peer::handle_timeout);
        }
    }

    /// When [`Responder::handle_timeout`] is due.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        let session = self.timers.first().map(|(due, _)| *due);
        let handshake = self.deadlines.first().map(|(due, _)| *due);
        [session, handshake, self.ring.timeout(), self.reassembly.timeout()].into_iter().flatten().min()
    }

    /// Ends all sessions.
    pub(crate) fn close_all(&mut self, ctx: &mut Context<'_>) {
        let ids: Vec<SessionId> = self.peers.keys().copied().collect();
        for id in ids {
            self.with_peer(ctx, id, |peer, ctx| peer.close(ctx, CloseReason::Shutdown));
        }
        let handshakes: Vec<Cookies> = self.handshakes.keys().copied().collect();
        for cookies in handshakes {
            self.take_handshake(cookies);
        }
        self.ring = Ring::default();
        self.reassembly = Reassembly::default();
    }

    /// Whether a session is one of IKEv1.
    pub(crate) fn has(&self, id: SessionId) -> bool {
        self.peers.contains_key(&id)
    }

    /// A view of one session.
    pub(crate) fn session(&self, id: SessionId) -> Option<SessionInfo> {
        self.peers.get(&id).map(Peer::info)
    }

    /// All sessions.
    pub(crate) fn snapshot(&self) -> impl Iterator<Item = SessionInfo> {
        self.peers.values().map(Peer::info)
    }

    /// Handshakes that are not done.
    pub(crate) fn half_open(&self) -> usize {
        self.ring.len() + self.handshakes.len()
    }

    /// Number of sessions.
    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Everything that a stranger must not be able to change, for tests: all but the ring.
    pub(crate) fn fingerprint(&self, hasher: &mut impl Hasher) {
        for peer in self.peers.values() {
            peer.fingerprint(hasher);
        }
        for (cookies, handshake) in &self.handshakes {
            (cookies, handshake.deadline(), handshake.path()).hash(hasher);
        }
        for cookies in self.ring.cookies() {
            cookies.hash(hasher);
        }
        hasher.write_usize(self.owners.len());
        hasher.write_usize(self.timers.len());
    }
}

/// Answers a message that came before, if this is that message.
fn answer_again(ctx: &mut Context<'_>, path: Path, answer: Option<bytes::Bytes>) {
    match answer {
        Some(answer) => {
            ctx.shared.counters.retransmissions_answered += 1;
            ctx.transmit(path, answer);
        }
        None => ctx.shared.counters.unexpected += 1,
    }
}

fn refuse_stranger(ctx: &mut Context<'_>, path: Path, exchange: ExchangeType, reason: RefusalReason) {
    peer::refuse(ctx, Refusal { path, session: None, exchange, identity: None, site: None, reason });
}
