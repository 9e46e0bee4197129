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
        let (after, (next, flags, length)) = generic_header(self.rest).map_err(|_| Malformed::PayloadHeader)?;
        let body_len = usize::from(length).checked_sub(GENERIC_HEADER_LEN).ok_or(Malformed::PayloadLength)?;
        let (rest, body) = body(after, body_len).map_err(|_| Malformed::PayloadLength)?;
        let offset = self.total.saturating_sub(after.len());
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

fn generic_header(input: &[u8]) -> Parsed<'_, (u8, u8, u16)> {
    (be_u8, be_u8, be_u16).parse(input)
}

fn body(input: &[u8], len: usize) -> Parsed<'_, &[u8]> {
    take(len).parse(input)
}
