//! Which certificates vouched for a peer, so that a revocation list that comes later can be held against them (RFC 5280
//! section 5.3).
//!
//! Kept are the names by which lists know certificates, and the authorities in between, whose keys sign lists.
//!
//! Does not: keep the peer's own certificate, or look for lists.

use webpki::{Cert, VerifiedPath};

use super::{CertError, Certificate, RevocationList, UnixTime};

/// The path from a peer's certificate to a trusted authority, as far as lists are concerned. Empty: no certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificatePath(Vec<Named>);

/// One certificate of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its subject for people, RFC 4514.
    pub(crate) subject: String,
    /// Who has issued it: the DER of a distinguished name.
    pub(crate) issuer: Vec<u8>,
    /// Its number, without tag and length.
    serial: Vec<u8>,
    /// The DER of its issuer's certificate, if that one was sent along; `None`: a trusted authority.
    authority: Option<Vec<u8>>,
}

impl CertificatePath {
    /// What is kept of a path that holds.
    pub(super) fn of(path: &VerifiedPath<'_>) -> Result<Self, CertError> {
        let end_entity: &Cert<'_> = path.end_entity();
        let certificates: Vec<&Cert<'_>> =
            std::iter::once(end_entity).chain(path.intermediate_certificates()).collect();
        let issuers = certificates.iter().skip(1).map(|issuer| Some(issuer.der().to_vec())).chain([None]);
        certificates.iter().zip(issuers).map(|(certificate, issuer)| Named::of(certificate, issuer)).collect()
    }

    /// Whether nobody was vouched for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn named(&self) -> impl Iterator<Item = &Named> {
        self.0.iter()
    }
}

impl FromIterator<Named> for CertificatePath {
    fn from_iter<T: IntoIterator<Item = Named>>(named: T) -> Self {
        Self(named.into_iter().collect())
    }
}

impl Named {
    fn of(certificate: &Cert<'_>, authority: Option<Vec<u8>>) -> Result<Self, CertError> {
        let read = Certificate::from_der(&certificate.der())?;
        let serial = certificate.serial().to_vec();
        Ok(Self { subject: read.subject_text(), issuer: read.issuer().to_vec(), serial, authority })
    }

    /// Since when a list says that the certificate is revoked, if it does and is signed by the right key. `trusted` are the
    /// authorities in which the path may end.
    pub(crate) fn revoked_since<'a>(
        &self,
        list: &RevocationList,
        mut trusted: impl Iterator<Item = &'a Certificate>,
    ) -> Option<UnixTime> {
        let since = list.entry(&self.issuer, &self.serial)?;
        let is_genuine = match &self.authority {
            Some(der) => Certificate::from_der(der).is_ok_and(|authority| list.is_signed_by(&authority)),
            None => trusted.any(|authority| list.is_signed_by(authority)),
        };
        is_genuine.then_some(since)
    }
}
