//! What one peer may have, and what it cannot make the gateway keep.

use std::time::Duration;

use cygnet_l2tp::testing::epoch;
use cygnet_l2tp::{ChannelId, Config, Event, Reason, RefusalReason, TunnelPhase};

use crate::bytes::{Hand, control, message, must, sccrp, windows_sccrq};

fn gateway(tunnels: usize, sessions: usize) -> Hand {
    let mut config = Config::new("gw.example");
    config.tunnels_per_channel = tunnels;
    config.sessions_per_tunnel = sessions;
    Hand::new(config)
}

fn sccrq(id: u16) -> Vec<u8> {
    let parts = [must(0, &[0, 1]), must(2, &[1, 0]), must(7, b"x"), must(9, &id.to_be_bytes()), must(10, &[0, 4])];
    control(0, 0, 0, 0, &parts)
}

fn live(hand: &Hand) -> Vec<u16> {
    let snapshot = hand.server.snapshot().into_iter();
    let mut ids: Vec<u16> =
        snapshot.filter(|info| info.phase != TunnelPhase::Closing).map(|info| info.peer_tunnel).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn the_newest_tunnels_of_a_channel_stay() {
    for limit in [0, 1, 3] {
        let mut hand = gateway(limit, 1);
        for id in 1..=10 {
            sccrp(&hand.send(1701, &sccrq(id)));
            hand.now += Duration::from_millis(10);
        }
        let kept = u16::try_from(limit.max(1)).expect("small");
        assert_eq!(live(&hand), ((11 - kept)..=10).collect::<Vec<_>>());
        let replaced = hand.events();
        assert_eq!(replaced.len(), 10 - usize::from(kept));
        assert!(replaced.iter().all(|event| matches!(event, Event::TunnelDown { reason: Reason::Replaced, .. })));
    }
}

#[test]
fn a_peer_that_opens_tunnels_without_end_cannot_fill_the_memory() {
    let mut hand = gateway(1, 1);
    for id in 1..=5000 {
        hand.send(1701, &sccrq(id));
        assert!(hand.server.snapshot().len() <= 5 + 1);
    }
    hand.advance(Duration::from_secs(60));
    assert!(hand.server.snapshot().is_empty() && hand.server.poll_timeout().is_none());
}

#[test]
fn limits_are_those_of_each_channel() {
    let mut hand = gateway(1, 1);
    for channel in 0..500 {
        let answers = hand.send_through(ChannelId(channel), 1701, &windows_sccrq());
        sccrp(&answers);
    }
    assert_eq!(live(&hand).len(), 500);
}

#[test]
fn one_call_too_many_is_refused_and_the_others_stay() {
    for limit in [1, 3] {
        let mut hand = gateway(1, limit);
        let tunnel = hand.open(1701, &windows_sccrq());
        let mut answers = Vec::new();
        for id in 1..=u16::try_from(limit).expect("small") + 1 {
            let icrq = [must(0, &[0, 10]), must(14, &id.to_be_bytes())];
            answers = hand.send(1701, &control(tunnel, 0, id + 1, id, &icrq));
        }
        assert_eq!(message(&answers[0]).map(|message| message.name()), Some("CDN"));
        assert!(answers[0].windows(10).any(|part| part == must(1, &[0, 4, 0, 4])), "no facilities for now");
        let refusal = hand.refusals().remove(0);
        assert_eq!(refusal.reason, RefusalReason::TooManySessions { limit });
        assert!(refusal.explain().contains("l2tp_sessions"));
    }
}

#[test]
fn a_call_with_an_id_in_use_replaces_the_old_one() {
    let mut hand = gateway(1, 1);
    let tunnel = hand.open(1701, &windows_sccrq());
    let old = hand.call(1701, tunnel, 7);
    hand.events();
    let answers = hand.send(1701, &control(tunnel, 0, 4, 2, &[must(0, &[0, 10]), must(14, &[0, 7])]));
    assert_eq!(message(&answers[0]).map(|message| message.name()), Some("ICRP"));
    let Some(Event::SessionDown { session, reason: Reason::Replaced }) = hand.events().pop() else {
        panic!("still up")
    };
    assert_eq!(session.session, old);
}

#[test]
fn a_peer_that_asks_much_and_acknowledges_nothing_is_given_up() {
    let mut hand = gateway(1, 1);
    let tunnel = hand.open(1701, &windows_sccrq());
    let mut sent = 0;
    for id in 1..=100_u16 {
        let icrq = [must(0, &[0, 10]), must(14, &id.to_be_bytes())];
        sent += hand.send(1701, &control(tunnel, 0, id + 1, 1, &icrq)).len();
    }
    assert!(sent <= 100, "no more answers than questions");
    assert!(hand.server.snapshot().is_empty());
    assert!(matches!(hand.events().last(), Some(Event::TunnelDown { reason: Reason::DeadPeer, .. })));
}

#[test]
fn early_messages_are_kept_up_to_the_window() {
    let mut hand = gateway(1, 1);
    let tunnel = sccrp(&hand.send(1701, &windows_sccrq())).assigned_tunnel_id;
    for ns in 2..1000 {
        assert!(hand.send(1701, &control(tunnel, 0, ns, 1, &[must(0, &[0, 6])])).is_empty());
    }
    assert_eq!(hand.server.counters().out_of_window, 998 - 7);
    let answers = hand.send(1701, &control(tunnel, 0, 1, 1, &[must(0, &[0, 3])]));
    assert_eq!(answers, [control(1, 0, 1, 9, &[])], "SCCCN and seven Hellos, acknowledged together");
    assert_eq!(hand.now, epoch());
}
