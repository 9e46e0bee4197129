//! What a site means for the host's network.
//!
//! Does not: know tunnels. A site's networks are routed, barred and translated for as long as it is configured, so that nothing leaves
//! unencrypted while its tunnel is down.

use std::net::IpAddr;

use ipnet::IpNet;

use super::link::InterfaceName;
use super::routes::{Table, Way};

/// MTU of a route in transport mode, octets: the kernel must not fragment what the packet path cannot carry in fragments. With the
/// largest overhead around it a datagram still fits 65,507 octets of UDP.
const WHOLE_DATAGRAMS: u16 = 65_300;

/// TCP segments in transport mode, octets: so that outer packets fit an Ethernet whatever the cipher.
const MODEST_SEGMENT: u16 = 1330;

/// One site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteNetwork {
    /// Its name in the configuration.
    pub name: String,
    /// Networks on its side. Never translated unless `nat` says so, never sent in the clear.
    pub remote: Vec<IpNet>,
    /// Whether there are routes to them; otherwise the administrator makes some.
    pub routes: bool,
    /// Its own TUN device; `None`: the gateway's.
    pub device: Option<InterfaceName>,
    /// What our side sends to it bears these addresses of ours, at most one of each family; empty: its own ones.
    pub nat: Vec<IpAddr>,
    /// Largest inner packet, octets; `None`: as of the gateway's TUN.
    pub mtu: Option<u16>,
    /// Our addresses in the networks of our side, at most one of each family: what the gateway itself sends from, so that the tunnel
    /// carries it.
    pub source: Vec<IpAddr>,
    /// Transport mode: its networks are the peer itself, whose packets have no IP header but the outer one.
    pub transport: bool,
    /// Where the site's gateway is; `None`: it may be anywhere. The tunnel does not carry itself where one of its networks contains
    /// that.
    pub peer: Option<IpAddr>,
}

impl SiteNetwork {
    /// A site at `peer` with routes to these networks through the gateway's TUN, nothing else.
    #[must_use]
    pub fn new(name: impl Into<String>, peer: Option<IpAddr>, remote: impl Into<Vec<IpNet>>) -> Self {
        Self {
            name: name.into(),
            remote: remote.into(),
            routes: true,
            device: None,
            nat: Vec::new(),
            mtu: None,
            source: Vec::new(),
            transport: false,
            peer,
        }
    }

    /// The networks that have routes.
    pub(super) fn routed(&self) -> impl Iterator<Item = IpNet> {
        self.remote.iter().filter(|_| self.routes).copied()
    }

    /// The way to one of them, by the site's own device if it has one.
    pub(super) fn way_to(&self, net: IpNet, device: Option<u32>) -> Way {
        let source = self.source.iter().copied().find(|source| source.is_ipv4() == net.addr().is_ipv4());
        let way = Way { device, mtu: self.mtu, source, table: self.table_for(net), guarded: true, ..Way::default() };
        if self.transport { Way { mtu: Some(WHOLE_DATAGRAMS), segment: Some(MODEST_SEGMENT), ..way } } else { way }
    }

    /// Whether the gateway's own packets must not follow one of its routes.
    pub(super) fn has_routes_around_main(&self) -> bool {
        self.routed().any(|net| self.table_for(net) != Table::Main)
    }

    /// A peer that may be anywhere may be in one of its own networks.
    fn table_for(&self, net: IpNet) -> Table {
        let spares_us = net.prefix_len() > 0 && self.peer.is_some_and(|peer| !net.contains(&peer));
        if spares_us { Table::Main } else { Table::AroundUs }
    }
}
