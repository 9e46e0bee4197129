//! Packets to the peers: collected by SA, sealed together, sent with as few system calls as possible.
//!
//! ```text
//! slot() -> the caller writes plaintext into it -> .. -> flush(): for each message: reserve, seal_batch, sendmmsg
//! ```
//!
//! A message is what one UDP_SEGMENT call sends: packets of one SA and traffic class, equal in length but for the last. Several
//! messages are open at a time, so that interleaved peers do not break each other's batches. Messages of one SA leave in the
//! order in which they were begun, and in the order of their sequence numbers even if several threads send for it.
//!
//! Where the kernel refuses segmentation (a raw socket, a device without checksum offload, a packet that has to be fragmented)
//! the packets of a message are sent one by one.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use cygnet_esp::DropReason;
use cygnet_esp::sa::Segment;

use super::counters::{Event, ThreadCounters};
use super::meter::Reached;
use super::sockets::Sockets;
use super::table::Route;
use crate::io::mmsg::{Outgoing, SendBatch};
use crate::io::sys;

/// Messages that are open at a time.
const MESSAGES: usize = 8;

/// Packets in one message. Linux takes 64 (128 since 6.8); more would only add delay.
const MAX_SEGMENTS: usize = 64;

/// Octets in one message: the longest UDP payload over IPv4 is 65,507.
const MAX_MESSAGE_LEN: usize = 65_500;

/// How long a full socket buffer is waited for before packets are dropped.
const SEND_PATIENCE: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct Outbox {
    sockets: Arc<Sockets>,
    counters: Arc<ThreadCounters>,
    /// The first `open` ones are in use.
    messages: Vec<Message>,
    open: usize,
    /// Whether UDP_SEGMENT has not been refused for good.
    segmentation: bool,
    batch: SendBatch,
    units: Vec<Unit>,
    /// A packet on its way into a slot that takes only a part of it.
    pub(super) scratch: Vec<u8>,
}

struct Message {
    route: Option<Arc<Route>>,
    traffic_class: u8,
    octets: Vec<u8>,
    /// Sealed octets so far.
    len: usize,
    segments: Vec<Segment>,
    payload_len: usize,
    /// Sealed length of all segments but the last.
    segment_len: usize,
    /// The last segment is shorter: nothing may follow it.
    closed: bool,
}

/// What one entry of a send call carries: a part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unit {
    range: Range<usize>,
    /// Length of its segments, if there are several.
    segment_len: Option<u16>,
}

impl Message {
    fn empty() -> Self {
        Self {
            route: None,
            traffic_class: 0,
            octets: vec![0; MAX_MESSAGE_LEN],
            len: 0,
            segments: Vec::with_capacity(MAX_SEGMENTS),
            payload_len: 0,
            segment_len: 0,
            closed: false,
        }
    }

    fn begin(&mut self, route: &Arc<Route>, traffic_class: u8, segment_len: usize) {
        self.route = Some(route.clone());
        self.traffic_class = traffic_class;
        self.segments.clear();
        (self.len, self.payload_len, self.segment_len, self.closed) = (0, 0, segment_len, false);
    }

    fn is_for(&self, route: &Arc<Route>, traffic_class: u8) -> bool {
        self.traffic_class == traffic_class && self.route.as_ref().is_some_and(|own| Arc::ptr_eq(own, route))
    }

    fn has_room(&self, sealed_len: usize) -> bool {
        !self.closed
            && sealed_len <= self.segment_len
            && self.segments.len() < MAX_SEGMENTS
            && self.len + sealed_len <= MAX_MESSAGE_LEN
    }

    /// Room for one more packet.
    fn slot(&mut self, header_len: usize, sealed_len: usize, payload_len: usize, next_header: u8) -> &mut [u8] {
        let offset = self.len;
        self.segments.push(Segment { offset, payload_len, next_header });
        self.len += sealed_len;
        self.payload_len += payload_len;
        self.closed = sealed_len < self.segment_len;
        &mut self.octets[offset + header_len..][..payload_len]
    }

