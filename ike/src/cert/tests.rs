use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose as Purpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, SanType, date_time_ymd,
};

use super::*;
use crate::{
    crypto::{
        sign::{Scheme, SignatureError, SigningKey, UnsupportedKey},
        testing::SeededRandom,
    },
    identity::Identity,
};

macro_rules! testdata {
    ($name:literal) => {
        include_bytes!(concat!("testdata/", $name))
    };
}

/// 2030-01-01 00:00:00 UTC.
pub(super) const NOW: UnixTime = UnixTime::from_secs(1_893_456_000);

/// A certificate with its private key, which may issue others.
pub(super) struct Holder {
    pub(super) params: CertificateParams,
    pub(super) key: KeyPair,
    pub(super) der: Vec<u8>,
}

impl Holder {
    /// Valid from 2029 to 2031.
    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2029, 1, 1);
        params.not_after = date_time_ymd(2031, 1, 1);
        params
    }

    pub(super) fn authority_params(name: &str) -> CertificateParams {
        let mut params = Self::params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    pub(super) fn self_signed(params: CertificateParams) -> Self {
        let key = KeyPair::generate().expect("randomness");
        let der = params.self_signed(&key).expect("good parameters").der().to_vec();
        Self { params, key, der }
    }

    pub(super) fn root(name: &str) -> Self {
        Self::self_signed(Self::authority_params(name))
    }

    pub(super) fn issue(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().expect("randomness");
        let issuer = Issuer::from_params(&self.params, &self.key);
        let der = params.signed_by(&key, &issuer).expect("good parameters").der().to_vec();
        Self { params, key, der }
    }

    pub(super) fn issue_client(&self, tune: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = Self::params("client");
        params.subject_alt_names = vec![SanType::DnsName("laptop.example.org".try_into().expect("ASCII"))];
        tune(&mut params);
        self.issue(params)
    }

    fn verify(&self, intermediates: &[&Self], root: &Self) -> Result<VerifiedCertificate, CertError> {
        self.verify_as(Role::Client, intermediates, root, NOW)
    }

    fn verify_as(
        &self,
        role: Role,
        intermediates: &[&Self],
        root: &Self,
        now: UnixTime,
    ) -> Result<VerifiedCertificate, CertError> {
        let anchors = TrustAnchors::new(&[&root.der]).expect("an authority");
        let others: Vec<&[u8]> = intermediates.iter().map(|holder| &*holder.der).collect();
        verify_chain(&self.der, &others, &anchors, now, role)
    }
}

fn id(text: &str) -> Identity {
    text.parse().expect("an identity")
}

#[test]
fn verifies_a_client_of_a_trusted_authority() {
    let root = Holder::root("root");
    let client = root.issue_client(|_| ());
    let verified = client.verify(&[], &root).expect("a good chain");
    assert!(verified.matches(&id("laptop.example.org")));
    assert!(!verified.matches(&id("other.example.org")));
}

#[test]
fn verifies_through_intermediates_in_any_order_and_with_the_root_among_them() {
    let root = Holder::root("root");
    let one = root.issue(Holder::authority_params("one"));
    let two = one.issue(Holder::authority_params("two"));
    let client = two.issue_client(|_| ());
    assert!(client.verify(&[&one, &two], &root).is_ok());
    assert!(client.verify(&[&two, &one], &root).is_ok());
    assert!(client.verify(&[&root, &client, &two, &one], &root).is_ok());
}

#[test]
fn names_the_issuer_that_is_missing() {
    let root = Holder::root("root");
    let one = root.issue(Holder::authority_params("one"));
    let two = one.issue(Holder::authority_params("two"));
    let client = two.issue_client(|_| ());
    let missing = |subject: &str, issuer: &str| {
        Some(CertError::UnknownIssuer { subject: format!("CN={subject}"), issuer: format!("CN={issuer}") })
    };
    assert_eq!(client.verify(&[], &root).err(), missing("client", "two"));
    assert_eq!(client.verify(&[&two], &root).err(), missing("two", "one"));
    assert_eq!(client.verify(&[&one], &root).err(), missing("client", "two"));
    assert_eq!(client.verify(&[&one, &two], &Holder::root("other")).err(), missing("one", "root"));
}

