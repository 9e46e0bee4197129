//! Which SA an inner packet leaves by: what all sending threads read.
//!
//! Single addresses are looked up in an exact map first, then networks in a prefix trie, the longest prefix first. The maps are
//! snapshots: a reader takes one without waiting, a writer replaces it. The exact map is split by the last octet of the address,
//! so that one change copies 1/256 of it; networks are few. A site's own device has a [`Lane`] instead: its packets have no
//! choice but the pairs of the site.
//!
//! Among routes to one prefix those that look at ports or protocol come first, then the newest (RFC 4301 section 4.4.1 wants
//! an order that does not change by itself).
//!
//! Does not: decide which SA of a pair and its successor sends (see [`super::registry`]), or serialize writers: the registry's
//! lock does.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use cygnet_esp::selector::{Ports, Selector, SelectorSet};
use cygnet_esp::{DropReason, OutboundSa, Spi, inner};
use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Net, Ipv6Subnets};
use prefix_trie::{Prefix, PrefixMap};

use super::checksum::Sum;
use super::claims::Holder;
use super::link_header::{self, LinkHeader};
use super::meter::Meter;
use crate::dataplane::InnerPath;
use crate::io::control_message::ControlMessages;
use crate::io::socket_address::RawAddress;

/// An outbound SA and the order of its packets.
pub(super) struct Outbound {
    pub(super) sa: OutboundSa,
    /// Held from the reservation of sequence numbers until their packets are sent: several threads may send for one SA, and a
    /// peer with a replay window of 32 packets, as many have, must not see the batch of one overtake that of another. Taken once
    /// per message, not per packet.
    pub(super) order: Mutex<()>,
}

/// How the packets of one SA pair leave. Fixed: what changes is replaced.
#[derive(Clone)]
pub(super) struct Route {
    /// Names the pair.
    pub(super) inbound_spi: Spi,
    pub(super) outbound: Arc<Outbound>,
    /// What the pair carries.
    pub(super) inner: InnerPath,
    /// Which packets leave by it. An L2TP pair has no others than those of its link.
    pub(super) selectors: Arc<SelectorSet>,
    pub(super) meter: Arc<Meter>,
    /// Of an L2TP pair, what goes in front of packets.
    pub(super) link: Option<Arc<LinkHeader>>,
    /// Of an L2TP pair over IPv6, for the checksum of the inner UDP header.
    pub(super) pseudo_header: Option<Sum>,
    /// Where to.
    pub(super) peer: RawAddress,
    /// The same, without port.
    pub(super) peer_address: IpAddr,
    /// From which of our addresses.
    pub(super) local_address: IpAddr,
    /// The outer packet is IPv6.
    pub(super) ipv6: bool,
    /// ESP in UDP.
    pub(super) in_udp: bool,
    /// From where.
    pub(super) source: ControlMessages,
    /// Index among the sockets of any worker.
    pub(super) socket: usize,
    /// Of a site with a device of its own.
    pub(super) lane: Option<Arc<Lane>>,
    /// Who the pair is for.
    pub(super) holder: Arc<Holder>,
}

impl Route {
    /// A route that leads nowhere yet.
    pub(super) fn new(
        inbound_spi: Spi,
        sa: OutboundSa,
        inner: InnerPath,
        selectors: Arc<SelectorSet>,
        meter: Arc<Meter>,
    ) -> Self {
        let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        Self {
            inbound_spi,
            outbound: Arc::new(Outbound { sa, order: Mutex::default() }),
            inner,
            selectors: if inner == InnerPath::L2tp { no_packets() } else { selectors },
            meter,
            link: None,
            pseudo_header: None,
            peer: nowhere.into(),
            peer_address: nowhere.ip(),
            local_address: nowhere.ip(),
            ipv6: false,
            in_udp: false,
            source: ControlMessages::default(),
            socket: 0,
            lane: None,
            holder: Arc::default(),
        }
    }

    /// The same for somebody.
    pub(super) fn held_by(self, holder: Arc<Holder>) -> Self {
        Self { holder, ..self }
    }

