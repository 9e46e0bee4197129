//! Key derivation and the octets of AUTH payloads, RFC 7296 sections 2.14 to 2.18.

use crate::child_sa::{ChildKeys, ChildSuite, DirectionKeys};
use crate::crypto::prf::Prf;
use crate::crypto::secret::Secret;
use crate::crypto::sk::SkKey;
use crate::crypto::suite::Integ;
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

impl SpiPair {
    /// A number that both ends have for the IKE SA.
    pub(crate) fn precedence(&self) -> u128 {
        u128::from(u64::from_be_bytes(self.initiator.0)) << 64 | u128::from(u64::from_be_bytes(self.responder.0))
    }
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
        let integ_len = suite.integ.map_or(0, Integ::key_len);
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
    let integ_len = suite.integ.map_or(0, Integ::key_len);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::dh::Group;
    use crate::crypto::suite::{AesBits, Encr};
    use crate::crypto::testing::SeededRandom;

    // One login with the pre-shared key "swordfish-swordfish" between this responder ("gw.example") and strongSwan 5.9.8
    // ("laptop"), which logged its keys: IKE aes128-sha256-x25519, ESP aes128-sha256.
    const SHARED: &str = "a3495240f1addc999ca11db929a5cd2d4155fb745713a3cdec6b9fba0b39f849";
    const SPI_I: &str = "672092e5478d6e1d";
    const SPI_R: &str = "01afbdb84c76820a";
    const NI: &str = "e0ee66c3c657bb1bc76043ab8bcd6c5f85c50f599a509d62c9324cbba84b0251";
    const NR: &str = "6fa52e10d7af278b3014d281a5537b856e09b88ea668eea764b34860524711d7";
    const SK_D: &str = "fcfbe6cf9fdc12b160daf37cf56077090fcf20dd28494271363ae58b9113fa8f";
    const SK_AI: &str = "af4ee147d9f993df7feee6828efdfa87c7c14c1367b533fb86e08ebde3689d1b";
    const SK_AR: &str = "a9f940e23f6f14bfc10d5c2cb68bc32915367d77bfe594a4871817e7944fce8c";
    const SK_EI: &str = "f1c8282b3bf87c2db53695c552387128";
    const SK_ER: &str = "fd75a343a05a77123fc9f6b702727da2";
    const SK_PI: &str = "e148af390ef6506016669bd56583bac05028f5029c09282d94488365d18f9650";
    const SK_PR: &str = "832b605fd0eeaf1a3c293719345715a8269a75ef8c8f0b3c259c01f17be3e7f3";
    const CHILD_EI: &str = "17b18c22cbf5e675aa49471d0d5f0744";
    const CHILD_AI: &str = "0b67ef219fcc0df646f45327591f03b45aa273219d9ffafafd1f612b14ea1575";
    const CHILD_ER: &str = "ba4007eb245684b83c6c9b31f5071d2e";
    const CHILD_AR: &str = "81769e14318b8fb0346955d1313c9a1369da44a364c4820e8706f8cccd0b0ef2";
    const AUTH_INITIATOR: &str = "b29033d0ba55ffd9b4eed4828107b8a43236837e94d448cea53c16458c386cf5";
    const AUTH_RESPONDER: &str = "d545ae242f804ca757a5ada93abd2ae47541c2c4e872bfe0a1ce8b36263e3037";
    const REQUEST: &str = concat!(
        "672092e5478d6e1d00000000000000002120220800000000000000f0220000300000002c010100040300000c0100000c",
        "800e0080030000080300000c0300000802000005000000080400001f28000028001f0000bf6c5a3f8492a70557cf3748",
        "c859f8fd1776575a86289d8fded5a623279b581729000024e0ee66c3c657bb1bc76043ab8bcd6c5f85c50f599a509d62",
        "c9324cbba84b02512900001c00004004d0749dc7a44bf76b296322a647a4f29b7fe166062900001c0000400568345acd",
        "eea01a7e40374f66b3f53484fd106e59290000080000402e290000100000402f00020003000400050000000800004016",
    );
    const ANSWER: &str = concat!(
        "672092e5478d6e1d01afbdb84c76820a212022200000000000000101220000300000002c010100040300000c0100000c",
        "800e00800300000802000005030000080300000c000000080400001f28000028001f00008b49dd8ef2d3843361057174",
        "1e68a93c8ce4053a2f5ed326e92d15ac50332f3b290000246fa52e10d7af278b3014d281a5537b856e09b88ea668eea7",
        "64b34860524711d72900001c00004004805095b4c1e76c0037b24682ab70633d335be89a2600001c0000400504e9797e",
        "9670259e541e717bc67abbea948b78f7290000190498a4fd613cbebdf2ec7dc8e17bb55c3258d2101029000008000040",
        "2e000000100000402f0002000300040005",
    );

