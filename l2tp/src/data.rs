//! Data messages (RFC 2661 sections 3.1 and 5.4): the packet path's view of a UDP payload on port 1701.
//!
//! [`parse`] takes the header in all its forms, with and without the Length, Sequence and Offset fields, and says where the
//! PPP frame is. [`header`] makes the one form that we send: Length present, nothing else. Nothing is allocated or copied.
//!
//! Does not: know sessions, order packets by their sequence numbers, or read the PPP frame.

use std::ops::Range;

use crate::error::Malformed;
use crate::header::{FLAG_LENGTH, FLAG_SEQUENCE, Header, VERSION};

/// The UDP port of L2TP (RFC 2661 section 8.1). The gateway answers from no other.
pub const PORT: u16 = 1701;

/// Octets of the header that [`header`] makes.
pub const HEADER_LEN: usize = 8;

/// Octets of the header that [`sequenced_header`] makes.
pub const SEQUENCED_HEADER_LEN: usize = 12;

/// What the header of a data message says to its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHeader {
    /// The tunnel, by the id that its receiver assigned.
    pub tunnel: u16,
    /// The session, by the id that its receiver assigned.
    pub session: u16,
    /// The sequence number, if the sender puts one in. Gaps and disorder are no fault (RFC 2661 section 5.4).
    pub ns: Option<u16>,
}

/// Whether a UDP payload is a control message, by the T bit of its first octet. An empty one is not.
#[must_use]
#[inline]
pub fn is_control(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|octet| octet & 0x80 != 0)
}

/// Reads the header of a data message; the range is the PPP frame within `datagram`.
///
/// A Length field that is smaller than the datagram cuts it.
///
/// # Errors
/// The datagram is a control message, of another version, or shorter than its fields say.
#[inline]
pub fn parse(datagram: &[u8]) -> Result<(DataHeader, Range<usize>), Malformed> {
    let (header, payload) = Header::parse(datagram)?;
    if header.control {
        return Err(Malformed("a control message where data was expected"));
    }
    let Header { tunnel, session, sequence, .. } = header;
    Ok((DataHeader { tunnel, session, ns: sequence.map(|sequence| sequence.ns) }, payload))
}

/// The header before a PPP frame of `payload_len` octets, with the ids that the peer assigned.
///
/// A UDP payload has at most 65,507 octets, so longer frames cannot be sent; the Length field saturates for them.
#[must_use]
#[inline]
pub fn header(peer_tunnel: u16, peer_session: u16, payload_len: u16) -> [u8; HEADER_LEN] {
    let [f0, f1] = (FLAG_LENGTH | VERSION).to_be_bytes();
    let [l0, l1] = payload_len.saturating_add(8).to_be_bytes();
    let [t0, t1] = peer_tunnel.to_be_bytes();
    let [s0, s1] = peer_session.to_be_bytes();
    [f0, f1, l0, l1, t0, t1, s0, s1]
}

/// The same as [`header`] for a peer that demands sequence numbers (RFC 2661 section 4.4.6, Sequencing Required).
#[must_use]
#[inline]
pub fn sequenced_header(peer_tunnel: u16, peer_session: u16, ns: u16, payload_len: u16) -> [u8; SEQUENCED_HEADER_LEN] {
    let [f0, f1] = (FLAG_LENGTH | FLAG_SEQUENCE | VERSION).to_be_bytes();
    let [l0, l1] = payload_len.saturating_add(12).to_be_bytes();
    let [t0, t1] = peer_tunnel.to_be_bytes();
    let [s0, s1] = peer_session.to_be_bytes();
    let [n0, n1] = ns.to_be_bytes();
    [f0, f1, l0, l1, t0, t1, s0, s1, n0, n1, 0, 0]
}

