//! "Packet too big" from routers on the way (RFC 792 type 3 code 4 with RFC 1191, RFC 4443 section 3.2), by raw sockets that the
//! kernel lets pass nothing else.
//!
//! The kernel reads these messages, too, and fragments outer packets from then on. Here it is learnt what inner packets should
//! measure, so that nobody has to fragment.
//!
//! A message can be forged by anybody who guesses addresses. The SPI that routers quote cannot be guessed; where a router quotes too
//! little to show it, less is believed (see [`TooBig::believable_mtu`]).
//!
//! Does not: answer anything.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use cygnet_esp::Spi;
use socket2::{Domain, Protocol, Socket, Type};

use super::sys::set_socket_option;

/// `ICMP_FILTER` of `linux/icmp.h`, at level `SOL_RAW`.
const ICMP_FILTER: libc::c_int = 1;
const SOL_RAW: libc::c_int = 255;
/// `ICMPV6_FILTER` of `linux/icmpv6.h`.
const ICMPV6_FILTER: libc::c_int = 1;

const DESTINATION_UNREACHABLE: u8 = 3;
const FRAGMENTATION_NEEDED: u8 = 4;
const PACKET_TOO_BIG: u8 = 2;

const ESP: u8 = 50;
const UDP: u8 = 17;
const NAT_TRAVERSAL_PORT: u16 = 4500;

/// Nothing smaller is believed from somebody who has not seen the packet: IPv6 needs as much, and few links have less.
const LEAST_WITHOUT_PROOF: u32 = 1280;
/// Nothing smaller is believed at all: what every host takes over IPv4, RFC 791.
const LEAST: u32 = 576;

/// Octets that are read of a message: the quoted headers and the SPI lie within.
pub const MESSAGE_LEN: usize = 256;

/// What a router says about a packet of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBig {
    /// Where the packet went.
    pub peer: IpAddr,
    /// The SPI in it, if the router quotes as much.
    pub spi: Option<Spi>,
    /// Largest packet that passes, octets.
    mtu: u32,
}

impl TooBig {
    /// Reads a message as a raw socket gives it: with the IP header over IPv4. `None` if it is not about ESP of ours.
    #[must_use]
    pub fn parse(received: &[u8], ipv6: bool) -> Option<Self> {
        let message = if ipv6 { received } else { received.get(header_len(received)?..)? };
        let (&[kind, code, _, _, a, b, c, d], quoted) = message.split_first_chunk()?;
        let (mtu, expected) = if ipv6 {
            (u32::from_be_bytes([a, b, c, d]), kind == PACKET_TOO_BIG)
        } else {
            (u16::from_be_bytes([c, d]).into(), (kind, code) == (DESTINATION_UNREACHABLE, FRAGMENTATION_NEEDED))
        };
        expected.then_some(())?;
        let (protocol, peer, payload) = if ipv6 { quoted_v6(quoted)? } else { quoted_v4(quoted)? };
        let esp = match protocol {
            ESP => payload,
            UDP if source_port(payload)? == NAT_TRAVERSAL_PORT => payload.get(8..).unwrap_or_default(),
            _ => return None,
        };
        let spi = esp.first_chunk().map(|octets| Spi(u32::from_be_bytes(*octets)));
        Some(Self { peer, spi, mtu })
    }

    /// How much may be believed: `proven` says that the quoted SPI is one of ours towards this peer.
    #[must_use]
    pub fn believable_mtu(&self, proven: bool) -> u32 {
        // Routers older than RFC 1191 say nothing.
        let said = if self.mtu == 0 { LEAST_WITHOUT_PROOF } else { self.mtu };
        said.max(if proven { LEAST } else { LEAST_WITHOUT_PROOF })
    }
}

