//! The PPP link that an SA pair in transport mode carries: what the packet path has to know to pass packets of one L2TP session
//! without asking anybody (RFC 2661 section 5.3, RFC 3193 section 2).
//!
//! Does not: negotiate. The control plane makes a [`Link`] when PPP has agreed, and replaces it when PPP agrees anew.

use std::io;
use std::net::IpAddr;

use cygnet_esp::DropReason;
use cygnet_ike::EspSpi;

/// What an SA pair carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InnerPath {
    /// Tunnel mode: IP packets that the selectors name.
    Ip,
    /// Transport mode: UDP port 1701, RFC 3193 section 2.
    L2tp,
    /// Transport mode: any protocol between the two outer addresses, RFC 4303 section 3.1.1.
    Transport,
}

/// One PPP link over one L2TP session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Tunnel ID in what we receive.
    pub local_tunnel: u16,
    /// Session ID in what we receive.
    pub local_session: u16,
    /// Tunnel ID in what we send.
    pub peer_tunnel: u16,
    /// Session ID in what we send.
    pub peer_session: u16,
    /// The peer's inner UDP port.
    pub port: u16,
    /// Leased to the peer: its packets have to come from these, packets to these go to it.
    pub addresses: Vec<IpAddr>,
    /// The peer takes PPP protocol numbers of one octet (RFC 1661 section 6.5).
    pub short_protocol: bool,
    /// The peer takes frames without address and control field (RFC 1661 section 6.6).
    pub omit_address_control: bool,
    /// The peer demands sequence numbers on data messages (RFC 2661 section 4.4.6, Sequencing Required).
    pub sequencing: bool,
    /// The largest packet to send, octets: the smaller of what the peer receives and what the path carries.
    pub mtu: u16,
}

/// Why a control message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// There is no L2TP pair of this SPI.
    #[error("no SA pair for L2TP has inbound SPI {0}")]
    UnknownPair(EspSpi),
    /// The message cannot be sealed.
    #[error("cannot seal the message: {0}")]
    Seal(#[from] DropReason),
    /// The kernel refused it.
    #[error("cannot send the message: {0}")]
    Socket(#[from] io::Error),
}
