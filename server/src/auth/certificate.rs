//! Which account a client certificate belongs to.
//!
//! Does not: verify anything; see [`super::client_authorities`].

use der::asn1::ObjectIdentifier;
use der::{Decode, Tag, Tagged};
use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use cygnet_ppp::auth::NAME_MAX;

/// The user principal name of Microsoft's directories.
const UPN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.3");
/// id-at-commonName, RFC 5280 appendix A.1.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The names in a certificate (DER) by which its holder may be known, the most telling first: mail addresses, user principal
/// names and host names of subjectAltName, then common name and whole distinguished name of the subject. Names that no
/// person types, with control characters or longer than a user name, are left out.
#[must_use]
pub fn names(der: &[u8]) -> Vec<String> {
    let Ok(certificate) = Certificate::from_der(der) else { return Vec::new() };
    let tbs = certificate.tbs_certificate();
    let alternatives = tbs.get_extension::<SubjectAltName>().ok().flatten().map(|(_, names)| names.0);
    let alternatives = alternatives.unwrap_or_default();
    let of = |pick: fn(&GeneralName) -> Option<String>| alternatives.iter().filter_map(pick).collect::<Vec<_>>();
    let common_names = tbs.subject().iter().filter_map(common_name).collect();
    let whole = if tbs.subject().is_empty() { Vec::new() } else { vec![tbs.subject().to_string()] };
    let all = [of(mail), of(principal), of(host), common_names, whole].concat();
    all.into_iter().filter(|name| is_a_name(name)).collect()
}

fn mail(name: &GeneralName) -> Option<String> {
    if let GeneralName::Rfc822Name(name) = name { Some(name.as_str().to_owned()) } else { None }
}

fn host(name: &GeneralName) -> Option<String> {
    if let GeneralName::DnsName(name) = name { Some(name.as_str().to_owned()) } else { None }
}

fn principal(name: &GeneralName) -> Option<String> {
    let GeneralName::OtherName(other) = name else { return None };
    let is_text = other.type_id == UPN && other.value.tag() == Tag::Utf8String;
    is_text.then(|| text(other.value.value())).flatten()
}

fn common_name(attribute: &AttributeTypeAndValue) -> Option<String> {
    let is_text = matches!(attribute.value.tag(), Tag::Utf8String | Tag::PrintableString | Tag::Ia5String);
    (attribute.oid == COMMON_NAME && is_text).then(|| text(attribute.value.value())).flatten()
}

fn text(octets: &[u8]) -> Option<String> {
    std::str::from_utf8(octets).ok().map(str::to_owned)
}

fn is_a_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_MAX && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, OtherNameValue, PKCS_ECDSA_P256_SHA256, SanType};

    use super::*;

    fn certificate(common_name: Option<&str>, alternatives: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
            params.distinguished_name.push(DnType::OrganizationName, "Example");
        }
        params.subject_alt_names = alternatives;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn mail(name: &str) -> SanType {
        SanType::Rfc822Name(name.try_into().unwrap())
    }

    fn host(name: &str) -> SanType {
        SanType::DnsName(name.try_into().unwrap())
    }

    fn principal(name: &str) -> SanType {
        let arcs = UPN.arcs().map(u64::from).collect();
        SanType::OtherName((arcs, OtherNameValue::Utf8String(name.to_owned())))
    }

    #[test]
    fn alternative_names_come_before_the_subject() {
        let all = vec![host("laptop.example.org"), principal("alice@corp.example"), mail("alice@example.org")];
        let names = names(&certificate(Some("Alice"), all));
        let expected = ["alice@example.org", "alice@corp.example", "laptop.example.org", "Alice", "O=Example,CN=Alice"];
        assert_eq!(names, expected);
    }

    #[test]
    fn names_that_nobody_types_do_not_count() {
        let long = "x".repeat(NAME_MAX + 1);
        for strange in ["alice\nbob", "\u{7f}", &long] {
            assert_eq!(names(&certificate(None, vec![principal(strange)])), [""; 0], "{strange:?}");
        }
        assert_eq!(names(&certificate(None, Vec::new())), [""; 0]);
        assert_eq!(names(b"no certificate"), [""; 0]);
    }
}
