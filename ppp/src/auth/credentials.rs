//! What a client says to prove who it is, and the check of it against an account's secret.

use std::fmt;

use md5::Md5;
use sha1::Digest;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::mschapv2::{self, Challenges, MasterKeys};
use super::nt_hash::NtHash;
use super::verdict::{Msk, MutualProof};

/// A password in clear: wiped on drop, never printed.
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Copies `bytes`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// A name and the proof of a password, or a certificate. The name is unproven until [`Credentials::prove`] says so.
pub enum Credentials {
    /// RFC 1334: the password itself.
    Pap {
        /// Peer-ID; bytes that are not UTF-8 become a name that nobody has.
        user: String,
        /// As the client sent it.
        password: Password,
    },
    /// RFC 1994 section 4.1: MD5 of identifier, password and challenge.
    ChapMd5 {
        /// Name.
        user: String,
        /// Identifier of our Challenge.
        identifier: u8,
        /// Value of our Challenge.
        challenge: [u8; 16],
        /// Value of the Response.
        response: [u8; 16],
    },
    /// RFC 2759, alone or inside EAP.
    MsChapV2 {
        /// Name as the client wrote it, perhaps with a domain.
        user: String,
        /// The bytes of the name that count in ChallengeHash: those behind the domain.
        hashed_name: Vec<u8>,
        /// Ours.
        authenticator_challenge: [u8; 16],
        /// The client's.
        peer_challenge: [u8; 16],
        /// NT-Response.
        nt_response: [u8; 24],
    },
    /// EAP-TLS: the client has shown that it has the key of a certificate, and the chain was found good. Whose account it
    /// is remains to be said.
    Certificate {
        /// What the client called itself in EAP-Response/Identity: a hint at most, the certificate counts.
        user: String,
        /// DER, the client's own certificate first.
        chain: Vec<Vec<u8>>,
    },
}

/// Everything but the name stays unprinted: a response is enough to guess a password offline.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Pap { .. } => "Pap",
            Self::ChapMd5 { .. } => "ChapMd5",
            Self::MsChapV2 { .. } => "MsChapV2",
            Self::Certificate { .. } => "Certificate",
        };
        f.debug_struct(name).field("user", &self.user()).finish_non_exhaustive()
    }
}

/// What an account knows of its password.
pub struct Verifier {
    nt_hash: NtHash,
    clear: Option<Zeroizing<String>>,
}

impl Verifier {
    /// Of an account whose clear password is known.
    #[must_use]
    pub fn of_password(password: &str) -> Self {
        Self { nt_hash: NtHash::of_password(password), clear: Some(Zeroizing::new(password.to_owned())) }
    }

    /// Of an account of which only the hash is known. It serves every method but CHAP-MD5.
    #[must_use]
    pub fn of_nt_hash(nt_hash: NtHash) -> Self {
        Self { nt_hash, clear: None }
    }

    /// The hash of the password.
    #[must_use]
    pub fn nt_hash(&self) -> &NtHash {
        &self.nt_hash
    }

    /// Whether CHAP-MD5 is possible.
    #[must_use]
    pub fn has_clear_password(&self) -> bool {
        self.clear.is_some()
    }
}

/// What a check of [`Credentials`] yields.
pub enum Proof {
    /// The client knows the password; with MS-CHAPv2 this goes into [`super::Verdict::Accepted`].
    Right(Option<MutualProof>),
    /// It does not.
    Wrong,
    /// CHAP-MD5 cannot be checked against a hash: the operator must give this account a `password`.
    NeedsClearPassword,
}

impl Credentials {
    /// Those of an MS-CHAPv2 Response; `name` as it is in the packet.
    #[must_use]
    pub fn ms_chap_v2(
        name: &[u8],
        authenticator_challenge: &[u8; 16],
        peer_challenge: &[u8; 16],
        nt_response: &[u8; 24],
    ) -> Self {
        Self::MsChapV2 {
            user: name_text(name),
            hashed_name: mschapv2::after_domain(name).to_vec(),
            authenticator_challenge: *authenticator_challenge,
            peer_challenge: *peer_challenge,
            nt_response: *nt_response,
        }
    }

    /// The name the client gives: unproven.
    #[must_use]
    pub fn user(&self) -> &str {
        match self {
            Self::Pap { user, .. }
            | Self::ChapMd5 { user, .. }
            | Self::MsChapV2 { user, .. }
            | Self::Certificate { user, .. } => user,
        }
    }

    /// Whether the client knows the password of `verifier`. The work does not depend on the result, so that an unknown
    /// user, checked against any verifier, takes the same time as a known one. A certificate proves no password.
    #[must_use]
    pub fn prove(&self, verifier: &Verifier) -> Proof {
        match self {
            Self::Pap { password, .. } => {
                // What is not UTF-8 is not the password of anybody: the replacement changes it.
                let sent = Zeroizing::new(String::from_utf8_lossy(password.expose()).into_owned());
                right_if(NtHash::of_password(&sent).ct_eq(&verifier.nt_hash))
            }
            Self::ChapMd5 { identifier, challenge, response, .. } => {
                let secret = verifier.clear.as_ref().map_or(&[][..], |clear| clear.as_bytes());
                let right = bool::from(chap_md5(*identifier, secret, challenge).ct_eq(response));
                if verifier.clear.is_some() { right_if(right) } else { Proof::NeedsClearPassword }
            }
            Self::MsChapV2 { hashed_name, authenticator_challenge, peer_challenge, nt_response, .. } => {
                let challenges =
                    Challenges { authenticator: authenticator_challenge, peer: peer_challenge, user_name: hashed_name };
                let right = mschapv2::verify(&verifier.nt_hash, &challenges, nt_response);
                let proof = MutualProof {
                    authenticator_response: mschapv2::authenticator_response(
                        &verifier.nt_hash,
                        &challenges,
                        nt_response,
                    ),
                    msk: msk(&verifier.nt_hash, nt_response),
                };
                if right { Proof::Right(Some(proof)) } else { Proof::Wrong }
            }
            Self::Certificate { .. } => Proof::Wrong,
        }
    }
}

/// A name for lookups: what isn't UTF-8 becomes a name that nobody has.
#[must_use]
pub fn name_text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn right_if(right: bool) -> Proof {
    if right { Proof::Right(None) } else { Proof::Wrong }
}

/// The Response Value of CHAP with MD5, RFC 1994 section 4.1.
#[must_use]
pub fn chap_md5(identifier: u8, secret: &[u8], challenge: &[u8]) -> [u8; 16] {
    Md5::new().chain_update([identifier]).chain_update(secret).chain_update(challenge).finalize().into()
}

/// MSK = MasterReceiveKey, MasterSendKey, and zeros: the form that Windows and strongSwan use in IKEv2.
fn msk(nt_hash: &NtHash, nt_response: &[u8; 24]) -> Msk {
    let keys = MasterKeys::derive(nt_hash, nt_response);
    let mut msk = Zeroizing::new([0; 64]);
    msk[..16].copy_from_slice(&keys.receive);
    msk[16..32].copy_from_slice(&keys.send);
    Msk::new(&msk)
}
