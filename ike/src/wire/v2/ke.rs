//! The Key Exchange payload, RFC 7296 section 3.4.
//!
//! Does not: check the public value; its length and range belong to the group.

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::be_u16;

use crate::wire::num::GroupId;
use crate::wire::{Malformed, Parsed, Writer};

/// A public value and the group it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyExchange<'a> {
    /// The group of `data`; responders compare it with the group of the chosen proposal.
    pub group: GroupId,
    /// The public value; not empty.
    pub data: &'a [u8],
}

impl<'a> KeyExchange<'a> {
    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::KeyExchange`] if there is no public value.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (data, group) = group(body).map_err(|_| Malformed::KeyExchange)?;
        if data.is_empty() {
            return Err(Malformed::KeyExchange);
        }
        Ok(Self { group, data })
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.u16(self.group.0);
        out.u16(0);
        out.bytes(self.data);
    }
}

fn group(body: &[u8]) -> Parsed<'_, GroupId> {
    (be_u16, take(2_usize)).map(|(id, _reserved)| GroupId(id)).parse(body)
}
