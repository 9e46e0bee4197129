//! Data attributes, RFC 2408 section 3.3: a 15-bit type and either two bytes or a value with a length of its own.
//!
//! Their order matters: a Life Duration belongs to the Life Type before it, and a chosen transform is echoed as it came.
//! So [`Attributes`] is the list together with its bytes.
//!
//! Does not: know types; they depend on where the attributes stand (see [`num`](super::num)).

use std::borrow::Cow;

use nom::Parser;
use nom::multi::length_data;
use nom::number::complete::be_u16;

use crate::wire::limits::MAX_V1_ATTRIBUTES;
use crate::wire::{Malformed, Parsed, Writer};

/// The attribute format bit: the value stands where else its length would.
const SHORT: u16 = 0x8000;

/// Longest value that is read as a number, in bytes.
const MAX_NUMBER: usize = 8;

/// One attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// What `value` is; 15 bits.
    pub kind: u16,
    /// The value, in the form in which it was or will be sent.
    pub value: Value<'a>,
}

/// The two forms of a value. Clients use either for numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Type and value, two bytes.
    Short(u16),
    /// Type, length and value.
    Long(Cow<'a, [u8]>),
}

/// A list of attributes, in the order and with the bytes of its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes<'a> {
    bytes: Cow<'a, [u8]>,
    list: Vec<Attribute<'a>>,
}

impl<'a> Attribute<'a> {
    /// A number of two bytes in the short form.
    pub const fn short(kind: u16, value: u16) -> Self {
        Self { kind, value: Value::Short(value) }
    }

    /// A value in the long form, possibly empty.
    pub fn long(kind: u16, value: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { kind, value: Value::Long(value.into()) }
    }

    /// The value as a number, in whichever form it came; `None` if it is empty or has more than eight bytes.
    pub fn number(&self) -> Option<u64> {
        match &self.value {
            Value::Short(value) => Some(u64::from(*value)),
            Value::Long(bytes) if bytes.is_empty() || bytes.len() > MAX_NUMBER => None,
            Value::Long(bytes) => {
                Some(bytes.iter().fold(0_u64, |number, byte| number.wrapping_shl(8) | u64::from(*byte)))
            }
        }
    }

    /// The value as a number of two bytes, in whichever form it came.
    pub fn number_u16(&self) -> Option<u16> {
        self.number().and_then(|number| u16::try_from(number).ok())
    }

    /// The bytes of a value of the long form.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.value {
            Value::Short(_) => None,
            Value::Long(bytes) => Some(bytes),
        }
    }

    /// Copies what is borrowed.
    pub fn into_owned(self) -> Attribute<'static> {
        let value = match self.value {
            Value::Short(value) => Value::Short(value),
            Value::Long(bytes) => Value::Long(Cow::Owned(bytes.into_owned())),
        };
        Attribute { kind: self.kind, value }
    }

    /// Appends the attribute.
    pub(super) fn emit(&self, out: &mut Writer) {
        match &self.value {
            Value::Short(value) => {
                out.u16(self.kind | SHORT);
                out.u16(*value);
            }
            Value::Long(bytes) => {
                out.u16(self.kind & !SHORT);
                out.count_u16(bytes.len());
                out.bytes(bytes);
            }
        }
    }
}

impl<'a> Attributes<'a> {
    /// Parses a list that ends where `bytes` end.
    ///
    /// # Errors
    /// [`Malformed::Attribute`] if one is cut off, [`Malformed::TooManyAttributes`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Ok(Self { bytes: Cow::Borrowed(bytes), list: list(bytes)? })
    }

    /// A list of our own. A value of more than 65,535 bytes shows as an error when the message is finished.
    pub fn new(list: Vec<Attribute<'a>>) -> Self {
        let mut out = Writer::new();
        list.iter().for_each(|attribute| attribute.emit(&mut out));
        // An unsendable list stays one: too long for the two-byte length of any payload.
        let bytes = out.finish().unwrap_or_else(|_| vec![0; usize::from(u16::MAX)]);
        Self { bytes: Cow::Owned(bytes), list }
    }

    /// The attributes in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Attribute<'a>> {
        self.list.iter()
    }

    /// The first attribute of this type.
    pub fn find(&self, kind: u16) -> Option<&Attribute<'a>> {
        self.list.iter().find(|attribute| attribute.kind == kind)
    }

    /// How many attributes there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The bytes as they came or will be sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Copies what is borrowed.
    pub fn into_owned(self) -> Attributes<'static> {
        let list = self.list.into_iter().map(Attribute::into_owned).collect();
        Attributes { bytes: Cow::Owned(self.bytes.into_owned()), list }
    }
}

