//! Key derivation and authentication hashes of IKEv1, RFC 2409 sections 5, 5.5 and appendix B.
//!
//! Does not: Diffie-Hellman, encryption.

use std::fmt;

use crate::child_sa::{ChildKeys, ChildSuite, DirectionKeys};
use crate::crypto::cbc::{CbcKey, Iv};
use crate::crypto::dh::Group;
use crate::crypto::hash::Hash;
use crate::crypto::prf::Prf;
use crate::crypto::secret::Secret;
use crate::crypto::suite::{Encr, Integ};
use crate::proposal;
use crate::wire::v1::num::{IsakmpAuth, ProtocolId};
use crate::wire::{EspSpi, IkeSpi};

/// `CKY-I` and `CKY-R`, which name an ISAKMP SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Cookies {
    pub(crate) initiator: IkeSpi,
    pub(crate) responder: IkeSpi,
}

/// The algorithms of an ISAKMP SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suite {
    pub(crate) encr: Encr,
    pub(crate) hash: Hash,
    pub(crate) group: Group,
    pub(crate) auth: IsakmpAuth,
}

/// As in `aes256-sha1-ecp384`.
impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prf = proposal::prf_name(self.prf());
        let hash = prf.strip_prefix("prf").unwrap_or(prf);
        write!(f, "{}-{hash}-{}", proposal::encr_name(self.encr), proposal::group_name(self.group))
    }
}

impl Suite {
    /// The HMAC of the negotiated hash, which is the pseudorandom function where none is negotiated (section 4).
    pub(crate) const fn prf(&self) -> Prf {
        Prf::of_hash(self.hash)
    }
}

/// `Ni_b` and `Nr_b`: the bodies of the nonce payloads.
#[derive(Clone, Copy)]
pub(crate) struct Nonces<'a> {
    pub(crate) initiator: &'a [u8],
    pub(crate) responder: &'a [u8],
}

/// `g^xi` and `g^xr` as the KE payloads carry them.
#[derive(Clone, Copy)]
pub(crate) struct PublicValues<'a> {
    pub(crate) initiator: &'a [u8],
    pub(crate) responder: &'a [u8],
}

/// The keys of an ISAKMP SA.
pub(crate) struct Keys {
    prf: Prf,
    /// `SKEYID`, for `HASH_I` and `HASH_R`.
    base: Secret,
    /// `SKEYID_d`, for the keys of Child SAs.
    derive: Secret,
    /// `SKEYID_a`, for the hashes of phase 2.
    authenticate: Secret,
    /// The cipher with its key, which is made of `SKEYID_e`.
    pub(crate) cipher: CbcKey,
}

/// `SKEYID` for pre-shared keys: `prf(psk, Ni_b | Nr_b)`.
pub(crate) fn skeyid_psk(prf: Prf, psk: &Secret, nonces: Nonces<'_>) -> Secret {
    prf.mac(psk.expose(), &[nonces.initiator, nonces.responder])
}

/// `SKEYID` for signatures: `prf(Ni_b | Nr_b, g^xy)`.
pub(crate) fn skeyid_signature(prf: Prf, shared: &Secret, nonces: Nonces<'_>) -> Secret {
    prf.mac(&[nonces.initiator, nonces.responder].concat(), &[shared.expose()])
}

impl Keys {
    /// Derives everything from `SKEYID` and `g^xy`.
    pub(crate) fn derive(suite: &Suite, base: Secret, shared: &Secret, cookies: Cookies) -> Self {
        let prf = suite.prf();
        let step = |previous: &[u8], label: u8| {
            let cookies = [cookies.initiator.0, cookies.responder.0].concat();
            prf.mac(base.expose(), &[previous, shared.expose(), &cookies, &[label]])
        };
        let derive = step(&[], 0);
        let authenticate = step(derive.expose(), 1);
        let encrypt = step(authenticate.expose(), 2);
        let key = prf.cipher_key(encrypt.expose(), suite.encr.key_len());
        let cipher = CbcKey::new(suite.encr, key).expect("only ciphers of phase 1 are chosen for it");
        Self { prf, base, derive, authenticate, cipher }
    }

    /// The IV of the first encrypted message of phase 1: the front of `hash(g^xi | g^xr)`, appendix B.
    pub(crate) fn first_iv(&self, public: PublicValues<'_>) -> Iv {
        self.cipher.iv(self.prf.hash(), &[public.initiator, public.responder])
    }

    /// The IV of the first message of an exchange of phase 2: the front of `hash(last block of phase 1 | M-ID)`.
    pub(crate) fn exchange_iv(&self, phase1: &Iv, message_id: u32) -> Iv {
        self.cipher.iv(self.prf.hash(), &[phase1.as_bytes(), &message_id.to_be_bytes()])
    }

    /// `HASH_I`: what the initiator of phase 1 proves its identity with. `sa` and `id` are bodies of payloads.
    pub(crate) fn hash_i(&self, public: PublicValues<'_>, cookies: Cookies, sa: &[u8], id: &[u8]) -> Secret {
        let parts = [public.initiator, public.responder, &cookies.initiator.0, &cookies.responder.0, sa, id];
        self.prf.mac(self.base.expose(), &parts)
    }

