//! A client, a network and a clock to test with. Nothing here belongs into a running gateway.

use std::sync::OnceLock;
use std::time::Instant;

/// The instant that virtual clocks start at. All tests of a process share it; only differences to it matter.
#[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
#[must_use]
pub fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}
