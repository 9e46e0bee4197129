//! Messages of ctnetlink: the list of tracked connections, and the request that ends the tracking of one.
//!
//! Netlink headers and attributes (RFC 3549 section 2.3, `linux/netlink.h`) are in the machine's byte order; what they
//! hold about connections (`linux/netfilter/nfnetlink_conntrack.h`) is in the network's. Attributes of a listed
//! connection that name it go back unchanged into the request that deletes it, so there is no need to understand them.
//!
//! Does not: talk to the kernel, see the module above.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use std::collections::BTreeSet;
use std::net::IpAddr;

use nom::bytes::complete::take;
use nom::combinator::{consumed, map_opt};
use nom::number::Endianness::Native;
use nom::number::complete::{i32, u16, u32};
use nom::{IResult, Parser};

/// Size of a netlink message's header, octets.
const HEADER: usize = 16;
/// Size of an attribute's header, octets.
const ATTRIBUTE_HEADER: u16 = 4;

/// NLMSG_ERROR.
const ERROR: u16 = 2;
/// NLMSG_DONE.
const DONE: u16 = 3;
/// IPCTNL_MSG_CT_NEW of NFNL_SUBSYS_CTNETLINK: a connection in a list.
const CONNECTION: u16 = 0x100;
/// IPCTNL_MSG_CT_GET.
const LIST: u16 = 0x101;
/// IPCTNL_MSG_CT_DELETE.
const DELETE: u16 = 0x102;

/// NLM_F_REQUEST with NLM_F_DUMP: everything there is.
const REQUEST_ALL: u16 = 0x301;
/// NLM_F_REQUEST with NLM_F_ACK.
const REQUEST_ANSWER: u16 = 0x005;

/// Attribute types without NLA_F_NESTED and NLA_F_NET_BYTEORDER.
const TYPE_MASK: u16 = 0x3fff;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_TUPLE_IP: u16 = 1;
/// CTA_IP_V4_SRC to CTA_IP_V6_DST.
const CTA_IP: [u16; 4] = [1, 2, 3, 4];

/// Not what a kernel sends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a netlink message that we cannot read")]
pub(super) struct Malformed;

/// What the kernel says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// A tracked connection.
    Connection(Connection<'a>),
    /// A request is carried out, a list complete; or not, with the error number. 0: no error.
    Outcome(i32),
    /// Anything else.
    Other,
}

/// A tracked connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Connection<'a> {
    /// AF_INET or AF_INET6.
    family: u8,
    /// The attributes that name it, whole.
    names: [Option<&'a [u8]>; 3],
    /// Source and destination of both directions: they differ from each other where addresses are translated.
    ends: [Option<IpAddr>; 8],
}

impl Connection<'_> {
    /// Whether one of these is an end of it, as any of the sides sees it.
    pub(super) fn involves(&self, addresses: &BTreeSet<IpAddr>) -> bool {
        self.ends.iter().flatten().any(|end| addresses.contains(end))
    }

    /// Appends the request that deletes this connection, and no other one that came to bear its name.
    pub(super) fn emit_delete(&self, out: &mut Vec<u8>) {
        emit(DELETE, REQUEST_ANSWER, self.family, &self.names.into_iter().flatten().collect::<Vec<_>>(), out);
    }
}

/// The request for all connections of a family; AF_UNSPEC: of all families.
pub(super) fn list(family: u8) -> Vec<u8> {
    let mut out = Vec::new();
    emit(LIST, REQUEST_ALL, family, &[], &mut out);
    out
}

/// The messages of one datagram. Nothing comes after an error.
pub(super) fn messages(datagram: &[u8]) -> impl Iterator<Item = Result<Message<'_>, Malformed>> {
    all(message, datagram)
}

