//! Views of ESP packets: the header in front (RFC 4303 section 2) and the trailer behind the payload (section 2.4 to 2.6).
//!
//! Does not: authenticate. A [`Trailer`] means something only after the ICV has verified.

use crate::suite::{ESP_HEADER_LEN, Spi, TRAILER_LEN};

/// Next header of an IPv4 packet in tunnel mode.
pub const IPV4: u8 = 4;

/// Next header of an IPv6 packet in tunnel mode.
pub const IPV6: u8 = 41;

/// Next header of a dummy packet, RFC 4303 section 2.6.
pub const NO_NEXT_HEADER: u8 = 59;

/// SPI and low half of the sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Security parameters index.
    pub spi: Spi,
    /// Low 32 bits of the sequence number.
    pub sequence: u32,
}

impl Header {
    /// Reads the first 8 octets of an ESP packet.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let (header, _) = packet.split_first_chunk::<ESP_HEADER_LEN>()?;
        let [a, b, c, d, e, f, g, h] = *header;
        Some(Self { spi: Spi(u32::from_be_bytes([a, b, c, d])), sequence: u32::from_be_bytes([e, f, g, h]) })
    }

    /// The 8 octets; [`Header::parse`] of them gives back `self`.
    pub fn emit(self) -> [u8; ESP_HEADER_LEN] {
        let ([a, b, c, d], [e, f, g, h]) = (self.spi.0.to_be_bytes(), self.sequence.to_be_bytes());
        [a, b, c, d, e, f, g, h]
    }
}

/// What ends the decrypted part of an ESP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Length of the payload in front of the padding.
    pub payload_len: usize,
    /// Protocol of the payload.
    pub next_header: u8,
}

impl Trailer {
    /// Reads the trailer of decrypted octets. `None` if the padding is longer than what is there or does not count 1, 2, 3, ..
    /// (RFC 4303 section 2.4: the receiver should inspect it).
    pub fn parse(decrypted: &[u8]) -> Option<Self> {
        let (rest, &[pad_len, next_header]) = decrypted.split_last_chunk::<TRAILER_LEN>()?;
        let payload_len = rest.len().checked_sub(usize::from(pad_len))?;
        let padding = rest.get(payload_len..)?;
        padding.iter().copied().eq(1..=pad_len).then_some(Self { payload_len, next_header })
    }
}
