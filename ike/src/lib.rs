//! Sans-IO IKEv2 (RFC 7296) in both roles, for remote clients and for sites, and IKEv1 (RFC 2409) as the responder of clients.
//!
//! An [`Endpoint`] holds all IKE SAs of one shard. It opens no socket, reads no clock, starts no thread, and takes its
//! randomness from outside: datagrams and answers go in, messages and events come out.
//!
//! ```text
//!   UDP 500 / 4500                                              the server
//!        |                                                          ^
//!        v  handle_datagram()                        poll_event()   |    Eap            -> eap_continue()
//!   +--------------------------------------------------------------------+
//!   | Endpoint: SPI -> session      IKE_SA_INIT: proposals, cookies, NAT |    Authenticated  -> grant() / deny()
//!   |   HalfOpen -> Authenticating -> Established -> Closing             |    ChildUp, ChildDown: keys for ESP
//!   +--------------------------------------------------------------------+
//!        |  poll_transmit()                          poll_timeout() |       Refused: why, and what would have helped
//!        v                                                          v
//!   UDP 500 / 4500                                           handle_timeout()
//! ```
//!
//! After each call that takes something in, take out everything: [`Endpoint::poll_event`] and
//! [`Endpoint::poll_transmit`] until they are empty, then set a timer for [`Endpoint::poll_timeout`].
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use cygnet_ike::crypto::{random::Random, secret::Secret};
//! use cygnet_ike::psk::{PskSelector, PskTable};
//! use cygnet_ike::{Config, Endpoint, Event, Grant, Path, UnixTime};
//!
//! # struct System;
//! # impl Random for System { fn fill(&mut self, out: &mut [u8]) { out.fill(7) } }
//! let mut config = Config::new("vpn.example.org".parse()?);
//! config.psks = PskTable::new(vec![(PskSelector::Any, Secret::from_slice(b"correct horse battery staple"))]);
//! let mut endpoint = Endpoint::new(Arc::new(config), Box::new(System));
//!
//! let (now, wall) = (Instant::now(), UnixTime::from_secs(1_800_000_000));
//! let path = Path { local: "192.0.2.1:500".parse()?, peer: "198.51.100.9:500".parse()? };
//! # let datagram = [0; 28];
//! endpoint.handle_datagram(now, wall, path, &datagram);
//! while let Some(event) = endpoint.poll_event() {
//!     match event {
//!         Event::Authenticated { session, .. } => {
//!             let grant = Grant { addresses: vec!["10.20.0.2".parse()?], ..Grant::default() };
//!             endpoint.grant(now, session, grant);
//!         }
//!         Event::ChildUp { child, .. } => println!("ESP with SPI {} is ready", child.inbound_spi),
//!         Event::Refused(refusal) => println!("{}: {}", refusal.path.peer, refusal.reason.explain()),
//!         _ => {}
//!     }
//! }
//! while let Some(transmit) = endpoint.poll_transmit() {
//!     println!("send {} bytes to {}", transmit.payload.len(), transmit.path.peer);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`config`], [`proposal`], [`psk`], [`ppk`], [`credential`], [`site`] | what the operator decides |
//! | [`event`], [`child_sa`], [`refusal`] | what comes out |
//! | [`identity`], [`cert`] | who somebody is, and who says so |
//! | [`wire`] | bytes of messages |
//! | [`crypto`] | everything that computes with keys |
//!
//! What holds: a message changes nothing before its integrity was checked; what strangers can begin is bounded; only what
//! can be computed can be chosen; a refusal says why. Runs are repeatable: the same inputs give the same outputs.
//!
//! IKEv1 is off unless [`Config::ikev1`] is set. Its clients come for L2TP (transport mode, [`ChildMode::L2tp`]), or log in
//! by XAUTH and get a tunnel like those of IKEv2.
//!
//! Does not: begin IKEv1, post-quantum key exchange (RFC 9370), ESP itself.

#![forbid(unsafe_code)]

pub mod cert;
pub mod child_sa;
pub mod config;
pub mod credential;
pub mod crypto;
mod distinguished_name;
mod endpoint;
pub mod event;
#[doc(hidden)]
pub mod fuzzing;
pub mod identity;
mod narrow;
mod nat;
pub mod ppk;
pub mod proposal;
pub mod psk;
pub mod refusal;
mod retransmit;
pub mod site;
#[doc(hidden)]
pub mod testing;
mod v1;
mod v2;
pub mod wire;

pub use cert::UnixTime;
pub use child_sa::{ChildKeys, ChildMode, ChildSa, ChildSuite, DirectionKeys};
pub use config::{Config, Lifetime, Limits, Timing};
pub use credential::{Authorities, Credential, CredentialError, LocalAuth, PeerAuth};
pub use endpoint::Endpoint;
pub use event::{
    AccessRequest, AuthenticatedBy, ChildInfo, CloseReason, Counters, Denial, EapStep, Event, Grant, IkeVersion, Path,
    Prefix, Role, SessionId, SessionInfo, SessionState, Transmit,
};
pub use ppk::{PpkTable, SitePpk};
pub use refusal::{Refusal, RefusalReason};
pub use site::{Site, SiteChild};
pub use v1::V1Config;
pub use wire::{EspSpi, IkeSpi};
