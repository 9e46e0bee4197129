//! An endpoint and its IKEv1 clients on a virtual clock, with the server's part (addresses, XAuth) played as simply as
//! possible.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cert::UnixTime;
use crate::child_sa::{ChildMode, ChildSa};
use crate::config::Config;
use crate::crypto::testing::SeededRandom;
use crate::endpoint::Endpoint;
use crate::event::{CloseReason, Denial, Event, Grant, Path, SessionId};
use crate::refusal::RefusalReason;
use crate::testing::link::{Datagram, Link, LinkQuality, To};
use crate::wire::EspSpi;

use super::client::{V1Client, V1Task};
use super::config::V1ClientConfig;

/// An event, without what can be looked up elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum V1Seen {
    /// [`Event::XAuth`] with the user name.
    XAuth(SessionId, String),
    /// [`Event::Authenticated`].
    Authenticated(SessionId),
    /// [`Event::ChildUp`]: inbound SPI, and the one that is replaced.
    ChildUp(SessionId, EspSpi, Option<EspSpi>),
    /// [`Event::ChildDown`].
    ChildDown(SessionId, EspSpi),
    /// [`Event::Moved`].
    Moved(SessionId, Path),
    /// [`Event::Established`].
    Established(SessionId),
    /// [`Event::Closed`].
    Closed(SessionId, CloseReason),
    /// [`Event::Refused`].
    Refused(RefusalReason),
}

/// A server, its clients, and the network between them.
pub struct V1Pair {
    /// The clock.
    pub now: Instant,
    /// The wall clock at the start.
    pub wall: UnixTime,
    /// The responder.
    pub server: Endpoint,
    /// The initiators.
    pub clients: Vec<V1Client>,
    /// The network.
    pub link: Link,
    /// What the server was told, in order.
    pub seen: Vec<V1Seen>,
    /// Child SAs that are up, by inbound SPI.
    pub children: BTreeMap<EspSpi, ChildSa>,
    /// What was sent by the server, with the path from its point of view.
    pub sent: Vec<(Path, bytes::Bytes)>,
    /// What XAuth clients get; without addresses one is made up.
    pub grant: Grant,
    /// Deny access, if set.
    pub denial: Option<Denial>,
    /// Passwords of the XAuth users.
    pub passwords: BTreeMap<String, String>,
    /// Do not answer questions: somebody else does.
    pub is_silent: bool,
    /// The server is behind a one to one translation of addresses.
    pub is_translated: bool,
    leases: BTreeMap<SessionId, u8>,
}

/// Where the server is.
pub const V1_SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// What the server's own address is if it is behind a translation.
const TRANSLATED: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 5);

impl V1Pair {
    /// No clients yet; everything follows from `seed`.
    #[must_use]
    pub fn new(config: Config, quality: LinkQuality, seed: u64) -> Self {
        Self {
            now: crate::testing::epoch(),
            wall: UnixTime::from_secs(1_800_000_000),
            server: Endpoint::new(Arc::new(config), Box::new(SeededRandom::new(seed))),
            clients: Vec::new(),
            link: Link::new(quality, seed ^ 0x5eed),
            seen: Vec::new(),
            children: BTreeMap::new(),
            sent: Vec::new(),
            grant: Grant { dns: vec![Ipv4Addr::new(10, 0, 0, 53).into()], ..Grant::default() },
            denial: None,
            passwords: BTreeMap::new(),
            is_silent: false,
            is_translated: false,
            leases: BTreeMap::new(),
        }
    }

    /// The address that the client with this index has.
    #[must_use]
    pub fn address(index: usize) -> Ipv4Addr {
        Ipv4Addr::new(198, 51, 100, u8::try_from(index + 1).expect("few clients"))
    }

    /// Adds a client and lets it begin. Gives back its index.
    pub fn connect(&mut self, config: V1ClientConfig, seed: u64) -> usize {
        let index = self.clients.len();
        let path = Path {
            local: SocketAddr::new(Self::address(index).into(), 500),
            peer: SocketAddr::new(V1_SERVER.into(), 500),
        };
        let mut client = V1Client::new(config, path, self.wall, seed);
        client.start(self.now);
        self.clients.push(client);
        index
    }

    /// Gives a client something to do, and lets it be done.
    pub fn run(&mut self, client: usize, task: V1Task) {
        let now = self.now;
        self.clients[client].enqueue(now, task);
        self.settle(Duration::from_secs(120));
    }

    /// Runs until nothing is on the way and no client waits for an answer, but not longer than `limit`.
    pub fn settle(&mut self, limit: Duration) {
        let end = self.now + limit;
        self.run_until(end, |pair| pair.link.next_arrival().is_none() && pair.clients.iter().all(V1Client::is_idle));
    }

