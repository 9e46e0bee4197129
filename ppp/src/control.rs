//! What LCP, IPCP and IPV6CP have in common: the automaton with its counters, timer and packets (RFC 1661 sections 4
//! and 5).
//!
//! [`Control`] runs one of them; what its options mean is the business of a [`Negotiation`]. Packets to send and
//! [`Signal`]s to the layers around come out.
//!
//! Three things go beyond the RFC. An unanswered Configure-Request is sent again at once when the peer's first one arrives:
//! Windows loses what comes before its stack is up. And negotiation that goes round in circles ends: after
//! [`Timing::max_configure`] requests that were not acceptable on either side. And so does a peer that begins anew more than
//! [`MAX_REOPENINGS`] times.
//!
//! Does not: codes above 7 (LCP's own), phases (see `link`).

use std::collections::VecDeque;
use std::time::Instant;

use crate::automaton::{Action, Event, State, transition};
use crate::config::Timing;
use crate::event::CloseReason;
use crate::frame::Protocol;
use crate::option::{OptionWriter, Options};
use crate::packet::{Code, Packet, truncated};
use crate::timer::Budget;

/// Octets of a rejected packet that a Code-Reject carries back, so that it fits into every MRU.
const MAX_REJECTED: usize = crate::option::MAX_BODY;

/// How often a peer may begin negotiation anew after both sides had agreed: none of the known ones does so more than once,
/// and each time costs the layers around some work.
const MAX_REOPENINGS: u32 = 10;

/// What the options of one protocol mean.
pub(crate) trait Negotiation {
    /// Whose packets these are.
    const PROTOCOL: Protocol;

    /// What we ask for.
    fn request(&self, out: &mut OptionWriter);

    /// Judges the peer's Configure-Request. `naks` is how many of them were answered with a Nak before.
    fn judge(&mut self, options: &Options<'_>, naks: u32) -> Judgement;

    /// Takes the peer's counterproposal; what cannot be granted is asked for again or left out.
    fn on_nak(&mut self, options: &Options<'_>) -> Result<(), CloseReason>;

    /// Takes the list of options that the peer does not know.
    fn on_reject(&mut self, options: &Options<'_>) -> Result<(), CloseReason>;
}

/// The answer to a Configure-Request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Ack,
    Nak(OptionWriter),
    Reject(OptionWriter),
    /// The link, or this protocol, has no future.
    Hopeless(CloseReason),
}

/// What the layers around have to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Options are agreed.
    Up,
    /// They are not any more.
    Down,
    /// Nothing more comes from this protocol; why, if it was not closed on purpose.
    Finished(Option<CloseReason>),
}

/// One control protocol at work.
pub(crate) struct Control<N> {
    pub(crate) negotiation: N,
    state: State,
    timing: Timing,
    timer: Option<Instant>,
    /// The RFC's restart counter.
    tries_left: u32,
    /// Transmissions since the counter was set.
    tries: u32,
    /// Of the last Configure-Request.
    identifier: u8,
    /// Of the last packet that is neither an answer nor a Configure-Request.
    other_identifier: u8,
    /// Options of the last Configure-Request.
    sent: Vec<u8>,
    /// Whether the last Configure-Request was answered: further answers to it are duplicates.
    answered: bool,
    heard_request: bool,
    naks_sent: u32,
    /// Requests of either side in a row that were not acceptable.
    fruitless: u32,
    /// How often Opened was left for another round.
    reopenings: u32,
    /// Why the end is near, for [`Signal::Finished`].
    doom: Option<CloseReason>,
    budget: Budget,
    transmits: VecDeque<Vec<u8>>,
    signals: VecDeque<Signal>,
}

impl<N: Negotiation> Control<N> {
    /// In state Initial.
    pub(crate) fn new(negotiation: N, timing: Timing) -> Self {
        Self {
            negotiation,
            state: State::Initial,
            timing,
            timer: None,
            tries_left: 0,
            tries: 0,
            identifier: 0,
            other_identifier: 0,
            sent: Vec::new(),
            answered: true,
            heard_request: false,
            naks_sent: 0,
            fruitless: 0,
            reopenings: 0,
            doom: None,
            budget: Budget::default(),
            transmits: VecDeque::new(),
            signals: VecDeque::new(),
        }
    }

