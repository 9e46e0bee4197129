//! The Security Association payload, RFC 7296 section 3.3: proposals and their transforms.
//!
//! Counts, lengths and the "last" markers must agree with what was parsed. Transforms that we cannot read, because of
//! their type or an attribute, become [`Transform::Unknown`]: the proposal survives, but such a transform cannot be chosen.
//!
//! Does not: choose; the rules on which transforms a protocol needs belong to negotiation.

use std::fmt;

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};

use crate::wire::limits::{MAX_PROPOSALS, MAX_TRANSFORM_ATTRIBUTES, MAX_TRANSFORMS};
use crate::wire::num::{EncrId, EsnId, GroupId, IntegId, PrfId, ProtocolId, TransformType};
use crate::wire::{EspSpi, IkeSpi, Malformed, Parsed, Writer};

const MORE_PROPOSALS: u8 = 2;
const MORE_TRANSFORMS: u8 = 3;
const PROPOSAL_HEAD: u16 = 8;
const TRANSFORM_HEAD: u16 = 8;

/// Attribute type of the key length, RFC 7296 section 3.3.5.
const KEY_LENGTH: u16 = 14;

/// Attribute Format bit: the value is the two bytes that follow, not a length.
const FIXED: u16 = 0x8000;

/// An offer of suites, or the one that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityAssociation {
    /// At least one, in the sender's order of preference.
    pub proposals: Vec<Proposal>,
}

/// One suite, or several that share their transforms: any transform of each type may be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// 1 or more; larger than that of the proposal before it.
    pub number: u8,
    /// What the SA is for.
    pub protocol: ProtocolId,
    /// The sender's SPI for the new SA.
    pub spi: Spi,
    /// In the sender's order.
    pub transforms: Vec<Transform>,
}

/// The SPI of a proposal: none, 4 bytes for ESP and AH, 8 bytes for IKE; a parsed one is not zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spi {
    len: u8,
    bytes: [u8; 8],
}

/// One algorithm of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transform {
    /// Encryption.
    Encr {
        /// The cipher.
        id: EncrId,
        /// The Key Length attribute in bits, if present.
        key_bits: Option<u16>,
    },
    /// Pseudorandom function.
    Prf(PrfId),
    /// Integrity protection.
    Integ(IntegId),
    /// Diffie-Hellman group or other key exchange method.
    Group(GroupId),
    /// Extended sequence numbers.
    Esn(EsnId),
    /// A transform that cannot be chosen: its type or one of its attributes is unknown to us.
    Unknown(UnknownTransform),
}

/// A transform as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTransform {
    /// Transform type.
    pub kind: TransformType,
    /// Number in the registry of that type.
    pub id: u16,
    /// Well-formed attributes, as they were received.
    attributes: Vec<u8>,
}

impl SecurityAssociation {
    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// If there is no proposal, a limit of [`limits`](crate::wire::limits) is passed, or any count, length, order or
    /// marker disagrees.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut proposals: Vec<Proposal> = Vec::new();
        let mut rest = body;
        let mut more = true;
        while more {
            if proposals.len() == MAX_PROPOSALS {
                return Err(Malformed::TooManyProposals);
            }
            let (after, raw) = raw_proposal(rest).map_err(|_| Malformed::SecurityAssociation)?;
            let proposal = raw.read()?;
            if proposal.number <= proposals.last().map_or(0, |p| p.number) {
                return Err(Malformed::ProposalNumber);
            }
            proposals.push(proposal);
            (rest, more) = (after, raw.more);
        }
        if rest.is_empty() { Ok(Self { proposals }) } else { Err(Malformed::SecurityAssociation) }
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        let last = self.proposals.len().saturating_sub(1);
        for (i, proposal) in self.proposals.iter().enumerate() {
            proposal.emit(i < last, out);
        }
    }
}

