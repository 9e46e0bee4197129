//! The Security Association payload with its proposals and transforms, RFC 2408 sections 3.4 to 3.6, RFC 2407 section 4.
//!
//! A transform keeps the bytes of its attributes, so that the chosen one is sent back as it came (RFC 2409 section 5).
//!
//! Does not: choose; see the proposal module.

use std::borrow::Cow;

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u32};

use super::Attributes;
use super::num::{PayloadType, ProtocolId};
use crate::wire::chain::Link;
use crate::wire::limits::{MAX_PROPOSALS, MAX_V1_TRANSFORMS};
use crate::wire::{Malformed, Parsed, Writer};

/// The IPsec domain of interpretation, RFC 2407 section 4.
pub(super) const IPSEC_DOI: u32 = 1;

/// Nothing but the identity counts: the only situation that anybody implements.
const SIT_IDENTITY_ONLY: u32 = 1;

/// Bytes of the largest SPI that a proposal may carry, RFC 2407 section 4.6.1.2.
const MAX_SPI: usize = 16;

/// An offer, or the answer to one: a single proposal with a single transform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityAssociation<'a> {
    /// In order of preference. Proposals with the same number belong together.
    pub proposals: Vec<Proposal<'a>>,
}

/// A protocol with the ways to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal<'a> {
    /// Repeated by the answer.
    pub number: u8,
    /// What is proposed.
    pub protocol: ProtocolId,
    /// The sender's SPI: four bytes for ESP; in phase 1 anything up to 16 bytes, without a meaning.
    pub spi: Cow<'a, [u8]>,
    /// In order of preference; at least one.
    pub transforms: Vec<Transform<'a>>,
}

/// One way to run a protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transform<'a> {
    /// Repeated by the answer.
    pub number: u8,
    /// KEY_IKE in phase 1, the cipher in phase 2.
    pub id: u8,
    /// In the order of the sender.
    pub attributes: Attributes<'a>,
}

