//! Randomness comes from outside, so that a run can be repeated.
//!
//! Nonces, SPIs, initialization vectors and private keys are made from a [`Random`] that the caller
//! of the endpoint supplies: the operating system's generator in production, a seeded one in tests
//! (see [`testing`](super::testing)). The exception is the P-256 and P-384 agreement, whose
//! library insists on the operating system (see [`dh`](super::dh)).

use std::convert::Infallible;

use p521::elliptic_curve::rand_core::{TryCryptoRng, TryRng};

/// A cryptographically secure generator.
///
/// Implementations must not fail: a gateway without randomness has to stop, not to go on.
pub trait Random {
    /// Overwrites all of `out` with unpredictable bytes.
    fn fill(&mut self, out: &mut [u8]);
}

/// The same generator, for the libraries that want the `rand_core` traits.
pub(crate) struct Adapter<'a>(pub(crate) &'a mut dyn Random);

impl TryRng for Adapter<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Adapter<'_> {}
