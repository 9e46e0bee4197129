//! Sans-IO ESP (RFC 4303) in tunnel mode: seal and open in place, anti-replay, UDP encapsulation, selectors.
//!
//! ```text
//! in:   datagram -> udp_encap::classify -> table::SaTable -> InboundSa::open -> inner::tunnel_payload -> SelectorSet -> TUN
//! out:  TUN -> selector -> OutboundSa::reserve -> OutboundSa::seal (or seal_batch) -> datagram
//! ```

pub mod drop_reason;
pub mod ecn;
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

pub use drop_reason::DropReason;
pub use sa::{
    InboundConfig, InboundSa, Opened, OutboundConfig, OutboundSa, SaError, SaKeys, Segment, Sequence, SequenceRange,
};
pub use suite::{AesBits, Integ, Spi, Suite, Transform};
