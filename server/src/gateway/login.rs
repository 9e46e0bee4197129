//! Logins with user name and password: between IKE's EAP payloads (RFC 7296 section 2.16) and the EAP server.

use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::{EapStep, Path, SessionId};
use cygnet_ppp::auth::{AuthSeed, Credentials, Verdict};

use super::session::Login;
use super::{Gateway, Now};
use crate::auth::eap::{EapOutcome, EapServer};

impl Gateway {
    /// The client has sent no AUTH payload: it wants to log in by EAP.
    pub(super) fn begin_login(&mut self, now: Now, session: SessionId, path: Path) {
        let login = Login { eap: EapServer::new(self.eap_seed(), self.server_name()), path, user: None };
        let step = match self.throttle.admit(now.instant, path.peer.ip(), None) {
            Ok(()) => EapStep::Request(login.eap.start()),
            Err(throttled) => {
                self.report_login_failure(now, &login, &throttled.to_string());
                EapStep::Failure { message: login.eap.failure() }
            }
        };
        self.logins.insert(session, login);
        self.ike.eap_continue(now.instant, session, step);
    }

    /// The client has answered the last EAP request.
    pub(super) fn continue_login(&mut self, now: Now, session: SessionId, response: &[u8]) {
        let Some(mut login) = self.logins.remove(&session) else { return };
        let step = self.next_step(now, &mut login, response);
        self.logins.insert(session, login);
        self.ike.eap_continue(now.instant, session, step);
    }

    fn next_step(&mut self, now: Now, login: &mut Login, response: &[u8]) -> EapStep {
        let outcome = match login.eap.handle(response) {
            EapOutcome::Credentials(credentials) => {
                let source = login.path.peer.ip();
                if let Err(throttled) = self.throttle.admit(now.instant, source, Some(credentials.user())) {
                    self.report_login_failure(now, login, &throttled.to_string());
                    return EapStep::Failure { message: login.eap.failure() };
                }
                let verdict = self.judge(now, login, &credentials);
                login.eap.verdict(verdict)
            }
            outcome => outcome,
        };
        match outcome {
            EapOutcome::Request(message) | EapOutcome::Rejected { message } => EapStep::Request(message),
            EapOutcome::Success { message, msk, user } => {
                login.user = Some(user);
                EapStep::Success { msk: Secret::from_slice(msk.expose()), message }
            }
            EapOutcome::Failure { message, reason } => {
                if let Some(reason) = reason {
                    self.report_login_failure(now, login, &reason.to_string());
                }
                EapStep::Failure { message }
            }
            EapOutcome::Credentials(_) => EapStep::Failure { message: login.eap.failure() },
        }
    }

    /// Looks the client up, and notes a guess.
    fn judge(&mut self, now: Now, login: &Login, credentials: &Credentials) -> Verdict {
        let rejection = match self.users.check(credentials, now.wall_clock()) {
            Ok(admitted) => return admitted.into(),
            Err(rejection) => rejection,
        };
        if rejection.is_guess() {
            self.throttle.note_failure(now.instant, login.path.peer.ip(), login.eap.claimed_name());
        }
        self.report_login_failure(now, login, &rejection.to_string());
        Verdict::Rejected
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

    fn server_name(&self) -> &str {
        self.settings.remote.as_ref().map_or("", |remote| &remote.name)
    }
}
