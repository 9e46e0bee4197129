//! The conversation of one EAP-TLS login, from Start to the empty response that ends it (RFC 5216 section 2.1).

use super::super::Malformed;
use super::config::EapTls;
use super::failure::TlsFailure;
use super::fragment::{Fragment, Outgoing, Reassembly};
use super::handshake::{Broken, Handshake};
use crate::auth::{AuthFailure, Msk};

/// Most responses of the client to one login.
const ROUNDS_MAX: u32 = 64;

/// One login.
pub(in crate::auth::eap) struct Session {
    handshake: Handshake,
    incoming: Reassembly,
    outgoing: Outgoing,
    /// Octets of TLS data in one packet.
    fragment: usize,
    rounds: u32,
    phase: Phase,
}

/// What a complete message of the client is.
enum Phase {
    /// A flight of the handshake.
    Handshake,
    /// Not awaited: somebody decides whether the client's certificate is an account.
    Verdict {
        /// What the client has to hear if it is one.
        flight: Vec<u8>,
    },
    /// Empty: the client has heard the end of our last flight.
    Farewell(Msk),
    /// Whatever it is: the client has heard our alert.
    Alerted,
    /// Not awaited: it is over.
    Ended,
}

/// What follows; octets are Type-Data of requests.
pub(in crate::auth::eap) enum TlsStep {
    /// Send this and wait.
    Request(Vec<u8>),
    /// The handshake is done: ask whether the client with these certificates is let in, then call [`Session::accept`].
    Certificate(Vec<Vec<u8>>),
    /// The client is let in.
    Success(Msk),
    /// It has failed; send this, an alert, and wait for the last response.
    LastRequest(Vec<u8>, AuthFailure),
    /// It has failed.
    Failure(AuthFailure),
    /// It had failed, and the client has answered the alert.
    Acknowledged,
}

impl Session {
    pub(in crate::auth::eap) fn new(tls: &EapTls) -> Self {
        Self {
            handshake: Handshake::new(tls),
            incoming: Reassembly::default(),
            outgoing: Outgoing::default(),
            fragment: tls.fragment,
            rounds: 0,
            phase: Phase::Handshake,
        }
    }

    /// Takes the Type-Data of a response.
    pub(in crate::auth::eap) fn handle(&mut self, data: &[u8]) -> TlsStep {
        self.rounds += 1;
        if matches!(self.phase, Phase::Alerted) {
            self.phase = Phase::Ended;
            return TlsStep::Acknowledged;
        }
        if self.rounds > ROUNDS_MAX {
            return self.fail(TlsFailure::TooLong);
        }
        match self.message(data) {
            Ok(Incoming::Acknowledged) => TlsStep::Request(self.outgoing.next(self.fragment)),
            Ok(Incoming::Piece) => TlsStep::Request(Fragment::ACKNOWLEDGEMENT.to_vec()),
            Ok(Incoming::Message(message)) => self.handle_message(&message),
            Err(Malformed(what)) => {
                self.phase = Phase::Ended;
                TlsStep::Failure(AuthFailure::Malformed(what))
            }
        }
    }

    fn message(&mut self, data: &[u8]) -> Result<Incoming, Malformed> {
        let fragment = Fragment::parse(data)?;
        if self.outgoing.is_pending() {
            let is_acknowledgement = fragment.data.is_empty() && !fragment.more;
            return if is_acknowledgement {
                Ok(Incoming::Acknowledged)
            } else {
                Err(Malformed("EAP-TLS response: an acknowledgement was due"))
            };
        }
        Ok(self.incoming.take(&fragment)?.map_or(Incoming::Piece, Incoming::Message))
    }

    fn handle_message(&mut self, message: &[u8]) -> TlsStep {
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Farewell(msk) if message.is_empty() => TlsStep::Success(msk),
            Phase::Handshake | Phase::Farewell(_) if message.is_empty() => self.fail(TlsFailure::Stopped),
            Phase::Handshake => match self.handshake.handle(message) {
                Ok(flight) => self.advance(flight),
                Err(broken) => self.break_off(broken),
            },
            // The client has something to say after our last flight: an alert.
            Phase::Farewell(_) => match self.handshake.handle(message) {
                Ok(_) => self.fail(TlsFailure::Protocol("data after the handshake".to_owned())),
                Err(broken) => self.break_off(broken),
            },
            Phase::Verdict { .. } | Phase::Alerted | Phase::Ended => {
                TlsStep::Failure(AuthFailure::Malformed("EAP-TLS conversation: no response is awaited"))
            }
        }
    }

    fn advance(&mut self, flight: Vec<u8>) -> TlsStep {
        if self.handshake.is_done() {
            self.phase = Phase::Verdict { flight };
            return TlsStep::Certificate(self.handshake.client_chain());
        }
        if flight.is_empty() {
            return self.fail(TlsFailure::Stopped);
        }
        self.phase = Phase::Handshake;
        TlsStep::Request(self.send(flight))
    }

    /// The client is somebody who is let in: it hears the end of the handshake.
    pub(in crate::auth::eap) fn accept(&mut self) -> TlsStep {
        let Phase::Verdict { flight: mut last } = std::mem::replace(&mut self.phase, Phase::Ended) else {
            return TlsStep::Failure(AuthFailure::Malformed("EAP-TLS conversation: no verdict is awaited"));
        };
        let Some((commitment, msk)) = self.handshake.commit() else {
            return self.fail(TlsFailure::Protocol("no keys".to_owned()));
        };
        last.extend(commitment);
        self.phase = Phase::Farewell(msk);
        TlsStep::Request(self.send(last))
    }

    fn break_off(&mut self, Broken { alert, reason }: Broken) -> TlsStep {
        if alert.is_empty() {
            return self.fail(reason);
        }
        let alert = self.send(alert);
        self.phase = Phase::Alerted;
        TlsStep::LastRequest(alert, AuthFailure::Tls(reason))
    }

    fn send(&mut self, flight: Vec<u8>) -> Vec<u8> {
        self.outgoing = Outgoing::new(flight);
        self.outgoing.next(self.fragment)
    }

    fn fail(&mut self, reason: TlsFailure) -> TlsStep {
        self.phase = Phase::Ended;
        TlsStep::Failure(AuthFailure::Tls(reason))
    }
}

/// What one response is.
enum Incoming {
    /// Of our last fragment: the next one may go.
    Acknowledged,
    /// Part of a message.
    Piece,
    /// The end of a message.
    Message(Vec<u8>),
}
