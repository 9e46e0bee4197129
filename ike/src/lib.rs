//! Sans-IO IKEv2.

pub mod crypto;
pub mod wire;
