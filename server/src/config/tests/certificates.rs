//! Certificates and keys: what fits, and what each misfit says.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};

use super::{Machine, machine, remote};

/// A self-signed certificate with its key; `change` makes it special.
fn certificate(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 6, 1);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    change(&mut params);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn with_certificate(certificate: &str, key: &str) -> Machine {
    let machine = machine();
    machine.write_with_mode("gw.pem", certificate, 0o644).write("gw.key", key);
    machine
}

const KEYS: &str = "cert = \"gw.pem\"\nkey = \"gw.key\"\n";

#[test]
fn a_fitting_certificate_lets_users_in() {
    let (cert, key) = certificate(&["vpn.example.org", "192.0.2.1"], |_| {});
    let machine = with_certificate(&cert, &key);
    let text = remote(&format!("{KEYS}[users]\nalice = \"x\"\n"));
    assert_eq!(machine.report(&text), "");
    let settings = machine.settings(&text);
    let ways = settings.client_authentication();
    assert!(ways.password && ways.psk && !ways.certificate);
    let identity = settings.remote.unwrap().server_identities.remove(0);
    assert_eq!((identity.chain.len(), identity.key.expose()), (1, key.trim_end().as_bytes()));
}

#[test]
fn the_key_may_stand_in_the_same_file() {
    let (cert, key) = certificate(&["*.example.org"], |_| {});
    let machine = machine();
    machine.write("gw.pem", &format!("{cert}{key}"));
    assert_eq!(machine.report(&remote("cert = \"gw.pem\"\n")), "");
    machine.write_with_mode("gw.pem", &format!("{cert}{key}"), 0o644);
    assert!(machine.report(&remote("cert = \"gw.pem\"\n")).contains("is open to everybody"));
    machine.write("gw.pem", &cert);
    assert!(machine.report(&remote("cert = \"gw.pem\"\n")).contains("there is no private key for this certificate"));
}

#[test]
fn misfits_are_named() {
    type Change = fn(&mut CertificateParams);
    let nothing: Change = |_| {};
    for (name, change, parts) in [
        (
            "other.example.org",
            nothing,
            ["error: the certificate does not name \"vpn.example.org\"", "names other.example.org"],
        ),
        ("*.org", nothing, ["does not name", "Windows: error 13801"]),
        (
            "vpn.example.org",
            |p| p.not_after = date_time_ymd(2026, 11, 1),
            ["error: the certificate expired on 2026-11-01 00:00 UTC", "renew it"],
        ),
        (
            "vpn.example.org",
            |p| p.not_after = date_time_ymd(2026, 12, 1),
            ["warning: the certificate expires on 2026-12-01", "renew it now"],
        ),
        (
            "vpn.example.org",
            |p| p.not_before = date_time_ymd(2027, 1, 1),
            ["error: the certificate is not valid before 2027-01-01", "the clock"],
        ),
        (
            "vpn.example.org",
            |p| p.extended_key_usages.clear(),
            ["warning: the certificate is not marked for servers", "serverAuth"],
        ),
        (
            "vpn.example.org",
            |p| p.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained),
            ["warning: the gateway's certificate is an authority", "sign a server certificate"],
        ),
    ] {
        let (cert, key) = certificate(&[name], change);
        let report = with_certificate(&cert, &key).report(&remote(KEYS));
        assert!(parts.iter().all(|part| report.contains(part)), "{report}");
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (cert, _) = certificate(&["vpn.example.org"], |_| {});
    let (_, other_key) = certificate(&["vpn.example.org"], |_| {});
    let report = with_certificate(&cert, &other_key).report(&remote(KEYS));
    let expected = r#"
error: the private key does not belong to the certificate
 --> cygnet.toml:6:7
  |
6 | key = "gw.key"
  |       ^^^^^^^^ not the key of gw.pem
  |
help: take the key that was made together with the certificate
"#;
    assert_eq!(report.trim_end(), expected.trim_matches('\n'));
}

#[test]
fn files_that_hold_something_else_are_named() {
    let (cert, key) = certificate(&["vpn.example.org"], |_| {});
    for (cert, key, part) in [
        (key.as_str(), key.as_str(), "there is no certificate in this file"),
        ("garbage", key.as_str(), "there is no certificate in this file"),
        (cert.as_str(), cert.as_str(), "there is no private key in the file"),
        (
            cert.as_str(),
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "give its password as key_password",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
            key.as_str(),
            "this certificate cannot be read",
        ),
    ] {
        let report = with_certificate(cert, key).report(&remote(KEYS));
        assert!(report.contains(part), "{part}\n{report}");
    }
    let report = machine().report(&remote("key = \"gw.key\"\n"));
    assert!(report.contains("`remote.key` without `cert`"), "{report}");
}

