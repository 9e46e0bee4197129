//! The authorities of client certificates, for EAP-TLS: the same verification as that of IKE itself.
//!
//! A certificate whose revocation list may come any moment is none to be refused while TLS asks for it, which cannot wait. Whether
//! it lets somebody in is decided afterwards, with the list.

use std::sync::Arc;
use std::time::Duration;

use cygnet_ike::UnixTime;
use cygnet_ike::cert::{CertError, Role};
use cygnet_ike::credential::Authorities;
use cygnet_ppp::auth::eap::tls::{CertificateProblem, CertificateRefused, ClientCertificates};

/// Asks the authorities that IKE asks, too.
pub struct ClientAuthorities(pub Arc<Authorities>);

impl ClientCertificates for ClientAuthorities {
    fn verify(&self, certificate: &[u8], others: &[&[u8]], wall: Duration) -> Result<(), CertificateRefused> {
        let certificates = [&[certificate][..], others].concat();
        match self.0.verify(&certificates, UnixTime(wall), Role::Client) {
            Ok(_) => Ok(()),
            Err(error) if error.awaits_list() => Ok(()),
            Err(error) => Err(refused(&error)),
        }
    }

    fn authorities(&self) -> Vec<Vec<u8>> {
        self.0.certificates().iter().map(|authority| authority.subject().to_vec()).collect()
    }
}

/// What the client hears, and a sentence with what to change.
pub(crate) fn refused(error: &CertError) -> CertificateRefused {
    use CertificateProblem as P;
    let (problem, fix) = match error {
        CertError::Malformed | CertError::BadSignature { .. } | CertError::Missing => (P::Bad, None),
        CertError::Expired { .. } => (P::Expired, Some("renew it, or correct the gateway's clock")),
        CertError::NotYetValid { .. } => (P::Expired, None),
        CertError::Revoked { .. } => (P::Revoked, Some("give the client a new certificate if it should come in")),
        CertError::CrlMissing { uris, .. } if uris.is_empty() => {
            (P::UnknownAuthority, Some("add the revocation list of that authority to crl_files, or relax crl"))
        }
        CertError::CrlMissing { .. } | CertError::CrlExpired { .. } | CertError::BadCrl { .. } => (
            P::UnknownAuthority,
            Some("make sure that the gateway reaches the address of the list, or add it to crl_files, or relax crl"),
        ),
        CertError::UnknownIssuer { .. } => (
            P::UnknownAuthority,
            Some("give the client a certificate of an authority that `ca` names, or add its authority"),
        ),
        CertError::BadEku { .. } | CertError::BadKeyUsage { .. } | CertError::CaAsEndEntity { .. } => {
            (P::Unsupported, Some("give the client a certificate for clients (clientAuth)"))
        }
        _ => (P::Other, None),
    };
    let text = error.to_string();
    let reason = fix.map_or_else(|| text.clone(), |fix| format!("{text}; {fix}"));
    CertificateRefused { problem, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_change() {
        let subject = || "CN=alice".to_owned();
        let not_after = UnixTime::from_secs(0);
        let expired = refused(&CertError::Expired { subject: subject(), not_after });
        assert_eq!(expired.problem, CertificateProblem::Expired);
        let text =
            "the certificate of CN=alice expired at 1970-01-01T00:00:00Z; renew it, or correct the gateway's clock";
        assert_eq!(expired.reason, text);
        let unknown = refused(&CertError::UnknownIssuer { subject: subject(), issuer: "CN=Other".to_owned() });
        assert_eq!(unknown.problem, CertificateProblem::UnknownAuthority);
        assert!(unknown.reason.contains("; give the client a certificate of an authority that `ca` names"));
    }
}
