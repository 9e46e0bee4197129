//! EAP without our certificate, RFC 5998.

use cygnet_ike::RefusalReason;
use cygnet_ike::config::Config;
use cygnet_ike::testing::{ClientConfig, End, LinkQuality, Login, Pair, ToyEapPeer};
use cygnet_ike::wire::num::NotifyType;

use crate::pki::Pki;
use crate::setup::*;

fn server_without_certificate() -> Config {
    let mut config = server();
    (config.eap, config.eap_only) = (true, true);
    config
}

fn client() -> ClientConfig {
    let mut config = crate::setup::client();
    config.login = Login::Eap(Box::new(ToyEapPeer { name: "alice".into(), password: "wonderland".into() }));
    config.eap_only = true;
    config
}

fn run_login(server: Config, client: ClientConfig, mutual: bool) -> Pair {
    let mut pair = Pair::new(server, LinkQuality::PERFECT, 1);
    pair.eap_is_mutual = mutual;
    pair.passwords.insert("alice".into(), "wonderland".into());
    pair.connect(client, 2);
    pair.settle(LIMIT);
    pair
}

#[test]
fn a_method_that_proves_both_sides_needs_no_certificate() {
    let pair = run_login(server_without_certificate(), client(), true);
    assert_up(&pair, 0);
    assert_eq!(pair.clients[0].server_identity, Some(identity("gw.example")));
}

#[test]
fn a_method_that_proves_the_client_only_is_not_enough() {
    let mut pair = run_login(server_without_certificate(), client(), false);
    assert_eq!(pair.clients[0].end(), Some(&End::Refused(NotifyType::AUTHENTICATION_FAILED)));
    assert_eq!(refusals(&pair), [&RefusalReason::EapNotMutual]);
    assert_empty(&mut pair);
}

#[test]
fn where_it_is_switched_off_the_certificate_is_shown() {
    let pki = Pki::new();
    let mut config = pki.client(client().login);
    config.eap_only = true;
    let pair = run_login(pki.server(), config, false);
    assert_up(&pair, 0);
    let pair = run_login(server_without_certificate(), crate::setup::client(), false);
    assert_up(&pair, 0);
    let mut server = server_without_certificate();
    server.eap_only = false;
    let pair = run_login(server, client(), true);
    assert_eq!(refusals(&pair), [&RefusalReason::EapUnavailable { certificate_missing: true }]);
}

#[test]
fn a_client_that_does_not_ask_for_it_is_shown_the_certificate() {
    let pki = Pki::new();
    let mut server = pki.server();
    server.eap_only = true;
    let pair = run_login(server, pki.client(client().login), false);
    assert_up(&pair, 0);
}
