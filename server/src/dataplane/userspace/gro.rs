//! Coalescing: consecutive TCP segments and equal UDP datagrams of a flow become one super-packet for the TUN device, which
//! the kernel carries through its stack at the cost of one packet.
//!
//! ```text
//! packet -> same flow? -> continues it? -> one more piece
//!              |no            |no -> write what was collected, start anew
//!              v
//!           start a flow, or write the packet as it is
//! ```
//!
//! Payload is not copied: a flow keeps a copy of its headers and the places of its payloads in the receive buffers. Packets of
//! one flow keep their order; flows overtake each other. Checksums are verified before the second piece joins, since the
//! kernel computes them anew when it cuts the super-packet.
//!
//! Does not: look at packets with IP options, extension headers or fragments. They pass as they are.

use std::io::IoSlice;
use std::net::IpAddr;

use cygnet_esp::inner;

use super::checksum::Sum;
use super::gso::write_ipv4_checksum;
use super::virtio::{Gso, Header, PartialChecksum};

/// Pieces of one super-packet. Linux refused UDP super-packets of 156 segments and takes 128 at most; 64 keeps latency low.
const MAX_PIECES: usize = 64;

/// Octets of a super-packet: what the length field of IPv4 can say.
const MAX_LEN: usize = 65_535;

/// Flows that are collected at a time; beyond, the oldest is written.
const MAX_FLOWS: usize = 16;

/// IPv6 header and the longest TCP header.
const MAX_HEADERS: usize = 40 + 60;

const TCP: u8 = 6;
const UDP: u8 = 17;
const TCP_ACK: u8 = 0x10;
const TCP_PSH: u8 = 0x08;

/// Where a packet lies in the receive buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Which buffer.
    pub(super) buffer: usize,
    /// Where in it.
    pub(super) start: usize,
    /// Octets.
    pub(super) len: usize,
}

/// The receive buffers.
pub(super) trait Buffers {
    /// What lies at `place`.
    fn octets(&self, place: Place) -> &[u8];
}

/// Takes finished packets.
pub(super) trait Sink {
    /// Takes one packet in parts. The first part is the virtio-net header.
    fn write(&mut self, parts: &[IoSlice<'_>]);
}

/// What may be coalesced, by what the kernel accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offers {
    pub(super) tcp: bool,
    pub(super) udp: bool,
}

/// Collects the packets of one batch by flow.
pub(super) struct Coalescer {
    offers: Offers,
    /// Slots; those named in `live` are in use.
    flows: Vec<Flow>,
    /// Oldest first.
    live: Vec<usize>,
}

struct Flow {
    headers: [u8; MAX_HEADERS],
    layout: Layout,
    pieces: Vec<Place>,
    segment_len: usize,
    payload_len: usize,
    next_sequence: u32,
    /// The first packet, until its checksum has been verified.
    unverified: Option<Place>,
    /// Nothing may follow the last piece.
    closed: bool,
}

/// What kind of packet has which headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    protocol: u8,
    ipv6: bool,
    headers_len: usize,
}

impl Layout {
    /// `None` if the packet is not to be coalesced with any other.
    fn of(packet: &[u8], offers: Offers) -> Option<Self> {
        let ipv6 = packet.first()? >> 4 == 6;
        let protocol = if ipv6 {
            *packet.get(6)?
        } else {
            let unfragmented = packet.get(6)? & 0x3f == 0 && *packet.get(7)? == 0;
            if packet[0] != 0x45 || !unfragmented {
                return None;
            }
            *packet.get(9)?
        };
        let transport = if ipv6 { 40 } else { 20 };
        let transport_len = match protocol {
            TCP if offers.tcp => usize::from(packet.get(transport + 12)? >> 4) * 4,
            UDP if offers.udp => 8,
            _ => return None,
        };
        let layout = Self { protocol, ipv6, headers_len: transport + transport_len };
        let whole = packet.len() >= layout.headers_len && (protocol == UDP || transport_len >= 20);
        whole.then_some(layout)
    }

    fn transport(&self) -> usize {
        if self.ipv6 { 40 } else { 20 }
    }

