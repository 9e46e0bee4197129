//! Sans-IO L2TP (RFC 2661) for remote access over IPsec (RFC 3193): the LNS, and LAC enough to test it.

#![forbid(unsafe_code)]

mod accept;
pub mod avp;
pub mod config;
pub mod data;
mod endpoint;
pub mod error;
pub mod event;
#[doc(hidden)]
pub mod fuzzing;
pub mod header;
pub mod hidden;
pub mod message;
mod output;
pub mod random;
mod reliable;
pub mod secret;
mod session;
#[doc(hidden)]
pub mod testing;
mod timer;
mod tunnel;
pub mod tunnel_auth;

pub use config::Config;
pub use endpoint::Endpoint;
pub use error::{Malformed, Refusal, RefusalReason};
pub use event::{ChannelId, Counters, Event, Reason, SessionInfo, SessionKey, Transmit, TunnelInfo, TunnelPhase};
pub use random::Random;
pub use secret::Secret;
