//! Rekeying that we begin, RFC 7296 sections 1.3, 2.8 and 2.25, and what happens when the client begins at the same moment.
//!
//! ```text
//! soft limit -> CREATE_CHILD_SA -> answer: the new SA is used at once -> DELETE of the old one -> answer: it is gone
//!                     |
//!                     +-- the client rekeys the same SA: of both new SAs the one whose exchange had the lowest nonce
//!                         is redundant; who asked for it deletes it, the other side deletes the old one
//! ```
//!
//! A request repeats exactly the suite that is in use, with a key exchange only if the SA was made with one: there are
//! clients that refuse anything else.

use std::time::{Duration, Instant};

use tracing::debug;

use crate::child_sa::{ChildKeys, ChildSuite};
use crate::crypto::dh::{Group, KeyPair};
use crate::crypto::secret::Secret;
use crate::event::CloseReason;
use crate::proposal::{IkeSuite, child_offer, ike_offer};
use crate::refusal::RefusalReason;
use crate::wire::num::{ExchangeType, NotifyType, ProtocolId};
use crate::wire::v2::{
    ChainBuilder, Delete, KeyExchange, Nonce, Notify, Payload, SecurityAssociation, Spi, TrafficSelector,
    TrafficSelectors,
};
use crate::wire::{EspSpi, IkeSpi};

use super::child::{self, Child};
use super::established::{Established, Replaced};
use super::keys::{self, IkeKeys, Nonces, SpiPair};
use super::life::Life;
use super::request::CreateChildAnswer;
use super::sa::{IkeSa, Message, OwnRequest, Purpose, Role};
use super::{Context, LINGER, Session};

/// Our rekey that is under way.
pub(super) enum Rekeying {
    Child(Box<ChildRekey>),
    Ike(Box<IkeRekey>),
}

/// A Child SA that is to take the place of another.
pub(super) struct ChildRekey {
    /// Inbound SPI of the one that is replaced.
    old: EspSpi,
    inbound: EspSpi,
    suite: ChildSuite,
    group: Option<Group>,
    local_ts: Vec<TrafficSelector>,
    remote_ts: Vec<TrafficSelector>,
    nonce: Vec<u8>,
    pair: Option<KeyPair>,
    rival: Option<Rival>,
}

/// What the client made of the same Child SA in the meantime.
struct Rival {
    lowest_nonce: Vec<u8>,
    inbound: EspSpi,
}

/// An IKE SA that is to take the place of this one.
pub(super) struct IkeRekey {
    spi: IkeSpi,
    nonce: Vec<u8>,
    pair: KeyPair,
    /// The IKE SA that the client made in the meantime, with the lowest nonce of its exchange.
    rival: Option<(Vec<u8>, IkeSa)>,
}

impl Rekeying {
    /// The client's new IKE SA, if it rekeys at the same time.
    pub(super) fn rival(&mut self) -> Option<&mut IkeSa> {
        match self {
            Self::Ike(rekey) => rekey.rival.as_mut().map(|(_, sa)| sa),
            Self::Child(_) => None,
        }
    }

    /// Our SPIs of the IKE SA that we have asked for and of the client's.
    pub(super) fn ike_spis(&self) -> (Option<IkeSpi>, Option<IkeSpi>) {
        match self {
            Self::Ike(rekey) => (Some(rekey.spi), rekey.rival.as_ref().map(|(_, sa)| sa.own_spi())),
            Self::Child(_) => (None, None),
        }
    }
}

/// Why an answer to a rekey of ours leads to no SA.
enum Failure {
    /// Not now.
    Temporary,
    /// The client does not have the SA any more.
    NotFound,
    /// Not at all.
    Refused(RefusalReason),
}

impl Established {
    /// Asks for new SAs in place of those that are due, one at a time.
    pub(super) fn begin_due_rekeys(&mut self, session: &Session, ctx: &mut Context<'_>) {
        if self.is_rekey_blocked() {
            return;
        }
        let is_due = |child: &Child| child.is_in_use() && child.life.is_rekey_due(ctx.now);
        if let Some(at) = self.children.iter().position(is_due) {
            self.begin_child_rekey(session, ctx, at);
        } else if self.life.is_rekey_due(ctx.now) {
            self.begin_ike_rekey(ctx);
        }
    }

