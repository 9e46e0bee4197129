//! The loop of the control thread: one wake-up, one reading of the clock, then effects until none is left.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cygnet_esp::DropReason;
use cygnet_ike::{ChildMode, ChildSa, EspSpi, SessionId, Transmit};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::host;
use crate::config::{self, Settings, Surroundings};
use crate::control::model::{Counter, Failure, Kicked, Reloaded, Status};
use crate::control::{ControlCommand, api};
use crate::dataplane::userspace::{
    self, DataPlaneConfig, Datagrams, IkeDatagram, IkeSender, L2tpDatagram, Started, ToControl, UserspaceDataPlane,
};
use crate::dataplane::{DataPlane, DataPlaneEvent, SaPair};
use crate::gateway::{Effect, Gateway, Now};
use crate::io::clock::Clock;
use crate::io::random::SystemRandom;
use crate::net::HostNetwork;
use crate::pki::crl::{CrlStore, Lists, Wanted};

/// Longest time without looking at the clock: it goes on while the machine sleeps, the runtime's does not.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// How long clients get to answer our DELETE when the gateway stops.
const FAREWELL: Duration = Duration::from_secs(3);
/// Questions over the control socket that may wait.
const COMMAND_QUEUE: usize = 64;
/// Prepared hosts that may wait to be noticed.
const ADMISSION_QUEUE: usize = 1024;
/// IKE messages that are handled before their effects are carried out.
const DATAGRAM_BATCH: usize = 32;
/// An SPI's first octet is 1 + the index of its worker.
const MOST_WORKERS: u8 = 254;

pub(super) struct EventLoop {
    settings: Arc<Settings>,
    clock: Clock,
    gateway: Gateway,
    plane: UserspaceDataPlane,
    datagrams: Datagrams,
    ike: IkeSender,
    events: Arc<Notify>,
    host: HostNetwork,
    admissions: mpsc::Receiver<Admission>,
    admitted: mpsc::Sender<Admission>,
    commands: mpsc::Receiver<ControlCommand>,
    crl: CrlStore,
    revocation_lists: watch::Receiver<Lists>,
    api: JoinHandle<std::io::Result<()>>,
    signals: Signals,
}

/// What came of preparing the host for a client.
struct Admission {
    session: SessionId,
    outcome: Result<(), String>,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// Why the loop woke up.
enum Wake {
    Datagram(ToControl),
    DataPlane,
    Admission(Admission),
    Command(ControlCommand),
    RevocationLists,
    Reload,
    Timer,
    Stop,
}

impl EventLoop {
    /// Opens everything. A failure leaves nothing behind: the threads and the TUN go with their owner, rules and routes
    /// are set up last.
    pub(super) async fn start(settings: Arc<Settings>) -> anyhow::Result<Self> {
        let signals = Signals::listen()?;
        let clock = Clock::start();
        let Started { plane, datagrams, ike, features } = userspace::start(data_plane_config(&settings, clock))?;
        let mut gateway = Gateway::new(
            Arc::clone(&settings),
            [Box::new(SystemRandom), Box::new(SystemRandom), Box::new(SystemRandom)],
            Box::new(plane.meter()),
            workers(&settings),
            Now { instant: clock.now(), wall: clock.wall() },
        )?;
        let socket = &settings.daemon.control_socket;
        let listener = api::bind(socket).with_context(|| format!("cannot open {}", socket.display()))?;
        let wanted = host::settings(&settings).await?;
        let mtu = wanted.tun.mtu;
        gateway.set_tunnel_mtu(u16::try_from(mtu).unwrap_or(u16::MAX));
        let (host, _) = HostNetwork::start(wanted).await?;
        let crl = CrlStore::start(&settings.daemon.state_dir.join("crl"), Wanted::of(&settings), clock);
        let mut revocation_lists = crl.lists();
        gateway.set_revocation_lists(Arc::clone(&revocation_lists.borrow_and_update()));
        let (sender, commands) = mpsc::channel(COMMAND_QUEUE);
        let (admitted, admissions) = mpsc::channel(ADMISSION_QUEUE);
        let api = tokio::spawn(api::serve(listener, sender, std::future::pending()));
        tell_service_manager(&[NotifyState::Ready]);
        let (version, interface) = (env!("CARGO_PKG_VERSION"), settings.daemon.interface.as_str());
        tracing::info!(version, workers = workers(&settings), interface, mtu, offload = %features, "gateway is ready");
        let events = plane.event_arrived();
        let this = Self {
            settings,
            clock,
            gateway,
            plane,
            datagrams,
            ike,
            events,
            host,
            admissions,
            admitted,
            commands,
            crl,
            revocation_lists,
            api,
            signals,
        };
        this.tell_static_routes().await;
        Ok(this)
    }

