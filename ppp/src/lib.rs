//! Sans-IO PPP (RFC 1661) for the network side of a remote access link.

#![forbid(unsafe_code)]

pub mod auth;
pub mod config;
pub mod event;
pub mod frame;
pub mod inner;
pub mod link;
pub mod malformed;

pub use config::{Grant, LinkConfig, Seed, Timing};
pub use event::{CloseReason, Event, Family, LinkInfo, Phase};
pub use link::Link;
pub use malformed::Malformed;
