//! L2TP and XAUTH clients around one gateway on a virtual clock: IKEv1, L2TP and PPP of each, their NATs, and the daemon played
//! by hand.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use cygnet_ike::testing::v1::{V1Client, V1ClientConfig, V1End, V1Task};
use cygnet_ike::{ChildSa, EspSpi, Path, Transmit};
use cygnet_l2tp::testing::{Flavor, Lac, LacConfig, LacEvent};
use cygnet_ppp::testing::{Peer, Profile};

use super::super::Effect;
use super::{KEY, Site};
use crate::dataplane::Link;

/// Where the gateway is.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// What every home router gives to its first client.
pub(super) const HOME: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);

/// A device with somebody who wants to log in.
pub(super) struct Dialer {
    pub(super) ike: V1Client,
    pub(super) lac: Lac,
    pub(super) ppp: Option<Peer>,
    /// What the gateway said when it ended L2TP.
    pub(super) farewell: Option<LacEvent>,
    profile: Profile,
    user: String,
    password: String,
    /// Its NAT: the outer address, and what is added to its ports.
    outside: (Ipv4Addr, u16),
    dials_l2tp: bool,
    vanished: bool,
}

/// How a device is to be.
pub(super) struct Device<'a> {
    pub(super) ike: V1ClientConfig,
    pub(super) lac: LacConfig,
    pub(super) profile: Profile,
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    /// Outer address.
    pub(super) from: &'a str,
}

impl<'a> Device<'a> {
    /// A Windows laptop behind a home router.
    pub(super) fn windows(user: &'a str, password: &'a str, from: &'a str) -> Self {
        Self {
            ike: cygnet_ike::testing::v1::stock::Stock::Windows10.config(KEY.as_bytes(), HOME, SERVER),
            lac: LacConfig::new(Flavor::Windows),
            profile: Profile::windows(),
            user,
            password,
            from,
        }
    }

    pub(super) fn named(mut self, host_name: &str) -> Self {
        self.lac.host_name = host_name.to_owned();
        self
    }
}

/// One gateway and its clients.
pub(super) struct World {
    pub(super) site: Site,
    pub(super) dialers: Vec<Dialer>,
    /// What the data plane carries, by inbound SPI.
    pub(super) links: BTreeMap<EspSpi, Link>,
    pub(super) children: BTreeMap<EspSpi, Box<ChildSa>>,
    /// By which pair L2TP went out last.
    pub(super) sent_by: Option<EspSpi>,
    /// MTU of the last host routes.
    pub(super) route_mtu: Option<u16>,
}

impl World {
    pub(super) fn new(site: Site) -> Self {
        let (dialers, links, children) = Default::default();
        Self { site, dialers, links, children, sent_by: None, route_mtu: None }
    }

    /// Lets a device dial, and the world go on for ten seconds. Gives back its index.
    pub(super) fn dial(&mut self, device: Device<'_>) -> usize {
        let index = self.start(device, true);
        self.run_for(Duration::from_secs(10));
        index
    }

