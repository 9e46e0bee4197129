//! Child SAs that we ask for by CREATE_CHILD_SA: another one of a site's tunnels, or one in place of another (RFC 7296
//! sections 1.3.1, 1.3.3, 2.8 and 2.25).
//!
//! What replaces a Child SA has exactly its suite, and a key exchange only if that one was made with one: there are clients
//! that refuse anything else. Only a site is asked for a key exchange when the Child SA of IKE_AUTH, which had none, is
//! replaced for the first time; it may do without.
//!
//! Does not: decide when; see [`own_rekey`](super::own_rekey).

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::debug;

use crate::child_sa::{ChildKeys, ChildMode};
use crate::crypto::dh::{Group, KeyPair};
use crate::event::Event;
use crate::narrow::Allowed;
use crate::proposal::{child_guess, child_offer, child_offer_with_choice, child_offers, chosen_child, offers_group};
use crate::refusal::RefusalReason;
use crate::wire::EspSpi;
use crate::wire::num::{ExchangeType, GroupId, NotifyType, ProtocolId};
use crate::wire::v2::{
    ChainBuilder, Delete, KeyExchange, Nonce, Notify, Payload, SecurityAssociation, TrafficSelector, TrafficSelectors,
};

use super::child::{self, Child, KeyExchangeOf};
use super::established::Established;
use super::keys::{self, Nonces};
use super::life::Life;
use super::own_rekey::{Failure, Rekeying, agree, lowest, problem};
use super::request::CreateChildAnswer;
use super::sa::{Message, Purpose};
use super::{Context, Session};

/// Groups that are tried before a peer counts as undecided.
const MAX_GROUPS: u8 = 3;

/// A new tunnel that the peer cannot make at the moment is asked for so many times.
const MAX_ATTEMPTS: u8 = 5;

/// Unknown SPIs that are remembered while a request is on its way.
const MAX_DELETED: usize = 8;

/// A tunnel of a site that is to be made.
pub(super) struct Wanted {
    /// Its place in the site's list.
    child: usize,
    not_before: Instant,
    attempts: u8,
}

/// A Child SA that we have asked for.
pub(super) struct ChildRequest {
    goal: Goal,
    inbound: EspSpi,
    offer: SecurityAssociation,
    name: Option<Arc<str>>,
    mode: ChildMode,
    local_ts: Vec<TrafficSelector>,
    remote_ts: Vec<TrafficSelector>,
    nonce: Vec<u8>,
    pair: Option<KeyPair>,
    groups_tried: u8,
    rival: Option<Rival>,
    /// SPIs that the peer has deleted and we don't know: its answer may have been overtaken.
    deleted: Vec<EspSpi>,
    /// What [`Child::asked_with`] says of the one that is replaced.
    asked_with: Option<Vec<u8>>,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// To take the place of the one with this inbound SPI.
    Replace(EspSpi),
    /// One more: its place in the site's list, and how often it was asked for before.
    Add(usize, u8),
}

/// What the peer made for the same purpose in the meantime.
struct Rival {
    lowest_nonce: Vec<u8>,
    inbound: EspSpi,
}

impl Wanted {
    pub(super) fn new(child: usize, now: Instant) -> Self {
        Self { child, not_before: now, attempts: 0 }
    }

    /// When it is to be asked for.
    pub(super) fn not_before(&self) -> Instant {
        self.not_before
    }
}

impl Established {
    /// Goes on after our IKE_AUTH: the other tunnels are to be made.
    pub(super) fn begin_as_initiator(
        &mut self,
        session: &Session,
        ctx: &mut Context<'_>,
        children: Vec<usize>,
        lifetime: Option<Duration>,
    ) {
        self.limit_login(session, ctx, lifetime);
        self.limit_login(session, ctx, session.reauthentication(ctx.config));
        self.wanted = children.into_iter().map(|child| Wanted::new(child, ctx.now)).collect();
        self.go_on(session, ctx);
    }