    /// Up and Open: the first Configure-Request goes out.
    pub(crate) fn open(&mut self, now: Instant) {
        self.dispatch(now, Event::Open, None);
        self.dispatch(now, Event::Up, None);
    }

    /// Says goodbye. If negotiation has ended already, [`Signal::Finished`] was raised then.
    pub(crate) fn close(&mut self, now: Instant) {
        self.dispatch(now, Event::Close, None);
    }

    pub(crate) fn is_opened(&self) -> bool {
        self.state == State::Opened
    }

    /// Whether it only waits for the peer's goodbye, or for its own to be heard.
    pub(crate) fn is_terminating(&self) -> bool {
        matches!(self.state, State::Closing | State::Stopping)
    }

    /// Whether a Finished has been, or nothing was ever begun.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(self.state, State::Initial | State::Starting | State::Closed | State::Stopped)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timer
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.timer.is_none_or(|due| now < due) {
            return;
        }
        self.timer = None;
        if self.tries_left > 0 {
            self.dispatch(now, Event::TimeoutRetry, None);
        } else {
            self.doom.get_or_insert(CloseReason::NoAnswer(N::PROTOCOL));
            self.dispatch(now, Event::TimeoutExpired, None);
        }
    }

    /// Takes a packet with a code of 1 to 7; every other code is an unknown one. What is not valid is ignored.
    pub(crate) fn handle_packet(&mut self, now: Instant, packet: &Packet<'_>) {
        match packet.code {
            Code::CONFIGURE_REQUEST => self.handle_request(now, packet),
            Code::CONFIGURE_ACK => self.handle_ack(now, packet),
            Code::CONFIGURE_NAK | Code::CONFIGURE_REJECT => self.handle_nak_or_reject(now, packet),
            Code::TERMINATE_REQUEST => self.handle_terminate_request(now, packet),
            Code::TERMINATE_ACK if self.may_reopen(now) => self.dispatch(now, Event::TerminateAck, None),
            Code::TERMINATE_ACK => {}
            Code::CODE_REJECT => self.handle_code_reject(now, packet),
            _ => {
                let identifier = self.next_identifier();
                let rejected = packet.emit();
                let reject = self.answer(now, Code::CODE_REJECT, identifier, truncated(&rejected, MAX_REJECTED));
                self.dispatch(now, Event::UnknownCode, reject);
            }
        }
    }

    /// The peer does not know this protocol at all (LCP's Protocol-Reject).
    pub(crate) fn handle_protocol_reject(&mut self, now: Instant) {
        self.fail(now, CloseReason::ProtocolRejected(N::PROTOCOL));
    }

    /// Ends it as the RFC's RXJ- does, with a reason of ours.
    pub(crate) fn fail(&mut self, now: Instant, reason: CloseReason) {
        self.doom.get_or_insert(reason);
        self.dispatch(now, Event::RejectFatal, None);
    }

    /// An Echo-Request came in: the reply with `data` goes out while Opened.
    pub(crate) fn handle_echo(&mut self, now: Instant, identifier: u8, data: &[u8]) {
        let reply = self.answer(now, Code::ECHO_REPLY, identifier, data);
        self.dispatch(now, Event::Echo, reply);
    }

    /// Sends a Protocol-Reject, if the peer has not had its share of answers.
    pub(crate) fn reject_protocol(&mut self, now: Instant, data: &[u8]) {
        let identifier = self.next_identifier();
        let reject = self.answer(now, Code::PROTOCOL_REJECT, identifier, data);
        self.transmits.extend(reject);
    }

    /// Sends an Echo-Request.
    pub(crate) fn send_echo_request(&mut self, data: &[u8]) {
        let identifier = self.next_identifier();
        self.transmits.push_back(Packet { code: Code::ECHO_REQUEST, identifier, data }.emit());
    }

