//! What the settings mean for the host's network.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use cygnet_esp::selector::{Ports, Selector, SelectorSet};
use ipnet::IpNet;

use super::{lookup, mtu};
use crate::config::{self, Peer, Settings, Site, SiteChild, SiteMode};
use crate::dataplane::{Claim, Owner, SiteDevice, everywhere};
use crate::net::forwarding::Families;
use crate::net::link::{Interface, InterfaceName, Netlink, TunSettings};
use crate::net::nft::{GatewayServices, MssClamp, Nat, RuleSet};
use crate::net::{HostSettings, NetError, SiteNetwork};
use crate::pool;

/// The two ends of a tunnel in transport mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hosts {
    /// What the configuration says of the peer. Where it says something else by now, all of this is out of date.
    pub(super) configured: Peer,
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
        SiteMode::Transport => Some(Ok(host_network(site, &hosts_of(site, transports)?))),
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

/// Whose traffic is whose, whether or not a tunnel is up.
pub(super) fn claims(settings: &Settings, transports: &Transports) -> Vec<Claim> {
    let mut claims = vec![Claim::to_networks(Owner::Clients, pools(settings))];
    for site in &settings.sites {
        let name: Arc<str> = site.name.as_str().into();
        let peer = hosts_of(site, transports).map(|hosts| hosts.peer);
        let of_children = site.children.iter().filter_map(|child| match site.mode {
            SiteMode::Transport => Some(between_hosts(child, peer?)),
            SiteMode::Tunnel | SiteMode::Interface { .. } => Some(between_networks(child)),
        });
        claims.extend(of_children.map(|selectors| Claim { owner: Owner::Site(Arc::clone(&name)), selectors }));
        if site.mode != SiteMode::Transport {
            claims.push(Claim::to_networks(Owner::AllBut(name), site.local_networks()));
        }
    }
    claims
}

fn between_networks(child: &SiteChild) -> SelectorSet {
    let side = |list: &[config::Selector]| -> Vec<Selector> {
        list.iter().map(|one| limited(one, one.network.network(), one.network.broadcast())).collect()
    };
    SelectorSet::new(side(&child.local), side(&child.remote))
}

/// Of what the configuration says, protocols and ports count; the addresses are those of the hosts.
fn between_hosts(child: &SiteChild, peer: IpAddr) -> SelectorSet {
    let side = |list: &[config::Selector], hosts: &[Selector]| -> Vec<Selector> {
        let at =
            |host: &Selector| -> Vec<Selector> { list.iter().map(|one| limited(one, host.start, host.end)).collect() };
        if list.is_empty() { hosts.to_vec() } else { hosts.iter().flat_map(at).collect() }
    };
    SelectorSet::new(side(&child.local, &everywhere()), side(&child.remote, &[Selector::addresses(peer, peer)]))
}

