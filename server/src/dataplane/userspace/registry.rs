//! All SA pairs, and which of a pair and its successor sends.
//!
//! The rule (RFC 7296 section 2.8): a pair that replaces another one receives at once but waits with sending, until it is heard
//! from or the other one is removed. Control plane and workers come here under one lock, for a handful of map operations:
//! at install, removal and move, and once in the life of a pair when it is first heard from. Never per packet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cygnet_esp::Spi;

use super::claims::Claims;
use super::link_header::LinkHeader;
use super::meter::Reached;
use super::path_mtu;
use super::table::{Route, Routes};
use super::traps::Traps;
use crate::dataplane::{Claim, InnerPath, Link};
use crate::io::icmp::TooBig;

/// See the module.
#[derive(Default)]
pub(super) struct Registry {
    pub(super) routes: Routes,
    pub(super) traps: Traps,
    pub(super) claims: Arc<Claims>,
    pairs: Mutex<HashMap<Spi, Entry>>,
    families: AtomicU64,
}

struct Entry {
    route: Arc<Route>,
    /// Shared with the pairs that this one replaces and is replaced by: a PPP link belongs to all of them.
    family: u64,
    /// Packets leave by it.
    sends: bool,
    /// The pair that sends in its place, while it waits.
    waits_for: Option<Spi>,
}

/// By which the successors of a pair that is gone are known.
pub(super) struct Kin {
    family: u64,
    route: Arc<Route>,
}

impl Registry {
    /// Adds a pair. Returns whether it is new; if not, nothing has changed.
    pub(super) fn install(&self, route: Route, replaces: Option<Spi>) -> bool {
        let mut pairs = self.lock();
        let spi = route.inbound_spi;
        if pairs.contains_key(&spi) {
            return false;
        }
        let waits_for = replaces.filter(|old| pairs.contains_key(old));
        let inherited = waits_for.and_then(|old| pairs.get(&old)).map(|old| old.family);
        let family = inherited.unwrap_or_else(|| self.families.fetch_add(1, Relaxed));
        route.holder.reconsider(&route.selectors);
        let entry = Entry { route: Arc::new(route), family, sends: waits_for.is_none(), waits_for };
        if entry.sends {
            self.routes.insert(&entry.route);
        }
        pairs.insert(spi, entry);
        true
    }

    /// Replaces all claims.
    pub(super) fn set_claims(&self, claims: Vec<Claim>) {
        let pairs = self.lock();
        self.claims.set(claims);
        pairs.values().for_each(|entry| entry.route.holder.reconsider(&entry.route.selectors));
    }

    /// A pair was heard from: it sends from now on, and none that it replaces does.
    pub(super) fn heard(&self, spi: Spi) {
        let mut pairs = self.lock();
        let Some(entry) = pairs.get_mut(&spi) else { return };
        let mut predecessor = entry.waits_for.take();
        if !entry.sends {
            entry.sends = true;
            self.routes.insert(&entry.route);
        }
        while let Some(old) = predecessor.and_then(|old| pairs.get_mut(&old)) {
            if old.sends {
                old.sends = false;
                self.routes.remove(&old.route);
            }
            predecessor = old.waits_for.take();
        }
    }

    /// Removes a pair. What waits for it sends from now on, unless it waits for yet another one. Returns how to know its successors,
    /// if it was there.
    pub(super) fn remove(&self, spi: Spi) -> Option<Kin> {
        let mut pairs = self.lock();
        let gone = pairs.remove(&spi)?;
        for heir in pairs.values_mut().filter(|entry| entry.waits_for == Some(spi)) {
            heir.waits_for = gone.waits_for;
            if gone.sends {
                heir.sends = true;
                self.routes.insert(&heir.route);
            }
        }
        let of_family = |entry: &&mut Entry| entry.family == gone.family;
        if gone.sends && !pairs.values_mut().filter(of_family).any(|entry| entry.sends) {
            // It was replaced before, and what replaced it did not last.
            if let Some(before) = pairs.values_mut().filter(of_family).find(|entry| entry.waits_for.is_none()) {
                before.sends = true;
                self.routes.insert(&before.route);
            }
        }
        if gone.sends {
            self.routes.remove(&gone.route);
        }
        Some(Kin { family: gone.family, route: gone.route })
    }

