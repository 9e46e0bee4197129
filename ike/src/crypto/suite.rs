//! The registry of what can be computed: ciphers and integrity algorithms for IKE and ESP.
//!
//! Negotiation, key sizes and implementation all go by these types, so an identifier that is not
//! here has no meaning and cannot be selected. The other half of the registry are
//! [`Prf`](super::prf::Prf) and [`Group`](super::dh::Group).
//!
//! Does not: say what is allowed. That is policy, and policy is made of these values.

use super::hash::Hash;
use crate::wire::num::{EncrId, IntegId};
use crate::wire::v1::num::{EspTransformId, IpsecAuth, IsakmpEncr};

/// The size of an AES key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AesBits {
    /// AES-128.
    B128,
    /// AES-192.
    B192,
    /// AES-256.
    B256,
}

impl AesBits {
    /// The size as the Key Length attribute gives it, in bits.
    #[must_use]
    pub const fn bits(self) -> u16 {
        match self {
            Self::B128 => 128,
            Self::B192 => 192,
            Self::B256 => 256,
        }
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::B128 => 16,
            Self::B192 => 24,
            Self::B256 => 32,
        }
    }

    const fn from_bits(bits: u16) -> Option<Self> {
        match bits {
            128 => Some(Self::B128),
            192 => Some(Self::B192),
            256 => Some(Self::B256),
            _ => None,
        }
    }
}

/// An encryption algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encr {
    /// AES-GCM with an ICV of 16 octets: ENCR_AES_GCM_16, RFC 4106 and RFC 5282.
    AesGcm16 {
        /// Key size.
        bits: AesBits,
    },
    /// ENCR_CHACHA20_POLY1305, RFC 7634.
    ChaCha20Poly1305,
    /// ENCR_AES_CBC, RFC 3602.
    AesCbc {
        /// Key size.
        bits: AesBits,
    },
    /// 3DES-CBC, RFC 2451: for IKEv1 with old clients only. IKEv2 cannot choose it.
    TripleDesCbc,
}

impl Encr {
    /// Every cipher that IKEv2 may choose, in our order of preference.
    pub const ALL: [Self; 7] = [
        Self::AesGcm16 { bits: AesBits::B256 },
        Self::AesGcm16 { bits: AesBits::B192 },
        Self::AesGcm16 { bits: AesBits::B128 },
        Self::ChaCha20Poly1305,
        Self::AesCbc { bits: AesBits::B256 },
        Self::AesCbc { bits: AesBits::B192 },
        Self::AesCbc { bits: AesBits::B128 },
    ];

