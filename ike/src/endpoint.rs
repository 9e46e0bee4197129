//! All IKE SAs of one shard: finds the session of a message, bounds what strangers can begin, and keeps the time.
//!
//! Does not: read payloads (see [`v2`](crate::v2)), send, or know the time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cert::UnixTime;
use crate::config::Config;
use crate::crypto::hash::Hash;
use crate::crypto::random::Random;
use crate::event::{CloseReason, Counters, Denial, EapStep, Event, Grant, Path, SessionId, SessionInfo, Transmit};
use crate::refusal::{Refusal, RefusalReason};
use crate::site::Site;
use crate::v1::{Peer, Responder};
use crate::v2::cookie::CookieJar;
use crate::v2::fragments::Kept;
use crate::v2::init::{self, Load};
use crate::v2::{Context, Session, Shared};
use crate::wire::header::{Flags, Header, Version};
use crate::wire::num::{ExchangeType, NotifyType};
use crate::wire::v2::{MessageBuilder, Notify, Payload};

/// Messages of a future major version are answered once in this time.
const VERSION_ANSWER_INTERVAL: Duration = Duration::from_secs(1);

/// All IKE SAs of one shard.
pub struct Endpoint {
    config: Arc<Config>,
    shared: Shared,
    sessions: BTreeMap<SessionId, Session>,
    v1: Responder,
    /// Requests of IKE_SA_INIT that were answered, by sender and digest, as long as their sessions last.
    answered: BTreeMap<(Path, Vec<u8>), SessionId>,
    /// The key of each of them.
    answered_keys: BTreeMap<SessionId, (Path, Vec<u8>)>,
    /// Number of half-open sessions of each source, and where each one counts.
    sources: BTreeMap<IpAddr, usize>,
    half_open: BTreeMap<SessionId, IpAddr>,
    timers: BTreeSet<(Instant, SessionId)>,
    armed: BTreeMap<SessionId, Instant>,
    cookies: CookieJar,
    version_answered: Option<Instant>,
    stopping: bool,
}

impl Endpoint {
    /// An endpoint without sessions.
    #[must_use]
    pub fn new(config: Arc<Config>, random: Box<dyn Random + Send>) -> Self {
        let shared = Shared {
            random,
            wall: UnixTime::from_secs(0),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            next_session: 1,
            ike_spis: BTreeMap::new(),
            esp_spis: BTreeSet::new(),
            authenticated: None,
            connected: BTreeMap::new(),
            kept: Kept::default(),
        };
        Self {
            config,
            shared,
            sessions: BTreeMap::new(),
            v1: Responder::default(),
            answered: BTreeMap::new(),
            answered_keys: BTreeMap::new(),
            sources: BTreeMap::new(),
            half_open: BTreeMap::new(),
            timers: BTreeSet::new(),
            armed: BTreeMap::new(),
            cookies: CookieJar::default(),
            version_answered: None,
            stopping: false,
        }
    }

    /// Takes an IKE message, without the non-ESP marker of port 4500.
    pub fn handle_datagram(&mut self, now: Instant, wall: UnixTime, path: Path, message: &[u8]) {
        self.shared.wall = wall;
        self.shared.counters.received += 1;
        if Version::peek(message).is_some_and(|version| version.major == Version::V1.major) {
            let ctx = &mut Context { config: &self.config, shared: &mut self.shared, now };
            return self.v1.handle(ctx, path, message, self.stopping);
        }
        let Ok(header) = Header::parse_any_version(message) else {
            self.shared.counters.malformed += 1;
            return;
        };
        match header.version.major {
            2 => self.handle_v2(now, path, &header, message),
            0 => self.shared.counters.unexpected += 1,
            major => self.answer_future_version(now, path, &header, major),
        }
    }

