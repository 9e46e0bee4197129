//! PAP (RFC 1334 section 2): the client sends name and password, and is told the outcome.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

use nom::combinator::all_consuming;
use nom::multi::length_data;
use nom::number::complete::be_u8;
use nom::{IResult, Parser};

use super::step::Step;
use super::{AuthFailure, Credentials, NAME_MAX, Password, Verdict, name_text};
use crate::malformed::Malformed;
use crate::packet::{Code, Packet};

const REQUEST: Code = Code(1);
const ACK: Code = Code(2);
const NAK: Code = Code(3);

/// Authenticate-Request, section 2.2.1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Request<'a> {
    /// Chosen by the client; the answer repeats it.
    pub(super) identifier: u8,
    /// Peer-ID.
    pub(super) name: &'a [u8],
    /// Password.
    pub(super) password: &'a [u8],
}

impl<'a> Request<'a> {
    /// Parses a whole packet.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let packet = Packet::parse(bytes)?;
        let parts: IResult<&[u8], (&[u8], &[u8])> =
            all_consuming((length_data(be_u8), length_data(be_u8))).parse(packet.data);
        match parts {
            Ok((_, (name, password))) if packet.code == REQUEST && name.len() <= NAME_MAX => {
                Ok(Self { identifier: packet.identifier, name, password })
            }
            _ => Err(Malformed::Body),
        }
    }

    /// The packet as bytes; [`Request::parse`] of them gives back `self`. `None` if a part is too long.
    pub(super) fn emit(&self) -> Option<Vec<u8>> {
        let mut data = vec![u8::try_from(self.name.len()).ok()?];
        data.extend(self.name);
        data.push(u8::try_from(self.password.len()).ok()?);
        data.extend(self.password);
        Some(Packet { code: REQUEST, identifier: self.identifier, data: &data }.emit())
    }

    fn credentials(&self) -> Credentials {
        Credentials::Pap { user: name_text(self.name), password: Password::new(self.password) }
    }
}

/// Authenticate-Ack or Authenticate-Nak with a text for people, section 2.2.2.
fn answer(accepted: bool, identifier: u8) -> Vec<u8> {
    let (code, text) = if accepted { (ACK, &b"Welcome"[..]) } else { (NAK, &b"Authentication failed"[..]) };
    let length = u8::try_from(text.len()).unwrap_or(0);
    let data = [&[length], text].concat();
    Packet { code, identifier, data: &data }.emit()
}

/// Whether a packet of the authenticator lets the client in; `None` if it is no answer.
pub(super) fn accepted(bytes: &[u8]) -> Option<bool> {
    match Packet::parse(bytes).ok()?.code {
        ACK => Some(true),
        NAK => Some(false),
        _ => None,
    }
}

/// The side that asks; here it just waits.
#[derive(Default)]
pub(super) struct Server {
    /// Identifier of the request that is being judged.
    identifier: Option<u8>,
    outcome: Option<bool>,
}

impl Server {
    /// A request after the outcome gets the same code again, RFC 1334 section 2.2.1: our answer may have been lost.
    pub(super) fn handle(&mut self, packet: &[u8]) -> Step {
        let Ok(request) = Request::parse(packet) else { return Step::Ignore };
        match (self.outcome, self.identifier) {
            (Some(accepted), _) => Step::Repeat(answer(accepted, request.identifier)),
            (None, Some(_)) => Step::Ignore,
            (None, None) => {
                self.identifier = Some(request.identifier);
                Step::Credentials(request.credentials())
            }
        }
    }

    pub(super) fn verdict(&mut self, verdict: Verdict) -> Step {
        let (Some(identifier), None) = (self.identifier, self.outcome) else { return Step::Ignore };
        let accepted = matches!(verdict, Verdict::Accepted { .. });
        self.outcome = Some(accepted);
        let packet = answer(accepted, identifier);
        match verdict {
            Verdict::Accepted { user, .. } => Step::Accepted { packet, user },
            Verdict::Rejected => Step::Refused { packet, reason: AuthFailure::Rejected },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REQUEST_BYTES: &[u8] = &[1, 7, 0, 12, 3, b'b', b'o', b'b', 3, b'p', b'w', b'd'];

    fn accept() -> Verdict {
        Verdict::Accepted { user: "Bob".to_owned(), proof: None }
    }

    #[test]
    fn reads_a_request() {
        let request = Request::parse(REQUEST_BYTES).ok().unwrap();
        assert!(request.identifier == 7 && request.name == b"bob" && request.password == b"pwd");
        assert_eq!(request.emit().unwrap(), REQUEST_BYTES);
        let padded = [REQUEST_BYTES, &[0; 5]].concat();
        assert!(Request::parse(&padded).ok() == Some(request));
    }

    #[test]
    fn rejects_every_truncation_and_what_the_lengths_do_not_cover() {
        for n in 0..REQUEST_BYTES.len() {
            assert!(Request::parse(&REQUEST_BYTES[..n]).is_err(), "{n} bytes");
        }
        for (position, wrong) in [(0, 2), (3, 11), (4, 2), (4, 4), (8, 2), (8, 4), (4, 255)] {
            let mut bytes = REQUEST_BYTES.to_vec();
            bytes[position] = wrong;
            assert!(Request::parse(&bytes).is_err(), "byte {position} = {wrong}");
        }
        let long = Request { identifier: 1, name: &[b'a'; 254], password: b"" }.emit().unwrap();
        assert!(Request::parse(&long).is_err());
    }

    #[test]
    fn a_login_is_judged_once_and_answered_as_often_as_it_is_asked() {
        let mut server = Server::default();
        let Step::Credentials(credentials) = server.handle(REQUEST_BYTES) else { panic!("not asked") };
        assert_eq!(credentials.user(), "bob");
        assert!(matches!(server.handle(REQUEST_BYTES), Step::Ignore), "already asked");
        let Step::Accepted { packet, user } = server.verdict(accept()) else { panic!("not accepted") };
        assert_eq!(packet, [&[2, 7, 0, 12, 7][..], b"Welcome"].concat());
        assert_eq!(user, "Bob");
        let mut again = REQUEST_BYTES.to_vec();
        again[1] = 8;
        let Step::Repeat(packet) = server.handle(&again) else { panic!("not repeated") };
        assert_eq!(packet[..2], [2, 8]);
        assert!(matches!(server.verdict(accept()), Step::Ignore));
    }

    #[test]
    fn a_refusal_is_a_nak_and_stays_one() {
        let mut server = Server::default();
        server.handle(REQUEST_BYTES);
        let Step::Refused { packet, reason } = server.verdict(Verdict::Rejected) else { panic!("not refused") };
        assert_eq!((&packet[..4], reason), (&[3, 7, 0, 26][..], AuthFailure::Rejected));
        assert_eq!(accepted(&packet), Some(false));
        assert!(matches!(server.handle(REQUEST_BYTES), Step::Repeat(nak) if nak == packet));
    }

    #[test]
    fn a_verdict_that_nobody_asked_for_is_ignored() {
        assert!(matches!(Server::default().verdict(accept()), Step::Ignore));
    }

    proptest! {
        #[test]
        fn requests_round_trip(identifier: u8, name in proptest::collection::vec(any::<u8>(), 0..254), password in proptest::collection::vec(any::<u8>(), 0..256)) {
            let request = Request { identifier, name: &name, password: &password };
            let bytes = request.emit().unwrap();
            prop_assert!(Request::parse(&bytes).ok() == Some(request));
        }
    }
}
