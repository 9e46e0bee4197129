//! Tunnels that are up: children that are missing, successors, two tunnels where one would do, new addresses of ours.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use cygnet_ike::{CloseReason, Path, Role, SessionId};

use super::super::backoff;
use super::super::tunnel::{Missing, Stage, Tunnel};
use super::{Action, DRAIN, Goal, HANDOVER, MOST_OF_PEER, PATIENCE, Phase, Supervisor, TURN};
use crate::gateway::Now;

impl Supervisor {
    /// Begins a session in the place of another.
    pub(super) fn replace(&mut self, now: Now, old: SessionId) {
        if matches!(self.phase, Phase::Idle | Phase::Waiting { .. }) {
            self.goal = Goal::Successor(old);
            self.phase = Phase::Waiting { until: now.instant };
        }
    }

    /// Begins a successor of a session that ends soon.
    pub(super) fn replace_expiring(&mut self, now: Now) {
        let expiring = |tunnel: &Tunnel| tunnel.is_established() && tunnel.expires && tunnel.successor.is_none();
        if self.goal == Goal::Tunnel
            && !self.stopped
            && let Some(id) = self.tunnels.iter().find(|(_, tunnel)| expiring(tunnel)).map(|(&id, _)| id)
        {
            self.replace(now, id);
        }
    }

    /// A session that was to replace another is up.
    pub(super) fn succeed(&mut self, new: SessionId) {
        if let Goal::Successor(old) = std::mem::replace(&mut self.goal, Goal::Tunnel)
            && let Some(tunnel) = self.tunnels.get_mut(&old)
        {
            tunnel.successor = Some(new);
        }
    }

    /// Ends tunnels whose successor carries what they carried.
    pub(super) fn end_replaced(&mut self, now: Now) {
        let leaving = self.tunnels.iter().filter(|(_, t)| t.leaves.is_some_and(|at| at <= now.instant));
        let leaving: Vec<SessionId> = leaving.map(|(&id, _)| id).collect();
        for id in leaving {
            self.close(id, CloseReason::Replaced);
        }
    }

    /// Of two tunnels that both ends have begun at the same moment one is surplus. It is closed by whoever began it, and only
    /// once the peer was heard in the other one: one of them may be dead at the other end, be it because the peer took our
    /// INITIAL_CONTACT for the end of all before, or because it has just been restarted.
    pub(super) fn end_surplus(&mut self, now: Now, heard: impl Fn(SessionId) -> Option<Instant>) {
        let is_surplus = |id: SessionId, tunnel: &Tunnel| {
            let candidate = tunnel.is_established() && tunnel.role == Role::Initiator && tunnel.successor.is_none();
            let stays =
                |(&other, keep): (&SessionId, &Tunnel)| other != id && outlives(now, (other, keep), tunnel, &heard);
            candidate && self.tunnels.iter().any(stays)
        };
        let surplus: Vec<SessionId> =
            self.tunnels.iter().filter(|(id, t)| is_surplus(**id, t)).map(|(&id, _)| id).collect();
        for id in surplus {
            self.close(id, CloseReason::Replaced);
        }
        if self.tunnels.values().filter(|tunnel| tunnel.is_established()).count() < 2 {
            self.compare = None;
        }
    }

    /// The peer has begun one more tunnel: bounds how many there are of its making.
    pub(in super::super) fn limit(&mut self, newest: SessionId, heard: impl Fn(SessionId) -> Option<Instant>) {
        let of_peer = |&(&id, tunnel): &(&SessionId, &Tunnel)| {
            id != newest && tunnel.role == Role::Responder && tunnel.stage != Stage::Closing
        };
        let others: Vec<SessionId> = self.tunnels.iter().filter(of_peer).map(|(&id, _)| id).collect();
        if others.len() >= MOST_OF_PEER
            && let Some(&silent) = others.iter().min_by_key(|&&id| (heard(id), id))
        {
            self.close(silent, CloseReason::Replaced);
        }
    }

