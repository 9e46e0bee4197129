//! Protection of IKEv1 messages, RFC 2409 appendix B: CBC without integrity, over everything behind the header.
//!
//! There is no IV in the message. Within an exchange each message's IV is the last ciphertext block of the message before
//! it, sent or received; the first one is a digest. So the caller keeps an [`Iv`] for each exchange and moves it on only
//! once the message has proven authentic.
//!
//! Does not: authenticate. HASH payloads do that, and a plaintext means nothing before they were verified.

use aes::{
    Aes128, Aes192, Aes256,
    cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::NoPadding},
};
use cbc::{Decryptor, Encryptor};
use des::TdesEde3;

use super::hash::Hash;
use super::secret::Secret;
use super::suite::{AesBits, Encr};

/// The cipher of an ISAKMP SA with its key. One key serves both directions.
pub struct CbcKey {
    cipher: Cipher,
    key: Secret,
}

#[derive(Clone, Copy)]
enum Cipher {
    Aes(AesBits),
    TripleDes,
}

/// An initialization vector: one block of the cipher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iv(Vec<u8>);

/// The cipher is none of IKEv1's, or the key has another length than it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key does not fit a CBC cipher")]
pub struct UnfitKey;

/// The ciphertext is empty or not made of whole blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the encrypted part is empty or not a multiple of the cipher's block")]
pub struct NotBlocks;

impl CbcKey {
    /// Takes the cipher and its key (see [`Prf::cipher_key`](super::prf::Prf::cipher_key)).
    ///
    /// # Errors
    /// [`UnfitKey`] for an AEAD, or a key of another length.
    pub fn new(encr: Encr, key: Secret) -> Result<Self, UnfitKey> {
        let cipher = match encr {
            Encr::AesCbc { bits } => Cipher::Aes(bits),
            Encr::TripleDesCbc => Cipher::TripleDes,
            Encr::AesGcm16 { .. } | Encr::ChaCha20Poly1305 => return Err(UnfitKey),
        };
        if key.len() != encr.key_len() {
            return Err(UnfitKey);
        }
        Ok(Self { cipher, key })
    }

    /// The block of the cipher, and the length of an IV, in bytes.
    #[must_use]
    pub fn block_len(&self) -> usize {
        match self.cipher {
            Cipher::Aes(_) => 16,
            Cipher::TripleDes => 8,
        }
    }

    /// The IV that a digest of `parts` makes: `g^xi | g^xr` for phase 1; for each exchange of phase 2 the last block of
    /// phase 1 and the message ID.
    ///
    /// # Panics
    /// Never: every digest is at least as long as a block.
    #[must_use]
    pub fn iv(&self, hash: Hash, parts: &[&[u8]]) -> Iv {
        let mut digest = hash.digest(parts);
        digest.truncate(self.block_len());
        Iv(digest)
    }

    /// Encrypts whole blocks in place; gives back the IV of the next message.
    ///
    /// # Errors
    /// [`NotBlocks`] if `body` is empty or needs padding.
    ///
    /// # Panics
    /// If `iv` was made for another cipher.
    pub fn encrypt(&self, iv: &Iv, body: &mut [u8]) -> Result<Iv, NotBlocks> {
        self.check(body)?;
        match self.cipher {
            Cipher::Aes(AesBits::B128) => encrypt::<Encryptor<Aes128>>(self.key.expose(), iv, body),
            Cipher::Aes(AesBits::B192) => encrypt::<Encryptor<Aes192>>(self.key.expose(), iv, body),
            Cipher::Aes(AesBits::B256) => encrypt::<Encryptor<Aes256>>(self.key.expose(), iv, body),
            Cipher::TripleDes => encrypt::<Encryptor<TdesEde3>>(self.key.expose(), iv, body),
        }
        Ok(self.last_block(body))
    }

    /// Decrypts; gives back the plaintext with its padding, and the IV of the next message.
    ///
    /// # Errors
    /// [`NotBlocks`] if `body` is empty or not made of whole blocks.
    ///
    /// # Panics
    /// If `iv` was made for another cipher.
    pub fn decrypt(&self, iv: &Iv, body: &[u8]) -> Result<(Vec<u8>, Iv), NotBlocks> {
        self.check(body)?;
        let mut plaintext = body.to_vec();
        match self.cipher {
            Cipher::Aes(AesBits::B128) => decrypt::<Decryptor<Aes128>>(self.key.expose(), iv, &mut plaintext),
            Cipher::Aes(AesBits::B192) => decrypt::<Decryptor<Aes192>>(self.key.expose(), iv, &mut plaintext),
            Cipher::Aes(AesBits::B256) => decrypt::<Decryptor<Aes256>>(self.key.expose(), iv, &mut plaintext),
            Cipher::TripleDes => decrypt::<Decryptor<TdesEde3>>(self.key.expose(), iv, &mut plaintext),
        }
        Ok((plaintext, self.last_block(body)))
    }

    fn check(&self, body: &[u8]) -> Result<(), NotBlocks> {
        if body.is_empty() || !body.len().is_multiple_of(self.block_len()) { Err(NotBlocks) } else { Ok(()) }
    }

