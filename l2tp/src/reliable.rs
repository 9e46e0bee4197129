//! Reliable delivery of control messages (RFC 2661 section 5.8 and appendix A): numbers, window, repetition, order.
//!
//! A [`Reliable`] numbers what is sent, repeats it until it is acknowledged, holds back what the peer's window does not
//! allow, and gives received messages on once and in order. Slow start and congestion avoidance as in appendix A; towards a
//! peer whose window is 1 there is never more than one message that was not acknowledged.
//!
//! Acknowledgements are not delayed: what gets no other answer at once gets a ZLB at once, since some clients wait for it.
//!
//! Does not: know what messages say.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::header::{CONTROL_HEADER_LEN, Header, Sequence};

/// Messages that we let a peer send without acknowledgement, and so the most that are held for lack of a predecessor.
pub(crate) const RECEIVE_WINDOW: u16 = 8;

/// The peer's window if it does not say (RFC 2661 section 4.4.3).
pub(crate) const DEFAULT_PEER_WINDOW: u16 = 4;

/// Time until the first repetition; it doubles with each (RFC 2661 section 5.8).
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest time between repetitions (RFC 2661 section 5.8: no less than 8 seconds).
const LONGEST_TIMEOUT: Duration = Duration::from_secs(8);

/// Repetitions before the peer counts as dead: 1 + 2 + 4 + 8 + 8 + 8 seconds.
const MAX_REPETITIONS: u32 = 5;

/// All repetitions together; so long must a tunnel that is gone still acknowledge (RFC 2661 section 5.7).
pub(crate) const RETRANSMISSION_CYCLE: Duration = Duration::from_secs(31);

/// Messages that may wait for the peer's window. Nobody needs more than two; a peer that asks much and acknowledges nothing
/// reaches it.
const MAX_WAITING: usize = 32;

/// The peer did not acknowledge in time, or lets us queue too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dead;

/// What became of a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// It is its turn.
    InOrder,
    /// Nothing but an acknowledgement.
    Acknowledgement,
    /// It waits for its predecessors.
    Early,
    /// It came before, and is acknowledged again.
    Duplicate,
    /// Numbers that cannot be; nothing was changed.
    OutOfWindow,
}

/// A message to be sent: the session id of the header, and the AVPs.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) session: u16,
    pub(crate) payload: Vec<u8>,
}

/// One end of a control connection, as far as delivery is concerned.
#[derive(Debug)]
pub(crate) struct Reliable {
    /// The tunnel id that the peer assigned; 0 until it is known.
    pub(crate) peer_tunnel: u16,
    next_send: u16,
    next_receive: u16,
    in_flight: VecDeque<Outgoing>,
    waiting: VecDeque<Outgoing>,
    early: BTreeMap<u16, (u16, Vec<u8>)>,
    congestion: Congestion,
    repeat: Option<Repeat>,
    owes_acknowledgement: bool,
}

#[derive(Debug)]
struct Repeat {
    at: Instant,
    timeout: Duration,
    repetitions: u32,
}

impl Reliable {
    pub(crate) fn new(peer_tunnel: u16, peer_window: u16) -> Self {
        Self {
            peer_tunnel,
            next_send: 0,
            next_receive: 0,
            in_flight: VecDeque::new(),
            waiting: VecDeque::new(),
            early: BTreeMap::new(),
            congestion: Congestion::new(peer_window),
            repeat: None,
            owes_acknowledgement: false,
        }
    }

    /// Takes the numbers of a message; `payload` are its AVPs, none for a ZLB.
    pub(crate) fn receive(&mut self, now: Instant, sequence: Sequence, session: u16, payload: &[u8]) -> Received {
        let ahead = sequence.ns.wrapping_sub(self.next_receive);
        let is_old = ahead >= 0x8000;
        let never_sent = sequence.nr.wrapping_sub(self.next_send);
        if (1..0x8000).contains(&never_sent) {
            return Received::OutOfWindow;
        }
        self.acknowledge(now, sequence.nr);
        if payload.is_empty() {
            return Received::Acknowledgement;
        }
        if ahead == 0 {
            self.accept();
            return Received::InOrder;
        }
        if is_old {
            self.owes_acknowledgement = true;
            return Received::Duplicate;
        }
        if ahead >= RECEIVE_WINDOW {
            return Received::OutOfWindow;
        }
        self.early.entry(sequence.ns).or_insert_with(|| (session, payload.to_vec()));
        Received::Early
    }

    /// The next message that came early and whose turn it is now: session id of its header, and AVPs.
    pub(crate) fn next_early(&mut self) -> Option<(u16, Vec<u8>)> {
        let message = self.early.remove(&self.next_receive)?;
        self.accept();
        Some(message)
    }