    /// The same for the packets of a site's own device.
    pub(super) fn in_lane(self, lane: Option<Arc<Lane>>) -> Self {
        Self { lane, ..self }
    }

    /// The same SA to another address.
    pub(super) fn towards(&self, peer: SocketAddr, local: IpAddr, socket: usize, in_udp: bool) -> Self {
        let mut source = ControlMessages::default();
        source.source(local);
        let pseudo_header = link_header::pseudo_header(local, peer.ip()).filter(|_| self.inner == InnerPath::L2tp);
        Self {
            peer: peer.into(),
            peer_address: peer.ip(),
            local_address: local,
            ipv6: peer.is_ipv6(),
            in_udp,
            source,
            socket,
            pseudo_header,
            ..self.clone()
        }
    }

    /// The same SA with the packets of a PPP link, or with none.
    pub(super) fn linked(&self, link: Option<Arc<LinkHeader>>) -> Self {
        let selectors = link.as_ref().map_or_else(no_packets, |link| Arc::new(link.selectors()));
        Self { link, selectors, ..self.clone() }
    }

    /// Whether another route leads the same packets to the same peer.
    pub(super) fn carries_the_same(&self, other: &Self) -> bool {
        self.peer_address == other.peer_address && self.inner == other.inner && self.selectors == other.selectors
    }

    /// Octets in front of each packet.
    pub(super) fn header_len(&self) -> usize {
        self.link.as_ref().map_or(0, |link| link.len())
    }
}

fn no_packets() -> Arc<SelectorSet> {
    Arc::new(SelectorSet::new([], []))
}

/// Routes with the same destination in their order. The selectors of each say more.
type Choice = Vec<Arc<Route>>;

/// The routes of a device that belongs to one site.
#[derive(Default)]
pub(super) struct Lane(ArcSwap<Choice>);

impl Lane {
    /// As [`Routes::find`], among the routes of this lane.
    pub(super) fn find<T>(&self, packet: &[u8], found: impl FnOnce(&Arc<Route>) -> T) -> Result<T, DropReason> {
        let choice = self.0.load();
        match choice.iter().find(|route| covers(route, packet) && route.holder.may_send_from_device(packet)) {
            Some(route) => Ok(found(route)),
            None if choice.is_empty() => Err(DropReason::NoSa),
            None => Err(DropReason::Selector),
        }
    }

    fn change(&self, change: impl Fn(&mut Choice)) {
        let mut choice = Choice::clone(&self.0.load());
        change(&mut choice);
        self.0.store(Arc::new(choice));
    }
}

type Exact = HashMap<IpAddr, Choice, foldhash::fast::RandomState>;

const SHARDS: usize = 256;

#[derive(Clone, Default)]
struct Networks {
    v4: PrefixMap<Ipv4Net, Choice>,
    v6: PrefixMap<Ipv6Net, Choice>,
}

/// See the module.
pub(super) struct Routes {
    exact: Vec<ArcSwap<Exact>>,
    networks: ArcSwap<Networks>,
}

impl Default for Routes {
    fn default() -> Self {
        let exact = (0..SHARDS).map(|_| ArcSwap::default()).collect();
        Self { exact, networks: ArcSwap::default() }
    }
}

impl Routes {
    /// Finds the route of an inner packet and hands it to `found`.
    ///
    /// [`DropReason::NoSa`] if none leads to its destination, [`DropReason::Selector`] if none of those that do may carry it, because
    /// of their selectors or of somebody else's claim, [`DropReason::Inner`] if it is no IP packet.
    pub(super) fn find<T>(&self, packet: &[u8], found: impl FnOnce(&Arc<Route>) -> T) -> Result<T, DropReason> {
        let (_, destination) = inner::addresses(packet)?;
        let exact = self.exact[shard(destination)].load();
        let by_address = exact.get(&destination);
        if let Some(route) = by_address.and_then(|choice| permitted(choice, packet)) {
            return Ok(found(route));
        }
        let networks = self.networks.load();
        let (by_network, any) = networks.find(destination, packet);
        match by_network {
            Some(route) => Ok(found(route)),
            None if any || by_address.is_some() => Err(DropReason::Selector),
            None => Err(DropReason::NoSa),
        }
    }

