//! IPv4 and IPv6 with UDP or ICMPv6 in it, as far as a client's talk with its link needs it (RFC 791, 768, 8200, 4443).
//!
//! Does not: reassemble fragments, follow extension headers or IPv4 options, check what ESP has protected already
//! (the checksums of IPv4 and UDP).

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nom::bytes::complete::take;
use nom::combinator::verify;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u128};
use nom::{IResult, Parser};

const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const IPV4_HEADER_LEN: u16 = 20;
const UDP_HEADER_LEN: u16 = 8;
/// Of our own packets; also what neighbour discovery demands of both sides (RFC 4861 section 4).
const ND_HOP_LIMIT: u8 = 255;
const HOP_LIMIT: u8 = 64;

/// A UDP datagram and its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Udp<'a, A> {
    pub(super) source: A,
    pub(super) destination: A,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) payload: &'a [u8],
}

/// An ICMPv6 message of neighbour discovery and its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Icmpv6<'a> {
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    pub(super) kind: u8,
    /// What follows the checksum.
    pub(super) body: &'a [u8],
}

/// What a client sends to its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    Udp4(Udp<'a, Ipv4Addr>),
    Udp6(Udp<'a, Ipv6Addr>),
    Icmpv6(Icmpv6<'a>),
}

impl<'a> Packet<'a> {
    /// Reads a packet; `None` if it is none of these.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let parsed = match bytes.first()? >> 4 {
            4 => udp4(bytes),
            6 => ipv6(bytes),
            _ => return None,
        };
        parsed.ok().map(|(_, packet)| packet)
    }
}

fn udp4(bytes: &[u8]) -> IResult<&[u8], Packet<'_>> {
    let (rest, (_version, _service, total, _id)) =
        (verify(be_u8, |first| *first == 0x45), be_u8, be_u16, be_u16).parse(bytes)?;
    let (rest, (_whole, _ttl, _udp, _checksum, source, destination)) = (
        verify(be_u16, |fragment| fragment & 0x3fff == 0),
        be_u8,
        verify(be_u8, |protocol| *protocol == UDP),
        be_u16,
        be_u32.map(Ipv4Addr::from),
        be_u32.map(Ipv4Addr::from),
    )
        .parse(rest)?;
    let (_padding, segment) = take(total.saturating_sub(IPV4_HEADER_LEN)).parse(rest)?;
    let (rest, udp) = udp(source, destination, segment)?;
    Ok((rest, Packet::Udp4(udp)))
}

fn ipv6(bytes: &[u8]) -> IResult<&[u8], Packet<'_>> {
    let (rest, (_version, length, next, hop_limit, source, destination)) =
        (be_u32, be_u16, be_u8, be_u8, be_u128.map(Ipv6Addr::from), be_u128.map(Ipv6Addr::from)).parse(bytes)?;
    let (_padding, segment) = take(length).parse(rest)?;
    match next {
        UDP => udp(source, destination, segment).map(|(rest, udp)| (rest, Packet::Udp6(udp))),
        ICMPV6
            if hop_limit == ND_HOP_LIMIT
                && transport_checksum(ICMPV6, source.into(), destination.into(), segment) == 0 =>
        {
            let (body, (kind, _code, _checksum)) = (be_u8, verify(be_u8, |code| *code == 0), be_u16).parse(segment)?;
            Ok((&[], Packet::Icmpv6(Icmpv6 { source, destination, kind, body })))
        }
        _ => Err(nom::Err::Error(nom::error::Error::new(bytes, nom::error::ErrorKind::Verify))),
    }
}

fn udp<A>(source: A, destination: A, segment: &[u8]) -> IResult<&[u8], Udp<'_, A>> {
    let (rest, (source_port, destination_port, length, _checksum)) = (be_u16, be_u16, be_u16, be_u16).parse(segment)?;
    let (rest, payload) =
        verify(take(length.saturating_sub(UDP_HEADER_LEN)), |_: &[u8]| length >= UDP_HEADER_LEN).parse(rest)?;
    Ok((rest, Udp { source, destination, source_port, destination_port, payload }))
}

