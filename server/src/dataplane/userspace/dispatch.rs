//! From one packet of a TUN device to its place in the outbox: route, segments, header of the link.
//!
//! What finds no route goes to the traps, where the first packets of a site's traffic wait for its tunnel.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use cygnet_esp::selector::Flow;
use cygnet_esp::udp_transport::UDP;
use cygnet_esp::{DropReason, ecn, inner};

use super::EventSender;
use super::counters::ThreadCounters;
use super::gso::{self, SuperPacket};
use super::link_header;
use super::outbox::Outbox;
use super::registry::Registry;
use super::table::{Lane, Route};
use super::transport;
use super::traps::{Outcome, Packet};
use super::virtio::{Gso, Header};
use crate::dataplane::{DataPlaneEvent, InnerPath, Owner};
use crate::io::clock::Clock;

/// See the module. One for each thread that sends.
#[derive(Clone)]
pub(super) struct Dispatcher {
    pub(super) registry: Arc<Registry>,
    pub(super) counters: Arc<ThreadCounters>,
    pub(super) events: EventSender,
    /// Copy the DSCP of inner packets to outer ones.
    pub(super) copy_dscp: bool,
    pub(super) clock: Clock,
    /// The site whose device the packets come from.
    pub(super) of: Option<SiteLane>,
}

/// The name of a site, which may become another one.
pub(super) type Label = ArcSwap<Arc<str>>;

/// A site with a device of its own.
#[derive(Clone)]
pub(super) struct SiteLane {
    pub(super) site: Arc<Label>,
    pub(super) lane: Arc<Lane>,
}

impl Dispatcher {
    /// Puts a packet into the outbox, or counts why not.
    pub(super) fn dispatch(&self, header: &Header, packet: &mut [u8], outbox: &mut Outbox) {
        let lane = self.of.as_ref().map(|of| &of.lane);
        match self.try_dispatch(header, packet, lane, outbox) {
            Ok(()) => {}
            Err(reason @ (DropReason::NoSa | DropReason::Selector)) => self.trap(header, packet, reason, outbox),
            Err(reason) => self.counters.dropped(reason),
        }
    }

    /// Sends the packets that have waited for what is there now.
    pub(super) fn release(&self, outbox: impl FnOnce() -> Outbox) {
        let has_route = |packet: &Packet| self.has_route(&packet.octets, packet.lane.as_ref());
        let (released, expired) = self.registry.traps.release(self.clock.elapsed(), has_route);
        self.counters.dropped_many(DropReason::NoSa, expired);
        if released.is_empty() {
            return;
        }
        let mut outbox = outbox();
        for Packet { header, mut octets, lane } in released {
            if let Err(reason) = self.try_dispatch(&header, &mut octets, lane.as_ref(), &mut outbox) {
                self.counters.dropped(reason);
            }
        }
        self.flush(&mut outbox);
    }

    /// Seals and sends what is in the outbox.
    pub(super) fn flush(&self, outbox: &mut Outbox) {
        outbox.flush(|| self.events.limit_reached());
    }

    fn has_route(&self, packet: &[u8], lane: Option<&Arc<Lane>>) -> bool {
        self.find(packet, lane, |_| ()).is_ok()
    }

    fn find<T>(
        &self,
        packet: &[u8],
        lane: Option<&Arc<Lane>>,
        found: impl FnOnce(&Arc<Route>) -> T,
    ) -> Result<T, DropReason> {
        match lane {
            None => self.registry.routes.find(packet, found),
            Some(lane) => lane.find(packet, found),
        }
    }

    /// Lets a packet without a route wait if a site wants it.
    #[cold]
    fn trap(&self, header: &Header, packet: &mut [u8], reason: DropReason, outbox: &mut Outbox) {
        let flow = Flow::of(packet).ok().filter(is_between_hosts);
        let (Some(flow), Some(site)) = (flow, self.waiting_site(packet)) else { return self.counters.dropped(reason) };
        let lane = self.of.as_ref().map(|of| &of.lane);
        // The checksum of a packet that is no super-packet has been completed.
        let header = if header.gso == Gso::None { Header::PLAIN } else { *header };
        let outcome = self.registry.traps.keep(
            self.clock.elapsed(),
            &site,
            flow.destination,
            || self.has_route(packet, lane),
            || Packet { header, octets: packet.to_vec(), lane: lane.cloned() },
        );
        let (tell, lost) = match outcome {
            Outcome::Routed => return self.dispatch_again(&header, packet, lane, outbox),
            Outcome::Kept { tell, expired } => (tell, expired),
            Outcome::Dropped { tell, expired } => (tell, expired + 1),
        };
        self.counters.dropped_many(DropReason::NoSa, lost);
        if tell {
            let Flow { source, destination, protocol, .. } = flow;
            self.events.send(DataPlaneEvent::NoTunnel { site, source, destination, protocol });
        }
    }

