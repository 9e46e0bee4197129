use super::*;
use crate::event::Family;

fn request(identifier: u8, options: &[u8]) -> Vec<u8> {
    Packet { code: Code::CONFIGURE_REQUEST, identifier, data: options }.emit()
}

fn option(kind: u8, address: [u8; 4]) -> Vec<u8> {
    [&[kind, 6][..], &address].concat()
}

fn options(list: &[(u8, [u8; 4])]) -> Vec<u8> {
    list.iter().flat_map(|(kind, address)| option(*kind, *address)).collect()
}

const ANY: [u8; 4] = [0; 4];
const LEASE: [u8; 4] = [10, 20, 0, 7];
const DNS1: [u8; 4] = [10, 20, 0, 1];
const DNS2: [u8; 4] = [9, 9, 9, 9];

fn ipv4_only() -> Grant {
    Grant { ipv6: None, ..Pair::dual_stack() }
}

impl Gateway {
    /// Sends a Configure-Request of IPCP and takes the answer.
    fn ask(&mut self, identifier: u8, list: &[(u8, [u8; 4])]) -> (Code, Vec<u8>) {
        self.receive(Protocol::IPCP, &request(identifier, &options(list)));
        let mut sent = self.sent().into_iter().filter(|sent| sent.packet().code != Code::CONFIGURE_REQUEST);
        let sent = sent.next_back().expect("an answer");
        assert_eq!((sent.protocol, sent.packet().identifier), (Protocol::IPCP, identifier));
        (sent.packet().code, sent.packet().data.to_vec())
    }
}

/// Idea 46: a client of each kind, with and without servers of each kind.
#[test]
fn tells_rejects_and_acks_name_servers_in_two_rounds() {
    let asked = [3, 129, 130, 131, 132];
    let dns: [Vec<[u8; 4]>; 3] = [vec![], vec![DNS1], vec![DNS1, DNS2]];
    let nbns: [Vec<[u8; 4]>; 3] = [vec![], vec![[10, 20, 0, 2]], vec![[10, 20, 0, 2], [10, 20, 0, 3]]];
    for (dns, nbns) in dns.iter().flat_map(|dns| nbns.iter().map(move |nbns| (dns, nbns))) {
        let grant = Grant {
            dns: dns.iter().map(|server| (*server).into()).collect(),
            nbns: nbns.iter().map(|server| (*server).into()).collect(),
            ..ipv4_only()
        };
        let values = [Some(&LEASE), dns.first(), nbns.first(), dns.get(1), nbns.get(1)];
        let (known, unknown): (Vec<_>, Vec<_>) = asked.into_iter().zip(values).partition(|(_, value)| value.is_some());
        let known: Vec<(u8, [u8; 4])> = known.into_iter().filter_map(|(kind, value)| Some((kind, *value?))).collect();
        let unknown: Vec<(u8, [u8; 4])> = unknown.into_iter().map(|(kind, _)| (kind, ANY)).collect();
        let blank: Vec<(u8, [u8; 4])> = known.iter().map(|(kind, _)| (*kind, ANY)).collect();

        let mut gateway = Gateway::granted(grant);
        if !unknown.is_empty() {
            let first = gateway.ask(1, &asked.map(|kind| (kind, ANY)));
            assert_eq!(first, (Code::CONFIGURE_REJECT, options(&unknown)), "{dns:?} {nbns:?}");
        }
        assert_eq!(gateway.ask(2, &blank), (Code::CONFIGURE_NAK, options(&known)), "{dns:?} {nbns:?}");
        assert_eq!(gateway.ask(3, &known), (Code::CONFIGURE_ACK, options(&known)), "{dns:?} {nbns:?}");
    }
}

/// Idea 46: header compression and the obsolete IP-Addresses option.
#[test]
fn rejects_header_compression_and_unknown_options_of_ipcp() {
    let mut gateway = Gateway::granted(ipv4_only());
    let refused =
        [&[2, 6, 0, 0x2d, 15, 1][..], &[1, 10, 0, 0, 0, 0, 0, 0, 0, 0], &[4, 6, 0, 0, 0, 0], &[99, 2]].concat();
    gateway.receive(Protocol::IPCP, &request(1, &[&option(3, ANY)[..], &refused].concat()));
    let answer = gateway.sent().pop().expect("an answer");
    assert_eq!(answer.parts(), (Code::CONFIGURE_REJECT, 1, &refused[..]));
}

