//! What a check needs to know of the machine besides the file: time, environment, credentials, connected networks.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use jiff::Timestamp;

/// The machine, as far as a configuration depends on it.
pub struct Surroundings {
    /// Against which certificates and accounts are checked.
    pub now: Timestamp,
    /// Looks up an environment variable.
    pub environment: fn(&str) -> Option<OsString>,
    /// Where systemd has put credentials, if it has.
    pub credentials: Option<PathBuf>,
    /// Whether an address is one of this machine's.
    pub is_own_address: fn(IpAddr) -> bool,
    /// Networks with a route on this machine, by interface; without default routes.
    pub networks: Vec<(String, IpNet)>,
}

impl Surroundings {
    /// This machine at `now`.
    #[must_use]
    pub fn of_this_machine(now: Timestamp) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let mut networks = ipv4_routes(&read("/proc/net/route"));
        networks.extend(ipv6_addresses(&read("/proc/net/if_inet6")));
        Self {
            now,
            environment: |name| std::env::var_os(name),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            is_own_address,
            networks,
        }
    }
}

/// A socket can be bound to our own addresses only.
fn is_own_address(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// RTF_REJECT: the route is there to refuse packets, such as the guard of a site whose tunnel is down.
const REJECT: u32 = 0x200;

/// Reads `/proc/net/route`: interface, destination, flags and mask in columns 1, 2, 4 and 8, numbers in hex, addresses
/// native-endian. Routes that lead nowhere connect nothing.
fn ipv4_routes(text: &str) -> Vec<(String, IpNet)> {
    let route = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let address = |n: usize| {
            let raw = u32::from_str_radix(columns.get(n)?, 16).ok()?;
            Some(Ipv4Addr::from(raw.to_ne_bytes()))
        };
        let flags = u32::from_str_radix(columns.get(3)?, 16).ok()?;
        if columns.first() == Some(&"*") || flags & REJECT != 0 {
            return None;
        }
        let network = Ipv4Net::with_netmask(address(1)?, address(7)?).ok()?;
        (network.prefix_len() > 0).then(|| ((*columns.first().unwrap_or(&"")).to_owned(), IpNet::V4(network)))
    };
    text.lines().skip(1).filter_map(route).collect()
}

/// Reads `/proc/net/if_inet6`: address as 32 hex digits, index, prefix length and scope in hex, flags, interface.
fn ipv6_addresses(text: &str) -> Vec<(String, IpNet)> {
    let address = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [address, _, prefix, _, _, interface] = columns.as_slice() else { return None };
        let address = Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?);
        let network = Ipv6Net::new(address, u8::from_str_radix(prefix, 16).ok()?).ok()?.trunc();
        let link_local = address.is_unicast_link_local() || address.is_loopback();
        (!link_local).then(|| ((*interface).to_owned(), IpNet::V6(network)))
    };
    text.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn reads_ipv4_routes_without_the_default_route_and_those_that_refuse() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                    eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                    eth1\t0000140A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                    *\t0000580A\t00000000\t0201\t0\t0\t4294967295\t00FFFFFF\t0\t0\t0\n\
                    lo\t0000590A\t00000000\t0200\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                    broken line\n";
        assert_eq!(ipv4_routes(text), [("eth1".to_owned(), "10.20.0.0/16".parse().unwrap())]);
    }

    #[test]
    fn reads_ipv6_networks_without_link_local_ones() {
        let text = "fd000020000000000000000000000001 03 40 00 80     eth1\n\
                    fe80000000000000021122fffe334455 03 40 20 80     eth1\n\
                    00000000000000000000000000000001 01 80 10 80       lo\n";
        assert_eq!(ipv6_addresses(text), [("eth1".to_owned(), "fd00:20::/64".parse().unwrap())]);
    }
}
