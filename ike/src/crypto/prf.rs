//! Pseudorandom functions and what expands keys with them: `prf+` of RFC 7296 section 2.13, and the two ways of RFC 2409.
//!
//! All of them are HMACs (RFC 2104 with SHA-1, RFC 4868 with SHA-2): they take keys of any length,
//! and the preferred key length is that of their output.
//!
//! Does not: know which keys IKE derives from what; that is the matter of the endpoint.

use super::{hash::Hash, hmac::HmacKey, secret::Secret};
use crate::wire::num::PrfId;

/// A pseudorandom function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prf {
    /// PRF_HMAC_SHA1, RFC 2104.
    HmacSha1,
    /// PRF_HMAC_SHA2_256, RFC 4868.
    HmacSha256,
    /// PRF_HMAC_SHA2_384, RFC 4868.
    HmacSha384,
    /// PRF_HMAC_SHA2_512, RFC 4868.
    HmacSha512,
}

/// `prf+` counts its blocks in one octet.
const MAX_PLUS_BLOCKS: usize = 255;

impl Prf {
    /// Every function that can be computed, strongest first.
    pub const ALL: [Self; 4] = [Self::HmacSha512, Self::HmacSha384, Self::HmacSha256, Self::HmacSha1];

    /// The function with this number, if it can be computed.
    #[must_use]
    pub const fn from_id(id: PrfId) -> Option<Self> {
        match id {
            PrfId::HMAC_SHA1 => Some(Self::HmacSha1),
            PrfId::HMAC_SHA2_256 => Some(Self::HmacSha256),
            PrfId::HMAC_SHA2_384 => Some(Self::HmacSha384),
            PrfId::HMAC_SHA2_512 => Some(Self::HmacSha512),
            _ => None,
        }
    }

    /// The number of the function.
    #[must_use]
    pub const fn id(self) -> PrfId {
        match self {
            Self::HmacSha1 => PrfId::HMAC_SHA1,
            Self::HmacSha256 => PrfId::HMAC_SHA2_256,
            Self::HmacSha384 => PrfId::HMAC_SHA2_384,
            Self::HmacSha512 => PrfId::HMAC_SHA2_512,
        }
    }

    /// The HMAC with `hash`: the pseudorandom function of an ISAKMP SA that negotiated none, RFC 2409 section 4.
    #[must_use]
    pub const fn of_hash(hash: Hash) -> Self {
        match hash {
            Hash::Sha1 => Self::HmacSha1,
            Hash::Sha256 => Self::HmacSha256,
            Hash::Sha384 => Self::HmacSha384,
            Hash::Sha512 => Self::HmacSha512,
        }
    }

    /// The hash function inside.
    #[must_use]
    pub const fn hash(self) -> Hash {
        match self {
            Self::HmacSha1 => Hash::Sha1,
            Self::HmacSha256 => Hash::Sha256,
            Self::HmacSha384 => Hash::Sha384,
            Self::HmacSha512 => Hash::Sha512,
        }
    }

    /// Length of the output and preferred length of a key, in bytes.
    #[must_use]
    pub const fn output_len(self) -> usize {
        self.hash().output_len()
    }

    /// `prf(key, parts[0] | parts[1] | ...)`.
    #[must_use]
    pub fn mac(self, key: &[u8], parts: &[&[u8]]) -> Secret {
        HmacKey::new(self.hash(), key).mac(parts)
    }

    /// The first `length` bytes of `prf(key, seed) | prf(key, K1 | seed) | prf(key, K2 | seed) | ...`, where each block is
    /// put in front of the seed for the next: the keying material of phase 2, RFC 2409 section 5.5.
    #[must_use]
    pub fn feedback(self, key: &[u8], seed: &[&[u8]], length: usize) -> Secret {
        let key = HmacKey::new(self.hash(), key);
        let mut out = Vec::with_capacity(length + self.output_len());
        let mut previous = Secret::new(Vec::new());
        while out.len() < length {
            let mut parts = vec![previous.expose()];
            parts.extend(seed);
            previous = key.mac(&parts);
            out.extend_from_slice(previous.expose());
        }
        out.truncate(length);
        Secret::new(out)
    }

    /// The key of a cipher that wants `length` bytes, from `SKEYID_e`: its front if it is long enough, otherwise
    /// `K1 | K2 | ...` with `K1 = prf(SKEYID_e, 0)` and `Kn = prf(SKEYID_e, Kn-1)`, RFC 2409 appendix B.
    #[must_use]
    pub fn cipher_key(self, skeyid_e: &[u8], length: usize) -> Secret {
        if let Some(front) = skeyid_e.get(..length) {
            return Secret::from_slice(front);
        }
        let key = HmacKey::new(self.hash(), skeyid_e);
        let mut out = Vec::with_capacity(length + self.output_len());
        let mut previous = key.mac(&[&[0]]);
        loop {
            out.extend_from_slice(previous.expose());
            if out.len() >= length {
                out.truncate(length);
                return Secret::new(out);
            }
            previous = key.mac(&[previous.expose()]);
        }
    }