    /// Whether both belong to one flow: addresses and ports.
    fn same_flow(&self, ours: &[u8], other: &Self, theirs: &[u8]) -> bool {
        let identity = if self.ipv6 { 8..44 } else { 12..24 };
        self.protocol == other.protocol && self.ipv6 == other.ipv6 && ours[identity.clone()] == theirs[identity]
    }

    /// Whether all else that one header for both could not express is equal.
    fn compatible(&self, ours: &[u8], theirs: &[u8]) -> bool {
        let ip = if self.ipv6 {
            ours[..4] == theirs[..4] && ours[7] == theirs[7]
        } else {
            ours[1] == theirs[1] && ours[6] == theirs[6] && ours[8] == theirs[8]
        };
        let at = self.transport();
        // TCP: acknowledgment, length and reserved bits, options. Windows may differ, as in the kernel's own GRO.
        let transport = self.protocol == UDP
            || ours[at + 8..at + 13] == theirs[at + 8..at + 13]
                && ours[at + 20..self.headers_len] == theirs[at + 20..self.headers_len];
        ip && transport
    }

    /// Whether a packet of this kind can be part of a super-packet at all.
    fn is_plain(&self, packet: &[u8]) -> bool {
        let at = self.transport();
        let has_payload = packet.len() > self.headers_len;
        match self.protocol {
            TCP => has_payload && packet[at + 13] & !TCP_PSH == TCP_ACK,
            _ => {
                let has_checksum = packet[at + 6..at + 8] != [0, 0];
                let len = usize::from(u16::from_be_bytes([packet[at + 4], packet[at + 5]]));
                has_payload && has_checksum && len == packet.len() - at
            }
        }
    }

    fn checksum_is_valid(&self, packet: &[u8]) -> bool {
        self.pseudo_header(packet)
            .add_length(packet.len() - self.transport())
            .add(&packet[self.transport()..])
            .is_valid()
    }

    fn pseudo_header(&self, packet: &[u8]) -> Sum {
        let (source, destination): (IpAddr, IpAddr) = inner::addresses(packet).expect("it has a whole header");
        Sum::pseudo_header(source, destination, self.protocol)
    }

    fn sequence(&self, packet: &[u8]) -> u32 {
        let at = self.transport() + 4;
        u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
    }

    fn has_push(&self, packet: &[u8]) -> bool {
        self.protocol == TCP && packet[self.transport() + 13] & TCP_PSH != 0
    }
}

impl Coalescer {
    /// Collects nothing yet.
    pub(super) fn new(offers: Offers) -> Self {
        let flow = || Flow {
            headers: [0; MAX_HEADERS],
            layout: Layout { protocol: 0, ipv6: false, headers_len: 0 },
            pieces: Vec::with_capacity(MAX_PIECES),
            segment_len: 0,
            payload_len: 0,
            next_sequence: 0,
            unverified: None,
            closed: false,
        };
        Self { offers, flows: (0..MAX_FLOWS).map(|_| flow()).collect(), live: Vec::with_capacity(MAX_FLOWS) }
    }

    /// Takes the next packet, an IP packet without anything behind it.
    pub(super) fn push(&mut self, buffers: &impl Buffers, place: Place, sink: &mut impl Sink) {
        let packet = buffers.octets(place);
        let Some(layout) = Layout::of(packet, self.offers) else { return write_alone(packet, sink) };
        let known = self.live.iter().position(|slot| {
            let flow = &self.flows[*slot];
            flow.layout.same_flow(&flow.headers, &layout, packet)
        });
        if let Some(position) = known {
            if self.flows[self.live[position]].join(layout, packet, place, buffers) {
                return;
            }
            let slot = self.live.remove(position);
            self.flows[slot].write(buffers, sink);
        }
        if layout.is_plain(packet) { self.begin(layout, place, buffers, sink) } else { write_alone(packet, sink) }
    }

    /// Writes all that was collected. After it no place is kept.
    pub(super) fn flush(&mut self, buffers: &impl Buffers, sink: &mut impl Sink) {
        for slot in self.live.drain(..) {
            self.flows[slot].write(buffers, sink);
        }
    }

