//! Stories for the fuzzer: bytes become operations on a server and up to three clients.
//!
//! Whatever the clients, the network and strangers do, the server does not panic, strangers change nothing, and nothing is
//! left of anybody in the end.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::config::Config;
use crate::crypto::secret::Secret;
use crate::event::{CloseReason, Denial, Path};
use crate::identity::Identity;
use crate::psk::{PskSelector, PskTable};
use crate::wire::header::HEADER_LEN;
use crate::wire::num::{ExchangeType, PayloadType};
use crate::wire::v2::{Payload, Unknown};

use super::client::{ClientConfig, Login, Task};
use super::link::{Datagram, LinkQuality, To};
use super::pair::Pair;

/// More clients are not needed to confuse a server.
const MAX_CLIENTS: usize = 3;

/// A story that goes on longer is cut off.
const MAX_STEPS: usize = 64;

/// Long enough for every timer to run.
const FOR_EVER: Duration = Duration::from_secs(3600);

const TASKS: [Task; 6] =
    [Task::NewChild, Task::RekeyChild, Task::RekeyIke, Task::DeleteChild, Task::Probe, Task::Close];

/// Plays the story that `script` tells.
///
/// # Panics
/// If the server does not keep its promises.
pub fn play(script: &[u8]) {
    let mut script = Script(script);
    let mut pair = Pair::new(server(script.byte()), LinkQuality::PERFECT, 1);
    for _ in 0..MAX_STEPS {
        if script.0.is_empty() {
            break;
        }
        step(&mut pair, &mut script);
    }
    pair.link.quality = LinkQuality::PERFECT;
    pair.server.close_all(pair.now);
    pair.advance(FOR_EVER);
    assert!(pair.server.snapshot().is_empty(), "a session is left");
    assert!(pair.server.poll_timeout().is_none(), "a timer is left");
    assert!(pair.children.is_empty(), "a Child SA is left");
}

fn server(options: u8) -> Config {
    let mut config = Config::new(Identity::Fqdn("gw.example".into()));
    config.psks = PskTable::new(vec![(PskSelector::Any, Secret::from_slice(b"swordfish"))]);
    config.limits.cookie_threshold = if options & 1 == 0 { 1000 } else { 0 };
    config.force_udp_encap = options & 2 != 0;
    config.limits.children = if options & 4 == 0 { 8 } else { 1 };
    config.shared_identities = options & 8 != 0;
    config
}

fn client(options: u8) -> ClientConfig {
    let psk: &[u8] = if options & 1 == 0 { b"swordfish" } else { b"sardine" };
    let mut config = ClientConfig::psk(Identity::Fqdn("laptop.example".into()), psk);
    config.pfs = options & 2 != 0;
    config.initial_contact = options & 4 != 0;
    config.fragmentation = options & 8 == 0;
    config.mobike = options & 32 != 0;
    config.childless = options & 64 != 0;
    if options & 16 != 0 {
        config.login = Login::Eap(Box::new(super::ToyEapPeer { name: "a".into(), password: "b".into() }));
    }
    config
}

fn step(pair: &mut Pair, script: &mut Script<'_>) {
    let (now, argument) = (pair.now, script.byte());
    let client_index = usize::from(argument) % pair.clients.len().max(1);
    match argument >> 4 {
        0 | 1 if pair.clients.len() < MAX_CLIENTS => {
            pair.connect(client(script.byte()), u64::from(argument));
        }
        2 | 3 => {
            let task = TASKS[usize::from(script.byte()) % TASKS.len()];
            if let Some(client) = pair.clients.get_mut(client_index) {
                client.enqueue(now, task);
            }
        }
        4 | 5 => pair.advance(Duration::from_millis(20)),
        6 => pair.advance(Duration::from_secs(u64::from(script.byte()))),
        7 => forge(pair, script),
        8 => stranger(pair, script),
        9 | 10 => confuse(pair, client_index, script),
        11 => pair.link.quality.loss = script.byte() % 101,
        12 => pair.link.translate(client_index.min(MAX_CLIENTS)),
        13 => {
            if let Some(info) = pair.server.snapshot().get(client_index) {
                pair.server.close(now, info.session, CloseReason::Administrative);
            }
        }
        14 => {
            pair.denial = match script.byte() % 3 {
                0 => Some(Denial::NoAddress),
                1 => Some(Denial::Authorization),
                _ => None,
            }
        }
        _ if argument & 2 != 0 => roam(pair, client_index, script),
        _ => pair.is_silent = argument & 1 != 0,
    }
    pair.exchange();
}

