//! The MTU of the TUN: the largest inner packet that fits the way out after sealing, whatever suite and encapsulation a
//! client comes with.

use cygnet_esp::mtu::{Encapsulation, inner_mtu};
use cygnet_esp::{AesBits, Integ, Transform};

use crate::config::Settings;
use crate::net::NetError;
use crate::net::link::Netlink;

/// What links carry unless they say otherwise, octets.
const USUAL_LINK_MTU: u32 = 1500;
/// IPv6 needs this much, RFC 8200 section 5; octets.
const LEAST: u16 = 1280;
/// Suite and encapsulation with the largest overhead.
pub(crate) const LARGEST: Transform = Transform::AesCbc(AesBits::Aes256, Integ::HmacSha512_256);
pub(crate) const AROUND: Encapsulation = Encapsulation { ipv6: true, udp: true };

/// The configured MTU, otherwise the one that fits the interface of the default route; octets.
pub(super) async fn of_tunnel(settings: &Settings, netlink: &Netlink) -> Result<u16, NetError> {
    if let Some(mtu) = settings.remote.as_ref().and_then(|remote| remote.mtu) {
        return Ok(mtu);
    }
    let interfaces = netlink.interfaces().await?;
    let mut routes = netlink.default_routes().await?;
    routes.sort_by_key(|route| route.metric);
    let ways = routes.iter().filter_map(|route| interfaces.iter().find(|i| i.name == route.interface));
    let link_mtu = ways.map(|interface| interface.mtu).min().unwrap_or(USUAL_LINK_MTU).min(USUAL_LINK_MTU);
    Ok(of_link(link_mtu))
}

fn of_link(link_mtu: u32) -> u16 {
    let outer = usize::try_from(link_mtu).unwrap_or(usize::MAX);
    let inner = inner_mtu(LARGEST, AROUND, outer).and_then(|mtu| u16::try_from(mtu).ok());
    inner.unwrap_or(LEAST).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ethernet_leaves_1390_octets_for_every_suite() {
        assert_eq!(of_link(1500), 1390);
        for transform in [LARGEST, Transform::AesGcm16(AesBits::Aes256), Transform::ChaCha20Poly1305] {
            assert!(inner_mtu(transform, AROUND, 1500).unwrap() >= 1390, "{transform}");
        }
    }

    #[test]
    fn never_less_than_ipv6_needs() {
        assert_eq!(of_link(1280), 1280);
        assert_eq!(of_link(0), 1280);
    }
}
