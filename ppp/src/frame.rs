//! The head of a PPP frame: Address, Control and Protocol field (RFC 1661 section 2, RFC 1662 section 3.1).
//!
//! [`parse`] takes every form that negotiation can lead to, whatever was negotiated: with and without FF 03, a protocol
//! of one or two octets. [`Head`] is the form for sending. Both run per packet on the data path: no allocation.
//!
//! Does not: octet stuffing, frame check sequence (L2TP carries neither, RFC 2661 section 3.1).

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use std::fmt;

use crate::malformed::Malformed;

/// Address and Control field of every frame that has them: all stations, unnumbered information.
pub const ADDRESS_CONTROL: [u8; 2] = [0xff, 0x03];

/// Length in octets of the longest [`Head`].
pub const MAX_HEAD_LEN: usize = 4;

/// What the information field of a frame is, a number of IANA's registry of PPP protocols.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Protocol(pub u16);

impl Protocol {
    /// Internet Protocol, RFC 1332.
    pub const IPV4: Self = Self(0x0021);
    /// Internet Protocol version 6, RFC 5072.
    pub const IPV6: Self = Self(0x0057);
    /// Internet Protocol Control Protocol, RFC 1332.
    pub const IPCP: Self = Self(0x8021);
    /// IPv6 Control Protocol, RFC 5072.
    pub const IPV6CP: Self = Self(0x8057);
    /// Encryption Control Protocol, RFC 1968.
    pub const ECP: Self = Self(0x8053);
    /// Compression Control Protocol, RFC 1962.
    pub const CCP: Self = Self(0x80fd);
    /// Link Control Protocol, RFC 1661.
    pub const LCP: Self = Self(0xc021);
    /// Password Authentication Protocol, RFC 1334.
    pub const PAP: Self = Self(0xc023);
    /// Challenge Handshake Authentication Protocol in all its variants, RFC 1994.
    pub const CHAP: Self = Self(0xc223);
    /// Extensible Authentication Protocol, RFC 3748.
    pub const EAP: Self = Self(0xc227);

    /// Whether the number may be sent as one octet after Protocol-Field-Compression (RFC 1661 section 6.5).
    #[must_use]
    pub const fn is_compressible(self) -> bool {
        self.0 < 0x100
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::IPV4 => "IPv4",
            Self::IPV6 => "IPv6",
            Self::IPCP => "IPCP",
            Self::IPV6CP => "IPV6CP",
            Self::ECP => "ECP",
            Self::CCP => "CCP",
            Self::LCP => "LCP",
            Self::PAP => "PAP",
            Self::CHAP => "CHAP",
            Self::EAP => "EAP",
            Self(other) => return write!(f, "protocol {other:04x}"),
        };
        f.write_str(name)
    }
}

/// The protocol of a frame and where its information field begins.
///
/// # Errors
///
/// [`Malformed::Frame`] if it ends too early, [`Malformed::Protocol`] if the number is not of the form that RFC 1661
/// section 2 demands (low bit of the last octet set, of the first octet clear), or is 00ff, which no protocol has: one
/// could not tell it from an Address field (section 6.5).
pub fn parse(frame: &[u8]) -> Result<(Protocol, usize), Malformed> {
    let (rest, skipped) = match frame {
        [0xff, 0x03, rest @ ..] => (rest, 2_usize),
        all => (all, 0),
    };
    match rest {
        [0xff, ..] | [0, 0xff, ..] => Err(Malformed::Protocol),
        [short, ..] if short & 1 == 1 => Ok((Protocol(u16::from(*short)), skipped.saturating_add(1))),
        [] | [_] => Err(Malformed::Frame),
        [high, low, ..] if low & 1 == 1 => Ok((Protocol(u16::from_be_bytes([*high, *low])), skipped.saturating_add(2))),
        _ => Err(Malformed::Protocol),
    }
}

/// The head of a frame to be sent, ready to be put in front of its information field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    octets: [u8; MAX_HEAD_LEN],
    len: usize,
}