    /// Seals all packets. Tells which limit of the pair they come to.
    fn seal(&mut self, route: &Route) -> Result<Option<Reached>, DropReason> {
        if route.meter.is_exhausted() {
            return Err(DropReason::Exhausted);
        }
        let count = u32::try_from(self.segments.len()).expect("at most MAX_SEGMENTS");
        let sequences = route.outbound.sa.reserve(count)?;
        let crossed_soft_limit = sequences.crossed_soft_limit();
        route.outbound.sa.seal_batch(sequences, &mut self.octets, &self.segments)?;
        let headers_len = route.header_len() * self.segments.len();
        let reached = route.meter.sent(self.segments.len(), self.payload_len - headers_len);
        Ok(reached.or_else(|| (crossed_soft_limit && route.meter.note_soft()).then_some(Reached::Soft)))
    }

    /// What to send: all at once if the kernel cuts it, packet by packet otherwise.
    fn units(&self, can_segment: bool, units: &mut Vec<Unit>) {
        units.clear();
        if can_segment || self.segments.len() == 1 {
            let several = self.segments.len() > 1;
            let segment_len = several.then(|| u16::try_from(self.segment_len).expect("at most MAX_MESSAGE_LEN"));
            units.push(Unit { range: 0..self.len, segment_len });
        } else {
            units.extend(singles(0..self.len, self.segment_len));
        }
    }

    fn outgoing(&self, route: &Route, unit: &Unit) -> Outgoing<'_> {
        let mut control = route.source;
        control.traffic_class(self.traffic_class, route.ipv6);
        if let Some(len) = unit.segment_len {
            control.segment_size(len);
        }
        Outgoing { to: route.peer, control, octets: &self.octets[unit.range.clone()] }
    }
}

impl Outbox {
    /// Sends through `sockets`.
    pub(super) fn new(sockets: Arc<Sockets>, counters: Arc<ThreadCounters>) -> Self {
        Self {
            sockets,
            counters,
            messages: (0..MESSAGES).map(|_| Message::empty()).collect(),
            open: 0,
            segmentation: true,
            batch: SendBatch::default(),
            units: Vec::with_capacity(MAX_SEGMENTS),
            scratch: Vec::new(),
        }
    }

    /// Whether there is something to flush before a packet of `payload_len` for this route can have a slot.
    pub(super) fn is_full_for(&self, route: &Arc<Route>, traffic_class: u8, payload_len: usize) -> bool {
        self.open == MESSAGES
            && self.last_for(route, traffic_class, route.outbound.sa.sealed_len(payload_len)).is_none()
    }

    /// Room for the plaintext of one packet; the caller fills it. [`Outbox::is_full_for`] has to be false.
    ///
    /// [`DropReason::TooBig`] if no datagram could carry it.
    pub(super) fn slot(
        &mut self,
        route: &Arc<Route>,
        traffic_class: u8,
        payload_len: usize,
        next_header: u8,
    ) -> Result<&mut [u8], DropReason> {
        let sealed_len = route.outbound.sa.sealed_len(payload_len);
        if sealed_len > MAX_MESSAGE_LEN {
            return Err(DropReason::TooBig);
        }
        let index = match self.last_for(route, traffic_class, sealed_len) {
            Some(index) => index,
            None => {
                self.messages.get_mut(self.open).ok_or(DropReason::NoRoom)?.begin(route, traffic_class, sealed_len);
                self.open += 1;
                self.open - 1
            }
        };
        Ok(self.messages[index].slot(route.outbound.sa.header_len(), sealed_len, payload_len, next_header))
    }

