//! Suites: which transforms protect an SA, and the sizes that follow from them.
//!
//! A cipher without integrity protection cannot be expressed (RFC 8221 section 4: ESP without authentication must not be
//! used): the ciphers in CBC mode carry their [`Integ`], the AEAD transforms need none.
//!
//! Does not: negotiate. The numbers of RFC 7296 section 3.3.2 stay in the IKE engine.

use std::fmt;

/// Security parameters index, RFC 4303 section 2.1. 0 to 255 are reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spi(pub u32);

impl Spi {
    /// Whether the value may name an SA, RFC 4303 section 2.1.
    pub const fn is_usable(self) -> bool {
        self.0 > 255
    }
}

impl From<u32> for Spi {
    fn from(value: u32) -> Self {
        Self(value)
    }
}

impl fmt::Display for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Key length of AES.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AesBits {
    /// 16 octets.
    Aes128,
    /// 24 octets.
    Aes192,
    /// 32 octets.
    Aes256,
}

impl AesBits {
    /// Key length in bits, as the key length attribute of IKE states it; `None` for what AES does not have.
    pub const fn from_bits(bits: u16) -> Option<Self> {
        match bits {
            128 => Some(Self::Aes128),
            192 => Some(Self::Aes192),
            256 => Some(Self::Aes256),
            _ => None,
        }
    }

    /// Key length in bits.
    pub const fn bits(self) -> u16 {
        match self {
            Self::Aes128 => 128,
            Self::Aes192 => 192,
            Self::Aes256 => 256,
        }
    }

    /// Key length in octets.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }
}

/// Integrity algorithm beside a cipher in CBC mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Integ {
    /// HMAC-SHA1-96, RFC 2404.
    HmacSha1_96,
    /// HMAC-SHA-256-128, RFC 4868.
    HmacSha256_128,
    /// HMAC-SHA-256 cut to 96 bits, as a draft of RFC 4868 had it. Android 6 and 7 and old Linux kernels do that when
    /// HMAC-SHA-256-128 was agreed on; it has no number of its own.
    HmacSha256_96,
    /// HMAC-SHA-384-192, RFC 4868.
    HmacSha384_192,
    /// HMAC-SHA-512-256, RFC 4868.
    HmacSha512_256,
}

impl Integ {
    /// Key length in octets, RFC 2404 section 3 and RFC 4868 section 2.1.1.
    pub const fn key_len(self) -> usize {
        match self {
            Self::HmacSha1_96 => 20,
            Self::HmacSha256_128 | Self::HmacSha256_96 => 32,
            Self::HmacSha384_192 => 48,
            Self::HmacSha512_256 => 64,
        }
    }

    /// Length of the truncated code on the wire, in octets.
    pub const fn icv_len(self) -> usize {
        match self {
            Self::HmacSha1_96 | Self::HmacSha256_96 => 12,
            Self::HmacSha256_128 => 16,
            Self::HmacSha384_192 => 24,
            Self::HmacSha512_256 => 32,
        }
    }
}

/// What protects the packets of an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transform {
    /// AES-GCM with a 16 octet ICV, RFC 4106.
    AesGcm16(AesBits),
    /// ChaCha20-Poly1305, RFC 7634.
    ChaCha20Poly1305,
    /// AES-CBC, RFC 3602, then an HMAC over the ciphertext.
    AesCbc(AesBits, Integ),
    /// 3DES-CBC with three keys, RFC 2451, then an HMAC over the ciphertext. For clients that have nothing better: RFC 8221
    /// section 5 says that it should not be used.
    TripleDesCbc(Integ),
}

impl Transform {
    /// Length of the encryption key as IKE hands it out, in octets: the salt of an AEAD transform follows the key
    /// (RFC 4106 section 8.1, RFC 7634 section 2).
    pub const fn encr_key_len(self) -> usize {
        match self {
            Self::AesGcm16(bits) => bits.key_len() + SALT_LEN,
            Self::ChaCha20Poly1305 => 32 + SALT_LEN,
            Self::AesCbc(bits, _) => bits.key_len(),
            Self::TripleDesCbc(_) => 24,
        }
    }

