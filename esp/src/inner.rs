//! The packet inside: checks after decryption in tunnel mode, RFC 4303 section 3.4.4.1 and RFC 4301 section 5.2.

use crate::drop_reason::DropReason;

/// Checks what a tunnel mode SA delivered and returns the length of the inner packet; what follows it is padding for traffic
/// flow confidentiality (RFC 4303 section 2.7).
///
/// [`DropReason::NextHeader`] unless `next_header` is 4 or 41; [`DropReason::Inner`] if version, header length or total length
/// do not fit `plaintext`.
pub fn tunnel_payload(next_header: u8, plaintext: &[u8]) -> Result<usize, DropReason> {
    let _ = (next_header, plaintext);
    todo!()
}
