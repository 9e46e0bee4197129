//! Why a certificate is refused, in words for the operator.

use der::{Decode, SliceReader, asn1::ObjectIdentifier};

use super::{
    Certificate, Revocation, Role, UnixTime, certificate::purpose_text, chain::object_identifier, pem::PemError,
};
use crate::crypto::sign::UnsupportedKey;

/// Why a certificate is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    /// It is not a certificate, or a larger one than is accepted.
    #[error("the certificate is malformed")]
    Malformed,
    /// The peer sent none.
    #[error("there is no certificate in the message")]
    Missing,
    /// The file that should hold certificates does not.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// There is nothing to verify against.
    #[error("there is no trusted authority")]
    NoTrustAnchors,
    /// Its time has not come.
    #[error("the certificate of {subject} is not valid before {not_before}; is the clock right?")]
    NotYetValid {
        /// Whose certificate.
        subject: String,
        /// The first moment of its validity.
        not_before: UnixTime,
    },
    /// Its time is over.
    #[error("the certificate of {subject} expired at {not_after}")]
    Expired {
        /// Whose certificate.
        subject: String,
        /// The last moment of its validity.
        not_after: UnixTime,
    },
    /// No path leads to a trusted authority.
    #[error("the certificate of {subject} was issued by {issuer}, which is neither trusted nor sent along")]
    UnknownIssuer {
        /// The last certificate of the path.
        subject: String,
        /// Who is missing.
        issuer: String,
    },
    /// A signature of the path is wrong; most often an authority of the same name has another key.
    #[error("a signature in the chain of {subject} is wrong; does an authority of the same name have another key?")]
    BadSignature {
        /// Whose chain.
        subject: String,
    },
    /// A certificate of the path is signed in a way that is not supported.
    #[error("the chain of {subject} has a signature with {algorithm}, which is not supported")]
    UnsupportedSignature {
        /// Whose chain.
        subject: String,
        /// Name or number of the algorithm.
        algorithm: String,
    },
    /// extKeyUsage does not list a purpose of the role.
    #[error("the certificate of {subject} is for other purposes: {}, not {}", present.join(", "), wanted(*role))]
    BadEku {
        /// Whose certificate.
        subject: String,
        /// What it should be good for.
        role: Role,
        /// The purposes that it lists.
        present: Vec<String>,
    },
    /// keyUsage does not let the key sign.
    #[error("the certificate of {subject} has a key that may not sign (keyUsage without digitalSignature)")]
    BadKeyUsage {
        /// Whose certificate.
        subject: String,
    },
    /// The certificate of an authority is used as that of a peer.
    #[error("the certificate of {subject} is that of an authority and cannot be used by a peer")]
    CaAsEndEntity {
        /// Whose certificate.
        subject: String,
    },
    /// The chain breaks a rule of one of its authorities.
    #[error("the chain of {subject} is not allowed: {rule}")]
    Constraint {
        /// Whose chain.
        subject: String,
        /// The rule that is broken.
        rule: &'static str,
    },
    /// Too many certificates or too much work.
    #[error("the certificate chain is too long or too complex")]
    TooComplex,
    /// Its authority has taken the certificate back.
    #[error("the certificate of {subject} was revoked{}", since_text(*since))]
    Revoked {
        /// Whose certificate.
        subject: String,
        /// Since when, if that is known.
        since: Option<UnixTime>,
    },
    /// There is no list that would tell whether the certificate was revoked.
    #[error("there is no revocation list of {issuer} for the certificate of {subject}{}", places_text(uris))]
    CrlMissing {
        /// Whose certificate.
        subject: String,
        /// Whose list.
        issuer: String,
        /// Where the certificate, which is verified otherwise, says that the list can be had.
        uris: Vec<String>,
    },
    /// The list that would tell whether the certificate was revoked is out of date.
    #[error(
        "the revocation list of {issuer} for the certificate of {subject} should have been replaced at {next_update}{}",
        places_text(uris)
    )]
    CrlExpired {
        /// Whose certificate.
        subject: String,
        /// Whose list.
        issuer: String,
        /// When the next one was due.
        next_update: UnixTime,
        /// Where the certificate, which is verified otherwise, says that the list can be had.
        uris: Vec<String>,
    },
    /// A list has no good signature of its authority.
    #[error("a revocation list for the chain of {subject} is not acceptable: {reason}")]
    BadCrl {
        /// Whose chain.
        subject: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is not a revocation list, or one of a kind that is not supported.
    #[error("the revocation list cannot be read: {reason}")]
    MalformedCrl {
        /// Why not.
        reason: String,
    },
    /// The key of the certificate cannot be used.
    #[error("{0}")]
    UnsupportedKey(#[from] UnsupportedKey),
    /// The certificate speaks for others than the peer says it is.
    #[error("the certificate is not for {identity}, but for {}", names.join(", "))]
    NameMismatch {
        /// Who the peer says it is.
        identity: String,
        /// Names that the certificate has, the distinguished name last.
        names: Vec<String>,
    },
    /// Another rule of X.509, in the words of the library.
    #[error("the chain of {subject} is refused: {reason}")]
    Other {
        /// Whose chain.
        subject: String,
        /// The library's name for it.
        reason: String,
    },
}

impl CertError {
    /// Whether the only thing missing is a current revocation list that can be had by HTTP: it may come any moment.
    #[must_use]
    pub fn awaits_list(&self) -> bool {
        let can_be_had = |uri: &String| uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
        match self {
            Self::CrlMissing { uris, .. } | Self::CrlExpired { uris, .. } => uris.iter().any(can_be_had),
            _ => false,
        }
    }
}

fn wanted(role: Role) -> &'static str {
    match role {
        Role::Client => "clientAuth or ipsecIKE",
        Role::Server => "serverAuth or ipsecIKE",
        Role::Site => "serverAuth, clientAuth or ipsecIKE",
    }
}

