//! The fragment payload of Cisco and Microsoft ([MS-IKEE] section 2.2.3): a piece of a message that was cut.
//!
//! It stands alone behind the header and is never encrypted, whatever the header's flags say.
//!
//! Does not: reassemble.

use nom::Parser;
use nom::number::complete::{be_u8, be_u16};

use crate::wire::limits::MAX_V1_FRAGMENTS;
use crate::wire::{Malformed, Parsed, Writer};

const LAST: u8 = 0x01;

/// A piece of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// The same for all pieces of one message.
    pub id: u16,
    /// Position, from 1 to [`MAX_V1_FRAGMENTS`].
    pub number: u8,
    /// Nothing comes after this piece.
    pub is_last: bool,
    /// The piece, not empty. All pieces together are a message with its header.
    pub data: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::Fragment`] if it is cut off, holds nothing, or its number is out of range.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (data, (id, number, flags)) = head(body).map_err(|_| Malformed::Fragment)?;
        if data.is_empty() || number == 0 || number > MAX_V1_FRAGMENTS {
            return Err(Malformed::Fragment);
        }
        Ok(Self { id, number, is_last: flags & LAST != 0, data })
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.u16(self.id);
        out.u8(self.number);
        out.u8(if self.is_last { LAST } else { 0 });
        out.bytes(self.data);
    }
}

fn head(body: &[u8]) -> Parsed<'_, (u16, u8, u8)> {
    (be_u16, be_u8, be_u8).parse(body)
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

    const SECOND: &[u8] = &[0, 7, 2, 1, 0xab];

    #[test]
    fn round_trips() {
        let fragment = Fragment { id: 7, number: 2, is_last: true, data: &[0xab] };
        assert_eq!(Fragment::parse(SECOND), Ok(fragment));
        assert_eq!(emitted(|out| fragment.emit(out)), SECOND);
        assert_truncations(SECOND, 5, Malformed::Fragment, |b| Fragment::parse(b).map(|f| f.id));
    }

    #[test]
    fn demands_a_number_within_the_limit() {
        let accepted: Vec<u8> = (0..=255).filter(|number| Fragment::parse(&[0, 7, *number, 0, 1]).is_ok()).collect();
        assert_eq!(accepted, (1..=MAX_V1_FRAGMENTS).collect::<Vec<_>>());
    }
}
