//! Cost of sealing and opening one ESP packet, next to the bare cipher in the same run.
//!
//! `cargo bench -p cygnet-benches --bench esp`; one iteration handles 32 packets, so divide the time by 32 or read the
//! elements per second. The goals are ratios: sealing or opening 1408 octets with AES-GCM-256 within 1.3 times the bare
//! AEAD; AES-CBC with HMAC in batches of 16 within half of one by one.

use std::hint::black_box;
use std::ops::Range;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use cygnet_esp::secret::Secret;
use cygnet_esp::{
    AesBits, InboundConfig, InboundSa, Integ, OutboundConfig, OutboundSa, SaKeys, Segment, Spi, Suite, Transform,
};
use ring::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// Packets per iteration, in rotation: more than a first-level cache line set, as in a GSO batch.
const PACKETS: usize = 32;

/// Payload lengths in octets: a bare acknowledgement, the least IPv4 MTU, a full segment.
const SIZES: [usize; 3] = [64, 576, 1408];

const SPI: Spi = Spi(0x0100_c0de);

const AEAD_HEADER_LEN: usize = 16;

fn keys(transform: Transform) -> SaKeys {
    SaKeys {
        encr: Secret::new(vec![7; transform.encr_key_len()]),
        integ: Secret::new(vec![9; transform.integ_key_len()]),
    }
}

fn outbound(transform: Transform) -> OutboundSa {
    let suite = Suite { transform, esn: true };
    OutboundSa::new(OutboundConfig { spi: SPI, suite, keys: keys(transform), soft_limit: None }).expect("valid")
}

fn inbound(transform: Transform) -> InboundSa {
    let suite = Suite { transform, esn: true };
    InboundSa::new(InboundConfig { spi: SPI, suite, keys: keys(transform), replay_window: 1024 }).expect("valid")
}

/// [`PACKETS`] segments back to back.
fn layout(sa: &OutboundSa, payload_len: usize) -> (Vec<u8>, Vec<Segment>) {
    let stride = sa.sealed_len(payload_len);
    let segments = (0..PACKETS).map(|n| Segment { offset: n * stride, payload_len, next_header: 4 }).collect();
    (vec![0xab; PACKETS * stride], segments)
}

fn ranges(sa: &OutboundSa, segments: &[Segment]) -> Vec<Range<usize>> {
    segments.iter().map(|s| s.offset..s.offset + sa.sealed_len(s.payload_len)).collect()
}

fn seal_one_by_one(sa: &OutboundSa, buffer: &mut [u8], segments: &[Segment]) {
    for segment in segments {
        let sequence = sa.reserve(1).expect("left").next().expect("one");
        sa.seal(sequence, &mut buffer[segment.offset..], segment.payload_len, segment.next_header).expect("room");
    }
}

fn seal_in_batches(sa: &OutboundSa, buffer: &mut [u8], segments: &[Segment]) {
    for segments in segments.chunks(16) {
        let sequences = sa.reserve(segments.len() as u32).expect("left");
        sa.seal_batch(sequences, buffer, segments).expect("room");
    }
}

fn ring_key(algorithm: &'static Algorithm) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(algorithm, &[7; 32]).expect("key length"))
}

fn nonce(counter: u64) -> Nonce {
    let mut octets = [0; 12];
    octets[4..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(octets)
}

/// What ring needs for one packet of the same layout, and nothing else.
fn ring_seal(key: &LessSafeKey, counter: u64, packet: &mut [u8]) {
    let (header, rest) = packet.split_at_mut(AEAD_HEADER_LEN);
    let (body, icv) = rest.split_at_mut(rest.len() - 16);
    let tag = key.seal_in_place_separate_tag(nonce(counter), Aad::from(&header[..8]), body).expect("short");
    icv.copy_from_slice(tag.as_ref());
}

fn ring_open(key: &LessSafeKey, counter: u64, packet: &mut [u8]) {
    let (header, body) = packet.split_at_mut(AEAD_HEADER_LEN);
    key.open_in_place(nonce(counter), Aad::from(&header[..8]), body).expect("authentic");
}

fn group<'c>(c: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(PACKETS as u64));
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20);
    group
}

