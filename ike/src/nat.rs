//! NAT detection, RFC 7296 section 2.23.

use std::net::{IpAddr, SocketAddr};

use crate::crypto::hash::Hash;
use crate::event::Path;
use crate::v2::keys::SpiPair;
use crate::wire::IkeSpi;
use crate::wire::num::NotifyType;
use crate::wire::v2::{Notify, Payload};

/// What the peer's IKE_SA_INIT says about address translation on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct NatStatus {
    /// The peer does NAT traversal at all: it sent both notifications.
    pub(crate) supported: bool,
    /// The peer's address was translated.
    pub(crate) peer_behind: bool,
    /// Our address was translated.
    pub(crate) self_behind: bool,
}

/// `SHA-1(SPIi | SPIr | IP | port)`.
pub(crate) fn detection_hash(initiator: IkeSpi, responder: Option<IkeSpi>, address: SocketAddr) -> Vec<u8> {
    let responder = responder.map_or([0; 8], |spi| spi.0);
    let ip = match address.ip().to_canonical() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    Hash::Sha1.digest(&[&initiator.0, &responder, &ip, &address.port().to_be_bytes()])
}

/// The notifications of one message that tell how its sender sees the addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hashes<'a> {
    /// NAT_DETECTION_SOURCE_IP; a peer with several addresses sends one for each.
    pub(crate) sources: Vec<&'a [u8]>,
    /// NAT_DETECTION_DESTINATION_IP.
    pub(crate) destination: Option<&'a [u8]>,
}

impl Hashes<'_> {
    /// Whether the sender does NAT traversal: both are there.
    pub(crate) fn are_there(&self) -> bool {
        !self.sources.is_empty() && self.destination.is_some()
    }
}

/// What we tell along `path`: the hashes of our address and of the peer's. If ESP is to go through UDP in any case, our own is
/// told wrong, so that the peer sees address translation.
pub(crate) fn told_hashes(spis: SpiPair, path: Path, force_udp_encap: bool) -> (Vec<u8>, Vec<u8>) {
    let hash = |address| detection_hash(spis.initiator, Some(spis.responder), address);
    let mut source = hash(path.local);
    if force_udp_encap {
        source.iter_mut().for_each(|byte| *byte = !*byte);
    }
    (source, hash(path.peer))
}

impl NatStatus {
    /// Reads the notifications of a request that came along `path`.
    pub(crate) fn detect<'p, 'a: 'p>(
        payloads: impl Iterator<Item = &'p Payload<'a>>,
        initiator: IkeSpi,
        path: Path,
    ) -> Self {
        Self::compare(&hashes(payloads), |address| detection_hash(initiator, None, address), path)
    }

    /// Reads the notifications of a message that carries both SPIs: the answer to IKE_SA_INIT and all later ones.
    pub(crate) fn detect_answer<'p, 'a: 'p>(
        payloads: impl Iterator<Item = &'p Payload<'a>>,
        spis: SpiPair,
        path: Path,
    ) -> Self {
        Self::of(&hashes(payloads), spis, path)
    }

    /// The same of notifications that were picked out before.
    pub(crate) fn of(hashes: &Hashes<'_>, spis: SpiPair, path: Path) -> Self {
        Self::compare(hashes, |address| detection_hash(spis.initiator, Some(spis.responder), address), path)
    }

    fn compare(hashes: &Hashes<'_>, hash: impl Fn(SocketAddr) -> Vec<u8>, path: Path) -> Self {
        let (source, destination) = (hash(path.peer), hash(path.local));
        Self {
            supported: hashes.are_there(),
            peer_behind: !hashes.sources.is_empty() && !hashes.sources.contains(&source.as_slice()),
            self_behind: hashes.destination.is_some_and(|told| told != destination),
        }
    }

    /// Whether ESP has to go through UDP.
    pub(crate) fn any(self) -> bool {
        self.supported && (self.peer_behind || self.self_behind)
    }
}

fn hashes<'p, 'a: 'p>(payloads: impl Iterator<Item = &'p Payload<'a>>) -> Hashes<'a> {
    let mut found = Hashes::default();
    for payload in payloads {
        let Payload::Notify(Notify { kind, data, .. }) = payload else { continue };
        match *kind {
            NotifyType::NAT_DETECTION_SOURCE_IP => found.sources.push(data),
            NotifyType::NAT_DETECTION_DESTINATION_IP => found.destination = Some(data),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPI: IkeSpi = IkeSpi([7; 8]);

    fn path() -> Path {
        Path { local: "192.0.2.1:500".parse().expect("valid"), peer: "198.51.100.9:1024".parse().expect("valid") }
    }

    fn detect(source: &[u8], destination: &[u8]) -> NatStatus {
        let payloads = [
            Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_SOURCE_IP, &[0; 20])),
            Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_SOURCE_IP, source)),
            Payload::Notify(Notify::new(NotifyType::NAT_DETECTION_DESTINATION_IP, destination)),
        ];
        NatStatus::detect(payloads.iter(), SPI, path())
    }

    #[test]
    fn sees_which_side_is_translated() {
        let (source, destination) = (detection_hash(SPI, None, path().peer), detection_hash(SPI, None, path().local));
        let seen = |status: NatStatus| (status.supported, status.peer_behind, status.self_behind);
        assert_eq!(seen(detect(&source, &destination)), (true, false, false));
        assert_eq!(seen(detect(&[1; 20], &destination)), (true, true, false));
        assert_eq!(seen(detect(&source, &[1; 20])), (true, false, true));
        assert_eq!(seen(NatStatus::detect([].iter(), SPI, path())), (false, false, false));
    }

    #[test]
    fn an_ipv4_address_mapped_into_ipv6_is_an_ipv4_address() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:500".parse().expect("valid");
        assert_eq!(detection_hash(SPI, None, mapped), detection_hash(SPI, None, path().local));
    }
}
