//! An authority that was made earlier, by us or by others.

use der::asn1::{Ia5StringRef, ObjectIdentifier, PrintableStringRef, Utf8StringRef};
use der::{Decode, DecodePem, Encode, Tag, Tagged};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, DnValue, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::{BasicConstraints, SubjectKeyIdentifier};

use super::{Issued, PkiError};

/// A certificate that may sign others, and its key.
pub(super) struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Reads certificate and key and checks that they belong together.
    pub(super) fn load(ca: &Issued) -> Result<Self, PkiError> {
        let certificate = Certificate::from_pem(&ca.certificate_pem).map_err(broken("its certificate"))?;
        let key = KeyPair::from_pem(&ca.key_pem).map_err(broken("its key"))?;
        let tbs = certificate.tbs_certificate();
        let public_key = tbs.subject_public_key_info().to_der().map_err(broken("its certificate"))?;
        if public_key != key.subject_public_key_info() {
            return Err(refused("the key does not belong to the certificate"));
        }
        let constraints: Option<(bool, BasicConstraints)> =
            tbs.get_extension().map_err(broken("its basic constraints"))?;
        if !constraints.is_some_and(|(_, c)| c.ca) {
            return Err(refused("the certificate is not one of an authority"));
        }
        let issuer = Issuer::new(issuer_params(&certificate)?, key);
        Ok(Self { certificate, issuer })
    }

    /// What signs.
    #[cfg(test)]
    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// Signs a certificate for `key`, as PEM.
    pub(super) fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Result<String, PkiError> {
        let failed = |e: rcgen::Error| PkiError::Certificate(e.to_string());
        let pem = params.signed_by(key, &self.issuer).map_err(failed)?.pem();
        let made = Certificate::from_pem(&pem).map_err(|e| PkiError::Certificate(e.to_string()))?;
        if made.tbs_certificate().issuer() != self.certificate.tbs_certificate().subject() {
            return Err(refused("its name has a form that we cannot repeat exactly"));
        }
        Ok(pem)
    }
}

/// What the issued certificates repeat of the authority: its name and key identifier.
fn issuer_params(certificate: &Certificate) -> Result<CertificateParams, PkiError> {
    let tbs = certificate.tbs_certificate();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for attribute in tbs.subject().iter() {
        let (kind, value) = name_part(attribute)?;
        params.distinguished_name.push(kind, value);
    }
    let identifier: Option<(bool, SubjectKeyIdentifier)> = tbs.get_extension().map_err(broken("its key identifier"))?;
    if let Some((_, identifier)) = identifier {
        params.key_identifier_method = KeyIdMethod::PreSpecified(identifier.0.as_bytes().to_vec());
    }
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn name_part(attribute: &AttributeTypeAndValue) -> Result<(DnType, DnValue), PkiError> {
    let unreadable = |e: der::Error| broken("its name")(e);
    let der = attribute.value.to_der().map_err(unreadable)?;
    let value = match attribute.value.tag() {
        Tag::Utf8String => DnValue::Utf8String(Utf8StringRef::from_der(&der).map_err(unreadable)?.as_str().to_owned()),
        Tag::PrintableString => {
            let text = PrintableStringRef::from_der(&der).map_err(unreadable)?.as_str().to_owned();
            DnValue::PrintableString(text.try_into().map_err(broken("its name"))?)
        }
        Tag::Ia5String => {
            let text = Ia5StringRef::from_der(&der).map_err(unreadable)?.as_str().to_owned();
            DnValue::Ia5String(text.try_into().map_err(broken("its name"))?)
        }
        other => return Err(refused(&format!("its name has a part of the unusual type {other}"))),
    };
    Ok((DnType::from_oid(&arcs(attribute.oid)), value))
}

fn arcs(oid: ObjectIdentifier) -> Vec<u64> {
    oid.arcs().map(u64::from).collect()
}

fn broken<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> PkiError {
    move |error| PkiError::Authority(format!("{what} cannot be read: {error}"))
}

fn refused(reason: &str) -> PkiError {
    PkiError::Authority(reason.to_owned())
}