const AEADS: [(Transform, &Algorithm); 2] =
    [(Transform::AesGcm16(AesBits::Aes256), &AES_256_GCM), (Transform::ChaCha20Poly1305, &CHACHA20_POLY1305)];

fn seal_aead(c: &mut Criterion) {
    for (transform, algorithm) in AEADS {
        let mut group = group(c, &format!("seal {transform}"));
        for size in SIZES {
            let sa = outbound(transform);
            let (mut buffer, segments) = layout(&sa, size);
            group.bench_function(BenchmarkId::new("esp", size), |b| {
                b.iter(|| seal_one_by_one(&sa, black_box(&mut buffer), &segments));
            });
            group.bench_function(BenchmarkId::new("esp batch", size), |b| {
                b.iter(|| seal_in_batches(&sa, black_box(&mut buffer), &segments));
            });
            let (key, stride) = (ring_key(algorithm), sa.sealed_len(size));
            let mut counter = 0;
            group.bench_function(BenchmarkId::new("ring", size), |b| {
                b.iter(|| {
                    for packet in black_box(&mut buffer).chunks_exact_mut(stride) {
                        counter += 1;
                        ring_seal(&key, counter, packet);
                    }
                });
            });
        }
    }
}

fn open_aead(c: &mut Criterion) {
    for (transform, algorithm) in AEADS {
        let mut group = group(c, &format!("open {transform}"));
        for size in SIZES {
            bench_open(&mut group, "esp", transform, size);
            let (key, stride) = (ring_key(algorithm), outbound(transform).sealed_len(size));
            let mut sealed = vec![0xab; PACKETS * stride];
            sealed.chunks_exact_mut(stride).zip(0..).for_each(|(packet, n)| ring_seal(&key, n, packet));
            group.bench_function(BenchmarkId::new("ring", size), |b| {
                b.iter_batched_ref(
                    || sealed.clone(),
                    |buffer| {
                        let packets = buffer.chunks_exact_mut(stride).zip(0..);
                        packets.for_each(|(packet, n)| ring_open(&key, n, packet));
                    },
                    BatchSize::SmallInput,
                );
            });
        }
    }
}

/// Seals fresh packets outside of the measurement: the replay window takes each only once.
fn bench_open(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, transform: Transform, size: usize) {
    let (out, mut into) = (outbound(transform), inbound(transform));
    let (plain, segments) = layout(&out, size);
    let packets = ranges(&out, &segments);
    let mut results = Vec::with_capacity(PACKETS);
    group.bench_function(BenchmarkId::new(name, size), |b| {
        b.iter_batched_ref(
            || {
                let mut buffer = plain.clone();
                seal_in_batches(&out, &mut buffer, &segments);
                buffer
            },
            |buffer| {
                results.clear();
                into.open_batch(buffer, packets.iter().cloned(), &mut results);
                assert!(results.iter().all(Result::is_ok));
            },
            BatchSize::SmallInput,
        );
    });
}

fn cbc_hmac(c: &mut Criterion) {
    for integ in [Integ::HmacSha256_128, Integ::HmacSha1_96] {
        let transform = Transform::AesCbc(AesBits::Aes256, integ);
        let mut group = group(c, &format!("{transform}"));
        for size in SIZES {
            let sa = outbound(transform);
            let (mut buffer, segments) = layout(&sa, size);
            group.bench_function(BenchmarkId::new("seal one by one", size), |b| {
                b.iter(|| seal_one_by_one(&sa, black_box(&mut buffer), &segments));
            });
            group.bench_function(BenchmarkId::new("seal in batches of 16", size), |b| {
                b.iter(|| seal_in_batches(&sa, black_box(&mut buffer), &segments));
            });
            bench_open(&mut group, "open", transform, size);
        }
    }
}

criterion_group!(benches, seal_aead, open_aead, cbc_hmac);
criterion_main!(benches);
