//! The Identification payload, RFC 2407 section 4.6.2: who a peer is, or for which traffic a phase 2 SA is meant.
//!
//! Does not: interpret names; see the identity module.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nom::Parser;
use nom::number::complete::{be_u8, be_u16};

use super::num::IdType;
use crate::wire::{Malformed, Parsed, Writer};

/// A name or a set of addresses, perhaps with a protocol and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identification<'a> {
    /// How to read `data`.
    pub id_type: IdType,
    /// IP protocol; zero means any.
    pub protocol: u8,
    /// Port; zero means any.
    pub port: u16,
    /// The name or the addresses.
    pub data: &'a [u8],
}

impl<'a> Identification<'a> {
    /// An identity for any protocol and port.
    pub const fn new(id_type: IdType, data: &'a [u8]) -> Self {
        Self { id_type, protocol: 0, port: 0, data }
    }

    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::Identification`] if it is cut off or addresses have the wrong length.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (data, (id_type, protocol, port)) = head(body).map_err(|_| Malformed::Identification)?;
        let id_type = IdType(id_type);
        let fits = match id_type {
            IdType::IPV4_ADDR => data.len() == 4,
            IdType::IPV4_ADDR_SUBNET | IdType::IPV4_ADDR_RANGE => data.len() == 8,
            IdType::IPV6_ADDR => data.len() == 16,
            IdType::IPV6_ADDR_SUBNET | IdType::IPV6_ADDR_RANGE => data.len() == 32,
            _ => true,
        };
        if fits { Ok(Self { id_type, protocol, port, data }) } else { Err(Malformed::Identification) }
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.u8(self.id_type.0);
        out.u8(self.protocol);
        out.u16(self.port);
        out.bytes(self.data);
    }

    /// The payload body: `IDii_b` and the like of RFC 2409 section 5.
    pub fn to_body(&self) -> Vec<u8> {
        [&[self.id_type.0, self.protocol], self.port.to_be_bytes().as_slice(), self.data].concat()
    }

    /// The address, if it is a single one.
    pub fn address(&self) -> Option<IpAddr> {
        match self.id_type {
            IdType::IPV4_ADDR => <[u8; 4]>::try_from(self.data).ok().map(|octets| Ipv4Addr::from(octets).into()),
            IdType::IPV6_ADDR => <[u8; 16]>::try_from(self.data).ok().map(|octets| Ipv6Addr::from(octets).into()),
            _ => None,
        }
    }
}

fn head(body: &[u8]) -> Parsed<'_, (u8, u8, u16)> {
    (be_u8, be_u8, be_u16).parse(body)
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

    /// 192.168.1.10, UDP port 1701.
    const L2TP: &[u8] = &[1, 17, 0x06, 0xa5, 192, 168, 1, 10];

    #[test]
    fn round_trips_an_address_with_a_port() {
        let id = Identification { id_type: IdType::IPV4_ADDR, protocol: 17, port: 1701, data: &[192, 168, 1, 10] };
        assert_eq!(Identification::parse(L2TP), Ok(id));
        assert_eq!(emitted(|out| id.emit(out)), L2TP);
        assert_eq!(id.to_body(), L2TP);
        assert_eq!(id.address(), Some("192.168.1.10".parse().expect("valid")));
    }

    #[test]
    fn rejects_every_truncation() {
        for len in 0..L2TP.len() {
            assert_eq!(Identification::parse(&L2TP[..len]), Err(Malformed::Identification), "{len} bytes");
        }
    }

    #[test]
    fn demands_the_length_of_addresses_subnets_and_ranges() {
        for (id_type, right) in [(1, 4), (4, 8), (5, 16), (6, 32), (7, 8), (8, 32)] {
            for len in 0..40 {
                let body = [vec![id_type, 0, 0, 0], vec![7; len]].concat();
                assert_eq!(Identification::parse(&body).is_ok(), len == right, "type {id_type}, {len} bytes");
            }
        }
    }

    #[test]
    fn lets_names_and_unknown_types_survive() {
        let name = Identification::parse(&[11, 0, 0, 0, b'g']).expect("valid");
        assert_eq!((name, name.address()), (Identification::new(IdType::KEY_ID, b"g"), None));
        assert_eq!(Identification::parse(&[201, 0, 0, 0]).map(|id| id.id_type), Ok(IdType(201)));
    }
}
