//! The steps of EAP-TLS.

use super::packet::EapType;
use super::tls::{EapTls, Fragment, Session, TlsStep};
use super::{EapMethod, EapOutcome, EapServer, State};
use crate::auth::{AuthFailure, Credentials};

/// A login by certificate.
pub(super) struct CertificateState {
    session: Session,
    /// The account, once the verdict is there.
    user: Option<String>,
}

impl EapServer {
    pub(super) fn begin_certificate(&mut self, tls: &EapTls) -> EapOutcome {
        self.state = State::Certificate(Box::new(CertificateState { session: Session::new(tls), user: None }));
        EapOutcome::Request(self.request(EapType::TLS, Fragment::START))
    }

    pub(super) fn handle_certificate(&mut self, mut state: Box<CertificateState>, data: &[u8]) -> EapOutcome {
        let step = state.session.handle(data);
        self.follow(state, step)
    }

    pub(super) fn accept_certificate(&mut self, mut state: Box<CertificateState>, user: String) -> EapOutcome {
        state.user = Some(user);
        let step = state.session.accept();
        self.follow(state, step)
    }

    fn follow(&mut self, state: Box<CertificateState>, step: TlsStep) -> EapOutcome {
        match (step, &state.user) {
            (TlsStep::Request(data), _) => {
                let request = self.next_request(&data);
                self.state = State::Certificate(state);
                EapOutcome::Request(request)
            }
            (TlsStep::LastRequest(data, reason), _) => {
                let message = self.next_request(&data);
                self.state = State::Certificate(state);
                EapOutcome::Rejected { message, reason: Some(reason) }
            }
            (TlsStep::Certificate(chain), _) => {
                self.state = State::CertificateVerdict(state);
                let user = self.claimed.clone().unwrap_or_default();
                EapOutcome::Credentials(Credentials::Certificate { user, chain })
            }
            (TlsStep::Success(msk), Some(user)) => {
                let user = user.clone();
                EapOutcome::Success { message: self.success(), msk, user, method: EapMethod::Tls }
            }
            (TlsStep::Success(_), None) => self.fail(AuthFailure::Rejected),
            (TlsStep::Failure(reason), _) => self.fail(reason),
            (TlsStep::Acknowledged, _) => EapOutcome::Failure { message: self.failure(), reason: None },
        }
    }

    fn next_request(&mut self, data: &[u8]) -> Vec<u8> {
        self.next_identifier();
        self.request(EapType::TLS, data)
    }
}
