//! Which tunnel is due when. One entry for each tunnel, ordered by time; setting it anew replaces it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Deadlines by key.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    due: BTreeSet<(Instant, K)>,
    by_key: BTreeMap<K, Instant>,
}

impl<K: Copy + Ord> Timers<K> {
    pub(crate) fn new() -> Self {
        Self { due: BTreeSet::new(), by_key: BTreeMap::new() }
    }

    /// Sets or clears the deadline of `key`.
    pub(crate) fn set(&mut self, key: K, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.by_key.insert(key, at),
            None => self.by_key.remove(&key),
        };
        if let Some(before) = before {
            self.due.remove(&(before, key));
        }
        self.due.extend(at.map(|at| (at, key)));
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// All keys that are due, the longest overdue first.
    pub(crate) fn due(&self, now: Instant) -> Vec<K> {
        self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| *key).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn keeps_one_deadline_for_each_key_in_the_order_of_time() {
        let start = crate::testing::epoch();
        let at = |seconds| Some(start + Duration::from_secs(seconds));
        let mut timers = Timers::new();
        timers.set('a', at(3));
        timers.set('b', at(2));
        timers.set('a', at(1));
        assert_eq!(timers.next(), at(1));
        assert_eq!(timers.due(start), []);
        assert_eq!(timers.due(start + Duration::from_secs(5)), ['a', 'b']);
        timers.set('a', None);
        timers.set('b', None);
        assert_eq!((timers.next(), timers.by_key.len()), (None, 0));
    }
}
