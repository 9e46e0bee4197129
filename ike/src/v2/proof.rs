//! AUTH payloads, made and verified: RFC 7296 section 2.15, RFC 7427, RFC 7670. The same for both roles.
//!
//! Does not: EAP (its key makes an AUTH payload by [`Proof::shared_key_auth`]), or decide which method a peer may use.

use std::sync::Arc;

use bytes::Bytes;

use crate::cert::{self, CertificatePath};
use crate::credential::{Authorities, Credential, LocalAuth, PeerAuth, SigningFailed, sign};
use crate::crypto::prf::Prf;
use crate::crypto::secret::Secret;
use crate::crypto::sign::{PublicKey, SigningKey};
use crate::event::AuthenticatedBy;
use crate::identity::Identity;
use crate::refusal::RefusalReason;
use crate::wire::num::{AuthMethod, CertEncoding, HashAlgId};
use crate::wire::v2::{Authentication, Certificate, ChainBuilder, Identification, Payload};

use super::keys::{self, Nonces};
use super::request::Invalid;
use super::sa::Role;
use super::{Context, ppk};

/// The messages of IKE_SA_INIT, and what was in them for later.
pub(crate) struct Transcript {
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Bytes,
    pub(crate) initiator_nonce: Vec<u8>,
    pub(crate) responder_nonce: Vec<u8>,
    /// Hash algorithms that the peer announced, RFC 7427 section 4.
    pub(crate) hashes: Option<Vec<HashAlgId>>,
    /// Both sides have postquantum preshared keys, RFC 8784.
    pub(crate) ppk: bool,
}

/// What AUTH payloads are computed from, RFC 7296 section 2.15.
pub(crate) struct Proof {
    prf: Prf,
    plain: ProvingKeys,
    /// The keys with the postquantum preshared key mixed in, if one is used.
    mixed: Option<ProvingKeys>,
    transcript: Transcript,
}

/// `SK_pi` and `SK_pr`.
struct ProvingKeys {
    initiator: Secret,
    responder: Secret,
}

/// Our ID, CERT and AUTH payloads.
pub(crate) struct OwnProof {
    pub(crate) identity: Identity,
    auth: Option<(AuthMethod, Vec<u8>)>,
    sent: Sent,
}

/// What goes along in CERT payloads.
enum Sent {
    Nothing,
    Chain(Arc<Credential>),
    /// A SubjectPublicKeyInfo.
    RawKey(Vec<u8>),
}

/// How the peer has proven who it is.
pub(crate) struct Proven {
    pub(crate) by: AuthenticatedBy,
    /// Empty without a certificate.
    pub(crate) certificates: CertificatePath,
}

/// What the peer says about itself.
pub(crate) struct Claim<'a> {
    pub(crate) identity: &'a Identity,
    /// Who it has to be: a certificate has to name that, too.
    pub(crate) expected: Option<&'a Identity>,
    /// The body of its identification payload.
    pub(crate) id_body: &'a [u8],
    pub(crate) certificates: &'a [Certificate<'a>],
    pub(crate) auth: Authentication<'a>,
}

impl Transcript {
    /// `Ni` and `Nr`.
    pub(crate) fn nonces(&self) -> Nonces<'_> {
        Nonces { initiator: &self.initiator_nonce, responder: &self.responder_nonce }
    }
}

impl Proof {
    /// From `SK_pi`, `SK_pr` and the messages of IKE_SA_INIT.
    pub(crate) fn new(prf: Prf, initiator: Secret, responder: Secret, transcript: Transcript) -> Self {
        Self { prf, plain: ProvingKeys { initiator, responder }, mixed: None, transcript }
    }

    /// `Ni` and `Nr`.
    pub(crate) fn nonces(&self) -> Nonces<'_> {
        self.transcript.nonces()
    }

    /// Hash algorithms that the peer announced.
    pub(crate) fn hashes(&self) -> Option<&[HashAlgId]> {
        self.transcript.hashes.as_deref()
    }

    /// Whether both sides have postquantum preshared keys.
    pub(crate) fn offers_ppk(&self) -> bool {
        self.transcript.ppk
    }

    /// Mixes `key` into what AUTH payloads are computed from, RFC 8784 section 3.
    pub(crate) fn mix(&mut self, key: &Secret) {
        let ProvingKeys { initiator, responder } = &self.plain;
        let (initiator, responder) = (ppk::mix(self.prf, key, initiator), ppk::mix(self.prf, key, responder));
        self.mixed = Some(ProvingKeys { initiator, responder });
    }

    /// Undoes [`Proof::mix`].
    pub(crate) fn unmix(&mut self) {
        self.mixed = None;
    }

    /// What the AUTH payload of `role` is computed over: `InitiatorSignedOctets` or `ResponderSignedOctets`. `id_body` is
    /// the body of its identification payload.
    pub(crate) fn octets(&self, role: Role, id_body: &[u8]) -> Vec<u8> {
        let Transcript { request, answer, initiator_nonce, responder_nonce, .. } = &self.transcript;
        let keys = self.mixed.as_ref().unwrap_or(&self.plain);
        match role {
            Role::Initiator => keys::auth_octets(self.prf, request, responder_nonce, &keys.initiator, id_body),
            Role::Responder => keys::auth_octets(self.prf, answer, initiator_nonce, &keys.responder, id_body),
        }
    }

    /// AUTH data by a shared key over `octets`.
    pub(crate) fn shared_key_auth(&self, shared: &[u8], octets: &[u8]) -> Secret {
        keys::shared_key_auth(self.prf, shared, octets)
    }
}

