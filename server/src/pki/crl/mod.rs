//! Lists of revoked certificates (RFC 5280 section 5): where they come from, and when they are fetched again.
//!
//! ```text
//! crl_files ----------------------------+
//! cRLDistributionPoints --> Plan        +--> CrlStore --> watch: all lists, DER --> ike::credential::Authorities
//!        when is which due? --> HTTP ---+      |  ^
//!                                              v  |
//!                                        state_dir/crl
//! ```
//!
//! The store works beside the logins, and what it finds counts from then on. One by IKEv2 with a certificate whose list is
//! demanded and on its way is left unanswered for a few seconds; no other login waits for a list. Lists are fetched
//! over plain HTTP, as RFC 5280 section 4.2.1.13 has it, since a list is signed; one that an authority of ours has
//! issued is kept only with that authority's signature, and none gives way to an older one.
//!
//! An address is asked only if a certificate of ours, of a configured authority, or of a verified client names it.
//!
//! Does not: decide about certificates, verify lists of authorities that it does not know (the verification of
//! certificates does), LDAP, HTTPS, redirects, delta lists, OCSP.

mod cache;
mod file;
mod http;
mod plan;
mod store;
#[cfg(test)]
mod tests;

pub use store::{CrlStore, Lists, Wanted};
