//! Rekeying, deletion, dead peer detection and wandering clients.

use std::time::Duration;

use cygnet_ike::testing::LinkQuality;
use cygnet_ike::testing::v1::stock::Stock;
use cygnet_ike::testing::v1::{V1_SERVER, V1End, V1Pair, V1Seen, V1Task};
use cygnet_ike::wire::v1::num::NotifyType;
use cygnet_ike::{CloseReason, IkeVersion, SessionId};

use crate::setup::*;

fn sessions(pair: &V1Pair) -> Vec<SessionId> {
    pair.server.snapshot().iter().map(|info| info.session).collect()
}

#[test]
fn a_login_is_told_as_established_then_child_up() {
    let pair = connected();
    let [V1Seen::Established(session), V1Seen::ChildUp(child, _, None)] = pair.seen.as_slice() else {
        panic!("{:?}", pair.seen)
    };
    assert_eq!(session, child);
    let info = pair.server.session(*session).expect("there");
    assert_eq!((info.version, info.session), (IkeVersion::V1, *session));
}

#[test]
fn a_new_quick_mode_replaces_the_old_pair_which_goes_with_its_delete() {
    let mut pair = connected();
    let old = pair.clients[0].children[0].outbound;
    pair.run(0, V1Task::RekeyChild);
    assert_up(&pair, 0);
    let new = pair.clients[0].children[0].outbound;
    let tail = &pair.seen[2..];
    assert!(
        matches!(tail, [V1Seen::ChildUp(_, up, Some(replaced)), V1Seen::ChildDown(_, down)]
            if (*up, *replaced, *down) == (new, old, old)),
        "{tail:?}"
    );
}

#[test]
fn a_lost_delete_leaves_the_old_pair_until_it_expires() {
    let mut pair = connected();
    pair.clients[0].forgets_to_delete = true;
    pair.run(0, V1Task::RekeyChild);
    assert_up(&pair, 0);
    assert_eq!(pair.children.len(), 2, "both receive");
    pair.advance(Duration::from_secs(2 * 3600));
    assert!(pair.children.len() <= 1, "the old one has expired");
}

#[test]
fn the_second_pair_of_a_client_can_be_deleted_alone() {
    let mut pair = connected();
    pair.run(0, V1Task::NewChild);
    pair.run(0, V1Task::DeleteChild);
    assert_up(&pair, 0);
    assert_eq!(pair.clients[0].children.len(), 1);
    assert_eq!(pair.children.len(), 1, "{:?}", pair.seen);
}

#[test]
fn children_survive_a_new_phase_1_and_the_deletion_of_the_old_one() {
    for client in [Stock::Apple, Stock::Windows10] {
        let mut pair = V1Pair::new(server(), LinkQuality::PERFECT, 1);
        pair.link.translate(0);
        pair.connect(stock(client), 2);
        pair.settle(LIMIT);
        assert_up(&pair, 0);
        let (session, child) = (sessions(&pair), pair.clients[0].children[0].outbound);
        // 80 % of an hour, when a Mac begins a new main mode.
        pair.advance(Duration::from_secs(2880));
        pair.run(0, V1Task::RekeyIsakmp);
        assert_up(&pair, 0);
        assert_eq!(pair.clients[0].isakmp_sas(), 1);
        assert_eq!(sessions(&pair), session, "{client:?}: it is the same client");
        assert!(pair.children.contains_key(&child), "{client:?}: the pair is still there");
        pair.run(0, V1Task::RekeyChild);
        assert_up(&pair, 0);
        assert_eq!((sessions(&pair), closed(&pair)), (session, vec![]), "{client:?}");
    }
}

#[test]
fn the_last_delete_ends_the_session() {
    let mut pair = connected();
    pair.run(0, V1Task::Close);
    assert_eq!(pair.clients[0].end(), Some(&V1End::Closed));
    assert_eq!(closed(&pair), [CloseReason::PeerDeleted]);
    assert!(pair.children.is_empty());
    assert_empty(&mut pair);
}

#[test]
fn the_gateway_says_goodbye_with_deletes() {
    let mut pair = connected();
    let session = sessions(&pair)[0];
    let now = pair.now;
    pair.server.close(now, session, CloseReason::Administrative);
    pair.settle(LIMIT);
    assert_eq!(pair.clients[0].end(), Some(&V1End::Deleted));
    assert!(pair.clients[0].children.is_empty());
    assert_eq!(closed(&pair), [CloseReason::Administrative]);
    assert_empty(&mut pair);
}

