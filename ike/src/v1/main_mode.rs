//! Main mode, RFC 2409 section 5: the six messages that end with an authenticated ISAKMP SA.
//!
//! ```text
//! 1 SA, VID                 ->  First (the ring)
//! 2                         <-  SA, VID
//! 3 KE, Ni, NAT-D           ->  Handshake: the first thing that costs us something
//! 4                         <-  KE, Nr, NAT-D
//! 5 ID, HASH or SIG         ->  encrypted; proves the client
//! 6                         <-  ID, HASH or SIG
//! ```
//!
//! Does not: send anything twice by itself. A message of the client that comes again gets the same answer again.

use std::time::Instant;

use bytes::Bytes;

use crate::crypto::dh::KeyPair;
use crate::crypto::hash::Hash;
use crate::crypto::random::Random;
use crate::event::Path;
use crate::refusal::RefusalReason;
use crate::v2::Context;
use crate::wire::Malformed;
use crate::wire::header::{ExchangeType, HEADER_LEN};
use crate::wire::num::CertEncoding;
use crate::wire::v1::num::NotifyType;
use crate::wire::v1::{
    CertificateRequest, Header, KeyExchange, MessageBuilder, NatDetection, Nonce, Notify, Payload, Payloads,
    SecurityAssociation, VendorId,
};

use super::authentication::{self, Authenticated, Proof};
use super::choice::{self, Phase1Choice, Rules, is_psk};
use super::config::V1Config;
use super::fragments;
use super::keys::{Cookies, Nonces, PublicValues, Suite};
use super::natt::{Detection, Nat};
use super::phase1::plain_header;
use super::ring::First;
use super::vendor_ids::Announced;

/// Length of our nonces in bytes.
pub(crate) const NONCE_LEN: usize = 32;

/// Fifth messages that do not decrypt, after which no more are tried.
const MAX_FAILURES: u32 = 8;

/// A first message that will not do: why, and whether the client is told.
pub(crate) struct Unacceptable {
    pub(crate) reason: RefusalReason,
    pub(crate) notify: Option<NotifyType>,
}

/// The third message is answered; the client has yet to prove who it is.
pub(crate) struct Handshake {
    pub(crate) cookies: Cookies,
    pub(crate) path: Path,
    pub(crate) suite: Suite,
    pub(crate) announced: Announced,
    pub(crate) nat: Nat,
    pub(crate) since: Instant,
    pub(crate) deadline: Instant,
    pub(crate) lifetime: std::time::Duration,
    /// The digest of the third message, and the fourth.
    third: (Vec<u8>, Bytes),
    pub(crate) exchange: Exchange,
    /// The digest of the last fifth message that did not decrypt.
    failed: Option<Vec<u8>>,
    failures: u32,
}

/// What both sides have sent.
pub(crate) struct Transcript {
    /// `SAi_b`.
    pub(crate) sa: Vec<u8>,
    pub(crate) public_i: Vec<u8>,
    pub(crate) public_r: Vec<u8>,
    pub(crate) nonce_i: Vec<u8>,
    pub(crate) nonce_r: Vec<u8>,
}

/// The Diffie-Hellman exchange; the secret is computed when the fifth message comes, and once only.
pub(crate) struct Exchange {
    pub(crate) transcript: Transcript,
    secret: Agreement,
}

enum Agreement {
    Pending(KeyPair),
    Done(crate::crypto::secret::Secret),
    Failed,
}

impl Transcript {
    pub(crate) fn nonces(&self) -> Nonces<'_> {
        Nonces { initiator: &self.nonce_i, responder: &self.nonce_r }
    }

    pub(crate) fn public(&self) -> PublicValues<'_> {
        PublicValues { initiator: &self.public_i, responder: &self.public_r }
    }
}

impl Exchange {
    pub(crate) fn new(transcript: Transcript, pair: KeyPair) -> Self {
        Self { transcript, secret: Agreement::Pending(pair) }
    }

