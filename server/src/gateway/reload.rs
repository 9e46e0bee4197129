//! Changing the configuration under live sessions.

use std::sync::Arc;

use cygnet_ike::{CloseReason, SessionId};

use super::{ConfigurationError, Gateway, Now, accounts, ike_config};
use crate::auth::nt_hash::NtHash;
use crate::auth::users::UserTable;
use crate::config::Settings;
use crate::control::model::Reloaded;

impl Gateway {
    /// Takes new settings over. Sessions keep what was negotiated; those whose account is gone, locked or expired are
    /// closed.
    ///
    /// # Errors
    /// If the settings cannot be used; nothing has changed then.
    pub fn reload(&mut self, now: Now, settings: Arc<Settings>) -> Result<Reloaded, ConfigurationError> {
        let mut dummy = [0; 16];
        self.random.fill(&mut dummy);
        let old = Arc::clone(&self.settings);
        let changed = self.reload_sites(now, &old, &settings)?;
        ike_config::build(&settings, changed.engines(), self.esp_shards)?;
        let users = accounts::user_table(&settings, NtHash::from_bytes(dummy))?;
        let pools = settings.remote.as_ref().map(|r| r.pools.clone()).unwrap_or_default();
        self.leases.reconfigure(&pools, &accounts::fixed_addresses(&settings))?;
        self.exchange_sites(now, &settings, changed);
        self.ike_config = Arc::new(ike_config::build(&settings, self.sites.engines(), self.esp_shards)?);
        self.eap_tls = accounts::eap_tls(&settings, self.ike_config.client_authorities.as_ref());
        self.ike.reconfigure(Arc::clone(&self.ike_config));
        self.l2tp.reconfigure(Arc::new(ike_config::l2tp(&settings)));
        let former = std::mem::replace(&mut self.users, users);
        self.settings = settings;
        self.apply_revocation();
        self.end_revoked(now);
        let disconnected = self.close_barred(now, &former);
        self.settle(now);
        Ok(Reloaded {
            changes: changes(&old, &self.settings),
            needs_restart: needs_restart(&old, &self.settings),
            disconnected,
            warnings: self.settings.warnings.clone(),
        })
    }

    /// Ends the sessions of accounts that may no longer log in. Who came by certificate may have none and stays.
    fn close_barred(&mut self, now: Now, former: &UserTable) -> u64 {
        let wall = now.wall_clock();
        let barred: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|(_, session)| {
                session.user.as_ref().is_some_and(|name| match self.users.find(name) {
                    Some(user) => user.admit(wall).is_err(),
                    None => former.find(name).is_some(),
                })
            })
            .map(|(&id, _)| id)
            .collect();
        for &id in &barred {
            self.disconnect(now, id, CloseReason::Administrative);
        }
        barred.len() as u64
    }
}

fn changes(old: &Settings, new: &Settings) -> Vec<String> {
    let mut changes = Vec::new();
    let (before, after) = (names(old), names(new));
    changes.extend(after.iter().filter(|n| !before.contains(n)).map(|n| format!("user {n} added")));
    changes.extend(before.iter().filter(|n| !after.contains(n)).map(|n| format!("user {n} removed")));
    changes.extend(site_changes(old, new));
    if let (Some(old), Some(new)) = (&old.remote, &new.remote) {
        let mut note = |changed: bool, what: &str| {
            if changed {
                changes.push(format!("{what} changed"));
            }
        };
        note(old.pools != new.pools, "pool");
        note(old.dns != new.dns, "dns");
        note(old.nbns != new.nbns, "nbns");
        note(old.protocols != new.protocols, "protocols");
        note(old.legacy != new.legacy, "ppp_auth, limits and switches of L2TP and XAuth");
        note(old.dns_domains != new.dns_domains, "dns_domains");
        note(old.routes != new.routes, "routes");
        note(old.policy != new.policy, "policy");
        note(old.proposals != new.proposals, "ike and esp");
        note(old.nat != new.nat, "nat");
        note(old.client_to_client != new.client_to_client, "client_to_client");
        note(old.liveness != new.liveness, "liveness");
    }
    changes
}

fn site_changes(old: &Settings, new: &Settings) -> Vec<String> {
    let before = |name: &str| old.sites.iter().find(|site| site.name == name);
    let of_new = new.sites.iter().filter_map(|site| match before(&site.name) {
        None => Some(format!("site {} added", site.name)),
        Some(before) if !before.is_same(site) => Some(format!("site {} changed", site.name)),
        Some(_) => None,
    });
    let gone = old.sites.iter().filter(|site| !new.sites.iter().any(|other| other.name == site.name));
    of_new.chain(gone.map(|site| format!("site {} removed", site.name))).collect()
}

fn needs_restart(old: &Settings, new: &Settings) -> Vec<String> {
    let mut needed = Vec::new();
    let mut note = |changed: bool, what: &str| {
        if changed {
            needed.push(format!("{what} changed: restart the gateway to use it"));
        }
    };
    note(old.daemon != new.daemon, "[daemon]");
    note(old.logging != new.logging, "[log]");
    note(old.remote.is_some() != new.remote.is_some(), "[remote]");
    if let (Some(old), Some(new)) = (&old.remote, &new.remote) {
        note(old.listen != new.listen, "listen");
        note(old.mtu != new.mtu, "mtu");
        note(old.replay_window != new.replay_window, "replay_window");
    }
    needed
}

fn names(settings: &Settings) -> Vec<&str> {
    settings.users.iter().map(|user| user.name.as_str()).collect()
}
