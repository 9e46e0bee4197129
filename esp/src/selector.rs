//! Traffic selectors: which inner packets an SA carries, RFC 4301 section 4.4.1.1 and 5.
//!
//! An SA pair has a list of selectors for either end. A packet fits if one selector of each list covers its end, where
//! "covers" compares address, protocol and port. A packet that shows no port, as a fragment that is not the first, fits only
//! selectors for any port or for opaque ones.
//!
//! An ICMP error passes where the packet that it is about would, RFC 4301 section 6.2, if its own addresses are covered, too.
//!
//! Does not: keep state about fragments (RFC 4301 section 7.3).

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use std::net::IpAddr;

use crate::drop_reason::DropReason;
use crate::inner;

/// Ports of a selector. For ICMP and ICMPv6 the "port" is type * 256 + code, RFC 4301 section 4.4.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ports {
    /// Any port, and packets that show none (fragments that are not the first, protocols without ports).
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

    fn cover(self, port: Option<u16>) -> bool {
        match (self, port) {
            (Self::Any, _) | (Self::Opaque, None) => true,
            (Self::Range(first, last), Some(port)) => first <= port && port <= last,
            (Self::Opaque, Some(_)) | (Self::Range(..), None) => false,
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

impl Selector {
    /// Any protocol and port of the addresses from `start` to `end`.
    pub const fn addresses(start: IpAddr, end: IpAddr) -> Self {
        Self { start, end, protocol: 0, ports: Ports::Any }
    }

    fn looks_at_addresses_only(&self) -> bool {
        self.protocol == 0 && self.ports == Ports::Any
    }

    fn covers_address(&self, address: IpAddr) -> bool {
        match (self.start, self.end, address) {
            (IpAddr::V4(start), IpAddr::V4(end), IpAddr::V4(address)) => start <= address && address <= end,
            (IpAddr::V6(start), IpAddr::V6(end), IpAddr::V6(address)) => start <= address && address <= end,
            _ => false,
        }
    }

    fn covers(&self, address: IpAddr, protocol: u8, port: Option<u16>) -> bool {
        self.covers_address(address) && (self.protocol == 0 || self.protocol == protocol) && self.ports.cover(port)
    }
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
        let (source, destination) = inner::addresses(packet)?;
        let layer = inner::next_layer(packet)?;
        let (source_port, destination_port) = ports(layer.protocol, layer.header.unwrap_or_default());
        Ok(Self { source, destination, protocol: layer.protocol, source_port, destination_port })
    }

    /// As [`Flow::of`], of a payload that has no IP header of its own (transport mode). It is no fragment.
    pub fn of_payload(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Self {
        let (source_port, destination_port) = ports(protocol, payload);
        Self { source, destination, protocol, source_port, destination_port }
    }

    /// The packet that an ICMP error is about; `None` if `packet` is none.
    fn of_error(packet: &[u8]) -> Option<Self> {
        const QUOTED: usize = 8;
        let layer = inner::next_layer(packet).ok()?;
        let message = layer.header?;
        let kind = *message.first()?;
        let is_error = match layer.protocol {
            ICMP => matches!(kind, 3 | 4 | 5 | 11 | 12),
            ICMPV6 => kind < 128,
            _ => false,
        };
        let quoted = message.get(QUOTED..).filter(|_| is_error)?;
        let (source, destination) = inner::addresses(quoted).ok()?;
        let layer = inner::next_layer_of_beginning(quoted).ok()?;
        Some(Self::of_payload(source, destination, layer.protocol, layer.header.unwrap_or_default()))
    }

    /// The way back.
    fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            protocol: self.protocol,
            source_port: self.destination_port,
            destination_port: self.source_port,
        }
    }
}

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

fn ports(protocol: u8, header: &[u8]) -> (Option<u16>, Option<u16>) {
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    const DCCP: u8 = 33;
    const SCTP: u8 = 132;
    const UDP_LITE: u8 = 136;
    match (protocol, header) {
        (TCP | UDP | DCCP | SCTP | UDP_LITE, &[a, b, c, d, ..]) => {
            (Some(u16::from_be_bytes([a, b])), Some(u16::from_be_bytes([c, d])))
        }
        (ICMP | ICMPV6, &[kind, code, ..]) => {
            let kind_and_code = Some(u16::from_be_bytes([kind, code]));
            (kind_and_code, kind_and_code)
        }
        _ => (None, None),
    }
}

