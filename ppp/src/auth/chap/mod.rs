//! CHAP with MD5 (RFC 1994) and MS-CHAP version 2 (RFC 2759), which uses the same packets.
//!
//! Does not: challenge again during a session (RFC 1994 section 2 allows that), or change passwords.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use nom::combinator::rest;
use nom::multi::length_data;
use nom::number::complete::be_u8;
use nom::{IResult, Parser};

use super::mschapv2::failure_message;
use super::step::Step;
use super::{AuthFailure, AuthSeed, Credentials, NAME_MAX, Verdict, name_text};
use crate::malformed::Malformed;
use crate::packet::{Code, Packet};

const CHALLENGE: Code = Code(1);
const RESPONSE: Code = Code(2);
const SUCCESS: Code = Code(3);
const FAILURE: Code = Code(4);

/// Which of the two; algorithm 5 and 0x81 of LCP's option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Md5,
    MsChapV2,
}

/// Challenge or Response, RFC 1994 section 4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exchange<'a> {
    /// From the authenticator; otherwise from the client.
    pub(super) is_challenge: bool,
    /// The Response repeats that of the Challenge.
    pub(super) identifier: u8,
    /// Challenge Value or Response Value.
    pub(super) value: &'a [u8],
    /// Who sends it.
    pub(super) name: &'a [u8],
}

impl<'a> Exchange<'a> {
    /// Parses a whole packet.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let packet = Packet::parse(bytes)?;
        let parts: IResult<&[u8], (&[u8], &[u8])> = (length_data(be_u8), rest).parse(packet.data);
        match parts {
            Ok((_, (value, name))) if matches!(packet.code, CHALLENGE | RESPONSE) && name.len() <= NAME_MAX => {
                Ok(Self { is_challenge: packet.code == CHALLENGE, identifier: packet.identifier, value, name })
            }
            _ => Err(Malformed::Body),
        }
    }

    /// The packet as bytes; [`Exchange::parse`] of them gives back `self`. `None` if the value is longer than 255 bytes.
    pub(super) fn emit(&self) -> Option<Vec<u8>> {
        let data = [&[u8::try_from(self.value.len()).ok()?], self.value, self.name].concat();
        let code = if self.is_challenge { CHALLENGE } else { RESPONSE };
        Some(Packet { code, identifier: self.identifier, data: &data }.emit())
    }
}

/// The Response Value of MS-CHAPv2, RFC 2759 section 4: 49 bytes.
#[derive(Clone, Copy)]
pub(super) struct MsResponse {
    pub(super) peer_challenge: [u8; 16],
    pub(super) nt_response: [u8; 24],
}

impl MsResponse {
    /// Parses the value. Reserved and flags are ignored, as the RFC asks.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let (peer_challenge, rest) = value.split_first_chunk::<16>()?;
        let (_reserved, rest) = rest.split_first_chunk::<8>()?;
        let (nt_response, rest) = rest.split_first_chunk::<24>()?;
        let [_flags] = rest else { return None };
        Some(Self { peer_challenge: *peer_challenge, nt_response: *nt_response })
    }

    /// The value.
    pub(super) fn emit(&self) -> Vec<u8> {
        [&self.peer_challenge[..], &[0; 8], &self.nt_response, &[0]].concat()
    }
}

/// Success or Failure with its message, RFC 1994 section 4.2.
fn outcome(accepted: bool, identifier: u8, message: &str) -> Vec<u8> {
    let code = if accepted { SUCCESS } else { FAILURE };
    Packet { code, identifier, data: message.as_bytes() }.emit()
}

/// Whether a packet of the authenticator lets the client in, and its message; `None` if it is no outcome.
pub(super) fn parse_outcome(bytes: &[u8]) -> Option<(bool, &[u8])> {
    let packet = Packet::parse(bytes).ok()?;
    match packet.code {
        SUCCESS => Some((true, packet.data)),
        FAILURE => Some((false, packet.data)),
        _ => None,
    }
}

/// The side that asks. Our challenge is answered once: whatever comes after the first answer gets the same outcome.
pub(super) struct Server {
    algorithm: Algorithm,
    seed: AuthSeed,
    name: String,
    response: Option<Vec<u8>>,
    outcome: Option<Vec<u8>>,
}

impl Server {
    pub(super) fn new(algorithm: Algorithm, seed: AuthSeed, name: &str) -> Self {
        Self { algorithm, seed, name: name.to_owned(), response: None, outcome: None }
    }

    /// Our Challenge. It is sent again unchanged if it gets lost, so that an answer to either copy fits.
    pub(super) fn challenge(&self) -> Vec<u8> {
        let name = self.name.as_bytes();
        let name = name.get(..NAME_MAX).unwrap_or(name);
        let identifier = self.seed.identifier;
        let challenge = Exchange { is_challenge: true, identifier, value: &self.seed.challenge, name };
        challenge.emit().unwrap_or_default()
    }

    pub(super) fn handle(&mut self, packet: &[u8]) -> Step {
        let response = match Exchange::parse(packet) {
            Ok(r) if !r.is_challenge && r.identifier == self.seed.identifier => r,
            _ => return Step::Ignore,
        };
        if self.response.is_some() {
            return match &self.outcome {
                Some(outcome) if self.response.as_deref() == Some(packet) => Step::Repeat(outcome.clone()),
                _ => Step::Ignore,
            };
        }
        let Some(credentials) = self.credentials(&response) else { return Step::Ignore };
        self.response = Some(packet.to_vec());
        Step::Credentials(credentials)
    }

    fn credentials(&self, response: &Exchange<'_>) -> Option<Credentials> {
        match self.algorithm {
            Algorithm::Md5 => Some(Credentials::ChapMd5 {
                user: name_text(response.name),
                identifier: self.seed.identifier,
                challenge: self.seed.challenge,
                response: response.value.try_into().ok()?,
            }),
            Algorithm::MsChapV2 => {
                let value = MsResponse::parse(response.value)?;
                let ours = &self.seed.challenge;
                Some(Credentials::ms_chap_v2(response.name, ours, &value.peer_challenge, &value.nt_response))
            }
        }
    }

    pub(super) fn verdict(&mut self, verdict: Verdict) -> Step {
        if self.response.is_none() || self.outcome.is_some() {
            return Step::Ignore;
        }
        let identifier = self.seed.identifier;
        let accepted = match verdict {
            Verdict::Rejected => None,
            Verdict::Accepted { user, proof } => match (self.algorithm, proof) {
                (Algorithm::Md5, _) => Some((user, "Welcome".to_owned())),
                (Algorithm::MsChapV2, Some(proof)) => Some((user, proof.success_message())),
                (Algorithm::MsChapV2, None) => None, // it would not believe us
            },
        };
        let step = match accepted {
            Some((user, message)) => Step::Accepted { packet: outcome(true, identifier, &message), user },
            None => {
                let packet = outcome(false, identifier, &self.failure());
                Step::Refused { packet, reason: AuthFailure::Rejected }
            }
        };
        if let Step::Accepted { packet, .. } | Step::Refused { packet, .. } = &step {
            self.outcome = Some(packet.clone());
        }
        step
    }

    fn failure(&self) -> String {
        match self.algorithm {
            Algorithm::Md5 => "Authentication failed".to_owned(),
            Algorithm::MsChapV2 => failure_message(&self.seed.unused_challenge),
        }
    }
}

#[cfg(test)]
mod tests;
