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

#[cfg(test)]
mod tests {
    use aes_gcm::{Aes128Gcm, Aes256Gcm};

    use super::*;

    const PLAIN: SequenceInput = SequenceInput { value: 0x0102_0304, esn: false };
    const ESN: SequenceInput = SequenceInput { value: 0x0a0b_0c0d_0102_0304, esn: true };

    /// SPI, sequence number, room for the IV, `len` octets and room for the ICV.
    fn framed(sequence: SequenceInput, len: usize) -> Vec<u8> {
        let mut packet = vec![0xc0, 0xff, 0xee, 1];
        packet.extend(&sequence.value.to_be_bytes()[4..]);
        packet.extend([0; IV_LEN]);
        packet.extend((0..=255).cycle().take(len));
        packet.extend([0; ICV_LEN]);
        packet
    }

    /// The packet as RFC 4106 describes it, word for word, with another implementation of the cipher.
    fn sealed_by<C: AeadInOut + KeyInit>(key_and_salt: &[u8], sequence: SequenceInput, mut packet: Vec<u8>) -> Vec<u8> {
        let (key, salt) = key_and_salt.split_at(key_and_salt.len() - SALT_LEN);
        let iv = sequence.value.to_be_bytes();
        let nonce = [salt, &iv].concat();
        let mut aad = packet[..4].to_vec();
        aad.extend(if sequence.esn { &iv[..] } else { &iv[4..] });
        packet[8..16].copy_from_slice(&iv);
        let end = packet.len() - ICV_LEN;
        let tag = C::new_from_slice(key)
            .expect("key length")
            .encrypt_inout_detached(
                nonce[..].try_into().expect("nonce length"),
                &aad,
                InOutBuf::from(&mut packet[HEADER_LEN..end]),
            )
            .expect("short");
        packet[end..].copy_from_slice(&tag);
        packet
    }

    #[test]
    fn seals_as_another_implementation_does() {
        let key: Vec<u8> = (1..=36).collect();
        for sequence in [PLAIN, ESN] {
            for len in [4, 64, 100, 1408, 1412] {
                let mut packet = framed(sequence, len);
                Aead::aes_gcm(AesBits::Aes128, &key[16..]).seal(sequence, &mut packet);
                assert_eq!(packet, sealed_by::<Aes128Gcm>(&key[16..], sequence, framed(sequence, len)));

                let mut packet = framed(sequence, len);
                Aead::aes_gcm(AesBits::Aes192, &key[8..]).seal(sequence, &mut packet);
                assert_eq!(packet, sealed_by::<AesGcm<Aes192, U12>>(&key[8..], sequence, framed(sequence, len)));

                let mut packet = framed(sequence, len);
                Aead::aes_gcm(AesBits::Aes256, &key).seal(sequence, &mut packet);
                assert_eq!(packet, sealed_by::<Aes256Gcm>(&key, sequence, framed(sequence, len)));
            }
        }
    }

    #[test]
    fn opens_what_another_implementation_sealed() {
        let key: Vec<u8> = (1..=36).collect();
        for sequence in [PLAIN, ESN] {
            let mut packet = sealed_by::<Aes256Gcm>(&key, sequence, framed(sequence, 100));
            let opened = Aead::aes_gcm(AesBits::Aes256, &key).open(sequence, &mut packet);
            assert_eq!(opened, Ok(16..116));
            assert_eq!(packet[16..116], framed(sequence, 100)[16..116]);
        }
    }

    // draft-mcgrew-gcm-test-01, section 4: a DNS query with ESN, AES-128.
    #[test]
    fn opens_a_published_packet_with_esn() {
        let key = [
            0x4c, 0x80, 0xcd, 0xef, 0xbb, 0x5d, 0x10, 0xda, 0x90, 0x6a, 0xc7, 0x3c, 0x36, 0x13, 0xa6, 0x34, 0x2e, 0x44,
            0x3b, 0x68,
        ];
        #[rustfmt::skip]
        let mut packet = [
            0x00, 0x00, 0x43, 0x21, 0x00, 0x00, 0x00, 0x00, 0x49, 0x56, 0xed, 0x7e, 0x3b, 0x24, 0x4c, 0xfe,
            0xfe, 0xcf, 0x53, 0x7e, 0x72, 0x9d, 0x5b, 0x07, 0xdc, 0x30, 0xdf, 0x52, 0x8d, 0xd2, 0x2b, 0x76,
            0x8d, 0x1b, 0x98, 0x73, 0x66, 0x96, 0xa6, 0xfd, 0x34, 0x85, 0x09, 0xfa, 0x13, 0xce, 0xac, 0x34,
            0xcf, 0xa2, 0x43, 0x6f, 0x14, 0xa3, 0xf3, 0xcf, 0x65, 0x92, 0x5b, 0xf1, 0xf4, 0xa1, 0x3c, 0x5d,
            0x15, 0xb2, 0x1e, 0x18, 0x84, 0xf5, 0xff, 0x62, 0x47, 0xae, 0xab, 0xb7, 0x86, 0xb9, 0x3b, 0xce,
            0x61, 0xbc, 0x17, 0xd7, 0x68, 0xfd, 0x97, 0x32, 0x45, 0x90, 0x18, 0x14, 0x8f, 0x6c, 0xbe, 0x72,
            0x2f, 0xd0, 0x47, 0x96, 0x56, 0x2d, 0xfd, 0xb4,
        ];
        let sequence = SequenceInput { value: 0x8765_4321_0000_0000, esn: true };
        assert_eq!(Aead::aes_gcm(AesBits::Aes128, &key).open(sequence, &mut packet), Ok(16..88));
        assert_eq!(packet[16..20], [0x45, 0, 0, 0x48], "an IPv4 header of a packet of 72 octets");
    }
}