#[test]
fn several_certificates_are_named_with_their_keys_in_the_same_order() {
    let (first, first_key) = certificate(&["vpn.example.org"], |_| {});
    let (second, second_key) = certificate(&["other.example.org"], |_| {});
    let machine = machine();
    machine.write("a.pem", &first).write("a.key", &first_key).write("b.pem", &second).write("b.key", &second_key);
    let text = remote("cert = [\"a.pem\", \"b.pem\"]\nkey = [\"a.key\", \"b.key\"]\n");
    assert_eq!(machine.report(&text), "");
    assert_eq!(machine.settings(&text).remote.unwrap().server_identities.len(), 2);
    let swapped = remote("cert = [\"a.pem\", \"b.pem\"]\nkey = [\"b.key\", \"a.key\"]\n");
    assert!(machine.report(&swapped).contains("the private key does not belong to the certificate"));
    let missing = machine.report(&remote("cert = [\"a.pem\", \"b.pem\"]\nkey = \"a.key\"\n"));
    assert!(missing.contains("there are 2 certificates but 1 keys"), "{missing}");
    let other = machine.report(&remote("cert = \"b.pem\"\nkey = \"b.key\"\n"));
    assert!(other.contains("the certificate does not name \"vpn.example.org\""), "{other}");
}

#[test]
fn a_password_opens_keys_and_containers() {
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/src/pki/container/testdata");
    let mut machine = machine();
    machine.surroundings.now = "2026-12-01T00:00:00Z".parse().unwrap();
    for name in ["modern.p12", "leaf.pem", "scrypt.pem"] {
        std::fs::copy(format!("{files}/{name}"), machine.path(name)).unwrap();
        std::fs::set_permissions(machine.path(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    for keys in ["cert = \"modern.p12\"\n", "cert = \"leaf.pem\"\nkey = \"scrypt.pem\"\n"] {
        let report = machine.report(&remote(&format!("{keys}key_password = \"swordfish\"\n")));
        assert_eq!(report, "", "{keys}");
        let wrong = machine.report(&remote(&format!("{keys}key_password = \"marlin\"\n")));
        assert!(wrong.contains("the password is wrong") && !wrong.contains("marlin"), "{wrong}");
        let without = machine.report(&remote(keys));
        assert!(without.contains("give its password as key_password"), "{without}");
    }
    machine.write_with_mode("open.p12", "", 0o644);
    std::fs::copy(format!("{files}/modern.p12"), machine.path("open.p12")).unwrap();
    std::fs::set_permissions(machine.path("open.p12"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let open = machine.report(&remote("cert = \"open.p12\"\nkey_password = \"swordfish\"\n"));
    assert!(open.contains("holds a secret and is open to everybody"), "{open}");
}

#[test]
fn lists_of_revoked_certificates_are_files_that_hold_one() {
    let (cert, key) = certificate(&["vpn.example.org"], |_| {});
    let machine = with_certificate(&cert, &key);
    let issuer_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(vec!["ca".to_owned()]).unwrap();
    ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign, rcgen::KeyUsagePurpose::KeyCertSign];
    let issuer = rcgen::Issuer::new(ca, issuer_key);
    let list = rcgen::CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 11, 1),
        next_update: date_time_ymd(2026, 12, 1),
        crl_number: rcgen::SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    machine.write("ca.crl", &list.signed_by(&issuer).unwrap().pem().unwrap());
    let text = remote(&format!("{KEYS}crl = \"ifuri\"\ncrl_files = \"ca.crl\"\n"));
    assert_eq!(machine.report(&text), "");
    let crl = machine.settings(&text).remote.unwrap().crl;
    assert_eq!((crl.policy, crl.files), (crate::config::CrlPolicy::IfUri, vec![machine.path("ca.crl")]));
    let wrong = machine.report(&remote(&format!("{KEYS}crl_files = \"gw.pem\"\n")));
    assert!(wrong.contains("there is no CRL in this file"), "{wrong}");
}

#[test]
fn client_authorities_must_be_authorities() {
    let (cert, key) = certificate(&["vpn.example.org"], |_| {});
    let ca = |p: &mut CertificateParams| p.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let machine = with_certificate(&cert, &key);
    let text = remote(&format!("{KEYS}ca = \"ca.pem\"\n"));
    let (authority, _) = certificate(&["ca"], ca);
    machine.write_with_mode("ca.pem", &authority, 0o644);
    assert_eq!(machine.report(&text), "");
    assert!(machine.settings(&text).client_authentication().certificate);
    machine.write("ca.pem", &cert);
    assert!(machine.report(&text).contains("warning: a certificate in this file is not an authority"));
    let (expired, _) = certificate(&["ca"], |p| {
        ca(p);
        p.not_after = date_time_ymd(2026, 2, 1);
    });
    machine.write("ca.pem", &expired);
    assert!(machine.report(&text).contains("warning: an authority in this file expired on 2026-02-01"));
    let report = machine.report(&remote("ca = \"ca.pem\"\n"));
    assert!(
        report.contains("error: clients cannot log in by certificate while the gateway has none itself"),
        "{report}"
    );
}

#[test]
fn users_alone_need_a_certificate() {
    let report = machine().report("[remote]\nname = \"a.example\"\npool = \"10.20.0.0/24\"\n[users]\nalice = \"x\"\n");
    assert!(report.contains("error: nobody can log in") && report.contains("users log in by EAP"), "{report}");
}
