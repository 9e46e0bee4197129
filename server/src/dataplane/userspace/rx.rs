//! The receiving thread of a worker, the owner of its inbound SAs.
//!
//! ```text
//! socket -> batch of datagrams -> IKE, keepalive -> control plane, counter
//!                |
//!                v ESP, each by its own SPI
//!          open in place -> IP, in L2TP or not -> coalesce -> TUN queue
//!                        -> rest of L2TP -> control plane
//! ```
//!
//! Receiving threads run in parallel and share nothing: the kernel brings each thread the packets of its SAs (see
//! [`crate::io::reuseport`]). Packets of a flow keep the order in which they came. Commands of the control plane are taken
//! between batches. Nothing here allocates, locks, logs or reads a clock per packet; what goes to the control plane is copied, and the first
//! packet of an SA takes the registry's lock.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use cygnet_esp::table::SpiTable;
use cygnet_esp::udp_encap::{Datagram, classify};
use cygnet_esp::{DropReason, Spi};
use cygnet_ike::{EspSpi, Path};

use super::counters::{Event, ThreadCounters};
use super::datagrams::{ControlQueue, Refused};
use super::devices::DeviceId;
use super::gro::{Buffers, Coalescer, Place, Sink};
use super::inbound::{self, Arrival, Delivery, Inbound, News};
use super::registry::Registry;
use super::sockets::{IKE_PORT, Kind, NAT_TRAVERSAL_PORT, Port, Sockets};
use super::transport::{self, Outer};
use super::tun::{Queue, Writer};
use super::virtio::Header;
use super::{Control, EventSender};
use crate::dataplane::{DataPlaneEvent, Link};
use crate::io::clock::Clock;
use crate::io::mmsg::{Incoming, MAX_MESSAGES, ReceiveBatch};
use crate::io::raw_esp;
use crate::io::sys::Readiness;

/// Messages per call while they are joined datagrams: half a megabyte at most.
const JOINED_MESSAGES: usize = 8;

/// Calls on one socket before the others and the commands have their turn.
const ROUND: usize = 8;

/// What the control plane asks of a receiving thread.
pub(super) enum Command {
    /// Receive with this SA.
    Install(Spi, Box<Inbound>),
    /// Do not any more.
    Remove(Spi),
    /// Packets should come from there in UDP, or directly in IP.
    Move(Spi, Option<SocketAddr>),
    /// Carry the packets of this link, or of none.
    Link(Spi, Option<Arc<Link>>),
    /// There is this device.
    Device(DeviceId, Queue),
    /// There is none of this number any more. What comes along is dropped when its queue is.
    CloseDevice(DeviceId, SyncSender<()>),
}

/// What a receiving thread works with.
pub(super) struct Receiving {
    pub(super) queue: Queue,
    pub(super) registry: Arc<Registry>,
    pub(super) counters: Arc<ThreadCounters>,
    pub(super) events: EventSender,
    pub(super) control: ControlQueue,
    pub(super) commands: Receiver<Command>,
    pub(super) clock: Clock,
}

impl Buffers for ReceiveBatch {
    fn octets(&self, place: Place) -> &[u8] {
        &self.buffer(place.buffer)[place.start..][..place.len]
    }
}

/// The inbound SAs, and the packets of a batch that they let through.
#[derive(Default)]
struct Inner {
    table: SpiTable<Inbound>,
    /// With the device that each goes to.
    opened: Vec<(DeviceId, Place)>,
    /// Those of sites: a few, often none.
    devices: Vec<(DeviceId, Queue)>,
    /// A packet that is being put together.
    scratch: Vec<u8>,
}

/// A message of a batch with both its addresses.
struct Message<'a> {
    /// Which one.
    index: usize,
    path: Path,
    arrival: Arrival,
    octets: &'a mut [u8],
    /// Length of each datagram in it.
    segment_len: usize,
}

impl Receiving {
    /// Works until `control` says to stop.
    pub(super) fn run(&self, sockets: &Sockets, control: &Control) {
        let mut inner = Inner::default();
        let mut coalescer = Coalescer::new(self.queue.offers());
        let mut batch = ReceiveBatch::default();
        let descriptors = std::iter::once(control.wake.as_fd()).chain(sockets.0.iter().map(AsFd::as_fd));
        let mut readiness = Readiness::new(descriptors);
        let mut limits = vec![MAX_MESSAGES; sockets.0.len()];
        while !control.is_stopped() {
            if readiness.wait().is_err() {
                return;
            }
            if readiness.is_ready(0) {
                control.wake.clear();
                self.commands.try_iter().for_each(|command| inner.obey(command));
            }
            for (index, (port, limit)) in sockets.0.iter().zip(&mut limits).enumerate() {
                if readiness.is_ready(index + 1) {
                    self.drain(port, limit, &mut batch, &mut inner, &mut coalescer);
                }
            }
        }
    }

