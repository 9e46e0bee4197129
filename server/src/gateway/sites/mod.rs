//! Tunnels to other gateways.
//!
//! ```text
//! settings --> Supervisor (when to try, where) --> ike::Endpoint --> events.rs --> Effect::Install, ..
//!                  ^    |                                                |
//!                  |    +-- Effect::{Resolve, LocalAddress, Traps}       |
//!                  +-----------------------------------------------------+
//! ```
//!
//! Does not: negotiate (that is `cygnet-ike`), look names up or ask the kernel (that is the daemon). Routes to a site's networks
//! are there for as long as it is configured, so that nothing leaves in the clear while its tunnel is down.

mod backoff;
mod engine;
mod events;
mod reconfigure;
mod round;
mod status;
mod supervisor;
mod tunnel;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use cygnet_ike::crypto::random::Random;
use cygnet_ike::{Config, EspSpi, SessionId, Site};

use super::session::Via;
use super::{ConfigurationError, Effect, Gateway, Now, Traffic};
use crate::config::{self, Peer, Settings, SiteMode, Start};
use crate::control::model::{Rekeyed, SiteStatus};
use supervisor::{Plan, Supervisor};

pub(super) use reconfigure::SitePlans;

/// What became of [`Gateway::site_up`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteOutcome {
    /// Which site.
    pub site: Arc<str>,
    /// Whether it is up; the error is a sentence for the operator.
    pub result: Result<(), String>,
}

/// All sites.
#[derive(Default)]
pub(super) struct Sites {
    watched: BTreeMap<Arc<str>, Watched>,
    /// Whose sessions these are.
    of_session: BTreeMap<SessionId, Arc<str>>,
    /// Sites that may have something to say.
    stirred: BTreeSet<Arc<str>>,
    /// For which sites packets begin a tunnel.
    traps: Vec<Arc<str>>,
    outcomes: VecDeque<SiteOutcome>,
}

/// One site.
struct Watched {
    supervisor: Supervisor,
    engine: Arc<Site>,
    /// The problem that the log has told last.
    told: String,
}

impl Sites {
    /// All sites of the configuration; they begin as soon as they may.
    pub(super) fn new(now: Now, settings: &Settings, random: &mut dyn Random) -> Result<Self, ConfigurationError> {
        let mut this = Self::default();
        for site in &settings.sites {
            let watched = Watched::new(now, site, random)?;
            this.insert(watched);
        }
        Ok(this)
    }

    fn insert(&mut self, watched: Watched) {
        let name = Arc::clone(&watched.supervisor.plan.name);
        self.stirred.insert(Arc::clone(&name));
        self.watched.insert(name, watched);
    }

    /// What the IKE engine is told.
    pub(super) fn engines(&self) -> Vec<Arc<Site>> {
        self.watched.values().map(|watched| Arc::clone(&watched.engine)).collect()
    }

    /// The site of a session.
    pub(super) fn name_of(&self, session: SessionId) -> Option<Arc<str>> {
        self.of_session.get(&session).cloned()
    }

    /// When something is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.watched.values().filter_map(|watched| watched.supervisor.poll_timeout()).min()
    }

    /// Whether some tunnel is up or about to be.
    pub(super) fn has_tunnels(&self) -> bool {
        !self.of_session.is_empty()
    }

    /// Gives access to a supervisor and notes that it may have something to say.
    fn supervise(&mut self, name: &str) -> Option<&mut Supervisor> {
        let watched = self.watched.get_mut(name)?;
        self.stirred.insert(Arc::clone(&watched.supervisor.plan.name));
        Some(&mut watched.supervisor)
    }

    fn of(&mut self, session: SessionId) -> Option<&mut Supervisor> {
        let name = self.name_of(session)?;
        self.supervise(&name)
    }

    /// The gateway stops: nothing begins any more.
    pub(super) fn stop(&mut self, now: Now) {
        self.watched.values_mut().for_each(|watched| watched.supervisor.stop(now));
    }

    /// The sites whose traffic begins a tunnel.
    fn wanted_traps(&self, settings: &Settings) -> Vec<Arc<str>> {
        let begins = |site: &&config::Site| {
            let watched = self.watched.get(site.name.as_str());
            watched
                .is_some_and(|w| site.start != Start::Passive && site.peer != Peer::Any && !w.supervisor.is_stopped())
        };
        settings.sites.iter().filter(begins).map(|site| site.name.as_str().into()).collect()
    }
}

