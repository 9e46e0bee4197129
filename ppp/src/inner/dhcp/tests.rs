//! DHCPINFORM byte for byte as macOS and Windows send it, and what comes back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::inner;
use crate::inner::ip::Packet;

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 9);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);

fn config() -> InnerConfig {
    InnerConfig {
        ipv4: Some(CLIENT),
        gateway4: Some(GATEWAY),
        dns: vec!["10.1.0.53".parse().unwrap(), "fd00::53".parse().unwrap(), "10.1.0.54".parse().unwrap()],
        nbns: vec!["10.1.0.44".parse().unwrap()],
        domains: vec!["corp.example".to_owned(), "lab.example".to_owned()],
        routes: vec![
            ("10.1.0.0".parse().unwrap(), 16),
            ("192.0.2.128".parse().unwrap(), 25),
            ("fd00::".parse().unwrap(), 8),
            ("10.0.0.0".parse().unwrap(), 8),
        ],
        mtu: 1400,
        ..InnerConfig::default()
    }
}

/// The fixed part up to the cookie.
fn head(htype: u8, hlen: u8, xid: u32, chaddr: [u8; 16]) -> Vec<u8> {
    let mut out = vec![1, htype, hlen, 0];
    out.extend(xid.to_be_bytes());
    out.extend([0; 4]);
    out.extend(CLIENT.octets());
    out.extend([0; 12]);
    out.extend(chaddr);
    out.extend([0; 192]);
    out.extend([99, 130, 83, 99]);
    out
}

/// What macOS sends with "send all traffic" off.
fn macos() -> Vec<u8> {
    let mut chaddr = [0; 16];
    (chaddr[3], chaddr[15]) = (1, 1);
    let mut out = head(8, 6, 1, chaddr);
    out.extend([53, 1, 8]);
    out.extend([61, 7, 8, 0, 0, 0, 1, 0, 0]);
    out.extend([55, 6, 6, 44, 43, 1, 249, 15]);
    out.push(255);
    out.extend([0; 2]);
    out
}

/// What Windows sends after every connect.
fn windows() -> Vec<u8> {
    let mut out = head(8, 0, 0x1a2b_3c4d, [0; 16]);
    out.extend([53, 1, 8]);
    out.extend([61, 17, 1, 0x52, 0x41, 0x53, 0x20, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0]);
    out.extend([12, 6]);
    out.extend(b"LAPTOP");
    out.extend([60, 8]);
    out.extend(b"MSFT 5.0");
    out.extend([55, 13, 1, 3, 6, 15, 31, 33, 43, 44, 46, 47, 121, 249, 252]);
    out.push(255);
    out
}

fn packet(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    Udp { source, destination, source_port: 68, destination_port: 67, payload }.emit().unwrap()
}

/// The options of the answer, after everything else in it was checked.
fn answered(config: &InnerConfig, request: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let answer = inner::answer(config, &packet(CLIENT, Ipv4Addr::BROADCAST, request)).unwrap();
    assert!(answer.len() <= usize::from(config.mtu.max(576)));
    let Some(Packet::Udp4(udp)) = Packet::parse(&answer) else { panic!("not UDP") };
    assert_eq!((udp.source, udp.destination), (GATEWAY, CLIENT), "unicast");
    assert_eq!((udp.source_port, udp.destination_port), (67, 68));
    let bytes = udp.payload;
    assert!(bytes.len() >= 300);
    assert_eq!(bytes[0], 2, "a reply");
    assert_eq!(bytes[1..3], request[1..3], "htype and hlen");
    assert_eq!(bytes[4..8], request[4..8], "xid");
    assert_eq!(bytes[10..16], request[10..16], "flags and ciaddr");
    assert_eq!(bytes[16..28], [0; 12], "no address is handed out");
    assert_eq!(bytes[28..44], request[28..44], "chaddr");
    assert_eq!(bytes[236..243], [99, 130, 83, 99, 53, 1, 5], "the message type comes first");
    let message = Message::parse(bytes).unwrap();
    message.options.iter().map(|(code, value)| (*code, value.to_vec())).collect()
}

fn value(options: &[(u8, Vec<u8>)], code: u8) -> Option<&[u8]> {
    options.iter().find(|(c, _)| *c == code).map(|(_, value)| value.as_slice())
}

const ROUTES: &[u8] = &[
    16, 10, 1, 10, 20, 0, 1, // 10.1.0.0/16 through the gateway
    25, 192, 0, 2, 128, 10, 20, 0, 1, 8, 10, 10, 20, 0, 1,
];

/// Test idea 48.
#[test]
fn the_inform_of_macos_is_answered_with_routes_dns_and_domain() {
    let options = answered(&config(), &macos());
    assert_eq!(options[0], (53, vec![5]));
    assert_eq!(options[1], (54, GATEWAY.octets().to_vec()));
    assert_eq!(value(&options, 6), Some(&[10, 1, 0, 53, 10, 1, 0, 54][..]));
    assert_eq!(value(&options, 15), Some(&b"corp.example"[..]));
    assert_eq!(value(&options, 44), Some(&[10, 1, 0, 44][..]));
    assert_eq!(value(&options, 1), Some(&[255; 4][..]));
    assert_eq!(value(&options, 61), Some(&[8, 0, 0, 0, 1, 0, 0][..]));
    assert_eq!(value(&options, 249), Some(ROUTES));
    assert_eq!(value(&options, 121), Some(ROUTES));
    assert_eq!(value(&options, 119), Some(&b"\x04corp\x07example\0\x03lab\x07example\0"[..]));
    assert!(value(&options, 51).is_none(), "no lease time, RFC 2131 section 4.3.5");
}

