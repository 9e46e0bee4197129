//! The data plane: what carries packets once IKE has agreed on keys.
//!
//! [`DataPlane`] is the one door. [`userspace`] is the implementation for every kernel; another one (Linux xfrm) would
//! have to pass the same tests, `tests/dataplane.rs`. [`install`] turns what IKE negotiated into what ESP needs.
//!
//! Does not: negotiate, assign addresses, decide about sessions. Routes and the packet filter are the business of
//! [`crate::net`].

pub mod install;
mod link;
mod site;
pub mod userspace;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use cygnet_esp::{DropReason, SaError};
use cygnet_ike::{EspSpi, Path};

pub use install::SaPair;
pub use link::{InnerPath, Link, SendError};
pub use site::{Claim, Device, DeviceError, Limit, Limits, Owner, Reach, SiteDevice, everywhere};

/// Something that seals and opens the packets of SA pairs. A pair is named by its inbound SPI.
pub trait DataPlane {
    /// Takes a pair into use. It receives from now on.
    ///
    /// It also sends from now on, unless it `replaces` another one (RFC 7296 section 2.8): then the old pair goes on
    /// sending until the first authentic packet arrives on the new one, or the old one is removed. The old pair receives
    /// until it is removed.
    ///
    /// # Errors
    /// If the pair cannot be used or its SPI is taken. Nothing has changed then.
    fn install(&mut self, pair: SaPair, replaces: Option<EspSpi>) -> Result<(), InstallError>;

    /// Takes a pair out of use; unknown ones are ignored. It does not send any more, but for what is being worked on: some
    /// milliseconds of packets. It does not receive any more either, unless it was replaced: then it receives for some seconds
    /// longer what was under way (RFC 7296 section 2.8), until [`DataPlane::tidy`] is called after that.
    fn remove(&mut self, inbound_spi: EspSpi);

    /// Ends what [`DataPlane::remove`] has left for a while. To be called every second or so.
    fn tidy(&mut self);

    /// Sends a pair's packets elsewhere from now on, in UDP or directly in IP; unknown ones are ignored.
    fn move_peer(&mut self, inbound_spi: EspSpi, path: Path, udp_encap: bool);

    /// Says whose traffic is whose, in the place of what was said before. Of two claims to a packet that with the longer prefix counts,
    /// then that which looks at more than addresses; a pair carries nothing in either direction that somebody else has the stronger
    /// claim to, see [`SaPair::owner`]. So traffic for somebody whose pair is not there goes nowhere.
    ///
    /// Where routes send packets into a site's own [`SiteDevice`] they decide, but for addresses of clients.
    fn set_claims(&mut self, claims: Vec<Claim>);

    /// Says for which sites traffic without a pair raises [`DataPlaneEvent::NoTunnel`], in the place of what was said before: packets
    /// that they have the strongest claim to, and all from their own [`SiteDevice`].
    ///
    /// The first few packets of such traffic are kept for some seconds and leave by the pair that comes up for them.
    fn set_traps(&mut self, sites: Vec<Arc<str>>);

    /// Says which sites have a TUN device of their own, in the place of what was said before: others are taken away, those that
    /// are there already stay as they are.
    ///
    /// # Errors
    /// If a device cannot be created. Those before it are there then.
    fn set_devices(&mut self, devices: &[SiteDevice]) -> Result<(), DeviceError>;

    /// Lets an L2TP pair carry the packets of a PPP link, or none any more; unknown pairs are ignored.
    ///
    /// It holds for the pairs that this one replaces and for those that replace it, too: a link outlives rekeys.
    fn link(&mut self, inbound_spi: EspSpi, link: Option<Link>);

    /// Sends one UDP datagram from port 1701 to `port` inside an L2TP pair: inside the one that sends for it while it waits for
    /// its predecessor.
    ///
    /// # Errors
    /// If there is no such pair, its sequence numbers are used up or the kernel refuses. L2TP repeats what was lost.
    fn send_l2tp(&mut self, inbound_spi: EspSpi, port: u16, datagram: &[u8]) -> Result<(), SendError>;

    /// Where the packets of a pair go to; `None` for an unknown one.
    fn reach(&self, inbound_spi: EspSpi) -> Option<Reach>;

    /// What the inner packets of a pair may measure, octets, so that outer ones fit the path as far as the kernel knows it now;
    /// `None` for an unknown pair, or without a route.
    fn path_mtu(&self, inbound_spi: EspSpi) -> Option<u16>;

    /// What a pair has carried since it was installed; `None` for an unknown one.
    fn usage(&self, inbound_spi: EspSpi) -> Option<Usage>;

    /// The next thing that the data plane noticed.
    fn poll_event(&mut self) -> Option<DataPlaneEvent>;

    /// Sums over all threads since the start.
    fn counters(&self) -> Counters;
}

