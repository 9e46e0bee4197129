//! Stock clients, as far as phase 1 and 2 go: which transform each gets, and that the choice is echoed byte for byte.

use cygnet_ike::RefusalReason;
use cygnet_ike::config::Config;
use cygnet_ike::proposal::{Policy, PolicyName};
use cygnet_ike::testing::LinkQuality;
use cygnet_ike::testing::v1::stock::Stock;
use cygnet_ike::testing::v1::{V1End, V1Pair, isakmp_offer};
use cygnet_ike::wire::v1::num::{NotifyType, PayloadType};
use cygnet_ike::wire::v1::{Payload, SecurityAssociation, vid};

use crate::setup::*;

/// The second message for a client: its whole, and the number and the attributes of the chosen transform.
fn answer(server: Config, client: Stock) -> (V1Pair, Option<(u8, Vec<u8>)>) {
    let pair = login(server, stock(client));
    let choice = pair.clients[0].observed.plain.first().and_then(|message| {
        let (_, payloads) = plain(message);
        let sa = SecurityAssociation::parse(payloads.entries().first()?.body).ok()?;
        let transform = sa.proposals.first()?.transforms.first()?.clone();
        Some((transform.number, transform.attributes.bytes().to_vec()))
    });
    (pair, choice)
}

fn offered(client: Stock, number: u8) -> Vec<u8> {
    let life = client.config(PSK, V1Pair::address(0), cygnet_ike::testing::v1::V1_SERVER).isakmp_life;
    let offer = isakmp_offer(&client.isakmp(), client.dialect(), life);
    offer.proposals[0].transforms[usize::from(number) - 1].attributes.bytes().to_vec()
}

#[test]
fn windows_gets_its_first_transform_verbatim_with_the_long_lifetime() {
    for client in [Stock::Windows7, Stock::Windows10] {
        let (pair, choice) = answer(server(), client);
        assert_up(&pair, 0);
        let (number, bytes) = choice.expect("a choice");
        assert_eq!((number, &bytes), (1, &offered(client, 1)), "{client:?}");
        assert!(bytes.ends_with(&[0, 12, 0, 4, 0, 0, 0x70, 0x80]), "{bytes:02x?}");
    }
}

#[test]
fn windows_gets_the_next_transform_for_every_group_that_is_switched_off() {
    let with_groups = |groups: &str| {
        let mut config = server();
        config.policy = Policy::default().with_ike(&[format!("aes256-aes128-sha1-{groups}")]).expect("a good list");
        config
    };
    for (groups, expected) in [("ecp384-ecp256-modp2048", 1), ("ecp256-modp2048", 2), ("modp2048", 3)] {
        let (pair, choice) = answer(with_groups(groups), Stock::Windows10);
        assert_eq!(choice.map(|(number, _)| number), Some(expected), "{groups}: {:?}", pair.seen);
    }
}

