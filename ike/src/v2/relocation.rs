//! The requests of ours that MOBIKE needs: that our addresses have changed (RFC 4555 section 3.5), whether the peer is where it
//! says (section 3.7), and whether a translator on the way has forgotten us (section 3.8).
//!
//! Such a request is made when it can go out, not before: by then the session may have moved again, or have another IKE SA.
//!
//! A peer that has rekeyed the IKE SA and does not get our answer has only the old one, and repeats its request to an address that
//! we may have left. Until it was heard on the new one, it is told of our addresses on both.
//!
//! Does not: decide where to go (the server does), except among the addresses that the peer has told (section 3.4).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tracing::debug;

use crate::child_sa::ChildMode;
use crate::config::Timing;
use crate::event::Path;
use crate::nat::NatStatus;
use crate::refusal::RefusalReason;
use crate::wire::IkeSpi;
use crate::wire::num::{ExchangeType, NotifyType};
use crate::wire::v2::{ChainBuilder, Notify, Payload};

use super::established::{Established, Replaced};
use super::keys::SpiPair;
use super::mobike::{Mobike, untranslated};
use super::request::Informational;
use super::sa::{Message, OwnRequest, Purpose};
use super::{Context, Session};

/// Length of our COOKIE2 in bytes.
const COOKIE_LEN: usize = 16;

/// How often a request is sent to an address that the peer did not use so far.
const TRANSMISSIONS_ELSEWHERE: u32 = 2;

/// A peer that has moved has to show that it is where it says within this time, however often it moves again. Twice as long as
/// the transmissions of a request take.
const PROOF_TIME: Duration = Duration::from_secs(120);

/// So many refusals of our addresses one after the other may be a limit of the peer's that passes.
const MAX_REFUSALS: u32 = 4;

/// Pause after a refusal.
const REFUSAL_PAUSE: Duration = Duration::from_secs(3);

/// What is to be asked about the path, and what was.
#[derive(Default)]
pub(super) struct Relocation {
    /// The peer is to be told of our addresses.
    update_wanted: bool,
    /// The peer is to show that it receives what we send.
    check_wanted: bool,
    asked: Option<Asked>,
    /// The peer has not shown yet that it is where we send to.
    unproven: Option<Unproven>,
    /// Where it was to be and did not answer.
    doubted: Option<Place>,
    /// How often in a row the peer has refused our addresses, and when it is to be told of them again.
    refusals: u32,
    again: Option<Instant>,
    /// The generation of the IKE SA on which the peer has told last of its addresses.
    told_in: u32,
    /// How the peer saw our address last, in which IKE SA.
    seen: Option<(IkeSpi, Vec<u8>)>,
    /// Addresses of the peer that were tried since it was last heard.
    tried: Vec<IpAddr>,
    /// A site that began was silent for the whole time once since.
    was_silent: bool,
}

/// A request that is on its way.
struct Asked {
    /// Our SPI of its IKE SA.
    sa: IkeSpi,
    purpose: Purpose,
    /// [`Mobility::moves`](super::mobike::Mobility::moves) at that time.
    moves: u32,
    cookie: [u8; COOKIE_LEN],
}

/// The path in use is one that the peer has told of, and nothing else speaks for it.
struct Unproven {
    /// The last one on which the peer was for sure.
    proven: Place,
    /// When what is on its way is sent once more, since its next transmission may be far away by then.
    again: Option<Instant>,
    until: Instant,
}

/// A path, and the address translation on it.
pub(super) type Place = (Path, NatStatus);

impl Relocation {
    /// Repeats what the peer has refused, if it is time.
    pub(super) fn wake(&mut self, now: Instant) {
        if self.again.take_if(|again| *again <= now).is_some() {
            self.update_wanted = true;
        }
    }

    /// Where to go back to if the peer has had time enough to show that it is where we send to.
    pub(super) fn disproven(&mut self, now: Instant) -> Option<Place> {
        self.unproven.take_if(|unproven| unproven.until <= now).map(|unproven| unproven.proven)
    }

    /// Whether half of that time is over.
    pub(super) fn is_half_disproven(&mut self, now: Instant) -> bool {
        self.unproven.as_mut().is_some_and(|unproven| unproven.again.take_if(|again| *again <= now).is_some())
    }

    /// Whether the peer has yet to show that it is where we send to.
    pub(super) fn is_unproven(&self) -> bool {
        self.unproven.is_some()
    }

