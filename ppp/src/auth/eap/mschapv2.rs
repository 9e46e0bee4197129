//! The payloads of EAP-MSCHAPv2 (draft-kamath-pppext-eap-mschapv2-02): what follows the type byte 26.
//!
//! Does not: compute anything (see [`crate::auth::mschapv2`]), nor change passwords (OpCode 7).

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use crate::auth::NAME_MAX;
use nom::bytes::complete::{tag, take};
use nom::combinator::{all_consuming, eof, rest};
use nom::number::complete::{be_u8, be_u16};
use nom::{IResult, Parser};

use super::Malformed;
use super::packet::reject;

const CHALLENGE: u8 = 1;
const RESPONSE: u8 = 2;
const SUCCESS: u8 = 3;
const FAILURE: u8 = 4;

/// From us to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Section 2.1.
    Challenge {
        /// MS-CHAPv2-ID; the response repeats it.
        id: u8,
        /// The authenticator challenge.
        challenge: [u8; 16],
        /// Our name.
        name: &'a [u8],
    },
    /// Section 2.3: the password was right, and this is the proof that we know it.
    Success {
        /// That of the challenge.
        id: u8,
        /// `S=` and 40 digits, ` M=` and a text.
        message: &'a [u8],
    },
    /// Section 2.5.
    Failure {
        /// That of the challenge.
        id: u8,
        /// `E=691 R=0 C=.. V=3 M=..`
        message: &'a [u8],
    },
}

impl<'a> Request<'a> {
    /// Appends the payload; [`Request::parse`] of it gives back `self`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let (code, id, value, text) = match self {
            Self::Challenge { id, challenge, name } => (CHALLENGE, *id, Some(challenge), *name),
            Self::Success { id, message } => (SUCCESS, *id, None, *message),
            Self::Failure { id, message } => (FAILURE, *id, None, *message),
        };
        let value_length = if value.is_some() { 17 } else { 0 };
        out.extend([code, id]);
        out.extend(ms_length(value_length, text.len()));
        if let Some(value) = value {
            out.push(16);
            out.extend(value);
        }
        out.extend(text);
    }

    /// Parses a payload: the client's side of it, for tests and peers.
    ///
    /// # Errors
    /// If it isn't one of the three.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let parsed = all_consuming(|input| request(bytes.len(), input)).parse(bytes);
        parsed.map(|(_, request)| request).map_err(|_| Malformed("EAP-MSCHAPv2 request"))
    }
}

/// From the client to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response<'a> {
    /// Section 2.2.
    Response {
        /// MS-CHAPv2-ID.
        id: u8,
        /// The client's challenge.
        peer_challenge: [u8; 16],
        /// Proof that it knows the password.
        nt_response: [u8; 24],
        /// User name, perhaps with a domain. Any bytes.
        name: &'a [u8],
    },
    /// Section 2.4: the client accepts our proof.
    Success,
    /// Section 2.6.
    Failure,
}

impl<'a> Response<'a> {
    /// Parses a payload. The reserved and flags fields are ignored, RFC 2759 section 4.
    ///
    /// # Errors
    /// If it isn't one of the three.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let parsed = all_consuming(|input| response(bytes.len(), input)).parse(bytes);
        parsed.map(|(_, response)| response).map_err(|_| Malformed("EAP-MSCHAPv2 response"))
    }

    /// Appends the payload; [`Response::parse`] of it gives back `self`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Response { id, peer_challenge, nt_response, name } => {
                out.extend([RESPONSE, *id]);
                out.extend(ms_length(50, name.len()));
                out.push(49);
                out.extend(peer_challenge);
                out.extend([0; 8]);
                out.extend(nt_response);
                out.push(0);
                out.extend(*name);
            }
            Self::Success => out.push(SUCCESS),
            Self::Failure => out.push(FAILURE),
        }
    }
}

/// MS-Length: header, value, text. A text that does not fit is one that [`super::packet::Packet::emit`] refuses.
fn ms_length(value: usize, text: usize) -> [u8; 2] {
    u16::try_from(value.saturating_add(text).saturating_add(4)).unwrap_or(u16::MAX).to_be_bytes()
}

fn header(total: usize, input: &[u8]) -> IResult<&[u8], u8> {
    let (input, (id, length)) = (be_u8, be_u16).parse(input)?;
    if usize::from(length) == total { Ok((input, id)) } else { reject(input) }
}

fn request(total: usize, input: &[u8]) -> IResult<&[u8], Request<'_>> {
    let (input, code) = be_u8(input)?;
    let (input, id) = header(total, input)?;
    match code {
        CHALLENGE => {
            let (input, (_, challenge, name)) = (tag(&[16][..]), array::<16>, rest).parse(input)?;
            Ok((input, Request::Challenge { id, challenge, name }))
        }
        SUCCESS => rest.map(|message| Request::Success { id, message }).parse(input),
        FAILURE => rest.map(|message| Request::Failure { id, message }).parse(input),
        _ => reject(input),
    }
}

