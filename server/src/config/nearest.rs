//! "Did you mean": the known word nearest to a mistyped one.

/// The candidate nearest to `word`, if it is near enough to be meant: at most a third of its letters differ.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word.to_lowercase(), candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What the keys of a tunnel are called in the configurations of others.
const ALIASES: [(&str, &str); 30] = [
    ("auto", "start"),
    ("dpd_delay", "liveness"),
    ("dpddelay", "liveness"),
    ("encap", "force_udp_encap"),
    ("esp_proposals", "esp"),
    ("forceencaps", "force_udp_encap"),
    ("ike_proposals", "ike"),
    ("ikelifetime", "ike_lifetime"),
    ("left", "local_address"),
    ("leftcert", "cert"),
    ("leftid", "id"),
    ("leftsubnet", "local"),
    ("life_time", "child_lifetime"),
    ("lifetime", "child_lifetime"),
    ("life_bytes", "rekey_bytes"),
    ("local_addrs", "local_address"),
    ("local_id", "id"),
    ("local_ts", "local"),
    ("phase2alg", "esp"),
    ("proposals", "ike"),
    ("reauth_time", "reauth"),
    ("rekey_time", "child_lifetime"),
    ("remote_addrs", "peer"),
    ("remote_id", "peer_id"),
    ("remote_ts", "remote"),
    ("right", "peer"),
    ("rightid", "peer_id"),
    ("rightsubnet", "remote"),
    ("salifetime", "child_lifetime"),
    ("start_action", "start"),
];

/// The key that is probably meant by `word`: what others call so, or the nearest one.
pub(super) fn meant<'a>(word: &str, keys: &[&'a str]) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let alias = ALIASES.iter().find(|(theirs, _)| *theirs == lower).map(|(_, ours)| *ours);
    let ours = alias.and_then(|ours| keys.iter().copied().find(|key| *key == ours));
    ours.or_else(|| nearest(word, keys.iter().copied()))
}

/// Edits that turn `a` into `b`: insert, remove, replace, swap neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swapped { best.min(rows[i - 2][j - 2] + 1) } else { best }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 4] = ["dns", "dns_domains", "pool", "policy"];

    #[test]
    fn finds_what_was_meant() {
        assert_eq!(nearest("dsn", WORDS), Some("dns"));
        assert_eq!(nearest("pools", WORDS), Some("pool"));
        assert_eq!(nearest("dns_domian", WORDS), Some("dns_domains"));
        assert_eq!(nearest("POLICY", WORDS), Some("policy"));
    }

    #[test]
    fn knows_what_others_call_it() {
        let keys = crate::config::keys::SITE.keys;
        for (_, ours) in ALIASES {
            assert!(keys.contains(&ours), "{ours}");
        }
        assert_eq!(meant("local_ts", keys), Some("local"));
        assert_eq!(meant("leftSubnet", keys), Some("local"));
        assert_eq!(meant("encap", &WORDS), None, "there is no such key in that table");
        assert_eq!(meant("pools", &WORDS), Some("pool"));
    }

    #[test]
    fn says_nothing_when_nothing_is_near() {
        assert_eq!(nearest("banana", WORDS), None);
        assert_eq!(nearest("", ["pool"]), None);
    }

    #[test]
    fn counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
