//! A router on the way that takes smaller packets only: nothing gets lost for long, and everybody learns it.

use std::net::{IpAddr, SocketAddr};

use cygnet_ike::Path;
use cygnet_server::dataplane::userspace::Offload;
use cygnet_server::dataplane::{DataPlane, DataPlaneEvent, SaPair};

use crate::gateways::{Gateways, INNER_V4, INNER_V6, LEFT, RIGHT, Tunnel, config, eventually};
use crate::namespaces::{Namespace, ROUTED_V4, ROUTED_V6, routed_pair};

/// What the wire on the right takes, octets.
const WIRE: u32 = 1300;

/// A tunnel through the router.
fn routed(tunnel: Tunnel) -> (Gateways, Namespace) {
    let (namespaces, router) = routed_pair(WIRE);
    let mut gateways = Gateways::within(namespaces, |_| (config(2), Offload::AsGranted));
    for side in [LEFT, RIGHT] {
        let addresses = if tunnel.outer_ipv6 { ROUTED_V6 } else { ROUTED_V4 };
        let end = |side: usize| -> SocketAddr {
            let address: IpAddr = addresses[side].parse().unwrap();
            SocketAddr::new(address, tunnel.path(side).local.port())
        };
        let path = Path { local: end(side), peer: end(1 - side) };
        gateways.sides[side].plane.install(SaPair { path, ..tunnel.pair(side) }, None).unwrap();
    }
    (gateways, router)
}

/// What fits 1300 octets, by hand: AES-GCM-16 takes 8 + 8 + 16 and a trailer of 2 in blocks of 4.
fn expected(tunnel: Tunnel) -> u16 {
    let headers = [if tunnel.outer_ipv6 { 40 } else { 20 }, if tunnel.udp_encap { 8 } else { 0 }, 32];
    let around: u16 = headers.iter().sum();
    let payload = 1300 - around;
    payload - payload % 4 - 2
}

fn path_mtu(gateways: &mut Gateways, side: usize) -> (cygnet_ike::EspSpi, u16) {
    eventually("PathMtu", || match gateways.sides[side].plane.poll_event()? {
        DataPlaneEvent::PathMtu { spi, mtu } => Some((spi, mtu)),
        _ => None,
    })
}

/// What the kernel of a side knows of the path; a socket is in the namespace of the thread that opens it.
fn known(gateways: &mut Gateways, side: usize, spi: cygnet_ike::EspSpi) -> Option<u16> {
    let plane = &mut gateways.sides[side].plane;
    gateways.namespaces[side].inside(|| plane.path_mtu(spi))
}

fn every_tunnel() -> impl Iterator<Item = Tunnel> {
    [(true, false), (false, false), (true, true), (false, true)].into_iter().map(|(udp_encap, outer_ipv6)| Tunnel {
        udp_encap,
        outer_ipv6,
        ..Tunnel::default()
    })
}

#[test]
fn a_router_that_takes_less_is_heard_and_followed() {
    for tunnel in every_tunnel() {
        let (mut gateways, _router) = routed(tunnel);
        let left = tunnel.spi(LEFT);
        assert_eq!(known(&mut gateways, LEFT, left), Some(expected(tunnel) + 200), "its own wire takes 1500");
        assert_eq!(known(&mut gateways, RIGHT, tunnel.spi(RIGHT)), Some(expected(tunnel)));

        gateways.ping(LEFT, INNER_V4[RIGHT], "");
        let _first = gateways.namespaces[LEFT].start("ping", &format!("-c 1 -M do -s 1300 {}", INNER_V4[RIGHT]));
        assert_eq!(path_mtu(&mut gateways, LEFT), (left, expected(tunnel)), "{tunnel:?}");
        eventually("what the kernel has learnt itself", || {
            (known(&mut gateways, LEFT, left) == Some(expected(tunnel))).then_some(())
        });
        // From now on outer packets are fragmented, until the control plane has told those who send.
        gateways.ping(LEFT, INNER_V4[RIGHT], "-M do -s 1300");
        gateways.ping(RIGHT, INNER_V4[LEFT], "-M do -s 1300");

        let reach = gateways.sides[LEFT].plane.reach(left).unwrap();
        assert_eq!(reach.interface, None);
        for network in &reach.networks {
            let (own, mtu) = match network.addr() {
                IpAddr::V4(_) => (INNER_V4[LEFT], expected(tunnel)),
                IpAddr::V6(_) => (INNER_V6[LEFT], 1280),
            };
            gateways.namespaces[LEFT].ip(&format!("route change {network} dev cygnet0 src {own} mtu {mtu}"));
        }
        let fits = expected(tunnel) - 28;
        gateways.ping(LEFT, INNER_V4[RIGHT], &format!("-M do -s {fits}"));
        let too_big = format!("-c 1 -W 1 -M do -s {} {}", fits + 1, INNER_V4[RIGHT]);
        assert!(!gateways.namespaces[LEFT].succeeds("ping", &too_big), "the sender is told");
    }
}

