//! Why a login came to nothing, as far as the protocol knows: what the accounts say stays with who keeps them.

use super::Method;
use super::eap::EapType;

/// Why nobody was let in.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthFailure {
    /// The answer was [`super::Verdict::Rejected`].
    #[error("the login was refused")]
    Rejected,
    /// The client sent an EAP Nak.
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
    /// No answer, however often it was asked.
    #[error("the client does not answer to {0}: it has no user name or password, or forbids this method")]
    NoAnswer(Method),
}

fn list(wanted: &[EapType]) -> String {
    let names: Vec<String> = wanted.iter().filter(|m| m.0 != 0).take(8).map(ToString::to_string).collect();
    if names.is_empty() { "no method that we could offer".to_owned() } else { names.join(" or ") }
}
