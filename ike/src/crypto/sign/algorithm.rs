//! What a signature is made with, and how method 14 names it: RFC 7427 section 3 and appendix A.

use super::super::hash::Hash;
use crate::wire::num::{AuthMethod, HashAlgId};

/// The hash functions of method 14. SHA-1 is not among them, RFC 8247 section 4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sha2 {
    /// SHA2-256.
    Sha256,
    /// SHA2-384.
    Sha384,
    /// SHA2-512.
    Sha512,
}

impl Sha2 {
    /// All three, cheapest first.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// The number of RFC 7427 section 7.
    #[must_use]
    pub const fn id(self) -> HashAlgId {
        match self {
            Self::Sha256 => HashAlgId::SHA2_256,
            Self::Sha384 => HashAlgId::SHA2_384,
            Self::Sha512 => HashAlgId::SHA2_512,
        }
    }

    pub(super) const fn hash(self) -> Hash {
        match self {
            Self::Sha256 => Hash::Sha256,
            Self::Sha384 => Hash::Sha384,
            Self::Sha512 => Hash::Sha512,
        }
    }
}

/// A signature algorithm of method 14.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5, RFC 7427 appendix A.1.
    RsaPkcs1(Sha2),
    /// RSASSA-PSS with MGF1 of the same hash and a salt as long as its digest, appendix A.4.
    RsaPss(Sha2),
    /// ECDSA, appendix A.3.
    Ecdsa(Sha2),
    /// Ed25519 over the message itself, RFC 8420.
    Ed25519,
}

/// How an AUTH payload is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Method 1 with SHA-1.
    RsaSha1,
    /// Method 9: ECDSA with SHA2-256 on P-256.
    Ecdsa256,
    /// Method 10: ECDSA with SHA2-384 on P-384.
    Ecdsa384,
    /// Method 11: ECDSA with SHA2-512 on P-521.
    Ecdsa521,
    /// Method 14.
    DigitalSignature(Algorithm),
}

impl Scheme {
    /// The authentication method that the payload gives.
    #[must_use]
    pub const fn method(self) -> AuthMethod {
        match self {
            Self::RsaSha1 => AuthMethod::RSA_SIGNATURE,
            Self::Ecdsa256 => AuthMethod::ECDSA_SHA256_P256,
            Self::Ecdsa384 => AuthMethod::ECDSA_SHA384_P384,
            Self::Ecdsa521 => AuthMethod::ECDSA_SHA512_P521,
            Self::DigitalSignature(_) => AuthMethod::DIGITAL_SIGNATURE,
        }
    }
}

/// Appends the AlgorithmIdentifier with the length octet in front of it.
pub(super) fn emit(algorithm: Algorithm, out: &mut Vec<u8>) {
    let identifier = identifier(algorithm);
    out.push(u8::try_from(identifier.len()).expect("the identifiers are short"));
    out.extend(identifier);
}

/// Splits the data of method 14 into algorithm and signature value.
///
/// `None` if it is too short, or if the identifier is not byte for byte one of ours.
pub(super) fn parse(data: &[u8]) -> Option<(Algorithm, &[u8])> {
    let (length, rest) = data.split_first()?;
    let (name, signature) = rest.split_at_checked(usize::from(*length))?;
    let algorithm = all().find(|algorithm| identifier(*algorithm) == name || pss_without_null(*algorithm) == name)?;
    Some((algorithm, signature))
}

fn all() -> impl Iterator<Item = Algorithm> {
    let with_hash = |hash| [Algorithm::RsaPkcs1(hash), Algorithm::RsaPss(hash), Algorithm::Ecdsa(hash)];
    Sha2::ALL.into_iter().flat_map(with_hash).chain([Algorithm::Ed25519])
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const NULL: &[u8] = &[0x05, 0x00];

/// 1.2.840.113549.1.1, as an OBJECT IDENTIFIER of nine octets whose last is missing.
const PKCS1: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
const RSASSA_PSS: u8 = 10;
const MGF1: u8 = 8;
/// 1.2.840.10045.4.3, likewise of eight octets.
const ECDSA_WITH_SHA2: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
/// 2.16.840.1.101.3.4.2, likewise of nine octets.
const SHA2: &[u8] = &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];
/// 1.3.101.112, whole.
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];

