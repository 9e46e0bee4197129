//! Strangers change nothing: forged, changed, repeated and senseless messages.

use bytes::Bytes;
use cygnet_ike::testing::LinkQuality;
use cygnet_ike::testing::v1::stock::Stock;
use cygnet_ike::testing::v1::{V1Pair, V1Task};
use cygnet_ike::{Path, wire::IkeSpi};

use crate::setup::*;

fn elsewhere(path: Path) -> Path {
    Path { local: path.peer, peer: "203.0.113.200:4500".parse().expect("an address") }
}

/// All messages of a client during a login and a rekey.
fn recording() -> (V1Pair, Vec<(Path, Bytes)>) {
    let mut pair = V1Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.connect(client(), 2);
    let mut messages = Vec::new();
    for step in 0..200 {
        pair.exchange();
        for datagram in pair.link.on_the_way() {
            if datagram.to == cygnet_ike::testing::To::Server
                && !messages.iter().any(|(_, known)| *known == datagram.payload)
            {
                messages.push((datagram.path, datagram.payload.clone()));
            }
        }
        if step == 100 {
            let now = pair.now;
            pair.clients[0].enqueue(now, V1Task::RekeyChild);
        }
        pair.advance(std::time::Duration::from_millis(5));
    }
    assert_up(&pair, 0);
    (pair, messages)
}

#[test]
fn changed_messages_of_an_established_client_change_nothing() {
    let (mut pair, messages) = recording();
    assert!(messages.len() >= 8, "{}", messages.len());
    let encrypted = messages.iter().filter(|(_, message)| message[19] & 1 != 0);
    for (path, message) in encrypted {
        for at in 0..message.len() {
            let mut changed = message.to_vec();
            changed[at] ^= 0x11;
            let before = pair.server.fingerprint();
            pair.server.handle_datagram(pair.now, pair.wall, elsewhere(*path), &changed);
            assert_eq!(pair.server.fingerprint(), before, "byte {at} of {message:02x?}");
            while pair.server.poll_transmit().is_some() {}
        }
    }
    assert_eq!(closed(&pair), []);
    assert_up(&pair, 0);
}

#[test]
fn repeated_messages_change_nothing() {
    let (mut pair, messages) = recording();
    let children: Vec<_> = pair.children.keys().copied().collect();
    for (path, message) in &messages[2..] {
        let before = pair.server.fingerprint();
        let path = Path { local: path.local, peer: path.peer };
        pair.server.handle_datagram(pair.now, pair.wall, path, message);
        assert_eq!(pair.server.fingerprint(), before);
        while pair.server.poll_transmit().is_some() {}
    }
    pair.settle(LIMIT);
    assert_eq!(pair.children.keys().copied().collect::<Vec<_>>(), children);
    assert_up(&pair, 0);
}

#[test]
fn truncated_messages_are_never_answered() {
    let (_, messages) = recording();
    for (path, message) in &messages {
        let mut pair = V1Pair::new(server(), LinkQuality::PERFECT, 1);
        for len in 0..message.len() {
            pair.server.handle_datagram(pair.now, pair.wall, *path, &message[..len]);
        }
        assert!(pair.server.poll_transmit().is_none());
        assert_eq!(pair.server.snapshot(), []);
    }
}

#[test]
fn a_flood_of_first_messages_leaves_no_sessions_and_those_who_wait_come_in() {
    let mut pair = V1Pair::new(server(), LinkQuality::PERFECT, 1);
    for number in 0..20_000_u32 {
        let cookie = IkeSpi((u64::from(number) + 1).to_be_bytes());
        let message = Stock::Windows10.first_message(cookie);
        let [_, a, b, c] = number.to_be_bytes();
        let peer = std::net::SocketAddr::new(std::net::Ipv4Addr::new(11, a, b, c).into(), 500);
        let path = Path { local: "192.0.2.1:500".parse().expect("valid"), peer };
        pair.server.handle_datagram(pair.now, pair.wall, path, &message);
        while pair.server.poll_transmit().is_some() {}
    }
    assert_eq!(pair.server.snapshot(), []);
    pair.connect(client(), 2);
    pair.settle(LIMIT);
    assert_up(&pair, 0);
}
