//! IKE_AUTH by pre-shared key: who comes in, and what the others and the operator are told.

use std::net::Ipv4Addr;
use std::time::Duration;

use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::identity::Identity;
use cygnet_ike::psk::{PskSelector, PskTable};
use cygnet_ike::testing::{ClientConfig, End, LinkQuality, Login, Pair, Seen, Task};
use cygnet_ike::wire::num::{CpAttr, NotifyType};
use cygnet_ike::wire::v2::TrafficSelector;
use cygnet_ike::{AuthenticatedBy, CloseReason, Denial, Grant, Prefix, RefusalReason, SessionState};

use crate::pki::{Pki, params};
use crate::setup::*;

#[test]
fn the_right_psk_comes_in_and_gets_what_it_asked_for() {
    let mut config = client();
    config.attributes = [1, 2, 6, 3, 8, 12, 10, 25, 23456, 30000].map(CpAttr).to_vec();
    let pair = login(server(), config);
    assert_up(&pair, 0);
    assert_eq!(pair.clients[0].addresses(), [Ipv4Addr::new(10, 0, 0, 2)]);
    let kinds: Vec<u16> = pair.clients[0].reply.iter().map(|(kind, _)| kind.0).collect();
    assert_eq!(kinds, [1, 3]);
    let info = &pair.server.snapshot()[0];
    assert_eq!((info.state, info.by), (SessionState::Established, Some(AuthenticatedBy::Psk)));
    assert_eq!(info.identity, Some(identity("laptop.example")));
    let established = pair.seen.iter().position(|seen| matches!(seen, Seen::Established(_)));
    let up = pair.seen.iter().position(|seen| matches!(seen, Seen::ChildUp(..)));
    assert!(up < established, "{:?}", pair.seen);
}

#[test]
fn a_wrong_psk_is_refused_without_a_word_why() {
    let mut config = client();
    config.login = Login::Psk(b"sardine".to_vec());
    let mut pair = login(server(), config);
    assert_eq!(pair.clients[0].end(), Some(&End::Refused(NotifyType::AUTHENTICATION_FAILED)));
    assert_eq!(refusals(&pair), [&RefusalReason::WrongPsk]);
    assert!(pair.children.is_empty());
    assert_empty(&mut pair);
}

#[test]
fn an_unknown_identity_gets_the_same_answer_as_a_wrong_psk() {
    let mut gateway = server();
    let selector = PskSelector::Identity(identity("other.example"));
    gateway.psks = PskTable::new(vec![(selector, Secret::from_slice(b"swordfish"))]);
    let pair = login(gateway, client());
    assert_eq!(pair.clients[0].end(), Some(&End::Refused(NotifyType::AUTHENTICATION_FAILED)));
    assert_eq!(refusals(&pair), [&RefusalReason::NoPsk]);
}

#[test]
fn the_name_that_the_client_typed_in_is_returned() {
    for name in ["192.0.2.1", "vpn.example", "keyid:box"] {
        let mut config = client();
        config.server_identity = Some(identity(name));
        let pair = login(server(), config);
        assert_up(&pair, 0);
        assert_eq!(pair.clients[0].server_identity, Some(identity(name)));
    }
    let pair = connected();
    assert_eq!(pair.clients[0].server_identity, Some(identity("gw.example")));
}

#[test]
fn a_retransmitted_first_request_is_answered_from_the_cache() {
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.connect(client(), 2);
    pair.advance(Duration::from_millis(25));
    let request = pair.link.on_the_way().next().expect("IKE_AUTH").clone();
    pair.settle(LIMIT);
    assert_up(&pair, 0);
    let before = pair.server.fingerprint();
    pair.server.handle_datagram(pair.now, pair.wall, request.path, &request.payload);
    assert!(pair.server.poll_transmit().is_some());
    assert_eq!(pair.server.counters().retransmissions_answered, 1);
    assert_eq!(pair.server.fingerprint(), before);
}

#[test]
fn while_the_server_decides_retransmissions_are_not_answered() {
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.is_silent = true;
    pair.connect(client(), 2);
    pair.advance(Duration::from_secs(3));
    let asked = pair.seen.iter().filter(|seen| matches!(seen, Seen::Authenticated(..))).count();
    assert_eq!(asked, 1);
    let session = pair.server.snapshot()[0].session;
    let grant = Grant { addresses: vec![Ipv4Addr::new(10, 0, 0, 9).into()], ..Default::default() };
    pair.server.grant(pair.now, session, grant);
    pair.settle(LIMIT);
    assert_up(&pair, 0);
}

