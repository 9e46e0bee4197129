//! When to send a request again, RFC 7296 section 2.4: after a while, then after twice as long, and so on.

use std::time::{Duration, Instant};

/// The longest pause between two transmissions.
const MAX_INTERVAL: Duration = Duration::from_secs(60);

/// The schedule of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retransmit {
    due: Instant,
    interval: Duration,
    left: u32,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not time yet.
    Wait,
    /// Send again.
    Send,
    /// All transmissions went unanswered.
    GiveUp,
}

impl Retransmit {
    /// The schedule of a request that was sent for the first time at `now`, to be sent `transmissions` times in all.
    pub(crate) fn new(now: Instant, interval: Duration, transmissions: u32) -> Self {
        Self { due: now + interval, interval, left: transmissions.saturating_sub(1) }
    }

    /// When something is to do.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Decides, and moves on if it is time.
    pub(crate) fn check(&mut self, now: Instant) -> Verdict {
        if now < self.due {
            return Verdict::Wait;
        }
        let Some(left) = self.left.checked_sub(1) else { return Verdict::GiveUp };
        self.interval = self.interval.saturating_mul(2).min(MAX_INTERVAL);
        self.due = now + self.interval;
        self.left = left;
        Verdict::Send
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_the_pause_and_gives_up_at_last() {
        let start = crate::testing::epoch();
        let second = Duration::from_secs(1);
        let mut schedule = Retransmit::new(start, second, 3);
        assert_eq!(schedule.check(start), Verdict::Wait);
        assert_eq!(schedule.check(start + second), Verdict::Send);
        assert_eq!(schedule.due(), start + second * 3);
        assert_eq!(schedule.check(start + second * 3), Verdict::Send);
        assert_eq!(schedule.check(start + second * 7), Verdict::GiveUp);
    }
}
