//! The EAP packet: code, identifier, length, and the type of requests and responses (RFC 3748 section 4).

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use nom::combinator::{all_consuming, rest};
use nom::number::complete::{be_u8, be_u16};
use nom::{IResult, Parser};

use super::Malformed;

/// EAP method type, RFC 3748 section 5. Unknown numbers survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EapType(pub u8);

impl EapType {
    /// RFC 3748 section 5.1.
    pub const IDENTITY: Self = Self(1);
    /// Legacy Nak, RFC 3748 section 5.3.1; responses only.
    pub const NAK: Self = Self(3);
    /// EAP-TLS, RFC 5216.
    pub const TLS: Self = Self(13);
    /// MS-EAP-Authentication, draft-kamath-pppext-eap-mschapv2.
    pub const MSCHAPV2: Self = Self(26);
}

impl std::fmt::Display for EapType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.0 {
            1 => "Identity",
            4 => "EAP-MD5",
            6 => "EAP-GTC",
            13 => "EAP-TLS",
            18 => "EAP-SIM",
            21 => "EAP-TTLS",
            23 => "EAP-AKA",
            25 => "PEAP",
            26 => "EAP-MSCHAPv2",
            50 => "EAP-AKA'",
            52 => "EAP-PWD",
            number => return write!(f, "EAP type {number}"),
        };
        f.write_str(name)
    }
}

/// A packet; its length field always equals its real length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Code 1.
    Request {
        /// Matches requests and responses.
        identifier: u8,
        /// Method.
        method: EapType,
        /// Type-Data.
        data: &'a [u8],
    },
    /// Code 2.
    Response {
        /// That of the request.
        identifier: u8,
        /// Method.
        method: EapType,
        /// Type-Data.
        data: &'a [u8],
    },
    /// Code 3.
    Success {
        /// That of the last response.
        identifier: u8,
    },
    /// Code 4.
    Failure {
        /// That of the last response.
        identifier: u8,
    },
}

impl<'a> Packet<'a> {
    /// Parses a whole packet.
    ///
    /// # Errors
    /// If it isn't one, or the length field differs from the bytes there are.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (_, packet) = all_consuming(|input| packet(bytes.len(), input))
            .parse(bytes)
            .map_err(|_: nom::Err<nom::error::Error<&[u8]>>| Malformed("EAP packet"))?;
        Ok(packet)
    }

    /// The packet as bytes; [`Packet::parse`] of them gives back `self`. `None` if the data is longer than a packet
    /// can be.
    #[must_use]
    pub fn emit(&self) -> Option<Vec<u8>> {
        let (code, identifier, method, data) = match *self {
            Self::Request { identifier, method, data } => (1, identifier, Some(method), data),
            Self::Response { identifier, method, data } => (2, identifier, Some(method), data),
            Self::Success { identifier } => (3, identifier, None, [].as_slice()),
            Self::Failure { identifier } => (4, identifier, None, [].as_slice()),
        };
        let mut out = vec![code, identifier, 0, 0];
        out.extend(method.map(|m| m.0));
        out.extend(data);
        let length = u16::try_from(out.len()).ok()?.to_be_bytes();
        out.splice(2..4, length);
        Some(out)
    }
}

fn packet(total: usize, input: &[u8]) -> IResult<&[u8], Packet<'_>> {
    let (input, (code, identifier, length)) = (be_u8, be_u8, be_u16).parse(input)?;
    if usize::from(length) != total {
        return reject(input);
    }
    match code {
        1 | 2 => {
            let (input, (method, data)) = (be_u8, rest).parse(input)?;
            let method = EapType(method);
            let packet = if code == 1 {
                Packet::Request { identifier, method, data }
            } else {
                Packet::Response { identifier, method, data }
            };
            Ok((input, packet))
        }
        3 => Ok((input, Packet::Success { identifier })),
        4 => Ok((input, Packet::Failure { identifier })),
        _ => reject(input),
    }
}

/// The error of a nom parser.
pub(super) fn reject<T>(input: &[u8]) -> IResult<&[u8], T> {
    Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Verify)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDENTITY: &[u8] = &[2, 7, 0, 10, 1, b'a', b'l', b'i', b'c', b'e'];

    #[test]
    fn reads_an_identity_response() {
        let packet = Packet::parse(IDENTITY).unwrap();
        assert_eq!(packet, Packet::Response { identifier: 7, method: EapType::IDENTITY, data: b"alice" });
        assert_eq!(packet.emit().unwrap(), IDENTITY);
    }

    #[test]
    fn rejects_every_truncation_and_trailing_bytes() {
        for n in 0..IDENTITY.len() {
            assert_eq!(Packet::parse(&IDENTITY[..n]), Err(Malformed("EAP packet")), "{n} bytes");
        }
        let mut longer = IDENTITY.to_vec();
        longer.push(0);
        assert!(Packet::parse(&longer).is_err());
    }

    #[test]
    fn rejects_unknown_codes_and_typeless_or_long_packets() {
        for bytes in [&[0, 1, 0, 4][..], &[5, 1, 0, 5, 1], &[2, 1, 0, 4], &[3, 1, 0, 5, 0], &[4, 1, 0, 3]] {
            assert!(Packet::parse(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn data_beyond_the_length_field_is_not_emitted() {
        let data = vec![0; 65_531];
        let packet = |data| Packet::Request { identifier: 1, method: EapType::MSCHAPV2, data };
        assert!(packet(&data).emit().is_none());
        assert_eq!(packet(&data[..65_530]).emit().unwrap().len(), 65_535);
    }

    proptest! {
        #[test]
        fn round_trips(identifier: u8, method: u8, data: Vec<u8>, code in 0..4) {
            let method = EapType(method);
            let packet = match code {
                0 => Packet::Request { identifier, method, data: &data },
                1 => Packet::Response { identifier, method, data: &data },
                2 => Packet::Success { identifier },
                _ => Packet::Failure { identifier },
            };
            let bytes = packet.emit().unwrap();
            prop_assert_eq!(Packet::parse(&bytes), Ok(packet));
        }

        #[test]
        fn whatever_parses_is_emitted_unchanged(bytes: Vec<u8>) {
            if let Ok(packet) = Packet::parse(&bytes) {
                prop_assert_eq!(packet.emit().unwrap(), bytes);
            }
        }
    }
}