/// Idea 46: two rounds at most for a client that wants name servers of its own.
#[test]
fn rejects_name_servers_of_a_client_that_insists_on_its_own() {
    let mut gateway = Gateway::granted(ipv4_only());
    let stubborn = [(3, LEASE), (129, [1, 1, 1, 1])];
    let told = options(&[(129, DNS1)]);
    assert_eq!(gateway.ask(1, &stubborn), (Code::CONFIGURE_NAK, told.clone()));
    assert_eq!(gateway.ask(2, &stubborn), (Code::CONFIGURE_NAK, told));
    assert_eq!(gateway.ask(3, &stubborn), (Code::CONFIGURE_REJECT, options(&[(129, [1, 1, 1, 1])])));
    assert_eq!(gateway.ask(4, &[(3, LEASE)]), (Code::CONFIGURE_ACK, options(&[(3, LEASE)])));
}

#[test]
fn ends_after_three_naks_of_an_address_that_is_not_the_lease() {
    let mut gateway = Gateway::granted(Pair::dual_stack());
    let foreign = [192, 168, 1, 5];
    for identifier in 1..=3 {
        assert_eq!(gateway.ask(identifier, &[(3, foreign)]), (Code::CONFIGURE_NAK, options(&[(3, LEASE)])));
    }
    gateway.receive(Protocol::IPCP, &request(4, &option(3, foreign)));
    assert!(
        gateway
            .sent()
            .iter()
            .any(|sent| sent.packet().code == Code::TERMINATE_REQUEST && sent.protocol == Protocol::LCP)
    );
    gateway.receive_lcp(Code::TERMINATE_ACK, &[]);
    assert_eq!(gateway.down(), Some(CloseReason::AddressRefused { asked: foreign.into() }));
}

#[test]
fn tells_the_address_to_a_client_that_does_not_ask_and_then_lets_it_be() {
    let mut gateway = Gateway::granted(ipv4_only());
    assert_eq!(gateway.ask(1, &[]), (Code::CONFIGURE_NAK, options(&[(3, LEASE)])));
    assert_eq!(gateway.ask(2, &[]), (Code::CONFIGURE_NAK, options(&[(3, LEASE)])));
    assert_eq!(gateway.ask(3, &[]), (Code::CONFIGURE_ACK, vec![]));
}

#[test]
fn asks_for_its_own_address_only() {
    let mut gateway = Gateway::logged_in();
    gateway.link.grant(gateway.now, ipv4_only());
    let sent = gateway.only();
    assert_eq!((sent.protocol, sent.packet().code), (Protocol::IPCP, Code::CONFIGURE_REQUEST));
    assert_eq!(sent.packet().data, option(3, [10, 20, 0, 1]));
}

#[test]
fn keeps_its_address_at_first_and_does_without_in_the_end() {
    let mut gateway = Gateway::logged_in();
    gateway.link.grant(gateway.now, ipv4_only());
    let mut identifier = gateway.only().packet().identifier;
    for expected in [option(3, [10, 20, 0, 1]), vec![]] {
        let data = option(3, [10, 9, 9, 9]);
        gateway.receive(Protocol::IPCP, &Packet { code: Code::CONFIGURE_NAK, identifier, data: &data }.emit());
        let sent = gateway.only();
        assert_eq!(sent.packet().data, expected);
        identifier = sent.packet().identifier;
    }
}

#[test]
fn requests_before_the_grant_are_held_and_not_rejected() {
    let mut gateway = Gateway::logged_in();
    gateway.receive(Protocol::IPCP, &request(1, &option(3, [1, 2, 3, 4])));
    gateway.receive(Protocol::IPCP, &request(2, &option(3, ANY)));
    gateway.receive(Protocol::IPV6CP, &request(3, &[1, 10, 0, 0, 0, 0, 0, 0, 0, 9]));
    assert_eq!(gateway.sent(), []);

    gateway.link.grant(gateway.now, Pair::dual_stack());
    let answers: Vec<_> = gateway
        .sent()
        .into_iter()
        .filter(|sent| sent.packet().code == Code::CONFIGURE_NAK)
        .map(|sent| (sent.protocol, sent.packet().identifier, sent.packet().data.to_vec()))
        .collect();
    let identifier = vec![1, 10, 0, 0xa, 0, 0xb, 0, 0xc, 0, 0xd];
    assert_eq!(answers, [(Protocol::IPCP, 2, option(3, LEASE)), (Protocol::IPV6CP, 3, identifier)]);
}

