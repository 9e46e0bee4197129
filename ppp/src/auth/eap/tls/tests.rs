//! Whole logins by EAP-TLS against a rustls client, one test per way a login can go.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;

use super::*;
use crate::auth::eap::{EapConfig, EapMethod, EapOutcome, EapServer, EapType, Packet};
use crate::auth::testing::{TlsClient, TlsClientConfig};
use crate::auth::{AuthEvent, AuthFailure, AuthSeed, Authenticator, Credentials, Method, Verdict};

const SEED: AuthSeed = AuthSeed { challenge: [7; 16], unused_challenge: [8; 16], identifier: 250 };
const NAME: &str = "vpn.example.org";
/// In the year 2023.
const NOW: Duration = Duration::from_secs(1_700_000_000);
const DAY: u64 = 86_400;

/// An authority and what it issues.
struct Authority {
    der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

/// DER and PKCS#8 DER.
type Identity = (Vec<Vec<u8>>, KeyPair);

fn params(name: &str, days: std::ops::Range<i64>) -> CertificateParams {
    let at = |days: i64| {
        let seconds = i64::try_from(NOW.as_secs()).unwrap() + days * i64::try_from(DAY).unwrap();
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds.try_into().unwrap())
    };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (at(days.start), at(days.end));
    params
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = params(name, -100..100);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = key();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { der, issuer: Issuer::new(params, key) }
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose, days: std::ops::Range<i64>) -> Identity {
        let mut params = params(name, days);
        params.extended_key_usages = vec![usage];
        let key = key();
        (vec![params.signed_by(&key, &self.issuer).unwrap().der().to_vec()], key)
    }

    fn client(&self, name: &str) -> Identity {
        self.issue(name, ExtendedKeyUsagePurpose::ClientAuth, -1..1)
    }
}

/// Judges by the rules of the TLS library; `alice.revoked` is nobody any more.
struct Judge {
    authorities: Vec<Vec<u8>>,
}

