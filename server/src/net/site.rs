//! What a site means for the host's network.
//!
//! Does not: know tunnels. A site's networks are routed, barred and translated for as long as it is configured, so that nothing leaves
//! unencrypted while its tunnel is down.

use std::net::IpAddr;

use ipnet::IpNet;

use super::link::InterfaceName;

/// One site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteNetwork {
    /// Its name in the configuration.
    pub name: String,
    /// Networks on its side. Never translated unless `nat` says so, never sent in the clear.
    pub remote: Vec<IpNet>,
    /// Whether there are routes to them; otherwise the administrator makes some.
    pub routes: bool,
    /// Its own TUN device; `None`: the gateway's.
    pub device: Option<InterfaceName>,
    /// What our side sends to it bears these addresses of ours, at most one of each family; empty: its own ones.
    pub nat: Vec<IpAddr>,
    /// Largest inner packet, octets; `None`: as of the gateway's TUN.
    pub mtu: Option<u16>,
}

impl SiteNetwork {
    /// A site with routes to these networks through the gateway's TUN, nothing else.
    #[must_use]
    pub fn new(name: impl Into<String>, remote: impl Into<Vec<IpNet>>) -> Self {
        Self { name: name.into(), remote: remote.into(), routes: true, device: None, nat: Vec::new(), mtu: None }
    }
}
