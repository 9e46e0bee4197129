//! SIG payloads of IKEv1: a signature whose digest is HASH_I or HASH_R itself, RFC 2409 section 5.1 and RFC 4754.
//!
//! RSA encodes the hash by PKCS #1 v1.5 without naming the hash function (no DigestInfo), which *ring* does not do; ECDSA
//! takes the hash as the number that it signs, and gives `r | s`.
//!
//! Does not: compute HASH_I and HASH_R.

use p256::ecdsa as p256_ecdsa;
use p384::ecdsa as p384_ecdsa;
use p521::ecdsa as p521_ecdsa;
use p521::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use rsa::{Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey, pkcs1::DecodeRsaPublicKey as _};

use super::private_key::{SecretKey, SignError, SigningKey};
use super::public_key::{Kind, PublicKey};
use super::verify::SignatureError;
use crate::crypto::random::{Adapter, Random};
use crate::wire::v1::num::IsakmpAuth;

/// A private key of a curve that *ring* knows, in the form that signs a digest made elsewhere.
pub(super) enum PrehashKey {
    P256(Box<p256_ecdsa::SigningKey>),
    P384(Box<p384_ecdsa::SigningKey>),
}

/// Widths of the fields in bytes, which are those of `r` and `s`.
const P256_FIELD: usize = 32;
const P384_FIELD: usize = 48;
const P521_FIELD: usize = 66;

/// The shortest hash that is worth a signature, in bytes: that of SHA-1.
const MIN_HASH: usize = 20;

impl SigningKey {
    /// The authentication method that an ISAKMP SA has to choose for this key; `None` for Ed25519, which IKEv1 lacks.
    #[must_use]
    pub fn isakmp_method(&self) -> Option<IsakmpAuth> {
        method_of(&self.public_key().0)
    }

    /// Signs HASH_I or HASH_R and gives back the data of the SIG payload.
    ///
    /// `random` blinds RSA.
    ///
    /// # Errors
    /// [`SignError`] if the key is Ed25519, the hash is shorter than SHA-1's, or the computation failed.
    pub fn sign_hash(&self, hash: &[u8], random: &mut dyn Random) -> Result<Vec<u8>, SignError> {
        if hash.len() < MIN_HASH {
            return Err(SignError::Failed);
        }
        match self.secret() {
            SecretKey::Rsa { for_sha1: key, .. } => self.sign_hash_rsa(key, hash, random),
            SecretKey::Ecdsa { prehash: PrehashKey::P256(key), .. } => {
                let value: Result<p256_ecdsa::Signature, _> = key.sign_prehash(&number(hash, P256_FIELD));
                Ok(value.map_err(|_| SignError::Failed)?.to_bytes().to_vec())
            }
            SecretKey::Ecdsa { prehash: PrehashKey::P384(key), .. } => {
                let value: Result<p384_ecdsa::Signature, _> = key.sign_prehash(&number(hash, P384_FIELD));
                Ok(value.map_err(|_| SignError::Failed)?.to_bytes().to_vec())
            }
            SecretKey::P521(key) => {
                let value: Result<p521_ecdsa::Signature, _> = key.sign_prehash(&number(hash, P521_FIELD));
                Ok(value.map_err(|_| SignError::Failed)?.to_bytes().to_vec())
            }
            SecretKey::Ed25519(_) => Err(SignError::OtherKey),
        }
    }

    /// A signature computed wrongly would give the key away, so it is verified before it leaves.
    fn sign_hash_rsa(&self, key: &RsaPrivateKey, hash: &[u8], random: &mut dyn Random) -> Result<Vec<u8>, SignError> {
        let padding = Pkcs1v15Sign::new_unprefixed();
        let value = key.sign_with_rng(&mut Adapter(random), padding, hash).map_err(|_| SignError::Failed)?;
        let verified = self.public_key().verify_hash(IsakmpAuth::RSA_SIGNATURES, hash, &value);
        verified.map(|()| value).map_err(|_| SignError::Failed)
    }
}