    /// Whether a pair is left that carries the same traffic: of the same family, or between the same networks.
    pub(super) fn has_kin(&self, kin: &Kin) -> bool {
        let carries_on = |entry: &Entry| entry.family == kin.family || entry.route.carries_the_same(&kin.route);
        self.lock().values().any(carries_on)
    }

    /// Replaces the route of a pair by what `change` makes of it.
    pub(super) fn reroute(&self, spi: Spi, change: impl FnOnce(&Route) -> Option<Route>) {
        let mut pairs = self.lock();
        let Some(entry) = pairs.get_mut(&spi) else { return };
        let Some(route) = change(&entry.route) else { return };
        entry.route = Arc::new(route);
        if entry.sends {
            self.routes.replace(&entry.route);
        }
    }

    /// Lets an L2TP pair and its family carry the packets of a link, or of none. Returns which pairs these are.
    pub(super) fn link(&self, spi: Spi, link: Option<&Link>) -> Vec<Spi> {
        let mut pairs = self.lock();
        let Some(asked) = pairs.get(&spi).filter(|entry| entry.route.inner == InnerPath::L2tp) else {
            return Vec::new();
        };
        let (family, before) = (asked.family, asked.route.link.clone());
        let header = link.cloned().map(|link| match before {
            Some(before) => LinkHeader::succeeding(link, &before),
            None => LinkHeader::new(link),
        });
        let header = header.map(Arc::new);
        let mut linked = Vec::new();
        for (spi, entry) in pairs.iter_mut().filter(|(_, entry)| entry.family == family) {
            let route = Arc::new(entry.route.linked(header.clone()));
            if entry.sends {
                self.routes.exchange(&entry.route, &route);
            }
            entry.route = route;
            linked.push(*spi);
        }
        linked
    }

    /// The route of the pair that sends in the place of this one, or of this one itself; `None` for unknown pairs.
    pub(super) fn sender(&self, spi: Spi) -> Option<Arc<Route>> {
        let pairs = self.lock();
        let family = pairs.get(&spi)?.family;
        let sender = pairs.values().find(|entry| entry.family == family && entry.sends);
        sender.map(|entry| entry.route.clone())
    }

    /// The limits that pairs have come to since the last time.
    pub(super) fn take_limits(&self) -> Vec<(Spi, Reached)> {
        let of_pair = |(spi, entry): (&Spi, &Entry)| {
            let spi = *spi;
            entry.route.meter.take_noted().map(move |reached| (spi, reached))
        };
        self.lock().iter().flat_map(of_pair).collect()
    }

    /// Looks at the route of a pair.
    pub(super) fn look<T>(&self, spi: Spi, look: impl FnOnce(&Route) -> T) -> Option<T> {
        self.lock().get(&spi).map(|entry| look(&entry.route))
    }

