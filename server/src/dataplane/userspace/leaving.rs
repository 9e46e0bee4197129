//! Pairs that were replaced and removed receive for a moment longer: packets may have been under way, or wait in a thread of the
//! peer, while IKE had already deleted them on both sides (RFC 7296 section 2.8).
//!
//! A pair whose traffic nobody carries on is gone at once: its session has ended.
//!
//! Does not: send. A removed pair never does.

use std::time::{Duration, Instant};

use cygnet_esp::Spi;

use super::registry::{Kin, Registry};

/// How long they receive.
const LINGER: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Default)]
pub(super) struct Leaving(Vec<Former>);

struct Former {
    spi: Spi,
    kin: Kin,
    until: Instant,
}

impl Leaving {
    /// A pair was removed from the registry. Gives back the pairs that are to receive no longer.
    pub(super) fn removed(&mut self, now: Instant, registry: &Registry, spi: Spi, kin: Kin) -> Vec<Spi> {
        self.0.push(Former { spi, kin, until: now + LINGER });
        self.due(now, registry)
    }

    /// The SPI has a new pair.
    pub(super) fn is_taken_again(&mut self, spi: Spi) {
        self.0.retain(|former| former.spi != spi);
    }

    /// The pairs whose moment is over, or whose successors are gone, too.
    pub(super) fn due(&mut self, now: Instant, registry: &Registry) -> Vec<Spi> {
        let is_over = |former: &mut Former| former.until <= now || !registry.has_kin(&former.kin);
        self.0.extract_if(.., is_over).map(|former| former.spi).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::registry::tests::{registry, remove};
    use super::*;
    use crate::io::clock::Clock;

    fn drop_at(leaving: &mut Leaving, registry: &Registry, now: Instant, spi: u32) -> Vec<u32> {
        let kin = remove(registry, spi);
        leaving.removed(now, registry, Spi(spi), kin).into_iter().map(|spi| spi.0).collect()
    }

    #[test]
    fn a_replaced_pair_receives_for_a_moment_and_the_last_of_a_session_does_not() {
        let (now, mut leaving) = (Clock::start().now(), Leaving::default());
        let pairs = registry(&[(1, None), (2, Some(1)), (3, Some(2))]);
        assert_eq!(drop_at(&mut leaving, &pairs, now, 1), [0_u32; 0]);
        assert_eq!(leaving.due(now + LINGER / 2, &pairs), []);
        assert_eq!(leaving.due(now + LINGER, &pairs), [Spi(1)]);
        assert_eq!(drop_at(&mut leaving, &pairs, now, 2), [0_u32; 0]);
        assert_eq!(drop_at(&mut leaving, &pairs, now, 3), [2, 3], "the session is over");
        assert_eq!(leaving.due(now + LINGER, &pairs), []);
    }
}
