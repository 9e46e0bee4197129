//! Traffic class at the tunnel ends: ECN by RFC 6040, DSCP by RFC 4301 section 5.1.2.

use crate::drop_reason::DropReason;

/// Traffic class octet of the outer header for an inner packet: DSCP copied if `copy_dscp`, ECN copied (normal mode, RFC 6040
/// section 4.1).
pub fn encapsulate(inner: &[u8], copy_dscp: bool) -> u8 {
    let _ = (inner, copy_dscp);
    todo!()
}

/// Carries the congestion mark of the outer header into the inner packet, RFC 6040 section 4.2.
///
/// Rewrites the ECN field of `inner` and, for IPv4, its header checksum. [`DropReason::Congestion`] if the outer header says
/// "congestion experienced" and the inner flow does not know ECN.
pub fn decapsulate(outer_traffic_class: u8, inner: &mut [u8]) -> Result<(), DropReason> {
    let _ = (outer_traffic_class, inner);
    todo!()
}