/// Test idea 48.
#[test]
fn the_inform_of_windows_is_answered_with_routes_dns_and_domain() {
    let options = answered(&config(), &windows());
    assert_eq!(options[0], (53, vec![5]));
    assert_eq!(value(&options, 121), Some(ROUTES));
    assert_eq!(value(&options, 249), value(&options, 121));
    assert_eq!(value(&options, 15), Some(&b"corp.example"[..]));
    assert_eq!(value(&options, 6).map(<[u8]>::len), Some(8));
}

#[test]
fn nothing_is_said_about_what_is_not_configured() {
    let bare = InnerConfig { ipv4: Some(CLIENT), gateway4: Some(GATEWAY), mtu: 1400, ..InnerConfig::default() };
    let codes: Vec<u8> = answered(&bare, &windows()).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, [53, 54, 1, 61]);
}

#[test]
fn many_routes_fill_several_options_but_not_more_than_a_packet_and_none_is_cut() {
    let routes: Vec<_> = (0..200).map(|n| (IpAddr::from([10, n, 0, 0]), 24)).collect();
    for mtu in [0, 576, 1280, 1500] {
        let options = answered(&InnerConfig { routes: routes.clone(), mtu, ..config() }, &macos());
        let of = |code: u8| options.iter().filter(move |(c, _)| *c == code).map(|(_, value)| value);
        assert!(of(121).count() > 0 && of(121).eq(of(249)), "mtu {mtu}");
        assert!(of(121).all(|value| value.len() % 8 == 0), "whole routes, 8 bytes each");
        let first = of(121).next().unwrap();
        assert_eq!(first[..8], [24, 10, 0, 0, 10, 20, 0, 1]);
    }
}

#[test]
fn routes_of_every_length_are_encoded_by_their_significant_octets() {
    let network = IpAddr::from([10, 20, 30, 40]);
    for (prefix, octets) in [(0, 0), (1, 1), (8, 1), (9, 2), (16, 2), (17, 3), (24, 3), (25, 4), (32, 4)] {
        let encoded = routes(&[(network, prefix)], GATEWAY, 100);
        assert_eq!(encoded, [[&[prefix], &[10, 20, 30, 40][..octets], &GATEWAY.octets()].concat()]);
    }
    assert!(routes(&[(network, 33)], GATEWAY, 100).is_empty());
}

#[test]
fn only_an_inform_of_the_owner_of_the_address_is_answered() {
    let request = macos();
    let other = Ipv4Addr::new(10, 20, 0, 8);
    let reply = |source, destination, payload: &[u8]| inner::answer(&config(), &packet(source, destination, payload));
    assert!(reply(CLIENT, GATEWAY, &request).is_some());
    assert!(reply(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, &request).is_some());
    assert!(reply(other, Ipv4Addr::BROADCAST, &request).is_none());
    assert!(reply(CLIENT, other, &request).is_none());
    for (position, byte, what) in [
        (0, 2, "a reply"),
        (15, 8, "another ciaddr"),
        (27, 1, "a relay"),
        (242, 1, "a discover"),
        (242, 3, "a request"),
        (236, 0, "no cookie"),
    ] {
        let mut changed = request.clone();
        changed[position] = byte;
        assert!(reply(CLIENT, Ipv4Addr::BROADCAST, &changed).is_none(), "{what}");
    }
    let without_address = InnerConfig { ipv4: None, ..config() };
    assert!(inner::answer(&without_address, &packet(CLIENT, Ipv4Addr::BROADCAST, &request)).is_none());
}

#[test]
fn rejects_every_truncation() {
    for request in [macos(), windows()] {
        let end = request.iter().rposition(|byte| *byte == 255).unwrap();
        assert!(Message::parse(&request[..=end]).is_some());
        for n in 0..=end {
            assert_eq!(Message::parse(&request[..n]), None, "{n} bytes");
        }
    }
}

#[test]
fn a_message_with_too_many_options_is_not_read() {
    let mut request = head(8, 0, 1, [0; 16]);
    for _ in 0..OPTIONS_MAX {
        request.extend([12, 0]);
    }
    request.push(255);
    assert_eq!(Message::parse(&request), None);
}

proptest! {
    #[test]
    fn messages_round_trip(fixed: [u8; 4], xid: u32, rest: (u16, u16), addresses: [u32; 4], chaddr: [u8; 16],
        options in proptest::collection::vec((1_u8..255, proptest::collection::vec(any::<u8>(), 0..256)), 0..20)) {
        let [op, htype, hlen, hops] = fixed;
        let [ciaddr, yiaddr, siaddr, giaddr] = addresses.map(Ipv4Addr::from);
        let options = options.iter().map(|(code, value)| (*code, value.as_slice())).collect();
        let (secs, flags) = rest;
        let message = Message { op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, options };
        let bytes = message.emit().unwrap();
        prop_assert_eq!(Message::parse(&bytes), Some(message));
    }

    #[test]
    fn any_request_gets_one_packet_of_bounded_size_at_most(mut request: Vec<u8>, mtu: u16, position: usize) {
        let mut inform = windows();
        let at = position % inform.len();
        inform.splice(at.., request.drain(..));
        let config = InnerConfig { mtu, ..config() };
        if let Some(answer) = inner::answer(&config, &packet(CLIENT, Ipv4Addr::BROADCAST, &inform)) {
            prop_assert!(answer.len() <= usize::from(mtu.max(576)));
        }
    }
}
