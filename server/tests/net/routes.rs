//! TUN settings and routes.

use std::net::IpAddr;

use cygnet_server::net::link::{InterfaceName, Netlink, TUN_QUEUE_LENGTH, TunSettings};
use cygnet_server::net::routes::{Repaired, Routes, Way};
use cygnet_server::net::{NetError, routes::ROUTE_PROTOCOL};
use ipnet::IpNet;

use crate::netns::{Namespace, cable};

const TUN: &str = "cygnet0";

fn tun() -> InterfaceName {
    InterfaceName::new(TUN).unwrap()
}

fn settings(addresses: &[&str]) -> TunSettings {
    TunSettings { addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(), mtu: 1400 }
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn namespace_with_tun() -> Namespace {
    let host = Namespace::new();
    host.ip("tuntap add dev cygnet0 mode tun");
    host
}

fn our_routes(host: &Namespace) -> Vec<String> {
    let all = ["-4", "-6"].map(|family| host.ip(&format!("{family} route show proto {ROUTE_PROTOCOL}")));
    let destination = |line: &str| line.split_whitespace().next().map(str::to_owned);
    all.iter().flat_map(|listing| listing.lines()).filter_map(destination).collect()
}

#[test]
fn a_tun_gets_addresses_mtu_queue_length_and_is_up() {
    let host = namespace_with_tun();
    host.block_on(async || {
        let netlink = Netlink::open().unwrap();
        let index = netlink.configure_tun(&tun(), &settings(&["10.20.0.1", "fd00:20::1"])).await.unwrap();
        let found = netlink.interfaces().await.unwrap().into_iter().find(|i| i.name == TUN).unwrap();
        assert_eq!((found.index, found.mtu, found.up), (index, 1400, true));
        let addresses: Vec<String> = found.addresses.iter().map(ToString::to_string).collect();
        assert!(["10.20.0.1/32", "fd00:20::1/128"].iter().all(|a| addresses.iter().any(|b| a == b)), "{addresses:?}");
    });
    assert!(host.ip("link show cygnet0").contains(&format!("qlen {TUN_QUEUE_LENGTH}")));
}

#[test]
fn configuring_a_tun_again_replaces_its_addresses() {
    let host = namespace_with_tun();
    host.block_on(async || {
        let netlink = Netlink::open().unwrap();
        netlink.configure_tun(&tun(), &settings(&["10.20.0.1", "fd00:20::1"])).await.unwrap();
        netlink.configure_tun(&tun(), &settings(&["10.20.0.1", "10.30.0.1"])).await.unwrap();
        let found = netlink.interfaces().await.unwrap().into_iter().find(|i| i.name == TUN).unwrap();
        let mut ours: Vec<IpAddr> = found.addresses.iter().map(IpNet::addr).collect();
        ours.retain(|a| !matches!(a, IpAddr::V6(a) if a.is_unicast_link_local()));
        assert_eq!(ours, ["10.20.0.1", "10.30.0.1"].map(|a| a.parse::<IpAddr>().unwrap()));
    });
}

#[test]
fn a_missing_interface_is_named() {
    let host = Namespace::new();
    let error =
        host.block_on(async || Netlink::open().unwrap().configure_tun(&tun(), &settings(&[])).await.unwrap_err());
    assert_eq!(error.to_string(), "there is no network interface cygnet0");
}

#[test]
fn default_routes_tell_interface_and_gateway() {
    let (host, other) = (Namespace::new(), Namespace::new());
    cable((&host, "wan0"), (&other, "peer"));
    host.ip("addr add 198.51.100.1/24 dev wan0");
    host.ip("addr add 2001:db8::1/64 dev wan0");
    host.ip("route add default via 198.51.100.254 metric 100");
    host.ip("-6 route add default via 2001:db8::ffff metric 7");
    let routes = host.block_on(async || Netlink::open().unwrap().default_routes().await.unwrap());
    let told: Vec<_> =
        routes.iter().map(|r| (r.interface.as_str(), r.gateway.unwrap().to_string(), r.metric)).collect();
    assert_eq!(told, [("wan0", "198.51.100.254".to_owned(), 100), ("wan0", "2001:db8::ffff".to_owned(), 7)]);
    assert_eq!(routes.iter().map(|r| r.ipv6).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn routes_are_added_marked_and_removed() {
    let host = namespace_with_tun();
    host.block_on(async || {
        let netlink = Netlink::open().unwrap();
        let index = netlink.configure_tun(&tun(), &settings(&["10.20.0.1", "fd00:20::1"])).await.unwrap();
        let mut routes = Routes::start(netlink, index).await.unwrap();
        for destination in ["10.20.0.2/32", "10.2.0.0/16", "fd00:20::2/128"] {
            routes.add(net(destination), None).await.unwrap();
            routes.add(net(destination), None).await.unwrap();
        }
        assert_eq!(our_routes(&host), ["10.2.0.0/16", "10.20.0.2", "fd00:20::2"]);
        routes.remove(net("10.20.0.2/32")).await.unwrap();
        routes.remove(net("10.20.0.77/32")).await.unwrap();
        assert_eq!(our_routes(&host), ["10.2.0.0/16", "fd00:20::2"]);
        routes.close().await.unwrap();
        assert_eq!(our_routes(&host), Vec::<String>::new());
    });
}

#[test]
fn a_route_has_the_mtu_that_its_client_takes() {
    let host = namespace_with_tun();
    let mtu_of = |family: &str, destination: &str| host.ip(&format!("{family} route show {destination}"));
    host.block_on(async || {
        let netlink = Netlink::open().unwrap();
        let index = netlink.configure_tun(&tun(), &settings(&["10.20.0.1", "fd00:20::1"])).await.unwrap();
        let mut routes = Routes::start(netlink, index).await.unwrap();
        for (family, destination) in [("-4", "10.20.0.2/32"), ("-6", "fd00:20::2/128")] {
            routes.add(net(destination), Some(1300)).await.unwrap();
            assert!(mtu_of(family, destination).contains("mtu 1300"));
            routes.add(net(destination), Some(1280)).await.unwrap();
            assert!(mtu_of(family, destination).contains("mtu 1280"), "{}", mtu_of(family, destination));
            assert_eq!(routes.repair().await.unwrap(), Repaired::default());
            host.ip(&format!("{family} route change {destination} dev cygnet0 proto {ROUTE_PROTOCOL} mtu 1400"));
            assert_eq!(routes.repair().await.unwrap(), Repaired { added: 1, removed: 1 });
            assert!(mtu_of(family, destination).contains("mtu 1280"));
            routes.add(net(destination), None).await.unwrap();
            assert!(!mtu_of(family, destination).contains("mtu 1280"));
        }
        routes.close().await.unwrap();
        assert_eq!(our_routes(&host), Vec::<String>::new());
    });
}

#[test]
fn what_a_crash_left_is_removed_and_the_routes_of_others_stay() {
    let host = namespace_with_tun();
    host.ip("tuntap add dev other0 mode tun");
    host.ip("link set other0 up");
    host.ip("link set cygnet0 up");
    host.ip(&format!("route add 10.20.0.9/32 dev cygnet0 proto {ROUTE_PROTOCOL}"));
    host.ip(&format!("-6 route add fd00:20::9/128 dev cygnet0 proto {ROUTE_PROTOCOL}"));
    host.ip(&format!("route add 10.20.0.8/32 dev other0 proto {ROUTE_PROTOCOL}"));
    host.ip("route add 10.50.0.0/16 dev other0 proto static");
    host.ip("route add 10.20.0.7/32 dev cygnet0 proto 99");
    host.ip(&format!("route add 10.60.0.0/16 dev other0 table 77 proto {ROUTE_PROTOCOL}"));
    host.block_on(async || {
        let netlink = Netlink::open().unwrap();
        let index = netlink.configure_tun(&tun(), &settings(&["10.20.0.1"])).await.unwrap();
        let _routes = Routes::start(netlink, index).await.unwrap();
    });
    assert_eq!(our_routes(&host), Vec::<String>::new());
    let left = host.ip("route show") + &host.ip("route show table 77");
    for kept in ["10.50.0.0/16", "10.20.0.7", "10.60.0.0/16"] {
        assert!(left.contains(kept), "{kept} is gone:\n{left}");
    }
}

#[test]
fn repair_brings_lost_routes_back_and_removes_strange_ones() {
    let host = namespace_with_tun();
    host.block_on(async || {
        let netlink = Netlink::open().unwrap();
        let index = netlink.configure_tun(&tun(), &settings(&["10.20.0.1", "fd00:20::1"])).await.unwrap();
        let mut routes = Routes::start(netlink, index).await.unwrap();
        for destination in ["10.20.0.2/32", "10.20.0.3/32", "fd00:20::2/128"] {
            routes.add(net(destination), None).await.unwrap();
        }
        assert_eq!(routes.repair().await.unwrap(), Repaired::default());
        host.ip("route del 10.20.0.2/32");
        host.ip("-6 route del fd00:20::2/128");
        host.ip(&format!("route add 10.20.0.9/32 dev cygnet0 proto {ROUTE_PROTOCOL}"));
        assert_eq!(routes.repair().await.unwrap(), Repaired { added: 2, removed: 1 });
        assert_eq!(our_routes(&host), ["10.20.0.2", "10.20.0.3", "fd00:20::2"]);
        host.ip("route del 10.20.0.3/32");
        routes.remove(net("10.20.0.3/32")).await.unwrap();
    });
}

#[test]
fn a_route_that_somebody_else_has_is_refused() {
    let host = namespace_with_tun();
    host.ip("tuntap add dev other0 mode tun");
    host.ip("link set other0 up");
    host.ip("route add 10.2.0.0/16 dev other0");
    host.block_on(async || {
        let netlink = Netlink::open().unwrap();
        let index = netlink.configure_tun(&tun(), &settings(&["10.20.0.1"])).await.unwrap();
        let mut routes = Routes::start(netlink, index).await.unwrap();
        let error = routes.add(net("10.2.0.0/16"), None).await.unwrap_err();
        assert!(matches!(error, NetError::Netlink { .. }));
        assert!(error.to_string().starts_with("cannot add the route to 10.2.0.0/16: File exists"), "{error}");
        assert_eq!(routes.wanted().count(), 0);
    });
    assert!(host.ip("route show").contains("10.2.0.0/16 dev other0"));
}

#[test]
fn guards_of_networks_go_last() {
    let host = namespace_with_tun();
    host.block_on(async || {
        let netlink = Netlink::open().unwrap();
        let index = netlink.configure_tun(&tun(), &settings(&["10.20.0.1"])).await.unwrap();
        let mut routes = Routes::start(netlink, index).await.unwrap();
        routes.lead(net("10.2.0.0/16"), Way { guarded: true, ..Way::default() }).await.unwrap();
        routes.add(net("10.20.0.2/32"), None).await.unwrap();
        routes.withdraw().await.unwrap();
        let left = host.ip(&format!("route show proto {ROUTE_PROTOCOL}"));
        assert!(left.starts_with("unreachable 10.2.0.0/16") && left.lines().count() == 1, "{left}");
        routes.close().await.unwrap();
        assert_eq!(our_routes(&host), Vec::<String>::new());
    });
}
