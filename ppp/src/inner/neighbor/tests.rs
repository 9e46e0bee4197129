//! Router advertisements octet by octet, and what is answered at all.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::inner;
use crate::inner::ip::Packet;

fn config() -> InnerConfig {
    InnerConfig {
        ipv6: Some("fd00:20::a:b:c:d".parse().unwrap()),
        interface_identifier: 0x0102_0304_0506_0708,
        dns: vec!["10.1.0.53".parse().unwrap(), "fd00::53".parse().unwrap()],
        domains: vec!["corp.example".to_owned()],
        mtu: 1400,
        ..InnerConfig::default()
    }
}

fn message(source: &str, destination: &str, kind: u8, body: &[u8]) -> Vec<u8> {
    Icmpv6 { source: source.parse().unwrap(), destination: destination.parse().unwrap(), kind, body }.emit().unwrap()
}

fn read(packet: &[u8]) -> Icmpv6<'_> {
    match Packet::parse(packet) {
        Some(Packet::Icmpv6(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// The options of an advertisement.
fn options(body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut rest = &body[12..];
    let mut options = Vec::new();
    while let [kind, units, ..] = rest {
        let (option, behind) = rest.split_at(usize::from(*units) * 8);
        options.push((*kind, option.to_vec()));
        rest = behind;
    }
    options
}

#[test]
fn the_announcement_leads_to_the_leased_address_through_us() {
    let packet = inner::announcement(&config()).unwrap();
    let message = read(&packet);
    assert_eq!(message.source, "fe80::102:304:506:708".parse::<Ipv6Addr>().unwrap());
    assert_eq!((message.destination, message.kind), (ALL_NODES, 134));
    let mut expected = vec![64, 0x40, 0x23, 0x28, 0, 0, 0, 0, 0, 0, 0, 0];
    expected.extend([3, 4, 64, 0x40, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0]);
    expected.extend("fd00:20::".parse::<Ipv6Addr>().unwrap().octets());
    expected.extend([5, 1, 0, 0, 0, 0, 0x05, 0x78]);
    expected.extend([25, 3, 0, 0, 0, 0, 0x23, 0x28]);
    expected.extend("fd00::53".parse::<Ipv6Addr>().unwrap().octets());
    expected.extend([31, 3, 0, 0, 0, 0, 0x23, 0x28]);
    expected.extend(b"\x04corp\x07example\0\0\0");
    assert_eq!(message.body, expected);
    assert_eq!(message.body.len() % 8, 4, "with the header of four octets, whole units");
}

#[test]
fn it_is_sent_again_long_before_it_ends() {
    assert!(inner::ANNOUNCE_INTERVAL * 3 <= LIFETIME && LIFETIME.as_secs() <= 9000, "RFC 4861 section 6.2.1");
}

#[test]
fn a_solicitation_is_answered_to_its_sender() {
    let source_link_layer = [0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 9];
    for (source, body, destination) in
        [("fe80::9", &[0; 4][..], "fe80::9"), ("fe80::9", &source_link_layer, "fe80::9"), ("::", &[0; 4], "ff02::1")]
    {
        let packet = inner::answer(&config(), &message(source, "ff02::2", 133, body)).unwrap();
        let answer = read(&packet);
        assert_eq!((answer.kind, answer.destination), (134, destination.parse().unwrap()));
        assert_eq!(answer.body, read(&inner::announcement(&config()).unwrap()).body);
    }
}

#[test]
fn a_split_tunnel_has_routes_instead_of_a_default_router() {
    let split =
        InnerConfig { routes: vec![("10.0.0.0".parse().unwrap(), 8), ("fd00:1::".parse().unwrap(), 32)], ..config() };
    let packet = inner::announcement(&split).unwrap();
    let body = read(&packet).body.to_vec();
    assert_eq!(body[2..4], [0, 0], "not a default router");
    let route = options(&body).into_iter().find(|(kind, _)| *kind == 24).unwrap().1;
    assert_eq!(route[..8], [24, 3, 32, 0, 0, 0, 0x23, 0x28]);
    assert_eq!(route[8..], "fd00:1::".parse::<Ipv6Addr>().unwrap().octets());
    let all = InnerConfig { routes: vec![("::".parse().unwrap(), 0)], ..config() };
    let packet = inner::announcement(&all).unwrap();
    assert_eq!(read(&packet).body[2..4], [0x23, 0x28]);
    let only_v4 = InnerConfig { routes: vec![("0.0.0.0".parse().unwrap(), 0)], ..config() };
    let packet = inner::announcement(&only_v4).unwrap();
    assert_eq!(read(&packet).body[2..4], [0, 0]);
}

#[test]
fn our_link_local_address_answers_and_no_other() {
    let us = "fe80::102:304:506:708".parse::<Ipv6Addr>().unwrap();
    let ask = |source: &str, target: Ipv6Addr| {
        let body = [&[0; 4][..], &target.octets()].concat();
        inner::answer(&config(), &message(source, "ff02::1:ff06:708", 135, &body))
    };
    let packet = ask("fe80::9", us).unwrap();
    let answer = read(&packet);
    assert_eq!((answer.kind, answer.source, answer.destination), (136, us, "fe80::9".parse().unwrap()));
    assert_eq!(answer.body, [&[0xc0, 0, 0, 0][..], &us.octets()].concat());
    let packet = ask("::", us).unwrap();
    assert_eq!((read(&packet).destination, read(&packet).body[0]), (ALL_NODES, 0x80));
    assert!(ask("fd00:20::a:b:c:d", us).is_some());
    assert!(ask("fd00:20::1", us).is_none());
    assert!(ask("fe80::9", "fe80::9".parse().unwrap()).is_none(), "its own address is its own");
}

#[test]
fn without_ipv6_nothing_is_said() {
    let v4 = InnerConfig { ipv6: None, ..config() };
    assert_eq!(inner::announcement(&v4), None);
    assert_eq!(inner::answer(&v4, &message("fe80::9", "ff02::2", 133, &[0; 4])), None);
    let body = [&[0; 4][..], &v4.link_local().octets()].concat();
    assert_eq!(inner::answer(&v4, &message("fe80::9", "ff02::1:ff06:708", 135, &body)), None);
}

#[test]
fn malformed_and_foreign_messages_are_ignored() {
    for body in [&[][..], &[0; 3], &[0, 0, 0, 0, 1], &[0, 0, 0, 0, 1, 0, 0, 0], &[0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0]] {
        assert_eq!(inner::answer(&config(), &message("fe80::9", "ff02::2", 133, body)), None, "{body:?}");
    }
    assert_eq!(inner::answer(&config(), &message("fd00::9", "ff02::2", 133, &[0; 4])), None, "not of this link");
    assert_eq!(
        inner::answer(&config(), &message("fe80::9", "ff02::1", 134, &[0; 12])),
        None,
        "advertisement of a client"
    );
    for n in 0..20 {
        let body = [&[0; 4][..], &config().link_local().octets()].concat();
        assert_eq!(inner::answer(&config(), &message("fe80::9", "ff02::1", 135, &body[..n])), None, "{n} bytes");
    }
}

proptest! {
    #[test]
    fn advertisements_fit_the_link_and_are_made_of_whole_options(mtu: u16, routes: Vec<(u128, u8)>, dns: Vec<u128>, domains in proptest::collection::vec("[a-z]{1,20}\\.[a-z]{1,60}", 0..60)) {
        let routes: Vec<_> = routes.into_iter().map(|(n, l)| (IpAddr::V6(n.into()), l)).collect();
        let dns = dns.into_iter().map(|n| IpAddr::V6(n.into())).collect();
        let config = InnerConfig { mtu, routes, dns, domains, ..config() };
        let packet = inner::announcement(&config).unwrap();
        prop_assert!(packet.len() <= usize::from(mtu.max(1280)));
        let body = read(&packet).body;
        prop_assert!(whole_options(&body[12..]).is_some());
    }
}
