//! Sans-IO IKEv2.