    /// The pairs that a router's message is about, each with what its inner packets may measure.
    pub(super) fn too_big(&self, told: &TooBig) -> Vec<(Spi, u16)> {
        let pairs = self.lock();
        path_mtu::affected(told, pairs.values().map(|entry| entry.route.as_ref()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Spi, Entry>> {
        // No step in here can panic half-way through a change, so what a panic left behind is whole.
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::link_header;
    use super::super::table::tests::{outbound, range, route};
    use super::super::testing::Segment;
    use super::*;
    use cygnet_esp::DropReason;
    use cygnet_esp::selector::SelectorSet;

    /// A registry of pairs for the one destination of the test packets.
    pub(in super::super) fn registry(installs: &[(u32, Option<u32>)]) -> Registry {
        let registry = Registry::default();
        for (spi, replaces) in installs {
            assert!(install(&registry, *spi, *replaces));
        }
        registry
    }

    /// Removes a pair that is there.
    pub(in super::super) fn remove(registry: &Registry, spi: u32) -> Kin {
        registry.remove(Spi(spi)).expect("the pair is there")
    }

    fn install(registry: &Registry, spi: u32, replaces: Option<u32>) -> bool {
        let route = Arc::into_inner(route(spi, &[range("10.0.0.1", "10.0.0.1")])).unwrap();
        registry.install(route, replaces.map(Spi))
    }

    fn sender(registry: &Registry) -> Result<u32, DropReason> {
        registry.routes.find(&Segment::udp(b"").emit(), |route| route.inbound_spi.0)
    }

    #[test]
    fn the_old_pair_sends_until_the_new_one_is_heard() {
        let registry = registry(&[(1, None), (2, Some(1))]);
        assert_eq!(sender(&registry), Ok(1));
        registry.heard(Spi(1));
        assert_eq!(sender(&registry), Ok(1));
        registry.heard(Spi(2));
        assert_eq!(sender(&registry), Ok(2));
        registry.heard(Spi(1));
        registry.remove(Spi(1));
        assert_eq!(sender(&registry), Ok(2));
    }

    #[test]
    fn the_old_pair_sends_again_if_the_new_one_does_not_last() {
        let registry = registry(&[(1, None), (2, Some(1))]);
        registry.heard(Spi(2));
        let kin = remove(&registry, 2);
        assert!(registry.has_kin(&kin));
        assert_eq!(sender(&registry), Ok(1));
    }

    #[test]
    fn the_old_pair_sends_until_it_is_removed() {
        let registry = registry(&[(1, None), (2, Some(1))]);
        assert!(registry.remove(Spi(1)).is_some());
        assert_eq!(sender(&registry), Ok(2));
        assert!(registry.remove(Spi(1)).is_none());
        assert!(registry.remove(Spi(2)).is_some());
        assert_eq!(sender(&registry), Err(DropReason::NoSa));
    }

    #[test]
    fn a_chain_of_replacements_ends_with_the_one_that_is_heard() {
        let chain = [(1, None), (2, Some(1)), (3, Some(2))];
        let heard = registry(&chain);
        heard.heard(Spi(3));
        assert_eq!(sender(&heard), Ok(3));
        heard.remove(Spi(1));
        heard.remove(Spi(2));
        assert_eq!(sender(&heard), Ok(3));

        let skipped = registry(&chain);
        skipped.remove(Spi(2));
        assert_eq!(sender(&skipped), Ok(1));
        skipped.remove(Spi(1));
        assert_eq!(sender(&skipped), Ok(3));

        let in_turn = registry(&chain);
        in_turn.remove(Spi(1));
        assert_eq!(sender(&in_turn), Ok(2));
        in_turn.remove(Spi(2));
        assert_eq!(sender(&in_turn), Ok(3));
    }

    #[test]
    fn a_pair_that_replaces_an_unknown_one_sends_at_once() {
        let registry = registry(&[(2, Some(1))]);
        assert_eq!(sender(&registry), Ok(2));
        assert!(!install(&registry, 2, None), "its SPI is taken");
    }

    #[test]
    fn independent_pairs_for_one_destination_fall_back_to_each_other() {
        let registry = registry(&[(1, None), (2, None)]);
        assert_eq!(sender(&registry), Ok(2));
        let kin = remove(&registry, 2);
        assert!(registry.has_kin(&kin));
        assert_eq!(sender(&registry), Ok(1));
        assert!(install(&registry, 3, None));
        let elsewhere = "203.0.113.9:4500".parse().unwrap();
        registry.reroute(Spi(3), |route| Some(route.towards(elsewhere, "192.0.2.1".parse().unwrap(), 0, true)));
        let kin = remove(&registry, 3);
        assert!(!registry.has_kin(&kin), "another peer's pair succeeds nobody");
    }

    #[test]
    fn a_move_takes_effect_for_the_pair_that_sends_and_for_the_one_that_waits() {
        let registry = registry(&[(1, None), (2, Some(1))]);
        let peer = "203.0.113.9:4500".parse().unwrap();
        for spi in [1, 2, 99] {
            registry.reroute(Spi(spi), |route| Some(route.towards(peer, "192.0.2.1".parse().unwrap(), 7, true)));
        }
        let socket = |registry: &Registry| registry.routes.find(&Segment::udp(b"").emit(), |route| route.socket);
        assert_eq!((sender(&registry), socket(&registry)), (Ok(1), Ok(7)));
        registry.heard(Spi(2));
        assert_eq!((sender(&registry), socket(&registry)), (Ok(2), Ok(7)));
        assert_eq!(registry.look(Spi(2), |route| route.socket), Some(7));
        assert_eq!(registry.look(Spi(99), |route| route.socket), None);
    }

    fn l2tp_pair(spi: u32) -> Route {
        let nowhere =
            Route::new(Spi(spi), outbound(), InnerPath::L2tp, Arc::new(SelectorSet::new([], [])), Arc::default());
        nowhere.towards("198.51.100.7:4500".parse().unwrap(), "192.0.2.1".parse().unwrap(), 0, true)
    }

    /// As the data plane installs it: with the link of what it replaces.
    fn install_l2tp(registry: &Registry, spi: u32, replaces: Option<u32>) {
        let link = replaces.and_then(|old| registry.look(Spi(old), |route| route.link.clone())).flatten();
        assert!(registry.install(l2tp_pair(spi).linked(link), replaces.map(Spi)));
    }

    fn link() -> Link {
        crate::dataplane::Link { addresses: vec!["10.0.0.1".parse().unwrap()], ..link_header::tests::link() }
    }

    fn l2tp_sender(registry: &Registry, spi: u32) -> Option<u32> {
        registry.sender(Spi(spi)).map(|route| route.inbound_spi.0)
    }

    #[test]
    fn a_link_follows_its_pair_through_rekeys() {
        let registry = Registry::default();
        install_l2tp(&registry, 1, None);
        assert_eq!(sender(&registry), Err(DropReason::NoSa));
        assert_eq!(registry.link(Spi(1), Some(&link())), [Spi(1)]);
        assert_eq!(sender(&registry), Ok(1));

        install_l2tp(&registry, 2, Some(1));
        assert_eq!((sender(&registry), l2tp_sender(&registry, 2)), (Ok(1), Some(1)), "it waits");
        registry.heard(Spi(2));
        assert_eq!((sender(&registry), l2tp_sender(&registry, 1)), (Ok(2), Some(2)));
        registry.remove(Spi(1));
        assert_eq!((sender(&registry), l2tp_sender(&registry, 1)), (Ok(2), None));

        install_l2tp(&registry, 3, Some(2));
        registry.remove(Spi(2));
        assert_eq!((sender(&registry), l2tp_sender(&registry, 3)), (Ok(3), Some(3)), "the old one is gone");
        assert_eq!(registry.link(Spi(3), None), [Spi(3)]);
        assert_eq!(sender(&registry), Err(DropReason::NoSa));
    }

    #[test]
    fn a_change_of_the_link_reaches_the_pair_that_sends_and_the_one_that_waits() {
        let registry = Registry::default();
        install_l2tp(&registry, 1, None);
        install_l2tp(&registry, 2, Some(1));
        install_l2tp(&registry, 9, None);
        let mut linked = registry.link(Spi(2), Some(&link()));
        linked.sort();
        assert_eq!(linked, [Spi(1), Spi(2)]);
        assert_eq!(sender(&registry), Ok(1));
        registry.heard(Spi(2));
        assert_eq!(sender(&registry), Ok(2));
        assert_eq!(registry.look(Spi(9), |route| route.link.is_none()), Some(true));
        assert!(registry.link(Spi(1), None).len() == 2 && registry.link(Spi(77), None).is_empty());
        assert_eq!(sender(&registry), Err(DropReason::NoSa));
    }

    #[test]
    fn limits_are_fetched_once_by_whoever_asks() {
        let limit = |soft, hard| Some(crate::dataplane::Limit { soft, hard });
        let registry = Registry::default();
        let limits = crate::dataplane::Limits { bytes: None, packets: limit(1, 2) };
        let meter = Arc::new(super::super::meter::Meter::new(limits));
        let route = Arc::into_inner(route(1, &[range("10.0.0.1", "10.0.0.1")])).unwrap();
        assert!(registry.install(Route { meter: meter.clone(), ..route }, None));
        assert!(install(&registry, 2, None) && registry.take_limits().is_empty());
        meter.sent(1, 100);
        meter.sent(1, 100);
        assert_eq!(registry.take_limits(), [(Spi(1), Reached::Soft), (Spi(1), Reached::Hard)]);
        assert!(registry.take_limits().is_empty());
    }

    #[test]
    fn a_tunnel_has_no_link() {
        let registry = registry(&[(1, None)]);
        assert!(registry.link(Spi(1), Some(&link())).is_empty());
        assert_eq!(registry.look(Spi(1), |route| route.link.is_none()), Some(true));
    }
}
