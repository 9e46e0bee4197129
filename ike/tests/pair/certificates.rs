//! Login by certificate and by EAP: what both ends demand of each other.

use std::sync::Arc;

use cygnet_ike::config::Config;
use cygnet_ike::credential::Authorities;
use cygnet_ike::testing::{End, LinkQuality, Login, Pair, Seen, ToyEapPeer};
use cygnet_ike::wire::num::NotifyType;
use cygnet_ike::{AuthenticatedBy, CloseReason, RefusalReason};
use rcgen::date_time_ymd;

use crate::pki::{Pki, params};
use crate::setup::*;

fn eap(password: &str) -> Login {
    Login::Eap(Box::new(ToyEapPeer { name: "alice".into(), password: password.into() }))
}

fn eap_login(pki: &Pki, server: Config, login: Login) -> Pair {
    let mut pair = Pair::new(server, LinkQuality::PERFECT, 1);
    pair.passwords.insert("alice".into(), "wonderland".into());
    pair.connect(pki.client(login), 2);
    pair.settle(LIMIT);
    pair
}

#[test]
fn a_client_with_a_certificate_comes_in_with_and_without_rfc_7427_and_fragments() {
    let pki = Pki::new();
    for (hashes, fragmentation) in [(true, true), (true, false), (false, true)] {
        let mut config = pki.client(pki.certificate(&params("laptop", &["laptop.example"])));
        if !hashes {
            config.hashes = None;
        }
        config.fragmentation = fragmentation;
        let pair = login(pki.server(), config);
        assert_up(&pair, 0);
        assert_eq!(pair.server.snapshot()[0].by, Some(AuthenticatedBy::Certificate));
        assert_eq!(pair.clients[0].server_identity, Some(identity("vpn.example")), "the name that was asked for");
    }
}

#[test]
fn a_certificate_of_another_authority_is_refused_with_its_issuer() {
    let pki = Pki::new();
    let mut server = pki.server();
    server.client_authorities =
        Some(Arc::new(Authorities::new(&[Pki::named("another root").root]).expect("an authority")));
    let pair = login(server, pki.client(pki.certificate(&params("laptop", &["laptop.example"]))));
    assert_eq!(pair.clients[0].end(), Some(&End::Refused(NotifyType::AUTHENTICATION_FAILED)));
    let [reason @ RefusalReason::Certificate(_)] = refusals(&pair)[..] else { panic!("{:?}", pair.seen) };
    assert!(reason.explain().contains("CN=root"), "{}", reason.explain());
}

#[test]
fn an_expired_certificate_is_refused_with_its_date() {
    let pki = Pki::new();
    let mut expired = params("laptop", &["laptop.example"]);
    expired.not_after = date_time_ymd(2026, 6, 1);
    let pair = login(pki.server(), pki.client(pki.certificate(&expired)));
    assert_eq!(pair.clients[0].end(), Some(&End::Refused(NotifyType::AUTHENTICATION_FAILED)));
    let explained = refusals(&pair)[0].explain();
    assert!(explained.contains("2026-06-01"), "{explained}");
}

#[test]
fn a_certificate_proves_only_its_own_names() {
    let pki = Pki::new();
    let pair = login(pki.server(), pki.client(pki.certificate(&params("other", &["other.example"]))));
    assert_eq!(pair.clients[0].end(), Some(&End::Refused(NotifyType::AUTHENTICATION_FAILED)));
    assert!(refusals(&pair)[0].explain().contains("other.example"));
}

#[test]
fn a_signature_of_another_key_is_refused() {
    let pki = Pki::new();
    let (chain, _) = pki.issue(&params("laptop", &["laptop.example"]));
    let (_, key) = pki.issue(&params("laptop", &["laptop.example"]));
    let pair = login(pki.server(), pki.client(Login::Certificate { chain, key_pem: key.into_bytes() }));
    assert_eq!(pair.clients[0].end(), Some(&End::Refused(NotifyType::AUTHENTICATION_FAILED)));
    assert!(matches!(refusals(&pair)[..], [RefusalReason::Signature(_)]));
}