    /// Serves until somebody asks to stop.
    ///
    /// # Errors
    /// If a thread of the packet path has ended, which is a bug: a restart is better than a gateway that carries half.
    pub(super) async fn run(&mut self) -> anyhow::Result<()> {
        loop {
            match self.wake().await {
                Wake::Datagram(datagram) => self.take(datagram),
                Wake::DataPlane => self.take_data_plane_events()?,
                Wake::Admission(Admission { session, outcome }) => self.gateway.admitted(self.now(), session, outcome),
                Wake::Command(command) => self.answer(command).await,
                Wake::RevocationLists => {
                    let lists = Arc::clone(&self.revocation_lists.borrow_and_update());
                    self.gateway.set_revocation_lists(lists);
                }
                Wake::Reload => self.reload_on_signal().await,
                Wake::Timer => self.gateway.handle_timeout(self.now()),
                Wake::Stop => return Ok(()),
            }
            self.perform();
        }
    }

    /// Says goodbye to every client and takes back what is ours.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        tell_service_manager(&[NotifyState::Stopping]);
        tracing::info!("gateway is stopping");
        self.gateway.shut_down(self.now());
        self.perform();
        let last = self.clock.now() + FAREWELL;
        while !self.gateway.has_said_goodbye() && self.clock.now() < last {
            let due = self.gateway.poll_timeout().map_or(last, |due| due.min(last));
            match timeout(due.saturating_duration_since(self.clock.now()), self.datagrams.recv()).await {
                Ok(Some(datagram)) => self.take(datagram),
                Ok(None) => break,
                Err(_) => self.gateway.handle_timeout(self.now()),
            }
            self.perform();
        }
        self.host.close().await;
        self.api.abort();
        drop(self.plane);
        let socket = &self.settings.daemon.control_socket;
        std::fs::remove_file(socket).with_context(|| format!("cannot remove {}", socket.display()))
    }

    async fn wake(&mut self) -> Wake {
        let due = self.gateway.poll_timeout();
        let wait = due.map_or(LONGEST_SLEEP, |due| due.saturating_duration_since(self.clock.now()).min(LONGEST_SLEEP));
        tokio::select! {
            biased;
            _ = self.signals.terminate.recv() => Wake::Stop,
            _ = self.signals.interrupt.recv() => Wake::Stop,
            _ = self.signals.hangup.recv() => Wake::Reload,
            Some(command) = self.commands.recv() => Wake::Command(command),
            Ok(()) = self.revocation_lists.changed() => Wake::RevocationLists,
            Some(admission) = self.admissions.recv() => Wake::Admission(admission),
            () = self.events.notified() => Wake::DataPlane,
            datagram = self.datagrams.recv() => datagram.map_or(Wake::Stop, Wake::Datagram),
            () = tokio::time::sleep(wait) => Wake::Timer,
        }
    }

    /// Takes a message and as many more as are waiting.
    fn take(&mut self, first: ToControl) {
        let now = self.now();
        let mut next = Some(first);
        for _ in 0..DATAGRAM_BATCH {
            match next {
                Some(ToControl::Ike(IkeDatagram { path, message })) => {
                    self.gateway.handle_datagram(now, path, &message);
                }
                Some(ToControl::L2tp(L2tpDatagram { inbound_spi, port, datagram })) => {
                    self.gateway.handle_l2tp(now, inbound_spi, port, &datagram);
                }
                None => break,
            }
            next = self.datagrams.try_recv();
        }
    }

    fn take_data_plane_events(&mut self) -> anyhow::Result<()> {
        let now = self.now();
        while let Some(event) = self.plane.poll_event() {
            match event {
                DataPlaneEvent::PeerMoved { spi, path } => self.gateway.peer_moved(now, spi, path),
                DataPlaneEvent::EncapsulationChanged { spi, udp_encap, path } => {
                    tracing::debug!(%spi, udp_encap, peer = %path.peer, "the client sends ESP in another encapsulation");
                    self.plane.move_peer(spi, path, udp_encap);
                }
                DataPlaneEvent::AllForged { spi } => self.gateway.all_forged(now, spi),
                DataPlaneEvent::FirstInbound { spi } => tracing::debug!(%spi, "first packet"),
                DataPlaneEvent::SoftLimit { spi } => self.gateway.soft_limit(now, spi),
                // Nothing sets hard limits or traps yet.
                DataPlaneEvent::HardLimit { .. } | DataPlaneEvent::NoTunnel { .. } => {}
                DataPlaneEvent::ThreadEnded => anyhow::bail!("a thread of the packet path has ended"),
            }
        }
        Ok(())
    }

