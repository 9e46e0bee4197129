//! Randomness comes from outside, so that a run can be repeated.

/// A cryptographically secure generator.
///
/// Tunnel and session ids are made with it. Implementations must not fail: a gateway without randomness has to stop.
pub trait Random {
    /// Overwrites all of `out` with unpredictable bytes.
    fn fill(&mut self, out: &mut [u8]);
}
