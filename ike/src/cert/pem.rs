//! PEM bundles of certificates, RFC 7468. Other sections of a file are skipped.

use rustls_pki_types::pem::{SectionKind, SliceIter};

/// The DER of every certificate of a file, in its order.
///
/// # Errors
/// [`PemError`] if a section is broken, or if there is no certificate.
pub fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    let mut found = Vec::new();
    for section in SliceIter::<(SectionKind, Vec<u8>)>::new(pem) {
        let (kind, der) = section.map_err(|error| PemError::Broken(error.to_string()))?;
        if kind == SectionKind::Certificate {
            found.push(der);
        }
    }
    if found.is_empty() { Err(PemError::NoCertificate) } else { Ok(found) }
}

/// Why a file gives no certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// A section has no end, or is not base64.
    #[error("the PEM file is broken: {0}")]
    Broken(String),
    /// No section is a certificate.
    #[error("there is no section `CERTIFICATE` in the file")]
    NoCertificate,
}
