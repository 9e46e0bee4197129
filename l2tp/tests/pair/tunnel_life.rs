//! Hello, timeouts, ends.

use std::sync::Arc;
use std::time::Duration;

use cygnet_l2tp::message::Message;
use cygnet_l2tp::testing::{Flavor, Lac, LacConfig, LacEvent, LinkQuality, Pair};
use cygnet_l2tp::{ChannelId, Config, Event, Reason, SessionKey, TunnelPhase};

use crate::bytes::{CHANNEL, Hand, android_sccrq, control, linux_sccrq, message, must, sccrp, windows_sccrq};

const SECOND: Duration = Duration::from_secs(1);

fn gateway() -> Hand {
    Hand::new(Config::new("gw.example"))
}

fn names(sent: &[Vec<u8>]) -> Vec<&'static str> {
    sent.iter().map(|datagram| message(datagram).map_or("ZLB", |message| message.name())).collect()
}

#[test]
fn a_silent_client_is_asked_every_minute_and_given_up_after_31_seconds() {
    let mut hand = gateway();
    let tunnel = hand.open(1701, &windows_sccrq());
    assert!(hand.advance(59 * SECOND).is_empty());
    let hello = hand.advance(SECOND);
    assert_eq!(hello, [control(1, 0, 1, 2, &[must(0, &[0, 6])])]);
    assert!(hand.send(1701, &control(tunnel, 0, 2, 2, &[])).is_empty(), "its acknowledgement");
    assert_eq!(names(&hand.advance(60 * SECOND)), ["HELLO"]);
    assert_eq!(names(&hand.advance(30 * SECOND)), ["HELLO"; 5]);
    assert!(hand.events().is_empty());
    assert!(hand.advance(SECOND).is_empty());
    assert!(matches!(hand.events()[..], [Event::TunnelDown { reason: Reason::DeadPeer, .. }]));
    assert!(hand.server.snapshot().is_empty() && hand.server.poll_timeout().is_none());
}

#[test]
fn a_client_that_is_heard_is_not_asked() {
    let mut hand = gateway();
    hand.open(1701, &windows_sccrq());
    for _ in 0..10 {
        hand.server.note_inbound(hand.now, CHANNEL);
        assert!(hand.advance(50 * SECOND).is_empty());
    }
    assert_eq!(names(&hand.advance(10 * SECOND)), ["HELLO"]);
    hand.server.note_inbound(hand.now, ChannelId(2));
}

#[test]
fn a_hello_of_the_client_is_acknowledged() {
    let mut hand = gateway();
    let tunnel = hand.open(1701, &windows_sccrq());
    assert_eq!(hand.send(1701, &control(tunnel, 0, 2, 1, &[must(0, &[0, 6])])), [control(1, 0, 1, 3, &[])]);
}

#[test]
fn an_sccrp_is_repeated_and_given_up_without_a_word() {
    let mut hand = gateway();
    hand.send(1701, &windows_sccrq());
    assert_eq!(names(&hand.advance(30 * SECOND)), ["SCCRP"; 5]);
    assert!(hand.advance(SECOND).is_empty());
    assert!(hand.server.snapshot().is_empty() && hand.server.poll_timeout().is_none());
}

#[test]
fn a_client_that_acknowledges_but_does_not_go_on_is_stopped() {
    let mut hand = gateway();
    let tunnel = sccrp(&hand.send(1701, &windows_sccrq())).assigned_tunnel_id;
    assert!(hand.send(1701, &control(tunnel, 0, 1, 1, &[])).is_empty());
    let sent = hand.advance(31 * SECOND);
    assert_eq!(names(&sent), ["StopCCN"]);
    assert!(matches!(hand.events()[..], [Event::TunnelDown { reason: Reason::SetupTimeout, .. }]));
    assert!(hand.send(1701, &control(tunnel, 0, 1, 2, &[])).is_empty());
    assert!(hand.server.snapshot().is_empty() && hand.server.poll_timeout().is_none());
}