#[test]
fn rejects_ipv6cp_without_an_ipv6_address_also_if_it_came_before_the_grant() {
    let mut gateway = Gateway::logged_in();
    let early = request(1, &[1, 10, 0, 0, 0, 0, 0, 0, 0, 9]);
    gateway.receive(Protocol::IPV6CP, &early);
    gateway.link.grant(gateway.now, ipv4_only());
    let expected = [&[0x80, 0x57][..], &early].concat();
    let reject = |sent: Vec<Sent>| sent.into_iter().find(|s| s.protocol == Protocol::LCP).expect("a Protocol-Reject");
    assert_eq!(reject(gateway.sent()).packet().data, expected);
    gateway.receive(Protocol::IPV6CP, &early);
    assert_eq!(reject(gateway.sent()).packet().data, expected);
}

#[test]
fn rejects_ipcp_without_an_ipv4_address() {
    let mut gateway = Gateway::granted(Grant { ipv4: None, ..Pair::dual_stack() });
    gateway.receive(Protocol::IPCP, &request(1, &option(3, ANY)));
    assert_eq!(gateway.only().packet().code, Code::PROTOCOL_REJECT);
}

/// Idea 47.
#[test]
fn rejects_protocols_that_it_does_not_have_with_as_much_as_the_client_takes() {
    let numbers = [
        0x80fd, // CCP
        0x8053, // ECP
        0x8235, 0x0235, // Apple's ACSP
        0xc02b, // BACP
        0x8029, // AppleTalk
        0x802b, // IPX
        0x803f, // NetBIOS frames
        0x8207, // Cisco's CDP
        0x4099, // unknown
        0x00fd, // a compressed packet
        0x002d, // a packet with compressed headers
    ];
    for mru in [576_u16, 1400] {
        let mut gateway = Gateway::logged_in_with(&[&[1, 4][..], &mru.to_be_bytes()].concat());
        gateway.link.grant(gateway.now, ipv4_only());
        gateway.sent();
        for (n, number) in numbers.into_iter().enumerate() {
            gateway.now += SECOND / 5;
            let information = vec![u8::try_from(n).expect("a few"); 1490];
            gateway.receive(Protocol(number), &information);
            let sent = gateway.only();
            assert_eq!((sent.protocol, sent.packet().code), (Protocol::LCP, Code::PROTOCOL_REJECT));
            assert_eq!(sent.information.len(), usize::from(mru));
            assert_eq!(sent.packet().data[..2], number.to_be_bytes());
            assert!(sent.packet().data[2..].iter().all(|octet| *octet == information[0]));
        }
        gateway.receive(Protocol::CCP, &[1, 5, 0, 10, 18, 6, 1, 0, 0, 0]);
        assert_eq!(gateway.only().packet().data, [0x80, 0xfd, 1, 5, 0, 10, 18, 6, 1, 0, 0, 0], "a short one in full");
    }
}

#[test]
fn rejects_ten_protocols_per_second() {
    let mut gateway = Gateway::granted(ipv4_only());
    for _ in 0..1000 {
        gateway.receive(Protocol::CCP, &[1, 5, 0, 10, 18, 6, 1, 0, 0, 0]);
    }
    assert!(gateway.sent().len() <= 10);
}

