//! The responder of IKEv1, RFC 2408 and 2409, for the native clients of L2TP/IPsec and XAUTH.

mod config;

pub use config::V1Config;
