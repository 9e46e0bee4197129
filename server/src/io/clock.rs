//! The only clock of the program: CLOCK_BOOTTIME, which goes on while the machine sleeps, as [`Instant`].
//!
//! [`Instant`] itself stands still during suspend; timers of a VPN must not. So an instant here is "the first reading plus the
//! boot time since then". Such instants are to be compared with each other only, all from clones of one [`Clock`].
//!
//! Does not: sleep, or notice jumps of the wall clock, which certificates and log lines take as it is.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::sys;

/// A source of time. Clones agree with each other.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_uptime: Duration,
}

impl Clock {
    /// Reads the time for the first time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else has to ask")]
    pub fn start() -> Self {
        Self { started: Instant::now(), started_uptime: sys::uptime() }
    }

    /// The time for timers.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.started + self.elapsed()
    }

    /// Time since [`Clock::start`], including suspend.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        sys::uptime().saturating_sub(self.started_uptime)
    }

    /// The instant at which [`Clock::elapsed`] was `elapsed`.
    #[must_use]
    pub fn at(&self, elapsed: Duration) -> Instant {
        self.started + elapsed
    }

    /// The wall clock.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        Timestamp::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_forward_and_agrees_with_its_clones() {
        let clock = Clock::start();
        let clone = clock;
        let first = clock.now();
        std::thread::sleep(Duration::from_millis(5));
        let elapsed = clone.elapsed();
        assert!(clone.now() >= first + Duration::from_millis(5));
        assert!(clock.at(elapsed) >= first && clock.at(elapsed) <= clock.now());
    }
}