#[test]
fn refuses_an_authority_of_the_same_name_with_another_key() {
    let client = Holder::root("root").issue_client(|_| ());
    let refused = client.verify(&[], &Holder::root("root")).err();
    assert_eq!(refused, Some(CertError::BadSignature { subject: "CN=client".into() }));
}

#[test]
fn refuses_a_chain_that_is_not_yet_or_no_longer_valid() {
    let root = Holder::root("root");
    let client = root.issue_client(|params| {
        params.not_before = date_time_ymd(2029, 6, 1);
        params.not_after = date_time_ymd(2030, 6, 1);
    });
    let at = |now: u64| client.verify_as(Role::Client, &[], &root, UnixTime::from_secs(now)).map(drop);
    let (not_before, not_after) = (1_874_966_400, 1_906_502_400);
    assert_eq!(
        at(not_before - 1).map_err(|error| error.to_string()),
        Err("the certificate of CN=client is not valid before 2029-06-01T00:00:00Z; is the clock right?".into())
    );
    assert_eq!(at(not_before), Ok(()));
    assert_eq!(at(not_after), Ok(()));
    assert_eq!(
        at(not_after + 1).map_err(|error| error.to_string()),
        Err("the certificate of CN=client expired at 2030-06-01T00:00:00Z".into())
    );
}

#[test]
fn refuses_an_expired_intermediate_and_names_it() {
    let root = Holder::root("root");
    let mut params = Holder::authority_params("old");
    params.not_after = date_time_ymd(2029, 12, 1);
    let old = root.issue(params);
    let client = old.issue_client(|_| ());
    let refused = client.verify(&[&old], &root).err();
    let not_after = UnixTime::from_secs(1_890_777_600);
    assert_eq!(refused, Some(CertError::Expired { subject: "CN=old".into(), not_after }));
}

#[test]
fn refuses_an_expired_authority_unless_it_was_renewed() {
    let mut old = Holder::authority_params("root");
    old.not_after = date_time_ymd(2029, 12, 1);
    let old = Holder::self_signed(old);
    let client = old.issue_client(|_| ());
    let refused = client.verify(&[], &old).err();
    assert!(matches!(refused, Some(CertError::Expired { subject, .. }) if subject == "CN=root"));

    let renewed = Holder::authority_params("root").self_signed(&old.key).expect("good parameters");
    let anchors = TrustAnchors::new(&[&*old.der, renewed.der()]).expect("authorities");
    assert!(verify_chain(&client.der, &[], &anchors, NOW, Role::Client).is_ok());
}

#[test]
fn takes_key_purposes_of_the_role_or_none() {
    let root = Holder::root("root");
    let ipsec_ike = || Purpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 17]);
    let ike_intermediate = || Purpose::Other(vec![1, 3, 6, 1, 5, 5, 8, 2, 2]);
    for (purposes, client, server) in [
        (vec![], true, true),
        (vec![Purpose::ClientAuth], true, false),
        (vec![Purpose::ServerAuth], false, true),
        (vec![ipsec_ike()], true, true),
        (vec![ike_intermediate()], false, true),
        (vec![Purpose::Any], true, true),
        (vec![Purpose::CodeSigning], false, false),
        (vec![Purpose::CodeSigning, Purpose::ClientAuth, Purpose::ServerAuth], true, true),
    ] {
        let holder = root.issue_client(|params| params.extended_key_usages = purposes.clone());
        assert_eq!(holder.verify_as(Role::Client, &[], &root, NOW).is_ok(), client, "{purposes:?} of a client");
        assert_eq!(holder.verify_as(Role::Server, &[], &root, NOW).is_ok(), server, "{purposes:?} of a server");
    }
}

#[test]
fn names_the_purposes_that_do_not_fit() {
    let root = Holder::root("root");
    let client = root.issue_client(|params| {
        params.extended_key_usages = vec![Purpose::ServerAuth, Purpose::Other(vec![1, 3, 9])];
    });
    assert_eq!(
        client.verify(&[], &root).expect_err("a server's").to_string(),
        "the certificate of CN=client is for other purposes: serverAuth, 1.3.9, not clientAuth or ipsecIKE"
    );
}