impl PublicKey {
    /// The authentication method that fits this key; `None` for Ed25519.
    #[must_use]
    pub fn isakmp_method(&self) -> Option<IsakmpAuth> {
        method_of(&self.0)
    }

    /// Verifies the data of a SIG payload over HASH_I or HASH_R.
    ///
    /// # Errors
    /// [`SignatureError`]: the method or the signature is not the one of this key.
    pub fn verify_hash(&self, method: IsakmpAuth, hash: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if method_of(&self.0) != Some(method) {
            return Err(SignatureError::OtherKey);
        }
        if hash.len() < MIN_HASH {
            return Err(SignatureError::Wrong);
        }
        let is_right = match &self.0 {
            Kind::Rsa(key) => verify_rsa(key, hash, signature),
            Kind::P256(key) => verify_p256(key, hash, signature),
            Kind::P384(key) => verify_p384(key, hash, signature),
            Kind::P521(key) => verify_p521(key, hash, signature),
            Kind::Ed25519(_) => None,
        };
        is_right.ok_or(SignatureError::Wrong)
    }
}

fn method_of(key: &Kind) -> Option<IsakmpAuth> {
    match key {
        Kind::Rsa(_) => Some(IsakmpAuth::RSA_SIGNATURES),
        Kind::P256(_) => Some(IsakmpAuth::ECDSA_SHA256_P256),
        Kind::P384(_) => Some(IsakmpAuth::ECDSA_SHA384_P384),
        Kind::P521(_) => Some(IsakmpAuth::ECDSA_SHA512_P521),
        Kind::Ed25519(_) => None,
    }
}

/// The library compares the whole encoded block, so padding and length of the hash are exact.
fn verify_rsa(key: &[u8], hash: &[u8], signature: &[u8]) -> Option<()> {
    let key = RsaPublicKey::from_pkcs1_der(key).ok()?;
    key.verify(Pkcs1v15Sign::new_unprefixed(), hash, signature).ok()
}

fn verify_p256(key: &[u8], hash: &[u8], signature: &[u8]) -> Option<()> {
    let key = p256_ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
    let signature = p256_ecdsa::Signature::from_slice(signature).ok()?;
    key.verify_prehash(&number(hash, P256_FIELD), &signature).ok()
}

fn verify_p384(key: &[u8], hash: &[u8], signature: &[u8]) -> Option<()> {
    let key = p384_ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
    let signature = p384_ecdsa::Signature::from_slice(signature).ok()?;
    key.verify_prehash(&number(hash, P384_FIELD), &signature).ok()
}

fn verify_p521(key: &[u8], hash: &[u8], signature: &[u8]) -> Option<()> {
    let key = p521_ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
    let signature = p521_ecdsa::Signature::from_slice(signature).ok()?;
    key.verify_prehash(&number(hash, P521_FIELD), &signature).ok()
}

