//! What a session has besides itself in each step: the configuration, the time, what it shares with all others, and new SPIs.
//!
//! The first byte of an SPI of ours names a shard: of IKE SAs, or of the packet path.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::cert::UnixTime;
use crate::config::Config;
use crate::crypto::random::Random;
use crate::event::{AccessRequest, Counters, Event, Path, SessionId, Transmit};
use crate::wire::{EspSpi, IkeSpi};

use super::fragments::Kept;

/// What all sessions share.
pub(crate) struct Shared {
    pub(crate) random: Box<dyn Random + Send>,
    pub(crate) wall: UnixTime,
    pub(crate) transmits: VecDeque<Transmit>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) counters: Counters,
    /// The number of the next session.
    pub(crate) next_session: u64,
    /// Our SPIs of all IKE SAs.
    pub(crate) ike_spis: BTreeMap<IkeSpi, SessionId>,
    /// Our SPIs of all Child SAs.
    pub(crate) esp_spis: BTreeSet<EspSpi>,
    /// A session that was just authenticated. The endpoint turns this into an event, after INITIAL_CONTACT had its effect.
    pub(crate) authenticated: Option<(SessionId, AccessRequest)>,
    /// Sites of the sessions that are established.
    pub(crate) connected: BTreeMap<SessionId, Arc<str>>,
    /// What is kept of incomplete messages.
    pub(crate) kept: Kept,
}

impl Shared {
    /// Whether there is an established session with this site.
    pub(crate) fn is_connected(&self, site: &str) -> bool {
        self.connected.values().any(|name| **name == *site)
    }
}

/// What a session is handed for one step.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    pub(crate) shared: &'a mut Shared,
    pub(crate) now: Instant,
}

impl Context<'_> {
    /// Sends messages.
    pub(super) fn send(&mut self, path: Path, messages: Vec<Bytes>) {
        self.shared.transmits.extend(messages.into_iter().map(|payload| Transmit { path, payload }));
    }

    /// The name of a new session.
    pub(crate) fn new_session_id(&mut self) -> SessionId {
        let id = SessionId(self.shared.next_session);
        self.shared.next_session += 1;
        id
    }

    /// A new SPI for an IKE SA of ours; its first byte tells the shard.
    pub(crate) fn new_ike_spi(&mut self) -> IkeSpi {
        loop {
            let mut spi = [0; 8];
            self.shared.random.fill(&mut spi);
            spi[0] = self.config.ike_shard.saturating_add(1);
            if !self.shared.ike_spis.contains_key(&IkeSpi(spi)) {
                return IkeSpi(spi);
            }
        }
    }

    /// A new inbound SPI for a Child SA; its first byte tells the shard, the same for all of a session.
    pub(crate) fn new_esp_spi(&mut self, session: SessionId) -> EspSpi {
        let shards = u64::from(self.config.esp_shards.max(1));
        let shard = u8::try_from(session.0 % shards).expect("there are at most 255 shards");
        loop {
            let mut spi = [0; 4];
            self.shared.random.fill(&mut spi);
            spi[0] = shard.saturating_add(1);
            let spi = EspSpi(u32::from_be_bytes(spi));
            if self.shared.esp_spis.insert(spi) {
                return spi;
            }
        }
    }
}
