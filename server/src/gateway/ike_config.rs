//! What the IKE and L2TP endpoints are told, made of the settings.

use std::sync::Arc;
use std::time::Duration;

use cygnet_ike::credential::{Authorities, Credential, CredentialError};
use cygnet_ike::crypto::random::Random;
use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::identity::{Identity, InvalidIdentity};
use cygnet_ike::proposal::{NotationError, Policy, PolicyName};
use cygnet_ike::psk::{PskSelector, PskTable};
use cygnet_ike::{Config, Lifetime, PpkTable, Prefix, Site, Timing, V1Config};

use crate::auth::users::DuplicateUser;
use crate::config::{self, Lifetimes, Proposals, Protocol, Remote, Settings, Unique};
use crate::pool::PoolConfigError;

/// Stands for "until the other limits".
const NO_AGE: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How long a login waits for the revocation list of its certificate: a client sends its request again within that time, and
/// gives up much later.
pub(super) const LIST_PATIENCE: Duration = Duration::from_secs(5);

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
    /// A bare key of ours or of a peer.
    #[error("the key cannot be used: {0}")]
    Key(String),
    /// Something of a site.
    #[error("site {site}: {source}")]
    Site {
        /// Its name in the configuration.
        site: String,
        /// What is wrong.
        source: Box<ConfigurationError>,
    },
    /// Two accounts that a client cannot tell apart.
    #[error(transparent)]
    DuplicateUser(#[from] DuplicateUser),
    /// Pools or fixed addresses.
    #[error(transparent)]
    Pool(#[from] PoolConfigError),
}

/// The endpoint's configuration; `esp_shards` is the number of packet workers, 1 to 255.
pub(super) fn build(settings: &Settings, sites: Vec<Arc<Site>>, esp_shards: u8) -> Result<Config, ConfigurationError> {
    let Some(remote) = &settings.remote else {
        return Ok(Config { sites, esp_shards, ..Config::new(Identity::KeyId(b"cygnet".to_vec())) });
    };
    let login = settings.client_authentication();
    Ok(Config {
        policy: policy(&remote.policy, &remote.proposals)?,
        psks: psks(remote)?,
        credentials: credentials(remote)?,
        client_authorities: authorities(remote)?,
        ppks: ppks(remote),
        ppk_required: remote.ppk_required,
        eap: login.password || login.eap_tls,
        eap_only: remote.eap_only,
        sites,
        mobike: remote.mobike,
        addresses: remote.listen.iter().copied().filter(|address| !address.is_unspecified()).collect(),
        reauthentication: remote.reauthentication,
        rsa_sha1: remote.rsa_sha1,
        force_udp_encap: remote.force_udp_encap,
        shared_identities: remote.unique == Unique::Never,
        esp_shards,
        ikev1: remote.speaks_ikev1().then(|| ikev1(remote)),
        timing: Timing { liveness: remote.liveness, ..timing(&remote.lifetimes) },
        ..Config::new(identity("id", &remote.id)?)
    })
}

/// Lifetimes as configured, everything else as usual.
pub(super) fn timing(lifetimes: &Lifetimes) -> Timing {
    Timing {
        child_lifetime: lifetime(lifetimes.child, lifetimes.bytes, lifetimes.packets),
        ike_lifetime: lifetime(lifetimes.ike, None, None),
        revocation_list: LIST_PATIENCE,
        ..Timing::default()
    }
}

/// How long an SA lives that is to be replaced at `soft`: an eighth longer, so that a peer that is away for a while does not
/// cost the tunnel. What is counted is asked for again shortly before its limit, see [`Lifetime`].
fn lifetime(soft: Option<Duration>, bytes: Option<u64>, packets: Option<u64>) -> Option<Lifetime> {
    if soft.is_none() && bytes.is_none() && packets.is_none() {
        return None;
    }
    let soft = soft.unwrap_or(NO_AGE);
    let longer = |limit: u64| limit.saturating_add(limit / 8);
    Some(Lifetime { soft, hard: soft + soft / 8, bytes: bytes.map(longer), packets: packets.map(longer) })
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

pub(super) fn identity(key: &'static str, value: &str) -> Result<Identity, ConfigurationError> {
    value.parse().map_err(|source| ConfigurationError::Identity { key, value: value.to_owned(), source })
}

pub(super) fn policy(names: &[config::Policy], proposals: &Proposals) -> Result<Policy, ConfigurationError> {
    let names: Vec<_> = names.iter().copied().map(policy_name).collect();
    let mut policy = Policy::named(&names);
    let mistake = |key| move |source| ConfigurationError::Proposal { key, source };
    if !proposals.ike.is_empty() {
        policy = policy.with_ike(&proposals.ike).map_err(mistake("ike"))?;
    }
    if !proposals.esp.is_empty() {
        policy = policy.with_child(&proposals.esp).map_err(mistake("esp"))?;
    }
    Ok(policy)
}

fn ppks(remote: &Remote) -> PpkTable {
    let entry = |ppk: &config::Ppk| (ppk.id.clone().into_bytes(), Secret::from_slice(ppk.secret.expose()));
    PpkTable::new(remote.ppks.iter().map(entry).collect())
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
