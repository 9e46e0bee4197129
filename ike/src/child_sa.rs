//! What a negotiated Child SA consists of, as the data plane needs it (RFC 7296 sections 1.3 and 2.17).
//!
//! Does not: process ESP packets.

use std::sync::Arc;

use crate::config::Lifetime;
use crate::crypto::secret::Secret;
use crate::crypto::suite::{Encr, Integ};
use crate::event::Path;
use crate::wire::EspSpi;
use crate::wire::v2::TrafficSelector;

/// A pair of ESP SAs, one for each direction.
pub struct ChildSa {
    /// What is inside of its packets.
    pub mode: ChildMode,
    /// Chosen by us; what we receive carries it. Its first byte is 1 + the shard of the packet path.
    pub inbound_spi: EspSpi,
    /// Chosen by the peer; what we send carries it.
    pub outbound_spi: EspSpi,
    /// Algorithms of both directions.
    pub suite: ChildSuite,
    /// Keys of both directions.
    pub keys: ChildKeys,
    /// Traffic on our side of the tunnel: `TSr` of a client's, `TSi` of one that we asked for.
    pub local_ts: Vec<TrafficSelector>,
    /// Traffic on the peer's side of the tunnel.
    pub remote_ts: Vec<TrafficSelector>,
    /// Whether ESP goes inside UDP port 4500 (RFC 3948).
    pub udp_encap: bool,
    /// Addresses of the outer packets.
    pub path: Path,
    /// Which of its site's tunnels this is, by [`SiteChild::name`](crate::SiteChild::name); `None`: a client's.
    pub site_child: Option<Arc<str>>,
    /// How long it is used. The durations are kept here; octets and packets are for the packet path to count, which
    /// calls [`Endpoint::rekey_child`](crate::Endpoint::rekey_child) at the soft limit.
    pub lifetime: Option<Lifetime>,
}

/// What the packets of a Child SA hold, RFC 4303 section 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChildMode {
    /// IP packets.
    Tunnel,
    /// UDP between the two outer addresses: L2TP, RFC 3193. Of the selectors only the ports mean something, since the
    /// addresses are what the client saw of the network on its side of a NAT.
    L2tp,
    /// Any protocol between the two outer addresses: `USE_TRANSPORT_MODE` of IKEv2, RFC 7296 section 1.3.1.
    Transport,
}

/// Algorithms of a Child SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChildSuite {
    /// The cipher.
    pub encr: Encr,
    /// The integrity algorithm; `None` exactly if the cipher is an AEAD.
    pub integ: Option<Integ>,
    /// Extended sequence numbers (RFC 4303 section 2.2.1).
    pub esn: bool,
}

/// Keys of a Child SA.
pub struct ChildKeys {
    /// For what we receive.
    pub inbound: DirectionKeys,
    /// For what we send.
    pub outbound: DirectionKeys,
}

/// Keys of one direction.
pub struct DirectionKeys {
    /// Key of the cipher; for an AEAD followed by the salt of 4 bytes.
    pub encr: Secret,
    /// Key of the integrity algorithm; empty for an AEAD.
    pub integ: Secret,
}
