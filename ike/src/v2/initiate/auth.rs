//! IKE_AUTH as the initiator: RFC 7296 sections 1.2, 2.15, 2.21.2, and RFC 8784.
//!
//! The peer has to prove that it is who the site's configuration says. If it does not, it is told so by a DELETE, and nothing
//! is left. If all that fails is the first Child SA, the IKE SA stays, and the server decides what becomes of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::debug;

use crate::child_sa::{ChildKeys, ChildMode};
use crate::credential::PeerAuth;
use crate::event::{CloseReason, Event, Grant};
use crate::identity::Identity;
use crate::narrow::Allowed;
use crate::proposal::{child_offers, chosen_child};
use crate::refusal::RefusalReason;
use crate::site::Site;
use crate::wire::EspSpi;
use crate::wire::num::{CertEncoding, ExchangeType, NotifyType};
use crate::wire::v2::{
    CertificateRequest, ChainBuilder, Delete, Identification, Notify, Payload, SecurityAssociation, TrafficSelector,
    TrafficSelectors,
};

use super::super::child::{self, Child, KeyExchangeOf};
use super::super::established::Established;
use super::super::life::Life;
use super::super::own_child::is_within;
use super::super::proof::{self, Claim, OwnProof, Proof, Proven};
use super::super::request::{AuthAnswer, ChildAnswer, Invalid};
use super::super::sa::{Due, IkeSa, Message, OwnRequest, Purpose, Role};
use super::super::{Closing, Context, Session, State, keys, ppk};

/// A DELETE after a failed IKE_AUTH has this long to be answered.
const DELETE_LIFETIME: Duration = Duration::from_secs(60);

/// Our IKE_AUTH is on its way.
pub(crate) struct Proving {
    pub(in super::super) sa: IkeSa,
    proof: Proof,
    site: Arc<Site>,
    /// The tunnel that is made along with it.
    first: Option<First>,
    /// The tunnels that come later.
    others: Vec<usize>,
}

/// The Child SA of IKE_AUTH.
struct First {
    inbound: EspSpi,
    offer: SecurityAssociation,
    name: Arc<str>,
    mode: ChildMode,
    local_ts: Vec<TrafficSelector>,
    remote_ts: Vec<TrafficSelector>,
}

/// Sends the request.
pub(super) fn begin(
    session: &mut Session,
    ctx: &mut Context<'_>,
    sa: IkeSa,
    mut proof: Proof,
    children: Vec<usize>,
) -> State {
    let Some(site) = session.site().cloned() else { return State::Over };
    let mut chain = ChainBuilder::new();
    if let Err(Invalid { reason, .. }) = push_proof(ctx, &site, &mut proof, &mut chain) {
        session.refuse(ctx, ExchangeType::IKE_AUTH, *reason);
        session.announce_end(ctx, CloseReason::Failed);
        return State::Over;
    }
    // In which string types its certificate has the parts of a distinguished name, only the peer knows.
    let is_exact = |identity: &&Identity| !matches!(identity, Identity::DerAsn1Dn(_));
    if let Some(identity) = site.peer_identity.as_ref().filter(is_exact) {
        chain.push(&Payload::IdResponder(Identification::new(identity.id_type(), &identity.data())));
    }
    if let PeerAuth::Certificate(authorities) = &site.peer_auth {
        let (encoding, authorities) = (CertEncoding::X509_SIGNATURE, authorities.key_hashes());
        chain.push(&Payload::CertificateRequest(CertificateRequest { encoding, authorities }));
    }
    if !ctx.shared.is_connected(&site.name) {
        chain.push(&Payload::Notify(Notify::new(NotifyType::INITIAL_CONTACT, &[])));
    }
    let mut children = children.into_iter();
    let first = children.find_map(|child| First::new(session, ctx, &site, child));
    if let Some(first) = &first {
        first.push(&mut chain);
    }
    if site.mobike {
        chain.push(&Payload::Notify(Notify::new(NotifyType::MOBIKE_SUPPORTED, &[])));
    }
    let (first_payload, chain) = chain.finish().expect("certificates and selectors are bounded");
    let exchange = ExchangeType::IKE_AUTH;
    let request = OwnRequest { purpose: Purpose::Authenticate, exchange, first: first_payload, chain };
    let mut state = Proving { sa, proof, site, first, others: children.collect() };
    state.sa.enqueue(request);
    state.send_next(session, ctx);
    State::Proving(Box::new(state))
}

/// Appends who we are and what proves it, with the postquantum preshared key if the peer knows what that is.
fn push_proof(ctx: &mut Context<'_>, site: &Site, proof: &mut Proof, chain: &mut ChainBuilder) -> Result<(), Invalid> {
    let prove = |ctx: &mut Context<'_>, proof: &Proof| -> Result<OwnProof, Invalid> {
        proof::prove(ctx, proof, Role::Initiator, site.identity.clone(), &site.local_auth)
    };
    let ppk = match &site.ppk {
        Some(ppk) if proof.offers_ppk() => ppk,
        Some(ppk) if ppk.required => return Err(Invalid::authentication(RefusalReason::PpkRequired)),
        _ => {
            prove(ctx, proof)?.push(Role::Initiator, chain);
            return Ok(());
        }
    };
    let without = if ppk.required { None } else { Some(prove(ctx, proof)?) };
    proof.mix(&ppk.secret);
    prove(ctx, proof)?.push(Role::Initiator, chain);
    ppk::push_claim(chain, ppk, without.as_ref().and_then(OwnProof::data));
    Ok(())
}

