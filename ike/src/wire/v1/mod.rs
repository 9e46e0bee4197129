//! The messages of IKEv1: RFC 2408 section 3, RFC 2407 section 4.6, RFC 3947, and the Mode Config and fragmentation
//! payloads that clients send and no RFC describes.
//!
//! [`Payloads`] parses a chain, plain or decrypted; [`MessageBuilder`] and [`ChainBuilder`] go the other way. What an
//! exchange hashes or echoes byte for byte is kept as bytes: SA bodies, transforms, identifications.
//!
//! As real clients demand, reserved fields are ignored wherever they stand, and bytes after the last payload are padding,
//! whatever they are (RFC 2408 section 3.6 knows only zeros).
//!
//! Does not: decrypt, verify hashes, reassemble fragments, or judge whether a payload is expected.

mod attribute;
mod builder;
mod cert;
mod configuration;
mod delete;
mod fragment;
mod header;
mod id;
mod nat;
mod notify;
pub mod num;
mod opaque;
mod payload;
mod sa;
mod vendor_id;

pub use attribute::{Attribute, Attributes, Value};
pub use builder::{Chain, ChainBuilder, MessageBuilder};
pub use cert::{Certificate, CertificateRequest};
pub use configuration::Configuration;
pub use delete::Delete;
pub use fragment::Fragment;
pub use header::{Flags, Header};
pub use id::Identification;
pub use nat::{NatDetection, NatNumbering, NatOriginalAddress};
pub use notify::Notify;
pub use opaque::{Hash, KeyExchange, Nonce, Signature};
pub use payload::{Entry, Payload, Payloads, Unknown};
pub use sa::{Proposal, SecurityAssociation, Transform};
pub use vendor_id::{VendorId, vid};