    /// Carries out effects in order until there is none.
    fn perform(&mut self) {
        let addresses = self.gateway.take_list_addresses();
        if !addresses.is_empty() {
            self.crl.learn(addresses);
        }
        while let Some(effect) = self.gateway.poll_effect() {
            match effect {
                Effect::Send(Transmit { path, payload }) => {
                    if let Err(error) = self.ike.send(path, &payload) {
                        tracing::debug!(peer = %path.peer, "cannot send: {error}");
                    }
                }
                Effect::Admit { session, addresses, mtu } => self.admit(session, addresses, mtu),
                Effect::Expel { addresses } => self.expel(addresses),
                Effect::Install { session, child, replaces, .. } => self.install(session, &child, replaces),
                Effect::Remove { inbound_spi } => self.plane.remove(inbound_spi),
                Effect::SendL2tp { inbound_spi, port, datagram } => {
                    if let Err(error) = self.plane.send_l2tp(inbound_spi, port, &datagram) {
                        tracing::debug!(spi = %inbound_spi, "cannot send: {error}");
                    }
                }
                Effect::Link { inbound_spi, link } => self.plane.link(inbound_spi, link),
                Effect::Move { inbound_spi, path, udp_encap } => {
                    let udp_encap = udp_encap.unwrap_or_else(|| self.plane.is_in_udp(inbound_spi));
                    self.plane.move_peer(inbound_spi, path, udp_encap);
                }
                Effect::Resolve { .. } | Effect::LocalAddress { .. } | Effect::Traps(_) => {}
            }
        }
    }

    /// The host is prepared beside the loop; the outcome comes back as [`Wake::Admission`].
    fn admit(&self, session: SessionId, addresses: Vec<IpAddr>, mtu: Option<u16>) {
        let (host, done) = (self.host.clone(), self.admitted.clone());
        tokio::spawn(async move {
            let outcome = host.admit(addresses, mtu).await.map_err(|error| error.to_string());
            // Nobody listens any more when the gateway has stopped.
            let _ = done.send(Admission { session, outcome }).await;
        });
    }

    fn expel(&self, addresses: Vec<IpAddr>) {
        let host = self.host.clone();
        tokio::spawn(async move {
            if let Err(error) = host.expel(addresses).await {
                tracing::error!("{error}");
            }
        });
    }

    fn install(&mut self, session: SessionId, child: &ChildSa, replaces: Option<EspSpi>) {
        let cuts = child.mode == ChildMode::L2tp
            && self.settings.remote.as_ref().is_some_and(|remote| remote.legacy.sha256_96);
        let pair = SaPair::from_child(child, self.replay_window());
        let pair = if cuts { pair.map(SaPair::with_truncated_sha256) } else { pair };
        if let Err(error) = pair.and_then(|pair| self.plane.install(pair, replaces)) {
            tracing::error!(session = session.0, spi = %child.inbound_spi, "cannot install an SA pair: {error}");
            self.gateway.install_failed(self.now(), session);
        }
    }

    async fn answer(&mut self, command: ControlCommand) {
        // A requester that has gone away needs no answer.
        match command {
            ControlCommand::Status { reply } => drop(reply.send(self.status().await)),
            ControlCommand::Explain { filter, reply } => drop(reply.send(self.gateway.explain(&filter))),
            ControlCommand::Kick { who, reply } => {
                let disconnected = self.gateway.kick(self.now(), &who);
                drop(reply.send(Kicked { disconnected }));
            }
            ControlCommand::Up { reply, .. } | ControlCommand::Down { reply, .. } => {
                drop(reply.send(Err(Failure { message: "this gateway has no sites".into() })));
            }
            ControlCommand::Rekey { reply, .. } => {
                drop(reply.send(Err(Failure { message: "this gateway cannot rekey on demand".into() })));
            }
            ControlCommand::Reload { reply } | ControlCommand::UsersChanged { reply } => {
                drop(reply.send(self.reload().await));
            }
        }
    }

