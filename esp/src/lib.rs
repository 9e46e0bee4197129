//! Sans-IO ESP (RFC 4303): seal and open in place, anti-replay, UDP encapsulation, selectors.
//!
//! ```text
//! in:   datagram -> udp_encap::classify -> table::SpiTable -> InboundSa::open -> inner::tunnel_payload
//!                (or udp_transport::parse) -> SelectorSet::check_inbound -> ecn::decapsulate -> TUN
//! out:  TUN -> SelectorSet::check_outbound (or selector::lookup) -> OutboundSa::reserve
//!           -> OutboundSa::seal (or seal_batch, into one buffer for UDP GSO) -> datagram
//! ```
//!
//! The crate has no socket, clock, thread, log or source of randomness. An [`OutboundSa`] is shared between workers, an
//! [`InboundSa`] belongs to one. A packet that must not pass is a [`DropReason`], which is also the index of its counter.
//!
//! Does not: negotiate (that is IKE), forward, fragment, reassemble, keep lifetimes in seconds or octets.
//!
//! # Example
//!
//! ```
//! use cygnet_esp::secret::Secret;
//! use cygnet_esp::{AesBits, InboundConfig, InboundSa, OutboundConfig, OutboundSa, SaKeys, Spi, Suite, Transform};
//!
//! let suite = Suite { transform: Transform::AesGcm16(AesBits::Aes256), esn: false };
//! // From IKE: 32 octets of key, 4 of salt. An AEAD transform has no integrity key.
//! let keys = || SaKeys { encr: Secret::new(vec![0x2a; 36]), integ: Secret::new(vec![]) };
//! let spi = Spi(0x0100_c0de);
//! let outbound = OutboundSa::new(OutboundConfig { spi, suite, keys: keys(), soft_limit: None })?;
//! let mut inbound = InboundSa::new(InboundConfig { spi, suite, keys: keys(), replay_window: 1024 })?;
//!
//! // The payload lies where it will be sealed: behind the room for SPI, sequence number and IV.
//! let payload = b"an IPv4 packet";
//! let mut buffer = vec![0; outbound.sealed_len(payload.len())];
//! buffer[outbound.header_len()..][..payload.len()].copy_from_slice(payload);
//!
//! let sequence = outbound.reserve(1)?.next().expect("one was reserved");
//! let len = outbound.seal(sequence, &mut buffer, payload.len(), 4)?;
//!
//! let opened = inbound.open(&mut buffer[..len])?;
//! assert_eq!(&buffer[opened.range], payload);
//! assert_eq!(opened.next_header, 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod drop_reason;
pub mod ecn;
#[doc(hidden)]
pub mod fuzzing;
pub mod inner;
pub mod mtu;
pub mod packet;
pub mod replay;
pub mod sa;
pub mod secret;
pub mod selector;
pub mod suite;
pub mod table;
mod transform;
pub mod udp_encap;
pub mod udp_transport;

pub use drop_reason::DropReason;
pub use sa::{
    InboundConfig, InboundSa, Opened, OutboundConfig, OutboundSa, SaError, SaKeys, Segment, Sequence, SequenceRange,
};
pub use suite::{AesBits, Integ, Spi, Suite, Transform};
