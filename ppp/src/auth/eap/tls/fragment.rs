//! The Type-Data of EAP-TLS: flags, length, and a piece of a TLS message (RFC 5216 sections 3.1 and 3.2).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+ - - - - - - - - - - - - - - - +----------
//! |L M S reserved |  TLS Message Length (if L)    |  TLS Data
//! +-+-+-+-+-+-+-+-+ - - - - - - - - - - - - - - - +----------
//! ```
//!
//! [`Reassembly`] puts the client's pieces together, [`Outgoing`] cuts ours. One TLS message here is a whole flight of
//! records.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use nom::combinator::{cond, rest};
use nom::number::complete::{be_u8, be_u32};
use nom::{IResult, Parser};

use super::super::Malformed;

/// Length included.
const LENGTH: u8 = 0x80;
/// More fragments follow.
const MORE: u8 = 0x40;
/// EAP-TLS Start, requests only.
const START: u8 = 0x20;

/// Most octets of a login's TLS messages, from either side. Certificates of a usual chain need about 5000.
pub(super) const MESSAGES_MAX: usize = 64 * 1024;

/// One packet's worth of a TLS message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// Octets of the whole message.
    pub total: Option<u32>,
    /// Further fragments follow.
    pub more: bool,
    /// The server asks the client to begin.
    pub start: bool,
    /// The piece; empty in acknowledgements.
    pub data: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Type-Data that acknowledges a fragment.
    pub const ACKNOWLEDGEMENT: &'static [u8] = &[0];
    /// Type-Data that asks the client to begin.
    pub const START: &'static [u8] = &[START];

    /// Reads Type-Data. Reserved bits do not matter.
    ///
    /// # Errors
    /// If it is too short.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (_, fragment) = fragment(bytes).map_err(|_| Malformed("EAP-TLS fragment"))?;
        Ok(fragment)
    }

    /// Appends the Type-Data; [`Fragment::parse`] gives back `self`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        out.push(flag(self.total.is_some(), LENGTH) | flag(self.more, MORE) | flag(self.start, START));
        out.extend(self.total.map(u32::to_be_bytes).iter().flatten());
        out.extend(self.data);
    }
}

fn fragment(input: &[u8]) -> IResult<&[u8], Fragment<'_>> {
    let (input, flags) = be_u8(input)?;
    let (input, total) = cond(flags & LENGTH != 0, be_u32).parse(input)?;
    let (input, data) = rest(input)?;
    Ok((input, Fragment { total, more: flags & MORE != 0, start: flags & START != 0, data }))
}

/// The client's messages, piece by piece.
#[derive(Default)]
pub(super) struct Reassembly {
    /// Octets of earlier messages of this login.
    earlier: usize,
    total: Option<usize>,
    message: Vec<u8>,
}

impl Reassembly {
    /// Whether some pieces of a message are there and others have to come.
    pub(super) fn is_partial(&self) -> bool {
        !self.message.is_empty()
    }

    /// Adds a piece; gives back the message once it is complete.
    pub(super) fn take(&mut self, fragment: &Fragment<'_>) -> Result<Option<Vec<u8>>, Malformed> {
        if fragment.start {
            return Err(Malformed("EAP-TLS response: it has the start bit"));
        }
        if fragment.more && fragment.data.is_empty() {
            return Err(Malformed("EAP-TLS fragment: it is empty"));
        }
        self.note_total(fragment)?;
        self.message.extend(fragment.data);
        let received = self.message.len();
        let limit = self.total.unwrap_or(MESSAGES_MAX).min(MESSAGES_MAX.saturating_sub(self.earlier));
        if received > limit {
            return Err(Malformed("EAP-TLS message: it is longer than announced or allowed"));
        }
        if fragment.more {
            return Ok(None);
        }
        if self.total.is_some_and(|total| total != received) {
            return Err(Malformed("EAP-TLS message: it is shorter than announced"));
        }
        self.earlier = self.earlier.saturating_add(received);
        self.total = None;
        Ok(Some(std::mem::take(&mut self.message)))
    }

    /// The length may be repeated with every piece, but not change.
    fn note_total(&mut self, fragment: &Fragment<'_>) -> Result<(), Malformed> {
        let Some(total) = fragment.total else { return Ok(()) };
        let total = usize::try_from(total).map_err(|_| Malformed("EAP-TLS message length"))?;
        let differs = self.is_partial() && self.total != Some(total);
        if differs || total > MESSAGES_MAX {
            return Err(Malformed("EAP-TLS message length"));
        }
        self.total = Some(total);
        Ok(())
    }
}

/// Our message, cut into pieces.
#[derive(Default)]
pub(super) struct Outgoing {
    message: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    pub(super) fn new(message: Vec<u8>) -> Self {
        Self { message, sent: 0 }
    }

    /// Whether pieces are left; each waits for the acknowledgement of the one before.
    pub(super) fn is_pending(&self) -> bool {
        self.sent < self.message.len()
    }

