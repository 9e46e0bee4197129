//! MODP groups: exponentiation modulo a safe prime, constant time in the exponent.
//!
//! Groups 2 (RFC 7296 appendix B.2), 5, 14, 15 and 16 (RFC 3526 sections 2 to 5); the generator is 2.
//! Private exponents are short, by the larger estimates of RFC 3526 section 8, and always
//! processed at their full length.

use std::sync::LazyLock;

use crypto_bigint::{
    Odd, U512, U1024, U1536, U2048, U3072, U4096, Uint,
    modular::{FixedMontyForm, FixedMontyParams},
};
use zeroize::Zeroizing;

use super::{super::random::Random, DhError, Group, Secret};

/// The modulus of a MODP group.
#[derive(Clone, Copy)]
pub(super) enum Prime {
    P1024,
    P1536,
    P2048,
    P3072,
    P4096,
}

impl Prime {
    /// The modulus of `group`, if it is a MODP group.
    pub(super) const fn of(group: Group) -> Option<Self> {
        match group {
            Group::Modp1024 => Some(Self::P1024),
            Group::Modp1536 => Some(Self::P1536),
            Group::Modp2048 => Some(Self::P2048),
            Group::Modp3072 => Some(Self::P3072),
            Group::Modp4096 => Some(Self::P4096),
            Group::Ecp256 | Group::Ecp384 | Group::Ecp521 | Group::Curve25519 => None,
        }
    }

    const fn len(self) -> usize {
        match self {
            Self::P1024 => 128,
            Self::P1536 => 192,
            Self::P2048 => 256,
            Self::P3072 => 384,
            Self::P4096 => 512,
        }
    }

    /// Length of a private exponent in bits: twice the strength of the group, rounded up to whole
    /// limbs; RFC 3526 section 8, second estimate.
    const fn exponent_bits(self) -> u32 {
        match self {
            Self::P1024 | Self::P1536 => 256,
            Self::P2048 => 320,
            Self::P3072 => 448,
            Self::P4096 => 512,
        }
    }

    /// `base ^ exponent`; `None` unless `1 < base < p - 1`.
    fn power(self, base: &[u8], exponent: &U512) -> Option<Vec<u8>> {
        let bits = self.exponent_bits();
        match self {
            Self::P1024 => power(&MODP_1024, base, exponent, bits),
            Self::P1536 => power(&MODP_1536, base, exponent, bits),
            Self::P2048 => power(&MODP_2048, base, exponent, bits),
            Self::P3072 => power(&MODP_3072, base, exponent, bits),
            Self::P4096 => power(&MODP_4096, base, exponent, bits),
        }
    }
}

/// A private exponent.
pub(super) struct Private {
    prime: Prime,
    exponent: Zeroizing<U512>,
}

impl Private {
    /// `peer ^ exponent`; `peer` is as long as the modulus.
    pub(super) fn agree(&self, peer: &[u8]) -> Result<Secret, DhError> {
        self.prime.power(peer, &self.exponent).map(Secret::new).ok_or(DhError::NotInGroup)
    }
}

/// A fresh exponent and `2 ^ exponent`, as long as the modulus.
pub(super) fn generate(prime: Prime, random: &mut dyn Random) -> (Private, Vec<u8>) {
    let mut bytes = Zeroizing::new([0; U512::BYTES]);
    let unused = U512::BYTES - prime.exponent_bits() as usize / 8;
    random.fill(&mut bytes[unused..]);
    let exponent = Zeroizing::new(U512::from_be_slice(&*bytes));
    let mut generator = vec![0; prime.len()];
    generator[prime.len() - 1] = 2;
    let public = prime.power(&generator, &exponent).expect("1 < 2 < p - 1");
    (Private { prime, exponent }, public)
}

fn power<const LIMBS: usize>(
    modulus: &FixedMontyParams<LIMBS>,
    base: &[u8],
    exponent: &U512,
    bits: u32,
) -> Option<Vec<u8>> {
    let base = Uint::<LIMBS>::from_be_slice(base);
    let last = modulus.modulus().as_ref().wrapping_sub(&Uint::ONE);
    if base <= Uint::ONE || base >= last {
        return None;
    }
    let result = FixedMontyForm::new(&base, modulus).pow_bounded_exp(exponent, bits).retrieve();
    Some(result.to_be_bytes().as_ref().to_vec())
}

