//! IKE_AUTH has begun: EAP rounds (RFC 7296 section 2.16), then the wait for the server's grant.

use std::time::Instant;

use crate::crypto::secret::Secret;
use crate::event::{AccessRequest, AuthenticatedBy, CloseReason, Denial, EapStep, Event, Grant};
use crate::refusal::RefusalReason;
use crate::wire::num::{AuthMethod, CpAttr, ExchangeType, NotifyType};
use crate::wire::v2::{Authentication, ChainBuilder, Delete, Eap, Notify, Payload};

use super::auth::Wish;
use super::child::{self, Terms};
use super::connection::Connection;
use super::established::Established;
use super::proof::{OwnProof, Proof};
use super::request::{self, Informational, Invalid};
use super::sa::{IkeSa, Message, Role};
use super::{Closing, Context, Session, State, configuration, keys, ppk};

/// A client that has yet to prove who it is, or whose grant has yet to come.
pub(crate) struct Authenticating {
    pub(crate) sa: IkeSa,
    proof: Proof,
    wish: Wish,
    /// Sent with the first answer.
    own: Option<OwnProof>,
    /// The body of the IDr payload in it.
    own_id_body: Vec<u8>,
    /// We prove who we are by the EAP method alone, RFC 5998.
    is_eap_only: bool,
    step: Step,
    rounds: u32,
    deadline: Instant,
}

/// What is waited for.
pub(crate) enum Step {
    /// The EAP server; a request of the client waits for its answer.
    EapServer,
    /// The next EAP response of the client.
    EapClient,
    /// The AUTH payload of the client, made with the key of the EAP method.
    EapProof(Secret),
    /// The server's grant; a request waits for its answer, which begins with this AUTH data.
    Grant(Option<Secret>),
}

impl Authenticating {
    pub(super) fn new(ctx: &Context<'_>, sa: IkeSa, proof: Proof, wish: Wish, own: OwnProof) -> Self {
        let deadline = ctx.now + ctx.config.timing.authentication;
        let own_id_body = keys::own_id_body(&own.identity);
        let is_eap_only = own.is_left_to_eap();
        let step = Step::Grant(None);
        Self { sa, proof, wish, own: Some(own), own_id_body, is_eap_only, step, rounds: 1, deadline }
    }

    /// Goes on when the server has answered.
    pub(super) fn wait_for_server(&mut self, step: Step) {
        self.step = step;
    }

    /// The client has proven its identity: the server decides.
    pub(super) fn authenticated(&mut self, session: &mut Session, ctx: &mut Context<'_>, by: AuthenticatedBy) {
        session.by = Some(by);
        session.announced = true;
        let wants = self.wish.configuration.as_ref();
        // Without Child SA yet, the question for an address may come with the first one: the lease has to be there by then.
        let later = wants.is_none() && self.wish.child.is_none() && session.site.is_none();
        let asked = |kind| later || wants.is_some_and(|wish| wish.wants(kind));
        let (tsi, tsr) =
            self.wish.child.as_ref().map(|child| (child.tsi.clone(), child.tsr.clone())).unwrap_or_default();
        let request = AccessRequest {
            identity: self.wish.idi.clone(),
            by,
            path: session.path,
            initial_contact: self.wish.initial_contact,
            ipv4: asked(CpAttr::INTERNAL_IP4_ADDRESS).then(|| wants.and_then(|wish| wish.ipv4)),
            ipv6: asked(CpAttr::INTERNAL_IP6_ADDRESS).then(|| wants.and_then(|wish| wish.ipv6)),
            tsi,
            tsr,
            behind_nat: session.nat.peer_behind,
            site: session.site.as_ref().map(|site| site.name.clone()),
        };
        ctx.shared.authenticated = Some((session.id, request));
    }

    /// Takes a later request of IKE_AUTH.
    pub(super) fn next(mut self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>, request: &Message) -> State {
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds > ctx.config.limits.eap_rounds {
            return self.refuse(session, ctx, Invalid::authentication(RefusalReason::EapTooLong));
        }
        let result = match &self.step {
            Step::EapClient => {
                request::eap(request.first, &request.chain).map(|packet| self.eap_response(session, ctx, packet))
            }
            Step::EapProof(_) => self.eap_proof(session, ctx, request).map(|own| {
                self.step = Step::Grant(Some(own));
                self.authenticated(session, ctx, AuthenticatedBy::Eap);
            }),
            // The window is closed while the server is asked.
            Step::EapServer | Step::Grant(_) => Ok(()),
        };
        match result {
            Ok(()) => State::Authenticating(self),
            Err(invalid) => self.refuse(session, ctx, invalid),
        }
    }

