//! Traffic selectors and their payloads TSi and TSr, RFC 7296 section 3.13.
//!
//! A [`TrafficSelector`] is a protocol, a range of ports and a range of addresses. Selectors of types that we do not know
//! (Fibre Channel, security labels) are left out, as if the peer had not offered them.
//!
//! Does not: decide what traffic is allowed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};

use crate::wire::limits::MAX_TRAFFIC_SELECTORS;
use crate::wire::num::TsType;
use crate::wire::{Malformed, Parsed, Writer};

/// Length in bytes of type, protocol and length, which the Length field of a selector counts, too.
const SELECTOR_HEAD: u16 = 4;

/// A list of selectors, as one TSi or TSr payload carries it: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficSelectors(pub Vec<TrafficSelector>);

/// Some traffic: what goes to or comes from these addresses with this protocol and these ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TrafficSelector {
    /// IP protocol number; zero means any.
    pub protocol: u8,
    /// First port; for ICMP the type in the upper and the code in the lower byte.
    pub start_port: u16,
    /// Last port. Below `start_port` only in the pair 65535, 0, which means OPAQUE: ports are not visible.
    pub end_port: u16,
    /// The addresses, both ends included.
    pub range: AddressRange,
}

/// A range of addresses, both ends included; parsed ones are never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressRange {
    /// IPv4.
    V4 {
        /// First address.
        start: Ipv4Addr,
        /// Last address.
        end: Ipv4Addr,
    },
    /// IPv6.
    V6 {
        /// First address.
        start: Ipv6Addr,
        /// Last address.
        end: Ipv6Addr,
    },
}

