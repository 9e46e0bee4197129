//! Digests. SHA-2 is computed by *ring*, SHA-1 by the faster `sha1`.
//!
//! SHA-1 is here for NAT detection (RFC 7296 section 2.23), certificate requests (section 3.7),
//! HMAC-SHA-1, and signatures of authentication method 1; what else may use it, policy decides.

use ring::digest;
use sha1::Digest as _;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SHA-1, 160 bits.
    Sha1,
    /// SHA2-256.
    Sha256,
    /// SHA2-384.
    Sha384,
    /// SHA2-512.
    Sha512,
}

impl Hash {
    /// Length of a digest in bytes.
    #[must_use]
    pub const fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The digest of all `parts`, one after the other.
    #[must_use]
    pub fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Sha1 => {
                let mut state = sha1::Sha1::new();
                parts.iter().for_each(|part| state.update(part));
                state.finalize().to_vec()
            }
            Self::Sha256 => sha2(&digest::SHA256, parts),
            Self::Sha384 => sha2(&digest::SHA384, parts),
            Self::Sha512 => sha2(&digest::SHA512, parts),
        }
    }
}

fn sha2(algorithm: &'static digest::Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut state = digest::Context::new(algorithm);
    parts.iter().for_each(|part| state.update(part));
    state.finish().as_ref().to_vec()
}
