//! Reassembly of fragmented messages, RFC 7383 section 2.6. Only authentic fragments get here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::event::SessionId;
use crate::wire::header::Header;
use crate::wire::num::PayloadType;
use crate::wire::v2::Fragment;

/// Longest IKE message that is sent in one piece to a peer that takes fragments, in bytes: what fits into an IPv6 packet
/// of 1280 bytes with UDP header and non-ESP marker, with some room for tunnels on the way.
pub(crate) const FRAGMENT_LEN: usize = 1180;

/// The missing fragments of a message have this long to arrive.
const LIFETIME: Duration = Duration::from_secs(15);

/// Most that is taken of a message whose sender has not proven yet who it is, in bytes: chains of certificates are shorter.
pub(crate) const MAX_UNPROVEN: usize = 32 * 1024;

/// Peers that have not proven who they are get no more room once so much is kept, in bytes.
const MAX_KEPT: usize = 16 * 1024 * 1024;

/// What is kept of incomplete messages, in bytes. Those who have proven who they are count, but always get room.
#[derive(Default)]
pub(crate) struct Kept {
    sessions: BTreeMap<SessionId, usize>,
    total: usize,
}

impl Kept {
    /// A session keeps so much now.
    pub(crate) fn note(&mut self, session: SessionId, bytes: usize) {
        let before = if bytes > 0 { self.sessions.insert(session, bytes) } else { self.sessions.remove(&session) };
        self.total = self.total.saturating_sub(before.unwrap_or_default()).saturating_add(bytes);
    }

    /// How much this session may keep before its peer has proven who it is.
    pub(crate) fn room(&self, session: SessionId) -> usize {
        let own = self.sessions.get(&session).copied().unwrap_or_default();
        own.saturating_add(MAX_KEPT.saturating_sub(self.total)).min(MAX_UNPROVEN)
    }
}

/// A message whose fragments are all there.
pub(crate) struct Complete {
    /// Type of the first payload.
    pub(crate) first: Option<PayloadType>,
    /// The payloads.
    pub(crate) chain: Vec<u8>,
    /// Digest of fragment 1.
    pub(crate) digest: Vec<u8>,
}

/// The fragments of one message that have come so far.
pub(crate) struct Reassembly {
    message_id: u32,
    response: bool,
    total: u16,
    first: Option<PayloadType>,
    /// Digest of fragment 1 as it was received.
    digest: Vec<u8>,
    parts: BTreeMap<u16, Vec<u8>>,
    expires: Instant,
}

impl Reassembly {
    /// Goes on with `current` if the fragment belongs to it, otherwise begins anew. A fragment of a message that was cut
    /// into more pieces replaces what was there (the peer has lowered its estimate of the MTU); one of fewer is stale.
    pub(crate) fn continued(current: Option<Self>, now: Instant, header: &Header, fragment: Fragment) -> Self {
        let fresh = || Self {
            message_id: header.message_id,
            response: header.flags.response,
            total: fragment.total,
            first: None,
            digest: Vec::new(),
            parts: BTreeMap::new(),
            expires: now + LIFETIME,
        };
        match current {
            Some(current) if current.is_of(header) && current.total >= fragment.total && current.expires > now => {
                current
            }
            _ => fresh(),
        }
    }

    /// Whether this is a part of the message with this header.
    pub(crate) fn is_of(&self, header: &Header) -> bool {
        (self.message_id, self.response) == (header.message_id, header.flags.response)
    }

    /// Adds a fragment, if there is `room` for so many bytes in all. One that is there already, or of another cut, is ignored.
    pub(crate) fn with(
        mut self,
        fragment: Fragment,
        first: Option<PayloadType>,
        part: Vec<u8>,
        digest: Vec<u8>,
        room: usize,
    ) -> Self {
        if fragment.total != self.total || self.kept().saturating_add(part.len()) > room {
            return self;
        }
        if fragment.number == 1 && !self.parts.contains_key(&1) {
            (self.first, self.digest) = (first, digest);
        }
        self.parts.entry(fragment.number).or_insert(part);
        self
    }

    /// The message, if nothing is missing.
    pub(crate) fn complete(self) -> Result<Complete, Self> {
        if self.parts.len() < usize::from(self.total) {
            return Err(self);
        }
        Ok(Complete { first: self.first, chain: self.parts.into_values().flatten().collect(), digest: self.digest })
    }

    /// How many bytes are there.
    pub(crate) fn kept(&self) -> usize {
        self.parts.values().map(Vec::len).sum()
    }

