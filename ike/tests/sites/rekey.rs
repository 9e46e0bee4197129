//! Keys are renewed from both sides while traffic flows.

use std::time::Duration;

use cygnet_ike::testing::LinkQuality;
use cygnet_ike::{Endpoint, Lifetime};

use super::world::{World, child, site};

const STEP: Duration = Duration::from_millis(20);

fn lifetime(soft: u64, hard: u64) -> Option<Lifetime> {
    Some(Lifetime::new(Duration::from_secs(soft), Duration::from_secs(hard)))
}

/// Lets packets flow in both directions for so many steps of 20 ms.
fn flow(world: &mut World, steps: u32) {
    for _ in 0..steps {
        world.traffic(0);
        world.traffic(1);
        world.advance(STEP);
    }
    world.advance(Duration::from_secs(1));
}

fn assert_nothing_lost(world: &World, seed: u64) {
    let [west, east] = &world.gateways;
    assert_eq!((west.lost, east.lost), (0, 0), "seed {seed}");
    assert_eq!((west.received, east.received), (east.sent, west.sent), "seed {seed}");
    assert!(west.sent > 0 && east.sent > 0);
}

#[test]
fn no_packet_is_lost_while_both_sides_renew_all_keys_on_time() {
    for seed in 0..60 {
        let sites = [0, 1].map(|own| {
            let mut site = site(own);
            site.timing.child_lifetime = lifetime(4, 60);
            site.timing.ike_lifetime = lifetime(9, 60);
            site
        });
        let mut world = World::with(sites, LinkQuality::PERFECT, seed);
        world.initiate(0);
        world.connect();
        let before = world.gateways[0].spis();
        flow(&mut world, 3000);
        assert_nothing_lost(&world, seed);
        world.advance(Duration::from_millis(500));
        assert_ne!(world.gateways[0].spis(), before);
        assert!(world.gateways.iter().all(|gateway| gateway.refusals.is_empty() && gateway.closed.is_empty()));
        world.assert_empty();
    }
}

#[test]
fn a_storm_of_rekeyings_from_both_sides_loses_nothing_and_leaves_one_pair() {
    for seed in 0..40 {
        let mut world = World::new(LinkQuality::PERFECT, seed);
        world.initiate(0);
        world.connect();
        for round in 0..100 {
            for side in 0..2 {
                world.traffic(side);
                // Every third round of one side only, so that the exchanges meet in all phases.
                if round % 3 == 0 && (round / 3) % 3 == side {
                    continue;
                }
                let (session, spis) = (world.gateways[side].session(), world.gateways[side].spis());
                world.ask(side, |endpoint, now| spis.iter().for_each(|spi| endpoint.rekey_child(now, session, *spi)));
                if round % 5 == 0 {
                    world.ask(side, |endpoint, now| endpoint.rekey_ike(now, session));
                }
            }
            world.advance(Duration::from_millis((seed * 7 + round as u64 * 3) % 45));
        }
        flow(&mut world, 50);
        assert_nothing_lost(&world, seed);
        world.advance(Duration::from_secs(130));
        world.assert_one(1);
        world.assert_empty();
    }
}

#[test]
fn a_rekeyed_child_sa_stays_the_same_tunnel_and_repeats_its_suite() {
    let sites = [0, 1].map(|own| {
        let mut site = site(own);
        let networks = [["10.1.0.0/16", "10.3.0.0/16"], ["10.2.0.0/16", "10.4.0.0/16"]];
        let tunnel = |name: &str, at: usize| child(name, &[networks[own][at]], &[networks[1 - own][at]]);
        site.children = vec![tunnel("first", 0), tunnel("second", 1)];
        site
    });
    let mut world = World::with(sites, LinkQuality::PERFECT, 1);
    world.initiate(0);
    world.connect();
    world.assert_one(2);
    for side in [0, 1, 0] {
        let before = world.gateways[0].sessions()[0].children.clone();
        let (session, spis) = (world.gateways[side].session(), world.gateways[side].spis());
        world.ask(side, |endpoint, now| spis.iter().for_each(|spi| endpoint.rekey_child(now, session, *spi)));
        world.advance(Duration::from_secs(2));
        world.assert_one(2);
        let mut after = world.gateways[0].sessions()[0].children.clone();
        after.sort_by(|one, other| one.name.cmp(&other.name));
        for (old, new) in before.iter().zip(&after) {
            assert_eq!((&old.name, &old.local_ts, old.suite), (&new.name, &new.local_ts, new.suite));
            assert_ne!(old.inbound_spi, new.inbound_spi);
        }
    }
    world.assert_empty();
}

