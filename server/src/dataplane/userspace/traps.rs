//! Packets that want a tunnel which is not there: who is told, and what is kept until it is there.
//!
//! Everything here is off the fast path: a sending thread comes here only with a packet that found no route. The lock is held for a
//! look at a few entries. Between a thread that finds no route and a pair that is being installed nothing gets lost, since both
//! look again under the lock.
//!
//! Does not: send what was kept (see [`super::dispatch`]), or know whose a packet is (see [`super::claims`]).

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::table::Lane;
use super::virtio::Header;

/// Packets that are kept for one site: the beginning of a few connections.
pub(super) const KEPT_PER_SITE: usize = 8;

/// How long they are kept: as long as an exchange of keys takes with a slow peer and some repetitions.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A destination is told at most so often.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Destinations of one site that are told within that time; others have to wait.
const REPORTED_PER_SITE: usize = 16;

/// See the module.
#[derive(Default)]
pub(super) struct Traps {
    sites: ArcSwap<Vec<Arc<str>>>,
    caught: Mutex<Caught>,
}

#[derive(Default)]
struct Caught {
    kept: Vec<Kept>,
    told: Vec<Told>,
}

/// A packet that waits for a pair.
pub(super) struct Packet {
    /// What the TUN device said about it.
    pub(super) header: Header,
    pub(super) octets: Vec<u8>,
    /// The device that it came by, if that is a site's.
    pub(super) lane: Option<Arc<Lane>>,
}

struct Kept {
    site: Arc<str>,
    until: Duration,
    packet: Packet,
}

struct Told {
    site: Arc<str>,
    destination: IpAddr,
    again: Duration,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It has a route by now.
    Routed,
    /// It waits; `tell`: the control plane should hear of it. `expired`: others that waited too long.
    Kept {
        /// Somebody should do something.
        tell: bool,
        /// How many packets were given up.
        expired: usize,
    },
    /// There is no room for it; otherwise as above.
    Dropped {
        /// As above.
        tell: bool,
        /// As above.
        expired: usize,
    },
}

impl Traps {
    /// Replaces the list. What is kept for sites that are not in it any more is given up.
    pub(super) fn set(&self, sites: Vec<Arc<str>>) {
        let mut caught = self.lock();
        caught.kept.retain(|kept| sites.contains(&kept.site));
        caught.told.retain(|told| sites.contains(&told.site));
        self.sites.store(Arc::new(sites));
    }

    /// Whether a site wants to hear of packets.
    pub(super) fn knows(&self, site: &str) -> bool {
        self.sites.load().iter().any(|known| **known == *site)
    }

    /// Keeps the packet that `copy` makes for a site, unless `is_routed` says that it has a route after all.
    pub(super) fn keep(
        &self,
        now: Duration,
        site: &Arc<str>,
        destination: IpAddr,
        is_routed: impl FnOnce() -> bool,
        copy: impl FnOnce() -> Packet,
    ) -> Outcome {
        let mut caught = self.lock();
        if is_routed() {
            return Outcome::Routed;
        }
        let expired = caught.expire(now);
        let tell = caught.tell(now, site, destination);
        if caught.kept.iter().filter(|kept| kept.site == *site).count() >= KEPT_PER_SITE {
            return Outcome::Dropped { tell, expired };
        }
        caught.kept.push(Kept { site: site.clone(), until: now + PATIENCE, packet: copy() });
        Outcome::Kept { tell, expired }
    }

    /// Takes the packets that have a route by now, in the order in which they came, and tells how many waited too long.
    pub(super) fn release(&self, now: Duration, is_routed: impl Fn(&Packet) -> bool) -> (Vec<Packet>, usize) {
        let mut caught = self.lock();
        let expired = caught.expire(now);
        let (released, kept): (Vec<Kept>, _) = caught.kept.drain(..).partition(|kept| is_routed(&kept.packet));
        caught.kept = kept;
        (released.into_iter().map(|kept| kept.packet).collect(), expired)
    }

