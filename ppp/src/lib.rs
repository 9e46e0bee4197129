//! Sans-IO PPP (RFC 1661) for the network side of a remote access link.
//!
//! A [`Link`] negotiates LCP, has the client prove who it is, and gives it an IPv4 address by IPCP and an IPv6 interface
//! identifier by IPV6CP. It opens no socket, reads no clock, and takes its randomness from outside: frames and answers go
//! in, frames and events come out.
//!
//! ```text
//!   L2TP session                                                the gateway
//!        |                                                          ^
//!        v  handle_frame()                           poll_event()   |   Credentials    -> verdict()
//!   +--------------------------------------------------------------------+
//!   | Link:  Establish -> Authenticate -> Network -> Terminate -> Dead   |   Authenticated  -> grant() / deny()
//!   |        LCP          PAP, CHAP, EAP  IPCP, IPV6CP                   |   NetworkUp, NetworkDown
//!   +--------------------------------------------------------------------+
//!        |  poll_transmit()                          poll_timeout() |       Down: why
//!        v                                                          v
//!   L2TP session                                             handle_timeout()
//! ```
//!
//! After each call that takes the time, take out everything: [`Link::poll_event`] and [`Link::poll_transmit`] until they
//! are empty, then set a timer for [`Link::poll_timeout`]. IP packets do not pass through the link: the data path reads and
//! writes their frames with [`frame`] as [`Link::info`] says, and hands over only what is not an IP packet to be forwarded.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use cygnet_ppp::auth::{Proof, Verdict, Verifier};
//! use cygnet_ppp::{Event, Grant, Link, LinkConfig, Seed};
//!
//! # let (now, random) = (Instant::now(), [7; 32]);
//! let config = Arc::new(LinkConfig::new("vpn.example.org", 1400));
//! let mut link = Link::new(config, Seed::new(random), now);
//! let verifier = Verifier::of_password("correct horse");
//!
//! # let frame = [0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4];
//! link.handle_frame(now, &frame);
//! while let Some(event) = link.poll_event() {
//!     match event {
//!         Event::Credentials(credentials) => {
//!             let verdict = match credentials.prove(&verifier) {
//!                 Proof::Right(proof) if credentials.user() == "anna" => {
//!                     Verdict::Accepted { user: "anna".to_owned(), proof }
//!                 }
//!                 _ => Verdict::Rejected,
//!             };
//!             link.verdict(now, verdict);
//!         }
//!         Event::Authenticated { .. } => link.grant(
//!             now,
//!             Grant {
//!                 ipv4: Some("10.20.0.2".parse()?),
//!                 ipv6: None,
//!                 gateway4: "10.20.0.1".parse()?,
//!                 dns: vec!["10.20.0.1".parse()?],
//!                 nbns: Vec::new(),
//!                 domains: Vec::new(),
//!                 routes: Vec::new(),
//!                 mtu: 1400,
//!             },
//!         ),
//!         Event::NetworkUp { family } => println!("{family:?} packets may flow: {:?}", link.info()),
//!         Event::Down { reason } => println!("it is over: {reason}"),
//!         _ => {}
//!     }
//! }
//! while let Some(frame) = link.poll_transmit() {
//!     println!("send {} bytes", frame.len());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`link`], [`config`], [`event`] | one link, what is decided for it, what it reports |
//! | [`frame`], [`packet`], [`option`] | octets of frames, control packets and their options |
//! | [`automaton`] | the table of RFC 1661 section 4.1 |
//! | [`auth`] | who is at the other end: PAP, CHAP, MS-CHAPv2, EAP |
//! | [`inner`] | answers to DHCPINFORM, router solicitations and the like |
//!
//! What holds: a frame of a later phase is dropped; one frame leads to a handful at most, and what a client may repeat at
//! will is answered ten times a second; every negotiation, login and silence has an end; an address other
//! than the granted one is never agreed on. Runs are repeatable: the same inputs give the same outputs.
//!
//! Does not: the dialling side outside of tests, octet stuffing and checksums, compression and encryption (CCP, ECP, MPPE,
//! Van Jacobson), multilink, callback. All of them are refused in a way that clients live with.

#![forbid(unsafe_code)]

pub mod auth;
pub mod automaton;
pub mod config;
mod control;
pub mod event;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod generator;
pub mod inner;
mod ipcp;
mod ipv6cp;
mod lcp;
pub mod link;
pub mod malformed;
pub mod option;
pub mod packet;
#[doc(hidden)]
pub mod testing;
mod timer;

pub use config::{Grant, LinkConfig, Seed, Timing};
pub use event::{CloseReason, Event, Family, LinkInfo, Phase, WantedAuth};
pub use link::Link;
pub use malformed::Malformed;
