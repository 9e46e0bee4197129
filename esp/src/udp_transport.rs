//! UDP in transport mode: ESP carries a UDP datagram without an IP header (RFC 4303 section 3.1.1, RFC 768).
//!
//! The checksum is not looked at: the peer computed it over addresses that a NAT has changed since, and ESP has verified every octet
//! (RFC 3948 section 3.1.2).
//!
//! Does not: compute checksums; those are the sender's, who knows the outer addresses.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use std::ops::Range;

use crate::drop_reason::DropReason;

/// Next header of a UDP datagram.
pub const UDP: u8 = 17;

/// Length of a UDP header, octets.
pub const HEADER_LEN: usize = 8;

/// A datagram that a transport mode SA delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Where the payload lies in the plaintext. What follows it is padding for traffic flow confidentiality.
    pub payload: Range<usize>,
}

/// Reads what was in an ESP packet.
///
/// [`DropReason::NextHeader`] unless `next_header` is [`UDP`]; [`DropReason::Inner`] if the length does not fit `plaintext`.
pub fn parse(next_header: u8, plaintext: &[u8]) -> Result<Datagram, DropReason> {
    if next_header != UDP {
        return Err(DropReason::NextHeader);
    }
    let (&[a, b, c, d, e, f, _, _], _) = plaintext.split_first_chunk::<HEADER_LEN>().ok_or(DropReason::Inner)?;
    let len = usize::from(u16::from_be_bytes([e, f]));
    if len < HEADER_LEN || len > plaintext.len() {
        return Err(DropReason::Inner);
    }
    let (source, destination) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    Ok(Datagram { source, destination, payload: HEADER_LEN..len })
}

/// The header of a datagram, without checksum; [`parse`] of it and the payload gives both ports back.
///
/// `None` if the payload is longer than UDP can say.
pub fn header(source: u16, destination: u16, payload_len: usize) -> Option<[u8; HEADER_LEN]> {
    let len = payload_len.checked_add(HEADER_LEN).and_then(|len| u16::try_from(len).ok())?;
    let ([a, b], [c, d], [e, f]) = (source.to_be_bytes(), destination.to_be_bytes(), len.to_be_bytes());
    Some([a, b, c, d, e, f, 0, 0])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    /// From port 1701 to 61701, four octets, with a checksum that is wrong.
    const DATAGRAM: [u8; 12] = [0x06, 0xa5, 0xf1, 0x05, 0, 12, 0xde, 0xad, b'l', b'2', b't', b'p'];

    #[test]
    fn reads_ports_and_payload_whatever_the_checksum() {
        let expected = Datagram { source: 1701, destination: 61_701, payload: 8..12 };
        assert_eq!(parse(UDP, &DATAGRAM), Ok(expected.clone()));
        let mut zero = DATAGRAM;
        zero[6..8].fill(0);
        assert_eq!(parse(UDP, &zero), Ok(expected));
    }

    #[test]
    fn round_trips() {
        for payload_len in [0, 1, 1400, 65_527] {
            let mut datagram = header(500, 1701, payload_len).unwrap().to_vec();
            datagram.resize(HEADER_LEN + payload_len + 3, 0);
            let expected = Datagram { source: 500, destination: 1701, payload: 8..8 + payload_len };
            assert_eq!(parse(UDP, &datagram), Ok(expected));
        }
        assert_eq!(header(1, 2, 65_528), None);
        assert_eq!(header(1, 2, usize::MAX), None);
    }

    #[test]
    fn rejects_every_truncation_and_a_length_below_the_header() {
        for len in 0..DATAGRAM.len() {
            assert_eq!(parse(UDP, &DATAGRAM[..len]), Err(DropReason::Inner), "{len} octets");
        }
        for len in 0..8 {
            let mut short = DATAGRAM;
            short[5] = len;
            assert_eq!(parse(UDP, &short), Err(DropReason::Inner), "{len}");
        }
    }

    #[test]
    fn takes_only_udp() {
        for other in [4, 6, 41, 50, 59] {
            assert_eq!(parse(other, &DATAGRAM), Err(DropReason::NextHeader));
        }
    }
}
