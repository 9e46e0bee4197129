//! What stands in front of an IP packet inside ESP on its way to an L2TP client: UDP, L2TP and PPP header, made once for a link.
//!
//! ```text
//! | UDP 1701 -> port, length, checksum | L2TP 4002, length, tunnel, session [Ns, Nr] | FF 03 00 21 or 57 | IP packet
//! ```
//!
//! Per packet only the two lengths, the last octet of the PPP protocol, and a sequence number that few peers ask for are filled in
//! (RFC 3193 section 2, RFC 2661 section 3.1, RFC 1661 section 2). The UDP checksum stays 0 where the outer packet is IPv4: a NAT would
//! make any other one wrong (RFC 3948 section 3.1.2). Over IPv6 it is computed, since zero is not allowed there (RFC 8200 section 8.1).
//!
//! Does not: make control messages. See [`super::plane`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use cygnet_esp::selector::{Selector, SelectorSet};
use cygnet_esp::{packet, udp_transport};
use cygnet_l2tp::data;
use cygnet_ppp::frame::{Head, MAX_HEAD_LEN, Protocol};

use super::checksum::Sum;
use super::gso::never_zero;
use crate::dataplane::Link;

/// UDP, L2TP with sequence numbers, the long form of PPP.
const MAX_LEN: usize = udp_transport::HEADER_LEN + data::SEQUENCED_HEADER_LEN + MAX_HEAD_LEN;

const UDP_LENGTH: usize = 4;
const L2TP_START: usize = udp_transport::HEADER_LEN;
const L2TP_LENGTH: usize = L2TP_START + 2;
const NS: usize = L2TP_START + data::HEADER_LEN;

/// See the module. Belongs to one link; all pairs that carry the link share it.
pub(super) struct LinkHeader {
    pub(super) link: Link,
    octets: [u8; MAX_LEN],
    len: usize,
    /// The next sequence number, where the peer demands them.
    next: AtomicU16,
}

impl LinkHeader {
    pub(super) fn new(link: Link) -> Self {
        let mut octets = [0; MAX_LEN];
        let udp = udp_transport::header(data::PORT, link.port, 0).expect("nothing is short enough");
        let (plain, sequenced);
        let l2tp: &[u8] = if link.sequencing {
            sequenced = data::sequenced_header(link.peer_tunnel, link.peer_session, 0, 0);
            &sequenced
        } else {
            plain = data::header(link.peer_tunnel, link.peer_session, 0);
            &plain
        };
        let head = Head::shortest(Protocol::IPV4, link.short_protocol, link.omit_address_control);
        let mut len = 0;
        for part in [&udp, l2tp, head.as_slice()] {
            octets[len..][..part.len()].copy_from_slice(part);
            len += part.len();
        }
        Self { link, octets, len, next: AtomicU16::new(0) }
    }

    /// The header of the same session under new terms: its sequence goes on.
    pub(super) fn succeeding(link: Link, old: &Self) -> Self {
        let is_same = (link.peer_tunnel, link.peer_session) == (old.link.peer_tunnel, old.link.peer_session);
        let this = Self::new(link);
        this.next.store(if is_same { old.next.load(Relaxed) } else { 0 }, Relaxed);
        this
    }

    /// Octets in front of the inner packet.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Writes the header in front of an inner packet of `inner_len` octets. `next_header` is what a tunnel would say of it: 4 or 41.
    ///
    /// `out` has the length of the header; header and packet together are shorter than 64 KiB.
    pub(super) fn write(&self, out: &mut [u8], inner_len: usize, next_header: u8) {
        out.copy_from_slice(&self.octets[..self.len]);
        let len = |from: usize| {
            let len = self.len + inner_len - from;
            u16::try_from(len).expect("no longer than what fits a datagram").to_be_bytes()
        };
        out[UDP_LENGTH..][..2].copy_from_slice(&len(0));
        out[L2TP_LENGTH..][..2].copy_from_slice(&len(L2TP_START));
        if self.link.sequencing {
            out[NS..][..2].copy_from_slice(&self.next_ns().to_be_bytes());
        }
        let protocol = if next_header == packet::IPV6 { Protocol::IPV6 } else { Protocol::IPV4 };
        let [_, low] = protocol.0.to_be_bytes();
        out[self.len - 1] = low;
    }

    /// The number of the next data message, where the peer demands numbers.
    pub(super) fn next_ns(&self) -> u16 {
        self.next.fetch_add(1, Relaxed)
    }

    /// Which packets go to the peer: those for its leased addresses.
    pub(super) fn selectors(&self) -> SelectorSet {
        let (v4, v6) = (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED);
        let anywhere = [
            Selector::addresses(v4.into(), Ipv4Addr::BROADCAST.into()),
            Selector::addresses(v6.into(), Ipv6Addr::from(u128::MAX).into()),
        ];
        let leased = self.link.addresses.iter().map(|address| Selector::addresses(*address, *address));
        SelectorSet::new(anywhere, leased.collect::<Vec<_>>())
    }
}

