//! An IKEv1 initiator as a client has it: main and aggressive mode, XAuth and Mode Config, quick mode, rekeying of both
//! phases, dead peer detection and deletion, with retransmission and the habits that [`V1ClientConfig`] describes.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::cert::UnixTime;
use crate::child_sa::ChildKeys;
use crate::crypto::dh::KeyPair;
use crate::crypto::random::Random;
use crate::crypto::suite::{Encr, Integ};
use crate::crypto::testing::SeededRandom;
use crate::event::{Path, Transmit};
use crate::wire::num::ExchangeType;
use crate::wire::v1::num::{ConfigAttr, EncapsulationMode, NotifyType};
use crate::wire::v1::{Attribute, Header};
use crate::wire::{EspSpi, IkeSpi};

use super::config::V1ClientConfig;
use super::fragments::{Pieces, cut};
use super::isakmp::IsakmpSa;
use super::main_mode::Handshake;

/// The longest pause between two transmissions.
const MAX_INTERVAL: Duration = Duration::from_secs(8);

/// Something to do once the client is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum V1Task {
    /// Another pair of ESP SAs.
    NewChild,
    /// A new pair in place of the newest one, which is deleted then.
    RekeyChild,
    /// A new ISAKMP SA; the old one is deleted then, and its children stay.
    RekeyIsakmp,
    /// DELETE of the newest pair.
    DeleteChild,
    /// R-U-THERE.
    Probe,
    /// DELETE of everything.
    Close,
}

/// Why a client is not in any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum V1End {
    /// The server said so.
    Refused(NotifyType),
    /// XAuth failed.
    XAuthFailed,
    /// The server did something that a client cannot accept.
    Distrust(&'static str),
    /// No answer.
    TimedOut,
    /// The server deleted the last ISAKMP SA.
    Deleted,
    /// As it wished.
    Closed,
}

/// A pair of ESP SAs from the client's point of view.
pub struct V1Child {
    /// What it receives with.
    pub inbound: EspSpi,
    /// What it sends with.
    pub outbound: EspSpi,
    /// The cipher.
    pub encr: Encr,
    /// The integrity algorithm.
    pub integ: Option<Integ>,
    /// As negotiated.
    pub mode: EncapsulationMode,
    /// The keys.
    pub keys: ChildKeys,
}

/// What the client saw of the server's messages, for tests.
#[derive(Debug, Default)]
pub struct Observed {
    /// The plain messages of the server, whole.
    pub plain: Vec<Bytes>,
    /// NAT-D payloads of the server: first the client's side, then the server's.
    pub nat_d: Vec<Vec<u8>>,
    /// What the client sent itself, in the same order of sides: the server's first.
    pub own_nat_d: Vec<Vec<u8>>,
    /// Vendor IDs of the server.
    pub vendor_ids: Vec<Vec<u8>>,
    /// Bodies of the identifications in the last quick mode answer.
    pub quick_ids: Vec<Vec<u8>>,
    /// The body of the SA payload in the last quick mode answer.
    pub quick_sa: Vec<u8>,
    /// NAT-OA payloads in the last quick mode answer: payload type and address.
    pub nat_oa: Vec<(u8, std::net::IpAddr)>,
    /// Protected notifications.
    pub notifies: Vec<NotifyType>,
    /// Unprotected notifications.
    pub plain_notifies: Vec<NotifyType>,
    /// R-U-THERE of the server.
    pub probes: u32,
    /// R-U-THERE-ACK of the server.
    pub probe_answers: u32,
    /// The reply of Mode Config.
    pub settings: Vec<Attribute<'static>>,
    /// Whether the server ever set the commit bit.
    pub commit: bool,
    /// Whether the server sent any fragment.
    pub fragments: bool,
}

/// Which message waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Awaited {
    PhaseOne(IkeSpi),
    Exchange(IkeSpi, u32),
}

struct Outstanding {
    messages: Vec<Bytes>,
    due: Instant,
    interval: Duration,
    left: u32,
}

