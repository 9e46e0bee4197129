//! What a Child SA that a peer asks for may carry: RFC 7296 section 2.9.
//!
//! A remote client gets what its grant allows. A site gets the tunnel of its configuration that fits best, narrowed to what
//! both sides want.

use std::sync::Arc;

use crate::child_sa::ChildMode;
use crate::event::Grant;
use crate::narrow::{Allowed, Narrowed};
use crate::refusal::RefusalReason;
use crate::site::{Site, SiteChild};
use crate::wire::num::NotifyType;
use crate::wire::v2::{AddressRange, TrafficSelector};

use super::Session;
use super::child::{Child, Refused};
use super::own_child::is_within;
use super::request::ChildWish;

/// The traffic of a Child SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fit {
    pub(crate) narrowed: Narrowed,
    /// Which tunnel of a site it is.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) mode: ChildMode,
}

/// How well a tunnel fits a wish, better is greater: it is exactly what is wanted, it is not there yet, all of it is wanted, and
/// how many addresses are.
type Rank = (bool, bool, bool, u128);

/// What of a wish is allowed. `children` are those that are up; `old` is the one that is to be replaced.
pub(crate) fn fit(
    session: &Session,
    grant: &Grant,
    children: &[Child],
    old: Option<&Child>,
    wish: &ChildWish,
) -> Result<Fit, Refused> {
    match session.site() {
        Some(site) => fit_site(session, site, children, old, wish),
        None => fit_client(grant, wish),
    }
}

fn fit_client(grant: &Grant, wish: &ChildWish) -> Result<Fit, Refused> {
    if grant.addresses.is_empty() {
        return Err(match wish.configuration {
            None => Refused::new(RefusalReason::NoAddressRequested, NotifyType::FAILED_CP_REQUIRED),
            Some(_) => Refused::new(RefusalReason::NoAddress, NotifyType::INTERNAL_ADDRESS_FAILURE),
        });
    }
    let allowed = Allowed::from_grant(grant);
    let narrowed = allowed.narrow(&wish.tsi, &wish.tsr).ok_or_else(|| unacceptable(wish, &[&allowed]))?;
    Ok(Fit { narrowed, name: None, mode: ChildMode::Tunnel })
}

/// The tunnel of a site that fits best. What replaces a Child SA stays the same tunnel.
fn fit_site(
    session: &Session,
    site: &Site,
    children: &[Child],
    old: Option<&Child>,
    wish: &ChildWish,
) -> Result<Fit, Refused> {
    let name = old.and_then(|old| old.name.as_ref());
    let candidates: Vec<(&SiteChild, Allowed)> = site
        .children
        .iter()
        .filter(|child| name.is_none_or(|name| child.name == *name))
        .map(|child| (child, Allowed::between(child, session.path())))
        .collect();
    let is_up = |child: &SiteChild| children.iter().any(|up| up.is_in_use() && up.name.as_ref() == Some(&child.name));
    let mut best: Option<(Rank, Fit)> = None;
    for (child, allowed) in &candidates {
        let Some(narrowed) = allowed.narrow(&wish.tsi, &wish.tsr) else { continue };
        let whole = allowed.tsi == narrowed.tsi && allowed.tsr == narrowed.tsr;
        let exact = whole && is_within(&wish.tsi, &allowed.tsi) && is_within(&wish.tsr, &allowed.tsr);
        let rank = (exact, !is_up(child), whole, addresses(&narrowed.tsi).saturating_add(addresses(&narrowed.tsr)));
        if best.as_ref().is_none_or(|(other, _)| rank > *other) {
            let mode = mode_of(session, child, wish);
            best = Some((rank, Fit { narrowed, name: Some(child.name.clone()), mode }));
        }
    }
    let allowed: Vec<&Allowed> = candidates.iter().map(|(_, allowed)| allowed).collect();
    best.map(|(_, fit)| fit).ok_or_else(|| unacceptable(wish, &allowed))
}

/// Transport mode is for those who ask for it where the configuration says so, and addresses are not translated.
fn mode_of(session: &Session, child: &SiteChild, wish: &ChildWish) -> ChildMode {
    let transport = wish.transport && child.mode == ChildMode::Transport && !session.nat.any();
    if transport { ChildMode::Transport } else { ChildMode::Tunnel }
}

fn unacceptable(wish: &ChildWish, allowed: &[&Allowed]) -> Refused {
    let reason = RefusalReason::TrafficSelectors {
        tsi: wish.tsi.clone(),
        tsr: wish.tsr.clone(),
        allowed_tsi: allowed.iter().flat_map(|allowed| allowed.tsi.iter().copied()).collect(),
        allowed_tsr: allowed.iter().flat_map(|allowed| allowed.tsr.iter().copied()).collect(),
    };
    Refused::new(reason, NotifyType::TS_UNACCEPTABLE)
}

/// How many addresses the selectors have in all.
fn addresses(selectors: &[TrafficSelector]) -> u128 {
    selectors.iter().fold(0, |sum: u128, selector| {
        let count = match selector.range {
            AddressRange::V4 { start, end } => u128::from(end.to_bits().saturating_sub(start.to_bits())),
            AddressRange::V6 { start, end } => end.to_bits().saturating_sub(start.to_bits()),
        };
        sum.saturating_add(count.saturating_add(1))
    })
}