impl First {
    fn new(session: &Session, ctx: &mut Context<'_>, site: &Site, child: usize) -> Option<Self> {
        let child = site.children.get(child)?;
        let inbound = ctx.new_esp_spi(session.id);
        let Allowed { tsi: remote_ts, tsr: local_ts } = Allowed::between(child, session.path());
        let offer = child_offers(&site.policy, false, inbound);
        Some(Self { inbound, offer, name: child.name.clone(), mode: child.mode, local_ts, remote_ts })
    }

    fn push(&self, chain: &mut ChainBuilder) {
        if self.mode == ChildMode::Transport {
            chain.push(&Payload::Notify(Notify::new(NotifyType::USE_TRANSPORT_MODE, &[])));
        }
        chain.push(&Payload::SecurityAssociation(self.offer.clone()));
        chain.push(&Payload::TsInitiator(TrafficSelectors(self.local_ts.clone())));
        chain.push(&Payload::TsResponder(TrafficSelectors(self.remote_ts.clone())));
    }

    /// The Child SA that the peer has agreed to; with whether it exists there although we do not want it.
    fn made(
        &self,
        session: &Session,
        ctx: &mut Context<'_>,
        sa: &IkeSa,
        proof: &Proof,
        answer: &ChildAnswer,
    ) -> Result<(Child, ChildKeys), (RefusalReason, bool)> {
        let (chosen, tsi, tsr, transport) = match answer {
            ChildAnswer::Made { sa, tsi, tsr, transport } => (sa, tsi, tsr, *transport),
            ChildAnswer::Refused(notify) => return Err((RefusalReason::ChildRefused { notify: *notify }, false)),
            ChildAnswer::Absent => {
                return Err((RefusalReason::Payloads { problem: "SA, TSi or TSr is missing" }, false));
            }
        };
        let (suite, _, outbound) = chosen_child(&self.offer, chosen).ok_or((RefusalReason::NotOffered, true))?;
        if !is_within(tsi, &self.local_ts) || !is_within(tsr, &self.remote_ts) {
            return Err((RefusalReason::Payloads { problem: "the answer widens the traffic selectors" }, true));
        }
        if transport != (self.mode == ChildMode::Transport) {
            return Err((RefusalReason::Mode, true));
        }
        let keys = keys::child(sa.suite.prf, &sa.derive, &suite, None, &proof.nonces());
        let child = Child {
            inbound: self.inbound,
            outbound,
            suite,
            exchange: KeyExchangeOf::IkeAuth,
            name: Some(self.name.clone()),
            mode: self.mode,
            asked_with: None,
            local_ts: tsi.clone(),
            remote_ts: tsr.clone(),
            replaced_until: None,
            is_leaving: false,
            life: Life::begin(ctx, session.timing(ctx.config).child_lifetime),
        };
        // The keys are those of the responder of the exchange, which the peer is here.
        Ok((child, ChildKeys { inbound: keys.outbound, outbound: keys.inbound }))
    }
}

impl Proving {
    fn send_next(&mut self, session: &Session, ctx: &mut Context<'_>) {
        let messages = self.sa.send_next(ctx.now, &session.timing(ctx.config), &mut *ctx.shared.random);
        ctx.send(session.path, messages);
    }

    /// Takes the answer.
    pub(in super::super) fn answer(
        mut self: Box<Self>,
        session: &mut Session,
        ctx: &mut Context<'_>,
        answer: &Message,
    ) -> State {
        let answer = match AuthAnswer::read(answer.first, &answer.chain) {
            Ok(answer) => answer,
            Err(Invalid { reason, .. }) => return self.distrust(session, ctx, *reason),
        };
        if answer.proof.is_none() {
            // The peer has no IKE SA then, section 2.21.2.
            let missing = RefusalReason::Payloads { problem: "AUTH is missing" };
            let refused = |notify| RefusalReason::PeerRefused { notify, protected: true };
            return self.fail(session, ctx, answer.error.map_or(missing, refused), CloseReason::Failed);
        }
        if let Err(reason) = self.verify(session, ctx, &answer) {
            return self.distrust(session, ctx, reason);
        }
        self.establish(session, ctx, &answer)
    }

