//! MOBIKE, RFC 4555: a session changes its addresses without changing its keys.
//!
//! ```text
//! initiator                                     responder
//!   has another address: IKE SA and Child SAs move there
//!   UPDATE_SA_ADDRESSES, NAT_DETECTION_*  ------>  follows: IKE SA and Child SAs move to where it came from
//!                <------  NAT_DETECTION_*
//!                <------  COOKIE2                  asks whether the other really is there (section 3.7)
//!   COOKIE2      ------>
//! ```
//!
//! Only the side that began the session moves it; the other may do so by what it tells of its other addresses. The
//! responder follows at once and asks afterwards, so that no packet is lost while the question is on its way: who can ask
//! for it has authenticated itself. If the answer stays away, the session goes back to where the peer was before and waits for it
//! there; it ends if packets come all the time, as from one who has others get what is meant for it, or if that happens twice.
//!
//! A message that comes from elsewhere without UPDATE_SA_ADDRESSES shows that the peer lives and is a test of that path: the answer
//! goes there, and nothing else. The one exception is a port that changes at the same address of a translator: that is how a translator looks that has
//! lost its table, and clients do not always notice it themselves. ESP from elsewhere moves the session as section 3.8 allows.
//!
//! Does not: look for addresses of this machine, or move packets (the server does, on [`Event::Moved`]).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tracing::debug;

use crate::event::{Event, Path};
use crate::nat::{Hashes, NatStatus, told_hashes};
use crate::refusal::RefusalReason;
use crate::wire::num::{ExchangeType, NotifyType};
use crate::wire::v2::{ChainBuilder, Notify, Payload};

use super::established::TokenBucket;
use super::keys::SpiPair;
use super::request::Invalid;
use super::{Context, Session, State, child};

/// Length of COOKIE2 in bytes, section 4.2.5.
const COOKIE2: std::ops::RangeInclusive<usize> = 8..=64;

/// Additional addresses of a peer that are kept.
const MAX_ADDITIONAL: usize = 16;

/// Changes of address a second that are followed, after a burst.
const UPDATES_PER_SECOND: u32 = 1;

/// After a change of address, ESP that was under way on the old path does not move the session back for this long.
const REORDERING: Duration = Duration::from_secs(10);

/// A peer that moves the session itself may be silent for this long: it needs time to see that its path is broken and to find
/// another one (section 3.11).
const PATIENCE: Duration = Duration::from_secs(300);

/// The notifications of RFC 4555 in one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mobike<'a> {
    /// MOBIKE_SUPPORTED.
    pub(crate) supported: bool,
    /// UPDATE_SA_ADDRESSES.
    pub(crate) update: bool,
    /// NO_NATS_ALLOWED: source address and port, destination address and port.
    pub(crate) no_nats: Option<&'a [u8]>,
    /// COOKIE2.
    pub(crate) cookie2: Option<&'a [u8]>,
    /// All other addresses of the sender; `None` if it says nothing about them.
    pub(crate) additional: Option<Vec<IpAddr>>,
    /// NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP.
    pub(crate) nat: Hashes<'a>,
    /// UNACCEPTABLE_ADDRESSES or UNEXPECTED_NAT_DETECTED.
    pub(crate) refusal: Option<NotifyType>,
}

