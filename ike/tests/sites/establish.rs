//! From the first message to the tunnel.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cygnet_ike::config::Config;
use cygnet_ike::event::Role;
use cygnet_ike::proposal::{Policy, PolicyName};
use cygnet_ike::testing::LinkQuality;
use cygnet_ike::wire::num::NotifyType;
use cygnet_ike::{CloseReason, Limits, RefusalReason, Site};

use super::world::{World, child, identity, site};

#[test]
fn a_tunnel_comes_up_from_either_side() {
    for from in 0..2 {
        let mut world = World::new(LinkQuality::PERFECT, 1);
        let session = world.initiate(from);
        world.connect();
        world.assert_one(1);
        let info = &world.gateways[from].established[0];
        assert_eq!((info.session, info.role, info.site.as_deref()), (session, Role::Initiator, Some("other")));
        let other = &world.gateways[1 - from].established[0];
        assert_eq!((other.role, other.site.as_deref()), (Role::Responder, Some("other")));
        assert_eq!(info.identity, Some(identity(if from == 0 { "east.example" } else { "west.example" })));
        assert!(info.mobike && other.mobike);
        assert!(!world.gateways[0].children.values().any(|child| child.udp_encap), "there is no translation");
        world.traffic(0);
        world.traffic(1);
        world.advance(Duration::from_secs(1));
        assert_eq!([0, 1].map(|side: usize| world.gateways[side].received), [1, 1]);
        world.assert_empty();
    }
}

#[test]
fn a_tunnel_comes_up_over_ipv6() {
    let addresses: [IpAddr; 2] = ["2001:db8::1", "2001:db8:1::1"].map(|text| text.parse().expect("an address"));
    let sites = [0, 1].map(|own| {
        let mut site = site(own);
        site.peer_addresses.clear();
        let networks = ["fd01::/64", "fd02::/64"];
        site.children = vec![child("net", &[networks[own]], &[networks[1 - own]])];
        site
    });
    let mut world = World::with(sites, LinkQuality::PERFECT, 1).between(addresses);
    world.initiate(0);
    world.connect();
    world.assert_one(1);
    world.assert_empty();
}

#[test]
fn translation_of_the_initiator_puts_esp_into_udp() {
    let mut world = World::new(LinkQuality::PERFECT, 1);
    world.network.translates = true;
    world.initiate(0);
    world.connect();
    world.assert_one(1);
    for gateway in &world.gateways {
        assert!(gateway.children.values().all(|child| child.udp_encap && child.path.local.port() == 4500));
    }
    world.assert_empty();
}

#[test]
fn either_side_can_ask_for_udp_in_any_case() {
    for forced in 0..2 {
        let mut sites = [site(0), site(1)];
        sites[forced].force_udp_encap = true;
        let mut world = World::with(sites, LinkQuality::PERFECT, 1);
        world.initiate(0);
        world.connect();
        for gateway in &world.gateways {
            assert!(gateway.children.values().all(|child| child.udp_encap), "forced by {forced}");
        }
        world.assert_empty();
    }
}

#[test]
fn another_group_and_a_cookie_are_obeyed_in_any_order() {
    let wants_another_group = |own: usize, list: &str| {
        let mut site = site(own);
        site.policy = site.policy.with_ike(&[list]).expect("known");
        site
    };
    let sites = [
        wants_another_group(0, "aes256gcm16-prfsha256-curve25519-ecp256-ecp384"),
        wants_another_group(1, "aes256gcm16-prfsha256-ecp384"),
    ];
    for cookies in [false, true] {
        let mut world = World::with(sites_of(&sites), LinkQuality::PERFECT, 1);
        if cookies {
            let mut config = cygnet_ike::Config::new(identity("gateway.example"));
            config.sites = vec![world.gateways[1].site.clone()];
            config.limits = Limits { cookie_threshold: 0, ..Limits::default() };
            world.gateways[1].endpoint.reconfigure(config.into());
        }
        world.initiate(0);
        world.connect();
        world.assert_one(1);
        assert_eq!(world.gateways[1].endpoint.counters().cookies_sent, u64::from(cookies));
        assert!(world.gateways[0].established[0].ike_suite.ends_with("ecp384"));
        world.assert_empty();
    }
}

fn sites_of(sites: &[cygnet_ike::Site; 2]) -> [cygnet_ike::Site; 2] {
    [0, 1].map(|own| {
        let mut copy = site(own);
        copy.policy = sites[own].policy.clone();
        copy
    })
}

#[test]
fn a_gateway_without_clients_takes_the_suites_of_the_site_that_calls() {
    let mut sites = [site(0), site(1)];
    let old = Policy::named(&[PolicyName::LegacyAndroid]).with_ike(&["aes128-sha1-modp1024"]).expect("a suite");
    sites[1].policy = old;
    let mut world = World::with(sites, LinkQuality::PERFECT, 1);
    world.initiate(0);
    assert!(world.until(|world| !world.gateways[0].closed.is_empty()));
    let refused = RefusalReason::PeerRefused { notify: NotifyType::NO_PROPOSAL_CHOSEN, protected: false };
    assert_eq!(world.gateways[0].refusals, [refused]);
    assert_eq!(world.gateways[1].refusals[0].name(), "ike_proposal");
    assert_eq!(world.gateways[1].endpoint.counters().half_open_expired, 0, "nothing was begun");
    world.assert_empty();
}

