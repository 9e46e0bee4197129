//! One control connection (RFC 2661 section 7.2): from SCCRP to StopCCN, and a while after.
//!
//! Does not: accept SCCRQ (see [`accept`](crate::accept)), handle calls (see [`session`](crate::session)), number messages
//! (see [`reliable`](crate::reliable)).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::avp::ResultCode;
use crate::error::{Malformed, RefusalReason};
use crate::event::{ChannelId, Event, Reason, Transmit, TunnelInfo, TunnelPhase};
use crate::header::Sequence;
use crate::message::{Attributes, Hello, Message, Ocrq, StopCcn, concerns_session};
use crate::output::{Context, Output, printable};
use crate::reliable::{Dead, Outgoing, RETRANSMISSION_CYCLE, Received, Reliable};
use crate::session::{Session, cdn_result};

/// Result Codes of StopCCN (RFC 2661 section 4.4.2).
pub(crate) mod stop_result {
    pub(crate) const CLEAR: u16 = 1;
    pub(crate) const GENERAL_ERROR: u16 = 2;
    pub(crate) const NOT_AUTHORIZED: u16 = 4;
    pub(crate) const VERSION: u16 = 5;
    pub(crate) const SHUTTING_DOWN: u16 = 6;
    pub(crate) const STATE_MACHINE: u16 = 7;
}

/// Error Codes (RFC 2661 section 4.4.2).
pub(crate) mod error_code {
    pub(crate) const NONE: u16 = 0;
    pub(crate) const LENGTH: u16 = 2;
    pub(crate) const VALUE: u16 = 3;
    pub(crate) const NO_RESOURCES: u16 = 4;
    pub(crate) const UNKNOWN_MANDATORY: u16 = 8;
}

/// So long is the SCCRQ of a tunnel that was replaced not taken for a new one. Clients repeat it after 1 or 2 seconds.
pub(crate) const REPLACED_MEMORY: Duration = Duration::from_secs(5);

/// What the peer said of itself.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    pub(crate) host_name: Option<String>,
    pub(crate) vendor_name: Option<String>,
    pub(crate) firmware: Option<u16>,
}

/// A control connection.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) channel: ChannelId,
    /// The id that we assigned.
    pub(crate) id: u16,
    /// The id that the peer assigned.
    pub(crate) peer_id: u16,
    /// The peer's UDP port.
    pub(crate) port: u16,
    pub(crate) peer: Peer,
    pub(crate) sessions: BTreeMap<u16, Session>,
    created: Instant,
    last_heard: Instant,
    reliable: Reliable,
    state: State,
}

#[derive(Debug)]
enum State {
    /// SCCRP was sent; SCCCN has to come until then.
    Connecting {
        until: Instant,
    },
    Established,
    /// StopCCN was sent.
    Stopping,
    /// Ended; what the peer repeats is still acknowledged.
    Tombstone {
        until: Instant,
        replaced: bool,
    },
    /// To be forgotten.
    Gone,
}

impl Tunnel {
    /// A tunnel that was asked for and not yet answered.
    pub(crate) fn new(now: Instant, channel: ChannelId, id: u16, port: u16, reliable: Reliable, peer: Peer) -> Self {
        let state = State::Connecting { until: now + RETRANSMISSION_CYCLE };
        let (peer_id, sessions) = (reliable.peer_tunnel, BTreeMap::new());
        Self { channel, id, peer_id, port, peer, sessions, created: now, last_heard: now, reliable, state }
    }

    /// Answers the SCCRQ.
    pub(crate) fn begin(&mut self, ctx: &mut Context<'_>, reply: &Message) {
        self.reliable.expect_second();
        self.send(ctx, 0, reply);
        self.flush(ctx);
    }

    /// Whether it counts against the limit: neither ended nor ending.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, State::Connecting { .. } | State::Established)
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    pub(crate) fn created(&self) -> Instant {
        self.created
    }