/// All selectors of an SA pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorSet {
    local: Box<[Selector]>,
    remote: Box<[Selector]>,
    /// No selector looks at protocol or ports: the common case, checked without walking through the headers.
    addresses_only: bool,
}

impl SelectorSet {
    /// `local` is our side (TSr where we answered), `remote` the peer's. An empty list covers nothing.
    pub fn new(local: impl Into<Box<[Selector]>>, remote: impl Into<Box<[Selector]>>) -> Self {
        let (local, remote) = (local.into(), remote.into());
        let addresses_only = local.iter().chain(&remote).all(Selector::looks_at_addresses_only);
        Self { local, remote, addresses_only }
    }

    /// Our side.
    pub fn local(&self) -> &[Selector] {
        &self.local
    }

    /// The peer's side.
    pub fn remote(&self) -> &[Selector] {
        &self.remote
    }

    /// Whether a packet from the peer may pass, RFC 4301 section 5.2: its source is the peer's, its destination ours.
    ///
    /// [`DropReason::Selector`] if not, [`DropReason::Inner`] if its headers are malformed.
    pub fn check_inbound(&self, packet: &[u8]) -> Result<(), DropReason> {
        if self.addresses_only {
            let (source, destination) = inner::addresses(packet)?;
            return permit(self.cover_addresses(destination, source));
        }
        let flow = Flow::of(packet)?.reversed();
        permit(self.cover(&flow) || self.cover_error(&flow, packet, |about| about))
    }

    /// As [`SelectorSet::check_inbound`], of a flow that was read already.
    pub fn check_inbound_flow(&self, flow: &Flow) -> Result<(), DropReason> {
        permit(self.cover(&flow.reversed()))
    }

    /// Whether a packet to the peer may pass, RFC 4301 section 5.1. Errors as with [`SelectorSet::check_inbound`].
    pub fn check_outbound(&self, packet: &[u8]) -> Result<(), DropReason> {
        if self.addresses_only {
            let (source, destination) = inner::addresses(packet)?;
            return permit(self.cover_addresses(source, destination));
        }
        let flow = Flow::of(packet)?;
        permit(self.cover(&flow) || self.cover_error(&flow, packet, Flow::reversed))
    }

    /// Whether the selectors cover a flow towards the peer.
    pub fn cover(&self, outbound: &Flow) -> bool {
        let Flow { source, destination, protocol, source_port, destination_port } = *outbound;
        self.remote.iter().any(|s| s.covers(destination, protocol, destination_port))
            && self.local.iter().any(|s| s.covers(source, protocol, source_port))
    }

    /// Whether a packet is an ICMP error about one that the selectors cover. `outbound` makes the latter one towards the peer.
    fn cover_error(&self, flow: &Flow, packet: &[u8], outbound: impl FnOnce(Flow) -> Flow) -> bool {
        self.cover_addresses(flow.source, flow.destination)
            && Flow::of_error(packet).is_some_and(|about| self.cover(&outbound(about)))
    }

    fn cover_addresses(&self, local: IpAddr, remote: IpAddr) -> bool {
        self.remote.iter().any(|s| s.covers_address(remote)) && self.local.iter().any(|s| s.covers_address(local))
    }
}

/// The first entry whose selectors cover a flow towards the peer, RFC 4301 section 4.4.1: the list is ordered.
pub fn lookup<'a, T>(entries: &'a [(SelectorSet, T)], outbound: &Flow) -> Option<&'a T> {
    entries.iter().find(|(selectors, _)| selectors.cover(outbound)).map(|(_, entry)| entry)
}

