//! Logins with user name and password: between IKE's EAP payloads (RFC 7296 section 2.16) and the EAP server.

use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::{EapStep, Path, SessionId};

use super::session::Login;
use super::{Gateway, Now};
use crate::auth::eap::{EapFailure, EapOutcome, EapSeed, EapServer};

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
        if let Some(name) = login.eap.name_to_prove(response)
            && let Err(throttled) = self.throttle.admit(now.instant, login.path.peer.ip(), Some(&name))
        {
            self.report_login_failure(now, login, &throttled.to_string());
            return EapStep::Failure { message: login.eap.failure() };
        }
        match login.eap.handle(response, &self.users, now.wall_clock()) {
            EapOutcome::Request(message) => EapStep::Request(message),
            EapOutcome::Rejected { message, reason } => {
                self.login_failed(now, login, &reason);
                EapStep::Request(message)
            }
            EapOutcome::Success { message, msk, user } => {
                login.user = Some(user);
                EapStep::Success { msk: Secret::from_slice(msk.expose()), message }
            }
            EapOutcome::Failure { message, reason } => {
                if let Some(reason) = reason {
                    self.login_failed(now, login, &reason);
                }
                EapStep::Failure { message }
            }
        }
    }

    fn login_failed(&mut self, now: Now, login: &Login, reason: &EapFailure) {
        if reason.is_guess() {
            self.throttle.note_failure(now.instant, login.path.peer.ip(), login.eap.claimed_name());
        }
        self.report_login_failure(now, login, &reason.to_string());
    }

    fn eap_seed(&mut self) -> EapSeed {
        let mut seed = EapSeed { challenge: [0; 16], unused_challenge: [0; 16], identifier: 0 };
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
