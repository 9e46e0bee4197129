//! Aggressive mode, RFC 2409 section 5.4: three messages, and the name of the client in the first, so that a pre-shared key
//! can belong to a group of clients. Whoever asks gets a hash of that key, hence a switch of its own.
//!
//! ```text
//! 1 SA, KE, Ni, IDii, VID          ->
//! 2                                <-  SA, KE, Nr, IDir, HASH_R, VID, NAT-D
//! 3 HASH_I, NAT-D                  ->  may be encrypted
//! ```
//!
//! Does not: signatures.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::crypto::cbc::Iv;
use crate::crypto::dh::KeyPair;
use crate::crypto::hash::Hash as Digest;
use crate::event::{AuthenticatedBy, Path};
use crate::identity::Identity;
use crate::refusal::RefusalReason;
use crate::v2::Context;
use crate::wire::header::{ExchangeType, HEADER_LEN};
use crate::wire::v1::{
    Hash, Header, Identification, KeyExchange, MessageBuilder, NatDetection, Nonce, Payload, Payloads,
    SecurityAssociation, VendorId,
};

use super::authentication::{self, Authenticated};
use super::choice::is_psk;
use super::config::V1Config;
use super::keys::{self, Cookies, Keys, Suite};
use super::main_mode::{self, Done, Transcript, Unacceptable, Wish};
use super::natt::{Detection, Nat};
use super::phase1::plain_header;
use super::vendor_ids::Announced;

/// The second message is sent; the client has yet to prove that it has the key.
pub(crate) struct Aggressive {
    pub(crate) cookies: Cookies,
    pub(crate) path: Path,
    pub(crate) suite: Suite,
    pub(crate) announced: Announced,
    pub(crate) since: Instant,
    pub(crate) deadline: Instant,
    pub(crate) lifetime: Duration,
    /// The digest of the first message, and the second.
    first: (Vec<u8>, Bytes),
    transcript: Transcript,
    keys: Keys,
    identity: Option<Identity>,
    /// The body of the client's identification payload.
    id: Vec<u8>,
    pretend: bool,
    has_failed: bool,
}

/// A third message that is right.
pub(crate) struct Verified {
    iv: Iv,
    nat: Nat,
    initial_contact: bool,
}

/// What the first message brings beside SA and vendor IDs.
struct First<'a> {
    public: &'a [u8],
    nonce: &'a [u8],
    id: (Identification<'a>, &'a [u8]),
}

impl<'a> First<'a> {
    fn read(payloads: &Payloads<'a>) -> Result<Self, RefusalReason> {
        let problem = |problem| RefusalReason::Payloads { problem };
        let (mut public, mut nonce, mut id) = (None, None, None);
        for entry in payloads.entries() {
            let twice = match &entry.payload {
                Payload::KeyExchange(value) => public.replace(value.0).is_some(),
                Payload::Nonce(value) => nonce.replace(value.0).is_some(),
                Payload::Identification(value) => id.replace((*value, entry.body)).is_some(),
                _ => false,
            };
            if twice {
                return Err(problem("KE, NONCE or ID is there twice"));
            }
        }
        Ok(Self {
            public: public.ok_or_else(|| problem("KE is missing"))?,
            nonce: nonce.ok_or_else(|| problem("NONCE is missing"))?,
            id: id.ok_or_else(|| problem("ID is missing"))?,
        })
    }
}

