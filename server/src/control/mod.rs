//! The control API: HTTP and JSON on a Unix socket, for `cygnet status` and its kin, and for anybody with curl.
//!
//! [`api`] answers requests by asking the task that owns the gateway ([`model::ControlCommand`] over a channel); [`client`]
//! is the other end. Who may open the socket may do everything: it belongs to root and has mode 0600.

pub mod api;
pub mod client;
pub mod model;

pub use model::ControlCommand;

#[cfg(test)]
mod tests;
