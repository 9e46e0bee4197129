//! Integrity of the CBC suites: HMAC-SHA1-96 (RFC 2404) and HMAC-SHA2 (RFC 4868) over header, IV and ciphertext, and, with
//! ESN, the upper half of the sequence number behind them (RFC 4303 section 2.8).

use hmac::{Hmac, KeyInit, Mac as _};
use ring::hmac::{Context, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512, Key};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::sha256_pair::{DIGEST_LEN, PairedHmac};
use crate::drop_reason::DropReason;
use crate::suite::Integ;

/// Length of a key derived by [`Mac::derive`], in octets.
pub(super) const DERIVED_LEN: usize = 16;

/// The longest ICV, in octets: HMAC-SHA-512-256.
const MAX_ICV_LEN: usize = 32;

pub(super) struct Mac {
    icv_len: usize,
    key: MacKey,
    /// The same key for two packets at once, where hash and processor allow it.
    paired: Option<PairedHmac>,
}

enum MacKey {
    Sha1(Hmac<Sha1>),
    Sha2(Key),
}

impl Mac {
    pub(super) fn new(integ: Integ, key: &[u8]) -> Self {
        let is_sha256 = matches!(integ, Integ::HmacSha256_128 | Integ::HmacSha256_96);
        let paired = if is_sha256 { PairedHmac::new(key) } else { None };
        let key = match integ {
            Integ::HmacSha1_96 => MacKey::Sha1(Hmac::new_from_slice(key).expect("HMAC takes keys of any length")),
            Integ::HmacSha256_128 | Integ::HmacSha256_96 => MacKey::Sha2(Key::new(HMAC_SHA256, key)),
            Integ::HmacSha384_192 => MacKey::Sha2(Key::new(HMAC_SHA384, key)),
            Integ::HmacSha512_256 => MacKey::Sha2(Key::new(HMAC_SHA512, key)),
        };
        Self { icv_len: integ.icv_len(), key, paired }
    }

    pub(super) fn icv_len(&self) -> usize {
        self.icv_len
    }

    /// Writes the ICV into the last octets of `packet`.
    pub(super) fn append(&self, hidden_half: Option<[u8; 4]>, packet: &mut [u8]) {
        let (authenticated, icv) = packet.split_at_mut(packet.len() - self.icv_len);
        icv.copy_from_slice(&self.code(authenticated, hidden_half)[..self.icv_len]);
    }

    /// Writes the ICVs into the last octets of two packets. It is worth while if they are of equal length.
    pub(super) fn append_pair(&self, hidden_halves: [Option<[u8; 4]>; 2], packets: [&mut [u8]; 2]) {
        let [first, second] = packets;
        let [hidden_first, hidden_second] = &hidden_halves;
        match &self.paired {
            Some(paired) if first.len() == second.len() => {
                let (first, first_icv) = first.split_at_mut(first.len() - self.icv_len);
                let (second, second_icv) = second.split_at_mut(second.len() - self.icv_len);
                let codes = paired.codes([first, second], [tail(hidden_first), tail(hidden_second)]);
                first_icv.copy_from_slice(&codes[0][..self.icv_len]);
                second_icv.copy_from_slice(&codes[1][..self.icv_len]);
            }
            _ => {
                self.append(*hidden_first, first);
                self.append(*hidden_second, second);
            }
        }
    }

    /// Compares, in constant time, the ICV in the last octets of `packet`.
    pub(super) fn verify(&self, hidden_half: Option<[u8; 4]>, packet: &[u8]) -> Result<(), DropReason> {
        let (authenticated, icv) = packet.split_at(packet.len() - self.icv_len);
        let code = self.code(authenticated, hidden_half);
        if bool::from(code[..self.icv_len].ct_eq(icv)) { Ok(()) } else { Err(DropReason::Integrity) }
    }

