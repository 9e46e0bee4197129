//! Who calls: sites and remote clients beside one another, told apart by what they say and prove.

use std::sync::Arc;

use cygnet_ike::config::Config;
use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::crypto::sign::{PublicKey, SigningKey};
use cygnet_ike::proposal::{Policy, PolicyName};
use cygnet_ike::psk::{PskSelector, PskTable};
use cygnet_ike::site::Site;
use cygnet_ike::testing::{ClientConfig, End, Login, Pair, ServerProof, To, ToyEapPeer};
use cygnet_ike::wire::num::NotifyType;
use cygnet_ike::{AuthenticatedBy, LocalAuth, PeerAuth, Prefix, RefusalReason};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm};

use crate::pki::{Pki, params};
use crate::setup::*;

/// Where the first client of a [`Pair`] is.
const CALLER: &str = "198.51.100.1";

fn at(address: &str) -> Vec<Prefix> {
    vec![Prefix { address: address.parse().expect("an address"), len: 32 }]
}

fn psk_site(name: &str, psk: &[u8]) -> Site {
    let auth = || Secret::from_slice(psk);
    site(name, LocalAuth::Psk(auth()), PeerAuth::Psk(auth()))
}

fn with_sites(mut config: Config, sites: Vec<Site>) -> Config {
    config.sites = sites.into_iter().map(Arc::new).collect();
    config
}

fn caller(idi: &str, psk: &[u8]) -> ClientConfig {
    ClientConfig::psk(identity(idi), psk)
}

/// Who the caller was taken for: the name of a site, or a client.
#[expect(clippy::panic, reason = "a failure of the test")]
fn taken_for(pair: &Pair) -> Result<String, RefusalReason> {
    if pair.clients[0].is_up() {
        let info = &pair.server.snapshot()[0];
        return Ok(info.site.as_deref().unwrap_or("a client").into());
    }
    // NO_PROPOSAL_CHOSEN is for whoever has proven who it is; the client misses our AUTH then.
    let is_told = match pair.clients[0].end() {
        Some(End::Distrust(problem)) => *problem == "the server sent no AUTH",
        end => end == Some(&End::Refused(NotifyType::AUTHENTICATION_FAILED)),
    };
    assert!(is_told, "{:?} {:?}", pair.clients[0].end(), pair.seen);
    let [reason] = refusals(pair)[..] else { panic!("{:?}", pair.seen) };
    Err(reason.clone())
}

#[test]
fn the_key_tells_sites_and_clients_apart() {
    let sites = || {
        let mut berlin = psk_site("berlin", b"berlin's");
        berlin.peer_identity = Some(identity("berlin.example"));
        let mut paris = psk_site("paris", b"paris'");
        paris.peer_addresses = at(CALLER);
        let rome = psk_site("rome", b"rome's");
        with_sites(server(), vec![berlin, paris, rome])
    };
    let expected = |name: &str| Ok::<_, RefusalReason>(name.to_string());
    for (idi, psk, is) in [
        ("berlin.example", &b"berlin's"[..], expected("berlin")),
        ("anything", b"paris'", expected("paris")),
        ("10.1.2.3", b"rome's", expected("rome")),
        ("laptop.example", b"swordfish", expected("a client")),
        // A name or an address alone opens nothing, and no key opens what another one is for.
        ("berlin.example", b"paris'", expected("paris")),
        ("berlin.example", b"swordfish", expected("a client")),
        ("laptop.example", b"berlin's", Err(RefusalReason::WrongPsk)),
        ("berlin.example", b"none of them", Err(RefusalReason::WrongPsk)),
    ] {
        assert_eq!(taken_for(&login(sites(), caller(idi, psk))), is, "{idi}");
    }
}

#[test]
fn the_identities_of_stock_clients_mean_nothing() {
    // Windows sends its private address, Android 14 a key identifier, Apple what was typed in, and none of them IDr.
    for idi in ["192.168.1.23", "keyid:phone", "keyid:0x00ff", "alice@example.org", "fe80::1"] {
        let mut berlin = psk_site("berlin", b"berlin's");
        berlin.peer_identity = Some(identity("berlin.example"));
        let pair = login(with_sites(server(), vec![berlin]), caller(idi, b"swordfish"));
        assert_eq!(taken_for(&pair), Ok("a client".into()), "{idi}");
        assert_eq!(pair.clients[0].server_identity, Some(identity("gw.example")));
    }
}