impl<'a> Mobike<'a> {
    /// Picks them out of all notifications. An additional address of an impossible length is passed over.
    pub(crate) fn read(notifies: &[Notify<'a>]) -> Result<Self, Invalid> {
        let mut found = Self::default();
        for Notify { kind, data, .. } in notifies {
            match *kind {
                NotifyType::MOBIKE_SUPPORTED => found.supported = true,
                NotifyType::UPDATE_SA_ADDRESSES => found.update = true,
                NotifyType::NO_NATS_ALLOWED => found.no_nats = Some(*data),
                NotifyType::COOKIE2 if !COOKIE2.contains(&data.len()) => {
                    return Err(Invalid::problem("COOKIE2 has an impossible length"));
                }
                NotifyType::COOKIE2 => found.cookie2 = Some(*data),
                NotifyType::NO_ADDITIONAL_ADDRESSES => found.additional = Some(Vec::new()),
                NotifyType::ADDITIONAL_IP4_ADDRESS => found.add(<[u8; 4]>::try_from(*data).ok().map(IpAddr::from)),
                NotifyType::ADDITIONAL_IP6_ADDRESS => found.add(<[u8; 16]>::try_from(*data).ok().map(IpAddr::from)),
                NotifyType::NAT_DETECTION_SOURCE_IP => found.nat.sources.push(*data),
                NotifyType::NAT_DETECTION_DESTINATION_IP => found.nat.destination = Some(*data),
                NotifyType::UNACCEPTABLE_ADDRESSES | NotifyType::UNEXPECTED_NAT_DETECTED => found.refusal = Some(*kind),
                _ => {}
            }
        }
        Ok(found)
    }

    fn add(&mut self, address: Option<IpAddr>) {
        let list = self.additional.get_or_insert_default();
        list.extend(address.filter(|_| list.len() < MAX_ADDITIONAL));
    }

    /// Whether the message came along this path without a change of its addresses, as NO_NATS_ALLOWED claims.
    fn is_untranslated(&self, path: Path) -> bool {
        self.no_nats.is_none_or(|claimed| claimed == untranslated(path.peer, path.local))
    }
}

/// Appends another address of ours, section 4.2.2.
fn push_additional(address: IpAddr, chain: &mut ChainBuilder) {
    let (kind, octets) = match address {
        IpAddr::V4(ip) => (NotifyType::ADDITIONAL_IP4_ADDRESS, ip.octets().to_vec()),
        IpAddr::V6(ip) => (NotifyType::ADDITIONAL_IP6_ADDRESS, ip.octets().to_vec()),
    };
    chain.push(&Payload::Notify(Notify::new(kind, &octets)));
}

/// The contents of NO_NATS_ALLOWED, section 4.2.6.
pub(super) fn untranslated(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let end = |address: SocketAddr| match address.ip().to_canonical() {
        IpAddr::V4(ip) => [&ip.octets()[..], &address.port().to_be_bytes()].concat(),
        IpAddr::V6(ip) => [&ip.octets()[..], &address.port().to_be_bytes()].concat(),
    };
    [end(source), end(destination)].concat()
}

/// What a session knows about changing its addresses.
#[derive(Default)]
pub(crate) struct Mobility {
    /// Both sides have said MOBIKE_SUPPORTED.
    agreed: bool,
    /// We began the session: it is we who move it.
    began: bool,
    /// Other addresses of the peer.
    additional: Vec<IpAddr>,
    bucket: Option<TokenBucket>,
    /// Counts changes of the path.
    moves: u32,
    /// The path that was left last, and until when packets of it may come late.
    left: Option<(Path, Instant)>,
}

impl Mobility {
    /// Notes what a client said in IKE_AUTH; `willing` is our side of it.
    pub(crate) fn agree(&mut self, willing: bool, client: &Mobike<'_>) {
        self.agreed = willing && client.supported;
        self.note_additional(client);
    }

    /// The same for a session that we began, when the peer has answered.
    pub(crate) fn agree_as_initiator(&mut self, willing: bool, peer: &Mobike<'_>) {
        self.began = true;
        self.agree(willing, peer);
    }

    /// Whether both sides want it.
    pub(crate) fn is_agreed(&self) -> bool {
        self.agreed
    }

    /// Whether it is we who move the session.
    pub(crate) fn is_ours(&self) -> bool {
        self.agreed && self.began
    }

    /// How often the path has changed.
    pub(crate) fn moves(&self) -> u32 {
        self.moves
    }

    /// Other addresses of the peer, as it told them.
    pub(crate) fn additional(&self) -> &[IpAddr] {
        &self.additional
    }

    fn note_additional(&mut self, peer: &Mobike<'_>) {
        if let Some(list) = peer.additional.as_ref().filter(|_| self.agreed) {
            self.additional.clone_from(list);
        }
    }

