//! Pairs of sites: networks and ports in selectors, several pairs for one network, tunnels on demand, limits, own devices.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use cygnet_esp::DropReason;
use cygnet_esp::selector::{Ports, Selector, SelectorSet};
use cygnet_server::dataplane::{
    Claim, DataPlane, DataPlaneEvent, Device, InstallError, Limit, Limits, Owner, SaPair, SiteDevice,
};
use cygnet_server::io::clock::Clock;

use crate::gateways::{Gateways, INNER_V4, LEFT, RIGHT, Tunnel, eventually};

const SITE: &str = "berlin";
/// The private network of each side, and a host in it.
const NETWORK: [&str; 2] = ["10.1.0.0/16", "10.2.0.0/16"];
const HOST: [&str; 2] = ["10.1.0.1", "10.2.0.1"];

/// Both sides with their networks behind the TUN, without pairs.
fn sites() -> Gateways {
    let gateways = Gateways::new(2);
    for side in [LEFT, RIGHT] {
        let namespace = &gateways.namespaces[side];
        namespace.ip(&format!("addr add {} dev lo", HOST[side]));
        namespace.ip(&format!("route add {} dev cygnet0 src {}", NETWORK[1 - side], HOST[side]));
    }
    gateways
}

fn network(side: usize) -> Selector {
    let end: IpAddr = [10, u8::try_from(side).unwrap() + 1, 255, 255].into();
    Selector::addresses([10, u8::try_from(side).unwrap() + 1, 0, 0].into(), end)
}

/// A pair for the networks of both sides.
fn pair(tunnel: Tunnel, side: usize) -> SaPair {
    let selectors = SelectorSet::new([network(side)], [network(1 - side)]);
    SaPair { selectors, ..tunnel.pair(side) }.of(Owner::Site(SITE.into()))
}

fn install(gateways: &mut Gateways, tunnel: Tunnel, replaces: [Option<Tunnel>; 2]) {
    for side in [LEFT, RIGHT] {
        let old = replaces[side].map(|old| old.spi(side));
        gateways.sides[side].plane.install(pair(tunnel, side), old).unwrap_or_else(|error| panic!("{error}"));
    }
}

fn sent(gateways: &Gateways, side: usize, tunnel: Tunnel) -> u64 {
    gateways.sides[side].plane.usage(tunnel.spi(side)).map_or(0, |usage| usage.packets_out)
}

/// What the left side's networks send to the site asks for its tunnel.
fn wait_for_traffic(plane: &mut impl DataPlane) {
    let selectors = SelectorSet::new([network(LEFT)], [network(RIGHT)]);
    plane.set_claims(vec![Claim { owner: Owner::Site(SITE.into()), selectors }]);
    plane.set_traps(vec![SITE.into()]);
}

fn no_tunnel(gateways: &mut Gateways, protocol: u8) {
    let (source, destination) = (HOST[LEFT].parse().unwrap(), HOST[RIGHT].parse().unwrap());
    let expected = DataPlaneEvent::NoTunnel { site: SITE.into(), source, destination, protocol };
    assert_eq!(gateways.event(LEFT), expected);
}

#[test]
fn networks_reach_each_other_and_nobody_else() {
    let mut gateways = sites();
    install(&mut gateways, Tunnel::default(), [None; 2]);
    gateways.ping(LEFT, HOST[RIGHT], "");
    gateways.ping(RIGHT, HOST[LEFT], "-s 1300");
    gateways.assert_no_drops();
    let _stranger = gateways.namespaces[LEFT].start("ping", &format!("-I {} -c 1 {}", INNER_V4[LEFT], HOST[RIGHT]));
    let dropped = || gateways.sides[LEFT].plane.counters().dropped(DropReason::Selector);
    eventually("drop", || (dropped() == 1).then_some(()));
}

