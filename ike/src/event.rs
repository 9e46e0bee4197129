//! What goes into an [`Endpoint`](crate::Endpoint) beside datagrams, and what comes out of it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::child_sa::{ChildMode, ChildSa, ChildSuite};
use crate::crypto::secret::Secret;
use crate::identity::Identity;
use crate::refusal::Refusal;
use crate::wire::EspSpi;
use crate::wire::v2::TrafficSelector;

/// A pair of UDP endpoints. The local port is 500 or 4500; on 4500 whoever does the sending puts the
/// non-ESP marker of RFC 3948 in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub peer: SocketAddr,
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// From where to where.
    pub path: Path,
    /// The IKE message, without non-ESP marker.
    pub payload: Bytes,
}

/// Names one client from its first message on; survives rekeying of the IKE SA and is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A network: an address and the number of leading bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// Any address inside.
    pub address: IpAddr,
    /// 0 to 32, or 0 to 128.
    pub len: u8,
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

/// Something that happened.
pub enum Event {
    /// The client wants to log in by EAP; to be answered by [`Endpoint::eap_continue`](crate::Endpoint::eap_continue).
    Eap {
        /// Who.
        session: SessionId,
        /// The EAP response of the client; `None` at the beginning, when the server asks first.
        response: Option<Vec<u8>>,
        /// What the client calls itself. Unproven, and with Windows just an address: not the user name.
        idi: Identity,
        /// Where it is.
        path: Path,
    },
    /// The client has proven who it is; to be answered by [`Endpoint::grant`](crate::Endpoint::grant) or
    /// [`Endpoint::deny`](crate::Endpoint::deny).
    Authenticated {
        /// Who.
        session: SessionId,
        /// What it wants.
        request: AccessRequest,
    },
    /// The client logs in by name and password (XAUTH over IKEv1, draft-beaulieu-ike-xauth-02); to be answered by
    /// [`Endpoint::xauth_continue`](crate::Endpoint::xauth_continue).
    XAuth {
        /// Who.
        session: SessionId,
        /// The user name as typed.
        user: String,
        /// The password as typed.
        password: Secret,
        /// What the client called itself in phase 1.
        identity: Identity,
        /// Where it is.
        path: Path,
    },
    /// A Child SA is ready: to be installed for both directions.
    ///
    /// With `replaces`, the old pair keeps receiving until its [`Event::ChildDown`], and sending goes on with the old
    /// pair until then or until the first authentic packet arrives on the new one.
    ChildUp {
        /// Whose.
        session: SessionId,
        /// The Child SA.
        child: Box<ChildSa>,
        /// The inbound SPI of the Child SA that was rekeyed.
        replaces: Option<EspSpi>,
    },
    /// A Child SA is gone: to be removed in both directions.
    ChildDown {
        /// Whose.
        session: SessionId,
        /// Which.
        inbound_spi: EspSpi,
    },
    /// A Child SA that was asked for by [`Endpoint::initiate`](crate::Endpoint::initiate) or
    /// [`Endpoint::create_child`](crate::Endpoint::create_child) did not come about; why was [`Event::Refused`] before.
    ChildFailed {
        /// Whose.
        session: SessionId,
        /// Which, by [`SiteChild::name`](crate::SiteChild::name).
        child: Arc<str>,
    },
    /// An authentic message came from a new address: all Child SAs of the session move there.
    Moved {
        /// Who.
        session: SessionId,
        /// The new addresses.
        path: Path,
        /// Whether ESP goes inside UDP from now on.
        udp_encap: bool,
    },
    /// The session ends soon unless the two sides prove who they are again (RFC 4478): a new session is to be
    /// established, and this one to be closed afterwards. Raised for sessions that we initiated.
    ReauthenticationDue {
        /// Which.
        session: SessionId,
        /// How long it has.
        within: Duration,
    },
    /// The IKE SA is complete and the client has been told so. An L2TP client (IKEv1 without XAUTH) raises this without
    /// [`Event::Authenticated`]: it logs in inside of the tunnel.
    Established {
        /// Who.
        session: SessionId,
        /// What is known about it.
        info: Box<SessionInfo>,
    },
    /// The session is over; its Child SAs went down before. Sent for every session that was [`Event::Authenticated`] or
    /// [`Event::Established`], and for every one that we initiated.
    Closed {
        /// Whose.
        session: SessionId,
        /// Why.
        reason: CloseReason,
    },
    /// Something was refused, before or after authentication.
    Refused(Box<Refusal>),
}

