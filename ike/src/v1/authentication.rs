//! The last two messages of main mode: the client proves who it is, and so do we (RFC 2409 sections 5.1 and 5.4).
//!
//! With a pre-shared key the fifth message can only be decrypted with the right one, before its sender has a name: the
//! key for its address is tried, then a few of those for names. With certificates
//! the key does not depend on who the client is; it signs its hash, and so do we.

use crate::cert::{CertificatePath, Role};
use crate::config::Config;
use crate::credential::Credential;
use crate::crypto::cbc::Iv;
use crate::crypto::secret::Secret;
use crate::event::{AuthenticatedBy, Path};
use crate::identity::Identity;
use crate::refusal::RefusalReason;
use crate::v2::Context;
use crate::wire::header::ExchangeType;
use crate::wire::num::{CertEncoding, IdType};
use crate::wire::v1::num::{IsakmpAuth, NotifyType, PayloadType};
use crate::wire::v1::{Certificate, Chain, ChainBuilder, Hash, Identification, Payload, Payloads, Signature};

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
}

/// A client that has proven who it is.
pub(crate) struct Authenticated {
    /// `None` if it has no name that we could read; with a pre-shared key it needs none.
    pub(crate) identity: Option<Identity>,
    /// The body of its identification payload.
    pub(crate) id: Vec<u8>,
    pub(crate) by: AuthenticatedBy,
    /// The certificates that it has shown; empty without.
    pub(crate) certificates: CertificatePath,
    pub(crate) initial_contact: bool,
    pub(crate) keys: Keys,
    /// The last block of phase 1.
    pub(crate) iv: Iv,
    /// The last message of phase 1, if it is ours; perhaps in fragments.
    pub(crate) answer: Vec<bytes::Bytes>,
}

/// Whether an authentication method is acceptable, or why not.
pub(crate) fn accepts(config: &Config, v1: &V1Config, auth: IsakmpAuth) -> Result<(), &'static str> {
    let is_xauth = super::choice::is_xauth(auth);
    let method = signature_method(auth);
    if method.is_none() && !is_psk(auth) {
        return Err("this authentication method is not accepted");
    }
    let authorities = &config.client_authorities;
    match method {
        _ if is_xauth && !v1.xauth => Err("XAUTH is switched off"),
        _ if !is_xauth && !v1.l2tp => Err("L2TP is switched off"),
        None if config.psks.is_empty() => Err("there is no pre-shared key"),
        Some(_) if config.credentials.is_empty() => Err("the gateway has no certificate"),
        Some(_) if credential_for(config, auth).is_none() => {
            Err("the key of the gateway's certificate is of another kind")
        }
        Some(_) if authorities.is_none() && auth != IsakmpAuth::HYBRID_INIT_RSA => {
            Err("no certificates of clients are accepted")
        }
        None | Some(_) => Ok(()),
    }
}

/// Takes the body of the fifth message.
pub(crate) fn fifth(
    ctx: &mut Context<'_>,
    proof: &Proof<'_>,
    path: Path,
    (first, body): (Option<PayloadType>, &[u8]),
) -> Result<Authenticated, RefusalReason> {
    if is_psk(proof.suite.auth) {
        psk(ctx, proof, path, (first, body))
    } else {
        signed(ctx, proof, path, (first, body))
    }
}

fn psk(
    ctx: &Context<'_>,
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
        let Ok(payloads) = Payloads::parse(first, &plain) else { continue };
        let Some(claim) = Claim::read(&payloads) else { continue };
        if !claim.is_hashed(proof, &keys) {
            continue;
        }
        if !is_key_of(ctx.config, claim.identity.as_ref(), psk) {
            return Err(RefusalReason::WrongPsk);
        }
        let (own, hash) = own_identification(ctx.config, proof, &keys, path);
        let chain = with_proof(&own, &[], &Payload::Hash(Hash(hash.expose())));
        return Ok(claim.authenticated(proof, AuthenticatedBy::Psk, keys, (&next_iv, chain)));
    }
    Err(if tried { RefusalReason::WrongPsk } else { RefusalReason::NoPsk })
}

/// Whether a peer that has `psk` may call itself so: not by a name that has a key of its own. Clients call themselves by an
/// address that means nothing, so the key for a name is as good without that name.
fn is_key_of(config: &Config, identity: Option<&Identity>, psk: &Secret) -> bool {
    let own = identity.and_then(|identity| config.psks.find_named(identity));
    own.is_none_or(|own| own.ct_eq(psk.expose()))
}

