//! EAP on a PPP link (RFC 3748): what the link must drop before the EAP server sees it, and what it must repeat.

use super::eap::{EapConfig, EapOutcome, EapServer, Packet};
use super::step::Step;
use super::{AuthFailure, AuthSeed, Verdict};

/// The EAP server of a link.
pub(super) struct Server {
    eap: EapServer,
    /// The last response of the client and our result for it.
    ended: Option<(Vec<u8>, Vec<u8>)>,
    /// Why the login has failed, while the client may still answer our last request.
    failed: Option<AuthFailure>,
    response: Vec<u8>,
}

impl Server {
    pub(super) fn new(seed: AuthSeed, name: &str, config: &EapConfig) -> Self {
        Self { eap: EapServer::new(seed, name, config), ended: None, failed: None, response: Vec::new() }
    }

    /// Request/Identity.
    pub(super) fn request(&self) -> Vec<u8> {
        self.eap.start()
    }

    /// Unlike in IKEv2, where each response is protected and comes once, a link may lose, repeat and pad packets: what
    /// does not answer the last request is discarded (RFC 3748 section 4.1).
    pub(super) fn handle(&mut self, packet: &[u8]) -> Step {
        let Some(packet) = without_padding(packet) else { return Step::Ignore };
        if let Some((response, result)) = &self.ended {
            return if response == packet { Step::Repeat(result.clone()) } else { Step::Ignore };
        }
        match Packet::parse(packet) {
            Ok(Packet::Response { identifier, .. }) if self.eap.awaits(identifier) => {}
            _ => return Step::Ignore,
        }
        self.response = packet.to_vec();
        let outcome = self.eap.handle(packet);
        self.step(outcome)
    }

    pub(super) fn verdict(&mut self, verdict: Verdict) -> Step {
        let outcome = self.eap.verdict(verdict);
        self.step(outcome)
    }

    /// The client did not answer the last request of a login that had failed before: EAP-Failure and the reason.
    pub(super) fn give_up(&mut self) -> (Vec<u8>, AuthFailure) {
        (self.eap.failure(), self.failed.take().unwrap_or(AuthFailure::Rejected))
    }

    fn step(&mut self, outcome: EapOutcome) -> Step {
        let step = match outcome {
            EapOutcome::Request(message) => Step::Request(message),
            EapOutcome::Credentials(credentials) => Step::Credentials(credentials),
            EapOutcome::Rejected { message, reason } => {
                self.failed = reason;
                Step::LastRequest(message)
            }
            EapOutcome::Success { message, user, .. } => Step::Accepted { packet: message, user },
            EapOutcome::Failure { message, reason } => {
                let reason = reason.or_else(|| self.failed.take()).unwrap_or(AuthFailure::Rejected);
                Step::Refused { packet: message, reason }
            }
        };
        if let Step::Accepted { packet, .. } | Step::Refused { packet, .. } = &step {
            self.ended = Some((std::mem::take(&mut self.response), packet.clone()));
        }
        step
    }
}

/// The packet that the length field covers; the rest is padding of the link.
fn without_padding(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes.get(2..4)?.try_into().map(u16::from_be_bytes).ok()?;
    bytes.get(..usize::from(length))
}
