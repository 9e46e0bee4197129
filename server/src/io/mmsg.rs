//! Many datagrams per system call: `recvmmsg` and `sendmmsg` with control messages.
//!
//! A batch is made once per thread and used again and again; nothing is allocated per call.
//!
//! Does not: join or split datagrams. With UDP GRO and GSO one message stands for several of them.
#![expect(unsafe_code, reason = "sendmmsg and recvmmsg take arrays of pointers; each block says why they are valid")]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, c_uint};

use super::control_message::{self, ControlMessages, Received};
use super::socket_address::{self, RawAddress};
use super::sys::address_of;

/// How many messages one call takes at most.
pub const MAX_MESSAGES: usize = 64;

/// Octets per message: the longest datagram that IP can carry, or as much as UDP GRO joins.
const BUFFER_LEN: usize = 65_536;

/// Room for control messages that come in; aligned by its type.
type ControlBuffer = [u64; control_message::CAPACITY / 8];

/// What one receive call filled.
pub struct ReceiveBatch {
    /// [`MAX_MESSAGES`] buffers of [`BUFFER_LEN`]. Pages that no datagram ever reached cost nothing.
    octets: Vec<u8>,
    controls: Vec<ControlBuffer>,
    names: Vec<[u8; socket_address::CAPACITY]>,
    iovecs: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    filled: usize,
}

/// One message that came in.
pub struct Incoming<'a> {
    /// Its sender; `None` if the kernel names none.
    pub from: Option<SocketAddr>,
    /// What the kernel says about it.
    pub about: Received,
    /// It was longer than the buffer: the end is missing.
    pub truncated: bool,
    /// Its octets. The buffer is the caller's until the next receive call.
    pub octets: &'a mut [u8],
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self {
            octets: vec![0; MAX_MESSAGES * BUFFER_LEN],
            controls: vec![ControlBuffer::default(); MAX_MESSAGES],
            names: vec![Default::default(); MAX_MESSAGES],
            iovecs: Vec::with_capacity(MAX_MESSAGES),
            headers: Vec::with_capacity(MAX_MESSAGES),
            filled: 0,
        }
    }
}

impl ReceiveBatch {
    /// Receives up to `limit` messages without waiting and returns how many came; 0 if none is there.
    ///
    /// # Errors
    /// What `recvmmsg` reports, but that nothing is there.
    pub fn receive(&mut self, socket: BorrowedFd<'_>, limit: usize) -> io::Result<usize> {
        self.filled = 0;
        let count = self.point_headers(limit);
        // SAFETY: the headers point to `count` distinct buffers, names, control buffers and iovecs of `self`, all with their
        // true lengths, none of which is moved or accessed otherwise during the call.
        let outcome = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                count,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        self.filled = accepted(outcome)?;
        Ok(self.filled)
    }

    /// The messages of the last receive call.
    pub fn messages(&mut self) -> impl Iterator<Item = Incoming<'_>> {
        let buffers = self.octets.chunks_exact_mut(BUFFER_LEN);
        let about = self.headers.iter().zip(&self.controls).zip(&self.names);
        about.zip(buffers).take(self.filled).map(|(((header, control), name), octets)| {
            let len = usize::try_from(header.msg_len).map_or(BUFFER_LEN, |len| len.min(BUFFER_LEN));
            let control_len = header.msg_hdr.msg_controllen;
            Incoming {
                from: socket_address::parse(name),
                about: Received::parse(octets_of(control).get(..control_len).unwrap_or_default()),
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                octets: &mut octets[..len],
            }
        })
    }

    /// The buffers of all messages, in their order, to be read after [`ReceiveBatch::messages`] worked on them in place.
    #[must_use]
    pub fn buffer(&self, message: usize) -> &[u8] {
        &self.octets[message * BUFFER_LEN..][..BUFFER_LEN]
    }

    /// Whether the last call brought joined datagrams: few calls then fetch much.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        const LONGEST_SINGLE: c_uint = 9216; // a jumbo frame
        self.headers.iter().take(self.filled).any(|header| header.msg_len > LONGEST_SINGLE)
    }

    fn point_headers(&mut self, limit: usize) -> c_uint {
        let count = limit.min(MAX_MESSAGES);
        self.iovecs.clear();
        self.headers.clear();
        let buffers = self.octets.chunks_exact_mut(BUFFER_LEN).take(count);
        self.iovecs.extend(buffers.map(|buffer| libc::iovec { iov_base: address_of(buffer), iov_len: BUFFER_LEN }));
        let parts = self.iovecs.iter_mut().zip(&mut self.names).zip(&mut self.controls);
        self.headers.extend(parts.map(|((iovec, name), control)| {
            *name = Default::default();
            message_header(iovec, (address_of(name), name.len()), (address_of(control), size_of_val(control)))
        }));
        c_uint::try_from(count).expect("at most MAX_MESSAGES")
    }
}

/// One message to send.
pub struct Outgoing<'a> {
    /// Its destination.
    pub to: RawAddress,
    /// What the kernel should know about it.
    pub control: ControlMessages,
    /// Its octets.
    pub octets: &'a [u8],
}

