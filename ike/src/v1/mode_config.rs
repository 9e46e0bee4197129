//! Mode configuration: what a client asks for and is given (draft-ietf-ipsec-isakmp-mode-cfg section 3.4), with the
//! attributes that Cisco's clients add.
//!
//! Only what is asked for is told; what we do not have is left out.

use std::net::{IpAddr, Ipv4Addr};

use crate::event::{Grant, Prefix};
use crate::wire::v1::num::ConfigAttr;
use crate::wire::v1::{Attribute, Attributes};

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    kinds: Vec<ConfigAttr>,
    /// `Some` if an IPv4 address is wanted; within, the one that the client would like to have.
    pub(crate) ipv4: Option<Option<Ipv4Addr>>,
    /// The same for IPv6.
    pub(crate) ipv6: Option<Option<std::net::Ipv6Addr>>,
}

impl Wish {
    /// Reads the attributes of a request.
    pub(crate) fn read(attributes: &Attributes<'_>) -> Self {
        let mut wish = Self::default();
        for attribute in attributes {
            let (kind, bytes) = (ConfigAttr(attribute.kind), attribute.bytes().unwrap_or_default());
            match kind {
                ConfigAttr::INTERNAL_IP4_ADDRESS => {
                    let hint = <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from);
                    wish.ipv4 = Some(hint.filter(|address| !address.is_unspecified()));
                }
                ConfigAttr::INTERNAL_IP6_ADDRESS => {
                    let hint = bytes.first_chunk::<16>().map(|octets| std::net::Ipv6Addr::from(*octets));
                    wish.ipv6 = Some(hint.filter(|address| !address.is_unspecified()));
                }
                _ => {}
            }
            if !wish.kinds.contains(&kind) {
                wish.kinds.push(kind);
            }
        }
        wish
    }

    /// The answer.
    pub(crate) fn answer(&self, grant: &Grant) -> Vec<Attribute<'static>> {
        self.kinds.iter().flat_map(|kind| values(*kind, grant).into_iter().map(|value| long(*kind, value))).collect()
    }
}

fn long(kind: ConfigAttr, value: Vec<u8>) -> Attribute<'static> {
    Attribute::long(kind.0, value)
}

/// The values of one attribute; most have one or none.
fn values(kind: ConfigAttr, grant: &Grant) -> Vec<Vec<u8>> {
    let v4 = |list: &[IpAddr]| -> Vec<Vec<u8>> {
        list.iter().filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(ip.octets().to_vec()) } else { None }).collect()
    };
    let v6 = |list: &[IpAddr]| -> Vec<Vec<u8>> {
        list.iter().filter_map(|ip| if let IpAddr::V6(ip) = ip { Some(ip.octets().to_vec()) } else { None }).collect()
    };
    match kind {
        ConfigAttr::INTERNAL_IP4_ADDRESS => v4(&grant.addresses),
        ConfigAttr::INTERNAL_IP4_NETMASK if grant.addresses.iter().any(IpAddr::is_ipv4) => {
            vec![grant.netmask.unwrap_or(Ipv4Addr::BROADCAST).octets().to_vec()]
        }
        ConfigAttr::INTERNAL_IP4_DNS => v4(&grant.dns),
        ConfigAttr::INTERNAL_IP4_NBNS => grant.nbns.iter().map(|ip| ip.octets().to_vec()).collect(),
        ConfigAttr::INTERNAL_IP6_ADDRESS => v6(&grant.addresses),
        ConfigAttr::INTERNAL_IP6_DNS => v6(&grant.dns),
        ConfigAttr::APPLICATION_VERSION => {
            grant.application_version.iter().map(|version| version.clone().into_bytes()).collect()
        }
        ConfigAttr::UNITY_DEF_DOMAIN => {
            grant.domains.first().map(|domain| domain.clone().into_bytes()).into_iter().collect()
        }
        ConfigAttr::UNITY_SPLITDNS_NAME if !grant.domains.is_empty() => vec![grant.domains.join(",").into_bytes()],
        ConfigAttr::UNITY_SPLIT_INCLUDE => split_include(&grant.routes),
        _ => Vec::new(),
    }
}

/// Networks behind the tunnel: address, mask, and six bytes of protocol and ports that nobody uses. None means all.
fn split_include(routes: &[Prefix]) -> Vec<Vec<u8>> {
    let entry = |route: &Prefix| {
        let IpAddr::V4(address) = route.address else { return None };
        let mask = u32::MAX.checked_shl(32_u32.saturating_sub(route.len.into())).unwrap_or(0);
        Some([&address.octets()[..], &mask.to_be_bytes(), &[0; 6]].concat())
    };
    let all: Vec<u8> = routes.iter().filter(|route| route.len > 0).filter_map(entry).flatten().collect();
    if all.is_empty() { Vec::new() } else { vec![all] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant {
            addresses: vec!["10.20.0.2".parse().expect("valid"), "fd00::2".parse().expect("valid")],
            dns: vec!["10.20.0.1".parse().expect("valid"), "10.20.0.3".parse().expect("valid")],
            domains: vec!["corp.example".into(), "lab.example".into()],
            routes: vec![Prefix { address: "10.30.0.0".parse().expect("valid"), len: 16 }],
            ..Grant::default()
        }
    }

    /// What Android asks for: ten attributes, all of them empty.
    #[test]
    fn answers_what_is_asked_for_and_leaves_out_what_there_is_not() {
        let kinds = [1, 2, 3, 4, 28672, 28674, 28675, 28676, 28678, 7];
        let request = Attributes::new(kinds.iter().map(|kind| Attribute::long(*kind, vec![])).collect());
        let wish = Wish::read(&request);
        assert_eq!((wish.ipv4, wish.ipv6), (Some(None), None));
        let answer = wish.answer(&grant());
        let of = |kind: u16| -> Vec<&[u8]> {
            answer.iter().filter(|attribute| attribute.kind == kind).filter_map(Attribute::bytes).collect()
        };
        assert_eq!(of(1), [[10, 20, 0, 2]]);
        assert_eq!(of(2), [[255, 255, 255, 255]]);
        assert_eq!(of(3), [[10, 20, 0, 1], [10, 20, 0, 3]]);
        assert_eq!(of(28674), [&b"corp.example"[..]]);
        assert_eq!(of(28675), [&b"corp.example,lab.example"[..]]);
        assert_eq!(of(28676), [[10, 30, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0]]);
        assert_eq!(answer.len(), 7);
    }

    #[test]
    fn reads_the_address_that_a_client_would_like() {
        let with = |value: Vec<u8>| Wish::read(&Attributes::new(vec![Attribute::long(1, value)])).ipv4;
        assert_eq!(with(vec![10, 0, 0, 9]), Some(Some(Ipv4Addr::new(10, 0, 0, 9))));
        assert_eq!(with(vec![0; 4]), Some(None));
        assert_eq!(with(vec![1, 2]), Some(None));
    }
}