    /// Whether an SCCRQ with this id from this port is the one that began this tunnel, once more.
    pub(crate) fn is_begun_by(&self, now: Instant, peer_id: u16, port: u16) -> bool {
        let repeats = match self.state {
            State::Connecting { .. } => true,
            State::Established | State::Stopping => now < self.created + RETRANSMISSION_CYCLE,
            State::Tombstone { replaced, .. } => replaced,
            State::Gone => false,
        };
        repeats && (self.peer_id, self.port) == (peer_id, port)
    }

    /// Answers the SCCRQ that began this tunnel once more: with the same SCCRP, or an acknowledgement if it has arrived.
    pub(crate) fn repeat_reply(&mut self, ctx: &mut Context<'_>) {
        match self.state {
            State::Connecting { .. } | State::Established => {}
            State::Stopping | State::Tombstone { .. } | State::Gone => return,
        }
        match self.reliable.repeat_now().filter(|_| matches!(self.state, State::Connecting { .. })) {
            Some(payload) => {
                ctx.out.counters.retransmissions += 1;
                ctx.out.transmits.push_back(Transmit { channel: self.channel, port: self.port, payload });
            }
            None => self.reliable.acknowledge_again(),
        }
        self.flush(ctx);
    }

    /// Takes a control message for this tunnel.
    pub(crate) fn handle_control(
        &mut self,
        ctx: &mut Context<'_>,
        port: u16,
        (session, sequence): (u16, Sequence),
        payload: &[u8],
    ) {
        match self.reliable.receive(ctx.now, sequence, session, payload) {
            Received::OutOfWindow => {
                ctx.out.counters.out_of_window += 1;
                return;
            }
            Received::Duplicate => ctx.out.counters.duplicates += 1,
            Received::Early => {}
            Received::Acknowledgement => self.follow(ctx.out, port),
            Received::InOrder => {
                self.follow(ctx.out, port);
                self.process(ctx, session, payload);
                while let Some((session, payload)) = self.reliable.next_early() {
                    self.process(ctx, session, &payload);
                }
            }
        }
        self.last_heard = ctx.now;
        self.flush(ctx);
    }

    /// Something authentic was heard from the peer.
    pub(crate) fn note_inbound(&mut self, now: Instant) {
        self.last_heard = self.last_heard.max(now);
    }

    /// Sends to the port that the last valid message came from.
    pub(crate) fn follow(&mut self, out: &mut Output, port: u16) {
        if std::mem::replace(&mut self.port, port) == port {
            return;
        }
        let up = self.sessions.iter().filter(|(_, session)| session.is_up());
        let moved = up.map(|(id, _)| Event::Moved { session: self.session_key(*id), port });
        out.events.extend(moved);
    }

    /// Queues a message; a peer that lets the queue overflow is given up.
    pub(crate) fn send(&mut self, ctx: &mut Context<'_>, session: u16, message: &Message) {
        if let Err(Dead) = self.reliable.send(Outgoing { session, payload: message.emit() }) {
            self.end(ctx.out, &Reason::DeadPeer);
            self.state = State::Gone;
        }
    }

    /// Sends what may be sent, and acknowledges.
    pub(crate) fn flush(&mut self, ctx: &mut Context<'_>) {
        if self.is_gone() {
            return;
        }
        let mut payloads = Vec::new();
        self.reliable.poll(ctx.now, &mut payloads);
        let (channel, port) = (self.channel, self.port);
        ctx.out.transmits.extend(payloads.into_iter().map(|payload| Transmit { channel, port, payload }));
        if matches!(self.state, State::Stopping) && self.reliable.is_idle() {
            self.state = State::Gone;
        }
    }

