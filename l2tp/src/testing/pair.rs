//! A gateway, clients and a network on a virtual clock.
//!
//! With every step it checks what must always hold: each session that comes up goes down once, frames come from sessions that
//! are up, a window of 1 is respected, and the gateway sends nothing that a stock client chokes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::avp::{Avp, RawAvp};
use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::error::Refusal;
use crate::event::{ChannelId, Event, Reason, SessionInfo, SessionKey};
use crate::header::Header;

use super::flavor::Flavor;
use super::lac::{Lac, LacConfig, LacEvent};
use super::link::{Link, LinkQuality, To};
use super::{SeededRandom, epoch};

/// More steps at one instant mean that they will never end.
const MAX_STEPS_AT_ONCE: u32 = 10_000;

/// A gateway, clients and a network.
pub struct Pair {
    /// The virtual clock.
    pub now: Instant,
    /// The gateway.
    pub server: Endpoint,
    /// The clients, each with the IPsec peer that it belongs to.
    pub clients: Vec<(ChannelId, Lac)>,
    /// The network.
    pub link: Link,
    /// Sessions that are up.
    pub up: BTreeMap<SessionKey, SessionInfo>,
    /// Sessions that were up.
    pub ended: Vec<(SessionKey, Reason)>,
    /// Tunnels that ended.
    pub tunnels_ended: Vec<(ChannelId, u16, Reason)>,
    /// Frames that the gateway received.
    pub frames: Vec<(SessionKey, Vec<u8>)>,
    /// Sessions that changed their port.
    pub moved: Vec<(SessionKey, u16)>,
    /// What the gateway refused.
    pub refusals: Vec<Refusal>,
    /// What happened to clients.
    pub client_events: Vec<(usize, LacEvent)>,
    /// Datagrams of the gateway: when, to which channel and port.
    pub sent: Vec<(Instant, ChannelId, u16, Bytes)>,
}

