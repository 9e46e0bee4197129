//! Which list has to be fetched when: a pure value, time comes from outside.

use std::collections::BTreeMap;
use std::time::Duration;

use cygnet_ike::UnixTime;

/// Addresses that are remembered; more are ignored.
const PLACES_MAX: usize = 64;
/// Longest address, octets.
const URI_MAX: usize = 1024;
/// A list is not fetched again sooner than that.
const SOONEST: Duration = Duration::from_secs(5 * 60);
/// Nor later, however long it is valid, so that a revocation is noticed within a day.
const LATEST: Duration = Duration::from_secs(86_400);
/// Pause after the first failure; it doubles with each further one up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(500);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Nor is it waited longer than that if a login has wanted the list.
const WANTED_PAUSE: Duration = Duration::from_secs(1);

/// The addresses of lists, and when each is due.
#[derive(Default)]
pub(super) struct Plan {
    places: BTreeMap<String, Place>,
}

struct Place {
    due: UnixTime,
    /// The last failure.
    failed: UnixTime,
    failures: u32,
}

/// The validity of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    pub(super) this_update: UnixTime,
    pub(super) next_update: Option<UnixTime>,
}

impl Validity {
    fn renewal(self, now: UnixTime) -> UnixTime {
        let latest = UnixTime(now.0 + LATEST);
        let life = |until: UnixTime| until.0.saturating_sub(self.this_update.0);
        self.next_update.map_or(latest, |next| UnixTime(self.this_update.0 + life(next) * 3 / 4)).min(latest)
    }
}

impl Plan {
    /// Takes an address in, which is due at once. False if it is not of HTTP, too much, or known; a known one that could not
    /// be reached is tried again.
    pub(super) fn learn(&mut self, uri: &str, now: UnixTime) -> bool {
        if let Some(place) = self.places.get_mut(uri).filter(|place| place.failures > 0) {
            place.due = place.due.min(UnixTime(place.failed.0 + WANTED_PAUSE)).max(now);
        }
        let fits = uri.len() <= URI_MAX && uri.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
        if !fits || self.places.contains_key(uri) || self.places.len() >= PLACES_MAX {
            return false;
        }
        self.places.insert(uri.to_owned(), Place { due: now, failed: now, failures: 0 });
        true
    }

    /// The list is needed again.
    pub(super) fn hurry(&mut self, uri: &str, now: UnixTime) {
        if let Some(place) = self.places.get_mut(uri) {
            place.due = now;
        }
    }

    /// Whether an address was taken in.
    pub(super) fn knows(&self, uri: &str) -> bool {
        self.places.contains_key(uri)
    }

    /// The addresses to ask at `now`.
    pub(super) fn due(&self, now: UnixTime) -> Vec<String> {
        self.places.iter().filter(|(_, place)| place.due <= now).map(|(uri, _)| uri.clone()).collect()
    }

    /// When [`Plan::due`] has something again.
    pub(super) fn next(&self) -> Option<UnixTime> {
        self.places.values().map(|place| place.due).min()
    }

    /// There is a new list: it is renewed when three quarters of its time are over, but at least daily.
    pub(super) fn fetched(&mut self, uri: &str, validity: Validity, now: UnixTime) {
        let Some(place) = self.places.get_mut(uri) else { return };
        place.due = validity.renewal(now).max(UnixTime(now.0 + SOONEST));
        place.failures = 0;
    }

    /// There is a list from before a restart, which may be due at once.
    pub(super) fn restored(&mut self, uri: &str, validity: Validity, now: UnixTime) {
        let Some(place) = self.places.get_mut(uri) else { return };
        place.due = validity.renewal(now);
    }

    /// The list could not be had. Gives back how often in a row.
    pub(super) fn failed(&mut self, uri: &str, now: UnixTime) -> u32 {
        let Some(place) = self.places.get_mut(uri) else { return 0 };
        let pause = PAUSE.saturating_mul(1 << place.failures.min(16)).min(LONGEST_PAUSE);
        (place.due, place.failed) = (UnixTime(now.0 + pause), now);
        place.failures = place.failures.saturating_add(1);
        place.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_000_000_000);
    const URI: &str = "http://crl.example.org/ca.crl";

    fn after(seconds: u64) -> UnixTime {
        UnixTime(NOW.0 + Duration::from_secs(seconds))
    }

