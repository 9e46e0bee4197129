//! The L2TP header (RFC 2661 section 3.1), of control and of data messages.
//!
//! Does not: read what follows it, see [`message`](crate::message) and [`data`](crate::data).

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use std::ops::Range;

use crate::error::Malformed;

/// The T bit: a control message.
pub const FLAG_CONTROL: u16 = 0x8000;
/// The L bit: the Length field is present.
pub const FLAG_LENGTH: u16 = 0x4000;
/// The S bit: Ns and Nr are present.
pub const FLAG_SEQUENCE: u16 = 0x0800;
/// The O bit: the Offset Size field is present.
pub const FLAG_OFFSET: u16 = 0x0200;
/// The P bit: a data message to be preferred in queues. We do not set it and do not heed it.
pub const FLAG_PRIORITY: u16 = 0x0100;
/// L2TP as in RFC 2661, in the low four bits of the flags.
pub const VERSION: u16 = 2;

const VERSION_MASK: u16 = 0x000f;

/// Octets of the header of a control message; a message of just these is a ZLB acknowledgement.
pub const CONTROL_HEADER_LEN: usize = 12;

/// The two sequence numbers. In data messages Nr means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The number of this message.
    pub ns: u16,
    /// The number of the message that is expected next.
    pub nr: u16,
}

/// A parsed header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether this is a control message.
    pub control: bool,
    /// The receiver's id of the tunnel; 0 while the sender does not know it.
    pub tunnel: u16,
    /// The receiver's id of the session; 0 for the tunnel itself, or while the sender does not know it.
    pub session: u16,
    /// Sequence numbers; always there in control messages.
    pub sequence: Option<Sequence>,
}

impl Header {
    /// Reads the header; the range is what follows it, cut where the Length field says.
    ///
    /// Reserved bits are ignored (RFC 2661 section 3.1).
    ///
    /// # Errors
    /// Another version, a control message without Length and sequence numbers or with an offset, or fields that reach
    /// beyond the datagram.
    #[inline]
    pub fn parse(datagram: &[u8]) -> Result<(Self, Range<usize>), Malformed> {
        let mut cursor = Cursor { rest: datagram };
        let flags = cursor.u16()?;
        if flags & VERSION_MASK != VERSION {
            return Err(Malformed("not L2TP version 2"));
        }
        let control = flags & FLAG_CONTROL != 0;
        let mut end = datagram.len();
        if control && flags & (FLAG_LENGTH | FLAG_SEQUENCE | FLAG_OFFSET) != FLAG_LENGTH | FLAG_SEQUENCE {
            return Err(Malformed("flags of a control message"));
        }
        if flags & FLAG_LENGTH != 0 {
            end = usize::from(cursor.u16()?);
            let after = end.checked_sub(4).and_then(|after| cursor.rest.get(..after));
            cursor.rest = after.ok_or(Malformed("length field"))?;
        }
        let (tunnel, session) = (cursor.u16()?, cursor.u16()?);
        let sequence =
            if flags & FLAG_SEQUENCE == 0 { None } else { Some(Sequence { ns: cursor.u16()?, nr: cursor.u16()? }) };
        if flags & FLAG_OFFSET != 0 {
            let offset = usize::from(cursor.u16()?);
            cursor.rest = cursor.rest.get(offset..).ok_or(Malformed("offset field"))?;
        }
        let start = end.checked_sub(cursor.rest.len()).ok_or(Malformed("length field"))?;
        Ok((Self { control, tunnel, session, sequence }, start..end))
    }

    /// The header of a control message that is followed by `payload_len` octets.
    ///
    /// # Errors
    /// The message would be longer than its Length field can say.
    pub fn control(
        tunnel: u16,
        session: u16,
        sequence: Sequence,
        payload_len: usize,
    ) -> Result<[u8; CONTROL_HEADER_LEN], Malformed> {
        let length = payload_len.checked_add(CONTROL_HEADER_LEN).and_then(|length| u16::try_from(length).ok());
        let [l0, l1] = length.ok_or(Malformed("message too long"))?.to_be_bytes();
        let [f0, f1] = (FLAG_CONTROL | FLAG_LENGTH | FLAG_SEQUENCE | VERSION).to_be_bytes();
        let ([t0, t1], [s0, s1]) = (tunnel.to_be_bytes(), session.to_be_bytes());
        let ([n0, n1], [r0, r1]) = (sequence.ns.to_be_bytes(), sequence.nr.to_be_bytes());
        Ok([f0, f1, l0, l1, t0, t1, s0, s1, n0, n1, r0, r1])
    }
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    #[inline]
    fn u16(&mut self) -> Result<u16, Malformed> {
        let (octets, rest) = self.rest.split_first_chunk::<2>().ok_or(Malformed("truncated header"))?;
        self.rest = rest;
        Ok(u16::from_be_bytes(*octets))
    }
}
