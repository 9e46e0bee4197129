//! Packets of the control protocols: Code, Identifier, Length, data (RFC 1661 section 5).
//!
//! LCP, IPCP and IPV6CP share the format and the codes 1 to 7; the others belong to LCP. Octets beyond Length are
//! padding and ignored.
//!
//! Does not: options (see [`option`](crate::option)), the meaning of a code (see `control`).

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};
use nom::{IResult, Parser as _};

use crate::malformed::Malformed;

/// Octets of Code, Identifier and Length.
pub const HEADER_LEN: usize = 4;

/// What a control packet asks or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u8);

impl Code {
    /// RFC 1661 section 5.1.
    pub const CONFIGURE_REQUEST: Self = Self(1);
    /// RFC 1661 section 5.2.
    pub const CONFIGURE_ACK: Self = Self(2);
    /// RFC 1661 section 5.3.
    pub const CONFIGURE_NAK: Self = Self(3);
    /// RFC 1661 section 5.4.
    pub const CONFIGURE_REJECT: Self = Self(4);
    /// RFC 1661 section 5.5.
    pub const TERMINATE_REQUEST: Self = Self(5);
    /// RFC 1661 section 5.5.
    pub const TERMINATE_ACK: Self = Self(6);
    /// RFC 1661 section 5.6.
    pub const CODE_REJECT: Self = Self(7);
    /// LCP only, RFC 1661 section 5.7.
    pub const PROTOCOL_REJECT: Self = Self(8);
    /// LCP only, RFC 1661 section 5.8.
    pub const ECHO_REQUEST: Self = Self(9);
    /// LCP only, RFC 1661 section 5.8.
    pub const ECHO_REPLY: Self = Self(10);
    /// LCP only, RFC 1661 section 5.9.
    pub const DISCARD_REQUEST: Self = Self(11);
    /// LCP only, RFC 1570 section 2.1. Windows sends its version and its computer's name.
    pub const IDENTIFICATION: Self = Self(12);
    /// LCP only, RFC 1570 section 2.2.
    pub const TIME_REMAINING: Self = Self(13);
}

/// A control packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is.
    pub code: Code,
    /// Joins a request and its answer.
    pub identifier: u8,
    /// What follows the header, without padding.
    pub data: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Parses the information field of a frame.
    ///
    /// # Errors
    ///
    /// [`Malformed::PacketTooShort`] or [`Malformed::PacketLength`].
    pub fn parse(information: &'a [u8]) -> Result<Self, Malformed> {
        let (rest, (code, identifier, length)) = header(information).map_err(|_| Malformed::PacketTooShort)?;
        let body = usize::from(length).checked_sub(HEADER_LEN).ok_or(Malformed::PacketLength)?;
        let data = rest.get(..body).ok_or(Malformed::PacketLength)?;
        Ok(Self { code: Code(code), identifier, data })
    }

    /// The octets of the packet; [`Packet::parse`] of them gives back `self`. Data beyond what Length can express is
    /// cut off.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let room = usize::from(u16::MAX).saturating_sub(HEADER_LEN);
        let data = truncated(self.data, room);
        let length = u16::try_from(data.len().saturating_add(HEADER_LEN)).unwrap_or(u16::MAX);
        let [high, low] = length.to_be_bytes();
        let mut out = Vec::with_capacity(usize::from(length));
        out.extend([self.code.0, self.identifier, high, low]);
        out.extend(data);
        out
    }
}

/// The front of `octets`, at most `limit` of them.
pub(crate) fn truncated(octets: &[u8], limit: usize) -> &[u8] {
    octets.get(..limit).unwrap_or(octets)
}

/// An unsigned number of 32 bits at the front, such as a magic number, and what follows.
pub(crate) fn leading_u32(octets: &[u8]) -> Option<(u32, &[u8])> {
    let (magic, rest) = octets.split_first_chunk()?;
    Some((u32::from_be_bytes(*magic), rest))
}

/// A protocol number at the front, and what follows.
pub(crate) fn leading_u16(octets: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = octets.split_first_chunk()?;
    Some((u16::from_be_bytes(*number), rest))
}

fn header(information: &[u8]) -> IResult<&[u8], (u8, u8, u16)> {
    let (rest, head) = take(HEADER_LEN)(information)?;
    let (_, fields) = (be_u8, be_u8, be_u16).parse(head)?;
    Ok((rest, fields))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

    use super::*;

    const ECHO: &[u8] = &[9, 7, 0, 10, 0xca, 0xfe, 0, 1, b'h', b'i'];

    #[test]
    fn round_trips_an_echo_request() {
        let packet = Packet::parse(ECHO).expect("valid");
        assert_eq!((packet.code, packet.identifier), (Code::ECHO_REQUEST, 7));
        assert_eq!(packet.data, [0xca, 0xfe, 0, 1, b'h', b'i']);
        assert_eq!(packet.emit(), ECHO);
    }

    #[test]
    fn ignores_padding() {
        let padded = [ECHO, &[0; 9]].concat();
        assert_eq!(Packet::parse(&padded), Packet::parse(ECHO));
    }

    #[test]
    fn rejects_every_truncation() {
        for n in 0..ECHO.len() {
            let expected = if n < HEADER_LEN { Malformed::PacketTooShort } else { Malformed::PacketLength };
            assert_eq!(Packet::parse(&ECHO[..n]), Err(expected), "{n} bytes");
        }
    }

    #[test]
    fn rejects_a_length_below_its_own_header() {
        for length in 0..4 {
            assert_eq!(Packet::parse(&[1, 1, 0, length, 0, 0]), Err(Malformed::PacketLength));
        }
        assert_eq!(Packet::parse(&[1, 1, 0, 4]).map(|p| p.data.len()), Ok(0));
    }

    #[test]
    fn cuts_off_what_length_cannot_express() {
        let data = vec![0; 70_000];
        let emitted = Packet { code: Code::CODE_REJECT, identifier: 1, data: &data }.emit();
        assert_eq!(Packet::parse(&emitted).map(|p| p.data.len()), Ok(65_531));
    }
}
