//! Slows password guessing down: at most ten failures per minute for a source and for an account name.
//!
//! A token bucket per source network (IPv4 /32, IPv6 /64) and per name: a failure takes a token, one comes back every
//! six seconds. Without a token the login is refused before a password is looked at. Both tables are bounded.
//!
//! Does not: keep time (`now` is passed in) or ban anybody for longer.

use std::net::IpAddr;
use std::time::Instant;

/// See the module.
pub struct FailureThrottle {}

impl FailureThrottle {
    /// No failure seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }

    /// Whether a login from `source` for the account `name` may be tried. `None` for a name that is not known yet.
    #[must_use]
    pub fn admits(&self, _now: Instant, _source: IpAddr, _name: Option<&str>) -> bool {
        todo!()
    }

    /// Notes a failed login.
    pub fn note_failure(&mut self, _now: Instant, _source: IpAddr, _name: Option<&str>) {
        todo!()
    }
}
