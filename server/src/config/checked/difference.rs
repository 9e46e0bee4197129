//! What differs between two configurations: what a reload tells, and how much of a site it disturbs.
//!
//! Every type is taken apart by name, so that a new field cannot be forgotten. Secrets are compared in time that depends on their
//! lengths only.

use super::{LocalAuth, PeerAuth, Ppk, PskEntry, Remote, ServerIdentity, Site, SitePpk, User};
use crate::config::Secret;

/// How much a site differs from what it was, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SiteChange {
    /// Nothing.
    Nothing,
    /// Its tunnel is as it should be: when it begins and how it is looked after, routes, translation, lists of revoked certificates.
    Care,
    /// What both sides prove or negotiate: a new tunnel to the same peer takes the place of the old one.
    Terms,
    /// What it joins, how or with whom: the tunnel is another one.
    Tunnel,
}

impl Site {
    /// How much this site differs from one of the same name.
    #[must_use]
    pub fn change_from(&self, before: &Self) -> SiteChange {
        #[rustfmt::skip]
        let Self {
            name, peer, local_address, id, peer_id, local_auth, peer_auth, ppk, start, mode, routes, nat, policy, proposals,
            lifetimes, liveness, reauthentication, mobike, force_udp_encap, crl, mtu, children,
        } = self;
        let same_tunnel = *name == before.name
            && *peer == before.peer
            && *local_address == before.local_address
            && *mode == before.mode
            && *children == before.children;
        let same_terms = *id == before.id
            && *peer_id == before.peer_id
            && local_auth.is_same(&before.local_auth)
            && peer_auth.is_same(&before.peer_auth)
            && same_option(ppk.as_ref(), before.ppk.as_ref(), SitePpk::is_same)
            && *policy == before.policy
            && *proposals == before.proposals
            && *reauthentication == before.reauthentication
            && *mobike == before.mobike
            && *force_udp_encap == before.force_udp_encap;
        let same_care = *start == before.start
            && *routes == before.routes
            && *nat == before.nat
            && *lifetimes == before.lifetimes
            && *liveness == before.liveness
            && *crl == before.crl
            && *mtu == before.mtu;
        match (same_tunnel, same_terms, same_care) {
            (false, _, _) => SiteChange::Tunnel,
            (true, false, _) => SiteChange::Terms,
            (true, true, false) => SiteChange::Care,
            (true, true, true) => SiteChange::Nothing,
        }
    }

    /// Whether its sessions are looked after as before. What differs here counts for the next one.
    #[must_use]
    pub fn keeps_times_of(&self, before: &Self) -> bool {
        self.lifetimes == before.lifetimes && self.liveness == before.liveness
    }
}

impl Remote {
    /// What differs, each by its key in the file.
    #[must_use]
    pub fn changes_from(&self, before: &Self) -> Vec<&'static str> {
        #[rustfmt::skip]
        let Self {
            protocols, name, id, listen, psks, server_identities, client_ca, crl, eap, eap_only, ppks, ppk_required, unique,
            reauthentication, lifetimes, mobike, pools, dns, nbns, dns_domains, routes, nat, policy, proposals, force_udp_encap,
            client_to_client, rsa_sha1, liveness, replay_window, mtu, legacy,
        } = self;
        let same = [
            ("protocols", *protocols == before.protocols),
            ("name", *name == before.name),
            ("id", *id == before.id),
            ("listen", *listen == before.listen),
            ("psk", same_list(psks, &before.psks, PskEntry::is_same)),
            ("cert and key", same_list(server_identities, &before.server_identities, ServerIdentity::is_same)),
            ("ca", *client_ca == before.client_ca),
            ("crl", *crl == before.crl),
            ("eap", *eap == before.eap),
            ("eap_only", *eap_only == before.eap_only),
            ("ppk", same_list(ppks, &before.ppks, Ppk::is_same)),
            ("ppk_required", *ppk_required == before.ppk_required),
            ("unique", *unique == before.unique),
            ("reauth", *reauthentication == before.reauthentication),
            ("lifetimes", *lifetimes == before.lifetimes),
            ("mobike", *mobike == before.mobike),
            ("pool", *pools == before.pools),
            ("dns", *dns == before.dns),
            ("nbns", *nbns == before.nbns),
            ("dns_domains", *dns_domains == before.dns_domains),
            ("routes", *routes == before.routes),
            ("nat", *nat == before.nat),
            ("policy", *policy == before.policy),
            ("ike and esp", *proposals == before.proposals),
            ("force_udp_encap", *force_udp_encap == before.force_udp_encap),
            ("client_to_client", *client_to_client == before.client_to_client),
            ("rsa_sha1", *rsa_sha1 == before.rsa_sha1),
            ("liveness", *liveness == before.liveness),
            ("replay_window", *replay_window == before.replay_window),
            ("mtu", *mtu == before.mtu),
            ("ppp_auth, limits and switches of L2TP and XAuth", *legacy == before.legacy),
        ];
        same.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
    }
}

impl User {
    /// Whether nothing about the account differs.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let Self { name, nt_hash, password, ipv4, ipv6, expires, devices, disabled } = self;
        *name == other.name
            && nt_hash.ct_eq(&other.nt_hash)
            && same_option(password.as_ref(), other.password.as_ref(), Secret::ct_eq)
            && *ipv4 == other.ipv4
            && *ipv6 == other.ipv6
            && *expires == other.expires
            && *devices == other.devices
            && *disabled == other.disabled
    }
}

impl PskEntry {
    fn is_same(&self, other: &Self) -> bool {
        self.selector == other.selector && self.secret.ct_eq(&other.secret)
    }
}

impl ServerIdentity {
    fn is_same(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key.ct_eq(&other.key)
    }
}

impl Ppk {
    fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.secret.ct_eq(&other.secret)
    }
}

impl SitePpk {
    fn is_same(&self, other: &Self) -> bool {
        self.id == other.id && self.required == other.required && self.secret.ct_eq(&other.secret)
    }
}

impl LocalAuth {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Psk(a), Self::Psk(b)) => a.ct_eq(b),
            (Self::Certificate(a), Self::Certificate(b)) => a.is_same(b),
            (Self::RawKey(a), Self::RawKey(b)) => a.ct_eq(b),
            _ => false,
        }
    }
}

impl PeerAuth {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Psk(a), Self::Psk(b)) => a.ct_eq(b),
            (Self::Certificate(a), Self::Certificate(b)) => a == b,
            (Self::RawKey(a), Self::RawKey(b)) => a == b,
            _ => false,
        }
    }
}

fn same_option<T>(a: Option<&T>, b: Option<&T>, same: impl Fn(&T, &T) -> bool) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same(a, b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

fn same_list<T>(a: &[T], b: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}
