//! Gateways that are sites of each other, on a virtual clock: their daemons, data planes, name server, and the wire between them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cygnet_ike::crypto::random::Random;
use cygnet_ike::crypto::testing::SeededRandom;
use cygnet_ike::{ChildSa, EspSpi, Path, SessionState, Transmit};
use jiff::Timestamp;

use super::super::super::{Effect, Gateway, Meter, Now, SiteOutcome, Traffic};
use super::super::write;
use crate::config::{Settings, Surroundings};
use crate::control::model::{ExplainFilter, SiteState, SiteStatus};

/// How the wire is.
#[derive(Clone, Copy)]
pub(super) struct Wire {
    pub(super) latency: Duration,
    /// Added at random.
    pub(super) jitter: Duration,
    /// Of 100 datagrams.
    pub(super) loss: u64,
}

impl Wire {
    pub(super) const GOOD: Self =
        Self { latency: Duration::from_millis(10), jitter: Duration::from_millis(0), loss: 0 };
}

struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    payload: Bytes,
}

/// What the data plane of a gateway has counted.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<EspSpi, Instant>>>);

impl Meter for Counts {
    fn traffic(&self, _: EspSpi) -> Traffic {
        Traffic { bytes_in: 10, bytes_out: 20, packets_in: 1, packets_out: 2 }
    }

    fn last_heard(&self, inbound_spi: EspSpi) -> Option<Instant> {
        self.0.lock().unwrap().get(&inbound_spi).copied()
    }
}

/// An SA pair in a data plane.
pub(super) struct Installed {
    pub(super) child: Box<ChildSa>,
    pub(super) path: Path,
    waits_for: Option<EspSpi>,
}

/// One gateway.
pub(super) struct Node {
    pub(super) gateway: Gateway,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) pairs: Vec<Installed>,
    pub(super) outcomes: Vec<SiteOutcome>,
    pub(super) traps: usize,
    /// Sessions begun so far.
    pub(super) dead: bool,
    counts: Counts,
    folder: tempfile::TempDir,
    lookups: u64,
}

/// See the module.
pub(super) struct World {
    pub(super) now: Now,
    pub(super) nodes: Vec<Node>,
    pub(super) wire: Wire,
    /// What names point to.
    pub(super) names: BTreeMap<String, Vec<IpAddr>>,
    /// Whether the wire is cut.
    pub(super) cut: bool,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    datagrams: BTreeMap<u64, Datagram>,
    sent: u64,
    dice: u64,
    seed: u64,
}

impl World {
    pub(super) fn new(seed: u64, wire: Wire) -> Self {
        let now = Now { instant: cygnet_ike::testing::epoch(), wall: "2026-11-21T12:00:00Z".parse().unwrap() };
        Self {
            now,
            nodes: Vec::new(),
            wire,
            names: BTreeMap::new(),
            cut: false,
            queue: BinaryHeap::new(),
            datagrams: BTreeMap::new(),
            sent: 0,
            dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            seed,
        }
    }

    /// Starts a gateway with this configuration.
    pub(super) fn start(&mut self, addresses: &[&str], config: &str) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let counts = Counts::default();
        let gateway = self.gateway(&folder, config, &counts);
        let (pairs, outcomes) = Default::default();
        let node = Node { gateway, addresses, pairs, outcomes, traps: 0, dead: false, counts, folder, lookups: 0 };
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn gateway(&mut self, folder: &tempfile::TempDir, config: &str, counts: &Counts) -> Gateway {
        let settings = settings(folder, config);
        let randoms = [(); 3].map(|()| {
            self.seed += 1;
            Box::new(SeededRandom::new(self.seed.wrapping_mul(7919))) as Box<dyn Random + Send>
        });
        Gateway::new(settings, randoms, Box::new(counts.clone()), 2, self.now).unwrap()
    }

