//! Entrances for the fuzz targets and for the replay of their corpus.
//!
//! Each function takes any bytes and panics if a property does not hold: parsing never panics, and what was parsed can
//! be emitted and parsed again to the same value. It is not part of the public interface of the crate.

use crate::auth::eap;
use crate::frame::{self, Head};
use crate::option::{MAX_BODY, OptionWriter, Options};
use crate::packet::Packet;

/// The head of a frame, and the control packet in it.
pub fn frame(frame: &[u8]) {
    let Ok((protocol, offset)) = frame::parse(frame) else { return };
    let information = frame.get(offset..).expect("the head is part of the frame");
    for (short, omit) in [(false, false), (false, true), (true, false), (true, true)] {
        let again = [Head::shortest(protocol, short, omit).as_slice(), information].concat();
        let (parsed, offset) = frame::parse(&again).expect("valid");
        assert_eq!((parsed, again.get(offset..)), (protocol, Some(information)));
    }
    let Ok(packet) = Packet::parse(information) else { return };
    assert_eq!(Packet::parse(&packet.emit()), Ok(packet));
}

/// The options of a Configure packet.
pub fn options(data: &[u8]) {
    let Ok(options) = Options::parse(data) else { return };
    assert!(options.is_subsequence_of(&options));
    let mut out = OptionWriter::new();
    let all = options.iter().all(|option| out.push(option.kind, option.data));
    assert_eq!(all, data.len() <= MAX_BODY);
    assert!(out.as_slice().len() <= MAX_BODY);
    if all {
        assert_eq!(out.as_slice(), data);
    }
}

/// An EAP packet, and the MSCHAPv2 payload in it.
pub fn eap(bytes: &[u8]) {
    let Ok(packet) = eap::Packet::parse(bytes) else { return };
    let emitted = packet.emit().expect("not longer than what was parsed");
    assert_eq!(eap::Packet::parse(&emitted), Ok(packet));
    let mut out = Vec::new();
    match packet {
        eap::Packet::Request { method: eap::EapType::MSCHAPV2, data, .. } => {
            let Ok(request) = eap::MsChapRequest::parse(data) else { return };
            request.emit(&mut out);
            assert_eq!(eap::MsChapRequest::parse(&out), Ok(request));
        }
        eap::Packet::Response { method: eap::EapType::MSCHAPV2, data, .. } => {
            let Ok(response) = eap::MsChapResponse::parse(data) else { return };
            response.emit(&mut out);
            assert_eq!(eap::MsChapResponse::parse(&out), Ok(response));
        }
        _ => {}
    }
}

/// A gateway's and a client's end of a link, which do what the bytes say.
pub fn link(script: &[u8]) {
    crate::testing::play(script);
}