    /// Adds a route for all that its selectors name. It is preferred to older ones that look at no more than it does.
    pub(super) fn insert(&self, route: &Arc<Route>) {
        let narrowness = narrowness(&route.selectors);
        self.change(route, |choice| {
            let place = choice.partition_point(|older| self::narrowness(&older.selectors) > narrowness);
            choice.insert(place, route.clone());
        });
    }

    /// Puts a route in the place of the one of the same pair, in its rank.
    pub(super) fn replace(&self, route: &Arc<Route>) {
        let of_pair = |other: &&mut Arc<Route>| other.inbound_spi == route.inbound_spi;
        self.change(route, |choice| choice.iter_mut().filter(of_pair).for_each(|old| *old = route.clone()));
    }

    /// Puts a route in the place of one of the same pair that other destinations lead to. At no moment is one of the destinations
    /// that both have without a route.
    pub(super) fn exchange(&self, old: &Arc<Route>, new: &Arc<Route>) {
        self.insert(new);
        self.change(old, |choice| choice.retain(|other| !Arc::ptr_eq(other, old)));
    }

    /// Takes all routes of the same pair away.
    pub(super) fn remove(&self, route: &Route) {
        self.change(route, |choice| choice.retain(|other| other.inbound_spi != route.inbound_spi));
    }

    fn change(&self, route: &Route, change: impl Fn(&mut Choice)) {
        if let Some(lane) = &route.lane {
            return lane.change(change);
        }
        for selector in route.selectors.remote() {
            if selector.start == selector.end {
                self.change_exact(selector.start, &change);
            } else {
                self.change_networks(&networks_of(selector), &change);
            }
        }
    }

    fn change_exact(&self, address: IpAddr, change: impl Fn(&mut Choice)) {
        let shard = &self.exact[shard(address)];
        let mut map = Exact::clone(&shard.load());
        let choice = map.entry(address).or_default();
        change(choice);
        if choice.is_empty() {
            map.remove(&address);
        }
        shard.store(Arc::new(map));
    }

    fn change_networks(&self, nets: &[IpNet], change: impl Fn(&mut Choice)) {
        let mut networks = Networks::clone(&self.networks.load());
        for net in nets {
            match net {
                IpNet::V4(net) => {
                    change(networks.v4.entry(*net).or_default());
                    networks.v4.retain(|_, choice| !choice.is_empty());
                }
                IpNet::V6(net) => {
                    change(networks.v6.entry(*net).or_default());
                    networks.v6.retain(|_, choice| !choice.is_empty());
                }
            }
        }
        self.networks.store(Arc::new(networks));
    }
}

impl Networks {
    /// The route for a packet to `destination`, and whether any network contains that.
    fn find(&self, destination: IpAddr, packet: &[u8]) -> (Option<&Arc<Route>>, bool) {
        match destination {
            IpAddr::V4(address) => find_in(&self.v4, &Ipv4Net::from(address), packet),
            IpAddr::V6(address) => find_in(&self.v6, &Ipv6Net::from(address), packet),
        }
    }
}

fn find_in<'a, P: Prefix>(
    networks: &'a PrefixMap<P, Choice>,
    address: &P,
    packet: &[u8],
) -> (Option<&'a Arc<Route>>, bool) {
    let Some((_, longest)) = networks.get_lpm(address) else { return (None, false) };
    // The longest prefix nearly always has the route; if its selectors name other ports, a shorter one may.
    let route = permitted(longest, packet)
        .or_else(|| networks.cover_values(address).filter_map(|choice| permitted(choice, packet)).last());
    (route, true)
}

/// How much the selectors look at beside addresses.
pub(super) fn narrowness(selectors: &SelectorSet) -> u8 {
    let of_one = |selector: &Selector| u8::from(selector.protocol != 0) + u8::from(selector.ports != Ports::Any);
    let of_side = |side: &[Selector]| side.iter().map(of_one).min().unwrap_or(0);
    of_side(selectors.local()) + of_side(selectors.remote())
}

