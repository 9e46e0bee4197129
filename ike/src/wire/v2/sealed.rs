//! The Encrypted payload SK, RFC 7296 section 3.14, and the Encrypted Fragment payload SKF, RFC 7383 section 2.5.
//!
//! Both are the last payload of their message. What the integrity check covers beside the body is everything before it:
//! IKE header, earlier payloads, the generic header and, in SKF, the fragment numbers.
//!
//! Does not: encrypt, decrypt, or reassemble.

use nom::Parser;
use nom::number::complete::be_u16;

use crate::wire::chain::{Chain, GENERIC_HEADER_LEN, RawPayload};
use crate::wire::header::{HEADER_LEN, Header};
use crate::wire::limits::{MAX_FRAGMENTS, MAX_MESSAGE};
use crate::wire::num::PayloadType;
use crate::wire::{Malformed, Parsed, TooLong, Writer};

/// The body of an SK payload: IV, ciphertext, ICV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encrypted<'a> {
    /// Type of the first payload inside; absent if there is none.
    pub inner: Option<PayloadType>,
    /// IV, ciphertext with padding, and ICV.
    pub body: &'a [u8],
}

/// One fragment of an encrypted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncryptedFragment<'a> {
    /// Type of the first payload of the whole message; only fragment 1 carries it.
    pub inner: Option<PayloadType>,
    /// Which of how many.
    pub fragment: Fragment,
    /// IV, ciphertext with padding, and ICV of this fragment.
    pub body: &'a [u8],
}

/// Position of a fragment: 1 ≤ `number` ≤ `total` ≤ [`MAX_FRAGMENTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Counts from 1.
    pub number: u16,
    /// Number of fragments of the message.
    pub total: u16,
}

/// Where the protected part of a message lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// Type of the first payload inside; absent if there is none, and in all fragments but the first.
    pub inner: Option<PayloadType>,
    /// Present if the message is a fragment.
    pub fragment: Option<Fragment>,
    /// What the integrity check covers beside the body.
    pub aad: &'a [u8],
    /// IV, ciphertext with padding, and ICV: the rest of the message.
    pub body: &'a [u8],
}

impl<'a> Encrypted<'a> {
    /// Takes a payload of type SK.
    pub(super) fn from_raw(raw: &RawPayload<'a>) -> Self {
        Self { inner: raw.next, body: raw.body }
    }

    /// Appends the payload body.
    pub(super) fn emit(&self, out: &mut Writer) {
        out.bytes(self.body);
    }
}

impl<'a> EncryptedFragment<'a> {
    /// Takes a payload of type SKF.
    pub(super) fn from_raw(raw: &RawPayload<'a>) -> Result<Self, Malformed> {
        let (body, fragment) = fragment(raw.body).map_err(|_| Malformed::EncryptedFragment)?;
        let inner = raw.next.filter(|_| fragment.number == 1);
        Ok(Self { inner, fragment, body })
    }

    /// Appends the payload body.
    pub(super) fn emit(&self, out: &mut Writer) {
        self.fragment.emit(out);
        out.bytes(self.body);
    }
}

impl Fragment {
    /// Length of the two numbers in bytes.
    const LEN: usize = 4;

    /// The fragment `number` of `total`, if the numbers are in range.
    pub fn new(number: u16, total: u16) -> Option<Self> {
        let valid = 1 <= number && number <= total && total <= MAX_FRAGMENTS;
        valid.then_some(Self { number, total })
    }

    fn emit(self, out: &mut Writer) {
        out.u16(self.number);
        out.u16(self.total);
    }
}

