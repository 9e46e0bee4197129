//! Configurations and shortcuts that the tests share.

use std::net::Ipv4Addr;
use std::time::Duration;

use cygnet_ike::config::Config;
use cygnet_ike::crypto::secret::Secret;
use cygnet_ike::identity::Identity;
use cygnet_ike::proposal::{Policy, PolicyName};
use cygnet_ike::psk::{PskSelector, PskTable};
use cygnet_ike::testing::LinkQuality;
use cygnet_ike::testing::v1::stock::Stock;
use cygnet_ike::testing::v1::{V1_SERVER, V1ClientConfig, V1Pair, V1Seen};
use cygnet_ike::wire::header::HEADER_LEN;
use cygnet_ike::wire::v1::{Header, Payloads};
use cygnet_ike::{CloseReason, V1Config};

/// The key of everybody.
pub(crate) const PSK: &[u8] = b"correct horse battery staple";

/// No exchange takes longer, whatever is lost.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn identity(text: &str) -> Identity {
    text.parse().expect("an identity")
}

/// A server for L2TP clients.
pub(crate) fn server() -> Config {
    let mut config = Config::new(identity("gw.example"));
    config.policy = Policy::named(&[PolicyName::Compatible]);
    config.psks = PskTable::new(vec![(PskSelector::Any, Secret::from_slice(PSK))]);
    config.ikev1 = Some(V1Config::default());
    config
}

/// The same with a change to what concerns IKEv1.
pub(crate) fn server_with(change: impl FnOnce(&mut V1Config)) -> Config {
    let mut config = server();
    change(config.ikev1.as_mut().expect("it is on"));
    config
}

/// The first client.
pub(crate) fn client() -> V1ClientConfig {
    V1ClientConfig::l2tp(PSK, V1Pair::address(0), V1_SERVER)
}

/// The first client as somebody has it.
pub(crate) fn stock(stock: Stock) -> V1ClientConfig {
    stock.config(PSK, V1Pair::address(0), V1_SERVER)
}

/// Runs one login over a good network.
pub(crate) fn login(server: Config, client: V1ClientConfig) -> V1Pair {
    let mut pair = V1Pair::new(server, LinkQuality::PERFECT, 1);
    pair.connect(client, 2);
    pair.settle(LIMIT);
    pair
}

/// A client that is in.
pub(crate) fn connected() -> V1Pair {
    let pair = login(server(), client());
    assert_up(&pair, 0);
    pair
}

pub(crate) fn assert_up(pair: &V1Pair, client: usize) {
    let end = pair.clients[client].end();
    assert!(pair.clients[client].is_up(), "{end:?} {:?}", pair.seen);
    pair.assert_same_children(client);
}

pub(crate) fn closed(pair: &V1Pair) -> Vec<CloseReason> {
    let reason = |seen: &V1Seen| if let V1Seen::Closed(_, reason) = seen { Some(*reason) } else { None };
    pair.seen.iter().filter_map(reason).collect()
}

/// Nothing is left of anybody once all timers have run: the longest is the lifetime of an SA.
pub(crate) fn assert_empty(pair: &mut V1Pair) {
    pair.advance(Duration::from_secs(2 * 24 * 3600));
    assert_eq!(pair.server.snapshot(), [], "sessions are left");
    assert_eq!(pair.server.poll_timeout(), None, "timers are left");
    assert!(pair.children.is_empty(), "Child SAs are left");
}

/// The header and the payloads of a message that is not encrypted.
pub(crate) fn plain(message: &[u8]) -> (Header, Payloads<'_>) {
    let header = Header::parse(message).expect("a message of IKEv1");
    let payloads = Payloads::parse(header.next_payload, &message[HEADER_LEN..]).expect("not encrypted");
    (header, payloads)
}

/// An address of a private network that many homes use.
pub(crate) const PRIVATE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
