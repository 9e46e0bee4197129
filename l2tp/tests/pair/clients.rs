//! What the stock clients send, and what they demand of the answers.

use std::time::Duration;

use cygnet_l2tp::testing::{DataForm, Flavor, Lac, LacConfig, LacEvent, LinkQuality, Pair};
use cygnet_l2tp::{ChannelId, Config, Event, Reason, RefusalReason};

use crate::bytes::{
    CHANNEL, Hand, android_sccrq, attributes, avp, control, linux_sccrq, macos_sccrq, message, must, sccrp,
    windows_sccrq,
};

const SECOND: Duration = Duration::from_secs(1);

fn gateway() -> Hand {
    Hand::new(Config::new("gw.example"))
}

/// Test idea 32.
#[test]
fn each_stock_sccrq_gets_an_sccrp_with_exactly_what_is_wanted() {
    let requests = [(windows_sccrq(), 1), (macos_sccrq(), 10), (android_sccrq(), 0x04d2), (linux_sccrq(), 0x5e5e)];
    for (request, peer_tunnel) in requests {
        let answers = gateway().send(1701, &request);
        let reply = sccrp(&answers);
        let wanted = [(0, true), (2, true), (3, true), (7, true), (8, false), (9, true), (10, true)];
        assert_eq!(attributes(&answers[0]), wanted);
        assert_eq!(answers[0][..2], [0xc8, 0x02]);
        assert_eq!(answers[0][4..12], [&u16::to_be_bytes(peer_tunnel)[..], &[0, 0, 0, 0, 0, 1]].concat());
        assert_eq!((reply.protocol_version.version, reply.protocol_version.revision), (1, 0));
        assert_eq!((reply.framing_capabilities, reply.receive_window_size), (Some(3), Some(8)));
        assert_eq!(reply.host_name.as_deref(), Some(&b"gw.example"[..]));
        assert_ne!(reply.assigned_tunnel_id, 0);
    }
}

/// The sizes that were seen on the wire (a Windows host name of 15 characters, Apple's NUL, Android's name).
#[test]
fn our_test_clients_write_like_the_real_ones() {
    for (flavor, expected) in [
        (Flavor::Windows, windows_sccrq()),
        (Flavor::MacOs, macos_sccrq()),
        (Flavor::Android, android_sccrq()),
        (Flavor::Linux, linux_sccrq()),
    ] {
        let mut client = Lac::new(LacConfig::new(flavor));
        client.connect(cygnet_l2tp::testing::epoch());
        assert_eq!(client.poll_transmit().expect("SCCRQ").to_vec(), expected, "{flavor:?}");
    }
    assert_eq!((windows_sccrq().len(), macos_sccrq().len(), android_sccrq().len()), (108, 74, 69));
}

#[test]
fn every_flavor_connects_sends_frames_and_hangs_up() {
    for flavor in Flavor::ALL {
        let mut pair = Pair::connected(flavor);
        let session = pair.session();
        pair.with(0, |client, _| client.send_frame(&[0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4]));
        pair.server.send_frame(session, &[0xff, 0x03, 0xc0, 0x21, 1, 7, 0, 4]);
        pair.advance(SECOND);
        assert_eq!(pair.frames, [(session, vec![0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4])]);
        let received = LacEvent::Frame(vec![0xff, 0x03, 0xc0, 0x21, 1, 7, 0, 4]);
        assert_eq!(pair.client_events.last(), Some(&(0, received)));
        pair.with(0, Lac::hang_up);
        pair.advance(SECOND);
        assert!(pair.up.is_empty() && pair.clients[0].1.is_gone(), "{flavor:?}");
        pair.advance(Duration::from_secs(40));
        assert!(pair.server.snapshot().is_empty() && pair.server.poll_timeout().is_none(), "{flavor:?}");
        assert!(pair.refusals.is_empty());
    }
}