    /// When [`Relocation::wake`] and [`Relocation::disproven`] are due.
    pub(super) fn timeouts(&self) -> impl Iterator<Item = Instant> {
        let proof = self.unproven.as_ref().map(|unproven| unproven.again.unwrap_or(unproven.until));
        self.again.into_iter().chain(proof)
    }

    fn want(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::UpdateAddresses => self.update_wanted = true,
            _ => self.check_wanted = true,
        }
    }

    /// Whether the peer has yet to confirm our addresses.
    fn is_updating(&self) -> bool {
        self.update_wanted || self.asked.as_ref().is_some_and(|asked| asked.purpose == Purpose::UpdateAddresses)
    }

    /// Whether something newer has come on a later IKE SA than the one of this generation (RFC 4555 section 3.5).
    fn is_outdated(&mut self, generation: u32) -> bool {
        self.told_in = self.told_in.max(generation);
        generation < self.told_in
    }
}

impl Established {
    /// Takes the MOBIKE part of a request; what its answer has to say.
    pub(super) fn take_mobike(
        &mut self,
        session: &mut Session,
        ctx: &mut Context<'_>,
        request: &Mobike<'_>,
        on_replaced: Option<IkeSpi>,
    ) -> ChainBuilder {
        let other = on_replaced.and_then(|spi| self.other_sa(spi).map(|sa| (sa.spis, sa.generation())));
        let (spis, generation) = other.unwrap_or((self.sa.spis, self.sa.generation()));
        let has_transport = self.has_transport();
        let mut request = request.clone();
        if request.update && self.relocation.is_outdated(generation) {
            (request.update, request.additional) = (false, None);
        }
        let before = (session.path, session.nat);
        let (chain, has_moved) = session.mobike_request(ctx, spis, &request, has_transport);
        if has_moved {
            self.must_be_proven(session, ctx.now, before);
            self.resend(session, ctx);
        }
        chain
    }

    /// The peer is to show that it is where its packets come from; `before` is where it was.
    pub(super) fn asks_for_proof(&mut self, session: &Session, ctx: &mut Context<'_>, before: Place) {
        self.must_be_proven(session, ctx.now, before);
        self.resend(session, ctx);
        self.send_next(session, ctx);
    }

    fn must_be_proven(&mut self, session: &Session, now: Instant, before: Place) {
        self.relocation.check_wanted = true;
        let begins = Unproven { proven: before, again: Some(now + PROOF_TIME / 2), until: now + PROOF_TIME };
        let unproven = self.relocation.unproven.take().unwrap_or(begins);
        self.relocation.unproven = Some(unproven).filter(|unproven| unproven.proven.0 != session.path);
    }

    /// The peer is not where it has said: the session goes on where it was for sure. Whether that happens for the second time, without
    /// anything proven in between.
    pub(super) fn goes_back(&mut self, session: &mut Session, ctx: &mut Context<'_>, (path, nat): Place) -> bool {
        debug!(session = %session.id, from = %session.path.peer, peer = %path.peer, "nobody has answered at the new address");
        let doubted = (session.path, session.nat);
        session.move_to(ctx, path, nat);
        self.resend(session, ctx);
        self.relocation.doubted.replace(doubted).is_some()
    }

    /// The peer is heard from `path`. If that is where it did not answer, the session goes there again, and it gets a second chance.
    pub(super) fn hears_from(&mut self, session: &mut Session, ctx: &mut Context<'_>, path: Path) {
        let Some((_, nat)) = self.relocation.doubted.filter(|(doubted, _)| *doubted == path) else { return };
        let before = (session.path, session.nat);
        session.move_to(ctx, path, nat);
        self.must_be_proven(session, ctx.now, before);
        self.resend(session, ctx);
    }

    /// Whether a Child SA is bound to the addresses of the IKE SA.
    pub(super) fn has_transport(&self) -> bool {
        self.children.iter().any(|child| child.mode == ChildMode::Transport)
    }

    /// Our own addresses have changed, or the server has another reason to leave the path.
    pub(super) fn relocate(&mut self, session: &mut Session, ctx: &mut Context<'_>, path: Path) {
        if !session.mobility.is_ours() || path == session.path {
            return;
        }
        session.move_to(ctx, path, session.nat);
        self.relocation.tried.clear();
        (self.relocation.refusals, self.relocation.again) = (0, None);
        self.relocation.update_wanted = true;
        self.resend(session, ctx);
        self.send_next(session, ctx);
    }