    /// `g^xy`.
    pub(crate) fn secret(&mut self) -> Result<(&Transcript, &crate::crypto::secret::Secret), RefusalReason> {
        if matches!(self.secret, Agreement::Pending(_)) {
            let Agreement::Pending(pair) = std::mem::replace(&mut self.secret, Agreement::Failed) else {
                return Err(RefusalReason::KeyExchange);
            };
            let secret = pair.agree(&self.transcript.public_i).map_err(|_| RefusalReason::KeyExchange)?;
            self.secret = Agreement::Done(secret);
        }
        match &self.secret {
            Agreement::Done(secret) => Ok((&self.transcript, secret)),
            Agreement::Pending(_) | Agreement::Failed => Err(RefusalReason::KeyExchange),
        }
    }
}

/// What a first message asks for, of main or aggressive mode.
pub(crate) struct Wish<'a> {
    pub(crate) payloads: Payloads<'a>,
    pub(crate) sa: SecurityAssociation<'a>,
    /// `SAi_b`.
    pub(crate) sa_body: &'a [u8],
    pub(crate) announced: Announced,
}

impl<'a> Wish<'a> {
    /// Reads the payloads of a first message: SA comes first, RFC 2408 section 4.
    pub(crate) fn read(header: &Header, message: &'a [u8]) -> Result<Self, RefusalReason> {
        let payloads = plain_payloads(header, message).map_err(RefusalReason::Malformed)?;
        let mut found = payloads.entries().iter().filter_map(|entry| match &entry.payload {
            Payload::SecurityAssociation(sa) => Some((sa.clone(), entry.body)),
            _ => None,
        });
        let problem = |problem| RefusalReason::Payloads { problem };
        let (sa, sa_body) = found.next().ok_or_else(|| problem("SA is missing"))?;
        if found.next().is_some() {
            return Err(problem("SA is there twice"));
        }
        drop(found);
        let announced = Announced::read(&payloads);
        Ok(Self { payloads, sa, sa_body, announced })
    }

    /// Chooses a transform.
    pub(crate) fn choose(&self, ctx: &Context<'_>, config: &V1Config) -> Result<Phase1Choice<'_, 'a>, Unacceptable> {
        let rules = Rules::new(&ctx.config.policy, config.legacy);
        let accepts = |auth| authentication::accepts(ctx.config, config, auth);
        choice::phase1(rules, accepts, &self.sa).map_err(|mismatch| {
            let switch = |l2tp, xauth| {
                let config = V1Config { l2tp, xauth, ..config.clone() };
                choice::phase1(rules, |auth| authentication::accepts(ctx.config, &config, auth), &self.sa).is_ok()
            };
            let reason = match () {
                () if rules.lacks_legacy_only(|rules| choice::phase1(rules, accepts, &self.sa).is_ok()) => {
                    let policy = crate::proposal::PolicyName::LegacyAndroid;
                    RefusalReason::LegacyOnly { policy, mismatch }
                }
                () if !config.xauth && switch(config.l2tp, true) => RefusalReason::XAuthDisabled,
                () if !config.l2tp && switch(true, config.xauth) => RefusalReason::L2tpDisabled,
                () => RefusalReason::V1Phase1Proposal(mismatch),
            };
            Unacceptable { reason, notify: Some(NotifyType::NO_PROPOSAL_CHOSEN) }
        })
    }
}

