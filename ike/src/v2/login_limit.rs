//! Logins that hold for a while only, as the responder: AUTH_LIFETIME, RFC 4478. The peer is told how long, and the session ends
//! after that; rekeying does not count, since it proves nothing anew.
//!
//! Does not: what the initiator does about it (see [`reauthentication`](super::reauthentication)).

use std::time::Duration;

use crate::wire::num::NotifyType;
use crate::wire::v2::{ChainBuilder, Notify, Payload};

use super::{Context, Session};

/// We wait so much longer than we say.
const GRACE: Duration = Duration::from_secs(10);

impl Session {
    /// The last answer of IKE_AUTH tells a peer how long its login holds.
    pub(super) fn push_auth_lifetime(&mut self, ctx: &Context<'_>, chain: &mut ChainBuilder) {
        let Some(lifetime) = self.reauthentication(ctx.config) else { return };
        let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).max(1);
        chain.push(&Payload::Notify(Notify::new(NotifyType::AUTH_LIFETIME, &seconds.to_be_bytes())));
        self.login_ends = Some(ctx.now + lifetime + GRACE);
    }
}
