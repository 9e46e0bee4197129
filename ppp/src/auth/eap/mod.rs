//! EAP server for clients with user name and password (RFC 3748), on PPP links and in IKEv2 (RFC 7296 section 2.16).
//!
//! Sans-IO: [`EapServer::start`] gives the first request, [`EapServer::handle`] takes a response and says what follows,
//! [`EapServer::verdict`] takes the answer of who keeps the accounts. One value serves one login. The method is
//! EAP-MSCHAPv2, the only password method that Windows, Apple and Android clients all have:
//!
//! ```text
//! Request/Identity -> Response/Identity
//! Challenge        -> Response          Credentials, Verdict
//! Success request  -> Success response  -> EAP-Success, MSK
//! Failure request  -> Failure response  -> EAP-Failure      (Windows does not answer a Failure request)
//! ```
//!
//! Whatever the reason of a rejection, the client gets the same messages.
//!
//! Does not: retransmit (IKE and the link do), do EAP-TLS, change passwords, or pass EAP through to RADIUS.

mod identity;
mod mschapv2;
mod outcome;
mod packet;
#[cfg(test)]
mod tests;

pub use mschapv2::{Request as MsChapRequest, Response as MsChapResponse};
pub use outcome::EapOutcome;
pub use packet::{EapType, Packet};

use crate::auth::mschapv2::failure_message;
use crate::auth::{AuthFailure, AuthSeed, Credentials, Msk, MutualProof, Verdict};

/// Bytes that are not what they should be; names the construct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// One login.
pub struct EapServer {
    seed: AuthSeed,
    name: String,
    identifier: u8,
    claimed: Option<String>,
    state: State,
}

/// What is awaited.
enum State {
    Identity,
    ChallengeResponse,
    Verdict,
    SuccessResponse { user: String, msk: Msk },
    FailureResponse,
    Ended,
}

impl EapServer {
    /// A login that has not begun. `server_name` is part of the challenge; clients may show it.
    #[must_use]
    pub fn new(seed: AuthSeed, server_name: &str) -> Self {
        Self { seed, name: server_name.to_owned(), identifier: seed.identifier, claimed: None, state: State::Identity }
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
        identifier == self.identifier && !matches!(self.state, State::Verdict | State::Ended)
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
            State::ChallengeResponse => self.handle_challenge_response(method, data),
            State::SuccessResponse { user, msk } => self.handle_success_response(method, data, user, msk),
            State::Verdict => self.fail(AuthFailure::Malformed("EAP conversation: no response is awaited")),
            State::FailureResponse => EapOutcome::Failure { message: self.failure(), reason: None },
            State::Ended => self.fail(AuthFailure::Malformed("EAP conversation: it has ended")),
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
        self.state = State::ChallengeResponse;
        self.next_identifier();
        let (id, challenge) = (self.identifier, self.seed.challenge);
        let challenge = MsChapRequest::Challenge { id, challenge, name: self.name.as_bytes() };
        EapOutcome::Request(self.mschapv2(&challenge))
    }

    fn handle_challenge_response(&mut self, method: EapType, data: &[u8]) -> EapOutcome {
        if method == EapType::NAK {
            return self.fail(AuthFailure::MethodRefused { wanted: data.iter().copied().map(EapType).collect() });
        }
        let parsed =
            if method == EapType::MSCHAPV2 { MsChapResponse::parse(data) } else { Err(Malformed("EAP method")) };
        match parsed {
            Ok(MsChapResponse::Response { id, peer_challenge, nt_response, name }) if id == self.identifier => {
                self.state = State::Verdict;
                let credentials = Credentials::ms_chap_v2(name, &self.seed.challenge, &peer_challenge, &nt_response);
                self.claimed = Some(credentials.user().to_owned());
                EapOutcome::Credentials(credentials)
            }
            Ok(_) => self.fail(AuthFailure::Malformed("answer to the EAP-MSCHAPv2 challenge")),
            Err(Malformed(what)) => self.fail(AuthFailure::Malformed(what)),
        }
    }

    /// Answers [`EapOutcome::Credentials`].
    pub fn verdict(&mut self, verdict: Verdict) -> EapOutcome {
        match (std::mem::replace(&mut self.state, State::Ended), verdict) {
            (State::Verdict, Verdict::Accepted { user, proof: Some(proof) }) => self.accept(user, proof),
            (State::Verdict, Verdict::Rejected | Verdict::Accepted { proof: None, .. }) => self.reject(),
            _ => self.fail(AuthFailure::Malformed("EAP conversation: no verdict is awaited")),
        }
    }

    fn handle_success_response(&mut self, method: EapType, data: &[u8], user: String, msk: Msk) -> EapOutcome {
        if method != EapType::MSCHAPV2 || MsChapResponse::parse(data) != Ok(MsChapResponse::Success) {
            return self.fail(AuthFailure::Aborted { user });
        }
        let message = self.result(Packet::Success { identifier: self.identifier });
        EapOutcome::Success { message, msk, user }
    }

    fn accept(&mut self, user: String, proof: MutualProof) -> EapOutcome {
        let message = proof.success_message();
        self.state = State::SuccessResponse { user, msk: proof.msk };
        EapOutcome::Request(self.verdict_request(|id| MsChapRequest::Success { id, message: message.as_bytes() }))
    }

    fn reject(&mut self) -> EapOutcome {
        self.state = State::FailureResponse;
        let message = failure_message(&self.seed.unused_challenge);
        let message = self.verdict_request(|id| MsChapRequest::Failure { id, message: message.as_bytes() });
        EapOutcome::Rejected { message }
    }

    /// A Success or Failure request: a new EAP identifier, the MS-CHAPv2-ID of the challenge.
    fn verdict_request<'a>(&mut self, request: impl FnOnce(u8) -> MsChapRequest<'a>) -> Vec<u8> {
        let challenge_id = self.identifier;
        self.next_identifier();
        self.mschapv2(&request(challenge_id))
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

    fn next_identifier(&mut self) {
        self.identifier = self.identifier.wrapping_add(1);
    }

    fn mschapv2(&self, request: &MsChapRequest<'_>) -> Vec<u8> {
        let mut data = Vec::new();
        request.emit(&mut data);
        self.request(EapType::MSCHAPV2, &data)
    }

    fn request(&self, method: EapType, data: &[u8]) -> Vec<u8> {
        self.result(Packet::Request { identifier: self.identifier, method, data })
    }

    fn result(&self, packet: Packet<'_>) -> Vec<u8> {
        packet.emit().expect("our requests hold a server name and a hundred bytes")
    }
}
