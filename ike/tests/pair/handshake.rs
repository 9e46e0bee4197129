//! IKE_SA_INIT: proposals, groups, cookies, address translation.

use std::net::SocketAddr;
use std::time::Duration;

use cygnet_ike::crypto::dh::Group;
use cygnet_ike::proposal::{Policy, PolicyName};
use cygnet_ike::testing::{Client, End, LinkQuality, Login, Pair, Seen, Task};
use cygnet_ike::wire::num::NotifyType;
use cygnet_ike::{Path, RefusalReason, SessionState};

use crate::setup::*;

#[test]
fn every_group_and_cipher_leads_to_the_same_keys() {
    let suites = [
        "aes256gcm16-prfsha384-ecp384",
        "aes128gcm16-prfsha256-ecp256",
        "chacha20poly1305-prfsha512-x25519",
        "aes192gcm16-prfsha1-x25519",
        "aes256-sha256-modp2048",
        "aes128-sha1-x25519",
        "aes192-sha384-x25519",
        "aes256-sha512-ecp521",
    ];
    for suite in suites {
        let policy = Policy::default().with_ike(&[suite]).expect("a suite");
        let guess = policy.ike()[0].groups[0];
        let mut config = client();
        (config.policy, config.guess) = (policy, guess);
        let mut pair = login(server(), config);
        assert_up(&pair, 0);
        assert_eq!(pair.server.snapshot()[0].ike_suite, suite);
        run(&mut pair, 0, Task::RekeyIke);
        assert_up(&pair, 0);
        run(&mut pair, 0, Task::RekeyChild);
        assert_up(&pair, 0);
    }
}

#[test]
fn every_esp_suite_leads_to_the_same_keys() {
    for suite in ["aes256gcm16", "chacha20poly1305", "aes256-sha256", "aes128-sha1-noesn", "aes192-sha512"] {
        let mut config = client();
        config.policy = Policy::default().with_child(&[suite]).expect("a suite");
        let pair = login(server(), config);
        assert_up(&pair, 0);
    }
}

#[test]
fn a_wrong_guess_of_the_group_costs_one_round_trip() {
    let mut config = client();
    config.guess = Group::Modp2048;
    config.policy = Policy::named(&[PolicyName::Compatible]);
    let mut gateway = server();
    gateway.policy = Policy::named(&[PolicyName::Modern]);
    let pair = login(gateway, config);
    assert_up(&pair, 0);
    assert_eq!(pair.clients[0].demands, [NotifyType::INVALID_KE_PAYLOAD]);
}

#[test]
fn a_guess_that_is_acceptable_is_taken() {
    let mut config = client();
    config.guess = Group::Ecp384;
    let pair = login(server(), config);
    assert!(pair.clients[0].demands.is_empty());
    assert!(pair.server.snapshot()[0].ike_suite.ends_with("ecp384"));
}

#[test]
fn weak_groups_are_refused_with_the_switch_that_would_help() {
    let mut config = client();
    config.policy = Policy::default().with_ike(&["aes256-sha256-modp1024"]).expect("a suite");
    config.guess = Group::Modp1024;
    let pair = login(server(), config);
    assert_eq!(pair.clients[0].end(), Some(&End::Refused(NotifyType::NO_PROPOSAL_CHOSEN)));
    let [RefusalReason::IkeProposal(mismatch)] = refusals(&pair)[..] else { panic!("{:?}", pair.seen) };
    assert_eq!(mismatch.would_help, Some(PolicyName::LegacyWindowsIkev2));
    assert_eq!(mismatch.offered, ["aes256-prfsha256-sha256-modp1024"]);
    assert!(refusals(&pair)[0].explain().contains("legacy-windows-ikev2"));
    assert_eq!(pair.server.snapshot(), []);
}

#[test]
fn the_legacy_switch_lets_weak_groups_in() {
    let mut config = client();
    config.policy = Policy::default().with_ike(&["aes256-sha256-modp1024"]).expect("a suite");
    config.guess = Group::Modp1024;
    let mut gateway = server();
    gateway.policy = Policy::named(&[PolicyName::Compatible, PolicyName::LegacyWindowsIkev2]);
    assert_up(&login(gateway, config), 0);
}