#[test]
fn of_two_sites_with_one_key_the_name_and_then_the_requested_name_decide() {
    let sites = || {
        let (mut one, mut two) = (psk_site("one", b"same"), psk_site("two", b"same"));
        one.identity = identity("one.gw.example");
        two.identity = identity("two.gw.example");
        let mut named = psk_site("named", b"same");
        named.peer_identity = Some(identity("branch.example"));
        with_sites(server(), vec![one, two, named])
    };
    let mut config = caller("x.example", b"same");
    assert_eq!(taken_for(&login(sites(), config)), Ok("one".into()), "the first of equals");
    config = caller("x.example", b"same");
    config.server_identity = Some(identity("two.gw.example"));
    let pair = login(sites(), config);
    assert_eq!(taken_for(&pair), Ok("two".into()));
    assert_eq!(pair.clients[0].server_identity, Some(identity("two.gw.example")));
    assert_eq!(taken_for(&login(sites(), caller("branch.example", b"same"))), Ok("named".into()));
}

#[test]
fn a_site_elsewhere_is_none_of_the_candidates() {
    let mut away = psk_site("away", b"away's");
    away.peer_addresses = at("203.0.113.77");
    let pair = login(with_sites(server(), vec![away]), caller("x.example", b"away's"));
    assert_eq!(taken_for(&pair), Err(RefusalReason::WrongPsk));
}

#[test]
fn a_site_with_the_wrong_name_is_told_to_the_operator() {
    let mut berlin = psk_site("berlin", b"berlin's");
    berlin.peer_identity = Some(identity("berlin.example"));
    berlin.peer_addresses = at(CALLER);
    let mut config = with_sites(server(), vec![berlin]);
    config.psks = PskTable::default();
    let pair = login(config, caller("10.9.9.9", b"berlin's"));
    let (expected, found) = (identity("berlin.example"), identity("10.9.9.9"));
    assert_eq!(taken_for(&pair), Err(RefusalReason::PeerIdentity { expected, found }));
    let explained = refusals(&pair)[0].explain();
    assert!(explained.contains("berlin.example") && explained.contains("peer_id"), "{explained}");
}

#[test]
fn a_site_at_another_address_is_told_to_the_operator() {
    let mut away = psk_site("away", b"away's");
    away.peer_identity = Some(identity("away.example"));
    away.peer_addresses = at("203.0.113.77");
    let mut config = with_sites(server(), vec![away]);
    config.psks = PskTable::default();
    let pair = login(config, caller("away.example", b"away's"));
    let expected = vec!["203.0.113.77".parse().expect("an address")];
    let found = CALLER.parse().expect("an address");
    assert_eq!(taken_for(&pair), Err(RefusalReason::PeerAddress { expected, found }));
}

#[test]
fn a_site_that_proves_itself_by_another_method_is_not_let_in() {
    let pki = Pki::new();
    let mut berlin =
        site("berlin", LocalAuth::Psk(Secret::from_slice(b"k")), PeerAuth::Certificate(Arc::new(pki.authorities())));
    berlin.peer_identity = Some(identity("berlin.example"));
    let mut config = with_sites(server(), vec![berlin]);
    config.psks = PskTable::new(vec![(PskSelector::Identity(identity("laptop")), Secret::from_slice(b"swordfish"))]);
    assert_eq!(taken_for(&login(config, caller("berlin.example", b"k"))), Err(RefusalReason::NoPsk));
}

#[test]
fn each_side_may_prove_itself_in_its_own_way() {
    let pki = Pki::new();
    let psk = || Secret::from_slice(b"only one of them has it");
    let gateway = || LocalAuth::Certificate(pki.credential(&params("gateway", &["gw.example"])));
    let branch = || PeerAuth::Certificate(Arc::new(pki.authorities()));
    let certificate = || pki.certificate(&params("branch", &["branch.example"]));
    for (local, peer, login_by, proof, by) in [
        (
            LocalAuth::Psk(psk()),
            branch(),
            certificate(),
            ServerProof::Psk(psk().expose().to_vec()),
            AuthenticatedBy::Certificate,
        ),
        (
            gateway(),
            PeerAuth::Psk(psk()),
            Login::Psk(psk().expose().to_vec()),
            ServerProof::Certificate,
            AuthenticatedBy::Psk,
        ),
        (gateway(), branch(), certificate(), ServerProof::Certificate, AuthenticatedBy::Certificate),
    ] {
        let mut site = site("branch", local, peer);
        site.peer_identity = Some(identity("branch.example"));
        let mut client = pki.client(login_by);
        client.identity = identity("branch.example");
        client.server_identity = None;
        client.server_proof = proof;
        let pair = login(with_sites(server(), vec![site]), client);
        assert_eq!(taken_for(&pair), Ok("branch".into()), "{by:?}");
        assert_eq!(pair.server.snapshot()[0].by, Some(by));
    }
}

