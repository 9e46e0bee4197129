//! The Internet checksum, RFC 1071, on sums in native byte order.

/// Adds `data` to a sum; a last odd octet counts as if a zero followed.
pub(crate) fn add(sum: u64, data: &[u8]) -> u64 {
    let mut words = data.chunks_exact(4);
    let mut total = sum;
    for word in &mut words {
        total += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
    }
    let mut last = [0; 4];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    total + u64::from(u32::from_ne_bytes(last))
}

/// A sum as 16 bits, in native byte order and not inverted.
pub(crate) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The sum of the pseudo-header of TCP and UDP over IPv4.
pub(crate) fn pseudo_header(ip: &[u8], transport_len: usize) -> u64 {
    let [high, low] = (transport_len as u16).to_be_bytes();
    add(add(0, &ip[12..20]), &[0, ip[9], high, low])
}

/// Writes the checksum of `packet` (no options but the header itself) into an IPv4 header of `header_len` octets.
pub(crate) fn set_ipv4(packet: &mut [u8], header_len: usize) {
    packet[10..12].fill(0);
    let sum = !fold(add(0, &packet[..header_len]));
    packet[10..12].copy_from_slice(&sum.to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_example_of_the_rfc() {
        let sum = fold(add(0, &[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]));
        assert_eq!(sum.to_ne_bytes(), [0xdd, 0xf2]);
    }

    #[test]
    fn a_header_with_its_checksum_sums_up_to_all_ones() {
        let mut header = [0x45, 0, 0, 28, 0x12, 0x34, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        set_ipv4(&mut header, 20);
        assert_eq!(fold(add(0, &header)), 0xffff);
    }

    #[test]
    fn an_odd_octet_is_padded_on_the_right() {
        assert_eq!(fold(add(0, &[0xab])).to_ne_bytes(), [0xab, 0]);
    }
}
