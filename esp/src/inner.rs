//! The packet inside a tunnel: what it has to satisfy after decryption, RFC 4303 section 3.4.4.1 and RFC 4301 section 5.2,
//! and the fields of its headers that selectors look at.
//!
//! Does not: verify checksums or options, reassemble fragments. The inner packet goes to an IP stack that does.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::drop_reason::DropReason;
use crate::packet::{IPV4, IPV6};

/// How many IPv6 extension headers are followed. RFC 8200 section 4.1 knows 7 places for them; behind a longer chain the
/// packet counts as one without ports.
const MAX_EXTENSION_HEADERS: usize = 8;

const IPV4_HEADER_LEN: usize = 20;
const IPV6_HEADER_LEN: usize = 40;

/// Checks what a tunnel mode SA delivered and returns the length of the inner packet; what follows it is padding for traffic
/// flow confidentiality (RFC 4303 section 2.7).
///
/// [`DropReason::NextHeader`] unless `next_header` is 4 or 41; [`DropReason::Inner`] if version, header length or total length
/// do not fit `plaintext`.
pub fn tunnel_payload(next_header: u8, plaintext: &[u8]) -> Result<usize, DropReason> {
    let (len, version) = match next_header {
        IPV4 => (ipv4_len(plaintext), 4),
        IPV6 => (ipv6_len(plaintext), 6),
        _ => return Err(DropReason::NextHeader),
    };
    if version_of(plaintext) == Some(version) { len.ok_or(DropReason::Inner) } else { Err(DropReason::Inner) }
}

/// Next header (4 or 41) for sealing an IP packet in tunnel mode, by its version; [`DropReason::Inner`] if it has neither.
pub fn next_header(packet: &[u8]) -> Result<u8, DropReason> {
    match version_of(packet) {
        Some(4) => Ok(IPV4),
        Some(6) => Ok(IPV6),
        _ => Err(DropReason::Inner),
    }
}

/// Source and destination address; [`DropReason::Inner`] if `packet` is too short for its header or no IP packet.
pub fn addresses(packet: &[u8]) -> Result<(IpAddr, IpAddr), DropReason> {
    let found = match version_of(packet) {
        Some(4) => octets::<8>(packet, 12)
            .map(|[a, b, c, d, e, f, g, h]| (Ipv4Addr::new(a, b, c, d).into(), Ipv4Addr::new(e, f, g, h).into())),
        Some(6) => octets::<16>(packet, 8)
            .zip(octets::<16>(packet, 24))
            .map(|(source, destination)| (Ipv6Addr::from(source).into(), Ipv6Addr::from(destination).into())),
        _ => None,
    };
    found.ok_or(DropReason::Inner)
}

/// What follows the IP header and its extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextLayer<'a> {
    /// Protocol number.
    pub protocol: u8,
    /// Its first octets; `None` in a fragment that is not the first, or behind too many extension headers.
    pub header: Option<&'a [u8]>,
}

/// Finds the next layer protocol, RFC 4301 section 4.4.1.1; [`DropReason::Inner`] if the headers are malformed.
pub fn next_layer(packet: &[u8]) -> Result<NextLayer<'_>, DropReason> {
    let found = match version_of(packet) {
        Some(4) => ipv4_next_layer(packet),
        Some(6) => ipv6_next_layer(packet),
        _ => None,
    };
    found.ok_or(DropReason::Inner)
}

/// The same of a packet whose end is missing, as an ICMP error quotes it; IPv6 extension headers are not followed.
pub fn next_layer_of_beginning(packet: &[u8]) -> Result<NextLayer<'_>, DropReason> {
    let found = match version_of(packet) {
        Some(4) => ipv4_header_len(packet).and_then(|len| {
            let fragment_offset = u16::from_be_bytes(octets(packet, 6)?) & 0x1fff;
            let [protocol] = octets(packet, 9)?;
            let header = packet.get(len..)?;
            Some(NextLayer { protocol, header: (fragment_offset == 0).then_some(header) })
        }),
        Some(6) => octets(packet, 6).and_then(|[protocol]| {
            let header = packet.get(IPV6_HEADER_LEN..)?;
            Some(NextLayer { protocol, header: Some(header) })
        }),
        _ => None,
    };
    found.ok_or(DropReason::Inner)
}

