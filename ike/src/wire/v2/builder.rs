//! Assembles payloads into a chain, and a chain into a message.
//!
//! [`MessageBuilder`] makes a plain message. [`ChainBuilder`] makes what an SK payload encrypts, and names the type of
//! the first payload for the SK header.

use super::Payload;
use crate::wire::header::Header;
use crate::wire::links::{Around, Links, finish_message};
use crate::wire::num::PayloadType;
use crate::wire::{TooLong, Writer};

/// Builds a chain of payloads without an IKE header.
#[derive(Debug, Default)]
pub struct ChainBuilder {
    links: Links<PayloadType>,
    out: Writer,
}

/// Builds a message whose payloads are not encrypted.
#[derive(Debug)]
pub struct MessageBuilder {
    links: Links<PayloadType>,
    out: Writer,
}

impl ChainBuilder {
    /// An empty chain.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a payload. An encrypted payload has to be the last.
    pub fn push(&mut self, payload: &Payload<'_>) -> &mut Self {
        push(&mut self.links, payload, &mut self.out);
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

    /// Appends a payload. An encrypted payload has to be the last.
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
    let flags = if payload.critical() { crate::wire::chain::CRITICAL } else { 0 };
    let around = Around { kind: (kind, kind.0), next: PayloadType::to_next(payload.inner()), flags };
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
    use crate::wire::header::{Flags, HEADER_LEN, Version};
    use crate::wire::num::ExchangeType;
    use crate::wire::v2::{Delete, Encrypted, Nonce, VendorId};

    const HEADER: Header = Header {
        initiator_spi: IkeSpi([1; 8]),
        responder_spi: None,
        next_payload: None,
        version: Version::V2,
        exchange: ExchangeType::IKE_SA_INIT,
        flags: Flags { initiator: true, version: false, response: false },
        message_id: 0,
    };

    #[test]
    fn links_payloads_and_fills_in_lengths() {
        let mut builder = MessageBuilder::new(&HEADER);
        builder.push(&Payload::Nonce(Nonce(&[7; 16]))).push(&Payload::VendorId(VendorId(b"v")));
        let message = builder.finish().expect("short");
        let header = Header::parse(&message).expect("valid");
        assert_eq!(header, Header { next_payload: Some(PayloadType::NONCE), ..HEADER });
        assert_eq!(message[HEADER_LEN..HEADER_LEN + 4], [43, 0, 0, 20]);
        assert_eq!(message[HEADER_LEN + 20..], [0, 0, 0, 5, b'v']);
    }

    #[test]
    fn builds_a_message_without_payloads() {
        let stale = Header { next_payload: Some(PayloadType::NONCE), ..HEADER };
        let message = MessageBuilder::new(&stale).finish().expect("short");
        assert_eq!(Header::parse(&message), Ok(HEADER));
    }

    #[test]
    fn names_the_first_payload_of_a_chain() {
        let mut builder = ChainBuilder::new();
        builder.push(&Payload::Delete(Delete::IkeSa));
        assert_eq!(builder.finish(), Ok((Some(PayloadType::DELETE), vec![0, 0, 0, 8, 1, 0, 0, 0])));
        assert_eq!(ChainBuilder::new().finish(), Ok((None, vec![])));
    }

    #[test]
    fn lets_an_encrypted_payload_name_what_is_inside() {
        let mut builder = MessageBuilder::new(&HEADER);
        builder.push(&Payload::Encrypted(Encrypted { inner: Some(PayloadType::EAP), body: b"x" }));
        assert_eq!(builder.finish().expect("short")[HEADER_LEN..], [48, 0, 0, 5, b'x']);
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
