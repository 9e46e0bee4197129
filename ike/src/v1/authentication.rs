//! The last two messages of main mode: the client proves who it is, and so do we (RFC 2409 sections 5.1 and 5.4).
//!
//! With a pre-shared key the fifth message can only be decrypted with the right one, before its sender has a name: the
//! keys for its address are tried, then a few of those for names, which the name inside has to match.

use crate::config::Config;
use crate::crypto::cbc::Iv;
use crate::crypto::secret::Secret;
use crate::event::{AuthenticatedBy, Path};
use crate::identity::Identity;
use crate::refusal::RefusalReason;
use crate::v2::Context;
use crate::wire::header::ExchangeType;
use crate::wire::num::IdType;
use crate::wire::v1::num::{IsakmpAuth, NotifyType, PayloadType};
use crate::wire::v1::{Chain, ChainBuilder, Hash, Identification, Payload, Payloads};

use super::choice::is_psk;
use super::config::V1Config;
use super::keys::{self, Cookies, Keys, Suite};
use super::main_mode::Transcript;
use super::phase1;

/// Pre-shared keys that are tried on one message.
const MAX_CANDIDATES: usize = 8;

/// Everything that a proof of identity is computed from.
pub(crate) struct Proof<'a> {
    pub(crate) cookies: Cookies,
    pub(crate) suite: Suite,
    pub(crate) transcript: &'a Transcript,
    /// `g^xy`.
    pub(crate) shared: &'a Secret,
    pub(crate) wants_certificate: bool,
}

/// A client that has proven who it is.
pub(crate) struct Authenticated {
    /// `None` if it has no name that we could read; with a pre-shared key it needs none.
    pub(crate) identity: Option<Identity>,
    /// The body of its identification payload.
    pub(crate) id: Vec<u8>,
    pub(crate) by: AuthenticatedBy,
    pub(crate) initial_contact: bool,
    pub(crate) keys: Keys,
    /// The last block of phase 1.
    pub(crate) iv: Iv,
    pub(crate) answer: bytes::Bytes,
}

/// Whether an authentication method is acceptable, or why not.
pub(crate) fn accepts(config: &Config, v1: &V1Config, auth: IsakmpAuth) -> Result<(), &'static str> {
    match auth {
        IsakmpAuth::PRE_SHARED_KEY if !v1.l2tp => Err("L2TP is switched off"),
        IsakmpAuth::XAUTH_INIT_PRE_SHARED if !v1.xauth => Err("XAUTH is switched off"),
        IsakmpAuth::PRE_SHARED_KEY | IsakmpAuth::XAUTH_INIT_PRE_SHARED if config.psks.is_empty() => {
            Err("there is no pre-shared key")
        }
        IsakmpAuth::PRE_SHARED_KEY | IsakmpAuth::XAUTH_INIT_PRE_SHARED => Ok(()),
        _ => Err("this authentication method is not accepted"),
    }
}