    /// The peer has a Child SA with our SPI that we do not want.
    pub(super) fn delete_unwanted(&mut self, inbound: EspSpi) {
        let delete = Delete::ChildSas { protocol: ProtocolId::ESP, spis: vec![inbound] };
        self.enqueue_delete(Purpose::DeleteChild, delete);
    }

    /// Asks for one more tunnel of the site.
    pub(super) fn want_child(&mut self, session: &Session, ctx: &mut Context<'_>, child: usize) {
        if session.site().is_some_and(|site| child < site.children.len()) {
            self.wanted.push_back(Wanted::new(child, ctx.now));
            self.go_on(session, ctx);
        }
    }

    /// Asks for a tunnel whose time has come; whether there was one.
    pub(super) fn begin_wanted_child(&mut self, session: &Session, ctx: &mut Context<'_>) -> bool {
        let Some(at) = self.wanted.iter().position(|wanted| wanted.not_before <= ctx.now) else { return false };
        let Some(Wanted { child, attempts, .. }) = self.wanted.remove(at) else { return false };
        let Some(wish) = session.site().and_then(|site| site.children.get(child)) else { return false };
        if self.in_use(&wish.name).is_some() {
            // The peer was faster.
            return self.begin_wanted_child(session, ctx);
        }
        let policy = session.policy(ctx.config);
        let inbound = ctx.new_esp_spi(session.id);
        let Allowed { tsi: remote_ts, tsr: local_ts } = Allowed::between(wish, session.path());
        let request = ChildRequest {
            goal: Goal::Add(child, attempts),
            inbound,
            offer: child_offers(policy, true, inbound),
            name: Some(wish.name.clone()),
            mode: wish.mode,
            local_ts,
            remote_ts,
            nonce: child::new_nonce(ctx),
            pair: None,
            groups_tried: 0,
            rival: None,
            deleted: Vec::new(),
            asked_with: None,
        };
        debug!(session = %session.id, child = &*wish.name, "asking for a Child SA");
        let guess = self.guess(&request.offer, child_guess(policy));
        self.ask(ctx, request, guess);
        true
    }

    pub(super) fn begin_child_rekey(&mut self, session: &Session, ctx: &mut Context<'_>, at: usize) {
        let (inbound, nonce) = (ctx.new_esp_spi(session.id), child::new_nonce(ctx));
        let Some(old) = self.children.get_mut(at) else { return };
        old.life.forget_rekey();
        debug!(session = %session.id, spi = %old.inbound, "rekeying a Child SA");
        let policy = session.site().map(|site| &site.policy);
        let (offer, guess) = match (old.exchange, policy) {
            (KeyExchangeOf::IkeAuth, Some(policy)) => {
                (child_offer_with_choice(policy, &old.suite, inbound), child_guess(policy))
            }
            (KeyExchangeOf::IkeAuth, None) => (child_offer(&old.suite, None, inbound), None),
            (KeyExchangeOf::Own(group), _) => (child_offer(&old.suite, group, inbound), group),
        };
        let request = ChildRequest {
            goal: Goal::Replace(old.inbound),
            inbound,
            offer,
            name: old.name.clone(),
            mode: old.mode,
            local_ts: old.local_ts.clone(),
            remote_ts: old.remote_ts.clone(),
            nonce,
            pair: None,
            groups_tried: 0,
            rival: None,
            deleted: Vec::new(),
            asked_with: old.asked_with.clone(),
        };
        let guess = self.guess(&request.offer, guess);
        self.ask(ctx, request, guess);
    }

    /// The group that the peer will most likely take: that of the IKE SA, which it has taken before.
    fn guess(&self, offer: &SecurityAssociation, otherwise: Option<Group>) -> Option<Group> {
        let of_ike = self.sa.suite.group;
        if offers_group(offer, of_ike) { Some(of_ike) } else { otherwise.filter(|group| offers_group(offer, *group)) }
    }

