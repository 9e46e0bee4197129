//! Messages in pieces: payload 132 of IKEv1, which Cisco, Microsoft and racoon use and no RFC describes.
//!
//! A fragment says nothing about who sent it, so only an exchange that has got as far as an answer collects any, and what
//! all of them hold together is bounded.
//!
//! What we send is cut only if the client has announced that it can put it together, and only if it is long, which means
//! certificates: Windows accepts fragments nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::wire::limits::MAX_V1_FRAGMENTS;
use crate::wire::v1::{Flags, Fragment, Header, MessageBuilder, Payload};

use super::keys::Cookies;

/// Most bytes of one message.
const MAX_MESSAGE: usize = 16 << 10;

/// Most bytes of all messages that are incomplete.
const MAX_BYTES: usize = 4 << 20;

/// Longest message that is sent in one piece: it fits into 1280 bytes with IP, UDP and the non-ESP marker.
const MAX_WHOLE: usize = 1228;

/// Bytes in a fragment of ours.
const FRAGMENT_LEN: usize = 1192;

/// What identifies the fragments of one message of ours: there is one that is long in each ISAKMP SA.
const OWN_ID: u16 = 1;

/// How long the last fragment may take.
const LIFETIME: Duration = Duration::from_secs(10);

/// All incomplete messages, one for each pair of cookies.
#[derive(Default)]
pub(crate) struct Reassembly {
    messages: BTreeMap<Cookies, Pieces>,
    /// In the order in which they began.
    order: BTreeSet<(Instant, Cookies)>,
    bytes: usize,
}

struct Pieces {
    /// Which message; clients count these from 1.
    id: u16,
    since: Instant,
    /// By number, 1 and up.
    parts: BTreeMap<u8, Vec<u8>>,
    /// The number of the last one, once that has come.
    last: Option<u8>,
}

/// One fragment.
pub(crate) struct Part<'a> {
    pub(crate) id: u16,
    /// 1 and up.
    pub(crate) number: u8,
    pub(crate) is_last: bool,
    pub(crate) data: &'a [u8],
}

impl Pieces {
    fn len(&self) -> usize {
        self.parts.values().map(Vec::len).sum()
    }

    /// The whole message, if nothing is missing.
    fn complete(&self) -> Option<Vec<u8>> {
        let last = self.last?;
        (usize::from(last) == self.parts.len()).then(|| self.parts.values().flatten().copied().collect())
    }
}

/// Cuts a message of ours into fragments if it is long. Each has the header of the message without its flags.
pub(crate) fn split(message: &Bytes) -> Vec<Bytes> {
    let header = Header::parse(message).ok().filter(|_| message.len() > MAX_WHOLE);
    let Some(header) = header else { return vec![message.clone()] };
    let parts: Vec<&[u8]> = message.chunks(FRAGMENT_LEN).collect();
    let last = parts.len();
    if last > usize::from(MAX_V1_FRAGMENTS) {
        return vec![message.clone()];
    }
    let cut = |(number, data): (u8, &&[u8])| {
        let is_last = usize::from(number) == last;
        let mut fragment = MessageBuilder::new(&Header { flags: Flags::NONE, ..header });
        fragment.push(&Payload::Fragment(Fragment { id: OWN_ID, number, is_last, data }));
        Bytes::from(fragment.finish().expect("fragments are short"))
    };
    (1..).zip(&parts).map(cut).collect()
}

impl Reassembly {
    /// Takes a fragment, and gives back the message if it was the last one missing.
    pub(crate) fn push(&mut self, now: Instant, cookies: Cookies, part: &Part<'_>) -> Option<Vec<u8>> {
        self.expire(now);
        let is_possible = (1..=MAX_V1_FRAGMENTS).contains(&part.number) && !part.data.is_empty();
        if !is_possible || self.bytes.saturating_add(part.data.len()) > MAX_BYTES {
            return None;
        }
        if self.messages.get(&cookies).is_some_and(|pieces| pieces.id != part.id) {
            self.forget(cookies);
        }
        let order = &mut self.order;
        let pieces = self.messages.entry(cookies).or_insert_with(|| {
            order.insert((now, cookies));
            Pieces { id: part.id, since: now, parts: BTreeMap::new(), last: None }
        });
        let beyond = pieces.last.is_some_and(|last| part.number > last)
            || (part.is_last && pieces.parts.keys().next_back().is_some_and(|highest| *highest > part.number));
        if beyond || pieces.parts.contains_key(&part.number) || pieces.len() + part.data.len() > MAX_MESSAGE {
            return None;
        }
        pieces.parts.insert(part.number, part.data.to_vec());
        if part.is_last {
            pieces.last = Some(part.number);
        }
        let whole = pieces.complete();
        self.bytes += part.data.len();
        if whole.is_some() {
            self.forget(cookies);
        }
        whole
    }

