//! User authentication: who may log in.
//!
//! [`users`] holds the accounts and judges what clients say of themselves, [`certificate`] tells whose a certificate is,
//! [`client_authorities`] whether it is good, [`throttle`] slows guessing down. The protocols that clients speak are in
//! [`cygnet_ppp::auth`].
//! Nothing here has a socket or a clock.

pub mod certificate;
pub mod client_authorities;
pub mod throttle;
pub mod users;

pub use cygnet_ppp::auth::{eap, mschapv2, nt_hash};
