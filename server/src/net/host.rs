//! The host's network as one thing: TUN, forwarding, packet filter and routes, run by a task of its own.
//!
//! Many sessions come and go at the same time, and each change of the packet filter costs milliseconds, so the
//! task takes all requests that wait and applies them as one change. An answer comes only when the change is in force:
//! the client is told of its address after that, and an address is leased again only after it was expelled.
//!
//! A change of the settings happens as a whole or not at all.
//!
//! Every [`REPAIR_INTERVAL`] it puts right what others have changed: `nft flush ruleset`, deleted routes, a forwarding
//! switch. Connections of clients that have left are forgotten then, or earlier if their address is leased again.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::conntrack::Former;
use super::forwarding::{self, Changed, Families};
use super::link::{Netlink, TunSettings};
use super::nft::{Drops, Firewall, RuleSet};
use super::routes::{Routes, Snapshot};
use super::tally::Tally;
use super::{NetError, SiteNetwork};

/// How long a change by others stays unnoticed at most.
pub const REPAIR_INTERVAL: Duration = Duration::from_secs(30);

/// Requests that wait for the task; more of them wait at their sender.
const QUEUE: usize = 1024;

/// What the host's network should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSettings {
    /// Addresses and MTU of the TUN named in `rules`.
    pub tun: TunSettings,
    /// What is forwarded.
    pub families: Families,
    /// The packet filter. Its site networks get routes.
    pub rules: RuleSet,
}

/// When something was decided: what was decided later is right, in whatever order the requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn(u64);

/// Why a request was not carried out, shared by all requests of a change.
pub type Shared = Arc<NetError>;

/// The sender's side of the task. All copies gone means that everything is taken away, see [`HostNetwork::close`].
#[derive(Clone)]
pub struct HostNetwork {
    requests: mpsc::Sender<Request>,
    turns: Arc<AtomicU64>,
}

impl HostNetwork {
    /// Sets everything up: what a crash left is replaced. The TUN must exist. Must be called within a tokio runtime,
    /// whose worker threads are in the network namespace of the gateway.
    ///
    /// The task ends, and the handle is done, after [`HostNetwork::close`] or when all copies are dropped.
    ///
    /// # Errors
    /// Whatever cannot be set up; the packet filter is removed again then.
    pub async fn start(settings: HostSettings) -> Result<(Self, JoinHandle<()>), NetError> {
        let netlink = Netlink::open()?;
        let tun = netlink.configure_tun(&settings.rules.tun, &settings.tun).await?;
        for change in enable_forwarding(&settings)? {
            tracing::info!(path = %change.path.display(), old = change.old, new = change.new, "kernel setting changed");
        }
        let firewall = Firewall::install(settings.rules.clone()).await?;
        let routes = Routes::start(netlink, tun).await?;
        let (latest, dropped, former) = (Turn(0), Tally::default(), Former::default());
        let mut keeper = Keeper { settings, firewall, routes, latest, dropped, former };
        if let Err(error) = keeper.lead_to_sites().await {
            keeper.take_away().await?;
            return Err(error);
        }
        let (requests, queue) = mpsc::channel(QUEUE);
        Ok((Self { requests, turns: Arc::default() }, tokio::spawn(keeper.run(queue))))
    }

    /// Makes the host forward for these inner addresses, packets of at most `mtu` octets if that is less or more than the
    /// TUN's MTU.
    ///
    /// # Errors
    /// If it doesn't; then nothing is left of the attempt.
    pub async fn admit(&self, addresses: Vec<IpAddr>, mtu: Option<u16>) -> Result<(), Shared> {
        let change = |done| Request::Change(Change { admit: true, addresses, mtu, done });
        self.ask(change).await.unwrap_or_else(|| Err(ended()))
    }

    /// Stops forwarding for these inner addresses. They may be leased again when this returns.
    ///
    /// # Errors
    /// If the kernel refuses; the repair tries again.
    pub async fn expel(&self, addresses: Vec<IpAddr>) -> Result<(), Shared> {
        let change = |done| Request::Change(Change { admit: false, addresses, mtu: None, done });
        self.ask(change).await.unwrap_or_else(|| Err(ended()))
    }

