//! Quick mode: encapsulation modes, identifications, message IDs, lifetimes and what else clients put into it.

use std::net::Ipv4Addr;

use cygnet_ike::testing::LinkQuality;
use cygnet_ike::testing::v1::stock::Stock;
use cygnet_ike::testing::v1::{EspTransform, V1_SERVER, V1End, V1Id, V1Pair, V1Task};
use cygnet_ike::wire::v1::num::{IdType, NotifyType};
use cygnet_ike::wire::v1::{Attribute, NatNumbering, Notify, Payload, SecurityAssociation, vid};
use cygnet_ike::{ChildMode, RefusalReason};

use crate::setup::*;

#[test]
fn encapsulation_modes_are_taken_and_echoed() {
    for (numbering, expected) in [(Some(NatNumbering::Rfc), 4), (Some(NatNumbering::Draft), 61_444), (None, 2)] {
        let mut config = client();
        config.nat_t = numbering;
        config.vendor_ids = match numbering {
            Some(NatNumbering::Draft) => vec![vid::NAT_T_02.to_vec()],
            Some(_) => vec![vid::NAT_T_RFC.to_vec()],
            None => vec![],
        };
        let pair = login(server(), config);
        assert_up(&pair, 0);
        assert_eq!(pair.clients[0].children[0].mode.0, expected);
        assert!(pair.children.values().all(|child| child.mode == ChildMode::L2tp));
    }
}

#[test]
fn plain_transport_mode_is_taken_although_nat_was_detected() {
    let mut config = client();
    config.proposes_udp = false;
    let pair = login(server(), config);
    assert_up(&pair, 0);
    assert_eq!(pair.clients[0].children[0].mode.0, 2);
}

#[test]
fn identifications_are_echoed_byte_for_byte() {
    let server_seen = Ipv4Addr::new(203, 0, 113, 77);
    let address = |data, port| V1Id::ip4(data, 17, port);
    let pairs = [
        (address(PRIVATE, 1701), address(server_seen, 1701)),
        (address(PRIVATE, 56_322), address(server_seen, 1701)),
        (address(Ipv4Addr::new(192, 168, 2, 2), 56_322), address(V1_SERVER, 1701)),
        (address(PRIVATE, 0), address(V1_SERVER, 1701)),
        (V1Id::ip4(V1Pair::address(0), 17, 1701), V1Id::ip4(V1_SERVER, 17, 1701)),
        (V1Id { protocol: 17, port: 1701, ..V1Id::name(IdType::FQDN, "old-windows") }, address(server_seen, 1701)),
    ];
    for (local, remote) in pairs {
        let mut config = client();
        (config.local_id, config.remote_id) = (local.clone(), remote);
        let pair = login(server(), config);
        // The client compares what comes back with what it sent, and gives up if it differs.
        assert!(pair.clients[0].is_up(), "{local:?}: {:?} {:?}", pair.clients[0].end(), pair.seen);
        assert_eq!(pair.clients[0].observed.quick_ids.len(), 2);
    }
}

#[test]
fn other_traffic_than_l2tp_is_refused() {
    for id in [V1Id::ip4(V1_SERVER, 6, 1701), V1Id::ip4(V1_SERVER, 17, 53), V1Id::ip4(V1_SERVER, 0, 22)] {
        let mut config = client();
        config.remote_id = id.clone();
        let pair = login(server(), config);
        assert!(pair.children.is_empty(), "{id:?}");
        assert!(!pair.refusals().is_empty(), "{id:?}");
    }
}

#[test]
fn two_clients_use_the_same_message_ids_at_the_same_time() {
    let mut pair = V1Pair::new(server(), LinkQuality::PERFECT, 1);
    for index in 0..2_u8 {
        pair.link.translate(usize::from(index));
        pair.connect(Stock::Windows10.config(PSK, PRIVATE, V1_SERVER), u64::from(index));
    }
    pair.settle(LIMIT);
    for index in 0..2 {
        assert_up(&pair, index);
    }
    // Message IDs 2 to 6 of both, side by side.
    for _ in 2..=6 {
        let now = pair.now;
        for client in &mut pair.clients {
            client.enqueue(now, V1Task::RekeyChild);
        }
        pair.settle(LIMIT);
    }
    for index in 0..2 {
        assert_up(&pair, index);
        assert_eq!(pair.clients[index].children.len(), 1);
    }
    assert_eq!(pair.children.len(), 2);
}

