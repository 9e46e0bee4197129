//! Any payload of IKEv2, and a whole chain of them.

use super::{
    Authentication, Certificate, CertificateRequest, Configuration, Delete, Eap, Encrypted, EncryptedFragment,
    Identification, KeyExchange, Nonce, Notify, SecurityAssociation, TrafficSelectors, VendorId,
};
use crate::wire::chain::{Chain, RawPayload};
use crate::wire::limits::{MAX_CERTIFICATES, MAX_MESSAGE};
use crate::wire::num::PayloadType;
use crate::wire::{Malformed, Writer};

/// One payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// SA.
    SecurityAssociation(SecurityAssociation),
    /// KE.
    KeyExchange(KeyExchange<'a>),
    /// IDi.
    IdInitiator(Identification<'a>),
    /// IDr.
    IdResponder(Identification<'a>),
    /// CERT.
    Certificate(Certificate<'a>),
    /// CERTREQ.
    CertificateRequest(CertificateRequest<'a>),
    /// AUTH.
    Authentication(Authentication<'a>),
    /// Ni or Nr.
    Nonce(Nonce<'a>),
    /// N.
    Notify(Notify<'a>),
    /// D.
    Delete(Delete),
    /// V.
    VendorId(VendorId<'a>),
    /// TSi.
    TsInitiator(TrafficSelectors),
    /// TSr.
    TsResponder(TrafficSelectors),
    /// SK.
    Encrypted(Encrypted<'a>),
    /// SKF.
    EncryptedFragment(EncryptedFragment<'a>),
    /// CP.
    Configuration(Configuration<'a>),
    /// EAP.
    Eap(Eap<'a>),
    /// A type that IKEv2 has not or that we do not know.
    Unknown(Unknown<'a>),
}

/// A payload that we do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown<'a> {
    /// Its type.
    pub kind: PayloadType,
    /// The message must be rejected, RFC 7296 section 2.5.
    pub critical: bool,
    /// Its bytes.
    pub body: &'a [u8],
}

/// All payloads of a chain, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payloads<'a>(Vec<Payload<'a>>);

/// Why a chain was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The bytes are no chain of payloads. Where an answer is allowed it is INVALID_SYNTAX.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A payload of unknown type has the critical bit. The answer, to a request, is UNSUPPORTED_CRITICAL_PAYLOAD with
    /// this type as its data.
    #[error("unsupported critical payload of type {0}")]
    UnsupportedCritical(PayloadType),
}

impl<'a> Payload<'a> {
    /// Gives meaning to one payload of a chain. The critical bit of types that we know is ignored.
    ///
    /// # Errors
    /// What the parser of its type says.
    pub fn parse(raw: &RawPayload<'a>) -> Result<Self, Malformed> {
        let body = raw.body;
        Ok(match raw.kind {
            PayloadType::SECURITY_ASSOCIATION => Self::SecurityAssociation(SecurityAssociation::parse(body)?),
            PayloadType::KEY_EXCHANGE => Self::KeyExchange(KeyExchange::parse(body)?),
            PayloadType::IDI => Self::IdInitiator(Identification::parse(body)?),
            PayloadType::IDR => Self::IdResponder(Identification::parse(body)?),
            PayloadType::CERTIFICATE => Self::Certificate(Certificate::parse(body)?),
            PayloadType::CERTIFICATE_REQUEST => Self::CertificateRequest(CertificateRequest::parse(body)?),
            PayloadType::AUTHENTICATION => Self::Authentication(Authentication::parse(body)?),
            PayloadType::NONCE => Self::Nonce(Nonce::parse(body)?),
            PayloadType::NOTIFY => Self::Notify(Notify::parse(body)?),
            PayloadType::DELETE => Self::Delete(Delete::parse(body)?),
            PayloadType::VENDOR_ID => Self::VendorId(VendorId::parse(body)),
            PayloadType::TSI => Self::TsInitiator(TrafficSelectors::parse(body)?),
            PayloadType::TSR => Self::TsResponder(TrafficSelectors::parse(body)?),
            PayloadType::ENCRYPTED => Self::Encrypted(Encrypted::from_raw(raw)),
            PayloadType::ENCRYPTED_FRAGMENT => Self::EncryptedFragment(EncryptedFragment::from_raw(raw)?),
            PayloadType::CONFIGURATION => Self::Configuration(Configuration::parse(body)?),
            PayloadType::EAP => Self::Eap(Eap::parse(body)?),
            kind => Self::Unknown(Unknown { kind, critical: raw.critical, body }),
        })
    }

    /// Appends the payload body, without the generic payload header.
    pub fn emit(&self, out: &mut Writer) {
        match self {
            Self::SecurityAssociation(p) => p.emit(out),
            Self::KeyExchange(p) => p.emit(out),
            Self::IdInitiator(p) | Self::IdResponder(p) => p.emit(out),
            Self::Certificate(p) => p.emit(out),
            Self::CertificateRequest(p) => p.emit(out),
            Self::Authentication(p) => p.emit(out),
            Self::Nonce(p) => p.emit(out),
            Self::Notify(p) => p.emit(out),
            Self::Delete(p) => p.emit(out),
            Self::VendorId(p) => p.emit(out),
            Self::TsInitiator(p) | Self::TsResponder(p) => p.emit(out),
            Self::Encrypted(p) => p.emit(out),
            Self::EncryptedFragment(p) => p.emit(out),
            Self::Configuration(p) => p.emit(out),
            Self::Eap(p) => p.emit(out),
            Self::Unknown(p) => out.bytes(p.body),
        }
    }

    /// The type under which the payload is sent.
    pub fn kind(&self) -> PayloadType {
        match self {
            Self::SecurityAssociation(_) => PayloadType::SECURITY_ASSOCIATION,
            Self::KeyExchange(_) => PayloadType::KEY_EXCHANGE,
            Self::IdInitiator(_) => PayloadType::IDI,
            Self::IdResponder(_) => PayloadType::IDR,
            Self::Certificate(_) => PayloadType::CERTIFICATE,
            Self::CertificateRequest(_) => PayloadType::CERTIFICATE_REQUEST,
            Self::Authentication(_) => PayloadType::AUTHENTICATION,
            Self::Nonce(_) => PayloadType::NONCE,
            Self::Notify(_) => PayloadType::NOTIFY,
            Self::Delete(_) => PayloadType::DELETE,
            Self::VendorId(_) => PayloadType::VENDOR_ID,
            Self::TsInitiator(_) => PayloadType::TSI,
            Self::TsResponder(_) => PayloadType::TSR,
            Self::Encrypted(_) => PayloadType::ENCRYPTED,
            Self::EncryptedFragment(_) => PayloadType::ENCRYPTED_FRAGMENT,
            Self::Configuration(_) => PayloadType::CONFIGURATION,
            Self::Eap(_) => PayloadType::EAP,
            Self::Unknown(p) => p.kind,
        }
    }

    /// The critical bit to send: zero for all types of RFC 7296 (section 3.2).
    pub(super) fn critical(&self) -> bool {
        matches!(self, Self::Unknown(Unknown { critical: true, .. }))
    }

    /// The Next Payload field, if the payload decides it itself: the type of the first payload inside it.
    pub(super) fn inner(&self) -> Option<PayloadType> {
        match self {
            Self::Encrypted(p) => p.inner,
            Self::EncryptedFragment(p) => p.inner,
            _ => None,
        }
    }
}

impl<'a> Payloads<'a> {
    /// Parses the whole chain in `bytes`, whose first payload has the type `first`.
    ///
    /// # Errors
    /// At the first payload that is malformed or unknown and critical, or if a limit of
    /// [`limits`](crate::wire::limits) is passed.
    pub fn parse(first: Option<PayloadType>, bytes: &'a [u8]) -> Result<Self, PayloadError> {
        if bytes.len() > MAX_MESSAGE {
            return Err(Malformed::MessageTooLong.into());
        }
        let mut payloads = Vec::new();
        let mut certificates = 0_usize..=MAX_CERTIFICATES;
        for raw in Chain::new(first, bytes) {
            let payload = Payload::parse(&raw?)?;
            match payload {
                Payload::Unknown(Unknown { kind, critical: true, .. }) => {
                    return Err(PayloadError::UnsupportedCritical(kind));
                }
                Payload::Certificate(_) => {
                    certificates.next();
                }
                _ => {}
            }
            if certificates.is_empty() {
                return Err(Malformed::TooManyCertificates.into());
            }
            payloads.push(payload);
        }
        Ok(Self(payloads))
    }

    /// The payloads in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Payload<'a>> {
        self.0.iter()
    }

    /// Their number.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for Payloads<'a> {
    type Item = Payload<'a>;
    type IntoIter = std::vec::IntoIter<Payload<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'s, 'a> IntoIterator for &'s Payloads<'a> {
    type Item = &'s Payload<'a>;
    type IntoIter = std::slice::Iter<'s, Payload<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
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
    use crate::wire::limits::MAX_PAYLOADS;
    use crate::wire::num::{CertEncoding, NotifyType};
    use crate::wire::v2::ChainBuilder;

    fn chain(payloads: &[Payload<'_>]) -> (Option<PayloadType>, Vec<u8>) {
        let mut builder = ChainBuilder::new();
        for payload in payloads {
            builder.push(payload);
        }
        builder.finish().expect("short")
    }

    fn unknown(critical: bool) -> Payload<'static> {
        Payload::Unknown(Unknown { kind: PayloadType(200), critical, body: b"?" })
    }

    #[test]
    fn parses_an_empty_chain() {
        assert!(Payloads::parse(None, &[]).expect("valid").is_empty());
    }

    #[test]
    fn lets_unknown_payloads_survive() {
        let (first, bytes) = chain(&[unknown(false), Payload::Nonce(Nonce(&[1; 16]))]);
        assert_eq!(bytes[..5], [40, 0, 0, 5, b'?']);
        let payloads = Payloads::parse(first, &bytes).expect("valid");
        assert_eq!(payloads.iter().collect::<Vec<_>>(), [&unknown(false), &Payload::Nonce(Nonce(&[1; 16]))]);
    }

    #[test]
    fn names_the_unknown_payload_that_is_critical() {
        let (first, bytes) = chain(&[Payload::Nonce(Nonce(&[1; 16])), unknown(true)]);
        assert_eq!(Payloads::parse(first, &bytes), Err(PayloadError::UnsupportedCritical(PayloadType(200))));
    }

    #[test]
    fn ignores_the_critical_bit_of_known_payloads() {
        let (first, mut bytes) = chain(&[Payload::Nonce(Nonce(&[1; 16]))]);
        bytes[1] = 0x80;
        assert_eq!(Payloads::parse(first, &bytes).map(|p| p.len()), Ok(1));
    }

    #[test]
    fn treats_the_types_of_ikev1_as_unknown() {
        for kind in [1, 4, 10, 13, 20, 132] {
            let payloads = Payloads::parse(Some(PayloadType(kind)), &[0, 0, 0, 4]).expect("valid");
            assert!(matches!(payloads.iter().next(), Some(Payload::Unknown(_))), "{kind}");
        }
    }

    #[test]
    fn rejects_every_truncation_of_a_chain() {
        let (first, bytes) = chain(&[
            Payload::Notify(Notify::new(NotifyType::COOKIE, b"cookie")),
            Payload::VendorId(VendorId(b"vendor")),
            Payload::Nonce(Nonce(&[1; 16])),
        ]);
        for len in 0..bytes.len() {
            assert!(Payloads::parse(first, &bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn limits_certificates_payloads_and_size() {
        let cert = Payload::Certificate(Certificate { encoding: CertEncoding::X509_SIGNATURE, data: b"c" });
        let parsed = |payloads: Vec<Payload<'_>>| {
            let (first, bytes) = chain(&payloads);
            Payloads::parse(first, &bytes).map(|p| p.len())
        };
        assert_eq!(parsed(vec![cert.clone(); MAX_CERTIFICATES]), Ok(MAX_CERTIFICATES));
        assert_eq!(parsed(vec![cert; MAX_CERTIFICATES + 1]), Err(Malformed::TooManyCertificates.into()));
        assert_eq!(parsed(vec![unknown(false); MAX_PAYLOADS + 1]), Err(Malformed::TooManyPayloads.into()));
        let huge = vec![0; MAX_MESSAGE + 1];
        assert_eq!(Payloads::parse(None, &huge), Err(Malformed::MessageTooLong.into()));
    }
}
