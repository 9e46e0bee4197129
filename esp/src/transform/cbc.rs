//! AES-CBC (RFC 3602) with an HMAC over the ciphertext.
//!
//! **IV.** CBC needs an IV that an observer cannot foresee (RFC 3602 section 3). Ours is the sequence number encrypted by AES-128
//! under a key of its own, derived from the integrity key: as unpredictable as AES is a permutation, distinct for every
//! packet of the SA, and without a source of randomness per packet. The key is not the one that encrypts the payload:
//! under one key for both, who chooses plaintexts could make the payload's first block meet the IV's input.
//!
//! **Batch.** Encryption of one packet is serial: each block waits for the one before. [`CbcSealer::seal_group`] takes one
//! block of each of up to [`LANES`] packets per step, which the AES units work on at the same time. The HMACs follow, two
//! packets at once where [`super::sha256_pair`] can.

use std::cmp::Reverse;
use std::ops::Range;

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use aes::{Aes128Dec, Aes128Enc, Aes192Dec, Aes192Enc, Aes256Dec, Aes256Enc, Block};

use super::SequenceInput;
use super::mac::Mac;
use crate::drop_reason::DropReason;
use crate::sa::{SaKeys, Segment};
use crate::suite::{AesBits, ESP_HEADER_LEN, Integ};

/// How many packets are encrypted side by side. Unit: packets; 16 keep the AES units of current processors busy, and more
/// would spill registers.
pub(crate) const LANES: usize = 16;

const BLOCK_LEN: usize = 16;
const HEADER_LEN: usize = ESP_HEADER_LEN + BLOCK_LEN;

/// Shorter than the 40 octets that at least are authenticated in a packet: see [`Mac::derive`].
const IV_KEY_LABEL: &[u8] = b"cygnet ESP IV key";

pub(crate) struct CbcSealer {
    cipher: Encryptor,
    iv_cipher: Aes128Enc,
    mac: Mac,
}

enum Encryptor {
    Aes128(Aes128Enc),
    Aes192(Aes192Enc),
    Aes256(Aes256Enc),
}

impl CbcSealer {
    pub(super) fn new(bits: AesBits, integ: Integ, keys: &SaKeys) -> Self {
        let mac = Mac::new(integ, keys.integ.expose());
        let iv_cipher = Aes128Enc::new(&(*mac.derive(IV_KEY_LABEL)).into());
        let key = keys.encr.expose();
        let cipher = match bits {
            AesBits::Aes128 => Encryptor::Aes128(schedule(key)),
            AesBits::Aes192 => Encryptor::Aes192(schedule(key)),
            AesBits::Aes256 => Encryptor::Aes256(schedule(key)),
        };
        Self { cipher, iv_cipher, mac }
    }

    pub(super) fn seal(&self, sequence: SequenceInput, packet: &mut [u8]) {
        let mut iv = iv_input(sequence.value);
        self.iv_cipher.encrypt_block(&mut iv);
        packet[ESP_HEADER_LEN..HEADER_LEN].copy_from_slice(&iv);
        let end = packet.len() - self.mac.icv_len();
        let body = blocks(&mut packet[HEADER_LEN..end]);
        match &self.cipher {
            Encryptor::Aes128(aes) => encrypt(aes, &iv, body),
            Encryptor::Aes192(aes) => encrypt(aes, &iv, body),
            Encryptor::Aes256(aes) => encrypt(aes, &iv, body),
        }
        self.mac.append(sequence.hidden_half(), packet);
    }

