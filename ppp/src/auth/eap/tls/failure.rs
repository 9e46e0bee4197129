//! Why a TLS handshake came to nothing, in words for the operator.

use rustls::{AlertDescription, Error};

/// Why EAP-TLS let nobody in.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// The client has none, or none from the authorities that we named.
    #[error(
        "the client sent no certificate; install one on the device, with its private key, from an authority that `ca` names"
    )]
    NoCertificate,
    /// The client's certificate is not good; the text of [`CertificateRefused`](super::CertificateRefused).
    #[error("{0}")]
    Certificate(String),
    /// The client does not know who issued our certificate, or expects another name in it.
    #[error(
        "the client does not trust our certificate (TLS alert {alert}); install the authority of our certificate on the \
         device, and let the server name there be one of the certificate"
    )]
    Distrusted {
        /// The alert's name.
        alert: String,
    },
    /// The client says that the time of our certificate is over.
    #[error(
        "the client takes our certificate for expired or revoked; renew the certificate, or correct the device's clock"
    )]
    OwnExpired,
    /// Nothing in common.
    #[error(
        "client and gateway have no TLS version or cipher suite in common ({0}); the gateway takes TLS 1.2 and 1.3 with \
         (EC)DHE and AES-GCM or ChaCha20, so update the client"
    )]
    Incompatible(String),
    /// The client broke the handshake off for another reason.
    #[error("the client broke the TLS handshake off (TLS alert {alert}); its log says why")]
    Alert {
        /// The alert's name.
        alert: String,
    },
    /// The client breaks the rules of TLS.
    #[error("the TLS handshake failed: {0}")]
    Protocol(String),
    /// The client stops in the middle of the handshake.
    #[error("the client stopped in the middle of the TLS handshake")]
    Stopped,
    /// Too many packets.
    #[error("the TLS handshake takes too many packets; let the device send larger ones, or fewer certificates")]
    TooLong,
}

impl TlsFailure {
    /// The reason of an error of the TLS library. `refusal` is why the client's certificate was refused, if it was.
    pub(super) fn of(error: &Error, refusal: Option<&str>) -> Self {
        match (error, refusal) {
            (Error::AlertReceived(alert), _) => Self::of_alert(*alert),
            (_, Some(reason)) => Self::Certificate(reason.to_owned()),
            (Error::NoCertificatesPresented, _) => Self::NoCertificate,
            (Error::PeerIncompatible(what), _) => Self::Incompatible(format!("{what:?}")),
            (other, _) => Self::Protocol(other.to_string()),
        }
    }

    fn of_alert(alert: AlertDescription) -> Self {
        use AlertDescription as A;
        let name = alert.as_str().map_or_else(|| format!("{}", u8::from(alert)), snake_case);
        match alert {
            A::UnknownCA | A::BadCertificate | A::CertificateUnknown | A::UnsupportedCertificate | A::AccessDenied => {
                Self::Distrusted { alert: name }
            }
            A::CertificateExpired | A::CertificateRevoked => Self::OwnExpired,
            A::ProtocolVersion | A::HandshakeFailure | A::InsufficientSecurity => Self::Incompatible(name),
            _ => Self::Alert { alert: name },
        }
    }
}

/// `UnknownCA` as the RFC writes it: `unknown_ca`.
fn snake_case(name: &str) -> String {
    let mut out = String::new();
    let mut before_is_lower = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && before_is_lower {
            out.push('_');
        }
        before_is_lower = letter.is_ascii_lowercase();
        out.push(letter.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_the_names_of_the_rfc() {
        for (alert, name) in [
            (AlertDescription::UnknownCA, "unknown_ca"),
            (AlertDescription::BadCertificate, "bad_certificate"),
            (AlertDescription::UserCanceled, "user_canceled"),
            (AlertDescription::Unknown(200), "200"),
        ] {
            let text = TlsFailure::of(&Error::AlertReceived(alert), None).to_string();
            assert!(text.contains(&format!("(TLS alert {name})")), "{text}");
        }
    }

    #[test]
    fn what_the_client_says_counts_more_than_what_we_think_of_its_certificate() {
        let alert = Error::AlertReceived(AlertDescription::CertificateExpired);
        assert_eq!(TlsFailure::of(&alert, Some("revoked")), TlsFailure::OwnExpired);
        let text = TlsFailure::of(&Error::General("x".into()), Some("revoked")).to_string();
        assert_eq!(text, "revoked");
    }
}