#[test]
fn under_load_a_cookie_is_demanded_before_any_state_is_made() {
    let mut gateway = server();
    gateway.limits.cookie_threshold = 0;
    let mut pair = Pair::new(gateway, LinkQuality::PERFECT, 1);
    pair.connect(client(), 2);
    pair.advance(Duration::from_millis(11));
    assert_eq!(pair.server.snapshot(), [], "no state before the cookie comes back");
    pair.settle(LIMIT);
    assert_up(&pair, 0);
    assert_eq!(pair.clients[0].demands, [NotifyType::COOKIE]);
}

#[test]
fn a_cookie_and_another_group_may_be_demanded_of_the_same_client() {
    let mut gateway = server();
    gateway.limits.cookie_threshold = 0;
    gateway.policy = Policy::named(&[PolicyName::Modern]);
    let mut config = client();
    config.guess = Group::Modp2048;
    let pair = login(gateway, config);
    assert_up(&pair, 0);
    assert_eq!(pair.clients[0].demands, [NotifyType::COOKIE, NotifyType::INVALID_KE_PAYLOAD]);
}

#[test]
fn half_open_handshakes_are_bounded_and_expire() {
    let mut gateway = server();
    gateway.limits.half_open = 3;
    let mut pair = Pair::new(gateway, LinkQuality { loss: 100, ..LinkQuality::PERFECT }, 1);
    pair.link.quality.loss = 0;
    for seed in 0..5 {
        pair.connect(client(), seed);
    }
    // Requests arrive, answers are lost.
    pair.exchange();
    pair.link.quality.loss = 100;
    pair.advance(Duration::from_millis(10));
    assert_eq!(pair.server.counters().half_open, 3);
    assert_eq!(pair.server.counters().overload_dropped, 2);
    pair.advance(Duration::from_secs(60));
    assert_eq!(pair.server.counters().half_open, 0);
    assert_eq!(pair.server.counters().half_open_expired, 3);
    assert_empty(&mut pair);
}

#[test]
fn a_first_message_of_unusual_length_leaves_no_state() {
    for (threshold, filler, is_taken) in [(1000, 2600, true), (1000, 3800, false), (0, 1000, true), (0, 2000, false)] {
        let mut gateway = server();
        gateway.limits.cookie_threshold = threshold;
        let mut config = client();
        config.vendor_ids = vec![vec![7; filler / 2]; 2];
        let mut pair = login(gateway, config);
        assert_eq!(pair.clients[0].is_up(), is_taken, "{filler} octets of vendor IDs");
        if !is_taken {
            assert!(matches!(refusals(&pair)[0], RefusalReason::Payloads { .. }));
            assert_empty(&mut pair);
        }
    }
}

/// Hands messages over between a client and the server until there is a handshake whose answer is lost.
fn leave_half_open(pair: &mut Pair, seed: u64) {
    let (client, before) = (pair.connect(client(), seed), pair.server.counters().half_open);
    while let Some(request) = pair.clients[client].poll_transmit() {
        let path = Path { local: request.path.peer, peer: request.path.local };
        pair.server.handle_datagram(pair.now, pair.wall, path, &request.payload);
        let answer = pair.server.poll_transmit().expect("an answer");
        if pair.server.counters().half_open == before {
            pair.clients[client].handle_datagram(pair.now, &answer.payload);
        }
    }
    assert_eq!(pair.server.counters().half_open, before + 1);
}

#[test]
fn under_load_a_handshake_has_less_time() {
    for (threshold, left) in [(1000, [2, 2, 0]), (1, [2, 1, 0])] {
        let mut gateway = server();
        gateway.limits.cookie_threshold = threshold;
        let mut pair = Pair::new(gateway, LinkQuality { loss: 100, ..LinkQuality::PERFECT }, 1);
        leave_half_open(&mut pair, 2);
        leave_half_open(&mut pair, 3);
        let half_open = [9, 2, 20].map(|seconds| {
            pair.advance(Duration::from_secs(seconds));
            pair.server.counters().half_open
        });
        assert_eq!(half_open, left);
    }
}

#[test]
fn who_fails_to_prove_an_identity_counts_as_half_open_until_nothing_is_left() {
    let mut gateway = server();
    gateway.limits.half_open = 3;
    let mut pair = Pair::new(gateway, LinkQuality::PERFECT, 1);
    for seed in 0..5 {
        let mut config = client();
        config.login = Login::Psk(b"sardine".to_vec());
        pair.connect(config, seed);
        pair.advance(Duration::from_secs(1));
    }
    let refused = |client: &Client| client.end() == Some(&End::Refused(NotifyType::AUTHENTICATION_FAILED));
    assert_eq!(pair.clients.iter().filter(|client| refused(client)).count(), 3);
    assert_eq!(pair.server.counters().half_open, 3);
    assert!(pair.server.counters().overload_dropped >= 2);
    pair.advance(Duration::from_secs(60));
    let newcomer = pair.connect(client(), 9);
    pair.settle(LIMIT);
    assert_up(&pair, newcomer);
    assert_eq!(pair.server.counters().half_open, 0);
}