    /// Seals up to [`LANES`] packets side by side. Segments ascend and lie in `buffer`.
    pub(super) fn seal_group(
        &self,
        first: SequenceInput,
        buffer: &mut [u8],
        group: &[Segment],
        sealed_len: impl Fn(&Segment) -> usize,
    ) {
        let mut ivs: [Block; LANES] = std::array::from_fn(|lane| iv_input(first.value.wrapping_add(lane as u64)));
        let ivs = &mut ivs[..group.len()];
        self.iv_cipher.encrypt_blocks(ivs);

        let mut lanes: [Lane<'_>; LANES] = Default::default();
        let (mut rest, mut passed) = (&mut *buffer, 0);
        for ((segment, iv), lane) in group.iter().zip(&*ivs).zip(&mut lanes) {
            let packet;
            let at = segment.offset - passed;
            (packet, rest) = rest.split_at_mut(at + sealed_len(segment));
            passed += packet.len();
            let (header, body) = packet[at..].split_at_mut(HEADER_LEN);
            header[ESP_HEADER_LEN..].copy_from_slice(iv);
            let end = body.len() - self.mac.icv_len();
            *lane = Lane { chain: *iv, body: blocks(&mut body[..end]) };
        }
        match &self.cipher {
            Encryptor::Aes128(aes) => encrypt_lanes(aes, &mut lanes[..group.len()]),
            Encryptor::Aes192(aes) => encrypt_lanes(aes, &mut lanes[..group.len()]),
            Encryptor::Aes256(aes) => encrypt_lanes(aes, &mut lanes[..group.len()]),
        }
        self.append_icvs(first, buffer, group, sealed_len);
    }

    fn append_icvs(
        &self,
        first: SequenceInput,
        buffer: &mut [u8],
        group: &[Segment],
        sealed_len: impl Fn(&Segment) -> usize,
    ) {
        let hidden_half = |value| SequenceInput { value, ..first }.hidden_half();
        for (segments, value) in group.chunks(2).zip((first.value..).step_by(2)) {
            match segments {
                [one, two] => {
                    let (before, from_two) = buffer.split_at_mut(two.offset);
                    let packets = [&mut before[one.offset..][..sealed_len(one)], &mut from_two[..sealed_len(two)]];
                    self.mac.append_pair([hidden_half(value), hidden_half(value + 1)], packets);
                }
                rest => {
                    for one in rest {
                        self.mac.append(hidden_half(value), &mut buffer[one.offset..][..sealed_len(one)]);
                    }
                }
            }
        }
    }
}

pub(crate) struct CbcOpener {
    cipher: Decryptor,
    mac: Mac,
}

enum Decryptor {
    Aes128(Aes128Dec),
    Aes192(Aes192Dec),
    Aes256(Aes256Dec),
}

impl CbcOpener {
    pub(super) fn new(bits: AesBits, integ: Integ, keys: &SaKeys) -> Self {
        let key = keys.encr.expose();
        let cipher = match bits {
            AesBits::Aes128 => Decryptor::Aes128(schedule(key)),
            AesBits::Aes192 => Decryptor::Aes192(schedule(key)),
            AesBits::Aes256 => Decryptor::Aes256(schedule(key)),
        };
        Self { cipher, mac: Mac::new(integ, keys.integ.expose()) }
    }

    pub(super) fn open(&self, sequence: SequenceInput, packet: &mut [u8]) -> Result<Range<usize>, DropReason> {
        let body = HEADER_LEN..packet.len() - self.mac.icv_len();
        if !body.len().is_multiple_of(BLOCK_LEN) {
            return Err(DropReason::Runt);
        }
        self.mac.verify(sequence.hidden_half(), packet)?;
        let (header, ciphertext) = packet[..body.end].split_at_mut(body.start);
        let iv = Block::try_from(&header[ESP_HEADER_LEN..]).expect("the IV is one block");
        let ciphertext = blocks(ciphertext);
        match &self.cipher {
            Decryptor::Aes128(aes) => decrypt(aes, &iv, ciphertext),
            Decryptor::Aes192(aes) => decrypt(aes, &iv, ciphertext),
            Decryptor::Aes256(aes) => decrypt(aes, &iv, ciphertext),
        }
        Ok(body)
    }
}

/// One packet of a group: the last ciphertext block, and the blocks still in plaintext.
#[derive(Default)]
struct Lane<'a> {
    chain: Block,
    body: &'a mut [Block],
}

