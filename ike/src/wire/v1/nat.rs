//! NAT detection and original addresses, RFC 3947 sections 3.2 and 5.2, and their numbers in the drafts.
//!
//! Does not: compute the hash, or decide which side is translated.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::be_u8;

use super::num::{IdType, PayloadType};
use crate::wire::{Malformed, Parsed, Writer};

/// Longest digest of any hash algorithm, in bytes.
const MAX_HASH: usize = 64;

/// Which numbers a pair of peers uses, as their vendor IDs agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NatNumbering {
    /// RFC 3947.
    Rfc,
    /// draft-ietf-ipsec-nat-t-ike-02 and -03.
    Draft,
    /// Later drafts and Apple's own, before the numbers were assigned.
    Early,
}

/// The hash of an address and a port, as the sender knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatDetection<'a> {
    /// Which payload number it has.
    pub numbering: NatNumbering,
    /// With the negotiated hash algorithm over both cookies, address and port.
    pub hash: &'a [u8],
}

/// An address before translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatOriginalAddress {
    /// Which payload number it has.
    pub numbering: NatNumbering,
    /// The address.
    pub address: IpAddr,
}

impl NatNumbering {
    /// The number of a NAT-D payload.
    pub const fn nat_d(self) -> PayloadType {
        match self {
            Self::Rfc => PayloadType::NAT_D,
            Self::Draft => PayloadType::NAT_D_DRAFT,
            Self::Early => PayloadType::NAT_D_EARLY,
        }
    }

    /// The number of a NAT-OA payload.
    pub const fn nat_oa(self) -> PayloadType {
        match self {
            Self::Rfc => PayloadType::NAT_OA,
            Self::Draft => PayloadType::NAT_OA_DRAFT,
            Self::Early => PayloadType::NAT_OA_EARLY,
        }
    }
}

impl<'a> NatDetection<'a> {
    /// Takes the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::NatDetection`] if it is empty or longer than any hash.
    pub fn parse(numbering: NatNumbering, hash: &'a [u8]) -> Result<Self, Malformed> {
        if hash.is_empty() || hash.len() > MAX_HASH {
            return Err(Malformed::NatDetection);
        }
        Ok(Self { numbering, hash })
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.bytes(self.hash);
    }
}

impl NatOriginalAddress {
    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::NatOriginalAddress`] unless it is one IPv4 or IPv6 address.
    pub fn parse(numbering: NatNumbering, body: &[u8]) -> Result<Self, Malformed> {
        let (data, id_type) = head(body).map_err(|_| Malformed::NatOriginalAddress)?;
        let address = match IdType(id_type) {
            IdType::IPV4_ADDR => <[u8; 4]>::try_from(data).ok().map(|octets| Ipv4Addr::from(octets).into()),
            IdType::IPV6_ADDR => <[u8; 16]>::try_from(data).ok().map(|octets| Ipv6Addr::from(octets).into()),
            _ => None,
        };
        address.map(|address| Self { numbering, address }).ok_or(Malformed::NatOriginalAddress)
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        match self.address {
            IpAddr::V4(address) => {
                out.bytes(&[IdType::IPV4_ADDR.0, 0, 0, 0]);
                out.bytes(&address.octets());
            }
            IpAddr::V6(address) => {
                out.bytes(&[IdType::IPV6_ADDR.0, 0, 0, 0]);
                out.bytes(&address.octets());
            }
        }
    }
}

fn head(body: &[u8]) -> Parsed<'_, u8> {
    (be_u8, take(3_usize)).map(|(id_type, _reserved)| id_type).parse(body)
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

    #[test]
    fn round_trips_hashes_of_every_algorithm() {
        for len in [16, 20, 32, 48, 64] {
            let body = vec![7; len];
            let nat_d = NatDetection::parse(NatNumbering::Rfc, &body).expect("valid");
            assert_eq!(emitted(|out| nat_d.emit(out)), body);
        }
        for len in [0, 65] {
            let refused = NatDetection::parse(NatNumbering::Rfc, &[7; 65][..len]);
            assert_eq!(refused, Err(Malformed::NatDetection), "{len} bytes");
        }
    }

    #[test]
    fn round_trips_addresses_of_both_families() {
        for (body, address) in [
            (vec![1, 0, 0, 0, 192, 168, 1, 10], "192.168.1.10"),
            ([&[5, 0, 0, 0, 0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[1]].concat(), "2001:db8::1"),
        ] {
            let oa = NatOriginalAddress::parse(NatNumbering::Draft, &body).expect("valid");
            assert_eq!(oa.address, address.parse::<IpAddr>().expect("valid"));
            assert_eq!(emitted(|out| oa.emit(out)), body);
            for len in 0..body.len() {
                let refused = NatOriginalAddress::parse(NatNumbering::Draft, &body[..len]);
                assert_eq!(refused, Err(Malformed::NatOriginalAddress), "{len} bytes");
            }
        }
    }

    #[test]
    fn ignores_reserved_bytes_but_no_other_types() {
        assert!(NatOriginalAddress::parse(NatNumbering::Rfc, &[1, 9, 9, 9, 1, 2, 3, 4]).is_ok());
        assert!(NatOriginalAddress::parse(NatNumbering::Rfc, &[2, 0, 0, 0, 1, 2, 3, 4]).is_err());
    }

    #[test]
    fn has_three_pairs_of_numbers() {
        let numbers = |numbering: NatNumbering| (numbering.nat_d().0, numbering.nat_oa().0);
        assert_eq!(numbers(NatNumbering::Rfc), (20, 21));
        assert_eq!(numbers(NatNumbering::Draft), (130, 131));
        assert_eq!(numbers(NatNumbering::Early), (15, 16));
    }
}
