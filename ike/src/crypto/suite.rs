//! The registry of what can be computed: ciphers and integrity algorithms for IKE and ESP.
//!
//! Negotiation, key sizes and implementation all go by these types, so an identifier that is not
//! here has no meaning and cannot be selected. The other half of the registry are
//! [`Prf`](super::prf::Prf) and [`Group`](super::dh::Group).
//!
//! Does not: say what is allowed. That is policy, and policy is made of these values.

use super::hash::Hash;

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
}

impl Encr {
    /// Every cipher that can be computed, in our order of preference.
    pub const ALL: [Self; 7] = [
        Self::AesGcm16 { bits: AesBits::B256 },
        Self::AesGcm16 { bits: AesBits::B192 },
        Self::AesGcm16 { bits: AesBits::B128 },
        Self::ChaCha20Poly1305,
        Self::AesCbc { bits: AesBits::B256 },
        Self::AesCbc { bits: AesBits::B192 },
        Self::AesCbc { bits: AesBits::B128 },
    ];

    /// The Key Length attribute of the transform, in bits; `None` for the cipher with one size.
    #[must_use]
    pub const fn key_bits(self) -> Option<u16> {
        match self {
            Self::AesGcm16 { bits } | Self::AesCbc { bits } => Some(bits.bits()),
            Self::ChaCha20Poly1305 => None,
        }
    }

    /// Length of the key in bytes, without the salt.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::AesGcm16 { bits } | Self::AesCbc { bits } => bits.bytes(),
            Self::ChaCha20Poly1305 => 32,
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
        if self.is_aead() { 8 } else { 16 }
    }

    /// Whether the cipher brings its own integrity; then no [`Integ`] goes with it.
    #[must_use]
    pub const fn is_aead(self) -> bool {
        !matches!(self, Self::AesCbc { .. })
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
