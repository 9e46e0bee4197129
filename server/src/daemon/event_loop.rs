//! The loop of the control thread: one wake-up, one reading of the clock, then effects until none is left.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cygnet_ike::SessionId;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::commands::Climbing;
use super::fixed::{Fixed, Sockets};
use super::host::{self, Transports};
use super::paths::PathLimits;
use crate::config::Settings;
use crate::control::{ControlCommand, api};
use crate::dataplane::userspace::{
    self, DataPlaneConfig, Datagrams, IkeDatagram, IkeSender, L2tpDatagram, Started, ToControl, UserspaceDataPlane,
};
use crate::dataplane::{DataPlane, DataPlaneEvent};
use crate::gateway::{Gateway, Now};
use crate::io::clock::Clock;
use crate::io::random::SystemRandom;
use crate::net::HostNetwork;
use crate::net::watch::Watch;
use crate::pki::crl::{CrlStore, Lists, Wanted};

/// Longest time without looking at the clock: it goes on while the machine sleeps, the runtime's does not.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// How long clients get to answer our DELETE when the gateway stops.
const FAREWELL: Duration = Duration::from_secs(3);
/// Questions over the control socket that may wait.
const COMMAND_QUEUE: usize = 64;
/// Prepared hosts that may wait to be noticed.
const ADMISSION_QUEUE: usize = 1024;
/// Names that are found and wait to be noticed.
const LOOKUP_QUEUE: usize = 64;
/// IKE messages that are handled before their effects are carried out.
const DATAGRAM_BATCH: usize = 32;
/// An SPI's first octet is 1 + the index of its worker.
const MOST_WORKERS: u8 = 254;

pub(super) struct EventLoop {
    pub(super) settings: Arc<Settings>,
    pub(super) clock: Clock,
    pub(super) gateway: Gateway,
    pub(super) plane: UserspaceDataPlane,
    datagrams: Datagrams,
    pub(super) ike: IkeSender,
    /// Addresses that the sockets are bound to; empty: all.
    pub(super) listen: Vec<IpAddr>,
    events: Arc<Notify>,
    pub(super) host: HostNetwork,
    pub(super) fixed: Fixed,
    watch: Watch,
    /// Largest packet that the TUN takes, octets.
    pub(super) tunnel_mtu: u16,
    pub(super) paths: PathLimits,
    pub(super) transports: Transports,
    admissions: mpsc::Receiver<Admission>,
    pub(super) admitted: mpsc::Sender<Admission>,
    lookups: mpsc::Receiver<Resolved>,
    pub(super) resolver: mpsc::Sender<Resolved>,
    commands: mpsc::Receiver<ControlCommand>,
    pub(super) crl: CrlStore,
    revocation_lists: watch::Receiver<Lists>,
    /// Who waits for sites to come up.
    pub(super) climbing: Vec<Climbing>,
    api: JoinHandle<std::io::Result<()>>,
    signals: Signals,
}

/// What came of preparing the host for a client.
pub(super) struct Admission {
    pub(super) session: SessionId,
    pub(super) outcome: Result<(), String>,
}

