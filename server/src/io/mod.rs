//! The operating system's sockets and clock: datagrams in batches, time from one place.
//!
//! `unsafe` is confined to the two small modules `sys` and `mmsg`.
//!
//! Does not: know what a datagram means. That is the business of [`crate::dataplane`] and of the IKE engine.

pub mod clock;
pub mod control_message;
pub mod icmp;
pub mod mmsg;
pub mod random;
pub mod raw_esp;
pub mod reuseport;
pub mod socket_address;
pub(crate) mod sys;
pub mod udp;
pub mod wake;