static MODP_1024: LazyLock<FixedMontyParams<{ U1024::LIMBS }>> = LazyLock::new(|| modulus(P1024));
static MODP_1536: LazyLock<FixedMontyParams<{ U1536::LIMBS }>> = LazyLock::new(|| modulus(P1536));
static MODP_2048: LazyLock<FixedMontyParams<{ U2048::LIMBS }>> = LazyLock::new(|| modulus(P2048));
static MODP_3072: LazyLock<FixedMontyParams<{ U3072::LIMBS }>> = LazyLock::new(|| modulus(P3072));
static MODP_4096: LazyLock<FixedMontyParams<{ U4096::LIMBS }>> = LazyLock::new(|| modulus(P4096));

fn modulus<const LIMBS: usize>(hex: &str) -> FixedMontyParams<LIMBS> {
    let prime = Odd::new(Uint::from_be_hex(hex)).expect("the primes are odd");
    FixedMontyParams::new_vartime(prime)
}

const P1024: &str = "\
    FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
    EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
    EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF";

const P1536: &str = "\
    FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
    EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
    EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
    83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA237327FFFFFFFFFFFFFFFF";

const P2048: &str = "\
    FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
    EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
    EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
    83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
    E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
    15728E5A8AACAA68FFFFFFFFFFFFFFFF";

const P3072: &str = "\
    FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
    EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
    EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
    83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
    E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
    15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7\
    ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C\
    BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF";

const P4096: &str = "\
    FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
    EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
    EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
    83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
    E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
    15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7\
    ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C\
    BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A92108011A723C12A787E6D7\
    88719A10BDBA5B2699C327186AF4E23C1A946834B6150BDA2583E9CA2AD44CE8DBBBC2DB04DE8EF92E8EFC141FBECAA6\
    287C59474E6BC05D99B2964FA090C3A2233BA186515BE7ED1F612970CEE2D7AFB81BDD762170481CD0069127D5B05AA9\
    93B4EA988D8FDDC186FFB7DC90A6C08F4DF435C934063199FFFFFFFFFFFFFFFF";

#[cfg(test)]
mod tests {
    use crypto_bigint::{Limb, NonZero};

    use super::*;
    use crate::crypto::{hash::Hash, testing::from_hex};

    const PRIMES: [(Prime, u32, &str, u64); 5] = [
        (Prime::P1024, 1024, P1024, 129_093),
        (Prime::P1536, 1536, P1536, 741_804),
        (Prime::P2048, 2048, P2048, 124_476),
        (Prime::P3072, 3072, P3072, 1_690_314),
        (Prime::P4096, 4096, P4096, 240_904),
    ];

    /// Fixed-point numbers with this many bits behind the point.
    const FRACTION: u32 = 4160;
    type Fixed = Uint<{ U4096::LIMBS + 2 * U512::LIMBS }>;

    /// `arctan (1 / x)`, by its series.
    fn arctan_of_inverse(x: u32) -> Fixed {
        let divided = |value: &Fixed, by: u32| value.div_rem_limb(NonZero::new(Limb::from(by)).expect("not zero")).0;
        let mut power = divided(&Fixed::ONE.shl_vartime(FRACTION), x);
        let mut sum = power;
        for n in 1.. {
            power = divided(&power, x * x);
            let term = divided(&power, 2 * n + 1);
            if term == Fixed::ZERO {
                break;
            }
            sum = if n % 2 == 0 { sum.wrapping_add(&term) } else { sum.wrapping_sub(&term) };
        }
        sum
    }

    /// RFC 2412 appendix E and RFC 3526: `2^n - 2^(n-64) - 1 + 2^64 * ([2^(n-130) pi] + c)`.
    #[test]
    fn primes_follow_from_pi() {
        let [fifth, tiny] = [5, 239].map(arctan_of_inverse);
        let pi = fifth.shl_vartime(4).wrapping_sub(&tiny.shl_vartime(2)); // Machin's formula
        for (_, bits, hex, c) in PRIMES {
            let middle = pi.shr_vartime(FRACTION - (bits - 130)).wrapping_add(&Fixed::from(c));
            let expected = Fixed::ONE
                .shl_vartime(bits)
                .wrapping_sub(&Fixed::ONE.shl_vartime(bits - 64))
                .wrapping_sub(&Fixed::ONE)
                .wrapping_add(&middle.shl_vartime(64));
            let expected = expected.to_be_bytes();
            let (zeros, expected) = expected.as_ref().split_at(expected.as_ref().len() - bits as usize / 8);
            assert!(zeros.iter().all(|byte| *byte == 0));
            assert_eq!(expected, from_hex(hex), "{bits} bits");
        }
    }