impl<'a> Sealed<'a> {
    /// Finds the encrypted payload of a whole message whose header was parsed; `None` if it has none.
    ///
    /// Payloads in front of it are walked over, but not looked at.
    ///
    /// # Errors
    /// If the chain is broken or the fragment numbers are out of range.
    pub fn find(header: &Header, message: &'a [u8]) -> Result<Option<Self>, Malformed> {
        let chain = message.get(HEADER_LEN..).ok_or(Malformed::HeaderTooShort)?;
        for raw in Chain::new(header.next_payload, chain) {
            let raw = raw?;
            let (inner, fragment, body) = match raw.kind {
                PayloadType::ENCRYPTED => (raw.next, None, raw.body),
                PayloadType::ENCRYPTED_FRAGMENT => {
                    let skf = EncryptedFragment::from_raw(&raw)?;
                    (skf.inner, Some(skf.fragment), skf.body)
                }
                _ => continue,
            };
            if HEADER_LEN.saturating_add(raw.offset).saturating_add(raw.body.len()) != message.len() {
                return Err(Malformed::TrailingBytes);
            }
            let (aad, body) = message.split_at(message.len().saturating_sub(body.len()));
            return Ok(Some(Self { inner, fragment, aad, body }));
        }
        Ok(None)
    }

    /// Where the body begins, in bytes from the start of the message.
    pub fn body_offset(&self) -> usize {
        self.aad.len()
    }
}

/// IKE header and generic header of an SK payload whose body will have `body_len` bytes: what is in front of the IV,
/// with all lengths final. The body is to be appended.
///
/// # Errors
/// If the message would be too long.
pub fn sealed_prefix(header: &Header, inner: Option<PayloadType>, body_len: usize) -> Result<Vec<u8>, TooLong> {
    prefix(header, PayloadType::ENCRYPTED, inner, None, body_len)
}

/// Like [`sealed_prefix`] for one fragment, without the fragment numbers in `body_len`. The type of the first payload is
/// sent in the first fragment only.
///
/// # Errors
/// If the message would be too long.
pub fn fragment_prefix(
    header: &Header,
    inner: Option<PayloadType>,
    fragment: Fragment,
    body_len: usize,
) -> Result<Vec<u8>, TooLong> {
    let inner = inner.filter(|_| fragment.number == 1);
    prefix(header, PayloadType::ENCRYPTED_FRAGMENT, inner, Some(fragment), body_len)
}

fn prefix(
    header: &Header,
    kind: PayloadType,
    inner: Option<PayloadType>,
    fragment: Option<Fragment>,
    body_len: usize,
) -> Result<Vec<u8>, TooLong> {
    let mut out = Writer::new();
    let header = Header { next_payload: Some(kind), ..*header };
    let numbers = if fragment.is_some() { Fragment::LEN } else { 0 };
    let payload_len = GENERIC_HEADER_LEN.saturating_add(numbers).saturating_add(body_len);
    let message_len = HEADER_LEN.saturating_add(payload_len);
    if message_len > MAX_MESSAGE {
        return Err(TooLong);
    }
    header.emit_with_len(message_len, &mut out);
    out.u8(PayloadType::to_next(inner));
    out.u8(0);
    out.count_u16(payload_len);
    if let Some(fragment) = fragment {
        fragment.emit(&mut out);
    }
    out.finish()
}

