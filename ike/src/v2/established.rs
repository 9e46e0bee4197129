//! IKE_AUTH is done: Child SAs come and go, the IKE SA is rekeyed, both sides look whether the other still lives
//! (RFC 7296 sections 1.3, 1.4, 2.4 and 2.8).

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tracing::debug;

use crate::child_sa::ChildSuite;
use crate::config::Config;
use crate::event::{ChildInfo, CloseReason, Event, Grant, SessionId};
use crate::refusal::RefusalReason;
use crate::wire::header::Header;
use crate::wire::num::{ExchangeType, NotifyType, ProtocolId};
use crate::wire::v2::{ChainBuilder, Delete, KeyExchange, Notify, Payload};
use crate::wire::{EspSpi, IkeSpi};

use super::child::{self, Child};
use super::configuration;
use super::fit;
use super::keys::Nonces;
use super::life::Life;
use super::own_child::Wanted;
use super::own_rekey::Rekeying;
use super::reauthentication::Reauthentication;
use super::relocation::Relocation;
use super::request::{ChildWish, CreateChild, Invalid};
use super::sa::{Due, IkeSa, Message, OwnRequest, Purpose};
use super::{Closing, Context, Session, State};

/// A DELETE of ours has this long to be answered, requests before it included.
const DELETE_LIFETIME: Duration = Duration::from_secs(60);

/// Requests beyond the rate that may come at once.
const BURST: u32 = 20;

/// The peer may replace the IKE SA so often in a second, with as many at once as above: each time costs a key exchange.
const IKE_REKEYS_PER_SECOND: u32 = 1;

/// A client that is in.
pub(crate) struct Established {
    pub(crate) sa: IkeSa,
    /// IKE SAs that are not used any more, until one side deletes them.
    pub(super) replaced: Vec<Replaced>,
    pub(super) grant: Grant,
    pub(super) children: Vec<Child>,
    /// Our own rekey that is under way.
    pub(super) rekeying: Option<Rekeying>,
    pub(super) life: Life,
    /// Tunnels of the site that are to be made.
    pub(super) wanted: VecDeque<Wanted>,
    /// A limit of the login of which the server has yet to be reminded.
    pub(super) reauthentication: Option<Reauthentication>,
    /// Since when there is no Child SA.
    childless_since: Instant,
    bucket: TokenBucket,
    ike_rekeys: TokenBucket,
    pub(super) relocation: Relocation,
}

/// An IKE SA that was replaced by rekeying.
pub(super) struct Replaced {
    pub(super) sa: IkeSa,
    pub(super) until: Instant,
    /// The peer has asked for the SA that took its place, and was not heard on that so far: our answer may be lost, and this the
    /// only one that it has.
    pub(super) peer_may_use: bool,
    /// The move of which the peer was told on it last.
    pub(super) told: Option<u32>,
}

impl Replaced {
    /// The peer has the SA that took its place; what is left to do is our DELETE, if we owe one.
    pub(super) fn is_confirmed(&mut self) {
        if std::mem::take(&mut self.peer_may_use) {
            self.sa.forget_own_requests();
        }
    }
}

impl Established {
    /// Goes on after the last answer of IKE_AUTH.
    pub(super) fn begin(
        session: &mut Session,
        ctx: &mut Context<'_>,
        sa: IkeSa,
        grant: Grant,
        children: Vec<Child>,
    ) -> State {
        let bucket = TokenBucket::full(ctx.now);
        let life = Life::begin(ctx, session.timing(ctx.config).ike_lifetime);
        let state = Self {
            sa,
            replaced: Vec::new(),
            grant,
            children,
            rekeying: None,
            life,
            wanted: VecDeque::new(),
            reauthentication: None,
            childless_since: ctx.now,
            bucket,
            ike_rekeys: TokenBucket::full(ctx.now),
            relocation: Relocation::default(),
        };
        ctx.shared.counters.established += 1;
        session.established = Some(ctx.now);
        session.state = State::Established(Box::new(state));
        let info = Box::new(session.info());
        debug!(session = %session.id, peer = %session.path.peer, suite = info.ike_suite, "established");
        ctx.shared.events.push_back(Event::Established { session: session.id, info });
        std::mem::replace(&mut session.state, State::Over)
    }

