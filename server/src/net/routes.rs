//! Routes to clients and sites: one per lease or remote network, to a TUN, marked with our protocol number.
//!
//! [`Routes`] keeps what is wanted beside what the kernel has, so that [`Routes::repair`] can put right what others
//! removed. Routes that lack our mark are never touched.
//!
//! A site's network has a second route of the last resort that leads nowhere: if the TUN is gone, by a crash or by hand, its
//! packets are refused instead of taking the default route unencrypted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::RouteMessageBuilder;

use super::NetError;
use super::link::Netlink;
use super::policy;

/// Marks our routes (rtm_protocol), so that routing daemons can redistribute them and we find them after a crash.
///
/// 67 is assigned neither in the kernel's `rtnetlink.h` nor in iproute2's `rt_protos`.
pub const ROUTE_PROTOCOL: u8 = 67;

/// Metric of the routes that lead nowhere: any other is preferred.
const LAST_RESORT: u32 = u32::MAX - 1;

/// How packets to a network leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// Index of the interface; `None`: the gateway's TUN.
    pub device: Option<u32>,
    /// Largest packet, octets, where it is not the interface's. The kernel then fragments, answers "too big" and clamps TCP by it.
    pub mtu: Option<u16>,
    /// Largest TCP segment to ask peers for, octets; `None`: as the MTU says.
    pub segment: Option<u16>,
    /// What the gateway's own packets have as source; `None`: as the kernel chooses.
    pub source: Option<IpAddr>,
    /// Which table it is in.
    pub table: Table,
    /// Without the interface nothing may go there: see the module.
    pub guarded: bool,
}

/// Where a route is looked for; see [`super::policy`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Among all others.
    #[default]
    Main,
    /// As if among all others, and before those to the same network, but not by the gateway's own packets.
    AroundUs,
}

/// What [`Routes::repair`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Missing routes that were added, and routing rules that were put right.
    pub added: usize,
    /// Marked routes that nobody wants, removed.
    pub removed: usize,
}

/// The routes that should exist, and the means to make them exist.
pub struct Routes {
    netlink: Netlink,
    tun: u32,
    wanted: BTreeMap<IpNet, Way>,
    /// What the paths behind some of them take; see [`Routes::limit`].
    limits: BTreeMap<IpNet, u16>,
}

/// The routes of one moment.
pub struct Snapshot {
    wanted: BTreeMap<IpNet, Way>,
    limits: BTreeMap<IpNet, u16>,
}

