//! Stories for the fuzzer: octets become operations on a gateway and some clients.
//!
//! Whatever clients, network and strangers do: the gateway does not panic, what comes through one channel changes nothing of
//! another, and nothing is left of anybody in the end. [`Pair`] checks more with every step.

use std::time::Duration;

use crate::config::Config;
use crate::event::{ChannelId, Reason};
use crate::secret::Secret;

use super::flavor::Flavor;
use super::lac::{DataForm, Lac, LacConfig};
use super::link::LinkQuality;
use super::pair::Pair;

/// More clients are not needed to confuse a gateway.
const MAX_CLIENTS: usize = 4;

/// Two clients may share an IPsec peer.
const CHANNELS: u8 = 3;

/// A story that goes on longer is cut off.
const MAX_STEPS: usize = 64;

/// Long enough for every timer to run, some Hellos included.
const FOR_EVER: Duration = Duration::from_secs(600);

/// Plays the story that `script` tells.
///
/// # Panics
/// If the gateway does not keep its promises.
pub fn play(script: &[u8]) {
    let mut script = Script(script);
    let mut pair = Pair::new(config(script.byte()), LinkQuality::PERFECT, 1);
    for _ in 0..MAX_STEPS {
        if script.0.is_empty() {
            break;
        }
        step(&mut pair, &mut script);
    }
    pair.link.quality = LinkQuality::PERFECT;
    pair.clients.iter_mut().for_each(|(_, client)| client.vanish());
    pair.server.close_all(pair.now);
    pair.advance(FOR_EVER);
    assert!(pair.server.snapshot().is_empty(), "a tunnel is left");
    assert!(pair.server.poll_timeout().is_none(), "a timer is left");
    assert!(pair.up.is_empty(), "a session is left");
}

fn config(options: u8) -> Config {
    let mut config = Config::new("gw.example");
    config.tunnels_per_channel = usize::from(options & 3);
    config.sessions_per_tunnel = usize::from(options >> 2 & 3);
    config.secret = (options & 16 != 0).then(|| Secret::from_slice(b"swordfish"));
    config
}

fn client(options: u8) -> LacConfig {
    let flavor = Flavor::ALL[usize::from(options & 3)];
    let mut config = LacConfig::new(flavor);
    config.secret = (options & 4 != 0).then(|| Secret::from_slice(b"swordfish"));
    config.hide = options & 8 != 0;
    config.sequencing = options & 16 != 0;
    let offset = (options & 64 != 0).then_some(3);
    config.form = DataForm { length: options & 128 == 0, sequence: options & 32 != 0, offset };
    config
}

fn step(pair: &mut Pair, script: &mut Script<'_>) {
    let (now, argument) = (pair.now, script.byte());
    let channel = ChannelId(u64::from(argument % CHANNELS));
    let client = usize::from(argument & 15) % pair.clients.len().max(1);
    let has_client = !pair.clients.is_empty();
    match argument >> 4 {
        0 | 1 if pair.clients.len() < MAX_CLIENTS => {
            let index = pair.add(channel, self::client(script.byte()));
            pair.connect(index);
        }
        2 if has_client => pair.with(client, Lac::hang_up),
        3 if has_client => pair.with(client, |lac, _| lac.vanish()),
        4 if has_client => pair.with(client, Lac::hello),
        5 if has_client => pair.with(client, |lac, _| lac.send_frame(&[0xc0, 0x21, argument])),
        6 if has_client => {
            let payload = script.bytes().to_vec();
            pair.with(client, |lac, now| {
                lac.queue(0, payload);
                lac.flush(now);
            });
        }
        7 => pair.inject(channel, 1701, script.bytes()),
        8 => forge(pair, channel, script),
        9 => {
            if let Some(session) = pair.up.keys().next().copied() {
                pair.server.close_session(now, session, Reason::Administrative);
            }
        }
        10 => pair.server.close_channel(channel),
        11 => pair.server.note_inbound(now, channel),
        12 => {
            if let Some(session) = pair.up.keys().next_back().copied() {
                pair.server.send_frame(session, script.bytes());
            }
        }
        13 => pair.link.quality = if argument & 1 == 0 { LinkQuality::TERRIBLE } else { LinkQuality::PERFECT },
        14 => pair.advance(Duration::from_millis(u64::from(argument & 15) * 50)),
        _ => pair.advance(Duration::from_secs(u64::from(argument & 15) * 5)),
    }
    pair.drain();
}

/// The last datagram of the gateway comes back through some channel, with one octet changed; through a channel of another it
/// must not touch the tunnel that it names.
fn forge(pair: &mut Pair, channel: ChannelId, script: &mut Script<'_>) {
    let Some((_, _, port, datagram)) = pair.sent.last().cloned() else { return };
    let mut datagram = datagram.to_vec();
    let (at, value) = (usize::from(script.byte()) % datagram.len(), script.byte());
    datagram[at] ^= value;
    let others = |pair: &Pair| -> Vec<_> {
        pair.server.snapshot().into_iter().filter(|tunnel| tunnel.channel != channel).collect()
    };
    let before = others(pair);
    pair.inject(channel, port, &datagram);
    assert_eq!(others(pair), before, "a stranger changed something");
}

struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    /// Octets preceded by their number.
    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }
}
