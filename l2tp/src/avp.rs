//! Attribute Value Pairs (RFC 2661 section 4): their header, and the registry of all that the RFC defines.
//!
//! [`RawAvp`] is an AVP as it lies in a message, of any vendor; [`Avp`] is one of RFC 2661 with its value understood.
//! The vendor is looked at before the attribute number: attribute 2 of vendor 3561 is no Protocol Version.
//!
//! Does not: decide what an unknown AVP does to a message (see [`message`](crate::message)), or read hidden ones (see
//! [`hidden`](crate::hidden)).

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

mod value;

use nom::number::complete::be_u16;
use nom::{IResult, Parser};

pub use value::{CallErrors, CauseCode, PresentOnly, ProtocolVersion, ProxyAuthenId, ResultCode, SendReceiveAccm};

use crate::error::Malformed;
use value::Value;

/// Octets before the value.
pub const AVP_HEADER_LEN: usize = 6;

/// Octets of the longest value: the Length field has ten bits.
pub const MAX_VALUE_LEN: usize = 0x3ff - AVP_HEADER_LEN;

const MANDATORY: u16 = 0x8000;
const HIDDEN: u16 = 0x4000;
const RESERVED: u16 = 0x3c00;
const LENGTH: u16 = 0x03ff;

/// The vendor number of the IETF, whose attributes RFC 2661 defines.
pub const IETF: u16 = 0;

/// An AVP as it lies in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawAvp<'a> {
    /// The M bit: who does not know this AVP must end the session or tunnel.
    pub mandatory: bool,
    /// The H bit: the value is hidden.
    pub hidden: bool,
    /// A reserved bit is set, so that the AVP counts as unknown (RFC 2661 section 4.1).
    pub reserved: bool,
    /// SMI network management private enterprise code, or [`IETF`].
    pub vendor: u16,
    /// Attribute Type; its meaning depends on the vendor.
    pub attribute: u16,
    /// Attribute Value.
    pub value: &'a [u8],
}

impl<'a> RawAvp<'a> {
    /// Splits the first AVP off; the second part of the result is what follows it.
    ///
    /// # Errors
    /// The Length field is smaller than the header, or larger than what is left.
    pub fn parse(input: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let header: IResult<_, _> = (be_u16, be_u16, be_u16).parse(input);
        let (rest, (flags, vendor, attribute)) = header.map_err(|_| Malformed("truncated AVP"))?;
        let length = usize::from(flags & LENGTH).checked_sub(AVP_HEADER_LEN);
        let (value, rest) =
            length.and_then(|length| rest.split_at_checked(length)).ok_or(Malformed("length of an AVP"))?;
        let (mandatory, hidden, reserved) = (flags & MANDATORY != 0, flags & HIDDEN != 0, flags & RESERVED != 0);
        Ok((Self { mandatory, hidden, reserved, vendor, attribute, value }, rest))
    }

    /// Appends the AVP; a value longer than [`MAX_VALUE_LEN`] is cut. Reserved bits are 0.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let value = self.value.get(..MAX_VALUE_LEN).unwrap_or(self.value);
        let length = u16::try_from(value.len().saturating_add(AVP_HEADER_LEN)).unwrap_or(LENGTH);
        let flags = length | if self.mandatory { MANDATORY } else { 0 } | if self.hidden { HIDDEN } else { 0 };
        for field in [flags, self.vendor, self.attribute] {
            out.extend(field.to_be_bytes());
        }
        out.extend_from_slice(value);
    }
}

