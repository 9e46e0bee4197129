//! Slows password guessing down: at most ten failures per minute for a source and for an account name.
//!
//! A token bucket per source network (IPv4 /32, IPv6 /64) and per name: a failure takes a token, one comes back
//! every six seconds. Without a token a login is refused before a password is looked at. Both tables are bounded; when
//! one is full, the entry with the fewest failures goes.
//!
//! Does not: keep time (`now` is passed in), or ban anybody for longer.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::users::canonical;

/// Failures in a row before logins are refused.
pub const BURST: u32 = 10;

/// Time after which one more failure is allowed.
pub const REFILL: Duration = Duration::from_secs(6);

/// Highest number of sources, and of names, that are remembered. Cost: about 100 bytes each.
pub const TRACKED_MAX: usize = 16_384;

/// Why a login may not be tried now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Throttled {
    /// Too many failures from this source.
    #[error("too many failed logins from this address; next try in {} s", seconds(.0))]
    Source(Duration),
    /// Too many failures for this account.
    #[error("too many failed logins for this user; next try in {} s", seconds(.0))]
    Name(Duration),
}

/// See the module.
#[derive(Debug, Default)]
pub struct FailureThrottle {
    sources: Buckets<IpAddr>,
    names: Buckets<String>,
}

impl FailureThrottle {
    /// No failure seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a login from `source` for the account `name` may be tried; `None` for a name that is not known yet.
    ///
    /// # Errors
    /// How long to wait.
    pub fn admit(&self, now: Instant, source: IpAddr, name: Option<&str>) -> Result<(), Throttled> {
        self.sources.admit(now, &network(source)).map_err(Throttled::Source)?;
        let Some(name) = name else { return Ok(()) };
        self.names.admit(now, &canonical(name)).map_err(Throttled::Name)
    }

    /// Notes a failed login, see [`super::users::Rejection::is_guess`].
    pub fn note_failure(&mut self, now: Instant, source: IpAddr, name: Option<&str>) {
        self.sources.take(now, network(source));
        if let Some(name) = name {
            self.names.take(now, canonical(name));
        }
    }

    /// How many sources and names are remembered.
    #[must_use]
    pub fn tracked(&self) -> (usize, usize) {
        (self.sources.full_at.len(), self.names.full_at.len())
    }
}

/// Token buckets, each written as the time at which it will be full again; full ones are not kept.
#[derive(Debug)]
struct Buckets<K> {
    full_at: HashMap<K, Instant>,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self { full_at: HashMap::new() }
    }
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    fn admit(&self, now: Instant, key: &K) -> Result<(), Duration> {
        let missing = self.full_at.get(key).map_or(Duration::ZERO, |full| full.saturating_duration_since(now));
        let room = REFILL * (BURST - 1);
        if missing <= room { Ok(()) } else { Err(missing - room) }
    }

    fn take(&mut self, now: Instant, key: K) {
        if !self.full_at.contains_key(&key) {
            self.make_room(now);
        }
        let full = self.full_at.entry(key).or_insert(now);
        *full = (*full).max(now) + REFILL;
        *full = (*full).min(now + REFILL * BURST);
    }

    fn make_room(&mut self, now: Instant) {
        if self.full_at.len() < TRACKED_MAX {
            return;
        }
        self.full_at.retain(|_, full| *full > now);
        if self.full_at.len() < TRACKED_MAX {
            return;
        }
        if let Some(key) = self.full_at.iter().min_by_key(|(_, full)| **full).map(|(key, _)| key.clone()) {
            self.full_at.remove(&key);
        }
    }
}

/// What counts as one source: an IPv6 host owns its /64.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from(u128::from(a) >> 64 << 64)),
        v4 => v4,
    }
}

fn seconds(duration: &Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "an arbitrary beginning of virtual time")]
    fn start() -> Instant {
        Instant::now()
    }

    fn source(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ten_failures_block_a_source_until_a_token_is_back() {
        let (mut throttle, now, home) = (FailureThrottle::new(), start(), source("198.51.100.7"));
        for n in 0..10 {
            assert_eq!(throttle.admit(now, home, None), Ok(()), "failure {n}");
            throttle.note_failure(now, home, None);
        }
        assert_eq!(throttle.admit(now, home, None), Err(Throttled::Source(REFILL)));
        assert_eq!(throttle.admit(now, source("198.51.100.8"), None), Ok(()));
        assert_eq!(throttle.admit(now + REFILL, home, None), Ok(()));
        throttle.note_failure(now + REFILL, home, None);
        assert_eq!(throttle.admit(now + REFILL, home, None), Err(Throttled::Source(REFILL)));
        assert_eq!(throttle.admit(now + REFILL * 30, home, None), Ok(()));
    }

    #[test]
    fn failures_for_a_name_count_from_every_source_and_spelling() {
        let (mut throttle, now) = (FailureThrottle::new(), start());
        for n in 0..10 {
            throttle.note_failure(now, source(&format!("198.51.100.{n}")), Some("Alice"));
        }
        let other = source("203.0.113.9");
        for spelling in ["alice", "ALICE", r"CORP\alice"] {
            assert_eq!(throttle.admit(now, other, Some(spelling)), Err(Throttled::Name(REFILL)), "{spelling}");
        }
        assert_eq!(throttle.admit(now, other, Some("bob")), Ok(()));
        assert_eq!(throttle.admit(now, other, None), Ok(()));
    }

    #[test]
    fn a_slash_64_is_one_source() {
        let (mut throttle, now) = (FailureThrottle::new(), start());
        for n in 0..10 {
            throttle.note_failure(now, source(&format!("2001:db8::{n}")), None);
        }
        assert!(throttle.admit(now, source("2001:db8::ffff"), None).is_err());
        assert!(throttle.admit(now, source("2001:db8:0:1::1"), None).is_ok());
    }

    #[test]
    fn an_attack_fills_the_table_but_does_not_free_the_worst_source() {
        let (mut throttle, now, worst) = (FailureThrottle::new(), start(), source("198.51.100.7"));
        for _ in 0..10 {
            throttle.note_failure(now, worst, None);
        }
        for n in 0..u32::try_from(TRACKED_MAX + 500).unwrap() {
            throttle.note_failure(now, IpAddr::V4(n.into()), None);
        }
        assert_eq!(throttle.tracked().0, TRACKED_MAX);
        assert!(throttle.admit(now, worst, None).is_err());
        throttle.note_failure(now + REFILL * 2, source("203.0.113.1"), None);
        assert_eq!(throttle.tracked().0, 2, "full buckets are forgotten when room is needed");
    }

    #[test]
    fn says_how_long_to_wait() {
        let text = Throttled::Name(Duration::from_millis(5100)).to_string();
        assert_eq!(text, "too many failed logins for this user; next try in 6 s");
    }
}
