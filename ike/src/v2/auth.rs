//! The first request of IKE_AUTH, RFC 7296 sections 1.2, 2.15 and 2.16: who calls, and how that is proven.

use std::sync::Arc;

use crate::cert;
use crate::config::Config;
use crate::event::{AuthenticatedBy, Event};
use crate::identity::Identity;
use crate::proposal::Mismatch;
use crate::refusal::RefusalReason;
use crate::site::Site;
use crate::wire::num::{AuthMethod, CertEncoding, ExchangeType};
use crate::wire::v2::Authentication;

use super::authenticating::{Authenticating, Step};
use super::awaiting_list::AwaitingList;
use super::connection::{self, Caller, Connection, Method};
use super::half_open::HalfOpen;
use super::proof::{self, Claim, OwnProof, Proof, Proven};
use super::request::{AuthRequest, Invalid};
use super::sa::{IkeSa, Message, Role};
use super::{Context, Session, State, keys, own_certificate, ppk};

/// Takes the first request of IKE_AUTH.
pub(super) fn first(session: &mut Session, ctx: &mut Context<'_>, half_open: HalfOpen, request: Message) -> State {
    let Some((sa, proof)) = half_open.into_keyed() else { return State::Over };
    let deadline = ctx.now + ctx.config.timing.revocation_list;
    judge(session, ctx, Box::new(AwaitingList { sa, proof, request, deadline }))
}

/// Goes on with the first request, or leaves it waiting if a revocation list may come in time.
pub(super) fn judge(session: &mut Session, ctx: &mut Context<'_>, mut waiting: Box<AwaitingList>) -> State {
    let judged = login(session, ctx, &mut waiting.sa, &mut waiting.proof, &waiting.request);
    let Login { request, own, client } = match judged {
        Ok(login) => login,
        Err(invalid) if waiting.is_for(&invalid, ctx.now) => return State::AwaitingList(waiting),
        Err(Invalid { reason, notify, data }) => {
            session.refuse(ctx, ExchangeType::IKE_AUTH, *reason);
            session.answer_notify(ctx, &mut waiting.sa, notify, &data);
            return super::Closing::lingering(ctx.now, waiting.sa);
        }
    };
    let mut state = Authenticating::new(ctx, waiting.sa, waiting.proof, request, own);
    match client {
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
    let (own, client) = match request.auth {
        None => {
            // Only clients log in by EAP, and this one has proven nothing yet.
            allows(ctx.config, &Connection::Remote, sa)?;
            (eap(ctx, proof, &request)?, Client::WantsEap(idi.clone()))
        }
        Some(auth) => {
            let (own, by) = Attempt { request: &request, idi: &idi, idi_body: &idi_body, auth }
                .authenticate(session, ctx, sa, proof)?;
            (own, Client::Proven(by))
        }
    };
    let allows_mobility = session.site.as_ref().map_or(ctx.config.mobike, |site| site.mobike);
    session.mobility.agree(allows_mobility, &request.mobike);
    session.is_childless = request.child.is_none();
    if session.is_childless && !ctx.config.childless {
        return Err(Invalid::problem("SA is missing"));
    }
    let AuthRequest { initial_contact, configuration, child, .. } = request;
    let wish = Wish { idi, idi_body, initial_contact, configuration, child };
    Ok(Login { request: wish, own, client })
}

/// A request with an AUTH payload, which may be for one of several connections.
struct Attempt<'a> {
    request: &'a AuthRequest<'a>,
    idi: &'a Identity,
    idi_body: &'a [u8],
    auth: Authentication<'a>,
}