fn fragment(body: &[u8]) -> Parsed<'_, Fragment> {
    (be_u16, be_u16).map_opt(|(number, total)| Fragment::new(number, total)).parse(body)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;
    use crate::wire::header::{Flags, Version};
    use crate::wire::num::ExchangeType;
    use crate::wire::v2::{MessageBuilder, Notify, Payload};
    use crate::wire::{IkeSpi, num::NotifyType};

    const HEADER: Header = Header {
        initiator_spi: IkeSpi([1; 8]),
        responder_spi: Some(IkeSpi([2; 8])),
        next_payload: None,
        version: Version::V2,
        exchange: ExchangeType::IKE_AUTH,
        flags: Flags { initiator: true, version: false, response: false },
        message_id: 1,
    };

    fn find(message: &[u8]) -> Result<Option<Sealed<'_>>, Malformed> {
        Sealed::find(&Header::parse(message).expect("valid header"), message)
    }

    #[test]
    fn finds_what_sealed_prefix_began() {
        let mut message = sealed_prefix(&HEADER, Some(PayloadType::IDI), 5).expect("short");
        assert_eq!(message[16], 46);
        assert_eq!(message[28..], [35, 0, 0, 9]);
        message.extend([9; 5]);
        let sealed = find(&message).expect("valid").expect("has SK");
        assert_eq!((sealed.inner, sealed.fragment), (Some(PayloadType::IDI), None));
        assert_eq!((sealed.aad, sealed.body), (&message[..32], &[9; 5][..]));
        assert_eq!(sealed.body_offset(), 32);
    }

    #[test]
    fn finds_what_fragment_prefix_began() {
        for (number, inner) in [(1, Some(PayloadType::IDI)), (2, None)] {
            let fragment = Fragment::new(number, 2).expect("in range");
            let mut message = fragment_prefix(&HEADER, Some(PayloadType::IDI), fragment, 3).expect("short");
            message.extend([9; 3]);
            let sealed = find(&message).expect("valid").expect("has SKF");
            assert_eq!((sealed.inner, sealed.fragment), (inner, Some(fragment)));
            assert_eq!((sealed.aad, sealed.body), (&message[..36], &[9; 3][..]));
        }
    }

    #[test]
    fn covers_payloads_in_front_of_the_encrypted_one() {
        let mut builder = MessageBuilder::new(&HEADER);
        builder.push(&Payload::Notify(Notify::new(NotifyType::COOKIE, b"c")));
        builder.push(&Payload::Encrypted(Encrypted { inner: Some(PayloadType::IDI), body: b"body" }));
        let message = builder.finish().expect("short");
        let sealed = find(&message).expect("valid").expect("has SK");
        assert_eq!(sealed.inner, Some(PayloadType::IDI));
        assert_eq!((sealed.body, sealed.aad.len()), (&b"body"[..], 28 + 9 + 4));
    }

    #[test]
    fn finds_nothing_in_a_plain_message() {
        let mut builder = MessageBuilder::new(&HEADER);
        builder.push(&Payload::Notify(Notify::new(NotifyType::COOKIE, b"c")));
        assert_eq!(find(&builder.finish().expect("short")), Ok(None));
    }

    #[test]
    fn rejects_bytes_after_the_encrypted_payload() {
        let mut message = sealed_prefix(&HEADER, None, 1).expect("short");
        message.extend([9; 2]);
        let total = u8::try_from(message.len()).expect("short");
        message[27] = total;
        assert_eq!(find(&message), Err(Malformed::TrailingBytes));
    }

    #[test]
    fn rejects_fragment_numbers_out_of_range() {
        for (number, total) in [(0, 0), (0, 1), (1, 0), (2, 1), (1, MAX_FRAGMENTS + 1), (u16::MAX, u16::MAX)] {
            assert_eq!(Fragment::new(number, total), None);
            let body = [number.to_be_bytes(), total.to_be_bytes()].concat();
            let raw = RawPayload {
                kind: PayloadType::ENCRYPTED_FRAGMENT,
                next: None,
                critical: false,
                offset: 4,
                body: &body,
            };
            assert_eq!(EncryptedFragment::from_raw(&raw), Err(Malformed::EncryptedFragment), "{number} of {total}");
        }
        assert!(Fragment::new(MAX_FRAGMENTS, MAX_FRAGMENTS).is_some());
    }

    #[test]
    fn rejects_every_truncation_of_a_fragment() {
        let fragment = Fragment::new(1, 1).expect("in range");
        let message = fragment_prefix(&HEADER, None, fragment, 0).expect("short");
        for len in HEADER_LEN..message.len() {
            let mut cut = message[..len].to_vec();
            cut[27] = u8::try_from(len).expect("short");
            assert!(find(&cut).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn refuses_bodies_that_no_datagram_can_carry() {
        assert!(sealed_prefix(&HEADER, None, MAX_MESSAGE - 32).is_ok());
        assert_eq!(sealed_prefix(&HEADER, None, MAX_MESSAGE - 31), Err(TooLong));
        assert_eq!(sealed_prefix(&HEADER, None, usize::MAX), Err(TooLong));
    }
}
