//! What the IKE engine is told about sites, made of the settings.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use cygnet_ike::credential::{Authorities, Credential, LocalAuth, PeerAuth};
use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::crypto::sign::{PublicKey, SigningKey};
use cygnet_ike::identity::Identity;
use cygnet_ike::ppk::SitePpk;
use cygnet_ike::wire::v2::TrafficSelector;
use cygnet_ike::{ChildMode, Prefix, Site, SiteChild, Timing};

use crate::config::{self, SiteMode};
use crate::gateway::ConfigurationError;
use crate::gateway::ike_config;

/// A request is sent again after this long, then after twice as long, and so on.
const RETRANSMIT: Duration = Duration::from_secs(1);
/// How often it is sent in all: a peer counts as dead after 31 seconds.
const TRANSMISSIONS: u32 = 5;

/// A site as the engine sees it. `source` is our address towards the peer, `addresses` are the peer's, as far as both are known.
pub(super) fn site(
    settings: &config::Site,
    source: Option<IpAddr>,
    addresses: &[IpAddr],
) -> Result<Site, ConfigurationError> {
    let of_site = |problem: ConfigurationError| ConfigurationError::Site {
        site: settings.name.clone(),
        source: Box::new(problem),
    };
    Ok(Site {
        name: settings.name.as_str().into(),
        identity: identity(settings, source).map_err(of_site)?,
        peer_identity: peer_identity(settings).map_err(of_site)?,
        peer_addresses: addresses.iter().map(|&address| Prefix { address, len: full_len(address) }).collect(),
        local_auth: local_auth(&settings.local_auth).map_err(of_site)?,
        peer_auth: peer_auth(&settings.peer_auth).map_err(of_site)?,
        ppk: settings.ppk.as_ref().map(ppk),
        policy: ike_config::policy(&settings.policy, &settings.proposals).map_err(of_site)?,
        children: settings.children.iter().map(|child| site_child(child, &settings.mode)).collect(),
        timing: timing(settings),
        reauthentication: settings.reauthentication,
        mobike: settings.mobike,
        force_udp_encap: settings.force_udp_encap,
        fragmentation: true,
    })
}

/// Takes the authorities over that know which certificates are revoked.
pub(super) fn keep_authorities(site: &mut Site, before: &Site) {
    if let (PeerAuth::Certificate(new), PeerAuth::Certificate(known)) = (&mut site.peer_auth, &before.peer_auth) {
        *new = Arc::clone(known);
    }
}

/// Without `id` we are the address that we send from; before that is known, the site by its name.
fn identity(settings: &config::Site, source: Option<IpAddr>) -> Result<Identity, ConfigurationError> {
    match (&settings.id, settings.local_address.or(source)) {
        (Some(id), _) => ike_config::identity("id", id),
        (None, Some(address)) => Ok(address.to_canonical().into()),
        (None, None) => Ok(Identity::Fqdn(settings.name.clone())),
    }
}

fn peer_identity(settings: &config::Site) -> Result<Option<Identity>, ConfigurationError> {
    settings.peer_id.as_ref().map(|id| ike_config::identity("peer_id", id)).transpose()
}

fn local_auth(settings: &config::LocalAuth) -> Result<LocalAuth, ConfigurationError> {
    Ok(match settings {
        config::LocalAuth::Psk(key) => LocalAuth::Psk(Secret::from_slice(key.expose())),
        config::LocalAuth::Certificate(own) => {
            let credential = Credential::new(own.chain.clone(), own.key.expose());
            LocalAuth::Certificate(Arc::new(credential.map_err(ConfigurationError::Credential)?))
        }
        config::LocalAuth::RawKey(key) => {
            let key = SigningKey::from_pem(key.expose()).map_err(|error| ConfigurationError::Key(error.to_string()))?;
            LocalAuth::RawKey(Arc::new(key))
        }
    })
}

fn peer_auth(settings: &config::PeerAuth) -> Result<PeerAuth, ConfigurationError> {
    Ok(match settings {
        config::PeerAuth::Psk(key) => PeerAuth::Psk(Secret::from_slice(key.expose())),
        config::PeerAuth::Certificate(authorities) => {
            let authorities = Authorities::new(authorities).map_err(ConfigurationError::Authorities)?;
            PeerAuth::Certificate(Arc::new(authorities))
        }
        config::PeerAuth::RawKey(spki) => {
            let key = PublicKey::from_spki(spki).map_err(|error| ConfigurationError::Key(error.to_string()))?;
            PeerAuth::RawKey(key)
        }
    })
}

fn ppk(settings: &config::SitePpk) -> SitePpk {
    SitePpk {
        id: settings.id.clone().into_bytes(),
        secret: Secret::from_slice(settings.secret.expose()),
        required: settings.required,
    }
}