fn signed(
    ctx: &mut Context<'_>,
    proof: &Proof<'_>,
    path: Path,
    (first, body): (Option<PayloadType>, &[u8]),
) -> Result<Authenticated, RefusalReason> {
    let config = ctx.config;
    let skeyid = keys::skeyid_signature(proof.suite.prf(), proof.shared, proof.transcript.nonces());
    let keys = Keys::derive(&proof.suite, skeyid, proof.shared, proof.cookies);
    let iv = keys.first_iv(proof.transcript.public());
    let problem = |problem| RefusalReason::Payloads { problem };
    let (plain, next_iv) = keys.cipher.decrypt(&iv, body).map_err(|_| problem("it is not encrypted as agreed"))?;
    let payloads = Payloads::parse(first, &plain).map_err(RefusalReason::Malformed)?;
    let claim = Claim::read(&payloads).ok_or_else(|| problem("ID or its proof is missing or there twice"))?;
    let certificates = if proof.suite.auth == IsakmpAuth::HYBRID_INIT_RSA {
        // The client has no certificate; name and password follow.
        if !claim.is_hashed(proof, &keys) {
            return Err(problem("HASH is wrong"));
        }
        CertificatePath::default()
    } else {
        verify(ctx, proof, &keys, &claim, &payloads)?
    };
    let credential = credential_for(config, proof.suite.auth).ok_or(RefusalReason::NoServerCertificate)?;
    let (own, hash) = own_identification(config, proof, &keys, path);
    let signature = credential
        .sign_hash(hash.expose(), &mut *ctx.shared.random)
        .map_err(|error| RefusalReason::NoSignatureScheme { problem: error.to_string() })?;
    let chain = with_proof(&own, credential.chain(), &Payload::Signature(Signature(&signature)));
    let authenticated = claim.authenticated(proof, AuthenticatedBy::Certificate, keys, (&next_iv, chain));
    Ok(Authenticated { certificates, ..authenticated })
}

/// The signature of an authentication method; `None` if there is none, or none that is accepted.
fn signature_method(auth: IsakmpAuth) -> Option<IsakmpAuth> {
    match auth {
        IsakmpAuth::XAUTH_INIT_RSA | IsakmpAuth::HYBRID_INIT_RSA => Some(IsakmpAuth::RSA_SIGNATURES),
        IsakmpAuth::RSA_SIGNATURES
        | IsakmpAuth::ECDSA_SHA256_P256
        | IsakmpAuth::ECDSA_SHA384_P384
        | IsakmpAuth::ECDSA_SHA512_P521 => Some(auth),
        _ => None,
    }
}

/// The first certificate of ours whose key makes such signatures.
fn credential_for(config: &Config, auth: IsakmpAuth) -> Option<&Credential> {
    let method = signature_method(auth)?;
    config.credentials.iter().map(|found| &**found).find(|found| found.isakmp_method() == Some(method))
}

/// Verifies the client's certificate, its name and its signature.
fn verify(
    ctx: &Context<'_>,
    proof: &Proof<'_>,
    keys: &Keys,
    claim: &Claim<'_>,
    payloads: &Payloads<'_>,
) -> Result<CertificatePath, RefusalReason> {
    let authorities = ctx.config.client_authorities.as_ref().ok_or(RefusalReason::CertificatesUnavailable)?;
    let is_x509 = |certificate: &Certificate<'_>| certificate.encoding == CertEncoding::X509_SIGNATURE;
    let certificates: Vec<&[u8]> = payloads.certificates().filter(is_x509).map(|found| found.data).collect();
    let verified =
        authorities.verify(&certificates, ctx.shared.wall, Role::Client).map_err(RefusalReason::Certificate)?;
    let identity = claim.identity.as_ref().ok_or(RefusalReason::Identity)?;
    verified.require(identity).map_err(RefusalReason::Certificate)?;
    let signature = claim.signature.ok_or(RefusalReason::Payloads { problem: "SIG is missing" })?;
    let method = match proof.suite.auth {
        IsakmpAuth::XAUTH_INIT_RSA => IsakmpAuth::RSA_SIGNATURES,
        method => method,
    };
    let hash = keys.hash_i(proof.transcript.public(), proof.cookies, &proof.transcript.sa, claim.id);
    verified.verify_hash(method, hash.expose(), signature).map_err(RefusalReason::Signature)?;
    Ok(verified.into_path())
}