    /// Length of the integrity key in octets; 0 with an AEAD transform.
    pub const fn integ_key_len(self) -> usize {
        match self {
            Self::AesGcm16(_) | Self::ChaCha20Poly1305 => 0,
            Self::AesCbc(_, integ) | Self::TripleDesCbc(integ) => integ.key_len(),
        }
    }

    /// Length of the IV in each packet, in octets.
    pub const fn iv_len(self) -> usize {
        match self {
            Self::AesGcm16(_) | Self::ChaCha20Poly1305 | Self::TripleDesCbc(_) => 8,
            Self::AesCbc(..) => 16,
        }
    }

    /// Length of the ICV at the end of each packet, in octets.
    pub const fn icv_len(self) -> usize {
        match self {
            Self::AesGcm16(_) | Self::ChaCha20Poly1305 => 16,
            Self::AesCbc(_, integ) | Self::TripleDesCbc(integ) => integ.icv_len(),
        }
    }

    /// Payload, padding and trailer together fill a multiple of this many octets, RFC 4303 section 2.4.
    pub const fn alignment(self) -> usize {
        match self {
            Self::AesGcm16(_) | Self::ChaCha20Poly1305 => 4,
            Self::TripleDesCbc(_) => 8,
            Self::AesCbc(..) => 16,
        }
    }

    /// Octets in front of the payload: SPI, sequence number and IV.
    pub const fn header_len(self) -> usize {
        ESP_HEADER_LEN + self.iv_len()
    }

    /// Length of the whole ESP packet, SPI to ICV, for a payload of `payload_len` octets; `None` beyond [`MAX_PAYLOAD_LEN`].
    pub const fn sealed_len(self, payload_len: usize) -> Option<usize> {
        if payload_len > MAX_PAYLOAD_LEN {
            return None;
        }
        let encrypted = (payload_len + TRAILER_LEN).next_multiple_of(self.alignment());
        Some(self.header_len() + encrypted + self.icv_len())
    }

    /// Length of the shortest ESP packet: an empty payload.
    pub const fn min_len(self) -> usize {
        self.header_len() + self.alignment() + self.icv_len()
    }

    /// The most that ESP adds to a payload, in octets: header, IV, the longest padding, trailer, ICV.
    pub const fn max_overhead(self) -> usize {
        self.header_len() + self.alignment() - 1 + TRAILER_LEN + self.icv_len()
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AesGcm16(bits) => write!(f, "AES-GCM-{}", bits.bits()),
            Self::ChaCha20Poly1305 => write!(f, "ChaCha20-Poly1305"),
            Self::AesCbc(bits, integ) => write!(f, "AES-CBC-{} with {integ}", bits.bits()),
            Self::TripleDesCbc(integ) => write!(f, "3DES-CBC with {integ}"),
        }
    }
}

impl fmt::Display for Integ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HmacSha1_96 => "HMAC-SHA1-96",
            Self::HmacSha256_128 => "HMAC-SHA2-256-128",
            Self::HmacSha256_96 => "HMAC-SHA2-256-96",
            Self::HmacSha384_192 => "HMAC-SHA2-384-192",
            Self::HmacSha512_256 => "HMAC-SHA2-512-256",
        })
    }
}

/// Transform and sequence number length of one SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Suite {
    /// What protects the packets.
    pub transform: Transform,
    /// Extended (64 bit) sequence numbers, RFC 4303 section 2.2.1.
    pub esn: bool,
}

/// SPI and sequence number, RFC 4303 section 2.
pub const ESP_HEADER_LEN: usize = 8;

/// Pad length and next header, RFC 4303 section 2.
pub const TRAILER_LEN: usize = 2;

/// The longest payload, in octets: an IPv6 header and the largest payload it can announce, RFC 8200 section 3.
pub const MAX_PAYLOAD_LEN: usize = 40 + 65_535;

/// Salt of the AEAD transforms, RFC 4106 section 4 and RFC 7634 section 2, in octets.
pub const SALT_LEN: usize = 4;