/// Takes the first message: chooses a transform and answers with it.
pub(crate) fn first(
    ctx: &mut Context<'_>,
    config: &V1Config,
    path: Path,
    (header, message): (&Header, &[u8]),
) -> Result<First, Unacceptable> {
    let wish = Wish::read(header, message).map_err(|reason| Unacceptable { reason, notify: None })?;
    let choice = wish.choose(ctx, config)?;
    let cookies = Cookies { initiator: header.initiator_cookie, responder: ctx.new_ike_spi() };
    let mut answer = MessageBuilder::new(&plain_header(cookies, ExchangeType::IDENTITY_PROTECTION));
    let chosen = SecurityAssociation::chosen(choice.proposal, choice.transform, &[]);
    answer.push(&Payload::SecurityAssociation(chosen));
    // Nothing but SA and vendor IDs: racoon drops a second message that has anything else.
    for id in wish.announced.answer(config, choice.suite.auth) {
        answer.push(&Payload::VendorId(VendorId(id)));
    }
    let answer = answer.finish().expect("one transform came in a message and fits into another");
    Ok(First {
        cookies,
        peer: path.peer,
        since: ctx.now,
        digest: Hash::Sha256.digest(&[message]),
        answer: answer.into(),
        suite: choice.suite,
        lifetime: choice.lifetime,
        sa: wish.sa_body.to_vec(),
        announced: wish.announced.clone(),
    })
}

/// What the third message brings.
struct Third {
    public: Vec<u8>,
    nonce: Vec<u8>,
    nat_d: Vec<Vec<u8>>,
}

impl Third {
    fn read(payloads: &Payloads<'_>) -> Result<Self, RefusalReason> {
        let problem = |problem| RefusalReason::Payloads { problem };
        let (mut public, mut nonce) = (None, None);
        for payload in payloads.iter() {
            let twice = match payload {
                Payload::KeyExchange(ke) => public.replace(ke.0.to_vec()).is_some(),
                Payload::Nonce(value) => nonce.replace(value.0.to_vec()).is_some(),
                _ => false,
            };
            if twice {
                return Err(problem("KE or NONCE is there twice"));
            }
        }
        Ok(Self {
            public: public.ok_or_else(|| problem("KE is missing"))?,
            nonce: nonce.ok_or_else(|| problem("NONCE is missing"))?,
            nat_d: payloads.nat_detections().map(|nat_d| nat_d.hash.to_vec()).collect(),
        })
    }
}

impl Handshake {
    /// Takes the third message: makes our half of the Diffie-Hellman exchange and answers with it.
    pub(crate) fn third(
        ctx: &mut Context<'_>,
        config: &V1Config,
        first: First,
        path: Path,
        (header, message): (&Header, &[u8]),
    ) -> Result<Self, RefusalReason> {
        let payloads = plain_payloads(header, message).map_err(RefusalReason::Malformed)?;
        let third = Third::read(&payloads)?;
        let First { cookies, suite, announced, .. } = first;
        if third.public.len() != suite.group.public_len() {
            return Err(RefusalReason::KeyExchange);
        }
        let detection = Detection { hash: suite.hash, cookies, path, received: &third.nat_d };
        let nat = detection.detect(announced.nat_numbering(), config.force_udp_encap);
        let pair = KeyPair::generate(suite.group, &mut *ctx.shared.random);
        let nonce_r = new_nonce(&mut *ctx.shared.random);
        let mut answer = MessageBuilder::new(&plain_header(cookies, ExchangeType::IDENTITY_PROTECTION));
        answer.push(&Payload::KeyExchange(KeyExchange(pair.public())));
        answer.push(&Payload::Nonce(Nonce(&nonce_r)));
        if !is_psk(suite.auth) && ctx.config.client_authorities.is_some() {
            // No name means any authority, which also keeps the message short.
            let request = CertificateRequest { encoding: CertEncoding::X509_SIGNATURE, authority: &[] };
            answer.push(&Payload::CertificateRequest(request));
        }
        let hashes = detection.answer(nat, announced.windows, &mut *ctx.shared.random);
        if let Some(numbering) = nat.numbering {
            for hash in &hashes {
                answer.push(&Payload::NatDetection(NatDetection { numbering, hash }));
            }
        }
        let answer: Bytes = answer.finish().expect("the fourth message is bounded").into();
        let public_r = pair.public().to_vec();
        let transcript = Transcript { sa: first.sa, public_i: third.public, public_r, nonce_i: third.nonce, nonce_r };
        Ok(Self {
            cookies,
            path,
            suite,
            announced,
            nat,
            since: first.since,
            deadline: ctx.now + ctx.config.timing.half_open,
            lifetime: first.lifetime,
            third: (Hash::Sha256.digest(&[message]), answer),
            exchange: Exchange::new(transcript, pair),
            failed: None,
            failures: 0,
        })
    }