#[test]
fn a_certificate_of_a_site_is_good_for_its_own_name_only() {
    let pki = Pki::new();
    let make = || {
        let gateway = LocalAuth::Certificate(pki.credential(&params("gateway", &["gw.example"])));
        let mut site = site("branch", gateway, PeerAuth::Certificate(Arc::new(pki.authorities())));
        site.peer_identity = Some(identity("branch.example"));
        with_sites(server(), vec![site])
    };
    let mut client = pki.client(pki.certificate(&params("other", &["other.example"])));
    client.identity = identity("branch.example");
    client.server_identity = None;
    let reason = taken_for(&login(make(), client)).expect_err("another name");
    assert!(reason.to_string().contains("other.example"), "{reason}");
    // A laptop of the same authority behind that site is no site, and there are no clients by certificate.
    let mut client = pki.client(pki.certificate(&params("laptop", &["laptop.example"])));
    client.identity = identity("laptop.example");
    assert_eq!(taken_for(&login(make(), client)), Err(RefusalReason::CertificatesUnavailable));
}

#[test]
fn a_client_with_a_certificate_is_a_client_where_a_site_would_take_any_name() {
    let pki = Pki::new();
    let mut config = pki.server();
    let gateway = LocalAuth::Certificate(pki.credential(&params("gateway", &["gw.example"])));
    let mut vague = site("vague", gateway, PeerAuth::Certificate(Arc::new(pki.authorities())));
    vague.peer_addresses = at(CALLER);
    config.sites = vec![Arc::new(vague)];
    let client = pki.client(pki.certificate(&params("laptop", &["laptop.example"])));
    assert_eq!(taken_for(&login(config, client)), Ok("a client".into()));
}

/// A key pair as both ends have it: PEM, and the public key.
fn raw_key(algorithm: &'static SignatureAlgorithm) -> (String, SigningKey, PublicKey) {
    let pem = KeyPair::generate_for(algorithm).expect("randomness").serialize_pem();
    let key = SigningKey::from_pem(pem.as_bytes()).expect("a good key");
    let public = key.public_key().clone();
    (pem, key, public)
}

#[test]
fn raw_public_keys_need_no_certificate() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        for sends_key in [true, false] {
            let (pem, _, branch) = raw_key(algorithm);
            let (_, gateway, gateway_public) = raw_key(algorithm);
            let site = site("branch", LocalAuth::RawKey(Arc::new(gateway)), PeerAuth::RawKey(branch));
            let mut client = client();
            client.hashes.get_or_insert_default().push(cygnet_ike::wire::num::HashAlgId::IDENTITY);
            client.login = Login::RawKey { key_pem: pem.into_bytes(), sends_key };
            client.server_proof = ServerProof::RawKey(gateway_public);
            let pair = login(with_sites(server(), vec![site]), client);
            assert_eq!(taken_for(&pair), Ok("branch".into()));
            assert_eq!(pair.server.snapshot()[0].by, Some(AuthenticatedBy::RawKey));
        }
    }
}

