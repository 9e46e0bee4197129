//! A client of EAP-TLS with rustls, as strict as stock clients are, for tests of this crate and of those that use it.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::{ClientConfig, ClientConnection, Resumption};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, RootCertStore};

use crate::auth::eap::tls::Fragment;
use crate::auth::eap::{EapType, Packet};

/// What a client of EAP-TLS is set up with.
#[derive(Clone, Debug)]
pub struct TlsClientConfig {
    /// What it calls itself in EAP-Response/Identity.
    pub name: String,
    /// The authority that the gateway's certificate has to come from, DER.
    pub authority: Vec<u8>,
    /// The name that the gateway's certificate has to have.
    pub server_name: String,
    /// Its own certificate chain, DER, and the key, PKCS#8 DER.
    pub certificate: Option<(Vec<Vec<u8>>, Vec<u8>)>,
    /// TLS 1.2 instead of 1.3.
    pub tls12: bool,
    /// Octets of TLS data in one packet.
    pub fragment: usize,
    /// What its clock says, since 1970-01-01 00:00:00 UTC.
    pub wall: Duration,
}

/// A client's end of one login.
pub struct TlsClient {
    config: TlsClientConfig,
    tls: ClientConnection,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    sent: usize,
    /// The gateway has said that the handshake is over.
    committed: bool,
    outcome: Option<bool>,
    /// What the TLS library says about the gateway, if it is something bad.
    pub error: Option<String>,
    /// Packets that it has sent.
    pub packets: usize,
}

#[derive(Debug)]
struct Moment(Duration);

impl TimeProvider for Moment {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0))
    }
}

impl TlsClient {
    /// A client for one login.
    ///
    /// # Errors
    /// If the TLS library does not take the configuration.
    pub fn new(config: TlsClientConfig) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(config.authority.clone()))?;
        let version = if config.tls12 { &TLS12 } else { &TLS13 };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_details(provider, Arc::new(Moment(config.wall)))
            .with_protocol_versions(&[version])?
            .with_root_certificates(roots);
        let mut tls = match config.certificate.clone() {
            Some((chain, key)) => {
                let chain = chain.into_iter().map(CertificateDer::from).collect();
                tls.with_client_auth_cert(chain, PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key)))?
            }
            None => tls.with_no_client_auth(),
        };
        tls.resumption = Resumption::disabled();
        let name = ServerName::try_from(config.server_name.clone())
            .map_err(|e| rustls::Error::General(format!("server name: {e}")))?;
        Ok(Self {
            tls: ClientConnection::new(Arc::new(tls), name)?,
            config,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            committed: false,
            outcome: None,
            error: None,
            packets: 0,
        })
    }

    /// Takes an EAP packet of the gateway and gives the answer.
    pub fn handle(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let (identifier, method, data) = match Packet::parse(packet).ok()? {
            Packet::Request { identifier, method, data } => (identifier, method, data),
            Packet::Success { .. } => {
                self.outcome = Some(self.committed);
                return None;
            }
            Packet::Failure { .. } => {
                self.outcome = Some(false);
                return None;
            }
            Packet::Response { .. } => return None,
        };
        self.packets += 1;
        let (method, data) = match method {
            EapType::IDENTITY => (method, self.config.name.clone().into_bytes()),
            EapType::TLS => (method, self.answer(data)?),
            _ => (EapType::NAK, vec![EapType::TLS.0]),
        };
        Packet::Response { identifier, method, data: &data }.emit()
    }

    /// What the gateway said in the end; `Some(true)` also means that it has shown the right certificate.
    #[must_use]
    pub fn outcome(&self) -> Option<bool> {
        self.outcome
    }

    /// The master session key, once the handshake is done.
    #[must_use]
    pub fn msk(&self) -> Option<[u8; 64]> {
        let mut material = [0; 128];
        let (label, context): (&[u8], Option<&[u8]>) = match self.tls.protocol_version()? {
            ProtocolVersion::TLSv1_3 => (b"EXPORTER_EAP_TLS_Key_Material", Some(&[0x0d])),
            _ => (b"client EAP encryption", None),
        };
        self.tls.export_keying_material(&mut material[..], label, context).ok()?;
        material.first_chunk().copied()
    }

    fn answer(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        let fragment = Fragment::parse(data).ok()?;
        if self.sent < self.outgoing.len() {
            return fragment.data.is_empty().then(|| self.piece());
        }
        self.incoming.extend(fragment.data);
        if fragment.more {
            return Some(Fragment::ACKNOWLEDGEMENT.to_vec());
        }
        if fragment.start != self.incoming.is_empty() {
            return None;
        }
        let flight = std::mem::take(&mut self.incoming);
        self.read(&flight);
        self.outgoing.clear();
        self.sent = 0;
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.outgoing).ok()?;
        }
        Some(if self.outgoing.is_empty() { Fragment::ACKNOWLEDGEMENT.to_vec() } else { self.piece() })
    }

    fn read(&mut self, mut flight: &[u8]) {
        while !flight.is_empty() && self.error.is_none() {
            let taken = self.tls.read_tls(&mut flight).unwrap_or(0);
            if let Err(error) = self.tls.process_new_packets() {
                self.error = Some(error.to_string());
            }
            if taken == 0 {
                break;
            }
        }
        let is_1_2 = self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_2);
        let mut octet = [1];
        let commitment = self.tls.reader().read(&mut octet).is_ok_and(|n| n == 1) && octet == [0];
        self.committed |= commitment || (is_1_2 && !self.tls.is_handshaking() && self.error.is_none());
    }

    fn piece(&mut self) -> Vec<u8> {
        let left = self.outgoing.get(self.sent..).unwrap_or_default();
        let (data, rest) = left.split_at(self.config.fragment.min(left.len()));
        let total = (self.sent == 0 && !rest.is_empty()).then(|| u32::try_from(self.outgoing.len()).unwrap_or(0));
        let mut out = Vec::new();
        Fragment { total, more: !rest.is_empty(), start: false, data }.emit(&mut out);
        self.sent += data.len();
        out
    }
}