    /// Sends the request with a key exchange of this group.
    fn ask(&mut self, ctx: &mut Context<'_>, mut request: ChildRequest, group: Option<Group>) {
        request.pair = group.map(|group| KeyPair::generate(group, &mut *ctx.shared.random));
        let mut chain = ChainBuilder::new();
        if let Goal::Replace(old) = request.goal {
            chain.push(&Payload::Notify(Notify::about_esp(old, NotifyType::REKEY_SA, &[])));
        }
        if request.mode == ChildMode::Transport {
            chain.push(&Payload::Notify(Notify::new(NotifyType::USE_TRANSPORT_MODE, &[])));
        }
        chain.push(&Payload::SecurityAssociation(request.offer.clone()));
        chain.push(&Payload::Nonce(Nonce(&request.nonce)));
        if let Some(pair) = &request.pair {
            chain.push(&Payload::KeyExchange(KeyExchange { group: pair.group().id(), data: pair.public() }));
        }
        chain.push(&Payload::TsInitiator(TrafficSelectors(request.local_ts.clone())));
        chain.push(&Payload::TsResponder(TrafficSelectors(request.remote_ts.clone())));
        let purpose = request.purpose();
        self.rekeying = Some(Rekeying::Child(Box::new(request)));
        self.enqueue_create(purpose, chain);
    }

    /// The peer has rekeyed a Child SA that we are rekeying, too, or made the same tunnel.
    pub(super) fn note_child_rival(&mut self, old: Option<EspSpi>, child: &Child, nonces: [&[u8]; 2]) {
        let lowest_nonce = lowest(nonces);
        if let Some(Rekeying::Child(request)) = &mut self.rekeying {
            let is_same = match request.goal {
                Goal::Replace(ours) => old == Some(ours),
                Goal::Add(..) => old.is_none() && request.name == child.name,
            };
            if is_same {
                request.rival = Some(Rival { lowest_nonce, inbound: child.inbound });
                return;
            }
        }
        // The peer asked before it had our request, and we have the answer to that already.
        let is_same = |ours: &Child| ours.is_in_use() && ours.name == child.name;
        let ours = self.children.iter().find(|ours| old.is_none() && is_same(ours));
        let loses = |ours: &&Child| ours.asked_with.as_ref().is_some_and(|asked_with| *asked_with < lowest_nonce);
        if let Some(redundant) = ours.filter(loses).map(|ours| ours.inbound) {
            self.delete_child(redundant);
        }
    }

    /// The Child SA that is in use for a tunnel.
    pub(super) fn in_use(&self, name: &str) -> Option<EspSpi> {
        let is_it = |child: &&Child| child.is_in_use() && child.name.as_deref() == Some(name);
        self.children.iter().find(is_it).map(|child| child.inbound)
    }

    pub(super) fn child_answer(
        &mut self,
        session: &Session,
        ctx: &mut Context<'_>,
        mut request: ChildRequest,
        answer: &Message,
    ) {
        if let Some(group) = request.other_group(answer) {
            debug!(session = %session.id, wanted = %group.id(), "the peer wants another group for a Child SA");
            request.groups_tried = request.groups_tried.saturating_add(1);
            return self.ask(ctx, request, Some(group));
        }
        let pair = request.pair.take();
        match self.new_child(session, ctx, &request, pair, answer) {
            Ok((child, keys, peer_nonce)) => self.take_over(session, ctx, request, child, keys, &peer_nonce),
            Err(failure) => {
                ctx.shared.esp_spis.remove(&request.inbound);
                if request.rival.is_none() {
                    self.child_failed(session, ctx, &request, failure);
                }
            }
        }
    }

