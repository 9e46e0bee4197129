//! Postquantum preshared keys, RFC 8784: every combination of what both ends have and demand.

use std::sync::Arc;

use cygnet_ike::config::Config;
use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::ppk::{PpkTable, SitePpk};
use cygnet_ike::testing::{ClientConfig, ClientPpk, End, LinkQuality, Login, Pair, Task, ToyEapPeer};
use cygnet_ike::wire::num::NotifyType;
use cygnet_ike::{LocalAuth, PeerAuth, RefusalReason};

use crate::pki::Pki;
use crate::setup::*;

const KEY: &[u8] = b"32 octets that nobody could guess";

/// The name of the key as a notification has it: PPK_ID_FIXED.
fn named(id: &str) -> Vec<u8> {
    [&[2], id.as_bytes()].concat()
}

fn table(entries: &[(&str, &[u8])]) -> PpkTable {
    PpkTable::new(entries.iter().map(|(id, key)| (id.as_bytes().to_vec(), Secret::from_slice(key))).collect())
}

fn server_with(entries: &[(&str, &[u8])], required: bool) -> Config {
    let mut config = server();
    (config.ppks, config.ppk_required) = (table(entries), required);
    config
}

fn client_with(id: &str, key: &[u8], required: bool) -> ClientConfig {
    let mut config = client();
    config.ppk = Some(ClientPpk { identity: named(id), secret: key.to_vec(), required });
    config
}

/// Whether the key is in use at both ends, which then agree on all keys.
fn is_mixed(pair: &Pair) -> bool {
    assert_up(pair, 0);
    let told = pair.server.snapshot()[0].ppk;
    assert_eq!(pair.clients[0].uses_ppk, told);
    told
}

#[expect(clippy::panic, reason = "a failure of the test")]
fn refused(pair: &Pair) -> &RefusalReason {
    assert_eq!(pair.clients[0].end(), Some(&End::Refused(NotifyType::AUTHENTICATION_FAILED)));
    let [reason] = refusals(pair)[..] else { panic!("{:?}", pair.seen) };
    reason
}

#[test]
fn a_key_that_both_have_is_used_whoever_demands_it() {
    for (server_requires, client_requires) in [(false, false), (false, true), (true, false), (true, true)] {
        let server = server_with(&[("other", b"another key"), ("laptops", KEY)], server_requires);
        let mut pair = login(server, client_with("laptops", KEY, client_requires));
        assert!(is_mixed(&pair), "{server_requires} {client_requires}");
        run(&mut pair, 0, Task::RekeyIke);
        run(&mut pair, 0, Task::RekeyChild);
        assert!(is_mixed(&pair), "it stays in the keys when they are renewed");
    }
}

#[test]
fn without_a_key_on_one_side_the_tunnel_comes_up_unless_somebody_demands_it() {
    assert!(!is_mixed(&login(server(), client_with("laptops", KEY, false))));
    assert!(!is_mixed(&login(server_with(&[("laptops", KEY)], false), client())));
    let pair = login(server(), client_with("laptops", KEY, true));
    assert_eq!(pair.clients[0].end(), Some(&End::Distrust("the server has no postquantum preshared key")));
    let pair = login(server_with(&[("laptops", KEY)], true), client());
    assert_eq!(refused(&pair), &RefusalReason::PpkRequired);
    assert!(refused(&pair).explain().contains("postquantum"));
}

#[test]
fn a_name_that_the_server_does_not_know_is_as_good_as_no_key() {
    assert!(!is_mixed(&login(server_with(&[("phones", KEY)], false), client_with("laptops", KEY, false))));
    let pair = login(server_with(&[("phones", KEY)], false), client_with("laptops", KEY, true));
    assert_eq!(refused(&pair), &RefusalReason::PpkUnknown);
    let pair = login(server_with(&[("phones", KEY)], true), client_with("laptops", KEY, false));
    assert_eq!(refused(&pair), &RefusalReason::PpkUnknown);
}

