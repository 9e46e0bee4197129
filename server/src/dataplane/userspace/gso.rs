//! Finishing what the kernel left undone: cuts super-packets from the TUN device into segments, each written straight to
//! where it will be sealed, and completes checksums.
//!
//! Does not: seal, or coalesce (see [`super::gro`]).

use cygnet_esp::{DropReason, inner};

use super::checksum::Sum;
use super::virtio::{Gso, Header};

const IPV4_HEADER_LEN: usize = 20;
const IPV6_HEADER_LEN: usize = 40;
const TCP_HEADER_LEN: usize = 20;
const UDP_HEADER_LEN: usize = 8;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Flags that only the last segment may carry: FIN and PSH.
const LAST_ONLY: u8 = 0x09;
/// The flag that only the first segment may carry: CWR.
const FIRST_ONLY: u8 = 0x80;

/// Completes the checksum of a packet that is no super-packet.
///
/// [`DropReason::Inner`] if the field lies outside.
pub(super) fn complete_checksum(header: &Header, packet: &mut [u8]) -> Result<(), DropReason> {
    let Some(partial) = header.checksum else { return Ok(()) };
    let covered = packet.get_mut(usize::from(partial.start)..).ok_or(DropReason::Inner)?;
    // The field holds the sum of the pseudo header: it is part of what is summed.
    let checksum = Sum::default().add(covered).checksum();
    let field = covered.get_mut(usize::from(partial.offset)..).and_then(|rest| rest.first_chunk_mut());
    *field.ok_or(DropReason::Inner)? = never_zero(checksum);
    Ok(())
}

/// A packet to be cut.
#[derive(Debug)]
pub(super) struct SuperPacket<'a> {
    /// IP and transport header.
    headers: &'a [u8],
    payload: &'a [u8],
    /// Where the transport header starts.
    transport: usize,
    segment_len: usize,
    protocol: u8,
    ipv6: bool,
    /// Sum of addresses and protocol.
    pseudo_header: Sum,
}

impl<'a> SuperPacket<'a> {
    /// Checks that `packet` is what `header` says; [`DropReason::Inner`] if not.
    pub(super) fn parse(header: &Header, packet: &'a [u8]) -> Result<Self, DropReason> {
        let ipv6 = inner::next_header(packet)? == cygnet_esp::packet::IPV6;
        let protocol = match (header.gso, ipv6) {
            (Gso::Tcp4, false) | (Gso::Tcp6, true) => TCP,
            (Gso::Udp, _) => UDP,
            (Gso::None | Gso::Tcp4 | Gso::Tcp6, _) => return Err(DropReason::Inner),
        };
        let transport = usize::from(header.checksum.ok_or(DropReason::Inner)?.start);
        let ip_header_len = if ipv6 { IPV6_HEADER_LEN } else { ipv4_header_len(packet)? };
        let headers_len = transport + transport_header_len(packet, transport, protocol)?;
        let (headers, payload) = packet.split_at_checked(headers_len).ok_or(DropReason::Inner)?;
        let segment_len = usize::from(header.segment_len);
        if transport < ip_header_len || segment_len == 0 || payload.is_empty() {
            return Err(DropReason::Inner);
        }
        let (source, destination) = inner::addresses(packet)?;
        let pseudo_header = Sum::pseudo_header(source, destination, protocol);
        Ok(Self { headers, payload, transport, segment_len, protocol, ipv6, pseudo_header })
    }

    /// Lengths of the segments with their headers, in order.
    pub(super) fn segment_lengths(&self) -> impl Iterator<Item = usize> {
        self.payload.chunks(self.segment_len).map(|payload| self.headers.len() + payload.len())
    }

    /// Writes segment number `index` to `out`, which has its length.
    pub(super) fn write_segment(&self, index: usize, out: &mut [u8]) {
        let start = index * self.segment_len;
        let end = (start + self.segment_len).min(self.payload.len());
        let (headers, payload) = out.split_at_mut(self.headers.len());
        headers.copy_from_slice(self.headers);
        payload.copy_from_slice(&self.payload[start..end]);
        self.adapt_ip(index, out);
        self.adapt_transport(start, end, &mut out[self.transport..]);
    }

