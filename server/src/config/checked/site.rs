//! One `[site.NAME]` that holds together: who the peer is, how both prove it, which networks the tunnel joins.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::{Policy, Proposals, ServerIdentity};
use crate::config::Secret;

/// A tunnel to another gateway.
pub struct Site {
    /// Its name in the file and in commands: letters, digits, `-` and `_`.
    pub name: String,
    /// Where the other gateway is.
    pub peer: Peer,
    /// Which of our addresses to use; `None`: the one that the kernel uses towards the peer.
    pub local_address: Option<IpAddr>,
    /// Who we are, in text form (see `cygnet_ike::identity`); `None`: the address that we send from. With a certificate it
    /// is a name of that certificate unless the file says otherwise.
    pub id: Option<String>,
    /// Who the peer must be; `None`: whoever proves it with this site's key. Never `None` where the peer has a certificate.
    pub peer_id: Option<String>,
    /// How we prove who we are.
    pub local_auth: LocalAuth,
    /// How the peer proves who it is.
    pub peer_auth: PeerAuth,
    /// A post-quantum pre-shared key besides (RFC 8784).
    pub ppk: Option<SitePpk>,
    /// Who begins, and when.
    pub start: Start,
    /// What the tunnel carries and where its packets come out.
    pub mode: SiteMode,
    /// Whether the kernel gets routes to the remote networks.
    pub routes: bool,
    /// What our side sends to the site appears with these addresses, one per family at most, inside `local`; empty: as it is.
    pub nat: Vec<IpAddr>,
    /// Which algorithms are acceptable, by name; never empty.
    pub policy: Vec<Policy>,
    /// Which algorithms are acceptable, one by one; replaces `policy` where not empty.
    pub proposals: Proposals,
    /// When keys are replaced.
    pub lifetimes: Lifetimes,
    /// How long a silent peer is left alone before it is asked; `None`: never asked.
    pub liveness: Option<Duration>,
    /// How often both sides prove again who they are; `None`: never.
    pub reauthentication: Option<Duration>,
    /// Whether the tunnel follows address changes (RFC 4555).
    pub mobike: bool,
    /// ESP always inside UDP, also where no NAT was seen.
    pub force_udp_encap: bool,
    /// Revoked certificates.
    pub crl: Crl,
    /// Largest inner packet, bytes; `None`: from the path and the cipher.
    pub mtu: Option<u16>,
    /// What the tunnel joins; never empty. In transport mode without networks.
    pub children: Vec<SiteChild>,
}

/// Where the other gateway is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Always there.
    Address(IpAddr),
    /// Where this name points to, looked up again before every attempt.
    Name(String),
    /// Anywhere: it comes to us.
    Any,
}

/// How we prove who we are to a site.
pub enum LocalAuth {
    /// With the key that both know.
    Psk(Arc<Secret>),
    /// With a certificate.
    Certificate(ServerIdentity),
    /// With a bare key that the peer knows the public half of (RFC 7670); PEM.
    RawKey(Secret),
}

/// How a site proves who it is to us.
pub enum PeerAuth {
    /// With the key that both know.
    Psk(Arc<Secret>),
    /// With a certificate of one of these authorities, DER; it must name the peer's identity.
    Certificate(Vec<Vec<u8>>),
    /// With the private half of this key (RFC 7670), SubjectPublicKeyInfo in DER.
    RawKey(Vec<u8>),
}

/// A post-quantum pre-shared key of one site (RFC 8784).
pub struct SitePpk {
    /// By what name both sides call it.
    pub id: String,
    /// The key.
    pub secret: Secret,
    /// Refuse a peer that does not use it.
    pub required: bool,
}

/// Who begins, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// We, at start-up, again after every failure, and when a packet wants to go there.
    Always,
    /// We, when a packet wants to go there.
    Demand,
    /// The peer.
    Passive,
}

/// What a site's tunnel carries and where its packets come out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteMode {
    /// Packets between the networks, through the TUN that everybody shares; the selectors decide what goes where.
    Tunnel,
    /// Packets between the networks, through a TUN of the site's own, so that routes decide what goes where.
    Interface {
        /// Name of the device, 15 bytes at most, no other site's.
        device: String,
    },
    /// Packets between the two gateways themselves (RFC 4301 section 3.2), with the selectors of the one child, if any.
    Transport,
}

/// When keys are replaced by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Age of a child SA at which it is rekeyed; `None`: never because of its age.
    pub child: Option<Duration>,
    /// Age of an IKE SA at which it is rekeyed; `None`: never.
    pub ike: Option<Duration>,
    /// Octets in one direction after which a child SA is rekeyed; `None`: no limit but the cipher's.
    pub bytes: Option<u64>,
    /// Packets in one direction after which a child SA is rekeyed; `None`: no limit but the sequence number's.
    pub packets: Option<u64>,
}

/// How much is asked about revoked certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlPolicy {
    /// A certificate without a valid list that covers it is refused.
    Strict,
    /// Refused only if the certificate says where its list is and the list cannot be had.
    IfUri,
    /// Refused only if a list at hand says that it is revoked.
    Relaxed,
}

/// Where lists of revoked certificates come from, and how much they count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    /// What happens without a list.
    pub policy: CrlPolicy,
    /// Lists in files (DER or PEM), besides those that certificates point to.
    pub files: Vec<PathBuf>,
}

/// One child of a site: the networks that one pair of SAs joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteChild {
    /// Its name in status and commands; the site's own name if the site has just one.
    pub name: String,
    /// Our networks.
    pub local: Vec<Selector>,
    /// The peer's networks.
    pub remote: Vec<Selector>,
}

/// Some traffic of a network: `10.1.0.0/16`, `10.1.0.0/16 tcp/443`, `10.1.0.1 icmp/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The addresses.
    pub network: IpNet,
    /// IP protocol number; zero: any.
    pub protocol: u8,
    /// First port; for ICMP the type in the upper and the code in the lower octet (RFC 7296 section 3.13.1).
    pub first_port: u16,
    /// Last port.
    pub last_port: u16,
}

impl Site {
    /// Our networks, of all children.
    pub fn local_networks(&self) -> impl Iterator<Item = IpNet> {
        self.children.iter().flat_map(|child| child.local.iter().map(|s| s.network))
    }

    /// The peer's networks, of all children.
    pub fn remote_networks(&self) -> impl Iterator<Item = IpNet> {
        self.children.iter().flat_map(|child| child.remote.iter().map(|s| s.network))
    }
}

impl Selector {
    /// All traffic of `network`.
    #[must_use]
    pub fn all_of(network: IpNet) -> Self {
        Self { network, protocol: 0, first_port: 0, last_port: u16::MAX }
    }
}
