//! The TUN device (Documentation/networking/tuntap.rst): one queue per worker, super-packets where the kernel has them.
//!
//! Each refusal of the kernel costs speed only: without IFF_MULTI_QUEUE all workers share a queue, without IFF_VNET_HDR or
//! offload each packet passes alone.
//!
//! Does not: give the interface addresses, an MTU or routes. See [`crate::net`].

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use libc::{c_short, c_uint};

use super::counters::{Event, ThreadCounters};
use super::gro::{Offers, Sink};
use super::{Offload, virtio};
use crate::io::sys;

const DEVICE: &str = "/dev/net/tun";

/// Offload to ask for, best first. TUN_F_CSUM has to be among it for any other to be.
const OFFLOADS: [(c_uint, Granted); 3] = [
    (
        libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_USO4 | libc::TUN_F_USO6,
        Granted { tcp: true, udp: true },
    ),
    (libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6, Granted { tcp: true, udp: false }),
    (0, Granted { tcp: false, udp: false }),
];

/// Which super-packets the kernel passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Granted {
    tcp: bool,
    udp: bool,
}

/// What the kernel granted the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunFeatures {
    /// One queue per worker.
    pub queues: bool,
    /// TCP super-packets (TSO).
    pub tcp_segmentation: bool,
    /// UDP super-packets (USO), since Linux 6.2.
    pub udp_segmentation: bool,
}

/// One queue of the device. Clones are the same queue; the device goes away with its last queue.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    file: Arc<File>,
    /// Each packet has a virtio-net header in front.
    has_header: bool,
    granted: Granted,
}

/// Creates the interface with up to `workers` queues, one for each.
pub(super) fn open(interface: &str, workers: usize, offload: Offload) -> io::Result<(Vec<Queue>, TunFeatures)> {
    let header = flag(libc::IFF_VNET_HDR);
    let many = flag(libc::IFF_MULTI_QUEUE);
    let attempts: &[c_short] = match offload {
        Offload::AsGranted => &[header | many, many, header, 0],
        Offload::Off => &[0],
    };
    let mut refusal = None;
    for &flags in attempts {
        match attach(interface, flags) {
            Ok(first) => return open_others(interface, workers, flags, first),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refusal = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(refusal.unwrap_or_else(|| io::ErrorKind::Unsupported.into()))
}

fn open_others(interface: &str, workers: usize, flags: c_short, first: File) -> io::Result<(Vec<Queue>, TunFeatures)> {
    let has_header = flags & flag(libc::IFF_VNET_HDR) != 0;
    let has_queues = flags & flag(libc::IFF_MULTI_QUEUE) != 0;
    let granted = if has_header { ask_for_offload(&first) } else { Granted { tcp: false, udp: false } };
    let queue = |file| Queue { file: Arc::new(file), has_header, granted };
    let mut queues = vec![queue(first)];
    while queues.len() < workers {
        queues.push(if has_queues { queue(attach(interface, flags)?) } else { queues[0].clone() });
    }
    let features = TunFeatures { queues: has_queues, tcp_segmentation: granted.tcp, udp_segmentation: granted.udp };
    Ok((queues, features))
}

fn attach(interface: &str, flags: c_short) -> io::Result<File> {
    let device = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(DEVICE)?;
    sys::tun_attach(device.as_fd(), interface, flag(libc::IFF_TUN) | flag(libc::IFF_NO_PI) | flags)?;
    Ok(device)
}

fn ask_for_offload(queue: &File) -> Granted {
    let accepted = OFFLOADS.iter().find(|(mask, _)| sys::tun_set_offload(queue.as_fd(), *mask).is_ok());
    accepted.map_or(Granted { tcp: false, udp: false }, |(_, granted)| *granted)
}

fn flag(value: libc::c_int) -> c_short {
    c_short::try_from(value).expect("interface flags have 15 bits")
}

impl Queue {
    /// Room for one packet: a virtio-net header and the longest packet.
    pub(super) const BUFFER_LEN: usize = virtio::LEN + 65_535;

    /// Reads one packet without waiting: what is known about it, and where it lies in `buffer`. `None` if none is there.
    pub(super) fn read<'b>(
        &self,
        buffer: &'b mut [u8; Self::BUFFER_LEN],
    ) -> io::Result<Option<(virtio::Header, &'b mut [u8])>> {
        let len = match (&*self.file).read(buffer) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        if !self.has_header {
            return Ok(Some((virtio::Header::PLAIN, &mut buffer[..len])));
        }
        let unknown = || io::Error::from(io::ErrorKind::InvalidData);
        let (header, packet) = buffer[..len].split_first_chunk_mut().ok_or_else(unknown)?;
        Ok(Some((virtio::Header::parse(header).ok_or_else(unknown)?, packet)))
    }

    /// What may be coalesced for this device.
    pub(super) fn offers(&self) -> Offers {
        Offers { tcp: self.granted.tcp, udp: self.granted.udp }
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Writes to a queue and counts what the kernel refuses, as it does while the interface is down.
pub(super) struct Writer<'a> {
    pub(super) queue: &'a Queue,
    pub(super) counters: &'a ThreadCounters,
}

impl Sink for Writer<'_> {
    fn write(&mut self, parts: &[IoSlice<'_>]) {
        let parts = if self.queue.has_header { parts } else { &parts[1..] };
        if (&*self.queue.file).write_vectored(parts).is_err() {
            self.counters.count(Event::TunFailure);
        }
    }
}