    fn handle_v2(&mut self, now: Instant, path: Path, header: &Header, message: &[u8]) {
        if !header.exchange.exists_in(Version::V2) {
            self.shared.counters.unexpected += 1;
            return;
        }
        // The peer is not the original initiator of an IKE SA that we have rekeyed: our SPI comes first there.
        let own_spi = if header.flags.initiator { header.responder_spi } else { Some(header.initiator_spi) };
        let Some(spi) = own_spi else { return self.handle_init(now, path, header, message) };
        match self.shared.ike_spis.get(&spi).copied() {
            Some(id) => self.with_session(now, id, |session, ctx| session.handle(ctx, path, header, message)),
            None => self.shared.counters.unknown_spi += 1,
        }
    }

    fn handle_init(&mut self, now: Instant, path: Path, header: &Header, message: &[u8]) {
        let Flags { initiator, response, .. } = header.flags;
        let is_init = header.exchange == ExchangeType::IKE_SA_INIT && header.message_id == 0;
        if !is_init || !initiator || response || self.stopping {
            self.shared.counters.unexpected += 1;
            return;
        }
        let key = (path, Hash::Sha256.digest(&[message]));
        if let Some(id) = self.answered.get(&key).copied() {
            return self.repeat_init_answer(id, path, message);
        }
        let load = self.load(path.peer.ip());
        let id = SessionId(self.shared.next_session);
        let mut ctx = Context { config: &self.config, shared: &mut self.shared, now };
        let Some(session) = init::handle(&mut ctx, &mut self.cookies, load, path, (header, message), id) else {
            return;
        };
        self.shared.next_session += 1;
        self.answered.insert(key.clone(), id);
        self.answered_keys.insert(id, key);
        self.settle(id, session, &[]);
    }

    /// The same request again gets the same answer, unless the client has gone on since: then it is a late copy.
    fn repeat_init_answer(&mut self, id: SessionId, path: Path, message: &[u8]) {
        match self.sessions.get(&id).and_then(|session| session.init_answer(message)) {
            Some(payload) => {
                self.shared.counters.retransmissions_answered += 1;
                self.shared.transmits.push_back(Transmit { path, payload });
            }
            None => self.shared.counters.unexpected += 1,
        }
    }

    /// What a new handshake from `source` has to face.
    fn load(&self, source: IpAddr) -> Load {
        let limits = &self.config.limits;
        let of_source = self.sources.get(&source_of(source)).copied().unwrap_or(0);
        if self.half_open.len() >= limits.half_open || self.sessions.len() >= limits.sessions {
            Load::Full
        } else if self.half_open.len() >= limits.cookie_threshold || of_source >= limits.cookie_threshold_per_source {
            Load::Cookies
        } else {
            Load::Normal
        }
    }

    /// INVALID_MAJOR_VERSION, RFC 7296 section 2.5: unprotected, to requests only, and not often.
    fn answer_future_version(&mut self, now: Instant, path: Path, header: &Header, major: u8) {
        let recent = |at: Instant| now.saturating_duration_since(at) < VERSION_ANSWER_INTERVAL;
        if header.flags.response || self.version_answered.is_some_and(recent) {
            self.shared.counters.unexpected += 1;
            return;
        }
        self.version_answered = Some(now);
        let flags = Flags { initiator: !header.flags.initiator, version: false, response: true };
        let mut answer = MessageBuilder::new(&Header { version: Version::V2, flags, ..*header });
        answer.push(&Payload::Notify(Notify::new(NotifyType::INVALID_MAJOR_VERSION, &[Version::V2.major])));
        let payload = answer.finish().expect("one notification is short").into();
        self.shared.transmits.push_back(Transmit { path, payload });
        self.shared.counters.refused += 1;
        let reason = RefusalReason::MajorVersion(major);
        let refusal = Refusal { path, session: None, exchange: header.exchange, identity: None, site: None, reason };
        self.shared.events.push_back(Event::Refused(Box::new(refusal)));
    }

    /// Does what is due. Calling it earlier does nothing.
    pub fn handle_timeout(&mut self, now: Instant, wall: UnixTime) {
        self.shared.wall = wall;
        while let Some((due, id)) = self.timers.first().copied() {
            if due > now {
                break;
            }
            self.timers.pop_first();
            self.armed.remove(&id);
            self.with_session(now, id, Session::handle_timeout);
        }
        self.v1.handle_timeout(&mut Context { config: &self.config, shared: &mut self.shared, now });
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let transmit = self.shared.transmits.pop_front()?;
        self.shared.counters.sent += 1;
        Some(transmit)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.shared.events.pop_front()
    }

