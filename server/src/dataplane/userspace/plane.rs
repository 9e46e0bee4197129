//! Starting and stopping the workers, and the control plane's side of [`DataPlane`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cygnet_esp::{InboundSa, OutboundSa, Spi};
use cygnet_ike::{EspSpi, Path};
use tokio::sync::{Notify, mpsc};

use super::claims::Holder;
use super::counters::ThreadCounters;
use super::datagrams::{self, ControlQueue, Datagrams};
use super::devices::{Device, DeviceId};
use super::dispatch::Dispatcher;
use super::ike_sender::IkeSender;
use super::inbound::{Inbound, Inner};
use super::l2tp_sender;
use super::leaving::Leaving;
use super::meter::{Meter, Reached};
use super::outbox::Outbox;
use super::path_mtu::{self, Listener};
use super::registry::Registry;
use super::rx::{Command, Receiving};
use super::sockets::{self, Kind, Sockets};
use super::table::{self, Lane, Route};
use super::transport::Hosts;
use super::tun::{self, Queue};
use super::tx::Transmitter;
use super::{Control, DataPlaneConfig, EVENT_QUEUE, EndWatch, EventSender, Features, Offload, StartError, Started};
use crate::dataplane::{
    self, Claim, Counters, DataPlane, DataPlaneEvent, DeviceError, InnerPath, InstallError, Link, Reach, SaPair,
    SendError, SiteDevice, Usage,
};
use crate::io::clock::Clock;

/// Commands that wait for a worker. The control plane waits when there are more: a worker looks after each batch.
const COMMAND_QUEUE: usize = 1024;

/// How long workers may take to let go of a device.
const CLOSING_PATIENCE: Duration = Duration::from_secs(1);

/// The workers, seen from the control plane.
pub struct UserspaceDataPlane {
    registry: Arc<Registry>,
    workers: Vec<Worker>,
    /// One for layout: which sockets there are.
    sockets: Arc<Sockets>,
    counters: Vec<Arc<ThreadCounters>>,
    threads: Vec<JoinHandle<()>>,
    controls: Vec<Control>,
    stopped: Arc<AtomicBool>,
    events: mpsc::Receiver<DataPlaneEvent>,
    event_arrived: Arc<Notify>,
    /// Limits of pairs that wait to be told.
    limits: VecDeque<DataPlaneEvent>,
    /// Sends what waited for a pair, and says what the control plane itself notices.
    dispatcher: Dispatcher,
    devices: Vec<Device>,
    last_device: DeviceId,
    leaving: Leaving,
    offload: Offload,
    clock: Clock,
}

/// The way to one receiving thread.
struct Worker {
    commands: SyncSender<Command>,
    control: Control,
}

/// Reads what SA pairs have carried, from any thread. Clones are the same.
#[derive(Clone)]
pub struct UsageMeter {
    registry: Arc<Registry>,
    clock: Clock,
}

/// What all threads of a data plane share.
struct Shared {
    registry: Arc<Registry>,
    events: EventSender,
    control: ControlQueue,
    stopped: Arc<AtomicBool>,
    config: DataPlaneConfig,
}

/// Opens sockets and TUN device in the network namespace of the calling thread and starts the workers.
///
/// # Errors
/// If anything of it is refused; nothing is left behind then.
pub fn start(config: DataPlaneConfig) -> Result<Started, StartError> {
    start_with(config, Offload::AsGranted)
}

/// As [`start`], with or without the help of the kernel.
///
/// # Errors
/// As [`start`].
pub fn start_with(config: DataPlaneConfig, offload: Offload) -> Result<Started, StartError> {
    if config.workers == 0 || config.workers == u8::MAX {
        return Err(StartError::Workers(config.workers));
    }
    let sockets = sockets::open(&config, offload)?;
    let (queues, tun) = tun::open(&config.interface, config.workers.into(), offload)
        .map_err(|source| StartError::Tun { interface: config.interface.clone(), source })?;
    let sockets: Vec<Arc<Sockets>> = sockets.into_iter().map(Arc::new).collect();
    let encapsulated = sockets[0].0.iter().filter(|port| port.kind == Kind::EspInUdp);
    let offloads: Vec<_> = encapsulated.map(|port| port.offload).collect();
    let features = Features {
        tun,
        udp_segmentation: offloads.iter().all(|offload| offload.segment),
        udp_joining: offloads.iter().all(|offload| offload.join),
    };
    let ike = IkeSender::new(sockets[0].clone());
    let (plane, datagrams) = UserspaceDataPlane::spawn(config, sockets, queues, tun.queues, offload)?;
    Ok(Started { plane, datagrams, ike, features })
}

