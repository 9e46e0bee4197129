//! Implementation limits of the parsers.
//!
//! The RFCs set none of these; they bound the work that one datagram can cause. All are far above what the native
//! clients of Windows, Apple, Android and strongSwan send.

/// Longest message, in bytes, also after reassembly of fragments (RFC 7383): what a 16-bit length can say.
pub const MAX_MESSAGE: usize = 65_535;

/// Payloads in one chain. Windows sends about 12, a peer with many certificates and vendor IDs about 30.
pub const MAX_PAYLOADS: usize = 64;

/// Proposals in one SA payload. Windows spells out every combination: Windows 11 offers 18, and up to 21 with stronger
/// groups switched on.
pub const MAX_PROPOSALS: usize = 32;

/// Transforms in one proposal. Android and strongSwan offer up to 30.
pub const MAX_TRANSFORMS: usize = 64;

/// Attributes of one transform. Key Length is the only one that the registry knows.
pub const MAX_TRANSFORM_ATTRIBUTES: usize = 8;

/// Traffic selectors in one TS payload.
pub const MAX_TRAFFIC_SELECTORS: usize = 32;

/// Attributes in one configuration payload.
pub const MAX_CONFIGURATION_ATTRIBUTES: usize = 32;

/// Certificate payloads in one chain: an end entity and its intermediates.
pub const MAX_CERTIFICATES: usize = 8;

/// Longest certificate, in bytes.
pub const MAX_CERTIFICATE: usize = 16 * 1024;

/// Fragments of one message, RFC 7383. Windows sends up to about 10.
pub const MAX_FRAGMENTS: u16 = 64;

/// Nonce length in bytes, RFC 7296 section 2.10. Unlike the others a limit of the RFC itself.
pub const NONCE: std::ops::RangeInclusive<usize> = 16..=256;

/// Transforms in one proposal of IKEv1: what their count can say. strongSwan spells out more than 100 combinations.
pub const MAX_V1_TRANSFORMS: usize = 255;

/// Data attributes of one transform or one Mode Config message of IKEv1. Windows sends 10, Android asks for 10.
pub const MAX_V1_ATTRIBUTES: usize = 32;

/// SPIs in one Delete payload of IKEv1.
pub const MAX_V1_DELETED_SPIS: usize = 64;

/// Nonce length in bytes, RFC 2409 section 5. A limit of the RFC itself.
pub const V1_NONCE: std::ops::RangeInclusive<usize> = 8..=256;

/// Fragments of one IKEv1 message: a message with certificates has about 4.
pub const MAX_V1_FRAGMENTS: u8 = 16;