    /// The newest message for a route, if it has room: an older one would be overtaken.
    fn last_for(&self, route: &Arc<Route>, traffic_class: u8, sealed_len: usize) -> Option<usize> {
        let of_sa = |message: &Message| message.route.as_ref().is_some_and(|own| Arc::ptr_eq(own, route));
        let index = self.messages[..self.open].iter().rposition(of_sa)?;
        let message = &self.messages[index];
        (message.is_for(route, traffic_class) && message.has_room(sealed_len)).then_some(index)
    }

    /// Seals and sends all that was collected. `on_limit` is called for each pair that comes to one, which its meter has noted.
    pub(super) fn flush(&mut self, mut on_limit: impl FnMut()) {
        for index in 0..self.open {
            let Some(route) = self.messages[index].route.take() else { continue };
            // A panic elsewhere while it was held has left nothing half done: the lock protects an order, not data.
            let _order = route.outbound.order.lock().unwrap_or_else(PoisonError::into_inner);
            match self.messages[index].seal(&route) {
                Ok(reached) => {
                    reached.into_iter().for_each(|_| on_limit());
                    self.send(index, &route);
                }
                Err(reason) => self.counters.dropped_many(reason, self.messages[index].segments.len()),
            }
        }
        self.open = 0;
    }

    fn send(&mut self, index: usize, route: &Route) {
        let can_segment = self.segmentation && self.sockets.0[route.socket].offload.segment;
        self.messages[index].units(can_segment, &mut self.units);
        let (mut next, mut patience) = (0, SEND_PATIENCE);
        while next < self.units.len() {
            next = match self.send_from(next, index, route) {
                Ok(0) if self.wait_for_room(route, &mut patience) => next,
                Ok(0) => self.give_up(next),
                Ok(sent) => next + sent,
                Err(error) => self.recover(next, &error),
            };
        }
    }

    fn send_from(&mut self, next: usize, index: usize, route: &Route) -> io::Result<usize> {
        let message = &self.messages[index];
        let outgoing = self.units[next..].iter().map(|unit| message.outgoing(route, unit));
        self.batch.send(self.sockets.0[route.socket].as_fd(), outgoing)
    }

    /// Waits while the socket is full, in all no longer than `patience`. Returns whether to try again.
    fn wait_for_room(&self, route: &Route, patience: &mut Duration) -> bool {
        const STEP: Duration = Duration::from_millis(5);
        let Some(left) = patience.checked_sub(STEP) else { return false };
        *patience = left;
        sys::wait_writable(self.sockets.0[route.socket].as_fd(), STEP);
        true
    }

    /// Drops the units from `unit` on.
    fn give_up(&self, unit: usize) -> usize {
        self.units[unit..].iter().for_each(|_| self.counters.count(Event::SendFailure));
        self.units.len()
    }

    /// The kernel refused `unit`: cuts it into single packets if that can help, drops it otherwise. Returns where to go on.
    fn recover(&mut self, unit: usize, error: &io::Error) -> usize {
        let Unit { range, segment_len } = self.units[unit].clone();
        match (segment_len, error.raw_os_error()) {
            // No checksum offload on the way out: no message will pass. (UDP_SEGMENT, udp(7))
            (Some(_), Some(libc::EIO | libc::EOPNOTSUPP)) => self.segmentation = false,
            // A segment is longer than the path's MTU: this message has to be fragmented, others may pass.
            (Some(_), Some(libc::EMSGSIZE | libc::EINVAL)) => {}
            _ => {
                self.counters.count(Event::SendFailure);
                return unit + 1;
            }
        }
        self.units.splice(unit..=unit, singles(range, segment_len.unwrap_or(u16::MAX).into()));
        unit
    }
}

fn singles(range: Range<usize>, len: usize) -> impl Iterator<Item = Unit> {
    let end = range.end;
    range.step_by(len).map(move |start| Unit { range: start..(start + len).min(end), segment_len: None })
}

#[cfg(test)]
mod tests {
    use super::super::sockets::{Kind, Port};
    use super::super::table::tests::{range, route};
    use super::*;
    use crate::io::mmsg::{MAX_MESSAGES, ReceiveBatch};
    use crate::io::udp::{self, Offload};
    use std::net::{IpAddr, SocketAddr};