macro_rules! registry {
    ($($(#[$doc:meta])* $name:ident($value:ty) = $number:literal, $mandatory:literal;)*) => {
        /// An AVP of RFC 2661 section 4.4 with its value.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Avp {
            $($(#[$doc])* $name($value),)*
        }

        impl Avp {
            /// Reads the value of an AVP of the IETF; `None` if the attribute is unknown.
            ///
            /// # Errors
            /// The value does not have the form of the attribute.
            pub fn parse(attribute: u16, value: &[u8]) -> Option<Result<Self, Malformed>> {
                match attribute {
                    $($number => Some(
                        Value::parse(value).map(Self::$name).ok_or(Malformed(concat!("value of ", stringify!($name)))),
                    ),)*
                    _ => None,
                }
            }

            /// Attribute Type.
            #[must_use]
            pub fn attribute(&self) -> u16 {
                match self {
                    $(Self::$name(_) => $number,)*
                }
            }

            /// The M bit that the RFC demands of a sender.
            #[must_use]
            pub fn mandatory(&self) -> bool {
                match self {
                    $(Self::$name(_) => $mandatory,)*
                }
            }

            /// Attribute Value.
            #[must_use]
            pub fn value(&self) -> Vec<u8> {
                let mut out = Vec::new();
                match self {
                    $(Self::$name(value) => Value::emit(value, &mut out),)*
                }
                out
            }
        }
    };
}

registry! {
    /// What the message is; the first AVP of each.
    MessageType(u16) = 0, true;
    /// Why a tunnel or session ends.
    ResultCode(ResultCode) = 1, true;
    /// The version of L2TP.
    ProtocolVersion(ProtocolVersion) = 2, true;
    /// Bit 0: synchronous framing, bit 1: asynchronous framing.
    FramingCapabilities(u32) = 3, true;
    /// Bit 0: digital access, bit 1: analog access.
    BearerCapabilities(u32) = 4, true;
    /// Decides between two tunnels that both ends open at once.
    TieBreaker([u8; 8]) = 5, false;
    /// Of the sender, in an encoding of its own.
    FirmwareRevision(u16) = 6, false;
    /// Name of the sender.
    HostName(Vec<u8>) = 7, true;
    /// Text about the sender's make.
    VendorName(Vec<u8>) = 8, false;
    /// The id by which the sender knows the tunnel.
    AssignedTunnelId(u16) = 9, true;
    /// Control messages that may be sent to the sender without an acknowledgement.
    ReceiveWindowSize(u16) = 10, true;
    /// Prove to know the secret.
    Challenge(Vec<u8>) = 11, true;
    /// Why a call ended, in the words of ISDN.
    CauseCode(CauseCode) = 12, true;
    /// The proof.
    ChallengeResponse([u8; 16]) = 13, true;
    /// The id by which the sender knows the session.
    AssignedSessionId(u16) = 14, true;
    /// Names the call in logs.
    CallSerialNumber(u32) = 15, true;
    /// Least line speed of an outgoing call, bits per second.
    MinimumBps(u32) = 16, true;
    /// Highest line speed of an outgoing call, bits per second.
    MaximumBps(u32) = 17, true;
    /// Bit 0: digital channel, bit 1: analog channel.
    BearerType(u32) = 18, true;
    /// Bit 0: synchronous framing, bit 1: asynchronous framing.
    FramingType(u32) = 19, true;
    /// Number that was dialled.
    CalledNumber(Vec<u8>) = 21, true;
    /// Number of the caller.
    CallingNumber(Vec<u8>) = 22, true;
    /// Additional dialling information.
    SubAddress(Vec<u8>) = 23, true;
    /// Speed of the line, bits per second, towards the client if they differ.
    TxConnectSpeed(u32) = 24, true;
    /// Physical channel of the call.
    PhysicalChannelId(u32) = 25, false;
    /// The first LCP Configure-Request that the LAC received.
    InitialReceivedLcpConfreq(Vec<u8>) = 26, false;
    /// The last LCP Configure-Request that the LAC sent.
    LastSentLcpConfreq(Vec<u8>) = 27, false;
    /// The last LCP Configure-Request that the LAC received.
    LastReceivedLcpConfreq(Vec<u8>) = 28, false;
    /// How the LAC authenticated the client.
    ProxyAuthenType(u16) = 29, false;
    /// Name of the client.
    ProxyAuthenName(Vec<u8>) = 30, false;
    /// The challenge that the LAC sent.
    ProxyAuthenChallenge(Vec<u8>) = 31, false;
    /// The identifier of that challenge.
    ProxyAuthenId(ProxyAuthenId) = 32, false;
    /// The client's response.
    ProxyAuthenResponse(Vec<u8>) = 33, false;
    /// Errors of the line.
    CallErrors(CallErrors) = 34, true;
    /// Which characters have to be escaped.
    Accm(SendReceiveAccm) = 35, true;
    /// Seeds the hiding of the AVPs that follow.
    RandomVector(Vec<u8>) = 36, true;
    /// A group of customers.
    PrivateGroupId(Vec<u8>) = 37, false;
    /// Speed of the line from the client, bits per second.
    RxConnectSpeed(u32) = 38, false;
    /// Data messages must have sequence numbers.
    SequencingRequired(PresentOnly) = 39, true;
}

impl Avp {
    /// Appends the AVP in the clear.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let (mandatory, attribute, value) = (self.mandatory(), self.attribute(), self.value());
        RawAvp { mandatory, hidden: false, reserved: false, vendor: IETF, attribute, value: &value }.emit(out);
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]
mod tests {
    use super::*;

    /// One of each, in the order of their numbers.
    fn all() -> Vec<Avp> {
        let text = || b"text".to_vec();
        vec![
            Avp::MessageType(1),
            Avp::ResultCode(ResultCode { result: 2, error: Some(8), message: text() }),
            Avp::ProtocolVersion(ProtocolVersion::V1_0),
            Avp::FramingCapabilities(3),
            Avp::BearerCapabilities(0),
            Avp::TieBreaker([7; 8]),
            Avp::FirmwareRevision(0x0a00),
            Avp::HostName(text()),
            Avp::VendorName(text()),
            Avp::AssignedTunnelId(1),
            Avp::ReceiveWindowSize(8),
            Avp::Challenge(vec![9; 32]),
            Avp::CauseCode(CauseCode { cause: 16, message: 2, advisory: text() }),
            Avp::ChallengeResponse([3; 16]),
            Avp::AssignedSessionId(5),
            Avp::CallSerialNumber(6),
            Avp::MinimumBps(7),
            Avp::MaximumBps(8),
            Avp::BearerType(1),
            Avp::FramingType(3),
            Avp::CalledNumber(text()),
            Avp::CallingNumber(text()),
            Avp::SubAddress(text()),
            Avp::TxConnectSpeed(1_000_000),
            Avp::PhysicalChannelId(4),
            Avp::InitialReceivedLcpConfreq(text()),
            Avp::LastSentLcpConfreq(text()),
            Avp::LastReceivedLcpConfreq(text()),
            Avp::ProxyAuthenType(2),
            Avp::ProxyAuthenName(text()),
            Avp::ProxyAuthenChallenge(text()),
            Avp::ProxyAuthenId(ProxyAuthenId(9)),
            Avp::ProxyAuthenResponse(text()),
            Avp::CallErrors(CallErrors([1, 2, 3, 4, 5, 6])),
            Avp::Accm(SendReceiveAccm { send: 1, receive: 2 }),
            Avp::RandomVector(vec![1; 16]),
            Avp::PrivateGroupId(text()),
            Avp::RxConnectSpeed(5),
            Avp::SequencingRequired(PresentOnly),
        ]
    }

    #[test]
    fn every_attribute_of_the_rfc_round_trips() {
        let numbers: Vec<u16> = all().iter().map(Avp::attribute).collect();
        let expected: Vec<u16> = (0..=19).chain(21..=39).collect();
        assert_eq!(numbers, expected);
        for avp in all() {
            let mut bytes = Vec::new();
            avp.emit(&mut bytes);
            let (raw, rest) = RawAvp::parse(&bytes).expect("valid");
            assert!(rest.is_empty() && !raw.hidden && !raw.reserved);
            assert_eq!((raw.vendor, raw.mandatory), (IETF, avp.mandatory()), "{avp:?}");
            assert_eq!(Avp::parse(raw.attribute, raw.value), Some(Ok(avp)));
        }
    }

    #[test]
    fn the_mandatory_bits_are_those_of_rfc_2661() {
        let optional: Vec<u16> = all().iter().filter(|avp| !avp.mandatory()).map(Avp::attribute).collect();
        assert_eq!(optional, [5, 6, 8, 25, 26, 27, 28, 29, 30, 31, 32, 33, 37, 38]);
    }

    #[test]
    fn rejects_every_truncation() {
        for avp in all() {
            let mut bytes = Vec::new();
            avp.emit(&mut bytes);
            for n in 0..bytes.len() {
                assert!(RawAvp::parse(&bytes[..n]).is_err(), "{n} of {avp:?}");
            }
        }
    }

    #[test]
    fn values_of_fixed_length_are_exact() {
        for avp in all() {
            let value = avp.value();
            let is_text = matches!(
                avp.attribute(),
                1 | 7 | 8 | 11 | 12 | 21..=23 | 26..=28 | 30 | 31 | 33 | 36 | 37
            );
            let longer = [value.as_slice(), &[0]].concat();
            assert_eq!(Avp::parse(avp.attribute(), &longer).expect("known").is_ok(), is_text, "{avp:?}");
            if let Some((_, shorter)) = value.split_last() {
                let shorter = &value[..shorter.len()];
                assert_eq!(Avp::parse(avp.attribute(), shorter).expect("known").is_ok(), is_text, "{avp:?}");
            }
        }
    }

    #[test]
    fn lengths_below_the_header_are_refused_and_reserved_bits_noted() {
        assert!(RawAvp::parse(&[0x80, 5, 0, 0, 0, 7]).is_err());
        assert!(RawAvp::parse(&[0x80, 0, 0, 0, 0, 7]).is_err());
        let (raw, rest) = RawAvp::parse(&[0x84, 6, 0, 0, 0, 39, 0xaa]).expect("valid");
        assert!(raw.reserved && raw.mandatory);
        assert_eq!(rest, [0xaa]);
    }

    #[test]
    fn a_value_too_long_for_the_length_field_is_cut() {
        let mut bytes = Vec::new();
        Avp::HostName(vec![b'x'; 5000]).emit(&mut bytes);
        assert_eq!(bytes.len(), 1023);
        assert_eq!(RawAvp::parse(&bytes).expect("valid").0.value.len(), MAX_VALUE_LEN);
    }

    #[test]
    fn attributes_outside_the_registry_are_unknown() {
        assert_eq!(Avp::parse(20, &[]), None);
        assert_eq!(Avp::parse(40, &[]), None);
        assert_eq!(Avp::parse(u16::MAX, &[]), None);
    }
}
