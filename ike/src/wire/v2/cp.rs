//! The Configuration payload, RFC 7296 section 3.15: addresses and the like, asked for and granted.
//!
//! Attributes that we do not know, such as the private ones of Windows, survive. The length of an attribute that we know
//! is checked against its type; a request may always leave the value empty.
//!
//! Does not: read the values beyond their length, see [`CpAttribute::ip4`] and its neighbours for the common ones.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use nom::Parser;
use nom::bytes::complete::take;
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u16};

use crate::wire::limits::MAX_CONFIGURATION_ATTRIBUTES;
use crate::wire::num::{CpAttr, CpType};
use crate::wire::{Malformed, Parsed, Writer};

/// The type of an attribute has 15 bits; the bit above is reserved.
const TYPE_MASK: u16 = 0x7fff;

/// A request for configuration or the answer to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration<'a> {
    /// Request, reply, set or acknowledgement.
    pub kind: CpType,
    /// In the order of the sender; the same type may occur several times.
    pub attributes: Vec<CpAttribute<'a>>,
}

/// One attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpAttribute<'a> {
    /// What `value` is; 15 bits.
    pub kind: CpAttr,
    /// Empty in requests that have no preference.
    pub value: Cow<'a, [u8]>,
}

impl<'a> Configuration<'a> {
    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::Configuration`] if it is cut off or an attribute has a length that its type forbids,
    /// [`Malformed::TooManyConfigurationAttributes`].
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (mut rest, kind) = cfg_type(body).map_err(|_| Malformed::Configuration)?;
        let mut attributes = Vec::new();
        while !rest.is_empty() {
            if attributes.len() == MAX_CONFIGURATION_ATTRIBUTES {
                return Err(Malformed::TooManyConfigurationAttributes);
            }
            let (after, (kind, value)) = attribute(rest).map_err(|_| Malformed::Configuration)?;
            if !length_fits(kind, value.len()) {
                return Err(Malformed::Configuration);
            }
            attributes.push(CpAttribute { kind, value: Cow::Borrowed(value) });
            rest = after;
        }
        Ok(Self { kind, attributes })
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.u8(self.kind.0);
        out.bytes(&[0; 3]);
        for attribute in &self.attributes {
            out.u16(attribute.kind.0 & TYPE_MASK);
            out.count_u16(attribute.value.len());
            out.bytes(&attribute.value);
        }
    }
}

impl<'a> CpAttribute<'a> {
    /// An attribute with a value of bytes, possibly empty.
    pub fn new(kind: CpAttr, value: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { kind, value: value.into() }
    }

    /// An attribute whose value is an IPv4 address.
    pub fn ip4(kind: CpAttr, address: Ipv4Addr) -> Self {
        Self::new(kind, address.octets().to_vec())
    }

    /// An attribute whose value is an IPv6 address, such as INTERNAL_IP6_DNS.
    pub fn ip6(kind: CpAttr, address: Ipv6Addr) -> Self {
        Self::new(kind, address.octets().to_vec())
    }

    /// An attribute whose value is an IPv6 address and a prefix length in bits, such as INTERNAL_IP6_ADDRESS.
    pub fn ip6_prefix(kind: CpAttr, address: Ipv6Addr, prefix_len: u8) -> Self {
        Self::new(kind, [address.octets().as_slice(), &[prefix_len]].concat())
    }

    /// An attribute whose value is an IPv4 address and a netmask: INTERNAL_IP4_SUBNET.
    pub fn ip4_subnet(address: Ipv4Addr, netmask: Ipv4Addr) -> Self {
        Self::new(CpAttr::INTERNAL_IP4_SUBNET, [address.octets(), netmask.octets()].concat())
    }

    /// The IPv4 address of a value that is exactly that.
    pub fn as_ip4(&self) -> Option<Ipv4Addr> {
        <[u8; 4]>::try_from(self.value.as_ref()).ok().map(Ipv4Addr::from)
    }

    /// The IPv6 address of a value that is an address, with or without a prefix length.
    pub fn as_ip6(&self) -> Option<Ipv6Addr> {
        let address = if self.value.len() > 17 { None } else { self.value.first_chunk::<16>() };
        address.map(|octets| Ipv6Addr::from(*octets))
    }
}

fn cfg_type(body: &[u8]) -> Parsed<'_, CpType> {
    (be_u8, take(3_usize)).map(|(kind, _reserved)| CpType(kind)).parse(body)
}

fn attribute(input: &[u8]) -> Parsed<'_, (CpAttr, &[u8])> {
    (be_u16.map(|kind| CpAttr(kind & TYPE_MASK)), length_data(be_u16)).parse(input)
}

/// Lengths of RFC 7296 section 3.15.1. An IPv6 address without its prefix length (16 bytes) is a common deviation.
fn length_fits(kind: CpAttr, len: usize) -> bool {
    match kind {
        CpAttr::INTERNAL_IP4_ADDRESS
        | CpAttr::INTERNAL_IP4_NETMASK
        | CpAttr::INTERNAL_IP4_DNS
        | CpAttr::INTERNAL_IP4_NBNS
        | CpAttr::INTERNAL_IP4_DHCP
        | CpAttr::MICROSOFT_IP4_SERVER => matches!(len, 0 | 4),
        CpAttr::INTERNAL_IP4_SUBNET => matches!(len, 0 | 8),
        CpAttr::INTERNAL_IP6_ADDRESS => matches!(len, 0 | 16 | 17),
        CpAttr::INTERNAL_IP6_SUBNET => matches!(len, 0 | 17),
        CpAttr::INTERNAL_IP6_DNS | CpAttr::INTERNAL_IP6_DHCP | CpAttr::MICROSOFT_IP6_SERVER => matches!(len, 0 | 16),
        CpAttr::SUPPORTED_ATTRIBUTES => len.is_multiple_of(2),
        _ => true,
    }
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

    /// A request like that of Windows: address, DNS, and a private attribute, all without values.
    const REQUEST: &[u8] = &[1, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0x5b, 0xa0, 0, 0];

    #[test]
    fn round_trips_a_request() {
        let cp = Configuration {
            kind: CpType::REQUEST,
            attributes: [CpAttr::INTERNAL_IP4_ADDRESS, CpAttr::INTERNAL_IP4_DNS, CpAttr::MICROSOFT_IP4_SERVER]
                .map(|kind| CpAttribute::new(kind, &[][..]))
                .to_vec(),
        };
        assert_eq!(Configuration::parse(REQUEST).as_ref(), Ok(&cp));
        assert_eq!(emitted(|out| cp.emit(out)), REQUEST);
    }

    #[test]
    fn rejects_truncations_within_an_attribute() {
        let body = [REQUEST, &[0, 7, 0, 2, b'h', b'i']].concat();
        for len in 0..body.len() {
            let whole = matches!(len, 4 | 8 | 12 | 16);
            assert_eq!(Configuration::parse(&body[..len]).is_ok(), whole, "{len} bytes");
        }
    }

    #[test]
    fn round_trips_addresses() {
        let v4 = Ipv4Addr::new(10, 1, 2, 3);
        let v6: Ipv6Addr = "2001:db8::1".parse().expect("valid");
        let cp = Configuration {
            kind: CpType::REPLY,
            attributes: vec![
                CpAttribute::ip4(CpAttr::INTERNAL_IP4_ADDRESS, v4),
                CpAttribute::ip4_subnet(v4, Ipv4Addr::new(255, 255, 255, 0)),
                CpAttribute::ip6_prefix(CpAttr::INTERNAL_IP6_ADDRESS, v6, 64),
                CpAttribute::ip6(CpAttr::INTERNAL_IP6_DNS, v6),
            ],
        };
        let body = emitted(|out| cp.emit(out));
        assert_eq!(Configuration::parse(&body).as_ref(), Ok(&cp));
        let read: Vec<_> = cp.attributes.iter().map(|a| (a.as_ip4(), a.as_ip6())).collect();
        assert_eq!(read, [(Some(v4), None), (None, None), (None, Some(v6)), (None, Some(v6))]);
    }

    #[test]
    fn checks_the_length_of_known_attributes_only() {
        let accepted = |kind: u16, len: u8| {
            let [hi, lo] = kind.to_be_bytes();
            let body = [vec![1, 0, 0, 0, hi, lo, 0, len], vec![0; len.into()]].concat();
            Configuration::parse(&body).is_ok()
        };
        let lengths = |kind: u16| (0..=20).filter(|&len| accepted(kind, len)).collect::<Vec<_>>();
        for kind in [1, 2, 3, 4, 6, 23456] {
            assert_eq!(lengths(kind), [0, 4], "{kind}");
        }
        for kind in [10, 12, 23457] {
            assert_eq!(lengths(kind), [0, 16], "{kind}");
        }
        assert_eq!(lengths(8), [0, 16, 17]);
        assert_eq!(lengths(13), [0, 8]);
        assert_eq!(lengths(15), [0, 17]);
        assert_eq!(lengths(14), (0..=20).step_by(2).collect::<Vec<_>>());
        assert_eq!(lengths(25).len(), 21);
        assert_eq!(lengths(16_384).len(), 21);
    }

    #[test]
    fn ignores_reserved_bits() {
        let cp = Configuration::parse(&[1, 9, 9, 9, 0x80, 1, 0, 0]).expect("valid");
        assert_eq!(cp.attributes, [CpAttribute::new(CpAttr::INTERNAL_IP4_ADDRESS, &[][..])]);
    }

    #[test]
    fn takes_exactly_as_many_attributes_as_the_limit_says() {
        let body = |number: usize| [vec![1, 0, 0, 0], [0, 1, 0, 0].repeat(number)].concat();
        let parsed = |number| Configuration::parse(&body(number)).map(|cp| cp.attributes.len());
        assert_eq!(parsed(MAX_CONFIGURATION_ATTRIBUTES), Ok(MAX_CONFIGURATION_ATTRIBUTES));
        assert_eq!(parsed(MAX_CONFIGURATION_ATTRIBUTES + 1), Err(Malformed::TooManyConfigurationAttributes));
    }
}
