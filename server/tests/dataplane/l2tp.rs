//! L2TP clients made by hand against a data plane: what each may do, and that it does nothing to another.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use cygnet_esp::{AesBits, DropReason, Integ, Transform};
use cygnet_ike::Path;
use cygnet_server::dataplane::userspace::ToControl;
use cygnet_server::dataplane::{DataPlane, DataPlaneEvent, Link, SendError};

use crate::client::{Client, INSIDE, Sa, checksum};
use crate::gateways::{Gateways, LEFT, RIGHT, eventually};

const AES_SHA1: Transform = Transform::AesCbc(AesBits::Aes256, Integ::HmacSha1_96);
const SA: Sa = Sa { transform: AES_SHA1, number: 1, worker: 0 };
const LEASE: [u8; 4] = [10, 20, 0, 9];
const OTHER_LEASE: [u8; 4] = [10, 20, 0, 10];

/// LCP Echo-Request in session 1/1.
const LCP: [u8; 18] = [0, 2, 0, 1, 0, 1, 0xff, 0x03, 0xc0, 0x21, 9, 7, 0, 8, 1, 2, 3, 4];

/// A gateway on the right side. The left side is there for its wire only.
struct World(Gateways);

impl World {
    fn new() -> Self {
        let gateways = Gateways::new(2);
        gateways.namespaces[RIGHT].ip("route add 10.20.0.10 dev cygnet0");
        Self(gateways)
    }

    fn client(&self, sa: Sa, lease: [u8; 4]) -> Client {
        Client::new(&self.0.namespaces[LEFT], sa, lease, false)
    }

    /// The gateway knows the client and its link.
    fn connect(&mut self, client: &Client) {
        self.plane().install(client.pair(), None).unwrap();
        self.plane().link(client.sa.spi(), Some(client.link()));
    }

    fn plane(&mut self) -> &mut impl DataPlane {
        &mut self.0.sides[RIGHT].plane
    }

    fn dropped(&mut self, reason: DropReason) -> u64 {
        self.plane().counters().dropped(reason)
    }

    fn next_datagram(&mut self) -> Option<ToControl> {
        self.0.sides[RIGHT].datagrams.try_recv()
    }

    /// Requires an L2TP datagram of this client for the control plane.
    fn expect_control(&mut self, client: &Client, expected: &[u8]) {
        let ToControl::L2tp(datagram) = eventually("a datagram", || self.next_datagram()) else { panic!("not IKE") };
        assert_eq!((datagram.inbound_spi, datagram.port), (client.sa.spi(), 1701));
        assert_eq!(datagram.datagram, expected);
    }
}

#[test]
fn a_client_reaches_the_inside_with_every_suite_that_l2tp_clients_offer() {
    let mut world = World::new();
    let transforms = [
        AES_SHA1,
        Transform::AesCbc(AesBits::Aes128, Integ::HmacSha256_128),
        Transform::AesGcm16(AesBits::Aes256),
        Transform::TripleDesCbc(Integ::HmacSha1_96),
    ];
    for (number, transform) in (1..).zip(transforms) {
        let mut client = world.client(Sa { transform, number, worker: number % 2 }, LEASE);
        world.connect(&client);
        for sequence in 0..5 {
            client.ping(sequence);
        }
        let usage = world.plane().usage(client.sa.spi()).unwrap();
        assert_eq!((usage.packets_in, usage.bytes_in, usage.packets_out, usage.bytes_out), (5, 5 * 84, 5, 5 * 84));
        world.plane().remove(client.sa.spi());
    }
    world.0.assert_no_drops();
}

#[test]
fn a_wrong_or_zero_inner_udp_checksum_is_no_reason_to_drop_and_ours_is_zero_over_ipv4() {
    let mut world = World::new();
    let mut client = world.client(SA, LEASE);
    world.connect(&client);
    for (sequence, checksum) in [(0, 0), (1, 0xdead), (2, 0xffff)] {
        client.checksum = checksum;
        client.send(&client.seal_packet(&client.echo_request(sequence)));
        let answer = client.receive().unwrap();
        assert_eq!(answer.checksum, 0);
        assert_eq!(answer.packet()[12..20], [INSIDE.octets(), LEASE].concat());
        client.send(&client.seal(&LCP));
        world.expect_control(&client, &LCP);
    }
    world.plane().send_l2tp(SA.spi(), 1701, b"control").unwrap();
    assert_eq!(client.receive().unwrap().checksum, 0);
    world.0.assert_no_drops();
}

