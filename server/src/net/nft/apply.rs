//! Brings the table into the kernel and keeps it there.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::RuleSet;
use super::counters::Drops;
use super::process::{run, transact};
use super::ruleset::{Family, TABLE, element_commands};
use crate::net::NetError;

/// Our table in the kernel, and what should be in it.
pub struct Firewall {
    rules: RuleSet,
    leases: BTreeSet<IpAddr>,
    /// The table without set elements and counter values, as nft listed it right after it was made.
    installed: Vec<u8>,
}

impl Firewall {
    /// Installs the table, replacing what a crash may have left.
    ///
    /// # Errors
    /// If nft is missing or refuses; then nothing has changed.
    pub async fn install(rules: RuleSet) -> Result<Self, NetError> {
        let mut firewall = Self { rules, leases: BTreeSet::new(), installed: Vec::new() };
        firewall.reinstall().await?;
        Ok(firewall)
    }

    /// Admits and expels inner addresses, all in one transaction that is complete when this returns. Addresses that
    /// are admitted already, or were never, are no error; one in both lists is admitted.
    ///
    /// # Errors
    /// If nft refuses; then nothing has changed.
    pub async fn update(&mut self, admit: &[IpAddr], expel: &[IpAddr]) -> Result<(), NetError> {
        let admit: BTreeSet<IpAddr> = admit.iter().copied().collect();
        let added: BTreeSet<IpAddr> = admit.difference(&self.leases).copied().collect();
        let expelled = expel.iter().copied().filter(|a| self.leases.contains(a) && !admit.contains(a));
        let removed: BTreeSet<IpAddr> = expelled.collect();
        let commands = element_commands("delete", &removed) + &element_commands("add", &added);
        self.leases.retain(|a| !removed.contains(a));
        self.leases.extend(&added);
        if commands.is_empty() || transact("change the admitted addresses", &commands).await.is_ok() {
            return Ok(());
        }
        // Somebody changed our table: make it anew.
        let done = self.reinstall().await;
        if done.is_err() {
            self.leases.retain(|a| !added.contains(a));
            self.leases.extend(&removed);
        }
        done
    }

    /// Replaces the rules without a moment in between; admitted addresses stay.
    ///
    /// # Errors
    /// If nft refuses; then the old rules are in force.
    pub async fn replace(&mut self, rules: RuleSet) -> Result<(), NetError> {
        let old = std::mem::replace(&mut self.rules, rules);
        let done = self.reinstall().await;
        if done.is_err() {
            self.rules = old;
        }
        done
    }

    /// Makes the table anew if somebody removed or changed it. Returns whether that was so.
    ///
    /// # Errors
    /// If nft refuses.
    pub async fn repair(&mut self) -> Result<bool, NetError> {
        let intact = list_rules().await.is_ok_and(|now| now == self.installed)
            && listed_leases().await.is_ok_and(|now| now == self.leases);
        if !intact {
            self.reinstall().await?;
        }
        Ok(!intact)
    }

    /// Packets dropped since the table was last made.
    ///
    /// # Errors
    /// If nft refuses, or the table is gone.
    pub async fn drops(&self) -> Result<Drops, NetError> {
        let action = "read the drop counters";
        let json = run(action, &["-j", "list", "counters", "table", "inet", TABLE], "").await?;
        Drops::parse(&json).ok_or_else(|| unexpected(action))
    }

    /// The addresses that are admitted.
    pub fn admitted(&self) -> impl Iterator<Item = IpAddr> {
        self.leases.iter().copied()
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// Removes the table.
    ///
    /// # Errors
    /// If nft refuses.
    pub async fn close(self) -> Result<(), NetError> {
        transact("remove our nftables table", &format!("add table inet {TABLE}\ndelete table inet {TABLE}\n")).await
    }

    async fn reinstall(&mut self) -> Result<(), NetError> {
        transact("install our nftables table", &self.rules.render(&self.leases)).await?;
        self.installed = list_rules().await?;
        Ok(())
    }
}

/// Rules and set definitions, no elements, no counter values.
async fn list_rules() -> Result<Vec<u8>, NetError> {
    run("list our nftables table", &["--stateless", "--terse", "list", "table", "inet", TABLE], "").await
}

async fn listed_leases() -> Result<BTreeSet<IpAddr>, NetError> {
    let action = "list the admitted addresses";
    let mut all = BTreeSet::new();
    for family in Family::BOTH {
        let set = format!("leases{family}");
        let json = run(action, &["-j", "list", "set", "inet", TABLE, &set], "").await?;
        all.extend(elements(&json).ok_or_else(|| unexpected(action))?);
    }
    Ok(all)
}

fn elements(json: &[u8]) -> Option<Vec<IpAddr>> {
    let listing: serde_json::Value = serde_json::from_slice(json).ok()?;
    let set = listing.get("nftables")?.as_array()?.iter().find_map(|object| object.get("set"))?;
    match set.get("elem") {
        None => Some(Vec::new()),
        Some(elements) => elements.as_array()?.iter().map(|e| e.as_str()?.parse().ok()).collect(),
    }
}

fn unexpected(action: &'static str) -> NetError {
    NetError::Nft { action, message: "a listing that we cannot read".to_owned(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_elements_of_a_set() {
        let json =
            br#"{"nftables": [{"metainfo": {}}, {"set": {"name": "leases4", "elem": ["10.0.0.1", "10.0.0.2"]}}]}"#;
        assert_eq!(elements(json), Some(vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()]));
        assert_eq!(elements(br#"{"nftables": [{"set": {"name": "leases4"}}]}"#), Some(vec![]));
        assert_eq!(elements(br#"{"nftables": []}"#), None);
        assert_eq!(elements(b"Error"), None);
    }
}
