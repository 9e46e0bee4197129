//! The steps of EAP-MSCHAPv2.

use super::mschapv2::{Request, Response};
use super::packet::{EapType, Packet};
use super::{EapMethod, EapOutcome, EapServer, Malformed, State};
use crate::auth::mschapv2::failure_message;
use crate::auth::{AuthFailure, Credentials, Msk, MutualProof};

/// What is awaited.
pub(super) enum PasswordState {
    ChallengeResponse,
    Verdict,
    SuccessResponse { user: String, msk: Msk },
    FailureResponse,
}

impl EapServer {
    pub(super) fn begin_password(&mut self) -> EapOutcome {
        self.state = State::Password(PasswordState::ChallengeResponse);
        let (id, challenge) = (self.identifier, self.seed.challenge);
        let request = self.mschapv2(&Request::Challenge { id, challenge, name: self.name.as_bytes() });
        EapOutcome::Request(request)
    }

    pub(super) fn handle_password(&mut self, state: PasswordState, data: &[u8]) -> EapOutcome {
        match state {
            PasswordState::ChallengeResponse => self.handle_challenge_response(data),
            PasswordState::SuccessResponse { user, msk } => self.handle_success_response(data, user, msk),
            PasswordState::FailureResponse => EapOutcome::Failure { message: self.failure(), reason: None },
            PasswordState::Verdict => self.fail(AuthFailure::Malformed("EAP conversation: no response is awaited")),
        }
    }

    fn handle_challenge_response(&mut self, data: &[u8]) -> EapOutcome {
        match Response::parse(data) {
            Ok(Response::Response { id, peer_challenge, nt_response, name }) if id == self.identifier => {
                self.state = State::Password(PasswordState::Verdict);
                let credentials = Credentials::ms_chap_v2(name, &self.seed.challenge, &peer_challenge, &nt_response);
                self.claimed = Some(credentials.user().to_owned());
                EapOutcome::Credentials(credentials)
            }
            Ok(_) => self.fail(AuthFailure::Malformed("answer to the EAP-MSCHAPv2 challenge")),
            Err(Malformed(what)) => self.fail(AuthFailure::Malformed(what)),
        }
    }

    fn handle_success_response(&mut self, data: &[u8], user: String, msk: Msk) -> EapOutcome {
        if Response::parse(data) != Ok(Response::Success) {
            return self.fail(AuthFailure::Aborted { user });
        }
        EapOutcome::Success { message: self.success(), msk, user, method: EapMethod::MsChapV2 }
    }

    pub(super) fn accept_password(&mut self, user: String, proof: MutualProof) -> EapOutcome {
        let message = proof.success_message();
        self.state = State::Password(PasswordState::SuccessResponse { user, msk: proof.msk });
        EapOutcome::Request(self.verdict_request(|id| Request::Success { id, message: message.as_bytes() }))
    }

    pub(super) fn reject_password(&mut self) -> EapOutcome {
        self.state = State::Password(PasswordState::FailureResponse);
        let message = failure_message(&self.seed.unused_challenge);
        let message = self.verdict_request(|id| Request::Failure { id, message: message.as_bytes() });
        EapOutcome::Rejected { message, reason: None }
    }

    /// A Success or Failure request: a new EAP identifier, the MS-CHAPv2-ID of the challenge.
    fn verdict_request<'a>(&mut self, request: impl FnOnce(u8) -> Request<'a>) -> Vec<u8> {
        let challenge_id = self.identifier;
        self.next_identifier();
        self.mschapv2(&request(challenge_id))
    }

    fn mschapv2(&self, request: &Request<'_>) -> Vec<u8> {
        let mut data = Vec::new();
        request.emit(&mut data);
        self.result(Packet::Request { identifier: self.identifier, method: EapType::MSCHAPV2, data: &data })
    }
}
