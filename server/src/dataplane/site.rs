//! What the data plane has to know about sites beside their SA pairs: devices of their own, whose traffic is whose, and how much a
//! pair may carry.
//!
//! Does not: know peers, or decide when a tunnel begins or ends.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use cygnet_esp::selector::{Selector, SelectorSet};
use ipnet::IpNet;

/// The TUN device whose packets a pair carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The gateway's. Packets find their pair by destination.
    #[default]
    Shared,
    /// The site's own, see [`SiteDevice`]: all its packets go to the pairs of this site.
    Site(Arc<str>),
}

/// A TUN device of a site's own (route-based): what the kernel routes there goes through the site's tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteDevice {
    /// The site.
    pub site: Arc<str>,
    /// Name of the interface to create.
    pub interface: String,
}

/// Whom traffic belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// The client with the address, if it is there.
    #[default]
    Clients,
    /// A site.
    Site(Arc<str>),
    /// Anybody but this site: the networks of our side of its tunnel. Nobody else is concerned.
    AllBut(Arc<str>),
}

/// Traffic that belongs to somebody whether or not there is a pair for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose.
    pub owner: Owner,
    /// Which; the remote side is the owner's.
    pub selectors: SelectorSet,
}

impl Claim {
    /// To all that goes to these networks, or comes from there.
    pub fn to_networks(owner: Owner, networks: impl IntoIterator<Item = IpNet>) -> Self {
        let all_of = |net: IpNet| Selector::addresses(net.network(), net.broadcast());
        let remote: Vec<Selector> = networks.into_iter().map(all_of).collect();
        Self { owner, selectors: SelectorSet::new(everywhere(), remote) }
    }
}

/// All addresses of both families.
#[must_use]
pub fn everywhere() -> [Selector; 2] {
    [
        Selector::addresses(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()),
        Selector::addresses(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::from([u8::MAX; 16]).into()),
    ]
}

/// How much a pair may carry in one direction, RFC 4301 section 4.4.2.1. Octets are those of inner packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Octets; `None`: no limit.
    pub bytes: Option<Limit>,
    /// Packets; `None`: no limit but that of the sequence numbers.
    pub packets: Option<Limit>,
}

/// Two numbers, the first not greater than the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Here [`super::DataPlaneEvent::SoftLimit`] asks for a successor.
    pub soft: u64,
    /// Here [`super::DataPlaneEvent::HardLimit`] asks for the end, and nothing is sent any more.
    pub hard: u64,
}

/// Where the packets of a pair go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The device that they come from, if it is a site's own.
    pub interface: Option<String>,
    /// What the selectors name.
    pub networks: Vec<IpNet>,
}

/// Why a site's device is not there.
#[derive(Debug, thiserror::Error)]
#[error("cannot create the TUN interface {interface} of site {site}: {source}")]
pub struct DeviceError {
    /// The site.
    pub site: Arc<str>,
    /// Its name.
    pub interface: String,
    /// What the kernel said.
    pub source: io::Error,
}
