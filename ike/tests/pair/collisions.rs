//! Both sides act at the same moment: rekey against delete, delete against delete, and everything against everything (RFC 7296
//! sections 1.4.1, 2.8 and 2.25).

use std::time::Duration;

use cygnet_ike::config::Config;
use cygnet_ike::testing::{LinkQuality, Pair, Seen, Task};
use cygnet_ike::wire::num::{ExchangeType, NotifyType, ProtocolId};
use cygnet_ike::wire::v2::{Delete, Payload};
use cygnet_ike::{CloseReason, RefusalReason};

use crate::setup::*;

#[derive(Clone, Copy, Debug)]
enum Act {
    RekeyChild,
    RekeyIke,
    CloseChild,
}

const ACTS: [Act; 3] = [Act::RekeyChild, Act::RekeyIke, Act::CloseChild];

const TASKS: [Task; 6] =
    [Task::RekeyChild, Task::RekeyIke, Task::DeleteChild, Task::NewChild, Task::Probe, Task::RekeyChild];

fn act(pair: &mut Pair, act: Act) {
    let (now, session) = (pair.now, pair.server.snapshot()[0].session);
    let newest = pair.clients[0].children.last().map(|child| child.outbound);
    match (act, newest) {
        (Act::RekeyChild, Some(spi)) => pair.server.rekey_child(now, session, spi),
        (Act::CloseChild, Some(spi)) => pair.server.close_child(now, session, spi),
        (Act::RekeyIke, _) => pair.server.rekey_ike(now, session),
        (Act::RekeyChild | Act::CloseChild, None) => {}
    }
}

fn patient() -> Config {
    let mut gateway = server();
    (gateway.timing.transmissions, gateway.timing.childless) = (14, Duration::from_secs(1000));
    gateway
}

/// One side does this while the other does that, `offset` later.
fn collide(seed: u64, quality: LinkQuality) {
    let mut pair = Pair::new(patient(), LinkQuality::PERFECT, seed);
    let mut config = client();
    (config.pfs, config.transmissions) = (seed.is_multiple_of(2), 14);
    pair.connect(config, seed ^ 0xc0111);
    pair.settle(LIMIT);
    if seed.is_multiple_of(3) {
        run(&mut pair, 0, Task::NewChild);
    }
    pair.link.quality = quality;
    for round in 0..3_u64 {
        let number = |divisor: u64, sides: usize| {
            usize::try_from((seed / divisor + round * 5) % u64::try_from(sides).expect("few")).expect("few")
        };
        let (ours, theirs) = (ACTS[number(1, 3)], TASKS[number(3, 6)]);
        let offset = Duration::from_millis((seed / 18 + round) % 4 * 5);
        let now = pair.now;
        if seed.is_multiple_of(5) {
            pair.clients[0].enqueue(now, theirs);
            pair.advance(offset);
            act(&mut pair, ours);
        } else {
            act(&mut pair, ours);
            pair.advance(offset);
            let now = pair.now;
            pair.clients[0].enqueue(now, theirs);
        }
        pair.settle(LIMIT);
        pair.advance(Duration::from_secs(60));
        assert!(pair.clients[0].is_up(), "seed {seed}, {ours:?} and {theirs:?}: {:?}", pair.clients[0].end());
    }
    pair.link.quality = LinkQuality::PERFECT;
    pair.advance(Duration::from_secs(300));
    assert!(pair.clients[0].is_up(), "seed {seed}: {:?} {:?}", pair.clients[0].end(), pair.seen);
    assert_eq!(pair.children.len(), pair.clients[0].children.len(), "seed {seed}: {:?}", pair.seen);
    pair.assert_same_children(0);
    run(&mut pair, 0, Task::Probe);
    assert!(pair.clients[0].is_up(), "seed {seed}: the IKE SA is of use");
    assert_eq!(pair.server.snapshot().len(), 1, "seed {seed}");
    run(&mut pair, 0, Task::Close);
    assert_empty(&mut pair);
}

#[test]
fn after_any_collision_both_sides_have_the_same_sas() {
    (0..500).for_each(|seed| collide(seed, LinkQuality::PERFECT));
}

#[test]
fn after_any_collision_on_a_terrible_network_too() {
    (0..1000).for_each(|seed| collide(seed, LinkQuality::TERRIBLE));
}

#[test]
fn a_child_sa_that_both_sides_delete_goes_down_once_and_is_not_named_in_the_answer() {
    let mut pair = connected();
    act(&mut pair, Act::CloseChild);
    let spi = pair.clients[0].children[0].inbound;
    let delete = Payload::Delete(Delete::ChildSas { protocol: ProtocolId::ESP, spis: vec![spi] });
    let now = pair.now;
    pair.clients[0].send_raw(now, ExchangeType::INFORMATIONAL, &[delete]);
    pair.settle(LIMIT);
    pair.advance(Duration::from_secs(5));
    let downs = pair.seen.iter().filter(|seen| matches!(seen, Seen::ChildDown(..))).count();
    assert_eq!((downs, pair.children.len()), (1, 0));
    assert_eq!(pair.clients[0].raw_deletes, [] as [cygnet_ike::wire::EspSpi; 0]);
}

#[test]
fn what_is_being_deleted_cannot_be_rekeyed_at_the_moment() {
    let mut pair = connected();
    act(&mut pair, Act::CloseChild);
    let now = pair.now;
    pair.clients[0].enqueue(now, Task::RekeyChild);
    pair.settle(LIMIT);
    assert_eq!(pair.clients[0].refusals, [NotifyType::TEMPORARY_FAILURE]);
}

#[test]
fn an_ike_sa_that_both_sides_delete_is_gone_at_once() {
    let mut pair = connected();
    let (now, session) = (pair.now, pair.server.snapshot()[0].session);
    pair.server.close(now, session, CloseReason::Administrative);
    pair.clients[0].enqueue(now, Task::Close);
    pair.settle(LIMIT);
    assert_eq!(closed(&pair), [CloseReason::Administrative]);
    assert_eq!(refusals(&pair), Vec::<&RefusalReason>::new());
    assert_empty(&mut pair);
}

#[test]
fn a_child_sa_that_is_deleted_on_the_ike_sa_before_is_gone() {
    let mut pair = connected();
    let (now, session) = (pair.now, pair.server.snapshot()[0].session);
    pair.link.quality.loss = 100;
    pair.clients[0].enqueue(now, Task::DeleteChild);
    pair.exchange();
    pair.link.quality.loss = 0;
    pair.server.rekey_ike(now, session);
    pair.exchange();
    pair.advance(Duration::from_millis(15));
    pair.link.quality.loss = 100;
    pair.advance(Duration::from_millis(10));
    pair.link.quality.loss = 0;
    // The gateway uses the new IKE SA; its DELETE of the old one was lost.
    pair.clients[0].retransmit();
    pair.exchange();
    pair.advance(Duration::from_millis(30));
    assert!(pair.clients[0].children.is_empty(), "it was answered");
    assert!(pair.children.is_empty(), "and done");
}
