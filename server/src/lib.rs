//! The gateway: everything of Cygnet that touches the operating system, and the `cygnet` command.
//!
//! The protocol engines live in `cygnet-ike` and `cygnet-esp`; this crate gives them sockets, a clock, users, addresses
//! and routes. `ARCHITECTURE.md` at the root of the tree has the map.

pub mod auth;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod dataplane;
pub mod explain;
pub mod gateway;
pub mod io;
pub mod logging;
pub mod net;
pub mod pki;
pub mod pool;