impl Attempt<'_> {
    /// Tries all connections that the caller may be for, and notes in the session which one it is.
    fn authenticate(
        &self,
        session: &mut Session,
        ctx: &mut Context<'_>,
        sa: &mut IkeSa,
        proof: &mut Proof,
    ) -> Result<(OwnProof, AuthenticatedBy), Invalid> {
        let address = session.path.peer.ip();
        let idr = own_certificate::requested(self.request);
        let caller = Caller { idi: self.idi, idr: idr.as_ref(), address, method: self.method() };
        let mut failure: Option<(Invalid, Option<Arc<Site>>)> = None;
        for connection in connection::candidates(ctx.config, &caller) {
            match self.attempt(session, ctx, sa, proof, &connection) {
                Ok((own, Proven { by, certificates })) => {
                    session.site = connection.site().cloned();
                    session.certificates = certificates;
                    return Ok((own, by));
                }
                // Of those that say equally much the first is of the best candidate.
                Err(invalid) => {
                    let known = failure.as_ref().map(|(known, _)| weight(known));
                    if known.is_none_or(|known| weight(&invalid) > known) {
                        failure = Some((invalid, connection.site().cloned()));
                    }
                }
            }
        }
        let (invalid, site) = failure.ok_or_else(|| Invalid::authentication(RefusalReason::NoPsk))?;
        let (invalid, site) = explain(ctx.config, &caller, invalid, site);
        session.site = site;
        Err(invalid)
    }

    fn attempt(
        &self,
        session: &mut Session,
        ctx: &mut Context<'_>,
        sa: &mut IkeSa,
        proof: &mut Proof,
        connection: &Connection,
    ) -> Result<(OwnProof, Proven), Invalid> {
        let ppk = &self.request.ppk;
        let (key, data) = match ppk::decide(ctx.config, connection, proof, ppk, self.auth.data) {
            Ok(decided) => decided,
            Err(refused) => {
                // The wrong caller is told from the right one without its postquantum key, where that is possible.
                proof.unmix();
                if let Some(data) = ppk.auth_without(self.auth.data) {
                    self.verify(session, ctx, proof, connection, data)?;
                }
                return Err(refused);
            }
        };
        match key {
            Some(key) => proof.mix(key),
            None => proof.unmix(),
        }
        let proven = self.verify(session, ctx, proof, connection, data)?;
        allows(ctx.config, connection, sa)?;
        let own = self.prove(session, ctx, proof, connection)?;
        if let Some(key) = key {
            sa.mix(key);
            session.ppk = true;
        }
        Ok((own, proven))
    }

    /// Verifies the AUTH payload, with `data` in it.
    fn verify(
        &self,
        session: &Session,
        ctx: &Context<'_>,
        proof: &Proof,
        connection: &Connection,
        data: &[u8],
    ) -> Result<Proven, Invalid> {
        let auth = Authentication { data, ..self.auth };
        let certificates = &self.request.certificates;
        let expected = connection.site().and_then(|site| site.peer_identity.as_ref());
        let claim = Claim { identity: self.idi, expected, id_body: self.idi_body, certificates, auth };
        match connection {
            Connection::Site(site) => proof::verify(ctx, proof, Role::Initiator, &claim, &site.peer_auth),
            Connection::Remote if auth.method == AuthMethod::SHARED_KEY => {
                let psk = ctx.config.psks.find(self.idi, session.path.peer.ip());
                proof::verify_psk(proof, Role::Initiator, &claim, psk).map(|()| AuthenticatedBy::Psk.into())
            }
            Connection::Remote => {
                proof::require_signature(&claim)?;
                let authorities = ctx.config.client_authorities.as_deref();
                let none = || Invalid::authentication(RefusalReason::CertificatesUnavailable);
                let (authorities, roles) = (authorities.ok_or_else(none)?, (Role::Initiator, cert::Role::Client));
                proof::verify_certificate(ctx, proof, roles, &claim, authorities)
            }
        }
    }

    /// Proves who we are.
    fn prove(
        &self,
        session: &Session,
        ctx: &mut Context<'_>,
        proof: &Proof,
        connection: &Connection,
    ) -> Result<OwnProof, Invalid> {
        match connection {
            Connection::Site(site) => {
                proof::prove(ctx, proof, Role::Responder, site.identity.clone(), &site.local_auth)
            }
            Connection::Remote if self.auth.method == AuthMethod::SHARED_KEY => {
                let psk = ctx.config.psks.find(self.idi, session.path.peer.ip());
                let psk = psk.ok_or_else(|| Invalid::authentication(RefusalReason::NoPsk))?;
                // Who has the key may call us what it likes: devices take the address or name that was typed in.
                let identity = own_certificate::requested(self.request).unwrap_or_else(|| ctx.config.identity.clone());
                Ok(proof::prove_by_psk(proof, Role::Responder, identity, psk))
            }
            Connection::Remote => sign(ctx, proof, self.request),
        }
    }

    fn method(&self) -> Method {
        let has = |encoding| self.request.certificates.iter().any(|found| found.encoding == encoding);
        match self.auth.method {
            AuthMethod::SHARED_KEY => Method::SharedKey,
            method if !proof::is_signature(method) => Method::Other,
            _ if has(CertEncoding::X509_SIGNATURE) => Method::Certificate,
            _ => Method::RawKey,
        }
    }
}