/// Takes the body of the fifth message.
pub(crate) fn fifth(
    ctx: &mut Context<'_>,
    proof: &Proof<'_>,
    path: Path,
    (first, body): (Option<PayloadType>, &[u8]),
) -> Result<Authenticated, RefusalReason> {
    let mut tried = false;
    for psk in ctx.config.psks.candidates(path.peer.ip(), MAX_CANDIDATES) {
        tried = true;
        let skeyid = keys::skeyid_psk(proof.suite.prf(), psk, proof.transcript.nonces());
        let keys = Keys::derive(&proof.suite, skeyid, proof.shared, proof.cookies);
        let iv = keys.first_iv(proof.transcript.public());
        let Ok((plain, next_iv)) = keys.cipher.decrypt(&iv, body) else { return Err(RefusalReason::WrongPsk) };
        // What was encrypted with another key is noise: no payloads, or not the right hash.
        let Some(claim) = Payloads::parse(first, &plain).ok().and_then(|payloads| Claim::read(&payloads)) else {
            continue;
        };
        let Claim { identity, id, hash, initial_contact } = claim;
        if !keys.hash_i(proof.transcript.public(), proof.cookies, &proof.transcript.sa, &id).ct_eq(&hash) {
            continue;
        }
        let of_name = match &identity {
            Some(identity) => ctx.config.psks.find(identity, path.peer.ip()),
            None => ctx.config.psks.find_unnamed(path.peer.ip()),
        };
        if !of_name.is_some_and(|key| key.ct_eq(psk.expose())) {
            return Err(RefusalReason::WrongPsk);
        }
        let chain = sixth(ctx.config, proof, &keys, path);
        let exchange = ExchangeType::IDENTITY_PROTECTION;
        let (answer, iv) = phase1::seal(&keys.cipher, &next_iv, proof.cookies, exchange, 0, chain);
        let by = AuthenticatedBy::Psk;
        return Ok(Authenticated { identity, id, by, initial_contact, keys, iv, answer });
    }
    Err(if tried { RefusalReason::WrongPsk } else { RefusalReason::NoPsk })
}

/// What the fifth message says with a pre-shared key.
struct Claim {
    identity: Option<Identity>,
    id: Vec<u8>,
    hash: Vec<u8>,
    initial_contact: bool,
}

impl Claim {
    fn read(payloads: &Payloads<'_>) -> Option<Self> {
        let (mut id, mut hash) = (None, None);
        for entry in payloads.entries() {
            let twice = match &entry.payload {
                Payload::Identification(value) => id.replace((*value, entry.body)).is_some(),
                Payload::Hash(value) => hash.replace(value.0.to_vec()).is_some(),
                _ => false,
            };
            if twice {
                return None;
            }
        }
        let (value, body) = id?;
        let initial_contact = payloads.notifies().any(|notify| notify.kind == NotifyType::INITIAL_CONTACT);
        Some(Self { identity: identity(&value), id: body.to_vec(), hash: hash?, initial_contact })
    }
}

/// The name in an identification payload of phase 1, if it is one.
pub(crate) fn identity(id: &Identification<'_>) -> Option<Identity> {
    Identity::parse(IdType(id.id_type.0), id.data).ok()
}

/// The payloads of the sixth message with a pre-shared key.
fn sixth(config: &Config, proof: &Proof<'_>, keys: &Keys, path: Path) -> Chain {
    let (id_type, data) = own_id(&own_identity(config, proof.suite.auth, path));
    let id = Identification::new(id_type, &data);
    let Proof { cookies, transcript, .. } = proof;
    let hash = keys.hash_r(transcript.public(), *cookies, &transcript.sa, &id.to_body());
    let mut chain = ChainBuilder::new();
    chain.push(&Payload::Identification(id));
    chain.push(&Payload::Hash(Hash(hash.expose())));
    chain.finish().expect("the sixth message is bounded")
}

/// Who we are to a client. Nobody asks for a name in IKEv1, and clients with a pre-shared key expect the address that they
/// use, if anything, so a host name is for certificates only.
pub(crate) fn own_identity(config: &Config, auth: IsakmpAuth, path: Path) -> Identity {
    match (&config.identity, &config.credential) {
        (Identity::Ipv4(_) | Identity::Ipv6(_), _) => config.identity.clone(),
        _ if is_psk(auth) => Identity::from(path.local.ip().to_canonical()),
        (identity, Some(credential)) if !credential.speaks_for(identity) => {
            Identity::DerAsn1Dn(credential.certificate().subject().to_vec())
        }
        (identity, _) => identity.clone(),
    }
}

/// An identity as an identification payload has it.
pub(crate) fn own_id(identity: &Identity) -> (crate::wire::v1::num::IdType, Vec<u8>) {
    (crate::wire::v1::num::IdType(identity.id_type().0), identity.data())
}
