//! Seeds of the targets for IKEv1.

use cygnet_ike::testing::v1::stock::Stock;
use cygnet_ike::wire::num::{CertEncoding, ExchangeType};
use cygnet_ike::wire::v1::num::*;
use cygnet_ike::wire::v1::*;
use cygnet_ike::wire::{EspSpi, IkeSpi};

use super::Seed;

/// All of them.
pub(super) fn all() -> impl Iterator<Item = Seed> {
    let seeds = |target| move |(name, bytes)| Seed { target, name, bytes };
    let messages = first_messages().into_iter().chain(messages()).map(seeds("v1_message"));
    messages.chain(attributes().map(seeds("v1_attributes"))).chain(stories().map(seeds("v1_engine")))
}

fn first_messages() -> [(&'static str, Vec<u8>); 3] {
    [("windows", Stock::Windows10), ("apple", Stock::Apple), ("network_manager", Stock::NetworkManager)]
        .map(|(name, stock)| (name, stock.first_message(IkeSpi([1; 8]))))
}

fn header(exchange: ExchangeType, message_id: u32) -> Header {
    Header {
        initiator_cookie: IkeSpi([1; 8]),
        responder_cookie: Some(IkeSpi([2; 8])),
        next_payload: None,
        minor_version: 0,
        exchange,
        flags: Flags::NONE,
        message_id,
    }
}

fn message(exchange: ExchangeType, payloads: &[Payload<'_>], padding: &[u8]) -> Vec<u8> {
    let mut chain = ChainBuilder::new();
    for payload in payloads {
        chain.push(payload);
    }
    let chain = chain.finish().expect("short");
    let header = Header { next_payload: chain.first, ..header(exchange, 7) };
    header.message(&[&chain.bytes, padding].concat()).expect("short")
}

fn messages() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let nat = |hash| Payload::NatDetection(NatDetection { numbering: NatNumbering::Rfc, hash });
    let third =
        [Payload::KeyExchange(KeyExchange(&[3; 32])), Payload::Nonce(Nonce(&[4; 16])), nat(&[5; 20]), nat(&[6; 20])];
    let spi = [[1; 8], [2; 8]].concat();
    let probe = Notify { protocol: ProtocolId::ISAKMP, spi: &spi, kind: NotifyType::R_U_THERE, data: &[0, 0, 0, 1] };
    let client = Identification { id_type: IdType::IPV4_ADDR, protocol: 17, port: 1701, data: &[192, 168, 1, 10] };
    let numbering = NatNumbering::Draft;
    let address = "203.0.113.7".parse().expect("an address");
    let xauth = [ConfigAttr::XAUTH_USER_NAME, ConfigAttr::XAUTH_USER_PASSWORD];
    let question = xauth.map(|kind| Attribute::long(kind.0, &[][..])).to_vec();
    let certificate = Certificate { encoding: CertEncoding::X509_SIGNATURE, data: &[0x30, 0] };
    let request = CertificateRequest { encoding: CertEncoding::X509_SIGNATURE, authority: &[0x30, 0] };
    [
        ("third", message(ExchangeType::IDENTITY_PROTECTION, &third, &[])),
        (
            "certificates",
            message(
                ExchangeType::IDENTITY_PROTECTION,
                &[
                    Payload::Identification(Identification::new(IdType::FQDN, b"a.example")),
                    Payload::Certificate(certificate),
                    Payload::CertificateRequest(request),
                    Payload::Signature(Signature(&[7; 64])),
                ],
                &[0xa5; 20],
            ),
        ),
        (
            "quick",
            message(
                ExchangeType::QUICK_MODE,
                &[
                    Payload::Hash(Hash(&[8; 20])),
                    Payload::Nonce(Nonce(&[4; 16])),
                    Payload::Identification(client),
                    Payload::NatOriginalAddress(NatOriginalAddress { numbering, address }),
                ],
                &[0; 12],
            ),
        ),
        (
            "informational",
            message(
                ExchangeType::INFORMATIONAL_V1,
                &[
                    Payload::Hash(Hash(&[8; 20])),
                    Payload::Notify(probe),
                    Payload::Delete(Delete::Esp(vec![EspSpi(7), EspSpi(8)])),
                    Payload::Delete(Delete::Isakmp(vec![(IkeSpi([1; 8]), IkeSpi([2; 8]))])),
                ],
                &[],
            ),
        ),
        (
            "transaction",
            message(
                ExchangeType::TRANSACTION,
                &[
                    Payload::Hash(Hash(&[8; 20])),
                    Payload::Configuration(Configuration::new(ConfigType::REQUEST, 9, question)),
                ],
                &[],
            ),
        ),
        (
            "fragment",
            message(
                ExchangeType::IDENTITY_PROTECTION,
                &[Payload::Fragment(Fragment { id: 1, number: 2, is_last: true, data: &[9; 8] })],
                &[],
            ),
        ),
        (
            "unknown",
            message(ExchangeType::AGGRESSIVE, &[Payload::Unknown(Unknown { kind: PayloadType(133), body: &[1] })], &[]),
        ),
    ]
    .into_iter()
}

fn attributes() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let lifetime = vec![Attribute::short(11, 1), Attribute::long(12, &[0, 0, 0x70, 0x80][..])];
    let login = vec![Attribute::long(16_521, &b"ann"[..]), Attribute::long(16_522, &b"mpa\0"[..])];
    [("empty", vec![]), ("lifetime", lifetime), ("login", login)]
        .map(|(name, list)| (name, Attributes::new(list).bytes().to_vec()))
        .into_iter()
}

/// Scripts of `cygnet_ike::fuzzing::v1_engine`: options of the server, then operations.
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
    const XAUTH_AND_AGGRESSIVE: u8 = 12;
    let login = |options: u8, client: u8| [vec![options, CONNECT, client], vec![STEP; 6]].concat();
    [
        (
            "login_and_tasks",
            [login(0, 0), vec![TASK, 1, STEP, STEP, STEP, TASK, 2, WAIT, 1, TASK, 3, STEP, TASK, 5]].concat(),
        ),
        ("nat", [vec![1, TRANSLATE], login(1, 64), vec![STEP, TRANSLATE, TASK, 4, STEP]].concat()),
        ("wrong_psk", [login(0, 1), vec![CONNECT, 4, STEP, STEP, CONNECT, 17, STEP, STEP]].concat()),
        ("xauth", [login(XAUTH_AND_AGGRESSIVE, 2), vec![STEP, STEP, STEP, TASK, 2, WAIT, 2]].concat()),
        ("aggressive", [login(XAUTH_AND_AGGRESSIVE, 10), vec![STEP, STEP, STEP, CLOSE, STEP]].concat()),
        ("fragments", [login(0, 32), vec![STEP, WAIT, 2, LOSE, 30, TASK, 1, WAIT, 9]].concat()),
        ("forged", [login(0, 0), vec![TASK, 1, FORGE, 40, 1, STRANGER, 1, 2, 3, STEP, FORGE, 9, 9]].concat()),
        ("nonsense", [login(4, 0), vec![CONFUSE, 2, 9, 0x88, 1, 2, 3, STEP, STEP, TASK, 0, STEP]].concat()),
        ("lost", [login(0, 0), vec![LOSE, 100, TASK, 1, WAIT, 40, LOSE, 0, WAIT, 9, CLOSE, LOSE, 50]].concat()),
    ]
    .into_iter()
}
