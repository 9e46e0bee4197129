//! The header in front of each packet of a TUN device with IFF_VNET_HDR: `struct virtio_net_hdr`, VIRTIO 1.2 section 5.1.6,
//! in the byte order of the machine.

/// Length in octets.
pub(super) const LEN: usize = 10;

/// The checksum field holds the sum of the pseudo header only and is to be completed.
const NEEDS_CSUM: u8 = 1;
/// Beside the kind: the first segment has CWR set. Never asked for, so it is only masked off.
const GSO_ECN: u8 = 0x80;

/// What a packet longer than the MTU is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gso {
    /// It is one packet.
    None,
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP datagrams of one size over either.
    Udp,
}

/// What the kernel and we tell each other about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Where to complete the checksum, if it has to be.
    pub(super) checksum: Option<PartialChecksum>,
    /// What to cut it into.
    pub(super) gso: Gso,
    /// Length of IP and transport header, octets. A hint: the kernel's need not be right.
    pub(super) header_len: u16,
    /// Octets of payload in each segment but the last.
    pub(super) segment_len: u16,
}

/// Where an unfinished checksum is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartialChecksum {
    /// Start of what it covers: the transport header.
    pub(super) start: u16,
    /// Place of the field, from there.
    pub(super) offset: u16,
}

impl Header {
    /// A finished packet.
    pub(super) const PLAIN: Self = Self { checksum: None, gso: Gso::None, header_len: 0, segment_len: 0 };

    /// Reads the header; `None` for kinds of segmentation that were not asked for.
    pub(super) fn parse(octets: &[u8; LEN]) -> Option<Self> {
        let field = |at: usize| u16::from_ne_bytes([octets[at], octets[at + 1]]);
        let gso = match octets[1] & !GSO_ECN {
            0 => Gso::None,
            1 => Gso::Tcp4,
            4 => Gso::Tcp6,
            5 => Gso::Udp,
            _ => return None,
        };
        let checksum = (octets[0] & NEEDS_CSUM != 0).then(|| PartialChecksum { start: field(6), offset: field(8) });
        Some(Self { checksum, gso, header_len: field(2), segment_len: field(4) })
    }

    /// The octets; [`Header::parse`] of them gives back `self`.
    pub(super) fn emit(&self) -> [u8; LEN] {
        let kind = match self.gso {
            Gso::None => 0,
            Gso::Tcp4 => 1,
            Gso::Tcp6 => 4,
            Gso::Udp => 5,
        };
        let flags = if self.checksum.is_some() { NEEDS_CSUM } else { 0 };
        let (start, offset) = self.checksum.map_or((0, 0), |partial| (partial.start, partial.offset));
        let mut octets = [flags, kind, 0, 0, 0, 0, 0, 0, 0, 0];
        let fields = [self.header_len, self.segment_len, start, offset];
        for (to, value) in octets[2..].chunks_exact_mut(2).zip(fields) {
            to.copy_from_slice(&value.to_ne_bytes());
        }
        octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_every_kind() {
        for gso in [Gso::None, Gso::Tcp4, Gso::Tcp6, Gso::Udp] {
            for checksum in [None, Some(PartialChecksum { start: 40, offset: 16 })] {
                let header = Header { checksum, gso, header_len: 60, segment_len: 1380 };
                assert_eq!(Header::parse(&header.emit()), Some(header));
            }
        }
        assert_eq!(Header::PLAIN.emit(), [0; LEN]);
    }

    #[test]
    fn knows_only_what_was_asked_for() {
        assert_eq!(Header::parse(&[0, 3, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(Header::parse(&[0, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap().gso, Gso::Tcp4);
    }
}
