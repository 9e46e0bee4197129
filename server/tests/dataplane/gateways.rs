//! Two data planes on either side of a wire, and SA pairs between them.

use std::net::{IpAddr, SocketAddr};
use std::ops::{Index, IndexMut};
use std::time::Duration;

use cygnet_esp::secret::Secret;
use cygnet_esp::selector::{Selector, SelectorSet};
use cygnet_esp::{AesBits, DropReason, InboundConfig, OutboundConfig, SaKeys, Spi, Suite, Transform};
use cygnet_ike::{EspSpi, Path};
use cygnet_server::dataplane::userspace::{self, DataPlaneConfig, Offload, Started};
use cygnet_server::dataplane::{DataPlane, DataPlaneEvent, Device, InnerPath, Limits, Link, Owner, SaPair};
use cygnet_server::io::clock::Clock;

use crate::namespaces::{Namespace, wired_pair};

pub(crate) const LEFT: usize = 0;
pub(crate) const RIGHT: usize = 1;

/// Inner addresses of the two sides.
pub(crate) const INNER_V4: [&str; 2] = ["10.20.0.9", "10.99.0.1"];
pub(crate) const INNER_V6: [&str; 2] = ["fd00:20::9", "fd00:99::1"];

/// An SA pair between the two sides, by what may differ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tunnel {
    pub(crate) transform: Transform,
    pub(crate) udp_encap: bool,
    pub outer_ipv6: bool,
    /// Index of the worker on both sides.
    pub(crate) worker: u8,
    /// Lower octets of the SPI: tells a pair from its successor.
    pub(crate) number: u8,
    /// Inner packets in an L2TP session, in transport mode.
    pub(crate) l2tp: bool,
}

impl Default for Tunnel {
    fn default() -> Self {
        Self {
            transform: Transform::AesGcm16(AesBits::Aes256),
            udp_encap: true,
            outer_ipv6: false,
            worker: 0,
            number: 1,
            l2tp: false,
        }
    }
}

impl Tunnel {
    /// Inbound SPI of a side.
    pub(crate) fn spi(&self, side: usize) -> EspSpi {
        let [side, first] = [u8::try_from(side).unwrap(), self.worker + 1];
        EspSpi(u32::from_be_bytes([first, 0xc0, side, self.number]))
    }

    pub(crate) fn path(&self, side: usize) -> Path {
        let address = |side: usize| -> IpAddr {
            let text =
                if self.outer_ipv6 { format!("2001:db8::{}", side + 1) } else { format!("192.0.2.{}", side + 1) };
            text.parse().unwrap()
        };
        let port = if self.udp_encap { 4500 } else { 500 };
        Path { local: SocketAddr::new(address(side), port), peer: SocketAddr::new(address(1 - side), port) }
    }

    /// The pair as one side has it.
    pub(crate) fn pair(&self, side: usize) -> SaPair {
        let suite = Suite { transform: self.transform, esn: false };
        let keys = |receiver: usize| {
            let octet = u8::try_from(receiver).unwrap() + 10 * self.number;
            let key = |len| Secret::new(vec![octet; len]);
            SaKeys { encr: key(self.transform.encr_key_len()), integ: key(self.transform.integ_key_len()) }
        };
        let (own, other) = (Spi(self.spi(side).0), Spi(self.spi(1 - side).0));
        let hosts = |side: usize| {
            [INNER_V4[side], INNER_V6[side]].map(|a| Selector::addresses(a.parse().unwrap(), a.parse().unwrap()))
        };
        SaPair {
            inbound: InboundConfig { spi: own, suite, keys: keys(side), replay_window: 1024 },
            outbound: OutboundConfig { spi: other, suite, keys: keys(1 - side), soft_limit: None },
            inner: if self.l2tp { InnerPath::L2tp } else { InnerPath::Ip },
            selectors: SelectorSet::new(hosts(side), hosts(1 - side)),
            udp_encap: self.udp_encap,
            path: self.path(side),
            device: Device::Shared,
            limits: Limits::default(),
            owner: Owner::Clients,
        }
    }
}

/// The L2TP session of a tunnel, as one side has it.
fn link(side: usize) -> Link {
    let ids = |side: usize| u16::try_from(side + 1).unwrap();
    let (own, other) = (ids(side), ids(1 - side));
    Link {
        local_tunnel: own * 0x0101,
        local_session: own * 0x1010,
        peer_tunnel: other * 0x0101,
        peer_session: other * 0x1010,
        port: 1701,
        addresses: [INNER_V4[1 - side], INNER_V6[1 - side]].map(|address| address.parse().unwrap()).to_vec(),
        short_protocol: side == LEFT,
        omit_address_control: side == LEFT,
        sequencing: side == RIGHT,
        mtu: 1500,
    }
}

/// Data planes with inner addresses and routes, in namespaces of their own. The planes go before their namespaces.
pub(crate) struct Gateways {
    pub(crate) sides: Sides,
    pub(crate) namespaces: [Namespace; 2],
}

/// Both data planes. Those of a test that fails say what they counted.
pub(crate) struct Sides([Started; 2]);

