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