impl UserspaceDataPlane {
    fn spawn(
        config: DataPlaneConfig,
        sockets: Vec<Arc<Sockets>>,
        queues: Vec<Queue>,
        own_queues: bool,
        offload: Offload,
    ) -> Result<(Self, Datagrams), StartError> {
        let (control, datagrams) = datagrams::queues();
        let (event_queue, events) = mpsc::channel(EVENT_QUEUE);
        let event_arrived = Arc::new(Notify::new());
        let stopped = Arc::new(AtomicBool::new(false));
        let registry = Arc::new(Registry::default());
        let events_of_threads =
            EventSender { queue: event_queue, arrived: event_arrived.clone(), notes: Arc::default() };
        let counters = Arc::<ThreadCounters>::default();
        let dispatcher = Dispatcher {
            registry: registry.clone(),
            counters: counters.clone(),
            events: events_of_threads.clone(),
            copy_dscp: config.copy_dscp,
            clock: config.clock,
            of: None,
        };
        let mut plane = Self {
            registry: registry.clone(),
            workers: Vec::new(),
            sockets: sockets[0].clone(),
            counters: vec![counters],
            threads: Vec::new(),
            controls: Vec::new(),
            stopped: stopped.clone(),
            events,
            event_arrived,
            limits: VecDeque::new(),
            dispatcher,
            devices: Vec::new(),
            last_device: DeviceId::SHARED,
            leaving: Leaving::default(),
            offload,
            clock: config.clock,
        };
        let shared = Shared { registry, events: events_of_threads, control, stopped, config };
        for (index, (sockets, queue)) in sockets.into_iter().zip(queues).enumerate() {
            plane.start_receiving(&shared, index, &sockets, &queue).map_err(StartError::Threads)?;
            // Two readers of one queue would put the packets of a flow out of order.
            if own_queues || index == 0 {
                plane.start_sending(&shared, index, sockets, queue).map_err(StartError::Threads)?;
            }
        }
        plane.start_listening(&shared).map_err(StartError::Threads)?;
        Ok((plane, datagrams))
    }

    /// To what routers say about our packets, if we may.
    fn start_listening(&mut self, shared: &Shared) -> std::io::Result<()> {
        let (registry, events) = (shared.registry.clone(), shared.events.clone());
        let Some(listener) = Listener::open(registry, events, shared.config.clock) else { return Ok(()) };
        let control = Control::new(&shared.stopped)?;
        let own = control.clone();
        self.spawn_thread(shared, "esp-icmp".to_owned(), &control, move || listener.run(&own))
    }

    fn start_receiving(
        &mut self,
        shared: &Shared,
        index: usize,
        sockets: &Arc<Sockets>,
        queue: &Queue,
    ) -> std::io::Result<()> {
        let control = Control::new(&shared.stopped)?;
        let (sender, commands) = sync_channel(COMMAND_QUEUE);
        let receiving = Receiving {
            queue: queue.clone(),
            registry: shared.registry.clone(),
            counters: self.new_counters(),
            events: shared.events.clone(),
            control: shared.control.clone(),
            commands,
            clock: shared.config.clock,
        };
        let (sockets, own) = (sockets.clone(), control.clone());
        self.spawn_thread(shared, format!("esp-in-{index}"), &control, move || receiving.run(&sockets, &own))?;
        self.workers.push(Worker { commands: sender, control });
        Ok(())
    }

    fn start_sending(
        &mut self,
        shared: &Shared,
        index: usize,
        sockets: Arc<Sockets>,
        queue: Queue,
    ) -> std::io::Result<()> {
        let control = Control::new(&shared.stopped)?;
        let dispatcher = Dispatcher { counters: self.new_counters(), ..self.dispatcher.clone() };
        let transmitter = Transmitter { queue, dispatcher };
        let own = control.clone();
        self.spawn_thread(shared, format!("esp-out-{index}"), &control, move || transmitter.run(&sockets, &own))
    }

