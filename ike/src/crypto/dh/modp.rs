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