#[test]
fn the_same_request_gets_the_same_answer_and_no_second_session() {
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.connect(client(), 2);
    pair.exchange();
    let request = pair.link.on_the_way().next().expect("IKE_SA_INIT").clone();
    let mut answers = Vec::new();
    for _ in 0..3 {
        pair.server.handle_datagram(pair.now, pair.wall, request.path, &request.payload);
        answers.push(pair.server.poll_transmit().expect("an answer"));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(pair.server.snapshot().len(), 1);
    pair.settle(LIMIT);
    assert_up(&pair, 0);
    pair.server.handle_datagram(pair.now, pair.wall, request.path, &request.payload);
    assert_eq!(pair.server.poll_transmit(), None, "a late copy begins nothing");
    assert_eq!(pair.server.snapshot().len(), 1);
}

#[test]
fn a_client_behind_a_nat_moves_to_port_4500_and_uses_udp() {
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.link.translate(0);
    pair.connect(client(), 2);
    pair.settle(LIMIT);
    assert_up(&pair, 0);
    let info = &pair.server.snapshot()[0];
    assert!(info.behind_nat);
    assert_eq!(info.path.local.port(), 4500);
    assert!(pair.children.values().all(|child| child.udp_encap && child.path == info.path));
}

#[test]
fn without_a_nat_esp_is_not_encapsulated_unless_configured() {
    let pair = connected();
    assert!(pair.children.values().all(|child| !child.udp_encap && child.path.local.port() == 500));
    let mut gateway = server();
    gateway.force_udp_encap = true;
    let pair = login(gateway, client());
    assert_up(&pair, 0);
    assert!(pair.children.values().all(|child| child.udp_encap && child.path.local.port() == 4500));
}

#[test]
fn a_nat_that_forgets_is_followed() {
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.link.translate(0);
    pair.connect(client(), 2);
    pair.settle(LIMIT);
    let before = pair.server.snapshot()[0].path;
    pair.link.translate(0);
    run(&mut pair, 0, Task::Probe);
    assert!(pair.clients[0].is_up());
    let after = pair.server.snapshot()[0].path;
    assert_ne!(before, after);
    assert!(pair.seen.iter().any(|seen| matches!(seen, Seen::Moved(_, path, _) if *path == after)));
}

#[test]
fn a_future_version_is_told_ours_once_a_second() {
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.connect(client(), 2);
    pair.exchange();
    let request = pair.link.on_the_way().next().expect("IKE_SA_INIT").clone();
    let mut message = request.payload.to_vec();
    message[17] = 0x30;
    for _ in 0..3 {
        pair.server.handle_datagram(pair.now, pair.wall, request.path, &message);
    }
    let answer = pair.server.poll_transmit().expect("INVALID_MAJOR_VERSION").payload;
    assert_eq!((answer[17], answer[19], u16::from_be_bytes([answer[34], answer[35]])), (0x20, 0x20, 5));
    assert_eq!(pair.server.poll_transmit(), None);
    assert_eq!(pair.server.snapshot(), []);
}

#[test]
fn sources_with_many_half_open_handshakes_alone_get_cookies() {
    let mut gateway = server();
    gateway.limits.cookie_threshold_per_source = 1;
    let mut pair = Pair::new(gateway, LinkQuality::PERFECT, 1);
    pair.connect(client(), 2);
    pair.exchange();
    let request = pair.link.on_the_way().next().expect("IKE_SA_INIT").clone();
    let same_source = |port| Path { peer: SocketAddr::new(request.path.peer.ip(), port), ..request.path };
    pair.server.handle_datagram(pair.now, pair.wall, same_source(1), &request.payload);
    pair.server.handle_datagram(pair.now, pair.wall, same_source(2), &request.payload);
    let other = Path { peer: "198.51.100.77:500".parse().expect("an address"), ..request.path };
    pair.server.handle_datagram(pair.now, pair.wall, other, &request.payload);
    assert_eq!(pair.server.counters().cookies_sent, 1);
    let half_open = pair.server.snapshot().iter().filter(|info| info.state == SessionState::HalfOpen).count();
    assert_eq!(half_open, 2);
}
