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
