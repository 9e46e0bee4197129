//! One login on one link, whatever the method: the side that asks.
//!
//! It keeps the timers: a request without an answer is sent again, the first times soon, since clients throw away what
//! comes before their own LCP has opened. The link bounds the whole login.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::eap::EapConfig;
use super::step::Step;
use super::{AuthFailure, Credentials, Method, Verdict, chap, eap_link, pap};

/// How long to wait for an answer to one of the first [`QUICK_TRIES`] transmissions.
const QUICK_RESTART: Duration = Duration::from_secs(1);
/// How often [`QUICK_RESTART`] counts.
const QUICK_TRIES: u32 = 3;
/// How long to wait later, the restart timer of RFC 1661 section 4.6; also how long a client may take to answer the last
/// request of a login that has failed: Windows never does.
const RESTART: Duration = Duration::from_secs(3);
/// Transmissions of one request before the client is given up: 24 s in all.
const TRIES: u32 = 10;

/// Randomness for one login.
#[derive(Clone, Copy)]
pub struct AuthSeed {
    /// The challenge of CHAP (RFC 1994 section 4.1) and of MS-CHAPv2 (RFC 2759 section 4). Must be unpredictable and
    /// never repeat.
    pub challenge: [u8; 16],
    /// What a failure message offers for a next try, which never comes; unpredictable too.
    pub unused_challenge: [u8; 16],
    /// The identifier of the first request.
    pub identifier: u8,
}

/// What the link has to know.
#[derive(Debug)]
pub enum AuthEvent {
    /// Check these and call [`Authenticator::verdict`].
    Credentials(Credentials),
    /// The client is `user`, the name of [`Verdict::Accepted`]. What is left to transmit still has to go out.
    Authenticated {
        /// The account.
        user: String,
    },
    /// Nobody is let in. What is left to transmit still has to go out, then the link ends.
    Failed(AuthFailure),
}

/// One login on one link.
pub struct Authenticator {
    method: Method,
    server: Server,
    wait: Wait,
    over: bool,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<AuthEvent>,
}

/// The protocol.
enum Server {
    Pap(pap::Server),
    Chap(chap::Server),
    Eap(Box<eap_link::Server>),
}

/// What the timer is for.
enum Wait {
    /// The client has to answer `request`, which was sent `tries` times; PAP has none.
    Answer { request: Option<Vec<u8>>, tries: u32, until: Instant },
    /// The client may answer the last request of a login that has failed.
    Farewell { until: Instant },
    /// Nothing: a verdict is awaited, or all is over.
    Nothing,
}

impl Authenticator {
    /// Begins at once: a request may be waiting in [`Authenticator::poll_transmit`]. Clients may show `server_name`; `eap`
    /// matters to [`Method::Eap`] only.
    #[must_use]
    pub fn new(method: Method, seed: AuthSeed, server_name: &str, eap: &EapConfig, now: Instant) -> Self {
        let chap = |algorithm| Server::Chap(chap::Server::new(algorithm, seed, server_name));
        let server = match method {
            Method::Pap => Server::Pap(pap::Server::default()),
            Method::ChapMd5 => chap(chap::Algorithm::Md5),
            Method::MsChapV2 => chap(chap::Algorithm::MsChapV2),
            Method::Eap => Server::Eap(Box::new(eap_link::Server::new(seed, server_name, eap))),
        };
        let request = match &server {
            Server::Pap(_) => None,
            Server::Chap(chap) => Some(chap.challenge()),
            Server::Eap(eap) => Some(eap.request()),
        };
        let (transmits, events) = (request.iter().cloned().collect(), VecDeque::new());
        let wait = Wait::Answer { request, tries: 1, until: now + QUICK_RESTART };
        Self { method, server, wait, over: false, transmits, events }
    }

    /// The method that was chosen; its packets have [`Method::protocol`].
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// Takes a packet of [`Method::protocol`], without the PPP header. What does not fit is ignored. At most one packet
    /// follows from one; a repeated last answer of the client gets our last packet again, also long after the login.
    pub fn handle(&mut self, now: Instant, packet: &[u8]) {
        let step = match &mut self.server {
            Server::Pap(pap) => pap.handle(packet),
            Server::Chap(chap) => chap.handle(packet),
            Server::Eap(eap) => eap.handle(packet),
        };
        self.perform(now, step);
    }

    /// Answers [`AuthEvent::Credentials`].
    pub fn verdict(&mut self, now: Instant, verdict: Verdict) {
        let step = match &mut self.server {
            Server::Pap(pap) => pap.verdict(verdict),
            Server::Chap(chap) => chap.verdict(verdict),
            Server::Eap(eap) => eap.verdict(verdict),
        };
        self.perform(now, step);
    }

    /// Sends a request again, or gives up. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        match std::mem::replace(&mut self.wait, Wait::Nothing) {
            Wait::Answer { until, tries, .. } if until <= now && tries >= TRIES => {
                self.end(None, AuthEvent::Failed(AuthFailure::NoAnswer(self.method)));
            }
            Wait::Answer { until, tries, request } if until <= now => {
                self.transmits.extend(request.clone());
                let pause = if tries < QUICK_TRIES { QUICK_RESTART } else { RESTART };
                self.wait = Wait::Answer { request, tries: tries + 1, until: now + pause };
            }
            Wait::Farewell { until } if until <= now => {
                let (packet, reason) = match &mut self.server {
                    Server::Eap(eap) => {
                        let (packet, reason) = eap.give_up();
                        (Some(packet), reason)
                    }
                    Server::Pap(_) | Server::Chap(_) => (None, AuthFailure::Rejected),
                };
                self.end(packet, AuthEvent::Failed(reason));
            }
            early => self.wait = early,
        }
    }

    /// When [`Authenticator::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.wait {
            Wait::Answer { until, .. } | Wait::Farewell { until } => Some(until),
            Wait::Nothing => None,
        }
    }

    /// The next packet to send with [`Method::protocol`], without the PPP header.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<AuthEvent> {
        self.events.pop_front()
    }

    /// Once it is over, only a repetition of the last packet is left to do.
    fn perform(&mut self, now: Instant, step: Step) {
        match step {
            Step::Repeat(packet) => self.transmits.push_back(packet),
            Step::Ignore => {}
            _ if self.over => {}
            Step::Request(packet) => {
                self.wait = Wait::Answer { request: Some(packet.clone()), tries: 1, until: now + QUICK_RESTART };
                self.transmits.push_back(packet);
            }
            Step::LastRequest(packet) => {
                self.wait = Wait::Farewell { until: now + RESTART };
                self.transmits.push_back(packet);
            }
            Step::Credentials(credentials) => {
                self.wait = Wait::Nothing;
                self.events.push_back(AuthEvent::Credentials(credentials));
            }
            Step::Accepted { packet, user } => self.end(Some(packet), AuthEvent::Authenticated { user }),
            Step::Refused { packet, reason } => self.end(Some(packet), AuthEvent::Failed(reason)),
        }
    }

    fn end(&mut self, packet: Option<Vec<u8>>, event: AuthEvent) {
        self.over = true;
        self.wait = Wait::Nothing;
        self.transmits.extend(packet);
        self.events.push_back(event);
    }
}

#[cfg(test)]
mod tests;
