//! The first request of IKE_AUTH, RFC 7296 sections 1.2, 2.15 and 2.16: who the client is, and how it proves that.

use tracing::debug;

use crate::cert::Role;
use crate::config::Config;
use crate::credential::Credential;
use crate::crypto::secret::Secret;
use crate::event::{AuthenticatedBy, Event};
use crate::identity::Identity;
use crate::refusal::RefusalReason;
use crate::wire::num::{AuthMethod, CertEncoding, ExchangeType};
use crate::wire::v2::{Authentication, Certificate, ChainBuilder, Identification, Notify, Payload};

use super::authenticating::{Authenticating, Step};
use super::half_open::{HalfOpen, Proof};
use super::request::{AuthRequest, Invalid};
use super::sa::Message;
use super::{Context, Session, State, keys};

/// What proves our identity, sent with the first answer of IKE_AUTH.
pub(crate) struct OwnProof {
    pub(crate) identity: Identity,
    pub(crate) method: AuthMethod,
    pub(crate) data: Vec<u8>,
    /// Our certificates go along.
    pub(crate) certificates: bool,
}

/// Takes the first request of IKE_AUTH.
pub(super) fn first(session: &mut Session, ctx: &mut Context<'_>, half_open: HalfOpen, request: &Message) -> State {
    let Some((mut sa, proof)) = half_open.into_keyed() else { return State::Over };
    match login(session, ctx, &proof, request) {
        Ok(login) => {
            let mut state = Authenticating::new(ctx, sa, proof, login.request, login.own);
            match login.client {
                Client::Proven(by) => state.authenticated(session, ctx, by),
                Client::WantsEap(idi) => {
                    session.announced = true;
                    let event = Event::Eap { session: session.id, response: None, idi, path: session.path };
                    ctx.shared.events.push_back(event);
                    state.wait_for_server(Step::EapServer);
                }
            }
            State::Authenticating(Box::new(state))
        }
        Err(Invalid { reason, notify, data }) => {
            session.refuse(ctx, ExchangeType::IKE_AUTH, *reason);
            let mut chain = ChainBuilder::new();
            chain.push(&Payload::Notify(Notify::new(notify, &data)));
            session.answer(ctx, &mut sa, chain);
            super::Closing::lingering(ctx.now, sa)
        }
    }
}

/// A valid first request.
struct Login {
    request: Wish,
    own: OwnProof,
    client: Client,
}

enum Client {
    Proven(AuthenticatedBy),
    WantsEap(Identity),
}

/// What is left of the first request when the client has proven its identity.
pub(crate) struct Wish {
    pub(crate) idi: Identity,
    pub(crate) idi_body: Vec<u8>,
    pub(crate) initial_contact: bool,
    pub(crate) child: super::request::ChildWish,
}

fn login(session: &mut Session, ctx: &mut Context<'_>, proof: &Proof, request: &Message) -> Result<Login, Invalid> {
    let request = AuthRequest::read(request.first, &request.chain)?;
    let idi = match Identity::parse(request.idi.id_type, request.idi.data) {
        Ok(idi) => idi,
        // With EAP it proves nothing, and some clients leave it empty.
        Err(_) if request.auth.is_none() => Identity::from(session.path.peer.ip()),
        Err(_) => return Err(Invalid::authentication(RefusalReason::Identity)),
    };
    session.identity = Some(idi.clone());
    let idi_body = keys::id_body(&request.idi);
    let (own, client) = match request.auth {
        None => (eap(ctx, proof, &request)?, Client::WantsEap(idi.clone())),
        Some(auth) if auth.method == AuthMethod::SHARED_KEY => {
            let own = psk(session, ctx, proof, &request, (&idi, &idi_body), &auth)?;
            (own, Client::Proven(AuthenticatedBy::Psk))
        }
        Some(auth) => {
            let own = certificate(ctx, proof, &request, (&idi, &idi_body), &auth)?;
            (own, Client::Proven(AuthenticatedBy::Certificate))
        }
    };
    let wish = Wish { idi, idi_body, initial_contact: request.initial_contact, child: request.child };
    Ok(Login { request: wish, own, client })
}

