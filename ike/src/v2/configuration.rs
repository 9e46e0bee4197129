//! The CFG_REPLY, RFC 7296 sections 2.19 and 3.15, RFC 8598: what was granted, as far as the client asked for it.

use std::net::{IpAddr, Ipv4Addr};

use crate::event::{Grant, Prefix};
use crate::wire::limits::MAX_CONFIGURATION_ATTRIBUTES;
use crate::wire::num::{CpAttr, CpType};
use crate::wire::v2::{Configuration, CpAttribute};

use super::request::ConfigurationWish;

/// The attributes that can be answered.
const SUPPORTED: [CpAttr; 10] = [
    CpAttr::INTERNAL_IP4_ADDRESS,
    CpAttr::INTERNAL_IP4_NETMASK,
    CpAttr::INTERNAL_IP4_DNS,
    CpAttr::APPLICATION_VERSION,
    CpAttr::INTERNAL_IP6_ADDRESS,
    CpAttr::INTERNAL_IP6_DNS,
    CpAttr::INTERNAL_IP4_SUBNET,
    CpAttr::SUPPORTED_ATTRIBUTES,
    CpAttr::INTERNAL_IP6_SUBNET,
    CpAttr::INTERNAL_DNS_DOMAIN,
];

/// Prefix length told with an IPv6 address: the client has this address and no neighbours.
const HOST_PREFIX: u8 = 128;

/// The answer to `wish`.
pub(crate) fn reply(wish: &ConfigurationWish, grant: &Grant) -> Configuration<'static> {
    let mut attributes: Vec<CpAttribute<'static>> =
        wish.attributes.iter().flat_map(|kind| answer(*kind, grant)).collect();
    attributes.truncate(MAX_CONFIGURATION_ATTRIBUTES);
    Configuration { kind: CpType::REPLY, attributes }
}

fn answer(kind: CpAttr, grant: &Grant) -> Vec<CpAttribute<'static>> {
    match kind {
        CpAttr::INTERNAL_IP4_ADDRESS | CpAttr::INTERNAL_IP6_ADDRESS => addresses(kind, &grant.addresses),
        CpAttr::INTERNAL_IP4_NETMASK if grant.addresses.iter().any(IpAddr::is_ipv4) => {
            grant.netmask.map(|mask| CpAttribute::ip4(kind, mask)).into_iter().collect()
        }
        CpAttr::INTERNAL_IP4_DNS | CpAttr::INTERNAL_IP6_DNS => {
            grant.dns.iter().filter_map(|address| of_family(kind, *address)).collect()
        }
        CpAttr::INTERNAL_IP4_SUBNET | CpAttr::INTERNAL_IP6_SUBNET => {
            grant.routes.iter().filter_map(|route| subnet(kind, *route)).collect()
        }
        CpAttr::INTERNAL_DNS_DOMAIN => {
            grant.domains.iter().map(|domain| CpAttribute::new(kind, domain.clone().into_bytes())).collect()
        }
        CpAttr::APPLICATION_VERSION => {
            grant.application_version.iter().map(|text| CpAttribute::new(kind, text.clone().into_bytes())).collect()
        }
        CpAttr::SUPPORTED_ATTRIBUTES => {
            vec![CpAttribute::new(kind, SUPPORTED.iter().flat_map(|kind| kind.0.to_be_bytes()).collect::<Vec<_>>())]
        }
        _ => Vec::new(),
    }
}

fn addresses(kind: CpAttr, addresses: &[IpAddr]) -> Vec<CpAttribute<'static>> {
    let first = addresses.iter().find_map(|address| match (kind, address) {
        (CpAttr::INTERNAL_IP4_ADDRESS, IpAddr::V4(ip)) => Some(CpAttribute::ip4(kind, *ip)),
        (CpAttr::INTERNAL_IP6_ADDRESS, IpAddr::V6(ip)) => Some(CpAttribute::ip6_prefix(kind, *ip, HOST_PREFIX)),
        _ => None,
    });
    first.into_iter().collect()
}

fn of_family(kind: CpAttr, address: IpAddr) -> Option<CpAttribute<'static>> {
    match (kind, address) {
        (CpAttr::INTERNAL_IP4_DNS, IpAddr::V4(ip)) => Some(CpAttribute::ip4(kind, ip)),
        (CpAttr::INTERNAL_IP6_DNS, IpAddr::V6(ip)) => Some(CpAttribute::ip6(kind, ip)),
        _ => None,
    }
}

fn subnet(kind: CpAttr, route: Prefix) -> Option<CpAttribute<'static>> {
    match (kind, route.address) {
        (CpAttr::INTERNAL_IP4_SUBNET, IpAddr::V4(ip)) => {
            let mask = Ipv4Addr::from_bits(!u32::MAX.checked_shr(route.len.into()).unwrap_or(0));
            Some(CpAttribute::ip4_subnet(ip, mask))
        }
        (CpAttr::INTERNAL_IP6_SUBNET, IpAddr::V6(ip)) => Some(CpAttribute::ip6_prefix(kind, ip, route.len)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        let ip = |text: &str| text.parse().expect("an address");
        Grant {
            addresses: vec![ip("10.0.0.2"), ip("fd00::2")],
            netmask: Some(Ipv4Addr::new(255, 255, 255, 0)),
            dns: vec![ip("10.0.0.1"), ip("fd00::1"), ip("10.0.0.53")],
            domains: vec!["corp.example".into()],
            routes: vec![Prefix { address: ip("10.1.0.0"), len: 16 }, Prefix { address: ip("fd01::"), len: 64 }],
            nbns: Vec::new(),
            application_version: None,
        }
    }

    fn kinds(asked: &[u16]) -> Vec<u16> {
        let wish =
            ConfigurationWish { attributes: asked.iter().map(|kind| CpAttr(*kind)).collect(), ..Default::default() };
        reply(&wish, &grant()).attributes.iter().map(|attribute| attribute.kind.0).collect()
    }

    #[test]
    fn macos_and_windows_get_what_is_known_only() {
        assert_eq!(kinds(&[1, 2, 6, 3, 8, 12, 10, 25]), [1, 2, 3, 3, 8, 10, 25]);
        assert_eq!(kinds(&[1, 3, 4, 23456, 8, 10, 23457, 30000]), [1, 3, 3, 8, 10]);
        assert_eq!(kinds(&[]), []);
        assert_eq!(kinds(&[7]), [], "no version unless it was granted");
    }

    #[test]
    fn an_attribute_that_was_not_asked_for_is_not_told() {
        assert_eq!(kinds(&[1]), [1]);
    }

    #[test]
    fn subnets_carry_their_masks() {
        let wish = ConfigurationWish {
            attributes: vec![CpAttr::INTERNAL_IP4_SUBNET, CpAttr::INTERNAL_IP6_SUBNET],
            ..Default::default()
        };
        let values: Vec<_> = reply(&wish, &grant()).attributes.into_iter().map(|a| a.value.into_owned()).collect();
        assert_eq!(values[0], [10, 1, 0, 0, 255, 255, 0, 0]);
        assert_eq!((values[1].len(), values[1][16]), (17, 64));
    }
}