fn message(input: &[u8]) -> IResult<&[u8], Message<'_>> {
    let rest_of_header = HEADER.saturating_sub(6);
    let (rest, length) =
        map_opt(u32(Native), |length| usize::try_from(length).ok()?.checked_sub(HEADER)).parse(input)?;
    let (rest, (kind, _, body)) = (u16(Native), take(rest_of_header), take(length)).parse(rest)?;
    let (rest, _) = padding(length, rest)?;
    let message = match kind {
        ERROR | DONE => i32(Native).map(|number: i32| Message::Outcome(0_i32.saturating_sub(number))).parse(body)?.1,
        CONNECTION => connection(body)?.1,
        _ => Message::Other,
    };
    Ok((rest, message))
}

fn connection(body: &[u8]) -> IResult<&[u8], Message<'_>> {
    let (attributes, header) = take(4_usize)(body)?; // struct nfgenmsg
    let family = header.first().copied().unwrap_or_default();
    let unreadable = |_| nom::Err::Error(nom::error::Error::new(body, nom::error::ErrorKind::Verify));
    let Some(original) = find(attributes, CTA_TUPLE_ORIG).map_err(unreadable)? else {
        return Err(unreadable(Malformed));
    };
    let Some(reply) = find(attributes, CTA_TUPLE_REPLY).map_err(unreadable)? else { return Err(unreadable(Malformed)) };
    let whole = |kind| find(attributes, kind).map(|found| found.map(|attribute| attribute.whole)).map_err(unreadable);
    let names = [Some(original.whole), whole(CTA_ZONE)?, whole(CTA_ID)?];
    let (original, reply) = (ends(original.value).map_err(unreadable)?, ends(reply.value).map_err(unreadable)?);
    let [a, b, c, d] = original;
    let [e, f, g, h] = reply;
    Ok((&[], Message::Connection(Connection { family, names, ends: [a, b, c, d, e, f, g, h] })))
}

/// The addresses of one direction: those of one family.
fn ends(tuple: &[u8]) -> Result<[Option<IpAddr>; 4], Malformed> {
    let Some(addresses) = find(tuple, CTA_TUPLE_IP)? else { return Ok([None; 4]) };
    let mut ends = [None; 4];
    for (end, kind) in ends.iter_mut().zip(CTA_IP) {
        *end = find(addresses.value, kind)?.and_then(|attribute| address(attribute.value));
    }
    Ok(ends)
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// A netlink attribute.
struct Attribute<'a> {
    kind: u16,
    value: &'a [u8],
    /// With header and padding.
    whole: &'a [u8],
}

/// The first attribute of this type.
fn find(attributes: &[u8], kind: u16) -> Result<Option<Attribute<'_>>, Malformed> {
    let wanted = |found: &Result<Attribute<'_>, Malformed>| found.as_ref().map_or(true, |a| a.kind == kind);
    all(attribute, attributes).find(wanted).transpose()
}

fn attribute(input: &[u8]) -> IResult<&[u8], Attribute<'_>> {
    let (rest, (whole, (kind, value))) = consumed(kind_and_value).parse(input)?;
    Ok((rest, Attribute { kind, value, whole }))
}

fn kind_and_value(input: &[u8]) -> IResult<&[u8], (u16, &[u8])> {
    let (rest, length) = map_opt(u16(Native), |length: u16| length.checked_sub(ATTRIBUTE_HEADER)).parse(input)?;
    let (rest, (kind, value)) = (u16(Native), take(length)).parse(rest)?;
    let (rest, _) = padding(length.into(), rest)?;
    Ok((rest, (kind & TYPE_MASK, value)))
}

/// Messages and attributes begin at multiples of four octets; the last one may end where it ends.
fn padding(length: usize, rest: &[u8]) -> IResult<&[u8], &[u8]> {
    take((length.wrapping_neg() & 3).min(rest.len()))(rest)
}

/// Everything of a kind, to the end of the input.
fn all<'a, T>(
    one: fn(&'a [u8]) -> IResult<&'a [u8], T>,
    mut rest: &'a [u8],
) -> impl Iterator<Item = Result<T, Malformed>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (after, item) = one(rest).map_or((&[][..], Err(Malformed)), |(after, item)| (after, Ok(item)));
        rest = after;
        Some(item)
    })
}

