//! What an endpoint is told about IKEv1.

use std::time::Duration;

/// Which IKEv1 clients are served, and how. What is off is dropped silently and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V1Config {
    /// L2TP clients: transport mode for UDP port 1701 (RFC 3193).
    pub l2tp: bool,
    /// "Cisco IPsec" clients: XAUTH, mode configuration and tunnel mode.
    pub xauth: bool,
    /// Aggressive mode, for XAUTH clients with a group name. It shows a hash of the pre-shared key to everybody who asks
    /// (CVE-2002-1623), hence a switch of its own.
    pub aggressive: bool,
    /// Send only those vendor IDs without which nothing works: RFC 3947 alone.
    pub minimal_vendor_ids: bool,
    /// Accept groups 2 and 5 and triple DES: the policy `legacy-android`.
    pub legacy: bool,
    /// Have ESP always put into UDP, by pretending that the client is behind a NAT. A client that sends raw ESP all the
    /// same gets raw ESP.
    pub force_udp_encap: bool,
    /// Longest lifetime of an SA, whatever the client proposes.
    pub max_lifetime: Duration,
}

impl Default for V1Config {
    fn default() -> Self {
        Self {
            l2tp: true,
            xauth: false,
            aggressive: false,
            minimal_vendor_ids: false,
            legacy: false,
            force_udp_encap: true,
            max_lifetime: Duration::from_secs(24 * 60 * 60),
        }
    }
}
