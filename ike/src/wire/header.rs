//! The IKE header, RFC 7296 section 3.1.
//!
//! The 28 bytes in front of every message. They look alike in both versions; [`v1::Header`](super::v1::Header) reads the
//! fields whose meaning is different in IKEv1. The Length field is compared with the datagram and not
//! kept; [`MessageBuilder`](super::v2::MessageBuilder) fills it in on the way out.
//!
//! Does not: strip the non-ESP marker of port 4500 (RFC 3948), or read the flag bits of IKEv1.

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u32};

use super::limits::MAX_MESSAGE;
use super::num::PayloadType;
use super::{Malformed, Parsed, Writer};

pub use super::num::ExchangeType;
pub use super::spi::IkeSpi;

/// Length of the header in bytes.
pub const HEADER_LEN: usize = 28;

/// Offset of the Next Payload field in bytes.
pub(super) const NEXT_PAYLOAD_AT: usize = 16;

/// Offset of the version in bytes.
const VERSION_AT: usize = 17;

/// Offset of the Length field in bytes.
pub(super) const LENGTH_AT: usize = 24;

const INITIATOR: u8 = 0x08;
const VERSION: u8 = 0x10;
const RESPONSE: u8 = 0x20;

/// What stands in front of every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// SPI chosen by the original initiator of the IKE SA; never zero.
    pub initiator_spi: IkeSpi,
    /// SPI chosen by the original responder; absent until it answered the first request.
    pub responder_spi: Option<IkeSpi>,
    /// Type of the first payload; absent if the message has none.
    pub next_payload: Option<PayloadType>,
    /// Version that the sender speaks in this message.
    pub version: Version,
    /// Exchange to which the message belongs.
    pub exchange: ExchangeType,
    /// Role of the sender and direction of the message.
    pub flags: Flags,
    /// Number of the request, and of the response to it.
    pub message_id: u32,
}

/// Version of IKE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// Four bits; a different value means a different protocol.
    pub major: u8,
    /// Four bits; ignored on receipt.
    pub minor: u8,
}

/// The flag bits of IKEv2. Reserved bits are ignored on receipt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// The sender is the original initiator of the IKE SA.
    pub initiator: bool,
    /// The sender speaks a higher major version, too.
    pub version: bool,
    /// The message is a response.
    pub response: bool,
}

impl Header {
    /// Parses the header of a whole message and compares the Length field with the message.
    ///
    /// # Errors
    /// Too short, a different length, SPIs that are zero or equal, a major version other than 1 and 2, or an exchange
    /// type that this version does not have.
    pub fn parse(message: &[u8]) -> Result<Self, Malformed> {
        let header = Self::parse_any_version(message)?;
        if !matches!(header.version.major, 1 | 2) {
            return Err(Malformed::MajorVersion);
        }
        if !header.exchange.exists_in(header.version) {
            return Err(Malformed::ExchangeType);
        }
        Ok(header)
    }

    /// Like [`Header::parse`], but takes any version and exchange type: what is needed to answer a message of a future
    /// version with INVALID_MAJOR_VERSION (RFC 7296 section 2.5).
    ///
    /// # Errors
    /// Too short, a different length, or SPIs that are zero or equal.
    pub fn parse_any_version(message: &[u8]) -> Result<Self, Malformed> {
        let (_, (header, length)) = fields(message).map_err(|_| Malformed::HeaderTooShort)?;
        if message.len() > MAX_MESSAGE {
            return Err(Malformed::MessageTooLong);
        }
        if usize::try_from(length) != Ok(message.len()) {
            return Err(Malformed::MessageLength);
        }
        if header.initiator_spi == IkeSpi([0; 8]) {
            return Err(Malformed::InitiatorSpi);
        }
        if header.responder_spi == Some(header.initiator_spi) {
            return Err(Malformed::EqualSpis);
        }
        Ok(header)
    }

    /// Appends the header; its Length field counts the header only until a builder patches it.
    pub fn emit(&self, out: &mut Writer) {
        self.emit_with_len(HEADER_LEN, out);
    }

    /// Appends the header of a message of `len` bytes.
    pub(super) fn emit_with_len(&self, len: usize, out: &mut Writer) {
        out.bytes(&self.initiator_spi.0);
        out.bytes(&self.responder_spi.map_or([0; 8], |spi| spi.0));
        out.u8(PayloadType::to_next(self.next_payload));
        out.u8(self.version.to_byte());
        out.u8(self.exchange.0);
        out.u8(self.flags.to_bits());
        out.u32(self.message_id);
        out.count_u32(len);
    }
}

impl Version {
    /// IKEv2, RFC 7296.
    pub const V2: Self = Self { major: 2, minor: 0 };

    /// IKEv1, RFC 2409.
    pub const V1: Self = Self { major: 1, minor: 0 };

    /// The version that a message claims, read without any other check; `None` if the message is too short to say.
    pub fn peek(message: &[u8]) -> Option<Self> {
        message.get(VERSION_AT).copied().map(Self::from_byte)
    }

    pub(super) const fn from_byte(byte: u8) -> Self {
        Self { major: byte.wrapping_shr(4), minor: byte & 0x0f }
    }

    pub(super) const fn to_byte(self) -> u8 {
        self.major.wrapping_shl(4) | (self.minor & 0x0f)
    }
}

