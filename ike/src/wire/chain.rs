//! The chain of payloads, RFC 7296 section 3.2: generic payload headers, one after the other.
//!
//! Each header names the type of the payload that follows it. The encrypted payloads of IKEv2 are always the last of
//! their chain: their Next Payload field names the first payload inside them (RFC 7296 section 3.14).
//!
//! Does not: look into the bodies.

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};

use super::limits::MAX_PAYLOADS;
use super::num::PayloadType;
use super::{Malformed, Parsed};

/// Length of the generic payload header in bytes.
pub const GENERIC_HEADER_LEN: usize = 4;

pub(super) const CRITICAL: u8 = 0x80;

/// One payload whose body is still bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawPayload<'a> {
    /// What the previous header (or the IKE header) says this payload is.
    pub kind: PayloadType,
    /// The Next Payload field; for an encrypted payload the type of the first one inside it.
    pub next: Option<PayloadType>,
    /// The sender demands that the message is rejected if the type is unknown. Reserved in IKEv1.
    pub critical: bool,
    /// Where the body begins, in bytes from the start of the chain.
    pub offset: usize,
    /// What follows the generic header.
    pub body: &'a [u8],
}

/// Iterates over the payloads of a chain. After an error it yields nothing more.
#[derive(Clone, Debug)]
pub struct Chain<'a> {
    next: Option<PayloadType>,
    rest: &'a [u8],
    total: usize,
    left: usize,
}

impl<'a> Chain<'a> {
    /// The chain in `bytes`, whose first payload has the type `first`.
    pub fn new(first: Option<PayloadType>, bytes: &'a [u8]) -> Self {
        Self { next: first, rest: bytes, total: bytes.len(), left: MAX_PAYLOADS }
    }

    fn step(&mut self, kind: PayloadType) -> Result<RawPayload<'a>, Malformed> {
        self.left = self.left.checked_sub(1).ok_or(Malformed::TooManyPayloads)?;
        let Link { next, flags, body, rest } = Link::split(self.rest)?;
        let offset = self.total.saturating_sub(self.rest.len()).saturating_add(GENERIC_HEADER_LEN);
        let next = PayloadType::from_next(next);
        self.next = next.filter(|_| !kind.ends_chain());
        self.rest = rest;
        Ok(RawPayload { kind, next, critical: flags & CRITICAL != 0, offset, body })
    }
}

impl<'a> Iterator for Chain<'a> {
    type Item = Result<RawPayload<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = match self.next {
            Some(kind) => self.step(kind),
            None if self.rest.is_empty() => return None,
            None => Err(Malformed::TrailingBytes),
        };
        if result.is_err() {
            (self.next, self.rest) = (None, &[]);
        }
        Some(result)
    }
}

/// One payload cut off the front of a chain, of either version.
pub(super) struct Link<'a> {
    /// The Next Payload field.
    pub(super) next: u8,
    /// The byte after it: the critical bit in IKEv2, reserved in IKEv1.
    pub(super) flags: u8,
    /// What follows the generic header.
    pub(super) body: &'a [u8],
    /// What follows the payload.
    pub(super) rest: &'a [u8],
}

impl<'a> Link<'a> {
    /// Cuts the first payload off.
    pub(super) fn split(chain: &'a [u8]) -> Result<Self, Malformed> {
        let (after, (next, flags, length)) = generic_header(chain).map_err(|_| Malformed::PayloadHeader)?;
        let body_len = usize::from(length).checked_sub(GENERIC_HEADER_LEN).ok_or(Malformed::PayloadLength)?;
        let (rest, body) = body(after, body_len).map_err(|_| Malformed::PayloadLength)?;
        Ok(Self { next, flags, body, rest })
    }
}

fn generic_header(input: &[u8]) -> Parsed<'_, (u8, u8, u16)> {
    (be_u8, be_u8, be_u16).parse(input)
}

fn body(input: &[u8], len: usize) -> Parsed<'_, &[u8]> {
    take(len).parse(input)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;

    /// A nonce-like payload of type 40 with two bytes, then a critical one of type 200 without any.
    const TWO: &[u8] = &[200, 0, 0, 6, 0xaa, 0xbb, 0, 0x80, 0, 4];

    fn kinds(first: u8, bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
        Chain::new(PayloadType::from_next(first), bytes).map(|raw| raw.map(|raw| raw.kind.0)).collect()
    }

    #[test]
    fn walks_the_payloads_in_order() {
        let found: Vec<_> = Chain::new(Some(PayloadType::NONCE), TWO).collect::<Result<_, _>>().expect("valid");
        let first = RawPayload {
            kind: PayloadType::NONCE,
            next: Some(PayloadType(200)),
            critical: false,
            offset: 4,
            body: &[0xaa, 0xbb],
        };
        let second = RawPayload { kind: PayloadType(200), next: None, critical: true, offset: 10, body: &[] };
        assert_eq!(found, [first, second]);
    }

    #[test]
    fn accepts_no_payloads_at_all() {
        assert_eq!(kinds(0, &[]), Ok(vec![]));
    }

    #[test]
    fn rejects_every_truncation() {
        for len in 0..TWO.len() {
            assert!(kinds(40, &TWO[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn rejects_lengths_below_the_header_or_beyond_the_end() {
        for length in [0, 1, 2, 3, 5, 255] {
            assert_eq!(kinds(40, &[0, 0, 0, length]), Err(Malformed::PayloadLength), "{length}");
        }
    }

    #[test]
    fn rejects_bytes_after_the_last_payload() {
        assert_eq!(kinds(40, &[0, 0, 0, 4, 0]), Err(Malformed::TrailingBytes));
        assert_eq!(kinds(0, &[0]), Err(Malformed::TrailingBytes));
    }

    #[test]
    fn ignores_the_reserved_bits_beside_the_critical_bit() {
        let raw = Chain::new(Some(PayloadType::NONCE), &[0, 0x7f, 0, 4]).next().expect("one").expect("valid");
        assert!(!raw.critical);
    }

    #[test]
    fn ends_at_an_encrypted_payload() {
        for kind in [46, 53] {
            assert_eq!(kinds(kind, &[41, 0, 0, 5, 7]), Ok(vec![kind]));
            assert_eq!(kinds(kind, &[41, 0, 0, 5, 7, 0, 0, 0, 4]), Err(Malformed::TrailingBytes));
        }
    }

    #[test]
    fn takes_exactly_as_many_payloads_as_the_limit_says() {
        let chain = |payloads: usize| {
            let mut bytes = [43, 0, 0, 4].repeat(payloads);
            bytes[payloads * 4 - 4] = 0;
            bytes
        };
        assert_eq!(kinds(43, &chain(MAX_PAYLOADS)).map(|k| k.len()), Ok(MAX_PAYLOADS));
        assert_eq!(kinds(43, &chain(MAX_PAYLOADS + 1)), Err(Malformed::TooManyPayloads));
    }

    #[test]
    fn yields_nothing_after_an_error() {
        let mut chain = Chain::new(Some(PayloadType::NONCE), &[41, 0, 0, 3]);
        assert_eq!(chain.next(), Some(Err(Malformed::PayloadLength)));
        assert_eq!(chain.next(), None);
    }
}
