//! All IKE SAs of one shard.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::config::Config;
use crate::crypto::random::Random;
use crate::event::{
    CloseReason, Counters, Denial, EapStep, Event, Grant, Path, SessionId, SessionInfo, Transmit,
};
use crate::cert::UnixTime;

/// All IKE SAs of one shard.
pub struct Endpoint {
    config: Arc<Config>,
    random: Box<dyn Random + Send>,
    sessions: BTreeMap<SessionId, SessionInfo>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    counters: Counters,
}

impl Endpoint {
    /// An endpoint without sessions.
    #[must_use]
    pub fn new(config: Arc<Config>, random: Box<dyn Random + Send>) -> Self {
        let (sessions, transmits, events) = Default::default();
        Self { config, random, sessions, transmits, events, counters: Counters::default() }
    }

    /// Takes an IKE message, without the non-ESP marker of port 4500.
    pub fn handle_datagram(&mut self, now: Instant, wall: UnixTime, path: Path, message: &[u8]) {
        let _ = (now, wall, path, message, &self.random);
        self.counters.received += 1;
    }

    /// Does what is due. Calling it earlier does nothing.
    pub fn handle_timeout(&mut self, now: Instant, wall: UnixTime) {
        let _ = (now, wall);
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Endpoint::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Answers [`Event::Eap`]. Ignored if the session does not wait for it.
    pub fn eap_continue(&mut self, now: Instant, session: SessionId, step: EapStep) {
        let _ = (now, session, step);
    }

    /// Answers [`Event::Authenticated`]: the client comes in. Ignored if the session does not wait for it.
    pub fn grant(&mut self, now: Instant, session: SessionId, grant: Grant) {
        let _ = (now, session, grant);
    }

    /// Answers [`Event::Authenticated`]: the client stays out. Ignored if the session does not wait for it.
    pub fn deny(&mut self, now: Instant, session: SessionId, denial: Denial) {
        let _ = (now, session, denial);
    }

    /// Authentic ESP was heard from the client, which proves that it lives.
    pub fn note_inbound(&mut self, now: Instant, session: SessionId) {
        let _ = (now, session);
    }

    /// The packet path saw authentic ESP from a new address.
    pub fn peer_moved(&mut self, now: Instant, session: SessionId, path: Path) {
        let _ = (now, session, path);
    }

    /// Ends a session: its Child SAs go down at once, the client is told.
    pub fn close(&mut self, now: Instant, session: SessionId, reason: CloseReason) {
        let _ = (now, session, reason);
    }

    /// Ends all sessions; done when [`Endpoint::poll_timeout`] is `None`.
    pub fn close_all(&mut self, now: Instant) {
        let _ = now;
    }

    /// Replaces the configuration. Sessions keep what they have negotiated.
    pub fn reconfigure(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// All sessions, half-open ones included.
    #[must_use]
    pub fn snapshot(&self) -> Vec<SessionInfo> {
        self.sessions.values().cloned().collect()
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }
}
