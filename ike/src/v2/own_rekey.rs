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

use crate::crypto::dh::KeyPair;
use crate::crypto::secret::Secret;
use crate::event::CloseReason;
use crate::proposal::{IkeSuite, ike_offer};
use crate::refusal::RefusalReason;
use crate::wire::num::{ExchangeType, NotifyType, ProtocolId};
use crate::wire::v2::{ChainBuilder, Delete, KeyExchange, Nonce, Payload, SecurityAssociation, Spi};
use crate::wire::{EspSpi, IkeSpi};

use super::child::{self, Child};
use super::established::{Established, Replaced};
use super::keys::{IkeKeys, Nonces, SpiPair};
use super::life::Life;
use super::own_child::ChildRequest;
use super::request::CreateChildAnswer;
use super::sa::{IkeSa, Message, OwnRequest, Purpose, Role};
use super::{Context, LINGER, Session};

/// IKE SAs that are kept after others took their place. If there are more, those that are deleted go first, and last one that
/// the peer may still use.
const MAX_REPLACED: usize = 4;

/// Our CREATE_CHILD_SA that is under way.
pub(super) enum Rekeying {
    Child(Box<ChildRequest>),
    Ike(Box<IkeRekey>),
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
pub(super) enum Failure {
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
        } else if !self.begin_wanted_child(session, ctx) && self.life.is_rekey_due(ctx.now) {
            self.begin_ike_rekey(ctx);
        }
    }

    /// Does what waits for the window of our requests.
    pub(super) fn go_on(&mut self, session: &Session, ctx: &mut Context<'_>) {
        self.begin_due_rekeys(session, ctx);
        self.send_next(session, ctx);
    }

    /// Rekeys the IKE SA now.
    pub(super) fn rekey_ike(&mut self, session: &Session, ctx: &mut Context<'_>) {
        if !matches!(self.rekeying, Some(Rekeying::Ike(_))) {
            self.life.rekey_after(ctx.now, Duration::ZERO);
        }
        self.go_on(session, ctx);
    }

    /// Whether a rekey has to wait for something else that is under way.
    pub(super) fn is_rekey_blocked(&self) -> bool {
        self.rekeying.is_some() || self.sa.has_own_request()
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

    pub(super) fn enqueue_create(&mut self, purpose: Purpose, chain: ChainBuilder) {
        let (first, chain) = chain.finish().expect("one suite is short");
        self.sa.enqueue(OwnRequest { purpose, exchange: ExchangeType::CREATE_CHILD_SA, first, chain });
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

    fn ike_answer(&mut self, session: &Session, ctx: &mut Context<'_>, rekey: IkeRekey, answer: &Message) {
        let IkeRekey { spi, nonce, pair, rival } = rekey;
        match (self.new_ike_sa(spi, &nonce, pair, answer), rival) {
            (Ok((new, peer_nonce)), Some((lowest_of_rival, rival))) => {
                if lowest([&nonce, &peer_nonce]) < lowest_of_rival {
                    self.switch_to(session, ctx, rival, Who::Client);
                    self.leave(session, ctx, new, Who::Us);
                } else {
                    self.switch_to(session, ctx, new, Who::Us);
                    self.leave(session, ctx, rival, Who::Client);
                }
            }
            (Ok((new, _)), None) => self.switch_to(session, ctx, new, Who::Us),
            (Err(_), Some((_, rival))) => self.switch_to(session, ctx, rival, Who::Client),
            (Err(failure), None) => {
                if let Failure::Refused(reason) = failure {
                    session.refuse(ctx, ExchangeType::CREATE_CHILD_SA, reason);
                }
                let wait = ctx.retry_wait(session);
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
            CreateChildAnswer::Refused(kind, _) => return Err(Failure::of(kind)),
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
        let new = IkeSa::rekeyed(Role::Initiator, spis, suite, keys.sa, &self.sa);
        Ok((new, peer_nonce.to_vec()))
    }

    /// The session goes on with another IKE SA; `deleter` ends the old one.
    pub(super) fn switch_to(&mut self, session: &Session, ctx: &mut Context<'_>, new: IkeSa, deleter: Who) {
        debug!(session = %session.id, spi = %new.own_spi(), suite = %new.suite, "IKE SA is rekeyed");
        let mut old = std::mem::replace(&mut self.sa, new);
        self.sa.take_over_requests(&mut old);
        self.life = Life::begin(ctx, session.timing(ctx.config).ike_lifetime);
        self.leave(session, ctx, old, deleter);
        if let Some(replaced) = self.replaced.last_mut().filter(|_| deleter == Who::Client) {
            replaced.peer_may_use = true;
        }
    }

    /// Both sides rekey the IKE SA, and the client deletes the old one before its answer to us arrives: it knows already that
    /// its own new SA is the one that is left.
    pub(super) fn goes_on_with_rival(&mut self, session: &Session, ctx: &mut Context<'_>) -> bool {
        let Some(Rekeying::Ike(rekey)) = &mut self.rekeying else { return false };
        let Some((_, rival)) = rekey.rival.take() else { return false };
        self.rekeying = None;
        session.answer(ctx, &mut self.sa, ChainBuilder::new());
        self.switch_to(session, ctx, rival, Who::Client);
        self.peer_has_followed();
        true
    }

    /// Both sides rekey the IKE SA, and a request comes on the client's new one before its answer to us arrives: it knows already
    /// that this is the one that is left. Gives back the SPI of the message's IKE SA if that is another one.
    pub(super) fn settle_rival(
        &mut self,
        session: &Session,
        ctx: &mut Context<'_>,
        other: Option<IkeSpi>,
    ) -> Option<IkeSpi> {
        let spi = other?;
        let Some(Rekeying::Ike(rekey)) = &mut self.rekeying else { return Some(spi) };
        let Some((_, rival)) = rekey.rival.take_if(|(_, rival)| rival.own_spi() == spi) else { return Some(spi) };
        self.rekeying = None;
        self.switch_to(session, ctx, rival, Who::Client);
        None
    }

    /// Both sides rekey the IKE SA, and the client deletes its own new one before its answer to us arrives: it knows already that
    /// ours is the one that is left. If ours cannot be the one, the DELETE is meant for the session.
    pub(super) fn drop_rival(&mut self, session: &Session, ctx: &mut Context<'_>, other: Option<IkeSpi>) {
        let Some(Rekeying::Ike(rekey)) = &mut self.rekeying else { return };
        let nonce = &rekey.nonce;
        let is_lost = |(lowest_of_rival, rival): &mut (Vec<u8>, IkeSa)| {
            Some(rival.own_spi()) == other && *nonce >= *lowest_of_rival
        };
        if let Some((_, rival)) = rekey.rival.take_if(is_lost) {
            self.leave(session, ctx, rival, Who::Client);
        }
    }

    /// Keeps an IKE SA that is not used any more until `deleter` has deleted it.
    fn leave(&mut self, session: &Session, ctx: &mut Context<'_>, mut sa: IkeSa, deleter: Who) {
        match deleter {
            Who::Us => {
                sa.forget_own_requests();
                sa.enqueue(OwnRequest::delete(Purpose::DeleteIkeSa, Delete::IkeSa));
            }
            Who::Client => sa.forget_waiting_requests(),
        }
        if self.replaced.len() >= MAX_REPLACED {
            let rank = |(_, replaced): &(usize, &Replaced)| (replaced.peer_may_use, replaced.until);
            let first = self.replaced.iter().enumerate().min_by_key(rank).map(|(at, _)| at);
            if let Some(at) = first {
                self.replaced.remove(at);
            }
        }
        let until = ctx.now + session.timing(ctx.config).replaced;
        self.replaced.push(Replaced { sa, until, peer_may_use: false, told: None });
    }

    /// The peer was heard on the IKE SA in use: it has it, and has no use for requests on those that came before.
    pub(super) fn peer_has_followed(&mut self) {
        self.replaced.iter_mut().for_each(Replaced::is_confirmed);
    }

    /// An IKE SA that is not in use was deleted by one side; it still answers copies of the last request.
    pub(super) fn other_sa_is_deleted(&mut self, now: Instant, spi: IkeSpi) {
        if let Some(replaced) = self.replaced.iter_mut().find(|replaced| replaced.sa.own_spi() == spi) {
            replaced.is_confirmed();
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
    pub(super) fn of(kind: NotifyType) -> Self {
        match kind {
            NotifyType::TEMPORARY_FAILURE => Self::Temporary,
            NotifyType::CHILD_SA_NOT_FOUND => Self::NotFound,
            kind => Self::Refused(RefusalReason::RekeyRefused { notify: kind }),
        }
    }
}

impl Context<'_> {
    /// A pause before the next attempt: the configured one, or up to half longer.
    pub(super) fn retry_wait(&mut self, session: &Session) -> Duration {
        let mut octet = [0];
        self.shared.random.fill(&mut octet);
        let wait = session.timing(self.config).rekey_retry;
        wait + wait.mul_f64(f64::from(octet[0]) / 512.0)
    }
}

pub(super) fn problem(problem: &'static str) -> Failure {
    Failure::Refused(RefusalReason::Payloads { problem })
}

pub(super) fn lowest(nonces: [&[u8]; 2]) -> Vec<u8> {
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

pub(super) fn agree(pair: Option<KeyPair>, ke: Option<&KeyExchange<'_>>) -> Result<Option<Secret>, Failure> {
    let Some(pair) = pair else { return Ok(None) };
    let ke = ke.filter(|ke| ke.group == pair.group().id()).ok_or(problem("KE is missing or of another group"))?;
    pair.agree(ke.data).map(Some).map_err(|_| Failure::Refused(RefusalReason::KeyExchange))
}