    /// Queues a message.
    pub(crate) fn send(&mut self, message: Outgoing) -> Result<(), Dead> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(Dead);
        }
        self.waiting.push_back(message);
        Ok(())
    }

    /// Forgets what was queued and not yet sent, since it no longer matters.
    pub(crate) fn clear_waiting(&mut self) {
        self.waiting.clear();
    }

    /// Forgets all that was to be sent; what comes is still acknowledged.
    pub(crate) fn forget_outgoing(&mut self) {
        self.waiting.clear();
        self.in_flight.clear();
        self.repeat = None;
    }

    /// The message with number 0 was received: it opened the connection.
    pub(crate) fn expect_second(&mut self) {
        self.next_receive = 1;
    }

    /// Acknowledges `ns` although it was not expected.
    pub(crate) fn resynchronize(&mut self, ns: u16) {
        self.next_receive = ns.wrapping_add(1);
        self.early.clear();
        self.owes_acknowledgement = true;
    }

    /// Acknowledges once more what was received so far.
    pub(crate) fn acknowledge_again(&mut self) {
        self.owes_acknowledgement = true;
    }

    /// Messages that may be sent now, then a ZLB if an acknowledgement is still owed.
    pub(crate) fn poll(&mut self, now: Instant, out: &mut Vec<Bytes>) {
        while self.in_flight.len() < self.congestion.allowed()
            && let Some(message) = self.waiting.pop_front()
        {
            let ns = self.next_send;
            out.extend(self.encode(ns, &message));
            self.next_send = ns.wrapping_add(1);
            self.in_flight.push_back(message);
            self.repeat.get_or_insert_with(|| Repeat::first(now));
            self.owes_acknowledgement = false;
        }
        if std::mem::take(&mut self.owes_acknowledgement) {
            out.extend(self.encode(self.next_send, &Outgoing { session: 0, payload: Vec::new() }));
        }
    }

    /// Sends the oldest message that was not acknowledged once more, out of turn. `None` if there is none.
    pub(crate) fn repeat_now(&mut self) -> Option<Bytes> {
        let bytes = self.encode(self.oldest(), self.in_flight.front()?)?;
        self.owes_acknowledgement = false;
        Some(bytes)
    }

    /// When [`Reliable::handle_timeout`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.repeat.as_ref().map(|repeat| repeat.at)
    }

    /// The message to repeat, if it is time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<Option<Bytes>, Dead> {
        let Some(repeat) = self.repeat.as_mut().filter(|repeat| repeat.at <= now) else { return Ok(None) };
        if repeat.repetitions >= MAX_REPETITIONS {
            return Err(Dead);
        }
        repeat.repetitions += 1;
        repeat.timeout = (repeat.timeout * 2).min(LONGEST_TIMEOUT);
        repeat.at = now + repeat.timeout;
        self.congestion.lost();
        Ok(self.repeat_now())
    }

    /// Ns of the next new message.
    pub(crate) fn next_send(&self) -> u16 {
        self.next_send
    }

    /// Whether nothing is in flight and nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.waiting.is_empty()
    }

    fn accept(&mut self) {
        self.next_receive = self.next_receive.wrapping_add(1);
        self.owes_acknowledgement = true;
    }

    /// Ns of the oldest message in flight.
    fn oldest(&self) -> u16 {
        self.next_send.wrapping_sub(self.in_flight_count())
    }

    fn in_flight_count(&self) -> u16 {
        u16::try_from(self.in_flight.len()).expect("no more than the window of 16 bits")
    }

    /// How many messages in flight `nr` acknowledges; `None` if it names one that was never sent, or long ago.
    fn acknowledged_by(&self, nr: u16) -> Option<u16> {
        Some(nr.wrapping_sub(self.oldest())).filter(|count| *count <= self.in_flight_count())
    }

    fn acknowledge(&mut self, now: Instant, nr: u16) {
        let Some(count @ 1..) = self.acknowledged_by(nr) else { return };
        self.in_flight.drain(..usize::from(count));
        self.congestion.acknowledged(count);
        self.repeat = (!self.in_flight.is_empty()).then(|| Repeat::first(now));
    }

    /// The message with the numbers of now. Nothing comes of one that is too long for its Length field, which we never make.
    fn encode(&self, ns: u16, message: &Outgoing) -> Option<Bytes> {
        let sequence = Sequence { ns, nr: self.next_receive };
        let header = Header::control(self.peer_tunnel, message.session, sequence, message.payload.len()).ok()?;
        let mut bytes = Vec::with_capacity(CONTROL_HEADER_LEN + message.payload.len());
        bytes.extend(header);
        bytes.extend_from_slice(&message.payload);
        Some(bytes.into())
    }
}