#[test]
fn a_pair_for_one_port_and_a_pair_for_the_rest() {
    let mut gateways = sites();
    let (rest, web) = (Tunnel::default(), Tunnel { number: 2, worker: 1, ..Tunnel::default() });
    let port = |selector| Selector { protocol: 17, ports: Ports::Range(8080, 8080), ..selector };
    let any = |selector| Selector { protocol: 17, ..selector };
    for (side, local, remote) in
        [(LEFT, any(network(LEFT)), port(network(RIGHT))), (RIGHT, port(network(RIGHT)), any(network(LEFT)))]
    {
        let of_web = SaPair { selectors: SelectorSet::new([local], [remote]), ..web.pair(side) };
        gateways.sides[side].plane.install(of_web, None).unwrap();
        gateways.sides[side].plane.install(pair(rest, side), None).unwrap();
    }
    let bind =
        |side: usize, port: u16| gateways.namespaces[side].inside(|| UdpSocket::bind((HOST[side], port)).unwrap());
    let (client, servers) = (bind(LEFT, 0), [bind(RIGHT, 8080), bind(RIGHT, 8081)]);
    for server in &servers {
        client.send_to(b"hello", server.local_addr().unwrap()).unwrap();
        server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let (_, from) = server.recv_from(&mut [0; 16]).unwrap();
        server.send_to(b"world", from).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(client.recv_from(&mut [0; 16]).unwrap().1, server.local_addr().unwrap());
    }
    for side in [LEFT, RIGHT] {
        assert_eq!([sent(&gateways, side, web), sent(&gateways, side, rest)], [1, 1], "side {side}");
    }
    // What is sealed for the wrong pair does not pass, RFC 4301 section 5.2.
    for old in [web, rest] {
        gateways.sides[LEFT].plane.remove(old.spi(LEFT));
    }
    let careless = Tunnel { number: 3, ..web };
    let only_web = SelectorSet::new([port(network(RIGHT))], [any(network(LEFT))]);
    gateways.sides[RIGHT].plane.install(SaPair { selectors: only_web, ..careless.pair(RIGHT) }, None).unwrap();
    gateways.sides[LEFT].plane.install(pair(careless, LEFT), None).unwrap();
    client.send_to(b"hello", servers[1].local_addr().unwrap()).unwrap();
    let dropped = || gateways.sides[RIGHT].plane.counters().dropped(DropReason::Selector);
    eventually("drop", || (dropped() == 1).then_some(()));
}

#[test]
fn whoever_begins_a_rekey_sends_with_the_new_pair_at_once_and_nothing_gets_lost() {
    for initiator in [LEFT, RIGHT] {
        let mut gateways = sites();
        let (old, new) = (Tunnel::default(), Tunnel { number: 2, ..Tunnel::default() });
        install(&mut gateways, old, [None; 2]);
        gateways.ping(LEFT, HOST[RIGHT], "");
        // The responder has its pair first and waits; the initiator has the answer in hand.
        let responder = 1 - initiator;
        gateways.sides[responder].plane.install(pair(new, responder), Some(old.spi(responder))).unwrap();
        gateways.ping(responder, HOST[initiator], "");
        assert_eq!(sent(&gateways, responder, new), 0);
        gateways.sides[initiator].plane.install(pair(new, initiator), None).unwrap();
        gateways.ping(initiator, HOST[responder], "");
        assert_eq!([sent(&gateways, LEFT, new), sent(&gateways, RIGHT, new)], [5, 5]);
        for side in [initiator, responder] {
            gateways.sides[side].plane.remove(old.spi(side));
            gateways.ping(side, HOST[1 - side], "");
        }
        gateways.assert_no_drops();
    }
}

