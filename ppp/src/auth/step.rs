//! What one packet or verdict leads to, the same for every method.

use super::{AuthFailure, Credentials};

/// What follows.
pub(super) enum Step {
    /// Nothing: it does not fit, or is a duplicate.
    Ignore,
    /// Send this and wait for an answer.
    Request(Vec<u8>),
    /// The login has failed; send this, but do not wait long: many clients do not answer.
    LastRequest(Vec<u8>),
    /// Have these judged.
    Credentials(Credentials),
    /// Send this: the client is `user`.
    Accepted {
        /// The last packet.
        packet: Vec<u8>,
        /// The account.
        user: String,
    },
    /// Send this: nobody is let in.
    Refused {
        /// The last packet.
        packet: Vec<u8>,
        /// Why.
        reason: AuthFailure,
    },
    /// Send the last packet again: it was lost.
    Repeat(Vec<u8>),
}
