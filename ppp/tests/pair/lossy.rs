use std::time::Duration;

use cygnet_ppp::testing::{LineQuality, Pair, Profile};
use cygnet_ppp::{Family, LinkConfig};
use proptest::prelude::*;

/// A fifth is lost and a tenth comes twice.
const TERRIBLE: LineQuality = LineQuality { loss: 20, duplicates: 10, delay: Duration::from_millis(20) };

/// Every loss costs a client 3 s, its restart timer (RFC 1661 section 4.6), and it has six round trips to make.
#[test]
fn nearly_all_logins_over_a_terrible_line_succeed() {
    let profiles = Profile::all();
    let (mut soon, mut late) = (0, 0);
    for seed in 0..200 {
        let profile = profiles[usize::from(seed) % profiles.len()].clone();
        let mut pair = Pair::new(LinkConfig::new("gateway", 1400), profile, TERRIBLE, seed);
        pair.run_for(Duration::from_secs(15));
        soon += u32::from(pair.is_up(Family::V4));
        pair.run_for(Duration::from_secs(15));
        late += u32::from(pair.is_up(Family::V4));
    }
    assert!(soon >= 160 && late >= 190, "{soon} within 15 s, {late} within 30 s, of 200");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the line does, both ends agree on what is up, or the link ends; and it is never left half-open.
    #[test]
    fn ends_agree_or_part(loss in 0..60_u8, duplicates in 0..40_u8, delay in 1..400_u64, seed: u8, which in 0..4_usize) {
        let quality = LineQuality { loss, duplicates, delay: Duration::from_millis(delay) };
        let profile = Profile::all().swap_remove(which);
        let mut pair = Pair::new(LinkConfig::new("gateway", 1400), profile, quality, seed);
        pair.run_for(Duration::from_secs(60));
        let info = pair.link.info();
        prop_assert!(info.ipv4 || info.ipv6 || pair.down.is_some() || pair.link.poll_timeout().is_some());
        if info.ipv4 && let Some(address) = pair.peer.ipv4() {
            prop_assert_eq!(Some(address), Pair::dual_stack().ipv4);
        }
        prop_assert!(pair.users.len() <= 1);
        prop_assert!(pair.sent.len() < 300, "{} frames in a minute", pair.sent.len());
    }
}