fn permit(covered: bool) -> Result<(), DropReason> {
    if covered { Ok(()) } else { Err(DropReason::Selector) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;
    use crate::inner::tests::{ipv4, ipv6};

    const DNS_QUERY: [u8; 8] = [0x30, 0x39, 0, 53, 0, 8, 0, 0];
    const ECHO_REQUEST: [u8; 8] = [8, 0, 0, 0, 0, 1, 0, 1];

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn range(start: &str, end: &str) -> Selector {
        Selector::addresses(ip(start), ip(end))
    }

    fn peer() -> Selector {
        range("192.0.2.1", "192.0.2.1")
    }

    fn everything() -> Vec<Selector> {
        vec![range("0.0.0.0", "255.255.255.255"), range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")]
    }

    #[test]
    fn lets_a_client_send_from_its_own_address_only() {
        let set = SelectorSet::new(everything(), [peer()]);
        assert_eq!(set.check_inbound(&ipv4(17, 0, &DNS_QUERY)), Ok(()));
        let mut spoofed = ipv4(17, 0, &DNS_QUERY);
        spoofed[15] = 2;
        assert_eq!(set.check_inbound(&spoofed), Err(DropReason::Selector));
        assert_eq!(set.check_inbound(&ipv6(17, &DNS_QUERY)), Err(DropReason::Selector));
    }

    #[test]
    fn looks_at_the_other_ends_on_the_way_out() {
        let set = SelectorSet::new([range("192.0.2.0", "192.0.2.255")], [range("198.51.100.2", "198.51.100.2")]);
        assert_eq!(set.check_outbound(&ipv4(17, 0, &DNS_QUERY)), Ok(()));
        assert_eq!(set.check_inbound(&ipv4(17, 0, &DNS_QUERY)), Err(DropReason::Selector));
    }

    #[test]
    fn includes_both_ends_of_an_address_range() {
        for (start, end, covered) in [
            ("192.0.2.1", "192.0.2.9", true),
            ("192.0.1.0", "192.0.2.1", true),
            ("192.0.2.2", "192.0.2.9", false),
            ("192.0.1.0", "192.0.2.0", false),
        ] {
            let set = SelectorSet::new(everything(), [range(start, end)]);
            assert_eq!(set.check_inbound(&ipv4(17, 0, &DNS_QUERY)).is_ok(), covered, "{start} to {end}");
        }
    }

    #[test]
    fn covers_nothing_with_a_range_across_families() {
        let broken = Selector::addresses(ip("0.0.0.0"), ip("ffff::"));
        let set = SelectorSet::new(everything(), [broken]);
        assert_eq!(set.check_inbound(&ipv4(17, 0, &DNS_QUERY)), Err(DropReason::Selector));
    }

    #[test]
    fn covers_nothing_with_an_empty_list() {
        let set = SelectorSet::new([], [peer()]);
        assert_eq!(set.check_inbound(&ipv4(17, 0, &DNS_QUERY)), Err(DropReason::Selector));
    }

    #[test]
    fn compares_protocol_and_ports() {
        let dns = Selector { protocol: 17, ports: Ports::Range(53, 53), ..range("198.51.100.2", "198.51.100.2") };
        let set = SelectorSet::new([dns], [peer()]);
        assert_eq!(set.check_inbound(&ipv4(17, 0, &DNS_QUERY)), Ok(()));
        assert_eq!(set.check_inbound(&ipv4(6, 0, &DNS_QUERY)), Err(DropReason::Selector));
        let other_port = [0x30, 0x39, 0, 54, 0, 8, 0, 0];
        assert_eq!(set.check_inbound(&ipv4(17, 0, &other_port)), Err(DropReason::Selector));
    }

    #[test]
    fn matches_later_fragments_only_where_ports_do_not_matter() {
        let later = ipv4(17, 0x00b9, &DNS_QUERY);
        for (ports, later_passes, first_passes) in
            [(Ports::Any, true, true), (Ports::Opaque, true, false), (Ports::Range(53, 53), false, true)]
        {
            let udp = Selector { protocol: 17, ports, ..range("198.51.100.2", "198.51.100.2") };
            let set = SelectorSet::new([udp], [peer()]);
            assert_eq!(set.check_inbound(&later).is_ok(), later_passes, "{ports:?}");
            assert_eq!(set.check_inbound(&ipv4(17, 0x2000, &DNS_QUERY)).is_ok(), first_passes, "{ports:?}");
        }
    }

    #[test]
    fn reads_icmp_type_and_code_as_a_port() {
        let echo = Selector { protocol: 1, ports: Ports::Range(0x0800, 0x08ff), ..range("0.0.0.0", "255.255.255.255") };
        let set = SelectorSet::new([echo], [peer()]);
        assert_eq!(set.check_inbound(&ipv4(1, 0, &ECHO_REQUEST)), Ok(()));
        let unreachable = [3, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(set.check_inbound(&ipv4(1, 0, &unreachable)), Err(DropReason::Selector));
    }

    #[test]
    fn lets_an_icmp_error_follow_the_packet_that_it_is_about() {
        let reverse = |mut packet: Vec<u8>| {
            let (source, destination) = (packet[12..16].to_vec(), packet[16..20].to_vec());
            packet[12..16].copy_from_slice(&destination);
            packet[16..20].copy_from_slice(&source);
            packet
        };
        let dns = Selector { protocol: 17, ports: Ports::Range(53, 53), ..range("198.51.100.2", "198.51.100.2") };
        let client = Selector { protocol: 17, ..peer() };
        // The peer's query to our server, and our complaint about it; cut off as routers do.
        let query = ipv4(17, 0, &DNS_QUERY);
        let complaint = |about: &[u8]| [&[3, 3, 0, 0, 0, 0, 0, 0], &about[..28]].concat();
        let ours = reverse(ipv4(1, 0, &complaint(&query)));
        let set = SelectorSet::new([dns], [client]);
        assert_eq!(set.check_inbound(&query), Ok(()));
        assert_eq!(set.check_outbound(&ours), Ok(()));
        // The same from the other end, about our answer to the query.
        let answer = reverse(ipv4(17, 0, &[0, 53, 0x30, 0x39, 0, 8, 0, 0]));
        assert_eq!(set.check_outbound(&answer), Ok(()));
        assert_eq!(set.check_inbound(&ipv4(1, 0, &complaint(&answer))), Ok(()));

        let other = ipv4(17, 0, &[0x30, 0x39, 0, 54, 0, 8, 0, 0]);
        assert_eq!(set.check_outbound(&reverse(ipv4(1, 0, &complaint(&other)))), Err(DropReason::Selector));
        let mut echo = complaint(&answer);
        echo[0] = 8;
        assert_eq!(set.check_inbound(&ipv4(1, 0, &echo)), Err(DropReason::Selector), "no error");
        let mut spoofed = ipv4(1, 0, &complaint(&answer));
        spoofed[15] = 77;
        assert_eq!(set.check_inbound(&spoofed), Err(DropReason::Selector), "from somebody else");
        for len in 0..8 + 24 {
            let cut = &complaint(&answer)[..len];
            assert_eq!(set.check_inbound(&ipv4(1, 0, cut)), Err(DropReason::Selector), "{len} octets");
        }
    }

    #[test]
    fn reads_the_ranges_of_ike() {
        assert_eq!(Ports::from_ts(0, 65535), Ports::Any);
        assert_eq!(Ports::from_ts(65535, 0), Ports::Opaque);
        assert_eq!(Ports::from_ts(0, 0), Ports::Range(0, 0));
        assert_eq!(Ports::from_ts(1701, 1701), Ports::Range(1701, 1701));
    }

    #[test]
    fn reads_a_flow_without_ip_header() {
        let whole = Flow::of(&ipv4(17, 0, &DNS_QUERY)).unwrap();
        let flow = Flow::of_payload(whole.source, whole.destination, 17, &DNS_QUERY);
        assert_eq!(flow, whole);
        let dns = Selector { protocol: 17, ports: Ports::Range(53, 53), ..range("198.51.100.2", "198.51.100.2") };
        let set = SelectorSet::new([dns], [peer()]);
        assert_eq!(set.check_inbound_flow(&flow), Ok(()));
        let other_port = Flow { destination_port: Some(54), ..flow };
        assert_eq!(set.check_inbound_flow(&other_port), Err(DropReason::Selector));
    }

    #[test]
    fn reads_a_flow() {
        let flow = Flow::of(&ipv6(17, &DNS_QUERY)).unwrap();
        assert_eq!(flow.source, ip("2001:db8::1"));
        assert_eq!((flow.protocol, flow.source_port, flow.destination_port), (17, Some(12345), Some(53)));
        let short = Flow::of(&ipv4(6, 0, &[0x30, 0x39, 0])).unwrap();
        assert_eq!((short.source_port, short.destination_port), (None, None));
        let esp = Flow::of(&ipv4(50, 0, &DNS_QUERY)).unwrap();
        assert_eq!((esp.source_port, esp.destination_port), (None, None));
    }

    #[test]
    fn finds_the_first_entry_that_covers_a_flow() {
        let web = Selector { protocol: 6, ports: Ports::Range(443, 443), ..range("198.51.100.0", "198.51.100.255") };
        let entries = [
            (SelectorSet::new(everything(), [web]), "web"),
            (SelectorSet::new(everything(), [range("198.51.100.0", "198.51.100.255")]), "site"),
        ];
        let flow = Flow::of(&ipv4(17, 0, &DNS_QUERY)).unwrap();
        assert_eq!(lookup(&entries, &flow), Some(&"site"));
        assert_eq!(lookup(&entries, &Flow { protocol: 6, destination_port: Some(443), ..flow }), Some(&"web"));
        assert_eq!(lookup(&entries, &Flow { destination: ip("203.0.113.1"), ..flow }), None);
    }
}