fn ipv4_len(packet: &[u8]) -> Option<usize> {
    let total_len = usize::from(u16::from_be_bytes(octets(packet, 2)?));
    let header_len = ipv4_header_len(packet)?;
    (header_len <= total_len && total_len <= packet.len()).then_some(total_len)
}

fn ipv4_header_len(packet: &[u8]) -> Option<usize> {
    let words = usize::from(packet.first()? & 0x0f);
    words.checked_mul(4).filter(|len| *len >= IPV4_HEADER_LEN)
}

fn ipv6_len(packet: &[u8]) -> Option<usize> {
    let payload_len = usize::from(u16::from_be_bytes(octets(packet, 4)?));
    payload_len.checked_add(IPV6_HEADER_LEN).filter(|len| *len <= packet.len())
}

fn ipv4_next_layer(packet: &[u8]) -> Option<NextLayer<'_>> {
    let packet = packet.get(..ipv4_len(packet)?)?;
    let fragment_offset = u16::from_be_bytes(octets(packet, 6)?) & 0x1fff;
    let [protocol] = octets(packet, 9)?;
    let header = packet.get(ipv4_header_len(packet)?..)?;
    Some(NextLayer { protocol, header: (fragment_offset == 0).then_some(header) })
}

fn ipv6_next_layer(packet: &[u8]) -> Option<NextLayer<'_>> {
    let packet = packet.get(..ipv6_len(packet)?)?;
    let [mut protocol] = octets(packet, 6)?;
    let mut rest = packet.get(IPV6_HEADER_LEN..)?;
    for _ in 0..MAX_EXTENSION_HEADERS {
        let len = match protocol {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                let [units] = octets(rest, 1)?;
                usize::from(units).checked_add(1)?.checked_mul(8)?
            }
            AUTHENTICATION => {
                let [units] = octets(rest, 1)?;
                usize::from(units).checked_add(2)?.checked_mul(4)?
            }
            FRAGMENT => {
                if u16::from_be_bytes(octets(rest, 2)?) & 0xfff8 != 0 {
                    return Some(NextLayer { protocol: *rest.first()?, header: None });
                }
                8
            }
            _ => return Some(NextLayer { protocol, header: Some(rest) }),
        };
        protocol = *rest.first()?;
        rest = rest.get(len..)?;
    }
    Some(NextLayer { protocol, header: None })
}

/// Extension headers that are not the next layer, RFC 8200 section 4 and RFC 4302.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

fn version_of(packet: &[u8]) -> Option<u8> {
    packet.first().map(|octet| octet >> 4)
}

