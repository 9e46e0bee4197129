//! Certificates and keys of `[remote]` and `[site.NAME]`: our own (`cert`, `key`) and the authorities of others (`ca`).
//!
//! Does not: verify chains; the IKE engine does that with what clients send.

use std::net::IpAddr;

use cygnet_ike::crypto::sign::{PublicKey, SigningKey};
use cygnet_ike::identity::Identity;
use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use jiff::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_cert::certificate::Rfc5280;
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName};
use x509_cert::time::Time;

use super::problem::{Located, Problem, Spot};
use super::reader::{Section, Value};
use super::source::Source;
use super::{Secret, ServerIdentity};
use crate::pki::container::{self, ContainerError};

/// id-kp-serverAuth, RFC 5280 section 4.2.1.12.
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
/// anyExtendedKeyUsage, RFC 5280 section 4.2.1.12.
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Our certificate and key, and where they were named.
pub(super) struct LocatedIdentity {
    pub(super) identity: ServerIdentity,
    pub(super) facts: Facts,
    pub(super) spot: Spot,
}

/// What a check wants to know of a certificate.
pub(super) struct Facts {
    /// The DER of its whole name.
    subject: Vec<u8>,
    /// DNS names it vouches for, lower case.
    pub(super) dns_names: Vec<String>,
    /// Addresses it vouches for.
    pub(super) addresses: Vec<IpAddr>,
    /// Mail addresses it vouches for, lower case.
    pub(super) mail_addresses: Vec<String>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) is_authority: bool,
    /// Usable by a server: `None` if it does not limit its usage at all.
    pub(super) server_auth: Option<bool>,
}

impl Facts {
    /// Reads a DER certificate; `None` if it is not one.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?;
        let tbs = certificate.tbs_certificate();
        let names = tbs.get_extension::<SubjectAltName>().ok()?.map(|(_, names)| names.0).unwrap_or_default();
        let usage = tbs.get_extension::<ExtendedKeyUsage>().ok()?.map(|(_, usage)| usage.0);
        let constraints = tbs.get_extension::<BasicConstraints>().ok()?;
        Some(Self {
            subject: tbs.subject().to_der().ok()?,
            dns_names: names.iter().filter_map(dns_name).collect(),
            addresses: names.iter().filter_map(address).collect(),
            mail_addresses: names.iter().filter_map(mail_address).collect(),
            not_before: timestamp(&tbs.validity().not_before)?,
            not_after: timestamp(&tbs.validity().not_after)?,
            is_authority: constraints.is_some_and(|(_, c)| c.ca),
            server_auth: usage.map(|usage| usage.contains(&SERVER_AUTH) || usage.contains(&ANY_USAGE)),
        })
    }

    /// Whether the certificate vouches for `name`: an address, or a DNS name (RFC 9525 section 6, one `*` label).
    pub(super) fn vouches_for(&self, name: &str) -> bool {
        if let Ok(address) = name.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let name = name.trim_end_matches('.').to_lowercase();
        let wildcard = |pattern: &str| {
            let (Some(parent), Some((_, rest))) = (pattern.strip_prefix("*."), name.split_once('.')) else {
                return false;
            };
            parent == rest
        };
        self.dns_names.iter().any(|n| *n == name || wildcard(n))
    }

    /// The first IKE identity that it vouches for, in text form: a DNS name, an address, a mail address, or its subject.
    pub(super) fn identity(&self) -> Option<String> {
        let address = || self.addresses.first().map(ToString::to_string);
        let name = self.dns_names.iter().find(|name| !name.starts_with('*')).cloned();
        let subject = || Some(Identity::DerAsn1Dn(self.subject.clone()).to_string()).filter(|text| !text.is_empty());
        name.or_else(address).or_else(|| self.mail_addresses.first().cloned()).or_else(subject)
    }

    /// Whether it vouches for an IKE identity; a key id is never in a certificate.
    pub(super) fn speaks_for(&self, identity: &Identity) -> bool {
        match identity {
            Identity::Ipv4(address) => self.addresses.contains(&IpAddr::from(*address)),
            Identity::Ipv6(address) => self.addresses.contains(&IpAddr::from(*address)),
            Identity::Fqdn(name) => self.dns_names.contains(name),
            Identity::UserFqdn(mail) => self.mail_addresses.contains(mail),
            Identity::DerAsn1Dn(_) => identity.is_same(&Identity::DerAsn1Dn(self.subject.clone())),
            Identity::KeyId(_) => false,
        }
    }

    /// Everything it vouches for, for messages.
    pub(super) fn names(&self) -> String {
        let names = self.dns_names.iter().cloned();
        let addresses = self.addresses.iter().map(ToString::to_string);
        let all: Vec<String> = names.chain(addresses).chain(self.mail_addresses.iter().cloned()).collect();
        if all.is_empty() { "no name at all".to_owned() } else { all.join(", ") }
    }
}

fn dns_name(name: &GeneralName) -> Option<String> {
    if let GeneralName::DnsName(name) = name { Some(name.as_str().to_lowercase()) } else { None }
}