/// CBC in all lanes at once. Lanes may differ in length: the longest come first, and the others drop out as they end.
fn encrypt_lanes<C: BlockCipherEncrypt<BlockSize = U16>>(cipher: &C, lanes: &mut [Lane<'_>]) {
    lanes.sort_unstable_by_key(|lane| Reverse(lane.body.len()));
    let mut chain = [Block::default(); LANES];
    for (state, lane) in chain.iter_mut().zip(&*lanes) {
        *state = lane.chain;
    }
    let mut active = lanes.len();
    for index in 0..lanes.first().map_or(0, |lane| lane.body.len()) {
        while lanes[active - 1].body.len() == index {
            active -= 1;
        }
        for (state, lane) in chain.iter_mut().zip(&lanes[..active]) {
            xor(state, &lane.body[index]);
        }
        cipher.encrypt_blocks(&mut chain[..active]);
        for (state, lane) in chain.iter().zip(&mut lanes[..active]) {
            lane.body[index] = *state;
        }
    }
}

fn encrypt<C: BlockCipherEncrypt<BlockSize = U16>>(cipher: &C, iv: &Block, body: &mut [Block]) {
    ::cbc::Encryptor::inner_iv_init(cipher, iv).encrypt_blocks(body);
}

fn decrypt<C: BlockCipherDecrypt<BlockSize = U16>>(cipher: &C, iv: &Block, body: &mut [Block]) {
    ::cbc::Decryptor::inner_iv_init(cipher, iv).decrypt_blocks(body);
}

fn xor(state: &mut Block, block: &Block) {
    let mixed = u128::from_ne_bytes((*state).into()) ^ u128::from_ne_bytes((*block).into());
    *state = mixed.to_ne_bytes().into();
}

fn iv_input(sequence: u64) -> Block {
    u128::from(sequence).to_be_bytes().into()
}

fn schedule<C: KeyInit>(key: &[u8]) -> C {
    C::new_from_slice(key).expect("the SA checks key lengths")
}

fn blocks(body: &mut [u8]) -> &mut [Block] {
    let (blocks, rest) = Block::slice_as_chunks_mut(body);
    debug_assert!(rest.is_empty(), "the body is padded to whole blocks");
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 3602, section 4, cases 1 and 2.
    #[test]
    fn encrypts_and_decrypts_the_published_blocks() {
        let case_1 = (
            0x06a9_2140_36b8_a15b_512e_03d5_3412_0006_u128,
            0x3daf_ba42_9d9e_b430_b422_da80_2c9f_ac41_u128,
            vec![u128::from_be_bytes(*b"Single block msg")],
            vec![0xe353_779c_1079_aeb8_2708_942d_be77_181a_u128],
        );
        let case_2 = (
            0xc286_696d_887c_9aa0_611b_bb3e_2025_a45a,
            0x562e_1799_6d09_3d28_ddb3_ba69_5a2e_6f58,
            vec![0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f, 0x1011_1213_1415_1617_1819_1a1b_1c1d_1e1f],
            vec![0xd296_cd94_c2cc_cf8a_3a86_3028_b5e1_dc0a, 0x7586_602d_253c_fff9_1b82_66be_a6d6_1ab1],
        );
        for (key, iv, plaintext, ciphertext) in [case_1, case_2] {
            let (key, iv) = (key.to_be_bytes(), Block::from(iv.to_be_bytes()));
            let expected: Vec<u8> = ciphertext.iter().flat_map(|block| block.to_be_bytes()).collect();
            let plain: Vec<u8> = plaintext.iter().flat_map(|block| block.to_be_bytes()).collect();

            let mut body = plain.clone();
            encrypt(&Aes128Enc::new(&key.into()), &iv, blocks(&mut body));
            assert_eq!(body, expected);

            let mut body_in_lane = plain.clone();
            let lane = Lane { chain: iv, body: blocks(&mut body_in_lane) };
            encrypt_lanes(&Aes128Enc::new(&key.into()), &mut [lane]);
            assert_eq!(body_in_lane, expected);

            decrypt(&Aes128Dec::new(&key.into()), &iv, blocks(&mut body));
            assert_eq!(body, plain);
        }
    }

    #[test]
    fn lanes_of_unlike_length_equal_one_packet_after_the_other() {
        let aes = Aes256Enc::new(&[5; 32].into());
        let lens = [3, 0, 7, 7, 1, 90, 2, 0, 16, 15, 17, 1, 1, 5, 88, 88];
        let mut bodies: Vec<Vec<u8>> =
            lens.iter().map(|len| (0..=255).cycle().take(len * BLOCK_LEN).collect()).collect();
        let mut expected = bodies.clone();
        for (number, body) in expected.iter_mut().enumerate() {
            encrypt(&aes, &iv_input(number as u64), blocks(body));
        }
        let mut lanes: Vec<Lane<'_>> = bodies
            .iter_mut()
            .enumerate()
            .map(|(number, body)| Lane { chain: iv_input(number as u64), body: blocks(body) })
            .collect();
        encrypt_lanes(&aes, &mut lanes);
        assert_eq!(bodies, expected);
    }

    #[test]
    fn has_nothing_to_do_without_lanes() {
        encrypt_lanes(&Aes128Enc::new(&[5; 16].into()), &mut []);
    }

    #[test]
    fn the_label_of_the_iv_key_is_shorter_than_what_any_packet_authenticates() {
        assert!(IV_KEY_LABEL.len() < HEADER_LEN + BLOCK_LEN);
    }
}
