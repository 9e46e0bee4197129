//! The first request of IKE_AUTH came with a certificate that cannot be judged yet: its revocation list is being fetched.
//!
//! The request stays unanswered until the list is there or the time is over, so that the first login after a start does not
//! fail for a list that is a moment away. What the peer sends again meanwhile changes nothing.

use std::time::Instant;

use crate::refusal::RefusalReason;

use super::proof::Proof;
use super::request::Invalid;
use super::sa::{IkeSa, Message};
use super::{Context, Session, State, auth};

/// A peer whose first request of IKE_AUTH is not answered yet.
pub(crate) struct AwaitingList {
    pub(super) sa: IkeSa,
    pub(super) proof: Proof,
    pub(super) request: Message,
    /// The request is answered by then, list or no list.
    pub(super) deadline: Instant,
}

impl AwaitingList {
    /// Whether this is worth waiting for.
    pub(super) fn is_for(&self, failure: &Invalid, now: Instant) -> bool {
        let RefusalReason::Certificate(error) = &*failure.reason else { return false };
        self.deadline > now && error.awaits_list()
    }

    /// There are other lists.
    pub(super) fn lists_changed(self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>) -> State {
        auth::judge(session, ctx, self)
    }

    pub(super) fn handle_timeout(mut self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>) -> State {
        if self.deadline > ctx.now {
            self.sa.due(ctx.now);
            return State::AwaitingList(self);
        }
        auth::judge(session, ctx, self)
    }

    pub(super) fn timeout(&self) -> Instant {
        self.sa.timeout().map_or(self.deadline, |due| due.min(self.deadline))
    }
}
