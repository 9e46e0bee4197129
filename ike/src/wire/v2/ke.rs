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

    const VECTOR: &[u8] = &[0, 31, 0, 0, 0xca, 0xfe];

    #[test]
    fn round_trips() {
        let ke = KeyExchange { group: GroupId::CURVE25519, data: &[0xca, 0xfe] };
        assert_eq!(KeyExchange::parse(VECTOR), Ok(ke));
        assert_eq!(emitted(|out| ke.emit(out)), VECTOR);
    }

    #[test]
    fn rejects_every_truncation_and_an_empty_public_value() {
        assert_truncations(VECTOR, 5, Malformed::KeyExchange, |b| KeyExchange::parse(b).map(|ke| ke.group));
    }

    #[test]
    fn ignores_reserved_bytes() {
        let ke = KeyExchange::parse(&[0, 14, 0xff, 0xff, 1]).expect("valid");
        assert_eq!(ke, KeyExchange { group: GroupId::MODP_2048, data: &[1] });
    }
}