fn since_text(since: Option<UnixTime>) -> String {
    since.map(|since| format!(" at {since}")).unwrap_or_default()
}

/// Where a list should be.
fn places_text(uris: &[String]) -> String {
    if uris.is_empty() { String::new() } else { format!(", which should be at {}", uris.join(", ")) }
}

/// What was being verified, to tell more than the library does.
pub(super) struct Context<'a> {
    pub(super) certificate: &'a Certificate,
    pub(super) intermediates: &'a [&'a [u8]],
    pub(super) role: Role,
    pub(super) revocation: Option<&'a Revocation>,
}

impl Context<'_> {
    /// Names the certificate at fault as far as it can be found.
    pub(super) fn explain(&self, error: &webpki::Error) -> CertError {
        use webpki::Error as E;
        let subject = self.certificate.subject_text();
        match error {
            E::UnknownIssuer => self.unknown_issuer(),
            E::CertExpired { not_after, .. } => {
                let not_after = UnixTime(std::time::Duration::from_secs(not_after.as_secs()));
                let subject = self.subject_of(|certificate| certificate.not_after() == not_after);
                CertError::Expired { subject, not_after }
            }
            E::CertNotValidYet { not_before, .. } => {
                let not_before = UnixTime(std::time::Duration::from_secs(not_before.as_secs()));
                let subject = self.subject_of(|certificate| certificate.not_before() == not_before);
                CertError::NotYetValid { subject, not_before }
            }
            E::InvalidSignatureForPublicKey => CertError::BadSignature { subject },
            E::UnsupportedSignatureAlgorithmContext(context) => {
                CertError::UnsupportedSignature { subject, algorithm: algorithm_text(&context.signature_algorithm_id) }
            }
            E::UnsupportedSignatureAlgorithmForPublicKeyContext(context) => {
                CertError::UnsupportedSignature { subject, algorithm: key_text(&context.public_key_algorithm_id) }
            }
            E::RequiredEkuNotFoundContext(context) => {
                let present = context.present.iter().filter_map(|arcs| object_identifier(arcs));
                let present: Vec<_> = present.map(|purpose| purpose_text(&purpose)).collect();
                let subject = self.subject_of(|certificate| certificate.key_purposes().as_ref() == Some(&present));
                CertError::BadEku { subject, role: self.role, present }
            }
            E::CaUsedAsEndEntity => CertError::CaAsEndEntity { subject },
            E::EndEntityUsedAsCa => {
                CertError::Constraint { subject, rule: "a certificate that is no authority's has issued another" }
            }
            E::PathLenConstraintViolated => {
                CertError::Constraint { subject, rule: "an authority may not have so many authorities below it" }
            }
            E::NameConstraintViolation => {
                CertError::Constraint { subject, rule: "its names are outside of those its authority may certify" }
            }
            E::UnsupportedCriticalExtension => {
                CertError::Constraint { subject, rule: "a critical extension is not supported" }
            }
            E::MaximumSignatureChecksExceeded
            | E::MaximumPathBuildCallsExceeded
            | E::MaximumPathDepthExceeded
            | E::MaximumNameConstraintComparisonsExceeded => CertError::TooComplex,
            E::CertRevoked => self.revoked(),
            E::InvalidCrlSignatureForPublicKey => {
                CertError::BadCrl { subject, reason: "its signature is not that of the authority".into() }
            }
            E::IssuerNotCrlSigner => CertError::BadCrl {
                subject,
                reason: "the authority may not sign lists (keyUsage without cRLSign)".into(),
            },
            E::UnsupportedCrlSignatureAlgorithmContext(context) => CertError::BadCrl {
                subject,
                reason: format!("it is signed with {}", algorithm_text(&context.signature_algorithm_id)),
            },
            E::BadDer | E::BadDerTime | E::TrailingData(_) | E::MalformedExtensions => CertError::Malformed,
            other => CertError::Other { subject, reason: other.to_string() },
        }
    }

    /// Follows the issuers through what the peer has sent, to the one that is missing.
    fn unknown_issuer(&self) -> CertError {
        let others: Vec<_> = self.others().collect();
        let mut last = self.certificate;
        for _ in 0..others.len() {
            let issuer = others.iter().find(|other| other.subject() == last.issuer() && other.der() != last.der());
            match issuer {
                Some(issuer) => last = issuer,
                None => break,
            }
        }
        CertError::UnknownIssuer { subject: last.subject_text(), issuer: last.issuer_text() }
    }

    /// The certificate of the chain that is on a list.
    fn revoked(&self) -> CertError {
        let since = |certificate: &Certificate| self.revocation?.revoked_since(certificate);
        let found = std::iter::once(self.certificate.clone()).chain(self.others());
        let revoked = found.map(|certificate| (since(&certificate), certificate)).find(|(since, _)| since.is_some());
        let (since, certificate) = revoked.unwrap_or_else(|| (None, self.certificate.clone()));
        CertError::Revoked { subject: certificate.subject_text(), since }
    }

    fn subject_of(&self, at_fault: impl Fn(&Certificate) -> bool) -> String {
        let found = self.others().find(|other| at_fault(other));
        found.as_ref().unwrap_or(self.certificate).subject_text()
    }

    fn others(&self) -> impl Iterator<Item = Certificate> {
        self.intermediates.iter().filter_map(|der| Certificate::from_der(der).ok())
    }
}

