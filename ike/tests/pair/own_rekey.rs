//! The gateway rekeys on its own behalf: by time, when the packet path asks for it, and at the same moment as the client.

use std::time::Duration;

use cygnet_ike::config::{Config, Lifetime};
use cygnet_ike::testing::{LinkQuality, Pair, Seen, Task};
use cygnet_ike::wire::num::NotifyType;
use cygnet_ike::{CloseReason, RefusalReason};

use crate::setup::*;

fn seconds(soft: u64, hard: u64) -> Option<Lifetime> {
    Some(Lifetime::new(Duration::from_secs(soft), Duration::from_secs(hard)))
}

/// A gateway with lifetimes of seconds.
fn short_lived(child: Option<Lifetime>, ike: Option<Lifetime>) -> Config {
    let mut config = server();
    (config.timing.child_lifetime, config.timing.ike_lifetime) = (child, ike);
    config
}

#[test]
fn a_child_sa_is_replaced_at_its_soft_limit_and_no_gap_is_left() {
    for pfs in [false, true] {
        let mut config = client();
        config.pfs = pfs;
        let mut pair = login(short_lived(seconds(100, 120), None), config);
        let first = pair.clients[0].children[0].outbound;
        pair.advance(Duration::from_secs(101));
        assert_up(&pair, 0);
        assert_eq!(pair.clients[0].children.len(), 1);
        let second = pair.clients[0].children[0].outbound;
        assert_ne!(first, second);
        let up = pair.seen.iter().position(|seen| matches!(seen, Seen::ChildUp(_, spi, None) if *spi == second));
        let down = pair.seen.iter().position(|seen| matches!(seen, Seen::ChildDown(_, spi) if *spi == first));
        assert!(up.is_some() && up < down, "{:?}", pair.seen);
    }
}

#[test]
fn a_child_sa_with_a_key_exchange_of_its_own_is_replaced_with_another() {
    let mut config = client();
    config.pfs = true;
    let mut pair = login(server(), config);
    run(&mut pair, 0, Task::RekeyChild);
    let (session, spi) = (pair.server.snapshot()[0].session, pair.clients[0].children[0].outbound);
    pair.server.rekey_child(pair.now, session, spi);
    pair.settle(LIMIT);
    assert_up(&pair, 0);
    assert_eq!(pair.clients[0].children.len(), 1);
    assert_ne!(pair.clients[0].children[0].outbound, spi);
}

#[test]
fn a_client_that_replaces_the_ike_sa_all_the_time_and_deletes_none_is_slowed_down() {
    let mut pair = login(server(), client());
    pair.clients[0].forgets_to_delete = true;
    let begun = pair.now;
    let mut most = 0;
    for _ in 0..100 {
        run(&mut pair, 0, Task::RekeyIke);
        most = most.max(pair.server.spis_in_use().0);
        pair.advance(Duration::from_millis(60));
    }
    assert!(pair.now - begun < Duration::from_secs(15), "{:?}", pair.now - begun);
    assert!(most <= 5, "{most} IKE SAs at once");
    assert!(pair.clients[0].refusals.iter().filter(|kind| **kind == NotifyType::TEMPORARY_FAILURE).count() > 50);
    assert_up(&pair, 0);
    pair.advance(Duration::from_secs(10));
    let refusals = pair.clients[0].refusals.len();
    run(&mut pair, 0, Task::RekeyIke);
    run(&mut pair, 0, Task::RekeyChild);
    assert_up(&pair, 0);
    assert_eq!(pair.clients[0].refusals.len(), refusals);
}

#[test]
fn the_ike_sa_is_replaced_at_its_soft_limit_and_serves_both_sides() {
    let mut pair = login(short_lived(None, seconds(50, 80)), client());
    for _ in 0..5 {
        pair.advance(Duration::from_secs(51));
        for task in [Task::Probe, Task::RekeyChild, Task::NewChild, Task::DeleteChild, Task::RekeyIke] {
            run(&mut pair, 0, task);
            assert_up(&pair, 0);
        }
    }
    assert_eq!(refusals(&pair), Vec::<&RefusalReason>::new());
    run(&mut pair, 0, Task::Close);
    assert_empty(&mut pair);
}

#[test]
fn of_two_child_sas_made_at_the_same_moment_one_is_left() {
    for seed in 0..200 {
        let mut pair = Pair::new(server(), LinkQuality::PERFECT, seed);
        pair.connect(client(), seed ^ 0xabcd);
        pair.settle(LIMIT);
        let (now, session) = (pair.now, pair.server.snapshot()[0].session);
        pair.server.rekey_child(now, session, pair.clients[0].children[0].outbound);
        pair.clients[0].enqueue(now, Task::RekeyChild);
        pair.advance(Duration::from_secs(5));
        assert_up(&pair, 0);
        assert_eq!((pair.clients[0].children.len(), pair.children.len()), (1, 1), "seed {seed}: {:?}", pair.seen);
    }
}

