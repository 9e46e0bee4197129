//! The data plane for every kernel: ESP in threads of our own, between UDP sockets and a TUN device.
//!
//! ```text
//!            worker 1 .. n, each:
//!  sockets -> [rx thread: inbound SAs ] -> TUN queue         commands: install, remove, move
//!  sockets <- [tx thread              ] <- TUN queue         outbound: one table of routes for all
//! ```
//!
//! The first octet of an inbound SPI is 1 + the index of its worker, and the kernel delivers by it ([`crate::io::reuseport`]):
//! an inbound SA is touched by one thread only. Outbound SAs are shared. IKE messages leave the threads at once, through
//! [`Started::datagrams`]; answers are sent with [`IkeSender`].
//!
//! A site may have a TUN device of its own: a sending thread more, whose packets have no choice but the pairs of this site. Packets
//! that want a site's tunnel before it is there wait for it, a few for a moment. One more thread listens to routers that say
//! "too big".
//!
//! Does not: configure the TUN interface ([`crate::net`] does), clamp MSS, fragment or reassemble inner packets.

mod checksum;
mod claims;
mod counters;
mod datagrams;
mod devices;
mod dispatch;
mod gro;
mod gso;
mod ike_sender;
mod inbound;
mod l2tp_payload;
mod l2tp_sender;
mod leaving;
mod link_header;
mod meter;
mod outbox;
mod path_mtu;
mod plane;
mod registry;
mod rx;
mod sockets;
mod table;
#[cfg(test)]
mod testing;
mod transport;
mod traps;
mod tun;
mod tx;
mod virtio;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cygnet_ike::{EspSpi, Path};
use tokio::sync::mpsc;

use super::DataPlaneEvent;
use crate::io::clock::Clock;
use crate::io::wake::Wake;

pub use datagrams::Datagrams;
pub use ike_sender::IkeSender;
pub use plane::{UsageMeter, UserspaceDataPlane, start, start_with};
pub use tun::TunFeatures;

/// Events that wait for the control plane. Lost ones are either repeated or only told for the log; what must not be lost does not go
/// this way, see [`Notes`].
const EVENT_QUEUE: usize = 1024;

/// What the data plane should be like.
#[derive(Clone, Debug)]
pub struct DataPlaneConfig {
    /// Name of the TUN interface to create.
    pub interface: String,
    /// How many workers, 1 to 254; two threads each. As many as cores.
    pub workers: u8,
    /// Addresses to listen on; empty: all.
    pub listen: Vec<IpAddr>,
    /// Carry ESP directly in IP, too. Takes CAP_NET_RAW.
    pub raw_esp: bool,
    /// Copy the DSCP of inner packets to the outer header (RFC 4301 section 5.1.2.1): lets networks on the way prefer
    /// packets, and observers tell them apart.
    pub copy_dscp: bool,
    /// Whose time [`super::Usage::last_heard`] is.
    pub clock: Clock,
}

/// Which help of the kernel is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// Whatever it grants: queues, super-packets, joined datagrams. Several times as fast.
    AsGranted,
    /// None: packet by packet, through one queue. For drivers that do it wrong, and to test what old kernels get.
    Off,
}

/// A running data plane and its connections to the control plane.
pub struct Started {
    /// The data plane itself. Dropping it stops the threads and takes the interface away.
    pub plane: UserspaceDataPlane,
    /// What the control plane has to answer.
    pub datagrams: Datagrams,
    /// Sends IKE messages.
    pub ike: IkeSender,
    /// What the kernel granted, for log and diagnosis.
    pub features: Features,
}

/// What the kernel granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Of the TUN device.
    pub tun: TunFeatures,
    /// One call sends many datagrams.
    pub udp_segmentation: bool,
    /// Datagrams come joined.
    pub udp_joining: bool,
}

impl fmt::Display for Features {
    /// What there is, such as `tun-tcp udp-gso udp-gro`; `none` without any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.tun.tcp_segmentation, "tun-tcp"),
            (self.tun.udp_segmentation, "tun-udp"),
            (self.udp_segmentation, "udp-gso"),
            (self.udp_joining, "udp-gro"),
        ];
        let granted: Vec<&str> = all.into_iter().filter(|(granted, _)| *granted).map(|(_, name)| name).collect();
        f.write_str(if granted.is_empty() { "none" } else { "" })?;
        f.write_str(&granted.join(" "))
    }
}

/// What the packet path does not carry itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToControl {
    /// An IKE message.
    Ike(IkeDatagram),
    /// A datagram of an L2TP pair.
    L2tp(L2tpDatagram),
}

/// A datagram to UDP port 1701 that came in authentic: an L2TP control message, or a data message that is no packet of the
/// linked session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L2tpDatagram {
    /// The pair that it came by.
    pub inbound_spi: EspSpi,
    /// The peer's inner UDP port.
    pub port: u16,
    /// UDP payload.
    pub datagram: Vec<u8>,
}

