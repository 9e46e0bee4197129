//! The memory: two rings, so that strangers who make up addresses cannot push out what happened to people with a name.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use super::{Entry, Record};

/// Entries kept of people who gave a name, and as many of those who did not. About 0.5 KiB each.
const CAPACITY: usize = 512;
/// Entries kept of one address or user; older ones give way first.
const CAPACITY_PER_PEER: usize = 8;
/// Lines of detail kept per entry: a message is text that a peer can lengthen.
const DETAILS_MAX: usize = 16;
/// Characters kept per line.
const LINE_MAX: usize = 400;

/// What happened lately, newest last.
#[derive(Debug, Default)]
pub struct Memory {
    named: VecDeque<Entry>,
    nameless: VecDeque<Entry>,
}

impl Memory {
    /// Remembers `record`; the same thing again to the same peer only counts up.
    pub fn record(&mut self, record: Record) {
        let record = bounded(record);
        let ring = if record.user.is_some() { &mut self.named } else { &mut self.nameless };
        let latest = ring.iter().rposition(|entry| same_peer(&entry.record, &record));
        if let Some(entry) = latest.and_then(|at| ring.get_mut(at)).filter(|entry| same_thing(&entry.record, &record)) {
            *entry = Entry { record, times: entry.times.saturating_add(1) };
            return;
        }
        let of_peer = ring.iter().filter(|entry| same_peer(&entry.record, &record)).count();
        if of_peer >= CAPACITY_PER_PEER {
            let oldest = ring.iter().position(|entry| same_peer(&entry.record, &record));
            oldest.and_then(|at| ring.remove(at));
        } else if ring.len() >= CAPACITY {
            ring.pop_front();
        }
        ring.push_back(Entry { record, times: 1 });
    }

    /// What happened to `who`, newest first, `limit` entries at most; everybody if `who` is `None`.
    ///
    /// `who` is a site, a user name or an IKE identity (capital letters make no difference), or an address with or without
    /// port.
    #[must_use]
    pub fn find(&self, who: Option<&str>, limit: Option<usize>) -> Vec<Entry> {
        self.select(|record| who.is_none_or(|who| is_about(record, who)), limit)
    }

    /// What happened to somebody who is known by several names and addresses; see [`Memory::find`].
    #[must_use]
    pub fn find_any(&self, names: &[String], limit: Option<usize>) -> Vec<Entry> {
        self.select(|record| names.iter().any(|who| is_about(record, who)), limit)
    }

    fn select(&self, wanted: impl Fn(&Record) -> bool, limit: Option<usize>) -> Vec<Entry> {
        let all = self.named.iter().chain(&self.nameless);
        let mut found: Vec<Entry> = all.filter(|entry| wanted(&entry.record)).cloned().collect();
        found.sort_by_key(|entry| std::cmp::Reverse(entry.record.when));
        found.truncate(limit.unwrap_or(usize::MAX));
        found
    }
}

fn is_about(record: &Record, who: &str) -> bool {
    if let Ok(address) = who.parse::<IpAddr>() {
        return record.peer.ip().to_canonical() == address.to_canonical();
    }
    if let Ok(address) = who.parse::<SocketAddr>() {
        return record.peer == address;
    }
    record.user.as_ref().is_some_and(|user| user.to_lowercase() == who.to_lowercase())
}

fn same_peer(a: &Record, b: &Record) -> bool {
    match (&a.user, &b.user) {
        (None, None) => a.peer.ip() == b.peer.ip(),
        (first, second) => first == second,
    }
}

fn same_thing(a: &Record, b: &Record) -> bool {
    a.peer.ip() == b.peer.ip() && a.exchange == b.exchange && a.headline == b.headline && a.details == b.details
}

fn bounded(mut record: Record) -> Record {
    record.details.truncate(DETAILS_MAX);
    record.details.iter_mut().for_each(shorten);
    record.user.as_mut().into_iter().for_each(shorten);
    shorten(&mut record.headline);
    record
}

