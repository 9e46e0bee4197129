//! Two gateways with what their servers and data planes do.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cygnet_ike::config::Config;
use cygnet_ike::credential::{LocalAuth, PeerAuth};
use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::crypto::testing::SeededRandom;
use cygnet_ike::identity::Identity;
use cygnet_ike::proposal::{Policy, PolicyName};
use cygnet_ike::testing::LinkQuality;
use cygnet_ike::wire::v2::TrafficSelector;
use cygnet_ike::{
    ChildMode, ChildSa, CloseReason, Endpoint, EspSpi, Event, Grant, Path, Prefix, RefusalReason, SessionId,
    SessionInfo, SessionState, Site, SiteChild, Timing, UnixTime,
};

use super::network::{Network, OUTSIDE, Parcel};

pub(crate) const ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1))];

/// No exchange takes longer, whatever is lost.
pub(crate) const LIMIT: Duration = Duration::from_secs(150);

/// One of the two gateways.
pub(crate) struct Gateway {
    pub(crate) endpoint: Endpoint,
    pub(crate) site: Arc<Site>,
    /// Child SAs that are up, by inbound SPI.
    pub(crate) children: BTreeMap<EspSpi, ChildSa>,
    /// Pairs that send, with the pair that each other one waits for; later ones come first.
    senders: Vec<EspSpi>,
    waiting: BTreeMap<EspSpi, EspSpi>,
    pub(crate) established: Vec<SessionInfo>,
    pub(crate) closed: Vec<(SessionId, CloseReason)>,
    pub(crate) refusals: Vec<RefusalReason>,
    pub(crate) failed: Vec<Arc<str>>,
    pub(crate) reminders: Vec<(SessionId, Duration)>,
    pub(crate) moves: Vec<Path>,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Packets of SPIs that are not known, or of another key.
    pub(crate) lost: u64,
}

/// Both, and the network between them.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) gateways: [Gateway; 2],
    pub(crate) network: Network,
    addresses: [IpAddr; 2],
}

pub(crate) fn identity(text: &str) -> Identity {
    text.parse().expect("an identity")
}

pub(crate) fn network(text: &str) -> TrafficSelector {
    let (address, len) = text.split_once('/').expect("a network");
    TrafficSelector::prefix(address.parse().expect("an address"), len.parse().expect("a length"))
}

/// The first gateway as the second sees it, and the other way round.
const NAMES: [&str; 2] = ["west.example", "east.example"];

/// What `own` knows of the other gateway: one tunnel of these networks.
pub(crate) fn site(own: usize) -> Site {
    let networks = ["10.1.0.0/16", "10.2.0.0/16"];
    Site {
        name: "other".into(),
        identity: identity(NAMES[own]),
        peer_identity: Some(identity(NAMES[1 - own])),
        peer_addresses: vec![prefix(ADDRESSES[1 - own]), prefix(OUTSIDE)],
        local_auth: LocalAuth::Psk(Secret::from_slice(b"correct horse battery staple")),
        peer_auth: PeerAuth::Psk(Secret::from_slice(b"correct horse battery staple")),
        ppk: None,
        policy: Policy::named(&[PolicyName::Modern]),
        children: vec![child("net", &[networks[own]], &[networks[1 - own]])],
        timing: Timing { child_lifetime: None, ike_lifetime: None, ..Timing::default() },
        reauthentication: None,
        mobike: true,
        force_udp_encap: false,
        fragmentation: true,
    }
}

fn prefix(address: IpAddr) -> Prefix {
    Prefix { address, len: 32 }
}

pub(crate) fn child(name: &str, local: &[&str], remote: &[&str]) -> SiteChild {
    let networks = |list: &[&str]| list.iter().map(|text| network(text)).collect();
    SiteChild { name: name.into(), local: networks(local), remote: networks(remote), mode: ChildMode::Tunnel }
}

impl Gateway {
    fn new(site: Site, seed: u64) -> Self {
        let site = Arc::new(site);
        let mut config = Config::new(identity("gateway.example"));
        config.sites = vec![site.clone()];
        Self::with_config(config, site, seed)
    }

    pub(crate) fn with_config(config: Config, site: Arc<Site>, seed: u64) -> Self {
        Self {
            endpoint: Endpoint::new(Arc::new(config), Box::new(SeededRandom::new(seed))),
            site,
            children: BTreeMap::new(),
            senders: Vec::new(),
            waiting: BTreeMap::new(),
            established: Vec::new(),
            closed: Vec::new(),
            refusals: Vec::new(),
            failed: Vec::new(),
            reminders: Vec::new(),
            moves: Vec::new(),
            sent: 0,
            received: 0,
            lost: 0,
        }
    }

