//! An endpoint and its clients on a virtual clock, with the server's part (addresses, EAP) played as simply as possible.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cert::UnixTime;
use crate::child_sa::ChildSa;
use crate::config::Config;
use crate::crypto::hash::Hash;
use crate::crypto::secret::Secret;
use crate::crypto::testing::SeededRandom;
use crate::endpoint::Endpoint;
use crate::event::{AccessRequest, CloseReason, Denial, EapStep, Event, Grant, Path, SessionId};
use crate::refusal::RefusalReason;
use crate::wire::EspSpi;

use super::client::{Client, ClientConfig, EapPeer};
use super::link::{Link, LinkQuality, To};

/// An event, without what can be looked up elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// [`Event::Authenticated`].
    Authenticated(SessionId, AccessRequest),
    /// [`Event::ChildUp`]: inbound SPI, and the one that is replaced.
    ChildUp(SessionId, EspSpi, Option<EspSpi>),
    /// [`Event::ChildDown`].
    ChildDown(SessionId, EspSpi),
    /// [`Event::Moved`].
    Moved(SessionId, Path, bool),
    /// [`Event::Established`].
    Established(SessionId),
    /// [`Event::Closed`].
    Closed(SessionId, CloseReason),
    /// [`Event::Refused`].
    Refused(RefusalReason),
}

/// A server, its clients, and the network between them.
pub struct Pair {
    /// The clock.
    pub now: Instant,
    /// The wall clock at the start.
    pub wall: UnixTime,
    /// The responder.
    pub server: Endpoint,
    /// The initiators.
    pub clients: Vec<Client>,
    /// The network.
    pub link: Link,
    /// What the server was told, in order.
    pub seen: Vec<Seen>,
    /// Child SAs that are up, by inbound SPI.
    pub children: BTreeMap<EspSpi, ChildSa>,
    /// What authenticated clients get; `None` as address means that none is left.
    pub grant: Grant,
    /// Deny access, if set.
    pub denial: Option<Denial>,
    /// Passwords of the EAP users.
    pub passwords: BTreeMap<String, String>,
    /// The EAP method proves to clients who the server is.
    pub eap_is_mutual: bool,
    /// Do not answer EAP and access requests: somebody else does.
    pub is_silent: bool,
    /// Whose the Child SAs are.
    owners: BTreeMap<EspSpi, SessionId>,
    eap: BTreeMap<SessionId, String>,
    leases: BTreeMap<SessionId, u8>,
}

/// Where the server is.
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

impl Pair {
    /// No clients yet; everything follows from `seed`.
    #[must_use]
    pub fn new(config: Config, quality: LinkQuality, seed: u64) -> Self {
        Self {
            now: super::epoch(),
            wall: UnixTime::from_secs(1_800_000_000),
            server: Endpoint::new(Arc::new(config), Box::new(SeededRandom::new(seed))),
            clients: Vec::new(),
            link: Link::new(quality, seed ^ 0x5eed),
            seen: Vec::new(),
            children: BTreeMap::new(),
            grant: Grant { dns: vec![Ipv4Addr::new(10, 0, 0, 53).into()], ..Grant::default() },
            denial: None,
            passwords: BTreeMap::new(),
            eap_is_mutual: false,
            is_silent: false,
            owners: BTreeMap::new(),
            eap: BTreeMap::new(),
            leases: BTreeMap::new(),
        }
    }

    /// Adds a client and lets it begin. Gives back its index.
    pub fn connect(&mut self, config: ClientConfig, seed: u64) -> usize {
        let index = self.clients.len();
        let host = u8::try_from(index + 1).expect("few clients");
        let path = Path {
            local: SocketAddr::new(Ipv4Addr::new(198, 51, 100, host).into(), 500),
            peer: SocketAddr::new(SERVER, 500),
        };
        let mut client = Client::new(config, path, seed);
        client.start(self.now, self.wall);
        self.clients.push(client);
        index
    }

    /// Runs until nothing is on the way and no client waits for an answer, but not longer than `limit`.
    pub fn settle(&mut self, limit: Duration) {
        let end = self.now + limit;
        self.run(end, |pair| pair.link.next_arrival().is_none() && pair.clients.iter().all(Client::is_idle));
    }

