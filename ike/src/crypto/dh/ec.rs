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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::testing::{SeededRandom, from_hex};

    const P521_I: &str = "0037ADE9319A89F4DABDB3EF411AACCCA5123C61ACAB57B5393DCE47608172A095AA85A30FE1C2952C6771D937BA9777F5\
        957B2639BAB072462F68C27A57382D4A52";
    const P521_GI: &str = "0015417E84DBF28C0AD3C278713349DC7DF153C897A1891BD98BAB4357C9ECBEE1E3BF42E00B8E380AEAE57C2D10756494\
        1885942AF5A7F4601723C4195D176CED3E\
        017CAE20B6641D2EEB695786D8C946146239D099E18E1D5A514C739D7CB4A10AD8A788015AC405D7799DC75E7B7D5B6CF2\
        261A6A7F1507438BF01BEB6CA3926F9582";
    const P521_R: &str = "0145BA99A847AF43793FDD0E872E7CDFA16BE30FDC780F97BCCC3F078380201E9C677D600B343757A3BDBF2A3163E4C2F8\
        69CCA7458AA4A4EFFC311F5CB151685EB9";
    const P521_GR: &str = "00D0B3975AC4B799F5BEA16D5E13E9AF971D5E9B984C9F39728B5E5739735A219B97C356436ADC6E95BB0352F6BE64A6C2\
        912D4EF2D0433CED2B6171640012D9460F\
        015C68226383956E3BD066E797B623C27CE0EAC2F551A10C2C724D9852077B87220B6536C5C408A1D2AEBB8E86D678AE49\
        CB57091F4732296579AB44FCD17F0FC56A";
    const P521_SHARED: &str = "01144C7D79AE6956BC8EDB8E7C787C4521CB086FA64407F97894E5E6B2D79B04D1427E73CA4BAA240A347868598\
        10C06B3C715A3A8CC3151F2BEE417996D19F3DDEA";

    #[test]
    fn agrees_with_rfc_5903_on_p521() {
        for (private, peer) in [(P521_I, P521_GR), (P521_R, P521_GI)] {
            let key = p521::SecretKey::from_slice(&from_hex(private)).expect("a scalar");
            let shared = Private::P521(Box::new(key)).agree(&from_hex(peer)).expect("a point");
            assert!(shared.ct_eq(&from_hex(P521_SHARED)));
        }
    }

    #[test]
    fn agrees_with_rfc_7748() {
        let shared = from_hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        for (private, peer) in [
            (
                "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
                "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
            ),
            (
                "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
                "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
            ),
        ] {
            let private: [u8; 32] = from_hex(private).try_into().expect("32 bytes");
            let private = Private::X25519(Box::new(StaticSecret::from(private)));
            assert!(private.agree(&from_hex(peer)).expect("contributory").ct_eq(&shared));
        }
    }

    /// *ring* takes no fixed keys: RFC 5903 proves the double, and the double proves *ring*.
    #[test]
    fn agrees_with_another_implementation_of_p256() {
        let i = from_hex("C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433");
        let gr = "D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63\
                  56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB";
        let shared = from_hex("D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE");
        let double = p256::SecretKey::from_slice(&i).expect("a scalar");
        let by_double = |point: &[u8]| {
            let point = p256::PublicKey::from_sec1_bytes(&sec1(point)).expect("a point");
            double.diffie_hellman(&point).raw_secret_bytes().to_vec()
        };
        assert_eq!(by_double(&from_hex(gr)), shared);

        let (private, public) = generate(Group::Ecp256, &mut SeededRandom::new(1));
        let peer = double.public_key().to_sec1_point(false);
        assert!(private.agree(&peer.as_bytes()[1..]).expect("a point").ct_eq(&by_double(&public)));
    }

    #[test]
    fn agrees_with_another_implementation_of_p384() {
        let i = from_hex(
            "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655E35B538041E649EE3FAEF896783AB194",
        );
        let gr = "E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D0D1AC43A0336DEF96FDA41D0774A3571\
                  DCFBEC7AACF3196472169E838430367F66EEBE3C6E70C416DD5F0C68759DD1FFF83FA40142209DFF5EAAD96DB9E6386C";
        let shared = from_hex(
            "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4D603135569B9E9D09CF5D4A270F59746",
        );
        let double = p384::SecretKey::from_slice(&i).expect("a scalar");
        let by_double = |point: &[u8]| {
            let point = p384::PublicKey::from_sec1_bytes(&sec1(point)).expect("a point");
            double.diffie_hellman(&point).raw_secret_bytes().to_vec()
        };
        assert_eq!(by_double(&from_hex(gr)), shared);

        let (private, public) = generate(Group::Ecp384, &mut SeededRandom::new(1));
        let peer = double.public_key().to_sec1_point(false);
        assert!(private.agree(&peer.as_bytes()[1..]).expect("a point").ct_eq(&by_double(&public)));
    }

    #[test]
    fn refuses_points_off_the_curve() {
        for group in [Group::Ecp256, Group::Ecp384, Group::Ecp521] {
            let (_, mut point) = generate(group, &mut SeededRandom::new(1));
            let last = point.len() - 1;
            point[last] ^= 1;
            let (private, _) = generate(group, &mut SeededRandom::new(2));
            assert_eq!(private.agree(&point).err(), Some(DhError::NotInGroup), "{group:?}");
        }
    }

    /// Points of small order, RFC 7748 section 7: their result is zero whatever the private key.
    #[test]
    fn refuses_points_of_small_order_on_curve25519() {
        for point in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ] {
            let (private, _) = generate(Group::Curve25519, &mut SeededRandom::new(3));
            assert_eq!(private.agree(&from_hex(point)).err(), Some(DhError::NotInGroup), "{point}");
        }
    }
}