#[test]
fn suggests_the_interface_identifier_of_the_lease_until_it_is_taken() {
    let mut gateway = Gateway::granted(Pair::dual_stack());
    let lease = [1, 10, 0, 0xa, 0, 0xb, 0, 0xc, 0, 0xd];
    for (identifier, asked) in
        [(1, vec![]), (2, vec![1, 10, 0, 0, 0, 0, 0, 0, 0, 0]), (3, vec![1, 10, 2, 0, 0, 0, 0, 0, 0, 1])]
    {
        gateway.receive(Protocol::IPV6CP, &request(identifier, &asked));
        let sent = gateway.sent().pop().expect("an answer");
        assert_eq!(sent.parts(), (Code::CONFIGURE_NAK, identifier, &lease[..]));
    }
    gateway.receive(Protocol::IPV6CP, &request(4, &[&lease[..], &[2, 4, 0, 0x4f]].concat()));
    assert_eq!(gateway.only().parts(), (Code::CONFIGURE_REJECT, 4, &[2, 4, 0, 0x4f][..]));
    gateway.receive(Protocol::IPV6CP, &request(5, &lease));
    assert_eq!(gateway.only().parts(), (Code::CONFIGURE_ACK, 5, &lease[..]));
}

#[test]
fn gives_ipv6_up_when_the_client_insists_on_another_identifier() {
    let mut gateway = Gateway::granted(Pair::dual_stack());
    let own = [1, 10, 2, 0, 0, 0, 0, 0, 0, 1];
    for identifier in 1..=6 {
        gateway.receive(Protocol::IPV6CP, &request(identifier, &own));
    }
    gateway.sent();
    gateway.receive(Protocol::IPV6CP, &request(7, &own));
    assert_eq!(gateway.only().packet().code, Code::PROTOCOL_REJECT);
    assert_eq!(gateway.link.info().phase, Phase::Network, "IPv4 goes on");
}

#[test]
fn reports_each_family_when_it_comes_up_and_announces_the_router() {
    let mut gateway = Gateway::granted(Pair::dual_stack());
    let lease = [1, 10, 0, 0xa, 0, 0xb, 0, 0xc, 0, 0xd];
    let local = [1, 10, 0, 0, 0, 0, 0, 0, 0, 1];
    gateway.receive(Protocol::IPV6CP, &request(1, &lease));
    assert!(gateway.events().is_empty());
    gateway.sent();
    gateway.receive(Protocol::IPV6CP, &Packet { code: Code::CONFIGURE_ACK, identifier: 1, data: &local }.emit());
    assert!(matches!(gateway.events()[..], [Event::NetworkUp { family: Family::V6 }]));
    let advertisement = gateway.only();
    assert_eq!((advertisement.protocol, advertisement.information[0] >> 4), (Protocol::IPV6, 6));
    assert_eq!(advertisement.information[40], 134, "ICMPv6 router advertisement");

    gateway
        .receive(Protocol::IPCP, &Packet { code: Code::CONFIGURE_ACK, identifier: 1, data: &option(3, DNS1) }.emit());
    gateway.receive(Protocol::IPCP, &request(1, &option(3, LEASE)));
    assert!(matches!(gateway.events()[..], [Event::NetworkUp { family: Family::V4 }]));
}

#[test]
fn ends_when_no_family_is_left() {
    let mut gateway = Gateway::granted(Pair::dual_stack());
    gateway.receive_lcp(Code::PROTOCOL_REJECT, &[0x80, 0x57]);
    assert_eq!(gateway.link.info().phase, Phase::Network);
    gateway.receive_lcp(Code::PROTOCOL_REJECT, &[0x80, 0x21]);
    assert_eq!(gateway.link.info().phase, Phase::Terminate);
    gateway.receive_lcp(Code::TERMINATE_ACK, &[]);
    assert_eq!(gateway.down(), Some(CloseReason::NoNetworkProtocol));
}

#[test]
fn ends_a_grant_without_any_address() {
    let mut gateway = Gateway::granted(Grant { ipv4: None, ..ipv4_only() });
    gateway.receive_lcp(Code::TERMINATE_ACK, &[]);
    assert_eq!(gateway.down(), Some(CloseReason::NoAddress));
}

