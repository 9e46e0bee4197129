//! For tests, benchmarks and fuzzing: a virtual clock, an initiator, a lossy link, and a pair of endpoints between them.
//!
//! Not part of the API: it may change at any time.

mod client;
mod client_sa;
mod link;
mod pair;
pub mod sites;
mod story;
pub mod v1;

use std::sync::OnceLock;
use std::time::Instant;

pub use client::{Client, ClientChild, ClientConfig, ClientPpk, EapPeer, End, Login, ServerProof, Task};
pub use link::{Datagram, Link, LinkQuality, To};
pub use pair::{Pair, Seen, ToyEapPeer};
pub use story::play;

/// Where virtual clocks start.
#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made in any other way; it only serves as the zero")]
#[must_use]
pub fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}
