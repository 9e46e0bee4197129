//! Neighbour discovery on a link with two ends (RFC 4861): router advertisements and our own address.
//!
//! The prefix of the lease is announced for autonomous configuration but not as on-link (RFC 4862): together with the
//! interface identifier that IPV6CP has settled, the client arrives at the leased address, and everything goes through us.
//! Name servers and search domains come along (RFC 8106), routes of a split tunnel too (RFC 4191).

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use std::net::{IpAddr, Ipv6Addr};

use super::ip::Icmpv6;
use super::{InnerConfig, LIFETIME, domain};

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// Option types.
mod option {
    pub(super) const PREFIX: u8 = 3;
    pub(super) const MTU: u8 = 5;
    /// RFC 4191 section 2.3.
    pub(super) const ROUTE: u8 = 24;
    /// RFC 8106 section 5.1.
    pub(super) const DNS: u8 = 25;
    /// RFC 8106 section 5.2.
    pub(super) const SEARCH: u8 = 31;
}

/// Other configuration (name servers, by DHCPv6) is there, RFC 4861 section 4.2.
const FLAG_OTHER: u8 = 0x40;
/// Autonomous address configuration; not on-link. RFC 4861 section 4.6.2.
const FLAG_AUTONOMOUS: u8 = 0x40;
/// Lasts as long as the link does.
const FOREVER: u32 = u32::MAX;

/// The answer to an ICMPv6 message, as an IPv6 packet.
pub(super) fn answer(config: &InnerConfig, message: &Icmpv6<'_>) -> Option<Vec<u8>> {
    let from_client = message.source.is_unicast_link_local() || message.source.is_unspecified();
    let us = config.link_local();
    match message.kind {
        ROUTER_SOLICITATION if from_client && [ALL_ROUTERS, us].contains(&message.destination) => {
            let (_reserved, options) = message.body.split_first_chunk::<4>()?;
            whole_options(options)?;
            let destination = if message.source.is_unspecified() { ALL_NODES } else { message.source };
            advertisement(config, destination)
        }
        NEIGHBOR_SOLICITATION => {
            let (_reserved, rest) = message.body.split_first_chunk::<4>()?;
            let (target, options) = rest.split_first_chunk::<16>()?;
            whole_options(options)?;
            let from_client = from_client || Some(message.source) == config.ipv6;
            let known = config.ipv6.is_some() && from_client && Ipv6Addr::from(*target) == us;
            known.then(|| neighbor_advertisement(us, message.source)).flatten()
        }
        _ => None,
    }
}

/// A router advertisement to `destination`; `None` without IPv6.
pub(super) fn advertisement(config: &InnerConfig, destination: Ipv6Addr) -> Option<Vec<u8>> {
    let address = config.ipv6?;
    let lifetime = u16::try_from(LIFETIME.as_secs()).unwrap_or(u16::MAX);
    let dns: Vec<u8> =
        config.dns.iter().filter_map(v6).take(super::DNS_MAX).flat_map(|server| server.octets()).collect();
    let search = domain::list(&config.domains);
    let flags = if dns.is_empty() && search.is_empty() { 0 } else { FLAG_OTHER };
    let mut body = vec![super::HOP_LIMIT, flags];
    body.extend(if is_default_router(config) { lifetime } else { 0 }.to_be_bytes());
    body.extend([0; 8]); // reachable time and retransmission timer: unspecified
    prefix(address, &mut body);
    if config.mtu >= super::MTU_MIN {
        body.extend([option::MTU, 1, 0, 0]);
        body.extend(u32::from(config.mtu).to_be_bytes());
    }
    let room = usize::from(config.mtu.max(super::MTU_MIN)).saturating_sub(40).saturating_sub(4);
    listed(option::DNS, &dns, &mut body, room);
    listed(option::SEARCH, &search, &mut body, room);
    for (network, length) in &config.routes {
        if let IpAddr::V6(network) = network {
            route(*network, *length, &mut body, room);
        }
    }
    Icmpv6 { source: config.link_local(), destination, kind: ROUTER_ADVERTISEMENT, body: &body }.emit()
}

/// The unsolicited form, RFC 4861 section 6.2.4.
pub(super) fn announcement(config: &InnerConfig) -> Option<Vec<u8>> {
    advertisement(config, ALL_NODES)
}

fn v6(address: &IpAddr) -> Option<Ipv6Addr> {
    if let IpAddr::V6(v6) = address { Some(*v6) } else { None }
}

/// Whether everything goes through the tunnel.
fn is_default_router(config: &InnerConfig) -> bool {
    config.routes.is_empty() || config.routes.iter().any(|(network, length)| network.is_ipv6() && *length == 0)
}

fn prefix(address: Ipv6Addr, out: &mut Vec<u8>) {
    out.extend([option::PREFIX, 4, 64, FLAG_AUTONOMOUS]);
    out.extend(FOREVER.to_be_bytes());
    out.extend(FOREVER.to_be_bytes());
    out.extend([0; 4]);
    let [prefix @ .., _, _, _, _, _, _, _, _] = address.octets();
    out.extend(prefix);
    out.extend([0; 8]);
}

/// Recursive DNS Server and DNS Search List: the same form but for what is listed.
fn listed(kind: u8, list: &[u8], out: &mut Vec<u8>, room: usize) {
    let units = list.len().div_ceil(8).saturating_add(1);
    let length = units.saturating_mul(8);
    let Ok(units) = u8::try_from(units) else { return };
    if list.is_empty() || out.len().saturating_add(length) > room {
        return;
    }
    let end = out.len().saturating_add(length);
    out.extend([kind, units, 0, 0]);
    out.extend(lifetime_seconds().to_be_bytes());
    out.extend(list);
    out.resize(end, 0);
}

fn route(network: Ipv6Addr, length: u8, out: &mut Vec<u8>, room: usize) {
    if length > 128 || length == 0 || out.len().saturating_add(24) > room {
        return;
    }
    out.extend([option::ROUTE, 3, length, 0]);
    out.extend(lifetime_seconds().to_be_bytes());
    out.extend(network.octets());
}

fn lifetime_seconds() -> u32 {
    u32::try_from(LIFETIME.as_secs()).unwrap_or(u32::MAX)
}

/// Our link-local address is here: solicited and from a router. The link has no link-layer addresses to tell.
fn neighbor_advertisement(us: Ipv6Addr, asker: Ipv6Addr) -> Option<Vec<u8>> {
    let (destination, flags) = if asker.is_unspecified() { (ALL_NODES, 0x80) } else { (asker, 0xc0) };
    let mut body = vec![flags, 0, 0, 0];
    body.extend(us.octets());
    Icmpv6 { source: us, destination, kind: NEIGHBOR_ADVERTISEMENT, body: &body }.emit()
}

/// Whether options fill the rest of a message exactly; each has a length of its own that is not zero (RFC 4861
/// section 4.6).
fn whole_options(mut options: &[u8]) -> Option<()> {
    while !options.is_empty() {
        let units = usize::from(*options.get(1)?);
        options = options.get(units.checked_mul(8).filter(|length| *length > 0)?..)?;
    }
    Some(())
}

#[cfg(test)]
mod tests;
