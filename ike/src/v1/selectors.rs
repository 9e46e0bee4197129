//! What a quick mode is about: the two identification payloads of RFC 2409 section 5.5 as traffic selectors.
//!
//! In transport mode (L2TP, RFC 3193) the addresses are those that the client sees: its private one, and ours in front of
//! any translation. They are not compared with anything; what counts is UDP to port 1701. In tunnel mode they are inner
//! addresses and have to be those that the client was given.

use std::net::{IpAddr, Ipv4Addr};

use crate::child_sa::ChildMode;
use crate::event::{Grant, Path};
use crate::narrow::Allowed;
use crate::refusal::RefusalReason;
use crate::wire::v1::Identification;
use crate::wire::v1::num::IdType;
use crate::wire::v2::{AddressRange, TrafficSelector};

/// IP protocol number of UDP.
const UDP: u8 = 17;

/// UDP port of L2TP.
const L2TP: u16 = 1701;

/// Traffic on our side, and on the client's.
pub(crate) type Selectors = (Vec<TrafficSelector>, Vec<TrafficSelector>);

/// The selectors of a quick mode with these ends: the client's, then ours.
pub(crate) fn of(
    mode: ChildMode,
    grant: Option<&Grant>,
    ids: Option<[Identification<'_>; 2]>,
    path: Path,
) -> Result<Selectors, RefusalReason> {
    match mode {
        ChildMode::L2tp | ChildMode::Transport => transport(ids, path),
        ChildMode::Tunnel => tunnel(grant, ids),
    }
}

fn transport(ids: Option<[Identification<'_>; 2]>, path: Path) -> Result<Selectors, RefusalReason> {
    let (theirs, ours) = ids.map_or((0, 0), |[theirs, ours]| (theirs.port, ours.port));
    // Old Windows gives a name for its own end, without protocol and port.
    let is_udp = ids.is_none_or(|[theirs, ours]| matches!(theirs.protocol, 0 | UDP) && ours.protocol == UDP);
    if !is_udp || !matches!(ours, 0 | L2TP) {
        return Err(RefusalReason::Unsupported { what: "transport mode for something else than L2TP" });
    }
    let udp = |address: IpAddr, port: u16| {
        let (start_port, end_port) = if port == 0 { (0, u16::MAX) } else { (port, port) };
        TrafficSelector { protocol: UDP, start_port, end_port, ..TrafficSelector::host(address.to_canonical()) }
    };
    Ok((vec![udp(path.local.ip(), L2TP)], vec![udp(path.peer.ip(), theirs)]))
}

fn tunnel(grant: Option<&Grant>, ids: Option<[Identification<'_>; 2]>) -> Result<Selectors, RefusalReason> {
    let grant = grant.ok_or(RefusalReason::NoAddressRequested)?;
    let [theirs, ours] = ids.ok_or(RefusalReason::Payloads { problem: "the ends are not identified" })?;
    let problem = |problem| move || RefusalReason::Payloads { problem };
    let tsi = vec![selector(&theirs).ok_or_else(problem("the client's end is no address or network"))?];
    let tsr = vec![selector(&ours).ok_or_else(problem("our end is no address or network"))?];
    let allowed = Allowed::from_grant(grant);
    let narrowed = allowed.narrow(&tsi, &tsr).ok_or_else(|| RefusalReason::TrafficSelectors {
        tsi,
        tsr,
        allowed_tsi: allowed.tsi.clone(),
        allowed_tsr: allowed.tsr.clone(),
    })?;
    Ok((narrowed.tsr, narrowed.tsi))
}

/// An identification of addresses as a traffic selector.
fn selector(id: &Identification<'_>) -> Option<TrafficSelector> {
    let (start_port, end_port) = if id.port == 0 { (0, u16::MAX) } else { (id.port, id.port) };
    let range = match id.id_type {
        IdType::IPV4_ADDR | IdType::IPV6_ADDR => TrafficSelector::host(id.address()?).range,
        IdType::IPV4_ADDR_SUBNET => {
            let (address, mask) = id.data.split_at_checked(4)?;
            let [address, mask] = [address, mask].map(|part| <[u8; 4]>::try_from(part).map(u32::from_be_bytes));
            let (address, mask) = (address.ok()?, mask.ok()?);
            if mask.leading_ones() + mask.trailing_zeros() != u32::BITS {
                return None;
            }
            AddressRange::V4 { start: (address & mask).into(), end: (address | !mask).into() }
        }
        IdType::IPV6_ADDR_SUBNET => {
            let (address, mask) = id.data.split_at_checked(16)?;
            let [address, mask] = [address, mask].map(|part| <[u8; 16]>::try_from(part).map(u128::from_be_bytes));
            let (address, mask) = (address.ok()?, mask.ok()?);
            if mask.leading_ones() + mask.trailing_zeros() != u128::BITS {
                return None;
            }
            AddressRange::V6 { start: (address & mask).into(), end: (address | !mask).into() }
        }
        IdType::IPV4_ADDR_RANGE => {
            let (start, end) = id.data.split_at_checked(4)?;
            let [start, end] = [start, end].map(|part| <[u8; 4]>::try_from(part).map(Ipv4Addr::from));
            let (start, end) = (start.ok()?, end.ok()?);
            if start > end {
                return None;
            }
            AddressRange::V4 { start, end }
        }
        _ => return None,
    };
    Some(TrafficSelector { protocol: id.protocol, start_port, end_port, range })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> Path {
        Path { local: "192.0.2.1:4500".parse().expect("valid"), peer: "198.51.100.9:4500".parse().expect("valid") }
    }

    fn id(id_type: IdType, protocol: u8, port: u16, data: &[u8]) -> Identification<'_> {
        Identification { id_type, protocol, port, data }
    }

    #[test]
    fn l2tp_clients_name_addresses_and_ports_of_their_own() {
        let server = id(IdType::IPV4_ADDR, 17, 1701, &[203, 0, 113, 5]);
        for client in [
            id(IdType::IPV4_ADDR, 17, 1701, &[192, 168, 1, 10]),
            id(IdType::IPV4_ADDR, 17, 56322, &[192, 168, 2, 2]),
            id(IdType::IPV4_ADDR, 17, 0, &[10, 0, 0, 2]),
            id(IdType::FQDN, 0, 0, b"laptop"),
        ] {
            let (local, remote) = of(ChildMode::L2tp, None, Some([client, server]), path()).expect("L2TP");
            assert_eq!((local[0].start_port, local[0].end_port), (1701, 1701));
            let ports = if client.port == 0 { (0, 65535) } else { (client.port, client.port) };
            assert_eq!((remote[0].start_port, remote[0].end_port), ports);
            assert!(remote[0].contains(&TrafficSelector {
                protocol: 17,
                start_port: ports.0,
                end_port: ports.1,
                ..TrafficSelector::host(path().peer.ip())
            }));
        }
    }

    #[test]
    fn transport_mode_is_for_l2tp_alone() {
        let client = id(IdType::IPV4_ADDR, 17, 0, &[10, 0, 0, 2]);
        for server in [id(IdType::IPV4_ADDR, 17, 53, &[1, 1, 1, 1]), id(IdType::IPV4_ADDR, 6, 1701, &[1, 1, 1, 1])] {
            assert!(of(ChildMode::L2tp, None, Some([client, server]), path()).is_err());
        }
    }

    #[test]
    fn a_tunnel_is_for_the_address_that_was_given() {
        let grant = Grant { addresses: vec!["10.20.0.2".parse().expect("valid")], ..Grant::default() };
        let all = id(IdType::IPV4_ADDR_SUBNET, 0, 0, &[0; 8]);
        let tunnel = |client| of(ChildMode::Tunnel, Some(&grant), Some([client, all]), path());
        let (local, remote) = tunnel(id(IdType::IPV4_ADDR, 0, 0, &[10, 20, 0, 2])).expect("its address");
        assert_eq!((local, remote), (vec![TrafficSelector::ANY_V4], vec![TrafficSelector::host(grant.addresses[0])]));
        assert!(tunnel(id(IdType::IPV4_ADDR, 0, 0, &[10, 20, 0, 3])).is_err());
        assert!(tunnel(id(IdType::IPV4_ADDR_SUBNET, 0, 0, &[10, 20, 0, 2, 255, 0, 255, 0])).is_err());
    }
}