    fn lock(&self) -> MutexGuard<'_, Caught> {
        // No step in here can panic half-way through a change, so what a panic left behind is whole.
        self.caught.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Caught {
    fn expire(&mut self, now: Duration) -> usize {
        let before = self.kept.len();
        self.kept.retain(|kept| now < kept.until);
        before - self.kept.len()
    }

    fn tell(&mut self, now: Duration, site: &Arc<str>, destination: IpAddr) -> bool {
        self.told.retain(|told| now < told.again);
        let of_site = self.told.iter().filter(|told| told.site == *site);
        let known = of_site.clone().any(|told| told.destination == destination);
        if known || of_site.count() >= REPORTED_PER_SITE {
            return false;
        }
        self.told.push(Told { site: site.clone(), destination, again: now + REPORT_INTERVAL });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traps() -> Traps {
        let traps = Traps::default();
        traps.set(["all", "berlin", "host"].map(Arc::from).to_vec());
        traps
    }

    fn packet(number: u8) -> Packet {
        Packet { header: Header::PLAIN, octets: vec![number], lane: None }
    }

    fn keep(traps: &Traps, seconds: u64, site: &str, number: u8) -> Outcome {
        let now = Duration::from_secs(seconds);
        traps.keep(now, &site.into(), [10, 2, 0, 1].into(), || false, || packet(number))
    }

    #[test]
    fn keeps_a_few_packets_of_each_site_for_a_moment() {
        let traps = traps();
        for number in 0..8 {
            assert_eq!(keep(&traps, 1, "berlin", number), Outcome::Kept { tell: number == 0, expired: 0 });
        }
        assert_eq!(keep(&traps, 1, "berlin", 9), Outcome::Dropped { tell: false, expired: 0 });
        assert_eq!(keep(&traps, 1, "host", 10), Outcome::Kept { tell: true, expired: 0 }, "each site has its own");
        assert_eq!(keep(&traps, 2, "berlin", 11), Outcome::Dropped { tell: true, expired: 0 });

        let (released, expired) = traps.release(PATIENCE, |kept| kept.octets[0] % 2 == 0);
        let numbers: Vec<u8> = released.iter().map(|kept| kept.octets[0]).collect();
        assert_eq!((numbers, expired), (vec![0, 2, 4, 6, 10], 0));
        let (released, expired) = traps.release(Duration::from_secs(11), |_| true);
        assert_eq!((released.len(), expired), (0, 4));
    }

    #[test]
    fn a_packet_that_has_a_route_by_now_is_not_kept() {
        let traps = traps();
        let outcome = traps.keep(Duration::ZERO, &"berlin".into(), [10, 2, 0, 1].into(), || true, || packet(0));
        assert_eq!(outcome, Outcome::Routed);
        assert!(traps.release(Duration::ZERO, |_| true).0.is_empty());
    }

    #[test]
    fn a_site_tells_of_a_bounded_number_of_destinations() {
        let traps = traps();
        let told = |last: u8| {
            let destination = [10, 7, 0, last].into();
            let outcome = traps.keep(Duration::ZERO, &"all".into(), destination, || false, || packet(0));
            matches!(outcome, Outcome::Kept { tell: true, .. } | Outcome::Dropped { tell: true, .. })
        };
        assert_eq!((0..100).filter(|last| told(*last)).count(), REPORTED_PER_SITE);
    }

    #[test]
    fn what_was_kept_goes_with_its_trap() {
        let traps = traps();
        keep(&traps, 0, "berlin", 1);
        keep(&traps, 0, "all", 2);
        traps.set(vec!["all".into()]);
        assert!(traps.knows("all") && !traps.knows("berlin"));
        let (released, _) = traps.release(Duration::ZERO, |_| true);
        assert_eq!(released.iter().map(|kept| kept.octets[0]).collect::<Vec<_>>(), [2]);
    }
}