    /// The cipher with this number of IKEv2 and Key Length attribute (in bits), if IKEv2 may choose it.
    ///
    /// The attribute has to be there exactly where the cipher has several key sizes, RFC 7296
    /// section 3.3.5.
    #[must_use]
    pub fn from_id(id: EncrId, key_bits: Option<u16>) -> Option<Self> {
        match (id, key_bits) {
            (EncrId::AES_GCM_16, Some(bits)) => AesBits::from_bits(bits).map(|bits| Self::AesGcm16 { bits }),
            (EncrId::AES_CBC, Some(bits)) => AesBits::from_bits(bits).map(|bits| Self::AesCbc { bits }),
            (EncrId::CHACHA20_POLY1305, None) => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }

    /// The cipher of an ISAKMP SA with this number and Key Length attribute (in bits), if it can be computed: RFC 2409
    /// appendix A, RFC 3602 section 5.
    #[must_use]
    pub fn from_isakmp(id: IsakmpEncr, key_bits: Option<u16>) -> Option<Self> {
        match (id, key_bits) {
            (IsakmpEncr::AES_CBC, Some(bits)) => AesBits::from_bits(bits).map(|bits| Self::AesCbc { bits }),
            (IsakmpEncr::TRIPLE_DES_CBC, None) => Some(Self::TripleDesCbc),
            _ => None,
        }
    }

    /// The cipher of an ESP SA of IKEv1 with this transform number and Key Length attribute (in bits), if it can be
    /// computed: RFC 2407 section 4.4.4, RFC 3602 section 5, RFC 4106 section 8.
    #[must_use]
    pub fn from_esp(id: EspTransformId, key_bits: Option<u16>) -> Option<Self> {
        match (id, key_bits) {
            (EspTransformId::AES_GCM_16, Some(bits)) => AesBits::from_bits(bits).map(|bits| Self::AesGcm16 { bits }),
            (EspTransformId::AES_CBC, Some(bits)) => AesBits::from_bits(bits).map(|bits| Self::AesCbc { bits }),
            (EspTransformId::TRIPLE_DES, None) => Some(Self::TripleDesCbc),
            _ => None,
        }
    }

    /// The number of the cipher in IKEv2; [`Encr::key_bits`] goes with it.
    #[must_use]
    pub const fn id(self) -> EncrId {
        match self {
            Self::AesGcm16 { .. } => EncrId::AES_GCM_16,
            Self::ChaCha20Poly1305 => EncrId::CHACHA20_POLY1305,
            Self::AesCbc { .. } => EncrId::AES_CBC,
            Self::TripleDesCbc => EncrId::TRIPLE_DES,
        }
    }

    /// The Key Length attribute of the transform, in bits; `None` for the cipher with one size.
    #[must_use]
    pub const fn key_bits(self) -> Option<u16> {
        match self {
            Self::AesGcm16 { bits } | Self::AesCbc { bits } => Some(bits.bits()),
            Self::ChaCha20Poly1305 | Self::TripleDesCbc => None,
        }
    }

    /// Length of the key in bytes, without the salt.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::AesGcm16 { bits } | Self::AesCbc { bits } => bits.bytes(),
            Self::ChaCha20Poly1305 => 32,
            Self::TripleDesCbc => 24,
        }
    }

    /// Length of the salt in bytes, which follows the key in the keying material (RFC 5282 section
    /// 7.1, RFC 4106 section 8.1).
    #[must_use]
    pub const fn salt_len(self) -> usize {
        if self.is_aead() { 4 } else { 0 }
    }

    /// Length of what is taken from the keying material, in bytes: key and salt.
    #[must_use]
    pub const fn keying_len(self) -> usize {
        self.key_len() + self.salt_len()
    }

    /// Length of the initialization vector that each message carries, in bytes.
    #[must_use]
    pub const fn iv_len(self) -> usize {
        match self {
            Self::AesCbc { .. } => 16,
            Self::AesGcm16 { .. } | Self::ChaCha20Poly1305 | Self::TripleDesCbc => 8,
        }
    }

    /// Whether the cipher brings its own integrity; then no [`Integ`] goes with it.
    #[must_use]
    pub const fn is_aead(self) -> bool {
        !matches!(self, Self::AesCbc { .. } | Self::TripleDesCbc)
    }
}

/// An integrity algorithm, for ciphers that have none of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Integ {
    /// AUTH_HMAC_SHA1_96, RFC 2404.
    HmacSha1_96,
    /// AUTH_HMAC_SHA2_256_128, RFC 4868.
    HmacSha256_128,
    /// AUTH_HMAC_SHA2_384_192, RFC 4868.
    HmacSha384_192,
    /// AUTH_HMAC_SHA2_512_256, RFC 4868.
    HmacSha512_256,
}

impl Integ {
    /// Every algorithm that can be computed, strongest first.
    pub const ALL: [Self; 4] = [Self::HmacSha512_256, Self::HmacSha384_192, Self::HmacSha256_128, Self::HmacSha1_96];

    /// The algorithm with this number, if it can be computed. `NONE` is the absence of an [`Integ`].
    #[must_use]
    pub const fn from_id(id: IntegId) -> Option<Self> {
        match id {
            IntegId::HMAC_SHA1_96 => Some(Self::HmacSha1_96),
            IntegId::HMAC_SHA2_256_128 => Some(Self::HmacSha256_128),
            IntegId::HMAC_SHA2_384_192 => Some(Self::HmacSha384_192),
            IntegId::HMAC_SHA2_512_256 => Some(Self::HmacSha512_256),
            _ => None,
        }
    }

    /// The algorithm with this number in an ESP SA of IKEv1, if it can be computed: RFC 2407 section 4.5, RFC 4868.
    #[must_use]
    pub const fn from_ipsec(id: IpsecAuth) -> Option<Self> {
        match id {
            IpsecAuth::HMAC_SHA1 => Some(Self::HmacSha1_96),
            IpsecAuth::HMAC_SHA2_256 => Some(Self::HmacSha256_128),
            IpsecAuth::HMAC_SHA2_384 => Some(Self::HmacSha384_192),
            IpsecAuth::HMAC_SHA2_512 => Some(Self::HmacSha512_256),
            _ => None,
        }
    }

    /// The number of the algorithm in IKEv2.
    #[must_use]
    pub const fn id(self) -> IntegId {
        match self {
            Self::HmacSha1_96 => IntegId::HMAC_SHA1_96,
            Self::HmacSha256_128 => IntegId::HMAC_SHA2_256_128,
            Self::HmacSha384_192 => IntegId::HMAC_SHA2_384_192,
            Self::HmacSha512_256 => IntegId::HMAC_SHA2_512_256,
        }
    }

