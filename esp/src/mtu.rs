//! How large an inner packet may be, RFC 4301 section 8.2.1.

use crate::suite::Transform;

/// Headers around the ESP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Encapsulation {
    /// The outer header is IPv6 (40 octets) rather than IPv4 (20).
    pub ipv6: bool,
    /// ESP travels in UDP (8 octets), RFC 3948.
    pub udp: bool,
}

impl Encapsulation {
    /// Octets in front of the ESP header.
    pub const fn header_len(self) -> usize {
        (if self.ipv6 { 40 } else { 20 }) + (if self.udp { 8 } else { 0 })
    }
}

/// The largest inner packet that fits `outer_mtu` octets after sealing; `None` if not even an empty one does.
pub const fn inner_mtu(transform: Transform, encapsulation: Encapsulation, outer_mtu: usize) -> Option<usize> {
    let around = encapsulation.header_len() + transform.header_len() + transform.icv_len();
    match outer_mtu.checked_sub(around) {
        Some(room) => (room / transform.alignment() * transform.alignment()).checked_sub(crate::suite::TRAILER_LEN),
        None => None,
    }
}