    /// What is on its way goes along the new path, too.
    pub(super) fn resend(&mut self, session: &Session, ctx: &mut Context<'_>) {
        let timing = session.timing(ctx.config);
        self.resend_with(session, ctx, &timing);
    }

    fn resend_with(&mut self, session: &Session, ctx: &mut Context<'_>, timing: &Timing) {
        for sa in std::iter::once(&mut self.sa).chain(self.replaced.iter_mut().map(|replaced| &mut replaced.sa)) {
            let messages = sa.resend(ctx.now, timing);
            ctx.shared.counters.retransmissions_sent += u64::from(!messages.is_empty());
            ctx.send(session.path, messages);
        }
    }

    /// Puts what is to be asked about the path before all other requests, if one can go out now.
    pub(super) fn prepare_path_request(&mut self, session: &Session, ctx: &mut Context<'_>) {
        let spi = self.sa.own_spi();
        if let Some(lost) = self.relocation.asked.take_if(|asked| asked.sa != spi) {
            self.relocation.want(lost.purpose);
        }
        let purpose = match &self.relocation {
            Relocation { update_wanted: true, .. } => Purpose::UpdateAddresses,
            Relocation { check_wanted: true, .. } => Purpose::PathCheck,
            _ => return,
        };
        if self.sa.has_outstanding() {
            return;
        }
        let mut cookie = [0; COOKIE_LEN];
        ctx.shared.random.fill(&mut cookie);
        let mut chain = ChainBuilder::new();
        if purpose == Purpose::UpdateAddresses {
            push_update(session, ctx, self.sa.spis, &mut chain);
        }
        chain.push(&Payload::Notify(Notify::new(NotifyType::COOKIE2, &cookie)));
        self.sa.enqueue_first(OwnRequest::informational(purpose, chain));
        // An answer to the one is an answer to the other.
        (self.relocation.update_wanted, self.relocation.check_wanted) = (false, false);
        self.relocation.asked = Some(Asked { sa: spi, purpose, moves: session.mobility.moves(), cookie });
    }

    /// Tells the peer of our addresses on the IKE SA that may be the only one it has. What it answers there does not matter, only
    /// that it knows where to send its requests again.
    pub(super) fn tell_on_replaced(&mut self, session: &Session, ctx: &Context<'_>) {
        if !session.mobility.is_ours() || !self.relocation.is_updating() {
            return;
        }
        let now = Some(session.mobility.moves());
        for Replaced { sa, told, .. } in self.replaced.iter_mut().filter(|replaced| replaced.peer_may_use) {
            if *told != now && !sa.has_own_request() {
                let mut chain = ChainBuilder::new();
                push_update(session, ctx, sa.spis, &mut chain);
                sa.enqueue(OwnRequest::informational(Purpose::UpdateAddresses, chain));
                *told = now;
            }
        }
    }

    /// A question whether the peer lives; from behind a translator also whether that still knows us.
    pub(super) fn probe(&self, session: &Session, ctx: &Context<'_>) -> OwnRequest {
        let mut chain = ChainBuilder::new();
        if session.mobility.is_ours() && session.nat.self_behind {
            session.push_hashes(ctx, self.sa.spis, session.path, &mut chain);
        }
        OwnRequest::informational(Purpose::Liveness, chain)
    }

    /// Takes the answer to a question about the path or about life.
    pub(super) fn path_answer(
        &mut self,
        session: &mut Session,
        ctx: &mut Context<'_>,
        purpose: Purpose,
        answer: &Message,
    ) -> Result<(), RefusalReason> {
        let answer = match Informational::read(answer.first, &answer.chain) {
            Ok(answer) => answer.mobike,
            // The peer lives; nothing else was asked.
            Err(invalid) if purpose == Purpose::Liveness => {
                session.refuse(ctx, ExchangeType::INFORMATIONAL, *invalid.reason);
                return Ok(());
            }
            Err(invalid) => return Err(*invalid.reason),
        };
        let asked = self.relocation.asked.take_if(|asked| asked.purpose == purpose);
        if let Some(asked) = asked {
            if answer.cookie2 != Some(&asked.cookie) {
                return Err(RefusalReason::PathCheck);
            }
            // The answer does not tell which path it is about, even if we are back on the one where the request was made.
            if asked.moves != session.mobility.moves() {
                self.relocation.want(purpose);
                return Ok(());
            }
            if let Some(notify) = answer.refusal {
                return self.is_refused(ctx.now, notify);
            }
            (self.relocation.refusals, self.relocation.unproven, self.relocation.doubted) = (0, None, None);
        }
        self.note_translation(session, ctx, purpose, &answer);
        Ok(())
    }

