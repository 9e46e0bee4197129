//! What the IKE and L2TP endpoints are told, made of the settings.

use std::sync::Arc;

use cygnet_ike::config::Config;
use cygnet_ike::credential::{Authorities, Credential, CredentialError};
use cygnet_ike::crypto::random::Random;
use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::identity::{Identity, InvalidIdentity};
use cygnet_ike::proposal::{NotationError, Policy, PolicyName};
use cygnet_ike::psk::{PskSelector, PskTable};
use cygnet_ike::{Prefix, Timing, V1Config};

use crate::auth::users::DuplicateUser;
use crate::config::{self, Protocol, Remote, Settings};
use crate::pool::PoolConfigError;

/// Why settings that parsed well cannot be used.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// A name that is none.
    #[error("{key} = {value:?} is not a name, mail address, IP address or key id: {source}")]
    Identity {
        /// The key in the file.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        source: InvalidIdentity,
    },
    /// Our certificate or key.
    #[error("cert and key cannot be used: {0}")]
    Credential(CredentialError),
    /// The authorities of clients.
    #[error("ca cannot be used: {0}")]
    Authorities(CredentialError),
    /// An algorithm list.
    #[error("{key} cannot be used: {source}")]
    Proposal {
        /// The key in the file.
        key: &'static str,
        /// What is wrong with it.
        source: NotationError,
    },
    /// Two accounts that a client cannot tell apart.
    #[error(transparent)]
    DuplicateUser(#[from] DuplicateUser),
    /// Pools or fixed addresses.
    #[error(transparent)]
    Pool(#[from] PoolConfigError),
}

/// The endpoint's configuration; `esp_shards` is the number of packet workers, 1 to 255.
pub(super) fn build(settings: &Settings, esp_shards: u8) -> Result<Config, ConfigurationError> {
    let Some(remote) = &settings.remote else {
        return Ok(Config { esp_shards, ..Config::new(Identity::KeyId(b"cygnet".to_vec())) });
    };
    let login = settings.client_authentication();
    Ok(Config {
        policy: policy(remote)?,
        psks: psks(remote)?,
        credentials: credentials(remote)?,
        client_authorities: authorities(remote)?,
        eap: login.password,
        rsa_sha1: remote.rsa_sha1,
        force_udp_encap: remote.force_udp_encap,
        esp_shards,
        ikev1: remote.speaks_ikev1().then(|| ikev1(remote)),
        timing: Timing { liveness: remote.liveness, ..Timing::default() },
        ..Config::new(identity("id", &remote.id)?)
    })
}

fn ikev1(remote: &Remote) -> V1Config {
    V1Config {
        l2tp: remote.speaks(Protocol::L2tp),
        xauth: remote.speaks(Protocol::Xauth),
        aggressive: remote.legacy.aggressive,
        minimal_vendor_ids: remote.legacy.vendor_ids == config::VendorIds::None,
        legacy: remote.policy.contains(&config::Policy::LegacyAndroid),
        ..V1Config::default()
    }
}

/// The L2TP endpoint's configuration.
pub(super) fn l2tp(settings: &Settings) -> cygnet_l2tp::Config {
    let Some(remote) = &settings.remote else { return cygnet_l2tp::Config::new("cygnet") };
    let mut config = cygnet_l2tp::Config::new(&remote.name);
    config.tunnels_per_channel = remote.legacy.l2tp_tunnels.into();
    config.sessions_per_tunnel = remote.legacy.l2tp_sessions.into();
    config
}

/// The generator that IKE uses, for L2TP.
pub(super) struct L2tpRandom(pub(super) Box<dyn Random + Send>);

impl cygnet_l2tp::random::Random for L2tpRandom {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill(out);
    }
}

fn identity(key: &'static str, value: &str) -> Result<Identity, ConfigurationError> {
    value.parse().map_err(|source| ConfigurationError::Identity { key, value: value.to_owned(), source })
}

fn policy(remote: &Remote) -> Result<Policy, ConfigurationError> {
    let names: Vec<_> = remote.policy.iter().copied().map(policy_name).collect();
    let mut policy = Policy::named(&names);
    if !remote.proposals.ike.is_empty() {
        policy = policy
            .with_ike(&remote.proposals.ike)
            .map_err(|source| ConfigurationError::Proposal { key: "ike", source })?;
    }
    if !remote.proposals.esp.is_empty() {
        policy = policy
            .with_child(&remote.proposals.esp)
            .map_err(|source| ConfigurationError::Proposal { key: "esp", source })?;
    }
    Ok(policy)
}

fn policy_name(policy: config::Policy) -> PolicyName {
    match policy {
        config::Policy::Modern => PolicyName::Modern,
        config::Policy::Compatible => PolicyName::Compatible,
        config::Policy::LegacyWindowsIkev2 => PolicyName::LegacyWindowsIkev2,
        config::Policy::LegacyAndroid => PolicyName::LegacyAndroid,
    }
}

fn psks(remote: &Remote) -> Result<PskTable, ConfigurationError> {
    let entry = |entry: &config::PskEntry| {
        let selector = match &entry.selector {
            config::PskSelector::Any => PskSelector::Any,
            config::PskSelector::Network(net) => {
                PskSelector::Network(Prefix { address: net.network(), len: net.prefix_len() })
            }
            config::PskSelector::Identity(name) => PskSelector::Identity(identity("psk", name)?),
        };
        Ok((selector, Secret::from_slice(entry.secret.expose())))
    };
    Ok(PskTable::new(remote.psks.iter().map(entry).collect::<Result<_, ConfigurationError>>()?))
}

fn credentials(remote: &Remote) -> Result<Vec<Arc<Credential>>, ConfigurationError> {
    let of = |own: &config::ServerIdentity| Credential::new(own.chain.clone(), own.key.expose());
    remote.server_identities.iter().map(|own| of(own).map(Arc::new).map_err(ConfigurationError::Credential)).collect()
}

fn authorities(remote: &Remote) -> Result<Option<Arc<Authorities>>, ConfigurationError> {
    let authorities = remote.client_ca.as_deref().map(Authorities::new).transpose();
    authorities.map(|found| found.map(Arc::new)).map_err(ConfigurationError::Authorities)
}
