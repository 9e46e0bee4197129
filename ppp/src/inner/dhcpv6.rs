//! DHCPv6 Information-request and its answer (RFC 8415 section 18.3.6): name servers and search domains for clients whose
//! address comes from router advertisements.
//!
//! Does not: hand out addresses or prefixes; messages that ask for them are left without an answer.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use std::net::{IpAddr, Ipv6Addr};

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u24};
use nom::{IResult, Parser};

use super::ip::Udp;
use super::{InnerConfig, domain};

/// The server's port.
pub(super) const SERVER_PORT: u16 = 547;
/// The client's port.
const CLIENT_PORT: u16 = 546;
/// All_DHCP_Relay_Agents_and_Servers.
const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// More options than this are not read.
const OPTIONS_MAX: usize = 64;

const INFORMATION_REQUEST: u8 = 11;
const REPLY: u8 = 7;

/// Option codes, RFC 8415 section 21 and RFC 3646.
mod code {
    pub(super) const CLIENT: u16 = 1;
    pub(super) const SERVER: u16 = 2;
    pub(super) const REQUEST: u16 = 6;
    pub(super) const DNS: u16 = 23;
    pub(super) const SEARCH: u16 = 24;
    /// IA_NA, IA_TA and IA_PD: whoever asks for information only must not have them (section 16.12).
    pub(super) const ASSOCIATIONS: [u16; 3] = [3, 4, 25];
}

/// A message between client and server, section 8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    kind: u8,
    /// 24 bits.
    transaction: u32,
    /// Code and value, in the order of the message.
    options: Vec<(u16, &'a [u8])>,
}

impl<'a> Message<'a> {
    /// Reads a whole message.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header: IResult<&[u8], (u8, u32)> = (be_u8, be_u24).parse(bytes);
        let (mut input, (kind, transaction)) = header.ok()?;
        let mut options = Vec::new();
        while !input.is_empty() {
            let (rest, option) = option(input).ok()?;
            if options.len() == OPTIONS_MAX {
                return None;
            }
            options.push(option);
            input = rest;
        }
        Some(Self { kind, transaction, options })
    }

    /// The message as bytes; [`Message::parse`] of them gives back `self`. `None` if an option is longer than an option
    /// can be.
    pub(crate) fn emit(&self) -> Option<Vec<u8>> {
        let [_, transaction @ ..] = self.transaction.to_be_bytes();
        let mut out = vec![self.kind];
        out.extend(transaction);
        for (code, value) in &self.options {
            out.extend(code.to_be_bytes());
            out.extend(u16::try_from(value.len()).ok()?.to_be_bytes());
            out.extend(*value);
        }
        Some(out)
    }

    fn option(&self, code: u16) -> Option<&'a [u8]> {
        self.options.iter().find(|(c, _)| *c == code).map(|(_, value)| *value)
    }
}

fn option(input: &[u8]) -> IResult<&[u8], (u16, &[u8])> {
    let (input, (code, length)) = (be_u16, be_u16).parse(input)?;
    let (input, value) = take(length).parse(input)?;
    Ok((input, (code, value)))
}

/// The answer to a datagram for [`SERVER_PORT`], as an IPv6 packet.
pub(super) fn answer(config: &InnerConfig, udp: &Udp<'_, Ipv6Addr>) -> Option<Vec<u8>> {
    let gateway = config.link_local();
    let from_client = udp.source.is_unicast_link_local() || Some(udp.source) == config.ipv6;
    if !from_client || !(udp.destination == SERVERS || udp.destination == gateway) {
        return None;
    }
    let request = Message::parse(udp.payload)?;
    let duid = duid(config.interface_identifier);
    let for_another = request.option(code::SERVER).is_some_and(|server| server != duid);
    let wants_address = code::ASSOCIATIONS.iter().any(|code| request.option(*code).is_some());
    if request.kind != INFORMATION_REQUEST || for_another || wants_address {
        return None;
    }
    let (dns, domains) = (dns(config), domain::list(&config.domains));
    let mut options = vec![(code::SERVER, &duid[..])];
    options.extend(request.option(code::CLIENT).map(|client| (code::CLIENT, client)));
    for (code, value) in [(code::DNS, &dns), (code::SEARCH, &domains)] {
        if !value.is_empty() && asks_for(&request, code) {
            options.push((code, value));
        }
    }
    let payload = Message { kind: REPLY, transaction: request.transaction, options }.emit()?;
    let ports = (SERVER_PORT, CLIENT_PORT);
    Udp { source: gateway, destination: udp.source, source_port: ports.0, destination_port: ports.1, payload: &payload }
        .emit()
        .filter(|packet| packet.len() <= usize::from(config.mtu.max(super::MTU_MIN)))
}

/// Who asks for nothing by name takes everything.
fn asks_for(request: &Message<'_>, code: u16) -> bool {
    let Some(list) = request.option(code::REQUEST) else { return true };
    list.as_chunks::<2>().0.contains(&code.to_be_bytes())
}

