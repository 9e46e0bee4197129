//! SK with an AEAD, RFC 5282 and RFC 7634 section 3: the nonce is salt and IV, the IV a counter, the
//! associated data everything in front of the body.
//!
//! *ring* computes, save for AES-192, which it lacks; `aes-gcm` does that.

use aes::Aes192;
use aes_gcm::{
    AeadInOut, AesGcm, KeyInit,
    aead::{consts::U12, inout::InOutBuf},
};
use ring::aead;

use super::{
    super::suite::{AesBits, Encr},
    Forged,
};

/// Length of the ICV in bytes, the same for all ciphers here.
pub(super) const ICV_LEN: usize = 16;

const IV_LEN: usize = 8;
const NONCE_LEN: usize = 12;

/// An AEAD key, its salt, and the IV of the next message.
pub(super) struct Key {
    cipher: Cipher,
    salt: [u8; 4],
    next_iv: u64,
}

enum Cipher {
    Ring(Box<aead::LessSafeKey>),
    Aes192(Box<AesGcm<Aes192, U12>>),
}

impl Key {
    /// Takes key and salt, which together have the length that `encr` wants.
    pub(super) fn new(encr: Encr, keying: &[u8]) -> Self {
        let (key, salt) = keying.split_at(encr.key_len());
        let cipher = match encr {
            Encr::AesGcm16 { bits: AesBits::B192 } => {
                Cipher::Aes192(Box::new(AesGcm::new_from_slice(key).expect("24 bytes are an AES-192 key")))
            }
            Encr::AesGcm16 { bits: AesBits::B128 } => ring_cipher(&aead::AES_128_GCM, key),
            Encr::AesGcm16 { bits: AesBits::B256 } => ring_cipher(&aead::AES_256_GCM, key),
            Encr::ChaCha20Poly1305 | Encr::AesCbc { .. } | Encr::TripleDesCbc => {
                ring_cipher(&aead::CHACHA20_POLY1305, key)
            }
        };
        Self { cipher, salt: salt.try_into().expect("the salt has four bytes"), next_iv: 0 }
    }

    /// An IV that this key has not used.
    pub(super) fn next_iv(&mut self) -> [u8; IV_LEN] {
        let iv = self.next_iv;
        self.next_iv = iv.checked_add(1).expect("no IKE SA sends 2^64 messages");
        iv.to_be_bytes()
    }

    /// Encrypts what follows the IV in the body at `body`, and appends the ICV.
    pub(super) fn seal(&self, message: &mut Vec<u8>, body: usize) {
        let (header, body) = message.split_at_mut(body);
        let (iv, plaintext) = body.split_at_mut(IV_LEN);
        let nonce = self.nonce(iv);
        let icv: [u8; ICV_LEN] = match &self.cipher {
            Cipher::Ring(key) => {
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, aead::Aad::from(&*header), plaintext);
                tag.expect(SHORT_ENOUGH).as_ref().try_into().expect("the tag has 16 bytes")
            }
            Cipher::Aes192(key) => {
                key.encrypt_inout_detached(&nonce.into(), header, InOutBuf::from(plaintext)).expect(SHORT_ENOUGH).into()
            }
        };
        message.extend(icv);
    }

    /// Checks and decrypts.
    pub(super) fn open(&self, header: &[u8], iv: &[u8], ciphertext: &[u8], icv: &[u8]) -> Result<Vec<u8>, Forged> {
        let nonce = self.nonce(iv);
        let icv: [u8; ICV_LEN] = icv.try_into().map_err(|_| Forged)?;
        let mut plaintext = ciphertext.to_vec();
        match &self.cipher {
            Cipher::Ring(key) => {
                let nonce = aead::Nonce::assume_unique_for_key(nonce);
                key.open_in_place_separate_tag(nonce, aead::Aad::from(header), icv.into(), &mut plaintext, 0..)
                    .map_err(|_| Forged)?;
            }
            Cipher::Aes192(key) => {
                let buffer = InOutBuf::from(plaintext.as_mut_slice());
                key.decrypt_inout_detached(&nonce.into(), header, buffer, &icv.into()).map_err(|_| Forged)?;
            }
        }
        Ok(plaintext)
    }

    fn nonce(&self, iv: &[u8]) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        let (salt, rest) = nonce.split_at_mut(self.salt.len());
        salt.copy_from_slice(&self.salt);
        rest.copy_from_slice(iv);
        nonce
    }
}

const SHORT_ENOUGH: &str = "a message is far shorter than the cipher's limit";

fn ring_cipher(algorithm: &'static aead::Algorithm, key: &[u8]) -> Cipher {
    let key = aead::UnboundKey::new(algorithm, key).expect("the key has the cipher's length");
    Cipher::Ring(Box::new(aead::LessSafeKey::new(key)))
}
