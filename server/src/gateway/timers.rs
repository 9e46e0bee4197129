//! When something is due for one of many: an index of instants, so that nobody has to look at all links.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use cygnet_ike::SessionId;
use cygnet_l2tp::SessionKey;

use super::awaited_lists::Asker;

/// What can be due. Each has one instant at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A PPP link, or the wait of its client for admission.
    Call(SessionKey),
    /// An IPsec peer inside of which nothing happens.
    Idle(SessionId),
    /// The wait of a login for a revocation list.
    List(Asker),
}

/// All that is due some time.
#[derive(Default)]
pub(super) struct Timers {
    by_time: BTreeSet<(Instant, Timer)>,
    by_timer: BTreeMap<Timer, Instant>,
}

impl Timers {
    /// Sets a timer anew; `None` stops it.
    pub(super) fn set(&mut self, timer: Timer, due: Option<Instant>) {
        let before = match due {
            Some(due) => self.by_timer.insert(timer, due),
            None => self.by_timer.remove(&timer),
        };
        if before == due {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, timer));
        }
        if let Some(due) = due {
            self.by_time.insert((due, timer));
        }
    }

    /// When the first one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|&(due, _)| due)
    }

    /// Takes one that is due; it does not run any more then.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Timer> {
        let &(due, timer) = self.by_time.first()?;
        if due > now {
            return None;
        }
        self.set(timer, None);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_earliest_comes_first_and_a_timer_has_one_instant() {
        let start = cygnet_ike::testing::epoch();
        let at = |seconds| start + Duration::from_secs(seconds);
        let idle = |n| Timer::Idle(SessionId(n));
        let mut timers = Timers::default();
        timers.set(idle(1), Some(at(5)));
        timers.set(idle(2), Some(at(3)));
        timers.set(idle(1), Some(at(1)));
        timers.set(idle(3), Some(at(2)));
        timers.set(idle(3), None);
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!((timers.pop(at(1)), timers.pop(at(1))), (Some(idle(1)), None));
        assert_eq!((timers.pop(at(9)), timers.pop(at(9)), timers.next()), (Some(idle(2)), None, None));
    }
}