/// Makes the AUTH payload that proves `identity`; `role` is ours.
///
/// # Errors
/// [`Invalid`] if the peer cannot verify any signature of our key.
pub(crate) fn prove(
    ctx: &mut Context<'_>,
    proof: &Proof,
    role: Role,
    identity: Identity,
    auth: &LocalAuth,
) -> Result<OwnProof, Invalid> {
    match auth {
        LocalAuth::Psk(psk) => Ok(prove_by_psk(proof, role, identity, psk)),
        LocalAuth::Certificate(credential) => prove_by_certificate(ctx, proof, role, identity, credential),
        LocalAuth::RawKey(key) => {
            let sent = Sent::RawKey(key.public_key().to_spki());
            prove_by_signature(ctx, proof, role, (identity, sent), key)
        }
    }
}

/// Makes our AUTH payload with a pre-shared key.
pub(crate) fn prove_by_psk(proof: &Proof, role: Role, identity: Identity, psk: &Secret) -> OwnProof {
    let octets = proof.octets(role, &keys::own_id_body(&identity));
    let data = proof.shared_key_auth(psk.expose(), &octets).expose().to_vec();
    OwnProof { identity, auth: Some((AuthMethod::SHARED_KEY, data)), sent: Sent::Nothing }
}

/// Makes our AUTH payload with the key of a certificate, which goes along with its chain.
///
/// # Errors
/// [`Invalid`] if the peer cannot verify any signature of the key.
pub(crate) fn prove_by_certificate(
    ctx: &mut Context<'_>,
    proof: &Proof,
    role: Role,
    identity: Identity,
    credential: &Arc<Credential>,
) -> Result<OwnProof, Invalid> {
    let identity = credential.exact(identity);
    prove_by_signature(ctx, proof, role, (identity, Sent::Chain(credential.clone())), credential.key())
}

fn prove_by_signature(
    ctx: &mut Context<'_>,
    proof: &Proof,
    role: Role,
    (identity, sent): (Identity, Sent),
    key: &SigningKey,
) -> Result<OwnProof, Invalid> {
    let octets = proof.octets(role, &keys::own_id_body(&identity));
    let signed = sign(key, &octets, proof.hashes(), ctx.config.rsa_sha1, &mut *ctx.shared.random);
    let no_scheme = |error: SigningFailed| RefusalReason::NoSignatureScheme { problem: error.to_string() };
    let auth = signed.map_err(|error| Invalid::authentication(no_scheme(error)))?;
    Ok(OwnProof { identity, auth: Some(auth), sent })
}

/// Verifies the AUTH payload of the peer of a site tunnel; `role` is the peer's. The identity has to be the right one
/// already, except that a certificate has to vouch for it.
///
/// # Errors
/// [`Invalid`] with AUTHENTICATION_FAILED and the reason.
pub(crate) fn verify(
    ctx: &Context<'_>,
    proof: &Proof,
    role: Role,
    claim: &Claim<'_>,
    auth: &PeerAuth,
) -> Result<Proven, Invalid> {
    match auth {
        PeerAuth::Psk(psk) => verify_psk(proof, role, claim, Some(psk)).map(|()| AuthenticatedBy::Psk.into()),
        PeerAuth::Certificate(authorities) => {
            let purpose = cert::Role::Site;
            verify_certificate(ctx, proof, (role, purpose), claim, authorities)
        }
        PeerAuth::RawKey(key) => verify_raw_key(ctx, proof, role, claim, key).map(|()| AuthenticatedBy::RawKey.into()),
    }
}

/// Verifies the proof of a pre-shared key. Without one, the same work is done, so that the time does not tell who has one.
pub(crate) fn verify_psk(proof: &Proof, role: Role, claim: &Claim<'_>, psk: Option<&Secret>) -> Result<(), Invalid> {
    if claim.auth.method != AuthMethod::SHARED_KEY {
        return Err(Invalid::authentication(RefusalReason::AuthMethod(claim.auth.method)));
    }
    let octets = proof.octets(role, claim.id_body);
    let is_right = proof.shared_key_auth(psk.map_or(&[], Secret::expose), &octets).ct_eq(claim.auth.data);
    match psk {
        None => Err(Invalid::authentication(RefusalReason::NoPsk)),
        Some(_) if !is_right => Err(Invalid::authentication(RefusalReason::WrongPsk)),
        Some(_) => Ok(()),
    }
}

