//! What the IKE engine says about sites' sessions, and what follows for data plane, log and memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cygnet_ike::{
    AccessRequest, ChildSa, CloseReason, Denial, EspSpi, Grant, Path, Refusal, RefusalReason, Role, SessionId,
    SessionInfo,
};
use jiff::Unit;

use super::NOTHING;
use super::supervisor::{Failure, Supervisor};
use super::tunnel::{Pair, Tunnel};
use crate::explain::{Record, sentence_about_peer};
use crate::gateway::{Effect, Gateway, Now, Traffic, report};

/// What the memory calls the end of a site's session.
pub(super) const SESSION: &str = "site";
/// A pair that was heard from this lately goes on sending until the peer uses the one that takes over.
const LIVELY: Duration = Duration::from_secs(3);

impl Gateway {
    /// The peer has begun a session and proven that it is this site.
    pub(in crate::gateway) fn admit_site(&mut self, now: Now, id: SessionId, site: &Arc<str>, request: &AccessRequest) {
        let Self { sites, ike, meter, .. } = self;
        let Some(supervisor) = sites.supervise(site) else {
            return self.ike.deny(now.instant, id, Denial::Authorization);
        };
        if let Err(text) = supervisor.admits() {
            self.remember_site(now, site, request.path, &text);
            return self.ike.deny(now.instant, id, Denial::Authorization);
        }
        supervisor.accepted(id, request.path);
        let heard = supervisor.heard(|id| ike.session(id).map(|info| info.last_heard), |spi| meter.last_heard(spi));
        supervisor.limit(id, |id| heard.get(&id).copied());
        self.sites.of_session.insert(id, Arc::clone(site));
        self.ike.grant(now.instant, id, Grant::default());
    }

    pub(in crate::gateway) fn site_established(&mut self, now: Now, id: SessionId, info: &SessionInfo) {
        let Some(supervisor) = self.sites.of(id) else { return };
        supervisor.established(now, id, info);
        tracing::info!(
            session = id.0,
            site = info.site.as_deref(),
            peer = %info.path.peer,
            identity = info.identity.as_ref().map(ToString::to_string),
            role = %info.role,
            nat = info.behind_nat,
            suite = info.ike_suite,
            "site connected"
        );
    }

    pub(in crate::gateway) fn site_child_up(
        &mut self,
        now: Now,
        id: SessionId,
        child: Box<ChildSa>,
        replaces: Option<EspSpi>,
    ) {
        let Some(site) = self.sites.name_of(id) else { return };
        let Some(supervisor) = self.sites.supervise(&site) else { return };
        let pair = supervisor.pair_of(&child, now.instant);
        let older = supervisor.predecessor(id, pair.child).filter(|&spi| {
            let heard = self.meter.last_heard(spi);
            heard.is_some_and(|at| now.instant.saturating_duration_since(at) < LIVELY)
        });
        let child_name = supervisor.plan.children.get(pair.child).map(ToString::to_string);
        tracing::debug!(session = id.0, %site, child = child_name, spi = %child.inbound_spi, "SA pair is up");
        supervisor.child_up(now, id, pair);
        self.owners.insert(child.inbound_spi, id);
        let replaces = replaces.or(older);
        self.effects.push_back(Effect::Install { session: id, child, replaces, site: Some(site) });
    }

    pub(in crate::gateway) fn site_child_down(&mut self, now: Now, id: SessionId, inbound_spi: EspSpi) {
        let traffic = self.meter.traffic(inbound_spi);
        if let Some(supervisor) = self.sites.of(id) {
            supervisor.child_down(now, id, inbound_spi, traffic);
        }
        self.owners.remove(&inbound_spi);
        self.effects.push_back(Effect::Remove { inbound_spi });
    }

    pub(in crate::gateway) fn site_child_failed(&mut self, now: Now, id: SessionId, child: &str) {
        if let Some(supervisor) = self.sites.of(id) {
            supervisor.child_failed(now, id, child);
        }
    }

    pub(in crate::gateway) fn site_refused(&mut self, now: Now, refusal: &Refusal) {
        let Some(id) = refusal.session else { return };
        let failure = Failure { text: sentence_about_peer(&refusal.reason), silence: is_silence(refusal) };
        if let Some(supervisor) = self.sites.of(id) {
            supervisor.refused(now, id, failure);
        }
    }

