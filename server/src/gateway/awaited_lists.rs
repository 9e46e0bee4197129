//! Who judges what a client has shown inside of EAP or PPP, and when: a certificate whose revocation list is being fetched waits
//! for it.
//!
//! The client gets no answer until the list is there or the time is over, so that the first login after a start does not fail
//! for a list that is a moment away. Certificates in IKE_AUTH itself wait in the IKE engine.
//!
//! Does not: fetch. To verify a certificate notes where its list can be had, which the daemon asks for
//! ([`Gateway::take_list_addresses`]).

use std::collections::BTreeMap;
use std::time::Instant;

use cygnet_ike::SessionId;
use cygnet_ike::cert::{CertError, CertificatePath, Role, VerifiedCertificate};
use cygnet_l2tp::SessionKey;
use cygnet_ppp::auth::{Credentials, Verdict};

use super::ike_config::LIST_PATIENCE;
use super::timers::Timer;
use super::{Gateway, Now, login};
use crate::auth::client_authorities;

/// Where a client logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asker {
    /// By EAP inside of IKE_AUTH.
    Ike(SessionId),
    /// By PPP inside of L2TP.
    Ppp(SessionKey),
}

/// Logins that wait, one for each asker at most.
#[derive(Default)]
pub(super) struct AwaitedLists(BTreeMap<Asker, Waiting>);

struct Waiting {
    credentials: Credentials,
    /// They are judged by then, list or no list.
    deadline: Instant,
}

#[cfg(test)]
impl AwaitedLists {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Gateway {
    /// Judges what a client has shown, now or a moment later, and tells where it logs in.
    pub(super) fn judge_for(&mut self, now: Now, asker: Asker, credentials: Credentials) {
        self.judge_by(now, asker, Waiting { credentials, deadline: now.instant + LIST_PATIENCE });
    }

    /// There are other lists.
    pub(super) fn judge_all_again(&mut self, now: Now) {
        let askers: Vec<Asker> = self.awaited_lists.0.keys().copied().collect();
        askers.into_iter().for_each(|asker| self.judge_again(now, asker));
    }

    /// The time of a login is over, or there are other lists.
    pub(super) fn judge_again(&mut self, now: Now, asker: Asker) {
        if let Some(waiting) = self.take_waiting(asker) {
            self.judge_by(now, asker, waiting);
        }
    }

    /// Nobody wants to know any more.
    pub(super) fn forget_asker(&mut self, asker: Asker) {
        self.take_waiting(asker);
    }

    fn take_waiting(&mut self, asker: Asker) -> Option<Waiting> {
        self.timers.set(Timer::List(asker), None);
        self.awaited_lists.0.remove(&asker)
    }

    fn judge_by(&mut self, now: Now, asker: Asker, waiting: Waiting) {
        let verified = self.verified(now, &waiting.credentials);
        if now.instant < waiting.deadline && verified.as_ref().is_err_and(CertError::awaits_list) {
            self.timers.set(Timer::List(asker), Some(waiting.deadline));
            self.awaited_lists.0.insert(asker, waiting);
            return;
        }
        let (path, exchange) = match asker {
            Asker::Ike(session) => (self.logins.get(&session).map(|login| login.path), login::EAP),
            Asker::Ppp(key) => (self.channels.get(&SessionId(key.channel.0)).map(|channel| channel.path), login::PPP),
        };
        let Some(path) = path else { return };
        let credentials = &waiting.credentials;
        let (verdict, certificates) = match verified {
            Ok(certificates) => (self.judge(now, path, exchange, credentials), certificates),
            Err(error) => {
                let reason = client_authorities::refused(&error).reason;
                self.report_login_failure(now, path, exchange, Some(credentials.user()), &reason);
                (Verdict::Rejected, CertificatePath::default())
            }
        };
        match asker {
            Asker::Ike(session) => self.login_judged(now, session, verdict, certificates),
            Asker::Ppp(key) => self.call_judged(now, key, verdict, certificates),
        }
    }

    /// What a list of revoked certificates can be held against later; nothing if no certificate was shown.
    fn verified(&self, now: Now, credentials: &Credentials) -> Result<CertificatePath, CertError> {
        let Credentials::Certificate { chain, .. } = credentials else { return Ok(CertificatePath::default()) };
        let authorities = self.ike_config.client_authorities.as_ref().ok_or(CertError::NoTrustAnchors)?;
        let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        authorities.verify(&chain, now.unix(), Role::Client).map(VerifiedCertificate::into_path)
    }
}