#[test]
fn a_denied_client_is_out() {
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.denial = Some(Denial::Authorization);
    pair.connect(client(), 2);
    pair.settle(LIMIT);
    assert_eq!(pair.clients[0].end(), Some(&End::Refused(NotifyType::AUTHENTICATION_FAILED)));
    assert_eq!(refusals(&pair), [&RefusalReason::Denied]);
    assert_eq!(closed(&pair), [CloseReason::Denied]);
    assert_empty(&mut pair);
}

#[test]
fn an_empty_pool_fails_the_child_sa_only_and_the_rest_ends_later() {
    let mut gateway = server();
    gateway.reauthentication = Some(Duration::from_secs(3600));
    let mut pair = Pair::new(gateway, LinkQuality::PERFECT, 1);
    pair.denial = Some(Denial::NoAddress);
    let mut config = client();
    config.mobike = true;
    pair.connect(config, 2);
    pair.settle(LIMIT);
    assert!(pair.clients[0].is_up());
    let is_told = |wanted| pair.clients[0].told.iter().any(|(kind, _)| *kind == wanted);
    assert!(is_told(NotifyType::MOBIKE_SUPPORTED) && is_told(NotifyType::AUTH_LIFETIME));
    assert!(pair.server.snapshot()[0].mobike);
    assert_eq!(pair.clients[0].refusals, [NotifyType::INTERNAL_ADDRESS_FAILURE]);
    run(&mut pair, 0, Task::NewChild);
    assert_eq!(pair.clients[0].refusals.last(), Some(&NotifyType::FAILED_CP_REQUIRED));
    pair.advance(Duration::from_secs(40));
    assert_eq!(pair.clients[0].end(), Some(&End::DeletedByServer));
    assert_eq!(closed(&pair), [CloseReason::NoChildSa]);
    assert_empty(&mut pair);
}

#[test]
fn without_an_address_nobody_gets_a_child_sa() {
    let mut config = client();
    config.attributes.clear();
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.is_silent = true;
    pair.connect(config, 2);
    pair.advance(Duration::from_millis(100));
    let session = pair.server.snapshot()[0].session;
    pair.server.grant(pair.now, session, Grant::default());
    pair.settle(LIMIT);
    assert!(pair.clients[0].is_up() && pair.clients[0].children.is_empty());
    assert_eq!(pair.clients[0].refusals, [NotifyType::FAILED_CP_REQUIRED]);
    assert_eq!(refusals(&pair), [&RefusalReason::NoAddressRequested]);
}

#[test]
fn foreign_networks_are_not_acceptable() {
    let mut config = client();
    config.selectors.1 = vec![TrafficSelector::prefix(Ipv4Addr::new(172, 16, 0, 0).into(), 12)];
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.grant.routes = vec![Prefix { address: Ipv4Addr::new(10, 1, 0, 0).into(), len: 16 }];
    pair.connect(config, 2);
    pair.settle(LIMIT);
    assert_eq!(pair.clients[0].refusals, [NotifyType::TS_UNACCEPTABLE]);
    assert!(matches!(refusals(&pair)[..], [RefusalReason::TrafficSelectors { .. }]));
}

#[test]
fn traffic_is_narrowed_to_the_address_and_the_routes() {
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.grant.routes = vec![Prefix { address: Ipv4Addr::new(10, 1, 0, 0).into(), len: 16 }];
    pair.connect(client(), 2);
    pair.settle(LIMIT);
    assert_up(&pair, 0);
    let child = &pair.clients[0].children[0];
    assert_eq!(child.tsi, [TrafficSelector::host(Ipv4Addr::new(10, 0, 0, 2).into())]);
    assert_eq!(child.tsr, [TrafficSelector::prefix(Ipv4Addr::new(10, 1, 0, 0).into(), 16)]);
}

#[test]
fn esp_suites_must_be_acceptable() {
    let mut gateway = server();
    gateway.policy = gateway.policy.with_child(&["aes256gcm16"]).expect("a suite");
    let mut config = client();
    config.policy = config.policy.with_child(&["aes128-sha1"]).expect("a suite");
    let pair = login(gateway, config);
    assert_eq!(pair.clients[0].refusals, [NotifyType::NO_PROPOSAL_CHOSEN]);
    assert!(matches!(refusals(&pair)[..], [RefusalReason::ChildProposal(_)]));
}

/// A client at one address with all others, as behind a translator.
fn connect_from_home(pair: &mut Pair, config: ClientConfig, seed: u64) -> usize {
    let client = pair.clients.len();
    pair.link.translate(client);
    pair.connect(config, seed);
    pair.settle(LIMIT);
    assert_up(pair, client);
    client
}