    fn eap_response(&mut self, session: &Session, ctx: &mut Context<'_>, packet: &[u8]) {
        let (response, idi) = (Some(packet.to_vec()), self.wish.idi.clone());
        ctx.shared.events.push_back(Event::Eap { session: session.id, response, idi, path: session.path });
        self.step = Step::EapServer;
    }

    /// Checks the AUTH payload of the client and makes ours, both with the key of the EAP method.
    fn eap_proof(&mut self, session: &mut Session, ctx: &Context<'_>, request: &Message) -> Result<Secret, Invalid> {
        let Step::EapProof(msk) = &self.step else { return Err(Invalid::authentication(RefusalReason::EapFailed)) };
        let (auth, claim) = request::final_auth(request.first, &request.chain)?;
        if auth.method != AuthMethod::SHARED_KEY {
            return Err(Invalid::authentication(RefusalReason::AuthMethod(auth.method)));
        }
        let (key, data) = ppk::decide(ctx.config, &Connection::Remote, &self.proof, &claim, auth.data)?;
        if let Some(key) = key {
            self.proof.mix(key);
            self.sa.mix(key);
            session.ppk = true;
        }
        let octets = self.proof.octets(Role::Initiator, &self.wish.idi_body);
        if !self.proof.shared_key_auth(msk.expose(), &octets).ct_eq(data) {
            return Err(Invalid::authentication(RefusalReason::EapKeyMismatch));
        }
        let octets = self.proof.octets(Role::Responder, &self.own_id_body);
        Ok(self.proof.shared_key_auth(msk.expose(), &octets))
    }

    /// Takes the EAP server's answer.
    pub(super) fn eap_continue(
        mut self: Box<Self>,
        session: &mut Session,
        ctx: &mut Context<'_>,
        eap: EapStep,
    ) -> State {
        if !matches!(self.step, Step::EapServer) {
            return State::Authenticating(self);
        }
        if self.is_eap_only && matches!(eap, EapStep::Success { mutual: false, .. }) {
            return self.refuse(session, ctx, Invalid::authentication(RefusalReason::EapNotMutual));
        }
        let mut chain = ChainBuilder::new();
        if let Some(own) = self.own.take() {
            own.push(Role::Responder, &mut chain);
        }
        let (EapStep::Request(packet)
        | EapStep::Success { message: packet, .. }
        | EapStep::Failure { message: packet }) = &eap;
        chain.push(&Payload::Eap(Eap(packet)));
        session.answer(ctx, &mut self.sa, chain);
        self.step = match eap {
            EapStep::Request(_) => Step::EapClient,
            EapStep::Success { msk, .. } => Step::EapProof(msk),
            EapStep::Failure { .. } => {
                session.refuse(ctx, ExchangeType::IKE_AUTH, RefusalReason::EapFailed);
                session.announce_end(ctx, CloseReason::Failed);
                return Closing::lingering(ctx.now, self.sa);
            }
        };
        State::Authenticating(self)
    }

    /// The client may come in: makes the Child SA and answers. If only the Child SA fails, the IKE SA stays (section 1.2).
    pub(super) fn grant(self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>, grant: Grant) -> State {
        let Step::Grant(eap_auth) = &self.step else { return State::Authenticating(self) };
        let mut chain = ChainBuilder::new();
        self.push_proof(session, eap_auth.as_ref(), &mut chain);
        let Self { mut sa, proof, wish, .. } = *self;
        let terms = Terms { prf: sa.suite.prf, derive: &sa.derive, shared: None, nonces: proof.nonces() };
        let made = wish.child.as_ref().map(|child| child::first(session, ctx, &grant, child, &terms)).transpose();
        match &made {
            Ok(made) => {
                if let Some(wish) = &wish.configuration {
                    chain.push(&Payload::Configuration(configuration::reply(wish, &grant)));
                }
                if let Some(made) = made {
                    made.push(&mut chain);
                }
            }
            Err(refused) => refused.push(&mut chain),
        }
        session.push_abilities(ctx, &mut chain);
        session.answer(ctx, &mut sa, chain);
        let children = match made {
            Ok(made) => made.map(|made| made.child).into_iter().collect(),
            Err(refused) => {
                session.refuse(ctx, ExchangeType::IKE_AUTH, *refused.reason);
                Vec::new()
            }
        };
        Established::begin(session, ctx, sa, grant, children)
    }

