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