#[test]
fn a_client_that_ends_ipcp_hangs_up() {
    let mut gateway = Gateway::granted(ipv4_only());
    gateway
        .receive(Protocol::IPCP, &Packet { code: Code::CONFIGURE_ACK, identifier: 1, data: &option(3, DNS1) }.emit());
    gateway.receive(Protocol::IPCP, &request(1, &option(3, LEASE)));
    gateway.events();
    gateway.receive(Protocol::IPCP, &Packet { code: Code::TERMINATE_REQUEST, identifier: 2, data: &[] }.emit());
    assert!(matches!(gateway.events()[..], [Event::NetworkDown { family: Family::V4 }]));
    gateway.pass(SECOND);
    gateway.receive_lcp(Code::TERMINATE_ACK, &[]);
    assert_eq!(gateway.down(), Some(CloseReason::PeerTerminated));
}

#[test]
fn a_client_that_missed_its_success_gets_it_again_until_it_takes_part() {
    let mut gateway = Gateway::logged_in();
    gateway.link.grant(gateway.now, ipv4_only());
    gateway.sent();
    gateway.pass(SECOND);
    let protocols: Vec<_> = gateway.sent().iter().map(|sent| sent.protocol).collect();
    assert_eq!(protocols, [Protocol::CHAP, Protocol::IPCP]);
    gateway.receive(Protocol::CCP, &[1, 1, 0, 4]);
    gateway.sent();
    gateway.pass(SECOND);
    assert_eq!(gateway.only().protocol, Protocol::IPCP);
}

#[test]
fn a_grant_without_a_login_or_twice_changes_nothing() {
    let mut gateway = Gateway::opened();
    gateway.sent();
    gateway.link.grant(gateway.now, Pair::dual_stack());
    assert_eq!(gateway.sent(), []);
    let mut gateway = Gateway::granted(ipv4_only());
    gateway.link.grant(gateway.now, Pair::dual_stack());
    assert_eq!(gateway.sent(), []);
}

#[test]
fn a_client_may_agree_anew_ten_times() {
    let mut gateway = Gateway::granted(ipv4_only());
    let mut agree = |identifier: u8| {
        gateway.receive(Protocol::IPCP, &request(identifier, &option(3, LEASE)));
        for sent in gateway.sent().iter().filter(|sent| sent.packet().code == Code::CONFIGURE_REQUEST) {
            gateway.receive(Protocol::IPCP, &Packet { code: Code::CONFIGURE_ACK, ..sent.packet() }.emit());
        }
        gateway.link.info().ipv4
    };
    assert!(agree(0));
    for identifier in 1..=10 {
        assert!(agree(identifier), "{identifier}");
    }
    assert!(!agree(11));
    gateway.pass(2 * SECOND);
    gateway.receive_lcp(Code::TERMINATE_ACK, &[]);
    assert_eq!(gateway.down(), Some(CloseReason::NoNetworkProtocol));
}

/// A router solicitation, RFC 4861 section 4.1, from the client's link-local address.
fn router_solicitation() -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 8, 58, 255];
    packet.extend("fe80::a:b:c:d".parse::<std::net::Ipv6Addr>().expect("an address").octets());
    packet.extend("ff02::2".parse::<std::net::Ipv6Addr>().expect("an address").octets());
    let pseudo: u32 = packet[8..].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let sum = pseudo + 8 + 58 + (133 << 8);
    let sum = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("folded");
    packet.extend([133, 0]);
    packet.extend(checksum.to_be_bytes());
    packet.extend([0; 4]);
    packet
}

#[test]
fn answers_a_router_solicitation_once_ipv6_is_up() {
    let mut gateway = Gateway::granted(Pair::dual_stack());
    gateway.receive(Protocol::IPV6, &router_solicitation());
    assert_eq!(gateway.sent(), []);
    let identifier = |low: [u8; 8]| [&[1, 10][..], &low].concat();
    gateway.receive(Protocol::IPV6CP, &request(1, &identifier([0, 0xa, 0, 0xb, 0, 0xc, 0, 0xd])));
    let ours = identifier([0, 0, 0, 0, 0, 0, 0, 1]);
    gateway.receive(Protocol::IPV6CP, &Packet { code: Code::CONFIGURE_ACK, identifier: 1, data: &ours }.emit());
    gateway.sent();
    gateway.receive(Protocol::IPV6, &router_solicitation());
    let advertisement = gateway.only();
    assert_eq!((advertisement.protocol, advertisement.information[40]), (Protocol::IPV6, 134));
}