    /// When [`Tunnel::handle_timeout`] is due.
    pub(crate) fn deadline(&self, hello_interval: Duration) -> Option<Instant> {
        let of_state = match self.state {
            State::Connecting { until } | State::Tombstone { until, .. } => Some(until),
            State::Established if self.reliable.is_idle() => Some(self.last_heard + hello_interval),
            State::Established | State::Stopping | State::Gone => None,
        };
        let of_sessions = self.sessions.values().filter_map(Session::deadline).min();
        [of_state, of_sessions, self.reliable.deadline()].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, ctx: &mut Context<'_>) {
        match self.reliable.handle_timeout(ctx.now) {
            Ok(None) => {}
            Ok(Some(payload)) => {
                ctx.out.counters.retransmissions += 1;
                ctx.out.transmits.push_back(Transmit { channel: self.channel, port: self.port, payload });
            }
            Err(Dead) => {
                self.end(ctx.out, &Reason::DeadPeer);
                self.state = State::Gone;
                return;
            }
        }
        self.expire_sessions(ctx);
        match self.state {
            State::Connecting { until } if until <= ctx.now => {
                self.stop(ctx, ResultCode::new(stop_result::CLEAR, error_code::NONE), &Reason::SetupTimeout);
            }
            State::Tombstone { until, .. } if until <= ctx.now => self.state = State::Gone,
            State::Established if self.reliable.is_idle() && self.is_silent(ctx) => {
                self.send(ctx, 0, &Message::Hello(Hello {}));
            }
            _ => {}
        }
        self.flush(ctx);
    }

    /// Ends the tunnel with a StopCCN.
    pub(crate) fn stop(&mut self, ctx: &mut Context<'_>, code: ResultCode, reason: &Reason) {
        if !self.is_live() {
            return;
        }
        self.end(ctx.out, reason);
        self.state = State::Stopping;
        self.reliable.clear_waiting();
        let goodbye = StopCcn { result_code: Some(code), assigned_tunnel_id: Some(self.id) };
        self.send(ctx, 0, &Message::StopCcn(goodbye));
    }

    /// Ends the tunnel without a word, since the same peer has opened another.
    pub(crate) fn replace(&mut self, ctx: &mut Context<'_>) {
        self.end(ctx.out, &Reason::Replaced);
        self.bury(ctx.now + REPLACED_MEMORY, true);
    }

    /// The peer ended the tunnel.
    pub(crate) fn on_stop(&mut self, ctx: &mut Context<'_>, goodbye: &StopCcn) {
        let result = goodbye.result_code.as_ref().map_or(0, |code| code.result);
        self.end(ctx.out, &Reason::PeerClosed { result });
        self.bury(ctx.now + RETRANSMISSION_CYCLE, false);
    }

    /// The peer ended the tunnel in a message that named it wrongly; its number is acknowledged whatever it is.
    pub(crate) fn on_stray_stop(&mut self, ctx: &mut Context<'_>, sequence: Sequence, goodbye: &StopCcn) {
        self.on_stop(ctx, goodbye);
        self.reliable.resynchronize(sequence.ns);
        self.flush(ctx);
    }

    /// Raises the events of an end; the state is set by the caller.
    pub(crate) fn end(&mut self, out: &mut Output, reason: &Reason) {
        if !self.is_live() {
            return;
        }
        for (id, session) in std::mem::take(&mut self.sessions) {
            if session.is_up() {
                out.events.push_back(Event::SessionDown { session: self.session_key(id), reason: reason.clone() });
            }
        }
        out.events.push_back(Event::TunnelDown { channel: self.channel, tunnel: self.id, reason: reason.clone() });
    }

    pub(crate) fn info(&self) -> TunnelInfo {
        let up = self.sessions.iter().filter(|(_, session)| session.is_up());
        TunnelInfo {
            channel: self.channel,
            tunnel: self.id,
            peer_tunnel: self.peer_id,
            port: self.port,
            host_name: self.peer.host_name.clone(),
            phase: match self.state {
                State::Connecting { .. } => TunnelPhase::Connecting,
                State::Established => TunnelPhase::Established,
                State::Stopping | State::Tombstone { .. } | State::Gone => TunnelPhase::Closing,
            },
            sessions: up.map(|(id, _)| *id).collect(),
        }
    }

    fn is_silent(&self, ctx: &Context<'_>) -> bool {
        self.last_heard + ctx.config.hello_interval <= ctx.now
    }

    fn bury(&mut self, until: Instant, replaced: bool) {
        self.state = State::Tombstone { until, replaced };
        self.reliable.forget_outgoing();
    }

