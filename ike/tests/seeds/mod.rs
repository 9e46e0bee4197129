//! Messages like those of real peers, made by our own emitters.

mod v1;

use std::net::{Ipv4Addr, Ipv6Addr};

use cygnet_ike::wire::header::{ExchangeType, Flags, Header, Version};
use cygnet_ike::wire::num::*;
use cygnet_ike::wire::v2::*;
use cygnet_ike::wire::{EspSpi, IkeSpi, Writer};

/// One file of the corpus.
pub(crate) struct Seed {
    /// The fuzz target that takes it.
    pub(crate) target: &'static str,
    /// Name of the file.
    pub(crate) name: &'static str,
    /// Its content.
    pub(crate) bytes: Vec<u8>,
}

/// The seeds of all targets.
pub(crate) fn all() -> Vec<Seed> {
    let seeds = |target| move |(name, bytes)| Seed { target, name, bytes };
    let inners = inners().map(|(name, payloads)| (name, inner(&payloads)));
    let wire = headers().map(seeds("header")).chain(messages().map(seeds("message"))).chain(inners.map(seeds("inner")));
    let scripts = stories().map(seeds("engine")).chain(site_stories().map(seeds("sites")));
    wire.chain(scripts).chain(v1::all()).collect()
}

/// Scripts of `cygnet_ike::fuzzing::engine`: options of the server, then operations.
fn stories() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    const CONNECT: u8 = 0x00;
    const TASK: u8 = 0x20;
    const STEP: u8 = 0x40;
    const WAIT: u8 = 0x60;
    const FORGE: u8 = 0x70;
    const STRANGER: u8 = 0x80;
    const CONFUSE: u8 = 0x90;
    const LOSE: u8 = 0xb0;
    const TRANSLATE: u8 = 0xc0;
    const CLOSE: u8 = 0xd0;
    let login = |options: u8, client: u8| vec![options, CONNECT, client, STEP, STEP, STEP];
    [
        (
            "login_and_tasks",
            [login(0, 2), vec![TASK, 1, STEP, STEP, TASK, 2, STEP, STEP, TASK, 3, STEP, TASK, 5]].concat(),
        ),
        ("cookie_and_nat", [vec![3, TRANSLATE], login(1, 0), vec![STEP, TRANSLATE, TASK, 4, STEP]].concat()),
        ("wrong_psk", [login(0, 1), vec![CONNECT, 4, STEP, STEP, CONNECT, 16, STEP, STEP]].concat()),
        ("forged", [vec![0, CONNECT, 0, STEP, FORGE, 40, 1, STRANGER, 1, 2, 3], vec![STEP, FORGE, 9, 9]].concat()),
        ("nonsense", [login(4, 0), vec![CONFUSE, 2, 9, 0x88, 1, 2, 3, STEP, STEP, TASK, 0, STEP]].concat()),
        ("lost", [login(0, 0), vec![LOSE, 100, TASK, 1, WAIT, 40, LOSE, 0, WAIT, 9, CLOSE, LOSE, 50]].concat()),
    ]
    .into_iter()
}

/// Scripts of `cygnet_ike::fuzzing::sites`: options of both gateways, then operations.
fn site_stories() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    const WEST: u8 = 0x00;
    const EAST: u8 = 0x01;
    const HOP: u8 = 0x41;
    const HOPS: u8 = 0x43;
    const WAIT: u8 = 0x60;
    const FORGE: u8 = 0x70;
    const ANSWER: u8 = 0x80;
    const CHANGE: u8 = 0x90;
    const LOSE: u8 = 0xb0;
    const UNCUT: u8 = 0xc0;
    const CUT: u8 = 0xc1;
    const TASK: u8 = 0xd0;
    const ROAM: u8 = 0xf0;
    // The numbers of tasks: 0 and 1 a child, 2 the IKE SA, 3 one more child, 4 the end, 5 nothing.
    let up = |options: u8| vec![options, WEST, HOPS, HOPS, HOPS];
    [
        ("both_tunnels", up(0)),
        ("cookie", [up(1), vec![WAIT, 30]].concat()),
        ("wrong_key", [up(2), vec![WAIT, 30]].concat()),
        ("other_policy", [up(4), vec![WAIT, 30]].concat()),
        ("in_udp_without_fragments", up(0x38)),
        ("both_begin", vec![0, WEST, EAST, HOPS, HOPS, HOPS, TASK, 2, 0, TASK | 1, 2, 0, HOPS, HOPS]),
        (
            "tasks",
            [up(0), vec![TASK, 0, 0, HOPS, TASK, 2, 0, HOPS, HOPS, TASK, 1, 0, HOPS, TASK, 3, 0, HOPS, TASK, 4, 0]]
                .concat(),
        ),
        ("forged", [up(0), vec![TASK, 2, 0, FORGE, 40, 1, HOP, FORGE, 60, 9, HOP, FORGE, 19, 1, HOPS]].concat()),
        // A cookie, then other notifications, then an answer that should have been protected.
        (
            "strangers_answer",
            [
                vec![0, WEST, ANSWER, 0, 0, 8, 4, 1, 2, 3, 4, WAIT, 1],
                vec![WEST, ANSWER, 1, 1, 24, 0, 40, 2, 0, 14, HOPS, WAIT, 9, TASK, 2, 0, ANSWER, 0, 8, 0, HOPS],
            ]
            .concat(),
        ),
        (
            "changed_answer",
            vec![0, WEST, HOP, CHANGE, 0, 60, 1, CHANGE, 0, 9, 0x80, CHANGE, 1, 0, 1, HOPS, HOPS, WAIT, 99],
        ),
        (
            "lost",
            vec![0, WEST, LOSE, WAIT, 2, HOP, LOSE, WAIT, 5, HOP, HOP, LOSE, WAIT, 9, CUT, WAIT, 40, UNCUT, WAIT, 60],
        ),
        ("roam", [up(0), vec![ROAM, 3, HOPS, ROAM, 1, CUT, WAIT, 3, UNCUT, HOPS, WAIT, 60]].concat()),
    ]
    .into_iter()
}