/// How much a failure says: least that nothing is configured which could succeed, most what is wrong with the right caller.
fn weight(failure: &Invalid) -> u8 {
    use RefusalReason::{
        AuthMethod, Certificate, CertificatesUnavailable, NoPsk, OtherRawKey, PpkUnknown, Signature, WrongPsk,
    };
    match *failure.reason {
        NoPsk | CertificatesUnavailable => 0,
        WrongPsk | AuthMethod(_) | OtherRawKey | Certificate(_) | Signature(_) | PpkUnknown => 1,
        _ => 2,
    }
}

/// A caller from a site's address with another name than the site's has most likely that name wrong; one with a site's name
/// from elsewhere has an address that the configuration does not know.
fn explain(
    config: &Config,
    caller: &Caller<'_>,
    failure: Invalid,
    site: Option<Arc<Site>>,
) -> (Invalid, Option<Arc<Site>>) {
    if weight(&failure) > 0 || site.is_some() {
        return (failure, site);
    }
    let mut named = connection::sites_at(config, caller.address);
    let expected = named.find_map(|site| Some((site, site.peer_identity.clone()?)));
    match expected {
        Some((site, expected)) if !site.may_be_called(caller.idi) => {
            let found = caller.idi.clone();
            (Invalid::authentication(RefusalReason::PeerIdentity { expected, found }), Some(site.clone()))
        }
        Some(_) => (failure, site),
        None => match connection::sites_named(config, caller.idi).find(|site| !site.may_come_from(caller.address)) {
            Some(site) => {
                let expected = site.peer_addresses.iter().map(|prefix| prefix.address).collect();
                let reason = RefusalReason::PeerAddress { expected, found: caller.address };
                (Invalid::authentication(reason), Some(site.clone()))
            }
            None => (failure, site),
        },
    }
}

/// Who calls is known only after the suite was chosen: it has to be acceptable for this connection, too.
fn allows(config: &Config, connection: &Connection, sa: &IkeSa) -> Result<(), Invalid> {
    let policy = connection.policy(config);
    if policy.allows_ike(&sa.suite) {
        return Ok(());
    }
    let allowed = policy.ike().iter().map(ToString::to_string).collect();
    let mismatch = Mismatch { offered: vec![sa.suite.to_string()], allowed, would_help: None };
    // NO_PROPOSAL_CHOSEN would be about the Child SA here, and the IKE SA would go on (RFC 7296 section 2.21.2).
    Err(Invalid::authentication(RefusalReason::IkeProposal(mismatch)))
}

fn eap(ctx: &mut Context<'_>, proof: &Proof, request: &AuthRequest<'_>) -> Result<OwnProof, Invalid> {
    let certificate_missing = ctx.config.credentials.is_empty();
    if ctx.config.eap && ctx.config.eap_only && request.eap_only {
        let identity = own_certificate::requested(request).unwrap_or_else(|| ctx.config.identity.clone());
        return Ok(OwnProof::by_eap(identity));
    }
    if !ctx.config.eap || certificate_missing {
        return Err(Invalid::authentication(RefusalReason::EapUnavailable { certificate_missing }));
    }
    sign(ctx, proof, request)
}

/// Signs with our certificate's key.
fn sign(ctx: &mut Context<'_>, proof: &Proof, request: &AuthRequest<'_>) -> Result<OwnProof, Invalid> {
    let (credential, identity) = own_certificate::choose(ctx.config, proof, request)?;
    proof::prove_by_certificate(ctx, proof, Role::Responder, identity, credential)
}
