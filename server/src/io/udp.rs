//! UDP sockets for IKE and ESP in UDP: SO_REUSEPORT groups, packet info, traffic class, GSO and GRO, large buffers.
//!
//! Don't-fragment (IP_PMTUDISC_WANT): a packet that fits what the kernel knows of the path bears DF, so that routers tell where it
//! does not fit; a longer one is fragmented by the kernel and bears none, IKE messages with certificates among them.
//!
//! Does not: read or write datagrams (see [`super::mmsg`]).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use libc::c_int;
use socket2::{Domain, Protocol, Socket, Type};

use super::sys::{integer_option, set_socket_option};

/// Size of the send and receive buffer of each socket, octets. Holds 5 ms at 10 Gbit/s: as long as a thread may lose its core.
pub(super) const SOCKET_BUFFER: c_int = 7 << 20;

/// What the gateway's own packets bear (SO_MARK): "CY".
pub const MARK: u32 = 0x4359;

/// How often, and how far apart, an address is looked at before it counts as in use.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// What the kernel grants a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offload {
    /// One send call makes many datagrams (UDP_SEGMENT).
    pub segment: bool,
    /// Datagrams of a flow are joined before they are received (UDP_GRO).
    pub join: bool,
}

/// Opens the first socket of a SO_REUSEPORT group at `address`, which nobody else may have a socket at, not even one that would
/// share it: two gateways on one port take each other's packets. With `offload` it asks for GSO and GRO.
///
/// The socket that finds out is the one that stays. One that only looked could become a member of the group: a program that
/// this process is just starting has copies of all sockets for a moment. And when it went, another one would take its place
/// in the order by which packets are [steered](super::reuseport).
///
/// # Errors
/// What the kernel reports, with [`io::ErrorKind::AddrInUse`] if somebody has the port.
pub fn open_first(address: SocketAddr, offload: bool) -> io::Result<(Socket, Offload)> {
    for _ in 1..ATTEMPTS {
        match bound_alone(address) {
            // Perhaps a copy of a socket that was closed already.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => std::thread::sleep(PAUSE),
            socket => return equip(socket?, address, offload),
        }
    }
    equip(bound_alone(address)?, address, offload)
}

/// Opens another socket in the SO_REUSEPORT group of `address`, or the first one whoever else has the port. With `offload` it asks
/// for GSO and GRO.
///
/// # Errors
/// What the kernel reports, with [`io::ErrorKind::AddrInUse`] if somebody has the port and does not share it.
pub fn open(address: SocketAddr, offload: bool) -> io::Result<(Socket, Offload)> {
    if address.port() == 0 {
        // The kernel may choose a port that another socket would share.
        return equip(bound_alone(address)?, address, offload);
    }
    let socket = unbound(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    equip(socket, address, offload)
}

fn bound_alone(address: SocketAddr) -> io::Result<Socket> {
    let socket = unbound(address)?;
    socket.bind(&address.into())?;
    socket.set_reuse_port(true)?;
    Ok(socket)
}

fn equip(socket: Socket, address: SocketAddr, offload: bool) -> io::Result<(Socket, Offload)> {
    mark(&socket);
    enlarge_buffers(socket.as_fd());
    receive_packet_info(socket.as_fd(), address.is_ipv6())?;
    let granted = if offload { ask_for_offload(socket.as_fd()) } else { Offload { segment: false, join: false } };
    Ok((socket, granted))
}

fn unbound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Asks for [`SOCKET_BUFFER`], beyond the system's limit if we may. Less is slower under load, but works.
pub(super) fn enlarge_buffers(socket: BorrowedFd<'_>) {
    let ways = [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)];
    for (force, ask) in ways {
        let _ = set_socket_option(socket, libc::SOL_SOCKET, force, &SOCKET_BUFFER)
            .or_else(|_| set_socket_option(socket, libc::SOL_SOCKET, ask, &SOCKET_BUFFER));
    }
}

/// Asks for the local address and traffic class of each datagram, and lets the kernel discover the MTU of paths.
pub(super) fn receive_packet_info(socket: BorrowedFd<'_>, ipv6: bool) -> io::Result<()> {
    const ON: c_int = 1;
    let (level, options) = if ipv6 {
        let discovery = (libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_WANT);
        (libc::IPPROTO_IPV6, [(libc::IPV6_RECVPKTINFO, ON), (libc::IPV6_RECVTCLASS, ON), discovery])
    } else {
        let discovery = (libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_WANT);
        (libc::IPPROTO_IP, [(libc::IP_PKTINFO, ON), (libc::IP_RECVTOS, ON), discovery])
    };
    options.into_iter().try_for_each(|(option, value)| set_socket_option(socket, level, option, &value))
}

/// Lets routing rules tell the gateway's own packets from all others ([`MARK`]). Without CAP_NET_ADMIN there are no such rules
/// either, so a refusal is no matter.
pub fn mark(socket: &impl AsFd) {
    let _ = set_socket_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_MARK, &MARK);
}

