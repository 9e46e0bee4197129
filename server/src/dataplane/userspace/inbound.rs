//! One inbound SA and what has to happen to a packet of it, RFC 4303 section 3.4 and RFC 4301 section 5.2.
//!
//! ```text
//! open (replay, ICV, decryption) -> authentic: meter, first and moved -> inner length -> selectors -> ECN
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cygnet_esp::selector::SelectorSet;
use cygnet_esp::{DropReason, InboundSa, ecn, inner};

use super::meter::Meter;

/// A move of a peer is told at most so often.
const MOVE_REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// An inbound SA with all that its worker knows about it.
pub(super) struct Inbound {
    pub(super) sa: InboundSa,
    pub(super) selectors: Arc<SelectorSet>,
    pub(super) meter: Arc<Meter>,
    /// Where packets of ESP in UDP should come from; `None` for raw ESP, which no NAT carries.
    pub(super) peer: Option<SocketAddr>,
    /// Nothing authentic has come yet.
    pub(super) silent: bool,
    /// When a move may be told again.
    pub(super) next_move_report: Duration,
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
}

impl Inbound {
    /// Opens a packet in place. Tells where the inner packet starts and how long it is, and what is new if it was authentic.
    pub(super) fn open(&mut self, packet: &mut [u8], arrival: Arrival) -> (Result<(usize, usize), DropReason>, News) {
        let highest = self.sa.highest_sequence();
        let opened = self.sa.open(packet);
        if opened.as_ref().is_err_and(|reason| !reason.is_authentic()) {
            return (opened.map(|_| (0, 0)), News::default());
        }
        let news = self.note(arrival, self.sa.highest_sequence() > highest);
        let checked = opened.and_then(|opened| {
            let plaintext = &mut packet[opened.range.clone()];
            let len = inner::tunnel_payload(opened.next_header, plaintext)?;
            let inner = &mut plaintext[..len];
            self.selectors.check_inbound(inner)?;
            ecn::decapsulate(arrival.traffic_class, inner)?;
            self.meter.received(len);
            Ok((opened.range.start, len))
        });
        (checked, news)
    }

    /// Notes an authentic packet. A packet that is not fresh may have been delayed by somebody: it moves nobody.
    fn note(&mut self, arrival: Arrival, fresh: bool) -> News {
        self.meter.heard(arrival.at);
        let first = std::mem::take(&mut self.silent);
        let elsewhere = arrival.in_udp && self.peer.is_some_and(|peer| peer != arrival.from);
        let moved = fresh && elsewhere && arrival.at >= self.next_move_report;
        if moved {
            self.next_move_report = arrival.at + MOVE_REPORT_INTERVAL;
        }
        News { first, moved }
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
            selectors: Arc::new(selectors),
            meter: Arc::default(),
            peer: Some(PEER.parse().unwrap()),
            silent: true,
            next_move_report: Duration::ZERO,
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

    #[test]
    fn gives_the_inner_packet_without_padding_behind_it() {
        let (sa, mut inbound) = (outbound(), inbound());
        let inner = Segment::udp(b"hello").emit();
        let mut packet = sealed(&sa, &[inner.as_slice(), &[0; 50]].concat(), 4);
        let (opened, news) = inbound.open(&mut packet, arrival(PEER, 1));
        let (start, len) = opened.unwrap();
        assert_eq!(&packet[start..][..len], inner);
        assert_eq!(news, News { first: true, moved: false });
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
        let (start, len) = inbound.open(&mut packet, congested).0.unwrap();
        assert_eq!(&packet[start..][..len], Segment { traffic_class: 3, ..Segment::udp(b"x") }.emit());
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
