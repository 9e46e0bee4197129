//! An endpoint and a client on a virtual clock: the exchanges one by one.

use std::time::Duration;

use cygnet_ike::config::Config;
use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::identity::Identity;
use cygnet_ike::psk::{PskSelector, PskTable};
use cygnet_ike::testing::{ClientConfig, LinkQuality, Pair, Seen, Task};

const LIMIT: Duration = Duration::from_secs(60);

fn server() -> Config {
    let mut config = Config::new(Identity::Fqdn("gw.example".into()));
    config.psks = PskTable::new(vec![(PskSelector::Any, Secret::from_slice(b"swordfish"))]);
    config
}

fn client() -> ClientConfig {
    ClientConfig::psk(Identity::Fqdn("laptop".into()), b"swordfish")
}

fn connected() -> Pair {
    let mut pair = Pair::new(server(), LinkQuality::PERFECT, 1);
    pair.connect(client(), 2);
    pair.settle(LIMIT);
    assert!(pair.clients[0].is_up(), "{:?} {:?}", pair.clients[0].end(), pair.seen);
    pair
}

#[test]
fn a_client_with_the_right_psk_comes_in() {
    let pair = connected();
    assert_eq!(pair.clients[0].children.len(), 1);
    assert_eq!(pair.clients[0].addresses().len(), 1);
    pair.assert_same_children(0);
    assert!(pair.seen.iter().any(|seen| matches!(seen, Seen::Established(_))));
}

#[test]
fn rekeying_of_both_kinds_keeps_the_session() {
    let mut pair = connected();
    for task in [Task::RekeyChild, Task::RekeyIke, Task::RekeyChild, Task::NewChild, Task::Probe] {
        pair.clients[0].enqueue(pair.now, task);
        pair.settle(LIMIT);
        assert!(pair.clients[0].is_up(), "{task:?}: {:?}", pair.clients[0].end());
        pair.assert_same_children(0);
        assert_eq!(pair.children.len(), pair.clients[0].children.len(), "{task:?}");
    }
    assert_eq!(pair.children.len(), 2);
}
