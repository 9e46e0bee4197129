//! One certificate, read but not verified.

use std::net::IpAddr;

use der::{Decode, Encode, asn1::ObjectIdentifier};
use x509_cert::{
    ext::pkix::{
        BasicConstraints, CrlDistributionPoints, ExtendedKeyUsage, KeyUsage, SubjectAltName,
        name::{DistributionPointName, GeneralName},
    },
    spki::SubjectPublicKeyInfoOwned,
};

use super::{CertError, UnixTime};
use crate::{
    crypto::{hash::Hash, sign::PublicKey},
    identity::{Identity, dn_text},
    wire::{limits::MAX_CERTIFICATE, num::IdType},
};

/// An X.509 certificate that could be read. Nothing about it has been verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    names: Vec<Identity>,
    spki: Vec<u8>,
    key_purposes: Option<Vec<ObjectIdentifier>>,
    key_signs: bool,
    is_ca: bool,
    crl_uris: Option<Vec<String>>,
    not_before: UnixTime,
    not_after: UnixTime,
}

impl Certificate {
    /// Reads DER.
    ///
    /// # Errors
    /// [`CertError::Malformed`], also if it has more than 16 KiB.
    pub fn from_der(der: &[u8]) -> Result<Self, CertError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(CertError::Malformed);
        }
        read(der).map_err(|_| CertError::Malformed)
    }

    /// The certificate itself.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The DER of the subject's distinguished name.
    #[must_use]
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// The subject's distinguished name for people, RFC 4514.
    #[must_use]
    pub fn subject_text(&self) -> String {
        dn_text(&self.subject)
    }

    /// The DER of the issuer's distinguished name.
    #[must_use]
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// The issuer's distinguished name for people, RFC 4514.
    #[must_use]
    pub fn issuer_text(&self) -> String {
        dn_text(&self.issuer)
    }

    /// The host names, mail addresses and IP addresses of subjectAltName.
    #[must_use]
    pub fn names(&self) -> &[Identity] {
        &self.names
    }

    /// The DER of the SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The public key.
    ///
    /// # Errors
    /// [`CertError::UnsupportedKey`].
    pub fn public_key(&self) -> Result<PublicKey, CertError> {
        Ok(PublicKey::from_spki(&self.spki)?)
    }

    /// SHA-1 of the SubjectPublicKeyInfo, by which CERTREQ names an authority, RFC 7296 section 3.7.
    #[must_use]
    pub fn key_hash(&self) -> Vec<u8> {
        Hash::Sha1.digest(&[&self.spki])
    }

    /// The purposes that extKeyUsage lists; `None` without the extension, which allows all.
    #[must_use]
    pub fn key_purposes(&self) -> Option<Vec<String>> {
        self.key_purposes.as_ref().map(|purposes| purposes.iter().map(purpose_text).collect())
    }

    pub(super) fn purposes(&self) -> Option<&[ObjectIdentifier]> {
        self.key_purposes.as_deref()
    }

    /// Whether keyUsage lets the key sign, RFC 4945 section 5.1.3.2; true without the extension.
    #[must_use]
    pub fn key_signs(&self) -> bool {
        self.key_signs
    }

    /// Whether basicConstraints makes it the certificate of an authority.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.is_ca
    }

    /// Where its authority says that the revocation list can be had: the URIs of cRLDistributionPoints, RFC 5280 section
    /// 4.2.1.13, without lists by other issuers and those for some reasons only.
    #[must_use]
    pub fn crl_uris(&self) -> &[String] {
        self.crl_uris.as_deref().unwrap_or_default()
    }

    /// Whether cRLDistributionPoints is there at all.
    pub(super) fn has_crl_points(&self) -> bool {
        self.crl_uris.is_some()
    }

    /// The first moment at which it is valid.
    #[must_use]
    pub fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// The last moment at which it is valid.
    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }

    pub(super) fn check_validity(&self, now: UnixTime) -> Result<(), CertError> {
        if now < self.not_before {
            return Err(CertError::NotYetValid { subject: self.subject_text(), not_before: self.not_before });
        }
        if now > self.not_after {
            return Err(CertError::Expired { subject: self.subject_text(), not_after: self.not_after });
        }
        Ok(())
    }
}

fn read(der: &[u8]) -> der::Result<Certificate> {
    let parsed = x509_cert::Certificate::from_der(der)?;
    let tbs = parsed.tbs_certificate();
    let key_usage = tbs.get_extension::<KeyUsage>()?.map(|(_, usage)| usage);
    let names = tbs.get_extension::<SubjectAltName>()?.map_or_else(Vec::new, |(_, names)| names.0);
    Ok(Certificate {
        der: der.to_vec(),
        subject: tbs.subject().to_der()?,
        issuer: tbs.issuer().to_der()?,
        names: names.iter().filter_map(identity).collect(),
        spki: SubjectPublicKeyInfoOwned::to_der(tbs.subject_public_key_info())?,
        key_purposes: tbs.get_extension::<ExtendedKeyUsage>()?.map(|(_, purposes)| purposes.0),
        key_signs: key_usage.is_none_or(|usage| usage.digital_signature() || usage.non_repudiation()),
        is_ca: tbs.get_extension::<BasicConstraints>()?.is_some_and(|(_, constraints)| constraints.ca),
        crl_uris: tbs.get_extension::<CrlDistributionPoints>()?.map(|(_, points)| crl_uris(&points)),
        not_before: UnixTime(tbs.validity().not_before.to_unix_duration()),
        not_after: UnixTime(tbs.validity().not_after.to_unix_duration()),
    })
}

fn crl_uris(points: &CrlDistributionPoints) -> Vec<String> {
    let plain = points.0.iter().filter(|point| point.reasons.is_none() && point.crl_issuer.is_none());
    plain.flat_map(|point| full_name_uris(point.distribution_point.as_ref())).collect()
}

/// The URIs of a distribution point.
pub(super) fn full_name_uris(point: Option<&DistributionPointName>) -> Vec<String> {
    let Some(DistributionPointName::FullName(names)) = point else { return Vec::new() };
    let uri = |name: &GeneralName| match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
        _ => None,
    };
    names.iter().filter_map(uri).collect()
}

/// The names that IKE has an identification type for; others name nobody here.
fn identity(name: &GeneralName) -> Option<Identity> {
    match name {
        GeneralName::DnsName(name) => Identity::parse(IdType::FQDN, name.as_bytes()).ok(),
        GeneralName::Rfc822Name(name) => Identity::parse(IdType::RFC822_ADDR, name.as_bytes()).ok(),
        GeneralName::IpAddress(address) => ip_address(address.as_bytes()).map(Identity::from),
        _ => None,
    }
}

fn ip_address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(octets).ok().map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(octets).ok().map(IpAddr::from);
    v4().or_else(v6)
}

/// What people call a key purpose, or its number.
pub(super) fn purpose_text(purpose: &ObjectIdentifier) -> String {
    let number = purpose.to_string();
    match number.as_str() {
        "1.3.6.1.5.5.7.3.1" => "serverAuth".into(),
        "1.3.6.1.5.5.7.3.2" => "clientAuth".into(),
        "1.3.6.1.5.5.7.3.3" => "codeSigning".into(),
        "1.3.6.1.5.5.7.3.4" => "emailProtection".into(),
        "1.3.6.1.5.5.7.3.17" => "ipsecIKE".into(),
        "1.3.6.1.5.5.8.2.2" => "iKEIntermediate".into(),
        "2.5.29.37.0" => "anyExtendedKeyUsage".into(),
        _ => number,
    }
}