#[test]
fn of_two_ike_sas_made_at_the_same_moment_one_is_left_and_works() {
    for seed in 0..200 {
        let mut pair = Pair::new(short_lived(None, seconds(100, 200)), LinkQuality::PERFECT, seed);
        pair.connect(client(), seed ^ 0xabcd);
        pair.settle(LIMIT);
        // The gateway begins somewhere in the last eighth of the time; one of the client's attempts meets it.
        for _ in 0..120 {
            pair.advance(Duration::from_millis(105));
            let now = pair.now;
            if pair.now > cygnet_ike::testing::epoch() + Duration::from_secs(87) {
                pair.clients[0].enqueue(now, Task::RekeyIke);
            } else {
                pair.advance(Duration::from_secs(10));
            }
        }
        pair.advance(Duration::from_secs(5));
        assert_up(&pair, 0);
        run(&mut pair, 0, Task::RekeyChild);
        assert_up(&pair, 0);
        run(&mut pair, 0, Task::Close);
        assert_empty(&mut pair);
    }
}

#[test]
fn a_client_that_has_no_time_is_asked_again() {
    let mut pair = login(short_lived(seconds(100, 200), None), client());
    let first = pair.clients[0].children[0].outbound;
    pair.clients[0].refuses_rekeys = Some(NotifyType::TEMPORARY_FAILURE);
    pair.advance(Duration::from_secs(150));
    assert_eq!(pair.clients[0].children[0].outbound, first);
    assert_eq!(refusals(&pair), Vec::<&RefusalReason>::new());
    pair.clients[0].refuses_rekeys = None;
    pair.advance(Duration::from_secs(20));
    assert_ne!(pair.clients[0].children[0].outbound, first);
    assert_up(&pair, 0);
}

#[test]
fn a_client_that_refuses_loses_the_child_sa_at_its_hard_limit() {
    let mut pair = login(short_lived(seconds(100, 130), None), client());
    pair.clients[0].refuses_rekeys = Some(NotifyType::NO_PROPOSAL_CHOSEN);
    pair.advance(Duration::from_secs(129));
    assert_eq!(pair.children.len(), 1);
    let refused = RefusalReason::RekeyRefused { notify: NotifyType::NO_PROPOSAL_CHOSEN };
    assert!(refusals(&pair).contains(&&refused), "{:?}", pair.seen);
    pair.advance(Duration::from_secs(2));
    assert!(pair.children.is_empty() && pair.clients[0].children.is_empty());
    pair.advance(Duration::from_secs(60));
    assert_eq!(closed(&pair), [CloseReason::NoChildSa]);
    assert_empty(&mut pair);
}

#[test]
fn a_client_that_refuses_a_new_ike_sa_is_closed_at_the_hard_limit() {
    let mut pair = login(short_lived(None, seconds(100, 130)), client());
    pair.clients[0].refuses_rekeys = Some(NotifyType::NO_PROPOSAL_CHOSEN);
    pair.advance(Duration::from_secs(131));
    assert_eq!(closed(&pair), [CloseReason::Expired]);
    assert_empty(&mut pair);
}

/// Both sides rekey everything all the time. True if the client is still there in the end. The gateway's lifetimes are longer
/// than the time that an answer may take: a Child SA that the client does not know of yet cannot be rekeyed.
fn restless_life(seed: u64, quality: LinkQuality) -> bool {
    let mut gateway = short_lived(seconds(40, 400), seconds(70, 700));
    gateway.timing.transmissions = 12;
    gateway.timing.rekey_retry = Duration::from_secs(2);
    let mut pair = Pair::new(gateway, quality, seed);
    let mut config = client();
    config.pfs = seed.is_multiple_of(2);
    config.transmissions = 12;
    pair.connect(config, seed ^ 0xc11e);
    pair.settle(LIMIT);
    for step in 0..120_u64 {
        pair.advance(Duration::from_millis(700 + seed.wrapping_mul(step) % 1900));
        let task = if (seed >> (step % 16)) & 3 == 0 { Task::RekeyIke } else { Task::RekeyChild };
        let now = pair.now;
        if pair.clients[0].is_up() && pair.clients[0].is_idle() {
            pair.clients[0].enqueue(now, task);
        }
    }
    pair.link.quality = LinkQuality::PERFECT;
    // Until what was replaced on one side only has run out, and then until nothing is under way.
    pair.advance(Duration::from_secs(200));
    pair.clients[0].refuses_rekeys = Some(NotifyType::TEMPORARY_FAILURE);
    pair.advance(Duration::from_secs(20));
    if !pair.clients[0].is_up() {
        assert_empty(&mut pair);
        return false;
    }
    pair.assert_same_children(0);
    run(&mut pair, 0, Task::Close);
    assert_empty(&mut pair);
    true
}

#[test]
fn restless_lives_on_a_perfect_network_stay_in_step() {
    for seed in 0..150 {
        assert!(restless_life(seed, LinkQuality::PERFECT), "seed {seed}");
    }
}

#[test]
fn restless_lives_on_a_terrible_network_stay_in_step() {
    let stayed = (0..150).filter(|seed| restless_life(2_000_000 + seed, LinkQuality::TERRIBLE)).count();
    assert!(stayed >= 140, "{stayed} of 150 stayed");
}
