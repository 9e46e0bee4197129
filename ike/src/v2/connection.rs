//! Who calls: which of the configured connections an initiator may be for.
//!
//! What decides, in this order: how it proves who it is (a site has one method, a remote client several), who it says it is
//! (IDi), by which name it asks for us (IDr), where it comes from. None of this is certain before its AUTH payload is
//! verified: a client sends its private address as its name, two sites come from one address, and a laptop at a branch office
//! comes from the address of that branch's gateway. So there is a list of candidates, best first, and the first one whose
//! key fits is the one. A key of a site lets in nobody else, and no client's key opens a site.
//!
//! Does not: verify anything (see [`proof`](super::proof)).

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;

use crate::cert::KEY_HASH_LEN;
use crate::config::Config;
use crate::credential::{MAX_REQUESTED, PeerAuth};
use crate::identity::Identity;
use crate::proposal::Policy;
use crate::site::Site;

/// At most so many candidates are tried whose proof is a signature: each costs the verification of a chain.
const MAX_SIGNED: usize = 8;

/// At most so many candidates are tried whose proof is a shared key.
const MAX_SHARED_KEY: usize = 256;

/// Whom an IKE SA is with.
#[derive(Clone)]
pub(crate) enum Connection {
    /// A remote client.
    Remote,
    /// Another gateway.
    Site(Arc<Site>),
}

/// What an initiator shows of itself in its first request of IKE_AUTH.
pub(crate) struct Caller<'a> {
    pub(crate) idi: &'a Identity,
    /// By what name it asks for us.
    pub(crate) idr: Option<&'a Identity>,
    pub(crate) address: IpAddr,
    pub(crate) method: Method,
}

/// How it wants to prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    SharedKey,
    /// By a signature, and X.509 certificates are there.
    Certificate,
    /// By a signature alone, or with a raw public key.
    RawKey,
    /// By EAP, or by something else that only a client could do.
    Other,
}

/// How well a site fits; the smallest is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    /// After the remote clients: nothing but the key tells that it is this site.
    is_vague: bool,
    names_caller: Reverse<bool>,
    is_asked_for: Reverse<bool>,
    has_address: Reverse<bool>,
}

impl Connection {
    /// The site.
    pub(crate) fn site(&self) -> Option<&Arc<Site>> {
        match self {
            Self::Remote => None,
            Self::Site(site) => Some(site),
        }
    }

    /// What is acceptable for it.
    pub(crate) fn policy<'a>(&'a self, config: &'a Config) -> &'a Policy {
        self.site().map_or(&config.policy, |site| &site.policy)
    }
}

/// The connections that the caller may be for, best first. Remote clients are always among them.
pub(crate) fn candidates(config: &Config, caller: &Caller<'_>) -> Vec<Connection> {
    let mut sites: Vec<(Fit, &Arc<Site>)> =
        config.sites.iter().filter_map(|site| Some((Fit::of(site, caller)?, site))).collect();
    // Stable: of equals the first in the configuration.
    sites.sort_by_key(|(fit, _)| *fit);
    sites.truncate(if caller.method == Method::SharedKey { MAX_SHARED_KEY } else { MAX_SIGNED });
    let (vague, clear): (Vec<_>, Vec<_>) = sites.into_iter().partition(|(fit, _)| fit.is_vague);
    let connection = |(_, site): (Fit, &Arc<Site>)| Connection::Site(site.clone());
    let clear = clear.into_iter().map(connection);
    clear.chain([Connection::Remote]).chain(vague.into_iter().map(connection)).collect()
}

/// The policies of those who may call from `address`, which is all that is known when a suite is chosen: sites that are
/// there, remote clients if there are any, sites that may be anywhere. Never empty: a stranger is measured by what clients
/// may use.
pub(crate) fn policies(config: &Config, address: IpAddr) -> impl Iterator<Item = &Policy> {
    let anywhere = || config.sites.iter().filter(|site| site.peer_addresses.is_empty());
    let there = || sites_at(config, address);
    let nobody = there().chain(anywhere()).next().is_none();
    let of_clients = (config.admits_clients() || nobody).then_some(&config.policy);
    there().map(|site| &site.policy).chain(of_clients).chain(anywhere().map(|site| &site.policy))
}

/// The site that a caller from `address` has to be, if there are neither clients nor others that it could be.
pub(crate) fn only_site(config: &Config, address: IpAddr) -> Option<&Arc<Site>> {
    let mut callers = config.sites.iter().filter(|site| site.may_come_from(address));
    let first = callers.next().filter(|_| !config.admits_clients())?;
    callers.next().is_none().then_some(first)
}

/// The sites whose peer calls itself so, wherever it may be.
pub(crate) fn sites_named<'a>(config: &'a Config, identity: &Identity) -> impl Iterator<Item = &'a Arc<Site>> {
    config.sites.iter().filter(move |site| site.peer_identity.as_ref() == Some(identity))
}

/// The sites that are known to be at `address`.
pub(crate) fn sites_at(config: &Config, address: IpAddr) -> impl Iterator<Item = &Arc<Site>> {
    config.sites.iter().filter(move |site| !site.peer_addresses.is_empty() && site.may_come_from(address))
}

/// The authorities whose certificates would let in a caller from `address`, as a certificate request names them (RFC 7296
/// section 3.7): many peers show no certificate unless they are asked.
pub(crate) fn requested_authorities(config: &Config, address: IpAddr) -> Vec<u8> {
    let of_site = |site: &'_ Arc<Site>| match &site.peer_auth {
        PeerAuth::Certificate(authorities) if site.may_come_from(address) => Some(authorities.clone()),
        _ => None,
    };
    let all = config.client_authorities.iter().cloned().chain(config.sites.iter().filter_map(of_site));
    let mut hashes: Vec<[u8; KEY_HASH_LEN]> = Vec::new();
    for authorities in all {
        let (of_one, _) = authorities.key_hashes().as_chunks();
        for hash in of_one {
            if !hashes.contains(hash) && hashes.len() < MAX_REQUESTED {
                hashes.push(*hash);
            }
        }
    }
    hashes.concat()
}

impl Fit {
    /// `None` if it cannot be this site.
    fn of(site: &Site, caller: &Caller<'_>) -> Option<Self> {
        let names_caller = site.peer_identity.is_some();
        if !site.may_come_from(caller.address) || !site.may_be_called(caller.idi) {
            return None;
        }
        let (fits, proves_identity) = match (&site.peer_auth, caller.method) {
            // Along with a certificate that we did not ask for, a bare key may still be the known one.
            (PeerAuth::Psk(_), Method::SharedKey) | (PeerAuth::RawKey(_), Method::RawKey | Method::Certificate) => {
                (true, false)
            }
            // A certificate of the right authority says nothing if any name will do.
            (PeerAuth::Certificate(_), Method::Certificate) => (true, true),
            _ => (false, false),
        };
        let has_address = !site.peer_addresses.is_empty();
        let is_vague = !names_caller && (proves_identity || !has_address);
        let is_asked_for = caller.idr.is_some_and(|idr| idr.is_same(&site.identity));
        let (names_caller, is_asked_for) = (Reverse(names_caller), Reverse(is_asked_for));
        fits.then_some(Self { is_vague, names_caller, is_asked_for, has_address: Reverse(has_address) })
    }
}