/// The sum over the pseudo header of an inner UDP datagram, without its length; `None` over IPv4, where the checksum may be zero.
pub(super) fn pseudo_header(local: IpAddr, peer: IpAddr) -> Option<Sum> {
    local.is_ipv6().then(|| Sum::pseudo_header(local, peer, udp_transport::UDP))
}

/// Fills the checksum of a UDP datagram in.
pub(super) fn write_checksum(pseudo_header: Sum, datagram: &mut [u8]) {
    datagram[6..8].fill(0);
    let checksum = pseudo_header.add_length(datagram.len()).add(datagram).checksum();
    datagram[6..8].copy_from_slice(&never_zero(checksum));
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn link() -> Link {
        Link {
            local_tunnel: 0x1111,
            local_session: 0x2222,
            peer_tunnel: 0x3333,
            peer_session: 0x4444,
            port: 61_701,
            addresses: vec!["10.0.0.1".parse().unwrap(), "fd00:0:10::1".parse().unwrap()],
            short_protocol: false,
            omit_address_control: false,
            sequencing: false,
            mtu: 1400,
        }
    }

    fn header_of(link: Link, inner_len: usize, next_header: u8) -> Vec<u8> {
        let header = LinkHeader::new(link);
        let mut out = vec![0xaa; header.len()];
        header.write(&mut out, inner_len, next_header);
        out
    }

    #[test]
    fn the_long_form_is_what_every_peer_takes() {
        let udp = [0x06, 0xa5, 0xf1, 0x05, 0, 120, 0, 0];
        let l2tp = [0x40, 0x02, 0, 112, 0x33, 0x33, 0x44, 0x44];
        assert_eq!(header_of(link(), 100, 4), [&udp[..], &l2tp, &[0xff, 0x03, 0, 0x21]].concat());
        assert_eq!(header_of(link(), 100, 41)[16..], [0xff, 0x03, 0, 0x57]);
    }

    #[test]
    fn fields_that_the_peer_can_do_without_are_left_out() {
        let with = |short_protocol, omit_address_control| {
            let link = Link { short_protocol, omit_address_control, ..link() };
            let (v4, v6) = (header_of(link.clone(), 100, 4), header_of(link, 100, 41));
            assert_eq!(usize::from(v4[5]), v4.len() + 100);
            assert_eq!(usize::from(v4[11]), v4.len() + 92);
            (v4[16..].to_vec(), v6[16..].to_vec())
        };
        assert_eq!(with(true, true), (vec![0x21], vec![0x57]));
        assert_eq!(with(false, true), (vec![0, 0x21], vec![0, 0x57]));
        assert_eq!(with(true, false), (vec![0xff, 0x03, 0x21], vec![0xff, 0x03, 0x57]));
    }

    #[test]
    fn a_peer_that_demands_sequence_numbers_gets_them_across_a_change_of_terms() {
        let header = LinkHeader::new(Link { sequencing: true, ..link() });
        let mut out = vec![0; header.len()];
        for ns in 0..3 {
            header.write(&mut out, 100, 4);
            assert_eq!(out[8..10], [0x48, 0x02]);
            assert_eq!(out[10..12], [0, 116]);
            assert_eq!(out[16..20], [0, ns, 0, 0]);
            assert_eq!(out[20..], [0xff, 0x03, 0, 0x21]);
        }
        let next = LinkHeader::succeeding(Link { mtu: 1000, sequencing: true, ..link() }, &header);
        next.write(&mut out, 100, 4);
        assert_eq!(out[16..20], [0, 3, 0, 0]);
        let other = LinkHeader::succeeding(Link { peer_session: 9, sequencing: true, ..link() }, &header);
        other.write(&mut out, 100, 4);
        assert_eq!(out[16..20], [0, 0, 0, 0]);
    }

    #[test]
    fn what_it_writes_is_what_the_receiving_side_reads() {
        let inner = [0x45; 60];
        for sequencing in [false, true] {
            let mut datagram = header_of(Link { sequencing, ..link() }, inner.len(), 4);
            datagram.extend(inner);
            let udp = udp_transport::parse(17, &datagram).unwrap();
            assert_eq!((udp.source, udp.destination), (1701, 61_701));
            let payload = &datagram[udp.payload];
            let (header, frame) = data::parse(payload).unwrap();
            assert_eq!((header.tunnel, header.session, header.ns.is_some()), (0x3333, 0x4444, sequencing));
            let (protocol, offset) = cygnet_ppp::frame::parse(&payload[frame.clone()]).unwrap();
            assert_eq!((protocol, &payload[frame][offset..]), (Protocol::IPV4, &inner[..]));
        }
    }

    #[test]
    fn the_checksum_is_zero_over_ipv4_and_right_over_ipv6() {
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        assert!(pseudo_header(address("192.0.2.1"), address("198.51.100.7")).is_none());
        let (local, peer) = (address("2001:db8::1"), address("2001:db8::7"));
        let mut datagram = header_of(link(), 33, 4);
        datagram.extend([7; 33]);
        write_checksum(pseudo_header(local, peer).unwrap(), &mut datagram);
        let sum = Sum::pseudo_header(local, peer, 17).add_length(datagram.len()).add(&datagram);
        assert!(sum.is_valid() && datagram[6..8] != [0, 0]);
    }
}
