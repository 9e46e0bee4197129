//! Deadlines and budgets: what a link does when nothing arrives, and how little when too much does.

use std::time::{Duration, Instant};

use crate::config::Timing;

/// Answers per second to what a client may send as often as it likes: echoes, goodbyes, nonsense.
pub(crate) const ANSWERS_PER_SECOND: u32 = 10;

/// At most [`ANSWERS_PER_SECOND`] answers in any second that begins with one.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    window: Option<Instant>,
    spent: u32,
}

impl Budget {
    /// Whether one more answer may be given now; if so it is counted.
    pub(crate) fn spend(&mut self, now: Instant) -> bool {
        if self.window.is_none_or(|begin| now.saturating_duration_since(begin) >= Duration::from_secs(1)) {
            self.window = Some(now);
            self.spent = 0;
        }
        let granted = self.spent < ANSWERS_PER_SECOND;
        self.spent += u32::from(granted);
        granted
    }
}

/// Finds out whether the client is still there, by Echo-Requests when it is silent (RFC 1661 section 5.8).
#[derive(Debug)]
pub(crate) struct Liveness {
    interval: Duration,
    max_lost: u32,
    /// When silence is long enough; `None` while echoes are not allowed.
    due: Option<Instant>,
    lost: u32,
}

/// What silence demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Nothing yet.
    Wait,
    /// An Echo-Request.
    Echo,
    /// Giving up, after so many Echo-Requests.
    Dead(u32),
}

impl Liveness {
    pub(crate) fn new(timing: &Timing) -> Self {
        Self { interval: timing.echo, max_lost: timing.max_lost_echoes, due: None, lost: 0 }
    }

    /// LCP is open: echoes may be sent.
    pub(crate) fn start(&mut self, now: Instant) {
        self.lost = 0;
        self.due = Some(now + self.interval);
    }

    pub(crate) fn stop(&mut self) {
        self.due = None;
    }

    /// The client was heard.
    pub(crate) fn heard(&mut self, now: Instant) {
        if self.due.is_some() {
            self.start(now);
        }
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Silence {
        if self.due.is_none_or(|due| now < due) {
            return Silence::Wait;
        }
        if self.lost >= self.max_lost {
            self.due = None;
            return Silence::Dead(self.lost);
        }
        self.lost += 1;
        self.due = Some(now + self.interval);
        Silence::Echo
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn start() -> Instant {
        Instant::now()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_budget_is_spent_within_its_second_and_renewed_after_it() {
        let (mut budget, t) = (Budget::default(), start());
        assert_eq!((0..100).filter(|_| budget.spend(t)).count(), 10);
        assert!(!budget.spend(t + Duration::from_millis(999)));
        assert_eq!((0..100).filter(|_| budget.spend(t + SECOND)).count(), 10);
    }

    #[test]
    fn declares_a_silent_client_dead_after_four_lost_echoes() {
        let (mut liveness, t) = (Liveness::new(&Timing::default()), start());
        assert_eq!(liveness.handle_timeout(t + 100 * SECOND), Silence::Wait, "not started");
        liveness.start(t);
        assert_eq!(liveness.handle_timeout(t + 29 * SECOND), Silence::Wait);
        for n in 1..=4 {
            assert_eq!(liveness.handle_timeout(t + n * 30 * SECOND), Silence::Echo, "{n}");
        }
        assert_eq!(liveness.handle_timeout(t + 149 * SECOND), Silence::Wait);
        assert_eq!(liveness.handle_timeout(t + 150 * SECOND), Silence::Dead(4));
        assert_eq!(liveness.due(), None);
    }

    #[test]
    fn a_sign_of_life_starts_the_count_anew() {
        let (mut liveness, t) = (Liveness::new(&Timing::default()), start());
        liveness.start(t);
        assert_eq!(liveness.handle_timeout(t + 30 * SECOND), Silence::Echo);
        liveness.heard(t + 31 * SECOND);
        assert_eq!(liveness.due(), Some(t + 61 * SECOND));
        liveness.stop();
        liveness.heard(t + 32 * SECOND);
        assert_eq!(liveness.due(), None);
    }
}
