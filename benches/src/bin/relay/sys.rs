//! The system calls of the relay that the standard library does not have: TUN device, UDP_SEGMENT, UDP_GRO, recvmmsg.

#![expect(unsafe_code, reason = "system calls without a safe wrapper in the standard library")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::mem;
use std::net::{SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::ptr;

/// Octets of `struct virtio_net_hdr` before every packet of the TUN device.
pub(crate) const VNET_HEADER_LEN: usize = 10;

/// Most octets that one read of the TUN device returns.
pub(crate) const SUPER_PACKET_LEN: usize = VNET_HEADER_LEN + 65_536;

/// Octets of the socket buffers: 50 datagrams of the largest size in each direction, and room for a pause of the thread.
const SOCKET_BUFFER_LEN: libc::c_int = 7 << 20;

/// Runs of datagrams in one receive call.
const RUNS: usize = 8;

/// TUN_F_CSUM, TUN_F_TSO4.
const OFFLOADS: libc::c_ulong = 0x01 | 0x02;

/// `struct virtio_net_hdr`, in native byte order.
pub(crate) struct VnetHeader {
    /// The checksum field holds the sum of the pseudo-header only.
    pub(crate) needs_checksum: bool,
    pub(crate) gso_type: GsoType,
    /// IP and TCP header together.
    pub(crate) headers_len: usize,
    /// Payload octets of each segment.
    pub(crate) gso_size: usize,
    pub(crate) checksum_start: usize,
    pub(crate) checksum_offset: usize,
}

/// What a super-packet consists of.
#[derive(Clone, Copy)]
pub(crate) enum GsoType {
    /// It is a single packet.
    None,
    TcpV4,
    Other,
}

impl VnetHeader {
    /// The header of a single packet with a complete checksum.
    pub(crate) const NONE: Self = Self {
        needs_checksum: false,
        gso_type: GsoType::None,
        headers_len: 0,
        gso_size: 0,
        checksum_start: 0,
        checksum_offset: 0,
    };

    /// Reads the first [`VNET_HEADER_LEN`] octets of `octets`.
    pub(crate) fn parse(octets: &[u8]) -> Self {
        let field = |at| usize::from(u16::from_ne_bytes([octets[at], octets[at + 1]]));
        let gso_type = match octets[1] & !0x80 {
            0 => GsoType::None,
            1 => GsoType::TcpV4,
            _ => GsoType::Other,
        };
        Self {
            needs_checksum: octets[0] & 1 != 0,
            gso_type,
            headers_len: field(2),
            gso_size: field(4),
            checksum_start: field(6),
            checksum_offset: field(8),
        }
    }

    pub(crate) fn emit(&self) -> [u8; VNET_HEADER_LEN] {
        let mut octets = [0; VNET_HEADER_LEN];
        octets[0] = u8::from(self.needs_checksum);
        octets[1] = u8::from(matches!(self.gso_type, GsoType::TcpV4));
        let fields = [self.headers_len, self.gso_size, self.checksum_start, self.checksum_offset];
        for (field, to) in fields.iter().zip(octets[2..].chunks_exact_mut(2)) {
            to.copy_from_slice(&(*field as u16).to_ne_bytes());
        }
        octets
    }
}

/// Makes or opens a TUN device that passes TCP super-packets, for reads that do not wait.
pub(crate) fn open_tun(name: &str) -> io::Result<File> {
    let tun = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    // SAFETY: ifreq consists of integers and octets, for which zero is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::other("the name of the TUN device is too long"));
    }
    for (to, octet) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = octet as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    // SAFETY: the file is open, `request` is an ifreq that lives through the call.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, &raw const request) })?;
    // SAFETY: the file is open, the argument is an integer.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETOFFLOAD, OFFLOADS) })?;
    Ok(tun)
}

/// A connected UDP socket with large buffers that receives runs of datagrams (UDP_GRO).
pub(crate) fn open_udp(local: SocketAddrV4, peer: SocketAddrV4) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(local)?;
    socket.connect(peer)?;
    for option in [libc::SO_RCVBUFFORCE, libc::SO_SNDBUFFORCE] {
        set_option(socket.as_raw_fd(), libc::SOL_SOCKET, option, SOCKET_BUFFER_LEN)?;
    }
    set_option(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_GRO, 1)?;
    Ok(socket)
}

