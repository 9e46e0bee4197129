//! A client, a network and a clock to test with. Nothing here belongs into a running gateway.
//!
//! [`Lac`] is the client: one end of one tunnel with one session, which speaks byte for byte like one of the stock clients
//! ([`Flavor`]). [`Pair`] puts some of them and an [`Endpoint`](crate::Endpoint) around a network that loses, doubles and
//! delays, on a virtual clock. [`play`] lets a fuzzer tell what they do.

mod flavor;
mod lac;
mod link;
mod pair;
mod story;

use std::sync::OnceLock;
use std::time::Instant;

pub use flavor::Flavor;
pub use lac::{DataForm, Lac, LacConfig, LacEvent};
pub use link::{Link, LinkQuality, To};
pub use pair::Pair;
pub use story::play;

use crate::random::Random;

/// The instant that virtual clocks start at. All tests of a process share it; only differences to it matter.
#[expect(clippy::disallowed_methods, reason = "an Instant can be had in no other way")]
#[must_use]
pub fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// A repeatable generator (splitmix64): the same seed yields the same bytes. **Never secure.**
#[derive(Clone, Debug)]
pub struct SeededRandom(u64);

impl SeededRandom {
    /// Starts the sequence of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number of the sequence.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Random for SeededRandom {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_be_bytes()[..chunk.len()]);
        }
    }
}
