//! Private keys: loading, choice of a scheme, signing.
//!
//! *ring* signs, save for RSA with SHA-1, which it refuses (`rsa` does it, blinded), and P-521
//! (`p521`). Every RSA-SHA1 signature is verified before it leaves, since one computed wrongly
//! would give the key away.

use std::fmt;

use p521::ecdsa::{self, signature::hazmat::PrehashSigner as _};
use ring::{
    rand::SystemRandom,
    signature::{
        self, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
        ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
    },
};
use rsa::{Pkcs1v15Sign, RsaPrivateKey, pkcs1::DecodeRsaPrivateKey as _};

use super::{
    algorithm::{self, Algorithm, Scheme, Sha2},
    key_file::{self, EcKey, KeyFile},
    public_key::{Kind, P256, P384, P521, PublicKey, UnsupportedKey},
    v1::PrehashKey,
    verify::{by_ring, p521_digest},
};
use crate::{
    crypto::{
        hash::Hash,
        random::{Adapter, Random},
    },
    wire::num::HashAlgId,
};

/// A private key for AUTH payloads, with its public key.
///
/// Neither printed nor cloned; share it behind an `Arc`.
pub struct SigningKey {
    secret: SecretKey,
    public: PublicKey,
}

pub(super) enum SecretKey {
    /// Two forms of one key: the second is for SHA-1, and for IKEv1.
    Rsa {
        key: Box<RsaKeyPair>,
        for_sha1: Box<RsaPrivateKey>,
    },
    /// Three forms of one key: `r | s` for methods 9 and 10, DER for method 14, and one for IKEv1.
    Ecdsa {
        fixed: Box<EcdsaKeyPair>,
        asn1: Box<EcdsaKeyPair>,
        prehash: PrehashKey,
        curve: RingCurve,
    },
    P521(Box<ecdsa::SigningKey>),
    Ed25519(Box<Ed25519KeyPair>),
}

#[derive(Clone, Copy)]
pub(super) enum RingCurve {
    P256,
    P384,
}

