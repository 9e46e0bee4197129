//! The IKE SA is given up: either we have sent DELETE and wait for the answer, or nothing is left but to answer
//! retransmissions of the last request.

use std::time::Instant;

use crate::wire::num::{ExchangeType, NotifyType};
use crate::wire::v2::{ChainBuilder, Delete};

use super::request;
use super::sa::{Due, IkeSa, Message, Purpose};
use super::{Context, LINGER, Session, State};

/// An IKE SA on its last legs. Its Child SAs are gone.
pub(crate) struct Closing {
    pub(crate) sa: IkeSa,
    until: Instant,
}

impl Closing {
    /// Only retransmissions are answered.
    pub(super) fn lingering(now: Instant, sa: IkeSa) -> State {
        State::Closing(Box::new(Self { sa, until: now + LINGER }))
    }

    /// Our DELETE is on its way.
    pub(super) fn deleting(until: Instant, sa: IkeSa) -> State {
        State::Closing(Box::new(Self { sa, until }))
    }

    /// Whether a request of ours has no answer yet.
    pub(super) fn waits_for_peer(&self) -> bool {
        self.sa.has_own_request()
    }

    pub(super) fn request(
        mut self: Box<Self>,
        session: &mut Session,
        ctx: &mut Context<'_>,
        request: &Message,
    ) -> State {
        if request.exchange == ExchangeType::CREATE_CHILD_SA {
            session.answer_notify(ctx, &mut self.sa, NotifyType::TEMPORARY_FAILURE, &[]);
            return State::Closing(self);
        }
        let deletes = request::deletes(request.first, &request.chain).unwrap_or_default();
        session.answer(ctx, &mut self.sa, ChainBuilder::new());
        if deletes.contains(&Delete::IkeSa) {
            // Both sides have deleted it at once; the peer does not answer ours any more.
            self.sa.forget_own_requests();
            return Self::lingering(ctx.now, self.sa);
        }
        State::Closing(self)
    }

    pub(super) fn response(
        mut self: Box<Self>,
        session: &mut Session,
        ctx: &mut Context<'_>,
        purpose: Purpose,
    ) -> State {
        if purpose == Purpose::DeleteIkeSa {
            return State::Over;
        }
        let messages = self.sa.send_next(ctx.now, &session.timing(ctx.config), &mut *ctx.shared.random);
        ctx.send(session.path, messages);
        State::Closing(self)
    }

    pub(super) fn handle_timeout(mut self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>) -> State {
        if self.until <= ctx.now {
            return State::Over;
        }
        match self.sa.due(ctx.now) {
            Due::Nothing => State::Closing(self),
            Due::Again(messages) => {
                ctx.shared.counters.retransmissions_sent += 1;
                ctx.send(session.path, messages);
                State::Closing(self)
            }
            Due::Dead => State::Over,
        }
    }

    pub(super) fn timeout(&self) -> Instant {
        self.sa.timeout().map_or(self.until, |due| due.min(self.until))
    }
}
