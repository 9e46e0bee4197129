//! HMAC-SHA-256 (RFC 2104, FIPS 180-4) of two messages of equal length at once.
//!
//! The SHA instructions of x86-64 wait for their own results: one message uses half of what the unit could do. Two
//! independent messages, instruction by instruction in turn, take little longer than one. Batches of AES-CBC packets
//! bring such messages; everything else, and every other processor, uses ring.
//!
//! The slow twin is ring, in the tests.

use zeroize::Zeroizing;

#[cfg(target_arch = "x86_64")]
use self::x86::ShaInstructions;

const BLOCK_LEN: usize = 64;

/// Length of a SHA-256 digest in octets.
pub(super) const DIGEST_LEN: usize = 32;

type State = [u32; 8];
type Blocks<'a> = &'a [[u8; BLOCK_LEN]];

/// FIPS 180-4, section 5.3.3.
const INITIAL: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A key of HMAC-SHA-256, ready for two messages at once.
pub(super) struct PairedHmac {
    /// The states after the key XOR ipad and after the key XOR opad.
    keyed: Zeroizing<[State; 2]>,
    sha: ShaInstructions,
}

impl PairedHmac {
    /// `None` if the processor lacks the instructions. The key must be no longer than a block (64 octets).
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        let sha = ShaInstructions::detect()?;
        let mut pads = Zeroizing::new([[0x36; BLOCK_LEN], [0x5c; BLOCK_LEN]]);
        for pad in pads.iter_mut() {
            for (octet, key) in pad.iter_mut().zip(key) {
                *octet ^= key;
            }
        }
        let mut keyed = Zeroizing::new([INITIAL; 2]);
        sha.compress_pair(&mut keyed, [&pads[..1], &pads[1..]]);
        Some(Self { keyed, sha })
    }

    /// The codes of two messages, each of which is continued by its tail of at most 4 octets.
    ///
    /// Messages and tails must be of equal length.
    pub(super) fn codes(&self, messages: [&[u8]; 2], tails: [&[u8]; 2]) -> [[u8; DIGEST_LEN]; 2] {
        let [inner, outer] = *self.keyed;
        let mut states = [inner; 2];
        let split = messages.map(|message| message.as_chunks::<BLOCK_LEN>());
        self.sha.compress_pair(&mut states, split.map(|(blocks, _)| blocks));
        let ends = [0, 1].map(|lane| LastBlocks::new(split[lane].1, tails[lane], messages[lane].len()));
        self.sha.compress_pair(&mut states, [ends[0].blocks(), ends[1].blocks()]);

        let digests = states.map(octets);
        let ends = digests.map(|digest| LastBlocks::new(&digest, &[], DIGEST_LEN));
        let mut states = [outer; 2];
        self.sha.compress_pair(&mut states, [ends[0].blocks(), ends[1].blocks()]);
        states.map(octets)
    }
}

