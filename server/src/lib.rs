//! The gateway: everything of Cygnet that touches the operating system, and the `cygnet` command.
//!
//! The protocol engines live in `cygnet-ike` and `cygnet-esp`; this crate gives them sockets, a clock, users, addresses
//! and routes.

pub mod config;
pub mod control;
pub mod explain;