impl Watched {
    fn new(now: Now, site: &config::Site, random: &mut dyn Random) -> Result<Self, ConfigurationError> {
        let mut seed = [0; 8];
        random.fill(&mut seed);
        let supervisor = Supervisor::new(now, plan(site), u64::from_be_bytes(seed));
        let engine = engine::site(site, supervisor.source(), supervisor.addresses())?;
        Ok(Self { supervisor, engine: Arc::new(engine), told: String::new() })
    }

    /// Logs what is wrong, once as long as it stays the same but for the number of tries.
    fn tell_problem(&mut self) {
        let problem = self.supervisor.last_error().unwrap_or_default();
        let (kind, _) = problem.split_once(" (").unwrap_or((problem, ""));
        if self.supervisor.is_up() || self.supervisor.is_stopped() {
            self.told.clear();
        } else if !problem.is_empty() && self.told != kind {
            tracing::warn!(site = %self.supervisor.plan.name, "{problem}");
            kind.clone_into(&mut self.told);
        }
    }
}

fn plan(site: &config::Site) -> Plan {
    Plan {
        name: site.name.as_str().into(),
        peer: site.peer.clone(),
        local_address: site.local_address,
        start: site.start,
        transport: site.mode == SiteMode::Transport,
        children: site.children.iter().map(|child| child.name.as_str().into()).collect(),
    }
}

impl Gateway {
    /// What came of [`Effect::Resolve`] for this name; the error is a sentence for the operator. An answer about a peer that the
    /// site had before a reload counts no more.
    pub fn resolved(&mut self, now: Now, site: &str, name: &str, outcome: Result<Vec<IpAddr>, String>) {
        if let Some(supervisor) = self.sites.supervise(site)
            && supervisor.plan.peer == Peer::Name(name.to_owned())
        {
            supervisor.resolved(now, outcome);
            self.settle(now);
        }
    }

    /// What came of [`Effect::LocalAddress`]; the error is a sentence for the operator.
    pub fn local_address(&mut self, now: Now, site: &str, outcome: Result<IpAddr, String>) {
        if let Some(supervisor) = self.sites.supervise(site) {
            supervisor.local_address(now, outcome);
            self.settle(now);
        }
    }

    /// Addresses or routes of this machine are others now.
    pub fn addresses_changed(&mut self, now: Now) {
        let names: Vec<Arc<str>> = self.sites.watched.keys().cloned().collect();
        for name in names {
            if let Some(supervisor) = self.sites.supervise(&name) {
                supervisor.addresses_changed(now);
            }
        }
        self.settle(now);
    }

    /// A packet from `source` to `destination` belongs to a site's traffic and found no tunnel.
    pub fn no_tunnel(&mut self, now: Now, site: &str, source: IpAddr, destination: IpAddr) {
        tracing::debug!(site, %source, %destination, "a packet wants through");
        if let Some(supervisor) = self.sites.supervise(site) {
            supervisor.demand(now);
            self.settle(now);
        }
    }

    /// An SA pair has used up what its keys may protect: it ends.
    pub fn hard_limit(&mut self, now: Now, inbound_spi: EspSpi) {
        if let Some(&session) = self.owners.get(&inbound_spi) {
            tracing::warn!(session = session.0, spi = %inbound_spi, "an SA pair has reached its limit");
            self.ike.close_child(now.instant, session, inbound_spi);
            self.settle(now);
        }
    }

