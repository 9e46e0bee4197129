//! Cost of IKE: reading messages, protecting payloads, and whole handshakes.
//!
//! `cargo bench -p cygnet-benches --bench ike`. A handshake is IKE_SA_INIT and IKE_AUTH with one Child SA and an inner
//! address, in memory; "gateway" counts what [`Endpoint`] takes, "both ends" the test initiator as well. The goal is
//! that a gateway's part takes at most half of what strongSwan's charon takes on the same machine.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use cygnet_ike::cert::{TrustAnchors, UnixTime, pem};
use cygnet_ike::crypto::dh::Group;
use cygnet_ike::crypto::random::Random;
use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::crypto::sk::SkKey;
use cygnet_ike::crypto::suite::{AesBits, Encr, Integ};
use cygnet_ike::crypto::testing::SeededRandom;
use cygnet_ike::identity::Identity;
use cygnet_ike::psk::{PskSelector, PskTable};
use cygnet_ike::testing::{Client, ClientConfig, Login};
use cygnet_ike::wire::header::{HEADER_LEN, Header};
use cygnet_ike::wire::num::{AuthMethod, CpAttr, CpType, EsnId, IdType, NotifyType, PayloadType, ProtocolId};
use cygnet_ike::wire::v2::{
    Authentication, ChainBuilder, Configuration, CpAttribute, Identification, Notify, Payload, Payloads, Proposal,
    SecurityAssociation, TrafficSelector, TrafficSelectors, Transform,
};
use cygnet_ike::{Authorities, Config, Credential, Endpoint, EspSpi, Event, Grant, Path};
use cygnet_server::pki::{self, Issued, KeyKind, SubjectName};

const PSK: &[u8] = b"correct horse battery staple";
const GATEWAY: &str = "gateway.example";
const CLIENT: &str = "client.example";

/// 2026-12-01, within the life of certificates that are made with it.
const WALL: UnixTime = UnixTime(Duration::from_secs(1_796_083_200));

/// Octets of a chain of payloads as in IKE_AUTH by pre-shared key, and by certificate.
const CHAINS: [usize; 2] = [300, 1500];

// --- reading ---

fn init_request() -> Vec<u8> {
    let mut client = Client::new(psk_client(), path(), 1);
    client.start(now(), WALL);
    client.poll_transmit().expect("the client begins").payload.to_vec()
}

/// The payloads that an IKE_AUTH request by pre-shared key protects.
fn auth_request() -> (Option<PayloadType>, Vec<u8>) {
    let mut chain = ChainBuilder::new();
    let encr = Encr::AesGcm16 { bits: AesBits::B256 };
    let transforms = vec![Transform::Encr { id: encr.id(), key_bits: encr.key_bits() }, Transform::Esn(EsnId::NO)];
    let proposal = Proposal { number: 1, protocol: ProtocolId::ESP, spi: EspSpi(0x0100_c0de).into(), transforms };
    let attributes = [CpAttr::INTERNAL_IP4_ADDRESS, CpAttr::INTERNAL_IP4_DNS, CpAttr::INTERNAL_IP6_ADDRESS];
    let attributes = attributes.into_iter().map(|kind| CpAttribute::new(kind, &[][..])).collect();
    let everything = || TrafficSelectors(vec![TrafficSelector::ANY_V4, TrafficSelector::ANY_V6]);
    chain
        .push(&Payload::IdInitiator(Identification::new(IdType::FQDN, CLIENT.as_bytes())))
        .push(&Payload::Notify(Notify::new(NotifyType::INITIAL_CONTACT, &[])))
        .push(&Payload::IdResponder(Identification::new(IdType::FQDN, GATEWAY.as_bytes())))
        .push(&Payload::Authentication(Authentication { method: AuthMethod::SHARED_KEY, data: &[7; 32] }))
        .push(&Payload::Configuration(Configuration { kind: CpType::REQUEST, attributes }))
        .push(&Payload::SecurityAssociation(SecurityAssociation { proposals: vec![proposal] }))
        .push(&Payload::TsInitiator(everything()))
        .push(&Payload::TsResponder(everything()))
        .push(&Payload::Notify(Notify::new(NotifyType::MOBIKE_SUPPORTED, &[])));
    chain.finish().expect("a short chain")
}

fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    let init = init_request();
    group.bench_function("IKE_SA_INIT request", |b| {
        b.iter(|| {
            let header = Header::parse(black_box(&init)).expect("valid");
            black_box(Payloads::parse(header.next_payload, &init[HEADER_LEN..]).expect("valid").len())
        });
    });
    let (first, chain) = auth_request();
    group.bench_function("payloads of an IKE_AUTH request", |b| {
        b.iter(|| black_box(Payloads::parse(first, black_box(&chain)).expect("valid").len()));
    });
    group.finish();
}

// --- protecting ---

fn sk_key(encr: Encr, integ: Option<Integ>) -> SkKey {
    SkKey::new(encr, integ, &vec![7; encr.keying_len()], &vec![9; integ.map_or(0, Integ::key_len)]).expect("fitting")
}