    /// Lets so much time pass.
    pub fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_until(end, |_| false);
        self.now = end;
    }

    fn run_until(&mut self, end: Instant, is_done: impl Fn(&Self) -> bool) {
        loop {
            self.exchange();
            if is_done(self) {
                return;
            }
            let clients = self.clients.iter().filter_map(V1Client::poll_timeout);
            let times = clients.chain(self.link.next_arrival()).chain(self.server.poll_timeout());
            match times.min() {
                Some(next) if next <= end => self.now = self.now.max(next),
                _ => return,
            }
            while let Some(datagram) = self.link.arrive(self.now) {
                self.deliver(&datagram);
                self.exchange();
            }
            self.server.handle_timeout(self.now, self.wall);
            for client in &mut self.clients {
                client.handle_timeout(self.now);
            }
        }
    }

    fn deliver(&mut self, datagram: &Datagram) {
        match datagram.to {
            To::Server => {
                let mut path = datagram.path;
                if self.is_translated {
                    path.local.set_ip(TRANSLATED.into());
                }
                self.server.handle_datagram(self.now, self.wall, path, &datagram.payload);
            }
            To::Client(index) => self.clients[index].handle_datagram(self.now, &datagram.payload),
        }
    }

    /// Answers all events and puts all messages on the link.
    pub fn exchange(&mut self) {
        while let Some(event) = self.server.poll_event() {
            self.event(event);
        }
        let inner: Vec<SocketAddr> = self.clients.iter().map(|client| client.path().local).collect();
        while let Some(mut transmit) = self.server.poll_transmit() {
            transmit.path.local.set_ip(V1_SERVER.into());
            self.sent.push((transmit.path, transmit.payload.clone()));
            if let Some((client, address)) = self.link.client_at(transmit.path.peer, &inner) {
                self.link.from_server(self.now, client, address, transmit.path, transmit.payload);
            }
        }
        for (index, client) in self.clients.iter_mut().enumerate() {
            while let Some(transmit) = client.poll_transmit() {
                self.link.from_client(self.now, index, transmit.path, transmit.payload);
            }
        }
    }

    fn event(&mut self, event: Event) {
        let seen = match event {
            Event::Eap { .. } | Event::ChildFailed { .. } | Event::ReauthenticationDue { .. } => return,
            Event::XAuth { session, user, password, .. } => {
                let accepted = self.passwords.get(&user).is_some_and(|known| password.ct_eq(known.as_bytes()));
                if !self.is_silent {
                    self.server.xauth_continue(self.now, session, accepted);
                }
                V1Seen::XAuth(session, user)
            }
            Event::Authenticated { session, .. } => {
                self.seen.push(V1Seen::Authenticated(session));
                if !self.is_silent {
                    self.decide(session);
                }
                return;
            }
            Event::ChildUp { session, child, replaces } => {
                let seen = V1Seen::ChildUp(session, child.inbound_spi, replaces);
                self.children.insert(child.inbound_spi, *child);
                seen
            }
            Event::ChildDown { session, inbound_spi } => {
                assert!(self.children.remove(&inbound_spi).is_some(), "a Child SA goes down once");
                V1Seen::ChildDown(session, inbound_spi)
            }
            Event::Moved { session, path, .. } => V1Seen::Moved(session, path),
            Event::Established { session, .. } => V1Seen::Established(session),
            Event::Closed { session, reason } => {
                self.leases.remove(&session);
                V1Seen::Closed(session, reason)
            }
            Event::Refused(refusal) => V1Seen::Refused(refusal.reason),
        };
        self.seen.push(seen);
    }

    fn decide(&mut self, session: SessionId) {
        if let Some(denial) = self.denial {
            return self.server.deny(self.now, session, denial);
        }
        let used: Vec<u8> = self.leases.values().copied().collect();
        let free = || (2..=254).find(|host| !used.contains(host)).expect("few clients");
        let host = self.leases.get(&session).copied().unwrap_or_else(free);
        self.leases.insert(session, host);
        let mut grant = self.grant.clone();
        if grant.addresses.is_empty() {
            grant.addresses = vec![IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))];
        }
        self.server.grant(self.now, session, grant);
    }

    /// What the server refused, in order.
    #[must_use]
    pub fn refusals(&self) -> Vec<&RefusalReason> {
        fn reason(seen: &V1Seen) -> Option<&RefusalReason> {
            if let V1Seen::Refused(reason) = seen { Some(reason) } else { None }
        }
        self.seen.iter().filter_map(reason).collect()
    }

    /// Checks that what both ends think of the Child SAs of a client is the same.
    ///
    /// # Panics
    /// If it is not.
    #[expect(clippy::panic, reason = "this is an assertion")]
    pub fn assert_same_children(&self, client: usize) {
        for child in &self.clients[client].children {
            let other = self.children.get(&child.outbound);
            let other = other.unwrap_or_else(|| panic!("the server has no {}: {:?}", child.outbound, self.seen));
            assert_eq!(other.outbound_spi, child.inbound);
            assert_eq!((other.suite.encr, other.suite.integ), (child.encr, child.integ));
            assert!(!other.suite.esn, "IKEv1 clients have no extended sequence numbers");
            assert_eq!(other.mode == ChildMode::L2tp, child.mode.is_transport());
            let (ours, theirs) = (&other.keys, &child.keys);
            assert!(ours.inbound.encr.ct_eq(theirs.outbound.encr.expose()));
            assert!(ours.inbound.integ.ct_eq(theirs.outbound.integ.expose()));
            assert!(ours.outbound.encr.ct_eq(theirs.inbound.encr.expose()));
            assert!(ours.outbound.integ.ct_eq(theirs.inbound.integ.expose()));
            assert!(!ours.inbound.encr.ct_eq(ours.outbound.encr.expose()), "directions have their own keys");
        }
    }
}
