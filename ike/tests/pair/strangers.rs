//! A stranger's datagram changes nothing.

use cygnet_ike::Path;
use cygnet_ike::crypto::random::Random;
use cygnet_ike::crypto::testing::SeededRandom;
use cygnet_ike::testing::{Datagram, LinkQuality, Pair, Task, To};
use proptest::prelude::*;

use crate::setup::*;

/// All messages of a whole life that the server got, with the state in which it got them.
fn watched(seed: u64, mut at_message: impl FnMut(&mut Pair, &Datagram)) {
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, seed);
    pair.connect(client(), seed + 1);
    let mut tasks = [Task::RekeyChild, Task::RekeyIke, Task::NewChild, Task::Probe, Task::Close].into_iter();
    loop {
        pair.exchange();
        let arriving: Vec<Datagram> = pair.link.on_the_way().filter(|d| d.to == To::Server).cloned().collect();
        for datagram in arriving {
            at_message(&mut pair, &datagram);
        }
        if pair.link.next_arrival().is_none() {
            let Some(task) = tasks.next() else { return };
            let now = pair.now;
            pair.clients[0].enqueue(now, task);
            continue;
        }
        pair.advance(std::time::Duration::from_millis(10));
    }
}

fn assert_harmless(pair: &mut Pair, path: Path, message: &[u8], what: &str) {
    let before = pair.server.fingerprint();
    pair.server.handle_datagram(pair.now, pair.wall, path, message);
    assert_eq!(pair.server.fingerprint(), before, "{what} changed a state");
    assert!(pair.server.poll_event().is_none(), "{what} caused an event");
}

fn elsewhere(path: Path) -> Path {
    Path { peer: "203.0.113.200:4500".parse().expect("an address"), ..path }
}

fn is_init(message: &[u8]) -> bool {
    message[18] == 34
}

#[test]
fn every_changed_byte_and_every_truncation_of_a_protected_message_is_harmless() {
    watched(1, |pair, datagram| {
        if is_init(&datagram.payload) {
            return;
        }
        for at in 0..datagram.payload.len() {
            let mut changed = datagram.payload.to_vec();
            changed[at] ^= 1 << (at % 8);
            assert_harmless(pair, elsewhere(datagram.path), &changed, "a changed message");
            assert_harmless(pair, elsewhere(datagram.path), &datagram.payload[..at], "a truncated message");
        }
        while pair.server.poll_transmit().is_some() {}
    });
}

#[test]
fn a_recorded_message_from_elsewhere_moves_nobody() {
    let mut recorded: Vec<Datagram> = Vec::new();
    watched(2, |pair, datagram| {
        for old in recorded.iter().filter(|old| !is_init(&old.payload)) {
            assert_harmless(pair, elsewhere(old.path), &old.payload, "a replayed message");
            while pair.server.poll_transmit().is_some() {}
        }
        recorded.push(datagram.clone());
    });
    assert!(recorded.len() > 8);
}

#[test]
fn a_message_of_the_server_sent_back_to_it_is_harmless() {
    let mut pair = connected();
    let now = pair.now;
    pair.clients[0].enqueue(now, Task::Probe);
    pair.advance(std::time::Duration::from_millis(10));
    let answers: Vec<Datagram> = pair.link.on_the_way().filter(|d| d.to != To::Server).cloned().collect();
    assert!(!answers.is_empty());
    for answer in answers {
        let back = Path { local: answer.path.peer, peer: answer.path.local };
        assert_harmless(&mut pair, back, &answer.payload, "a reflected message");
    }
}

#[test]
fn unknown_spis_are_met_with_silence() {
    let mut pair = connected();
    let (path, mut random) = (pair.server.snapshot()[0].path, SeededRandom::new(5));
    for exchange in [34, 35, 36, 37] {
        for flags in [0x08, 0x20, 0x28, 0] {
            let mut message = vec![0; 64];
            random.fill(&mut message);
            message[16..28].copy_from_slice(&[46, 0x20, exchange, flags, 0, 0, 0, 1, 0, 0, 0, 64]);
            assert_harmless(&mut pair, path, &message, "an unknown SPI");
            assert_eq!(pair.server.poll_transmit(), None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_bytes_are_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..200), head in any::<[u8; 28]>()) {
        let mut pair = idle_server();
        let path = Path {
            local: "192.0.2.1:500".parse().expect("an address"),
            peer: "203.0.113.200:500".parse().expect("an address"),
        };
        assert_harmless_or_refused(&mut pair, path, &bytes);
        let mut message = [&head[..], &bytes[..]].concat();
        let length = u32::try_from(message.len()).expect("short").to_be_bytes();
        message[8..16].fill(0);
        message[16..28].copy_from_slice(&[head[16], 0x20, 34, 0x08, 0, 0, 0, 0, length[0], length[1], length[2], length[3]]);
        assert_harmless_or_refused(&mut pair, path, &message);
    }
}

fn idle_server() -> Pair {
    Pair::new(server(), LinkQuality::PERFECT, 3)
}

/// Garbage may be refused with an event, but leaves no state.
fn assert_harmless_or_refused(pair: &mut Pair, path: Path, message: &[u8]) {
    let before = pair.server.fingerprint();
    pair.server.handle_datagram(pair.now, pair.wall, path, message);
    assert_eq!(pair.server.fingerprint(), before);
}