    /// The first `length` bytes of `prf+ (key, seed[0] | seed[1] | ...)`.
    ///
    /// # Panics
    /// If `length` is more than 255 outputs, which the RFC does not define.
    #[must_use]
    pub fn plus(self, key: &[u8], seed: &[&[u8]], length: usize) -> Secret {
        assert!(length <= MAX_PLUS_BLOCKS * self.output_len(), "prf+ ends after 255 blocks");
        let key = HmacKey::new(self.hash(), key);
        // Reserved at once, since growing would leave unwiped copies behind.
        let mut out = Vec::with_capacity(length + self.output_len());
        let mut previous = Secret::new(Vec::new());
        for counter in 1..=u8::MAX {
            if out.len() >= length {
                break;
            }
            let mut parts = vec![previous.expose()];
            parts.extend(seed);
            let counter = [counter];
            parts.push(&counter);
            let block = key.mac(&parts);
            out.extend_from_slice(block.expose());
            previous = block;
        }
        out.truncate(length);
        Secret::new(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::from_hex;

    fn assert_mac(prf: Prf, key: &[u8], data: &[u8], expected: &str) {
        assert!(prf.mac(key, &[data]).ct_eq(&from_hex(expected)), "{prf:?}, {data:?}");
        let (front, back) = data.split_at(data.len() / 3);
        assert!(prf.mac(key, &[front, &[], back]).ct_eq(&from_hex(expected)), "{prf:?} in parts");
    }

    #[test]
    fn agrees_with_rfc_2202() {
        assert_mac(Prf::HmacSha1, &[0x0b; 20], b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00");
        let question = b"what do ya want for nothing?";
        assert_mac(Prf::HmacSha1, b"Jefe", question, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        let long = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_mac(Prf::HmacSha1, &[0xaa; 80], long, "aa4ae5e15272d00e95705637ce8a3b55ed402112");
    }

    #[test]
    fn agrees_with_rfc_4231() {
        const CASE_1: [(Prf, &str); 3] = [
            (Prf::HmacSha256, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                Prf::HmacSha384,
                "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
            ),
            (
                Prf::HmacSha512,
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde\
                 daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
            ),
        ];
        for (prf, mac) in CASE_1 {
            assert_mac(prf, &[0x0b; 20], b"Hi There", mac);
        }
        let long = b"Test Using Larger Than Block-Size Key - Hash Key First";
        let case_6 = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        assert_mac(Prf::HmacSha256, &[0xaa; 131], long, case_6);
    }

    /// Computed with another implementation: Python's `hmac`, by the formula of RFC 7296 section 2.13.
    #[test]
    fn expands_as_another_implementation_does() {
        let key: Vec<u8> = (0..32).collect();
        for (prf, first, last) in [
            (Prf::HmacSha1, "cba6890a15084fb5513f64086b1411a1", "5990d35036cc534778b0b8018b118a93"),
            (Prf::HmacSha256, "5878b2d2677f99b8d2eadd14a814a953", "dbfb467a0ea87e1b14b7bbe17187f789"),
            (Prf::HmacSha384, "ef2dafd4db363ef66c411ae7999c2da2", "05f45f0b35fcfb1cb354ec0a00fff63e"),
            (Prf::HmacSha512, "e691195dc00e24d1d4730b5ea4f37afa", "8e8f2c86a56005a4f31fe54a3acfe16f"),
        ] {
            let stream = prf.plus(&key, &[b"Ni | Nr |", b" SPIi | SPIr"], 200);
            assert_eq!(stream.len(), 200);
            assert_eq!(stream.expose()[..16], from_hex(first), "{prf:?}");
            assert_eq!(stream.expose()[184..], from_hex(last), "{prf:?}");
        }
    }

    #[test]
    fn expands_to_a_prefix_of_the_longest_stream() {
        for prf in Prf::ALL {
            let longest = prf.plus(b"key", &[b"seed"], 255 * prf.output_len());
            for length in [0, 1, prf.output_len() - 1, prf.output_len(), prf.output_len() + 1] {
                assert!(prf.plus(b"key", &[b"seed"], length).ct_eq(&longest.expose()[..length]));
            }
        }
    }

    /// K1 = HMAC(key, seed), K2 = HMAC(key, K1 | seed), and so on.
    #[test]
    fn feeds_each_block_back_in_front_of_the_seed() {
        for prf in Prf::ALL {
            let first = prf.mac(b"key", &[b"seed"]);
            let second = prf.mac(b"key", &[first.expose(), b"seed"]);
            let third = prf.mac(b"key", &[second.expose(), b"seed"]);
            let all = [first.expose(), second.expose(), third.expose()].concat();
            for length in [0, 1, prf.output_len(), prf.output_len() + 1, all.len()] {
                let stream = prf.feedback(b"key", &[b"se", b"ed"], length);
                assert!(stream.ct_eq(&all[..length]), "{prf:?}, {length}");
            }
        }
    }

    /// RFC 2409 appendix B: the key of a cipher that wants more than SKEYID_e has, seeded by one zero byte.
    #[test]
    fn expands_a_short_key_of_phase_1() {
        let skeyid_e = [0x5a; 20];
        let k1 = Prf::HmacSha1.mac(&skeyid_e, &[&[0]]);
        let k2 = Prf::HmacSha1.mac(&skeyid_e, &[k1.expose()]);
        let expected = [k1.expose(), k2.expose()].concat();
        assert!(Prf::HmacSha1.cipher_key(&skeyid_e, 32).ct_eq(&expected[..32]));
        assert!(Prf::HmacSha1.cipher_key(&skeyid_e, 20).ct_eq(&skeyid_e));
        assert!(Prf::HmacSha1.cipher_key(&skeyid_e, 16).ct_eq(&skeyid_e[..16]));
    }

    #[test]
    #[should_panic(expected = "255 blocks")]
    fn does_not_expand_beyond_the_rfc() {
        let _ = Prf::HmacSha1.plus(b"key", &[b"seed"], 255 * 20 + 1);
    }

    #[test]
    fn finds_every_function_by_its_number() {
        for prf in Prf::ALL {
            assert_eq!(Prf::from_id(prf.id()), Some(prf));
        }
        assert_eq!(Prf::from_id(PrfId::HMAC_MD5), None);
    }
}
