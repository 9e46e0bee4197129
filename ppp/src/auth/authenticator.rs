//! One login on one link, whatever the method: the side that asks.

use std::time::Instant;

use super::{AuthFailure, Credentials, Method, Verdict};

/// Randomness for one login.
#[derive(Clone, Copy)]
pub struct AuthSeed {
    /// The challenge of CHAP, RFC 1994 section 4.1, and of MS-CHAPv2, RFC 2759 section 4. Must be unpredictable and never repeat.
    pub challenge: [u8; 16],
    /// What a failure message offers for a next try, which never comes; unpredictable too.
    pub unused_challenge: [u8; 16],
    /// The identifier of the first request.
    pub identifier: u8,
}

/// What the link has to know.
#[derive(Debug)]
pub enum AuthEvent {
    /// Check these and call [`Authenticator::verdict`].
    Credentials(Credentials),
    /// The client is `user`, the name of [`Verdict::Accepted`]. What is left to transmit still has to go out.
    Authenticated {
        /// The account.
        user: String,
    },
    /// Nobody is let in. What is left to transmit still has to go out, then the link ends.
    Failed(AuthFailure),
}

/// One login on one link.
pub struct Authenticator {
    method: Method,
}

impl Authenticator {
    /// Begins at once: a request may be waiting in [`Authenticator::poll_transmit`]. Clients may show `server_name`.
    #[must_use]
    pub fn new(method: Method, seed: AuthSeed, server_name: &str, now: Instant) -> Self {
        let _ = (seed, server_name, now);
        Self { method }
    }

    /// The method that was chosen; its packets have [`Method::protocol`].
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// Takes a packet of [`Method::protocol`], without the PPP header. What does not fit is ignored.
    pub fn handle(&mut self, now: Instant, packet: &[u8]) {
        let _ = (now, packet);
    }

    /// Answers [`AuthEvent::Credentials`].
    pub fn verdict(&mut self, now: Instant, verdict: Verdict) {
        let _ = (now, verdict);
    }

    /// Sends a request again, or gives up.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// When [`Authenticator::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next packet to send with [`Method::protocol`], without the PPP header.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<AuthEvent> {
        None
    }
}
