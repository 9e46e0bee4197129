//! Both sides do something about the same SAs at the same time (RFC 7296 sections 1.4.1, 2.8.1, 2.8.2 and 2.25).

use std::collections::BTreeSet;
use std::time::Duration;

use cygnet_ike::CloseReason;
use cygnet_ike::crypto::random::Random;
use cygnet_ike::crypto::testing::SeededRandom;
use cygnet_ike::testing::LinkQuality;

use super::world::{World, child, site};

/// What a side does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    RekeyChild,
    RekeyIke,
    CloseChild,
    CreateChild,
}

const ALL: [Act; 4] = [Act::RekeyChild, Act::RekeyIke, Act::CloseChild, Act::CreateChild];

impl Act {
    fn run(self, world: &mut World, side: usize) {
        let Some(info) = world.gateways[side].sessions().pop() else { return };
        let (session, newest) = (info.session, info.children.last().map(|child| child.inbound_spi));
        world.ask(side, |endpoint, now| match (self, newest) {
            (Self::RekeyChild, Some(spi)) => endpoint.rekey_child(now, session, spi),
            (Self::CloseChild, Some(spi)) => endpoint.close_child(now, session, spi),
            (Self::RekeyIke, _) => endpoint.rekey_ike(now, session),
            (Self::CreateChild | Self::RekeyChild | Self::CloseChild, _) => endpoint.create_child(now, session, 0),
        });
    }
}

fn connected(quality: LinkQuality, seed: u64) -> World {
    let mut world = World::new(LinkQuality::PERFECT, seed);
    world.initiate(usize::from(seed.is_multiple_of(2)));
    world.connect();
    world.network.quality = quality;
    world
}

/// Everything calms down: each tunnel has one pair at most, the same on both sides.
fn assert_calm(mut world: World, what: &str) {
    world.network.quality = LinkQuality::PERFECT;
    world.advance(Duration::from_secs(200));
    let sessions = world.gateways.each_ref().map(|gateway| gateway.sessions().len());
    assert_eq!(sessions, [1, 1], "{what}: {:?}", world.gateways.each_ref().map(|gateway| &gateway.closed));
    world.assert_same_children();
    for gateway in &world.gateways {
        let names: Vec<_> = gateway.children.values().map(|child| child.site_child.clone()).collect();
        assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len(), "{what}: twice");
        assert_eq!(gateway.sending().len(), gateway.children.len(), "{what}");
        assert_eq!(gateway.endpoint.spis_in_use(), (1, gateway.children.len()), "{what}");
    }
    let before = world.gateways.each_ref().map(|gateway| gateway.received);
    world.traffic(0);
    world.traffic(1);
    world.advance(Duration::from_secs(1));
    for (gateway, before) in world.gateways.iter().zip(before) {
        assert_eq!(gateway.received - before, gateway.children.len() as u64, "{what}: what is left works");
    }
    world.assert_empty();
}

#[test]
fn every_pair_of_acts_at_the_same_moment() {
    for one in ALL {
        for other in ALL {
            for shift in 0..25 {
                let mut world = connected(LinkQuality::PERFECT, shift);
                one.run(&mut world, 0);
                world.advance(Duration::from_millis(shift));
                other.run(&mut world, 1);
                let what = format!("{one:?} against {other:?} {shift} ms later");
                world.advance(Duration::from_secs(30));
                if one != Act::CloseChild && other != Act::CloseChild {
                    assert!(!world.gateways[0].children.is_empty(), "{what}");
                }
                assert_calm(world, &what);
            }
        }
    }
}

#[test]
fn every_pair_of_acts_over_a_link_that_reorders_and_loses() {
    for seed in 0..600 {
        let quality = if seed % 2 == 0 {
            LinkQuality::TERRIBLE
        } else {
            LinkQuality { jitter: Duration::from_millis(60), ..LinkQuality::PERFECT }
        };
        let mut world = connected(quality, seed);
        let at = usize::try_from(seed).expect("small");
        let (one, other) = (ALL[at % 4], ALL[at / 4 % 4]);
        one.run(&mut world, 0);
        world.advance(Duration::from_millis(seed % 70));
        other.run(&mut world, 1);
        world.advance(Duration::from_secs(30));
        if world.gateways.iter().all(|gateway| gateway.closed.is_empty()) {
            assert_calm(world, &format!("{one:?} against {other:?}, seed {seed}"));
        }
    }
}

