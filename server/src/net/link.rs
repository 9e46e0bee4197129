//! Interfaces: the TUN's addresses, MTU and state; what other interfaces and default routes there are.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use futures_util::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteType};
use rtnetlink::{LinkUnspec, RouteMessageBuilder};
use tokio::task::JoinHandle;

use super::NetError;
use super::routes::{gateway_of, interface_of};

/// Transmit queue length of the TUN, packets: deep enough for a burst of all workers' batches.
pub const TUN_QUEUE_LENGTH: u32 = 4000;

/// Name of a network interface: safe to put into rules and paths.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// Checks a name: 1 to 15 bytes (IFNAMSIZ) of letters, digits, `-`, `_`, `.`, and not `.` or `..`.
    ///
    /// # Errors
    /// [`NetError::BadInterfaceName`].
    pub fn new(name: &str) -> Result<Self, NetError> {
        let fits = (1..=15).contains(&name.len()) && name != "." && name != "..";
        if fits && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            Ok(Self(name.to_owned()))
        } else {
            Err(NetError::BadInterfaceName(name.to_owned()))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the TUN should look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunSettings {
    /// The gateway's address in each pool. Set with prefix length 32 or 128: there is a route per lease instead.
    pub addresses: Vec<IpAddr>,
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
    pub gateway: Option<IpAddr>,
    /// Whether it is for IPv6.
    pub ipv6: bool,
    /// Lower wins.
    pub metric: u32,
}

/// A connection to the kernel's tables of interfaces, addresses and routes.
pub struct Netlink {
    pub(super) handle: rtnetlink::Handle,
    connection: JoinHandle<()>,
}

impl Netlink {
    /// Opens the connection in the calling thread's network namespace. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn open() -> Result<Self, NetError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(|source| NetError::Netlink {
            action: "open a netlink socket".to_owned(),
            source,
            hint: None,
        })?;
        Ok(Self { handle, connection: tokio::spawn(connection) })
    }

    /// Brings the TUN into the wanted shape: exactly these addresses (link-local ones aside), MTU, queue length,
    /// up. Returns its index. May be repeated.
    ///
    /// # Errors
    /// If the interface is missing or the kernel refuses.
    pub async fn configure_tun(&self, name: &InterfaceName, settings: &TunSettings) -> Result<u32, NetError> {
        let found = self.switch_on(name, settings.mtu).await?;
        let wanted: Vec<IpNet> = settings.addresses.iter().map(|&a| IpNet::from(a)).collect();
        // The new ones first: with its last address of a family the interface would lose all routes of it.
        for &new in wanted.iter().filter(|a| !found.addresses.contains(a)) {
            let add = self.handle.address().add(found.index, new.addr(), new.prefix_len()).execute().await;
            add.map_err(|e| NetError::netlink(format!("add the address {new} to {name}"), &e))?;
        }
        for &old in found.addresses.iter().filter(|a| !wanted.contains(a) && !is_link_local(a.addr())) {
            self.remove_address(found.index, name, old).await?;
        }
        Ok(found.index)
    }

    /// Brings a site's TUN into the wanted shape: MTU, queue length, up. Its addresses are the administrator's. Returns its index.
    /// May be repeated.
    ///
    /// # Errors
    /// If the interface is missing or the kernel refuses.
    pub async fn configure_device(&self, name: &InterfaceName, mtu: u32) -> Result<u32, NetError> {
        self.switch_on(name, mtu).await.map(|interface| interface.index)
    }

    async fn switch_on(&self, name: &InterfaceName, mtu: u32) -> Result<Interface, NetError> {
        let found = self.interfaces().await?.into_iter().find(|i| i.name == name.0);
        let found = found.ok_or_else(|| NetError::NoInterface(name.0.clone()))?;
        let wanted = LinkUnspec::new_with_index(found.index).mtu(mtu).txqueuelen(TUN_QUEUE_LENGTH).up().build();
        let set = self.handle.link().set(wanted).execute().await;
        set.map_err(|e| NetError::netlink(format!("set MTU {mtu} on {name} and switch it on"), &e))?;
        Ok(found)
    }

    /// All interfaces with their addresses, by index.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn interfaces(&self) -> Result<Vec<Interface>, NetError> {
        let links: Vec<LinkMessage> =
            self.handle.link().get().execute().try_collect().await.map_err(|e| list_error(&e))?;
        let mut addresses: HashMap<u32, Vec<IpNet>> = HashMap::new();
        for message in self.address_messages().await? {
            if let Some(net) = address_of(&message) {
                addresses.entry(message.header.index).or_default().push(net);
            }
        }
        Ok(links.iter().filter_map(|link| interface(link, &mut addresses)).collect())
    }

    /// The default routes of both families in the main table.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub async fn default_routes(&self) -> Result<Vec<DefaultRoute>, NetError> {
        let names: HashMap<u32, String> = self.interfaces().await?.into_iter().map(|i| (i.index, i.name)).collect();
        let routes = self.route_messages().await?;
        let is_default = |r: &&RouteMessage| {
            r.header.destination_prefix_length == 0
                && r.header.table == RouteHeader::RT_TABLE_MAIN
                && r.header.kind == RouteType::Unicast
        };
        Ok(routes.iter().filter(is_default).filter_map(|r| default_route(r, &names)).collect())
    }

    /// The routes of both families and all tables.
    pub(super) async fn route_messages(&self) -> Result<Vec<RouteMessage>, NetError> {
        let (v4, v6) =
            (RouteMessageBuilder::<std::net::Ipv4Addr>::new(), RouteMessageBuilder::<std::net::Ipv6Addr>::new());
        let mut all: Vec<RouteMessage> = Vec::new();
        for family in [v4.build(), v6.build()] {
            let routes = self.handle.route().get(family).execute();
            all.extend(routes.try_collect::<Vec<_>>().await.map_err(|e| list_error(&e))?);
        }
        Ok(all)
    }

    async fn address_messages(&self) -> Result<Vec<AddressMessage>, NetError> {
        self.handle.address().get().execute().try_collect().await.map_err(|e| list_error(&e))
    }

    async fn remove_address(&self, index: u32, name: &InterfaceName, net: IpNet) -> Result<(), NetError> {
        let messages = self.address_messages().await?;
        for message in messages.into_iter().filter(|m| m.header.index == index && address_of(m) == Some(net)) {
            let deleted = self.handle.address().del(message).execute().await;
            deleted.map_err(|e| NetError::netlink(format!("remove the address {net} from {name}"), &e))?;
        }
        Ok(())
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

fn list_error(error: &rtnetlink::Error) -> NetError {
    NetError::netlink("list interfaces, addresses and routes", error)
}

fn interface(link: &LinkMessage, addresses: &mut HashMap<u32, Vec<IpNet>>) -> Option<Interface> {
    let index = link.header.index;
    let name = link.attributes.iter().find_map(|a| match a {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    let mtu = link.attributes.iter().find_map(|a| match a {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    })?;
    let up = link.header.flags.contains(LinkFlags::Up);
    Some(Interface { index, name, mtu, up, addresses: addresses.remove(&index).unwrap_or_default() })
}

/// The interface's own address: IFA_LOCAL where there is one, since IFA_ADDRESS may be the peer's.
fn address_of(message: &AddressMessage) -> Option<IpNet> {
    let local = message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let any = message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    });
    IpNet::new(local.or(any)?, message.header.prefix_len).ok()
}

fn default_route(route: &RouteMessage, names: &HashMap<u32, String>) -> Option<DefaultRoute> {
    let metric = route.attributes.iter().find_map(|a| match a {
        RouteAttribute::Priority(metric) => Some(*metric),
        _ => None,
    });
    Some(DefaultRoute {
        interface: names.get(&interface_of(route)?)?.clone(),
        gateway: gateway_of(route),
        ipv6: route.header.address_family == netlink_packet_route::AddressFamily::Inet6,
        metric: metric.unwrap_or(0),
    })
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(a) if a.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_hold_nothing_that_ends_a_rule_or_a_path() {
        for good in ["cygnet0", "cg-berlin", "eth0.100", "a", "exactly15chars_"] {
            assert_eq!(InterfaceName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "sixteen_chars_xx", "a/b", "a b", "a\"b", "a;b", "a\nb", "ä", "a{"] {
            assert!(InterfaceName::new(bad).is_err(), "{bad:?}");
        }
    }
}
