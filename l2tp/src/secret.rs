//! The secret that LAC and LNS share (RFC 2661 sections 4.3 and 5.1.1).
//!
//! A [`Secret`] is wiped when dropped and can be neither printed, cloned nor compared. Bytes leave it only through
//! `Secret::expose`.

use zeroize::Zeroizing;

/// A shared secret.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Copies the secret; the caller wipes its own copy.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The bytes.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}
