//! The vendors' fragments: sent by clients with certificates, in any order, and answered by the gateway in kind.

use std::sync::Arc;

use bytes::Bytes;
use cygnet_ike::cert::TrustAnchors;
use cygnet_ike::config::Config;
use cygnet_ike::credential::{Authorities, Credential};
use cygnet_ike::testing::LinkQuality;
use cygnet_ike::testing::v1::stock::Stock;
use cygnet_ike::testing::v1::{V1ClientConfig, V1Login, V1Pair};
use cygnet_ike::wire::v1::num::IdType;
use cygnet_ike::wire::v1::vid;
use cygnet_ike::{AuthenticatedBy, Path};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};

use crate::setup::*;

/// A key that RSA signatures need; made for the tests.
const RSA_KEY: &str = include_str!("../../src/crypto/sign/testdata/rsa2048.pkcs8.pem");

struct Pki {
    root: Vec<u8>,
    params: CertificateParams,
    key: KeyPair,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a good name");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2036, 1, 1);
    params
}

impl Pki {
    fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("randomness");
        let mut params = params("root.example");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("good parameters").der().to_vec();
        Self { root, params, key }
    }

    fn issue(&self, name: &str, key: &KeyPair) -> Vec<u8> {
        let issuer = Issuer::from_params(&self.params, &self.key);
        params(name).signed_by(key, &issuer).expect("good parameters").der().to_vec()
    }

    /// A server with an RSA or ECDSA certificate.
    fn server(&self, rsa: bool) -> Config {
        let key = if rsa { KeyPair::from_pem(RSA_KEY).expect("a good key") } else { KeyPair::generate().expect("ok") };
        let chain = vec![self.issue("gw.example", &key)];
        let mut config = server();
        let pem = if rsa { RSA_KEY.to_owned() } else { key.serialize_pem() };
        config.credentials = vec![Arc::new(Credential::new(chain, pem.as_bytes()).expect("they belong together"))];
        config.client_authorities =
            Some(Arc::new(Authorities::new(std::slice::from_ref(&self.root)).expect("an authority")));
        config
    }

    /// A client with an RSA or ECDSA certificate.
    fn client(&self, rsa: bool) -> V1ClientConfig {
        let key = if rsa { KeyPair::from_pem(RSA_KEY).expect("a good key") } else { KeyPair::generate().expect("ok") };
        let mut config = client();
        let key_pem = if rsa { RSA_KEY.as_bytes().to_vec() } else { key.serialize_pem().into_bytes() };
        let chain = vec![self.issue("laptop.example", &key)];
        let authorities = TrustAnchors::new(&[&self.root]).expect("an authority");
        config.login = V1Login::Certificate { key_pem, chain, authorities };
        for transform in &mut config.isakmp {
            transform.auth = if rsa { 3 } else { 9 };
        }
        config.identity = cygnet_ike::testing::v1::V1Id::name(IdType::FQDN, "laptop.example");
        config
    }
}

#[test]
fn both_ends_prove_themselves_by_certificates() {
    let pki = Pki::new();
    for rsa in [true, false] {
        let pair = login(pki.server(rsa), pki.client(rsa));
        assert_up(&pair, 0);
        let info = &pair.server.snapshot()[0];
        assert_eq!(info.by, Some(AuthenticatedBy::Certificate), "RSA: {rsa}");
    }
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let (pki, other) = (Pki::new(), Pki::new());
    let mut config = other.client(true);
    if let V1Login::Certificate { authorities, .. } = &mut config.login {
        *authorities = TrustAnchors::new(&[&pki.root]).expect("an authority");
    }
    let pair = login(pki.server(true), config);
    assert!(pair.children.is_empty());
    assert!(!pair.refusals().is_empty());
}

#[test]
fn fragments_are_reassembled_with_either_form_of_the_vendor_id_and_with_the_flag_set() {
    let pki = Pki::new();
    for capability in [&[][..], &[0x80, 0, 0, 0]] {
        for flagged in [false, true] {
            let mut config = pki.client(true);
            config.vendor_ids = vec![vid::NAT_T_RFC.to_vec(), [vid::FRAGMENTATION, capability].concat()];
            config.fragment_size = Some(300);
            config.flags_fragments = flagged;
            let pair = login(pki.server(true), config);
            assert_up(&pair, 0);
        }
    }
}

/// A handshake until the client's fragments of message 5; they come out of it instead of going on their way.
fn until_fragments(pki: &Pki) -> (V1Pair, Vec<(Path, Bytes)>) {
    let mut pair = V1Pair::new(pki.server(true), LinkQuality::PERFECT, 1);
    let mut config = pki.client(true);
    config.fragment_size = Some(300);
    pair.connect(config, 2);
    for _ in 0..2 {
        deliver_to_server(&mut pair);
        deliver_to_client(&mut pair);
    }
    let fragments = std::iter::from_fn(|| pair.clients[0].poll_transmit());
    let seen = |path: Path| Path { local: path.peer, peer: path.local };
    let fragments: Vec<_> = fragments.map(|transmit| (seen(transmit.path), transmit.payload)).collect();
    assert!(fragments.len() > 3, "{}", fragments.len());
    (pair, fragments)
}

fn deliver_to_server(pair: &mut V1Pair) {
    while let Some(transmit) = pair.clients[0].poll_transmit() {
        let path = Path { local: transmit.path.peer, peer: transmit.path.local };
        pair.server.handle_datagram(pair.now, pair.wall, path, &transmit.payload);
    }
}

fn deliver_to_client(pair: &mut V1Pair) {
    while let Some(transmit) = pair.server.poll_transmit() {
        pair.clients[0].handle_datagram(pair.now, &transmit.payload);
    }
}

#[test]
fn fragments_in_any_order_and_twice_make_one_message() {
    let pki = Pki::new();
    for order in ["forward", "backward", "twice"] {
        let (mut pair, mut fragments) = until_fragments(&pki);
        match order {
            "backward" => fragments.reverse(),
            "twice" => fragments = fragments.iter().flat_map(|fragment| [fragment.clone(), fragment.clone()]).collect(),
            _ => {}
        }
        for (path, fragment) in &fragments {
            pair.server.handle_datagram(pair.now, pair.wall, *path, fragment);
        }
        pair.settle(LIMIT);
        assert_up(&pair, 0);
        assert_eq!(pair.server.snapshot().len(), 1, "{order}");
    }
}

#[test]
fn fragments_create_nothing_for_strangers() {
    let pki = Pki::new();
    let (_, fragments) = until_fragments(&pki);
    // Another server has never heard of these cookies.
    let mut pair = V1Pair::new(pki.server(true), LinkQuality::PERFECT, 7);
    let before = pair.server.fingerprint();
    for (path, fragment) in &fragments {
        pair.server.handle_datagram(pair.now, pair.wall, *path, fragment);
    }
    assert_eq!(pair.server.fingerprint(), before);
    assert!(pair.server.poll_transmit().is_none());
}

#[test]
fn a_pre_shared_key_never_makes_the_gateway_cut_its_messages() {
    let pair = login(server(), stock(Stock::Windows10));
    assert_up(&pair, 0);
    assert!(!pair.clients[0].observed.fragments);
}