#[test]
fn a_call_that_is_not_connected_in_time_is_disconnected() {
    let mut hand = gateway();
    let tunnel = hand.open(1701, &windows_sccrq());
    let icrq = [must(0, &[0, 10]), must(14, &[0, 7])];
    assert_eq!(names(&hand.send(1701, &control(tunnel, 0, 2, 1, &icrq))), ["ICRP"]);
    assert!(hand.send(1701, &control(tunnel, 0, 3, 2, &[])).is_empty());
    let sent = hand.advance(31 * SECOND);
    assert_eq!(names(&sent), ["CDN"]);
    assert_eq!(sent[0][4..8], [0, 1, 0, 7]);
    assert!(sent[0].windows(10).any(|part| part == must(1, &[0, 10, 0, 0])), "timeout");
    assert!(hand.events().is_empty(), "it was never up");
    assert_eq!(hand.server.snapshot()[0].phase, TunnelPhase::Established);
}

#[test]
fn closing_a_session_tells_the_client_and_leaves_the_tunnel() {
    let mut hand = gateway();
    let tunnel = hand.open(1701, &linux_sccrq());
    let session = hand.call(1701, tunnel, 0x0a0b);
    let Some(Event::SessionUp { session: key, .. }) = hand.events().pop() else { panic!("it is up") };
    assert_eq!((key.tunnel, key.session), (tunnel, session));
    hand.server.close_session(hand.now, key, Reason::LinkDown);
    let cdn = hand.server.poll_transmit().expect("CDN").payload.to_vec();
    let expected = [must(0, &[0, 14]), must(1, &[0, 1, 0, 0]), must(14, &session.to_be_bytes())];
    assert_eq!(cdn, control(0x5e5e, 0x0a0b, 2, 4, &expected));
    assert_eq!(hand.events(), [Event::SessionDown { session: key, reason: Reason::LinkDown }]);
    hand.server.close_session(hand.now, key, Reason::LinkDown);
    assert!(hand.server.poll_transmit().is_none() && hand.events().is_empty(), "once is enough");
    hand.server.send_frame(key, &[0xc0, 0x21]);
    assert!(hand.server.poll_transmit().is_none(), "no frames after the end");
    assert_eq!(hand.server.snapshot()[0].sessions, [0_u16; 0]);
}

#[test]
fn closing_all_stops_every_tunnel_and_waits_for_the_acknowledgements() {
    let mut pair = Pair::new(Config::new("gw.example"), LinkQuality::PERFECT, 1);
    for (channel, flavor) in (1..).zip(Flavor::ALL) {
        let client = pair.add(ChannelId(channel), LacConfig::new(flavor));
        pair.connect(client);
    }
    pair.advance(SECOND);
    assert_eq!(pair.up.len(), 4);
    pair.server.close_all(pair.now);
    pair.drain();
    assert!(pair.up.is_empty());
    assert!(pair.ended.iter().all(|(_, reason)| *reason == Reason::Shutdown));
    pair.advance(SECOND);
    assert!(pair.server.snapshot().is_empty() && pair.server.poll_timeout().is_none());
    let closed: Vec<_> =
        pair.client_events.iter().filter(|(_, event)| matches!(event, LacEvent::Closed { .. })).collect();
    assert_eq!(closed.len(), 4);
    let expected = LacEvent::Closed { message: "StopCCN", result: 6, error: Some(0) };
    assert!(closed.iter().all(|(_, event)| *event == expected));
}

#[test]
fn closing_a_channel_is_silent_and_concerns_no_other() {
    let mut pair = Pair::connected(Flavor::Windows);
    let twin = pair.add(ChannelId(2), LacConfig::new(Flavor::Windows));
    pair.connect(twin);
    pair.advance(SECOND);
    let (sent, session) = (pair.sent.len(), *pair.up.first_key_value().expect("two").0);
    pair.server.close_channel(CHANNEL);
    pair.drain();
    assert_eq!(pair.sent.len(), sent);
    assert_eq!(pair.ended, [(session, Reason::ChannelClosed)]);
    assert_eq!(pair.session().channel, ChannelId(2));
}

#[test]
fn what_a_stopped_client_still_sends_is_acknowledged_for_31_seconds_and_changes_nothing() {
    let mut hand = gateway();
    let tunnel = hand.open(1701, &windows_sccrq());
    let stop = control(tunnel, 0, 2, 1, &[must(0, &[0, 4]), must(9, &[0, 1]), must(1, &[0, 1, 0, 0])]);
    hand.send(1701, &stop);
    hand.events();
    hand.advance(30 * SECOND);
    assert_eq!(names(&hand.send(1701, &stop)), ["ZLB"]);
    let icrq = control(tunnel, 0, 3, 1, &[must(0, &[0, 10]), must(14, &[0, 7])]);
    assert_eq!(names(&hand.send(1701, &icrq)), ["ZLB"]);
    hand.advance(SECOND);
    assert!(hand.send(1701, &stop).is_empty());
    assert_eq!(hand.server.counters().unknown, 1);
    assert!(hand.events().is_empty());
}

