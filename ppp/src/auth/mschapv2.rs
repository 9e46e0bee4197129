//! The computations of MS-CHAP version 2: RFC 2759 section 8, and its keys: RFC 3079 section 3.
//!
//! The scheme rests on DES and MD4 and is weak by today's measure. It is used only inside an IKE SA whose
//! server was authenticated by certificate, and because it is the one password method that stock clients share.
//!
//! Does not: know packets or accounts.

use des::Des;
use des::cipher::{BlockCipherEncrypt, KeyInit};
use md4::Md4;
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::nt_hash::NtHash;

/// Both challenges of one exchange and the name they are bound to.
#[derive(Clone, Copy)]
pub struct Challenges<'a> {
    /// AuthenticatorChallenge: ours.
    pub authenticator: &'a [u8; 16],
    /// PeerChallenge: the client's.
    pub peer: &'a [u8; 16],
    /// UserName as the client wrote it, without its domain.
    pub user_name: &'a [u8],
}

impl Challenges<'_> {
    /// ChallengeHash, RFC 2759 section 8.2.
    fn hash(&self) -> [u8; 8] {
        let digest = Sha1::new()
            .chain_update(self.peer)
            .chain_update(self.authenticator)
            .chain_update(self.user_name)
            .finalize();
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 20]>::from(digest);
        [a, b, c, d, e, f, g, h]
    }
}

/// Whether `response` is the NT-Response of somebody who knows the password, RFC 2759 section 8.1. Takes the same
/// time either way.
#[must_use]
pub fn verify(nt_hash: &NtHash, challenges: &Challenges<'_>, response: &[u8; 24]) -> bool {
    nt_response(nt_hash, challenges).ct_eq(response).into()
}

/// GenerateNTResponse, RFC 2759 section 8.1, with ChallengeResponse of section 8.5 in it.
#[must_use]
pub fn nt_response(nt_hash: &NtHash, challenges: &Challenges<'_>) -> [u8; 24] {
    let challenge = challenges.hash();
    let mut padded = Zeroizing::new([0; 21]);
    padded[..16].copy_from_slice(nt_hash.expose());
    let mut response = [0; 24];
    let (keys, _) = padded.as_chunks::<7>();
    let (blocks, _) = response.as_chunks_mut::<8>();
    for (key, block) in keys.iter().zip(blocks) {
        *block = des_encrypt(key, challenge);
    }
    response
}

/// GenerateAuthenticatorResponse, RFC 2759 section 8.7: the 20 bytes that are sent as `S=` and 40 hexadecimal digits.
#[must_use]
pub fn authenticator_response(nt_hash: &NtHash, challenges: &Challenges<'_>, response: &[u8; 24]) -> [u8; 20] {
    const MAGIC_1: &[u8] = b"Magic server to client signing constant";
    const MAGIC_2: &[u8] = b"Pad to make it do more than one iteration";
    let hash_hash = hash_of_hash(nt_hash);
    let digest = Sha1::new().chain_update(*hash_hash).chain_update(response).chain_update(MAGIC_1).finalize();
    Sha1::new().chain_update(digest).chain_update(challenges.hash()).chain_update(MAGIC_2).finalize().into()
}

/// The session keys, RFC 3079 section 3.3 with 128-bit keys, named from the server's side.
#[derive(Zeroize, zeroize::ZeroizeOnDrop)]
pub struct MasterKeys {
    /// MasterReceiveKey.
    pub receive: [u8; 16],
    /// MasterSendKey.
    pub send: [u8; 16],
}

impl MasterKeys {
    /// GetMasterKey and GetAsymmetricStartKey, RFC 3079 section 3.4.
    #[must_use]
    pub fn derive(nt_hash: &NtHash, response: &[u8; 24]) -> Self {
        const MAGIC: &[u8] = b"This is the MPPE Master Key";
        const CLIENT_SENDS: &[u8] =
            b"On the client side, this is the send key; on the server side, it is the receive key.";
        const SERVER_SENDS: &[u8] =
            b"On the client side, this is the receive key; on the server side, it is the send key.";
        let hash_hash = hash_of_hash(nt_hash);
        let master = sha1_16(&[hash_hash.as_slice(), response, MAGIC]);
        let start = |magic: &[u8]| *sha1_16(&[master.as_slice(), &[0; 40], magic, &[0xf2; 40]]);
        Self { receive: start(CLIENT_SENDS), send: start(SERVER_SENDS) }
    }
}

/// The message of a Failure packet: authentication failure, no retry (RFC 2759 section 6). `challenge` is for the retry
/// that never comes; RFC 2759 wants one nevertheless.
#[must_use]
pub fn failure_message(challenge: &[u8; 16]) -> String {
    format!("E=691 R=0 C={} V=3 M=Authentication failed", upper_hex(challenge))
}

/// The message of a Success packet, RFC 2759 section 5, with an authenticator response.
#[must_use]
pub fn success_message(authenticator_response: &[u8; 20]) -> String {
    format!("S={} M=Welcome", upper_hex(authenticator_response))
}

fn upper_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The bytes of a user name that are hashed: what follows the domain, as the client wrote it (RFC 2759 section 4).
#[must_use]
pub fn after_domain(name: &[u8]) -> &[u8] {
    name.rsplit(|&byte| byte == b'\\').next().unwrap_or(name)
}