    /// Ends a gateway without a word, and starts it anew.
    pub(super) fn kill(&mut self, node: usize, config: &str) {
        let counts = Counts::default();
        let folder = tempfile::tempdir().unwrap();
        let gateway = self.gateway(&folder, config, &counts);
        let killed = &mut self.nodes[node];
        (killed.gateway, killed.counts, killed.folder) = (gateway, counts, folder);
        killed.pairs.clear();
    }

    pub(super) fn reload(&mut self, node: usize, config: &str) -> Vec<String> {
        let settings = settings(&self.nodes[node].folder, config);
        let done = self.nodes[node].gateway.reload_from(self.now, settings).unwrap();
        self.carry_out();
        done.changes
    }

    pub(super) fn run(&mut self, seconds: f64) {
        let end = self.now.instant + Duration::from_secs_f64(seconds);
        loop {
            self.carry_out();
            let alive = self.nodes.iter().filter(|node| !node.dead);
            let due = alive.filter_map(|node| node.gateway.poll_timeout()).min();
            let arrival = self.queue.peek().map(|Reverse((at, _))| *at);
            let Some(next) = due.into_iter().chain(arrival).min().filter(|next| *next <= end) else { break };
            self.advance(next.max(self.now.instant));
            self.deliver();
            for node in self.nodes.iter_mut().filter(|node| !node.dead) {
                node.gateway.handle_timeout(self.now);
            }
        }
        self.advance(end);
    }

    /// Runs until a condition holds; whether it did in this time.
    pub(super) fn run_until(&mut self, seconds: f64, holds: impl Fn(&Self) -> bool) -> bool {
        let end = self.now.instant + Duration::from_secs_f64(seconds);
        while !holds(self) {
            if self.now.instant >= end {
                return false;
            }
            self.run(0.05);
        }
        true
    }

    fn advance(&mut self, instant: Instant) {
        let passed = instant - self.now.instant;
        self.now.instant = instant;
        self.now.wall += jiff::SignedDuration::try_from(passed).unwrap();
    }

    fn deliver(&mut self) {
        while let Some(&Reverse((at, number))) = self.queue.peek() {
            if at > self.now.instant {
                break;
            }
            self.queue.pop();
            let Some(Datagram { from, to, payload }) = self.datagrams.remove(&number) else { continue };
            let here = |node: &&mut Node| !node.dead && node.addresses.contains(&to.ip());
            if let Some(node) = self.nodes.iter_mut().find(here) {
                node.gateway.handle_datagram(self.now, Path { local: to, peer: from }, &payload);
            }
        }
    }

    fn carry_out(&mut self) {
        for node in 0..self.nodes.len() {
            while let Some(effect) = self.nodes[node].gateway.poll_effect() {
                self.perform(node, effect);
            }
            while let Some(outcome) = self.nodes[node].gateway.poll_site_outcome() {
                self.nodes[node].outcomes.push(outcome);
            }
        }
    }

    fn perform(&mut self, index: usize, effect: Effect) {
        let now = self.now;
        match effect {
            Effect::Send(transmit) => self.send(index, transmit),
            Effect::Resolve { site, name } => {
                let found = self.names.get(&name).cloned().ok_or_else(|| "no such name".to_owned());
                self.nodes[index].lookups += 1;
                self.nodes[index].gateway.resolved(now, &site, &name, found);
            }
            Effect::LocalAddress { site, peer } => {
                let ours = self.nodes[index].addresses.iter().find(|ours| ours.is_ipv4() == peer.is_ipv4());
                let found = ours.copied().ok_or_else(|| "network is unreachable".to_owned());
                self.nodes[index].gateway.local_address(now, &site, found);
            }
            Effect::Install { child, replaces, .. } => {
                let node = &mut self.nodes[index];
                let waits_for = replaces.filter(|old| node.pairs.iter().any(|pair| pair.child.inbound_spi == *old));
                let path = child.path;
                node.pairs.push(Installed { child, path, waits_for });
            }
            Effect::Remove { inbound_spi } => {
                let pairs = &mut self.nodes[index].pairs;
                let before = pairs.len();
                pairs.retain(|pair| pair.child.inbound_spi != inbound_spi);
                assert_eq!(pairs.len() + 1, before, "{inbound_spi} was installed");
                pairs
                    .iter_mut()
                    .filter(|pair| pair.waits_for == Some(inbound_spi))
                    .for_each(|pair| pair.waits_for = None);
            }
            Effect::Move { inbound_spi, path, .. } => {
                let pair = self.nodes[index].pairs.iter_mut().find(|pair| pair.child.inbound_spi == inbound_spi);
                pair.expect("it was installed").path = path;
            }
            Effect::Traps(traps) => self.nodes[index].traps = traps.len(),
            Effect::Admit { .. } | Effect::Expel { .. } | Effect::SendL2tp { .. } | Effect::Link { .. } => {
                panic!("there are no clients")
            }
        }
    }

