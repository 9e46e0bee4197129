//! MOBIKE, RFC 4555: clients that change their addresses and keep their sessions.

use std::net::SocketAddr;
use std::time::Duration;

use cygnet_ike::testing::{ClientConfig, End, LinkQuality, Pair, Seen, Task, To};
use cygnet_ike::wire::num::{ExchangeType, NotifyType};
use cygnet_ike::wire::v2::{Notify, Payload};
use cygnet_ike::{CloseReason, Path, RefusalReason};

use crate::setup::*;

fn mobile() -> ClientConfig {
    let mut config = client();
    config.mobike = true;
    config
}

/// A client that may move, in.
fn on_the_road() -> Pair {
    let pair = login(server(), mobile());
    assert_up(&pair, 0);
    assert!(pair.server.snapshot()[0].mobike);
    pair
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn path_from(text: &str) -> Path {
    let peer = if text.starts_with('[') { "[2001:db8::1]:4500" } else { "192.0.2.1:4500" };
    Path { local: address(text), peer: address(peer) }
}

/// The same from the point of view of the server.
fn turned(path: Path) -> Path {
    Path { local: path.peer, peer: path.local }
}

fn roam(pair: &mut Pair, text: &str) {
    let now = pair.now;
    pair.clients[0].roam(now, path_from(text));
    pair.settle(LIMIT);
    // The server asks back.
    pair.settle(Duration::from_millis(100));
}

fn moves(pair: &Pair) -> Vec<(Path, bool)> {
    let is_move = |seen: &Seen| if let Seen::Moved(_, path, encap) = seen { Some((*path, *encap)) } else { None };
    pair.seen.iter().filter_map(is_move).collect()
}

fn server_path(pair: &Pair) -> Path {
    pair.server.snapshot()[0].path
}

/// Sends an INFORMATIONAL with these notifications.
fn inform(pair: &mut Pair, payloads: &[Payload<'_>]) {
    let now = pair.now;
    pair.clients[0].send_raw(now, ExchangeType::INFORMATIONAL, payloads);
    pair.settle(LIMIT);
}

#[test]
fn it_is_agreed_only_if_both_sides_want_it() {
    let told = |pair: &Pair| pair.clients[0].told.iter().any(|(kind, _)| *kind == NotifyType::MOBIKE_SUPPORTED);
    assert!(told(&on_the_road()));
    assert!(!told(&connected()), "a client that does not ask is not told");
    let mut gateway = server();
    gateway.mobike = false;
    let pair = login(gateway, mobile());
    assert!(!told(&pair) && !pair.server.snapshot()[0].mobike);
}

#[test]
fn a_session_follows_a_client_to_a_new_address_and_asks_whether_it_is_there() {
    let mut pair = on_the_road();
    let home = server_path(&pair);
    for place in ["198.51.100.77:4500", "[2001:db8::77]:4500", "198.51.100.1:4500"] {
        let checks = pair.clients[0].path_checks;
        roam(&mut pair, place);
        assert_up(&pair, 0);
        let path = turned(path_from(place));
        assert_eq!(server_path(&pair), path, "{place}");
        assert!(pair.children.values().all(|child| child.path == path && !child.udp_encap));
        assert_eq!(moves(&pair).last(), Some(&(path, false)));
        assert_eq!(pair.clients[0].path_checks, checks + 1, "the server asks once");
    }
    assert_eq!(server_path(&pair), home);
    assert_eq!((moves(&pair).len(), pair.clients[0].updates), (3, 3));
    assert!(pair.clients[0].refusals.is_empty() && refusals(&pair).is_empty());
    run(&mut pair, 0, Task::Close);
    assert_empty(&mut pair);
}

#[test]
fn translation_on_the_new_path_is_seen_by_both_sides() {
    let mut pair = on_the_road();
    assert!(pair.children.values().all(|child| !child.udp_encap));
    pair.link.translate(0);
    roam(&mut pair, "198.51.100.77:4500");
    assert_up(&pair, 0);
    assert!(pair.children.values().all(|child| child.udp_encap), "ESP goes through UDP now");
    assert_eq!(pair.clients[0].sees_nat, Some(true));
    assert!(pair.server.snapshot()[0].behind_nat);
    pair.link.untranslate(0);
    roam(&mut pair, "198.51.100.78:4500");
    assert!(pair.children.values().all(|child| !child.udp_encap));
    assert_eq!(pair.clients[0].sees_nat, Some(false));
    assert!(!pair.server.snapshot()[0].behind_nat);
}

#[test]
fn a_gateway_that_always_wants_udp_says_so_on_every_path() {
    let mut gateway = server();
    gateway.force_udp_encap = true;
    let mut pair = login(gateway, mobile());
    roam(&mut pair, "198.51.100.77:4500");
    assert!(pair.children.values().all(|child| child.udp_encap));
    let (_, nat) = moves(&pair)[0];
    assert!(nat && !pair.server.snapshot()[0].behind_nat);
}

#[test]
fn a_test_of_another_path_is_answered_there_and_moves_nothing() {
    let mut pair = on_the_road();
    let before = server_path(&pair);
    let (now, elsewhere) = (pair.now, path_from("198.51.100.88:4500"));
    pair.clients[0].test_path(now, elsewhere);
    pair.exchange();
    let request = pair.link.on_the_way().find(|d| d.to == To::Server).expect("the probe").clone();
    pair.server.handle_datagram(pair.now, pair.wall, request.path, &request.payload);
    let answer = pair.server.poll_transmit().expect("the answer");
    assert_eq!(answer.path, turned(elsewhere), "the answer goes where the question came from");
    pair.settle(LIMIT);
    assert_eq!(server_path(&pair), before);
    assert!(moves(&pair).is_empty());
}

#[test]
fn without_mobike_a_client_is_followed_if_its_address_is_translated() {
    let mut pair = connected();
    let (before, path) =
        (server_path(&pair), Path { local: address("198.51.100.88:500"), peer: address("192.0.2.1:500") });
    pair.clients[0].wander(path);
    run(&mut pair, 0, Task::Probe);
    assert!(pair.clients[0].is_up(), "it is answered where it is");
    assert_eq!(server_path(&pair), before, "an address of its own does not change without a word");
    assert!(!pair.server.peer_moved(pair.now, pair.server.snapshot()[0].session, turned(path)));
    assert_eq!(server_path(&pair), before);

    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.link.translate(0);
    pair.connect(client(), 2);
    pair.settle(LIMIT);
    let before = server_path(&pair);
    pair.link.translate(0);
    run(&mut pair, 0, Task::Probe);
    assert_ne!(server_path(&pair), before);
    let elsewhere = Path { peer: address("203.0.113.99:4500"), ..before };
    assert!(pair.server.peer_moved(pair.now, pair.server.snapshot()[0].session, elsewhere));
    assert_eq!(server_path(&pair), elsewhere, "its translator may have another address");
    let payloads = [Payload::Notify(Notify::new(NotifyType::UPDATE_SA_ADDRESSES, &[]))];
    inform(&mut pair, &payloads);
    assert_eq!(pair.clients[0].path_checks, 0, "nobody is asked for what was not agreed");
}

#[test]
fn a_translator_that_forgets_a_port_is_followed_with_mobike_too() {
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.link.translate(0);
    pair.connect(mobile(), 2);
    pair.settle(LIMIT);
    let before = server_path(&pair);
    pair.link.translate(0);
    run(&mut pair, 0, Task::Probe);
    let after = server_path(&pair);
    assert_eq!(before.peer.ip(), after.peer.ip());
    assert_ne!(before.peer.port(), after.peer.port());
    assert_eq!(moves(&pair), [(after, true)]);
}

#[test]
fn packets_of_the_path_that_was_left_do_not_move_the_session_back() {
    let mut pair = on_the_road();
    let (old, session) = (server_path(&pair), pair.server.snapshot()[0].session);
    roam(&mut pair, "198.51.100.77:4500");
    let new = server_path(&pair);
    assert!(!pair.server.peer_moved(pair.now, session, old));
    assert_eq!(server_path(&pair), new);
    pair.advance(Duration::from_secs(11));
    assert!(pair.server.peer_moved(pair.now, session, old));
    assert_eq!(server_path(&pair), old, "later it is the truth");
    assert_eq!(
        pair.server.poll_transmit().map(|asked| asked.path),
        Some(old),
        "the client is to show that it is there"
    );
}

#[test]
fn who_answers_the_question_wrong_is_out() {
    let mut pair = on_the_road();
    pair.clients[0].breaks_cookie2 = true;
    roam(&mut pair, "198.51.100.77:4500");
    assert_eq!(closed(&pair), [CloseReason::Failed]);
    assert_eq!(refusals(&pair), [&RefusalReason::PathCheck]);
    assert_eq!(pair.clients[0].end(), Some(&End::DeletedByServer));
    assert_empty(&mut pair);
}

#[test]
fn who_sends_others_our_packets_does_so_for_a_while_only() {
    let mut pair = on_the_road();
    let (now, victim) = (pair.now, path_from("203.0.113.200:4500"));
    pair.clients[0].roam(now, victim);
    pair.exchange();
    // The victim gets everything from now on, and answers nothing.
    pair.clients[0].wander(path_from("198.51.100.1:4500"));
    pair.link.quality.loss = 0;
    pair.advance(Duration::from_secs(1));
    assert_eq!(server_path(&pair), turned(victim));
    pair.advance(Duration::from_secs(130));
    let home = turned(path_from("198.51.100.1:4500"));
    assert_eq!(server_path(&pair), home, "it goes back to where the client was");
    assert!(pair.children.values().all(|child| child.path == home));
    pair.advance(Duration::from_secs(400));
    assert_eq!((server_path(&pair), closed(&pair)), (home, vec![]));
}

#[test]
fn who_sends_others_our_packets_and_goes_on_in_their_name_is_out() {
    let mut pair = on_the_road();
    let (now, victim) = (pair.now, path_from("203.0.113.200:4500"));
    let session = pair.server.snapshot()[0].session;
    pair.clients[0].roam(now, victim);
    pair.exchange();
    pair.clients[0].wander(path_from("198.51.100.1:4500"));
    for _ in 0..26 {
        pair.advance(Duration::from_secs(5));
        pair.server.note_inbound(pair.now, session);
    }
    assert_eq!(closed(&pair), [CloseReason::Failed]);
    assert_eq!(refusals(&pair), [&RefusalReason::PathCheck]);
    assert!(pair.children.is_empty());
    assert_empty(&mut pair);
}

#[test]
fn who_names_one_victim_after_another_is_out_of_time_nevertheless() {
    let mut pair = on_the_road();
    for victim in 1..=5 {
        let (now, place) = (pair.now, format!("203.0.113.{victim}:4500"));
        pair.clients[0].roam(now, path_from(&place));
        pair.exchange();
        pair.clients[0].wander(path_from("198.51.100.99:4500"));
        pair.advance(Duration::from_secs(25));
    }
    assert_eq!(closed(&pair), [CloseReason::Failed]);
}

#[test]
fn who_did_not_answer_at_a_new_address_gets_a_second_chance_there() {
    let mut pair = on_the_road();
    let (home, now, place) = (server_path(&pair), pair.now, path_from("198.51.100.77:4500"));
    pair.clients[0].roam(now, place);
    pair.exchange();
    pair.advance(Duration::from_millis(15));
    pair.link.quality.loss = 100;
    pair.advance(Duration::from_secs(130));
    assert_eq!(server_path(&pair), home, "the client has fallen asleep");
    pair.link.quality.loss = 0;
    run(&mut pair, 0, Task::Probe);
    pair.advance(Duration::from_secs(200));
    assert_eq!((server_path(&pair), closed(&pair)), (turned(place), vec![]));
    assert_up(&pair, 0);
}

#[test]
fn cookies_are_echoed_if_their_length_is_right() {
    for (length, refused) in [(8, false), (64, false), (7, true), (65, true), (0, true)] {
        let mut pair = on_the_road();
        inform(&mut pair, &[Payload::Notify(Notify::new(NotifyType::COOKIE2, &vec![7; length]))]);
        let expected = refused.then_some(NotifyType::INVALID_SYNTAX);
        assert_eq!(pair.clients[0].raw_answer(), expected, "{length} octets");
        let echo = pair.clients[0].raw_notifies.iter().find(|(kind, _)| *kind == NotifyType::COOKIE2);
        assert_eq!(echo.map(|(_, data)| data.len()), (!refused).then_some(length));
    }
}

#[test]
fn nat_detection_is_answered_and_moves_nothing() {
    let mut pair = on_the_road();
    let payloads = [NotifyType::NAT_DETECTION_SOURCE_IP, NotifyType::NAT_DETECTION_DESTINATION_IP]
        .map(|kind| Payload::Notify(Notify::new(kind, &[7; 20])));
    inform(&mut pair, &payloads);
    let kinds: Vec<NotifyType> = pair.clients[0].raw_notifies.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [NotifyType::NAT_DETECTION_SOURCE_IP, NotifyType::NAT_DETECTION_DESTINATION_IP]);
    assert!(moves(&pair).is_empty() && !pair.server.snapshot()[0].behind_nat);
}

#[test]
fn a_client_that_forbids_translation_is_told_of_it() {
    let mut pair = on_the_road();
    let claim = |path: &str| {
        let ip = |text: &str| text.parse::<std::net::Ipv4Addr>().expect("an address").octets();
        [&ip(path)[..], &4500_u16.to_be_bytes(), &ip("192.0.2.1"), &4500_u16.to_be_bytes()].concat()
    };
    pair.clients[0].claims_no_nat = Some(claim("198.51.100.77"));
    roam(&mut pair, "198.51.100.77:4500");
    assert_eq!((moves(&pair).len(), pair.clients[0].refusals.len()), (1, 0), "the claim is right");
    let before = server_path(&pair);
    roam(&mut pair, "198.51.100.78:4500");
    assert_eq!(pair.clients[0].refusals, [NotifyType::UNEXPECTED_NAT_DETECTED]);
    assert_eq!(server_path(&pair), before);
    assert!(matches!(refusals(&pair)[..], [RefusalReason::Move { .. }]));
}

#[test]
fn moves_are_bounded_in_time() {
    let mut pair = on_the_road();
    pair.link.quality.delay = Duration::ZERO;
    for place in 0..30 {
        roam(&mut pair, if place % 2 == 0 { "198.51.100.77:4500" } else { "198.51.100.78:4500" });
    }
    assert!(pair.clients[0].refusals.contains(&NotifyType::UNACCEPTABLE_ADDRESSES));
    pair.advance(Duration::from_secs(5));
    pair.clients[0].refusals.clear();
    roam(&mut pair, "198.51.100.79:4500");
    assert_eq!(pair.clients[0].refusals, []);
    assert_eq!(server_path(&pair), turned(path_from("198.51.100.79:4500")));
}

#[test]
fn a_client_may_move_while_requests_of_both_sides_are_on_their_way() {
    let mut pair = on_the_road();
    let session = pair.server.snapshot()[0].session;
    let spi = *pair.children.keys().next().expect("a Child SA");
    let now = pair.now;
    pair.server.rekey_child(now, session, spi);
    pair.clients[0].enqueue(now, Task::NewChild);
    pair.exchange();
    roam(&mut pair, "198.51.100.77:4500");
    pair.settle(LIMIT);
    pair.advance(Duration::from_secs(3));
    assert_up(&pair, 0);
    assert_eq!(server_path(&pair), turned(path_from("198.51.100.77:4500")));
    assert_eq!((pair.children.len(), pair.clients[0].children.len()), (2, 2));
    assert!(pair.children.values().all(|child| child.path == server_path(&pair)));
}

#[test]
fn a_client_may_move_while_it_rekeys_the_ike_sa() {
    let mut pair = on_the_road();
    let now = pair.now;
    pair.clients[0].enqueue(now, Task::RekeyIke);
    pair.exchange();
    roam(&mut pair, "198.51.100.77:4500");
    assert_up(&pair, 0);
    assert_eq!(server_path(&pair), turned(path_from("198.51.100.77:4500")));
    run(&mut pair, 0, Task::RekeyChild);
    assert_up(&pair, 0);
}

#[test]
fn a_client_between_two_networks_is_waited_for() {
    let mut pair = on_the_road();
    let loss = std::mem::replace(&mut pair.link.quality.loss, 100);
    pair.advance(Duration::from_secs(240));
    assert_eq!(closed(&pair), []);
    pair.link.quality.loss = loss;
    roam(&mut pair, "198.51.100.77:4500");
    assert_up(&pair, 0);
    pair.link.quality.loss = 100;
    pair.advance(Duration::from_secs(420));
    assert_eq!(closed(&pair), [CloseReason::PeerDead]);
    assert_empty(&mut pair);
}

#[test]
fn an_update_that_was_answered_before_has_no_effect_again() {
    let mut pair = on_the_road();
    let now = pair.now;
    pair.clients[0].roam(now, path_from("198.51.100.77:4500"));
    pair.exchange();
    let update = pair.link.on_the_way().find(|d| d.to == To::Server).expect("the update").clone();
    pair.settle(LIMIT);
    roam(&mut pair, "198.51.100.78:4500");
    let (before, count) = (server_path(&pair), moves(&pair).len());
    pair.server.handle_datagram(pair.now, pair.wall, update.path, &update.payload);
    pair.exchange();
    assert_eq!((server_path(&pair), moves(&pair).len()), (before, count));
}