    /// Lets so much time pass.
    pub fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        self.run(end, |_| false);
        self.now = end;
    }

    fn run(&mut self, end: Instant, is_done: impl Fn(&Self) -> bool) {
        loop {
            self.exchange();
            if is_done(self) {
                return;
            }
            let clients = self.clients.iter().filter_map(Client::poll_timeout);
            let times = clients.chain(self.link.next_arrival()).chain(self.server.poll_timeout());
            match times.min() {
                Some(next) if next <= end => self.now = self.now.max(next),
                _ => return,
            }
            while let Some(datagram) = self.link.arrive(self.now) {
                match datagram.to {
                    To::Server => self.server.handle_datagram(self.now, self.wall, datagram.path, &datagram.payload),
                    To::Client(index) => self.clients[index].handle_datagram(self.now, &datagram.payload),
                }
                self.exchange();
            }
            self.server.handle_timeout(self.now, self.wall);
            for client in &mut self.clients {
                client.handle_timeout(self.now);
            }
        }
    }

    /// Answers all events and puts all messages on the link.
    pub fn exchange(&mut self) {
        while let Some(event) = self.server.poll_event() {
            self.event(event);
        }
        let inner: Vec<SocketAddr> = self.clients.iter().map(|client| client.path().local).collect();
        while let Some(transmit) = self.server.poll_transmit() {
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
            Event::Eap { session, response, .. } => {
                if !self.is_silent {
                    let step = self.eap_step(session, response.as_deref());
                    self.server.eap_continue(self.now, session, step);
                }
                return;
            }
            Event::Authenticated { session, request } => {
                let is_site = request.site.is_some();
                self.seen.push(Seen::Authenticated(session, request));
                match (self.is_silent, is_site) {
                    (true, _) => {}
                    (false, true) => self.server.grant(self.now, session, Grant::default()),
                    (false, false) => self.decide(session),
                }
                return;
            }
            // The initiators here speak IKEv2.
            Event::XAuth { session, .. } => return self.server.xauth_continue(self.now, session, false),
            // The server here begins nothing.
            Event::ChildFailed { .. } | Event::ReauthenticationDue { .. } => return,
            Event::ChildUp { session, child, replaces } => {
                let seen = Seen::ChildUp(session, child.inbound_spi, replaces);
                self.owners.insert(child.inbound_spi, session);
                self.children.insert(child.inbound_spi, *child);
                seen
            }
            Event::ChildDown { session, inbound_spi } => {
                assert!(self.children.remove(&inbound_spi).is_some(), "a Child SA goes down once");
                Seen::ChildDown(session, inbound_spi)
            }
            Event::Moved { session, path, udp_encap } => {
                let owners = &self.owners;
                for (_, child) in self.children.iter_mut().filter(|(spi, _)| owners.get(spi) == Some(&session)) {
                    (child.path, child.udp_encap) = (path, udp_encap);
                }
                Seen::Moved(session, path, udp_encap)
            }
            Event::Established { session, .. } => Seen::Established(session),
            Event::Closed { session, reason } => {
                self.leases.remove(&session);
                Seen::Closed(session, reason)
            }
            Event::Refused(refusal) => Seen::Refused(refusal.reason),
        };
        self.seen.push(seen);
    }

    fn decide(&mut self, session: SessionId) {
        if let Some(denial) = self.denial {
            return self.server.deny(self.now, session, denial);
        }
        let is_site = self.server.snapshot().iter().any(|info| info.session == session && info.site.is_some());
        if is_site {
            return self.server.grant(self.now, session, Grant::default());
        }
        let used: Vec<u8> = self.leases.values().copied().collect();
        let host = (2..=254).find(|host| !used.contains(host)).expect("few clients");
        self.leases.insert(session, host);
        let mut grant = self.grant.clone();
        if grant.addresses.is_empty() {
            grant.addresses = vec![Ipv4Addr::new(10, 0, 0, host).into()];
        }
        self.server.grant(self.now, session, grant);
    }

    /// A toy method: the identity, then the password in clear.
    fn eap_step(&mut self, session: SessionId, response: Option<&[u8]>) -> EapStep {
        let text = |response: &[u8]| String::from_utf8_lossy(response.get(5..).unwrap_or_default()).into_owned();
        match (response, self.eap.remove(&session)) {
            (None, _) => EapStep::Request(vec![1, 1, 0, 5, 1]),
            (Some(response), None) => {
                self.eap.insert(session, text(response));
                EapStep::Request(vec![1, 2, 0, 5, 254])
            }
            (Some(response), Some(name)) if self.passwords.get(&name) == Some(&text(response)) => {
                let msk = Secret::new(msk(&text(response)));
                EapStep::Success { msk, message: vec![3, 2, 0, 4], mutual: self.eap_is_mutual }
            }
            (Some(_), Some(_)) => EapStep::Failure { message: vec![4, 2, 0, 4] },
        }
    }

    /// Checks that what both ends think of the Child SAs of a client is the same.
    pub fn assert_same_children(&self, client: usize) {
        for child in &self.clients[client].children {
            let other = self.children.get(&child.outbound).expect("the server has the Child SA of the client");
            assert_eq!(other.outbound_spi, child.inbound);
            assert_eq!(other.suite, child.suite);
            assert_eq!((&other.remote_ts, &other.local_ts), (&child.tsi, &child.tsr));
            let (ours, theirs) = (&other.keys, &child.keys);
            assert!(ours.inbound.encr.ct_eq(theirs.outbound.encr.expose()));
            assert!(ours.inbound.integ.ct_eq(theirs.outbound.integ.expose()));
            assert!(ours.outbound.encr.ct_eq(theirs.inbound.encr.expose()));
            assert!(ours.outbound.integ.ct_eq(theirs.inbound.integ.expose()));
            assert!(!ours.inbound.encr.ct_eq(ours.outbound.encr.expose()), "directions have their own keys");
        }
    }
}

/// The client's side of the toy method.
pub struct ToyEapPeer {
    /// User name.
    pub name: String,
    /// Password.
    pub password: String,
}

impl EapPeer for ToyEapPeer {
    fn respond(&mut self, request: &[u8]) -> Vec<u8> {
        let text = if request.get(4) == Some(&1) { &self.name } else { &self.password };
        let length = u16::try_from(5 + text.len()).expect("short names").to_be_bytes();
        let head =
            [2, request.get(1).copied().unwrap_or(0), length[0], length[1], request.get(4).copied().unwrap_or(0)];
        [&head, text.as_bytes()].concat()
    }

    fn msk(&self) -> Vec<u8> {
        msk(&self.password)
    }
}

fn msk(password: &str) -> Vec<u8> {
    Hash::Sha512.digest(&[password.as_bytes()])
}