    fn adapt_ip(&self, index: usize, packet: &mut [u8]) {
        let len = packet.len();
        if self.ipv6 {
            packet[4..6].copy_from_slice(&low_half(len - IPV6_HEADER_LEN).to_be_bytes());
            return;
        }
        packet[2..4].copy_from_slice(&low_half(len).to_be_bytes());
        // RFC 6864: the field counts up, as if the kernel had sent the segments itself.
        let first = u16::from_be_bytes([packet[4], packet[5]]);
        packet[4..6].copy_from_slice(&first.wrapping_add(low_half(index)).to_be_bytes());
        let header_len = usize::from(packet[0] & 0x0f) * 4;
        write_ipv4_checksum(&mut packet[..header_len]);
    }

    fn adapt_transport(&self, start: usize, end: usize, segment: &mut [u8]) {
        let field = if self.protocol == TCP {
            let first = u32::from_be_bytes([segment[4], segment[5], segment[6], segment[7]]);
            let offset = u32::try_from(start).expect("a super-packet has at most 64 KiB");
            segment[4..8].copy_from_slice(&first.wrapping_add(offset).to_be_bytes());
            if end < self.payload.len() {
                segment[13] &= !LAST_ONLY;
            }
            if start > 0 {
                segment[13] &= !FIRST_ONLY;
            }
            16
        } else {
            let len = segment.len();
            segment[4..6].copy_from_slice(&low_half(len).to_be_bytes());
            6
        };
        segment[field..field + 2].fill(0);
        let checksum = self.pseudo_header.add_length(segment.len()).add(segment).checksum();
        segment[field..field + 2].copy_from_slice(&never_zero(checksum));
    }
}

/// Computes the checksum of an IPv4 header in place.
pub(super) fn write_ipv4_checksum(header: &mut [u8]) {
    header[10..12].fill(0);
    let checksum = Sum::default().add(header).checksum();
    header[10..12].copy_from_slice(&checksum);
}

/// Zero means "no checksum" to UDP (RFC 768); the other form of zero is as good for everybody.
pub(super) fn never_zero(checksum: [u8; 2]) -> [u8; 2] {
    if checksum == [0, 0] { [0xff, 0xff] } else { checksum }
}

fn ipv4_header_len(packet: &[u8]) -> Result<usize, DropReason> {
    let len = usize::from(packet.first().ok_or(DropReason::Inner)? & 0x0f) * 4;
    if len < IPV4_HEADER_LEN { Err(DropReason::Inner) } else { Ok(len) }
}

fn transport_header_len(packet: &[u8], transport: usize, protocol: u8) -> Result<usize, DropReason> {
    if protocol == UDP {
        return Ok(UDP_HEADER_LEN);
    }
    let len = usize::from(packet.get(transport + 12).ok_or(DropReason::Inner)? >> 4) * 4;
    if len < TCP_HEADER_LEN { Err(DropReason::Inner) } else { Ok(len) }
}

