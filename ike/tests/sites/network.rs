//! The network between two gateways: it loses, duplicates, delays and so reorders datagrams, and may translate the address of
//! the first one.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;
use cygnet_ike::crypto::random::Random;
use cygnet_ike::crypto::testing::SeededRandom;
use cygnet_ike::testing::LinkQuality;
use cygnet_ike::{EspSpi, Path};

/// What is on the way.
#[derive(Clone, Debug)]
pub(crate) enum Parcel {
    /// An IKE message, with its addresses as the receiver sees them.
    Ike(Path, Bytes),
    /// An ESP packet of this SPI, made with this key.
    Esp(EspSpi, Vec<u8>),
}

/// The network.
pub(crate) struct Network {
    pub(crate) quality: LinkQuality,
    random: SeededRandom,
    on_the_way: BTreeMap<(Instant, u64), (usize, Parcel)>,
    sequence: u64,
    /// The first gateway is behind address translation.
    pub(crate) translates: bool,
    /// Where the first gateway seems to be then.
    pub(crate) outside: IpAddr,
    /// Addresses where nobody is, or nobody can be reached.
    pub(crate) dead: Vec<IpAddr>,
    /// Nothing gets through.
    pub(crate) is_cut: bool,
}

/// Where the first gateway seems to be at first if its address is translated.
pub(crate) const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

impl Network {
    pub(crate) fn new(quality: LinkQuality, seed: u64) -> Self {
        let random = SeededRandom::new(seed);
        Self {
            quality,
            random,
            on_the_way: BTreeMap::new(),
            sequence: 0,
            translates: false,
            outside: OUTSIDE,
            dead: Vec::new(),
            is_cut: false,
        }
    }

    /// The gateway `from` sends an IKE message.
    pub(crate) fn send_ike(&mut self, now: Instant, from: usize, path: Path, payload: Bytes) {
        if [path.local, path.peer].iter().any(|end| self.dead.contains(&end.ip())) {
            return;
        }
        let path = match (from, self.translates) {
            (0, true) => {
                let port = 20_000 + path.local.port();
                Path { local: path.peer, peer: SocketAddr::new(self.outside, port) }
            }
            (1, true) if path.peer.ip() == self.outside => {
                let local = SocketAddr::new(super::world::ADDRESSES[0], path.peer.port() - 20_000);
                Path { local, peer: path.local }
            }
            // Nothing leads to an address behind translation.
            (1, true) => return,
            _ => Path { local: path.peer, peer: path.local },
        };
        self.send(now, 1 - from, &Parcel::Ike(path, payload));
    }

    /// The gateway `from` sends an ESP packet.
    pub(crate) fn send_esp(&mut self, now: Instant, from: usize, spi: EspSpi, key: &[u8]) {
        self.send(now, 1 - from, &Parcel::Esp(spi, key.to_vec()));
    }

    fn send(&mut self, now: Instant, to: usize, parcel: &Parcel) {
        if self.is_cut || self.percent() < self.quality.loss {
            return;
        }
        let copies = if self.percent() < self.quality.duplicates { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = self.quality.jitter * u32::from(self.percent()) / 100;
            self.sequence += 1;
            self.on_the_way.insert((now + self.quality.delay + jitter, self.sequence), (to, parcel.clone()));
        }
    }

    /// Somebody else sends, faster than all others.
    pub(crate) fn forge(&mut self, now: Instant, to: usize, path: Path, payload: Vec<u8>) {
        self.sequence += 1;
        self.on_the_way.insert((now, self.sequence), (to, Parcel::Ike(path, payload.into())));
    }

    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        self.on_the_way.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn arrive(&mut self, now: Instant) -> Option<(usize, Parcel)> {
        let entry = self.on_the_way.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// Everything on the way, for an eavesdropper.
    pub(crate) fn on_the_way(&self) -> impl Iterator<Item = &(usize, Parcel)> {
        self.on_the_way.values()
    }

    /// Whatever is on the way is lost.
    pub(crate) fn lose_all(&mut self) {
        self.on_the_way.clear();
    }

    /// 0 to 99.
    pub(crate) fn percent(&mut self) -> u8 {
        let mut bytes = [0; 2];
        self.random.fill(&mut bytes);
        u8::try_from(u16::from_be_bytes(bytes) % 100).expect("less than 100")
    }
}
