//! Clients that move again and again over networks that lose, duplicate, reorder and translate: the session survives, both ends
//! agree on one path, and nothing is left in the end.

use std::net::SocketAddr;
use std::time::Duration;

use cygnet_ike::testing::{ClientConfig, End, LinkQuality, Pair, Task};
use cygnet_ike::{Path, SessionState};

use crate::setup::*;

const TASKS: [Task; 5] = [Task::RekeyChild, Task::RekeyIke, Task::NewChild, Task::Probe, Task::DeleteChild];

const PLACES: [&str; 4] = ["198.51.100.1:4500", "198.51.100.61:4500", "[2001:db8::61]:4500", "[2001:db8::62]:4500"];

fn place(at: u64) -> Path {
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let local = address(PLACES[usize::try_from(at % 4).expect("small")]);
    Path { local, peer: address(if local.is_ipv4() { "192.0.2.1:4500" } else { "[2001:db8::1]:4500" }) }
}

/// A few bits of the seed at a time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn traveller() -> ClientConfig {
    let mut config = client();
    (config.mobike, config.transmissions) = (true, 14);
    config
}

/// One journey; true if the client came in at all.
fn journey(seed: u64, quality: LinkQuality) -> bool {
    let mut gateway = server();
    (gateway.timing.transmissions, gateway.timing.childless) = (14, Duration::from_secs(1000));
    let mut pair = Pair::new(gateway, quality, seed);
    let mut dice = Dice(seed);
    pair.connect(traveller(), seed ^ 0x0b1e);
    pair.settle(LIMIT);
    if !pair.clients[0].is_up() {
        assert_eq!(pair.clients[0].end(), Some(&End::TimedOut), "seed {seed}: {:?}", pair.seen);
        assert_empty(&mut pair);
        return false;
    }
    for _ in 0..8 {
        let now = pair.now;
        match dice.roll(4) {
            0 | 1 => {
                match dice.roll(3) {
                    0 => pair.link.translate(0),
                    1 => pair.link.untranslate(0),
                    _ => {}
                }
                pair.clients[0].roam(now, place(dice.roll(4)));
            }
            2 => pair.clients[0].enqueue(now, TASKS[usize::try_from(dice.roll(5)).expect("small")]),
            _ => {
                let (session, spi) = (pair.server.snapshot()[0].session, pair.children.keys().next().copied());
                if let Some(spi) = spi {
                    pair.server.rekey_child(now, session, spi);
                }
            }
        }
        if dice.roll(2) == 0 {
            pair.settle(LIMIT);
        } else {
            pair.advance(Duration::from_millis(dice.roll(900)));
        }
        assert!(pair.clients[0].is_up(), "seed {seed}: {:?} {:?}", pair.clients[0].end(), pair.seen);
    }
    let now = pair.now;
    pair.clients[0].roam(now, place(dice.roll(4)));
    pair.settle(LIMIT);
    pair.settle(LIMIT);
    assert!(pair.clients[0].is_up(), "seed {seed}: {:?} {:?}", pair.clients[0].end(), pair.seen);
    assert_same_path(&pair, seed);
    // Replaced Child SAs are gone by then.
    pair.link.quality = LinkQuality::PERFECT;
    if pair.children.is_empty() {
        run(&mut pair, 0, Task::NewChild);
    }
    pair.advance(Duration::from_secs(150));
    assert_up(&pair, 0);
    assert_eq!(pair.children.len(), pair.clients[0].children.len(), "seed {seed}: {:?}", pair.seen);
    assert_same_path(&pair, seed);
    assert_eq!(refusals(&pair), Vec::<&cygnet_ike::RefusalReason>::new(), "seed {seed}");
    run(&mut pair, 0, Task::Close);
    assert_empty(&mut pair);
    true
}

/// Both ends send to where the other is, and all Child SAs go along.
#[expect(clippy::panic, reason = "a failure of the test")]
fn assert_same_path(pair: &Pair, seed: u64) {
    let infos = pair.server.snapshot();
    let [info] = &infos[..] else { panic!("seed {seed}: {infos:?}") };
    assert_eq!(info.state, SessionState::Established);
    let inner: Vec<SocketAddr> = pair.clients.iter().map(|client| client.path().local).collect();
    let reached = pair.link.client_at(info.path.peer, &inner);
    assert_eq!(reached, Some((0, inner[0])), "seed {seed}: the server sends to {}", info.path.peer);
    assert_eq!(info.path.local, pair.clients[0].path().peer, "seed {seed}");
    for child in pair.children.values() {
        assert_eq!(child.path, info.path, "seed {seed}: a Child SA was left behind");
        assert_eq!(child.udp_encap, info.behind_nat, "seed {seed}");
    }
}

#[test]
fn five_hundred_journeys_on_a_perfect_network() {
    for seed in 0..500 {
        assert!(journey(seed, LinkQuality::PERFECT), "seed {seed}");
    }
}

#[test]
fn a_thousand_journeys_on_a_terrible_network() {
    let journeys = 1000;
    let came_in = (0..journeys).filter(|seed| journey(1_000_000 + seed, LinkQuality::TERRIBLE)).count();
    assert!(came_in >= 990, "{came_in} of {journeys} came in");
}
