//! An IKEv2 initiator as a remote client has it: IKE_SA_INIT with COOKIE and INVALID_KE_PAYLOAD, login by pre-shared key,
//! certificate or EAP, rekeying of both kinds, DELETE and liveness, with retransmission.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::cert::{Role, TrustAnchors, UnixTime, verify_chain};
use crate::child_sa::{ChildKeys, ChildSuite};
use crate::crypto::dh::{Group, KeyPair};
use crate::crypto::random::Random;
use crate::crypto::sign::SigningKey;
use crate::crypto::testing::SeededRandom;
use crate::event::{Path, Transmit};
use crate::identity::Identity;
use crate::nat::{NatStatus, detection_hash};
use crate::proposal::{ChildKeyExchange, IkeSuite, Policy, choose_child, choose_ike};
use crate::v2::keys::{self, IkeKeys, Nonces, SpiPair};
use crate::wire::header::{Flags, HEADER_LEN, Header, Version};
use crate::wire::num::{
    AuthMethod, CertEncoding, CpAttr, CpType, EsnId, ExchangeType, GroupId, HashAlgId, NotifyType, ProtocolId,
};
use crate::wire::v2::{
    Authentication, Certificate, ChainBuilder, Configuration, CpAttribute, Delete, Eap, Identification, KeyExchange,
    MessageBuilder, Nonce, Notify, Payload, Payloads, Proposal, SecurityAssociation, Spi, TrafficSelector,
    TrafficSelectors, Transform,
};
use crate::wire::{EspSpi, IkeSpi};

use super::client_sa::{ClientSa, Opened};

/// The longest pause between two transmissions.
const MAX_INTERVAL: Duration = Duration::from_secs(4);

/// How a client proves who it is.
pub enum Login {
    /// By pre-shared key.
    Psk(Vec<u8>),
    /// By certificate: the chain as DER, the key as PEM.
    Certificate {
        /// Own certificate first.
        chain: Vec<Vec<u8>>,
        /// PKCS #8 or other PEM.
        key_pem: Vec<u8>,
    },
    /// By EAP.
    Eap(Box<dyn EapPeer>),
}

/// The client's side of an EAP method.
pub trait EapPeer: Send {
    /// Answers an EAP request.
    fn respond(&mut self, request: &[u8]) -> Vec<u8>;
    /// The master session key, after EAP-Success.
    fn msk(&self) -> Vec<u8>;
}

/// Configuration of a [`Client`].
pub struct ClientConfig {
    /// IDi.
    pub identity: Identity,
    /// IDr, if a certain name is wanted.
    pub server_identity: Option<Identity>,
    /// How to log in.
    pub login: Login,
    /// What to offer; everything in it at once.
    pub policy: Policy,
    /// The group to try first.
    pub guess: Group,
    /// Whether the KE payload of rekeyed Child SAs is there.
    pub pfs: bool,
    /// Authorities for the certificate of the server.
    pub authorities: Option<TrustAnchors>,
    /// What to ask for.
    pub attributes: Vec<CpAttr>,
    /// TSi and TSr.
    pub selectors: (Vec<TrafficSelector>, Vec<TrafficSelector>),
    /// Send INITIAL_CONTACT.
    pub initial_contact: bool,
    /// Announce RFC 7427 hashes.
    pub hashes: Option<Vec<HashAlgId>>,
    /// Announce fragmentation.
    pub fragmentation: bool,
    /// A request is sent again after this long, then after twice as long, and so on.
    pub retransmit: Duration,
    /// So many times in all.
    pub transmissions: u32,
}

impl ClientConfig {
    /// What a road warrior with a pre-shared key wants.
    #[must_use]
    pub fn psk(identity: Identity, psk: &[u8]) -> Self {
        let any = vec![TrafficSelector::ANY_V4, TrafficSelector::ANY_V6];
        Self {
            identity,
            server_identity: None,
            login: Login::Psk(psk.to_vec()),
            policy: Policy::default(),
            guess: Group::Curve25519,
            pfs: false,
            authorities: None,
            attributes: vec![CpAttr::INTERNAL_IP4_ADDRESS, CpAttr::INTERNAL_IP4_DNS],
            selectors: (any.clone(), any),
            initial_contact: false,
            hashes: Some(vec![HashAlgId::SHA2_256, HashAlgId::SHA2_384, HashAlgId::SHA2_512]),
            fragmentation: true,
            retransmit: Duration::from_millis(500),
            transmissions: 6,
        }
    }
}

/// Something to do once the client is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Another Child SA.
    NewChild,
    /// A new Child SA in place of the newest one.
    RekeyChild,
    /// A new IKE SA.
    RekeyIke,
    /// DELETE of the newest Child SA.
    DeleteChild,
    /// An empty INFORMATIONAL.
    Probe,
    /// DELETE of the IKE SA.
    Close,
}

