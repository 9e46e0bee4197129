//! Transaction exchanges: two messages with attributes, encrypted and hashed like quick mode (draft-ietf-ipsec-isakmp-mode-cfg
//! section 3). Both sides begin some: we ask for name and password, the client asks for its address.
//!
//! Does not: know what the attributes mean.

use std::time::Instant;

use bytes::Bytes;

use crate::config::Timing;
use crate::crypto::cbc::Iv;
use crate::crypto::hash::Hash;
use crate::crypto::random::Random;
use crate::retransmit::{Retransmit, Verdict};
use crate::wire::header::ExchangeType;
use crate::wire::v1::num::ConfigType;
use crate::wire::v1::{Attribute, Chain, ChainBuilder, Configuration, Header, Payload, Payloads};

use super::phase1::{Decrypted, Phase1, new_message_id};

/// A question of ours that waits for its answer.
pub(crate) struct Question {
    message_id: u32,
    message: Bytes,
    /// Of the answer.
    iv: Iv,
    retransmit: Retransmit,
}

/// A question of the client that waits for our answer.
pub(crate) struct Asked {
    pub(crate) message_id: u32,
    pub(crate) identifier: u16,
    /// The digest of the question.
    digest: Vec<u8>,
    /// Of the answer.
    iv: Iv,
}

/// The last answer of ours.
pub(crate) struct Answered {
    message_id: u32,
    digest: Vec<u8>,
    answer: Bytes,
}

/// A decrypted and authentic message of a transaction exchange.
pub(crate) struct Transaction {
    decrypted: Decrypted,
}

impl Question {
    /// Asks or tells the client something.
    pub(crate) fn new(
        phase1: &Phase1,
        now: Instant,
        timing: &Timing,
        random: &mut dyn Random,
        (kind, attributes): (ConfigType, Vec<Attribute<'_>>),
    ) -> Self {
        let message_id = new_message_id(random);
        let mut identifier = [0; 2];
        random.fill(&mut identifier);
        let chain = chain(kind, u16::from_be_bytes(identifier), attributes);
        let (message, iv) = phase1.seal_first(ExchangeType::TRANSACTION, message_id, &chain);
        let retransmit = Retransmit::new(now, timing.retransmit, timing.transmissions);
        Self { message_id, message, iv, retransmit }
    }

    pub(crate) fn message_id(&self) -> u32 {
        self.message_id
    }

    pub(crate) fn message(&self) -> Bytes {
        self.message.clone()
    }

    /// Opens the answer.
    pub(crate) fn open(&self, phase1: &Phase1, header: &Header, message: &[u8]) -> Option<Transaction> {
        Transaction::open(phase1, &self.iv, header, message)
    }

    pub(crate) fn timeout(&self) -> Instant {
        self.retransmit.due()
    }

    /// What to send again at `now`; an error if the client does not answer at all.
    pub(crate) fn due(&mut self, now: Instant) -> Result<Option<Bytes>, ()> {
        match self.retransmit.check(now) {
            Verdict::Wait => Ok(None),
            Verdict::Send => Ok(Some(self.message())),
            Verdict::GiveUp => Err(()),
        }
    }
}

impl Transaction {
    /// Opens the first message of an exchange that the client begins.
    pub(crate) fn first(phase1: &Phase1, header: &Header, message: &[u8]) -> Option<Self> {
        Self::open(phase1, &phase1.exchange_iv(header.message_id), header, message)
    }

    fn open(phase1: &Phase1, iv: &Iv, header: &Header, message: &[u8]) -> Option<Self> {
        let decrypted = phase1.open(iv, header, message)?;
        decrypted.verify(|rest| phase1.keys.message_hash(header.message_id, &[rest]))?;
        Some(Self { decrypted })
    }

    /// The attributes, if there are some.
    pub(crate) fn configuration(&self) -> Option<Configuration<'_>> {
        let payloads = Payloads::parse(self.decrypted.first, &self.decrypted.body).ok()?;
        payloads.iter().find_map(|payload| match payload {
            Payload::Configuration(configuration) => Some(configuration.clone()),
            _ => None,
        })
    }

    /// What the answer needs to know of the question.
    pub(crate) fn asked(&self, header: &Header, message: &[u8], identifier: u16) -> Asked {
        let digest = Hash::Sha256.digest(&[message]);
        Asked { message_id: header.message_id, identifier, digest, iv: self.decrypted.next_iv.clone() }
    }
}

impl Asked {
    /// Answers.
    pub(crate) fn answer(self, phase1: &mut Phase1, kind: ConfigType, attributes: Vec<Attribute<'_>>) -> Bytes {
        let chain = chain(kind, self.identifier, attributes);
        let (answer, _) = phase1.seal_hashed(&self.iv, ExchangeType::TRANSACTION, self.message_id, &chain);
        phase1.finish(self.message_id);
        let answered = Answered { message_id: self.message_id, digest: self.digest, answer: answer.clone() };
        phase1.answered = Some(answered);
        answer
    }
}

impl Answered {
    /// The answer again, if this is the question again.
    pub(crate) fn again(&self, header: &Header, message: &[u8]) -> Option<Bytes> {
        let is_same = self.message_id == header.message_id && self.digest == Hash::Sha256.digest(&[message]);
        is_same.then(|| self.answer.clone())
    }
}

fn chain(kind: ConfigType, identifier: u16, attributes: Vec<Attribute<'_>>) -> Chain {
    let mut chain = ChainBuilder::new();
    chain.push(&Payload::Configuration(Configuration::new(kind, identifier, attributes)));
    chain.finish().expect("attributes are bounded")
}
