//! One IKE session with a site, from the first message on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cygnet_ike::{EspSpi, Path, Role, SessionId};
use jiff::Timestamp;

use super::super::Traffic;
use super::backoff::Backoff;

/// See the module.
pub(super) struct Tunnel {
    pub(super) role: Role,
    pub(super) stage: Stage,
    pub(super) path: Path,
    pub(super) behind_nat: bool,
    /// Who the peer is; empty before it said so.
    pub(super) identity: String,
    pub(super) mobike: bool,
    /// See [`cygnet_ike::SessionInfo::precedence`].
    pub(super) precedence: u128,
    /// When it was established.
    pub(super) up: Option<(Instant, Timestamp)>,
    /// When the peer's last packet came by the data path.
    pub(super) heard: Option<Instant>,
    /// Its SA pairs, oldest first.
    pub(super) pairs: Vec<Pair>,
    /// When to ask for children that are missing, by their place in the configuration.
    pub(super) missing: BTreeMap<usize, Missing>,
    /// Traffic of SA pairs that are gone.
    pub(super) past: Traffic,
    /// Both sides have to prove again who they are before long.
    pub(super) expires: bool,
    /// The session that takes over.
    pub(super) successor: Option<SessionId>,
    /// When it gives way to its successor.
    pub(super) leaves: Option<Instant>,
}

/// How far a tunnel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The peer has not proven who it is, or does not know yet that it may come in.
    Connecting,
    /// It can carry packets.
    Established,
    /// We have ended it.
    Closing,
}

/// One SA pair.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) inbound_spi: EspSpi,
    /// Which child, by its place in the configuration.
    pub(super) child: usize,
    pub(super) cipher: String,
    pub(super) local: Vec<String>,
    pub(super) remote: Vec<String>,
    /// When we replace it, at the latest.
    pub(super) rekey: Option<Instant>,
}

/// A child that should be there.
pub(super) struct Missing {
    /// When to ask for it.
    pub(super) due: Instant,
    pub(super) pauses: Backoff,
}

impl Tunnel {
    pub(super) fn new(role: Role, path: Path) -> Self {
        Self {
            role,
            stage: Stage::Connecting,
            path,
            behind_nat: false,
            identity: String::new(),
            mobike: false,
            precedence: 0,
            up: None,
            heard: None,
            pairs: Vec::new(),
            missing: BTreeMap::new(),
            past: Traffic::default(),
            expires: false,
            successor: None,
            leaves: None,
        }
    }

    pub(super) fn is_established(&self) -> bool {
        self.stage == Stage::Established
    }

    /// Whether it has a pair for this child.
    pub(super) fn carries(&self, child: usize) -> bool {
        self.pairs.iter().any(|pair| pair.child == child)
    }

    /// Whether it has a pair for every child that `other` has one for.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other.pairs.iter().all(|pair| self.carries(pair.child))
    }

    /// The newest pair of a child.
    pub(super) fn pair(&self, child: usize) -> Option<&Pair> {
        self.pairs.iter().rev().find(|pair| pair.child == child)
    }

    /// The newest pair of each child.
    pub(super) fn current(&self) -> impl Iterator<Item = EspSpi> {
        let newer =
            |place: usize, pair: &Pair| self.pairs.iter().skip(place + 1).any(|other| other.child == pair.child);
        self.pairs
            .iter()
            .enumerate()
            .filter(move |&(place, pair)| !newer(place, pair))
            .map(|(_, pair)| pair.inbound_spi)
    }

    /// Whether it was up for at least this long.
    pub(super) fn lasted(&self, now: Instant, time: Duration) -> bool {
        self.up.is_some_and(|(since, _)| now.saturating_duration_since(since) >= time)
    }
}
