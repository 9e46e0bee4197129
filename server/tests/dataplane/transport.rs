//! Transport mode between two gateways: the hosts' own traffic, without a second IP header.

use cygnet_esp::selector::{Ports, Selector, SelectorSet};
use cygnet_esp::{AesBits, DropReason, Integ, Transform};
use cygnet_server::dataplane::{DataPlane, InnerPath, SaPair};

use crate::everything_that_left_arrived;
use crate::gateways::{Gateways, LEFT, RIGHT, Tunnel, eventually};

/// Packets to the other host go into the TUN, but for those of the gateway itself.
fn hosts(tunnel: Tunnel) -> Gateways {
    let gateways = Gateways::new(2);
    for side in [LEFT, RIGHT] {
        let (own, peer) = (tunnel.path(side).local.ip(), tunnel.path(side).peer.ip());
        let family = if own.is_ipv6() { "-6" } else { "-4" };
        let namespace = &gateways.namespaces[side];
        namespace.ip(&format!("{family} route add {peer} dev cygnet0 src {own} mtu 65300 advmss 1330 table 17332"));
        namespace.ip(&format!("{family} rule add not fwmark 0x4359 lookup 17332 priority 100"));
    }
    gateways
}

fn pair(tunnel: Tunnel, side: usize, protocol: u8, port: Ports) -> SaPair {
    let end = |host| Selector { protocol, ..Selector::addresses(host, host) };
    let (own, peer) = (end(tunnel.path(side).local.ip()), end(tunnel.path(side).peer.ip()));
    // The right side serves the port.
    let (own, peer) =
        if side == RIGHT { (Selector { ports: port, ..own }, peer) } else { (own, Selector { ports: port, ..peer }) };
    SaPair { inner: InnerPath::Transport, selectors: SelectorSet::new([own], [peer]), ..tunnel.pair(side) }
}

fn install(gateways: &mut Gateways, tunnel: Tunnel, protocol: u8, port: Ports) {
    for side in [LEFT, RIGHT] {
        gateways.sides[side].plane.install(pair(tunnel, side, protocol, port), None).unwrap();
    }
}

fn address(tunnel: Tunnel, side: usize) -> String {
    tunnel.path(side).local.ip().to_string()
}

#[test]
fn hosts_talk_in_transport_mode() {
    let cbc = Transform::AesCbc(AesBits::Aes128, Integ::HmacSha256_128);
    for (udp_encap, outer_ipv6, transform) in [
        (false, false, Tunnel::default().transform),
        (true, false, Tunnel::default().transform),
        (false, true, cbc),
        (true, true, cbc),
    ] {
        let tunnel = Tunnel { udp_encap, outer_ipv6, transform, ..Tunnel::default() };
        let mut gateways = hosts(tunnel);
        install(&mut gateways, tunnel, 0, Ports::Any);
        for (side, size) in [(LEFT, 56), (RIGHT, 1300), (LEFT, 4000), (RIGHT, 9000)] {
            gateways.ping(side, &address(tunnel, 1 - side), &format!("-s {size}"));
        }
        let [left, right] = [LEFT, RIGHT].map(|side| address(tunnel, side));
        let _server = crate::serve(&gateways.namespaces[RIGHT], &right);
        for direction in ["", "-R"] {
            gateways.namespaces[LEFT]
                .run("iperf3", &format!("-c {right} -B {left} -n 5M --connect-timeout 5000 {direction}"));
        }
        gateways.namespaces[LEFT].run("iperf3", &format!("-c {right} -B {left} -u -b 20M -n 2M -l 1200"));
        gateways.assert_no_drops();
        let [left, right] = everything_that_left_arrived(&gateways, tunnel);
        assert!(left.bytes_in > 5 << 20, "all that the client has received, and headers: {left:?}");
        // As sender the client stops when it has written all; up to 2 MiB of that wait in its socket then and are thrown away.
        assert!(right.bytes_in > 4 << 20, "{right:?}");
    }
}

#[test]
fn selectors_hold_in_transport_mode() {
    let tunnel = Tunnel { udp_encap: false, ..Tunnel::default() };
    let mut gateways = hosts(tunnel);
    install(&mut gateways, tunnel, 6, Ports::Range(5201, 5201));
    let right = address(tunnel, RIGHT);
    let _server = crate::serve(&gateways.namespaces[RIGHT], &right);
    gateways.namespaces[LEFT].run("iperf3", &format!("-c {right} -n 1M --connect-timeout 5000"));
    let _ping = gateways.namespaces[LEFT].start("ping", &format!("-c 1 {right}"));
    let dropped = |side: usize| gateways.sides[side].plane.counters().dropped(DropReason::Selector);
    eventually("drop", || (dropped(LEFT) == 1).then_some(()));
    assert_eq!(dropped(RIGHT), 0);
}