    /// The IKE SA of a message; with its SPI if it is one that was replaced.
    pub(super) fn sa_of(&mut self, header: &Header) -> Option<(&mut IkeSa, Option<IkeSpi>)> {
        let is_of =
            |sa: &IkeSa| header.initiator_spi == sa.spis.initiator && header.responder_spi == Some(sa.spis.responder);
        if is_of(&self.sa) {
            return Some((&mut self.sa, None));
        }
        let replaced = self.replaced.iter_mut().map(|replaced| &mut replaced.sa);
        let rival = self.rekeying.as_mut().and_then(Rekeying::rival);
        let sa = replaced.chain(rival).find(|sa| is_of(sa))?;
        let spi = sa.own_spi();
        Some((sa, Some(spi)))
    }

    /// An IKE SA that is not the one in use.
    pub(super) fn other_sa(&mut self, spi: IkeSpi) -> Option<&mut IkeSa> {
        let replaced = self.replaced.iter_mut().map(|replaced| &mut replaced.sa);
        let rival = self.rekeying.as_mut().and_then(Rekeying::rival);
        replaced.chain(rival).find(|sa| sa.own_spi() == spi)
    }

    /// Takes CREATE_CHILD_SA.
    pub(super) fn create_child(
        mut self: Box<Self>,
        session: &mut Session,
        ctx: &mut Context<'_>,
        request: &Message,
        on_replaced: Option<IkeSpi>,
    ) -> State {
        let on_replaced = self.settle_rival(session, ctx, on_replaced);
        if let Some(spi) = on_replaced {
            self.answer_on_other(session, ctx, spi, NotifyType::TEMPORARY_FAILURE, &[]);
            return State::Established(self);
        }
        self.peer_has_followed();
        if !self.bucket.take(ctx.now, ctx.config.limits.create_child_per_second) {
            return self.too_many(session, ctx);
        }
        match CreateChild::read(request.first, &request.chain) {
            Ok(CreateChild::Child { .. }) if matches!(self.rekeying, Some(Rekeying::Ike(_))) => {
                session.answer_notify(ctx, &mut self.sa, NotifyType::TEMPORARY_FAILURE, &[]);
                State::Established(self)
            }
            Ok(CreateChild::IkeSa { .. }) if self.is_busy_with_children() => {
                session.answer_notify(ctx, &mut self.sa, NotifyType::TEMPORARY_FAILURE, &[]);
                State::Established(self)
            }
            Ok(CreateChild::IkeSa { .. }) if !self.ike_rekeys.take(ctx.now, IKE_REKEYS_PER_SECOND) => {
                self.too_many(session, ctx)
            }
            Ok(CreateChild::Child { wish, nonce, ke, rekeys }) => {
                self.make_child(session, ctx, &wish, nonce, ke.as_ref(), rekeys);
                self.go_on(session, ctx);
                State::Established(self)
            }
            Ok(CreateChild::IkeSa { sa, nonce, ke }) => {
                self.rekey(session, ctx, &sa, nonce, &ke);
                self.go_on(session, ctx);
                State::Established(self)
            }
            Err(invalid) => self.invalid(session, ctx, ExchangeType::CREATE_CHILD_SA, invalid),
        }
    }

    fn too_many(mut self: Box<Self>, session: &Session, ctx: &mut Context<'_>) -> State {
        session.refuse(ctx, ExchangeType::CREATE_CHILD_SA, RefusalReason::TooManyRequests);
        session.answer_notify(ctx, &mut self.sa, NotifyType::TEMPORARY_FAILURE, &[]);
        State::Established(self)
    }