    /// A key of its own from the integrity key: the first octets of the untruncated code over `label`.
    ///
    /// `label` must be shorter than any packet, so that no packet's code is ever computed over the same octets.
    pub(super) fn derive(&self, label: &[u8]) -> Zeroizing<[u8; DERIVED_LEN]> {
        let code = Zeroizing::new(self.code(label, None));
        let mut key = Zeroizing::new([0; DERIVED_LEN]);
        key.copy_from_slice(&code[..DERIVED_LEN]);
        key
    }

    /// The code, cut to [`MAX_ICV_LEN`] octets or followed by zeros.
    fn code(&self, authenticated: &[u8], hidden_half: Option<[u8; 4]>) -> [u8; MAX_ICV_LEN] {
        let hidden = tail(&hidden_half);
        let mut code = [0; MAX_ICV_LEN];
        match &self.key {
            MacKey::Sha1(keyed) => {
                let mut mac = keyed.clone();
                mac.update(authenticated);
                mac.update(hidden);
                fill(&mut code, &mac.finalize().into_bytes());
            }
            MacKey::Sha2(key) => {
                let mut context = Context::with_key(key);
                context.update(authenticated);
                context.update(hidden);
                fill(&mut code, context.sign().as_ref());
            }
        }
        code
    }
}

/// What is authenticated behind a packet.
fn tail(hidden_half: &Option<[u8; 4]>) -> &[u8] {
    hidden_half.as_ref().map_or(&[], |half| half)
}

fn fill(code: &mut [u8; MAX_ICV_LEN], computed: &[u8]) {
    let len = computed.len().min(MAX_ICV_LEN);
    code[..len].copy_from_slice(&computed[..len]);
}

const _: () = assert!(DERIVED_LEN <= 20, "HMAC-SHA1 gives 20 octets");
const _: () = assert!(DIGEST_LEN >= Integ::HmacSha256_128.icv_len(), "the ICV is cut from the digest");

#[cfg(test)]
mod tests {
    use hmac::digest::block_api::EagerHash;
    use ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY;
    use sha2::{Sha256, Sha384, Sha512};

    use super::*;

    fn slow_code<D: EagerHash>(key: &[u8], data: &[u8]) -> Vec<u8>
    where
        Hmac<D>: hmac::Mac + KeyInit,
    {
        <Hmac<D> as KeyInit>::new_from_slice(key)
            .expect("any length")
            .chain_update(data)
            .finalize()
            .into_bytes()
            .to_vec()
    }

    fn assert_appends(integ: Integ, key: &[u8], data: &[u8], hidden: Option<[u8; 4]>, expected: &[u8]) {
        let mac = Mac::new(integ, key);
        let mut packet = [data, &vec![0; integ.icv_len()]].concat();
        mac.append(hidden, &mut packet);
        assert_eq!(packet[data.len()..], expected[..integ.icv_len()], "{integ}");
        assert_eq!(mac.verify(hidden, &packet), Ok(()));
        for at in 0..packet.len() {
            packet[at] ^= 1;
            assert_eq!(mac.verify(hidden, &packet), Err(DropReason::Integrity), "{integ}, octet {at}");
            packet[at] ^= 1;
        }
    }