impl Index<usize> for Sides {
    type Output = Started;

    fn index(&self, side: usize) -> &Started {
        &self.0[side]
    }
}

impl IndexMut<usize> for Sides {
    fn index_mut(&mut self, side: usize) -> &mut Started {
        &mut self.0[side]
    }
}

impl Drop for Sides {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (name, side) in ["left", "right"].into_iter().zip(&self.0) {
                let counters = side.plane.counters();
                let dropped = DropReason::ALL.into_iter().map(|reason| (reason, counters.dropped(reason)));
                let dropped: Vec<_> = dropped.filter(|(_, count)| *count > 0).collect();
                eprintln!("{name} side dropped {dropped:?}; {counters:?}");
            }
        }
    }
}

impl Gateways {
    pub(crate) fn new(workers: u8) -> Self {
        Self::started(|_| (config(workers), Offload::AsGranted))
    }

    /// Gateways that are started as `how` says for each side.
    pub(crate) fn started(how: impl Fn(usize) -> (DataPlaneConfig, Offload)) -> Self {
        Self::within(wired_pair(), how)
    }

    /// Gateways in these namespaces.
    pub(crate) fn within(namespaces: [Namespace; 2], how: impl Fn(usize) -> (DataPlaneConfig, Offload)) -> Self {
        let sides = [LEFT, RIGHT].map(|side| {
            let (config, offload) = how(side);
            let started = namespaces[side].inside(|| userspace::start_with(config, offload));
            let started = started.unwrap_or_else(|error| panic!("{error}"));
            configure_tun(&namespaces[side], side, 1380);
            started
        });
        Self { sides: Sides(sides), namespaces }
    }

    /// Gateways with one tunnel up.
    pub(crate) fn with(tunnel: Tunnel) -> Self {
        let mut gateways = Self::new(2);
        gateways.install(tunnel, None);
        gateways
    }

    pub(crate) fn install(&mut self, tunnel: Tunnel, replaces: Option<Tunnel>) {
        for side in [LEFT, RIGHT] {
            let old = replaces.map(|old| old.spi(side));
            let plane = &mut self.sides[side].plane;
            plane.install(tunnel.pair(side), old).unwrap_or_else(|error| panic!("{error}"));
            if tunnel.l2tp && old.is_none() {
                plane.link(tunnel.spi(side), Some(link(side)));
            }
        }
    }

    /// Sends five pings from a side to the other's inner address and requires every answer. (The program leaves earlier.)
    pub(crate) fn ping(&self, side: usize, to: &str, options: &str) {
        let before = self.answers(side);
        self.namespaces[side].run("ping", &format!("-c 5 -i 0.02 -W 5 {options} {to}"));
        eventually("answer to each ping", || (self.answers(side) >= before + 5).then_some(()));
    }

    /// How many answers to pings a side has got.
    fn answers(&self, side: usize) -> u64 {
        let counted = self.namespaces[side].run("nstat", "-asz IcmpInEchoReps Icmp6InEchoReplies");
        let numbers = counted.lines().filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        numbers.sum()
    }

    /// Waits for an event of a side.
    pub(crate) fn event(&mut self, side: usize) -> DataPlaneEvent {
        eventually("an event", || self.sides[side].plane.poll_event())
    }

    /// Fails if a side dropped anything.
    pub(crate) fn assert_no_drops(&self) {
        for side in [LEFT, RIGHT] {
            let counters = self.sides[side].plane.counters();
            let dropped: Vec<_> = DropReason::ALL
                .into_iter()
                .filter(|reason| counters.dropped(*reason) > 0)
                // What IPv6 says to its link by itself (router solicitations, listener reports) leads to no SA.
                .filter(|reason| *reason != DropReason::NoSa)
                .collect();
            assert!(dropped.is_empty(), "side {side} dropped {dropped:?}: {counters:?}");
            assert_eq!((counters.tun_failures, counters.send_failures, counters.unusable), (0, 0, 0));
        }
    }
}

pub(crate) fn config(workers: u8) -> DataPlaneConfig {
    DataPlaneConfig {
        interface: "cygnet0".into(),
        workers,
        listen: Vec::new(),
        raw_esp: true,
        copy_dscp: false,
        clock: Clock::start(),
    }
}

pub(crate) fn configure_tun(namespace: &Namespace, side: usize, mtu: u32) {
    namespace.ip(&format!("link set cygnet0 up mtu {mtu} txqueuelen 4000"));
    for (own, others) in [(INNER_V4[side], INNER_V4[1 - side]), (INNER_V6[side], INNER_V6[1 - side])] {
        let flags = if own.contains(':') { "nodad" } else { "" };
        namespace.ip(&format!("addr add {own} dev cygnet0 {flags}"));
        namespace.ip(&format!("route add {others} dev cygnet0 src {own}"));
    }
}

/// Tries until there is a result, at most 20 s: a busy machine may take seconds to start a program.
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    for _ in 0..2000 {
        if let Some(result) = attempt() {
            return result;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no {what} within 20 s");
}
