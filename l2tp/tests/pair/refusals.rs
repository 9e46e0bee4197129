//! What is refused, how the client is told, and what the operator reads.

use std::time::Duration;

use cygnet_l2tp::testing::{Flavor, LacConfig, LacEvent, LinkQuality, Pair};
use cygnet_l2tp::{Config, Event, Reason, RefusalReason, Secret};

use crate::bytes::{CHANNEL, Hand, avp, control, message, must, windows_sccrq};

const SECOND: Duration = Duration::from_secs(1);

fn gateway() -> Hand {
    Hand::new(Config::new("gw.example"))
}

/// An SCCRQ with some attributes between Message Type and Assigned Tunnel ID.
fn sccrq(middle: &[Vec<u8>], id: &[u8]) -> Vec<u8> {
    let parts = [&[must(0, &[0, 1])][..], middle, &[must(7, b"laptop"), must(9, id)]].concat();
    control(0, 0, 0, 0, &parts)
}

fn version() -> Vec<u8> {
    must(2, &[1, 0])
}

fn connect(gateway: Option<&[u8]>, client: Option<&[u8]>, hide: bool) -> Pair {
    let mut config = Config::new("gw.example");
    config.secret = gateway.map(Secret::from_slice);
    let mut pair = Pair::new(config, LinkQuality::PERFECT, 1);
    let client = LacConfig { secret: client.map(Secret::from_slice), hide, ..LacConfig::new(Flavor::Android) };
    let client = pair.add(CHANNEL, client);
    pair.connect(client);
    pair.advance(SECOND);
    pair
}

#[test]
fn an_l2tp_secret_is_proven_if_we_know_it() {
    let pair = connect(Some(b"swordfish"), Some(b"swordfish"), false);
    assert!(pair.clients[0].1.is_up() && pair.refusals.is_empty());
}

#[test]
fn hidden_attributes_are_understood_with_the_secret() {
    let pair = connect(Some(b"swordfish"), Some(b"swordfish"), true);
    assert!(pair.clients[0].1.is_up());
    assert_eq!(pair.up[&pair.session()].peer_session, 0x162e);
}

#[test]
fn an_l2tp_secret_that_we_do_not_know_is_refused_with_a_sentence() {
    let pair = connect(None, Some(b"swordfish"), false);
    assert_eq!(pair.refusals.len(), 1);
    assert_eq!(pair.refusals[0].reason, RefusalReason::SecretDemanded);
    assert_eq!(pair.refusals[0].host_name.as_deref(), Some("anonymous"));
    assert!(pair.refusals[0].explain().contains("Leave the client's field \"L2TP secret\" empty"));
    let (.., answer) = &pair.sent[0];
    assert_eq!(answer[4..12], [0x04, 0xd2, 0, 0, 0, 0, 0, 1]);
    assert!(answer.windows(10).any(|part| part == must(1, &[0, 4, 0, 0])), "not authorized");
    assert!(pair.server.snapshot().is_empty() && pair.server.poll_timeout().is_none(), "nothing is kept");
}

#[test]
fn a_client_notices_that_our_secret_is_another() {
    let pair = connect(Some(b"sardine"), Some(b"swordfish"), false);
    let failed = LacEvent::Failed("the gateway does not know the secret");
    assert_eq!(pair.client_events, [(0, failed)]);
}

#[test]
fn another_version_is_told_ours() {
    let mut hand = gateway();
    let answers = hand.send(1701, &sccrq(&[must(2, &[2, 1])], &[0, 1]));
    assert!(answers[0].windows(10).any(|part| part == must(1, &[0, 5, 1, 0])), "{answers:02x?}");
    let refusal = hand.refusals().remove(0);
    assert_eq!(refusal.reason, RefusalReason::Version { version: 2, revision: 1 });
    assert_eq!(refusal.explain(), "The client speaks L2TP version 2.1, and this gateway only 1.0 (RFC 2661).");
    assert!(hand.server.snapshot().is_empty());
}