    fn begin(&mut self, layout: Layout, place: Place, buffers: &impl Buffers, sink: &mut impl Sink) {
        if self.live.len() == MAX_FLOWS {
            let oldest = self.live.remove(0);
            self.flows[oldest].write(buffers, sink);
        }
        let slot = (0..MAX_FLOWS).find(|slot| !self.live.contains(slot)).expect("one is not in use");
        self.flows[slot].begin(layout, place, buffers.octets(place));
        self.live.push(slot);
    }
}

impl Flow {
    fn begin(&mut self, layout: Layout, place: Place, packet: &[u8]) {
        self.layout = layout;
        self.headers[..layout.headers_len].copy_from_slice(&packet[..layout.headers_len]);
        let payload = behind(layout.headers_len, place);
        self.pieces.clear();
        self.pieces.push(payload);
        self.segment_len = payload.len;
        self.payload_len = payload.len;
        self.next_sequence = next_sequence(layout, packet, payload.len);
        self.unverified = Some(place);
        self.closed = layout.has_push(packet);
    }

    /// Takes a packet of this flow if it continues what was collected.
    fn join(&mut self, layout: Layout, packet: &[u8], place: Place, buffers: &impl Buffers) -> bool {
        let payload = behind(layout.headers_len, place);
        let fits = !self.closed
            && self.layout == layout
            && layout.is_plain(packet)
            && payload.len <= self.segment_len
            && self.pieces.len() < MAX_PIECES
            && layout.headers_len + self.payload_len + payload.len <= MAX_LEN
            && layout.compatible(&self.headers, packet)
            && (layout.protocol == UDP || layout.sequence(packet) == self.next_sequence);
        if !fits || !layout.checksum_is_valid(packet) || !self.first_is_valid(buffers) {
            return false;
        }
        self.pieces.push(payload);
        self.payload_len += payload.len;
        self.next_sequence = next_sequence(layout, packet, payload.len);
        if layout.has_push(packet) {
            self.headers[layout.transport() + 13] |= TCP_PSH;
        }
        self.closed = payload.len < self.segment_len || layout.has_push(packet);
        true
    }

    /// Whether the first packet may be changed, which is asked when the second comes.
    fn first_is_valid(&mut self, buffers: &impl Buffers) -> bool {
        let valid = self.unverified.is_none_or(|first| self.layout.checksum_is_valid(buffers.octets(first)));
        if valid {
            self.unverified = None;
        }
        valid
    }

    fn write(&mut self, buffers: &impl Buffers, sink: &mut impl Sink) {
        let headers_len = self.layout.headers_len;
        let header = if self.pieces.len() > 1 { self.finish_headers() } else { Header::PLAIN }.emit();
        let mut parts = [IoSlice::new(&[]); MAX_PIECES + 2];
        parts[0] = IoSlice::new(&header);
        parts[1] = IoSlice::new(&self.headers[..headers_len]);
        for (part, piece) in parts[2..].iter_mut().zip(&self.pieces) {
            *part = IoSlice::new(buffers.octets(*piece));
        }
        sink.write(&parts[..self.pieces.len() + 2]);
    }

    /// Makes the headers those of the super-packet and returns what to tell the kernel about it.
    fn finish_headers(&mut self) -> Header {
        let Layout { protocol, ipv6, headers_len } = self.layout;
        let transport = self.layout.transport();
        let transport_len = headers_len - transport + self.payload_len;
        let short = |len: usize| u16::try_from(len).expect("at most MAX_LEN");
        let headers = &mut self.headers[..headers_len];
        if ipv6 {
            headers[4..6].copy_from_slice(&short(transport_len).to_be_bytes());
        } else {
            headers[2..4].copy_from_slice(&short(transport + transport_len).to_be_bytes());
            write_ipv4_checksum(&mut headers[..transport]);
        }
        let (gso, field) = match (protocol, ipv6) {
            (UDP, _) => (Gso::Udp, 6),
            (_, false) => (Gso::Tcp4, 16),
            (_, true) => (Gso::Tcp6, 16),
        };
        if protocol == UDP {
            headers[transport + 4..transport + 6].copy_from_slice(&short(transport_len).to_be_bytes());
        }
        let partial = self.layout.pseudo_header(&self.headers).add_length(transport_len).partial();
        self.headers[transport + field..transport + field + 2].copy_from_slice(&partial);
        Header {
            checksum: Some(PartialChecksum { start: short(transport), offset: short(field) }),
            gso,
            header_len: short(headers_len),
            segment_len: short(self.segment_len),
        }
    }
}

