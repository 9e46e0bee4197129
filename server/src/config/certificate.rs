//! Certificates and keys of `[remote]`: our own (`cert`, `key`) and the authorities of clients (`ca`).
//!
//! Does not: verify chains; the IKE engine does that with what clients send.

use std::net::IpAddr;

use cygnet_ike::crypto::sign::{PublicKey, SigningKey};
use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName};
use x509_cert::time::Time;

use super::problem::{Located, Problem, Spot};
use super::reader::{Section, Value};
use super::source::Source;
use super::{Secret, ServerIdentity};

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
    /// DNS names it vouches for, lower case.
    pub(super) dns_names: Vec<String>,
    /// Addresses it vouches for.
    pub(super) addresses: Vec<IpAddr>,
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
            dns_names: names.iter().filter_map(dns_name).collect(),
            addresses: names.iter().filter_map(address).collect(),
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

    /// Everything it vouches for, for messages.
    pub(super) fn names(&self) -> String {
        let all: Vec<String> =
            self.dns_names.iter().cloned().chain(self.addresses.iter().map(ToString::to_string)).collect();
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

fn timestamp(time: &Time) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.to_unix_duration().as_secs()).ok()?).ok()
}

/// Reads `cert` and `key`.
pub(super) fn server_identity(source: &Source<'_>, section: &Section<'_>) -> Option<LocatedIdentity> {
    let Some(cert) = section.value("cert") else {
        if let Some(key) = section.value("key") {
            let problem =
                Problem::error("`remote.key` without `remote.cert`").at(key.key_spot, "the key of which certificate?");
            source.problems.report(problem.help("add cert = \"FILE\", or remove the key"));
        }
        return None;
    };
    let pem = source.public_file(&cert)?;
    let chain = certificates(&cert, &pem.value)?;
    let facts = chain.first().and_then(|leaf| Facts::of(leaf));
    let Some(facts) = facts else { return cert.error("this certificate cannot be read", "not valid X.509", None) };
    let key = match section.value("key") {
        Some(value) => source.private_key(&value)?.value,
        None => key_beside_certificate(source, &cert)?,
    };
    let key_value = section.value("key").unwrap_or_else(|| cert.clone());
    check_key(&key_value, cert.text()?.value, chain.first()?, &key)?;
    Some(LocatedIdentity { identity: ServerIdentity { chain, key }, facts, spot: pem.spot })
}

/// The private key that stands in the same file as the certificate.
fn key_beside_certificate(source: &Source<'_>, cert: &Value<'_>) -> Option<Secret> {
    if !has_private_key(source.public_file(cert)?.value.as_slice()) {
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

/// Refuses a key that cannot sign, or that belongs to another certificate.
fn check_key(key_value: &Value<'_>, certificate_file: &str, leaf: &[u8], key: &Secret) -> Option<()> {
    let key = match SigningKey::from_pem(key.expose()) {
        Ok(key) => key,
        Err(unusable) => {
            let help = "RSA (2048 to 4096 bits), ECDSA (P-256, P-384, P-521) and Ed25519 keys in PEM without a passphrase work";
            return key_value.error(unusable.to_string().replace('`', "\""), "", Some(help.into()));
        }
    };
    let leaf = x509_cert::Certificate::from_der(leaf).ok()?;
    let spki = leaf.tbs_certificate().subject_public_key_info().to_der().ok()?;
    match PublicKey::from_spki(&spki) {
        Ok(public) if public == *key.public_key() => Some(()),
        Ok(_) => {
            let label = format!("not the key of {certificate_file}");
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
    for item in value.items() {
        let Some(pem) = source.public_file(&item) else { continue };
        let Some(found) = certificates(&item, &pem.value) else { continue };
        check_authorities(source, &item, &found);
        authorities.extend(found);
    }
    Some(Located { value: authorities, spot: value.spot })
}

fn check_authorities(source: &Source<'_>, value: &Value<'_>, authorities: &[Vec<u8>]) {
    for der in authorities {
        let Some(facts) = Facts::of(der) else {
            value.error::<()>("a certificate in this file cannot be read", "not valid X.509", None);
            continue;
        };
        if !facts.is_authority {
            let help = "`ca` wants the authority that signs client certificates, not a client's certificate itself";
            source.problems.report(
                Problem::warning("a certificate in this file is not an authority").at(value.spot, "").help(help),
            );
        }
        if facts.not_after < source.surroundings.now {
            let title = format!("an authority in this file expired on {}", facts.not_after.strftime("%Y-%m-%d"));
            source
                .problems
                .report(Problem::warning(title).at(value.spot, "nobody can log in with it").help("renew it"));
        }
    }
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
