//! The Attributes payload of Mode Config and XAuth (draft-dukes-ike-mode-cfg, draft-beaulieu-ike-xauth).
//!
//! Does not: check the length of values; clients are careless about them.

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};

use super::num::ConfigType;
use super::{Attribute, Attributes};
use crate::wire::{Malformed, Parsed, Writer};

/// A request for settings, or the answer to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration<'a> {
    /// Request, reply, set or acknowledgement.
    pub kind: ConfigType,
    /// Repeated by the answer.
    pub identifier: u16,
    /// In the order of the sender; the types are [`ConfigAttr`](super::num::ConfigAttr)s.
    pub attributes: Attributes<'a>,
}

impl<'a> Configuration<'a> {
    /// A message of our own.
    pub fn new(kind: ConfigType, identifier: u16, attributes: Vec<Attribute<'a>>) -> Self {
        Self { kind, identifier, attributes: Attributes::new(attributes) }
    }

    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::Configuration`] if it is cut off; what is wrong with an attribute.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (attributes, (kind, identifier)) = head(body).map_err(|_| Malformed::Configuration)?;
        Ok(Self { kind: ConfigType(kind), identifier, attributes: Attributes::parse(attributes)? })
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.u8(self.kind.0);
        out.u8(0);
        out.u16(self.identifier);
        out.bytes(self.attributes.bytes());
    }
}

fn head(body: &[u8]) -> Parsed<'_, (u8, u16)> {
    (be_u8, take(1_usize), be_u16).map(|(kind, _reserved, identifier)| (kind, identifier)).parse(body)
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
    use crate::wire::testing::emitted;
    use crate::wire::v1::num::ConfigAttr;

    /// The question for a user name and a password.
    const QUESTION: &[u8] = &[1, 0, 0x12, 0x34, 0x40, 0x89, 0, 0, 0x40, 0x8a, 0, 0];

    #[test]
    fn round_trips_a_question() {
        let attributes = [ConfigAttr::XAUTH_USER_NAME, ConfigAttr::XAUTH_USER_PASSWORD]
            .map(|kind| Attribute::long(kind.0, &[][..]))
            .to_vec();
        let question = Configuration::new(ConfigType::REQUEST, 0x1234, attributes);
        assert_eq!(Configuration::parse(QUESTION).as_ref(), Ok(&question));
        assert_eq!(emitted(|out| question.emit(out)), QUESTION);
    }

    #[test]
    fn rejects_truncations_within_an_attribute() {
        for len in 0..QUESTION.len() {
            assert_eq!(Configuration::parse(&QUESTION[..len]).is_ok(), matches!(len, 4 | 8), "{len} bytes");
        }
    }

    #[test]
    fn keeps_a_password_with_its_trailing_nul() {
        let body = [&[2, 0, 0, 1, 0x40, 0x8a, 0, 4][..], b"mpa\0"].concat();
        let reply = Configuration::parse(&body).expect("valid");
        let password = reply.attributes.find(ConfigAttr::XAUTH_USER_PASSWORD.0).and_then(Attribute::bytes);
        assert_eq!(password, Some(&b"mpa\0"[..]));
    }
}
