//! Postquantum preshared keys: RFC 8784.
//!
//! A second secret beside the one that proves identities. It is mixed into the keys of the IKE SA, so that who records the
//! traffic today and breaks the Diffie-Hellman in twenty years still cannot read it. Such a key has a name, which the
//! initiator tells.
//!
//! Does not: generate keys. They are worth what their randomness is worth; 32 random octets are right.

use std::sync::Arc;

use crate::crypto::secret::Secret;

/// Longest name of a key, in octets.
pub const MAX_PPK_ID: usize = 255;

/// The keys that peers may name. Clones share them.
#[derive(Clone, Default)]
pub struct PpkTable(Arc<[(Vec<u8>, Secret)]>);

impl PpkTable {
    /// Keys by their names. Of several with the same name the first counts.
    #[must_use]
    pub fn new(entries: Vec<(Vec<u8>, Secret)>) -> Self {
        Self(entries.into())
    }

    /// Whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key of this name.
    #[must_use]
    pub fn find(&self, id: &[u8]) -> Option<&Secret> {
        self.0.iter().find(|(known, _)| known == id).map(|(_, key)| key)
    }
}

/// The postquantum preshared key of a site.
pub struct SitePpk {
    /// Its name, at most [`MAX_PPK_ID`] octets: PPK_ID_FIXED of RFC 8784 section 5.1.
    pub id: Vec<u8>,
    /// The key.
    pub secret: Secret,
    /// Whether the tunnel may not come up without it.
    pub required: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_key_of_a_name() {
        let key = |id: &[u8], secret: &[u8]| (id.to_vec(), Secret::from_slice(secret));
        let table = PpkTable::new(vec![key(b"a", b"1"), key(b"b", b"2"), key(b"a", b"3")]);
        assert!(table.find(b"a").is_some_and(|found| found.ct_eq(b"1")));
        assert!(table.find(b"b").is_some_and(|found| found.ct_eq(b"2")));
        assert!(table.find(b"").is_none() && table.find(b"A").is_none());
        assert!(PpkTable::default().is_empty());
    }
}