#[test]
fn takes_the_key_purposes_of_authorities_as_restrictions() {
    let root = Holder::root("root");
    let mut params = Holder::authority_params("servers only");
    params.extended_key_usages = vec![Purpose::ServerAuth];
    let authority = root.issue(params);
    let refused = authority.issue_client(|_| ()).verify(&[&authority], &root).err();
    let subject = "CN=servers only".into();
    assert_eq!(refused, Some(CertError::BadEku { subject, role: Role::Client, present: vec!["serverAuth".into()] }));
}

#[test]
fn refuses_a_key_that_may_not_sign() {
    let root = Holder::root("root");
    let client = root.issue_client(|params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement]);
    assert_eq!(client.verify(&[], &root).err(), Some(CertError::BadKeyUsage { subject: "CN=client".into() }));
    for usage in [KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::ContentCommitment] {
        assert!(root.issue_client(|params| params.key_usages = vec![usage]).verify(&[], &root).is_ok());
    }
}

#[test]
fn refuses_an_authority_as_a_peer() {
    let root = Holder::root("root");
    let authority = root.issue(Holder::authority_params("client"));
    let refused = authority.verify(&[], &root).err();
    assert_eq!(refused, Some(CertError::CaAsEndEntity { subject: "CN=client".into() }));
    assert!(matches!(root.verify(&[], &root).err(), Some(CertError::CaAsEndEntity { .. })));
}

#[test]
fn refuses_what_a_client_has_issued() {
    let root = Holder::root("root");
    let client = root.issue_client(|_| ());
    let forged = client.issue_client(|params| params.distinguished_name.push(DnType::OrganizationName, "forged"));
    assert!(matches!(forged.verify(&[&client], &root).err(), Some(CertError::Constraint { .. })));
}

#[test]
fn keeps_to_the_path_length_of_an_authority() {
    let root = Holder::root("root");
    let mut params = Holder::authority_params("short");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let short = root.issue(params);
    assert!(short.issue_client(|_| ()).verify(&[&short], &root).is_ok());
    let below = short.issue(Holder::authority_params("below"));
    let refused = below.issue_client(|_| ()).verify(&[&short, &below], &root);
    let rule = "an authority may not have so many authorities below it";
    assert_eq!(refused.err(), Some(CertError::Constraint { subject: "CN=client".into(), rule }));
}

#[test]
fn keeps_to_the_name_constraints_of_an_authority() {
    let root = Holder::root("root");
    let mut params = Holder::authority_params("example.org");
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".into())],
        excluded_subtrees: vec![GeneralSubtree::DnsName("secret.example.org".into())],
    });
    let authority = root.issue(params);
    let with_name = |name: &str| {
        let name = SanType::DnsName(name.try_into().expect("ASCII"));
        authority.issue_client(|params| params.subject_alt_names = vec![name]).verify(&[&authority], &root).map(drop)
    };
    let refused = CertError::Constraint {
        subject: "CN=client".into(),
        rule: "its names are outside of those its authority may certify",
    };
    assert_eq!(with_name("laptop.example.org"), Ok(()));
    assert_eq!(with_name("laptop.example.com"), Err(refused.clone()));
    assert_eq!(with_name("laptop.secret.example.org"), Err(refused));
}

#[test]
fn refuses_more_certificates_than_a_message_may_have() {
    let root = Holder::root("root");
    let client = root.issue_client(|_| ());
    assert!(client.verify(&[&client; 7], &root).is_ok());
    assert_eq!(client.verify(&[&client; 8], &root).err(), Some(CertError::TooComplex));
}

#[test]
fn speaks_for_its_names_alone() {
    let verified = verified_openssl_client();
    for text in ["laptop.example.org", "LAPTOP.example.org", "alice@example.org", "192.0.2.7", "2001:db8::7"] {
        assert!(verified.matches(&id(text)), "{text}");
    }
    for text in [
        "example.org",
        "laptop.example.org.",
        "alice",
        "Alice",
        "bob@example.org",
        "@192.0.2.7",
        "192.0.2.8",
        "2001:db8::8",
        "https://example.org/",
        "email:laptop.example.org",
        "@alice@example.org",
        "keyid:laptop.example.org",
    ] {
        assert!(!verified.matches(&id(text)), "{text}");
    }
}

