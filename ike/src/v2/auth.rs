//! The first request of IKE_AUTH, RFC 7296 sections 1.2, 2.15 and 2.16: who the client is, and how it proves that.

use std::sync::Arc;

use tracing::debug;

use crate::cert;
use crate::config::Config;
use crate::credential::Credential;
use crate::event::{AuthenticatedBy, Event};
use crate::identity::Identity;
use crate::refusal::RefusalReason;
use crate::wire::num::{AuthMethod, ExchangeType};
use crate::wire::v2::{ChainBuilder, Notify, Payload};

use super::authenticating::{Authenticating, Step};
use super::half_open::HalfOpen;
use super::proof::{self, Claim, OwnProof, Proof};
use super::request::{AuthRequest, Invalid};
use super::sa::{IkeSa, Message, Role};
use super::{Context, Session, State, keys, ppk};

/// Takes the first request of IKE_AUTH.
pub(super) fn first(session: &mut Session, ctx: &mut Context<'_>, half_open: HalfOpen, request: &Message) -> State {
    let Some((mut sa, mut proof)) = half_open.into_keyed() else { return State::Over };
    match login(session, ctx, &mut sa, &mut proof, request) {
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
    /// The postquantum preshared key is mixed in.
    pub(crate) ppk: bool,
    pub(crate) configuration: Option<super::request::ConfigurationWish>,
    /// Absent: an IKE SA without Child SA, RFC 6023.
    pub(crate) child: Option<super::request::ChildWish>,
}

fn login(
    session: &mut Session,
    ctx: &mut Context<'_>,
    sa: &mut IkeSa,
    proof: &mut Proof,
    request: &Message,
) -> Result<Login, Invalid> {
    let request = AuthRequest::read(request.first, &request.chain)?;
    let idi = match Identity::parse(request.idi.id_type, request.idi.data) {
        Ok(idi) => idi,
        // With EAP it proves nothing, and some clients leave it empty.
        Err(_) if request.auth.is_none() => Identity::from(session.path.peer.ip()),
        Err(_) => return Err(Invalid::authentication(RefusalReason::Identity)),
    };
    session.identity = Some(idi.clone());
    let idi_body = keys::id_body(&request.idi);
    let mut mixed = false;
    let (own, client) = match request.auth {
        None => (eap(ctx, proof, &request)?, Client::WantsEap(idi.clone())),
        Some(mut auth) => {
            let (key, data) = ppk::decide(ctx, proof, &request.ppk, auth.data)?;
            if let Some(key) = key {
                ppk::apply(sa, proof, key);
                mixed = true;
            }
            auth.data = data;
            let claim = Claim { identity: &idi, id_body: &idi_body, certificates: &request.certificates, auth };
            let (own, by) = if auth.method == AuthMethod::SHARED_KEY {
                (psk(session, ctx, proof, &request, &claim)?, AuthenticatedBy::Psk)
            } else {
                (certificate(ctx, proof, &request, &claim)?, AuthenticatedBy::Certificate)
            };
            (own, Client::Proven(by))
        }
    };
    session.mobility.agree(ctx.config.mobike, &request.mobike);
    session.is_childless = request.child.is_none();
    let AuthRequest { initial_contact, configuration, child, .. } = request;
    let wish = Wish { idi, idi_body, initial_contact, ppk: mixed, configuration, child };
    Ok(Login { request: wish, own, client })
}

fn psk(
    session: &Session,
    ctx: &Context<'_>,
    proof: &Proof,
    request: &AuthRequest<'_>,
    claim: &Claim<'_>,
) -> Result<OwnProof, Invalid> {
    let psk = ctx.config.psks.find(claim.identity, session.path.peer.ip());
    proof::verify_psk(proof, Role::Initiator, claim, psk)?;
    let psk = psk.ok_or_else(|| Invalid::authentication(RefusalReason::NoPsk))?;
    // Who has the key may call us what it likes: devices take the address or name that was typed in.
    let identity = requested(request).unwrap_or_else(|| ctx.config.identity.clone());
    Ok(proof::prove_by_psk(proof, Role::Responder, identity, psk))
}

fn certificate(
    ctx: &mut Context<'_>,
    proof: &Proof,
    request: &AuthRequest<'_>,
    claim: &Claim<'_>,
) -> Result<OwnProof, Invalid> {
    let authorities = ctx
        .config
        .client_authorities
        .as_deref()
        .ok_or_else(|| Invalid::authentication(RefusalReason::CertificatesUnavailable))?;
    proof::verify_certificate(ctx, proof, (Role::Initiator, cert::Role::Client), claim, authorities)?;
    sign(ctx, proof, request)
}

fn eap(ctx: &mut Context<'_>, proof: &Proof, request: &AuthRequest<'_>) -> Result<OwnProof, Invalid> {
    let certificate_missing = ctx.config.credentials.is_empty();
    if !ctx.config.eap || certificate_missing {
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
    proof::prove_by_certificate(ctx, proof, Role::Responder, identity, credential)
}

/// The name by which the client wants to reach us.
fn requested(request: &AuthRequest<'_>) -> Option<Identity> {
    request.idr.as_ref().and_then(|idr| Identity::parse(idr.id_type, idr.data).ok())
}

/// The requested name if it is ours, otherwise the configured one.
fn own_identity(config: &Config, credential: &Arc<Credential>, requested: Option<Identity>) -> Identity {
    match requested {
        Some(requested) if requested == config.identity || credential.speaks_for(&requested) => requested,
        Some(requested) => {
            debug!(%requested, ours = %config.identity, "the client expects a name that our certificate does not have");
            config.identity.clone()
        }
        None => config.identity.clone(),
    }
}