    /// The Child SA that the peer has agreed to, with its nonce.
    fn new_child(
        &self,
        session: &Session,
        ctx: &mut Context<'_>,
        request: &ChildRequest,
        pair: Option<KeyPair>,
        answer: &Message,
    ) -> Result<(Child, ChildKeys, Vec<u8>), Failure> {
        let answer = CreateChildAnswer::read(answer.first, &answer.chain).map_err(|i| Failure::Refused(*i.reason))?;
        let (sa, nonce, ke, tsi, tsr, transport) = match answer {
            CreateChildAnswer::Child { sa, nonce, ke, tsi, tsr, transport } => (sa, nonce, ke, tsi, tsr, transport),
            CreateChildAnswer::IkeSa { .. } => return Err(problem("TSi and TSr are missing")),
            CreateChildAnswer::Refused(kind, _) => return Err(Failure::of(kind)),
        };
        let (suite, group, outbound) =
            chosen_child(&request.offer, &sa).ok_or(problem("the answer is none of the suites that were offered"))?;
        if !is_within(&tsi, &request.local_ts) || !is_within(&tsr, &request.remote_ts) {
            return Err(problem("the answer widens the traffic selectors"));
        }
        if transport != (request.mode == ChildMode::Transport) {
            return Err(Failure::Refused(RefusalReason::Mode));
        }
        let pair = group.and(pair);
        if pair.as_ref().map(KeyPair::group) != group {
            return Err(problem("the answer is of a group that has no KE payload"));
        }
        let shared = agree(pair, ke.as_ref())?;
        let nonces = Nonces { initiator: &request.nonce, responder: nonce };
        let keys = keys::child(self.sa.suite.prf, &self.sa.derive, &suite, shared.as_ref(), &nonces);
        let child = Child {
            inbound: request.inbound,
            outbound,
            suite,
            exchange: KeyExchangeOf::Own(group),
            name: request.name.clone(),
            mode: request.mode,
            asked_with: None,
            local_ts: tsi,
            remote_ts: tsr,
            replaced_until: None,
            is_leaving: false,
            life: Life::begin(ctx, session.timing(ctx.config).child_lifetime),
        };
        // The keys are those of the responder of the exchange, which the peer is here.
        let keys = ChildKeys { inbound: keys.outbound, outbound: keys.inbound };
        Ok((child, keys, nonce.to_vec()))
    }

    /// The new Child SA is up. It sends at once, since the peer has it already; unless it lost against the peer's.
    fn take_over(
        &mut self,
        session: &Session,
        ctx: &mut Context<'_>,
        request: ChildRequest,
        mut child: Child,
        keys: ChildKeys,
        peer_nonce: &[u8],
    ) {
        let own = lowest([&request.nonce, peer_nonce]);
        let winner = request.rival.as_ref().filter(|rival| own < rival.lowest_nonce).map(|rival| rival.inbound);
        child::bring_up(session, ctx, &child, keys, winner);
        let redundant = match (winner, request.goal) {
            (Some(_), _) => Some(child.inbound),
            (None, Goal::Replace(old)) => Some(old),
            (None, Goal::Add(..)) => None,
        };
        child.asked_with = if matches!(request.goal, Goal::Add(..)) { Some(own) } else { request.asked_with };
        let is_deleted = request.deleted.contains(&child.outbound);
        self.children.push(child);
        if let Some(redundant) = redundant {
            self.delete_child(redundant);
        }
        if is_deleted && let Some(at) = self.children.len().checked_sub(1) {
            self.take_down(session.id, ctx, at);
        }
    }

    /// The peer has deleted a Child SA that we don't know. It may be the one that we have asked for.
    pub(super) fn note_deleted(&mut self, outbound: EspSpi) {
        if let Some(Rekeying::Child(request)) = &mut self.rekeying
            && request.deleted.len() < MAX_DELETED
        {
            request.deleted.push(outbound);
        }
    }

    /// Asks the peer to forget a Child SA. It still receives until the answer.
    pub(super) fn delete_child(&mut self, inbound: EspSpi) {
        if let Some(child) = self.children.iter_mut().find(|child| child.inbound == inbound && !child.is_leaving) {
            (child.is_leaving, child.replaced_until) = (true, None);
            child.life.forget_rekey();
            let delete = Delete::ChildSas { protocol: ProtocolId::ESP, spis: vec![inbound] };
            self.enqueue_delete(Purpose::DeleteChild, delete);
        }
    }

