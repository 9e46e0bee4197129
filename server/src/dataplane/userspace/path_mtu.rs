//! What inner packets may measure: the path's MTU less cipher and encapsulation.
//!
//! Outer packets over IPv4 bear DF as long as they fit what the kernel knows of the path; longer ones are fragmented by it without
//! (IP_PMTUDISC_WANT, see [`crate::io::udp`]). So a smaller MTU on the way costs the packets of one round trip, and only where ICMP
//! is filtered, more: then `mtu` in the configuration helps. A thread of its own listens to what routers say and tells the control
//! plane, which limits the routes to the peer's networks: the kernel then tells senders "too big" or fragments, and clamps TCP.
//!
//! Does not: fragment. Inner packets without DF are fragmented by the kernel before they get here.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use cygnet_esp::Spi;
use cygnet_esp::mtu::{Encapsulation, inner_mtu};
use cygnet_ike::EspSpi;
use socket2::Socket;

use super::registry::Registry;
use super::sockets::NAT_TRAVERSAL_PORT;
use super::table::Route;
use super::{Control, EventSender};
use crate::dataplane::{DataPlaneEvent, InnerPath};
use crate::io::clock::Clock;
use crate::io::icmp::{self, TooBig};
use crate::io::raw_esp;
use crate::io::sys::Readiness;
use crate::io::udp;

/// Messages that are looked at in one [`WINDOW`]; a flood gets no more.
const MESSAGES: u32 = 50;
const WINDOW: Duration = Duration::from_secs(1);

/// What listens to routers.
pub(super) struct Listener {
    sockets: Vec<(Socket, bool)>,
    /// Open as long as we listen; see [`raw_esp::path_learner`].
    _learner: Option<Socket>,
    registry: Arc<Registry>,
    events: EventSender,
    clock: Clock,
}

/// What is left of the present [`WINDOW`].
#[derive(Default)]
struct Window {
    ends: Duration,
    left: u32,
    /// What was told in it of each pair.
    told: BTreeMap<Spi, u16>,
}

impl Window {
    fn advance(&mut self, now: Duration) {
        if now >= self.ends {
            *self = Self { ends: now + WINDOW, left: MESSAGES, told: BTreeMap::new() };
        }
    }

    /// Whether this says more than what was told of the pair. Routers repeat themselves for each packet.
    fn is_news(&mut self, spi: Spi, mtu: u16) -> bool {
        let news = self.told.get(&spi).is_none_or(|told| mtu < *told);
        if news {
            self.told.insert(spi, mtu);
        }
        news
    }
}

impl Listener {
    /// Opens the sockets of the families that there are. `None` if we may not: then the kernel alone knows the path.
    pub(super) fn open(registry: Arc<Registry>, events: EventSender, clock: Clock) -> Option<Self> {
        let opened = [false, true].into_iter().filter_map(|ipv6| Some((icmp::open(ipv6).ok()?, ipv6)));
        let sockets: Vec<_> = opened.collect();
        (!sockets.is_empty()).then(|| Self { sockets, _learner: raw_esp::path_learner().ok(), registry, events, clock })
    }

    /// Works until `control` says to stop.
    pub(super) fn run(&self, control: &Control) {
        let descriptors =
            std::iter::once(control.wake.as_fd()).chain(self.sockets.iter().map(|(socket, _)| socket.as_fd()));
        let mut readiness = Readiness::new(descriptors);
        let mut window = Window::default();
        while !control.is_stopped() {
            if readiness.wait().is_err() {
                return;
            }
            window.advance(self.clock.elapsed());
            for (index, (socket, ipv6)) in self.sockets.iter().enumerate() {
                if readiness.is_ready(index + 1) {
                    self.drain(socket, *ipv6, &mut window);
                }
            }
        }
    }

    fn drain(&self, mut socket: &Socket, ipv6: bool, window: &mut Window) {
        let mut buffer = [0; icmp::MESSAGE_LEN];
        // The end is not needed: the kernel cuts it off.
        while let Ok(len) = io::Read::read(&mut socket, &mut buffer) {
            let Some(left) = window.left.checked_sub(1) else { continue };
            let Some(told) = TooBig::parse(&buffer[..len], ipv6) else { continue };
            window.left = left;
            self.take(told, window);
        }
    }

    fn take(&self, told: TooBig, window: &mut Window) {
        for (spi, mtu) in self.registry.too_big(&told).into_iter().filter(|&(spi, mtu)| window.is_news(spi, mtu)) {
            self.events.send(DataPlaneEvent::PathMtu { spi: EspSpi(spi.0), mtu });
        }
    }
}