impl<'a> SecurityAssociation<'a> {
    /// The answer that takes `transform` of `proposal`, with our own SPI (empty in phase 1).
    pub fn chosen(proposal: &Proposal<'_>, transform: &Transform<'a>, spi: &[u8]) -> Self {
        let proposal = Proposal {
            number: proposal.number,
            protocol: proposal.protocol,
            spi: Cow::Owned(spi.to_vec()),
            transforms: vec![transform.clone()],
        };
        Self { proposals: vec![proposal] }
    }

    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::Doi`] unless it is about IPsec and identities alone; what is wrong with a proposal or transform.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (rest, (doi, situation)) = doi_and_situation(body).map_err(|_| Malformed::SecurityAssociation)?;
        if (doi, situation) != (IPSEC_DOI, SIT_IDENTITY_ONLY) {
            return Err(Malformed::Doi);
        }
        let mut proposals = Vec::new();
        for body in Siblings::new(rest, PayloadType::PROPOSAL, MAX_PROPOSALS, Malformed::TooManyProposals) {
            proposals.push(Proposal::parse(body?)?);
        }
        if proposals.is_empty() {
            return Err(Malformed::SecurityAssociation);
        }
        Ok(Self { proposals })
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.u32(IPSEC_DOI);
        out.u32(SIT_IDENTITY_ONLY);
        siblings(&self.proposals, PayloadType::PROPOSAL, out, Proposal::emit);
    }

    /// The payload body: `SAi_b` of RFC 2409 section 5, if it is ours.
    pub fn to_body(&self) -> Result<Vec<u8>, crate::wire::TooLong> {
        let mut out = Writer::new();
        self.emit(&mut out);
        out.finish()
    }
}

impl<'a> Proposal<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (rest, (number, protocol, spi_size, count)) = head(body).map_err(|_| Malformed::SecurityAssociation)?;
        let (rest, spi) = spi(rest, usize::from(spi_size)).map_err(|_| Malformed::ProposalSpi)?;
        let protocol = ProtocolId(protocol);
        if spi.len() > MAX_SPI || (protocol == ProtocolId::ESP && !is_esp_spi(spi)) {
            return Err(Malformed::ProposalSpi);
        }
        let mut transforms = Vec::new();
        let bodies = Siblings::new(rest, PayloadType::TRANSFORM, MAX_V1_TRANSFORMS, Malformed::TooManyTransforms);
        for body in bodies {
            transforms.push(Transform::parse(body?)?);
        }
        if transforms.is_empty() || transforms.len() != usize::from(count) {
            return Err(Malformed::SecurityAssociation);
        }
        Ok(Self { number, protocol, spi: Cow::Borrowed(spi), transforms })
    }

    fn emit(&self, out: &mut Writer) {
        out.u8(self.number);
        out.u8(self.protocol.0);
        out.count_u8(self.spi.len());
        out.count_u8(self.transforms.len());
        out.bytes(&self.spi);
        siblings(&self.transforms, PayloadType::TRANSFORM, out, Transform::emit);
    }
}

impl<'a> Transform<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (attributes, (number, id)) = transform_head(body).map_err(|_| Malformed::Transform)?;
        Ok(Self { number, id, attributes: Attributes::parse(attributes)? })
    }

    fn emit(&self, out: &mut Writer) {
        out.u8(self.number);
        out.u8(self.id);
        out.u16(0);
        out.bytes(self.attributes.bytes());
    }

    /// Copies what is borrowed.
    pub fn into_owned(self) -> Transform<'static> {
        Transform { number: self.number, id: self.id, attributes: self.attributes.into_owned() }
    }
}

/// Values below 256 are reserved, RFC 2406 section 2.1; zero would mean "none".
fn is_esp_spi(spi: &[u8]) -> bool {
    spi.len() == 4 && spi != [0; 4]
}

/// Substructures of one kind: each says with its first byte whether another one follows.
struct Siblings<'a> {
    rest: &'a [u8],
    kind: PayloadType,
    left: usize,
    too_many: Malformed,
}

impl<'a> Siblings<'a> {
    fn new(rest: &'a [u8], kind: PayloadType, limit: usize, too_many: Malformed) -> Self {
        Self { rest, kind, left: limit, too_many }
    }

    fn step(&mut self) -> Result<&'a [u8], Malformed> {
        self.left = self.left.checked_sub(1).ok_or(self.too_many)?;
        let Link { next, body, rest, .. } = Link::split(self.rest).map_err(|_| Malformed::SecurityAssociation)?;
        // What says that it is the last one has to be it, and the other way round.
        let fits = if rest.is_empty() { next == 0 } else { next == self.kind.0 };
        self.rest = rest;
        if fits { Ok(body) } else { Err(Malformed::SecurityAssociation) }
    }
}

impl<'a> Iterator for Siblings<'a> {
    type Item = Result<&'a [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let result = self.step();
        if result.is_err() {
            self.rest = &[];
        }
        Some(result)
    }
}

fn siblings<T>(items: &[T], kind: PayloadType, out: &mut Writer, emit: impl Fn(&T, &mut Writer)) {
    let last = items.len().saturating_sub(1);
    for (index, item) in items.iter().enumerate() {
        let start = out.len();
        out.u8(if index == last { 0 } else { kind.0 });
        out.u8(0);
        out.u16(0);
        emit(item, out);
        out.patch_len_u16(start.saturating_add(2), start);
    }
}

fn doi_and_situation(body: &[u8]) -> Parsed<'_, (u32, u32)> {
    (be_u32, be_u32).parse(body)
}

fn head(body: &[u8]) -> Parsed<'_, (u8, u8, u8, u8)> {
    (be_u8, be_u8, be_u8, be_u8).parse(body)
}

fn spi(input: &[u8], len: usize) -> Parsed<'_, &[u8]> {
    take(len).parse(input)
}

fn transform_head(body: &[u8]) -> Parsed<'_, (u8, u8)> {
    (be_u8, be_u8, take(2_usize)).map(|(number, id, _reserved)| (number, id)).parse(body)
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
    use crate::wire::v1::Attribute;

    /// One ESP proposal with two transforms.
    const OFFER: &[u8] = &[
        0, 0, 0, 1, 0, 0, 0, 1, // IPsec, identity only
        0, 0, 0, 36, 1, 3, 4, 2, 0xc0, 0xff, 0xee, 1, // proposal 1, ESP, two transforms, SPI
        3, 0, 0, 12, 1, 12, 0, 0, 0x80, 6, 1, 0, // AES-256
        0, 0, 0, 12, 2, 3, 0, 0, 0x80, 4, 0, 2, // 3DES, transport
    ];

    fn offer() -> SecurityAssociation<'static> {
        let transform = |number, id, kind, value| Transform {
            number,
            id,
            attributes: Attributes::new(vec![Attribute::short(kind, value)]),
        };
        let proposal = Proposal {
            number: 1,
            protocol: ProtocolId::ESP,
            spi: Cow::Borrowed(&[0xc0, 0xff, 0xee, 1]),
            transforms: vec![transform(1, 12, 6, 256), transform(2, 3, 4, 2)],
        };
        SecurityAssociation { proposals: vec![proposal] }
    }

    #[test]
    fn round_trips() {
        assert_eq!(SecurityAssociation::parse(OFFER), Ok(offer()));
        assert_eq!(emitted(|out| offer().emit(out)), OFFER);
        assert_eq!(offer().to_body().as_deref(), Ok(OFFER));
    }

    #[test]
    fn rejects_every_truncation() {
        for len in 0..OFFER.len() {
            assert!(SecurityAssociation::parse(&OFFER[..len]).is_err(), "{len} bytes");
        }
        assert!(SecurityAssociation::parse(&[OFFER, &[0]].concat()).is_err());
    }

    #[test]
    fn answers_with_the_bytes_of_the_chosen_transform() {
        // A key length in the long form and an unknown attribute: odd, but the client's choice.
        let odd =
            [&OFFER[..20], &[0, 0, 0, 20, 7, 12, 9, 9], &[0, 6, 0, 2, 1, 0, 0x80, 99, 0xab, 0xcd, 0x80, 4], &[0, 4]]
                .concat();
        let mut body = odd;
        body[11] = u8::try_from(body.len() - 8).expect("short");
        body[15] = 1;
        body[23] = 22;
        let sa = SecurityAssociation::parse(&body).expect("valid");
        let proposal = &sa.proposals[0];
        let answer = SecurityAssociation::chosen(proposal, &proposal.transforms[0], &[1, 2, 3, 4]);
        let mut expected = body.clone();
        expected[16..20].copy_from_slice(&[1, 2, 3, 4]);
        expected[26..28].fill(0); // reserved
        assert_eq!(emitted(|out| answer.emit(out)), expected);
    }

    fn with(at: usize, value: u8) -> Vec<u8> {
        let mut body = OFFER.to_vec();
        body[at] = value;
        body
    }

    #[test]
    fn demands_the_ipsec_doi_and_an_identity_only_situation() {
        assert_eq!(SecurityAssociation::parse(&with(3, 0)), Err(Malformed::Doi));
        assert_eq!(SecurityAssociation::parse(&with(7, 3)), Err(Malformed::Doi));
    }

    #[test]
    fn demands_counts_and_next_fields_that_agree_with_what_is_there() {
        assert!(SecurityAssociation::parse(&with(8, 2)).is_err(), "another proposal announced");
        assert!(SecurityAssociation::parse(&with(15, 1)).is_err(), "fewer transforms announced");
        assert!(SecurityAssociation::parse(&with(15, 3)).is_err(), "more transforms announced");
        assert!(SecurityAssociation::parse(&with(20, 0)).is_err(), "the first transform says it is the last");
        assert!(SecurityAssociation::parse(&with(32, 3)).is_err(), "the last transform says it is not");
        assert!(SecurityAssociation::parse(&OFFER[..8]).is_err(), "no proposal");
    }

    #[test]
    fn demands_an_esp_spi_of_four_bytes_that_is_not_zero() {
        let mut zero = OFFER.to_vec();
        zero[16..20].fill(0);
        assert_eq!(SecurityAssociation::parse(&zero), Err(Malformed::ProposalSpi));
        assert_eq!(SecurityAssociation::parse(&with(14, 8)), Err(Malformed::ProposalSpi));
        assert_eq!(SecurityAssociation::parse(&with(14, 200)), Err(Malformed::ProposalSpi));
    }

    #[test]
    fn ignores_reserved_fields() {
        for at in [9, 21, 26, 27, 33] {
            assert_eq!(SecurityAssociation::parse(&with(at, 0x5a)), Ok(offer()), "byte {at}");
        }
    }

    #[test]
    fn takes_as_many_transforms_as_their_count_can_say() {
        let mut many = offer();
        let transform = many.proposals[0].transforms[0].clone();
        many.proposals[0].transforms = vec![transform; MAX_V1_TRANSFORMS];
        let body = emitted(|out| many.emit(out));
        assert_eq!(SecurityAssociation::parse(&body), Ok(many));
    }

    #[test]
    fn takes_exactly_as_many_proposals_as_the_limit_says() {
        let offers = |number: usize| {
            let sa = SecurityAssociation { proposals: vec![offer().proposals[0].clone(); number] };
            SecurityAssociation::parse(&emitted(|out| sa.emit(out))).map(|sa| sa.proposals.len())
        };
        assert_eq!(offers(MAX_PROPOSALS), Ok(MAX_PROPOSALS));
        assert_eq!(offers(MAX_PROPOSALS + 1), Err(Malformed::TooManyProposals));
    }
}