#[test]
fn original_addresses_may_be_none_one_or_two() {
    for (numbering, id) in [(NatNumbering::Rfc, vid::NAT_T_RFC), (NatNumbering::Draft, vid::NAT_T_02)] {
        for number in 0..=2 {
            let mut config = client();
            config.nat_oa = number;
            config.nat_t = Some(numbering);
            config.vendor_ids = vec![id.to_vec()];
            let mut pair = V1Pair::new(server(), LinkQuality::PERFECT, 1);
            pair.link.translate(0);
            pair.connect(config, 2);
            pair.settle(LIMIT);
            assert_up(&pair, 0);
            let expected = if number == 0 {
                vec![]
            } else {
                let kind = numbering.nat_oa().0;
                vec![(kind, Ipv4Addr::new(203, 0, 113, 7).into()), (kind, V1_SERVER.into())]
            };
            let seen = &pair.clients[0].observed.nat_oa;
            assert!(*seen == expected || number == 1, "{numbering:?}, {number}: {seen:?}");
        }
    }
}

#[test]
fn windows_gets_both_lifetimes_back() {
    let pair = login(server(), stock(Stock::Windows10));
    assert_up(&pair, 0);
    let sa = SecurityAssociation::parse(&pair.clients[0].observed.quick_sa).expect("valid");
    let attributes = &sa.proposals[0].transforms[0].attributes;
    let durations: Vec<_> = attributes.iter().filter(|attribute| attribute.kind == 2).map(Attribute::number).collect();
    assert_eq!(durations, [Some(3600), Some(250_000)]);
    assert_eq!(attributes.iter().filter(|attribute| attribute.kind == 1).count(), 2);
}

#[test]
fn a_fourth_message_with_initial_contact_is_ignored() {
    let mut pair = connected();
    let cookies = pair.clients[0].cookies().expect("an ISAKMP SA");
    let spi = [cookies.0.0, cookies.1.0].concat();
    let notify = Notify {
        protocol: cygnet_ike::wire::v1::num::ProtocolId::ISAKMP,
        spi: &spi,
        kind: NotifyType::INITIAL_CONTACT,
        data: &[],
    };
    pair.clients[0].fourth_quick_message(&Payload::Notify(notify));
    pair.settle(LIMIT);
    assert_up(&pair, 0);
    assert_eq!((closed(&pair).len(), pair.children.len()), (0, 1));
}

fn with_esp(transforms: Vec<EspTransform>, legacy: bool) -> V1Pair {
    let mut config = client();
    config.esp = transforms;
    login(server_with(|v1| v1.legacy = legacy), config)
}

const fn esp(id: u8, bits: Option<u16>, auth: Option<u16>) -> EspTransform {
    EspTransform { id, bits, auth }
}

#[test]
fn every_esp_suite_gives_both_ends_the_same_keys() {
    for bits in [128, 192, 256] {
        for auth in [2, 5, 6, 7] {
            assert_up(&with_esp(vec![esp(12, Some(bits), Some(auth))], false), 0);
        }
        assert_up(&with_esp(vec![esp(20, Some(bits), None)], false), 0);
    }
    for auth in [2, 5, 6, 7] {
        assert_up(&with_esp(vec![esp(3, None, Some(auth))], true), 0);
    }
}

#[test]
fn null_des_and_md5_are_never_accepted() {
    for transform in [
        esp(11, None, Some(2)),
        esp(2, None, Some(2)),
        esp(12, Some(256), Some(1)),
        esp(12, Some(256), None),
        esp(3, None, Some(1)),
    ] {
        let pair = with_esp(vec![transform], true);
        assert!(pair.children.is_empty(), "{transform:?}");
        assert_eq!(pair.clients[0].end(), Some(&V1End::Refused(NotifyType::NO_PROPOSAL_CHOSEN)), "{transform:?}");
        assert!(matches!(pair.refusals().as_slice(), [RefusalReason::V1Phase2Proposal(_)]), "{:?}", pair.seen);
    }
}

#[test]
fn triple_des_alone_is_refused_with_the_name_of_its_switch() {
    let pair = with_esp(vec![esp(3, None, Some(2))], false);
    assert!(pair.children.is_empty());
    let refusals = pair.refusals();
    assert!(matches!(refusals.as_slice(), [RefusalReason::LegacyOnly { .. }]), "{refusals:?}");
}

#[test]
fn forward_secrecy_is_done_if_the_client_wants_it() {
    let mut config = client();
    config.pfs = true;
    let mut pair = login(server(), config);
    assert_up(&pair, 0);
    pair.run(0, V1Task::RekeyChild);
    assert_up(&pair, 0);
}

#[test]
fn another_tunnel_client_is_refused_where_only_l2tp_is_served() {
    let mut config = client();
    config.tunnel = true;
    config.remote_id = V1Id::subnet(Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);
    let pair = login(server(), config);
    assert!(pair.children.is_empty(), "{:?}", pair.seen);
}
