//! Certificates: who vouches for the key that made an AUTH signature. RFC 5280, RFC 4945.
//!
//! [`verify_chain`] turns the certificates of a peer into a [`VerifiedCertificate`], which exists only
//! if a path to a trust anchor holds at the given time; its key verifies the signature, and its
//! names decide which [`Identity`](crate::identity::Identity) it speaks for.
//!
//! Paths, signatures, validity and constraints are the work of `webpki`; names, key purposes and
//! messages for people are ours. Chains signed with SHA-1, by keys on P-521 or by Ed448 are not
//! supported, a certificate of a peer on P-521 is.
//!
//! Revocation lists are handed in ([`Revocation`]). Does not: fetch anything that a certificate names by URL, OCSP, PKCS #7.

mod certificate;
mod chain;
mod error;
mod path;
pub mod pem;
mod revocation;
mod time;
mod trust;

pub use certificate::Certificate;
pub use chain::{Role, VerifiedCertificate, verify_chain, verify_unrevoked};
pub use error::CertError;
pub use path::CertificatePath;
pub use revocation::{MAX_REVOCATION_LIST, Revocation, RevocationList, RevocationPolicy};
pub use time::UnixTime;
pub use trust::{KEY_HASH_LEN, TrustAnchors};

#[cfg(test)]
mod revocation_tests;
#[cfg(test)]
mod tests;
