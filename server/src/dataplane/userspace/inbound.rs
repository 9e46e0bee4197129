//! One inbound SA and what has to happen to a packet of it, RFC 4303 section 3.4 and RFC 4301 section 5.2.
//!
//! ```text
//! open (replay, ICV, decryption) -> authentic: meter, first and moved -> tunnel mode: inner length -> selectors, claims --> ECN
//!                                                                     -> L2TP: session, PPP, leased address -----------^
//! ```

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use cygnet_esp::selector::{Flow, SelectorSet};
use cygnet_esp::{DropReason, InboundSa, Opened, ecn, inner};

use super::claims::Holder;
use super::devices::DeviceId;
use super::l2tp_payload::{self, Budget, Payload};
use super::meter::{Meter, Reached};
use super::transport::Hosts;
use crate::dataplane::{InnerPath, Link};

/// A dummy packet, RFC 4303 section 2.6.
const NO_NEXT_HEADER: u8 = 59;

/// A move of a peer is told at most so often.
const MOVE_REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// So many packets have to fail the integrity check before it is said that all do: an L2TP client tries five times.
const ALL_FORGED: u8 = 3;

/// An inbound SA with all that its worker knows about it.
pub(super) struct Inbound {
    pub(super) sa: InboundSa,
    pub(super) inner: Inner,
    pub(super) meter: Arc<Meter>,
    /// Where packets of ESP in UDP should come from; `None` for raw ESP, which no NAT carries.
    pub(super) peer: Option<SocketAddr>,
    /// Nothing authentic has come yet.
    pub(super) silent: bool,
    /// When a move may be told again.
    pub(super) next_move_report: Duration,
    /// Packets of this SPI that failed the integrity check before any passed it.
    pub(super) forged: u8,
    /// Where its packets go.
    pub(super) device: DeviceId,
    /// Who the pair is for.
    pub(super) holder: Arc<Holder>,
}

/// What a pair carries, with what decides whether a packet is of it.
pub(super) enum Inner {
    /// IP packets.
    Ip(Arc<SelectorSet>),
    /// Any protocol between two hosts.
    Transport(Arc<SelectorSet>, Hosts),
    /// The packets of a PPP link, once there is one.
    L2tp {
        /// See [`crate::dataplane::DataPlane::link`].
        link: Option<Arc<Link>>,
        /// What may go to the control plane.
        budget: Budget,
    },
}

impl Inner {
    pub(super) fn new(path: InnerPath, selectors: &Arc<SelectorSet>, link: Option<Arc<Link>>, hosts: Hosts) -> Self {
        match path {
            InnerPath::Ip => Self::Ip(selectors.clone()),
            InnerPath::Transport => Self::Transport(selectors.clone(), hosts),
            InnerPath::L2tp => Self::L2tp { link, budget: Budget::default() },
        }
    }
}

/// Whence a packet came, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) from: SocketAddr,
    /// In a UDP datagram on port 4500.
    pub(super) in_udp: bool,
    /// Of the outer header.
    pub(super) traffic_class: u8,
    /// Time of its batch.
    pub(super) at: Duration,
}

/// What an authentic packet says beside its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// It is the first one.
    pub(super) first: bool,
    /// It is fresh and came from elsewhere.
    pub(super) moved: bool,
    /// It is fresh and came in the other encapsulation than ours.
    pub(super) reencapsulated: bool,
    /// It is one of several that failed the integrity check where none has passed it; told once.
    pub(super) all_forged: bool,
    /// With it the pair comes to a limit.
    pub(super) reached: Option<Reached>,
}

/// What becomes of a packet. Ranges are of its octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// An inner packet.
    Packet(Range<usize>),
    /// The payload of a packet between two hosts, which has no IP header of its own.
    Payload {
        /// Which.
        hosts: Hosts,
        /// What it is.
        protocol: u8,
        /// Where it lies.
        at: Range<usize>,
    },
    /// A datagram for the control plane.
    Control {
        /// The peer's inner UDP port.
        port: u16,
        /// UDP payload.
        datagram: Range<usize>,
    },
    /// A datagram beyond what the control plane should look at.
    OverBudget,
}

impl Inbound {
    /// Opens a packet in place. Tells what becomes of it, and what is new about the peer.
    pub(super) fn open(&mut self, packet: &mut [u8], arrival: Arrival) -> (Result<Delivery, DropReason>, News) {
        let highest = self.sa.highest_sequence();
        let opened = match self.sa.open(packet) {
            Err(reason) if !reason.is_authentic() => return (Err(reason), self.note_stranger(reason)),
            opened => opened,
        };
        let mut news = self.note(arrival, self.sa.highest_sequence() > highest);
        let delivery = opened.and_then(|opened| self.deliver(opened, packet, arrival, &mut news));
        (delivery, news)
    }

