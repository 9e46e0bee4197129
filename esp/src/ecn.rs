//! Traffic class at the tunnel ends: ECN by RFC 6040, DSCP by RFC 4301 section 5.1.2.
//!
//! Every SA that IKEv2 makes has full ECN (RFC 7296 section 2.24), so [`Ingress::Normal`] is the mode for its tunnels.
//!
//! Does not: read the outer header. Where ESP comes from a UDP socket the traffic class arrives as a control message.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use crate::drop_reason::DropReason;

/// The two ECN bits, RFC 3168 section 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// The flow does not know ECN.
    NotEct = 0,
    /// ECN-capable transport, code point 1.
    Ect1 = 1,
    /// ECN-capable transport, code point 0.
    Ect0 = 2,
    /// Congestion experienced.
    Ce = 3,
}

impl Ecn {
    /// The lower two bits of a traffic class octet.
    pub const fn of(traffic_class: u8) -> Self {
        match traffic_class & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// What the inner header becomes at the tunnel exit, RFC 6040 section 4.2 figure 4. `None`: drop the packet.
    pub const fn decapsulated(inner: Self, outer: Self) -> Option<Self> {
        match (inner, outer) {
            (Self::NotEct, Self::Ce) => None,
            (Self::Ect0 | Self::Ect1, Self::Ce) => Some(Self::Ce),
            (Self::Ect0, Self::Ect1) => Some(Self::Ect1),
            (inner, _) => Some(inner),
        }
    }
}

/// How a tunnel entry fills the outer ECN field, RFC 6040 section 4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ingress {
    /// The exit follows RFC 6040, RFC 4301 or RFC 3168: the field is copied.
    Normal,
    /// Nothing is known about the exit: the outer header is not ECN-capable.
    Compatibility,
}

/// Traffic class octet of the outer header for an inner packet. DSCP is copied if `copy_dscp`, else 0: it tells an observer
/// something about the traffic inside.
pub fn encapsulate(inner: &[u8], ingress: Ingress, copy_dscp: bool) -> u8 {
    let class = traffic_class(inner).unwrap_or(0);
    let dscp = if copy_dscp { class & 0xfc } else { 0 };
    match ingress {
        Ingress::Normal => dscp | class & 3,
        Ingress::Compatibility => dscp,
    }
}

/// Carries the congestion mark of the outer header into the inner packet, RFC 6040 section 4.2. The inner DSCP stays.
///
/// Rewrites the ECN field of `inner` and, for IPv4, its header checksum. [`DropReason::Congestion`] if the outer header says
/// "congestion experienced" and the inner flow does not know ECN; [`DropReason::Inner`] if `inner` is no IP packet.
pub fn decapsulate(outer_traffic_class: u8, inner: &mut [u8]) -> Result<(), DropReason> {
    let before = Ecn::of(traffic_class(inner).ok_or(DropReason::Inner)?);
    let after = Ecn::decapsulated(before, Ecn::of(outer_traffic_class)).ok_or(DropReason::Congestion)?;
    if after != before {
        mark(inner, after);
    }
    Ok(())
}

fn traffic_class(packet: &[u8]) -> Option<u8> {
    match packet {
        [first, second, ..] if first >> 4 == 4 => Some(*second),
        [first, second, ..] if first >> 4 == 6 => Some(first << 4 | second >> 4),
        _ => None,
    }
}

fn mark(packet: &mut [u8], ecn: Ecn) {
    match packet {
        [first, second, _, _, _, _, _, _, _, _, high, low, ..] if *first >> 4 == 4 => {
            let before = u16::from_be_bytes([*first, *second]);
            *second = *second & 0xfc | ecn as u8;
            let after = u16::from_be_bytes([*first, *second]);
            [*high, *low] = updated_checksum(u16::from_be_bytes([*high, *low]), before, after).to_be_bytes();
        }
        [first, second, ..] if *first >> 4 == 6 => *second = *second & 0xcf | (ecn as u8) << 4,
        _ => {}
    }
}

/// The Internet checksum after one 16 bit word changed, RFC 1624 equation 3.
fn updated_checksum(checksum: u16, before: u16, after: u16) -> u16 {
    let add = |a: u16, b: u16| {
        let (sum, carry) = a.overflowing_add(b);
        sum.wrapping_add(carry.into())
    };
    !add(add(!checksum, !before), after)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation
    )]

    use super::*;
    use crate::inner::tests::{ipv4, ipv6};

    const ALL: [Ecn; 4] = [Ecn::NotEct, Ecn::Ect0, Ecn::Ect1, Ecn::Ce];

    fn checksum(header: &[u8]) -> u16 {
        let mut sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    fn packets(class: u8) -> [Vec<u8>; 2] {
        let mut v4 = ipv4(17, 0, &[1; 8]);
        v4[1] = class;
        let sum = checksum(&v4[..20]);
        v4[10..12].copy_from_slice(&sum.to_be_bytes());
        let mut v6 = ipv6(17, &[1; 8]);
        v6[0] |= class >> 4;
        v6[1] |= class << 4;
        [v4, v6]
    }

    #[test]
    fn follows_the_table_of_rfc_6040() {
        use Ecn::{Ce, Ect0, Ect1, NotEct};
        // Rows: inner, columns: outer Not-ECT, ECT(0), ECT(1), CE.
        let table = [
            (NotEct, [Some(NotEct), Some(NotEct), Some(NotEct), None]),
            (Ect0, [Some(Ect0), Some(Ect0), Some(Ect1), Some(Ce)]),
            (Ect1, [Some(Ect1), Some(Ect1), Some(Ect1), Some(Ce)]),
            (Ce, [Some(Ce), Some(Ce), Some(Ce), Some(Ce)]),
        ];
        for (inner, row) in table {
            for (outer, expected) in ALL.into_iter().zip(row) {
                assert_eq!(Ecn::decapsulated(inner, outer), expected, "{inner:?} in {outer:?}");
            }
        }
    }

    #[test]
    fn rewrites_both_versions_and_keeps_the_dscp_and_the_checksum() {
        for inner in ALL {
            for outer in ALL {
                for mut packet in packets(0xb8 | inner as u8) {
                    let result = decapsulate(outer as u8, &mut packet);
                    let Some(expected) = Ecn::decapsulated(inner, outer) else {
                        assert_eq!(result, Err(DropReason::Congestion));
                        continue;
                    };
                    assert_eq!(result, Ok(()));
                    assert_eq!(packet, packets(0xb8 | expected as u8)[usize::from(packet[0] >> 4 == 6)]);
                }
            }
        }
    }

    #[test]
    fn ignores_the_outer_dscp() {
        for mut packet in packets(0x02) {
            let before = packet.clone();
            assert_eq!(decapsulate(0xb8, &mut packet), Ok(()));
            assert_eq!(packet, before);
        }
    }

    #[test]
    fn copies_what_the_mode_allows() {
        for packet in packets(0xb8 | Ecn::Ect0 as u8) {
            assert_eq!(encapsulate(&packet, Ingress::Normal, true), 0xba);
            assert_eq!(encapsulate(&packet, Ingress::Normal, false), 0x02);
            assert_eq!(encapsulate(&packet, Ingress::Compatibility, true), 0xb8);
            assert_eq!(encapsulate(&packet, Ingress::Compatibility, false), 0);
        }
        assert_eq!(encapsulate(&[], Ingress::Normal, true), 0);
    }

    #[test]
    fn refuses_what_is_no_ip_packet() {
        for mut bytes in [vec![], vec![0x45], vec![0x75; 40]] {
            assert_eq!(decapsulate(3, &mut bytes), Err(DropReason::Inner));
        }
    }
}
