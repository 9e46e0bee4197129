//! Elliptic curve groups: P-256 and P-384 by *ring*, P-521 by `p521`, Curve25519 by `x25519-dalek`.
//!
//! For the NIST curves the KE payload is `x | y` without the octet that SEC 1 puts in front, and
//! the shared secret is the x coordinate (RFC 5903 section 7). Curve25519: RFC 8031 section 2.

use p521::elliptic_curve::{Generate as _, sec1::ToSec1Point as _};
use ring::{agreement, rand::SystemRandom};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::{
    super::random::{Adapter, Random},
    DhError, Group, Secret,
};

/// SEC 1 section 2.3.3: what precedes an uncompressed point.
const UNCOMPRESSED: u8 = 4;

/// A private scalar.
pub(super) enum Private {
    Ring(agreement::EphemeralPrivateKey, &'static agreement::Algorithm),
    P521(Box<p521::SecretKey>),
    X25519(Box<StaticSecret>),
}

impl Private {
    /// The shared secret with `peer`, which has the length of the group's public values.
    pub(super) fn agree(self, peer: &[u8]) -> Result<Secret, DhError> {
        match self {
            Self::Ring(private, algorithm) => {
                let peer = agreement::UnparsedPublicKey::new(algorithm, sec1(peer));
                agreement::agree_ephemeral(private, &peer, Secret::from_slice).map_err(|_| DhError::NotInGroup)
            }
            Self::P521(private) => {
                let peer = p521::PublicKey::from_sec1_bytes(&sec1(peer)).map_err(|_| DhError::NotInGroup)?;
                Ok(Secret::from_slice(private.diffie_hellman(&peer).raw_secret_bytes()))
            }
            Self::X25519(private) => {
                let peer: [u8; 32] = peer.try_into().map_err(|_| DhError::NotInGroup)?;
                let shared = private.diffie_hellman(&PublicKey::from(peer));
                shared.was_contributory().then(|| Secret::from_slice(shared.as_bytes())).ok_or(DhError::NotInGroup)
            }
        }
    }
}

/// A fresh private scalar and the public value that the KE payload carries.
///
/// # Panics
/// If the operating system has no randomness; and for MODP groups, which are not curves.
pub(super) fn generate(group: Group, random: &mut dyn Random) -> (Private, Vec<u8>) {
    match group {
        Group::Ecp256 => ring_pair(&agreement::ECDH_P256),
        Group::Ecp384 => ring_pair(&agreement::ECDH_P384),
        Group::Ecp521 => {
            let private = Box::new(p521::SecretKey::generate_from_rng(&mut Adapter(random)));
            let public = private.public_key().to_sec1_point(false).as_bytes()[1..].to_vec();
            (Private::P521(private), public)
        }
        _ => {
            let mut bytes = Zeroizing::new([0; 32]);
            random.fill(&mut *bytes);
            let private = Box::new(StaticSecret::from(*bytes));
            let public = PublicKey::from(&*private).as_bytes().to_vec();
            (Private::X25519(private), public)
        }
    }
}

fn ring_pair(algorithm: &'static agreement::Algorithm) -> (Private, Vec<u8>) {
    let private = agreement::EphemeralPrivateKey::generate(algorithm, &SystemRandom::new())
        .expect("the operating system has randomness");
    let public = private.compute_public_key().expect("a generated key has a public key");
    let public = public.as_ref()[1..].to_vec();
    (Private::Ring(private, algorithm), public)
}

fn sec1(point: &[u8]) -> Vec<u8> {
    [&[UNCOMPRESSED], point].concat()
}