impl Proposal {
    fn emit(&self, more: bool, out: &mut Writer) {
        let start = out.len();
        out.u8(if more { MORE_PROPOSALS } else { 0 });
        out.u8(0);
        out.u16(0);
        out.bytes(&[self.number, self.protocol.0, self.spi.len]);
        out.count_u8(self.transforms.len());
        out.bytes(self.spi.as_bytes());
        let last = self.transforms.len().saturating_sub(1);
        for (i, transform) in self.transforms.iter().enumerate() {
            transform.emit(i < last, out);
        }
        out.patch_len_u16(start.saturating_add(2), start);
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}:", self.protocol, self.number)?;
        for transform in &self.transforms {
            write!(f, " {transform}")?;
        }
        Ok(())
    }
}

impl Transform {
    /// The type under which the transform is sent.
    pub fn kind(&self) -> TransformType {
        match self {
            Self::Encr { .. } => TransformType::ENCR,
            Self::Prf(_) => TransformType::PRF,
            Self::Integ(_) => TransformType::INTEG,
            Self::Group(_) => TransformType::GROUP,
            Self::Esn(_) => TransformType::ESN,
            Self::Unknown(unknown) => unknown.kind,
        }
    }

    /// The number in the registry of its type.
    pub fn id(&self) -> u16 {
        match self {
            Self::Encr { id, .. } => id.0,
            Self::Prf(id) => id.0,
            Self::Integ(id) => id.0,
            Self::Group(id) => id.0,
            Self::Esn(id) => id.0,
            Self::Unknown(unknown) => unknown.id,
        }
    }

    fn emit(&self, more: bool, out: &mut Writer) {
        let start = out.len();
        out.u8(if more { MORE_TRANSFORMS } else { 0 });
        out.u8(0);
        out.u16(0);
        out.u8(self.kind().0);
        out.u8(0);
        out.u16(self.id());
        match self {
            Self::Encr { key_bits: Some(bits), .. } => {
                out.u16(FIXED | KEY_LENGTH);
                out.u16(*bits);
            }
            Self::Unknown(unknown) => out.bytes(&unknown.attributes),
            _ => {}
        }
        out.patch_len_u16(start.saturating_add(2), start);
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encr { id, key_bits: Some(bits) } => write!(f, "{id}-{bits}"),
            Self::Encr { id, key_bits: None } => write!(f, "{id}"),
            Self::Prf(id) => write!(f, "{id}"),
            Self::Integ(id) => write!(f, "{id}"),
            Self::Group(id) => write!(f, "{id}"),
            Self::Esn(id) => write!(f, "{id}"),
            Self::Unknown(unknown) => write!(f, "{}({})", unknown.kind, unknown.id),
        }
    }
}

impl Spi {
    /// No SPI: the first IKE SA.
    pub const EMPTY: Self = Self { len: 0, bytes: [0; 8] };

    /// The SPI as it is sent.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The SPI if it has 4 bytes.
    pub fn esp(&self) -> Option<EspSpi> {
        <[u8; 4]>::try_from(self.as_bytes()).ok().map(|spi| EspSpi(u32::from_be_bytes(spi)))
    }

    /// The SPI if it has 8 bytes.
    pub fn ike(&self) -> Option<IkeSpi> {
        <[u8; 8]>::try_from(self.as_bytes()).ok().map(IkeSpi)
    }

    /// The SPI, if it is not longer than 8 bytes.
    fn from_bytes(spi: &[u8]) -> Option<Self> {
        let len = u8::try_from(spi.len()).ok()?;
        let mut bytes = [0; 8];
        bytes.get_mut(..spi.len())?.copy_from_slice(spi);
        Some(Self { len, bytes })
    }
}

impl From<EspSpi> for Spi {
    fn from(spi: EspSpi) -> Self {
        let [a, b, c, d] = spi.0.to_be_bytes();
        Self { len: 4, bytes: [a, b, c, d, 0, 0, 0, 0] }
    }
}

