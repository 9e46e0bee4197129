//! Several tunnels of one site: made, narrowed, closed and made again.

use std::time::Duration;

use cygnet_ike::testing::LinkQuality;
use cygnet_ike::{ChildMode, RefusalReason, Site};

use super::world::{World, child, network, site};

fn pair(make: impl Fn(usize, &mut Site)) -> [Site; 2] {
    [0, 1].map(|own| {
        let mut site = site(own);
        make(own, &mut site);
        site
    })
}

/// Three tunnels, of IPv4 and IPv6.
fn three() -> [Site; 2] {
    pair(|own, site| {
        let networks = [["10.1.0.0/16", "10.3.0.0/24", "fd01::/64"], ["10.2.0.0/16", "10.4.0.0/24", "fd02::/64"]];
        let tunnel = |name: &str, at: usize| child(name, &[networks[own][at]], &[networks[1 - own][at]]);
        site.children = vec![tunnel("office", 0), tunnel("voice", 1), tunnel("six", 2)];
    })
}

fn names(world: &World, side: usize) -> Vec<String> {
    let infos = world.gateways[side].sessions()[0].children.clone();
    let mut names: Vec<String> = infos.iter().map(|info| info.name.as_deref().expect("a name").to_owned()).collect();
    names.sort();
    names
}

#[test]
fn all_tunnels_of_a_site_come_up_from_either_side_over_any_link() {
    for seed in 0..100 {
        let quality = if seed % 2 == 0 { LinkQuality::PERFECT } else { LinkQuality::TERRIBLE };
        let mut world = World::with(three(), quality, seed);
        let from = usize::from(seed % 4 > 1);
        world.initiate(from);
        world.advance(Duration::from_secs(120));
        world.network.quality = LinkQuality::PERFECT;
        world.advance(Duration::from_secs(130));
        if world.gateways[from].established.is_empty() {
            assert!(!world.gateways[from].refusals.is_empty(), "seed {seed}");
            continue;
        }
        if world.gateways.iter().all(|gateway| gateway.closed.is_empty()) {
            world.assert_one(3);
            assert_eq!(names(&world, 1), ["office", "six", "voice"], "seed {seed}");
        }
        world.assert_empty();
    }
}

#[test]
fn a_tunnel_that_either_side_closes_is_gone_on_both_and_can_be_made_again_by_either() {
    for closer in 0..2 {
        for maker in 0..2 {
            let mut world = World::with(three(), LinkQuality::PERFECT, 1);
            world.initiate(0);
            world.connect();
            let session = world.gateways[closer].session();
            let infos = world.gateways[closer].sessions()[0].children.clone();
            let voice = infos.iter().find(|info| info.name.as_deref() == Some("voice")).expect("there").inbound_spi;
            world.ask(closer, |endpoint, now| endpoint.close_child(now, session, voice));
            world.advance(Duration::from_secs(1));
            world.assert_one(2);
            assert_eq!(names(&world, 1 - closer), ["office", "six"]);
            let session = world.gateways[maker].session();
            world.ask(maker, |endpoint, now| endpoint.create_child(now, session, 1));
            world.advance(Duration::from_secs(1));
            world.assert_one(3);
            assert_eq!(names(&world, 0), ["office", "six", "voice"]);
            world.assert_empty();
        }
    }
}

#[test]
fn the_last_tunnel_may_go_and_the_session_stays() {
    let mut world = World::new(LinkQuality::PERFECT, 1);
    world.initiate(0);
    world.connect();
    let (session, spis) = (world.gateways[1].session(), world.gateways[1].spis());
    world.ask(1, |endpoint, now| endpoint.close_child(now, session, spis[0]));
    world.advance(Duration::from_secs(300));
    world.assert_one(0);
    let session = world.gateways[0].session();
    world.ask(0, |endpoint, now| endpoint.create_child(now, session, 0));
    world.advance(Duration::from_secs(1));
    world.assert_one(1);
    world.assert_empty();
}

#[test]
fn each_side_narrows_to_what_both_want() {
    let sites = pair(|own, site| {
        site.children = match own {
            0 => vec![child("net", &["10.1.0.0/16"], &["10.0.0.0/8"])],
            _ => vec![child("net", &["10.2.0.0/16", "192.168.0.0/24"], &["10.1.2.0/24"])],
        };
    });
    for from in 0..2 {
        let sites = [0, 1].map(|own| {
            let mut copy = site(own);
            copy.children = sites[own].children.clone();
            copy
        });
        let mut world = World::with(sites, LinkQuality::PERFECT, 1);
        world.initiate(from);
        world.connect();
        world.assert_one(1);
        let west = world.gateways[0].children.values().next().expect("one");
        assert_eq!((&west.local_ts, &west.remote_ts), (&vec![network("10.1.2.0/24")], &vec![network("10.2.0.0/16")]));
        world.assert_empty();
    }
}

