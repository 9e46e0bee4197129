//! Sans-IO PPP (RFC 1661) for the network side of a remote access link.

#![forbid(unsafe_code)]

pub mod auth;
pub mod inner;
