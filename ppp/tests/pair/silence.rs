use std::sync::Arc;
use std::time::Duration;

use cygnet_ppp::testing::{LineQuality, Pair, Profile, epoch};
use cygnet_ppp::{CloseReason, Event, Family, Link, LinkConfig, Seed};
use proptest::prelude::*;

#[test]
fn a_client_that_vanishes_is_noticed_after_four_echoes() {
    let mut pair = Pair::new(LinkConfig::new("gateway", 1400), Profile::windows(), LineQuality::PERFECT, 3);
    pair.run_for(Duration::from_secs(1));
    assert!(pair.is_up(Family::V4));
    let last = pair.now;
    while let Some(due) = pair.link.poll_timeout() {
        pair.now = due;
        pair.link.handle_timeout(due);
    }
    let events: Vec<Event> = std::iter::from_fn(|| pair.link.poll_event()).collect();
    assert!(
        matches!(events.last(), Some(Event::Down { reason: CloseReason::PeerDead { lost_echoes: 4 } })),
        "{events:?}"
    );
    let waited = pair.now - last;
    assert!((Duration::from_secs(148)..Duration::from_secs(154)).contains(&waited), "{waited:?}");
}

#[test]
fn a_client_that_answers_echoes_stays() {
    let mut pair = Pair::new(LinkConfig::new("gateway", 1400), Profile::macos(), LineQuality::PERFECT, 4);
    pair.run_for(Duration::from_secs(3600));
    assert!(pair.is_up(Family::V4));
    assert!(pair.sent.len() < 200, "{} frames in an hour", pair.sent.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// No amplification: one frame, whatever it is, leads to a handful at most, and not to more octets than an MRU each.
    #[test]
    fn one_frame_leads_to_few(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 1..50)) {
        let mut link = Link::new(Arc::new(LinkConfig::new("gateway", 1400)), Seed::new([5; 32]), epoch());
        while link.poll_transmit().is_some() {}
        for frame in frames {
            let frame = [&[0xff, 0x03, 0xc0, 0x21][..], &frame].concat();
            link.handle_frame(epoch(), &frame);
            let answers: Vec<usize> = std::iter::from_fn(|| link.poll_transmit()).map(|answer| answer.len()).collect();
            prop_assert!(answers.len() <= 3, "{answers:?}");
            prop_assert!(answers.iter().all(|len| *len <= 1504));
        }
    }
}
