//! A person's login by PPP inside of an L2TP session, from the first frame to the end: a [`Call`].
//!
//! ```text
//! SessionUp -> LCP -> Credentials -> judge (login.rs) -> Authenticated -> rivals? -> open (admission.rs) -> grant
//!           -> NetworkUp -> Effect::Link: from now on the data plane carries the IP packets by itself
//! ```
//!
//! A client that vanished and comes back finds its former session still there. Who comes with the same user and the same
//! L2TP host name is let in only after the former link was asked for a sign of life: a link that is silent gives way,
//! together with its address, and one that answers stays. So a device gets its address back, and two devices that look
//! alike do not push each other out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cygnet_ike::cert::CertificatePath;
use cygnet_ike::{EspSpi, SessionId};
use cygnet_l2tp::{Reason, SessionInfo, SessionKey};
use cygnet_ppp::auth::{Method, Verdict};
use cygnet_ppp::frame::{self, Protocol};
use cygnet_ppp::{CloseReason, Event, Grant, LinkConfig, Seed};

use super::awaited_lists::Asker;
use super::l2tp::{Progress, calls_of};
use super::session::{Session, Stage, Via};
use super::timers::Timer;
use super::{Effect, Gateway, Now, ppp_end};
use crate::dataplane;
use crate::pool::{self, LeaseRequest};

/// How long a former link of the same device may take to show a sign of life.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// LCP Echo-Request (RFC 1661 section 5.8) with the magic number 0, which every peer answers.
const PROBE: [u8; 12] = [0xff, 0x03, 0xc0, 0x21, 9, 0, 0, 8, 0, 0, 0, 0];
/// PPP clients that demand MPPE end the link right after CCP was rejected.
const SOON: Duration = Duration::from_secs(10);
/// Our address on links of pools that have none for us (RFC 7600 section 4.8, IPv4 dummy address).
const DUMMY_ADDRESS: std::net::Ipv4Addr = std::net::Ipv4Addr::new(192, 0, 0, 8);

/// One PPP link on one L2TP session.
pub(super) struct Call {
    /// Names its session once there is one.
    pub(super) id: SessionId,
    ppp: cygnet_ppp::Link,
    info: SessionInfo,
    /// The pair whose packets the data plane treats as those of this link.
    pub(super) attached: Option<EspSpi>,
    waiting: Option<Waiting>,
    /// The client's certificate with those above it, if it has logged in with one.
    certificates: CertificatePath,
    since: Instant,
    /// When a frame of the client came to the control plane.
    heard: Instant,
    /// The client wants compression or encryption by PPP.
    wanted_ccp: bool,
    /// Largest IP packet that the path carries, octets.
    mtu: u16,
}

/// Who has proven to be the user waits for signs of life of former links.
struct Waiting {
    session: Session,
    rivals: Vec<SessionKey>,
    since: Instant,
    next: Instant,
}

impl Call {
    /// What the data plane has to know.
    pub(super) fn link(&self, key: SessionKey, session: &Session) -> dataplane::Link {
        let ppp = self.ppp.info();
        let is_up = |address: &std::net::IpAddr| if address.is_ipv4() { ppp.ipv4 } else { ppp.ipv6 };
        dataplane::Link {
            local_tunnel: key.tunnel,
            local_session: key.session,
            peer_tunnel: self.info.peer_tunnel,
            peer_session: self.info.peer_session,
            port: self.info.port,
            addresses: session.lease.addresses().filter(is_up).collect(),
            short_protocol: ppp.short_protocol,
            omit_address_control: ppp.omit_address_control,
            sequencing: self.info.sequencing_required,
            mtu: self.mtu.min(ppp.peer_mru),
        }
    }

    /// A data packet was heard.
    pub(super) fn note_inbound(&mut self, now: Instant) {
        self.ppp.note_inbound(now);
    }

    fn due(&self) -> Option<Instant> {
        self.ppp.poll_timeout().into_iter().chain(self.waiting.as_ref().map(|w| w.next)).min()
    }
}