#[test]
fn what_the_client_says_of_itself_is_handed_on() {
    for (flavor, host, vendor, firmware) in [
        (Flavor::Windows, "RWB-LAPTOP-DELL", Some("Microsoft"), Some(0x0a00)),
        (Flavor::MacOs, "macbook.local", None, None),
        (Flavor::Android, "anonymous", None, None),
        (Flavor::Linux, "desktop", Some("xelerance.com"), Some(0x0690)),
    ] {
        let pair = Pair::connected(flavor);
        let info = &pair.up[&pair.session()];
        assert_eq!(info.host_name.as_deref(), Some(host));
        assert_eq!((info.vendor_name.as_deref(), info.firmware), (vendor, firmware));
        let config = &pair.clients[0].1.config;
        assert_eq!(
            (info.peer_tunnel, info.peer_session, info.port),
            (config.tunnel_id, config.session_id, config.port)
        );
        assert!(!info.sequencing_required);
    }
}

/// Test idea 33.
#[test]
fn scccn_and_icrq_in_any_order_and_number_open_one_session() {
    let scccn = |tunnel| control(tunnel, 0, 1, 1, &[must(0, &[0, 3])]);
    let icrq =
        |tunnel| control(tunnel, 0, 2, 1, &[must(0, &[0, 10]), must(14, &[0x03, 0x57]), must(15, &[0, 0, 0, 1])]);
    for order in [&[0, 1][..], &[1, 0], &[0, 0, 1, 1], &[1, 1, 0, 1, 0], &[1, 0, 0, 0, 1, 1]] {
        let mut hand = gateway();
        let tunnel = sccrp(&hand.send(51_000, &macos_sccrq())).assigned_tunnel_id;
        let messages = [scccn(tunnel), icrq(tunnel)];
        let answers: Vec<_> = order.iter().flat_map(|which| hand.send(51_000, &messages[*which])).collect();
        let calls = answers.iter().filter(|answer| attributes(answer).len() == 2).count();
        assert_eq!(calls, 1, "one ICRP for {order:?}");
        assert_eq!(hand.server.snapshot().len(), 1);
        let icrp = answers.iter().find(|answer| attributes(answer).len() == 2).expect("an ICRP");
        assert_eq!(attributes(icrp), [(0, true), (14, true)]);
        assert_eq!(icrp[4..8], [0, 10, 0x03, 0x57], "the header carries the client's ids");
        assert_eq!(icrp[8..12], [0, 1, 0, 3], "and acknowledges both");
    }
}

/// Test idea 34.
#[test]
fn a_client_with_window_one_gets_acknowledgements_at_once_and_never_two_messages() {
    let mut pair = Pair::connected(Flavor::Android);
    let at_once: Vec<_> = pair.sent.iter().map(|(at, .., payload)| (*at, payload.len())).collect();
    let lengths: Vec<usize> = at_once.iter().map(|(_, length)| *length).collect();
    assert_eq!(lengths, [82, 12, 28, 12], "SCCRP, ZLB, ICRP, ZLB");
    let (first, last) = (at_once[0].0, at_once[3].0);
    assert_eq!(last - first, Duration::from_millis(60), "three round trips of 20 ms, and no waiting");
    let session = pair.session();
    pair.sent.clear();
    pair.link.quality.loss = 100;
    pair.server.close_session(pair.now, session, Reason::Administrative);
    pair.server.close_all(pair.now);
    pair.advance(Duration::from_secs(60));
    let numbers: Vec<_> = pair.sent.iter().map(|(.., payload)| [payload[8], payload[9]]).collect();
    assert_eq!(numbers, [[0, 2]; 6], "the CDN again and again, and no StopCCN behind it");
}

/// Test idea 35.
#[test]
fn vendor_attributes_are_skipped_by_vendor_unless_mandatory() {
    let guid: Vec<u8> = (0..16).collect();
    let vendor_avps = [
        (avp(0, 311, 1, &guid), true),
        (avp(0, 3561, 2, &[9, 9, 9]), true),
        (avp(0x8000, 3561, 2, &[1, 0]), false),
        (avp(0x8000, 0, 77, &[1, 0]), false),
    ];
    for (vendor_avp, accepted) in vendor_avps {
        let mut hand = gateway();
        let tunnel = hand.open(1701, &windows_sccrq());
        let icrq = [must(0, &[0, 10]), must(14, &[0, 1]), must(15, &[0, 0, 0, 0]), vendor_avp];
        let answers = hand.send(1701, &control(tunnel, 0, 2, 1, &icrq));
        let kinds: Vec<_> = answers.iter().filter_map(|answer| message(answer)).map(|message| message.name()).collect();
        assert_eq!(kinds, [if accepted { "ICRP" } else { "CDN" }]);
        if !accepted {
            assert!(answers[0].windows(10).any(|part| part == must(1, &[0, 2, 0, 8])), "result 2, error 8");
            assert_eq!(answers[0][4..8], [0, 1, 0, 1], "to the session of the client");
            let refusal = hand.refusals().remove(0);
            assert!(matches!(refusal.reason, RefusalReason::UnknownMandatory { message: "ICRQ", .. }), "{refusal:?}");
        }
        assert_eq!(hand.server.snapshot().len(), 1, "the tunnel stays");
    }
}

