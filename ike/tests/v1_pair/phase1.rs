//! Phase 1: vendor IDs, NAT detection, identities, flags and groups.

use std::net::Ipv4Addr;
use std::time::Duration;

use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::identity::Identity;
use cygnet_ike::psk::{PskSelector, PskTable};
use cygnet_ike::testing::LinkQuality;
use cygnet_ike::testing::v1::stock::Stock;
use cygnet_ike::testing::v1::{IsakmpTransform, V1End, V1Id, V1Pair, V1Seen};
use cygnet_ike::wire::IkeSpi;
use cygnet_ike::wire::num::ExchangeType;
use cygnet_ike::wire::v1::num::IdType;
use cygnet_ike::wire::v1::{NatNumbering, vid};
use cygnet_ike::{Path, Prefix, RefusalReason};

use crate::setup::*;

#[test]
fn any_vendor_ids_are_taken_whatever_their_number_and_size() {
    let mut config = client();
    config.vendor_ids.extend((0..30_u8).map(|number| vec![number; 16]));
    config.vendor_ids.extend([vec![], vec![7], vec![9; 255], vid::NAT_T_RFC.to_vec(), vid::NAT_T_RFC.to_vec()]);
    let pair = login(server(), config);
    assert_up(&pair, 0);
}

#[test]
fn optional_vendor_ids_can_be_left_out() {
    let pair = login(server_with(|v1| v1.minimal_vendor_ids = true), client());
    assert_up(&pair, 0);
    assert_eq!(pair.clients[0].observed.vendor_ids, [vid::NAT_T_RFC]);
}

/// Lets a client in, which is or is not behind NAT, to a server that is or is not.
fn through(stock_client: Stock, client_nat: bool, server_nat: bool, force: bool) -> V1Pair {
    let mut pair = V1Pair::new(server_with(|v1| v1.force_udp_encap = force), LinkQuality::PERFECT, 1);
    pair.is_translated = server_nat;
    if client_nat {
        pair.link.translate(0);
    }
    pair.connect(stock(stock_client), 2);
    pair.settle(LIMIT);
    assert_up(&pair, 0);
    pair
}

#[test]
fn without_nat_and_without_force_esp_goes_without_udp() {
    for client in [Stock::Windows10, Stock::Apple, Stock::NetworkManager] {
        let pair = through(client, false, false, false);
        let child = pair.children.values().next().expect("one");
        assert!(!child.udp_encap, "{client:?}");
        assert_eq!(child.path.peer.port(), 500, "{client:?}");
        let observed = &pair.clients[0].observed;
        let [server, own] = observed.own_nat_d.as_slice() else { panic!("two hashes") };
        assert_eq!(observed.nat_d, [own.clone(), server.clone()], "{client:?}");
    }
}

#[test]
fn udp_is_forced_by_a_hash_that_is_no_address_of_the_client() {
    for client in [Stock::Windows10, Stock::Apple, Stock::NetworkManager] {
        let pair = through(client, false, false, true);
        let child = pair.children.values().next().expect("one");
        assert!(child.udp_encap, "{client:?}");
        let observed = &pair.clients[0].observed;
        assert_ne!(observed.nat_d[0], observed.own_nat_d[1], "{client:?}");
        assert_eq!(observed.nat_d[1], observed.own_nat_d[0], "{client:?}: the server itself is not translated");
    }
}

#[test]
fn a_client_behind_nat_floats_to_port_4500() {
    for force in [false, true] {
        let pair = through(Stock::Windows10, true, false, force);
        let child = pair.children.values().next().expect("one");
        assert!(child.udp_encap);
        assert_eq!(child.path.local.port(), 4500);
    }
}

#[test]
fn windows_never_sees_that_the_server_is_behind_nat() {
    for client_nat in [false, true] {
        let pair = through(Stock::Windows10, client_nat, true, true);
        let observed = &pair.clients[0].observed;
        assert_eq!(observed.nat_d[1], observed.own_nat_d[0], "the client's own hash of the server's address");
        assert_ne!(observed.nat_d[0], observed.own_nat_d[1], "it is told that it is translated itself");
        assert!(pair.children.values().all(|child| child.udp_encap));
    }
}

