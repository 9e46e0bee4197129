//! One PPP link, the network side: phases (RFC 1661 section 3) and what happens between its parts.
//!
//! ```text
//!               frames of the client                                         the gateway
//!                        |                                                        ^
//!                        v  handle_frame()                        poll_event()    |   Credentials   -> verdict()
//!   Establish   LCP: MRU, authentication method, magic                            |
//!        |        v                                                               |   Authenticated -> grant() / deny()
//!   Authenticate  PAP | CHAP | EAP  ---------------------------------------------+
//!        |        v                                                               |   NetworkUp, NetworkDown
//!   Network     IPCP, IPV6CP; DHCPINFORM, router solicitations answered ----------+
//!        |        v                                                               |   Down, with the reason
//!   Terminate   Terminate-Request, Terminate-Ack ---------------------------------+
//! ```
//!
//! A frame of a later phase is dropped. IPCP and IPV6CP frames that arrive before the grant wait for it, the last one of
//! each. A client may negotiate anew at any time; it then has to prove again who it is, and keeps its grant.
//!
//! Does not: carry IP packets (the data path does, with [`frame`]), know accounts or leases.

mod establish;
mod network;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use self::network::Network;
use crate::auth::{AuthEvent, Authenticator, Verdict};
use crate::config::{Grant, LinkConfig, Seed};
use crate::control::Control;
use crate::event::{CloseReason, Event, LinkInfo, Phase};
use crate::frame::{self, Head, Protocol};
use crate::generator::Generator;
use crate::lcp::Lcp;
use crate::timer::{Liveness, Silence};

/// One PPP link, the network side: the authenticator, and the giver of addresses.
///
/// After each call that takes `now`, take out everything: [`Link::poll_event`] and [`Link::poll_transmit`] until they are
/// empty, then set a timer for [`Link::poll_timeout`].
pub struct Link {
    config: Arc<LinkConfig>,
    phase: Phase,
    lcp: Control<Lcp>,
    authenticator: Option<Authenticator>,
    /// The last packet of the login, for a client that missed it.
    farewell: Option<(Protocol, Vec<u8>)>,
    /// The account, once proven.
    user: Option<String>,
    grant: Option<Grant>,
    network: Network,
    login_deadline: Option<Instant>,
    liveness: Liveness,
    /// Why we are ending it.
    closing: Option<CloseReason>,
    transmits: VecDeque<Bytes>,
    events: VecDeque<Event>,
}

impl Link {
    /// A link whose lower layer is up; its Configure-Request is ready for [`Link::poll_transmit`].
    #[must_use]
    pub fn new(config: Arc<LinkConfig>, seed: Seed, now: Instant) -> Self {
        let mut link = Self {
            phase: Phase::Establish,
            lcp: Control::new(Lcp::new(&config, Generator::new(seed)), config.timing),
            authenticator: None,
            farewell: None,
            user: None,
            grant: None,
            network: Network::default(),
            login_deadline: Some(now + config.timing.login),
            liveness: Liveness::new(&config.timing),
            closing: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            config,
        };
        if link.lcp.negotiation.auth().is_some() {
            link.lcp.open(now);
            link.drain(now);
        } else {
            link.die(CloseReason::AuthProtocolRefused { allowed: Vec::new(), wanted: None });
        }
        link
    }

    /// Takes a frame of the client, with or without FF 03, with a protocol of one or two octets.
    pub fn handle_frame(&mut self, now: Instant, frame: &[u8]) {
        if self.phase == Phase::Dead {
            return;
        }
        let Ok((protocol, offset)) = frame::parse(frame) else { return };
        let information = frame.get(offset..).unwrap_or_default();
        self.liveness.heard(now);
        match protocol {
            Protocol::LCP => self.handle_lcp(now, information),
            Protocol::PAP | Protocol::CHAP | Protocol::EAP => self.handle_auth(now, protocol, information),
            _ if self.phase == Phase::Network => self.handle_network(now, protocol, information),
            _ => {} // of a later phase
        }
        self.drain(now);
    }