/// Test idea 36.
#[test]
fn goodbyes_of_apple_clients_are_understood() {
    let mut hand = gateway();
    let tunnel = hand.open(51_000, &macos_sccrq());
    let session = hand.call(51_000, tunnel, 0x0357);
    hand.events();
    let bad_result = |result| must(1, &[result, 0, 0, 0, 0, 0, 0, 0]);
    let cdn = control(tunnel, session, 4, 2, &[must(0, &[0, 14]), must(14, &[0x03, 0x57]), bad_result(3)]);
    assert_eq!(cdn.len(), 42);
    let answers = hand.send(51_000, &cdn);
    assert_eq!(answers, [control(10, 0, 2, 5, &[])], "a ZLB and nothing else");
    let Some(Event::SessionDown { reason, .. }) = hand.events().pop() else { panic!("the session is up") };
    assert_eq!(reason, Reason::PeerClosed { result: 0x0300 });

    let stop = control(tunnel, 0, 5, 2, &[must(0, &[0, 4]), must(9, &[0, 10]), bad_result(1)]);
    assert_eq!(hand.send(51_000, &stop), [control(10, 0, 2, 6, &[])]);
    assert_eq!(hand.send(51_000, &stop), [control(10, 0, 2, 6, &[])], "the repetition is acknowledged, too");
    let reason = Reason::PeerClosed { result: 0x0100 };
    assert_eq!(hand.events(), [Event::TunnelDown { channel: CHANNEL, tunnel, reason }]);
    hand.advance(31 * SECOND);
    assert!(hand.server.snapshot().is_empty());
}

/// Test idea 37.
#[test]
fn stop_ccn_ends_the_tunnel_with_any_form_of_result_and_with_a_wrong_id() {
    let results = [must(1, &[0, 6]), must(1, &[0, 1, 0, 0]), must(1, &[0, 2, 0, 6, b'b', b'y', b'e'])];
    for result in results {
        for id in [[0x04, 0xd2], [0x77, 0x77]] {
            let mut hand = gateway();
            let tunnel = hand.open(40_000, &android_sccrq());
            let stop = control(tunnel, 0, 2, 1, &[must(0, &[0, 4]), must(9, &id), result.clone()]);
            assert_eq!(hand.send(40_000, &stop), [control(0x04d2, 0, 1, 3, &[])]);
            assert!(matches!(hand.events()[..], [Event::TunnelDown { .. }]));
        }
    }
}

/// Test idea 37: the id in the header is the client's own, as old Windows clients had it.
#[test]
fn stop_ccn_under_the_clients_own_id_ends_its_tunnel_and_no_other() {
    let mut hand = gateway();
    let tunnel = hand.open(1701, &windows_sccrq());
    let wrong = if tunnel == 1 { panic!("the seed chose the client's id") } else { 1 };
    let stop = |id: u16| {
        let avps = [must(0, &[0, 4]), must(9, &id.to_be_bytes()), must(1, &[0, 1, 0, 0])];
        control(wrong, 0, 2, 1, &avps)
    };
    assert!(hand.send_through(ChannelId(2), 1701, &stop(1)).is_empty(), "through the channel of another");
    assert_eq!(hand.server.snapshot().len(), 1);
    assert_eq!(hand.send(1701, &stop(1)), [control(1, 0, 1, 3, &[])]);
    assert!(matches!(hand.events()[..], [Event::TunnelDown { reason: Reason::PeerClosed { result: 1 }, .. }]));
}

