//! DHCPINFORM and its answer (RFC 2131 section 3.4): how clients with split routing learn routes, name servers and domain.
//!
//! An answer goes to the leased address only, and only its owner is answered. Routes go into options 121 and 249 alike: some
//! clients read the one, some the other. The message type is the first option, and no route is cut into two options,
//! since stock clients read options one by one.
//!
//! Does not: hand out addresses. Discover and Request are left without an answer.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use std::net::{IpAddr, Ipv4Addr};

use nom::bytes::complete::{tag, take};
use nom::number::complete::{be_u8, be_u16, be_u32};
use nom::{IResult, Parser};

use super::ip::Udp;
use super::{InnerConfig, domain};

/// The server's port.
pub(super) const SERVER_PORT: u16 = 67;
/// The client's port.
const CLIENT_PORT: u16 = 68;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// The smallest message that old clients take, RFC 1542 section 2.1.
const MIN_LEN: usize = 300;
/// What every client takes, an IP packet of this size (RFC 2131 section 2); also the headers of IP and UDP.
const PACKET_MIN: u16 = 576;
const HEADERS_LEN: usize = 28;
/// More options than this are not read.
const OPTIONS_MAX: usize = 64;

const INFORM: u8 = 8;
const ACK: u8 = 5;

/// Option codes, RFC 2132 and others.
mod code {
    pub(super) const PAD: u8 = 0;
    pub(super) const SUBNET_MASK: u8 = 1;
    pub(super) const DNS: u8 = 6;
    pub(super) const DOMAIN: u8 = 15;
    pub(super) const NBNS: u8 = 44;
    pub(super) const MESSAGE_TYPE: u8 = 53;
    pub(super) const SERVER: u8 = 54;
    pub(super) const PARAMETERS: u8 = 55;
    pub(super) const CLIENT: u8 = 61;
    /// RFC 3397.
    pub(super) const SEARCH: u8 = 119;
    /// RFC 3442.
    pub(super) const ROUTES: u8 = 121;
    /// The same, under the number that Microsoft took before there was one.
    pub(super) const MICROSOFT_ROUTES: u8 = 249;
    pub(super) const END: u8 = 255;
}

/// A DHCP message, RFC 2131 section 2, without the fields that nobody uses here (sname and file, sent as zeros).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// 1: from a client, 2: from a server.
    op: u8,
    htype: u8,
    hlen: u8,
    hops: u8,
    xid: u32,
    secs: u16,
    flags: u16,
    ciaddr: Ipv4Addr,
    yiaddr: Ipv4Addr,
    siaddr: Ipv4Addr,
    giaddr: Ipv4Addr,
    chaddr: [u8; 16],
    /// Code and value, in the order of the message.
    options: Vec<(u8, &'a [u8])>,
}

impl<'a> Message<'a> {
    /// Reads a message; what follows the end option is padding.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        message(bytes).ok().map(|(_, message)| message)
    }

    /// The message as bytes, padded to the smallest size; [`Message::parse`] of them gives back `self`. `None` if an
    /// option is longer than an option can be.
    pub(crate) fn emit(&self) -> Option<Vec<u8>> {
        let mut out = vec![self.op, self.htype, self.hlen, self.hops];
        out.extend(self.xid.to_be_bytes());
        out.extend(self.secs.to_be_bytes());
        out.extend(self.flags.to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            out.extend(address.octets());
        }
        out.extend(self.chaddr);
        out.extend([0; 64 + 128]);
        out.extend(COOKIE);
        for (code, value) in &self.options {
            out.extend([*code, u8::try_from(value.len()).ok()?]);
            out.extend(*value);
        }
        out.push(code::END);
        out.resize(out.len().max(MIN_LEN), code::PAD);
        Some(out)
    }

    fn option(&self, code: u8) -> Option<&'a [u8]> {
        self.options.iter().find(|(c, _)| *c == code).map(|(_, value)| *value)
    }
}

fn message(bytes: &[u8]) -> IResult<&[u8], Message<'_>> {
    let (rest, (op, htype, hlen, hops)) = (be_u8, be_u8, be_u8, be_u8).parse(bytes)?;
    let (rest, (xid, secs, flags)) = (be_u32, be_u16, be_u16).parse(rest)?;
    let address = || be_u32.map(Ipv4Addr::from);
    let (rest, (ciaddr, yiaddr, siaddr, giaddr)) = (address(), address(), address(), address()).parse(rest)?;
    let (rest, (hardware, _sname_and_file, _cookie)) =
        (take(16_usize), take(192_usize), tag(&COOKIE[..])).parse(rest)?;
    let mut chaddr = [0; 16];
    for (to, from) in chaddr.iter_mut().zip(hardware) {
        *to = *from;
    }
    let (rest, options) = options(rest)?;
    Ok((rest, Message { op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, options }))
}

fn options(mut input: &[u8]) -> IResult<&[u8], Vec<(u8, &[u8])>> {
    let mut options = Vec::new();
    while options.len() < OPTIONS_MAX {
        let (rest, code) = be_u8(input)?;
        input = rest;
        match code {
            code::PAD => {}
            code::END => return Ok((input, options)),
            _ => {
                let (rest, length) = be_u8(input)?;
                let (rest, value) = take(length).parse(rest)?;
                options.push((code, value));
                input = rest;
            }
        }
    }
    Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::TooLarge)))
}

