//! Verification of a peer's certificates.

use std::cell::RefCell;

use der::asn1::ObjectIdentifier;
use rustls_pki_types::CertificateDer;
use webpki::{
    ALL_VERIFICATION_ALGS, EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext,
};

use super::{CertError, Certificate, CertificatePath, Revocation, TrustAnchors, UnixTime, error::Context};
use crate::{
    crypto::sign::{PublicKey, SignatureError},
    identity::Identity,
    wire::{limits::MAX_CERTIFICATES, num::AuthMethod, v1::num::IsakmpAuth},
};

/// What the peer is to us, which decides the key purposes that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A client or another initiator: clientAuth or ipsecIKE.
    Client,
    /// A gateway that we connect to: serverAuth, ipsecIKE, or the iKEIntermediate of old clients.
    Server,
    /// The gateway at the other end of a site tunnel, which begins today and answers tomorrow: any of the above.
    Site,
}

const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
/// id-kp-ipsecIKE, RFC 4945 section 5.1.3.12.
const IPSEC_IKE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.17");
const IKE_INTERMEDIATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.8.2.2");
const ANY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

impl Role {
    /// Whether the key purposes of `certificate` fit: one of the role's, any, or no list at all.
    #[must_use]
    pub fn fits(self, certificate: &Certificate) -> bool {
        certificate.purposes().is_none_or(|listed| self.fits_purposes(listed))
    }

    fn fits_purposes(self, listed: &[ObjectIdentifier]) -> bool {
        let wanted: &[ObjectIdentifier] = match self {
            Self::Client => &[CLIENT_AUTH, IPSEC_IKE, ANY],
            Self::Server => &[SERVER_AUTH, IPSEC_IKE, IKE_INTERMEDIATE, ANY],
            Self::Site => &[CLIENT_AUTH, SERVER_AUTH, IPSEC_IKE, IKE_INTERMEDIATE, ANY],
        };
        listed.iter().any(|purpose| wanted.contains(purpose))
    }
}

/// The proof that a certificate is good: there is no other way to make one than [`verify_chain`].
#[derive(Debug)]
pub struct VerifiedCertificate {
    certificate: Certificate,
    key: PublicKey,
    path: CertificatePath,
}

impl VerifiedCertificate {
    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What a list of revoked certificates can be held against later.
    #[must_use]
    pub fn into_path(self) -> CertificatePath {
        self.path
    }

    /// Whether the certificate speaks for `identity`: a host name, mail address or IP address of its
    /// subjectAltName, or its whole distinguished name, byte for byte. Key identifiers match
    /// nothing, wildcards stand for themselves.
    #[must_use]
    pub fn matches(&self, identity: &Identity) -> bool {
        const EMPTY_DN: &[u8] = &[0x30, 0x00];
        match identity {
            Identity::DerAsn1Dn(dn) => dn != EMPTY_DN && dn == self.certificate.subject(),
            Identity::KeyId(_) => false,
            Identity::Ipv4(_) | Identity::Ipv6(_) | Identity::Fqdn(_) | Identity::UserFqdn(_) => {
                self.certificate.names().contains(identity)
            }
        }
    }

    /// [`matches`](Self::matches), with the names as the reason if not.
    ///
    /// # Errors
    /// [`CertError::NameMismatch`].
    pub fn require(&self, identity: &Identity) -> Result<(), CertError> {
        if self.matches(identity) {
            return Ok(());
        }
        let names = self.certificate.names().iter().map(Identity::to_string);
        Err(CertError::NameMismatch {
            identity: identity.to_string(),
            names: names.chain([self.certificate.subject_text()]).collect(),
        })
    }

    /// Verifies an AUTH payload with the key of this very certificate; see [`PublicKey::verify`].
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_auth(
        &self,
        method: AuthMethod,
        auth_data: &[u8],
        signed_octets: &[u8],
        allow_sha1: bool,
    ) -> Result<(), SignatureError> {
        self.key.verify(method, auth_data, signed_octets, allow_sha1)
    }

    /// Verifies a SIG payload of IKEv1 with the key of this very certificate; see [`PublicKey::verify_hash`].
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_hash(&self, method: IsakmpAuth, hash: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        self.key.verify_hash(method, hash, signature)
    }

    /// The authentication method of IKEv1 that fits the key of this certificate.
    #[must_use]
    pub fn isakmp_method(&self) -> Option<IsakmpAuth> {
        self.key.isakmp_method()
    }
}

