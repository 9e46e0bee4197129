//! The network phase: IPCP and IPV6CP, frames that wait for the grant, and packets to the link itself.

use std::collections::VecDeque;
use std::time::Instant;

use super::Link;
use crate::config::{Grant, Timing};
use crate::control::{Control, Negotiation, Signal};
use crate::event::{CloseReason, Event, Family};
use crate::frame::Protocol;
use crate::inner::{self, InnerConfig};
use crate::ipcp::Ipcp;
use crate::ipv6cp::Ipv6cp;
use crate::packet::Packet;

/// Octets of a frame that waits for the grant; no known client sends a tenth of it.
const MAX_HELD: usize = 1500;

/// Everything that exists only after authentication.
#[derive(Default)]
pub(super) struct Network {
    ipcp: Option<Control<Ipcp>>,
    ipv6cp: Option<Control<Ipv6cp>>,
    /// What the client may learn about its link.
    inner: Option<InnerConfig>,
    /// Packets to the client's own stack.
    packets: VecDeque<(Protocol, Vec<u8>)>,
    /// When the router advertisement is repeated.
    announce: Option<Instant>,
    /// The last frames that came before the grant.
    held_ipcp: Option<Vec<u8>>,
    /// Whether the client has sent any frame of this phase.
    heard: bool,
    held_ipv6cp: Option<Vec<u8>>,
}

impl Network {
    pub(super) fn is_ipv4_up(&self) -> bool {
        self.ipcp.as_ref().is_some_and(Control::is_opened)
    }

    pub(super) fn is_ipv6_up(&self) -> bool {
        self.ipv6cp.as_ref().is_some_and(Control::is_opened)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let ipcp = self.ipcp.as_ref().and_then(Control::poll_timeout);
        let ipv6cp = self.ipv6cp.as_ref().and_then(Control::poll_timeout);
        [ipcp, ipv6cp, self.announce].into_iter().flatten().min()
    }

    /// Whether our requests are about to be repeated to a client that takes no part in this phase.
    pub(super) fn is_unheard_and_due(&self, now: Instant) -> bool {
        !self.heard && self.poll_timeout().is_some_and(|due| now >= due)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(ipcp) = &mut self.ipcp {
            ipcp.handle_timeout(now);
        }
        if let Some(ipv6cp) = &mut self.ipv6cp {
            ipv6cp.handle_timeout(now);
        }
        if self.announce.is_some_and(|due| now >= due) {
            self.announce(now);
        }
    }

    pub(super) fn poll_transmit(&mut self) -> Option<(Protocol, Vec<u8>)> {
        next_of(self.ipcp.as_mut()).or_else(|| next_of(self.ipv6cp.as_mut())).or_else(|| self.packets.pop_front())
    }

    pub(super) fn poll_signal(&mut self) -> Option<(Family, Signal)> {
        let ipcp = self.ipcp.as_mut().and_then(Control::poll_signal).map(|signal| (Family::V4, signal));
        ipcp.or_else(|| self.ipv6cp.as_mut().and_then(Control::poll_signal).map(|signal| (Family::V6, signal)))
    }

    pub(super) fn handle_protocol_reject(&mut self, now: Instant, protocol: Protocol) {
        match protocol {
            Protocol::IPCP => self.ipcp.as_mut().into_iter().for_each(|ipcp| ipcp.handle_protocol_reject(now)),
            _ => self.ipv6cp.as_mut().into_iter().for_each(|ipv6cp| ipv6cp.handle_protocol_reject(now)),
        }
    }

    /// Forgets everything; what was up is reported as down.
    pub(super) fn stop(&mut self) -> Vec<Event> {
        let old = std::mem::take(self);
        let families = [(old.is_ipv4_up(), Family::V4), (old.is_ipv6_up(), Family::V6)];
        families.into_iter().filter(|(up, _)| *up).map(|(_, family)| Event::NetworkDown { family }).collect()
    }

    fn start(&mut self, now: Instant, grant: &Grant, timing: Timing) {
        self.ipcp = Ipcp::new(grant).map(|ipcp| opened(now, ipcp, timing));
        self.ipv6cp = Ipv6cp::new(grant).map(|ipv6cp| opened(now, ipv6cp, timing));
        self.inner = Some(InnerConfig {
            ipv4: grant.ipv4,
            ipv6: grant.ipv6,
            gateway4: Some(grant.gateway4),
            interface_identifier: self.ipv6cp.as_ref().map_or(0, |control| control.negotiation.local()),
            dns: grant.dns.clone(),
            nbns: grant.nbns.clone(),
            domains: grant.domains.clone(),
            routes: grant.routes.clone(),
            mtu: grant.mtu,
        });
    }