    fn event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Authenticated { session, request } => {
                assert_eq!(request.site.as_deref(), Some(&*self.site.name));
                self.endpoint.grant(now, session, Grant::default());
            }
            Event::ChildUp { session: _, child, replaces } => self.up(*child, replaces),
            Event::ChildDown { session: _, inbound_spi } => self.down(inbound_spi),
            Event::Established { info, .. } => self.established.push(*info),
            Event::Closed { session, reason } => self.closed.push((session, reason)),
            Event::Refused(refusal) => self.refusals.push(refusal.reason),
            Event::ChildFailed { child, .. } => self.failed.push(child),
            Event::ReauthenticationDue { session, within } => self.reminders.push((session, within)),
            Event::Moved { path, udp_encap, .. } => {
                self.moves.push(path);
                for child in self.children.values_mut() {
                    (child.path, child.udp_encap) = (path, udp_encap);
                }
            }
            // Sites do not log in.
            Event::Eap { .. } | Event::XAuth { .. } => {}
        }
    }

    /// As the data plane does it: what replaces a pair waits with sending until it is heard, or the other goes down.
    fn up(&mut self, child: ChildSa, replaces: Option<EspSpi>) {
        let spi = child.inbound_spi;
        match replaces.filter(|old| self.children.contains_key(old)) {
            Some(old) => drop(self.waiting.insert(spi, old)),
            None => self.senders.push(spi),
        }
        assert!(self.children.insert(spi, child).is_none(), "an SPI is used twice");
    }

    fn down(&mut self, spi: EspSpi) {
        assert!(self.children.remove(&spi).is_some(), "a Child SA goes down once");
        let waited_for = self.waiting.remove(&spi);
        let heirs: Vec<EspSpi> = self.waiting.iter().filter(|(_, old)| **old == spi).map(|(heir, _)| *heir).collect();
        for heir in heirs {
            match waited_for {
                Some(older) => drop(self.waiting.insert(heir, older)),
                None => drop(self.waiting.remove(&heir)),
            }
            if self.senders.contains(&spi) {
                self.senders.push(heir);
            }
        }
        self.senders.retain(|sender| *sender != spi);
    }

    fn receive(&mut self, spi: EspSpi, key: &[u8]) {
        if !self.children.get(&spi).is_some_and(|child| child.keys.inbound.encr.ct_eq(key)) {
            self.lost += 1;
            return;
        }
        self.received += 1;
        let mut predecessor = self.waiting.remove(&spi);
        if !self.senders.contains(&spi) {
            self.senders.push(spi);
        }
        while let Some(old) = predecessor {
            self.senders.retain(|sender| *sender != old);
            predecessor = self.waiting.remove(&old);
        }
    }

    /// The pair that each tunnel sends with.
    pub(crate) fn sending(&self) -> BTreeMap<Arc<str>, EspSpi> {
        let name = |spi: &EspSpi| self.children[spi].site_child.clone().expect("a tunnel of the site");
        self.senders.iter().map(|spi| (name(spi), *spi)).collect()
    }

    /// Sessions that are established.
    pub(crate) fn sessions(&self) -> Vec<SessionInfo> {
        self.endpoint.snapshot().into_iter().filter(|info| info.state == SessionState::Established).collect()
    }

    pub(crate) fn session(&self) -> SessionId {
        let sessions = self.sessions();
        assert_eq!(sessions.len(), 1, "{sessions:?}");
        sessions[0].session
    }

    /// The inbound SPIs of a session's Child SAs.
    pub(crate) fn spis(&self) -> Vec<EspSpi> {
        self.sessions().iter().flat_map(|info| info.children.iter().map(|child| child.inbound_spi)).collect()
    }
}

impl World {
    pub(crate) fn new(quality: LinkQuality, seed: u64) -> Self {
        Self::with([site(0), site(1)], quality, seed)
    }

    pub(crate) fn with([west, east]: [Site; 2], quality: LinkQuality, seed: u64) -> Self {
        let gateways = [Gateway::new(west, seed.wrapping_mul(2)), Gateway::new(east, seed.wrapping_mul(2) + 1)];
        let network = Network::new(quality, seed ^ 0x5eed);
        Self { now: cygnet_ike::testing::epoch(), gateways, network, addresses: ADDRESSES }
    }

    /// Between these addresses.
    pub(crate) fn between(mut self, addresses: [IpAddr; 2]) -> Self {
        self.addresses = addresses;
        self
    }

    fn wall() -> UnixTime {
        UnixTime::from_secs(1_800_000_000)
    }

    pub(crate) fn path(&self, from: usize, port: u16) -> Path {
        Path {
            local: SocketAddr::new(self.addresses[from], port),
            peer: SocketAddr::new(self.addresses[1 - from], port),
        }
    }

    /// A gateway begins, for all tunnels of the other.
    pub(crate) fn initiate(&mut self, from: usize) -> SessionId {
        let path = self.path(from, 500);
        let gateway = &mut self.gateways[from];
        let children: Vec<usize> = (0..gateway.site.children.len()).collect();
        let site = gateway.site.clone();
        let session = gateway.endpoint.initiate(self.now, Self::wall(), &site, path, &children);
        self.exchange();
        session
    }