fn limited(one: &config::Selector, start: IpAddr, end: IpAddr) -> Selector {
    Selector { start, end, protocol: one.protocol, ports: Ports::from_ts(one.first_port, one.last_port) }
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
fn host_network(site: &Site, hosts: &Hosts) -> SiteNetwork {
    SiteNetwork {
        routes: true,
        source: hosts.local.into_iter().collect(),
        transport: true,
        ..SiteNetwork::new(&site.name, Some(hosts.peer), [IpNet::from(hosts.peer)])
    }
}

/// The two ends of a site in transport mode, as of its last tunnel or as they are known before; `None` for other sites, too.
fn hosts_of(site: &Site, transports: &Transports) -> Option<Hosts> {
    if site.mode != SiteMode::Transport {
        return None;
    }
    let seen = transports.get(&site.name).filter(|seen| seen.configured == site.peer);
    seen.cloned().or_else(|| known_hosts(site))
}

fn known_hosts(site: &Site) -> Option<Hosts> {
    let Peer::Address(peer) = site.peer else { return None };
    let local = site.local_address.or_else(|| lookup::local_address(peer, &[]).ok());
    Some(Hosts { configured: site.peer.clone(), local, peer })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Surroundings;
    use std::os::unix::fs::PermissionsExt;

    fn read(text: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cygnet.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let loaded = config::load(&path, &Surroundings::of_this_machine(jiff::Timestamp::now()));
        loaded.unwrap_or_else(|error| panic!("{error}"))
    }

    fn site(name: &str, peer: &str, more: &str) -> String {
        format!("[site.{name}]\npeer = \"{peer}\"\npsk = \"a-key-of-more-than-twenty-letters-{name}\"\n{more}\n")
    }

    fn selector(start: &str, end: &str) -> Selector {
        Selector::addresses(start.parse().unwrap(), end.parse().unwrap())
    }

    fn seen(configured: &str, peer: &str) -> Transports {
        let hosts = Hosts { configured: Peer::Name(configured.into()), local: None, peer: peer.parse().unwrap() };
        Transports::from([("db".to_owned(), hosts)])
    }

    #[test]
    fn each_site_claims_its_networks_and_none_of_those_on_our_side() {
        let text = site("hq", "198.51.100.1", "local = \"10.1.0.0/16\"\nremote = \"0.0.0.0/0\"")
            + &site("berlin", "198.51.100.2", "local = \"10.1.0.0/16\"\nremote = \"10.2.0.0/16 tcp/443\"");
        let claims = claims(&read(&text), &Transports::new());
        let of = |owner: Owner| claims.iter().find(|claim| claim.owner == owner).unwrap().selectors.clone();
        assert_eq!(of(Owner::Site("hq".into())).remote(), [selector("0.0.0.0", "255.255.255.255")]);
        let web = Selector { protocol: 6, ports: Ports::Range(443, 443), ..selector("10.2.0.0", "10.2.255.255") };
        assert_eq!(of(Owner::Site("berlin".into())).remote(), [web]);
        assert_eq!(of(Owner::Site("berlin".into())).local(), [selector("10.1.0.0", "10.1.255.255")]);
        assert_eq!(of(Owner::AllBut("hq".into())).remote(), [selector("10.1.0.0", "10.1.255.255")]);
        assert!(of(Owner::Clients).remote().is_empty(), "there is no pool");
    }

    #[test]
    fn in_transport_mode_the_peer_itself_is_claimed_whether_or_not_there_are_selectors() {
        let transport = "mode = \"transport\"\nstart = \"demand\"\nlocal_address = \"192.0.2.1\"";
        let peer = selector("198.51.100.7", "198.51.100.7");
        let remote = |more: &str| {
            let settings = read(&site("db", "198.51.100.7", &format!("{transport}\n{more}")));
            let mut all = claims(&settings, &Transports::new());
            all.retain(|claim| claim.owner == Owner::Site("db".into()));
            let [Claim { selectors, .. }] = &all[..] else { panic!("{all:?}") };
            assert_eq!(selectors.local().len(), 2, "any address of ours");
            selectors.remote().to_vec()
        };
        assert_eq!(remote(""), [peer]);
        let web = Selector { protocol: 6, ports: Ports::Range(443, 443), ..peer };
        assert_eq!(remote("remote = \"tcp/443\""), [web]);
    }

    #[test]
    fn a_peer_that_is_another_one_in_the_file_has_not_been_seen() {
        let text = |peer: &str| site("db", peer, "mode = \"transport\"");
        let hosts = |text: &str, transports: &Transports| {
            let settings = read(text);
            hosts_of(&settings.sites[0], transports).map(|hosts| hosts.peer.to_string())
        };
        let seen = seen("db.example.org", "198.51.100.7");
        assert_eq!(hosts(&text("db.example.org"), &seen).as_deref(), Some("198.51.100.7"));
        assert_eq!(hosts(&text("other.example.org"), &seen), None);
        assert_eq!(hosts(&text("198.51.100.9"), &seen).as_deref(), Some("198.51.100.9"), "there at once");
    }
}