    /// Type-Data of the next piece, with `size` octets of the message at most. Only a message of several pieces has its
    /// length in front (RFC 9190 section 2.4).
    pub(super) fn next(&mut self, size: usize) -> Vec<u8> {
        let left = self.message.get(self.sent..).unwrap_or_default();
        let (data, rest) = left.split_at(size.min(left.len()));
        let is_first_of_several = self.sent == 0 && !rest.is_empty();
        let total = is_first_of_several.then(|| u32::try_from(self.message.len()).unwrap_or(u32::MAX));
        let mut out = Vec::new();
        Fragment { total, more: !rest.is_empty(), start: false, data }.emit(&mut out);
        self.sent = self.sent.saturating_add(data.len());
        out
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: &[u8] = &[0xc0, 0, 0, 0, 5, b'a', b'b', b'c'];

    fn take(reassembly: &mut Reassembly, bytes: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
        reassembly.take(&Fragment::parse(bytes).unwrap())
    }

    #[test]
    fn reads_the_first_fragment_of_a_message() {
        let fragment = Fragment::parse(FIRST).unwrap();
        assert_eq!(fragment, Fragment { total: Some(5), more: true, start: false, data: b"abc" });
        let mut out = Vec::new();
        fragment.emit(&mut out);
        assert_eq!(out, FIRST);
        assert!(Fragment::parse(Fragment::START).unwrap().start);
        assert!(Fragment::parse(Fragment::ACKNOWLEDGEMENT).unwrap().data.is_empty());
    }

    #[test]
    fn rejects_every_truncation_of_flags_and_length() {
        for n in 0..5 {
            assert_eq!(Fragment::parse(&FIRST[..n]), Err(Malformed("EAP-TLS fragment")), "{n} bytes");
        }
    }

    #[test]
    fn reserved_bits_do_not_matter() {
        let fragment = Fragment::parse(&[0x1f, 7]).unwrap();
        assert_eq!(fragment, Fragment { total: None, more: false, start: false, data: &[7] });
    }

    #[test]
    fn a_message_is_put_together() {
        let mut reassembly = Reassembly::default();
        assert_eq!(take(&mut reassembly, FIRST), Ok(None));
        assert!(reassembly.is_partial());
        assert_eq!(take(&mut reassembly, &[0, b'd', b'e']), Ok(Some(b"abcde".to_vec())));
        assert!(!reassembly.is_partial());
        assert_eq!(take(&mut reassembly, &[0, b'f']), Ok(Some(b"f".to_vec())), "without a length");
        assert_eq!(take(&mut reassembly, &[0x80, 0, 0, 0, 1, b'g']), Ok(Some(b"g".to_vec())), "with a needless one");
    }

    #[test]
    fn a_length_that_is_wrong_ends_it() {
        for second in
            [&[0, b'd'][..], &[0, b'd', b'e', b'f'], &[0x40, b'd', b'e', b'f'], &[0x80, 0, 0, 0, 6, b'd', b'e', b'f']]
        {
            let mut reassembly = Reassembly::default();
            assert_eq!(take(&mut reassembly, FIRST), Ok(None));
            assert!(take(&mut reassembly, second).is_err(), "{second:?}");
        }
        let repeated = [0x80, 0, 0, 0, 5, b'd', b'e'];
        let mut reassembly = Reassembly::default();
        assert_eq!(take(&mut reassembly, FIRST), Ok(None));
        assert_eq!(take(&mut reassembly, &repeated), Ok(Some(b"abcde".to_vec())), "repeated with every piece");
    }

    #[test]
    fn nothing_longer_than_the_limit_is_kept() {
        let mut reassembly = Reassembly::default();
        assert!(take(&mut reassembly, &[0xc0, 0, 1, 0, 1, 0]).is_err(), "announced");
        let mut reassembly = Reassembly::default();
        let piece = [&[0x40][..], &[7; 1023]].concat();
        let taken = (0..100).take_while(|_| take(&mut reassembly, &piece).is_ok()).count();
        assert_eq!(taken, MESSAGES_MAX / 1023, "without a length");
        let mut reassembly = Reassembly::default();
        let message = [&[0][..], &[7; 40_000]].concat();
        assert!(take(&mut reassembly, &message).is_ok());
        assert!(take(&mut reassembly, &message).is_err(), "in all");
    }

    #[test]
    fn empty_pieces_and_start_bits_end_it() {
        assert!(take(&mut Reassembly::default(), &[0x40]).is_err());
        assert!(take(&mut Reassembly::default(), &[0x20, 1]).is_err());
    }

    proptest! {
        #[test]
        fn round_trips(total: Option<u32>, more: bool, start: bool, data: Vec<u8>) {
            let fragment = Fragment { total, more, start, data: &data };
            let mut out = Vec::new();
            fragment.emit(&mut out);
            prop_assert_eq!(Fragment::parse(&out), Ok(fragment));
        }

        #[test]
        fn what_is_cut_is_put_together_again(message in prop::collection::vec(any::<u8>(), 1..5000), size in 1_usize..6000) {
            let (mut outgoing, mut reassembly) = (Outgoing::new(message.clone()), Reassembly::default());
            let mut whole = None;
            while outgoing.is_pending() {
                prop_assert!(whole.is_none());
                let piece = outgoing.next(size);
                prop_assert!(piece.len() <= size + 5);
                whole = take(&mut reassembly, &piece).unwrap();
            }
            prop_assert_eq!(whole, Some(message));
        }
    }
}