fn write_alone(packet: &[u8], sink: &mut impl Sink) {
    sink.write(&[IoSlice::new(&Header::PLAIN.emit()), IoSlice::new(packet)]);
}

fn behind(headers_len: usize, place: Place) -> Place {
    Place { start: place.start + headers_len, len: place.len - headers_len, ..place }
}

fn next_sequence(layout: Layout, packet: &[u8], payload_len: usize) -> u32 {
    match layout.protocol {
        TCP => layout.sequence(packet).wrapping_add(u32::try_from(payload_len).expect("at most MAX_LEN")),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::gso::SuperPacket;
    use super::super::testing::{Segment, assert_checksums};
    use super::super::virtio;
    use super::*;
    use proptest::prelude::*;

    impl Buffers for Vec<Vec<u8>> {
        fn octets(&self, place: Place) -> &[u8] {
            &self[place.buffer][place.start..][..place.len]
        }
    }

    #[derive(Default)]
    struct Written(Vec<(Header, Vec<u8>)>);

    impl Sink for Written {
        fn write(&mut self, parts: &[IoSlice<'_>]) {
            let header = Header::parse((&*parts[0]).try_into().unwrap()).unwrap();
            self.0.push((header, parts[1..].iter().flat_map(|part| part.to_vec()).collect()));
        }
    }

    const ALL: Offers = Offers { tcp: true, udp: true };

    fn coalesce(offers: Offers, packets: Vec<Vec<u8>>) -> Vec<(Header, Vec<u8>)> {
        let mut coalescer = Coalescer::new(offers);
        let mut written = Written::default();
        // Each packet lies behind 3 other octets, as behind an ESP header.
        let buffers: Vec<Vec<u8>> = packets.iter().map(|p| [b"esp", p.as_slice()].concat()).collect();
        for (buffer, packet) in packets.iter().enumerate() {
            coalescer.push(&buffers, Place { buffer, start: 3, len: packet.len() }, &mut written);
        }
        coalescer.flush(&buffers, &mut written);
        assert!(coalescer.live.is_empty());
        written.0
    }

    /// What the kernel makes of it again.
    fn cut((header, packet): &(Header, Vec<u8>)) -> Vec<Vec<u8>> {
        if header.gso == Gso::None {
            return vec![packet.clone()];
        }
        let whole = SuperPacket::parse(header, packet).unwrap();
        let write = |(index, len)| {
            let mut out = vec![0; len];
            whole.write_segment(index, &mut out);
            out
        };
        whole.segment_lengths().enumerate().map(write).collect()
    }

    fn stream(count: u32, len: usize, template: &Segment) -> Vec<Segment> {
        let segment = |n| Segment {
            sequence: template.sequence.wrapping_add(n * u32::try_from(len).unwrap()),
            ident: u16::try_from(n).unwrap(),
            payload: vec![u8::try_from(n).unwrap(); len],
            ..template.clone()
        };
        (0..count).map(segment).collect()
    }

    fn emit(segments: &[Segment]) -> Vec<Vec<u8>> {
        segments.iter().map(Segment::emit).collect()
    }

    #[test]
    fn a_run_of_segments_becomes_one_packet_that_cuts_into_the_same() {
        for template in [
            Segment::tcp(&[]),
            Segment { ipv6: true, sequence: u32::MAX - 1000, ..Segment::tcp(&[]) },
            Segment::udp(&[]),
            Segment { ipv6: true, ..Segment::udp(&[]) },
        ] {
            let mut segments = stream(10, 1200, &template);
            segments[9].payload.truncate(700);
            if template.is_tcp {
                segments[9].flags |= TCP_PSH;
            }
            let packets = emit(&segments);
            let written = coalesce(ALL, packets.clone());
            assert_eq!(written.len(), 1, "{template:?}");
            assert_eq!(usize::from(written[0].0.segment_len), 1200);
            assert_eq!(cut(&written[0]), packets);
        }
    }

    #[test]
    fn a_lone_packet_passes_unchanged() {
        let mut odd = Segment::tcp(b"payload").emit();
        odd[25] ^= 1; // even with a wrong checksum: that is for the receiver to find
        for packet in [odd, Segment::udp(b"x").emit(), vec![0x45, 0, 0], vec![], vec![0x60; 39]] {
            assert_eq!(coalesce(ALL, vec![packet.clone()]), [(Header::PLAIN, packet)]);
        }
    }

    #[test]
    fn what_one_header_cannot_express_is_not_joined() {
        let [first, second] = <[Segment; 2]>::try_from(stream(2, 100, &Segment::tcp(&[]))).unwrap();
        let changes: [fn(&mut Segment); 12] = [
            |s| s.sequence += 1,
            |s| s.acknowledgment += 1,
            |s| s.traffic_class = 2,
            |s| s.hop_limit = 63,
            |s| s.flags = 0x11,
            |s| s.flags = 0x30,
            |s| s.flags = 0x90,
            |s| s.flags = 0x14,
            |s| s.options[7] = 9,
            |s| s.options.clear(),
            |s| s.payload.push(0),
            |s| s.payload.clear(),
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let mut changed = second.clone();
            change(&mut changed);
            let packets = vec![first.emit(), changed.emit()];
            let written = coalesce(ALL, packets.clone());
            assert_eq!(written, packets.map_plain(), "change {n}");
        }
    }

    trait MapPlain {
        fn map_plain(self) -> Vec<(Header, Vec<u8>)>;
    }

    impl MapPlain for Vec<Vec<u8>> {
        fn map_plain(self) -> Vec<(Header, Vec<u8>)> {
            self.into_iter().map(|packet| (Header::PLAIN, packet)).collect()
        }
    }

    #[test]
    fn a_wrong_checksum_in_either_packet_is_not_repaired() {
        for spoiled in [0, 1] {
            for template in [Segment::tcp(&[]), Segment::udp(&[])] {
                let mut packets = emit(&stream(2, 100, &template));
                *packets[spoiled].last_mut().unwrap() ^= 0x80;
                assert_eq!(coalesce(ALL, packets.clone()), packets.map_plain());
            }
        }
    }

    #[test]
    fn push_and_a_short_segment_end_a_super_packet() {
        let mut segments = stream(6, 100, &Segment::tcp(&[]));
        segments[1].flags |= TCP_PSH;
        let written = coalesce(ALL, emit(&segments));
        assert_eq!(written.iter().map(|w| cut(w).len()).collect::<Vec<_>>(), [2, 4]);

        let mut datagrams = stream(4, 100, &Segment::udp(&[]));
        datagrams[1].payload.truncate(99);
        let written = coalesce(ALL, emit(&datagrams));
        assert_eq!(written.iter().map(|w| cut(w).len()).collect::<Vec<_>>(), [2, 2]);
    }

    #[test]
    fn a_packet_that_cannot_join_does_not_overtake_its_flow() {
        let mut segments = stream(3, 100, &Segment::tcp(&[]));
        segments[2].flags = 0x11; // FIN
        let written = coalesce(ALL, emit(&segments));
        assert_eq!(written.iter().map(|w| cut(w).len()).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(written[1].1, segments[2].emit());
    }

    #[test]
    fn super_packets_stay_within_what_the_kernel_takes() {
        let written = coalesce(ALL, emit(&stream(100, 1400, &Segment::tcp(&[]))));
        assert!(written.iter().all(|(_, packet)| packet.len() <= MAX_LEN));
        assert_eq!(written.iter().map(|w| cut(w).len()).collect::<Vec<_>>(), [46, 46, 8]);
        let written = coalesce(ALL, emit(&stream(100, 1, &Segment::udp(&[]))));
        assert_eq!(written.iter().map(|w| cut(w).len()).collect::<Vec<_>>(), [64, 36]);
    }

    #[test]
    fn more_flows_than_slots_lose_nothing() {
        let packets: Vec<_> = (0..3_u16)
            .flat_map(|round| {
                (0..40).map(move |port| {
                    let template = Segment { ports: [port, 443], ..Segment::tcp(&[]) };
                    stream(3, 50, &template)[usize::from(round)].emit()
                })
            })
            .collect();
        let mut all: Vec<_> = coalesce(ALL, packets.clone()).iter().flat_map(cut).collect();
        let mut expected = packets;
        all.sort();
        expected.sort();
        assert_eq!(all, expected);
    }

    #[test]
    fn without_offload_everything_passes_alone() {
        let packets = emit(&[stream(3, 100, &Segment::tcp(&[])), stream(3, 100, &Segment::udp(&[]))].concat());
        assert_eq!(coalesce(Offers { tcp: false, udp: false }, packets.clone()), packets.map_plain());
        let tcp_only = coalesce(Offers { tcp: true, udp: false }, emit(&stream(3, 9, &Segment::udp(&[]))));
        assert_eq!(tcp_only.len(), 3);
    }

    #[test]
    fn fragments_and_options_pass_alone() {
        let packets: Vec<_> = emit(&stream(2, 100, &Segment::udp(&[])))
            .into_iter()
            .map(|mut packet| {
                packet[6] = 0x20;
                write_ipv4_checksum(&mut packet[..20]);
                packet
            })
            .collect();
        assert_eq!(coalesce(ALL, packets.clone()), packets.map_plain());
    }

    proptest! {
        /// The slow twin: cutting what was coalesced gives every packet back, in order within its flow.
        #[test]
        fn any_mixture_of_flows_comes_out_whole(
            steps in proptest::collection::vec((0_u16..4, 1_usize..4, any::<bool>(), any::<bool>()), 1..80)
        ) {
            let mut next = [0_u32; 4];
            let mut ident = 0;
            let packets: Vec<Vec<u8>> = steps.iter().map(|&(flow, size, push, skip)| {
                let index = usize::from(flow);
                let len = if size == 1 { 40 } else { 100 };
                let template = if flow == 3 { Segment::udp(&[]) } else { Segment { ipv6: flow == 2, ..Segment::tcp(&[]) } };
                let flags = if push { 0x18 } else { 0x10 };
                let packet = Segment {
                    ports: [flow, 1], sequence: next[index], flags, payload: vec![size as u8; len], ident, ..template
                };
                next[index] += u32::try_from(len).unwrap() + u32::from(skip);
                ident = ident.wrapping_add(1);
                packet.emit()
            }).collect();
            let written: Vec<Vec<u8>> = coalesce(ALL, packets.clone()).iter().flat_map(cut).collect();
            written.iter().for_each(|packet| assert_checksums(packet));
            for flow in 0..4_u16 {
                // Identification is the one field that a cut super-packet counts anew.
                let of_flow = |packets: &[Vec<u8>]| -> Vec<Vec<u8>> {
                    let at = if flow == 2 { 40 } else { 20 };
                    let matching = packets.iter().filter(|p| p[0] >> 4 == if flow == 2 { 6 } else { 4 } && p[at + 1] == flow as u8);
                    matching.map(|p| p[at..].to_vec()).collect()
                };
                prop_assert_eq!(of_flow(&written), of_flow(&packets));
            }
        }

        #[test]
        fn arbitrary_octets_do_no_harm(packets in proptest::collection::vec(
            (proptest::sample::select(vec![0x45_u8, 0x46, 0x60, 0x00]), proptest::collection::vec(any::<u8>(), 0..120)), 0..20)
        ) {
            let packets: Vec<Vec<u8>> =
                packets.into_iter().map(|(first, rest)| [&[first], rest.as_slice()].concat()).collect();
            let octets = |packets: &[(Header, Vec<u8>)]| packets.iter().map(|(_, p)| p.len()).sum::<usize>();
            let written = coalesce(ALL, packets.clone());
            prop_assert!(octets(&written) <= packets.iter().map(Vec::len).sum());
        }
    }

    #[test]
    fn the_header_in_front_has_the_length_that_the_device_expects() {
        assert_eq!(Header::PLAIN.emit().len(), virtio::LEN);
    }
}