fn headers() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let bytes = |header: Header| {
        let mut out = Writer::new();
        header.emit(&mut out);
        out.finish().expect("short")
    };
    let first = request(ExchangeType::IKE_SA_INIT, 0, None);
    let response = Flags { initiator: false, version: true, response: true };
    let v1 = Header { version: Version::V1, exchange: ExchangeType::IDENTITY_PROTECTION, ..first };
    [
        ("request", bytes(first)),
        ("response", bytes(Header { flags: response, responder_spi: Some(IkeSpi([2; 8])), ..first })),
        ("ikev1", bytes(v1)),
        ("future", bytes(Header { version: Version { major: 3, minor: 1 }, ..first })),
    ]
    .into_iter()
}

fn messages() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let init = request(ExchangeType::IKE_SA_INIT, 0, None);
    let auth = request(ExchangeType::IKE_AUTH, 1, Some(IkeSpi([2; 8])));
    let sealed = Payload::Encrypted(Encrypted { inner: Some(PayloadType::IDI), body: &[0x5a; 48] });
    let fragment = Fragment::new(1, 3).expect("in range");
    let inner = Some(PayloadType::IDI);
    let skf = Payload::EncryptedFragment(EncryptedFragment { inner, fragment, body: &[0x5a; 48] });
    let unknown = Payload::Unknown(Unknown { kind: PayloadType(200), critical: false, body: b"later" });
    let critical = Payload::Unknown(Unknown { kind: PayloadType(201), critical: true, body: b"now" });
    [
        ("ike_sa_init", message(&init, &ike_sa_init())),
        ("cookie", message(&init, &[Payload::Notify(Notify::new(NotifyType::COOKIE, &[7; 24]))])),
        ("unknown", message(&init, &[unknown])),
        ("critical", message(&init, &[critical])),
        ("empty", message(&auth, &[])),
        ("sk", message(&auth, &[sealed])),
        ("skf", message(&auth, &[skf])),
    ]
    .into_iter()
}

fn inners() -> impl Iterator<Item = (&'static str, Vec<Payload<'static>>)> {
    let spis = vec![EspSpi(0x0100_0001), EspSpi(0x0100_0002)];
    [
        ("auth_request", auth_request()),
        ("auth_eap", vec![Payload::Eap(Eap(&[1, 1, 0, 5, 1]))]),
        ("child_rekey", child_rekey()),
        ("delete_ike", vec![Payload::Delete(Delete::IkeSa)]),
        ("delete_esp", vec![Payload::Delete(Delete::ChildSas { protocol: ProtocolId::ESP, spis })]),
        ("nothing", vec![]),
        ("cp_reply", vec![Payload::Configuration(cp_reply())]),
    ]
    .into_iter()
}

fn ike_sa_init() -> Vec<Payload<'static>> {
    let cbc = [
        Transform::Encr { id: EncrId::AES_CBC, key_bits: Some(256) },
        Transform::Integ(IntegId::HMAC_SHA2_256_128),
        Transform::Prf(PrfId::HMAC_SHA2_256),
        Transform::Group(GroupId::MODP_2048),
    ];
    let aead = [
        Transform::Encr { id: EncrId::AES_GCM_16, key_bits: Some(256) },
        Transform::Encr { id: EncrId::CHACHA20_POLY1305, key_bits: None },
        Transform::Prf(PrfId::HMAC_SHA2_512),
        Transform::Group(GroupId::CURVE25519),
    ];
    let proposal = |number, transforms: &[Transform]| Proposal {
        number,
        protocol: ProtocolId::IKE,
        spi: Spi::EMPTY,
        transforms: transforms.to_vec(),
    };
    let proposals = vec![proposal(1, &cbc), proposal(2, &aead)];
    vec![
        Payload::SecurityAssociation(SecurityAssociation { proposals }),
        Payload::KeyExchange(KeyExchange { group: GroupId::CURVE25519, data: &[0x42; 32] }),
        Payload::Nonce(Nonce(&[0x17; 32])),
        Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_SOURCE_IP, &[1; 20])),
        Payload::Notify(Notify::new(NotifyType::SIGNATURE_HASH_ALGORITHMS, &[0, 2, 0, 3])),
        Payload::VendorId(VendorId(b"a vendor")),
    ]
}