/// A client moves to one of a few addresses.
fn roam(pair: &mut Pair, client: usize, script: &mut Script<'_>) {
    let (now, host) = (pair.now, 100 + script.byte() % 4);
    if let Some(client) = pair.clients.get_mut(client).filter(|client| client.is_up()) {
        let Path { local, peer } = client.path();
        let local = SocketAddr::new(Ipv4Addr::new(198, 51, 100, host).into(), local.port());
        client.roam(now, Path { local, peer });
    }
}

/// A stranger changes a protected message on its way, and sends it from elsewhere.
fn forge(pair: &mut Pair, script: &mut Script<'_>) {
    let is_protected = |d: &&Datagram| d.to == To::Server && d.payload.get(18) != Some(&ExchangeType::IKE_SA_INIT.0);
    let Some(datagram) = pair.link.on_the_way().find(is_protected).cloned() else { return };
    let mut message = datagram.payload.to_vec();
    let at = usize::from(script.byte()) % message.len();
    message[at] ^= script.byte().max(1);
    assert_unchanged(pair, datagram.path, &message);
}

/// A stranger sends anything to an SPI that exists.
fn stranger(pair: &mut Pair, script: &mut Script<'_>) {
    let Some(datagram) = pair.link.on_the_way().find(|d| d.to == To::Server).cloned() else { return };
    let Some(head) = datagram.payload.get(..HEADER_LEN) else { return };
    let mut message = [head, script.take(64)].concat();
    message[18] = ExchangeType::IKE_AUTH.0 + script.byte() % 3;
    message[19] = script.byte();
    let length = u32::try_from(message.len()).expect("short");
    message[24..28].copy_from_slice(&length.to_be_bytes());
    assert_unchanged(pair, datagram.path, &message);
}

fn assert_unchanged(pair: &mut Pair, path: Path, message: &[u8]) {
    let before = pair.server.fingerprint();
    let elsewhere = Path { peer: "203.0.113.200:4500".parse().expect("an address"), ..path };
    pair.server.handle_datagram(pair.now, pair.wall, elsewhere, message);
    assert_eq!(pair.server.fingerprint(), before, "a stranger has changed something");
}

/// A client that has logged in sends payloads that make no sense.
fn confuse(pair: &mut Pair, client: usize, script: &mut Script<'_>) {
    let exchange = ExchangeType(ExchangeType::IKE_AUTH.0 + script.byte() % 3);
    let kinds = [script.byte(), script.byte()];
    let bodies = [script.take(40), script.take(40)];
    let payloads = [0, 1].map(|i| {
        let kind = PayloadType(33 + kinds[i] % 32);
        Payload::Unknown(Unknown { kind, critical: kinds[i] & 0x80 != 0, body: bodies[i] })
    });
    let now = pair.now;
    if let Some(client) = pair.clients.get_mut(client).filter(|client| client.is_up() && client.is_idle()) {
        let is_inside = |payload: &&Payload<'_>| !payload.kind().ends_chain();
        let payloads: Vec<Payload<'_>> = payloads.iter().filter(is_inside).cloned().collect();
        client.send_raw(now, exchange, &payloads);
    }
}

/// What is left of the bytes; zeros after the end.
pub(super) struct Script<'a>(pub(super) &'a [u8]);

impl<'a> Script<'a> {
    pub(super) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub(super) fn take(&mut self, most: usize) -> &'a [u8] {
        let (front, back) = self.0.split_at(most.min(self.0.len()));
        self.0 = back;
        front
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn any_story_has_a_good_end(script in proptest::collection::vec(any::<u8>(), 0..160)) {
            play(&script);
        }
    }
}
