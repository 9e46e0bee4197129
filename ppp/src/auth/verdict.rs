//! The answer to [`super::Credentials`].

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::mschapv2::success_message;

/// Whether somebody is let in.
pub enum Verdict {
    /// The password is right and the account may log in.
    Accepted {
        /// The account's name as it is written in the user list.
        user: String,
        /// What [`super::Credentials::prove`] gave; needed for MS-CHAPv2 with and without EAP.
        proof: Option<MutualProof>,
    },
    /// Whatever the reason: the client is told the same.
    Rejected,
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { user, .. } => f.debug_struct("Accepted").field("user", user).finish_non_exhaustive(),
            Self::Rejected => f.write_str("Rejected"),
        }
    }
}

/// What MS-CHAPv2 yields beside the answer: our proof for the client, and a key.
pub struct MutualProof {
    /// AuthenticatorResponse of RFC 2759 section 8.7.
    pub authenticator_response: [u8; 20],
    /// For IKEv2's AUTH payloads; a PPP link has no use for it.
    pub msk: Msk,
}

impl MutualProof {
    /// The message of a Success packet, RFC 2759 section 5.
    #[must_use]
    pub fn success_message(&self) -> String {
        success_message(&self.authenticator_response)
    }
}

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
