//! Tunnels to other gateways: when to try, with whom, what to do when one is lost.
//!
//! Does not: negotiate (that is `cygnet-ike`), look names up or ask the kernel (that is the daemon, see
//! [`Effect`](super::Effect)).

mod status;

use std::net::IpAddr;
use std::sync::Arc;

use cygnet_ike::EspSpi;

use super::{Gateway, Now};

pub use status::{SiteReport, SiteState};

/// What became of [`Gateway::site_up`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteOutcome {
    /// Which site.
    pub site: Arc<str>,
    /// Whether it is up; the error is a sentence for the operator.
    pub result: Result<(), String>,
}

impl Gateway {
    /// What came of [`Effect::Resolve`](super::Effect::Resolve); the error is a sentence for the operator.
    pub fn resolved(&mut self, _now: Now, _site: &str, _outcome: Result<Vec<IpAddr>, String>) {}

    /// What came of [`Effect::LocalAddress`](super::Effect::LocalAddress); the error is a sentence for the operator.
    pub fn local_address(&mut self, _now: Now, _site: &str, _outcome: Result<IpAddr, String>) {}

    /// Addresses or routes of this machine are others now.
    pub fn addresses_changed(&mut self, _now: Now) {}

    /// A packet from `source` to `destination` belongs to a site's traffic and found no tunnel.
    pub fn no_tunnel(&mut self, _now: Now, _site: &str, _source: IpAddr, _destination: IpAddr) {}

    /// An SA pair has used up what its keys may protect: it ends.
    pub fn hard_limit(&mut self, _now: Now, _inbound_spi: EspSpi) {}

    /// Brings a site, or one of its children, up. [`Gateway::poll_site_outcome`] tells what became of it.
    ///
    /// # Errors
    /// A sentence for the operator, if it cannot even begin.
    pub fn site_up(&mut self, _now: Now, name: &str, _child: Option<&str>) -> Result<(), String> {
        Err(format!("there is no site {name:?}"))
    }

    /// Takes a site down; it stays down until [`Gateway::site_up`]. Gives back how many sessions end.
    ///
    /// # Errors
    /// A sentence for the operator, if there is no such site.
    pub fn site_down(&mut self, _now: Now, name: &str) -> Result<u64, String> {
        Err(format!("there is no site {name:?}"))
    }

    /// Renews the keys of all sessions that `who` names, clients and sites: those of the IKE SAs with `ike`, those of the
    /// Child SAs otherwise. Gives back of how many sessions.
    pub fn rekey(&mut self, _now: Now, _who: &str, _ike: bool) -> u64 {
        0
    }

    /// The next answer to a [`Gateway::site_up`].
    pub fn poll_site_outcome(&mut self) -> Option<SiteOutcome> {
        None
    }

    /// All sites, sorted by name, for `cygnet status`.
    #[must_use]
    pub fn sites(&self, _now: Now) -> Vec<SiteReport> {
        Vec::new()
    }
}