#[test]
fn a_client_can_reconnect_at_once_after_its_goodbye_with_the_same_id() {
    let mut hand = gateway();
    let tunnel = hand.open(1701, &windows_sccrq());
    hand.send(1701, &control(tunnel, 0, 2, 1, &[must(0, &[0, 4]), must(9, &[0, 1]), must(1, &[0, 1, 0, 0])]));
    let again = hand.open(1701, &windows_sccrq());
    assert_ne!(again, tunnel);
    hand.call(1701, again, 1);
    assert_eq!(hand.server.snapshot().iter().filter(|info| info.phase == TunnelPhase::Established).count(), 1);
}

/// What waits for the window is no longer of interest to a client whose tunnel is stopped.
#[test]
fn a_stop_does_not_queue_behind_what_it_makes_pointless() {
    let mut hand = gateway();
    let tunnel = hand.open(40_000, &android_sccrq());
    let session = hand.call(40_000, tunnel, 7);
    let key = SessionKey { channel: CHANNEL, tunnel, session };
    assert_eq!(names(&hand.advance(60 * SECOND)), ["HELLO"]);
    hand.server.close_session(hand.now, key, Reason::Administrative);
    hand.server.close_all(hand.now);
    assert!(hand.server.poll_transmit().is_none(), "the window is 1");
    assert_eq!(names(&hand.send(40_000, &control(tunnel, 0, 4, 3, &[]))), ["StopCCN"]);
}

#[test]
fn an_acknowledgement_moves_the_port_as_well() {
    let mut hand = gateway();
    let tunnel = hand.open(40_000, &android_sccrq());
    hand.call(40_000, tunnel, 7);
    hand.events();
    assert!(hand.send(40_009, &control(tunnel, 0, 4, 2, &[])).is_empty());
    assert!(matches!(hand.events()[..], [Event::Moved { port: 40_009, .. }]));
}

/// The tombstone of the same client must not catch a goodbye that is meant for its living tunnel.
#[test]
fn a_goodbye_under_the_wrong_id_finds_the_living_tunnel() {
    let mut hand = gateway();
    let stop = |id| control(id, 0, 2, 1, &[must(0, &[0, 4]), must(9, &[0, 1]), must(1, &[0, 1, 0, 0])]);
    for _ in 0..20 {
        let old = hand.open(1701, &windows_sccrq());
        hand.send(1701, &stop(old));
        hand.open(1701, &windows_sccrq());
        hand.events();
        hand.send(1701, &stop(1));
        assert!(matches!(hand.events()[..], [Event::TunnelDown { .. }]));
        hand.advance(31 * SECOND);
        assert!(hand.server.snapshot().is_empty());
    }
}

#[test]
fn numbers_wrap_without_a_hitch() {
    let mut pair = Pair::connected(Flavor::Linux);
    for _ in 0..70_000_u32 {
        pair.with(0, Lac::hello);
        pair.advance(Duration::from_millis(20));
    }
    assert!(pair.clients[0].1.is_up() && pair.up.len() == 1);
    assert_eq!(pair.server.counters().retransmissions, 0);
}

#[test]
fn a_new_configuration_holds_for_new_tunnels() {
    let mut hand = gateway();
    hand.server.reconfigure(Arc::new(Config::new("other.example")));
    let reply = sccrp(&hand.send(1701, &windows_sccrq()));
    assert_eq!(reply.host_name.as_deref(), Some(&b"other.example"[..]));
}

#[test]
fn a_name_that_is_empty_or_too_long_is_made_valid() {
    for (name, length) in [(String::new(), 7), ("x".repeat(1000), 255)] {
        let mut config = Config::new(name);
        config.vendor_name = "y".repeat(1000);
        let Some(Message::Sccrp(reply)) = message(&Hand::new(config).send(1701, &windows_sccrq())[0]) else {
            panic!("no SCCRP")
        };
        assert_eq!(reply.host_name.expect("there").len(), length);
        assert_eq!(reply.vendor_name.expect("there").len(), 255);
    }
}
