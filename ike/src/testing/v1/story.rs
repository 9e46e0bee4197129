//! Stories for the fuzzer: bytes become operations on a server and up to three IKEv1 clients.
//!
//! Whatever the clients, the network and strangers do, the server does not panic, strangers change nothing, and nothing is
//! left of anybody in the end.

use std::time::Duration;

use crate::config::Config;
use crate::crypto::secret::Secret;
use crate::event::{CloseReason, Denial, Path};
use crate::identity::Identity;
use crate::proposal::{Policy, PolicyName};
use crate::psk::{PskSelector, PskTable};
use crate::testing::link::{Datagram, LinkQuality, To};
use crate::v1::V1Config;
use crate::wire::header::HEADER_LEN;
use crate::wire::num::ExchangeType;
use crate::wire::v1::num::PayloadType;
use crate::wire::v1::{Payload, Unknown};

use super::client::V1Task;
use super::config::V1ClientConfig;
use super::pair::{V1_SERVER, V1Pair};
use super::stock::Stock;

/// More clients are not needed to confuse a server.
const MAX_CLIENTS: usize = 3;

/// A story that goes on longer is cut off.
const MAX_STEPS: usize = 64;

/// Long enough for every timer to run.
const FOR_EVER: Duration = Duration::from_secs(3600);

const TASKS: [V1Task; 6] =
    [V1Task::NewChild, V1Task::RekeyChild, V1Task::RekeyIsakmp, V1Task::DeleteChild, V1Task::Probe, V1Task::Close];

const EXCHANGES: [ExchangeType; 5] = [
    ExchangeType::IDENTITY_PROTECTION,
    ExchangeType::AGGRESSIVE,
    ExchangeType::INFORMATIONAL_V1,
    ExchangeType::TRANSACTION,
    ExchangeType::QUICK_MODE,
];

/// The shortest block of a cipher, in bytes.
const FIRST_BLOCK: usize = 8;

const PSK: &[u8] = b"correct horse battery staple";

/// Plays the story that `script` tells.
///
/// # Panics
/// If the server does not keep its promises.
pub fn play(script: &[u8]) {
    let mut script = Script(script);
    let mut pair = V1Pair::new(server(script.byte()), LinkQuality::PERFECT, 1);
    pair.passwords.insert("ann".into(), "mpa".into());
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
    config.policy = Policy::named(&[PolicyName::Compatible]);
    config.psks = PskTable::new(vec![(PskSelector::Any, Secret::from_slice(PSK))]);
    config.ikev1 = Some(V1Config {
        force_udp_encap: options & 1 == 0,
        legacy: options & 2 != 0,
        xauth: options & 4 != 0,
        aggressive: options & 8 != 0,
        minimal_vendor_ids: options & 16 != 0,
        l2tp: options & 32 == 0,
        ..V1Config::default()
    });
    config
}

fn client(options: u8, index: usize) -> V1ClientConfig {
    const STOCKS: [Stock; 4] = [Stock::Windows10, Stock::Apple, Stock::NetworkManager, Stock::Android7];
    let psk: &[u8] = if options & 1 == 0 { PSK } else { b"something else" };
    let address = V1Pair::address(index);
    let mut config = if options & 2 == 0 {
        STOCKS[usize::from(options >> 6)].config(psk, address, V1_SERVER)
    } else {
        let password = if options & 4 == 0 { "mpa" } else { "wrong" };
        V1ClientConfig::xauth(psk, "ann", password, address, V1_SERVER)
    };
    config.aggressive = options & 8 != 0;
    config.initial_contact |= options & 16 != 0;
    config.fragment_size = (options & 32 != 0).then_some(200);
    // Cheap groups: the story is not about arithmetic.
    for transform in &mut config.isakmp {
        transform.group = 19;
    }
    config
}

