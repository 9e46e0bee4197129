//! All control connections of one gateway: which message belongs to which tunnel, limits, timers.
//!
//! A tunnel belongs to the channel that its messages come through (RFC 3193); two clients may have the same addresses, ports
//! and ids without meeting. What comes through another channel cannot touch it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::accept;
use crate::avp::ResultCode;
use crate::config::Config;
use crate::error::RefusalReason;
use crate::event::{ChannelId, Counters, Event, Reason, SessionKey, Transmit, TunnelInfo};
use crate::header::{Header, Sequence};
use crate::message::{Attributes, Message, Sccrq, StopCcn};
use crate::output::{Context, Output};
use crate::random::Random;
use crate::session::Session;
use crate::timer::Timers;
use crate::tunnel::{Tunnel, error_code, stop_result};

/// Tunnels of one channel that have ended and still acknowledge. The oldest makes room.
const MAX_TOMBSTONES: usize = 4;

/// No more often are peers asked for a sign of life, whatever is configured.
const SHORTEST_HELLO_INTERVAL: Duration = Duration::from_secs(1);

/// Channel and our tunnel id.
type Key = (ChannelId, u16);

/// All control connections of one gateway, which is the LNS.
///
/// After each call that takes something in, take out everything: [`Endpoint::poll_event`] and [`Endpoint::poll_transmit`]
/// until they are empty, then set a timer for [`Endpoint::poll_timeout`].
pub struct Endpoint {
    config: Arc<Config>,
    random: Box<dyn Random + Send>,
    tunnels: BTreeMap<Key, Tunnel>,
    timers: Timers<Key>,
    out: Output,
}

impl Endpoint {
    /// Without any tunnel.
    #[must_use]
    pub fn new(config: Arc<Config>, random: Box<dyn Random + Send>) -> Self {
        Self { config, random, tunnels: BTreeMap::new(), timers: Timers::new(), out: Output::default() }
    }

    /// Takes the UDP payload of a packet that came through the IPsec SA of `channel` from the inner UDP port `port`.
    pub fn handle_datagram(&mut self, now: Instant, channel: ChannelId, port: u16, datagram: &[u8]) {
        let Ok((header, range)) = Header::parse(datagram) else {
            self.out.counters.malformed += 1;
            return;
        };
        let payload = datagram.get(range).unwrap_or_default();
        let key = (channel, header.tunnel);
        match header.sequence {
            Some(sequence) if header.control => {
                let addressed = (header.session, sequence);
                let found = self.step(now, key, |tunnel, ctx| tunnel.handle_control(ctx, port, addressed, payload));
                if !found {
                    self.handle_stray(now, channel, port, &header, sequence, payload);
                }
            }
            _ => self.handle_frame(now, key, port, header.session, payload),
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        for key in self.timers.due(now) {
            self.step(now, key, Tunnel::handle_timeout);
        }
    }

    /// When [`Endpoint::handle_timeout`] is due. Calling it earlier does nothing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.out.events.pop_front()
    }

    /// Sends a PPP frame in a data message. Without effect if the session is not up, or the frame longer than a datagram.
    pub fn send_frame(&mut self, session: SessionKey, frame: &[u8]) {
        let tunnel = self.tunnels.get_mut(&(session.channel, session.tunnel));
        let transmit = tunnel.and_then(|tunnel| tunnel.send_frame(session.session, frame));
        self.out.transmits.extend(transmit);
    }

    /// Ends a session; the peer is told (CDN), and [`Event::SessionDown`] is raised if it was up.
    pub fn close_session(&mut self, now: Instant, session: SessionKey, reason: Reason) {
        let key = (session.channel, session.tunnel);
        self.step(now, key, |tunnel, ctx| tunnel.close_session(ctx, session.session, reason));
    }

    /// Forgets all tunnels of the channel without a word to the peer, since IPsec is gone. Their ends are raised as events.
    pub fn close_channel(&mut self, channel: ChannelId) {
        for key in self.keys_of(channel) {
            self.timers.set(key, None);
            if let Some(mut tunnel) = self.tunnels.remove(&key) {
                tunnel.end(&mut self.out, &Reason::ChannelClosed);
            }
        }
    }

