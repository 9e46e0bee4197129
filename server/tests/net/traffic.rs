//! Packets through the rules: clients, gateway and an outside host, each a namespace.
//!
//! The gateway's `cygnet0` is a bridge here, so that several clients can hang on it without any VPN; the rules know it by
//! its name only.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use cygnet_server::net::forwarding::{Families, enable};
use cygnet_server::net::link::{InterfaceName, Netlink, TunSettings};
use cygnet_server::net::nft::{Firewall, MssClamp, Nat, RuleSet};
use cygnet_server::net::routes::{ROUTE_PROTOCOL, Routes};
use socket2::SockRef;

use crate::firewall::rules;
use crate::netns::{Namespace, cable};

pub(crate) const ALICE: &str = "10.20.0.2";
pub(crate) const BOB: &str = "10.20.0.3";
pub(crate) const ALICE_6: &str = "fd00:20::2";
pub(crate) const GATEWAY: &str = "10.20.0.1";
const GATEWAY_MAC: &str = "02:00:00:00:00:01";
pub(crate) const WAN: &str = "198.51.100.1";
pub(crate) const WAN_6: &str = "2001:db8::1";
pub(crate) const OUTSIDE: &str = "198.51.100.2";
pub(crate) const OUTSIDE_6: &str = "2001:db8::2";
/// Longer than any packet of these tests needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// A packet that has not come after this was dropped.
pub(crate) const SILENCE: Duration = Duration::from_millis(300);

/// Alice and Bob, connected; the gateway; a host on its other side.
pub(crate) struct World {
    pub(crate) alice: Namespace,
    pub(crate) bob: Namespace,
    pub(crate) gateway: Namespace,
    pub(crate) outside: Namespace,
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self {
            alice: Namespace::new(),
            bob: Namespace::new(),
            gateway: Namespace::new(),
            outside: Namespace::new(),
        };
        world.gateway.ip(&format!("link add cygnet0 address {GATEWAY_MAC} type bridge"));
        world.gateway.ip("link set cygnet0 up");
        world.connect(&world.alice, "alice", &[ALICE, ALICE_6]);
        world.connect(&world.bob, "bob", &[BOB]);
        cable((&world.gateway, "wan0"), (&world.outside, "eth0"));
        for (host, link, addresses) in [
            (&world.gateway, "wan0", ["198.51.100.1/24", "2001:db8::1/64"]),
            (&world.outside, "eth0", ["198.51.100.2/24", "2001:db8::2/64"]),
        ] {
            addresses.iter().for_each(|a| drop(host.ip(&format!("addr add {a} dev {link}"))));
        }
        world
    }

    fn connect(&self, client: &Namespace, name: &str, addresses: &[&str]) {
        cable((&self.gateway, name), (client, "eth0"));
        self.gateway.ip(&format!("link set {name} master cygnet0"));
        for address in addresses {
            client.ip(&format!("addr add {address} dev eth0"));
        }
        client.ip(&format!("route add {GATEWAY} dev eth0"));
        client.ip(&format!("route add default via {GATEWAY}"));
        // A TUN has no neighbours to ask for, so the rules need not let such questions pass; here they are answered.
        let mac = format!("02:00:00:00:01:{:02x}", name.len());
        client.ip(&format!("link set eth0 address {mac}"));
        client.ip(&format!("-6 neigh replace fd00:20::1 lladdr {GATEWAY_MAC} dev eth0"));
        for address in addresses.iter().filter(|a| a.contains(':')) {
            self.gateway.ip(&format!("-6 neigh replace {address} lladdr {mac} dev cygnet0"));
        }
        client.ip("-6 route add fd00:20::1 dev eth0");
        client.ip("-6 route add default via fd00:20::1");
    }

    /// Sets the gateway up as the server does, admits Alice and Bob, and runs a test.
    fn run(&self, rules: RuleSet, test: impl AsyncFnOnce(&mut Firewall) + Send) {
        self.gateway.block_on(async || {
            let tun = InterfaceName::new("cygnet0").unwrap();
            let settings =
                TunSettings { addresses: [GATEWAY, "fd00:20::1"].map(|a| a.parse().unwrap()).to_vec(), mtu: 1300 };
            let netlink = Netlink::open().unwrap();
            let index = netlink.configure_tun(&tun, &settings).await.unwrap();
            enable(Families { v4: true, v6: true }, &tun).unwrap();
            let mut firewall = Firewall::install(rules).await.unwrap();
            let mut routes = Routes::start(netlink, index).await.unwrap();
            let clients: Vec<IpAddr> = [ALICE, BOB, ALICE_6].iter().map(|a| a.parse().unwrap()).collect();
            for &client in &clients {
                routes.add(client.into(), None).await.unwrap();
            }
            firewall.update(&clients, &[]).await.unwrap();
            test(&mut firewall).await;
            firewall.close().await.unwrap();
            routes.close().await.unwrap();
        });
    }

    /// Lets the outside host answer to tunnel addresses directly.
    fn outside_knows_the_pool(&self) {
        self.outside.ip(&format!("route add 10.20.0.0/24 via {WAN}"));
    }
}