    pub(in crate::gateway) fn site_moved(&mut self, id: SessionId, path: Path, udp_encap: Option<bool>) {
        let Some(supervisor) = self.sites.of(id) else { return };
        let Some(tunnel) = supervisor.tunnels.get(&id) else { return };
        tracing::info!(session = id.0, from = %tunnel.path.peer, to = %path.peer, local = %path.local, "site moved");
        let pairs = tunnel.pairs.iter().map(|pair| pair.inbound_spi);
        self.effects.extend(pairs.map(|inbound_spi| Effect::Move { inbound_spi, path, udp_encap }));
        supervisor.moved(id, path);
    }

    pub(in crate::gateway) fn site_reauthentication_due(&mut self, now: Now, id: SessionId, within: Duration) {
        let Some(supervisor) = self.sites.of(id) else { return };
        tracing::debug!(session = id.0, seconds = within.as_secs(), "both sides have to prove again who they are");
        supervisor.reauthentication_due(now, id);
    }

    pub(in crate::gateway) fn site_closed(&mut self, now: Now, id: SessionId, reason: CloseReason) {
        let Some(site) = self.sites.of_session.remove(&id) else { return };
        let Some(supervisor) = self.sites.supervise(&site) else { return };
        let over = supervisor.tunnels.get(&id).map(Ended::of);
        supervisor.closed(now, id, reason);
        let text = super::supervisor::ending(reason);
        if let Some(ended) = over {
            self.report_site_ended(now, id, &site, &ended, &text);
        }
    }

    /// Logs and remembers the end of a tunnel that was up.
    pub(super) fn report_site_ended(&mut self, now: Now, id: SessionId, site: &Arc<str>, ended: &Ended, text: &str) {
        if let Ended { path, role, up: Some(since), past } = *ended {
            let seconds = now.wall.duration_since(since).as_secs();
            tracing::info!(
                session = id.0,
                %site,
                peer = %path.peer,
                reason = text,
                seconds,
                bytes_in = past.bytes_in,
                bytes_out = past.bytes_out,
                "site disconnected"
            );
            let lasted = now.wall.since(since).and_then(|span| span.round(Unit::Second));
            let lasted = lasted.map_or_else(|_| "an unknown time".to_owned(), |span| format!("{span:#}"));
            let detail = format!("connected for {lasted}, {} bytes in, {} bytes out", past.bytes_in, past.bytes_out);
            self.memory.record(Record {
                when: now.wall,
                peer: path.peer,
                called: role == Role::Initiator,
                user: Some(site.to_string()),
                exchange: SESSION.to_owned(),
                headline: format!("session ended: {text}"),
                details: vec![detail],
                fix: None,
            });
        }
    }

    /// Whether a session is one of a site.
    pub(in crate::gateway) fn is_of_site(&self, id: SessionId) -> bool {
        self.sites.of_session.contains_key(&id)
    }

    /// Whether a session is one of a site that we have called.
    pub(in crate::gateway) fn has_called(&self, id: SessionId) -> bool {
        let site = self.sites.of_session.get(&id).and_then(|name| self.sites.watched.get(name));
        let tunnel = site.and_then(|watched| watched.supervisor.tunnels.get(&id));
        tunnel.is_some_and(|tunnel| tunnel.role == Role::Initiator)
    }

    /// An authentic packet came from elsewhere. We follow a peer that is behind address translation, or one that began: one that we
    /// have called at its own address stays there.
    pub(in crate::gateway) fn follows(&self, id: SessionId) -> bool {
        let site = self.sites.of_session.get(&id).and_then(|name| self.sites.watched.get(name));
        let tunnel = site.and_then(|watched| watched.supervisor.tunnels.get(&id));
        tunnel.is_none_or(|tunnel| tunnel.behind_nat || tunnel.role == Role::Responder)
    }

    /// Tells the IKE engine which sites were heard on the data path.
    pub(in crate::gateway) fn note_living_sites(&mut self, now: Now) {
        let Self { sites, meter, ike, .. } = self;
        for (&id, tunnel) in sites.watched.values_mut().flat_map(|watched| watched.supervisor.tunnels.iter_mut()) {
            let heard = tunnel.pairs.iter().filter_map(|pair| meter.last_heard(pair.inbound_spi)).max();
            if heard > tunnel.heard {
                tunnel.heard = heard;
                ike.note_inbound(heard.unwrap_or(now.instant).min(now.instant), id);
            }
        }
    }

