//! Writing a chain of payloads, alike in both versions (RFC 2408 section 3.2, RFC 7296 section 3.2): each generic header names
//! the payload that follows, and the IKE header the first one and the length of the whole.

use super::header::{LENGTH_AT, NEXT_PAYLOAD_AT};
use super::limits::MAX_MESSAGE;
use super::{TooLong, Writer};

/// Keeps track of the Next Payload fields. `K` is the version's registry of payload types.
#[derive(Debug)]
pub(super) struct Links<K> {
    /// The type of the first payload.
    pub(super) first: Option<K>,
    /// Offset of the Next Payload field of the last payload.
    last_next: Option<usize>,
}

/// What is around the body of a payload.
pub(super) struct Around<K> {
    /// Its type, and the number of this type.
    pub(super) kind: (K, u8),
    /// Its Next Payload field, until another payload follows.
    pub(super) next: u8,
    /// The second octet of its header: the critical bit of IKEv2.
    pub(super) flags: u8,
}

impl<K> Default for Links<K> {
    fn default() -> Self {
        Self { first: None, last_next: None }
    }
}

impl<K> Links<K> {
    /// Appends a payload, whose body `emit` writes.
    pub(super) fn push(&mut self, around: Around<K>, out: &mut Writer, emit: impl FnOnce(&mut Writer)) {
        let Around { kind: (kind, number), next, flags } = around;
        match self.last_next {
            Some(at) => out.patch_u8(at, number),
            None => self.first = Some(kind),
        }
        let start = out.len();
        self.last_next = Some(start);
        out.u8(next);
        out.u8(flags);
        out.u16(0);
        emit(out);
        out.patch_len_u16(start.saturating_add(2), start);
    }
}

/// A message with the number of its first payload and its length filled in.
pub(super) fn finish_message(mut out: Writer, first: u8) -> Result<Vec<u8>, TooLong> {
    if out.len() > MAX_MESSAGE {
        return Err(TooLong);
    }
    out.patch_u8(NEXT_PAYLOAD_AT, first);
    out.patch_len_u32(LENGTH_AT, 0);
    out.finish()
}
