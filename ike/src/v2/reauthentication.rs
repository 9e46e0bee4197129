//! Logins that hold for a while only: AUTH_LIFETIME, RFC 4478.
//!
//! The responder says how long, and ends the session after that. The initiator makes a new session in time; rekeying does not
//! count, since it proves nothing anew.
//!
//! Does not: make the new session (the server does, on [`Event::ReauthenticationDue`]).

use std::time::{Duration, Instant};

use crate::config::Config;
use crate::event::{CloseReason, Event, Role};
use crate::wire::num::NotifyType;
use crate::wire::v2::{ChainBuilder, Notify, Payload};

use super::{Context, Session};

/// The responder waits so much longer than it says.
const GRACE: Duration = Duration::from_secs(10);

/// The initiator begins so much earlier: a tenth of the lifetime, within these bounds, and not more than half of it.
const LEAD: std::ops::RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(600);

/// How long a login holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LoginLife {
    /// When the next one is to begin.
    due: Option<Instant>,
    ends: Option<Instant>,
}

impl LoginLife {
    /// When there is something to do.
    pub(crate) fn timeout(self) -> Option<Instant> {
        self.due.into_iter().chain(self.ends).min()
    }

    /// The initiator's side, from `now` on; an earlier end counts.
    fn renew_within(&mut self, now: Instant, lifetime: Duration) {
        let ends = now + lifetime;
        if self.ends.is_none_or(|other| ends < other) {
            let lead = (lifetime / 10).clamp(*LEAD.start(), *LEAD.end()).min(lifetime / 2);
            *self = Self { due: Some(ends - lead), ends: Some(ends) };
        }
    }
}

impl Session {
    /// The last answer of IKE_AUTH tells a peer how long its login holds.
    pub(super) fn push_auth_lifetime(&mut self, ctx: &Context<'_>, chain: &mut ChainBuilder) {
        let Some(lifetime) = self.reauthentication(ctx.config) else { return };
        let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).max(1);
        chain.push(&Payload::Notify(Notify::new(NotifyType::AUTH_LIFETIME, &seconds.to_be_bytes())));
        self.login = LoginLife { due: None, ends: Some(ctx.now + lifetime + GRACE) };
    }

    /// A session that we began is up; `told` is what the peer said about how long that holds.
    pub(super) fn begin_login(&mut self, config: &Config, now: Instant, told: Option<Duration>) {
        for lifetime in self.reauthentication(config).into_iter().chain(told) {
            self.login.renew_within(now, lifetime);
        }
    }

    /// AUTH_LIFETIME may come later, too (section 2).
    pub(super) fn note_auth_lifetime(&mut self, ctx: &Context<'_>, told: Option<Duration>) {
        if let Some(lifetime) = told.filter(|_| self.role == Role::Initiator) {
            self.login.renew_within(ctx.now, lifetime);
        }
    }

    /// Says when it is time for a new login, and why the session ends if there was none.
    pub(super) fn check_login(&mut self, ctx: &mut Context<'_>) -> Option<CloseReason> {
        let LoginLife { due, ends } = self.login;
        if ends.is_some_and(|ends| ends <= ctx.now) {
            return Some(CloseReason::NotReauthenticated);
        }
        if due.is_some_and(|due| due <= ctx.now) {
            self.login.due = None;
            let within = ends.map_or(Duration::ZERO, |ends| ends - ctx.now);
            ctx.shared.events.push_back(Event::ReauthenticationDue { session: self.id, within });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_login_begins_in_time_and_the_shortest_limit_counts() {
        let (now, second) = (crate::testing::epoch(), Duration::from_secs(1));
        let mut life = LoginLife::default();
        life.renew_within(now, 100_000 * second);
        assert_eq!(life.timeout(), Some(now + 99_400 * second));
        life.renew_within(now, 1000 * second);
        assert_eq!((life.timeout(), life.ends), (Some(now + 900 * second), Some(now + 1000 * second)));
        life.renew_within(now, 2000 * second);
        assert_eq!(life.ends, Some(now + 1000 * second), "a longer one is no reason to wait");
        life.renew_within(now, 4 * second);
        assert_eq!(life.timeout(), Some(now + 2 * second));
    }
}