    /// Whether a rekey has to wait for something else that is under way.
    pub(super) fn is_rekey_blocked(&self) -> bool {
        self.rekeying.is_some() || self.sa.has_own_request()
    }

    fn begin_child_rekey(&mut self, session: &Session, ctx: &mut Context<'_>, at: usize) {
        let (inbound, nonce) = (ctx.new_esp_spi(session.id), child::new_nonce(ctx));
        let Some(old) = self.children.get_mut(at) else { return };
        old.life.forget_rekey();
        let pair = old.group.map(|group| KeyPair::generate(group, &mut *ctx.shared.random));
        debug!(session = %session.id, spi = %old.inbound, "rekeying a Child SA");
        let mut chain = ChainBuilder::new();
        chain.push(&Payload::Notify(Notify::about_esp(old.inbound, NotifyType::REKEY_SA, &[])));
        chain.push(&Payload::SecurityAssociation(child_offer(&old.suite, old.group, inbound)));
        chain.push(&Payload::Nonce(Nonce(&nonce)));
        if let Some(pair) = &pair {
            chain.push(&Payload::KeyExchange(KeyExchange { group: pair.group().id(), data: pair.public() }));
        }
        chain.push(&Payload::TsInitiator(TrafficSelectors(old.local_ts.clone())));
        chain.push(&Payload::TsResponder(TrafficSelectors(old.remote_ts.clone())));
        self.rekeying = Some(Rekeying::Child(Box::new(ChildRekey {
            old: old.inbound,
            inbound,
            suite: old.suite,
            group: old.group,
            local_ts: old.local_ts.clone(),
            remote_ts: old.remote_ts.clone(),
            nonce,
            pair,
            rival: None,
        })));
        self.enqueue_create(Purpose::RekeyChild, chain);
    }

    fn begin_ike_rekey(&mut self, ctx: &mut Context<'_>) {
        self.life.forget_rekey();
        let (spi, nonce) = (ctx.new_ike_spi(), child::new_nonce(ctx));
        let pair = KeyPair::generate(self.sa.suite.group, &mut *ctx.shared.random);
        let mut chain = ChainBuilder::new();
        chain.push(&Payload::SecurityAssociation(ike_offer(&self.sa.suite, Spi::from(spi))));
        chain.push(&Payload::Nonce(Nonce(&nonce)));
        chain.push(&Payload::KeyExchange(KeyExchange { group: pair.group().id(), data: pair.public() }));
        self.rekeying = Some(Rekeying::Ike(Box::new(IkeRekey { spi, nonce, pair, rival: None })));
        self.enqueue_create(Purpose::RekeyIkeSa, chain);
    }

    fn enqueue_create(&mut self, purpose: Purpose, chain: ChainBuilder) {
        let (first, chain) = chain.finish().expect("one suite is short");
        self.sa.enqueue(OwnRequest { purpose, exchange: ExchangeType::CREATE_CHILD_SA, first, chain });
    }

    /// The client has rekeyed a Child SA that we are rekeying, too.
    pub(super) fn note_child_rival(&mut self, old: EspSpi, inbound: EspSpi, nonces: [&[u8]; 2]) {
        if let Some(Rekeying::Child(rekey)) = &mut self.rekeying
            && rekey.old == old
        {
            rekey.rival = Some(Rival { lowest_nonce: lowest(nonces), inbound });
        }
    }

    /// The client has rekeyed the IKE SA while we do. Gives the new SA back if we don't.
    pub(super) fn note_ike_rival(&mut self, new: IkeSa, nonces: [&[u8]; 2]) -> Option<IkeSa> {
        let Some(Rekeying::Ike(rekey)) = &mut self.rekeying else { return Some(new) };
        rekey.rival = Some((lowest(nonces), new));
        None
    }

    /// The client has answered a rekey of ours.
    pub(super) fn rekey_answer(&mut self, session: &Session, ctx: &mut Context<'_>, answer: &Message) {
        match self.rekeying.take() {
            Some(Rekeying::Child(rekey)) => self.child_answer(session, ctx, *rekey, answer),
            Some(Rekeying::Ike(rekey)) => self.ike_answer(session, ctx, *rekey, answer),
            None => {}
        }
    }

