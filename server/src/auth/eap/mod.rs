//! EAP server for IKEv2 clients with user name and password (RFC 3748, RFC 7296 section 2.16).
//!
//! Sans-IO: [`EapServer::start`] gives the first request, [`EapServer::handle`] takes a response and says what follows. One
//! value serves one login. The method is EAP-MSCHAPv2, the only password method that Windows, Apple and
//! Android clients all have.
//!
//! Does not: retransmit (IKE does), do EAP-TLS, or pass EAP through to RADIUS.

use rustls_pki_types::UnixTime;

use super::users::UserTable;

/// Randomness for one login.
#[derive(Clone, Copy)]
pub struct EapSeed {
    /// The MSCHAPv2 authenticator challenge, RFC 2759 section 4. Must never repeat.
    pub challenge: [u8; 16],
    /// The identifier of the first request, RFC 3748 section 4.1.
    pub identifier: u8,
}

/// Master session key, RFC 3748 section 7.10: 64 bytes, wiped on drop.
#[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub struct Msk([u8; 64]);

impl Msk {
    /// The key bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; 64] {
        &self.0
    }
}

/// What follows a response of the client.
pub enum EapOutcome {
    /// Send this request; the login goes on.
    Request(Vec<u8>),
    /// Send this EAP-Success; the client is `user`.
    Success {
        /// EAP-Success packet.
        message: Vec<u8>,
        /// For the AUTH payloads, RFC 7296 section 2.16.
        msk: Msk,
        /// The account's name as it is written in the user table.
        user: String,
    },
    /// Send this EAP-Failure and end the IKE SA.
    Failure {
        /// EAP-Failure packet.
        message: Vec<u8>,
        /// For the operator, never for the client.
        reason: EapFailure,
    },
}

/// Why a login failed.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EapFailure {
    /// No such account.
    #[error("there is no user {user:?}; add it with `cygnet user add`")]
    UnknownUser {
        /// The name the client gave.
        user: String,
    },
    /// The account exists.
    #[error("wrong password for user {user:?}")]
    WrongPassword {
        /// The account.
        user: String,
    },
    /// The password was right, but the account has expired.
    #[error("the account {user:?} has expired")]
    Expired {
        /// The account.
        user: String,
    },
    /// The password was right, but the account is disabled.
    #[error("the account {user:?} is disabled; enable it with `cygnet user enable`")]
    Disabled {
        /// The account.
        user: String,
    },
    /// The client sent a Nak.
    #[error("the client refuses EAP-MSCHAPv2 and wants {}", wanted_names(wanted))]
    MethodRefused {
        /// EAP type numbers that it would take, RFC 3748 section 5.3.
        wanted: Vec<u8>,
    },
    /// The client could not verify our proof that we know the password, and said so.
    #[error("the client ended the login after the password was accepted")]
    Aborted,
    /// Not an EAP response that this step takes.
    #[error("malformed EAP response: {0}")]
    Malformed(&'static str),
}

/// One login.
pub struct EapServer {
    seed: EapSeed,
}

impl EapServer {
    /// A login that has not begun. `server_name` is shown by some clients.
    #[must_use]
    pub fn new(seed: EapSeed, _server_name: &str) -> Self {
        Self { seed }
    }

    /// The first request: EAP-Request/Identity.
    pub fn start(&mut self) -> Vec<u8> {
        vec![1, self.seed.identifier, 0, 5, 1]
    }

    /// Takes the client's response to the last request. `wall` is for accounts that expire.
    pub fn handle(&mut self, _response: &[u8], _users: &UserTable, _wall: UnixTime) -> EapOutcome {
        todo!()
    }
}

fn wanted_names(wanted: &[u8]) -> String {
    let _ = wanted;
    String::new()
}