    /// Receives until the socket is empty or others should have their turn. `limit` is of this socket: messages per call.
    fn drain(
        &self,
        port: &Port,
        limit: &mut usize,
        batch: &mut ReceiveBatch,
        inner: &mut Inner,
        coalescer: &mut Coalescer,
    ) {
        for _ in 0..ROUND {
            let Ok(count) = batch.receive(port.as_fd(), *limit) else {
                return self.counters.count(Event::Unusable);
            };
            // A packet that a command has led to, by way of the peer, must not come before it.
            self.commands.try_iter().for_each(|command| inner.obey(command));
            self.handle(port, batch, inner, coalescer);
            let was_full = count == *limit;
            *limit = if batch.is_joined() { JOINED_MESSAGES } else { MAX_MESSAGES };
            if !was_full {
                return;
            }
        }
    }

    fn handle(&self, port: &Port, batch: &mut ReceiveBatch, inner: &mut Inner, coalescer: &mut Coalescer) {
        inner.opened.clear();
        let at = self.clock.elapsed();
        for (index, incoming) in batch.messages().enumerate() {
            match Message::of(index, incoming, port, at) {
                Some(message) => self.handle_message(port.kind, message, inner),
                None => self.counters.count(Event::Unusable),
            }
        }
        self.write(batch, inner, coalescer);
    }

