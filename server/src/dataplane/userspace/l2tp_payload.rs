//! What an authentic packet of an L2TP pair holds, RFC 3193: an IP packet of the linked session, which goes on to the TUN, or something
//! that the control plane has to see.
//!
//! ```text
//! UDP to 1701? -> control message, or no link yet -> control plane
//!      v
//! session of the link? -> PPP protocol: IP? -> of a leased address? -> packet
//!                              | no                 | said to the gateway itself (DHCP, router solicitation)
//!                              '-> control plane <--'
//! ```
//!
//! Which session a datagram belongs to is decided by the SA pair that it came by, never by an address: clients behind one NAT may be
//! equal in everything else.

use std::ops::Range;
use std::time::Duration;

use cygnet_esp::{DropReason, inner, packet, udp_transport};
use cygnet_l2tp::data;
use cygnet_ppp::frame::{self, Protocol};

use crate::dataplane::Link;

const UDP: u8 = 17;
const ICMPV6: u8 = 58;
/// Ports of DHCP servers, RFC 2131 section 4.1 and RFC 8415 section 7.2.
const DHCP: u16 = 67;
const DHCPV6: u16 = 547;

/// What to do with a datagram. Ranges are of the plaintext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// Forward this IP packet.
    Packet(Range<usize>),
    /// Show this UDP payload to the control plane.
    Control {
        /// The peer's inner port.
        port: u16,
        /// The payload.
        datagram: Range<usize>,
    },
}

/// Tells what is in `plaintext`, which an ESP packet with this `next_header` held.
pub(super) fn sort(link: Option<&Link>, next_header: u8, plaintext: &[u8]) -> Result<Payload, DropReason> {
    let udp = udp_transport::parse(next_header, plaintext)?;
    if udp.destination != data::PORT {
        return Err(DropReason::Selector);
    }
    let datagram = &plaintext[udp.payload.clone()];
    let control = Payload::Control { port: udp.source, datagram: udp.payload.clone() };
    let Some(link) = link.filter(|_| !data::is_control(datagram)) else { return Ok(control) };
    let (header, at) = data::parse(datagram).map_err(|_| DropReason::LinkHeader)?;
    if (header.tunnel, header.session) != (link.local_tunnel, link.local_session) {
        return Err(DropReason::Session);
    }
    let (protocol, offset) = frame::parse(&datagram[at.clone()]).map_err(|_| DropReason::LinkHeader)?;
    let expected = match protocol {
        Protocol::IPV4 => packet::IPV4,
        Protocol::IPV6 => packet::IPV6,
        _ => return Ok(control),
    };
    let start = udp.payload.start + at.start + offset;
    let rest = &plaintext[start..udp.payload.start + at.end];
    let len = inner::tunnel_payload(expected, rest)?;
    let (source, _) = inner::addresses(rest)?;
    match link.addresses.contains(&source) {
        _ if is_for_the_gateway(&rest[..len]) => Ok(control),
        true => Ok(Payload::Packet(start..start + len)),
        false => Err(DropReason::Selector),
    }
}

/// Whether a client says this to its link rather than through it: DHCPINFORM, router and neighbour solicitation, DHCPv6.
fn is_for_the_gateway(packet: &[u8]) -> bool {
    if packet[0] >> 4 == 4 {
        return packet[16..20] == [255; 4] && talks_to(packet, DHCP);
    }
    let (source, destination) = (&packet[8..24], &packet[24..40]);
    let is_link_local = |address: &[u8]| address[0] == 0xfe && address[1] & 0xc0 == 0x80;
    let is_local = destination[0] == 0xff || is_link_local(destination) || is_link_local(source);
    is_local && (packet[6] == ICMPV6 || talks_to(packet, DHCPV6))
}

fn talks_to(packet: &[u8], port: u16) -> bool {
    let Ok(layer) = inner::next_layer(packet) else { return false };
    let destination = layer.header.and_then(|header| header.get(2..4));
    layer.protocol == UDP && destination == Some(&port.to_be_bytes())
}

/// Bounds what one client can make the control plane look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left: u32,
    refilled: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: Self::BURST, refilled: Duration::ZERO }
    }
}

