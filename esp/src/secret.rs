//! Key material: one type for every secret of the crate.
//!
//! A [`Secret`] is wiped when dropped and can be neither printed, cloned nor compared. Its bytes leave it only
//! through `expose`, which is visible inside this crate alone: a search for it lists every use of a key.
//!
//! Does not: wipe the expanded key schedules inside ring, which offers no way to do so.

use zeroize::Zeroizing;

/// Key bytes of one direction of an SA.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes ownership of `bytes`; they are wiped when the secret is dropped.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Length in octets.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no octets.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Secret {
    /// Copies `bytes`; wiping the source stays with the caller.
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }
}
