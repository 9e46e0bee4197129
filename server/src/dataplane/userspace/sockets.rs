//! The sockets of one worker: IKE, ESP in UDP and raw ESP on each address to listen on.
//!
//! All workers have the same list in the same order, so that an index names a socket in each of them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::Socket;

use super::{DataPlaneConfig, Offload, StartError};
use crate::io::udp::Offload as Granted;
use crate::io::{raw_esp, reuseport, udp};

/// Port of IKE, RFC 7296 section 2.
pub(super) const IKE_PORT: u16 = 500;

/// Port of IKE and ESP in UDP, RFC 3948 section 2.
pub(super) const NAT_TRAVERSAL_PORT: u16 = 4500;

/// What a socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// IKE messages on port 500.
    Ike,
    /// ESP, IKE behind the non-ESP marker and keepalives on port 4500.
    EspInUdp,
    /// ESP directly in IP.
    RawEsp,
}

/// One socket of a worker.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) kind: Kind,
    /// Bound to it; may be unspecified.
    pub(super) address: IpAddr,
    pub(super) offload: Granted,
    pub(super) socket: Socket,
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Sockets(pub(super) Vec<Port>);

impl Sockets {
    /// Index of the socket that sends from `local`: bound to this address, or to all of its family.
    pub(super) fn find(&self, kind: Kind, local: IpAddr) -> Option<usize> {
        let unspecified: IpAddr =
            if local.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let on = |address| self.0.iter().position(|port| port.kind == kind && port.address == address);
        on(local).or_else(|| on(unspecified))
    }
}

/// Opens the sockets of all workers. Without addresses to listen on: all, IPv6 only if the machine has it.
pub(super) fn open(config: &DataPlaneConfig, offload: Offload) -> Result<Vec<Sockets>, StartError> {
    let listen = if config.listen.is_empty() { every_address()? } else { config.listen.clone() };
    let all: Result<Vec<_>, _> =
        (0..config.workers).map(|worker| open_for(worker, &listen, config.raw_esp, offload)).collect();
    let all = all?;
    steer(&all[0], config.workers)?;
    Ok(all)
}

fn every_address() -> Result<Vec<IpAddr>, StartError> {
    let (v4, v6) = (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into());
    let address = SocketAddr::new(v6, 0);
    match udp::open(address, false) {
        Ok(_) => Ok(vec![v4, v6]),
        Err(source) if lacks_ipv6(&source) => Ok(vec![v4]),
        Err(source) => Err(StartError::Udp { address, source }),
    }
}

fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

fn open_for(worker: u8, listen: &[IpAddr], raw: bool, offload: Offload) -> Result<Sockets, StartError> {
    let mut ports = Vec::new();
    for &address in listen {
        for (kind, port) in [(Kind::Ike, IKE_PORT), (Kind::EspInUdp, NAT_TRAVERSAL_PORT)] {
            let bound = SocketAddr::new(address, port);
            let offload = kind == Kind::EspInUdp && offload == Offload::AsGranted;
            let opened = if worker == 0 { udp::open_first(bound, offload) } else { udp::open(bound, offload) };
            let (socket, offload) = opened.map_err(|source| StartError::Udp { address: bound, source })?;
            ports.push(Port { kind, address, offload, socket });
        }
        if raw {
            let socket = raw_esp::open(address, worker).map_err(|source| StartError::RawEsp { address, source })?;
            let offload = Granted { segment: false, join: false };
            ports.push(Port { kind: Kind::RawEsp, address, offload, socket });
        }
    }
    Ok(Sockets(ports))
}

/// Attaches the steering program to each group on port 4500. One socket is no group.
fn steer(first: &Sockets, workers: u8) -> Result<(), StartError> {
    if workers == 1 {
        return Ok(());
    }
    let program = reuseport::esp_in_udp(workers);
    for port in first.0.iter().filter(|port| port.kind == Kind::EspInUdp) {
        reuseport::attach_to_group(port.as_fd(), &program).map_err(StartError::Steering)?;
    }
    Ok(())
}
