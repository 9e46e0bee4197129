//! AES-256-GCM around a packet, laid out as ESP does it: SPI, sequence number, IV, ciphertext, ICV (RFC 4106).

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Octets before the packet: SPI, sequence number, IV.
pub(crate) const HEADER_LEN: usize = 16;

/// Octets that a datagram has more than its packet.
pub(crate) const OVERHEAD: usize = HEADER_LEN + ICV_LEN;

const ICV_LEN: usize = 16;
const SPI: [u8; 4] = [0, 0, 1, 0];
const KEY: [u8; 32] = [7; 32];
const SALT: [u8; 4] = [9; 4];

/// Seals the packets of one direction.
pub(crate) struct Sealer {
    key: LessSafeKey,
    sequence: u64,
}

/// Opens the packets of one direction.
pub(crate) struct Opener(LessSafeKey);

impl Sealer {
    pub(crate) fn new() -> Self {
        Self { key: key(), sequence: 0 }
    }

    /// Seals a datagram in place whose packet lies between room for header and ICV.
    pub(crate) fn seal(&mut self, datagram: &mut [u8]) {
        self.sequence += 1;
        let (header, rest) = datagram.split_at_mut(HEADER_LEN);
        let (packet, icv) = rest.split_at_mut(rest.len() - ICV_LEN);
        let sequence = self.sequence.to_be_bytes();
        header[..4].copy_from_slice(&SPI);
        header[4..8].copy_from_slice(&sequence[4..]);
        header[8..].copy_from_slice(&sequence);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(header), Aad::from(&header[..8]), packet)
            .expect("a packet is shorter than what GCM can seal");
        icv.copy_from_slice(tag.as_ref());
    }
}

impl Opener {
    pub(crate) fn new() -> Self {
        Self(key())
    }

    /// The packet inside an authentic datagram.
    pub(crate) fn open<'a>(&self, datagram: &'a mut [u8]) -> Option<&'a mut [u8]> {
        if datagram.len() < OVERHEAD {
            return None;
        }
        let (header, sealed) = datagram.split_at_mut(HEADER_LEN);
        self.0.open_in_place(nonce(header), Aad::from(&header[..8]), sealed).ok()
    }
}

fn key() -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &KEY).expect("32 octets"))
}

fn nonce(header: &[u8]) -> Nonce {
    let mut octets = [0; 12];
    octets[..4].copy_from_slice(&SALT);
    octets[4..].copy_from_slice(&header[8..]);
    Nonce::assume_unique_for_key(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(packet: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0; packet.len() + OVERHEAD];
        datagram[HEADER_LEN..HEADER_LEN + packet.len()].copy_from_slice(packet);
        Sealer::new().seal(&mut datagram);
        datagram
    }

    #[test]
    fn opens_what_was_sealed() {
        let mut datagram = sealed(b"a packet");
        assert_ne!(&datagram[HEADER_LEN..HEADER_LEN + 8], b"a packet");
        assert_eq!(Opener::new().open(&mut datagram).as_deref(), Some(&b"a packet"[..]));
    }

    #[test]
    fn refuses_any_changed_octet_and_every_truncation() {
        let whole = sealed(b"a packet");
        for i in 0..whole.len() {
            let mut changed = whole.clone();
            changed[i] ^= 1;
            assert!(Opener::new().open(&mut changed).is_none(), "octet {i}");
            assert!(Opener::new().open(&mut whole[..i].to_vec()).is_none(), "{i} octets");
        }
    }
}
