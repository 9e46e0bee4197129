//! The sending thread of a worker.
//!
//! ```text
//! TUN queue -> one packet or super-packet -> route by destination -> segments straight into the outbox
//!     ^--- until the queue is empty or a round is full --- flush: seal, send <---'
//! ```
//!
//! Sending threads run in parallel, one per TUN queue, and share outbound SAs. The kernel keeps a flow on one queue, the thread
//! keeps the order of its packets, and the outbox the order of sequence numbers. Nothing here allocates, locks, logs or reads a
//! clock per packet; the outbox takes a lock per message of up to 64 packets.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use cygnet_esp::{DropReason, ecn, inner};

use super::counters::{Event, ThreadCounters};
use super::gso::{self, SuperPacket};
use super::outbox::Outbox;
use super::registry::Registry;
use super::sockets::Sockets;
use super::table::Route;
use super::tun::Queue;
use super::virtio::{Gso, Header};
use super::{Control, EventSender};
use crate::dataplane::DataPlaneEvent;
use crate::io::sys::Readiness;
use cygnet_ike::EspSpi;

/// Packets and super-packets read before what they became is sent.
const ROUND: usize = 64;

/// What a sending thread works with.
pub(super) struct Transmitter {
    pub(super) queue: Queue,
    pub(super) registry: Arc<Registry>,
    pub(super) counters: Arc<ThreadCounters>,
    pub(super) events: EventSender,
    /// Copy the DSCP of inner packets to outer ones.
    pub(super) copy_dscp: bool,
}

impl Transmitter {
    /// Works until `control` says to stop or the interface is gone.
    pub(super) fn run(&self, sockets: &Arc<Sockets>, control: &Control) {
        let mut outbox = Outbox::new(sockets.clone(), self.counters.clone());
        let mut buffer = Box::new([0; Queue::BUFFER_LEN]);
        let mut readiness = Readiness::new([control.wake.as_fd(), self.queue.as_fd()]);
        while !control.is_stopped() {
            if readiness.wait().is_err() {
                return;
            }
            if readiness.is_ready(1) && self.round(&mut buffer, &mut outbox).is_err() {
                return;
            }
        }
    }

    /// Fails if the queue can be read no more.
    fn round(&self, buffer: &mut [u8; Queue::BUFFER_LEN], outbox: &mut Outbox) -> io::Result<()> {
        for _ in 0..ROUND {
            match self.queue.read(buffer) {
                Ok(Some((header, packet))) => self.dispatch(&header, packet, outbox),
                Ok(None) => break,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => self.counters.count(Event::TunFailure),
                Err(error) => return Err(error),
            }
        }
        outbox.flush(|spi| self.events.send(DataPlaneEvent::SoftLimit { spi: EspSpi(spi.0) }));
        Ok(())
    }

    fn dispatch(&self, header: &Header, packet: &mut [u8], outbox: &mut Outbox) {
        if let Err(reason) = self.try_dispatch(header, packet, outbox) {
            self.counters.dropped(reason);
        }
    }

    fn try_dispatch(&self, header: &Header, packet: &mut [u8], outbox: &mut Outbox) -> Result<(), DropReason> {
        let next_header = inner::next_header(packet)?;
        let traffic_class = ecn::encapsulate(packet, ecn::Ingress::Normal, self.copy_dscp);
        if header.gso == Gso::None {
            gso::complete_checksum(header, packet)?;
            let packet = &*packet;
            return self.registry.routes.find(packet, |route| {
                self.slot(outbox, route, traffic_class, packet.len(), next_header)
                    .map(|slot| slot.copy_from_slice(packet))
            })?;
        }
        let whole = SuperPacket::parse(header, packet)?;
        self.registry.routes.find(packet, |route| {
            for (index, len) in whole.segment_lengths().enumerate() {
                let slot = self.slot(outbox, route, traffic_class, len, next_header)?;
                whole.write_segment(index, slot);
            }
            Ok(())
        })?
    }

    fn slot<'o>(
        &self,
        outbox: &'o mut Outbox,
        route: &Arc<Route>,
        traffic_class: u8,
        payload_len: usize,
        next_header: u8,
    ) -> Result<&'o mut [u8], DropReason> {
        if outbox.is_full_for(route, traffic_class, payload_len) {
            outbox.flush(|spi| self.events.send(DataPlaneEvent::SoftLimit { spi: EspSpi(spi.0) }));
        }
        outbox.slot(route, traffic_class, payload_len, next_header)
    }
}