/// Why a client is not in any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The server said so.
    Refused(NotifyType),
    /// EAP-Failure.
    EapFailure,
    /// The server's proof or message is not acceptable.
    Distrust(&'static str),
    /// No answer.
    TimedOut,
    /// The server deleted the IKE SA.
    DeletedByServer,
    /// We did.
    Closed,
}

/// One Child SA as the client has it.
pub struct ClientChild {
    /// The client's inbound SPI.
    pub inbound: EspSpi,
    /// The client's outbound SPI.
    pub outbound: EspSpi,
    /// Algorithms.
    pub suite: ChildSuite,
    /// Keys, from the client's point of view.
    pub keys: ChildKeys,
    /// The client's side.
    pub tsi: Vec<TrafficSelector>,
    /// The server's side.
    pub tsr: Vec<TrafficSelector>,
}

/// The initiator.
pub struct Client {
    config: ClientConfig,
    random: SeededRandom,
    path: Path,
    wall: UnixTime,
    transmits: VecDeque<Transmit>,
    outstanding: Option<Outstanding>,
    tasks: VecDeque<Task>,
    handshake: Option<Handshake>,
    sa: Option<ClientSa>,
    old_sa: Option<ClientSa>,
    is_up: bool,
    end: Option<End>,
    /// After rekeying a Child SA the old one is not deleted.
    pub forgets_to_delete: bool,
    /// What the server refused since the login, in order.
    pub refusals: Vec<NotifyType>,
    /// Child SAs, newest last.
    pub children: Vec<ClientChild>,
    /// What the CFG_REPLY said.
    pub reply: Vec<(CpAttr, Vec<u8>)>,
    /// IDr of the server.
    pub server_identity: Option<Identity>,
    /// Demands of the server in IKE_SA_INIT, in order: COOKIE and INVALID_KE_PAYLOAD.
    pub demands: Vec<NotifyType>,
}

struct Outstanding {
    id: u32,
    on_old: bool,
    waiting: Waiting,
    messages: Vec<Bytes>,
    due: Instant,
    interval: Duration,
    left: u32,
}

/// What the answer to a request is needed for.
enum Waiting {
    Init,
    Auth,
    Child { spi: EspSpi, nonce: Vec<u8>, pair: Option<KeyPair>, replaces: Option<EspSpi> },
    Ike { spi: IkeSpi, nonce: Vec<u8>, pair: KeyPair },
    Delete(Option<EspSpi>),
    DeleteOldIke,
    Probe,
    Close,
}

/// What is known before IKE_AUTH is over.
struct Handshake {
    spi: IkeSpi,
    nonce: Vec<u8>,
    pair: Option<KeyPair>,
    group: Group,
    cookie: Vec<u8>,
    request: Vec<u8>,
    answer: Vec<u8>,
    responder_nonce: Vec<u8>,
    prove: Option<(crate::crypto::secret::Secret, crate::crypto::secret::Secret)>,
    child_spi: EspSpi,
    step: AuthStep,
    peer_hashes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum AuthStep {
    First,
    Eap,
    Final,
}

impl Client {
    /// A client at `path.local` for the server at `path.peer`, both with port 500.
    #[must_use]
    pub fn new(config: ClientConfig, path: Path, seed: u64) -> Self {
        Self {
            config,
            random: SeededRandom::new(seed),
            path,
            wall: UnixTime::from_secs(0),
            transmits: VecDeque::new(),
            outstanding: None,
            tasks: VecDeque::new(),
            handshake: None,
            sa: None,
            old_sa: None,
            is_up: false,
            end: None,
            forgets_to_delete: false,
            refusals: Vec::new(),
            children: Vec::new(),
            reply: Vec::new(),
            server_identity: None,
            demands: Vec::new(),
        }
    }

    /// Begins.
    pub fn start(&mut self, now: Instant, wall: UnixTime) {
        self.wall = wall;
        let spi = IkeSpi(self.bytes());
        let nonce = self.bytes::<32>().to_vec();
        let group = self.config.guess;
        self.handshake = Some(Handshake {
            spi,
            nonce,
            pair: Some(KeyPair::generate(group, &mut self.random)),
            group,
            cookie: Vec::new(),
            request: Vec::new(),
            answer: Vec::new(),
            responder_nonce: Vec::new(),
            prove: None,
            child_spi: EspSpi(0),
            step: AuthStep::First,
            peer_hashes: false,
        });
        self.send_init(now);
    }

    /// Does something more once it can.
    pub fn enqueue(&mut self, now: Instant, task: Task) {
        self.tasks.push_back(task);
        self.next_task(now);
    }

    /// Whether the login succeeded and the IKE SA is still there.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.is_up && self.end.is_none()
    }