#[test]
fn probes_are_answered() {
    let mut pair = connected();
    pair.run(0, V1Task::Probe);
    assert_eq!(pair.clients[0].observed.probe_answers, 1);
}

#[test]
fn a_silent_client_is_probed_only_if_it_announced_that_it_answers() {
    let mut with = connected();
    with.advance(Duration::from_secs(600));
    assert!(with.clients[0].observed.probes > 0, "{:?}", with.seen);
    assert_up(&with, 0);
    let mut without = login(server(), stock(Stock::Windows10));
    without.advance(Duration::from_secs(600));
    assert_eq!(without.clients[0].observed.probes, 0);
    assert_up(&without, 0);
}

#[test]
fn a_dead_client_is_noticed() {
    let mut pair = connected();
    pair.link.quality.loss = 100;
    pair.advance(Duration::from_secs(1800));
    assert_eq!(closed(&pair), [CloseReason::PeerDead], "{:?}", pair.seen);
    assert!(pair.children.is_empty());
}

#[test]
fn the_session_follows_an_authentic_message_to_another_port() {
    let mut pair = V1Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.link.translate(0);
    pair.connect(client(), 2);
    pair.settle(LIMIT);
    assert_up(&pair, 0);
    pair.link.translate(0);
    pair.run(0, V1Task::Probe);
    assert!(pair.seen.iter().any(|seen| matches!(seen, V1Seen::Moved(..))), "{:?}", pair.seen);
    assert_eq!(pair.clients[0].observed.probe_answers, 1);
}

#[test]
fn a_client_that_is_not_answered_after_phase_1_is_forgotten() {
    let mut pair = V1Pair::new(server(), LinkQuality::PERFECT, 1);
    let mut config = client();
    config.esp = vec![];
    config.xauth = None;
    config.transmissions = 1;
    pair.connect(config, 2);
    pair.settle(LIMIT);
    assert!(pair.children.is_empty());
    assert_empty(&mut pair);
}

#[test]
fn lifetimes_of_the_client_count_and_its_pairs_expire_never_earlier() {
    let mut config = Stock::NetworkManager.config(PSK, V1Pair::address(0), V1_SERVER);
    config.esp_life = 1200;
    let mut pair = login(server(), config);
    pair.advance(Duration::from_secs(1199));
    assert_up(&pair, 0);
    assert_eq!(pair.children.len(), 1);
    pair.clients[0].children.clear();
    pair.advance(Duration::from_secs(1200));
    assert!(pair.children.is_empty(), "{:?}", pair.seen);
}

#[test]
fn no_unprotected_notification_has_any_effect() {
    let mut pair = connected();
    let before = pair.server.fingerprint();
    let cookies = pair.clients[0].cookies().expect("an ISAKMP SA");
    for kind in [NotifyType::INITIAL_CONTACT, NotifyType::R_U_THERE, NotifyType::NO_PROPOSAL_CHOSEN] {
        let message = unprotected(cookies, kind);
        let path = cygnet_ike::Path { local: pair.clients[0].path().peer, peer: pair.clients[0].path().local };
        pair.server.handle_datagram(pair.now, pair.wall, path, &message);
        assert_eq!(pair.server.fingerprint(), before, "{kind}");
        assert!(pair.server.poll_transmit().is_none(), "{kind}");
    }
}

fn unprotected(cookies: (cygnet_ike::IkeSpi, cygnet_ike::IkeSpi), kind: NotifyType) -> Vec<u8> {
    use cygnet_ike::wire::num::ExchangeType;
    use cygnet_ike::wire::v1::{Flags, Header, MessageBuilder, Notify, Payload};
    let header = Header {
        initiator_cookie: cookies.0,
        responder_cookie: Some(cookies.1),
        next_payload: None,
        minor_version: 0,
        exchange: ExchangeType::INFORMATIONAL_V1,
        flags: Flags::NONE,
        message_id: 7,
    };
    let mut builder = MessageBuilder::new(&header);
    builder.push(&Payload::Notify(Notify::new(kind, &[0, 0, 0, 1])));
    builder.finish().expect("short")
}
