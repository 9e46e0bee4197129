//! An IKEv2 initiator as a remote client has it: IKE_SA_INIT with COOKIE and INVALID_KE_PAYLOAD, login by pre-shared key,
//! certificate or EAP, rekeying of both kinds, DELETE and liveness, with retransmission.

mod auth;
mod config;
mod exchanges;
mod init;
mod mobike;
mod offer;
mod responder;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::cert::UnixTime;
use crate::child_sa::{ChildKeys, ChildSuite};
use crate::crypto::dh::{Group, KeyPair};
use crate::crypto::random::Random;
use crate::crypto::secret::Secret;
use crate::crypto::testing::SeededRandom;
use crate::event::{Path, Transmit};
use crate::identity::Identity;
use crate::proposal::Policy;
use crate::wire::header::Header;
use crate::wire::num::{CpAttr, ExchangeType, NotifyType};
use crate::wire::v2::{ChainBuilder, Payload, TrafficSelector};
use crate::wire::{EspSpi, IkeSpi};

use super::client_sa::ClientSa;

pub use config::{ClientConfig, ClientPpk, EapPeer, Login, ServerProof};

/// The longest pause between two transmissions.
const MAX_INTERVAL: Duration = Duration::from_secs(4);

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
    /// UPDATE_SA_ADDRESSES.
    Update,
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
    /// It is the server that deletes `old_sa`.
    server_deletes_old: bool,
    /// IKE SAs that lost against others and that the server deletes.
    lost: Vec<ClientSa>,
    /// After rekeying the old SA is not deleted.
    pub forgets_to_delete: bool,
    /// What the server's attempts to rekey are answered with, instead of agreeing.
    pub refuses_rekeys: Option<NotifyType>,
    /// What the server refused since the login, in order.
    pub refusals: Vec<NotifyType>,
    /// The postquantum preshared key is mixed in.
    pub uses_ppk: bool,
    /// Child SAs, newest last.
    pub children: Vec<ClientChild>,
    raw_answer: Option<NotifyType>,
    /// All notifications in the last answer to a request that was sent by [`Client::send_raw`] or [`Task::Probe`].
    pub raw_notifies: Vec<(NotifyType, Vec<u8>)>,
    /// Child SAs that the last such answer deletes.
    pub raw_deletes: Vec<EspSpi>,
    /// What the CFG_REPLY said.
    pub reply: Vec<(CpAttr, Vec<u8>)>,
    /// IDr of the server.
    pub server_identity: Option<Identity>,
    /// Demands of the server in IKE_SA_INIT, in order: COOKIE and INVALID_KE_PAYLOAD.
    pub demands: Vec<NotifyType>,
    /// Status notifications of the server in IKE_SA_INIT, IKE_AUTH and CREATE_CHILD_SA, in order, with their data.
    pub told: Vec<(NotifyType, Vec<u8>)>,
    /// UPDATE_SA_ADDRESSES carries this claim that there is no translator.
    pub claims_no_nat: Option<Vec<u8>>,
    /// What the server asks about the path is answered wrong.
    pub breaks_cookie2: bool,
    /// Answers to INFORMATIONAL are malformed.
    pub talks_nonsense: bool,
    /// How often the server has asked whether we are where we say.
    pub path_checks: usize,
    /// How many updates were answered.
    pub updates: usize,
    /// Whether the last answer to an update told of a translator on our side.
    pub sees_nat: Option<bool>,
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
    Child { spi: EspSpi, nonce: Vec<u8>, pair: Option<KeyPair>, replaces: Option<EspSpi>, rival: Option<Vec<u8>> },
    Ike { spi: IkeSpi, nonce: Vec<u8>, pair: KeyPair, rival: Option<(Vec<u8>, Box<ClientSa>)> },
    Delete(Option<EspSpi>),
    DeleteOldIke,
    Probe,
    Update { cookie: [u8; 16], path: Path },
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
    prove: Option<(Secret, Secret)>,
    /// The same and `SK_d` with the postquantum preshared key mixed in.
    mixed: Option<(Secret, Secret, Secret)>,
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
            server_deletes_old: false,
            lost: Vec::new(),
            forgets_to_delete: false,
            refuses_rekeys: None,
            refusals: Vec::new(),
            uses_ppk: false,
            children: Vec::new(),
            raw_answer: None,
            raw_notifies: Vec::new(),
            raw_deletes: Vec::new(),
            reply: Vec::new(),
            server_identity: None,
            demands: Vec::new(),
            told: Vec::new(),
            claims_no_nat: None,
            breaks_cookie2: false,
            talks_nonsense: false,
            path_checks: 0,
            updates: 0,
            sees_nat: None,
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
            mixed: None,
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

    /// Sends a request with any payloads, as a client with a defect might.
    pub fn send_raw(&mut self, now: Instant, exchange: ExchangeType, payloads: &[Payload<'_>]) {
        let mut chain = ChainBuilder::new();
        for payload in payloads {
            chain.push(payload);
        }
        self.send_request(now, exchange, chain, Waiting::Probe, false);
    }

    /// The first notification of an error in the last answer to such a request.
    #[must_use]
    pub fn raw_answer(&self) -> Option<NotifyType> {
        self.raw_answer
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

    /// Wants other traffic in the Child SAs from now on.
    pub fn set_selectors(&mut self, tsi: Vec<TrafficSelector>, tsr: Vec<TrafficSelector>) {
        self.config.selectors = (tsi, tsr);
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
            if !matches!(outstanding.waiting, Waiting::DeleteOldIke) {
                return self.finish(End::TimedOut);
            }
            // The server has forgotten an IKE SA that nobody uses: the session does not depend on it.
            (self.outstanding, self.old_sa) = (None, None);
            return self.next_task(now);
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
        self.lost_sas(now, &header, message);
        for old in [false, true] {
            let sa = if old { self.old_sa.as_mut() } else { self.sa.as_mut() };
            if let Some(opened) = sa.and_then(|sa| sa.open(now, &header, message)) {
                return if opened.response { self.answer(now, &opened, old) } else { self.request(now, &opened, old) };
            }
        }
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
