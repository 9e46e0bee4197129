//! Keys and certificates behind a password: PKCS#12 files (RFC 7292) and encrypted PKCS#8 keys (RFC 5958 section 3).
//!
//! [`open_pkcs12`] gives what `cert` and `key` of the configuration want, the chain and the key; [`open_key`] takes the
//! password off a private key. Which ciphers work: PBES2 (RFC 8018) with AES, and for PKCS#12 also the 3DES and RC2 of
//! files made before 2020.
//!
//! Does not: read files, verify chains, write containers. MACs by PBMAC1 (RFC 9579) and keys encrypted in the traditional
//! OpenSSL format are not supported; the errors say how to convert them.

use der::{Decode, Encode, ErrorKind};
use p12_keystore::Pkcs12Archive;
use pkcs8::pkcs5;
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef, SecretDocument};
use x509_cert::Certificate;
use zeroize::Zeroizing;

use cygnet_ike::crypto::sign::{PublicKey, SigningKey};

use crate::config::Secret;

/// PEM label of a key behind a password, RFC 7468 section 11.
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
/// PEM label of PKCS#8, RFC 7468 section 10.
const PLAIN: &str = "PRIVATE KEY";
/// How a traditional OpenSSL key says that it is encrypted (RFC 1421 section 4.6.1.1).
const TRADITIONAL: &str = "Proc-Type: 4,ENCRYPTED";
/// Most certificates that a chain has, ours included.
const CHAIN_MAX: usize = 8;

/// A certificate with its key.
pub struct Contents {
    /// The certificate of the key first, then those that issued it as far as the file has them, without self-signed ones;
    /// DER.
    pub chain: Vec<Vec<u8>>,
    /// The private key; PKCS#8, PEM.
    pub key: Secret,
}

/// Why a container cannot be opened. Each text says what to do.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// It is behind a password and none is given.
    #[error("the key is encrypted; give its password as key_password")]
    PasswordNeeded,
    /// The integrity check or the decryption fails.
    #[error("the password is wrong, or the file is damaged; check key_password")]
    WrongPassword,
    /// The password is not UTF-8.
    #[error("the password is not UTF-8 text; correct key_password")]
    PasswordEncoding,
    /// There is no private key.
    #[error("there is no private key in this file; export it together with its private key")]
    NoKey,
    /// There is no certificate for any of the keys.
    #[error("there is no certificate for the private key in this file; export it together with its certificate")]
    NoCertificate,
    /// Several keys have certificates.
    #[error("there are {0} keys with certificates in this file; export only the one for the gateway")]
    SeveralKeys(usize),
    /// A way of encryption that is not supported.
    #[error("its encryption is not supported ({what}); convert it with `{command}`")]
    Unsupported {
        /// Name or number of what is missing.
        what: String,
        /// A command that makes a file which works.
        command: &'static str,
    },
    /// The key inside cannot be used.
    #[error("the private key cannot be used: {0}")]
    Key(String),
    /// It is not what it should be.
    #[error("this is not {0}")]
    Malformed(&'static str),
}

/// Makes a PKCS#12 file that works of one that does not.
const CONVERT_PKCS12: &str = "openssl pkcs12 -in OLD.p12 -nodes | openssl pkcs12 -export -out NEW.p12";
/// Makes a PKCS#8 key that works of one that does not.
const CONVERT_KEY: &str = "openssl pkcs8 -topk8 -v2 aes256 -in OLD.pem -out NEW.pem";

/// Whether these bytes look like PKCS#12: DER of a sequence that begins with the version 3. PEM texts do not.
#[must_use]
pub fn is_pkcs12(bytes: &[u8]) -> bool {
    let version = |at: usize| bytes.get(at..at + 3) == Some(&[0x02, 0x01, 0x03]);
    bytes.first() == Some(&0x30) && [2, 3, 4, 5, 6].into_iter().any(version)
}

/// Whether the private key of this PEM text is behind a password.
#[must_use]
pub fn is_encrypted_key(pem: &[u8]) -> bool {
    std::str::from_utf8(pem).is_ok_and(|text| section(text, ENCRYPTED).is_some() || text.contains(TRADITIONAL))
}

/// Opens a PKCS#12 file: the one key in it that has a certificate, and its chain.
///
/// # Errors
/// [`ContainerError`]: what is wrong and what to do.
pub fn open_pkcs12(bytes: &[u8], password: &Secret) -> Result<Contents, ContainerError> {
    let password = std::str::from_utf8(password.expose()).map_err(|_| ContainerError::PasswordEncoding)?;
    let archive = Pkcs12Archive::from_pkcs12(bytes, password).map_err(pkcs12_error)?;
    if archive.keys.is_empty() {
        return Err(ContainerError::NoKey);
    }
    let certificates: Vec<&[u8]> = archive.certs.iter().map(|bag| bag.cert.as_der()).collect();
    let mut found: Vec<Contents> = Vec::new();
    for bag in &archive.keys {
        let key = SigningKey::from_pkcs8(bag.key.as_der()).map_err(|e| ContainerError::Key(e.to_string()))?;
        if let Some(leaf) = certificates.iter().find(|der| is_for(der, key.public_key())) {
            found.push(Contents { chain: chain(leaf, &certificates), key: pem(bag.key.as_der())? });
        }
    }
    match found.len() {
        0 => Err(ContainerError::NoCertificate),
        1 => Ok(found.remove(0)),
        several => Err(ContainerError::SeveralKeys(several)),
    }
}

