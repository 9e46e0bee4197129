//! What any data plane has to do, between two of them in network namespaces, with SAs that are set by hand.
//!
//! Needs root. Does not: run IKE.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

mod client;
mod gateways;
mod l2tp;
mod namespaces;
mod path_mtu;
mod sites;
mod transport;

use std::net::UdpSocket;
use std::time::Duration;

use cygnet_esp::selector::{Selector, SelectorSet};
use cygnet_esp::{AesBits, DropReason, Integ, Transform};
use cygnet_ike::{EspSpi, Path};
use cygnet_server::dataplane::userspace::{self, DataPlaneConfig, Offload, Started, ToControl};
use cygnet_server::dataplane::{DataPlane, DataPlaneEvent, InstallError, Usage};
use cygnet_server::io::clock::Clock;

use gateways::{Gateways, INNER_V4, INNER_V6, LEFT, RIGHT, Tunnel, config, eventually};
use namespaces::{Namespace, Running};

/// Moves `megabytes` by TCP from `side`'s peer to `side` and back.
fn transfer(gateways: &Gateways, inner: [&str; 2], megabytes: u32) {
    for direction in ["", "-R"] {
        let _server = serve(&gateways.namespaces[RIGHT], inner[RIGHT]);
        gateways.namespaces[LEFT]
            .run("iperf3", &format!("-c {} -n {megabytes}M --connect-timeout 5000 {direction}", inner[RIGHT]));
    }
}

fn serve(namespace: &Namespace, address: &str) -> Running {
    let server = namespace.start("iperf3", &format!("-s -B {address}"));
    eventually("iperf3 server", || namespace.run("ss", "-Htln").contains(":5201").then_some(()));
    server
}

fn carries_everything(tunnel: Tunnel) {
    carries_everything_between(Gateways::new(2), tunnel);
}

fn carries_everything_between(mut gateways: Gateways, tunnel: Tunnel) {
    gateways.install(tunnel, None);
    for inner in [INNER_V4, INNER_V6] {
        gateways.ping(LEFT, inner[RIGHT], "");
        gateways.ping(RIGHT, inner[LEFT], "-s 1300");
        transfer(&gateways, inner, 20);
    }
    gateways.assert_no_drops();
    for usage in everything_that_left_arrived(&gateways, tunnel) {
        assert!(usage.bytes_in > 30 << 20 && usage.last_heard.is_some(), "{usage:?}");
    }
}

/// Compares what one side sent with what the other one received, once nothing is on its way any more.
fn everything_that_left_arrived(gateways: &Gateways, tunnel: Tunnel) -> [Usage; 2] {
    let usage = |side: usize| gateways.sides[side].plane.usage(tunnel.spi(side)).unwrap();
    eventually("equal usage of both sides", || {
        let [left, right] = [usage(LEFT), usage(RIGHT)];
        let sent = [&left, &right].map(|usage| (usage.packets_out, usage.bytes_out));
        let received = [&right, &left].map(|usage| (usage.packets_in, usage.bytes_in));
        (sent == received).then_some([left, right])
    })
}

#[test]
fn esp_in_udp_over_ipv4() {
    carries_everything(Tunnel::default());
}

#[test]
fn esp_in_udp_over_ipv6() {
    carries_everything(Tunnel { outer_ipv6: true, transform: Transform::ChaCha20Poly1305, ..Tunnel::default() });
}

#[test]
fn raw_esp_over_ipv4() {
    carries_everything(Tunnel { udp_encap: false, worker: 1, ..Tunnel::default() });
}

#[test]
fn raw_esp_over_ipv6() {
    let transform = Transform::AesCbc(AesBits::Aes256, Integ::HmacSha256_128);
    carries_everything(Tunnel { udp_encap: false, outer_ipv6: true, transform, worker: 1, ..Tunnel::default() });
}

