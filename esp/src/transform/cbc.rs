//! AES-CBC (RFC 3602) with an HMAC over the ciphertext.
//!
//! **IV.** CBC needs an IV that an observer cannot foresee (RFC 3602 section 3). Ours is the sequence number encrypted by AES-128
//! under a key of its own, derived from the integrity key: as unpredictable as AES is a permutation, distinct for every
//! packet of the SA, and without a source of randomness per packet. The key is not the one that encrypts the payload:
//! under one key for both, who chooses plaintexts could make the payload's first block meet the IV's input.
//!
//! **Batch.** Encryption of one packet is serial: each block waits for the one before. [`CbcSealer::seal_group`] takes one
//! block of each of up to [`LANES`] packets per step, which the AES units work on at the same time.

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
        for (segment, value) in group.iter().zip(first.value..) {
            let packet = &mut buffer[segment.offset..][..sealed_len(segment)];
            self.mac.append(SequenceInput { value, ..first }.hidden_half(), packet);
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
