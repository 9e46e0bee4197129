//! Incoming calls (RFC 2661 section 7.4.2, the LNS): ICRQ, ICRP, ICCN, CDN.
//!
//! Does not: PPP. A session that is up carries frames, whatever is in them.

use std::time::Instant;

use bytes::Bytes;

use crate::avp::ResultCode;
use crate::data;
use crate::error::RefusalReason;
use crate::event::{Event, Reason, SessionInfo, SessionKey, Transmit};
use crate::message::{Cdn, Iccn, Icrp, Icrq, Message};
use crate::output::Context;
use crate::reliable::RETRANSMISSION_CYCLE;
use crate::tunnel::{Tunnel, error_code};

/// Result Codes of CDN (RFC 2661 section 4.4.2).
pub(crate) mod cdn_result {
    pub(crate) const LOST_CARRIER: u16 = 1;
    pub(crate) const GENERAL_ERROR: u16 = 2;
    pub(crate) const ADMINISTRATIVE: u16 = 3;
    pub(crate) const NO_FACILITIES_NOW: u16 = 4;
    pub(crate) const NO_FACILITIES_EVER: u16 = 5;
    pub(crate) const TIMEOUT: u16 = 10;
}

/// A call.
#[derive(Debug)]
pub(crate) struct Session {
    peer_id: u16,
    call_serial: Option<u32>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// ICRP was sent; ICCN has to come until then.
    Connecting { until: Instant },
    /// PPP runs; the number of the next data message, if the peer demands numbers.
    Up { next_ns: Option<u16> },
}

impl Session {
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Connecting { until } => Some(until),
            State::Up { .. } => None,
        }
    }
}

impl Tunnel {
    /// Names one of our sessions.
    pub(crate) fn session_key(&self, session: u16) -> SessionKey {
        SessionKey { channel: self.channel, tunnel: self.id, session }
    }

    /// A client wants a session.
    pub(crate) fn on_icrq(&mut self, ctx: &mut Context<'_>, request: &Icrq) {
        let peer_id = request.assigned_session_id;
        if peer_id == 0 {
            let what = "AssignedSessionId is 0";
            return self.refuse_call(
                ctx,
                peer_id,
                ResultCode::new(cdn_result::GENERAL_ERROR, error_code::VALUE),
                RefusalReason::Invalid { message: Icrq::NAME, what },
            );
        }
        if let Some(stale) = self.session_of_peer(peer_id) {
            self.forget_session(ctx, stale, Reason::Replaced);
        }
        let limit = ctx.config.sessions_per_tunnel.max(1);
        let id = ctx.fresh_id(|id| self.sessions.contains_key(&id));
        let Some(id) = id.filter(|_| self.sessions.len() < limit) else {
            let code = ResultCode::new(cdn_result::NO_FACILITIES_NOW, error_code::NO_RESOURCES);
            return self.refuse_call(ctx, peer_id, code, RefusalReason::TooManySessions { limit });
        };
        let state = State::Connecting { until: ctx.now + RETRANSMISSION_CYCLE };
        self.sessions.insert(id, Session { peer_id, call_serial: request.call_serial_number, state });
        self.send(ctx, peer_id, &Message::Icrp(Icrp { assigned_session_id: id }));
    }

    /// The session is there.
    pub(crate) fn on_iccn(&mut self, ctx: &mut Context<'_>, id: u16, connected: &Iccn) {
        let Some(session) = self.sessions.get_mut(&id) else {
            ctx.out.counters.unknown += 1;
            return;
        };
        if session.is_up() {
            return self.drop_call(
                ctx,
                id,
                ResultCode::new(cdn_result::GENERAL_ERROR, error_code::VALUE),
                Reason::Protocol("ICCN of a session that is up"),
            );
        }
        let sequencing_required = connected.sequencing_required.is_some();
        session.state = State::Up { next_ns: sequencing_required.then_some(0) };
        let info = SessionInfo {
            peer_tunnel: self.peer_id,
            peer_session: session.peer_id,
            port: self.port,
            host_name: self.peer.host_name.clone(),
            vendor_name: self.peer.vendor_name.clone(),
            firmware: self.peer.firmware,
            call_serial: session.call_serial,
            connect_speed: connected.tx_connect_speed,
            sequencing_required,
        };
        ctx.out.counters.sessions += 1;
        ctx.out.events.push_back(Event::SessionUp { session: self.session_key(id), info });
    }

