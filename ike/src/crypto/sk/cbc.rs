//! SK with AES-CBC (RFC 3602) and a truncated HMAC, encrypt-then-MAC: the ICV covers the whole
//! message in front of it.

use aes::{
    Aes128, Aes192, Aes256,
    cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::NoPadding},
};
use cbc::{Decryptor, Encryptor};
use subtle::ConstantTimeEq;

use super::{
    super::{
        hmac::HmacKey,
        secret::Secret,
        suite::{AesBits, Integ},
    },
    Forged,
};

/// The block of AES and the length of an IV, in bytes.
pub(super) const BLOCK_LEN: usize = 16;

/// `SK_e` and `SK_a`.
pub(super) struct Key {
    bits: AesBits,
    integ: Integ,
    encryption: Secret,
    integrity: HmacKey,
}

impl Key {
    /// Takes keys of the lengths that the algorithms want.
    pub(super) fn new(bits: AesBits, integ: Integ, sk_e: &[u8], sk_a: &[u8]) -> Self {
        Self { bits, integ, encryption: Secret::from_slice(sk_e), integrity: HmacKey::new(integ.hash(), sk_a) }
    }

    pub(super) fn icv_len(&self) -> usize {
        self.integ.icv_len()
    }

    /// Encrypts what follows the IV in the body at `body`, whole blocks, and appends the ICV.
    pub(super) fn seal(&self, message: &mut Vec<u8>, body: usize) {
        let (iv, plaintext) = message[body..].split_at_mut(BLOCK_LEN);
        let key = self.encryption.expose();
        match self.bits {
            AesBits::B128 => encrypt::<Encryptor<Aes128>>(key, iv, plaintext),
            AesBits::B192 => encrypt::<Encryptor<Aes192>>(key, iv, plaintext),
            AesBits::B256 => encrypt::<Encryptor<Aes256>>(key, iv, plaintext),
        }
        let mac = self.integrity.mac(&[message]);
        message.extend(&mac.expose()[..self.icv_len()]);
    }

    /// Checks, and only then decrypts; `ciphertext` is made of whole blocks.
    pub(super) fn open(&self, header: &[u8], iv: &[u8], ciphertext: &[u8], icv: &[u8]) -> Result<Vec<u8>, Forged> {
        let mac = self.integrity.mac(&[header, iv, ciphertext]);
        if !bool::from(mac.expose()[..self.icv_len()].ct_eq(icv)) {
            return Err(Forged);
        }
        let mut plaintext = ciphertext.to_vec();
        let key = self.encryption.expose();
        match self.bits {
            AesBits::B128 => decrypt::<Decryptor<Aes128>>(key, iv, &mut plaintext),
            AesBits::B192 => decrypt::<Decryptor<Aes192>>(key, iv, &mut plaintext),
            AesBits::B256 => decrypt::<Decryptor<Aes256>>(key, iv, &mut plaintext),
        }?;
        Ok(plaintext)
    }
}

fn encrypt<C: KeyIvInit + BlockModeEncrypt>(key: &[u8], iv: &[u8], blocks: &mut [u8]) {
    let cipher = C::new_from_slices(key, iv).expect("key and IV have the cipher's lengths");
    let length = blocks.len();
    cipher.encrypt_padded::<NoPadding>(blocks, length).expect("the plaintext is padded to whole blocks");
}

fn decrypt<C: KeyIvInit + BlockModeDecrypt>(key: &[u8], iv: &[u8], blocks: &mut [u8]) -> Result<(), Forged> {
    let cipher = C::new_from_slices(key, iv).expect("key and IV have the cipher's lengths");
    cipher.decrypt_padded::<NoPadding>(blocks).map(drop).map_err(|_| Forged)
}