#[test]
fn big_packets_pass_both_ways() {
    for tunnel in every_tunnel() {
        let (mut gateways, _router) = routed(tunnel);
        let _first = gateways.namespaces[LEFT].start("ping", &format!("-c 1 -s 1340 {}", INNER_V4[RIGHT]));
        path_mtu(&mut gateways, LEFT);
        for size in [1300, 4000, 9000] {
            for inner in [INNER_V4, INNER_V6] {
                gateways.ping(LEFT, inner[RIGHT], &format!("-s {size}"));
                gateways.ping(RIGHT, inner[LEFT], &format!("-s {size}"));
            }
        }
    }
}

#[test]
fn strangers_cannot_make_packets_small() {
    let tunnel = Tunnel::default();
    let (mut gateways, router) = routed(tunnel);
    gateways.ping(LEFT, INNER_V4[RIGHT], "");
    while gateways.sides[LEFT].plane.poll_event().is_some() {}
    // An ICMP message about a packet that was never sent, from a host on the way.
    let socket = router.inside(|| {
        let (domain, protocol) = (socket2::Domain::IPV4, socket2::Protocol::ICMPV4);
        socket2::Socket::new(domain, socket2::Type::RAW, Some(protocol)).unwrap()
    });
    let octets = |address: &str| match address.parse().unwrap() {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(_) => panic!("IPv4"),
    };
    let mut quoted = vec![0x45, 0, 5, 0, 0, 0, 0x40, 0, 64, 17, 0, 0];
    quoted.extend(octets(ROUTED_V4[LEFT]));
    quoted.extend(octets(ROUTED_V4[RIGHT]));
    quoted.extend([0x11, 0x94, 0x11, 0x94, 0, 100, 0, 0]);
    let message = |spi: &[u8]| {
        let mut message = [&[3, 4, 0, 0, 0, 0, 2, 0x40][..], &quoted, spi].concat();
        let sum = message.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
        let folded = (sum & 0xffff) + (sum >> 16);
        let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap();
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        message
    };
    let to: SocketAddr = format!("{}:0", ROUTED_V4[LEFT]).parse().unwrap();
    socket.send_to(&message(&[1, 2, 3, 4, 0, 0, 0, 1]), &to.into()).unwrap();
    socket.send_to(&message(&[]), &to.into()).unwrap();
    let spi = tunnel.spi(LEFT);
    let without_proof = (1280 - 28 - 32) / 4 * 4 - 2;
    assert_eq!(path_mtu(&mut gateways, LEFT), (spi, without_proof), "the first one shows an SPI that is not ours");
    let ours = tunnel.spi(RIGHT).0.to_be_bytes();
    socket.send_to(&message(&[&ours[..], &[0, 0, 0, 1]].concat()), &to.into()).unwrap();
    assert_eq!(path_mtu(&mut gateways, LEFT), (spi, (576 - 28 - 32) / 4 * 4 - 2), "whoever has seen a packet");
}
