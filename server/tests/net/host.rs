//! The task that keeps the host's network.

use std::net::{IpAddr, Ipv4Addr};

use cygnet_server::net::forwarding::Families;
use cygnet_server::net::link::TunSettings;
use cygnet_server::net::nft::RuleSet;
use cygnet_server::net::routes::ROUTE_PROTOCOL;
use cygnet_server::net::{HostNetwork, HostSettings, SiteNetwork};

use crate::firewall::{PEER, rules};
use crate::netns::Namespace;

fn host_with_tun() -> Namespace {
    let host = Namespace::new();
    host.ip("tuntap add dev cygnet0 mode tun");
    host.ip("tuntap add dev other0 mode tun");
    host.ip("link set other0 up");
    host
}

fn settings() -> HostSettings {
    let addresses = ["10.20.0.1", "fd00:20::1"].map(|a| a.parse().unwrap()).to_vec();
    HostSettings {
        tun: TunSettings { addresses, mtu: 1400 },
        families: Families { v4: true, v6: true },
        rules: RuleSet { pools: vec!["10.20.0.0/16".parse().unwrap()], ..rules() },
    }
}

fn client(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0a14_0000 + n))
}

fn is_routed(host: &Namespace, address: IpAddr) -> bool {
    host.ip(&format!("route show {address} proto {ROUTE_PROTOCOL}")).contains(&address.to_string())
}

fn is_filtered_in(host: &Namespace, address: IpAddr) -> bool {
    host.succeeds(&format!("nft get element inet cygnet leases4 {{{address}}}"))
}

#[test]
fn an_admitted_address_is_routed_and_let_through_until_expelled() {
    let host = host_with_tun();
    host.block_on(async || {
        let (network, _task) = HostNetwork::start(settings()).await.unwrap();
        let alice = client(2);
        network.admit(vec![alice, "fd00:20::2".parse().unwrap()], None).await.unwrap();
        assert!(is_routed(&host, alice) && is_filtered_in(&host, alice));
        assert!(host.ip("-6 route show").contains("fd00:20::2"));
        network.expel(vec![alice]).await.unwrap();
        assert!(!is_routed(&host, alice) && !is_filtered_in(&host, alice));
        assert!(host.ip("-6 route show").contains("fd00:20::2"));
        network.close().await;
    });
}

#[test]
fn many_sessions_at_once_are_all_served() {
    let host = host_with_tun();
    host.block_on(async || {
        let (network, _task) = HostNetwork::start(settings()).await.unwrap();
        let logins = (2..2002).map(|n| {
            let network = network.clone();
            tokio::spawn(async move {
                network.admit(vec![client(n)], None).await.unwrap();
                if n % 2 == 0 {
                    network.expel(vec![client(n)]).await.unwrap();
                }
            })
        });
        for login in logins.collect::<Vec<_>>() {
            login.await.unwrap();
        }
        let routes = host.ip(&format!("route show proto {ROUTE_PROTOCOL}"));
        assert_eq!(routes.lines().filter(|line| line.starts_with("10.20.")).count(), 1000);
        assert!(is_filtered_in(&host, client(2001)) && !is_filtered_in(&host, client(2000)));
        network.close().await;
    });
}

#[test]
fn a_request_that_cannot_be_met_leaves_nothing_and_harms_no_other() {
    let host = host_with_tun();
    host.ip("route add 10.20.0.9/32 dev other0");
    host.block_on(async || {
        let (network, _task) = HostNetwork::start(settings()).await.unwrap();
        let (bad, good) =
            tokio::join!(network.admit(vec![client(8), client(9)], None), network.admit(vec![client(10)], None));
        let error = bad.unwrap_err().to_string();
        assert!(error.starts_with("cannot add the route to 10.20.0.9/32: File exists"), "{error}");
        good.unwrap();
        for left in [client(8), client(9)] {
            assert!(!is_routed(&host, left) && !is_filtered_in(&host, left), "{left}");
        }
        assert!(is_routed(&host, client(10)) && is_filtered_in(&host, client(10)));
        network.close().await;
    });
    assert!(host.ip("route show 10.20.0.9").contains("dev other0"));
}

#[test]
fn an_address_that_changes_hands_stays_in_force() {
    let host = host_with_tun();
    host.block_on(async || {
        let (network, _task) = HostNetwork::start(settings()).await.unwrap();
        network.admit(vec![client(2)], None).await.unwrap();
        let (gone, come) = tokio::join!(network.expel(vec![client(2)]), network.admit(vec![client(2)], None));
        gone.and(come).unwrap();
        assert!(is_routed(&host, client(2)) && is_filtered_in(&host, client(2)));
        let (come, gone) = tokio::join!(network.admit(vec![client(3)], None), network.expel(vec![client(3)]));
        gone.and(come).unwrap();
        assert!(!is_routed(&host, client(3)) && !is_filtered_in(&host, client(3)));
        network.close().await;
    });
}

#[test]
fn new_rules_change_the_routes_of_sites() {
    let host = host_with_tun();
    host.block_on(async || {
        let (network, _task) = HostNetwork::start(settings()).await.unwrap();
        network.admit(vec![client(2)], None).await.unwrap();
        assert!(host.ip("route show").contains("10.2.0.0/16 dev cygnet0"));
        let sites = vec![SiteNetwork::new("berlin", PEER, ["10.3.0.0/16".parse().unwrap()])];
        network.replace_rules(network.turn(), RuleSet { sites, ..settings().rules }).await.unwrap();
        let routes = host.ip("route show");
        assert!(routes.contains("10.3.0.0/16 dev cygnet0") && !routes.contains("10.2.0.0/16"), "{routes}");
        assert!(is_filtered_in(&host, client(2)));
        assert_eq!(network.drops().await.unwrap().unrouted, 0);
        network.close().await;
    });
}