impl From<IkeSpi> for Spi {
    fn from(spi: IkeSpi) -> Self {
        Self { len: 8, bytes: spi.0 }
    }
}

impl fmt::Debug for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spi({:02x?})", self.as_bytes())
    }
}

/// A proposal whose SPI and transforms are still bytes.
struct RawProposal<'a> {
    more: bool,
    number: u8,
    protocol: ProtocolId,
    num_transforms: u8,
    spi: &'a [u8],
    transforms: &'a [u8],
}

impl RawProposal<'_> {
    fn read(&self) -> Result<Proposal, Malformed> {
        let spi = Spi::from_bytes(self.spi).ok_or(Malformed::ProposalSpi)?;
        let fits = match self.protocol {
            ProtocolId::IKE => spi.len == 0 || (spi.len == 8 && spi.bytes != [0; 8]),
            ProtocolId::ESP | ProtocolId::AH => spi.len == 4 && spi.bytes != [0; 8],
            _ => true,
        };
        if !fits {
            return Err(Malformed::ProposalSpi);
        }
        let transforms = transforms(self.transforms, self.num_transforms)?;
        Ok(Proposal { number: self.number, protocol: self.protocol, spi, transforms })
    }
}

fn raw_proposal(input: &[u8]) -> Parsed<'_, RawProposal<'_>> {
    let (rest, (more, body)) = substructure(MORE_PROPOSALS, PROPOSAL_HEAD).parse(input)?;
    let (body, (number, protocol, spi_size, num_transforms)) =
        (be_u8, be_u8.map(ProtocolId), be_u8, be_u8).parse(body)?;
    let (transforms, spi) = take(spi_size).parse(body)?;
    Ok((rest, RawProposal { more, number, protocol, num_transforms, spi, transforms }))
}

/// Reads exactly `number` transforms from exactly these bytes.
fn transforms(mut rest: &[u8], number: u8) -> Result<Vec<Transform>, Malformed> {
    if usize::from(number) > MAX_TRANSFORMS {
        return Err(Malformed::TooManyTransforms);
    }
    let mut list = Vec::new();
    for left in (0..number).rev() {
        let (after, (more, kind, id, attributes)) = raw_transform(rest).map_err(|_| Malformed::Transform)?;
        if more != (left > 0) {
            return Err(Malformed::Transform);
        }
        list.push(transform(kind, id, attributes)?);
        rest = after;
    }
    if rest.is_empty() { Ok(list) } else { Err(Malformed::Transform) }
}

fn raw_transform(input: &[u8]) -> Parsed<'_, (bool, TransformType, u16, &[u8])> {
    let (rest, (more, body)) = substructure(MORE_TRANSFORMS, TRANSFORM_HEAD).parse(input)?;
    let (attributes, (kind, _reserved, id)) = (be_u8.map(TransformType), be_u8, be_u16).parse(body)?;
    Ok((rest, (more, kind, id, attributes)))
}

/// What proposals and transforms begin with: last or more, a reserved byte, the length of the whole.
fn substructure<'a>(more: u8, head: u16) -> impl Parser<&'a [u8], Output = (bool, &'a [u8]), Error = ()> {
    move |input: &'a [u8]| {
        let marker = be_u8.map_opt(|marker: u8| (marker == 0 || marker == more).then_some(marker != 0));
        let body_len = be_u16.map_opt(|len: u16| if len < head { None } else { len.checked_sub(4) });
        let (rest, (more, _reserved, len)) = (marker, be_u8, body_len).parse(input)?;
        take(len).map(|body| (more, body)).parse(rest)
    }
}