impl TrafficSelectors {
    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::TrafficSelector`] if counts and lengths do not agree, a range is empty, or no selector of a known
    /// type is left; [`Malformed::TooManyTrafficSelectors`].
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let (mut rest, number) = count(body).map_err(|_| Malformed::TrafficSelector)?;
        if usize::from(number) > MAX_TRAFFIC_SELECTORS {
            return Err(Malformed::TooManyTrafficSelectors);
        }
        let mut selectors = Vec::new();
        for _ in 0..number {
            let (after, raw) = raw_selector(rest).map_err(|_| Malformed::TrafficSelector)?;
            selectors.extend(raw.known()?);
            rest = after;
        }
        if selectors.is_empty() || !rest.is_empty() {
            return Err(Malformed::TrafficSelector);
        }
        Ok(Self(selectors))
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.count_u8(self.0.len());
        out.bytes(&[0; 3]);
        for selector in &self.0 {
            selector.emit(out);
        }
    }
}

impl TrafficSelector {
    /// All IPv4 traffic.
    pub const ANY_V4: Self =
        Self::addresses(AddressRange::V4 { start: Ipv4Addr::UNSPECIFIED, end: Ipv4Addr::BROADCAST });

    /// All IPv6 traffic.
    pub const ANY_V6: Self =
        Self::addresses(AddressRange::V6 { start: Ipv6Addr::UNSPECIFIED, end: Ipv6Addr::from_bits(u128::MAX) });

    /// All traffic of these addresses.
    pub const fn addresses(range: AddressRange) -> Self {
        Self { protocol: 0, start_port: 0, end_port: u16::MAX, range }
    }

    /// All traffic of one address.
    pub fn host(address: IpAddr) -> Self {
        Self::addresses(match address {
            IpAddr::V4(a) => AddressRange::V4 { start: a, end: a },
            IpAddr::V6(a) => AddressRange::V6 { start: a, end: a },
        })
    }

    /// All traffic of a prefix; host bits of `address` are ignored, longer lengths than the address has mean a host.
    pub fn prefix(address: IpAddr, prefix_len: u8) -> Self {
        Self::addresses(match address {
            IpAddr::V4(a) => {
                let hosts = u32::MAX.checked_shr(prefix_len.into()).unwrap_or(0);
                let start = a.to_bits() & !hosts;
                AddressRange::V4 { start: Ipv4Addr::from_bits(start), end: Ipv4Addr::from_bits(start | hosts) }
            }
            IpAddr::V6(a) => {
                let hosts = u128::MAX.checked_shr(prefix_len.into()).unwrap_or(0);
                let start = a.to_bits() & !hosts;
                AddressRange::V6 { start: Ipv6Addr::from_bits(start), end: Ipv6Addr::from_bits(start | hosts) }
            }
        })
    }

    /// Whether the ports are OPAQUE: not visible, so that only traffic without port numbers matches.
    pub fn is_opaque(&self) -> bool {
        (self.start_port, self.end_port) == (u16::MAX, 0)
    }

    /// The traffic that both select; `None` if there is none.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let protocol = match (self.protocol, other.protocol) {
            (0, p) | (p, 0) => p,
            (a, b) if a == b => a,
            _ => return None,
        };
        let (start_port, end_port) = self.common_ports(other)?;
        let range = self.range.intersection(&other.range)?;
        Some(Self { protocol, start_port, end_port, range })
    }

    /// Whether `other` selects nothing that `self` does not.
    pub fn contains(&self, other: &Self) -> bool {
        self.intersection(other) == Some(*other)
    }

    /// Appends the selector.
    fn emit(&self, out: &mut Writer) {
        let start = out.len();
        out.u8(self.range.ts_type().0);
        out.u8(self.protocol);
        out.u16(0);
        out.u16(self.start_port);
        out.u16(self.end_port);
        match self.range {
            AddressRange::V4 { start, end } => out.bytes(&[start.octets(), end.octets()].concat()),
            AddressRange::V6 { start, end } => out.bytes(&[start.octets(), end.octets()].concat()),
        }
        out.patch_len_u16(start.saturating_add(2), start);
    }

    fn common_ports(&self, other: &Self) -> Option<(u16, u16)> {
        let all = |ts: &Self| (ts.start_port, ts.end_port) == (0, u16::MAX);
        if self.is_opaque() || other.is_opaque() {
            let both = (self.is_opaque() || all(self)) && (other.is_opaque() || all(other));
            return both.then_some((u16::MAX, 0));
        }
        let (start, end) = (self.start_port.max(other.start_port), self.end_port.min(other.end_port));
        (start <= end).then_some((start, end))
    }
}

impl fmt::Display for TrafficSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.range)?;
        if self.protocol != 0 {
            write!(f, " protocol {}", self.protocol)?;
        }
        match (self.start_port, self.end_port) {
            (0, u16::MAX) => Ok(()),
            (u16::MAX, 0) => write!(f, " port opaque"),
            (start, end) if start == end => write!(f, " port {start}"),
            (start, end) => write!(f, " port {start}-{end}"),
        }
    }
}

impl AddressRange {
    /// Whether the address lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4 { start, end }, IpAddr::V4(a)) => (*start..=*end).contains(&a),
            (Self::V6 { start, end }, IpAddr::V6(a)) => (*start..=*end).contains(&a),
            _ => false,
        }
    }

    /// The addresses of both; `None` if there are none.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        match (*self, *other) {
            (Self::V4 { start: a, end: b }, Self::V4 { start: c, end: d }) => Self::v4(a.max(c), b.min(d)),
            (Self::V6 { start: a, end: b }, Self::V6 { start: c, end: d }) => Self::v6(a.max(c), b.min(d)),
            _ => None,
        }
    }

    /// First address.
    pub fn start(&self) -> IpAddr {
        match *self {
            Self::V4 { start, .. } => start.into(),
            Self::V6 { start, .. } => start.into(),
        }
    }

    /// Last address.
    pub fn end(&self) -> IpAddr {
        match *self {
            Self::V4 { end, .. } => end.into(),
            Self::V6 { end, .. } => end.into(),
        }
    }

    /// Length in bits if the range is exactly one prefix.
    pub fn prefix_len(&self) -> Option<u8> {
        let (start, end, bits) = match *self {
            Self::V4 { start, end } => (u128::from(start.to_bits()), u128::from(end.to_bits()), 32_u32),
            Self::V6 { start, end } => (start.to_bits(), end.to_bits(), 128),
        };
        let hosts = start ^ end;
        let is_prefix = hosts & hosts.wrapping_add(1) == 0 && start & hosts == 0;
        let len = bits.checked_sub(hosts.count_ones())?;
        if is_prefix { u8::try_from(len).ok() } else { None }
    }

    fn v4(start: Ipv4Addr, end: Ipv4Addr) -> Option<Self> {
        (start <= end).then_some(Self::V4 { start, end })
    }

    fn v6(start: Ipv6Addr, end: Ipv6Addr) -> Option<Self> {
        (start <= end).then_some(Self::V6 { start, end })
    }

    fn ts_type(&self) -> TsType {
        match self {
            Self::V4 { .. } => TsType::IPV4_ADDR_RANGE,
            Self::V6 { .. } => TsType::IPV6_ADDR_RANGE,
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix_len() {
            Some(len) => write!(f, "{}/{len}", self.start()),
            None => write!(f, "{}-{}", self.start(), self.end()),
        }
    }
}

/// A selector whose addresses are still bytes.
struct RawSelector<'a> {
    ts_type: TsType,
    protocol: u8,
    body: &'a [u8],
}

impl RawSelector<'_> {
    /// The selector, or `None` if its type is unknown.
    fn known(&self) -> Result<Option<TrafficSelector>, Malformed> {
        let parsed = match self.ts_type {
            TsType::IPV4_ADDR_RANGE => (be_u16, be_u16, v4_range).parse(self.body),
            TsType::IPV6_ADDR_RANGE => (be_u16, be_u16, v6_range).parse(self.body),
            _ => return Ok(None),
        };
        let Ok((&[], (start_port, end_port, Some(range)))) = parsed else {
            return Err(Malformed::TrafficSelector);
        };
        let selector = TrafficSelector { protocol: self.protocol, start_port, end_port, range };
        if start_port > end_port && !selector.is_opaque() {
            return Err(Malformed::TrafficSelector);
        }
        Ok(Some(selector))
    }
}

fn count(body: &[u8]) -> Parsed<'_, u8> {
    (be_u8, take(3_usize)).map(|(number, _reserved)| number).parse(body)
}

fn raw_selector(input: &[u8]) -> Parsed<'_, RawSelector<'_>> {
    let (rest, (ts_type, protocol)) = (be_u8.map(TsType), be_u8).parse(input)?;
    let (rest, body_len) = be_u16.map_opt(|len: u16| len.checked_sub(SELECTOR_HEAD)).parse(rest)?;
    let (rest, body) = take(body_len).parse(rest)?;
    Ok((rest, RawSelector { ts_type, protocol, body }))
}

fn v4_range(input: &[u8]) -> Parsed<'_, Option<AddressRange>> {
    let address = || take(4_usize).map_res(<[u8; 4]>::try_from).map(Ipv4Addr::from);
    (address(), address()).map(|(start, end)| AddressRange::v4(start, end)).parse(input)
}

fn v6_range(input: &[u8]) -> Parsed<'_, Option<AddressRange>> {
    let address = || take(16_usize).map_res(<[u8; 16]>::try_from).map(Ipv6Addr::from);
    (address(), address()).map(|(start, end)| AddressRange::v6(start, end)).parse(input)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;
    use crate::wire::testing::emitted;

    /// 10.0.0.0/8, TCP, port 443.
    const HTTPS: &[u8] = &[1, 0, 0, 0, 7, 6, 0, 16, 1, 187, 1, 187, 10, 0, 0, 0, 10, 255, 255, 255];

    fn v4(text: &str) -> TrafficSelector {
        let (address, len) = text.split_once('/').expect("prefix");
        TrafficSelector::prefix(address.parse().expect("address"), len.parse().expect("length"))
    }

    fn ports(start_port: u16, end_port: u16) -> TrafficSelector {
        TrafficSelector { start_port, end_port, ..TrafficSelector::ANY_V4 }
    }

    #[test]
    fn round_trips_a_port_of_a_prefix() {
        let https = TrafficSelector { protocol: 6, start_port: 443, end_port: 443, ..v4("10.0.0.0/8") };
        let list = TrafficSelectors(vec![https]);
        assert_eq!(TrafficSelectors::parse(HTTPS).as_ref(), Ok(&list));
        assert_eq!(emitted(|out| list.emit(out)), HTTPS);
        assert_eq!(https.to_string(), "10.0.0.0/8 protocol 6 port 443");
    }

    #[test]
    fn round_trips_everything_of_both_families() {
        let list = TrafficSelectors(vec![TrafficSelector::ANY_V4, TrafficSelector::ANY_V6]);
        let body = emitted(|out| list.emit(out));
        assert_eq!(body.len(), 4 + 16 + 40);
        assert_eq!(TrafficSelectors::parse(&body), Ok(list));
    }

    #[test]
    fn rejects_every_truncation() {
        for len in 0..HTTPS.len() {
            assert_eq!(TrafficSelectors::parse(&HTTPS[..len]), Err(Malformed::TrafficSelector), "{len} bytes");
        }
    }

    #[test]
    fn rejects_wrong_counts_lengths_and_empty_ranges() {
        for (at, value, why) in [
            (0, 0, "no selector"),
            (0, 2, "more selectors announced than there are"),
            (4, 8, "IPv6 with the length of IPv4"),
            (7, 15, "too short"),
            (7, 17, "too long"),
            (7, 3, "shorter than its own head"),
            (8, 2, "start port above end port"),
            (12, 11, "start address above end address"),
        ] {
            let mut body = HTTPS.to_vec();
            body[at] = value;
            assert_eq!(TrafficSelectors::parse(&body), Err(Malformed::TrafficSelector), "{why}");
        }
        let extra = [HTTPS, &[0]].concat();
        assert_eq!(TrafficSelectors::parse(&extra), Err(Malformed::TrafficSelector));
    }

    #[test]
    fn accepts_opaque_ports() {
        let mut body = HTTPS.to_vec();
        body[8..12].copy_from_slice(&[0xff, 0xff, 0, 0]);
        let list = TrafficSelectors::parse(&body).expect("valid");
        assert!(list.0[0].is_opaque());
        assert_eq!(emitted(|out| list.emit(out)), body);
    }

    #[test]
    fn leaves_out_selectors_of_unknown_types() {
        let label = [10, 0, 0, 6, 1, 2];
        let body = [&[2, 0, 0, 0], &label[..], &HTTPS[4..]].concat();
        assert_eq!(TrafficSelectors::parse(&body), TrafficSelectors::parse(HTTPS));
        let only = [&[1, 0, 0, 0], &label[..]].concat();
        assert_eq!(TrafficSelectors::parse(&only), Err(Malformed::TrafficSelector));
    }

    #[test]
    fn takes_exactly_as_many_selectors_as_the_limit_says() {
        let parsed = |number: usize| {
            let list = TrafficSelectors(vec![TrafficSelector::ANY_V4; number]);
            TrafficSelectors::parse(&emitted(|out| list.emit(out))).map(|list| list.0.len())
        };
        assert_eq!(parsed(MAX_TRAFFIC_SELECTORS), Ok(MAX_TRAFFIC_SELECTORS));
        assert_eq!(parsed(MAX_TRAFFIC_SELECTORS + 1), Err(Malformed::TooManyTrafficSelectors));
    }

    #[test]
    fn intersects_addresses() {
        let any = TrafficSelector::ANY_V4;
        assert_eq!(any.intersection(&v4("10.1.0.0/16")), Some(v4("10.1.0.0/16")));
        assert_eq!(v4("10.0.0.0/8").intersection(&v4("10.1.0.0/16")), Some(v4("10.1.0.0/16")));
        assert_eq!(v4("10.0.0.0/8").intersection(&v4("11.0.0.0/8")), None);
        assert_eq!(any.intersection(&TrafficSelector::ANY_V6), None);
    }

    #[test]
    fn intersects_protocols_and_ports() {
        let tcp = TrafficSelector { protocol: 6, ..TrafficSelector::ANY_V4 };
        let udp = TrafficSelector { protocol: 17, ..TrafficSelector::ANY_V4 };
        assert_eq!(tcp.intersection(&TrafficSelector::ANY_V4), Some(tcp));
        assert_eq!(tcp.intersection(&udp), None);
        assert_eq!(ports(1, 10).intersection(&ports(5, 20)), Some(ports(5, 10)));
        assert_eq!(ports(1, 10).intersection(&ports(11, 20)), None);
        assert_eq!(ports(65_535, 0).intersection(&ports(0, 65_535)), Some(ports(65_535, 0)));
        assert_eq!(ports(65_535, 0).intersection(&ports(5, 20)), None);
    }

    #[test]
    fn knows_what_contains_what() {
        assert!(TrafficSelector::ANY_V4.contains(&v4("10.0.0.0/8")));
        assert!(!v4("10.0.0.0/8").contains(&TrafficSelector::ANY_V4));
        let range = v4("10.0.0.0/8").range;
        assert!(range.contains("10.255.0.1".parse().expect("address")));
        assert!(!range.contains("11.0.0.0".parse().expect("address")));
        assert!(!range.contains("::1".parse().expect("address")));
    }

    #[test]
    fn prints_prefixes_and_ranges() {
        let range = AddressRange::V4 { start: Ipv4Addr::new(10, 0, 0, 1), end: Ipv4Addr::new(10, 0, 0, 4) };
        assert_eq!(TrafficSelector::addresses(range).to_string(), "10.0.0.1-10.0.0.4");
        assert_eq!(TrafficSelector::ANY_V4.to_string(), "0.0.0.0/0");
        assert_eq!(TrafficSelector::ANY_V6.to_string(), "::/0");
        assert_eq!(v4("192.0.2.7/32").to_string(), "192.0.2.7/32");
        assert_eq!(v4("192.0.2.7/24"), v4("192.0.2.0/24"));
        assert_eq!(TrafficSelector::host("2001:db8::1".parse().expect("address")).to_string(), "2001:db8::1/128");
        let unaligned = AddressRange::V4 { start: Ipv4Addr::new(10, 0, 0, 2), end: Ipv4Addr::new(10, 0, 0, 5) };
        assert_eq!(unaligned.prefix_len(), None);
    }
}
