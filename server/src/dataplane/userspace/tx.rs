//! The sending thread of a worker.
//!
//! ```text
//! TUN queue -> one packet or super-packet -> route by destination -> segments straight into the outbox, behind the link's header
//!     ^--- until the queue is empty or a round is full --- flush: seal, send <---'
//! ```
//!
//! Sending threads run in parallel, one per TUN queue, and share outbound SAs. The kernel keeps a flow on one queue, the thread
//! keeps the order of its packets, and the outbox the order of sequence numbers. Nothing here allocates, locks, logs or reads a
//! clock per packet; the outbox takes a lock per message of up to 64 packets.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use cygnet_esp::udp_transport::UDP;
use cygnet_esp::{DropReason, ecn, inner};

use super::counters::{Event, ThreadCounters};
use super::gso::{self, SuperPacket};
use super::link_header;
use super::outbox::Outbox;
use super::registry::Registry;
use super::sockets::Sockets;
use super::table::Route;
use super::tun::Queue;
use super::virtio::{Gso, Header};
use super::{Control, EventSender};
use crate::dataplane::{DataPlaneEvent, InnerPath};
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
        if header.gso == Gso::None {
            gso::complete_checksum(header, packet)?;
            let packet = &*packet;
            return self.registry.routes.find(packet, |route| {
                let leaving = Leaving { route, traffic_class: self.traffic_class(route, packet), next_header };
                self.put(outbox, leaving, packet.len(), |slot| slot.copy_from_slice(packet))
            })?;
        }
        let whole = SuperPacket::parse(header, packet)?;
        self.registry.routes.find(packet, |route| {
            let leaving = Leaving { route, traffic_class: self.traffic_class(route, packet), next_header };
            for (index, len) in whole.segment_lengths().enumerate() {
                self.put(outbox, leaving, len, |slot| whole.write_segment(index, slot))?;
            }
            Ok(())
        })?
    }

    /// Of the outer header. L2TP has no agreement on ECN (RFC 9601), so nothing is promised to the network for its packets.
    fn traffic_class(&self, route: &Route, packet: &[u8]) -> u8 {
        let ingress = match route.inner {
            InnerPath::Ip | InnerPath::Transport => ecn::Ingress::Normal,
            InnerPath::L2tp => ecn::Ingress::Compatibility,
        };
        ecn::encapsulate(packet, ingress, self.copy_dscp)
    }

    /// Puts one packet of `len` octets into the outbox, where `write` writes it, behind the header of its link if it has one.
    fn put(
        &self,
        outbox: &mut Outbox,
        leaving: Leaving<'_>,
        len: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), DropReason> {
        let Leaving { route, traffic_class, next_header } = leaving;
        let Some(link) = &route.link else {
            write(self.slot(outbox, route, traffic_class, len, next_header)?);
            return Ok(());
        };
        if len > usize::from(link.link.mtu) {
            return Err(DropReason::TooBig);
        }
        let slot = self.slot(outbox, route, traffic_class, link.len() + len, UDP)?;
        let (header, packet) = slot.split_at_mut(link.len());
        link.write(header, len, next_header);
        write(packet);
        if let Some(pseudo_header) = route.pseudo_header {
            link_header::write_checksum(pseudo_header, slot);
        }
        Ok(())
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

/// How a packet leaves.
#[derive(Clone, Copy)]
struct Leaving<'a> {
    route: &'a Arc<Route>,
    /// Of the outer header.
    traffic_class: u8,
    /// What a tunnel would say of the packet: 4 or 41.
    next_header: u8,
}
