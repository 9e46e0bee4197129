//! Certificate revocation lists, RFC 5280 section 5: which certificates their authorities have taken back.
//!
//! Signatures, scopes and serial numbers are the work of `webpki`; whether a list is there and current, and what follows if
//! it is not, is ours, since operators want it in three degrees ([`RevocationPolicy`]).
//!
//! A certificate whose list is missing is refused or accepted at once by the policy, and [`CertError::CrlMissing`] tells the
//! addresses where it can be had, which stand in certificates that were verified up to a trusted authority. Whether a login
//! then waits is the matter of its protocol.
//!
//! Does not: fetch or store lists, indirect lists, lists by reason, delta lists, OCSP.

use der::asn1::{BitStringRef, ObjectIdentifier};
use der::{Decode, Encode, Reader, SliceReader};
use rustls_pki_types::CertificateDer;
use webpki::{
    ALL_VERIFICATION_ALGS, CertRevocationList, EndEntityCert, ExpirationPolicy, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptions, RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
};
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::spki::AlgorithmIdentifierRef;

use super::certificate::full_name_uris;
use super::{CertError, Certificate, UnixTime};
use crate::identity::dn_text;

/// Longest list in bytes.
pub const MAX_REVOCATION_LIST: usize = 16 * 1024 * 1024;

/// id-ce-issuingDistributionPoint, RFC 5280 section 5.2.5.
const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");

/// What a certificate is worth whose list is missing or out of date. A certificate that is on a list is never accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum RevocationPolicy {
    /// Nothing.
    Strict,
    /// Nothing if it says where its list can be had, otherwise it is accepted.
    IfUri,
    /// It is accepted.
    #[default]
    Relaxed,
}

/// A certificate revocation list that could be read. Its signature is verified whenever it is used.
#[derive(Debug)]
pub struct RevocationList {
    list: CertRevocationList<'static>,
    der: Vec<u8>,
    this_update: UnixTime,
    next_update: Option<UnixTime>,
    scope: Option<Scope>,
}

/// The certificates of its issuer that a list is about, if not all.
#[derive(Debug)]
struct Scope {
    users_only: bool,
    authorities_only: bool,
    uris: Vec<String>,
}

/// Lists, and what to do without.
#[derive(Debug, Default)]
pub struct Revocation {
    policy: RevocationPolicy,
    /// The newest first.
    lists: Vec<RevocationList>,
}

impl RevocationList {
    /// Reads DER.
    ///
    /// # Errors
    /// [`CertError::MalformedCrl`], also for lists of the kinds that are not supported.
    pub fn from_der(der: &[u8]) -> Result<Self, CertError> {
        if der.len() > MAX_REVOCATION_LIST {
            return Err(CertError::MalformedCrl { reason: "it is longer than 16 MiB".into() });
        }
        let list = OwnedCertRevocationList::from_der(der);
        let list = list.map_err(|error| CertError::MalformedCrl { reason: error.to_string() })?;
        Self::read(list.into(), der).map_err(|error| CertError::MalformedCrl { reason: error.to_string() })
    }

    fn read(list: CertRevocationList<'static>, der: &[u8]) -> der::Result<Self> {
        let parsed = <CertificateList>::from_der(der)?.tbs_cert_list;
        let extensions = parsed.crl_extensions.unwrap_or_default();
        let point = extensions.iter().find(|extension| extension.extn_id == ISSUING_DISTRIBUTION_POINT);
        let scope = point.map(|point| Scope::read(point.extn_value.as_bytes())).transpose()?;
        let this_update = UnixTime(parsed.this_update.to_unix_duration());
        let next_update = parsed.next_update.map(|time| UnixTime(time.to_unix_duration()));
        Ok(Self { list, der: der.to_vec(), this_update, next_update, scope })
    }

    /// The list itself.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The issuer's distinguished name for people, RFC 4514.
    #[must_use]
    pub fn issuer_text(&self) -> String {
        dn_text(&self.issuer())
    }

    /// When it was issued.
    #[must_use]
    pub fn this_update(&self) -> UnixTime {
        self.this_update
    }

    /// When the next one is due; `None`: it does not say.
    #[must_use]
    pub fn next_update(&self) -> Option<UnixTime> {
        self.next_update
    }

    /// Whether the next one should be there.
    #[must_use]
    pub fn is_stale(&self, now: UnixTime) -> bool {
        self.next_update.is_some_and(|next| next < now)
    }

    /// Whether this certificate's key has signed the list, and its name is that of the issuer. Lists come over connections
    /// that anybody can forge: whoever keeps one should ask before.
    #[must_use]
    pub fn is_signed_by(&self, authority: &Certificate) -> bool {
        self.is_issued_by(authority) && self.has_signature_of(authority).unwrap_or(false)
    }

    /// Whether the list has the name of this authority as its issuer.
    pub(crate) fn is_issued_by(&self, authority: &Certificate) -> bool {
        self.issuer() == authority.subject()
    }