#[test]
fn without_authorities_or_certificate_the_operator_learns_what_is_missing() {
    let pki = Pki::new();
    let mut server = pki.server();
    server.client_authorities = None;
    let pair = login(server, pki.client(pki.certificate(&params("laptop", &["laptop.example"]))));
    assert_eq!(refusals(&pair), [&RefusalReason::CertificatesUnavailable]);
    let mut server = pki.server();
    server.credentials = Vec::new();
    let pair = login(server, pki.client(pki.certificate(&params("laptop", &["laptop.example"]))));
    assert_eq!(refusals(&pair), [&RefusalReason::NoServerCertificate]);
    let mut server = pki.server();
    server.credentials = Vec::new();
    let pair = eap_login(&pki, server, eap("wonderland"));
    assert_eq!(refusals(&pair), [&RefusalReason::EapUnavailable { certificate_missing: true }]);
}

#[test]
fn a_client_that_expects_a_name_that_we_lack_turns_away() {
    let pki = Pki::new();
    let mut config = pki.client(eap("wonderland"));
    config.server_identity = Some(identity("bank.example"));
    let pair = login(pki.server(), config);
    assert_eq!(pair.clients[0].end(), Some(&End::Distrust("the server has another name")));
}

#[test]
fn the_right_password_comes_in() {
    let pki = Pki::new();
    let pair = eap_login(&pki, pki.server(), eap("wonderland"));
    assert_up(&pair, 0);
    assert_eq!(pair.server.snapshot()[0].by, Some(AuthenticatedBy::Eap));
    assert_eq!(pair.clients[0].addresses().len(), 1);
}

#[test]
fn the_wrong_password_gets_eap_failure_and_nothing_stays() {
    let pki = Pki::new();
    let mut pair = eap_login(&pki, pki.server(), eap("looking glass"));
    assert_eq!(pair.clients[0].end(), Some(&End::EapFailure));
    assert_eq!(refusals(&pair), [&RefusalReason::EapFailed]);
    assert_eq!(closed(&pair), [CloseReason::Failed]);
    assert_empty(&mut pair);
}

#[test]
fn the_key_of_the_eap_method_is_checked() {
    struct WrongKey(ToyEapPeer);
    impl cygnet_ike::testing::EapPeer for WrongKey {
        fn respond(&mut self, request: &[u8]) -> Vec<u8> {
            self.0.respond(request)
        }
        fn msk(&self) -> Vec<u8> {
            vec![7; 64]
        }
    }
    let pki = Pki::new();
    let peer = WrongKey(ToyEapPeer { name: "alice".into(), password: "wonderland".into() });
    let pair = eap_login(&pki, pki.server(), Login::Eap(Box::new(peer)));
    assert_eq!(pair.clients[0].end(), Some(&End::Refused(NotifyType::AUTHENTICATION_FAILED)));
    assert_eq!(refusals(&pair), [&RefusalReason::EapKeyMismatch]);
    assert!(!pair.seen.iter().any(|seen| matches!(seen, Seen::Authenticated(..))));
}

#[test]
fn eap_does_not_go_on_for_ever() {
    let pki = Pki::new();
    let mut server = pki.server();
    server.limits.eap_rounds = 2;
    let pair = eap_login(&pki, server, eap("wonderland"));
    assert_eq!(refusals(&pair), [&RefusalReason::EapTooLong]);
    assert_eq!(pair.clients[0].end(), Some(&End::Refused(NotifyType::AUTHENTICATION_FAILED)));
}

#[test]
fn initial_contact_with_a_claimed_identity_replaces_nobody() {
    let pki = Pki::new();
    let mut pair = eap_login(&pki, pki.server(), eap("wonderland"));
    let mut config = pki.client(eap("wonderland"));
    config.initial_contact = true;
    let second = pair.connect(config, 9);
    pair.settle(LIMIT);
    assert_up(&pair, second);
    assert_up(&pair, 0);
    let told = |seen: &&Seen| matches!(seen, Seen::Authenticated(_, request) if request.initial_contact);
    assert_eq!(pair.seen.iter().filter(told).count(), 1, "the server decides");
}