#[test]
fn others_are_told_that_the_server_is_behind_nat() {
    let pair = through(Stock::Apple, false, true, false);
    let observed = &pair.clients[0].observed;
    assert_ne!(observed.nat_d[1], observed.own_nat_d[0]);
    assert!(pair.children.values().all(|child| child.udp_encap));
}

#[test]
fn message_5_may_come_from_another_port() {
    let mut pair = V1Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.link.translate(0);
    pair.connect(stock(Stock::Windows10), 2);
    // Messages 1 to 4 have passed once the client has answered with message 5, from port 4500.
    pair.advance(Duration::from_millis(35));
    pair.link.translate(0);
    pair.settle(LIMIT);
    assert_up(&pair, 0);
    let child = pair.children.values().next().expect("one");
    assert_eq!(child.path.peer.ip().to_string(), "203.0.113.7");
}

#[test]
fn nat_d_uses_the_negotiated_hash() {
    // SHA-1, SHA2-256, SHA2-384, SHA2-512. MD5 is never negotiated.
    for (hash, len) in [(2, 20), (4, 32), (5, 48), (6, 64)] {
        let mut config = client();
        config.isakmp = vec![IsakmpTransform::psk(7, Some(256), hash, 14)];
        let pair = login(server_with(|v1| v1.force_udp_encap = false), config);
        assert_up(&pair, 0);
        let observed = &pair.clients[0].observed;
        assert!(observed.nat_d.iter().all(|hash| hash.len() == len), "hash {hash}");
        assert_eq!(observed.nat_d[0], observed.own_nat_d[1], "hash {hash}");
    }
}

#[test]
fn md5_des_and_group_1_are_never_accepted() {
    for (encr, bits, hash, group) in [(7, Some(256), 1, 14), (1, None, 2, 14), (7, Some(256), 2, 1)] {
        let mut config = client();
        config.isakmp = vec![IsakmpTransform::psk(encr, bits, hash, group)];
        let pair = login(server_with(|v1| v1.legacy = true), config);
        assert!(matches!(pair.clients[0].end(), Some(V1End::Refused(_))), "{encr} {hash} {group}: {:?}", pair.seen);
        assert!(matches!(pair.refusals().as_slice(), [RefusalReason::V1Phase1Proposal(_)]), "{:?}", pair.seen);
    }
}

#[test]
fn drafts_of_nat_traversal_use_their_own_numbers() {
    let mut config = client();
    config.vendor_ids = vec![vid::NAT_T_02_LF.to_vec()];
    config.nat_t = Some(NatNumbering::Draft);
    let pair = login(server(), config);
    assert_up(&pair, 0);
    assert_eq!(pair.clients[0].observed.nat_d.len(), 2);
    assert_eq!(pair.clients[0].children[0].mode.0, 61_444);
}

#[test]
fn a_client_without_nat_traversal_gets_esp_without_udp() {
    let mut config = client();
    config.vendor_ids.clear();
    config.nat_t = None;
    let pair = login(server(), config);
    assert_up(&pair, 0);
    assert!(pair.children.values().all(|child| !child.udp_encap));
}

fn identities() -> Vec<V1Id> {
    let dn = vec![0x30, 0x0c, 0x31, 0x0a, 0x30, 0x08, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x01, b'a'];
    vec![
        V1Id::ip4(PRIVATE, 0, 0),
        V1Id::ip4(PRIVATE, 17, 500),
        V1Id::ip4(Ipv4Addr::UNSPECIFIED, 17, 500),
        V1Id::name(IdType::FQDN, "laptop.example"),
        V1Id::name(IdType::USER_FQDN, "ann@example.org"),
        V1Id::name(IdType::KEY_ID, "group"),
        V1Id { id_type: IdType::DER_ASN1_DN, protocol: 0, port: 0, data: dn },
        V1Id { id_type: IdType::IPV6_ADDR, protocol: 0, port: 0, data: vec![0x20; 16] },
    ]
}