impl SigningKey {
    /// Takes the first private key of a PEM file: PKCS #8, PKCS #1 (RSA) or SEC 1 (ECDSA).
    ///
    /// # Errors
    /// [`KeyError`] if there is none, or none that can be used.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        Self::load(&key_file::from_pem(pem)?)
    }

    /// Takes an unencrypted PKCS #8 PrivateKeyInfo, RFC 5208.
    ///
    /// # Errors
    /// [`KeyError`] if it cannot be used.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        Self::load(&key_file::from_pkcs8(der)?)
    }

    /// The public key, which has to be that of the certificate that is sent along.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn secret(&self) -> &SecretKey {
        &self.secret
    }

    /// The scheme for a peer that announced `peer_hashes` (RFC 7427 section 4), or announced nothing.
    ///
    /// Method 14 where both ends can; otherwise the method of the curve; otherwise, for RSA and
    /// a peer that announced nothing, SHA-1 if it is allowed. RSA signs as PKCS #1 v1.5, which all
    /// clients verify.
    ///
    /// # Errors
    /// [`NoScheme`] if the peer could not verify any signature of this key.
    pub fn choose(&self, peer_hashes: Option<&[HashAlgId]>, allow_sha1: bool) -> Result<Scheme, NoScheme> {
        let announced = |id: HashAlgId| peer_hashes.is_some_and(|hashes| hashes.contains(&id));
        let ecdsa = |hash: Sha2, without: Scheme| {
            if announced(hash.id()) { Scheme::DigitalSignature(Algorithm::Ecdsa(hash)) } else { without }
        };
        match &self.secret {
            SecretKey::Rsa { .. } => match Sha2::ALL.into_iter().find(|hash| announced(hash.id())) {
                Some(hash) => Ok(Scheme::DigitalSignature(Algorithm::RsaPkcs1(hash))),
                None if peer_hashes.is_none() && allow_sha1 => Ok(Scheme::RsaSha1),
                None => Err(NoScheme::Rsa),
            },
            SecretKey::Ecdsa { curve: RingCurve::P256, .. } => Ok(ecdsa(Sha2::Sha256, Scheme::Ecdsa256)),
            SecretKey::Ecdsa { curve: RingCurve::P384, .. } => Ok(ecdsa(Sha2::Sha384, Scheme::Ecdsa384)),
            SecretKey::P521(_) => Ok(ecdsa(Sha2::Sha512, Scheme::Ecdsa521)),
            SecretKey::Ed25519(_) if announced(HashAlgId::IDENTITY) => Ok(Scheme::DigitalSignature(Algorithm::Ed25519)),
            SecretKey::Ed25519(_) => Err(NoScheme::Ed25519),
        }
    }

    /// Signs the octets of RFC 7296 section 2.15 and gives back the data of the AUTH payload, in
    /// method 14 with the AlgorithmIdentifier in front.
    ///
    /// `random` blinds RSA with SHA-1; *ring* takes its own randomness.
    ///
    /// # Errors
    /// [`SignError`] if the scheme is not one of this key, or the computation failed.
    pub fn sign(&self, scheme: Scheme, octets: &[u8], random: &mut dyn Random) -> Result<Vec<u8>, SignError> {
        let mut data = Vec::new();
        if let Scheme::DigitalSignature(algorithm) = scheme {
            algorithm::emit(algorithm, &mut data);
        }
        data.extend(self.signature(scheme, octets, random)?);
        Ok(data)
    }

    fn signature(&self, scheme: Scheme, octets: &[u8], random: &mut dyn Random) -> Result<Vec<u8>, SignError> {
        use Algorithm::{Ecdsa, Ed25519, RsaPkcs1, RsaPss};
        use Scheme::DigitalSignature as Method14;
        match (&self.secret, scheme) {
            (SecretKey::Rsa { for_sha1, .. }, Scheme::RsaSha1) => self.sign_sha1(for_sha1, octets, random),
            (SecretKey::Rsa { key, .. }, Method14(RsaPkcs1(hash))) => sign_rsa(key, pkcs1_encoding(hash), octets),
            (SecretKey::Rsa { key, .. }, Method14(RsaPss(hash))) => sign_rsa(key, pss_encoding(hash), octets),
            (SecretKey::Ecdsa { fixed, curve: RingCurve::P256, .. }, Scheme::Ecdsa256)
            | (SecretKey::Ecdsa { fixed, curve: RingCurve::P384, .. }, Scheme::Ecdsa384) => sign_ecdsa(fixed, octets),
            (SecretKey::Ecdsa { asn1, curve: RingCurve::P256, .. }, Method14(Ecdsa(Sha2::Sha256)))
            | (SecretKey::Ecdsa { asn1, curve: RingCurve::P384, .. }, Method14(Ecdsa(Sha2::Sha384))) => {
                sign_ecdsa(asn1, octets)
            }
            (SecretKey::P521(key), Scheme::Ecdsa521) => Ok(sign_p521(key, Sha2::Sha512, octets)?.to_bytes().to_vec()),
            (SecretKey::P521(key), Method14(Ecdsa(hash))) => {
                Ok(sign_p521(key, hash, octets)?.to_der().as_bytes().to_vec())
            }
            (SecretKey::Ed25519(key), Method14(Ed25519)) => Ok(key.sign(octets).as_ref().to_vec()),
            _ => Err(SignError::OtherKey),
        }
    }

    fn sign_sha1(&self, key: &RsaPrivateKey, octets: &[u8], random: &mut dyn Random) -> Result<Vec<u8>, SignError> {
        let digest = Hash::Sha1.digest(&[octets]);
        let padding = Pkcs1v15Sign::new::<sha1::Sha1>();
        let value = key.sign_with_rng(&mut Adapter(random), padding, &digest).map_err(|_| SignError::Failed)?;
        let Kind::Rsa(public) = &self.public.0 else { return Err(SignError::OtherKey) };
        by_ring(&signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, public, &value, octets)
            .map_err(|_| SignError::Failed)?;
        Ok(value)
    }

    fn load(file: &KeyFile) -> Result<Self, KeyError> {
        match file {
            KeyFile::Rsa(der) => Self::load_rsa(der.expose()),
            KeyFile::Ec(key) => Self::load_ec(key),
            KeyFile::Ed25519(seed) => {
                let key = Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| KeyError::Malformed)?;
                let public = PublicKey(Kind::Ed25519(key.public_key().as_ref().to_vec()));
                Ok(Self { secret: SecretKey::Ed25519(Box::new(key)), public })
            }
        }
    }

    fn load_rsa(der: &[u8]) -> Result<Self, KeyError> {
        let public = PublicKey::of_rsa_private_key(der)?;
        let for_sha1 = RsaPrivateKey::from_pkcs1_der(der).map_err(|_| KeyError::Malformed)?;
        let key = RsaKeyPair::from_der(der).map_err(|error| KeyError::Rejected(error.to_string()))?;
        Ok(Self { secret: SecretKey::Rsa { key: Box::new(key), for_sha1: Box::new(for_sha1) }, public })
    }

    fn load_ec(key: &EcKey) -> Result<Self, KeyError> {
        match key.curve {
            P256 => {
                let algorithms = [&ECDSA_P256_SHA256_FIXED_SIGNING, &ECDSA_P256_SHA256_ASN1_SIGNING];
                let prehash = p256::ecdsa::SigningKey::from_slice(key.secret.expose());
                let prehash = PrehashKey::P256(Box::new(prehash.map_err(|_| KeyError::Malformed)?));
                Self::load_ring_ec(key, RingCurve::P256, algorithms, prehash)
            }
            P384 => {
                let algorithms = [&ECDSA_P384_SHA384_FIXED_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING];
                let prehash = p384::ecdsa::SigningKey::from_slice(key.secret.expose());
                let prehash = PrehashKey::P384(Box::new(prehash.map_err(|_| KeyError::Malformed)?));
                Self::load_ring_ec(key, RingCurve::P384, algorithms, prehash)
            }
            P521 => {
                let secret = ecdsa::SigningKey::from_slice(key.secret.expose()).map_err(|_| KeyError::Malformed)?;
                let point = secret.verifying_key().to_sec1_point(false);
                if key.public.as_ref().is_some_and(|public| public != point.as_bytes()) {
                    return Err(KeyError::Malformed);
                }
                Ok(Self { public: PublicKey::ec(P521, point.as_bytes())?, secret: SecretKey::P521(Box::new(secret)) })
            }
            other => Err(UnsupportedKey::Curve(other.to_string()).into()),
        }
    }

    fn load_ring_ec(
        key: &EcKey,
        curve: RingCurve,
        algorithms: [&'static EcdsaSigningAlgorithm; 2],
        prehash: PrehashKey,
    ) -> Result<Self, KeyError> {
        let point = key.public.as_ref().ok_or(KeyError::NoPublicKey)?;
        let load = |algorithm| {
            EcdsaKeyPair::from_private_key_and_public_key(algorithm, key.secret.expose(), point, &SystemRandom::new())
                .map(Box::new)
                .map_err(|error| KeyError::Rejected(error.to_string()))
        };
        let [fixed, asn1] = algorithms.map(load);
        let secret = SecretKey::Ecdsa { fixed: fixed?, asn1: asn1?, prehash, curve };
        Ok(Self { secret, public: PublicKey::ec(key.curve, point)? })
    }
}

