//! What people are told about sites.

use std::time::Instant;

use cygnet_ike::{Role, SessionId};

use super::events;
use super::supervisor::Supervisor;
use super::tunnel::Tunnel;
use crate::config;
use crate::control::model::{SiteChildStatus, SiteState, SiteStatus};
use crate::gateway::{Gateway, Now};

impl Gateway {
    /// All sites of the configuration, sorted by name.
    #[must_use]
    pub fn sites(&self, now: Now) -> Vec<SiteStatus> {
        self.settings.sites.iter().filter_map(|site| self.site(now, &site.name)).collect()
    }

    /// One site.
    #[must_use]
    pub fn site(&self, now: Now, name: &str) -> Option<SiteStatus> {
        let settings = self.settings.sites.iter().find(|site| site.name == name)?;
        let supervisor = &self.sites.watched.get(name)?.supervisor;
        let newest = supervisor.tunnel();
        let tunnel = newest.map(|(_, tunnel)| tunnel);
        let traffic = events::traffic(supervisor, |spi| self.meter.traffic(spi));
        let heard = tunnel.and_then(|tunnel| {
            let pairs = tunnel.pairs.iter();
            pairs.filter_map(|pair| self.meter.last_heard(pair.inbound_spi)).max().max(tunnel.heard)
        });
        let connecting = supervisor.tunnels.values().next_back().map(|tunnel| tunnel.path.peer);
        Some(SiteStatus {
            name: settings.name.clone(),
            state: supervisor.state(),
            peer: supervisor.peer_name(),
            address: tunnel.map(|tunnel| tunnel.path.peer).or(connecting).or(supervisor.target()),
            nat: tunnel.is_some_and(|tunnel| tunnel.behind_nat),
            identity: tunnel.map(|tunnel| tunnel.identity.clone()).unwrap_or_default(),
            initiator: tunnel.is_some_and(|tunnel| tunnel.role == Role::Initiator),
            session: newest.map(|(SessionId(id), _)| id),
            since: tunnel.and_then(|tunnel| tunnel.up).map(|(_, wall)| wall),
            ike_rekey_seconds: newest
                .and_then(|(id, _)| self.ike.session(id)?.ike_rekey)
                .map(|at| seconds_until(now, at)),
            idle_seconds: heard.map(|at| now.instant.saturating_duration_since(at).as_secs()),
            children: settings.children.iter().enumerate().map(|(n, c)| child(now, n, c, tunnel)).collect(),
            bytes_in: traffic.bytes_in,
            bytes_out: traffic.bytes_out,
            packets_in: traffic.packets_in,
            packets_out: traffic.packets_out,
            attempts: supervisor.attempts(),
            retry_seconds: supervisor.retry().map(|at| seconds_until(now, at)),
            last_error: supervisor.last_error().map(str::to_owned).or_else(|| self.refused_caller(name, supervisor)),
        })
    }
}

impl Gateway {
    /// Why the peer was not let in when it called last, as long as there is no tunnel.
    fn refused_caller(&self, site: &str, supervisor: &Supervisor) -> Option<String> {
        if supervisor.is_up() || supervisor.is_stopped() {
            return None;
        }
        let newest = self.memory.find(Some(site), Some(1)).pop()?.record;
        (newest.exchange != events::SESSION).then_some(newest.headline)
    }
}

fn child(now: Now, place: usize, settings: &config::SiteChild, tunnel: Option<&Tunnel>) -> SiteChildStatus {
    let pair = tunnel.and_then(|tunnel| tunnel.pair(place));
    let networks = |selectors: &[config::Selector]| selectors.iter().map(ToString::to_string).collect();
    SiteChildStatus {
        name: settings.name.clone(),
        up: pair.is_some(),
        local: pair.map_or_else(|| networks(&settings.local), |pair| pair.local.clone()),
        remote: pair.map_or_else(|| networks(&settings.remote), |pair| pair.remote.clone()),
        cipher: pair.map(|pair| pair.cipher.clone()).unwrap_or_default(),
        rekey_seconds: pair.and_then(|pair| pair.rekey).map(|at| seconds_until(now, at)),
    }
}

fn seconds_until(now: Now, at: Instant) -> u64 {
    at.saturating_duration_since(now.instant).as_secs()
}

impl Supervisor {
    /// The newest tunnel that is up.
    fn tunnel(&self) -> Option<(SessionId, &Tunnel)> {
        self.tunnels.iter().rev().find(|(_, tunnel)| tunnel.is_established()).map(|(&id, tunnel)| (id, tunnel))
    }

    fn state(&self) -> SiteState {
        if self.is_stopped() {
            SiteState::Stopped
        } else if self.is_up() {
            SiteState::Up
        } else if self.is_busy() {
            SiteState::Connecting
        } else if self.last_error().is_some() && self.attempts() > 0 {
            SiteState::Down
        } else {
            SiteState::Waiting
        }
    }
}