/// Test idea 38, the control plane's part; the packet path's is in `data`.
#[test]
fn frames_are_taken_from_every_form_of_data_message() {
    for bits in 0..8_u8 {
        let mut pair = Pair::connected(Flavor::MacOs);
        let offset = (bits & 4 != 0).then_some(bits);
        pair.clients[0].1.config.form = DataForm { length: bits & 1 != 0, sequence: bits & 2 != 0, offset };
        let frames: [&[u8]; 4] = [&[0xff, 3, 0xc0, 0x21, 9], &[0xc0, 0x21, 9], &[0x21, 0x45], &[0xff, 3, 0x21, 0x45]];
        for frame in frames {
            pair.with(0, |client, _| client.send_frame(frame));
        }
        pair.advance(SECOND);
        let received: Vec<_> = pair.frames.iter().map(|(_, frame)| frame.as_slice()).collect();
        assert_eq!(received, frames, "{bits:03b}");
    }
}

/// Test idea 38: numbered data may have gaps and come in any order.
#[test]
fn data_in_disorder_is_not_withheld() {
    let mut pair = Pair::connected(Flavor::MacOs);
    let key = pair.session();
    for ns in [5_u16, 3, 3, 4000, 0] {
        let header = cygnet_l2tp::data::sequenced_header(key.tunnel, key.session, ns, 3);
        pair.inject(key.channel, 51_000, &[&header[..], &[0xc0, 0x21, 1]].concat());
    }
    assert_eq!(pair.frames.len(), 5);
}

/// Test idea 39.
#[test]
fn a_repeated_sccrq_finds_its_tunnel() {
    let mut hand = gateway();
    let mut replies = Vec::new();
    for _ in 0..6 {
        let answers = hand.send(1701, &windows_sccrq());
        replies.push(answers[0].clone());
        assert_eq!(sccrp(&answers).assigned_tunnel_id, sccrp(&replies[..1]).assigned_tunnel_id);
        hand.advance(SECOND);
    }
    assert!(replies.iter().all(|reply| *reply == replies[0]));
    assert_eq!(hand.server.snapshot().len(), 1);
    let tunnel = sccrp(&replies[..1]).assigned_tunnel_id;
    hand.send(1701, &control(tunnel, 0, 1, 1, &[must(0, &[0, 3])]));
    let late = hand.send(1701, &windows_sccrq());
    assert_eq!(late, [control(1, 0, 1, 2, &[])], "one that comes late is only acknowledged");
    assert_eq!(hand.server.counters().tunnels, 1);
}

/// Test idea 40. [`Pair`] looks at each datagram of the gateway, in all tests; here the whole life of each client.
#[test]
fn the_gateway_sends_nothing_that_clients_choke_on() {
    for flavor in Flavor::ALL {
        let mut config = Config::new("gw.example");
        config.secret = Some(cygnet_l2tp::Secret::from_slice(b"swordfish"));
        let mut pair = Pair::new(config, LinkQuality::PERFECT, 3);
        let client = pair.add(CHANNEL, LacConfig { sequencing: true, ..LacConfig::new(flavor) });
        pair.connect(client);
        pair.advance(Duration::from_secs(200));
        assert!(pair.sent.len() >= 6, "Hellos were sent");
        let session = pair.session();
        pair.server.close_session(pair.now, session, Reason::Administrative);
        pair.advance(SECOND);
        let kinds: Vec<_> = pair.sent.iter().filter_map(|(.., payload)| message(payload)).map(|m| m.name()).collect();
        assert_eq!(kinds, ["SCCRP", "ICRP", "HELLO", "HELLO", "HELLO", "CDN"], "{flavor:?}");
    }
}

#[test]
fn a_client_that_demands_sequence_numbers_gets_them() {
    let mut pair = Pair::new(Config::new("gw.example"), LinkQuality::PERFECT, 1);
    let client = pair.add(CHANNEL, LacConfig { sequencing: true, ..LacConfig::new(Flavor::Linux) });
    pair.connect(client);
    pair.advance(SECOND);
    let session = pair.session();
    assert!(pair.up[&session].sequencing_required);
    for _ in 0..3 {
        pair.server.send_frame(session, &[0xc0, 0x21, 9, 1, 0, 4]);
    }
    pair.drain();
    let numbers: Vec<_> = pair.sent.iter().rev().take(3).map(|(.., p)| (p[0], p[8], p[9])).collect();
    assert_eq!(numbers, [(0x48, 0, 2), (0x48, 0, 1), (0x48, 0, 0)]);
}

