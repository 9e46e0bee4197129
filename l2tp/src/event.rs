//! What comes out of an [`Endpoint`](crate::Endpoint).

use bytes::Bytes;

use crate::error::Refusal;

/// One IPsec peer: everything that the same IKE session protects. Tunnels belong to it, never to an address (RFC 3193).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u64);

/// Names a session. Ids are ours, and unique within the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// The peer.
    pub channel: ChannelId,
    /// The tunnel id that we assigned; never 0.
    pub tunnel: u16,
    /// The session id that we assigned; never 0.
    pub session: u16,
}

/// A UDP payload to be sent from port 1701, inside the IPsec SA of the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The peer.
    pub channel: ChannelId,
    /// The peer's UDP port, inside of IPsec.
    pub port: u16,
    /// The payload.
    pub payload: Bytes,
}

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A call is connected: PPP may begin.
    SessionUp {
        /// Which.
        session: SessionKey,
        /// What the peer said about it.
        info: SessionInfo,
    },
    /// The peer's UDP port changed; data has to go there.
    Moved {
        /// Which session.
        session: SessionKey,
        /// The port from now on.
        port: u16,
    },
    /// A PPP frame of a session that is up.
    Frame {
        /// Whose.
        session: SessionKey,
        /// The frame, as the peer sent it: with or without FF 03.
        frame: Vec<u8>,
    },
    /// A session that was up has ended, whoever ended it. It comes exactly once for each [`Event::SessionUp`].
    SessionDown {
        /// Which.
        session: SessionKey,
        /// Why.
        reason: Reason,
    },
    /// A control connection has ended; its sessions ended before.
    TunnelDown {
        /// The peer.
        channel: ChannelId,
        /// The id that we assigned.
        tunnel: u16,
        /// Why.
        reason: Reason,
    },
    /// A peer did not get what it asked for.
    Refused(Box<Refusal>),
}

/// What is known about a session that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The tunnel id that the peer assigned; goes into headers that we send.
    pub peer_tunnel: u16,
    /// The session id that the peer assigned; goes into headers that we send.
    pub peer_session: u16,
    /// The peer's UDP port, inside of IPsec.
    pub port: u16,
    /// Host Name AVP, made printable, at most 64 characters.
    pub host_name: Option<String>,
    /// Vendor Name AVP, made printable, at most 64 characters.
    pub vendor_name: Option<String>,
    /// Firmware Revision AVP.
    pub firmware: Option<u16>,
    /// Call Serial Number AVP.
    pub call_serial: Option<u32>,
    /// (Tx) Connect Speed AVP, in bits per second. Clients make it up.
    pub connect_speed: Option<u32>,
    /// The peer demands sequence numbers on data messages.
    pub sequencing_required: bool,
}

/// Why a session or tunnel ended, or has to end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The peer said goodbye (CDN or StopCCN), with this Result Code. Some peers encode it wrongly; do not decide by it.
    #[error("the client hung up (result code {result})")]
    PeerClosed {
        /// Result Code as it was received; 0 if there was none.
        result: u16,
    },
    /// The peer did not acknowledge a control message or a Hello.
    #[error("the client no longer answers")]
    DeadPeer,
    /// The peer began to connect and did not finish in time.
    #[error("the client did not finish connecting")]
    SetupTimeout,
    /// The same peer opened a new tunnel or call in its place.
    #[error("the client opened a new tunnel in its place")]
    Replaced,
    /// [`Endpoint::close_channel`](crate::Endpoint::close_channel): IPsec is gone.
    #[error("its IPsec connection ended")]
    ChannelClosed,
    /// The peer violated the protocol in a way that cannot be tolerated.
    #[error("the client sent a message that cannot be accepted: {0}")]
    Protocol(&'static str),
    /// PPP has ended.
    #[error("PPP ended")]
    LinkDown,
    /// Somebody ended it on purpose.
    #[error("disconnected by the administrator")]
    Administrative,
    /// There is no room.
    #[error("no resources are left")]
    NoResources,
    /// The gateway stops.
    #[error("the gateway stops")]
    Shutdown,
}

/// A control connection as seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TunnelInfo {
    /// The peer.
    pub channel: ChannelId,
    /// The id that we assigned.
    pub tunnel: u16,
    /// The id that the peer assigned.
    pub peer_tunnel: u16,
    /// The peer's UDP port, inside of IPsec.
    pub port: u16,
    /// Host Name AVP, made printable, at most 64 characters.
    pub host_name: Option<String>,
    /// Where it is in its life.
    pub phase: TunnelPhase,
    /// Sessions that are up, by the id that we assigned.
    pub sessions: Vec<u16>,
}

/// Where a control connection is in its life (RFC 2661 section 7.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelPhase {
    /// SCCRP was sent, SCCCN has not come.
    Connecting,
    /// Calls may come.
    Established,
    /// StopCCN was sent and not yet acknowledged, or received and its repetitions are still acknowledged.
    Closing,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams that are no L2TP message.
    pub malformed: u64,
    /// Messages for tunnels or sessions that do not exist.
    pub unknown: u64,
    /// Control messages that came again.
    pub duplicates: u64,
    /// Control messages too far ahead of their turn, or that acknowledge what was never sent.
    pub out_of_window: u64,
    /// Control messages that we sent again.
    pub retransmissions: u64,
    /// Tunnels and calls that were refused.
    pub refused: u64,
    /// Tunnels that were established.
    pub tunnels: u64,
    /// Sessions that were established.
    pub sessions: u64,
}
