//! Interfaces: the TUN's addresses, MTU and state; what other interfaces and default routes there are.

use ipnet::IpNet;

use super::NetError;

/// Transmit queue length of the TUN, packets. Deep enough for a burst of all workers' batches.
pub const TUN_QUEUE_LENGTH: u32 = 4000;

/// What the TUN should look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunSettings {
    /// The gateway's address in each pool with the prefix length to set, usually 32 or 128: routes are per lease.
    pub addresses: Vec<IpNet>,
    /// Largest inner packet, bytes.
    pub mtu: u32,
}

/// An interface of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Kernel index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Largest packet, bytes.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Addresses with prefix lengths.
    pub addresses: Vec<IpNet>,
}

/// A way to everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultRoute {
    /// Name of the outgoing interface.
    pub interface: String,
    /// Next hop; `None` on point-to-point links.
    pub gateway: Option<std::net::IpAddr>,
    /// Lower wins.
    pub metric: u32,
}

/// A connection to the kernel's routing tables. Must be opened within a tokio runtime.
pub struct Netlink {}

impl Netlink {
    /// Opens the connection.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn open() -> Result<Self, NetError> {
        todo!()
    }

    /// Brings the interface into the wanted shape: exactly these addresses, MTU, queue length, up. Returns its index.
    ///
    /// # Errors
    /// If the interface is missing or the kernel refuses.
    pub async fn configure_tun(&self, _name: &str, _settings: &TunSettings) -> Result<u32, NetError> {
        todo!()
    }

    /// All interfaces with their addresses.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn interfaces(&self) -> Result<Vec<Interface>, NetError> {
        todo!()
    }

    /// The default routes of both families in the main table.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn default_routes(&self) -> Result<Vec<DefaultRoute>, NetError> {
        todo!()
    }
}
