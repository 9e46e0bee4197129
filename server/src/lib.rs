//! The gateway.

pub mod auth;
pub mod net;
pub mod pki;
pub mod pool;