#[test]
fn cbc_in_udp_on_the_second_worker() {
    let transform = Transform::AesCbc(AesBits::Aes128, Integ::HmacSha1_96);
    carries_everything(Tunnel { transform, worker: 1, ..Tunnel::default() });
}

#[test]
fn l2tp_in_udp_over_ipv4() {
    carries_everything(Tunnel { l2tp: true, ..Tunnel::default() });
}

#[test]
fn l2tp_in_udp_over_ipv6() {
    let transform = Transform::AesCbc(AesBits::Aes256, Integ::HmacSha1_96);
    carries_everything(Tunnel { l2tp: true, outer_ipv6: true, transform, ..Tunnel::default() });
}

#[test]
fn l2tp_in_raw_esp() {
    let transform = Transform::TripleDesCbc(Integ::HmacSha1_96);
    carries_everything(Tunnel { l2tp: true, udp_encap: false, transform, worker: 1, ..Tunnel::default() });
}

#[test]
fn without_offload_on_one_side_or_both() {
    for sides in [[Offload::Off, Offload::AsGranted], [Offload::Off, Offload::Off]] {
        let gateways = Gateways::started(|side| {
            let tunnel = [Tunnel::default(), Tunnel { outer_ipv6: true, ..Tunnel::default() }];
            let listen = tunnel.map(|tunnel| tunnel.path(side).local.ip()).to_vec();
            (DataPlaneConfig { listen, ..config(2) }, sides[side])
        });
        let features = gateways.sides[LEFT].features;
        assert!(!features.tun.queues && !features.tun.tcp_segmentation && !features.udp_segmentation);
        carries_everything_between(gateways, Tunnel { worker: 1, ..Tunnel::default() });
    }
}

#[test]
fn the_soft_limit_is_told_once() {
    let mut gateways = Gateways::new(1);
    let tunnel = Tunnel::default();
    let mut pair = tunnel.pair(LEFT);
    pair.outbound.soft_limit = Some(3);
    gateways.sides[LEFT].plane.install(pair, None).unwrap();
    gateways.sides[RIGHT].plane.install(tunnel.pair(RIGHT), None).unwrap();
    gateways.ping(LEFT, INNER_V4[RIGHT], "");
    let told = std::iter::from_fn(|| gateways.sides[LEFT].plane.poll_event());
    let spi = tunnel.spi(LEFT);
    let expected = [DataPlaneEvent::SoftLimit { spi }, DataPlaneEvent::FirstInbound { spi }];
    assert_eq!(told.collect::<Vec<_>>(), expected, "what must not be lost comes first");
}

#[test]
fn udp_in_the_tunnel_arrives_whole() {
    let gateways = Gateways::with(Tunnel::default());
    for direction in ["", "-R"] {
        let _server = serve(&gateways.namespaces[RIGHT], INNER_V4[RIGHT]);
        gateways.namespaces[LEFT]
            .run("iperf3", &format!("-c {} -u -b 50M -n 10M -l 1200 {direction}", INNER_V4[RIGHT]));
    }
    gateways.assert_no_drops();
    for usage in everything_that_left_arrived(&gateways, Tunnel::default()) {
        assert!(usage.packets_in > 8000, "{usage:?}");
    }
}

#[test]
fn packets_too_long_for_the_wire_are_fragmented_outside() {
    for (udp_encap, l2tp) in [(true, false), (false, false), (true, true)] {
        let gateways = Gateways::with(Tunnel { udp_encap, l2tp, ..Tunnel::default() });
        for side in [LEFT, RIGHT] {
            gateways.namespaces[side].ip("link set cygnet0 mtu 1500");
        }
        gateways.ping(LEFT, INNER_V4[RIGHT], "-M do -s 1472");
        transfer(&gateways, INNER_V4, 5);
        gateways.assert_no_drops();
    }
}

#[test]
fn a_successor_sends_once_it_is_heard_and_nothing_gets_lost() {
    rekeys(Tunnel::default());
}