/// HashNtPasswordHash, RFC 2759 section 8.4.
fn hash_of_hash(nt_hash: &NtHash) -> Zeroizing<[u8; 16]> {
    Zeroizing::new(Md4::digest(nt_hash.expose()).into())
}

/// The first 16 bytes of SHA-1.
fn sha1_16(parts: &[&[u8]]) -> Zeroizing<[u8; 16]> {
    let digest = parts.iter().fold(Sha1::new(), Digest::chain_update).finalize();
    let mut digest: [u8; 20] = digest.into();
    let mut key = Zeroizing::new([0; 16]);
    key.copy_from_slice(&digest[..16]);
    digest.zeroize();
    key
}

/// DesEncrypt, RFC 2759 section 8.6: the 56 key bits are spread over eight bytes; DES ignores the parity bits.
fn des_encrypt(key: &[u8; 7], block: [u8; 8]) -> [u8; 8] {
    let bits = key.iter().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
    let mut spread = Zeroizing::new([0; 8]);
    for (i, byte) in spread.iter_mut().enumerate() {
        *byte = (bits >> (49 - 7 * i)).to_le_bytes()[0] << 1;
    }
    let mut out = block.into();
    Des::new(&(*spread).into()).encrypt_block(&mut out);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 2759 section 9.2 and RFC 3079 section 3.5.3 use the same exchange.
    const AUTHENTICATOR: [u8; 16] = *b"[]|}{?/><,`!2&&(";
    const PEER: [u8; 16] = *b"!@#$%^&*()_+:3|~";
    const CHALLENGES: Challenges<'_> = Challenges { authenticator: &AUTHENTICATOR, peer: &PEER, user_name: b"User" };
    const NT_RESPONSE: [u8; 24] = [
        0x82, 0x30, 0x9e, 0xcd, 0x8d, 0x70, 0x8b, 0x5e, 0xa0, 0x8f, 0xaa, 0x39, 0x81, 0xcd, 0x83, 0x54, 0x42, 0x33,
        0x11, 0x4a, 0x3d, 0x85, 0xd6, 0xdf,
    ];

    fn password() -> NtHash {
        NtHash::of_password("clientPass")
    }

    #[test]
    fn hashes_the_challenges_of_rfc_2759() {
        assert_eq!(CHALLENGES.hash(), [0xd0, 0x2e, 0x43, 0x86, 0xbc, 0xe9, 0x12, 0x26]);
    }

    #[test]
    fn computes_the_nt_response_of_rfc_2759() {
        assert_eq!(nt_response(&password(), &CHALLENGES), NT_RESPONSE);
    }

    #[test]
    fn computes_the_authenticator_response_of_rfc_2759() {
        let response = authenticator_response(&password(), &CHALLENGES, &NT_RESPONSE);
        assert_eq!(success_message(&response), "S=407A5589115FD0D6209F510FE9C04566932CDA56 M=Welcome");
    }

    #[test]
    fn derives_the_keys_of_rfc_3079() {
        assert_eq!(
            *hash_of_hash(&password()),
            [0x41, 0xc0, 0x0c, 0x58, 0x4b, 0xd2, 0xd9, 0x1c, 0x40, 0x17, 0xa2, 0xa1, 0x2f, 0xa5, 0x9f, 0x3f]
        );
        let keys = MasterKeys::derive(&password(), &NT_RESPONSE);
        assert_eq!(
            keys.send, // SendStartKey128
            [0x8b, 0x7c, 0xdc, 0x14, 0x9b, 0x99, 0x3a, 0x1b, 0xa1, 0x18, 0xcb, 0x15, 0x3f, 0x56, 0xdc, 0xcb]
        );
        assert_eq!(
            keys.receive, // not in the RFC; the value that the RADIUS library layeh/radius tests for this exchange
            [0xd5, 0xf0, 0xe9, 0x52, 0x1e, 0x3e, 0xa9, 0x58, 0x96, 0x45, 0xe8, 0x60, 0x51, 0xc8, 0x22, 0x26]
        );
    }

    #[test]
    fn a_failure_forbids_the_retry() {
        let message = failure_message(&[0xab; 16]);
        assert_eq!(message, "E=691 R=0 C=ABABABABABABABABABABABABABABABAB V=3 M=Authentication failed");
    }

    #[test]
    fn the_domain_is_not_hashed() {
        for name in [&b"User"[..], br"CORP\User", br"corp.example\User", br"a\b\User"] {
            assert_eq!(after_domain(name), b"User");
        }
        assert_eq!(after_domain(b"CORP\\"), b"");
        assert_eq!(after_domain(b"user@corp.example"), b"user@corp.example");
    }

    #[test]
    fn another_password_name_or_challenge_does_not_verify() {
        assert!(verify(&password(), &CHALLENGES, &NT_RESPONSE));
        assert!(!verify(&NtHash::of_password("ClientPass"), &CHALLENGES, &NT_RESPONSE));
        assert!(!verify(&password(), &Challenges { user_name: b"user", ..CHALLENGES }, &NT_RESPONSE));
        assert!(!verify(&password(), &Challenges { peer: &AUTHENTICATOR, ..CHALLENGES }, &NT_RESPONSE));
    }
}
