//! The Identification payloads IDi and IDr, RFC 7296 section 3.5.
//!
//! Does not: interpret names; see the identity module.

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::be_u8;

use crate::wire::num::IdType;
use crate::wire::{Malformed, Parsed, Writer};

/// Who a peer claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identification<'a> {
    /// How to read `data`.
    pub id_type: IdType,
    /// Reserved bytes. They have no meaning, but the peer's AUTH payload covers them as they were sent.
    pub reserved: [u8; 3],
    /// The name; 4 or 16 bytes if the type is an address.
    pub data: &'a [u8],
}

impl<'a> Identification<'a> {
    /// An identity of our own, with reserved bytes of zero.
    pub fn new(id_type: IdType, data: &'a [u8]) -> Self {
        Self { id_type, reserved: [0; 3], data }
    }

    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::Identification`] if it is cut off or an address has the wrong length.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (data, (id_type, reserved)) = head(body).map_err(|_| Malformed::Identification)?;
        let fits = match id_type {
            IdType::IPV4_ADDR => data.len() == 4,
            IdType::IPV6_ADDR => data.len() == 16,
            _ => true,
        };
        if fits { Ok(Self { id_type, reserved, data }) } else { Err(Malformed::Identification) }
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.u8(self.id_type.0);
        out.bytes(&self.reserved);
        out.bytes(self.data);
    }

    /// The payload body: `RestOfInitIDPayload` or `RestOfRespIDPayload` of RFC 7296 section 2.15.
    pub fn to_body(&self) -> Vec<u8> {
        [&[self.id_type.0], self.reserved.as_slice(), self.data].concat()
    }
}

fn head(body: &[u8]) -> Parsed<'_, (IdType, [u8; 3])> {
    (be_u8.map(IdType), take(3_usize).map_res(<[u8; 3]>::try_from)).parse(body)
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
    use crate::wire::testing::{assert_truncations, emitted};

    const FQDN: &[u8] = &[2, 0, 0, 0, b'a', b'.', b'b'];

    #[test]
    fn round_trips_a_name() {
        let id = Identification::new(IdType::FQDN, b"a.b");
        assert_eq!(Identification::parse(FQDN), Ok(id));
        assert_eq!(emitted(|out| id.emit(out)), FQDN);
        assert_eq!(id.to_body(), FQDN);
    }

    #[test]
    fn rejects_every_truncation() {
        assert_truncations(FQDN, 4, Malformed::Identification, |b| Identification::parse(b).map(|id| id.id_type));
    }

    #[test]
    fn keeps_the_reserved_bytes_that_auth_covers() {
        let body = &[11, 1, 2, 3, 0xff];
        assert_eq!(Identification::parse(body).map(|id| id.to_body()), Ok(body.to_vec()));
    }

    #[test]
    fn demands_the_length_of_an_address() {
        for (id_type, right) in [(1, 4), (5, 16)] {
            for len in 0..20 {
                let body = [vec![id_type, 0, 0, 0], vec![7; len]].concat();
                assert_eq!(Identification::parse(&body).is_ok(), len == right, "type {id_type}, {len} bytes");
            }
        }
    }

    #[test]
    fn lets_unknown_types_and_empty_names_survive() {
        assert_eq!(Identification::parse(&[201, 0, 0, 0, 1]).map(|id| id.id_type), Ok(IdType(201)));
        assert_eq!(Identification::parse(&[11, 0, 0, 0]).map(|id| id.data.len()), Ok(0));
    }
}
