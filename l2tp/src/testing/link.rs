//! A network between clients and a gateway that loses, doubles, delays and so reorders datagrams.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::event::ChannelId;

use super::SeededRandom;

/// How bad the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkQuality {
    /// Datagrams lost, in percent.
    pub loss: u8,
    /// Datagrams delivered twice, in percent. IPsec prevents it; better not to rely on that.
    pub duplicates: u8,
    /// Least time on the way.
    pub delay: Duration,
    /// Up to this much more.
    pub jitter: Duration,
}

impl LinkQuality {
    /// Nothing is lost, and all arrives after 10 ms.
    pub const PERFECT: Self = Self { loss: 0, duplicates: 0, delay: Duration::from_millis(10), jitter: Duration::ZERO };

    /// A fifth is lost, a tenth comes twice, and delays differ by more than a repetition takes.
    pub const TERRIBLE: Self =
        Self { loss: 20, duplicates: 10, delay: Duration::from_millis(20), jitter: Duration::from_millis(1300) };
}

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The gateway, through this channel.
    Server(ChannelId),
    /// The clients of this channel.
    Client(ChannelId),
}

/// The network.
#[derive(Debug)]
pub struct Link {
    /// How bad it is.
    pub quality: LinkQuality,
    random: SeededRandom,
    on_the_way: BTreeMap<(Instant, u64), (To, u16, Bytes)>,
    sequence: u64,
}

impl Link {
    /// A network whose accidents follow from `seed`.
    #[must_use]
    pub fn new(quality: LinkQuality, seed: u64) -> Self {
        Self { quality, random: SeededRandom::new(seed), on_the_way: BTreeMap::new(), sequence: 0 }
    }

    /// Sends a datagram; `port` is the client's.
    pub fn send(&mut self, now: Instant, to: To, port: u16, payload: &Bytes) {
        if self.percent() < u32::from(self.quality.loss) {
            return;
        }
        let copies = if self.percent() < u32::from(self.quality.duplicates) { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = self.quality.jitter * self.percent() / 100;
            self.sequence += 1;
            self.on_the_way.insert((now + self.quality.delay + jitter, self.sequence), (to, port, payload.clone()));
        }
    }

    /// When the next datagram arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        self.on_the_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next datagram that has arrived: where, the client's port, and the payload.
    pub fn arrive(&mut self, now: Instant) -> Option<(To, u16, Bytes)> {
        let entry = self.on_the_way.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    /// 0 to 99.
    fn percent(&mut self) -> u32 {
        u32::try_from(self.random.next_u64() % 100).expect("less than 100")
    }
}
