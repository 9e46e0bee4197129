//! One round of attempts: every address of the peer on UDP port 500, then those that did not answer on port 4500.
//!
//! What worked last comes first. Does not: know time, or make attempts.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// UDP port of IKE, RFC 7296 section 2.
pub(super) const IKE: u16 = 500;
/// UDP port of IKE that goes through address translation, RFC 3948 section 2.
pub(super) const NAT_TRAVERSAL: u16 = 4500;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Round {
    left: Vec<SocketAddr>,
    answered: BTreeSet<IpAddr>,
    tried: usize,
}

impl Round {
    /// A round through `addresses`. `best` is where the peer was reached last.
    pub(super) fn new(addresses: &[IpAddr], best: Option<SocketAddr>) -> Self {
        let on = |port| addresses.iter().map(move |&address| SocketAddr::new(address, port));
        let mut left: Vec<SocketAddr> = on(IKE).chain(on(NAT_TRAVERSAL)).collect();
        if let Some(best) = best.filter(|best| left.contains(best)) {
            left.sort_by_key(|&target| target != best);
        }
        left.reverse();
        Self { left, answered: BTreeSet::new(), tried: 0 }
    }

    /// Where to try next; `None`: the round is over.
    pub(super) fn next(&mut self) -> Option<SocketAddr> {
        let target = loop {
            let target = self.left.pop()?;
            if !self.answered.contains(&target.ip()) {
                break target;
            }
        };
        self.tried += 1;
        Some(target)
    }

    /// The peer has said something, if only no: another port would not help.
    pub(super) fn note_answer(&mut self, address: IpAddr) {
        self.answered.insert(address);
    }

    /// Whether some address has answered.
    pub(super) fn was_answered(&self) -> bool {
        !self.answered.is_empty()
    }

    /// Whether anything was tried.
    pub(super) fn is_empty(&self) -> bool {
        self.tried == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn all(round: &mut Round) -> Vec<String> {
        std::iter::from_fn(|| round.next()).map(|target| target.to_string()).collect()
    }

    #[test]
    fn every_address_is_tried_on_both_ports() {
        let mut round = Round::new(&addresses(&["192.0.2.1", "2001:db8::1"]), None);
        let expected = ["192.0.2.1:500", "[2001:db8::1]:500", "192.0.2.1:4500", "[2001:db8::1]:4500"];
        assert_eq!(all(&mut round), expected);
    }

    #[test]
    fn who_has_answered_is_not_asked_on_the_other_port() {
        let mut round = Round::new(&addresses(&["192.0.2.1", "192.0.2.2"]), None);
        assert!(round.next().is_some() && !round.was_answered());
        round.note_answer("192.0.2.1".parse().unwrap());
        assert_eq!(all(&mut round), ["192.0.2.2:500", "192.0.2.2:4500"]);
        assert!(round.was_answered());
    }

    #[test]
    fn what_worked_last_comes_first_if_it_is_still_an_address_of_the_peer() {
        let list = addresses(&["192.0.2.1", "192.0.2.2"]);
        let best = "192.0.2.2:4500".parse().ok();
        let expected = ["192.0.2.2:4500", "192.0.2.1:500", "192.0.2.2:500", "192.0.2.1:4500"];
        assert_eq!(all(&mut Round::new(&list, best)), expected);
        let gone = "192.0.2.9:4500".parse().ok();
        assert_eq!(all(&mut Round::new(&list, gone))[0], "192.0.2.1:500");
        assert!(Round::new(&[], None).is_empty());
    }
}
