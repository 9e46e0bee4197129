//! How long to wait before trying again: longer and longer, and never all at once.

use std::time::Duration;

/// The first pause.
pub(super) const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// Pauses of 1, 2, 4 and up to 60 seconds, each shortened by up to a quarter, so that gateways that have lost the same peer at the
/// same moment do not come back at the same moment.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    failures: u32,
    state: u64,
}

impl Backoff {
    /// `seed` should differ from site to site; it need not be secret.
    pub(super) fn new(seed: u64) -> Self {
        Self { failures: 0, state: seed | 1 }
    }

    /// The pause after one more failure.
    pub(super) fn next(&mut self) -> Duration {
        let doubled = FIRST.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1).min(31);
        let whole = doubled.min(LONGEST);
        whole - whole.mul_f64(self.fraction() / 4.0)
    }

    /// Pauses of something else: they begin with the first and differ from these.
    pub(super) fn fork(&mut self) -> Self {
        self.fraction();
        Self { failures: 0, state: self.state.rotate_left(17) | 1 }
    }

    /// The next pause is a short one again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// 0 to 1, by xorshift64 (Marsaglia 2003).
    fn fraction(&mut self) -> f64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        f64::from((self.state >> 33) as u32 & 0x7fff_ffff) / f64::from(0x7fff_ffff_u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_are_never_shortened_by_more_than_a_quarter() {
        for seed in 0..1000 {
            let mut backoff = Backoff::new(seed);
            for whole in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
                let (pause, whole) = (backoff.next(), Duration::from_secs(whole));
                assert!(pause <= whole && pause >= whole * 3 / 4, "{pause:?} of {whole:?}");
            }
            backoff.reset();
            assert!(backoff.next() <= FIRST);
        }
    }

    #[test]
    fn pauses_of_two_sites_differ() {
        let pauses: std::collections::BTreeSet<Duration> = (1..100).map(|n| Backoff::new(n * 7919).next()).collect();
        assert!(pauses.len() > 20, "{}", pauses.len());
    }
}
