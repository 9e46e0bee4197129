//! Sites that move by MOBIKE, RFC 4555: as the initiator because its address changed or because one of the peer's fell silent,
//! as the responder because it is told so.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use cygnet_ike::config::Config;
use cygnet_ike::testing::LinkQuality;
use cygnet_ike::{ChildMode, CloseReason, Endpoint, Path, RefusalReason, Site, Timing};

use super::network::Parcel;
use super::world::{ADDRESSES, Gateway, World, identity, site};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The first gateway has another address from now on; at its old one nobody is any more.
fn relocate(world: &mut World, address: IpAddr) {
    let session = world.gateways[0].session();
    let old = world.gateways[0].sessions()[0].path;
    world.network.dead.retain(|dead| *dead != address);
    if old.local.ip() != address {
        world.network.dead.push(old.local.ip());
    }
    let path = Path { local: SocketAddr::new(address, 4500), peer: SocketAddr::new(old.peer.ip(), 4500) };
    world.ask(0, |endpoint, now| endpoint.relocate(now, session, path));
}

/// Both ends, and all their Child SAs, send to where the other is.
fn assert_same_path(world: &World, what: &str) {
    let [west, east] = &world.gateways;
    let (one, other) = (west.sessions()[0].path, east.sessions()[0].path);
    assert_eq!((one.local, one.peer), (other.peer, other.local), "{what}");
    for gateway in [west, east] {
        let path = gateway.sessions()[0].path;
        assert!(gateway.children.values().all(|child| child.path == path), "{what}: a Child SA was left behind");
    }
}

fn connected(quality: LinkQuality, seed: u64) -> World {
    let mut world = World::new(LinkQuality::PERFECT, seed);
    world.initiate(0);
    world.connect();
    world.network.quality = quality;
    world
}

fn pass_traffic(world: &mut World) {
    let before = [0, 1].map(|side: usize| world.gateways[side].received);
    world.traffic(0);
    world.traffic(1);
    world.advance(Duration::from_secs(2));
    assert_eq!([0, 1].map(|side: usize| world.gateways[side].received), before.map(|count| count + 1));
}

#[test]
fn an_initiator_takes_its_tunnels_along_to_a_new_address() {
    let mut world = connected(LinkQuality::PERFECT, 1);
    for address in ["192.0.2.77", "192.0.2.78", "192.0.2.1"] {
        relocate(&mut world, ip(address));
        world.advance(Duration::from_secs(1));
        world.assert_one(1);
        assert_same_path(&world, address);
        assert_eq!(world.gateways[0].sessions()[0].path.local.ip(), ip(address));
        pass_traffic(&mut world);
    }
    assert!(world.gateways.iter().all(|gateway| gateway.refusals.is_empty() && gateway.established.len() == 1));
    world.assert_empty();
}

#[test]
fn what_is_on_its_way_gets_through_from_the_new_address() {
    let mut world = connected(LinkQuality::PERFECT, 1);
    let (session, spi) = (world.gateways[0].session(), world.gateways[0].spis()[0]);
    world.ask(0, |endpoint, now| endpoint.rekey_child(now, session, spi));
    relocate(&mut world, ip("192.0.2.77"));
    world.advance(Duration::from_secs(1));
    world.assert_one(1);
    assert_ne!(world.gateways[0].spis()[0], spi, "rekeyed meanwhile");
    let session = world.gateways[0].session();
    world.ask(0, |endpoint, now| endpoint.rekey_ike(now, session));
    relocate(&mut world, ip("192.0.2.78"));
    world.advance(Duration::from_secs(1));
    world.assert_one(1);
    assert_same_path(&world, "while rekeying");
    world.assert_empty();
}

#[test]
fn an_initiator_turns_to_another_address_of_a_peer_that_falls_silent() {
    let second = ip("198.51.100.2");
    let mut world = World::new(LinkQuality::PERFECT, 1);
    let mut config = Config::new(identity("gateway.example"));
    let of_east = Arc::new(site(1));
    config.sites = vec![of_east.clone()];
    config.addresses = vec![ADDRESSES[1], second, ip("2001:db8::2")];
    world.gateways[1] = Gateway::with_config(config, of_east, 3);
    world.initiate(0);
    world.connect();
    world.network.dead.push(ADDRESSES[1]);
    world.advance(Duration::from_secs(150));
    world.assert_one(1);
    assert_same_path(&world, "the second address");
    assert_eq!(world.gateways[0].sessions()[0].path.peer.ip(), second);
    pass_traffic(&mut world);
    // Without any path left it is the end, within reason.
    world.network.dead.push(second);
    world.advance(Duration::from_secs(400));
    assert!(world.gateways.iter().all(|gateway| gateway.sessions().is_empty()));
    assert_eq!(world.gateways[0].closed[0].1, CloseReason::PeerDead);
    world.assert_empty();
}

