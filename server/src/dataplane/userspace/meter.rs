//! What an SA pair has carried: plain numbers that any thread may read, and the limits that they come to.
//!
//! The receiving side has one writer, the worker that owns the inbound SA; the sending side has one per worker. Limits are of
//! each direction for itself, and each is noted once, by whoever comes to it first; the control plane fetches what was noted
//! ([`Meter::take_noted`]), so that no queue can lose it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::dataplane::{Limit, Limits, Usage};
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
    limits: Limits,
    soft_told: AtomicBool,
    /// A hard limit was reached.
    exhausted: AtomicBool,
    /// The control plane has not fetched these yet.
    soft_noted: AtomicBool,
    hard_noted: AtomicBool,
}

/// A limit that was reached just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// It is time for a successor.
    Soft,
    /// It is over.
    Hard,
}

impl Meter {
    /// Starts at zero.
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// An inner packet came in. To be called by the owner of the inbound SA only.
    pub(super) fn received(&self, octets: usize) -> Option<Reached> {
        let bytes = add_alone(&self.bytes_in, octets as u64);
        let packets = add_alone(&self.packets_in, 1);
        self.reached(bytes, packets)
    }

    /// Something authentic came in at `elapsed`. To be called by the owner of the inbound SA only.
    pub(super) fn heard(&self, elapsed: Duration) {
        let nanoseconds = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX - 1);
        self.heard.store(nanoseconds + 1, Relaxed);
    }

    /// Inner packets go out.
    pub(super) fn sent(&self, packets: usize, octets: usize) -> Option<Reached> {
        let (packets, octets) = (packets as u64, octets as u64);
        let packets = self.packets_out.fetch_add(packets, Relaxed).wrapping_add(packets);
        let bytes = self.bytes_out.fetch_add(octets, Relaxed).wrapping_add(octets);
        self.reached(bytes, packets)
    }

    /// Whether a hard limit was reached: nothing may be sent any more.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted.load(Relaxed)
    }

    /// Notes a soft limit, unless it was before. Returns whether it is news.
    pub(super) fn note_soft(&self) -> bool {
        let news = !self.soft_told.swap(true, Relaxed);
        if news {
            self.soft_noted.store(true, Relaxed);
        }
        news
    }

    /// What was noted since the last time, in its order.
    pub(super) fn take_noted(&self) -> impl Iterator<Item = Reached> + use<> {
        let soft = self.soft_noted.swap(false, Relaxed).then_some(Reached::Soft);
        soft.into_iter().chain(self.hard_noted.swap(false, Relaxed).then_some(Reached::Hard))
    }

    fn reached(&self, bytes: u64, packets: u64) -> Option<Reached> {
        let numbers = [(self.limits.bytes, bytes), (self.limits.packets, packets)];
        let over = |of: fn(Limit) -> u64| numbers.iter().any(|(limit, number)| limit.is_some_and(|l| *number >= of(l)));
        if !over(|limit| limit.soft) {
            return None;
        }
        if over(|limit| limit.hard) {
            let news = !self.exhausted.swap(true, Relaxed);
            if news {
                self.hard_noted.store(true, Relaxed);
            }
            return news.then_some(Reached::Hard);
        }
        self.note_soft().then_some(Reached::Soft)
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

/// Adds without a locked instruction: right where nobody else writes. Returns the sum.
fn add_alone(number: &AtomicU64, more: u64) -> u64 {
    let sum = number.load(Relaxed).wrapping_add(more);
    number.store(sum, Relaxed);
    sum
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

    #[test]
    fn a_limit_of_either_direction_is_told_once() {
        let limit = |soft, hard| Some(Limit { soft, hard });
        let meter = Meter::new(Limits { bytes: limit(1000, 2000), packets: limit(5, 9) });
        assert_eq!([meter.received(999), meter.sent(4, 600)], [None, None]);
        assert_eq!([meter.received(1), meter.received(1), meter.sent(1, 1)], [Some(Reached::Soft), None, None]);
        assert!(!meter.is_exhausted() && !meter.note_soft());
        let noted = || meter.take_noted().collect::<Vec<_>>();
        assert_eq!((noted(), noted()), (vec![Reached::Soft], vec![]), "fetched once");
        assert_eq!([meter.sent(3, 0), meter.sent(1, 0), meter.sent(1, 0)], [None, Some(Reached::Hard), None]);
        assert!(meter.is_exhausted());
        assert_eq!(noted(), [Reached::Hard]);

        let at_once = Meter::new(Limits { bytes: limit(1, 2), packets: None });
        assert_eq!(at_once.sent(1, 5000), Some(Reached::Hard), "a soft limit would be too late");
        assert_eq!(Meter::default().sent(usize::MAX, usize::MAX), None, "no limit");
    }
}