    struct Fixture {
        outbox: Outbox,
        peer: udp_peer::Peer,
        counters: Arc<ThreadCounters>,
    }

    mod udp_peer {
        use super::*;

        pub(super) struct Peer(pub(super) socket2::Socket);

        impl Peer {
            pub(super) fn address(&self) -> SocketAddr {
                self.0.local_addr().unwrap().as_socket().unwrap()
            }

            pub(super) fn datagrams(&self) -> Vec<Vec<u8>> {
                let (mut batch, mut all) = (ReceiveBatch::default(), Vec::new());
                while batch.receive(self.0.as_fd(), MAX_MESSAGES).unwrap() > 0 {
                    for message in batch.messages() {
                        let size = message.about.segment_size.unwrap_or(message.octets.len()).max(1);
                        all.extend(message.octets.chunks(size).map(<[u8]>::to_vec));
                    }
                }
                all
            }
        }
    }

    fn fixture(segment: bool) -> Fixture {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (socket, _) = udp::open(any, true).unwrap();
        let (peer, _) = udp::open(any, true).unwrap();
        let address: IpAddr = any.ip();
        let port = Port { kind: Kind::EspInUdp, address, offload: Offload { segment, join: true }, socket };
        let counters = Arc::<ThreadCounters>::default();
        let outbox = Outbox::new(Arc::new(Sockets(vec![port])), counters.clone());
        Fixture { outbox, peer: udp_peer::Peer(peer), counters }
    }

    impl Fixture {
        fn route(&self, spi: u32) -> Arc<Route> {
            let local = "127.0.0.1".parse().unwrap();
            Arc::new(route(spi, &[range("10.0.0.1", "10.0.0.1")]).towards(self.peer.address(), local, 0, true))
        }

        fn push(&mut self, route: &Arc<Route>, class: u8, payload: &[u8]) {
            if self.outbox.is_full_for(route, class, payload.len()) {
                self.outbox.flush(|| ());
            }
            self.outbox.slot(route, class, payload.len(), 4).unwrap().copy_from_slice(payload);
        }
    }

    fn sequence(datagram: &[u8]) -> u32 {
        u32::from_be_bytes(datagram[4..8].try_into().unwrap())
    }

    #[test]
    fn many_packets_arrive_in_order_and_can_be_opened() {
        for segment in [true, false] {
            let mut fixture = fixture(segment);
            let route = fixture.route(1);
            let sizes: Vec<usize> = (0..150).map(|n| if n % 40 == 39 { 300 } else { 500 }).collect();
            for (n, size) in sizes.iter().enumerate() {
                fixture.push(&route, 0, &vec![u8::try_from(n).unwrap(); *size]);
            }
            fixture.outbox.flush(|| ());
            let datagrams = fixture.peer.datagrams();
            let lengths: Vec<usize> = datagrams.iter().map(Vec::len).collect();
            assert_eq!(lengths, sizes.iter().map(|size| route.outbound.sa.sealed_len(*size)).collect::<Vec<_>>());
            assert_eq!(datagrams.iter().map(|d| sequence(d)).collect::<Vec<_>>(), (1..=150).collect::<Vec<_>>());
            let usage = route.meter.read(&crate::io::clock::Clock::start());
            assert_eq!((usage.packets_out, usage.bytes_out), (150, sizes.iter().sum::<usize>() as u64));
        }
    }

    #[test]
    fn interleaved_peers_and_classes_share_a_flush() {
        let mut fixture = fixture(true);
        let routes = [1, 2, 3].map(|spi| fixture.route(spi));
        for n in 0..30_u8 {
            fixture.push(&routes[usize::from(n) % 3], n / 10, &[n; 100]);
        }
        assert_eq!(fixture.outbox.open, 3, "the ninth message found no room, so a flush came in between");
        fixture.outbox.flush(|| ());
        let datagrams = fixture.peer.datagrams();
        assert_eq!(datagrams.len(), 30);
        for spi in [1, 2, 3] {
            let reserved = routes[spi - 1].outbound.sa.reserved();
            assert_eq!(reserved, 10);
        }
    }