#[test]
fn windows_without_any_group_is_told_and_every_transform_has_its_reason() {
    let mut config = server();
    config.policy = Policy::default().with_ike(&["aes256-sha256-x25519"]).expect("a good list");
    let (pair, choice) = answer(config, Stock::Windows10);
    assert_eq!(choice, None);
    assert_eq!(pair.clients[0].end(), Some(&V1End::Refused(NotifyType::NO_PROPOSAL_CHOSEN)));
    let refusals = pair.refusals();
    // Its last transforms would do for the policy of old clients, and the reason may say so.
    let [RefusalReason::V1Phase1Proposal(mismatch) | RefusalReason::LegacyOnly { mismatch, .. }] = refusals.as_slice()
    else {
        panic!("{refusals:?}")
    };
    let numbers: Vec<u8> = mismatch.refused.iter().map(|refused| refused.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert!(mismatch.refused.iter().all(|refused| !refused.problem.is_empty()));
    assert_eq!(pair.server.snapshot(), [], "a refused client has no session");
}

#[test]
fn a_mac_gets_its_first_transform_and_nothing_but_sa_and_vendor_ids() {
    let (pair, choice) = answer(server(), Stock::Apple);
    assert_up(&pair, 0);
    assert_eq!(choice, Some((1, offered(Stock::Apple, 1))));
    let (_, payloads) = plain(&pair.clients[0].observed.plain[0]);
    let kinds: Vec<PayloadType> = payloads.iter().map(Payload::kind).collect();
    assert_eq!(kinds[0], PayloadType::SECURITY_ASSOCIATION);
    assert!(kinds[1..].iter().all(|kind| *kind == PayloadType::VENDOR_ID), "{kinds:?}");
    let drafts = [
        vid::NAT_T_APPLE,
        vid::NAT_T_00,
        vid::NAT_T_02,
        vid::NAT_T_02_LF,
        vid::NAT_T_03,
        vid::NAT_T_04,
        vid::NAT_T_05,
        vid::NAT_T_06,
        vid::NAT_T_07,
        vid::NAT_T_08,
    ];
    assert!(payloads.has_vendor_id(vid::NAT_T_RFC));
    assert!(drafts.iter().all(|draft| !payloads.has_vendor_id(draft)));
    assert!(!payloads.has_vendor_id(vid::XAUTH), "it confuses some L2TP clients");
}

#[test]
fn android_is_refused_by_default_and_the_switch_is_named() {
    for client in [Stock::Android6, Stock::Android7] {
        let (pair, choice) = answer(server(), client);
        assert_eq!((choice, pair.children.len()), (None, 0), "{client:?}");
        let refusals = pair.refusals();
        let [reason @ RefusalReason::LegacyOnly { policy: PolicyName::LegacyAndroid, .. }] = refusals.as_slice() else {
            panic!("{refusals:?}")
        };
        assert!(reason.explain().contains("legacy-android"), "{}", reason.explain());
    }
}

#[test]
fn android_comes_in_with_the_switch() {
    for (client, expected) in [(Stock::Android6, 1), (Stock::Android7, 1)] {
        let (pair, choice) = answer(server_with(|v1| v1.legacy = true), client);
        assert_up(&pair, 0);
        assert_eq!(choice, Some((expected, offered(client, expected))), "{client:?}");
    }
}

#[test]
fn linux_clients_come_in_with_their_long_lists() {
    for client in [Stock::NetworkManager, Stock::ChromeOs, Stock::Strongswan] {
        let (pair, choice) = answer(server(), client);
        assert_up(&pair, 0);
        let (number, bytes) = choice.expect("a choice");
        assert_eq!(bytes, offered(client, number), "{client:?}");
    }
}

#[test]
fn every_stock_client_comes_in_through_a_nat_too() {
    for client in Stock::ALL {
        let mut pair = V1Pair::new(server_with(|v1| v1.legacy = true), LinkQuality::PERFECT, 1);
        pair.link.translate(0);
        pair.connect(stock(client), 2);
        pair.settle(LIMIT);
        assert_up(&pair, 0);
        let child = pair.children.values().next().expect("one");
        assert!(child.udp_encap, "{client:?}");
        assert_eq!(child.path.peer.ip().to_string(), "203.0.113.7", "{client:?}");
    }
}

#[test]
fn no_answer_to_a_first_message_is_larger_than_it() {
    for client in Stock::ALL {
        let mut pair = V1Pair::new(server(), LinkQuality::PERFECT, 1);
        pair.connect(stock(client), 2);
        let request = pair.clients[0].poll_transmit().expect("the first message").payload;
        let path = cygnet_ike::Path { local: pair.clients[0].path().peer, peer: pair.clients[0].path().local };
        pair.server.handle_datagram(pair.now, pair.wall, path, &request);
        let answers: Vec<_> = std::iter::from_fn(|| pair.server.poll_transmit()).collect();
        assert_eq!(answers.len(), 1, "{client:?}");
        assert!(answers[0].payload.len() <= request.len(), "{client:?}");
        pair.clients.clear();
        pair.advance(std::time::Duration::from_secs(60));
        assert!(pair.sent.is_empty(), "{client:?}: the first answer is never sent again by itself");
    }
}