/// Failure story 43: attribute 2 of vendor 3561 is no Protocol Version.
#[test]
fn a_vendor_attribute_is_not_mistaken_for_the_version() {
    let mut hand = gateway();
    let answers = hand.send(1701, &sccrq(&[avp(0, 3561, 2, &[9, 9]), version()], &[0, 1]));
    assert_eq!(message(&answers[0]).map(|message| message.name()), Some("SCCRP"));
}

#[test]
fn an_sccrq_that_cannot_be_accepted_leaves_nothing_behind() {
    let cases = [
        (sccrq(&[version(), must(77, b"x")], &[0, 1]), Some([2, 8])),
        (sccrq(&[version(), avp(0x8000, 9, 1, b"x")], &[0, 1]), Some([2, 8])),
        (sccrq(&[version(), avp(0xc000, 0, 8, b"hidden")], &[0, 1]), Some([2, 8])),
        (sccrq(&[], &[0, 1]), Some([2, 3])),
        (sccrq(&[version(), version()], &[0, 1]), Some([2, 3])),
        (sccrq(&[version(), must(10, &[1])], &[0, 1]), Some([2, 3])),
        (sccrq(&[version()], &[0, 0]), None),
        (sccrq(&[version()], &[1]), None),
    ];
    for (request, code) in cases {
        let mut hand = gateway();
        let answers = hand.send(1701, &request);
        match code {
            Some([result, error]) => {
                let [answer] = &answers[..] else { panic!("one StopCCN for {request:02x?}") };
                assert_eq!(message(answer).map(|message| message.name()), Some("StopCCN"));
                assert!(answer.windows(10).any(|part| part == must(1, &[0, result, 0, error])), "{answer:02x?}");
            }
            None => assert!(answers.is_empty(), "nobody to answer to"),
        }
        assert_eq!(hand.refusals().len(), 1, "{request:02x?}");
        assert!(hand.server.snapshot().is_empty() && hand.server.poll_timeout().is_none());
    }
}

#[test]
fn what_is_no_message_is_counted_and_not_answered() {
    let mut hand = gateway();
    let good = windows_sccrq();
    let zlb = control(0, 0, 0, 0, &[]);
    let no_sequence = [&[0xc0, 0x02, 0, 8, 0, 0, 0, 0][..]].concat();
    let mut version_3 = good.clone();
    version_3[1] = 3;
    let mut no_length = good.clone();
    no_length[0] = 0x88;
    let mut too_long = good.clone();
    too_long[3] += 1;
    let mut broken_avp = good.clone();
    broken_avp[21] = 3;
    let other_number = {
        let mut m = good.clone();
        m[9] = 1;
        m
    };
    for datagram in
        [&[][..], &[0xc8], &zlb, &no_sequence, &version_3, &no_length, &too_long, &broken_avp, &other_number]
    {
        assert!(hand.send(1701, datagram).is_empty(), "{datagram:02x?}");
    }
    for length in 0..good.len() {
        assert!(hand.send(1701, &good[..length]).is_empty(), "{length} octets");
    }
    let counters = hand.server.counters();
    assert_eq!(counters.malformed + counters.unknown, 9 + 108);
    assert!(hand.events().is_empty() && hand.server.snapshot().is_empty());
}

#[test]
fn a_datagram_longer_than_its_length_field_is_cut() {
    let padded = [windows_sccrq(), vec![0; 13]].concat();
    assert_eq!(gateway().send(1701, &padded).len(), 1);
}

#[test]
fn messages_that_do_not_fit_the_tunnel_end_it() {
    let faults = [
        (vec![must(0, &[0, 2]), version(), must(9, &[0, 5])], [7, 0]),
        (vec![must(0, &[0, 3])], [7, 0]),
        (vec![must(0, &[0, 99])], [2, 8]),
        (vec![must(0, &[0, 6]), must(77, b"x")], [2, 8]),
        (vec![must(9, &[0, 1])], [2, 2]),
        (vec![must(0, &[0, 6]), vec![0x80, 3, 0, 0, 0, 1]], [2, 2]),
    ];
    for (avps, [result, error]) in faults {
        let mut hand = gateway();
        let tunnel = hand.open(1701, &windows_sccrq());
        let answers = hand.send(1701, &control(tunnel, 0, 2, 1, &avps));
        assert_eq!(answers.len(), 1);
        let expected = [must(0, &[0, 4]), must(1, &[0, result, 0, error]), must(9, &tunnel.to_be_bytes())];
        assert_eq!(answers[0], control(1, 0, 1, 3, &expected));
        assert!(matches!(hand.events().last(), Some(Event::TunnelDown { reason: Reason::Protocol(_), .. })));
        assert!(hand.send(1701, &control(tunnel, 0, 3, 2, &[])).is_empty());
        assert!(hand.server.snapshot().is_empty() && hand.server.poll_timeout().is_none());
    }
}

