//! An established ISAKMP SA of the initiator: its keys and the IV chain of each exchange.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::crypto::cbc::Iv;
use crate::crypto::dh::KeyPair;
use crate::crypto::random::Random;
use crate::wire::header::HEADER_LEN;
use crate::wire::num::ExchangeType;
use crate::wire::v1::num::PayloadType;
use crate::wire::v1::{Chain, Flags, Header};
use crate::wire::{EspSpi, IkeSpi};

use super::keys::PhaseOneKeys;

/// One ISAKMP SA.
pub(super) struct IsakmpSa {
    pub(super) cookies: (IkeSpi, IkeSpi),
    pub(super) keys: PhaseOneKeys,
    /// The last ciphertext block of phase 1.
    pub(super) last: Iv,
    pub(super) exchanges: BTreeMap<u32, Exchange>,
    /// Digests of the last messages of phase 1, for duplicates: what came, what was sent in answer.
    pub(super) done: Vec<(Vec<u8>, Vec<Bytes>)>,
    pub(super) peer_does_dpd: bool,
    pub(super) probe_sequence: u32,
    pub(super) is_up: bool,
    pub(super) asked_for_settings: bool,
}

/// An exchange of phase 2, or a transaction.
pub(super) struct Exchange {
    pub(super) iv: Iv,
    pub(super) kind: ExchangeKind,
    /// What came last, and what was sent in answer to it.
    pub(super) last: Option<(Vec<u8>, Vec<Bytes>)>,
}

pub(super) enum ExchangeKind {
    /// Our quick mode.
    Quick(Box<Quick>),
    /// Our Mode Config request, which has no memory.
    Request,
    /// A transaction of the server.
    Answer,
    /// Over; kept for duplicates.
    Done,
}

pub(super) struct Quick {
    pub(super) spi: EspSpi,
    pub(super) nonce: Vec<u8>,
    pub(super) pair: Option<KeyPair>,
    pub(super) replaces: Option<EspSpi>,
    pub(super) ids: (Vec<u8>, Vec<u8>),
}

/// How a message is built.
pub(super) struct Envelope {
    pub(super) exchange: ExchangeType,
    pub(super) message_id: u32,
    pub(super) commit: bool,
    pub(super) over_padding: u8,
    pub(super) minor_version: u8,
}

impl IsakmpSa {
    /// Encrypts a chain and moves the IV on.
    pub(super) fn seal(
        keys: &PhaseOneKeys,
        cookies: (IkeSpi, IkeSpi),
        iv: &mut Iv,
        mut chain: Chain,
        envelope: &Envelope,
        random: &mut dyn Random,
    ) -> Vec<u8> {
        let mut padding = vec![0; usize::from(envelope.over_padding)];
        random.fill(&mut padding);
        chain.bytes.extend(padding);
        chain.pad(keys.cipher.block_len());
        *iv = keys.cipher.encrypt(iv, &mut chain.bytes).expect("padded");
        let header = Header {
            initiator_cookie: cookies.0,
            responder_cookie: Some(cookies.1),
            next_payload: chain.first,
            minor_version: envelope.minor_version,
            exchange: envelope.exchange,
            flags: Flags { commit: envelope.commit, ..Flags::ENCRYPTED },
            message_id: envelope.message_id,
        };
        header.message(&chain.bytes).expect("short")
    }

    /// Decrypts a message; the plaintext and the next IV.
    pub(super) fn open(keys: &PhaseOneKeys, iv: &Iv, header: &Header, message: &[u8]) -> Option<Opened> {
        if !header.flags.encryption {
            return None;
        }
        let (plaintext, next) = keys.cipher.decrypt(iv, message.get(HEADER_LEN..)?).ok()?;
        Some(Opened { first: header.next_payload, plaintext, next })
    }

    /// Opens a message of an exchange of phase 2, and checks the HASH(1) in front; `prefix` comes between message ID and
    /// the rest. Moves the IV on if it was right.
    pub(super) fn open_phase_two(&self, header: &Header, message: &[u8], prefix: &[u8]) -> Option<Opened> {
        let iv = match self.exchanges.get(&header.message_id) {
            Some(exchange) => exchange.iv.clone(),
            None => self.keys.phase_two_iv(&self.last, header.message_id),
        };
        let opened = Self::open(&self.keys, &iv, header, message)?;
        let payloads = crate::wire::v1::Payloads::parse(opened.first, &opened.plaintext).ok()?;
        let (hash, rest) = payloads.leading_hash()?;
        self.keys.hash(header.message_id, &[prefix, rest]).ct_eq(hash).then_some(opened)
    }
}

/// A decrypted message.
pub(super) struct Opened {
    pub(super) first: Option<PayloadType>,
    pub(super) plaintext: Vec<u8>,
    pub(super) next: Iv,
}
