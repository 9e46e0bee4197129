//! What the settings mean for the host's network.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{lookup, mtu};
use crate::config::{self, Peer, Settings, Site, SiteMode};
use crate::dataplane::SiteDevice;
use crate::net::forwarding::Families;
use crate::net::link::{Interface, InterfaceName, Netlink, TunSettings};
use crate::net::nft::{GatewayServices, MssClamp, Nat, RuleSet};
use crate::net::{HostSettings, NetError, SiteNetwork};
use crate::pool;

/// The two ends of a tunnel in transport mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hosts {
    /// `None`: not known yet.
    pub(super) local: Option<IpAddr>,
    pub(super) peer: IpAddr,
}

/// Those of sites that have had a tunnel, by the site's name.
pub(super) type Transports = BTreeMap<String, Hosts>;

/// Addresses, forwarding and rules for these settings.
pub(super) async fn settings(settings: &Settings, transports: &Transports) -> Result<HostSettings, NetError> {
    let pools = pools(settings);
    let behind_sites = settings.sites.iter().flat_map(Site::remote_networks);
    let inside: Vec<IpNet> = pools.iter().copied().chain(behind_sites).collect();
    Ok(HostSettings {
        tun: TunSettings {
            addresses: pools.iter().filter_map(|pool| pool::gateway_address(*pool)).collect(),
            mtu: mtu::of_tunnel(settings, &Netlink::open()?).await?.into(),
        },
        families: Families {
            v4: inside.iter().any(|net| net.addr().is_ipv4()),
            v6: inside.iter().any(|net| net.addr().is_ipv6()),
        },
        rules: rules(settings, transports).await?,
    })
}

/// The packet filter, and the routes of sites, for these settings and the machine's present addresses.
pub(super) async fn rules(settings: &Settings, transports: &Transports) -> Result<RuleSet, NetError> {
    let remote = settings.remote.as_ref();
    let translates = remote.is_none_or(|remote| remote.nat == config::Nat::Masquerade);
    let interfaces = if settings.sites.is_empty() { Vec::new() } else { Netlink::open()?.interfaces().await? };
    let sites = settings.sites.iter().filter_map(|site| match &site.mode {
        SiteMode::Transport => {
            Some(Ok(host_network(site, *transports.get(&site.name).or(known_hosts(site).as_ref())?)))
        }
        SiteMode::Tunnel | SiteMode::Interface { .. } => Some(site_network(site, &interfaces)),
    });
    Ok(RuleSet {
        tun: InterfaceName::new(&settings.daemon.interface)?,
        pools: pools(settings),
        sites: sites.collect::<Result<_, _>>()?,
        nat: if translates { Nat::Masquerade } else { Nat::None },
        client_to_client: remote.is_some_and(|remote| remote.client_to_client),
        inbound: !translates,
        services: GatewayServices::default(),
        mss: MssClamp::PathMtu,
        l2tp: remote.is_some_and(|remote| remote.speaks(config::Protocol::L2tp)),
    })
}

/// The sites that have devices of their own.
pub(super) fn devices(settings: &Settings) -> Vec<SiteDevice> {
    let own = settings.sites.iter().filter_map(|site| match &site.mode {
        SiteMode::Interface { device } => {
            Some(SiteDevice { site: site.name.as_str().into(), interface: device.clone() })
        }
        SiteMode::Tunnel | SiteMode::Transport => None,
    });
    own.collect()
}

/// Without translation somebody else has to route the pools to us: the routes, with our address in each inside network.
pub(super) async fn static_route_hints(rules: &RuleSet) -> Result<Vec<String>, NetError> {
    let interfaces = Netlink::open()?.interfaces().await?;
    let others = interfaces.iter().filter(|interface| interface.name != rules.tun.as_str());
    let addresses = others.flat_map(|interface| &interface.addresses).map(IpNet::addr).filter(|a| is_inside(*a));
    Ok(addresses.filter_map(|address| rules.static_route_hint(address)).collect())
}

fn site_network(site: &Site, interfaces: &[Interface]) -> Result<SiteNetwork, NetError> {
    let device = match &site.mode {
        SiteMode::Interface { device } => Some(InterfaceName::new(device)?),
        SiteMode::Tunnel | SiteMode::Transport => None,
    };
    let mut remote: Vec<IpNet> = site.remote_networks().map(|net| net.trunc()).collect();
    remote.sort_unstable();
    remote.dedup();
    let peer = match site.peer {
        Peer::Address(address) => Some(address),
        Peer::Name(_) | Peer::Any => None,
    };
    Ok(SiteNetwork {
        name: site.name.clone(),
        remote,
        routes: site.routes,
        device,
        nat: site.nat.clone(),
        mtu: site.mtu,
        source: own_addresses(site, interfaces),
        transport: false,
        peer,
    })
}

/// A site in transport mode: all that goes to the peer itself.
fn host_network(site: &Site, hosts: Hosts) -> SiteNetwork {
    SiteNetwork {
        routes: true,
        source: hosts.local.into_iter().collect(),
        transport: true,
        ..SiteNetwork::new(&site.name, Some(hosts.peer), [IpNet::from(hosts.peer)])
    }
}

/// The two ends, if they are known before there is a tunnel.
fn known_hosts(site: &Site) -> Option<Hosts> {
    let Peer::Address(peer) = site.peer else { return None };
    let local = site.local_address.or_else(|| lookup::local_address(peer, &[]).ok());
    Some(Hosts { local, peer })
}

/// The machine's addresses in the networks of our side: what the gateway itself should send from. At most one of each family.
fn own_addresses(site: &Site, interfaces: &[Interface]) -> Vec<IpAddr> {
    let local: Vec<IpNet> = site.local_networks().filter(|net| net.prefix_len() > 0).collect();
    let ours = || interfaces.iter().filter(|interface| interface.up).flat_map(|interface| &interface.addresses);
    let of_family = |ipv4: bool| {
        ours().map(IpNet::addr).find(|own| own.is_ipv4() == ipv4 && local.iter().any(|net| net.contains(own)))
    };
    [true, false].into_iter().filter_map(of_family).collect()
}

fn pools(settings: &Settings) -> Vec<IpNet> {
    settings.remote.as_ref().map(|remote| remote.pools.clone()).unwrap_or_default()
}

/// An address by which routers of a private network would reach us.
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    }
}
