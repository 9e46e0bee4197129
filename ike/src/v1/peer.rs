//! One client: a session with its ISAKMP SAs and Child SAs.
//!
//! Both kinds come and go independently. A client renews phase 1 by another main mode, which joins the session; its Child
//! SAs stay, also while there is no ISAKMP SA at all (RFC 2408 section 2.1). The session is over when both kinds are gone.

use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tracing::debug;

use crate::cert::CertificatePath;
use crate::child_sa::ChildMode;
use crate::config::Config;
use crate::event::{
    AuthenticatedBy, CloseReason, Event, Grant, IkeVersion, Path, Role, SessionId, SessionInfo, SessionState, Transmit,
};
use crate::identity::Identity;
use crate::refusal::{Refusal, RefusalReason};
use crate::v2::Context;
use crate::wire::EspSpi;
use crate::wire::header::ExchangeType;
use crate::wire::v1::num::NotifyType;
use crate::wire::v1::{Delete, Header};

use super::children::{Child, Children};
use super::dpd::{self, Due};
use super::informational::delete;
use super::keys::Cookies;
use super::natt::ENCAPSULATION_PORT;
use super::phase1::Phase1;
use super::quick_mode::QuickMode;

/// ISAKMP SAs of one client: the newest, and some that it has yet to delete.
const MAX_PHASE1S: usize = 4;

/// How long an ISAKMP SA stays that the client has renewed. Some clients delete it themselves, others leave that to us.
const RENEWED_LIFETIME: Duration = Duration::from_secs(10);

/// What a message turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// Authentic and new.
    Done,
    /// Answered before.
    Again,
    /// The hash is wrong.
    Forged,
    /// Not expected, or not encrypted.
    Unexpected,
}

/// One client.
pub(crate) struct Peer {
    pub(crate) id: SessionId,
    pub(crate) path: Path,
    pub(crate) identity: Option<Identity>,
    /// The body of its identification payload.
    pub(crate) id_body: Vec<u8>,
    pub(crate) by: AuthenticatedBy,
    /// The certificates that it has shown last; empty without.
    pub(crate) certificates: CertificatePath,
    since: Instant,
    last_heard: Instant,
    /// Oldest first.
    pub(crate) phase1s: Vec<Phase1>,
    pub(crate) children: Children,
    /// Since when there is no Child SA.
    pub(crate) childless_since: Option<Instant>,
    /// INITIAL-CONTACT came, which the endpoint has yet to act on.
    pub(crate) has_initial_contact: bool,
    /// It logs in by XAUTH and gets a tunnel; otherwise it is one of L2TP.
    pub(crate) is_xauth: bool,
    /// The name that it logged in with.
    pub(crate) user: Option<String>,
    /// Since when it has been on its way to an address.
    pub(crate) login_since: Instant,
    pub(crate) grant: Option<Grant>,
    /// The server knows of the session and wants to know of its end.
    pub(crate) is_announced: bool,
    is_over: bool,
}

/// A client whose phase 1 is done.
pub(crate) struct Joining {
    pub(crate) path: Path,
    pub(crate) identity: Option<Identity>,
    pub(crate) id_body: Vec<u8>,
    pub(crate) by: AuthenticatedBy,
    pub(crate) certificates: CertificatePath,
    pub(crate) is_xauth: bool,
    pub(crate) phase1: Phase1,
}

impl Peer {
    /// A session that begins with this ISAKMP SA.
    pub(crate) fn new(ctx: &mut Context<'_>, id: SessionId, joining: Joining) -> Self {
        let Joining { path, identity, id_body, by, certificates, is_xauth, phase1 } = joining;
        let mut peer = Self {
            id,
            path,
            identity,
            id_body,
            by,
            certificates,
            since: phase1.since,
            last_heard: ctx.now,
            phase1s: vec![phase1],
            children: Children::default(),
            childless_since: Some(ctx.now),
            has_initial_contact: false,
            is_xauth,
            user: None,
            login_since: ctx.now,
            grant: None,
            is_announced: false,
            is_over: false,
        };
        debug!(session = %id, peer = %path.peer, suite = %peer.suite(), "phase 1 is done");
        if is_xauth {
            peer.ask_for_credentials(ctx);
        } else {
            peer.announce_established(ctx);
        }
        peer
    }

