//! Key material: one type for every secret of the crate.
//!
//! A [`Secret`] is wiped when dropped, compares in constant time and can be neither printed, cloned
//! nor serialized. Bytes leave it only through [`Secret::expose`], so that a search for `expose`
//! lists every place where a key is used.
//!
//! Does not: derive keys (see [`prf`](super::prf)) or choose algorithms (see [`suite`](super::suite)).

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A byte string that nobody else may learn.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over `bytes`, without a copy.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Copies `bytes`; wiping the original stays with the caller.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }

    /// The bytes, for the moment of their use.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `other` holds the same bytes, in a time that depends on the lengths alone.
    #[must_use]
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        self.0.as_slice().ct_eq(other).into()
    }

    /// Cuts the front into consecutive secrets of `lengths` bytes each, as keys are taken from
    /// keying material (RFC 7296 sections 2.14 and 2.17).
    ///
    /// `None` if there are fewer bytes than that; bytes left over are dropped.
    #[must_use]
    pub fn split<const N: usize>(&self, lengths: [usize; N]) -> Option<[Secret; N]> {
        let mut rest = self.expose();
        let mut parts = lengths.map(|_| Secret::new(Vec::new()));
        for (part, length) in parts.iter_mut().zip(lengths) {
            let (front, back) = rest.split_at_checked(length)?;
            *part = Secret::from_slice(front);
            rest = back;
        }
        Some(parts)
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_contents_and_length() {
        let secret = Secret::from_slice(b"swan");
        assert!(secret.ct_eq(b"swan"));
        assert!(!secret.ct_eq(b"swam"));
        assert!(!secret.ct_eq(b"swa"));
        assert!(!secret.ct_eq(b"swans"));
        assert!(Secret::new(Vec::new()).ct_eq(b""));
    }

    #[test]
    fn splits_in_order_and_drops_the_rest() {
        let secret = Secret::from_slice(b"abcdefg");
        let [a, none, b] = secret.split([2, 0, 3]).expect("seven bytes hold five");
        assert_eq!((a.expose(), none.is_empty(), b.expose()), (&b"ab"[..], true, &b"cde"[..]));
    }

    #[test]
    fn refuses_to_split_more_than_there_is() {
        assert!(Secret::from_slice(b"abc").split([2, 2]).is_none());
    }
}
