//! The IKE SA is given up: either we have sent DELETE and wait for the answer, or nothing is left but to answer
//! retransmissions of the last request. A peer that has rekeyed the IKE SA a moment ago and may lack our answer is told on the old one,
//! too.

use std::time::Instant;

use crate::wire::IkeSpi;
use crate::wire::header::Header;
use crate::wire::num::{ExchangeType, NotifyType};
use crate::wire::v2::{ChainBuilder, Delete};

use super::request;
use super::sa::{Due, IkeSa, Message, Purpose};
use super::{Context, LINGER, Session, State};

/// An IKE SA on its last legs. Its Child SAs are gone.
pub(crate) struct Closing {
    pub(crate) sa: IkeSa,
    /// The one before it, if that may be the only one that the peer has.
    other: Option<IkeSa>,
    until: Instant,
}

impl Closing {
    /// Only retransmissions are answered.
    pub(super) fn lingering(now: Instant, sa: IkeSa) -> State {
        State::Closing(Box::new(Self { sa, other: None, until: now + LINGER }))
    }

    /// Our DELETE is on its way.
    pub(super) fn deleting(until: Instant, sa: IkeSa) -> State {
        Self::deleting_both(until, sa, None)
    }

    /// Our DELETE is on its way, on the IKE SA before this one as well.
    pub(super) fn deleting_both(until: Instant, sa: IkeSa, other: Option<IkeSa>) -> State {
        State::Closing(Box::new(Self { sa, other, until }))
    }

    /// The IKE SA of a message; with its SPI if it is the one before.
    pub(super) fn sa_of(&mut self, header: &Header) -> (&mut IkeSa, Option<IkeSpi>) {
        match self.other.as_mut().filter(|other| other.spis.initiator == header.initiator_spi) {
            Some(other) => {
                let spi = other.own_spi();
                (other, Some(spi))
            }
            None => (&mut self.sa, None),
        }
    }

    /// Our SPIs.
    pub(super) fn ike_spis(&self) -> Vec<IkeSpi> {
        std::iter::once(&self.sa).chain(&self.other).map(IkeSa::own_spi).collect()
    }

    fn named(&mut self, other: Option<IkeSpi>) -> &mut IkeSa {
        self.other.as_mut().filter(|sa| Some(sa.own_spi()) == other).unwrap_or(&mut self.sa)
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
        other: Option<IkeSpi>,
    ) -> State {
        if request.exchange == ExchangeType::CREATE_CHILD_SA {
            session.answer_notify(ctx, self.named(other), NotifyType::TEMPORARY_FAILURE, &[]);
            return State::Closing(self);
        }
        let deletes = request::deletes(request.first, &request.chain).unwrap_or_default();
        session.answer(ctx, self.named(other), ChainBuilder::new());
        if deletes.contains(&Delete::IkeSa) && other.is_some() {
            // The peer has the later one; it answers nothing here any more.
            self.named(other).forget_own_requests();
        } else if deletes.contains(&Delete::IkeSa) {
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
        other: Option<IkeSpi>,
    ) -> State {
        if purpose == Purpose::DeleteIkeSa && other.is_none() {
            return State::Over;
        }
        let timing = session.timing(ctx.config);
        let messages = self.named(other).send_next(ctx.now, &timing, &mut *ctx.shared.random);
        ctx.send(session.path, messages);
        State::Closing(self)
    }

    pub(super) fn handle_timeout(mut self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>) -> State {
        if self.until <= ctx.now {
            return State::Over;
        }
        match self.other.as_mut().map(|other| other.due(ctx.now)) {
            Some(Due::Again(messages)) => {
                ctx.shared.counters.retransmissions_sent += 1;
                ctx.send(session.path, messages);
            }
            Some(Due::Dead) => self.other = None,
            Some(Due::Nothing) | None => {}
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
        let dues = std::iter::once(&self.sa).chain(&self.other).filter_map(IkeSa::timeout);
        dues.fold(self.until, Instant::min)
    }
}
