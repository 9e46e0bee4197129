use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope, Issuer, KeyIdMethod,
    KeyUsagePurpose, RevokedCertParams, date_time_ymd,
};

use super::tests::{Holder, NOW};
use super::*;

const URI: &str = "http://pki.example/users.crl";

/// A list that is due in 2031, unless `tune` says otherwise.
fn list(issuer: &Holder, serials: &[u64], tune: impl FnOnce(&mut CertificateRevocationListParams)) -> RevocationList {
    let revoked = |serial: &u64| RevokedCertParams {
        serial_number: (*serial).into(),
        revocation_time: date_time_ymd(2029, 6, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let mut params = CertificateRevocationListParams {
        this_update: date_time_ymd(2029, 7, 1),
        next_update: date_time_ymd(2031, 1, 1),
        crl_number: 1.into(),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    tune(&mut params);
    let der = params.signed_by(&Issuer::from_params(&issuer.params, &issuer.key)).expect("good parameters");
    RevocationList::from_der(der.der()).expect("a list")
}

fn plain(issuer: &Holder, serials: &[u64]) -> RevocationList {
    list(issuer, serials, |_| ())
}

/// A list for the certificates that name `uri`, of users or of authorities only if that is said.
fn partial(issuer: &Holder, serials: &[u64], uri: &str, scope: Option<CrlScope>) -> RevocationList {
    let distribution_point = CrlDistributionPoint { uris: vec![uri.into()] };
    let point = CrlIssuingDistributionPoint { distribution_point, scope };
    list(issuer, serials, |params| params.issuing_distribution_point = Some(point))
}

/// A certificate of `issuer` with a serial number, which says at these addresses where its list is.
fn client(issuer: &Holder, serial: u64, uris: &[&str]) -> Holder {
    issuer.issue_client(|params| {
        params.serial_number = Some(serial.into());
        if !uris.is_empty() {
            let uris = uris.iter().map(ToString::to_string).collect();
            params.crl_distribution_points = vec![CrlDistributionPoint { uris }];
        }
    })
}

fn verify(client: &Holder, intermediates: &[&Holder], root: &Holder, revocation: &Revocation) -> Result<(), CertError> {
    let anchors = TrustAnchors::new(&[&root.der]).expect("an authority");
    let others: Vec<&[u8]> = intermediates.iter().map(|holder| &*holder.der).collect();
    verify_unrevoked(&client.der, &others, &anchors, NOW, Role::Client, Some(revocation)).map(drop)
}

fn strict(lists: Vec<RevocationList>) -> Revocation {
    Revocation::new(RevocationPolicy::Strict, lists)
}

fn revoked(subject: &str) -> Result<(), CertError> {
    let since = Some(UnixTime::from_secs(1_874_966_400));
    Err(CertError::Revoked { subject: subject.into(), since })
}

#[test]
fn a_certificate_on_the_list_of_its_authority_is_refused() {
    let root = Holder::root("root");
    for policy in [RevocationPolicy::Strict, RevocationPolicy::IfUri, RevocationPolicy::Relaxed] {
        let lists = Revocation::new(policy, vec![plain(&root, &[300, 4])]);
        assert_eq!(verify(&client(&root, 300, &[]), &[], &root, &lists), revoked("CN=client"));
        assert_eq!(verify(&client(&root, 301, &[]), &[], &root, &lists), Ok(()));
    }
}

#[test]
fn an_authority_in_between_can_be_revoked_too() {
    let root = Holder::root("root");
    let mut params = Holder::authority_params("between");
    params.serial_number = Some(5.into());
    let between = root.issue(params);
    let client = client(&between, 9, &[]);
    let both = |serials: &[u64]| strict(vec![plain(&root, serials), plain(&between, &[1, 2])]);
    assert_eq!(verify(&client, &[&between], &root, &both(&[])), Ok(()));
    assert_eq!(verify(&client, &[&between], &root, &both(&[5])), revoked("CN=between"));
    let missing = verify(&client, &[&between], &root, &strict(vec![plain(&between, &[])]));
    let (subject, issuer) = ("CN=between".into(), "CN=root".into());
    assert_eq!(missing, Err(CertError::CrlMissing { subject, issuer, uris: Vec::new() }));
}

#[test]
fn if_uri_asks_only_for_lists_that_certificates_name() {
    let root = Holder::root("root");
    let mut params = Holder::authority_params("between");
    params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![URI.into()] }];
    let between = root.issue(params);
    let client = client(&between, 9, &[]);
    let if_uri = |lists| Revocation::new(RevocationPolicy::IfUri, lists);
    let (subject, issuer) = ("CN=between".into(), "CN=root".into());
    let missing = CertError::CrlMissing { subject, issuer, uris: vec![URI.into()] };
    assert_eq!(verify(&client, &[&between], &root, &if_uri(Vec::new())), Err(missing));
    assert_eq!(verify(&client, &[&between], &root, &if_uri(vec![plain(&root, &[])])), Ok(()));
}

#[test]
fn a_list_that_is_out_of_date_is_as_good_as_none_but_still_counts_against() {
    let root = Holder::root("root");
    let old = || list(&root, &[3], |params| params.next_update = date_time_ymd(2029, 12, 1));
    assert!(old().is_stale(NOW));
    for (policy, accepted) in [(RevocationPolicy::Strict, false), (RevocationPolicy::IfUri, true)] {
        let lists = Revocation::new(policy, vec![old()]);
        let result = verify(&client(&root, 4, &[]), &[], &root, &lists);
        assert_eq!(result.is_ok(), accepted, "{policy:?}");
        assert!(matches!(result, Ok(()) | Err(CertError::CrlExpired { .. })));
        assert_eq!(verify(&client(&root, 3, &[]), &[], &root, &lists), revoked("CN=client"));
    }
}

#[test]
fn of_several_lists_the_newest_counts() {
    let root = Holder::root("root");
    let older = || list(&root, &[3], |params| params.this_update = date_time_ymd(2029, 5, 1));
    for lists in [vec![older(), plain(&root, &[])], vec![plain(&root, &[]), older()]] {
        assert_eq!(verify(&client(&root, 3, &[]), &[], &root, &strict(lists)), Ok(()), "it was taken off");
    }
}

#[test]
fn a_list_with_a_scope_is_for_certificates_that_name_it() {
    let root = Holder::root("root");
    let users = || partial(&root, &[3], URI, Some(CrlScope::UserCertsOnly));
    let ours = client(&root, 3, &["http://mirror.example/users.crl", URI]);
    assert_eq!(verify(&ours, &[], &root, &strict(vec![users()])), revoked("CN=client"));
    assert_eq!(verify(&client(&root, 4, &[URI]), &[], &root, &strict(vec![users()])), Ok(()));
    let others = client(&root, 4, &["http://pki.example/servers.crl"]);
    assert!(matches!(verify(&others, &[], &root, &strict(vec![users()])), Err(CertError::CrlMissing { .. })));
    let authorities = partial(&root, &[3], URI, Some(CrlScope::CaCertsOnly));
    assert!(matches!(verify(&ours, &[], &root, &strict(vec![authorities])), Err(CertError::CrlMissing { .. })));
}

#[test]
fn a_list_of_somebody_else_says_nothing_and_a_forged_one_lets_nobody_in() {
    let (root, stranger, impostor) = (Holder::root("root"), Holder::root("stranger"), Holder::root("root"));
    let client = client(&root, 3, &[]);
    let missing = verify(&client, &[], &root, &strict(vec![plain(&stranger, &[3])]));
    assert!(matches!(missing, Err(CertError::CrlMissing { .. })), "{missing:?}");
    let forged = verify(&client, &[], &root, &strict(vec![plain(&impostor, &[])]));
    assert!(matches!(forged, Err(CertError::BadCrl { .. })), "{forged:?}");
    let of = |holder: &Holder| Certificate::from_der(&holder.der).expect("a certificate");
    assert!(plain(&root, &[]).is_signed_by(&of(&root)));
    assert!(!plain(&impostor, &[]).is_signed_by(&of(&root)));
    assert!(!plain(&stranger, &[]).is_signed_by(&of(&root)));
}

#[test]
fn authorities_do_not_take_a_forged_list() {
    let (root, impostor) = (Holder::root("root"), Holder::root("root"));
    let authorities = crate::Authorities::new(std::slice::from_ref(&root.der)).expect("an authority");
    let lists = vec![plain(&impostor, &[3]), plain(&root, &[4])];
    let authorities = authorities.with_revocation(RevocationPolicy::Strict, lists);
    let verify = |serial| authorities.verify(&[&client(&root, serial, &[]).der], NOW, Role::Client).map(drop);
    assert_eq!(authorities.revocation().map(|lists| lists.lists().len()), Some(1));
    assert_eq!(verify(3), Ok(()));
    assert_eq!(verify(4), revoked("CN=client"));
}

#[test]
fn an_authority_that_may_not_sign_lists_has_none() {
    let mut params = Holder::authority_params("root");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let may = Holder::self_signed(params.clone());
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let between = may.issue({
        let mut params = params.clone();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "between");
        params
    });
    // The library makes no such list, so the same key signs it under another certificate.
    let mut signer = Holder { params: between.params.clone(), key: between.key, der: between.der.clone() };
    signer.params.key_usages.push(KeyUsagePurpose::CrlSign);
    let lists = strict(vec![plain(&may, &[]), plain(&signer, &[])]);
    let refused = verify(&client(&signer, 3, &[]), &[&signer], &may, &lists);
    let Err(CertError::BadCrl { reason, .. }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("cRLSign"), "{reason}");
}