impl<'b, 'a> IntoIterator for &'b Attributes<'a> {
    type Item = &'b Attribute<'a>;
    type IntoIter = std::slice::Iter<'b, Attribute<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn list(mut rest: &[u8]) -> Result<Vec<Attribute<'_>>, Malformed> {
    let mut list = Vec::new();
    while !rest.is_empty() {
        if list.len() == MAX_V1_ATTRIBUTES {
            return Err(Malformed::TooManyAttributes);
        }
        let (after, attribute) = attribute(rest).map_err(|_| Malformed::Attribute)?;
        list.push(attribute);
        rest = after;
    }
    Ok(list)
}

fn attribute(input: &[u8]) -> Parsed<'_, Attribute<'_>> {
    let (rest, kind) = be_u16.parse(input)?;
    if kind & SHORT == 0 {
        let (rest, value) = length_data(be_u16).parse(rest)?;
        return Ok((rest, Attribute::long(kind, value)));
    }
    let (rest, value) = be_u16.parse(rest)?;
    Ok((rest, Attribute::short(kind & !SHORT, value)))
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

    /// Seconds, then 28800 in the long form as Windows writes it, then an empty value.
    const LIFETIME: &[u8] = &[0x80, 11, 0, 1, 0, 12, 0, 4, 0, 0, 0x70, 0x80, 0x40, 0x89, 0, 0];

    #[test]
    fn round_trips_both_forms_in_order() {
        let list = vec![
            Attribute::short(11, 1),
            Attribute::long(12, &[0, 0, 0x70, 0x80][..]),
            Attribute::long(16_521, &[][..]),
        ];
        let parsed = Attributes::parse(LIFETIME).expect("valid");
        assert_eq!(parsed.iter().cloned().collect::<Vec<_>>(), list);
        assert_eq!((parsed.bytes(), parsed.len()), (LIFETIME, 3));
        assert_eq!(Attributes::new(list), parsed);
        assert_eq!(parsed.clone().into_owned(), parsed);
    }

    #[test]
    fn rejects_truncations_within_an_attribute() {
        for len in 0..LIFETIME.len() {
            let whole = matches!(len, 0 | 4 | 12);
            assert_eq!(Attributes::parse(&LIFETIME[..len]).is_ok(), whole, "{len} bytes");
        }
    }

    #[test]
    fn reads_numbers_in_either_form() {
        let number = |bytes: &[u8]| Attribute::long(1, bytes.to_vec()).number();
        assert_eq!(Attribute::short(12, 28_800).number(), Some(28_800));
        assert_eq!(number(&[0, 0, 0x70, 0x80]), Some(28_800));
        assert_eq!(number(&[0xff; 8]), Some(u64::MAX));
        assert_eq!((number(&[]), number(&[0; 9])), (None, None));
        assert_eq!(Attribute::long(1, &[1, 0, 0][..]).number_u16(), None);
        assert_eq!(Attribute::long(1, &[0, 0, 7][..]).number_u16(), Some(7));
    }

    #[test]
    fn finds_the_first_of_several() {
        let twice = Attributes::new(vec![Attribute::short(1, 1), Attribute::short(1, 2)]);
        assert_eq!(twice.find(1), Some(&Attribute::short(1, 1)));
        assert_eq!(twice.find(2), None);
    }

    #[test]
    fn takes_exactly_as_many_as_the_limit_says() {
        let list = |number: usize| [0x80, 1, 0, 1].repeat(number);
        assert_eq!(Attributes::parse(&list(MAX_V1_ATTRIBUTES)).map(|list| list.len()), Ok(MAX_V1_ATTRIBUTES));
        assert_eq!(Attributes::parse(&list(MAX_V1_ATTRIBUTES + 1)), Err(Malformed::TooManyAttributes));
    }
}
