//! Who is at the other end: the authentication protocols of PPP, server side, as bytes in and bytes out.
//!
//! ```text
//!  packets of the client --> Authenticator --> AuthEvent::Credentials      (name, and proof of a password)
//!                                 ^                     |
//!                                 |                     v
//!                              Verdict <-- whoever has the accounts: Credentials::prove(&Verifier)
//! ```
//!
//! [`Authenticator`] runs one of PAP (RFC 1334), CHAP with MD5 (RFC 1994), MS-CHAPv2 (RFC 2759) and EAP (RFC 3748) on a
//! link. [`eap::EapServer`] is the EAP part alone; IKEv2 uses it too. All of them ask the same question,
//! [`Credentials`], and take the same answer, [`Verdict`], so accounts are looked at in one place.
//!
//! Does not: hold accounts, slow guessing down, log, or keep time.

mod authenticator;
mod chap;
mod credentials;
pub mod eap;
mod eap_link;
mod failure;
mod method;
pub mod mschapv2;
pub mod nt_hash;
mod pap;
mod step;
#[doc(hidden)]
pub mod testing;
mod verdict;

pub use authenticator::{AuthEvent, AuthSeed, Authenticator};
pub use credentials::{Credentials, Password, Proof, Verifier, chap_md5, name_text};
pub use failure::AuthFailure;
pub use method::Method;
pub use verdict::{Msk, MutualProof, Verdict};

/// Longest user name that is taken, in bytes: what an EAP-MSCHAPv2 or CHAP packet of that kind can carry at least.
pub const NAME_MAX: usize = 253;
