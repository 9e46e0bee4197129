//! Transport mode (RFC 7296 section 1.3.1), and Child SAs for certain traffic only (section 3.13.1).

use std::net::IpAddr;
use std::sync::Arc;

use cygnet_ike::config::{Config, Timing};
use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::proposal::Policy;
use cygnet_ike::testing::{ClientConfig, LinkQuality, Pair, Task};
use cygnet_ike::wire::num::NotifyType;
use cygnet_ike::wire::v2::TrafficSelector;
use cygnet_ike::{ChildMode, LocalAuth, Path, PeerAuth, Site, SiteChild};

use crate::setup::*;

fn host(text: &str) -> TrafficSelector {
    TrafficSelector::host(text.parse::<IpAddr>().expect("an address"))
}

/// A gateway with one site, whose only tunnel is in this mode.
fn gateway(mode: ChildMode, selectors: [Vec<TrafficSelector>; 2]) -> Config {
    let mut config = server();
    let [local, remote] = selectors;
    config.sites = vec![Arc::new(Site {
        name: "branch".into(),
        identity: identity("gw.example"),
        peer_identity: Some(identity("branch.example")),
        peer_addresses: Vec::new(),
        local_auth: LocalAuth::Psk(Secret::from_slice(b"site key")),
        peer_auth: PeerAuth::Psk(Secret::from_slice(b"site key")),
        ppk: None,
        policy: Policy::default(),
        children: vec![SiteChild { name: "main".into(), local, remote, mode }],
        timing: Timing::default(),
        reauthentication: None,
        mobike: true,
        force_udp_encap: false,
        fragmentation: true,
    })];
    config
}

/// The other end of it, which wants transport mode between the two outer addresses.
fn branch() -> ClientConfig {
    let mut config = ClientConfig::psk(identity("branch.example"), b"site key");
    config.server_identity = Some(identity("gw.example"));
    (config.transport, config.attributes) = (true, Vec::new());
    config.selectors = (vec![host("198.51.100.1")], vec![host("192.0.2.1")]);
    config
}

fn is_granted(pair: &Pair) -> bool {
    pair.clients[0].told.iter().any(|(kind, _)| *kind == NotifyType::USE_TRANSPORT_MODE)
}

fn mode(pair: &Pair) -> ChildMode {
    pair.children.values().next().expect("a Child SA").mode
}

#[test]
fn a_site_that_is_configured_for_it_gets_transport_mode_and_keeps_it() {
    let mut pair = login(gateway(ChildMode::Transport, [Vec::new(), Vec::new()]), branch());
    assert_up(&pair, 0);
    assert!(is_granted(&pair));
    let child = pair.children.values().next().expect("a Child SA");
    assert_eq!((child.mode, child.udp_encap), (ChildMode::Transport, false));
    assert_eq!((&child.local_ts, &child.remote_ts), (&vec![host("192.0.2.1")], &vec![host("198.51.100.1")]));
    pair.clients[0].told.clear();
    run(&mut pair, 0, Task::RekeyChild);
    assert_up(&pair, 0);
    assert!(is_granted(&pair));
    assert_eq!(mode(&pair), ChildMode::Transport);
}

#[test]
fn elsewhere_the_answer_is_tunnel_mode() {
    let selectors = || [vec![host("192.0.2.1")], vec![host("198.51.100.1")]];
    // Not configured.
    let pair = login(gateway(ChildMode::Tunnel, selectors()), branch());
    assert_up(&pair, 0);
    assert_eq!((is_granted(&pair), mode(&pair)), (false, ChildMode::Tunnel));
    // Not asked for.
    let mut config = branch();
    config.transport = false;
    let pair = login(gateway(ChildMode::Transport, selectors()), config);
    assert_up(&pair, 0);
    assert_eq!((is_granted(&pair), mode(&pair)), (false, ChildMode::Tunnel));
    // Addresses are translated on the way.
    let mut pair = Pair::new(gateway(ChildMode::Transport, selectors()), LinkQuality::PERFECT, 1);
    pair.link.translate(0);
    pair.connect(branch(), 2);
    pair.settle(LIMIT);
    assert_up(&pair, 0);
    assert_eq!((is_granted(&pair), mode(&pair)), (false, ChildMode::Tunnel));
    // A client.
    let mut config = client();
    config.transport = true;
    let pair = login(server(), config);
    assert_up(&pair, 0);
    assert_eq!((is_granted(&pair), mode(&pair)), (false, ChildMode::Tunnel));
}

#[test]
fn what_is_bound_to_an_address_does_not_move() {
    let mut config = branch();
    config.mobike = true;
    let mut pair = login(gateway(ChildMode::Transport, [Vec::new(), Vec::new()]), config);
    let before = pair.server.snapshot()[0].path;
    let elsewhere = "198.51.100.77:4500".parse().expect("an address");
    let now = pair.now;
    let peer = pair.clients[0].path().peer;
    pair.clients[0].roam(now, Path { local: elsewhere, peer });
    pair.settle(LIMIT);
    assert_eq!(pair.clients[0].refusals, [NotifyType::UNACCEPTABLE_ADDRESSES]);
    assert_eq!(pair.server.snapshot()[0].path, before);
}

#[test]
fn further_child_sas_may_be_for_one_protocol_port_or_type_of_message() {
    let part =
        |protocol, start_port, end_port| TrafficSelector { protocol, start_port, end_port, ..TrafficSelector::ANY_V4 };
    let (https, dns) = (part(6, 443, 443), part(17, 53, 53));
    // Section 3.13.1: the type in the upper octet, the code in the lower one.
    let echo = part(1, 0x0800, 0x08ff);
    let mut pair = connected();
    let assigned = TrafficSelector::host(pair.clients[0].addresses()[0]);
    for wanted in [https, dns, echo] {
        pair.clients[0].set_selectors(vec![TrafficSelector::ANY_V4], vec![wanted]);
        run(&mut pair, 0, Task::NewChild);
        assert_up(&pair, 0);
        let child = pair.clients[0].children.last().expect("a Child SA");
        assert_eq!((&child.tsi, &child.tsr), (&vec![assigned], &vec![wanted]));
    }
    assert_eq!((pair.children.len(), pair.clients[0].refusals.len()), (4, 0));
    pair.clients[0].set_selectors(vec![part(6, 1024, 65_535)], vec![https]);
    run(&mut pair, 0, Task::NewChild);
    let child = pair.clients[0].children.last().expect("a Child SA");
    assert_eq!(child.tsi, [TrafficSelector { protocol: 6, start_port: 1024, ..assigned }]);
    run(&mut pair, 0, Task::RekeyChild);
    assert_up(&pair, 0);
    assert_eq!(pair.children.len(), 5, "a rekeyed one keeps its traffic");
}