    /// Starts a thread that reports if it ends without having been asked to.
    fn spawn_thread(
        &mut self,
        shared: &Shared,
        name: String,
        control: &Control,
        work: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<()> {
        let watch = EndWatch { control: control.clone(), events: shared.events.clone() };
        let thread = thread::Builder::new().name(name).spawn(move || {
            let _watch = watch;
            work();
        })?;
        self.threads.push(thread);
        self.controls.push(control.clone());
        Ok(())
    }

    fn new_counters(&mut self) -> Arc<ThreadCounters> {
        let counters = Arc::<ThreadCounters>::default();
        self.counters.push(counters.clone());
        counters
    }

    /// Is notified when [`DataPlane::poll_event`] may have something.
    #[must_use]
    pub fn event_arrived(&self) -> Arc<Notify> {
        self.event_arrived.clone()
    }

    /// Reads usage from elsewhere.
    #[must_use]
    pub fn meter(&self) -> UsageMeter {
        UsageMeter { registry: self.registry.clone(), clock: self.clock }
    }

    /// Whether a pair's packets leave in UDP.
    #[must_use]
    pub fn is_in_udp(&self, inbound_spi: EspSpi) -> bool {
        self.registry.look(Spi(inbound_spi.0), |route| route.in_udp) == Some(true)
    }

    /// The worker that an inbound SPI names.
    fn stop_receiving(&self, pairs: &[Spi]) {
        for &spi in pairs {
            if let Some(worker) = self.worker_of(spi) {
                // A worker that has ended has no SA left to remove.
                let _ = worker.send(Command::Remove(spi));
            }
        }
    }

    fn worker_of(&self, spi: Spi) -> Option<&Worker> {
        let [first, ..] = spi.0.to_be_bytes();
        self.workers.get(usize::from(first).checked_sub(1)?)
    }

    fn device_of(&self, device: &dataplane::Device) -> Result<(DeviceId, Option<Arc<Lane>>), InstallError> {
        let dataplane::Device::Site(site) = device else { return Ok((DeviceId::SHARED, None)) };
        let device = self.devices.iter().find(|device| device.wanted.site == *site);
        device.map(|device| (device.id, Some(device.lane.clone()))).ok_or_else(|| InstallError::NoDevice(site.clone()))
    }

    fn open_device(&mut self, wanted: &SiteDevice) -> Result<(), DeviceError> {
        let id = self.last_device.next();
        let counters = self.new_counters();
        let dispatcher = Dispatcher { counters, ..self.dispatcher.clone() };
        let device = Device::open(wanted.clone(), id, self.offload, dispatcher, &self.sockets)
            .map_err(|source| DeviceError { site: wanted.site.clone(), interface: wanted.interface.clone(), source })?;
        self.last_device = id;
        for worker in &self.workers {
            // A worker that has ended writes nothing.
            let _ = worker.send(Command::Device(id, device.queue.clone()));
        }
        self.devices.push(device);
        Ok(())
    }

    /// Returns when the interfaces are gone: each worker holds a queue of them.
    fn close_devices(&self, devices: Vec<Device>) {
        let (open, closed) = sync_channel(0);
        for (device, worker) in devices.iter().flat_map(|device| self.workers.iter().map(move |w| (device, w))) {
            // A worker that has ended holds none.
            let _ = worker.send(Command::CloseDevice(device.id, open.clone()));
        }
        drop((devices, open));
        // Nobody sends: it ends when the last of the copies is dropped.
        let _ = closed.recv_timeout(CLOSING_PATIENCE);
    }

    /// Index of the socket for packets of a pair.
    fn socket_for(&self, udp_encap: bool, path: Path) -> Option<usize> {
        let kind = if udp_encap { Kind::EspInUdp } else { Kind::RawEsp };
        self.sockets.find(kind, path.local.ip())
    }
}

impl Worker {
    fn send(&self, command: Command) -> Result<(), InstallError> {
        self.commands.send(command).map_err(|_| InstallError::Stopped)?;
        self.control.wake.wake();
        Ok(())
    }
}

impl DataPlane for UserspaceDataPlane {
    fn install(&mut self, pair: SaPair, replaces: Option<EspSpi>) -> Result<(), InstallError> {
        let spi = pair.inbound.spi;
        if self.worker_of(spi).is_none() {
            return Err(InstallError::NoWorker { spi: EspSpi(spi.0), workers: self.workers.len() });
        }
        let socket = self.socket_for(pair.udp_encap, pair.path).ok_or(InstallError::NoSocket)?;
        let (device, lane) = self.device_of(&pair.device)?;
        let replaces = replaces.map(|old| Spi(old.0));
        let header = replaces.and_then(|old| self.registry.look(old, |route| route.link.clone())).flatten();
        let link = header.as_ref().map(|header| Arc::new(header.link.clone()));
        let hosts = Hosts { local: pair.path.local.ip(), peer: pair.path.peer.ip() };
        let (selectors, meter) = (Arc::new(pair.selectors), Arc::new(Meter::new(pair.limits)));
        let holder = Arc::new(Holder::new(pair.owner, self.registry.claims.clone()));
        let inbound = Inbound {
            sa: InboundSa::new(pair.inbound)?,
            inner: Inner::new(pair.inner, &selectors, link, hosts),
            meter: meter.clone(),
            peer: pair.udp_encap.then_some(pair.path.peer),
            silent: true,
            next_move_report: Duration::ZERO,
            forged: 0,
            device,
            holder: holder.clone(),
        };
        let sa = OutboundSa::new(pair.outbound)?;
        let peer = outer_peer(pair.path, pair.udp_encap);
        let route = Route::new(spi, sa, pair.inner, selectors, meter).held_by(holder).towards(
            peer,
            pair.path.local.ip(),
            socket,
            pair.udp_encap,
        );
        let route = if pair.inner == InnerPath::L2tp { route.linked(header) } else { route.in_lane(lane) };
        // The registry first: it knows whether the SPI is taken. Nothing can arrive yet, for the worker does not know it.
        if !self.registry.install(route, replaces) {
            return Err(InstallError::SpiInUse(EspSpi(spi.0)));
        }
        self.leaving.is_taken_again(spi);
        let Some(worker) = self.worker_of(spi) else { return Err(InstallError::Stopped) };
        worker.send(Command::Install(spi, Box::new(inbound))).inspect_err(|_| {
            self.registry.remove(spi);
        })?;
        self.dispatcher.release(|| Outbox::new(self.sockets.clone(), self.dispatcher.counters.clone()));
        Ok(())
    }

