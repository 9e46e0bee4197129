//! The NT password hash: MD4 of the password in UTF-16LE, RFC 2759 section 8.3.
//!
//! It is as good as the password to anybody who steals it, so it is treated as a secret: wiped on drop, no `Debug`, no
//! `Clone`, compared in constant time.

use md4::{Digest, Md4};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// NtPasswordHash of RFC 2759.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct NtHash([u8; 16]);

impl NtHash {
    /// Hashes a password.
    #[must_use]
    pub fn of_password(password: &str) -> Self {
        let mut utf16 = Zeroizing::new(Vec::with_capacity(password.len() * 2));
        utf16.extend(password.encode_utf16().flat_map(u16::to_le_bytes));
        Self(Md4::digest(utf16.as_slice()).into())
    }

    /// Takes a hash that was computed elsewhere.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads 32 hexadecimal digits, as in `nt_hash = "8846f7eaee8fb117ad06bdd830b7586c"`.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digit = |c: char| c.to_digit(16).and_then(|d| u8::try_from(d).ok());
        let digits: Zeroizing<Vec<u8>> = Zeroizing::new(text.chars().map(digit).collect::<Option<_>>()?);
        let mut hash = Self([0; 16]);
        let (pairs, rest) = digits.as_chunks::<2>();
        if pairs.len() != hash.0.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in hash.0.iter_mut().zip(pairs) {
            *byte = high << 4 | low;
        }
        Some(hash)
    }

    /// The hash bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether both are the same, in constant time.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_the_password_of_rfc_2759() {
        let expected = NtHash::from_hex("44EBBA8D5312B8D611474411F56989AE").unwrap();
        assert!(NtHash::of_password("clientPass").ct_eq(&expected));
        assert!(!NtHash::of_password("clientpass").ct_eq(&expected));
    }

    #[test]
    fn reads_hexadecimal_strictly() {
        assert!(NtHash::from_hex("8846f7eaee8fb117ad06bdd830b7586c").unwrap().ct_eq(&NtHash::of_password("password")));
        assert!(NtHash::from_hex("8846f7eaee8fb117ad06bdd830b7586").is_none());
        assert!(NtHash::from_hex("8846f7eaee8fb117ad06bdd830b7586c0").is_none());
        assert!(NtHash::from_hex("8846f7eaee8fb117ad06bdd830b758gg").is_none());
        assert!(NtHash::from_hex("").is_none());
    }
}