    fn child_answer(&mut self, session: &Session, ctx: &mut Context<'_>, mut rekey: ChildRekey, answer: &Message) {
        let pair = rekey.pair.take();
        match self.new_child(ctx, &rekey, pair, answer) {
            Ok((child, keys, peer_nonce)) => self.take_over(session, ctx, rekey, child, keys, &peer_nonce),
            Err(failure) => {
                ctx.shared.esp_spis.remove(&rekey.inbound);
                if rekey.rival.is_none() {
                    self.child_failed(session, ctx, rekey.old, failure);
                }
            }
        }
    }

    /// The Child SA that the client has agreed to, with its nonce.
    fn new_child(
        &self,
        ctx: &mut Context<'_>,
        rekey: &ChildRekey,
        pair: Option<KeyPair>,
        answer: &Message,
    ) -> Result<(Child, ChildKeys, Vec<u8>), Failure> {
        let answer = CreateChildAnswer::read(answer.first, &answer.chain).map_err(|i| Failure::Refused(*i.reason))?;
        let (sa, nonce, ke, tsi, tsr) = match answer {
            CreateChildAnswer::Child { sa, nonce, ke, tsi, tsr } => (sa, nonce, ke, tsi, tsr),
            CreateChildAnswer::IkeSa { .. } => return Err(problem("TSi and TSr are missing")),
            CreateChildAnswer::Refused(kind) => return Err(Failure::of(kind)),
        };
        let outbound = agreed_spi(&sa, &child_offer(&rekey.suite, rekey.group, rekey.inbound))
            .and_then(|spi| spi.esp())
            .filter(|spi| *spi != EspSpi(0))
            .ok_or(problem("the answer is not the suite that was asked for"))?;
        if !is_within(&tsi, &rekey.local_ts) || !is_within(&tsr, &rekey.remote_ts) {
            return Err(problem("the answer widens the traffic selectors"));
        }
        let shared = agree(pair, ke.as_ref())?;
        let nonces = Nonces { initiator: &rekey.nonce, responder: nonce };
        let keys = keys::child(self.sa.suite.prf, &self.sa.derive, &rekey.suite, shared.as_ref(), &nonces);
        let child = Child {
            inbound: rekey.inbound,
            outbound,
            suite: rekey.suite,
            group: rekey.group,
            local_ts: tsi,
            remote_ts: tsr,
            replaced_until: None,
            is_leaving: false,
            life: Life::begin(ctx, ctx.config.timing.child_lifetime),
        };
        // The keys are those of the responder of the exchange, which the client is here.
        let keys = ChildKeys { inbound: keys.outbound, outbound: keys.inbound };
        Ok((child, keys, nonce.to_vec()))
    }

    /// The new Child SA is up. It sends at once, since the client has it already; unless it lost against the client's.
    fn take_over(
        &mut self,
        session: &Session,
        ctx: &mut Context<'_>,
        rekey: ChildRekey,
        child: Child,
        keys: ChildKeys,
        peer_nonce: &[u8],
    ) {
        let own = lowest([&rekey.nonce, peer_nonce]);
        let winner = rekey.rival.filter(|rival| own < rival.lowest_nonce).map(|rival| rival.inbound);
        child::bring_up(session, ctx, &child, keys, winner);
        let redundant = if winner.is_some() { child.inbound } else { rekey.old };
        self.children.push(child);
        self.delete_child(redundant);
    }

    /// Asks the client to forget a Child SA. It still receives until the answer.
    fn delete_child(&mut self, inbound: EspSpi) {
        if let Some(child) = self.children.iter_mut().find(|child| child.inbound == inbound) {
            (child.is_leaving, child.replaced_until) = (true, None);
            child.life.forget_rekey();
            let delete = Delete::ChildSas { protocol: ProtocolId::ESP, spis: vec![inbound] };
            self.enqueue_delete(Purpose::DeleteChild, delete);
        }
    }

