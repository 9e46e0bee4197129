//! INFORMATIONAL of a session that is up, RFC 7296 section 1.4: DELETE in both directions, changes of address, and what else one
//! side tells the other; and the answers to requests of ours.

use crate::event::CloseReason;
use crate::refusal::RefusalReason;
use crate::wire::IkeSpi;
use crate::wire::num::{ExchangeType, ProtocolId};
use crate::wire::v2::{ChainBuilder, Delete, Payload};

use super::established::Established;
use super::request::Informational;
use super::sa::{Message, Purpose};
use super::{Closing, Context, Session, State};

impl Established {
    /// Takes a request. On an IKE SA that is not used any more, it can end that SA or Child SAs and tell of addresses.
    pub(super) fn informational(
        mut self: Box<Self>,
        session: &mut Session,
        ctx: &mut Context<'_>,
        request: &Message,
        on_replaced: Option<IkeSpi>,
    ) -> State {
        let read = Informational::read(request.first, &request.chain);
        if read.as_ref().is_ok_and(|read| read.deletes.contains(&Delete::IkeSa)) {
            self.drop_rival(session, ctx, on_replaced);
        }
        let on_replaced = self.settle_rival(session, ctx, on_replaced);
        if on_replaced.is_none() {
            self.peer_has_followed();
        }
        let read = match read {
            Ok(read) => read,
            Err(invalid) => {
                let Some(spi) = on_replaced else {
                    return self.invalid(session, ctx, ExchangeType::INFORMATIONAL, invalid);
                };
                self.answer_on_other(session, ctx, spi, invalid.notify, &invalid.data);
                return State::Established(self);
            }
        };
        let chain = self.take_mobike(session, ctx, &read.mobike, on_replaced);
        self.limit_login(session, ctx, read.auth_lifetime);
        if let Some(spi) = on_replaced {
            let chain = self.delete_children(session, ctx, &read.deletes, chain);
            if let Some(sa) = self.other_sa(spi) {
                session.answer(ctx, sa, chain);
            }
            if read.deletes.contains(&Delete::IkeSa) {
                self.other_sa_is_deleted(ctx.now, spi);
            }
        } else if read.distrusts {
            session.refuse(ctx, ExchangeType::INFORMATIONAL, RefusalReason::Distrusted);
            return self.is_deleted(session, ctx, CloseReason::Failed);
        } else if read.deletes.contains(&Delete::IkeSa) {
            if !self.goes_on_with_rival(session, ctx) {
                return self.is_deleted(session, ctx, CloseReason::PeerDeleted);
            }
        } else {
            let chain = self.delete_children(session, ctx, &read.deletes, chain);
            session.answer(ctx, &mut self.sa, chain);
        }
        self.send_next(session, ctx);
        State::Established(self)
    }

    /// The peer has deleted the IKE SA, and with it the session.
    fn is_deleted(mut self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>, reason: CloseReason) -> State {
        session.answer(ctx, &mut self.sa, ChainBuilder::new());
        self.take_down_all(session.id, ctx);
        session.announce_end(ctx, reason);
        self.sa.forget_own_requests();
        Closing::lingering(ctx.now, self.sa)
    }

    /// Takes down what the peer has deleted; the answer has our SPIs of the same Child SAs; except of those that we are
    /// deleting ourselves at this moment (section 1.4.1).
    fn delete_children(
        &mut self,
        session: &Session,
        ctx: &mut Context<'_>,
        deletes: &[Delete],
        mut chain: ChainBuilder,
    ) -> ChainBuilder {
        let mut spis = Vec::new();
        for delete in deletes {
            let Delete::ChildSas { protocol: ProtocolId::ESP, spis: deleted } = delete else { continue };
            for spi in deleted {
                let Some(at) = self.children.iter().position(|child| child.outbound == *spi) else {
                    self.note_deleted(*spi);
                    continue;
                };
                let is_leaving = self.children.get(at).is_some_and(|child| child.is_leaving);
                let inbound = self.take_down(session.id, ctx, at);
                spis.extend((!is_leaving).then_some(inbound));
            }
        }
        if !spis.is_empty() {
            chain.push(&Payload::Delete(Delete::ChildSas { protocol: ProtocolId::ESP, spis }));
        }
        chain
    }

    /// A request of ours was answered: the next may go.
    pub(super) fn response(
        mut self: Box<Self>,
        session: &mut Session,
        ctx: &mut Context<'_>,
        (purpose, answer): (Purpose, &Message),
        on_replaced: Option<IkeSpi>,
    ) -> State {
        if on_replaced.is_none() {
            self.peer_has_followed();
            self.arrived_elsewhere(session, ctx);
        }
        match (purpose, on_replaced) {
            (Purpose::DeleteIkeSa, Some(spi)) => self.other_sa_is_deleted(ctx.now, spi),
            (Purpose::CreateChild | Purpose::RekeyChild | Purpose::RekeyIkeSa, None) => {
                self.rekey_answer(session, ctx, answer);
            }
            (Purpose::DeleteChild, None) => self.remove_leaving_children(session, ctx),
            (Purpose::Liveness | Purpose::UpdateAddresses | Purpose::PathCheck, None) => {
                if let Err(reason) = self.path_answer(session, ctx, purpose, answer) {
                    session.refuse(ctx, ExchangeType::INFORMATIONAL, reason);
                    return self.close(session, ctx, CloseReason::Failed);
                }
            }
            // What was asked on another IKE SA is asked again on the one in use.
            (_, Some(_)) | (Purpose::Authenticate | Purpose::DeleteIkeSa, None) => {}
        }
        self.go_on(session, ctx);
        State::Established(self)
    }

    /// The peer has answered our DELETE: those Child SAs are gone on both sides.
    fn remove_leaving_children(&mut self, session: &Session, ctx: &mut Context<'_>) {
        if self.sa.has_own_request_for(Purpose::DeleteChild) {
            return;
        }
        while let Some(at) = self.children.iter().position(|child| child.is_leaving) {
            self.take_down(session.id, ctx, at);
        }
    }
}
