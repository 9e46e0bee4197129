//! User authentication: who may log in, and the EAP server that finds out.
//!
//! [`users`] holds the accounts, [`eap`] runs EAP-MSCHAPv2 as bytes in and bytes out, [`throttle`] slows guessing down.
//! Nothing here has a socket or a clock.

pub mod eap;
pub mod throttle;
pub mod users;

pub use cygnet_ppp::auth::{mschapv2, nt_hash};