/// Names the algorithm of a signature by the contents of its AlgorithmIdentifier.
fn algorithm_text(identifier: &[u8]) -> String {
    let Some((number, _)) = object_identifiers(identifier) else { return "an unreadable algorithm".into() };
    match number.to_string().as_str() {
        "1.2.840.113549.1.1.4" => "MD5 and RSA".into(),
        "1.2.840.113549.1.1.5" => "SHA-1 and RSA".into(),
        "1.2.840.113549.1.1.10" => "RSASSA-PSS of uncommon parameters".into(),
        "1.2.840.10045.4.1" => "SHA-1 and ECDSA".into(),
        "1.2.840.10045.4.3.4" => "SHA-512 and ECDSA".into(),
        "1.3.101.113" => "Ed448".into(),
        number => format!("the algorithm {number}"),
    }
}

/// Names the key of an authority by the contents of its AlgorithmIdentifier.
fn key_text(identifier: &[u8]) -> String {
    match object_identifiers(identifier) {
        Some((_, Some(curve))) if curve.to_string() == "1.3.132.0.35" => "a key on the curve P-521".into(),
        Some((_, Some(curve))) => format!("a key on the curve {curve}"),
        Some((algorithm, None)) => format!("a key of the algorithm {algorithm}"),
        None => "a key of an unreadable algorithm".into(),
    }
}

/// The algorithm, and the curve if that is its parameter.
fn object_identifiers(identifier: &[u8]) -> Option<(ObjectIdentifier, Option<ObjectIdentifier>)> {
    let mut reader = SliceReader::new(identifier).ok()?;
    let algorithm = ObjectIdentifier::decode(&mut reader).ok()?;
    Some((algorithm, ObjectIdentifier::decode(&mut reader).ok()))
}
