//! Traffic selectors: which inner packets an SA carries, RFC 4301 section 4.4.1.1 and 5.

use std::net::IpAddr;

use crate::drop_reason::DropReason;

/// Ports of a selector. For ICMP and ICMPv6 the "port" is type * 256 + code, RFC 4301 section 4.4.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ports {
    /// Any port, and packets that show none (not-first fragments, protocols without ports).
    Any,
    /// Only packets that show no port.
    Opaque,
    /// From the first to the last, both included.
    Range(u16, u16),
}

impl Ports {
    /// From the numbers of an IKE traffic selector, RFC 7296 section 3.13.1: 0 to 65535 is any, 65535 to 0 is opaque.
    pub const fn from_ts(start: u16, end: u16) -> Self {
        match (start, end) {
            (0, u16::MAX) => Self::Any,
            (u16::MAX, 0) => Self::Opaque,
            (start, end) => Self::Range(start, end),
        }
    }
}

/// One end of the traffic of an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    /// First address; of the same family as `end`.
    pub start: IpAddr,
    /// Last address, included.
    pub end: IpAddr,
    /// Protocol of the packet behind the IP header; 0 is any.
    pub protocol: u8,
    /// Ports of this end.
    pub ports: Ports,
}

/// What selectors look at in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Protocol behind the IP header and its extension headers.
    pub protocol: u8,
    /// Source port, or ICMP type and code; `None` where the packet shows none.
    pub source_port: Option<u16>,
    /// Destination port, or ICMP type and code; `None` where the packet shows none.
    pub destination_port: Option<u16>,
}

impl Flow {
    /// Reads an IP packet; [`DropReason::Inner`] if its headers are malformed.
    pub fn of(packet: &[u8]) -> Result<Self, DropReason> {
        let _ = packet;
        todo!()
    }
}

/// All selectors of an SA pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorSet {
    local: Box<[Selector]>,
    remote: Box<[Selector]>,
}

impl SelectorSet {
    /// `local` is our side (TSr where we answer), `remote` the peer's.
    pub fn new(local: impl Into<Box<[Selector]>>, remote: impl Into<Box<[Selector]>>) -> Self {
        Self { local: local.into(), remote: remote.into() }
    }

    /// Whether a packet from the peer may pass, RFC 4301 section 5.2: its source is the peer's, its destination ours.
    pub fn check_inbound(&self, packet: &[u8]) -> Result<(), DropReason> {
        let _ = (packet, &self.local, &self.remote);
        todo!()
    }

    /// Whether a packet to the peer may pass.
    pub fn check_outbound(&self, packet: &[u8]) -> Result<(), DropReason> {
        let _ = packet;
        todo!()
    }
}

/// The first entry whose selectors cover a flow towards the peer.
pub fn lookup<'a, T>(entries: &'a [(SelectorSet, T)], flow: &Flow) -> Option<&'a T> {
    let _ = (entries, flow);
    todo!()
}