    /// Computed with another implementation: Python's `pow`.
    #[test]
    fn raises_as_another_implementation_does() {
        for (prime, of_two, of_other) in [
            (
                Prime::P1024,
                "3e5e53f04e5eeec9a4732ead2dc7f2ffad5d7f6aab19395b4a8130e8ec660251",
                "6b85c14a119c80a7da7e67f2ccd0c45185539fd8e9a67ceaf03b054680e2b8e6",
            ),
            (
                Prime::P1536,
                "9a5ea5c17387a96223486d00a3d3437a4622bc0c790f48f01a1cebca6ce67221",
                "9ecc36cf1b80508a1eef24bfee90fec6566137d5afcc9f1c9bbfac4d4edf5979",
            ),
            (
                Prime::P2048,
                "3ae26e14ac54744ba175a8b2c76205eebfc4fdb8314c4c40ae2ea47b3c0e28a3",
                "57331ab69577ecab0d9bc73221e33ba358b5f319e0e560caeb650d069a8f29b9",
            ),
            (
                Prime::P3072,
                "2a9f2a20bd56167b364eac425220fa443f9ffe3381398ac1f5d0d3e1cd83aa0a",
                "1ad1330fa5fd829413433c221e642ac3e8ca5c113789157451413ffc0034061c",
            ),
            (
                Prime::P4096,
                "0439872574dafc9b300359ea0dd742c3976ccf9fa56883bdb8268462adedf8cf",
                "3bb6dca9358a1930a9b482b557dd0d1852fa6247a47598a15bf2fee56ea36730",
            ),
        ] {
            let mut exponent = [0; U512::BYTES];
            let length = prime.exponent_bits() as usize / 8;
            (1..).zip(&mut exponent[U512::BYTES - length..]).for_each(|(value, byte)| *byte = value);
            let exponent = U512::from_be_slice(&exponent);
            let mut two = vec![0; prime.len()];
            two[prime.len() - 1] = 2;
            let other: Vec<u8> = [0].into_iter().chain((0..prime.len() - 1).map(|i| (i * 7 % 256) as u8)).collect();
            for (base, digest) in [(two, of_two), (other, of_other)] {
                let result = prime.power(&base, &exponent).expect("in range");
                assert_eq!(Hash::Sha256.digest(&[&result]), from_hex(digest), "{} bytes", prime.len());
            }
        }
    }

    #[test]
    fn refuses_zero_one_and_minus_one_and_takes_their_neighbours() {
        for (prime, _, hex, _) in PRIMES {
            let number = |last: u8| {
                let mut number = vec![0; prime.len()];
                number[prime.len() - 1] = last;
                number
            };
            let below_p = |distance: u8| {
                let mut number = from_hex(hex);
                number[prime.len() - 1] -= distance;
                number
            };
            let private = Private { prime, exponent: Zeroizing::new(U512::from(3_u8)) };
            for refused in [number(0), number(1), below_p(1), below_p(0), vec![0xff; prime.len()]] {
                assert_eq!(private.agree(&refused).err(), Some(DhError::NotInGroup));
            }
            assert!(private.agree(&number(2)).expect("2 is a good value").ct_eq(&number(8)));
            assert!(private.agree(&below_p(2)).expect("-2 is a good value").ct_eq(&below_p(8)));
        }
    }

    #[test]
    fn uses_exponents_of_the_full_length() {
        struct Ones;
        impl Random for Ones {
            fn fill(&mut self, out: &mut [u8]) {
                out.fill(0xff);
            }
        }
        for (prime, ..) in PRIMES {
            let (private, _) = generate(prime, &mut Ones);
            assert_eq!(private.exponent.bits(), prime.exponent_bits());
        }
    }
}
