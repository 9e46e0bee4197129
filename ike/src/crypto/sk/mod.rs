//! Protection of IKE messages: the bodies of SK (RFC 7296 section 3.14) and SKF (RFC 7383 section 2.5)
//! payloads, with CBC and HMAC or with an AEAD (RFC 5282, RFC 7634).
//!
//! A key serves one direction. What is protected is the message from the IKE header up to the
//! encrypted payload's own header, and in SKF the fragment numbers; the caller writes those, with
//! lengths that already count [`SkKey::sealed_len`], and the body goes behind them.
//!
//! Does not: build or read payloads.