#[test]
fn two_sessions_of_one_site_fall_back_to_each_other() {
    let mut gateways = sites();
    let (older, newer) = (Tunnel::default(), Tunnel { number: 2, worker: 1, ..Tunnel::default() });
    install(&mut gateways, older, [None; 2]);
    install(&mut gateways, newer, [None; 2]);
    gateways.ping(LEFT, HOST[RIGHT], "");
    assert_eq!([sent(&gateways, LEFT, older), sent(&gateways, LEFT, newer)], [0, 5]);
    // One side has given the newer one up already, the other one has not: the older one still receives.
    gateways.sides[LEFT].plane.remove(newer.spi(LEFT));
    let namespace = &gateways.namespaces[LEFT];
    let _lost = namespace.start("ping", &format!("-c 1 {}", HOST[RIGHT]));
    eventually("packet by the older pair", || (sent(&gateways, LEFT, older) == 1).then_some(()));
    gateways.sides[RIGHT].plane.remove(newer.spi(RIGHT));
    gateways.ping(RIGHT, HOST[LEFT], "");
    assert!(gateways.sides[LEFT].plane.usage(older.spi(LEFT)).unwrap().packets_in >= 5);
}

#[test]
fn what_is_on_its_way_by_a_replaced_pair_arrives_after_its_end() {
    let mut gateways = sites();
    let (old, new) = (Tunnel::default(), Tunnel { number: 2, ..Tunnel::default() });
    install(&mut gateways, old, [None; 2]);
    install(&mut gateways, new, [None, Some(old)]);
    // The left side has deleted the old pair; the right one does not know yet.
    gateways.sides[LEFT].plane.remove(old.spi(LEFT));
    gateways.ping(RIGHT, HOST[LEFT], "");
    assert!(sent(&gateways, RIGHT, old) > 0);
    gateways.assert_no_drops();
    assert_eq!(gateways.sides[LEFT].plane.usage(old.spi(LEFT)), None);

    // Without a successor the end is the end.
    gateways.sides[LEFT].plane.remove(new.spi(LEFT));
    let _lost = gateways.namespaces[RIGHT].start("ping", &format!("-c 1 {}", HOST[LEFT]));
    let unknown = || gateways.sides[LEFT].plane.counters().dropped(DropReason::UnknownSpi);
    eventually("drop", || (unknown() == 1).then_some(()));

    // It ends with the last of its traffic, too.
    gateways.sides[RIGHT].plane.remove(new.spi(RIGHT));
    let _lost = gateways.namespaces[RIGHT].start("ping", &format!("-c 1 {}", HOST[LEFT]));
    let unknown = || gateways.sides[LEFT].plane.counters().dropped(DropReason::UnknownSpi);
    eventually("drop", || (unknown() == 2).then_some(()));
}

#[test]
fn the_first_packet_begins_the_tunnel_and_is_not_lost() {
    let mut gateways = sites();
    wait_for_traffic(&mut gateways.sides[LEFT].plane);
    let tunnel = Tunnel::default();
    gateways.sides[RIGHT].plane.install(pair(tunnel, RIGHT), None).unwrap();
    let answers = std::thread::scope(|scope| {
        let namespace = &gateways.namespaces[LEFT];
        let ping = scope.spawn(|| namespace.run("ping", &format!("-c 3 -i 0.02 -W 5 {}", HOST[RIGHT])));
        no_tunnel_of(&mut gateways.sides[LEFT].plane);
        gateways.sides[LEFT].plane.install(pair(tunnel, LEFT), None).unwrap();
        ping.join().unwrap()
    });
    assert!(answers.contains(" 0% packet loss"), "{answers}");
}

fn no_tunnel_of(plane: &mut impl DataPlane) {
    let event = eventually("an event", || plane.poll_event());
    assert!(matches!(event, DataPlaneEvent::NoTunnel { ref site, protocol: 1, .. } if **site == *SITE), "{event:?}");
}

