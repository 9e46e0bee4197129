//! Sans-IO PPP (RFC 1661) for the network side of a remote access link.

#![forbid(unsafe_code)]

pub mod auth;
pub mod automaton;
pub mod config;
mod control;
pub mod event;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod generator;
pub mod inner;
mod ipcp;
mod ipv6cp;
mod lcp;
pub mod link;
pub mod malformed;
pub mod option;
pub mod packet;
#[doc(hidden)]
pub mod testing;
mod timer;

pub use config::{Grant, LinkConfig, Seed, Timing};
pub use event::{CloseReason, Event, Family, LinkInfo, Phase, WantedAuth};
pub use link::Link;
pub use malformed::Malformed;
