//! Configurations and shortcuts that the tests share.

use std::time::Duration;

use cygnet_ike::config::Config;
use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::identity::Identity;
use cygnet_ike::proposal::Policy;
use cygnet_ike::psk::{PskSelector, PskTable};
use cygnet_ike::site::{Site, SiteChild};
use cygnet_ike::testing::{ClientConfig, LinkQuality, Pair, Seen, Task};
use cygnet_ike::wire::v2::TrafficSelector;
use cygnet_ike::{ChildMode, CloseReason, LocalAuth, PeerAuth, RefusalReason, Timing};

/// No exchange takes longer, whatever is lost.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn identity(text: &str) -> Identity {
    text.parse().expect("an identity")
}

pub(crate) fn server() -> Config {
    let mut config = Config::new(identity("gw.example"));
    config.psks = PskTable::new(vec![(PskSelector::Any, Secret::from_slice(b"swordfish"))]);
    config
}

pub(crate) fn client() -> ClientConfig {
    ClientConfig::psk(identity("laptop.example"), b"swordfish")
}

/// Runs one login over a good network.
pub(crate) fn login(server: Config, client: ClientConfig) -> Pair {
    let mut pair = Pair::new(server, LinkQuality::PERFECT, 1);
    pair.connect(client, 2);
    pair.settle(LIMIT);
    pair
}

/// A client that is in.
pub(crate) fn connected() -> Pair {
    let pair = login(server(), client());
    assert_up(&pair, 0);
    pair
}

pub(crate) fn assert_up(pair: &Pair, client: usize) {
    assert!(pair.clients[client].is_up(), "{:?} {:?}", pair.clients[client].end(), pair.seen);
    pair.assert_same_children(client);
}

pub(crate) fn run(pair: &mut Pair, client: usize, task: Task) {
    let now = pair.now;
    pair.clients[client].enqueue(now, task);
    pair.settle(LIMIT);
}

pub(crate) fn refusals(pair: &Pair) -> Vec<&RefusalReason> {
    fn reason(seen: &Seen) -> Option<&RefusalReason> {
        if let Seen::Refused(reason) = seen { Some(reason) } else { None }
    }
    pair.seen.iter().filter_map(reason).collect()
}

pub(crate) fn closed(pair: &Pair) -> Vec<CloseReason> {
    let reason = |seen: &Seen| if let Seen::Closed(_, reason) = seen { Some(*reason) } else { None };
    pair.seen.iter().filter_map(reason).collect()
}

/// Nothing is left of anybody once all timers have run.
pub(crate) fn assert_empty(pair: &mut Pair) {
    pair.advance(Duration::from_secs(600));
    assert_eq!(pair.server.snapshot(), [], "sessions are left");
    assert_eq!(pair.server.poll_timeout(), None, "timers are left");
    assert!(pair.children.is_empty(), "Child SAs are left");
}

/// A site that may call from anywhere and by any name, for all traffic.
pub(crate) fn site(name: &str, local_auth: LocalAuth, peer_auth: PeerAuth) -> Site {
    let any = vec![TrafficSelector::ANY_V4, TrafficSelector::ANY_V6];
    Site {
        name: name.into(),
        identity: identity("gw.example"),
        peer_identity: None,
        peer_addresses: Vec::new(),
        local_auth,
        peer_auth,
        ppk: None,
        policy: Policy::default(),
        children: vec![SiteChild { name: name.into(), local: any.clone(), remote: any, mode: ChildMode::Tunnel }],
        timing: Timing::default(),
        reauthentication: None,
        mobike: true,
        force_udp_encap: false,
        fragmentation: true,
    }
}