fn response(total: usize, input: &[u8]) -> IResult<&[u8], Response<'_>> {
    let (input, code) = be_u8(input)?;
    match code {
        RESPONSE => {
            let (input, id) = header(total, input)?;
            let value = (tag(&[49][..]), array::<16>, take(8usize), array::<24>, be_u8);
            let (input, (_, peer_challenge, _reserved, nt_response, _flags)) = { value }.parse(input)?;
            let (input, name) = rest(input)?;
            if name.len() > NAME_MAX {
                return reject(input);
            }
            Ok((input, Response::Response { id, peer_challenge, nt_response, name }))
        }
        SUCCESS => eof.map(|_| Response::Success).parse(input),
        FAILURE => eof.map(|_| Response::Failure).parse(input),
        _ => reject(input),
    }
}

fn array<const N: usize>(input: &[u8]) -> IResult<&[u8], [u8; N]> {
    match input.split_first_chunk::<N>() {
        Some((head, tail)) => Ok((tail, *head)),
        None => reject(input),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn response_of(name: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Response::Response { id: 9, peer_challenge: [1; 16], nt_response: [2; 24], name }.emit(&mut out);
        out
    }

    #[test]
    fn a_response_looks_as_in_the_draft() {
        let bytes = response_of(b"User");
        assert_eq!(bytes[..5], [2, 9, 0, 58, 49]);
        assert_eq!(bytes.len(), 58);
        assert_eq!(bytes[5..21], [1; 16]);
        assert_eq!(bytes[21..29], [0; 8]);
        assert_eq!(bytes[29..53], [2; 24]);
        assert_eq!(bytes[53..], [0, b'U', b's', b'e', b'r']);
    }

    #[test]
    fn a_challenge_looks_as_in_the_draft() {
        let mut bytes = Vec::new();
        Request::Challenge { id: 3, challenge: [5; 16], name: b"gw" }.emit(&mut bytes);
        assert_eq!(bytes[..5], [1, 3, 0, 23, 16]);
        assert_eq!(bytes[5..21], [5; 16]);
        assert_eq!(bytes[21..], *b"gw");
    }

    #[test]
    fn rejects_every_truncation() {
        let bytes = response_of(b"alice");
        for n in 0..bytes.len() {
            assert_eq!(Response::parse(&bytes[..n]), Err(Malformed("EAP-MSCHAPv2 response")), "{n} bytes");
        }
        let mut bytes = Vec::new();
        Request::Challenge { id: 3, challenge: [5; 16], name: b"gw" }.emit(&mut bytes);
        for n in 0..bytes.len() {
            assert_eq!(Request::parse(&bytes[..n]), Err(Malformed("EAP-MSCHAPv2 request")), "{n} bytes");
        }
    }

    #[test]
    fn rejects_wrong_sizes_codes_and_long_names() {
        let mut value_size = response_of(b"alice");
        value_size[4] = 48;
        assert!(Response::parse(&value_size).is_err());
        let mut code = response_of(b"alice");
        code[0] = 7;
        assert!(Response::parse(&code).is_err());
        assert!(Response::parse(&response_of(&[b'a'; 253])).is_ok());
        assert!(Response::parse(&response_of(&[b'a'; 254])).is_err());
        assert!(Response::parse(&[3, 0]).is_err());
        assert!(Response::parse(&[4, 0]).is_err());
    }

    #[test]
    fn reserved_and_flags_are_ignored() {
        let mut bytes = response_of(b"alice");
        bytes[21..29].fill(0xff);
        bytes[53] = 1;
        assert_eq!(Response::parse(&bytes), Response::parse(&response_of(b"alice")));
    }

    proptest! {
        #[test]
        fn responses_round_trip(id: u8, peer_challenge: [u8; 16], nt_response: [u8; 24], name in proptest::collection::vec(any::<u8>(), 0..254), kind in 0..3) {
            let response = match kind {
                0 => Response::Response { id, peer_challenge, nt_response, name: &name },
                1 => Response::Success,
                _ => Response::Failure,
            };
            let mut out = Vec::new();
            response.emit(&mut out);
            prop_assert_eq!(Response::parse(&out), Ok(response));
        }

        #[test]
        fn requests_round_trip(id: u8, challenge: [u8; 16], text: Vec<u8>, kind in 0..3) {
            let request = match kind {
                0 => Request::Challenge { id, challenge, name: &text },
                1 => Request::Success { id, message: &text },
                _ => Request::Failure { id, message: &text },
            };
            let mut out = Vec::new();
            request.emit(&mut out);
            prop_assert_eq!(Request::parse(&out), Ok(request));
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = Request::parse(&bytes);
            if let Ok(response) = Response::parse(&bytes) {
                let mut out = Vec::new();
                response.emit(&mut out);
                prop_assert_eq!(out.len(), bytes.len());
            }
        }
    }
}
