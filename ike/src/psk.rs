//! Pre-shared keys and who they are for.
//!
//! The most specific entry counts: an identity, then the smallest network that holds the address of the peer, then the
//! key for everybody.

use std::net::IpAddr;
use std::sync::Arc;

use crate::crypto::secret::Secret;
use crate::event::Prefix;
use crate::identity::Identity;

/// Whom a key is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PskSelector {
    /// Everybody.
    Any,
    /// Peers whose messages come from here; an address is a network of full length.
    Network(Prefix),
    /// Peers that call themselves so.
    Identity(Identity),
}

/// All pre-shared keys. Clones share them.
#[derive(Clone, Default)]
pub struct PskTable(Arc<[(PskSelector, Secret)]>);

impl PskTable {
    /// Keys with their selectors. Of several with the same selector the first counts.
    #[must_use]
    pub fn new(entries: Vec<(PskSelector, Secret)>) -> Self {
        Self(entries.into())
    }

    /// Whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys that a peer at `address` may have whose name is not known yet, as in main mode of IKEv1 (RFC 2409 section
    /// 5.4): the one for its address, then those for names. At most `limit` of them.
    pub(crate) fn candidates(&self, address: IpAddr, limit: usize) -> impl Iterator<Item = &Secret> {
        let named = self.0.iter().filter(|(selector, _)| matches!(selector, PskSelector::Identity(_)));
        self.find_unnamed(address).into_iter().chain(named.map(|(_, key)| key)).take(limit)
    }

    /// The key that is for this name and nobody else.
    pub(crate) fn find_named(&self, identity: &Identity) -> Option<&Secret> {
        let is_it = |selector: &PskSelector| matches!(selector, PskSelector::Identity(wanted) if wanted == identity);
        self.0.iter().find(|(selector, _)| is_it(selector)).map(|(_, key)| key)
    }

    /// The key for a peer at `address` without a name that could select one.
    pub(crate) fn find_unnamed(&self, address: IpAddr) -> Option<&Secret> {
        let address = address.to_canonical();
        let unnamed = self.0.iter().filter(|(selector, _)| !matches!(selector, PskSelector::Identity(_)));
        let matching = unnamed.filter_map(|(selector, key)| Some((selector.rank(None, address)?, key)));
        matching.rev().max_by_key(|(rank, _)| *rank).map(|(_, key)| key)
    }

    /// The key for a peer that calls itself `identity` and sends from `address`.
    #[must_use]
    pub fn find(&self, identity: &Identity, address: IpAddr) -> Option<&Secret> {
        let address = address.to_canonical();
        let ranked = self.0.iter().filter_map(|(selector, key)| Some((selector.rank(Some(identity), address)?, key)));
        // `max_by_key` takes the last of equals; reversed, that is the first entry.
        ranked.rev().max_by_key(|(rank, _)| *rank).map(|(_, key)| key)
    }
}

impl PskSelector {
    /// How specifically this selects the peer; `None` if it does not.
    fn rank(&self, identity: Option<&Identity>, address: IpAddr) -> Option<u16> {
        const IDENTITY: u16 = 1000;
        match self {
            Self::Any => Some(0),
            Self::Network(prefix) => prefix.contains(address).then_some(1 + u16::from(prefix.len)),
            Self::Identity(wanted) => (Some(wanted) == identity).then_some(IDENTITY),
        }
    }
}

impl Prefix {
    /// Whether `address` is inside.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let host = u32::MAX.checked_shr(self.len.into()).unwrap_or(0);
                network.to_bits() | host == address.to_bits() | host
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let host = u128::MAX.checked_shr(self.len.into()).unwrap_or(0);
                network.to_bits() | host == address.to_bits() | host
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(address: &str, len: u8) -> Prefix {
        Prefix { address: address.parse().expect("an address"), len }
    }

    fn table() -> PskTable {
        PskTable::new(vec![
            (PskSelector::Any, Secret::from_slice(b"any")),
            (PskSelector::Network(prefix("192.0.2.0", 24)), Secret::from_slice(b"net")),
            (PskSelector::Network(prefix("192.0.2.7", 32)), Secret::from_slice(b"host")),
            (PskSelector::Identity(Identity::Fqdn("laptop".into())), Secret::from_slice(b"name")),
            (PskSelector::Identity(Identity::Fqdn("laptop".into())), Secret::from_slice(b"second")),
            (PskSelector::Network(prefix("2001:db8::", 32)), Secret::from_slice(b"six")),
        ])
    }

    fn find(identity: &str, address: &str) -> Vec<u8> {
        let identity = Identity::Fqdn(identity.into());
        table().find(&identity, address.parse().expect("an address")).expect("Any matches").expose().to_vec()
    }

    #[test]
    fn the_most_specific_entry_counts() {
        assert_eq!(find("x", "203.0.113.1"), b"any");
        assert_eq!(find("x", "192.0.2.1"), b"net");
        assert_eq!(find("x", "192.0.2.7"), b"host");
        assert_eq!(find("laptop", "192.0.2.7"), b"name");
        assert_eq!(find("x", "2001:db8:1::1"), b"six");
        assert_eq!(find("x", "2001:db9::1"), b"any");
        assert_eq!(find("x", "::ffff:192.0.2.7"), b"host", "as a socket for both families shows it");
    }

    #[test]
    fn a_peer_without_a_name_may_have_the_key_for_its_address_or_one_for_a_name() {
        let keys = |address: &str, limit| -> Vec<Vec<u8>> {
            let address = address.parse().expect("an address");
            table().candidates(address, limit).map(|key| key.expose().to_vec()).collect()
        };
        assert_eq!(keys("192.0.2.7", 8), [&b"host"[..], b"name", b"second"]);
        assert_eq!(keys("192.0.2.1", 2), [&b"net"[..], b"name"]);
        assert_eq!(keys("203.0.113.1", 1), [&b"any"[..]]);
        let table = table();
        assert!(table.find_named(&Identity::Fqdn("laptop".into())).is_some_and(|key| key.ct_eq(b"name")));
        assert!(table.find_named(&Identity::Fqdn("x".into())).is_none());
    }

    #[test]
    fn nobody_is_found_without_a_matching_entry() {
        let table =
            PskTable::new(vec![(PskSelector::Identity(Identity::KeyId(b"a".into())), Secret::from_slice(b"k"))]);
        let address = "192.0.2.1".parse().expect("an address");
        assert!(table.find(&Identity::Fqdn("a".into()), address).is_none());
        assert!(table.find(&Identity::KeyId(b"a".into()), address).is_some());
    }
}