/// Reads a private key, PEM, and takes its password off. Gives back PKCS#8 as PEM; a key that is not encrypted comes back as
/// it is, whether there is a password or not.
///
/// # Errors
/// [`ContainerError`]: what is wrong and what to do.
pub fn open_key(pem_text: &[u8], password: Option<&Secret>) -> Result<Secret, ContainerError> {
    let text = std::str::from_utf8(pem_text).map_err(|_| ContainerError::Malformed("a PEM text"))?;
    if text.contains(TRADITIONAL) {
        let what = "traditional OpenSSL format".to_owned();
        return Err(ContainerError::Unsupported { what, command: CONVERT_KEY });
    }
    let Some(section) = section(text, ENCRYPTED) else {
        let plain = text.contains("PRIVATE KEY-----");
        return if plain { Ok(Secret::new(pem_text.to_vec())) } else { Err(ContainerError::NoKey) };
    };
    let password = password.ok_or(ContainerError::PasswordNeeded)?;
    let (_, document) =
        SecretDocument::from_pem(section).map_err(|_| ContainerError::Malformed("an encrypted PKCS#8 key"))?;
    let encrypted = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes()).map_err(key_format_error)?;
    let decrypted = encrypted.decrypt(password.expose()).map_err(key_error)?;
    // Padding may look right by chance.
    PrivateKeyInfoRef::from_der(decrypted.as_bytes()).map_err(|_| ContainerError::WrongPassword)?;
    pem(decrypted.as_bytes())
}

/// A section of a PEM text from its first line to its last one.
fn section<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let start = text.find(&format!("-----BEGIN {label}-----"))?;
    let from_there = text.get(start..)?;
    let end = format!("-----END {label}-----");
    let length = from_there.find(&end)? + end.len();
    from_there.get(..length)
}

/// PKCS#8 as PEM.
fn pem(der: &[u8]) -> Result<Secret, ContainerError> {
    let document = SecretDocument::try_from(der).map_err(|_| ContainerError::Malformed("a PKCS#8 key"))?;
    let text: Zeroizing<String> =
        document.to_pem(PLAIN, pkcs8::LineEnding::LF).map_err(|_| ContainerError::Malformed("a PKCS#8 key"))?;
    Ok(Secret::from(text.as_str()))
}

fn is_for(der: &[u8], key: &PublicKey) -> bool {
    let spki = Certificate::from_der(der).and_then(|c| c.tbs_certificate().subject_public_key_info().to_der());
    spki.is_ok_and(|spki| PublicKey::from_spki(&spki).is_ok_and(|public| public == *key))
}

/// From the certificate upwards, as far as issuers are there. A root is left out: who does not know it does not trust it.
fn chain(leaf: &[u8], certificates: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut chain = vec![leaf.to_vec()];
    let mut issuer = names(leaf).map(|(_, issuer)| issuer);
    while let Some(wanted) = issuer.take().filter(|_| chain.len() < CHAIN_MAX) {
        let next = certificates.iter().find_map(|der| {
            let (subject, issuer) = names(der)?;
            let fits = subject == wanted && subject != issuer && !chain.iter().any(|known| known == der);
            fits.then_some((der, issuer))
        });
        if let Some((der, its_issuer)) = next {
            chain.push(der.to_vec());
            issuer = Some(its_issuer);
        }
    }
    chain
}

/// Subject and issuer, DER.
fn names(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let certificate = Certificate::from_der(der).ok()?;
    let tbs = certificate.tbs_certificate();
    Some((tbs.subject().to_der().ok()?, tbs.issuer().to_der().ok()?))
}

fn pkcs12_error(error: p12_keystore::error::Error) -> ContainerError {
    use p12_keystore::error::Error as E;
    match error {
        E::MacError(_) | E::UnpadError => ContainerError::WrongPassword,
        E::Pkcs5Error(text) if text.contains("decrypt") => ContainerError::WrongPassword,
        E::UnsupportedEncryptionScheme | E::UnsupportedMacAlgorithm | E::Pkcs5Error(_) | E::InvalidParameters => {
            ContainerError::Unsupported { what: error.to_string(), command: CONVERT_PKCS12 }
        }
        E::DerError(error) => match error.kind() {
            ErrorKind::OidUnknown { oid } => {
                ContainerError::Unsupported { what: format!("algorithm {oid}"), command: CONVERT_PKCS12 }
            }
            _ => ContainerError::Malformed("a PKCS#12 file"),
        },
        E::InvalidPrivateKey => ContainerError::Key("it is not PKCS#8".to_owned()),
        _ => ContainerError::Malformed("a PKCS#12 file"),
    }
}

/// The reader knows encryption by name only.
fn key_format_error(error: der::Error) -> ContainerError {
    match error.kind() {
        ErrorKind::OidUnknown { oid } => unsupported_key(format!("algorithm {oid}")),
        _ => ContainerError::Malformed("an encrypted PKCS#8 key"),
    }
}

fn key_error(error: pkcs8::Error) -> ContainerError {
    match error {
        pkcs8::Error::EncryptedPrivateKey(
            error @ (pkcs5::Error::UnsupportedAlgorithm { .. }
            | pkcs5::Error::NoPbes1CryptSupport
            | pkcs5::Error::AlgorithmParametersInvalid { .. }),
        ) => unsupported_key(error.to_string()),
        _ => ContainerError::WrongPassword,
    }
}

fn unsupported_key(what: String) -> ContainerError {
    ContainerError::Unsupported { what, command: CONVERT_KEY }
}

#[cfg(test)]
mod tests;
