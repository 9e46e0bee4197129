//! Clients whose certificates were revoked, and what happens without a list.

use std::sync::Arc;
use std::time::Duration;

use cygnet_ike::cert::{CertError, RevocationList, RevocationPolicy};
use cygnet_ike::testing::{End, LinkQuality, Pair, Seen};
use cygnet_ike::wire::num::NotifyType;
use cygnet_ike::{CloseReason, RefusalReason};
use rcgen::{CertificateParams, CrlDistributionPoint};

use crate::pki::{Pki, params};
use crate::setup::*;

fn laptop(serial: u64, uris: &[&str]) -> CertificateParams {
    let mut params = params("laptop", &["laptop.example"]);
    params.serial_number = Some(serial.into());
    if !uris.is_empty() {
        params.crl_distribution_points =
            vec![CrlDistributionPoint { uris: uris.iter().map(ToString::to_string).collect() }];
    }
    params
}

fn list(der: &[u8]) -> RevocationList {
    RevocationList::from_der(der).expect("a list")
}

#[expect(clippy::panic, reason = "a failure of the test")]
fn outcome(
    pki: &Pki,
    laptop: &CertificateParams,
    policy: RevocationPolicy,
    lists: Vec<RevocationList>,
) -> Result<(), CertError> {
    let mut server = pki.server();
    // Only the issuer of the laptop's certificate is trusted, so no other list is needed.
    let authorities = cygnet_ike::Authorities::new(std::slice::from_ref(&pki.intermediate)).expect("an authority");
    server.client_authorities = Some(Arc::new(authorities.with_revocation(policy, lists)));
    let pair = login(server, pki.client(pki.certificate(laptop)));
    if pair.clients[0].is_up() {
        return Ok(());
    }
    assert_eq!(pair.clients[0].end(), Some(&End::Refused(NotifyType::AUTHENTICATION_FAILED)));
    let [RefusalReason::Certificate(error)] = refusals(&pair)[..] else { panic!("{:?}", pair.seen) };
    Err(error.clone())
}

#[test]
fn a_revoked_certificate_is_refused_whatever_the_policy() {
    let pki = Pki::new();
    for policy in [RevocationPolicy::Strict, RevocationPolicy::IfUri, RevocationPolicy::Relaxed] {
        let lists = || vec![list(&pki.revocation_list(&[7, 9]))];
        let refused = outcome(&pki, &laptop(9, &[]), policy, lists());
        let Err(error @ CertError::Revoked { .. }) = refused else { panic!("{policy:?}: {refused:?}") };
        assert_eq!(error.to_string(), "the certificate of CN=laptop was revoked at 2026-12-24T00:00:00Z");
        assert_eq!(outcome(&pki, &laptop(8, &[]), policy, lists()), Ok(()));
    }
}

#[test]
fn without_a_list_the_policy_decides() {
    let pki = Pki::new();
    let uri = "http://pki.example/laptops.crl";
    for (policy, uris, accepted) in [
        (RevocationPolicy::Strict, &[][..], false),
        (RevocationPolicy::Strict, &[uri], false),
        (RevocationPolicy::IfUri, &[], true),
        (RevocationPolicy::IfUri, &[uri], false),
        (RevocationPolicy::Relaxed, &[], true),
        (RevocationPolicy::Relaxed, &[uri], true),
    ] {
        let result = outcome(&pki, &laptop(8, uris), policy, Vec::new());
        let uris = uris.iter().map(ToString::to_string).collect();
        let missing = CertError::CrlMissing { subject: "CN=laptop".into(), issuer: "CN=intermediate".into(), uris };
        assert_eq!(result, if accepted { Ok(()) } else { Err(missing) }, "{policy:?}");
    }
}

#[test]
fn a_list_that_comes_later_lets_the_next_login_in() {
    let pki = Pki::new();
    let mut server = pki.server();
    let authorities = cygnet_ike::Authorities::new(std::slice::from_ref(&pki.intermediate)).expect("an authority");
    let authorities = Arc::new(authorities.with_revocation(RevocationPolicy::Strict, Vec::new()));
    server.client_authorities = Some(authorities.clone());
    let mut pair = Pair::new(server, LinkQuality::PERFECT, 1);
    let first = pair.connect(pki.client(pki.certificate(&laptop(8, &[]))), 2);
    pair.settle(LIMIT);
    assert!(!pair.clients[first].is_up());
    authorities.set_revocation(RevocationPolicy::Strict, vec![list(&pki.revocation_list(&[]))]);
    let second = pair.connect(pki.client(pki.certificate(&laptop(8, &[]))), 3);
    pair.settle(LIMIT);
    assert_up(&pair, second);
}

/// A gateway that demands a list, has none, and waits this long for one.
fn patient(pki: &Pki, wait: Duration) -> (Pair, Arc<cygnet_ike::Authorities>) {
    let mut server = pki.server();
    server.timing.revocation_list = wait;
    let authorities = cygnet_ike::Authorities::new(std::slice::from_ref(&pki.intermediate)).expect("an authority");
    let authorities = Arc::new(authorities.with_revocation(RevocationPolicy::Strict, Vec::new()));
    server.client_authorities = Some(authorities.clone());
    (Pair::new(server, LinkQuality::PERFECT, 1), authorities)
}

