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
    use crate::wire::testing::{assert_truncations, emitted};

    #[test]
    fn round_trips_and_rejects_truncations() {
        let body = &[2, 0, 0, 0, 1, 2, 3];
        let auth = Authentication { method: AuthMethod::SHARED_KEY, data: &[1, 2, 3] };
        assert_eq!(Authentication::parse(body), Ok(auth));
        assert_eq!(emitted(|out| auth.emit(out)), body);
        assert_truncations(body, 5, Malformed::Authentication, |b| Authentication::parse(b).map(|a| a.method));
    }

    #[test]
    fn ignores_reserved_bytes() {
        assert_eq!(Authentication::parse(&[14, 1, 2, 3, 4]).map(|a| a.data), Ok(&[4][..]));
    }
}