impl Repeat {
    fn first(now: Instant) -> Self {
        Self { at: now + FIRST_TIMEOUT, timeout: FIRST_TIMEOUT, repetitions: 0 }
    }
}

/// How many messages may be in flight (RFC 2661 appendix A).
#[derive(Debug)]
struct Congestion {
    peer_window: u16,
    window: u16,
    threshold: u16,
    /// Acknowledged since `window` last grew, above the threshold.
    credit: u16,
}

impl Congestion {
    /// A window of 0 is illegal and read as 1.
    fn new(peer_window: u16) -> Self {
        let peer_window = peer_window.max(1);
        Self { peer_window, window: 1, threshold: peer_window, credit: 0 }
    }

    fn allowed(&self) -> usize {
        usize::from(self.window)
    }

    fn acknowledged(&mut self, count: u16) {
        for _ in 0..count {
            self.credit += 1;
            if self.window < self.threshold || self.credit >= self.window {
                self.window = (self.window + 1).min(self.peer_window);
                self.credit = 0;
            }
        }
    }

    fn lost(&mut self) {
        self.threshold = (self.window / 2).max(1);
        self.window = 1;
        self.credit = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZLB: &[u8] = &[];
    const MESSAGE: &[u8] = &[0x80, 8, 0, 0, 0, 0, 0, 6];

    fn start() -> Instant {
        crate::testing::epoch()
    }

    fn outgoing(tag: u8) -> Outgoing {
        Outgoing { session: 0, payload: vec![tag] }
    }

    fn poll(reliable: &mut Reliable, now: Instant) -> Vec<Bytes> {
        let mut out = Vec::new();
        reliable.poll(now, &mut out);
        out
    }

    fn numbers(message: &[u8]) -> (u16, u16) {
        let sequence = Header::parse(message).expect("valid").0.sequence.expect("control");
        (sequence.ns, sequence.nr)
    }

    fn at(ns: u16, nr: u16) -> Sequence {
        Sequence { ns, nr }
    }

    /// The numbers as if `ns` messages had been sent and `nr` received.
    fn with_numbers(window: u16, ns: u16, nr: u16) -> Reliable {
        let mut reliable = Reliable::new(1, window);
        (reliable.next_send, reliable.next_receive) = (ns, nr);
        reliable
    }

    #[test]
    fn acknowledges_at_once_with_twelve_octets() {
        let mut reliable = Reliable::new(0x1234, 4);
        assert_eq!(reliable.receive(start(), at(0, 0), 0, MESSAGE), Received::InOrder);
        let sent = poll(&mut reliable, start());
        assert_eq!(sent, [vec![0xc8, 0x02, 0, 12, 0x12, 0x34, 0, 0, 0, 0, 0, 1]]);
        assert!(poll(&mut reliable, start()).is_empty(), "once is enough");
    }

    #[test]
    fn an_answer_carries_the_acknowledgement() {
        let mut reliable = Reliable::new(1, 4);
        reliable.receive(start(), at(0, 0), 0, MESSAGE);
        reliable.send(outgoing(1)).expect("room");
        let sent = poll(&mut reliable, start());
        assert_eq!(sent.len(), 1);
        assert_eq!(numbers(&sent[0]), (0, 1));
    }

    #[test]
    fn a_zlb_is_never_answered() {
        let mut reliable = Reliable::new(1, 4);
        for ns in [0, 1, 7, 40_000] {
            reliable.receive(start(), at(ns, 0), 0, ZLB);
            assert!(poll(&mut reliable, start()).is_empty());
        }
    }

    #[test]
    fn gives_on_in_order_and_once_whatever_the_order_of_arrival() {
        let mut reliable = with_numbers(4, 0, 0xfffe);
        let mut got = Vec::new();
        for ns in [1_u16, 0xffff, 0, 1, 0xfffe, 0xffff, 2, 0xfffe] {
            let payload = ns.to_be_bytes();
            if reliable.receive(start(), at(ns, 0), 0, &payload) == Received::InOrder {
                got.push(ns);
            }
            while let Some((_, payload)) = reliable.next_early() {
                got.push(u16::from_be_bytes(payload.try_into().expect("two octets")));
            }
        }
        assert_eq!(got, [0xfffe, 0xffff, 0, 1, 2]);
    }

    #[test]
    fn what_is_beyond_the_window_is_not_kept() {
        let mut reliable = Reliable::new(1, 4);
        assert_eq!(reliable.receive(start(), at(7, 0), 0, MESSAGE), Received::Early);
        assert_eq!(reliable.receive(start(), at(8, 0), 0, MESSAGE), Received::OutOfWindow);
        assert_eq!(reliable.receive(start(), at(0x7fff, 0), 0, MESSAGE), Received::OutOfWindow);
        assert_eq!(reliable.early.len(), 1);
        assert!(poll(&mut reliable, start()).is_empty());
    }

    #[test]
    fn what_came_before_is_acknowledged_again() {
        let mut reliable = with_numbers(4, 3, 5);
        assert_eq!(reliable.receive(start(), at(4, 3), 0, MESSAGE), Received::Duplicate);
        assert_eq!(numbers(&poll(&mut reliable, start())[0]), (3, 5));
    }

    #[test]
    fn acknowledging_what_was_never_sent_changes_nothing() {
        let mut reliable = Reliable::new(1, 4);
        reliable.send(outgoing(1)).expect("room");
        poll(&mut reliable, start());
        for nr in [2, 3, 0x7fff] {
            assert_eq!(reliable.receive(start(), at(0, nr), 0, MESSAGE), Received::OutOfWindow);
        }
        assert_eq!((reliable.in_flight.len(), reliable.next_receive), (1, 0));
    }

    #[test]
    fn a_message_that_was_overtaken_by_an_acknowledgement_still_counts() {
        let mut reliable = with_numbers(4, 5, 0);
        reliable.receive(start(), at(1, 5), 0, ZLB);
        assert_eq!(reliable.receive(start(), at(0, 4), 0, MESSAGE), Received::InOrder);
    }

    #[test]
    fn never_two_in_flight_to_a_peer_with_window_one() {
        for window in [0, 1] {
            let mut reliable = Reliable::new(1, window);
            for tag in 0..5 {
                reliable.send(outgoing(tag)).expect("room");
            }
            for ns in 0..5 {
                let sent = poll(&mut reliable, start());
                assert_eq!(sent.iter().map(|message| numbers(message).0).collect::<Vec<_>>(), [ns]);
                reliable.receive(start(), at(0, ns + 1), 0, ZLB);
            }
            assert!(reliable.is_idle() && reliable.deadline().is_none());
        }
    }

    #[test]
    fn the_window_opens_with_acknowledgements_and_closes_with_loss() {
        let mut reliable = Reliable::new(1, 4);
        for tag in 0..20 {
            reliable.send(outgoing(tag)).expect("room");
        }
        let mut acknowledged = 0;
        let mut in_flight = Vec::new();
        for _ in 0..5 {
            acknowledged += u16::try_from(poll(&mut reliable, start()).len()).expect("few");
            in_flight.push(reliable.in_flight.len());
            reliable.receive(start(), at(0, acknowledged), 0, ZLB);
        }
        assert_eq!(in_flight, [1, 2, 4, 4, 4]);
        acknowledged += u16::try_from(poll(&mut reliable, start()).len()).expect("few");
        reliable.handle_timeout(start() + FIRST_TIMEOUT).expect("alive").expect("repeated");
        reliable.receive(start(), at(0, acknowledged), 0, ZLB);
        assert!(reliable.congestion.window < 4);
    }

    #[test]
    fn repeats_after_1_2_4_8_8_seconds_and_gives_up_after_31() {
        let mut reliable = Reliable::new(1, 4);
        reliable.send(outgoing(1)).expect("room");
        let first = poll(&mut reliable, start()).remove(0);
        let mut at = Vec::new();
        let end = loop {
            let due = reliable.deadline().expect("running");
            assert_eq!(reliable.handle_timeout(due - Duration::from_millis(1)), Ok(None), "too early");
            match reliable.handle_timeout(due) {
                Ok(bytes) => assert_eq!(bytes, Some(first.clone())),
                Err(Dead) => break due - start(),
            }
            at.push((due - start()).as_secs());
        };
        assert_eq!(at, [1, 3, 7, 15, 23]);
        assert_eq!(end, RETRANSMISSION_CYCLE);
    }

    #[test]
    fn a_repetition_has_the_nr_of_now() {
        let mut reliable = Reliable::new(1, 4);
        reliable.send(outgoing(1)).expect("room");
        poll(&mut reliable, start());
        reliable.receive(start(), at(0, 0), 0, MESSAGE);
        let again = reliable.repeat_now().expect("in flight");
        assert_eq!(numbers(&again), (0, 1));
        assert!(poll(&mut reliable, start()).is_empty(), "it was the acknowledgement");
    }

    #[test]
    fn a_peer_that_asks_and_never_acknowledges_cannot_fill_the_memory() {
        let mut reliable = Reliable::new(1, 1);
        let room = (0..1000).take_while(|_| reliable.send(outgoing(1)).is_ok()).count();
        assert_eq!(room, MAX_WAITING);
    }
}