    fn deliver(
        &mut self,
        opened: Opened,
        packet: &mut [u8],
        arrival: Arrival,
        news: &mut News,
    ) -> Result<Delivery, DropReason> {
        let start = opened.range.start;
        let plaintext = &mut packet[opened.range];
        let inner = match &mut self.inner {
            Inner::Ip(selectors) => {
                let len = inner::tunnel_payload(opened.next_header, plaintext)?;
                selectors.check_inbound(&plaintext[..len])?;
                self.holder.check_inbound(&plaintext[..len])?;
                0..len
            }
            Inner::Transport(selectors, hosts) => {
                let (hosts, protocol) = (*hosts, opened.next_header);
                if protocol == NO_NEXT_HEADER {
                    return Err(DropReason::Dummy);
                }
                selectors.check_inbound_flow(&Flow::of_payload(hosts.peer, hosts.local, protocol, plaintext))?;
                news.reached = self.meter.received(plaintext.len());
                return Ok(Delivery::Payload { hosts, protocol, at: start..start + plaintext.len() });
            }
            Inner::L2tp { link, budget } => match l2tp_payload::sort(link.as_deref(), opened.next_header, plaintext)? {
                Payload::Packet(at) => at,
                Payload::Control { .. } if !budget.take(arrival.at) => return Ok(Delivery::OverBudget),
                Payload::Control { port, datagram } => {
                    return Ok(Delivery::Control { port, datagram: start + datagram.start..start + datagram.end });
                }
            },
        };
        ecn::decapsulate(arrival.traffic_class, &mut plaintext[inner.clone()])?;
        news.reached = self.meter.received(inner.len());
        Ok(Delivery::Packet(start + inner.start..start + inner.end))
    }

    /// Notes an authentic packet. A packet that is not fresh may have been delayed by somebody: it moves nobody.
    fn note(&mut self, arrival: Arrival, fresh: bool) -> News {
        self.meter.heard(arrival.at);
        let first = std::mem::take(&mut self.silent);
        let tell = fresh && arrival.at >= self.next_move_report;
        let elsewhere = arrival.in_udp && self.peer.is_some_and(|peer| peer != arrival.from);
        let other_form = matches!(self.inner, Inner::L2tp { .. }) && arrival.in_udp != self.peer.is_some();
        let news = News { first, moved: tell && elsewhere, reencapsulated: tell && other_form, ..News::default() };
        if news.moved || news.reencapsulated {
            self.next_move_report = arrival.at + MOVE_REPORT_INTERVAL;
        }
        news
    }

