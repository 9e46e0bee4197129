//! What is known about one client session besides its keys.

use std::time::Instant;

use cygnet_ike::cert::CertificatePath;
use cygnet_ike::{AccessRequest, AuthenticatedBy, EspSpi, Path, SessionId};
use cygnet_l2tp::SessionKey;
use jiff::Timestamp;

use super::Now;
use super::l2tp::Channel;
use crate::auth::eap::EapServer;
use crate::pool::Lease;

/// Counters of the data plane, by inbound SPI. Reading them has no effect.
pub trait Meter: Send {
    /// Traffic of an SA pair since it was installed; zero for an unknown one.
    fn traffic(&self, inbound_spi: EspSpi) -> Traffic;
    /// When the last authentic packet came in; `None` before the first.
    fn last_heard(&self, inbound_spi: EspSpi) -> Option<Instant>;
}

/// Inner packets of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Octets from the client.
    pub bytes_in: u64,
    /// Octets to the client.
    pub bytes_out: u64,
    /// Packets from the client.
    pub packets_in: u64,
    /// Packets to the client.
    pub packets_out: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.packets_in += other.packets_in;
        self.packets_out += other.packets_out;
    }
}

impl std::ops::SubAssign for Traffic {
    /// Never below zero.
    fn sub_assign(&mut self, other: Self) {
        self.bytes_in = self.bytes_in.saturating_sub(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_sub(other.bytes_out);
        self.packets_in = self.packets_in.saturating_sub(other.packets_in);
        self.packets_out = self.packets_out.saturating_sub(other.packets_out);
    }
}

/// How a client came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// IKEv2.
    Ikev2,
    /// IKEv1 with XAUTH.
    Xauth,
    /// PPP in this L2TP session in IPsec.
    L2tp(SessionKey),
}

impl Via {
    /// Its name for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ikev2 => "ikev2",
            Self::Xauth => "xauth",
            Self::L2tp(_) => "l2tp",
        }
    }

    /// Where such a client proves who it is, as people are told.
    pub(super) fn exchange(self) -> &'static str {
        match self {
            Self::Ikev2 => "IKE_AUTH",
            Self::Xauth => "XAUTH",
            Self::L2tp(_) => "PPP",
        }
    }
}

/// One client, from the proof of its identity to its end.
pub(super) struct Session {
    pub(super) via: Via,
    pub(super) identity: String,
    /// The account's name, when the client logged in with a password.
    pub(super) user: Option<String>,
    /// What it has logged in with inside of EAP; empty without. (Certificates that IKE has seen are the IKE engine's business.)
    pub(super) certificates: CertificatePath,
    pub(super) path: Path,
    pub(super) behind_nat: bool,
    pub(super) lease: Lease,
    pub(super) stage: Stage,
    pub(super) since: Timestamp,
    pub(super) children: Vec<Child>,
    /// Traffic of SA pairs that are gone.
    pub(super) past: Traffic,
    /// What the SA pairs had carried before this session began.
    pub(super) before: Traffic,
    pub(super) last_heard: Option<Instant>,
    /// The session of the same client that has the lease now.
    pub(super) successor: Option<SessionId>,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The host is being prepared for its addresses.
    Admitting,
    /// Its addresses are promised; PPP has not agreed on them yet.
    Granted,
    /// Addresses are assigned.
    Established,
}

/// One SA pair of a session.
#[derive(Clone)]
pub(super) struct Child {
    pub(super) inbound_spi: EspSpi,
    pub(super) cipher: String,
    /// Another pair has taken over, and this one only receives.
    pub(super) superseded: bool,
}

impl Session {
    pub(super) fn new(now: Now, request: &AccessRequest, user: Option<String>) -> Self {
        Self {
            via: if request.by == AuthenticatedBy::XAuth { Via::Xauth } else { Via::Ikev2 },
            identity: request.identity.to_string(),
            user,
            certificates: CertificatePath::default(),
            path: request.path,
            behind_nat: request.behind_nat,
            lease: Lease::default(),
            stage: Stage::Admitting,
            since: now.wall,
            children: Vec::new(),
            past: Traffic::default(),
            before: Traffic::default(),
            last_heard: None,
            successor: None,
        }
    }

    /// A PPP login inside of an IPsec peer. `before` is what that peer's SA pairs have carried so far.
    pub(super) fn of_call(now: Now, key: SessionKey, channel: &Channel, user: String, before: Traffic) -> Self {
        Self {
            via: Via::L2tp(key),
            identity: channel.identity.clone(),
            user: Some(user),
            certificates: CertificatePath::default(),
            path: channel.path,
            behind_nat: channel.behind_nat,
            lease: Lease::default(),
            stage: Stage::Admitting,
            since: now.wall,
            children: channel.children.clone(),
            past: Traffic::default(),
            before,
            last_heard: None,
            successor: None,
        }
    }

    /// Who holds the lease. Identities are kept apart from accounts: who only has the pre-shared key may call itself
    /// like an account, but does not get that one's address.
    pub(super) fn owner(&self) -> String {
        self.user.clone().unwrap_or_else(|| format!("identity {}", self.identity))
    }

    /// The name to show: the account, otherwise the IKE identity.
    pub(super) fn who(&self) -> &str {
        self.user.as_deref().unwrap_or(&self.identity)
    }
}

/// A login with user name and password that is under way.
pub(super) struct Login {
    pub(super) eap: EapServer,
    pub(super) path: Path,
    /// The account, once the password was right.
    pub(super) user: Option<String>,
    /// The client's certificate with those above it, once it was verified.
    pub(super) certificates: CertificatePath,
}
