//! From a super-packet of the TUN device to sealed datagrams, and these in runs of equal length to the socket.
//!
//! IPv4 only: other super-packets are dropped.

use std::net::UdpSocket;

use crate::checksum;
use crate::seal::{HEADER_LEN, OVERHEAD, Sealer};
use crate::sys::{self, GsoType, VNET_HEADER_LEN, VnetHeader};

/// Most datagrams in one UDP_SEGMENT send (UDP_MAX_SEGMENTS of Linux before 6.9).
const MAX_SEGMENTS: usize = 64;

/// Most octets in one send, below the 65,507 of a UDP datagram.
const MAX_RUN_LEN: usize = 65_000;

/// Flags of the TCP header that only the last segment keeps: FIN and PSH.
const LAST_SEGMENT_FLAGS: u8 = 0x01 | 0x08;

/// Datagrams of equal length, the last may be shorter, that wait to be sent in one call.
pub(crate) struct Datagrams<'a> {
    socket: &'a UdpSocket,
    buffer: Vec<u8>,
    len: usize,
    count: usize,
    datagram_len: usize,
    has_short_one: bool,
}

impl<'a> Datagrams<'a> {
    pub(crate) fn new(socket: &'a UdpSocket) -> Self {
        Self {
            socket,
            buffer: vec![0; MAX_RUN_LEN + OVERHEAD],
            len: 0,
            count: 0,
            datagram_len: 0,
            has_short_one: false,
        }
    }

    /// Room for the next datagram; sends the run first if it does not fit to it.
    fn next(&mut self, packet_len: usize) -> &mut [u8] {
        let len = packet_len + OVERHEAD;
        let is_full = self.count == MAX_SEGMENTS || self.len + len > MAX_RUN_LEN;
        if is_full || self.has_short_one || len > self.datagram_len {
            self.flush();
        }
        if self.count == 0 {
            self.datagram_len = len;
        }
        self.has_short_one = len < self.datagram_len;
        let start = self.len;
        self.len += len;
        self.count += 1;
        &mut self.buffer[start..start + len]
    }

    /// Sends what waits. A datagram that the kernel does not take is lost, as on a wire.
    pub(crate) fn flush(&mut self) {
        if self.count > 0 {
            let segment_len = (self.count > 1).then_some(self.datagram_len as u16);
            sys::send(self.socket, &self.buffer[..self.len], segment_len);
        }
        (self.len, self.count, self.datagram_len, self.has_short_one) = (0, 0, 0, false);
    }
}

/// Cuts and seals what one read of the TUN device returned.
pub(crate) fn seal_super_packet(read: &mut [u8], datagrams: &mut Datagrams<'_>, sealer: &mut Sealer) {
    let Some((header, packet)) = read.split_at_mut_checked(VNET_HEADER_LEN) else { return };
    let header = VnetHeader::parse(header);
    match header.gso_type {
        GsoType::None => {
            complete_checksum(&header, packet);
            put(packet, datagrams, sealer);
        }
        GsoType::TcpV4 => cut(&header, packet, datagrams, sealer),
        GsoType::Other => {}
    }
}

fn complete_checksum(header: &VnetHeader, packet: &mut [u8]) {
    let (start, at) = (header.checksum_start, header.checksum_start + header.checksum_offset);
    if header.needs_checksum && at + 2 <= packet.len() {
        let sum = !checksum::fold(checksum::add(0, &packet[start..]));
        packet[at..at + 2].copy_from_slice(&sum.to_ne_bytes());
    }
}

fn put(packet: &[u8], datagrams: &mut Datagrams<'_>, sealer: &mut Sealer) {
    if packet.len() <= MAX_RUN_LEN - OVERHEAD {
        let datagram = datagrams.next(packet.len());
        datagram[HEADER_LEN..HEADER_LEN + packet.len()].copy_from_slice(packet);
        sealer.seal(datagram);
    }
}

/// TCP segmentation: every segment gets the headers of the whole with lengths, numbers and checksums of its own.
fn cut(header: &VnetHeader, packet: &[u8], datagrams: &mut Datagrams<'_>, sealer: &mut Sealer) {
    let ip_len = usize::from(packet[0] & 15) * 4;
    let headers_len = ip_len + usize::from(packet[ip_len + 12] >> 4) * 4;
    let (headers, payload) = packet.split_at(headers_len);
    let (first_id, first_sequence) = (be16(headers, 4), be32(headers, ip_len + 4));
    let last = payload.len().div_ceil(header.gso_size.max(1)) - 1;
    for (i, part) in payload.chunks(header.gso_size.max(1)).enumerate() {
        let datagram = datagrams.next(headers_len + part.len());
        let segment = &mut datagram[HEADER_LEN..HEADER_LEN + headers_len + part.len()];
        segment[..headers_len].copy_from_slice(headers);
        segment[headers_len..].copy_from_slice(part);
        let sequence = first_sequence.wrapping_add((i * header.gso_size) as u32);
        segment[4..6].copy_from_slice(&first_id.wrapping_add(i as u16).to_be_bytes());
        segment[ip_len + 4..ip_len + 8].copy_from_slice(&sequence.to_be_bytes());
        if i < last {
            segment[ip_len + 13] &= !LAST_SEGMENT_FLAGS;
        }
        set_length_and_checksums(segment, ip_len);
        sealer.seal(datagram);
    }
}

/// Completes a TCP segment over IPv4 whose other fields are in place.
pub(crate) fn set_length_and_checksums(segment: &mut [u8], ip_len: usize) {
    let total = segment.len() as u16;
    segment[2..4].copy_from_slice(&total.to_be_bytes());
    checksum::set_ipv4(segment, ip_len);
    let at = ip_len + 16;
    segment[at..at + 2].fill(0);
    let pseudo = checksum::pseudo_header(segment, segment.len() - ip_len);
    let sum = !checksum::fold(checksum::add(pseudo, &segment[ip_len..]));
    segment[at..at + 2].copy_from_slice(&sum.to_ne_bytes());
}

fn be16(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

fn be32(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::seal::Opener;

    /// A virtio-net header and a TCP packet with 2,500 octets of payload, to be cut at 1,000.
    fn super_packet() -> Vec<u8> {
        let mut read = vec![1, 1, 40, 0, 0xe8, 0x03, 20, 0, 16, 0];
        read.extend([0x45, 0, 0, 0, 0xff, 0xff, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        read.extend([0x10, 0, 0x20, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
        read.extend((0..2500).map(|n| n as u8));
        read
    }

    #[test]
    fn a_super_packet_becomes_segments_that_a_receiver_accepts() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        let mut datagrams = Datagrams::new(&sender);
        seal_super_packet(&mut super_packet(), &mut datagrams, &mut Sealer::new());
        datagrams.flush();

        let expected = [(1000, 0xffff, 0xffff_ffff, 0x10), (1000, 0, 999, 0x10), (500, 1, 1999, 0x18)];
        for (len, id, sequence, flags) in expected {
            let mut buffer = [0; 2000];
            let n = receiver.recv(&mut buffer).unwrap();
            let packet = Opener::new().open(&mut buffer[..n]).expect("authentic");
            assert_eq!((packet.len(), usize::from(be16(packet, 2))), (40 + len, 40 + len));
            assert_eq!((be16(packet, 4), be32(packet, 24), packet[33]), (id, sequence, flags));
            assert_eq!(checksum::fold(checksum::add(0, &packet[..20])), 0xffff);
            let pseudo = checksum::pseudo_header(packet, packet.len() - 20);
            assert_eq!(checksum::fold(checksum::add(pseudo, &packet[20..])), 0xffff);
        }
    }
}