    /// Drops what was collected for these cookies.
    pub(crate) fn forget(&mut self, cookies: Cookies) {
        if let Some(pieces) = self.messages.remove(&cookies) {
            self.order.remove(&(pieces.since, cookies));
            self.bytes = self.bytes.saturating_sub(pieces.len());
        }
    }

    /// Drops what has waited too long.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some((since, cookies)) = self.order.first().copied() {
            if since + LIFETIME > now {
                break;
            }
            self.forget(cookies);
        }
    }

    /// When [`Reassembly::expire`] is due.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        self.order.first().map(|(since, _)| *since + LIFETIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::IkeSpi;

    const COOKIES: Cookies = Cookies { initiator: IkeSpi([1; 8]), responder: IkeSpi([2; 8]) };
    const OTHER: Cookies = Cookies { initiator: IkeSpi([3; 8]), responder: IkeSpi([4; 8]) };

    fn part(number: u8, is_last: bool, data: &[u8]) -> Part<'_> {
        Part { id: 1, number, is_last, data }
    }

    #[test]
    fn any_order_and_any_repetition_gives_the_message_once() {
        let now = crate::testing::epoch();
        for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
            let mut reassembly = Reassembly::default();
            let mut whole = Vec::new();
            for number in order {
                for _ in 0..2 {
                    whole.extend(reassembly.push(now, COOKIES, &part(number, number == 3, &[number; 4])));
                }
            }
            assert_eq!(whole, [[1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3].to_vec()]);
        }
    }

    #[test]
    fn a_single_fragment_is_a_message() {
        let mut reassembly = Reassembly::default();
        let now = crate::testing::epoch();
        assert_eq!(reassembly.push(now, COOKIES, &part(1, true, b"all")).as_deref(), Some(&b"all"[..]));
        assert_eq!((reassembly.bytes, reassembly.timeout()), (0, None));
    }

    #[test]
    fn what_we_cut_can_be_put_together() {
        let header =
            super::super::phase1::plain_header(COOKIES, crate::wire::header::ExchangeType::IDENTITY_PROTECTION);
        let message: Bytes = header.message(&[7; 5000]).expect("short").into();
        let fragments = split(&message);
        assert!(fragments.len() == 5 && fragments.iter().all(|fragment| fragment.len() <= MAX_WHOLE));
        let mut reassembly = Reassembly::default();
        let mut whole = None;
        for bytes in &fragments {
            let header = Header::parse(bytes).expect("a message");
            let payloads = super::super::main_mode::plain_payloads(&header, bytes).expect("payloads");
            let Some(Payload::Fragment(Fragment { id, number, is_last, data })) = payloads.iter().next() else {
                panic!("a fragment");
            };
            let part = Part { id: *id, number: *number, is_last: *is_last, data };
            whole = whole.or(reassembly.push(crate::testing::epoch(), COOKIES, &part));
        }
        assert_eq!(whole.as_deref(), Some(&message[..]));
        let short: Bytes = header.message(&[7; 100]).expect("short").into();
        assert_eq!(split(&short), [short]);
    }

    #[test]
    fn what_cannot_be_is_not_kept() {
        let mut reassembly = Reassembly::default();
        let now = crate::testing::epoch();
        for bad in [part(0, false, b"x"), part(17, false, b"x"), part(1, false, b"")] {
            assert_eq!(reassembly.push(now, COOKIES, &bad), None);
        }
        assert!(reassembly.push(now, COOKIES, &part(2, true, b"b")).is_none());
        assert!(reassembly.push(now, COOKIES, &part(3, false, b"c")).is_none(), "behind the last");
        assert_eq!(reassembly.push(now, COOKIES, &part(1, false, b"a")).as_deref(), Some(&b"ab"[..]));
    }

    #[test]
    fn the_parts_of_two_clients_do_not_mix_and_a_new_message_replaces_the_old() {
        let mut reassembly = Reassembly::default();
        let now = crate::testing::epoch();
        assert!(reassembly.push(now, COOKIES, &part(1, false, b"a")).is_none());
        assert!(reassembly.push(now, OTHER, &part(2, true, b"z")).is_none());
        let newer = Part { id: 2, ..part(2, true, b"y") };
        assert!(reassembly.push(now, COOKIES, &newer).is_none(), "part 1 was of the message before");
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let mut reassembly = Reassembly::default();
        let now = crate::testing::epoch();
        let data = vec![0; 8 << 10];
        for number in 0..2000_u64 {
            let cookies = Cookies { initiator: IkeSpi(number.to_be_bytes()), responder: IkeSpi([9; 8]) };
            for fragment in 1..=3 {
                assert!(reassembly.push(now, cookies, &part(fragment, false, &data)).is_none());
            }
        }
        assert!(reassembly.bytes <= MAX_BYTES);
        reassembly.expire(now + LIFETIME);
        assert_eq!((reassembly.bytes, reassembly.messages.len(), reassembly.order.len()), (0, 0, 0));
    }
}
