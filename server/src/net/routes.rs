//! Routes to clients and sites: one per lease or remote network, all to the TUN, marked with our protocol number.
//!
//! [`Routes`] keeps what is wanted beside what the kernel has, so that [`Routes::repair`] can put right what others
//! removed. Routes that lack our mark are never touched.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteProtocol, RouteScope,
};
use rtnetlink::RouteMessageBuilder;

use super::NetError;
use super::link::Netlink;

/// Marks our routes (rtm_protocol), so that routing daemons can redistribute them and we find them after a crash.
///
/// 67 is assigned neither in the kernel's `rtnetlink.h` nor in iproute2's `rt_protos`.
pub const ROUTE_PROTOCOL: u8 = 67;

/// What [`Routes::repair`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Missing routes that were added.
    pub added: usize,
    /// Marked routes that nobody wants, removed.
    pub removed: usize,
}

/// The routes that should exist, and the means to make them exist.
pub struct Routes {
    netlink: Netlink,
    tun: u32,
    /// With the MTU of each, if it has one of its own.
    wanted: BTreeMap<IpNet, Option<u16>>,
}

impl Routes {
    /// Takes the main table's routes with our mark over: what a crash left is removed.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn start(netlink: Netlink, tun_index: u32) -> Result<Self, NetError> {
        let mut routes = Self { netlink, tun: tun_index, wanted: BTreeMap::new() };
        routes.repair().await?;
        Ok(routes)
    }

    /// Adds a route to the TUN. It is in place when this returns; one that was there already is no error, and gets the new MTU.
    ///
    /// `mtu`: octets, where it is not the interface's. The kernel then fragments, answers "too big" and clamps TCP by it.
    ///
    /// # Errors
    /// If the kernel refuses, for one because somebody else has a route to the same network; nothing is wanted then.
    pub async fn add(&mut self, net: IpNet, mtu: Option<u16>) -> Result<(), NetError> {
        let net = net.trunc();
        if self.wanted.get(&net) != Some(&mtu) {
            self.add_to_kernel(net, mtu).await?;
            self.wanted.insert(net, mtu);
        }
        Ok(())
    }

    /// Takes a route away; one that isn't there is no error.
    ///
    /// # Errors
    /// If the kernel refuses; [`Routes::repair`] tries again.
    pub async fn remove(&mut self, net: IpNet) -> Result<(), NetError> {
        let net = net.trunc();
        match self.wanted.remove(&net) {
            Some(_) => self.remove_from_kernel(self.route(net, None)).await,
            None => Ok(()),
        }
    }

    /// What should be there.
    pub fn wanted(&self) -> impl Iterator<Item = IpNet> {
        self.wanted.keys().copied()
    }

    /// Compares the kernel's table with what is wanted and puts it right. Cheap when nothing is wrong.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn repair(&mut self) -> Result<Repaired, NetError> {
        let mut missing = self.wanted.clone();
        let mut repaired = Repaired::default();
        for route in self.ours().await? {
            let to_tun = interface_of(&route) == Some(self.tun);
            let net = destination_of(&route).filter(|net| missing.get(net) == Some(&mtu_of(&route)));
            if !(to_tun && net.is_some_and(|net| missing.remove(&net).is_some())) {
                self.remove_from_kernel(route).await?;
                repaired.removed += 1;
            }
        }
        for (net, mtu) in missing {
            self.add_to_kernel(net, mtu).await?;
            repaired.added += 1;
        }
        Ok(repaired)
    }

    /// Removes all our routes.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn close(mut self) -> Result<(), NetError> {
        self.wanted.clear();
        self.repair().await.map(|_| ())
    }

    /// The routes of the main table that bear our mark.
    async fn ours(&self) -> Result<Vec<RouteMessage>, NetError> {
        let mut all = self.netlink.route_messages().await?;
        all.retain(|r| {
            r.header.protocol == RouteProtocol::Other(ROUTE_PROTOCOL) && r.header.table == RouteHeader::RT_TABLE_MAIN
        });
        Ok(all)
    }

    async fn add_to_kernel(&self, net: IpNet, mtu: Option<u16>) -> Result<(), NetError> {
        let add = self.netlink.handle.route().add(self.route(net, mtu));
        let Err(error) = add.execute().await else { return Ok(()) };
        let there = if errno(&error) == Some(libc::EEXIST) { self.in_kernel(net).await? } else { None };
        let replaced = match there {
            Some(there) if mtu_of(&there) == mtu => Ok(()),
            // Only what is ours is replaced.
            Some(_) => self.netlink.handle.route().add(self.route(net, mtu)).replace().execute().await,
            None => Err(error),
        };
        replaced.map_err(|error| NetError::netlink(format!("add the route to {net}"), &error))
    }

    async fn in_kernel(&self, net: IpNet) -> Result<Option<RouteMessage>, NetError> {
        let is_it = |r: &RouteMessage| interface_of(r) == Some(self.tun) && destination_of(r) == Some(net);
        Ok(self.ours().await?.into_iter().find(is_it))
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

    fn route(&self, net: IpNet, mtu: Option<u16>) -> RouteMessage {
        let protocol = RouteProtocol::Other(ROUTE_PROTOCOL);
        let mut route = match net {
            IpNet::V4(net) => RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(net.network(), net.prefix_len())
                .output_interface(self.tun)
                .protocol(protocol)
                .scope(RouteScope::Link)
                .build(),
            IpNet::V6(net) => RouteMessageBuilder::<Ipv6Addr>::new()
                .destination_prefix(net.network(), net.prefix_len())
                .output_interface(self.tun)
                .protocol(protocol)
                .build(),
        };
        let metrics = mtu.map(|mtu| RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu.into())]));
        route.attributes.extend(metrics);
        route
    }
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
