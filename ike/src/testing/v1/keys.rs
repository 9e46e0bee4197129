//! The initiator's reading of RFC 2409: SKEYID and what follows from it, hashes, IVs and keying material.
//!
//! Written apart from the responder's so that each checks the other; only HMAC, hash and cipher are shared.

use std::net::{IpAddr, SocketAddr};

use crate::child_sa::{ChildKeys, DirectionKeys};
use crate::crypto::cbc::{CbcKey, Iv};
use crate::crypto::hash::Hash;
use crate::crypto::prf::Prf;
use crate::crypto::secret::Secret;
use crate::crypto::suite::{Encr, Integ};
use crate::wire::{EspSpi, IkeSpi};

/// What the first transform of phase 1 that the responder chose says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suite {
    pub(super) encr: Encr,
    pub(super) hash: Hash,
}

impl Suite {
    pub(super) fn prf(self) -> Prf {
        Prf::of_hash(self.hash)
    }
}

/// What both sides have shown each other.
pub(super) struct Transcript {
    pub(super) cookies: (IkeSpi, IkeSpi),
    pub(super) public_i: Vec<u8>,
    pub(super) public_r: Vec<u8>,
    pub(super) nonce_i: Vec<u8>,
    pub(super) nonce_r: Vec<u8>,
    /// The body of the initiator's SA payload.
    pub(super) sa: Vec<u8>,
}

/// The keys of an ISAKMP SA.
pub(super) struct PhaseOneKeys {
    pub(super) suite: Suite,
    skeyid: Secret,
    skeyid_d: Secret,
    skeyid_a: Secret,
    pub(super) cipher: CbcKey,
}

impl PhaseOneKeys {
    /// With a pre-shared key, or without one for signatures.
    pub(super) fn derive(suite: Suite, transcript: &Transcript, shared: &Secret, psk: Option<&[u8]>) -> Self {
        let prf = suite.prf();
        let nonces = [&transcript.nonce_i[..], &transcript.nonce_r[..]].concat();
        let skeyid = match psk {
            Some(psk) => prf.mac(psk, &[&nonces]),
            None => prf.mac(&nonces, &[shared.expose()]),
        };
        let (i, r) = transcript.cookies;
        let next =
            |previous: &[u8], number: u8| prf.mac(skeyid.expose(), &[previous, shared.expose(), &i.0, &r.0, &[number]]);
        let skeyid_d = next(&[], 0);
        let skeyid_a = next(skeyid_d.expose(), 1);
        let skeyid_e = next(skeyid_a.expose(), 2);
        let cipher = CbcKey::new(suite.encr, long_key(prf, &skeyid_e, suite.encr.key_len())).expect("a CBC cipher");
        Self { suite, skeyid, skeyid_d, skeyid_a, cipher }
    }

    pub(super) fn hash_i(&self, t: &Transcript, id_body: &[u8]) -> Secret {
        let (i, r) = t.cookies;
        self.suite.prf().mac(self.skeyid.expose(), &[&t.public_i, &t.public_r, &i.0, &r.0, &t.sa, id_body])
    }

    pub(super) fn hash_r(&self, t: &Transcript, id_body: &[u8]) -> Secret {
        let (i, r) = t.cookies;
        self.suite.prf().mac(self.skeyid.expose(), &[&t.public_r, &t.public_i, &r.0, &i.0, &t.sa, id_body])
    }

    pub(super) fn first_iv(&self, t: &Transcript) -> Iv {
        self.cipher.iv(self.suite.hash, &[&t.public_i, &t.public_r])
    }

    pub(super) fn phase_two_iv(&self, last: &Iv, message_id: u32) -> Iv {
        self.cipher.iv(self.suite.hash, &[last.as_bytes(), &message_id.to_be_bytes()])
    }

    /// `prf(SKEYID_a, M-ID | parts)`: HASH(1), and with the initiator's nonce first HASH(2).
    pub(super) fn hash(&self, message_id: u32, parts: &[&[u8]]) -> Secret {
        let rest = parts.concat();
        self.suite.prf().mac(self.skeyid_a.expose(), &[&message_id.to_be_bytes(), &rest])
    }

    pub(super) fn hash_3(&self, message_id: u32, nonce_i: &[u8], nonce_r: &[u8]) -> Secret {
        let id = message_id.to_be_bytes();
        self.suite.prf().mac(self.skeyid_a.expose(), &[&[0], &id, nonce_i, nonce_r])
    }

    /// Keys of an ESP pair, each direction by the SPI of its receiver.
    pub(super) fn child(&self, seed: &ChildSeed<'_>, encr: Encr, integ: Option<Integ>) -> ChildKeys {
        const ESP: u8 = 3;
        let (key, mac) = (encr.keying_len(), integ.map_or(0, Integ::key_len));
        let direction = |spi: EspSpi| {
            let shared = seed.shared.map_or(&[][..], Secret::expose);
            let tail = [shared, &[ESP], &spi.0.to_be_bytes(), seed.nonce_i, seed.nonce_r].concat();
            let mut material: Vec<u8> = Vec::new();
            let mut block: Vec<u8> = Vec::new();
            while material.len() < key + mac {
                block = self.suite.prf().mac(self.skeyid_d.expose(), &[&block, &tail]).expose().to_vec();
                material.extend(&block);
            }
            DirectionKeys {
                encr: Secret::from_slice(&material[..key]),
                integ: Secret::from_slice(&material[key..key + mac]),
            }
        };
        ChildKeys { inbound: direction(seed.own_spi), outbound: direction(seed.peer_spi) }
    }
}

/// What the keys of an ESP pair are made of, besides SKEYID_d.
pub(super) struct ChildSeed<'a> {
    pub(super) shared: Option<&'a Secret>,
    pub(super) own_spi: EspSpi,
    pub(super) peer_spi: EspSpi,
    pub(super) nonce_i: &'a [u8],
    pub(super) nonce_r: &'a [u8],
}

/// Appendix B of RFC 2409.
fn long_key(prf: Prf, skeyid_e: &Secret, len: usize) -> Secret {
    if skeyid_e.len() >= len {
        return Secret::from_slice(&skeyid_e.expose()[..len]);
    }
    let mut blocks = vec![prf.mac(skeyid_e.expose(), &[&[0_u8]]).expose().to_vec()];
    while blocks.concat().len() < len {
        let last = blocks.last().expect("there is one").clone();
        blocks.push(prf.mac(skeyid_e.expose(), &[&last]).expose().to_vec());
    }
    Secret::from_slice(&blocks.concat()[..len])
}

/// RFC 3947 section 3.2.
pub(super) fn nat_hash(hash: Hash, cookies: (IkeSpi, IkeSpi), address: SocketAddr) -> Vec<u8> {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    hash.digest(&[&cookies.0.0, &cookies.1.0, &ip, &address.port().to_be_bytes()])
}