impl Routes {
    /// Takes the main table's routes with our mark over: what a crash left is removed.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn start(netlink: Netlink, tun_index: u32) -> Result<Self, NetError> {
        let mut routes = Self { netlink, tun: tun_index, wanted: BTreeMap::new(), limits: BTreeMap::new() };
        routes.repair().await?;
        Ok(routes)
    }

    /// Adds a route to the TUN. It is in place when this returns; one that was there already is no error, and gets the new MTU.
    ///
    /// `mtu`: see [`Way::mtu`].
    ///
    /// # Errors
    /// If the kernel refuses, for one because somebody else has a route to the same network; nothing is wanted then.
    pub async fn add(&mut self, net: IpNet, mtu: Option<u16>) -> Result<(), NetError> {
        self.lead(net, Way { mtu, ..Way::default() }).await
    }

    /// As [`Routes::add`], by any way.
    ///
    /// # Errors
    /// As [`Routes::add`].
    pub async fn lead(&mut self, net: IpNet, way: Way) -> Result<(), NetError> {
        let net = net.trunc();
        let before = self.wanted.get(&net).copied();
        if before == Some(way) {
            return Ok(());
        }
        if before.is_some_and(|before| (before.table, before.guarded) != (way.table, way.guarded)) {
            self.remove(net).await?;
        }
        for route in self.routes(net, way) {
            self.add_to_kernel(net, route).await?;
        }
        self.wanted.insert(net, way);
        self.repair_rules().await.map(|_| ())
    }

    /// Says how long packets by the route to a network may be, octets, because of the path behind its tunnel; `None`: as long as the
    /// route says. The route is the one with the longest prefix that contains the network; without one nothing happens.
    ///
    /// # Errors
    /// If the kernel refuses; [`Routes::repair`] tries again.
    pub async fn limit(&mut self, net: IpNet, mtu: Option<u16>) -> Result<(), NetError> {
        let covering = self.wanted.iter().filter(|(route, _)| route.contains(&net));
        let Some((&net, &way)) = covering.max_by_key(|(route, _)| route.prefix_len()) else { return Ok(()) };
        let before = match mtu {
            Some(mtu) => self.limits.insert(net, mtu),
            None => self.limits.remove(&net),
        };
        if before == mtu { Ok(()) } else { self.add_to_kernel(net, self.route(net, way)).await }
    }

    /// Takes a route away; one that isn't there is no error.
    ///
    /// # Errors
    /// If the kernel refuses; [`Routes::repair`] tries again.
    pub async fn remove(&mut self, net: IpNet) -> Result<(), NetError> {
        let net = net.trunc();
        let Some(way) = self.wanted.remove(&net) else { return Ok(()) };
        let limit = self.limits.remove(&net);
        let way = Way { mtu: limit.into_iter().chain(way.mtu).min(), ..way };
        for route in self.routes(net, way) {
            self.remove_from_kernel(route).await?;
        }
        if way.table == Table::Main { Ok(()) } else { self.repair_rules().await.map(|_| ()) }
    }

    /// The connection to the kernel.
    pub(super) fn netlink(&self) -> &Netlink {
        &self.netlink
    }

    /// What should be there.
    pub fn wanted(&self) -> impl Iterator<Item = IpNet> {
        self.wanted.keys().copied()
    }

    /// What should be there, to come back to with [`Routes::restore`].
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { wanted: self.wanted.clone(), limits: self.limits.clone() }
    }

    /// Makes what should be there what it was at that moment.
    ///
    /// # Errors
    /// If the kernel refuses; [`Routes::repair`] tries again.
    pub async fn restore(&mut self, Snapshot { wanted, limits }: Snapshot) -> Result<(), NetError> {
        (self.wanted, self.limits) = (wanted, limits);
        self.repair().await.map(|_| ())
    }

    /// Compares the kernel's table with what is wanted and puts it right. Cheap when nothing is wrong.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn repair(&mut self) -> Result<Repaired, NetError> {
        let mut missing: Vec<(IpNet, RouteMessage)> = Vec::new();
        for (&net, &way) in &self.wanted {
            missing.extend(self.routes(net, way).map(|route| (net, route)));
        }
        let mut index: BTreeMap<Identity, usize> =
            missing.iter().enumerate().map(|(place, (_, route))| (Identity::of(route), place)).collect();
        let mut repaired = Repaired::default();
        let mut there = BTreeSet::new();
        for route in self.ours().await? {
            match index.remove(&Identity::of(&route)) {
                Some(place) => drop(there.insert(place)),
                None => {
                    self.remove_from_kernel(route).await?;
                    repaired.removed += 1;
                }
            }
        }
        for (_, (net, route)) in missing.into_iter().enumerate().filter(|(place, _)| !there.contains(place)) {
            self.add_to_kernel(net, route).await?;
            repaired.added += 1;
        }
        repaired.added += self.repair_rules().await?;
        Ok(repaired)
    }

    /// Routing rules for the tables that have routes. Returns how many were put right.
    async fn repair_rules(&self) -> Result<usize, NetError> {
        let mut changed = 0;
        for ipv6 in [false, true] {
            let around = self.wanted.iter().filter(|(_, way)| way.table == Table::AroundUs);
            let of_family = around.map(|(net, _)| net).filter(|net| net.addr().is_ipv6() == ipv6);
            let prefix_lens = of_family.map(IpNet::prefix_len).collect();
            changed += policy::repair(&self.netlink, ipv6, &prefix_lens).await?;
        }
        Ok(changed)
    }

    /// Removes all ways; the routes that lead nowhere stay until [`Routes::close`].
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn withdraw(&mut self) -> Result<(), NetError> {
        self.wanted.clear();
        for route in self.ours().await?.into_iter().filter(|route| route.header.kind != RouteType::Unreachable) {
            self.remove_from_kernel(route).await?;
        }
        Ok(())
    }

    /// Removes all our routes.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn close(mut self) -> Result<(), NetError> {
        self.wanted.clear();
        self.repair().await.map(|_| ())
    }

    /// The routes that bear our mark, in the main table and our own.
    async fn ours(&self) -> Result<Vec<RouteMessage>, NetError> {
        let mut all = self.netlink.route_messages().await?;
        all.retain(|route| {
            let table = table_of(route);
            route.header.protocol == RouteProtocol::Other(ROUTE_PROTOCOL)
                && (table == u32::from(RouteHeader::RT_TABLE_MAIN) || policy::is_ours(table))
        });
        Ok(all)
    }

    async fn add_to_kernel(&self, net: IpNet, route: RouteMessage) -> Result<(), NetError> {
        let Err(error) = self.netlink.handle.route().add(route.clone()).execute().await else { return Ok(()) };
        let there = if errno(&error) == Some(libc::EEXIST) { self.in_kernel(&route).await? } else { None };
        let replaced = match there {
            Some(there) if Identity::of(&there) == Identity::of(&route) => Ok(()),
            // Only what is ours is replaced.
            Some(_) => self.netlink.handle.route().add(route).replace().execute().await,
            None => Err(error),
        };
        replaced.map_err(|error| NetError::netlink(format!("add the route to {net}"), &error))
    }

    /// Ours that is in the way of another one of ours.
    async fn in_kernel(&self, route: &RouteMessage) -> Result<Option<RouteMessage>, NetError> {
        let place = |route: &RouteMessage| (destination_of(route), table_of(route), route.header.kind);
        Ok(self.ours().await?.into_iter().find(|there| place(there) == place(route)))
    }

    async fn remove_from_kernel(&self, route: RouteMessage) -> Result<(), NetError> {
        let net = destination_of(&route);
        match self.netlink.handle.route().del(route).execute().await {
            Err(error) if errno(&error) != Some(libc::ESRCH) => {
                let net = net.map_or_else(|| "a network".to_owned(), |net| net.to_string());
                Err(NetError::netlink(format!("remove the route to {net}"), &error))
            }
            _ => Ok(()),
        }
    }

    /// What the kernel has to have for a way.
    fn routes(&self, net: IpNet, way: Way) -> impl Iterator<Item = RouteMessage> + use<> {
        let guard = way.guarded.then(|| last_resort(net, way.table));
        std::iter::once(self.route(net, way)).chain(guard)
    }

    fn route(&self, net: IpNet, way: Way) -> RouteMessage {
        let mut route = message(net, way.table);
        route.attributes.push(RouteAttribute::Oif(way.device.unwrap_or(self.tun)));
        if net.addr().is_ipv4() {
            route.header.scope = RouteScope::Link;
        }
        let mtu = self.limits.get(&net).copied().into_iter().chain(way.mtu).min();
        let mtu = mtu.map(|mtu| RouteMetric::Mtu(mtu.into()));
        let metrics: Vec<_> =
            mtu.into_iter().chain(way.segment.map(|segment| RouteMetric::Advmss(segment.into()))).collect();
        if !metrics.is_empty() {
            route.attributes.push(RouteAttribute::Metrics(metrics));
        }
        let source = way.source.filter(|source| source.is_ipv4() == net.addr().is_ipv4());
        route.attributes.extend(source.map(|source| RouteAttribute::PrefSource(source.into())));
        route
    }
}