#[test]
fn the_inner_udp_checksum_is_right_over_ipv6() {
    let mut world = World::new();
    let mut client = Client::new(&world.0.namespaces[LEFT], SA, LEASE, true);
    world.connect(&client);
    client.send(&client.seal_packet(&client.echo_request(7)));
    let data = client.receive().unwrap();
    world.plane().send_l2tp(SA.spi(), 1701, b"control, odd length").unwrap();
    let control = client.receive().unwrap();
    for inside in [data, control] {
        let addresses = ["2001:db8::2", "2001:db8::1"].map(|a| a.parse::<std::net::Ipv6Addr>().unwrap().octets());
        let len = u16::try_from(inside.octets.len()).unwrap().to_be_bytes();
        let covered = [&addresses.concat()[..], &len, &[0, 17], &inside.octets].concat();
        assert_eq!(checksum(&covered), [0, 0]);
        assert_ne!(inside.checksum, 0);
    }
}

#[test]
fn twins_behind_one_nat_never_get_each_others_packets() {
    const PACKETS: u32 = 50_000;
    const WINDOW: u32 = 32;
    let mut world = World::new();
    let twins = [
        world.client(Sa { number: 1, worker: 0, ..SA }, LEASE),
        world.client(Sa { number: 2, worker: 1, ..SA }, OTHER_LEASE),
    ];
    assert_eq!(twins[0].path().peer.ip(), twins[1].path().peer.ip());
    for twin in &twins {
        world.connect(twin);
    }
    let spis = twins.each_ref().map(|twin| twin.sa.spi());
    thread::scope(|scope| {
        for mut twin in twins {
            scope.spawn(move || {
                let number = |n: u32| u16::try_from(n % 60_000).unwrap();
                for start in (0..PACKETS).step_by(WINDOW as usize) {
                    let window = start..(start + WINDOW).min(PACKETS);
                    window.clone().for_each(|n| twin.send(&twin.seal_packet(&twin.echo_request(number(n)))));
                    // The kernel may bring the first ones of a flow by two queues.
                    let answers: BTreeSet<u16> = window.clone().map(|_| twin.receive_answer()).collect();
                    assert_eq!(answers, window.map(number).collect());
                }
            });
        }
    });
    for spi in spis {
        let usage = world.plane().usage(spi).unwrap();
        assert_eq!((usage.packets_in, usage.packets_out), (PACKETS.into(), PACKETS.into()));
    }
    world.0.assert_no_drops();
}

#[test]
fn a_twin_cannot_use_the_lease_or_the_session_of_the_other() {
    let mut world = World::new();
    let mut one = world.client(Sa { number: 1, ..SA }, LEASE);
    let mut two = world.client(Sa { number: 2, ..SA }, OTHER_LEASE);
    world.connect(&one);
    world.plane().install(two.pair(), None).unwrap();
    world.plane().link(two.sa.spi(), Some(Link { local_session: 2, ..two.link() }));

    two.lease = LEASE.into();
    two.send(&two.seal(&[&[0, 2, 0, 1, 0, 2, 0xff, 0x03, 0, 0x21], &two.echo_request(1)[..]].concat()));
    eventually("drop", || (world.dropped(DropReason::Selector) == 1).then_some(()));
    two.lease = OTHER_LEASE.into();
    two.send(&two.seal_packet(&two.echo_request(2)));
    eventually("drop", || (world.dropped(DropReason::Session) == 1).then_some(()));
    one.ping(3);
}

#[test]
fn keepalives_runts_and_spi_zero_get_no_answer_and_do_no_harm() {
    let mut world = World::new();
    let mut client = world.client(SA, LEASE);
    world.connect(&client);
    let stranger = world.0.namespaces[LEFT].inside(|| UdpSocket::bind("192.0.2.1:0").unwrap());
    stranger.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let garbage: [&[u8]; 8] =
        [&[0xff], &[0], &[0xff, 0xff], &[1, 2, 3], &[0; 4], &[0; 200], &[0xff; 28], &[0, 0, 0, 1, 0, 0, 0, 0, 0]];
    for octets in garbage {
        stranger.send_to(octets, "192.0.2.2:4500").unwrap();
        client.send(octets);
        client.ping(1);
    }
    let counted = |world: &mut World| {
        let counters = world.plane().counters();
        (counters.keepalives, counters.dropped(DropReason::UnknownSpi), counters.dropped(DropReason::Runt))
    };
    // What names no worker goes to any of them.
    eventually("all of it", || (counted(&mut world) == (2, 4, 8)).then_some(()));
    let is_ike = |datagram: &ToControl| matches!(datagram, ToControl::Ike(_));
    for _ in 0..2 {
        eventually("a message, since SPI 0 is IKE's marker", || world.next_datagram().filter(is_ike));
    }
    assert!(stranger.recv(&mut [0; 100]).is_err(), "an answer");
    assert!(!std::iter::from_fn(|| world.next_datagram()).any(|datagram| is_ike(&datagram)), "one more");
}

