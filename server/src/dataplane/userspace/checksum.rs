//! The Internet checksum, RFC 1071, as IP, TCP and UDP use it.

use std::net::IpAddr;

/// A ones' complement sum in the byte order of the machine, which the checksum is indifferent to (RFC 1071 section 2 B).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum(u64);

impl Sum {
    /// Adds octets as 16 bit words. A lone last octet counts as followed by a zero, so only the last call may have one.
    #[must_use]
    pub(super) fn add(self, octets: &[u8]) -> Self {
        // Four octets at a time into 64 bits: no carry is lost below 2^32 steps, and the compiler makes vectors of it.
        let (words, rest) = octets.as_chunks::<4>();
        let whole: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        Self(self.0 + whole + u64::from(u32::from_ne_bytes(last)))
    }

    /// The pseudo header of TCP and UDP without its length, RFC 9293 section 3.1 and RFC 8200 section 8.1.
    pub(super) fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8) -> Self {
        let add = |sum: Self, address| match address {
            IpAddr::V4(address) => sum.add(&address.octets()),
            IpAddr::V6(address) => sum.add(&address.octets()),
        };
        add(add(Self::default(), source), destination).add(&[0, protocol])
    }

    /// Adds a length below 2^32.
    #[must_use]
    pub(super) fn add_length(self, length: usize) -> Self {
        let length = u32::try_from(length).expect("lengths of IP packets have at most 17 bits");
        self.add(&length.to_be_bytes())
    }

    /// The sum itself, as an unfinished packet has it in its checksum field.
    pub(super) fn partial(self) -> [u8; 2] {
        let folded = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        let folded = (folded & 0xffff) + (folded >> 16 & 0xffff) + (folded >> 32);
        let folded = (folded & 0xffff) + (folded >> 16);
        let [a, b, ..] = ((folded & 0xffff) + (folded >> 16)).to_le_bytes();
        u16::from_le_bytes([a, b]).to_ne_bytes()
    }

    /// The octets of the checksum field.
    pub(super) fn checksum(self) -> [u8; 2] {
        self.partial().map(|octet| !octet)
    }

    /// Whether octets that contain their checksum are whole.
    pub(super) fn is_valid(self) -> bool {
        self.partial() == [0xff, 0xff]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071 section 4.1, word by word.
    fn slow(octets: &[u8]) -> [u8; 2] {
        let mut sum = 0_u32;
        for pair in octets.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!u16::try_from(sum).unwrap()).to_be_bytes()
    }

    #[test]
    fn vector_of_rfc_1071_section_3() {
        let sum = Sum::default().add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.partial(), [0xdd, 0xf2]);
        assert_eq!(sum.checksum(), [0x22, 0x0d]);
    }

    #[test]
    fn the_largest_packet_does_not_overflow() {
        assert_eq!(Sum::default().add(&[0xff; 65_535]).checksum(), slow(&[0xff; 65_535]));
        assert_eq!(Sum::default().checksum(), [0xff, 0xff]);
    }

    proptest! {
        #[test]
        fn equals_the_slow_sum(octets in proptest::collection::vec(any::<u8>(), 0..3000), even in 0_usize..200) {
            prop_assert_eq!(Sum::default().add(&octets).checksum(), slow(&octets));
            let (front, back) = octets.split_at((even * 2).min(octets.len() & !1));
            prop_assert_eq!(Sum::default().add(front).add(back).checksum(), slow(&octets));
        }

        #[test]
        fn a_packet_with_its_checksum_is_valid(mut octets in proptest::collection::vec(any::<u8>(), 2..200)) {
            octets[..2].fill(0);
            let checksum = Sum::default().add(&octets).checksum();
            octets[..2].copy_from_slice(&checksum);
            prop_assert!(Sum::default().add(&octets).is_valid());
        }
    }
}
