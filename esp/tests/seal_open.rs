//! Both directions of an SA against each other: every transform, with and without ESN.

use cygnet_esp::secret::Secret;
use cygnet_esp::{
    AesBits, DropReason, InboundConfig, InboundSa, Integ, OutboundConfig, OutboundSa, SaError, SaKeys, Segment, Spi,
    Suite, Transform,
};
use proptest::prelude::*;

const SPI: Spi = Spi(0x0100_c0de);

fn every_transform() -> Vec<Transform> {
    let lengths = [AesBits::Aes128, AesBits::Aes192, AesBits::Aes256];
    let integs =
        [Integ::HmacSha1_96, Integ::HmacSha256_128, Integ::HmacSha256_96, Integ::HmacSha384_192, Integ::HmacSha512_256];
    let cbc = lengths.into_iter().flat_map(|bits| integs.map(|integ| Transform::AesCbc(bits, integ)));
    let triple_des = integs.map(Transform::TripleDesCbc);
    let aead = lengths.map(Transform::AesGcm16).into_iter().chain([Transform::ChaCha20Poly1305]);
    aead.chain(cbc).chain(triple_des).collect()
}

fn every_suite() -> impl Iterator<Item = Suite> {
    every_transform().into_iter().flat_map(|transform| [false, true].map(|esn| Suite { transform, esn }))
}

fn keys(transform: Transform) -> SaKeys {
    SaKeys {
        encr: Secret::new((7..).take(transform.encr_key_len()).collect()),
        integ: Secret::new((100..).take(transform.integ_key_len()).collect()),
    }
}

fn outbound(suite: Suite) -> OutboundSa {
    OutboundSa::new(OutboundConfig { spi: SPI, suite, keys: keys(suite.transform), soft_limit: None })
        .expect("valid configuration")
}

fn inbound(suite: Suite) -> InboundSa {
    InboundSa::new(InboundConfig { spi: SPI, suite, keys: keys(suite.transform), replay_window: 1024 })
        .expect("valid configuration")
}

fn seal(sa: &OutboundSa, payload: &[u8], next_header: u8) -> Vec<u8> {
    let mut packet = vec![0xee; sa.sealed_len(payload.len())];
    packet[sa.header_len()..][..payload.len()].copy_from_slice(payload);
    let sequence = sa.reserve(1).expect("numbers left").next().expect("one reserved");
    let len = sa.seal(sequence, &mut packet, payload.len(), next_header).expect("room");
    assert_eq!(len, packet.len());
    packet
}

fn payload(len: usize) -> Vec<u8> {
    (0..=255).cycle().skip(len).take(len).collect()
}

#[test]
fn opens_what_it_sealed_at_every_length() {
    for suite in every_suite() {
        let (out, mut into) = (outbound(suite), inbound(suite));
        for len in (0..70).chain([575, 576, 1407, 1408, 1409, 9000]) {
            let payload = payload(len);
            let mut packet = seal(&out, &payload, 4);
            let opened = into.open(&mut packet).expect("authentic");
            assert_eq!(packet[opened.range], payload, "{suite:?}, {len} octets");
            assert_eq!(opened.next_header, 4);
        }
        assert_eq!(into.highest_sequence(), out.reserved());
    }
}

#[test]
fn writes_header_padding_and_length_as_rfc_4303_says() {
    for suite in every_suite() {
        let out = outbound(suite);
        for len in 0..40 {
            let packet = seal(&out, &payload(len), 4);
            assert_eq!(packet[..4], SPI.0.to_be_bytes());
            assert_eq!(packet[4..8], (len as u32 + 1).to_be_bytes());
            let encrypted = packet.len() - suite.transform.header_len() - suite.transform.icv_len();
            assert!(encrypted.is_multiple_of(suite.transform.alignment()));
            assert!(encrypted >= len + 2 && encrypted < len + 2 + suite.transform.alignment());
            assert!(packet.len() <= len + out.overhead());
        }
    }
}

