//! The Certificate and Certificate Request payloads, RFC 7296 sections 3.6 and 3.7.
//!
//! Does not: parse certificates.

use nom::Parser;
use nom::number::complete::be_u8;

use crate::wire::limits::MAX_CERTIFICATE;
use crate::wire::num::CertEncoding;
use crate::wire::{Malformed, Parsed, Writer};

/// Length in bytes of the SHA-1 hash that names an authority in a request.
const AUTHORITY_LEN: usize = 20;

/// One certificate or something of that kind.
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
    /// The wanted encoding. Clients send some that nobody uses; such requests are to be ignored.
    pub encoding: CertEncoding,
    /// For X.509: SHA-1 hashes of the public keys of trusted authorities, 20 bytes each, possibly none.
    pub authorities: &'a [u8],
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
    /// [`Malformed::CertificateRequest`] if it is empty, or asks for X.509 with something that is no list of hashes.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (authorities, encoding) = encoding(body).map_err(|_| Malformed::CertificateRequest)?;
        if encoding == CertEncoding::X509_SIGNATURE && !authorities.len().is_multiple_of(AUTHORITY_LEN) {
            return Err(Malformed::CertificateRequest);
        }
        Ok(Self { encoding, authorities })
    }

    /// Appends the payload body.
    pub fn emit(&self, out: &mut Writer) {
        out.u8(self.encoding.0);
        out.bytes(self.authorities);
    }

    /// The hashes of `authorities`, if it is a list of them.
    pub fn hashes(&self) -> impl Iterator<Item = &'a [u8; AUTHORITY_LEN]> + use<'a> {
        let (hashes, _) = self.authorities.as_chunks::<AUTHORITY_LEN>();
        hashes.iter()
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
        let body = &[4, 0x30, 0x03, 0x02, 0x01, 0x00];
        let cert = Certificate { encoding: CertEncoding::X509_SIGNATURE, data: &body[1..] };
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
    fn round_trips_a_request_for_two_authorities() {
        let body = [vec![4], vec![0xaa; 20], vec![0xbb; 20]].concat();
        let request = CertificateRequest::parse(&body).expect("valid");
        assert_eq!(request.hashes().collect::<Vec<_>>(), [&[0xaa; 20], &[0xbb; 20]]);
        assert_eq!(emitted(|out| request.emit(out)), body);
        for len in 0..body.len() {
            assert_eq!(CertificateRequest::parse(&body[..len]).is_ok(), len % 20 == 1, "{len} bytes");
        }
    }

    #[test]
    fn takes_requests_of_other_encodings_as_they_are() {
        let request = CertificateRequest::parse(&[1, 9, 9, 9]).expect("not ours to judge");
        assert_eq!(request.authorities, [9, 9, 9]);
        assert_eq!(request.hashes().count(), 0);
    }
}