impl Pair {
    /// A gateway without clients.
    #[must_use]
    pub fn new(config: Config, quality: LinkQuality, seed: u64) -> Self {
        let random = Box::new(SeededRandom::new(!seed));
        Self {
            now: epoch(),
            server: Endpoint::new(Arc::new(config), random),
            clients: Vec::new(),
            link: Link::new(quality, seed),
            up: BTreeMap::new(),
            ended: Vec::new(),
            tunnels_ended: Vec::new(),
            frames: Vec::new(),
            moved: Vec::new(),
            refusals: Vec::new(),
            client_events: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// A gateway with one client that is connected, over a network without fault.
    ///
    /// # Panics
    /// If it cannot connect.
    #[must_use]
    pub fn connected(flavor: Flavor) -> Self {
        let mut pair = Self::new(Config::new("gw.example"), LinkQuality::PERFECT, 1);
        let client = pair.add(ChannelId(1), LacConfig::new(flavor));
        pair.connect(client);
        pair.advance(Duration::from_secs(1));
        assert!(pair.clients[client].1.is_up(), "{flavor:?}: {:?}", pair.client_events);
        assert_eq!(pair.up.len(), 1);
        pair
    }

    /// Adds a client behind an IPsec peer.
    pub fn add(&mut self, channel: ChannelId, config: LacConfig) -> usize {
        self.clients.push((channel, Lac::new(config)));
        self.clients.len() - 1
    }

    /// The client begins.
    pub fn connect(&mut self, client: usize) {
        self.with(client, Lac::connect);
    }

    /// The client does something, and what comes of it goes on its way.
    pub fn with(&mut self, client: usize, act: impl FnOnce(&mut Lac, Instant)) {
        act(&mut self.clients[client].1, self.now);
        self.drain();
    }

    /// The only session that is up.
    ///
    /// # Panics
    /// If there are none or several.
    #[must_use]
    pub fn session(&self) -> SessionKey {
        assert_eq!(self.up.len(), 1, "{:?}", self.up);
        *self.up.first_key_value().expect("one").0
    }

    /// Lets time pass, and everything happen that is due.
    pub fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        self.drain();
        let mut steps_at_once = 0;
        while let Some(next) = self.next_time().filter(|next| *next <= end) {
            steps_at_once = if next <= self.now { steps_at_once + 1 } else { 0 };
            assert!(steps_at_once < MAX_STEPS_AT_ONCE, "time stands still");
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
    }

    /// A datagram reaches the gateway at once, as if it came through the channel.
    pub fn inject(&mut self, channel: ChannelId, port: u16, datagram: &[u8]) {
        self.server.handle_datagram(self.now, channel, port, datagram);
        self.drain();
    }

    /// Takes everything out of gateway and clients.
    pub fn drain(&mut self) {
        while let Some(transmit) = self.server.poll_transmit() {
            assert_nothing_unwanted(&transmit.payload);
            self.sent.push((self.now, transmit.channel, transmit.port, transmit.payload.clone()));
            self.link.send(self.now, To::Client(transmit.channel), transmit.port, &transmit.payload);
        }
        while let Some(event) = self.server.poll_event() {
            self.note(event);
        }
        for index in 0..self.clients.len() {
            let (channel, client) = &mut self.clients[index];
            while let Some(payload) = client.poll_transmit() {
                self.link.send(self.now, To::Server(*channel), client.config.port, &payload);
            }
            while let Some(event) = client.poll_event() {
                self.client_events.push((index, event));
            }
        }
    }

    fn next_time(&self) -> Option<Instant> {
        let clients = self.clients.iter().filter_map(|(_, client)| client.poll_timeout());
        clients.chain(self.server.poll_timeout()).chain(self.link.next_arrival()).min()
    }

    fn step(&mut self) {
        while let Some((to, port, payload)) = self.link.arrive(self.now) {
            match to {
                To::Server(channel) => self.server.handle_datagram(self.now, channel, port, &payload),
                To::Client(channel) => self.deliver(channel, port, &payload),
            }
            self.drain();
        }
        for (_, client) in &mut self.clients {
            client.handle_timeout(self.now);
        }
        if self.server.poll_timeout().is_some_and(|due| due <= self.now) {
            self.server.handle_timeout(self.now);
        }
        self.drain();
    }

    fn deliver(&mut self, channel: ChannelId, port: u16, payload: &[u8]) {
        for (of, client) in &mut self.clients {
            if (*of, client.config.port) == (channel, port) {
                client.handle_datagram(self.now, payload);
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::SessionUp { session, info } => {
                let before = self.up.insert(session, info);
                assert!(before.is_none(), "{session:?} came up twice");
            }
            Event::SessionDown { session, reason } => {
                assert!(self.up.remove(&session).is_some(), "{session:?} went down and was not up");
                self.ended.push((session, reason));
            }
            Event::Frame { session, frame } => {
                assert!(self.up.contains_key(&session), "a frame of {session:?}, which is not up");
                self.frames.push((session, frame));
            }
            Event::Moved { session, port } => {
                self.up.get_mut(&session).expect("only sessions that are up move").port = port;
                self.moved.push((session, port));
            }
            Event::TunnelDown { channel, tunnel, reason } => {
                let left = self.up.keys().any(|key| (key.channel, key.tunnel) == (channel, tunnel));
                assert!(!left, "the tunnel ended before its sessions");
                self.tunnels_ended.push((channel, tunnel, reason));
            }
            Event::Refused(refusal) => self.refusals.push(*refusal),
        }
    }
}

/// What stock clients choke on, and what our own parser would not take.
fn assert_nothing_unwanted(datagram: &[u8]) {
    let (header, range) = Header::parse(datagram).expect("we send valid headers");
    if !header.control {
        return;
    }
    assert_eq!(datagram[..2], [0xc8, 0x02], "T, L and S, and nothing else");
    assert_eq!(usize::from(u16::from_be_bytes([datagram[2], datagram[3]])), datagram.len(), "Length");
    let mut rest = &datagram[range];
    while !rest.is_empty() {
        let (raw, after) = RawAvp::parse(rest).expect("we send valid AVPs");
        assert!(raw.vendor == 0 && !raw.hidden && !raw.reserved, "{raw:?}");
        let avp = Avp::parse(raw.attribute, raw.value).expect("known").expect("valid");
        assert_eq!(avp.mandatory(), raw.mandatory, "{avp:?}");
        let is_unwanted = matches!(
            avp,
            Avp::MessageType(15 | 16)
                | Avp::Challenge(_)
                | Avp::SequencingRequired(_)
                | Avp::TieBreaker(_)
                | Avp::RandomVector(_)
        );
        assert!(!is_unwanted, "{avp:?} was sent");
        assert!(avp.attribute() != 1 || raw.value.len() == 4, "a Result Code AVP has ten octets");
        rest = after;
    }
}