/// Gives a transform its meaning, or keeps it as unknown.
fn transform(kind: TransformType, id: u16, attributes: &[u8]) -> Result<Transform, Malformed> {
    let found = scan_attributes(attributes)?;
    Ok(match (kind, found) {
        (TransformType::ENCR, Attributes::None) => Transform::Encr { id: EncrId(id), key_bits: None },
        (TransformType::ENCR, Attributes::KeyLength(bits)) => Transform::Encr { id: EncrId(id), key_bits: Some(bits) },
        (TransformType::PRF, Attributes::None) => Transform::Prf(PrfId(id)),
        (TransformType::INTEG, Attributes::None) => Transform::Integ(IntegId(id)),
        (TransformType::GROUP, Attributes::None) => Transform::Group(GroupId(id)),
        (TransformType::ESN, Attributes::None) => Transform::Esn(EsnId(id)),
        _ => Transform::Unknown(UnknownTransform { kind, id, attributes: attributes.to_vec() }),
    })
}

/// The attributes of a transform, as far as they matter.
enum Attributes {
    None,
    KeyLength(u16),
    Other,
}

fn scan_attributes(mut rest: &[u8]) -> Result<Attributes, Malformed> {
    let mut found = Attributes::None;
    for _ in 0..MAX_TRANSFORM_ATTRIBUTES {
        if rest.is_empty() {
            return Ok(found);
        }
        let (after, (kind, value)) = attribute(rest).map_err(|_| Malformed::Transform)?;
        found = match (found, kind == FIXED | KEY_LENGTH) {
            (Attributes::None, true) => Attributes::KeyLength(value),
            _ => Attributes::Other,
        };
        rest = after;
    }
    if rest.is_empty() { Ok(found) } else { Err(Malformed::TooManyTransforms) }
}

