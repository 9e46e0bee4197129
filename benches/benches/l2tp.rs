//! What L2TP costs a packet beside ESP: the headers that a worker reads on the way in and writes on the way out, next to the same packet in
//! a plain tunnel in the same run (the baseline).
//!
//! `cargo bench -p cygnet-benches --bench l2tp`; one iteration handles 32 packets, so divide the time by 32 or read the elements per
//! second. The goal: L2TP within 1.1 times the plain tunnel, both with AES-CBC-256 and HMAC-SHA1, which stock clients choose.

use std::hint::black_box;
use std::ops::Range;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use cygnet_esp::secret::Secret;
use cygnet_esp::{
    AesBits, InboundConfig, InboundSa, Integ, OutboundConfig, OutboundSa, SaKeys, Segment, Spi, Suite, Transform,
    inner, udp_transport,
};
use cygnet_l2tp::data;
use cygnet_ppp::frame::{self, Head, Protocol};

const PACKETS: usize = 32;

/// Lengths of IP packets in octets: a bare acknowledgement, the least IPv4 MTU, a full segment.
const SIZES: [usize; 3] = [64, 576, 1388];

const SPI: Spi = Spi(0x0100_c0de);
const SUITE: Suite = Suite { transform: Transform::AesCbc(AesBits::Aes256, Integ::HmacSha1_96), esn: false };
const IPV4: u8 = 4;

/// What is around the IP packet inside ESP.
#[derive(Clone, Copy)]
enum Around {
    Nothing,
    L2tp,
}

const KINDS: [(&str, Around); 2] = [("plain tunnel", Around::Nothing), ("l2tp", Around::L2tp)];

impl Around {
    fn headers(self, packet_len: usize) -> Vec<u8> {
        let Self::L2tp = self else { return Vec::new() };
        let head = Head::full(Protocol::IPV4);
        let l2tp = data::header(1, 1, (head.as_slice().len() + packet_len) as u16);
        let udp_len = l2tp.len() + head.as_slice().len() + packet_len;
        let udp = udp_transport::header(data::PORT, data::PORT, udp_len).expect("short");
        [&udp, &l2tp, head.as_slice()].concat()
    }

    fn next_header(self) -> u8 {
        match self {
            Self::Nothing => IPV4,
            Self::L2tp => udp_transport::UDP,
        }
    }

    /// Where the IP packet is in what ESP held, with all checks but that of the source address.
    fn find(self, next_header: u8, plaintext: &[u8]) -> Option<Range<usize>> {
        let Self::L2tp = self else {
            return inner::tunnel_payload(next_header, plaintext).ok().map(|len| 0..len);
        };
        let udp = udp_transport::parse(next_header, plaintext).ok().filter(|udp| udp.destination == data::PORT)?;
        let datagram = &plaintext[udp.payload.clone()];
        let (header, at) = data::parse(datagram).ok()?;
        let (protocol, offset) = frame::parse(&datagram[at.clone()]).ok()?;
        if (header.tunnel, header.session, protocol) != (1, 1, Protocol::IPV4) {
            return None;
        }
        let start = udp.payload.start + at.start + offset;
        let len = inner::tunnel_payload(IPV4, &plaintext[start..udp.payload.start + at.end]).ok()?;
        Some(start..start + len)
    }
}

fn keys() -> SaKeys {
    SaKeys {
        encr: Secret::new(vec![7; SUITE.transform.encr_key_len()]),
        integ: Secret::new(vec![9; SUITE.transform.integ_key_len()]),
    }
}

fn outbound() -> OutboundSa {
    OutboundSa::new(OutboundConfig { spi: SPI, suite: SUITE, keys: keys(), soft_limit: None }).expect("valid")
}

fn inbound() -> InboundSa {
    InboundSa::new(InboundConfig { spi: SPI, suite: SUITE, keys: keys(), replay_window: 1024 }).expect("valid")
}

fn ip_packet(len: usize) -> Vec<u8> {
    let mut packet = vec![0xab; len];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    packet
}

/// Writes headers and packets to where they are sealed, then seals them together.
fn send(
    sa: &OutboundSa,
    headers: &[u8],
    packet: &[u8],
    next_header: u8,
    buffer: &mut [u8],
    segments: &mut Vec<Segment>,
) {
    segments.clear();
    let payload_len = headers.len() + packet.len();
    let stride = sa.sealed_len(payload_len);
    for n in 0..PACKETS {
        let offset = n * stride;
        let (front, back) = buffer[offset + sa.header_len()..][..payload_len].split_at_mut(headers.len());
        front.copy_from_slice(headers);
        back.copy_from_slice(packet);
        segments.push(Segment { offset, payload_len, next_header });
    }
    sa.seal_batch(sa.reserve(PACKETS as u32).expect("left"), buffer, segments).expect("room");
}

fn paths(c: &mut Criterion) {
    for (direction, is_inbound) in [("in", true), ("out", false)] {
        let mut group = c.benchmark_group(format!("l2tp {direction}"));
        group.throughput(Throughput::Elements(PACKETS as u64));
        group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20);
        for size in SIZES {
            for (name, around) in KINDS {
                let (sa, packet, headers) = (outbound(), ip_packet(size), around.headers(size));
                let stride = sa.sealed_len(headers.len() + size);
                let mut segments = Vec::with_capacity(PACKETS);
                let id = BenchmarkId::new(name, size);
                let mut sealed = move |buffer: &mut [u8]| {
                    send(&sa, &headers, &packet, around.next_header(), buffer, &mut segments);
                };
                let mut buffer = vec![0; PACKETS * stride];
                if !is_inbound {
                    group.bench_function(id, |b| b.iter(|| sealed(black_box(&mut buffer))));
                    continue;
                }
                let mut receiver = inbound();
                let mut fresh = || {
                    sealed(&mut buffer);
                    buffer.clone()
                };
                let mut receive = |buffer: &mut Vec<u8>| {
                    for packet in buffer.chunks_exact_mut(stride) {
                        let opened = receiver.open(packet).expect("authentic");
                        let at = around.find(opened.next_header, &packet[opened.range]);
                        assert_eq!(black_box(at).map(|at| at.len()), Some(size));
                    }
                };
                group.bench_function(id, |b| b.iter_batched_ref(&mut fresh, &mut receive, BatchSize::SmallInput));
            }
        }
    }
}

criterion_group!(benches, paths);
criterion_main!(benches);
