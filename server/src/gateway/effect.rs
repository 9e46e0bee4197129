//! What the gateway wants done: values that the daemon carries out in order.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use cygnet_ike::{ChildSa, EspSpi, Path, SessionId, Transmit};

use crate::dataplane::Link;

/// One thing to do. The daemon performs effects in the order in which they come.
pub enum Effect {
    /// Send an IKE message.
    Send(Transmit),
    /// Make the host forward for these inner addresses, then call [`super::Gateway::admitted`] with the outcome.
    /// The client hears nothing before.
    Admit {
        /// Whose addresses.
        session: SessionId,
        /// Inner addresses.
        addresses: Vec<IpAddr>,
        /// The largest packet that can be sent to them, octets; `None`: what the TUN device takes.
        mtu: Option<u16>,
    },
    /// Take the routes of these inner addresses away.
    Expel {
        /// Inner addresses.
        addresses: Vec<IpAddr>,
    },
    /// Give an SA pair to the data plane.
    Install {
        /// Whose.
        session: SessionId,
        /// SPIs, keys, selectors.
        child: Box<ChildSa>,
        /// Inbound SPI of the pair that this one takes over from.
        replaces: Option<EspSpi>,
        /// The site whose tunnel it is; `None`: a client's.
        site: Option<Arc<str>>,
    },
    /// Take an SA pair away from the data plane.
    Remove {
        /// Its inbound SPI.
        inbound_spi: EspSpi,
    },
    /// Send an L2TP control message, from UDP port 1701 inside an SA pair in transport mode.
    SendL2tp {
        /// Inbound SPI of the pair.
        inbound_spi: EspSpi,
        /// The client's port inside.
        port: u16,
        /// What follows the UDP header.
        datagram: Bytes,
    },
    /// Let an SA pair in transport mode carry the packets of a PPP link, or none any more.
    Link {
        /// Inbound SPI of the pair.
        inbound_spi: EspSpi,
        /// The link; `None`: L2TP carries control messages only from now on.
        link: Option<Link>,
    },
    /// Send an SA pair's packets elsewhere from now on.
    Move {
        /// Its inbound SPI.
        inbound_spi: EspSpi,
        /// Our and the peer's address.
        path: Path,
        /// Whether ESP goes inside UDP from now on; `None`: as before.
        udp_encap: Option<bool>,
    },
    /// Look the name of a site's peer up, then call [`super::Gateway::resolved`] with all its addresses.
    Resolve {
        /// Whose peer.
        site: Arc<str>,
        /// A DNS name.
        name: String,
    },
    /// Ask the kernel which of our addresses leads to a site's peer, or whether we have its `local_address`, then call [`super::Gateway::local_address`].
    LocalAddress {
        /// Whose peer.
        site: Arc<str>,
        /// Its address.
        peer: IpAddr,
    },
    /// Tell of packets for these sites that find no SA pair, by [`super::Gateway::no_tunnel`]. Replaces what was said before.
    Traps(Vec<Arc<str>>),
}
