//! Entry points of the fuzz targets: each takes arbitrary octets and panics if a promise of this crate is broken.
//!
//! `tests/corpus_replay.rs` runs them over the committed corpus, `fuzz/` over whatever a fuzzer invents.

use std::collections::BTreeSet;

use crate::replay::MIN_WINDOW;
use crate::sa::SaKeys;
use crate::secret::Secret;
use crate::selector::{Flow, Ports, Selector, SelectorSet};
use crate::transform::{Sealer, SequenceInput};
use crate::udp_encap::{Datagram, classify};
use crate::{
    AesBits, DropReason, InboundConfig, InboundSa, Integ, OutboundConfig, OutboundSa, Segment, Spi, Suite, Transform,
    ecn, inner, udp_transport,
};

const SPI: Spi = Spi(0x0100_c0de);

const TRANSFORMS: [Transform; 8] = [
    Transform::AesGcm16(AesBits::Aes128),
    Transform::AesGcm16(AesBits::Aes192),
    Transform::ChaCha20Poly1305,
    Transform::AesCbc(AesBits::Aes128, Integ::HmacSha1_96),
    Transform::AesCbc(AesBits::Aes192, Integ::HmacSha256_128),
    Transform::AesCbc(AesBits::Aes256, Integ::HmacSha512_256),
    Transform::TripleDesCbc(Integ::HmacSha1_96),
    Transform::TripleDesCbc(Integ::HmacSha256_96),
];

/// One suite per value of the first octet, modulo their number.
fn suite(choice: u8) -> Suite {
    let choice = usize::from(choice);
    Suite { transform: TRANSFORMS[choice % TRANSFORMS.len()], esn: choice / TRANSFORMS.len() % 2 == 1 }
}

fn keys(transform: Transform) -> SaKeys {
    SaKeys {
        encr: Secret::new(vec![7; transform.encr_key_len()]),
        integ: Secret::new(vec![9; transform.integ_key_len()]),
    }
}

fn inbound(suite: Suite) -> InboundSa {
    let config = InboundConfig { spi: SPI, suite, keys: keys(suite.transform), replay_window: MIN_WINDOW };
    InboundSa::new(config).expect("valid configuration")
}

fn outbound(suite: Suite) -> OutboundSa {
    let config = OutboundConfig { spi: SPI, suite, keys: keys(suite.transform), soft_limit: None };
    OutboundSa::new(config).expect("valid configuration")
}

/// Octets from a stranger, then the same octets as what an authentic packet decrypts to.
///
/// The first octet chooses the suite.
pub fn open(data: &[u8]) {
    let Some((&choice, data)) = data.split_first() else { return };
    let suite = suite(choice);
    let result = inbound(suite).open(&mut data.to_vec());
    assert!(result.is_err(), "{data:02x?} is authentic");
    let mut addressed = [&SPI.0.to_be_bytes(), data].concat();
    assert!(inbound(suite).open(&mut addressed).is_err(), "{data:02x?} is authentic");
    open_authentic(suite, data);
}

fn open_authentic(suite: Suite, decrypted: &[u8]) {
    let decrypted = &decrypted[..decrypted.len() - decrypted.len() % suite.transform.alignment()];
    let header_len = suite.transform.header_len();
    let mut packet = vec![0; header_len];
    packet[..4].copy_from_slice(&SPI.0.to_be_bytes());
    packet[7] = 1;
    packet.extend(decrypted);
    packet.resize(packet.len() + suite.transform.icv_len(), 0);
    let sealer = Sealer::new(suite.transform, &keys(suite.transform));
    sealer.seal(SequenceInput { value: 1, esn: suite.esn }, &mut packet);
    match inbound(suite).open(&mut packet) {
        Ok(opened) => {
            let (rest, trailer) = decrypted[opened.range.len()..].split_at(decrypted.len() - opened.range.len() - 2);
            assert_eq!(packet[opened.range.clone()], decrypted[..opened.range.len()]);
            assert_eq!(opened.range.start, header_len);
            assert_eq!(usize::from(trailer[0]), rest.len());
            assert_eq!(trailer[1], opened.next_header);
        }
        Err(DropReason::Runt) => assert!(decrypted.len() < suite.transform.alignment()),
        Err(reason) => assert!(matches!(reason, DropReason::Integrity | DropReason::Dummy), "{reason}"),
    }
}