    #[test]
    fn computes_what_another_implementation_computes() {
        for len in [0, 1, 55, 56, 63, 64, 65, 200] {
            let data: Vec<u8> = (0..=255).take(len).collect();
            for hidden in [None, Some([1, 2, 3, 4])] {
                let all = [&data[..], hidden.as_ref().map_or(&[], |half| half)].concat();
                let key: Vec<u8> = (1..=64).collect();
                let sha1 = ring::hmac::sign(&Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key[..20]), &all);
                assert_appends(Integ::HmacSha1_96, &key[..20], &data, hidden, sha1.as_ref());
                let sha256 = slow_code::<Sha256>(&key[..32], &all);
                assert_appends(Integ::HmacSha256_128, &key[..32], &data, hidden, &sha256);
                assert_appends(Integ::HmacSha256_96, &key[..32], &data, hidden, &sha256);
                let sha384 = slow_code::<Sha384>(&key[..48], &all);
                assert_appends(Integ::HmacSha384_192, &key[..48], &data, hidden, &sha384);
                let sha512 = slow_code::<Sha512>(&key, &all);
                assert_appends(Integ::HmacSha512_256, &key, &data, hidden, &sha512);
            }
        }
    }

    #[test]
    fn two_packets_at_once_get_the_codes_of_each() {
        for integ in [Integ::HmacSha1_96, Integ::HmacSha256_128, Integ::HmacSha384_192, Integ::HmacSha512_256] {
            let mac = Mac::new(integ, &vec![3; integ.key_len()]);
            for (first_len, second_len) in [(100, 100), (64, 64), (100, 116)] {
                for hidden in [[None; 2], [Some([0, 0, 0, 1]), Some([0, 0, 0, 2])]] {
                    let (mut first, mut second) = (vec![1; first_len], vec![2; second_len]);
                    mac.append_pair(hidden, [&mut first, &mut second]);
                    assert_eq!(mac.verify(hidden[0], &first), Ok(()), "{integ}");
                    assert_eq!(mac.verify(hidden[1], &second), Ok(()), "{integ}");
                }
            }
        }
    }

    // RFC 4868, section 2.7.2, the first test of each, and RFC 2202, test case 1 for HMAC-SHA-1.
    #[test]
    fn computes_the_published_codes() {
        #[rustfmt::skip]
        let sha256 = [0x19, 0x8a, 0x60, 0x7e, 0xb4, 0x4b, 0xfb, 0xc6, 0x99, 0x03, 0xa0, 0xf1, 0xcf, 0x2b, 0xbd, 0xc5];
        assert_appends(Integ::HmacSha256_128, &[0x0b; 32], b"Hi There", None, &sha256);
        #[rustfmt::skip]
        let sha384 = [
            0xb6, 0xa8, 0xd5, 0x63, 0x6f, 0x5c, 0x6a, 0x72, 0x24, 0xf9, 0x97, 0x7d, 0xcf, 0x7e, 0xe6, 0xc7,
            0xfb, 0x6d, 0x0c, 0x48, 0xcb, 0xde, 0xe9, 0x73,
        ];
        assert_appends(Integ::HmacSha384_192, &[0x0b; 48], b"Hi There", None, &sha384);
        #[rustfmt::skip]
        let sha512 = [
            0x63, 0x7e, 0xdc, 0x6e, 0x01, 0xdc, 0xe7, 0xe6, 0x74, 0x2a, 0x99, 0x45, 0x1a, 0xae, 0x82, 0xdf,
            0x23, 0xda, 0x3e, 0x92, 0x43, 0x9e, 0x59, 0x0e, 0x43, 0xe7, 0x61, 0xb3, 0x3e, 0x91, 0x0f, 0xb8,
        ];
        assert_appends(Integ::HmacSha512_256, &[0x0b; 64], b"Hi There", None, &sha512);
        let sha1 = [0xb6, 0x17, 0x31, 0x86, 0x55, 0x05, 0x72, 0x64, 0xe2, 0x8b, 0xc0, 0xb6];
        assert_appends(Integ::HmacSha1_96, &[0x0b; 20], b"Hi There", None, &sha1);
    }

    #[test]
    fn derives_another_key_for_each_label_and_integrity_key() {
        for integ in [Integ::HmacSha1_96, Integ::HmacSha256_128, Integ::HmacSha384_192, Integ::HmacSha512_256] {
            let (one, two) = (vec![1; integ.key_len()], vec![2; integ.key_len()]);
            let derived = Mac::new(integ, &one).derive(b"a");
            assert_eq!(*derived, *Mac::new(integ, &one).derive(b"a"));
            assert_ne!(*derived, *Mac::new(integ, &one).derive(b"b"));
            assert_ne!(*derived, *Mac::new(integ, &two).derive(b"a"));
            assert_ne!(derived[12..], [0; 4], "{integ}: not cut to the ICV");
        }
    }
}