    /// Ends all tunnels; the peers are told (StopCCN).
    pub fn close_all(&mut self, now: Instant) {
        let keys: Vec<Key> = self.tunnels.keys().copied().collect();
        let code = ResultCode::new(stop_result::SHUTTING_DOWN, error_code::NONE);
        for key in keys {
            self.step(now, key, |tunnel, ctx| {
                tunnel.stop(ctx, code.clone(), &Reason::Shutdown);
                tunnel.flush(ctx);
            });
        }
    }

    /// Something authentic was received from the channel, so that no Hello is needed.
    ///
    /// Cheap: timers are not touched. [`Endpoint::poll_timeout`] stays, and the Hello is put off when it comes.
    pub fn note_inbound(&mut self, now: Instant, channel: ChannelId) {
        for (_, tunnel) in self.tunnels.range_mut(range_of(channel)) {
            tunnel.note_inbound(now);
        }
    }

    /// Takes another configuration. Tunnels and sessions that exist stay, also above lower limits.
    pub fn reconfigure(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.out.counters
    }

    /// All tunnels, ordered by channel and id.
    #[must_use]
    pub fn snapshot(&self) -> Vec<TunnelInfo> {
        self.tunnels.values().map(Tunnel::info).collect()
    }

    /// Runs one step of a tunnel and settles what follows from it. Whether there is such a tunnel.
    fn step(&mut self, now: Instant, key: Key, step: impl FnOnce(&mut Tunnel, &mut Context<'_>)) -> bool {
        let Some(tunnel) = self.tunnels.get_mut(&key) else { return false };
        let random = &mut *self.random;
        step(tunnel, &mut Context { now, config: &self.config, random, out: &mut self.out });
        self.settle(key);
        true
    }

    /// Forgets a tunnel that is gone, else sets its timer.
    fn settle(&mut self, key: Key) {
        let interval = self.config.hello_interval.max(SHORTEST_HELLO_INTERVAL);
        let deadline = match self.tunnels.get(&key) {
            Some(tunnel) if !tunnel.is_gone() => tunnel.deadline(interval),
            _ => {
                self.tunnels.remove(&key);
                None
            }
        };
        self.timers.set(key, deadline);
    }

    fn handle_frame(&mut self, now: Instant, (channel, tunnel): Key, port: u16, session: u16, frame: &[u8]) {
        let key = SessionKey { channel, tunnel, session };
        let tunnel = self.tunnels.get_mut(&(channel, tunnel));
        match tunnel.filter(|tunnel| !frame.is_empty() && tunnel.sessions.get(&session).is_some_and(Session::is_up)) {
            Some(tunnel) => {
                tunnel.note_inbound(now);
                tunnel.follow(&mut self.out, port);
                self.out.events.push_back(Event::Frame { session: key, frame: frame.to_vec() });
            }
            None => self.out.counters.unknown += 1,
        }
    }

    /// A control message for a tunnel that does not exist: the beginning of one, or a goodbye with the wrong id.
    fn handle_stray(
        &mut self,
        now: Instant,
        channel: ChannelId,
        port: u16,
        header: &Header,
        sequence: Sequence,
        payload: &[u8],
    ) {
        if payload.is_empty() {
            self.out.counters.unknown += 1;
            return;
        }
        let Ok(attributes) = Attributes::read(payload, self.config.secret.as_ref()) else {
            self.out.counters.malformed += 1;
            return;
        };
        match attributes.kind() {
            Sccrq::TYPE if header.tunnel == 0 && sequence.ns == 0 => self.handle_sccrq(now, channel, port, &attributes),
            StopCcn::TYPE => self.handle_stray_stop(now, channel, port, header, sequence, &attributes),
            _ => self.out.counters.unknown += 1,
        }
    }

    fn handle_sccrq(&mut self, now: Instant, channel: ChannelId, port: u16, attributes: &Attributes) {
        let peer_id = attributes.assigned_tunnel_id().filter(|id| *id != 0);
        let begun = |tunnel: &Tunnel| peer_id.is_some_and(|peer_id| tunnel.is_begun_by(now, peer_id, port));
        if let Some((key, _)) = self.tunnels.range(range_of(channel)).find(|(_, tunnel)| begun(tunnel)) {
            let key = *key;
            self.out.counters.duplicates += 1;
            self.step(now, key, Tunnel::repeat_reply);
            return;
        }
        let random = &mut *self.random;
        let mut ctx = Context { now, config: &self.config, random, out: &mut self.out };
        let accepted = match accept::check(&ctx, attributes) {
            Ok(accepted) if peer_id.is_some() => accepted,
            Ok(_) => {
                let reason = RefusalReason::Invalid { message: Sccrq::NAME, what: "AssignedTunnelId is 0" };
                ctx.out.refused(channel, None, reason);
                return;
            }
            Err(refused) => return accept::refuse(&mut ctx, channel, port, attributes, refused),
        };
        let Some(id) = ctx.fresh_id(|id| self.tunnels.contains_key(&(channel, id))) else { return };
        let tunnel = accepted.open(&mut ctx, channel, id, port);
        self.make_room(now, channel);
        self.tunnels.insert((channel, id), tunnel);
        self.settle((channel, id));
    }

    /// Replaces the oldest tunnels of the channel until one more is allowed, and forgets the oldest tombstones.
    fn make_room(&mut self, now: Instant, channel: ChannelId) {
        let limit = self.config.tunnels_per_channel.max(1);
        while let Some(oldest) = self.oldest_beyond(channel, limit - 1, Tunnel::is_live) {
            self.step(now, oldest, Tunnel::replace);
        }
        while let Some(oldest) = self.oldest_beyond(channel, MAX_TOMBSTONES, |tunnel| !tunnel.is_live()) {
            self.tunnels.remove(&oldest);
            self.settle(oldest);
        }
    }

    /// The oldest of the channel's tunnels of this kind, if there are more than `allowed`.
    fn oldest_beyond(&self, channel: ChannelId, allowed: usize, kind: impl Fn(&Tunnel) -> bool) -> Option<Key> {
        let of_kind = || self.tunnels.range(range_of(channel)).filter(|(_, tunnel)| kind(tunnel));
        let oldest = of_kind().min_by_key(|(_, tunnel)| tunnel.created()).map(|(key, _)| *key);
        oldest.filter(|_| of_kind().count() > allowed)
    }

    /// Old Windows clients close their tunnel under a wrong id; it is theirs if either id in the message is the one they
    /// assigned.
    fn handle_stray_stop(
        &mut self,
        now: Instant,
        channel: ChannelId,
        port: u16,
        header: &Header,
        sequence: Sequence,
        attributes: &Attributes,
    ) {
        let named = [attributes.assigned_tunnel_id(), Some(header.tunnel)];
        let meant = |tunnel: &Tunnel| tunnel.is_live() && named.contains(&Some(tunnel.peer_id));
        let found = self.tunnels.range(range_of(channel)).find(|(_, tunnel)| meant(tunnel)).map(|(key, _)| *key);
        let (Some(key), Ok(Some(Message::StopCcn(goodbye)))) = (found, Message::understand(attributes)) else {
            self.out.counters.unknown += 1;
            return;
        };
        self.step(now, key, |tunnel, ctx| {
            tunnel.follow(ctx.out, port);
            tunnel.on_stray_stop(ctx, sequence, &goodbye);
        });
    }

    fn keys_of(&self, channel: ChannelId) -> Vec<Key> {
        self.tunnels.range(range_of(channel)).map(|(key, _)| *key).collect()
    }
}

fn range_of(channel: ChannelId) -> RangeInclusive<Key> {
    (channel, 0)..=(channel, u16::MAX)
}