    /// Whether the peer is who it has to be.
    fn verify(
        &mut self,
        session: &mut Session,
        ctx: &mut Context<'_>,
        answer: &AuthAnswer<'_>,
    ) -> Result<(), RefusalReason> {
        let (id, auth) = answer.proof.ok_or(RefusalReason::Payloads { problem: "AUTH is missing" })?;
        let identity = Identity::parse(id.id_type, id.data).map_err(|_| RefusalReason::Identity)?;
        session.identity = Some(identity.clone());
        if let Some(expected) = self.site.peer_identity.as_ref().filter(|_| !self.site.may_be_called(&identity)) {
            return Err(RefusalReason::OtherPeer { expected: expected.clone(), found: identity });
        }
        match self.site.ppk.as_ref().filter(|_| self.proof.offers_ppk()) {
            Some(ppk) if answer.ppk => {
                self.sa.mix(&ppk.secret);
                session.ppk = true;
            }
            Some(ppk) if ppk.required => return Err(RefusalReason::PpkRequired),
            _ => self.proof.unmix(),
        }
        let id_body = keys::id_body(&id);
        let expected = self.site.peer_identity.as_ref();
        let claim =
            Claim { identity: &identity, expected, id_body: &id_body, certificates: &answer.certificates, auth };
        let proven = proof::verify(ctx, &self.proof, Role::Responder, &claim, &self.site.peer_auth);
        let Proven { by, certificates } = proven.map_err(|invalid| *invalid.reason)?;
        (session.by, session.certificates) = (Some(by), certificates);
        Ok(())
    }

    /// The peer is who it has to be.
    fn establish(self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>, answer: &AuthAnswer<'_>) -> State {
        let Self { sa, proof, site, first, others } = *self;
        session.mobility.agree_as_initiator(site.mobike, &answer.mobike);
        let mut child = None;
        let mut failed = None;
        if let Some(first) = first {
            match first.made(session, ctx, &sa, &proof, &answer.child) {
                Ok((made, keys)) => {
                    child::bring_up(session, ctx, &made, keys, None);
                    child = Some(made);
                }
                Err((reason, exists)) => {
                    ctx.shared.esp_spis.remove(&first.inbound);
                    debug!(session = %session.id, child = &*first.name, "the first Child SA failed");
                    failed = Some((first, reason, exists));
                }
            }
        }
        let mut state = Established::begin(session, ctx, sa, Grant::default(), child.into_iter().collect());
        if let State::Established(state) = &mut state {
            if let Some((first, reason, exists)) = failed {
                session.refuse(ctx, ExchangeType::IKE_AUTH, reason);
                ctx.shared.events.push_back(Event::ChildFailed { session: session.id, child: first.name });
                if exists {
                    state.delete_unwanted(first.inbound);
                }
            }
            state.begin_as_initiator(session, ctx, others, answer.auth_lifetime);
        }
        state
    }

    /// The peer is not who it has to be: it is told to forget the IKE SA that it has.
    fn distrust(mut self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>, reason: RefusalReason) -> State {
        session.refuse(ctx, ExchangeType::IKE_AUTH, reason);
        self.release(ctx);
        session.announce_end(ctx, CloseReason::Failed);
        self.sa.enqueue(OwnRequest::delete(Purpose::DeleteIkeSa, Delete::IkeSa));
        self.send_next(session, ctx);
        Closing::deleting(ctx.now + DELETE_LIFETIME, self.sa)
    }

    /// Ends the attempt from our side. What the peer makes of our request is deleted when its answer comes.
    pub(in super::super) fn close(
        mut self: Box<Self>,
        session: &mut Session,
        ctx: &mut Context<'_>,
        reason: CloseReason,
    ) -> State {
        self.release(ctx);
        session.announce_end(ctx, reason);
        self.sa.enqueue(OwnRequest::delete(Purpose::DeleteIkeSa, Delete::IkeSa));
        Closing::deleting(ctx.now + DELETE_LIFETIME, self.sa)
    }

    fn fail(
        self: Box<Self>,
        session: &mut Session,
        ctx: &mut Context<'_>,
        reason: RefusalReason,
        end: CloseReason,
    ) -> State {
        session.refuse(ctx, ExchangeType::IKE_AUTH, reason);
        self.release(ctx);
        session.announce_end(ctx, end);
        State::Over
    }

    /// The SPI of the Child SA is free again.
    pub(in super::super) fn release(&self, ctx: &mut Context<'_>) {
        if let Some(first) = &self.first {
            ctx.shared.esp_spis.remove(&first.inbound);
        }
    }

    pub(in super::super) fn handle_timeout(mut self: Box<Self>, session: &mut Session, ctx: &mut Context<'_>) -> State {
        match self.sa.due(ctx.now) {
            Due::Nothing => {}
            Due::Again(messages) => {
                ctx.shared.counters.retransmissions_sent += 1;
                ctx.send(session.path, messages);
            }
            Due::Dead => {
                let reason = RefusalReason::TimedOut { waiting_for: "the answer to IKE_AUTH" };
                return self.fail(session, ctx, reason, CloseReason::PeerDead);
            }
        }
        State::Proving(self)
    }

    pub(in super::super) fn timeout(&self) -> Option<Instant> {
        self.sa.timeout()
    }
}