#[test]
fn the_key_is_found_whatever_the_client_calls_itself() {
    for id in identities() {
        let mut config = client();
        config.identity = id.clone();
        let pair = login(server(), config);
        assert!(pair.clients[0].is_up(), "{id:?}: {:?}", pair.seen);
    }
}

#[test]
fn clients_with_the_same_identity_behind_the_same_address_coexist() {
    let mut pair = V1Pair::new(server(), LinkQuality::PERFECT, 1);
    for index in 0..2 {
        pair.link.translate(index);
        let mut config = Stock::Windows10.config(PSK, PRIVATE, cygnet_ike::testing::v1::V1_SERVER);
        config.initial_contact = true;
        pair.connect(config, 2 + u64::try_from(index).expect("small"));
        pair.settle(LIMIT);
    }
    assert_up(&pair, 0);
    assert_up(&pair, 1);
    assert_eq!((pair.server.snapshot().len(), pair.children.len()), (2, 2), "{:?}", pair.seen);
}

#[test]
fn a_key_for_a_network_or_a_name_is_tried_too() {
    let network = PskSelector::Network(Prefix { address: Ipv4Addr::new(198, 51, 100, 0).into(), len: 24 });
    let name = PskSelector::Identity(Identity::Fqdn("somebody.example".into()));
    for selector in [network, name] {
        let mut config = server();
        config.psks = PskTable::new(vec![
            (PskSelector::Any, Secret::from_slice(b"the key of everybody else")),
            (selector.clone(), Secret::from_slice(PSK)),
        ]);
        let mut client = client();
        client.identity = V1Id::name(IdType::FQDN, "somebody.example");
        let pair = login(config, client);
        assert!(pair.clients[0].is_up(), "{selector:?}: {:?}", pair.seen);
    }
}

#[test]
fn a_wrong_key_is_refused_and_named() {
    let mut config = client();
    config.login = cygnet_ike::testing::v1::V1Login::Psk(b"something else".to_vec());
    let mut pair = login(server(), config);
    assert!(!pair.clients[0].is_up());
    assert!(pair.refusals().contains(&&RefusalReason::WrongPsk), "{:?}", pair.seen);
    assert_empty(&mut pair);
}

/// Sends `message` to a fresh server. Whether it was answered, and whether anything changed.
fn poke(message: &[u8]) -> (bool, bool) {
    let mut pair = V1Pair::new(server(), LinkQuality::PERFECT, 1);
    let before = pair.server.fingerprint();
    let path =
        Path { local: "192.0.2.1:500".parse().expect("valid"), peer: "198.51.100.1:500".parse().expect("valid") };
    pair.server.handle_datagram(pair.now, pair.wall, path, message);
    (pair.server.poll_transmit().is_some(), pair.server.fingerprint() != before)
}

#[test]
fn authip_is_dropped_without_an_answer() {
    let mut message = Stock::Windows10.first_message(IkeSpi([1; 8]));
    message[18] = 243;
    assert_eq!(poke(&message), (false, false));
    for exchange in [0, 1, 3, 7, 31, 34, 255] {
        message[18] = exchange;
        assert_eq!(poke(&message), (false, false), "{exchange}");
    }
}

#[test]
fn version_1_1_and_reserved_bits_are_accepted() {
    let mut message = Stock::Windows10.first_message(IkeSpi([1; 8]));
    message[17] = 0x11;
    message[19] = 0xf8;
    // Reserved bytes of the SA payload, its proposal and its first transform.
    for at in [29, 41, 49, 54, 55] {
        message[at] = 0xa5;
    }
    assert!(poke(&message).0);
    let mut config = client();
    config.minor_version = 1;
    let pair = login(server(), config);
    assert_up(&pair, 0);
}

