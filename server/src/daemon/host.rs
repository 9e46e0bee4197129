//! What the settings mean for the host's network.

use std::net::IpAddr;

use ipnet::IpNet;

use super::mtu;
use crate::config::{self, Settings};
use crate::net::forwarding::Families;
use crate::net::link::{InterfaceName, Netlink, TunSettings};
use crate::net::nft::{GatewayServices, MssClamp, Nat, RuleSet};
use crate::net::{HostSettings, NetError};
use crate::pool;

/// Addresses, forwarding and rules for these settings.
pub(super) async fn settings(settings: &Settings) -> Result<HostSettings, NetError> {
    let pools = pools(settings);
    Ok(HostSettings {
        tun: TunSettings {
            addresses: pools.iter().filter_map(|pool| pool::gateway_address(*pool)).collect(),
            mtu: mtu::of_tunnel(settings, &Netlink::open()?).await?.into(),
        },
        families: Families {
            v4: pools.iter().any(|pool| pool.addr().is_ipv4()),
            v6: pools.iter().any(|pool| pool.addr().is_ipv6()),
        },
        rules: rules(settings)?,
    })
}

/// The packet filter for these settings.
pub(super) fn rules(settings: &Settings) -> Result<RuleSet, NetError> {
    let remote = settings.remote.as_ref();
    let translates = remote.is_none_or(|remote| remote.nat == config::Nat::Masquerade);
    Ok(RuleSet {
        tun: InterfaceName::new(&settings.daemon.interface)?,
        pools: pools(settings),
        sites: Vec::new(),
        nat: if translates { Nat::Masquerade } else { Nat::None },
        client_to_client: remote.is_some_and(|remote| remote.client_to_client),
        inbound: !translates,
        services: GatewayServices::default(),
        mss: MssClamp::PathMtu,
        l2tp: remote.is_some_and(|remote| remote.speaks(config::Protocol::L2tp)),
    })
}

/// Without translation somebody else has to route the pools to us: the routes, with our address in each inside network.
pub(super) async fn static_route_hints(rules: &RuleSet) -> Result<Vec<String>, NetError> {
    let interfaces = Netlink::open()?.interfaces().await?;
    let others = interfaces.iter().filter(|interface| interface.name != rules.tun.as_str());
    let addresses = others.flat_map(|interface| &interface.addresses).map(IpNet::addr).filter(|a| is_inside(*a));
    Ok(addresses.filter_map(|address| rules.static_route_hint(address)).collect())
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