impl Flags {
    fn from_bits(bits: u8) -> Self {
        Self { initiator: bits & INITIATOR != 0, version: bits & VERSION != 0, response: bits & RESPONSE != 0 }
    }

    fn to_bits(self) -> u8 {
        let bit = |set: bool, mask: u8| if set { mask } else { 0 };
        bit(self.initiator, INITIATOR) | bit(self.version, VERSION) | bit(self.response, RESPONSE)
    }
}

fn fields(message: &[u8]) -> Parsed<'_, (Header, u32)> {
    let (rest, (initiator_spi, responder_spi)) = (spi, spi).parse(message)?;
    let (rest, (next, version, exchange, flags)) = (be_u8, be_u8, be_u8, be_u8).parse(rest)?;
    let (rest, (message_id, length)) = (be_u32, be_u32).parse(rest)?;
    let header = Header {
        initiator_spi,
        responder_spi: Some(responder_spi).filter(|spi| spi.0 != [0; 8]),
        next_payload: PayloadType::from_next(next),
        version: Version::from_byte(version),
        exchange: ExchangeType(exchange),
        flags: Flags::from_bits(flags),
        message_id,
    };
    Ok((rest, (header, length)))
}

pub(super) fn spi(input: &[u8]) -> Parsed<'_, IkeSpi> {
    take(8_usize).map_res(<[u8; 8]>::try_from).map(IkeSpi).parse(input)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;
    use crate::wire::testing::emitted;

    /// An IKE_SA_INIT request without payloads and with the length of a header.
    const REQUEST: [u8; 28] = [
        0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, // initiator SPI
        0, 0, 0, 0, 0, 0, 0, 0, // no responder SPI
        33, 0x20, 34, 0x08, // SA, version 2.0, IKE_SA_INIT, initiator
        0, 0, 0, 0, // message ID
        0, 0, 0, 28,
    ];

    fn with(at: usize, value: u8) -> [u8; 28] {
        let mut message = REQUEST;
        message[at] = value;
        message
    }

    #[test]
    fn parses_a_first_request() {
        let header = Header {
            initiator_spi: IkeSpi([0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]),
            responder_spi: None,
            next_payload: Some(PayloadType::SECURITY_ASSOCIATION),
            version: Version::V2,
            exchange: ExchangeType::IKE_SA_INIT,
            flags: Flags { initiator: true, version: false, response: false },
            message_id: 0,
        };
        assert_eq!(Header::parse(&REQUEST), Ok(header));
        assert_eq!(emitted(|out| header.emit(out)), REQUEST);
    }

    #[test]
    fn round_trips_a_response_without_payloads() {
        let header = Header {
            initiator_spi: IkeSpi([1; 8]),
            responder_spi: Some(IkeSpi([2; 8])),
            next_payload: None,
            version: Version { major: 2, minor: 1 },
            exchange: ExchangeType::INFORMATIONAL,
            flags: Flags { initiator: false, version: true, response: true },
            message_id: 0xdead_beef,
        };
        assert_eq!(Header::parse(&emitted(|out| header.emit(out))), Ok(header));
    }

    #[test]
    fn rejects_every_truncation() {
        for len in 0..REQUEST.len() {
            assert_eq!(Header::parse(&REQUEST[..len]), Err(Malformed::HeaderTooShort), "{len} bytes");
        }
    }

    #[test]
    fn rejects_a_length_other_than_the_datagrams() {
        for length in [0, 27, 29] {
            assert_eq!(Header::parse(&with(27, length)), Err(Malformed::MessageLength), "{length}");
        }
        assert_eq!(Header::parse(&with(24, 1)), Err(Malformed::MessageLength));
    }

    #[test]
    fn rejects_spis_that_are_zero_or_equal() {
        let mut zero = REQUEST;
        zero[..8].fill(0);
        assert_eq!(Header::parse(&zero), Err(Malformed::InitiatorSpi));
        let mut equal = REQUEST;
        equal.copy_within(..8, 8);
        assert_eq!(Header::parse(&equal), Err(Malformed::EqualSpis));
    }

    #[test]
    fn rejects_other_major_versions_but_can_read_them() {
        assert_eq!(Header::parse(&with(17, 0x30)), Err(Malformed::MajorVersion));
        assert_eq!(Header::parse(&with(17, 0x00)), Err(Malformed::MajorVersion));
        let header = Header::parse_any_version(&with(17, 0x3f)).expect("readable");
        assert_eq!(header.version, Version { major: 3, minor: 15 });
    }

    #[test]
    fn ignores_the_minor_version_and_reserved_flags() {
        assert!(Header::parse(&with(17, 0x2f)).is_ok());
        let header = Header::parse(&with(19, 0xff)).expect("reserved bits are ignored");
        assert_eq!(header.flags, Flags { initiator: true, version: true, response: true });
        assert_eq!(emitted(|out| header.emit(out))[19], 0x38);
    }

    #[test]
    fn rejects_exchanges_of_the_other_version() {
        assert_eq!(Header::parse(&with(18, 2)), Err(Malformed::ExchangeType));
        assert_eq!(Header::parse(&with(18, 200)), Err(Malformed::ExchangeType));
        let mut v1 = with(18, 2);
        v1[17] = 0x10;
        assert_eq!(Header::parse(&v1).map(|h| h.version), Ok(Version::V1));
    }
}
