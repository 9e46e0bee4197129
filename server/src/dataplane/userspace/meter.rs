//! What an SA pair has carried: plain numbers that any thread may read.
//!
//! The receiving side has one writer, the worker that owns the inbound SA; the sending side has one per worker.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::dataplane::Usage;
use crate::io::clock::Clock;

/// See the module. Starts at zero.
#[derive(Debug, Default)]
pub(super) struct Meter {
    bytes_in: AtomicU64,
    packets_in: AtomicU64,
    bytes_out: AtomicU64,
    packets_out: AtomicU64,
    /// Nanoseconds on the clock of the data plane, plus 1; 0 if nothing was heard.
    heard: AtomicU64,
}

impl Meter {
    /// An inner packet came in. To be called by the owner of the inbound SA only.
    pub(super) fn received(&self, octets: usize) {
        add_alone(&self.bytes_in, octets as u64);
        add_alone(&self.packets_in, 1);
    }

    /// Something authentic came in at `elapsed`. To be called by the owner of the inbound SA only.
    pub(super) fn heard(&self, elapsed: Duration) {
        let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX - 1);
        self.heard.store(nanoseconds + 1, Relaxed);
    }

    /// Inner packets went out.
    pub(super) fn sent(&self, packets: usize, octets: usize) {
        self.packets_out.fetch_add(packets as u64, Relaxed);
        self.bytes_out.fetch_add(octets as u64, Relaxed);
    }

    /// All numbers. Not one moment's: packets pass in between.
    pub(super) fn read(&self, clock: &Clock) -> Usage {
        let heard = self.heard.load(Relaxed).checked_sub(1);
        Usage {
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            packets_in: self.packets_in.load(Relaxed),
            packets_out: self.packets_out.load(Relaxed),
            last_heard: heard.map(|nanoseconds| clock.at(Duration::from_nanos(nanoseconds))),
        }
    }
}

/// Adds without a locked instruction: right where nobody else writes.
fn add_alone(number: &AtomicU64, more: u64) {
    number.store(number.load(Relaxed).wrapping_add(more), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_both_directions_and_remembers_when_it_heard() {
        let (meter, clock) = (Meter::default(), Clock::start());
        assert_eq!(meter.read(&clock), Usage::default());
        meter.received(100);
        meter.received(50);
        meter.sent(3, 4000);
        meter.heard(Duration::ZERO);
        let usage = meter.read(&clock);
        assert_eq!((usage.packets_in, usage.bytes_in, usage.packets_out, usage.bytes_out), (2, 150, 3, 4000));
        assert_eq!(usage.last_heard, Some(clock.at(Duration::ZERO)));
    }
}