    fn remove(&mut self, inbound_spi: EspSpi) {
        let spi = Spi(inbound_spi.0);
        let Some(kin) = self.registry.remove(spi) else { return };
        let gone = self.leaving.removed(self.clock.now(), &self.registry, spi, kin);
        self.stop_receiving(&gone);
    }

    fn tidy(&mut self) {
        let gone = self.leaving.due(self.clock.now(), &self.registry);
        self.stop_receiving(&gone);
    }

    fn move_peer(&mut self, inbound_spi: EspSpi, path: Path, udp_encap: bool) {
        let spi = Spi(inbound_spi.0);
        let Some(socket) = self.socket_for(udp_encap, path) else { return };
        let peer = outer_peer(path, udp_encap);
        self.registry.reroute(spi, |route| Some(route.towards(peer, path.local.ip(), socket, udp_encap)));
        if let Some(worker) = self.worker_of(spi) {
            // As above.
            let _ = worker.send(Command::Move(spi, udp_encap.then_some(path.peer)));
        }
    }

    fn set_claims(&mut self, claims: Vec<Claim>) {
        self.registry.set_claims(claims);
    }

    fn set_traps(&mut self, sites: Vec<Arc<str>>) {
        self.registry.traps.set(sites);
    }

    fn set_devices(&mut self, devices: &[SiteDevice]) -> Result<(), DeviceError> {
        let is_wanted = |device: &Device| devices.iter().any(|wanted| wanted.interface == device.wanted.interface);
        let obsolete: Vec<Device> = self.devices.extract_if(.., |device| !is_wanted(device)).collect();
        self.close_devices(obsolete);
        for wanted in devices {
            // The interface is what others have configured: it goes on if only the site has another name.
            match self.devices.iter_mut().find(|device| device.wanted.interface == wanted.interface) {
                Some(device) => device.hand_over(&wanted.site),
                None => self.open_device(wanted)?,
            }
        }
        Ok(())
    }

