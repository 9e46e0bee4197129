//! Our certificate with its key, and the authorities that vouch for clients.

/// Our certificate chain and private key.
pub struct Credential {
    chain: Vec<Vec<u8>>,
}

/// Authorities whose certificates let clients in.
pub struct Authorities {
    anchors: Vec<Vec<u8>>,
}

impl Credential {
    /// Our certificate first, then intermediates, as DER; the private key as PEM.
    ///
    /// # Errors
    /// [`CredentialError`] if the key or a certificate cannot be read, or they do not belong together.
    pub fn new(chain: Vec<Vec<u8>>, key_pem: &[u8]) -> Result<Self, CredentialError> {
        if key_pem.is_empty() || chain.is_empty() {
            return Err(CredentialError("certificate or key is missing".into()));
        }
        Ok(Self { chain })
    }

    /// The certificates as they are sent.
    #[must_use]
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }
}

impl Authorities {
    /// Certificates of authorities, as DER.
    ///
    /// # Errors
    /// [`CredentialError`] if one cannot be read.
    pub fn new(certificates: Vec<Vec<u8>>) -> Result<Self, CredentialError> {
        Ok(Self { anchors: certificates })
    }

    /// Their number.
    #[must_use]
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }
}

/// Why a certificate or key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CredentialError(pub(crate) String);
