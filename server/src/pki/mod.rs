//! A small certificate authority: what `cygnet init` and `cygnet ca` need, and nothing else.

use std::net::IpAddr;

use rustls_pki_types::UnixTime;
use zeroize::Zeroizing;

/// Kind of key. RSA by default: stock Apple clients refuse an ECDSA server certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, 2048 bits.
    #[default]
    Rsa2048,
    /// ECDSA on P-256.
    EcdsaP256,
}

/// A name that a certificate vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectName {
    /// dNSName
    Dns(String),
    /// iPAddress
    Ip(IpAddr),
    /// rfc822Name
    Email(String),
}

/// A certificate and its private key as PEM texts.
pub struct Issued {
    /// The certificate.
    pub certificate_pem: String,
    /// PKCS#8.
    pub key_pem: Zeroizing<String>,
}

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PkiError(String);

/// Makes a self-signed authority.
///
/// # Errors
/// If the key or the certificate cannot be made.
pub fn make_ca(_common_name: &str, _kind: KeyKind, _now: UnixTime) -> Result<Issued, PkiError> {
    todo!()
}

/// Issues a server certificate.
///
/// # Errors
/// If `ca` is not usable or a name is not a valid one.
pub fn issue_server_certificate(
    _ca: &Issued,
    _names: &[SubjectName],
    _kind: KeyKind,
    _now: UnixTime,
) -> Result<Issued, PkiError> {
    todo!()
}

/// Issues a client certificate.
///
/// # Errors
/// As [`issue_server_certificate`].
pub fn issue_client_certificate(
    _ca: &Issued,
    _common_name: &str,
    _names: &[SubjectName],
    _kind: KeyKind,
    _now: UnixTime,
) -> Result<Issued, PkiError> {
    todo!()
}
