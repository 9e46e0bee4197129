//! 3DES-CBC (RFC 2451) with an HMAC over the ciphertext: what the oldest L2TP clients offer, and nothing else should use.
//!
//! The IV is made as in [`super::cbc`]: the sequence number encrypted by AES under a key of its own, of which the first block of eight
//! octets is taken. Packets are sealed one by one: whoever needs speed has AES.

use std::ops::Range;

use aes::Aes128Enc;
use aes::cipher::consts::U8;
use aes::cipher::{Array, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use des::TdesEde3;

use super::SequenceInput;
use super::mac::Mac;
use crate::drop_reason::DropReason;
use crate::sa::SaKeys;
use crate::suite::{ESP_HEADER_LEN, Integ};

const BLOCK_LEN: usize = 8;
const HEADER_LEN: usize = ESP_HEADER_LEN + BLOCK_LEN;

/// Shorter than the 24 octets that at least are authenticated in a packet: see [`Mac::derive`].
const IV_KEY_LABEL: &[u8] = b"cygnet ESP IV key";

type Block = Array<u8, U8>;

pub(crate) struct TripleDesSealer {
    cipher: TdesEde3,
    iv_cipher: Aes128Enc,
    mac: Mac,
}

impl TripleDesSealer {
    pub(super) fn new(integ: Integ, keys: &SaKeys) -> Self {
        let mac = Mac::new(integ, keys.integ.expose());
        let iv_cipher = Aes128Enc::new(&(*mac.derive(IV_KEY_LABEL)).into());
        Self { cipher: schedule(keys), iv_cipher, mac }
    }

    pub(super) fn seal(&self, sequence: SequenceInput, packet: &mut [u8]) {
        let mut number = u128::from(sequence.value).to_be_bytes().into();
        self.iv_cipher.encrypt_block(&mut number);
        let iv = Block::try_from(&number[..BLOCK_LEN]).expect("half a block of AES");
        packet[ESP_HEADER_LEN..HEADER_LEN].copy_from_slice(&iv);
        let end = packet.len() - self.mac.icv_len();
        let body = blocks(&mut packet[HEADER_LEN..end]);
        ::cbc::Encryptor::inner_iv_init(&self.cipher, &iv).encrypt_blocks(body);
        self.mac.append(sequence.hidden_half(), packet);
    }
}

pub(crate) struct TripleDesOpener {
    cipher: TdesEde3,
    mac: Mac,
}

impl TripleDesOpener {
    pub(super) fn new(integ: Integ, keys: &SaKeys) -> Self {
        Self { cipher: schedule(keys), mac: Mac::new(integ, keys.integ.expose()) }
    }

    pub(super) fn open(&self, sequence: SequenceInput, packet: &mut [u8]) -> Result<Range<usize>, DropReason> {
        let body = HEADER_LEN..packet.len() - self.mac.icv_len();
        if !body.len().is_multiple_of(BLOCK_LEN) {
            return Err(DropReason::Runt);
        }
        self.mac.verify(sequence.hidden_half(), packet)?;
        let (header, ciphertext) = packet[..body.end].split_at_mut(body.start);
        let iv = Block::try_from(&header[ESP_HEADER_LEN..]).expect("the IV is one block");
        ::cbc::Decryptor::inner_iv_init(&self.cipher, &iv).decrypt_blocks(blocks(ciphertext));
        Ok(body)
    }
}

fn schedule(keys: &SaKeys) -> TdesEde3 {
    TdesEde3::new_from_slice(keys.encr.expose()).expect("the SA checks key lengths")
}

fn blocks(body: &mut [u8]) -> &mut [Block] {
    let (blocks, rest) = Block::slice_as_chunks_mut(body);
    debug_assert!(rest.is_empty(), "the body is padded to whole blocks");
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    // NIST SP 800-67 appendix B.1.
    const KEY: u128 = 0x0123_4567_89ab_cdef_2345_6789_abcd_ef01;
    const KEY_END: u64 = 0x4567_89ab_cdef_0123;
    const PLAINTEXT: &[u8; 24] = b"The qufck brown fox jump";
    const CIPHERTEXT: [u64; 3] = [0xa826_fd8c_e53b_855f, 0xcce2_1c81_1225_6fe6, 0x68d5_c05d_d9b6_b900];

    fn cipher() -> TdesEde3 {
        TdesEde3::new_from_slice(&[&KEY.to_be_bytes()[..], &KEY_END.to_be_bytes()].concat()).unwrap()
    }

    #[test]
    fn computes_the_published_blocks() {
        for (plaintext, ciphertext) in PLAINTEXT.chunks(8).zip(CIPHERTEXT) {
            let mut block = plaintext.to_vec();
            ::cbc::Encryptor::inner_iv_init(&cipher(), &Block::default()).encrypt_blocks(blocks(&mut block));
            assert_eq!(block, ciphertext.to_be_bytes());
        }
    }

    #[test]
    fn each_block_is_chained_to_the_one_before() {
        let iv = Block::from([9; 8]);
        let mut all = *PLAINTEXT;
        ::cbc::Encryptor::inner_iv_init(&cipher(), &iv).encrypt_blocks(blocks(&mut all));
        let mut before = iv;
        for (plaintext, ciphertext) in PLAINTEXT.chunks(8).zip(all.chunks(8)) {
            let mut block: Block = Array::from_fn(|at| plaintext[at] ^ before[at]);
            cipher().encrypt_block(&mut block);
            assert_eq!(block[..], *ciphertext);
            before = block;
        }
        ::cbc::Decryptor::inner_iv_init(&cipher(), &iv).decrypt_blocks(blocks(&mut all));
        assert_eq!(&all, PLAINTEXT);
    }

    #[test]
    fn ivs_of_neighbouring_packets_have_nothing_in_common() {
        let keys = SaKeys { encr: Secret::new((0..24).collect()), integ: Secret::new(vec![1; 20]) };
        let sealer = TripleDesSealer::new(Integ::HmacSha1_96, &keys);
        let iv = |value| {
            let mut packet = vec![0; HEADER_LEN + 16 + 12];
            sealer.seal(SequenceInput { value, esn: false }, &mut packet);
            u64::from_be_bytes(packet[ESP_HEADER_LEN..HEADER_LEN].try_into().unwrap())
        };
        for value in 1..100 {
            let differing = (iv(value) ^ iv(value + 1)).count_ones();
            assert!((10..55).contains(&differing), "{differing} bits");
        }
    }
}
