//! The packet of PAP and CHAP: code, identifier, length, data (RFC 1334 section 2.2, RFC 1994 section 4).

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
use nom::{IResult, Parser};

use crate::malformed::Malformed;

/// A packet, its data not yet looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// What it is; the meaning depends on the protocol.
    pub(super) code: u8,
    /// Matches requests and responses.
    pub(super) identifier: u8,
    /// What follows the header.
    pub(super) data: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Parses a packet. What follows its length is padding and ignored, RFC 1661 section 2.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header: IResult<&[u8], (u8, u8, u16)> = (be_u8, be_u8, be_u16).parse(bytes);
        let (rest, (code, identifier, length)) = header.map_err(|_| Malformed::PacketTooShort)?;
        let length = usize::from(length).checked_sub(HEADER_LEN).ok_or(Malformed::PacketLength)?;
        let data: IResult<&[u8], &[u8]> = take(length).parse(rest);
        let (_padding, data) = data.map_err(|_| Malformed::PacketLength)?;
        Ok(Self { code, identifier, data })
    }

    /// The packet as bytes; [`Packet::parse`] of them gives back `self`. `None` if the data is longer than a packet can
    /// be.
    pub(super) fn emit(&self) -> Option<Vec<u8>> {
        let length = u16::try_from(self.data.len().checked_add(HEADER_LEN)?).ok()?;
        let mut out = vec![self.code, self.identifier];
        out.extend(length.to_be_bytes());
        out.extend(self.data);
        Some(out)
    }
}

const HEADER_LEN: usize = 4;

/// A part with its length in front, in one octet.
pub(super) fn counted(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let (input, length) = be_u8(input)?;
    take(usize::from(length)).parse(input)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SUCCESS: &[u8] = &[3, 9, 0, 6, b'o', b'k'];

    #[test]
    fn reads_a_packet_and_ignores_padding() {
        let packet = Packet::parse(SUCCESS).unwrap();
        assert_eq!(packet, Packet { code: 3, identifier: 9, data: b"ok" });
        assert_eq!(packet.emit().unwrap(), SUCCESS);
        assert_eq!(Packet::parse(&[SUCCESS, &[0, 0]].concat()), Ok(packet));
    }

    #[test]
    fn rejects_every_truncation_and_impossible_lengths() {
        for n in 0..SUCCESS.len() {
            let expected = if n < 4 { Malformed::PacketTooShort } else { Malformed::PacketLength };
            assert_eq!(Packet::parse(&SUCCESS[..n]), Err(expected), "{n} bytes");
        }
        assert_eq!(Packet::parse(&[3, 9, 0, 3, 0, 0]), Err(Malformed::PacketLength));
    }

    #[test]
    fn data_beyond_the_length_field_is_not_emitted() {
        let data = vec![0; 65_532];
        assert!(Packet { code: 1, identifier: 1, data: &data }.emit().is_none());
        assert_eq!(Packet { code: 1, identifier: 1, data: &data[1..] }.emit().unwrap().len(), 65_535);
    }

    proptest! {
        #[test]
        fn round_trips(code: u8, identifier: u8, data: Vec<u8>) {
            let packet = Packet { code, identifier, data: &data };
            let bytes = packet.emit().unwrap();
            prop_assert_eq!(Packet::parse(&bytes), Ok(packet));
        }
    }
}
