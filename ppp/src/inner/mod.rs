//! Answers to what a client asks of its link rather than of somebody behind it.
//!
//! IP packet in, IP packet out: DHCPINFORM (RFC 2131 section 3.4), router solicitation (RFC 4861), DHCPv6
//! Information-request (RFC 8415 section 18.2.6), neighbour solicitation for the gateway's link-local address. One packet
//! in is one packet out at most, and none is larger than the link's MTU.
//!
//! Does not: hand out addresses (IPCP does, and for IPv6 the interface identifier of IPV6CP with the announced prefix),
//! or keep any state.

pub(crate) mod dhcp;
pub(crate) mod dhcpv6;
mod domain;
mod ip;
mod neighbor;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use self::ip::Packet;

/// How often [`announcement`] should be sent again while the link is up: a third of the lifetime that it announces.
pub const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(3000);

/// How long an announcement is valid: the longest router lifetime of RFC 4861 section 6.2.1.
const LIFETIME: Duration = Duration::from_secs(9000);

/// What clients shall put into their own packets as hop limit.
const HOP_LIMIT: u8 = 64;

/// The smallest MTU that IPv6 knows, bytes (RFC 8200 section 5).
const MTU_MIN: u16 = 1280;

/// IPv6 name servers that are told at most: every packet has room for them.
const DNS_MAX: usize = 16;

/// What a client may learn about its link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InnerConfig {
    /// The client's IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// The client's IPv6 address; its first 64 bits are the prefix that is announced.
    pub ipv6: Option<Ipv6Addr>,
    /// Our IPv4 address on the link.
    pub gateway4: Option<Ipv4Addr>,
    /// Our interface identifier on the link, as IPV6CP has settled it (RFC 5072).
    pub interface_identifier: u64,
    /// Name servers of both families.
    pub dns: Vec<IpAddr>,
    /// NetBIOS name servers.
    pub nbns: Vec<Ipv4Addr>,
    /// Search domains, the most important one first.
    pub domains: Vec<String>,
    /// Networks behind the link, address and prefix length; empty: everything.
    pub routes: Vec<(IpAddr, u8)>,
    /// MTU of the link, bytes.
    pub mtu: u16,
}

impl InnerConfig {
    /// Our link-local address, RFC 5072 section 5.
    fn link_local(&self) -> Ipv6Addr {
        Ipv6Addr::from(0xfe80_u128 << 112 | u128::from(self.interface_identifier))
    }
}

/// The answer to an IP packet that the client sent to its link; `None` if there is nothing to say.
#[must_use]
pub fn answer(config: &InnerConfig, ip_packet: &[u8]) -> Option<Vec<u8>> {
    match Packet::parse(ip_packet)? {
        Packet::Udp4(udp) if udp.destination_port == dhcp::SERVER_PORT => dhcp::answer(config, &udp),
        Packet::Udp6(udp) if udp.destination_port == dhcpv6::SERVER_PORT => dhcpv6::answer(config, &udp),
        Packet::Icmpv6(message) => neighbor::answer(config, &message),
        Packet::Udp4(_) | Packet::Udp6(_) => None,
    }
}

/// The unsolicited router advertisement (RFC 4861 section 6.2.4) for the beginning of an IPv6 link and each
/// [`ANNOUNCE_INTERVAL`]; `None` without IPv6.
#[must_use]
pub fn announcement(config: &InnerConfig) -> Option<Vec<u8>> {
    neighbor::announcement(config)
}