#[test]
fn silence_ends_the_attempt_with_its_reason() {
    let mut world = World::new(LinkQuality { loss: 100, ..LinkQuality::PERFECT }, 1);
    let session = world.initiate(0);
    assert!(world.until(|world| !world.gateways[0].closed.is_empty()));
    assert_eq!(world.gateways[0].refusals, [RefusalReason::NoAnswer]);
    assert_eq!(world.gateways[0].closed, [(session, CloseReason::PeerDead)]);
    world.assert_empty();
}

#[test]
fn a_key_or_name_that_is_not_the_right_one_ends_the_attempt_with_its_reason() {
    for from in 0..2 {
        let mut sites = [site(0), site(1)];
        sites[0].local_auth =
            cygnet_ike::LocalAuth::Psk(cygnet_ike::crypto::secret::Secret::from_slice(b"another one than that"));
        let mut world = World::with(sites, LinkQuality::PERFECT, 1);
        let session = world.initiate(from);
        assert!(world.until(|world| !world.gateways[from].closed.is_empty()));
        assert_eq!(world.gateways[from].closed, [(session, CloseReason::Failed)]);
        let reason = &world.gateways[from].refusals[0];
        if from == 0 {
            assert_eq!(reason.name(), "peer_refused");
            assert_eq!(world.gateways[1].refusals, [RefusalReason::WrongPsk]);
        } else {
            assert_eq!(*reason, RefusalReason::WrongPsk, "the responder has the wrong one");
        }
        world.advance(Duration::from_secs(60));
        assert!(world.gateways.iter().all(|gateway| gateway.sessions().is_empty() && gateway.children.is_empty()));
        world.assert_empty();
    }
    let mut sites = [site(0), site(1)];
    sites[1].identity = identity("north.example");
    sites[0].peer_identity = Some(identity("south.example"));
    let mut world = World::with(sites, LinkQuality::PERFECT, 1);
    world.initiate(0);
    assert!(world.until(|world| !world.gateways[0].closed.is_empty()));
    assert_eq!(world.gateways[0].refusals[0].name(), "other_peer");
    world.advance(Duration::from_secs(5));
    assert!(world.gateways[1].sessions().is_empty(), "the other side was told");
    world.assert_empty();
}

#[test]
fn without_a_common_suite_the_attempt_goes_on_for_a_while_and_then_says_why() {
    let mut sites = [site(0), site(1)];
    sites[0].policy = sites[0].policy.clone().with_ike(&["aes256-sha1-modp1024"]).expect("known");
    sites[1].policy = sites[1].policy.clone().with_ike(&["aes256gcm16-prfsha256-curve25519"]).expect("known");
    let mut world = World::with(sites, LinkQuality::PERFECT, 1);
    let begun = world.now;
    world.initiate(0);
    assert!(world.until(|world| !world.gateways[0].refusals.is_empty()));
    assert!(world.now - begun >= Duration::from_secs(10), "anybody could have sent that");
    assert!(world.now - begun < Duration::from_secs(12), "people are told soon");
    assert!(world.gateways[0].closed.is_empty(), "and it goes on");
    assert!(world.until(|world| !world.gateways[0].closed.is_empty()));
    assert!(world.now - begun >= Duration::from_secs(2 + 4 + 8 + 16 + 32), "all transmissions");
    let names: Vec<_> = world.gateways[0].refusals.iter().map(RefusalReason::name).collect();
    assert_eq!(names, ["peer_refused"], "told once");
    world.assert_empty();
}

#[test]
fn an_error_that_was_told_is_forgotten_when_the_real_answer_comes() {
    let mut world = World::new(LinkQuality::PERFECT, 1);
    let old = site(1).policy.with_ike(&["aes256-sha1-modp1024"]).expect("known");
    let mut config = Config::new(identity("gateway.example"));
    config.policy = old.clone();
    config.sites = vec![Arc::new(Site { policy: old, ..site(1) })];
    world.ask(1, |endpoint, _| endpoint.reconfigure(Arc::new(config)));
    world.initiate(0);
    assert!(world.until(|world| !world.gateways[0].refusals.is_empty()));
    let mut config = Config::new(identity("gateway.example"));
    config.sites = vec![Arc::new(site(1))];
    world.ask(1, |endpoint, _| endpoint.reconfigure(Arc::new(config)));
    world.connect();
    world.assert_one(1);
    assert!(world.gateways[0].closed.is_empty());
    world.assert_empty();
}

