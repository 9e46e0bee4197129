//! Certificates of our authority before the verifier that clients of the gateway meet.

use std::time::Duration;

use cygnet_ike::cert::{CertError, Certificate, Role, TrustAnchors, UnixTime as IkeTime, pem, verify_chain};
use cygnet_ike::crypto::sign::SigningKey;

use super::*;

const DAY: u64 = 86_400;
const NOW: u64 = 20_000 * DAY;

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn ca() -> Issued {
    make_ca("Cygnet test CA", KeyKind::EcdsaP256, at(NOW)).unwrap()
}

fn server(ca: &Issued, names: &[&str]) -> Issued {
    let names: Vec<SubjectName> = names.iter().map(|n| SubjectName::from_text(n)).collect();
    issue_server_certificate(ca, &names, KeyKind::EcdsaP256, at(NOW)).unwrap()
}

fn parse(issued: &Issued) -> Certificate {
    let [der] = pem::certificates(issued.certificate_pem.as_bytes()).unwrap().try_into().unwrap();
    Certificate::from_der(&der).unwrap()
}

fn verify(issued: &Issued, ca: &Issued, seconds: u64, role: Role) -> Result<(), CertError> {
    let anchors = TrustAnchors::from_pem(ca.certificate_pem.as_bytes()).unwrap();
    verify_chain(parse(issued).der(), &[], &anchors, IkeTime(Duration::from_secs(seconds)), role).map(|_| ())
}

fn names(issued: &Issued) -> Vec<String> {
    parse(issued).names().iter().map(ToString::to_string).collect()
}

#[test]
fn a_server_certificate_is_what_stock_clients_want() {
    let ca = ca();
    let server = server(&ca, &["vpn.example.org", "198.51.100.7", "2001:db8::7"]);
    assert_eq!(names(&server), ["vpn.example.org", "198.51.100.7", "2001:db8::7"]);
    let certificate = parse(&server);
    assert_eq!(certificate.subject_text(), "CN=vpn.example.org");
    assert_eq!(certificate.issuer_text(), "CN=Cygnet test CA");
    assert_eq!(certificate.key_purposes().unwrap(), ["serverAuth", "iKEIntermediate"]);
    assert!(!certificate.is_ca() && certificate.key_signs());
    let life = certificate.not_after().0 - certificate.not_before().0;
    assert_eq!(life, Duration::from_secs(825 * DAY));
    verify(&server, &ca, NOW, Role::Server).unwrap();
}

#[test]
fn certificates_hold_from_a_day_ago_until_their_end() {
    let ca = ca();
    let server = server(&ca, &["vpn.example.org"]);
    assert!(matches!(verify(&server, &ca, NOW - 2 * DAY, Role::Server), Err(CertError::NotYetValid { .. })));
    verify(&server, &ca, NOW - DAY + 60, Role::Server).unwrap();
    verify(&server, &ca, NOW + 823 * DAY, Role::Server).unwrap();
    assert!(matches!(verify(&server, &ca, NOW + 825 * DAY, Role::Server), Err(CertError::Expired { .. })));
}

#[test]
fn a_client_certificate_is_no_server_certificate() {
    let ca = ca();
    let name = SubjectName::from_text("alice@example.org");
    let client = issue_client_certificate(&ca, "alice", &[name], KeyKind::EcdsaP256, at(NOW)).unwrap();
    assert_eq!(names(&client), ["alice@example.org"]);
    assert_eq!(parse(&client).key_purposes().unwrap(), ["clientAuth"]);
    verify(&client, &ca, NOW, Role::Client).unwrap();
    assert!(matches!(verify(&client, &ca, NOW, Role::Server), Err(CertError::BadEku { .. })));
    let server = server(&ca, &["vpn.example.org"]);
    assert!(matches!(verify(&server, &ca, NOW, Role::Client), Err(CertError::BadEku { .. })));
}

