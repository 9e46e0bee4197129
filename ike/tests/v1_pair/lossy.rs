//! Thousands of logins, rekeys and goodbyes over a network that loses, duplicates, reorders and delays.
//!
//! Whatever happens, both ends agree on keys and SPIs, everybody ends up connected or with a reason, and nothing is left when
//! the timers have run.

use std::time::Duration;

use cygnet_ike::testing::LinkQuality;
use cygnet_ike::testing::v1::stock::Stock;
use cygnet_ike::testing::v1::{V1_SERVER, V1ClientConfig, V1End, V1Pair, V1Task};

use crate::setup::*;

/// Longer than a client tries.
const PATIENCE: Duration = Duration::from_secs(600);

const TASKS: [V1Task; 6] =
    [V1Task::RekeyChild, V1Task::RekeyIsakmp, V1Task::NewChild, V1Task::Probe, V1Task::DeleteChild, V1Task::RekeyChild];

fn client_of(seed: u64) -> V1ClientConfig {
    // Without the list of 112 transforms, which costs more than it tells here.
    const STOCKS: [Stock; 4] = [Stock::Windows10, Stock::Apple, Stock::NetworkManager, Stock::Android7];
    let stock = STOCKS[usize::try_from(seed % 4).expect("small")];
    let mut config = stock.config(PSK, V1Pair::address(0), V1_SERVER);
    config.pfs = seed.is_multiple_of(7);
    config.transmissions = 14;
    for transform in &mut config.isakmp {
        // A cheap group: what is tried here is not arithmetic.
        transform.group = 19;
    }
    config
}

/// One life of a client; true if it came in.
fn life(seed: u64, quality: LinkQuality) -> bool {
    let mut gateway = server_with(|v1| v1.force_udp_encap = !seed.is_multiple_of(5));
    // So that hardly anybody counts as dead for the losses alone.
    gateway.timing.transmissions = 14;
    let mut pair = V1Pair::new(gateway, quality, seed);
    if seed.is_multiple_of(3) {
        pair.link.translate(0);
    }
    pair.connect(client_of(seed), seed ^ 0xc11e);
    pair.settle(PATIENCE);
    if !pair.clients[0].is_up() {
        assert!(pair.clients[0].end().is_some(), "seed {seed}: neither in nor out: {:?}", pair.seen);
        assert_empty(&mut pair);
        return false;
    }
    for (step, task) in TASKS.into_iter().enumerate() {
        // A session without children is not worth keeping, so the last one stays.
        let is_last = task == V1Task::DeleteChild && pair.clients[0].children.len() < 2;
        if (seed >> step) & 1 == 0 && pair.clients[0].is_up() && !is_last {
            pair.run(0, task);
        }
        settle_third_messages(&mut pair);
        assert_agreement(&pair, seed);
    }
    let is_up = pair.clients[0].is_up();
    assert!(is_up || quality != LinkQuality::PERFECT, "seed {seed}: {:?} {:?}", pair.clients[0].end(), pair.seen);
    if is_up {
        pair.run(0, V1Task::Close);
        assert_eq!(pair.clients[0].end(), Some(&V1End::Closed), "seed {seed}");
    }
    assert_empty(&mut pair);
    is_up
}

/// A lost third message of quick mode is asked for by the server's second one.
fn settle_third_messages(pair: &mut V1Pair) {
    pair.advance(Duration::from_secs(60));
}

/// Whatever both ends have is the same; what only one of them has is a pair that a lost DELETE was about.
fn assert_agreement(pair: &V1Pair, seed: u64) {
    for child in &pair.clients[0].children {
        let Some(other) = pair.children.get(&child.outbound) else { continue };
        assert_eq!(other.outbound_spi, child.inbound, "seed {seed}");
        assert!(other.keys.inbound.encr.ct_eq(child.keys.outbound.encr.expose()), "seed {seed}");
        assert!(other.keys.outbound.encr.ct_eq(child.keys.inbound.encr.expose()), "seed {seed}");
        assert!(other.keys.inbound.integ.ct_eq(child.keys.outbound.integ.expose()), "seed {seed}");
        assert!(other.keys.outbound.integ.ct_eq(child.keys.inbound.integ.expose()), "seed {seed}");
    }
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
    let came_through = (0..lives).filter(|seed| life(1_000_000 + seed, LinkQuality::TERRIBLE)).count();
    assert!(came_through >= 1900, "{came_through} of {lives} came through");
}