impl Udp<'_, Ipv4Addr> {
    /// The IPv4 packet; [`Packet::parse`] of it gives back `self`. `None` if the payload is too long.
    pub(super) fn emit(&self) -> Option<Vec<u8>> {
        let segment = udp_segment(self, self.source.into(), self.destination.into())?;
        let total = u16::try_from(segment.len()).ok()?.checked_add(IPV4_HEADER_LEN)?;
        let mut out = vec![0x45, 0];
        out.extend(total.to_be_bytes());
        out.extend([0, 0, 0x40, 0, HOP_LIMIT, UDP, 0, 0]); // do not fragment
        out.extend(self.source.octets());
        out.extend(self.destination.octets());
        let checksum = fold(sum(&out)).to_be_bytes();
        out.splice(10..12, checksum);
        out.extend(segment);
        Some(out)
    }
}

impl Udp<'_, Ipv6Addr> {
    /// The IPv6 packet; [`Packet::parse`] of it gives back `self`. `None` if the payload is too long.
    pub(super) fn emit(&self) -> Option<Vec<u8>> {
        let segment = udp_segment(self, self.source.into(), self.destination.into())?;
        ipv6_packet(UDP, HOP_LIMIT, self.source, self.destination, &segment)
    }
}

impl Icmpv6<'_> {
    /// The IPv6 packet; [`Packet::parse`] of it gives back `self`. `None` if the body is too long.
    pub(super) fn emit(&self) -> Option<Vec<u8>> {
        let mut segment = vec![self.kind, 0, 0, 0];
        segment.extend(self.body);
        let checksum = transport_checksum(ICMPV6, self.source.into(), self.destination.into(), &segment);
        segment.splice(2..4, checksum.to_be_bytes());
        ipv6_packet(ICMPV6, ND_HOP_LIMIT, self.source, self.destination, &segment)
    }
}

fn udp_segment<A>(udp: &Udp<'_, A>, source: IpAddr, destination: IpAddr) -> Option<Vec<u8>> {
    let length = u16::try_from(udp.payload.len()).ok()?.checked_add(UDP_HEADER_LEN)?;
    let mut out = Vec::new();
    for field in [udp.source_port, udp.destination_port, length, 0] {
        out.extend(field.to_be_bytes());
    }
    out.extend(udp.payload);
    // Zero means "none" (RFC 768); the other form of the same number is sent instead.
    let checksum = match transport_checksum(UDP, source, destination, &out) {
        0 => 0xffff,
        checksum => checksum,
    };
    out.splice(6..8, checksum.to_be_bytes());
    Some(out)
}

fn ipv6_packet(next: u8, hop_limit: u8, source: Ipv6Addr, destination: Ipv6Addr, segment: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend(u16::try_from(segment.len()).ok()?.to_be_bytes());
    out.extend([next, hop_limit]);
    out.extend(source.octets());
    out.extend(destination.octets());
    out.extend(segment);
    Some(out)
}

/// The checksum of a segment with its pseudo header (RFC 768, RFC 8200 section 8.1); zero over one that holds it.
fn transport_checksum(protocol: u8, source: IpAddr, destination: IpAddr, segment: &[u8]) -> u16 {
    let mut total = u64::from(protocol).saturating_add(u64::try_from(segment.len()).unwrap_or(u64::MAX));
    for address in [source, destination] {
        let sum = match address {
            IpAddr::V4(v4) => sum(&v4.octets()),
            IpAddr::V6(v6) => sum(&v6.octets()),
        };
        total = total.saturating_add(sum);
    }
    fold(total.saturating_add(sum(segment)))
}

/// The sum of 16-bit words, RFC 1071.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let last = rest.first().map_or(0, |byte| u64::from(*byte) << 8);
    words.iter().fold(last, |sum, word| sum.saturating_add(u64::from(u16::from_be_bytes(*word))))
}

