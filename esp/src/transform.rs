//! Transforms: one enum over what can protect a packet, dispatched once per packet or group.
//!
//! Which implementation serves which transform is decided here and in [`mac`] alone:
//!
//! | transform | implementation |
//! |---|---|
//! | AES-GCM-128, AES-GCM-256, ChaCha20-Poly1305 | ring |
//! | AES-GCM-192, which ring lacks | aes-gcm |
//! | AES-CBC | aes, cbc; several packets side by side: [`cbc`] |
//! | 3DES-CBC | des, cbc: [`triple_des`] |
//! | HMAC-SHA1 | hmac with sha1, which uses the SHA instructions where ring does not |
//! | HMAC-SHA2 | ring; HMAC-SHA-256 of two packets of a batch at once: [`sha256_pair`] |
//!
//! Does not: check sequence numbers, fill in or judge padding. Those are of [`crate::sa`].

mod aead;
mod cbc;
mod mac;
mod sha256_pair;
mod triple_des;

use std::ops::Range;

use self::aead::Aead;
pub(crate) use self::cbc::LANES;
use self::cbc::{CbcOpener, CbcSealer};
use self::triple_des::{TripleDesOpener, TripleDesSealer};
use crate::drop_reason::DropReason;
use crate::sa::{SaKeys, Segment};
use crate::suite::{Suite, Transform};

/// Number and form of a sequence number: what of it enters the integrity check depends on ESN.
#[derive(Clone, Copy)]
pub(crate) struct SequenceInput {
    pub(crate) value: u64,
    pub(crate) esn: bool,
}

impl SequenceInput {
    /// The half that is not in the packet but authenticated, RFC 4303 section 2.2.1; `None` without ESN.
    fn hidden_half(self) -> Option<[u8; 4]> {
        let [a, b, c, d, ..] = self.value.to_be_bytes();
        self.esn.then_some([a, b, c, d])
    }
}

/// The sending half of a transform. The key schedules are boxed: they are large and of unlike size.
pub(crate) enum Sealer {
    Aead(Box<Aead>),
    Cbc(Box<CbcSealer>),
    TripleDes(Box<TripleDesSealer>),
}

impl Sealer {
    /// The key lengths must be those of the transform.
    pub(crate) fn new(transform: Transform, keys: &SaKeys) -> Self {
        match transform {
            Transform::AesGcm16(bits) => Self::Aead(Box::new(Aead::aes_gcm(bits, keys.encr.expose()))),
            Transform::ChaCha20Poly1305 => Self::Aead(Box::new(Aead::chacha20_poly1305(keys.encr.expose()))),
            Transform::AesCbc(bits, integ) => Self::Cbc(Box::new(CbcSealer::new(bits, integ, keys))),
            Transform::TripleDesCbc(integ) => Self::TripleDes(Box::new(TripleDesSealer::new(integ, keys))),
        }
    }

    /// Fills in IV and ICV and encrypts what is between. SPI, sequence number, payload and trailer are in place.
    pub(crate) fn seal(&self, sequence: SequenceInput, packet: &mut [u8]) {
        match self {
            Self::Aead(aead) => aead.seal(sequence, packet),
            Self::Cbc(cbc) => cbc.seal(sequence, packet),
            Self::TripleDes(des) => des.seal(sequence, packet),
        }
    }

    /// The same for up to [`LANES`] segments with consecutive sequence numbers from `first`.
    pub(crate) fn seal_group(&self, first: SequenceInput, suite: Suite, buffer: &mut [u8], group: &[Segment]) {
        let sealed_len = |segment: &Segment| {
            suite.transform.sealed_len(segment.payload_len).expect("the layout of the batch was checked")
        };
        match self {
            Self::Cbc(cbc) if group.len() > 1 => cbc.seal_group(first, buffer, group, sealed_len),
            _ => {
                for (segment, value) in group.iter().zip(first.value..) {
                    let packet = &mut buffer[segment.offset..][..sealed_len(segment)];
                    self.seal(SequenceInput { value, ..first }, packet);
                }
            }
        }
    }
}

/// The receiving half of a transform.
pub(crate) enum Opener {
    Aead(Box<Aead>),
    Cbc(Box<CbcOpener>),
    TripleDes(Box<TripleDesOpener>),
}

impl Opener {
    /// The key lengths must be those of the transform.
    pub(crate) fn new(transform: Transform, keys: &SaKeys) -> Self {
        match transform {
            Transform::AesGcm16(bits) => Self::Aead(Box::new(Aead::aes_gcm(bits, keys.encr.expose()))),
            Transform::ChaCha20Poly1305 => Self::Aead(Box::new(Aead::chacha20_poly1305(keys.encr.expose()))),
            Transform::AesCbc(bits, integ) => Self::Cbc(Box::new(CbcOpener::new(bits, integ, keys))),
            Transform::TripleDesCbc(integ) => Self::TripleDes(Box::new(TripleDesOpener::new(integ, keys))),
        }
    }

    /// Verifies the ICV, then decrypts in place. Returns where the decrypted octets are, padding and trailer included.
    ///
    /// `packet` has at least the minimum length of the transform.
    pub(crate) fn open(&self, sequence: SequenceInput, packet: &mut [u8]) -> Result<Range<usize>, DropReason> {
        match self {
            Self::Aead(aead) => aead.open(sequence, packet),
            Self::Cbc(cbc) => cbc.open(sequence, packet),
            Self::TripleDes(des) => des.open(sequence, packet),
        }
    }
}