#[test]
fn an_initiator_notices_that_its_translator_has_another_address() {
    let mut world = World::with([site(0), site(1)].map(unfussy), LinkQuality::PERFECT, 1);
    world.network.translates = true;
    world.initiate(0);
    world.connect();
    world.advance(Duration::from_secs(100));
    world.network.outside = ip("203.0.113.99");
    world.advance(Duration::from_secs(100));
    world.assert_one(1);
    let path = world.gateways[1].sessions()[0].path;
    assert_eq!(path.peer.ip(), ip("203.0.113.99"));
    assert!(world.gateways[1].children.values().all(|child| child.path == path && child.udp_encap));
    world.assert_empty();
}

fn unfussy(mut site: Site) -> Site {
    site.peer_addresses.clear();
    site
}

#[test]
fn who_has_not_agreed_to_it_stays() {
    for unwilling in 0..2 {
        let mut sites = [site(0), site(1)];
        sites[unwilling].mobike = false;
        let mut world = World::with(sites, LinkQuality::PERFECT, 1);
        world.initiate(0);
        world.connect();
        assert!(world.gateways.iter().all(|gateway| !gateway.sessions()[0].mobike));
        let before = world.gateways[0].sessions()[0].path;
        let session = world.gateways[0].session();
        let path = Path { local: SocketAddr::new(ip("192.0.2.77"), 4500), ..before };
        world.ask(0, |endpoint, now| endpoint.relocate(now, session, path));
        assert_eq!(world.gateways[0].sessions()[0].path, before);
        world.assert_empty();
    }
}

#[test]
fn the_responder_does_not_move_a_session() {
    let mut world = connected(LinkQuality::PERFECT, 1);
    let (session, before) = (world.gateways[1].session(), world.gateways[1].sessions()[0].path);
    let path = Path { local: SocketAddr::new(ip("198.51.100.2"), 4500), ..before };
    world.ask(1, |endpoint, now| endpoint.relocate(now, session, path));
    assert_eq!(world.gateways[1].sessions()[0].path, before);
    world.assert_empty();
}

#[test]
fn an_initiator_is_not_moved_by_packets_from_elsewhere() {
    let mut world = connected(LinkQuality::PERFECT, 1);
    let (session, before) = (world.gateways[0].session(), world.gateways[0].sessions()[0].path);
    let path = Path { peer: "203.0.113.50:4500".parse().expect("an address"), ..before };
    world.ask(0, |endpoint, now| assert!(!endpoint.peer_moved(now, session, path)));
    assert_eq!(world.gateways[0].sessions()[0].path, before);
    world.assert_empty();
}

#[test]
fn an_answer_from_elsewhere_is_a_sign_of_life_and_moves_nothing() {
    let mut world = connected(LinkQuality::PERFECT, 1);
    let (session, spi) = (world.gateways[1].session(), world.gateways[1].spis()[0]);
    let before = world.gateways[1].sessions()[0].path;
    world.advance(Duration::from_secs(5));
    world.ask(1, |endpoint, now| endpoint.rekey_child(now, session, spi));
    world.advance(Duration::from_millis(15));
    let answer = world.network.on_the_way().find(|(to, _)| *to == 1).map(|(_, parcel)| parcel.clone());
    let Some(Parcel::Ike(path, answer)) = answer else { panic!("an answer is on its way") };
    world.network.lose_all();
    let elsewhere = Path { peer: "203.0.113.50:4500".parse().expect("an address"), ..path };
    world.network.forge(world.now, 1, elsewhere, answer.to_vec());
    world.advance(Duration::ZERO);
    let info = world.gateways[1].sessions().remove(0);
    assert_eq!((info.path, info.last_heard), (before, world.now));
    world.advance(Duration::from_secs(10));
    world.assert_one(1);
    world.assert_empty();
}

