//! The EAP payload, RFC 7296 section 3.16: to IKE one opaque packet.
//!
//! Does not: read EAP, not even its Length field; an EAP implementation ignores what lies beyond it (RFC 3748 section 4.1).

use std::fmt;

use crate::wire::{Malformed, Writer};

/// Length in bytes of the shortest EAP packet: Success and Failure, RFC 3748 section 4.2.
const SHORTEST: usize = 4;

/// One EAP packet, at least 4 bytes. It may help to guess a password, so it does not print itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Eap<'a>(pub &'a [u8]);

impl<'a> Eap<'a> {
    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::Eap`] if it is shorter than an EAP header.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        if body.len() < SHORTEST { Err(Malformed::Eap) } else { Ok(Self(body)) }
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.bytes(self.0);
    }
}

impl fmt::Debug for Eap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Eap({} bytes)", self.0.len())
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
    use crate::wire::testing::{assert_truncations, emitted};

    #[test]
    fn round_trips_and_rejects_truncations() {
        let body = &[2, 1, 0, 6, 1, b'a'];
        assert_eq!(Eap::parse(body), Ok(Eap(body)));
        assert_eq!(emitted(|out| Eap(body).emit(out)), body);
        assert_truncations(body, 4, Malformed::Eap, |b| Eap::parse(b).map(|_| ()));
    }

    #[test]
    fn does_not_print_its_content() {
        assert_eq!(format!("{:?}", Eap(b"secret")), "Eap(6 bytes)");
    }
}
