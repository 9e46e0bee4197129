//! Why a login came to nothing, as far as the protocol knows: what the accounts say stays with who keeps them.

use super::Method;
use super::eap::tls::TlsFailure;
use super::eap::{EapMethod, EapType};

/// Why nobody was let in.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthFailure {
    /// The answer was [`super::Verdict::Rejected`].
    #[error("the login was refused")]
    Rejected,
    /// The client sent an EAP Nak, and there is nothing else to offer.
    #[error("the client refuses {} and wants {}; {}", names(offered), list(wanted), advice(offered, wanted))]
    MethodRefused {
        /// What the client was offered.
        offered: Vec<EapMethod>,
        /// What it would take, RFC 3748 section 5.3.1.
        wanted: Vec<EapType>,
    },
    /// The password was right, but the client did not take our proof that we know it too.
    #[error("the client of user {user:?} gave up after its password was accepted: it doubts that we know the password")]
    Aborted {
        /// The account.
        user: String,
    },
    /// The gateway has no EAP method to offer.
    #[error("the gateway has no EAP method; add users for EAP-MSCHAPv2, or `ca` for EAP-TLS")]
    NoMethod,
    /// EAP-TLS came to nothing.
    #[error(transparent)]
    Tls(#[from] TlsFailure),
    /// Not a response that this step takes.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// No answer, however often it was asked.
    #[error("the client does not answer to {0}: it has no user name or password, or forbids this method")]
    NoAnswer(Method),
}

fn names(offered: &[EapMethod]) -> String {
    let names: Vec<String> = offered.iter().map(|method| method.eap_type().to_string()).collect();
    names.join(" and ")
}

/// What makes both sides have a method in common.
fn advice(offered: &[EapMethod], wanted: &[EapType]) -> &'static str {
    let wants = |method: EapMethod| wanted.contains(&method.eap_type()) && !offered.contains(&method);
    if wants(EapMethod::Tls) {
        "choose user name and password in its settings, or add \"tls\" to `eap` and give the gateway `ca`"
    } else if wants(EapMethod::MsChapV2) {
        "choose a certificate in its settings, or add \"mschapv2\" to `eap` and give the gateway users"
    } else if offered == [EapMethod::Tls] {
        "choose a certificate (EAP-TLS) in its settings"
    } else {
        "choose user name and password in its settings"
    }
}

fn list(wanted: &[EapType]) -> String {
    let names: Vec<String> = wanted.iter().filter(|m| m.0 != 0).take(8).map(ToString::to_string).collect();
    if names.is_empty() { "no method that we could offer".to_owned() } else { names.join(" or ") }
}
