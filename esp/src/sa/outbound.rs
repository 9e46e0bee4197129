//! The sending side of an SA, RFC 4303 section 3.3.
//!
//! Stages: [`OutboundSa::reserve`] takes sequence numbers with one atomic addition per batch; [`OutboundSa::seal`] and
//! [`OutboundSa::seal_batch`] consume them. Reservations of several workers run in parallel; the order in which packets
//! leave is the caller's. A [`Sequence`] can be neither made nor copied outside, so no number, and with it no nonce, is
//! used twice under one key.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{SaError, SaKeys, check};
use crate::drop_reason::DropReason;
use crate::packet::{Header, Trailer};
use crate::suite::{ESP_HEADER_LEN, Spi, Suite, Transform};
use crate::transform::{LANES, Sealer, SequenceInput};

/// Last sequence number of an SA without ESN, RFC 4303 section 3.3.3: the counter must not cycle.
const LAST_SEQUENCE: u64 = u32::MAX as u64;

/// Last sequence number of an SA with ESN that we use. The other half of the 64 bits is room for the additions of failing
/// reservations, so that the counter itself never wraps.
const LAST_SEQUENCE_ESN: u64 = 1 << 63;

/// Default soft limit without ESN, in packets: half of what the SA can send is left for the rekey.
const SOFT_LIMIT: u64 = 1 << 31;

/// Default soft limit with ESN, in packets. With packets of 1.5 kB it is reached after 2^47 blocks, far from the birthday
/// bound of 2^64 blocks that limits AES-CBC.
const SOFT_LIMIT_ESN: u64 = 1 << 40;

/// Default soft limit of a cipher with blocks of 64 bits, in packets. Packets of 1.5 kB make about 2^31.5 blocks, where the
/// birthday bound of 2^32 blocks (RFC 8221 section 5) is near.
const SOFT_LIMIT_SMALL_BLOCKS: u64 = 1 << 24;

/// What an [`OutboundSa`] is made of.
pub struct OutboundConfig {
    /// SPI that the peer chose for its inbound SA.
    pub spi: Spi,
    /// Transform and sequence number length.
    pub suite: Suite,
    /// Keys of this direction.
    pub keys: SaKeys,
    /// After this many packets [`SequenceRange::crossed_soft_limit`] tells, once, that a rekey is due. `None` takes 2^31,
    /// or 2^40 with ESN, or 2^24 with 3DES.
    pub soft_limit: Option<u64>,
}

/// A sequence number reserved for one packet. It is consumed by sealing and can be neither copied nor made elsewhere.
///
/// It belongs to the SA that handed it out: sealing with another SA would let that one use the number again.
#[derive(Debug, PartialEq, Eq)]
pub struct Sequence(u64);

impl Sequence {
    /// The full number; without ESN its upper half is 0.
    pub fn value(&self) -> u64 {
        self.0
    }
}

/// Consecutive sequence numbers reserved by [`OutboundSa::reserve`]. What is not taken is lost: the peer sees a gap.
#[derive(Debug)]
pub struct SequenceRange {
    next: u64,
    end: u64,
    crossed_soft_limit: bool,
}

impl SequenceRange {
    /// Whether this reservation reached the soft limit of the SA. True for exactly one reservation of an SA.
    pub fn crossed_soft_limit(&self) -> bool {
        self.crossed_soft_limit
    }
}

impl Iterator for SequenceRange {
    type Item = Sequence;

