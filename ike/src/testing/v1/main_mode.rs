//! Phase 1 of the initiator: main mode and aggressive mode, RFC 2409 sections 5.1, 5.4, RFC 3947 section 3.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::cert::{Role, verify_chain};
use crate::crypto::cbc::Iv;
use crate::crypto::dh::{Group, KeyPair};
use crate::crypto::hash::Hash;
use crate::crypto::secret::Secret;
use crate::crypto::sign::SigningKey;
use crate::crypto::suite::Encr;
use crate::wire::header::HEADER_LEN;
use crate::wire::num::{CertEncoding, ExchangeType, GroupId};
use crate::wire::v1::num::{IsakmpAuth, IsakmpEncr, IsakmpHash, PayloadType};
use crate::wire::v1::{
    Certificate, Chain, ChainBuilder, Flags, Hash as HashPayload, Header, Identification, KeyExchange, MessageBuilder,
    NatDetection, Nonce, Payload, Payloads, SecurityAssociation, Signature, VendorId, vid,
};
use crate::wire::{IkeSpi, Writer};

use super::client::{Awaited, V1Client, V1End};
use super::config::{V1Id, V1Login};
use super::isakmp::{Envelope, IsakmpSa, Opened};
use super::keys::{PhaseOneKeys, Suite, Transcript, nat_hash};
use super::offer::{Dialect, isakmp_offer};

/// How long a client waits for the questions of XAuth.
const LOGIN_LIMIT: Duration = Duration::from_secs(60);

/// Port of IKE behind a NAT, RFC 3947 section 4.
pub(super) const NAT_T_PORT: u16 = 4500;

/// A phase 1 that is not over.
pub(super) struct Handshake {
    cookie: IkeSpi,
    nonce: Vec<u8>,
    offer: Vec<u8>,
    pair: Option<KeyPair>,
    chosen: Option<Chosen>,
    responder: Option<IkeSpi>,
    keyed: Option<Keyed>,
    /// Messages of the server that were dealt with, and the answers to them.
    done: Vec<(Vec<u8>, Vec<Bytes>)>,
    peer_does_dpd: bool,
}

/// What the server chose.
#[derive(Clone, Copy)]
struct Chosen {
    suite: Suite,
    group: Group,
    auth: IsakmpAuth,
}

/// Both public values are known.
struct Keyed {
    transcript: Transcript,
    keys: PhaseOneKeys,
    iv: Iv,
}

impl V1Client {
    pub(super) fn begin_phase_one(&mut self, now: Instant) {
        let cookie = IkeSpi(self.array());
        let nonce = self.bytes(self.config.nonce_len);
        let offer = isakmp_offer(&self.config.isakmp, self.config.dialect, self.config.isakmp_life);
        let body = offer.to_body().expect("short");
        let pair = self.config.aggressive.then(|| {
            let group = self.config.isakmp.first().expect("something is offered").group;
            self.key_pair(Group::from_id(GroupId(group)).expect("a group that can be computed"))
        });
        let exchange = if pair.is_some() { ExchangeType::AGGRESSIVE } else { ExchangeType::IDENTITY_PROTECTION };
        let mut builder = MessageBuilder::new(&self.plain_header(cookie, None, exchange));
        builder.push(&Payload::SecurityAssociation(offer));
        let identity = self.config.identity.clone();
        if let Some(pair) = &pair {
            builder.push(&Payload::KeyExchange(KeyExchange(pair.public())));
            builder.push(&Payload::Nonce(Nonce(&nonce)));
            builder.push(&Payload::Identification(identification(&identity)));
        }
        // Windows says that it knows of no earlier SA only if that is so.
        let is_told = |id: &&Vec<u8>| !self.rekeying || id.as_slice() != vid::MS_INITIAL_CONTACT;
        for id in self.config.vendor_ids.iter().filter(is_told) {
            builder.push(&Payload::VendorId(VendorId(id)));
        }
        let message = builder.finish().expect("short");
        self.handshake = Some(Handshake {
            cookie,
            nonce,
            offer: body,
            pair,
            chosen: None,
            responder: None,
            keyed: None,
            done: Vec::new(),
            peer_does_dpd: false,
        });
        self.expect(now, Awaited::PhaseOne(cookie), message);
    }