fn emit(kind: u16, flags: u16, family: u8, attributes: &[&[u8]], out: &mut Vec<u8>) {
    let mut body = vec![family, 0, 0, 0]; // struct nfgenmsg: version 0, resource 0
    for attribute in attributes {
        body.extend_from_slice(attribute);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    // Attributes are smaller than 64 KiB each, so the length always fits.
    let length = u32::try_from(HEADER.saturating_add(body.len())).unwrap_or(u32::MAX);
    out.extend(length.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend([0; 8]); // sequence number and port: there is one conversation per socket
    out.extend(body);
}

#[cfg(test)]
#[allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;

    const NESTED: u16 = 0x8000;
    const CTA_TUPLE_PROTO: u16 = 2;
    const CTA_STATUS: u16 = 3;

    fn nla(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut out = (value.len() as u16 + 4).to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn nlmsg(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut out = (body.len() as u32 + 16).to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend([2, 0, 7, 0, 0, 0, 9, 0, 0, 0]); // NLM_F_MULTI, sequence, port
        out.extend(body);
        out
    }

    fn octets(address: &str) -> Vec<u8> {
        match address.parse().expect("an address") {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        }
    }

    fn tuple(kind: u16, source: &str, destination: &str) -> Vec<u8> {
        let first = if source.contains(':') { 3 } else { 1 };
        let ip = [nla(first, &octets(source)), nla(first + 1, &octets(destination))].concat();
        // CTA_PROTO_NUM: UDP, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT
        let proto = [nla(1, &[17]), nla(2, &[0x30, 0x39]), nla(3, &[0, 53])].concat();
        nla(kind | NESTED, &[nla(CTA_TUPLE_IP | NESTED, &ip), nla(CTA_TUPLE_PROTO | NESTED, &proto)].concat())
    }

    /// A client's translated connection, as a kernel lists it.
    fn translated() -> Vec<u8> {
        let body = [
            vec![libc::AF_INET as u8, 0, 0, 0],
            tuple(CTA_TUPLE_ORIG, "10.20.0.2", "198.51.100.2"),
            tuple(CTA_TUPLE_REPLY, "198.51.100.2", "203.0.113.1"),
            nla(CTA_STATUS, &[0, 0, 1, 0x98]),
            nla(CTA_ID, &[1, 2, 3, 4]),
            nla(CTA_ZONE, &[0, 5]),
        ];
        nlmsg(CONNECTION, &body.concat())
    }

    fn only(datagram: &[u8]) -> Result<Message<'_>, Malformed> {
        let mut all = messages(datagram);
        let first = all.next().expect("a message");
        assert!(all.next().is_none());
        first
    }

    fn set(address: &str) -> BTreeSet<IpAddr> {
        [address.parse().expect("an address")].into()
    }

    #[test]
    fn a_connection_involves_its_ends_as_both_sides_see_them() {
        let datagram = translated();
        let Ok(Message::Connection(connection)) = only(&datagram) else { panic!("not a connection") };
        for end in ["10.20.0.2", "198.51.100.2", "203.0.113.1"] {
            assert!(connection.involves(&set(end)), "{end}");
        }
        assert!(!connection.involves(&set("10.20.0.3")));
        assert!(!connection.involves(&BTreeSet::new()));
    }

    #[test]
    fn reads_ipv6() {
        let body = [
            vec![libc::AF_INET6 as u8, 0, 0, 0],
            tuple(CTA_TUPLE_ORIG, "2001:db8::2", "fd00:20::2"),
            tuple(CTA_TUPLE_REPLY, "fd00:20::2", "2001:db8::2"),
        ];
        let datagram = nlmsg(CONNECTION, &body.concat());
        let Ok(Message::Connection(connection)) = only(&datagram) else { panic!("not a connection") };
        assert!(connection.involves(&set("fd00:20::2")) && !connection.involves(&set("fd00:20::3")));
    }

    #[test]
    fn the_request_to_delete_names_the_connection_by_tuple_zone_and_number() {
        let datagram = translated();
        let Ok(Message::Connection(connection)) = only(&datagram) else { panic!("not a connection") };
        let mut request = vec![0xee; 4]; // appended to what is there
        connection.emit_delete(&mut request);
        let names =
            [tuple(CTA_TUPLE_ORIG, "10.20.0.2", "198.51.100.2"), nla(CTA_ZONE, &[0, 5]), nla(CTA_ID, &[1, 2, 3, 4])]
                .concat();
        let length = (20 + names.len()) as u32;
        let mut expected = vec![0xee; 4];
        expected.extend(length.to_ne_bytes());
        expected.extend([0x0102_u16.to_ne_bytes(), 0x0005_u16.to_ne_bytes()].concat());
        expected.extend([0; 8]);
        expected.extend([libc::AF_INET as u8, 0, 0, 0]);
        expected.extend(names);
        assert_eq!(request, expected);
    }

    #[test]
    fn asks_for_everything_of_a_family() {
        let mut expected = 20_u32.to_ne_bytes().to_vec();
        expected.extend([0x0101_u16.to_ne_bytes(), 0x0301_u16.to_ne_bytes()].concat());
        expected.extend([0; 8]);
        expected.extend([libc::AF_INET6 as u8, 0, 0, 0]);
        assert_eq!(list(libc::AF_INET6 as u8), expected);
    }

    #[test]
    fn tells_outcomes() {
        assert_eq!(only(&nlmsg(ERROR, &0_i32.to_ne_bytes())), Ok(Message::Outcome(0)));
        let refused = [(-libc::ENOENT).to_ne_bytes().to_vec(), vec![0; 16]].concat();
        assert_eq!(only(&nlmsg(ERROR, &refused)), Ok(Message::Outcome(libc::ENOENT)));
        assert_eq!(only(&nlmsg(DONE, &0_i32.to_ne_bytes())), Ok(Message::Outcome(0)));
        assert_eq!(only(&nlmsg(ERROR, &i32::MIN.to_ne_bytes())), Ok(Message::Outcome(i32::MAX)));
        assert_eq!(only(&nlmsg(ERROR, &[0; 3])), Err(Malformed));
    }

    #[test]
    fn reads_all_messages_of_a_datagram() {
        let odd = nlmsg(0x77, &[1, 2, 3]); // without the padding that its successor asks for
        let datagram = [translated(), odd, vec![0], nlmsg(DONE, &[0; 4])].concat();
        let found: Vec<_> = messages(&datagram).collect();
        assert!(matches!(&found[..], [Ok(Message::Connection(_)), Ok(Message::Other), Ok(Message::Outcome(0))]));
    }

    #[test]
    fn rejects_every_truncation() {
        let datagram = translated();
        for n in 1..datagram.len() {
            assert_eq!(only(&datagram[..n]), Err(Malformed), "{n} octets");
        }
        // Also where the header tells the length that is left: an attribute cut in two.
        for n in 16..datagram.len() {
            let mut cut = datagram[..n].to_vec();
            cut[..4].copy_from_slice(&(n as u32).to_ne_bytes());
            match only(&cut) {
                Ok(Message::Connection(connection)) => assert!(connection.involves(&set("10.20.0.2")), "{n} octets"),
                other => assert_eq!(other, Err(Malformed), "{n} octets"),
            }
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_errors() {
        for length in [0_u32, 15, 17, u32::MAX] {
            let mut datagram = nlmsg(0x77, &[]);
            datagram[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(only(&datagram), Err(Malformed), "{length}");
        }
        for length in [0_u16, 3, 200, u16::MAX] {
            let mut datagram = translated();
            datagram[20..22].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(only(&datagram), Err(Malformed), "{length}");
        }
    }
}
