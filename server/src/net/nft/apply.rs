//! Runs nft.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::RuleSet;
use crate::net::NetError;

/// Our table in the kernel and what should be in it.
pub struct Firewall {
    rules: RuleSet,
    leases: BTreeSet<IpAddr>,
}

impl Firewall {
    /// Installs the table, replacing what a crash may have left.
    ///
    /// # Errors
    /// If nft is missing or refuses.
    pub async fn install(rules: RuleSet) -> Result<Self, NetError> {
        Ok(Self { rules, leases: BTreeSet::new() })
    }

    /// Admits and expels inner addresses, one transaction. In place when this returns.
    ///
    /// # Errors
    /// If nft refuses; then nothing has changed.
    pub async fn update(&mut self, _add: &[IpAddr], _remove: &[IpAddr]) -> Result<(), NetError> {
        let _ = (&self.rules, &self.leases);
        todo!()
    }

    /// Replaces the rules; leases stay.
    ///
    /// # Errors
    /// If nft refuses; then the old rules are in force.
    pub async fn replace(&mut self, _rules: RuleSet) -> Result<(), NetError> {
        todo!()
    }

    /// Installs the table again if somebody removed or changed it. Returns whether that was so.
    ///
    /// # Errors
    /// If nft refuses.
    pub async fn repair(&mut self) -> Result<bool, NetError> {
        todo!()
    }

    /// Removes the table.
    ///
    /// # Errors
    /// If nft refuses.
    pub async fn close(self) -> Result<(), NetError> {
        todo!()
    }
}
