//! Pseudorandom functions and the key expansion `prf+`, RFC 7296 section 2.13.
//!
//! All of them are HMACs (RFC 2104 with SHA-1, RFC 4868 with SHA-2): they take keys of any length,
//! and the preferred key length is that of their output.
//!
//! Does not: know which keys IKE derives from what; that is the matter of the endpoint.

use super::{hash::Hash, hmac::HmacKey, secret::Secret};
use crate::wire::num::PrfId;

/// A pseudorandom function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prf {
    /// PRF_HMAC_SHA1, RFC 2104.
    HmacSha1,
    /// PRF_HMAC_SHA2_256, RFC 4868.
    HmacSha256,
    /// PRF_HMAC_SHA2_384, RFC 4868.
    HmacSha384,
    /// PRF_HMAC_SHA2_512, RFC 4868.
    HmacSha512,
}

/// `prf+` counts its blocks in one octet.
const MAX_PLUS_BLOCKS: usize = 255;

impl Prf {
    /// Every function that can be computed, strongest first.
    pub const ALL: [Self; 4] = [Self::HmacSha512, Self::HmacSha384, Self::HmacSha256, Self::HmacSha1];

    /// The function with this number, if it can be computed.
    #[must_use]
    pub const fn from_id(id: PrfId) -> Option<Self> {
        match id {
            PrfId::HMAC_SHA1 => Some(Self::HmacSha1),
            PrfId::HMAC_SHA2_256 => Some(Self::HmacSha256),
            PrfId::HMAC_SHA2_384 => Some(Self::HmacSha384),
            PrfId::HMAC_SHA2_512 => Some(Self::HmacSha512),
            _ => None,
        }
    }

    /// The number of the function.
    #[must_use]
    pub const fn id(self) -> PrfId {
        match self {
            Self::HmacSha1 => PrfId::HMAC_SHA1,
            Self::HmacSha256 => PrfId::HMAC_SHA2_256,
            Self::HmacSha384 => PrfId::HMAC_SHA2_384,
            Self::HmacSha512 => PrfId::HMAC_SHA2_512,
        }
    }

    /// Length of the output and preferred length of a key, in bytes.
    #[must_use]
    pub const fn output_len(self) -> usize {
        self.hash().output_len()
    }

    /// `prf(key, parts[0] | parts[1] | ...)`.
    #[must_use]
    pub fn mac(self, key: &[u8], parts: &[&[u8]]) -> Secret {
        HmacKey::new(self.hash(), key).mac(parts)
    }

    /// The first `length` bytes of `prf+ (key, seed[0] | seed[1] | ...)`.
    ///
    /// # Panics
    /// If `length` is more than 255 outputs, which the RFC does not define.
    #[must_use]
    pub fn plus(self, key: &[u8], seed: &[&[u8]], length: usize) -> Secret {
        assert!(length <= MAX_PLUS_BLOCKS * self.output_len(), "prf+ ends after 255 blocks");
        let key = HmacKey::new(self.hash(), key);
        // Reserved at once, since growing would leave unwiped copies behind.
        let mut out = Vec::with_capacity(length + self.output_len());
        let mut previous = Secret::new(Vec::new());
        for counter in 1..=u8::MAX {
            if out.len() >= length {
                break;
            }
            let mut parts = vec![previous.expose()];
            parts.extend(seed);
            let counter = [counter];
            parts.push(&counter);
            let block = key.mac(&parts);
            out.extend_from_slice(block.expose());
            previous = block;
        }
        out.truncate(length);
        Secret::new(out)
    }

    const fn hash(self) -> Hash {
        match self {
            Self::HmacSha1 => Hash::Sha1,
            Self::HmacSha256 => Hash::Sha256,
            Self::HmacSha384 => Hash::Sha384,
            Self::HmacSha512 => Hash::Sha512,
        }
    }
}
