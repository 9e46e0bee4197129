//! Logins with user name and password, or by certificate inside EAP: one check for all protocols, and the two of IKE.
//!
//! IKEv2 passes EAP payloads (RFC 7296 section 2.16) to and fro between client and EAP server, IKEv1 asks by XAUTH. Logins
//! inside of L2TP end up here too (`call.rs`).

use std::time::Duration;

use cygnet_ike::cert::CertificatePath;
use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::{EapStep, Path, SessionId};
use cygnet_ppp::auth::{AuthFailure, AuthSeed, Credentials, Password, Verdict};

use super::awaited_lists::Asker;
use super::session::Login;
use super::{Gateway, Now};
use crate::auth::certificate;
use crate::auth::eap::{EapConfig, EapMethod, EapOutcome, EapServer};
use crate::config;

/// Where a login takes place, as people are told.
pub(super) const EAP: &str = "IKE_AUTH";
const XAUTH: &str = "XAUTH";
pub(super) const PPP: &str = "PPP";

impl Gateway {
    /// The client has sent no AUTH payload: it wants to log in by EAP.
    pub(super) fn begin_login(&mut self, now: Now, session: SessionId, path: Path) {
        let eap = EapServer::new(self.eap_seed(), self.server_name(), &self.eap_config(now));
        let login = Login { eap, path, user: None, certificates: CertificatePath::default() };
        let step = match self.throttle.admit(now.instant, path.peer.ip(), None) {
            Ok(()) => EapStep::Request(login.eap.start()),
            Err(throttled) => {
                self.report_login_failure(now, path, EAP, None, &throttled.to_string());
                EapStep::Failure { message: login.eap.failure() }
            }
        };
        self.logins.insert(session, login);
        self.ike.eap_continue(now.instant, session, step);
    }

    /// The client has answered the last EAP request.
    pub(super) fn continue_login(&mut self, now: Now, session: SessionId, response: &[u8]) {
        let Some(login) = self.logins.get_mut(&session) else { return };
        match login.eap.handle(response) {
            EapOutcome::Credentials(credentials) => self.judge_for(now, Asker::Ike(session), credentials),
            outcome => self.next_step(now, session, outcome),
        }
    }

    /// What the client has shown was judged.
    pub(super) fn login_judged(&mut self, now: Now, session: SessionId, verdict: Verdict, path: CertificatePath) {
        let Some(login) = self.logins.get_mut(&session) else { return };
        login.certificates = path;
        let outcome = login.eap.verdict(verdict);
        self.next_step(now, session, outcome);
    }

    fn next_step(&mut self, now: Now, session: SessionId, outcome: EapOutcome) {
        let Some(mut login) = self.logins.remove(&session) else { return };
        let step = match outcome {
            EapOutcome::Request(message) => EapStep::Request(message),
            EapOutcome::Rejected { message, reason } => {
                self.note_failure(now, &login, reason.as_ref());
                EapStep::Request(message)
            }
            EapOutcome::Success { message, msk, user, method } => {
                login.user = Some(user);
                EapStep::Success { msk: Secret::from_slice(msk.expose()), message, mutual: method.is_mutual() }
            }
            EapOutcome::Failure { message, reason } => {
                self.note_failure(now, &login, reason.as_ref());
                EapStep::Failure { message }
            }
            EapOutcome::Credentials(_) => EapStep::Failure { message: login.eap.failure() },
        };
        self.logins.insert(session, login);
        self.ike.eap_continue(now.instant, session, step);
    }

    /// Tells the operator why a login failed for reasons of the protocol.
    fn note_failure(&mut self, now: Now, login: &Login, reason: Option<&AuthFailure>) {
        if let Some(reason) = reason {
            self.report_login_failure(now, login.path, EAP, login.eap.claimed_name(), &reason.to_string());
        }
    }