/// Octets as a datagram on port 4500 and as an inner packet.
///
/// The first octet is the outer traffic class.
pub fn inner(data: &[u8]) {
    match classify(data) {
        Datagram::Ike(message) => assert_eq!([&[0; 4], message].concat(), data),
        Datagram::Esp { spi } => assert_eq!(spi.0.to_be_bytes(), data[..4]),
        Datagram::Keepalive => assert_eq!(data, [0xff]),
        Datagram::Runt => assert!(data.len() < 8),
    }
    assert_udp(data);
    let Some((&outer_class, data)) = data.split_first() else { return };
    let Ok(len) = inner::next_header(data).and_then(|next_header| inner::tunnel_payload(next_header, data)) else {
        return;
    };
    let packet = &data[..len];
    let (source, destination) = inner::addresses(packet).expect("a packet with a whole header");
    if let Ok(flow) = Flow::of(packet) {
        assert_eq!((flow.source, flow.destination), (source, destination));
        assert_covered(packet, &flow);
    }
    assert_marks_only_ecn(outer_class, packet);
}

/// A datagram in transport mode: what was read makes the same header again, but for the checksum.
fn assert_udp(data: &[u8]) {
    let Ok(datagram) = udp_transport::parse(udp_transport::UDP, data) else { return };
    let header = udp_transport::header(datagram.source, datagram.destination, datagram.payload.len());
    assert_eq!(header.expect("as long as it was")[..6], data[..6]);
    assert!(datagram.payload.end <= data.len());
}

/// Selectors made of a flow cover it, inbound and outbound, and nothing else's protocol.
fn assert_covered(packet: &[u8], flow: &Flow) {
    let exact = |address, port: Option<u16>| Selector {
        start: address,
        end: address,
        protocol: flow.protocol,
        ports: port.map_or(Ports::Opaque, |port| Ports::Range(port, port)),
    };
    let (ours, theirs) = ([exact(flow.source, flow.source_port)], [exact(flow.destination, flow.destination_port)]);
    assert_eq!(SelectorSet::new(ours, theirs).check_outbound(packet), Ok(()));
    assert_eq!(SelectorSet::new(theirs, ours).check_inbound(packet), Ok(()));
    if flow.protocol != 0 {
        let other = ours.map(|selector| Selector { protocol: flow.protocol ^ 0xff, ..selector });
        let expected = if flow.protocol == 0xff { Ok(()) } else { Err(DropReason::Selector) };
        assert_eq!(SelectorSet::new(other, theirs).check_outbound(packet), expected);
    }
}

fn assert_marks_only_ecn(outer_class: u8, packet: &[u8]) {
    let mut marked = packet.to_vec();
    if ecn::decapsulate(outer_class, &mut marked).is_err() {
        assert_eq!(marked, packet);
        return;
    }
    let allowed = if packet[0] >> 4 == 4 { [1, 10, 11] } else { [1, 1, 1] };
    for (at, (before, after)) in packet.iter().zip(&marked).enumerate() {
        assert!(before == after || allowed.contains(&at), "octet {at} changed");
    }
    let mut twice = marked.clone();
    assert_eq!(ecn::decapsulate(outer_class, &mut twice), Ok(()));
    assert_eq!(twice, marked, "marking is idempotent");
}

/// Operations on an SA pair, compared with a receiver that remembers every number.
///
/// The first octet chooses the suite; then each pair of octets is an operation and its argument.
pub fn model(data: &[u8]) {
    let Some((&choice, operations)) = data.split_first() else { return };
    let suite = suite(choice);
    let mut model = Model { out: outbound(suite), into: inbound(suite), wire: Vec::new(), seen: BTreeSet::new() };
    for pair in operations.chunks_exact(2).take(512) {
        let argument = usize::from(pair[1]);
        match pair[0] % 8 {
            0 | 1 => model.seal(argument),
            2 => model.seal_batch(argument % 40),
            3..=5 => model.deliver(argument),
            6 => model.deliver_changed(argument),
            _ => model.skip(pair[1]),
        }
    }
}

struct Model {
    out: OutboundSa,
    into: InboundSa,
    /// Sealed packets with their numbers and payload lengths, in order of sending.
    wire: Vec<(u64, usize, Vec<u8>)>,
    seen: BTreeSet<u64>,
}