    fn hex(text: &str) -> Vec<u8> {
        let digit = |c: u8| u8::try_from(char::from(c).to_digit(16).expect("a digit")).expect("one digit");
        let (pairs, _) = text.as_bytes().as_chunks::<2>();
        pairs.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect()
    }

    fn spi(text: &str) -> IkeSpi {
        IkeSpi(hex(text).try_into().expect("8 bytes"))
    }

    fn recorded() -> (IkeSuite, IkeKeys) {
        let encr = Encr::AesCbc { bits: AesBits::B128 };
        let (integ, prf, group) = (Some(Integ::HmacSha256_128), Prf::HmacSha256, Group::Curve25519);
        let suite = IkeSuite { encr, integ, prf, group };
        let (ni, nr) = (hex(NI), hex(NR));
        let nonces = Nonces { initiator: &ni, responder: &nr };
        let spis = SpiPair { initiator: spi(SPI_I), responder: spi(SPI_R) };
        (suite, IkeKeys::initial(&suite, &Secret::new(hex(SHARED)), &nonces, spis))
    }

    #[test]
    fn derives_the_keys_that_strongswan_derived() {
        let (suite, keys) = recorded();
        assert!(keys.sa.derive.ct_eq(&hex(SK_D)));
        assert!(keys.prove_initiator.ct_eq(&hex(SK_PI)));
        assert!(keys.prove_responder.ct_eq(&hex(SK_PR)));
        for (mut ours, e, a) in [(keys.sa.from_initiator, SK_EI, SK_AI), (keys.sa.from_responder, SK_ER, SK_AR)] {
            let theirs = SkKey::new(suite.encr, suite.integ, &hex(e), &hex(a)).expect("keys of the suite");
            let mut message = vec![1; 32];
            ours.seal(&mut message, b"payloads", &mut SeededRandom::new(1));
            assert_eq!(theirs.open(&message, 32).as_deref(), Ok(&b"payloads"[..]));
        }
    }

    #[test]
    fn derives_the_child_keys_that_strongswan_derived() {
        let (ike, keys) = recorded();
        let suite = ChildSuite { encr: ike.encr, integ: ike.integ, esn: false };
        let (ni, nr) = (hex(NI), hex(NR));
        let nonces = Nonces { initiator: &ni, responder: &nr };
        let ChildKeys { inbound, outbound } = child(ike.prf, &keys.sa.derive, &suite, None, &nonces);
        assert!(inbound.encr.ct_eq(&hex(CHILD_EI)) && inbound.integ.ct_eq(&hex(CHILD_AI)));
        assert!(outbound.encr.ct_eq(&hex(CHILD_ER)) && outbound.integ.ct_eq(&hex(CHILD_AR)));
    }

    #[test]
    fn makes_the_auth_data_that_strongswan_made() {
        let (suite, keys) = recorded();
        let auth = |message, nonce, prove, identity: &str| {
            let id = own_id_body(&Identity::Fqdn(identity.into()));
            let octets = auth_octets(suite.prf, &hex(message), &hex(nonce), prove, &id);
            shared_key_auth(suite.prf, b"swordfish-swordfish", &octets)
        };
        assert!(auth(REQUEST, NR, &keys.prove_initiator, "laptop").ct_eq(&hex(AUTH_INITIATOR)));
        assert!(auth(ANSWER, NI, &keys.prove_responder, "gw.example").ct_eq(&hex(AUTH_RESPONDER)));
    }
}
