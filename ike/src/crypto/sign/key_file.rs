//! Containers of private keys: PEM (RFC 7468), PKCS #8 (RFC 5208), PKCS #1 (RFC 8017), SEC 1 (RFC 5915).
//!
//! Does not: decrypt keys, compute with them.

use der::{
    Decode, Reader, Sequence, SliceReader, Tag,
    asn1::{BitStringRef, ObjectIdentifier, OctetStringRef},
};
use rustls_pki_types::pem::{SectionKind, SliceIter};
use x509_cert::spki::AlgorithmIdentifierRef;

use super::{private_key::KeyError, public_key::UnsupportedKey};
use crate::crypto::secret::Secret;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// What was found in a file.
pub(super) enum KeyFile {
    /// DER of RSAPrivateKey.
    Rsa(Secret),
    Ec(EcKey),
    /// The seed.
    Ed25519(Secret),
}

/// A private scalar, and the uncompressed public point if the file has it.
pub(super) struct EcKey {
    pub(super) curve: ObjectIdentifier,
    pub(super) secret: Secret,
    pub(super) public: Option<Vec<u8>>,
}

/// RFC 5915 section 3.
#[derive(Sequence)]
struct EcPrivateKey<'a> {
    version: u8,
    secret: &'a OctetStringRef,
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    curve: Option<ObjectIdentifier>,
    #[asn1(context_specific = "1", optional = "true", tag_mode = "EXPLICIT")]
    public: Option<BitStringRef<'a>>,
}

/// The first private key of a PEM file.
pub(super) fn from_pem(pem: &[u8]) -> Result<KeyFile, KeyError> {
    if contains(pem, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(pem, b"Proc-Type: 4,ENCRYPTED") {
        return Err(KeyError::Encrypted);
    }
    for section in SliceIter::<(SectionKind, Vec<u8>)>::new(pem) {
        let (kind, der) = section.map_err(|_| KeyError::Malformed)?;
        let der = Secret::new(der);
        match kind {
            SectionKind::PrivateKey => return from_pkcs8(der.expose()),
            SectionKind::RsaPrivateKey => return Ok(KeyFile::Rsa(der)),
            SectionKind::EcPrivateKey => return from_sec1(der.expose(), None),
            _ => {}
        }
    }
    Err(KeyError::Missing)
}

/// A PrivateKeyInfo; attributes and the public key that RFC 5958 adds are left unread.
pub(super) fn from_pkcs8(der: &[u8]) -> Result<KeyFile, KeyError> {
    let (algorithm, key) = private_key_info(der).map_err(|_| KeyError::Malformed)?;
    match algorithm.oid {
        RSA_ENCRYPTION => Ok(KeyFile::Rsa(Secret::from_slice(key))),
        EC_PUBLIC_KEY => {
            let curve = algorithm.parameters_oid().map_err(|_| KeyError::Malformed)?;
            from_sec1(key, Some(curve))
        }
        ED25519 => {
            let seed = <&OctetStringRef>::from_der(key).map_err(|_| KeyError::Malformed)?;
            Ok(KeyFile::Ed25519(Secret::from_slice(seed.as_bytes())))
        }
        other => Err(UnsupportedKey::Algorithm(other.to_string()).into()),
    }
}

fn private_key_info(der: &[u8]) -> der::Result<(AlgorithmIdentifierRef<'_>, &[u8])> {
    let mut outer = SliceReader::new(der)?;
    let header = der::Header::decode(&mut outer)?;
    header.tag().assert_eq(Tag::Sequence)?;
    let mut reader = SliceReader::new(outer.read_slice(header.length())?)?;
    outer.finish()?;
    let _version = u8::decode(&mut reader)?;
    let algorithm = AlgorithmIdentifierRef::decode(&mut reader)?;
    let key = <&OctetStringRef>::decode(&mut reader)?;
    Ok((algorithm, key.as_bytes()))
}

fn from_sec1(der: &[u8], curve: Option<ObjectIdentifier>) -> Result<KeyFile, KeyError> {
    let key = EcPrivateKey::from_der(der).map_err(|_| KeyError::Malformed)?;
    let curve = curve.or(key.curve).ok_or(KeyError::Malformed)?;
    let public = key.public.and_then(|public| public.as_bytes()).map(<[u8]>::to_vec);
    Ok(KeyFile::Ec(EcKey { curve, secret: Secret::from_slice(key.secret.as_bytes()), public }))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