#[test]
fn a_client_that_moves_is_followed_after_an_authentic_packet_only() {
    let mut world = World::new();
    let mut client = world.client(SA, LEASE);
    world.connect(&client);
    client.ping(1);
    let spi = SA.spi();
    assert_eq!(world.0.event(RIGHT), DataPlaneEvent::FirstInbound { spi });

    let replayed = client.seal_packet(&client.echo_request(2));
    client.send(&replayed);
    client.expect_answer(2);
    client.rebind(&world.0.namespaces[LEFT]);
    let mut forged = client.seal_packet(&client.echo_request(3));
    *forged.last_mut().unwrap() ^= 1;
    client.send(&forged);
    client.send(&replayed);
    let dropped = |world: &mut World| (world.dropped(DropReason::Integrity), world.dropped(DropReason::Replayed));
    eventually("drops", || (dropped(&mut world) == (1, 1)).then_some(()));
    assert_eq!(world.plane().poll_event(), None);

    client.send(&client.seal(&LCP));
    let path = client.path();
    assert_eq!(world.0.event(RIGHT), DataPlaneEvent::PeerMoved { spi, path });
    world.plane().move_peer(spi, path, true);
    client.ping(4);
    world.plane().send_l2tp(spi, 1701, b"hello").unwrap();
    assert_eq!(client.receive().unwrap().payload(), b"hello");
}

#[test]
fn a_client_without_nat_may_use_raw_esp() {
    let mut world = World::new();
    let mut client = Client::raw(&world.0.namespaces[LEFT], Sa { worker: 1, ..SA }, LEASE);
    world.connect(&client);
    for sequence in 0..20 {
        client.ping(sequence);
    }
    world.plane().send_l2tp(client.sa.spi(), 1701, b"hello").unwrap();
    assert_eq!(client.receive().unwrap().payload(), b"hello");
    client.send(&client.seal(&LCP));
    world.expect_control(&client, &LCP);
}

#[test]
fn a_pair_that_was_negotiated_raw_carries_traffic_in_udp_when_that_arrives() {
    let mut world = World::new();
    let mut client = world.client(SA, LEASE);
    let raw = Path { local: "192.0.2.2:500".parse().unwrap(), peer: "192.0.2.1:500".parse().unwrap() };
    let mut pair = client.pair();
    (pair.udp_encap, pair.path) = (false, raw);
    world.plane().install(pair, None).unwrap();
    world.plane().link(SA.spi(), Some(client.link()));

    client.send(&client.seal(&LCP));
    world.expect_control(&client, &LCP);
    assert_eq!(world.0.event(RIGHT), DataPlaneEvent::FirstInbound { spi: SA.spi() });
    let changed = DataPlaneEvent::EncapsulationChanged { spi: SA.spi(), udp_encap: true, path: client.path() };
    assert_eq!(world.0.event(RIGHT), changed);
    world.plane().move_peer(SA.spi(), client.path(), true);
    client.ping(1);
    client.rebind(&world.0.namespaces[LEFT]);
    thread::sleep(Duration::from_millis(1100));
    client.send(&client.seal(&LCP));
    assert_eq!(world.0.event(RIGHT), DataPlaneEvent::PeerMoved { spi: SA.spi(), path: client.path() });
}

#[test]
fn a_client_that_cuts_its_code_to_96_bits_is_noticed_and_served_by_the_suite_for_it() {
    let mut world = World::new();
    let mut client =
        world.client(Sa { transform: Transform::AesCbc(AesBits::Aes256, Integ::HmacSha256_96), ..SA }, LEASE);
    let mut pair = client.pair();
    let whole = Transform::AesCbc(AesBits::Aes256, Integ::HmacSha256_128);
    (pair.inbound.suite.transform, pair.outbound.suite.transform) = (whole, whole);
    world.plane().install(pair, None).unwrap();
    for _ in 0..5 {
        client.send(&client.seal(&LCP));
    }
    assert_eq!(world.0.event(RIGHT), DataPlaneEvent::AllForged { spi: SA.spi() });
    thread::sleep(Duration::from_millis(50));
    assert_eq!(world.plane().poll_event(), None, "told once");
    assert!(world.next_datagram().is_none());

    world.plane().remove(SA.spi());
    world.connect(&client);
    client.ping(1);
}