/// An IKE message that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IkeDatagram {
    /// To and from where.
    pub path: Path,
    /// Without non-ESP marker.
    pub message: Vec<u8>,
}

/// Why the data plane does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no TUN device to be had.
    #[error("cannot create the TUN interface {interface}: {source}{}", tun_hint(source))]
    Tun {
        /// Its name.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A UDP socket cannot be opened.
    #[error("cannot listen on UDP {address}: {source}{}", udp_hint(source))]
    Udp {
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// A raw socket cannot be opened.
    #[error("cannot receive ESP (IP protocol 50) on {address}: {source}{}", raw_hint(source))]
    RawEsp {
        /// Where.
        address: IpAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel refuses the program that chooses the worker of a packet.
    #[error("cannot steer packets to workers (SO_ATTACH_REUSEPORT_CBPF, Linux 4.6 and later): {0}")]
    Steering(io::Error),
    /// Threads or their wake-ups cannot be made.
    #[error("cannot start the threads of the packet path: {0}")]
    Threads(io::Error),
    /// A number of workers that SPIs cannot name.
    #[error("{0} workers: it has to be 1 to 254")]
    Workers(u8),
}

fn tun_hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOENT) => ". /dev/net/tun is missing: load the module tun, or give the container this device",
        Some(libc::EACCES | libc::EPERM) => ". This takes CAP_NET_ADMIN and access to /dev/net/tun",
        Some(libc::EBUSY | libc::EINVAL) => ". An interface of this name may exist already",
        _ => "",
    }
}

fn udp_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => ". Another IKE daemon may be running (charon, pluto, iked), or another cygnet",
        io::ErrorKind::AddrNotAvailable => ". No interface of this machine has this address",
        io::ErrorKind::PermissionDenied => ". Ports below 1024 take CAP_NET_BIND_SERVICE",
        _ => "",
    }
}

fn raw_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => ". This takes CAP_NET_RAW",
        _ => "",
    }
}

/// How a thread is told what to do.
#[derive(Clone)]
struct Control {
    wake: Wake,
    stopped: Arc<AtomicBool>,
}

impl Control {
    fn new(stopped: &Arc<AtomicBool>) -> io::Result<Self> {
        Ok(Self { wake: Wake::new()?, stopped: stopped.clone() })
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

/// Where threads put events.
#[derive(Clone)]
struct EventSender {
    queue: mpsc::Sender<DataPlaneEvent>,
    arrived: Arc<tokio::sync::Notify>,
    notes: Arc<Notes>,
}

/// What is told whatever else there is to tell.
#[derive(Default)]
struct Notes {
    /// The meter of some pair has [noted](meter::Meter::take_noted) a limit.
    limit: AtomicBool,
    /// A thread has ended.
    ended: AtomicBool,
}

impl EventSender {
    fn send(&self, event: DataPlaneEvent) {
        // A full queue loses the event: see EVENT_QUEUE.
        let _ = self.queue.try_send(event);
        self.arrived.notify_one();
    }

    fn limit_reached(&self) {
        self.notes.limit.store(true, Ordering::Release);
        self.arrived.notify_one();
    }

    fn thread_ended(&self) {
        self.notes.ended.store(true, Ordering::Release);
        self.arrived.notify_one();
    }
}

/// Tells when a thread ends although nobody stopped it.
struct EndWatch {
    control: Control,
    events: EventSender,
}

impl Drop for EndWatch {
    fn drop(&mut self) {
        if !self.control.is_stopped() {
            self.events.thread_ended();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_be_lost_does_not_wait_behind_a_flood() {
        let (queue, events) = mpsc::channel(1);
        let sender = EventSender { queue, arrived: Arc::default(), notes: Arc::default() };
        let control = Control::new(&Arc::default()).unwrap();
        let watch = EndWatch { control, events: sender.clone() };
        for _ in 0..3 {
            sender.send(DataPlaneEvent::FirstInbound { spi: EspSpi(1) });
        }
        assert_eq!(events.len(), 1);
        sender.limit_reached();
        drop(watch);
        assert!(sender.notes.limit.load(Ordering::Acquire) && sender.notes.ended.load(Ordering::Acquire));
    }

    #[test]
    fn errors_name_what_is_missing() {
        let tun = |code| StartError::Tun { interface: "cygnet0".into(), source: io::Error::from_raw_os_error(code) };
        assert!(tun(libc::ENOENT).to_string().contains("load the module tun"));
        assert!(tun(libc::EPERM).to_string().contains("CAP_NET_ADMIN"));
        let address = "0.0.0.0:500".parse().unwrap();
        let udp = StartError::Udp { address, source: io::ErrorKind::AddrInUse.into() };
        assert!(udp.to_string().starts_with("cannot listen on UDP 0.0.0.0:500"), "{udp}");
        assert!(udp.to_string().contains("charon"));
        let raw = StartError::RawEsp { address: address.ip(), source: io::ErrorKind::PermissionDenied.into() };
        assert!(raw.to_string().contains("CAP_NET_RAW"));
    }
}
