//! What a link reports, and how it looks from outside.

use std::net::Ipv4Addr;

use crate::auth::{Credentials, Method};
use crate::frame::Protocol;

/// What happened on a link; taken from [`Link::poll_event`](crate::Link::poll_event).
#[non_exhaustive]
#[derive(Debug)]
pub enum Event {
    /// The client claims to be somebody. Answer with [`Link::verdict`](crate::Link::verdict).
    Credentials(Credentials),
    /// The client is who it says, and may ask for addresses now. Answer with [`Link::grant`](crate::Link::grant) or
    /// [`Link::deny`](crate::Link::deny). Raised once per link.
    Authenticated {
        /// The account, named as in the verdict.
        user: String,
        /// How it was proven.
        method: Method,
    },
    /// IP packets of this family may flow. Raised again after the client negotiated anew:
    /// [`Link::info`](crate::Link::info) may have changed.
    NetworkUp {
        /// The family.
        family: Family,
    },
    /// IP packets of this family must not flow any more, while the link goes on.
    NetworkDown {
        /// The family.
        family: Family,
    },
    /// The link has ended; nothing follows.
    Down {
        /// Why.
        reason: CloseReason,
    },
}

/// A network protocol that a link carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4, opened by IPCP (RFC 1332).
    V4,
    /// IPv6, opened by IPV6CP (RFC 5072).
    V6,
}

/// Where a link is in its life (RFC 1661 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// LCP is negotiated.
    Establish,
    /// The client has to prove who it is.
    Authenticate,
    /// Addresses are negotiated and packets flow.
    Network,
    /// One side says goodbye.
    Terminate,
    /// It has ended.
    Dead,
}

/// How a link looks at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// Where it is in its life.
    pub phase: Phase,
    /// Largest information field in octets that the client may send, as it agreed to.
    pub local_mru: u16,
    /// Largest information field in octets that the client takes.
    pub peer_mru: u16,
    /// The client takes protocols of one octet (it offered Protocol-Field-Compression).
    pub short_protocol: bool,
    /// The client takes frames without FF 03 (it offered Address-and-Control-Field-Compression).
    pub omit_address_control: bool,
    /// How the client proves, or has proven, who it is; `None` before both agreed.
    pub auth: Option<Method>,
    /// IPv4 packets may flow.
    pub ipv4: bool,
    /// IPv6 packets may flow.
    pub ipv6: bool,
}

/// Why a link ended.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client ended it with a Terminate-Request.
    PeerTerminated,
    /// No answer to Configure-Requests of this protocol.
    NoAnswer(Protocol),
    /// No sign of life: this many Echo-Requests remained unanswered.
    PeerDead {
        /// How many.
        lost_echoes: u32,
    },
    /// The client did not finish its login in time.
    LoginTimeout,
    /// Our own frames came back.
    Looped,
    /// The options of this protocol did not converge.
    NotConverging(Protocol),
    /// The client refuses each way to authenticate that is allowed; with what it asked for, if anything.
    AuthProtocolRefused {
        /// The methods that are allowed.
        allowed: Vec<Method>,
        /// Protocol and algorithm that the client named last.
        wanted: Option<WantedAuth>,
    },
    /// The client does not implement a protocol without which nothing works.
    ProtocolRejected(Protocol),
    /// Name or password were not accepted.
    AuthenticationFailed,
    /// After a new negotiation the client proved to be somebody else.
    UserChanged,
    /// The client insists on an address that is not its lease.
    AddressRefused {
        /// What it asked for last.
        asked: Ipv4Addr,
    },
    /// Neither IPv4 nor IPv6 could be agreed on.
    NoNetworkProtocol,
    /// No address is free for it.
    NoAddress,
    /// The account has as many devices connected as it may.
    TooManyDevices,
    /// An administrator ended it, or the account was withdrawn.
    Administrative,
    /// The gateway stops.
    Shutdown,
    /// What carries the link (L2TP, IPsec) is gone.
    LowerLayerDown,
    /// The gateway decided so, in its own words.
    Denied(String),
}

/// The Authentication-Protocol option as a client wishes it (RFC 1661 section 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedAuth {
    /// The protocol.
    pub protocol: Protocol,
    /// CHAP's algorithm, if the protocol is CHAP and there is one.
    pub algorithm: Option<u8>,
}