    /// `HASH_R`: the same of the responder. `sa` is still the initiator's.
    pub(crate) fn hash_r(&self, public: PublicValues<'_>, cookies: Cookies, sa: &[u8], id: &[u8]) -> Secret {
        let parts = [public.responder, public.initiator, &cookies.responder.0, &cookies.initiator.0, sa, id];
        self.prf.mac(self.base.expose(), &parts)
    }

    /// `HASH(1)`: `prf(SKEYID_a, M-ID | rest)`. With the nonce of the initiator in front of the rest, this is `HASH(2)`.
    pub(crate) fn message_hash(&self, message_id: u32, parts: &[&[u8]]) -> Secret {
        let id = message_id.to_be_bytes();
        let all: Vec<&[u8]> = std::iter::once(&id[..]).chain(parts.iter().copied()).collect();
        self.prf.mac(self.authenticate.expose(), &all)
    }

    /// `HASH(3)`: `prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b)`.
    pub(crate) fn hash_3(&self, message_id: u32, nonces: Nonces<'_>) -> Secret {
        let id = message_id.to_be_bytes();
        self.prf.mac(self.authenticate.expose(), &[&[0], &id, nonces.initiator, nonces.responder])
    }

    /// The keys of both directions of a Child SA, section 5.5, for us as the responder of the quick mode.
    pub(crate) fn child(
        &self,
        suite: &ChildSuite,
        shared: Option<&Secret>,
        (inbound, outbound): (EspSpi, EspSpi),
        nonces: Nonces<'_>,
    ) -> ChildKeys {
        ChildKeys {
            inbound: self.direction(suite, shared, inbound, nonces),
            outbound: self.direction(suite, shared, outbound, nonces),
        }
    }

    /// `KEYMAT = prf(SKEYID_d, [g(qm)^xy |] protocol | SPI | Ni_b | Nr_b)`, repeated until it is long enough. The cipher
    /// takes its key first.
    fn direction(&self, suite: &ChildSuite, shared: Option<&Secret>, spi: EspSpi, nonces: Nonces<'_>) -> DirectionKeys {
        let lengths = [suite.encr.keying_len(), suite.integ.map_or(0, Integ::key_len)];
        let shared = shared.map_or(&[][..], Secret::expose);
        let (protocol, spi) = ([ProtocolId::ESP.0], spi.0.to_be_bytes());
        let seed = [shared, &protocol, &spi, nonces.initiator, nonces.responder];
        let material = self.prf.feedback(self.derive.expose(), &seed, lengths.iter().sum());
        let [encr, integ] = material.split(lengths).expect("as much was derived");
        DirectionKeys { encr, integ }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::suite::AesBits;

    const COOKIES: Cookies = Cookies { initiator: IkeSpi([1; 8]), responder: IkeSpi([2; 8]) };
    const NONCES: Nonces<'_> = Nonces { initiator: &[3; 16], responder: &[4; 16] };

    fn suite(hash: Hash) -> Suite {
        let encr = Encr::AesCbc { bits: AesBits::B256 };
        Suite { encr, hash, group: Group::Modp2048, auth: IsakmpAuth::PRE_SHARED_KEY }
    }

    fn keys(hash: Hash) -> Keys {
        let suite = suite(hash);
        let base = skeyid_psk(suite.prf(), &Secret::from_slice(b"swordfish"), NONCES);
        Keys::derive(&suite, base, &Secret::from_slice(&[5; 256]), COOKIES)
    }

    #[test]
    fn both_sides_prove_different_things() {
        let keys = keys(Hash::Sha256);
        let public = PublicValues { initiator: &[6; 64], responder: &[7; 64] };
        let hash_i = keys.hash_i(public, COOKIES, b"sa", b"id");
        assert!(!hash_i.ct_eq(keys.hash_r(public, COOKIES, b"sa", b"id").expose()));
        assert!(!hash_i.ct_eq(keys.hash_i(public, COOKIES, b"sa", b"other").expose()));
        assert_eq!(hash_i.len(), 32);
    }

    #[test]
    fn each_direction_of_a_child_has_keys_of_its_own() {
        let keys = keys(Hash::Sha1);
        let suite =
            ChildSuite { encr: Encr::AesCbc { bits: AesBits::B256 }, integ: Some(Integ::HmacSha1_96), esn: false };
        let ChildKeys { inbound, outbound } = keys.child(&suite, None, (EspSpi(1), EspSpi(2)), NONCES);
        assert_eq!((inbound.encr.len(), inbound.integ.len()), (32, 20));
        assert!(!inbound.encr.ct_eq(outbound.encr.expose()));
        let shared = Secret::from_slice(&[8; 32]);
        let with_pfs = keys.child(&suite, Some(&shared), (EspSpi(1), EspSpi(2)), NONCES);
        assert!(!inbound.encr.ct_eq(with_pfs.inbound.encr.expose()));
    }

    #[test]
    fn ivs_have_the_length_of_a_block_and_depend_on_the_exchange() {
        let keys = keys(Hash::Sha1);
        let phase1 = keys.first_iv(PublicValues { initiator: &[6; 64], responder: &[7; 64] });
        let first = keys.exchange_iv(&phase1, 1);
        assert_eq!(first.as_bytes().len(), 16);
        assert_ne!(first, keys.exchange_iv(&phase1, 2));
    }
}