#[test]
fn initial_contact_replaces_sessions_of_the_same_identity_and_address_only() {
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    connect_from_home(&mut pair, client(), 2);
    connect_from_home(&mut pair, ClientConfig::psk(identity("other.example"), b"swordfish"), 3);
    connect_from_home(&mut pair, client(), 4);
    let elsewhere = pair.connect(client(), 5);
    pair.settle(LIMIT);
    assert_eq!(pair.server.counters().sessions, 4, "without INITIAL_CONTACT all may stay");
    let mut config = client();
    config.initial_contact = true;
    connect_from_home(&mut pair, config, 6);
    assert_up(&pair, 1);
    assert_up(&pair, elsewhere);
    assert_eq!(closed(&pair), [CloseReason::Replaced, CloseReason::Replaced]);
    assert_eq!(pair.server.counters().sessions, 3);
}

#[test]
fn a_second_device_ends_the_first_only_if_it_asks_for_its_address_and_proves_that_it_is_the_same() {
    let pki = Pki::new();
    let by_certificate = || pki.client(pki.certificate(&params("laptop", &["laptop.example"])));
    for (asks, is_psk, ends) in [(false, false, 0), (true, false, 1), (true, true, 0), (false, true, 0)] {
        let mut gateway = pki.server();
        gateway.psks = server().psks;
        let config = || if is_psk { client() } else { by_certificate() };
        let mut pair = login(gateway, config());
        assert_up(&pair, 0);
        let held = pair.clients[0].addresses().first().copied();
        let mut second = config();
        second.initial_contact = true;
        second.wanted = held.filter(|_| asks).and_then(|held| match held {
            std::net::IpAddr::V4(held) => Some(held),
            std::net::IpAddr::V6(_) => None,
        });
        assert_eq!(second.wanted.is_some(), asks);
        let second = pair.connect(second, 3);
        pair.settle(LIMIT);
        assert_up(&pair, second);
        assert_eq!(closed(&pair).len(), ends, "asks: {asks}, by key: {is_psk}");
    }
}

#[test]
fn a_shared_key_ends_no_session_that_was_proven_by_certificate() {
    let pki = Pki::new();
    let mut gateway = pki.server();
    gateway.psks = server().psks;
    let mut pair = Pair::new(gateway, LinkQuality::PERFECT, 1);
    connect_from_home(&mut pair, pki.client(pki.certificate(&params("laptop", &["laptop.example"]))), 2);
    let mut config = client();
    config.initial_contact = true;
    connect_from_home(&mut pair, config, 3);
    assert_eq!((closed(&pair), pair.server.counters().sessions), (vec![], 2));
}

#[test]
fn initial_contact_of_a_wrong_psk_replaces_nobody() {
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    connect_from_home(&mut pair, client(), 2);
    pair.link.translate(1);
    let mut config = client();
    config.initial_contact = true;
    config.login = Login::Psk(b"sardine".to_vec());
    pair.connect(config, 5);
    pair.settle(LIMIT);
    assert_eq!(closed(&pair), []);
    assert_up(&pair, 0);
}

#[test]
fn shared_identities_do_not_replace_each_other() {
    let mut gateway = server();
    gateway.shared_identities = true;
    let mut pair = Pair::new(gateway, LinkQuality::PERFECT, 1);
    for seed in 0..3 {
        let mut config = client();
        config.initial_contact = true;
        connect_from_home(&mut pair, config, seed);
    }
    assert_eq!(pair.server.counters().sessions, 3);
}

#[test]
fn a_login_that_stops_half_way_ends() {
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.is_silent = true;
    pair.connect(client(), 2);
    pair.settle(LIMIT);
    assert_eq!(pair.clients[0].end(), Some(&End::TimedOut));
    pair.advance(Duration::from_secs(60));
    assert_eq!(closed(&pair), [CloseReason::Failed]);
    assert_empty(&mut pair);
}

#[test]
fn esp_spis_tell_the_shard_of_the_session() {
    let mut gateway = server();
    gateway.esp_shards = 3;
    let mut pair = Pair::new(gateway, LinkQuality::PERFECT, 1);
    for seed in 0..6 {
        let identity = Identity::Fqdn(format!("c{seed}.example"));
        pair.connect(ClientConfig::psk(identity, b"swordfish"), seed);
    }
    pair.settle(LIMIT);
    for client in 0..6 {
        run(&mut pair, client, Task::NewChild);
        let shards: Vec<u32> = pair.clients[client].children.iter().map(|child| child.outbound.0 >> 24).collect();
        assert!(shards.len() == 2 && shards[0] == shards[1] && (1..=3).contains(&shards[0]), "{shards:?}");
    }
}