/// What an SA pair has carried. Octets are those of inner packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Octets from the peer.
    pub bytes_in: u64,
    /// Octets to the peer.
    pub bytes_out: u64,
    /// Packets from the peer.
    pub packets_in: u64,
    /// Packets to the peer.
    pub packets_out: u64,
    /// When the last authentic packet came in, to the precision of one batch; `None` before the first.
    pub last_heard: Option<Instant>,
}

/// What the data plane noticed about an SA pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataPlaneEvent {
    /// The first authentic packet of a pair came in.
    FirstInbound {
        /// Inbound SPI of the pair.
        spi: EspSpi,
    },
    /// A fresh authentic packet came from another address or port than the pair sends to (RFC 7296 section 2.23).
    ///
    /// Nothing has changed: who wants to follow calls [`DataPlane::move_peer`]. Told at most once a second for a pair.
    PeerMoved {
        /// Inbound SPI of the pair.
        spi: EspSpi,
        /// Where the packet came from, and to which of our addresses.
        path: Path,
    },
    /// Fresh authentic packets of an L2TP pair come in the other encapsulation than was negotiated: some clients behind a NAT
    /// propose raw ESP and send ESP in UDP. Who wants to follow calls [`DataPlane::move_peer`].
    EncapsulationChanged {
        /// Inbound SPI of the pair.
        spi: EspSpi,
        /// In UDP from now on, or directly in IP.
        udp_encap: bool,
        /// Where the packet came from, and to which of our addresses.
        path: Path,
    },
    /// The first packets of a pair all failed their integrity check; told once. If the suite has HMAC-SHA2-256, the client may cut
    /// the code to 96 bits where RFC 4868 says 128.
    AllForged {
        /// Inbound SPI of the pair.
        spi: EspSpi,
    },
    /// The pair has carried so much that it should be rekeyed; told once.
    SoftLimit {
        /// Inbound SPI of the pair.
        spi: EspSpi,
    },
    /// The pair has carried all that it may: it sends no more and should be removed.
    HardLimit {
        /// Inbound SPI of the pair.
        spi: EspSpi,
    },
    /// A router on the way said that outer packets are too big. The same is told once a second for a pair, as long as somebody
    /// sends too much; what is told may hold for some minutes (RFC 1191 section 6.3).
    PathMtu {
        /// Inbound SPI of the pair.
        spi: EspSpi,
        /// What inner packets may measure, octets.
        mtu: u16,
    },
    /// A packet wants a tunnel that is not there, see [`DataPlane::set_traps`]. Told at most once a second for a destination.
    NoTunnel {
        /// The site that the tunnel leads to.
        site: Arc<str>,
        /// Source address of the packet.
        source: IpAddr,
        /// Destination address of the packet.
        destination: IpAddr,
        /// Protocol behind its IP header.
        protocol: u8,
    },
    /// A thread of the data plane has ended although nobody stopped it: packets get lost from now on. The process should end,
    /// so that its supervisor starts it again.
    ThreadEnded,
}

/// Sums over all threads of a data plane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets dropped, by [`DropReason::index`].
    pub dropped: [u64; DropReason::COUNT],
    /// NAT keepalives (RFC 3948 section 4).
    pub keepalives: u64,
    /// IKE messages dropped because the control plane was behind.
    pub ike_overflow: u64,
    /// L2TP datagrams dropped because the control plane was behind, or one client sent too many.
    pub l2tp_overflow: u64,
    /// Datagrams that are longer than the receive buffer or came without a usable address.
    pub unusable: u64,
    /// Packets that the kernel did not take from us for the TUN device.
    pub tun_failures: u64,
    /// Outer packets that the kernel did not send.
    pub send_failures: u64,
}

impl Counters {
    /// Packets dropped for one reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason.index()]
    }
}

/// Why an SA pair cannot be taken into use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    /// A cipher without an integrity algorithm, or the reverse.
    #[error("the cipher and the integrity algorithm do not go together")]
    Suite,
    /// ESP in UDP from a port that is not 4500 (RFC 3948 section 2.1), or paths of different address families.
    #[error("ESP packets cannot take this path")]
    Path,
    /// ESP refuses SPI, keys or replay window.
    #[error(transparent)]
    Sa(#[from] SaError),
    /// Another pair has this inbound SPI.
    #[error("inbound SPI {0} is in use")]
    SpiInUse(EspSpi),
    /// The first octet of the inbound SPI names no worker.
    #[error("inbound SPI {spi} belongs to none of the {workers} workers")]
    NoWorker {
        /// The SPI.
        spi: EspSpi,
        /// How many workers there are; they are counted from 1.
        workers: usize,
    },
    /// No socket is bound to our end of the path.
    #[error("no socket listens on the local address of the path")]
    NoSocket,
    /// The site has no device of its own, see [`DataPlane::set_devices`].
    #[error("site {0} has no interface of its own")]
    NoDevice(Arc<str>),
    /// The worker has ended: the process is shutting down.
    #[error("the worker has ended")]
    Stopped,
}
