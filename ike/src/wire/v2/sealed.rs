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
use crate::wire::limits::MAX_FRAGMENTS;
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
            let start = HEADER_LEN.saturating_add(raw.offset);
            match raw.kind {
                PayloadType::ENCRYPTED => return Self::split(message, start, raw.next, None).map(Some),
                PayloadType::ENCRYPTED_FRAGMENT => {
                    let skf = EncryptedFragment::from_raw(&raw)?;
                    let start = start.saturating_add(Fragment::LEN);
                    return Self::split(message, start, skf.inner, Some(skf.fragment)).map(Some);
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Where the body begins, in bytes from the start of the message.
    pub fn body_offset(&self) -> usize {
        self.aad.len()
    }

    fn split(
        message: &'a [u8],
        at: usize,
        inner: Option<PayloadType>,
        fragment: Option<Fragment>,
    ) -> Result<Self, Malformed> {
        let (aad, body) = message.split_at_checked(at).ok_or(Malformed::PayloadLength)?;
        Ok(Self { inner, fragment, aad, body })
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
    header.emit_with_len(HEADER_LEN.saturating_add(payload_len), &mut out);
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
