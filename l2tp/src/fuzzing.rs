//! Entrances for the fuzz targets and for the replay of their corpus.
//!
//! Each function takes any bytes and panics if a property does not hold: parsing never panics, and what was parsed can be
//! emitted and parsed again to the same value. It is not part of the public interface of the crate.

use crate::avp::{Avp, RawAvp};
use crate::data;
use crate::header::Header;
use crate::message::{Attributes, Message};
use crate::secret::Secret;

/// The header of a control or data message.
pub fn header(datagram: &[u8]) {
    let Ok((header, range)) = Header::parse(datagram) else { return };
    let payload = datagram.get(range).expect("the range lies within the datagram");
    let (true, Some(sequence)) = (header.control, header.sequence) else { return };
    let emitted = Header::control(header.tunnel, header.session, sequence, payload.len()).expect("was short enough");
    let again = [&emitted[..], payload].concat();
    assert_eq!(Header::parse(&again), Ok((header, 12..again.len())));
}

/// AVPs one after the other.
pub fn avp(mut input: &[u8]) {
    while let Ok((raw, rest)) = RawAvp::parse(input) {
        assert!(rest.len() < input.len(), "the parser does not move on");
        if let Some(Ok(avp)) = Avp::parse(raw.attribute, raw.value) {
            assert_eq!(avp.attribute(), raw.attribute);
            assert_eq!(Avp::parse(raw.attribute, &avp.value()), Some(Ok(avp)));
        }
        let mut emitted = Vec::new();
        raw.emit(&mut emitted);
        assert_eq!(RawAvp::parse(&emitted), Ok((RawAvp { reserved: false, ..raw }, &[][..])));
        input = rest;
    }
}

/// What follows the header of a control message, read with and without a secret.
pub fn message(payload: &[u8]) {
    let secret = Secret::from_slice(b"swordfish");
    for secret in [None, Some(&secret)] {
        let Ok(attributes) = Attributes::read(payload, secret) else { continue };
        let Ok(Some(message)) = Message::understand(&attributes) else { continue };
        let emitted = Attributes::read(&message.emit(), None).expect("what we emit is well formed");
        assert_eq!(Message::understand(&emitted), Ok(Some(message)));
    }
}

/// A data message, as the packet path reads it.
pub fn data(datagram: &[u8]) {
    let Ok((header, range)) = data::parse(datagram) else { return };
    assert!(!data::is_control(datagram));
    let frame = datagram.get(range).expect("the range lies within the datagram");
    let Ok(length) = u16::try_from(frame.len()) else { return };
    let again = match header.ns {
        None => [&data::header(header.tunnel, header.session, length), frame].concat(),
        Some(ns) => [&data::sequenced_header(header.tunnel, header.session, ns, length)[..], frame].concat(),
    };
    if again.len() <= usize::from(u16::MAX) {
        let start = again.len() - frame.len();
        assert_eq!(data::parse(&again), Ok((header, start..again.len())));
    }
}

/// A gateway with clients, strangers and a network, which do what the bytes say.
pub fn engine(script: &[u8]) {
    crate::testing::play(script);
}
