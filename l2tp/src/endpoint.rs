//! All control connections of one gateway: the LNS (RFC 2661 section 7).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::config::Config;
use crate::event::{ChannelId, Counters, Event, Reason, SessionKey, Transmit, TunnelInfo};
use crate::random::Random;

/// All control connections of one gateway.
pub struct Endpoint {
    config: Arc<Config>,
    random: Box<dyn Random + Send>,
    counters: Counters,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl Endpoint {
    /// Without any tunnel.
    #[must_use]
    pub fn new(config: Arc<Config>, random: Box<dyn Random + Send>) -> Self {
        let (counters, transmits, events) = (Counters::default(), VecDeque::new(), VecDeque::new());
        Self { config, random, counters, transmits, events }
    }

    /// Takes the UDP payload of a packet that came through the IPsec SA of `channel` from the inner UDP port `port`.
    pub fn handle_datagram(&mut self, now: Instant, channel: ChannelId, port: u16, datagram: &[u8]) {
        let _ = (now, channel, port, datagram, &mut self.random);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// When [`Endpoint::handle_timeout`] is due. Calling it earlier does nothing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Sends a PPP frame in a data message. Without effect if the session is not up.
    pub fn send_frame(&mut self, session: SessionKey, frame: &[u8]) {
        let _ = (session, frame);
    }

    /// Ends a session; the peer is told (CDN).
    pub fn close_session(&mut self, now: Instant, session: SessionKey, reason: Reason) {
        let _ = (now, session, reason);
    }

    /// Forgets all tunnels of the channel without a word, since IPsec is gone.
    pub fn close_channel(&mut self, channel: ChannelId) {
        let _ = channel;
    }

    /// Ends all tunnels; the peers are told (StopCCN).
    pub fn close_all(&mut self, now: Instant) {
        let _ = now;
    }

    /// Something authentic was received from the channel, so that no Hello is needed.
    pub fn note_inbound(&mut self, now: Instant, channel: ChannelId) {
        let _ = (now, channel);
    }

    /// Takes another configuration; established tunnels stay.
    pub fn reconfigure(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// All tunnels.
    #[must_use]
    pub fn snapshot(&self) -> Vec<TunnelInfo> {
        Vec::new()
    }
}
