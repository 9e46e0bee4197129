//! Verification of AUTH payloads: true or false, by the libraries alone.

use p521::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier as _};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use super::{
    algorithm::{self, Algorithm, Sha2},
    public_key::{Kind, PublicKey},
};
use crate::{crypto::hash::Hash, wire::num::AuthMethod};

impl PublicKey {
    /// Verifies the data of an AUTH payload over the signed octets of RFC 7296 section 2.15.
    ///
    /// `allow_sha1` is true only where the configuration allows it *and* the peer announced no
    /// hash algorithms of RFC 7427; it matters to method 1 alone, which is verified with SHA-2
    /// in any case.
    ///
    /// # Errors
    /// [`SignatureError`]: the method, the algorithm or the signature is not the one of this key.
    pub fn verify(
        &self,
        method: AuthMethod,
        auth_data: &[u8],
        signed_octets: &[u8],
        allow_sha1: bool,
    ) -> Result<(), SignatureError> {
        match (method, &self.0) {
            (AuthMethod::RSA_SIGNATURE, Kind::Rsa(key)) => rsa_method(key, auth_data, signed_octets, allow_sha1),
            (AuthMethod::ECDSA_SHA256_P256, Kind::P256(key)) => {
                by_ring(&signature::ECDSA_P256_SHA256_FIXED, key, auth_data, signed_octets)
            }
            (AuthMethod::ECDSA_SHA384_P384, Kind::P384(key)) => {
                by_ring(&signature::ECDSA_P384_SHA384_FIXED, key, auth_data, signed_octets)
            }
            (AuthMethod::ECDSA_SHA512_P521, Kind::P521(key)) => {
                let signature = Signature::from_slice(auth_data).map_err(|_| SignatureError::Wrong)?;
                p521(key, Sha2::Sha512, &signature, signed_octets)
            }
            (AuthMethod::DIGITAL_SIGNATURE, _) => self.verify_digital_signature(auth_data, signed_octets),
            (
                AuthMethod::RSA_SIGNATURE
                | AuthMethod::ECDSA_SHA256_P256
                | AuthMethod::ECDSA_SHA384_P384
                | AuthMethod::ECDSA_SHA512_P521,
                _,
            ) => Err(SignatureError::OtherKey),
            _ => Err(SignatureError::Method(method)),
        }
    }

    fn verify_digital_signature(&self, auth_data: &[u8], octets: &[u8]) -> Result<(), SignatureError> {
        let (algorithm, value) = algorithm::parse(auth_data).ok_or(SignatureError::Algorithm)?;
        let (ring, key): (&'static dyn VerificationAlgorithm, _) = match (algorithm, &self.0) {
            (Algorithm::RsaPkcs1(hash), Kind::Rsa(key)) => (rsa_pkcs1(hash), key),
            (Algorithm::RsaPss(hash), Kind::Rsa(key)) => (rsa_pss(hash), key),
            (Algorithm::Ecdsa(Sha2::Sha256), Kind::P256(key)) => (&signature::ECDSA_P256_SHA256_ASN1, key),
            (Algorithm::Ecdsa(Sha2::Sha384), Kind::P256(key)) => (&signature::ECDSA_P256_SHA384_ASN1, key),
            (Algorithm::Ecdsa(Sha2::Sha256), Kind::P384(key)) => (&signature::ECDSA_P384_SHA256_ASN1, key),
            (Algorithm::Ecdsa(Sha2::Sha384), Kind::P384(key)) => (&signature::ECDSA_P384_SHA384_ASN1, key),
            (Algorithm::Ecdsa(Sha2::Sha512), Kind::P256(key)) => return p256_sha512(key, value, octets),
            (Algorithm::Ecdsa(Sha2::Sha512), Kind::P384(key)) => return p384_sha512(key, value, octets),
            (Algorithm::Ecdsa(hash), Kind::P521(key)) => {
                let signature = Signature::from_der(value).map_err(|_| SignatureError::Wrong)?;
                return p521(key, hash, &signature, octets);
            }
            (Algorithm::Ed25519, Kind::Ed25519(key)) => (&signature::ED25519, key),
            _ => return Err(SignatureError::OtherKey),
        };
        by_ring(ring, key, value, octets)
    }
}

