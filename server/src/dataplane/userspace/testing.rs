//! TCP and UDP packets for the tests of this module.

use super::checksum::Sum;
use super::gso::write_ipv4_checksum;
use cygnet_esp::inner;

/// One packet, header by header.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) ipv6: bool,
    pub(super) is_tcp: bool,
    pub(super) traffic_class: u8,
    pub(super) hop_limit: u8,
    /// IPv4 only.
    pub(super) ident: u16,
    pub(super) ports: [u16; 2],
    pub(super) sequence: u32,
    pub(super) acknowledgment: u32,
    pub(super) flags: u8,
    /// TCP options, a multiple of 4 octets.
    pub(super) options: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

impl Segment {
    /// ACK over IPv4 with a timestamp option.
    pub(super) fn tcp(payload: &[u8]) -> Self {
        Self {
            ipv6: false,
            is_tcp: true,
            traffic_class: 0,
            hop_limit: 64,
            ident: 0,
            ports: [40_000, 443],
            sequence: 1000,
            acknowledgment: 77,
            flags: 0x10,
            options: vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
            payload: payload.to_vec(),
        }
    }

    /// A datagram over IPv4.
    pub(super) fn udp(payload: &[u8]) -> Self {
        Self { is_tcp: false, options: Vec::new(), ..Self::tcp(payload) }
    }

    /// The packet, finished. Built field by field, apart from the code under test.
    pub(super) fn emit(&self) -> Vec<u8> {
        let mut transport = Vec::new();
        transport.extend(self.ports.iter().flat_map(|port| port.to_be_bytes()));
        if self.is_tcp {
            transport.extend(self.sequence.to_be_bytes());
            transport.extend(self.acknowledgment.to_be_bytes());
            let words = u8::try_from(5 + self.options.len() / 4).unwrap();
            transport.extend([words << 4, self.flags, 0x20, 0, 0, 0, 0, 0]);
            transport.extend(&self.options);
        } else {
            transport.extend(u16::try_from(8 + self.payload.len()).unwrap().to_be_bytes());
            transport.extend([0, 0]);
        }
        transport.extend(&self.payload);
        let mut packet = if self.ipv6 { self.ipv6_header(transport.len()) } else { self.ipv4_header(transport.len()) };
        let (source, destination) = inner::addresses(&packet).unwrap();
        let protocol = if self.is_tcp { 6 } else { 17 };
        let pseudo = Sum::pseudo_header(source, destination, protocol).add_length(transport.len());
        let checksum = pseudo.add(&transport).checksum();
        let field = if self.is_tcp { 16 } else { 6 };
        transport[field..field + 2].copy_from_slice(&checksum);
        packet.extend(transport);
        packet
    }

    fn ipv4_header(&self, transport_len: usize) -> Vec<u8> {
        let total = u16::try_from(20 + transport_len).unwrap().to_be_bytes();
        let ident = self.ident.to_be_bytes();
        let protocol = if self.is_tcp { 6 } else { 17 };
        let mut header = vec![
            0x45,
            self.traffic_class,
            total[0],
            total[1],
            ident[0],
            ident[1],
            0x40,
            0,
            self.hop_limit,
            protocol,
            0,
            0,
        ];
        header.extend([10, 20, 0, 9, 10, 0, 0, 1]);
        write_ipv4_checksum(&mut header);
        header
    }

    fn ipv6_header(&self, transport_len: usize) -> Vec<u8> {
        let len = u16::try_from(transport_len).unwrap().to_be_bytes();
        let protocol = if self.is_tcp { 6 } else { 17 };
        let class = self.traffic_class;
        let mut header = vec![0x60 | class >> 4, class << 4, 0, 0, len[0], len[1], protocol, self.hop_limit];
        header.extend([0xfd, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        header.extend([0xfd, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        header
    }
}

/// Checks the checksums of IP and transport header.
pub(super) fn assert_checksums(packet: &[u8]) {
    let (transport, protocol) = if packet[0] >> 4 == 4 {
        assert!(Sum::default().add(&packet[..20]).is_valid(), "IPv4 header checksum");
        (20, packet[9])
    } else {
        (40, packet[6])
    };
    let (source, destination) = inner::addresses(packet).unwrap();
    let covered = &packet[transport..];
    let sum = Sum::pseudo_header(source, destination, protocol).add_length(covered.len()).add(covered);
    assert!(sum.is_valid(), "checksum of protocol {protocol}");
}