fn octets(state: State) -> [u8; DIGEST_LEN] {
    let mut digest = [0; DIGEST_LEN];
    for (octets, word) in digest.chunks_exact_mut(4).zip(state) {
        octets.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

/// What is left of a message, padded as FIPS 180-4 section 5.1.1 says.
struct LastBlocks {
    padded: [[u8; BLOCK_LEN]; 2],
    count: usize,
}

impl LastBlocks {
    /// `message_len` is the length without `tail`; the block of the key comes before it.
    fn new(rest: &[u8], tail: &[u8], message_len: usize) -> Self {
        let mut padded = [[0; BLOCK_LEN]; 2];
        let flat = padded.as_flattened_mut();
        let len = rest.len() + tail.len();
        flat[..rest.len()].copy_from_slice(rest);
        flat[rest.len()..len].copy_from_slice(tail);
        flat[len] = 0x80;
        let count = (len + 1 + 8).div_ceil(BLOCK_LEN);
        let bits = (BLOCK_LEN + message_len + tail.len()) as u64 * 8;
        flat[count * BLOCK_LEN - 8..count * BLOCK_LEN].copy_from_slice(&bits.to_be_bytes());
        Self { padded, count }
    }

    fn blocks(&self) -> Blocks<'_> {
        &self.padded[..self.count]
    }
}

#[cfg(not(target_arch = "x86_64"))]
enum ShaInstructions {}

#[cfg(not(target_arch = "x86_64"))]
impl ShaInstructions {
    fn detect() -> Option<Self> {
        None
    }

    fn compress_pair(&self, _: &mut [State; 2], _: [Blocks<'_>; 2]) {
        match *self {}
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The compression function, FIPS 180-4 section 6.2.2, with two messages in turn.

    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_sha256msg1_epu32,
        _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi32,
    };

    use super::{BLOCK_LEN, Blocks, State};

    /// FIPS 180-4, section 4.2.2: four constants per step.
    #[rustfmt::skip]
    const K: [[u32; 4]; 16] = [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5], [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3], [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc], [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7], [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13], [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3], [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5], [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208], [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ];

    /// Proof that the processor has the instructions used here.
    #[derive(Clone, Copy)]
    pub(super) struct ShaInstructions(());

    impl ShaInstructions {
        pub(super) fn detect() -> Option<Self> {
            let present = is_x86_feature_detected!("sha")
                && is_x86_feature_detected!("ssse3")
                && is_x86_feature_detected!("sse4.1");
            present.then_some(Self(()))
        }

        /// Continues two states by as many blocks as the shorter of the messages has.
        #[expect(unsafe_code, reason = "calls a function compiled for instructions that not every processor has")]
        pub(super) fn compress_pair(self, states: &mut [State; 2], messages: [Blocks<'_>; 2]) {
            // SAFETY: the only requirement of `compress_pair` is that the processor has the target features it
            // names. `self` exists only if `detect` has found all of them.
            unsafe { compress_pair(states, messages) }
        }
    }

    /// The state in the order of the instructions: ABEF and CDGH.
    type Halves = [__m128i; 2];

    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn compress_pair(states: &mut [State; 2], messages: [Blocks<'_>; 2]) {
        let mut halves = [load_state(&states[0]), load_state(&states[1])];
        let [first, second] = messages;
        for (first, second) in first.iter().zip(second) {
            let before = halves;
            rounds(&mut halves, [load_block(first), load_block(second)]);
            for lane in 0..2 {
                for half in 0..2 {
                    halves[lane][half] = _mm_add_epi32(halves[lane][half], before[lane][half]);
                }
            }
        }
        *states = [store_state(halves[0]), store_state(halves[1])];
    }

    /// 64 rounds, in 16 steps of 4. `words` holds the last 16 words of the message schedule.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn rounds(halves: &mut [Halves; 2], mut words: [[__m128i; 4]; 2]) {
        for turn in 0..4 {
            for quarter in 0..4 {
                let constants = load_words(K[turn * 4 + quarter]);
                for lane in 0..2 {
                    let [abef, cdgh] = halves[lane];
                    let sum = _mm_add_epi32(words[lane][quarter], constants);
                    let next_abef = _mm_sha256rnds2_epu32(cdgh, abef, sum);
                    let upper = _mm_shuffle_epi32::<0x0e>(sum);
                    halves[lane] = [_mm_sha256rnds2_epu32(abef, next_abef, upper), next_abef];
                }
                if turn < 3 {
                    for words in &mut words {
                        words[quarter] = schedule(words, quarter);
                    }
                }
            }
        }
    }

    /// The four words that follow the last 16, the oldest of which are in `words[oldest]`.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    fn schedule(words: &[__m128i; 4], oldest: usize) -> __m128i {
        let [a, b, c, d] = [0, 1, 2, 3].map(|age| words[(oldest + age) % 4]);
        let mixed = _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8::<4>(d, c));
        _mm_sha256msg2_epu32(mixed, d)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load_block(block: &[u8; BLOCK_LEN]) -> [__m128i; 4] {
        let (quarters, _) = block.as_chunks::<16>();
        let mut words = [load_words([0; 4]); 4];
        for (words, quarter) in words.iter_mut().zip(quarters) {
            let (octets, _) = quarter.as_chunks::<4>();
            *words = load_words([0, 1, 2, 3].map(|index| u32::from_be_bytes(octets[index])));
        }
        words
    }

    /// The first word becomes the lowest.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn load_words(words: [u32; 4]) -> __m128i {
        let [a, b, c, d] = words.map(u32::cast_signed);
        _mm_set_epi32(d, c, b, a)
    }

    #[target_feature(enable = "sse2")]
    fn load_state(&[a, b, c, d, e, f, g, h]: &State) -> Halves {
        [load_words([f, e, b, a]), load_words([h, g, d, c])]
    }

    #[target_feature(enable = "sse4.1")]
    fn store_state([abef, cdgh]: Halves) -> State {
        [
            _mm_extract_epi32::<3>(abef),
            _mm_extract_epi32::<2>(abef),
            _mm_extract_epi32::<3>(cdgh),
            _mm_extract_epi32::<2>(cdgh),
            _mm_extract_epi32::<1>(abef),
            _mm_extract_epi32::<0>(abef),
            _mm_extract_epi32::<1>(cdgh),
            _mm_extract_epi32::<0>(cdgh),
        ]
        .map(i32::cast_unsigned)
    }
}

#[cfg(test)]
mod tests {
    use ring::hmac::{HMAC_SHA256, Key, sign};

    use super::*;

    #[test]
    fn computes_what_ring_computes_for_each_of_two_messages() {
        let key: Vec<u8> = (1..=32).collect();
        let Some(paired) = PairedHmac::new(&key) else {
            // On a processor without the instructions nothing uses this module.
            assert!(ShaInstructions::detect().is_none());
            return;
        };
        let slow = Key::new(HMAC_SHA256, &key);
        for len in (0..300).chain([1408, 1448]) {
            let first: Vec<u8> = (0..=255).cycle().take(len).collect();
            let second: Vec<u8> = first.iter().map(|octet| octet ^ 0x5a).collect();
            for tails in [[&[][..], &[]], [&[1, 2, 3, 4], &[5, 6, 7, 8]]] {
                let codes = paired.codes([&first, &second], tails);
                assert_eq!(codes[0], sign(&slow, &[&first, tails[0]].concat()).as_ref(), "{len} octets");
                assert_eq!(codes[1], sign(&slow, &[&second, tails[1]].concat()).as_ref(), "{len} octets");
            }
        }
    }
}