/// Cuts a line, and replaces what could play tricks with a terminal.
fn shorten(line: &mut String) {
    if line.chars().any(char::is_control) {
        *line = line.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    }
    if let Some((at, _)) = line.char_indices().nth(LINE_MAX) {
        line.truncate(at);
        line.push_str("...");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn record(second: i64, peer: &str, user: Option<&str>, headline: &str) -> Record {
        Record {
            when: Timestamp::from_second(second).unwrap(),
            peer: peer.parse().unwrap(),
            called: false,
            user: user.map(str::to_owned),
            exchange: "IKE_AUTH".into(),
            headline: headline.into(),
            details: vec!["offered this".into()],
            fix: None,
        }
    }

    #[test]
    fn finds_by_user_address_and_port_with_the_newest_first() {
        let mut memory = Memory::default();
        memory.record(record(1, "192.0.2.1:500", None, "refused: a"));
        memory.record(record(2, "192.0.2.1:4500", Some("Alice"), "refused: b"));
        memory.record(record(3, "192.0.2.2:500", Some("bob"), "refused: c"));
        let headlines =
            |who, limit| memory.find(who, limit).into_iter().map(|e| e.record.headline).collect::<Vec<_>>().join(", ");
        assert_eq!(headlines(None, None), "refused: c, refused: b, refused: a");
        assert_eq!(headlines(None, Some(1)), "refused: c");
        assert_eq!(headlines(Some("alice"), None), "refused: b");
        assert_eq!(headlines(Some("192.0.2.1"), None), "refused: b, refused: a");
        assert_eq!(headlines(Some("::ffff:192.0.2.1"), None), "refused: b, refused: a");
        assert_eq!(headlines(Some("192.0.2.1:500"), None), "refused: a");
        assert_eq!(headlines(Some("carol"), None), "");
        let names = ["bob".to_owned(), "192.0.2.1".to_owned()];
        let found: Vec<_> = memory.find_any(&names, Some(2)).into_iter().map(|e| e.record.headline).collect();
        assert_eq!(found, ["refused: c", "refused: b"]);
    }

    #[test]
    fn counts_repetitions_instead_of_keeping_them() {
        let mut memory = Memory::default();
        for second in 0..5 {
            memory.record(record(second, "192.0.2.1:500", None, "refused: a"));
        }
        memory.record(record(5, "192.0.2.1:500", None, "refused: b"));
        memory.record(record(6, "192.0.2.1:500", None, "refused: a"));
        let found: Vec<_> = memory.find(None, None).into_iter().map(|e| (e.record.headline, e.times)).collect();
        assert_eq!(found, [("refused: a".into(), 1), ("refused: b".into(), 1), ("refused: a".into(), 5)]);
    }

    #[test]
    fn strangers_cannot_push_out_named_peers_or_grow_the_memory() {
        let mut memory = Memory::default();
        memory.record(record(0, "192.0.2.1:500", Some("alice"), "refused: a"));
        for n in 0..10_000u32 {
            let peer = format!("{}:500", std::net::Ipv4Addr::from(n));
            memory.record(record(i64::from(n), &peer, None, "refused: x"));
        }
        assert_eq!(memory.find(Some("alice"), None).len(), 1);
        assert_eq!(memory.find(None, None).len(), CAPACITY + 1);
    }

    #[test]
    fn one_peer_has_a_few_entries_only() {
        let mut memory = Memory::default();
        memory.record(record(0, "192.0.2.9:500", None, "refused: other"));
        for n in 0..100 {
            memory.record(record(n, "192.0.2.1:500", None, &format!("refused: {n}")));
        }
        assert_eq!(memory.find(Some("192.0.2.1"), None).len(), CAPACITY_PER_PEER);
        assert_eq!(memory.find(Some("192.0.2.9"), None).len(), 1);
    }

    #[test]
    fn text_of_a_peer_is_cut_and_cannot_control_a_terminal() {
        let mut memory = Memory::default();
        memory.record(Record {
            details: vec!["x".repeat(1000); 100],
            ..record(0, "192.0.2.1:500", Some("ev\u{1b}[2Jil"), "refused")
        });
        let entry = memory.find(None, None).remove(0);
        assert_eq!(entry.record.user.as_deref(), Some("ev?[2Jil"));
        assert_eq!(entry.record.details.len(), DETAILS_MAX);
        assert!(entry.record.details.iter().all(|line| line.chars().count() == LINE_MAX + 3));
    }
}