/// The initiator.
pub struct V1Client {
    /// Its habits.
    pub config: V1ClientConfig,
    /// What it saw.
    pub observed: Observed,
    /// Its children, oldest first.
    pub children: Vec<V1Child>,
    /// Does not say DELETE when it goes or rekeys.
    pub forgets_to_delete: bool,
    pub(super) random: SeededRandom,
    pub(super) path: Path,
    pub(super) wall: UnixTime,
    pub(super) handshake: Option<Handshake>,
    /// ISAKMP SAs, oldest first.
    pub(super) sas: Vec<IsakmpSa>,
    pub(super) rekeying: bool,
    /// When it stops waiting for the questions of XAuth.
    pub(super) login_until: Option<Instant>,
    pub(super) message_ids: u32,
    pub(super) tasks: VecDeque<V1Task>,
    pub(super) end: Option<V1End>,
    transmits: VecDeque<Transmit>,
    outstanding: BTreeMap<Awaited, Outstanding>,
    pieces: Pieces,
    fragment_id: u16,
}

impl V1Client {
    /// A client at `path.local` for the server at `path.peer`, both with port 500.
    #[must_use]
    pub fn new(config: V1ClientConfig, path: Path, wall: UnixTime, seed: u64) -> Self {
        Self {
            config,
            observed: Observed::default(),
            children: Vec::new(),
            forgets_to_delete: false,
            random: SeededRandom::new(seed),
            path,
            wall,
            handshake: None,
            sas: Vec::new(),
            rekeying: false,
            login_until: None,
            message_ids: 0,
            tasks: VecDeque::new(),
            end: None,
            transmits: VecDeque::new(),
            outstanding: BTreeMap::new(),
            pieces: Pieces::default(),
            fragment_id: 0,
        }
    }

    /// Begins.
    pub fn start(&mut self, now: Instant) {
        self.begin_phase_one(now);
    }

    /// Does something more once it can.
    pub fn enqueue(&mut self, now: Instant, task: V1Task) {
        self.tasks.push_back(task);
        self.next_task(now);
    }

