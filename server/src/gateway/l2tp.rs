//! IPsec peers that speak L2TP (RFC 3193): which of their SA pairs L2TP goes by, and what becomes of both when one ends.
//!
//! A [`Channel`] is one IPsec peer, that is one IKE session with SA pairs in transport mode. Tunnels belong to it and never to
//! an address, so clients behind one NAT may have equal addresses, ports and ids. PPP inside is the business of `call.rs`.
//!
//! ```text
//! Established, ChildUp --> Channel --> l2tp::Endpoint --> SessionUp --> Call (call.rs)
//!                             |
//!                             +-- nothing inside for a minute: explained and closed
//! ```

use std::time::Duration;

use bytes::Bytes;
use cygnet_esp::mtu::{Encapsulation, inner_mtu, outer_len};
use cygnet_ike::{ChildSa, CloseReason, EspSpi, Path, SessionId, SessionInfo};
use cygnet_l2tp::{self as l2tp, ChannelId, SessionKey};
use cygnet_ppp::config::{MAX_MRU, MIN_MRU};

use super::session::Child;
use super::timers::Timer;
use super::{Effect, Gateway, Now, report};
use crate::daemon::mtu;
use crate::dataplane::install;

/// What L2TP in transport mode puts before an IP packet, and tunnel mode does not: UDP 8, L2TP 8, PPP 4 octets.
const LINK_OVERHEAD: u16 = 20;
/// How long an IPsec peer may be without L2TP session before it is closed.
const IDLE: Duration = Duration::from_secs(60);

/// One IPsec peer. See the module.
pub(super) struct Channel {
    pub(super) identity: String,
    pub(super) path: Path,
    pub(super) behind_nat: bool,
    pub(super) children: Vec<Child>,
    /// Inbound SPI of the pair that L2TP goes out by.
    pub(super) current: Option<EspSpi>,
    /// How far it ever came.
    pub(super) progress: Progress,
    /// Largest IP packet that fits its links, octets.
    pub(super) mtu: u16,
}

/// What an IPsec peer has achieved at least once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    /// IKE phase 1.
    Phase1,
    /// An SA pair.
    Ipsec,
    /// An L2TP message.
    L2tp,
    /// An L2TP session.
    Session,
}

impl Channel {
    fn new(info: &SessionInfo) -> Self {
        Self {
            identity: info.identity.as_ref().map(ToString::to_string).unwrap_or_default(),
            path: info.path,
            behind_nat: info.behind_nat,
            children: Vec::new(),
            current: None,
            progress: Progress::Phase1,
            mtu: MIN_MRU,
        }
    }

    pub(super) fn reached(&mut self, progress: Progress) {
        self.progress = self.progress.max(progress);
    }

    /// A pair that no rekey has replaced.
    fn is_live(&self, inbound_spi: EspSpi) -> bool {
        self.children.iter().any(|child| child.inbound_spi == inbound_spi && !child.superseded)
    }
}

