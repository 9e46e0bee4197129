//! An ISAKMP SA whose phase 1 is done: encryption, hashes and message IDs of what follows (RFC 2409 sections 5.5, 5.7 and
//! appendix B).
//!
//! Each exchange has a chain of IVs of its own, which begins with the last block of phase 1 and the message ID. A message
//! moves the chain on only once its hash was verified.
//!
//! Does not: say what an exchange means.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::crypto::cbc::{CbcKey, Iv};
use crate::crypto::hash::Hash;
use crate::crypto::random::Random;
use crate::wire::header::{ExchangeType, HEADER_LEN};
use crate::wire::v1::num::PayloadType;
use crate::wire::v1::{Chain, Flags, Header, Payloads};

use super::dpd::Dpd;
use super::keys::{Cookies, Keys, Suite};
use super::natt::Nat;
use super::quick_mode::QuickMode;
use super::transaction::Answered;
use super::vendor_ids::Announced;
use super::xauth::Login;

/// Finished exchanges that are remembered, so that a copy of one has no effect.
const MAX_REMEMBERED: usize = 128;

/// What phase 1 ends with.
pub(crate) struct Phase1 {
    pub(crate) cookies: Cookies,
    pub(crate) suite: Suite,
    pub(crate) keys: Keys,
    /// The last block of phase 1.
    iv: Iv,
    pub(crate) announced: Announced,
    pub(crate) nat: Nat,
    pub(crate) since: Instant,
    pub(crate) expires: Instant,
    /// Since when there is a newer one.
    pub(crate) renewed_at: Option<Instant>,
    /// The digest of the client's last message of phase 1, and the answer to it, if that is due to us.
    last: (Vec<u8>, Vec<Bytes>),
    /// Message IDs of exchanges that are over.
    finished: VecDeque<u32>,
    pub(crate) quick_modes: Vec<QuickMode>,
    /// Name, password and address, where the client has to come with these first.
    pub(crate) login: Login,
    /// The last answer in a transaction exchange.
    pub(crate) answered: Option<Answered>,
    pub(crate) dpd: Dpd,
}

/// What a new ISAKMP SA consists of.
pub(crate) struct Established {
    pub(crate) cookies: Cookies,
    pub(crate) suite: Suite,
    pub(crate) keys: Keys,
    pub(crate) iv: Iv,
    pub(crate) announced: Announced,
    pub(crate) nat: Nat,
    pub(crate) since: Instant,
    pub(crate) expires: Instant,
    pub(crate) last: (Vec<u8>, Vec<Bytes>),
}

/// A decrypted body with the IV of the next message of its exchange.
pub(crate) struct Decrypted {
    pub(crate) first: Option<PayloadType>,
    pub(crate) body: Vec<u8>,
    pub(crate) next_iv: Iv,
}

impl Decrypted {
    /// The payloads, if `hash` of what follows the leading HASH payload is what that says. Nothing of a message is looked
    /// at before this.
    pub(crate) fn verify(&self, hash: impl FnOnce(&[u8]) -> crate::crypto::secret::Secret) -> Option<Payloads<'_>> {
        let payloads = Payloads::parse(self.first, &self.body).ok()?;
        let (received, rest) = payloads.leading_hash()?;
        hash(rest).ct_eq(received).then_some(payloads)
    }
}

impl Phase1 {
    pub(crate) fn new(established: Established, random: &mut dyn Random) -> Self {
        let Established { cookies, suite, keys, iv, announced, nat, since, expires, last } = established;
        Self {
            cookies,
            suite,
            keys,
            iv,
            announced,
            nat,
            since,
            expires,
            renewed_at: None,
            last,
            finished: VecDeque::new(),
            quick_modes: Vec::new(),
            login: Login::Done,
            answered: None,
            dpd: Dpd::new(random),
        }
    }

    /// The answer to the last message of phase 1, if this is that message again.
    pub(crate) fn again(&self, message: &[u8]) -> Option<Vec<Bytes>> {
        let (digest, answer) = &self.last;
        (Hash::Sha256.digest(&[message]) == *digest).then(|| answer.clone())
    }

