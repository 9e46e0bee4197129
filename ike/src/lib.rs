//! Sans-IO IKEv2, RFC 7296: the responder of a VPN gateway.

#![forbid(unsafe_code)]

pub mod cert;
pub mod child_sa;
pub mod config;
pub mod credential;
pub mod crypto;
mod endpoint;
pub mod event;
#[doc(hidden)]
pub mod fuzzing;
pub mod identity;
mod narrow;
mod nat;
pub mod proposal;
pub mod psk;
pub mod refusal;
mod retransmit;
#[doc(hidden)]
pub mod testing;
mod v2;
pub mod wire;

pub use cert::UnixTime;
pub use child_sa::{ChildKeys, ChildSa, ChildSuite, DirectionKeys};
pub use config::{Config, Limits, Timing};
pub use credential::{Authorities, Credential, CredentialError};
pub use endpoint::Endpoint;
pub use event::{
    AccessRequest, AuthenticatedBy, CloseReason, Counters, Denial, EapStep, Event, Grant, Path, Prefix, SessionId,
    SessionInfo, SessionState, Transmit,
};
pub use refusal::{Refusal, RefusalReason};
pub use wire::{EspSpi, IkeSpi};