    fn make_child(
        &mut self,
        session: &Session,
        ctx: &mut Context<'_>,
        wish: &ChildWish,
        nonce: &[u8],
        ke: Option<&KeyExchange<'_>>,
        rekeys: Option<EspSpi>,
    ) {
        let old = match rekeys {
            None => None,
            Some(spi) => match self.children.iter().position(|child| child.outbound == spi) {
                Some(old) if self.children.get(old).is_some_and(|old| old.is_leaving) => {
                    return session.answer_notify(ctx, &mut self.sa, NotifyType::TEMPORARY_FAILURE, &[]);
                }
                Some(old) => Some(old),
                None => return self.unknown_child(session, ctx, spi),
            },
        };
        // A rekey replaces one, but both are there for a while.
        let limit = session.child_limit(ctx.config);
        if self.children.len() >= if old.is_some() { limit.saturating_mul(2) } else { limit } {
            session.refuse(ctx, ExchangeType::CREATE_CHILD_SA, RefusalReason::TooManyChildren);
            return session.answer_notify(ctx, &mut self.sa, NotifyType::NO_ADDITIONAL_SAS, &[]);
        }
        let mut chain = ChainBuilder::new();
        match self.try_child(session, ctx, wish, nonce, ke, old, &mut chain) {
            Ok((mut child, own_nonce)) => {
                let mut replaced = None;
                if let Some(old) = old.and_then(|old| self.children.get_mut(old)) {
                    replaced = Some(old.inbound);
                    child.asked_with.clone_from(&old.asked_with);
                    old.replaced_until = Some(ctx.now + session.timing(ctx.config).replaced);
                    old.life.forget_rekey();
                }
                self.note_child_rival(replaced, &child, [nonce, &own_nonce]);
                self.children.push(child);
            }
            Err(refused) => {
                refused.push(&mut chain);
                session.refuse(ctx, ExchangeType::CREATE_CHILD_SA, *refused.reason);
            }
        }
        session.answer(ctx, &mut self.sa, chain);
    }

    #[expect(clippy::too_many_arguments, reason = "the payloads of one request")]
    fn try_child(
        &self,
        session: &Session,
        ctx: &mut Context<'_>,
        wish: &ChildWish,
        nonce: &[u8],
        ke: Option<&KeyExchange<'_>>,
        old: Option<usize>,
        chain: &mut ChainBuilder,
    ) -> Result<(Child, Vec<u8>), child::Refused> {
        let replaced = old.and_then(|old| self.children.get(old));
        let fit = fit::fit(session, &self.grant, &self.children, replaced, wish)?;
        let chosen = child::negotiate(session, ctx, wish, ke)?;
        let agreed = chosen.group.map(|group| child::agree(ctx, group, ke)).transpose()?;
        let own_nonce = child::new_nonce(ctx);
        let nonces = Nonces { initiator: nonce, responder: &own_nonce };
        let terms = child::terms(&self.sa, agreed.as_ref(), nonces);
        let replaces = match (replaced, &fit.name) {
            (Some(old), _) => Some(old.inbound),
            (None, Some(name)) => self.in_use(name),
            (None, None) => None,
        };
        let made = child::make(session, ctx, &chosen, fit, &terms, replaces);
        if let Some(wish) = &wish.configuration {
            chain.push(&Payload::Configuration(configuration::reply(wish, &self.grant)));
        }
        made.push_with(chain, &own_nonce, agreed.as_ref());
        Ok((made.child, own_nonce))
    }

