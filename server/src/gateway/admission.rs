//! From a proven identity to a session, whatever the protocol: account limits, lease, routes, grant; and the way back.
//!
//! Fail closed: a client hears its address only after the host forwards for it ([`Effect::Admit`]).

use std::net::Ipv4Addr;

use cygnet_ike::identity::Identity;
use cygnet_ike::{
    AccessRequest, AuthenticatedBy, ChildMode, ChildSa, CloseReason, Denial, EspSpi, Grant, Path, Prefix, SessionId,
};
use cygnet_l2tp as l2tp;

use super::awaited_lists::Asker;
use super::l2tp::calls_of;
use super::session::{Child, Session, Stage, Via};
use super::{Effect, Gateway, Now, Traffic, report};
use crate::config::{self, Protocol};
use crate::control::model::Kicked;
use crate::pool::{Lease, LeaseKey, LeaseRequest, PoolError};

/// Told when an IKEv2 client comes where the configuration has L2TP or XAUTH only.
const NO_IKEV2: &str = "the client uses IKEv2, which is switched off; add \"ikev2\" to protocols";
/// Told when somebody shows only the key that every L2TP user knows.
const KEY_ALONE: &str = "the client has shown only the pre-shared key, which everybody knows who uses L2TP or XAUTH; let it log in \
     with user name and password, or give it a key of its own under [psk]";

/// Why somebody with the right password or key is not let in; the operator was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The account has as many sessions as it may have.
    Devices,
    /// No lease.
    NoAddress,
}

impl From<Refused> for Denial {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Devices => Self::Authorization,
            Refused::NoAddress => Self::NoAddress,
        }
    }
}

impl From<Refused> for cygnet_ppp::CloseReason {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Devices => Self::TooManyDevices,
            Refused::NoAddress => Self::NoAddress,
        }
    }
}

impl Gateway {
    /// The client of IKEv2 or XAUTH has proven who it is.
    pub(super) fn admit(&mut self, now: Now, id: SessionId, request: &AccessRequest) {
        self.forget_channel(id);
        let login = self.logins.remove(&id);
        let (user, certificates) = login.map(|login| (login.user, login.certificates)).unwrap_or_default();
        let user = self.proven.remove(&id).or(user);
        if self.sessions.contains_key(&id) {
            // Phase 1 of IKEv1 was renewed, and the client has logged in again: everything stays.
            let grant = self.grant(id);
            return self.ike.grant(now.instant, id, grant);
        }
        if matches!(request.by, AuthenticatedBy::Eap | AuthenticatedBy::XAuth) && user.is_none() {
            return self.ike.deny(now.instant, id, Denial::Authorization);
        }
        let session = Session { certificates, ..Session::new(now, request, user) };
        if let Err(text) = self.check_protocol(request) {
            self.report_denial(now, &session, text);
            return self.ike.deny(now.instant, id, Denial::Authorization);
        }
        let authorities = self.ike_config.client_authorities.as_ref();
        if let Some(error) = authorities.and_then(|known| known.revoked(&session.certificates)) {
            self.report_denial(now, &session, &error.to_string());
            return self.ike.deny(now.instant, id, Denial::Authorization);
        }
        let want = LeaseRequest { v4: request.ipv4, v6: request.ipv6 };
        self.end_forgotten(now, &session, request, want);
        self.end_others(now, &session, want);
        let Some(session) = self.succeed(now, id, session, want) else { return };
        if let Err(refused) = self.open(now, id, session, want, None) {
            self.ike.deny(now.instant, id, refused.into());
        }
    }

    /// The same client again, with another session: it goes on with its lease, for which the host forwards already. Gives the
    /// session back if it is not so.
    fn succeed(&mut self, now: Now, id: SessionId, mut session: Session, want: LeaseRequest) -> Option<Session> {
        let Some((former, lease)) = self.take_lease_over(id, &session, want) else { return Some(session) };
        tracing::debug!(session = id.0, former = former.0, user = session.who(), "the client proves again who it is");
        (session.lease, session.stage) = (lease, Stage::Established);
        self.sessions.insert(id, session);
        let grant = self.grant(id);
        self.ike.grant(now.instant, id, grant);
        None
    }

    /// Account limits, lease, and the request to the host, whatever protocol the client came by.
    pub(super) fn open(
        &mut self,
        now: Now,
        id: SessionId,
        mut session: Session,
        want: LeaseRequest,
        mtu: Option<u16>,
    ) -> Result<(), Refused> {
        self.end_others(now, &session, want);
        if let Err(text) = self.make_room(now, &session) {
            self.report_denial(now, &session, &text);
            return Err(Refused::Devices);
        }
        match self.lease(now, id, &session, want) {
            Ok(lease) => {
                session.lease = lease;
                self.effects.push_back(Effect::Admit { session: id, addresses: lease.addresses().collect(), mtu });
                self.sessions.insert(id, session);
                Ok(())
            }
            Err(error) => {
                self.report_denial(now, &session, &error.to_string());
                Err(Refused::NoAddress)
            }
        }
    }