impl Budget {
    /// Datagrams at once: the login takes about 20, an L2TP window has at most a few.
    const BURST: u32 = 64;

    /// Datagrams per second in the long run.
    const RATE: u32 = 64;

    /// Whether one more may pass at this time.
    pub(super) fn take(&mut self, at: Duration) -> bool {
        let since = at.saturating_sub(self.refilled);
        let more = u32::try_from(since.as_millis() * u128::from(Self::RATE) / 1000).unwrap_or(u32::MAX);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(Self::BURST);
            self.refilled = at;
        }
        let passes = self.left > 0;
        self.left = self.left.saturating_sub(1);
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::super::link_header::tests::link;
    use super::super::testing::Segment;
    use super::*;

    /// A PPP frame in a data message of session 1111/2222.
    fn message(flags: u16, fields: &[u8], frame: &[u8]) -> Vec<u8> {
        let ids = [0x11, 0x11, 0x22, 0x22];
        let length = if flags & 0x4000 == 0 {
            Vec::new()
        } else {
            let len = 8 + fields.len() + frame.len();
            u16::try_from(len).unwrap().to_be_bytes().to_vec()
        };
        [&flags.to_be_bytes()[..], &length, &ids, fields, frame].concat()
    }

    fn datagram(port: u16, payload: &[u8]) -> Vec<u8> {
        let header = udp_transport::header(61_701, port, payload.len()).unwrap();
        [&header[..], payload].concat()
    }

    fn sorted(payload: &[u8]) -> Result<Payload, DropReason> {
        sort(Some(&link()), 17, &datagram(1701, payload))
    }

    fn control(payload: &[u8]) -> Result<Payload, DropReason> {
        Ok(Payload::Control { port: 61_701, datagram: 8..8 + payload.len() })
    }

    /// From the leased address.
    fn packet() -> Vec<u8> {
        from_to([10, 0, 0, 1], [10, 20, 0, 9], [68, 53])
    }

    fn from_to(source: [u8; 4], destination: [u8; 4], ports: [u16; 2]) -> Vec<u8> {
        let mut packet = Segment { ports, ..Segment::udp(b"hello") }.emit();
        packet[12..16].copy_from_slice(&source);
        packet[16..20].copy_from_slice(&destination);
        packet
    }

    fn from_to6(source: &str, destination: &str, ports: [u16; 2]) -> Vec<u8> {
        let mut packet = Segment { ipv6: true, ports, ..Segment::udp(b"hello") }.emit();
        packet[8..24].copy_from_slice(&source.parse::<std::net::Ipv6Addr>().unwrap().octets());
        packet[24..40].copy_from_slice(&destination.parse::<std::net::Ipv6Addr>().unwrap().octets());
        packet
    }

    fn framed(packet: &[u8]) -> Vec<u8> {
        let protocol = if packet[0] >> 4 == 4 { 0x21 } else { 0x57 };
        message(0x4002, &[], &[&[0xff, 0x03, 0, protocol], packet].concat())
    }

    #[test]
    fn finds_the_packet_in_every_form_of_data_message_and_frame() {
        let packet = packet();
        let sequence = [0, 5, 0, 0];
        let offset = [0, 3, 9, 9, 9];
        let both = [&sequence[..], &offset].concat();
        for (flags, fields) in [
            (0x0002, &[][..]),
            (0x4002, &[]),
            (0x0802, &sequence),
            (0x4802, &sequence),
            (0x0202, &offset),
            (0x4a02, &both),
        ] {
            for head in [&[0xff, 0x03, 0, 0x21][..], &[0xff, 0x03, 0x21], &[0, 0x21], &[0x21]] {
                let payload = message(flags, fields, &[head, &packet].concat());
                let start = 8 + payload.len() - packet.len();
                assert_eq!(
                    sorted(&payload),
                    Ok(Payload::Packet(start..start + packet.len())),
                    "{flags:04x} {head:02x?}"
                );
            }
        }
    }

    #[test]
    fn whatever_is_behind_the_packet_is_cut_off() {
        let packet = packet();
        let payload = [framed(&packet), vec![0; 30]].concat();
        assert_eq!(sorted(&payload), Ok(Payload::Packet(20..20 + packet.len())));
        let padded = message(0x0002, &[], &[&[0x21][..], &packet, &[0; 9]].concat());
        assert_eq!(sorted(&padded), Ok(Payload::Packet(15..15 + packet.len())));
    }