    fn plan() -> Plan {
        let mut plan = Plan::default();
        assert!(plan.learn(URI, NOW));
        plan
    }

    /// When a list that was issued and is due these seconds from now is fetched again, in seconds.
    fn renewed(this_update: u64, next_update: Option<u64>) -> u64 {
        let mut plan = plan();
        let this_update = UnixTime::from_secs(NOW.0.as_secs() - this_update);
        plan.fetched(URI, Validity { this_update, next_update: next_update.map(after) }, NOW);
        plan.next().unwrap().0.as_secs() - NOW.0.as_secs()
    }

    #[test]
    fn a_new_address_is_due_at_once_and_known_afterwards() {
        let mut plan = plan();
        assert_eq!(plan.due(NOW), [URI]);
        assert!(!plan.learn(URI, NOW));
    }

    #[test]
    fn only_http_is_asked_and_not_everybody() {
        let mut plan = Plan::default();
        for uri in ["https://crl.example.org/", "ldap://crl.example.org/", "file:///etc/passwd", "http:/x", ""] {
            assert!(!plan.learn(uri, NOW), "{uri}");
        }
        assert!(!plan.learn(&format!("http://{}", "x".repeat(URI_MAX)), NOW));
        assert!(plan.learn("HTTP://crl.example.org/", NOW));
        let learned = (0..2 * PLACES_MAX).filter(|n| plan.learn(&format!("http://{n}.example.org/"), NOW)).count();
        assert_eq!(learned, PLACES_MAX - 1);
    }

    #[test]
    fn a_list_is_renewed_well_before_its_end_and_at_least_daily() {
        assert_eq!(renewed(0, Some(40_000)), 30_000);
        assert_eq!(renewed(20_000, Some(20_000)), 10_000);
        assert_eq!(renewed(0, Some(10 * 86_400)), 86_400);
        assert_eq!(renewed(0, None), 86_400);
        assert_eq!(renewed(1000, Some(10)), 300, "not in a hurry");
        assert_eq!(renewed(40_000, Some(0)), 300, "over already");
    }

    #[test]
    fn a_restored_list_is_renewed_at_once_if_it_is_time() {
        let mut plan = plan();
        plan.restored(URI, Validity { this_update: NOW, next_update: Some(after(4000)) }, NOW);
        assert!(plan.due(after(2999)).is_empty());
        plan.restored(URI, Validity { this_update: NOW, next_update: Some(after(4000)) }, after(3500));
        assert_eq!(plan.due(after(3500)), [URI]);
    }

    #[test]
    fn a_list_that_is_needed_again_is_due_at_once() {
        let mut plan = plan();
        plan.fetched(URI, Validity { this_update: NOW, next_update: None }, NOW);
        assert!(plan.due(NOW).is_empty());
        plan.hurry(URI, NOW);
        assert_eq!(plan.due(NOW), [URI]);
    }

    #[test]
    fn failures_make_it_slower_up_to_an_hour() {
        let mut plan = plan();
        let pause = |plan: &mut Plan| {
            plan.failed(URI, NOW);
            (plan.next().unwrap().0 - NOW.0).as_millis()
        };
        let pauses: Vec<u128> = (0..15).map(|_| pause(&mut plan)).collect();
        assert_eq!(pauses[..4], [500, 1000, 2000, 4000]);
        assert_eq!(pauses[11..], [1_024_000, 2_048_000, 3_600_000, 3_600_000]);
        assert!(plan.due(after(3599)).is_empty());
        assert_eq!(plan.due(after(3600)), [URI]);
        plan.fetched(URI, Validity { this_update: NOW, next_update: None }, NOW);
        assert_eq!(pause(&mut plan), 500);
    }

    #[test]
    fn a_login_that_wants_the_list_makes_it_faster() {
        let mut plan = plan();
        for _ in 0..12 {
            plan.failed(URI, NOW);
        }
        assert!(!plan.learn(URI, NOW));
        assert!(plan.due(NOW).is_empty());
        assert_eq!(plan.due(after(1)), [URI]);
        plan.failed(URI, after(1));
        assert!(!plan.learn(URI, after(100)));
        assert_eq!(plan.due(after(100)), [URI]);
        plan.fetched(URI, Validity { this_update: NOW, next_update: None }, after(100));
        assert!(!plan.learn(URI, after(200)));
        assert!(plan.due(after(200)).is_empty());
    }
}