#[test]
fn a_name_of_an_unknown_kind_or_none_at_all_is_not_known() {
    for identity in [vec![], vec![1], [&[1], &b"laptops"[..]].concat(), b"laptops".to_vec()] {
        let mut client = client_with("laptops", KEY, true);
        client.ppk = Some(ClientPpk { identity, secret: KEY.to_vec(), required: true });
        let pair = login(server_with(&[("laptops", KEY)], false), client);
        assert_eq!(refused(&pair), &RefusalReason::PpkUnknown);
    }
}

#[test]
fn another_key_of_the_same_name_fails_like_a_wrong_psk() {
    for required in [true, false] {
        let mut pair = login(server_with(&[("laptops", KEY)], false), client_with("laptops", b"another", required));
        assert_eq!(refused(&pair), &RefusalReason::WrongPsk);
        assert_empty(&mut pair);
    }
}

#[test]
fn the_proof_without_the_key_has_to_be_right_too() {
    let mut client = client_with("laptops", KEY, false);
    client.login = Login::Psk(b"sardine".to_vec());
    let pair = login(server_with(&[("phones", KEY)], false), client);
    assert_eq!(refused(&pair), &RefusalReason::WrongPsk);
}

#[test]
fn with_eap_the_key_is_named_in_the_last_request() {
    let pki = Pki::new();
    for (known, server_requires, client_requires, expected) in [
        (true, false, false, Ok(true)),
        (true, true, true, Ok(true)),
        (false, false, false, Ok(false)),
        (false, true, false, Err(RefusalReason::PpkUnknown)),
        (false, false, true, Err(RefusalReason::PpkUnknown)),
    ] {
        let mut server = pki.server();
        let name = if known { "laptops" } else { "phones" };
        (server.ppks, server.ppk_required) = (table(&[(name, KEY)]), server_requires);
        let peer = ToyEapPeer { name: "alice".into(), password: "wonderland".into() };
        let mut client = pki.client(Login::Eap(Box::new(peer)));
        client.ppk = Some(ClientPpk { identity: named("laptops"), secret: KEY.to_vec(), required: client_requires });
        let mut pair = Pair::new(server, LinkQuality::PERFECT, 1);
        pair.passwords.insert("alice".into(), "wonderland".into());
        pair.connect(client, 2);
        pair.settle(LIMIT);
        match expected {
            Ok(mixed) => assert_eq!(is_mixed(&pair), mixed),
            Err(reason) => assert_eq!(refused(&pair), &reason),
        }
    }
}

#[test]
fn with_certificates_the_signature_is_made_over_the_mixed_keys() {
    let pki = Pki::new();
    let mut server = pki.server();
    server.ppks = table(&[("laptops", KEY)]);
    let mut client = pki.client(pki.certificate(&crate::pki::params("laptop", &["laptop.example"])));
    client.ppk = Some(ClientPpk { identity: named("laptops"), secret: KEY.to_vec(), required: false });
    assert!(is_mixed(&login(server, client)));
}

#[test]
fn the_key_of_a_site_is_for_that_site() {
    let site = |required| {
        let mut site =
            site("berlin", LocalAuth::Psk(Secret::from_slice(b"site")), PeerAuth::Psk(Secret::from_slice(b"site")));
        site.ppk = Some(SitePpk { id: b"berlin".to_vec(), secret: Secret::from_slice(KEY), required });
        Arc::new(site)
    };
    let client = |psk: &[u8], id| {
        let mut config = client_with(id, KEY, true);
        config.login = Login::Psk(psk.to_vec());
        config
    };
    let with = |required| {
        let mut config = server();
        config.sites = vec![site(required)];
        config
    };
    let pair = login(with(true), client(b"site", "berlin"));
    let info = &pair.server.snapshot()[0];
    assert_eq!((info.site.as_deref(), info.ppk, pair.clients[0].uses_ppk), (Some("berlin"), true, true));
    let pair = login(with(false), client(b"site", "paris"));
    assert_eq!(refused(&pair), &RefusalReason::PpkUnknown);
    let pair = login(with(false), client(b"swordfish", "berlin"));
    assert_eq!(pair.server.snapshot().iter().filter(|info| info.by.is_some()).count(), 0, "no client has that key");
    let mut without = crate::setup::client();
    without.login = Login::Psk(b"site".to_vec());
    let pair = login(with(true), without);
    assert_eq!(refused(&pair), &RefusalReason::PpkRequired);
}
