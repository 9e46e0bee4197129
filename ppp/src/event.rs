//! What a link reports, and how it looks from outside.

use std::fmt;
use std::net::Ipv4Addr;

use crate::auth::{AuthFailure, Credentials, Method};
use crate::frame::Protocol;
use crate::packet::leading_u16;

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
    /// The client did not prove who it is.
    AuthenticationFailed(AuthFailure),
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

impl CloseReason {
    /// Whether the client ended the link of its own will.
    #[must_use]
    pub fn is_hangup(&self) -> bool {
        matches!(self, Self::PeerTerminated)
    }
}

/// A sentence for people, without a full stop.
impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerTerminated => f.write_str("the client hung up"),
            Self::NoAnswer(protocol) => write!(f, "the client does not answer to {protocol} requests"),
            Self::PeerDead { lost_echoes } => write!(f, "the client vanished: {lost_echoes} echoes were lost"),
            Self::LoginTimeout => f.write_str("the client did not finish its login in time"),
            Self::Looped => f.write_str("the client sends back what it gets: the link is looped"),
            Self::NotConverging(protocol) => write!(f, "the client's {protocol} options cannot be agreed on"),
            Self::AuthProtocolRefused { allowed, wanted } => write_auth_refused(f, allowed, *wanted),
            Self::ProtocolRejected(protocol) => write!(f, "the client does not implement {protocol}"),
            Self::AuthenticationFailed(failure) => failure.fmt(f),
            Self::UserChanged => f.write_str("the client logged in again as somebody else"),
            Self::AddressRefused { asked } => {
                write!(f, "the client insists on the address {asked}; let it obtain its address automatically")
            }
            Self::NoNetworkProtocol => f.write_str("neither IPv4 nor IPv6 could be agreed on with the client"),
            Self::NoAddress => f.write_str("no address is free for the client"),
            Self::TooManyDevices => f.write_str("the account has as many devices connected as it may"),
            Self::Administrative => f.write_str("an administrator ended the session"),
            Self::Shutdown => f.write_str("the gateway stops"),
            Self::LowerLayerDown => f.write_str("the L2TP session below has ended"),
            Self::Denied(why) => f.write_str(why),
        }
    }
}

fn write_auth_refused(f: &mut fmt::Formatter<'_>, allowed: &[Method], wanted: Option<WantedAuth>) -> fmt::Result {
    if allowed.is_empty() {
        return f.write_str("no way to authenticate is configured");
    }
    let allowed: Vec<&str> = allowed.iter().map(|method| method.name()).collect();
    let allowed = allowed.join(" and ");
    match wanted {
        None => write!(f, "the client refuses to authenticate; allowed here: {allowed}"),
        Some(wanted) => write!(
            f,
            "the client wants to authenticate by {wanted}, allowed here: {allowed}; allow one of these in the client's \
             settings, or its own in `ppp_auth`"
        ),
    }
}

/// The Authentication-Protocol option as a client wishes it (RFC 1661 section 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedAuth {
    /// The protocol.
    pub protocol: Protocol,
    /// CHAP's algorithm, if the protocol is CHAP and there is one.
    pub algorithm: Option<u8>,
}

impl WantedAuth {
    /// From the option's value; `None` if it is too short to name a protocol.
    #[must_use]
    pub fn of_option(value: &[u8]) -> Option<Self> {
        let (number, rest) = leading_u16(value)?;
        Some(Self { protocol: Protocol(number), algorithm: rest.first().copied() })
    }
}

impl fmt::Display for WantedAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.protocol, self.algorithm) {
            (Protocol::CHAP, Some(0x05)) => f.write_str("CHAP-MD5"),
            (Protocol::CHAP, Some(0x80)) => f.write_str("MS-CHAPv1"),
            (Protocol::CHAP, Some(0x81)) => f.write_str("MS-CHAPv2"),
            (Protocol::CHAP, Some(other)) => write!(f, "CHAP with algorithm {other}"),
            (protocol, _) => protocol.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_method_is_told_with_what_is_allowed_and_where_to_change_it() {
        let wanted = WantedAuth::of_option(&[0xc2, 0x23, 0x80]);
        let reason = CloseReason::AuthProtocolRefused { allowed: vec![Method::MsChapV2, Method::Eap], wanted };
        assert_eq!(
            reason.to_string(),
            "the client wants to authenticate by MS-CHAPv1, allowed here: MS-CHAPv2 and EAP; allow one of these in the \
             client's settings, or its own in `ppp_auth`"
        );
    }

    #[test]
    fn names_what_a_client_wants() {
        let name = |value: &[u8]| WantedAuth::of_option(value).map(|wanted| wanted.to_string());
        assert_eq!(name(&[0xc0, 0x23]).as_deref(), Some("PAP"));
        assert_eq!(name(&[0xc2, 0x23, 5]).as_deref(), Some("CHAP-MD5"));
        assert_eq!(name(&[0xc2, 0x27]).as_deref(), Some("EAP"));
        assert_eq!(name(&[0xc2, 0x23, 9]).as_deref(), Some("CHAP with algorithm 9"));
        assert_eq!(name(&[0xc2]), None);
    }
}
