//! From a proven identity to a session: account limits, lease, routes, grant; and the way back.
//!
//! Fail closed: a client hears its address only after the host forwards for it ([`Effect::Admit`]).

use std::net::Ipv4Addr;

use cygnet_ike::{
    AccessRequest, AuthenticatedBy, ChildSa, CloseReason, Denial, EspSpi, Grant, Path, Prefix, SessionId,
};

use super::session::{Child, Session, Stage};
use super::{Effect, Gateway, Now, Traffic, report};
use crate::pool::{Lease, LeaseKey, LeaseRequest, PoolError};

impl Gateway {
    /// The client has proven who it is. Leases addresses and asks the daemon to prepare the host.
    pub(super) fn admit(&mut self, now: Now, id: SessionId, request: &AccessRequest) {
        let user = self.logins.remove(&id).and_then(|login| login.user);
        if request.by == AuthenticatedBy::Eap && user.is_none() {
            return self.ike.deny(now.instant, id, Denial::Authorization);
        }
        let mut session = Session::new(now, request, user);
        if let Err(text) = self.make_room(now, &session) {
            self.report_denial(now, &session, &text);
            return self.ike.deny(now.instant, id, Denial::Authorization);
        }
        match self.lease(now, id, &session, request) {
            Ok(lease) => {
                session.lease = lease;
                self.effects.push_back(Effect::Admit {
                    session: id,
                    addresses: lease.addresses().collect(),
                    mtu: None,
                });
                self.sessions.insert(id, session);
            }
            Err(error) => {
                self.report_denial(now, &session, &error.to_string());
                self.ike.deny(now.instant, id, Denial::NoAddress);
            }
        }
    }

    /// What came of [`Effect::Admit`]; the error is a sentence for the operator.
    pub fn admitted(&mut self, now: Now, id: SessionId, outcome: Result<(), String>) {
        let Some(session) = self.sessions.get_mut(&id).filter(|s| s.stage == Stage::Admitting) else { return };
        match outcome {
            Ok(()) => {
                session.stage = Stage::Established;
                let grant = self.grant(id);
                self.ike.grant(now.instant, id, grant);
            }
            Err(text) => {
                if let Some(session) = self.sessions.remove(&id) {
                    self.release(id);
                    self.report_denial(now, &session, &format!("the host cannot forward for it: {text}"));
                }
                self.ike.deny(now.instant, id, Denial::NoAddress);
            }
        }
        self.settle(now);
    }

    /// An SA pair could not be installed: the session cannot carry traffic, so it ends.
    pub fn install_failed(&mut self, now: Now, id: SessionId) {
        self.ike.close(now.instant, id, CloseReason::Failed);
        self.settle(now);
    }

    pub(super) fn child_up(&mut self, id: SessionId, child: Box<ChildSa>, replaces: Option<EspSpi>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let (inbound_spi, cipher) = (child.inbound_spi, report::cipher_name(&child.suite));
        session.children.push(Child { inbound_spi, cipher });
        self.owners.insert(inbound_spi, id);
        self.effects.push_back(Effect::Install { session: id, child, replaces });
    }

    pub(super) fn child_down(&mut self, id: SessionId, inbound_spi: EspSpi) {
        self.owners.remove(&inbound_spi);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.past += self.meter.traffic(inbound_spi);
            session.children.retain(|child| child.inbound_spi != inbound_spi);
        }
        self.effects.push_back(Effect::Remove { inbound_spi });
    }

    pub(super) fn moved(&mut self, id: SessionId, path: Path) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        tracing::info!(session = id.0, user = session.who(), from = %session.path.peer, to = %path.peer, "client moved");
        session.path = path;
        let moves = session.children.iter().map(|c| Effect::Move { inbound_spi: c.inbound_spi, path });
        self.effects.extend(moves);
    }

    pub(super) fn closed(&mut self, now: Now, id: SessionId, reason: CloseReason) {
        self.logins.remove(&id);
        if let Some(session) = self.sessions.remove(&id) {
            self.release(id);
            self.report_end(now, id, &session, reason);
        }
    }

    /// Traffic of a session so far.
    pub(super) fn traffic(&self, session: &Session) -> Traffic {
        session.children.iter().fold(session.past, |mut sum, child| {
            sum += self.meter.traffic(child.inbound_spi);
            sum
        })
    }

    /// Keeps the account's limit of devices. A session from the same address gives way: it is the same device, back after
    /// it vanished.
    fn make_room(&mut self, now: Now, newcomer: &Session) -> Result<(), String> {
        let Some(user) = &newcomer.user else { return Ok(()) };
        let Some(limit) = self.users.find(user).and_then(|account| account.devices) else { return Ok(()) };
        let others: Vec<_> = self.sessions.iter().filter(|(_, s)| s.user.as_ref() == Some(user)).collect();
        if others.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
            return Ok(());
        }
        let same_place = |session: &Session| session.path.peer.ip() == newcomer.path.peer.ip();
        let Some(former) = others.iter().find(|(_, s)| same_place(s)).map(|(id, _)| **id) else {
            return Err(format!("{user:?} is connected with {} of {limit} devices already", others.len()));
        };
        self.replace(now, former);
        Ok(())
    }

    fn lease(
        &mut self,
        now: Now,
        id: SessionId,
        session: &Session,
        request: &AccessRequest,
    ) -> Result<Lease, PoolError> {
        let key = LeaseKey { owner: session.owner(), session: id.0 };
        let want = LeaseRequest { v4: request.ipv4, v6: request.ipv6 };
        match self.leases.lease(&key, want) {
            Err(PoolError::FixedInUse { session: former, .. }) => {
                self.replace(now, SessionId(former));
                self.leases.lease(&key, want)
            }
            other => other,
        }
    }

    /// Ends a session in favour of a new one of the same client, so that its address is free at once.
    fn replace(&mut self, now: Now, former: SessionId) {
        self.ike.close(now.instant, former, CloseReason::Replaced);
        if let Some(session) = self.sessions.remove(&former) {
            for child in &session.children {
                self.owners.remove(&child.inbound_spi);
                self.effects.push_back(Effect::Remove { inbound_spi: child.inbound_spi });
            }
            self.release(former);
            self.report_end(now, former, &session, CloseReason::Replaced);
        }
    }

    fn release(&mut self, id: SessionId) {
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
            nbns: Vec::new(),
            application_version: Some(concat!("Cygnet ", env!("CARGO_PKG_VERSION")).to_owned()),
        }
    }
}
