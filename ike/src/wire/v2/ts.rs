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

/// Length in bytes of a selector before its addresses.
const SELECTOR_HEAD: u16 = 8;

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
    let (rest, body_len) = be_u16.map_opt(|len: u16| len.checked_sub(SELECTOR_HEAD - 4)).parse(rest)?;
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