#[test]
fn a_super_packet_waits_whole() {
    let mut gateways = sites();
    wait_for_traffic(&mut gateways.sides[LEFT].plane);
    let tunnel = Tunnel::default();
    gateways.sides[RIGHT].plane.install(pair(tunnel, RIGHT), None).unwrap();
    let bind = |side: usize| gateways.namespaces[side].inside(|| UdpSocket::bind((HOST[side], 9000)).unwrap());
    let (client, server) = (bind(LEFT), bind(RIGHT));
    server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    client.send_to(&[7; 1000], server.local_addr().unwrap()).unwrap();
    no_tunnel(&mut gateways, 17);
    gateways.sides[LEFT].plane.install(pair(tunnel, LEFT), None).unwrap();
    assert_eq!(server.recv_from(&mut [0; 2000]).unwrap().0, 1000, "with a checksum that the kernel takes");
}

#[test]
fn a_flood_without_tunnel_is_told_once_a_second_and_does_not_pile_up() {
    let mut gateways = sites();
    // What IPv6 says to its link by itself would count as dropped.
    gateways.namespaces[LEFT].run("sysctl", "-qw net.ipv6.conf.cygnet0.disable_ipv6=1");
    let dropped = |gateways: &Gateways| gateways.sides[LEFT].plane.counters().dropped(DropReason::NoSa);
    let before = dropped(&gateways);
    wait_for_traffic(&mut gateways.sides[LEFT].plane);
    let client = gateways.namespaces[LEFT].inside(|| UdpSocket::bind((HOST[LEFT], 0)).unwrap());
    let clock = Clock::start();
    for _ in 0..100 {
        client.send_to(b"hello", (HOST[RIGHT], 9)).unwrap();
    }
    eventually("drops", || (dropped(&gateways) - before >= 92).then_some(()));
    no_tunnel(&mut gateways, 17);
    let told_again = std::iter::from_fn(|| gateways.sides[LEFT].plane.poll_event()).count();
    assert!(told_again as u64 <= clock.elapsed().as_secs(), "{told_again} more");
    gateways.sides[LEFT].plane.set_traps(Vec::new());
    client.send_to(b"hello", (HOST[RIGHT], 9)).unwrap();
    eventually("drop", || (dropped(&gateways) - before >= 93).then_some(()));
    assert_eq!(gateways.sides[LEFT].plane.poll_event(), None, "nobody wants it");
}

#[test]
fn octets_and_packets_have_limits() {
    let bytes = Limits { bytes: Some(Limit { soft: 200, hard: 400 }), packets: None };
    let packets = Limits { packets: Some(Limit { soft: 3, hard: 7 }), bytes: None };
    for limits in [bytes, packets] {
        let mut gateways = sites();
        let tunnel = Tunnel::default();
        gateways.sides[LEFT].plane.install(SaPair { limits, ..pair(tunnel, LEFT) }, None).unwrap();
        gateways.sides[RIGHT].plane.install(pair(tunnel, RIGHT), None).unwrap();
        let _pings = gateways.namespaces[LEFT].start("ping", &format!("-c 20 -i 0.02 -s 36 {}", HOST[RIGHT]));
        let spi = tunnel.spi(LEFT);
        let told = [gateways.event(LEFT), gateways.event(LEFT), gateways.event(LEFT)];
        let expected = [
            DataPlaneEvent::FirstInbound { spi },
            DataPlaneEvent::SoftLimit { spi },
            DataPlaneEvent::HardLimit { spi },
        ];
        assert!(expected.iter().all(|event| told.contains(event)), "{told:?}");
        let at = |event: &DataPlaneEvent| told.iter().position(|other| other == event);
        assert!(at(&expected[1]) < at(&expected[2]), "{told:?}");
        let exhausted = || gateways.sides[LEFT].plane.counters().dropped(DropReason::Exhausted);
        eventually("drops", || (exhausted() > 5).then_some(()));
        assert!(sent(&gateways, LEFT, tunnel) <= 7, "nothing leaves any more");
        assert_eq!(gateways.sides[LEFT].plane.poll_event(), None, "each is told once");
    }
}