    /// Why it is over.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Whether nothing is on its way or waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.outstanding.is_none() && self.tasks.is_empty()
    }

    /// The addresses that were assigned.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let address = |(kind, value): &(CpAttr, Vec<u8>)| match *kind {
            CpAttr::INTERNAL_IP4_ADDRESS => value.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into()),
            CpAttr::INTERNAL_IP6_ADDRESS => value.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into()),
            _ => None,
        };
        self.reply.iter().filter_map(address).collect()
    }

    /// Our own view of the path.
    #[must_use]
    pub fn path(&self) -> Path {
        self.path
    }

    /// Offers something else from now on.
    pub fn set_policy(&mut self, policy: Policy, guess: Group) {
        (self.config.policy, self.config.guess) = (policy, guess);
    }

    /// The next message to send, with the path from the client's point of view.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// When [`Client::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.outstanding.as_ref().map(|outstanding| outstanding.due)
    }

    /// Sends again what was not answered, or gives up.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Some(outstanding) = self.outstanding.as_mut().filter(|outstanding| outstanding.due <= now) else { return };
        if outstanding.left == 0 {
            return self.finish(End::TimedOut);
        }
        outstanding.left -= 1;
        outstanding.interval = (outstanding.interval * 2).min(MAX_INTERVAL);
        outstanding.due = now + outstanding.interval;
        let messages = outstanding.messages.clone();
        self.send(messages);
    }

    /// Takes a message of the server.
    pub fn handle_datagram(&mut self, now: Instant, message: &[u8]) {
        let Ok(header) = Header::parse(message) else { return };
        if self.end.is_some() {
            return;
        }
        if header.exchange == ExchangeType::IKE_SA_INIT {
            return self.init_answer(now, &header, message);
        }
        for old in [false, true] {
            let sa = if old { self.old_sa.as_mut() } else { self.sa.as_mut() };
            if let Some(opened) = sa.and_then(|sa| sa.open(now, &header, message)) {
                return if opened.response { self.answer(now, &opened, old) } else { self.request(&opened, old) };
            }
        }
    }

    // --- IKE_SA_INIT ---

    fn send_init(&mut self, now: Instant) {
        let Some(handshake) = &self.handshake else { return };
        let header = Header {
            initiator_spi: handshake.spi,
            responder_spi: None,
            next_payload: None,
            version: Version::V2,
            exchange: ExchangeType::IKE_SA_INIT,
            flags: Flags { initiator: true, version: false, response: false },
            message_id: 0,
        };
        let mut message = MessageBuilder::new(&header);
        if !handshake.cookie.is_empty() {
            message.push(&Payload::Notify(Notify::new(NotifyType::COOKIE, &handshake.cookie)));
        }
        message.push(&Payload::SecurityAssociation(self.ike_offer(Spi::EMPTY)));
        let public = handshake.pair.as_ref().map(KeyPair::public).unwrap_or_default();
        message.push(&Payload::KeyExchange(KeyExchange { group: handshake.group.id(), data: public }));
        message.push(&Payload::Nonce(Nonce(&handshake.nonce)));
        let source = detection_hash(handshake.spi, None, self.path.local);
        let destination = detection_hash(handshake.spi, None, self.path.peer);
        message.push(&Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_SOURCE_IP, &source)));
        message.push(&Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_DESTINATION_IP, &destination)));
        if self.config.fragmentation {
            message.push(&Payload::Notify(Notify::new(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED, &[])));
        }
        if let Some(hashes) = &self.config.hashes {
            let hashes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0.to_be_bytes()).collect();
            message.push(&Payload::Notify(Notify::new(NotifyType::SIGNATURE_HASH_ALGORITHMS, &hashes)));
        }
        let message = message.finish().expect("tests send short messages");
        if let Some(handshake) = &mut self.handshake {
            handshake.request.clone_from(&message);
        }
        self.expect(now, 0, Waiting::Init, vec![message.into()]);
    }

    fn init_answer(&mut self, now: Instant, header: &Header, message: &[u8]) {
        let waits = matches!(self.outstanding, Some(Outstanding { waiting: Waiting::Init, .. }));
        let Some(handshake) = self.handshake.as_mut().filter(|h| waits && h.spi == header.initiator_spi) else {
            return;
        };
        let chain = message.get(HEADER_LEN..).unwrap_or_default();
        let Ok(payloads) = Payloads::parse(header.next_payload, chain) else { return };
        for payload in &payloads {
            let Payload::Notify(notify) = payload else { continue };
            match notify.kind {
                NotifyType::COOKIE => {
                    self.demands.push(notify.kind);
                    handshake.cookie = notify.data.to_vec();
                    return self.send_init(now);
                }
                NotifyType::INVALID_KE_PAYLOAD => {
                    self.demands.push(notify.kind);
                    let group = notify.data.first_chunk::<2>().map(|group| GroupId(u16::from_be_bytes(*group)));
                    let Some(group) = group.and_then(Group::from_id).filter(|group| *group != handshake.group) else {
                        return self.finish(End::Distrust("a group that we do not have"));
                    };
                    handshake.group = group;
                    handshake.pair = Some(KeyPair::generate(group, &mut self.random));
                    return self.send_init(now);
                }
                kind if kind.is_error() => return self.finish(End::Refused(kind)),
                _ => {}
            }
        }
        if let Err(problem) = self.keys(header, message, &payloads) {
            return self.finish(End::Distrust(problem));
        }
        self.send_auth(now);
    }

    fn keys(&mut self, header: &Header, message: &[u8], payloads: &Payloads<'_>) -> Result<(), &'static str> {
        let handshake = self.handshake.as_mut().ok_or("no handshake")?;
        let (mut chosen, mut public, mut nonce, mut fragmentation) = (None, None, None, false);
        for payload in payloads {
            match payload {
                Payload::SecurityAssociation(sa) => {
                    chosen = choose_ike(&self.config.policy, sa, handshake.group.id()).ok().map(|chosen| chosen.suite);
                }
                Payload::KeyExchange(ke) => public = Some(ke.data),
                Payload::Nonce(n) => nonce = Some(n.0),
                Payload::Notify(n) if n.kind == NotifyType::IKEV2_FRAGMENTATION_SUPPORTED => fragmentation = true,
                Payload::Notify(n) if n.kind == NotifyType::SIGNATURE_HASH_ALGORITHMS => handshake.peer_hashes = true,
                _ => {}
            }
        }
        let suite: IkeSuite = chosen.ok_or("no acceptable suite in the answer")?;
        let (public, nonce) = (public.ok_or("no KE")?, nonce.ok_or("no Nr")?);
        let pair = handshake.pair.take().ok_or("no key pair")?;
        let shared = pair.agree(public).map_err(|_| "public value")?;
        let responder = header.responder_spi.ok_or("no SPIr")?;
        let spis = SpiPair { initiator: handshake.spi, responder };
        let nonces = Nonces { initiator: &handshake.nonce, responder: nonce };
        let keys = IkeKeys::initial(&suite, &shared, &nonces, spis);
        handshake.answer = message.to_vec();
        handshake.responder_nonce = nonce.to_vec();
        handshake.prove = Some((keys.prove_initiator, keys.prove_responder));
        let seen_from_here = NatStatus::detect_answer(payloads.iter(), spis, self.path);
        if seen_from_here.any() {
            (self.path.local, self.path.peer) = (with_port(self.path.local, 4500), with_port(self.path.peer, 4500));
        }
        self.sa = Some(ClientSa::new(spis, suite, keys.sa, fragmentation && self.config.fragmentation, 1));
        Ok(())
    }

    // --- IKE_AUTH ---

    fn send_auth(&mut self, now: Instant) {
        let child_spi = EspSpi(u32::from_be_bytes(self.bytes()) | 0x100);
        let mut chain = ChainBuilder::new();
        let id = self.config.identity.data();
        chain.push(&Payload::IdInitiator(Identification::new(self.config.identity.id_type(), &id)));
        if let Login::Certificate { chain: certificates, .. } = &self.config.login {
            for data in certificates {
                chain.push(&Payload::Certificate(Certificate { encoding: CertEncoding::X509_SIGNATURE, data }));
            }
        }
        if self.config.initial_contact {
            chain.push(&Payload::Notify(Notify::new(NotifyType::INITIAL_CONTACT, &[])));
        }
        if let Some(idr) = &self.config.server_identity {
            chain.push(&Payload::IdResponder(Identification::new(idr.id_type(), &idr.data())));
        }
        let Some(handshake) = &mut self.handshake else { return };
        handshake.child_spi = child_spi;
        if let Some((method, data)) = own_auth(&self.config, self.sa.as_ref(), handshake, &mut self.random) {
            chain.push(&Payload::Authentication(Authentication { method, data: &data }));
        }
        if !self.config.attributes.is_empty() {
            let attributes = self.config.attributes.iter().map(|kind| CpAttribute::new(*kind, &[][..])).collect();
            chain.push(&Payload::Configuration(Configuration { kind: CpType::REQUEST, attributes }));
        }
        chain.push(&Payload::SecurityAssociation(self.child_offer(child_spi, false)));
        self.push_selectors(&mut chain);
        self.send_request(now, ExchangeType::IKE_AUTH, chain, Waiting::Auth, false);
    }

    fn auth_answer(&mut self, now: Instant, opened: &Opened) {
        let Ok(payloads) = Payloads::parse(opened.first, &opened.chain) else {
            return self.finish(End::Distrust("malformed answer"));
        };
        let failed = payloads.iter().find_map(|payload| match payload {
            Payload::Notify(notify) if notify.kind == NotifyType::AUTHENTICATION_FAILED => Some(notify.kind),
            _ => None,
        });
        if let Some(kind) = failed {
            return self.finish(End::Refused(kind));
        }
        if let Err(problem) = self.check_server(&payloads) {
            return self.finish(End::Distrust(problem));
        }
        let packet =
            payloads.iter().find_map(|payload| if let Payload::Eap(eap) = payload { Some(eap.0) } else { None });
        match packet {
            Some(packet) => self.eap(now, packet),
            None => self.logged_in(now, &payloads),
        }
    }

    fn eap(&mut self, now: Instant, packet: &[u8]) {
        const REQUEST: u8 = 1;
        const SUCCESS: u8 = 3;
        let Login::Eap(peer) = &mut self.config.login else {
            return self.finish(End::Distrust("EAP was not asked for"));
        };
        let Some(handshake) = &mut self.handshake else { return };
        let mut chain = ChainBuilder::new();
        match packet.first() {
            Some(&REQUEST) => {
                handshake.step = AuthStep::Eap;
                chain.push(&Payload::Eap(Eap(&peer.respond(packet))));
            }
            Some(&SUCCESS) => {
                handshake.step = AuthStep::Final;
                let (Some(sa), Some((prove, _))) = (&self.sa, &handshake.prove) else { return };
                let body = keys::own_id_body(&self.config.identity);
                let prf = sa.suite.prf;
                let octets = keys::auth_octets(prf, &handshake.request, &handshake.responder_nonce, prove, &body);
                let data = keys::shared_key_auth(prf, &peer.msk(), &octets);
                let auth = Authentication { method: AuthMethod::SHARED_KEY, data: data.expose() };
                chain.push(&Payload::Authentication(auth));
            }
            _ => return self.finish(End::EapFailure),
        }
        self.send_request(now, ExchangeType::IKE_AUTH, chain, Waiting::Auth, false);
    }

    /// Checks what the server proves itself with, in the first answer and after EAP in the last.
    fn check_server(&mut self, payloads: &Payloads<'_>) -> Result<(), &'static str> {
        let (handshake, sa) = (self.handshake.as_ref().ok_or("no handshake")?, self.sa.as_ref().ok_or("no SA")?);
        let (mut idr, mut auth, mut certificates) = (None, None, Vec::new());
        for payload in payloads {
            match payload {
                Payload::IdResponder(id) => idr = Identity::parse(id.id_type, id.data).ok(),
                Payload::Authentication(a) => auth = Some(*a),
                Payload::Certificate(c) => certificates.push(c.data),
                _ => {}
            }
        }
        if let Some(idr) = idr {
            self.server_identity = Some(idr);
        }
        if handshake.step == AuthStep::Eap {
            return Ok(());
        }
        let auth = auth.ok_or("the server sent no AUTH")?;
        let idr = self.server_identity.as_ref().ok_or("the server sent no IDr")?;
        let (_, prove) = handshake.prove.as_ref().ok_or("no keys")?;
        let prf = sa.suite.prf;
        let octets = keys::auth_octets(prf, &handshake.answer, &handshake.nonce, prove, &keys::own_id_body(idr));
        let shared = match (&self.config.login, handshake.step) {
            (Login::Psk(psk), _) => Some(psk.clone()),
            (Login::Eap(peer), AuthStep::Final) => Some(peer.msk()),
            _ => None,
        };
        if let Some(shared) = shared {
            let expected = keys::shared_key_auth(prf, &shared, &octets);
            return if expected.ct_eq(auth.data) { Ok(()) } else { Err("the server's AUTH is wrong") };
        }
        let anchors = self.config.authorities.as_ref().ok_or("no authorities")?;
        let (end_entity, others) = certificates.split_first().ok_or("the server sent no certificate")?;
        let verified = verify_chain(end_entity, others, anchors, self.wall, Role::Server).map_err(|_| "certificate")?;
        let wanted = self.config.server_identity.as_ref().unwrap_or(idr);
        if !verified.matches(wanted) || idr != wanted {
            return Err("the server has another name");
        }
        let allow_sha1 = self.config.hashes.is_none();
        verified.verify_auth(auth.method, auth.data, &octets, allow_sha1).map_err(|_| "signature")
    }

    fn logged_in(&mut self, now: Instant, payloads: &Payloads<'_>) {
        let Some(handshake) = self.handshake.take() else { return };
        self.is_up = true;
        for payload in payloads {
            match payload {
                Payload::Notify(notify) if notify.kind.is_error() => self.refusals.push(notify.kind),
                Payload::Configuration(reply) => {
                    self.reply = reply.attributes.iter().map(|a| (a.kind, a.value.to_vec())).collect();
                }
                _ => {}
            }
        }
        let (nonce, responder_nonce) = (handshake.nonce, handshake.responder_nonce);
        let made = self.child(payloads, handshake.child_spi, &nonce, &responder_nonce, None, ChildKeyExchange::Never);
        self.children.extend(made);
        self.next_task(now);
    }

    // --- later exchanges ---

    fn next_task(&mut self, now: Instant) {
        if self.outstanding.is_some() || !self.is_up() {
            return;
        }
        if self.old_sa.is_some() {
            return self.send_delete(now, Delete::IkeSa, Waiting::DeleteOldIke, true);
        }
        let Some(task) = self.tasks.pop_front() else { return };
        match task {
            Task::NewChild => self.send_child(now, None),
            Task::RekeyChild => match self.children.last().map(|child| child.inbound) {
                Some(old) => self.send_child(now, Some(old)),
                None => self.next_task(now),
            },
            Task::RekeyIke => self.send_rekey_ike(now),
            Task::DeleteChild => match self.children.last().map(|child| child.inbound) {
                Some(spi) => self.delete_child(now, spi),
                None => self.next_task(now),
            },
            Task::Probe => {
                self.send_request(now, ExchangeType::INFORMATIONAL, ChainBuilder::new(), Waiting::Probe, false);
            }
            Task::Close => self.send_delete(now, Delete::IkeSa, Waiting::Close, false),
        }
    }

    fn delete_child(&mut self, now: Instant, spi: EspSpi) {
        let delete = Delete::ChildSas { protocol: ProtocolId::ESP, spis: vec![spi] };
        self.send_delete(now, delete, Waiting::Delete(Some(spi)), false);
    }

    fn send_delete(&mut self, now: Instant, delete: Delete, waiting: Waiting, on_old: bool) {
        let mut chain = ChainBuilder::new();
        chain.push(&Payload::Delete(delete));
        self.send_request(now, ExchangeType::INFORMATIONAL, chain, waiting, on_old);
    }

    fn send_child(&mut self, now: Instant, replaces: Option<EspSpi>) {
        let spi = EspSpi(u32::from_be_bytes(self.bytes()) | 0x100);
        let nonce = self.bytes::<32>().to_vec();
        let pair = self.config.pfs.then(|| KeyPair::generate(self.config.guess, &mut self.random));
        let mut chain = ChainBuilder::new();
        if let Some(old) = replaces {
            chain.push(&Payload::Notify(Notify::about_esp(old, NotifyType::REKEY_SA, &[])));
        }
        chain.push(&Payload::SecurityAssociation(self.child_offer(spi, self.config.pfs)));
        chain.push(&Payload::Nonce(Nonce(&nonce)));
        if let Some(pair) = &pair {
            chain.push(&Payload::KeyExchange(KeyExchange { group: pair.group().id(), data: pair.public() }));
        }
        self.push_selectors(&mut chain);
        let waiting = Waiting::Child { spi, nonce, pair, replaces };
        self.send_request(now, ExchangeType::CREATE_CHILD_SA, chain, waiting, false);
    }

    fn send_rekey_ike(&mut self, now: Instant) {
        let spi = IkeSpi(self.bytes());
        let nonce = self.bytes::<32>().to_vec();
        let pair = KeyPair::generate(self.config.guess, &mut self.random);
        let mut chain = ChainBuilder::new();
        chain.push(&Payload::SecurityAssociation(self.ike_offer(spi.into())));
        chain.push(&Payload::Nonce(Nonce(&nonce)));
        chain.push(&Payload::KeyExchange(KeyExchange { group: pair.group().id(), data: pair.public() }));
        self.send_request(now, ExchangeType::CREATE_CHILD_SA, chain, Waiting::Ike { spi, nonce, pair }, false);
    }

    fn answer(&mut self, now: Instant, opened: &Opened, old: bool) {
        let fits = |o: &Outstanding| o.id == opened.id && o.on_old == old && !matches!(o.waiting, Waiting::Init);
        let Some(outstanding) = self.outstanding.take_if(|outstanding| fits(outstanding)) else { return };
        match outstanding.waiting {
            Waiting::Init => {}
            Waiting::Auth => return self.auth_answer(now, opened),
            Waiting::Child { spi, nonce, pair, replaces } => {
                return self.child_answer(now, opened, (spi, nonce, pair), replaces);
            }
            Waiting::Ike { spi, nonce, pair } => self.ike_answer(opened, spi, &nonce, pair),
            Waiting::Delete(spi) => self.children.retain(|child| Some(child.inbound) != spi),
            Waiting::DeleteOldIke => self.old_sa = None,
            Waiting::Probe => {}
            Waiting::Close => return self.finish(End::Closed),
        }
        self.next_task(now);
    }

    fn child_answer(
        &mut self,
        now: Instant,
        opened: &Opened,
        (spi, nonce, pair): (EspSpi, Vec<u8>, Option<KeyPair>),
        replaces: Option<EspSpi>,
    ) {
        let Ok(payloads) = Payloads::parse(opened.first, &opened.chain) else { return };
        let (mut responder_nonce, mut public) = (Vec::new(), None);
        for payload in &payloads {
            match payload {
                Payload::Notify(notify) if notify.kind.is_error() => self.refusals.push(notify.kind),
                Payload::Nonce(n) => responder_nonce = n.0.to_vec(),
                Payload::KeyExchange(ke) => public = Some(ke.data),
                _ => {}
            }
        }
        let guess = pair.as_ref().map_or(ChildKeyExchange::Absent, |pair| ChildKeyExchange::Guess(pair.group().id()));
        let shared = pair.zip(public).and_then(|(pair, public)| pair.agree(public).ok());
        let made = self.child(&payloads, spi, &nonce, &responder_nonce, shared.as_ref(), guess);
        let is_made = made.is_some();
        self.children.extend(made);
        match replaces.filter(|_| is_made && !self.forgets_to_delete) {
            Some(old) => self.delete_child(now, old),
            None => self.next_task(now),
        }
    }

    fn child(
        &self,
        payloads: &Payloads<'_>,
        spi: EspSpi,
        nonce: &[u8],
        responder_nonce: &[u8],
        shared: Option<&crate::crypto::secret::Secret>,
        key_exchange: ChildKeyExchange,
    ) -> Option<ClientChild> {
        let (mut chosen, mut tsi, mut tsr) = (None, Vec::new(), Vec::new());
        for payload in payloads {
            match payload {
                Payload::SecurityAssociation(sa) => chosen = choose_child(&self.config.policy, sa, key_exchange).ok(),
                Payload::TsInitiator(ts) => tsi.clone_from(&ts.0),
                Payload::TsResponder(ts) => tsr.clone_from(&ts.0),
                _ => {}
            }
        }
        let (chosen, sa) = (chosen?, self.sa.as_ref()?);
        let nonces = Nonces { initiator: nonce, responder: responder_nonce };
        let ChildKeys { inbound, outbound } = keys::child(sa.suite.prf, &sa.derive, &chosen.suite, shared, &nonces);
        let keys = ChildKeys { inbound: outbound, outbound: inbound };
        Some(ClientChild { inbound: spi, outbound: chosen.spi, suite: chosen.suite, keys, tsi, tsr })
    }

    fn ike_answer(&mut self, opened: &Opened, spi: IkeSpi, nonce: &[u8], pair: KeyPair) {
        let Ok(payloads) = Payloads::parse(opened.first, &opened.chain) else { return };
        let (mut chosen, mut responder_nonce, mut public) = (None, Vec::new(), None);
        for payload in &payloads {
            match payload {
                Payload::Notify(notify) if notify.kind.is_error() => return self.refusals.push(notify.kind),
                Payload::SecurityAssociation(sa) => {
                    chosen = choose_ike(&self.config.policy, sa, pair.group().id()).ok();
                }
                Payload::Nonce(n) => responder_nonce = n.0.to_vec(),
                Payload::KeyExchange(ke) => public = Some(ke.data),
                _ => {}
            }
        }
        let (Some(chosen), Some(public)) = (chosen, public) else { return };
        let (Some(responder), Ok(shared)) = (chosen.spi, pair.agree(public)) else { return };
        let Some(old) = self.sa.take() else { return };
        let spis = SpiPair { initiator: spi, responder };
        let nonces = Nonces { initiator: nonce, responder: &responder_nonce };
        let keys = IkeKeys::rekeyed(old.suite.prf, &old.derive, &chosen.suite, &shared, &nonces, spis);
        self.sa = Some(ClientSa::new(spis, chosen.suite, keys.sa, self.config.fragmentation, 0));
        self.old_sa = Some(old);
    }

    /// A request of the server: a question whether we live, or DELETE.
    fn request(&mut self, opened: &Opened, old: bool) {
        let sa = if old { self.old_sa.as_mut() } else { self.sa.as_mut() };
        let (Some(sa), Ok(payloads)) = (sa, Payloads::parse(opened.first, &opened.chain)) else { return };
        let is_new = sa.is_new(opened.id) && opened.exchange == ExchangeType::INFORMATIONAL;
        let (mut chain, mut ends) = (ChainBuilder::new(), false);
        for payload in payloads.iter().filter(|_| is_new) {
            match payload {
                Payload::Delete(Delete::IkeSa) => ends = true,
                Payload::Delete(Delete::ChildSas { spis, .. }) => {
                    let gone = |child: &ClientChild| spis.contains(&child.outbound);
                    let ours = self.children.iter().filter(|child| gone(child)).map(|child| child.inbound).collect();
                    self.children.retain(|child| !gone(child));
                    chain.push(&Payload::Delete(Delete::ChildSas { protocol: ProtocolId::ESP, spis: ours }));
                }
                _ => {}
            }
        }
        let messages = sa.answer(opened.id, chain, &mut self.random);
        self.send(messages);
        if ends {
            self.finish(End::DeletedByServer);
        }
    }

    // --- helpers ---

    fn ike_offer(&self, spi: Spi) -> SecurityAssociation {
        let offers = self.config.policy.ike();
        let proposals = (1..).zip(offers).map(|(number, offer)| {
            let encrs = offer.encrs.iter().filter(|encr| encr.is_aead() || !offer.integs.is_empty());
            let encrs = encrs.map(|e| Transform::Encr { id: e.id(), key_bits: e.key_bits() });
            let prfs = offer.prfs.iter().map(|prf| Transform::Prf(prf.id()));
            let integs = offer.integs.iter().map(|integ| Transform::Integ(integ.id()));
            let groups = offer.groups.iter().map(|group| Transform::Group(group.id()));
            let transforms: Vec<Transform> = encrs.chain(prfs).chain(integs).chain(groups).collect();
            Proposal { number, protocol: ProtocolId::IKE, spi, transforms }
        });
        SecurityAssociation { proposals: renumber(proposals.flat_map(by_kind_of_cipher).collect()) }
    }

    fn child_offer(&self, spi: EspSpi, with_groups: bool) -> SecurityAssociation {
        let offers = self.config.policy.child();
        let proposals = (1..).zip(offers).map(|(number, offer)| {
            let encrs = offer.encrs.iter().map(|e| Transform::Encr { id: e.id(), key_bits: e.key_bits() });
            let integs = offer.integs.iter().map(|integ| Transform::Integ(integ.id()));
            let groups = offer.groups.iter().filter(|_| with_groups).map(|group| Transform::Group(group.id()));
            let esn = offer.esn.then_some(Transform::Esn(EsnId::YES)).into_iter().chain([Transform::Esn(EsnId::NO)]);
            let transforms = encrs.chain(integs).chain(groups).chain(esn).collect();
            Proposal { number, protocol: ProtocolId::ESP, spi: spi.into(), transforms }
        });
        SecurityAssociation { proposals: renumber(proposals.flat_map(by_kind_of_cipher).collect()) }
    }

    fn push_selectors(&self, chain: &mut ChainBuilder) {
        chain.push(&Payload::TsInitiator(TrafficSelectors(self.config.selectors.0.clone())));
        chain.push(&Payload::TsResponder(TrafficSelectors(self.config.selectors.1.clone())));
    }

    fn send_request(
        &mut self,
        now: Instant,
        exchange: ExchangeType,
        chain: ChainBuilder,
        waiting: Waiting,
        on_old: bool,
    ) {
        let sa = if on_old { self.old_sa.as_mut() } else { self.sa.as_mut() };
        let Some(sa) = sa else { return };
        let (id, messages) = sa.request(exchange, chain, &mut self.random);
        self.expect(now, id, waiting, messages);
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.on_old = on_old;
        }
    }

    fn expect(&mut self, now: Instant, id: u32, waiting: Waiting, messages: Vec<Bytes>) {
        let interval = self.config.retransmit;
        let left = self.config.transmissions.saturating_sub(1);
        self.send(messages.clone());
        self.outstanding =
            Some(Outstanding { id, on_old: false, waiting, messages, due: now + interval, interval, left });
    }

    fn send(&mut self, messages: Vec<Bytes>) {
        let path = self.path;
        self.transmits.extend(messages.into_iter().map(|payload| Transmit { path, payload }));
    }

    fn finish(&mut self, end: End) {
        self.outstanding = None;
        self.end = Some(end);
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }
}