    fn process(&mut self, ctx: &mut Context<'_>, session: u16, payload: &[u8]) {
        if !self.is_live() {
            return;
        }
        let attributes = match Attributes::read(payload, ctx.config.secret.as_ref()) {
            Ok(attributes) => attributes,
            Err(Malformed(what)) => {
                ctx.out.counters.malformed += 1;
                let code = ResultCode::new(stop_result::GENERAL_ERROR, error_code::LENGTH);
                return self.stop(ctx, code, &Reason::Protocol(what));
            }
        };
        match Message::understand(&attributes) {
            Ok(Some(message)) => self.act(ctx, session, &message),
            Ok(None) => {}
            Err(reason) => self.refuse(ctx, session, &attributes, reason),
        }
    }

    fn act(&mut self, ctx: &mut Context<'_>, session: u16, message: &Message) {
        let established = matches!(self.state, State::Established);
        match message {
            Message::StopCcn(goodbye) => self.on_stop(ctx, goodbye),
            Message::Hello(_) | Message::Wen(_) | Message::Sli(_) => {}
            Message::Scccn(_) if !established => {
                self.state = State::Established;
                ctx.out.counters.tunnels += 1;
            }
            Message::Icrq(request) if established => self.on_icrq(ctx, request),
            Message::Iccn(connected) if established => self.on_iccn(ctx, session, connected),
            Message::Cdn(goodbye) if established => self.on_cdn(ctx, session, goodbye),
            Message::Ocrq(Ocrq { assigned_session_id, .. }) if established => {
                let code = ResultCode::new(cdn_result::NO_FACILITIES_EVER, error_code::NONE);
                self.refuse_call(ctx, *assigned_session_id, code, RefusalReason::OutgoingCall);
            }
            Message::Icrp(_) | Message::Ocrp(_) | Message::Occn(_) if established => {
                let code = ResultCode::new(cdn_result::GENERAL_ERROR, error_code::VALUE);
                self.drop_call(ctx, session, code, Reason::Protocol("an answer to a call that was never made"));
            }
            _ => {
                let code = ResultCode::new(stop_result::STATE_MACHINE, error_code::NONE);
                self.stop(ctx, code, &Reason::Protocol("a message that does not belong here"));
            }
        }
    }

    /// Ends what a message that cannot be accepted is about (RFC 2661 sections 4.1 and 7.1).
    fn refuse(&mut self, ctx: &mut Context<'_>, session: u16, attributes: &Attributes, reason: RefusalReason) {
        let error = error_of(reason);
        if !concerns_session(attributes.kind()) {
            ctx.out.refused(self.channel, self.peer.host_name.clone(), reason);
            return self.stop(
                ctx,
                ResultCode::new(stop_result::GENERAL_ERROR, error),
                &Reason::Protocol(attributes.name()),
            );
        }
        let code = ResultCode::new(cdn_result::GENERAL_ERROR, error);
        if self.sessions.contains_key(&session) {
            ctx.out.refused(self.channel, self.peer.host_name.clone(), reason);
            return self.drop_call(ctx, session, code, Reason::Protocol(attributes.name()));
        }
        self.refuse_call(ctx, attributes.assigned_session_id().unwrap_or(0), code, reason);
    }
}

/// The Error Code that tells the peer.
pub(crate) fn error_of(reason: RefusalReason) -> u16 {
    match reason {
        RefusalReason::UnknownMandatory { .. }
        | RefusalReason::UnknownMessage { .. }
        | RefusalReason::Hidden { .. } => error_code::UNKNOWN_MANDATORY,
        RefusalReason::Invalid { .. } => error_code::VALUE,
        RefusalReason::SecretDemanded
        | RefusalReason::Version { .. }
        | RefusalReason::TooManySessions { .. }
        | RefusalReason::OutgoingCall => error_code::NONE,
    }
}

/// What an SCCRQ says about its sender.
pub(crate) fn peer_of(host_name: Option<&[u8]>, vendor_name: Option<&[u8]>, firmware: Option<u16>) -> Peer {
    let (host_name, vendor_name) = (host_name.and_then(printable), vendor_name.and_then(printable));
    Peer { host_name, vendor_name, firmware }
}
