//! The client's half of each method, for tests of this crate and of those that use it.
//!
//! It is as strict as stock clients are: MS-CHAPv2 succeeds only with the right proof of the gateway.

mod eap_tls;

pub use eap_tls::{TlsClient, TlsClientConfig};

use super::chap::{Exchange, MsResponse, parse_outcome};
use super::eap::{EapType, MsChapRequest, MsChapResponse, Packet};
use super::mschapv2::{self, Challenges};
use super::nt_hash::NtHash;
use super::{Method, chap_md5, pap};

/// A client with a name and a password.
pub struct Client {
    method: Method,
    name: String,
    password: String,
    peer_challenge: [u8; 16],
    /// Identifier of the next PAP request.
    identifier: u8,
    /// The message that a Success has to carry.
    expected: Option<String>,
    outcome: Option<bool>,
    /// Like Windows, do not answer a Failure request of EAP-MSCHAPv2.
    pub silent_on_failure: bool,
}

impl Client {
    /// A client for one login.
    #[must_use]
    pub fn new(method: Method, name: &str, password: &str) -> Self {
        Self {
            method,
            name: name.to_owned(),
            password: password.to_owned(),
            peer_challenge: *b"!@#$%^&*()_+:3|~",
            identifier: 1,
            expected: None,
            outcome: None,
            silent_on_failure: false,
        }
    }

    /// What it sends without being asked: PAP's request. Each call gives a new identifier, like a retransmission.
    pub fn start(&mut self) -> Option<Vec<u8>> {
        if self.method != Method::Pap {
            return None;
        }
        let (name, password) = (self.name.as_bytes(), self.password.as_bytes());
        let request = pap::Request { identifier: self.identifier, name, password };
        self.identifier = self.identifier.wrapping_add(1);
        request.emit()
    }

    /// Takes a packet of the gateway and gives the answer.
    pub fn handle(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        match self.method {
            Method::Pap => {
                self.outcome = pap::accepted(packet).or(self.outcome);
                None
            }
            Method::ChapMd5 | Method::MsChapV2 => self.handle_chap(packet),
            Method::Eap => self.handle_eap(packet),
        }
    }

    /// What the gateway said, once it has: `Some(true)` also means that its own proof was right.
    #[must_use]
    pub fn outcome(&self) -> Option<bool> {
        self.outcome
    }

    fn handle_chap(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        if let Some((accepted, message)) = parse_outcome(packet) {
            self.outcome = Some(accepted && self.believes(message));
            return None;
        }
        let challenge = Exchange::parse(packet).ok().filter(|exchange| exchange.is_challenge)?;
        let value = match self.method {
            Method::ChapMd5 => chap_md5(challenge.identifier, self.password.as_bytes(), challenge.value).to_vec(),
            _ => self.answer(challenge.value.try_into().ok()?).emit(),
        };
        let name = self.name.as_bytes();
        Exchange { is_challenge: false, identifier: challenge.identifier, value: &value, name }.emit()
    }

    fn handle_eap(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let (identifier, method, data) = match Packet::parse(packet).ok()? {
            Packet::Request { identifier, method, data } => (identifier, method, data),
            Packet::Success { .. } => {
                self.outcome = Some(self.expected.is_some());
                return None;
            }
            Packet::Failure { .. } => {
                self.outcome = Some(false);
                return None;
            }
            Packet::Response { .. } => return None,
        };
        let data = match method {
            EapType::IDENTITY => self.name.clone().into_bytes(),
            EapType::MSCHAPV2 => self.answer_eap(data)?,
            _ => return Packet::Response { identifier, method: EapType::NAK, data: &[26] }.emit(),
        };
        Packet::Response { identifier, method, data: &data }.emit()
    }

    fn answer_eap(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        match MsChapRequest::parse(data).ok()? {
            MsChapRequest::Challenge { id, challenge, .. } => {
                let MsResponse { peer_challenge, nt_response } = self.answer(&challenge);
                let name = self.name.as_bytes();
                MsChapResponse::Response { id, peer_challenge, nt_response, name }.emit(&mut out);
            }
            MsChapRequest::Failure { .. } if self.silent_on_failure => return None,
            MsChapRequest::Success { message, .. } if self.believes(message) => MsChapResponse::Success.emit(&mut out),
            MsChapRequest::Success { .. } | MsChapRequest::Failure { .. } => MsChapResponse::Failure.emit(&mut out),
        }
        Some(out)
    }

    /// The MS-CHAPv2 response, and what the gateway has to prove.
    fn answer(&mut self, challenge: &[u8; 16]) -> MsResponse {
        let nt_hash = NtHash::of_password(&self.password);
        let user_name = mschapv2::after_domain(self.name.as_bytes());
        let challenges = Challenges { authenticator: challenge, peer: &self.peer_challenge, user_name };
        let nt_response = mschapv2::nt_response(&nt_hash, &challenges);
        let proof = mschapv2::authenticator_response(&nt_hash, &challenges, &nt_response);
        self.expected = Some(mschapv2::success_message(&proof));
        MsResponse { peer_challenge: self.peer_challenge, nt_response }
    }

    fn believes(&self, message: &[u8]) -> bool {
        self.method == Method::ChapMd5
            || self.expected.as_deref().is_some_and(|expected| expected.as_bytes() == message)
    }
}
