//! The vendors' fragments, cut and put together.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::wire::header::HEADER_LEN;
use crate::wire::num::ExchangeType;
use crate::wire::v1::{Flags, Fragment, Header, MessageBuilder, Payload, Payloads};

/// Header, generic payload header and the fragment's own fields, in bytes.
const OVERHEAD: usize = HEADER_LEN + 8;

/// Fragments of a message, none longer than `size` bytes.
///
/// # Panics
/// If `size` leaves no room for data, or 255 fragments are not enough.
#[must_use]
pub fn cut(message: &[u8], size: usize, id: u16, flagged: bool) -> Vec<Bytes> {
    let header = Header::parse(message).expect("our own message");
    let flags = Flags { encryption: flagged, ..Flags::NONE };
    // Windows keeps the exchange type of what it cuts; the message ID is that of phase 1.
    let header = Header { exchange: ExchangeType::IDENTITY_PROTECTION, flags, message_id: 0, ..header };
    let pieces: Vec<&[u8]> = message.chunks(size.checked_sub(OVERHEAD).expect("room for data")).collect();
    let last = pieces.len();
    let piece = |(index, data): (usize, &[u8])| {
        let number = u8::try_from(index + 1).expect("few fragments");
        let mut builder = MessageBuilder::new(&header);
        builder.push(&Payload::Fragment(Fragment { id, number, is_last: index + 1 == last, data }));
        Bytes::from(builder.finish().expect("short"))
    };
    pieces.into_iter().enumerate().map(piece).collect()
}

/// Fragments that wait for others.
#[derive(Default)]
pub(super) struct Pieces {
    id: u16,
    last: Option<u8>,
    pieces: BTreeMap<u8, Vec<u8>>,
}

impl Pieces {
    /// Takes a message with a fragment; gives back the whole once it is there.
    pub(super) fn take(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let header = Header::parse(message).ok()?;
        let payloads = Payloads::parse(header.next_payload, message.get(HEADER_LEN..)?).ok()?;
        let Some(Payload::Fragment(fragment)) = payloads.iter().next() else { return None };
        if fragment.id != self.id {
            *self = Self { id: fragment.id, ..Self::default() };
        }
        if fragment.is_last {
            self.last = Some(fragment.number);
        }
        self.pieces.insert(fragment.number, fragment.data.to_vec());
        let last = self.last?;
        let complete = (1..=last).all(|number| self.pieces.contains_key(&number));
        complete.then(|| std::mem::take(self).pieces.into_values().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::IkeSpi;
    use crate::wire::v1::VendorId;

    #[test]
    fn puts_together_what_it_cut_in_any_order() {
        let header = Header {
            initiator_cookie: IkeSpi([1; 8]),
            responder_cookie: Some(IkeSpi([2; 8])),
            next_payload: None,
            minor_version: 0,
            exchange: ExchangeType::IDENTITY_PROTECTION,
            flags: Flags::NONE,
            message_id: 0,
        };
        let mut builder = MessageBuilder::new(&header);
        builder.push(&Payload::VendorId(VendorId(&[7; 500])));
        let message = builder.finish().expect("short");
        let mut fragments = cut(&message, 100, 3, true);
        assert!(fragments.len() > 5 && fragments.iter().all(|fragment| fragment.len() <= 100));
        fragments.reverse();
        let mut pieces = Pieces::default();
        let whole: Vec<_> = fragments.iter().filter_map(|fragment| pieces.take(fragment)).collect();
        assert_eq!(whole, [message]);
    }
}