fn psk(
    session: &Session,
    ctx: &Context<'_>,
    proof: &Proof,
    request: &AuthRequest<'_>,
    (idi, idi_body): (&Identity, &[u8]),
    auth: &Authentication<'_>,
) -> Result<OwnProof, Invalid> {
    let psk = ctx.config.psks.find(idi, session.path.peer.ip());
    // The same work without a key, so that the time does not tell who has one.
    let expected = proof.shared_key_auth(psk.map_or(&[], Secret::expose), &proof.initiator_octets(idi_body));
    let is_right = expected.ct_eq(auth.data);
    let psk = psk.ok_or_else(|| Invalid::authentication(RefusalReason::NoPsk))?;
    if !is_right {
        return Err(Invalid::authentication(RefusalReason::WrongPsk));
    }
    // Who has the key may call us what it likes: devices take the address or name that was typed in.
    let identity = requested(request).unwrap_or_else(|| ctx.config.identity.clone());
    let octets = proof.responder_octets(&keys::own_id_body(&identity));
    let data = proof.shared_key_auth(psk.expose(), &octets).expose().to_vec();
    Ok(OwnProof { identity, method: AuthMethod::SHARED_KEY, data, certificates: false })
}

fn certificate(
    ctx: &mut Context<'_>,
    proof: &Proof,
    request: &AuthRequest<'_>,
    (idi, idi_body): (&Identity, &[u8]),
    auth: &Authentication<'_>,
) -> Result<OwnProof, Invalid> {
    let known = matches!(
        auth.method,
        AuthMethod::RSA_SIGNATURE
            | AuthMethod::ECDSA_SHA256_P256
            | AuthMethod::ECDSA_SHA384_P384
            | AuthMethod::ECDSA_SHA512_P521
            | AuthMethod::DIGITAL_SIGNATURE
    );
    if !known {
        return Err(Invalid::authentication(RefusalReason::AuthMethod(auth.method)));
    }
    let authorities = ctx
        .config
        .client_authorities
        .as_ref()
        .ok_or_else(|| Invalid::authentication(RefusalReason::CertificatesUnavailable))?;
    let refused = |error| Invalid::authentication(RefusalReason::Certificate(error));
    let verified = authorities.verify(&request.certificates, ctx.shared.wall, Role::Client).map_err(refused)?;
    verified.require(idi).map_err(refused)?;
    let allow_sha1 = ctx.config.rsa_sha1 && proof.hashes().is_none();
    verified
        .verify_auth(auth.method, auth.data, &proof.initiator_octets(idi_body), allow_sha1)
        .map_err(|error| Invalid::authentication(RefusalReason::Signature(error)))?;
    sign(ctx, proof, request)
}

fn eap(ctx: &mut Context<'_>, proof: &Proof, request: &AuthRequest<'_>) -> Result<OwnProof, Invalid> {
    if !ctx.config.eap || ctx.config.credentials.is_empty() {
        let certificate_missing = ctx.config.credentials.is_empty();
        return Err(Invalid::authentication(RefusalReason::EapUnavailable { certificate_missing }));
    }
    sign(ctx, proof, request)
}

/// Signs with our certificate's key.
fn sign(ctx: &mut Context<'_>, proof: &Proof, request: &AuthRequest<'_>) -> Result<OwnProof, Invalid> {
    let config = ctx.config;
    let credential =
        config.credentials.first().ok_or_else(|| Invalid::authentication(RefusalReason::NoServerCertificate))?;
    let identity = own_identity(config, credential, requested(request));
    let octets = proof.responder_octets(&keys::own_id_body(&identity));
    let signed = credential.sign(&octets, proof.hashes(), config.rsa_sha1, &mut *ctx.shared.random);
    let (method, data) = signed
        .map_err(|error| Invalid::authentication(RefusalReason::NoSignatureScheme { problem: error.to_string() }))?;
    Ok(OwnProof { identity, method, data, certificates: true })
}

/// The name by which the client wants to reach us.
fn requested(request: &AuthRequest<'_>) -> Option<Identity> {
    request.idr.as_ref().and_then(|idr| Identity::parse(idr.id_type, idr.data).ok())
}

/// The requested name if it is ours, otherwise the configured one.
fn own_identity(config: &Config, credential: &Credential, requested: Option<Identity>) -> Identity {
    match requested {
        Some(requested) if requested == config.identity || credential.speaks_for(&requested) => requested,
        Some(requested) => {
            debug!(%requested, ours = %config.identity, "the client expects a name that our certificate does not have");
            config.identity.clone()
        }
        None => config.identity.clone(),
    }
}

impl OwnProof {
    /// Appends IDr, CERT and AUTH.
    pub(crate) fn push(&self, chain: &mut ChainBuilder, credential: Option<&Credential>) {
        let id = self.identity.data();
        chain.push(&Payload::IdResponder(Identification::new(self.identity.id_type(), &id)));
        for data in credential.filter(|_| self.certificates).map(Credential::chain).unwrap_or_default() {
            chain.push(&Payload::Certificate(Certificate { encoding: CertEncoding::X509_SIGNATURE, data }));
        }
        chain.push(&Payload::Authentication(Authentication { method: self.method, data: &self.data }));
    }
}