    fn child_failed(&mut self, session: &Session, ctx: &mut Context<'_>, request: &ChildRequest, failure: Failure) {
        match request.goal {
            Goal::Replace(old) => self.rekey_failed(session, ctx, old, failure),
            Goal::Add(child, attempts) => {
                let attempts = attempts.saturating_add(1);
                let reason = match failure {
                    Failure::Temporary if attempts < MAX_ATTEMPTS => {
                        let not_before = ctx.now + ctx.retry_wait(session);
                        return self.wanted.push_back(Wanted { child, not_before, attempts });
                    }
                    Failure::Temporary => RefusalReason::ChildRefused { notify: NotifyType::TEMPORARY_FAILURE },
                    Failure::NotFound => RefusalReason::ChildRefused { notify: NotifyType::CHILD_SA_NOT_FOUND },
                    Failure::Refused(RefusalReason::RekeyRefused { notify }) => RefusalReason::ChildRefused { notify },
                    Failure::Refused(reason) => reason,
                };
                session.refuse(ctx, ExchangeType::CREATE_CHILD_SA, reason);
                if let Some(child) = request.name.clone() {
                    ctx.shared.events.push_back(Event::ChildFailed { session: session.id, child });
                }
            }
        }
    }

    fn rekey_failed(&mut self, session: &Session, ctx: &mut Context<'_>, old: EspSpi, failure: Failure) {
        let Some(at) = self.children.iter().position(|child| child.inbound == old) else { return };
        match failure {
            Failure::NotFound => drop(self.take_down(session.id, ctx, at)),
            Failure::Temporary => self.retry_child(session, ctx, at),
            Failure::Refused(reason) => {
                session.refuse(ctx, ExchangeType::CREATE_CHILD_SA, reason);
                self.retry_child(session, ctx, at);
            }
        }
    }

    fn retry_child(&mut self, session: &Session, ctx: &mut Context<'_>, at: usize) {
        let wait = ctx.retry_wait(session);
        if let Some(child) = self.children.get_mut(at) {
            child.life.rekey_after(ctx.now, wait);
        }
    }

    /// Rekeys a Child SA now.
    pub(super) fn rekey_child(&mut self, session: &Session, ctx: &mut Context<'_>, inbound: EspSpi) {
        if let Some(child) = self.children.iter_mut().find(|child| child.inbound == inbound && child.is_in_use()) {
            child.life.rekey_after(ctx.now, Duration::ZERO);
        }
        self.go_on(session, ctx);
    }

    /// Deletes a Child SA at both ends.
    pub(super) fn close_child(&mut self, session: &Session, ctx: &mut Context<'_>, inbound: EspSpi) {
        self.delete_child(inbound);
        self.go_on(session, ctx);
    }
}

impl ChildRequest {
    /// Our SPI for the Child SA.
    pub(super) fn inbound(&self) -> EspSpi {
        self.inbound
    }

    fn purpose(&self) -> Purpose {
        match self.goal {
            Goal::Replace(_) => Purpose::RekeyChild,
            Goal::Add(..) => Purpose::CreateChild,
        }
    }

    /// The group that the peer wants instead, if it is one that we have offered.
    fn other_group(&self, answer: &Message) -> Option<Group> {
        let answer = CreateChildAnswer::read(answer.first, &answer.chain).ok()?;
        let CreateChildAnswer::Refused(NotifyType::INVALID_KE_PAYLOAD, data) = answer else { return None };
        let group = Group::from_id(GroupId(u16::from_be_bytes(data.try_into().ok()?)))?;
        let is_other = self.pair.as_ref().map(KeyPair::group) != Some(group);
        (is_other && self.groups_tried < MAX_GROUPS && offers_group(&self.offer, group)).then_some(group)
    }
}

/// Whether all of `narrower` is part of `wider`.
pub(super) fn is_within(narrower: &[TrafficSelector], wider: &[TrafficSelector]) -> bool {
    !narrower.is_empty() && narrower.iter().all(|part| wider.iter().any(|whole| whole.contains(part)))
}
