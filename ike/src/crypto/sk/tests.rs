use aes_gcm::{AeadInOut, Aes128Gcm, Aes256Gcm, KeyInit, aead::inout::InOutBuf};

use super::{
    super::{
        suite::AesBits,
        testing::{SeededRandom, from_hex},
    },
    *,
};

/// Stands for the IKE header and the encrypted payload's header.
const HEADER: &[u8; 32] = b"IKE header(28 bytes)SK header 4B";

fn suites() -> impl Iterator<Item = (Encr, Option<Integ>)> {
    Encr::ALL.into_iter().flat_map(|encr| {
        let integs: Vec<_> = if encr.is_aead() { vec![None] } else { Integ::ALL.map(Some).to_vec() };
        integs.into_iter().map(move |integ| (encr, integ))
    })
}

fn key(encr: Encr, integ: Option<Integ>) -> SkKey {
    let sk_e: Vec<u8> = (1..).take(encr.keying_len()).collect();
    let sk_a: Vec<u8> = (101..).take(integ.map_or(0, Integ::key_len)).collect();
    SkKey::new(encr, integ, &sk_e, &sk_a).expect("keys of the right lengths")
}

fn sealed(key: &mut SkKey, plaintext: &[u8]) -> Vec<u8> {
    let mut message = HEADER.to_vec();
    key.seal(&mut message, plaintext, &mut SeededRandom::new(1));
    message
}

#[test]
fn opens_what_it_sealed_in_every_suite_and_length() {
    for (encr, integ) in suites() {
        let mut key = key(encr, integ);
        for length in 0..70 {
            let plaintext: Vec<u8> = (0..length).collect();
            let message = sealed(&mut key, &plaintext);
            assert_eq!(message.len(), HEADER.len() + key.sealed_len(plaintext.len()), "{encr:?} {integ:?}");
            assert_eq!(key.open(&message, HEADER.len()), Ok(plaintext), "{encr:?} {integ:?}");
        }
    }
}

#[test]
fn finds_the_longest_plaintext_for_a_room() {
    for (encr, integ) in suites() {
        let key = key(encr, integ);
        for room in key.sealed_len(0)..200 {
            let plaintext = key.plaintext_room(room);
            assert!(key.sealed_len(plaintext) <= room, "{encr:?} {integ:?} {room}");
            assert!(key.sealed_len(plaintext + 1) > room, "{encr:?} {integ:?} {room}");
        }
        assert_eq!(key.plaintext_room(0), 0);
    }
}

#[test]
fn refuses_every_truncation() {
    for (encr, integ) in suites() {
        let mut key = key(encr, integ);
        let message = sealed(&mut key, b"payloads");
        for n in 0..message.len() {
            assert_eq!(key.open(&message[..n], HEADER.len()), Err(Forged), "{encr:?} {integ:?}, {n} bytes");
        }
    }
}

#[test]
fn refuses_every_changed_bit() {
    for (encr, integ) in suites() {
        let mut key = key(encr, integ);
        let message = sealed(&mut key, b"payloads");
        for bit in 0..message.len() * 8 {
            let mut changed = message.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open(&changed, HEADER.len()), Err(Forged), "{encr:?} {integ:?}, bit {bit}");
        }
    }
}

#[test]
fn refuses_another_boundary_between_header_and_body() {
    for (encr, integ) in suites() {
        let mut key = key(encr, integ);
        let message = sealed(&mut key, &[7; 40]);
        for body in (0..message.len() + 2).filter(|body| *body != HEADER.len()) {
            // Encrypt-then-MAC covers the same bytes wherever the IV begins; only the blocks have to fit.
            if encr.is_aead() || body > message.len() || !body.abs_diff(HEADER.len()).is_multiple_of(16) {
                assert_eq!(key.open(&message, body), Err(Forged), "{encr:?} {integ:?}, {body}");
            }
        }
    }
}

#[test]
fn refuses_messages_under_another_key() {
    for (encr, integ) in suites() {
        let message = sealed(&mut key(encr, integ), b"payloads");
        let sk_e = vec![9; encr.keying_len()];
        let sk_a = vec![9; integ.map_or(0, Integ::key_len)];
        let other = SkKey::new(encr, integ, &sk_e, &sk_a).expect("keys of the right lengths");
        assert_eq!(other.open(&message, HEADER.len()), Err(Forged), "{encr:?} {integ:?}");
    }
}

#[test]
fn takes_keys_of_the_right_lengths_and_pairs_only() {
    let gcm = Encr::AesGcm16 { bits: AesBits::B256 };
    let cbc = Encr::AesCbc { bits: AesBits::B256 };
    for (encr, integ, sk_e, sk_a) in [
        (gcm, None, 32, 0),
        (gcm, None, 36, 32),
        (gcm, Some(Integ::HmacSha256_128), 36, 32),
        (cbc, None, 32, 0),
        (cbc, Some(Integ::HmacSha256_128), 36, 32),
        (cbc, Some(Integ::HmacSha256_128), 32, 20),
        (Encr::ChaCha20Poly1305, None, 0, 0),
    ] {
        let key = SkKey::new(encr, integ, &vec![1; sk_e], &vec![1; sk_a]);
        assert_eq!(key.err(), Some(UnfitKeys), "{encr:?} {integ:?} {sk_e} {sk_a}");
    }
}