    /// Whether there are ISAKMP and ESP SAs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.end.is_none() && !self.children.is_empty()
    }

    /// Why it is over.
    #[must_use]
    pub fn end(&self) -> Option<&V1End> {
        self.end.as_ref()
    }

    /// Whether nothing is on its way or waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let waits = !self.outstanding.is_empty() || self.handshake.is_some() || self.login_until.is_some();
        self.end.is_some() || (!waits && self.tasks.is_empty())
    }

    /// How many ISAKMP SAs there are.
    #[must_use]
    pub fn isakmp_sas(&self) -> usize {
        self.sas.len()
    }

    /// Our own view of the path.
    #[must_use]
    pub fn path(&self) -> Path {
        self.path
    }

    /// From now on the client has another address, or another port in front of it.
    pub fn set_local(&mut self, local: SocketAddr) {
        self.path.local = local;
    }

    /// The value of an attribute of the Mode Config reply.
    #[must_use]
    pub fn setting(&self, kind: ConfigAttr) -> Option<&Attribute<'static>> {
        self.observed.settings.iter().find(|attribute| attribute.kind == kind.0)
    }

    /// The next message to send, with the path from the client's point of view.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// When [`V1Client::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.outstanding.values().map(|outstanding| outstanding.due).chain(self.login_until).min()
    }

    /// Sends again what was not answered, or gives up.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.login_until.is_some_and(|until| until <= now) {
            return self.finish(V1End::TimedOut);
        }
        let due: Vec<Awaited> =
            self.outstanding.iter().filter(|(_, waiting)| waiting.due <= now).map(|(awaited, _)| *awaited).collect();
        for awaited in due {
            let Some(waiting) = self.outstanding.get_mut(&awaited) else { continue };
            if waiting.left == 0 {
                return self.finish(V1End::TimedOut);
            }
            waiting.left -= 1;
            waiting.interval = (waiting.interval * 2).min(MAX_INTERVAL);
            waiting.due = now + waiting.interval;
            let messages = waiting.messages.clone();
            self.send(&messages);
        }
    }

    /// Takes a message of the server.
    pub fn handle_datagram(&mut self, now: Instant, message: &[u8]) {
        if self.end.is_some() {
            return;
        }
        let Ok(header) = Header::parse(message) else { return };
        self.observed.commit |= header.flags.commit;
        if header.next_payload == Some(crate::wire::v1::num::PayloadType::FRAGMENT) {
            self.observed.fragments = true;
            if let Some(whole) = self.pieces.take(message) {
                self.handle_datagram(now, &whole);
            }
            return;
        }
        if !header.flags.encryption {
            self.observed.plain.push(Bytes::copy_from_slice(message));
        }
        match header.exchange {
            ExchangeType::IDENTITY_PROTECTION | ExchangeType::AGGRESSIVE => self.phase_one(now, &header, message),
            ExchangeType::QUICK_MODE => self.quick_mode(now, &header, message),
            ExchangeType::TRANSACTION => self.transaction(now, &header, message),
            ExchangeType::INFORMATIONAL_V1 => self.informational(now, &header, message),
            _ => {}
        }
    }

    /// Sends a message that waits for an answer.
    pub(super) fn expect(&mut self, now: Instant, awaited: Awaited, message: Vec<u8>) -> Vec<Bytes> {
        let messages = self.send_once(message);
        let (interval, left) = (self.config.retransmit, self.config.transmissions.saturating_sub(1));
        let due = now + interval;
        self.outstanding.insert(awaited, Outstanding { messages: messages.clone(), due, interval, left });
        messages
    }

    /// Sends a message, in fragments if that is what it does.
    pub(super) fn send_once(&mut self, message: Vec<u8>) -> Vec<Bytes> {
        let messages = match self.config.fragment_size {
            Some(size) if message.len() > size => {
                self.fragment_id += 1;
                cut(&message, size, self.fragment_id, self.config.flags_fragments)
            }
            _ => vec![Bytes::from(message)],
        };
        self.send(&messages);
        messages
    }

    /// Puts messages on the way, once more or for the first time.
    pub(super) fn send(&mut self, messages: &[Bytes]) {
        let path = self.path;
        self.transmits.extend(messages.iter().map(|payload| Transmit { path, payload: payload.clone() }));
    }

    /// The answer has come. Gives back whether it was waited for.
    pub(super) fn answered(&mut self, awaited: Awaited) -> bool {
        self.outstanding.remove(&awaited).is_some()
    }

    pub(super) fn finish(&mut self, end: V1End) {
        self.outstanding.clear();
        self.tasks.clear();
        self.handshake = None;
        self.login_until = None;
        self.end = Some(end);
    }

    /// Forgets an ISAKMP SA and whatever waits in it.
    pub(super) fn forget(&mut self, initiator: IkeSpi) {
        self.sas.retain(|sa| sa.cookies.0 != initiator);
        self.outstanding.retain(|awaited, _| !matches!(awaited, Awaited::Exchange(cookie, _) if *cookie == initiator));
    }

    pub(super) fn next_task(&mut self, now: Instant) {
        let is_free =
            |client: &Self| client.outstanding.is_empty() && client.handshake.is_none() && client.login_until.is_none();
        while self.end.is_none() && is_free(self) && !self.sas.is_empty() {
            let Some(task) = self.tasks.pop_front() else { return };
            match task {
                V1Task::NewChild => self.begin_quick_mode(now, None),
                V1Task::RekeyChild => self.begin_quick_mode(now, self.children.last().map(|child| child.inbound)),
                V1Task::RekeyIsakmp => {
                    self.rekeying = true;
                    self.begin_phase_one(now);
                }
                V1Task::DeleteChild => {
                    if let Some(child) = self.children.pop() {
                        self.delete_child(child.inbound);
                    }
                }
                V1Task::Probe => self.probe(now),
                V1Task::Close => self.close(),
            }
        }
    }

    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.random.fill(&mut bytes);
        bytes
    }

    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }

    pub(super) fn key_pair(&mut self, group: crate::crypto::dh::Group) -> KeyPair {
        KeyPair::generate(group, &mut self.random)
    }
}