impl Gateway {
    /// An L2TP session is up: PPP begins. An SA pair carries one link, so a former call of this peer ends.
    pub(super) fn call_up(&mut self, now: Now, key: SessionKey, info: SessionInfo) {
        let peer = SessionId(key.channel.0);
        let Some(channel) = self.channels.get_mut(&peer) else { return };
        channel.reached(Progress::Session);
        let mtu = channel.mtu;
        self.timers.set(Timer::Idle(peer), None);
        let former: Vec<SessionKey> = self.calls.range(calls_of(peer)).map(|(&key, _)| key).collect();
        for former in former {
            self.hang_up(now, former, Reason::Replaced);
        }
        let config = Arc::new(LinkConfig {
            auth: self.ppp_methods(),
            eap: self.eap_config(now),
            ..LinkConfig::new(self.server_name(), mtu)
        });
        let mut seed = [0; 32];
        self.random.fill(&mut seed);
        let call = Call {
            id: self.call_ids.next(),
            ppp: cygnet_ppp::Link::new(config, Seed::new(seed), now.instant),
            info,
            attached: None,
            waiting: None,
            certificates: CertificatePath::default(),
            since: now.instant,
            heard: now.instant,
            wanted_ccp: false,
            mtu,
        };
        self.calls.insert(key, call);
        self.stirred.insert(key);
    }

