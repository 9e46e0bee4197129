//! Sans-IO IKEv2.

#[doc(hidden)]
pub mod fuzzing;
pub mod wire;
