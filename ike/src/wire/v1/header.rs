//! The ISAKMP header, RFC 2408 section 3.1, as IKEv1 uses it.
//!
//! Does not: strip the non-ESP marker of port 4500 (RFC 3948).

use nom::Parser;
use nom::number::complete::{be_u8, be_u32};

use super::num::PayloadType;
use crate::wire::header::{HEADER_LEN, Version, spi};
use crate::wire::limits::MAX_MESSAGE;
use crate::wire::num::ExchangeType;
use crate::wire::{IkeSpi, Malformed, Parsed, TooLong, Writer};

const ENCRYPTION: u8 = 0x01;
const COMMIT: u8 = 0x02;
const AUTHENTICATION_ONLY: u8 = 0x04;

/// What stands in front of every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Cookie of the initiator of the ISAKMP SA; never zero.
    pub initiator_cookie: IkeSpi,
    /// Cookie of the responder; absent in the first message only.
    pub responder_cookie: Option<IkeSpi>,
    /// Type of the first payload, also if it is encrypted; absent if there is none.
    pub next_payload: Option<PayloadType>,
    /// Four bits; ignored on receipt.
    pub minor_version: u8,
    /// Exchange to which the message belongs.
    pub exchange: ExchangeType,
    /// How to read the message.
    pub flags: Flags,
    /// Zero in phase 1, a random number for every exchange of phase 2.
    pub message_id: u32,
}

/// The flag bits of IKEv1. Reserved bits are ignored on receipt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// Everything behind the header is encrypted. Some clients set it on fragments, which are not.
    pub encryption: bool,
    /// The sender asks that the SA is not used before CONNECTED arrived.
    pub commit: bool,
    /// Authenticated, but not encrypted.
    pub authentication_only: bool,
}

impl Flags {
    /// No flag.
    pub const NONE: Self = Self { encryption: false, commit: false, authentication_only: false };

    /// The encryption flag alone.
    pub const ENCRYPTED: Self = Self { encryption: true, ..Self::NONE };

    fn from_bits(bits: u8) -> Self {
        Self {
            encryption: bits & ENCRYPTION != 0,
            commit: bits & COMMIT != 0,
            authentication_only: bits & AUTHENTICATION_ONLY != 0,
        }
    }

    fn to_bits(self) -> u8 {
        let bit = |set: bool, mask: u8| if set { mask } else { 0 };
        bit(self.encryption, ENCRYPTION) | bit(self.commit, COMMIT) | bit(self.authentication_only, AUTHENTICATION_ONLY)
    }
}

impl Header {
    /// Parses the header of a whole message and compares the Length field with the message.
    ///
    /// # Errors
    /// Too short, a different length, cookies that are zero or equal, another major version, or an exchange type that
    /// IKEv1 does not have ([`Malformed::ExchangeType`]; AuthIP's among them).
    pub fn parse(message: &[u8]) -> Result<Self, Malformed> {
        let (_, (header, version, length)) = fields(message).map_err(|_| Malformed::HeaderTooShort)?;
        if message.len() > MAX_MESSAGE {
            return Err(Malformed::MessageTooLong);
        }
        if usize::try_from(length) != Ok(message.len()) {
            return Err(Malformed::MessageLength);
        }
        if version.major != Version::V1.major {
            return Err(Malformed::MajorVersion);
        }
        if header.initiator_cookie == IkeSpi([0; 8]) {
            return Err(Malformed::InitiatorSpi);
        }
        if header.responder_cookie == Some(header.initiator_cookie) {
            return Err(Malformed::EqualSpis);
        }
        if !header.exchange.exists_in(Version::V1) {
            return Err(Malformed::ExchangeType);
        }
        Ok(header)
    }

    /// Appends the header; its Length field counts the header only until a builder patches it.
    pub fn emit(&self, out: &mut Writer) {
        self.emit_with_len(HEADER_LEN, out);
    }

    /// A message: this header, with its Length filled in, and `body`, which is encrypted or a single chain.
    ///
    /// # Errors
    /// If the whole is too long for a datagram.
    pub fn message(&self, body: &[u8]) -> Result<Vec<u8>, TooLong> {
        let len = HEADER_LEN.saturating_add(body.len());
        if len > MAX_MESSAGE {
            return Err(TooLong);
        }
        let mut out = Writer::new();
        self.emit_with_len(len, &mut out);
        out.bytes(body);
        out.finish()
    }

    fn emit_with_len(&self, len: usize, out: &mut Writer) {
        out.bytes(&self.initiator_cookie.0);
        out.bytes(&self.responder_cookie.map_or([0; 8], |cookie| cookie.0));
        out.u8(PayloadType::to_next(self.next_payload));
        out.u8(Version { major: Version::V1.major, minor: self.minor_version }.to_byte());
        out.u8(self.exchange.0);
        out.u8(self.flags.to_bits());
        out.u32(self.message_id);
        out.count_u32(len);
    }
}

