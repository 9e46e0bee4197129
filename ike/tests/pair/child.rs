//! CREATE_CHILD_SA and DELETE: rekeying of both kinds, more Child SAs, bounds.

use std::time::Duration;

use cygnet_ike::crypto::dh::Group;
use cygnet_ike::proposal::{Policy, PolicyName};
use cygnet_ike::testing::{End, Seen, Task};
use cygnet_ike::wire::num::NotifyType;
use cygnet_ike::{CloseReason, RefusalReason};

use crate::setup::*;

#[test]
fn a_rekeyed_child_sa_replaces_the_old_one_before_that_goes() {
    for pfs in [false, true] {
        let mut config = client();
        config.pfs = pfs;
        let mut pair = login(server(), config);
        let old = *pair.children.keys().next().expect("a Child SA");
        run(&mut pair, 0, Task::RekeyChild);
        assert_up(&pair, 0);
        assert_eq!(pair.children.len(), 1);
        let new = *pair.children.keys().next().expect("a Child SA");
        assert_ne!(old, new);
        let up = pair
            .seen
            .iter()
            .position(|seen| matches!(seen, Seen::ChildUp(_, spi, Some(replaced)) if (*spi, *replaced) == (new, old)));
        let down = pair.seen.iter().position(|seen| matches!(seen, Seen::ChildDown(_, spi) if *spi == old));
        assert!(up.is_some() && up < down, "{:?}", pair.seen);
    }
}

#[test]
fn perfect_forward_secrecy_changes_the_keys() {
    let mut config = client();
    config.pfs = true;
    config.guess = Group::Modp2048;
    let mut gateway = server();
    gateway.policy = Policy::default().with_ike(&["aes256gcm16-prfsha256-x25519-modp2048"]).expect("a suite");
    let mut pair = login(gateway, config);
    run(&mut pair, 0, Task::RekeyChild);
    assert_up(&pair, 0);
    assert_eq!(pair.clients[0].refusals, []);
}

#[test]
fn a_group_that_is_not_acceptable_for_a_child_is_answered_with_the_right_one() {
    let mut config = client();
    config.pfs = true;
    config.guess = Group::Modp2048;
    let mut gateway = server();
    gateway.policy = Policy::default().with_child(&["aes256gcm16-x25519"]).expect("a suite");
    let mut pair = login(gateway, config);
    run(&mut pair, 0, Task::RekeyChild);
    assert_eq!(pair.clients[0].refusals, [NotifyType::INVALID_KE_PAYLOAD]);
    assert!(matches!(refusals(&pair)[..], [RefusalReason::OtherGroup { .. }]));
    assert_up(&pair, 0);
}

#[test]
fn rekeying_the_ike_sa_keeps_session_and_child_sas() {
    let mut pair = connected();
    let (before, children) = (pair.server.snapshot(), pair.children.len());
    for _ in 0..3 {
        run(&mut pair, 0, Task::RekeyIke);
        assert_up(&pair, 0);
    }
    let after = pair.server.snapshot();
    assert_eq!((after.len(), after[0].session, pair.children.len()), (1, before[0].session, children));
    run(&mut pair, 0, Task::RekeyChild);
    run(&mut pair, 0, Task::Probe);
    assert_up(&pair, 0);
    run(&mut pair, 0, Task::Close);
    assert_eq!(closed(&pair), [CloseReason::PeerDeleted]);
    assert_empty(&mut pair);
}

#[test]
fn an_ike_sa_cannot_be_rekeyed_with_a_weak_group() {
    let mut config = client();
    config.policy = Policy::named(&[PolicyName::Compatible, PolicyName::LegacyWindowsIkev2]);
    let mut pair = login(server(), config);
    let weak = Policy::default().with_ike(&["aes256-sha256-modp1024"]).expect("a suite");
    pair.clients[0].set_policy(weak, Group::Modp1024);
    run(&mut pair, 0, Task::RekeyIke);
    assert_eq!(pair.clients[0].refusals, [NotifyType::NO_PROPOSAL_CHOSEN]);
    let [RefusalReason::IkeProposal(mismatch)] = refusals(&pair)[..] else { panic!("{:?}", pair.seen) };
    assert_eq!(mismatch.would_help, Some(PolicyName::LegacyWindowsIkev2));
    run(&mut pair, 0, Task::Probe);
    assert!(pair.clients[0].is_up(), "the IKE SA stays as it is");
}

#[test]
fn child_sas_are_bounded() {
    let mut gateway = server();
    gateway.limits.children = 3;
    let mut pair = login(gateway, client());
    for _ in 0..3 {
        run(&mut pair, 0, Task::NewChild);
    }
    assert_eq!(pair.children.len(), 3);
    assert_eq!(pair.clients[0].refusals, [NotifyType::NO_ADDITIONAL_SAS]);
    run(&mut pair, 0, Task::RekeyChild);
    assert_up(&pair, 0);
    assert_eq!(pair.children.len(), 3, "a full house can still be rekeyed");
}

#[test]
fn requests_are_bounded_in_time() {
    let mut gateway = server();
    gateway.limits.create_child_per_second = 1;
    let mut pair = login(gateway, client());
    pair.link.quality.delay = Duration::ZERO;
    for _ in 0..25 {
        run(&mut pair, 0, Task::RekeyIke);
    }
    assert!(pair.clients[0].refusals.contains(&NotifyType::TEMPORARY_FAILURE));
    assert!(refusals(&pair).contains(&&RefusalReason::TooManyRequests));
    pair.advance(Duration::from_secs(2));
    pair.clients[0].refusals.clear();
    run(&mut pair, 0, Task::RekeyIke);
    assert_eq!(pair.clients[0].refusals, []);
}

#[test]
fn an_unknown_child_sa_cannot_be_rekeyed() {
    let mut pair = connected();
    run(&mut pair, 0, Task::NewChild);
    pair.clients[0].children[1].inbound.0 ^= 1;
    run(&mut pair, 0, Task::RekeyChild);
    assert_eq!(pair.clients[0].refusals, [NotifyType::CHILD_SA_NOT_FOUND]);
    assert_eq!(refusals(&pair), [&RefusalReason::UnknownChild]);
    assert_eq!(pair.children.len(), 2);
}

#[test]
fn a_deleted_child_sa_goes_down_and_a_childless_session_later() {
    let mut pair = connected();
    run(&mut pair, 0, Task::DeleteChild);
    assert!(pair.children.is_empty() && pair.clients[0].is_up());
    pair.advance(Duration::from_secs(10));
    run(&mut pair, 0, Task::NewChild);
    pair.advance(Duration::from_secs(60));
    assert_up(&pair, 0);
    run(&mut pair, 0, Task::DeleteChild);
    pair.advance(Duration::from_secs(60));
    assert_eq!(closed(&pair), [CloseReason::NoChildSa]);
    assert_eq!(pair.clients[0].end(), Some(&End::DeletedByServer));
    assert_empty(&mut pair);
}

#[test]
fn a_replaced_child_sa_that_the_client_forgets_is_deleted_by_us() {
    let mut pair = connected();
    pair.clients[0].forgets_to_delete = true;
    run(&mut pair, 0, Task::RekeyChild);
    assert_eq!(pair.children.len(), 2);
    pair.advance(Duration::from_secs(130));
    assert_eq!(pair.children.len(), 1);
    assert_eq!(pair.clients[0].children.len(), 1);
    assert_up(&pair, 0);
}