/// One packet of the TUN device with its virtio-net header, if there is one now.
pub(crate) fn read_now(mut tun: &File, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match tun.read(buffer) {
        Ok(len) => Ok(Some(len)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        // the device is down
        Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until there is a packet.
pub(crate) fn wait_readable(tun: &File) -> io::Result<()> {
    let mut waiting = libc::pollfd { fd: tun.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd that lives through the call.
    check(unsafe { libc::poll(&raw mut waiting, 1, -1) })
}

/// Sends octets as one datagram, or cut into datagrams of `segment_len`. What the kernel does not take is lost.
pub(crate) fn send(socket: &UdpSocket, octets: &[u8], segment_len: Option<u16>) {
    let mut part = libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
    let mut control = [0_u64; 4];
    // SAFETY: msghdr consists of pointers and integers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    if let Some(len) = segment_len {
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: both only compute. The space for two octets is 24, `control` has 32, aligned as a cmsghdr; the header
        // that CMSG_FIRSTHDR returns lies at its start.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(2) as usize;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_UDP;
            (*header).cmsg_type = libc::UDP_SEGMENT;
            (*header).cmsg_len = libc::CMSG_LEN(2) as usize;
            libc::CMSG_DATA(header).cast::<u16>().write_unaligned(len);
        }
    }
    // SAFETY: `message` points to `part` and `control`, and `part` to `octets`; all live through the call.
    if unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::ConnectionRefused {
            eprintln!("relay: send: {error}");
        }
    }
}

/// Buffers for runs of datagrams.
pub(crate) struct Inbox {
    buffers: Vec<Vec<u8>>,
    controls: Vec<[u64; 8]>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { buffers: vec![vec![0; 65_536]; RUNS], controls: vec![[0; 8]; RUNS] }
    }

    /// Waits for datagrams; returns each run with the length of its datagrams, the last of which may be shorter.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> io::Result<impl Iterator<Item = (&mut [u8], usize)>> {
        let mut parts: [libc::iovec; RUNS] = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; RUNS];
        // SAFETY: mmsghdr consists of pointers and integers, for which zero is a value.
        let mut messages: [libc::mmsghdr; RUNS] = unsafe { mem::zeroed() };
        for (i, message) in messages.iter_mut().enumerate() {
            parts[i] = libc::iovec { iov_base: self.buffers[i].as_mut_ptr().cast(), iov_len: self.buffers[i].len() };
            message.msg_hdr.msg_iov = &raw mut parts[i];
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_control = self.controls[i].as_mut_ptr().cast();
            message.msg_hdr.msg_controllen = mem::size_of_val(&self.controls[i]);
        }
        let fd = socket.as_raw_fd();
        // SAFETY: RUNS headers, each pointing to a buffer and a control buffer of this length; all live through the call.
        let count = unsafe {
            libc::recvmmsg(fd, messages.as_mut_ptr(), RUNS as libc::c_uint, libc::MSG_WAITFORONE, ptr::null_mut())
        };
        let count = match io::Error::last_os_error() {
            _ if count >= 0 => count as usize,
            error if error.kind() == io::ErrorKind::ConnectionRefused => 0,
            error => return Err(error),
        };
        let lens: [(usize, usize); RUNS] = std::array::from_fn(|i| {
            let len = messages[i].msg_len as usize;
            // SAFETY: the kernel has filled in the header and its control buffer.
            (len, unsafe { gro_size(&messages[i].msg_hdr) }.unwrap_or(len).max(1))
        });
        Ok(self.buffers.iter_mut().zip(lens).take(count).map(|(buffer, (len, each))| (&mut buffer[..len], each)))
    }
}

/// The length of each datagram of a run.
///
/// # Safety
/// Control pointer and length of `message` must describe readable control messages.
unsafe fn gro_size(message: &libc::msghdr) -> Option<usize> {
    // SAFETY: as the caller promises; CMSG_FIRSTHDR and CMSG_NXTHDR stay within the control buffer.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while let Some(found) = header.as_ref() {
            if found.cmsg_level == libc::SOL_UDP && found.cmsg_type == libc::UDP_GRO {
                return usize::try_from(libc::CMSG_DATA(header).cast::<libc::c_int>().read_unaligned()).ok();
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
        None
    }
}

fn set_option(fd: RawFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let len = mem::size_of_val(&value) as libc::socklen_t;
    // SAFETY: `value` is `len` octets long and lives through the call.
    check(unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), len) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
