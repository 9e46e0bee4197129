use std::net::Ipv4Addr;
use std::time::Duration;

use cygnet_ppp::auth::{AuthFailure, Method};
use cygnet_ppp::frame::Protocol;
use cygnet_ppp::testing::{LineQuality, Pair, Profile};
use cygnet_ppp::{CloseReason, Family, Grant, LinkConfig, Phase};

fn config() -> LinkConfig {
    LinkConfig::new("gateway", 1400)
}

fn pair(profile: Profile) -> Pair {
    Pair::new(config(), profile, LineQuality::PERFECT, 1)
}

#[test]
fn every_stock_client_gets_its_address_and_name_servers_within_a_second() {
    for profile in Profile::all() {
        let (name, ipv6) = (profile.name, profile.ipv6.is_some());
        let mut pair = pair(profile);
        pair.run_for(Duration::from_secs(1));
        assert_eq!(pair.users, ["anna"], "{name}");
        assert_eq!(pair.peer.ipv4(), Some(Ipv4Addr::new(10, 20, 0, 7)), "{name}");
        assert_eq!(pair.peer.ipcp_value(129), Some(Ipv4Addr::new(10, 20, 0, 1)), "{name}");
        assert_eq!(pair.peer.ipcp_value(131), Some(Ipv4Addr::new(9, 9, 9, 9)), "{name}");
        assert_eq!(pair.peer.ipcp_value(130), None, "{name}");
        assert_eq!(pair.peer.ipv6_identifier(), ipv6.then_some(0x000a_000b_000c_000d), "{name}");
        assert!(pair.is_up(Family::V4), "{name}");
        assert_eq!(pair.is_up(Family::V6), ipv6, "{name}");
        assert_eq!(pair.down, None, "{name}");
    }
}

#[test]
fn clients_live_with_the_reject_of_what_else_they_try() {
    for (profile, rejected) in [
        (Profile::windows(), vec![Protocol::CCP]),
        (Profile::macos(), vec![Protocol(0x8235)]),
        (Profile::android(), vec![]),
        (Profile::linux(), vec![Protocol::CCP]),
    ] {
        let mut pair = pair(profile);
        pair.run_for(Duration::from_secs(30));
        assert_eq!(pair.peer.rejected, rejected);
        assert!(pair.is_up(Family::V4));
    }
}

#[test]
fn every_method_lets_the_right_password_in_and_the_wrong_one_not() {
    for method in Method::ALL {
        for right in [true, false] {
            let mut profile = Profile::linux();
            profile.auth = vec![method];
            let mut config = config();
            config.auth = Method::ALL.to_vec();
            let mut pair = Pair::new(config, profile, LineQuality::PERFECT, 2);
            pair.account.password = if right { "correct horse" } else { "battery staple" };
            pair.run_for(Duration::from_secs(10));
            assert_eq!(pair.is_up(Family::V4), right, "{method}");
            match right {
                true => assert_eq!(pair.link.info().auth, Some(method)),
                false => {
                    let failed = CloseReason::AuthenticationFailed(AuthFailure::Rejected);
                    assert_eq!(pair.down, Some(failed), "{method}");
                    assert!(pair.peer.refused, "{method}");
                    assert!(pair.up.is_empty());
                }
            }
        }
    }
}

#[test]
fn a_client_without_an_allowed_method_is_told_apart_from_a_wrong_password() {
    let mut profile = Profile::macos();
    profile.auth = vec![Method::Pap];
    let mut pair = pair(profile);
    pair.run_for(Duration::from_secs(10));
    let reason = pair.down.expect("it ended").to_string();
    assert!(reason.starts_with("the client wants to authenticate by PAP, allowed here: MS-CHAPv2"), "{reason}");
    assert!(pair.users.is_empty());
}

#[test]
fn a_slow_grant_is_waited_for() {
    let mut pair = pair(Profile::windows());
    pair.grant = None;
    pair.run_for(Duration::from_secs(8));
    assert_eq!(pair.link.info().phase, Phase::Network);
    assert!(pair.up.is_empty());
    pair.link.grant(pair.now, Pair::dual_stack());
    pair.run_for(Duration::from_secs(1));
    assert!(pair.is_up(Family::V4) && pair.is_up(Family::V6));
}

#[test]
fn a_client_of_ipv4_only_networks_is_told_so() {
    let mut pair = pair(Profile::windows());
    pair.grant = Some(Grant { ipv6: None, ..Pair::dual_stack() });
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.up, [Family::V4]);
    assert!(pair.peer.rejected.contains(&Protocol::IPV6CP));
}

#[test]
fn a_goodbye_of_either_side_ends_both() {
    let mut one = pair(Profile::macos());
    one.run_for(Duration::from_secs(1));
    one.peer.hang_up(one.now);
    one.run_for(Duration::from_secs(2));
    assert_eq!(one.down, Some(CloseReason::PeerTerminated));
    assert!(one.peer.ended);

    let mut other = pair(Profile::macos());
    other.run_for(Duration::from_secs(1));
    other.link.close(other.now, CloseReason::Administrative);
    other.run_for(Duration::from_secs(2));
    assert_eq!(other.down, Some(CloseReason::Administrative));
    assert!(!other.peer.is_lcp_open());
}

#[test]
fn a_client_that_begins_anew_gets_the_same_address() {
    let mut pair = pair(Profile::linux());
    pair.run_for(Duration::from_secs(1));
    pair.peer.renegotiate(pair.now);
    pair.run_for(Duration::from_secs(2));
    assert_eq!(pair.users, ["anna"], "one login for the accounts");
    assert_eq!(pair.peer.ipv4(), Some(Ipv4Addr::new(10, 20, 0, 7)));
    assert_eq!(pair.up, [Family::V4, Family::V6, Family::V4, Family::V6]);
}

#[test]
fn nobody_becomes_somebody_else_by_beginning_anew() {
    let mut pair = pair(Profile::linux());
    pair.run_for(Duration::from_secs(1));
    pair.account.user = "berta";
    pair.peer.log_in_as(pair.now, "berta");
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.users, ["anna"]);
    assert_eq!(pair.down, Some(CloseReason::UserChanged));
}

#[test]
fn packets_of_the_gateway_to_itself_never_reach_a_client_that_is_not_logged_in() {
    let mut pair = pair(Profile::windows());
    pair.account.password = "another";
    pair.peer.send_ip(Protocol::IPV4, &[0x45; 40]);
    pair.run_for(Duration::from_secs(5));
    assert!(pair.peer.packets.is_empty());
    assert!(pair.up.is_empty());
}
