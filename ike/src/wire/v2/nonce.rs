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
    fn takes_16_to_256_bytes() {
        let bytes: Vec<u8> = (0..=u8::MAX).chain([0]).collect();
        for len in 0..=bytes.len() {
            let body = &bytes[..len];
            let expected = if (16..=256).contains(&len) { Ok(Nonce(body)) } else { Err(Malformed::Nonce) };
            assert_eq!(Nonce::parse(body), expected, "{len} bytes");
        }
        assert_eq!(emitted(|out| Nonce(&bytes[..32]).emit(out)), bytes[..32]);
    }
}
