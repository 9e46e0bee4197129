//! EAP server (RFC 3748), on PPP links and in IKEv2 (RFC 7296 section 2.16).
//!
//! Sans-IO: [`EapServer::start`] gives the first request, [`EapServer::handle`] takes a response and says what follows,
//! [`EapServer::verdict`] takes the answer of who keeps the accounts. One value serves one login. There are two methods,
//! EAP-MSCHAPv2, the only one by password that Windows, Apple and Android clients all have, and EAP-TLS ([`tls`]). The
//! preferred one is offered, and a client that answers with a Nak gets the other one if that is what it wants:
//!
//! ```text
//! Request/Identity -> Response/Identity
//! Challenge        -> Response          Credentials, Verdict      Start            -> Nak (EAP-MSCHAPv2)
//! Success request  -> Success response  -> EAP-Success, MSK       Challenge        -> ...
//! Failure request  -> Failure response  -> EAP-Failure            (Windows does not answer a Failure request)
//! ```
//!
//! Whatever the reason why an account is rejected, the client gets the same messages.
//!
//! Does not: retransmit (IKE and the link do), change passwords, or pass EAP through to RADIUS.

mod certificate;
mod config;
mod identity;
mod mschapv2;
mod outcome;
mod packet;
mod password;
#[cfg(test)]
mod tests;
pub mod tls;

pub use config::{EapConfig, EapMethod};
pub use mschapv2::{Request as MsChapRequest, Response as MsChapResponse};
pub use outcome::EapOutcome;
pub use packet::{EapType, Packet};

use crate::auth::{AuthFailure, AuthSeed, Verdict};
use certificate::CertificateState;
use password::PasswordState;

/// Bytes that are not what they should be; names the construct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// One login.
pub struct EapServer {
    seed: AuthSeed,
    name: String,
    config: EapConfig,
    /// What may still be offered, the next one first.
    offers: Vec<EapMethod>,
    /// What was offered and refused.
    refused: Vec<EapMethod>,
    identifier: u8,
    claimed: Option<String>,
    state: State,
}

/// What is awaited.
enum State {
    Identity,
    /// The first response to the offer of a method: the client may still refuse it.
    Offered(EapMethod, Box<State>),
    Password(PasswordState),
    Certificate(Box<CertificateState>),
    CertificateVerdict(Box<CertificateState>),
    Ended,
}

impl EapServer {
    /// A login that has not begun. `server_name` is part of EAP-MSCHAPv2's challenge; clients may show it.
    #[must_use]
    pub fn new(seed: AuthSeed, server_name: &str, config: &EapConfig) -> Self {
        Self {
            seed,
            name: server_name.to_owned(),
            offers: config.offers(),
            refused: Vec::new(),
            config: config.clone(),
            identifier: seed.identifier,
            claimed: None,
            state: State::Identity,
        }
    }

    /// The first request: Request/Identity.
    #[must_use]
    pub fn start(&self) -> Vec<u8> {
        self.request(EapType::IDENTITY, &[])
    }

    /// The name that the client gives, once it has: unproven, for logs and for noting failures.
    #[must_use]
    pub fn claimed_name(&self) -> Option<&str> {
        self.claimed.as_deref()
    }

    /// Whether a response with this identifier is awaited.
    #[must_use]
    pub fn awaits(&self, identifier: u8) -> bool {
        let is_silent =
            matches!(self.state, State::Password(PasswordState::Verdict) | State::CertificateVerdict(_) | State::Ended);
        identifier == self.identifier && !is_silent
    }

