//! Thousands of logins, rekeys and goodbyes over a network that loses, duplicates, reorders and delays.
//!
//! Whatever happens, both ends agree on keys and SPIs, everybody ends up connected or with a reason, and nothing is left when
//! the timers have run.

use std::time::Duration;

use cygnet_ike::testing::{End, LinkQuality, Pair, Task};

use crate::setup::*;

const TASKS: [Task; 6] =
    [Task::RekeyChild, Task::RekeyIke, Task::NewChild, Task::Probe, Task::DeleteChild, Task::RekeyChild];

/// One life of a client; true if it came in.
fn life(seed: u64, quality: LinkQuality) -> bool {
    let mut gateway = server();
    // So that hardly anybody counts as dead for the losses alone.
    gateway.timing.transmissions = 12;
    if seed % 5 == 0 {
        gateway.limits.cookie_threshold = 0;
    }
    let mut pair = Pair::new(gateway, quality, seed);
    if seed % 3 == 0 {
        pair.link.translate(0);
    }
    let mut config = client();
    config.pfs = seed % 2 == 0;
    config.transmissions = 12;
    pair.connect(config, seed ^ 0xc11e);
    pair.settle(LIMIT);
    if !pair.clients[0].is_up() {
        assert_eq!(pair.clients[0].end(), Some(&End::TimedOut), "seed {seed}: {:?}", pair.seen);
        assert_empty(&mut pair);
        return false;
    }
    pair.assert_same_children(0);
    for (step, task) in TASKS.into_iter().enumerate() {
        if (seed >> step) & 1 == 0 {
            run(&mut pair, 0, task);
            assert!(pair.clients[0].is_up(), "seed {seed}: {:?} {:?}", pair.clients[0].end(), pair.seen);
            pair.assert_same_children(0);
        }
        if seed % 7 == 0 && step == 2 && seed % 3 == 0 {
            // The NAT forgets the client, which soon sends something.
            pair.link.translate(0);
            run(&mut pair, 0, Task::Probe);
        }
    }
    assert!(pair.clients[0].is_up(), "seed {seed}: {:?} {:?}", pair.clients[0].end(), pair.seen);
    pair.advance(Duration::from_secs(200));
    assert!(pair.clients[0].is_up() || pair.clients[0].children.is_empty(), "seed {seed}: {:?}", pair.clients[0].end());
    if pair.clients[0].is_up() {
        assert_eq!(pair.children.len(), pair.clients[0].children.len(), "seed {seed}: {:?}", pair.seen);
        pair.assert_same_children(0);
        run(&mut pair, 0, Task::Close);
    }
    assert_empty(&mut pair);
    true
}

#[test]
fn a_thousand_lives_on_a_perfect_network() {
    for seed in 0..1000 {
        assert!(life(seed, LinkQuality::PERFECT), "seed {seed}");
    }
}

#[test]
fn two_thousand_lives_on_a_terrible_network() {
    let lives = 2000;
    let came_in = (0..lives).filter(|seed| life(1_000_000 + seed, LinkQuality::TERRIBLE)).count();
    assert!(came_in >= 1980, "{came_in} of {lives} came in");
}