    /// Our address towards the peer is this one.
    pub(super) fn follow(&mut self, now: Now, address: IpAddr) {
        let left_behind = self.tunnels.iter().filter(|(_, tunnel)| {
            let same_family = tunnel.path.peer.is_ipv4() == address.is_ipv4();
            let ours = tunnel.is_established() && tunnel.role == Role::Initiator && tunnel.successor.is_none();
            ours && same_family && tunnel.path.local.ip() != address
        });
        let left_behind: Vec<(SessionId, Path, bool)> =
            left_behind.map(|(&id, tunnel)| (id, tunnel.path, tunnel.mobike)).collect();
        for (id, path, mobike) in left_behind {
            // RFC 4555 section 1.2: MOBIKE is for tunnel mode. In transport mode the address is what the tunnel is about.
            if mobike && !self.plan.transport {
                let local = SocketAddr::new(address, path.local.port());
                self.actions.push_back(Action::Relocate(id, Path { local, ..path }));
            } else {
                self.replace(now, id);
            }
        }
    }

    /// Makes out what is missing in tunnels that are up.
    pub(super) fn note_missing(&mut self, now: Now, wanted: bool) {
        if self.stopped || !wanted {
            return;
        }
        let Self { tunnels, pauses, plan, .. } = self;
        for tunnel in tunnels.values_mut().filter(|t| t.is_established() && t.successor.is_none()) {
            let begun = tunnel.up.map_or(now.instant, |(since, _)| since) + TURN;
            let due = begun.max(now.instant + backoff::FIRST);
            for child in (0..plan.children.len()).filter(|&child| !tunnel.pairs.iter().any(|pair| pair.child == child))
            {
                tunnel.missing.entry(child).or_insert_with(|| Missing { due, pauses: pauses.fork() });
            }
        }
    }

    /// Lets nobody wait longer than this for a child.
    pub(super) fn hasten_missing(&mut self, soon: Instant) {
        for tunnel in self.tunnels.values_mut().filter(|tunnel| tunnel.lasted(soon, TURN)) {
            tunnel.missing.values_mut().for_each(|missing| missing.due = missing.due.min(soon));
        }
    }

    pub(super) fn ask_for_missing(&mut self, now: Now) {
        let Self { tunnels, actions, .. } = self;
        for (&id, tunnel) in tunnels.iter_mut().filter(|(_, tunnel)| tunnel.is_established()) {
            for (&child, missing) in tunnel.missing.iter_mut().filter(|(_, missing)| missing.due <= now.instant) {
                missing.due = now.instant + HANDOVER.max(missing.pauses.next());
                actions.push_back(Action::CreateChild(id, child));
            }
        }
        self.hand_over(now);
    }

    /// When a tunnel's successor takes over although it lacks children.
    pub(super) fn handover(&self, old: &Tunnel) -> Option<Instant> {
        let new = self.tunnels.get(&old.successor?).filter(|_| old.is_established() && old.leaves.is_none())?;
        new.up.map(|(since, _)| since + HANDOVER)
    }

    /// Lets tunnels go whose successor is ready.
    fn hand_over(&mut self, now: Now) {
        let ready = |old: &Tunnel| {
            let new = old.successor.and_then(|id| self.tunnels.get(&id));
            new.is_some_and(|new| new.is_established() && (new.covers(old) || new.lasted(now.instant, HANDOVER)))
        };
        let ready: Vec<SessionId> = self
            .tunnels
            .iter()
            .filter(|(_, t)| t.is_established() && t.leaves.is_none() && ready(t))
            .map(|(&id, _)| id)
            .collect();
        for id in ready {
            if let Some(tunnel) = self.tunnels.get_mut(&id) {
                tunnel.leaves = Some(now.instant + DRAIN);
            }
        }
    }
}

/// Whether of two tunnels `keep` is the one that stays: both ends know the same precedence. If the peer should close the other
/// one and does not, we close ours.
fn outlives(
    now: Now,
    (id, keep): (SessionId, &Tunnel),
    other: &Tunnel,
    heard: impl Fn(SessionId) -> Option<Instant>,
) -> bool {
    let (Some((since, _)), Some((other_since, _))) = (keep.up, other.up) else { return false };
    let together = since.max(other_since);
    let waited = now.instant.saturating_duration_since(together) >= PATIENCE;
    keep.is_established()
        && keep.role == Role::Responder
        && keep.covers(other)
        && (keep.precedence > other.precedence || waited)
        && heard(id).is_some_and(|at| at > together)
}
