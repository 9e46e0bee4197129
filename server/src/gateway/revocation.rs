//! Lists of revoked certificates: those that the daemon has go to the authorities of clients and sites, and where others can
//! be had comes back.

use std::sync::Arc;

use cygnet_ike::cert::{RevocationList, RevocationPolicy};
use cygnet_ike::credential::Authorities;
use cygnet_ike::{CloseReason, PeerAuth, SessionId};

use super::session::Session;
use super::{Gateway, Now};
use crate::config::CrlPolicy;
use crate::pki::crl::Lists;

impl Gateway {
    /// These lists, DER, count from now on. Sessions whose certificate is on one of them end.
    pub fn set_revocation_lists(&mut self, now: Now, lists: Lists) {
        self.revocation_lists = lists;
        self.apply_revocation();
        self.end_revoked(now);
        self.judge_all_again(now);
        self.settle(now);
    }

    /// Where verified certificates say that lists can be had. Each is told again with each login.
    pub fn take_list_addresses(&self) -> Vec<String> {
        self.authorities().flat_map(|(authorities, _)| authorities.take_list_addresses()).collect()
    }

    /// After the lists, or the configuration, have changed.
    pub(super) fn apply_revocation(&self) {
        for (authorities, policy) in self.authorities() {
            // Each keeps lists of its own, parsed. One that cannot be read was told when it was taken in.
            let read = |der: &Vec<u8>| RevocationList::from_der(der).ok();
            let lists = self.revocation_lists.iter().filter_map(read).collect();
            authorities.set_revocation(ike_policy(policy), lists);
        }
    }

    /// Ends the sessions whose certificate is on a list: what came inside of EAP is known here, the rest to the IKE engine.
    pub(super) fn end_revoked(&mut self, now: Now) {
        self.ike.lists_changed(now.instant, now.unix());
        let Some(authorities) = self.ike_config.client_authorities.clone() else { return };
        let revoked = |(&id, session): (&SessionId, &Session)| {
            let error = authorities.revoked(&session.certificates)?;
            Some((id, error.to_string()))
        };
        let revoked: Vec<(SessionId, String)> = self.sessions.iter().filter_map(revoked).collect();
        for (id, text) in revoked {
            if let Some(session) = self.sessions.get(&id) {
                let (path, exchange, user) = (session.path, session.via.exchange(), session.who().to_owned());
                self.report_login_failure(now, path, exchange, Some(&user), &text);
            }
            self.disconnect(now, id, CloseReason::Revoked);
        }
    }

    /// All authorities that let somebody in, and how much is asked of their certificates.
    fn authorities(&self) -> impl Iterator<Item = (Arc<Authorities>, CrlPolicy)> {
        let clients = self.settings.remote.as_ref().map(|remote| remote.crl.policy);
        let clients = self.ike_config.client_authorities.clone().zip(clients);
        let sites = self.sites.engines().into_iter().filter_map(|site| {
            let PeerAuth::Certificate(authorities) = &site.peer_auth else { return None };
            let settings = self.settings.sites.iter().find(|settings| *settings.name == *site.name)?;
            Some((Arc::clone(authorities), settings.crl.policy))
        });
        clients.into_iter().chain(sites.collect::<Vec<_>>())
    }
}

fn ike_policy(policy: CrlPolicy) -> RevocationPolicy {
    match policy {
        CrlPolicy::Strict => RevocationPolicy::Strict,
        CrlPolicy::IfUri => RevocationPolicy::IfUri,
        CrlPolicy::Relaxed => RevocationPolicy::Relaxed,
    }
}
