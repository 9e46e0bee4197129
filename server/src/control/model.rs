//! What is said over the control socket, and the questions that the gateway's task has to answer.
//!
//! Units in JSON: bytes, packets and seconds as integers, times in RFC 3339 UTC. "In" is from the client.

use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::auth::users::canonical;
use crate::explain;

/// A question to the task that owns the gateway. A reply sender that is dropped counts as "is shutting down".
#[derive(Debug)]
pub enum ControlCommand {
    /// Who is connected.
    Status {
        /// Gets the answer.
        reply: oneshot::Sender<Status>,
    },
    /// Why somebody could not connect: the newest entries first.
    Explain {
        /// Whom it is about.
        filter: ExplainFilter,
        /// Gets the answer.
        reply: oneshot::Sender<Vec<explain::Entry>>,
    },
    /// End the sessions of somebody.
    Kick {
        /// See [`Session::is_about`].
        who: String,
        /// Gets the answer.
        reply: oneshot::Sender<Kicked>,
    },
    /// Read configuration and users file again and apply what changed; a mistake in them changes nothing.
    Reload {
        /// Gets the answer.
        reply: oneshot::Sender<Result<Reloaded, Failure>>,
    },
    /// Read the users file again; users that are gone or locked are disconnected.
    UsersChanged {
        /// Gets the answer.
        reply: oneshot::Sender<Result<Reloaded, Failure>>,
    },
}

/// The gateway at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the running daemon.
    pub version: String,
    /// Since when it runs.
    pub started: Timestamp,
    /// When this was asked.
    pub now: Timestamp,
    /// What clients type into their device; empty without `[remote]`.
    pub name: String,
    /// Clients, sorted by user and then by `since`.
    pub sessions: Vec<Session>,
    /// Address pools.
    pub pools: Vec<Pool>,
    /// Counters since start, sorted by name: `drops/icv_failed`, `refused/no_proposal_chosen`.
    pub counters: Vec<Counter>,
}

/// One client session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Stable for the life of the session.
    pub id: u64,
    /// User name, otherwise the IKE identity.
    pub user: String,
    /// IKE identity.
    pub identity: String,
    /// Protocol: `ikev2`, `l2tp` or `xauth`.
    pub via: String,
    /// Where it stands.
    pub state: SessionState,
    /// Addresses inside the tunnel.
    pub inside: Vec<IpAddr>,
    /// Address and port outside.
    pub from: SocketAddr,
    /// Whether a NAT is in between.
    pub nat: bool,
    /// Cipher of the newest ESP SA: `aes-gcm-256`.
    pub cipher: String,
    /// Since when.
    pub since: Timestamp,
    /// Seconds since the last packet from the client; `None` before the first.
    pub idle_seconds: Option<u64>,
    /// Bytes from the client, inner packets.
    pub bytes_in: u64,
    /// Bytes to the client, inner packets.
    pub bytes_out: u64,
    /// Packets from the client.
    pub packets_in: u64,
    /// Packets to the client.
    pub packets_out: u64,
}

impl Session {
    /// Whether `who` names this session: its user or IKE identity (capital letters and a Windows domain make no difference),
    /// an inner address, or the outer address with or without port.
    #[must_use]
    pub fn is_about(&self, who: &str) -> bool {
        if let Ok(address) = who.parse::<IpAddr>() {
            return self.inside.contains(&address) || self.from.ip().to_canonical() == address.to_canonical();
        }
        if let Ok(address) = who.parse::<SocketAddr>() {
            return self.from == address;
        }
        canonical(&self.user) == canonical(who) || self.identity.to_lowercase() == who.to_lowercase()
    }
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SessionState {
    /// Authentication is under way.
    Connecting,
    /// It works.
    Established,
    /// It is being closed.
    Closing,
}

/// One address pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The network.
    pub network: ipnet::IpNet,
    /// Addresses that can be given out; `None` if more than 2^64.
    pub total: Option<u64>,
    /// Addresses in use.
    pub used: u64,
}

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// `group/name`.
    pub name: String,
    /// Its value since start.
    pub value: u64,
}

/// Whom `explain` is about; everybody when empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainFilter {
    /// A user name, an IKE identity, or an address with or without port.
    pub who: Option<String>,
    /// How many records at most; `None`: all that are kept.
    pub limit: Option<usize>,
}

/// Whom to disconnect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KickRequest {
    /// See [`Session::is_about`].
    pub who: String,
}

/// What a kick did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kicked {
    /// Sessions that are being ended.
    pub disconnected: u64,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// What is different now, a line each.
    pub changes: Vec<String>,
    /// What is different in the file but needs a restart, a line each.
    pub needs_restart: Vec<String>,
    /// Sessions that were closed because their user is gone or locked.
    pub disconnected: u64,
    /// Warnings about the configuration.
    pub warnings: Vec<String>,
}

/// Why a command could not be carried out, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The whole text; several lines for a configuration that cannot be used.
    pub message: String,
}