    fn unknown_child(&mut self, session: &Session, ctx: &mut Context<'_>, spi: EspSpi) {
        if matches!(self.rekeying, Some(Rekeying::Child(_))) {
            // It may be the one that we have asked for, and whose answer is late.
            return session.answer_notify(ctx, &mut self.sa, NotifyType::TEMPORARY_FAILURE, &[]);
        }
        session.refuse(ctx, ExchangeType::CREATE_CHILD_SA, RefusalReason::UnknownChild);
        let mut chain = ChainBuilder::new();
        chain.push(&Payload::Notify(Notify::about_esp(spi, NotifyType::CHILD_SA_NOT_FOUND, &[])));
        session.answer(ctx, &mut self.sa, chain);
    }

    pub(super) fn answer_on_other(
        &mut self,
        session: &Session,
        ctx: &mut Context<'_>,
        spi: IkeSpi,
        notify: NotifyType,
        data: &[u8],
    ) {
        if let Some(sa) = self.other_sa(spi) {
            session.answer_notify(ctx, sa, notify, data);
        }
    }

    /// Whether a Child SA is being rekeyed or deleted by us (RFC 7296 section 2.25.2).
    fn is_busy_with_children(&self) -> bool {
        matches!(self.rekeying, Some(Rekeying::Child(_))) || self.sa.has_own_request_for(Purpose::DeleteChild)
    }

    /// An authentic request that makes no sense. A syntax error is the end of the IKE SA (section 2.21.3).
    pub(super) fn invalid(
        mut self: Box<Self>,
        session: &mut Session,
        ctx: &mut Context<'_>,
        exchange: ExchangeType,
        invalid: Invalid,
    ) -> State {
        session.refuse(ctx, exchange, *invalid.reason);
        session.answer_notify(ctx, &mut self.sa, invalid.notify, &invalid.data);
        if invalid.notify != NotifyType::INVALID_SYNTAX {
            return State::Established(self);
        }
        self.take_down_all(session.id, ctx);
        session.announce_end(ctx, CloseReason::Failed);
        self.sa.forget_own_requests();
        Closing::lingering(ctx.now, self.sa)
    }

    /// Ends the session from our side.
    pub(super) fn close(
        mut self: Box<Self>,
        session: &mut Session,
        ctx: &mut Context<'_>,
        reason: CloseReason,
    ) -> State {
        self.take_down_all(session.id, ctx);
        session.announce_end(ctx, reason);
        self.relocation = Relocation::default();
        self.replaced.retain(|replaced| replaced.peer_may_use);
        let mut before = self.replaced.pop().map(|replaced| replaced.sa);
        for sa in std::iter::once(&mut self.sa).chain(&mut before) {
            sa.enqueue(OwnRequest::delete(Purpose::DeleteIkeSa, Delete::IkeSa));
            let messages = sa.send_next(ctx.now, &session.timing(ctx.config), &mut *ctx.shared.random);
            ctx.send(session.path, messages);
        }
        Closing::deleting_both(ctx.now + DELETE_LIFETIME, self.sa, before)
    }

    pub(super) fn enqueue_delete(&mut self, purpose: Purpose, delete: Delete) {
        self.sa.enqueue(OwnRequest::delete(purpose, delete));
    }

    pub(super) fn send_next(&mut self, session: &Session, ctx: &mut Context<'_>) {
        self.prepare_path_request(session, ctx);
        self.tell_on_replaced(session, ctx);
        for sa in std::iter::once(&mut self.sa).chain(self.replaced.iter_mut().map(|replaced| &mut replaced.sa)) {
            let messages = sa.send_next(ctx.now, &session.timing(ctx.config), &mut *ctx.shared.random);
            ctx.send(session.path, messages);
        }
    }

    /// All Child SAs go down.
    pub(super) fn take_down_all(&mut self, session: SessionId, ctx: &mut Context<'_>) {
        while !self.children.is_empty() {
            self.take_down(session, ctx, 0);
        }
        if let Some(Rekeying::Child(request)) = self.rekeying.take() {
            ctx.shared.esp_spis.remove(&request.inbound());
        }
    }

