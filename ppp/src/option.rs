//! Configuration options: Type, Length, data (RFC 1661 section 6).
//!
//! [`Options`] is what a Configure packet holds: at most [`MAX_OPTIONS`], none twice. [`OptionWriter`] makes the body of
//! an own packet and never grows beyond [`MAX_BODY`]: what does not fit is left for the next round.
//!
//! Does not: the meaning of an option (see `lcp`, `ipcp`, `ipv6cp`).

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use nom::bytes::complete::take;
use nom::number::complete::be_u8;
use nom::{IResult, Parser as _};

use crate::config::MIN_MRU;
use crate::malformed::Malformed;
use crate::packet::HEADER_LEN;

/// Options per packet. The longest request of a known client has eight.
pub const MAX_OPTIONS: usize = 32;

/// Octets of options in a packet of ours: what fits into the smallest MRU.
pub const MAX_BODY: usize = MIN_MRU as usize - HEADER_LEN;

/// Octets of Type and Length.
const OPTION_HEADER_LEN: usize = 2;

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigOption<'a> {
    /// Its type; the number's meaning depends on the protocol.
    pub kind: u8,
    /// What follows Type and Length.
    pub data: &'a [u8],
}

impl ConfigOption<'_> {
    /// The data as a number of 16 bits, if it has just that size.
    #[must_use]
    pub fn u16(&self) -> Option<u16> {
        self.data.try_into().ok().map(u16::from_be_bytes)
    }

    /// The data as a number of 32 bits, if it has just that size.
    #[must_use]
    pub fn u32(&self) -> Option<u32> {
        self.data.try_into().ok().map(u32::from_be_bytes)
    }
}

/// The options of a Configure packet, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options<'a>(Vec<ConfigOption<'a>>);

impl<'a> Options<'a> {
    /// Parses the data of a Configure packet.
    ///
    /// # Errors
    ///
    /// [`Malformed::OptionLength`], [`Malformed::TooManyOptions`] or [`Malformed::DuplicateOption`].
    pub fn parse(mut data: &'a [u8]) -> Result<Self, Malformed> {
        let mut options: Vec<ConfigOption<'a>> = Vec::new();
        while !data.is_empty() {
            let (rest, option) = option(data).map_err(|_| Malformed::OptionLength)?;
            if options.len() == MAX_OPTIONS {
                return Err(Malformed::TooManyOptions);
            }
            if options.iter().any(|earlier| earlier.kind == option.kind) {
                return Err(Malformed::DuplicateOption);
            }
            options.push(option);
            data = rest;
        }
        Ok(Self(options))
    }

    /// The options in the order of the packet.
    pub fn iter(&self) -> impl Iterator<Item = ConfigOption<'a>> {
        self.0.iter().copied()
    }

    /// The option of this type.
    #[must_use]
    pub fn find(&self, kind: u8) -> Option<ConfigOption<'a>> {
        self.iter().find(|option| option.kind == kind)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each of these options is, with the same data and in the same order, one of `others`: the rule for a
    /// Configure-Reject, RFC 1661 section 5.4.
    #[must_use]
    pub fn is_subsequence_of(&self, others: &Options<'_>) -> bool {
        let mut others = others.iter();
        self.iter().all(|option| others.any(|other| other == option))
    }
}

/// The body of a Configure packet in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionWriter(Vec<u8>);

impl OptionWriter {
    /// No options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an option; says whether it fitted.
    pub fn push(&mut self, kind: u8, data: &[u8]) -> bool {
        let Ok(length) = u8::try_from(data.len().saturating_add(OPTION_HEADER_LEN)) else { return false };
        if self.0.len().saturating_add(usize::from(length)) > MAX_BODY {
            return false;
        }
        self.0.extend([kind, length]);
        self.0.extend(data);
        true
    }