    /// Lets a device begin with IKE.
    pub(super) fn start(&mut self, device: Device<'_>, dials_l2tp: bool) -> usize {
        let index = self.dialers.len();
        let local = SocketAddr::new(HOME.into(), 500);
        let path = Path { local, peer: SocketAddr::new(SERVER.into(), 500) };
        let seed = 1000 + index as u64;
        let mut ike = V1Client::new(device.ike, path, self.site.now.unix(), seed);
        ike.start(self.site.now.instant);
        self.dialers.push(Dialer {
            ike,
            lac: Lac::new(device.lac),
            ppp: None,
            farewell: None,
            profile: device.profile,
            user: device.user.to_owned(),
            password: device.password.to_owned(),
            outside: (device.from.parse().unwrap(), 1000 * u16::try_from(index + 1).unwrap()),
            dials_l2tp,
            vanished: false,
        });
        self.exchange();
        index
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.site.now.instant + time;
        loop {
            self.exchange();
            let next = self.dialers.iter().filter_map(Dialer::due).chain(self.site.gateway.poll_timeout()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.advance_to(next.max(self.site.now.instant));
            self.site.gateway.handle_timeout(self.site.now);
            for dialer in self.dialers.iter_mut().filter(|d| !d.vanished) {
                dialer.handle_timeout(self.site.now.instant);
            }
        }
        self.advance_to(end);
    }

    fn advance_to(&mut self, instant: Instant) {
        let passed = instant - self.site.now.instant;
        self.site.now.instant = instant;
        self.site.now.wall += jiff::SignedDuration::try_from(passed).unwrap();
    }

    /// Carries everything to and fro until nobody has anything to say.
    pub(super) fn exchange(&mut self) {
        for _ in 0..500 {
            let mut quiet = true;
            for index in 0..self.dialers.len() {
                quiet &= !self.speak(index);
            }
            while let Some(effect) = self.site.gateway.poll_effect() {
                quiet = false;
                self.perform(effect);
            }
            if quiet {
                return;
            }
        }
        panic!("they never stop talking");
    }

    /// Carries what one client has to say; whether it was anything.
    fn speak(&mut self, index: usize) -> bool {
        let now = self.site.now;
        let dialer = &mut self.dialers[index];
        if dialer.vanished {
            return false;
        }
        let spi = dialer.settle(now.instant);
        let mut spoke = false;
        while let Some(Transmit { path, payload }) = self.dialers[index].ike.poll_transmit() {
            spoke = true;
            let ours = Path { local: path.peer, peer: self.dialers[index].outer(path.local) };
            self.site.gateway.handle_datagram(now, ours, &payload);
        }
        while let Some(datagram) = self.dialers[index].lac.poll_transmit() {
            spoke = true;
            let port = self.dialers[index].lac.config.port;
            if let Some(spi) = spi {
                self.site.hear(spi);
                self.site.gateway.handle_l2tp(now, spi, port, &datagram);
            }
        }
        spoke
    }

    fn perform(&mut self, effect: Effect) {
        let now = self.site.now.instant;
        match effect {
            Effect::Send(Transmit { path, payload }) => {
                let to = self.dialers.iter_mut().find(|d| !d.vanished && d.outer(d.ike.path().local) == path.peer);
                if let Some(dialer) = to {
                    dialer.ike.handle_datagram(now, &payload);
                }
            }
            Effect::SendL2tp { inbound_spi, port, datagram } => {
                assert!(self.children.contains_key(&inbound_spi), "the pair is installed");
                self.sent_by = Some(inbound_spi);
                let owns = |d: &&mut Dialer| !d.vanished && d.ike.children.iter().any(|c| c.outbound == inbound_spi);
                if let Some(dialer) = self.dialers.iter_mut().find(owns) {
                    assert_eq!(port, dialer.lac.config.port);
                    dialer.lac.handle_datagram(now, &datagram);
                }
            }
            Effect::Admit { session, addresses, mtu } => {
                if self.site.host.is_ok() {
                    self.route_mtu = mtu;
                    self.site.routed.extend(addresses);
                }
                self.site.gateway.admitted(self.site.now, session, self.site.host.clone());
            }
            Effect::Expel { addresses } => self.site.routed.retain(|a| !addresses.contains(a)),
            Effect::Install { child, replaces, .. } => {
                if let Some(link) = replaces.and_then(|old| self.links.remove(&old)) {
                    self.links.insert(child.inbound_spi, link);
                }
                self.children.insert(child.inbound_spi, child);
            }
            Effect::Remove { inbound_spi } => {
                let of_ikev2 = self.site.installed.iter().any(|(child, _)| child.inbound_spi == inbound_spi);
                assert!(self.children.remove(&inbound_spi).is_some() || of_ikev2, "it was installed");
                self.links.remove(&inbound_spi);
            }
            Effect::Link { inbound_spi, link: Some(link) } => {
                assert!(self.children.contains_key(&inbound_spi), "the pair is installed");
                self.links.insert(inbound_spi, link);
            }
            Effect::Link { inbound_spi, link: None } => {
                self.links.remove(&inbound_spi);
            }
            Effect::Move { inbound_spi, path, .. } => self.children.get_mut(&inbound_spi).unwrap().path = path,
            Effect::Resolve { .. } | Effect::LocalAddress { .. } | Effect::Traps(_) => {}
        }
    }

    pub(super) fn task(&mut self, index: usize, task: V1Task) {
        self.dialers[index].ike.enqueue(self.site.now.instant, task);
        self.run_for(Duration::from_secs(5));
    }

    /// The address inside that PPP gave, if any.
    pub(super) fn inside(&self, index: usize) -> Option<Ipv4Addr> {
        self.dialers[index].ppp.as_ref().and_then(Peer::ipv4)
    }

    pub(super) fn vanish(&mut self, index: usize) {
        self.dialers[index].vanished = true;
    }

    /// Ends L2TP as this device does, and lets a second pass.
    pub(super) fn hang_up(&mut self, index: usize) {
        self.dialers[index].lac.hang_up(self.site.now.instant);
        self.run_for(Duration::from_secs(1));
    }

    /// The device is behind another NAT from now on.
    pub(super) fn move_to(&mut self, index: usize, from: &str) {
        self.dialers[index].outside = (from.parse().unwrap(), 7777);
    }
}

impl Dialer {
    /// Lets its layers talk to each other. Gives back the pair that it sends by.
    fn settle(&mut self, now: Instant) -> Option<EspSpi> {
        let spi = self.ike.children.last().map(|child| child.outbound);
        if self.dials_l2tp && spi.is_some() {
            self.dials_l2tp = false;
            self.lac.connect(now);
        }
        while let Some(event) = self.lac.poll_event() {
            match event {
                LacEvent::Connected { .. } => {
                    let (profile, magic) = (self.profile.clone(), 0x5eed_0001);
                    self.ppp = Some(Peer::new(profile, &self.user, &self.password, magic, now));
                }
                LacEvent::Frame(frame) => {
                    if let Some(ppp) = &mut self.ppp {
                        ppp.handle_frame(now, &frame);
                    }
                }
                end => self.farewell = Some(end),
            }
        }
        while let Some(frame) = self.ppp.as_mut().and_then(Peer::poll_transmit) {
            self.lac.send_frame(&frame);
        }
        spi
    }

    fn due(&self) -> Option<Instant> {
        let ppp = self.ppp.as_ref().and_then(Peer::poll_timeout);
        let all = [self.ike.poll_timeout(), self.lac.poll_timeout(), ppp];
        all.into_iter().flatten().min().filter(|_| !self.vanished)
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.ike.handle_timeout(now);
        self.lac.handle_timeout(now);
        if let Some(ppp) = &mut self.ppp {
            ppp.handle_timeout(now);
        }
    }

    /// What its NAT makes of one of its addresses.
    fn outer(&self, inner: SocketAddr) -> SocketAddr {
        let (address, offset) = self.outside;
        SocketAddr::new(address.into(), inner.port() + offset)
    }

    pub(super) fn end(&self) -> Option<&V1End> {
        self.ike.end()
    }
}
