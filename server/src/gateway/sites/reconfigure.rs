//! New settings under sites that are up.
//!
//! A tunnel goes on as long as it is what the configuration wants. Where only its terms are others, proofs or algorithms, a new
//! session takes its place before it ends, as for a reauthentication. Where it would join other networks or another peer, it ends
//! and begins anew.

use std::sync::Arc;

use cygnet_ike::{CloseReason, Role, Site};

use super::events::Ended;
use super::supervisor::{Plan, Supervisor};
use super::{Watched, engine, plan};
use crate::config::{Peer, Settings, SiteChange, Start};
use crate::gateway::{ConfigurationError, Gateway, Now};

/// What new settings mean for sites, checked.
pub(in crate::gateway) struct SitePlans {
    /// New ones, and those whose tunnel is another one.
    anew: Vec<Watched>,
    /// Those that go on.
    adjusted: Vec<Adjusted>,
}

struct Adjusted {
    plan: Plan,
    engine: Arc<Site>,
    terms: bool,
}

impl Gateway {
    /// Makes out which sites go on, which change and which are new.
    ///
    /// # Errors
    /// If a site cannot be used.
    pub(in crate::gateway) fn plan_sites(
        &mut self,
        now: Now,
        settings: &Settings,
    ) -> Result<SitePlans, ConfigurationError> {
        let mut plans = SitePlans { anew: Vec::new(), adjusted: Vec::new() };
        for site in &settings.sites {
            let before = self.settings.sites.iter().find(|before| before.name == site.name);
            let change = before.map_or(SiteChange::Tunnel, |before| site.change_from(before));
            match (change, self.sites.watched.get(site.name.as_str())) {
                (SiteChange::Nothing, Some(_)) => {}
                (SiteChange::Care | SiteChange::Terms, Some(Watched { supervisor, engine: known, .. })) => {
                    let mut engine = engine::site(site, supervisor.source(), supervisor.addresses())?;
                    if change == SiteChange::Care {
                        engine::keep_authorities(&mut engine, known);
                    }
                    let (plan, terms) = (plan(site), change == SiteChange::Terms);
                    plans.adjusted.push(Adjusted { plan, engine: Arc::new(engine), terms });
                }
                (SiteChange::Tunnel, known) | (_, known @ None) => {
                    let mut watched = Watched::new(now, site, &mut *self.random)?;
                    if known.is_some_and(|known| known.supervisor.is_stopped()) {
                        watched.supervisor.down(now);
                    }
                    plans.anew.push(watched);
                }
            }
        }
        Ok(plans)
    }

    /// Puts what [`Gateway::plan_sites`] has made into effect. The IKE engine has to be told, see [`super::Sites::engines`].
    pub(in crate::gateway) fn exchange_sites(&mut self, now: Now, settings: &Settings, plans: SitePlans) {
        let is_anew = |name: &str| plans.anew.iter().any(|watched| *watched.supervisor.plan.name == *name);
        let is_configured = |name: &str| settings.sites.iter().any(|site| site.name == name);
        let over = self.sites.watched.keys().filter(|name| is_anew(name) || !is_configured(name));
        let over: Vec<Arc<str>> = over.cloned().collect();
        for name in over {
            let why = if is_configured(&name) { "its configuration changed" } else { "it is no longer configured" };
            self.end_site(now, &name, why);
        }
        for Adjusted { plan, engine, terms } in plans.adjusted {
            let name = Arc::clone(&plan.name);
            if let Some(watched) = self.sites.watched.get_mut(&name) {
                watched.engine = engine;
            }
            if let Some(supervisor) = self.sites.supervise(&name) {
                supervisor.reconfigure(now, plan, terms);
            }
        }
        plans.anew.into_iter().for_each(|watched| self.sites.insert(watched));
    }

    /// Ends a site's sessions and forgets it.
    fn end_site(&mut self, now: Now, name: &Arc<str>, why: &str) {
        let Some(watched) = self.sites.watched.get(name) else { return };
        let mut over = Vec::new();
        for (&id, tunnel) in watched.supervisor.tunnels.iter().filter(|(_, tunnel)| tunnel.is_established()) {
            let mut ended = Ended::of(tunnel);
            tunnel.pairs.iter().for_each(|pair| ended.past += self.meter.traffic(pair.inbound_spi));
            over.push((id, ended));
        }
        for (id, ended) in over {
            self.report_site_ended(now, id, name, &ended, why);
        }
        if let Some(supervisor) = self.sites.supervise(name) {
            // Told already.
            supervisor.tunnels.values_mut().for_each(|tunnel| tunnel.up = None);
            supervisor.down(now);
        }
        self.settle(now);
        self.sites.watched.remove(name);
    }
}

impl Supervisor {
    /// Goes on by another plan for the same tunnel. Where its `terms` are others, a new session takes the place of the present
    /// one, unless that is the peer's to begin.
    fn reconfigure(&mut self, now: Now, plan: Plan, terms: bool) {
        self.plan = plan;
        if terms {
            let may_begin = self.plan.start != Start::Passive && self.plan.peer != Peer::Any;
            for tunnel in self.tunnels.values_mut().filter(|tunnel| may_begin || tunnel.role == Role::Initiator) {
                tunnel.expires = true;
            }
            self.begin_anew(now, CloseReason::Administrative);
        }
        self.settle(now);
    }
}
