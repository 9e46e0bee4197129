//! How long an SA is used, RFC 7296 section 2.8: rekeyed at a soft limit, gone at a hard one. Limits are a matter of each
//! side; a random part keeps both sides, and many SAs of one side, from rekeying at the same moment.

use std::time::{Duration, Instant};

use crate::config::Lifetime;

use super::Context;

/// A soft limit is reached earlier by up to one part in so many.
const JITTER: u32 = 8;

/// The two limits of one SA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Life {
    rekey: Option<Instant>,
    end: Option<Instant>,
}

impl Life {
    /// The life of an SA that begins now; without a lifetime it has no end.
    pub(crate) fn begin(ctx: &mut Context<'_>, lifetime: Option<Lifetime>) -> Self {
        let Some(Lifetime { soft, hard, .. }) = lifetime else { return Self::default() };
        let mut octets = [0; 4];
        ctx.shared.random.fill(&mut octets);
        let part = f64::from(u32::from_be_bytes(octets)) / f64::from(u32::MAX);
        let earlier = (soft / JITTER).mul_f64(part);
        Self { rekey: Some(ctx.now + soft.saturating_sub(earlier)), end: Some(ctx.now + hard) }
    }

    /// Whether it is time for another SA.
    pub(crate) fn is_rekey_due(&self, now: Instant) -> bool {
        self.rekey.is_some_and(|at| at <= now)
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.end.is_some_and(|at| at <= now)
    }

    /// Rekey after `wait`, whatever was planned.
    pub(crate) fn rekey_after(&mut self, now: Instant, wait: Duration) {
        self.rekey = Some(now + wait);
    }

    /// A rekey is under way or done.
    pub(crate) fn forget_rekey(&mut self) {
        self.rekey = None;
    }

    /// When a rekey is due.
    pub(crate) fn rekey_at(&self) -> Option<Instant> {
        self.rekey
    }

    /// When it is over.
    pub(crate) fn ends_at(&self) -> Option<Instant> {
        self.end
    }
}