    /// Does what is due at [`Link::poll_timeout`]; earlier calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.phase == Phase::Dead {
            return;
        }
        self.lcp.handle_timeout(now);
        if let Some(authenticator) = &mut self.authenticator {
            authenticator.handle_timeout(now);
        }
        self.repeat_farewell(now);
        self.network.handle_timeout(now);
        self.drain(now);
        match self.liveness.handle_timeout(now) {
            Silence::Wait => {}
            Silence::Echo => self.lcp.send_echo_request(&self.lcp.negotiation.magic().to_be_bytes()),
            Silence::Dead(lost_echoes) => self.close(now, CloseReason::PeerDead { lost_echoes }),
        }
        if self.login_deadline.is_some_and(|deadline| now >= deadline) {
            self.login_deadline = None;
            self.close(now, CloseReason::LoginTimeout);
        }
        self.drain(now);
    }

    /// When [`Link::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Dead {
            return None;
        }
        let auth = self.authenticator.as_ref().and_then(Authenticator::poll_timeout);
        let deadlines =
            [self.lcp.poll_timeout(), auth, self.network.poll_timeout(), self.liveness.due(), self.login_deadline];
        deadlines.into_iter().flatten().min()
    }

    /// The next frame to send, with FF 03 and a protocol of two octets.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.transmits.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Answers [`Event::Credentials`].
    pub fn verdict(&mut self, now: Instant, verdict: Verdict) {
        if let Some(authenticator) = &mut self.authenticator {
            authenticator.verdict(now, verdict);
        }
        self.drain(now);
    }

    /// Answers [`Event::Authenticated`] with addresses.
    pub fn grant(&mut self, now: Instant, grant: Grant) {
        if self.user.is_none() || self.grant.is_some() || self.is_ending() {
            return;
        }
        self.grant = Some(grant);
        if self.phase == Phase::Network {
            self.start_network(now);
        }
        self.drain(now);
    }

    /// Answers [`Event::Authenticated`] with a refusal: the link ends.
    pub fn deny(&mut self, now: Instant, reason: CloseReason) {
        self.close(now, reason);
    }

    /// A data packet of this link was heard elsewhere: no Echo-Request is needed for a while.
    pub fn note_inbound(&mut self, now: Instant) {
        self.liveness.heard(now);
    }

    /// Ends the link with a Terminate-Request; [`Event::Down`] follows when the client agreed or did not answer. The first
    /// reason counts.
    pub fn close(&mut self, now: Instant, reason: CloseReason) {
        if self.is_ending() {
            return;
        }
        self.flush();
        self.closing = Some(reason);
        self.lcp.close(now);
        self.leave_upper_phases(Phase::Terminate);
        self.drain(now);
    }

    /// How it looks at the moment.
    #[must_use]
    pub fn info(&self) -> LinkInfo {
        let (lcp, peer) = (&self.lcp.negotiation, self.lcp.negotiation.peer());
        LinkInfo {
            phase: self.phase,
            local_mru: lcp.local_mru(),
            peer_mru: peer.mru,
            short_protocol: peer.short_protocol,
            omit_address_control: peer.omit_address_control,
            auth: self.authenticator.as_ref().map(Authenticator::method),
            ipv4: self.network.is_ipv4_up(),
            ipv6: self.network.is_ipv6_up(),
        }
    }

    fn is_ending(&self) -> bool {
        self.closing.is_some() || matches!(self.phase, Phase::Terminate | Phase::Dead)
    }

    /// Passes on what the parts have to say to each other until there is nothing left.
    fn drain(&mut self, now: Instant) {
        loop {
            self.flush();
            if let Some(signal) = self.lcp.poll_signal() {
                self.handle_lcp_signal(now, signal);
            } else if let Some(event) = self.authenticator.as_mut().and_then(Authenticator::poll_event) {
                self.handle_auth_event(now, event);
            } else if let Some((family, signal)) = self.network.poll_signal() {
                self.handle_network_signal(now, family, signal);
            } else {
                return;
            }
        }
    }

    /// Moves packets of the parts to the end of our queue, in the order of the phases.
    fn flush(&mut self) {
        while let Some(packet) = self.lcp.poll_transmit() {
            self.transmit(Protocol::LCP, &packet);
        }
        while let Some((protocol, packet)) = self.authenticator.as_mut().and_then(next_of) {
            self.transmit(protocol, &packet);
            self.farewell = Some((protocol, packet));
        }
        while let Some((protocol, packet)) = self.network.poll_transmit() {
            self.transmit(protocol, &packet);
        }
    }

    fn transmit(&mut self, protocol: Protocol, information: &[u8]) {
        self.transmits.push_back([Head::full(protocol).as_slice(), information].concat().into());
    }

    fn handle_auth(&mut self, now: Instant, protocol: Protocol, information: &[u8]) {
        if let Some(authenticator) = self.authenticator.as_mut().filter(|a| a.method().protocol() == protocol) {
            authenticator.handle(now, information);
        }
    }

    fn handle_auth_event(&mut self, now: Instant, event: AuthEvent) {
        match event {
            AuthEvent::Credentials(credentials) => self.events.push_back(Event::Credentials(credentials)),
            AuthEvent::Failed(failure) => self.close(now, CloseReason::AuthenticationFailed(failure)),
            AuthEvent::Authenticated { user } => self.handle_authenticated(now, user),
        }
    }

    fn handle_authenticated(&mut self, now: Instant, user: String) {
        let Some(method) = self.authenticator.as_ref().map(Authenticator::method) else { return };
        if self.phase != Phase::Authenticate {
            return;
        }
        match &self.user {
            Some(earlier) if *earlier != user => return self.close(now, CloseReason::UserChanged),
            Some(_) => {}
            None => {
                self.user = Some(user.clone());
                self.events.push_back(Event::Authenticated { user, method });
            }
        }
        self.phase = Phase::Network;
        if self.grant.is_some() {
            self.start_network(now);
        }
    }

    /// A client whose "you are in" was lost drops all frames of the network phase, and never asks. So it is told again with
    /// each of our requests, until it takes part.
    fn repeat_farewell(&mut self, now: Instant) {
        if self.phase != Phase::Network || !self.network.is_unheard_and_due(now) {
            return;
        }
        if let Some((protocol, packet)) = self.farewell.take() {
            self.transmit(protocol, &packet);
            self.farewell = Some((protocol, packet));
        }
    }

    /// The end: nothing is sent or awaited any more.
    fn die(&mut self, reason: CloseReason) {
        self.leave_upper_phases(Phase::Dead);
        let reason = self.closing.take().unwrap_or(reason);
        self.events.push_back(Event::Down { reason });
    }
}

fn next_of(authenticator: &mut Authenticator) -> Option<(Protocol, Vec<u8>)> {
    let packet = authenticator.poll_transmit()?;
    Some((authenticator.method().protocol(), packet))
}
