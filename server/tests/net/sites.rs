//! What sites need of the host: routes that nothing slips past, rules for special routes, translation, the paths' MTU.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use cygnet_server::net::forwarding::Families;
use cygnet_server::net::link::{InterfaceName, Netlink, TunSettings};
use cygnet_server::net::nft::{Firewall, RuleSet};
use cygnet_server::net::routes::{ROUTE_PROTOCOL, Repaired, Routes, Table, Way};
use cygnet_server::net::watch::Watch;
use cygnet_server::net::{HostNetwork, HostSettings, SiteNetwork};
use ipnet::IpNet;

use crate::firewall::{PEER, rules};
use crate::netns::{Namespace, cable};

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn host_with_tuns() -> Namespace {
    let host = Namespace::new();
    for tun in ["cygnet0", "cg-berlin"] {
        host.ip(&format!("tuntap add dev {tun} mode tun"));
    }
    host
}

fn settings(sites: Vec<SiteNetwork>) -> HostSettings {
    HostSettings {
        tun: TunSettings { addresses: vec!["10.20.0.1".parse().unwrap()], mtu: 1390 },
        families: Families { v4: true, v6: true },
        rules: RuleSet { sites, ..rules() },
    }
}

async fn routes_of(host: &Namespace) -> Routes {
    let netlink = Netlink::open().unwrap();
    let tun = InterfaceName::new("cygnet0").unwrap();
    let settings = TunSettings { addresses: vec!["10.20.0.1".parse().unwrap()], mtu: 1390 };
    let index = netlink.configure_tun(&tun, &settings).await.unwrap();
    host.ip("link set cg-berlin up");
    Routes::start(netlink, index).await.unwrap()
}

#[test]
fn without_its_tun_a_sites_network_is_unreachable() {
    let host = host_with_tuns();
    host.ip("tuntap add dev lan0 mode tun");
    host.ip("link set lan0 up");
    host.ip("addr add 192.0.2.1/24 dev lan0");
    host.ip("route add default via 192.0.2.254");
    host.block_on(async || {
        let mut routes = routes_of(&host).await;
        let way = Way { guarded: true, source: Some("192.0.2.1".parse().unwrap()), ..Way::default() };
        for network in ["10.2.0.0/16", "fd00:2::/64"] {
            routes.lead(net(network), way).await.unwrap();
        }
        assert!(host.ip("route get 10.2.0.9").contains("dev cygnet0 src 192.0.2.1"));
        assert_eq!(routes.repair().await.unwrap(), Repaired::default(), "it knows its own");
        host.ip("tuntap del dev cygnet0 mode tun");
        for (family, address) in [("-4", "10.2.0.9"), ("-6", "fd00:2::9")] {
            let refused = !host.succeeds(&format!("ip {family} route get {address}"));
            assert!(refused, "{}", host.ip(&format!("{family} route show")));
        }
        drop(routes);
    });
}

#[test]
fn everything_and_the_peers_own_network_go_around_our_packets_only() {
    let host = host_with_tuns();
    host.ip("tuntap add dev wan0 mode tun");
    host.ip("link set wan0 up");
    host.ip("addr add 198.51.100.1/24 dev wan0");
    host.ip("route add default via 198.51.100.254");
    host.block_on(async || {
        let mut routes = routes_of(&host).await;
        let around_us = Way { table: Table::AroundUs, guarded: true, ..Way::default() };
        for network in ["0.0.0.0/0", "198.51.100.0/24"] {
            routes.lead(net(network), around_us).await.unwrap();
        }
        host.ip("route add 198.51.100.200 dev wan0");
        let way = |to: &str| host.ip(&format!("route get {to}"));
        assert!(way("203.0.113.9").contains("dev cygnet0"), "{}", way("203.0.113.9"));
        assert!(way("198.51.100.7").contains("dev cygnet0"), "{}", way("198.51.100.7"));
        assert!(way("198.51.100.200").contains("dev wan0"), "what the machine knows better");
        for ours in ["203.0.113.9 mark 0x4359", "198.51.100.7 mark 0x4359"] {
            assert!(way(ours).contains("dev wan0"), "{}", way(ours));
        }
        host.ip("rule del priority 17557");
        assert_eq!(routes.repair().await.unwrap(), Repaired { added: 1, removed: 0 });
        assert!(way("203.0.113.9").contains("dev cygnet0"));
        routes.remove(net("0.0.0.0/0")).await.unwrap();
        assert!(way("203.0.113.9").contains("dev wan0"));
        routes.close().await.unwrap();
        assert!(!host.ip("rule").contains("17"), "{}", host.ip("rule"));
    });
}

