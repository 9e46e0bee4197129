//! Messages in fragments, RFC 7383: many of them, out of order, twice, with some lost.

use std::time::Duration;

use bytes::Bytes;
use cygnet_ike::Path;
use cygnet_ike::testing::{ClientConfig, End, LinkQuality, Pair, Task};
use cygnet_ike::wire::num::{CpAttr, ExchangeType, NotifyType};
use cygnet_ike::wire::v2::{Notify, Payload};

use crate::setup::*;

/// Type of the payload that follows the IKE header of a fragment.
const SKF: u8 = 53;

/// Offset of the fragment number in such a message.
const NUMBER: usize = 28 + 4;

/// Sends a request of this many octets without the network, and gives back its messages.
fn long_request(pair: &mut Pair, octets: usize) -> Vec<Bytes> {
    let filler = vec![7; 1000];
    let payloads: Vec<Payload<'_>> =
        (0..octets / 1000).map(|_| Payload::Notify(Notify::new(NotifyType(40_000), &filler))).collect();
    let now = pair.now;
    pair.clients[0].send_raw(now, ExchangeType::INFORMATIONAL, &payloads);
    std::iter::from_fn(|| pair.clients[0].poll_transmit()).map(|transmit| transmit.payload).collect()
}

fn path(pair: &Pair) -> Path {
    pair.server.snapshot()[0].path
}

fn deliver(pair: &mut Pair, message: &Bytes) {
    let path = path(pair);
    pair.server.handle_datagram(pair.now, pair.wall, path, message);
}

/// What the server answers.
fn answers(pair: &mut Pair) -> Vec<Bytes> {
    std::iter::from_fn(|| pair.server.poll_transmit()).map(|transmit| transmit.payload).collect()
}

#[test]
fn a_request_of_32_fragments_is_taken_in_any_order_and_answered_once() {
    for seed in 0..20 {
        let mut pair = connected();
        let mut fragments = long_request(&mut pair, 36_000);
        assert!(fragments.len() >= 32, "{} fragments", fragments.len());
        assert!(fragments.iter().all(|fragment| fragment[16] == SKF && fragment.len() <= 1180));
        // Any order, each twice.
        fragments.extend_from_within(..);
        let count = fragments.len();
        for at in 0..count {
            fragments.swap(at, (at * 7 + seed * 13) % count);
        }
        let mut seen = Vec::new();
        for fragment in &fragments {
            let number = fragment[NUMBER + 1];
            let is_complete = seen.len() == count / 2;
            deliver(&mut pair, fragment);
            let expected = match seen.contains(&number) {
                // Once it is answered, a copy of the first fragment alone asks for the answer again.
                true => usize::from(is_complete && number == 1),
                false => {
                    seen.push(number);
                    usize::from(seen.len() == count / 2)
                }
            };
            assert_eq!(answers(&mut pair).len(), expected, "fragment {number}, {} are there", seen.len());
        }
        assert_eq!(pair.server.counters().forged, 0);
    }
}

#[test]
fn an_answer_of_32_fragments_arrives_over_a_bad_link() {
    let mut arrived = 0;
    for seed in 0..50 {
        let mut config: ClientConfig = client();
        config.attributes.push(CpAttr::INTERNAL_DNS_DOMAIN);
        config.transmissions = 12;
        let quality = LinkQuality { loss: 10, duplicates: 10, ..LinkQuality::TERRIBLE };
        let mut pair = Pair::new(server(), quality, seed);
        pair.grant.domains = (0..28).map(|at| format!("{at:02}{}", "x".repeat(1400))).collect();
        pair.connect(config, seed ^ 0xf7a6);
        pair.settle(LIMIT);
        if pair.clients[0].is_up() {
            let domains = pair.clients[0].reply.iter().filter(|(kind, _)| *kind == CpAttr::INTERNAL_DNS_DOMAIN);
            assert_eq!(domains.count(), 28);
            pair.assert_same_children(0);
            arrived += 1;
        }
    }
    assert!(arrived >= 48, "{arrived} of 50");
}