    /// When [`Endpoint::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due).into_iter().chain(self.v1.timeout()).min()
    }

    /// Authorities were given other lists of revoked certificates: logins that wait for one go on, see
    /// [`Timing::revocation_list`](crate::Timing::revocation_list), and sessions whose certificate is on a list end.
    pub fn lists_changed(&mut self, now: Instant, wall: UnixTime) {
        self.shared.wall = wall;
        let concerns = |session: &Session| session.is_half_open() || session.revoked(&self.config).is_some();
        let ids: Vec<SessionId> = self.sessions.iter().filter(|(_, s)| concerns(s)).map(|(&id, _)| id).collect();
        for id in ids {
            self.with_session(now, id, Session::lists_changed);
        }
        self.v1.lists_changed(&mut Context { config: &self.config, shared: &mut self.shared, now });
    }

    /// Answers [`Event::Eap`]. Ignored if the session does not wait for it.
    pub fn eap_continue(&mut self, now: Instant, session: SessionId, step: EapStep) {
        self.with_session(now, session, |session, ctx| session.eap_continue(ctx, step));
    }

    /// Answers [`Event::XAuth`]: whether name and password are right. Ignored if the session does not wait for it.
    pub fn xauth_continue(&mut self, now: Instant, session: SessionId, accepted: bool) {
        self.with_v1(now, session, |peer, ctx| peer.xauth_continue(ctx, accepted));
    }

    /// A view of one session, half-open or not.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<SessionInfo> {
        self.sessions.get(&id).map(Session::info).or_else(|| self.v1.session(id))
    }

    /// Answers [`Event::Authenticated`]: the client comes in. Ignored if the session does not wait for it.
    pub fn grant(&mut self, now: Instant, session: SessionId, grant: Grant) {
        if self.v1.has(session) {
            return self.with_v1(now, session, |peer, ctx| peer.granted(ctx, grant));
        }
        self.with_session(now, session, |session, ctx| session.grant(ctx, grant));
    }

    /// Answers [`Event::Authenticated`]: the client stays out. Ignored if the session does not wait for it.
    pub fn deny(&mut self, now: Instant, session: SessionId, denial: Denial) {
        if self.v1.has(session) {
            return self.with_v1(now, session, |peer, ctx| peer.deny(ctx, denial));
        }
        self.with_session(now, session, |session, ctx| session.deny(ctx, denial));
    }

    /// Authentic ESP was heard from the client, which proves that it lives.
    pub fn note_inbound(&mut self, now: Instant, session: SessionId) {
        if self.v1.has(session) {
            return self.with_v1(now, session, |peer, ctx| peer.note_inbound(ctx.now));
        }
        self.with_session(now, session, |session, ctx| session.note_inbound(ctx.now));
    }

    /// Replaces a Child SA now: the packet path has nearly used it up, or somebody asks for it.
    pub fn rekey_child(&mut self, now: Instant, session: SessionId, inbound_spi: crate::wire::EspSpi) {
        self.with_session(now, session, |session, ctx| session.rekey_child(ctx, inbound_spi));
    }

    /// Begins an IKE SA with a site, along `path`; IKE_AUTH makes the first of `children`, CREATE_CHILD_SA the others. They
    /// count from 0 in [`Site::children`].
    ///
    /// It ends with [`Event::Established`] or with [`Event::Closed`].
    pub fn initiate(
        &mut self,
        now: Instant,
        wall: UnixTime,
        site: &Arc<Site>,
        path: Path,
        children: &[usize],
    ) -> SessionId {
        self.shared.wall = wall;
        let id = SessionId(self.shared.next_session);
        self.shared.next_session += 1;
        if self.stopping {
            self.shared.events.push_back(Event::Closed { session: id, reason: CloseReason::Shutdown });
            return id;
        }
        let mut ctx = Context { config: &self.config, shared: &mut self.shared, now };
        let session = Session::initiate(id, &mut ctx, site.clone(), path, children.to_vec());
        self.settle(id, session, &[]);
        id
    }

    /// Makes one more Child SA of the session's site, the one at this place of [`Site::children`]. It ends with
    /// [`Event::ChildUp`] or [`Event::ChildFailed`], and does nothing if the tunnel is there. The site is the one that the session was begun with.
    pub fn create_child(&mut self, now: Instant, session: SessionId, child: usize) {
        self.with_session(now, session, |session, ctx| session.create_child(ctx, child));
    }

    /// Deletes a Child SA at both ends.
    pub fn close_child(&mut self, now: Instant, session: SessionId, inbound_spi: crate::wire::EspSpi) {
        self.with_session(now, session, |session, ctx| session.close_child(ctx, inbound_spi));
    }

    /// Replaces the IKE SA now.
    pub fn rekey_ike(&mut self, now: Instant, session: SessionId) {
        self.with_session(now, session, Session::rekey_ike);
    }

    /// Moves a session that we began to other addresses (MOBIKE, RFC 4555 section 3.5): at once here, and at the peer as soon
    /// as it has heard of it. Ignored unless [`SessionInfo::mobike`] says that the peer takes part in this.
    pub fn relocate(&mut self, now: Instant, session: SessionId, path: Path) {
        self.with_session(now, session, |session, ctx| session.relocate(ctx, path));
    }

    /// The packet path saw authentic ESP from a new address. Whether the session goes there, and its Child SAs have to: an
    /// [`Event::Moved`] does not follow.
    #[must_use]
    pub fn peer_moved(&mut self, now: Instant, session: SessionId, path: Path) -> bool {
        let mut follows = false;
        if self.v1.has(session) {
            self.with_v1(now, session, |peer, ctx| {
                peer.peer_moved(ctx, path);
                follows = true;
            });
        } else {
            self.with_session(now, session, |session, ctx| follows = session.peer_moved(ctx, path));
        }
        follows
    }

    /// Ends a session: its Child SAs go down at once, the client is told.
    pub fn close(&mut self, now: Instant, session: SessionId, reason: CloseReason) {
        if self.v1.has(session) {
            return self.with_v1(now, session, |peer, ctx| peer.close(ctx, reason));
        }
        self.with_session(now, session, |session, ctx| session.close(ctx, reason));
    }

    /// Ends all sessions and takes no new ones. All clients have answered, or will not, once
    /// [`Endpoint::poll_timeout`] is `None`.
    pub fn close_all(&mut self, now: Instant) {
        self.stopping = true;
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        for id in ids {
            self.with_session(now, id, |session, ctx| session.close(ctx, CloseReason::Shutdown));
        }
        self.v1.close_all(&mut Context { config: &self.config, shared: &mut self.shared, now });
    }

    /// Replaces the configuration. Sessions keep what they have negotiated.
    pub fn reconfigure(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// All sessions, half-open ones included.
    #[must_use]
    pub fn snapshot(&self) -> Vec<SessionInfo> {
        self.sessions.values().map(Session::info).chain(self.v1.snapshot()).collect()
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let (half_open, all) = (self.half_open.len() as u64, self.sessions.len() as u64);
        let sessions = self.sessions.values().filter(|session| session.is_established()).count() as u64;
        debug_assert!(half_open + sessions <= all);
        let (half_open, sessions) = (half_open + self.v1.half_open() as u64, sessions + self.v1.len() as u64);
        Counters { half_open, sessions, ..self.shared.counters }
    }

    /// How many SPIs of IKE SAs and of Child SAs are in use, IKEv1 not counted.
    #[doc(hidden)]
    #[must_use]
    pub fn spis_in_use(&self) -> (usize, usize) {
        (self.shared.ike_spis.len(), self.shared.esp_spis.len())
    }

    /// A digest of everything that a stranger's datagram must leave as it is.
    #[doc(hidden)]
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for session in self.sessions.values() {
            session.fingerprint(&mut hasher);
        }
        self.v1.fingerprint(&mut hasher);
        hasher.write_usize(self.shared.ike_spis.len());
        hasher.write_usize(self.shared.esp_spis.len());
        hasher.write_usize(self.answered.len());
        hasher.write_usize(self.timers.len());
        hasher.finish()
    }

    /// Runs one step of an IKEv1 session.
    fn with_v1(&mut self, now: Instant, id: SessionId, step: impl FnOnce(&mut Peer, &mut Context<'_>)) {
        let ctx = &mut Context { config: &self.config, shared: &mut self.shared, now };
        self.v1.with_peer(ctx, id, step);
    }

    /// Runs one step of a session, and then does what follows from it for all.
    fn with_session(&mut self, now: Instant, id: SessionId, step: impl FnOnce(&mut Session, &mut Context<'_>)) {
        let Some(mut session) = self.sessions.remove(&id) else { return };
        let before = session.ike_spis();
        step(&mut session, &mut Context { config: &self.config, shared: &mut self.shared, now });
        self.settle(id, session, &before);
        self.announce_authenticated(now);
    }

    /// Keeps the indexes in step with the session, and the session itself unless it is over.
    fn settle(&mut self, id: SessionId, session: Session, before: &[crate::wire::IkeSpi]) {
        let after = session.ike_spis();
        for gone in before.iter().filter(|spi| !after.contains(spi)) {
            self.shared.ike_spis.remove(gone);
        }
        self.shared.ike_spis.extend(after.into_iter().map(|spi| (spi, id)));
        if session.is_half_open() {
            self.count_half_open(id, session.path().peer.ip());
        } else {
            self.forget_half_open(id);
        }
        match session.site().filter(|_| session.is_established()) {
            Some(site) => drop(self.shared.connected.insert(id, site.name.clone())),
            None => drop(self.shared.connected.remove(&id)),
        }
        if session.is_over()
            && let Some(key) = self.answered_keys.remove(&id)
        {
            self.answered.remove(&key);
        }
        self.shared.kept.note(id, session.kept());
        self.arm(id, session.timeout(&self.config));
        if !session.is_over() {
            self.sessions.insert(id, session);
        }
    }

    fn count_half_open(&mut self, id: SessionId, address: IpAddr) {
        let source = source_of(address);
        if let std::collections::btree_map::Entry::Vacant(entry) = self.half_open.entry(id) {
            entry.insert(source);
            *self.sources.entry(source).or_default() += 1;
        }
    }

    fn forget_half_open(&mut self, id: SessionId) {
        let Some(source) = self.half_open.remove(&id) else { return };
        if let Some(count) = self.sources.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
    }

    fn arm(&mut self, id: SessionId, due: Option<Instant>) {
        if let Some(old) = self.armed.remove(&id) {
            self.timers.remove(&(old, id));
        }
        if let Some(due) = due {
            self.armed.insert(id, due);
            self.timers.insert((due, id));
        }
    }

    /// INITIAL_CONTACT of a peer that has just proven its identity ends the other sessions of a site, or of the same device of
    /// a client, RFC 7296 section 2.4. An
    /// identity that comes with EAP is only claimed; there the server decides. Sessions that were established after this one
    /// began stay: when it said INITIAL_CONTACT, the peer may not have known of one that we began at the same time.
    fn announce_authenticated(&mut self, now: Instant) {
        let Some((id, request)) = self.shared.authenticated.take() else { return };
        let is_proven = request.by != crate::event::AuthenticatedBy::Eap;
        let is_alone = request.site.is_some() || !self.config.shared_identities;
        if let Some(since) = self.sessions.get(&id).map(Session::since)
            && request.initial_contact
            && is_proven
            && is_alone
        {
            let is_stale =
                |(other, session): &(&SessionId, &Session)| **other != id && session.is_forgotten(&request, since);
            let stale: Vec<SessionId> = self.sessions.iter().filter(is_stale).map(|(other, _)| *other).collect();
            for other in stale {
                self.with_session(now, other, |session, ctx| session.abandon(ctx, CloseReason::Replaced));
            }
        }
        self.shared.events.push_back(Event::Authenticated { session: id, request });
    }
}

/// Where half-open handshakes are counted together: an IPv4 address, or a /64 of IPv6.
fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}
