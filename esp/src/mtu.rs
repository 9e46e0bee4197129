//! How large an inner packet may be, RFC 4301 section 8.2.1, and what the outer packet then measures.
//!
//! Does not: discover the MTU of a path, or clamp TCP's MSS.

use crate::suite::{TRAILER_LEN, Transform};

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

/// The largest inner packet, in octets, whose outer packet fits `outer_mtu`; `None` if not even an empty one does.
pub const fn inner_mtu(transform: Transform, encapsulation: Encapsulation, outer_mtu: usize) -> Option<usize> {
    let around = encapsulation.header_len() + transform.header_len() + transform.icv_len();
    match outer_mtu.checked_sub(around) {
        Some(room) => (room - room % transform.alignment()).checked_sub(TRAILER_LEN),
        None => None,
    }
}

/// Length of the outer packet, in octets, for an inner packet of `inner_len`; `None` beyond
/// [`MAX_PAYLOAD_LEN`](crate::suite::MAX_PAYLOAD_LEN).
pub const fn outer_len(transform: Transform, encapsulation: Encapsulation, inner_len: usize) -> Option<usize> {
    match transform.sealed_len(inner_len) {
        Some(len) => Some(len + encapsulation.header_len()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{AesBits, Integ};

    const GCM: Transform = Transform::AesGcm16(AesBits::Aes256);
    const CBC_SHA256: Transform = Transform::AesCbc(AesBits::Aes256, Integ::HmacSha256_128);
    const CBC_SHA1: Transform = Transform::AesCbc(AesBits::Aes128, Integ::HmacSha1_96);

    fn every_encapsulation() -> impl Iterator<Item = Encapsulation> {
        [false, true].into_iter().flat_map(|ipv6| [false, true].map(|udp| Encapsulation { ipv6, udp }))
    }

    #[test]
    fn matches_hand_computed_values_for_ethernet() {
        let udp4 = Encapsulation { ipv6: false, udp: true };
        let raw6 = Encapsulation { ipv6: true, udp: false };
        // 1500 - 20 - 8 - 16 - 16 = 1440, a multiple of 4; less the trailer.
        assert_eq!(inner_mtu(GCM, udp4, 1500), Some(1438));
        // 1500 - 40 - 16 - 16 = 1428.
        assert_eq!(inner_mtu(GCM, raw6, 1500), Some(1426));
        // 1500 - 28 - 24 - 16 = 1432, down to 1424.
        assert_eq!(inner_mtu(CBC_SHA256, udp4, 1500), Some(1422));
        // 1500 - 28 - 24 - 12 = 1436, down to 1424.
        assert_eq!(inner_mtu(CBC_SHA1, udp4, 1500), Some(1422));
    }

    #[test]
    fn is_the_largest_that_fits() {
        for transform in [GCM, CBC_SHA256, CBC_SHA1, Transform::ChaCha20Poly1305] {
            for encapsulation in every_encapsulation() {
                for outer_mtu in 576..1600 {
                    let inner = inner_mtu(transform, encapsulation, outer_mtu).expect("room for more than ESP");
                    assert!(outer_len(transform, encapsulation, inner).expect("short") <= outer_mtu);
                    assert!(outer_len(transform, encapsulation, inner + 1).expect("short") > outer_mtu);
                }
            }
        }
    }

    #[test]
    fn has_no_answer_where_esp_itself_does_not_fit() {
        let udp4 = Encapsulation { ipv6: false, udp: true };
        assert_eq!(inner_mtu(GCM, udp4, 0), None);
        assert_eq!(inner_mtu(GCM, udp4, 28 + 16 + 16 + 3), None);
        assert_eq!(inner_mtu(GCM, udp4, 28 + 16 + 16 + 4), Some(2));
        assert_eq!(outer_len(GCM, udp4, usize::MAX), None);
    }
}