#[test]
fn speaks_for_its_whole_distinguished_name() {
    let verified = verified_openssl_client();
    let dn = verified.certificate().subject().to_vec();
    assert_eq!(verified.certificate().subject_text(), "CN=Alice,OU=Staff,O=Cygnet,C=CH");
    assert!(verified.matches(&Identity::DerAsn1Dn(dn.clone())));
    for n in 0..dn.len() {
        assert!(!verified.matches(&Identity::DerAsn1Dn(dn[..n].to_vec())), "{n} bytes");
    }
    assert!(!verified.matches(&Identity::DerAsn1Dn(verified.certificate().issuer().to_vec())));
}

#[test]
fn does_not_take_an_empty_distinguished_name_for_a_name() {
    let root = Holder::root("root");
    let client =
        root.issue_client(|params| params.distinguished_name.remove(DnType::CommonName).then_some(()).unwrap());
    let verified = client.verify(&[], &root).expect("a good chain");
    assert_eq!(verified.certificate().subject(), [0x30, 0x00]);
    assert!(!verified.matches(&Identity::DerAsn1Dn(vec![0x30, 0x00])));
}

#[test]
fn says_for_whom_a_certificate_is() {
    let verified = verified_openssl_client();
    assert_eq!(verified.require(&id("laptop.example.org")), Ok(()));
    assert_eq!(
        verified.require(&id("vpn.example.org")).expect_err("another name").to_string(),
        "the certificate is not for vpn.example.org, but for laptop.example.org, alice@example.org, 192.0.2.7, \
         2001:db8::7, CN=Alice,OU=Staff,O=Cygnet,C=CH"
    );
}

#[test]
fn verifies_signatures_with_its_own_key_alone() {
    let root = Holder::root("root");
    let client = root.issue_client(|_| ());
    let verified = client.verify(&[], &root).expect("a good chain");
    let sign = |holder: &Holder| {
        let key = SigningKey::from_pkcs8(&holder.key.serialize_der()).expect("a good key");
        key.sign(Scheme::Ecdsa256, b"octets", &mut SeededRandom::new(1)).expect("a P-256 key")
    };
    let method = Scheme::Ecdsa256.method();
    assert_eq!(verified.verify_auth(method, &sign(&client), b"octets", false), Ok(()));
    assert_eq!(verified.verify_auth(method, &sign(&root), b"octets", false), Err(SignatureError::Wrong));
    assert_eq!(verified.verify_auth(method, &sign(&client), b"others", false), Err(SignatureError::Wrong));
}

fn verified_openssl_client() -> VerifiedCertificate {
    let anchors = TrustAnchors::new(&[testdata!("rsa.ca.der")]).expect("an authority");
    verify_chain(testdata!("rsa.client.der"), &[], &anchors, NOW, Role::Client).expect("a good chain")
}

#[test]
fn takes_a_client_with_a_key_on_p521() {
    let anchors = TrustAnchors::new(&[testdata!("p521-client.ca.der")]).expect("an authority");
    let verified = verify_chain(testdata!("p521-client.client.der"), &[], &anchors, NOW, Role::Client);
    let key = SigningKey::from_pem(include_bytes!("../crypto/sign/testdata/p521.pkcs8.pem")).expect("a good key");
    let signature = key.sign(Scheme::Ecdsa521, b"octets", &mut SeededRandom::new(1)).expect("a P-521 key");
    let verified = verified.expect("a good chain");
    assert_eq!(verified.verify_auth(Scheme::Ecdsa521.method(), &signature, b"octets", false), Ok(()));
}

#[test]
fn names_the_signature_algorithm_that_is_not_supported() {
    for (ca, client, algorithm) in [
        (&testdata!("sha1.ca.der")[..], &testdata!("sha1.client.der")[..], "SHA-1 and RSA"),
        (testdata!("p521-authority.ca.der"), testdata!("p521-authority.client.der"), "SHA-512 and ECDSA"),
    ] {
        let anchors = TrustAnchors::new(&[ca]).expect("an authority");
        let refused = verify_chain(client, &[], &anchors, NOW, Role::Client).err();
        let subject = "CN=Alice,OU=Staff,O=Cygnet,C=CH".into();
        assert_eq!(refused, Some(CertError::UnsupportedSignature { subject, algorithm: algorithm.into() }));
    }
}