#[test]
fn half_a_login_is_given_up_before_the_handshake_is() {
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    let mut config = client();
    config.vendor_ids = vec![vec![7; 700]; 2];
    config.transmissions = 1;
    pair.connect(config, 2);
    pair.advance(Duration::from_millis(25));
    let fragments: Vec<_> = pair.link.on_the_way().map(|datagram| datagram.payload.clone()).collect();
    assert!(fragments.len() > 1 && fragments.iter().all(|fragment| fragment[16] == SKF));
    // The last fragment arrives alone; the others are lost.
    let last = pair.link.on_the_way().last().expect("fragments").clone();
    pair.link = cygnet_ike::testing::Link::new(LinkQuality::PERFECT, 1);
    let before = pair.server.poll_timeout();
    pair.server.handle_datagram(pair.now, pair.wall, last.path, &last.payload);
    assert!(pair.server.poll_timeout() < before, "what is incomplete has a timer of its own");
    pair.advance(Duration::from_secs(16));
    assert_eq!(pair.server.poll_timeout(), before, "the handshake still waits");
}

#[test]
fn who_has_not_proven_anything_gets_room_for_a_chain_of_certificates_and_no_more() {
    for (octets, is_taken) in [(20_000, true), (40_000, false)] {
        let mut config = client();
        config.late_vendor_ids = vec![vec![7; 1000]; octets / 1000];
        let mut pair = login(server(), config);
        assert_eq!(pair.clients[0].is_up(), is_taken, "{octets} octets");
        if !is_taken {
            assert_eq!(pair.clients[0].end(), Some(&End::TimedOut));
            assert_empty(&mut pair);
        }
    }
}

#[test]
fn fragments_that_come_too_late_are_of_no_use() {
    let mut pair = connected();
    let fragments = long_request(&mut pair, 4000);
    let (last, first) = fragments.split_last().expect("fragments");
    for fragment in first {
        deliver(&mut pair, fragment);
    }
    pair.link.quality.loss = 100;
    pair.advance(Duration::from_secs(16));
    deliver(&mut pair, last);
    assert!(answers(&mut pair).is_empty());
    for fragment in first {
        deliver(&mut pair, fragment);
    }
    assert_eq!(answers(&mut pair).len(), 1, "the whole message again is taken");
}

#[test]
fn fragments_of_a_request_and_of_an_answer_do_not_get_into_each_others_way() {
    let mut pair = connected();
    let session = pair.server.snapshot()[0].session;
    let fragments = long_request(&mut pair, 4000);
    let (last, first) = fragments.split_last().expect("fragments");
    for fragment in first {
        deliver(&mut pair, fragment);
    }
    // Meanwhile the server asks something, and is answered.
    pair.server.rekey_child(pair.now, session, pair.clients[0].children[0].outbound);
    pair.advance(Duration::from_millis(100));
    deliver(&mut pair, last);
    assert_eq!(answers(&mut pair).len(), 1);
    assert_eq!(pair.clients[0].children.len(), 1);
}

#[test]
fn a_fragment_that_was_changed_on_the_way_costs_nothing() {
    let mut pair = connected();
    let fragments = long_request(&mut pair, 4000);
    for fragment in &fragments {
        let mut forged = fragment.to_vec();
        forged[NUMBER + 10] ^= 1;
        let before = pair.server.fingerprint();
        deliver(&mut pair, &forged.into());
        assert_eq!(pair.server.fingerprint(), before);
        deliver(&mut pair, fragment);
    }
    assert_eq!(answers(&mut pair).len(), 1);
}

#[test]
fn who_has_not_agreed_to_fragments_gets_none_and_sends_none() {
    let mut config = client();
    config.fragmentation = false;
    config.attributes.push(CpAttr::INTERNAL_DNS_DOMAIN);
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.grant.domains = (0..10).map(|_| "x".repeat(1000)).collect();
    pair.connect(config, 2);
    pair.settle(LIMIT);
    assert_up(&pair, 0);
    assert_eq!(pair.clients[0].reply.len(), 12);
    run(&mut pair, 0, Task::Probe);
    assert_up(&pair, 0);
}
