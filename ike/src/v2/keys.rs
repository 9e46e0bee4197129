//! Key derivation and the octets of AUTH payloads, RFC 7296 sections 2.14 to 2.18.

use crate::child_sa::{ChildKeys, ChildSuite, DirectionKeys};
use crate::crypto::prf::Prf;
use crate::crypto::secret::Secret;
use crate::crypto::sk::SkKey;
use crate::identity::Identity;
use crate::proposal::IkeSuite;
use crate::wire::v2::Identification;
use crate::wire::{IkeSpi, Writer};

/// What a shared secret is mixed with before it becomes the key of an AUTH payload, RFC 7296 section 2.15.
const KEY_PAD: &[u8] = b"Key Pad for IKEv2";

/// `Ni` and `Nr`.
pub(crate) struct Nonces<'a> {
    pub(crate) initiator: &'a [u8],
    pub(crate) responder: &'a [u8],
}

/// `SPIi` and `SPIr` of one IKE SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SpiPair {
    pub(crate) initiator: IkeSpi,
    pub(crate) responder: IkeSpi,
}

/// The keys of an IKE SA that are used as long as it lives.
pub(crate) struct SaKeys {
    /// `SK_d`: other keys are derived from it.
    pub(crate) derive: Secret,
    /// `SK_ei` and `SK_ai`: protects what the initiator sends.
    pub(crate) from_initiator: SkKey,
    /// `SK_er` and `SK_ar`: protects what the responder sends.
    pub(crate) from_responder: SkKey,
}

/// All keys of an IKE SA.
pub(crate) struct IkeKeys {
    /// What the SA itself needs.
    pub(crate) sa: SaKeys,
    /// `SK_pi`.
    pub(crate) prove_initiator: Secret,
    /// `SK_pr`.
    pub(crate) prove_responder: Secret,
}

impl IkeKeys {
    /// The keys of the first IKE SA with a peer, section 2.14.
    pub(crate) fn initial(suite: &IkeSuite, shared: &Secret, nonces: &Nonces<'_>, spis: SpiPair) -> Self {
        let key = [nonces.initiator, nonces.responder].concat();
        let skeyseed = suite.prf.mac(&key, &[shared.expose()]);
        Self::expand(suite, &skeyseed, nonces, spis)
    }

    /// The keys of an IKE SA that replaces another, section 2.18. `prf` and `derive` are those of the old one.
    pub(crate) fn rekeyed(
        prf: Prf,
        derive: &Secret,
        suite: &IkeSuite,
        shared: &Secret,
        nonces: &Nonces<'_>,
        spis: SpiPair,
    ) -> Self {
        let skeyseed = prf.mac(derive.expose(), &[shared.expose(), nonces.initiator, nonces.responder]);
        Self::expand(suite, &skeyseed, nonces, spis)
    }

    fn expand(suite: &IkeSuite, skeyseed: &Secret, nonces: &Nonces<'_>, spis: SpiPair) -> Self {
        let (prf_len, encr_len) = (suite.prf.output_len(), suite.encr.keying_len());
        let integ_len = suite.integ.map_or(0, |integ| integ.key_len());
        let lengths = [prf_len, integ_len, integ_len, encr_len, encr_len, prf_len, prf_len];
        let seed = [nonces.initiator, nonces.responder, &spis.initiator.0, &spis.responder.0];
        let material = suite.prf.plus(skeyseed.expose(), &seed, lengths.iter().sum());
        let [derive, ai, ar, ei, er, prove_initiator, prove_responder] =
            material.split(lengths).expect("as much was derived");
        let key = |e: &Secret, a: &Secret| {
            SkKey::new(suite.encr, suite.integ, e.expose(), a.expose()).expect("lengths are those of the suite")
        };
        let (from_initiator, from_responder) = (key(&ei, &ai), key(&er, &ar));
        Self { sa: SaKeys { derive, from_initiator, from_responder }, prove_initiator, prove_responder }
    }
}

/// The keys of a Child SA, section 2.17, for the responder of the exchange that made it. `shared` is the result of the
/// exchange's own Diffie-Hellman.
pub(crate) fn child(
    prf: Prf,
    derive: &Secret,
    suite: &ChildSuite,
    shared: Option<&Secret>,
    nonces: &Nonces<'_>,
) -> ChildKeys {
    let encr_len = suite.encr.keying_len();
    let integ_len = suite.integ.map_or(0, |integ| integ.key_len());
    let lengths = [encr_len, integ_len, encr_len, integ_len];
    let shared = shared.map_or(&[][..], Secret::expose);
    let material = prf.plus(derive.expose(), &[shared, nonces.initiator, nonces.responder], lengths.iter().sum());
    let [ei, ai, er, ar] = material.split(lengths).expect("as much was derived");
    ChildKeys { inbound: DirectionKeys { encr: ei, integ: ai }, outbound: DirectionKeys { encr: er, integ: ar } }
}

/// What one side signs or authenticates with a shared key, section 2.15: its first message, the nonce of the other side,
/// and `prf(SK_p, ID')`.
pub(crate) fn auth_octets(prf: Prf, message: &[u8], peer_nonce: &[u8], prove: &Secret, id_body: &[u8]) -> Vec<u8> {
    [message, peer_nonce, prf.mac(prove.expose(), &[id_body]).expose()].concat()
}

/// The AUTH data for a shared key: a pre-shared one, the MSK of an EAP method, or without one `SK_p` (section 2.16).
pub(crate) fn shared_key_auth(prf: Prf, shared: &[u8], octets: &[u8]) -> Secret {
    prf.mac(prf.mac(shared, &[KEY_PAD]).expose(), &[octets])
}

/// The body of an identification payload without its generic header: `RestOfInitIDPayload`.
pub(crate) fn id_body(identification: &Identification<'_>) -> Vec<u8> {
    let mut out = Writer::new();
    identification.emit(&mut out);
    out.finish().expect("an identification has no length fields")
}

/// The body of our own identification payload.
pub(crate) fn own_id_body(identity: &Identity) -> Vec<u8> {
    id_body(&Identification::new(identity.id_type(), &identity.data()))
}