fn last_resort(net: IpNet, table: Table) -> RouteMessage {
    let mut route = message(net, table);
    route.header.kind = RouteType::Unreachable;
    route.attributes.push(RouteAttribute::Priority(LAST_RESORT));
    route
}

/// A route that leads nowhere yet.
fn message(net: IpNet, table: Table) -> RouteMessage {
    let protocol = RouteProtocol::Other(ROUTE_PROTOCOL);
    match net {
        IpNet::V4(net) => RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(net.network(), net.prefix_len())
            .table_id(table.id(net.prefix_len()))
            .protocol(protocol)
            .build(),
        IpNet::V6(net) => RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(net.network(), net.prefix_len())
            .table_id(table.id(net.prefix_len()))
            .protocol(protocol)
            .build(),
    }
}

impl Table {
    fn id(self, prefix_len: u8) -> u32 {
        match self {
            Self::Main => RouteHeader::RT_TABLE_MAIN.into(),
            Self::AroundUs => policy::table(prefix_len),
        }
    }
}

/// What makes two route messages the same route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    net: Option<IpNet>,
    table: u32,
    /// Leads to this interface; `None`: nowhere.
    device: Option<u32>,
    mtu: Option<u16>,
    source: Option<IpAddr>,
}

impl Identity {
    fn of(route: &RouteMessage) -> Self {
        let leads = route.header.kind == RouteType::Unicast;
        let source = route.attributes.iter().find_map(|a| match a {
            RouteAttribute::PrefSource(address) => ip(address),
            _ => None,
        });
        Self {
            net: destination_of(route),
            table: table_of(route),
            device: interface_of(route).filter(|_| leads),
            mtu: mtu_of(route),
            source,
        }
    }
}

fn table_of(route: &RouteMessage) -> u32 {
    let attribute = route.attributes.iter().find_map(|a| match a {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    attribute.unwrap_or_else(|| route.header.table.into())
}

/// A route's own MTU.
fn mtu_of(route: &RouteMessage) -> Option<u16> {
    let metrics = route.attributes.iter().find_map(|a| match a {
        RouteAttribute::Metrics(metrics) => Some(metrics),
        _ => None,
    });
    metrics?.iter().find_map(|metric| match metric {
        RouteMetric::Mtu(mtu) => u16::try_from(*mtu).ok(),
        _ => None,
    })
}

/// Index of a route's outgoing interface.
pub(super) fn interface_of(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|a| match a {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}

/// A route's next hop.
pub(super) fn gateway_of(route: &RouteMessage) -> Option<IpAddr> {
    route.attributes.iter().find_map(|a| match a {
        RouteAttribute::Gateway(address) => ip(address),
        _ => None,
    })
}

fn destination_of(route: &RouteMessage) -> Option<IpNet> {
    let address = route.attributes.iter().find_map(|a| match a {
        RouteAttribute::Destination(address) => ip(address),
        _ => None,
    });
    let everything = match route.header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    IpNet::new(address.unwrap_or(everything), route.header.destination_prefix_length).ok()
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(a) => Some(IpAddr::V4(*a)),
        RouteAddress::Inet6(a) => Some(IpAddr::V6(*a)),
        _ => None,
    }
}

fn errno(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io().raw_os_error(),
        _ => None,
    }
}