#[test]
fn many_acts_of_both_sides_in_any_order_come_to_rest() {
    for seed in 0..1000 {
        let quality = match seed % 3 {
            0 => LinkQuality::PERFECT,
            1 => LinkQuality { jitter: Duration::from_millis(100), duplicates: 20, ..LinkQuality::PERFECT },
            _ => LinkQuality { loss: 10, jitter: Duration::from_millis(100), ..LinkQuality::PERFECT },
        };
        let mut world = connected(quality, seed);
        let mut random = SeededRandom::new(seed);
        let mut octets = [0; 48];
        random.fill(&mut octets);
        let mut acts = Vec::new();
        for [act, side, wait] in octets.as_chunks::<3>().0 {
            let (act, side) = (ALL[usize::from(act % 4)], usize::from(side % 2));
            acts.push((act, side, wait % 64));
            act.run(&mut world, side);
            world.advance(Duration::from_millis(u64::from(wait % 64)));
        }
        world.advance(Duration::from_secs(60));
        if world.gateways.iter().all(|gateway| gateway.closed.is_empty()) {
            assert_calm(world, &format!("seed {seed}: {acts:?}"));
        }
    }
}

#[test]
fn the_same_new_tunnel_from_both_sides_at_once_is_made_once() {
    for shift in 0..30 {
        let sites = [0, 1].map(|own| {
            let mut site = site(own);
            let networks = [["10.1.0.0/16", "10.3.0.0/16"], ["10.2.0.0/16", "10.4.0.0/16"]];
            let tunnel = |name: &str, at: usize| child(name, &[networks[own][at]], &[networks[1 - own][at]]);
            site.children = vec![tunnel("first", 0), tunnel("second", 1)];
            site
        });
        let mut world = World::with(sites, LinkQuality::PERFECT, shift);
        let (path, site) = (world.path(0, 500), world.gateways[0].site.clone());
        let wall = cygnet_ike::UnixTime::from_secs(1_800_000_000);
        world.ask(0, |endpoint, now| {
            endpoint.initiate(now, wall, &site, path, &[0]);
        });
        world.connect();
        world.assert_one(1);
        for side in 0..2 {
            let session = world.gateways[side].session();
            world.ask(side, |endpoint, now| endpoint.create_child(now, session, 1));
            world.advance(Duration::from_millis(shift));
        }
        world.advance(Duration::from_secs(5));
        world.assert_one(2);
        assert_calm(world, &format!("{shift} ms apart"));
    }
}

#[test]
fn both_sides_end_the_session_at_once() {
    for seed in 0..200 {
        let quality = if seed % 2 == 0 { LinkQuality::PERFECT } else { LinkQuality::TERRIBLE };
        let mut world = connected(quality, seed);
        let act = ALL[usize::try_from(seed / 2 % 4).expect("small")];
        act.run(&mut world, usize::from(seed % 8 < 4));
        world.advance(Duration::from_millis(seed % 23));
        for side in 0..2 {
            let session = world.gateways[side].session();
            world.ask(side, |endpoint, now| endpoint.close(now, session, CloseReason::Administrative));
            world.advance(Duration::from_millis(seed % 11));
            let Some(_) = world.gateways[1 - side].sessions().pop() else { break };
        }
        world.advance(Duration::from_secs(100));
        for gateway in &world.gateways {
            assert_eq!((gateway.closed.len(), gateway.endpoint.spis_in_use()), (1, (0, 0)), "seed {seed}");
            assert!(gateway.children.is_empty(), "seed {seed}");
        }
        world.assert_empty();
    }
}

#[test]
fn a_peer_that_lacks_the_new_ike_sa_hears_of_the_end_on_the_old_one() {
    let mut world = World::new(LinkQuality::PERFECT, 1);
    world.initiate(0);
    world.connect();
    let sessions = [0, 1].map(|side: usize| world.gateways[side].session());
    world.ask(1, |endpoint, now| endpoint.rekey_ike(now, sessions[1]));
    // The request arrives, the answer does not.
    world.network.is_cut = true;
    world.advance(Duration::from_millis(200));
    world.network.is_cut = false;
    world.ask(0, |endpoint, now| endpoint.close(now, sessions[0], CloseReason::Administrative));
    world.advance(Duration::from_secs(1));
    assert_eq!(world.gateways[1].closed, [(sessions[1], CloseReason::PeerDeleted)]);
    world.assert_empty();
}