#[test]
fn another_raw_key_is_refused_and_named_as_what_is_wrong() {
    let (pem, ..) = raw_key(&PKCS_ED25519);
    let (_, gateway, _) = raw_key(&PKCS_ED25519);
    let (_, _, expected) = raw_key(&PKCS_ED25519);
    let gateway = Arc::new(gateway);
    for sends_key in [true, false] {
        let mut branch = site("branch", LocalAuth::RawKey(gateway.clone()), PeerAuth::RawKey(expected.clone()));
        branch.peer_identity = Some(identity("laptop.example"));
        let mut client = client();
        client.hashes.get_or_insert_default().push(cygnet_ike::wire::num::HashAlgId::IDENTITY);
        client.login = Login::RawKey { key_pem: pem.clone().into_bytes(), sends_key };
        let reason = taken_for(&login(with_sites(server(), vec![branch]), client)).expect_err("another key");
        match reason {
            RefusalReason::OtherRawKey => assert!(sends_key),
            RefusalReason::Signature(_) => assert!(!sends_key),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_suite_that_only_a_site_may_have_lets_no_client_in() {
    let old = Policy::named(&[PolicyName::LegacyWindowsIkev2]);
    let make = || {
        let mut berlin = psk_site("berlin", b"berlin's");
        berlin.peer_addresses = at(CALLER);
        berlin.policy = Policy::named(&[PolicyName::LegacyWindowsIkev2]);
        with_sites(server(), vec![berlin])
    };
    let call = |psk: &[u8]| {
        let mut client = caller("x.example", psk);
        client.policy = old.clone();
        client.guess = cygnet_ike::crypto::dh::Group::Modp1024;
        client
    };
    let pair = login(make(), call(b"berlin's"));
    assert_eq!(taken_for(&pair), Ok("berlin".into()));
    let reason = taken_for(&login(make(), call(b"swordfish"))).expect_err("too old for clients");
    assert!(matches!(reason, RefusalReason::IkeProposal(_)), "the key is right: {reason}");
}

#[test]
fn nor_does_it_let_in_a_client_that_logs_in_by_eap() {
    let pki = Pki::new();
    let make = |clients: &[PolicyName]| {
        let mut old = psk_site("anywhere", b"its own");
        old.policy = Policy::named(&[PolicyName::LegacyWindowsIkev2]);
        let mut config = with_sites(pki.server(), vec![old]);
        config.policy = Policy::named(clients);
        config
    };
    let call = |gateway| {
        let peer = ToyEapPeer { name: "alice".into(), password: "wonderland".into() };
        let mut client = pki.client(Login::Eap(Box::new(peer)));
        client.policy = Policy::named(&[PolicyName::LegacyWindowsIkev2]);
        client.guess = cygnet_ike::crypto::dh::Group::Modp1024;
        let mut pair = Pair::new(gateway, cygnet_ike::testing::LinkQuality::PERFECT, 1);
        pair.passwords.insert("alice".into(), "wonderland".into());
        pair.connect(client, 2);
        pair.settle(LIMIT);
        let refused = End::Refused(NotifyType::AUTHENTICATION_FAILED);
        assert!(pair.clients[0].is_up() || pair.clients[0].end() == Some(&refused), "{:?}", pair.clients[0].end());
        taken_for(&pair)
    };
    let reason = call(make(&[PolicyName::Compatible])).expect_err("too old for clients");
    assert!(matches!(reason, RefusalReason::IkeProposal(_)), "{reason}");
    assert_eq!(call(make(&[PolicyName::Compatible, PolicyName::LegacyWindowsIkev2])), Ok("a client".into()));
}

#[test]
fn initial_contact_of_a_client_ends_no_session_of_a_site() {
    let mut berlin = psk_site("berlin", b"berlin's");
    berlin.peer_identity = Some(identity("berlin.example"));
    let mut pair = login(with_sites(server(), vec![berlin]), caller("berlin.example", b"berlin's"));
    let mut client = caller("berlin.example", b"swordfish");
    client.initial_contact = true;
    let second = pair.connect(client, 9);
    pair.settle(LIMIT);
    assert!(pair.clients[second].is_up());
    assert_eq!(pair.server.snapshot().len(), 2, "the site is still there");
}

#[test]
fn the_authorities_of_a_site_are_asked_for_where_it_may_come_from() {
    use cygnet_ike::wire::header::{HEADER_LEN, Header};
    use cygnet_ike::wire::v2::{Payload, Payloads};
    let pki = Pki::new();
    for (address, asks) in [(CALLER, true), ("203.0.113.77", false)] {
        let mut branch = site(
            "branch",
            LocalAuth::Psk(Secret::from_slice(b"k")),
            PeerAuth::Certificate(Arc::new(pki.authorities())),
        );
        branch.peer_addresses = at(address);
        let mut pair = Pair::new(with_sites(server(), vec![branch]), cygnet_ike::testing::LinkQuality::PERFECT, 1);
        pair.connect(client(), 2);
        pair.advance(std::time::Duration::from_millis(1));
        let to_caller = |pair: &Pair| {
            let mut answers = pair.link.on_the_way().filter(|datagram| matches!(datagram.to, To::Client(_)));
            answers.next().map(|datagram| datagram.payload.clone())
        };
        let mut steps = std::iter::repeat_with(|| {
            pair.advance(std::time::Duration::from_millis(1));
            to_caller(&pair)
        });
        let answer = steps.by_ref().take(1000).flatten().next().expect("the answer to IKE_SA_INIT");
        let header = Header::parse(&answer).expect("a header");
        let payloads = Payloads::parse(header.next_payload, &answer[HEADER_LEN..]).expect("payloads");
        let asked = payloads.iter().any(|payload| matches!(payload, Payload::CertificateRequest(_)));
        assert_eq!(asked, asks, "{address}");
    }
}
