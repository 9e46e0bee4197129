//! One site: when to try, where, and what follows from what happens.
//!
//! ```text
//!            +--> Resolving --> Routing --> Trying --> a tunnel is up ---+
//!            |    (a name)    (our address)   |                          | lost
//!  Waiting --+                                +-- failed: next address, other port, then a pause
//!     ^                                                                  |
//!     +---- wanted and not up <------------------------------------------+
//! ```
//!
//! Wanted is: always; on demand, from a packet (or `cygnet up`) to the end of a round of attempts that failed; passive, from
//! `cygnet up` to the same. A tunnel that the peer began counts as well as one of ours.
//!
//! Does not: talk to the IKE engine. It gets told what happened and says what to do ([`Action`]).

mod attempts;
#[cfg(test)]
mod tests;
mod upkeep;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cygnet_ike::{CloseReason, EspSpi, Path, Role, SessionId, SessionInfo};
use jiff::Timestamp;

use super::backoff::{self, Backoff};
use super::round::Round;
use super::tunnel::{Missing, Pair, Stage, Tunnel};
use crate::config::{Peer, Start};
use crate::gateway::{Now, Traffic};

/// A tunnel that was up for this long has proven that it works: the pauses begin anew.
const PROVEN: Duration = Duration::from_secs(60);
/// How often a peer's name is looked up while nothing else is done about it, since it may come from a new address.
const REFRESH: Duration = Duration::from_secs(300);
/// A name server gets this long.
const RESOLVING: Duration = Duration::from_secs(60);
/// The kernel gets this long to say which address to use.
const ROUTING: Duration = Duration::from_secs(10);
/// A packet shortens the pause after a failure to this.
const DEMAND_PAUSE: Duration = Duration::from_secs(10);
/// How long a replaced tunnel still receives what was under way.
const DRAIN: Duration = Duration::from_secs(2);
/// A successor that does not get all children in this time takes over as it is.
const HANDOVER: Duration = Duration::from_secs(10);
/// Whoever began a session gets this long to make its children, before we ask for those that are missing. (We ask for all of ours
/// when we begin.)
const TURN: Duration = Duration::from_secs(10);
/// How often two tunnels with the same peer are compared.
const COMPARE: Duration = Duration::from_secs(1);
/// A peer that begins more tunnels than this loses the one that it has used least lately.
const MOST_OF_PEER: usize = 8;
/// A peer that should close its surplus session and does not is given up on after this long: we close ours instead.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a supervisor wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Look a name up; to be answered by [`Supervisor::resolved`].
    Resolve(String),
    /// Ask which of our addresses leads there, or, of a site with `local_address`, whether we have that; to be answered by [`Supervisor::local_address`].
    AskLocalAddress(IpAddr),
    /// Begin a session; to be answered by [`Supervisor::started`].
    Initiate(Path),
    /// Ask for a child, by its place in the configuration.
    CreateChild(SessionId, usize),
    /// Go on from another address of ours.
    Relocate(SessionId, Path),
    /// End a session.
    Close(SessionId, CloseReason),
    /// The addresses of the peer, or ours towards it, are others than the IKE engine was told.
    Reconfigure,
    /// Answer the operator who asked for the site.
    Answer(Result<(), String>),
}

/// What does not change without a reload.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) name: Arc<str>,
    pub(super) peer: Peer,
    pub(super) local_address: Option<IpAddr>,
    pub(super) start: Start,
    /// Between the two gateways themselves: another address is another tunnel.
    pub(super) transport: bool,
    /// Names of the children.
    pub(super) children: Vec<Arc<str>>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// For the operator.
    pub(super) text: String,
    /// The peer said nothing at all.
    pub(super) silence: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is planned.
    Idle,
    Waiting {
        until: Instant,
    },
    Resolving {
        until: Instant,
    },
    Routing {
        target: SocketAddr,
        until: Instant,
    },
    Trying {
        target: SocketAddr,
        /// `None` until the engine has given it a number.
        session: Option<SessionId>,
    },
}

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// To have a tunnel.
    Tunnel,
    /// To replace this one.
    Successor(SessionId),
}

