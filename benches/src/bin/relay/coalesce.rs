//! Puts the TCP segments of a flow together again, so that one TUN write passes many to the kernel.
//!
//! Payload is not copied: a super-packet is written from where its segments lie. Segments that are not plain data of a
//! known flow (flags other than ACK and PSH, IP options, fragments, a wrong checksum) go through as they are.

use std::fs::File;
use std::io::{IoSlice, Write};

use crate::checksum;
use crate::sys::{GsoType, VNET_HEADER_LEN, VnetHeader};

/// Flows that are put together at the same time; the oldest one makes room for another.
const MAX_FLOWS: usize = 16;

/// Most octets of payload in a super-packet, which with its headers must stay below 65,536.
const MAX_PAYLOAD_LEN: usize = 65_000;

/// Most parts of one write, half of IOV_MAX.
const MAX_PARTS: usize = 512;

const IP_LEN: usize = 20;
const ACK: u8 = 0x10;
const PSH: u8 = 0x08;

/// The flows of one batch of packets.
pub(crate) struct Coalescer<'a> {
    tun: &'a File,
    flows: Vec<Flow<'a>>,
}

/// A first segment with all its headers, and the payload of those that follow.
struct Flow<'a> {
    first: &'a mut [u8],
    headers_len: usize,
    segment_len: usize,
    payload_len: usize,
    next_sequence: u32,
    is_closed: bool,
    others: Vec<&'a [u8]>,
}

/// What is read from a segment that may join others.
struct Segment {
    headers_len: usize,
    sequence: u32,
    is_pushed: bool,
}

impl<'a> Coalescer<'a> {
    pub(crate) fn new(tun: &'a File) -> Self {
        Self { tun, flows: Vec::new() }
    }

    /// Takes the next packet. Order within a flow is kept.
    pub(crate) fn push(&mut self, packet: &'a mut [u8]) {
        let segment = Segment::parse(packet);
        if let Some(at) = self.flows.iter().position(|flow| flow.is_of(packet)) {
            match &segment {
                Some(segment) if self.flows[at].takes(segment, packet) => {
                    return self.flows[at].append(segment, packet);
                }
                _ => self.flows.remove(at).write(self.tun),
            }
        }
        let Some(segment) = segment else { return write(self.tun, &VnetHeader::NONE, packet, &[]) };
        if self.flows.len() == MAX_FLOWS {
            self.flows.remove(0).write(self.tun);
        }
        self.flows.push(Flow::new(&segment, packet));
    }

    /// Writes all flows.
    pub(crate) fn flush(&mut self) {
        for flow in self.flows.drain(..) {
            flow.write(self.tun);
        }
    }
}

impl Segment {
    /// `None` if the packet has to travel alone.
    fn parse(packet: &[u8]) -> Option<Self> {
        let is_whole = packet.len() > IP_LEN + 20 && packet[0] == 0x45 && be16(packet, 2) == packet.len();
        if !is_whole || packet[9] != 6 || packet[6] & 0x3f != 0 || packet[7] != 0 {
            return None;
        }
        let headers_len = IP_LEN + usize::from(packet[IP_LEN + 12] >> 4) * 4;
        let flags = packet[IP_LEN + 13];
        if headers_len < IP_LEN + 20 || packet.len() <= headers_len || flags & !PSH != ACK {
            return None;
        }
        let pseudo = checksum::pseudo_header(packet, packet.len() - IP_LEN);
        if checksum::fold(checksum::add(pseudo, &packet[IP_LEN..])) != 0xffff {
            return None;
        }
        Some(Self { headers_len, sequence: be32(packet, IP_LEN + 4), is_pushed: flags & PSH != 0 })
    }
}

impl<'a> Flow<'a> {
    fn new(segment: &Segment, packet: &'a mut [u8]) -> Self {
        let payload_len = packet.len() - segment.headers_len;
        Self {
            headers_len: segment.headers_len,
            segment_len: payload_len,
            payload_len,
            next_sequence: segment.sequence.wrapping_add(payload_len as u32),
            is_closed: segment.is_pushed,
            others: Vec::new(),
            first: packet,
        }
    }

    /// Same addresses and ports.
    fn is_of(&self, packet: &[u8]) -> bool {
        packet.len() >= 24 && packet[0] == 0x45 && packet[9] == 6 && self.first[12..24] == packet[12..24]
    }

    fn takes(&self, segment: &Segment, packet: &[u8]) -> bool {
        let payload_len = packet.len() - segment.headers_len;
        let fits = payload_len <= self.segment_len && self.payload_len + payload_len <= MAX_PAYLOAD_LEN;
        let follows = segment.sequence == self.next_sequence && segment.headers_len == self.headers_len;
        let same = |from, to| self.first[from..to] == packet[from..to];
        // type of service, TTL, acknowledgement and window, TCP options
        let alike = same(1, 2) && same(8, 9) && same(28, 32) && same(34, 36) && same(40, self.headers_len.max(40));
        !self.is_closed && self.others.len() + 3 < MAX_PARTS && fits && follows && alike
    }

