//! Wire formats of IKE: bytes become typed values, and typed values become bytes.
//!
//! [`v2`] and [`v1`] have a namespace of payloads each; header fields, generic payload headers, the writer and the list of
//! reasons are shared. [`Version::peek`](header::Version::peek) tells which of them a datagram belongs to.
//!
//! A value that exists is well formed: lengths, counts and fixed fields were checked by its `parse`. Numbers of the
//! IANA registries survive even if we do not know them (see [`num`]). Parsed values borrow from the datagram. Every
//! parser has its `emit` beside it; `parse(emit(x)) == x`.
//!
//! Bits that the RFC reserves are ignored on receipt and sent as zero (RFC 7296 section 2.5). Limits on counts and sizes
//! are in [`limits`].
//!
//! Does not: decrypt (see the SK key of the crypto module), judge whether a payload is expected, choose algorithms, or
//! keep state.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

pub mod chain;
pub mod header;
pub mod limits;
mod links;
mod malformed;
pub mod num;
mod spi;
#[cfg(test)]
#[allow(clippy::expect_used, clippy::indexing_slicing)]
mod testing;
pub mod v1;
pub mod v2;
mod writer;

pub use malformed::Malformed;
pub use spi::{EspSpi, IkeSpi};
pub use writer::{TooLong, Writer};

/// Result of the nom parsers inside this module; nom's own error carries nothing that we would tell anybody.
type Parsed<'a, T> = nom::IResult<&'a [u8], T, ()>;