    /// What came of [`Effect::Admit`]; the error is a sentence for the operator.
    pub fn admitted(&mut self, now: Now, id: SessionId, outcome: Result<(), String>) {
        let Some(session) = self.sessions.get_mut(&id).filter(|s| s.stage == Stage::Admitting) else { return };
        let via = session.via;
        session.stage = if matches!(via, Via::L2tp(_)) { Stage::Granted } else { Stage::Established };
        let outcome = outcome.map_err(|text| format!("the host cannot forward for it: {text}"));
        if let Err(text) = &outcome
            && let Some(session) = self.sessions.remove(&id)
        {
            self.release(id);
            self.report_denial(now, &session, text);
        }
        match (via, outcome) {
            (Via::L2tp(key), outcome) => self.call_admitted(now, key, outcome),
            (_, Ok(())) => {
                let grant = self.grant(id);
                self.ike.grant(now.instant, id, grant);
            }
            (_, Err(_)) => self.ike.deny(now.instant, id, Denial::NoAddress),
        }
        self.settle(now);
    }

    /// An SA pair could not be installed: the session cannot carry traffic, so it ends.
    pub fn install_failed(&mut self, now: Now, id: SessionId) {
        self.ike.close(now.instant, id, CloseReason::Failed);
        self.settle(now);
    }

    pub(super) fn child_up(&mut self, now: Now, id: SessionId, child: Box<ChildSa>, replaces: Option<EspSpi>) {
        if child.mode == ChildMode::L2tp {
            return self.transport_up(now, id, child, replaces);
        }
        if self.is_of_site(id) {
            return self.site_child_up(now, id, child, replaces);
        }
        let replaces = replaces.or_else(|| self.pair_before(now, id));
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let (inbound_spi, cipher) = (child.inbound_spi, report::cipher_name(&child.suite));
        session.children.push(Child { inbound_spi, cipher, superseded: false });
        self.owners.insert(inbound_spi, id);
        self.effects.push_back(Effect::Install { session: id, child, replaces, site: None });
    }

    pub(super) fn child_down(&mut self, now: Now, id: SessionId, inbound_spi: EspSpi) {
        if self.is_of_site(id) {
            return self.site_child_down(now, id, inbound_spi);
        }
        if self.owners.remove(&inbound_spi).is_none() {
            return; // its session was replaced, see `replace`
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.past += self.meter.traffic(inbound_spi);
            session.children.retain(|child| child.inbound_spi != inbound_spi);
        }
        self.transport_down(id, inbound_spi);
        self.effects.push_back(Effect::Remove { inbound_spi });
    }

    pub(super) fn moved(&mut self, id: SessionId, path: Path, udp_encap: Option<bool>) {
        if self.is_of_site(id) {
            return self.site_moved(id, path, udp_encap);
        }
        let of_channel = self.channels.get_mut(&id).map(|channel| (&mut channel.path, &channel.children));
        let of_session = self.sessions.get_mut(&id).map(|session| (&mut session.path, &session.children));
        let Some((known, children)) = of_channel.or(of_session) else { return };
        tracing::info!(session = id.0, from = %known.peer, to = %path.peer, "client moved");
        *known = path;
        let spis = children.iter().map(|child| child.inbound_spi);
        self.effects.extend(spis.map(|inbound_spi| Effect::Move { inbound_spi, path, udp_encap }));
        for (_, call) in self.calls.range(calls_of(id)) {
            if let Some(session) = self.sessions.get_mut(&call.id) {
                session.path = path;
            }
        }
    }

    pub(super) fn closed(&mut self, now: Now, id: SessionId, reason: CloseReason) {
        if self.is_of_site(id) {
            return self.site_closed(now, id, reason);
        }
        self.logins.remove(&id);
        self.forget_asker(Asker::Ike(id));
        self.proven.remove(&id);
        self.channel_closed(now, id, reason);
        if let Some(session) = self.sessions.remove(&id) {
            self.release(id);
            self.report_end(now, id, &session, &reason.to_string(), None);
        }
    }

    /// Traffic of a session so far.
    pub(super) fn traffic(&self, session: &Session) -> Traffic {
        let mut sum = self.traffic_of(&session.children);
        sum += session.past;
        sum -= session.before;
        sum
    }

    /// Traffic of SA pairs so far.
    pub(super) fn traffic_of(&self, children: &[Child]) -> Traffic {
        children.iter().fold(Traffic::default(), |mut sum, child| {
            sum += self.meter.traffic(child.inbound_spi);
            sum
        })
    }

    /// Keeps the account's limit of devices.
    fn make_room(&mut self, now: Now, newcomer: &Session) -> Result<(), String> {
        if !self.is_limit_reached(newcomer) {
            return Ok(());
        }
        let Some(former) = self.dispensable(now, newcomer) else {
            let (user, others) = (newcomer.who(), self.sessions_of(newcomer));
            let limit = self.device_limit(newcomer).unwrap_or_default();
            return Err(format!(
                "{user:?} is connected with {others} of {limit} devices already; disconnect one, or raise `devices`"
            ));
        };
        self.replace(now, former);
        Ok(())
    }