/// Names the kind of the key and nothing of its secret.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public)
    }
}

fn sign_rsa(
    key: &RsaKeyPair,
    encoding: &'static dyn signature::RsaEncoding,
    octets: &[u8],
) -> Result<Vec<u8>, SignError> {
    let mut value = vec![0; key.public().modulus_len()];
    key.sign(encoding, &SystemRandom::new(), octets, &mut value).map_err(|_| SignError::Failed)?;
    Ok(value)
}

fn pkcs1_encoding(hash: Sha2) -> &'static dyn signature::RsaEncoding {
    match hash {
        Sha2::Sha256 => &signature::RSA_PKCS1_SHA256,
        Sha2::Sha384 => &signature::RSA_PKCS1_SHA384,
        Sha2::Sha512 => &signature::RSA_PKCS1_SHA512,
    }
}

fn pss_encoding(hash: Sha2) -> &'static dyn signature::RsaEncoding {
    match hash {
        Sha2::Sha256 => &signature::RSA_PSS_SHA256,
        Sha2::Sha384 => &signature::RSA_PSS_SHA384,
        Sha2::Sha512 => &signature::RSA_PSS_SHA512,
    }
}

fn sign_ecdsa(key: &EcdsaKeyPair, octets: &[u8]) -> Result<Vec<u8>, SignError> {
    let value = key.sign(&SystemRandom::new(), octets).map_err(|_| SignError::Failed)?;
    Ok(value.as_ref().to_vec())
}

fn sign_p521(key: &ecdsa::SigningKey, hash: Sha2, octets: &[u8]) -> Result<ecdsa::Signature, SignError> {
    key.sign_prehash(&p521_digest(hash.hash(), octets)).map_err(|_| SignError::Failed)
}

/// Why a private key cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// There is no PEM section with a private key.
    #[error("there is no private key in the file (no section `PRIVATE KEY`, `RSA PRIVATE KEY` or `EC PRIVATE KEY`)")]
    Missing,
    /// The key needs a passphrase, and a gateway starts without one.
    #[error("the private key is encrypted; `openssl pkey -in KEY -out PLAIN` removes the passphrase")]
    Encrypted,
    /// PEM or DER is broken, or the parts of the key contradict each other.
    #[error("the private key is malformed")]
    Malformed,
    /// The file has an ECDSA key without the public key, which *ring* cannot compute.
    #[error("the private key comes without its public key, which has to be in the same file; make a new key")]
    NoPublicKey,
    /// *ring* rejects the key, for instance an RSA key with more than 4096 bits.
    #[error("the private key is rejected: {0}")]
    Rejected(String),
    /// The key is of a kind that is not supported.
    #[error(transparent)]
    Unsupported(#[from] UnsupportedKey),
}

/// Why no signature of the key would help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoScheme {
    /// The peer announced no SHA-2, and SHA-1 is not allowed towards it.
    #[error("the peer verifies RSA signatures with SHA-1 only, which is not allowed")]
    Rsa,
    /// The peer did not announce the Identity hash of RFC 8420.
    #[error("the peer does not verify Ed25519 signatures")]
    Ed25519,
}

/// Why there is no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The scheme belongs to another kind of key.
    #[error("the signature scheme does not fit the private key")]
    OtherKey,
    /// The library failed, or its result did not verify.
    #[error("the signature could not be computed")]
    Failed,
}