    /// Takes the client's response to the last request.
    pub fn handle(&mut self, response: &[u8]) -> EapOutcome {
        let (method, data) = match Packet::parse(response) {
            Ok(Packet::Response { identifier, method, data }) if identifier == self.identifier => (method, data),
            Ok(Packet::Response { .. }) => return self.fail(AuthFailure::Malformed("EAP identifier")),
            Ok(_) => return self.fail(AuthFailure::Malformed("EAP code")),
            Err(Malformed(what)) => return self.fail(AuthFailure::Malformed(what)),
        };
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Identity => self.handle_identity(method, data),
            State::Offered(offered, _) if method == EapType::NAK => self.handle_nak(offered, data),
            State::Offered(_, state) => self.handle_method(*state, method, data),
            state => self.handle_method(state, method, data),
        }
    }

    fn handle_identity(&mut self, method: EapType, data: &[u8]) -> EapOutcome {
        if method != EapType::IDENTITY {
            return self.fail(AuthFailure::Malformed("answer to Request/Identity"));
        }
        match identity::parse(data) {
            Ok(name) => self.claimed = Some(name),
            Err(Malformed(what)) => return self.fail(AuthFailure::Malformed(what)),
        }
        match self.offers.first() {
            Some(&method) => self.offer(method),
            None => self.fail(AuthFailure::NoMethod),
        }
    }

    fn offer(&mut self, method: EapMethod) -> EapOutcome {
        self.offers.retain(|&other| other != method);
        self.next_identifier();
        let outcome = match (method, self.config.tls.clone()) {
            (EapMethod::Tls, Some(tls)) => self.begin_certificate(&tls),
            _ => self.begin_password(),
        };
        let state = std::mem::replace(&mut self.state, State::Ended);
        self.state = State::Offered(method, Box::new(state));
        outcome
    }

    /// The client wants another method: it gets the first of ours that it names, each at most once.
    fn handle_nak(&mut self, refused: EapMethod, data: &[u8]) -> EapOutcome {
        self.refused.push(refused);
        let wanted: Vec<EapType> = data.iter().copied().map(EapType).collect();
        match self.offers.iter().find(|method| wanted.contains(&method.eap_type())) {
            Some(&method) => self.offer(method),
            None => self.fail(AuthFailure::MethodRefused { offered: self.refused.clone(), wanted }),
        }
    }

    fn handle_method(&mut self, state: State, method: EapType, data: &[u8]) -> EapOutcome {
        match state {
            // Whatever answers our Failure request, the client was told.
            State::Password(state @ PasswordState::FailureResponse) => self.handle_password(state, data),
            State::Password(PasswordState::SuccessResponse { user, .. }) if method != EapType::MSCHAPV2 => {
                self.fail(AuthFailure::Aborted { user })
            }
            State::Password(state) if method == EapType::MSCHAPV2 => self.handle_password(state, data),
            State::Certificate(state) if method == EapType::TLS => self.handle_certificate(state, data),
            State::Password(_) | State::Certificate(_) => self.fail(AuthFailure::Malformed("EAP method")),
            State::CertificateVerdict(_) => {
                self.fail(AuthFailure::Malformed("EAP conversation: no response is awaited"))
            }
            State::Identity | State::Offered(..) | State::Ended => {
                self.fail(AuthFailure::Malformed("EAP conversation: it has ended"))
            }
        }
    }

    /// Answers [`EapOutcome::Credentials`].
    pub fn verdict(&mut self, verdict: Verdict) -> EapOutcome {
        match (std::mem::replace(&mut self.state, State::Ended), verdict) {
            (State::Password(PasswordState::Verdict), Verdict::Accepted { user, proof: Some(proof) }) => {
                self.accept_password(user, proof)
            }
            (State::Password(PasswordState::Verdict), _) => self.reject_password(),
            (State::CertificateVerdict(state), Verdict::Accepted { user, .. }) => self.accept_certificate(state, user),
            (State::CertificateVerdict(_), Verdict::Rejected) => {
                EapOutcome::Failure { message: self.failure(), reason: None }
            }
            _ => self.fail(AuthFailure::Malformed("EAP conversation: no verdict is awaited")),
        }
    }

    fn fail(&mut self, reason: AuthFailure) -> EapOutcome {
        self.state = State::Ended;
        EapOutcome::Failure { message: self.failure(), reason: Some(reason) }
    }

    /// EAP-Failure, for a login that is refused before its next step.
    #[must_use]
    pub fn failure(&self) -> Vec<u8> {
        self.result(Packet::Failure { identifier: self.identifier })
    }

    fn success(&self) -> Vec<u8> {
        self.result(Packet::Success { identifier: self.identifier })
    }

    fn next_identifier(&mut self) {
        self.identifier = self.identifier.wrapping_add(1);
    }

    fn request(&self, method: EapType, data: &[u8]) -> Vec<u8> {
        self.result(Packet::Request { identifier: self.identifier, method, data })
    }

    fn result(&self, packet: Packet<'_>) -> Vec<u8> {
        packet.emit().expect("our requests hold a server name or a fragment, both far below 64 KiB")
    }
}
