//! EAP server for IKEv2 clients with user name and password (RFC 3748, RFC 7296 section 2.16).
//!
//! Sans-IO: [`EapServer::start`] gives the first request, [`EapServer::handle`] takes a response and says what follows.
//! One value serves one login. The method is EAP-MSCHAPv2, the only password method that Windows, Apple and
//! Android clients all have:
//!
//! ```text
//! Request/Identity -> Response/Identity
//! Challenge        -> Response          password checked here
//! Success request  -> Success response  -> EAP-Success, MSK
//! Failure request  -> Failure response  -> EAP-Failure      (Windows does not answer a Failure request)
//! ```
//!
//! An unknown user and a wrong password cost the same work and get the same messages; so do accounts that are
//! disabled or expired. Only the operator is told the difference.
//!
//! Does not: retransmit (IKE does), do EAP-TLS, change passwords, or pass EAP through to RADIUS.

mod identity;
mod mschapv2;
mod outcome;
mod packet;
#[cfg(test)]
mod tests;

pub use mschapv2::{Request as MsChapRequest, Response as MsChapResponse};
pub use outcome::{EapFailure, EapOutcome, Msk};
pub use packet::{EapType, Packet};

use rustls_pki_types::UnixTime;
use zeroize::Zeroizing;

use self::identity::{shown, text};
use super::mschapv2::{self as computation, Challenges, MasterKeys};
use super::nt_hash::NtHash;
use super::users::{Barred, User, UserTable};

/// Bytes that are not what they should be; names the construct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct Malformed(pub &'static str);

/// Randomness for one login.
#[derive(Clone, Copy)]
pub struct EapSeed {
    /// The MSCHAPv2 authenticator challenge, RFC 2759 section 4. Must be unpredictable and never repeat.
    pub challenge: [u8; 16],
    /// What a Failure request offers for a next try, which never comes; unpredictable too.
    pub unused_challenge: [u8; 16],
    /// The identifier of the first request, RFC 3748 section 4.1.
    pub identifier: u8,
}

/// One login.
pub struct EapServer {
    seed: EapSeed,
    name: String,
    identifier: u8,
    claimed: Option<String>,
    state: State,
}

/// What is awaited.
enum State {
    Identity,
    ChallengeResponse,
    SuccessResponse { user: String, msk: Msk },
    FailureResponse,
    Ended,
}