    fn has_signature_of(&self, authority: &Certificate) -> der::Result<bool> {
        let mut outer = SliceReader::new(&self.der)?;
        let header = der::Header::decode(&mut outer)?;
        let mut inner = SliceReader::new(outer.read_slice(header.length())?)?;
        let signed = inner.tlv_bytes()?;
        let algorithm = AlgorithmIdentifierRef::decode(&mut inner)?.to_der()?;
        let signature = BitStringRef::decode(&mut inner)?;
        let der = CertificateDer::from(authority.der());
        let (Ok(key), Some(signature)) = (EndEntityCert::try_from(&der), signature.as_bytes()) else {
            return Ok(false);
        };
        // An identifier of the library is the contents of the sequence.
        let fits = |known: &[u8]| algorithm.ends_with(known) && algorithm.len() == known.len() + 2;
        let mut algorithms = ALL_VERIFICATION_ALGS.iter().filter(|known| fits(&known.signature_alg_id()));
        Ok(algorithms.any(|known| key.verify_signature(*known, signed, signature).is_ok()))
    }

    /// The DER of the issuer's distinguished name.
    fn issuer(&self) -> Vec<u8> {
        sequence(self.list.issuer())
    }

    /// Since when a certificate is on this list, known by the DER of its issuer's name and its number.
    pub(crate) fn entry(&self, issuer: &[u8], serial: &[u8]) -> Option<UnixTime> {
        if self.issuer() != issuer {
            return None;
        }
        let entry = self.list.find_serial(serial).ok()??;
        Some(UnixTime::from_secs(entry.revocation_date.as_secs()))
    }

    /// Whether the library finds the certificate's state in this list.
    fn is_about(&self, certificate: &Certificate) -> bool {
        let covers = |scope: &Scope| {
            let fits_role = if certificate.is_ca() { !scope.users_only } else { !scope.authorities_only };
            let names_it = |uri: &String| scope.uris.contains(uri);
            fits_role && (!certificate.has_crl_points() || certificate.crl_uris().iter().any(names_it))
        };
        self.issuer() == certificate.issuer() && self.scope.as_ref().is_none_or(covers)
    }
}

impl Scope {
    fn read(der: &[u8]) -> der::Result<Self> {
        let point = IssuingDistributionPoint::from_der(der)?;
        Ok(Self {
            users_only: point.only_contains_user_certs,
            authorities_only: point.only_contains_ca_certs,
            uris: full_name_uris(point.distribution_point.as_ref()),
        })
    }
}

impl Revocation {
    /// These lists, and what to do without.
    #[must_use]
    pub fn new(policy: RevocationPolicy, mut lists: Vec<RevocationList>) -> Self {
        // The library takes the first that fits.
        lists.sort_by_key(|list| std::cmp::Reverse(list.this_update));
        Self { policy, lists }
    }

    /// What to do without a list.
    #[must_use]
    pub fn policy(&self) -> RevocationPolicy {
        self.policy
    }

    /// The lists, the newest first.
    #[must_use]
    pub fn lists(&self) -> &[RevocationList] {
        &self.lists
    }

    /// The lists as the library wants them.
    pub(super) fn references(&self) -> Vec<&CertRevocationList<'static>> {
        self.lists.iter().map(|list| &list.list).collect()
    }

    /// What the library does with them: a missing or old list is our matter.
    pub(super) fn options<'a>(lists: &'a [&'a CertRevocationList<'a>]) -> Option<RevocationOptions<'a>> {
        let options = RevocationOptionsBuilder::new(lists).ok()?;
        let options = options.with_depth(RevocationCheckDepth::Chain).with_status_policy(UnknownStatusPolicy::Allow);
        Some(options.with_expiration_policy(ExpirationPolicy::Ignore).build())
    }

    /// Whether the lists for the certificates of a path are there and current, as far as the policy demands it.
    pub(super) fn check_path(&self, path: &VerifiedPath<'_>, now: UnixTime) -> Result<(), CertError> {
        let intermediates = path.intermediate_certificates().map(webpki::Cert::der);
        let end_entity = path.end_entity().der();
        for der in std::iter::once(end_entity).chain(intermediates) {
            self.check(&Certificate::from_der(&der)?, now)?;
        }
        Ok(())
    }

    fn check(&self, certificate: &Certificate, now: UnixTime) -> Result<(), CertError> {
        let demanded = match self.policy {
            RevocationPolicy::Strict => true,
            RevocationPolicy::IfUri => !certificate.crl_uris().is_empty(),
            RevocationPolicy::Relaxed => false,
        };
        if !demanded {
            return Ok(());
        }
        let (subject, issuer) = (certificate.subject_text(), certificate.issuer_text());
        let uris = certificate.crl_uris().to_vec();
        match self.lists.iter().find(|list| list.is_about(certificate)) {
            None => Err(CertError::CrlMissing { subject, issuer, uris }),
            Some(list) => match list.next_update.filter(|next| *next < now) {
                Some(next_update) => Err(CertError::CrlExpired { subject, issuer, next_update, uris }),
                None => Ok(()),
            },
        }
    }

    /// Since when a certificate is on a list.
    pub(super) fn revoked_since(&self, certificate: &Certificate) -> Option<UnixTime> {
        let der = CertificateDer::from(certificate.der());
        let parsed = EndEntityCert::try_from(&der).ok()?;
        let entry = self.lists.iter().filter(|list| list.is_about(certificate)).find_map(|list| {
            let entry = list.list.find_serial(parsed.serial()).ok()??;
            Some(entry.revocation_date)
        })?;
        Some(UnixTime::from_secs(entry.as_secs()))
    }
}

/// Contents as a DER sequence.
fn sequence(contents: &[u8]) -> Vec<u8> {
    let header = der::Length::try_from(contents.len()).map(|length| der::Header::new(der::Tag::Sequence, length));
    let header = header.and_then(|header| header.to_der()).unwrap_or_default();
    [header.as_slice(), contents].concat()
}