    /// The last block of a ciphertext that was checked to have one.
    fn last_block(&self, ciphertext: &[u8]) -> Iv {
        Iv(ciphertext[ciphertext.len() - self.block_len()..].to_vec())
    }
}

impl Iv {
    /// The bytes: what the IVs of phase 2 are made from.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn encrypt<C: KeyIvInit + BlockModeEncrypt>(key: &[u8], iv: &Iv, blocks: &mut [u8]) {
    let cipher = C::new_from_slices(key, &iv.0).expect("key and IV have the cipher's lengths");
    let length = blocks.len();
    cipher.encrypt_padded::<NoPadding>(blocks, length).expect("the plaintext was checked to be whole blocks");
}

fn decrypt<C: KeyIvInit + BlockModeDecrypt>(key: &[u8], iv: &Iv, blocks: &mut [u8]) {
    let cipher = C::new_from_slices(key, &iv.0).expect("key and IV have the cipher's lengths");
    cipher.decrypt_padded::<NoPadding>(blocks).expect("the ciphertext was checked to be whole blocks");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::from_hex;

    const CIPHERS: [Encr; 4] = [
        Encr::AesCbc { bits: AesBits::B128 },
        Encr::AesCbc { bits: AesBits::B192 },
        Encr::AesCbc { bits: AesBits::B256 },
        Encr::TripleDesCbc,
    ];

    fn key(encr: Encr) -> CbcKey {
        CbcKey::new(encr, Secret::new((1..).take(encr.key_len()).collect())).expect("right length")
    }

    fn assert_vector(encr: Encr, key: &str, iv: &str, plaintext: &str, ciphertext: &str) {
        let key = CbcKey::new(encr, from_hex(key).into()).expect("right length");
        let iv = Iv(from_hex(iv));
        let mut body = from_hex(plaintext);
        let next = key.encrypt(&iv, &mut body).expect("whole blocks");
        assert_eq!(body, from_hex(ciphertext), "{encr:?}");
        assert_eq!(next.as_bytes(), &body[body.len() - key.block_len()..]);
        assert_eq!(key.decrypt(&iv, &body), Ok((from_hex(plaintext), next)));
    }

    #[test]
    fn agrees_with_sp_800_38a() {
        let iv = "000102030405060708090a0b0c0d0e0f";
        let plaintext = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";
        let [aes128, aes192, aes256, _] = CIPHERS;
        assert_vector(
            aes128,
            "2b7e151628aed2a6abf7158809cf4f3c",
            iv,
            plaintext,
            "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2",
        );
        assert_vector(
            aes192,
            "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
            iv,
            plaintext,
            "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a",
        );
        assert_vector(
            aes256,
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            iv,
            plaintext,
            "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d",
        );
    }

    /// SP 800-67 appendix B.1 has the three keys and the ECB blocks; with an IV of zero the first block is the same.
    #[test]
    fn agrees_with_sp_800_67() {
        assert_vector(
            Encr::TripleDesCbc,
            "0123456789abcdef23456789abcdef01456789abcdef0123",
            "0000000000000000",
            "5468652071756663",
            "a826fd8ce53b855f",
        );
    }

    #[test]
    fn chains_messages_as_if_they_were_one() {
        for encr in CIPHERS {
            let key = key(encr);
            let iv = key.iv(Hash::Sha1, &[b"g^xi", b"g^xr"]);
            assert_eq!(iv.as_bytes(), &Hash::Sha1.digest(&[b"g^xig^xr"])[..key.block_len()]);
            let whole: Vec<u8> = (0..96).collect();
            let (mut one, mut front, mut back) = (whole.clone(), whole[..48].to_vec(), whole[48..].to_vec());
            let last = key.encrypt(&iv, &mut one).expect("whole blocks");
            let between = key.encrypt(&iv, &mut front).expect("whole blocks");
            assert_eq!(key.encrypt(&between, &mut back), Ok(last.clone()), "{encr:?}");
            assert_eq!(one, [front, back.clone()].concat(), "{encr:?}");
            assert_eq!(key.decrypt(&between, &back), Ok((whole[48..].to_vec(), last)), "{encr:?}");
        }
    }

    #[test]
    fn takes_whole_blocks_only() {
        for encr in CIPHERS {
            let key = key(encr);
            let iv = key.iv(Hash::Sha256, &[]);
            for len in 0..50 {
                let whole = len > 0 && len % key.block_len() == 0;
                assert_eq!(key.decrypt(&iv, &vec![7; len]).is_ok(), whole, "{encr:?}, {len} bytes");
                assert_eq!(key.encrypt(&iv, &mut vec![7; len]).is_ok(), whole, "{encr:?}, {len} bytes");
            }
        }
    }

    #[test]
    fn takes_keys_of_the_right_length_for_a_cbc_cipher_only() {
        for encr in CIPHERS {
            for len in 0..40 {
                let fits = CbcKey::new(encr, Secret::new(vec![1; len])).is_ok();
                assert_eq!(fits, len == encr.key_len(), "{encr:?}, {len} bytes");
            }
        }
        assert!(CbcKey::new(Encr::ChaCha20Poly1305, Secret::new(vec![1; 32])).is_err());
    }
}