#[test]
fn an_l2tp_session_survives_a_rekey_in_both_directions() {
    rekeys(Tunnel { l2tp: true, ..Tunnel::default() });
}

fn rekeys(old: Tunnel) {
    let mut gateways = Gateways::with(old);
    let new = Tunnel { number: 2, ..old };
    gateways.ping(LEFT, INNER_V4[RIGHT], "");
    assert_eq!(gateways.event(RIGHT), DataPlaneEvent::FirstInbound { spi: old.spi(RIGHT) });
    let out = |gateways: &Gateways, side: usize, tunnel: Tunnel| {
        gateways.sides[side].plane.usage(tunnel.spi(side)).map_or(0, |usage| usage.packets_out)
    };

    // Both know the new pair; both go on sending with the old one.
    gateways.install(new, Some(old));
    gateways.ping(LEFT, INNER_V4[RIGHT], "");
    assert_eq!((out(&gateways, LEFT, new), out(&gateways, RIGHT, new)), (0, 0));

    // The left side deletes the old pair, so it sends with the new one; the right side hears it and follows at once.
    gateways.sides[LEFT].plane.remove(old.spi(LEFT));
    let before = out(&gateways, RIGHT, old);
    gateways.ping(LEFT, INNER_V4[RIGHT], "");
    assert_eq!(out(&gateways, LEFT, new), 5);
    assert_eq!((out(&gateways, RIGHT, new), out(&gateways, RIGHT, old)), (5, before));
    assert_eq!(gateways.event(RIGHT), DataPlaneEvent::FirstInbound { spi: new.spi(RIGHT) });
    gateways.sides[RIGHT].plane.remove(old.spi(RIGHT));
    gateways.ping(RIGHT, INNER_V4[LEFT], "");
    gateways.assert_no_drops();
    assert_eq!(gateways.sides[RIGHT].plane.usage(old.spi(RIGHT)), None);
}

#[test]
fn a_peer_that_moves_is_told_and_followed_only_on_request() {
    let tunnel = Tunnel::default();
    let mut gateways = Gateways::with(tunnel);
    gateways.ping(LEFT, INNER_V4[RIGHT], "");
    assert_eq!(gateways.event(RIGHT), DataPlaneEvent::FirstInbound { spi: tunnel.spi(RIGHT) });

    let moved = Path { local: "192.0.2.101:4500".parse().unwrap(), ..tunnel.path(LEFT) };
    gateways.sides[LEFT].plane.move_peer(tunnel.spi(LEFT), moved, true);
    let clock = Clock::start();
    gateways.ping(LEFT, INNER_V4[RIGHT], "");
    let seen = Path { local: moved.peer, peer: moved.local };
    assert_eq!(gateways.event(RIGHT), DataPlaneEvent::PeerMoved { spi: tunnel.spi(RIGHT), path: seen });
    let told_again = std::iter::from_fn(|| gateways.sides[RIGHT].plane.poll_event()).count();
    assert!(told_again as u64 <= clock.elapsed().as_secs(), "told once a second");

    // The left side sees answers to and from the new address only after the right side was told to follow.
    gateways.namespaces[LEFT].ip("addr del 192.0.2.1/24 dev wire");
    gateways.namespaces[LEFT].ip("addr add 192.0.2.101/24 dev wire");
    gateways.sides[RIGHT].plane.move_peer(tunnel.spi(RIGHT), seen, true);
    gateways.ping(LEFT, INNER_V4[RIGHT], "");
    std::thread::sleep(Duration::from_millis(1100));
    gateways.ping(LEFT, INNER_V4[RIGHT], "");
    assert_eq!(gateways.sides[RIGHT].plane.poll_event(), None, "where it should be");
    gateways.assert_no_drops();
}