    /// Notes a packet that is not the peer's, or that only looks so because we check it in another way than the peer sealed it.
    fn note_stranger(&mut self, reason: DropReason) -> News {
        // A code of another length leaves no whole blocks.
        let counts = self.silent && matches!(reason, DropReason::Integrity | DropReason::Runt);
        self.forged = self.forged.saturating_add(counts.into());
        News { all_forged: counts && self.forged == ALL_FORGED, ..News::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::{outbound, range};
    use super::super::testing::Segment;
    use super::*;
    use cygnet_esp::secret::Secret;
    use cygnet_esp::{InboundConfig, OutboundSa, SaKeys, Spi, Suite, Transform};

    const PEER: &str = "198.51.100.7:61000";

    fn inbound() -> Inbound {
        let suite = Suite { transform: Transform::ChaCha20Poly1305, esn: false };
        let keys = SaKeys { encr: Secret::new(vec![1; 36]), integ: Secret::new(Vec::new()) };
        let config = InboundConfig { spi: Spi(0xc0ffee), suite, keys, replay_window: 64 };
        let selectors = SelectorSet::new([range("10.0.0.0", "10.0.255.255")], [range("10.20.0.9", "10.20.0.9")]);
        Inbound {
            sa: InboundSa::new(config).unwrap(),
            inner: Inner::Ip(Arc::new(selectors)),
            meter: Arc::default(),
            peer: Some(PEER.parse().unwrap()),
            silent: true,
            next_move_report: Duration::ZERO,
            forged: 0,
            device: DeviceId::SHARED,
            holder: Arc::default(),
        }
    }

    fn arrival(from: &str, seconds: u64) -> Arrival {
        Arrival { from: from.parse().unwrap(), in_udp: true, traffic_class: 0, at: Duration::from_secs(seconds) }
    }

    fn sealed(sa: &OutboundSa, payload: &[u8], next_header: u8) -> Vec<u8> {
        let mut packet = vec![0; sa.sealed_len(payload.len())];
        packet[sa.header_len()..][..payload.len()].copy_from_slice(payload);
        let sequence = sa.reserve(1).unwrap().next().unwrap();
        sa.seal(sequence, &mut packet, payload.len(), next_header).unwrap();
        packet
    }

    fn packet_of(delivery: Result<Delivery, DropReason>) -> Range<usize> {
        let Ok(Delivery::Packet(at)) = delivery else { panic!("{delivery:?} is no packet") };
        at
    }

    fn l2tp() -> Inbound {
        let link = super::super::link_header::tests::link();
        Inbound { inner: Inner::L2tp { link: Some(Arc::new(link)), budget: Budget::default() }, ..inbound() }
    }

    /// UDP to 1701 around a data message of the session of the link's test.
    fn data_message(frame: &[u8]) -> Vec<u8> {
        let l2tp = cygnet_l2tp::data::header(0x1111, 0x2222, u16::try_from(frame.len()).unwrap());
        let udp = cygnet_esp::udp_transport::header(1701, 1701, l2tp.len() + frame.len()).unwrap();
        [&udp[..], &l2tp, frame].concat()
    }

    #[test]
    fn an_l2tp_pair_gives_packets_of_its_link_and_the_rest_to_the_control_plane() {
        let (sa, mut inbound) = (outbound(), l2tp());
        let mut inner = Segment::udp(b"hello").emit();
        inner[12..16].copy_from_slice(&[10, 0, 0, 1]);
        let payload = data_message(&[&[0xff, 0x03, 0, 0x21][..], &inner].concat());
        let mut packet = sealed(&sa, &payload, 17);
        let (opened, news) = inbound.open(&mut packet, arrival(PEER, 1));
        assert_eq!(packet[packet_of(opened)], inner);
        assert!(news.first);
        let usage = inbound.meter.read(&crate::io::clock::Clock::start());
        assert_eq!((usage.packets_in, usage.bytes_in), (1, inner.len() as u64), "octets of the inner packet");

        let echo = data_message(&[0xff, 0x03, 0xc0, 0x21, 9, 1, 0, 8, 0, 0, 0, 0]);
        let mut packet = sealed(&sa, &echo, 17);
        let Ok(Delivery::Control { port, datagram }) = inbound.open(&mut packet, arrival(PEER, 1)).0 else {
            panic!("for the control plane")
        };
        assert_eq!((port, &packet[datagram]), (1701, &echo[8..]));
        assert_eq!(inbound.meter.read(&crate::io::clock::Clock::start()).packets_in, 1);
    }

    #[test]
    fn one_client_cannot_flood_the_control_plane() {
        let (sa, mut inbound) = (outbound(), l2tp());
        let mut passed = |seconds| {
            let open = |_: &i32| {
                let packet = &mut sealed(&sa, &data_message(&[0xc0, 0x21, 9]), 17);
                matches!(inbound.open(packet, arrival(PEER, seconds)).0, Ok(Delivery::Control { .. }))
            };
            (0..200).filter(open).count()
        };
        assert_eq!((passed(1), passed(2)), (64, 64));
    }

    #[test]
    fn an_l2tp_pair_follows_the_encapsulation_that_arrives() {
        let (sa, mut inbound) = (outbound(), l2tp());
        let mut packets: Vec<_> = (0..4).map(|_| sealed(&sa, &data_message(&[0xc0, 0x21, 9]), 17)).collect();
        let directly = |seconds| Arrival { in_udp: false, ..arrival("198.51.100.7:0", seconds) };
        let mut forged = packets[1].clone();
        *forged.last_mut().unwrap() ^= 1;
        assert!(!inbound.open(&mut forged, directly(1)).1.reencapsulated);
        assert!(inbound.open(&mut packets[1], directly(1)).1.reencapsulated);
        assert!(!inbound.open(&mut packets[0], directly(5)).1.reencapsulated, "older than another one");
        inbound.peer = None;
        assert!(!inbound.open(&mut packets[2], directly(5)).1.reencapsulated, "as it should be");
        let news = inbound.open(&mut packets[3], arrival(PEER, 5)).1;
        assert!(news.reencapsulated && !news.moved);
    }

    #[test]
    fn says_once_when_every_packet_of_a_fresh_sa_fails_its_check() {
        let (sa, mut inbound) = (outbound(), l2tp());
        let forged = || {
            let mut packet = sealed(&sa, &data_message(&[0xc0, 0x21, 9]), 17);
            *packet.last_mut().unwrap() ^= 1;
            packet
        };
        let mut told = |mut packet: Vec<u8>| inbound.open(&mut packet, arrival(PEER, 1)).1.all_forged;
        let all: Vec<bool> = (0..10).map(|_| told(forged())).collect();
        assert_eq!(all.iter().position(|told| *told), Some(2));
        assert_eq!(all.iter().filter(|told| **told).count(), 1);

        let mut healthy = l2tp();
        assert!(healthy.open(&mut sealed(&sa, &data_message(&[0xc0, 0x21, 9]), 17), arrival(PEER, 1)).0.is_ok());
        assert!((0..10).all(|_| !healthy.open(&mut forged(), arrival(PEER, 1)).1.all_forged));
    }

    #[test]
    fn gives_the_inner_packet_without_padding_behind_it() {
        let (sa, mut inbound) = (outbound(), inbound());
        let inner = Segment::udp(b"hello").emit();
        let mut packet = sealed(&sa, &[inner.as_slice(), &[0; 50]].concat(), 4);
        let (opened, news) = inbound.open(&mut packet, arrival(PEER, 1));
        assert_eq!(packet[packet_of(opened)], inner);
        assert_eq!(news, News { first: true, ..News::default() });
        let usage = inbound.meter.read(&crate::io::clock::Clock::start());
        assert_eq!((usage.packets_in, usage.bytes_in), (1, inner.len() as u64));
    }

    #[test]
    fn a_forged_or_replayed_packet_is_no_news() {
        let (sa, mut inbound) = (outbound(), inbound());
        let packet = sealed(&sa, &Segment::udp(b"hello").emit(), 4);
        let mut forged = packet.clone();
        *forged.last_mut().unwrap() ^= 1;
        let elsewhere = arrival("203.0.113.1:1", 1);
        assert_eq!(inbound.open(&mut forged, elsewhere), (Err(DropReason::Integrity), News::default()));
        assert!(inbound.open(&mut packet.clone(), arrival(PEER, 1)).0.is_ok());
        assert_eq!(inbound.open(&mut packet.clone(), elsewhere), (Err(DropReason::Replayed), News::default()));
    }

    #[test]
    fn drops_what_the_selectors_do_not_cover_but_hears_it() {
        let (sa, mut inbound) = (outbound(), inbound());
        let mut spoofed = Segment::udp(b"hello").emit();
        spoofed[15] = 10;
        let (opened, news) = inbound.open(&mut sealed(&sa, &spoofed, 4), arrival(PEER, 1));
        assert_eq!((opened, news.first), (Err(DropReason::Selector), true));
        let (opened, _) = inbound.open(&mut sealed(&sa, &spoofed, 41), arrival(PEER, 1));
        assert_eq!(opened, Err(DropReason::Inner));
        let (opened, _) = inbound.open(&mut sealed(&sa, b"", 59), arrival(PEER, 1));
        assert_eq!(opened, Err(DropReason::Dummy));
        let usage = inbound.meter.read(&crate::io::clock::Clock::start());
        assert!(usage.packets_in == 0 && usage.last_heard.is_some());
    }

    #[test]
    fn carries_congestion_inwards() {
        let (sa, mut inbound) = (outbound(), inbound());
        let congested = Arrival { traffic_class: 3, ..arrival(PEER, 1) };
        let mut packet = sealed(&sa, &Segment { traffic_class: 2, ..Segment::udp(b"x") }.emit(), 4);
        let at = packet_of(inbound.open(&mut packet, congested).0);
        assert_eq!(packet[at], Segment { traffic_class: 3, ..Segment::udp(b"x") }.emit());
        let unaware = sealed(&sa, &Segment::udp(b"x").emit(), 4);
        assert_eq!(inbound.open(&mut unaware.clone(), congested).0, Err(DropReason::Congestion));
    }

    #[test]
    fn a_fresh_packet_from_elsewhere_is_a_move_once_a_second() {
        let (sa, mut inbound) = (outbound(), inbound());
        let mut packets: Vec<_> = (0..6).map(|_| sealed(&sa, &Segment::udp(b"x").emit(), 4)).collect();
        let mut moved = |n: usize, from, at| inbound.open(&mut packets[n], arrival(from, at)).1.moved;
        assert!(!moved(0, PEER, 1));
        assert!(moved(2, "203.0.113.1:1", 2));
        assert!(!moved(1, "203.0.113.1:1", 4), "older than another one");
        assert!(!moved(3, "203.0.113.1:1", 2), "told just now");
        assert!(moved(4, "203.0.113.1:1", 3));
        let mut raw = packets.pop().unwrap();
        let directly = Arrival { in_udp: false, ..arrival("203.0.113.2:0", 9) };
        assert!(!inbound.open(&mut raw, directly).1.moved);
    }
}