#[test]
fn padding_behind_the_last_payload_is_accepted() {
    for padding in [1, 7, 20, 255] {
        let mut message = Stock::Windows10.first_message(IkeSpi([1; 8]));
        message.extend((0..padding).map(|byte: u8| byte ^ 0x5a));
        let length = u32::try_from(message.len()).expect("short").to_be_bytes();
        message[24..28].copy_from_slice(&length);
        assert!(poke(&message).0, "{padding} bytes of a plain message");
        let mut config = client();
        config.over_padding = padding;
        let pair = login(server(), config);
        assert_up(&pair, 0);
    }
}

#[test]
fn initial_contact_in_the_first_message_has_no_effect() {
    let mut pair = connected();
    // Somebody else says from the same address that it knows of no earlier SA, and goes no further.
    let message = Stock::Windows10.first_message(IkeSpi([9; 8]));
    let path = Path { local: "192.0.2.1:500".parse().expect("valid"), peer: pair.clients[0].path().local };
    pair.server.handle_datagram(pair.now, pair.wall, path, &message);
    pair.advance(Duration::from_secs(60));
    assert_up(&pair, 0);
    assert_eq!(closed(&pair), []);
}

#[test]
fn initial_contact_replaces_what_the_same_client_left_behind() {
    let mut config = client();
    config.initial_contact = true;
    let mut pair = login(server(), config);
    // It crashes, and comes back from the same address and port.
    pair.clients.clear();
    let mut config = client();
    config.initial_contact = true;
    pair.connect(config, 3);
    pair.settle(LIMIT);
    assert_up(&pair, 0);
    assert_eq!(pair.children.len(), 1, "{:?}", pair.seen);
    assert_eq!(pair.server.snapshot().len(), 1);
}

#[test]
fn every_group_gives_both_ends_the_same_keys() {
    for group in [14, 15, 16, 19, 20, 21] {
        let mut config = client();
        config.isakmp = vec![IsakmpTransform::psk(7, Some(128), 4, group)];
        config.pfs = true;
        let pair = login(server(), config);
        assert_up(&pair, 0);
    }
    for group in [2, 5] {
        let mut config = client();
        config.isakmp = vec![IsakmpTransform::psk(5, None, 2, group)];
        let pair = login(server_with(|v1| v1.legacy = true), config);
        assert_up(&pair, 0);
    }
}

#[test]
fn every_cipher_and_hash_gives_both_ends_the_same_keys() {
    // AES-256 with SHA-1 needs more bytes than SKEYID_e has; so does 3DES.
    for (encr, bits) in [(7, Some(128)), (7, Some(192)), (7, Some(256)), (5, None)] {
        for hash in [2, 4, 5, 6] {
            let mut config = client();
            config.isakmp = vec![IsakmpTransform::psk(encr, bits, hash, 14)];
            let pair = login(server_with(|v1| v1.legacy = true), config);
            assert_up(&pair, 0);
        }
    }
}

#[test]
fn the_commit_bit_is_tolerated_and_never_set() {
    let mut config = client();
    config.commit = true;
    let pair = login(server(), config);
    assert_up(&pair, 0);
    assert!(!pair.clients[0].observed.commit);
}

#[test]
fn ikev1_is_silent_where_it_is_not_configured() {
    let mut config = server();
    config.ikev1 = None;
    let pair = login(config, client());
    assert_eq!(pair.clients[0].end(), Some(&V1End::TimedOut));
    assert!(pair.sent.is_empty() && pair.seen.is_empty());
}

#[test]
fn aggressive_mode_is_silent_unless_it_is_switched_on() {
    let mut config = client();
    config.aggressive = true;
    let pair = login(server(), config);
    assert_eq!(pair.clients[0].end(), Some(&V1End::TimedOut));
    assert!(pair.sent.is_empty());
    assert!(pair.seen.iter().all(|seen| matches!(seen, V1Seen::Refused(RefusalReason::AggressiveDisabled))));
}

#[test]
fn new_group_mode_is_dropped() {
    let mut message = Stock::Windows10.first_message(IkeSpi([1; 8]));
    message[18] = ExchangeType::NEW_GROUP_MODE.0;
    assert_eq!(poke(&message), (false, false));
}
