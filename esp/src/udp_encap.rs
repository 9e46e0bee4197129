//! UDP encapsulation of ESP: what a datagram on port 4500 is (RFC 3948 section 2, RFC 7296 section 2.23).

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