    fn child_failed(&mut self, session: &Session, ctx: &mut Context<'_>, old: EspSpi, failure: Failure) {
        let Some(at) = self.children.iter().position(|child| child.inbound == old) else { return };
        match failure {
            Failure::NotFound => drop(self.take_down(session.id, ctx, at)),
            Failure::Temporary => self.retry_child(ctx, at),
            Failure::Refused(reason) => {
                session.refuse(ctx, ExchangeType::CREATE_CHILD_SA, reason);
                self.retry_child(ctx, at);
            }
        }
    }

    fn retry_child(&mut self, ctx: &mut Context<'_>, at: usize) {
        let wait = ctx.retry_wait();
        if let Some(child) = self.children.get_mut(at) {
            child.life.rekey_after(ctx.now, wait);
        }
    }

    fn ike_answer(&mut self, session: &Session, ctx: &mut Context<'_>, rekey: IkeRekey, answer: &Message) {
        let IkeRekey { spi, nonce, pair, rival } = rekey;
        match (self.new_ike_sa(spi, &nonce, pair, answer), rival) {
            (Ok((new, peer_nonce)), Some((lowest_of_rival, rival))) => {
                if lowest([&nonce, &peer_nonce]) < lowest_of_rival {
                    self.switch_to(session, ctx, rival, Who::Client);
                    self.leave(ctx, new, Who::Us);
                } else {
                    self.switch_to(session, ctx, new, Who::Us);
                    self.leave(ctx, rival, Who::Client);
                }
            }
            (Ok((new, _)), None) => self.switch_to(session, ctx, new, Who::Us),
            (Err(_), Some((_, rival))) => self.switch_to(session, ctx, rival, Who::Client),
            (Err(failure), None) => {
                if let Failure::Refused(reason) = failure {
                    session.refuse(ctx, ExchangeType::CREATE_CHILD_SA, reason);
                }
                let wait = ctx.retry_wait();
                self.life.rekey_after(ctx.now, wait);
            }
        }
    }

    fn new_ike_sa(
        &self,
        spi: IkeSpi,
        nonce: &[u8],
        pair: KeyPair,
        answer: &Message,
    ) -> Result<(IkeSa, Vec<u8>), Failure> {
        let answer = CreateChildAnswer::read(answer.first, &answer.chain).map_err(|i| Failure::Refused(*i.reason))?;
        let (sa, peer_nonce, ke) = match answer {
            CreateChildAnswer::IkeSa { sa, nonce, ke } => (sa, nonce, ke),
            CreateChildAnswer::Child { .. } => return Err(problem("TSi in an answer about the IKE SA")),
            CreateChildAnswer::Refused(kind) => return Err(Failure::of(kind)),
        };
        let suite: IkeSuite = self.sa.suite;
        let responder = agreed_spi(&sa, &ike_offer(&suite, Spi::from(spi)))
            .and_then(|spi| spi.ike())
            .filter(|spi| *spi != IkeSpi([0; 8]))
            .ok_or(problem("the answer is not the suite that was asked for"))?;
        let shared = agree(Some(pair), Some(&ke))?.ok_or(problem("KE is missing"))?;
        let spis = SpiPair { initiator: spi, responder };
        let nonces = Nonces { initiator: nonce, responder: peer_nonce };
        let keys = IkeKeys::rekeyed(suite.prf, &self.sa.derive, &suite, &shared, &nonces, spis);
        let new = IkeSa::new(Role::Initiator, spis, suite, keys.sa, self.sa.fragmentation(), 0);
        Ok((new, peer_nonce.to_vec()))
    }

    /// The session goes on with another IKE SA; `deleter` ends the old one.
    pub(super) fn switch_to(&mut self, session: &Session, ctx: &mut Context<'_>, new: IkeSa, deleter: Who) {
        debug!(session = %session.id, spi = %new.own_spi(), suite = %new.suite, "IKE SA is rekeyed");
        let old = std::mem::replace(&mut self.sa, new);
        self.life = Life::begin(ctx, ctx.config.timing.ike_lifetime);
        self.leave(ctx, old, deleter);
    }

    /// Both sides rekey the IKE SA, and the client deletes the old one before its answer to us arrives: it knows already that
    /// its own new SA is the one that is left.
    pub(super) fn goes_on_with_rival(&mut self, session: &Session, ctx: &mut Context<'_>) -> bool {
        let Some(Rekeying::Ike(rekey)) = &mut self.rekeying else { return false };
        let Some((_, rival)) = rekey.rival.take() else { return false };
        self.rekeying = None;
        session.answer(ctx, &mut self.sa, ChainBuilder::new());
        self.switch_to(session, ctx, rival, Who::Client);
        true
    }