    /// Brings a site, or one of its children, up. [`Gateway::poll_site_outcome`] tells what became of it.
    ///
    /// # Errors
    /// A sentence for the operator, if it cannot even begin.
    pub fn site_up(&mut self, now: Now, name: &str, child: Option<&str>) -> Result<(), String> {
        let supervisor = self.sites.supervise(name).ok_or_else(|| no_site(name))?;
        let begun = supervisor.up(now, child);
        self.settle(now);
        begun
    }

    /// Takes a site down; it stays down, whoever begins, until [`Gateway::site_up`]. Gives back how many sessions end.
    ///
    /// # Errors
    /// A sentence for the operator, if there is no such site.
    pub fn site_down(&mut self, now: Now, name: &str) -> Result<u64, String> {
        let supervisor = self.sites.supervise(name).ok_or_else(|| no_site(name))?;
        let ended = supervisor.down(now);
        self.settle(now);
        Ok(ended)
    }

    /// Ends the tunnels of all sites that `who` names, see [`SiteStatus::is_named`]; they may come back at once. Gives back of how
    /// many.
    ///
    /// [`SiteStatus::is_named`]: crate::control::model::SiteStatus::is_named
    pub(super) fn kick_sites(&mut self, now: Now, who: &str) -> u64 {
        let named: Vec<String> = self.sites(now).into_iter().filter(|s| s.is_named(who)).map(|s| s.name).collect();
        let kicked = |name: &String| self.sites.supervise(name).is_some_and(|supervisor| supervisor.kick(now) > 0);
        named.iter().map(kicked).filter(|&kicked| kicked).count() as u64
    }

    /// Begins to renew the keys of all sessions that `who` names, sites (see [`SiteStatus::is_about`]) and clients of IKEv2 (see
    /// [`Session::is_about`]): those of the IKE SAs with `ike`, those of the Child SAs otherwise. Gives back of how many.
    ///
    /// [`SiteStatus::is_about`]: crate::control::model::SiteStatus::is_about
    /// [`Session::is_about`]: crate::control::model::Session::is_about
    ///
    /// # Errors
    /// A sentence for the operator, if nobody is called so or the tunnel of that site is down.
    pub fn rekey(&mut self, now: Now, who: &str, ike: bool) -> Result<Rekeyed, String> {
        let about = |site: &SiteStatus| site.is_about(who);
        let sites: Vec<String> = self.sites(now).into_iter().filter(about).map(|site| site.name).collect();
        let down = sites.first().cloned();
        let mut pairs: Vec<(SessionId, Vec<EspSpi>)> = Vec::new();
        for name in sites {
            let tunnels = self.sites.watched.get(name.as_str()).map(|watched| &watched.supervisor.tunnels);
            let up = tunnels.into_iter().flatten().filter(|(_, tunnel)| tunnel.is_established());
            pairs.extend(up.map(|(&id, tunnel)| (id, tunnel.current().collect())));
        }
        let named: Vec<u64> =
            self.status(now).sessions.into_iter().filter(|session| session.is_about(who)).map(|s| s.id).collect();
        for (&id, session) in self.sessions.iter().filter(|(id, s)| s.via == Via::Ikev2 && named.contains(&id.0)) {
            pairs.push((id, session.children.last().map(|child| child.inbound_spi).into_iter().collect()));
        }
        if pairs.is_empty() && named.is_empty() {
            return Err(match down {
                Some(site) => format!("{site} is down: there is nothing to renew"),
                None => format!("there is no site, user or address {who:?}; `cygnet status` lists them"),
            });
        }
        let mut done = Rekeyed::default();
        for (session, spis) in pairs {
            if ike {
                self.ike.rekey_ike(now.instant, session);
                done.ike_sas += 1;
            } else {
                spis.iter().for_each(|&spi| self.ike.rekey_child(now.instant, session, spi));
                done.child_sas += spis.len() as u64;
            }
        }
        self.settle(now);
        Ok(done)
    }

    /// The next answer to a [`Gateway::site_up`].
    pub fn poll_site_outcome(&mut self) -> Option<SiteOutcome> {
        self.sites.outcomes.pop_front()
    }

