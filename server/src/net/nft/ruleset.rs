//! The table as text. Pure.

use ipnet::IpNet;

/// Name of our table, family inet.
pub const TABLE: &str = "cygnet";

/// How clients' packets leave the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// With the address of the interface by which they leave.
    Masquerade,
    /// With their own address: others need a route to the pools, see [`RuleSet::static_route_hint`].
    None,
}

/// What clients may reach on the gateway itself, besides ICMP echo and errors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayServices {
    /// UDP and TCP port 53.
    pub dns: bool,
}

/// What the table should do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSet {
    /// Name of the TUN.
    pub tun: String,
    /// All pools.
    pub pools: Vec<IpNet>,
    /// Networks behind sites, reached through the TUN too.
    pub site_networks: Vec<IpNet>,
    /// Translation of clients' addresses.
    pub nat: Nat,
    /// Whether clients may talk to each other.
    pub client_to_client: bool,
    /// See [`GatewayServices`].
    pub services: GatewayServices,
    /// Largest inner packet, bytes: TCP is clamped to it.
    pub mtu: u32,
}

impl RuleSet {
    /// The transaction that replaces our table by this rule set, with these leases in its sets.
    #[must_use]
    pub fn render<'a>(&self, _leases: impl IntoIterator<Item = &'a std::net::IpAddr>) -> String {
        todo!()
    }

    /// What somebody else has to configure when [`Nat::None`] is used; `None` when nothing.
    #[must_use]
    pub fn static_route_hint(&self, _gateway_addresses: &[std::net::IpAddr]) -> Option<String> {
        todo!()
    }
}