    /// Something that a server asks of its endpoint.
    pub(crate) fn ask(&mut self, of: usize, act: impl FnOnce(&mut Endpoint, Instant)) {
        act(&mut self.gateways[of].endpoint, self.now);
        self.exchange();
    }

    /// A gateway sends a packet through each of its tunnels.
    pub(crate) fn traffic(&mut self, from: usize) {
        let gateway = &mut self.gateways[from];
        let pairs: Vec<EspSpi> = gateway.sending().values().copied().collect();
        for spi in pairs {
            let child = &gateway.children[&spi];
            gateway.sent += 1;
            let key = child.keys.outbound.encr.expose().to_vec();
            self.network.send_esp(self.now, from, child.outbound_spi, &key);
        }
    }

    /// Lets so much time pass.
    pub(crate) fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        self.run(end, |_| false);
        self.now = end;
    }

    /// Runs until it is so, but not longer than [`LIMIT`]; whether it got so.
    pub(crate) fn until(&mut self, is_done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + LIMIT;
        self.run(end, &is_done);
        is_done(self)
    }

    /// Runs until both have an established session, or it takes too long.
    pub(crate) fn connect(&mut self) {
        let is_up = |world: &Self| world.gateways.iter().all(|gateway| !gateway.spis().is_empty());
        let is_up = self.until(is_up);
        assert!(is_up, "{:?} {:?}", self.gateways[0].refusals, self.gateways[1].refusals);
        self.advance(Duration::from_secs(1));
    }

    fn run(&mut self, end: Instant, is_done: impl Fn(&Self) -> bool) {
        loop {
            self.exchange();
            if is_done(self) {
                return;
            }
            let timers = self.gateways.iter().filter_map(|gateway| gateway.endpoint.poll_timeout());
            match timers.chain(self.network.next_arrival()).min() {
                Some(next) if next <= end => self.now = self.now.max(next),
                _ => return,
            }
            while let Some((to, parcel)) = self.network.arrive(self.now) {
                match parcel {
                    Parcel::Ike(path, payload) => {
                        let endpoint = &mut self.gateways[to].endpoint;
                        endpoint.handle_datagram(self.now, Self::wall(), path, &payload);
                    }
                    Parcel::Esp(spi, key) => self.gateways[to].receive(spi, &key),
                }
                self.exchange();
            }
            for gateway in &mut self.gateways {
                gateway.endpoint.handle_timeout(self.now, Self::wall());
            }
        }
    }

    /// Takes out all events and puts all messages on the network.
    fn exchange(&mut self) {
        for (from, gateway) in self.gateways.iter_mut().enumerate() {
            while let Some(event) = gateway.endpoint.poll_event() {
                gateway.event(self.now, event);
            }
            while let Some(transmit) = gateway.endpoint.poll_transmit() {
                self.network.send_ike(self.now, from, transmit.path, transmit.payload);
            }
        }
    }

    /// Both sides have the same Child SAs with the same keys, and what one has for inside the other has for outside.
    pub(crate) fn assert_same_children(&self) {
        let [west, east] = &self.gateways;
        assert_eq!(west.children.len(), east.children.len(), "{:?} {:?}", west.children.keys(), east.children.keys());
        for child in west.children.values() {
            let other = east.children.get(&child.outbound_spi).expect("the other side has it");
            assert_eq!(other.outbound_spi, child.inbound_spi);
            assert_eq!((&other.local_ts, &other.remote_ts), (&child.remote_ts, &child.local_ts));
            assert_eq!((other.suite, other.mode, &other.site_child), (child.suite, child.mode, &child.site_child));
            assert_eq!(other.udp_encap, child.udp_encap);
            for (ours, theirs) in
                [(&child.keys.inbound, &other.keys.outbound), (&child.keys.outbound, &other.keys.inbound)]
            {
                assert!(ours.encr.ct_eq(theirs.encr.expose()) && ours.integ.ct_eq(theirs.integ.expose()));
            }
        }
    }

    /// Exactly one session with these many Child SAs is left, the same on both sides.
    pub(crate) fn assert_one(&self, children: usize) {
        let sessions = self.gateways.each_ref().map(Gateway::sessions);
        assert_eq!((sessions[0].len(), sessions[1].len()), (1, 1), "{sessions:?}");
        assert_eq!(sessions[0][0].precedence, sessions[1][0].precedence);
        assert_eq!(sessions[0][0].children.len(), children, "{sessions:?}");
        self.assert_same_children();
    }

    /// Ends everything, and nothing is left once all timers have run.
    pub(crate) fn assert_empty(mut self) {
        self.network.is_cut = false;
        for side in 0..2 {
            self.ask(side, Endpoint::close_all);
        }
        self.advance(Duration::from_secs(600));
        for gateway in &self.gateways {
            assert_eq!(gateway.endpoint.snapshot(), [], "sessions are left");
            assert_eq!(gateway.endpoint.poll_timeout(), None, "timers are left");
            assert_eq!(gateway.endpoint.spis_in_use(), (0, 0), "SPIs are left");
            assert!(gateway.children.is_empty(), "Child SAs are left");
        }
    }
}
