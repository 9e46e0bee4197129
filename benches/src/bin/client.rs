//! `client`: a remote client of the gateway for the throughput harness.
//!
//! Logs in by pre-shared key with the initiator of the IKE tests, then carries packets between a TUN device and the
//! gateway with Cygnet's own data plane. Prints its inner address once packets can flow, and logs out on SIGTERM.
//!
//! Does not: set routes (the harness does), rekey, or come back after the gateway has ended the session. Its random
//! numbers follow from a seed that anybody can guess: never use it for real traffic.
//!
//! Usage: `client TUN LOCAL GATEWAY PSK MTU`, the second and third as IP addresses.

use std::error::Error;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::identity::Identity;
use cygnet_ike::psk::{PskSelector, PskTable};
use cygnet_ike::testing::{Client, ClientChild, ClientConfig, End, LinkQuality, Pair, Task};
use cygnet_ike::{ChildMode, ChildSa, Config, Path, UnixTime};
use cygnet_server::dataplane::userspace::{self, DataPlaneConfig, Started, ToControl};
use cygnet_server::dataplane::{DataPlane, SaPair};
use cygnet_server::io::clock::Clock;
use cygnet_server::net::link::{InterfaceName, Netlink, TunSettings};
use tokio::signal::unix::{SignalKind, signal};

/// The port on which a handshake begins, RFC 7296 section 2.
const IKE_PORT: u16 = 500;

/// Packets; the gateway's default.
const REPLAY_WINDOW: u32 = 1024;

/// How long to sleep when no timer runs.
const LONG: Duration = Duration::from_secs(3600);

struct Arguments {
    interface: InterfaceName,
    path: Path,
    psk: String,
    mtu: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { interface, path, psk, mtu } = arguments()?;
    let workers = u8::try_from(available_parallelism().map_or(1, NonZero::get)).unwrap_or(u8::MAX - 1);
    let clock = Clock::start();
    let mut started = userspace::start(DataPlaneConfig {
        interface: interface.as_str().to_owned(),
        workers,
        listen: vec![path.local.ip()],
        raw_esp: false,
        copy_dscp: false,
        clock,
    })?;
    let mut client = Client::new(login(&psk), path, seed_for(workers)?);
    let seconds = u64::try_from(clock.wall().as_second())?;
    client.start(clock.now(), UnixTime::from_secs(seconds));
    let mut terminated = signal(SignalKind::terminate())?;
    loop {
        while let Some(transmit) = client.poll_transmit() {
            started.ike.send(transmit.path, &transmit.payload)?;
        }
        match client.end() {
            Some(End::Closed) => return Ok(()),
            Some(end) => return Err(format!("the session is over: {end:?}").into()),
            None => {}
        }
        if let Some(child) = client.children.pop() {
            carry(&mut started, child, client.path())?;
            let addresses = client.addresses();
            Netlink::open()?.configure_tun(&interface, &TunSettings { addresses: addresses.clone(), mtu }).await?;
            writeln!(std::io::stdout(), "{addresses:?}")?;
        }
        let wait = client.poll_timeout().map_or(LONG, |due| due.saturating_duration_since(clock.now()));
        tokio::select! {
            Some(ToControl::Ike(datagram)) = started.datagrams.recv() => client.handle_datagram(clock.now(), &datagram.message),
            _ = terminated.recv() => client.enqueue(clock.now(), Task::Close),
            () = tokio::time::sleep(wait) => client.handle_timeout(clock.now()),
        }
    }
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let all: Vec<String> = std::env::args().skip(1).collect();
    let [interface, local, gateway, psk, mtu] = all.as_slice() else {
        return Err("usage: client TUN LOCAL GATEWAY PSK MTU".into());
    };
    let at = |address: &str| Ok::<_, Box<dyn Error>>(SocketAddr::new(address.parse::<IpAddr>()?, IKE_PORT));
    let path = Path { local: at(local)?, peer: at(gateway)? };
    Ok(Arguments { interface: InterfaceName::new(interface)?, path, psk: psk.clone(), mtu: mtu.parse()? })
}

fn login(psk: &str) -> ClientConfig {
    ClientConfig::psk(Identity::Fqdn("client.example".into()), psk.as_bytes())
}

/// A seed with which the test initiator chooses a Child SA whose packets reach one of our workers: their number is the
/// first octet of the SPI. Its choice follows from the seed, so a rehearsal in memory shows it.
fn seed_for(workers: u8) -> Result<u64, &'static str> {
    let reaches_a_worker =
        |seed: &u64| rehearse(*seed).is_some_and(|spi| (1..=workers).contains(&spi.to_be_bytes()[0]));
    (0..100_000).find(reaches_a_worker).ok_or("no seed leads to an SPI of a worker")
}

/// The inbound SPI that a client with this seed chooses.
fn rehearse(seed: u64) -> Option<u32> {
    let mut gateway = Config::new(Identity::Fqdn("gateway.example".into()));
    gateway.psks = PskTable::new(vec![(PskSelector::Any, Secret::from_slice(b"rehearsal"))]);
    let mut pair = Pair::new(gateway, LinkQuality::PERFECT, seed);
    let client = pair.connect(login("rehearsal"), seed);
    pair.settle(LONG);
    pair.clients[client].children.first().map(|child| child.inbound.0)
}

/// Lets the data plane carry the packets of a Child SA.
fn carry(started: &mut Started, child: ClientChild, path: Path) -> Result<(), Box<dyn Error>> {
    let child = ChildSa {
        mode: ChildMode::Tunnel,
        inbound_spi: child.inbound,
        outbound_spi: child.outbound,
        suite: child.suite,
        keys: child.keys,
        local_ts: child.tsi,
        remote_ts: child.tsr,
        udp_encap: true,
        path,
        site_child: None,
        lifetime: None,
    };
    started.plane.install(SaPair::from_child(&child, REPLAY_WINDOW)?, None)?;
    Ok(())
}