#[test]
fn an_initiator_that_moves_too_often_for_its_peer_gets_there_a_little_later() {
    let mut world = connected(LinkQuality::PERFECT, 1);
    for round in 0..30 {
        relocate(&mut world, ip(if round % 2 == 0 { "192.0.2.77" } else { "192.0.2.78" }));
        world.advance(Duration::from_millis(100));
    }
    assert!(!world.gateways[1].refusals.is_empty(), "the limit was reached");
    world.advance(Duration::from_secs(10));
    assert!(world.gateways.iter().all(|gateway| gateway.closed.is_empty()));
    assert_same_path(&world, "later");
    pass_traffic(&mut world);
    world.assert_empty();
}

#[test]
fn a_refused_address_is_the_end_of_the_session() {
    let sites = [site(0), site(1)].map(|mut site| {
        site.children[0].mode = ChildMode::Transport;
        (site.children[0].local, site.children[0].remote) = (Vec::new(), Vec::new());
        site
    });
    let mut world = World::with(sites, LinkQuality::PERFECT, 1);
    world.initiate(0);
    world.connect();
    relocate(&mut world, ip("192.0.2.77"));
    world.advance(Duration::from_secs(5));
    assert!(matches!(world.gateways[0].refusals[..], [RefusalReason::AddressesRefused { .. }]));
    assert_eq!(world.gateways[0].closed.len(), 1);
    world.assert_empty();
}

#[test]
fn a_peer_that_lacks_the_new_ike_sa_is_told_on_the_old_one() {
    let mut world = connected(LinkQuality::PERFECT, 1);
    let session = world.gateways[1].session();
    world.ask(1, |endpoint, now| endpoint.rekey_ike(now, session));
    // The request arrives, the answer does not.
    world.network.dead.push(ADDRESSES[0]);
    world.advance(Duration::from_millis(200));
    relocate(&mut world, ip("192.0.2.77"));
    world.advance(Duration::from_secs(20));
    world.assert_one(1);
    assert_same_path(&world, "the answer was lost");
    assert_eq!(world.gateways[0].sessions()[0].path.local.ip(), ip("192.0.2.77"));
    pass_traffic(&mut world);
    assert!(world.gateways.iter().all(|gateway| gateway.refusals.is_empty() && gateway.closed.is_empty()));
    world.assert_empty();
}

#[test]
fn an_update_that_was_lost_reaches_a_peer_that_rekeys_meanwhile() {
    let mut world = connected(LinkQuality::PERFECT, 1);
    relocate(&mut world, ip("192.0.2.77"));
    world.network.lose_all();
    // For a moment both addresses work.
    world.network.dead.clear();
    let session = world.gateways[1].session();
    world.ask(1, |endpoint, now| endpoint.rekey_ike(now, session));
    world.network.dead.push(ADDRESSES[0]);
    world.advance(Duration::from_secs(20));
    world.assert_one(1);
    assert_same_path(&world, "the update was lost");
    pass_traffic(&mut world);
    world.assert_empty();
}

#[test]
fn an_update_on_an_ike_sa_that_was_replaced_is_older_than_one_on_its_successor() {
    let mut world = connected(LinkQuality::PERFECT, 1);
    relocate(&mut world, ip("192.0.2.77"));
    let late = world.network.on_the_way().map(|(_, parcel)| parcel.clone()).next();
    let Some(Parcel::Ike(from, update)) = late else { panic!("an update is on its way") };
    world.network.lose_all();
    world.network.dead.clear();
    let session = world.gateways[1].session();
    world.ask(1, |endpoint, now| endpoint.rekey_ike(now, session));
    world.advance(Duration::from_secs(1));
    relocate(&mut world, ip("192.0.2.78"));
    world.advance(Duration::from_secs(1));
    assert_same_path(&world, "before");
    let moves = world.gateways[1].moves.len();
    world.network.dead.clear();
    world.network.forge(world.now, 1, from, update.to_vec());
    world.advance(Duration::ZERO);
    let answer = Path { local: from.peer, peer: from.local };
    let is_answer =
        |(to, parcel): &&(usize, Parcel)| matches!(parcel, Parcel::Ike(path, _) if *to == 0 && *path == answer);
    assert_eq!(world.network.on_the_way().filter(is_answer).count(), 1, "it is answered where it came from");
    world.advance(Duration::from_secs(1));
    assert_eq!(world.gateways[1].moves.len(), moves);
    assert_same_path(&world, "after");
    world.assert_empty();
}