/// See the module.
pub(super) struct Supervisor {
    pub(super) plan: Plan,
    phase: Phase,
    goal: Goal,
    round: Round,
    pauses: Backoff,
    /// Addresses of the peer as known now.
    addresses: Vec<IpAddr>,
    /// Our address towards the peer.
    source: Option<IpAddr>,
    /// Where the peer was reached last.
    best: Option<SocketAddr>,
    pub(super) tunnels: BTreeMap<SessionId, Tunnel>,
    /// No attempt before.
    earliest: Instant,
    failed_at: Option<Instant>,
    /// When to look a name up again while there is no tunnel.
    refresh: Option<Instant>,
    /// A packet or the operator has asked for it.
    asked: bool,
    /// `cygnet down`.
    stopped: bool,
    /// `cygnet up` waits for an answer, about this child or all.
    command: Option<Option<usize>>,
    /// Why the present attempt fails.
    reason: Option<Failure>,
    /// Our addresses have changed, and the kernel was asked which to use now.
    rechecking: bool,
    compare: Option<Instant>,
    /// Since the tunnel was up last.
    attempts: u32,
    last_error: Option<(Timestamp, String)>,
    actions: VecDeque<Action>,
}

impl Supervisor {
    /// A site that begins at once if it may. `seed` spreads the pauses of several sites.
    pub(super) fn new(now: Now, plan: Plan, seed: u64) -> Self {
        let addresses = if let Peer::Address(address) = plan.peer { vec![address] } else { Vec::new() };
        let asks = plan.start == Start::Passive && plan.local_address.is_none();
        let mut this = Self {
            source: plan.local_address,
            refresh: matches!(plan.peer, Peer::Name(_)).then_some(now.instant),
            plan,
            phase: Phase::Idle,
            goal: Goal::Tunnel,
            round: Round::default(),
            pauses: Backoff::new(seed),
            addresses,
            best: None,
            tunnels: BTreeMap::new(),
            earliest: now.instant,
            failed_at: None,
            asked: false,
            stopped: false,
            command: None,
            reason: None,
            rechecking: false,
            compare: None,
            attempts: 0,
            last_error: None,
            actions: VecDeque::new(),
        };
        if let (true, Some(&address)) = (asks, this.addresses.first()) {
            // Without `id` the address that we use towards the peer is our identity.
            this.actions.push_back(Action::AskLocalAddress(address));
        }
        this.settle(now);
        this
    }

