//! The payloads of IKEv2, RFC 7296 section 3 and RFC 7383: one file for each.
//!
//! [`Payloads`] parses a whole chain; [`Sealed`] finds the encrypted payload of a message; [`MessageBuilder`] and
//! [`ChainBuilder`] go the other way.
//!
//! Types that IKEv1 uses mean nothing here: they are [`Payload::Unknown`].

mod auth;
mod builder;
mod cert;
mod cp;
mod delete;
mod eap;
mod id;
mod ke;
mod nonce;
mod notify;
mod payload;
mod sa;
mod sealed;
mod ts;
mod vendor_id;

pub use auth::Authentication;
pub use builder::{ChainBuilder, MessageBuilder};
pub use cert::{Certificate, CertificateRequest};
pub use cp::{Configuration, CpAttribute};
pub use delete::Delete;
pub use eap::Eap;
pub use id::Identification;
pub use ke::KeyExchange;
pub use nonce::Nonce;
pub use notify::{About, Notify};
pub use payload::{Payload, PayloadError, Payloads, Unknown};
pub use sa::{Proposal, SecurityAssociation, Spi, Transform, UnknownTransform};
pub use sealed::{Encrypted, EncryptedFragment, Fragment, Sealed, fragment_prefix, sealed_prefix};
pub use ts::{AddressRange, TrafficSelector, TrafficSelectors};
pub use vendor_id::VendorId;