fn address(name: &GeneralName) -> Option<IpAddr> {
    let GeneralName::IpAddress(octets) = name else { return None };
    let octets = octets.as_bytes();
    <[u8; 4]>::try_from(octets).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

fn mail_address(name: &GeneralName) -> Option<String> {
    if let GeneralName::Rfc822Name(mail) = name { Some(mail.as_str().to_lowercase()) } else { None }
}

fn timestamp(time: &Time) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.to_unix_duration().as_secs()).ok()?).ok()
}

/// Reads `cert`, `key` and `key_password`: a certificate with its key, or a list of both in the same order.
pub(super) fn server_identities(source: &Source<'_>, section: &Section<'_>) -> Vec<LocatedIdentity> {
    let Some(cert) = section.value("cert") else {
        if let Some(key) = section.value("key") {
            let problem = Problem::error(format!("`{}` without `cert`", key.path()))
                .at(key.key_spot, "the key of which certificate?");
            source.problems.report(problem.help("add cert = \"FILE\", or remove the key"));
        }
        return Vec::new();
    };
    let password = section.value("key_password").and_then(|value| source.secret(&value)).map(|secret| secret.value);
    let certificates = cert.items();
    if certificates.is_empty() {
        cert.error::<()>(format!("`{}` is empty", cert.path()), "", Some("name a file, or remove the key".into()));
    }
    let keys = section.value("key").map(|value| value.items()).unwrap_or_default();
    if !keys.is_empty() && keys.len() != certificates.len() {
        let title = format!("there are {} certificates but {} keys", certificates.len(), keys.len());
        let spot = section.value("key").map_or(cert.spot, |key| key.spot);
        let problem = Problem::error(title).at(spot, "").at(cert.spot, "");
        source
            .problems
            .report(problem.help("name them in the same order, or put each key into the file of its certificate"));
        return Vec::new();
    }
    let pair = |(n, cert): (usize, &Value<'_>)| server_identity(source, cert, keys.get(n), password.as_ref());
    certificates.iter().enumerate().filter_map(pair).collect()
}

fn server_identity(
    source: &Source<'_>,
    cert: &Value<'_>,
    key: Option<&Value<'_>>,
    password: Option<&Secret>,
) -> Option<LocatedIdentity> {
    let bytes = source.public_file(cert)?;
    if container::is_pkcs12(&bytes.value) {
        return from_container(source, cert, password);
    }
    let chain = certificates(cert, &bytes.value)?;
    let leaf = chain.first()?;
    let Some(facts) = Facts::of(leaf) else {
        return cert.error("this certificate cannot be read", "not valid X.509", None);
    };
    let sealed = match key {
        Some(value) => source.private_key(value)?.value,
        None => key_beside_certificate(source, cert)?,
    };
    let key_value = key.unwrap_or(cert);
    let key = opened(key_value, sealed, password)?;
    check_key(cert, key_value, leaf, &key)?;
    Some(LocatedIdentity { identity: ServerIdentity { chain, key }, facts, spot: bytes.spot })
}

/// Certificate and key of a PKCS#12 file.
fn from_container(source: &Source<'_>, cert: &Value<'_>, password: Option<&Secret>) -> Option<LocatedIdentity> {
    let bytes = source.secret_file(cert)?;
    let empty = Secret::new(Vec::new());
    let contents = match container::open_pkcs12(bytes.value.expose(), password.unwrap_or(&empty)) {
        Ok(contents) => contents,
        Err(ContainerError::WrongPassword) if password.is_none() => {
            let help = "give its password as key_password";
            return cert.error("this PKCS#12 file is encrypted, or it is damaged", "", Some(help.into()));
        }
        Err(closed) => return container_error(cert, &closed),
    };
    let leaf = contents.chain.first()?;
    let Some(facts) = Facts::of(leaf) else {
        return cert.error("the certificate in this file cannot be read", "not valid X.509", None);
    };
    check_key(cert, cert, leaf, &contents.key)?;
    let identity = ServerIdentity { chain: contents.chain, key: contents.key };
    Some(LocatedIdentity { identity, facts, spot: cert.spot })
}

/// Reads the private key that `value` names; `key_password` of the same section opens it.
pub(super) fn private_key(source: &Source<'_>, section: &Section<'_>, value: &Value<'_>) -> Option<Secret> {
    let password = section.value("key_password").and_then(|value| source.secret(&value)).map(|secret| secret.value);
    opened(value, source.private_key(value)?.value, password.as_ref())
}

/// The key without its password.
fn opened(value: &Value<'_>, pem: Secret, password: Option<&Secret>) -> Option<Secret> {
    if !container::is_encrypted_key(pem.expose()) {
        return Some(pem);
    }
    container::open_key(pem.expose(), password).map_or_else(|closed| container_error(value, &closed), Some)
}

/// What is wrong stands before the semicolon, what to do behind it.
fn container_error<T>(value: &Value<'_>, closed: &ContainerError) -> Option<T> {
    let text = closed.to_string().replace('`', "\"");
    match text.split_once("; ") {
        Some((title, help)) => value.error(title, "", Some(help.to_owned())),
        None => value.error(text, "", Some(KEY_HELP.into())),
    }
}

/// The private key that stands in the same file as the certificate.
fn key_beside_certificate(source: &Source<'_>, cert: &Value<'_>) -> Option<Secret> {
    let pem = source.public_file(cert)?.value;
    if !has_private_key(&pem) && !container::is_encrypted_key(&pem) {
        let help = "add key = \"FILE\" below it, or put the key into the same file";
        return cert.error(
            "there is no private key for this certificate",
            "holds certificates only",
            Some(help.into()),
        );
    }
    Some(source.private_key(cert)?.value)
}

fn has_private_key(pem: &[u8]) -> bool {
    rustls_pki_types::PrivateKeyDer::from_pem_slice(pem).is_ok()
}

/// Which keys work.
pub(super) const KEY_HELP: &str = "RSA (2048 to 4096 bits), ECDSA (P-256, P-384, P-521) and Ed25519 keys in PEM work; `key_password` opens encrypted ones";

/// Refuses a key that cannot sign, or that belongs to another certificate.
fn check_key(cert: &Value<'_>, key_value: &Value<'_>, leaf: &[u8], key: &Secret) -> Option<()> {
    let key = match SigningKey::from_pem(key.expose()) {
        Ok(key) => key,
        Err(unusable) => return key_value.error(unusable.to_string().replace('`', "\""), "", Some(KEY_HELP.into())),
    };
    let leaf = x509_cert::Certificate::from_der(leaf).ok()?;
    let spki = leaf.tbs_certificate().subject_public_key_info().to_der().ok()?;
    match PublicKey::from_spki(&spki) {
        Ok(public) if public == *key.public_key() => Some(()),
        Ok(_) => {
            let label = format!("not the key of {}", cert.text()?.value);
            let help = "take the key that was made together with the certificate";
            key_value.error("the private key does not belong to the certificate", label, Some(help.into()))
        }
        Err(unsupported) => key_value.error(format!("the certificate cannot be used: {unsupported}"), "", None),
    }
}

/// Reads `ca`.
pub(super) fn client_authorities(source: &Source<'_>, section: &Section<'_>) -> Option<Located<Vec<Vec<u8>>>> {
    let value = section.value("ca")?;
    let mut authorities = Vec::new();
    if value.items().is_empty() {
        value.error::<()>(format!("`{}` is empty", value.path()), "", Some("name a file, or remove the key".into()));
    }
    for item in value.items() {
        let Some(pem) = source.public_file(&item) else { continue };
        let Some(found) = certificates(&item, &pem.value) else { continue };
        check_authorities(source, &item, &found, section.path().starts_with("site."));
        authorities.extend(found);
    }
    Some(Located { value: authorities, spot: value.spot })
}

fn check_authorities(source: &Source<'_>, value: &Value<'_>, authorities: &[Vec<u8>], of_site: bool) {
    let (leaf, useless) = match of_site {
        true => ("the peer's certificate, not that certificate itself", "the peer cannot come in with it"),
        false => ("client certificates, not a client's certificate itself", "nobody can log in with it"),
    };
    for der in authorities {
        let Some(facts) = Facts::of(der) else {
            value.error::<()>("a certificate in this file cannot be read", "not valid X.509", None);
            continue;
        };
        if !facts.is_authority {
            let help = format!("`ca` wants the authority that signs {leaf}");
            source.problems.report(
                Problem::warning("a certificate in this file is not an authority").at(value.spot, "").help(help),
            );
        }
        if facts.not_after < source.surroundings.now {
            let title = format!("an authority in this file expired on {}", facts.not_after.strftime("%Y-%m-%d"));
            source.problems.report(Problem::warning(title).at(value.spot, useless).help("renew it"));
        }
    }
}

/// The lists of revoked certificates in a file, DER; `None` if it is neither a CRL nor PEM with CRLs.
pub(super) fn revocation_lists(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let pem: Result<Vec<_>, _> =
        CertificateRevocationListDer::pem_slice_iter(bytes).map(|c| c.map(|der| der.to_vec())).collect();
    let lists = match pem {
        Ok(lists) if !lists.is_empty() => lists,
        _ => vec![bytes.to_vec()],
    };
    lists.iter().all(|der| CertificateList::<Rfc5280>::from_der(der).is_ok()).then_some(lists)
}

/// The certificates of a PEM text, in order; at least one.
fn certificates(value: &Value<'_>, pem: &[u8]) -> Option<Vec<Vec<u8>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).map(|c| c.map(|der| der.to_vec())).collect();
    match found {
        Ok(chain) if !chain.is_empty() => Some(chain),
        Ok(_) => {
            value.error("there is no certificate in this file", "", Some("it must be PEM (BEGIN CERTIFICATE)".into()))
        }
        Err(_) => value.error("this is not a PEM file", "", Some("it must be PEM (BEGIN CERTIFICATE)".into())),
    }
}
