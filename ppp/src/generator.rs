//! Numbers that nobody can predict, from the seed of one link.
//!
//! Each draw is SHA-1 of the seed and a counter; the seed is secret, so outputs tell nothing about each other. A link
//! draws a few dozen times in its life. Magic numbers and challenges need no more than that.

use sha1::{Digest as _, Sha1};

use crate::auth::AuthSeed;
use crate::config::Seed;

/// The source of all randomness of one link.
pub(crate) struct Generator {
    seed: Seed,
    drawn: u64,
}

impl Generator {
    pub(crate) fn new(seed: Seed) -> Self {
        Self { seed, drawn: 0 }
    }

    /// A number other than zero: zero means "no magic number" (RFC 1661 section 6.4).
    pub(crate) fn magic(&mut self) -> u32 {
        loop {
            let octets: [u8; 4] = self.draw();
            match u32::from_be_bytes(octets) {
                0 => {}
                magic => return magic,
            }
        }
    }

    /// What one login needs.
    pub(crate) fn auth_seed(&mut self) -> AuthSeed {
        let [identifier] = self.draw();
        AuthSeed { challenge: self.draw(), unused_challenge: self.draw(), identifier }
    }

    fn draw<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= 20, "one SHA-1 output holds it") };
        self.drawn += 1;
        let digest: [u8; 20] =
            Sha1::new().chain_update(self.seed.expose()).chain_update(self.drawn.to_be_bytes()).finalize().into();
        *digest.first_chunk().expect("N is at most 20")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_a_run_and_never_itself() {
        let draw = |seed: u8| {
            let mut generator = Generator::new(Seed::new([seed; 32]));
            (0..100).map(|_| generator.magic()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let distinct: std::collections::BTreeSet<u32> = draw(1).into_iter().collect();
        assert_eq!(distinct.len(), 100);
    }

    #[test]
    fn both_challenges_of_a_login_differ() {
        let mut generator = Generator::new(Seed::new([3; 32]));
        let (first, second) = (generator.auth_seed(), generator.auth_seed());
        assert_ne!(first.challenge, first.unused_challenge);
        assert_ne!(first.challenge, second.challenge);
    }
}
