//! The Authentication payload, RFC 7296 section 3.8.
//!
//! Does not: verify; for method 14 the AlgorithmIdentifier of RFC 7427 is inside `data`.

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::be_u8;

use crate::wire::num::AuthMethod;
use crate::wire::{Malformed, Parsed, Writer};

/// Proof of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication<'a> {
    /// How `data` was computed.
    pub method: AuthMethod,
    /// Signature or MAC; not empty.
    pub data: &'a [u8],
}

impl<'a> Authentication<'a> {
    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::Authentication`] if there is no data.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (data, method) = method(body).map_err(|_| Malformed::Authentication)?;
        if data.is_empty() {
            return Err(Malformed::Authentication);
        }
        Ok(Self { method, data })
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.u8(self.method.0);
        out.bytes(&[0; 3]);
        out.bytes(self.data);
    }
}

fn method(body: &[u8]) -> Parsed<'_, AuthMethod> {
    (be_u8, take(3_usize)).map(|(id, _reserved)| AuthMethod(id)).parse(body)
}
