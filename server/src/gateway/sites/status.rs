//! What people are told about a site.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::Traffic;

/// One site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteReport {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Where it stands.
    pub state: SiteState,
    /// The peer as configured: an address, a name, or `any`.
    pub peer: String,
    /// Where the peer is; `None` while nothing is known.
    pub address: Option<SocketAddr>,
    /// Traffic selectors of our side, those agreed on while it is up.
    pub local: Vec<String>,
    /// Traffic selectors of the other side, those agreed on while it is up.
    pub remote: Vec<String>,
    /// Children that are up, and how many there should be.
    pub children: (usize, usize),
    /// Cipher of the newest ESP SA; empty while it is down.
    pub cipher: String,
    /// Until the next rekey that we would begin.
    pub next_rekey: Option<Duration>,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// What it has carried since it came up.
    pub traffic: Traffic,
    /// What went wrong last, and when.
    pub last_error: Option<(Timestamp, String)>,
}

/// Where a site stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteState {
    /// Up, with every child.
    Up,
    /// Up, without some of its children.
    Partial,
    /// An attempt is under way.
    Connecting,
    /// The next attempt comes after a pause.
    Waiting,
    /// Nothing happens until a packet wants through.
    OnDemand,
    /// Nothing happens until the peer comes.
    Listening,
    /// The operator took it down.
    Down,
}