    /// The client stays out.
    pub(super) fn deny(mut self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>, denial: Denial) -> State {
        let Step::Grant(eap_auth) = &self.step else { return State::Authenticating(self) };
        match denial {
            Denial::Authorization => {
                session.refuse(ctx, ExchangeType::IKE_AUTH, RefusalReason::Denied);
                session.announce_end(ctx, CloseReason::Denied);
                session.answer_notify(ctx, &mut self.sa, NotifyType::AUTHENTICATION_FAILED, &[]);
                Closing::lingering(ctx.now, self.sa)
            }
            Denial::NoAddress => {
                let mut chain = ChainBuilder::new();
                self.push_proof(session, eap_auth.as_ref(), &mut chain);
                chain.push(&Payload::Notify(Notify::new(NotifyType::INTERNAL_ADDRESS_FAILURE, &[])));
                session.push_abilities(ctx, &mut chain);
                session.refuse(ctx, ExchangeType::IKE_AUTH, RefusalReason::NoAddress);
                session.answer(ctx, &mut self.sa, chain);
                Established::begin(session, ctx, self.sa, Grant::default(), Vec::new())
            }
        }
    }

    /// Appends what proves our identity: the certificate or shared key, or after EAP the key of its method.
    fn push_proof(&self, session: &Session, eap_auth: Option<&Secret>, chain: &mut ChainBuilder) {
        if let Some(own) = &self.own {
            own.push(Role::Responder, chain);
        }
        if let Some(auth) = eap_auth {
            let (method, data) = (AuthMethod::SHARED_KEY, auth.expose());
            chain.push(&Payload::Authentication(Authentication { method, data }));
        }
        if session.ppk {
            ppk::push_accepted(chain);
        }
    }

    /// The client may give up in the middle: Windows deletes the IKE SA when the password was wrong.
    pub(super) fn informational(
        mut self: Box<Self>,
        session: &mut Session,
        ctx: &mut Context<'_>,
        request: &Message,
    ) -> State {
        session.answer(ctx, &mut self.sa, ChainBuilder::new());
        let read = Informational::read(request.first, &request.chain);
        let (ends, distrusts) =
            read.map_or((false, false), |read| (read.deletes.contains(&Delete::IkeSa), read.distrusts));
        // A client that has answered by EAP believes who we are; then it means that its login failed, which was told already.
        if distrusts && self.rounds == 1 {
            session.refuse(ctx, ExchangeType::INFORMATIONAL, RefusalReason::Distrusted);
        }
        if ends || distrusts {
            session.announce_end(ctx, CloseReason::PeerDeleted);
            return Closing::lingering(ctx.now, self.sa);
        }
        State::Authenticating(self)
    }

    /// Ends the login from our side; a request that waits is answered.
    pub(super) fn fail(mut self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>, notify: NotifyType) -> State {
        session.answer_notify(ctx, &mut self.sa, notify, &[]);
        Closing::lingering(ctx.now, self.sa)
    }

    fn refuse(mut self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>, invalid: Invalid) -> State {
        session.refuse(ctx, ExchangeType::IKE_AUTH, *invalid.reason);
        session.announce_end(ctx, CloseReason::Failed);
        session.answer_notify(ctx, &mut self.sa, invalid.notify, &invalid.data);
        Closing::lingering(ctx.now, self.sa)
    }

    pub(super) fn handle_timeout(mut self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>) -> State {
        if self.deadline > ctx.now {
            self.sa.due(ctx.now);
            return State::Authenticating(self);
        }
        let waiting_for = match self.step {
            Step::EapServer | Step::Grant(_) => "the decision of this gateway",
            Step::EapClient => "EAP",
            Step::EapProof(_) => "AUTH after EAP",
        };
        session.refuse(ctx, ExchangeType::IKE_AUTH, RefusalReason::TimedOut { waiting_for });
        session.announce_end(ctx, CloseReason::Failed);
        State::Over
    }

    pub(super) fn timeout(&self) -> Instant {
        self.sa.timeout().map_or(self.deadline, |due| due.min(self.deadline))
    }
}

impl Invalid {
    /// The peer learns only that authentication failed.
    pub(super) fn authentication(reason: RefusalReason) -> Self {
        Self { reason: Box::new(reason), notify: NotifyType::AUTHENTICATION_FAILED, data: Vec::new() }
    }
}
