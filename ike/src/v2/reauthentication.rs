//! When a session that we began has to be established anew: RFC 4478.
//!
//! Both sides may limit how long a login holds: we by our configuration, the peer by AUTH_LIFETIME. The server is reminded
//! a while before the end, so that another session can take the place of this one before that.
//!
//! Does not: end the session; whoever set the limit does.

use std::time::{Duration, Instant};

use crate::event::{Event, Role};

use super::established::Established;
use super::{Context, Session};

/// The reminder comes when this part of the time is left.
const REMINDER: u32 = 10;

/// The reminder comes this long before the end at least, if there is as much time.
const LEAST: Duration = Duration::from_secs(20);

/// A limit of which the server has yet to be reminded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reauthentication {
    due: Instant,
    ends: Instant,
}

impl Reauthentication {
    /// A limit that begins now.
    fn new(now: Instant, lifetime: Duration) -> Self {
        let margin = (lifetime / REMINDER).max(LEAST).min(lifetime / 2);
        Self { due: now + lifetime.saturating_sub(margin), ends: now + lifetime }
    }

    /// When the server is to be reminded.
    pub(super) fn due(&self) -> Instant {
        self.due
    }
}

impl Established {
    /// The peer wants us to authenticate again within this time. Of several limits the first counts.
    pub(super) fn limit_login(&mut self, session: &Session, ctx: &Context<'_>, lifetime: Option<Duration>) {
        if session.role != Role::Initiator {
            return;
        }
        let new = lifetime.map(|lifetime| Reauthentication::new(ctx.now, lifetime));
        self.reauthentication =
            self.reauthentication.into_iter().chain(new).min_by_key(|reauthentication| reauthentication.ends);
    }

    /// Reminds the server if it is time.
    pub(super) fn remind(&mut self, session: &Session, ctx: &mut Context<'_>) {
        if let Some(due) = self.reauthentication.take_if(|reauthentication| reauthentication.due <= ctx.now) {
            let within = due.ends.saturating_duration_since(ctx.now);
            ctx.shared.events.push_back(Event::ReauthenticationDue { session: session.id, within });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reminds_a_tenth_before_the_end_but_not_too_late() {
        let now = crate::testing::epoch();
        let left = |lifetime: u64| {
            let limit = Reauthentication::new(now, Duration::from_secs(lifetime));
            (limit.ends - limit.due).as_secs()
        };
        assert_eq!((left(3600), left(100), left(30), left(0)), (360, 20, 15, 0));
    }
}