    fn is_fast(&mut self, now: Instant) -> bool {
        !self.bucket.get_or_insert_with(|| TokenBucket::full(now)).take(now, UPDATES_PER_SECOND)
    }
}

impl Session {
    /// What the last answer of IKE_AUTH tells about abilities that both sides have, and about limits.
    pub(super) fn push_abilities(&mut self, ctx: &Context<'_>, chain: &mut ChainBuilder) {
        if self.mobility.agreed {
            chain.push(&Payload::Notify(Notify::new(NotifyType::MOBIKE_SUPPORTED, &[])));
            let here = self.path.local.ip().to_canonical();
            let others = ctx.config.addresses.iter().map(IpAddr::to_canonical).filter(|address| *address != here);
            others.take(MAX_ADDITIONAL).for_each(|address| push_additional(address, chain));
        }
        self.push_auth_lifetime(ctx, chain);
    }

    /// Notes an authentic and fresh message. The peer lives, wherever it came from; with MOBIKE, one from elsewhere says nothing
    /// about the path in use.
    pub(super) fn heard(&mut self, ctx: &mut Context<'_>, path: Path) {
        self.last_heard = ctx.now;
        if path != self.path && !self.follows(path) {
            debug!(session = %self.id, peer = %path.peer, "a message from elsewhere is a test of that path");
            return self.hears_from(ctx, path);
        }
        self.move_to(ctx, path, self.nat);
    }

    fn hears_from(&mut self, ctx: &mut Context<'_>, path: Path) {
        self.step(
            |session, ctx, mut state| {
                if let State::Established(state) = &mut state {
                    state.hears_from(session, ctx, path);
                }
                state
            },
            ctx,
        );
    }

    /// Whether a message along `path` alone is reason enough to go there. Without MOBIKE it is if the peer is behind a translator
    /// (RFC 7296 section 2.23); if we are, too, any address may be the work of whoever translates, and only a port is followed.
    fn follows(&self, path: Path) -> bool {
        let is_another_port = path.local == self.path.local && path.peer.ip() == self.path.peer.ip();
        match &self.state {
            State::Established(_) if self.mobility.agreed => {
                !self.mobility.began && self.nat.peer_behind && is_another_port
            }
            State::Established(state) => {
                self.nat.peer_behind && (is_another_port || !self.nat.self_behind) && !state.has_transport()
            }
            // Who was called at an address answers from there.
            State::Proving(_) => false,
            _ => true,
        }
    }

    /// The packet path has seen the peer at a new address. Whether it is to send there.
    pub(crate) fn peer_moved(&mut self, ctx: &mut Context<'_>, path: Path) -> bool {
        if !self.is_established() || self.mobility.is_ours() {
            return false;
        }
        if self.mobility.left.is_some_and(|(left, until)| left == path && ctx.now < until) {
            debug!(session = %self.id, peer = %path.peer, "a late packet of the path that was left");
            return false;
        }
        self.last_heard = ctx.now;
        let before = (self.path, self.nat);
        if path == self.path {
            return true;
        }
        if !self.mobility.agreed && !self.follows(path) {
            debug!(session = %self.id, peer = %path.peer, "packets from elsewhere: the path stays as it is");
            return false;
        }
        debug!(session = %self.id, from = %self.path.peer, peer = %path.peer, "packets come from a new address");
        self.set_path(path);
        if self.mobility.agreed {
            self.if_established(ctx, |state, session, ctx| state.asks_for_proof(session, ctx, before));
        }
        true
    }

    /// Takes the notifications of a request: what its answer has to say, and whether the session has moved.
    pub(super) fn mobike_request(
        &mut self,
        ctx: &mut Context<'_>,
        spis: SpiPair,
        request: &Mobike<'_>,
        has_transport: bool,
    ) -> (ChainBuilder, bool) {
        let mut chain = ChainBuilder::new();
        self.mobility.note_additional(request);
        let mut has_moved = false;
        if request.update && self.mobility.agreed && !self.mobility.began {
            match self.update(ctx, spis, request, has_transport) {
                Ok(moved) => has_moved = moved,
                Err((kind, problem)) => {
                    self.refuse(ctx, ExchangeType::INFORMATIONAL, RefusalReason::Move { problem });
                    chain.push(&Payload::Notify(Notify::new(kind, &[])));
                }
            }
        }
        if request.nat.are_there() {
            self.push_hashes(ctx, spis, self.reply_path, &mut chain);
        }
        if let Some(cookie) = request.cookie2 {
            chain.push(&Payload::Notify(Notify::new(NotifyType::COOKIE2, cookie)));
        }
        (chain, has_moved)
    }