/// Failure story 38: macOS opens a new tunnel, from another port, while the old one is still there.
#[test]
fn a_client_that_comes_back_through_the_same_ipsec_replaces_its_old_tunnel() {
    for same_id in [false, true] {
        let mut pair = Pair::connected(Flavor::MacOs);
        let old = pair.session();
        pair.with(0, |client, _| client.vanish());
        pair.advance(Duration::from_secs(3));
        pair.sent.clear();
        let tunnel_id = if same_id { 10 } else { 11 };
        let config = LacConfig { port: 52_000, tunnel_id, ..LacConfig::new(Flavor::MacOs) };
        let client = pair.add(CHANNEL, config);
        pair.connect(client);
        pair.advance(SECOND);
        assert!(pair.clients[client].1.is_up());
        assert_eq!(pair.ended, [(old, Reason::Replaced)]);
        assert_ne!(pair.session().tunnel, old.tunnel);
        let ports: Vec<_> = pair.sent.iter().map(|(_, _, port, _)| *port).collect();
        assert_eq!(ports, [52_000; 4], "not a word to the old tunnel");
        pair.advance(Duration::from_secs(10));
        assert_eq!(pair.server.snapshot().len(), 1);
    }
}

/// An SCCRQ of the old tunnel was delayed and must not take the new one down.
#[test]
fn a_late_sccrq_of_a_replaced_tunnel_is_no_new_tunnel() {
    let mut hand = gateway();
    hand.open(51_000, &macos_sccrq());
    let tunnel = hand.open(1701, &windows_sccrq());
    assert!(hand.send(51_000, &macos_sccrq()).is_empty());
    let live: Vec<_> = hand.server.snapshot().into_iter().filter(|info| info.peer_tunnel == 1).collect();
    assert_eq!((live.len(), live[0].tunnel), (1, tunnel));
    assert_eq!(live[0].phase, cygnet_l2tp::TunnelPhase::Established);
}

/// Failure story: the client's port inside IPsec changes; answers follow the last valid message, not a forged or old one.
#[test]
fn answers_go_to_the_port_of_the_last_valid_message() {
    let mut hand = gateway();
    let tunnel = hand.open(40_000, &android_sccrq());
    let session = hand.call(40_000, tunnel, 7);
    hand.events();
    let hello = |ns| control(tunnel, 0, ns, 2, &[must(0, &[0, 6])]);
    assert_eq!(hand.send(40_001, &hello(4)), [control(0x04d2, 0, 2, 5, &[])]);
    assert!(matches!(hand.events()[..], [Event::Moved { port: 40_001, .. }]));
    hand.server.handle_datagram(hand.now, CHANNEL, 40_000, &hello(3));
    let answer = hand.server.poll_transmit().expect("the old message is acknowledged");
    assert_eq!(answer.port, 40_001, "but not followed");
    let data = [&cygnet_l2tp::data::header(tunnel, session, 1)[..], &[0x21]].concat();
    assert!(hand.send(40_002, &data).is_empty());
    assert!(matches!(hand.events()[..], [Event::Moved { port: 40_002, .. }, Event::Frame { .. }]));
}

#[test]
fn clients_with_equal_addresses_and_ids_do_not_meet() {
    let mut pair = Pair::new(Config::new("gw.example"), LinkQuality::PERFECT, 1);
    let twins: Vec<usize> = (1..=2).map(|n| pair.add(ChannelId(n), LacConfig::new(Flavor::Windows))).collect();
    twins.iter().for_each(|twin| pair.connect(*twin));
    pair.advance(SECOND);
    assert_eq!(pair.up.len(), 2);
    for round in 0..100_u8 {
        for twin in &twins {
            let tag = u8::try_from(*twin).expect("two");
            pair.with(*twin, |client, _| client.send_frame(&[tag, round]));
        }
    }
    pair.advance(SECOND);
    assert_eq!(pair.frames.len(), 200);
    assert!(pair.frames.iter().all(|(key, frame)| key.channel == ChannelId(u64::from(frame[0]) + 1)));
}
