//! The nftables table as an object: made, changed, repaired, removed.

use std::net::{IpAddr, Ipv4Addr};

use cygnet_server::net::SiteNetwork;
use cygnet_server::net::link::InterfaceName;
use cygnet_server::net::nft::{Drops, Firewall, GatewayServices, MssClamp, Nat, RuleSet, TABLE};

use crate::netns::Namespace;

/// Where the site of these tests is.
pub(crate) const PEER: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)));

pub(crate) fn rules() -> RuleSet {
    RuleSet {
        tun: InterfaceName::new("cygnet0").unwrap(),
        pools: ["10.20.0.0/24", "fd00:20::/64"].map(|p| p.parse().unwrap()).to_vec(),
        sites: vec![SiteNetwork::new("berlin", PEER, ["10.2.0.0/16".parse().unwrap()])],
        nat: Nat::Masquerade,
        client_to_client: false,
        inbound: false,
        services: GatewayServices::default(),
        mss: MssClamp::PathMtu,
        l2tp: false,
    }
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|a| a.parse().unwrap()).collect()
}

fn tables(host: &Namespace) -> Vec<String> {
    host.nft("list tables").lines().map(str::to_owned).collect()
}

fn leases(host: &Namespace, family: u8) -> String {
    host.nft(&format!("list set inet {TABLE} leases{family}"))
}

const FOREIGN: &str = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t\tudp dport 500 accept\n\t}\n}\n";

#[test]
fn the_table_comes_and_goes_and_others_stay() {
    let host = Namespace::new();
    host.nft(FOREIGN);
    host.block_on(async || {
        let mut firewall = Firewall::install(rules()).await.unwrap();
        assert_eq!(tables(&host), ["table inet filter", "table inet cygnet"]);
        firewall.update(&addresses(&["10.20.0.2"]), &[]).await.unwrap();
        firewall.replace(RuleSet { nat: Nat::None, ..rules() }).await.unwrap();
        assert_eq!(host.nft("list table inet filter"), FOREIGN);
        firewall.close().await.unwrap();
        assert_eq!(tables(&host), ["table inet filter"]);
        assert_eq!(host.nft("list table inet filter"), FOREIGN);
    });
}

#[test]
fn every_rule_set_is_one_that_nft_takes() {
    let host = Namespace::new();
    host.block_on(async || {
        let mut firewall = Firewall::install(rules()).await.unwrap();
        let nothing =
            RuleSet { pools: vec![], sites: vec![], services: GatewayServices { udp: vec![], tcp: vec![] }, ..rules() };
        let everything = RuleSet {
            sites: vec![SiteNetwork::new(
                "all",
                PEER,
                ["0.0.0.0/0", "::/0", "10.2.0.0/16"].map(|n| n.parse().unwrap()),
            )],
            nat: Nat::None,
            client_to_client: true,
            inbound: true,
            mss: MssClamp::Mtu(1280),
            ..rules()
        };
        for rules in [nothing, everything] {
            firewall.replace(rules.clone()).await.unwrap();
            assert_eq!(firewall.rules(), &rules);
            assert!(!firewall.repair().await.unwrap());
        }
    });
}

#[test]
fn what_a_crash_left_is_replaced() {
    let host = Namespace::new();
    host.block_on(async || {
        let mut crashed = Firewall::install(rules()).await.unwrap();
        crashed.update(&addresses(&["10.20.0.2", "fd00:20::2"]), &[]).await.unwrap();
        drop(crashed);
        assert!(leases(&host, 4).contains("10.20.0.2"));
        let firewall = Firewall::install(rules()).await.unwrap();
        assert_eq!(firewall.admitted().count(), 0);
        assert!(!leases(&host, 4).contains("10.20.0.2"));
        assert!(!leases(&host, 6).contains("fd00:20::2"));
    });
}

#[test]
fn thousands_of_addresses_change_in_one_transaction() {
    let host = Namespace::new();
    host.block_on(async || {
        let mut firewall = Firewall::install(rules()).await.unwrap();
        let many: Vec<IpAddr> = (0..5000).map(|n| IpAddr::V4(Ipv4Addr::from(0x0a14_0000 + n))).collect();
        firewall.update(&many, &[]).await.unwrap();
        let replacement = addresses(&["fd00:20::7"]);
        firewall.update(&replacement, &many[1..]).await.unwrap();
        assert_eq!(firewall.admitted().collect::<Vec<_>>(), [many[0], replacement[0]]);
        assert!(leases(&host, 4).contains("elements = { 10.20.0.0 }"));
        assert!(leases(&host, 6).contains("fd00:20::7"));
        firewall.update(&[many[0]], &many[5..9]).await.unwrap();
        assert_eq!(firewall.admitted().count(), 2);
    });
}

#[test]
fn rules_and_addresses_survive_each_other() {
    let host = Namespace::new();
    host.block_on(async || {
        let mut firewall = Firewall::install(rules()).await.unwrap();
        firewall.update(&addresses(&["10.20.0.2"]), &[]).await.unwrap();
        firewall.replace(RuleSet { client_to_client: true, ..rules() }).await.unwrap();
        assert!(leases(&host, 4).contains("10.20.0.2"));
        firewall.update(&addresses(&["10.20.0.3"]), &addresses(&["10.20.0.2"])).await.unwrap();
        let listed = leases(&host, 4);
        assert!(listed.contains("10.20.0.3") && !listed.contains("10.20.0.2"), "{listed}");
    });
}

#[test]
fn repair_notices_what_others_changed() {
    let host = Namespace::new();
    host.block_on(async || {
        let mut firewall = Firewall::install(rules()).await.unwrap();
        firewall.update(&addresses(&["10.20.0.2", "fd00:20::2"]), &[]).await.unwrap();
        assert!(!firewall.repair().await.unwrap());
        for damage in [
            "flush ruleset",
            "delete element inet cygnet leases4 { 10.20.0.2 }",
            "add element inet cygnet leases6 { fd00:20::66 }",
            "flush chain inet cygnet from_tunnel",
            "add rule inet cygnet from_tunnel accept",
        ] {
            host.nft(damage);
            assert!(firewall.repair().await.unwrap(), "{damage}");
            assert!(!firewall.repair().await.unwrap(), "{damage}");
            assert!(leases(&host, 4).contains("10.20.0.2") && !leases(&host, 6).contains("::66"), "{damage}");
        }
    });
}

#[test]
fn an_update_of_a_lost_table_makes_it_anew() {
    let host = Namespace::new();
    host.block_on(async || {
        let mut firewall = Firewall::install(rules()).await.unwrap();
        firewall.update(&addresses(&["10.20.0.2"]), &[]).await.unwrap();
        host.nft("flush ruleset");
        firewall.update(&addresses(&["10.20.0.3"]), &[]).await.unwrap();
        let listed = leases(&host, 4);
        assert!(listed.contains("10.20.0.2") && listed.contains("10.20.0.3"), "{listed}");
        assert_eq!(firewall.drops().await.unwrap(), Drops::default());
    });
}

#[test]
fn a_refusal_is_told_with_what_nft_says() {
    let host = Namespace::new();
    host.block_on(async || {
        let firewall = Firewall::install(rules()).await.unwrap();
        host.nft("flush ruleset");
        let error = firewall.drops().await.unwrap_err().to_string();
        assert!(
            error.starts_with("cannot read the drop counters: nft says: Error: No such file or directory"),
            "{error}"
        );
    });
}