/// Verifies the certificate of a peer (DER), with the others that it sent, in any order.
///
/// A path to one of `anchors` must hold at `now`: signatures, validity of every certificate and of
/// the anchor, basic and name constraints, key purposes of `role`, and a key that may sign.
///
/// # Errors
/// [`CertError`] with the reason, for the operator; a peer gets AUTHENTICATION_FAILED.
pub fn verify_chain(
    end_entity: &[u8],
    intermediates: &[&[u8]],
    anchors: &TrustAnchors,
    now: UnixTime,
    role: Role,
) -> Result<VerifiedCertificate, CertError> {
    verify_unrevoked(end_entity, intermediates, anchors, now, role, None)
}

/// [`verify_chain`], and no certificate of the path may be revoked: see [`Revocation`].
///
/// # Errors
/// [`CertError`] with the reason, for the operator; a peer gets AUTHENTICATION_FAILED.
pub fn verify_unrevoked(
    end_entity: &[u8],
    intermediates: &[&[u8]],
    anchors: &TrustAnchors,
    now: UnixTime,
    role: Role,
    revocation: Option<&Revocation>,
) -> Result<VerifiedCertificate, CertError> {
    if intermediates.len() >= MAX_CERTIFICATES {
        return Err(CertError::TooComplex);
    }
    let certificate = Certificate::from_der(end_entity)?;
    certificate.check_validity(now)?;
    check_usage(&certificate, role)?;
    let context = Context { certificate: &certificate, intermediates, role, revocation };
    let (key, path) = verify_path(&context, anchors, now)?;
    Ok(VerifiedCertificate { certificate, key, path })
}

fn check_usage(certificate: &Certificate, role: Role) -> Result<(), CertError> {
    if !role.fits(certificate) {
        let present = certificate.key_purposes().unwrap_or_default();
        return Err(CertError::BadEku { subject: certificate.subject_text(), role, present });
    }
    if !certificate.key_signs() {
        return Err(CertError::BadKeyUsage { subject: certificate.subject_text() });
    }
    Ok(())
}

/// The key is the one that `webpki` has seen, so two readers of DER cannot disagree about it.
fn verify_path(
    context: &Context<'_>,
    anchors: &TrustAnchors,
    now: UnixTime,
) -> Result<(PublicKey, CertificatePath), CertError> {
    let Context { certificate, intermediates, role, revocation } = *context;
    let der = CertificateDer::from(certificate.der());
    let end_entity = EndEntityCert::try_from(&der).map_err(|error| context.explain(&error))?;
    let others: Vec<_> = intermediates.iter().map(|der| CertificateDer::from(*der)).collect();
    let own_error = RefCell::new(None);
    let is_acceptable = |path: &webpki::VerifiedPath<'_>| {
        let is_valid = anchors.check_validity(path.anchor(), now);
        let result = is_valid.and_then(|()| revocation.map_or(Ok(()), |lists| lists.check_path(path, now)));
        result.map_err(|error| {
            own_error.replace(Some(error));
            webpki::Error::UnknownIssuer
        })
    };
    let lists = revocation.map(Revocation::references).unwrap_or_default();
    let options = Revocation::options(&lists);
    let time = rustls_pki_types::UnixTime::since_unix_epoch(now.0);
    let path = end_entity
        .verify_for_usage(ALL_VERIFICATION_ALGS, anchors.anchors(), &others, time, role, options, Some(&is_acceptable))
        .map_err(|error| own_error.take().unwrap_or_else(|| context.explain(&error)))?;
    Ok((PublicKey::from_spki(&end_entity.subject_public_key_info())?, CertificatePath::of(&path)?))
}

/// Asked for every certificate of a path: an authority's list restricts those below it.
impl ExtendedKeyUsageValidator for Role {
    fn validate(&self, listed: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut present = Vec::new();
        for purpose in listed {
            present.push(purpose?.to_decoded_oid());
        }
        let numbers: Vec<_> = present.iter().filter_map(|arcs| object_identifier(arcs)).collect();
        if present.is_empty() || self.fits_purposes(&numbers) {
            return Ok(());
        }
        let required = match self {
            Self::Client => KeyUsage::client_auth(),
            Self::Server | Self::Site => KeyUsage::server_auth(),
        };
        Err(webpki::Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext { required, present }))
    }
}

pub(super) fn object_identifier(arcs: &[usize]) -> Option<ObjectIdentifier> {
    let arcs: Option<Vec<u32>> = arcs.iter().map(|arc| u32::try_from(*arc).ok()).collect();
    ObjectIdentifier::from_arcs(arcs?).ok()
}
