//! The client's half of one IKE SA, written apart from the responder's so that each checks the other.

use std::time::Instant;

use bytes::Bytes;

use crate::crypto::random::Random;
use crate::crypto::secret::Secret;
use crate::crypto::sk::SkKey;
use crate::proposal::IkeSuite;
use crate::v2::fragments::Reassembly;
use crate::v2::keys::{SaKeys, SpiPair};
use crate::v2::sa;
use crate::wire::header::{Flags, Header, Version};
use crate::wire::limits::MAX_MESSAGE;
use crate::wire::num::{ExchangeType, PayloadType};
use crate::wire::v2::{ChainBuilder, Sealed};

pub(super) struct ClientSa {
    /// The server has asked for it, by rekeying.
    is_responder: bool,
    pub(super) spis: SpiPair,
    pub(super) suite: IkeSuite,
    pub(super) derive: Secret,
    seal: SkKey,
    open: SkKey,
    fragmentation: bool,
    next_request: u32,
    next_peer_request: u32,
    last_answer: Vec<Bytes>,
    reassembly: Option<Reassembly>,
}

/// A message of the responder.
pub(super) struct Opened {
    pub(super) exchange: ExchangeType,
    pub(super) response: bool,
    pub(super) id: u32,
    pub(super) first: Option<PayloadType>,
    pub(super) chain: Vec<u8>,
}

impl ClientSa {
    pub(super) fn new(spis: SpiPair, suite: IkeSuite, keys: SaKeys, fragmentation: bool, next_request: u32) -> Self {
        Self {
            is_responder: false,
            spis,
            suite,
            derive: keys.derive,
            seal: keys.from_initiator,
            open: keys.from_responder,
            fragmentation,
            next_request,
            next_peer_request: 0,
            last_answer: Vec::new(),
            reassembly: None,
        }
    }

    /// The half of the side that was asked.
    pub(super) fn responder(spis: SpiPair, suite: IkeSuite, keys: SaKeys, fragmentation: bool) -> Self {
        let turned =
            SaKeys { derive: keys.derive, from_initiator: keys.from_responder, from_responder: keys.from_initiator };
        Self { is_responder: true, ..Self::new(spis, suite, turned, fragmentation, 0) }
    }

    /// Builds the next request and gives back its message ID.
    pub(super) fn request(
        &mut self,
        exchange: ExchangeType,
        chain: ChainBuilder,
        random: &mut dyn Random,
    ) -> (u32, Vec<Bytes>) {
        let id = self.next_request;
        self.next_request += 1;
        (id, self.message(exchange, id, false, chain, random))
    }

    /// Answers the request `id`, or repeats the last answer.
    pub(super) fn answer(
        &mut self,
        exchange: ExchangeType,
        id: u32,
        chain: ChainBuilder,
        random: &mut dyn Random,
    ) -> Vec<Bytes> {
        if id == self.next_peer_request {
            self.last_answer = self.message(exchange, id, true, chain, random);
            self.next_peer_request += 1;
        }
        if id + 1 == self.next_peer_request { self.last_answer.clone() } else { Vec::new() }
    }

    /// Whether the peer's request is one that was not answered yet.
    pub(super) fn is_new(&self, id: u32) -> bool {
        id == self.next_peer_request
    }

    fn message(
        &mut self,
        exchange: ExchangeType,
        message_id: u32,
        response: bool,
        chain: ChainBuilder,
        random: &mut dyn Random,
    ) -> Vec<Bytes> {
        let header = Header {
            initiator_spi: self.spis.initiator,
            responder_spi: Some(self.spis.responder),
            next_payload: None,
            version: Version::V2,
            exchange,
            flags: Flags { initiator: !self.is_responder, version: false, response },
            message_id,
        };
        let (first, chain) = chain.finish().expect("tests send short messages");
        sa::seal(&header, &mut self.seal, self.fragmentation, first, &chain, random)
    }

    /// Opens a message for this SA; `None` if it is not authentic or not complete yet.
    pub(super) fn open(&mut self, now: Instant, header: &Header, message: &[u8]) -> Option<Opened> {
        if header.flags.initiator != self.is_responder || header.initiator_spi != self.spis.initiator {
            return None;
        }
        let sealed = Sealed::find(header, message).ok()??;
        let part = self.open.open(message, sealed.body_offset()).ok()?;
        let (first, chain) = match sealed.fragment {
            None => (sealed.inner, part),
            Some(fragment) => {
                let reassembly = Reassembly::continued(self.reassembly.take(), now, header, fragment);
                match reassembly.with(fragment, sealed.inner, part, Vec::new(), MAX_MESSAGE).complete() {
                    Ok(complete) => (complete.first, complete.chain),
                    Err(incomplete) => {
                        self.reassembly = Some(incomplete);
                        return None;
                    }
                }
            }
        };
        let (exchange, response, id) = (header.exchange, header.flags.response, header.message_id);
        Some(Opened { exchange, response, id, first, chain })
    }
}
