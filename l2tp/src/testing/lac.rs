//! The client's end: one tunnel with one session (RFC 2661, the LAC that is a remote host).

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::avp::{Avp, PresentOnly};
use crate::header::{FLAG_LENGTH, FLAG_OFFSET, FLAG_SEQUENCE, Header, Sequence, VERSION};
use crate::hidden::emit_hidden;
use crate::message::{Attributes, Message, Sccrp};
use crate::reliable::{Dead, Outgoing, Received, Reliable};
use crate::secret::Secret;
use crate::tunnel_auth;

use super::flavor::{Flavor, emit};

/// What a client does.
pub struct LacConfig {
    /// Whose messages it sends.
    pub flavor: Flavor,
    /// Host Name AVP, without the NUL that Apple adds.
    pub host_name: String,
    /// The tunnel id that it assigns.
    pub tunnel_id: u16,
    /// The session id that it assigns.
    pub session_id: u16,
    /// Its UDP port.
    pub port: u16,
    /// Challenges the gateway with it.
    pub secret: Option<Secret>,
    /// Hides the session id and what follows it, with the secret.
    pub hide: bool,
    /// Demands sequence numbers.
    pub sequencing: bool,
    /// AVPs to be put behind those of the ICRQ.
    pub extra_in_icrq: Vec<u8>,
    /// How its data messages look.
    pub form: DataForm,
}

/// Fields of a data header that may be there or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataForm {
    /// Length.
    pub length: bool,
    /// Ns and Nr.
    pub sequence: bool,
    /// Offset Size, with so many octets of padding.
    pub offset: Option<u8>,
}

impl LacConfig {
    /// A client of this flavor, with ids that many would choose.
    #[must_use]
    pub fn new(flavor: Flavor) -> Self {
        let (host_name, tunnel_id, session_id, port) = match flavor {
            Flavor::Windows => ("RWB-LAPTOP-DELL", 1, 1, 1701),
            Flavor::MacOs => ("macbook.local", 10, 0x0357, 51_000),
            Flavor::Android => ("anonymous", 0x04d2, 0x162e, 40_000),
            Flavor::Linux => ("desktop", 0x5e5e, 0x0a0b, 1701),
        };
        Self {
            flavor,
            host_name: host_name.into(),
            tunnel_id,
            session_id,
            port,
            secret: None,
            hide: false,
            sequencing: false,
            extra_in_icrq: Vec::new(),
            form: DataForm { length: true, sequence: false, offset: None },
        }
    }
}

/// Something happened to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LacEvent {
    /// PPP may begin. The ids are the gateway's.
    Connected {
        /// Of the tunnel.
        peer_tunnel: u16,
        /// Of the session.
        peer_session: u16,
    },
    /// A PPP frame.
    Frame(Vec<u8>),
    /// The gateway ended it, with this Result Code and Error Code.
    Closed {
        /// The message that said so.
        message: &'static str,
        /// Result Code.
        result: u16,
        /// Error Code.
        error: Option<u16>,
    },
    /// The gateway does not answer, or not as this client demands.
    Failed(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    WaitTunnel,
    /// Android: the SCCCN has to be acknowledged first.
    WaitAcknowledgement,
    WaitSession,
    /// Android: the ICCN has to be acknowledged first.
    WaitLastAcknowledgement,
    Up,
    Closing,
    Gone,
}

const CHALLENGE: [u8; 32] = [0x5a; 32];
const RANDOM_VECTOR: [u8; 16] = [0x33; 16];

/// A client.
pub struct Lac {
    /// What it does.
    pub config: LacConfig,
    reliable: Reliable,
    state: State,
    peer_session: u16,
    next_data: u16,
    transmits: VecDeque<Bytes>,
    events: VecDeque<LacEvent>,
}