pub(crate) fn udp(host: &Namespace, address: &str, port: u16) -> UdpSocket {
    let address: IpAddr = address.parse().unwrap();
    let socket = host.enter(|| UdpSocket::bind(SocketAddr::new(address, port)).unwrap());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

pub(crate) fn target(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

/// Whom a datagram seems to come from at `to`; `None` if it does not arrive.
pub(crate) fn sender_seen(from: &UdpSocket, to: &UdpSocket, patience: Duration) -> Option<SocketAddr> {
    to.set_read_timeout(Some(patience)).unwrap();
    from.send_to(b"hello", target(to)).unwrap();
    to.recv_from(&mut [0; 16]).ok().map(|(_, sender)| sender)
}

pub(crate) fn arrives(from: &UdpSocket, to: &UdpSocket) -> bool {
    sender_seen(from, to, PATIENCE).is_some()
}

pub(crate) fn is_dropped(from: &UdpSocket, to: &UdpSocket) -> bool {
    sender_seen(from, to, SILENCE).is_none()
}

#[test]
fn a_client_reaches_others_by_the_gateways_address() {
    let world = World::new();
    world.run(rules(), async |_| {
        for (client, outside, wan) in [(ALICE, OUTSIDE, WAN), (ALICE_6, OUTSIDE_6, WAN_6)] {
            let (client, outside) = (udp(&world.alice, client, 0), udp(&world.outside, outside, 0));
            let seen = sender_seen(&client, &outside, PATIENCE).unwrap();
            assert_eq!(seen.ip().to_string(), wan);
            outside.send_to(b"answer", seen).unwrap();
            assert_eq!(client.recv_from(&mut [0; 16]).unwrap().1, target(&outside));
        }
        assert!(world.alice.succeeds(&format!("ping -c 1 -W 2 {OUTSIDE}")));
    });
}

#[test]
fn translation_never_uses_a_port_of_the_gateway() {
    let world = World::new();
    world.run(rules(), async |_| {
        for port in [500, 4500, 1701, 53, 9999] {
            let (client, outside) = (udp(&world.alice, ALICE, port), udp(&world.outside, OUTSIDE, 0));
            let seen = sender_seen(&client, &outside, PATIENCE).unwrap();
            assert!(seen.port() >= 10_000, "{port} became {}", seen.port());
        }
    });
}

#[test]
fn without_translation_a_client_keeps_its_address() {
    let world = World::new();
    world.outside_knows_the_pool();
    world.run(RuleSet { nat: Nat::None, inbound: true, ..rules() }, async |_| {
        let (client, outside) = (udp(&world.alice, ALICE, 0), udp(&world.outside, OUTSIDE, 0));
        assert_eq!(sender_seen(&client, &outside, PATIENCE), Some(target(&client)));
        assert!(arrives(&outside, &client));
    });
}

#[test]
fn nobody_sends_with_an_address_that_is_not_theirs() {
    let world = World::new();
    for client in [&world.alice, &world.bob] {
        client.sysctl("net/ipv6/conf/all/disable_ipv6", "1"); // its link-local chatter would be counted too
    }
    for address in ["10.20.0.99", "10.2.3.4", "203.0.113.5"] {
        world.alice.ip(&format!("addr add {address} dev eth0"));
    }
    world.run(rules(), async |firewall| {
        for inside in ["10.20.0.99", "10.2.0.0/16", "203.0.113.5"] {
            world.gateway.ip(&format!("route add {inside} dev cygnet0"));
        }
        let outside = udp(&world.outside, OUTSIDE, 0);
        for (count, spoofed) in (1..).zip(["10.20.0.99", "203.0.113.5", BOB]) {
            if spoofed == BOB {
                world.alice.ip(&format!("addr add {BOB} dev eth0"));
                firewall.update(&[], &[BOB.parse().unwrap()]).await.unwrap();
            }
            assert!(is_dropped(&udp(&world.alice, spoofed, 0), &outside), "{spoofed}");
            assert_eq!(firewall.drops().await.unwrap().spoofed_inside, count, "{spoofed}");
        }

        firewall.update(&["10.20.0.99".parse().unwrap()], &[]).await.unwrap();
        assert!(arrives(&udp(&world.alice, "10.20.0.99", 0), &outside));
        firewall.update(&[], &["10.20.0.99".parse().unwrap(), ALICE.parse().unwrap()]).await.unwrap();
        assert!(is_dropped(&udp(&world.alice, ALICE, 0), &outside), "no longer admitted");
        assert!(arrives(&udp(&world.alice, "10.2.3.4", 0), &outside), "a site's network");
    });
}

#[test]
fn tunnel_addresses_are_not_accepted_in_the_clear() {
    let world = World::new();
    for inside in ["10.20.0.2", "10.20.0.77", "10.2.3.4"] {
        world.outside.ip(&format!("addr add {inside} dev lo"));
    }
    world.outside.ip(&format!("route add {GATEWAY} via {WAN}"));
    world.run(rules(), async |firewall| {
        let dns = udp(&world.gateway, WAN, 53);
        for (count, inside) in (1..).zip(["10.20.0.2", "10.20.0.77", "10.2.3.4"]) {
            assert!(is_dropped(&udp(&world.outside, inside, 0), &dns), "{inside}");
            assert_eq!(firewall.drops().await.unwrap().spoofed_outside, count);
        }
        assert!(arrives(&udp(&world.outside, OUTSIDE, 0), &dns));
    });
}

#[test]
fn strangers_cannot_open_connections_to_clients() {
    let world = World::new();
    world.outside_knows_the_pool();
    world.run(rules(), async |firewall| {
        let (client, outside) = (udp(&world.alice, ALICE, 0), udp(&world.outside, OUTSIDE, 0));
        assert!(is_dropped(&outside, &client));
        assert_eq!(firewall.drops().await.unwrap().inbound, 1);
        firewall.replace(RuleSet { inbound: true, ..rules() }).await.unwrap();
        assert!(arrives(&outside, &client));
    });
}

#[test]
fn a_packet_to_a_client_must_come_by_an_interface_that_leads_back() {
    let world = World::new();
    world.outside_knows_the_pool();
    world.outside.ip("addr add 203.0.113.5 dev lo");
    world.run(RuleSet { inbound: true, ..rules() }, async |firewall| {
        let (client, stranger) = (udp(&world.alice, ALICE, 0), udp(&world.outside, "203.0.113.5", 0));
        assert!(is_dropped(&stranger, &client), "the gateway has no route to 203.0.113.5");
        assert_eq!(firewall.drops().await.unwrap().spoofed_outside, 1);
    });
}

#[test]
fn clients_meet_only_if_allowed() {
    let world = World::new();
    world.run(rules(), async |firewall| {
        let (alice, bob) = (udp(&world.alice, ALICE, 0), udp(&world.bob, BOB, 0));
        assert!(is_dropped(&alice, &bob));
        assert_eq!(firewall.drops().await.unwrap().client_to_client, 1);
        firewall.replace(RuleSet { client_to_client: true, ..rules() }).await.unwrap();
        assert!(arrives(&alice, &bob));
        assert!(arrives(&bob, &alice));
    });
}

#[test]
fn clients_reach_dns_and_echo_on_the_gateway_and_nothing_else() {
    let world = World::new();
    world.run(rules(), async |firewall| {
        let client = udp(&world.alice, ALICE, 0);
        for address in [GATEWAY, WAN] {
            assert!(arrives(&client, &udp(&world.gateway, address, 53)), "{address}");
            assert!(is_dropped(&client, &udp(&world.gateway, address, 123)), "{address}");
            assert!(world.alice.succeeds(&format!("ping -c 1 -W 2 {address}")), "{address}");
        }
        let closed: SocketAddr = format!("{GATEWAY}:22").parse().unwrap();
        let _listener = world.gateway.enter(|| TcpListener::bind(closed).unwrap());
        assert!(world.alice.enter(|| TcpStream::connect_timeout(&closed, SILENCE)).is_err());
        assert!(firewall.drops().await.unwrap().gateway_access >= 3);
    });
}

#[test]
fn packets_for_absent_clients_and_sites_do_not_leave_in_the_clear() {
    let world = World::new();
    world.outside.ip("addr add 10.20.0.77 dev lo");
    world.outside.ip("addr add 10.2.3.4 dev lo");
    world.gateway.ip(&format!("route add default via {OUTSIDE}"));
    world.run(RuleSet { inbound: true, ..rules() }, async |firewall| {
        for (count, absent) in (1..).zip(["10.20.0.77", "10.2.3.4"]) {
            let absent = udp(&world.outside, absent, 0);
            let own = udp(&world.gateway, WAN, 0);
            absent.set_read_timeout(Some(SILENCE)).unwrap();
            let refused = own.send_to(b"hello", target(&absent)).is_err();
            assert!(refused || absent.recv_from(&mut [0; 16]).is_err());
            assert!(is_dropped(&udp(&world.alice, ALICE, 0), &absent));
            assert_eq!(firewall.drops().await.unwrap().unrouted, 2 * count);
        }
    });
}

#[test]
fn ike_passes_untracked_even_from_a_tunnel_address() {
    let world = World::new();
    world.outside.ip("addr add 10.2.3.4 dev lo");
    world.gateway.ip(&format!("route add 10.2.3.4 via {OUTSIDE}"));
    world.gateway.nft(
        "table inet watch { counter tracked {}\n chain input { type filter hook input priority 10; udp dport { 500, 4500 } ct state != untracked counter name tracked; }\n}",
    );
    world.run(rules(), async |_| {
        for port in [500, 4500] {
            let ike = udp(&world.gateway, WAN, port);
            for peer in [OUTSIDE, "10.2.3.4"] {
                let peer = udp(&world.outside, peer, 0);
                assert!(arrives(&peer, &ike), "{port}");
                assert!(arrives(&ike, &peer), "{port}");
            }
        }
    });
    assert!(world.gateway.nft("list counter inet watch tracked").contains("packets 0"));
}

#[test]
fn l2tp_outside_of_ipsec_gets_no_answer() {
    let world = World::new();
    for l2tp in [true, false] {
        world.run(RuleSet { l2tp, ..rules() }, async |firewall| {
            for (own, gateway) in [(OUTSIDE, WAN), (OUTSIDE_6, WAN_6)] {
                let socket = udp(&world.outside, own, 0);
                socket.connect((gateway, 1701)).unwrap();
                socket.set_read_timeout(Some(SILENCE)).unwrap();
                socket.send(b"SCCRQ").unwrap();
                let refused = socket.recv(&mut [0; 16]).unwrap_err().kind() == ErrorKind::ConnectionRefused;
                assert_eq!(refused, !l2tp, "the kernel says that nobody listens");
            }
            assert_eq!(firewall.drops().await.unwrap().clear_l2tp, if l2tp { 2 } else { 0 });
        });
    }
}

#[test]
fn tcp_segments_fit_the_tunnel() {
    let world = World::new();
    let cases =
        [(MssClamp::PathMtu, None, 1260), (MssClamp::PathMtu, Some(1200), 1160), (MssClamp::Mtu(1000), None, 960)];
    for (mss, of_route, largest) in cases {
        world.run(RuleSet { mss, ..rules() }, async |_| {
            if let Some(mtu) = of_route {
                world.gateway.ip(&format!("route change {ALICE} dev cygnet0 proto {ROUTE_PROTOCOL} mtu {mtu}"));
            }
            let listener = world.outside.enter(|| TcpListener::bind((OUTSIDE, 0)).unwrap());
            let address = listener.local_addr().unwrap();
            let mut client = world.alice.enter(|| TcpStream::connect_timeout(&address, PATIENCE).unwrap());
            let (mut server, _) = listener.accept().unwrap();
            for socket in [&client, &server] {
                let mss = SockRef::from(socket).tcp_mss().unwrap();
                assert!(mss <= largest && mss > largest - 40, "{mss} is not just below {largest}");
            }
            client.write_all(b"hello").unwrap();
            let mut got = [0; 5];
            server.read_exact(&mut got).unwrap();
            assert_eq!(&got, b"hello");
        });
    }
}