/// Overwrites the sequence number of a data message that has the form of [`sequenced_header`]; others stay as they are.
///
/// Frames of the control plane and of the packet path share one numbering; whoever sends both gives the numbers.
#[inline]
pub fn set_ns(datagram: &mut [u8], ns: u16) {
    let flags = (FLAG_LENGTH | FLAG_SEQUENCE | VERSION).to_be_bytes();
    if datagram.starts_with(&flags)
        && let Some(field) = datagram.get_mut(8..10)
    {
        field.copy_from_slice(&ns.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tunnel 7, session 9, and a frame of three octets, in the eight forms of the header.
    fn forms() -> Vec<(Vec<u8>, Option<u16>)> {
        let mut forms = Vec::new();
        for bits in 0..8 {
            let (length, sequence, offset) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            let (l, s, o) = (u16::from(length) << 14, u16::from(sequence) << 11, u16::from(offset) << 9);
            let mut message = (VERSION | l | s | o).to_be_bytes().to_vec();
            if length {
                message.extend([0, 0]);
            }
            message.extend([0, 7, 0, 9]);
            if sequence {
                message.extend([0x12, 0x34, 0, 0]);
            }
            if offset {
                message.extend([0, 5, 0xde, 0xad, 0xbe, 0xef, 0xff]);
            }
            message.extend([0xc0, 0x21, 1]);
            if length {
                let total = u16::try_from(message.len()).expect("short").to_be_bytes();
                message[2..4].copy_from_slice(&total);
            }
            forms.push((message, sequence.then_some(0x1234)));
        }
        forms
    }

    #[test]
    fn finds_the_frame_behind_every_combination_of_length_sequence_and_offset() {
        for (message, ns) in forms() {
            let (header, frame) = parse(&message).expect("valid");
            assert_eq!(header, DataHeader { tunnel: 7, session: 9, ns }, "{message:02x?}");
            assert_eq!(&message[frame], [0xc0, 0x21, 1], "{message:02x?}");
        }
    }

    #[test]
    fn takes_ff_03_and_protocols_of_one_and_two_octets_as_frame() {
        for frame in [&[0xff, 0x03, 0xc0, 0x21, 1][..], &[0xff, 0x03, 0x21, 0x45], &[0xc0, 0x21, 1], &[0x21, 0x45]] {
            let length = u16::try_from(frame.len()).expect("short");
            let message = [&header(7, 9, length)[..], frame].concat();
            let (_, range) = parse(&message).expect("valid");
            assert_eq!(&message[range], frame);
        }
    }

    #[test]
    fn a_short_length_field_cuts_and_a_long_one_is_refused() {
        let mut message = [&header(7, 9, 3)[..], &[0xc0, 0x21, 1, 0xaa, 0xbb]].concat();
        assert_eq!(parse(&message).expect("valid").1, 8..11);
        message[3] = 14;
        assert!(parse(&message).is_err(), "longer than the datagram");
        message[3] = 7;
        assert!(parse(&message).is_err(), "shorter than the header");
    }

    #[test]
    fn every_truncation_is_refused_or_cut_to_a_shorter_frame() {
        for (message, _) in forms() {
            let has_length = message[0] & 0x40 != 0;
            let start = parse(&message).expect("valid").1.start;
            for n in 0..message.len() {
                let parsed = parse(&message[..n]);
                assert_eq!(parsed.is_ok(), !has_length && n >= start, "{n} of {message:02x?}");
            }
        }
    }

    #[test]
    fn our_headers_parse() {
        let plain = header(0x0102, 0x0304, 0);
        assert_eq!(plain, [0x40, 2, 0, 8, 1, 2, 3, 4]);
        assert_eq!(parse(&plain), Ok((DataHeader { tunnel: 0x0102, session: 0x0304, ns: None }, 8..8)));
        let mut numbered = sequenced_header(0x0102, 0x0304, 1, 0);
        assert_eq!(numbered, [0x48, 2, 0, 12, 1, 2, 3, 4, 0, 1, 0, 0]);
        set_ns(&mut numbered, 0xffff);
        assert_eq!(parse(&numbered), Ok((DataHeader { tunnel: 0x0102, session: 0x0304, ns: Some(0xffff) }, 12..12)));
    }

    #[test]
    fn leaves_messages_without_our_sequence_field_alone() {
        let mut plain = [&header(1, 2, 4)[..], &[1, 2, 3, 4]].concat();
        let before = plain.clone();
        set_ns(&mut plain, 77);
        assert_eq!(plain, before);
    }

    #[test]
    fn control_messages_and_other_versions_are_not_data() {
        assert!(parse(&[0xc8, 2, 0, 12, 0, 1, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(parse(&[0x40, 3, 0, 8, 0, 1, 0, 1]).is_err(), "L2TPv3");
        assert!(is_control(&[0xc8]) && !is_control(&[0x40]) && !is_control(&[]));
    }
}
