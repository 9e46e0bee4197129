//! How two sites prove who they are: shared keys, certificates, raw keys, each side its own method; and postquantum keys.

use std::sync::Arc;
use std::time::Duration;

use cygnet_ike::credential::{Authorities, Credential, LocalAuth, PeerAuth};
use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::crypto::sign::{PublicKey, SigningKey};
use cygnet_ike::ppk::SitePpk;
use cygnet_ike::testing::LinkQuality;
use cygnet_ike::{AuthenticatedBy, RefusalReason};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, IsCa, Issuer, KeyPair, date_time_ymd,
};

use super::world::{World, identity, site};

/// An authority.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
    der: Vec<u8>,
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("good names");
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2036, 1, 1);
    params
}

impl Authority {
    fn new() -> Self {
        let (mut params, key) = (params(&[]), KeyPair::generate().expect("randomness"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).expect("good parameters").der().to_vec();
        Self { params, key, der }
    }

    fn issue(&self, name: &str) -> LocalAuth {
        let key = KeyPair::generate().expect("randomness");
        let issuer = Issuer::from_params(&self.params, &self.key);
        let der = params(&[name]).signed_by(&key, &issuer).expect("good parameters").der().to_vec();
        let pem = key.serialize_pem();
        LocalAuth::Certificate(Arc::new(Credential::new(vec![der], pem.as_bytes()).expect("they belong together")))
    }

    /// A certificate whose subject is `C=CH, O=Example, CN=` with this name.
    fn issue_with_subject(&self, name: &str) -> LocalAuth {
        let key = KeyPair::generate().expect("randomness");
        let issuer = Issuer::from_params(&self.params, &self.key);
        let mut params = params(&[name]);
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in
            [(DnType::CountryName, "CH"), (DnType::OrganizationName, "Example"), (DnType::CommonName, name)]
        {
            params.distinguished_name.push(kind, DnValue::PrintableString(value.try_into().expect("plain text")));
        }
        let der = params.signed_by(&key, &issuer).expect("good parameters").der().to_vec();
        let pem = key.serialize_pem();
        LocalAuth::Certificate(Arc::new(Credential::new(vec![der], pem.as_bytes()).expect("they belong together")))
    }

    fn trusted(&self) -> PeerAuth {
        PeerAuth::Certificate(Arc::new(Authorities::new(std::slice::from_ref(&self.der)).expect("an authority")))
    }
}

/// One way in which a side proves itself, as both sides know it.
type Method = fn(&Authority, &str) -> (LocalAuth, PeerAuth);

fn psk(_: &Authority, name: &str) -> (LocalAuth, PeerAuth) {
    (LocalAuth::Psk(Secret::from_slice(name.as_bytes())), PeerAuth::Psk(Secret::from_slice(name.as_bytes())))
}

fn certificate(authority: &Authority, name: &str) -> (LocalAuth, PeerAuth) {
    (authority.issue(name), authority.trusted())
}

fn raw_key(_: &Authority, _: &str) -> (LocalAuth, PeerAuth) {
    let pem = KeyPair::generate().expect("randomness").serialize_pem();
    let key = SigningKey::from_pem(pem.as_bytes()).expect("a key");
    let public = PublicKey::from_spki(&key.public_key().to_spki()).expect("a key");
    (LocalAuth::RawKey(Arc::new(key)), PeerAuth::RawKey(public))
}

const METHODS: [(Method, AuthenticatedBy); 3] =
    [(psk, AuthenticatedBy::Psk), (certificate, AuthenticatedBy::Certificate), (raw_key, AuthenticatedBy::RawKey)];

#[test]
fn every_method_goes_with_every_other_in_both_directions() {
    let authority = Authority::new();
    for (west, west_by) in METHODS {
        for (east, east_by) in METHODS {
            for from in 0..2 {
                let (west_local, west_known) = west(&authority, "west.example");
                let (east_local, east_known) = east(&authority, "east.example");
                let mut sites = [site(0), site(1)];
                (sites[0].local_auth, sites[0].peer_auth) = (west_local, east_known);
                (sites[1].local_auth, sites[1].peer_auth) = (east_local, west_known);
                let mut world = World::with(sites, LinkQuality::PERFECT, 1);
                world.initiate(from);
                world.connect();
                world.assert_one(1);
                assert_eq!(world.gateways[0].sessions()[0].by, Some(east_by));
                assert_eq!(world.gateways[1].sessions()[0].by, Some(west_by));
                world.assert_empty();
            }
        }
    }
}

#[test]
fn a_certificate_of_another_name_or_authority_is_refused_by_whoever_sees_it() {
    let (authority, other) = (Authority::new(), Authority::new());
    let cases: [(LocalAuth, &str); 2] =
        [(authority.issue("north.example"), "another name"), (other.issue("east.example"), "another authority")];
    for (east, what) in cases {
        for from in 0..2 {
            let LocalAuth::Certificate(east) = &east else { panic!("a certificate") };
            let mut sites = [site(0), site(1)];
            (sites[0].local_auth, sites[0].peer_auth) = certificate(&authority, "west.example");
            (sites[1].local_auth, sites[1].peer_auth) = (LocalAuth::Certificate(east.clone()), authority.trusted());
            let mut world = World::with(sites, LinkQuality::PERFECT, 1);
            world.initiate(from);
            assert!(world.until(|world| !world.gateways[from].closed.is_empty()));
            let reason = &world.gateways[0].refusals[0];
            assert!(matches!(reason, RefusalReason::Certificate(_)), "{what} from {from}: {reason:?}");
            world.advance(Duration::from_secs(5));
            assert!(world.gateways.iter().all(|gateway| gateway.sessions().is_empty()), "{what}");
            world.assert_empty();
        }
    }
}

#[test]
fn a_peer_may_call_itself_by_the_subject_of_its_certificate() {
    let authority = Authority::new();
    let subject = "C=CH, O=Example, CN=east.example";
    for (expected, is_right) in [
        (subject, true),
        ("CN=east.example,O=Example,C=CH", true),
        ("cn=EAST.example, o=example, c=ch", true),
        // A name of the certificate is as good.
        ("east.example", true),
        ("north.example", false),
        ("CN=north.example,O=Example,C=CH", false),
        ("CN=east.example", false),
    ] {
        for from in 0..2 {
            let mut sites = [site(0), site(1)];
            (sites[0].local_auth, sites[0].peer_auth) = certificate(&authority, "west.example");
            let east = authority.issue_with_subject("east.example");
            (sites[1].local_auth, sites[1].peer_auth) = (east, authority.trusted());
            sites[0].peer_identity = Some(identity(expected));
            sites[1].identity = identity(subject);
            let mut world = World::with(sites, LinkQuality::PERFECT, 1);
            world.initiate(from);
            if is_right {
                world.connect();
                world.assert_one(1);
                let known = world.gateways[0].sessions()[0].identity.clone();
                assert_eq!(known.map(|known| known.to_string()).as_deref(), Some("CN=east.example,O=Example,C=CH"));
            } else {
                assert!(world.until(|world| !world.gateways[from].closed.is_empty()), "{expected} from {from}");
                world.advance(Duration::from_secs(5));
                assert!(world.gateways.iter().all(|gateway| gateway.sessions().is_empty()), "{expected}");
            }
            world.assert_empty();
        }
    }
}

fn ppk(id: &[u8], secret: &[u8], required: bool) -> SitePpk {
    SitePpk { id: id.to_vec(), secret: Secret::from_slice(secret), required }
}

#[test]
fn postquantum_keys_are_used_where_both_have_them_and_demanded_where_one_insists() {
    // What both sides have, and what comes of it: with, without, or not at all.
    let with = |required| move || Some(ppk(b"site", b"a long secret", required));
    let other = |required| move || Some(ppk(b"site", b"another secret", required));
    let unknown = |required| move || Some(ppk(b"elsewhere", b"a long secret", required));
    type Key = Box<dyn Fn() -> Option<SitePpk>>;
    let cases: Vec<(Key, Key, Option<bool>)> = vec![
        (Box::new(with(true)), Box::new(with(true)), Some(true)),
        (Box::new(with(false)), Box::new(with(false)), Some(true)),
        (Box::new(with(false)), Box::new(with(true)), Some(true)),
        (Box::new(with(false)), Box::new(|| None), Some(false)),
        (Box::new(with(true)), Box::new(|| None), None),
        (Box::new(with(false)), Box::new(unknown(false)), Some(false)),
        (Box::new(with(false)), Box::new(unknown(true)), None),
        (Box::new(with(true)), Box::new(unknown(false)), None),
        (Box::new(with(false)), Box::new(other(false)), None),
    ];
    for (number, (west, east, outcome)) in cases.iter().enumerate() {
        for from in 0..2 {
            let mut sites = [site(0), site(1)];
            (sites[0].ppk, sites[1].ppk) = (west(), east());
            let mut world = World::with(sites, LinkQuality::PERFECT, 1);
            world.initiate(from);
            let ended = world.until(|world| {
                !world.gateways[from].closed.is_empty()
                    || world.gateways.iter().all(|gateway| !gateway.spis().is_empty())
            });
            assert!(ended, "case {number} from {from}");
            world.advance(Duration::from_secs(5));
            match outcome {
                Some(used) => {
                    world.assert_one(1);
                    let told = world.gateways.each_ref().map(|gateway| gateway.sessions()[0].ppk);
                    assert_eq!(told, [*used, *used], "case {number} from {from}");
                }
                None => {
                    assert!(!world.gateways[from].refusals.is_empty(), "case {number} from {from}");
                    assert!(world.gateways.iter().all(|gateway| gateway.sessions().is_empty()), "case {number}");
                }
            }
            world.assert_empty();
        }
    }
}