    /// Whether something of this phase is at work or can still come.
    fn is_alive(&self) -> bool {
        self.ipcp.as_ref().is_some_and(|c| !c.is_at_rest()) || self.ipv6cp.as_ref().is_some_and(|c| !c.is_at_rest())
    }

    /// This protocol has no future: a client that goes on with it is told so.
    fn forget(&mut self, family: Family) {
        match family {
            Family::V4 => self.ipcp = None,
            Family::V6 => self.ipv6cp = None,
        }
    }

    fn announce(&mut self, now: Instant) {
        self.announce = Some(now + inner::ANNOUNCE_INTERVAL);
        if let Some(packet) = self.inner.as_ref().and_then(inner::announcement) {
            self.packets.push_back((Protocol::IPV6, packet));
        }
    }

    fn answer_inner(&mut self, protocol: Protocol, packet: &[u8]) {
        let up = if protocol == Protocol::IPV4 { self.is_ipv4_up() } else { self.is_ipv6_up() };
        let answer = self.inner.as_ref().filter(|_| up).and_then(|config| inner::answer(config, packet));
        self.packets.extend(answer.map(|packet| (protocol, packet)));
    }
}

impl Link {
    /// Takes a frame of the network phase.
    pub(super) fn handle_network(&mut self, now: Instant, protocol: Protocol, information: &[u8]) {
        let granted = self.grant.is_some();
        self.network.heard = true;
        match protocol {
            Protocol::IPCP if !granted => hold(&mut self.network.held_ipcp, information),
            Protocol::IPV6CP if !granted => hold(&mut self.network.held_ipv6cp, information),
            Protocol::IPCP if self.network.ipcp.is_some() => handle(now, self.network.ipcp.as_mut(), information),
            Protocol::IPV6CP if self.network.ipv6cp.is_some() => {
                handle(now, self.network.ipv6cp.as_mut(), information);
            }
            Protocol::IPV4 | Protocol::IPV6 => self.network.answer_inner(protocol, information),
            _ => self.reject_protocol(now, protocol, information),
        }
    }

    /// Addresses are known: negotiation begins, with what the client has said already.
    pub(super) fn start_network(&mut self, now: Instant) {
        let Some(grant) = &self.grant else { return };
        self.login_deadline = None;
        let held =
            [(Protocol::IPCP, self.network.held_ipcp.take()), (Protocol::IPV6CP, self.network.held_ipv6cp.take())];
        self.network.start(now, grant, self.config.timing);
        if !self.network.is_alive() {
            return self.close(now, CloseReason::NoAddress);
        }
        for (protocol, information) in held {
            if let Some(information) = information {
                self.handle_network(now, protocol, &information);
            }
        }
    }

    pub(super) fn handle_network_signal(&mut self, now: Instant, family: Family, signal: Signal) {
        match signal {
            Signal::Up => {
                self.events.push_back(Event::NetworkUp { family });
                if family == Family::V6 {
                    self.network.announce(now);
                }
            }
            Signal::Down => {
                self.events.push_back(Event::NetworkDown { family });
                if family == Family::V6 {
                    self.network.announce = None;
                }
            }
            Signal::Finished(reason) => self.handle_network_finished(now, family, reason),
        }
    }

    fn handle_network_finished(&mut self, now: Instant, family: Family, reason: Option<CloseReason>) {
        match reason {
            Some(reason @ CloseReason::AddressRefused { .. }) => return self.close(now, reason),
            Some(CloseReason::NotConverging(_) | CloseReason::ProtocolRejected(_)) => self.network.forget(family),
            _ => {}
        }
        if !self.network.is_alive() {
            let hung_up = reason == Some(CloseReason::PeerTerminated);
            self.close(now, if hung_up { CloseReason::PeerTerminated } else { CloseReason::NoNetworkProtocol });
        }
    }
}

fn opened<N: Negotiation>(now: Instant, negotiation: N, timing: Timing) -> Control<N> {
    let mut control = Control::new(negotiation, timing);
    control.open(now);
    control
}

fn handle<N: Negotiation>(now: Instant, control: Option<&mut Control<N>>, information: &[u8]) {
    if let (Some(control), Ok(packet)) = (control, Packet::parse(information)) {
        control.handle_packet(now, &packet);
    }
}

fn hold(held: &mut Option<Vec<u8>>, information: &[u8]) {
    if information.len() <= MAX_HELD {
        *held = Some(information.to_vec());
    }
}

fn next_of<N: Negotiation>(control: Option<&mut Control<N>>) -> Option<(Protocol, Vec<u8>)> {
    control?.poll_transmit().map(|packet| (N::PROTOCOL, packet))
}