#[test]
fn control_messages_leave_by_the_pair_that_sends_and_a_rekey_loses_nothing() {
    let mut world = World::new();
    let mut old = world.client(Sa { number: 1, ..SA }, LEASE);
    world.connect(&old);
    old.ping(1);

    // The successor waits: all that the gateway says, by whatever name, leaves by the old pair.
    let mut new = world.client(Sa { number: 2, worker: 1, ..SA }, LEASE);
    world.plane().install(new.pair(), Some(old.sa.spi())).unwrap();
    for spi in [old.sa.spi(), new.sa.spi()] {
        world.plane().send_l2tp(spi, 1701, b"hello").unwrap();
        assert_eq!(old.receive().unwrap().payload(), b"hello");
    }
    old.ping(2);

    // Heard: the link came over at once, and late packets on the old pair are still taken.
    let late = old.seal_packet(&old.echo_request(3));
    new.sa.number = 2;
    new.ping(4);
    old.send(&late);
    let inside = new.receive().unwrap();
    assert_eq!(inside.packet()[16..20], LEASE, "the answer to the late packet leaves by the new pair");
    world.plane().send_l2tp(old.sa.spi(), 1701, b"hello").unwrap();
    assert_eq!(new.receive().unwrap().payload(), b"hello");

    world.plane().remove(old.sa.spi());
    new.ping(5);
    assert!(matches!(world.plane().send_l2tp(old.sa.spi(), 1701, b"x"), Err(SendError::UnknownPair(_))));
    world.0.assert_no_drops();
}

#[test]
fn a_link_that_is_taken_away_carries_nothing_and_the_pair_still_talks_to_the_control_plane() {
    let mut world = World::new();
    let mut client = world.client(SA, LEASE);
    world.connect(&client);
    client.ping(1);
    world.plane().link(SA.spi(), None);
    let data = client.echo_request(2);
    client.send(&client.seal_packet(&data));
    let message = [&[0, 2, 0, 1, 0, 1, 0xff, 0x03, 0, 0x21], &data[..]].concat();
    world.expect_control(&client, &message);
    assert!(!world.0.namespaces[RIGHT].succeeds("ping", "-c 1 -W 1 10.20.0.9"));
    assert!(world.dropped(DropReason::NoSa) >= 1);
    world.plane().link(SA.spi(), Some(client.link()));
    client.ping(3);
}

#[test]
fn one_client_that_floods_the_control_plane_stops_neither_itself_nor_another() {
    let mut world = World::new();
    let mut flooding = world.client(Sa { number: 1, ..SA }, LEASE);
    let calm = world.client(Sa { number: 2, ..SA }, OTHER_LEASE);
    world.connect(&flooding);
    world.connect(&calm);
    for _ in 0..5000 {
        flooding.send(&flooding.seal(&LCP));
    }
    flooding.ping(1);
    calm.send(&calm.seal(&LCP));
    let overflow = eventually("overflow", || Some(world.plane().counters().l2tp_overflow).filter(|count| *count > 0));
    let is_of = |client: &Client, datagram: &ToControl| match datagram {
        ToControl::L2tp(l2tp) => l2tp.inbound_spi == client.sa.spi(),
        ToControl::Ike(_) => false,
    };
    let mut passed = 0;
    eventually("the datagram of the calm client", || {
        let next = std::iter::from_fn(|| world.next_datagram());
        let next = next.inspect(|datagram| passed += u32::from(is_of(&flooding, datagram)));
        next.filter(|datagram| is_of(&calm, datagram)).last()
    });
    assert!(passed < 1000 && overflow > 1000, "{passed} passed, {overflow} did not");
}

#[test]
fn packets_longer_than_the_peer_takes_are_not_sent() {
    let mut world = World::new();
    let client = world.client(SA, LEASE);
    world.plane().install(client.pair(), None).unwrap();
    world.plane().link(SA.spi(), Some(Link { mtu: 1000, ..client.link() }));
    let _ping = world.0.namespaces[RIGHT].start("ping", "-c 1 -W 1 -s 1200 10.20.0.9");
    eventually("drop", || (world.dropped(DropReason::TooBig) == 1).then_some(()));
}