/// The DER of the AlgorithmIdentifier.
fn identifier(algorithm: Algorithm) -> Vec<u8> {
    match algorithm {
        Algorithm::RsaPkcs1(hash) => {
            let number = match hash {
                Sha2::Sha256 => 11,
                Sha2::Sha384 => 12,
                Sha2::Sha512 => 13,
            };
            tlv(SEQUENCE, &[PKCS1, &[number], NULL])
        }
        Algorithm::RsaPss(hash) => pss(hash, NULL),
        Algorithm::Ecdsa(hash) => {
            let number = match hash {
                Sha2::Sha256 => 2,
                Sha2::Sha384 => 3,
                Sha2::Sha512 => 4,
            };
            tlv(SEQUENCE, &[ECDSA_WITH_SHA2, &[number]])
        }
        Algorithm::Ed25519 => tlv(SEQUENCE, &[ED25519]),
    }
}

/// The other form of PSS: RFC 4055 section 2.1 lets the hash go without its NULL.
fn pss_without_null(algorithm: Algorithm) -> Vec<u8> {
    match algorithm {
        Algorithm::RsaPss(hash) => pss(hash, &[]),
        other => identifier(other),
    }
}

fn pss(hash: Sha2, hash_parameters: &[u8]) -> Vec<u8> {
    let number = match hash {
        Sha2::Sha256 => 1,
        Sha2::Sha384 => 2,
        Sha2::Sha512 => 3,
    };
    let salt_len = u8::try_from(hash.hash().output_len()).expect("a digest has at most 64 bytes");
    let hash = tlv(SEQUENCE, &[SHA2, &[number], hash_parameters]);
    let mask = tlv(SEQUENCE, &[PKCS1, &[MGF1], &hash]);
    let salt = tlv(INTEGER, &[&[salt_len]]);
    let parameters = tlv(SEQUENCE, &[&tlv(0xa0, &[&hash]), &tlv(0xa1, &[&mask]), &tlv(0xa2, &[&salt])]);
    tlv(SEQUENCE, &[PKCS1, &[RSASSA_PSS], &parameters])
}

/// A DER value of less than 128 bytes.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let length = u8::try_from(contents.len()).expect("the identifiers are short");
    [&[tag, length], &*contents].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7427 appendix A, of which these are the ones with SHA2-256, and RFC 8420 appendix A.
    const RFC: [(Algorithm, &[u8]); 4] = [
        (Algorithm::RsaPkcs1(Sha2::Sha256), b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"),
        (Algorithm::Ecdsa(Sha2::Sha256), b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"),
        (
            Algorithm::RsaPss(Sha2::Sha256),
            b"\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\
              \x03\x04\x02\x01\x05\x00\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0d\x06\x09\x60\
              \x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\xa2\x03\x02\x01\x20",
        ),
        (Algorithm::Ed25519, b"\x30\x05\x06\x03\x2b\x65\x70"),
    ];

    #[test]
    fn writes_the_identifiers_of_the_rfcs() {
        for (algorithm, der) in RFC {
            assert_eq!(identifier(algorithm), der, "{algorithm:?}");
        }
    }

    #[test]
    fn round_trips_every_algorithm() {
        for algorithm in all() {
            let mut data = Vec::new();
            emit(algorithm, &mut data);
            data.extend(b"signature");
            assert_eq!(parse(&data), Some((algorithm, &b"signature"[..])));
        }
    }

    #[test]
    fn takes_pss_with_and_without_null() {
        let name = pss(Sha2::Sha384, &[]);
        let data = [&[u8::try_from(name.len()).expect("short")], &*name, b"s"].concat();
        assert_eq!(parse(&data), Some((Algorithm::RsaPss(Sha2::Sha384), &b"s"[..])));
    }

    #[test]
    fn refuses_every_truncation_and_every_changed_bit() {
        for algorithm in all() {
            let mut data = Vec::new();
            emit(algorithm, &mut data);
            for n in 0..data.len() {
                assert_eq!(parse(&data[..n]), None, "{algorithm:?}, {n} bytes");
            }
            for bit in 0..data.len() * 8 {
                let mut changed = data.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(parse(&changed).map(|(found, _)| found), Some(algorithm), "{algorithm:?}, bit {bit}");
            }
        }
    }

    #[test]
    fn refuses_sha1_and_parameters_that_are_not_on_the_list() {
        let sha1_with_rsa = b"\x0f\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05\x05\x00";
        let ecdsa_with_sha1 = b"\x0b\x30\x09\x06\x07\x2a\x86\x48\xce\x3d\x04\x01";
        let pss_with_defaults = b"\x0f\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x00";
        let rsa_without_null = b"\x0d\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
        for data in [&sha1_with_rsa[..], ecdsa_with_sha1, pss_with_defaults, rsa_without_null] {
            assert_eq!(parse(data), None, "{data:02x?}");
        }
    }
}