    /// The client has answered XAUTH's question for name and password. It may ask again after phase 1 was renewed: it has to
    /// be the same user then.
    pub(super) fn xauth_login(&mut self, now: Now, session: SessionId, user: String, password: &Secret, path: Path) {
        self.forget_channel(session);
        let credentials = Credentials::Pap { user, password: Password::new(password.expose()) };
        let accepted = match self.judge(now, path, XAUTH, &credentials) {
            Verdict::Accepted { user, .. } => {
                let same = self.sessions.get(&session).is_none_or(|known| known.user.as_ref() == Some(&user));
                if !same {
                    let text = "the client logs in again as somebody else";
                    self.report_login_failure(now, path, XAUTH, Some(&user), text);
                }
                self.proven.insert(session, user);
                same
            }
            Verdict::Rejected => false,
        };
        self.ike.xauth_continue(now.instant, session, accepted);
    }

    /// Checks name and password whatever they came by: slows guessing down, notes a guess, and tells the operator. A
    /// certificate was verified before (`awaited_lists.rs`); what is left is whose it is.
    pub(super) fn judge(&mut self, now: Now, path: Path, exchange: &'static str, credentials: &Credentials) -> Verdict {
        if let Credentials::Certificate { chain, .. } = credentials {
            return self.judge_certificate(now, path, exchange, chain);
        }
        let (source, name) = (path.peer.ip(), credentials.user());
        if let Err(throttled) = self.throttle.admit(now.instant, source, Some(name)) {
            self.report_login_failure(now, path, exchange, Some(name), &throttled.to_string());
            return Verdict::Rejected;
        }
        let rejection = match self.users.check(credentials, now.wall_clock()) {
            Ok(admitted) => return admitted.into(),
            Err(rejection) => rejection,
        };
        if rejection.is_guess() {
            self.throttle.note_failure(now.instant, source, Some(name));
        }
        self.report_login_failure(now, path, exchange, Some(name), &rejection.to_string());
        Verdict::Rejected
    }

    /// Nobody guesses a certificate, so nothing is slowed down.
    fn judge_certificate(&mut self, now: Now, path: Path, exchange: &'static str, chain: &[Vec<u8>]) -> Verdict {
        let own = chain.first().map(Vec::as_slice).unwrap_or_default();
        match self.users.check_certificate(own, now.wall_clock()) {
            Ok(user) => Verdict::Accepted { user, proof: None },
            Err(rejection) => {
                let who = certificate::names(own).into_iter().next();
                self.report_login_failure(now, path, exchange, who.as_deref(), &rejection.to_string());
                Verdict::Rejected
            }
        }
    }

    fn eap_seed(&mut self) -> AuthSeed {
        let mut seed = AuthSeed { challenge: [0; 16], unused_challenge: [0; 16], identifier: 0 };
        self.random.fill(&mut seed.challenge);
        self.random.fill(&mut seed.unused_challenge);
        let mut identifier = [0];
        self.random.fill(&mut identifier);
        [seed.identifier] = identifier;
        seed
    }

    /// What EAP may do in a login that begins now: of the configured methods those that somebody can use.
    pub(super) fn eap_config(&self, now: Now) -> EapConfig {
        let configured = self.settings.remote.as_ref().map(|remote| remote.eap.as_slice()).unwrap_or_default();
        let method = |method: &config::EapMethod| match method {
            config::EapMethod::MsChapV2 => (!self.settings.users.is_empty()).then_some(EapMethod::MsChapV2),
            config::EapMethod::Tls => self.eap_tls.is_some().then_some(EapMethod::Tls),
        };
        let wall = Duration::from_secs(now.seconds());
        EapConfig {
            methods: configured.iter().filter_map(method).collect(),
            tls: self.eap_tls.as_ref().map(|tls| tls.at(wall)),
        }
    }

    pub(super) fn server_name(&self) -> &str {
        self.settings.remote.as_ref().map_or("", |remote| &remote.name)
    }
}