    fn next_identifier(&mut self) -> u8 {
        self.other_identifier = self.other_identifier.wrapping_add(1);
        self.other_identifier
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    pub(crate) fn poll_signal(&mut self) -> Option<Signal> {
        self.signals.pop_front()
    }

    fn handle_request(&mut self, now: Instant, packet: &Packet<'_>) {
        let Ok(options) = Options::parse(packet.data) else { return };
        if !self.is_negotiating() && self.state != State::Stopped {
            let ack = self.answer(now, Code::TERMINATE_ACK, packet.identifier, &[]);
            return self.dispatch(now, Event::RequestGood, ack);
        }
        if !self.may_reopen(now) {
            return;
        }
        self.repeat_lost_request(now);
        let (event, code, body) = match self.negotiation.judge(&options, self.naks_sent) {
            Judgement::Ack => (Event::RequestGood, Code::CONFIGURE_ACK, packet.data.to_vec()),
            Judgement::Nak(body) => (Event::RequestBad, Code::CONFIGURE_NAK, body.into_vec()),
            Judgement::Reject(body) => (Event::RequestBad, Code::CONFIGURE_REJECT, body.into_vec()),
            Judgement::Hopeless(reason) => return self.fail(now, reason),
        };
        if event == Event::RequestBad {
            self.naks_sent += u32::from(code == Code::CONFIGURE_NAK);
            if self.is_fruitless(now) {
                return;
            }
        }
        let answer = Packet { code, identifier: packet.identifier, data: &body }.emit();
        self.dispatch(now, event, Some(answer));
    }

    /// Whether a Configure-Request of ours is, or has been, on its way.
    fn is_negotiating(&self) -> bool {
        matches!(self.state, State::ReqSent | State::AckReceived | State::AckSent | State::Opened)
    }

    /// Whether the packet at hand may lead out of Opened; if it may not, this is the end.
    fn may_reopen(&mut self, now: Instant) -> bool {
        self.reopenings += u32::from(self.is_opened());
        let too_often = self.reopenings > MAX_REOPENINGS;
        if too_often && self.is_opened() {
            self.fail(now, CloseReason::NotConverging(N::PROTOCOL));
            return false;
        }
        true
    }

    fn repeat_lost_request(&mut self, now: Instant) {
        let first = !std::mem::replace(&mut self.heard_request, true);
        if first && !self.answered && self.state == State::ReqSent {
            self.transmit_request(now);
        }
    }

    fn handle_ack(&mut self, now: Instant, packet: &Packet<'_>) {
        if !self.is_negotiating() {
            let ack = self.answer(now, Code::TERMINATE_ACK, packet.identifier, &[]);
            return self.dispatch(now, Event::Ack, ack);
        }
        if self.answers_request(packet) && packet.data == self.sent {
            self.answered = true;
            self.dispatch(now, Event::Ack, None);
        }
    }

    fn handle_nak_or_reject(&mut self, now: Instant, packet: &Packet<'_>) {
        if !self.is_negotiating() {
            let ack = self.answer(now, Code::TERMINATE_ACK, packet.identifier, &[]);
            return self.dispatch(now, Event::NakOrReject, ack);
        }
        let Ok(options) = Options::parse(packet.data) else { return };
        if !self.answers_request(packet) {
            return;
        }
        let followed = if packet.code == Code::CONFIGURE_NAK {
            self.negotiation.on_nak(&options)
        } else {
            let sent = Options::parse(&self.sent).unwrap_or_default();
            if options.is_empty() || !options.is_subsequence_of(&sent) {
                return;
            }
            self.negotiation.on_reject(&options)
        };
        self.answered = true;
        match followed {
            Err(reason) => self.fail(now, reason),
            Ok(()) if self.is_fruitless(now) => {}
            Ok(()) => self.dispatch(now, Event::NakOrReject, None),
        }
    }

    /// Whether this is the first answer to the last Configure-Request (RFC 1661 section 5.2: others are discarded).
    fn answers_request(&self, packet: &Packet<'_>) -> bool {
        packet.identifier == self.identifier && !self.answered
    }

    /// A peer that says goodbye before both sides agreed has given up, so we do too. The RFC would go on asking.
    fn handle_terminate_request(&mut self, now: Instant, packet: &Packet<'_>) {
        let gave_up = matches!(self.state, State::ReqSent | State::AckReceived | State::AckSent);
        let ack = self.answer(now, Code::TERMINATE_ACK, packet.identifier, &[]);
        if gave_up || self.is_opened() {
            self.doom.get_or_insert(CloseReason::PeerTerminated);
        }
        self.dispatch(now, Event::TerminateRequest, ack);
        if gave_up {
            self.fail(now, CloseReason::PeerTerminated);
        }
    }

    fn handle_code_reject(&mut self, now: Instant, packet: &Packet<'_>) {
        let Some(&rejected) = packet.data.first() else { return };
        match Code(rejected) {
            Code(1..=7) => self.fail(now, CloseReason::ProtocolRejected(N::PROTOCOL)),
            _ => self.dispatch(now, Event::RejectPermitted, None),
        }
    }

    /// Counts one more request that led nowhere; true if that was one too many.
    fn is_fruitless(&mut self, now: Instant) -> bool {
        self.fruitless += 1;
        let hopeless = self.fruitless > self.timing.max_configure;
        if hopeless {
            self.fail(now, CloseReason::NotConverging(N::PROTOCOL));
        }
        hopeless
    }

    /// An answer within the budget.
    fn answer(&mut self, now: Instant, code: Code, identifier: u8, data: &[u8]) -> Option<Vec<u8>> {
        self.budget.spend(now).then(|| Packet { code, identifier, data }.emit())
    }

    /// `answer` is what Sca, Scn, Sta and Scj send.
    fn dispatch(&mut self, now: Instant, event: Event, mut answer: Option<Vec<u8>>) {
        let Some((actions, next)) = transition(self.state, event) else { return };
        for action in actions {
            self.perform(now, *action, next, &mut answer);
        }
        self.state = next;
        if matches!(next, State::Opened) || self.is_at_rest() {
            self.timer = None;
        }
    }

    fn perform(&mut self, now: Instant, action: Action, next: State, answer: &mut Option<Vec<u8>>) {
        match action {
            Action::Tlu => {
                (self.fruitless, self.naks_sent) = (0, 0);
                self.signals.push_back(Signal::Up);
            }
            Action::Tld => self.signals.push_back(Signal::Down),
            Action::Tls => {}
            Action::Tlf => {
                let reason = self.doom.take();
                (self.fruitless, self.naks_sent) = (0, 0);
                (self.answered, self.heard_request) = (true, false);
                self.signals.push_back(Signal::Finished(reason));
            }
            Action::Irc => {
                let closing = matches!(next, State::Closing | State::Stopping);
                self.tries_left = if closing { self.timing.max_terminate } else { self.timing.max_configure };
                self.tries = 0;
            }
            Action::Zrc => {
                (self.tries_left, self.tries) = (0, 0);
                self.set_timer(now);
            }
            Action::Scr => self.transmit_request(now),
            Action::Str => {
                let identifier = self.next_identifier();
                self.transmits.push_back(Packet { code: Code::TERMINATE_REQUEST, identifier, data: &[] }.emit());
                self.count_try(now);
            }
            Action::Sca | Action::Scn | Action::Sta | Action::Scj | Action::Ser => {
                self.transmits.extend(answer.take());
            }
        }
    }

    /// Sends the Configure-Request: the same again if it was not answered, else a new one.
    fn transmit_request(&mut self, now: Instant) {
        if std::mem::replace(&mut self.answered, false) {
            self.identifier = self.identifier.wrapping_add(1);
            let mut body = OptionWriter::new();
            self.negotiation.request(&mut body);
            self.sent = body.into_vec();
        }
        let request = Packet { code: Code::CONFIGURE_REQUEST, identifier: self.identifier, data: &self.sent };
        self.transmits.push_back(request.emit());
        self.count_try(now);
    }

    fn count_try(&mut self, now: Instant) {
        self.tries_left = self.tries_left.saturating_sub(1);
        self.tries = self.tries.saturating_add(1);
        self.set_timer(now);
    }

    fn set_timer(&mut self, now: Instant) {
        let quick = self.tries <= self.timing.quick_tries;
        self.timer = Some(now + if quick { self.timing.quick_restart } else { self.timing.restart });
    }
}
