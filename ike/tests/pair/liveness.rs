//! Who is still there: liveness, DELETE, shutdown.

use std::time::Duration;

use cygnet_ike::testing::{End, LinkQuality, Pair, Task};
use cygnet_ike::{CloseReason, RefusalReason, SessionState};

use crate::setup::*;

#[test]
fn a_silent_client_is_asked_and_stays_as_long_as_it_answers() {
    let mut pair = connected();
    let heard = pair.server.snapshot()[0].last_heard;
    pair.advance(Duration::from_secs(600));
    assert_up(&pair, 0);
    assert!(pair.server.snapshot()[0].last_heard > heard + Duration::from_secs(500));
}

#[test]
fn a_dead_client_is_gone_within_ninety_seconds() {
    let mut pair = connected();
    pair.link.quality.loss = 100;
    pair.advance(Duration::from_secs(29));
    assert_eq!(pair.server.counters().sessions, 1);
    pair.advance(Duration::from_secs(71));
    assert_eq!(closed(&pair), [CloseReason::PeerDead]);
    assert!(pair.server.counters().retransmissions_sent >= 4);
    assert_empty(&mut pair);
}

#[test]
fn packets_prove_that_a_client_lives() {
    let mut pair = connected();
    let session = pair.server.snapshot()[0].session;
    pair.link.quality.loss = 100;
    for _ in 0..60 {
        pair.server.note_inbound(pair.now, session);
        pair.advance(Duration::from_secs(5));
    }
    assert_eq!(pair.server.counters().retransmissions_sent, 0, "nothing had to be asked");
    assert_eq!(pair.server.counters().sessions, 1);
}

#[test]
fn a_malformed_sign_of_life_is_one() {
    let mut pair = connected();
    pair.clients[0].talks_nonsense = true;
    pair.advance(Duration::from_secs(100));
    assert!(matches!(refusals(&pair)[..], [RefusalReason::Malformed(_), ..]));
    assert_eq!(closed(&pair), []);
    assert_up(&pair, 0);
}

#[test]
fn liveness_can_be_switched_off() {
    let mut gateway = server();
    gateway.timing.liveness = None;
    (gateway.timing.child_lifetime, gateway.timing.ike_lifetime) = (None, None);
    let mut pair = login(gateway, client());
    assert_eq!(pair.server.poll_timeout(), None);
    pair.link.quality.loss = 100;
    pair.advance(Duration::from_secs(3600));
    assert_eq!(pair.server.counters().sessions, 1);
}

#[test]
fn a_client_that_says_goodbye_is_gone_at_once() {
    let mut pair = connected();
    run(&mut pair, 0, Task::Close);
    assert_eq!(pair.clients[0].end(), Some(&End::Closed));
    assert_eq!(closed(&pair), [CloseReason::PeerDeleted]);
    assert!(pair.children.is_empty());
    assert_empty(&mut pair);
}

#[test]
fn a_closed_client_is_told() {
    let mut pair = connected();
    let session = pair.server.snapshot()[0].session;
    pair.server.close(pair.now, session, CloseReason::Administrative);
    assert_eq!(pair.server.snapshot()[0].state, SessionState::Closing);
    pair.settle(LIMIT);
    assert_eq!(pair.clients[0].end(), Some(&End::DeletedByServer));
    assert_eq!(closed(&pair), [CloseReason::Administrative]);
    assert_eq!(pair.server.snapshot(), []);
}

#[test]
fn shutdown_tells_everybody_and_does_not_wait_for_the_dead() {
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    for seed in 0..3 {
        pair.connect(client(), seed);
    }
    pair.settle(LIMIT);
    pair.server.close_all(pair.now);
    pair.settle(LIMIT);
    assert!(pair.clients.iter().all(|client| client.end() == Some(&End::DeletedByServer)));
    assert_eq!(pair.server.poll_timeout(), None);
    pair.connect(client(), 9);
    pair.settle(LIMIT);
    assert_eq!(pair.clients[3].end(), Some(&End::TimedOut), "nobody new comes in");

    let mut pair = connected();
    pair.link.quality.loss = 100;
    pair.server.close_all(pair.now);
    pair.advance(Duration::from_secs(20));
    assert_eq!(pair.server.poll_timeout(), None);
    assert_eq!(closed(&pair), [CloseReason::Shutdown]);
}

#[test]
fn a_close_and_a_rekey_that_cross_end_the_session() {
    let mut pair = connected();
    let session = pair.server.snapshot()[0].session;
    let now = pair.now;
    pair.clients[0].enqueue(now, Task::RekeyChild);
    pair.exchange();
    pair.server.close(now, session, CloseReason::Administrative);
    pair.settle(LIMIT);
    assert_eq!(pair.clients[0].end(), Some(&End::DeletedByServer));
    assert!(pair.children.is_empty());
    assert_empty(&mut pair);
}

#[test]
fn both_sides_may_delete_at_once() {
    let mut pair = connected();
    let session = pair.server.snapshot()[0].session;
    let now = pair.now;
    pair.clients[0].enqueue(now, Task::Close);
    pair.exchange();
    pair.server.close(now, session, CloseReason::Administrative);
    pair.settle(LIMIT);
    assert!(pair.clients[0].end().is_some());
    assert_eq!(closed(&pair), [CloseReason::Administrative]);
    assert_empty(&mut pair);
}