impl Model {
    fn seal(&mut self, len: usize) {
        let Ok(mut sequences) = self.out.reserve(1) else { return };
        let sequence = sequences.next().expect("one was reserved");
        let value = sequence.value();
        let mut packet = vec![value as u8; self.out.sealed_len(len)];
        self.out.seal(sequence, &mut packet, len, 4).expect("the buffer has the length asked for");
        self.wire.push((value, len, packet));
    }

    fn seal_batch(&mut self, count: usize) {
        let Ok(sequences) = self.out.reserve(count as u32) else { return };
        let (mut buffer, mut segments) = (Vec::new(), Vec::new());
        let first = self.out.reserved() + 1 - count as u64;
        for (value, payload_len) in (first..).zip((0..count).map(|index| index * 7 % 50)) {
            segments.push(Segment { offset: buffer.len(), payload_len, next_header: 4 });
            buffer.resize(buffer.len() + self.out.sealed_len(payload_len), value as u8);
        }
        self.out.seal_batch(sequences, &mut buffer, &segments).expect("the layout is exact");
        for (value, segment) in (first..).zip(segments) {
            let packet = buffer[segment.offset..][..self.out.sealed_len(segment.payload_len)].to_vec();
            self.wire.push((value, segment.payload_len, packet));
        }
    }

    /// Counts back from the latest packet, so that most deliveries are near the window.
    fn pick(&self, back: usize) -> Option<(u64, usize, Vec<u8>)> {
        self.wire.iter().rev().nth(back % self.wire.len().max(1)).cloned()
    }

    #[expect(clippy::panic, reason = "a fuzz target reports by panicking")]
    fn deliver(&mut self, back: usize) {
        let Some((value, len, mut packet)) = self.pick(back) else { return };
        match (self.expected(value), self.into.open(&mut packet)) {
            (None, Ok(opened)) => {
                assert_eq!((opened.sequence, opened.range.len(), opened.next_header), (value, len, 4));
                assert!(packet[opened.range].iter().all(|octet| *octet == value as u8));
                assert!(self.seen.insert(value));
            }
            (Some(expected), Err(reason)) => assert_eq!(reason, expected, "number {value}"),
            (expected, result) => panic!("number {value}: {result:?} where {expected:?} was due"),
        }
        assert_eq!(self.into.highest_sequence(), self.seen.last().copied().unwrap_or(0));
    }

    fn deliver_changed(&mut self, back: usize) {
        let Some((value, _, mut packet)) = self.pick(back) else { return };
        let at = 4 + value as usize % (packet.len() - 4);
        packet[at] ^= 0x80;
        assert!(self.into.open(&mut packet).is_err(), "octet {at} of number {value} is not authenticated");
        assert_eq!(self.into.highest_sequence(), self.seen.last().copied().unwrap_or(0));
    }

    /// Loses numbers; a large argument loses so many that ESN has to cross into the next 2^32.
    fn skip(&mut self, argument: u8) {
        let lost = if argument >= 250 { 1 << 30 } else { u32::from(argument) };
        // Exhausted without ESN: the following operations find that out again.
        let _ = self.out.reserve(lost);
    }

    /// Why `value` must be dropped, by what was received so far.
    fn expected(&self, value: u64) -> Option<DropReason> {
        let highest = self.seen.last().copied().unwrap_or(0);
        let number = if self.into.suite().esn { completed(value, highest) } else { Some(value) };
        match number {
            None | Some(0) => Some(DropReason::TooOld),
            Some(number) if number + u64::from(MIN_WINDOW) <= highest => Some(DropReason::TooOld),
            Some(number) if self.seen.contains(&number) => Some(DropReason::Replayed),
            // The receiver is more than 2^32 behind: it authenticates another upper half.
            Some(number) if number != value => Some(DropReason::Integrity),
            Some(_) => None,
        }
    }
}

/// What a receiver with ESN makes of the lower half of `value`: the least number that is not left of its window.
fn completed(value: u64, highest: u64) -> Option<u64> {
    let left = i128::from(highest) + 1 - i128::from(MIN_WINDOW);
    let low = i128::from(value & u64::from(u32::MAX));
    let mut subspaces = -1..=i128::from(highest >> 32) + 1;
    let number = subspaces.find_map(|high| Some((high << 32) + low).filter(|number| *number >= left))?;
    u64::try_from(number).ok()
}
