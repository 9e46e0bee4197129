//! How long inner packets may be, towards each peer: what the path takes, put into the routes to its networks.
//!
//! What a router said holds for ten minutes, as in the kernel (RFC 1191 section 6.3); then longer packets are tried again.
//!
//! Does not: fragment or answer "too big". With the right MTU in its routes the kernel does, and clamps TCP.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use cygnet_ike::EspSpi;
use ipnet::IpNet;

use super::event_loop::EventLoop;
use crate::dataplane::{DataPlane, Reach};
use crate::net::HostNetwork;

/// What a router said is forgotten after so long.
const LIFETIME: Duration = Duration::from_secs(600);

/// Prefixes of one pair that are limited; selectors that name more are rare, and the kernel fragments for them.
const MOST_NETWORKS: usize = 64;

/// What IPv6 needs, RFC 8200 section 5; the outer packet is fragmented if the path takes less.
const LEAST_V6: u16 = 1280;

/// The limits in force.
#[derive(Default)]
pub(super) struct PathLimits(Vec<PathLimit>);

struct PathLimit {
    reach: Reach,
    mtu: u16,
    until: Instant,
}

impl PathLimits {
    fn forget_inside(&mut self, addresses: &[IpAddr]) {
        let is_gone = |net: &IpNet| addresses.iter().any(|&address| IpNet::from(address) == *net);
        self.0.retain(|limit| !limit.reach.networks.iter().any(is_gone));
    }
}

impl EventLoop {
    /// A pair has a path, perhaps a new one: asks the kernel what it takes.
    pub(super) fn look_at_path(&mut self, spi: EspSpi) {
        match self.plane.path_mtu(spi) {
            Some(mtu) if mtu < self.tunnel_mtu => self.limit_path(spi, mtu),
            Some(_) => self.forget_path(spi),
            None => {}
        }
    }

    /// Inner packets of a pair may measure no more than `mtu`.
    pub(super) fn limit_path(&mut self, spi: EspSpi, mtu: u16) {
        let Some(reach) = self.plane.reach(spi) else { return };
        if mtu >= self.tunnel_mtu || reach.networks.len() > MOST_NETWORKS {
            return;
        }
        let until = self.clock.now() + LIFETIME;
        if let Some(known) = self.paths.0.iter_mut().find(|known| known.reach == reach && known.mtu == mtu) {
            known.until = until;
            return;
        }
        self.paths.0.retain(|known| known.reach != reach);
        tracing::info!(%spi, mtu, "the path to a peer takes smaller packets only");
        apply(&self.host, &reach, Some(mtu));
        self.paths.0.push(PathLimit { reach, mtu, until });
    }

    /// These addresses have lost their routes, and with them what limited these: a session that gets the same ones begins anew.
    pub(super) fn forget_paths_to(&mut self, addresses: &[IpAddr]) {
        self.paths.forget_inside(addresses);
    }

    fn forget_path(&mut self, spi: EspSpi) {
        if self.paths.0.is_empty() {
            return;
        }
        let Some(reach) = self.plane.reach(spi) else { return };
        for old in self.paths.0.extract_if(.., |limit| limit.reach == reach) {
            apply(&self.host, &old.reach, None);
        }
    }

    /// Forgets what was said too long ago.
    pub(super) fn forget_paths(&mut self) {
        let now = self.clock.now();
        for old in self.paths.0.extract_if(.., |limit| limit.until <= now) {
            apply(&self.host, &old.reach, None);
        }
    }
}

/// Beside the loop: nobody waits for it.
fn apply(host: &HostNetwork, reach: &Reach, mtu: Option<u16>) {
    let (host, Reach { interface, networks }) = (host.clone(), reach.clone());
    tokio::spawn(async move {
        let done = match interface {
            Some(interface) => host.limit_device(interface, mtu).await,
            None => limit_networks(&host, networks, mtu).await,
        };
        if let Err(error) = done {
            tracing::warn!("cannot set the MTU of a tunnel's routes: {error}");
        }
    });
}

async fn limit_networks(
    host: &HostNetwork,
    networks: Vec<IpNet>,
    mtu: Option<u16>,
) -> Result<(), crate::net::host::Shared> {
    let (v4, v6) = networks.into_iter().partition(|net: &IpNet| net.addr().is_ipv4());
    host.limit(v4, mtu).await?;
    host.limit(v6, mtu.map(|mtu| mtu.max(LEAST_V6))).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::clock::Clock;

    #[test]
    fn what_limited_the_route_of_a_client_goes_with_it() {
        let limit = |networks: &[&str]| PathLimit {
            reach: Reach { interface: None, networks: networks.iter().map(|net| net.parse().unwrap()).collect() },
            mtu: 1300,
            until: Clock::start().now() + LIFETIME,
        };
        let both = limit(&["10.20.0.7/32", "fd00:20::7/128"]);
        let mut limits = PathLimits(vec![both, limit(&["10.20.0.8/32"]), limit(&["10.20.0.0/24"])]);
        limits.forget_inside(&["10.20.0.7".parse().unwrap(), "fd00:20::7".parse().unwrap()]);
        let left: Vec<IpNet> = limits.0.iter().flat_map(|limit| limit.reach.networks.clone()).collect();
        assert_eq!(left, ["10.20.0.8/32".parse().unwrap(), "10.20.0.0/24".parse::<IpNet>().unwrap()]);
    }
}