impl Lac {
    /// A client that has not begun.
    #[must_use]
    pub fn new(config: LacConfig) -> Self {
        Self {
            config,
            reliable: Reliable::new(0, 8),
            state: State::Idle,
            peer_session: 0,
            next_data: 0,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Begins.
    pub fn connect(&mut self, now: Instant) {
        let mut request = self.config.flavor.sccrq(&self.config.host_name, self.config.tunnel_id);
        if self.config.secret.is_some() {
            Avp::Challenge(CHALLENGE.to_vec()).emit(&mut request);
        }
        self.state = State::WaitTunnel;
        self.queue(0, request);
        self.flush(now);
    }

    /// Takes a datagram of the gateway.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        let Ok((header, range)) = Header::parse(datagram) else { return };
        let payload = &datagram[range];
        if self.state == State::Gone || header.tunnel != self.config.tunnel_id {
            return;
        }
        match header.sequence {
            Some(sequence) if header.control => self.handle_control(now, datagram, header.session, sequence, payload),
            _ if header.session == self.config.session_id && self.is_up() => {
                self.events.push_back(LacEvent::Frame(payload.to_vec()));
            }
            _ => {}
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.reliable.handle_timeout(now) {
            Ok(again) => self.transmits.extend(again),
            Err(Dead) => self.fail("the gateway does not answer"),
        }
    }

    /// When [`Lac::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.reliable.deadline().filter(|_| self.state != State::Gone)
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<LacEvent> {
        self.events.pop_front()
    }

    /// Whether PPP may run.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// Whether it has nothing more to do.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// Sends a PPP frame, if it is up.
    pub fn send_frame(&mut self, frame: &[u8]) {
        if self.is_up() {
            let message = self.data_message(frame);
            self.transmits.push_back(message.into());
        }
    }

    /// Asks for a sign of life.
    pub fn hello(&mut self, now: Instant) {
        if self.is_up() {
            self.queue(0, emit(6, &[]));
            self.flush(now);
        }
    }

    /// Ends the session and the tunnel, as this flavor does it.
    pub fn hang_up(&mut self, now: Instant) {
        if matches!(self.state, State::Idle | State::Closing | State::Gone) {
            return;
        }
        if self.is_up()
            && let Some(goodbye) = self.config.flavor.cdn(self.config.session_id)
        {
            self.queue(self.peer_session, goodbye);
        }
        self.queue(0, self.config.flavor.stop_ccn(self.config.tunnel_id));
        self.state = State::Closing;
        self.flush(now);
    }

    /// Is switched off: nothing is sent, nothing received any more.
    pub fn vanish(&mut self) {
        self.state = State::Gone;
        self.transmits.clear();
    }

    /// Queues any message; `payload` are its AVPs.
    pub fn queue(&mut self, session: u16, payload: Vec<u8>) {
        if self.reliable.send(Outgoing { session, payload }).is_err() {
            self.fail("too much was queued");
        }
    }

    /// Sends what may be sent.
    pub fn flush(&mut self, now: Instant) {
        let mut out = Vec::new();
        self.reliable.poll(now, &mut out);
        self.transmits.extend(out);
        if self.state == State::Closing && self.reliable.is_idle() {
            self.state = State::Gone;
        }
    }

    fn handle_control(&mut self, now: Instant, datagram: &[u8], session: u16, sequence: Sequence, payload: &[u8]) {
        if self.config.flavor == Flavor::Android && !self.accepts_like_mtpd(datagram, sequence) {
            return;
        }
        if self.reliable.receive(now, sequence, session, payload) == Received::InOrder {
            self.process(session, payload);
            while let Some((session, payload)) = self.reliable.next_early() {
                self.process(session, &payload);
            }
        }
        self.after_acknowledgement();
        self.flush(now);
    }

    /// What Android demands of each message: exact flags and length, Message Type first, and its own last one acknowledged.
    fn accepts_like_mtpd(&self, datagram: &[u8], sequence: Sequence) -> bool {
        let flags = u16::from_be_bytes([datagram[0], datagram[1]]);
        let length = usize::from(u16::from_be_bytes([datagram[2], datagram[3]]));
        let first_is_type = datagram.len() == 12 || datagram[12..].starts_with(&[0x80, 8, 0, 0, 0, 0]);
        let acknowledges = sequence.nr == self.reliable.next_send();
        flags & 0xcb0f == 0xc802 && length == datagram.len() && first_is_type && acknowledges
    }

    fn process(&mut self, session: u16, payload: &[u8]) {
        if matches!(self.state, State::Closing | State::Gone) {
            return;
        }
        let message = Attributes::read(payload, None).ok().and_then(|read| Message::understand(&read).ok().flatten());
        match message {
            Some(Message::Sccrp(reply)) if self.state == State::WaitTunnel => self.on_sccrp(&reply),
            Some(Message::Icrp(reply)) if self.state == State::WaitSession => {
                if session != self.config.session_id {
                    return self.fail("the header does not carry the session id");
                }
                self.on_icrp(reply.assigned_session_id);
            }
            Some(Message::Hello(_)) => {}
            Some(Message::Cdn(goodbye)) => {
                self.closed("CDN", goodbye.result_code.map(|code| (code.result, code.error)));
            }
            Some(Message::StopCcn(goodbye)) => {
                self.closed("StopCCN", goodbye.result_code.map(|code| (code.result, code.error)));
            }
            _ => self.fail("a message that this client does not expect"),
        }
    }

    fn on_sccrp(&mut self, reply: &Sccrp) {
        if let Some(secret) = &self.config.secret
            && !reply.challenge_response.is_some_and(|response| tunnel_auth::verify(2, secret, &CHALLENGE, &response))
        {
            return self.fail("the gateway does not know the secret");
        }
        self.reliable.peer_tunnel = reply.assigned_tunnel_id;
        self.queue(0, self.config.flavor.scccn());
        if self.config.flavor == Flavor::Android {
            self.state = State::WaitAcknowledgement;
        } else {
            self.request_session();
        }
    }

    fn request_session(&mut self) {
        let serial = match self.config.flavor {
            Flavor::Windows => 0,
            Flavor::MacOs | Flavor::Linux => 1,
            Flavor::Android => 0x1122_3344,
        };
        let mut request = self.config.flavor.icrq(self.config.session_id, serial);
        if let Some(secret) = self.config.secret.as_ref().filter(|_| self.config.hide) {
            request = emit(10, &[Avp::RandomVector(RANDOM_VECTOR.to_vec())]);
            for avp in [Avp::AssignedSessionId(self.config.session_id), Avp::CallSerialNumber(serial)] {
                emit_hidden(&avp, secret, &RANDOM_VECTOR, b"pad", &mut request);
            }
        }
        request.extend_from_slice(&self.config.extra_in_icrq);
        self.queue(0, request);
        self.state = State::WaitSession;
    }

    fn on_icrp(&mut self, peer_session: u16) {
        self.peer_session = peer_session;
        let mut connected = self.config.flavor.iccn();
        if self.config.sequencing {
            Avp::SequencingRequired(PresentOnly).emit(&mut connected);
        }
        self.queue(peer_session, connected);
        self.state = State::WaitLastAcknowledgement;
        if self.config.flavor != Flavor::Android {
            self.connected();
        }
    }

    /// Android goes on only now.
    fn after_acknowledgement(&mut self) {
        match self.state {
            State::WaitAcknowledgement if self.reliable.is_idle() => self.request_session(),
            State::WaitLastAcknowledgement if self.reliable.is_idle() => self.connected(),
            _ => {}
        }
    }

    fn connected(&mut self) {
        self.state = State::Up;
        let (peer_tunnel, peer_session) = (self.reliable.peer_tunnel, self.peer_session);
        self.events.push_back(LacEvent::Connected { peer_tunnel, peer_session });
    }

    /// The gateway said goodbye: what follows is no more than acknowledging it, for which one step is enough.
    fn closed(&mut self, message: &'static str, code: Option<(u16, Option<u16>)>) {
        let (result, error) = code.unwrap_or_default();
        self.events.push_back(LacEvent::Closed { message, result, error });
        if message == "CDN" {
            self.queue(0, self.config.flavor.stop_ccn(self.config.tunnel_id));
        }
        self.state = State::Closing;
    }

    fn fail(&mut self, why: &'static str) {
        self.state = State::Gone;
        self.events.push_back(LacEvent::Failed(why));
    }

    fn data_message(&mut self, frame: &[u8]) -> Vec<u8> {
        let DataForm { length, sequence, offset } = self.config.form;
        let flag = |present: bool, flag: u16| if present { flag } else { 0 };
        let flags =
            VERSION | flag(length, FLAG_LENGTH) | flag(sequence, FLAG_SEQUENCE) | flag(offset.is_some(), FLAG_OFFSET);
        let mut rest = [self.reliable.peer_tunnel, self.peer_session].map(u16::to_be_bytes).concat();
        if sequence {
            rest.extend(self.next_data.to_be_bytes());
            rest.extend([0, 0]);
            self.next_data = self.next_data.wrapping_add(1);
        }
        if let Some(padding) = offset {
            rest.extend([0, padding]);
            rest.resize(rest.len() + usize::from(padding), 0xee);
        }
        rest.extend_from_slice(frame);
        let total = u16::try_from(rest.len() + 4).expect("frames of tests are short");
        let length = if length { total.to_be_bytes().to_vec() } else { Vec::new() };
        [&flags.to_be_bytes()[..], &length, &rest].concat()
    }
}