#[test]
fn a_paths_mtu_is_that_of_the_route_until_it_is_forgotten() {
    let host = host_with_tuns();
    host.block_on(async || {
        let mut routes = routes_of(&host).await;
        let way = Way { mtu: Some(1380), guarded: true, ..Way::default() };
        routes.lead(net("10.2.0.0/16"), way).await.unwrap();
        let mtu = || host.ip("route get 10.2.0.9");
        routes.limit(net("10.2.3.0/24"), Some(1200)).await.unwrap();
        assert!(mtu().contains("mtu 1200"), "{}", mtu());
        assert_eq!(routes.repair().await.unwrap(), Repaired::default());
        routes.limit(net("10.2.3.0/24"), Some(1390)).await.unwrap();
        assert!(mtu().contains("mtu 1380"), "no more than the site takes: {}", mtu());
        routes.limit(net("10.2.3.0/24"), None).await.unwrap();
        routes.limit(net("10.9.0.0/24"), Some(1200)).await.unwrap();
        assert!(mtu().contains("mtu 1380"));
        routes.remove(net("10.2.0.0/16")).await.unwrap();
        assert_eq!(host.ip(&format!("route show proto {ROUTE_PROTOCOL}")), "");
    });
}

#[test]
fn a_site_with_a_device_of_its_own_has_its_routes_there() {
    let host = host_with_tuns();
    host.ip("addr add 172.16.0.1/30 dev cg-berlin");
    host.block_on(async || {
        let device = Some(InterfaceName::new("cg-berlin").unwrap());
        let berlin = SiteNetwork { device, mtu: Some(1300), ..SiteNetwork::new("berlin", PEER, [net("10.2.0.0/16")]) };
        let unrouted = SiteNetwork { routes: false, ..SiteNetwork::new("rome", PEER, [net("10.3.0.0/16")]) };
        let (network, task) = HostNetwork::start(settings(vec![berlin.clone(), unrouted])).await.unwrap();
        let routes = host.ip("route show");
        assert!(routes.contains("10.2.0.0/16 dev cg-berlin") && !routes.contains("10.3.0.0/16"), "{routes}");
        let link = host.ip("addr show cg-berlin");
        assert!(link.contains("mtu 1300") && link.contains("172.16.0.1/30"), "{link}");
        assert_eq!(host.read_sysctl("net/ipv4/conf/cg-berlin/rp_filter"), "2");
        network.limit_device("cg-berlin".into(), Some(1290)).await.unwrap();
        assert!(host.ip("link show cg-berlin").contains("mtu 1290"));
        network.limit_device("cg-berlin".into(), None).await.unwrap();
        assert!(host.ip("link show cg-berlin").contains("mtu 1300"));
        let moved = SiteNetwork { device: None, ..berlin };
        network.replace_rules(network.turn(), RuleSet { sites: vec![moved], ..rules() }).await.unwrap();
        assert!(host.ip("route show").contains("10.2.0.0/16 dev cygnet0"), "{}", host.ip("route show"));
        network.close().await;
        task.await.unwrap();
        assert_eq!(host.ip(&format!("route show proto {ROUTE_PROTOCOL}")), "");
    });
}

#[test]
fn rules_for_special_routes_come_and_go_with_the_site() {
    let host = host_with_tuns();
    host.block_on(async || {
        let peer = Some("198.51.100.7".parse().unwrap());
        let beside = SiteNetwork::new("berlin", peer, [net("198.51.100.0/24")]);
        let (network, _task) = HostNetwork::start(settings(vec![beside])).await.unwrap();
        assert!(host.ip("rule").contains("not from all fwmark 0x4359 lookup 17324"), "{}", host.ip("rule"));
        assert_eq!(host.read_sysctl("net/ipv4/conf/all/src_valid_mark"), "1");
        let rules_text = host.nft("list table inet cygnet");
        assert!(rules_text.contains("meta mark set 0x00004359 notrack"), "{rules_text}");
        network.replace_rules(network.turn(), RuleSet { sites: Vec::new(), ..rules() }).await.unwrap();
        assert!(!host.ip("rule").contains("17324"));
        assert!(!host.nft("list table inet cygnet").contains("0x00004359"));
        network.close().await;
    });
}

/// A LAN, the gateway, and a site whose tunnel is a cable with the TUN's name on the gateway's side.
struct Lan {
    lan: Namespace,
    gateway: Namespace,
    site: Namespace,
}

impl Lan {
    fn new() -> Self {
        let this = Self { lan: Namespace::new(), gateway: Namespace::new(), site: Namespace::new() };
        cable((&this.gateway, "lan0"), (&this.lan, "eth0"));
        cable((&this.gateway, "cygnet0"), (&this.site, "eth0"));
        for (host, address, link) in [
            (&this.gateway, "10.1.0.1/16", "lan0"),
            (&this.lan, "10.1.0.9/16", "eth0"),
            (&this.gateway, "172.16.0.1/30", "cygnet0"),
            (&this.site, "172.16.0.2/30", "eth0"),
            (&this.site, "10.2.0.9/32", "lo"),
        ] {
            host.ip(&format!("addr add {address} dev {link}"));
        }
        // Unlike a TUN, a cable also brings what IPv6 says to its neighbours, with addresses that no site has.
        this.site.sysctl("net/ipv6/conf/eth0/disable_ipv6", "1");
        this.gateway.ip("route add 10.2.0.0/16 via 172.16.0.2");
        this.gateway.sysctl("net/ipv4/ip_forward", "1");
        this.lan.ip("route add default via 10.1.0.1");
        this.site.ip("route add default via 172.16.0.1");
        this
    }

