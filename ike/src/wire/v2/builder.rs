//! Assembles payloads into a chain, and a chain into a message.
//!
//! [`MessageBuilder`] makes a plain message. [`ChainBuilder`] makes what an SK payload encrypts, and names the type of
//! the first payload for the SK header.

use super::Payload;
use crate::wire::header::{Header, LENGTH_AT, NEXT_PAYLOAD_AT};
use crate::wire::limits::MAX_MESSAGE;
use crate::wire::num::PayloadType;
use crate::wire::{TooLong, Writer};

/// Builds a chain of payloads without an IKE header.
#[derive(Debug, Default)]
pub struct ChainBuilder {
    links: Links,
    out: Writer,
}

/// Builds a message whose payloads are not encrypted.
#[derive(Debug)]
pub struct MessageBuilder {
    links: Links,
    out: Writer,
}

impl ChainBuilder {
    /// An empty chain.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a payload.
    pub fn push(&mut self, payload: &Payload<'_>) -> &mut Self {
        self.links.push(payload, &mut self.out);
        self
    }

    /// The type of the first payload, absent in an empty chain, and the chain itself.
    ///
    /// # Errors
    /// If something was too long for its length field.
    pub fn finish(self) -> Result<(Option<PayloadType>, Vec<u8>), TooLong> {
        Ok((self.links.first, self.out.finish()?))
    }
}

impl MessageBuilder {
    /// A message without payloads. The field `next_payload` of the header is decided by the first payload.
    pub fn new(header: &Header) -> Self {
        let mut out = Writer::new();
        Header { next_payload: None, ..*header }.emit(&mut out);
        Self { links: Links::default(), out }
    }

    /// Appends a payload.
    pub fn push(&mut self, payload: &Payload<'_>) -> &mut Self {
        self.links.push(payload, &mut self.out);
        self
    }

    /// The message with its length filled in.
    ///
    /// # Errors
    /// If something was too long for its length field, or the whole for a datagram.
    pub fn finish(mut self) -> Result<Vec<u8>, TooLong> {
        if self.out.len() > MAX_MESSAGE {
            return Err(TooLong);
        }
        self.out.patch_u8(NEXT_PAYLOAD_AT, PayloadType::to_next(self.links.first));
        self.out.patch_len_u32(LENGTH_AT, 0);
        self.out.finish()
    }
}

/// Keeps track of the Next Payload fields.
#[derive(Debug, Default)]
struct Links {
    first: Option<PayloadType>,
    /// Offset of the Next Payload field of the last payload.
    last_next: Option<usize>,
}

impl Links {
    fn push(&mut self, payload: &Payload<'_>, out: &mut Writer) {
        let kind = payload.kind();
        match self.last_next {
            Some(at) => out.patch_u8(at, kind.0),
            None => self.first = Some(kind),
        }
        let start = out.len();
        self.last_next = Some(start);
        out.u8(PayloadType::to_next(payload.inner()));
        out.u8(if payload.critical() { crate::wire::chain::CRITICAL } else { 0 });
        out.u16(0);
        payload.emit(out);
        out.patch_len_u16(start.saturating_add(2), start);
    }
}
