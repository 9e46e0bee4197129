//! UDP encapsulation of ESP: what a datagram on port 4500 is (RFC 3948 section 2, RFC 7296 section 2.23).
//!
//! Does not: answer. Whatever is none of the three kinds is dropped silently.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use crate::packet::Header;
use crate::suite::Spi;

/// Four zero octets in front of an IKE message on port 4500, RFC 3948 section 2.2: where ESP would have its SPI.
pub const NON_ESP_MARKER: [u8; 4] = [0; 4];

/// The one octet of a NAT keepalive, RFC 3948 section 2.3.
pub const KEEPALIVE: u8 = 0xff;

/// What a datagram on port 4500 is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// An IKE message, without the non-ESP marker.
    Ike(&'a [u8]),
    /// An ESP packet; the whole datagram is the packet.
    Esp {
        /// Its SPI, never 0.
        spi: Spi,
    },
    /// Keeps a NAT mapping alive and says nothing else.
    Keepalive,
    /// Nothing of these: dropped without an answer.
    Runt,
}

/// Tells what a datagram on port 4500 is. Looks at the first 8 octets only.
pub fn classify(datagram: &[u8]) -> Datagram<'_> {
    if datagram == [KEEPALIVE] {
        return Datagram::Keepalive;
    }
    match datagram.split_first_chunk() {
        Some((&NON_ESP_MARKER, [])) => Datagram::Runt,
        Some((&NON_ESP_MARKER, message)) => Datagram::Ike(message),
        _ => Header::parse(datagram).map_or(Datagram::Runt, |header| Datagram::Esp { spi: header.spi }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn tells_ike_from_esp_by_the_marker() {
        assert_eq!(classify(&[0, 0, 0, 0, 7, 8, 9]), Datagram::Ike(&[7, 8, 9]));
        let esp = [0xc0, 0xff, 0xee, 1, 0, 0, 0, 1, 9, 9];
        assert_eq!(classify(&esp), Datagram::Esp { spi: Spi(0xc0ff_ee01) });
    }

    #[test]
    fn knows_a_keepalive_only_by_its_single_octet() {
        assert_eq!(classify(&[KEEPALIVE]), Datagram::Keepalive);
        assert_eq!(classify(&[KEEPALIVE, KEEPALIVE]), Datagram::Runt);
        assert_eq!(classify(&[0]), Datagram::Runt);
    }

    #[test]
    fn drops_what_is_too_short_for_either() {
        let esp = [0xc0, 0xff, 0xee, 1, 0, 0, 0, 1];
        for len in 0..esp.len() {
            assert_eq!(classify(&esp[..len]), Datagram::Runt, "{len} octets");
        }
        for len in 0..=NON_ESP_MARKER.len() {
            assert_eq!(classify(&NON_ESP_MARKER[..len]), Datagram::Runt, "{len} octets");
        }
    }
}
