//! User authentication: who may log in, and the EAP server that finds out.
//!
//! [`users`] holds the accounts, [`eap`] runs EAP-MSCHAPv2 as bytes in and bytes out, [`throttle`] slows guessing down.
//! Nothing here has a socket or a clock.

pub mod eap;
pub mod mschapv2;
pub mod nt_hash;
pub mod throttle;
pub mod users;