/// Verifies a certificate for `purpose`, that it speaks for the claimed identity, and the signature of its key.
pub(crate) fn verify_certificate(
    ctx: &Context<'_>,
    proof: &Proof,
    (role, purpose): (Role, cert::Role),
    claim: &Claim<'_>,
    authorities: &Authorities,
) -> Result<Proven, Invalid> {
    require_signature(claim)?;
    let refused = |error| Invalid::authentication(RefusalReason::Certificate(error));
    let is_x509 = |found: &&Certificate<'_>| found.encoding == CertEncoding::X509_SIGNATURE;
    let certificates: Vec<&[u8]> = claim.certificates.iter().filter(is_x509).map(|found| found.data).collect();
    let verified = authorities.verify(&certificates, ctx.shared.wall, purpose).map_err(refused)?;
    verified.require(claim.identity).map_err(refused)?;
    if let Some(expected) = claim.expected.filter(|expected| !expected.is_same(claim.identity)) {
        verified.require(expected).map_err(refused)?;
    }
    verified
        .verify_auth(claim.auth.method, claim.auth.data, &proof.octets(role, claim.id_body), allows_sha1(ctx, proof))
        .map_err(|error| Invalid::authentication(RefusalReason::Signature(error)))?;
    Ok(Proven { by: AuthenticatedBy::Certificate, certificates: verified.into_path() })
}

/// Verifies a signature of the key that we know. A peer need not send it along; if it sends another, that is what is wrong.
fn verify_raw_key(
    ctx: &Context<'_>,
    proof: &Proof,
    role: Role,
    claim: &Claim<'_>,
    key: &PublicKey,
) -> Result<(), Invalid> {
    require_signature(claim)?;
    let mut sent = claim.certificates.iter().filter(|found| found.encoding == CertEncoding::RAW_PUBLIC_KEY);
    if sent.any(|found| PublicKey::from_spki(found.data).as_ref() != Ok(key)) {
        return Err(Invalid::authentication(RefusalReason::OtherRawKey));
    }
    key.verify(claim.auth.method, claim.auth.data, &proof.octets(role, claim.id_body), allows_sha1(ctx, proof))
        .map_err(|error| Invalid::authentication(RefusalReason::Signature(error)))
}

/// That the AUTH payload is a signature of a kind that we verify.
pub(crate) fn require_signature(claim: &Claim<'_>) -> Result<(), Invalid> {
    let method = claim.auth.method;
    if is_signature(method) { Ok(()) } else { Err(Invalid::authentication(RefusalReason::AuthMethod(method))) }
}

/// Whether the method is a signature of a kind that we verify.
pub(crate) fn is_signature(method: AuthMethod) -> bool {
    matches!(
        method,
        AuthMethod::RSA_SIGNATURE
            | AuthMethod::ECDSA_SHA256_P256
            | AuthMethod::ECDSA_SHA384_P384
            | AuthMethod::ECDSA_SHA512_P521
            | AuthMethod::DIGITAL_SIGNATURE
    )
}

/// SHA-1 is for peers that know nothing else.
fn allows_sha1(ctx: &Context<'_>, proof: &Proof) -> bool {
    ctx.config.rsa_sha1 && proof.hashes().is_none()
}

impl From<AuthenticatedBy> for Proven {
    fn from(by: AuthenticatedBy) -> Self {
        Self { by, certificates: CertificatePath::default() }
    }
}

impl OwnProof {
    /// A name whose proof is left to an EAP method, RFC 5998.
    pub(crate) fn by_eap(identity: Identity) -> Self {
        Self { identity, auth: None, sent: Sent::Nothing }
    }

    /// Whether nothing but the EAP method proves the name.
    pub(crate) fn is_left_to_eap(&self) -> bool {
        self.auth.is_none()
    }

    /// The data of the AUTH payload.
    pub(crate) fn data(&self) -> Option<&[u8]> {
        self.auth.as_ref().map(|(_, data)| data.as_slice())
    }

    /// Appends the ID payload of our `role`, CERT and AUTH.
    pub(crate) fn push(&self, role: Role, chain: &mut ChainBuilder) {
        let data = self.identity.data();
        let id = Identification::new(self.identity.id_type(), &data);
        chain.push(&match role {
            Role::Initiator => Payload::IdInitiator(id),
            Role::Responder => Payload::IdResponder(id),
        });
        self.push_certificates(chain);
        if let Some((method, data)) = &self.auth {
            chain.push(&Payload::Authentication(Authentication { method: *method, data }));
        }
    }

    fn push_certificates(&self, chain: &mut ChainBuilder) {
        let (encoding, all): (_, Vec<&[u8]>) = match &self.sent {
            Sent::Nothing => return,
            Sent::Chain(credential) => {
                (CertEncoding::X509_SIGNATURE, credential.chain().iter().map(Vec::as_slice).collect())
            }
            Sent::RawKey(key) => (CertEncoding::RAW_PUBLIC_KEY, vec![key]),
        };
        for data in all {
            chain.push(&Payload::Certificate(Certificate { encoding, data }));
        }
    }
}
