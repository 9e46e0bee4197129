//! "Cisco IPsec" clients: XAuth, Mode Config and tunnel mode, in main and aggressive mode.

use std::net::Ipv4Addr;

use cygnet_ike::config::Config;
use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::identity::Identity;
use cygnet_ike::psk::{PskSelector, PskTable};
use cygnet_ike::testing::LinkQuality;
use cygnet_ike::testing::v1::{V1_SERVER, V1ClientConfig, V1End, V1Id, V1Login, V1Pair, V1Seen, V1Task};
use cygnet_ike::wire::v1::num::{ConfigAttr, IdType};
use cygnet_ike::wire::v1::{Attribute, NatNumbering, vid};
use cygnet_ike::{ChildMode, Prefix, RefusalReason};

use crate::setup::*;

fn xauth_server() -> Config {
    server_with(|v1| v1.xauth = true)
}

fn xauth_client(password: &str) -> V1ClientConfig {
    V1ClientConfig::xauth(PSK, "ann", password, V1Pair::address(0), V1_SERVER)
}

fn pair(server: Config, client: V1ClientConfig) -> V1Pair {
    let mut pair = V1Pair::new(server, LinkQuality::PERFECT, 1);
    pair.passwords.insert("ann".into(), "mpa".into());
    pair.connect(client, 2);
    pair.settle(LIMIT);
    pair
}

#[test]
fn a_client_logs_in_by_name_and_password_and_gets_an_address() {
    let pair = pair(xauth_server(), xauth_client("mpa"));
    assert_up(&pair, 0);
    let address = pair.clients[0].setting(ConfigAttr::INTERNAL_IP4_ADDRESS).and_then(Attribute::bytes);
    assert_eq!(address, Some(&[10, 0, 0, 2][..]));
    let child = pair.children.values().next().expect("one");
    assert_eq!(child.mode, ChildMode::Tunnel);
    assert!(
        matches!(
            pair.seen.as_slice(),
            [V1Seen::XAuth(_, user), V1Seen::Authenticated(_), V1Seen::Established(_), V1Seen::ChildUp(..)]
            | [V1Seen::Established(_), V1Seen::XAuth(_, user), V1Seen::Authenticated(_), V1Seen::ChildUp(..)] if user == "ann"
        ),
        "{:?}",
        pair.seen
    );
}

#[test]
fn android_ends_its_password_with_a_nul_and_acknowledges_with_zero() {
    let mut config = xauth_client("mpa");
    let user = config.xauth.as_mut().expect("it logs in");
    (user.trailing_nul, user.ack_status) = (true, 0);
    config.initial_contact = true;
    let pair = pair(xauth_server(), config);
    assert_up(&pair, 0);
}

#[test]
fn all_that_android_asks_for_by_mode_config_is_answered_or_left_out() {
    let mut server = xauth_server();
    server.ikev1.as_mut().expect("on").xauth = true;
    let mut pair = V1Pair::new(server, LinkQuality::PERFECT, 1);
    pair.passwords.insert("ann".into(), "mpa".into());
    pair.grant.dns = vec![Ipv4Addr::new(10, 0, 0, 53).into()];
    pair.grant.nbns = vec![Ipv4Addr::new(10, 0, 0, 54)];
    pair.grant.domains = vec!["corp.example".into()];
    pair.grant.routes = vec![Prefix { address: Ipv4Addr::new(10, 1, 0, 0).into(), len: 16 }];
    pair.connect(xauth_client("mpa"), 2);
    pair.settle(LIMIT);
    assert_up(&pair, 0);
    let value = |kind: ConfigAttr| pair.clients[0].setting(kind).and_then(Attribute::bytes);
    assert_eq!(value(ConfigAttr::INTERNAL_IP4_DNS), Some(&[10, 0, 0, 53][..]));
    assert_eq!(value(ConfigAttr::INTERNAL_IP4_NBNS), Some(&[10, 0, 0, 54][..]));
    assert_eq!(value(ConfigAttr::UNITY_DEF_DOMAIN), Some(&b"corp.example"[..]));
    let split = value(ConfigAttr::UNITY_SPLIT_INCLUDE).expect("a route");
    assert!(split.starts_with(&[10, 1, 0, 0, 255, 255, 0, 0]), "{split:?}");
}

#[test]
fn a_wrong_password_is_refused() {
    let pair = pair(xauth_server(), xauth_client("wrong"));
    assert!(pair.children.is_empty());
    assert!(matches!(pair.clients[0].end(), Some(V1End::XAuthFailed | V1End::Deleted)), "{:?}", pair.clients[0].end());
    assert!(pair.refusals().contains(&&RefusalReason::XAuthFailed), "{:?}", pair.seen);
}

#[test]
fn xauth_is_refused_unless_it_is_switched_on() {
    let pair = pair(server(), xauth_client("mpa"));
    assert!(pair.children.is_empty());
    assert!(pair.refusals().contains(&&RefusalReason::XAuthDisabled), "{:?}", pair.seen);
}