fn auth_request() -> Vec<Payload<'static>> {
    let wanted = [
        CpAttr::INTERNAL_IP4_ADDRESS,
        CpAttr::INTERNAL_IP4_DNS,
        CpAttr::MICROSOFT_IP4_SERVER,
        CpAttr::INTERNAL_IP6_ADDRESS,
    ];
    let attributes = wanted.map(|kind| CpAttribute::new(kind, &[][..])).to_vec();
    let any = || TrafficSelectors(vec![TrafficSelector::ANY_V4, TrafficSelector::ANY_V6]);
    vec![
        Payload::IdInitiator(Identification::new(IdType::RFC822_ADDR, b"user@example.org")),
        Payload::Certificate(Certificate { encoding: CertEncoding::X509_SIGNATURE, data: &[0x30, 0] }),
        Payload::CertificateRequest(CertificateRequest {
            encoding: CertEncoding::X509_SIGNATURE,
            authorities: &[0xab; 40],
        }),
        Payload::IdResponder(Identification::new(IdType::IPV4_ADDR, &[192, 0, 2, 1])),
        Payload::Authentication(Authentication { method: AuthMethod::SHARED_KEY, data: &[0x99; 32] }),
        Payload::Notify(Notify::new(NotifyType::MOBIKE_SUPPORTED, &[])),
        Payload::Configuration(Configuration { kind: CpType::REQUEST, attributes }),
        Payload::SecurityAssociation(esp_offer()),
        Payload::TsInitiator(any()),
        Payload::TsResponder(any()),
    ]
}

fn child_rekey() -> Vec<Payload<'static>> {
    let https = TrafficSelector {
        protocol: 6,
        start_port: 443,
        end_port: 443,
        ..TrafficSelector::prefix(Ipv4Addr::new(10, 0, 0, 0).into(), 8)
    };
    vec![
        Payload::Notify(Notify::about_esp(EspSpi(0x0100_0001), NotifyType::REKEY_SA, &[])),
        Payload::SecurityAssociation(esp_offer()),
        Payload::Nonce(Nonce(&[0x23; 16])),
        Payload::TsInitiator(TrafficSelectors(vec![https])),
        Payload::TsResponder(TrafficSelectors(vec![TrafficSelector::host(Ipv6Addr::LOCALHOST.into())])),
    ]
}

fn esp_offer() -> SecurityAssociation {
    let transforms = vec![
        Transform::Encr { id: EncrId::AES_GCM_16, key_bits: Some(128) },
        Transform::Esn(EsnId::YES),
        Transform::Esn(EsnId::NO),
    ];
    let spi = EspSpi(0xc0ff_ee01).into();
    SecurityAssociation { proposals: vec![Proposal { number: 1, protocol: ProtocolId::ESP, spi, transforms }] }
}

fn cp_reply() -> Configuration<'static> {
    let net = Ipv4Addr::new(10, 9, 0, 0);
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let attributes = vec![
        CpAttribute::ip4(CpAttr::INTERNAL_IP4_ADDRESS, Ipv4Addr::new(10, 9, 0, 2)),
        CpAttribute::ip4_subnet(net, Ipv4Addr::new(255, 255, 0, 0)),
        CpAttribute::ip6_prefix(CpAttr::INTERNAL_IP6_ADDRESS, v6, 128),
        CpAttribute::ip6(CpAttr::INTERNAL_IP6_DNS, v6),
        CpAttribute::new(CpAttr::INTERNAL_DNS_DOMAIN, &b"example.org"[..]),
    ];
    Configuration { kind: CpType::REPLY, attributes }
}

fn request(exchange: ExchangeType, message_id: u32, responder_spi: Option<IkeSpi>) -> Header {
    Header {
        initiator_spi: IkeSpi([1; 8]),
        responder_spi,
        next_payload: None,
        version: Version::V2,
        exchange,
        flags: Flags { initiator: true, version: false, response: false },
        message_id,
    }
}

fn message(header: &Header, payloads: &[Payload<'_>]) -> Vec<u8> {
    let mut builder = MessageBuilder::new(header);
    for payload in payloads {
        builder.push(payload);
    }
    builder.finish().expect("short")
}

fn inner(payloads: &[Payload<'_>]) -> Vec<u8> {
    let mut builder = ChainBuilder::new();
    for payload in payloads {
        builder.push(payload);
    }
    let (first, chain) = builder.finish().expect("short");
    [&[PayloadType::to_next(first)], chain.as_slice()].concat()
}