fn octets<const N: usize>(packet: &[u8], at: usize) -> Option<[u8; N]> {
    packet.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation
    )]

    use super::*;

    /// An IPv4 packet from 192.0.2.1 to 198.51.100.2.
    pub(crate) fn ipv4(protocol: u8, fragment_offset: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0];
        packet.extend((20 + payload.len() as u16).to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(fragment_offset.to_be_bytes());
        packet.extend([64, protocol, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2]);
        packet.extend(payload);
        packet
    }

    /// An IPv6 packet from 2001:db8::1 to 2001:db8:ff::2.
    pub(crate) fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend((payload.len() as u16).to_be_bytes());
        packet.extend([next_header, 64]);
        packet.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend("2001:db8:ff::2".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend(payload);
        packet
    }

    const PORTS: [u8; 8] = [0x30, 0x39, 0, 53, 0, 8, 0, 0];

    #[test]
    fn finds_the_length_of_an_inner_packet_before_tfc_padding() {
        let mut packet = ipv4(17, 0, &PORTS);
        packet.extend([0; 100]);
        assert_eq!(tunnel_payload(IPV4, &packet), Ok(28));
        let mut packet = ipv6(17, &PORTS);
        packet.extend([0; 100]);
        assert_eq!(tunnel_payload(IPV6, &packet), Ok(48));
    }

    #[test]
    fn reads_the_beginning_of_a_packet() {
        for whole in [ipv4(17, 0, &PORTS), ipv6(17, &PORTS)] {
            let beginning = &whole[..whole.len() - 4];
            assert_eq!(next_layer(beginning), Err(DropReason::Inner));
            let layer = next_layer_of_beginning(beginning).unwrap();
            assert_eq!((layer.protocol, layer.header), (17, Some(&PORTS[..4])));
            let header_len = whole.len() - PORTS.len();
            for len in 0..header_len {
                assert_eq!(next_layer_of_beginning(&whole[..len]), Err(DropReason::Inner), "{len} octets");
            }
        }
        assert_eq!(next_layer_of_beginning(&ipv4(17, 9, &PORTS)).unwrap().header, None);
    }

    #[test]
    fn takes_only_ip_in_a_tunnel() {
        for other in [0, 1, 6, 17, 50, 59, 255] {
            assert_eq!(tunnel_payload(other, &ipv4(17, 0, &PORTS)), Err(DropReason::NextHeader));
        }
    }

    #[test]
    fn rejects_a_version_that_is_not_the_announced_one() {
        assert_eq!(tunnel_payload(IPV6, &ipv4(17, 0, &[0; 60])), Err(DropReason::Inner));
        assert_eq!(tunnel_payload(IPV4, &ipv6(17, &PORTS)), Err(DropReason::Inner));
    }

    #[test]
    fn rejects_every_truncation() {
        for (next_header, packet) in [(IPV4, ipv4(17, 0, &PORTS)), (IPV6, ipv6(17, &PORTS))] {
            for len in 0..packet.len() {
                assert_eq!(tunnel_payload(next_header, &packet[..len]), Err(DropReason::Inner), "{len} octets");
                assert_eq!(next_layer(&packet[..len]), Err(DropReason::Inner), "{len} octets");
            }
        }
    }

    #[test]
    fn rejects_a_total_length_below_the_header_length() {
        let mut packet = ipv4(17, 0, &PORTS);
        packet[0] = 0x46;
        packet[3] = 23;
        assert_eq!(tunnel_payload(IPV4, &packet), Err(DropReason::Inner));
        packet[0] = 0x44;
        assert_eq!(tunnel_payload(IPV4, &packet), Err(DropReason::Inner));
    }

    #[test]
    fn reads_addresses_of_both_versions() {
        let v4 = ("192.0.2.1".parse().unwrap(), "198.51.100.2".parse().unwrap());
        assert_eq!(addresses(&ipv4(17, 0, &PORTS)), Ok(v4));
        let v6 = ("2001:db8::1".parse().unwrap(), "2001:db8:ff::2".parse().unwrap());
        assert_eq!(addresses(&ipv6(17, &PORTS)), Ok(v6));
        assert_eq!(addresses(&[]), Err(DropReason::Inner));
        assert_eq!(addresses(&[0x55; 40]), Err(DropReason::Inner));
    }

    #[test]
    fn names_the_next_header_by_version() {
        assert_eq!(next_header(&ipv4(6, 0, &[])), Ok(IPV4));
        assert_eq!(next_header(&ipv6(6, &[])), Ok(IPV6));
        assert_eq!(next_header(&[0x10]), Err(DropReason::Inner));
    }

    #[test]
    fn shows_no_transport_header_in_later_fragments() {
        let first = ipv4(17, 0x2000, &PORTS);
        assert_eq!(next_layer(&first), Ok(NextLayer { protocol: 17, header: Some(&PORTS) }));
        let later = ipv4(17, 0x00b9, &PORTS);
        assert_eq!(next_layer(&later), Ok(NextLayer { protocol: 17, header: None }));
    }

    #[test]
    fn follows_extension_headers() {
        let mut payload = vec![DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0];
        payload.extend([FRAGMENT, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        payload.extend([17, 0, 0, 1, 0, 0, 0, 7]); // first fragment, more follow
        payload.extend(PORTS);
        let packet = ipv6(HOP_BY_HOP, &payload);
        assert_eq!(next_layer(&packet), Ok(NextLayer { protocol: 17, header: Some(&PORTS) }));

        let mut later = packet.clone();
        later[40 + 24 + 3] = 0x09; // fragment offset 1
        assert_eq!(next_layer(&later), Ok(NextLayer { protocol: 17, header: None }));
    }

    #[test]
    fn stops_at_a_long_chain_of_extension_headers() {
        let packet = ipv6(ROUTING, &[ROUTING, 0, 0, 0, 0, 0, 0, 0].repeat(20));
        assert_eq!(next_layer(&packet), Ok(NextLayer { protocol: ROUTING, header: None }));
    }

    #[test]
    fn rejects_an_extension_header_beyond_the_packet() {
        let packet = ipv6(HOP_BY_HOP, &[17, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(next_layer(&packet), Err(DropReason::Inner));
    }
}
