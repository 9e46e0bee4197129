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
    /// End the sessions of somebody, or the tunnel of a site for now.
    Kick {
        /// See [`Session::is_about`] and [`SiteStatus::is_named`].
        who: String,
        /// Gets the answer.
        reply: oneshot::Sender<Kicked>,
    },
    /// Bring a site up; answered once it is up or the attempt has failed, with its reason.
    Up {
        /// The site.
        site: String,
        /// One of its children; `None`: all.
        child: Option<String>,
        /// Gets the answer.
        reply: oneshot::Sender<Result<SiteStatus, Failure>>,
    },
    /// Close a site's tunnel and leave it down until `Up`; the peer is refused meanwhile.
    Down {
        /// The site.
        site: String,
        /// Gets the answer.
        reply: oneshot::Sender<Result<SiteStatus, Failure>>,
    },
    /// Renew keys; answered once the requests are on their way.
    Rekey {
        /// A site, or see [`Session::is_about`].
        who: String,
        /// The IKE SA instead of its child SAs.
        ike: bool,
        /// Gets the answer.
        reply: oneshot::Sender<Result<Rekeyed, Failure>>,
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
    /// Sites of the configuration, sorted by name.
    #[serde(default)]
    pub sites: Vec<SiteStatus>,
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

/// One site of the configuration, and its tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Where it stands.
    pub state: SiteState,
    /// The peer as configured: an address, a name, or `any`.
    pub peer: String,
    /// Address and port of the peer, once known.
    pub address: Option<SocketAddr>,
    /// Whether a NAT is in between.
    pub nat: bool,
    /// The peer's proven identity; empty while down.
    pub identity: String,
    /// Whether we began.
    pub initiator: bool,
    /// The session's number, as in logs; `None` while down.
    pub session: Option<u64>,
    /// Since when it is up.
    pub since: Option<Timestamp>,
    /// Seconds until the next rekey of the IKE SA by us.
    pub ike_rekey_seconds: Option<u64>,
    /// Seconds since the last packet from the peer; `None` before the first.
    pub idle_seconds: Option<u64>,
    /// What the tunnel joins, in the order of the configuration.
    pub children: Vec<SiteChildStatus>,
    /// Bytes from the peer in this session, inner packets.
    pub bytes_in: u64,
    /// Bytes to the peer.
    pub bytes_out: u64,
    /// Packets from the peer.
    pub packets_in: u64,
    /// Packets to the peer.
    pub packets_out: u64,
    /// Attempts that have failed since the tunnel was up last.
    pub attempts: u32,
    /// Seconds until the next attempt; `None` if none is planned.
    pub retry_seconds: Option<u64>,
    /// Why it is not up, or what has gone wrong since, in one line.
    pub last_error: Option<String>,
}

/// Where a site stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SiteState {
    /// It works.
    Up,
    /// An attempt is under way.
    Connecting,
    /// Waits for the next attempt, for a packet that wants to go there, or for the peer.
    Waiting,
    /// The last attempts have failed.
    Down,
    /// `cygnet down` closed it.
    Stopped,
}

/// One child of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteChildStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Whether it has SAs.
    pub up: bool,
    /// Our networks: as negotiated while it is up, as configured otherwise.
    pub local: Vec<String>,
    /// The peer's networks, likewise.
    pub remote: Vec<String>,
    /// Cipher of the newest SA pair: `aes-gcm-256`; empty while down.
    pub cipher: String,
    /// Seconds until the next rekey by us.
    pub rekey_seconds: Option<u64>,
}

impl SiteStatus {
    /// Whether something gets through: the session is up, and at least one of its children.
    #[must_use]
    pub fn carries(&self) -> bool {
        self.state == SiteState::Up && self.children.iter().any(|child| child.up)
    }

    /// Whether `who` names this site as [`SiteStatus::is_named`] says, or is an address in one of its networks. That one of them is
    /// the whole internet, or says nothing of addresses as in transport mode, names nobody.
    #[must_use]
    pub fn is_about(&self, who: &str) -> bool {
        if let Ok(address) = who.parse::<IpAddr>() {
            let networks = self.children.iter().flat_map(|child| &child.remote);
            let network =
                |text: &String| text.split_whitespace().next().and_then(|net| net.parse::<ipnet::IpNet>().ok());
            let inside =
                |text: &String| network(text).is_some_and(|net| net.prefix_len() > 0 && net.contains(&address));
            return self.is_named(who) || networks.into_iter().any(inside);
        }
        self.is_named(who)
    }

    /// Whether `who` is its name, the peer as configured or as it calls itself, or the peer's address with or without port.
    #[must_use]
    pub fn is_named(&self, who: &str) -> bool {
        if let Ok(address) = who.parse::<IpAddr>() {
            let outer = self.address.is_some_and(|a| a.ip().to_canonical() == address.to_canonical());
            return outer || self.peer.parse() == Ok(address);
        }
        if let Ok(address) = who.parse::<SocketAddr>() {
            return self.address == Some(address);
        }
        let who = who.to_lowercase();
        [&self.name, &self.peer, &self.identity].into_iter().any(|name| name.to_lowercase() == who)
    }
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
    /// Sessions of clients that are being ended.
    pub disconnected: u64,
    /// Sites whose tunnel is being ended; they may try again at once.
    #[serde(default)]
    pub sites: u64,
}

/// Which site to bring up or down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRequest {
    /// The site.
    pub site: String,
    /// One of its children; `None`: all.
    pub child: Option<String>,
}

/// Whose keys to renew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RekeyRequest {
    /// A site, or see [`Session::is_about`].
    pub who: String,
    /// The IKE SA instead of its child SAs.
    #[serde(default)]
    pub ike: bool,
}

/// What a rekey has begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rekeyed {
    /// IKE SAs that get new keys.
    pub ike_sas: u64,
    /// Child SAs that get new keys.
    pub child_sas: u64,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// What is different now, a line each.
    pub changes: Vec<String>,
    /// What is different in the file but needs a restart, a line each.
    pub needs_restart: Vec<String>,
    /// Sessions that were closed because their user is gone or locked, or their address is in no pool any more.
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