    /// Writes what was opened to the devices, joined where neighbours are for one device.
    fn write(&self, batch: &ReceiveBatch, inner: &Inner, coalescer: &mut Coalescer) {
        for run in inner.opened.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((device, _)) = run.first() else { continue };
            let Some(queue) = self.queue_of(*device, inner) else {
                run.iter().for_each(|_| self.counters.count(Event::TunFailure));
                continue;
            };
            let mut writer = Writer { queue, counters: &self.counters };
            run.iter().for_each(|(_, place)| coalescer.push(batch, *place, &mut writer));
            coalescer.flush(batch, &mut writer);
        }
    }

    /// Writes the packet that was put together.
    fn write_single(&self, device: DeviceId, inner: &Inner) {
        let Some(queue) = self.queue_of(device, inner) else { return self.counters.count(Event::TunFailure) };
        let mut writer = Writer { queue, counters: &self.counters };
        writer.write(&[IoSlice::new(&Header::PLAIN.emit()), IoSlice::new(&inner.scratch)]);
    }

    fn queue_of<'a>(&'a self, device: DeviceId, inner: &'a Inner) -> Option<&'a Queue> {
        if device == DeviceId::SHARED {
            return Some(&self.queue);
        }
        inner.devices.iter().find(|(id, _)| *id == device).map(|(_, queue)| queue)
    }

    fn handle_message(&self, kind: Kind, message: Message<'_>, inner: &mut Inner) {
        let Message { index, path, arrival, octets, segment_len } = message;
        match kind {
            Kind::Ike => self.pass_to_control(path, octets),
            Kind::RawEsp => {
                let len = octets.len();
                if let Some(packet) = raw_esp::payload(octets, path.local.is_ipv6()) {
                    let place = Place { buffer: index, start: len - packet.len(), len: packet.len() };
                    self.handle_esp(place, path, arrival, packet, inner);
                }
            }
            Kind::EspInUdp => {
                for (n, datagram) in octets.chunks_mut(segment_len).enumerate() {
                    let place = Place { buffer: index, start: n * segment_len, len: datagram.len() };
                    match classify(datagram) {
                        Datagram::Esp { .. } => self.handle_esp(place, path, arrival, datagram, inner),
                        Datagram::Ike(message) => self.pass_to_control(path, message),
                        Datagram::Keepalive => self.counters.count(Event::Keepalive),
                        Datagram::Runt => self.counters.dropped(DropReason::Runt),
                    }
                }
            }
        }
    }

    /// Opens one ESP packet, which lies at `place`, and notes where the inner packet is.
    fn handle_esp(&self, place: Place, path: Path, arrival: Arrival, packet: &mut [u8], inner: &mut Inner) {
        let Some(spi) = spi_of(packet) else { return self.counters.dropped(DropReason::Runt) };
        let Some(inbound) = inner.table.get_mut(&spi) else { return self.counters.dropped(DropReason::UnknownSpi) };
        let device = inbound.device;
        let (delivery, news) = inbound.open(packet, arrival);
        if news != News::default() {
            self.tell(spi, news, path, arrival.in_udp);
        }
        match delivery {
            Ok(Delivery::Packet(at)) => {
                inner.opened.push((device, Place { start: place.start + at.start, len: at.len(), ..place }));
            }
            Ok(Delivery::Payload { hosts, protocol, at }) => {
                let outer = Outer { traffic_class: arrival.traffic_class, in_udp: arrival.in_udp };
                match transport::join(hosts, outer, protocol, &packet[at], &mut inner.scratch) {
                    Ok(()) => self.write_single(device, inner),
                    Err(reason) => self.counters.dropped(reason),
                }
            }
            Ok(Delivery::Control { port, datagram }) => {
                let passed = self.control.pass_l2tp(EspSpi(spi.0), port, &packet[datagram]);
                self.count_refused(passed, Event::L2tpOverflow);
            }
            Ok(Delivery::OverBudget) => self.counters.count(Event::L2tpOverflow),
            Err(reason) => self.counters.dropped(reason),
        }
    }

    fn tell(&self, spi: Spi, news: News, path: Path, udp_encap: bool) {
        let name = EspSpi(spi.0);
        if news.first {
            self.registry.heard(spi);
            self.events.send(DataPlaneEvent::FirstInbound { spi: name });
        }
        if news.moved {
            self.events.send(DataPlaneEvent::PeerMoved { spi: name, path });
        }
        if news.reencapsulated {
            self.events.send(DataPlaneEvent::EncapsulationChanged { spi: name, udp_encap, path });
        }
        if news.reached.is_some() {
            self.events.limit_reached();
        }
        if news.all_forged {
            self.events.send(DataPlaneEvent::AllForged { spi: name });
        }
    }

    fn pass_to_control(&self, path: Path, message: &[u8]) {
        self.count_refused(self.control.pass_ike(path, message), Event::IkeOverflow);
    }

    fn count_refused(&self, passed: Result<(), Refused>, overflow: Event) {
        match passed {
            Ok(()) => {}
            Err(Refused::Full) => self.counters.count(overflow),
            Err(Refused::TooLong) => self.counters.count(Event::Unusable),
        }
    }
}

impl<'a> Message<'a> {
    /// `None` if it is cut off or an address is missing.
    fn of(index: usize, incoming: Incoming<'a>, port: &Port, at: Duration) -> Option<Self> {
        let Incoming { from, about, truncated, octets } = incoming;
        let (from, local) = from.zip(about.local).filter(|_| !truncated)?;
        let in_udp = port.kind == Kind::EspInUdp;
        let local_port = if in_udp { NAT_TRAVERSAL_PORT } else { IKE_PORT };
        let path = Path { local: SocketAddr::new(local, local_port), peer: from };
        let arrival = Arrival { from, in_udp, traffic_class: about.traffic_class, at };
        let segment_len = about.segment_size.unwrap_or(octets.len()).max(1);
        Some(Self { index, path, arrival, octets, segment_len })
    }
}

impl Inner {
    fn obey(&mut self, command: Command) {
        match command {
            Command::Install(spi, inbound) => {
                self.table.insert(spi, *inbound);
            }
            Command::Remove(spi) => {
                self.table.remove(&spi);
            }
            Command::Move(spi, peer) => {
                if let Some(inbound) = self.table.get_mut(&spi) {
                    inbound.peer = peer;
                }
            }
            Command::Link(spi, new) => {
                if let Some(inbound::Inner::L2tp { link, .. }) = self.table.get_mut(&spi).map(|own| &mut own.inner) {
                    *link = new;
                }
            }
            Command::Device(id, queue) => self.devices.push((id, queue)),
            Command::CloseDevice(id, _closed) => self.devices.retain(|(other, _)| *other != id),
        }
    }
}

fn spi_of(packet: &[u8]) -> Option<Spi> {
    packet.first_chunk().map(|octets| Spi(u32::from_be_bytes(*octets)))
}