/// What the fifth message says.
struct Claim<'a> {
    identity: Option<Identity>,
    id: &'a [u8],
    hash: Option<&'a [u8]>,
    signature: Option<&'a [u8]>,
    initial_contact: bool,
}

impl<'a> Claim<'a> {
    /// An identification with one proof; with anything else it is no claim.
    fn read(payloads: &Payloads<'a>) -> Option<Self> {
        let (mut id, mut hash, mut signature) = (None, None, None);
        for entry in payloads.entries() {
            let twice = match &entry.payload {
                Payload::Identification(value) => id.replace((*value, entry.body)).is_some(),
                Payload::Hash(value) => hash.replace(value.0).is_some(),
                Payload::Signature(value) => signature.replace(value.0).is_some(),
                _ => false,
            };
            if twice {
                return None;
            }
        }
        let (value, body) = id?;
        if hash.is_some() == signature.is_some() {
            return None;
        }
        let initial_contact = has_initial_contact(payloads);
        Some(Self { identity: identity(&value), id: body, hash, signature, initial_contact })
    }

    /// Whether its HASH is the one that the keys give.
    fn is_hashed(&self, proof: &Proof<'_>, keys: &Keys) -> bool {
        let Proof { cookies, transcript, .. } = proof;
        let expected = keys.hash_i(transcript.public(), *cookies, &transcript.sa, self.id);
        self.hash.is_some_and(|hash| expected.ct_eq(hash))
    }

    fn authenticated(
        self,
        proof: &Proof<'_>,
        by: AuthenticatedBy,
        keys: Keys,
        (iv, chain): (&Iv, Chain),
    ) -> Authenticated {
        let exchange = ExchangeType::IDENTITY_PROTECTION;
        let (answer, iv) = phase1::seal(&keys.cipher, iv, proof.cookies, exchange, 0, chain);
        let Self { identity, id, initial_contact, .. } = self;
        let certificates = CertificatePath::default();
        let answer = vec![answer];
        Authenticated { identity, id: id.to_vec(), by, certificates, initial_contact, keys, iv, answer }
    }
}

/// Whether INITIAL-CONTACT is among the notifications.
pub(crate) fn has_initial_contact(payloads: &Payloads<'_>) -> bool {
    payloads.notifies().any(|notify| notify.kind == NotifyType::INITIAL_CONTACT)
}

/// The name in an identification payload of phase 1, if it is one.
pub(crate) fn identity(id: &Identification<'_>) -> Option<Identity> {
    Identity::parse(IdType(id.id_type.0), id.data).ok()
}

/// Our identification, and `HASH_R` about it.
fn own_identification(config: &Config, proof: &Proof<'_>, keys: &Keys, path: Path) -> (Identity, Secret) {
    let identity = own_identity(config, proof.suite.auth, path);
    let (id_type, data) = own_id(&identity);
    let Proof { cookies, transcript, .. } = proof;
    let body = Identification::new(id_type, &data).to_body();
    let hash = keys.hash_r(transcript.public(), *cookies, &transcript.sa, &body);
    (identity, hash)
}

/// The payloads of the sixth message.
fn with_proof(identity: &Identity, certificates: &[Vec<u8>], proof: &Payload<'_>) -> Chain {
    let (id_type, data) = own_id(identity);
    let mut chain = ChainBuilder::new();
    chain.push(&Payload::Identification(Identification::new(id_type, &data)));
    for data in certificates {
        chain.push(&Payload::Certificate(Certificate { encoding: CertEncoding::X509_SIGNATURE, data }));
    }
    chain.push(proof);
    chain.finish().expect("our certificates are bounded")
}

/// Who we are to a client. Nobody asks for a name in IKEv1. L2TP clients with a pre-shared key expect the address that they
/// use, if anything; those with XAUTH are told our name, as those with certificates.
pub(crate) fn own_identity(config: &Config, auth: IsakmpAuth, path: Path) -> Identity {
    match (&config.identity, credential_for(config, auth)) {
        (Identity::Ipv4(_) | Identity::Ipv6(_), _) if is_psk(auth) => config.identity.clone(),
        _ if auth == IsakmpAuth::PRE_SHARED_KEY => Identity::from(path.local.ip().to_canonical()),
        _ if is_psk(auth) => config.identity.clone(),
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