    fn append(&mut self, segment: &Segment, packet: &'a [u8]) {
        let payload = &packet[segment.headers_len..];
        self.payload_len += payload.len();
        self.next_sequence = self.next_sequence.wrapping_add(payload.len() as u32);
        self.is_closed = segment.is_pushed || payload.len() < self.segment_len;
        if segment.is_pushed {
            self.first[IP_LEN + 13] |= PSH;
        }
        self.others.push(payload);
    }

    fn write(self, tun: &File) {
        if self.others.is_empty() {
            return write(tun, &VnetHeader::NONE, self.first, &[]);
        }
        let total = self.headers_len + self.payload_len;
        self.first[2..4].copy_from_slice(&(total as u16).to_be_bytes());
        checksum::set_ipv4(self.first, IP_LEN);
        let pseudo = checksum::fold(checksum::pseudo_header(self.first, total - IP_LEN));
        self.first[IP_LEN + 16..IP_LEN + 18].copy_from_slice(&pseudo.to_ne_bytes());
        let header = VnetHeader {
            needs_checksum: true,
            gso_type: GsoType::TcpV4,
            headers_len: self.headers_len,
            gso_size: self.segment_len,
            checksum_start: IP_LEN,
            checksum_offset: 16,
        };
        write(tun, &header, self.first, &self.others);
    }
}

/// One packet or super-packet. What the kernel does not take is lost, as on a wire.
fn write(mut tun: &File, header: &VnetHeader, first: &[u8], others: &[&[u8]]) {
    let header: [u8; VNET_HEADER_LEN] = header.emit();
    let mut parts = Vec::with_capacity(2 + others.len());
    parts.extend([IoSlice::new(&header), IoSlice::new(first)]);
    parts.extend(others.iter().map(|part| IoSlice::new(part)));
    if let Err(error) = tun.write_vectored(&parts) {
        // EIO: the device is down; EAGAIN: its queue is full
        if !matches!(error.raw_os_error(), Some(libc::EIO | libc::EAGAIN)) {
            eprintln!("relay: write to the TUN device: {error}");
        }
    }
}

fn be16(octets: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([octets[at], octets[at + 1]]))
}

fn be32(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::segment;

    /// A TCP segment of one flow.
    fn packet(sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x10, 0, 0x20, 0];
        packet.extend(sequence.to_be_bytes());
        packet.extend([0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0]);
        packet.extend(payload);
        segment::set_length_and_checksums(&mut packet, IP_LEN);
        packet
    }

    /// What is written for these packets, one after the other.
    fn written(mut packets: Vec<Vec<u8>>) -> Vec<u8> {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let file = File::from(OwnedFd::from(writer));
        let mut coalescer = Coalescer::new(&file);
        packets.iter_mut().for_each(|packet| coalescer.push(packet));
        coalescer.flush();
        drop(coalescer);
        drop(file);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        all
    }

    fn alone(packet: &[u8]) -> Vec<u8> {
        [&[0; VNET_HEADER_LEN], packet].concat()
    }

    #[test]
    fn segments_in_order_become_one_super_packet() {
        let all =
            written(vec![packet(100, ACK, &[1; 50]), packet(150, ACK, &[2; 50]), packet(200, ACK | PSH, &[3; 20])]);
        let header = VnetHeader::parse(&all);
        assert!(header.needs_checksum && matches!(header.gso_type, GsoType::TcpV4));
        assert_eq!((header.headers_len, header.gso_size), (40, 50));
        assert_eq!((header.checksum_start, header.checksum_offset), (20, 16));
        let whole = &all[VNET_HEADER_LEN..];
        assert_eq!((whole.len(), be16(whole, 2), be32(whole, 24), whole[33]), (160, 160, 100, ACK | PSH));
        assert_eq!(checksum::fold(checksum::add(0, &whole[..IP_LEN])), 0xffff);
        assert_eq!(whole[40..], [[1; 50].as_slice(), &[2; 50], &[3; 20]].concat());
    }

    #[test]
    fn segments_that_do_not_belong_together_stay_alone_and_in_order() {
        let first = packet(100, ACK, &[1; 50]);
        let mut damaged = packet(150, ACK, &[2; 50]);
        damaged[60] ^= 1;
        let next_after_pushed = [packet(100, ACK | PSH, &[1; 50]), packet(150, ACK, &[2; 50])];
        let cases = [
            [first.clone(), packet(151, ACK, &[2; 50])],        // a gap
            [first.clone(), packet(150, ACK, &[2; 51])],        // longer than the first
            [first.clone(), packet(150, ACK | 0x01, &[2; 50])], // FIN
            [first.clone(), packet(150, ACK, &[])],             // no payload
            [first, damaged],
            next_after_pushed,
        ];
        for packets in cases {
            let expected = packets.iter().flat_map(|packet| alone(packet)).collect::<Vec<_>>();
            assert_eq!(written(packets.to_vec()), expected);
        }
    }
}