    /// One Child SA goes down; gives back its inbound SPI.
    pub(super) fn take_down(&mut self, session: SessionId, ctx: &mut Context<'_>, at: usize) -> EspSpi {
        let inbound_spi = self.children.remove(at).inbound;
        ctx.shared.esp_spis.remove(&inbound_spi);
        ctx.shared.events.push_back(Event::ChildDown { session, inbound_spi });
        if self.children.is_empty() {
            self.childless_since = ctx.now;
        }
        inbound_spi
    }

    pub(super) fn handle_timeout(mut self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>) -> State {
        self.serve_replaced(session, ctx);
        self.remind(session, ctx);
        self.remove_replaced_children(session, ctx);
        if let Some(reason) = self.end_of_life(session, ctx) {
            return self.close(session, ctx, reason);
        }
        if self.childless_until(session, ctx.config).is_some_and(|until| until <= ctx.now) {
            return self.close(session, ctx, CloseReason::NoChildSa);
        }
        if session.login_ends.is_some_and(|ends| ends <= ctx.now) {
            return self.close(session, ctx, CloseReason::NotReauthenticated);
        }
        self.relocation.wake(ctx.now);
        if self.relocation.is_half_disproven(ctx.now) {
            self.resend(session, ctx);
        }
        if let Some(proven) = self.relocation.disproven(ctx.now) {
            let is_lively = self.is_lively(session, ctx);
            if self.goes_back(session, ctx, proven) || is_lively {
                session.refuse(ctx, ExchangeType::INFORMATIONAL, RefusalReason::PathCheck);
                return self.close(session, ctx, CloseReason::Failed);
            }
        }
        match self.sa.due(ctx.now) {
            Due::Nothing => {}
            Due::Again(messages) => {
                ctx.shared.counters.retransmissions_sent += 1;
                ctx.send(session.path, messages);
            }
            // Packets still come: only the answers are lost on the way. Who has moved has its time to show that it is there.
            Due::Dead if self.is_lively(session, ctx) || self.relocation.is_unproven() => {
                self.sa.restart_transmissions(ctx.now, &session.timing(ctx.config));
            }
            Due::Dead if self.tries_elsewhere(session, ctx) => {}
            Due::Dead if session.waits_for_initiator(ctx.now) || self.gives_time(session) => {
                self.sa.restart_transmissions(ctx.now, &session.timing(ctx.config));
            }
            Due::Dead => {
                self.take_down_all(session.id, ctx);
                session.announce_end(ctx, CloseReason::PeerDead);
                return State::Over;
            }
        }
        if !self.is_lively(session, ctx) && !self.sa.has_own_request() {
            let probe = self.probe(session, ctx);
            self.sa.enqueue(probe);
        }
        self.go_on(session, ctx);
        State::Established(self)
    }

    /// IKE SAs that are not used any more: our DELETE is sent again, until it was answered or nobody cares.
    fn serve_replaced(&mut self, session: &Session, ctx: &mut Context<'_>) {
        self.replaced.retain(|replaced| replaced.until > ctx.now);
        for replaced in &mut self.replaced {
            match replaced.sa.due(ctx.now) {
                Due::Again(messages) => {
                    ctx.shared.counters.retransmissions_sent += 1;
                    ctx.send(session.path, messages);
                }
                // Its answers are what the peer needs to go on.
                Due::Dead if replaced.peer_may_use => {
                    replaced.sa.restart_transmissions(ctx.now, &session.timing(ctx.config));
                }
                Due::Dead => replaced.until = ctx.now,
                Due::Nothing => {}
            }
        }
        self.replaced.retain(|replaced| replaced.until > ctx.now);
    }

    fn is_lively(&self, session: &Session, ctx: &Context<'_>) -> bool {
        session.timing(ctx.config).liveness.is_none_or(|interval| session.last_heard + interval > ctx.now)
    }