#[test]
fn the_xauth_vendor_id_is_for_those_who_sent_it_to_a_server_that_has_it() {
    let with = pair(xauth_server(), xauth_client("mpa"));
    assert!(with.clients[0].observed.vendor_ids.iter().any(|id| id == vid::XAUTH));
    let without = login(xauth_server(), client());
    assert!(without.clients[0].observed.vendor_ids.iter().all(|id| id != vid::XAUTH));
}

fn group_client(group: &str) -> V1ClientConfig {
    let mut config = xauth_client("mpa");
    config.aggressive = true;
    config.identity = V1Id::name(IdType::KEY_ID, group);
    config
}

#[test]
fn aggressive_mode_finds_the_key_by_the_group_name() {
    let mut server = server_with(|v1| (v1.xauth, v1.aggressive) = (true, true));
    server.psks = PskTable::new(vec![
        (PskSelector::Any, Secret::from_slice(b"another key for everybody else")),
        (PskSelector::Identity(Identity::KeyId(b"staff".to_vec())), Secret::from_slice(PSK)),
    ]);
    let staff = pair(server, group_client("staff"));
    assert_up(&staff, 0);
}

#[test]
fn aggressive_mode_is_off_even_where_xauth_is_on() {
    let pair = pair(xauth_server(), group_client("staff"));
    assert_eq!(pair.clients[0].end(), Some(&V1End::TimedOut));
    assert!(pair.sent.is_empty());
}

#[test]
fn a_new_phase_1_asks_again_and_the_address_stays() {
    let mut pair = pair(xauth_server(), xauth_client("mpa"));
    assert_up(&pair, 0);
    let address = pair.clients[0].setting(ConfigAttr::INTERNAL_IP4_ADDRESS).cloned();
    pair.run(0, V1Task::RekeyIsakmp);
    assert_up(&pair, 0);
    assert_eq!(pair.clients[0].setting(ConfigAttr::INTERNAL_IP4_ADDRESS).cloned(), address);
    assert_eq!(pair.server.snapshot().len(), 1);
}

#[test]
fn logins_succeed_on_a_terrible_network_too() {
    let mut came_in = 0;
    for seed in 0..200 {
        let mut gateway = xauth_server();
        gateway.timing.transmissions = 14;
        let mut pair = V1Pair::new(gateway, LinkQuality::TERRIBLE, seed);
        pair.passwords.insert("ann".into(), "mpa".into());
        let mut config = xauth_client("mpa");
        config.transmissions = 14;
        pair.connect(config, seed ^ 0xc11e);
        pair.settle(LIMIT);
        came_in += usize::from(pair.clients[0].is_up());
        if pair.clients[0].is_up() {
            pair.run(0, V1Task::Close);
        }
        assert_empty(&mut pair);
    }
    assert!(came_in >= 180, "{came_in} of 200 came in");
}

#[test]
fn tunnel_modes_of_all_drafts_are_taken_and_echoed() {
    for (numbering, id, expected) in [
        (Some(NatNumbering::Rfc), vid::NAT_T_RFC, 3),
        (Some(NatNumbering::Draft), vid::NAT_T_02, 61_443),
        (None, vid::DPD, 1),
    ] {
        let mut config = xauth_client("mpa");
        config.nat_t = numbering;
        config.vendor_ids = [id, vid::XAUTH].map(<[u8]>::to_vec).to_vec();
        let pair = pair(xauth_server(), config);
        assert_up(&pair, 0);
        assert_eq!(pair.clients[0].children[0].mode.0, expected);
    }
}

/// vpnc begins with aggressive mode in group 2 and names its group by a key ID.
#[test]
fn vpnc_comes_in_where_old_groups_and_aggressive_mode_are_allowed() {
    let server = |legacy| server_with(|v1| (v1.xauth, v1.aggressive, v1.legacy) = (true, true, legacy));
    let mut config = group_client("staff");
    for transform in &mut config.isakmp {
        (transform.hash, transform.group) = (2, 2);
    }
    assert_up(&pair(server(true), config), 0);
    let mut config = group_client("staff");
    for transform in &mut config.isakmp {
        (transform.hash, transform.group) = (2, 2);
    }
    let refused = pair(server(false), config);
    assert!(refused.children.is_empty());
    assert!(matches!(refused.refusals().as_slice(), [RefusalReason::LegacyOnly { .. }]), "{:?}", refused.seen);
}

#[test]
fn a_wrong_group_key_is_refused_in_aggressive_mode() {
    let mut config = group_client("staff");
    config.login = V1Login::Psk(b"something else".to_vec());
    let pair = pair(server_with(|v1| (v1.xauth, v1.aggressive) = (true, true)), config);
    assert!(pair.children.is_empty());
    assert!(pair.clients[0].end().is_some(), "{:?}", pair.seen);
}