#[test]
fn another_authority_of_the_same_name_is_not_believed() {
    let (ours, theirs) = (ca(), ca());
    let server = server(&theirs, &["vpn.example.org"]);
    assert!(verify(&server, &theirs, NOW, Role::Server).is_ok());
    assert!(verify(&server, &ours, NOW, Role::Server).is_err());
}

#[test]
fn rsa_keys_sign_and_verify() {
    let ca = make_ca("Cygnet RSA CA", KeyKind::Rsa2048, at(NOW)).unwrap();
    let names = [SubjectName::from_text("vpn.example.org")];
    let server = issue_server_certificate(&ca, &names, KeyKind::Rsa2048, at(NOW)).unwrap();
    verify(&server, &ca, NOW, Role::Server).unwrap();
    let key = SigningKey::from_pem(server.key_pem.as_bytes()).ok().unwrap();
    assert!(key.public_key() == &parse(&server).public_key().unwrap());
}

#[test]
fn an_ecdsa_key_is_the_one_in_its_certificate() {
    let server = server(&ca(), &["vpn.example.org"]);
    let key = SigningKey::from_pem(server.key_pem.as_bytes()).ok().unwrap();
    assert!(key.public_key() == &parse(&server).public_key().unwrap());
}

#[test]
fn serial_numbers_differ() {
    let ca = ca();
    let serial = |issued: &Issued| {
        use der::DecodePem;
        let certificate = x509_cert::Certificate::from_pem(&issued.certificate_pem).unwrap();
        certificate.tbs_certificate().serial_number().as_bytes().to_vec()
    };
    let (one, two) = (serial(&server(&ca, &["a.example"])), serial(&server(&ca, &["a.example"])));
    assert_ne!(one, two);
    assert_eq!(one.len(), 16);
}

#[test]
fn an_authority_of_others_with_a_long_name_can_issue() {
    let key = key::generate(KeyKind::EcdsaP256).unwrap();
    let mut params = params("Old CA", CA_DAYS, at(NOW)).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CountryName, rcgen::DnValue::PrintableString("DE".try_into().unwrap()));
    params.distinguished_name.push(DnType::OrganizationName, "Beispiel & Söhne");
    params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![1, 2, 3, 4]);
    let certificate_pem = params.self_signed(&key.pair).unwrap().pem();
    let ca = Issued { certificate_pem, key_pem: key.pem };
    let server = server(&ca, &["vpn.example.org"]);
    assert_eq!(parse(&server).issuer(), parse(&ca).subject());
    verify(&server, &ca, NOW, Role::Server).unwrap();
}

#[test]
fn what_is_no_authority_cannot_issue() {
    let (one, two) = (ca(), ca());
    let names = [SubjectName::from_text("vpn.example.org")];
    let refusal =
        |ca: &Issued| issue_server_certificate(ca, &names, KeyKind::EcdsaP256, at(NOW)).err().unwrap().to_string();
    let mixed = Issued { certificate_pem: one.certificate_pem.clone(), key_pem: two.key_pem };
    assert_eq!(refusal(&mixed), "the authority cannot issue: the key does not belong to the certificate");
    let leaf = server(&one, &["vpn.example.org"]);
    assert_eq!(refusal(&leaf), "the authority cannot issue: the certificate is not one of an authority");
    let garbage = Issued { certificate_pem: "nothing".into(), key_pem: one.key_pem };
    assert!(refusal(&garbage).starts_with("the authority cannot issue: its certificate cannot be read"));
}

#[test]
fn names_that_cannot_stand_in_a_certificate_are_refused() {
    let ca = ca();
    for bad in ["", "vpn example", "vpn..example", "@example.org", "alice@", "söhne.example"] {
        let names = [SubjectName::from_text(bad)];
        let refusal = issue_server_certificate(&ca, &names, KeyKind::EcdsaP256, at(NOW)).err().unwrap();
        assert!(matches!(refusal, PkiError::InvalidName(name) if name == bad), "{bad}");
    }
    let nothing = issue_server_certificate(&ca, &[], KeyKind::EcdsaP256, at(NOW)).err().unwrap();
    assert!(matches!(nothing, PkiError::NoName));
}