impl EapServer {
    /// A login that has not begun. `server_name` is part of the challenge; clients may show it.
    #[must_use]
    pub fn new(seed: EapSeed, server_name: &str) -> Self {
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

    /// The name whose password [`EapServer::handle`] of this response will check; `None` if it will check none. Ask
    /// [`super::throttle`] for this name first: it may differ from what the client called itself before, and several
    /// clients call themselves nothing at all.
    #[must_use]
    pub fn name_to_prove(&self, response: &[u8]) -> Option<String> {
        match (&self.state, Packet::parse(response)) {
            (State::ChallengeResponse, Ok(Packet::Response { method: EapType::MSCHAPV2, data, .. })) => {
                match MsChapResponse::parse(data) {
                    Ok(MsChapResponse::Response { name, .. }) => Some(text(name)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Takes the client's response to the last request. `wall` is for accounts that expire.
    pub fn handle(&mut self, response: &[u8], users: &UserTable, wall: UnixTime) -> EapOutcome {
        let (method, data) = match Packet::parse(response) {
            Ok(Packet::Response { identifier, method, data }) if identifier == self.identifier => (method, data),
            Ok(Packet::Response { .. }) => return self.fail(EapFailure::Malformed("EAP identifier")),
            Ok(_) => return self.fail(EapFailure::Malformed("EAP code")),
            Err(Malformed(what)) => return self.fail(EapFailure::Malformed(what)),
        };
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Identity => self.handle_identity(method, data),
            State::ChallengeResponse => self.handle_challenge_response(method, data, users, wall),
            State::SuccessResponse { user, msk } => self.handle_success_response(method, data, user, msk),
            State::FailureResponse => EapOutcome::Failure { message: self.failure(), reason: None },
            State::Ended => self.fail(EapFailure::Malformed("EAP conversation: it has ended")),
        }
    }

    fn handle_identity(&mut self, method: EapType, data: &[u8]) -> EapOutcome {
        if method != EapType::IDENTITY {
            return self.fail(EapFailure::Malformed("answer to Request/Identity"));
        }
        match identity::parse(data) {
            Ok(name) => self.claimed = Some(name),
            Err(Malformed(what)) => return self.fail(EapFailure::Malformed(what)),
        }
        self.state = State::ChallengeResponse;
        self.next_identifier();
        let (id, challenge) = (self.identifier, self.seed.challenge);
        let challenge = MsChapRequest::Challenge { id, challenge, name: self.name.as_bytes() };
        EapOutcome::Request(self.mschapv2(&challenge))
    }

    fn handle_challenge_response(
        &mut self,
        method: EapType,
        data: &[u8],
        users: &UserTable,
        wall: UnixTime,
    ) -> EapOutcome {
        if method == EapType::NAK {
            return self.fail(EapFailure::MethodRefused { wanted: data.iter().copied().map(EapType).collect() });
        }
        let parsed =
            if method == EapType::MSCHAPV2 { MsChapResponse::parse(data) } else { Err(Malformed("EAP method")) };
        let (peer_challenge, nt_response, name) = match parsed {
            Ok(MsChapResponse::Response { id, peer_challenge, nt_response, name }) if id == self.identifier => {
                (peer_challenge, nt_response, name)
            }
            Ok(_) => return self.fail(EapFailure::Malformed("answer to the EAP-MSCHAPv2 challenge")),
            Err(Malformed(what)) => return self.fail(EapFailure::Malformed(what)),
        };
        let typed = text(name);
        let (account, nt_hash) = users.credential(&typed);
        let user_name = after_domain(name);
        let challenges = Challenges { authenticator: &self.seed.challenge, peer: &peer_challenge, user_name };
        let proven = computation::verify(nt_hash, &challenges, &nt_response);
        let verdict = judge(account, proven, &typed, wall).map(|user| user.name.clone());
        let proof = computation::authenticator_response(nt_hash, &challenges, &nt_response);
        let msk = msk(nt_hash, &nt_response);
        self.claimed = Some(typed);
        match verdict {
            Ok(user) => self.accept(user, &proof, msk),
            Err(reason) => self.reject(reason),
        }
    }

    fn handle_success_response(&mut self, method: EapType, data: &[u8], user: String, msk: Msk) -> EapOutcome {
        if method != EapType::MSCHAPV2 || MsChapResponse::parse(data) != Ok(MsChapResponse::Success) {
            return self.fail(EapFailure::Aborted { user: shown(&user) });
        }
        let message = self.result(Packet::Success { identifier: self.identifier });
        EapOutcome::Success { message, msk, user }
    }

    fn accept(&mut self, user: String, proof: &[u8; 20], msk: Msk) -> EapOutcome {
        self.state = State::SuccessResponse { user, msk };
        let message = format!("S={} M=Welcome", upper_hex(proof));
        EapOutcome::Request(self.verdict_request(|id| MsChapRequest::Success { id, message: message.as_bytes() }))
    }

    /// The error is always "authentication failure, no retry" (691, RFC 2759 section 6).
    fn reject(&mut self, reason: EapFailure) -> EapOutcome {
        self.state = State::FailureResponse;
        let message = format!("E=691 R=0 C={} V=3 M=Authentication failed", upper_hex(&self.seed.unused_challenge));
        let message = self.verdict_request(|id| MsChapRequest::Failure { id, message: message.as_bytes() });
        EapOutcome::Rejected { message, reason }
    }

    /// A Success or Failure request: a new EAP identifier, the MS-CHAPv2-ID of the challenge.
    fn verdict_request<'a>(&mut self, request: impl FnOnce(u8) -> MsChapRequest<'a>) -> Vec<u8> {
        let challenge_id = self.identifier;
        self.next_identifier();
        self.mschapv2(&request(challenge_id))
    }

    fn fail(&mut self, reason: EapFailure) -> EapOutcome {
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

/// Whether the account may log in. The password comes first, so that nobody learns of accounts without it.
fn judge<'a>(account: Option<&'a User>, proven: bool, typed: &str, wall: UnixTime) -> Result<&'a User, EapFailure> {
    let user = account.ok_or_else(|| EapFailure::UnknownUser { user: shown(typed) })?;
    let name = || user.name.clone();
    if !proven {
        return Err(EapFailure::WrongPassword { user: name() });
    }
    user.admit(wall).map(|()| user).map_err(|barred| match barred {
        Barred::Disabled => EapFailure::Disabled { user: name() },
        Barred::Expired => EapFailure::Expired { user: name() },
    })
}

/// What follows the domain: the part that is hashed, byte by byte as the client wrote it.
fn after_domain(name: &[u8]) -> &[u8] {
    name.rsplit(|&byte| byte == b'\\').next().unwrap_or(name)
}

/// MSK = MasterReceiveKey, MasterSendKey, and zeros: the form that Windows and strongSwan use in IKEv2.
fn msk(nt_hash: &NtHash, nt_response: &[u8; 24]) -> Msk {
    let keys = MasterKeys::derive(nt_hash, nt_response);
    let mut msk = Zeroizing::new([0; 64]);
    msk[..16].copy_from_slice(&keys.receive);
    msk[16..32].copy_from_slice(&keys.send);
    Msk::new(&msk)
}

fn upper_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