fn site_child(settings: &config::SiteChild, mode: &SiteMode) -> SiteChild {
    let mode = if *mode == SiteMode::Transport { ChildMode::Transport } else { ChildMode::Tunnel };
    SiteChild {
        name: settings.name.as_str().into(),
        local: settings.local.iter().map(selector).collect(),
        remote: settings.remote.iter().map(selector).collect(),
        mode,
    }
}

fn selector(settings: &config::Selector) -> TrafficSelector {
    TrafficSelector {
        protocol: settings.protocol,
        start_port: settings.first_port,
        end_port: settings.last_port,
        ..TrafficSelector::prefix(settings.network.network(), settings.network.prefix_len())
    }
}

fn timing(settings: &config::Site) -> Timing {
    Timing {
        liveness: settings.liveness,
        retransmit: RETRANSMIT,
        transmissions: TRANSMISSIONS,
        ..ike_config::timing(&settings.lifetimes)
    }
}

fn full_len(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Surroundings;
    use crate::gateway::tests::write;

    const HEAD: &str = "[site.berlin]\npsk = \"a key that is long enough for anybody\"\n";
    const NETWORKS: &str = "local = [\"10.1.0.0/16\"]\nremote = [\"10.2.0.0/16\"]\n";

    fn load(text: &str) -> crate::config::Site {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cygnet.toml");
        write(&path, text);
        let surroundings = Surroundings::of_this_machine(jiff::Timestamp::now());
        let mut settings = crate::config::load(&path, &surroundings).unwrap_or_else(|error| panic!("{error}"));
        settings.sites.remove(0)
    }

    fn of(text: &str, source: Option<&str>, addresses: &[&str]) -> Site {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        site(&load(text), source.map(|text| text.parse().unwrap()), &addresses).unwrap()
    }

    #[test]
    fn without_an_id_we_are_the_address_that_we_send_from() {
        let text = format!("{HEAD}peer = \"198.51.100.7\"\n{NETWORKS}");
        let addresses = ["198.51.100.7", "2001:db8::7"];
        let known = of(&text, Some("192.0.2.1"), &addresses);
        assert_eq!((known.identity.to_string(), known.peer_identity), ("192.0.2.1".to_owned(), None));
        let may = |address: &str| known.peer_addresses.iter().any(|p| p.to_string().starts_with(address));
        assert!(addresses.iter().all(|address| may(address)) && known.peer_addresses.len() == 2);
        assert_eq!(of(&text, None, &[]).identity, Identity::Fqdn("berlin".into()));
        let named =
            format!("{text}id = \"gw.example.org\"\npeer_id = \"198.51.100.9\"\nlocal_address = \"192.0.2.9\"\n");
        let named = of(&named, Some("192.0.2.1"), &[]);
        assert_eq!(named.identity, Identity::Fqdn("gw.example.org".into()));
        assert_eq!(named.peer_identity.map(|id| id.to_string()).as_deref(), Some("198.51.100.9"));
    }

    #[test]
    fn limits_of_the_file_are_where_a_rekey_begins() {
        let limits = "child_lifetime = \"2h\"\nike_lifetime = \"8h\"\nrekey_bytes = 1600000\nliveness = \"10s\"\n";
        let site = of(&format!("{HEAD}peer = \"198.51.100.7\"\n{NETWORKS}{limits}"), None, &[]);
        let (child, ike) = (site.timing.child_lifetime.unwrap(), site.timing.ike_lifetime.unwrap());
        let hours = |n: u64| Duration::from_secs(n * 3600);
        assert_eq!((child.soft, child.hard), (hours(2), hours(2) + hours(2) / 8));
        assert_eq!((ike.soft, ike.bytes, child.packets), (hours(8), None, None));
        assert_eq!(child.bytes, Some(1_800_000));
        assert_eq!(site.timing.liveness, Some(Duration::from_secs(10)));
    }

    #[test]
    fn selectors_keep_protocol_and_ports() {
        let networks = "local = [\"10.1.0.0/16 tcp/443\", \"10.1.0.9/32\"]\nremote = [\"10.2.0.0/16\"]\n";
        let site = of(&format!("{HEAD}peer = \"198.51.100.7\"\n{networks}"), None, &[]);
        let [child] = site.children.as_slice() else { panic!("one child") };
        let first = child.local[0];
        assert_eq!((first.protocol, first.start_port, first.end_port), (6, 443, 443));
        assert_eq!(child.local[1], TrafficSelector::host("10.1.0.9".parse().unwrap()));
        assert_eq!(child.remote[0], TrafficSelector::prefix("10.2.0.0".parse().unwrap(), 16));
        assert_eq!((&*child.name, child.mode), ("berlin", ChildMode::Tunnel));
    }
}