/// Method 1 does not name its hash; the DigestInfo within the signature does, and the library
/// compares it whole. So each is tried.
fn rsa_method(key: &[u8], value: &[u8], octets: &[u8], allow_sha1: bool) -> Result<(), SignatureError> {
    if by_ring(&signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, key, value, octets).is_ok() {
        return if allow_sha1 { Ok(()) } else { Err(SignatureError::Sha1) };
    }
    let verified = |hash| by_ring(rsa_pkcs1(hash), key, value, octets).is_ok();
    if Sha2::ALL.into_iter().any(verified) { Ok(()) } else { Err(SignatureError::Wrong) }
}

fn rsa_pkcs1(hash: Sha2) -> &'static signature::RsaParameters {
    match hash {
        Sha2::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Sha2::Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Sha2::Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
    }
}

fn rsa_pss(hash: Sha2) -> &'static signature::RsaParameters {
    match hash {
        Sha2::Sha256 => &signature::RSA_PSS_2048_8192_SHA256,
        Sha2::Sha384 => &signature::RSA_PSS_2048_8192_SHA384,
        Sha2::Sha512 => &signature::RSA_PSS_2048_8192_SHA512,
    }
}

pub(super) fn by_ring(
    algorithm: &'static dyn VerificationAlgorithm,
    key: &[u8],
    value: &[u8],
    octets: &[u8],
) -> Result<(), SignatureError> {
    UnparsedPublicKey::new(algorithm, key).verify(octets, value).map_err(|_| SignatureError::Wrong)
}

/// SHA2-512 with P-256, as libreswan signs with keys of this curve when it may. ring does not have it.
fn p256_sha512(key: &[u8], value: &[u8], octets: &[u8]) -> Result<(), SignatureError> {
    let signature = p256::ecdsa::Signature::from_der(value).map_err(|_| SignatureError::Wrong)?;
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| SignatureError::Wrong)?;
    key.verify_prehash(&Hash::Sha512.digest(&[octets]), &signature).map_err(|_| SignatureError::Wrong)
}

/// As [`p256_sha512`].
fn p384_sha512(key: &[u8], value: &[u8], octets: &[u8]) -> Result<(), SignatureError> {
    let signature = p384::ecdsa::Signature::from_der(value).map_err(|_| SignatureError::Wrong)?;
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key).map_err(|_| SignatureError::Wrong)?;
    key.verify_prehash(&Hash::Sha512.digest(&[octets]), &signature).map_err(|_| SignatureError::Wrong)
}

fn p521(key: &[u8], hash: Sha2, signature: &Signature, octets: &[u8]) -> Result<(), SignatureError> {
    let key = VerifyingKey::from_sec1_bytes(key).map_err(|_| SignatureError::Wrong)?;
    key.verify_prehash(&p521_digest(hash.hash(), octets), signature).map_err(|_| SignatureError::Wrong)
}

/// A digest as a number of the width of the field: FIPS 186-5 section 6.4.1 takes it as it is, while the
/// library refuses one of less than half the width.
pub(super) fn p521_digest(hash: Hash, octets: &[u8]) -> Vec<u8> {
    const FIELD_LEN: usize = 66;
    let digest = hash.digest(&[octets]);
    let mut wide = vec![0; FIELD_LEN - digest.len()];
    wide.extend(digest);
    wide
}

/// Why a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The signature was not made over these octets with this key.
    #[error("the signature is wrong")]
    Wrong,
    /// The method is not a signature, or none that is accepted.
    #[error("the authentication method \"{0}\" is not accepted")]
    Method(AuthMethod),
    /// The AlgorithmIdentifier is not on the list, or the algorithm cannot be computed.
    #[error("the signature algorithm is not accepted")]
    Algorithm,
    /// The method or algorithm belongs to another kind of key than the certificate's.
    #[error("the signature algorithm does not fit the key of the certificate")]
    OtherKey,
    /// The signature is right but made with SHA-1, which is not allowed here.
    #[error("the signature was made with SHA-1, which is not allowed")]
    Sha1,
}
