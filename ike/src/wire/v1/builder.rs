//! Assembles payloads into a chain, and a chain into a message.
//!
//! [`MessageBuilder`] makes a plain message. [`ChainBuilder`] makes what is encrypted: in phase 2 the chain is hashed, gets
//! the HASH payload in front, is padded, encrypted, and put behind a header by [`Header::message`].

use super::num::PayloadType;
use super::{Hash, Header, Payload};
use crate::wire::links::{Around, Links, finish_message};
use crate::wire::{TooLong, Writer};

/// Builds a chain of payloads without a header.
#[derive(Debug, Default)]
pub struct ChainBuilder {
    links: Links<PayloadType>,
    out: Writer,
}

/// Builds a message that is not encrypted.
#[derive(Debug)]
pub struct MessageBuilder {
    links: Links<PayloadType>,
    out: Writer,
}

/// A chain of payloads, ready to be hashed or encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The type of the first payload, for the header; absent in an empty chain.
    pub first: Option<PayloadType>,
    /// The payloads.
    pub bytes: Vec<u8>,
}

impl ChainBuilder {
    /// An empty chain.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a payload.
    pub fn push(&mut self, payload: &Payload<'_>) -> &mut Self {
        push(&mut self.links, payload, &mut self.out);
        self
    }

    /// The chain.
    ///
    /// # Errors
    /// If something was too long for its length field.
    pub fn finish(self) -> Result<Chain, TooLong> {
        Ok(Chain { first: self.links.first, bytes: self.out.finish()? })
    }
}

impl Chain {
    /// The chain behind a HASH payload, whose value was computed over [`Chain::bytes`]: RFC 2409 sections 5.5 and 5.7.
    ///
    /// # Errors
    /// If the hash is too long for its length field.
    pub fn behind_hash(&self, hash: &[u8]) -> Result<Self, TooLong> {
        let mut links = Links::default();
        let mut out = Writer::new();
        push(&mut links, &Payload::Hash(Hash(hash)), &mut out);
        out.patch_u8(0, PayloadType::to_next(self.first));
        out.bytes(&self.bytes);
        Ok(Self { first: links.first, bytes: out.finish()? })
    }

    /// Appends zeros up to a multiple of `block`, RFC 2409 section 5 and appendix B.
    pub fn pad(&mut self, block: usize) {
        let padded = self.bytes.len().checked_next_multiple_of(block).unwrap_or(self.bytes.len());
        self.bytes.resize(padded, 0);
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
        push(&mut self.links, payload, &mut self.out);
        self
    }

    /// The message with its length filled in.
    ///
    /// # Errors
    /// If something was too long for its length field, or the whole for a datagram.
    pub fn finish(self) -> Result<Vec<u8>, TooLong> {
        finish_message(self.out, PayloadType::to_next(self.links.first))
    }
}

fn push(links: &mut Links<PayloadType>, payload: &Payload<'_>, out: &mut Writer) {
    let kind = payload.kind();
    let around = Around { kind: (kind, kind.0), next: 0, flags: 0 };
    links.push(around, out, |out| payload.emit(out));
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
    use crate::wire::IkeSpi;
    use crate::wire::header::HEADER_LEN;
    use crate::wire::num::ExchangeType;
    use crate::wire::v1::{Flags, Nonce, VendorId};

    const HEADER: Header = Header {
        initiator_cookie: IkeSpi([1; 8]),
        responder_cookie: None,
        next_payload: None,
        minor_version: 0,
        exchange: ExchangeType::IDENTITY_PROTECTION,
        flags: Flags::NONE,
        message_id: 0,
    };

    #[test]
    fn links_payloads_and_fills_in_lengths() {
        let mut builder = MessageBuilder::new(&HEADER);
        builder.push(&Payload::Nonce(Nonce(&[7; 8]))).push(&Payload::VendorId(VendorId(b"v")));
        let message = builder.finish().expect("short");
        let header = Header::parse(&message).expect("valid");
        assert_eq!(header, Header { next_payload: Some(PayloadType::NONCE), ..HEADER });
        assert_eq!(message[HEADER_LEN..HEADER_LEN + 4], [13, 0, 0, 12]);
        assert_eq!(message[HEADER_LEN + 12..], [0, 0, 0, 5, b'v']);
    }

    #[test]
    fn puts_a_hash_in_front_and_pads() {
        let mut builder = ChainBuilder::new();
        builder.push(&Payload::VendorId(VendorId(b"v")));
        let rest = builder.finish().expect("short");
        let mut chain = rest.behind_hash(&[9; 4]).expect("short");
        assert_eq!(chain.first, Some(PayloadType::HASH));
        assert_eq!(chain.bytes, [13, 0, 0, 8, 9, 9, 9, 9, 0, 0, 0, 5, b'v']);
        chain.pad(8);
        assert_eq!(chain.bytes[13..], [0, 0, 0]);
        chain.pad(8);
        assert_eq!(chain.bytes.len(), 16);
    }

    #[test]
    fn puts_a_hash_in_front_of_nothing() {
        let alone = ChainBuilder::new().finish().expect("short").behind_hash(&[9]).expect("short");
        assert_eq!(alone, Chain { first: Some(PayloadType::HASH), bytes: vec![0, 0, 0, 5, 9] });
    }

    #[test]
    fn refuses_what_is_too_long() {
        let big = vec![0; 65_532];
        let mut builder = ChainBuilder::new();
        builder.push(&Payload::VendorId(VendorId(&big)));
        assert_eq!(builder.finish(), Err(TooLong));
        let mut builder = MessageBuilder::new(&HEADER);
        builder.push(&Payload::VendorId(VendorId(&big[..65_520])));
        assert_eq!(builder.finish(), Err(TooLong));
    }
}
