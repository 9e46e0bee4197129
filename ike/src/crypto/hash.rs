//! Digests. SHA-2 is computed by *ring*, SHA-1 by the faster `sha1`.
//!
//! SHA-1 is here for NAT detection (RFC 7296 section 2.23), certificate requests (section 3.7),
//! HMAC-SHA-1, signatures of authentication method 1, and IKEv1; what else may use it, policy decides.

use ring::digest;
use sha1::Digest as _;

use crate::wire::v1::num::IsakmpHash;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SHA-1, 160 bits.
    Sha1,
    /// SHA2-256.
    Sha256,
    /// SHA2-384.
    Sha384,
    /// SHA2-512.
    Sha512,
}

impl Hash {
    /// The hash algorithm of an ISAKMP SA with this number, RFC 2409 appendix A; MD5 and Tiger are none.
    #[must_use]
    pub const fn from_isakmp(id: IsakmpHash) -> Option<Self> {
        match id {
            IsakmpHash::SHA1 => Some(Self::Sha1),
            IsakmpHash::SHA2_256 => Some(Self::Sha256),
            IsakmpHash::SHA2_384 => Some(Self::Sha384),
            IsakmpHash::SHA2_512 => Some(Self::Sha512),
            _ => None,
        }
    }

    /// Length of a digest in bytes.
    #[must_use]
    pub const fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The digest of all `parts`, one after the other.
    #[must_use]
    pub fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Sha1 => {
                let mut state = sha1::Sha1::new();
                parts.iter().for_each(|part| state.update(part));
                state.finalize().to_vec()
            }
            Self::Sha256 => sha2(&digest::SHA256, parts),
            Self::Sha384 => sha2(&digest::SHA384, parts),
            Self::Sha512 => sha2(&digest::SHA512, parts),
        }
    }
}

fn sha2(algorithm: &'static digest::Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut state = digest::Context::new(algorithm);
    parts.iter().for_each(|part| state.update(part));
    state.finish().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::from_hex;

    #[test]
    fn has_sha_for_ikev1_but_never_md5() {
        let known = [1, 2, 3, 4, 5, 6, 7].map(|id| Hash::from_isakmp(IsakmpHash(id)));
        let sha2 = [Some(Hash::Sha256), Some(Hash::Sha384), Some(Hash::Sha512)];
        assert_eq!(known, [None, Some(Hash::Sha1), None, sha2[0], sha2[1], sha2[2], None]);
    }

    #[test]
    fn digests_abc_as_fips_180_does_however_it_is_cut() {
        for (hash, digest) in [
            (Hash::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (Hash::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                Hash::Sha384,
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                Hash::Sha512,
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ] {
            assert_eq!(hash.digest(&[b"abc"]), from_hex(digest), "{hash:?}");
            assert_eq!(hash.digest(&[b"a", b"", b"bc"]), from_hex(digest), "{hash:?}");
            assert_eq!(hash.output_len() * 2, digest.len());
        }
    }
}