    /// Tells the server that the client may make Child SAs.
    pub(crate) fn announce_established(&mut self, ctx: &mut Context<'_>) {
        ctx.shared.counters.established += 1;
        self.is_announced = true;
        ctx.shared.events.push_back(Event::Established { session: self.id, info: Box::new(self.info()) });
    }

    /// Whether `joining` is this client again: the same name from the same address and port.
    pub(crate) fn is(&self, joining: &Joining) -> bool {
        self.is_from(joining.path) && self.id_body == joining.id_body && self.is_xauth == joining.is_xauth
    }

    /// Whether it sends from the other end of `path`.
    pub(crate) fn is_from(&self, path: Path) -> bool {
        self.path.peer == path.peer && self.path.local.ip() == path.local.ip()
    }

    /// Renews phase 1. The Child SAs stay.
    pub(crate) fn join(&mut self, ctx: &mut Context<'_>, joining: Joining) {
        debug!(session = %self.id, peer = %self.path.peer, "phase 1 is renewed");
        self.heard(ctx);
        self.phase1s.push(joining.phase1);
        self.certificates = joining.certificates;
        if self.is_xauth {
            self.login_since = ctx.now;
            self.ask_for_credentials(ctx);
        } else {
            self.renewed(ctx.now);
        }
        while self.phase1s.len() > MAX_PHASE1S {
            let oldest = self.phase1s[0].cookies;
            self.delete_phase1(ctx, oldest);
        }
    }

    /// Takes a message with the cookies of one of the ISAKMP SAs.
    pub(crate) fn handle(
        &mut self,
        ctx: &mut Context<'_>,
        cookies: Cookies,
        path: Path,
        (header, message): (&Header, &[u8]),
    ) {
        let Some(at) = self.phase1s.iter().position(|phase1| phase1.cookies == cookies) else { return };
        let incoming = match header.exchange {
            ExchangeType::IDENTITY_PROTECTION | ExchangeType::AGGRESSIVE => match self.phase1s[at].again(message) {
                Some(answer) => {
                    ctx.shared.counters.retransmissions_answered += 1;
                    for part in answer {
                        ctx.transmit(path, part);
                    }
                    Incoming::Again
                }
                None => Incoming::Unexpected,
            },
            ExchangeType::QUICK_MODE if !self.phase1s[at].login.is_done() => Incoming::Unexpected,
            ExchangeType::TRANSACTION => self.transaction(ctx, at, path, (header, message)),
            ExchangeType::QUICK_MODE => self.quick_mode(ctx, at, path, (header, message)),
            ExchangeType::INFORMATIONAL_V1 => self.informational(ctx, at, path, (header, message)),
            _ => Incoming::Unexpected,
        };
        match incoming {
            Incoming::Done | Incoming::Again => {}
            Incoming::Forged => ctx.shared.counters.forged += 1,
            Incoming::Unexpected => ctx.shared.counters.unexpected += 1,
        }
        self.check_over(ctx, CloseReason::PeerDeleted);
    }

    /// Notes an authentic message.
    pub(crate) fn heard(&mut self, ctx: &Context<'_>) {
        self.note_inbound(ctx.now);
    }

    /// The client is alive.
    pub(crate) fn note_inbound(&mut self, now: Instant) {
        self.last_heard = self.last_heard.max(now);
        for phase1 in &mut self.phase1s {
            phase1.dpd.heard();
        }
    }

    /// Follows the client to where a fresh message came from. Who has floated to port 4500 does not go back.
    pub(crate) fn follow(&mut self, ctx: &mut Context<'_>, path: Path) {
        let goes_back = self.path.local.port() == ENCAPSULATION_PORT && path.local.port() != ENCAPSULATION_PORT;
        if path != self.path && !goes_back {
            self.move_to(path);
            let udp_encap = path.local.port() == ENCAPSULATION_PORT;
            ctx.shared.events.push_back(Event::Moved { session: self.id, path, udp_encap });
        }
    }

    /// The packet path has seen the client at a new address. All its SAs move at once.
    pub(crate) fn peer_moved(&mut self, ctx: &Context<'_>, path: Path) {
        self.heard(ctx);
        self.move_to(path);
    }

    fn move_to(&mut self, path: Path) {
        debug!(session = %self.id, from = %self.path.peer, peer = %path.peer, "peer has a new address");
        self.path = path;
    }