    /// Length of the key in bytes.
    #[must_use]
    pub const fn key_len(self) -> usize {
        self.hash().output_len()
    }

    /// Length of the truncated MAC in bytes.
    #[must_use]
    pub const fn icv_len(self) -> usize {
        match self {
            Self::HmacSha1_96 => 12,
            Self::HmacSha256_128 => 16,
            Self::HmacSha384_192 => 24,
            Self::HmacSha512_256 => 32,
        }
    }

    pub(super) const fn hash(self) -> Hash {
        match self {
            Self::HmacSha1_96 => Hash::Sha1,
            Self::HmacSha256_128 => Hash::Sha256,
            Self::HmacSha384_192 => Hash::Sha384,
            Self::HmacSha512_256 => Hash::Sha512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_algorithm_by_its_number() {
        for encr in Encr::ALL {
            assert_eq!(Encr::from_id(encr.id(), encr.key_bits()), Some(encr));
        }
        for integ in Integ::ALL {
            assert_eq!(Integ::from_id(integ.id()), Some(integ));
        }
    }

    #[test]
    fn wants_the_key_length_exactly_where_the_cipher_has_several() {
        assert_eq!(Encr::from_id(EncrId::AES_GCM_16, None), None);
        assert_eq!(Encr::from_id(EncrId::AES_CBC, None), None);
        assert_eq!(Encr::from_id(EncrId::AES_CBC, Some(0)), None);
        assert_eq!(Encr::from_id(EncrId::AES_CBC, Some(512)), None);
        assert_eq!(Encr::from_id(EncrId::CHACHA20_POLY1305, Some(256)), None);
    }

    #[test]
    fn does_not_know_what_it_cannot_compute() {
        assert_eq!(Encr::from_id(EncrId::NULL, None), None);
        assert_eq!(Encr::from_id(EncrId::TRIPLE_DES, None), None);
        assert_eq!(Integ::from_id(IntegId::NONE), None);
        assert_eq!(Integ::from_id(IntegId::HMAC_MD5_96), None);
    }

    #[test]
    fn has_triple_des_in_ikev1_alone() {
        assert_eq!(Encr::from_isakmp(IsakmpEncr::TRIPLE_DES_CBC, None), Some(Encr::TripleDesCbc));
        assert_eq!(Encr::from_esp(EspTransformId::TRIPLE_DES, None), Some(Encr::TripleDesCbc));
        assert_eq!(Encr::from_id(EncrId::TRIPLE_DES, None), None);
        assert!(!Encr::ALL.contains(&Encr::TripleDesCbc));
        let sizes = (Encr::TripleDesCbc.key_len(), Encr::TripleDesCbc.iv_len(), Encr::TripleDesCbc.salt_len());
        assert_eq!(sizes, (24, 8, 0));
    }

    #[test]
    fn reads_the_numbers_of_ikev1() {
        for bits in [AesBits::B128, AesBits::B192, AesBits::B256] {
            let cbc = Some(Encr::AesCbc { bits });
            assert_eq!(Encr::from_isakmp(IsakmpEncr::AES_CBC, Some(bits.bits())), cbc);
            assert_eq!(Encr::from_esp(EspTransformId::AES_CBC, Some(bits.bits())), cbc);
            let gcm = Some(Encr::AesGcm16 { bits });
            assert_eq!(Encr::from_esp(EspTransformId::AES_GCM_16, Some(bits.bits())), gcm);
        }
        assert_eq!(Encr::from_isakmp(IsakmpEncr::AES_CBC, None), None);
        assert_eq!(Encr::from_isakmp(IsakmpEncr::TRIPLE_DES_CBC, Some(192)), None);
        assert_eq!([2, 5, 6, 7].map(|id| Integ::from_ipsec(IpsecAuth(id))), {
            let [sha512, sha384, sha256, sha1] = Integ::ALL;
            [Some(sha1), Some(sha256), Some(sha384), Some(sha512)]
        });
    }

    #[test]
    fn never_knows_des_null_or_md5() {
        for id in [1, 2, 3, 4, 6, 8] {
            assert_eq!(Encr::from_isakmp(IsakmpEncr(id), None), None, "{id}");
        }
        for id in [1, 2, 4, 5, 6, 7, 11, 23] {
            assert_eq!(Encr::from_esp(EspTransformId(id), None), None, "{id}");
        }
        for id in [0, 1, 3, 4, 8, 9] {
            assert_eq!(Integ::from_ipsec(IpsecAuth(id)), None, "{id}");
        }
    }
}