#[test]
fn never_repeats_an_iv() {
    for (encr, integ) in suites() {
        let mut key = key(encr, integ);
        let mut random = SeededRandom::new(1);
        let mut ivs: Vec<Vec<u8>> = (0..100)
            .map(|_| {
                let mut message = HEADER.to_vec();
                key.seal(&mut message, b"same", &mut random);
                message[HEADER.len()..][..encr.iv_len()].to_vec()
            })
            .collect();
        ivs.sort();
        ivs.dedup();
        assert_eq!(ivs.len(), 100, "{encr:?}");
    }
}

/// RFC 7296 section 3.14: the recipient accepts any length that brings the plaintext to whole blocks.
#[test]
fn takes_padding_of_every_length_and_content() {
    for padding in (0..=255).filter(|padding| (8 + 1 + padding) % 16 == 0) {
        let mut plaintext = b"payloads".to_vec();
        plaintext.extend((0..padding).map(|n| n as u8 ^ 0x5a));
        plaintext.push(padding as u8);
        assert_eq!(without_padding(plaintext), Ok(b"payloads".to_vec()), "{padding}");
    }
}

#[test]
fn refuses_more_padding_than_there_is() {
    assert_eq!(without_padding(vec![]), Err(Forged));
    assert_eq!(without_padding(vec![1]), Err(Forged));
    assert_eq!(without_padding(vec![7, 7, 3]), Err(Forged));
    assert_eq!(without_padding(vec![7, 7, 2]), Ok(vec![]));
}

#[test]
fn another_implementation_opens_aes_gcm() {
    fn opened<C: AeadInOut + KeyInit>(keying: &[u8], body: &[u8]) -> Vec<u8> {
        let (key, salt) = keying.split_at(keying.len() - 4);
        let (iv, rest) = body.split_at(8);
        let (ciphertext, icv) = rest.split_at(rest.len() - ICV_LEN);
        let nonce = [salt, iv].concat();
        let mut plaintext = ciphertext.to_vec();
        C::new_from_slice(key)
            .expect("a key")
            .decrypt_inout_detached(
                nonce.as_slice().try_into().expect("12 bytes"),
                HEADER,
                InOutBuf::from(plaintext.as_mut_slice()),
                icv.try_into().expect("16 bytes"),
            )
            .expect("authentic");
        plaintext
    }
    const ICV_LEN: usize = 16;
    for bits in [AesBits::B128, AesBits::B256] {
        let encr = Encr::AesGcm16 { bits };
        let keying: Vec<u8> = (1..).take(encr.keying_len()).collect();
        let message = sealed(&mut key(encr, None), b"payloads");
        let body = &message[HEADER.len()..];
        let plaintext =
            if bits == AesBits::B128 { opened::<Aes128Gcm>(&keying, body) } else { opened::<Aes256Gcm>(&keying, body) };
        assert_eq!(plaintext, b"payloads\0", "{bits:?}");
    }
}

/// Made with OpenSSL 3.0 through Python's `cryptography`: the first message of each key.
#[test]
fn seals_as_openssl_does() {
    for (encr, body) in [
        (Encr::AesGcm16 { bits: AesBits::B128 }, "0000000000000000252149e2c4972ef452ea6c7e27c8df25b212dccb8e2a80d298"),
        (Encr::AesGcm16 { bits: AesBits::B192 }, "00000000000000006dbd8bceff25108dcd4c8a7a11baee5eaba70e51d62528cbfe"),
        (Encr::AesGcm16 { bits: AesBits::B256 }, "000000000000000057d8610b38968233a77456917c881b170a7df3ee45c7ed8f9b"),
        (Encr::ChaCha20Poly1305, "00000000000000006d3f2ad44cc0abaeb6019fafbd9aaa136df375ef39a716bfa3"),
    ] {
        let message = sealed(&mut key(encr, None), b"payloads");
        assert_eq!(message[HEADER.len()..], from_hex(body), "{encr:?}");
    }
}

/// Made with OpenSSL 3.0 through Python's `cryptography`, with the IV 1, 2, ..., 16.
#[test]
fn opens_cbc_of_openssl() {
    for (bits, integ, body) in [
        (
            AesBits::B128,
            Integ::HmacSha1_96,
            "0102030405060708090a0b0c0d0e0f10f3333443203e65eec4d426bfc9438aa85c25fb2bb8dd2d5a76a06c25",
        ),
        (
            AesBits::B192,
            Integ::HmacSha256_128,
            "0102030405060708090a0b0c0d0e0f101249771c4c6b2e85ba7b065a0407d733e13ea5df2e3f2f78109765d81eda60ed",
        ),
        (
            AesBits::B256,
            Integ::HmacSha384_192,
            "0102030405060708090a0b0c0d0e0f10efdd0820b07a8d90602b863e7e05eeb92c305281ee5d11948c0b51c893a20a9d25a8662a6e7e3037",
        ),
        (
            AesBits::B256,
            Integ::HmacSha512_256,
            "0102030405060708090a0b0c0d0e0f10efdd0820b07a8d90602b863e7e05eeb92659f3ffb54ca6f4ee9e123dbf904f2f9ba883d29fb5f37152e0eb9fb679152c",
        ),
    ] {
        let message = [&HEADER[..], &from_hex(body)].concat();
        let key = key(Encr::AesCbc { bits }, Some(integ));
        assert_eq!(key.open(&message, HEADER.len()), Ok(b"payloads".to_vec()), "{bits:?} {integ:?}");
    }
}