#[test]
fn rejects_a_change_of_any_single_octet() {
    for suite in every_suite() {
        let out = outbound(suite);
        let packet = seal(&out, &payload(30), 4);
        for at in 0..packet.len() {
            let mut changed = packet.clone();
            changed[at] ^= 0x10;
            let expected = if at < 4 { DropReason::UnknownSpi } else { DropReason::Integrity };
            assert_eq!(inbound(suite).open(&mut changed), Err(expected), "{suite:?}, octet {at}");
        }
    }
}

#[test]
fn rejects_every_truncation_and_extension() {
    for suite in every_suite() {
        let out = outbound(suite);
        let packet = seal(&out, &payload(30), 4);
        for len in 0..packet.len() {
            let result = inbound(suite).open(&mut packet[..len].to_vec());
            assert!(matches!(result, Err(DropReason::Runt | DropReason::Integrity)), "{suite:?}, {len}: {result:?}");
        }
        for more in 1..20 {
            let mut longer = [&packet[..], &vec![0; more]].concat();
            let result = inbound(suite).open(&mut longer);
            assert!(matches!(result, Err(DropReason::Runt | DropReason::Integrity)), "{suite:?}, +{more}: {result:?}");
        }
    }
}

#[test]
fn a_forged_packet_leaves_the_window_as_it_was() {
    for suite in every_suite() {
        let (out, mut into) = (outbound(suite), inbound(suite));
        let packet = seal(&out, &payload(30), 4);
        let mut forged = packet.clone();
        forged[5] = 0x7f; // a sequence number far ahead
        assert_eq!(into.open(&mut forged), Err(DropReason::Integrity));
        let mut forged = packet.clone();
        *forged.last_mut().expect("not empty") ^= 1;
        assert_eq!(into.open(&mut forged), Err(DropReason::Integrity));
        assert_eq!(into.highest_sequence(), 0);
        assert!(into.open(&mut packet.clone()).is_ok());
        assert_eq!(into.open(&mut packet.clone()), Err(DropReason::Replayed));
    }
}

#[test]
fn esn_is_authenticated_although_half_of_it_is_not_sent() {
    for transform in every_transform() {
        let packet = seal(&outbound(Suite { transform, esn: true }), &payload(30), 4);
        let result = inbound(Suite { transform, esn: false }).open(&mut packet.clone());
        assert_eq!(result, Err(DropReason::Integrity), "{transform}");
    }
}

#[test]
fn drops_a_dummy_packet_after_counting_it_as_received() {
    for suite in every_suite() {
        let (out, mut into) = (outbound(suite), inbound(suite));
        let packet = seal(&out, &payload(30), 59);
        assert_eq!(into.open(&mut packet.clone()), Err(DropReason::Dummy));
        assert!(DropReason::Dummy.is_authentic());
        assert_eq!(into.open(&mut packet.clone()), Err(DropReason::Replayed));
    }
}

#[test]
fn never_sends_the_same_iv_twice() {
    for suite in every_suite() {
        let out = outbound(suite);
        let iv = |packet: &[u8]| packet[8..suite.transform.header_len()].to_vec();
        let ivs: std::collections::BTreeSet<_> = (0..200).map(|_| iv(&seal(&out, b"same", 4))).collect();
        assert_eq!(ivs.len(), 200, "{suite:?}");
    }
}

#[test]
fn a_cbc_iv_shows_nothing_of_the_sequence_number() {
    let suite = Suite { transform: Transform::AesCbc(AesBits::Aes256, Integ::HmacSha256_128), esn: false };
    let out = outbound(suite);
    let (first, second) = (seal(&out, b"same", 4), seal(&out, b"same", 4));
    let differing: u32 = first[8..24].iter().zip(&second[8..24]).map(|(a, b)| (a ^ b).count_ones()).sum();
    assert!((32..=96).contains(&differing), "{differing} of 128 bits differ");
}

