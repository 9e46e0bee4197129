//! Which of several certificates a client is shown.

use std::sync::Arc;

use cygnet_ike::cert::TrustAnchors;
use cygnet_ike::config::Config;
use cygnet_ike::credential::Credential;
use cygnet_ike::testing::{ClientConfig, End};
use cygnet_ike::wire::num::HashAlgId;
use rcgen::{KeyPair, PKCS_ED25519};

use crate::pki::{Pki, params};
use crate::setup::*;

/// Two authorities of which a client knows one.
struct Two {
    one: Pki,
    other: Pki,
}

impl Two {
    fn new() -> Self {
        Self { one: Pki::named("one"), other: Pki::named("other") }
    }

    fn server(&self, credentials: Vec<Arc<Credential>>) -> Config {
        let mut config = self.one.server();
        config.credentials = credentials;
        config
    }

    /// Logs in by a certificate of `one`, and trusts servers of `trusted`.
    fn client(&self, trusted: &Pki, name: &str) -> ClientConfig {
        let mut config = self.one.client(self.one.certificate(&params("laptop", &["laptop.example"])));
        config.server_identity = Some(identity(name));
        config.authorities = Some(TrustAnchors::new(&[&trusted.root]).expect("an authority"));
        config
    }
}

#[test]
fn the_name_that_the_client_asks_for_decides_first() {
    let pki = Two::new();
    let credential = |name| pki.one.credential(&params("gateway", &[name]));
    for name in ["vpn.example", "gw.example", "third.example"] {
        let names = ["vpn.example", "gw.example", "third.example"];
        let pair = login(pki.server(names.map(credential).to_vec()), pki.client(&pki.one, name));
        assert_up(&pair, 0);
        assert_eq!(pair.clients[0].server_identity, Some(identity(name)));
    }
}

#[test]
fn of_equal_names_the_authority_that_the_client_knows_decides() {
    let pki = Two::new();
    let names = params("gateway", &["vpn.example"]);
    for first in [&pki.one, &pki.other] {
        let second = if std::ptr::eq(first, &pki.one) { &pki.other } else { &pki.one };
        for trusted in [&pki.one, &pki.other] {
            let mut client = pki.client(trusted, "vpn.example");
            client.requested_authorities = Some([vec![7; 20], trusted.request()].concat());
            let credentials = vec![first.credential(&names), second.credential(&names)];
            assert_up(&login(pki.server(credentials), client), 0);
        }
        // Who does not say gets the first.
        let credentials = vec![first.credential(&names), second.credential(&names)];
        let pair = login(pki.server(credentials), pki.client(second, "vpn.example"));
        assert_eq!(pair.clients[0].end(), Some(&End::Distrust("certificate")));
    }
}

#[test]
fn an_authority_that_does_not_go_along_is_found_among_those_of_clients() {
    let pki = Two::new();
    let names = params("gateway", &["vpn.example"]);
    let mut client = pki.client(&pki.one, "vpn.example");
    client.requested_authorities =
        Some(TrustAnchors::new(&[&pki.one.root]).expect("an authority").request_authorities());
    let credentials = vec![pki.other.credential(&names), pki.one.credential(&names)];
    assert_up(&login(pki.server(credentials), client), 0);
}

#[test]
fn a_signature_that_the_client_cannot_verify_is_avoided() {
    let pki = Two::new();
    let names = params("gateway", &["vpn.example"]);
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("randomness");
    let (chain, pem) = pki.one.issue_for(&names, &key);
    let modern = Arc::new(Credential::new(chain, pem.as_bytes()).expect("they belong together"));
    for hashes in [None, Some(vec![HashAlgId::SHA2_256]), Some(vec![HashAlgId::IDENTITY])] {
        let mut client = pki.client(&pki.one, "vpn.example");
        client.hashes = hashes;
        let credentials = vec![modern.clone(), pki.one.credential(&names)];
        assert_up(&login(pki.server(credentials), client), 0);
    }
}

#[test]
fn the_name_counts_more_than_the_authority() {
    let pki = Two::new();
    let mut client = pki.client(&pki.one, "vpn.example");
    client.requested_authorities = Some(pki.other.request());
    let credentials = vec![
        pki.other.credential(&params("gateway", &["gw.example"])),
        pki.one.credential(&params("gateway", &["vpn.example"])),
    ];
    assert_up(&login(pki.server(credentials), client), 0);
}