const WAIT: Duration = Duration::from_secs(5);
const URI: &str = "http://pki.example/laptops.crl";

#[test]
fn a_login_waits_for_a_list_that_comes_soon() {
    let pki = Pki::new();
    let (mut pair, authorities) = patient(&pki, WAIT);
    let client = pair.connect(pki.client(pki.certificate(&laptop(8, &[URI]))), 2);
    pair.advance(Duration::from_secs(3));
    assert!(!pair.clients[client].is_up());
    assert_eq!(pair.clients[client].end(), None, "neither in nor out");
    assert_eq!(authorities.take_list_addresses(), [URI]);
    assert_eq!(pair.server.counters().half_open, 1);
    authorities.set_revocation(RevocationPolicy::Strict, vec![list(&pki.revocation_list(&[]))]);
    pair.server.lists_changed(pair.now, pair.wall);
    pair.settle(LIMIT);
    assert_up(&pair, client);
    assert!(refusals(&pair).is_empty());
}

#[test]
fn a_list_that_comes_may_refuse_as_well() {
    let pki = Pki::new();
    let (mut pair, authorities) = patient(&pki, WAIT);
    let client = pair.connect(pki.client(pki.certificate(&laptop(8, &[URI]))), 2);
    pair.advance(Duration::from_secs(1));
    // Another authority's list: it still waits.
    pair.server.lists_changed(pair.now, pair.wall);
    assert_eq!(pair.clients[client].end(), None);
    authorities.set_revocation(RevocationPolicy::Strict, vec![list(&pki.revocation_list(&[8]))]);
    pair.server.lists_changed(pair.now, pair.wall);
    pair.settle(LIMIT);
    assert_eq!(pair.clients[client].end(), Some(&End::Refused(NotifyType::AUTHENTICATION_FAILED)));
    assert!(matches!(refusals(&pair)[..], [RefusalReason::Certificate(CertError::Revoked { .. })]), "{:?}", pair.seen);
    assert_empty(&mut pair);
    assert_eq!(pair.server.counters().half_open, 0);
}

#[test]
fn a_list_that_does_not_come_is_not_waited_for_forever_nor_one_that_cannot_be_had() {
    let pki = Pki::new();
    for (uris, wait, patience) in
        [(&[URI][..], WAIT, 6), (&[], WAIT, 1), (&["ldap://x/"], WAIT, 1), (&[URI], Duration::ZERO, 1)]
    {
        let (mut pair, _) = patient(&pki, wait);
        let client = pair.connect(pki.client(pki.certificate(&laptop(8, uris))), 2);
        pair.advance(Duration::from_secs(patience));
        assert_eq!(
            pair.clients[client].end(),
            Some(&End::Refused(NotifyType::AUTHENTICATION_FAILED)),
            "{uris:?} {wait:?}"
        );
        assert!(matches!(refusals(&pair)[..], [RefusalReason::Certificate(CertError::CrlMissing { .. })]));
        pair.advance(Duration::from_secs(30));
        assert_eq!(pair.server.counters().half_open, 0);
        assert_eq!(pair.server.spis_in_use(), (0, 0));
    }
}

#[test]
fn a_session_ends_as_soon_as_its_certificate_is_revoked_and_not_for_want_of_a_list() {
    let pki = Pki::new();
    let authorities = Arc::new(pki.authorities());
    let mut server = pki.server();
    server.client_authorities = Some(authorities.clone());
    let mut pair = Pair::new(server, LinkQuality::PERFECT, 1);
    let [lost, kept] = [8, 9].map(|serial| pair.connect(pki.client(pki.certificate(&laptop(serial, &[URI]))), serial));
    pair.settle(LIMIT);
    let later = cygnet_ike::UnixTime::from_secs(1_900_000_000);
    let forged = Pki::new().revocation_list(&[8, 9]);
    for (der, wall) in [(None, pair.wall), (Some(pki.revocation_list(&[7])), later), (Some(forged), pair.wall)] {
        authorities.set_revocation(RevocationPolicy::Strict, der.iter().map(|der| list(der)).collect());
        pair.server.lists_changed(pair.now, wall);
        pair.settle(LIMIT);
        assert_up(&pair, lost);
        assert_up(&pair, kept);
    }
    authorities.set_revocation(RevocationPolicy::Relaxed, vec![list(&pki.revocation_list(&[8]))]);
    pair.server.lists_changed(pair.now, pair.wall);
    assert_eq!(pair.server.counters().sessions, 1, "at once");
    pair.settle(LIMIT);
    assert_eq!(pair.clients[lost].end(), Some(&End::DeletedByServer));
    assert_up(&pair, kept);
    let [RefusalReason::Certificate(error)] = refusals(&pair)[..] else { panic!("{:?}", pair.seen) };
    assert_eq!(error.to_string(), "the certificate of CN=laptop was revoked at 2026-12-24T00:00:00Z");
    assert!(pair.seen.iter().any(|seen| matches!(seen, Seen::Closed(_, CloseReason::Revoked))), "{:?}", pair.seen);
}
