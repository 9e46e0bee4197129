//! Raw sockets for ESP directly in IP, protocol number 50 (raw(7)).
//!
//! Such a socket receives every ESP packet of its family, so each worker's has a filter. An IPv4 packet comes with its IP
//! header, an IPv6 packet without; sent packets have none. There is neither GSO nor GRO.
//!
//! Does not: read or write packets (see [`super::mmsg`]).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::sys::set_socket_option;
use super::{reuseport, udp};

/// Protocol number of ESP, RFC 4303 section 2.
const ESP: i32 = 50;

/// Opens the socket of the worker with index `worker` on `address`, which may be unspecified.
///
/// # Errors
/// What the kernel reports, with [`io::ErrorKind::PermissionDenied`] without CAP_NET_RAW.
pub fn open(address: IpAddr, worker: u8) -> io::Result<Socket> {
    let address = SocketAddr::new(address, 0);
    let socket = Socket::new(Domain::for_address(address), Type::RAW, Some(Protocol::from(ESP)))?;
    reuseport::attach_to_socket(&socket, &reuseport::raw_esp(worker, address.is_ipv6()))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    udp::mark(&socket);
    udp::enlarge_buffers(socket.as_fd());
    udp::receive_packet_info(socket.as_fd(), address.is_ipv6())?;
    Ok(socket)
}

/// Opens a socket through which the kernel learns the MTU of IPv6 paths that ESP takes: it does so only if some raw socket asks for
/// errors, unlike for IPv4. This one gets no packets, and nobody needs to read its errors.
///
/// # Errors
/// What the kernel reports.
pub fn path_learner() -> io::Result<Socket> {
    const ON: libc::c_int = 1;
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(ESP)))?;
    reuseport::attach_to_socket(&socket, &reuseport::nothing())?;
    udp::mark(&socket);
    set_socket_option(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_RECVERR, &ON)?;
    Ok(socket)
}

/// The ESP packet in what a raw socket received: behind the IP header for IPv4. `None` if there is none.
#[must_use]
pub fn payload(received: &mut [u8], ipv6: bool) -> Option<&mut [u8]> {
    if ipv6 {
        return Some(received);
    }
    let header_len = usize::from(received.first()? & 0x0f) * 4;
    received.get_mut(header_len..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_packet_behind_the_header() {
        let mut plain = [[0x45; 20].as_slice(), b"esp"].concat();
        assert_eq!(payload(&mut plain, false).unwrap(), b"esp");
        let mut options = [[0x46; 24].as_slice(), b"esp"].concat();
        assert_eq!(payload(&mut options, false).unwrap(), b"esp");
        assert_eq!(payload(&mut plain, true).unwrap().len(), 23);
        assert!(payload(&mut [0x4f; 20], false).is_none());
        assert!(payload(&mut [], false).is_none());
    }
}