/// How a client has proven its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthenticatedBy {
    /// Pre-shared key.
    Psk,
    /// Certificate and signature.
    Certificate,
    /// A key that we know, without certificate (RFC 7670).
    RawKey,
    /// EAP; who it is in truth, the EAP server knows.
    Eap,
    /// Name and password by XAUTH, after a pre-shared key or certificate.
    XAuth,
}

/// Who began the IKE SA of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// We did.
    Initiator,
    /// The peer did.
    Responder,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initiator => "initiator",
            Self::Responder => "responder",
        })
    }
}

/// The version of IKE that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IkeVersion {
    /// IKEv1, RFC 2409.
    V1,
    /// IKEv2, RFC 7296.
    V2,
}

impl fmt::Display for IkeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "IKEv1",
            Self::V2 => "IKEv2",
        })
    }
}

/// What an authenticated client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRequest {
    /// The identity that was proven; with EAP only claimed.
    pub identity: Identity,
    /// How.
    pub by: AuthenticatedBy,
    /// Where the client is.
    pub path: Path,
    /// The client says that it has no other session (RFC 7296 section 2.4). The endpoint has closed the ones that have
    /// proven this identity in the same way from the same address, or hold the inner address that is asked for, unless
    /// identities are shared.
    pub initial_contact: bool,
    /// `Some` if an IPv4 address is wanted; within, the one that the client would like to have.
    pub ipv4: Option<Option<Ipv4Addr>>,
    /// `Some` if an IPv6 address is wanted; within, the one that the client would like to have.
    pub ipv6: Option<Option<Ipv6Addr>>,
    /// Traffic on the client's side, as offered.
    pub tsi: Vec<TrafficSelector>,
    /// Traffic on our side, as offered.
    pub tsr: Vec<TrafficSelector>,
    /// Whether the client is behind address translation.
    pub behind_nat: bool,
    /// The peer is this site, by [`Site::name`](crate::Site::name), and no client: [`Grant::default`] is the answer that
    /// lets it in.
    pub site: Option<Arc<str>>,
}

/// What a client gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Inner addresses: the client's side of the tunnel is narrowed to them.
    pub addresses: Vec<IpAddr>,
    /// Netmask to tell with an IPv4 address, if asked for; `None`: none.
    pub netmask: Option<Ipv4Addr>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Domains to be asked of these name servers only (RFC 8598).
    pub domains: Vec<String>,
    /// Networks on our side of the tunnel; empty: everything.
    pub routes: Vec<Prefix>,
    /// NetBIOS name servers, told by IKEv1's mode configuration only.
    pub nbns: Vec<Ipv4Addr>,
    /// Answer to APPLICATION_VERSION; `None`: no answer.
    pub application_version: Option<String>,
}

/// Why an authenticated client is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    /// No address is left: INTERNAL_ADDRESS_FAILURE. The IKE SA stays for a short while, as RFC 7296 section 3.15.4 has it, but
    /// gets no Child SA: a client that wants to try again has to log in again.
    NoAddress,
    /// This client may not come in (expired, disabled, too many devices): AUTHENTICATION_FAILED.
    Authorization,
}

/// The EAP server's next step.
pub enum EapStep {
    /// Ask the client.
    Request(Vec<u8>),
    /// The client is in.
    Success {
        /// The master session key of the method.
        msk: Secret,
        /// The EAP-Success packet.
        message: Vec<u8>,
        /// The method has proven to the client who we are, as EAP-TLS does, so that our certificate may stay away from
        /// IKE_AUTH (RFC 5998 section 4).
        mutual: bool,
    },
    /// The client is not who it says.
    Failure {
        /// The EAP-Failure packet.
        message: Vec<u8>,
    },
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client deleted the IKE SA.
    PeerDeleted,
    /// The client did not answer any more.
    PeerDead,
    /// The same client came again with INITIAL_CONTACT.
    Replaced,
    /// It never got a Child SA, or lost the last one and did not make another.
    NoChildSa,
    /// It could not be rekeyed in time.
    Expired,
    /// The peer was to authenticate again within a time, and did not (RFC 4478).
    NotReauthenticated,
    /// A certificate that let it in was revoked.
    Revoked,
    /// The operator or the configuration ended it.
    Administrative,
    /// The gateway stops.
    Shutdown,
    /// It was denied by the server.
    Denied,
    /// The client failed to finish what it began.
    Failed,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PeerDeleted => "closed by the client",
            Self::PeerDead => "the client no longer answers",
            Self::Replaced => "the client connected again",
            Self::NoChildSa => "no traffic was ever agreed on",
            Self::Expired => "its keys could not be renewed in time",
            Self::NotReauthenticated => "it was not authenticated again in time",
            Self::Revoked => "its certificate was revoked",
            Self::Administrative => "closed by the operator",
            Self::Shutdown => "the gateway stops",
            Self::Denied => "denied",
            Self::Failed => "the client did not finish what it began",
        })
    }
}