    /// UPDATE_SA_ADDRESSES, section 3.5: goes where it came from. Whether that is another path.
    fn update(
        &mut self,
        ctx: &mut Context<'_>,
        spis: SpiPair,
        request: &Mobike<'_>,
        has_transport: bool,
    ) -> Result<bool, (NotifyType, &'static str)> {
        let (old, new) = (self.path, self.reply_path);
        if !request.is_untranslated(new) {
            return Err((NotifyType::UNEXPECTED_NAT_DETECTED, "its addresses are translated, which it does not want"));
        }
        if self.mobility.is_fast(ctx.now) {
            return Err((NotifyType::UNACCEPTABLE_ADDRESSES, "it moves too often"));
        }
        if has_transport && (old.local.ip(), old.peer.ip()) != (new.local.ip(), new.peer.ip()) {
            return Err((NotifyType::UNACCEPTABLE_ADDRESSES, "a Child SA in transport mode is bound to the old one"));
        }
        let nat = if request.nat.are_there() { NatStatus::of(&request.nat, spis, new) } else { self.nat };
        self.last_heard = ctx.now;
        self.move_to(ctx, new, nat);
        Ok(old != new)
    }

    /// The session goes on along `path`, with this address translation on it.
    pub(super) fn move_to(&mut self, ctx: &mut Context<'_>, path: Path, nat: NatStatus) {
        let (old, was_encapsulated) = (self.path, child::uses_udp(self, ctx));
        self.set_path(path);
        self.nat = nat;
        if old != path {
            debug!(session = %self.id, from = %old.peer, peer = %path.peer, "the session has moved");
            self.mobility.left = Some((old, ctx.now + REORDERING));
        }
        if (old, was_encapsulated) != (path, child::uses_udp(self, ctx)) {
            self.announce_move(ctx);
        }
    }

    /// Sends along `path` from now on.
    pub(super) fn set_path(&mut self, path: Path) {
        if std::mem::replace(&mut self.path, path) != path {
            self.mobility.moves = self.mobility.moves.wrapping_add(1);
        }
    }

    /// An address that was only tried until now is where the session goes on.
    pub(super) fn has_arrived(&mut self, ctx: &mut Context<'_>) {
        self.last_heard = ctx.now;
        self.announce_move(ctx);
    }

    fn announce_move(&self, ctx: &mut Context<'_>) {
        let has_children = !matches!(
            self.state,
            State::HalfOpen(_)
                | State::AwaitingList(_)
                | State::Authenticating(_)
                | State::Initiating(_)
                | State::Proving(_)
                | State::Closing(_)
        );
        if !has_children {
            return;
        }
        let udp_encap = child::uses_udp(self, ctx);
        ctx.shared.events.push_back(Event::Moved { session: self.id, path: self.path, udp_encap });
    }

    /// Appends how we see the addresses of `path`.
    pub(super) fn push_hashes(&self, ctx: &Context<'_>, spis: SpiPair, path: Path, chain: &mut ChainBuilder) {
        let (source, destination) = told_hashes(spis, path, self.forces_udp(ctx.config));
        chain.push(&Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_SOURCE_IP, &source)));
        chain.push(&Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_DESTINATION_IP, &destination)));
    }

    /// Whether the silence of a peer that may be between two networks is no reason yet to give it up (section 3.11).
    pub(super) fn waits_for_initiator(&self, now: Instant) -> bool {
        let may_be_away = self.mobility.agreed && !self.mobility.began && self.site.is_none();
        may_be_away && now < self.last_heard + PATIENCE
    }
}
