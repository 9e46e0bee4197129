//! Accounts, address pools and EAP-TLS as the configuration wants them.

use std::sync::Arc;
use std::time::Duration;

use cygnet_ike::credential::Authorities;
use cygnet_ppp::auth::Verifier;
use cygnet_ppp::auth::eap::tls::EapTlsConfig;
use rustls_pki_types::UnixTime;

use super::ConfigurationError;
use crate::auth::client_authorities::ClientAuthorities;
use crate::auth::nt_hash::NtHash;
use crate::auth::users::{User, UserTable};
use crate::config::{EapMethod, Settings};
use crate::pool::{FixedAddresses, LeaseTable};

/// The accounts. `dummy` is a random hash that unknown names are checked against.
pub(super) fn user_table(settings: &Settings, dummy: NtHash) -> Result<UserTable, ConfigurationError> {
    Ok(UserTable::new(settings.users.iter().map(account), dummy)?)
}

/// EAP-TLS, if the configuration has it: with the first of our certificates whose key TLS can use. `clients` are the
/// authorities that IKE knows.
pub(super) fn eap_tls(settings: &Settings, clients: Option<&Arc<Authorities>>) -> Option<Arc<EapTlsConfig>> {
    let remote = settings.remote.as_ref().filter(|remote| remote.eap.contains(&EapMethod::Tls))?;
    let clients = Arc::new(ClientAuthorities(Arc::clone(clients?)));
    for own in &remote.server_identities {
        match EapTlsConfig::new(&own.chain, own.key.expose(), Arc::clone(&clients) as _) {
            Ok(config) => return Some(Arc::new(config)),
            Err(error) => tracing::warn!("{error}"),
        }
    }
    None
}

/// An empty lease table of the configured pools.
pub(super) fn lease_table(settings: &Settings) -> Result<LeaseTable, ConfigurationError> {
    let pools = settings.remote.as_ref().map(|r| r.pools.as_slice()).unwrap_or_default();
    Ok(LeaseTable::new(pools, &fixed_addresses(settings))?)
}

/// Which account owns which inner address.
pub(super) fn fixed_addresses(settings: &Settings) -> FixedAddresses {
    let of = |user: &crate::config::User| {
        let name = user.name.clone();
        let v4 = user.ipv4.map(Into::into);
        v4.into_iter().chain(user.ipv6.map(Into::into)).map(move |address| (name.clone(), address)).collect::<Vec<_>>()
    };
    settings.users.iter().flat_map(of).collect()
}

fn account(user: &crate::config::User) -> User {
    User {
        name: user.name.clone(),
        verifier: verifier(user),
        group: None,
        addresses: user.ipv4.map(Into::into).into_iter().chain(user.ipv6.map(Into::into)).collect(),
        expires: user
            .expires
            .map(|at| UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0)))),
        devices: user.devices,
        disabled: user.disabled,
    }
}

fn verifier(user: &crate::config::User) -> Verifier {
    let password = user.password.as_ref().and_then(|secret| std::str::from_utf8(secret.expose()).ok());
    let hash = || Verifier::of_nt_hash(NtHash::from_bytes(*user.nt_hash.expose()));
    password.map_or_else(hash, Verifier::of_password)
}