impl Gateway {
    /// Phase 1 of IKEv1 is done. Whether an L2TP client follows or one with XAUTH is not known yet.
    pub(super) fn phase1_up(&mut self, now: Now, id: SessionId, info: &SessionInfo) {
        if self.sessions.contains_key(&id) {
            return;
        }
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.path = info.path;
            return;
        }
        self.channels.insert(id, Channel::new(info));
        self.timers.set(Timer::Idle(id), Some(now.instant + IDLE));
    }

    /// It is no L2TP client: it logs in by XAUTH.
    pub(super) fn forget_channel(&mut self, id: SessionId) {
        if self.channels.get(&id).is_some_and(|channel| channel.children.is_empty()) {
            self.channels.remove(&id);
            self.timers.set(Timer::Idle(id), None);
        }
    }

    /// Takes a UDP datagram to port 1701 that came out of an SA pair in transport mode, without UDP header. `port` is the
    /// client's.
    pub fn handle_l2tp(&mut self, now: Now, inbound_spi: EspSpi, port: u16, datagram: &[u8]) {
        let Some(&id) = self.owners.get(&inbound_spi) else { return };
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.reached(Progress::L2tp);
        if channel.current != Some(inbound_spi) && channel.is_live(inbound_spi) {
            self.go_out_by(id, Some(inbound_spi));
        }
        self.l2tp.handle_datagram(now.instant, ChannelId(id.0), port, datagram);
        self.settle(now);
    }

    /// An SA pair in transport mode is ready.
    pub(super) fn transport_up(&mut self, now: Now, id: SessionId, child: Box<ChildSa>, replaces: Option<EspSpi>) {
        if !self.channels.contains_key(&id) {
            let Some(info) = self.ike.session(id) else { return };
            self.phase1_up(now, id, &info);
        }
        let link_mtu = link_mtu(&child, self.tunnel_mtu);
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.mtu = link_mtu;
        let inbound_spi = child.inbound_spi;
        let known = Child { inbound_spi, cipher: report::cipher_name(&child.suite), superseded: false };
        channel.reached(Progress::Ipsec);
        channel.children.push(known.clone());
        for old in channel.children.iter_mut().filter(|old| Some(old.inbound_spi) == replaces) {
            old.superseded = true;
        }
        self.owners.insert(inbound_spi, id);
        self.effects.push_back(Effect::Install { session: id, child, replaces, site: None });
        for (_, call) in self.calls.range(calls_of(id)) {
            if let Some(session) = self.sessions.get_mut(&call.id) {
                session.children.push(known.clone());
            }
        }
        self.take_over(id, inbound_spi, replaces);
    }

    /// The new pair goes on where the one that it replaces was. The data plane has carried its link over.
    fn take_over(&mut self, id: SessionId, inbound_spi: EspSpi, replaces: Option<EspSpi>) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.current.is_none() {
            return self.go_out_by(id, Some(inbound_spi));
        }
        if channel.current == replaces {
            channel.current = Some(inbound_spi);
        }
        for (_, call) in self.calls.range_mut(calls_of(id)).filter(|(_, call)| call.attached == replaces) {
            call.attached = call.attached.map(|_| inbound_spi);
        }
    }

    /// An SA pair of an L2TP client is gone.
    pub(super) fn transport_down(&mut self, id: SessionId, inbound_spi: EspSpi) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.children.retain(|child| child.inbound_spi != inbound_spi);
        let rest = channel.children.iter().rev();
        let other = rest.clone().find(|child| !child.superseded).or(rest.clone().next()).map(|c| c.inbound_spi);
        if channel.current == Some(inbound_spi) {
            self.go_out_by(id, other);
        }
        let traffic = self.meter.traffic(inbound_spi);
        for (_, call) in self.calls.range(calls_of(id)) {
            let Some(session) = self.sessions.get_mut(&call.id) else { continue };
            if session.children.iter().any(|child| child.inbound_spi == inbound_spi) {
                session.past += traffic;
                session.children.retain(|child| child.inbound_spi != inbound_spi);
            }
        }
    }

    /// Everything of this peer goes out by another SA pair from now on.
    fn go_out_by(&mut self, id: SessionId, inbound_spi: Option<EspSpi>) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.current = inbound_spi;
        for (&key, call) in self.calls.range_mut(calls_of(id)).filter(|(_, c)| c.attached.is_some()) {
            let old = std::mem::replace(&mut call.attached, inbound_spi);
            if let Some(inbound_spi) = old {
                self.effects.push_back(Effect::Link { inbound_spi, link: None });
            }
            let link = self.sessions.get(&call.id).map(|session| call.link(key, session));
            if let (Some(inbound_spi), Some(link)) = (inbound_spi, link) {
                self.effects.push_back(Effect::Link { inbound_spi, link: Some(link) });
            }
        }
    }

    /// IKE has closed the session of an L2TP client: what is inside ends with it.
    pub(super) fn channel_closed(&mut self, now: Now, id: SessionId, reason: CloseReason) {
        let Some(channel) = self.channels.remove(&id) else { return };
        if !matches!(reason, CloseReason::Shutdown | CloseReason::Administrative | CloseReason::Replaced) {
            self.report_unfinished(now, &channel);
        }
        let calls: Vec<SessionKey> = self.calls.range(calls_of(id)).map(|(&key, _)| key).collect();
        for key in calls {
            self.end_call(now, key, &reason.to_string());
        }
        self.l2tp.close_channel(ChannelId(id.0));
        self.timers.set(Timer::Idle(id), None);
    }

    pub(super) fn handle_l2tp_event(&mut self, now: Now, event: l2tp::Event) {
        match event {
            l2tp::Event::SessionUp { session, info } => self.call_up(now, session, info),
            l2tp::Event::Moved { session, port } => self.call_moved(session, port),
            l2tp::Event::Frame { session, frame } => self.call_frame(now, session, &frame),
            l2tp::Event::SessionDown { session, reason } => self.end_call(now, session, &reason.to_string()),
            l2tp::Event::TunnelDown { channel, tunnel, reason } => {
                tracing::debug!(session = channel.0, tunnel, "L2TP tunnel ended: {reason}");
            }
            l2tp::Event::Refused(refusal) => self.report_l2tp_refusal(now, &refusal),
            _ => {}
        }
    }

    /// Hands what L2TP has to say to the pair that carries it. Without a pair it is lost, as on any wire.
    pub(super) fn flush_l2tp(&mut self) {
        while let Some(l2tp::Transmit { channel, port, payload }) = self.l2tp.poll_transmit() {
            let channel = self.channels.get(&SessionId(channel.0));
            if let Some(inbound_spi) = channel.and_then(|channel| channel.current) {
                let datagram: Bytes = payload;
                self.effects.push_back(Effect::SendL2tp { inbound_spi, port, datagram });
            }
        }
    }

    /// A peer without a call is given a minute.
    pub(super) fn watch_idle(&mut self, now: Now, id: SessionId) {
        let idle = self.channels.contains_key(&id) && self.calls.range(calls_of(id)).next().is_none();
        self.timers.set(Timer::Idle(id), idle.then_some(now.instant + IDLE));
    }

    /// The minute is over.
    pub(super) fn idle_timeout(&mut self, now: Now, id: SessionId) {
        self.ike.close(now.instant, id, CloseReason::Failed);
    }
}

/// The largest IP packet that fits a PPP link in this SA pair, where the TUN device takes `tunnel_mtu`, which is what tunnel
/// mode leaves with the costliest suite; octets.
fn link_mtu(child: &ChildSa, tunnel_mtu: u16) -> u16 {
    let outer = outer_len(mtu::LARGEST, mtu::AROUND, tunnel_mtu.into());
    let around = Encapsulation { ipv6: child.path.peer.is_ipv6(), udp: true };
    let transform = install::suite(child.suite).ok().map(|suite| suite.transform);
    let room = outer.zip(transform).and_then(|(outer, transform)| inner_mtu(transform, around, outer));
    let fits = room.and_then(|octets| u16::try_from(octets).ok()).unwrap_or(MIN_MRU).saturating_sub(LINK_OVERHEAD);
    fits.min(tunnel_mtu).clamp(MIN_MRU, MAX_MRU)
}

/// The calls of one IPsec peer.
pub(super) fn calls_of(id: SessionId) -> std::ops::RangeInclusive<SessionKey> {
    let at = |n| SessionKey { channel: ChannelId(id.0), tunnel: n, session: n };
    at(0)..=at(u16::MAX)
}
