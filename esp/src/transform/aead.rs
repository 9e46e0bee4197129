//! AES-GCM (RFC 4106) and ChaCha20-Poly1305 (RFC 7634) in ESP. Both build nonce and associated data alike: nonce = salt, IV;
//! associated data = SPI, sequence number, whose upper half is there with ESN only (RFC 4106 section 5, RFC 7634 section 2.1).
//!
//! Our IV is the 64 bit sequence number: distinct for every packet of an SA, and the SA is the only user of its key. A
//! received IV is taken as it comes.

use std::ops::Range;

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aes::Aes192;
use aes_gcm::{AeadInOut, AesGcm, KeyInit};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, UnboundKey};
use zeroize::Zeroizing;

use super::SequenceInput;
use crate::drop_reason::DropReason;
use crate::suite::{AesBits, ESP_HEADER_LEN, SALT_LEN};

const IV_LEN: usize = 8;
const ICV_LEN: usize = 16;
const HEADER_LEN: usize = ESP_HEADER_LEN + IV_LEN;
const NONCE_LEN: usize = SALT_LEN + IV_LEN;

pub(crate) struct Aead {
    cipher: Cipher,
    salt: Zeroizing<[u8; SALT_LEN]>,
}

enum Cipher {
    Ring(LessSafeKey),
    AesGcm192(AesGcm<Aes192, U12>),
}

impl Aead {
    pub(super) fn aes_gcm(bits: AesBits, key_and_salt: &[u8]) -> Self {
        match bits {
            AesBits::Aes128 => Self::ring(&AES_128_GCM, key_and_salt),
            AesBits::Aes192 => {
                let (key, salt) = split_salt(key_and_salt);
                let key = AesGcm::new_from_slice(key).expect("the SA checks key lengths");
                Self { cipher: Cipher::AesGcm192(key), salt }
            }
            AesBits::Aes256 => Self::ring(&AES_256_GCM, key_and_salt),
        }
    }

    pub(super) fn chacha20_poly1305(key_and_salt: &[u8]) -> Self {
        Self::ring(&CHACHA20_POLY1305, key_and_salt)
    }

    fn ring(algorithm: &'static Algorithm, key_and_salt: &[u8]) -> Self {
        let (key, salt) = split_salt(key_and_salt);
        let key = UnboundKey::new(algorithm, key).expect("the SA checks key lengths");
        Self { cipher: Cipher::Ring(LessSafeKey::new(key)), salt }
    }

    pub(super) fn seal(&self, sequence: SequenceInput, packet: &mut [u8]) {
        let iv = sequence.value.to_be_bytes();
        let (header, rest) = packet.split_at_mut(HEADER_LEN);
        header[ESP_HEADER_LEN..].copy_from_slice(&iv);
        let (nonce, aad) = (self.nonce(iv), AssociatedData::new(header, sequence));
        let (body, icv) = rest.split_at_mut(rest.len() - ICV_LEN);
        icv.copy_from_slice(&self.cipher.seal(nonce, aad.as_slice(), body));
    }

    pub(super) fn open(&self, sequence: SequenceInput, packet: &mut [u8]) -> Result<Range<usize>, DropReason> {
        let end = packet.len() - ICV_LEN;
        let (header, rest) = packet.split_at_mut(HEADER_LEN);
        let (body, icv) = rest.split_last_chunk_mut::<ICV_LEN>().ok_or(DropReason::Runt)?;
        let &mut [.., a, b, c, d, e, f, g, h] = header else { return Err(DropReason::Runt) };
        let (nonce, aad) = (self.nonce([a, b, c, d, e, f, g, h]), AssociatedData::new(header, sequence));
        self.cipher.open(nonce, aad.as_slice(), body, *icv)?;
        Ok(HEADER_LEN..end)
    }

    fn nonce(&self, iv: [u8; IV_LEN]) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce[..SALT_LEN].copy_from_slice(&*self.salt);
        nonce[SALT_LEN..].copy_from_slice(&iv);
        nonce
    }
}

impl Cipher {
    fn seal(&self, nonce: [u8; NONCE_LEN], aad: &[u8], body: &mut [u8]) -> [u8; ICV_LEN] {
        match self {
            Self::Ring(key) => {
                let nonce = ring::aead::Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), body);
                tag.expect("a packet is shorter than the limit of the AEAD").as_ref().try_into().expect("16 octets")
            }
            Self::AesGcm192(key) => key
                .encrypt_inout_detached(&nonce.into(), aad, InOutBuf::from(body))
                .expect("a packet is shorter than the limit of the AEAD")
                .into(),
        }
    }

    fn open(&self, nonce: [u8; NONCE_LEN], aad: &[u8], body: &mut [u8], icv: [u8; ICV_LEN]) -> Result<(), DropReason> {
        match self {
            Self::Ring(key) => {
                let nonce = ring::aead::Nonce::assume_unique_for_key(nonce);
                key.open_in_place_separate_tag(nonce, Aad::from(aad), icv.into(), body, 0..)
                    .map(|_| ())
                    .map_err(|_| DropReason::Integrity)
            }
            Self::AesGcm192(key) => key
                .decrypt_inout_detached(&nonce.into(), aad, InOutBuf::from(body), &icv.into())
                .map_err(|_| DropReason::Integrity),
        }
    }
}

/// SPI and sequence number as they are authenticated.
struct AssociatedData {
    octets: [u8; 12],
    len: usize,
}

impl AssociatedData {
    fn new(header: &[u8], sequence: SequenceInput) -> Self {
        let mut octets = [0; 12];
        let len = match sequence.hidden_half() {
            None => {
                octets[..8].copy_from_slice(&header[..8]);
                8
            }
            Some(high) => {
                octets[..4].copy_from_slice(&header[..4]);
                octets[4..8].copy_from_slice(&high);
                octets[8..].copy_from_slice(&header[4..8]);
                12
            }
        };
        Self { octets, len }
    }

    fn as_slice(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

fn split_salt(key_and_salt: &[u8]) -> (&[u8], Zeroizing<[u8; SALT_LEN]>) {
    let (key, salt) = key_and_salt.split_last_chunk().expect("the SA checks key lengths");
    (key, Zeroizing::new(*salt))
}