    /// The fourth message.
    pub(crate) fn answer(&self) -> Bytes {
        self.third.1.clone()
    }

    /// The fourth message, if this is the third one again.
    pub(crate) fn again(&self, message: &[u8]) -> Option<Bytes> {
        (Hash::Sha256.digest(&[message]) == self.third.0).then(|| self.answer())
    }

    /// Whether a fifth message has come that did not decrypt.
    pub(crate) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Whether the client stopped where Windows does in front of a gateway that is behind a translation.
    pub(crate) fn looks_like_windows_behind_nat(&self) -> bool {
        self.announced.windows && self.nat.self_behind && self.failures == 0
    }

    /// Takes the fifth message. `Ok(None)` if it is a copy of one that was refused, or one too many.
    pub(crate) fn fifth(
        &mut self,
        ctx: &mut Context<'_>,
        path: Path,
        (header, message): (&Header, &[u8]),
    ) -> Result<Option<Authenticated>, RefusalReason> {
        let digest = Hash::Sha256.digest(&[message]);
        if self.failed.as_ref() == Some(&digest) || self.failures >= MAX_FAILURES {
            return Ok(None);
        }
        let body = message.get(HEADER_LEN..).unwrap_or_default();
        let result = self.exchange.secret().and_then(|(transcript, shared)| {
            let proof = Proof { cookies: self.cookies, suite: self.suite, transcript, shared };
            authentication::fifth(ctx, &proof, path, (header.next_payload, body))
        });
        result.map(Some).inspect_err(|_| {
            self.failed = Some(digest);
            self.failures += 1;
        })
    }
}

impl Handshake {
    /// The handshake is over.
    pub(crate) fn done(self, mut authenticated: Authenticated, path: Path, message: &[u8]) -> Done {
        let Self { cookies, suite, announced, nat, since, lifetime, .. } = self;
        if announced.fragments() {
            authenticated.answer = authenticated.answer.iter().flat_map(fragments::split).collect();
        }
        let digest = Hash::Sha256.digest(&[message]);
        Done { cookies, path, suite, announced, nat, since, lifetime, digest, authenticated }
    }
}

/// A handshake of main or aggressive mode that has come to its end.
pub(crate) struct Done {
    pub(crate) cookies: Cookies,
    pub(crate) path: Path,
    pub(crate) suite: Suite,
    pub(crate) announced: Announced,
    pub(crate) nat: Nat,
    pub(crate) since: Instant,
    pub(crate) lifetime: std::time::Duration,
    /// The digest of the client's last message.
    pub(crate) digest: Vec<u8>,
    pub(crate) authenticated: Authenticated,
}

/// A nonce of ours.
pub(crate) fn new_nonce(random: &mut dyn Random) -> Vec<u8> {
    let mut nonce = vec![0; NONCE_LEN];
    random.fill(&mut nonce);
    nonce
}

/// The payloads of a message that is not encrypted.
pub(crate) fn plain_payloads<'a>(header: &Header, message: &'a [u8]) -> Result<Payloads<'a>, Malformed> {
    Payloads::parse(header.next_payload, message.get(HEADER_LEN..).unwrap_or_default())
}

/// A notification that nothing protects, for a client with which there are no keys: never longer than what it answers.
pub(crate) fn unprotected(cookies: Cookies, kind: NotifyType, random: &mut dyn Random) -> Bytes {
    let message_id = super::phase1::new_message_id(random);
    let header = Header { message_id, ..plain_header(cookies, ExchangeType::INFORMATIONAL_V1) };
    let mut message = MessageBuilder::new(&header);
    message.push(&Payload::Notify(Notify::new(kind, &[])));
    message.finish().expect("a notification is short").into()
}