/// The complement of a sum, its carries added.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff).saturating_add(sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn computes_the_checksum_of_rfc_1071() {
        // The words of its section 3.
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), !0xddf2);
        assert_eq!(fold(sum(&[1])), !0x0100, "an odd byte is the high one");
    }

    fn udp4() -> Vec<u8> {
        let (source, destination) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        Udp { source, destination, source_port: 67, destination_port: 68, payload: b"hello" }.emit().unwrap()
    }

    fn udp6() -> Vec<u8> {
        let (source, destination) = ("fe80::1".parse().unwrap(), "fe80::2".parse().unwrap());
        Udp::<Ipv6Addr> { source, destination, source_port: 547, destination_port: 546, payload: b"hello" }
            .emit()
            .unwrap()
    }

    fn icmpv6() -> Vec<u8> {
        let (source, destination) = ("fe80::2".parse().unwrap(), "ff02::2".parse().unwrap());
        Icmpv6 { source, destination, kind: 133, body: &[0; 4] }.emit().unwrap()
    }

    #[test]
    fn headers_are_as_in_the_rfcs() {
        let packet = udp4();
        assert_eq!(packet[..10], [0x45, 0, 0, 33, 0, 0, 0x40, 0, 64, 17]);
        assert_eq!(fold(sum(&packet[..20])), 0, "a header that holds its checksum");
        assert_eq!(packet[20..26], [0, 67, 0, 68, 0, 13]);
        assert_eq!(udp6()[..8], [0x60, 0, 0, 0, 0, 13, 17, 64]);
        assert_eq!(icmpv6()[..8], [0x60, 0, 0, 0, 0, 8, 58, 255]);
    }

    #[test]
    fn rejects_every_truncation() {
        for packet in [udp4(), udp6(), icmpv6()] {
            assert!(Packet::parse(&packet).is_some());
            for n in 0..packet.len() {
                assert_eq!(Packet::parse(&packet[..n]), None, "{n} of {}", packet.len());
            }
            let padded = [&packet[..], &[0; 3]].concat();
            assert_eq!(Packet::parse(&padded), Packet::parse(&packet), "padding is not read");
        }
    }

    #[test]
    fn rejects_fragments_options_other_protocols_and_wrong_lengths() {
        for (position, byte) in [(0, 0x46), (0, 0x55), (6, 0x20), (7, 1), (9, 6), (3, 34), (3, 27), (25, 14), (25, 7)] {
            let mut packet = udp4();
            packet[position] = byte;
            assert_eq!(Packet::parse(&packet), None, "byte {position} = {byte}");
        }
        let mut far = icmpv6();
        far[7] = 254;
        assert_eq!(Packet::parse(&far), None, "from beyond the link");
        let mut broken = icmpv6();
        broken[45] ^= 1;
        assert_eq!(Packet::parse(&broken), None, "its checksum is wrong");
    }

    proptest! {
        #[test]
        fn round_trips(a: u128, b: u128, ports: (u16, u16), payload in proptest::collection::vec(any::<u8>(), 0..1500), kind: u8) {
            let (source, destination) = (Ipv6Addr::from(a), Ipv6Addr::from(b));
            let udp = Udp { source, destination, source_port: ports.0, destination_port: ports.1, payload: &payload };
            let packet = udp.emit().unwrap();
            prop_assert_eq!(Packet::parse(&packet), Some(Packet::Udp6(udp)));
            let (source, destination) = (Ipv4Addr::from((a >> 96) as u32), Ipv4Addr::from((b >> 96) as u32));
            let udp = Udp { source, destination, source_port: ports.0, destination_port: ports.1, payload: &payload };
            let packet = udp.emit().unwrap();
            prop_assert_eq!(Packet::parse(&packet), Some(Packet::Udp4(udp)));
            let icmp = Icmpv6 { source: Ipv6Addr::from(a), destination: Ipv6Addr::from(b), kind, body: &payload };
            let packet = icmp.emit().unwrap();
            prop_assert_eq!(Packet::parse(&packet), Some(Packet::Icmpv6(icmp)));
        }
    }
}