/// One attribute: its type with the format bit, and its two-byte value or length.
fn attribute(input: &[u8]) -> Parsed<'_, (u16, u16)> {
    let (rest, (kind, value)) = (be_u16, be_u16).parse(input)?;
    let variable = if kind & FIXED == 0 { value } else { 0 };
    take(variable).map(|_| (kind, value)).parse(rest)
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

    /// One ESP proposal: AES-CBC-256, HMAC-SHA2-256-128, no ESN.
    const ESP: &[u8] = &[
        0, 0, 0, 40, 1, 3, 4, 3, 0xc0, 0xff, 0xee, 0x01, //
        3, 0, 0, 12, 1, 0, 0, 12, 0x80, 14, 1, 0, //
        3, 0, 0, 8, 3, 0, 0, 12, //
        0, 0, 0, 8, 5, 0, 0, 0,
    ];

    fn esp() -> SecurityAssociation {
        let transforms = vec![
            Transform::Encr { id: EncrId::AES_CBC, key_bits: Some(256) },
            Transform::Integ(IntegId::HMAC_SHA2_256_128),
            Transform::Esn(EsnId::NO),
        ];
        let spi = EspSpi(0xc0ff_ee01).into();
        SecurityAssociation { proposals: vec![Proposal { number: 1, protocol: ProtocolId::ESP, spi, transforms }] }
    }

    fn ike(number: u8, spi: Spi, transforms: Vec<Transform>) -> Proposal {
        Proposal { number, protocol: ProtocolId::IKE, spi, transforms }
    }

    fn parsed(proposals: Vec<Proposal>) -> Result<SecurityAssociation, Malformed> {
        SecurityAssociation::parse(&emitted(|out| SecurityAssociation { proposals }.emit(out)))
    }

    /// An SA payload with one transform, which has these attributes.
    fn with_attributes(kind: u8, id: u8, attributes: &[u8]) -> Result<Transform, Malformed> {
        let len = u8::try_from(attributes.len()).expect("short");
        let body = [&[0, 0, 0, 16 + len, 1, 1, 0, 1, 0, 0, 0, 8 + len, kind, 0, 0, id], attributes].concat();
        SecurityAssociation::parse(&body).map(|mut sa| {
            assert_eq!(emitted(|out| sa.emit(out)), body);
            sa.proposals.remove(0).transforms.remove(0)
        })
    }

    #[test]
    fn round_trips_an_esp_proposal() {
        assert_eq!(SecurityAssociation::parse(ESP), Ok(esp()));
        assert_eq!(emitted(|out| esp().emit(out)), ESP);
        assert_eq!(esp().proposals[0].spi.esp(), Some(EspSpi(0xc0ff_ee01)));
        assert_eq!(
            esp().proposals[0].to_string(),
            "ESP 1: ENCR_AES_CBC-256 AUTH_HMAC_SHA2_256_128 No ESN",
            "for people who compare offers"
        );
    }

    #[test]
    fn round_trips_several_ike_proposals() {
        let all = vec![
            Transform::Encr { id: EncrId::CHACHA20_POLY1305, key_bits: None },
            Transform::Prf(PrfId::HMAC_SHA2_512),
            Transform::Group(GroupId::CURVE25519),
            Transform::Group(GroupId(1025)),
        ];
        let proposals =
            vec![ike(1, Spi::EMPTY, all.clone()), ike(2, IkeSpi([7; 8]).into(), all), ike(9, Spi::EMPTY, vec![])];
        assert_eq!(parsed(proposals.clone()), Ok(SecurityAssociation { proposals }));
    }

    #[test]
    fn rejects_every_truncation() {
        for len in 0..ESP.len() {
            assert!(SecurityAssociation::parse(&ESP[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn rejects_what_does_not_add_up() {
        for (at, value, why) in [
            (0, 2, "another proposal announced"),
            (0, 3, "marker of a transform"),
            (3, 39, "proposal shorter than its transforms"),
            (3, 41, "proposal longer than the payload"),
            (3, 7, "proposal shorter than its head"),
            (4, 0, "number zero"),
            (5, 1, "4-byte SPI for IKE"),
            (6, 0, "no SPI for ESP"),
            (6, 8, "8-byte SPI for ESP"),
            (6, 255, "SPI beyond the end"),
            (7, 2, "fewer transforms announced"),
            (7, 4, "more transforms announced"),
            (12, 0, "last transform is not the last"),
            (12, 2, "marker of a proposal"),
            (15, 7, "transform shorter than its head"),
            (15, 0, "transform without length"),
            (15, 10, "half an attribute"),
            (32, 3, "another transform announced"),
            (35, 255, "transform beyond the end"),
        ] {
            let mut body = ESP.to_vec();
            body[at] = value;
            assert!(SecurityAssociation::parse(&body).is_err(), "{why}");
        }
        assert!(SecurityAssociation::parse(&[ESP, &[0]].concat()).is_err(), "trailing byte");
        assert!(SecurityAssociation::parse(&[]).is_err(), "no proposal");
    }

    #[test]
    fn ignores_reserved_bytes() {
        for at in [1, 13, 17, 25, 29, 33, 37] {
            let mut body = ESP.to_vec();
            body[at] = 0xff;
            assert_eq!(SecurityAssociation::parse(&body), Ok(esp()), "byte {at}");
        }
    }

    #[test]
    fn demands_increasing_numbers() {
        let numbered = |numbers: &[u8]| parsed(numbers.iter().map(|&n| ike(n, Spi::EMPTY, vec![])).collect());
        assert!(numbered(&[1, 2, 3]).is_ok());
        assert!(numbered(&[12]).is_ok(), "a responder returns the number that it chose");
        for wrong in [&[0][..], &[1, 1], &[2, 1]] {
            assert_eq!(numbered(wrong), Err(Malformed::ProposalNumber), "{wrong:?}");
        }
    }

    #[test]
    fn rejects_an_spi_of_zero() {
        let zero = |protocol, spi| parsed(vec![Proposal { protocol, ..ike(1, spi, vec![]) }]);
        assert_eq!(zero(ProtocolId::IKE, IkeSpi([0; 8]).into()), Err(Malformed::ProposalSpi));
        assert_eq!(zero(ProtocolId::ESP, EspSpi(0).into()), Err(Malformed::ProposalSpi));
        assert!(zero(ProtocolId::ESP, EspSpi(1).into()).is_ok());
    }

    #[test]
    fn reads_the_key_length_of_ciphers_only() {
        let key = [0x80, 14, 0, 128];
        let aes = |key_bits| Transform::Encr { id: EncrId::AES_CBC, key_bits };
        assert_eq!(with_attributes(1, 12, &[]), Ok(aes(None)));
        assert_eq!(with_attributes(1, 12, &key), Ok(aes(Some(128))));
        let prf = with_attributes(2, 5, &key).expect("survives");
        assert!(matches!(prf, Transform::Unknown(UnknownTransform { kind: TransformType::PRF, id: 5, .. })));
    }

    #[test]
    fn cannot_choose_transforms_with_strange_attributes() {
        for (attributes, why) in [
            (&[0x80, 99, 0, 1][..], "unknown attribute"),
            (&[0, 99, 0, 2, 7, 7], "unknown attribute of variable length"),
            (&[0, 14, 0, 2, 1, 0], "key length of variable length"),
            (&[0x80, 14, 1, 0, 0x80, 14, 1, 0], "key length twice"),
            (&[0x80, 14, 1, 0, 0x80, 99, 0, 1], "unknown after known"),
            (&[0x80, 99, 0, 1, 0x80, 14, 1, 0], "known after unknown"),
        ] {
            let transform = with_attributes(1, 12, attributes).expect("survives");
            assert!(matches!(transform, Transform::Unknown(_)), "{why}");
        }
    }

    #[test]
    fn rejects_attributes_that_do_not_add_up() {
        for attributes in [&[0x80][..], &[0x80, 14, 1], &[0, 99, 0, 3, 7, 7], &[0x80, 14, 1, 0, 9]] {
            assert_eq!(with_attributes(1, 12, attributes), Err(Malformed::Transform), "{attributes:?}");
        }
    }

    #[test]
    fn lets_unknown_transform_types_survive() {
        let transform = with_attributes(6, 36, &[]).expect("survives");
        assert_eq!((transform.kind(), transform.id()), (TransformType::ADDITIONAL_KEY_EXCHANGE_1, 36));
        assert_eq!(transform.to_string(), "ADDKE1(36)");
    }

    #[test]
    fn lets_unknown_protocols_survive() {
        let body = [0, 0, 0, 10, 1, 99, 2, 0, 0xab, 0xcd];
        let sa = SecurityAssociation::parse(&body).expect("survives");
        assert_eq!(sa.proposals[0].spi.as_bytes(), [0xab, 0xcd]);
        assert_eq!(emitted(|out| sa.emit(out)), body);
        let long = [0, 0, 0, 17, 1, 99, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(SecurityAssociation::parse(&long), Err(Malformed::ProposalSpi));
    }

    #[test]
    fn takes_exactly_as_much_as_the_limits_say() {
        let offer = |number: usize| (1..=number).map(|n| ike(u8::try_from(n).expect("few"), Spi::EMPTY, vec![]));
        assert!(parsed(offer(MAX_PROPOSALS).collect()).is_ok());
        assert_eq!(parsed(offer(MAX_PROPOSALS + 1).collect()), Err(Malformed::TooManyProposals));
        let wide = |number| vec![ike(1, Spi::EMPTY, vec![Transform::Prf(PrfId::HMAC_SHA1); number])];
        assert!(parsed(wide(MAX_TRANSFORMS)).is_ok());
        assert_eq!(parsed(wide(MAX_TRANSFORMS + 1)), Err(Malformed::TooManyTransforms));
        let attributes = |number| [0x80, 99, 0, 1].repeat(number);
        assert!(with_attributes(1, 12, &attributes(MAX_TRANSFORM_ATTRIBUTES)).is_ok());
        let many = with_attributes(1, 12, &attributes(MAX_TRANSFORM_ATTRIBUTES + 1));
        assert_eq!(many, Err(Malformed::TooManyTransforms));
    }
}
