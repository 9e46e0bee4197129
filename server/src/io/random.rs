//! Randomness of the operating system.

use cygnet_ike::crypto::random::Random;

/// The system's generator. A failure ends the process: there are no keys without it.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, out: &mut [u8]) {
        getrandom::fill(out).expect("the kernel has a random generator");
    }
}