    /// Addresses of the peer as far as they are known.
    pub(super) fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Our address towards the peer, as far as it is known.
    pub(super) fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// The next thing to do.
    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Supervisor::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Idle | Phase::Trying { .. } => None,
            Phase::Waiting { until } | Phase::Resolving { until } | Phase::Routing { until, .. } => Some(until),
        };
        let refresh = self.refresh.filter(|_| self.may_refresh());
        let of_tunnels = self.tunnels.values().flat_map(|tunnel| {
            let missing = tunnel.missing.values().map(|missing| missing.due);
            missing.filter(|_| tunnel.is_established()).chain(tunnel.leaves).chain(self.handover(tunnel))
        });
        phase.into_iter().chain(refresh).chain(self.compare).chain(of_tunnels).min()
    }

    /// Does what is due. `heard` says when a session's peer was last heard.
    pub(super) fn handle_timeout(&mut self, now: Now, heard: impl Fn(SessionId) -> Option<Instant>) {
        match self.phase {
            Phase::Waiting { until } if until <= now.instant => self.begin(now),
            Phase::Resolving { until } if until <= now.instant => {
                self.resolved(now, Err("the name server does not answer".into()));
            }
            Phase::Routing { until, .. } if until <= now.instant => {
                self.local_address(now, Err("the kernel does not say which address to use".into()));
            }
            _ => {}
        }
        if self.may_refresh() && self.refresh.is_some_and(|due| due <= now.instant) {
            self.refresh = Some(now.instant + REFRESH);
            self.resolve();
        }
        self.ask_for_missing(now);
        self.end_replaced(now);
        if self.compare.is_some_and(|due| due <= now.instant) {
            self.compare = Some(now.instant + COMPARE);
            self.end_surplus(now, heard);
        }
        self.settle(now);
    }

    /// A packet wants to go there.
    pub(super) fn demand(&mut self, now: Now) {
        if self.stopped || self.plan.start == Start::Passive {
            return;
        }
        let soon = self.failed_at.map_or(now.instant, |at| at + DEMAND_PAUSE).max(now.instant);
        self.earliest = self.earliest.min(soon);
        if let Phase::Waiting { until } = &mut self.phase {
            *until = (*until).min(soon);
        }
        self.note_missing(now, true);
        self.hasten_missing(soon);
        self.asked |= !self.is_up();
        self.settle(now);
    }

    /// The operator wants the site, or one child of it, up. Answered by [`Action::Answer`].
    ///
    /// # Errors
    /// A sentence, if it cannot even begin.
    pub(super) fn up(&mut self, now: Now, child: Option<&str>) -> Result<(), String> {
        let child = child.map(|name| self.child(name)).transpose()?;
        if self.plan.peer == Peer::Any && !self.is_up() {
            self.stopped = false;
            return Err(format!("the peer of {} may be anywhere, so it has to begin", self.plan.name));
        }
        self.stopped = false;
        self.asked |= !self.is_up();
        self.command = Some(child);
        self.earliest = now.instant;
        if let Phase::Waiting { until } = &mut self.phase {
            *until = now.instant;
        }
        self.note_missing(now, true);
        self.hasten_missing(now.instant);
        self.ask_for_missing(now);
        self.answer_if_up();
        self.settle(now);
        Ok(())
    }

    /// The operator wants it down, until [`Supervisor::up`]. Gives back how many sessions end.
    pub(super) fn down(&mut self, now: Now) -> u64 {
        self.stopped = true;
        self.asked = false;
        self.last_error = None;
        self.answer(Err("it was taken down meanwhile".into()));
        let ended = self.close_all(CloseReason::Administrative);
        self.settle(now);
        ended
    }

    /// The operator ends what is there now. That forbids nothing: a site that is always wanted is tried again after a pause. Gives
    /// back how many sessions end.
    pub(super) fn kick(&mut self, now: Now) -> u64 {
        let ended = self.close_all(CloseReason::Administrative);
        if ended > 0 {
            let text = "ended by the operator";
            self.note_error(now, text.to_owned());
            self.answer(Err(text.to_owned()));
            self.asked = false;
            self.earliest = now.instant + self.pauses.next();
            self.settle(now);
        }
        ended
    }

    /// Begins nothing any more. Sessions are ended by the engine.
    pub(super) fn stop(&mut self, now: Now) {
        self.stopped = true;
        self.settle(now);
    }

    /// Ends every session.
    pub(super) fn close_all(&mut self, reason: CloseReason) -> u64 {
        let sessions: Vec<SessionId> = self.tunnels.keys().copied().collect();
        sessions.into_iter().filter(|&session| self.close(session, reason)).count() as u64
    }

    /// Whether the peer may come in.
    ///
    /// # Errors
    /// Why not, for the operator.
    pub(super) fn admits(&self) -> Result<(), String> {
        if !self.stopped {
            return Ok(());
        }
        let name = &self.plan.name;
        Err(format!("site {name} was taken down by the operator; let it in again with `cygnet up {name}`"))
    }

    /// What came of [`Action::Resolve`].
    pub(super) fn resolved(&mut self, now: Now, outcome: Result<Vec<IpAddr>, String>) {
        let error = match outcome {
            Ok(found) if !found.is_empty() => {
                if self.addresses != found {
                    self.addresses = found;
                    self.actions.push_back(Action::Reconfigure);
                }
                None
            }
            Ok(_) => Some(format!("{} has no address", self.peer_name())),
            Err(text) => Some(format!("cannot resolve {}: {text}", self.peer_name())),
        };
        self.refresh = Some(now.instant + REFRESH);
        if matches!(self.phase, Phase::Resolving { .. }) {
            if let Some(text) = error {
                self.note_error(now, text);
            }
            // Without a name server the addresses of before may still be right.
            self.begin_round(now);
        }
        self.settle(now);
    }

    /// What came of [`Action::AskLocalAddress`].
    pub(super) fn local_address(&mut self, now: Now, outcome: Result<IpAddr, String>) {
        if let Ok(address) = outcome
            && self.source != Some(address)
        {
            self.source = Some(address);
            self.actions.push_back(Action::Reconfigure);
        }
        if let (true, Ok(address)) = (std::mem::take(&mut self.rechecking), &outcome) {
            self.follow(now, *address);
        }
        if let Phase::Routing { target, .. } = self.phase {
            match outcome {
                Ok(address) => self.initiate(target, address),
                Err(text) => {
                    let text = format!("no way to {}: {text}", target.ip());
                    self.attempt_failed(now, target, Failure { text, silence: false });
                }
            }
        }
        self.settle(now);
    }

    /// Addresses or routes of this machine are others.
    pub(super) fn addresses_changed(&mut self, now: Now) {
        if self.plan.local_address.is_some() {
            return;
        }
        let ours = |tunnel: &&Tunnel| tunnel.is_established() && tunnel.role == Role::Initiator;
        if let Some(tunnel) = self.tunnels.values().rev().find(ours) {
            self.rechecking = true;
            self.actions.push_back(Action::AskLocalAddress(tunnel.path.peer.ip()));
        }
        if let Phase::Waiting { until } = &mut self.phase {
            // The way to the peer may be back.
            *until = (*until).min(now.instant + backoff::FIRST);
        }
    }

    /// What [`Action::Initiate`] made.
    pub(super) fn started(&mut self, id: SessionId, path: Path) {
        self.tunnels.insert(id, Tunnel::new(Role::Initiator, path));
        if let Phase::Trying { session, .. } = &mut self.phase {
            *session = Some(id);
        }
    }

    /// The peer has begun a session and proven who it is.
    pub(super) fn accepted(&mut self, id: SessionId, path: Path) {
        self.tunnels.insert(id, Tunnel::new(Role::Responder, path));
    }

    /// Something was refused in a session.
    pub(super) fn refused(&mut self, now: Now, id: SessionId, failure: Failure) {
        if self.trying() == Some(id) {
            self.reason = Some(failure);
        } else {
            self.note_error(now, failure.text);
        }
    }

    /// A session is complete.
    pub(super) fn established(&mut self, now: Now, id: SessionId, info: &SessionInfo) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        tunnel.stage = Stage::Established;
        tunnel.up = Some((now.instant, now.wall));
        tunnel.path = info.path;
        tunnel.behind_nat = info.behind_nat;
        tunnel.mobike = info.mobike;
        tunnel.precedence = info.precedence;
        tunnel.identity = info.identity.as_ref().map(ToString::to_string).unwrap_or_default();
        self.attempts = 0;
        if let (Phase::Trying { target, .. }, true) = (self.phase, self.trying() == Some(id)) {
            self.best = Some(target);
            self.phase = Phase::Idle;
            self.reason = None;
            self.succeed(id);
        }
        self.note_missing(now, self.plan.start == Start::Always);
        let established = self.tunnels.values().filter(|tunnel| tunnel.is_established());
        self.compare = (established.count() > 1).then_some(now.instant + COMPARE);
        self.answer_if_up();
        self.settle(now);
    }

    /// An SA pair is up.
    pub(super) fn child_up(&mut self, now: Now, id: SessionId, pair: Pair) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        tunnel.missing.remove(&pair.child);
        tunnel.pairs.push(pair);
        if (0..self.plan.children.len()).all(|child| tunnel.carries(child)) {
            self.last_error = None;
        }
        self.answer_if_up();
        self.settle(now);
    }

    /// A child that we have asked for did not come about.
    pub(super) fn child_failed(&mut self, now: Now, id: SessionId, name: &str) {
        let Some(child) = self.plan.children.iter().position(|child| **child == *name) else { return };
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        let mut pauses = tunnel.missing.remove(&child).map_or_else(|| self.pauses.fork(), |missing| missing.pauses);
        let due = now.instant + pauses.next();
        if !tunnel.carries(child) {
            tunnel.missing.insert(child, Missing { due, pauses });
        }
        let concerned = self.command.is_some_and(|asked| asked.is_none_or(|asked| asked == child));
        if concerned && self.is_up() {
            let text = self.last_error.as_ref().map_or_else(|| "the peer refused it".into(), |(_, text)| text.clone());
            self.answer(Err(text));
        }
    }

    /// An SA pair is gone.
    pub(super) fn child_down(&mut self, now: Now, id: SessionId, inbound_spi: EspSpi, traffic: Traffic) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        if tunnel.pairs.iter().any(|pair| pair.inbound_spi == inbound_spi) {
            tunnel.past += traffic;
            tunnel.pairs.retain(|pair| pair.inbound_spi != inbound_spi);
        }
        self.note_missing(now, self.plan.start == Start::Always);
    }

    /// A session goes by other addresses.
    pub(super) fn moved(&mut self, id: SessionId, path: Path) {
        if let Some(tunnel) = self.tunnels.get_mut(&id) {
            tunnel.path = path;
        }
    }

    /// A session ends soon unless both sides prove again who they are. If the peer has begun it, that is the peer's to do.
    pub(super) fn reauthentication_due(&mut self, now: Now, id: SessionId) {
        if let Some(tunnel) = self.tunnels.get_mut(&id).filter(|tunnel| tunnel.role == Role::Initiator) {
            tunnel.expires = true;
        }
        self.settle(now);
    }

    /// A session is over.
    pub(super) fn closed(&mut self, now: Now, id: SessionId, reason: CloseReason) {
        let was_tried = self.trying() == Some(id);
        let Some(tunnel) = self.tunnels.remove(&id) else { return };
        for old in self.tunnels.values_mut().filter(|old| old.successor == Some(id)) {
            (old.successor, old.leaves) = (None, None);
        }
        if let (true, Phase::Trying { target, .. }) = (was_tried, self.phase) {
            let silence = reason == CloseReason::PeerDead;
            let failure = self.reason.take().unwrap_or_else(|| Failure { text: ending(reason), silence });
            self.attempt_failed(now, target, failure);
        } else if tunnel.is_established() && !self.is_up() {
            self.lost(now, &tunnel, reason);
        }
        self.settle(now);
    }

    /// The last tunnel is gone, and not because we wanted it.
    fn lost(&mut self, now: Now, tunnel: &Tunnel, reason: CloseReason) {
        // Whose certificate was revoked, and when, was told before.
        let is_told = matches!(reason, CloseReason::Revoked) && self.last_error.is_some();
        let is_error = !matches!(reason, CloseReason::Shutdown | CloseReason::Administrative | CloseReason::Replaced);
        if is_error && !is_told {
            self.note_error(now, ending(reason));
        }
        if tunnel.lasted(now.instant, PROVEN) {
            self.pauses.reset();
        }
        let at_once =
            matches!(reason, CloseReason::PeerDead | CloseReason::Expired) && tunnel.lasted(now.instant, PROVEN);
        self.earliest = if at_once { now.instant } else { now.instant + self.pauses.next() };
        // Who ended it does not want it now; who died did.
        let died = matches!(reason, CloseReason::PeerDead | CloseReason::Expired);
        self.asked = died && self.plan.start != Start::Passive;
        self.answer(Err(ending(reason)));
    }

    /// Whether somebody wants a tunnel that we have to begin.
    fn is_wanted(&self) -> bool {
        !self.stopped && self.plan.peer != Peer::Any && (self.asked || self.plan.start == Start::Always)
    }

    /// Whether there is a tunnel.
    pub(super) fn is_up(&self) -> bool {
        self.tunnels.values().any(Tunnel::is_established)
    }

    /// Whether the operator took it down.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether an attempt is under way, or the peer is coming in.
    pub(super) fn is_busy(&self) -> bool {
        let planned = matches!(self.phase, Phase::Idle | Phase::Waiting { .. });
        !planned || self.tunnels.values().any(|tunnel| tunnel.stage == Stage::Connecting)
    }

    /// How many attempts have failed since it was up.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// When the next attempt begins.
    pub(super) fn retry(&self) -> Option<Instant> {
        if let Phase::Waiting { until } = self.phase { Some(until) } else { None }
    }

    /// Where the peer is tried, or was reached last.
    pub(super) fn target(&self) -> Option<SocketAddr> {
        match self.phase {
            Phase::Routing { target, .. } | Phase::Trying { target, .. } => Some(target),
            _ => self.best,
        }
    }

    /// What went wrong last.
    pub(super) fn last_error(&self) -> Option<&str> {
        self.last_error.as_ref().map(|(_, text)| text.as_str())
    }

    /// Brings the phase in line with what is wanted.
    pub(super) fn settle(&mut self, now: Now) {
        if let Goal::Successor(old) = self.goal
            && !self.tunnels.get(&old).is_some_and(Tunnel::is_established)
        {
            self.goal = Goal::Tunnel;
        }
        self.replace_expiring(now);
        let needed = match self.goal {
            Goal::Successor(_) => !self.stopped,
            Goal::Tunnel => self.is_wanted() && !self.is_up(),
        };
        match self.phase {
            Phase::Idle if needed => self.phase = Phase::Waiting { until: self.earliest.max(now.instant) },
            Phase::Waiting { .. } | Phase::Resolving { .. } | Phase::Routing { .. } if !needed => {
                self.phase = Phase::Idle;
            }
            _ => {}
        }
        if self.is_up() {
            self.asked = false;
        }
    }

    fn close(&mut self, id: SessionId, reason: CloseReason) -> bool {
        let Some(tunnel) = self.tunnels.get_mut(&id).filter(|tunnel| tunnel.stage != Stage::Closing) else {
            return false;
        };
        if matches!(self.phase, Phase::Trying { session, .. } if session == Some(id)) {
            self.phase = Phase::Idle;
        }
        tunnel.stage = Stage::Closing;
        tunnel.leaves = None;
        self.actions.push_back(Action::Close(id, reason));
        true
    }

    fn answer_if_up(&mut self) {
        let Some(wanted) = self.command else { return };
        let serves = |tunnel: &&Tunnel| match wanted {
            Some(child) => tunnel.carries(child),
            None => (0..self.plan.children.len()).all(|child| tunnel.carries(child)),
        };
        if self.tunnels.values().filter(|tunnel| tunnel.is_established()).any(|tunnel| serves(&tunnel)) {
            self.answer(Ok(()));
        }
    }

    fn answer(&mut self, outcome: Result<(), String>) {
        if self.command.take().is_some() {
            self.actions.push_back(Action::Answer(outcome));
        }
    }

    fn note_error(&mut self, now: Now, text: String) {
        self.last_error = Some((now.wall, text));
    }

    /// The session of the attempt that is under way.
    fn trying(&self) -> Option<SessionId> {
        if let Phase::Trying { session, .. } = self.phase { session } else { None }
    }

    fn child(&self, name: &str) -> Result<usize, String> {
        let place = self.plan.children.iter().position(|child| **child == *name);
        place.ok_or_else(|| format!("site {} has no child {name:?}", self.plan.name))
    }

    /// The peer as configured.
    pub(super) fn peer_name(&self) -> String {
        match &self.plan.peer {
            Peer::Address(address) => address.to_string(),
            Peer::Name(name) => name.clone(),
            Peer::Any => "any".to_owned(),
        }
    }

    /// Whether its name is looked up although nobody wants a tunnel: the peer may begin, and from there only.
    fn may_refresh(&self) -> bool {
        self.phase == Phase::Idle && !self.stopped && !self.is_up()
    }
}

/// How a session ended, for people.
pub(super) fn ending(reason: CloseReason) -> String {
    match reason {
        CloseReason::PeerDeleted => "closed by the peer".to_owned(),
        CloseReason::PeerDead => "the peer no longer answers".to_owned(),
        CloseReason::Replaced => "another session took its place".to_owned(),
        CloseReason::NoChildSa => "no child came about".to_owned(),
        CloseReason::Failed => "the peer did not finish what it began".to_owned(),
        other => other.to_string(),
    }
}
