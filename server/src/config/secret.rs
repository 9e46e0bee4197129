//! Secrets of the configuration: pre-shared keys, passwords, NT hashes, private keys.
//!
//! A [`Secret`] is wiped when dropped and can be neither printed, cloned nor serialized. Its bytes leave only through
//! [`Secret::expose`], so that a search for `expose` lists every place where one is used.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes nobody may see.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over `bytes`.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether both hold the same bytes, in time that depends on their lengths only.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}
