//! Certificates that name the place of a list, and lists, for tests.

use std::time::Duration;

use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, ExtendedKeyUsagePurpose, KeyIdMethod, RevokedCertParams,
    SerialNumber,
};
use rustls_pki_types::UnixTime;
use x509_cert::Certificate;
use x509_cert::der::DecodePem;

use super::authority::Authority;
use super::{Issued, KeyKind, SubjectName, key, params};

/// A client certificate; `uri` is where its authority's list can be had.
pub(crate) fn issue_with_list(ca: &Issued, name: &str, uri: &str, now: UnixTime) -> Issued {
    let mut params = params(name, 30, now).unwrap();
    params.subject_alt_names = vec![SubjectName::from_text(name).to_san().unwrap()];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![uri.to_owned()] }];
    let key = key::generate(KeyKind::EcdsaP256).unwrap();
    let certificate_pem = Authority::load(ca).unwrap().sign(&params, &key.pair).unwrap();
    Issued { certificate_pem, key_pem: key.pem }
}

/// A list of `ca`, DER, issued `now` and due `life` later.
pub(crate) fn revocation_list(ca: &Issued, revoked: &[&Issued], now: UnixTime, life: Duration) -> Vec<u8> {
    let at = |seconds: u64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    let entry = |issued: &&Issued| RevokedCertParams {
        serial_number: serial(&issued.certificate_pem),
        revocation_time: at(now.as_secs()),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: at(now.as_secs()),
        next_update: at(now.as_secs() + life.as_secs()),
        crl_number: SerialNumber::from(now.as_secs()),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(Authority::load(ca).unwrap().issuer()).unwrap().der().to_vec()
}

fn serial(pem: &str) -> SerialNumber {
    let certificate = Certificate::from_pem(pem).unwrap();
    SerialNumber::from_slice(certificate.tbs_certificate().serial_number().as_bytes())
}