    fn send(&mut self, index: usize, Transmit { path, payload }: Transmit) {
        // An address that has gone away sends nothing.
        if self.cut || !self.nodes[index].addresses.contains(&path.local.ip()) || self.roll(100) < self.wire.loss {
            return;
        }
        let spread = u64::try_from(self.wire.jitter.as_micros()).unwrap();
        let jitter = if spread == 0 { 0 } else { self.roll(spread) };
        let at = self.now.instant + self.wire.latency + Duration::from_micros(jitter);
        self.sent += 1;
        self.queue.push(Reverse((at, self.sent)));
        self.datagrams.insert(self.sent, Datagram { from: path.local, to: path.peer, payload });
    }

    /// xorshift64 (Marsaglia 2003).
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 20) % sides
    }

    /// Sends a packet and its answer through the tunnels; whether both arrive.
    pub(super) fn ping(&mut self, from: usize, to: usize) -> bool {
        self.packet(from, to) && self.packet(to, from)
    }

    /// One packet through the newest pair; whether the other end can read it.
    fn packet(&mut self, from: usize, to: usize) -> bool {
        let leaves = self.nodes[from]
            .pairs
            .iter()
            .rev()
            .find(|pair| pair.waits_for.is_none() && self.nodes[to].addresses.contains(&pair.path.peer.ip()));
        let Some(spi) = leaves.map(|pair| pair.child.outbound_spi) else { return false };
        let now = self.now.instant;
        let node = &mut self.nodes[to];
        let Some(pair) = node.pairs.iter_mut().find(|pair| pair.child.inbound_spi == spi) else { return false };
        pair.waits_for = None;
        node.counts.0.lock().unwrap().insert(spi, now);
        !self.cut
    }

    /// How many IKE SAs of a gateway are up or coming up.
    pub(super) fn sessions(&self, node: usize) -> usize {
        let all = self.nodes[node].gateway.ike.snapshot();
        all.iter().filter(|info| info.state != SessionState::Closing).count()
    }

    pub(super) fn site(&self, node: usize, name: &str) -> SiteStatus {
        self.nodes[node].gateway.site(self.now, name).unwrap()
    }

    pub(super) fn is_up(&self, node: usize, name: &str) -> bool {
        let site = self.site(node, name);
        site.state == SiteState::Up && site.children.iter().all(|child| child.up)
    }

    pub(super) fn headlines(&self, node: usize, who: &str) -> Vec<String> {
        let filter = ExplainFilter { who: Some(who.to_owned()), limit: None };
        self.nodes[node].gateway.explain(&filter).into_iter().map(|entry| entry.record.headline).collect()
    }

    pub(super) fn lookups(&self, node: usize) -> u64 {
        self.nodes[node].lookups
    }
}

fn settings(folder: &tempfile::TempDir, config: &str) -> Arc<Settings> {
    let path = folder.path().join("cygnet.toml");
    write(&path, config);
    let loaded = crate::config::load(&path, &Surroundings::of_this_machine(Timestamp::now()));
    Arc::new(loaded.unwrap_or_else(|error| panic!("{error}")))
}
