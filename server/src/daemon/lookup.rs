//! What the machine knows about the way to a peer: addresses of its name, our address towards it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::io::udp;

/// Any port: nothing is sent there.
const IKE: u16 = 500;

/// What the system's resolver puts before its reason.
const RESOLVER_PREFIX: &str = "failed to lookup address information: ";

/// All addresses of a name, as the system's resolver orders them. The error is the reason, without the name.
pub(super) async fn addresses(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = tokio::net::lookup_host((name, IKE)).await.map_err(|error| reason(&error))?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in found.map(|socket| socket.ip()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err("it has no address".to_owned()) } else { Ok(addresses) }
}

fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix(RESOLVER_PREFIX).unwrap_or(&text).to_owned()
}

/// Which of our addresses the kernel would send from to `peer`; of those that we listen on, if these are listed.
pub(super) fn local_address(peer: IpAddr, listen: &[IpAddr]) -> Result<IpAddr, String> {
    let chosen = source_towards(peer).map_err(|error| match error.raw_os_error() {
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH) => format!("this machine has no route to {peer}"),
        Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT) => format!("this machine has no address to reach {peer} from"),
        _ => format!("cannot find the way to {peer}: {error}"),
    })?;
    if listen.is_empty() || listen.contains(&chosen) {
        return Ok(chosen);
    }
    let other = listen.iter().copied().find(|own| own.is_ipv4() == peer.is_ipv4());
    other.ok_or_else(|| format!("none of the addresses in `listen` can reach {peer}"))
}

/// An address that the configuration says is ours: it may not be there yet, or no more.
pub(super) fn own_address(own: IpAddr) -> Result<IpAddr, String> {
    match UdpSocket::bind(SocketAddr::new(own, 0)) {
        Ok(_) => Ok(own),
        Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => {
            Err(format!("{own} is not an address of this machine"))
        }
        Err(error) => Err(format!("nothing can be sent from {own}: {error}")),
    }
}

/// Connecting a UDP socket sends nothing: the kernel chooses a route and an address.
fn source_towards(peer: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    udp::mark(&socket);
    socket.connect(SocketAddr::new(peer, IKE))?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_ourselves_begins_at_ourselves() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(local_address(loopback, &[]), Ok(loopback));
        assert_eq!(local_address(loopback, &[loopback]), Ok(loopback));
        let other: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(local_address(loopback, &["::1".parse().unwrap(), other]), Ok(other));
        let none = local_address(loopback, &["::1".parse().unwrap()]).unwrap_err();
        assert!(none.contains("listen"), "{none}");
    }

    #[test]
    fn an_address_of_somebody_else_is_not_ours() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(own_address(loopback), Ok(loopback));
        let other = own_address("192.0.2.1".parse().unwrap()).unwrap_err();
        assert_eq!(other, "192.0.2.1 is not an address of this machine");
    }

    #[tokio::test]
    async fn an_address_is_its_own_name() {
        assert_eq!(addresses("127.0.0.1").await, Ok(vec!["127.0.0.1".parse().unwrap()]));
        let missing = addresses("no-such-host.invalid").await.unwrap_err();
        assert!(!missing.contains("lookup") && !missing.contains("no-such-host"), "{missing}");
    }
}
