//! Why somebody could not connect: a bounded memory of refusals and session ends, and their sentences.
//!
//! Pure: time comes with each [`Record`]. Does not: decide what a refusal means (the engines say so), talk to anybody.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One thing that happened to a peer, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it happened.
    pub when: Timestamp,
    /// From where.
    pub peer: SocketAddr,
    /// Who, as far as known: the user name, otherwise the IKE identity.
    pub user: Option<String>,
    /// The exchange or event: `IKE_SA_INIT`, `IKE_AUTH`, `session`.
    pub exchange: String,
    /// What happened in one line, without time, peer and exchange: `no common algorithms`.
    pub headline: String,
    /// What was seen and what was wanted, a line each.
    pub details: Vec<String>,
    /// The smallest change that would have made it work.
    pub fix: Option<String>,
}
