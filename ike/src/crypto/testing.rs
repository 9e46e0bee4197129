//! Test doubles. Nothing here belongs into a running gateway.

use ring::digest;

use super::random::Random;

/// A repeatable generator: the same seed yields the same bytes. **Never secure**, since whoever
/// knows the seed knows every key.
pub struct SeededRandom {
    seed: u64,
    block: u64,
    left: Vec<u8>,
}

impl SeededRandom {
    /// Starts the sequence of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, block: 0, left: Vec::new() }
    }

    /// One byte of the sequence: the digest of seed and block number, byte by byte.
    fn next_byte(&mut self) -> u8 {
        loop {
            if let Some(byte) = self.left.pop() {
                return byte;
            }
            let mut input = self.seed.to_be_bytes().to_vec();
            input.extend(self.block.to_be_bytes());
            self.block = self.block.wrapping_add(1);
            self.left = digest::digest(&digest::SHA256, &input).as_ref().to_vec();
        }
    }
}

impl Random for SeededRandom {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill_with(|| self.next_byte());
    }
}

/// The bytes of a test vector; white space in it does not count.
#[cfg(test)]
pub(crate) fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    assert_eq!(digits.len(), text.split_whitespace().map(str::len).sum::<usize>(), "only digits and white space");
    let (pairs, rest) = digits.as_chunks::<2>();
    assert!(rest.is_empty(), "digits come in pairs");
    pairs.iter().map(|[high, low]| high << 4 | low).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_the_sequence_of_a_seed_however_it_is_cut() {
        let (mut whole, mut parts) = ([0; 100], [0; 100]);
        SeededRandom::new(7).fill(&mut whole);
        let mut random = SeededRandom::new(7);
        parts.chunks_mut(9).for_each(|part| random.fill(part));
        assert_eq!(whole, parts);
    }

    #[test]
    fn differs_between_seeds() {
        let (mut one, mut two) = ([0; 32], [0; 32]);
        SeededRandom::new(1).fill(&mut one);
        SeededRandom::new(2).fill(&mut two);
        assert_ne!(one, two);
    }
}