    /// For a decision that is made now, see [`HostNetwork::reconfigure`] and [`HostNetwork::replace_rules`].
    #[must_use]
    pub fn turn(&self) -> Turn {
        Turn(self.turns.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Changes everything: addresses of the TUN, forwarding, rules, and the routes of sites; admitted addresses stay. The TUN's
    /// name cannot change. Nothing happens if a later turn is in force.
    ///
    /// # Errors
    /// If the kernel refuses; all is as before then, but forwarding that was switched on stays on.
    pub async fn reconfigure(&self, turn: Turn, settings: HostSettings) -> Result<(), Shared> {
        self.ask(|done| Request::Settings(turn, Box::new(settings), done)).await.unwrap_or_else(|| Err(ended()))
    }

    /// As [`HostNetwork::reconfigure`], of the rules and the routes of sites only.
    ///
    /// # Errors
    /// As [`HostNetwork::reconfigure`].
    pub async fn replace_rules(&self, turn: Turn, rules: RuleSet) -> Result<(), Shared> {
        self.ask(|done| Request::Rules(turn, Box::new(rules), done)).await.unwrap_or_else(|| Err(ended()))
    }

    /// Lets packets to these networks have at most `mtu` octets, because of the path behind their tunnel; `None`: as many as before.
    ///
    /// # Errors
    /// If the kernel refuses; the repair tries again.
    pub async fn limit(&self, networks: Vec<IpNet>, mtu: Option<u16>) -> Result<(), Shared> {
        self.ask(|done| Request::Limit(networks, mtu, done)).await.unwrap_or_else(|| Err(ended()))
    }

    /// Lets packets by a site's own device have at most `mtu` octets; `None`: as many as before. Unknown ones are ignored.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn limit_device(&self, device: String, mtu: Option<u16>) -> Result<(), Shared> {
        self.ask(|done| Request::LimitDevice(device, mtu, done)).await.unwrap_or_else(|| Err(ended()))
    }

    /// Looks for changes by others now. Returns whether there were any.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn repair(&self) -> Result<bool, Shared> {
        self.ask(Request::Repair).await.unwrap_or_else(|| Err(ended()))
    }

    /// What the rules dropped since the start, but for what the table had counted unread when somebody else removed it.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn drops(&self) -> Result<Drops, Shared> {
        self.ask(Request::Drops).await.unwrap_or_else(|| Err(ended()))
    }

    /// Takes routes and packet filter away and ends the task.
    pub async fn close(&self) {
        self.ask(Request::Close).await;
    }

    /// `None`: the task has ended.
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (done, answer) = oneshot::channel();
        self.requests.send(request(done)).await.ok()?;
        answer.await.ok()
    }
}

fn ended() -> Shared {
    Arc::new(NetError::Ended)
}

/// Switches for the gateway's TUN and those of sites.
fn enable_forwarding(settings: &HostSettings) -> Result<Vec<Changed>, NetError> {
    let mut changed = Vec::new();
    for device in settings.rules.tunnels() {
        changed.extend(forwarding::enable(settings.families, device)?);
    }
    if settings.rules.marks_own_packets() {
        changed.extend(forwarding::let_marks_choose_routes()?);
    }
    Ok(changed)
}

enum Request {
    Change(Change),
    Settings(Turn, Box<HostSettings>, oneshot::Sender<Result<(), Shared>>),
    Rules(Turn, Box<RuleSet>, oneshot::Sender<Result<(), Shared>>),
    Limit(Vec<IpNet>, Option<u16>, oneshot::Sender<Result<(), Shared>>),
    LimitDevice(String, Option<u16>, oneshot::Sender<Result<(), Shared>>),
    Repair(oneshot::Sender<Result<bool, Shared>>),
    Drops(oneshot::Sender<Result<Drops, Shared>>),
    Close(oneshot::Sender<()>),
}

struct Change {
    admit: bool,
    addresses: Vec<IpAddr>,
    mtu: Option<u16>,
    done: oneshot::Sender<Result<(), Shared>>,
}

/// The task.
struct Keeper {
    settings: HostSettings,
    firewall: Firewall,
    routes: Routes,
    /// Whose settings are in force.
    latest: Turn,
    dropped: Tally,
    former: Former,
}