#[test]
fn works_at_every_offset_of_a_buffer() {
    for suite in every_suite() {
        let (out, mut into) = (outbound(suite), inbound(suite));
        for offset in 0..33 {
            let payload = payload(100);
            let mut buffer = vec![0xaa; offset + out.sealed_len(100) + 7];
            buffer[offset + out.header_len()..][..100].copy_from_slice(&payload);
            let sequence = out.reserve(1).expect("left").next().expect("one");
            let len = out.seal(sequence, &mut buffer[offset..], 100, 4).expect("room");
            assert!(buffer[..offset].iter().chain(&buffer[offset + len..]).all(|octet| *octet == 0xaa));
            let packet = &mut buffer[offset..][..len];
            let opened = into.open(packet).expect("authentic");
            assert_eq!(packet[opened.range], payload);
        }
    }
}

#[test]
fn refuses_a_buffer_that_is_too_short_and_leaves_it_alone() {
    for suite in every_suite() {
        let out = outbound(suite);
        for (room, payload_len) in [(out.sealed_len(10) - 1, 10), (0, 0), (9000, 70_000), (100, usize::MAX)] {
            let mut buffer = vec![0xaa; room];
            let sequence = out.reserve(1).expect("left").next().expect("one");
            assert_eq!(out.seal(sequence, &mut buffer, payload_len, 4), Err(DropReason::NoRoom));
            assert!(buffer.iter().all(|octet| *octet == 0xaa));
        }
    }
}

/// A buffer with the payloads of `lens` in place, back to back as UDP GSO wants them.
fn batch(sa: &OutboundSa, lens: &[usize]) -> (Vec<u8>, Vec<Segment>) {
    let (mut buffer, mut segments) = (Vec::new(), Vec::new());
    for (&len, next_header) in lens.iter().zip([4, 41].into_iter().cycle()) {
        let offset = buffer.len();
        buffer.resize(offset + sa.sealed_len(len), 0);
        buffer[offset + sa.header_len()..][..len].copy_from_slice(&payload(len));
        segments.push(Segment { offset, payload_len: len, next_header });
    }
    (buffer, segments)
}

fn assert_batch_equals_one_by_one(suite: Suite, lens: &[usize]) {
    let (out, single) = (outbound(suite), outbound(suite));
    let (mut buffer, segments) = batch(&out, lens);
    let sequences = out.reserve(lens.len() as u32).expect("left");
    assert_eq!(out.seal_batch(sequences, &mut buffer, &segments), Ok(buffer.len()));
    for segment in segments {
        let alone = seal(&single, &payload(segment.payload_len), segment.next_header);
        assert_eq!(buffer[segment.offset..][..alone.len()], alone, "{suite:?}, {segment:?} of {lens:?}");
    }
}

