//! Entrances for the fuzz targets and for the replay of their corpus.
//!
//! Each function takes any bytes and panics if a property does not hold: parsing never panics, and what was parsed can
//! be emitted and parsed again to the same value. It is not part of the public interface of the crate.

use crate::wire::header::{HEADER_LEN, Header};
use crate::wire::num::PayloadType;
use crate::wire::v1;
use crate::wire::v2::{ChainBuilder, MessageBuilder, Payload, Payloads, Sealed, fragment_prefix, sealed_prefix};
use crate::wire::{Malformed, Writer};

/// The IKE header of a message of any version.
pub fn header(message: &[u8]) {
    let Ok(header) = Header::parse_any_version(message) else {
        assert!(Header::parse(message).is_err(), "the strict parser takes more than the lenient one");
        return;
    };
    if let Ok(strict) = Header::parse(message) {
        assert_eq!(strict, header);
    }
    let mut out = Writer::new();
    header.emit(&mut out);
    let emitted = out.finish().expect("a header has no variable parts");
    assert_eq!(Header::parse_any_version(&emitted), Ok(header));
}

/// A whole message of IKEv2 as it comes from the network.
pub fn message(message: &[u8]) {
    let Ok(header) = Header::parse(message) else { return };
    let body = message.get(HEADER_LEN..).expect("the header was parsed");
    let sealed = Sealed::find(&header, message);
    if let Ok(Some(sealed)) = sealed {
        assert_sealed(&header, message, &sealed);
    }
    let Ok(payloads) = Payloads::parse(header.next_payload, body) else { return };
    assert_eq!(matches!(sealed, Ok(Some(_))), payloads.iter().any(|p| p.kind().ends_chain()));
    let mut builder = MessageBuilder::new(&header);
    for payload in &payloads {
        builder.push(payload);
    }
    let emitted = builder.finish().expect("not longer than what was parsed");
    assert_eq!(Header::parse(&emitted), Ok(header));
    assert_eq!(Payloads::parse(header.next_payload, emitted.get(HEADER_LEN..).unwrap_or_default()), Ok(payloads));
}

/// A chain of payloads as it is found inside an SK payload; the first byte is the type of the first of them.
pub fn inner(input: &[u8]) {
    let Some((&first, bytes)) = input.split_first() else { return };
    let first = PayloadType::from_next(first);
    let Ok(payloads) = Payloads::parse(first, bytes) else { return };
    let mut builder = ChainBuilder::new();
    for payload in &payloads {
        assert!(!matches!(payload, Payload::Unknown(unknown) if unknown.critical), "must have been refused");
        builder.push(payload);
    }
    let (emitted_first, emitted) = builder.finish().expect("not longer than what was parsed");
    assert_eq!(emitted_first, first);
    assert_eq!(Payloads::parse(first, &emitted), Ok(payloads));
}

/// A server with clients, strangers and a network, which do what the bytes say.
pub fn engine(script: &[u8]) {
    crate::testing::play(script);
}

/// Two gateways that are each other's site, strangers and a network, which do what the bytes say.
pub fn sites(script: &[u8]) {
    crate::testing::sites::play(script);
}

/// A whole message of IKEv1 as it comes from the network.
pub fn v1_message(message: &[u8]) {
    let Ok(header) = v1::Header::parse(message) else { return };
    let body = message.get(HEADER_LEN..).expect("the header was parsed");
    let Ok(payloads) = v1::Payloads::parse(header.next_payload, body) else { return };
    let mut builder = v1::MessageBuilder::new(&header);
    for payload in payloads.iter() {
        builder.push(payload);
    }
    let emitted = builder.finish().expect("not longer than what was parsed");
    assert_eq!(v1::Header::parse(&emitted), Ok(header));
    let again = v1::Payloads::parse(header.next_payload, emitted.get(HEADER_LEN..).unwrap_or_default());
    let again = again.expect("what was emitted can be parsed");
    assert!(again.iter().eq(payloads.iter()), "{again:?}");
    assert_eq!(emitted.len() + payloads.padding(), message.len());
    if let Some((_, rest)) = payloads.leading_hash() {
        assert!(body.len() >= rest.len() + payloads.padding());
    }
}

/// A list of data attributes of IKEv1: what a client wrote comes out as it was.
pub fn v1_attributes(bytes: &[u8]) {
    let Ok(attributes) = v1::Attributes::parse(bytes) else { return };
    assert_eq!(attributes.bytes(), bytes);
    let again = v1::Attributes::new(attributes.iter().cloned().collect());
    assert_eq!(again, attributes);
    for attribute in &attributes {
        assert!(attribute.number_u16().is_none_or(|short| attribute.number() == Some(u64::from(short))));
    }
}

/// A server with IKEv1 clients, strangers and a network, which do what the bytes say.
pub fn v1_engine(script: &[u8]) {
    crate::testing::v1::play(script);
}

/// The parts make up the message, and a message with the same body has them at the same places.
fn assert_sealed(header: &Header, message: &[u8], sealed: &Sealed<'_>) {
    assert_eq!([sealed.aad, sealed.body].concat(), message);
    assert_eq!(sealed.body_offset(), sealed.aad.len());
    let prefix = match sealed.fragment {
        None => sealed_prefix(header, sealed.inner, sealed.body.len()),
        Some(fragment) => fragment_prefix(header, sealed.inner, fragment, sealed.body.len()),
    };
    let again = [prefix.expect("not longer than what was parsed").as_slice(), sealed.body].concat();
    let parsed: Result<_, Malformed> = Header::parse(&again).and_then(|h| Sealed::find(&h, &again));
    let parsed = parsed.expect("valid").expect("has an encrypted payload");
    assert_eq!((parsed.inner, parsed.fragment, parsed.body), (sealed.inner, sealed.fragment, sealed.body));
}