/// Opens a socket that gets these messages of one family.
///
/// # Errors
/// What the kernel reports, with [`io::ErrorKind::PermissionDenied`] without CAP_NET_RAW.
pub fn open(ipv6: bool) -> io::Result<Socket> {
    let (domain, protocol) = if ipv6 { (Domain::IPV6, Protocol::ICMPV6) } else { (Domain::IPV4, Protocol::ICMPV4) };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    if ipv6 {
        // Bits of types that do not pass.
        let mut filter = [u32::MAX; 8];
        filter[0] &= !(1 << PACKET_TOO_BIG);
        set_socket_option(socket.as_fd(), libc::IPPROTO_ICMPV6, ICMPV6_FILTER, &filter)?;
    } else {
        let filter: u32 = !(1 << DESTINATION_UNREACHABLE);
        set_socket_option(socket.as_fd(), SOL_RAW, ICMP_FILTER, &filter)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn header_len(packet: &[u8]) -> Option<usize> {
    let len = usize::from(packet.first()? & 0x0f) * 4;
    (len >= 20).then_some(len)
}

fn quoted_v4(packet: &[u8]) -> Option<(u8, IpAddr, &[u8])> {
    let payload = packet.get(header_len(packet)?..)?;
    let peer: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    Some((*packet.get(9)?, Ipv4Addr::from(peer).into(), payload))
}

fn quoted_v6(packet: &[u8]) -> Option<(u8, IpAddr, &[u8])> {
    let (header, payload) = packet.split_at_checked(40)?;
    let peer: [u8; 16] = header.get(24..40)?.try_into().ok()?;
    Some((*header.get(6)?, Ipv6Addr::from(peer).into(), payload))
}

fn source_port(udp: &[u8]) -> Option<u16> {
    udp.first_chunk().map(|octets| u16::from_be_bytes(*octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4_PEER: [u8; 4] = [198, 51, 100, 7];

    /// As a router would send it: its own IP header, the ICMP header, our packet's beginning.
    fn v4(mtu: u16, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let [high, low] = mtu.to_be_bytes();
        let mut quoted = [0x45; 20];
        quoted[9] = protocol;
        quoted[16..].copy_from_slice(&V4_PEER);
        [&[0x45; 20][..], &[3, 4, 0, 0, 0, 0, high, low], &quoted, payload].concat()
    }

    fn v6(mtu: u32, next_header: u8, payload: &[u8]) -> Vec<u8> {
        let mut quoted = [0x60; 40];
        quoted[6] = next_header;
        [&[2, 0, 0, 0][..], &mtu.to_be_bytes(), &quoted, payload].concat()
    }

    #[test]
    fn tells_peer_spi_and_size() {
        let esp = [0xc0, 0xff, 0xee, 1, 0, 0, 0, 9];
        let in_udp = [&[0x11, 0x94, 0x11, 0x94, 0, 0, 0, 0][..], &esp].concat();
        let spi = Some(Spi(0xc0ff_ee01));
        for (protocol, payload) in [(50, &esp[..]), (17, &in_udp)] {
            let expected = TooBig { peer: V4_PEER.into(), spi, mtu: 1400 };
            assert_eq!(TooBig::parse(&v4(1400, protocol, payload), false), Some(expected));
            let told = TooBig::parse(&v6(1300, protocol, payload), true).unwrap();
            assert_eq!((told.spi, told.mtu), (spi, 1300));
        }
        let minimal = TooBig::parse(&v4(1400, 17, &in_udp[..8]), false).unwrap();
        assert_eq!(minimal.spi, None, "a router that quotes eight octets");
    }

    #[test]
    fn other_messages_are_nobodys_business() {
        let esp = [0; 8];
        let mut port_unreachable = v4(0, 50, &esp);
        port_unreachable[21] = 3;
        assert_eq!(TooBig::parse(&port_unreachable, false), None);
        assert_eq!(TooBig::parse(&v4(1400, 6, &esp), false), None);
        assert_eq!(TooBig::parse(&v4(1400, 17, &[0; 8]), false), None, "from another port");
        let mut redirect = v6(1300, 50, &esp);
        redirect[0] = 137;
        assert_eq!(TooBig::parse(&redirect, true), None);
    }

    #[test]
    fn every_truncation_is_refused_or_tells_less() {
        for (whole, ipv6) in [(v4(1400, 50, &[1; 8]), false), (v6(1300, 50, &[1; 8]), true)] {
            for len in 0..whole.len() {
                let told = TooBig::parse(&whole[..len], ipv6);
                assert!(told.is_none_or(|told| told.spi.is_none() || len >= whole.len() - 4), "{len} octets: {told:?}");
            }
        }
    }

    #[test]
    fn a_stranger_cannot_make_packets_tiny() {
        let told = |mtu| TooBig { peer: V4_PEER.into(), spi: None, mtu };
        let believed = [0, 68, 1000, 1400].map(|mtu| [false, true].map(|proven| told(mtu).believable_mtu(proven)));
        assert_eq!(believed, [[1280, 1280], [1280, 576], [1280, 1000], [1400, 1400]]);
    }
}