    #[test]
    fn a_packet_longer_than_the_first_opens_a_new_message() {
        let mut fixture = fixture(true);
        let route = fixture.route(1);
        for size in [100, 50, 100, 200] {
            fixture.push(&route, 0, &vec![1; size]);
        }
        assert_eq!(fixture.outbox.open, 3);
        fixture.outbox.flush(|| ());
        assert_eq!(fixture.peer.datagrams().iter().map(|d| sequence(d)).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }

    #[test]
    fn a_message_that_the_kernel_does_not_cut_goes_packet_by_packet() {
        // No device here refuses, so the refusal is acted out.
        let mut fixture = fixture(true);
        let route = fixture.route(1);
        for n in 0..5 {
            fixture.push(&route, 0, &[n; 100]);
        }
        fixture.outbox.messages[0].seal(&route).unwrap();
        let units = |segmentation| {
            let mut units = Vec::new();
            fixture.outbox.messages[0].units(segmentation, &mut units);
            units
        };
        let (whole, singles) = (units(true), units(false));
        assert_eq!((whole.len(), singles.len()), (1, 5));
        for (refusal, segmentation) in [(libc::EMSGSIZE, true), (libc::EINVAL, true), (libc::EIO, false)] {
            fixture.outbox.units = whole.clone();
            assert_eq!(fixture.outbox.recover(0, &io::Error::from_raw_os_error(refusal)), 0);
            assert_eq!((&fixture.outbox.units, fixture.outbox.segmentation), (&singles, segmentation));
        }
        assert_eq!(
            fixture.outbox.recover(0, &io::Error::from_raw_os_error(libc::EMSGSIZE)),
            1,
            "one packet is dropped"
        );
        fixture.outbox.flush(|| ());
        assert_eq!(fixture.peer.datagrams().len(), 5);
    }

    #[test]
    fn threads_that_share_an_sa_send_in_the_order_of_its_sequence_numbers() {
        let fixture = fixture(true);
        let route = fixture.route(1);
        let (sockets, counters) = (&fixture.outbox.sockets, &fixture.counters);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut outbox = Outbox::new(sockets.clone(), counters.clone());
                    for _ in 0..40 {
                        for size in [100, 100, 50] {
                            outbox.slot(&route, 0, size, 4).unwrap().fill(1);
                        }
                        outbox.flush(|| ());
                    }
                });
            }
        });
        let sequences: Vec<u32> = fixture.peer.datagrams().iter().map(|d| sequence(d)).collect();
        assert_eq!(sequences, (1..=480).collect::<Vec<_>>());
    }

    #[test]
    fn what_cannot_be_sent_is_counted_and_does_not_stop_the_rest() {
        let mut fixture = fixture(true);
        let unreachable: SocketAddr = "255.255.255.255:4500".parse().unwrap();
        let bad = Arc::new(fixture.route(1).towards(unreachable, "127.0.0.1".parse().unwrap(), 0, true));
        let good = fixture.route(2);
        fixture.push(&bad, 0, &[1; 100]);
        fixture.push(&good, 0, &[2; 100]);
        fixture.outbox.flush(|| ());
        let mut sums = crate::dataplane::Counters::default();
        fixture.counters.add_to(&mut sums);
        assert_eq!((sums.send_failures, fixture.peer.datagrams().len()), (1, 1));
    }

    #[test]
    fn a_packet_beyond_any_datagram_is_refused() {
        let mut fixture = fixture(true);
        let route = fixture.route(1);
        assert_eq!(fixture.outbox.slot(&route, 0, 65_500, 4).err(), Some(DropReason::TooBig));
        assert_eq!(fixture.outbox.open, 0);
    }
}