    /// What Child SAs of this client carry.
    pub(crate) fn child_mode(&self) -> ChildMode {
        if self.is_xauth { ChildMode::Tunnel } else { ChildMode::L2tp }
    }

    /// What the client was given.
    pub(crate) fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    /// Longest lifetime of a Child SA.
    pub(crate) fn max_lifetime(&self, ctx: &Context<'_>) -> Duration {
        ctx.config.ikev1.as_ref().map_or(Duration::from_secs(86_400), |config| config.max_lifetime)
    }

    /// Makes room for one more Child SA, at the cost of one that was replaced.
    pub(crate) fn make_room(&mut self, ctx: &mut Context<'_>) -> Result<(), RefusalReason> {
        while self.children.len() >= ctx.config.limits.children {
            let replaced = self.children.take_replaced().ok_or(RefusalReason::TooManyChildren)?;
            self.delete_child(ctx, &replaced);
        }
        Ok(())
    }

    /// Takes a Child SA down that the client has deleted.
    pub(crate) fn child_down(&mut self, ctx: &mut Context<'_>, child: &Child) {
        debug!(session = %self.id, inbound = %child.inbound, "Child SA is down");
        ctx.shared.esp_spis.remove(&child.inbound);
        ctx.shared.events.push_back(Event::ChildDown { session: self.id, inbound_spi: child.inbound });
        if self.children.is_empty() {
            self.childless_since = Some(ctx.now);
        }
    }

    /// Takes a Child SA down that the client may still have.
    fn delete_child(&mut self, ctx: &mut Context<'_>, child: &Child) {
        self.send_delete(ctx, Delete::Esp(vec![child.inbound]));
        self.child_down(ctx, child);
    }

    /// Tells the client by the newest ISAKMP SA, if there is one.
    fn send_delete(&self, ctx: &mut Context<'_>, what: Delete) {
        if let Some(phase1) = self.phase1s.last() {
            let message = phase1.informational(&delete(what), &mut *ctx.shared.random);
            ctx.transmit(self.path, message);
        }
    }

    /// Forgets an ISAKMP SA; its Child SAs stay.
    pub(crate) fn drop_phase1(&mut self, ctx: &mut Context<'_>, cookies: Cookies) {
        let Some(at) = self.phase1s.iter().position(|phase1| phase1.cookies == cookies) else { return };
        for open in self.phase1s.remove(at).quick_modes {
            self.take_back(ctx, open.inbound());
        }
    }

    /// Takes a Child SA down that the client has never confirmed.
    fn take_back(&mut self, ctx: &mut Context<'_>, inbound: EspSpi) {
        if let Some(child) = self.children.take_inbound(inbound) {
            self.child_down(ctx, &child);
        }
    }

    /// Ends the session from our side: the client is told once, since there is no acknowledgement in IKEv1.
    pub(crate) fn close(&mut self, ctx: &mut Context<'_>, reason: CloseReason) {
        let spis = self.children.inbound();
        if !spis.is_empty() {
            self.send_delete(ctx, Delete::Esp(spis));
        }
        for cookies in self.cookies() {
            self.delete_phase1(ctx, cookies);
        }
        self.abandon(ctx, reason);
    }

    /// Ends the session without a word to the client.
    pub(crate) fn abandon(&mut self, ctx: &mut Context<'_>, reason: CloseReason) {
        while let Some(child) = self.children.take_any() {
            self.child_down(ctx, &child);
        }
        for cookies in self.cookies() {
            self.drop_phase1(ctx, cookies);
        }
        self.check_over(ctx, reason);
    }

    /// Tells the server if nothing is left.
    fn check_over(&mut self, ctx: &mut Context<'_>, reason: CloseReason) {
        if self.phase1s.is_empty() && self.children.is_empty() && !self.is_over {
            self.is_over = true;
            debug!(session = %self.id, peer = %self.path.peer, %reason, "session is over");
            if self.is_announced {
                ctx.shared.events.push_back(Event::Closed { session: self.id, reason });
            }
        }
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, ctx: &mut Context<'_>) {
        self.quick_mode_timeouts(ctx);
        while let Some(child) = self.children.take_expired(ctx.now) {
            self.delete_child(ctx, &child);
        }
        let expired = |phase1: &Phase1| (phase1.expires <= ctx.now).then_some(phase1.cookies);
        let expired: Vec<Cookies> = self.phase1s.iter().filter_map(expired).collect();
        for cookies in expired {
            self.drop_phase1(ctx, cookies);
        }
        self.delete_renewed(ctx);
        self.question_timeouts(ctx);
        if self.login_deadline(ctx.config).is_some_and(|deadline| deadline <= ctx.now) {
            let reason = RefusalReason::TimedOut { waiting_for: "XAUTH and mode configuration" };
            self.refuse(ctx, ExchangeType::TRANSACTION, reason);
            return self.close(ctx, CloseReason::Failed);
        }
        if self.childless_deadline(ctx.config).is_some_and(|deadline| deadline <= ctx.now) {
            return self.close(ctx, CloseReason::NoChildSa);
        }
        self.check_liveness(ctx);
        self.check_over(ctx, CloseReason::NoChildSa);
    }

