//! Narrowing of traffic selectors by the responder, RFC 7296 section 2.9.
//!
//! Of what the client offers, that part is kept which its addresses and our networks allow; nothing is ever added.

use std::net::IpAddr;

use crate::child_sa::ChildMode;
use crate::event::{Grant, Path};
use crate::site::SiteChild;
use crate::wire::limits::MAX_TRAFFIC_SELECTORS;
use crate::wire::v2::{AddressRange, TrafficSelector};

/// What may go through a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// On the side of the client.
    pub(crate) tsi: Vec<TrafficSelector>,
    /// On our side.
    pub(crate) tsr: Vec<TrafficSelector>,
}

/// Both sides of a tunnel; neither is empty, and both speak of the same address families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Narrowed {
    pub(crate) tsi: Vec<TrafficSelector>,
    pub(crate) tsr: Vec<TrafficSelector>,
}

impl Allowed {
    /// The client's addresses, towards the granted networks; without these, towards everything of the families that the
    /// client has addresses of.
    pub(crate) fn from_grant(grant: &Grant) -> Self {
        let tsi = grant.addresses.iter().map(|address| TrafficSelector::host(*address)).collect();
        let routes = grant.routes.iter().map(|route| TrafficSelector::prefix(route.address, route.len));
        let mut tsr: Vec<_> = routes.collect();
        if tsr.is_empty() {
            tsr.extend(grant.addresses.iter().any(IpAddr::is_ipv4).then_some(TrafficSelector::ANY_V4));
            tsr.extend(grant.addresses.iter().any(IpAddr::is_ipv6).then_some(TrafficSelector::ANY_V6));
        }
        Self { tsi, tsr }
    }

    /// One tunnel of a site. In transport mode the traffic is that between the two outer addresses, where the configuration
    /// does not name any.
    pub(crate) fn between(child: &SiteChild, path: Path) -> Self {
        let or_host = |list: &[TrafficSelector], address: IpAddr| match child.mode {
            ChildMode::Transport if list.is_empty() => vec![TrafficSelector::host(address.to_canonical())],
            _ => list.to_vec(),
        };
        Self { tsi: or_host(&child.remote, path.peer.ip()), tsr: or_host(&child.local, path.local.ip()) }
    }

    /// The allowed part of an offer; `None` if that is no traffic at all.
    pub(crate) fn narrow(&self, tsi: &[TrafficSelector], tsr: &[TrafficSelector]) -> Option<Narrowed> {
        let (mut tsi, mut tsr) = (common(tsi, &self.tsi), common(tsr, &self.tsr));
        let families = |list: &[TrafficSelector]| (list.iter().any(is_v4), list.iter().any(|ts| !is_v4(ts)));
        let (ours, theirs) = (families(&tsr), families(&tsi));
        let kept = |ts: &TrafficSelector| if is_v4(ts) { ours.0 && theirs.0 } else { ours.1 && theirs.1 };
        tsi.retain(kept);
        tsr.retain(kept);
        (!tsi.is_empty() && !tsr.is_empty()).then_some(Narrowed { tsi, tsr })
    }
}

fn is_v4(selector: &TrafficSelector) -> bool {
    matches!(selector.range, AddressRange::V4 { .. })
}

/// Everything that is in both lists, without what is part of another selector.
fn common(offered: &[TrafficSelector], allowed: &[TrafficSelector]) -> Vec<TrafficSelector> {
    let mut list: Vec<TrafficSelector> = Vec::new();
    for part in offered.iter().flat_map(|o| allowed.iter().filter_map(|a| o.intersection(a))) {
        if list.iter().any(|other| other.contains(&part)) {
            continue;
        }
        list.retain(|other| !part.contains(other));
        if list.len() < MAX_TRAFFIC_SELECTORS {
            list.push(part);
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Prefix;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn grant(addresses: &[&str], routes: &[(&str, u8)]) -> Allowed {
        Allowed::from_grant(&Grant {
            addresses: addresses.iter().map(|a| ip(a)).collect(),
            routes: routes.iter().map(|(address, len)| Prefix { address: ip(address), len: *len }).collect(),
            ..Grant::default()
        })
    }

    const BOTH: [TrafficSelector; 2] = [TrafficSelector::ANY_V4, TrafficSelector::ANY_V6];

    #[test]
    fn everything_becomes_the_assigned_address() {
        let narrowed = grant(&["10.0.0.2"], &[]).narrow(&BOTH, &BOTH).expect("acceptable");
        assert_eq!(narrowed.tsi, [TrafficSelector::host(ip("10.0.0.2"))]);
        assert_eq!(narrowed.tsr, [TrafficSelector::ANY_V4]);
        let narrowed = grant(&["10.0.0.2", "fd00::2"], &[]).narrow(&BOTH, &BOTH).expect("acceptable");
        assert_eq!(narrowed.tsi, [TrafficSelector::host(ip("10.0.0.2")), TrafficSelector::host(ip("fd00::2"))]);
        assert_eq!(narrowed.tsr, BOTH);
    }

    #[test]
    fn everything_becomes_the_routes() {
        let routes = [("10.1.0.0", 16), ("10.2.0.0", 16), ("fd01::", 64)];
        let narrowed = grant(&["10.0.0.2"], &routes).narrow(&BOTH, &BOTH).expect("acceptable");
        assert_eq!(
            narrowed.tsr,
            [("10.1.0.0", 16), ("10.2.0.0", 16)].map(|(a, len)| TrafficSelector::prefix(ip(a), len))
        );
    }

    #[test]
    fn a_smaller_offer_stays_smaller() {
        let https = TrafficSelector {
            protocol: 6,
            start_port: 443,
            end_port: 443,
            ..TrafficSelector::prefix(ip("10.1.2.0"), 24)
        };
        let narrowed = grant(&["10.0.0.2"], &[("10.1.0.0", 16)]).narrow(&BOTH, &[https]).expect("acceptable");
        assert_eq!(narrowed.tsr, [https]);
        assert_eq!(narrowed.tsi, [TrafficSelector::host(ip("10.0.0.2"))]);
    }

    #[test]
    fn the_packet_that_triggered_the_exchange_is_part_of_the_rest() {
        let packet =
            TrafficSelector { protocol: 17, start_port: 53, end_port: 53, ..TrafficSelector::host(ip("10.1.0.1")) };
        let offer = [packet, TrafficSelector::ANY_V4];
        let narrowed = grant(&["10.0.0.2"], &[]).narrow(&BOTH, &offer).expect("acceptable");
        assert_eq!(narrowed.tsr, [TrafficSelector::ANY_V4]);
    }

    #[test]
    fn refuses_foreign_addresses_and_families() {
        let allowed = grant(&["10.0.0.2"], &[("10.1.0.0", 16)]);
        assert_eq!(allowed.narrow(&[TrafficSelector::host(ip("10.0.0.3"))], &BOTH), None);
        assert_eq!(allowed.narrow(&BOTH, &[TrafficSelector::ANY_V6]), None);
        assert_eq!(allowed.narrow(&BOTH, &[TrafficSelector::prefix(ip("192.0.2.0"), 24)]), None);
        assert_eq!(grant(&[], &[]).narrow(&BOTH, &BOTH), None);
        assert_eq!(grant(&["10.0.0.2"], &[("fd01::", 64)]).narrow(&BOTH, &BOTH), None);
    }
}
