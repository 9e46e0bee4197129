//! Who is at the other end: the authentication protocols of PPP, server side, as bytes in and bytes out.
//!
//! Nothing here has a socket, a clock or a list of users.

pub mod mschapv2;
pub mod nt_hash;