    pub(super) fn phase_one(&mut self, now: Instant, header: &Header, message: &[u8]) {
        let digest = Hash::Sha256.digest(&[message]);
        let of_sa = |sa: &IsakmpSa| sa.cookies.0 == header.initiator_cookie;
        let done = match &self.handshake {
            Some(handshake) if handshake.cookie == header.initiator_cookie => &handshake.done,
            _ => match self.sas.iter().find(|sa| of_sa(sa)) {
                Some(sa) => &sa.done,
                None => return,
            },
        };
        if let Some((_, answer)) = done.iter().find(|(known, _)| *known == digest) {
            let answer = answer.clone();
            return self.send(&answer);
        }
        // A copy of the first message may have got an answer with another cookie; that one leads nowhere.
        let is_ours = |handshake: &mut Handshake| {
            let responder = handshake.responder;
            handshake.cookie == header.initiator_cookie && (responder.is_none() || responder == header.responder_cookie)
        };
        let Some(mut handshake) = self.handshake.take_if(is_ours) else { return };
        let step = match (&handshake.chosen, &handshake.keyed, header.exchange) {
            (None, _, ExchangeType::AGGRESSIVE) => self.aggressive_answer(now, &mut handshake, header, message),
            (None, ..) => self.second(now, &mut handshake, header, message),
            (Some(_), None, _) => self.fourth(now, &mut handshake, header, message),
            (Some(_), Some(_), _) => {
                return match self.sixth(&handshake, header, message) {
                    Ok(Some(last)) => self.established(now, handshake, last, digest, Vec::new()),
                    Ok(None) => self.handshake = Some(handshake),
                    Err(problem) => self.finish(V1End::Distrust(problem)),
                };
            }
        };
        match step {
            Ok(Some(answer)) if header.exchange == ExchangeType::AGGRESSIVE => {
                let last = handshake.keyed.as_ref().expect("just keyed").iv.clone();
                self.established(now, handshake, last, digest, answer);
            }
            Ok(Some(answer)) => {
                handshake.done.push((digest, answer));
                self.handshake = Some(handshake);
            }
            Ok(None) => self.handshake = Some(handshake),
            Err(problem) => self.finish(V1End::Distrust(problem)),
        }
    }

    /// Message 2: the choice. Answered by message 3.
    fn second(&mut self, now: Instant, handshake: &mut Handshake, header: &Header, message: &[u8]) -> Step {
        let Some(payloads) = plain(header, message) else { return Ok(None) };
        let only_vendor_ids = payloads.iter().skip(1).all(|payload| payload.kind() == PayloadType::VENDOR_ID);
        if self.config.dialect == Dialect::Racoon && !only_vendor_ids {
            return Err("message 2 has other payloads than SA and vendor IDs");
        }
        self.read_choice(handshake, header, &payloads)?;
        let (chosen, responder) = (handshake.chosen.ok_or("no choice")?, handshake.responder.ok_or("no cookie")?);
        let pair = self.key_pair(chosen.group);
        let cookies = (handshake.cookie, responder);
        let mut builder =
            MessageBuilder::new(&self.plain_header(cookies.0, Some(responder), ExchangeType::IDENTITY_PROTECTION));
        builder.push(&Payload::KeyExchange(KeyExchange(pair.public())));
        builder.push(&Payload::Nonce(Nonce(&handshake.nonce)));
        let nat_d = self.own_nat_d(chosen.suite.hash, cookies);
        for hash in &nat_d {
            let numbering = self.config.nat_t.expect("there are NAT-D payloads");
            builder.push(&Payload::NatDetection(NatDetection { numbering, hash }));
        }
        handshake.pair = Some(pair);
        let message = builder.finish().expect("short");
        Ok(Some(self.expect(now, Awaited::PhaseOne(handshake.cookie), message)))
    }

    /// Message 4: the server's public value. Answered by message 5.
    fn fourth(&mut self, now: Instant, handshake: &mut Handshake, header: &Header, message: &[u8]) -> Step {
        let Some(payloads) = plain(header, message) else { return Ok(None) };
        let is_nat = self.read_nat(handshake, &payloads);
        self.agree(handshake, &payloads)?;
        if is_nat {
            self.float();
        }
        let chosen = handshake.chosen.ok_or("no choice")?;
        let keyed = handshake.keyed.as_mut().ok_or("no keys")?;
        let chain = self.proof(chosen.auth, keyed)?;
        let envelope = self.envelope(ExchangeType::IDENTITY_PROTECTION, 0);
        let cookies = keyed.transcript.cookies;
        let message = IsakmpSa::seal(&keyed.keys, cookies, &mut keyed.iv, chain, &envelope, &mut self.random);
        Ok(Some(self.expect(now, Awaited::PhaseOne(handshake.cookie), message)))
    }