/// Our proof for the first request; none with EAP.
fn own_auth(
    config: &ClientConfig,
    sa: Option<&ClientSa>,
    handshake: &Handshake,
    random: &mut SeededRandom,
) -> Option<(AuthMethod, Vec<u8>)> {
    let (prf, (prove, _)) = (sa?.suite.prf, handshake.prove.as_ref()?);
    let body = keys::own_id_body(&config.identity);
    let octets = keys::auth_octets(prf, &handshake.request, &handshake.responder_nonce, prove, &body);
    match &config.login {
        Login::Psk(psk) => Some((AuthMethod::SHARED_KEY, keys::shared_key_auth(prf, psk, &octets).expose().to_vec())),
        Login::Certificate { key_pem, .. } => {
            let key = SigningKey::from_pem(key_pem).expect("the test's key is valid");
            let hashes = config.hashes.as_deref().filter(|_| handshake.peer_hashes);
            let scheme = key.choose(hashes, true).expect("the test's key has a scheme");
            Some((scheme.method(), key.sign(scheme, &octets, random).expect("the scheme is one of the key")))
        }
        Login::Eap(_) => None,
    }
}

/// AEADs and other ciphers may not share a proposal, RFC 7296 section 3.3.
fn by_kind_of_cipher(proposal: Proposal) -> Vec<Proposal> {
    let is_aead = |t: &Transform| {
        let Transform::Encr { id, key_bits } = t else { return None };
        crate::crypto::suite::Encr::from_id(*id, *key_bits).map(crate::crypto::suite::Encr::is_aead)
    };
    let half = |aead: bool| {
        let keep = |t: &Transform| match (is_aead(t), t) {
            (Some(kind), _) => kind == aead,
            (None, Transform::Integ(_)) => !aead,
            (None, _) => true,
        };
        let transforms: Vec<Transform> = proposal.transforms.iter().filter(|t| keep(t)).cloned().collect();
        let any = transforms.iter().any(|t| is_aead(t).is_some());
        any.then_some(Proposal { transforms, ..proposal.clone() })
    };
    [half(true), half(false)].into_iter().flatten().collect()
}

fn renumber(mut proposals: Vec<Proposal>) -> Vec<Proposal> {
    for (number, proposal) in (1..).zip(&mut proposals) {
        proposal.number = number;
    }
    proposals
}

fn with_port(mut address: std::net::SocketAddr, port: u16) -> std::net::SocketAddr {
    address.set_port(port);
    address
}