#[test]
fn a_peer_that_needs_a_child_sa_is_not_asked_to_do_without() {
    for does_without in [true, false] {
        let mut world = World::new(LinkQuality::PERFECT, 1);
        let mut config = Config::new(identity("gateway.example"));
        config.sites = vec![world.gateways[1].site.clone()];
        config.childless = does_without;
        world.ask(1, |endpoint, _| endpoint.reconfigure(Arc::new(config)));
        let (path, site) = (world.path(0, 500), world.gateways[0].site.clone());
        world.ask(0, |endpoint, now| {
            endpoint.initiate(now, cygnet_ike::UnixTime::from_secs(1_800_000_000), &site, path, &[]);
        });
        let is_decided =
            |world: &World| !world.gateways[0].established.is_empty() || !world.gateways[0].closed.is_empty();
        assert!(world.until(is_decided));
        assert_eq!(world.gateways[0].closed.is_empty(), does_without);
        let names: Vec<_> = world.gateways[0].refusals.iter().map(RefusalReason::name).collect();
        assert_eq!(names, if does_without { vec![] } else { vec!["childless"] });
        world.assert_empty();
    }
}

#[test]
fn what_fails_alone_is_the_first_child_sa() {
    let mut sites = [site(0), site(1)];
    sites[0].children = vec![child("net", &["10.9.0.0/16"], &["10.2.0.0/16"])];
    let mut world = World::with(sites, LinkQuality::PERFECT, 1);
    world.initiate(0);
    assert!(world.until(|world| world.gateways.iter().all(|gateway| !gateway.established.is_empty())));
    assert_eq!(world.gateways[0].failed, ["net".into()]);
    assert_eq!(world.gateways[0].refusals[0].name(), "child_refused");
    world.advance(Duration::from_secs(100));
    world.assert_one(0);
    world.assert_empty();
}

#[test]
fn an_attempt_can_be_given_up_at_any_time() {
    for delay in 0..12 {
        let mut world = World::new(LinkQuality::PERFECT, delay);
        let session = world.initiate(0);
        world.advance(Duration::from_millis(5 * delay));
        world.ask(0, |endpoint, now| endpoint.close(now, session, CloseReason::Administrative));
        world.advance(Duration::from_secs(70));
        assert_eq!(world.gateways[0].closed, [(session, CloseReason::Administrative)]);
        assert!(world.gateways.iter().all(|gateway| gateway.sessions().is_empty()), "after {delay} steps");
        world.assert_empty();
    }
}

#[test]
fn over_a_terrible_link_every_attempt_ends_up_or_with_a_reason() {
    let mut up = 0;
    for seed in 0..1000 {
        let mut world = World::new(LinkQuality::TERRIBLE, seed);
        let from = usize::from(seed % 2 == 1);
        let session = world.initiate(from);
        let ended = world.until(|world| {
            let gateway = &world.gateways[from];
            !gateway.established.is_empty() || !gateway.closed.is_empty()
        });
        assert!(ended, "seed {seed}");
        let gateway = &world.gateways[from];
        if gateway.established.is_empty() {
            assert!(!gateway.refusals.is_empty() && gateway.closed[0].0 == session, "seed {seed}");
        } else {
            up += 1;
            world.network.quality = LinkQuality::PERFECT;
            world.advance(Duration::from_secs(60));
            world.assert_one(1);
        }
        world.assert_empty();
    }
    assert!(up > 950, "{up} of 1000");
}

#[test]
fn beginning_on_both_sides_at_once_leaves_a_pair_that_works() {
    for seed in 0..500 {
        let quality = if seed % 2 == 0 { LinkQuality::PERFECT } else { LinkQuality::TERRIBLE };
        let mut world = World::new(quality, seed);
        world.initiate(0);
        world.advance(Duration::from_millis(seed % 50));
        world.initiate(1);
        world.advance(Duration::from_secs(90));
        world.network.quality = LinkQuality::PERFECT;
        // As the supervisors do: the session of lesser precedence goes.
        for side in 0..2 {
            let mut sessions = world.gateways[side].sessions();
            sessions.sort_by_key(|info| info.precedence);
            sessions.pop();
            for lesser in sessions {
                world.ask(side, |endpoint, now| endpoint.close(now, lesser.session, CloseReason::Replaced));
            }
        }
        world.advance(Duration::from_secs(60));
        let both = world.gateways.each_ref().map(|gateway| gateway.sessions().len());
        assert_eq!(both[0], both[1], "seed {seed}");
        if both[0] == 0 {
            assert!(world.gateways.iter().all(|gateway| !gateway.refusals.is_empty()), "seed {seed}");
            continue;
        }
        world.assert_one(1);
        world.traffic(0);
        world.traffic(1);
        world.advance(Duration::from_secs(1));
        assert_eq!([0, 1].map(|side: usize| world.gateways[side].received), [1, 1], "seed {seed}");
        world.assert_empty();
    }
}

#[test]
fn the_other_side_forgets_sessions_that_ended_without_a_word() {
    let mut world = World::new(LinkQuality::PERFECT, 1);
    world.initiate(0);
    world.connect();
    // The first gateway starts anew and has forgotten everything.
    let fresh = World::new(LinkQuality::PERFECT, 77);
    let [west, _] = fresh.gateways;
    world.gateways[0] = west;
    world.initiate(0);
    world.advance(Duration::from_secs(2));
    world.assert_one(1);
    assert_eq!(world.gateways[1].closed.iter().map(|(_, reason)| *reason).collect::<Vec<_>>(), [CloseReason::Replaced]);
    world.assert_empty();
}