#[test]
fn ike_messages_reach_the_control_plane_and_answers_their_sender() {
    let mut gateways = Gateways::new(2);
    for (port, marker, address) in [
        (500, &[][..], "192.0.2.2"),
        (4500, &[0; 4][..], "192.0.2.102"),
        (500, &[], "2001:db8::2"),
        (4500, &[0; 4], "2001:db8::2"),
    ] {
        let any = if address.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
        let client = gateways.namespaces[LEFT].inside(|| UdpSocket::bind(any).unwrap());
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let request = [marker, b"\x01an IKE message of some length"].concat();
        client.send_to(&request, (address, port)).unwrap();
        let Started { datagrams, ike, .. } = &mut gateways.sides[RIGHT];
        let ToControl::Ike(datagram) = eventually("an IKE message", || datagrams.try_recv()) else { panic!("IKE") };
        assert_eq!(datagram.message, &request[marker.len()..]);
        assert_eq!(
            datagram.path.local,
            format!("{address}:{port}").replace("2001:db8::2", "[2001:db8::2]").parse().unwrap()
        );
        assert_eq!(datagram.path.peer.port(), client.local_addr().unwrap().port());

        let answer = vec![7; 3000];
        ike.send(datagram.path, &answer).unwrap();
        let mut received = [0; 4000];
        let (len, from) = client.recv_from(&mut received).unwrap();
        assert_eq!(received[..len], [marker, &answer].concat());
        assert_eq!(from, datagram.path.local, "answers come from the address that was asked");
    }
    assert_eq!(gateways.sides[RIGHT].ike.listening().len(), 4);
    let elsewhere = Path { local: "192.0.2.2:9".parse().unwrap(), peer: "192.0.2.1:9".parse().unwrap() };
    gateways.sides[RIGHT].ike.send(elsewhere, b"leaves from port 500").unwrap();
}

#[test]
fn a_stranger_gets_no_answer_and_a_counter() {
    let tunnel = Tunnel::default();
    let mut gateways = Gateways::with(tunnel);
    let stranger = gateways.namespaces[LEFT].inside(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    let send = |octets: &[u8]| stranger.send_to(octets, "192.0.2.2:4500").unwrap();
    let forged = [tunnel.spi(RIGHT).0.to_be_bytes().as_slice(), &[0, 0, 0, 1], &[0; 60]].concat();
    send(&forged);
    send(&[[1, 2, 3, 4].as_slice(), &[0; 60]].concat());
    send(&[[0xee, 2, 3, 4].as_slice(), &[0; 60]].concat());
    send(&[0xff]);
    send(&[1, 2, 3]);
    send(&[]);
    let count = |gateways: &Gateways| {
        let counters = gateways.sides[RIGHT].plane.counters();
        let dropped = [DropReason::Integrity, DropReason::UnknownSpi, DropReason::Runt].map(|r| counters.dropped(r));
        (dropped, counters.keepalives)
    };
    eventually("all of them", || (count(&gateways) == ([1, 2, 1], 1)).then_some(()));
    assert_eq!(gateways.sides[RIGHT].plane.poll_event(), None);
    assert_eq!(gateways.sides[RIGHT].plane.usage(tunnel.spi(RIGHT)).unwrap().last_heard, None);
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv(&mut [0; 100]).is_err());
    gateways.ping(LEFT, INNER_V4[RIGHT], "");
}

#[test]
fn a_source_that_the_pair_does_not_carry_is_dropped_at_either_end() {
    let tunnel = Tunnel::default();
    for careless in [false, true] {
        let mut gateways = Gateways::new(1);
        let mut pair = tunnel.pair(LEFT);
        if careless {
            let everything = ["0.0.0.0", "255.255.255.255"].map(|address| address.parse().unwrap());
            let local = [Selector::addresses(everything[0], everything[1])];
            pair.selectors = SelectorSet::new(local, pair.selectors.remote());
        }
        gateways.sides[LEFT].plane.install(pair, None).unwrap();
        gateways.sides[RIGHT].plane.install(tunnel.pair(RIGHT), None).unwrap();
        gateways.namespaces[LEFT].ip("addr add 10.66.0.1 dev cygnet0");
        let _pings = gateways.namespaces[LEFT].start("ping", &format!("-I 10.66.0.1 -c 1 {}", INNER_V4[RIGHT]));
        let at = if careless { RIGHT } else { LEFT };
        let dropped = |side: usize| gateways.sides[side].plane.counters().dropped(DropReason::Selector);
        eventually("drop", || (dropped(at) == 1).then_some(()));
        assert_eq!(dropped(1 - at), 0);
    }
}

