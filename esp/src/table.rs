//! SPI to SA, for one worker.
//!
//! Inbound SAs are owned by the worker that opens their packets, so the table has no lock. SPIs are random numbers of our own
//! choice: a peer cannot aim at one bucket, and a multiplication is hash enough.

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