    /// The peer does not go where we are. It may, if that is only because we have moved too often (RFC 4555 section 3.5).
    fn is_refused(&mut self, now: Instant, notify: NotifyType) -> Result<(), RefusalReason> {
        let may_pass = notify == NotifyType::UNACCEPTABLE_ADDRESSES && !self.has_transport();
        self.relocation.refusals += 1;
        if !may_pass || self.relocation.refusals >= MAX_REFUSALS {
            return Err(RefusalReason::AddressesRefused { notify });
        }
        self.relocation.again = Some(now + REFUSAL_PAUSE);
        Ok(())
    }

    /// How the peer sees the addresses of the path.
    fn note_translation(
        &mut self,
        session: &mut Session,
        ctx: &mut Context<'_>,
        purpose: Purpose,
        answer: &Mobike<'_>,
    ) {
        let Some(told) = answer.nat.destination.filter(|_| session.mobility.is_ours() && answer.nat.are_there()) else {
            return;
        };
        let (spis, own) = (self.sa.spis, self.sa.own_spi());
        let seen = Some((own, told.to_vec()));
        let before = std::mem::replace(&mut self.relocation.seen, seen);
        if purpose == Purpose::UpdateAddresses {
            session.move_to(ctx, session.path, NatStatus::of(&answer.nat, spis, session.path));
        } else if before.is_none_or(|(spi, hash)| spi != own || hash != told) {
            // Without a view to compare with, one exchange too many does no harm.
            debug!(session = %session.id, "the peer may see us at another address than before");
            self.relocation.update_wanted = true;
        }
    }

    /// The path is broken: tries the next address that the peer has told. Whether there is one.
    pub(super) fn tries_elsewhere(&mut self, session: &mut Session, ctx: &mut Context<'_>) -> bool {
        if !session.mobility.is_ours() {
            return false;
        }
        self.relocation.tried.push(session.path.peer.ip());
        let Path { local, peer } = session.path;
        let is_new = |ip: &&IpAddr| ip.is_ipv4() == local.is_ipv4() && !self.relocation.tried.contains(ip);
        // What is behind the peer is reached through the tunnel, which is broken, too.
        let is_outside = |ip: &&IpAddr| !self.children.iter().any(|child| child.reaches(**ip));
        let additional = session.mobility.additional().iter();
        let Some(next) = additional.filter(is_new).find(is_outside).copied() else { return false };
        debug!(session = %session.id, from = %peer, peer = %next, "the path is broken: another address of the peer");
        session.set_path(Path { local, peer: SocketAddr::new(next, peer.port()) });
        // The peer has been silent for the whole time that it may be: now each address gets a short look.
        let timing = Timing { transmissions: TRANSMISSIONS_ELSEWHERE, ..session.timing(ctx.config) };
        self.resend_with(session, ctx, &timing);
        true
    }

    /// The site that began notices at the same time as we that the path is broken. It gets as much time once more, to turn to
    /// another address of ours.
    pub(super) fn gives_time(&mut self, session: &Session) -> bool {
        let may_turn = session.site().is_some() && session.mobility.is_agreed() && !session.mobility.is_ours();
        may_turn && !std::mem::replace(&mut self.relocation.was_silent, true)
    }

    /// The peer has answered; if at another of its addresses, the session moves there.
    pub(super) fn arrived_elsewhere(&mut self, session: &mut Session, ctx: &mut Context<'_>) {
        self.relocation.was_silent = false;
        if std::mem::take(&mut self.relocation.tried).is_empty() {
            return;
        }
        session.has_arrived(ctx);
        self.relocation.update_wanted = true;
    }
}

/// Appends that our addresses are those of the path, in an IKE SA with these SPIs (RFC 4555 section 3.5).
fn push_update(session: &Session, ctx: &Context<'_>, spis: SpiPair, chain: &mut ChainBuilder) {
    chain.push(&Payload::Notify(Notify::new(NotifyType::UPDATE_SA_ADDRESSES, &[])));
    if session.nat.supported {
        return session.push_hashes(ctx, spis, session.path, chain);
    }
    let ends = untranslated(session.path.local, session.path.peer);
    chain.push(&Payload::Notify(Notify::new(NotifyType::NO_NATS_ALLOWED, &ends)));
}