    /// The client's inner port is another one from now on.
    pub(super) fn call_moved(&mut self, key: SessionKey, port: u16) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.info.port = port;
        self.attach(key);
    }

    /// A PPP frame that the data plane does not know what to do with.
    pub(super) fn call_frame(&mut self, now: Now, key: SessionKey, frame: &[u8]) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.heard = now.instant;
        call.wanted_ccp |= frame::parse(frame).is_ok_and(|(protocol, _)| protocol == Protocol::CCP);
        call.ppp.handle_frame(now.instant, frame);
        self.stirred.insert(key);
    }

    pub(super) fn call_timeout(&mut self, now: Now, key: SessionKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.ppp.handle_timeout(now.instant);
        self.stirred.insert(key);
        self.look_at_rivals(now, key);
    }

    /// Lets a link have its say: events first, so that the data plane is ready before the client hears that it may begin.
    pub(super) fn drive_call(&mut self, now: Now, key: SessionKey) {
        while let Some(event) = self.calls.get_mut(&key).and_then(|call| call.ppp.poll_event()) {
            self.handle_ppp_event(now, key, event);
        }
        self.send_frames(key);
        let due = self.calls.get(&key).and_then(Call::due);
        self.timers.set(Timer::Call(key), due);
    }

    fn send_frames(&mut self, key: SessionKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        while let Some(frame) = call.ppp.poll_transmit() {
            self.l2tp.send_frame(key, &frame);
        }
    }

    fn handle_ppp_event(&mut self, now: Now, key: SessionKey, event: Event) {
        match event {
            Event::Credentials(credentials) => self.judge_for(now, Asker::Ppp(key), credentials),
            Event::Authenticated { user, .. } => self.call_authenticated(now, key, user),
            Event::NetworkUp { .. } => self.network_up(key),
            Event::NetworkDown { .. } => self.attach(key),
            Event::Down { reason } => self.ppp_down(now, key, &reason),
            _ => {}
        }
    }

    /// What the client has shown was judged.
    pub(super) fn call_judged(&mut self, now: Now, key: SessionKey, verdict: Verdict, certificates: CertificatePath) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.certificates = certificates;
        call.ppp.verdict(now.instant, verdict);
        self.stirred.insert(key);
    }

    /// The client has proven to be `user`.
    fn call_authenticated(&mut self, now: Now, key: SessionKey, user: String) {
        let Some(channel) = self.channels.get(&SessionId(key.channel.0)) else { return };
        let before = self.traffic_of(&channel.children);
        let mut session = Session::of_call(now, key, channel, user, before);
        let rivals = self.rivals(key, &session);
        let Some(call) = self.calls.get_mut(&key) else { return };
        session.certificates = std::mem::take(&mut call.certificates);
        call.waiting = Some(Waiting { session, rivals, since: now.instant, next: now.instant });
        self.look_at_rivals(now, key);
    }

    /// Former links that may be the same device: those that give the same host name, and all of the account when it has as
    /// many devices connected as it may.
    fn rivals(&self, key: SessionKey, newcomer: &Session) -> Vec<SessionKey> {
        let host_name = self.calls.get(&key).and_then(|call| call.info.host_name.clone());
        let limit_reached = self.is_limit_reached(newcomer);
        let may_be_the_same = |other: &SessionKey| {
            let named = self.calls.get(other).and_then(|call| call.info.host_name.as_ref());
            limit_reached || (named.is_some() && named == host_name.as_ref())
        };
        let calls =
            self.sessions.values().filter(|s| s.user == newcomer.user).filter_map(|session| match session.via {
                Via::L2tp(other) if other != key => Some(other),
                _ => None,
            });
        calls.filter(may_be_the_same).collect()
    }

    /// Lets the waiting client in once each rival has shown a sign of life or was silent for too long.
    fn look_at_rivals(&mut self, now: Now, key: SessionKey) {
        let Some(mut waiting) = self.calls.get_mut(&key).and_then(|call| call.waiting.take()) else { return };
        let silent = |gateway: &Self, rival: &SessionKey| gateway.heard(*rival).is_some_and(|at| at <= waiting.since);
        let rivals: Vec<SessionKey> = waiting.rivals.iter().filter(|rival| silent(self, rival)).copied().collect();
        if rivals.is_empty() || now.instant >= waiting.since + PATIENCE {
            for rival in rivals {
                self.hang_up(now, rival, Reason::Replaced);
            }
            return self.let_in(now, key, waiting.session);
        }
        if now.instant >= waiting.next {
            waiting.next = now.instant + PROBE_INTERVAL;
            rivals.iter().for_each(|&rival| self.l2tp.send_frame(rival, &PROBE));
        }
        if let Some(call) = self.calls.get_mut(&key) {
            call.waiting = Some(Waiting { rivals, ..waiting });
        }
        self.stirred.insert(key);
    }

    /// When a call's client was heard last, on either plane; `None` for a call that is no more.
    fn heard(&self, key: SessionKey) -> Option<Instant> {
        let call = self.calls.get(&key)?;
        let children = self.sessions.get(&call.id).map(|s| s.children.as_slice()).unwrap_or_default();
        let on_the_path = children.iter().filter_map(|c| self.meter.last_heard(c.inbound_spi)).max();
        Some(on_the_path.map_or(call.heard, |at| at.max(call.heard)))
    }

    fn let_in(&mut self, now: Now, key: SessionKey, mut session: Session) {
        let (Some(call), Some(channel)) = (self.calls.get(&key), self.channels.get(&SessionId(key.channel.0))) else {
            return;
        };
        // It may have moved or rekeyed while it waited.
        (session.path, session.children) = (channel.path, channel.children.clone());
        let (id, mtu) = (call.id, call.mtu.min(call.ppp.info().peer_mru));
        let any = LeaseRequest { v4: Some(None), v6: Some(None) };
        let refused = self.open(now, id, session, any, Some(mtu)).err();
        if let (Some(refused), Some(call)) = (refused, self.calls.get_mut(&key)) {
            call.ppp.deny(now.instant, refused.into());
        }
        self.stirred.insert(key);
    }

    /// What came of preparing the host for a call: PPP hears of its addresses, or why it gets none.
    pub(super) fn call_admitted(&mut self, now: Now, key: SessionKey, outcome: Result<(), String>) {
        let grant = self.calls.get(&key).map(|call| self.ppp_grant(call.id, call.mtu));
        let (Some(call), Some(grant)) = (self.calls.get_mut(&key), grant) else { return };
        match outcome {
            Ok(()) => call.ppp.grant(now.instant, grant),
            Err(text) => call.ppp.deny(now.instant, CloseReason::Denied(text)),
        }
        self.stirred.insert(key);
    }

    fn ppp_grant(&self, id: SessionId, mtu: u16) -> Grant {
        let lease = self.leases.lease_of(id.0).unwrap_or_default();
        let remote = self.settings.remote.as_ref();
        let ours = remote.into_iter().flat_map(|r| &r.pools).find_map(|&pool| match pool::gateway_address(pool) {
            Some(std::net::IpAddr::V4(address)) => Some(address),
            _ => None,
        });
        Grant {
            ipv4: lease.v4,
            ipv6: lease.v6,
            gateway4: ours.unwrap_or(DUMMY_ADDRESS),
            dns: remote.map(|r| r.dns.clone()).unwrap_or_default(),
            nbns: remote.map(|r| r.nbns.clone()).unwrap_or_default(),
            domains: remote.map(|r| r.dns_domains.clone()).unwrap_or_default(),
            routes: remote.iter().flat_map(|r| &r.routes).map(|net| (net.network(), net.prefix_len())).collect(),
            mtu,
        }
    }

    /// Both sides agreed on an address.
    fn network_up(&mut self, key: SessionKey) {
        let Some(id) = self.calls.get(&key).map(|call| call.id) else { return };
        self.attach(key);
        if let Some(session) = self.sessions.get_mut(&id).filter(|session| session.stage == Stage::Granted) {
            session.stage = Stage::Established;
            self.report_established(id);
        }
    }

    /// Tells the data plane how the link is now.
    fn attach(&mut self, key: SessionKey) {
        let Some(current) = self.channels.get(&SessionId(key.channel.0)).map(|channel| channel.current) else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(session) = self.sessions.get(&call.id).filter(|s| s.stage != Stage::Admitting) else { return };
        let link = Some(call.link(key, session)).filter(|link| !link.addresses.is_empty());
        let target = if link.is_some() { current } else { call.attached };
        call.attached = if link.is_some() { current } else { None };
        if let Some(inbound_spi) = target {
            self.effects.push_back(Effect::Link { inbound_spi, link });
        }
    }

    /// PPP has ended: its last words, then the L2TP session goes.
    fn ppp_down(&mut self, now: Now, key: SessionKey, reason: &CloseReason) {
        self.send_frames(key);
        let Some(call) = self.calls.get(&key) else { return };
        let demands_mppe = *reason == CloseReason::PeerTerminated && call.wanted_ccp && now.instant < call.since + SOON;
        let (text, fix) = ppp_end::explain(reason);
        let fix = if demands_mppe { Some(ppp_end::MPPE_FIX.to_owned()) } else { fix };
        let path = self.channels.get(&SessionId(key.channel.0)).map(|channel| channel.path);
        if let (false, Some(path), true) = (self.sessions.contains_key(&call.id), path, ppp_end::is_news(reason)) {
            self.report_ppp_failure(now, path, &text, fix.clone());
        }
        self.l2tp.close_session(now.instant, key, Reason::LinkDown);
        self.finish_call(now, key, &text, fix);
    }

    /// Ends a call from our side.
    pub(super) fn hang_up(&mut self, now: Now, key: SessionKey, reason: Reason) {
        let text = reason.to_string();
        self.l2tp.close_session(now.instant, key, reason);
        self.end_call(now, key, &text);
    }

    /// What carried a call is gone.
    pub(super) fn end_call(&mut self, now: Now, key: SessionKey, text: &str) {
        self.finish_call(now, key, text, None);
    }

    fn finish_call(&mut self, now: Now, key: SessionKey, text: &str, fix: Option<String>) {
        let Some(call) = self.calls.remove(&key) else { return };
        self.timers.set(Timer::Call(key), None);
        self.forget_asker(Asker::Ppp(key));
        self.stirred.remove(&key);
        if let Some(inbound_spi) = call.attached {
            self.effects.push_back(Effect::Link { inbound_spi, link: None });
        }
        if let Some(session) = self.sessions.remove(&call.id) {
            self.release(call.id);
            self.report_end(now, call.id, &session, text, fix);
        }
        self.watch_idle(now, SessionId(key.channel.0));
    }

    /// Says goodbye to the client of a call; the rest follows when PPP is down.
    pub(super) fn close_call(&mut self, now: Now, key: SessionKey, reason: CloseReason) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.ppp.close(now.instant, reason);
            self.stirred.insert(key);
        }
    }

    fn ppp_methods(&self) -> Vec<Method> {
        self.settings.remote.as_ref().map(|remote| remote.legacy.ppp_auth.clone()).unwrap_or_default()
    }
}

/// Numbers for the sessions of calls.
pub(super) struct CallIds(u64);

impl CallIds {
    /// IKE counts its own sessions from 1 and never comes as far as 2^52, so both fit into one table. The numbers stay below
    /// 2^53, which is what JSON readers take without loss.
    pub(super) const fn new() -> Self {
        Self(1 << 52)
    }

    fn next(&mut self) -> SessionId {
        self.0 += 1;
        SessionId(self.0)
    }
}