#[test]
fn who_has_come_back_asks_again_about_what_was_asked_before() {
    let mut world = connected(LinkQuality::PERFECT, 1);
    relocate(&mut world, ip("192.0.2.77"));
    world.network.lose_all();
    relocate(&mut world, ip("192.0.2.78"));
    // The copy from the second address arrives, its answer does not.
    world.network.dead.push(ip("192.0.2.78"));
    world.advance(Duration::from_millis(200));
    assert_eq!(world.gateways[1].sessions()[0].path.peer.ip(), ip("192.0.2.78"));
    relocate(&mut world, ip("192.0.2.77"));
    world.advance(Duration::from_secs(5));
    world.assert_one(1);
    assert_same_path(&world, "back again");
    assert!(world.gateways.iter().all(|gateway| !gateway.sessions()[0].behind_nat));
    pass_traffic(&mut world);
    world.assert_empty();
}

/// Moves, rekeys and losses in any order; whether it was survived. Then one session is left, and both ends agree on where they are.
fn wander(seed: u64, quality: LinkQuality, transmissions: u32) -> bool {
    let sites = [site(0), site(1)].map(|mut site| {
        site.timing.transmissions = transmissions;
        site
    });
    let mut world = World::with(sites, LinkQuality::PERFECT, seed);
    world.initiate(0);
    world.connect();
    world.network.quality = quality;
    let places = ["192.0.2.1", "192.0.2.77", "192.0.2.78"];
    let mut dice = seed;
    let mut roll = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    for _ in 0..8 {
        let side = usize::from(roll(2) == 1);
        let (session, spi) = (world.gateways[side].session(), world.gateways[side].spis().first().copied());
        match (roll(4), spi) {
            (0 | 1, _) => relocate(&mut world, ip(places[usize::try_from(roll(3)).expect("small")])),
            (2, Some(spi)) => world.ask(side, |endpoint, now| endpoint.rekey_child(now, session, spi)),
            _ => world.ask(side, |endpoint, now| endpoint.rekey_ike(now, session)),
        }
        world.advance(Duration::from_millis(roll(3000)));
        assert!(world.gateways.iter().all(|gateway| gateway.closed.is_empty()), "seed {seed}");
    }
    world.advance(Duration::from_secs(60));
    world.network.quality = LinkQuality::PERFECT;
    world.advance(Duration::from_secs(200));
    if world.gateways.iter().any(|gateway| !gateway.closed.is_empty()) {
        let ends = world.gateways.each_ref().map(|gateway| (gateway.closed.clone(), gateway.refusals.clone()));
        eprintln!("seed {seed}: {ends:?}");
        assert!(world.gateways.iter().all(|gateway| gateway.sessions().is_empty()), "seed {seed}: one end is left");
        world.assert_empty();
        return false;
    }
    world.assert_one(1);
    assert_same_path(&world, &format!("seed {seed}"));
    pass_traffic(&mut world);
    world.assert_empty();
    true
}

#[test]
fn five_hundred_wanderings_over_a_perfect_network() {
    let default = Timing::default().transmissions;
    assert!((0..500).all(|seed| wander(seed, LinkQuality::PERFECT, default)));
}

#[test]
fn a_thousand_wanderings_over_a_terrible_network() {
    // So many transmissions that none of a request is ever given up.
    let lost: Vec<u64> = (1_000_000..1_001_000).filter(|seed| !wander(*seed, LinkQuality::TERRIBLE, 14)).collect();
    assert_eq!(lost, []);
}

#[test]
fn two_hundred_wanderings_over_a_terrible_network_with_the_default_patience() {
    // Of a request and its answer one is lost in 36 of 100 cases, and that five times in a row in 6 of 1000. It ends the session
    // unless the peer is heard meanwhile.
    let default = Timing::default().transmissions;
    let lost = (2_000_000..2_000_200).filter(|seed| !wander(*seed, LinkQuality::TERRIBLE, default)).count();
    assert!(lost <= 6, "{lost} of 200 were given up");
}

#[test]
fn a_session_that_is_closed_while_it_moves_is_gone_on_both_sides() {
    let mut world = connected(LinkQuality::PERFECT, 1);
    let session = world.gateways[0].session();
    relocate(&mut world, ip("192.0.2.77"));
    world.ask(0, |endpoint: &mut Endpoint, now| endpoint.close(now, session, CloseReason::Administrative));
    world.advance(Duration::from_secs(5));
    assert!(world.gateways.iter().all(|gateway| gateway.sessions().is_empty()));
    world.assert_empty();
}