fn dns(config: &InnerConfig) -> Vec<u8> {
    let servers =
        config.dns.iter().filter_map(|server| if let IpAddr::V6(v6) = server { Some(v6.octets()) } else { None });
    servers.take(super::DNS_MAX).flatten().collect()
}

/// DUID-LL (section 11.4) of our end of the link, hardware type 27: EUI-64.
fn duid(interface_identifier: u64) -> [u8; 12] {
    let mut duid = [0, 3, 0, 27, 0, 0, 0, 0, 0, 0, 0, 0];
    for (to, from) in duid.iter_mut().skip(4).zip(interface_identifier.to_be_bytes()) {
        *to = from;
    }
    duid
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests {
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

    const CLIENT_ID: [u8; 14] = [0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 9];
    const OURS: [u8; 16] = [0, 2, 0, 12, 0, 3, 0, 27, 1, 2, 3, 4, 5, 6, 7, 8];
    const DNS: [u8; 20] = [0, 23, 0, 16, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53];

    fn request(options: &[u8]) -> Vec<u8> {
        let payload = [&[11, 0xaa, 0xbb, 0xcc], &CLIENT_ID[..], options].concat();
        let (source, destination) = ("fe80::a:b:c:d".parse().unwrap(), SERVERS);
        Udp::<Ipv6Addr> { source, destination, source_port: 546, destination_port: 547, payload: &payload }
            .emit()
            .unwrap()
    }

    fn reply(options: &[u8]) -> Option<Vec<u8>> {
        let answer = inner::answer(&config(), &request(options))?;
        let Some(Packet::Udp6(udp)) = Packet::parse(&answer) else { panic!("not UDP") };
        assert_eq!(
            (udp.source, udp.destination),
            ("fe80::102:304:506:708".parse().unwrap(), "fe80::a:b:c:d".parse().unwrap())
        );
        assert_eq!((udp.source_port, udp.destination_port), (547, 546));
        Some(udp.payload.to_vec())
    }

    #[test]
    fn an_information_request_is_answered_with_name_servers_and_domains() {
        let domains = [&[0, 24, 0, 14][..], b"\x04corp\x07example\0"].concat();
        let expected = [&[7, 0xaa, 0xbb, 0xcc][..], &OURS, &CLIENT_ID, &DNS, &domains].concat();
        assert_eq!(reply(&[0, 8, 0, 2, 0, 0, 0, 6, 0, 4, 0, 23, 0, 24]), Some(expected.clone()));
        assert_eq!(reply(&[]), Some(expected), "who asks for nothing by name");
        assert_eq!(reply(&OURS), reply(&[]), "addressed to us");
    }

    #[test]
    fn only_what_is_asked_for_is_told() {
        let expected = [&[7, 0xaa, 0xbb, 0xcc][..], &OURS, &CLIENT_ID, &DNS].concat();
        assert_eq!(reply(&[0, 6, 0, 4, 0, 23, 0, 31]), Some(expected));
    }

    #[test]
    fn requests_for_addresses_other_servers_and_other_messages_are_ignored() {
        assert_eq!(reply(&[0, 3, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), None, "IA_NA");
        assert_eq!(reply(&[0, 25, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), None, "IA_PD");
        assert_eq!(reply(&[0, 2, 0, 4, 0, 3, 0, 27]), None, "another server");
        assert_eq!(reply(&[0, 6, 0, 9]), None, "cut off");
        let payload = [1, 0, 0, 1];
        let (source, destination) = ("fe80::a:b:c:d".parse().unwrap(), SERVERS);
        let solicit =
            Udp::<Ipv6Addr> { source, destination, source_port: 546, destination_port: 547, payload: &payload };
        assert_eq!(inner::answer(&config(), &solicit.emit().unwrap()), None, "solicit");
        let payload = [11, 0, 0, 1];
        for (source, destination) in [("fd00::9", "ff02::1:2"), ("::", "ff02::1:2"), ("fe80::a:b:c:d", "fe80::1")] {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            let udp =
                Udp::<Ipv6Addr> { source, destination, source_port: 546, destination_port: 547, payload: &payload };
            assert_eq!(inner::answer(&config(), &udp.emit().unwrap()), None, "{source} {destination}");
        }
    }

    #[test]
    fn rejects_every_truncation_that_cuts_an_option() {
        let bytes = [&[11, 1, 2, 3], &CLIENT_ID[..]].concat();
        for n in 0..bytes.len() {
            assert_eq!(Message::parse(&bytes[..n]).is_some(), n == 4, "{n} bytes");
        }
    }

    proptest! {
        #[test]
        fn messages_round_trip(kind: u8, transaction in 0_u32..1 << 24,
            options in proptest::collection::vec((any::<u16>(), proptest::collection::vec(any::<u8>(), 0..100)), 0..20)) {
            let options = options.iter().map(|(code, value)| (*code, value.as_slice())).collect();
            let message = Message { kind, transaction, options };
            let bytes = message.emit().unwrap();
            prop_assert_eq!(Message::parse(&bytes), Some(message));
        }
    }
}