/// What the kernel knows of the path of a connected socket, octets.
///
/// # Errors
/// What the kernel reports.
pub fn path_mtu(socket: &impl AsFd, ipv6: bool) -> io::Result<u32> {
    let (level, option) = if ipv6 { (libc::IPPROTO_IPV6, libc::IPV6_MTU) } else { (libc::IPPROTO_IP, libc::IP_MTU) };
    let mtu = integer_option(socket.as_fd(), level, option)?;
    u32::try_from(mtu).map_err(|_| io::ErrorKind::InvalidData.into())
}

fn ask_for_offload(socket: BorrowedFd<'_>) -> Offload {
    const ON: c_int = 1;
    const PER_CALL: c_int = 0; // the size comes with each send call; setting the default only asks whether it is known
    Offload {
        segment: set_socket_option(socket, libc::SOL_UDP, libc::UDP_SEGMENT, &PER_CALL).is_ok(),
        join: set_socket_option(socket, libc::SOL_UDP, libc::UDP_GRO, &ON).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::control_message::ControlMessages;
    use crate::io::mmsg::{Outgoing, ReceiveBatch, SendBatch};
    use crate::io::reuseport;
    use crate::io::socket_address::RawAddress;

    fn local(socket: &Socket) -> SocketAddr {
        socket.local_addr().unwrap().as_socket().unwrap()
    }

    fn send(socket: &Socket, to: SocketAddr, control: ControlMessages, octets: &[u8]) {
        let message = Outgoing { to: RawAddress::from(to), control, octets };
        assert_eq!(SendBatch::default().send(socket.as_fd(), std::iter::once(message)).unwrap(), 1);
    }

    #[test]
    fn a_datagram_tells_its_addresses_and_traffic_class() {
        for any in ["0.0.0.0:0", "[::]:0"] {
            let any: SocketAddr = any.parse().unwrap();
            let ((from, _), (to, _)) = (open(any, false).unwrap(), open(any, false).unwrap());
            let loopback = |s: &Socket| {
                SocketAddr::new(
                    if any.is_ipv6() { [0, 0, 0, 0, 0, 0, 0, 1].into() } else { [127, 0, 0, 1].into() },
                    local(s).port(),
                )
            };
            let mut control = ControlMessages::default();
            control.source(loopback(&from).ip());
            control.traffic_class(0x03, any.is_ipv6());
            send(&from, loopback(&to), control, b"marked");
            let mut batch = ReceiveBatch::default();
            assert_eq!(batch.receive(to.as_fd(), 1).unwrap(), 1);
            let message = batch.messages().next().unwrap();
            assert_eq!((message.from, message.about.local), (Some(loopback(&from)), Some(loopback(&to).ip())));
            assert_eq!((message.about.traffic_class, &*message.octets), (0x03, &b"marked"[..]));
        }
    }

    #[test]
    fn segments_arrive_as_so_many_octets() {
        let any = "127.0.0.1:0".parse().unwrap();
        let ((from, granted), (to, _)) = (open(any, true).unwrap(), open(any, true).unwrap());
        assert_eq!(granted, Offload { segment: true, join: true }, "every kernel since 5.0 has both");
        let mut control = ControlMessages::default();
        control.segment_size(100);
        send(&from, local(&to), control, &[7; 950]);
        let (mut batch, mut sizes) = (ReceiveBatch::default(), Vec::new());
        while batch.receive(to.as_fd(), 64).unwrap() > 0 {
            for message in batch.messages() {
                let size = message.about.segment_size.unwrap_or(message.octets.len());
                sizes.extend(message.octets.chunks(size).map(<[u8]>::len));
            }
        }
        assert_eq!(sizes, [[100; 9].as_slice(), &[50]].concat());
    }

    #[test]
    fn the_kernel_steers_by_the_first_octet() {
        let (first, _) = open("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = local(&first);
        let mut group = vec![first];
        group.extend((0..2).map(|_| open(address, false).unwrap().0));
        reuseport::attach_to_group(group[0].as_fd(), &reuseport::esp_in_udp(3)).unwrap();
        let (from, _) = open("127.0.0.1:0".parse().unwrap(), false).unwrap();
        for spi in [3, 1, 2, 2, 3, 3] {
            send(&from, address, ControlMessages::default(), &[spi, 0, 0, 1, 0, 0, 0, 1]);
        }
        let mut batch = ReceiveBatch::default();
        for (socket, (octet, count)) in group.iter().zip([(1, 1), (2, 2), (3, 3)]) {
            assert_eq!(batch.receive(socket.as_fd(), 64).unwrap(), count);
            assert!(batch.messages().all(|message| message.octets[0] == octet));
        }
    }

    #[test]
    fn a_port_that_somebody_shares_is_not_ours() {
        let (socket, _) = open("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = local(&socket);
        open(address, false).unwrap();
        assert_eq!(open_first(address, false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn the_first_of_a_group_can_be_joined() {
        let (first, _) = open_first("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = local(&first);
        let (second, _) = open(address, false).unwrap();
        reuseport::attach_to_group(first.as_fd(), &reuseport::esp_in_udp(2)).unwrap();
        let (from, _) = open("127.0.0.1:0".parse().unwrap(), false).unwrap();
        for (spi, socket) in [(1, first), (2, second)] {
            send(&from, address, ControlMessages::default(), &[spi, 0, 0, 1, 0, 0, 0, 1]);
            assert_eq!(ReceiveBatch::default().receive(socket.as_fd(), 64).unwrap(), 1);
        }
    }
}
