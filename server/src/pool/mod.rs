//! Address pools: which client holds which inner address.
//!
//! Pure: no clock, no system call. [`LeaseTable`] knows the configured networks, the addresses fixed for single users, the
//! live leases, and who held a free address last, so that a returning client keeps its address. What it hands
//! out is exclusive: an address has at most one session.
//!
//! Does not: install routes or packet filter elements for a lease (see `net`), nor remember anything across a restart.

mod family;
mod lease;
#[cfg(test)]
mod model_tests;

pub use lease::{FixedAddresses, Lease, LeaseKey, LeaseRequest, LeaseTable, PoolConfigError, PoolError, PoolUsage};

use std::net::IpAddr;

use ipnet::IpNet;

/// The address that the gateway itself uses in a pool: the first host address.
///
/// `None` for networks that are too small to spare one (IPv4 /31 and /32, IPv6 /127 and /128).
#[must_use]
pub fn gateway_address(pool: IpNet) -> Option<IpAddr> {
    match pool {
        IpNet::V4(net) if net.prefix_len() <= 30 => Some(IpAddr::V4((u32::from(net.network()) + 1).into())),
        IpNet::V6(net) if net.prefix_len() <= 126 => Some(IpAddr::V6((u128::from(net.network()) + 1).into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway_of(pool: &str) -> Option<String> {
        gateway_address(pool.parse().unwrap()).map(|a| a.to_string())
    }

    #[test]
    fn gateway_takes_the_first_host_address() {
        assert_eq!(gateway_of("10.20.0.0/24").as_deref(), Some("10.20.0.1"));
        assert_eq!(gateway_of("10.20.0.77/24").as_deref(), Some("10.20.0.1"));
        assert_eq!(gateway_of("fd00:20::/64").as_deref(), Some("fd00:20::1"));
    }

    #[test]
    fn tiny_pools_have_no_gateway_address() {
        assert_eq!(gateway_of("10.20.0.0/31"), None);
        assert_eq!(gateway_of("10.20.0.9/32"), None);
        assert_eq!(gateway_of("fd00::1/128"), None);
    }
}
