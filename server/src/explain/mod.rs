//! Why somebody could not connect: a bounded memory of refusals and session ends, and their sentences.
//!
//! Pure: time comes with each [`Record`]. Does not: decide what a refusal means (the engines say so), talk to anybody.

mod memory;
mod render;
mod site;

pub use memory::Memory;
pub use render::{moment, render};
pub use site::{Story, mismatch, of_site, sentence_about_peer};

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One thing that happened to a peer, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it happened.
    pub when: Timestamp,
    /// Where the peer is.
    pub peer: SocketAddr,
    /// Whether we have called the peer, not the peer us.
    #[serde(default)]
    pub called: bool,
    /// Who, as far as known: the site, the user name, otherwise the IKE identity.
    pub user: Option<String>,
    /// The exchange or event: `IKE_SA_INIT`, `IKE_AUTH`, `session`.
    pub exchange: String,
    /// What happened, without time, peer and exchange: `refused: no common algorithms`, `ended: the client left`.
    pub headline: String,
    /// What was seen and what was wanted, a line each.
    pub details: Vec<String>,
    /// The smallest change that would have made it work.
    pub fix: Option<String>,
}

/// A record, and how often the same was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The newest record of its kind.
    #[serde(flatten)]
    pub record: Record,
    /// How often this happened to this peer without anything else in between.
    pub times: u64,
}