/// The answer to a datagram for [`SERVER_PORT`], as an IPv4 packet.
pub(super) fn answer(config: &InnerConfig, udp: &Udp<'_, Ipv4Addr>) -> Option<Vec<u8>> {
    let (client, gateway) = (config.ipv4?, config.gateway4?);
    let request = Message::parse(udp.payload)?;
    let from_client = udp.source == client || udp.source.is_unspecified();
    let to_us = udp.destination == Ipv4Addr::BROADCAST || udp.destination == gateway;
    let inform = request.op == 1 && request.option(code::MESSAGE_TYPE) == Some(&[INFORM]);
    if !(from_client && to_us && inform && request.ciaddr == client && request.giaddr.is_unspecified()) {
        return None;
    }
    let values = Values::new(config, gateway, &request);
    let reply = Message {
        op: 2,
        hops: 0,
        secs: 0,
        yiaddr: Ipv4Addr::UNSPECIFIED,
        siaddr: Ipv4Addr::UNSPECIFIED,
        options: values.options(),
        ..request
    };
    let payload = reply.emit()?;
    let ports = (SERVER_PORT, CLIENT_PORT);
    Udp { source: gateway, destination: client, source_port: ports.0, destination_port: ports.1, payload: &payload }
        .emit()
}

/// The values of an answer's options, in their order.
struct Values(Vec<(u8, Vec<u8>)>);

impl Values {
    fn new(config: &InnerConfig, gateway: Ipv4Addr, request: &Message<'_>) -> Self {
        let packet = usize::from(config.mtu.max(PACKET_MIN));
        let mut room = packet.saturating_sub(HEADERS_LEN).saturating_sub(240).saturating_sub(1);
        let mut values = Self(Vec::new());
        values.push(&mut room, code::MESSAGE_TYPE, vec![ACK]);
        values.push(&mut room, code::SERVER, gateway.octets().to_vec());
        let asked = request.option(code::PARAMETERS).unwrap_or_default();
        if asked.contains(&code::SUBNET_MASK) {
            values.push(&mut room, code::SUBNET_MASK, vec![255; 4]); // a point-to-point link has one address
        }
        let dns = config.dns.iter().filter_map(|server| if let IpAddr::V4(v4) = server { Some(*v4) } else { None });
        values.push(&mut room, code::DNS, addresses(dns));
        values.push(&mut room, code::NBNS, addresses(config.nbns.iter().copied()));
        let domain = config.domains.first().map(|domain| domain.trim_end_matches('.').as_bytes().to_vec());
        values.push(&mut room, code::DOMAIN, domain.unwrap_or_default());
        values.push(&mut room, code::CLIENT, request.option(code::CLIENT).unwrap_or_default().to_vec()); // RFC 6842
        let routes = routes(&config.routes, gateway, room.checked_div(2).unwrap_or(0));
        for code in [code::ROUTES, code::MICROSOFT_ROUTES] {
            for value in &routes {
                values.push(&mut room, code, value.clone());
            }
        }
        values.push(&mut room, code::SEARCH, domain::list(&config.domains));
        values
    }

    /// Adds an option unless it is empty or there is no room for it.
    fn push(&mut self, room: &mut usize, code: u8, value: Vec<u8>) {
        let length = value.len().saturating_add(2);
        if !value.is_empty() && value.len() <= 255 && length <= *room {
            *room = room.saturating_sub(length);
            self.0.push((code, value));
        }
    }

    fn options(&self) -> Vec<(u8, &[u8])> {
        self.0.iter().map(|(code, value)| (*code, value.as_slice())).collect()
    }
}

fn addresses(addresses: impl Iterator<Item = Ipv4Addr>) -> Vec<u8> {
    // More than 63 do not fit into an option.
    addresses.take(63).flat_map(|address| address.octets()).collect()
}

/// Routes in the encoding of RFC 3442, cut into options between two routes (RFC 3396 section 5); what needs more than
/// `room` bytes is left out.
fn routes(routes: &[(IpAddr, u8)], gateway: Ipv4Addr, mut room: usize) -> Vec<Vec<u8>> {
    let mut options: Vec<Vec<u8>> = Vec::new();
    for (network, prefix) in routes {
        let IpAddr::V4(network) = network else { continue };
        if *prefix > 32 {
            continue;
        }
        let significant = usize::from(prefix.div_ceil(8));
        let mut route = vec![*prefix];
        route.extend(network.octets().iter().take(significant));
        route.extend(gateway.octets());
        let fits = options.last().is_some_and(|last| last.len().saturating_add(route.len()) <= 255);
        let cost = if fits { route.len() } else { route.len().saturating_add(2) };
        if cost > room {
            break;
        }
        room = room.saturating_sub(cost);
        match options.last_mut() {
            Some(last) if fits => last.extend(route),
            _ => options.push(route),
        }
    }
    options
}

#[cfg(test)]
mod tests;
