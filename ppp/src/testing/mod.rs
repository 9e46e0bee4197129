//! For tests, benchmarks and fuzzing: the client's end of a link with the habits of stock clients, and a pair of ends
//! with a bad line and a virtual clock between them.
//!
//! Not part of the API: it may change at any time.

mod pair;
mod peer;
mod profile;
mod story;
mod wishes;

use std::sync::OnceLock;
use std::time::Instant;

pub use pair::{Account, LineQuality, Pair};
pub use peer::Peer;
pub use profile::Profile;
pub use story::play;

/// Where virtual clocks start.
#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made in any other way; it only serves as the zero")]
#[must_use]
pub fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}