#[test]
fn refuses_pairs_that_it_cannot_carry() {
    let mut gateways = Gateways::new(2);
    let plane = &mut gateways.sides[LEFT].plane;
    let tunnel = Tunnel::default();
    let third = Tunnel { worker: 2, ..tunnel };
    assert_eq!(plane.install(third.pair(LEFT), None), Err(InstallError::NoWorker { spi: third.spi(LEFT), workers: 2 }));
    plane.install(tunnel.pair(LEFT), None).unwrap();
    assert_eq!(plane.install(tunnel.pair(LEFT), None), Err(InstallError::SpiInUse(tunnel.spi(LEFT))));
    let mut zero_window = Tunnel { number: 2, ..tunnel }.pair(LEFT);
    zero_window.inbound.replay_window = 0;
    assert!(matches!(plane.install(zero_window, None), Err(InstallError::Sa(_))));
    plane.remove(EspSpi(0xdead_beef));
    plane.remove(tunnel.spi(LEFT));
    plane.install(tunnel.pair(LEFT), None).unwrap();
}

#[test]
fn a_second_gateway_is_told_that_the_ports_are_taken() {
    let gateways = Gateways::new(1);
    let error = gateways.namespaces[LEFT].inside(|| userspace::start(config(1))).err().unwrap().to_string();
    assert!(error.contains("UDP") && error.contains("Another IKE daemon"), "{error}");

    // Once the first one is gone nothing of it is left.
    let Gateways { sides, namespaces } = gateways;
    drop(sides);
    // A program that another test is just starting may hold copies of the descriptors until it runs.
    let links = || namespaces[LEFT].run("ip", "-o link");
    eventually("end of the interface", || (!links().contains("cygnet0")).then_some(()));
    let again = eventually("start", || namespaces[LEFT].inside(|| userspace::start(config(2)).ok()));
    assert!(links().contains("cygnet0"));
    drop(again);
}

#[test]
fn losing_the_interface_is_told() {
    let mut gateways = Gateways::with(Tunnel::default());
    gateways.namespaces[LEFT].ip("link del cygnet0");
    assert_eq!(gateways.event(LEFT), DataPlaneEvent::ThreadEnded);
}

#[test]
fn many_connections_spread_over_the_queues_of_both_workers() {
    let tunnels = [0, 1].map(|worker| Tunnel { worker, ..Tunnel::default() });
    let mut gateways = Gateways::new(2);
    // IPv4 through the SA of one worker, IPv6 through the other's.
    for (tunnel, inner) in tunnels.into_iter().zip([INNER_V4, INNER_V6]) {
        for side in [LEFT, RIGHT] {
            let selector = |side: usize| {
                let host = inner[side].parse().unwrap();
                [Selector::addresses(host, host)]
            };
            let mut pair = tunnel.pair(side);
            pair.selectors = SelectorSet::new(selector(side), selector(1 - side));
            gateways.sides[side].plane.install(pair, None).unwrap();
        }
    }
    for inner in [INNER_V4, INNER_V6] {
        let _server = serve(&gateways.namespaces[RIGHT], inner[RIGHT]);
        gateways.namespaces[LEFT].run("iperf3", &format!("-c {} -P 8 -n 2M", inner[RIGHT]));
    }
    gateways.assert_no_drops();
    for tunnel in tunnels {
        everything_that_left_arrived(&gateways, tunnel);
    }
}
