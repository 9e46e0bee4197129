//! The Nonce payload, RFC 7296 sections 2.10 and 3.9.

use crate::wire::limits::NONCE;
use crate::wire::{Malformed, Writer};

/// Random bytes of one side, 16 to 256 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce<'a>(pub &'a [u8]);

impl<'a> Nonce<'a> {
    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::Nonce`] if the length is out of range.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        if NONCE.contains(&body.len()) { Ok(Self(body)) } else { Err(Malformed::Nonce) }
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.bytes(self.0);
    }
}
