//! First messages that were answered, RFC 2409 section 5: all that strangers can make us keep.
//!
//! IKEv1 has no cookies in the sense of IKEv2, so a first message costs memory. It is bounded in number and in bytes; the
//! oldest entry makes room. Nothing is computed before the third message comes from the same address.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::wire::IkeSpi;

use super::keys::{Cookies, Suite};
use super::vendor_ids::Announced;

/// Most entries.
const MAX_ENTRIES: usize = 16_384;

/// Most bytes of all entries. The usual one is half a KiB; one of strongSwan's with its hundred transforms has four.
const MAX_BYTES: usize = 24 << 20;

/// How long the third message may take.
pub(crate) const LIFETIME: Duration = Duration::from_secs(10);

/// How late an entry may be removed: one timer for all of a second.
const SLACK: Duration = Duration::from_secs(1);

/// What the first two messages of main mode leave behind.
pub(crate) struct First {
    pub(crate) cookies: Cookies,
    /// Where the first message came from.
    pub(crate) peer: SocketAddr,
    pub(crate) since: Instant,
    /// The digest of the first message.
    pub(crate) digest: Vec<u8>,
    /// The second message.
    pub(crate) answer: Bytes,
    pub(crate) suite: Suite,
    /// The lifetime that the client asked for.
    pub(crate) lifetime: Duration,
    /// The body of the initiator's SA payload, `SAi_b`.
    pub(crate) sa: Vec<u8>,
    pub(crate) announced: Announced,
}

impl First {
    fn len(&self) -> usize {
        size_of::<Self>() + self.digest.len() + self.answer.len() + self.sa.len()
    }
}

/// All first messages that wait for the third.
#[derive(Default)]
pub(crate) struct Ring {
    entries: BTreeMap<Cookies, First>,
    /// In the order in which they came; some may be gone.
    order: VecDeque<(Instant, Cookies)>,
    /// What finds the entry of a first message that is sent again.
    senders: BTreeMap<(IkeSpi, SocketAddr), Cookies>,
    bytes: usize,
}

impl Ring {
    /// The entry of a first message that was answered before.
    pub(crate) fn of_sender(&self, initiator: IkeSpi, peer: SocketAddr) -> Option<&First> {
        self.entries.get(self.senders.get(&(initiator, peer))?)
    }

    /// The entry with these cookies.
    pub(crate) fn of(&self, cookies: Cookies) -> Option<&First> {
        self.entries.get(&cookies)
    }

    /// Adds an entry, at the cost of the oldest if there is no room.
    pub(crate) fn insert(&mut self, first: First) {
        self.bytes += first.len();
        self.order.push_back((first.since, first.cookies));
        self.senders.insert((first.cookies.initiator, first.peer), first.cookies);
        self.entries.insert(first.cookies, first);
        while self.entries.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            let Some((_, oldest)) = self.order.pop_front() else { break };
            self.take(oldest);
        }
    }

    /// Takes out the entry with these cookies: its third message has come, or it is too old.
    pub(crate) fn take(&mut self, cookies: Cookies) -> Option<First> {
        let first = self.entries.remove(&cookies)?;
        self.bytes = self.bytes.saturating_sub(first.len());
        self.senders.remove(&(cookies.initiator, first.peer));
        Some(first)
    }

    /// Removes what is too old, and says how many of these had got no third message.
    pub(crate) fn expire(&mut self, now: Instant) -> u64 {
        let mut expired = 0;
        while let Some((since, cookies)) = self.order.front().copied() {
            if since + LIFETIME > now {
                break;
            }
            self.order.pop_front();
            expired += u64::from(self.take(cookies).is_some());
        }
        expired
    }

    /// When [`Ring::expire`] is due.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        self.order.front().map(|(since, _)| *since + LIFETIME + SLACK)
    }

    /// Number of entries.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Names of all entries, for tests.
    pub(crate) fn cookies(&self) -> impl Iterator<Item = &Cookies> {
        self.entries.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::dh::Group;
    use crate::crypto::hash::Hash;
    use crate::crypto::suite::{AesBits, Encr};
    use crate::wire::v1::num::IsakmpAuth;

    fn first(number: u64, since: Instant, sa: usize) -> First {
        let cookies = Cookies { initiator: IkeSpi(number.to_be_bytes()), responder: IkeSpi((!number).to_be_bytes()) };
        let suite = Suite {
            encr: Encr::AesCbc { bits: AesBits::B256 },
            hash: Hash::Sha1,
            group: Group::Ecp384,
            auth: IsakmpAuth::PRE_SHARED_KEY,
        };
        First {
            cookies,
            peer: "198.51.100.9:500".parse().expect("an address"),
            since,
            digest: vec![0; 32],
            answer: Bytes::from_static(&[0; 100]),
            suite,
            lifetime: Duration::from_secs(28_800),
            sa: vec![0; sa],
            announced: Announced::default(),
        }
    }

    #[test]
    fn the_oldest_makes_room() {
        let (mut ring, now) = (Ring::default(), crate::testing::epoch());
        for number in 1..=16_385 {
            ring.insert(first(number, now, 100));
        }
        assert_eq!(ring.len(), MAX_ENTRIES);
        assert!(ring.of(first(1, now, 0).cookies).is_none());
        assert!(ring.of(first(2, now, 0).cookies).is_some());
    }

    #[test]
    fn long_messages_are_bounded_by_their_bytes() {
        let (mut ring, now) = (Ring::default(), crate::testing::epoch());
        for number in 1..=1000 {
            ring.insert(first(number, now, 60_000));
        }
        assert!(ring.bytes <= MAX_BYTES && ring.len() < 500, "{} entries", ring.len());
    }

    #[test]
    fn nothing_is_left_when_the_time_is_over() {
        let (mut ring, now) = (Ring::default(), crate::testing::epoch());
        ring.insert(first(1, now, 100));
        ring.insert(first(2, now, 100));
        assert!(ring.take(first(1, now, 0).cookies).is_some());
        assert_eq!(ring.expire(now + LIFETIME - Duration::from_millis(1)), 0);
        assert_eq!(ring.expire(now + LIFETIME), 1, "the one that went on does not count");
        assert_eq!((ring.len(), ring.bytes, ring.senders.len(), ring.timeout()), (0, 0, 0, None));
    }
}
