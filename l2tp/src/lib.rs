//! Sans-IO L2TP (RFC 2661) for remote access over IPsec (RFC 3193): the LNS, and LAC enough to test it.

#![forbid(unsafe_code)]

pub mod avp;
pub mod config;
pub mod data;
mod endpoint;
pub mod error;
pub mod event;
pub mod header;
pub mod hidden;
pub mod message;
pub mod random;
pub mod secret;
pub mod tunnel_auth;

pub use config::Config;
pub use endpoint::Endpoint;
pub use error::{Malformed, Refusal, RefusalReason};
pub use event::{ChannelId, Counters, Event, Reason, SessionInfo, SessionKey, Transmit, TunnelInfo, TunnelPhase};