impl Aggressive {
    /// Takes the first message.
    pub(crate) fn begin(
        ctx: &mut Context<'_>,
        config: &V1Config,
        path: Path,
        (header, message): (&Header, &[u8]),
    ) -> Result<Self, Unacceptable> {
        let silent = |reason| Unacceptable { reason, notify: None };
        let wish = Wish::read(header, message).map_err(silent)?;
        let choice = wish.choose(ctx, config)?;
        let first = First::read(&wish.payloads).map_err(silent)?;
        let suite = choice.suite;
        if !is_psk(suite.auth) {
            return Err(silent(RefusalReason::Unsupported { what: "aggressive mode with certificates" }));
        }
        let identity = authentication::identity(&first.id.0);
        let psk = match &identity {
            Some(identity) => ctx.config.psks.find(identity, path.peer.ip()),
            None => ctx.config.psks.find_unnamed(path.peer.ip()),
        };
        let psk = psk.ok_or_else(|| silent(RefusalReason::NoPsk))?;
        let cookies = Cookies { initiator: header.initiator_cookie, responder: ctx.new_ike_spi() };
        let pair = KeyPair::generate(suite.group, &mut *ctx.shared.random);
        let transcript = Transcript {
            sa: wish.sa_body.to_vec(),
            public_i: first.public.to_vec(),
            public_r: pair.public().to_vec(),
            nonce_i: first.nonce.to_vec(),
            nonce_r: main_mode::new_nonce(&mut *ctx.shared.random),
        };
        let shared = pair.agree(first.public).map_err(|_| silent(RefusalReason::KeyExchange))?;
        let skeyid = keys::skeyid_psk(suite.prf(), psk, transcript.nonces());
        let keys = Keys::derive(&suite, skeyid, &shared, cookies);

        let own = authentication::own_identity(ctx.config, suite.auth, path);
        let (id_type, data) = authentication::own_id(&own);
        let own = Identification::new(id_type, &data);
        let hash = keys.hash_r(transcript.public(), cookies, &transcript.sa, &own.to_body());
        let mut answer = MessageBuilder::new(&plain_header(cookies, ExchangeType::AGGRESSIVE));
        let chosen = SecurityAssociation::chosen(choice.proposal, choice.transform, &[]);
        answer.push(&Payload::SecurityAssociation(chosen));
        answer.push(&Payload::KeyExchange(KeyExchange(&transcript.public_r)));
        answer.push(&Payload::Nonce(Nonce(&transcript.nonce_r)));
        answer.push(&Payload::Identification(own));
        answer.push(&Payload::Hash(Hash(hash.expose())));
        for id in wish.announced.answer(config, suite.auth) {
            answer.push(&Payload::VendorId(VendorId(id)));
        }
        let announced = wish.announced.clone();
        let detection = Detection { hash: suite.hash, cookies, path, received: &[] };
        if let Some(numbering) = announced.nat_numbering() {
            let pretended = config.force_udp_encap;
            let nat = Nat { numbering: Some(numbering), peer_behind: false, self_behind: false, pretended };
            for hash in detection.answer(nat, false, &mut *ctx.shared.random) {
                answer.push(&Payload::NatDetection(NatDetection { numbering, hash: &hash }));
            }
        }
        let answer = answer.finish().expect("the second message is bounded").into();
        Ok(Self {
            cookies,
            path,
            suite,
            announced,
            since: ctx.now,
            deadline: ctx.now + ctx.config.timing.half_open,
            lifetime: choice.lifetime,
            first: (Digest::Sha256.digest(&[message]), answer),
            id: first.id.1.to_vec(),
            transcript,
            keys,
            identity,
            pretend: config.force_udp_encap,
            has_failed: false,
        })
    }

    /// The second message.
    pub(crate) fn answer(&self) -> Bytes {
        self.first.1.clone()
    }

    /// The second message, if this is the first one again.
    pub(crate) fn again(&self, message: &[u8]) -> Option<Bytes> {
        (Digest::Sha256.digest(&[message]) == self.first.0).then(|| self.answer())
    }

    /// Whether a third message has come that was wrong.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Takes the third message.
    pub(crate) fn third(&mut self, path: Path, header: &Header, message: &[u8]) -> Result<Verified, RefusalReason> {
        let result = self.verify(path, header, message);
        self.has_failed |= result.is_err();
        result
    }

    fn verify(&self, path: Path, header: &Header, message: &[u8]) -> Result<Verified, RefusalReason> {
        let body = message.get(HEADER_LEN..).unwrap_or_default();
        let iv = self.keys.first_iv(self.transcript.public());
        let (plain, iv) = if header.flags.encryption {
            self.keys.cipher.decrypt(&iv, body).map_err(|_| RefusalReason::WrongPsk)?
        } else {
            (body.to_vec(), iv)
        };
        let payloads = Payloads::parse(header.next_payload, &plain).map_err(|_| RefusalReason::WrongPsk)?;
        let mut hashes = payloads.iter().filter_map(|payload| match payload {
            Payload::Hash(hash) => Some(hash.0),
            _ => None,
        });
        let hash = hashes.next().filter(|_| hashes.next().is_none());
        let hash = hash.ok_or(RefusalReason::Payloads { problem: "HASH is missing or there twice" })?;
        let expected = self.keys.hash_i(self.transcript.public(), self.cookies, &self.transcript.sa, &self.id);
        if !expected.ct_eq(hash) {
            return Err(RefusalReason::WrongPsk);
        }
        let received: Vec<Vec<u8>> = payloads.nat_detections().map(|nat_d| nat_d.hash.to_vec()).collect();
        let detection = Detection { hash: self.suite.hash, cookies: self.cookies, path, received: &received };
        let nat = detection.detect(self.announced.nat_numbering(), self.pretend);
        Ok(Verified { iv, nat, initial_contact: authentication::has_initial_contact(&payloads) })
    }

    /// The handshake is over.
    pub(crate) fn done(self, verified: Verified, path: Path, message: &[u8]) -> Done {
        let Verified { iv, nat, initial_contact } = verified;
        let Self { cookies, suite, announced, since, lifetime, keys, identity, id, .. } = self;
        let by = AuthenticatedBy::Psk;
        let (certificates, answer) = Default::default();
        let authenticated = Authenticated { identity, id, by, certificates, initial_contact, keys, iv, answer };
        let digest = Digest::Sha256.digest(&[message]);
        Done { cookies, path, suite, announced, nat, since, lifetime, digest, authenticated }
    }
}