#[test]
fn reads_what_a_list_says_and_refuses_every_truncation() {
    let root = Holder::root("root");
    let read = partial(&root, &[3], URI, None);
    assert_eq!(read.issuer_text(), "CN=root");
    assert_eq!(read.this_update().to_string(), "2029-07-01T00:00:00Z");
    assert_eq!(read.next_update().map(|next| next.to_string()).as_deref(), Some("2031-01-01T00:00:00Z"));
    for n in 0..read.der().len() {
        let error = RevocationList::from_der(&read.der()[..n]).expect_err("truncated");
        assert!(matches!(error, CertError::MalformedCrl { .. }), "{n} bytes");
    }
    assert!(RevocationList::from_der(&root.der).is_err(), "a certificate is no list");
}

#[test]
fn reads_where_the_list_of_a_certificate_is() {
    let root = Holder::root("root");
    let parsed = |uris: &[&str]| Certificate::from_der(&client(&root, 1, uris).der).expect("a certificate");
    assert_eq!(parsed(&[URI, "ldap://pki.example/"]).crl_uris(), [URI, "ldap://pki.example/"]);
    assert!(parsed(&[]).crl_uris().is_empty());
}

#[test]
fn a_path_is_revoked_by_a_genuine_list_that_names_one_of_its_certificates_and_by_nothing_else() {
    let (root, mut params) = (Holder::root("root"), Holder::authority_params("between"));
    params.serial_number = Some(5.into());
    let between = root.issue(params);
    let device = client(&between, 3, &[URI]);
    let authorities = crate::Authorities::new(std::slice::from_ref(&root.der)).expect("an authority");
    let verified = authorities.verify(&[&device.der, &between.der], NOW, Role::Client).expect("it is good");
    let path = verified.into_path();
    let subject = |lists| {
        authorities.set_revocation(RevocationPolicy::Strict, lists);
        match authorities.revoked(&path) {
            Some(CertError::Revoked { subject, .. }) => subject,
            other => format!("{other:?}"),
        }
    };
    let stale = list(&between, &[3], |params| params.next_update = date_time_ymd(2029, 8, 1));
    let others = vec![plain(&root, &[3, 6]), plain(&between, &[4, 5]), plain(&Holder::root("between"), &[3])];
    assert_eq!(subject(Vec::new()), "None");
    assert_eq!(subject(others), "None");
    assert_eq!(subject(vec![plain(&Holder::root("root"), &[5])]), "None", "a forged list");
    assert_eq!(subject(vec![plain(&between, &[3])]), "CN=client");
    assert_eq!(subject(vec![stale]), "CN=client", "it stays revoked");
    assert_eq!(subject(vec![plain(&root, &[5])]), "CN=between");
    assert_eq!(subject(vec![partial(&between, &[3], "http://pki.example/other.crl", None)]), "CN=client");
    assert!(authorities.revoked(&CertificatePath::default()).is_none());
}