    /// The client has not deleted what it has replaced: we do.
    fn remove_replaced_children(&mut self, session: &Session, ctx: &mut Context<'_>) {
        let is_due = |child: &Child| child.replaced_until.is_some_and(|until| until <= ctx.now);
        let due: Vec<EspSpi> = self.children.iter().filter(|child| is_due(child)).map(|child| child.inbound).collect();
        for spi in due {
            if let Some(at) = self.children.iter().position(|child| child.inbound == spi) {
                self.take_down(session.id, ctx, at);
                let delete = Delete::ChildSas { protocol: ProtocolId::ESP, spis: vec![spi] };
                self.enqueue_delete(Purpose::DeleteChild, delete);
            }
        }
    }

    /// When the session ends for want of a Child SA. One with a site does not: whether it is needed, the server knows. Nor does
    /// one that the client began without.
    fn childless_until(&self, session: &Session, config: &Config) -> Option<Instant> {
        let may_be = session.site().is_some() || session.is_childless;
        (self.children.is_empty() && !may_be).then_some(self.childless_since + session.timing(config).childless)
    }

    pub(super) fn timeout(&self, session: &Session, config: &Config) -> Option<Instant> {
        let timing = session.timing(config);
        let replaced =
            self.replaced.iter().flat_map(|replaced| [Some(replaced.until), replaced.sa.timeout()]).flatten();
        let children = self.children.iter().filter_map(|child| child.replaced_until);
        let lives = std::iter::once(&self.life).chain(self.children.iter().map(|child| &child.life));
        let ends = lives.clone().filter_map(Life::ends_at);
        let wanted = self.wanted.iter().map(Wanted::not_before);
        let rekeys = lives.filter_map(Life::rekey_at).chain(wanted).filter(|_| !self.is_rekey_blocked());
        let childless = self.childless_until(session, config);
        let liveness =
            timing.liveness.filter(|_| !self.sa.has_own_request()).map(|interval| session.last_heard + interval);
        let reminder = self.reauthentication.as_ref().map(Reauthentication::due);
        let times = replaced.chain(children).chain(reminder).chain(ends).chain(rekeys).chain(childless).chain(liveness);
        let moving = self.relocation.timeouts();
        times.chain(moving).chain(self.sa.timeout()).chain(session.login_ends).min()
    }

    pub(super) fn ike_spis(&self) -> Vec<IkeSpi> {
        let replaced = self.replaced.iter().map(|replaced| replaced.sa.own_spi());
        let (asked, rival) = self.rekeying.as_ref().map_or((None, None), Rekeying::ike_spis);
        std::iter::once(self.sa.own_spi()).chain(replaced).chain(asked).chain(rival).collect()
    }

    pub(super) fn child_spis(&self) -> Vec<EspSpi> {
        self.children.iter().map(|child| child.inbound).collect()
    }

    pub(super) fn child_infos(&self) -> Vec<ChildInfo> {
        self.children.iter().map(Child::info).collect()
    }

    pub(super) fn child_suite(&self) -> Option<ChildSuite> {
        self.children.last().map(|child| child.suite)
    }

    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        self.grant.addresses.clone()
    }
}

/// Allows so many requests a second, and a burst.
pub(super) struct TokenBucket {
    tokens: u32,
    refilled: Instant,
}

impl TokenBucket {
    /// A full one.
    pub(super) fn full(now: Instant) -> Self {
        Self { tokens: BURST, refilled: now }
    }

    /// Whether one more is allowed.
    pub(super) fn take(&mut self, now: Instant, per_second: u32) -> bool {
        let elapsed = now.saturating_duration_since(self.refilled);
        let earned = elapsed.as_millis().saturating_mul(per_second.into()) / 1000;
        if earned > 0 {
            self.tokens = u32::try_from(earned).unwrap_or(BURST).saturating_add(self.tokens).min(BURST);
            self.refilled = now;
        }
        let Some(left) = self.tokens.checked_sub(1) else { return false };
        self.tokens = left;
        true
    }
}
