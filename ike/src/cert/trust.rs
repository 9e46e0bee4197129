//! The authorities that peers' certificates may come from.

use rustls_pki_types::{CertificateDer, TrustAnchor};
use webpki::anchor_from_trusted_cert;

use super::{CertError, Certificate, UnixTime, pem};

/// Length of one authority in a certificate request in bytes: SHA-1, RFC 7296 section 3.7.
pub const KEY_HASH_LEN: usize = 20;

/// Trusted authorities.
#[derive(Debug)]
pub struct TrustAnchors {
    anchors: Vec<TrustAnchor<'static>>,
    certificates: Vec<Certificate>,
}

impl TrustAnchors {
    /// Takes the DER of authorities' certificates.
    ///
    /// # Errors
    /// [`CertError`] if one of them cannot be read, or there is none.
    pub fn new<D: AsRef<[u8]>>(certificates: &[D]) -> Result<Self, CertError> {
        if certificates.is_empty() {
            return Err(CertError::NoTrustAnchors);
        }
        let mut this = Self { anchors: Vec::new(), certificates: Vec::new() };
        for der in certificates {
            this.certificates.push(Certificate::from_der(der.as_ref())?);
            let der = CertificateDer::from(der.as_ref());
            let anchor = anchor_from_trusted_cert(&der).map_err(|_| CertError::Malformed)?;
            this.anchors.push(anchor.to_owned());
        }
        Ok(this)
    }

    /// Takes all certificates of a PEM bundle.
    ///
    /// # Errors
    /// [`CertError`] if there is none, or one of them cannot be read.
    pub fn from_pem(bundle: &[u8]) -> Result<Self, CertError> {
        Self::new(&pem::certificates(bundle)?)
    }

    /// The certificates.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The body of a certificate request: the hashes of all keys, one after the other, RFC 7296
    /// section 3.7.
    #[must_use]
    pub fn request_authorities(&self) -> Vec<u8> {
        self.certificates.iter().flat_map(Certificate::key_hash).collect()
    }

    /// Whether the body of a peer's certificate request names one of these authorities.
    #[must_use]
    pub fn is_requested(&self, authorities: &[u8]) -> bool {
        let (requested, _) = authorities.as_chunks::<KEY_HASH_LEN>();
        self.certificates.iter().any(|ours| requested.iter().any(|theirs| ours.key_hash() == theirs))
    }

    pub(super) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// The validity of an authority: `webpki` knows it by name and key alone. It may have been given
    /// several certificates for the same key, of which one valid is enough.
    pub(super) fn check_validity(&self, anchor: &TrustAnchor<'_>, now: UnixTime) -> Result<(), CertError> {
        let mut result = Err(CertError::Malformed);
        for (ours, certificate) in self.anchors.iter().zip(&self.certificates) {
            if ours == anchor {
                result = certificate.check_validity(now);
                if result.is_ok() {
                    break;
                }
            }
        }
        result
    }
}