#[test]
fn a_tunnel_that_the_peer_does_not_have_fails_alone() {
    let mut sites = three();
    sites[1].children.remove(1);
    let mut world = World::with(sites, LinkQuality::PERFECT, 1);
    world.initiate(0);
    world.connect();
    world.advance(Duration::from_secs(5));
    world.assert_one(2);
    assert_eq!(world.gateways[0].failed, ["voice".into()]);
    assert_eq!(world.gateways[0].refusals.iter().map(RefusalReason::name).collect::<Vec<_>>(), ["child_refused"]);
    assert_eq!(world.gateways[1].refusals.iter().map(RefusalReason::name).collect::<Vec<_>>(), ["traffic_selectors"]);
    world.assert_empty();
}

#[test]
fn perfect_forward_secrecy_is_as_the_peer_wants_it_whatever_the_guess() {
    // What the first and the second gateway have for Child SAs.
    let cases = [
        ("aes256gcm16-curve25519-ecp384", "aes256gcm16-ecp384"),
        ("aes256gcm16-curve25519", "aes256gcm16-curve25519"),
        ("aes256gcm16-ecp256-ecp384", "aes256gcm16"),
        ("aes256gcm16", "aes256gcm16-ecp256"),
    ];
    for (west, east) in cases {
        let mut sites = three();
        for (site, list) in sites.iter_mut().zip([west, east]) {
            site.policy = site.policy.clone().with_child(&[list]).expect("known");
        }
        let mut world = World::with(sites, LinkQuality::PERFECT, 1);
        world.initiate(0);
        world.connect();
        world.advance(Duration::from_secs(2));
        world.assert_one(3);
        for side in [0, 1, 0] {
            let (session, spis) = (world.gateways[side].session(), world.gateways[side].spis());
            world.ask(side, |endpoint, now| spis.iter().for_each(|spi| endpoint.rekey_child(now, session, *spi)));
            world.advance(Duration::from_secs(5));
            world.assert_one(3);
            assert!(world.gateways[side].spis().iter().all(|spi| !spis.contains(spi)), "{west} and {east}");
        }
        world.assert_empty();
    }
}

#[test]
fn algorithms_of_the_child_sa_that_do_not_fit_leave_the_ike_sa() {
    let mut sites = [site(0), site(1)];
    sites[0].policy = sites[0].policy.clone().with_child(&["chacha20poly1305"]).expect("known");
    sites[1].policy = sites[1].policy.clone().with_child(&["aes256gcm16"]).expect("known");
    let mut world = World::with(sites, LinkQuality::PERFECT, 1);
    world.initiate(0);
    assert!(world.until(|world| !world.gateways[0].failed.is_empty()));
    assert_eq!(world.gateways[0].refusals[0].name(), "child_refused");
    world.advance(Duration::from_secs(5));
    world.assert_one(0);
    world.assert_empty();
}

#[test]
fn transport_mode_is_between_the_two_addresses_and_not_through_translation() {
    let sites = || {
        pair(|_, site| {
            let mut direct = child("direct", &[], &[]);
            direct.mode = ChildMode::Transport;
            site.children = vec![direct];
        })
    };
    for from in 0..2 {
        let mut world = World::with(sites(), LinkQuality::PERFECT, 1);
        world.initiate(from);
        world.connect();
        world.assert_one(1);
        let west = world.gateways[0].children.values().next().expect("one");
        assert_eq!(west.mode, ChildMode::Transport);
        assert_eq!(
            (&west.local_ts, &west.remote_ts),
            (&vec![network("192.0.2.1/32")], &vec![network("198.51.100.1/32")])
        );
        let (session, spis) = (world.gateways[1].session(), world.gateways[1].spis());
        world.ask(1, |endpoint, now| endpoint.rekey_child(now, session, spis[0]));
        world.advance(Duration::from_secs(2));
        world.assert_one(1);
        assert!(world.gateways[0].children.values().all(|child| child.mode == ChildMode::Transport));
        world.assert_empty();
    }
    let mut world = World::with(sites(), LinkQuality::PERFECT, 1);
    world.network.translates = true;
    world.initiate(0);
    assert!(world.until(|world| !world.gateways[0].failed.is_empty()));
    world.advance(Duration::from_secs(5));
    assert!(world.gateways.iter().all(|gateway| gateway.children.is_empty()), "neither side keeps it");
    world.assert_empty();
}

#[test]
fn a_tunnel_inside_of_another_is_not_taken_for_it() {
    // The second tunnel is part of the first.
    let sites = || {
        pair(|own, site| {
            let networks = [["10.1.0.0/16", "10.1.0.0/16"], ["10.2.0.0/16", "10.2.5.0/24"]];
            let tunnel = |name: &str, at: usize| child(name, &[networks[own][at]], &[networks[1 - own][at]]);
            site.children = vec![tunnel("wide", 0), tunnel("narrow", 1)];
        })
    };
    for order in [[0, 1], [1, 0]] {
        let mut world = World::with(sites(), LinkQuality::PERFECT, 1);
        let (path, site) = (world.path(0, 500), world.gateways[0].site.clone());
        let wall = cygnet_ike::UnixTime::from_secs(1_800_000_000);
        world.ask(0, |endpoint, now| {
            endpoint.initiate(now, wall, &site, path, &order);
        });
        world.connect();
        world.advance(Duration::from_secs(2));
        world.assert_one(2);
        assert_eq!(names(&world, 1), ["narrow", "wide"]);
        world.assert_empty();
    }
}