impl Head {
    /// The form that every peer understands: FF 03 and a protocol of two octets.
    #[must_use]
    pub const fn full(protocol: Protocol) -> Self {
        let [high, low] = protocol.0.to_be_bytes();
        let [address, control] = ADDRESS_CONTROL;
        Self { octets: [address, control, high, low], len: 4 }
    }

    /// The shortest form that the peer agreed to take.
    ///
    /// `short_protocol`: it offered Protocol-Field-Compression; `omit_address_control`: it offered
    /// Address-and-Control-Field-Compression (RFC 1661 sections 6.5 and 6.6). LCP is always sent in full.
    #[must_use]
    pub const fn shortest(protocol: Protocol, short_protocol: bool, omit_address_control: bool) -> Self {
        let [high, low] = protocol.0.to_be_bytes();
        let [address, control] = ADDRESS_CONTROL;
        let short = short_protocol && protocol.is_compressible();
        match (omit_address_control && protocol.0 != Protocol::LCP.0, short) {
            (true, true) => Self { octets: [low, 0, 0, 0], len: 1 },
            (true, false) => Self { octets: [high, low, 0, 0], len: 2 },
            (false, true) => Self { octets: [address, control, low, 0], len: 3 },
            (false, false) => Self::full(protocol),
        }
    }

    /// The octets to send.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_all_four_forms_whatever_was_negotiated() {
        let forms: [(&[u8], usize); 4] = [
            (&[0xff, 0x03, 0x00, 0x21, 0x45], 4),
            (&[0xff, 0x03, 0x21, 0x45], 3),
            (&[0x00, 0x21, 0x45], 2),
            (&[0x21, 0x45], 1),
        ];
        for (frame, offset) in forms {
            assert_eq!(parse(frame), Ok((Protocol::IPV4, offset)), "{frame:02x?}");
        }
        assert_eq!(parse(&[0xc0, 0x21, 1]), Ok((Protocol::LCP, 2)));
    }

    #[test]
    fn rejects_every_truncation_of_a_head() {
        for frame in [&[][..], &[0xff, 0x03], &[0xff, 0x03, 0xc0], &[0xc0], &[0x00]] {
            assert_eq!(parse(frame), Err(Malformed::Frame), "{frame:02x?}");
        }
    }

    #[test]
    fn rejects_a_protocol_without_its_odd_octet() {
        assert_eq!(parse(&[0xff, 0x03, 0xc0, 0x22, 1]), Err(Malformed::Protocol));
        assert_eq!(parse(&[0x00, 0x20, 0x45]), Err(Malformed::Protocol));
        assert_eq!(parse(&[0xff, 0x03, 0xff, 0x03, 0x00]), Err(Malformed::Protocol), "found by fuzzing");
        assert_eq!(parse(&[0xff, 0x04]), Err(Malformed::Protocol));
        assert_eq!(parse(&[0xff, 0x03, 0x00, 0xff, 0x03]), Err(Malformed::Protocol));
    }

    #[test]
    fn a_head_parses_to_its_protocol_in_every_form() {
        for protocol in [Protocol::IPV4, Protocol::IPV6, Protocol::LCP, Protocol::IPCP, Protocol::CCP] {
            for (short, omit) in [(false, false), (false, true), (true, false), (true, true)] {
                let head = Head::shortest(protocol, short, omit);
                assert_eq!(parse(head.as_slice()), Ok((protocol, head.as_slice().len())), "{protocol} {short} {omit}");
            }
        }
    }

    #[test]
    fn shortens_only_what_the_peer_takes_and_never_lcp() {
        assert_eq!(Head::shortest(Protocol::IPV4, true, true).as_slice(), [0x21]);
        assert_eq!(Head::shortest(Protocol::IPV4, false, true).as_slice(), [0x00, 0x21]);
        assert_eq!(Head::shortest(Protocol::IPV4, true, false).as_slice(), [0xff, 0x03, 0x21]);
        assert_eq!(Head::shortest(Protocol::IPCP, true, true).as_slice(), [0x80, 0x21]);
        assert_eq!(Head::shortest(Protocol::LCP, true, true).as_slice(), [0xff, 0x03, 0xc0, 0x21]);
        assert_eq!(Head::full(Protocol::IPV6).as_slice(), [0xff, 0x03, 0x00, 0x57]);
    }
}