    /// When the fragments are given up.
    pub(crate) fn expires(&self) -> Instant {
        self.expires
    }

    /// Which fragments are there.
    pub(crate) fn parts(&self) -> Vec<u16> {
        self.parts.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::IkeSpi;
    use crate::wire::header::{Flags, Version};
    use crate::wire::num::ExchangeType;

    fn header(message_id: u32) -> Header {
        Header {
            initiator_spi: IkeSpi([1; 8]),
            responder_spi: Some(IkeSpi([2; 8])),
            next_payload: None,
            version: Version::V2,
            exchange: ExchangeType::IKE_AUTH,
            flags: Flags { initiator: true, version: false, response: false },
            message_id,
        }
    }

    fn fragment(number: u16, total: u16) -> Fragment {
        Fragment::new(number, total).expect("in range")
    }

    /// Feeds fragments, each with its own number as contents; the message if it got complete.
    fn feed(fragments: &[(u32, u16, u16)]) -> Option<Vec<u8>> {
        let mut state = None;
        for (id, number, total) in fragments {
            let fragment = fragment(*number, *total);
            let reassembly = Reassembly::continued(state.take(), crate::testing::epoch(), &header(*id), fragment);
            let byte = u8::try_from(*number).expect("small");
            match reassembly.with(fragment, Some(PayloadType::IDI), vec![byte], vec![byte], 99).complete() {
                Ok(complete) => {
                    assert_eq!((complete.first, complete.digest), (Some(PayloadType::IDI), vec![1]));
                    return Some(complete.chain);
                }
                Err(incomplete) => state = Some(incomplete),
            }
        }
        None
    }

    #[test]
    fn puts_fragments_in_order_however_they_come() {
        assert_eq!(feed(&[(1, 3, 3), (1, 1, 3), (1, 2, 3)]), Some(vec![1, 2, 3]));
        assert_eq!(feed(&[(1, 2, 2), (1, 2, 2), (1, 2, 2)]), None);
        assert_eq!(feed(&[(1, 1, 1)]), Some(vec![1]));
        let many: Vec<_> = (1..=32).rev().map(|number| (1, number, 32)).collect();
        assert_eq!(feed(&many), Some((1..=32).collect()));
    }

    #[test]
    fn a_finer_cut_replaces_what_was_there_and_a_coarser_one_is_stale() {
        assert_eq!(feed(&[(1, 1, 2), (1, 1, 3), (1, 2, 3), (1, 3, 3)]), Some(vec![1, 2, 3]));
        assert_eq!(feed(&[(1, 1, 3), (1, 1, 2), (1, 2, 2)]), None);
        assert_eq!(feed(&[(1, 1, 3), (1, 2, 2), (1, 2, 3), (1, 3, 3)]), Some(vec![1, 2, 3]));
    }

    #[test]
    fn fragments_of_different_messages_do_not_mix() {
        assert_eq!(feed(&[(1, 1, 2), (2, 2, 2)]), None);
        assert_eq!(feed(&[(1, 1, 2), (2, 2, 2), (2, 1, 2)]), Some(vec![1, 2]));
    }

    #[test]
    fn who_is_unproven_gets_no_room_beyond_its_own_and_that_of_all() {
        let mut kept = Kept::default();
        assert_eq!(kept.room(SessionId(1)), MAX_UNPROVEN);
        let full = MAX_KEPT / MAX_UNPROVEN;
        for id in 1..=full as u64 {
            kept.note(SessionId(id), MAX_UNPROVEN);
        }
        assert_eq!((kept.room(SessionId(1)), kept.room(SessionId(0))), (MAX_UNPROVEN, 0));
        kept.note(SessionId(2), 1000);
        assert_eq!(kept.room(SessionId(0)), MAX_UNPROVEN - 1000);
        for id in 1..=full as u64 {
            kept.note(SessionId(id), 0);
        }
        assert_eq!((kept.total, kept.sessions.len()), (0, 0));
    }

    #[test]
    fn late_fragments_do_not_complete_an_old_message() {
        let now = crate::testing::epoch();
        let first = Reassembly::continued(None, now, &header(1), fragment(1, 2));
        let first = first.with(fragment(1, 2), None, vec![1], Vec::new(), 99);
        let late = Reassembly::continued(Some(first), now + LIFETIME, &header(1), fragment(2, 2));
        assert_eq!(late.parts(), Vec::<u16>::new());
    }
}
