//! Sans-IO IKEv2.

pub mod cert;
pub mod child_sa;
pub mod config;
pub mod credential;
pub mod crypto;
pub mod endpoint;
pub mod event;
pub mod identity;
pub mod proposal;
pub mod psk;
pub mod refusal;
pub mod wire;

pub use child_sa::{ChildKeys, ChildSa, ChildSuite, DirectionKeys};
pub use config::{Config, Limits, Timing};
pub use endpoint::Endpoint;
pub use event::{
    AccessRequest, AuthenticatedBy, CloseReason, Counters, Denial, EapStep, Event, Grant, Path, Prefix, SessionId,
    SessionInfo, SessionState, Transmit,
};
pub use refusal::{Refusal, RefusalReason};
pub use cert::UnixTime;
pub use wire::{EspSpi, IkeSpi};
