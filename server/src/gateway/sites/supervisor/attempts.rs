//! Attempts to reach the peer: its addresses, both ports, and the pause after a round of them.

use std::net::{IpAddr, SocketAddr};

use cygnet_ike::{CloseReason, Path};

use super::super::round::{IKE, NAT_TRAVERSAL, Round};
use super::{Action, Failure, Goal, Phase, RESOLVING, ROUTING, Supervisor};
use crate::config::Peer;
use crate::gateway::Now;

impl Supervisor {
    /// The pause is over.
    pub(super) fn begin(&mut self, now: Now) {
        match (&self.goal, &self.plan.peer) {
            (Goal::Tunnel, Peer::Name(_)) => {
                self.phase = Phase::Resolving { until: now.instant + RESOLVING };
                self.resolve();
            }
            _ => self.begin_round(now),
        }
    }

    pub(super) fn resolve(&mut self) {
        if let Peer::Name(name) = &self.plan.peer {
            self.actions.push_back(Action::Resolve(name.clone()));
        }
    }

    pub(super) fn begin_round(&mut self, now: Now) {
        self.round = match self.goal {
            Goal::Successor(old) => match self.tunnels.get(&old).map(|tunnel| tunnel.path) {
                Some(Path { local, peer }) => Round::new(&[peer.ip()], Some(SocketAddr::new(peer.ip(), local.port()))),
                None => Round::default(),
            },
            Goal::Tunnel => Round::new(&self.addresses, self.best),
        };
        self.next_attempt(now);
    }

    /// Tries the next address or port of the round.
    pub(super) fn next_attempt(&mut self, now: Now) {
        while let Some(target) = self.round.next() {
            match self.plan.local_address {
                Some(local) if local.is_ipv4() != target.is_ipv4() => {
                    self.round.note_answer(target.ip());
                    self.note_error(now, format!("local_address {local} cannot reach {}", target.ip()));
                }
                _ => {
                    self.phase = Phase::Routing { target, until: now.instant + ROUTING };
                    return self.actions.push_back(Action::AskLocalAddress(target.ip()));
                }
            }
        }
        self.round_over(now);
    }

    pub(super) fn initiate(&mut self, target: SocketAddr, local: IpAddr) {
        self.phase = Phase::Trying { target, session: None };
        self.reason = None;
        self.actions.push_back(Action::Initiate(Path { local: SocketAddr::new(local, target.port()), peer: target }));
    }

    /// An attempt under way shows the peer what counts no more, and failures of before say nothing about the next one.
    pub(in super::super) fn begin_anew(&mut self, now: Now, reason: CloseReason) {
        if let Some(id) = self.trying() {
            self.close(id, reason);
        }
        self.pauses.reset();
        self.earliest = now.instant;
        if let Phase::Waiting { until } = &mut self.phase {
            *until = now.instant;
        }
    }

    pub(super) fn attempt_failed(&mut self, now: Now, target: SocketAddr, failure: Failure) {
        self.attempts = self.attempts.saturating_add(1);
        if !failure.silence {
            self.round.note_answer(target.ip());
        }
        self.note_error(now, failure.text);
        self.next_attempt(now);
    }

    /// Every address and port was tried.
    pub(super) fn round_over(&mut self, now: Now) {
        if !self.round.is_empty() && !self.round.was_answered() {
            self.note_error(now, format!("no answer on UDP {IKE} and {NAT_TRAVERSAL}"));
        }
        if self.round.is_empty() {
            // There was no address to try.
            self.attempts = self.attempts.saturating_add(1);
        }
        self.failed_at = Some(now.instant);
        self.earliest = now.instant + self.pauses.next();
        self.phase = Phase::Idle;
        self.asked = false;
        let text = self.last_error.as_ref().map_or_else(|| "the peer has no address".into(), |(_, text)| text.clone());
        self.answer(Err(text));
    }
}
