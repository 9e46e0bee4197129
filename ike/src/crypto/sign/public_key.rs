//! Public keys that can verify an AUTH payload.

use std::fmt;

use der::{
    Decode, Encode, Header, Sequence, SliceReader, Tag,
    asn1::{Any, BitString, ObjectIdentifier, UintRef},
};
use rustls_pki_types::pem::{SectionKind, SliceIter};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};

/// Sizes of an RSA modulus that are accepted, in bits. Below is weak; above only costs time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The smallest public exponent of RSA that is accepted.
const RSA_MIN_EXPONENT: u64 = 65537;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
pub(super) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(super) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
pub(super) const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(pub(super) Kind);

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// DER of RSAPublicKey, RFC 8017 appendix A.1.1.
    Rsa(Vec<u8>),
    /// Uncompressed points, SEC 1 section 2.3.3.
    P256(Vec<u8>),
    P384(Vec<u8>),
    P521(Vec<u8>),
    /// RFC 8032.
    Ed25519(Vec<u8>),
}

/// RFC 8017 appendix A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

impl PublicKey {
    /// Takes a SubjectPublicKeyInfo, as certificates hold it.
    ///
    /// Whether a point lies on its curve shows when a signature is verified.
    ///
    /// # Errors
    /// [`UnsupportedKey`] if it is malformed, or a key that is not accepted.
    pub fn from_spki(der: &[u8]) -> Result<Self, UnsupportedKey> {
        let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| UnsupportedKey::Malformed)?;
        let key = spki.subject_public_key.as_bytes().ok_or(UnsupportedKey::Malformed)?;
        match spki.algorithm.oid {
            RSA_ENCRYPTION => Self::rsa(key),
            EC_PUBLIC_KEY => {
                let curve = spki.algorithm.parameters_oid().map_err(|_| UnsupportedKey::Malformed)?;
                Self::ec(curve, key)
            }
            ED25519 if spki.algorithm.parameters.is_none() && key.len() == 32 => Ok(Self(Kind::Ed25519(key.to_vec()))),
            ED25519 => Err(UnsupportedKey::Malformed),
            other => Err(UnsupportedKey::Algorithm(other.to_string())),
        }
    }

    /// The SubjectPublicKeyInfo, RFC 5280 section 4.1.2.7.
    #[must_use]
    pub fn to_spki(&self) -> Vec<u8> {
        let (oid, parameters, key) = match &self.0 {
            Kind::Rsa(key) => (RSA_ENCRYPTION, Some(Any::null()), key),
            Kind::P256(point) => (EC_PUBLIC_KEY, Some(Any::from(P256)), point),
            Kind::P384(point) => (EC_PUBLIC_KEY, Some(Any::from(P384)), point),
            Kind::P521(point) => (EC_PUBLIC_KEY, Some(Any::from(P521)), point),
            Kind::Ed25519(key) => (ED25519, None, key),
        };
        let subject_public_key = BitString::from_bytes(key).expect("whole octets");
        let spki =
            SubjectPublicKeyInfoOwned { algorithm: AlgorithmIdentifierOwned { oid, parameters }, subject_public_key };
        spki.to_der().expect("a key is short")
    }

    /// Takes a public key as PEM, a section `PUBLIC KEY` (RFC 7468 section 13).
    ///
    /// # Errors
    /// [`UnsupportedKey`] if there is none, or one that is not accepted.
    pub fn from_pem(pem: &[u8]) -> Result<Self, UnsupportedKey> {
        for section in SliceIter::<(SectionKind, Vec<u8>)>::new(pem) {
            let (kind, der) = section.map_err(|_| UnsupportedKey::Malformed)?;
            if kind == SectionKind::PublicKey {
                return Self::from_spki(&der);
            }
        }
        Err(UnsupportedKey::Missing)
    }

    /// Takes the public half of an RSAPrivateKey, RFC 8017 appendix A.1.2, which begins with it.
    pub(super) fn of_rsa_private_key(der: &[u8]) -> Result<Self, UnsupportedKey> {
        let read = || {
            let mut reader = SliceReader::new(der)?;
            Header::decode(&mut reader)?.tag().assert_eq(Tag::Sequence)?;
            let _version = u8::decode(&mut reader)?;
            let modulus = UintRef::decode(&mut reader)?;
            RsaPublicKey { modulus, exponent: UintRef::decode(&mut reader)? }.to_der()
        };
        Self::rsa(&read().map_err(|_: der::Error| UnsupportedKey::Malformed)?)
    }

    pub(super) fn rsa(der: &[u8]) -> Result<Self, UnsupportedKey> {
        let key = RsaPublicKey::from_der(der).map_err(|_| UnsupportedKey::Malformed)?;
        let bits = bit_length(key.modulus.as_bytes());
        if !RSA_BITS.contains(&bits) {
            return Err(UnsupportedKey::RsaSize(bits));
        }
        let exponent = key.exponent.as_bytes().iter().try_fold(0_u64, |value, byte| {
            value.checked_mul(256).and_then(|value| value.checked_add(u64::from(*byte)))
        });
        match exponent {
            Some(exponent) if exponent >= RSA_MIN_EXPONENT && exponent % 2 == 1 => Ok(Self(Kind::Rsa(der.to_vec()))),
            _ => Err(UnsupportedKey::RsaExponent),
        }
    }

    pub(super) fn ec(curve: ObjectIdentifier, point: &[u8]) -> Result<Self, UnsupportedKey> {
        let uncompressed = |len: usize| (point.len() == len && point.first() == Some(&4)).then(|| point.to_vec());
        let kind = match curve {
            P256 => uncompressed(65).map(Kind::P256),
            P384 => uncompressed(97).map(Kind::P384),
            P521 => uncompressed(133).map(Kind::P521),
            other => return Err(UnsupportedKey::Curve(other.to_string())),
        };
        kind.map(Self).ok_or(UnsupportedKey::Malformed)
    }
}

/// Names the kind of the key, which is what people ask for.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Rsa(der) => {
                let bits = RsaPublicKey::from_der(der).map_or(0, |key| bit_length(key.modulus.as_bytes()));
                write!(f, "RSA-{bits}")
            }
            Kind::P256(_) => f.write_str("ECDSA P-256"),
            Kind::P384(_) => f.write_str("ECDSA P-384"),
            Kind::P521(_) => f.write_str("ECDSA P-521"),
            Kind::Ed25519(_) => f.write_str("Ed25519"),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// Bits of a big-endian number without leading zero bytes.
fn bit_length(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// Why a public key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnsupportedKey {
    /// There is no PEM section with a public key.
    #[error("there is no public key in the file (no section `PUBLIC KEY`)")]
    Missing,
    /// The bytes are not a public key.
    #[error("the public key is malformed")]
    Malformed,
    /// The object identifier of an algorithm that is not supported.
    #[error("keys of the algorithm {0} are not supported (RSA, ECDSA and Ed25519 are)")]
    Algorithm(String),
    /// The object identifier of a curve that is not supported.
    #[error("the curve {0} is not supported (P-256, P-384 and P-521 are)")]
    Curve(String),
    /// An RSA modulus of so many bits.
    #[error("an RSA key of {0} bits is not accepted (2048 to 8192 are)")]
    RsaSize(usize),
    /// An RSA exponent that is small or even.
    #[error("the exponent of the RSA key is not accepted (odd numbers from 65537 are)")]
    RsaExponent,
}