    fn quick_mode_timeouts(&mut self, ctx: &mut Context<'_>) {
        let mut lost = Vec::new();
        for phase1 in &mut self.phase1s {
            let (mut open, mut over) = (Vec::new(), Vec::new());
            for mut quick_mode in phase1.quick_modes.drain(..) {
                match quick_mode.due(ctx.now) {
                    Ok(again) => {
                        if let Some((path, message)) = again {
                            ctx.shared.counters.retransmissions_sent += 1;
                            ctx.transmit(path, message);
                        }
                        open.push(quick_mode);
                    }
                    Err(()) => over.push(quick_mode),
                }
            }
            phase1.quick_modes = open;
            for quick_mode in over {
                phase1.finish(quick_mode.message_id());
                lost.push(quick_mode.inbound());
            }
        }
        for inbound in lost {
            self.take_back(ctx, inbound);
        }
    }

    /// Deletes ISAKMP SAs that the client has renewed and not deleted.
    fn delete_renewed(&mut self, ctx: &mut Context<'_>) {
        let is_due = |phase1: &&Phase1| phase1.renewed_at.is_some_and(|at| at + RENEWED_LIFETIME <= ctx.now);
        let due: Vec<Cookies> = self.phase1s.iter().filter(is_due).map(|phase1| phase1.cookies).collect();
        for cookies in due {
            self.delete_phase1(ctx, cookies);
        }
    }

    /// Deletes an ISAKMP SA and tells the client; its Child SAs stay.
    fn delete_phase1(&mut self, ctx: &mut Context<'_>, cookies: Cookies) {
        if let Some(phase1) = self.phase1s.iter().find(|phase1| phase1.cookies == cookies) {
            let chain = delete(Delete::Isakmp(vec![(cookies.initiator, cookies.responder)]));
            let message = phase1.informational(&chain, &mut *ctx.shared.random);
            ctx.transmit(self.path, message);
        }
        self.drop_phase1(ctx, cookies);
    }

    /// The newest ISAKMP SA is ready for use, so the others have been renewed.
    pub(crate) fn renewed(&mut self, now: Instant) {
        if let Some((_, older)) = self.phase1s.split_last_mut() {
            for phase1 in older {
                phase1.renewed_at.get_or_insert(now);
            }
        }
    }

    /// Asks again where name and password, or the acknowledgement of the result, are outstanding.
    fn question_timeouts(&mut self, ctx: &mut Context<'_>) {
        let mut silent = Vec::new();
        for phase1 in &mut self.phase1s {
            match phase1.login.question().map(|question| question.due(ctx.now)) {
                Some(Ok(Some(again))) => {
                    ctx.shared.counters.retransmissions_sent += 1;
                    ctx.transmit(self.path, again);
                }
                Some(Err(())) => silent.push(phase1.cookies),
                _ => {}
            }
        }
        for cookies in silent {
            self.drop_phase1(ctx, cookies);
        }
    }

    /// A client without an address has this long to get one.
    fn login_deadline(&self, config: &Config) -> Option<Instant> {
        (self.is_xauth && self.grant.is_none()).then(|| self.login_since + config.timing.authentication)
    }

    fn check_liveness(&mut self, ctx: &mut Context<'_>) {
        let Some(silent_until) = self.silent_until(ctx.config) else { return };
        let (path, timing) = (self.path, &ctx.config.timing);
        let Some(phase1) = self.phase1s.last_mut() else { return };
        match phase1.dpd.due(ctx.now, silent_until, timing) {
            Due::Nothing => {}
            Due::Ask(sequence) => {
                let question = dpd::notify(NotifyType::R_U_THERE, phase1.cookies, sequence);
                let message = phase1.informational(&question, &mut *ctx.shared.random);
                ctx.transmit(path, message);
            }
            Due::Dead => self.abandon(ctx, CloseReason::PeerDead),
        }
    }