fn step(pair: &mut V1Pair, script: &mut Script<'_>) {
    let (now, argument) = (pair.now, script.byte());
    let index = usize::from(argument) % pair.clients.len().max(1);
    match argument >> 4 {
        0 | 1 if pair.clients.len() < MAX_CLIENTS => {
            let config = client(script.byte(), pair.clients.len());
            pair.connect(config, u64::from(argument));
        }
        2 | 3 => {
            let task = TASKS[usize::from(script.byte()) % TASKS.len()];
            if let Some(client) = pair.clients.get_mut(index) {
                client.enqueue(now, task);
            }
        }
        4 | 5 => pair.advance(Duration::from_millis(20)),
        6 => pair.advance(Duration::from_secs(u64::from(script.byte()))),
        7 => forge(pair, script),
        8 => stranger(pair, script),
        9 | 10 => confuse(pair, index, script),
        11 => pair.link.quality.loss = script.byte() % 101,
        12 => pair.link.translate(index.min(MAX_CLIENTS)),
        13 => {
            if let Some(info) = pair.server.snapshot().get(index) {
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
        _ => pair.is_silent = argument & 1 != 0,
    }
    pair.exchange();
}

/// A stranger changes an encrypted message on its way, and sends it from elsewhere.
///
/// In its first block, which is a HASH or an identification. IKEv1 protects neither the padding nor, in phase 1, the NAT-D
/// payloads, so that a message with other bytes there is as good as the right one.
fn forge(pair: &mut V1Pair, script: &mut Script<'_>) {
    let is_encrypted = |d: &&Datagram| d.to == To::Server && d.payload.get(19).is_some_and(|flags| flags & 1 != 0);
    let Some(datagram) = pair.link.on_the_way().find(is_encrypted).cloned() else { return };
    let mut message = datagram.payload.to_vec();
    // A changed cookie or exchange is another message, not a changed one.
    let at = HEADER_LEN + usize::from(script.byte()) % FIRST_BLOCK;
    let Some(byte) = message.get_mut(at) else { return };
    *byte ^= script.byte().max(1);
    if message.get(16) == Some(&PayloadType::FRAGMENT.0) {
        return;
    }
    assert_unchanged(pair, datagram.path, &message);
}

/// A stranger sends anything to cookies that exist.
fn stranger(pair: &mut V1Pair, script: &mut Script<'_>) {
    let known = |d: &&Datagram| d.to == To::Server && d.payload.get(8..16) != Some(&[0; 8]);
    let Some(datagram) = pair.link.on_the_way().find(known).cloned() else { return };
    let Some(head) = datagram.payload.get(..HEADER_LEN) else { return };
    let mut message = [head, script.take(64)].concat();
    // Not main mode: a third message of phase 1 may come from anybody who knows the cookies.
    message[18] = EXCHANGES[2 + usize::from(script.byte()) % 3].0;
    message[19] = script.byte();
    message[20..24].copy_from_slice(&[1, 2, 3, 4]);
    if message[16] == PayloadType::FRAGMENT.0 {
        message[16] = PayloadType::HASH.0;
    }
    let length = u32::try_from(message.len()).expect("short");
    message[24..28].copy_from_slice(&length.to_be_bytes());
    assert_unchanged(pair, datagram.path, &message);
}

fn assert_unchanged(pair: &mut V1Pair, path: Path, message: &[u8]) {
    let before = pair.server.fingerprint();
    let elsewhere = Path { peer: "203.0.113.200:4500".parse().expect("an address"), ..path };
    pair.server.handle_datagram(pair.now, pair.wall, elsewhere, message);
    assert_eq!(pair.server.fingerprint(), before, "a stranger has changed something");
}

/// A client that is in sends payloads that make no sense.
fn confuse(pair: &mut V1Pair, index: usize, script: &mut Script<'_>) {
    let exchange = EXCHANGES[usize::from(script.byte()) % EXCHANGES.len()];
    let kinds = [script.byte(), script.byte()];
    let bodies = [script.take(40), script.take(40)];
    let payloads = [0, 1].map(|i| Payload::Unknown(Unknown { kind: PayloadType(1 + kinds[i] % 22), body: bodies[i] }));
    if let Some(client) = pair.clients.get_mut(index) {
        client.send_raw(None, exchange, &payloads);
    }
}

/// What is left of the bytes; zeros after the end.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn take(&mut self, most: usize) -> &'a [u8] {
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