/// Lower 16 bits: lengths of IP packets fit.
fn low_half(value: usize) -> u16 {
    let [a, b, ..] = value.to_le_bytes();
    u16::from_le_bytes([a, b])
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Segment, assert_checksums};
    use super::super::virtio::PartialChecksum;
    use super::*;

    fn cut(header: &Header, packet: &[u8]) -> Vec<Vec<u8>> {
        let whole = SuperPacket::parse(header, packet).unwrap();
        let write = |(index, len)| {
            let mut out = vec![0xaa; len];
            whole.write_segment(index, &mut out);
            out
        };
        whole.segment_lengths().enumerate().map(write).collect()
    }

    fn gso_header(kind: Gso, segment: &Segment, segment_len: u16) -> Header {
        let start = if segment.ipv6 { 40 } else { 20 };
        let offset = if kind == Gso::Udp { 6 } else { 16 };
        Header { checksum: Some(PartialChecksum { start, offset }), gso: kind, header_len: 0, segment_len }
    }

    #[test]
    fn tcp_segments_are_what_the_sender_would_have_sent() {
        for ipv6 in [false, true] {
            let payload: Vec<u8> = (0..=255).cycle().take(3000).collect();
            let whole =
                Segment { ipv6, flags: 0x99, sequence: u32::MAX - 500, ident: 0xffff, ..Segment::tcp(&payload) };
            let kind = if ipv6 { Gso::Tcp6 } else { Gso::Tcp4 };
            let cut = cut(&gso_header(kind, &whole, 1300), &whole.emit());
            let expected =
                [(0..1300, 0x90, 0), (1300..2600, 0x10, 1), (2600..3000, 0x19, 2)].map(|(range, flags, n)| {
                    Segment {
                        payload: payload[range.clone()].to_vec(),
                        sequence: whole.sequence.wrapping_add(u32::try_from(range.start).unwrap()),
                        ident: whole.ident.wrapping_add(n),
                        flags,
                        ..whole.clone()
                    }
                    .emit()
                });
            assert_eq!(cut, expected);
        }
    }

    #[test]
    fn udp_segments_have_lengths_and_checksums_of_their_own() {
        for ipv6 in [false, true] {
            let whole = Segment { ipv6, ..Segment::udp(&[0x5a; 1001]) };
            let cut = cut(&gso_header(Gso::Udp, &whole, 400), &whole.emit());
            let lengths: Vec<usize> = cut.iter().map(|p| p.len() - if ipv6 { 48 } else { 28 }).collect();
            assert_eq!(lengths, [400, 400, 201]);
            for (index, packet) in cut.iter().enumerate() {
                assert_checksums(packet);
                let ident = if ipv6 { 0 } else { u16::try_from(index).unwrap() };
                let payload = packet[packet.len() - lengths[index]..].to_vec();
                assert_eq!(*packet, Segment { payload, ident, ..whole.clone() }.emit());
            }
        }
    }

    #[test]
    fn a_lone_packet_gets_its_checksum() {
        for segment in [Segment::tcp(b"odd length!"), Segment { ipv6: true, ..Segment::udp(b"even") }] {
            let finished = segment.emit();
            let transport = if segment.ipv6 { 40 } else { 20 };
            let field = transport + if segment.is_tcp { 16 } else { 6 };
            let mut packet = finished.clone();
            let (source, destination) = inner::addresses(&packet).unwrap();
            let protocol = if segment.is_tcp { TCP } else { UDP };
            let pseudo = Sum::pseudo_header(source, destination, protocol).add_length(packet.len() - transport);
            packet[field..field + 2].copy_from_slice(&pseudo.partial());
            let partial = PartialChecksum { start: low_half(transport), offset: low_half(field - transport) };
            complete_checksum(&Header { checksum: Some(partial), ..Header::PLAIN }, &mut packet).unwrap();
            assert_eq!(packet, finished);
        }
    }

    #[test]
    fn a_header_that_does_not_fit_its_packet_is_refused() {
        let whole = Segment::tcp(&[1; 100]);
        let packet = whole.emit();
        let good = gso_header(Gso::Tcp4, &whole, 50);
        let refused = |header: Header, packet: &[u8]| SuperPacket::parse(&header, packet).err();
        assert_eq!(refused(good, &packet), None);
        for bad in [
            Header { gso: Gso::Tcp6, ..good },
            Header { gso: Gso::None, ..good },
            Header { segment_len: 0, ..good },
            Header { checksum: None, ..good },
            Header { checksum: Some(PartialChecksum { start: 10, offset: 16 }), ..good },
            Header { checksum: Some(PartialChecksum { start: 60_000, offset: 16 }), ..good },
        ] {
            assert_eq!(refused(bad, &packet), Some(DropReason::Inner), "{bad:?}");
        }
        for len in 0..=40 {
            assert_eq!(refused(good, &packet[..len]), Some(DropReason::Inner), "{len} octets");
        }
        let outside = Header { checksum: Some(PartialChecksum { start: 20, offset: 131 }), ..Header::PLAIN };
        assert_eq!(complete_checksum(&outside, &mut packet.clone()), Err(DropReason::Inner));
        let beyond = Header { checksum: Some(PartialChecksum { start: 500, offset: 0 }), ..Header::PLAIN };
        assert_eq!(complete_checksum(&beyond, &mut packet.clone()), Err(DropReason::Inner));
    }
}