fn protect(c: &mut Criterion) {
    let suites = [
        ("AES-256-GCM", Encr::AesGcm16 { bits: AesBits::B256 }, None),
        ("AES-256-CBC, HMAC-SHA2-256", Encr::AesCbc { bits: AesBits::B256 }, Some(Integ::HmacSha256_128)),
    ];
    let mut random = SeededRandom::new(1);
    for (name, encr, integ) in suites {
        let mut group = c.benchmark_group(format!("SK {name}"));
        for len in CHAINS {
            group.throughput(Throughput::Bytes(len as u64));
            let (mut key, chain) = (sk_key(encr, integ), vec![5; len]);
            let header = vec![1; HEADER_LEN + 4];
            group.bench_function(BenchmarkId::new("seal", len), |b| {
                b.iter(|| {
                    let mut message = header.clone();
                    key.seal(&mut message, black_box(&chain), &mut random);
                    message
                });
            });
            let mut message = header.clone();
            key.seal(&mut message, &chain, &mut random);
            group.bench_function(BenchmarkId::new("open", len), |b| {
                b.iter(|| key.open(black_box(&message), header.len()).expect("authentic"));
            });
        }
        group.finish();
    }
}

// --- handshakes ---

/// Both ends of one way to log in.
struct Scenario {
    name: &'static str,
    gateway: Arc<Config>,
    client: Box<dyn Fn() -> ClientConfig>,
}

/// Time that a handshake took.
struct Spent {
    gateway: Duration,
    both: Duration,
}

fn path() -> Path {
    let (local, peer) = ("198.51.100.7:500", "192.0.2.1:500");
    Path { local: local.parse().expect("an address"), peer: peer.parse().expect("an address") }
}

fn name(text: &str) -> Identity {
    Identity::Fqdn(text.into())
}

fn psk_client() -> ClientConfig {
    ClientConfig::psk(name(CLIENT), PSK)
}

fn psk_gateway() -> Config {
    let mut config = Config::new(name(GATEWAY));
    config.psks = PskTable::new(vec![(PskSelector::Any, Secret::from_slice(PSK))]);
    config
}

fn der(issued: &Issued) -> Vec<Vec<u8>> {
    pem::certificates(issued.certificate_pem.as_bytes()).expect("just made")
}

/// Both sides by ECDSA certificates on P-256 of one authority.
fn certificates() -> Scenario {
    let kind = KeyKind::EcdsaP256;
    let wall = rustls_pki_types::UnixTime::since_unix_epoch(WALL.0);
    let ca = pki::make_ca("bench", kind, wall).expect("an authority");
    let names = |text: &str| [SubjectName::Dns(text.into())];
    let server = pki::issue_server_certificate(&ca, &names(GATEWAY), kind, wall).expect("a certificate");
    let client = pki::issue_client_certificate(&ca, CLIENT, &names(CLIENT), kind, wall).expect("a certificate");
    let mut gateway = Config::new(name(GATEWAY));
    gateway.credentials = vec![Arc::new(Credential::new(der(&server), server.key_pem.as_bytes()).expect("a pair"))];
    gateway.client_authorities = Some(Arc::new(Authorities::new(&der(&ca)).expect("an authority")));
    let make_client = move || ClientConfig {
        server_identity: Some(name(GATEWAY)),
        login: Login::Certificate { chain: der(&client), key_pem: client.key_pem.as_bytes().to_vec() },
        authorities: Some(TrustAnchors::new(&der(&ca)).expect("an authority")),
        ..psk_client()
    };
    Scenario { name: "ECDSA P-256, X25519", gateway: Arc::new(gateway), client: Box::new(make_client) }
}

fn scenarios() -> [Scenario; 3] {
    let gateway = Arc::new(psk_gateway());
    let modp_client = || ClientConfig { guess: Group::Modp2048, ..psk_client() };
    [
        Scenario { name: "PSK, X25519", gateway: gateway.clone(), client: Box::new(psk_client) },
        Scenario { name: "PSK, MODP-2048", gateway, client: Box::new(modp_client) },
        certificates(),
    ]
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures the time")]
fn now() -> Instant {
    Instant::now()
}

/// One login, from the first message to the Child SA on both ends.
fn handshake(scenario: &Scenario, seed: u64) -> Spent {
    let mut endpoint =
        Endpoint::new(scenario.gateway.clone(), Box::new(SeededRandom::new(!seed)) as Box<dyn Random + Send>);
    let mut client = Client::new((scenario.client)(), path(), seed);
    let (begin, mut gateway) = (now(), Duration::ZERO);
    client.start(begin, WALL);
    while let Some(request) = client.poll_transmit() {
        let path = Path { local: request.path.peer, peer: request.path.local };
        let received = now();
        endpoint.handle_datagram(received, WALL, path, &request.payload);
        while let Some(event) = endpoint.poll_event() {
            if let Event::Authenticated { session, .. } = event {
                endpoint.grant(received, session, grant());
            }
        }
        let answers: Vec<_> = std::iter::from_fn(|| endpoint.poll_transmit()).collect();
        gateway += now() - received;
        for answer in answers {
            client.handle_datagram(received, &answer.payload);
        }
    }
    let both = now() - begin;
    assert!(client.is_up() && client.children.len() == 1, "{}: {:?}", scenario.name, client.end());
    Spent { gateway, both }
}

fn grant() -> Grant {
    Grant { addresses: vec![Ipv4Addr::new(10, 0, 0, 2).into()], ..Grant::default() }
}

fn handshakes(c: &mut Criterion) {
    for scenario in scenarios() {
        let mut group = c.benchmark_group(format!("handshake {}", scenario.name));
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3)).sample_size(20);
        let sum = |n: u64, part: fn(&Spent) -> Duration| (0..n).map(|seed| part(&handshake(&scenario, seed))).sum();
        group.bench_function("gateway", |b| b.iter_custom(|n| sum(n, |spent| spent.gateway)));
        group.bench_function("both ends", |b| b.iter_custom(|n| sum(n, |spent| spent.both)));
        group.finish();
    }
}

criterion_group!(benches, parse, protect, handshakes);
criterion_main!(benches);
