//! A network between clients and a server that loses, duplicates, delays and so reorders datagrams, and translates addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::crypto::random::Random;
use crate::crypto::testing::SeededRandom;
use crate::event::Path;

/// How bad the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkQuality {
    /// Datagrams lost, in percent.
    pub loss: u8,
    /// Datagrams delivered twice, in percent.
    pub duplicates: u8,
    /// Least time on the way.
    pub delay: Duration,
    /// Up to this much more.
    pub jitter: Duration,
}

impl LinkQuality {
    /// Nothing is lost, and all arrives after 10 ms.
    pub const PERFECT: Self = Self { loss: 0, duplicates: 0, delay: Duration::from_millis(10), jitter: Duration::ZERO };

    /// A fifth is lost, a tenth comes twice, and delays differ by more than a retransmission interval.
    pub const TERRIBLE: Self =
        Self { loss: 20, duplicates: 10, delay: Duration::from_millis(20), jitter: Duration::from_millis(700) };
}

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The server.
    Server,
    /// The client with this index.
    Client(usize),
}

/// A datagram as its receiver sees it.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Who gets it.
    pub to: To,
    /// Addresses from the receiver's point of view.
    pub path: Path,
    /// The message.
    pub payload: Bytes,
}

/// The network.
pub struct Link {
    /// How bad it is.
    pub quality: LinkQuality,
    random: SeededRandom,
    on_the_way: BTreeMap<(Instant, u64), Datagram>,
    sequence: u64,
    /// Outer address of the clients that are behind address translation.
    nat: BTreeMap<usize, u16>,
}

const NAT_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

impl Link {
    /// A network whose accidents follow from `seed`.
    #[must_use]
    pub fn new(quality: LinkQuality, seed: u64) -> Self {
        let (random, on_the_way, nat) = (SeededRandom::new(seed), BTreeMap::new(), BTreeMap::new());
        Self { quality, random, on_the_way, sequence: 0, nat }
    }

    /// From now on the client is behind address translation; called again, the translation forgets its ports.
    pub fn translate(&mut self, client: usize) {
        let generation = self.nat.entry(client).or_default();
        *generation += 1;
    }

    /// From now on the client has an address of its own again.
    pub fn untranslate(&mut self, client: usize) {
        self.nat.remove(&client);
    }

    /// A client sends.
    pub fn from_client(&mut self, now: Instant, client: usize, path: Path, payload: Bytes) {
        let peer = match self.nat.get(&client) {
            Some(generation) => SocketAddr::new(NAT_ADDRESS, outer_port(client, *generation, path.local.port())),
            None => path.local,
        };
        self.send(now, &Datagram { to: To::Server, path: Path { local: path.peer, peer }, payload });
    }

    /// The server sends to a client at `inner`.
    pub fn from_server(&mut self, now: Instant, client: usize, inner: SocketAddr, path: Path, payload: Bytes) {
        self.send(now, &Datagram { to: To::Client(client), path: Path { local: inner, peer: path.local }, payload });
    }

    /// The client behind an address that the server sends to, with its address as it knows it itself.
    #[must_use]
    pub fn client_at(&self, address: SocketAddr, clients: &[SocketAddr]) -> Option<(usize, SocketAddr)> {
        let ports = [500, 4500];
        let translated = self.nat.iter().find_map(|(client, generation)| {
            let port = ports
                .into_iter()
                .find(|port| address == SocketAddr::new(NAT_ADDRESS, outer_port(*client, *generation, *port)))?;
            Some((*client, SocketAddr::new(clients.get(*client)?.ip(), port)))
        });
        let plain = || clients.iter().position(|inner| inner.ip() == address.ip()).map(|client| (client, address));
        translated.or_else(plain)
    }

    /// When the next datagram arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        self.on_the_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next datagram that has arrived.
    pub fn arrive(&mut self, now: Instant) -> Option<Datagram> {
        let entry = self.on_the_way.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// Everything on the way, for an eavesdropper.
    pub fn on_the_way(&self) -> impl Iterator<Item = &Datagram> {
        self.on_the_way.values()
    }

    fn send(&mut self, now: Instant, datagram: &Datagram) {
        if self.percent() < self.quality.loss {
            return;
        }
        let copies = if self.percent() < self.quality.duplicates { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = self.quality.jitter * u32::from(self.percent()) / 100;
            self.sequence += 1;
            self.on_the_way.insert((now + self.quality.delay + jitter, self.sequence), datagram.clone());
        }
    }

    /// 0 to 99.
    fn percent(&mut self) -> u8 {
        let mut bytes = [0; 2];
        self.random.fill(&mut bytes);
        u8::try_from(u16::from_be_bytes(bytes) % 100).expect("less than 100")
    }
}

fn outer_port(client: usize, generation: u16, port: u16) -> u16 {
    let client = u16::try_from(client).expect("few clients");
    20_000 + generation * 1000 + client * 2 + u16::from(port == 4500)
}