    /// Whether there are no options.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The octets so far.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The octets, for keeping.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

fn option(data: &[u8]) -> IResult<&[u8], ConfigOption<'_>> {
    let (rest, (kind, length)) = (be_u8, be_u8).parse(data)?;
    let Some(body) = usize::from(length).checked_sub(OPTION_HEADER_LEN) else {
        return Err(nom::Err::Error(nom::error::Error::new(data, nom::error::ErrorKind::Verify)));
    };
    let (rest, data) = take(body)(rest)?;
    Ok((rest, ConfigOption { kind, data }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

    use super::*;

    /// MRU 1400, magic number, PFC, ACFC, callback: the first request of Windows.
    const WINDOWS: &[u8] = &[1, 4, 5, 0x78, 5, 6, 0x12, 0x34, 0x56, 0x78, 7, 2, 8, 2, 13, 3, 6];

    #[test]
    fn reads_the_first_request_of_windows() {
        let options = Options::parse(WINDOWS).expect("valid");
        assert_eq!(options.iter().map(|o| o.kind).collect::<Vec<_>>(), [1, 5, 7, 8, 13]);
        assert_eq!(options.find(1).and_then(|o| o.u16()), Some(1400));
        assert_eq!(options.find(5).and_then(|o| o.u32()), Some(0x1234_5678));
        assert_eq!(options.find(13).map(|o| o.data), Some(&[6][..]));
        assert_eq!(options.find(1).and_then(|o| o.u32()), None);
        assert_eq!(options.find(2), None);
    }

    #[test]
    fn round_trips() {
        let options = Options::parse(WINDOWS).expect("valid");
        let mut out = OptionWriter::new();
        assert!(options.iter().all(|o| out.push(o.kind, o.data)));
        assert_eq!(out.as_slice(), WINDOWS);
    }

    #[test]
    fn a_truncation_is_an_error_except_between_options() {
        let ends = [0, 4, 10, 12, 14];
        for n in 0..WINDOWS.len() {
            let parsed = Options::parse(&WINDOWS[..n]);
            match ends.contains(&n) {
                true => assert!(parsed.is_ok(), "{n} bytes"),
                false => assert_eq!(parsed, Err(Malformed::OptionLength), "{n} bytes"),
            }
        }
    }

    #[test]
    fn rejects_lengths_below_two() {
        assert_eq!(Options::parse(&[7, 0, 8, 2]), Err(Malformed::OptionLength));
        assert_eq!(Options::parse(&[7, 1, 8, 2]), Err(Malformed::OptionLength));
    }

    #[test]
    fn rejects_duplicates_and_floods() {
        assert_eq!(Options::parse(&[7, 2, 8, 2, 7, 2]), Err(Malformed::DuplicateOption));
        let many: Vec<u8> = (0..33).flat_map(|kind| [kind, 2]).collect();
        assert_eq!(Options::parse(&many), Err(Malformed::TooManyOptions));
        assert_eq!(Options::parse(&many[..64]).map(|o| o.iter().count()), Ok(32));
    }

    #[test]
    fn the_writer_stops_at_its_bound() {
        let mut out = OptionWriter::new();
        let fitted = (0..32).filter(|kind| out.push(*kind, &[0; 253])).count();
        assert_eq!(fitted, 2);
        assert!(out.as_slice().len() <= MAX_BODY);
        assert!(!out.push(1, &[0; 254]), "no length octet can express it");
        assert!(out.push(1, &[0; 20]), "a small one still fits");
    }

    #[test]
    fn a_reject_names_options_of_the_request_in_order() {
        let request = Options::parse(WINDOWS).expect("valid");
        let subset = |data| Options::parse(data).expect("valid").is_subsequence_of(&request);
        assert!(subset(&[7, 2, 13, 3, 6]));
        assert!(subset(&[]));
        assert!(!subset(&[13, 3, 6, 7, 2]), "another order");
        assert!(!subset(&[13, 3, 5]), "another value");
        assert!(!subset(&[3, 4, 0xc0, 0x23]), "never asked for");
    }
}
