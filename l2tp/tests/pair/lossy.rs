//! Thousands of runs over networks that lose, double and reorder.

use std::time::Duration;

use cygnet_l2tp::testing::{Flavor, Lac, LacConfig, LinkQuality, Pair, SeededRandom, play};
use cygnet_l2tp::{ChannelId, Config, Random, Reason};
use proptest::prelude::*;

use crate::bytes::CHANNEL;

/// Longer than any setup with all its repetitions.
const SETUP: Duration = Duration::from_secs(70);

/// Longer than a Hello interval, its repetitions and a tombstone.
const FOR_EVER: Duration = Duration::from_secs(400);

fn any_flavor() -> impl Strategy<Value = Flavor> {
    prop::sample::select(Flavor::ALL.to_vec())
}

fn any_quality() -> impl Strategy<Value = LinkQuality> {
    (0..=25_u8, 0..=20_u8, 0..=60_u64, 0..=1500_u64).prop_map(|(loss, duplicates, delay, jitter)| LinkQuality {
        loss,
        duplicates,
        delay: Duration::from_millis(delay),
        jitter: Duration::from_millis(jitter),
    })
}

fn pair_with(flavor: Flavor, quality: LinkQuality, seed: u64) -> Pair {
    let mut pair = Pair::new(Config::new("gw.example"), quality, seed);
    let client = pair.add(CHANNEL, LacConfig::new(flavor));
    pair.connect(client);
    pair
}

/// After everybody has hung up or died, nothing is left.
fn assert_nothing_left(mut pair: Pair) {
    pair.advance(FOR_EVER);
    assert!(pair.up.is_empty() && pair.server.snapshot().is_empty(), "{:?}", pair.server.snapshot());
    assert!(pair.server.poll_timeout().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Either both ends have exactly one session, and frames pass, or the network was too bad and both gave up.
    #[test]
    fn a_bad_network_gives_one_session_or_none(flavor in any_flavor(), quality in any_quality(), seed: u64) {
        let mut pair = pair_with(flavor, quality, seed);
        pair.advance(SETUP);
        prop_assert!(pair.up.len() <= 1);
        prop_assert!(pair.server.snapshot().len() <= 1);
        prop_assert!(pair.refusals.is_empty());
        if pair.clients[0].1.is_up() {
            prop_assert_eq!(pair.up.len(), 1, "the client is up and the gateway not");
            pair.link.quality = LinkQuality::PERFECT;
            pair.with(0, |client, _| client.send_frame(&[0xc0, 0x21, 1]));
            pair.advance(Duration::from_secs(2));
            prop_assert_eq!(&pair.frames, &[(pair.session(), vec![0xc0, 0x21, 1])]);
        }
        pair.link.quality = quality;
        pair.with(0, Lac::hang_up);
        assert_nothing_left(pair);
    }

    /// A client that dies at any moment is noticed.
    #[test]
    fn nothing_is_left_of_a_client_that_vanishes(flavor in any_flavor(), quality in any_quality(), seed: u64, after in 0..3000_u64) {
        let mut pair = pair_with(flavor, quality, seed);
        pair.advance(Duration::from_millis(after));
        pair.with(0, |client, _| client.vanish());
        assert_nothing_left(pair);
    }

    /// What comes through the channel of another changes nothing, whatever it is and whenever it comes.
    #[test]
    fn a_stranger_changes_nothing(flavor in any_flavor(), seed: u64, rounds in 1..40_u32) {
        let mut pair = Pair::connected(flavor);
        let mut random = SeededRandom::new(seed);
        let before = pair.server.snapshot();
        for _ in 0..rounds {
            let datagram = forged(&pair, &mut random);
            pair.inject(ChannelId(99), 1701, &datagram);
        }
        let ours: Vec<_> = pair.server.snapshot().into_iter().filter(|info| info.channel == CHANNEL).collect();
        prop_assert_eq!(ours, before);
        prop_assert!(pair.frames.is_empty());
        pair.with(0, |client, _| client.send_frame(&[0xc0, 0x21, 1]));
        pair.advance(Duration::from_millis(20));
        prop_assert_eq!(pair.frames.len(), 1);
    }

    /// The client itself sends nonsense: it may lose its tunnel, and nothing else happens.
    #[test]
    fn nonsense_from_the_client_is_survived(flavor in any_flavor(), seed: u64, rounds in 1..40_u32) {
        let mut pair = Pair::connected(flavor);
        let twin = pair.add(ChannelId(2), LacConfig::new(flavor));
        pair.connect(twin);
        pair.advance(Duration::from_secs(1));
        let mut random = SeededRandom::new(seed);
        for _ in 0..rounds {
            let datagram = forged(&pair, &mut random);
            pair.inject(CHANNEL, 1701, &datagram);
        }
        prop_assert!(pair.up.keys().any(|key| key.channel == ChannelId(2)), "the twin is not concerned");
        pair.server.close_channel(CHANNEL);
        pair.server.close_channel(ChannelId(2));
        pair.drain();
        assert_nothing_left(pair);
    }

    #[test]
    fn any_story_ends_well(script in prop::collection::vec(any::<u8>(), 0..200)) {
        play(&script);
    }
}

/// Something like a datagram for the tunnel that exists: right ids, wrong everything else.
fn forged(pair: &Pair, random: &mut SeededRandom) -> Vec<u8> {
    let mut octets = [0; 64];
    random.fill(&mut octets);
    let length = 4 + usize::from(octets[0] % 60);
    let mut datagram = octets[1..].iter().copied().take(length).collect::<Vec<u8>>();
    if octets[0] & 1 == 0 {
        let (_, _, _, last) = &pair.sent[usize::from(octets[1]) % pair.sent.len()];
        datagram = last.to_vec();
        let at = usize::from(octets[2]) % datagram.len();
        datagram[at] ^= octets[3];
    }
    if let Some((key, _)) = pair.up.first_key_value()
        && let Some(ids) = datagram.get_mut(4..8)
    {
        ids[..2].copy_from_slice(&key.tunnel.to_be_bytes());
        ids[2..].copy_from_slice(&key.session.to_be_bytes());
    }
    datagram
}

#[test]
fn a_network_without_fault_never_fails() {
    for flavor in Flavor::ALL {
        for seed in 0..50 {
            let mut pair = pair_with(flavor, LinkQuality::PERFECT, seed);
            pair.advance(Duration::from_secs(1));
            assert!(pair.clients[0].1.is_up(), "{flavor:?}");
            assert_eq!(pair.server.counters().retransmissions, 0);
        }
    }
}

/// One datagram in five is lost: nineteen logins of twenty succeed within ten seconds.
#[test]
fn a_fifth_lost_still_connects_in_time() {
    let quality = LinkQuality { jitter: Duration::from_millis(50), ..LinkQuality::TERRIBLE };
    let connected = (0..400).filter(|seed| {
        let mut pair = pair_with(Flavor::ALL[usize::try_from(*seed % 4).expect("small")], quality, *seed);
        pair.advance(Duration::from_secs(10));
        pair.up.len() == 1 && pair.clients[0].1.is_up()
    });
    let connected = connected.count();
    assert!(connected >= 380, "{connected} of 400");
}

#[test]
fn a_session_that_ends_is_reported_with_its_reason() {
    let mut pair = Pair::connected(Flavor::Linux);
    let session = pair.session();
    pair.link.quality.loss = 100;
    pair.advance(Duration::from_secs(91));
    assert_eq!(pair.ended, [(session, Reason::DeadPeer)]);
    assert_eq!(pair.tunnels_ended, [(CHANNEL, session.tunnel, Reason::DeadPeer)]);
}
