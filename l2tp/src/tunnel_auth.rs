//! Tunnel authentication (RFC 2661 section 5.1.1): a CHAP-like proof of the shared secret.
//!
//! The gateway answers challenges and sends none: stock clients cannot answer, and IPsec has authenticated them.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// The Challenge Response to be put into the message of type `message` (RFC 2661 section 4.4.3).
#[must_use]
pub fn response(message: u8, secret: &Secret, challenge: &[u8]) -> [u8; 16] {
    Md5::new().chain_update([message]).chain_update(secret.expose()).chain_update(challenge).finalize().into()
}

/// Whether a Challenge Response that came in the message of type `message` is right. Takes the same time either way.
#[must_use]
pub fn verify(message: u8, secret: &Secret, challenge: &[u8], received: &[u8; 16]) -> bool {
    response(message, secret, challenge).ct_eq(received).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same function as CHAP with MD5 (RFC 1994); the digest of 02 61 62 63 was computed apart from this code.
    #[test]
    fn answers_like_chap() {
        let secret = Secret::from_slice(b"ab");
        assert_eq!(response(2, &secret, b"c"), 0x9887_647a_c98e_a75e_ddd5_f7e5_ddf3_f316_u128.to_be_bytes());
    }

    #[test]
    fn every_input_matters() {
        let secret = Secret::from_slice(b"swordfish");
        let right = response(2, &secret, b"challenge");
        assert!(verify(2, &secret, b"challenge", &right));
        assert!(!verify(3, &secret, b"challenge", &right));
        assert!(!verify(2, &secret, b"challengf", &right));
        assert!(!verify(2, &Secret::from_slice(b"sardine"), b"challenge", &right));
        let mut wrong = right;
        wrong[15] ^= 1;
        assert!(!verify(2, &secret, b"challenge", &wrong));
    }
}