impl Keeper {
    async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut clock = tokio::time::interval(REPAIR_INTERVAL);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        clock.tick().await; // the first one is due at once
        let mut waiting = Vec::new();
        let closed = loop {
            tokio::select! {
                count = queue.recv_many(&mut waiting, QUEUE) => {
                    if count == 0 {
                        break None;
                    }
                    if let Some(done) = self.handle(waiting.drain(..)).await {
                        break Some(done);
                    }
                }
                _ = clock.tick() => drop(self.repair().await),
            }
        };
        if let Err(error) = self.take_away().await {
            tracing::warn!(%error, "something is left behind in the host's network");
        }
        if let Some(done) = closed {
            let _ = done.send(());
        }
    }

    /// Carries requests out in their order, neighbouring changes of addresses together. An asker that has gone is no
    /// matter, so failures to answer are ignored.
    async fn handle(&mut self, requests: impl Iterator<Item = Request>) -> Option<oneshot::Sender<()>> {
        let mut changes = Vec::new();
        for request in requests {
            if let Request::Change(change) = request {
                changes.push(change);
                continue;
            }
            self.apply(std::mem::take(&mut changes)).await;
            match request {
                Request::Change(_) => {}
                Request::Settings(turn, settings, done) => {
                    drop(done.send(self.reconfigure(turn, *settings).await.map_err(Arc::new)));
                }
                Request::Rules(turn, rules, done) => {
                    let settings = HostSettings { rules: *rules, ..self.settings.clone() };
                    drop(done.send(self.reconfigure(turn, settings).await.map_err(Arc::new)));
                }
                Request::Limit(nets, mtu, done) => drop(done.send(self.limit(&nets, mtu).await.map_err(Arc::new))),
                Request::LimitDevice(device, mtu, done) => {
                    drop(done.send(self.limit_device(&device, mtu).await.map_err(Arc::new)));
                }
                Request::Repair(done) => drop(done.send(self.repair().await)),
                Request::Drops(done) => drop(done.send(self.drops().await.map_err(Arc::new))),
                Request::Close(done) => return Some(done),
            }
        }
        self.apply(changes).await;
        None
    }

    /// Applies changes as one: routes are there before packets pass, and until none does.
    async fn apply(&mut self, changes: Vec<Change>) {
        let mut outcome = BTreeMap::new();
        let mut results = Vec::with_capacity(changes.len());
        for change in &changes {
            let result = if change.admit { self.add_routes(&change.addresses, change.mtu).await } else { Ok(()) };
            if result.is_ok() {
                outcome.extend(change.addresses.iter().map(|&a| (a, change.admit)));
            }
            results.push(result.map_err(Arc::new));
        }
        let of = |wanted| outcome.iter().filter(move |(_, admit)| **admit == wanted).map(|(a, _)| *a);
        let (admitted, expelled): (Vec<IpAddr>, Vec<IpAddr>) = (of(true).collect(), of(false).collect());
        // Not the outcome: an address that goes from one client to the next is in it as admitted only.
        let left = changes.iter().filter(|change| !change.admit).flat_map(|change| change.addresses.iter().copied());
        self.former.make_way(&admitted, left).await;
        let filtered = self.firewall.update(&admitted, &expelled).await.map_err(Arc::new);
        // Without its filter element an address cannot be used: its route goes too.
        let obsolete = if filtered.is_ok() { expelled } else { admitted };
        let removed = self.remove_routes(&obsolete).await.map_err(Arc::new);
        for (change, result) in changes.into_iter().zip(results) {
            let both = result.and_then(|()| filtered.clone());
            let _ = change.done.send(if change.admit { both } else { both.and_then(|()| removed.clone()) });
        }
    }

    /// All or nothing.
    async fn add_routes(&mut self, addresses: &[IpAddr], mtu: Option<u16>) -> Result<(), NetError> {
        let before: Vec<IpNet> =
            self.routes.wanted().filter(|net| addresses.iter().any(|a| IpNet::from(*a) == *net)).collect();
        for &address in addresses {
            if let Err(error) = self.routes.add(address.into(), mtu).await {
                let added: Vec<IpAddr> = addresses.iter().copied().filter(|&a| !before.contains(&a.into())).collect();
                drop(self.remove_routes(&added).await); // the repair tries again
                return Err(error);
            }
        }
        Ok(())
    }

    /// As many as possible; the first error, if any.
    async fn remove_routes(&mut self, addresses: &[IpAddr]) -> Result<(), NetError> {
        let mut first = Ok(());
        for &address in addresses {
            let removed = self.routes.remove(address.into()).await;
            first = first.and(removed);
        }
        first
    }

    /// All or nothing.
    async fn reconfigure(&mut self, turn: Turn, settings: HostSettings) -> Result<(), NetError> {
        if turn < self.latest {
            return Ok(());
        }
        if settings != self.settings {
            self.exchange(settings).await?;
        }
        self.latest = turn;
        Ok(())
    }

    async fn exchange(&mut self, settings: HostSettings) -> Result<(), NetError> {
        let routes = self.routes.snapshot();
        let old = std::mem::replace(&mut self.settings, settings);
        if let Err(error) = self.bring_about().await {
            self.settings = old;
            if let Err(error) = self.go_back(routes).await {
                tracing::error!(%error, "cannot go back to the host's network of before; the repair tries again");
            }
            return Err(error);
        }
        let networks = |rules: &RuleSet| -> Vec<IpNet> { rules.sites.iter().flat_map(SiteNetwork::routed).collect() };
        let kept = networks(&self.settings.rules);
        for net in networks(&old.rules).into_iter().filter(|net| !kept.contains(net)) {
            if let Err(error) = self.routes.remove(net).await {
                tracing::error!(%error, "a route of before is still there; the repair tries again");
            }
        }
        Ok(())
    }

    /// The rules last: nothing can fail behind them.
    async fn bring_about(&mut self) -> Result<(), NetError> {
        enable_forwarding(&self.settings)?;
        self.configure_tun().await?;
        // An interface that lost its last address of a family has lost the routes of it.
        self.routes.repair().await?;
        self.lead_to_sites().await?;
        if *self.firewall.rules() == self.settings.rules {
            return Ok(());
        }
        // The counters begin anew. That they cannot be read is no reason to keep the rules.
        drop(self.drops().await);
        self.firewall.replace(self.settings.rules.clone()).await?;
        self.dropped.begin_anew();
        Ok(())
    }

    /// After [`Keeper::bring_about`] has failed; the settings are those of before again.
    async fn go_back(&mut self, routes: Snapshot) -> Result<(), NetError> {
        let tun = self.configure_tun().await;
        let restored = self.routes.restore(routes).await;
        // The MTU of devices. Their routes are there.
        let devices = self.lead_to_sites().await;
        tun.and(restored).and(devices)
    }

    async fn configure_tun(&self) -> Result<(), NetError> {
        let HostSettings { tun, rules, .. } = &self.settings;
        self.routes.netlink().configure_tun(&rules.tun, tun).await.map(|_| ())
    }

    async fn drops(&mut self) -> Result<Drops, NetError> {
        let read = self.firewall.drops().await?;
        Ok(self.dropped.add(read))
    }

    /// Devices and routes of sites as the rules name them.
    async fn lead_to_sites(&mut self) -> Result<(), NetError> {
        let sites = self.settings.rules.sites.clone();
        for site in &sites {
            let device = match &site.device {
                Some(name) => Some(self.routes.netlink().configure_device(name, self.mtu_of(site)).await?),
                None => None,
            };
            for net in site.routed() {
                self.routes.lead(net, site.way_to(net, device)).await?;
            }
        }
        Ok(())
    }

    fn mtu_of(&self, site: &SiteNetwork) -> u32 {
        site.mtu.map_or(self.settings.tun.mtu, u32::from)
    }

    async fn limit_device(&mut self, device: &str, mtu: Option<u16>) -> Result<(), NetError> {
        let of_device = |site: &&SiteNetwork| site.device.as_ref().is_some_and(|own| own.as_str() == device);
        let Some(site) = self.settings.rules.sites.iter().find(of_device) else { return Ok(()) };
        let Some(name) = &site.device else { return Ok(()) };
        // Below this the kernel would take IPv6 away from the interface.
        let limit = mtu.map_or(u32::MAX, |mtu| u32::from(mtu).max(1280));
        self.routes.netlink().configure_device(name, self.mtu_of(site).min(limit)).await.map(|_| ())
    }

    async fn limit(&mut self, networks: &[IpNet], mtu: Option<u16>) -> Result<(), NetError> {
        let mut first = Ok(());
        for &net in networks {
            let limited = self.routes.limit(net, mtu).await;
            first = first.and(limited);
        }
        first
    }

    async fn repair(&mut self) -> Result<bool, Shared> {
        self.former.forget().await;
        let repaired = self.repair_all().await.map_err(Arc::new);
        match &repaired {
            Ok(true) => {
                tracing::warn!("somebody changed our routes, rules or kernel settings; they are as before again");
            }
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "cannot repair the host's network"),
        }
        repaired
    }

    async fn repair_all(&mut self) -> Result<bool, NetError> {
        let settings = enable_forwarding(&self.settings)?;
        let rules = self.firewall.repair().await?;
        let routes = self.routes.repair().await?;
        Ok(!settings.is_empty() || rules || routes != super::routes::Repaired::default())
    }

    /// Routes first: without rules nothing may be forwarded to the TUN. The guards of sites' networks last: until then nothing
    /// goes out in clear.
    async fn take_away(mut self) -> Result<(), NetError> {
        let ways = self.routes.withdraw().await;
        let firewall = self.firewall.close().await;
        ways.and(firewall).and(self.routes.close().await)
    }
}