    /// The IV of the first message of an exchange.
    pub(crate) fn exchange_iv(&self, message_id: u32) -> Iv {
        self.keys.exchange_iv(&self.iv, message_id)
    }

    /// Decrypts a message; `None` if it is not encrypted or not made of whole blocks.
    pub(crate) fn open(&self, iv: &Iv, header: &Header, message: &[u8]) -> Option<Decrypted> {
        if !header.flags.encryption {
            return None;
        }
        let (body, next_iv) = self.keys.cipher.decrypt(iv, message.get(HEADER_LEN..)?).ok()?;
        Some(Decrypted { first: header.next_payload, body, next_iv })
    }

    /// Encrypts a chain that begins with its HASH payload.
    pub(crate) fn seal(&self, iv: &Iv, exchange: ExchangeType, message_id: u32, chain: Chain) -> (Bytes, Iv) {
        seal(&self.keys.cipher, iv, self.cookies, exchange, message_id, chain)
    }

    /// The first message of an exchange: HASH(1) in front of `chain`, encrypted.
    pub(crate) fn seal_first(&self, exchange: ExchangeType, message_id: u32, chain: &Chain) -> (Bytes, Iv) {
        self.seal_hashed(&self.exchange_iv(message_id), exchange, message_id, chain)
    }

    /// HASH(1) in front of `chain`, encrypted.
    pub(crate) fn seal_hashed(&self, iv: &Iv, exchange: ExchangeType, message_id: u32, chain: &Chain) -> (Bytes, Iv) {
        let hash = self.keys.message_hash(message_id, &[&chain.bytes]);
        let chain = chain.behind_hash(hash.expose()).expect("a hash is short");
        self.seal(iv, exchange, message_id, chain)
    }

    /// A message of an informational exchange of its own.
    pub(crate) fn informational(&self, chain: &Chain, random: &mut dyn Random) -> Bytes {
        self.seal_first(ExchangeType::INFORMATIONAL_V1, new_message_id(random), chain).0
    }

    /// Remembers an exchange that is over.
    pub(crate) fn finish(&mut self, message_id: u32) {
        if self.finished.len() == MAX_REMEMBERED {
            self.finished.pop_front();
        }
        self.finished.push_back(message_id);
    }

    /// Whether an exchange with this message ID is over.
    pub(crate) fn is_finished(&self, message_id: u32) -> bool {
        self.finished.contains(&message_id)
    }

    /// What a stranger must not be able to change, for tests.
    pub(crate) fn fingerprint(&self) -> impl std::hash::Hash + use<> {
        let open: Vec<u32> = self.quick_modes.iter().map(QuickMode::message_id).collect();
        (self.cookies, self.finished.clone(), open, self.dpd.fingerprint(), self.login.is_done())
    }
}

/// Pads and encrypts a chain, and puts it behind a header.
pub(crate) fn seal(
    cipher: &CbcKey,
    iv: &Iv,
    cookies: Cookies,
    exchange: ExchangeType,
    message_id: u32,
    mut chain: Chain,
) -> (Bytes, Iv) {
    chain.pad(cipher.block_len());
    let header = Header { flags: Flags::ENCRYPTED, next_payload: chain.first, ..plain_header(cookies, exchange) };
    let next_iv = cipher.encrypt(iv, &mut chain.bytes).expect("a chain is not empty and padded to whole blocks");
    let header = Header { message_id, ..header };
    (header.message(&chain.bytes).expect("messages are bounded").into(), next_iv)
}

/// The header of a message that is not encrypted.
pub(crate) fn plain_header(cookies: Cookies, exchange: ExchangeType) -> Header {
    Header {
        initiator_cookie: cookies.initiator,
        responder_cookie: Some(cookies.responder),
        next_payload: None,
        minor_version: 0,
        exchange,
        flags: Flags::NONE,
        message_id: 0,
    }
}

/// A message ID for an exchange that we begin; zero is phase 1's.
pub(crate) fn new_message_id(random: &mut dyn Random) -> u32 {
    loop {
        let mut id = [0; 4];
        random.fill(&mut id);
        if id != [0; 4] {
            return u32::from_be_bytes(id);
        }
    }
}
