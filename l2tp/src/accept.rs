//! The first message of a tunnel: SCCRQ, answered with SCCRP (RFC 2661 sections 6.1 and 7.2.1).
//!
//! A repeated SCCRQ finds its tunnel. A new one always wins: a client that comes back has forgotten its old tunnel. What
//! cannot be accepted is answered without keeping anything.
//!
//! The SCCRP has what all clients demand and nothing that one of them chokes on: no challenge, no tie breaker, no bearer
//! capabilities, no hidden attribute.

use crate::avp::{ProtocolVersion, ResultCode};
use crate::error::RefusalReason;
use crate::event::{ChannelId, Transmit};
use crate::header::{Header, Sequence};
use crate::message::{Attributes, Message, Sccrp, Sccrq, StopCcn};
use crate::output::Context;
use crate::reliable::{DEFAULT_PEER_WINDOW, RECEIVE_WINDOW, Reliable};
use crate::tunnel::{Peer, Tunnel, error_code, error_of, peer_of, stop_result};
use crate::tunnel_auth;

/// Synchronous and asynchronous framing, which inside IP are the same.
const FRAMING: u32 = 3;

/// Why an SCCRQ is refused, and the Result Code that says it to the peer.
type Refused = (RefusalReason, ResultCode);

/// A request that can be accepted.
pub(crate) struct Accepted {
    request: Sccrq,
    challenge_response: Option<[u8; 16]>,
}

/// Checks the attributes of an SCCRQ.
pub(crate) fn check(ctx: &Context<'_>, attributes: &Attributes) -> Result<Accepted, Refused> {
    let request = match Message::understand(attributes) {
        Ok(Some(Message::Sccrq(request))) => request,
        Ok(_) => {
            return Err(general(RefusalReason::Invalid { message: attributes.name(), what: "it begins no tunnel" }));
        }
        Err(reason) => return Err(general(reason)),
    };
    let ProtocolVersion { version, revision } = request.protocol_version;
    if version != ProtocolVersion::V1_0.version {
        // The Error Code of this result is the highest version that we speak.
        return Err((RefusalReason::Version { version, revision }, ResultCode::new(stop_result::VERSION, 0x0100)));
    }
    let challenge_response = match (&request.challenge, &ctx.config.secret) {
        (None, _) => None,
        (Some(challenge), Some(secret)) => Some(tunnel_auth::response(2, secret, challenge)),
        (Some(_), None) => {
            let code = ResultCode::new(stop_result::NOT_AUTHORIZED, error_code::NONE);
            return Err((RefusalReason::SecretDemanded, code));
        }
    };
    Ok(Accepted { request, challenge_response })
}

impl Accepted {
    /// Makes the tunnel with the id `id` and answers.
    pub(crate) fn open(self, ctx: &mut Context<'_>, channel: ChannelId, id: u16, port: u16) -> Tunnel {
        let Sccrq { host_name, vendor_name, firmware_revision, .. } = &self.request;
        let peer = peer_of(host_name.as_deref(), vendor_name.as_deref(), *firmware_revision);
        let window = self.request.receive_window_size.unwrap_or(DEFAULT_PEER_WINDOW);
        let reliable = Reliable::new(self.request.assigned_tunnel_id, window);
        let mut tunnel = Tunnel::new(ctx.now, channel, id, port, reliable, peer);
        let reply = Message::Sccrp(self.reply(ctx, id));
        tunnel.begin(ctx, &reply);
        tunnel
    }

    fn reply(&self, ctx: &Context<'_>, id: u16) -> Sccrp {
        Sccrp {
            protocol_version: ProtocolVersion::V1_0,
            framing_capabilities: Some(FRAMING),
            bearer_capabilities: None,
            firmware_revision: None,
            host_name: Some(name(&ctx.config.host_name, "gateway")),
            vendor_name: Some(name(&ctx.config.vendor_name, "Cygnet")),
            assigned_tunnel_id: id,
            receive_window_size: Some(RECEIVE_WINDOW),
            challenge: None,
            challenge_response: self.challenge_response,
        }
    }
}

/// Answers an SCCRQ that is refused with a StopCCN. It is not repeated, but the SCCRQ is, and gets it again.
pub(crate) fn refuse(
    ctx: &mut Context<'_>,
    channel: ChannelId,
    port: u16,
    attributes: &Attributes,
    (reason, code): Refused,
) {
    let Peer { host_name, .. } = peer_of(attributes.host_name(), None, None);
    ctx.out.refused(channel, host_name, reason);
    let Some(peer_id) = attributes.assigned_tunnel_id().filter(|id| *id != 0) else { return };
    let goodbye = StopCcn { result_code: Some(code), assigned_tunnel_id: ctx.fresh_id(|_| false) };
    let body = Message::StopCcn(goodbye).emit();
    if let Ok(header) = Header::control(peer_id, 0, Sequence { ns: 0, nr: 1 }, body.len()) {
        ctx.out.transmits.push_back(Transmit { channel, port, payload: [&header[..], &body].concat().into() });
    }
}

fn general(reason: RefusalReason) -> Refused {
    (reason, ResultCode::new(stop_result::GENERAL_ERROR, error_of(reason)))
}

/// A name for an AVP: not empty, at most 255 octets.
fn name(configured: &str, otherwise: &str) -> Vec<u8> {
    let name = if configured.is_empty() { otherwise } else { configured };
    name.as_bytes().iter().copied().take(255).collect()
}