#[test]
fn a_new_ike_sa_keeps_the_session_and_its_child_sas() {
    for side in 0..2 {
        let mut world = World::new(LinkQuality::PERFECT, 1);
        world.initiate(0);
        world.connect();
        let (session, spis) = (world.gateways[side].session(), world.gateways[side].spis());
        let precedence = world.gateways[side].sessions()[0].precedence;
        for _ in 0..3 {
            world.ask(side, |endpoint, now| endpoint.rekey_ike(now, session));
            world.advance(Duration::from_secs(1));
        }
        assert_eq!((world.gateways[side].session(), world.gateways[side].spis()), (session, spis));
        assert_eq!(world.gateways[side].sessions()[0].precedence, precedence);
        world.assert_one(1);
        world.advance(Duration::from_secs(150));
        assert!(world.gateways.iter().all(|gateway| gateway.endpoint.spis_in_use() == (1, 1)), "old ones are gone");
        world.assert_empty();
    }
}

#[test]
fn packets_count_for_liveness_and_silence_ends_the_session_on_both_sides() {
    // With MOBIKE the responder has more patience: the other side may be between two networks.
    let sites = [0, 1].map(|own| {
        let mut site = site(own);
        site.mobike = false;
        site
    });
    let mut world = World::with(sites, LinkQuality::PERFECT, 1);
    world.initiate(0);
    world.connect();
    for _ in 0..100 {
        world.advance(Duration::from_secs(10));
        for side in 0..2 {
            let session = world.gateways[side].session();
            world.ask(side, |endpoint, now| endpoint.note_inbound(now, session));
        }
    }
    let asked = |world: &World| world.gateways.each_ref().map(|gateway| gateway.endpoint.counters().sent);
    let before = asked(&world);
    world.advance(Duration::from_secs(20));
    assert_eq!(asked(&world), before, "nobody asks while packets come");
    world.network.is_cut = true;
    assert!(world.until(|world| world.gateways.iter().all(|gateway| !gateway.closed.is_empty())));
    let is_dead = |gateway: &super::world::Gateway| gateway.closed[0].1 == cygnet_ike::CloseReason::PeerDead;
    assert!(world.gateways.iter().all(is_dead));
    world.assert_empty();
}

#[test]
fn the_server_is_reminded_before_a_login_ends() {
    let mut west = site(0);
    west.reauthentication = Some(Duration::from_secs(1000));
    let mut world = World::with([west, site(1)], LinkQuality::PERFECT, 1);
    let session = world.initiate(0);
    world.connect();
    assert_eq!(world.gateways[0].reminders, []);
    for _ in 0..9 {
        world.advance(Duration::from_secs(99));
    }
    assert_eq!(world.gateways[0].reminders, []);
    world.advance(Duration::from_secs(20));
    assert_eq!(world.gateways[0].reminders, [(session, Duration::from_secs(100))]);
    assert_eq!(world.gateways[1].reminders, [], "it is for who began");
    // Make before break: the new session comes first, then the old one goes.
    world.initiate(0);
    world.advance(Duration::from_secs(2));
    world.ask(0, |endpoint, now| endpoint.close(now, session, cygnet_ike::CloseReason::Replaced));
    world.advance(Duration::from_secs(2));
    world.assert_one(1);
    let ask_all: fn(&mut Endpoint, std::time::Instant) = Endpoint::close_all;
    world.ask(0, ask_all);
    world.assert_empty();
}