    /// From when on the client is asked whether it lives: never, unless it has announced that it will answer.
    fn silent_until(&self, config: &Config) -> Option<Instant> {
        let is_able = self.phase1s.last().is_some_and(|phase1| phase1.announced.dpd);
        config.timing.liveness.filter(|_| is_able).map(|pause| self.last_heard + pause)
    }

    fn childless_deadline(&self, config: &Config) -> Option<Instant> {
        let is_busy = self.phase1s.iter().any(|phase1| !phase1.quick_modes.is_empty());
        let is_in = !self.is_xauth || self.grant.is_some();
        self.childless_since
            .filter(|_| self.children.is_empty() && !is_busy && is_in)
            .map(|since| since + config.timing.childless)
    }

    /// When [`Peer::handle_timeout`] is due.
    pub(crate) fn timeout(&self, config: &Config) -> Option<Instant> {
        let open = self.phase1s.iter().flat_map(|phase1| phase1.quick_modes.iter().map(QuickMode::timeout));
        let renewed = |phase1: &Phase1| phase1.renewed_at.map(|at| at + RENEWED_LIFETIME);
        let expiry = self.phase1s.iter().map(|phase1| renewed(phase1).unwrap_or(phase1.expires).min(phase1.expires));
        let liveness = self.silent_until(config).zip(self.phase1s.last()).map(|(due, phase1)| phase1.dpd.timeout(due));
        let others = [self.children.timeout(), self.childless_deadline(config), self.login_deadline(config), liveness];
        let questions = self.phase1s.iter().filter_map(|phase1| phase1.login.timeout());
        open.chain(expiry).chain(questions).chain(others.into_iter().flatten()).min()
    }

    /// Names of the ISAKMP SAs.
    pub(crate) fn cookies(&self) -> Vec<Cookies> {
        self.phase1s.iter().map(|phase1| phase1.cookies).collect()
    }

    /// Whether nothing is left.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    fn suite(&self) -> String {
        self.phase1s.last().map(|phase1| phase1.suite.to_string()).unwrap_or_default()
    }

    /// A view for people.
    pub(crate) fn info(&self) -> SessionInfo {
        SessionInfo {
            session: self.id,
            version: IkeVersion::V1,
            state: SessionState::Established,
            path: self.path,
            behind_nat: self.phase1s.last().is_some_and(|phase1| phase1.nat.peer_behind),
            identity: self.identity.clone(),
            by: Some(self.by),
            ike_suite: self.suite(),
            child_suite: self.children.suite().map(|suite| suite.to_string()),
            addresses: self.grant().map(|grant| grant.addresses.clone()).unwrap_or_default(),
            children: self.children.info(),
            since: self.since,
            last_heard: self.last_heard,
            site: None,
            role: Role::Responder,
            precedence: 0,
            mobike: false,
            ppk: false,
            ike_rekey: None,
        }
    }

    /// Tells the server that something was refused.
    pub(crate) fn refuse(&self, ctx: &mut Context<'_>, exchange: ExchangeType, reason: RefusalReason) {
        let session = Some(self.id);
        let identity = self.identity.clone();
        refuse(ctx, Refusal { path: self.path, session, exchange, identity, site: None, reason });
    }

    /// Everything that a stranger must not be able to change, for tests.
    pub(crate) fn fingerprint(&self, hasher: &mut impl Hasher) {
        (self.id, self.path, self.last_heard, self.children.inbound(), self.is_over).hash(hasher);
        for phase1 in &self.phase1s {
            phase1.fingerprint().hash(hasher);
        }
    }
}

/// Tells the server that something was refused.
pub(crate) fn refuse(ctx: &mut Context<'_>, refusal: Refusal) {
    debug!(peer = %refusal.path.peer, exchange = %refusal.exchange, reason = refusal.reason.name(), "refused");
    ctx.shared.counters.refused += 1;
    ctx.shared.events.push_back(Event::Refused(Box::new(refusal)));
}

impl Context<'_> {
    /// Sends a message.
    pub(crate) fn transmit(&mut self, path: Path, payload: Bytes) {
        self.shared.transmits.push_back(Transmit { path, payload });
    }
}
