//! Sans-IO IKEv2.

pub mod crypto;
