//! Security associations: [`OutboundSa`] seals, [`InboundSa`] opens.
//!
//! An outbound SA is shared by all workers: everything in it is fixed except one atomic sequence counter. An inbound SA is
//! owned by one worker, so its replay window needs no lock. Neither allocates, locks, logs or reads a clock per packet.
//!
//! Does not: know peers, addresses, lifetimes in seconds or octets. Those are the data plane's.

mod inbound;
mod outbound;

pub use inbound::{InboundConfig, InboundSa, Opened};
pub use outbound::{OutboundConfig, OutboundSa, Segment, Sequence, SequenceRange};

use crate::secret::Secret;
use crate::suite::{Spi, Transform};

/// Keys of one direction, in the order in which RFC 7296 section 2.17 takes them from KEYMAT.
pub struct SaKeys {
    /// Encryption key; with an AEAD transform followed by the 4 octet salt.
    pub encr: Secret,
    /// Integrity key; empty with an AEAD transform.
    pub integ: Secret,
}

/// Why an SA cannot be made of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SaError {
    /// SPIs up to 255 are reserved, RFC 4303 section 2.1.
    #[error("SPI {0} is reserved")]
    ReservedSpi(Spi),
    /// The encryption key, with its salt, does not have the length of the transform.
    #[error("encryption key of {got} octets where {transform} takes {wanted}")]
    EncryptionKey {
        /// The transform that was asked for.
        transform: Transform,
        /// Octets given.
        got: usize,
        /// Octets needed.
        wanted: usize,
    },
    /// The integrity key does not have the length of the transform.
    #[error("integrity key of {got} octets where {transform} takes {wanted}")]
    IntegrityKey {
        /// The transform that was asked for.
        transform: Transform,
        /// Octets given.
        got: usize,
        /// Octets needed.
        wanted: usize,
    },
    /// The replay window is not a multiple of 64 within [`crate::replay::MIN_WINDOW`] and [`crate::replay::MAX_WINDOW`].
    #[error("replay window of {0} packets is not a multiple of 64 between 64 and 65536")]
    Window(u32),
}

fn check(spi: Spi, transform: Transform, keys: &SaKeys) -> Result<(), SaError> {
    if !spi.is_usable() {
        return Err(SaError::ReservedSpi(spi));
    }
    let (got, wanted) = (keys.encr.len(), transform.encr_key_len());
    if got != wanted {
        return Err(SaError::EncryptionKey { transform, got, wanted });
    }
    let (got, wanted) = (keys.integ.len(), transform.integ_key_len());
    if got != wanted {
        return Err(SaError::IntegrityKey { transform, got, wanted });
    }
    Ok(())
}