/// Room for what one send call takes.
#[derive(Default)]
pub struct SendBatch {
    names: Vec<RawAddress>,
    controls: Vec<ControlMessages>,
    iovecs: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

impl SendBatch {
    /// Sends the first [`MAX_MESSAGES`] of `messages` in order, without waiting, and returns how many the kernel took before
    /// one failed; 0 if the socket's buffer is full.
    ///
    /// # Errors
    /// What `sendmmsg` reports about the first message.
    pub fn send<'a>(
        &mut self,
        socket: BorrowedFd<'_>,
        messages: impl Iterator<Item = Outgoing<'a>>,
    ) -> io::Result<usize> {
        let mut octets: [&[u8]; MAX_MESSAGES] = [&[]; MAX_MESSAGES];
        let count = self.take(messages, &mut octets);
        self.point_headers(&octets[..count]);
        let count = c_uint::try_from(count).expect("at most MAX_MESSAGES");
        // SAFETY: the headers point to names, control messages and iovecs of `self` and to payloads that `octets` borrows, all
        // with their true lengths; the kernel only reads them, apart from the lengths in the headers.
        let outcome = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                count,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        accepted(outcome)
    }

    fn take<'a>(
        &mut self,
        messages: impl Iterator<Item = Outgoing<'a>>,
        octets: &mut [&'a [u8]; MAX_MESSAGES],
    ) -> usize {
        self.names.clear();
        self.controls.clear();
        for (slot, message) in octets.iter_mut().zip(messages) {
            self.names.push(message.to);
            self.controls.push(message.control);
            *slot = message.octets;
        }
        self.names.len()
    }

    fn point_headers(&mut self, octets: &[&[u8]]) {
        self.iovecs.clear();
        self.headers.clear();
        self.iovecs.extend(octets.iter().map(|octets| libc::iovec {
            iov_base: octets.as_ptr().cast_mut().cast(), // the kernel does not write there when it sends
            iov_len: octets.len(),
        }));
        let parts = self.iovecs.iter_mut().zip(&self.names).zip(&self.controls);
        self.headers.extend(parts.map(|((iovec, name), control)| {
            let (name, control) = (name.as_bytes(), control.as_bytes());
            let part = |octets: &[u8]| (octets.as_ptr().cast_mut().cast(), octets.len());
            message_header(iovec, part(name), part(control))
        }));
    }
}

/// A header for one buffer, a name and control messages, the latter two as address and length.
fn message_header(
    iovec: &mut libc::iovec,
    name: (*mut libc::c_void, usize),
    control: (*mut libc::c_void, usize),
) -> libc::mmsghdr {
    // SAFETY: mmsghdr consists of integers and pointers, for which zero is valid.
    let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
    header.msg_hdr.msg_name = name.0;
    header.msg_hdr.msg_namelen = libc::socklen_t::try_from(name.1).expect("addresses are short");
    header.msg_hdr.msg_iov = iovec;
    header.msg_hdr.msg_iovlen = 1;
    header.msg_hdr.msg_control = control.0;
    header.msg_hdr.msg_controllen = control.1 as _; // size_t with glibc, socklen_t with musl; at most CAPACITY
    header
}

fn accepted(outcome: c_int) -> io::Result<usize> {
    if let Ok(count) = usize::try_from(outcome) {
        return Ok(count);
    }
    let error = io::Error::last_os_error();
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
        _ => Err(error),
    }
}

fn octets_of(control: &ControlBuffer) -> &[u8] {
    // SAFETY: any initialized u64 is 8 initialized octets, which need no alignment.
    unsafe { std::slice::from_raw_parts(control.as_ptr().cast(), size_of_val(control)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    fn pair() -> (UdpSocket, UdpSocket) {
        let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
        (socket(), socket())
    }

    #[test]
    fn sends_and_receives_many_at_once_in_order() {
        let (from, to) = pair();
        let payloads: Vec<Vec<u8>> = (1..=100_u8).map(|n| vec![n; usize::from(n)]).collect();
        let outgoing = |octets| Outgoing {
            to: RawAddress::from(to.local_addr().unwrap()),
            control: ControlMessages::default(),
            octets,
        };
        let mut sender = SendBatch::default();
        let mut sent = 0;
        while sent < payloads.len() {
            sent += sender.send(from.as_fd(), payloads[sent..].iter().map(|p| outgoing(p))).unwrap();
        }
        let mut batch = ReceiveBatch::default();
        let mut received = Vec::new();
        while batch.receive(to.as_fd(), MAX_MESSAGES).unwrap() > 0 {
            received.extend(batch.messages().map(|message| {
                assert_eq!(message.from, Some(from.local_addr().unwrap()));
                assert!(!message.truncated);
                message.octets.to_vec()
            }));
        }
        assert_eq!(received, payloads);
    }

    #[test]
    fn an_empty_socket_gives_no_message_and_a_limit_is_kept() {
        let (from, to) = pair();
        let mut batch = ReceiveBatch::default();
        assert_eq!(batch.receive(to.as_fd(), 8).unwrap(), 0);
        assert_eq!(batch.messages().count(), 0);
        for _ in 0..3 {
            from.send_to(b"hello", to.local_addr().unwrap()).unwrap();
        }
        assert_eq!(batch.receive(to.as_fd(), 2).unwrap(), 2);
        assert_eq!(batch.messages().count(), 2);
        assert_eq!(&batch.buffer(1)[..5], b"hello");
        assert_eq!(batch.receive(to.as_fd(), 2).unwrap(), 1);
    }

    #[test]
    fn tells_the_error_of_the_first_message() {
        let (from, _to) = pair();
        let message = Outgoing {
            to: RawAddress::from("127.0.0.1:9".parse::<SocketAddr>().unwrap()),
            control: ControlMessages::default(),
            octets: &[0; 65_536],
        };
        let error = SendBatch::default().send(from.as_fd(), std::iter::once(message)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    }
}
