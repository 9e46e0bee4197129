//! Published ESP packets, opened through the public interface.
//!
//! RFC 3602 shows packets without an ICV. Here they carry one computed with a second implementation of HMAC, so that
//! ciphertext, padding and trailer are the RFC's.

use cygnet_esp::secret::Secret;
use cygnet_esp::{AesBits, InboundConfig, InboundSa, Integ, SaKeys, Spi, Suite, Transform};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).expect("one digit")).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn inbound(transform: Transform, spi: u32, encr: &str, integ: &[u8]) -> InboundSa {
    let keys = SaKeys { encr: Secret::new(hex(encr)), integ: integ.into() };
    let config = InboundConfig { spi: Spi(spi), suite: Suite { transform, esn: false }, keys, replay_window: 64 };
    InboundSa::new(config).expect("valid configuration")
}

fn assert_opens(mut sa: InboundSa, packet: &str, sequence: u64, payload: &str, next_header: u8) {
    let mut packet = hex(packet);
    let opened = sa.open(&mut packet).expect("authentic");
    assert_eq!(packet[opened.range.clone()], hex(payload));
    assert_eq!((opened.next_header, opened.sequence), (next_header, sequence));
}

// draft-mcgrew-gcm-test-01, section 4: DNS query in UDP, AES-128, padding as short as can be.
#[test]
fn opens_a_packet_of_aes_gcm_128() {
    let sa = inbound(Transform::AesGcm16(AesBits::Aes128), 0xa5f8, "feffe9928665731c6d6a8f9467308308 cafebabe", &[]);
    assert_opens(
        sa,
        "0000a5f8 0000000a facedbad decaf888
         deb22cd9b07c72c16e3a65beeb8df304 a5a5897d33ae530f1ba76d5d114d2a5c
         3de81827c10e9a4f51330d0eec416642 cfbb85a5b47e48a4ec3b9ba95d918bd1
         83b70d3aa8bc6ee4c309e9d85a41ad4a",
        10,
        "4500003e698f000080114dccc0a80102 c0a801010a980035002a2343b2d00100
         00010000000000000373697009637962 6572636974790264 6b00000100 01",
        1,
    );
}

// draft-mcgrew-gcm-test-01, section 4: a TCP SYN.
#[test]
fn opens_a_packet_of_aes_gcm_256() {
    let key = "abbccddef0011223344556677889 9aababbccddef0011223344556677889 9aab 11223344";
    let sa = inbound(Transform::AesGcm16(AesBits::Aes256), 0x4a2c_bfe3, key, &[]);
    assert_opens(
        sa,
        "4a2cbfe3 00000002 01020304 05060708
         ff425c9b724599df7a3bcd510194e00d 6a78107f1b0b1cbf06efae9d65a5d763
         748a637985771d347f0545659f14e99d ef842d8eb335f4eecfdbf831824b4c49 15956c96",
        2,
        "4500003069a6400080062690c0a80102 9389155e0a9e008b2dc57ee000000000 7002400020bf0000020405b401010402",
        1,
    );
}

// RFC 7634, appendix A: an ICMP echo request.
#[test]
fn opens_a_packet_of_chacha20_poly1305() {
    let key = "808182838485868788898a8b8c8d8e8f 909192939495969798999a9b9c9d9e9f a0a1a2a3";
    assert_opens(
        inbound(Transform::ChaCha20Poly1305, 0x0102_0304, key, &[]),
        "01020304 00000005 1011121314151617
         24039428b97f417e3c13753a4f05087b 67c352e6a7fab1b982d466ef407ae5c6
         14ee8099d52844eb61aa95dfab4c02f7 2aa71e7c4c4f64c9befe2facc638e8f3
         cbec163fac469b502773f6fb94e664da 9165b82829f641e0 76aaa8266b7fb0f7b11b369907e1ad43",
        5,
        "45000054a6f200004001e778c6336405 c000020508005b7a3a080000553bec10
         0007362708090a0b0c0d0e0f10111213 1415161718191a1b1c1d1e1f20212223
         2425262728292a2b2c2d2e2f30313233 34353637",
        4,
    );
}

/// RFC 3602, section 4, case 7: tunnel mode, an ICMP echo request in IPv4.
const RFC3602_CASE_7: &str = "00008765 00000002 f4e765244f6407adf13dc1380f673f37
    773b5241a4c449225e4f3ce5ed611b0c 237ca96cf74a93013c1b0ea1a0cf70f8
    e4ecaec78ac53aad7a0f022b859243c6 47752e94a859352b8a4d4d2decd136e5
    c177f132ad3fbfb2201ac9904c74ee0a 109e0ca1e4dfe9d5a100b842f1c22f0d";

const RFC3602_CASE_7_PAYLOAD: &str = "4500005409040000 4001f988c0a87b03c0a87bc808009f76a90a0100b49c083d
    02a2040008090a0b0c0d0e0f1011121314151617 18191a1b1c1d1e1f2021222324252627 28292a2b2c2d2e2f3031323334353637";

fn opens_case_7<M: Mac + KeyInit>(integ: Integ) {
    let integ_key: Vec<u8> = (1..).take(integ.key_len()).collect();
    let mut mac = <M as KeyInit>::new_from_slice(&integ_key).expect("any length");
    mac.update(&hex(RFC3602_CASE_7));
    let code = mac.finalize().into_bytes();
    let icv: String = code[..integ.icv_len()].iter().map(|octet| format!("{octet:02x}")).collect();
    let key = "0123456789abcdef0123456789abcdef";
    let sa = inbound(Transform::AesCbc(AesBits::Aes128, integ), 0x8765, key, &integ_key);
    assert_opens(sa, &format!("{RFC3602_CASE_7}{icv}"), 2, RFC3602_CASE_7_PAYLOAD, 4);
}

#[test]
fn opens_a_tunnel_packet_of_aes_cbc_with_each_hmac() {
    opens_case_7::<Hmac<Sha1>>(Integ::HmacSha1_96);
    opens_case_7::<Hmac<Sha256>>(Integ::HmacSha256_128);
    opens_case_7::<Hmac<Sha384>>(Integ::HmacSha384_192);
    opens_case_7::<Hmac<Sha512>>(Integ::HmacSha512_256);
}

// RFC 3602, section 4, case 5: transport mode, ICMP.
#[test]
fn opens_a_transport_packet_of_aes_cbc() {
    let packet = "00004321 00000001 e96e8c08ab465763fd098d45dd3ff893
        f663c25d325c18c6a9453e194e120849 a4870b66cc6b9965330013b4898dc856
        a4699e523a55db080b59ec3a8e4b7e52 775b07d1db34ed9c538ab50c551b874a
        a269add047ad2d5913ac19b7cfbad4a6";
    let integ_key = [0x0b; 20];
    let mut mac = Hmac::<Sha1>::new_from_slice(&integ_key).expect("any length");
    mac.update(&hex(packet));
    let code = mac.finalize().into_bytes();
    let icv: String = code[..12].iter().map(|octet| format!("{octet:02x}")).collect();
    let transform = Transform::AesCbc(AesBits::Aes128, Integ::HmacSha1_96);
    assert_opens(
        inbound(transform, 0x4321, "90d382b410eeba7ad938c46cec1a82bf", &integ_key),
        &format!("{packet}{icv}"),
        1,
        "08000ebda70a00008e9c083db95b0700 08090a0b0c0d0e0f1011121314151617
         18191a1b1c1d1e1f2021222324252627 28292a2b2c2d2e2f3031323334353637",
        1,
    );
}