#[test]
fn seals_a_batch_as_it_seals_one_by_one() {
    for suite in every_suite() {
        assert_batch_equals_one_by_one(suite, &[]);
        assert_batch_equals_one_by_one(suite, &[1408]);
        assert_batch_equals_one_by_one(suite, &[1408; 16]);
        assert_batch_equals_one_by_one(suite, &[1408; 45]);
        assert_batch_equals_one_by_one(suite, &[&[1408; 20][..], &[33]].concat());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn seals_any_batch_as_it_seals_one_by_one(
        lens in proptest::collection::vec(0_usize..600, 0..40),
        bits in proptest::sample::select(vec![AesBits::Aes128, AesBits::Aes192, AesBits::Aes256]),
        esn: bool,
    ) {
        let suite = Suite { transform: Transform::AesCbc(bits, Integ::HmacSha1_96), esn };
        assert_batch_equals_one_by_one(suite, &lens);
    }
}

#[test]
fn opens_a_batch_within_one_buffer() {
    for suite in every_suite() {
        let (out, mut into) = (outbound(suite), inbound(suite));
        let lens = [500, 500, 500, 20];
        let (mut buffer, segments) = batch(&out, &lens);
        out.seal_batch(out.reserve(4).expect("left"), &mut buffer, &segments).expect("room");
        let packets = segments.iter().map(|s| s.offset..s.offset + out.sealed_len(s.payload_len));
        let outside = std::iter::once(buffer.len() - 5..buffer.len() + 5);
        let mut results = Vec::new();
        into.open_batch(&mut buffer, packets.chain(outside), &mut results);
        assert_eq!(results.pop(), Some(Err(DropReason::Runt)));
        for (result, len) in results.into_iter().zip(lens) {
            assert_eq!(buffer[result.expect("authentic").range], payload(len));
        }
    }
}

#[test]
fn rejects_a_batch_whose_segments_overlap_or_leave_the_buffer() {
    for suite in every_suite() {
        let out = outbound(suite);
        let (buffer, segments) = batch(&out, &[100, 100]);
        let overlapping = [segments[0], Segment { offset: segments[1].offset - 1, ..segments[1] }];
        let descending = [segments[1], segments[0]];
        let outside = [segments[0], Segment { offset: segments[1].offset + 1, ..segments[1] }];
        let absurd = [Segment { offset: usize::MAX, payload_len: usize::MAX, next_header: 4 }];
        for layout in [&overlapping[..], &descending, &outside, &absurd] {
            let mut untouched = buffer.clone();
            let sequences = out.reserve(2).expect("left");
            assert_eq!(out.seal_batch(sequences, &mut untouched, layout), Err(DropReason::NoRoom));
            assert_eq!(untouched, buffer);
        }
        let (mut buffer, segments) = batch(&out, &[1; 3]);
        let sequences = out.reserve(2).expect("left");
        assert_eq!(out.seal_batch(sequences, &mut buffer, &segments), Err(DropReason::Exhausted));
    }
}

#[test]
fn refuses_keys_spis_and_windows_that_do_not_fit() {
    for suite in every_suite() {
        let transform = suite.transform;
        let with = |spi, keys, replay_window| {
            InboundSa::new(InboundConfig { spi: Spi(spi), suite, keys, replay_window }).err()
        };
        for spi in [0, 1, 255] {
            assert_eq!(with(spi, keys(transform), 1024), Some(SaError::ReservedSpi(Spi(spi))));
        }
        assert_eq!(with(256, keys(transform), 1024), None);
        for window in [0, 32, 1000] {
            assert_eq!(with(256, keys(transform), window), Some(SaError::Window(window)));
        }
        let short = SaKeys { encr: Secret::new(vec![1; transform.encr_key_len() - 1]), ..keys(transform) };
        assert!(matches!(with(256, short, 1024), Some(SaError::EncryptionKey { .. })));
        let long = SaKeys { integ: Secret::new(vec![1; transform.integ_key_len() + 1]), ..keys(transform) };
        assert!(matches!(with(256, long, 1024), Some(SaError::IntegrityKey { .. })));
    }
}

fn seal_number(sa: &OutboundSa, skip: u32) -> Vec<u8> {
    sa.reserve(skip).expect("numbers left");
    seal(sa, b"payload", 4)
}

#[test]
fn crosses_two_to_the_32_with_esn() {
    for transform in every_transform() {
        let suite = Suite { transform, esn: true };
        let (out, mut into) = (outbound(suite), inbound(suite));
        let mut first = seal(&out, b"payload", 4);
        let mut half = seal_number(&out, 1 << 31);
        let mut before = seal_number(&out, (1 << 31) - 10);
        let mut late = seal(&out, b"payload", 4);
        let mut after = seal_number(&out, 20);
        assert!(after[4..8] < before[4..8], "the lower half has wrapped");
        let results: Vec<_> = [&mut first, &mut half, &mut before, &mut after, &mut late]
            .into_iter()
            .map(|packet| into.open(packet).map(|opened| opened.sequence))
            .collect();
        assert!(results.iter().all(Result::is_ok), "{transform}: {results:?}");
        assert!(into.highest_sequence() > 1 << 32);
        assert!(results[4].is_ok_and(|number| number < 1 << 32));
    }
}
