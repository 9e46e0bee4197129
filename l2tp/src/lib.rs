//! Sans-IO L2TP (RFC 2661) for remote access over IPsec (RFC 3193): the LNS.
//!
//! An [`Endpoint`] holds the control connections of all clients. It opens no socket, reads no clock, starts no thread, and
//! takes its randomness from outside: UDP payloads that came out of IPsec go in, messages and events come out.
//!
//! ```text
//!   UDP 1701 inside IPsec                                            the server
//!        |                                                               ^
//!        v  handle_datagram(channel, ..)                 poll_event()    |   SessionUp, SessionDown: begin and end PPP
//!   +----------------------------------------------------------------------+
//!   | Endpoint: channel + tunnel id -> tunnel        SCCRQ SCCRP SCCCN      |   Frame  <-> send_frame(): PPP's control
//!   |   reliable: Ns, Nr, window, repetition         ICRQ ICRP ICCN CDN     |
//!   |   sessions                                     HELLO StopCCN          |   Refused: why, in a sentence
//!   +----------------------------------------------------------------------+
//!        |  poll_transmit()                              poll_timeout()  |
//!        v                                                               v
//!   UDP 1701 inside IPsec                                         handle_timeout()
//! ```
//!
//! IP packets of a session do not pass the endpoint: the packet path uses [`data`] with the ids of
//! [`SessionInfo`].
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use cygnet_l2tp::{ChannelId, Config, Endpoint, Event, Random};
//!
//! # struct System;
//! # impl Random for System { fn fill(&mut self, out: &mut [u8]) { out.fill(7) } }
//! # // The SCCRQ of an Android client.
//! # let datagram = b"\xc8\x02\0\x45\0\0\0\0\0\0\0\0\x80\x08\0\0\0\0\0\x01\x80\x08\0\0\0\x02\x01\0\x80\x0f\0\0\0\x07anonymous\
//! # \x80\x0a\0\0\0\x03\0\0\0\x03\x80\x08\0\0\0\x09\x04\xd2\x80\x08\0\0\0\x0a\0\x01";
//! let mut endpoint = Endpoint::new(Arc::new(Config::new("vpn.example.org")), Box::new(System));
//!
//! // A UDP payload came out of the IPsec SA of the IKE session 7, from port 40000 inside it.
//! let (now, channel) = (Instant::now(), ChannelId(7));
//! endpoint.handle_datagram(now, channel, 40_000, datagram);
//! while let Some(event) = endpoint.poll_event() {
//!     match event {
//!         Event::SessionUp { session, info } => {
//!             println!("PPP may begin with {:?}", info.host_name);
//!             endpoint.send_frame(session, b"\xff\x03\xc0\x21\x01\x01\x00\x04"); // LCP Configure-Request
//!         }
//!         Event::Frame { session, frame } => println!("{} octets of PPP in {session:?}", frame.len()),
//!         Event::SessionDown { reason, .. } => println!("the session ended: {reason}"),
//!         Event::Refused(refusal) => println!("{}", refusal.explain()),
//!         _ => {}
//!     }
//! }
//! let answer = endpoint.poll_transmit().expect("an SCCRP");
//! assert_eq!((answer.channel, answer.port), (channel, 40_000));
//! assert_eq!(endpoint.snapshot().len(), 1);
//! assert!(endpoint.poll_timeout().is_some());
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`config`], [`secret`], [`random`] | what comes from outside |
//! | [`event`], [`error`] | what comes out |
//! | [`header`], [`avp`], [`message`], [`hidden`], [`tunnel_auth`] | bytes of control messages |
//! | [`data`] | data messages, for the packet path |
//!
//! What holds: a tunnel belongs to the channel that it came through (never to an address), and nothing that comes through
//! another touches it. What a peer can make us keep is bounded. A first message that is not accepted leaves nothing behind.
//! A ZLB is never answered. Runs are repeatable: the same inputs give the same outputs.
//!
//! Does not: IPsec, PPP, sockets; outgoing calls, L2TPv3, sending hidden attributes, challenges, WEN or SLI. The LAC's role is
//! in `testing` only.

#![forbid(unsafe_code)]

mod accept;
pub mod avp;
pub mod config;
pub mod data;
mod endpoint;
pub mod error;
pub mod event;
#[doc(hidden)]
pub mod fuzzing;
pub mod header;
pub mod hidden;
pub mod message;
mod output;
pub mod random;
mod reliable;
pub mod secret;
mod session;
#[doc(hidden)]
pub mod testing;
mod timer;
mod tunnel;
pub mod tunnel_auth;

pub use config::Config;
pub use endpoint::Endpoint;
pub use error::{Malformed, Refusal, RefusalReason};
pub use event::{ChannelId, Counters, Event, Reason, SessionInfo, SessionKey, Transmit, TunnelInfo, TunnelPhase};
pub use random::Random;
pub use secret::Secret;
