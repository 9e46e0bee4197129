//! What the operator decides.

use std::time::Duration;

use crate::secret::Secret;

/// Settings of an [`Endpoint`](crate::Endpoint).
#[non_exhaustive]
pub struct Config {
    /// Our Host Name AVP (RFC 2661 section 4.4.3). Not empty, at most 255 octets; what is beyond is cut.
    pub host_name: String,
    /// Our Vendor Name AVP; at most 255 octets.
    pub vendor_name: String,
    /// The secret that a peer may challenge us for, and that hides AVPs. Almost nobody uses one inside IPsec.
    pub secret: Option<Secret>,
    /// Tunnels of one channel; at the limit the newest replaces the oldest. At least 1.
    pub tunnels_per_channel: usize,
    /// Sessions of one tunnel; at the limit further calls are refused. At least 1.
    pub sessions_per_tunnel: usize,
    /// After this long without a sign of life the peer is asked for one (RFC 2661 section 5.5).
    pub hello_interval: Duration,
}

impl Config {
    /// Defaults for everything but the name.
    #[must_use]
    pub fn new(host_name: impl Into<String>) -> Self {
        Self {
            host_name: host_name.into(),
            vendor_name: "Cygnet".into(),
            secret: None,
            tunnels_per_channel: 1,
            sessions_per_tunnel: 1,
            hello_interval: Duration::from_secs(60),
        }
    }
}
