//! The Child SAs of one client. They live until the client deletes them or their lifetime is over, whichever ISAKMP SA they
//! were made with.

use std::time::{Duration, Instant};

use crate::child_sa::{ChildMode, ChildSuite};
use crate::event::ChildInfo;
use crate::wire::EspSpi;
use crate::wire::v2::TrafficSelector;

/// How much longer than agreed a Child SA lives on our side: it is the client that renews it, and never too early.
pub(crate) const LIFETIME_MARGIN: Duration = Duration::from_secs(90);

/// A Child SA that is up.
pub(crate) struct Child {
    pub(crate) inbound: EspSpi,
    pub(crate) outbound: EspSpi,
    pub(crate) suite: ChildSuite,
    /// The bodies of `IDci` and `IDcr`: what it is for.
    pub(crate) ids: (Vec<u8>, Vec<u8>),
    pub(crate) since: Instant,
    pub(crate) expires: Instant,
    /// A newer one with the same purpose is there.
    pub(crate) is_replaced: bool,
    pub(crate) mode: ChildMode,
    pub(crate) local_ts: Vec<TrafficSelector>,
    pub(crate) remote_ts: Vec<TrafficSelector>,
}

/// All Child SAs of one client, oldest first.
#[derive(Default)]
pub(crate) struct Children(Vec<Child>);

impl Children {
    /// Adds one.
    pub(crate) fn push(&mut self, child: Child) {
        self.0.push(child);
    }

    /// The client has confirmed the one with our SPI `inbound`, which replaces older ones with the same purpose.
    pub(crate) fn confirm(&mut self, inbound: EspSpi) {
        let Some(at) = self.0.iter().position(|child| child.inbound == inbound) else { return };
        let (older, rest) = self.0.split_at_mut(at);
        let ids = rest.first().map(|child| &child.ids);
        for other in older.iter_mut().filter(|other| Some(&other.ids) == ids) {
            other.is_replaced = true;
        }
    }

    /// Takes out the one with our SPI `inbound`.
    pub(crate) fn take_inbound(&mut self, inbound: EspSpi) -> Option<Child> {
        self.take(|child| child.inbound == inbound)
    }

    /// The one that a new one with this purpose renews.
    pub(crate) fn newest_of(&self, ids: &(Vec<u8>, Vec<u8>)) -> Option<EspSpi> {
        self.0.iter().rev().find(|child| child.ids == *ids).map(|child| child.inbound)
    }

    /// Takes out the one that the client receives with this SPI.
    pub(crate) fn take_outbound(&mut self, outbound: EspSpi) -> Option<Child> {
        self.take(|child| child.outbound == outbound)
    }

    /// Takes out the oldest that was replaced.
    pub(crate) fn take_replaced(&mut self) -> Option<Child> {
        self.take(|child| child.is_replaced)
    }

    /// Takes out one that was made before `instant`.
    pub(crate) fn take_older(&mut self, instant: Instant) -> Option<Child> {
        self.take(|child| child.since < instant)
    }

    /// Takes out one whose lifetime is over.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Option<Child> {
        self.take(|child| child.expires <= now)
    }

    /// Takes out the oldest.
    pub(crate) fn take_any(&mut self) -> Option<Child> {
        self.take(|_| true)
    }

    fn take(&mut self, is_it: impl Fn(&Child) -> bool) -> Option<Child> {
        let at = self.0.iter().position(is_it)?;
        Some(self.0.remove(at))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Our SPIs.
    pub(crate) fn inbound(&self) -> Vec<EspSpi> {
        self.0.iter().map(|child| child.inbound).collect()
    }

    /// All of them, for people.
    pub(crate) fn info(&self) -> Vec<ChildInfo> {
        let info = |child: &Child| ChildInfo {
            inbound_spi: child.inbound,
            name: None,
            local_ts: child.local_ts.clone(),
            remote_ts: child.remote_ts.clone(),
            suite: child.suite,
            mode: child.mode,
        };
        self.0.iter().map(info).collect()
    }

    /// The suite of the newest.
    pub(crate) fn suite(&self) -> Option<ChildSuite> {
        self.0.last().map(|child| child.suite)
    }

    /// When the first lifetime is over.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        self.0.iter().map(|child| child.expires).min()
    }
}
