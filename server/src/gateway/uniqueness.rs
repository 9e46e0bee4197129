//! Several sessions of one client: which of them stay when another one begins, and how a lease goes from one to the next.
//!
//! - **Reauthentication** (RFC 7296 section 2.8.3, make before break): a new session that asks for the address which an older
//!   session of the same client holds gets it, together with the routes; nothing of the host's changes. The older session lives
//!   on without a lease until the client deletes it. Whoever has only the account's name in common with the holder, or comes
//!   from elsewhere, does not get the address: it is another device.
//! - **`unique`**: `replace` ends older sessions of the same user (or identity, where there are no users), `keep` ends those of
//!   the same device that INITIAL_CONTACT (RFC 7296 section 2.4) says are gone, `never` ends none. The IKE engine does what INITIAL_CONTACT says about
//!   proven identities; this file does it for users of EAP, whose identity is only claimed.
//! - **Limits of devices**: a session from the same place gives way, and so does one that has not answered for a while.
//!
//! Does not: choose addresses (see `pool`).

use std::time::{Duration, Instant};

use cygnet_ike::{AccessRequest, AuthenticatedBy, EspSpi, SessionId};

use super::session::{Session, Stage, Via};
use super::{Gateway, Now};
use crate::config::Unique;
use crate::pool::{Lease, LeaseRequest};

/// A pair that was heard from this lately goes on sending until the client uses the one that takes over.
const LIVELY: Duration = Duration::from_secs(3);
/// A client that was asked whether it lives has had this long to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// A client that is never asked counts as gone after this long, when its place is needed.
const SILENCE: Duration = Duration::from_secs(60);
/// Local and remote ports of a client that is not behind address translation.
const IKE_PORTS: [u16; 2] = [500, 4500];

impl Gateway {
    /// With `unique = "keep"`, ends what a user of EAP says is gone: sessions of the same device. (Those of an identity that is
    /// proven are the IKE engine's business.)
    pub(super) fn end_forgotten(&mut self, now: Now, newcomer: &Session, request: &AccessRequest, want: LeaseRequest) {
        if self.unique() == Unique::Keep && request.initial_contact && request.by == AuthenticatedBy::Eap {
            self.end_all(now, |former| former.is_same_device(newcomer) && !former.hands_over(newcomer, want));
        }
    }

    /// With `unique = "replace"`, ends all other sessions of the same user or identity. One that hands its lease over is ended
    /// later, see [`Gateway::end_replaced`].
    pub(super) fn end_others(&mut self, now: Now, newcomer: &Session, want: LeaseRequest) {
        if self.unique() == Unique::Replace {
            self.end_all(now, |former| former.owner() == newcomer.owner() && !former.hands_over(newcomer, want));
        }
    }

    fn end_all(&mut self, now: Now, gives_way: impl Fn(&Session) -> bool) {
        let former: Vec<SessionId> = self.sessions.iter().filter(|(_, s)| gives_way(s)).map(|(&id, _)| id).collect();
        for id in former {
            self.replace(now, id);
        }
    }

    fn unique(&self) -> Unique {
        self.settings.remote.as_ref().map_or(Unique::Keep, |remote| remote.unique)
    }

    /// Gives the lease of an older session of the same client to this one, if it asks for it. Gives back the older session.
    pub(super) fn take_lease_over(
        &mut self,
        id: SessionId,
        newcomer: &Session,
        want: LeaseRequest,
    ) -> Option<(SessionId, Lease)> {
        let hands_over = |(_, former): &(&SessionId, &Session)| former.hands_over(newcomer, want);
        let candidates: Vec<SessionId> = self.sessions.iter().filter(hands_over).map(|(&id, _)| id).collect();
        let given = |former: SessionId| Some((former, self.leases.hand_over(former.0, id.0)?));
        let (former, lease) = candidates.into_iter().find_map(given)?;
        if let Some(former) = self.sessions.get_mut(&former) {
            former.successor = Some(id);
        }
        Some((former, lease))
    }

    /// A session that took a lease over has ended before the one that it had it from: that one has it again, unless it went on to
    /// another meanwhile.
    pub(super) fn give_lease_back(&mut self, id: SessionId) {
        let Some(former) = self.sessions.iter_mut().find(|(_, former)| former.successor == Some(id)) else { return };
        let (&former, session) = former;
        let given_back = self.leases.hand_over(id.0, former.0).is_some();
        let holder = session.lease.addresses().find_map(|address| self.leases.holder(address)).map(SessionId);
        session.successor = holder.filter(|_| !given_back);
    }