/// A view of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Which.
    pub session: SessionId,
    /// Which IKE the client speaks.
    pub version: IkeVersion,
    /// How far it is.
    pub state: SessionState,
    /// Where the client is.
    pub path: Path,
    /// Whether the client is behind address translation.
    pub behind_nat: bool,
    /// Who the client is; `None` before it said so.
    pub identity: Option<Identity>,
    /// How it has proven that; `None` before it did.
    pub by: Option<AuthenticatedBy>,
    /// Algorithms of the IKE SA, such as `aes256gcm16-prfsha384-ecp384`; of IKEv1 such as `aes256-sha1-ecp384`.
    pub ike_suite: String,
    /// Algorithms of the newest Child SA.
    pub child_suite: Option<String>,
    /// Inner addresses.
    pub addresses: Vec<IpAddr>,
    /// The Child SAs, oldest first.
    pub children: Vec<ChildInfo>,
    /// When the first message came.
    pub since: Instant,
    /// When the client was last heard.
    pub last_heard: Instant,
    /// The site, by [`Site::name`](crate::Site::name); `None`: a client.
    pub site: Option<Arc<str>>,
    /// Who began. When both ends of a site begin at once both sessions may come up; they agree on which one stays by
    /// [`SessionInfo::precedence`].
    pub role: Role,
    /// Orders the sessions of one site in the same way at both of its ends, so that both keep the same one of two: the
    /// greater. It stays the same as long as the session lives.
    pub precedence: u128,
    /// Whether the initiator may move by MOBIKE (RFC 4555).
    pub mobike: bool,
    /// Whether a post-quantum pre-shared key went into the keys (RFC 8784).
    pub ppk: bool,
    /// When we renew the keys of the IKE SA; `None`: not by ourselves, or it is under way.
    pub ike_rekey: Option<Instant>,
}

/// A view of one Child SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildInfo {
    /// What we receive carries it.
    pub inbound_spi: EspSpi,
    /// Which of its site's tunnels this is, by [`SiteChild::name`](crate::SiteChild::name); `None`: a client's.
    pub name: Option<Arc<str>>,
    /// Traffic on our side.
    pub local_ts: Vec<TrafficSelector>,
    /// Traffic on the peer's side.
    pub remote_ts: Vec<TrafficSelector>,
    /// Its algorithms.
    pub suite: ChildSuite,
    /// What is inside of its packets.
    pub mode: ChildMode,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Our IKE_SA_INIT is sent.
    Initiating,
    /// IKE_SA_INIT is answered.
    HalfOpen,
    /// IKE_AUTH has begun.
    Authenticating,
    /// IKE_AUTH is done.
    Established,
    /// We have sent DELETE.
    Closing,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams handed in.
    pub received: u64,
    /// Messages sent.
    pub sent: u64,
    /// Messages that are not IKE.
    pub malformed: u64,
    /// Messages for SPIs that nobody has.
    pub unknown_spi: u64,
    /// Messages that failed the integrity check.
    pub forged: u64,
    /// Messages outside of the window or not expected in the state.
    pub unexpected: u64,
    /// Retransmitted requests that were answered from the cache.
    pub retransmissions_answered: u64,
    /// Requests that we sent again.
    pub retransmissions_sent: u64,
    /// COOKIE demands sent.
    pub cookies_sent: u64,
    /// New handshakes that were not even considered, since the table is full.
    pub overload_dropped: u64,
    /// Half-open IKE SAs that ran out of time.
    pub half_open_expired: u64,
    /// Refusals.
    pub refused: u64,
    /// Sessions that were established.
    pub established: u64,
    /// Sessions now half-open, authenticating, or refused a moment ago.
    pub half_open: u64,
    /// Sessions now established.
    pub sessions: u64,
}
