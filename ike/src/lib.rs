//! Sans-IO IKEv2.

pub mod wire;
