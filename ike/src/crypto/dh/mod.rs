//! Diffie-Hellman, RFC 7296 sections 2.14 and 3.4: one key pair per exchange, used once.
//!
//! | groups | source | computed by |
//! |---|---|---|
//! | 2, 5, 14 to 16 | RFC 7296 appendix B, RFC 3526 | `crypto-bigint`, constant time |
//! | 19, 20 | RFC 5903 | *ring* |
//! | 21 | RFC 5903 | `p521` |
//! | 31 | RFC 8031 | `x25519-dalek` |
//!
//! A peer's public value is checked as RFC 6989 and RFC 8031 ask before a secret exists: MODP
//! `1 < y < p - 1`, points on the curve, and never the all-zero result of Curve25519.
//!
//! The keys of groups 19 and 20 come from the operating system whatever [`Random`] is given, since
//! *ring* accepts no other source.
//!
//! Does not: groups 1 and 22 to 24 (RFC 8247 forbids them), reuse of a key pair.

mod ec;
mod modp;

use super::{random::Random, secret::Secret};
use crate::wire::num::GroupId;

/// A Diffie-Hellman group that can be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// 1024-bit MODP, for stock Windows clients; too small for anything else.
    Modp1024,
    /// 1536-bit MODP.
    Modp1536,
    /// 2048-bit MODP.
    Modp2048,
    /// 3072-bit MODP.
    Modp3072,
    /// 4096-bit MODP.
    Modp4096,
    /// 256-bit random ECP, NIST P-256.
    Ecp256,
    /// 384-bit random ECP, NIST P-384.
    Ecp384,
    /// 521-bit random ECP, NIST P-521.
    Ecp521,
    /// Curve25519.
    Curve25519,
}

impl Group {
    /// Every group that can be computed, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Modp1024,
        Self::Modp1536,
        Self::Modp2048,
        Self::Modp3072,
        Self::Modp4096,
        Self::Ecp256,
        Self::Ecp384,
        Self::Ecp521,
        Self::Curve25519,
    ];

    /// The group with this number, if it can be computed.
    #[must_use]
    pub const fn from_id(id: GroupId) -> Option<Self> {
        match id {
            GroupId::MODP_1024 => Some(Self::Modp1024),
            GroupId::MODP_1536 => Some(Self::Modp1536),
            GroupId::MODP_2048 => Some(Self::Modp2048),
            GroupId::MODP_3072 => Some(Self::Modp3072),
            GroupId::MODP_4096 => Some(Self::Modp4096),
            GroupId::ECP_256 => Some(Self::Ecp256),
            GroupId::ECP_384 => Some(Self::Ecp384),
            GroupId::ECP_521 => Some(Self::Ecp521),
            GroupId::CURVE25519 => Some(Self::Curve25519),
            _ => None,
        }
    }

    /// The number of the group.
    #[must_use]
    pub const fn id(self) -> GroupId {
        match self {
            Self::Modp1024 => GroupId::MODP_1024,
            Self::Modp1536 => GroupId::MODP_1536,
            Self::Modp2048 => GroupId::MODP_2048,
            Self::Modp3072 => GroupId::MODP_3072,
            Self::Modp4096 => GroupId::MODP_4096,
            Self::Ecp256 => GroupId::ECP_256,
            Self::Ecp384 => GroupId::ECP_384,
            Self::Ecp521 => GroupId::ECP_521,
            Self::Curve25519 => GroupId::CURVE25519,
        }
    }

    /// Length of a public value in bytes, as the KE payload carries it: exactly this, RFC 7296
    /// section 3.4.
    #[must_use]
    pub const fn public_len(self) -> usize {
        match self {
            Self::Modp1024 => 128,
            Self::Modp1536 => 192,
            Self::Modp2048 => 256,
            Self::Modp3072 => 384,
            Self::Modp4096 => 512,
            Self::Ecp256 => 64,
            Self::Ecp384 => 96,
            Self::Ecp521 => 132,
            Self::Curve25519 => 32,
        }
    }
}

