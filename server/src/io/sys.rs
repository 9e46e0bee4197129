//! System calls that neither std nor socket2 offers, each behind a safe function.
//!
//! Does not: receive and send batches of datagrams (see `mmsg`).
#![expect(unsafe_code, reason = "the system calls themselves; each block says why it is sound")]

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use libc::{c_int, socklen_t};

/// Time since the machine started, suspend included.
pub(super) fn uptime() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that lives through the call.
    let outcome = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    assert_eq!(outcome, 0, "CLOCK_BOOTTIME exists since Linux 2.6.39");
    let seconds = u64::try_from(time.tv_sec).expect("the machine was not started in the future");
    Duration::new(seconds, u32::try_from(time.tv_nsec).expect("nanoseconds are below 10^9"))
}

/// Descriptors to be waited for.
pub(crate) struct Readiness(Vec<libc::pollfd>);

impl Readiness {
    /// Watches `descriptors`, which have to stay open as long as this lives.
    pub(crate) fn new<'fd>(descriptors: impl IntoIterator<Item = BorrowedFd<'fd>>) -> Self {
        let watch = |fd: BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        Self(descriptors.into_iter().map(watch).collect())
    }

    /// Waits until one can be read, without end, and tells which by their order.
    ///
    /// An error condition of a descriptor counts as readable: reading it tells the error.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        poll(&mut self.0, -1)
    }

    /// Whether the descriptor at `index` was readable at the last [`Readiness::wait`].
    pub(crate) fn is_ready(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(|watched| watched.revents != 0)
    }
}

/// Waits until `fd` takes data again, at most `limit`. Tells whether it does.
pub(crate) fn wait_writable(fd: BorrowedFd<'_>, limit: Duration) -> bool {
    let mut watched = [libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 }];
    let milliseconds = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX);
    poll(&mut watched, milliseconds).is_ok() && watched[0].revents & libc::POLLOUT != 0
}

fn poll(watched: &mut [libc::pollfd], milliseconds: c_int) -> io::Result<()> {
    let count = libc::nfds_t::try_from(watched.len()).expect("a handful of descriptors");
    // SAFETY: pointer and count are those of one slice of pollfd, exclusively borrowed.
    let ready = unsafe { libc::poll(watched.as_mut_ptr(), count, milliseconds) };
    if ready >= 0 {
        return Ok(());
    }
    watched.iter_mut().for_each(|one| one.revents = 0);
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        error => Err(error),
    }
}

/// Sets a socket option with the value of a C struct or integer.
///
/// `T` must be what the kernel expects at `level` and `name`; a wrong one is an error of the kernel, not undefined behaviour,
/// as it reads no more than the size that is passed.
pub(crate) fn set_socket_option<T: Copy>(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let size = socklen_t::try_from(size_of::<T>()).expect("socket options are small");
    // SAFETY: pointer and size are those of `value`, which the kernel only reads.
    let outcome = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), size) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads a socket option that is an integer.
pub(crate) fn integer_option(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<c_int> {
    let mut value: c_int = 0;
    let mut size = socklen_t::try_from(size_of::<c_int>()).expect("four octets");
    // SAFETY: the pointers are to an integer and its size, which the kernel does not write beyond.
    let outcome = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut size) };
    if outcome == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

/// Lets a classic BPF program choose the socket of the SO_REUSEPORT group that `fd` belongs to.
pub(super) fn attach_reuseport_program(fd: BorrowedFd<'_>, program: &[libc::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // The kernel only reads the instructions; the pointer is mutable in the C declaration alone.
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    set_socket_option(fd, libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, &program)
}

/// Makes `device`, an open `/dev/net/tun`, a queue of the interface `name`, with `flags` as of `linux/if_tun.h`.
///
/// `name` is cut at 15 octets.
pub(crate) fn tun_attach(device: BorrowedFd<'_>, name: &str, flags: libc::c_short) -> io::Result<()> {
    // SAFETY: ifreq consists of integers and unions of integers and pointers, for which zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_flags = flags;
    // SAFETY: TUNSETIFF reads and writes one ifreq, which the pointer is to.
    let outcome = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Tells the kernel which unfinished packets (TUN_F_*) may be read from the device of this queue.
pub(crate) fn tun_set_offload(queue: BorrowedFd<'_>, offload: libc::c_uint) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    let outcome = unsafe { libc::ioctl(queue.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(offload)) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A counter that can be waited for: readable while it is not 0.
pub(super) fn event_counter() -> io::Result<OwnedFd> {
    // SAFETY: no pointers; on success the descriptor is new and belongs to nobody else.
    unsafe {
        match libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// The address of something for the kernel.
pub(super) fn address_of<T: ?Sized>(value: &mut T) -> *mut c_void {
    std::ptr::from_mut(value).cast()
}
