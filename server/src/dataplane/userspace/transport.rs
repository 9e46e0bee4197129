//! Transport mode (RFC 4303 section 3.1.1): the payload of a packet between the two gateways goes without its IP header, which is the
//! outer one, and gets it back at the other end.
//!
//! Behind a NAT the addresses change on the way, so checksums that cover them are made anew (RFC 3948 section 3.1.2).
//!
//! Does not: carry fragments, for which transport mode has no room (RFC 4301 section 5). The route to the peer has a large MTU, so
//! that the kernel hands over whole datagrams and fragments the outer ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cygnet_esp::DropReason;

use super::checksum::Sum;
use super::gso::{never_zero, write_ipv4_checksum};

const IPV4_HEADER_LEN: usize = 20;
const IPV6_HEADER_LEN: usize = 40;
const HOP_LIMIT: u8 = 64;

const TCP: u8 = 6;
const UDP: u8 = 17;
const IPV6_FRAGMENT: u8 = 44;
const ICMPV6: u8 = 58;

/// Addresses of what a pair carries: those of its outer packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hosts {
    pub(super) local: IpAddr,
    pub(super) peer: IpAddr,
}

/// What the outer header says beside addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outer {
    pub(super) traffic_class: u8,
    pub(super) in_udp: bool,
}

/// Length of the IP header of an outbound packet, and the protocol behind it. What has been checked: the header is whole.
pub(super) fn split(packet: &[u8]) -> Result<(usize, u8), DropReason> {
    match packet {
        [first, _, _, _, _, _, flags, offset, _, protocol, ..] if first >> 4 == 4 => {
            let len = usize::from(first & 0x0f) * 4;
            // More fragments, or an offset.
            let is_fragment = flags & 0x3f != 0 || *offset != 0;
            if len < IPV4_HEADER_LEN || len > packet.len() {
                return Err(DropReason::Inner);
            }
            if is_fragment { Err(DropReason::TooBig) } else { Ok((len, *protocol)) }
        }
        [first, _, _, _, _, _, next_header, ..] if first >> 4 == 6 && packet.len() >= IPV6_HEADER_LEN => {
            if *next_header == IPV6_FRAGMENT { Err(DropReason::TooBig) } else { Ok((IPV6_HEADER_LEN, *next_header)) }
        }
        _ => Err(DropReason::Inner),
    }
}

/// Makes the packet of a payload from the peer, in the place of what is in `packet`.
pub(super) fn join(
    hosts: Hosts,
    outer: Outer,
    protocol: u8,
    payload: &[u8],
    packet: &mut Vec<u8>,
) -> Result<(), DropReason> {
    packet.clear();
    let at = match (hosts.peer, hosts.local) {
        (IpAddr::V4(peer), IpAddr::V4(local)) => {
            packet.extend(v4_header(peer, local, outer.traffic_class, protocol, payload.len())?);
            IPV4_HEADER_LEN
        }
        (IpAddr::V6(peer), IpAddr::V6(local)) => {
            packet.extend(v6_header(peer, local, outer.traffic_class, protocol, payload.len())?);
            IPV6_HEADER_LEN
        }
        _ => return Err(DropReason::Inner),
    };
    packet.extend_from_slice(payload);
    if outer.in_udp {
        renew_checksum(hosts, protocol, &mut packet[at..]);
    }
    Ok(())
}

fn v4_header(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    tos: u8,
    protocol: u8,
    payload_len: usize,
) -> Result<[u8; IPV4_HEADER_LEN], DropReason> {
    let len = u16::try_from(IPV4_HEADER_LEN + payload_len).map_err(|_| DropReason::Inner)?;
    let mut header = [0; IPV4_HEADER_LEN];
    (header[0], header[1], header[8], header[9]) = (0x45, tos, HOP_LIMIT, protocol);
    header[2..4].copy_from_slice(&len.to_be_bytes());
    header[12..16].copy_from_slice(&source.octets());
    header[16..20].copy_from_slice(&destination.octets());
    write_ipv4_checksum(&mut header);
    Ok(header)
}

fn v6_header(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    traffic_class: u8,
    next_header: u8,
    payload_len: usize,
) -> Result<[u8; IPV6_HEADER_LEN], DropReason> {
    let len = u16::try_from(payload_len).map_err(|_| DropReason::Inner)?;
    let mut header = [0; IPV6_HEADER_LEN];
    (header[0], header[1]) = (0x60 | traffic_class >> 4, traffic_class << 4);
    header[4..6].copy_from_slice(&len.to_be_bytes());
    (header[6], header[7]) = (next_header, HOP_LIMIT);
    header[8..24].copy_from_slice(&source.octets());
    header[24..40].copy_from_slice(&destination.octets());
    Ok(header)
}

