//! One TLS handshake as flights of octets: rustls without a socket.
//!
//! Neither session tickets nor session identifiers are given out: every login shows the certificate anew.

use std::fmt;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ProtocolVersion, ServerConfig, ServerConnection,
    SignatureScheme,
};
use zeroize::Zeroizing;

use super::config::{CertificateProblem, CertificateRefused, ClientCertificates, EapTls, EapTlsConfig};
use super::failure::TlsFailure;
use crate::auth::Msk;

/// RFC 5216 section 2.3.
const LABEL_1_2: &[u8] = b"client EAP encryption";
/// RFC 9190 section 2.3.
const LABEL_1_3: &[u8] = b"EXPORTER_EAP_TLS_Key_Material";
/// Context of the exporter in TLS 1.3: the type of EAP-TLS.
const CONTEXT_1_3: &[u8] = &[13];
/// Octets of key material; the MSK is the first half, and in TLS 1.3 the length matters to the derivation.
const KEY_MATERIAL: usize = 128;
/// What tells a client of TLS 1.3 that no further handshake message follows, RFC 9190 section 2.5.
const COMMITMENT: &[u8] = &[0];

/// Why the verifier of this login refused the client's certificate.
pub(super) type Refusal = OnceLock<String>;

/// A handshake under way.
pub(super) struct Handshake {
    server: ServerConnection,
    refusal: Arc<Refusal>,
}

/// How a handshake ended badly.
pub(super) struct Broken {
    /// The alert for the client; empty if there is none.
    pub(super) alert: Vec<u8>,
    pub(super) reason: TlsFailure,
}

impl Handshake {
    pub(super) fn new(tls: &EapTls) -> Self {
        let (server, refusal) = tls.server();
        Self { server, refusal }
    }

    /// Takes a flight of the client and gives ours, which may be empty.
    pub(super) fn handle(&mut self, flight: &[u8]) -> Result<Vec<u8>, Broken> {
        let mut rest = flight;
        while !rest.is_empty() {
            // A slice never fails; the library takes in less than all if its buffer is full.
            let taken = self.server.read_tls(&mut rest).unwrap_or(0);
            let processed = self.server.process_new_packets();
            if let Err(error) = processed {
                let reason = TlsFailure::of(&error, self.refusal.get().map(String::as_str));
                return Err(Broken { alert: self.flight(), reason });
            }
            if taken == 0 {
                return Err(Broken { alert: Vec::new(), reason: TlsFailure::Stopped });
            }
        }
        Ok(self.flight())
    }

    /// Whether both sides have proven who they are.
    pub(super) fn is_done(&self) -> bool {
        !self.server.is_handshaking()
    }

    /// The certificates of the client, its own one first; empty before the handshake is done.
    pub(super) fn client_chain(&self) -> Vec<Vec<u8>> {
        let chain = self.server.peer_certificates().filter(|_| self.is_done()).unwrap_or_default();
        chain.iter().map(|der| der.to_vec()).collect()
    }

    /// What is left to say to a client that is let in, and the key; `None` before the handshake is done.
    pub(super) fn commit(&mut self) -> Option<(Vec<u8>, Msk)> {
        if !self.is_done() {
            return None;
        }
        let is_1_3 = self.server.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let (label, context) = if is_1_3 { (LABEL_1_3, Some(CONTEXT_1_3)) } else { (LABEL_1_2, None) };
        let mut material = Zeroizing::new([0; KEY_MATERIAL]);
        self.server.export_keying_material(&mut material[..], label, context).ok()?;
        let msk = Msk::new(material.first_chunk()?);
        if is_1_3 {
            self.server.writer().write_all(COMMITMENT).ok()?;
        }
        Some((self.flight(), msk))
    }

    fn flight(&mut self) -> Vec<u8> {
        let mut flight = Vec::new();
        while self.server.wants_write() {
            // Writing to a vector never fails.
            if self.server.write_tls(&mut flight).is_err() {
                break;
            }
        }
        flight
    }
}

/// The server's end of a connection at `wall`, and where the reason stands if its client's certificate is refused.
pub(super) fn server(config: &EapTlsConfig, wall: Duration) -> Result<(ServerConnection, Arc<Refusal>), Error> {
    let refusal = Arc::new(Refusal::new());
    let verifier = Verifier {
        clients: Arc::clone(&config.clients),
        hints: Arc::clone(&config.hints),
        wall,
        algorithms: config.provider.signature_verification_algorithms,
        refusal: Arc::clone(&refusal),
    };
    let clock = Arc::new(Moment(UnixTime::since_unix_epoch(wall)));
    let mut tls = ServerConfig::builder_with_details(Arc::clone(&config.provider), clock)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::clone(&config.own) as Arc<dyn rustls::server::ResolvesServerCert>);
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    Ok((ServerConnection::new(Arc::new(tls))?, refusal))
}

/// A clock that stands still: a login is short.
#[derive(Debug)]
struct Moment(UnixTime);

impl TimeProvider for Moment {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

/// Asks our [`ClientCertificates`] and keeps the reason of a refusal, of which the library knows only the alert.
struct Verifier {
    clients: Arc<dyn ClientCertificates>,
    hints: Arc<[DistinguishedName]>,
    wall: Duration,
    algorithms: WebPkiSupportedAlgorithms,
    refusal: Arc<Refusal>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let others: Vec<&[u8]> = intermediates.iter().map(AsRef::as_ref).collect();
        match self.clients.verify(end_entity, &others, self.wall) {
            Ok(()) => Ok(ClientCertVerified::assertion()),
            Err(CertificateRefused { problem, reason }) => {
                // There is one certificate message per handshake, so the first reason is the only one.
                let _ = self.refusal.set(reason);
                Err(Error::InvalidCertificate(library_error(problem)))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Each stands for the alert that the library makes of it.
fn library_error(problem: CertificateProblem) -> CertificateError {
    match problem {
        CertificateProblem::Bad => CertificateError::BadEncoding,
        CertificateProblem::Expired => CertificateError::Expired,
        CertificateProblem::Revoked => CertificateError::Revoked,
        CertificateProblem::UnknownAuthority => CertificateError::UnknownIssuer,
        CertificateProblem::Unsupported => CertificateError::InvalidPurpose,
        CertificateProblem::Other => CertificateError::Other(rustls::OtherError(Arc::new(Unnamed))),
    }
}

/// The reason is told elsewhere.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is refused")]
struct Unnamed;