    /// Whether the newcomer's account has as many sessions as it may have.
    pub(super) fn is_limit_reached(&self, newcomer: &Session) -> bool {
        self.device_limit(newcomer).is_some_and(|limit| self.sessions_of(newcomer) >= limit)
    }

    fn device_limit(&self, newcomer: &Session) -> Option<usize> {
        let limit = self.users.find(newcomer.user.as_ref()?)?.devices?;
        Some(usize::try_from(limit).unwrap_or(usize::MAX))
    }

    fn sessions_of(&self, newcomer: &Session) -> usize {
        self.sessions.values().filter(|session| session.counts_with(newcomer)).count()
    }

    fn lease(&mut self, now: Now, id: SessionId, session: &Session, want: LeaseRequest) -> Result<Lease, PoolError> {
        let key = LeaseKey { owner: session.owner(), session: id.0 };
        match self.leases.lease(&key, want) {
            Err(PoolError::FixedInUse { session: former, .. }) => {
                self.replace(now, SessionId(former));
                self.leases.lease(&key, want)
            }
            other => other,
        }
    }

    /// Ends a session in favour of a new one of the same client, so that its address is free at once.
    pub(super) fn replace(&mut self, now: Now, former: SessionId) {
        let Some(session) = self.sessions.get(&former) else { return };
        if let Via::L2tp(key) = session.via {
            self.hang_up(now, key, l2tp::Reason::Replaced);
            return;
        }
        self.ike.close(now.instant, former, CloseReason::Replaced);
        if let Some(session) = self.sessions.remove(&former) {
            for child in &session.children {
                self.owners.remove(&child.inbound_spi);
                self.effects.push_back(Effect::Remove { inbound_spi: child.inbound_spi });
            }
            self.release(former);
            self.report_end(now, former, &session, &CloseReason::Replaced.to_string(), None);
        }
    }

    /// Ends what is there now, and forbids nothing: the sessions that `who` names (see
    /// [`crate::control::model::Session::is_about`]) and the tunnels of sites.
    pub fn kick(&mut self, now: Now, who: &str) -> Kicked {
        let named = self.status(now).sessions.into_iter().filter(|session| session.is_about(who));
        let ids: Vec<SessionId> = named.map(|session| SessionId(session.id)).collect();
        for &id in &ids {
            self.disconnect(now, id, CloseReason::Administrative);
        }
        let sites = self.kick_sites(now, who);
        self.settle(now);
        Kicked { disconnected: ids.len() as u64, sites }
    }

    /// Ends a session for good: the client is told in its own protocol.
    pub(super) fn disconnect(&mut self, now: Now, id: SessionId, reason: CloseReason) {
        match self.sessions.get(&id).map(|session| session.via) {
            Some(Via::L2tp(key)) => {
                let revoked = reason == CloseReason::Revoked;
                let denied = || cygnet_ppp::CloseReason::Denied(reason.to_string());
                self.close_call(now, key, if revoked { denied() } else { cygnet_ppp::CloseReason::Administrative });
            }
            Some(_) => self.ike.close(now.instant, id, reason),
            None => {}
        }
    }

    /// Whether clients may come in this way at all. Where people log in with a password besides a key that all of them know,
    /// that key alone proves nothing; a client's own key does.
    fn check_protocol(&self, request: &AccessRequest) -> Result<(), &'static str> {
        let Some(remote) = &self.settings.remote else { return Ok(()) };
        if request.by == AuthenticatedBy::XAuth {
            return Ok(());
        }
        if !remote.speaks(Protocol::Ikev2) {
            return Err(NO_IKEV2);
        }
        let own_key = |entry: &config::PskEntry| match &entry.selector {
            config::PskSelector::Identity(name) => name.parse().is_ok_and(|name: Identity| name == request.identity),
            _ => false,
        };
        let key_alone = request.by == AuthenticatedBy::Psk && remote.speaks_ikev1();
        if key_alone && !remote.psks.iter().any(own_key) { Err(KEY_ALONE) } else { Ok(()) }
    }

    pub(super) fn release(&mut self, id: SessionId) {
        self.give_lease_back(id);
        if let Some(lease) = self.leases.release(id.0) {
            self.effects.push_back(Effect::Expel { addresses: lease.addresses().collect() });
        }
    }

    fn grant(&self, id: SessionId) -> Grant {
        let Some(remote) = &self.settings.remote else { return Grant::default() };
        Grant {
            addresses: self.leases.lease_of(id.0).unwrap_or_default().addresses().collect(),
            netmask: Some(Ipv4Addr::BROADCAST),
            dns: remote.dns.clone(),
            domains: remote.dns_domains.clone(),
            routes: remote.routes.iter().map(|net| Prefix { address: net.network(), len: net.prefix_len() }).collect(),
            nbns: remote.nbns.clone(),
            application_version: Some(concat!("Cygnet ", env!("CARGO_PKG_VERSION")).to_owned()),
        }
    }
}
