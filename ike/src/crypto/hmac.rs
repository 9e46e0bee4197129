//! HMAC (RFC 2104) with a key prepared once. SHA-2 is computed by *ring*, SHA-1 by `hmac` and
//! `sha1`, which are three times as fast.

use hmac::{Hmac, KeyInit, Mac};
use ring::hmac as ring_hmac;
use sha1::Sha1;

use super::{hash::Hash, secret::Secret};

/// An HMAC key, ready for many messages.
pub(super) enum HmacKey {
    Sha1(Box<Hmac<Sha1>>),
    Sha2(ring_hmac::Key),
}

impl HmacKey {
    /// Prepares `key`, which may have any length.
    pub(super) fn new(hash: Hash, key: &[u8]) -> Self {
        let algorithm = match hash {
            Hash::Sha1 => {
                let state = Hmac::new_from_slice(key).expect("HMAC takes keys of every length");
                return Self::Sha1(Box::new(state));
            }
            Hash::Sha256 => ring_hmac::HMAC_SHA256,
            Hash::Sha384 => ring_hmac::HMAC_SHA384,
            Hash::Sha512 => ring_hmac::HMAC_SHA512,
        };
        Self::Sha2(ring_hmac::Key::new(algorithm, key))
    }

    /// The untruncated MAC of all `parts`, one after the other.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> Secret {
        match self {
            Self::Sha1(state) => {
                let mut state = state.clone();
                parts.iter().for_each(|part| state.update(part));
                Secret::from_slice(&state.finalize().into_bytes())
            }
            Self::Sha2(key) => {
                let mut state = ring_hmac::Context::with_key(key);
                parts.iter().for_each(|part| state.update(part));
                Secret::from_slice(state.sign().as_ref())
            }
        }
    }
}