    /// The pair that the first pair of a session with a lease from an older one takes over from, if the client may still use it.
    pub(super) fn pair_before(&self, now: Now, id: SessionId) -> Option<EspSpi> {
        let former = self.sessions.values().find(|former| former.successor == Some(id))?;
        let pair = former.children.last()?.inbound_spi;
        let heard = self.meter.last_heard(pair)?;
        (now.instant.saturating_duration_since(heard) < LIVELY).then_some(pair)
    }

    /// A session is up: with `unique = "replace"` the one that it has its lease from ends.
    pub(super) fn end_replaced(&mut self, now: Now, id: SessionId) {
        let former = self.sessions.iter().find(|(_, former)| former.successor == Some(id)).map(|(&former, _)| former);
        if let Some(former) = former.filter(|_| self.unique() == Unique::Replace) {
            self.replace(now, former);
        }
    }

    /// A session of the same user that gives way where the number of devices is limited: one from the same place, since it is
    /// the same device that is back after it vanished, or one that was asked for a sign of life and gave none. Between two L2TP
    /// links the address says nothing, since signs of life were asked for (`call.rs`).
    pub(super) fn dispensable(&self, now: Now, newcomer: &Session) -> Option<SessionId> {
        let same_place = |former: &Session| former.path.peer.ip() == newcomer.path.peer.ip();
        let gives_way = |id: SessionId, former: &Session| {
            !is_link_beside(former, newcomer) && (same_place(former) || self.is_silent(now, id))
        };
        let mut others = self.sessions.iter().filter(|(_, former)| former.counts_with(newcomer));
        others.find(|&(&id, former)| gives_way(id, former)).map(|(&id, _)| id)
    }

    /// Whether a session's client was silent for so long that it was asked for a sign of life, and gave none.
    fn is_silent(&self, now: Now, id: SessionId) -> bool {
        let liveness = self.settings.remote.as_ref().and_then(|remote| remote.liveness);
        let patience = liveness.map_or(SILENCE, |interval| interval + PATIENCE);
        self.last_sign(id).is_some_and(|at| now.instant.saturating_duration_since(at) >= patience)
    }

    /// When a client was last heard, by IKE or on the data path.
    fn last_sign(&self, id: SessionId) -> Option<Instant> {
        let session = self.sessions.get(&id)?;
        let by_esp = session.children.iter().filter_map(|child| self.meter.last_heard(child.inbound_spi)).max();
        self.ike.session(id).map(|info| info.last_heard).max(by_esp)
    }
}

/// Two L2TP links can be two users of one device, or two devices of one user.
fn is_link_beside(former: &Session, newcomer: &Session) -> bool {
    let is_link = |session: &Session| matches!(session.via, Via::L2tp(_));
    is_link(former) && is_link(newcomer)
}

impl Session {
    /// Whether it is one that counts as a device of the same account.
    pub(super) fn counts_with(&self, newcomer: &Self) -> bool {
        self.user == newcomer.user && self.successor.is_none()
    }

    /// Whether both come from the same account, identity and address: the same device, as far as can be known.
    fn is_same_device(&self, other: &Self) -> bool {
        let (here, there) = (self.path.peer, other.path.peer);
        self.via == Via::Ikev2
            && other.via == Via::Ikev2
            && self.owner() == other.owner()
            && self.identity == other.identity
            && here.ip() == there.ip()
    }

    /// Whether `newcomer` is the same client and asks for what this session holds.
    fn hands_over(&self, newcomer: &Self, want: LeaseRequest) -> bool {
        let (here, there) = (self.path.peer.port(), newcomer.path.peer.port());
        let same_port = here == there || IKE_PORTS.contains(&here) && IKE_PORTS.contains(&there);
        let asks = |Lease { v4, v6 }: Lease| {
            v4.is_some_and(|held| want.v4 == Some(Some(held))) || v6.is_some_and(|held| want.v6 == Some(Some(held)))
        };
        self.stage == Stage::Established
            && self.successor.is_none()
            && same_port
            && self.is_same_device(newcomer)
            && asks(self.lease)
    }
}