    fn next(&mut self) -> Option<Sequence> {
        (self.next < self.end).then(|| {
            let sequence = Sequence(self.next);
            self.next += 1;
            sequence
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}

impl ExactSizeIterator for SequenceRange {}

/// One packet of a batch: where it lies in the shared buffer.
///
/// Its plaintext is at `offset + header_len()`; sealed it occupies `sealed_len(payload_len)` octets from `offset`. For UDP
/// GSO the offsets are multiples of the sealed length of the first segment, and only the last segment may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Start of the ESP packet in the buffer.
    pub offset: usize,
    /// Length of the plaintext in octets.
    pub payload_len: usize,
    /// 4 for IPv4, 41 for IPv6, 17 for UDP in transport mode, 59 for a dummy packet.
    pub next_header: u8,
}

/// The sending side of an SA. Shared: all methods take `&self`.
pub struct OutboundSa {
    spi: Spi,
    suite: Suite,
    sealer: Sealer,
    soft_limit: u64,
    last: u64,
    /// The next sequence number to hand out. It may run past `last`, never around.
    next: AtomicU64,
}

impl OutboundSa {
    /// Makes the SA. The first packet gets sequence number 1.
    pub fn new(config: OutboundConfig) -> Result<Self, SaError> {
        let OutboundConfig { spi, suite, keys, soft_limit } = config;
        check(spi, suite.transform, &keys)?;
        let (last, default_soft) =
            if suite.esn { (LAST_SEQUENCE_ESN, SOFT_LIMIT_ESN) } else { (LAST_SEQUENCE, SOFT_LIMIT) };
        let small_blocks = matches!(suite.transform, Transform::TripleDesCbc(_));
        let default_soft = if small_blocks { SOFT_LIMIT_SMALL_BLOCKS } else { default_soft };
        Ok(Self {
            spi,
            suite,
            sealer: Sealer::new(suite.transform, &keys),
            soft_limit: soft_limit.unwrap_or(default_soft),
            last,
            next: AtomicU64::new(1),
        })
    }

    /// SPI in the header of every packet.
    pub fn spi(&self) -> Spi {
        self.spi
    }

    /// Transform and sequence number length.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Octets in front of the payload: SPI, sequence number, IV.
    pub fn header_len(&self) -> usize {
        self.suite.transform.header_len()
    }

    /// The most that sealing adds to a payload, in octets.
    pub fn overhead(&self) -> usize {
        self.suite.transform.max_overhead()
    }

    /// Length of the ESP packet for a payload of `payload_len` octets; saturates, so that an absurd length fits no buffer.
    pub fn sealed_len(&self, payload_len: usize) -> usize {
        self.suite.transform.sealed_len(payload_len).unwrap_or(usize::MAX)
    }

    /// How many sequence numbers were handed out.
    pub fn reserved(&self) -> u64 {
        self.next.load(Ordering::Relaxed).min(self.last + 1) - 1
    }

    /// Reserves `count` sequence numbers with one atomic addition.
    ///
    /// Fails with [`DropReason::Exhausted`] when fewer are left, from then on for every `count` but 0: the SA has to be
    /// replaced, RFC 4303 section 3.3.3.
    pub fn reserve(&self, count: u32) -> Result<SequenceRange, DropReason> {
        // Relaxed: the numbers only have to be distinct, they publish nothing.
        let next = self.next.fetch_add(u64::from(count), Ordering::Relaxed);
        let end = next.saturating_add(u64::from(count));
        if end > self.last + 1 {
            return Err(DropReason::Exhausted);
        }
        Ok(SequenceRange { next, end, crossed_soft_limit: next <= self.soft_limit && self.soft_limit < end })
    }

    /// Seals one packet in place and returns its length.
    ///
    /// The payload lies at `packet[header_len()..][..payload_len]`; header, IV, padding, trailer and ICV are written around
    /// it. Fails with [`DropReason::NoRoom`] if `packet` is shorter than `sealed_len(payload_len)`; nothing is written then.
    #[expect(clippy::needless_pass_by_value, reason = "a sequence number is used up by sealing")]
    pub fn seal(
        &self,
        sequence: Sequence,
        packet: &mut [u8],
        payload_len: usize,
        next_header: u8,
    ) -> Result<usize, DropReason> {
        let sealed_len = self.sealed_len(payload_len);
        let packet = packet.get_mut(..sealed_len).ok_or(DropReason::NoRoom)?;
        self.frame(&sequence, packet, payload_len, next_header);
        self.sealer.seal(self.input(sequence.0), packet);
        Ok(sealed_len)
    }

    /// Seals `segments` of one buffer in place, in order, one sequence number each, and returns where the last one ends.
    ///
    /// Segments must ascend and not overlap. AES-CBC, which is serial within a packet, runs up to 16 of them side by side.
    /// Fails with [`DropReason::NoRoom`] if a segment overlaps its predecessor or the end of the buffer, with
    /// [`DropReason::Exhausted`] if `sequences` are fewer than segments. Both are found before anything is written.
    pub fn seal_batch(
        &self,
        mut sequences: SequenceRange,
        buffer: &mut [u8],
        segments: &[Segment],
    ) -> Result<usize, DropReason> {
        if sequences.len() < segments.len() {
            return Err(DropReason::Exhausted);
        }
        let end = self.check_layout(buffer.len(), segments)?;
        for group in segments.chunks(LANES) {
            let first = sequences.next;
            for segment in group {
                let sequence = sequences.next().expect("as many as segments, checked above");
                let sealed_len = self.sealed_len(segment.payload_len);
                let packet = &mut buffer[segment.offset..][..sealed_len];
                self.frame(&sequence, packet, segment.payload_len, segment.next_header);
            }
            self.sealer.seal_group(self.input(first), self.suite, buffer, group);
        }
        Ok(end)
    }

    fn input(&self, value: u64) -> SequenceInput {
        SequenceInput { value, esn: self.suite.esn }
    }

    fn check_layout(&self, buffer_len: usize, segments: &[Segment]) -> Result<usize, DropReason> {
        let mut end = 0;
        for segment in segments {
            if segment.offset < end {
                return Err(DropReason::NoRoom);
            }
            end = segment.offset.saturating_add(self.sealed_len(segment.payload_len));
            if end > buffer_len {
                return Err(DropReason::NoRoom);
            }
        }
        Ok(end)
    }

    /// Writes all that is not encrypted, and the plain trailer. `packet` has exactly the sealed length.
    fn frame(&self, sequence: &Sequence, packet: &mut [u8], payload_len: usize, next_header: u8) {
        let transform = self.suite.transform;
        let header = Header { spi: self.spi, sequence: low_half(sequence.0) };
        packet[..ESP_HEADER_LEN].copy_from_slice(&header.emit());
        let trailer = transform.header_len() + payload_len;
        let end = packet.len() - transform.icv_len();
        Trailer::emit(&mut packet[trailer..end], next_header);
    }
}

fn low_half(sequence: u64) -> u32 {
    (sequence & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::secret::Secret;
    use crate::suite::{AesBits, Transform};

    fn outbound(esn: bool, soft_limit: Option<u64>) -> OutboundSa {
        let transform = Transform::AesGcm16(AesBits::Aes128);
        let keys = SaKeys { encr: Secret::new(vec![1; 20]), integ: Secret::new(vec![]) };
        OutboundSa::new(OutboundConfig { spi: Spi(0x1000), suite: Suite { transform, esn }, keys, soft_limit })
            .expect("valid configuration")
    }

    fn numbers(range: SequenceRange) -> Vec<u64> {
        range.map(|sequence| sequence.value()).collect()
    }

    #[test]
    fn begins_with_number_one() {
        let sa = outbound(false, None);
        assert_eq!(sa.reserved(), 0);
        assert_eq!(numbers(sa.reserve(3).expect("left")), [1, 2, 3]);
        assert_eq!(numbers(sa.reserve(0).expect("left")), []);
        assert_eq!(numbers(sa.reserve(1).expect("left")), [4]);
        assert_eq!(sa.reserved(), 4);
    }

    #[test]
    fn stops_at_the_last_number_without_esn() {
        let sa = outbound(false, None);
        sa.reserve(u32::MAX - 1).expect("left");
        assert_eq!(numbers(sa.reserve(1).expect("the last")), [u64::from(u32::MAX)]);
        for count in [1, 2, u32::MAX] {
            assert_eq!(sa.reserve(count).err(), Some(DropReason::Exhausted));
        }
        assert_eq!(sa.reserved(), u64::from(u32::MAX));
    }

    #[test]
    fn refuses_a_batch_that_does_not_fit_as_a_whole() {
        let sa = outbound(false, None);
        sa.reserve(u32::MAX - 3).expect("left");
        assert_eq!(sa.reserve(4).err(), Some(DropReason::Exhausted));
        assert_eq!(sa.reserve(1).err(), Some(DropReason::Exhausted), "a failed reservation is spent");
    }

    #[test]
    fn goes_on_with_esn() {
        let sa = outbound(true, None);
        sa.reserve(u32::MAX).expect("left");
        assert_eq!(numbers(sa.reserve(2).expect("left")), [1 << 32, (1 << 32) + 1]);
    }

    #[test]
    fn never_wraps_with_esn() {
        let sa = outbound(true, None);
        sa.next.store(LAST_SEQUENCE_ESN, Ordering::Relaxed);
        assert_eq!(numbers(sa.reserve(1).expect("the last")), [LAST_SEQUENCE_ESN]);
        for _ in 0..1000 {
            assert_eq!(sa.reserve(u32::MAX).err(), Some(DropReason::Exhausted));
        }
    }

    #[test]
    fn tells_once_that_the_soft_limit_is_reached() {
        for batch in [1, 3, 64] {
            let sa = outbound(false, Some(100));
            let crossings: Vec<u64> = (0..200)
                .map(|_| sa.reserve(batch).expect("left"))
                .filter(SequenceRange::crossed_soft_limit)
                .map(|range| range.next)
                .collect();
            assert_eq!(crossings.len(), 1, "batches of {batch}");
            assert!(crossings[0] <= 100 && 100 < crossings[0] + u64::from(batch));
        }
    }

    #[test]
    fn has_a_soft_limit_far_before_the_end() {
        let sa = outbound(false, None);
        assert!(!sa.reserve((1 << 31) - 1).expect("left").crossed_soft_limit());
        assert!(sa.reserve(1).expect("left").crossed_soft_limit());
        assert!(sa.reserve((1 << 31) - 1).is_ok());
    }

    #[test]
    fn hands_each_number_to_one_thread_only() {
        let sa = outbound(false, None);
        let seen: Vec<Vec<u64>> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..500).flat_map(|_| numbers(sa.reserve(7).expect("left"))).collect()))
                .collect();
            workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
        });
        let all: BTreeSet<u64> = seen.iter().flatten().copied().collect();
        assert_eq!(all.len(), 4 * 500 * 7);
        assert_eq!(all.last(), Some(&sa.reserved()));
    }
}