    fn run(&self, site: SiteNetwork, test: impl AsyncFnOnce(&mut Firewall) + Send) {
        self.gateway.block_on(async || {
            let mut firewall = Firewall::install(RuleSet { sites: vec![site], ..rules() }).await.unwrap();
            test(&mut firewall).await;
            firewall.close().await.unwrap();
        });
    }
}

fn udp(host: &Namespace, address: &str) -> UdpSocket {
    let socket = host.enter(|| UdpSocket::bind((address, 0)).unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket
}

/// Whom a datagram seems to come from.
fn sender_seen(from: &UdpSocket, to: &UdpSocket) -> Option<IpAddr> {
    from.send_to(b"hello", to.local_addr().unwrap()).unwrap();
    to.recv_from(&mut [0; 16]).ok().map(|(_, sender)| sender.ip())
}

fn berlin() -> SiteNetwork {
    SiteNetwork::new("berlin", PEER, [net("10.2.0.0/16")])
}

#[test]
fn a_lan_and_a_site_meet_both_ways_with_their_own_addresses() {
    let world = Lan::new();
    world.run(berlin(), async |firewall| {
        let (lan, site) = (udp(&world.lan, "10.1.0.9"), udp(&world.site, "10.2.0.9"));
        assert_eq!(sender_seen(&lan, &site), Some([10, 1, 0, 9].into()));
        assert_eq!(sender_seen(&site, &lan), Some([10, 2, 0, 9].into()));
        let gateway = udp(&world.gateway, "10.1.0.1");
        assert_eq!(sender_seen(&site, &gateway), Some([10, 2, 0, 9].into()), "the gateway is one of our hosts");
        world.site.ip("addr add 10.77.0.1/32 dev lo");
        site.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        lan.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        assert_eq!(sender_seen(&udp(&world.site, "10.77.0.1"), &lan), None, "not an address of the site");
        assert_eq!(firewall.drops().await.unwrap().spoofed_inside, 1);
    });
}

#[test]
fn a_site_that_should_see_one_address_sees_one() {
    let world = Lan::new();
    world.lan.ip("addr add 10.1.0.10/16 dev eth0");
    let nat = vec!["10.1.0.1".parse().unwrap()];
    world.run(SiteNetwork { nat, ..berlin() }, async |_| {
        let site = udp(&world.site, "10.2.0.9");
        for own in ["10.1.0.9", "10.1.0.10"] {
            let lan = udp(&world.lan, own);
            lan.send_to(b"hello", site.local_addr().unwrap()).unwrap();
            let (_, seen) = site.recv_from(&mut [0; 16]).unwrap();
            assert_eq!(seen.ip(), IpAddr::from([10, 1, 0, 1]));
            site.send_to(b"answer", seen).unwrap();
            assert_eq!(lan.recv_from(&mut [0; 16]).unwrap().1, site.local_addr().unwrap());
        }
        assert!(world.lan.succeeds("ping -c 1 -W 2 10.2.0.9"));
    });
}

#[test]
fn nobody_else_sends_with_a_sites_address() {
    let world = Lan::new();
    world.lan.ip("addr add 10.2.0.66/32 dev lo");
    world.gateway.ip("route add 10.2.0.66/32 dev lan0");
    world.run(berlin(), async |firewall| {
        let target = udp(&world.gateway, "10.1.0.1");
        target.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        assert_eq!(sender_seen(&udp(&world.lan, "10.2.0.66"), &target), None);
        assert_eq!(firewall.drops().await.unwrap().spoofed_outside, 1);
    });
}

#[test]
fn changes_of_others_are_told_and_our_own_are_not() {
    let host = host_with_tuns();
    host.ip("tuntap add dev wan0 mode tun");
    host.ip("link set wan0 up");
    host.block_on(async || {
        let mut routes = routes_of(&host).await;
        let watch = Watch::start().unwrap();
        let told = async || tokio::time::timeout(Duration::from_secs(1), watch.changed()).await.is_ok();
        while told().await {}
        routes.add(net("10.2.0.0/16"), None).await.unwrap();
        assert!(!told().await);
        for change in
            ["addr add 198.51.100.1/24 dev wan0", "route add default via 198.51.100.254", "addr flush dev wan0"]
        {
            host.ip(change);
            assert!(told().await, "{change}");
            assert!(!told().await, "once: {change}");
        }
    });
}
