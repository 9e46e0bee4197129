//! What the operator and the gateway decide about a link.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::auth::Method;
use crate::auth::eap::EapConfig;

/// Smallest MRU that is offered or accepted, in octets: every IPv4 host takes packets of this size (RFC 791 section 3.1).
pub const MIN_MRU: u16 = 576;

/// Largest MRU that is offered or accepted, in octets; also the default of RFC 1661 section 6.1.
pub const MAX_MRU: u16 = 1500;

/// How a link is negotiated. One value may serve many links.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// The name that CHAP and EAP challenges carry; clients may show it.
    pub server_name: String,
    /// Largest information field in octets that the client shall send, from the path below; brought into the range
    /// [`MIN_MRU`] to [`MAX_MRU`].
    pub mru: u16,
    /// Ways to authenticate that are allowed, the preferred one first. With none of them nobody gets in.
    pub auth: Vec<Method>,
    /// What EAP may do, where [`LinkConfig::auth`] has it.
    pub eap: EapConfig,
    /// How long to wait and how often to try.
    pub timing: Timing,
}

impl LinkConfig {
    /// MS-CHAPv2 only, for links whose packets reach `mru` octets.
    #[must_use]
    pub fn new(server_name: &str, mru: u16) -> Self {
        Self {
            server_name: server_name.to_owned(),
            mru,
            auth: vec![Method::MsChapV2],
            eap: EapConfig::default(),
            timing: Timing::default(),
        }
    }

    /// [`LinkConfig::mru`] in its range.
    #[must_use]
    pub fn offered_mru(&self) -> u16 {
        self.mru.clamp(MIN_MRU, MAX_MRU)
    }
}

/// How long to wait and how often to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Restart timer of the first [`Timing::quick_tries`] transmissions (RFC 1661 section 4.6). Default 1 s, instead of
    /// the 3 s of the RFC: a lost first request shall not be felt.
    pub quick_restart: Duration,
    /// Transmissions that wait [`Timing::quick_restart`] only. Default 3.
    pub quick_tries: u32,
    /// Restart timer of later transmissions. Default 3 s.
    pub restart: Duration,
    /// Max-Configure: transmissions of Configure-Request without an answer that leads on. Default 10.
    pub max_configure: u32,
    /// Max-Terminate: transmissions of Terminate-Request. Default 2.
    pub max_terminate: u32,
    /// Max-Failure: Configure-Naks before options are rejected instead. Default 5.
    pub max_failure: u32,
    /// How long a client may take from the first frame to the grant's request. Default 30 s.
    pub login: Duration,
    /// Silence after which an Echo-Request is sent, and between further ones. Default 30 s.
    pub echo: Duration,
    /// Echo-Requests without a sign of life after which the link is dead. Default 4.
    pub max_lost_echoes: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            quick_restart: Duration::from_secs(1),
            quick_tries: 3,
            restart: Duration::from_secs(3),
            max_configure: 10,
            max_terminate: 2,
            max_failure: 5,
            login: Duration::from_secs(30),
            echo: Duration::from_secs(30),
            max_lost_echoes: 4,
        }
    }
}

/// Unpredictable octets for one link: magic numbers and challenges are derived from them. Never used twice.
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// Takes over `octets`, which must come from a cryptographically secure generator.
    #[must_use]
    pub fn new(octets: [u8; 32]) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// The octets, for the moment of their use.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What an authenticated client gets: answers [`Event::Authenticated`](crate::Event::Authenticated).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The client's IPv4 address; without one IPCP is refused.
    pub ipv4: Option<Ipv4Addr>,
    /// The client's IPv6 address; without one IPV6CP is refused. Its low 64 bits become the interface identifier.
    pub ipv6: Option<Ipv6Addr>,
    /// The gateway's own address on the link, as IPCP and DHCP tell it.
    pub gateway4: Ipv4Addr,
    /// Name servers, the preferred one first.
    pub dns: Vec<IpAddr>,
    /// NetBIOS name servers (WINS), the preferred one first; two at most are told.
    pub nbns: Vec<Ipv4Addr>,
    /// Search domains, the client's own one first.
    pub domains: Vec<String>,
    /// Networks behind the gateway, as address and prefix length; for clients that do not send everything.
    pub routes: Vec<(IpAddr, u8)>,
    /// Largest IP packet in octets that goes through the link.
    pub mtu: u16,
}
