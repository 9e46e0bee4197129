//! The Vendor ID payload, RFC 7296 section 3.12.

use crate::wire::Writer;

/// An announcement of an implementation or extension; any bytes, possibly none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VendorId<'a>(pub &'a [u8]);

impl<'a> VendorId<'a> {
    /// Takes the payload body, without the generic payload header. Every body is valid.
    pub fn parse(body: &'a [u8]) -> Self {
        Self(body)
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
    fn round_trips_any_bytes() {
        for body in [&b""[..], b"cygnet"] {
            assert_eq!(emitted(|out| VendorId::parse(body).emit(out)), body);
        }
    }
}
