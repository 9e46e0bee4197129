//! Socket addresses as the octets of `sockaddr_in` and `sockaddr_in6` (ip(7), ipv6(7)).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Room for an address of either family.
pub const CAPACITY: usize = size_of::<libc::sockaddr_in6>();

const V4_LEN: usize = size_of::<libc::sockaddr_in>();

/// An address as the kernel takes it.
#[derive(Clone, Copy, Debug)]
pub struct RawAddress {
    octets: [u8; CAPACITY],
    len: usize,
}

impl RawAddress {
    /// The octets that count.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

impl From<SocketAddr> for RawAddress {
    fn from(address: SocketAddr) -> Self {
        let mut octets = [0; CAPACITY];
        octets[2..4].copy_from_slice(&address.port().to_be_bytes());
        let (family, len) = match address {
            SocketAddr::V4(v4) => {
                octets[4..8].copy_from_slice(&v4.ip().octets());
                (libc::AF_INET, V4_LEN)
            }
            SocketAddr::V6(v6) => {
                octets[8..24].copy_from_slice(&v6.ip().octets());
                octets[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                (libc::AF_INET6, CAPACITY)
            }
        };
        octets[..2].copy_from_slice(&family_octets(family));
        Self { octets, len }
    }
}

/// Reads what the kernel wrote. `None` for other families.
#[must_use]
pub fn parse(octets: &[u8; CAPACITY]) -> Option<SocketAddr> {
    let field = |at: usize| [octets[at], octets[at + 1], octets[at + 2], octets[at + 3]];
    let port = u16::from_be_bytes([octets[2], octets[3]]);
    let family = [octets[0], octets[1]];
    if family == family_octets(libc::AF_INET) {
        return Some(SocketAddrV4::new(Ipv4Addr::from(field(4)), port).into());
    }
    if family != family_octets(libc::AF_INET6) {
        return None;
    }
    let address: [u8; 16] = std::array::from_fn(|i| octets[8 + i]);
    let scope = u32::from_ne_bytes(field(24));
    Some(SocketAddrV6::new(Ipv6Addr::from(address), port, 0, scope).into())
}

fn family_octets(family: libc::c_int) -> [u8; 2] {
    libc::sa_family_t::try_from(family).expect("families are small numbers").to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_both_families() {
        for text in ["192.0.2.1:4500", "[2001:db8::1]:500", "[fe80::1%3]:4500"] {
            let address: SocketAddr = text.parse().unwrap();
            let raw = RawAddress::from(address);
            assert_eq!(parse(&raw.octets), Some(address));
            assert_eq!(raw.as_bytes().len(), if address.is_ipv4() { 16 } else { 28 });
        }
    }

    #[test]
    fn other_families_are_no_address() {
        assert_eq!(parse(&[0; CAPACITY]), None);
        assert_eq!(parse(&[0xff; CAPACITY]), None);
    }
}