    #[test]
    fn control_messages_and_other_protocols_go_to_the_control_plane() {
        let sccrq = [0xc8, 0x02, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 8, 0, 0, 0, 0, 0, 1];
        assert_eq!(sorted(&sccrq), control(&sccrq));
        for frame in
            [&[0xff, 0x03, 0xc0, 0x21, 9, 1, 0, 8][..], &[0x80, 0xfd, 1, 1, 0, 4], &[0xff, 0x03, 0x82, 0x35, 1]]
        {
            let payload = message(0x4002, &[], frame);
            assert_eq!(sorted(&payload), control(&payload));
        }
        let unlinked = framed(&packet());
        assert_eq!(sort(None, 17, &datagram(1701, &unlinked)), control(&unlinked));
    }

    #[test]
    fn what_a_client_says_to_its_link_goes_to_the_control_plane() {
        for packet in [
            from_to([10, 0, 0, 1], [255; 4], [68, 67]),
            from_to([0; 4], [255; 4], [68, 67]),
            from_to6("fe80::1", "ff02::1:2", [546, 547]),
        ] {
            assert_eq!(sorted(&framed(&packet)), control(&framed(&packet)));
        }
        let mut solicitation = from_to6("fe80::1", "ff02::2", [0, 0]);
        solicitation[6] = 58;
        assert_eq!(sorted(&framed(&solicitation)), control(&framed(&solicitation)));
        let other = from_to6("fe80::1", "ff02::fb", [5353, 5353]);
        assert_eq!(sorted(&framed(&other)), Err(DropReason::Selector));
        let broadcast = from_to([10, 0, 0, 1], [255; 4], [137, 137]);
        assert!(matches!(sorted(&framed(&broadcast)), Ok(Payload::Packet(_))));
    }

    #[test]
    fn only_leased_addresses_of_the_linked_session_pass() {
        assert_eq!(sorted(&framed(&from_to([10, 0, 0, 2], [10, 20, 0, 9], [1, 2]))), Err(DropReason::Selector));
        let leased6 = from_to6("fd00:0:10::1", "2001:db8::1", [1, 2]);
        assert!(matches!(sorted(&framed(&leased6)), Ok(Payload::Packet(_))));
        let stranger6 = from_to6("fd00:0:10::2", "2001:db8::1", [1, 2]);
        assert_eq!(sorted(&framed(&stranger6)), Err(DropReason::Selector));
        for at in [5, 7] {
            let mut other = framed(&packet());
            other[at] ^= 1;
            assert_eq!(sorted(&other), Err(DropReason::Session));
        }
    }

    #[test]
    fn malformed_datagrams_are_dropped_at_every_truncation() {
        let whole = framed(&packet());
        for len in 0..whole.len() {
            assert!(sorted(&whole[..len]).is_err(), "{len} octets");
        }
        let mut odd = framed(&packet());
        odd[11] = 0x20;
        assert_eq!(sorted(&odd), Err(DropReason::LinkHeader));
        let six_in_four = message(0x4002, &[], &[&[0x57][..], &packet()].concat());
        assert_eq!(sorted(&six_in_four), Err(DropReason::Inner));
        assert_eq!(sort(Some(&link()), 17, &datagram(1702, &whole)), Err(DropReason::Selector));
        assert_eq!(sort(Some(&link()), 4, &packet()), Err(DropReason::NextHeader));
    }

    #[test]
    fn the_budget_of_a_client_is_refilled_over_time() {
        let mut budget = Budget::default();
        let count =
            |budget: &mut Budget, seconds| (0..1000).filter(|_| budget.take(Duration::from_secs(seconds))).count();
        assert_eq!(count(&mut budget, 0), 64);
        assert_eq!(count(&mut budget, 1), 64);
        assert_eq!(count(&mut budget, 1), 0);
        assert_eq!(count(&mut budget, 100), 64);
        let one_by_one =
            (0..100).filter(|n| budget.take(Duration::from_secs(200) + Duration::from_millis(n * 20))).count();
        assert_eq!(one_by_one, 100);
    }
}