fn fields(message: &[u8]) -> Parsed<'_, (Header, Version, u32)> {
    let (rest, (initiator_cookie, responder_cookie)) = (spi, spi).parse(message)?;
    let (rest, (next, version, exchange, flags)) = (be_u8, be_u8, be_u8, be_u8).parse(rest)?;
    let (rest, (message_id, length)) = (be_u32, be_u32).parse(rest)?;
    let version = Version::from_byte(version);
    let header = Header {
        initiator_cookie,
        responder_cookie: Some(responder_cookie).filter(|cookie| cookie.0 != [0; 8]),
        next_payload: PayloadType::from_next(next),
        minor_version: version.minor,
        exchange: ExchangeType(exchange),
        flags: Flags::from_bits(flags),
        message_id,
    };
    Ok((rest, (header, version, length)))
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

    const FIRST: [u8; 28] = [
        0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, // initiator cookie
        0, 0, 0, 0, 0, 0, 0, 0, // no responder cookie
        1, 0x10, 2, 0, // SA, version 1.0, main mode, no flags
        0, 0, 0, 0, // message ID
        0, 0, 0, 28,
    ];

    fn with(at: usize, value: u8) -> [u8; 28] {
        let mut message = FIRST;
        message[at] = value;
        message
    }

    #[test]
    fn parses_a_first_message() {
        let header = Header {
            initiator_cookie: IkeSpi([0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]),
            responder_cookie: None,
            next_payload: Some(PayloadType::SECURITY_ASSOCIATION),
            minor_version: 0,
            exchange: ExchangeType::IDENTITY_PROTECTION,
            flags: Flags::NONE,
            message_id: 0,
        };
        assert_eq!(Header::parse(&FIRST), Ok(header));
        assert_eq!(emitted(|out| header.emit(out)), FIRST);
    }

    #[test]
    fn round_trips_an_encrypted_message_of_phase_2() {
        let header = Header {
            initiator_cookie: IkeSpi([1; 8]),
            responder_cookie: Some(IkeSpi([2; 8])),
            next_payload: Some(PayloadType::HASH),
            minor_version: 1,
            exchange: ExchangeType::QUICK_MODE,
            flags: Flags { encryption: true, commit: true, authentication_only: false },
            message_id: 0xdead_beef,
        };
        let message = header.message(&[7; 16]).expect("short");
        assert_eq!(Header::parse(&message), Ok(header));
        assert_eq!(message.len(), 44);
    }

    #[test]
    fn rejects_every_truncation() {
        for len in 0..FIRST.len() {
            assert_eq!(Header::parse(&FIRST[..len]), Err(Malformed::HeaderTooShort), "{len} bytes");
        }
    }

    #[test]
    fn rejects_lengths_cookies_and_versions_that_cannot_be() {
        for length in [0, 27, 29] {
            assert_eq!(Header::parse(&with(27, length)), Err(Malformed::MessageLength), "{length}");
        }
        let mut zero = FIRST;
        zero[..8].fill(0);
        assert_eq!(Header::parse(&zero), Err(Malformed::InitiatorSpi));
        let mut equal = FIRST;
        equal.copy_within(..8, 8);
        assert_eq!(Header::parse(&equal), Err(Malformed::EqualSpis));
        assert_eq!(Header::parse(&with(17, 0x20)), Err(Malformed::MajorVersion));
    }

    #[test]
    fn rejects_exchanges_that_nobody_speaks() {
        for exchange in [0, 1, 3, 34, 243, 255] {
            assert_eq!(Header::parse(&with(18, exchange)), Err(Malformed::ExchangeType), "{exchange}");
        }
        for exchange in [2, 4, 5, 6, 32, 33] {
            assert!(Header::parse(&with(18, exchange)).is_ok(), "{exchange}");
        }
    }

    #[test]
    fn ignores_the_minor_version_and_reserved_flags() {
        assert_eq!(Header::parse(&with(17, 0x11)).map(|header| header.minor_version), Ok(1));
        let header = Header::parse(&with(19, 0xf8)).expect("reserved bits are ignored");
        assert_eq!(header.flags, Flags::NONE);
        assert_eq!(emitted(|out| header.emit(out))[19], 0);
    }

    #[test]
    fn refuses_to_build_what_no_datagram_holds() {
        let header = Header::parse(&FIRST).expect("valid");
        assert_eq!(header.message(&vec![0; 65_535]), Err(TooLong));
    }
}
