//! LCP on the link: its own codes, and what opening and closing it means for the other phases.

use std::time::Instant;

use super::Link;
use crate::auth::Authenticator;
use crate::control::Signal;
use crate::event::{CloseReason, Phase};
use crate::frame::Protocol;
use crate::packet::{Code, HEADER_LEN, Packet, leading_u16, leading_u32, truncated};

/// Octets of a magic number.
const MAGIC_LEN: usize = 4;

impl Link {
    pub(super) fn handle_lcp(&mut self, now: Instant, information: &[u8]) {
        let Ok(packet) = Packet::parse(information) else { return };
        match packet.code {
            Code::PROTOCOL_REJECT => self.handle_protocol_reject(now, packet.data),
            Code::ECHO_REQUEST => self.handle_echo_request(now, &packet),
            // Signs of life, and what Windows tells about itself: nothing to answer.
            Code::ECHO_REPLY | Code::DISCARD_REQUEST | Code::IDENTIFICATION | Code::TIME_REMAINING => {}
            _ => self.lcp.handle_packet(now, &packet),
        }
    }

    pub(super) fn handle_lcp_signal(&mut self, now: Instant, signal: Signal) {
        match signal {
            Signal::Up => self.enter_authenticate(now),
            Signal::Down => self.leave_network(now),
            Signal::Finished(reason) => self.die(reason.unwrap_or(CloseReason::PeerTerminated)),
        }
    }

    /// Sends a Protocol-Reject, with as much of the packet as the client takes (RFC 1661 section 5.7).
    pub(super) fn reject_protocol(&mut self, now: Instant, protocol: Protocol, information: &[u8]) {
        let number = protocol.0.to_be_bytes();
        let room = self.information_room().saturating_sub(number.len());
        self.lcp.reject_protocol(now, &[&number, truncated(information, room)].concat());
    }

    /// Forgets everything above LCP.
    pub(super) fn leave_upper_phases(&mut self, phase: Phase) {
        self.phase = phase;
        self.liveness.stop();
        self.authenticator = None;
        self.events.extend(self.network.stop());
        if phase != Phase::Establish {
            self.login_deadline = None;
        }
    }

    fn enter_authenticate(&mut self, now: Instant) {
        if self.is_ending() {
            return;
        }
        let Some(method) = self.lcp.negotiation.auth() else {
            let allowed = self.config.auth.clone();
            return self.close(now, CloseReason::AuthProtocolRefused { allowed, wanted: None });
        };
        self.phase = Phase::Authenticate;
        self.liveness.start(now);
        let seed = self.lcp.negotiation.generator().auth_seed();
        let eap = self.config.eap.clone().fitting(usize::from(self.lcp.negotiation.peer().mru));
        self.authenticator = Some(Authenticator::new(method, seed, &self.config.server_name, &eap, now));
    }

    /// LCP is not open any more: the client begins anew, or it is the end.
    fn leave_network(&mut self, now: Instant) {
        if self.is_ending() {
            return;
        }
        if self.lcp.is_terminating() {
            return self.leave_upper_phases(Phase::Terminate);
        }
        self.leave_upper_phases(Phase::Establish);
        self.login_deadline = Some(now + self.config.timing.login);
    }

    fn handle_protocol_reject(&mut self, now: Instant, data: &[u8]) {
        let Some((number, _)) = leading_u16(data) else { return };
        let protocol = Protocol(number);
        if !self.lcp.is_opened() {
            return;
        }
        match protocol {
            Protocol::LCP => self.lcp.handle_protocol_reject(now),
            Protocol::IPCP | Protocol::IPV6CP => self.network.handle_protocol_reject(now, protocol),
            _ if self.phase == Phase::Authenticate && self.speaks(protocol) => {
                self.close(now, CloseReason::ProtocolRejected(protocol));
            }
            _ => {}
        }
    }

    fn speaks(&self, protocol: Protocol) -> bool {
        self.authenticator.as_ref().is_some_and(|a| a.method().protocol() == protocol)
    }

    /// The reply carries our magic number instead of the client's, and not more than the client takes.
    fn handle_echo_request(&mut self, now: Instant, packet: &Packet<'_>) {
        let Some((theirs, data)) = leading_u32(packet.data) else { return };
        let ours = self.lcp.negotiation.magic();
        if theirs != 0 && theirs == ours {
            return; // our own request came back
        }
        let room = self.information_room().saturating_sub(MAGIC_LEN);
        let reply = [&ours.to_be_bytes(), truncated(data, room)].concat();
        self.lcp.handle_echo(now, packet.identifier, &reply);
    }

    /// Octets of data in a control packet to the client.
    fn information_room(&self) -> usize {
        usize::from(self.lcp.negotiation.peer().mru).saturating_sub(HEADER_LEN)
    }
}
