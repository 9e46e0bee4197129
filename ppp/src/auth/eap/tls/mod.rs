//! EAP-TLS, the server's side: both ends show certificates (RFC 5216 with TLS 1.2, RFC 9190 with TLS 1.3).
//!
//! ```text
//! Start                                       -> ClientHello
//! ServerHello .. CertificateRequest ..        -> Certificate, CertificateVerify, Finished     Credentials, Verdict
//! 1.2: Finished   1.3: one octet of zero      -> (empty)                                      EAP-Success, MSK
//! ```
//!
//! A TLS flight that is longer than an EAP packet goes in fragments, each of which waits for an acknowledgement. A login
//! takes 64 responses and 64 KiB at most. When the handshake fails the client gets the TLS alert that says why, and then
//! EAP-Failure. No close_notify is sent or awaited: there are clients that hang on one.
//!
//! Who may log in is asked twice: [`ClientCertificates`] judges the chain during the handshake, so that the client hears by
//! an alert what is wrong with it, and then [`Credentials::Certificate`](crate::auth::Credentials::Certificate) asks whose
//! account it is.
//!
//! Randomness and key exchange are those of the TLS library: logins by EAP-TLS cannot be repeated octet for octet.
//!
//! Does not: TLS 1.1 and older, session resumption, OCSP stapling, PEAP and EAP-TTLS.

mod config;
mod failure;
mod fragment;
mod handshake;
mod session;
#[cfg(test)]
mod tests;

pub use config::{CertificateProblem, CertificateRefused, ClientCertificates, EapTls, EapTlsConfig, InvalidCredential};
pub use failure::TlsFailure;
pub use fragment::Fragment;

pub(super) use session::{Session, TlsStep};