#[test]
fn refuses_every_truncation_and_every_large_certificate() {
    let der = testdata!("rsa.client.der");
    for n in 0..der.len() {
        assert_eq!(Certificate::from_der(&der[..n]), Err(CertError::Malformed), "{n} bytes");
    }
    assert_eq!(Certificate::from_der(&[&der[..], &[0]].concat()), Err(CertError::Malformed));
    assert_eq!(Certificate::from_der(&[0x30; 16 * 1024 + 1]), Err(CertError::Malformed));
}

#[test]
fn verifies_no_certificate_with_a_changed_byte() {
    let anchors = TrustAnchors::new(&[testdata!("rsa.ca.der")]).expect("an authority");
    let der = testdata!("rsa.client.der");
    for n in 0..der.len() {
        let mut changed = der.to_vec();
        changed[n] ^= 0x01;
        assert!(verify_chain(&changed, &[], &anchors, NOW, Role::Client).is_err(), "byte {n}");
    }
}

#[test]
fn names_its_authorities_in_requests_by_their_keys() {
    let anchors =
        TrustAnchors::new(&[&testdata!("rsa.ca.der")[..], testdata!("p521-client.ca.der")]).expect("authorities");
    let request = anchors.request_authorities();
    // `openssl pkey -pubin -outform DER | sha1sum` of the two keys.
    assert_eq!(request.len(), 2 * KEY_HASH_LEN);
    assert!(anchors.is_requested(&request[KEY_HASH_LEN..]));
    assert!(!anchors.is_requested(&request[1..]));
    assert!(!anchors.is_requested(&[]));
    let spki = include_bytes!("../crypto/sign/testdata/rsa2048.spki.der");
    assert_eq!(request[..KEY_HASH_LEN], crate::crypto::hash::Hash::Sha1.digest(&[spki]));
}

#[test]
fn reads_bundles_and_says_what_is_wrong_with_them() {
    let (one, two) = (Holder::root("one"), Holder::root("two"));
    let pem = |holder: &Holder| holder.params.self_signed(&holder.key).expect("good parameters").pem();
    let bundle = format!("# a comment\n{}{}{}", pem(&one), one.key.serialize_pem(), pem(&two));
    let anchors = TrustAnchors::from_pem(bundle.as_bytes()).expect("two authorities");
    let names: Vec<_> = anchors.certificates().iter().map(Certificate::subject_text).collect();
    assert_eq!(names, ["CN=one", "CN=two"]);

    assert_eq!(TrustAnchors::from_pem(b"").err(), Some(CertError::Pem(pem::PemError::NoCertificate)));
    let broken = bundle.replace("-----END CERTIFICATE-----", "");
    assert!(matches!(pem::certificates(broken.as_bytes()), Err(pem::PemError::Broken(_))));
    assert_eq!(TrustAnchors::new::<Vec<u8>>(&[]).err(), Some(CertError::NoTrustAnchors));
    assert_eq!(TrustAnchors::new(&[b"no certificate"]).err(), Some(CertError::Malformed));
}

#[test]
fn reads_a_certificate_as_openssl_wrote_it() {
    let certificate = Certificate::from_der(testdata!("rsa.client.der")).expect("well-formed");
    assert_eq!(certificate.issuer_text(), "CN=rsa CA,O=Cygnet,C=CH");
    assert_eq!(certificate.key_purposes(), Some(vec!["clientAuth".into()]));
    assert!(certificate.key_signs() && !certificate.is_ca());
    assert_eq!(certificate.public_key().map(|key| key.to_string()), Ok("ECDSA P-256".into()));
    assert_eq!(certificate.spki(), include_bytes!("../crypto/sign/testdata/p256.spki.der"));
    assert!(Certificate::from_der(testdata!("rsa.ca.der")).expect("well-formed").is_ca());
}

#[test]
fn says_that_a_key_is_too_weak() {
    let error = CertError::from(UnsupportedKey::RsaSize(1024));
    assert_eq!(error.to_string(), "an RSA key of 1024 bits is not accepted (2048 to 8192 are)");
}
