//! IKE SAs that begin without Child SA, RFC 6023, and limits of a login, RFC 4478.

use std::net::IpAddr;
use std::time::Duration;

use cygnet_ike::testing::{ClientConfig, End, Pair, Seen, Task};
use cygnet_ike::wire::num::NotifyType;
use cygnet_ike::{CloseReason, RefusalReason};

use crate::setup::*;

fn childless() -> ClientConfig {
    let mut config = client();
    config.childless = true;
    config
}

fn told(pair: &Pair, wanted: NotifyType) -> Option<&[u8]> {
    pair.clients[0].told.iter().find(|(kind, _)| *kind == wanted).map(|(_, data)| data.as_slice())
}

#[test]
fn the_ability_is_told_unless_it_is_switched_off() {
    assert!(told(&connected(), NotifyType::CHILDLESS_IKEV2_SUPPORTED).is_some());
    let mut gateway = server();
    gateway.childless = false;
    let pair = login(gateway, client());
    assert_eq!(told(&pair, NotifyType::CHILDLESS_IKEV2_SUPPORTED), None);
    assert_up(&pair, 0);
}

#[test]
fn an_ike_sa_without_child_sa_lives_on_and_gets_one_when_it_asks() {
    let mut pair = login(server(), childless());
    assert!(pair.clients[0].is_up() && pair.children.is_empty());
    let assigned = pair.clients[0].addresses();
    assert_eq!(assigned, ["10.0.0.2".parse::<IpAddr>().expect("an address")]);
    pair.advance(Duration::from_secs(600));
    assert!(pair.clients[0].is_up(), "{:?}", pair.seen);
    run(&mut pair, 0, Task::NewChild);
    assert_up(&pair, 0);
    assert_eq!(pair.clients[0].refusals, []);
    let child = pair.children.values().next().expect("a Child SA");
    assert!(child.remote_ts.iter().all(|selector| selector.range.contains(assigned[0])));
    run(&mut pair, 0, Task::DeleteChild);
    pair.advance(Duration::from_secs(600));
    assert!(pair.clients[0].is_up(), "it may be without one again");
    run(&mut pair, 0, Task::Close);
    assert_empty(&mut pair);
}

#[test]
fn an_address_may_be_asked_for_with_the_first_child_sa() {
    let mut config = childless();
    config.asks_late = true;
    let mut pair = login(server(), config);
    assert!(pair.clients[0].is_up() && pair.clients[0].addresses().is_empty());
    let Some(Seen::Authenticated(_, request)) = pair.seen.first() else { panic!("{:?}", pair.seen) };
    assert!(request.ipv4.is_some() && request.tsi.is_empty(), "the server keeps an address ready");
    run(&mut pair, 0, Task::NewChild);
    assert_up(&pair, 0);
    assert_eq!(pair.clients[0].addresses().len(), 1);
}

#[test]
fn without_the_ability_a_child_sa_is_demanded() {
    let mut gateway = server();
    gateway.childless = false;
    let mut pair = login(gateway, childless());
    assert!(!pair.clients[0].is_up());
    assert_eq!(refusals(&pair), [&RefusalReason::Payloads { problem: "SA is missing" }]);
    assert_empty(&mut pair);
}

#[test]
fn a_login_ends_at_its_limit_and_the_client_knows_it() {
    let mut gateway = server();
    gateway.reauthentication = Some(Duration::from_secs(100));
    let mut pair = login(gateway, client());
    assert_eq!(told(&pair, NotifyType::AUTH_LIFETIME), Some(&100_u32.to_be_bytes()[..]));
    run(&mut pair, 0, Task::RekeyIke);
    pair.advance(Duration::from_secs(99));
    assert_up(&pair, 0);
    pair.advance(Duration::from_secs(12));
    assert_eq!(closed(&pair), [CloseReason::NotReauthenticated]);
    assert_eq!(pair.clients[0].end(), Some(&End::DeletedByServer));
    assert_empty(&mut pair);
}

#[test]
fn a_client_that_logs_in_again_in_time_goes_on() {
    let mut gateway = server();
    gateway.reauthentication = Some(Duration::from_secs(100));
    let mut pair = login(gateway, client());
    pair.advance(Duration::from_secs(80));
    let again = pair.connect(client(), 9);
    pair.settle(LIMIT);
    assert_up(&pair, again);
    run(&mut pair, 0, Task::Close);
    pair.advance(Duration::from_secs(90));
    assert_up(&pair, again);
    assert_eq!(closed(&pair), [CloseReason::PeerDeleted]);
}

#[test]
fn without_a_limit_none_is_told() {
    assert_eq!(told(&connected(), NotifyType::AUTH_LIFETIME), None);
}
