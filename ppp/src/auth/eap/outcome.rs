//! What a response of the client, or a verdict about it, leads to.

use super::EapMethod;
use crate::auth::{AuthFailure, Credentials, Msk};

/// What follows a response of the client.
pub enum EapOutcome {
    /// Send this request; the login goes on.
    Request(Vec<u8>),
    /// Check these and call [`super::EapServer::verdict`].
    Credentials(Credentials),
    /// The login has failed. Send this last request; a response to it gives [`EapOutcome::Failure`], but some clients
    /// just leave.
    Rejected {
        /// EAP-MSCHAPv2 Failure request, or a TLS alert.
        message: Vec<u8>,
        /// For the operator, never for the client; `None` if a verdict was the reason.
        reason: Option<AuthFailure>,
    },
    /// Send this EAP-Success; the client is `user`.
    Success {
        /// EAP-Success packet.
        message: Vec<u8>,
        /// For the AUTH payloads of IKEv2, RFC 7296 section 2.16.
        msk: Msk,
        /// The account's name as the verdict gave it.
        user: String,
        /// How the client has proven it.
        method: EapMethod,
    },
    /// Send this EAP-Failure and end the link or IKE SA.
    Failure {
        /// EAP-Failure packet.
        message: Vec<u8>,
        /// For the operator, never for the client; `None` if it was told before, or a verdict was the reason.
        reason: Option<AuthFailure>,
    },
}