    /// Who is at the other end of an SA pair that cannot be read.
    pub(in crate::gateway) fn site_of_pair(
        &self,
        id: SessionId,
        inbound_spi: EspSpi,
    ) -> Option<(Arc<str>, Path, String)> {
        let name = self.sites.name_of(id)?;
        let tunnel = self.sites.watched.get(&name)?.supervisor.tunnels.get(&id)?;
        let pair = tunnel.pairs.iter().find(|pair| pair.inbound_spi == inbound_spi)?;
        Some((name, tunnel.path, pair.cipher.clone()))
    }

    fn remember_site(&mut self, now: Now, site: &str, path: Path, text: &str) {
        tracing::warn!(site, peer = %path.peer, "not let in: {text}");
        let (headline, fix) = report::sentence_and_fix(text);
        self.memory.record(Record {
            when: now.wall,
            peer: path.peer,
            called: false,
            user: Some(site.to_owned()),
            exchange: "IKE_AUTH".to_owned(),
            headline,
            details: Vec::new(),
            fix,
        });
    }
}

/// What is told about a tunnel that is over.
pub(super) struct Ended {
    path: Path,
    role: Role,
    up: Option<jiff::Timestamp>,
    pub(super) past: Traffic,
}

impl Ended {
    pub(super) fn of(tunnel: &Tunnel) -> Self {
        Self { path: tunnel.path, role: tunnel.role, up: tunnel.up.map(|(_, wall)| wall), past: tunnel.past }
    }
}

/// Whether the peer has said nothing at all.
fn is_silence(refusal: &Refusal) -> bool {
    matches!(refusal.reason, RefusalReason::NoAnswer)
}

impl Supervisor {
    /// What is kept about an SA pair.
    fn pair_of(&self, child: &ChildSa, now: Instant) -> Pair {
        let name = child.site_child.as_deref();
        let place = self.plan.children.iter().position(|known| Some(&**known) == name);
        Pair {
            inbound_spi: child.inbound_spi,
            child: place.unwrap_or(0),
            cipher: report::cipher_name(&child.suite),
            local: child.local_ts.iter().map(ToString::to_string).collect(),
            remote: child.remote_ts.iter().map(ToString::to_string).collect(),
            rekey: child.lifetime.and_then(|lifetime| now.checked_add(lifetime.soft)),
        }
    }

    /// The pair of the same child in an older session, where the peer has begun the new one: it may still send by the old one,
    /// and does not expect packets on the new one before it heard that it is complete.
    fn predecessor(&self, id: SessionId, child: usize) -> Option<EspSpi> {
        self.tunnels.get(&id).filter(|tunnel| tunnel.role == Role::Responder)?;
        let older = self.tunnels.range(..id).rev().filter(|(_, tunnel)| tunnel.is_established());
        older.filter_map(|(_, tunnel)| tunnel.pair(child)).map(|pair| pair.inbound_spi).next()
    }

    /// When the peer was last heard in each session.
    pub(super) fn heard(
        &self,
        by_ike: impl Fn(SessionId) -> Option<Instant>,
        by_esp: impl Fn(EspSpi) -> Option<Instant>,
    ) -> BTreeMap<SessionId, Instant> {
        let of = |(&id, tunnel): (&SessionId, &Tunnel)| {
            let esp = tunnel.pairs.iter().filter_map(|pair| by_esp(pair.inbound_spi)).max();
            by_ike(id).max(esp).map(|at| (id, at))
        };
        self.tunnels.iter().filter_map(of).collect()
    }
}

/// Traffic of a site's tunnels so far.
pub(super) fn traffic(supervisor: &Supervisor, of_pair: impl Fn(EspSpi) -> Traffic) -> Traffic {
    let mut sum = NOTHING;
    for tunnel in supervisor.tunnels.values() {
        sum += tunnel.past;
        tunnel.pairs.iter().for_each(|pair| sum += of_pair(pair.inbound_spi));
    }
    sum
}
