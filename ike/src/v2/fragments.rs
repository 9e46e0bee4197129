//! Reassembly of fragmented messages, RFC 7383 section 2.6. Only authentic fragments get here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::wire::header::Header;
use crate::wire::limits::MAX_MESSAGE;
use crate::wire::num::PayloadType;
use crate::wire::v2::Fragment;

/// Longest IKE message that is sent in one piece to a peer that takes fragments, in bytes: what fits into an IPv6 packet
/// of 1280 bytes with UDP header and non-ESP marker, with some room for tunnels on the way.
pub(crate) const FRAGMENT_LEN: usize = 1180;

/// The missing fragments of a message have this long to arrive.
const LIFETIME: Duration = Duration::from_secs(15);

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

    /// Adds a fragment. One that is there already, or of another cut, is ignored.
    pub(crate) fn with(
        mut self,
        fragment: Fragment,
        first: Option<PayloadType>,
        part: Vec<u8>,
        digest: Vec<u8>,
    ) -> Self {
        let length: usize = self.parts.values().map(Vec::len).sum();
        if fragment.total != self.total || length.saturating_add(part.len()) > MAX_MESSAGE {
            return self;
        }
        if fragment.number == 1 && !self.parts.contains_key(&1) {
            (self.first, self.digest) = (first, digest);
        }
        self.parts.entry(fragment.number).or_insert(part);
        self
    }

    /// The type of the first payload, the chain of payloads, and the digest of fragment 1, if nothing is missing.
    pub(crate) fn complete(self) -> Result<(Option<PayloadType>, Vec<u8>, Vec<u8>), Self> {
        if self.parts.len() < usize::from(self.total) {
            return Err(self);
        }
        Ok((self.first, self.parts.into_values().flatten().collect(), self.digest))
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