/// ESP has vouched for the payload, so a checksum for the addresses as they are now can be put in.
fn renew_checksum(hosts: Hosts, protocol: u8, payload: &mut [u8]) {
    let field = match protocol {
        TCP => 16,
        UDP => 6,
        ICMPV6 => 2,
        _ => return,
    };
    let Some(old) = payload.get_mut(field..field + 2) else { return };
    let had_none = protocol == UDP && hosts.peer.is_ipv4() && old == [0, 0];
    if had_none {
        return;
    }
    old.fill(0);
    let sum = Sum::pseudo_header(hosts.peer, hosts.local, protocol).add_length(payload.len()).add(payload);
    let checksum = sum.checksum();
    payload[field..field + 2].copy_from_slice(&if protocol == UDP { never_zero(checksum) } else { checksum });
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Segment, assert_checksums};
    use super::*;
    use cygnet_esp::inner;

    fn hosts_of(packet: &[u8]) -> Hosts {
        let (peer, local) = inner::addresses(packet).unwrap();
        Hosts { local, peer }
    }

    fn segments() -> [Segment; 4] {
        let v6 = |segment| Segment { ipv6: true, ..segment };
        [Segment::tcp(b"hello"), Segment::udp(b"hello"), v6(Segment::tcp(b"hello")), v6(Segment::udp(b"hello"))]
    }

    #[test]
    fn what_was_split_is_joined_again() {
        for segment in segments() {
            let packet = Segment { traffic_class: 0x2a, ..segment }.emit();
            let (at, protocol) = split(&packet).unwrap();
            let mut joined = vec![9; 3];
            let outer = Outer { traffic_class: 0x2a, in_udp: false };
            join(hosts_of(&packet), outer, protocol, &packet[at..], &mut joined).unwrap();
            assert_eq!(joined[at..], packet[at..]);
            assert_eq!(inner::addresses(&joined).unwrap(), inner::addresses(&packet).unwrap());
            assert_checksums(&joined);
        }
    }

    #[test]
    fn behind_a_nat_checksums_fit_the_addresses_of_this_side() {
        for segment in segments() {
            let packet = segment.emit();
            let (at, protocol) = split(&packet).unwrap();
            let peer = if segment.ipv6 { "2001:db8::77".parse() } else { "198.51.100.77".parse() }.unwrap();
            let hosts = Hosts { peer, ..hosts_of(&packet) };
            let mut joined = Vec::new();
            let outer = Outer { traffic_class: 0, in_udp: true };
            join(hosts, outer, protocol, &packet[at..], &mut joined).unwrap();
            assert_checksums(&joined);
        }
        let mut without = Segment::udp(b"hello").emit();
        without[26..28].fill(0);
        let mut joined = Vec::new();
        join(hosts_of(&without), Outer { traffic_class: 0, in_udp: true }, UDP, &without[20..], &mut joined).unwrap();
        assert_eq!(joined[26..28], [0, 0], "no checksum stays none");
    }

    #[test]
    fn fragments_and_halves_do_not_pass() {
        let mut packet = Segment::udp(b"hello").emit();
        packet[6] = 0x20;
        assert_eq!(split(&packet), Err(DropReason::TooBig));
        (packet[6], packet[7]) = (0x40, 0);
        assert_eq!(split(&packet), Ok((20, 17)), "DF is no fragment");
        packet[7] = 1;
        assert_eq!(split(&packet), Err(DropReason::TooBig));
        let mut v6 = Segment { ipv6: true, ..Segment::udp(b"hello") }.emit();
        v6[6] = 44;
        assert_eq!(split(&v6), Err(DropReason::TooBig));
        for broken in [&[][..], &[0x45; 5], &[0x4f; 20], &[0x60; 39], &[0x00; 60]] {
            assert_eq!(split(broken), Err(DropReason::Inner));
        }
        let hosts = Hosts { local: "192.0.2.1".parse().unwrap(), peer: "2001:db8::1".parse().unwrap() };
        let outer = Outer { traffic_class: 0, in_udp: true };
        assert_eq!(join(hosts, outer, 17, b"", &mut Vec::new()), Err(DropReason::Inner));
        for len in 0..20 {
            let hosts = Hosts { local: "192.0.2.1".parse().unwrap(), peer: "192.0.2.2".parse().unwrap() };
            join(hosts, outer, TCP, &vec![0; len], &mut Vec::new()).unwrap();
        }
    }
}
