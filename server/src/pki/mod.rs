//! A small certificate authority: what `cygnet init` and `cygnet ca` need, and nothing else.
//!
//! Certificates are made for what stock VPN clients demand: RSA-2048 by default, since Apple's clients refuse ECDSA server
//! certificates unless told, names in subjectAltName, serverAuth for Windows and Apple, and at most
//! [`LEAF_DAYS`] days.
//!
//! [`container`] reads keys and certificates that are behind a password, [`crl`] has the lists of revoked ones.
//!
//! Does not: write files, revoke, or renew by itself.

mod authority;
pub mod container;
pub mod crl;
mod key;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::{DnsName, UnixTime};
use zeroize::Zeroizing;

use self::authority::Authority;

/// Life of an authority.
pub const CA_DAYS: u64 = 3650;

/// Life of server and client certificates: the most that Apple accepts of a TLS server, a rule its VPN may adopt.
pub const LEAF_DAYS: u64 = 825;

/// How far back a certificate reaches, for clients whose clock is late.
const BACKDATED_DAYS: u64 = 1;

/// iKEIntermediate, which older macOS and some Windows set-ups look for.
const IKE_INTERMEDIATE: [u64; 9] = [1, 3, 6, 1, 5, 5, 8, 2, 2];

/// Kind of key. RSA by default: stock Apple clients refuse an ECDSA server certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, 2048 bits. Takes up to a few seconds to make.
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

impl SubjectName {
    /// Understands what an operator writes: an IP address, an e-mail address, or else a host name.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        match text.parse() {
            Ok(address) => Self::Ip(address),
            Err(_) if text.contains('@') => Self::Email(text.to_owned()),
            Err(_) => Self::Dns(text.to_owned()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Dns(text) | Self::Email(text) => text.clone(),
            Self::Ip(address) => address.to_string(),
        }
    }

    fn to_san(&self) -> Result<SanType, PkiError> {
        let invalid = || PkiError::InvalidName(self.text());
        match self {
            Self::Ip(address) => Ok(SanType::IpAddress(*address)),
            Self::Dns(name) => {
                DnsName::try_from(name.as_str()).map_err(|_| invalid())?;
                Ok(SanType::DnsName(name.as_str().try_into().map_err(|_| invalid())?))
            }
            Self::Email(name) => {
                let complete = name.split_once('@').is_some_and(|(who, host)| !who.is_empty() && !host.is_empty());
                let address = name.as_str().try_into().map_err(|_| invalid())?;
                if complete { Ok(SanType::Rfc822Name(address)) } else { Err(invalid()) }
            }
        }
    }
}

/// A certificate and its private key as PEM texts.
pub struct Issued {
    /// The certificate.
    pub certificate_pem: String,
    /// PKCS#8.
    pub key_pem: Zeroizing<String>,
}

/// Why a certificate could not be made.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// No key came out.
    #[error("cannot make a key: {0}")]
    Key(String),
    /// The name cannot stand in a certificate.
    #[error("{0:?} cannot be the name in a certificate; give a host name, an IP address or an e-mail address")]
    InvalidName(String),
    /// A server needs at least one name.
    #[error("a server certificate needs the name or address that clients connect to")]
    NoName,
    /// The authority's files are not usable.
    #[error("the authority cannot issue: {0}")]
    Authority(String),
    /// The certificate could not be built or signed.
    #[error("cannot make the certificate: {0}")]
    Certificate(String),
}

/// Makes a self-signed authority, valid for [`CA_DAYS`].
///
/// # Errors
/// If the key or the certificate cannot be made.
pub fn make_ca(common_name: &str, kind: KeyKind, now: UnixTime) -> Result<Issued, PkiError> {
    let key = key::generate(kind)?;
    let mut params = params(common_name, CA_DAYS, now)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key.pair).map_err(|e| PkiError::Certificate(e.to_string()))?;
    Ok(Issued { certificate_pem: certificate.pem(), key_pem: key.pem })
}

/// Issues a server certificate for `names`, valid for [`LEAF_DAYS`]. The first name is also its common name.
///
/// # Errors
/// If `ca` is not an authority with its key, or a name is not a valid one.
pub fn issue_server_certificate(
    ca: &Issued,
    names: &[SubjectName],
    kind: KeyKind,
    now: UnixTime,
) -> Result<Issued, PkiError> {
    let common_name = names.first().ok_or(PkiError::NoName)?.text();
    let ike_intermediate = ExtendedKeyUsagePurpose::Other(IKE_INTERMEDIATE.to_vec());
    issue(ca, &common_name, names, kind, vec![ExtendedKeyUsagePurpose::ServerAuth, ike_intermediate], now)
}

/// Issues a client certificate, valid for [`LEAF_DAYS`]. Clients are known by `names`, so give at least one, such as an
/// e-mail address, unless the gateway is to know them by their subject.
///
/// Its only purpose is clientAuth: peers take anything more for a gateway, which a client must not pose as.
///
/// # Errors
/// As [`issue_server_certificate`].
pub fn issue_client_certificate(
    ca: &Issued,
    common_name: &str,
    names: &[SubjectName],
    kind: KeyKind,
    now: UnixTime,
) -> Result<Issued, PkiError> {
    issue(ca, common_name, names, kind, vec![ExtendedKeyUsagePurpose::ClientAuth], now)
}

fn issue(
    ca: &Issued,
    common_name: &str,
    names: &[SubjectName],
    kind: KeyKind,
    purposes: Vec<ExtendedKeyUsagePurpose>,
    now: UnixTime,
) -> Result<Issued, PkiError> {
    let authority = Authority::load(ca)?;
    let mut params = params(common_name, LEAF_DAYS, now)?;
    params.subject_alt_names = names.iter().map(SubjectName::to_san).collect::<Result<_, _>>()?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = purposes;
    params.use_authority_key_identifier_extension = true;
    let key = key::generate(kind)?;
    let certificate_pem = authority.sign(&params, &key.pair)?;
    Ok(Issued { certificate_pem, key_pem: key.pem })
}

fn params(common_name: &str, days: u64, now: UnixTime) -> Result<CertificateParams, PkiError> {
    const DAY: u64 = 86_400;
    let at = |seconds| rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds);
    let not_before = now.as_secs().saturating_sub(BACKDATED_DAYS * DAY);
    let mut params = CertificateParams::default();
    params.not_before = at(not_before);
    params.not_after = at(not_before + days * DAY);
    params.serial_number = Some(serial_number()?);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

/// 127 random bits, positive, RFC 5280 section 4.1.2.2.
fn serial_number() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| PkiError::Certificate(e.to_string()))?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// A key that was just made, as an object and as text.
struct NewKey {
    pair: KeyPair,
    pem: Zeroizing<String>,
}