#[test]
fn a_device_of_its_own_carries_whatever_is_routed_there() {
    let mut gateways = sites();
    let everything = ["0.0.0.0", "255.255.255.255"].map(|address| address.parse().unwrap());
    let everything = || [Selector::addresses(everything[0], everything[1])];
    let tunnel = Tunnel { worker: 1, ..Tunnel::default() };
    let device = SiteDevice { site: SITE.into(), interface: "cg-berlin".into() };
    for side in [LEFT, RIGHT] {
        let Gateways { sides, namespaces } = &mut gateways;
        let of_site = || SaPair {
            selectors: SelectorSet::new(everything(), everything()),
            ..pair(tunnel, side).on(Device::Site(SITE.into()))
        };
        let plane = &mut sides[side].plane;
        assert_eq!(plane.install(of_site(), None), Err(InstallError::NoDevice(SITE.into())));
        namespaces[side].inside(|| plane.set_devices(std::slice::from_ref(&device)).unwrap());
        plane.set_traps(vec![SITE.into()]);
        namespaces[side].ip("link set cg-berlin up mtu 1380");
        namespaces[side].ip(&format!("addr add 172.16.0.{} dev lo", side + 1));
        namespaces[side].ip(&format!("route add 172.16.0.{} dev cg-berlin src 172.16.0.{}", 2 - side, side + 1));
        if side == RIGHT {
            plane.install(of_site(), None).unwrap();
        }
    }
    // Without a pair the first packet waits, whatever its addresses.
    let client = gateways.namespaces[LEFT].inside(|| UdpSocket::bind("172.16.0.1:0").unwrap());
    let server = gateways.namespaces[RIGHT].inside(|| UdpSocket::bind("172.16.0.2:9000").unwrap());
    server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    client.send_to(b"first", "172.16.0.2:9000").unwrap();
    let wanted = eventually("NoTunnel", || {
        let event = gateways.sides[LEFT].plane.poll_event()?;
        matches!(event, DataPlaneEvent::NoTunnel { protocol: 17, .. }).then_some(event)
    });
    assert!(matches!(wanted, DataPlaneEvent::NoTunnel { site, .. } if *site == *SITE));
    let left = SaPair {
        selectors: SelectorSet::new(everything(), everything()),
        ..pair(tunnel, LEFT).on(Device::Site(SITE.into()))
    };
    gateways.sides[LEFT].plane.install(left, None).unwrap();
    assert_eq!(server.recv_from(&mut [0; 16]).unwrap().0, 5);

    gateways.ping(LEFT, "172.16.0.2", "");
    gateways.ping(RIGHT, "172.16.0.1", "-s 1300");
    // The shared device has no pair for the same destination: each has its own traffic.
    let _elsewhere = gateways.namespaces[LEFT].start("ping", &format!("-c 1 {}", HOST[RIGHT]));
    let no_sa = || gateways.sides[LEFT].plane.counters().dropped(DropReason::NoSa);
    eventually("drop", || (no_sa() > 0).then_some(()));

    let before = |gateways: &Gateways| gateways.namespaces[LEFT].run("ip", "-o link");
    assert!(before(&gateways).contains("cg-berlin"));
    gateways.sides[LEFT].plane.set_devices(&[]).unwrap();
    eventually("end of the device", || (!before(&gateways).contains("cg-berlin")).then_some(()));
}

/// Everything, as the selectors of a site that stands for the whole internet.
fn anything() -> [Selector; 1] {
    [Selector::addresses([0, 0, 0, 0].into(), [255; 4].into())]
}

/// Claims of the left side: a wide site, a narrow one inside of it, clients, and hosts that are not behind the wide one.
fn claims() -> Vec<Claim> {
    let to = |owner, net: &str| Claim::to_networks(owner, [net.parse().unwrap()]);
    vec![
        to(Owner::Site("hq".into()), "0.0.0.0/0"),
        to(Owner::Site(SITE.into()), NETWORK[RIGHT]),
        to(Owner::Clients, "10.3.0.0/24"),
        to(Owner::AllBut("hq".into()), NETWORK[LEFT]),
    ]
}