/// What came of looking a site's name up.
pub(super) struct Resolved {
    pub(super) site: Arc<str>,
    /// Which name.
    pub(super) name: String,
    pub(super) outcome: Result<Vec<IpAddr>, String>,
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
    Resolved(Resolved),
    /// Addresses or routes of the machine have changed.
    Network,
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
        let config = data_plane_config(&settings, clock);
        let listen = config.listen.clone();
        let Started { mut plane, datagrams, ike, features } = userspace::start(config)?;
        plane.set_devices(&host::devices(&settings))?;
        plane.set_claims(host::claims(&settings, &Transports::new()));
        let mut gateway = Gateway::new(
            Arc::clone(&settings),
            [Box::new(SystemRandom), Box::new(SystemRandom), Box::new(SystemRandom)],
            Box::new(plane.meter()),
            workers(&settings),
            Now { instant: clock.now(), wall: clock.wall() },
        )?;
        let socket = &settings.daemon.control_socket;
        let listener = api::bind(socket).with_context(|| format!("cannot open {}", socket.display()))?;
        let wanted = host::settings(&settings, &Transports::new()).await?;
        let mtu = wanted.tun.mtu;
        let tunnel_mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
        gateway.set_tunnel_mtu(tunnel_mtu);
        let fixed = Fixed::of(&settings, mtu);
        let (host, _) = HostNetwork::start(wanted).await?;
        let crl = CrlStore::start(&settings.daemon.state_dir.join("crl"), Wanted::of(&settings), clock);
        let mut revocation_lists = crl.lists();
        let now = Now { instant: clock.now(), wall: clock.wall() };
        gateway.set_revocation_lists(now, Arc::clone(&revocation_lists.borrow_and_update()));
        let watch = Watch::start()?;
        let (sender, commands) = mpsc::channel(COMMAND_QUEUE);
        let (admitted, admissions) = mpsc::channel(ADMISSION_QUEUE);
        let (resolver, lookups) = mpsc::channel(LOOKUP_QUEUE);
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
            listen,
            events,
            host,
            fixed,
            watch,
            tunnel_mtu,
            paths: PathLimits::default(),
            transports: Transports::new(),
            admissions,
            admitted,
            lookups,
            resolver,
            commands,
            crl,
            revocation_lists,
            climbing: Vec::new(),
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
                Wake::Resolved(Resolved { site, name, outcome }) => {
                    self.gateway.resolved(self.now(), &site, &name, outcome);
                }
                Wake::Network => self.take_new_network(),
                Wake::Command(command) => self.answer(command).await,
                Wake::RevocationLists => {
                    let lists = Arc::clone(&self.revocation_lists.borrow_and_update());
                    self.gateway.set_revocation_lists(self.now(), lists);
                }
                Wake::Reload => self.reload_on_signal().await,
                Wake::Timer => {
                    self.forget_paths();
                    self.gateway.handle_timeout(self.now());
                }
                Wake::Stop => return Ok(()),
            }
            self.plane.tidy();
            self.perform();
            self.answer_climbing();
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
            Some(resolved) = self.lookups.recv() => Wake::Resolved(resolved),
            () = self.watch.changed() => Wake::Network,
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
                DataPlaneEvent::HardLimit { spi } => self.gateway.hard_limit(now, spi),
                DataPlaneEvent::PathMtu { spi, mtu } => self.limit_path(spi, mtu),
                DataPlaneEvent::NoTunnel { site, source, destination, .. } => {
                    self.gateway.no_tunnel(now, &site, source, destination);
                }
                DataPlaneEvent::ThreadEnded => anyhow::bail!("a thread of the packet path has ended"),
            }
        }
        Ok(())
    }

    /// Addresses or routes of this machine are others: peers may have to learn it, and which address of ours a route or translation
    /// uses may be another one.
    fn take_new_network(&mut self) {
        self.gateway.addresses_changed(self.now());
        self.follow_rules("follow the new addresses of this machine");
    }

    /// Puts rules and routes in line with what is known now, beside the loop. `aim` is what people are told if it fails.
    pub(super) fn follow_rules(&self, aim: &'static str) {
        let (host, turn) = (self.host.clone(), self.host.turn());
        let (settings, transports) = (Arc::clone(&self.settings), self.transports.clone());
        tokio::spawn(async move {
            let done = match host::rules(&settings, &transports).await {
                Ok(rules) => host.replace_rules(turn, rules).await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = done {
                tracing::error!("cannot {aim}: {error}");
            }
        });
    }

    pub(super) fn now(&self) -> Now {
        Now { instant: self.clock.now(), wall: self.clock.wall() }
    }

    pub(super) fn replay_window(&self) -> u32 {
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
    let Sockets { listen, raw_esp } = Sockets::of(settings);
    DataPlaneConfig {
        interface: settings.daemon.interface.clone(),
        workers: workers(settings),
        listen,
        raw_esp,
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
pub(super) fn tell_service_manager(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("cannot notify the service manager: {error}");
    }
}