    /// Keeps an IKE SA that is not used any more until `deleter` has deleted it.
    fn leave(&mut self, ctx: &mut Context<'_>, mut sa: IkeSa, deleter: Who) {
        sa.forget_own_requests();
        if deleter == Who::Us {
            sa.enqueue(OwnRequest::delete(Purpose::DeleteIkeSa, Delete::IkeSa));
        }
        self.replaced.push(Replaced { sa, until: ctx.now + ctx.config.timing.replaced });
    }

    /// An IKE SA that is not in use was deleted by one side; it still answers copies of the last request.
    pub(super) fn other_sa_is_deleted(&mut self, now: Instant, spi: IkeSpi) {
        if let Some(replaced) = self.replaced.iter_mut().find(|replaced| replaced.sa.own_spi() == spi) {
            replaced.until = replaced.until.min(now + LINGER);
        }
    }

    /// A Child SA or the IKE SA has reached its hard limit although we tried to replace it.
    pub(super) fn end_of_life(&mut self, session: &Session, ctx: &mut Context<'_>) -> Option<CloseReason> {
        if self.life.is_over(ctx.now) {
            return Some(CloseReason::Expired);
        }
        let is_over = |child: &Child| child.life.is_over(ctx.now);
        let over: Vec<EspSpi> =
            self.children.iter().filter(|child| is_over(child)).map(|child| child.inbound).collect();
        for inbound in over {
            if let Some(at) = self.children.iter().position(|child| child.inbound == inbound) {
                self.take_down(session.id, ctx, at);
                let delete = Delete::ChildSas { protocol: ProtocolId::ESP, spis: vec![inbound] };
                self.enqueue_delete(Purpose::DeleteChild, delete);
            }
        }
        None
    }
}

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Us,
    Client,
}

impl Failure {
    fn of(kind: NotifyType) -> Self {
        match kind {
            NotifyType::TEMPORARY_FAILURE => Self::Temporary,
            NotifyType::CHILD_SA_NOT_FOUND => Self::NotFound,
            kind => Self::Refused(RefusalReason::RekeyRefused { notify: kind }),
        }
    }
}

impl Context<'_> {
    /// A pause before the next attempt: the configured one, or up to half longer.
    fn retry_wait(&mut self) -> Duration {
        let mut octet = [0];
        self.shared.random.fill(&mut octet);
        let wait = self.config.timing.rekey_retry;
        wait + wait.mul_f64(f64::from(octet[0]) / 512.0)
    }
}

fn problem(problem: &'static str) -> Failure {
    Failure::Refused(RefusalReason::Payloads { problem })
}

fn lowest(nonces: [&[u8]; 2]) -> Vec<u8> {
    let [one, other] = nonces;
    one.min(other).to_vec()
}

/// The client's SPI, if its answer is exactly the one suite that was offered.
fn agreed_spi(answer: &SecurityAssociation, offer: &SecurityAssociation) -> Option<Spi> {
    let ([answer], [offer]) = (answer.proposals.as_slice(), offer.proposals.as_slice()) else { return None };
    let is_same = answer.number == offer.number
        && answer.protocol == offer.protocol
        && answer.transforms.len() == offer.transforms.len()
        && offer.transforms.iter().all(|transform| answer.transforms.contains(transform));
    is_same.then_some(answer.spi)
}

fn agree(pair: Option<KeyPair>, ke: Option<&KeyExchange<'_>>) -> Result<Option<Secret>, Failure> {
    let Some(pair) = pair else { return Ok(None) };
    let ke = ke.filter(|ke| ke.group == pair.group().id()).ok_or(problem("KE is missing or of another group"))?;
    pair.agree(ke.data).map(Some).map_err(|_| Failure::Refused(RefusalReason::KeyExchange))
}

fn is_within(narrower: &[TrafficSelector], wider: &[TrafficSelector]) -> bool {
    !narrower.is_empty() && narrower.iter().all(|part| wider.iter().any(|whole| whole.contains(part)))
}
