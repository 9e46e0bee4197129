//! Counters of one thread. Only the thread writes, anybody reads; sums are made when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use cygnet_esp::DropReason;

use crate::dataplane::Counters;

/// Counters that are not a [`DropReason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A NAT keepalive.
    Keepalive,
    /// An IKE message found the queue full.
    IkeOverflow,
    /// A datagram of an L2TP pair found the queue full, or its client over budget.
    L2tpOverflow,
    /// A datagram that was cut off or without addresses.
    Unusable,
    /// The TUN device refused a packet.
    TunFailure,
    /// A socket refused an outer packet.
    SendFailure,
}

const EVENTS: usize = 6;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct ThreadCounters {
    dropped: [AtomicU64; DropReason::COUNT],
    events: [AtomicU64; EVENTS],
}

impl ThreadCounters {
    /// A packet was dropped.
    pub(super) fn dropped(&self, reason: DropReason) {
        self.dropped_many(reason, 1);
    }

    /// Packets were dropped.
    pub(super) fn dropped_many(&self, reason: DropReason, packets: usize) {
        self.dropped[reason.index()].fetch_add(packets as u64, Relaxed);
    }

    /// Something else happened.
    pub(super) fn count(&self, event: Event) {
        self.events[event as usize].fetch_add(1, Relaxed);
    }

    /// Adds these counters to `sums`.
    pub(super) fn add_to(&self, sums: &mut Counters) {
        for (sum, number) in sums.dropped.iter_mut().zip(&self.dropped) {
            *sum += number.load(Relaxed);
        }
        let read = |event: Event| self.events[event as usize].load(Relaxed);
        sums.keepalives += read(Event::Keepalive);
        sums.ike_overflow += read(Event::IkeOverflow);
        sums.l2tp_overflow += read(Event::L2tpOverflow);
        sums.unusable += read(Event::Unusable);
        sums.tun_failures += read(Event::TunFailure);
        sums.send_failures += read(Event::SendFailure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_add_up_over_threads() {
        let threads = [ThreadCounters::default(), ThreadCounters::default()];
        for thread in &threads {
            thread.dropped(DropReason::Replayed);
            thread.dropped_many(DropReason::NoSa, 10);
            for event in [
                Event::Keepalive,
                Event::IkeOverflow,
                Event::L2tpOverflow,
                Event::Unusable,
                Event::TunFailure,
                Event::SendFailure,
            ] {
                thread.count(event);
            }
        }
        threads[0].count(Event::SendFailure);
        let mut sums = Counters::default();
        threads.iter().for_each(|thread| thread.add_to(&mut sums));
        assert_eq!((sums.dropped(DropReason::Replayed), sums.dropped(DropReason::NoSa)), (2, 20));
        assert_eq!(sums.dropped(DropReason::Runt), 0);
        let rest = (sums.keepalives, sums.ike_overflow, sums.unusable, sums.tun_failures, sums.send_failures);
        assert_eq!(rest, (2, 2, 2, 2, 3));
    }
}