/// A hash as a number of the width of the field, FIPS 186-5 section 6.4.1: its leftmost bytes if it is longer, and zeros in
/// front if it is shorter, since the libraries refuse what has less than half the width.
fn number(hash: &[u8], width: usize) -> Vec<u8> {
    let front = hash.get(..width).unwrap_or(hash);
    let mut number = vec![0; width - front.len()];
    number.extend(front);
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hash::Hash;
    use crate::crypto::testing::SeededRandom;

    const PEMS: [&[u8]; 4] = [
        include_bytes!("testdata/rsa2048.pkcs8.pem"),
        include_bytes!("testdata/p256.pkcs8.pem"),
        include_bytes!("testdata/p384.pkcs8.pem"),
        include_bytes!("testdata/p521.pkcs8.pem"),
    ];

    const HASHES: [Hash; 4] = [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512];

    fn keys() -> impl Iterator<Item = (SigningKey, IsakmpAuth)> {
        PEMS.into_iter().map(|pem| {
            let key = SigningKey::from_pem(pem).expect("a good key");
            let method = key.isakmp_method().expect("IKEv1 has a method for it");
            (key, method)
        })
    }

    #[test]
    fn verifies_what_it_signed_with_every_key_and_hash() {
        for (key, method) in keys() {
            for hash in HASHES {
                let digest = hash.digest(&[b"HASH_R"]);
                let value = key.sign_hash(&digest, &mut SeededRandom::new(1)).expect("signs");
                assert_eq!(key.public_key().verify_hash(method, &digest, &value), Ok(()), "{method} {hash:?}");
                let mut other = digest.clone();
                other[3] ^= 1;
                let refused = key.public_key().verify_hash(method, &other, &value);
                assert_eq!(refused, Err(SignatureError::Wrong), "{method} {hash:?}");
            }
        }
    }

    #[test]
    fn refuses_truncated_changed_and_empty_signatures() {
        for (key, method) in keys() {
            let digest = Hash::Sha256.digest(&[b"HASH_I"]);
            let value = key.sign_hash(&digest, &mut SeededRandom::new(1)).expect("signs");
            let refused =
                |value: &[u8]| key.public_key().verify_hash(method, &digest, value) == Err(SignatureError::Wrong);
            assert!((0..value.len()).step_by(7).all(|len| refused(&value[..len])), "{method}");
            assert!(refused(&vec![0; value.len()]), "{method}");
            for at in (0..value.len()).step_by(11) {
                let mut changed = value.clone();
                changed[at] ^= 0x10;
                assert!(refused(&changed), "{method}, byte {at}");
            }
        }
    }

    #[test]
    fn signs_with_rsa_without_naming_the_hash() {
        let (key, method) = keys().next().expect("the first is RSA");
        let digest = Hash::Sha1.digest(&[b"HASH_I"]);
        // With DigestInfo, as IKEv2 signs: the same digest, but not the same block.
        let named = key.sign(super::super::Scheme::RsaSha1, b"HASH_I", &mut SeededRandom::new(1)).expect("signs");
        assert_eq!(key.public_key().verify_hash(method, &digest, &named), Err(SignatureError::Wrong));
        let bare = key.sign_hash(&digest, &mut SeededRandom::new(2)).expect("signs");
        assert_ne!(named, bare);
    }

    /// ECDSA over a digest made elsewhere is what *ring* makes when it digests by itself.
    #[test]
    fn agrees_with_signatures_over_messages() {
        use crate::crypto::sign::Scheme;
        for ((key, method), (scheme, hash)) in keys().skip(1).zip([
            (Scheme::Ecdsa256, Hash::Sha256),
            (Scheme::Ecdsa384, Hash::Sha384),
            (Scheme::Ecdsa521, Hash::Sha512),
        ]) {
            let value = key.sign(scheme, b"octets", &mut SeededRandom::new(1)).expect("signs");
            let digest = hash.digest(&[b"octets"]);
            assert_eq!(key.public_key().verify_hash(method, &digest, &value), Ok(()), "{method}");
            let own = key.sign_hash(&digest, &mut SeededRandom::new(1)).expect("signs");
            assert_eq!(key.public_key().verify(scheme.method(), &own, b"octets", false), Ok(()), "{method}");
        }
    }

    #[test]
    fn refuses_another_method_a_short_hash_and_ed25519() {
        let (key, method) = keys().next().expect("the first is RSA");
        let digest = Hash::Sha1.digest(&[b"x"]);
        let value = key.sign_hash(&digest, &mut SeededRandom::new(1)).expect("signs");
        let verify = |method, hash: &[u8]| key.public_key().verify_hash(method, hash, &value);
        assert_eq!(verify(IsakmpAuth::ECDSA_SHA256_P256, &digest), Err(SignatureError::OtherKey));
        assert_eq!(verify(IsakmpAuth::PRE_SHARED_KEY, &digest), Err(SignatureError::OtherKey));
        assert_eq!(verify(method, &digest[..19]), Err(SignatureError::Wrong));
        assert_eq!(key.sign_hash(&digest[..19], &mut SeededRandom::new(1)), Err(SignError::Failed));
        let ed25519 = SigningKey::from_pem(include_bytes!("testdata/ed25519.pem")).expect("a good key");
        assert_eq!(ed25519.isakmp_method(), None);
        assert_eq!(ed25519.sign_hash(&digest, &mut SeededRandom::new(1)), Err(SignError::OtherKey));
    }
}
