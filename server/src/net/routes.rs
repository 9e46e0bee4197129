//! Routes to clients and sites: one per lease or remote network, all to the TUN, marked with our protocol number.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::NetError;
use super::link::Netlink;

/// Marks our routes (rtm_protocol), so that routing daemons can redistribute them and we find them after a crash.
///
/// 67 is not assigned in the kernel's `rtnetlink.h` nor in iproute2's `rt_protos`.
pub const ROUTE_PROTOCOL: u8 = 67;

/// The routes that should exist.
pub struct Routes {
    netlink: Netlink,
    tun: u32,
    wanted: BTreeSet<IpNet>,
}

impl Routes {
    /// Takes over the main table's routes with our protocol number: all of them are deleted.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn start(netlink: Netlink, tun: u32) -> Result<Self, NetError> {
        Ok(Self { netlink, tun, wanted: BTreeSet::new() })
    }

    /// Adds a route to the TUN. It is in place when this returns.
    ///
    /// # Errors
    /// If the kernel refuses; the route isn't wanted then.
    pub async fn add(&mut self, _net: IpNet) -> Result<(), NetError> {
        todo!()
    }

    /// Takes a route away; one that isn't there is no error.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn remove(&mut self, _net: IpNet) -> Result<(), NetError> {
        todo!()
    }

    /// Compares the table with what is wanted and repairs it. Returns (added, removed).
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn repair(&mut self) -> Result<(usize, usize), NetError> {
        let _ = (&self.netlink, self.tun, &self.wanted);
        todo!()
    }

    /// Removes all our routes.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn close(self) -> Result<(), NetError> {
        todo!()
    }
}