    /// The site that a packet without a route is for, if it wants to hear of it.
    fn waiting_site(&self, packet: &[u8]) -> Option<Arc<str>> {
        let owners = self.registry.claims.owners_of(packet);
        let site = match &self.of {
            Some(_) if owners.contains(&Owner::Clients) => None,
            Some(of) => Some(Arc::clone(&**of.site.load())),
            None => owners.into_iter().find_map(|owner| match owner {
                Owner::Site(site) => Some(site),
                Owner::Clients | Owner::AllBut(_) => None,
            }),
        };
        site.filter(|site| self.registry.traps.knows(site))
    }

    fn dispatch_again(&self, header: &Header, packet: &mut [u8], lane: Option<&Arc<Lane>>, outbox: &mut Outbox) {
        if let Err(reason) = self.try_dispatch(header, packet, lane, outbox) {
            self.counters.dropped(reason);
        }
    }

    fn try_dispatch(
        &self,
        header: &Header,
        packet: &mut [u8],
        lane: Option<&Arc<Lane>>,
        outbox: &mut Outbox,
    ) -> Result<(), DropReason> {
        let next_header = inner::next_header(packet)?;
        if header.gso == Gso::None {
            gso::complete_checksum(header, packet)?;
            let packet = &*packet;
            return self.find(packet, lane, |route| {
                let leaving = Leaving { route, traffic_class: self.traffic_class(route, packet), next_header };
                self.put(outbox, leaving, packet.len(), |slot| slot.copy_from_slice(packet))
            })?;
        }
        let whole = SuperPacket::parse(header, packet)?;
        self.find(packet, lane, |route| {
            let leaving = Leaving { route, traffic_class: self.traffic_class(route, packet), next_header };
            for (index, len) in whole.segment_lengths().enumerate() {
                self.put(outbox, leaving, len, |slot| whole.write_segment(index, slot))?;
            }
            Ok(())
        })?
    }

    /// Of the outer header. L2TP has no agreement on ECN (RFC 9601), so nothing is promised to the network for its packets.
    fn traffic_class(&self, route: &Route, packet: &[u8]) -> u8 {
        match route.inner {
            InnerPath::Ip => ecn::encapsulate(packet, ecn::Ingress::Normal, self.copy_dscp),
            InnerPath::L2tp => ecn::encapsulate(packet, ecn::Ingress::Compatibility, self.copy_dscp),
            // The inner header is the outer one.
            InnerPath::Transport => ecn::encapsulate(packet, ecn::Ingress::Normal, true),
        }
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
        if route.inner == InnerPath::Transport {
            return self.put_payload(outbox, leaving, len, write);
        }
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

    /// The same without the IP header, for transport mode.
    fn put_payload(
        &self,
        outbox: &mut Outbox,
        leaving: Leaving<'_>,
        len: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), DropReason> {
        let mut packet = std::mem::take(&mut outbox.scratch);
        packet.resize(len, 0);
        write(&mut packet);
        let put = transport::split(&packet).and_then(|(at, protocol)| {
            let slot = self.slot(outbox, leaving.route, leaving.traffic_class, len - at, protocol)?;
            slot.copy_from_slice(&packet[at..]);
            Ok(())
        });
        outbox.scratch = packet;
        put
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
            self.flush(outbox);
        }
        outbox.slot(route, traffic_class, payload_len, next_header)
    }
}

/// What a kernel says to its neighbours on a link begins no tunnel.
fn is_between_hosts(flow: &Flow) -> bool {
    let of_link = |address: IpAddr| match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.is_unspecified(),
    };
    !(of_link(flow.source) || of_link(flow.destination) || flow.destination.is_multicast())
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
