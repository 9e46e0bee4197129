//! For tests, benchmarks and fuzzing: a virtual clock, an initiator, a lossy link, and a pair of endpoints between them.
//!
//! Not part of the API: it may change at any time.

use std::sync::OnceLock;
use std::time::Instant;

/// Where virtual clocks start.
#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made in any other way; it only serves as the zero")]
#[must_use]
pub fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}
