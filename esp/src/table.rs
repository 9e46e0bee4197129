//! SPI to SA, for one worker.
//!
//! Inbound SAs are owned by the worker that opens their packets, so the table has no lock. SPIs are random numbers of our own
//! choice: a peer cannot aim at one bucket, and a multiplication is hash enough.
//!
//! Does not: bound itself. Its owner installs an SA only on the order of the IKE engine, which counts them.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::suite::Spi;

/// Hash of an [`Spi`]: one multiplication.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpiHasher(u64);

impl Hasher for SpiHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(byte.into());
        }
    }

    fn write_u32(&mut self, value: u32) {
        // 2^64 / golden ratio: moves entropy to the upper bits, which the table takes its tags from.
        self.0 = (self.0 ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

/// What a worker knows by SPI.
pub type SpiTable<T> = HashMap<Spi, T, BuildHasherDefault<SpiHasher>>;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn finds_each_sa_by_its_spi() {
        let mut table = SpiTable::default();
        for spi in 256..20_256 {
            table.insert(Spi(spi), spi);
        }
        for spi in 256..20_256 {
            assert_eq!(table.get(&Spi(spi)), Some(&spi));
        }
        assert_eq!(table.remove(&Spi(300)), Some(300));
        assert_eq!(table.get(&Spi(300)), None);
    }

    #[test]
    fn spreads_consecutive_spis_over_buckets_and_tags() {
        let hashes: Vec<u64> =
            (0..4096).map(|spi| BuildHasherDefault::<SpiHasher>::default().hash_one(Spi(0x0100_0000 + spi))).collect();
        let buckets: BTreeSet<u64> = hashes.iter().map(|hash| hash & 0xfff).collect();
        let tags: BTreeSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert!(buckets.len() > 2000, "{} of 4096 buckets", buckets.len());
        assert_eq!(tags.len(), 128);
    }
}
