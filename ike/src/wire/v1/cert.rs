//! The Certificate and Certificate Request payloads, RFC 2408 sections 3.9 and 3.10.
//!
//! Does not: parse certificates, or unwrap PKCS #7.

use nom::Parser;
use nom::number::complete::be_u8;

use crate::wire::limits::MAX_CERTIFICATE;
use crate::wire::num::CertEncoding;
use crate::wire::{Malformed, Parsed, Writer};

/// A certificate, or with PKCS #7 several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// How to read `data`.
    pub encoding: CertEncoding,
    /// The certificate; 1 to [`MAX_CERTIFICATE`] bytes.
    pub data: &'a [u8],
}

/// What certificates the sender would like to see. A hint only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateRequest<'a> {
    /// The wanted encoding.
    pub encoding: CertEncoding,
    /// The DER name of a trusted authority; empty means any.
    pub authority: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::Certificate`] if there is no data or too much of it.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (data, encoding) = encoding(body).map_err(|_| Malformed::Certificate)?;
        if data.is_empty() || data.len() > MAX_CERTIFICATE {
            return Err(Malformed::Certificate);
        }
        Ok(Self { encoding, data })
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.u8(self.encoding.0);
        out.bytes(self.data);
    }
}

impl<'a> CertificateRequest<'a> {
    /// Parses the payload body, without the generic payload header.
    ///
    /// # Errors
    /// [`Malformed::CertificateRequest`] if it is empty.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (authority, encoding) = encoding(body).map_err(|_| Malformed::CertificateRequest)?;
        Ok(Self { encoding, authority })
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.u8(self.encoding.0);
        out.bytes(self.authority);
    }
}

fn encoding(body: &[u8]) -> Parsed<'_, CertEncoding> {
    be_u8.map(CertEncoding).parse(body)
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
    fn round_trips_a_certificate() {
        let body = &[1, 0x30, 0x03, 0x02, 0x01, 0x00];
        let cert = Certificate { encoding: CertEncoding::PKCS7_WRAPPED_X509, data: &body[1..] };
        assert_eq!(Certificate::parse(body), Ok(cert));
        assert_eq!(emitted(|out| cert.emit(out)), body);
        assert_truncations(body, 2, Malformed::Certificate, |b| Certificate::parse(b).map(|c| c.encoding));
    }

    #[test]
    fn limits_the_size_of_a_certificate() {
        let mut body = vec![4; MAX_CERTIFICATE + 1];
        assert!(Certificate::parse(&body).is_ok());
        body.push(0);
        assert_eq!(Certificate::parse(&body), Err(Malformed::Certificate));
    }

    #[test]
    fn round_trips_requests_for_an_authority_and_for_any() {
        for body in [&[4][..], &[4, 0x30, 0x00]] {
            let request = CertificateRequest::parse(body).expect("valid");
            assert_eq!((request.encoding, request.authority), (CertEncoding::X509_SIGNATURE, &body[1..]));
            assert_eq!(emitted(|out| request.emit(out)), body);
        }
        assert_eq!(CertificateRequest::parse(&[]), Err(Malformed::CertificateRequest));
    }
}
