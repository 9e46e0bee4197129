//! Signatures of the AUTH payload, RFC 7296 section 3.8, and of the SIG payload of IKEv1.
//!
//! | method | what | source |
//! |---|---|---|
//! | 1 | RSASSA-PKCS1-v1_5, with SHA-1 for peers that know nothing else | RFC 7296 |
//! | 9, 10, 11 | ECDSA on P-256, P-384, P-521, `r | s` | RFC 4754 |
//! | IKEv1 | RSA and ECDSA over the hash as it is | RFC 2409, RFC 4754 |
//! | 14 | RSA (PKCS #1 v1.5, PSS) and ECDSA with SHA-2, Ed25519 | RFC 7427, RFC 8420 |
//!
//! Rules: RSA keys have 2048 to 8192 bits and an exponent of at least 65537. SHA-1 exists within
//! method 1 only, and a caller allows it only towards a peer that announced no hash algorithms of
//! RFC 7427. The AlgorithmIdentifier of method 14 is one of a fixed list, byte for byte.
//!
//! Does not: know what is signed (the endpoint makes the octets of RFC 7296 section 2.15), whose
//! key it is (see [`cert`](crate::cert)), or sign with shared keys.

mod algorithm;
mod key_file;
mod private_key;
mod public_key;
mod v1;
mod verify;

pub use algorithm::{Algorithm, Scheme, Sha2};
pub use private_key::{KeyError, NoScheme, SignError, SigningKey};
pub use public_key::{PublicKey, UnsupportedKey};
pub use verify::SignatureError;

use crate::wire::num::HashAlgId;

/// The hash algorithms that we announce in SIGNATURE_HASH_ALGORITHMS, RFC 7427 section 4: all that
/// [`PublicKey::verify`] takes in method 14.
pub const HASH_ALGORITHMS: [HashAlgId; 4] =
    [HashAlgId::SHA2_256, HashAlgId::SHA2_384, HashAlgId::SHA2_512, HashAlgId::IDENTITY];

#[cfg(test)]
mod tests;
