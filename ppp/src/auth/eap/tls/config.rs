//! What EAP-TLS needs to know: our certificate, and who judges those of clients.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{DistinguishedName, ServerConnection};

use super::handshake;

/// Octets of TLS data in one EAP packet: an IKE message with it needs no fragmentation, and any PPP link takes it.
const FRAGMENT: usize = 1024;
/// Fewer octets per packet than that are not worth a round.
const FRAGMENT_MIN: usize = 100;
/// More than that does not fit into the length field of an EAP packet.
const FRAGMENT_MAX: usize = 65_000;

/// Who knows which client certificates are good.
pub trait ClientCertificates: Send + Sync {
    /// Whether the certificate of a client lets somebody in; `others` are those that it sent along, in any order. All are
    /// DER that nobody has looked at yet. `wall` is the time since 1970-01-01 00:00:00 UTC.
    ///
    /// # Errors
    /// Why not.
    fn verify(&self, certificate: &[u8], others: &[&[u8]], wall: Duration) -> Result<(), CertificateRefused>;

    /// The names of the authorities that client certificates come from, DER: clients choose by them which certificate they
    /// show.
    fn authorities(&self) -> Vec<Vec<u8>>;
}

/// Why a client's certificate is not good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRefused {
    /// What the client is told by a TLS alert.
    pub problem: CertificateProblem,
    /// A sentence for the operator.
    pub reason: String,
}

/// What a client is told about its certificate, RFC 8446 section 6.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateProblem {
    /// bad_certificate: it cannot be read, or its signature is wrong.
    Bad,
    /// certificate_expired: its time is over, or has not come.
    Expired,
    /// certificate_revoked.
    Revoked,
    /// unknown_ca: no trusted authority has issued it, or nobody knows whether it was revoked.
    UnknownAuthority,
    /// unsupported_certificate: it is for other purposes.
    Unsupported,
    /// certificate_unknown: something else.
    Other,
}

/// EAP-TLS for many logins. See the [module](super).
pub struct EapTlsConfig {
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) own: Arc<SingleCertAndKey>,
    pub(super) clients: Arc<dyn ClientCertificates>,
    pub(super) hints: Arc<[DistinguishedName]>,
}

/// Our certificate or key does not work with TLS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("certificate or key cannot be used for EAP-TLS: {0}")]
pub struct InvalidCredential(pub String);

impl EapTlsConfig {
    /// Our certificate chain, DER, the own certificate first; the key of that one, PEM; and who judges client certificates.
    ///
    /// # Errors
    /// If the key is none that TLS can sign with (RSA from 2048 bits on, ECDSA on P-256 or P-384, Ed25519), or does not
    /// belong to the certificate.
    pub fn new(
        chain: &[Vec<u8>],
        key_pem: &[u8],
        clients: Arc<dyn ClientCertificates>,
    ) -> Result<Self, InvalidCredential> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| InvalidCredential("no private key".to_owned()))?;
        let key = provider.key_provider.load_private_key(key).map_err(|e| InvalidCredential(e.to_string()))?;
        let chain = chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let own = CertifiedKey::new(chain, key);
        own.keys_match().map_err(|e| InvalidCredential(e.to_string()))?;
        let hints = clients.authorities().into_iter().map(DistinguishedName::from).collect();
        let config = Self { provider, own: Arc::new(own.into()), clients, hints };
        handshake::server(&config, Duration::ZERO).map_err(|e| InvalidCredential(e.to_string()))?;
        Ok(config)
    }

    /// For logins at `wall`, the time since 1970-01-01 00:00:00 UTC.
    #[must_use]
    pub fn at(self: &Arc<Self>, wall: Duration) -> EapTls {
        EapTls { config: Arc::clone(self), wall, fragment: FRAGMENT }
    }
}

impl fmt::Debug for EapTlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EapTlsConfig").field("own", &self.own).finish_non_exhaustive()
    }
}

/// EAP-TLS at one moment and on one path.
#[derive(Clone, Debug)]
pub struct EapTls {
    config: Arc<EapTlsConfig>,
    wall: Duration,
    pub(super) fragment: usize,
}

impl EapTls {
    /// With at most `octets` of TLS data in one EAP packet, 1024 unless told; brought into the range 100 to 65000.
    #[must_use]
    pub fn with_fragments_of(self, octets: usize) -> Self {
        Self { fragment: octets.clamp(FRAGMENT_MIN, FRAGMENT_MAX), ..self }
    }

    /// With fragments that fit EAP packets of `octets`.
    pub(crate) fn fitting(self, octets: usize) -> Self {
        let fragment = self.fragment.min(octets.saturating_sub(PACKET_OVERHEAD));
        self.with_fragments_of(fragment)
    }

    /// The server's end of a TLS connection.
    pub(super) fn server(&self) -> (ServerConnection, Arc<handshake::Refusal>) {
        handshake::server(&self.config, self.wall).expect("the same was made together with the configuration")
    }
}

/// Code, identifier, length, type, flags, TLS message length.
const PACKET_OVERHEAD: usize = 10;
