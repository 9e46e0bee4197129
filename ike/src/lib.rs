//! Sans-IO IKEv2.

pub mod cert;
pub mod crypto;
pub mod identity;
pub mod wire;
