//! Control messages of `sendmsg` and `recvmsg` (cmsg(3)) as octets: packet info, traffic class, segment size.
//!
//! The kernel copies them to and from its own memory, so alignment inside the buffer is all that counts, and they can be
//! written and read without pointers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libc::c_int;

const HEADER_LEN: usize = size_of::<libc::cmsghdr>();
const ALIGNMENT: usize = size_of::<usize>();

/// Enough for what one datagram carries: segment size, packet info of either family, traffic class.
pub const CAPACITY: usize = 128;

/// Control messages for one datagram to send.
#[derive(Clone, Copy, Debug)]
pub struct ControlMessages {
    octets: [u8; CAPACITY],
    len: usize,
}

impl Default for ControlMessages {
    fn default() -> Self {
        Self { octets: [0; CAPACITY], len: 0 }
    }
}

impl ControlMessages {
    /// The octets as the kernel takes them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.len]
    }

    /// Sends from this address of ours. The unspecified address leaves the choice to the kernel.
    pub fn source(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) if !address.is_unspecified() => {
                let mut info = [0; size_of::<libc::in_pktinfo>()]; // interface index, source address, unused
                info[4..8].copy_from_slice(&address.octets());
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            IpAddr::V6(address) if !address.is_unspecified() => {
                let mut info = [0; size_of::<libc::in6_pktinfo>()]; // source address, interface index
                info[..16].copy_from_slice(&address.octets());
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
            _ => {}
        }
    }

    /// Traffic class of the outer header; 0 is what the kernel uses anyway.
    pub fn traffic_class(&mut self, class: u8, ipv6: bool) {
        let (level, kind) =
            if ipv6 { (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) } else { (libc::IPPROTO_IP, libc::IP_TOS) };
        if class != 0 {
            self.push(level, kind, &c_int::from(class).to_ne_bytes());
        }
    }

    /// Makes one datagram of each `size` octets (UDP GSO).
    pub fn segment_size(&mut self, size: u16) {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
    }

    fn push(&mut self, level: c_int, kind: c_int, data: &[u8]) {
        let start = self.len;
        let end = start + HEADER_LEN + data.len();
        let (header, body) = self.octets[start..end].split_at_mut(HEADER_LEN);
        header[..ALIGNMENT].copy_from_slice(&(HEADER_LEN + data.len()).to_ne_bytes());
        header[HEADER_LEN - 8..HEADER_LEN - 4].copy_from_slice(&level.to_ne_bytes());
        header[HEADER_LEN - 4..].copy_from_slice(&kind.to_ne_bytes());
        body.copy_from_slice(data);
        self.len = end.next_multiple_of(ALIGNMENT);
    }
}

/// What the kernel says about a datagram that came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// To which of our addresses it came.
    pub local: Option<IpAddr>,
    /// Traffic class of the outer header.
    pub traffic_class: u8,
    /// Length of the datagrams that were joined (UDP GRO); `None` if it is one.
    pub segment_size: Option<usize>,
}

impl Received {
    /// Reads the control messages that `recvmsg` filled in.
    #[must_use]
    pub fn parse(mut octets: &[u8]) -> Self {
        let mut received = Self::default();
        while let Some((level, kind, data, rest)) = split(octets) {
            received.note(level, kind, data);
            octets = rest;
        }
        received
    }

    fn note(&mut self, level: c_int, kind: c_int, data: &[u8]) {
        match (level, kind) {
            // Interface index, the address that replies should come from, the destination in the header.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                self.local = field::<4>(data, 4).map(|octets| Ipv4Addr::from(octets).into());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                self.local = field::<16>(data, 0).map(|octets| Ipv6Addr::from(octets).into());
            }
            (libc::IPPROTO_IP, libc::IP_TOS) => self.traffic_class = data.first().copied().unwrap_or(0),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                let class = field(data, 0).map_or(0, c_int::from_ne_bytes);
                self.traffic_class = u8::try_from(class).unwrap_or(0);
            }
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let size = field(data, 0).map_or(0, c_int::from_ne_bytes);
                self.segment_size = usize::try_from(size).ok().filter(|size| *size > 0);
            }
            _ => {}
        }
    }
}

/// Level, kind and data of the first message, and what follows it.
fn split(octets: &[u8]) -> Option<(c_int, c_int, &[u8], &[u8])> {
    let len = usize::from_ne_bytes(field(octets, 0)?);
    let level = c_int::from_ne_bytes(field(octets, HEADER_LEN - 8)?);
    let kind = c_int::from_ne_bytes(field(octets, HEADER_LEN - 4)?);
    let data = octets.get(HEADER_LEN..len)?;
    Some((level, kind, data, octets.get(len.next_multiple_of(ALIGNMENT)..).unwrap_or_default()))
}

fn field<const N: usize>(octets: &[u8], at: usize) -> Option<[u8; N]> {
    octets.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_reads_as_what_is_received() {
        for (address, ipv6) in [("192.0.2.1", false), ("2001:db8::1", true)] {
            let address: IpAddr = address.parse().unwrap();
            let mut messages = ControlMessages::default();
            messages.source(address);
            messages.traffic_class(0xb9, ipv6);
            let received = Received::parse(messages.as_bytes());
            assert_eq!(received, Received { local: Some(address), traffic_class: 0xb9, segment_size: None });
        }
    }

    #[test]
    fn everything_at_once_has_room() {
        let mut messages = ControlMessages::default();
        messages.segment_size(1400);
        messages.source("2001:db8::1".parse().unwrap());
        messages.traffic_class(3, true);
        assert!(messages.as_bytes().len() <= CAPACITY);
        assert_eq!(Received::parse(messages.as_bytes()).traffic_class, 3);
    }

    #[test]
    fn says_nothing_where_the_kernel_decides() {
        let mut messages = ControlMessages::default();
        messages.source("0.0.0.0".parse().unwrap());
        messages.source("::".parse().unwrap());
        messages.traffic_class(0, false);
        assert!(messages.as_bytes().is_empty());
    }

    #[test]
    fn any_truncation_is_read_without_harm() {
        let mut messages = ControlMessages::default();
        messages.push(libc::SOL_UDP, libc::UDP_GRO, &1400_i32.to_ne_bytes());
        messages.source("192.0.2.1".parse().unwrap());
        assert_eq!(Received::parse(messages.as_bytes()).segment_size, Some(1400));
        for len in 0..messages.len {
            let received = Received::parse(&messages.octets[..len]);
            assert!(received.local.is_none() || len >= messages.len - ALIGNMENT, "{len}: {received:?}");
        }
        assert_eq!(Received::parse(&[0; 64]), Received::default());
        assert_eq!(Received::parse(&[0xff; 64]), Received::default());
    }
}