fn permitted<'a>(choice: &'a Choice, packet: &[u8]) -> Option<&'a Arc<Route>> {
    choice.iter().find(|route| covers(route, packet) && route.holder.may_send(packet))
}

fn covers(route: &Route, packet: &[u8]) -> bool {
    route.selectors.check_outbound(packet).is_ok()
}

/// The fewest prefixes that contain all that goes by a route.
pub(super) fn destinations(route: &Route) -> Vec<IpNet> {
    let nets = route.selectors.remote().iter().flat_map(|selector| match selector.start == selector.end {
        true => vec![selector.start.into()],
        false => networks_of(selector),
    });
    IpNet::aggregate(&nets.collect())
}

fn shard(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(address) => usize::from(address.octets()[3]),
        IpAddr::V6(address) => usize::from(address.octets()[15]),
    }
}

/// The fewest prefixes that make up a range of addresses.
pub(super) fn networks_of(selector: &Selector) -> Vec<IpNet> {
    match (selector.start, selector.end) {
        (IpAddr::V4(start), IpAddr::V4(end)) => Ipv4Subnets::new(start, end, 0).map(IpNet::V4).collect(),
        (IpAddr::V6(start), IpAddr::V6(end)) => Ipv6Subnets::new(start, end, 0).map(IpNet::V6).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::testing::Segment;
    use super::*;
    use cygnet_esp::secret::Secret;
    use cygnet_esp::{OutboundConfig, SaKeys, Suite, Transform};
    use proptest::prelude::*;

    pub(in super::super) fn outbound() -> OutboundSa {
        let suite = Suite { transform: Transform::ChaCha20Poly1305, esn: false };
        let keys = SaKeys { encr: Secret::new(vec![1; 36]), integ: Secret::new(Vec::new()) };
        OutboundSa::new(OutboundConfig { spi: Spi(0xc0ffee), suite, keys, soft_limit: None }).unwrap()
    }

    pub(in super::super) fn route(spi: u32, remote: &[Selector]) -> Arc<Route> {
        let everywhere = [range("0.0.0.0", "255.255.255.255"), range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")];
        let selectors = SelectorSet::new(everywhere, remote);
        let nowhere = Route::new(Spi(spi), outbound(), InnerPath::Ip, Arc::new(selectors), Arc::default());
        Arc::new(nowhere.towards("198.51.100.7:4500".parse().unwrap(), "192.0.2.1".parse().unwrap(), 0, false))
    }

    pub(in super::super) fn range(start: &str, end: &str) -> Selector {
        Selector::addresses(start.parse().unwrap(), end.parse().unwrap())
    }

    fn to(destination: &str) -> Vec<u8> {
        to_address(destination.parse().unwrap())
    }

    fn to_address(destination: IpAddr) -> Vec<u8> {
        let mut packet = Segment { ipv6: destination.is_ipv6(), ..Segment::udp(b"") }.emit();
        match destination {
            IpAddr::V4(address) => packet[16..20].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => packet[24..40].copy_from_slice(&address.octets()),
        }
        packet
    }

    fn find(routes: &Routes, destination: &str) -> Result<u32, DropReason> {
        routes.find(&to(destination), |route| route.inbound_spi.0)
    }

    #[test]
    fn an_address_wins_over_a_network_and_a_longer_prefix_over_a_shorter() {
        let routes = Routes::default();
        let [wide, narrow, host] = [
            route(1, &[range("10.0.0.0", "10.255.255.255"), range("fd00::", "fd00::ffff")]),
            route(2, &[range("10.20.0.0", "10.20.255.255")]),
            route(3, &[range("10.20.0.9", "10.20.0.9"), range("fd00::9", "fd00::9")]),
        ];
        [&wide, &narrow, &host].into_iter().for_each(|route| routes.insert(route));
        let found = ["10.1.2.3", "10.20.1.1", "10.20.0.9", "fd00::1", "fd00::9"].map(|d| find(&routes, d));
        assert_eq!(found, [Ok(1), Ok(2), Ok(3), Ok(1), Ok(3)]);
        assert_eq!(find(&routes, "11.0.0.1"), Err(DropReason::NoSa));

        routes.remove(&host);
        assert_eq!([find(&routes, "10.20.0.9"), find(&routes, "fd00::9")], [Ok(2), Ok(1)]);
        routes.remove(&narrow);
        routes.remove(&wide);
        assert_eq!(find(&routes, "10.20.0.9"), Err(DropReason::NoSa));
        assert!(routes.exact.iter().all(|shard| shard.load().is_empty()));
    }

    #[test]
    fn the_newest_route_that_may_carry_a_packet_wins() {
        let routes = Routes::default();
        let tcp_only = Selector { protocol: 6, ports: Ports::Any, ..range("10.0.0.1", "10.0.0.1") };
        routes.insert(&route(1, &[range("10.0.0.1", "10.0.0.1")]));
        routes.insert(&route(2, &[tcp_only]));
        assert_eq!(find(&routes, "10.0.0.1"), Ok(1));
        let newest = route(3, &[range("10.0.0.1", "10.0.0.1")]);
        routes.insert(&newest);
        assert_eq!(find(&routes, "10.0.0.1"), Ok(3));
        routes.remove(&newest);
        routes.remove(&route(1, &[range("10.0.0.1", "10.0.0.1")]));
        assert_eq!(find(&routes, "10.0.0.1"), Err(DropReason::Selector));
    }

    fn tcp(destination: &str, port: u16) -> Vec<u8> {
        let mut packet = Segment { ports: [40_000, port], ..Segment::tcp(b"") }.emit();
        let IpAddr::V4(address) = destination.parse().unwrap() else { panic!("IPv4") };
        packet[16..20].copy_from_slice(&address.octets());
        packet
    }

    #[test]
    fn selectors_with_ports_come_before_those_without_and_leave_the_rest_to_shorter_prefixes() {
        let https = |range: Selector| Selector { protocol: 6, ports: Ports::Range(443, 443), ..range };
        let routes = Routes::default();
        let network = range("10.1.0.0", "10.1.255.255");
        for route in [
            route(1, &[https(network)]),
            route(2, &[network]),
            route(3, &[range("10.0.0.0", "10.255.255.255")]),
            route(4, &[https(range("10.9.0.0", "10.9.255.255"))]),
            route(5, &[https(range("10.9.0.7", "10.9.0.7"))]),
        ] {
            routes.insert(&route);
        }
        let spi = |packet: &[u8]| routes.find(packet, |route| route.inbound_spi.0);
        assert_eq!([spi(&tcp("10.1.2.3", 443)), spi(&tcp("10.1.2.3", 80))], [Ok(1), Ok(2)], "the newer one is wider");
        assert_eq!([spi(&tcp("10.9.0.7", 443)), spi(&tcp("10.9.0.8", 443))], [Ok(5), Ok(4)]);
        assert_eq!([spi(&tcp("10.9.0.7", 80)), spi(&to("10.9.0.8"))], [Ok(3), Ok(3)]);
        assert_eq!(spi(&tcp("11.0.0.1", 443)), Err(DropReason::NoSa));
    }

    #[test]
    fn a_lane_has_the_routes_of_its_device_only() {
        let (routes, lane) = (Routes::default(), Arc::new(Lane::default()));
        let anything = [range("0.0.0.0", "255.255.255.255")];
        let in_lane = |spi| {
            let route = Arc::into_inner(route(spi, &anything)).unwrap();
            Arc::new(route.in_lane(Some(lane.clone())))
        };
        let spi = || lane.find(&to("10.0.0.1"), |route| route.inbound_spi.0);
        assert_eq!(spi(), Err(DropReason::NoSa));
        let (older, newer) = (in_lane(1), in_lane(2));
        routes.insert(&older);
        routes.insert(&newer);
        assert_eq!((spi(), find(&routes, "10.0.0.1")), (Ok(2), Err(DropReason::NoSa)));
        assert_eq!(lane.find(&to("fd00::1"), |_| ()), Err(DropReason::Selector));
        routes.remove(&newer);
        assert_eq!(spi(), Ok(1));
        routes.remove(&older);
        assert_eq!(spi(), Err(DropReason::NoSa));
    }

    #[test]
    fn a_pair_leads_where_its_link_does() {
        let routes = Routes::default();
        let unlinked = Route::new(Spi(1), outbound(), InnerPath::L2tp, route(1, &[]).selectors.clone(), Arc::default());
        let unlinked = Arc::new(unlinked);
        routes.insert(&unlinked);
        assert_eq!(find(&routes, "10.0.0.1"), Err(DropReason::NoSa));
        let link =
            crate::dataplane::Link { addresses: vec!["10.0.0.1".parse().unwrap()], ..link_header::tests::link() };
        let v4 = Arc::new(unlinked.linked(Some(Arc::new(LinkHeader::new(link.clone())))));
        routes.exchange(&unlinked, &v4);
        assert_eq!((find(&routes, "10.0.0.1"), find(&routes, "fd00:0:10::1")), (Ok(1), Err(DropReason::NoSa)));
        let both = Arc::new(v4.linked(Some(Arc::new(LinkHeader::new(link_header::tests::link())))));
        routes.exchange(&v4, &both);
        assert_eq!((find(&routes, "10.0.0.1"), find(&routes, "fd00:0:10::1")), (Ok(1), Ok(1)));
        routes.exchange(&both, &Arc::new(both.linked(None)));
        assert!(routes.exact.iter().all(|shard| shard.load().is_empty()));
    }

    #[test]
    fn what_is_no_ip_packet_has_no_route() {
        let routes = Routes::default();
        for packet in [&[][..], &[0x45; 19], &[0x60; 39], &[0x00; 60]] {
            assert_eq!(routes.find(packet, |_| ()), Err(DropReason::Inner));
        }
    }

    #[test]
    fn a_moved_route_keeps_its_sa_and_meter() {
        let before = route(1, &[range("10.0.0.1", "10.0.0.1")]);
        let peer: SocketAddr = "[2001:db8::7]:4500".parse().unwrap();
        let after = before.towards(peer, "2001:db8::1".parse().unwrap(), 5, true);
        assert!(Arc::ptr_eq(&before.outbound, &after.outbound) && Arc::ptr_eq(&before.meter, &after.meter));
        assert_eq!((after.ipv6, after.socket, after.inbound_spi), (true, 5, Spi(1)));
        assert_eq!(after.peer.as_bytes(), RawAddress::from(peer).as_bytes());
    }

    proptest! {
        /// The slow twin: a list searched from its newest entry, narrowest range first.
        #[test]
        fn equals_a_linear_search(
            ranges in proptest::collection::vec((0_u8..60, 0_u8..60), 1..12),
            removed in proptest::collection::vec(any::<bool>(), 12),
        ) {
            let routes = Routes::default();
            let address = |last: u8| IpAddr::from(Ipv4Addr::new(10, 0, 0, last));
            let list: Vec<_> = ranges.iter().enumerate().map(|(n, (a, b))| {
                let selector = Selector::addresses(address(*a.min(b)), address(*a.max(b)));
                route(u32::try_from(n).unwrap(), &[selector])
            }).collect();
            list.iter().for_each(|route| routes.insert(route));
            list.iter().zip(&removed).filter(|(_, gone)| **gone).for_each(|(route, _)| routes.remove(route));
            for last in 0..60 {
                let covers = |net: &IpNet| net.contains(&address(last));
                let best = list.iter().zip(&removed).enumerate().filter(|(_, (_, gone))| !**gone).filter_map(|(n, (route, _))| {
                    let selector = &route.selectors.remote()[0];
                    let nets = networks_of(selector);
                    let exact = selector.start == selector.end && selector.start == address(last);
                    let len = if exact { Some(33) } else { nets.iter().filter(|n| covers(n)).map(IpNet::prefix_len).max() };
                    len.map(|len| (len, n))
                }).max();
                let found = routes.find(&to_address(address(last)), |route| route.inbound_spi.0 as usize);
                prop_assert_eq!(found.ok(), best.map(|(_, n)| n));
            }
        }
    }
}
