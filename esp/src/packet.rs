//! Views of ESP packets: the header in front (RFC 4303 section 2) and the trailer behind the payload (section 2.4 to 2.6).
//!
//! Does not: authenticate. A [`Trailer`] means something only after the ICV has verified.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

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

    /// Fills `space`, 2 to 257 octets behind the payload, with padding, pad length and next header. [`Trailer::parse`] finds the
    /// payload in front of it.
    pub(crate) fn emit(space: &mut [u8], next_header: u8) {
        if let Some((padding, end)) = space.split_last_chunk_mut::<TRAILER_LEN>() {
            *end = [0, next_header];
            for (octet, value) in padding.iter_mut().zip(1..=u8::MAX) {
                (*octet, end[0]) = (value, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    const HEADER: [u8; 8] = [0xc0, 0xff, 0xee, 0x01, 0, 0, 1, 2];

    #[test]
    fn round_trips_a_header() {
        let header = Header::parse(&HEADER).unwrap();
        assert_eq!(header, Header { spi: Spi(0xc0ff_ee01), sequence: 258 });
        assert_eq!(header.emit(), HEADER);
    }

    #[test]
    fn rejects_every_truncation_of_a_header() {
        for len in 0..HEADER.len() {
            assert_eq!(Header::parse(&HEADER[..len]), None, "{len} octets");
        }
    }

    #[test]
    fn reads_a_trailer_behind_padding() {
        let decrypted = [b'x', b'y', 1, 2, 3, 3, IPV4];
        assert_eq!(Trailer::parse(&decrypted), Some(Trailer { payload_len: 2, next_header: IPV4 }));
        assert_eq!(Trailer::parse(&[0, IPV6]), Some(Trailer { payload_len: 0, next_header: IPV6 }));
    }

    #[test]
    fn round_trips_a_trailer_of_every_length() {
        for space in TRAILER_LEN..=TRAILER_LEN + 255 {
            let mut decrypted = vec![0xaa; 20 + space];
            Trailer::emit(&mut decrypted[20..], IPV6);
            assert_eq!(Trailer::parse(&decrypted), Some(Trailer { payload_len: 20, next_header: IPV6 }), "{space}");
        }
    }

    #[test]
    fn rejects_padding_that_is_not_there_or_does_not_count() {
        for decrypted in [&[][..], &[4], &[1, 4], &[1, 2, 3, 4], &[1, 2, 4, 3, 4], &[0, 0, 0, 3, 4], &[2, 1, 4]] {
            assert_eq!(Trailer::parse(decrypted), None, "{decrypted:?}");
        }
    }

    #[test]
    fn takes_the_longest_padding() {
        let mut decrypted: Vec<u8> = (1..=255).collect();
        decrypted.extend([255, IPV4]);
        assert_eq!(Trailer::parse(&decrypted), Some(Trailer { payload_len: 0, next_header: IPV4 }));
        assert_eq!(Trailer::parse(&decrypted[1..]), None);
    }
}