    fn link(&mut self, inbound_spi: EspSpi, link: Option<Link>) {
        let pairs = self.registry.link(Spi(inbound_spi.0), link.as_ref());
        let link = link.map(Arc::new);
        for spi in pairs {
            if let Some(worker) = self.worker_of(spi) {
                // A worker that has ended carries nothing.
                let _ = worker.send(Command::Link(spi, link.clone()));
            }
        }
    }

    fn send_l2tp(&mut self, inbound_spi: EspSpi, port: u16, datagram: &[u8]) -> Result<(), SendError> {
        let route = self.registry.sender(Spi(inbound_spi.0)).filter(|route| route.inner == InnerPath::L2tp);
        let route = route.ok_or(SendError::UnknownPair(inbound_spi))?;
        if l2tp_sender::send(&self.sockets, &route, port, datagram)? && route.meter.note_soft() {
            self.dispatcher.events.limit_reached();
        }
        Ok(())
    }

    fn reach(&self, inbound_spi: EspSpi) -> Option<Reach> {
        let reach = |route: &Route| {
            let lane = route.lane.as_ref();
            let of_lane = |device: &&Device| lane.is_some_and(|lane| Arc::ptr_eq(lane, &device.lane));
            Reach {
                interface: self.devices.iter().find(of_lane).map(|device| device.wanted.interface.clone()),
                networks: table::destinations(route),
            }
        };
        self.registry.look(Spi(inbound_spi.0), reach)
    }

    fn path_mtu(&self, inbound_spi: EspSpi) -> Option<u16> {
        let route = self.registry.look(Spi(inbound_spi.0), Route::clone)?;
        path_mtu::inner_of(&route, path_mtu::known_to_kernel(route.peer_address, route.local_address)?)
    }

    fn usage(&self, inbound_spi: EspSpi) -> Option<Usage> {
        self.meter().usage(inbound_spi)
    }

    fn poll_event(&mut self) -> Option<DataPlaneEvent> {
        let notes = &self.dispatcher.events.notes;
        if notes.ended.swap(false, Ordering::AcqRel) {
            return Some(DataPlaneEvent::ThreadEnded);
        }
        if notes.limit.swap(false, Ordering::AcqRel) {
            self.limits.extend(self.registry.take_limits().into_iter().map(limit_event));
        }
        self.limits.pop_front().or_else(|| self.events.try_recv().ok())
    }

    fn counters(&self) -> Counters {
        let mut sums = Counters::default();
        self.counters.iter().for_each(|thread| thread.add_to(&mut sums));
        sums
    }
}

impl UsageMeter {
    /// As [`DataPlane::usage`].
    #[must_use]
    pub fn usage(&self, inbound_spi: EspSpi) -> Option<Usage> {
        self.registry.look(Spi(inbound_spi.0), |route| route.meter.read(&self.clock))
    }
}

impl Drop for UserspaceDataPlane {
    fn drop(&mut self) {
        self.devices.clear();
        self.stopped.store(true, Ordering::Release);
        self.controls.iter().for_each(|control| control.wake.wake());
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

fn limit_event((spi, reached): (Spi, Reached)) -> DataPlaneEvent {
    let spi = EspSpi(spi.0);
    match reached {
        Reached::Soft => DataPlaneEvent::SoftLimit { spi },
        Reached::Hard => DataPlaneEvent::HardLimit { spi },
    }
}

/// Where outer packets go. A raw socket takes no port: the kernel would read it as a protocol number.
fn outer_peer(path: Path, udp_encap: bool) -> std::net::SocketAddr {
    let mut peer = path.peer;
    if !udp_encap {
        peer.set_port(0);
    }
    peer
}
