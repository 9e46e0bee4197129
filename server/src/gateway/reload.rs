//! Changing the configuration under live sessions: first what can fail, then what cannot.

use std::sync::Arc;

use cygnet_ike::{CloseReason, Config, SessionId};

use super::sites::SitePlans;
use super::{ConfigurationError, Gateway, Now, accounts, ike_config};
use crate::auth::eap::tls::EapTlsConfig;
use crate::auth::nt_hash::NtHash;
use crate::auth::users::UserTable;
use crate::config::{Peer, Settings, SiteChange, Start};
use crate::control::model::Reloaded;
use crate::pool::LeaseTable;

/// Keys that only a restart can put into effect; the daemon tells.
const AFTER_A_RESTART: [&str; 2] = ["listen", "mtu"];

/// New settings that can be used.
pub struct Prepared {
    settings: Arc<Settings>,
    sites: SitePlans,
    /// Without sites.
    ike: Config,
    users: UserTable,
    leases: LeaseTable,
    eap_tls: Option<Arc<EapTlsConfig>>,
}

impl Gateway {
    /// Makes of new settings what is needed to use them; nothing changes yet. To be followed by [`Gateway::reload`] before anything
    /// else happens to the gateway, or dropped.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn prepare(&mut self, now: Now, settings: Arc<Settings>) -> Result<Prepared, ConfigurationError> {
        let mut dummy = [0; 16];
        self.random.fill(&mut dummy);
        let sites = self.plan_sites(now, &settings)?;
        let ike = ike_config::build(&settings, Vec::new(), self.esp_shards)?;
        let users = accounts::user_table(&settings, NtHash::from_bytes(dummy))?;
        let leases = accounts::lease_table(&settings)?;
        let eap_tls = accounts::eap_tls(&settings, ike.client_authorities.as_ref());
        Ok(Prepared { settings, sites, ike, users, leases, eap_tls })
    }

    /// Takes new settings over. Sessions keep what was negotiated; those whose account is gone, locked or expired, or whose address
    /// is in no pool any more, are closed. What needs a restart is for the caller to tell.
    pub fn reload(&mut self, now: Now, prepared: Prepared) -> Reloaded {
        let Prepared { settings, sites, ike, users, leases, eap_tls } = prepared;
        let old = Arc::clone(&self.settings);
        self.exchange_sites(now, &settings, sites);
        self.leases.become_like(leases);
        self.eap_tls = eap_tls;
        self.ike_config = Arc::new(Config { sites: self.sites.engines(), ..ike });
        self.ike.reconfigure(Arc::clone(&self.ike_config));
        self.l2tp.reconfigure(Arc::new(ike_config::l2tp(&settings)));
        let former = std::mem::replace(&mut self.users, users);
        self.settings = settings;
        self.apply_revocation();
        self.end_revoked(now);
        let mut changes = changes(&old, &self.settings);
        let (mut over, strays) = (self.barred(now, &former), self.strays());
        for (who, id) in strays.into_iter().filter(|(_, id)| !over.contains(id)).collect::<Vec<_>>() {
            changes.push(format!("{who} disconnected: the address is in no pool any more"));
            over.push(id);
        }
        over.iter().for_each(|&id| self.disconnect(now, id, CloseReason::Administrative));
        self.settle(now);
        let warnings = self.settings.warnings.clone();
        Reloaded { changes, needs_restart: Vec::new(), disconnected: over.len() as u64, warnings }
    }

    /// Sessions whose addresses no pool has any more: nothing would be translated for them, and nobody would route them.
    fn strays(&self) -> Vec<(String, SessionId)> {
        let ids = self.leases.stray_sessions().into_iter().map(SessionId);
        ids.filter_map(|id| Some((self.sessions.get(&id)?.who().to_owned(), id))).collect()
    }

    /// Sessions of accounts that may no longer log in. Who came by certificate may have none and stays.
    fn barred(&self, now: Now, former: &UserTable) -> Vec<SessionId> {
        let wall = now.wall_clock();
        let is_barred = |name: &str| match self.users.find(name) {
            Some(user) => user.admit(wall).is_err(),
            None => former.find(name).is_some(),
        };
        let barred = self.sessions.iter().filter(|(_, session)| session.user.as_deref().is_some_and(is_barred));
        barred.map(|(&id, _)| id).collect()
    }
}

fn changes(old: &Settings, new: &Settings) -> Vec<String> {
    let mut changes = user_changes(old, new);
    changes.extend(site_changes(old, new));
    match (&old.remote, &new.remote) {
        (Some(old), Some(new)) => {
            let keys = new.changes_from(old).into_iter().filter(|key| !AFTER_A_RESTART.contains(key));
            changes.extend(keys.map(|key| format!("{key} changed")));
        }
        (None, Some(_)) => changes.push("[remote] added".to_owned()),
        (Some(_), None) => changes.push("[remote] removed".to_owned()),
        (None, None) => {}
    }
    changes
}

fn user_changes(old: &Settings, new: &Settings) -> Vec<String> {
    let of_new = new.users.iter().filter_map(|user| match old.users.iter().find(|before| before.name == user.name) {
        None => Some(format!("user {} added", user.name)),
        Some(before) if !before.is_same(user) => Some(format!("user {} changed", user.name)),
        Some(_) => None,
    });
    let gone = old.users.iter().filter(|user| !new.users.iter().any(|other| other.name == user.name));
    of_new.chain(gone.map(|user| format!("user {} removed", user.name))).collect()
}

fn site_changes(old: &Settings, new: &Settings) -> Vec<String> {
    let of_new = new.sites.iter().filter_map(|site| {
        let name = &site.name;
        let Some(before) = old.sites.iter().find(|before| before.name == *name) else {
            return Some(format!("site {name} added"));
        };
        let what = match site.change_from(before) {
            SiteChange::Nothing => return None,
            SiteChange::Care if site.keeps_times_of(before) => "its tunnel goes on",
            SiteChange::Care => {
                "its tunnel goes on, with liveness and lifetimes as before; the next one has the new ones"
            }
            SiteChange::Terms if site.start == Start::Passive || site.peer == Peer::Any => {
                "its tunnel goes on until the peer begins one on the new terms"
            }
            SiteChange::Terms => "a tunnel on the new terms takes the place of the old one",
            SiteChange::Tunnel => "its tunnel begins anew",
        };
        Some(format!("site {name} changed: {what}"))
    });
    let gone = old.sites.iter().filter(|site| !new.sites.iter().any(|other| other.name == site.name));
    of_new.chain(gone.map(|site| format!("site {} removed", site.name))).collect()
}
