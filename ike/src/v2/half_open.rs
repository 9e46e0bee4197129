//! IKE_SA_INIT is answered; the peer has yet to prove who it is.
//!
//! The shared secret is computed when the first IKE_AUTH arrives, and once only: forged messages do not make us compute it
//! again.

use std::time::Instant;

use bytes::Bytes;

use crate::crypto::dh::KeyPair;
use crate::crypto::secret::Secret;
use crate::proposal::IkeSuite;
use crate::refusal::RefusalReason;

use super::keys::{IkeKeys, SpiPair};
use super::proof::{Proof, Transcript};
use super::sa::{IkeSa, Role};

/// Message ID of the first request of IKE_AUTH.
const FIRST_AUTH: u32 = 1;

/// A handshake that waits for IKE_AUTH.
pub(crate) struct HalfOpen {
    pub(crate) spis: SpiPair,
    pub(crate) suite: IkeSuite,
    pub(crate) deadline: Instant,
    transcript: Transcript,
    exchange: Exchange,
    fragmentation: bool,
}

enum Exchange {
    /// Our key pair and the peer's public value.
    Pending(KeyPair, Vec<u8>),
    /// The keys.
    Done(Box<IkeSa>, Secret, Secret),
    /// The peer's public value cannot be used.
    Failed,
}

impl HalfOpen {
    pub(crate) fn new(
        spis: SpiPair,
        suite: IkeSuite,
        deadline: Instant,
        transcript: Transcript,
        (pair, peer): (KeyPair, Vec<u8>),
        fragmentation: bool,
    ) -> Self {
        Self { spis, suite, deadline, transcript, exchange: Exchange::Pending(pair, peer), fragmentation }
    }

    /// The answer, if `request` is the one that was answered.
    pub(crate) fn answer_to(&self, request: &[u8]) -> Option<Bytes> {
        (self.transcript.request == request).then(|| self.transcript.answer.clone())
    }

    /// The IKE SA; its keys are computed now if they were not yet.
    pub(crate) fn key(&mut self) -> Result<&mut IkeSa, RefusalReason> {
        if matches!(self.exchange, Exchange::Pending(..)) {
            let exchange = std::mem::replace(&mut self.exchange, Exchange::Failed);
            let Exchange::Pending(pair, peer) = exchange else { return Err(RefusalReason::KeyExchange) };
            let shared = pair.agree(&peer).map_err(|_| RefusalReason::KeyExchange)?;
            let keys = IkeKeys::initial(&self.suite, &shared, &self.transcript.nonces(), self.spis);
            let IkeKeys { sa: keys, prove_initiator, prove_responder } = keys;
            let sa = IkeSa::new(Role::Responder, self.spis, self.suite, keys, self.fragmentation, FIRST_AUTH);
            self.exchange = Exchange::Done(Box::new(sa), prove_initiator, prove_responder);
        }
        match &mut self.exchange {
            Exchange::Done(sa, ..) => Ok(sa),
            Exchange::Pending(..) | Exchange::Failed => Err(RefusalReason::KeyExchange),
        }
    }

    /// How many octets of an incomplete message are kept.
    pub(crate) fn kept(&self) -> usize {
        if let Exchange::Done(sa, ..) = &self.exchange { sa.kept() } else { 0 }
    }

    /// Gives up what is incomplete for too long.
    pub(crate) fn expire(&mut self, now: Instant) {
        if let Exchange::Done(sa, ..) = &mut self.exchange {
            sa.due(now);
        }
    }

    /// When something of it is over.
    pub(crate) fn timeout(&self) -> Instant {
        let parts = if let Exchange::Done(sa, ..) = &self.exchange { sa.timeout() } else { None };
        parts.map_or(self.deadline, |due| due.min(self.deadline))
    }

    /// The IKE SA and what AUTH is computed from, once the keys exist.
    pub(crate) fn into_keyed(self) -> Option<(IkeSa, Proof)> {
        let Exchange::Done(sa, prove_initiator, prove_responder) = self.exchange else { return None };
        let proof = Proof::new(self.suite.prf, prove_initiator, prove_responder, self.transcript);
        Some((*sa, proof))
    }
}