/// A wide site at the right, by the shared device or one of its own, and nobody else there.
fn wide_site(own_device: bool) -> (Gateways, Tunnel) {
    let (mut gateways, tunnel) = (sites(), Tunnel { number: 9, ..Tunnel::default() });
    let Gateways { sides, namespaces } = &mut gateways;
    let device = if own_device { Device::Site("hq".into()) } else { Device::Shared };
    if own_device {
        let wanted = SiteDevice { site: "hq".into(), interface: "cg-hq".into() };
        namespaces[LEFT].inside(|| sides[LEFT].plane.set_devices(&[wanted]).unwrap());
        // What IPv6 says to its link by itself would count as dropped.
        namespaces[LEFT].run("sysctl", "-qw net.ipv6.conf.cg-hq.disable_ipv6=1");
        namespaces[LEFT].ip("link set cg-hq up mtu 1380");
    }
    let interface = if own_device { "cg-hq" } else { "cygnet0" };
    namespaces[LEFT].ip(&format!("route add 10.9.0.0/16 dev {interface} src {}", HOST[LEFT]));
    namespaces[LEFT].ip(&format!("route add 10.3.0.0/24 dev {interface} src {}", HOST[LEFT]));
    namespaces[RIGHT].ip("addr add 10.9.0.1 dev lo");
    sides[LEFT].plane.set_claims(claims());
    sides[LEFT].plane.set_traps(vec![SITE.into(), "hq".into()]);
    for (side, device) in [(LEFT, device), (RIGHT, Device::Shared)] {
        let wide = SaPair { selectors: SelectorSet::new(anything(), anything()), ..tunnel.pair(side) };
        sides[side].plane.install(wide.of(Owner::Site("hq".into())).on(device), None).unwrap();
    }
    (gateways, tunnel)
}

/// The site that the next packet without a tunnel is for.
fn wanted_site(plane: &mut impl DataPlane) -> String {
    eventually("NoTunnel", || match plane.poll_event()? {
        DataPlaneEvent::NoTunnel { site, .. } => Some(site.to_string()),
        _ => None,
    })
}

#[test]
fn a_site_that_is_down_does_not_lose_its_traffic_to_a_wider_one() {
    let (mut gateways, hq) = wide_site(false);
    let berlin = Tunnel { number: 2, ..Tunnel::default() };
    gateways.ping(LEFT, "10.9.0.1", "");
    let before = sent(&gateways, LEFT, hq);
    let of_berlin = |side| pair(berlin, side);
    gateways.sides[RIGHT].plane.install(of_berlin(RIGHT), None).unwrap();
    let answers = std::thread::scope(|scope| {
        let namespace = &gateways.namespaces[LEFT];
        let ping = scope.spawn(|| namespace.run("ping", &format!("-c 3 -i 0.02 -W 5 {}", HOST[RIGHT])));
        assert_eq!(wanted_site(&mut gateways.sides[LEFT].plane), SITE);
        gateways.sides[LEFT].plane.install(of_berlin(LEFT), None).unwrap();
        ping.join().unwrap()
    });
    assert!(answers.contains(" 0% packet loss"), "{answers}");
    assert_eq!((sent(&gateways, LEFT, hq), sent(&gateways, LEFT, berlin)), (before, 3));

    // A client that is not there belongs to nobody else either.
    let _lost = gateways.namespaces[LEFT].start("ping", "-c 1 10.3.0.7");
    let dropped = || gateways.sides[LEFT].plane.counters().dropped(DropReason::Selector);
    eventually("drop", || (dropped() == 1).then_some(()));
    gateways.sides[LEFT].plane.remove(berlin.spi(LEFT));
    let _lost = gateways.namespaces[LEFT].start("ping", "-c 1 10.2.0.77");
    assert_eq!(wanted_site(&mut gateways.sides[LEFT].plane), SITE);
    assert_eq!(sent(&gateways, LEFT, hq), before);
}