    /// Tells the IKE engine what is known by now about a site's addresses.
    fn reconfigure_site(&mut self, name: &str) {
        let Some(settings) = self.settings.sites.iter().find(|site| site.name == name) else { return };
        let Some(watched) = self.sites.watched.get_mut(name) else { return };
        let made = engine::site(settings, watched.supervisor.source(), watched.supervisor.addresses());
        // It was possible with other addresses, which are no reason to fail.
        let Ok(mut engine) = made else { return };
        engine::keep_authorities(&mut engine, &watched.engine);
        watched.engine = Arc::new(engine);
        self.ike_config = Arc::new(Config { sites: self.sites.engines(), ..(*self.ike_config).clone() });
        self.ike.reconfigure(Arc::clone(&self.ike_config));
    }

    /// Does what a site's supervisor wants done.
    fn drive_site(&mut self, now: Now, name: &Arc<str>) {
        while let Some(action) = self.sites.watched.get_mut(name).and_then(|watched| watched.supervisor.poll_action()) {
            self.act(now, name, action);
        }
        if let Some(watched) = self.sites.watched.get_mut(name) {
            watched.tell_problem();
        }
    }

    fn act(&mut self, now: Now, site: &Arc<str>, action: supervisor::Action) {
        use supervisor::Action;
        let site = || Arc::clone(site);
        match action {
            Action::Resolve(name) => self.effects.push_back(Effect::Resolve { site: site(), name }),
            Action::AskLocalAddress(peer) => self.effects.push_back(Effect::LocalAddress { site: site(), peer }),
            Action::Initiate(path) => self.initiate(now, &site(), path),
            Action::CreateChild(session, child) => self.ike.create_child(now.instant, session, child),
            Action::Relocate(session, path) => self.ike.relocate(now.instant, session, path),
            Action::Close(session, reason) => self.ike.close(now.instant, session, reason),
            Action::Reconfigure => self.reconfigure_site(&site()),
            Action::Answer(result) => self.sites.outcomes.push_back(SiteOutcome { site: site(), result }),
        }
    }

    fn initiate(&mut self, now: Now, site: &Arc<str>, path: cygnet_ike::Path) {
        let Some(watched) = self.sites.watched.get_mut(site) else { return };
        let children: Vec<usize> = (0..watched.engine.children.len()).collect();
        let session = self.ike.initiate(now.instant, now.unix(), &watched.engine, path, &children);
        tracing::debug!(session = session.0, %site, peer = %path.peer, "tries to reach the site");
        watched.supervisor.started(session, path);
        self.sites.of_session.insert(session, Arc::clone(site));
    }

    /// Lets the supervisors speak.
    pub(super) fn drive_sites(&mut self, now: Now) {
        if self.sites.stirred.is_empty() {
            return;
        }
        while let Some(name) = self.sites.stirred.pop_first() {
            self.drive_site(now, &name);
        }
        let traps = self.sites.wanted_traps(&self.settings);
        if traps != self.sites.traps {
            self.sites.traps.clone_from(&traps);
            self.effects.push_back(Effect::Traps(traps));
        }
    }

    /// What is due for sites.
    pub(super) fn site_timeouts(&mut self, now: Now) {
        let due = |watched: &Watched| watched.supervisor.poll_timeout().is_some_and(|due| due <= now.instant);
        let names: Vec<Arc<str>> =
            self.sites.watched.iter().filter(|(_, w)| due(w)).map(|(name, _)| Arc::clone(name)).collect();
        for name in names {
            let Self { sites, ike, meter, .. } = self;
            let Some(supervisor) = sites.supervise(&name) else { continue };
            let heard = supervisor.heard(|id| ike.session(id).map(|info| info.last_heard), |spi| meter.last_heard(spi));
            supervisor.handle_timeout(now, |id| heard.get(&id).copied());
        }
    }
}

fn no_site(name: &str) -> String {
    format!("there is no site {name:?}; `cygnet status` lists them")
}

/// Nothing was carried.
const NOTHING: Traffic = Traffic { bytes_in: 0, bytes_out: 0, packets_in: 0, packets_out: 0 };
