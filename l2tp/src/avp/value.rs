//! Forms of attribute values (RFC 2661 section 4.4). Parser and emitter are inverse to each other.

use nom::combinator::all_consuming;
use nom::multi::count;
use nom::number::complete::{be_u8, be_u16, be_u32};
use nom::{IResult, Parser};

/// What an attribute value can be read as.
pub(super) trait Value: Sized {
    /// Reads the whole value; `None` if it has another form.
    fn parse(value: &[u8]) -> Option<Self>;
    /// Appends the value.
    fn emit(&self, out: &mut Vec<u8>);
}

/// Result Code (RFC 2661 section 4.4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultCode {
    /// What happened; the numbers of CDN and StopCCN differ.
    pub result: u16,
    /// Error Code, for the result "general error". We always send it: old peers take its absence for a fault.
    pub error: Option<u16>,
    /// Error Message, of which nothing is believed. Empty without an Error Code.
    pub message: Vec<u8>,
}

impl ResultCode {
    /// Of ten octets as AVP, with an error code and without text; old clients refuse shorter ones.
    #[must_use]
    pub fn new(result: u16, error: u16) -> Self {
        Self { result, error: Some(error), message: Vec::new() }
    }
}

/// Protocol Version (RFC 2661 section 4.4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtocolVersion {
    /// Ver.
    pub version: u8,
    /// Rev.
    pub revision: u8,
}

impl ProtocolVersion {
    /// The version of RFC 2661.
    pub const V1_0: Self = Self { version: 1, revision: 0 };
}

/// Q.931 Cause Code (RFC 2661 section 4.4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseCode {
    /// Cause Code.
    pub cause: u16,
    /// Cause Msg.
    pub message: u8,
    /// Advisory Msg.
    pub advisory: Vec<u8>,
}

/// Proxy Authen ID (RFC 2661 section 4.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyAuthenId(pub u8);

/// Call Errors (RFC 2661 section 4.4.6): CRC errors, framing errors, hardware overruns, buffer overruns, time-out errors,
/// alignment errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallErrors(pub [u32; 6]);

/// ACCM (RFC 2661 section 4.4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendReceiveAccm {
    /// Send ACCM.
    pub send: u32,
    /// Receive ACCM.
    pub receive: u32,
}

/// The attribute says everything by being there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresentOnly;

/// Runs a parser that has to take all of `value`.
fn whole<'a, T>(
    parser: impl Parser<&'a [u8], Output = T, Error = nom::error::Error<&'a [u8]>>,
    value: &'a [u8],
) -> Option<T> {
    let result: IResult<_, _> = all_consuming(parser).parse(value);
    result.ok().map(|(_, parsed)| parsed)
}

impl Value for u16 {
    fn parse(value: &[u8]) -> Option<Self> {
        whole(be_u16, value)
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self.to_be_bytes());
    }
}

impl Value for u32 {
    fn parse(value: &[u8]) -> Option<Self> {
        whole(be_u32, value)
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self.to_be_bytes());
    }
}

impl<const N: usize> Value for [u8; N] {
    fn parse(value: &[u8]) -> Option<Self> {
        value.try_into().ok()
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self);
    }
}

impl Value for Vec<u8> {
    fn parse(value: &[u8]) -> Option<Self> {
        Some(value.to_vec())
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Value for ResultCode {
    fn parse(value: &[u8]) -> Option<Self> {
        if let Some(result) = u16::parse(value) {
            return Some(Self { result, error: None, message: Vec::new() });
        }
        let parsed: IResult<_, _> = (be_u16, be_u16).parse(value);
        let (message, (result, error)) = parsed.ok()?;
        Some(Self { result, error: Some(error), message: message.to_vec() })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        self.result.emit(out);
        if let Some(error) = self.error {
            error.emit(out);
            self.message.emit(out);
        }
    }
}

impl Value for ProtocolVersion {
    fn parse(value: &[u8]) -> Option<Self> {
        whole((be_u8, be_u8), value).map(|(version, revision)| Self { version, revision })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.version, self.revision]);
    }
}

impl Value for CauseCode {
    fn parse(value: &[u8]) -> Option<Self> {
        let parsed: IResult<_, _> = (be_u16, be_u8).parse(value);
        let (advisory, (cause, message)) = parsed.ok()?;
        Some(Self { cause, message, advisory: advisory.to_vec() })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        self.cause.emit(out);
        out.push(self.message);
        self.advisory.emit(out);
    }
}

impl Value for ProxyAuthenId {
    fn parse(value: &[u8]) -> Option<Self> {
        whole((be_u8, be_u8), value).map(|(_reserved, id)| Self(id))
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend([0, self.0]);
    }
}

impl Value for CallErrors {
    fn parse(value: &[u8]) -> Option<Self> {
        let (_reserved, errors) = whole((be_u16, count(be_u32, 6)), value)?;
        Some(Self(errors.try_into().ok()?))
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend([0, 0]);
        for errors in self.0 {
            errors.emit(out);
        }
    }
}

impl Value for SendReceiveAccm {
    fn parse(value: &[u8]) -> Option<Self> {
        whole((be_u16, be_u32, be_u32), value).map(|(_reserved, send, receive)| Self { send, receive })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend([0, 0]);
        self.send.emit(out);
        self.receive.emit(out);
    }
}

impl Value for PresentOnly {
    fn parse(value: &[u8]) -> Option<Self> {
        value.is_empty().then_some(Self)
    }

    fn emit(&self, _out: &mut Vec<u8>) {}
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_result_code_has_two_octets_or_at_least_four() {
        assert_eq!(ResultCode::parse(&[0, 6]), Some(ResultCode { result: 6, error: None, message: vec![] }));
        assert_eq!(ResultCode::parse(&[0, 1, 0, 0]), Some(ResultCode { result: 1, error: Some(0), message: vec![] }));
        for odd in [&[][..], &[0], &[0, 1, 2]] {
            assert_eq!(ResultCode::parse(odd), None);
        }
    }

    #[test]
    fn the_result_code_of_apple_clients_reads_as_a_large_number() {
        let apple = [0x03, 0x00, 0, 0, 0, 0, 0, 0];
        let parsed = ResultCode::parse(&apple).expect("tolerated");
        assert_eq!((parsed.result, parsed.error), (0x0300, Some(0)));
    }

    #[test]
    fn a_cause_code_has_at_least_three_octets() {
        assert_eq!(CauseCode::parse(&[0, 16]), None);
        assert_eq!(CauseCode::parse(&[0, 16, 1]), Some(CauseCode { cause: 16, message: 1, advisory: vec![] }));
    }
}