/// A private value with the public value that belongs to it.
pub struct KeyPair {
    group: Group,
    public: Vec<u8>,
    private: Private,
}

enum Private {
    Modp(modp::Private),
    Ec(ec::Private),
}

impl KeyPair {
    /// Makes a fresh key pair.
    #[must_use]
    pub fn generate(group: Group, random: &mut dyn Random) -> Self {
        let (private, public) = match modp::Prime::of(group) {
            Some(prime) => {
                let (private, public) = modp::generate(prime, random);
                (Private::Modp(private), public)
            }
            None => {
                let (private, public) = ec::generate(group, random);
                (Private::Ec(private), public)
            }
        };
        Self { group, public, private }
    }

    /// The group of both values.
    #[must_use]
    pub fn group(&self) -> Group {
        self.group
    }

    /// The public value, as the KE payload carries it.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// The shared secret `g^ir` with the peer's public value, as `SKEYSEED` takes it: as long as
    /// the modulus, for curves the x coordinate.
    ///
    /// # Errors
    /// [`DhError`] if `peer` is not a public value of the group that may be used.
    pub fn agree(self, peer: &[u8]) -> Result<Secret, DhError> {
        if peer.len() != self.group.public_len() {
            return Err(DhError::Length { expected: self.group.public_len(), got: peer.len() });
        }
        match self.private {
            Private::Modp(private) => private.agree(peer),
            Private::Ec(private) => private.agree(peer),
        }
    }
}

/// Why a peer's public value is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DhError {
    /// The value is not as long as the group's values are.
    #[error("the public value has {got} bytes instead of {expected}")]
    Length {
        /// Bytes that a value of the group has.
        expected: usize,
        /// Bytes that came.
        got: usize,
    },
    /// The value lies outside of the group, or in a subgroup that gives the secret away.
    #[error("the public value is not a usable element of the group")]
    NotInGroup,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::SeededRandom;

    fn pair(group: Group, seed: u64) -> KeyPair {
        KeyPair::generate(group, &mut SeededRandom::new(seed))
    }

    #[test]
    fn both_ends_agree_in_every_group() {
        for group in Group::ALL {
            let (one, two) = (pair(group, 1), pair(group, 2));
            let (public_one, public_two) = (one.public().to_vec(), two.public().to_vec());
            assert_eq!((public_one.len(), public_two.len()), (group.public_len(), group.public_len()), "{group:?}");
            assert_ne!(public_one, public_two, "{group:?}");
            let secret = one.agree(&public_two).expect("a good value");
            assert!(two.agree(&public_one).expect("a good value").ct_eq(secret.expose()), "{group:?}");
        }
    }

    #[test]
    fn refuses_every_other_length() {
        for group in Group::ALL {
            let public = pair(group, 1).public().to_vec();
            for length in [0, 1, public.len() / 2, public.len() - 1, public.len() + 1, 2 * public.len()] {
                let mut value = public.clone();
                value.resize(length, 1);
                let refused = pair(group, 2).agree(&value).err();
                assert_eq!(refused, Some(DhError::Length { expected: public.len(), got: length }), "{group:?}");
            }
        }
    }

    #[test]
    fn refuses_zero_in_every_group() {
        for group in Group::ALL {
            let refused = pair(group, 2).agree(&vec![0; group.public_len()]).err();
            assert_eq!(refused, Some(DhError::NotInGroup), "{group:?}");
        }
    }

    #[test]
    fn finds_every_group_by_its_number() {
        for group in Group::ALL {
            assert_eq!(Group::from_id(group.id()), Some(group));
        }
        for number in [0, 1, 17, 18, 22, 23, 24, 32, 1025, u16::MAX] {
            assert_eq!(Group::from_id(GroupId(number)), None, "{number}");
        }
    }
}