/// The pairs that a message is about, each with what its inner packets may measure.
pub(super) fn affected<'a>(told: &TooBig, routes: impl Iterator<Item = &'a Route> + Clone) -> Vec<(Spi, u16)> {
    let to_peer = routes.filter(|route| route.peer_address == told.peer);
    let of_spi = |route: &&Route| told.spi.is_some_and(|spi| route.outbound.sa.spi() == spi);
    let proven = to_peer.clone().any(|route| of_spi(&route));
    if told.spi.is_some() && !proven {
        return Vec::new();
    }
    let mtu = told.believable_mtu(proven);
    let about = to_peer.filter(|route| !proven || of_spi(route));
    about.filter_map(|route| Some((route.inbound_spi, inner_of(route, mtu)?))).collect()
}

/// What the inner packets of a route may measure so that outer ones fit `outer` octets; `None` if nothing does.
pub(super) fn inner_of(route: &Route, outer: u32) -> Option<u16> {
    let around = Encapsulation { ipv6: route.ipv6, udp: route.in_udp };
    let outer = usize::try_from(outer).unwrap_or(usize::MAX).min(usize::from(u16::MAX));
    let payload = inner_mtu(route.outbound.sa.suite().transform, around, outer)?;
    match route.inner {
        // It has no inner packets that could be fragmented: the outer ones are.
        InnerPath::Transport => None,
        InnerPath::Ip | InnerPath::L2tp => u16::try_from(payload.checked_sub(route.header_len())?).ok(),
    }
}

/// What the kernel knows of the path to an address: at least the MTU of the first link. `None` without a route.
pub(super) fn known_to_kernel(peer: IpAddr, local: IpAddr) -> Option<u32> {
    let socket = UdpSocket::bind(SocketAddr::new(local, 0)).ok()?;
    udp::mark(&socket);
    socket.connect(SocketAddr::new(peer, NAT_TRAVERSAL_PORT)).ok()?;
    udp::path_mtu(&socket, peer.is_ipv6()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::{outbound, range, route};
    use super::*;
    use std::net::Ipv4Addr;

    fn message(spi: Option<u32>, mtu: u16) -> TooBig {
        let [high, low] = mtu.to_be_bytes();
        let mut quoted = [0x45; 20];
        quoted[9] = 50;
        quoted[16..].copy_from_slice(&Ipv4Addr::new(198, 51, 100, 7).octets());
        let payload: Vec<u8> = spi.map(u32::to_be_bytes).into_iter().flatten().collect();
        TooBig::parse(&[&[0x45; 20][..], &[3, 4, 0, 0, 0, 0, high, low], &quoted, &payload].concat(), false).unwrap()
    }

    #[test]
    fn a_message_is_about_the_pairs_that_it_proves_to_have_seen() {
        let routes = [route(1, &[range("10.0.0.1", "10.0.0.1")]), route(2, &[])];
        let routes = || routes.iter().map(AsRef::as_ref);
        let own = outbound().spi().0;
        // ChaCha20-Poly1305 in raw ESP: 20 + 8 + 8 + 16, and the trailer of 2 in blocks of 4.
        assert_eq!(affected(&message(Some(own), 1000), routes()), [(Spi(1), 946), (Spi(2), 946)]);
        assert_eq!(affected(&message(None, 1000), routes()), [(Spi(1), 1226), (Spi(2), 1226)], "without proof");
        assert_eq!(affected(&message(Some(7), 1400), routes()), [], "forged");
        let elsewhere =
            route(3, &[]).towards("203.0.113.9:4500".parse().unwrap(), "192.0.2.1".parse().unwrap(), 0, true);
        assert_eq!(affected(&message(Some(own), 1400), std::iter::once(&elsewhere)), []);
    }

    #[test]
    fn what_routers_repeat_is_told_once_a_second() {
        let mut window = Window::default();
        window.advance(Duration::from_secs(5));
        let told = [1300, 1300, 1400, 1200].map(|mtu| window.is_news(Spi(1), mtu));
        assert_eq!(told, [true, false, false, true]);
        assert!(window.is_news(Spi(2), 1300));
        window.left = 0;
        window.advance(Duration::from_millis(5999));
        assert!(window.left == 0 && !window.is_news(Spi(1), 1200));
        window.advance(Duration::from_secs(6));
        assert!(window.left == MESSAGES && window.is_news(Spi(1), 1200));
    }

    #[test]
    fn the_way_to_ourselves_is_wide() {
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        assert!(known_to_kernel(loopback, loopback).unwrap() >= 16_384);
    }
}