#[test]
fn settings_that_the_kernel_refuses_change_nothing() {
    let host = host_with_tun();
    host.ip("route add 10.9.0.0/16 dev other0");
    host.block_on(async || {
        let (network, _task) = HostNetwork::start(settings()).await.unwrap();
        network.admit(vec![client(2)], None).await.unwrap();
        let picture = || (host.ip("route show"), host.ip("-br address show dev cygnet0"), host.nft("list ruleset"));
        let before = picture();
        let networks = ["10.4.0.0/16", "10.9.0.0/16"].map(|net| net.parse().unwrap());
        let sites = vec![SiteNetwork::new("berlin", PEER, networks)];
        let mut refused = HostSettings { rules: RuleSet { sites, ..settings().rules }, ..settings() };
        refused.tun.addresses = vec!["10.30.0.1".parse().unwrap()];
        let error = network.reconfigure(network.turn(), refused.clone()).await.unwrap_err().to_string();
        assert!(error.starts_with("cannot add the route to 10.9.0.0/16"), "{error}");
        assert_eq!(picture(), before);
        assert!(!network.repair().await.unwrap(), "nothing was left to put right");

        host.ip("route del 10.9.0.0/16");
        network.reconfigure(network.turn(), refused).await.unwrap();
        assert!(host.ip("route show").contains("10.9.0.0/16 dev cygnet0") && is_filtered_in(&host, client(2)));
        network.close().await;
    });
}

#[test]
fn new_settings_bring_addresses_and_forwarding() {
    let host = host_with_tun();
    host.sysctl("net/ipv6/conf/all/forwarding", "0");
    host.block_on(async || {
        let old = HostSettings { families: Families { v4: true, v6: false }, ..settings() };
        let (network, _task) = HostNetwork::start(old).await.unwrap();
        assert_eq!(host.read_sysctl("net/ipv6/conf/all/forwarding"), "0");
        let mut new = settings();
        new.tun.addresses.push("10.30.0.1".parse().unwrap());
        network.reconfigure(network.turn(), new).await.unwrap();
        assert_eq!(host.read_sysctl("net/ipv6/conf/all/forwarding"), "1");
        assert!(host.ip("address show dev cygnet0").contains("10.30.0.1/32"));
        network.close().await;
    });
}

#[test]
fn what_was_decided_later_counts() {
    let host = host_with_tun();
    host.block_on(async || {
        let (network, _task) = HostNetwork::start(settings()).await.unwrap();
        let (older, newer) = (network.turn(), network.turn());
        let to = |net: &str| {
            let sites = vec![SiteNetwork::new("berlin", PEER, [net.parse().unwrap()])];
            RuleSet { sites, ..settings().rules }
        };
        network.replace_rules(newer, to("10.4.0.0/16")).await.unwrap();
        network.replace_rules(older, to("10.3.0.0/16")).await.unwrap();
        let routes = host.ip("route show");
        assert!(routes.contains("10.4.0.0/16 dev cygnet0") && !routes.contains("10.3.0.0/16"), "{routes}");
        network.close().await;
    });
}

#[test]
fn what_others_undo_is_done_again() {
    let host = host_with_tun();
    host.block_on(async || {
        let (network, _task) = HostNetwork::start(settings()).await.unwrap();
        network.admit(vec![client(2)], None).await.unwrap();
        assert!(!network.repair().await.unwrap());
        host.ip("route del 10.20.0.2");
        assert!(network.repair().await.unwrap());
        host.nft("flush ruleset");
        assert!(network.repair().await.unwrap());
        host.sysctl("net/ipv4/ip_forward", "0");
        assert!(network.repair().await.unwrap());
        assert!(!network.repair().await.unwrap());
        assert!(is_routed(&host, client(2)) && is_filtered_in(&host, client(2)));
        assert_eq!(host.read_sysctl("net/ipv4/ip_forward"), "1");
        network.close().await;
    });
}

#[test]
fn nothing_is_left_after_closing_or_dropping() {
    let host = host_with_tun();
    host.nft("add table inet filter");
    for close in [true, false] {
        host.block_on(async || {
            let (network, task) = HostNetwork::start(settings()).await.unwrap();
            network.admit(vec![client(2)], None).await.unwrap();
            if close {
                network.close().await;
                assert_eq!(
                    network.admit(vec![client(3)], None).await.unwrap_err().to_string(),
                    "the gateway is shutting down"
                );
            }
            drop(network);
            task.await.unwrap();
        });
        assert_eq!(host.nft("list tables").trim(), "table inet filter");
        assert_eq!(host.ip(&format!("route show proto {ROUTE_PROTOCOL}")), "");
    }
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    let host = host_with_tun();
    host.ip("route add 10.2.0.0/16 dev other0");
    host.block_on(async || {
        let sites = vec![SiteNetwork::new("berlin", PEER, ["10.1.0.0/16", "10.2.0.0/16"].map(|n| n.parse().unwrap()))];
        let settings = HostSettings { rules: RuleSet { sites, ..settings().rules }, ..settings() };
        let error = HostNetwork::start(settings).await.err().unwrap().to_string();
        assert!(error.starts_with("cannot add the route to 10.2.0.0/16"), "{error}");
    });
    assert_eq!(host.nft("list tables"), "");
    assert_eq!(host.ip(&format!("route show proto {ROUTE_PROTOCOL}")), "");
}