#[test]
fn unknown_messages_without_the_mandatory_bit_are_acknowledged_and_ignored() {
    let mut hand = gateway();
    let tunnel = hand.open(1701, &windows_sccrq());
    let unknown = [avp(0, 0, 0, &[0, 99]), avp(0, 0, 50, b"x")];
    assert_eq!(hand.send(1701, &control(tunnel, 0, 2, 1, &unknown)), [control(1, 0, 1, 3, &[])]);
    assert!(hand.events().is_empty());
}

#[test]
fn an_iccn_that_cannot_be_accepted_ends_its_session_only() {
    let mut hand = gateway();
    let tunnel = hand.open(1701, &windows_sccrq());
    hand.send(1701, &control(tunnel, 0, 2, 1, &[must(0, &[0, 10]), must(14, &[0, 7])]));
    let session = hand.server.snapshot().len();
    assert_eq!(session, 1);
    let id = {
        let mut again = gateway();
        let same = again.open(1701, &windows_sccrq());
        assert_eq!(same, tunnel, "runs are repeatable");
        again.call(1701, same, 7)
    };
    let answers = hand.send(1701, &control(tunnel, id, 3, 2, &[must(0, &[0, 12]), must(77, b"x")]));
    assert_eq!(message(&answers[0]).map(|message| message.name()), Some("CDN"));
    assert_eq!(answers[0][4..8], [0, 1, 0, 7]);
    assert_eq!(hand.refusals().len(), 1);
    assert_eq!(hand.server.snapshot().len(), 1);
}

#[test]
fn wen_and_sli_of_the_client_are_acknowledged_and_ignored() {
    let mut hand = gateway();
    let tunnel = hand.open(1701, &windows_sccrq());
    let session = hand.call(1701, tunnel, 7);
    hand.events();
    let wen = [must(0, &[0, 15]), must(34, &[0; 26])];
    let sli = [must(0, &[0, 16]), must(35, &[0; 10])];
    assert_eq!(hand.send(1701, &control(tunnel, session, 4, 2, &wen)), [control(1, 0, 2, 5, &[])]);
    assert_eq!(hand.send(1701, &control(tunnel, session, 5, 2, &sli)), [control(1, 0, 2, 6, &[])]);
    assert!(hand.events().is_empty());
}

#[test]
fn we_do_not_dial() {
    let mut hand = gateway();
    let tunnel = hand.open(1701, &windows_sccrq());
    let answers = hand.send(1701, &control(tunnel, 0, 2, 1, &[must(0, &[0, 7]), must(14, &[0, 7])]));
    assert_eq!(answers[0][4..8], [0, 1, 0, 7]);
    assert!(answers[0].windows(10).any(|part| part == must(1, &[0, 5, 0, 0])));
    assert_eq!(hand.refusals()[0].reason, RefusalReason::OutgoingCall);
}

#[test]
fn every_refusal_is_a_sentence_and_says_what_to_do_where_something_can_be_done() {
    let reasons = [
        RefusalReason::SecretDemanded,
        RefusalReason::Version { version: 2, revision: 0 },
        RefusalReason::UnknownMandatory { message: "ICRQ", vendor: 9, attribute: 1 },
        RefusalReason::UnknownMessage { kind: 99 },
        RefusalReason::Hidden { message: "ICRQ" },
        RefusalReason::Invalid { message: "ICRQ", what: "AssignedSessionId is missing" },
        RefusalReason::TooManySessions { limit: 1 },
        RefusalReason::OutgoingCall,
    ];
    for reason in reasons {
        let text = reason.to_string();
        assert!(text.starts_with("The client") && text.ends_with('.'), "{text}");
    }
}