    async fn status(&self) -> Status {
        let mut status = self.gateway.status(self.now());
        let esp = self.plane.counters();
        let path = [
            ("esp/keepalives", esp.keepalives),
            ("esp/ike_overflow", esp.ike_overflow),
            ("esp/l2tp_overflow", esp.l2tp_overflow),
            ("esp/unusable", esp.unusable),
            ("esp/tun_failures", esp.tun_failures),
            ("esp/send_failures", esp.send_failures),
        ];
        let mut add = |name: String, value| status.counters.push(Counter { name, value });
        path.into_iter().for_each(|(name, value)| add(name.to_owned(), value));
        DropReason::ALL.iter().for_each(|&reason| add(format!("drops/{}", reason.name()), esp.dropped(reason)));
        if let Ok(drops) = self.host.drops().await {
            add("filter/spoofed_inside".to_owned(), drops.spoofed_inside);
            add("filter/spoofed_outside".to_owned(), drops.spoofed_outside);
            add("filter/client_to_client".to_owned(), drops.client_to_client);
            add("filter/inbound".to_owned(), drops.inbound);
            add("filter/gateway_access".to_owned(), drops.gateway_access);
            add("filter/unrouted".to_owned(), drops.unrouted);
            add("filter/clear_l2tp".to_owned(), drops.clear_l2tp);
        }
        status.counters.sort_by(|a, b| a.name.cmp(&b.name));
        status
    }

    async fn reload_on_signal(&mut self) {
        if let Err(failure) = self.reload().await {
            tracing::error!("the configuration stays as it was: {failure}");
        }
    }

    /// Reads the configuration again. A mistake in it changes nothing.
    async fn reload(&mut self) -> Result<Reloaded, Failure> {
        tell_service_manager(&[NotifyState::Reloading]);
        let outcome = self.apply_new_settings().await;
        tell_service_manager(&[NotifyState::Ready]);
        outcome.map_err(|error| Failure { message: format!("{error:#}") })
    }

    async fn apply_new_settings(&mut self) -> anyhow::Result<Reloaded> {
        let settings = Arc::new(config::load(&self.settings.path, &Surroundings::of_this_machine(self.clock.wall()))?);
        let reloaded = self.gateway.reload(self.now(), Arc::clone(&settings))?;
        self.host.replace_rules(host::rules(&settings)?).await?;
        self.crl.reconfigure(Wanted::of(&settings));
        self.settings = settings;
        self.perform();
        self.tell_static_routes().await;
        for change in reloaded.changes.iter().chain(&reloaded.needs_restart) {
            tracing::info!("reload: {change}");
        }
        Ok(reloaded)
    }

    async fn tell_static_routes(&self) {
        let Ok(rules) = host::rules(&self.settings) else { return };
        match host::static_route_hints(&rules).await {
            Ok(hints) => hints.iter().for_each(|hint| tracing::info!("{hint}")),
            Err(error) => tracing::warn!("{error}"),
        }
    }

    fn now(&self) -> Now {
        Now { instant: self.clock.now(), wall: self.clock.wall() }
    }

    fn replay_window(&self) -> u32 {
        self.settings.remote.as_ref().map_or(cygnet_esp::replay::DEFAULT_WINDOW, |remote| remote.replay_window)
    }
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

fn data_plane_config(settings: &Settings, clock: Clock) -> DataPlaneConfig {
    DataPlaneConfig {
        interface: settings.daemon.interface.clone(),
        workers: workers(settings),
        listen: settings.remote.as_ref().map(|remote| remote.listen.clone()).unwrap_or_default(),
        // `force_udp_encap` is about IKEv2; with IKEv1 the client has the last word.
        raw_esp: settings.remote.as_ref().is_none_or(|remote| !remote.force_udp_encap || remote.speaks_ikev1()),
        copy_dscp: false,
        clock,
    }
}

/// How many packet workers: as configured, otherwise one per core.
fn workers(settings: &Settings) -> u8 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u8::try_from(settings.daemon.workers.unwrap_or(cores)).unwrap_or(MOST_WORKERS).clamp(1, MOST_WORKERS)
}

/// Tells systemd, if it is there. That it cannot be told is no reason not to run.
fn tell_service_manager(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("cannot notify the service manager: {error}");
    }
}
