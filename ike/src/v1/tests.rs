//! The engine against a client on a virtual clock, where the state inside matters. More is in `tests/v1_pair`.

use std::time::Duration;

use super::V1Config;
use crate::config::Config;
use crate::crypto::secret::Secret;
use crate::psk::{PskSelector, PskTable};
use crate::testing::LinkQuality;
use crate::testing::v1::stock::Stock;
use crate::testing::v1::{V1_SERVER, V1Pair, V1Seen, V1Task};

const PSK: &[u8] = b"correct horse battery staple";

fn pair() -> V1Pair {
    let mut config = Config::new("gw.example".parse().expect("a name"));
    config.psks = PskTable::new(vec![(PskSelector::Any, Secret::from_slice(PSK))]);
    config.ikev1 = Some(V1Config::default());
    let mut pair = V1Pair::new(config, LinkQuality::PERFECT, 1);
    pair.connect(Stock::Windows10.config(PSK, V1Pair::address(0), V1_SERVER), 2);
    pair
}

fn until_child_up(pair: &mut V1Pair, number: usize) {
    let ups = |pair: &V1Pair| pair.seen.iter().filter(|seen| matches!(seen, V1Seen::ChildUp(..))).count();
    for _ in 0..10_000 {
        if ups(pair) == number {
            return;
        }
        pair.advance(Duration::from_millis(1));
    }
    panic!("no Child SA: {:?}", pair.seen);
}

#[test]
fn a_pair_is_up_before_the_third_message_and_goes_down_if_that_never_comes() {
    let mut pair = pair();
    until_child_up(&mut pair, 1);
    pair.link.quality.loss = 100;
    pair.advance(Duration::from_secs(1));
    assert_eq!(pair.children.len(), 1, "ESP of the client may arrive already");
    pair.advance(Duration::from_secs(60));
    assert!(pair.children.is_empty(), "{:?}", pair.seen);
    pair.advance(Duration::from_secs(60));
    assert!(pair.server.snapshot().is_empty() && pair.server.poll_timeout().is_none());
}

#[test]
fn a_renewal_that_never_ends_leaves_the_pair_that_it_was_to_replace() {
    let mut pair = pair();
    until_child_up(&mut pair, 1);
    pair.settle(Duration::from_secs(10));
    let old: Vec<_> = pair.children.keys().copied().collect();
    let now = pair.now;
    pair.clients[0].enqueue(now, V1Task::RekeyChild);
    until_child_up(&mut pair, 2);
    pair.link.quality.loss = 100;
    pair.advance(Duration::from_secs(61));
    assert_eq!(pair.children.keys().copied().collect::<Vec<_>>(), old, "{:?}", pair.seen);
}