    /// The client hangs up. It may name the session by either id.
    pub(crate) fn on_cdn(&mut self, ctx: &mut Context<'_>, id: u16, goodbye: &Cdn) {
        let result = goodbye.result_code.as_ref().map_or(0, |code| code.result);
        let by_peer_id = || goodbye.assigned_session_id.and_then(|peer_id| self.session_of_peer(peer_id));
        match Some(id).filter(|id| self.sessions.contains_key(id)).or_else(by_peer_id) {
            Some(id) => self.forget_session(ctx, id, Reason::PeerClosed { result }),
            None => ctx.out.counters.unknown += 1,
        }
    }

    /// We hang up.
    pub(crate) fn close_session(&mut self, ctx: &mut Context<'_>, id: u16, reason: Reason) {
        let result = match &reason {
            Reason::LinkDown | Reason::DeadPeer => cdn_result::LOST_CARRIER,
            Reason::NoResources => cdn_result::NO_FACILITIES_NOW,
            _ => cdn_result::ADMINISTRATIVE,
        };
        self.drop_call(ctx, id, ResultCode::new(result, error_code::NONE), reason);
        self.flush(ctx);
    }

    /// Ends a session with a CDN.
    pub(crate) fn drop_call(&mut self, ctx: &mut Context<'_>, id: u16, code: ResultCode, reason: Reason) {
        let Some(session) = self.sessions.get(&id) else { return };
        let peer_id = session.peer_id;
        self.forget_session(ctx, id, reason);
        self.send_cdn(ctx, peer_id, id, code);
    }

    /// Answers a call that never was with a CDN.
    pub(crate) fn refuse_call(&mut self, ctx: &mut Context<'_>, peer_id: u16, code: ResultCode, reason: RefusalReason) {
        ctx.out.refused(self.channel, self.peer.host_name.clone(), reason);
        if let Some(id) = ctx.fresh_id(|id| self.sessions.contains_key(&id)) {
            self.send_cdn(ctx, peer_id, id, code);
        }
    }

    /// Sends a PPP frame.
    pub(crate) fn send_frame(&mut self, id: u16, frame: &[u8]) -> Option<Transmit> {
        let session = self.sessions.get_mut(&id)?;
        let State::Up { next_ns } = &mut session.state else { return None };
        let length = u16::try_from(frame.len()).ok()?;
        let payload: Bytes = match next_ns {
            None => [&data::header(self.peer_id, session.peer_id, length), frame].concat().into(),
            Some(ns) => {
                let header = data::sequenced_header(self.peer_id, session.peer_id, *ns, length);
                *ns = ns.wrapping_add(1);
                [&header, frame].concat().into()
            }
        };
        Some(Transmit { channel: self.channel, port: self.port, payload })
    }

    /// Sessions that never got connected in time.
    pub(crate) fn expire_sessions(&mut self, ctx: &mut Context<'_>) {
        let late = |session: &Session| session.deadline().is_some_and(|until| until <= ctx.now);
        let late: Vec<u16> = self.sessions.iter().filter(|(_, session)| late(session)).map(|(id, _)| *id).collect();
        for id in late {
            self.drop_call(ctx, id, ResultCode::new(cdn_result::TIMEOUT, error_code::NONE), Reason::SetupTimeout);
        }
    }

    /// Ends a session without a word to the peer.
    pub(crate) fn forget_session(&mut self, ctx: &mut Context<'_>, id: u16, reason: Reason) {
        if self.sessions.remove(&id).is_some_and(|session| session.is_up()) {
            ctx.out.events.push_back(Event::SessionDown { session: self.session_key(id), reason });
        }
    }

    fn session_of_peer(&self, peer_id: u16) -> Option<u16> {
        self.sessions.iter().find(|(_, session)| session.peer_id == peer_id).map(|(id, _)| *id)
    }

    fn send_cdn(&mut self, ctx: &mut Context<'_>, peer_id: u16, id: u16, code: ResultCode) {
        let goodbye = Cdn { result_code: Some(code), cause_code: None, assigned_session_id: Some(id) };
        self.send(ctx, peer_id, &Message::Cdn(goodbye));
    }
}
