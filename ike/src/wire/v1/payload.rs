//! A payload of any type, and a whole chain of them.

use super::num::PayloadType;
use super::{
    Certificate, CertificateRequest, Configuration, Delete, Fragment, Hash, Identification, KeyExchange, NatDetection,
    NatNumbering, NatOriginalAddress, Nonce, Notify, SecurityAssociation, Signature, VendorId,
};
use crate::wire::chain::Link;
use crate::wire::limits::{MAX_CERTIFICATES, MAX_MESSAGE, MAX_PAYLOADS};
use crate::wire::{Malformed, Writer};

/// One payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// SA.
    SecurityAssociation(SecurityAssociation<'a>),
    /// KE.
    KeyExchange(KeyExchange<'a>),
    /// ID.
    Identification(Identification<'a>),
    /// CERT.
    Certificate(Certificate<'a>),
    /// CR.
    CertificateRequest(CertificateRequest<'a>),
    /// HASH.
    Hash(Hash<'a>),
    /// SIG.
    Signature(Signature<'a>),
    /// NONCE.
    Nonce(Nonce<'a>),
    /// N.
    Notify(Notify<'a>),
    /// D.
    Delete(Delete),
    /// VID.
    VendorId(VendorId<'a>),
    /// ATTR.
    Configuration(Configuration<'a>),
    /// NAT-D, with any of its numbers.
    NatDetection(NatDetection<'a>),
    /// NAT-OA, with any of its numbers.
    NatOriginalAddress(NatOriginalAddress),
    /// FRAG.
    Fragment(Fragment<'a>),
    /// Any other type.
    Unknown(Unknown<'a>),
}

/// A payload whose type is not known: ignored, unless the exchange is strict about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown<'a> {
    /// Its type.
    pub kind: PayloadType,
    /// What follows the generic payload header.
    pub body: &'a [u8],
}

/// A payload together with its bytes, which hashes cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What it says.
    pub payload: Payload<'a>,
    /// Its bytes without the generic payload header: `SAi_b` and the like of RFC 2409 section 5.
    pub body: &'a [u8],
    /// The bytes after it up to the end of the last payload, without padding: what HASH(1) covers if this is the HASH.
    pub rest: &'a [u8],
}

/// All payloads of a chain, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payloads<'a> {
    entries: Vec<Entry<'a>>,
    padding: usize,
}

impl<'a> Payload<'a> {
    /// Parses one payload.
    ///
    /// # Errors
    /// What its own parser says.
    pub fn parse(kind: PayloadType, body: &'a [u8]) -> Result<Self, Malformed> {
        use NatNumbering::{Draft, Early, Rfc};
        Ok(match kind {
            PayloadType::SECURITY_ASSOCIATION => Self::SecurityAssociation(SecurityAssociation::parse(body)?),
            PayloadType::KEY_EXCHANGE => Self::KeyExchange(KeyExchange::parse(body)?),
            PayloadType::IDENTIFICATION => Self::Identification(Identification::parse(body)?),
            PayloadType::CERTIFICATE => Self::Certificate(Certificate::parse(body)?),
            PayloadType::CERTIFICATE_REQUEST => Self::CertificateRequest(CertificateRequest::parse(body)?),
            PayloadType::HASH => Self::Hash(Hash::parse(body)?),
            PayloadType::SIGNATURE => Self::Signature(Signature::parse(body)?),
            PayloadType::NONCE => Self::Nonce(Nonce::parse(body)?),
            PayloadType::NOTIFY => Self::Notify(Notify::parse(body)?),
            PayloadType::DELETE => Self::Delete(Delete::parse(body)?),
            PayloadType::VENDOR_ID => Self::VendorId(VendorId::parse(body)),
            PayloadType::ATTRIBUTES => Self::Configuration(Configuration::parse(body)?),
            PayloadType::NAT_D => Self::NatDetection(NatDetection::parse(Rfc, body)?),
            PayloadType::NAT_D_DRAFT => Self::NatDetection(NatDetection::parse(Draft, body)?),
            PayloadType::NAT_D_EARLY => Self::NatDetection(NatDetection::parse(Early, body)?),
            PayloadType::NAT_OA => Self::NatOriginalAddress(NatOriginalAddress::parse(Rfc, body)?),
            PayloadType::NAT_OA_DRAFT => Self::NatOriginalAddress(NatOriginalAddress::parse(Draft, body)?),
            PayloadType::NAT_OA_EARLY => Self::NatOriginalAddress(NatOriginalAddress::parse(Early, body)?),
            PayloadType::FRAGMENT => Self::Fragment(Fragment::parse(body)?),
            kind => Self::Unknown(Unknown { kind, body }),
        })
    }

    /// The number of its type.
    pub fn kind(&self) -> PayloadType {
        match self {
            Self::SecurityAssociation(_) => PayloadType::SECURITY_ASSOCIATION,
            Self::KeyExchange(_) => PayloadType::KEY_EXCHANGE,
            Self::Identification(_) => PayloadType::IDENTIFICATION,
            Self::Certificate(_) => PayloadType::CERTIFICATE,
            Self::CertificateRequest(_) => PayloadType::CERTIFICATE_REQUEST,
            Self::Hash(_) => PayloadType::HASH,
            Self::Signature(_) => PayloadType::SIGNATURE,
            Self::Nonce(_) => PayloadType::NONCE,
            Self::Notify(_) => PayloadType::NOTIFY,
            Self::Delete(_) => PayloadType::DELETE,
            Self::VendorId(_) => PayloadType::VENDOR_ID,
            Self::Configuration(_) => PayloadType::ATTRIBUTES,
            Self::NatDetection(nat_d) => nat_d.numbering.nat_d(),
            Self::NatOriginalAddress(nat_oa) => nat_oa.numbering.nat_oa(),
            Self::Fragment(_) => PayloadType::FRAGMENT,
            Self::Unknown(unknown) => unknown.kind,
        }
    }

    /// Appends the body, without the generic payload header.
    pub fn emit(&self, out: &mut Writer) {
        match self {
            Self::SecurityAssociation(payload) => payload.emit(out),
            Self::KeyExchange(payload) => payload.emit(out),
            Self::Identification(payload) => payload.emit(out),
            Self::Certificate(payload) => payload.emit(out),
            Self::CertificateRequest(payload) => payload.emit(out),
            Self::Hash(payload) => payload.emit(out),
            Self::Signature(payload) => payload.emit(out),
            Self::Nonce(payload) => payload.emit(out),
            Self::Notify(payload) => payload.emit(out),
            Self::Delete(payload) => payload.emit(out),
            Self::VendorId(payload) => payload.emit(out),
            Self::Configuration(payload) => payload.emit(out),
            Self::NatDetection(payload) => payload.emit(out),
            Self::NatOriginalAddress(payload) => payload.emit(out),
            Self::Fragment(payload) => payload.emit(out),
            Self::Unknown(payload) => out.bytes(payload.body),
        }
    }
}

impl<'a> Payloads<'a> {
    /// Parses the chain in `bytes`, whose first payload has the type `first`. What follows the last payload is padding.
    ///
    /// # Errors
    /// The first thing that is wrong, or too many payloads.
    pub fn parse(first: Option<PayloadType>, bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_MESSAGE {
            return Err(Malformed::MessageTooLong);
        }
        let mut entries = Vec::new();
        let (mut next, mut rest) = (first, bytes);
        while let Some(kind) = next {
            if entries.len() == MAX_PAYLOADS {
                return Err(Malformed::TooManyPayloads);
            }
            let link = Link::split(rest)?;
            entries.push(Entry { payload: Payload::parse(kind, link.body)?, body: link.body, rest: link.rest });
            (next, rest) = (PayloadType::from_next(link.next), link.rest);
        }
        let padding = rest.len();
        for entry in &mut entries {
            let len = entry.rest.len().saturating_sub(padding);
            entry.rest = entry.rest.get(..len).unwrap_or_default();
        }
        let payloads = Self { entries, padding };
        if payloads.certificates().count() > MAX_CERTIFICATES {
            return Err(Malformed::TooManyCertificates);
        }
        Ok(payloads)
    }

    /// The payloads with their bytes, in order.
    pub fn entries(&self) -> &[Entry<'a>] {
        &self.entries
    }

    /// The payloads in order.
    pub fn iter(&self) -> impl Iterator<Item = &Payload<'a>> {
        self.entries.iter().map(|entry| &entry.payload)
    }

    /// How many payloads there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes after the last payload.
    pub fn padding(&self) -> usize {
        self.padding
    }

    /// The first payload, if it is a HASH: its value, and the bytes of all payloads after it, without padding.
    pub fn leading_hash(&self) -> Option<(&'a [u8], &'a [u8])> {
        let first = self.entries.first()?;
        match first.payload {
            Payload::Hash(hash) => Some((hash.0, first.rest)),
            _ => None,
        }
    }

    /// All vendor IDs.
    pub fn vendor_ids(&self) -> impl Iterator<Item = VendorId<'a>> {
        self.iter().filter_map(|payload| match payload {
            Payload::VendorId(id) => Some(*id),
            _ => None,
        })
    }

    /// Whether this vendor ID is there, with or without a version behind it.
    pub fn has_vendor_id(&self, known: &[u8]) -> bool {
        self.vendor_ids().any(|id| id.is(known))
    }

    /// All certificates.
    pub fn certificates(&self) -> impl Iterator<Item = Certificate<'a>> {
        self.iter().filter_map(|payload| match payload {
            Payload::Certificate(cert) => Some(*cert),
            _ => None,
        })
    }

    /// All NAT-D payloads.
    pub fn nat_detections(&self) -> impl Iterator<Item = NatDetection<'a>> {
        self.iter().filter_map(|payload| match payload {
            Payload::NatDetection(nat_d) => Some(*nat_d),
            _ => None,
        })
    }

    /// All NAT-OA payloads.
    pub fn nat_original_addresses(&self) -> impl Iterator<Item = NatOriginalAddress> {
        self.iter().filter_map(|payload| match payload {
            Payload::NatOriginalAddress(nat_oa) => Some(*nat_oa),
            _ => None,
        })
    }

    /// All notifications.
    pub fn notifies(&self) -> impl Iterator<Item = Notify<'a>> {
        self.iter().filter_map(|payload| match payload {
            Payload::Notify(notify) => Some(*notify),
            _ => None,
        })
    }
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
    use crate::wire::EspSpi;
    use crate::wire::num::CertEncoding;
    use crate::wire::v1::num::{ConfigType, IdType, NotifyType, ProtocolId};
    use crate::wire::v1::{Attribute, Attributes, ChainBuilder, Proposal, Transform};

    fn transform() -> Transform<'static> {
        Transform { number: 1, id: 1, attributes: Attributes::new(vec![Attribute::short(1, 7)]) }
    }

    fn one_of_each() -> Vec<Payload<'static>> {
        let proposal =
            Proposal { number: 1, protocol: ProtocolId::ISAKMP, spi: (&[][..]).into(), transforms: vec![transform()] };
        let numberings = [NatNumbering::Rfc, NatNumbering::Draft, NatNumbering::Early];
        let nat_d = numberings.map(|numbering| Payload::NatDetection(NatDetection { numbering, hash: &[1; 20] }));
        let address = "192.0.2.1".parse().expect("valid");
        let nat_oa = numberings.map(|numbering| Payload::NatOriginalAddress(NatOriginalAddress { numbering, address }));
        let others = [
            Payload::SecurityAssociation(SecurityAssociation { proposals: vec![proposal] }),
            Payload::KeyExchange(KeyExchange(&[1])),
            Payload::Identification(Identification::new(IdType::FQDN, b"a")),
            Payload::Certificate(Certificate { encoding: CertEncoding::X509_SIGNATURE, data: &[1] }),
            Payload::CertificateRequest(CertificateRequest { encoding: CertEncoding::X509_SIGNATURE, authority: &[] }),
            Payload::Hash(Hash(&[2; 20])),
            Payload::Signature(Signature(&[3; 64])),
            Payload::Nonce(Nonce(&[4; 16])),
            Payload::Notify(Notify::new(NotifyType::INITIAL_CONTACT, &[])),
            Payload::Delete(Delete::Esp(vec![EspSpi(7)])),
            Payload::VendorId(VendorId(&[])),
            Payload::Configuration(Configuration::new(ConfigType::ACK, 1, vec![Attribute::short(16_527, 1)])),
            Payload::Fragment(Fragment { id: 1, number: 1, is_last: true, data: &[5] }),
            Payload::Unknown(Unknown { kind: PayloadType(133), body: &[6] }),
        ];
        others.into_iter().chain(nat_d).chain(nat_oa).collect()
    }

    #[test]
    fn round_trips_a_chain_of_all_payloads_with_padding() {
        let all = one_of_each();
        let mut builder = ChainBuilder::new();
        for payload in &all {
            builder.push(payload);
        }
        let chain = builder.finish().expect("short");
        for padding in [0, 1, 255] {
            let bytes = [chain.bytes.clone(), vec![0xa5; padding]].concat();
            let parsed = Payloads::parse(chain.first, &bytes).expect("valid");
            assert_eq!(parsed.iter().cloned().collect::<Vec<_>>(), all);
            assert_eq!((parsed.len(), parsed.padding()), (all.len(), padding));
        }
    }

    #[test]
    fn rejects_every_truncation() {
        let mut builder = ChainBuilder::new();
        for payload in &one_of_each() {
            builder.push(payload);
        }
        let chain = builder.finish().expect("short");
        for len in 0..chain.bytes.len() {
            assert!(Payloads::parse(chain.first, &chain.bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn gives_the_bytes_that_a_leading_hash_covers() {
        let mut builder = ChainBuilder::new();
        builder.push(&Payload::Nonce(Nonce(&[4; 8]))).push(&Payload::VendorId(VendorId(b"v")));
        let rest = builder.finish().expect("short");
        let mut chain = rest.behind_hash(&[9; 20]).expect("short");
        chain.pad(16);
        let parsed = Payloads::parse(chain.first, &chain.bytes).expect("valid");
        assert_eq!(parsed.leading_hash(), Some((&[9; 20][..], &*rest.bytes)));
        assert_eq!(parsed.entries()[1].body, [4; 8]);
        assert_eq!(Payloads::parse(rest.first, &rest.bytes).expect("valid").leading_hash(), None);
    }

    #[test]
    fn ignores_the_reserved_byte_of_the_generic_header() {
        let parsed = Payloads::parse(Some(PayloadType::VENDOR_ID), &[0, 0xff, 0, 4]).expect("valid");
        assert_eq!(parsed.vendor_ids().collect::<Vec<_>>(), [VendorId(&[])]);
    }

    #[test]
    fn treats_payloads_of_ikev2_as_unknown() {
        let parsed = Payloads::parse(Some(PayloadType(33)), &[0, 0, 0, 4]).expect("valid");
        assert_eq!(parsed.iter().next(), Some(&Payload::Unknown(Unknown { kind: PayloadType(33), body: &[] })));
    }

    #[test]
    fn limits_payloads_certificates_and_length() {
        let chain = |kind: u8, number: usize, tail: &[u8]| {
            let length = u8::try_from(4 + tail.len()).expect("short");
            let mut bytes = [&[kind, 0, 0, length], tail].concat().repeat(number);
            let last = bytes.len() - 4 - tail.len();
            bytes[last] = 0;
            Payloads::parse(Some(PayloadType(kind)), &bytes).map(|payloads| payloads.len())
        };
        assert_eq!(chain(13, MAX_PAYLOADS, &[]), Ok(MAX_PAYLOADS));
        assert_eq!(chain(13, MAX_PAYLOADS + 1, &[]), Err(Malformed::TooManyPayloads));
        assert_eq!(chain(6, MAX_CERTIFICATES, &[4, 1]), Ok(MAX_CERTIFICATES));
        assert_eq!(chain(6, MAX_CERTIFICATES + 1, &[4, 1]), Err(Malformed::TooManyCertificates));
        assert_eq!(Payloads::parse(None, &vec![0; MAX_MESSAGE + 1]), Err(Malformed::MessageTooLong));
    }
}
