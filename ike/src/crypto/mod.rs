//! Cryptography of IKE: everything that computes with keys, and nothing that knows a message.
//!
//! | module | what | source |
//! |---|---|---|
//! | [`suite`] | the registry of ciphers and integrity algorithms that can be computed | RFC 8247, RFC 8221 |
//! | [`prf`] | pseudorandom functions and `prf+` | RFC 7296 section 2.13 |
//! | [`dh`] | key agreement | RFC 3526, RFC 5903, RFC 8031 |
//! | [`sk`] | protection of SK and SKF payloads | RFC 7296 section 3.14, RFC 5282 |
//! | [`cbc`] | protection of the messages of IKEv1 | RFC 2409 appendix B |
//! | [`sign`] | AUTH signatures | RFC 7296 section 3.8, RFC 4754, RFC 7427, RFC 8420, RFC 2409 section 5.1 |
//! | [`secret`], [`random`], [`hash`] | key bytes, randomness, digests | |
//!
//! Does not: negotiate (an algorithm here is one that *can* be used, policy decides which *may* be),
//! read messages, know the time, or perform input and output.

pub mod cbc;
pub mod dh;
pub mod hash;
mod hmac;
pub mod prf;
pub mod random;
pub mod secret;
pub mod sign;
pub mod sk;

pub mod suite;
pub mod testing;