impl ClientCertificates for Judge {
    fn verify(&self, certificate: &[u8], others: &[&[u8]], wall: Duration) -> Result<(), CertificateRefused> {
        let mut roots = RootCertStore::empty();
        for der in &self.authorities {
            roots.add(CertificateDer::from(der.as_slice()).into_owned()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let others: Vec<_> = others.iter().map(|der| CertificateDer::from(*der)).collect();
        let end_entity = CertificateDer::from(certificate);
        let verdict = verifier.verify_client_cert(&end_entity, &others, UnixTime::since_unix_epoch(wall));
        let refused = |problem, reason: &str| Err(CertificateRefused { problem, reason: reason.to_owned() });
        match verdict {
            Ok(_) if certificate.windows(7).any(|w| w == b"revoked") => refused(CertificateProblem::Revoked, "revoked"),
            Ok(_) => Ok(()),
            Err(error) if error.to_string().contains("expired") => refused(CertificateProblem::Expired, "expired"),
            Err(error) => refused(CertificateProblem::UnknownAuthority, &error.to_string()),
        }
    }

    fn authorities(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

/// A gateway with an authority, and what its clients have.
struct World {
    ca: Authority,
    tls: Arc<EapTlsConfig>,
}

impl World {
    fn new() -> Self {
        let ca = Authority::new("Test CA");
        let (chain, key) = ca.issue(NAME, ExtendedKeyUsagePurpose::ServerAuth, -1..1);
        let judge = Judge { authorities: vec![ca.der.clone()] };
        let tls = EapTlsConfig::new(&chain, key.serialize_pem().as_bytes(), Arc::new(judge)).unwrap();
        Self { ca, tls: Arc::new(tls) }
    }

    fn config(&self, fragment: usize) -> EapConfig {
        EapConfig { methods: vec![EapMethod::Tls], tls: Some(self.tls.at(NOW).with_fragments_of(fragment)) }
    }

    fn server(&self) -> EapServer {
        EapServer::new(SEED, NAME, &self.config(1024))
    }

    fn client_config(&self, identity: Option<Identity>, tls12: bool) -> TlsClientConfig {
        TlsClientConfig {
            name: "anonymous@example.org".to_owned(),
            authority: self.ca.der.clone(),
            server_name: NAME.to_owned(),
            certificate: identity.map(|(chain, key)| (chain, key.serialize_der())),
            tls12,
            fragment: 1024,
            wall: NOW,
        }
    }

    fn client(&self, identity: Option<Identity>, tls12: bool) -> TlsClient {
        TlsClient::new(self.client_config(identity, tls12)).unwrap()
    }
}

/// How a login ended for the gateway.
#[derive(Debug, Default)]
struct Ended {
    user: Option<String>,
    msk: Option<[u8; 64]>,
    chain: Vec<Vec<u8>>,
    reason: Option<AuthFailure>,
    requests: usize,
}

/// Runs a login to its end. Whoever has a good certificate is `alice`, unless `verdict` says otherwise.
fn run(server: &mut EapServer, client: &mut TlsClient, accept: bool) -> Ended {
    let mut ended = Ended::default();
    let mut packet = server.start();
    loop {
        ended.requests += 1;
        assert!(ended.requests < 500, "no end");
        let Some(response) = client.handle(&packet) else { return ended };
        let mut outcome = server.handle(&response);
        if let EapOutcome::Credentials(credentials) = outcome {
            assert_eq!(credentials.user(), "anonymous@example.org");
            let Credentials::Certificate { chain, .. } = credentials else { panic!("not a certificate") };
            ended.chain = chain;
            let user = "alice".to_owned();
            outcome = server.verdict(if accept { Verdict::Accepted { user, proof: None } } else { Verdict::Rejected });
        }
        packet = match outcome {
            EapOutcome::Request(message) => message,
            EapOutcome::Rejected { message, reason } => {
                ended.reason = reason;
                message
            }
            EapOutcome::Success { message, msk, user, method } => {
                assert_eq!(method, EapMethod::Tls);
                (ended.user, ended.msk) = (Some(user), Some(*msk.expose()));
                message
            }
            EapOutcome::Failure { message, reason } => {
                ended.reason = ended.reason.take().or(reason);
                message
            }
            EapOutcome::Credentials(_) => panic!("asked twice"),
        };
    }
}

fn login(world: &World, client: &mut TlsClient) -> Ended {
    run(&mut world.server(), client, true)
}

fn reason(ended: &Ended) -> String {
    assert_eq!((ended.user.as_deref(), ended.msk), (None, None), "somebody was let in");
    ended.reason.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn both_versions_of_tls_let_a_good_certificate_in_with_one_key_at_both_ends() {
    let world = World::new();
    for tls12 in [false, true] {
        let identity = world.ca.client("alice");
        let der = identity.0.clone();
        let mut client = world.client(Some(identity), tls12);
        let ended = login(&world, &mut client);
        assert_eq!(ended.user.as_deref(), Some("alice"), "{ended:?} {:?}", client.error);
        assert_eq!(client.outcome(), Some(true));
        assert_eq!(ended.chain, der);
        assert_eq!(ended.msk, client.msk());
        assert!(ended.msk.is_some_and(|msk| msk != [0; 64]));
    }
}

#[test]
fn keys_differ_from_login_to_login() {
    let world = World::new();
    let msk = || login(&world, &mut world.client(Some(world.ca.client("alice")), false)).msk.unwrap();
    assert_ne!(msk(), msk());
}

#[test]
fn fragments_of_every_size_carry_a_login() {
    let world = World::new();
    for tls12 in [false, true] {
        for fragment in [100, 101, 256, 512, 1000, 1398, 4096, 16_384] {
            let identity = world.ca.client("alice");
            let config = TlsClientConfig { fragment, ..world.client_config(Some(identity), tls12) };
            let mut client = TlsClient::new(config).unwrap();
            let mut server = EapServer::new(SEED, NAME, &world.config(fragment));
            let ended = run(&mut server, &mut client, true);
            assert_eq!(ended.user.as_deref(), Some("alice"), "{fragment} octets, {ended:?}");
            assert_eq!(ended.msk, client.msk());
            assert!(fragment < 4096 || ended.requests <= 6, "{} requests", ended.requests);
        }
    }
}

#[test]
fn no_request_is_longer_than_the_path_takes() {
    let world = World::new();
    let config = world.config(1024).fitting(576);
    let mut server = EapServer::new(SEED, NAME, &config);
    let mut client = world.client(Some(world.ca.client("alice")), false);
    let mut packet = server.start();
    let mut longest = 0;
    while let Some(response) = client.handle(&packet) {
        packet = match server.handle(&response) {
            EapOutcome::Request(message) | EapOutcome::Failure { message, .. } => message,
            _ => break,
        };
        longest = longest.max(packet.len());
    }
    assert_eq!(longest, 576);
}

#[test]
fn who_is_no_account_gets_eap_failure() {
    let world = World::new();
    for tls12 in [false, true] {
        let mut client = world.client(Some(world.ca.client("alice")), tls12);
        let ended = run(&mut world.server(), &mut client, false);
        assert_eq!((reason(&ended).as_str(), client.outcome()), ("", Some(false)));
    }
}

#[test]
fn a_client_without_certificate_is_told_apart() {
    let world = World::new();
    for tls12 in [false, true] {
        let mut client = world.client(None, tls12);
        let ended = login(&world, &mut client);
        assert_eq!(ended.reason, Some(AuthFailure::Tls(TlsFailure::NoCertificate)));
        assert_eq!(client.outcome(), Some(false));
        assert!(reason(&ended).starts_with("the client sent no certificate; install one"));
    }
}

#[test]
fn a_bad_certificate_gets_its_alert_and_its_sentence() {
    let world = World::new();
    let stranger = || Authority::new("Test CA").client("alice");
    let expired = || world.ca.issue("alice", ExtendedKeyUsagePurpose::ClientAuth, -9..-2);
    let revoked = || world.ca.client("revoked.example.org");
    let cases: [(&dyn Fn() -> Identity, &str, &str); 3] = [
        (&stranger, "UnknownIssuer", "UnknownCA"),
        (&expired, "expired", "CertificateExpired"),
        (&revoked, "revoked", "CertificateRevoked"),
    ];
    for tls12 in [false, true] {
        for (identity, sentence, alert) in &cases {
            let mut client = world.client(Some(identity()), tls12);
            let ended = login(&world, &mut client);
            let text = reason(&ended);
            // The same name as our authority's, with another key, is a wrong signature to the library.
            assert!(text.contains(sentence) || text.contains("BadSignature"), "{text}");
            assert_eq!(client.outcome(), Some(false));
            let error = client.error.clone().unwrap_or_default();
            assert!(error.contains(alert), "{error}");
        }
    }
}

#[test]
fn a_client_that_does_not_trust_us_is_told_apart() {
    let world = World::new();
    for tls12 in [false, true] {
        let mut config = world.client_config(Some(world.ca.client("alice")), tls12);
        config.authority = Authority::new("Other CA").der;
        let mut client = TlsClient::new(config).unwrap();
        let ended = login(&world, &mut client);
        let text = reason(&ended);
        assert!(
            text.starts_with("the client does not trust our certificate (TLS alert unknown_ca); install"),
            "{text}"
        );

        let mut config = world.client_config(Some(world.ca.client("alice")), tls12);
        config.server_name = "other.example.org".to_owned();
        let ended = login(&world, &mut TlsClient::new(config).unwrap());
        assert!(reason(&ended).starts_with("the client does not trust our certificate"), "{}", reason(&ended));
    }
}

#[test]
fn a_client_that_takes_our_certificate_for_expired_is_told_apart() {
    let world = World::new();
    let mut config = world.client_config(Some(world.ca.client("alice")), false);
    config.wall = NOW + Duration::from_secs(5 * DAY);
    let ended = login(&world, &mut TlsClient::new(config).unwrap());
    assert_eq!(ended.reason, Some(AuthFailure::Tls(TlsFailure::OwnExpired)));
}

#[test]
fn a_certificate_counts_at_the_moment_of_the_login() {
    let world = World::new();
    let later = NOW + Duration::from_secs(2 * DAY);
    let config = EapConfig { methods: vec![EapMethod::Tls], tls: Some(world.tls.at(later)) };
    let mut client = world.client(Some(world.ca.client("alice")), false);
    let ended = run(&mut EapServer::new(SEED, NAME, &config), &mut client, true);
    assert_eq!(reason(&ended), "expired");
}

#[test]
fn intermediates_of_the_client_are_used() {
    let world = World::new();
    let mut params = params("Issuing CA", -1..1);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = key();
    let der = params.signed_by(&key, &world.ca.issuer).unwrap().der().to_vec();
    let issuing = Authority { der: der.clone(), issuer: Issuer::new(params, key) };
    let (mut chain, key) = issuing.client("alice");
    let mut lonely = world.client(Some((chain.clone(), KeyPair::try_from(key.serialize_der()).unwrap())), false);
    assert!(reason(&login(&world, &mut lonely)).contains("UnknownIssuer"));
    chain.push(der);
    let ended = login(&world, &mut world.client(Some((chain.clone(), key)), false));
    assert_eq!((ended.user.as_deref(), ended.chain), (Some("alice"), chain));
}

#[test]
fn a_nak_leads_to_the_other_method_and_back_to_nothing() {
    let world = World::new();
    let both = |first, second| EapConfig { methods: vec![first, second], ..world.config(1024) };

    // The test client refuses passwords.
    let config = both(EapMethod::MsChapV2, EapMethod::Tls);
    let mut client = world.client(Some(world.ca.client("alice")), false);
    let ended = run(&mut EapServer::new(SEED, NAME, &config), &mut client, true);
    assert_eq!(ended.user.as_deref(), Some("alice"));

    let config = both(EapMethod::Tls, EapMethod::MsChapV2);
    let mut server = EapServer::new(SEED, NAME, &config);
    let send = |server: &mut EapServer, identifier, method, data: &[u8]| {
        server.handle(&Packet::Response { identifier, method, data }.emit().unwrap())
    };
    assert!(matches!(send(&mut server, 250, EapType::IDENTITY, b"x"), EapOutcome::Request(r) if r[4..] == [13, 0x20]));
    assert!(matches!(send(&mut server, 251, EapType::NAK, &[25, 26]), EapOutcome::Request(r) if r[4] == 26));
    let EapOutcome::Failure { reason: Some(reason), .. } = send(&mut server, 252, EapType::NAK, &[13]) else {
        panic!("not refused")
    };
    assert!(reason.to_string().starts_with("the client refuses EAP-TLS and EAP-MSCHAPv2 and wants EAP-TLS; choose"));
}

#[test]
fn a_nak_in_the_middle_ends_the_login() {
    let world = World::new();
    let mut server = world.server();
    let mut client = world.client(Some(world.ca.client("alice")), false);
    let identity = client.handle(&server.start()).unwrap();
    let EapOutcome::Request(start) = server.handle(&identity) else { panic!("no start") };
    let hello = client.handle(&start).unwrap();
    let EapOutcome::Request(request) = server.handle(&hello) else { panic!("no answer") };
    let nak = Packet::Response { identifier: request[1], method: EapType::NAK, data: &[26] }.emit().unwrap();
    let EapOutcome::Failure { reason, .. } = server.handle(&nak) else { panic!("not refused") };
    assert_eq!(reason, Some(AuthFailure::Malformed("EAP method")));
}

#[test]
fn a_gateway_without_methods_says_so() {
    let world = World::new();
    let config = EapConfig { methods: vec![EapMethod::Tls], tls: None };
    let mut client = world.client(None, false);
    let ended = run(&mut EapServer::new(SEED, NAME, &config), &mut client, true);
    assert_eq!(ended.reason, Some(AuthFailure::NoMethod));
}

/// A login on a PPP link that loses every packet of the client once.
#[test]
fn a_link_that_loses_packets_carries_a_login() {
    let world = World::new();
    let mut now = crate::testing::epoch();
    let mut gateway = Authenticator::new(Method::Eap, SEED, NAME, &world.config(1024), now);
    let mut client = world.client(Some(world.ca.client("alice")), false);
    let mut answered = std::collections::BTreeMap::new();
    for _ in 0..200 {
        while let Some(request) = gateway.poll_transmit() {
            // A client answers a repeated request as it did before.
            let is_repeated = answered.contains_key(&request);
            let response = answered.entry(request.clone()).or_insert_with(|| client.handle(&request)).clone();
            if let Some(response) = response.filter(|_| is_repeated) {
                gateway.handle(now, &response);
                gateway.handle(now, &response);
            }
        }
        match gateway.poll_event() {
            Some(AuthEvent::Credentials(_)) => {
                gateway.verdict(now, Verdict::Accepted { user: "alice".to_owned(), proof: None });
            }
            Some(AuthEvent::Authenticated { user }) => {
                while let Some(packet) = gateway.poll_transmit() {
                    client.handle(&packet);
                }
                assert_eq!((user.as_str(), client.outcome()), ("alice", Some(true)));
                return;
            }
            Some(AuthEvent::Failed(reason)) => panic!("{reason}"),
            None => {
                now = gateway.poll_timeout().unwrap_or(now).max(now);
                gateway.handle_timeout(now);
            }
        }
    }
    panic!("no end");
}

#[test]
fn on_a_link_the_reason_is_told_also_by_clients_that_just_leave() {
    let world = World::new();
    let mut now = crate::testing::epoch();
    let mut gateway = Authenticator::new(Method::Eap, SEED, NAME, &world.config(1024), now);
    let mut client = world.client(None, false);
    for _ in 0..20 {
        while let Some(request) = gateway.poll_transmit() {
            if let Some(response) = client.handle(&request).filter(|_| client.error.is_none()) {
                gateway.handle(now, &response);
            }
        }
        if let Some(AuthEvent::Failed(reason)) = gateway.poll_event() {
            assert_eq!(reason, AuthFailure::Tls(TlsFailure::NoCertificate));
            assert!(client.error.is_some(), "the client has got the alert");
            return;
        }
        now = gateway.poll_timeout().unwrap_or(now);
        gateway.handle_timeout(now);
    }
    panic!("no end");
}

/// Everything that a client says in a good login.
fn script(world: &World, tls12: bool) -> Vec<Vec<u8>> {
    let mut server = world.server();
    let mut client = world.client(Some(world.ca.client("alice")), tls12);
    let (mut packet, mut said) = (server.start(), Vec::new());
    while let Some(response) = client.handle(&packet) {
        said.push(response.clone());
        let mut outcome = server.handle(&response);
        if matches!(outcome, EapOutcome::Credentials(_)) {
            outcome = server.verdict(Verdict::Accepted { user: "alice".to_owned(), proof: None });
        }
        packet = match outcome {
            EapOutcome::Request(message) | EapOutcome::Success { message, .. } => message,
            _ => panic!("refused"),
        };
    }
    said
}

/// Plays a client's part again, to a gateway that lets nobody in; true if somebody got so far as to be judged.
fn play<'a>(world: &World, packets: impl IntoIterator<Item = &'a [u8]>) -> bool {
    let mut server = world.server();
    for packet in packets {
        match server.handle(packet) {
            EapOutcome::Success { .. } => panic!("somebody was let in"),
            EapOutcome::Credentials(_) => return true,
            _ => {}
        }
    }
    false
}

#[test]
fn what_another_client_said_proves_nothing() {
    let world = World::new();
    for tls12 in [false, true] {
        let said = script(&world, tls12);
        assert!(!play(&world, said.iter().map(Vec::as_slice)), "a replay");
    }
}

#[test]
fn truncated_packets_let_nobody_in() {
    let world = World::new();
    let said = script(&world, false);
    for (n, packet) in said.iter().enumerate() {
        for length in (0..packet.len()).step_by(7) {
            let mut cut = packet[..length].to_vec();
            if let (Some(field), Ok(length)) = (cut.get_mut(2..4), u16::try_from(length)) {
                field.copy_from_slice(&length.to_be_bytes());
            }
            let before = said[..n].iter().map(Vec::as_slice);
            assert!(!play(&world, before.chain([cut.as_slice()])));
        }
    }
}

#[test]
fn empty_responses_do_not_advance_the_handshake() {
    let world = World::new();
    let mut server = world.server();
    let mut client = world.client(None, false);
    let identity = client.handle(&server.start()).unwrap();
    let EapOutcome::Request(start) = server.handle(&identity) else { panic!("no start") };
    let empty = Packet::Response { identifier: start[1], method: EapType::TLS, data: &[0] }.emit().unwrap();
    let EapOutcome::Failure { reason, .. } = server.handle(&empty) else { panic!("not refused") };
    assert_eq!(reason, Some(AuthFailure::Tls(TlsFailure::Stopped)));
}

#[test]
fn a_login_has_an_end_however_small_the_fragments() {
    let world = World::new();
    let config = TlsClientConfig { fragment: 1, ..world.client_config(None, false) };
    let mut client = TlsClient::new(config).unwrap();
    let ended = login(&world, &mut client);
    assert_eq!(ended.reason, Some(AuthFailure::Tls(TlsFailure::TooLong)));
    assert_eq!(ended.requests, 64 + 3);
}

#[test]
fn a_key_that_does_not_belong_to_the_certificate_is_refused() {
    let world = World::new();
    let (chain, _) = world.ca.issue(NAME, ExtendedKeyUsagePurpose::ServerAuth, -1..1);
    let new = |pem: &str| EapTlsConfig::new(&chain, pem.as_bytes(), Arc::new(Judge { authorities: Vec::new() }));
    assert!(new(&key().serialize_pem()).is_err());
    let text = new("nothing").map(|_| ()).unwrap_err().to_string();
    assert_eq!(text, "certificate or key cannot be used for EAP-TLS: no private key");
}

/// Whether an octet is type or version of a TLS record, which receivers ignore (RFC 8446 section 5.2).
fn is_unprotected(records: &[u8], at: usize) -> bool {
    let mut start = 0;
    while let Some([_, _, _, high, low]) = records.get(start..start + 5) {
        if (start..start + 3).contains(&at) {
            return true;
        }
        start += 5 + usize::from(u16::from_be_bytes([*high, *low]));
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn garbage_lets_nobody_in_and_breaks_nothing(packets: Vec<Vec<u8>>, flags: Vec<u8>) {
        let world = World::new();
        let mut server = world.server();
        let mut identifier = SEED.identifier;
        let identity = Packet::Response { identifier, method: EapType::IDENTITY, data: b"x" }.emit().unwrap();
        prop_assert!(matches!(server.handle(&identity), EapOutcome::Request(_)));
        for (data, flags) in packets.iter().zip(flags) {
            identifier = identifier.wrapping_add(1);
            let data = [&[flags], data.as_slice()].concat();
            let response = Packet::Response { identifier, method: EapType::TLS, data: &data }.emit().unwrap();
            let outcome = server.handle(&response);
            let is_let_in = matches!(outcome, EapOutcome::Success { .. } | EapOutcome::Credentials(_));
            prop_assert!(!is_let_in);
        }
    }

    #[test]
    fn a_changed_octet_lets_nobody_in(which in 1_usize..5, at: prop::sample::Index, bit in 0_u8..8) {
        let world = World::new();
        let mut server = world.server();
        let mut client = world.client(Some(world.ca.client("alice")), false);
        let mut packet = server.start();
        let (mut number, mut changed) = (0, false);
        while let Some(mut response) = client.handle(&packet) {
            // The octets of EAP itself are tested elsewhere, and a changed end of the last response says nothing.
            if number == which && response.len() > 6 {
                let at = at.index(response.len() - 6);
                let (_, tls) = response.split_at_mut(6);
                if !is_unprotected(tls, at) {
                    tls[at] ^= 1 << bit;
                    changed = true;
                }
            }
            number += 1;
            packet = match server.handle(&response) {
                EapOutcome::Request(message) => message,
                EapOutcome::Credentials(_) => {
                    prop_assert!(!changed, "a changed octet went unnoticed");
                    break;
                }
                _ => break,
            };
        }
    }
}