    /// Message 6: the server's proof. Gives back the last ciphertext block.
    fn sixth(&self, handshake: &Handshake, header: &Header, message: &[u8]) -> Result<Option<Iv>, &'static str> {
        let keyed = handshake.keyed.as_ref().ok_or("no keys")?;
        let Some(opened) = IsakmpSa::open(&keyed.keys, &keyed.iv, header, message) else { return Ok(None) };
        let Opened { first, plaintext, next } = &opened;
        let Ok(payloads) = Payloads::parse(*first, plaintext) else { return Ok(None) };
        self.check_proof(handshake, &payloads)?;
        Ok(Some(next.clone()))
    }

    /// The second message of aggressive mode, answered by the third.
    fn aggressive_answer(&mut self, _now: Instant, handshake: &mut Handshake, header: &Header, message: &[u8]) -> Step {
        let Some(payloads) = plain(header, message) else { return Ok(None) };
        self.read_choice(handshake, header, &payloads)?;
        let is_nat = self.read_nat(handshake, &payloads);
        self.agree(handshake, &payloads)?;
        self.check_proof(handshake, &payloads)?;
        let chosen = handshake.chosen.ok_or("no choice")?;
        let keyed = handshake.keyed.as_mut().ok_or("no keys")?;
        let id_body = identification(&self.config.identity).to_body();
        let hash = keyed.keys.hash_i(&keyed.transcript, &id_body);
        let mut chain = ChainBuilder::new();
        chain.push(&Payload::Hash(HashPayload(hash.expose())));
        let nat_d = self.own_nat_d(chosen.suite.hash, keyed.transcript.cookies);
        for hash in &nat_d {
            let numbering = self.config.nat_t.expect("there are NAT-D payloads");
            chain.push(&Payload::NatDetection(NatDetection { numbering, hash }));
        }
        if is_nat {
            self.float();
        }
        let chain = chain.finish().expect("short");
        let envelope = self.envelope(ExchangeType::AGGRESSIVE, 0);
        let cookies = keyed.transcript.cookies;
        let message = IsakmpSa::seal(&keyed.keys, cookies, &mut keyed.iv, chain, &envelope, &mut self.random);
        Ok(Some(self.send_once(message)))
    }

    /// Takes the choice, which has to be one of our transforms, byte for byte.
    fn read_choice(
        &mut self,
        handshake: &mut Handshake,
        header: &Header,
        payloads: &Payloads<'_>,
    ) -> Result<(), &'static str> {
        let sa = payloads.iter().find_map(|payload| match payload {
            Payload::SecurityAssociation(sa) => Some(sa),
            _ => None,
        });
        let [proposal] = sa.ok_or("no SA payload")?.proposals.as_slice() else { return Err("not one proposal") };
        let [transform] = proposal.transforms.as_slice() else { return Err("not one transform") };
        let ours = SecurityAssociation::parse(&handshake.offer).map_err(|_| "our own offer")?;
        let [ours] = ours.proposals.as_slice() else { return Err("our own offer") };
        if proposal.number != ours.number || !ours.transforms.contains(transform) {
            return Err("the choice is not one of the offers as it was written");
        }
        let number = |kind| transform.attributes.find(kind).and_then(crate::wire::v1::Attribute::number_u16);
        let encr = Encr::from_isakmp(IsakmpEncr(number(1).ok_or("no cipher")?), number(14)).ok_or("cipher")?;
        let hash = Hash::from_isakmp(IsakmpHash(number(2).ok_or("no hash")?)).ok_or("hash")?;
        let group = Group::from_id(GroupId(number(4).ok_or("no group")?)).ok_or("group")?;
        let auth = IsakmpAuth(number(3).ok_or("no method")?);
        handshake.chosen = Some(Chosen { suite: Suite { encr, hash }, group, auth });
        handshake.responder = Some(header.responder_cookie.ok_or("no responder cookie")?);
        handshake.peer_does_dpd = payloads.has_vendor_id(vid::DPD);
        self.observed.vendor_ids = payloads.vendor_ids().map(|id| id.0.to_vec()).collect();
        Ok(())
    }

    /// Takes public value and nonce of the server, and computes the keys.
    fn agree(&mut self, handshake: &mut Handshake, payloads: &Payloads<'_>) -> Result<(), &'static str> {
        let (mut public, mut nonce) = (None, None);
        for payload in payloads.iter() {
            match payload {
                Payload::KeyExchange(ke) => public = Some(ke.0.to_vec()),
                Payload::Nonce(n) => nonce = Some(n.0.to_vec()),
                _ => {}
            }
        }
        let (public_r, nonce_r) = (public.ok_or("no public value")?, nonce.ok_or("no nonce")?);
        let pair = handshake.pair.take().ok_or("no key pair")?;
        let public_i = pair.public().to_vec();
        let shared: Secret = pair.agree(&public_r).map_err(|_| "public value")?;
        let cookies = (handshake.cookie, handshake.responder.ok_or("no cookie")?);
        let (nonce_i, sa) = (handshake.nonce.clone(), handshake.offer.clone());
        let transcript = Transcript { cookies, public_i, public_r, nonce_i, nonce_r, sa };
        let psk = match &self.config.login {
            V1Login::Psk(psk) => Some(psk.as_slice()),
            V1Login::Certificate { .. } => None,
        };
        let chosen = handshake.chosen.ok_or("no choice")?;
        let keys = PhaseOneKeys::derive(chosen.suite, &transcript, &shared, psk);
        let iv = keys.first_iv(&transcript);
        handshake.keyed = Some(Keyed { transcript, keys, iv });
        Ok(())
    }

    /// ID with HASH, or with certificates and SIG.
    fn proof(&mut self, auth: IsakmpAuth, keyed: &Keyed) -> Result<Chain, &'static str> {
        let identity = self.config.identity.clone();
        let id = identification(&identity);
        let hash = keyed.keys.hash_i(&keyed.transcript, &id.to_body());
        let mut chain = ChainBuilder::new();
        chain.push(&Payload::Identification(id));
        match &self.config.login {
            V1Login::Psk(_) => {
                chain.push(&Payload::Hash(HashPayload(hash.expose())));
            }
            V1Login::Certificate { key_pem, chain: certificates, .. } => {
                let key = SigningKey::from_pem(key_pem).expect("the test's key is valid");
                debug_assert!(auth != IsakmpAuth::PRE_SHARED_KEY);
                for data in certificates {
                    let encoding = CertEncoding::X509_SIGNATURE;
                    chain.push(&Payload::Certificate(Certificate { encoding, data }));
                }
                let value = key.sign_hash(hash.expose(), &mut self.random).map_err(|_| "signing failed")?;
                chain.push(&Payload::Signature(Signature(&value)));
            }
        }
        Ok(chain.finish().expect("short"))
    }

    fn check_proof(&self, handshake: &Handshake, payloads: &Payloads<'_>) -> Result<(), &'static str> {
        let keyed = handshake.keyed.as_ref().ok_or("no keys")?;
        let id = payloads.entries().iter().find(|entry| entry.payload.kind() == PayloadType::IDENTIFICATION);
        let id = id.ok_or("the server sent no ID")?;
        let expected = keyed.keys.hash_r(&keyed.transcript, id.body);
        let V1Login::Certificate { authorities, .. } = &self.config.login else {
            let hash = payloads.iter().find_map(|payload| match payload {
                Payload::Hash(hash) => Some(hash.0),
                _ => None,
            });
            let hash = hash.ok_or("the server sent no HASH")?;
            return if expected.ct_eq(hash) { Ok(()) } else { Err("the server's HASH is wrong") };
        };
        let signature = payloads.iter().find_map(|payload| match payload {
            Payload::Signature(signature) => Some(signature.0),
            _ => None,
        });
        let certificates: Vec<&[u8]> = payloads.certificates().map(|certificate| certificate.data).collect();
        let (end_entity, others) = certificates.split_first().ok_or("the server sent no certificate")?;
        let verified = verify_chain(end_entity, others, authorities, self.wall, Role::Server);
        let verified = verified.map_err(|_| "the server's certificate is not trusted")?;
        let method = verified.isakmp_method().ok_or("a key without a method")?;
        let signature = signature.ok_or("the server sent no SIG")?;
        verified.verify_hash(method, expected.expose(), signature).map_err(|_| "the server's SIG is wrong")
    }

    fn established(&mut self, now: Instant, mut handshake: Handshake, last: Iv, digest: Vec<u8>, answer: Vec<Bytes>) {
        self.answered(Awaited::PhaseOne(handshake.cookie));
        handshake.done.push((digest, answer));
        let Some(Keyed { transcript, keys, .. }) = handshake.keyed else { return };
        let cookies = transcript.cookies;
        self.sas.push(IsakmpSa {
            cookies,
            keys,
            last,
            exchanges: BTreeMap::new(),
            done: handshake.done,
            peer_does_dpd: handshake.peer_does_dpd,
            probe_sequence: 0,
            is_up: false,
            asked_for_settings: false,
        });
        if std::mem::take(&mut self.rekeying) {
            self.drop_older(cookies.0);
        } else if self.config.initial_contact {
            self.initial_contact();
        }
        if self.config.xauth.is_none() {
            self.phase_one_is_up(now);
        } else {
            self.login_until = Some(now + LOGIN_LIMIT);
        }
    }

    /// Nothing is left to be proven: settings, then quick mode, then what else was to be done.
    pub(super) fn phase_one_is_up(&mut self, now: Instant) {
        self.login_until = None;
        let Some(sa) = self.sas.last_mut() else { return };
        if !sa.asked_for_settings && !self.config.mode_config.is_empty() {
            sa.asked_for_settings = true;
            return self.request_settings(now);
        }
        sa.is_up = true;
        if self.children.is_empty() { self.begin_quick_mode(now, None) } else { self.next_task(now) }
    }

    /// Hashes of the server's and of our own address, as we see them.
    fn own_nat_d(&mut self, hash: Hash, cookies: (IkeSpi, IkeSpi)) -> Vec<Vec<u8>> {
        if self.config.nat_t.is_none() {
            return Vec::new();
        }
        let hashes = [self.path.peer, self.path.local].map(|address| nat_hash(hash, cookies, address)).to_vec();
        self.observed.own_nat_d.clone_from(&hashes);
        hashes
    }

    /// Whether the server's NAT-D payloads say that somebody is behind NAT.
    fn read_nat(&mut self, handshake: &Handshake, payloads: &Payloads<'_>) -> bool {
        let (Some(numbering), Some(chosen), Some(responder)) =
            (self.config.nat_t, handshake.chosen, handshake.responder)
        else {
            return false;
        };
        let hashes: Vec<Vec<u8>> =
            payloads.nat_detections().filter(|d| d.numbering == numbering).map(|d| d.hash.to_vec()).collect();
        let own = |address| nat_hash(chosen.suite.hash, (handshake.cookie, responder), address);
        let is_nat = match hashes.split_first() {
            Some((ours, theirs)) => *ours != own(self.path.local) || !theirs.contains(&own(self.path.peer)),
            None => false,
        };
        self.observed.nat_d = hashes;
        is_nat
    }

    fn float(&mut self) {
        self.path.local.set_port(NAT_T_PORT);
        self.path.peer.set_port(NAT_T_PORT);
    }

    pub(super) fn envelope(&self, exchange: ExchangeType, message_id: u32) -> Envelope {
        Envelope {
            exchange,
            message_id,
            commit: self.config.commit && exchange == ExchangeType::QUICK_MODE,
            over_padding: self.config.over_padding,
            minor_version: self.config.minor_version,
        }
    }

    pub(super) fn handshake_cookie(&self) -> Option<IkeSpi> {
        self.handshake.as_ref().map(|handshake| handshake.cookie)
    }

    fn plain_header(&self, initiator: IkeSpi, responder: Option<IkeSpi>, exchange: ExchangeType) -> Header {
        Header {
            initiator_cookie: initiator,
            responder_cookie: responder,
            next_payload: None,
            minor_version: self.config.minor_version,
            exchange,
            flags: Flags::NONE,
            message_id: 0,
        }
    }
}

/// The messages that answer, or `None` if the message was no reason to do anything.
type Step = Result<Option<Vec<Bytes>>, &'static str>;

fn plain<'a>(header: &Header, message: &'a [u8]) -> Option<Payloads<'a>> {
    if header.flags.encryption {
        return None;
    }
    Payloads::parse(header.next_payload, message.get(HEADER_LEN..)?).ok()
}

pub(super) fn identification(id: &V1Id) -> Identification<'_> {
    Identification { id_type: id.id_type, protocol: id.protocol, port: id.port, data: &id.data }
}

/// The body of an identification as it is sent.
pub(super) fn id_body(id: &V1Id) -> Vec<u8> {
    let mut out = Writer::new();
    identification(id).emit(&mut out);
    out.finish().expect("short")
}