#[test]
fn a_wide_site_speaks_for_nobody_else() {
    for own_device in [false, true] {
        let (gateways, hq) = wide_site(own_device);
        gateways.ping(RIGHT, HOST[LEFT], "-I 10.9.0.1");
        let received = || gateways.sides[LEFT].plane.usage(hq.spi(LEFT)).unwrap().packets_in;
        let before = received();
        let dropped = || gateways.sides[LEFT].plane.counters().dropped(DropReason::Selector);
        for (count, other) in [(1, HOST[RIGHT]), (2, "10.3.0.7"), (3, "10.1.0.99")] {
            let namespace = &gateways.namespaces[RIGHT];
            if other != HOST[RIGHT] {
                namespace.ip(&format!("addr add {other} dev lo"));
            }
            let _spoofed = namespace.start("ping", &format!("-I {other} -c 1 {}", HOST[LEFT]));
            eventually("drop", || (dropped() == count).then_some(()));
        }
        assert_eq!(received(), before, "own device: {own_device}");
        // A client that is away is not at a site whose device the kernel's routes lead to.
        let _lost = gateways.namespaces[LEFT].start("ping", "-c 1 10.3.0.7");
        eventually("drop", || (dropped() == 4).then_some(()));
    }
}

#[test]
fn claims_that_come_later_hold_for_pairs_that_are_there() {
    let (mut gateways, hq) = wide_site(false);
    gateways.sides[LEFT].plane.set_claims(claims().into_iter().take(1).collect());
    let before = sent(&gateways, LEFT, hq);
    let _unclaimed = gateways.namespaces[LEFT].start("ping", &format!("-c 1 {}", HOST[RIGHT]));
    eventually("packet", || (sent(&gateways, LEFT, hq) > before).then_some(()));
    gateways.sides[LEFT].plane.set_claims(claims());
    let _claimed = gateways.namespaces[LEFT].start("ping", &format!("-c 1 {}", HOST[RIGHT]));
    assert_eq!(wanted_site(&mut gateways.sides[LEFT].plane), SITE);
}

#[test]
fn a_device_goes_on_when_its_site_gets_another_name() {
    let (mut gateways, hq) = wide_site(true);
    let renamed = SiteDevice { site: "headquarters".into(), interface: "cg-hq".into() };
    let Gateways { sides, namespaces } = &mut gateways;
    let index = |namespace: &crate::namespaces::Namespace| {
        let line = namespace.run("ip", "-o link show cg-hq");
        line.split(':').next().map(str::to_owned)
    };
    let before = index(&namespaces[LEFT]);
    namespaces[LEFT].inside(|| sides[LEFT].plane.set_devices(&[renamed]).unwrap());
    assert_eq!(index(&namespaces[LEFT]), before);
    sides[LEFT].plane.remove(hq.spi(LEFT));
    sides[LEFT].plane.set_claims(Vec::new());
    sides[LEFT].plane.set_traps(vec!["headquarters".into()]);
    let _wants = namespaces[LEFT].start("ping", "-c 1 10.9.0.1");
    assert_eq!(wanted_site(&mut sides[LEFT].plane), "headquarters");
    let wide = SaPair { selectors: SelectorSet::new(anything(), anything()), ..Tunnel::default().pair(LEFT) };
    let old_name = SaPair { device: Device::Site("hq".into()), ..pair(Tunnel::default(), LEFT) };
    assert_eq!(sides[LEFT].plane.install(old_name, None), Err(InstallError::NoDevice("hq".into())));
    sides[LEFT].plane.install(wide.on(Device::Site("headquarters".into())), None).unwrap();
}
