//! What a response of the client leads to.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::packet::EapType;

/// Master session key, RFC 3748 section 7.10: wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Msk([u8; 64]);

impl Msk {
    pub(super) fn new(bytes: &[u8; 64]) -> Self {
        Self(*bytes)
    }

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
    /// The login has failed: count and tell the reason now. Send this last request; a response to it gives
    /// [`EapOutcome::Failure`], but some clients just leave.
    Rejected {
        /// EAP-MSCHAPv2 Failure request.
        message: Vec<u8>,
        /// For the operator, never for the client.
        reason: EapFailure,
    },
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
        /// For the operator, never for the client; `None` if [`EapOutcome::Rejected`] told it.
        reason: Option<EapFailure>,
    },
}

/// Why a login failed.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EapFailure {
    /// No such account.
    #[error("there is no user {user:?}; add one with `cygnet user add`")]
    UnknownUser {
        /// The name the client gave, at most 64 bytes of it.
        user: String,
    },
    /// The account exists.
    #[error("wrong password for user {user:?}; check it on the device, or set a new one with `cygnet user passwd`")]
    WrongPassword {
        /// The account.
        user: String,
    },
    /// The password was right, but the account has expired.
    #[error("the account of user {user:?} has expired; change `expires` to admit it again")]
    Expired {
        /// The account.
        user: String,
    },
    /// The password was right, but the account is disabled.
    #[error("the account of user {user:?} is disabled")]
    Disabled {
        /// The account.
        user: String,
    },
    /// The client sent a Nak.
    #[error(
        "the client refuses EAP-MSCHAPv2 and wants {}; choose user name and password in its settings",
        list(wanted)
    )]
    MethodRefused {
        /// What it would take, RFC 3748 section 5.3.1.
        wanted: Vec<EapType>,
    },
    /// The password was right, but the client did not take our proof that we know it too.
    #[error("the client of user {user:?} gave up after its password was accepted: it doubts that we know the password")]
    Aborted {
        /// The account.
        user: String,
    },
    /// Not a response that this step takes.
    #[error("malformed {0}")]
    Malformed(&'static str),
}

impl EapFailure {
    /// Whether it is a guess that counts against source and name, see [`crate::auth::throttle`].
    #[must_use]
    pub fn is_guess(&self) -> bool {
        matches!(
            self,
            Self::UnknownUser { .. } | Self::WrongPassword { .. } | Self::Expired { .. } | Self::Disabled { .. }
        )
    }
}

fn list(wanted: &[EapType]) -> String {
    let names: Vec<String> = wanted.iter().filter(|m| m.0 != 0).take(8).map(ToString::to_string).collect();
    if names.is_empty() { "no method that we could offer".to_owned() } else { names.join(" or ") }
}
