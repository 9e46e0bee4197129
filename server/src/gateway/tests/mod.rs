//! Whole client sessions without a socket: the IKE engine's own test client against the gateway, the daemon played by hand.

mod eap_tls;
mod l2tp;
mod reload;
mod sites;
mod uniqueness;
mod world;
mod xauth;

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use cygnet_ike::cert::TrustAnchors;
use cygnet_ike::crypto::testing::SeededRandom;
use cygnet_ike::identity::Identity;
use cygnet_ike::testing::{self, Client, ClientConfig, EapPeer, End, Login, Task};
use cygnet_ike::{ChildSa, Transmit};

use super::*;
use crate::auth::eap::{EapType, MsChapRequest, MsChapResponse, Packet};
use crate::auth::mschapv2::{Challenges, MasterKeys, nt_response};
use crate::config::Surroundings;
use crate::control::model::{ExplainFilter, Reloaded, SessionState};
use crate::pki::{self, KeyKind, SubjectName};

const KEY: &str = "a key of twenty characters";

/// Counts what the data plane would have, and when it last heard whom.
#[derive(Clone, Default)]
struct Still {
    heard: Arc<Mutex<BTreeMap<EspSpi, Instant>>>,
}

impl Meter for Still {
    fn traffic(&self, _: EspSpi) -> Traffic {
        Traffic { bytes_in: 10, bytes_out: 20, packets_in: 1, packets_out: 2 }
    }

    fn last_heard(&self, inbound_spi: EspSpi) -> Option<Instant> {
        self.heard.lock().unwrap().get(&inbound_spi).copied()
    }
}

/// A gateway whose daemon does everything at once and notes it.
struct Site {
    gateway: Gateway,
    folder: tempfile::TempDir,
    now: Now,
    meter: Still,
    /// So far; seeds their randomness.
    clients: u64,
    /// What [`Effect::Admit`] comes to.
    host: Result<(), String>,
    routed: Vec<IpAddr>,
    installed: Vec<(Box<ChildSa>, Option<EspSpi>)>,
    removed: Vec<EspSpi>,
}

impl Gateway {
    /// A whole reload.
    fn reload_from(&mut self, now: Now, settings: Arc<Settings>) -> Result<Reloaded, ConfigurationError> {
        let prepared = self.prepare(now, settings)?;
        Ok(self.reload(now, prepared))
    }
}

impl Site {
    fn new(remote: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = pki::make_ca("Test CA", KeyKind::EcdsaP256, now_unix()).unwrap();
        let names = [SubjectName::Dns("vpn.example.org".into())];
        let own = pki::issue_server_certificate(&ca, &names, KeyKind::EcdsaP256, now_unix()).unwrap();
        for (name, text) in [
            ("ca.pem", &*ca.certificate_pem),
            ("ca-key.pem", &**ca.key_pem),
            ("cert.pem", &*own.certificate_pem),
            ("key.pem", &**own.key_pem),
        ] {
            write(&folder.path().join(name), text);
        }
        let now = Now { instant: testing::epoch(), wall: Timestamp::now() };
        let settings = settings(&folder, remote);
        let meter = Still::default();
        let gateway = Gateway::new(
            settings,
            [1, 2, 3].map(|seed| Box::new(SeededRandom::new(seed)) as Box<dyn Random + Send>),
            Box::new(meter.clone()),
            2,
            now,
        );
        let (routed, installed, removed) = Default::default();
        Self { gateway: gateway.unwrap(), folder, now, meter, clients: 0, host: Ok(()), routed, installed, removed }
    }

    fn ca(&self) -> TrustAnchors {
        TrustAnchors::from_pem(&std::fs::read(self.folder.path().join("ca.pem")).unwrap()).unwrap()
    }

    /// Carries messages to and fro and effects out until nobody has anything to say.
    fn settle(&mut self, client: &mut Client) {
        for _ in 0..100 {
            let mut quiet = true;
            while let Some(Transmit { path, payload }) = client.poll_transmit() {
                quiet = false;
                let ours = Path { local: path.peer, peer: path.local };
                self.gateway.handle_datagram(self.now, ours, &payload);
            }
            while let Some(effect) = self.gateway.poll_effect() {
                quiet = false;
                self.perform(client, effect);
            }
            if quiet {
                return;
            }
        }
        panic!("they never stop talking");
    }

    fn perform(&mut self, client: &mut Client, effect: Effect) {
        match effect {
            Effect::Send(transmit) if transmit.path.peer.ip() == client.path().local.ip() => {
                client.handle_datagram(self.now.instant, &transmit.payload);
            }
            Effect::Admit { session, addresses, .. } => {
                if self.host.is_ok() {
                    self.routed.extend(addresses);
                }
                self.gateway.admitted(self.now, session, self.host.clone());
            }
            Effect::Expel { addresses } => self.routed.retain(|a| !addresses.contains(a)),
            Effect::Install { child, replaces, .. } => self.installed.push((child, replaces)),
            Effect::Remove { inbound_spi } => self.removed.push(inbound_spi),
            // To a client that has vanished.
            Effect::Send(_) | Effect::Move { .. } | Effect::SendL2tp { .. } | Effect::Link { .. } => {}
            Effect::LocalAddress { site, .. } => {
                self.gateway.local_address(self.now, &site, Ok("192.0.2.1".parse().unwrap()));
            }
            effect => assert!(matches!(effect, Effect::Traps(_)), "sites are passive"),
        }
    }

    fn connect(&mut self, config: ClientConfig, from: &str) -> Client {
        self.connect_from(config, from, 500)
    }

    fn connect_from(&mut self, config: ClientConfig, from: &str, port: u16) -> Client {
        let path = Path { local: format!("{from}:{port}").parse().unwrap(), peer: "192.0.2.1:500".parse().unwrap() };
        self.clients += 1;
        let mut client = Client::new(config, path, self.clients);
        client.start(self.now.instant, self.now.unix());
        self.settle(&mut client);
        client
    }

    fn do_task(&mut self, client: &mut Client, task: Task) {
        client.enqueue(self.now.instant, task);
        self.settle(client);
    }

    /// The data plane opened a packet of this pair.
    fn hear(&self, inbound_spi: EspSpi) {
        self.meter.heard.lock().unwrap().insert(inbound_spi, self.now.instant);
    }

    /// What `explain` says to do about the newest entry.
    fn fix(&self, who: &str) -> String {
        let filter = ExplainFilter { who: Some(who.to_owned()), limit: Some(1) };
        self.gateway.explain(&filter).into_iter().find_map(|entry| entry.record.fix).unwrap_or_default()
    }

    fn headlines(&self, who: &str) -> Vec<String> {
        let filter = ExplainFilter { who: Some(who.to_owned()), limit: None };
        self.gateway.explain(&filter).into_iter().map(|entry| entry.record.headline).collect()
    }

    fn users(&self) -> Vec<String> {
        self.gateway.status(self.now).sessions.into_iter().map(|s| s.user).collect()
    }
}

fn now_unix() -> rustls_pki_types::UnixTime {
    let seconds = u64::try_from(Timestamp::now().as_second()).unwrap();
    rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn settings(folder: &tempfile::TempDir, remote: &str) -> Arc<Settings> {
    let path = folder.path().join("cygnet.toml");
    write(&path, &format!("[remote]\nname = \"vpn.example.org\"\n{remote}\n"));
    Arc::new(crate::config::load(&path, &Surroundings::of_this_machine(Timestamp::now())).unwrap())
}

/// As the gateway demands of files with secrets.
pub(super) fn write(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn with_psk(pool: &str) -> Site {
    Site::new(&format!("psk = \"{KEY}\"\npool = \"{pool}\"\ndns = \"10.83.0.53\""))
}

fn with_users(users: &str) -> Site {
    Site::new(&format!("cert = \"cert.pem\"\nkey = \"key.pem\"\npool = \"10.83.20.0/24\"\n[users]\n{users}"))
}

fn laptop(name: &str) -> ClientConfig {
    ClientConfig::psk(Identity::Fqdn(name.to_owned()), KEY.as_bytes())
}

/// A client that logs in by name and password, as Windows does: its IKE identity says nothing.
fn person(site: &Site, name: &str, password: &str) -> ClientConfig {
    let peer = Person { name: name.to_owned(), password: NtHash::of_password(password), msk: Vec::new() };
    ClientConfig {
        login: Login::Eap(Box::new(peer)),
        authorities: Some(site.ca()),
        ..ClientConfig::psk("192.168.1.7".parse().unwrap(), b"")
    }
}

/// The client's side of EAP-MSCHAPv2.
struct Person {
    name: String,
    password: NtHash,
    msk: Vec<u8>,
}

impl EapPeer for Person {
    fn respond(&mut self, request: &[u8]) -> Vec<u8> {
        let Ok(Packet::Request { identifier, method, data }) = Packet::parse(request) else { panic!("no request") };
        let mut answer = Vec::new();
        if method == EapType::IDENTITY {
            answer.extend_from_slice(self.name.as_bytes());
        } else {
            self.answer(&MsChapRequest::parse(data).unwrap(), &mut answer);
        }
        Packet::Response { identifier, method, data: &answer }.emit().unwrap()
    }

    fn msk(&self) -> Vec<u8> {
        self.msk.clone()
    }
}

impl Person {
    fn answer(&mut self, request: &MsChapRequest<'_>, out: &mut Vec<u8>) {
        match request {
            MsChapRequest::Challenge { id, challenge, .. } => {
                let name = self.name.as_bytes();
                let challenges = Challenges { authenticator: challenge, peer: &[7; 16], user_name: name };
                let nt_response = nt_response(&self.password, &challenges);
                let keys = MasterKeys::derive(&self.password, &nt_response);
                self.msk = [keys.receive, keys.send, [0; 16], [0; 16]].concat();
                MsChapResponse::Response { id: *id, peer_challenge: [7; 16], nt_response, name }.emit(out);
            }
            MsChapRequest::Success { .. } => MsChapResponse::Success.emit(out),
            MsChapRequest::Failure { .. } => MsChapResponse::Failure.emit(out),
        }
    }
}

#[test]
fn a_client_logs_in_rekeys_and_leaves_nothing_behind() {
    let mut site = with_psk("10.83.20.0/24");
    let mut client = site.connect(laptop("laptop.example"), "198.51.100.7");
    assert!(client.is_up(), "{:?}", client.end());
    assert_eq!(client.addresses(), site.routed);
    let status = site.gateway.status(site.now);
    let [session] = status.sessions.as_slice() else { panic!("one session") };
    assert_eq!((session.user.as_str(), session.state), ("laptop.example", SessionState::Established));
    assert_eq!((session.bytes_in, session.packets_out, session.inside.clone()), (10, 2, site.routed.clone()));

    site.do_task(&mut client, Task::RekeyChild);
    let [(first, None), (second, Some(replaced))] = site.installed.as_slice() else { panic!("two pairs") };
    assert_eq!(*replaced, first.inbound_spi);
    assert_eq!(first.remote_ts, second.remote_ts);
    assert_eq!(site.removed, [first.inbound_spi]);
    assert_eq!(site.gateway.status(site.now).sessions[0].bytes_in, 20, "traffic of both pairs");

    site.do_task(&mut client, Task::Close);
    assert_eq!(client.end(), Some(&End::Closed));
    assert!(site.users().is_empty() && site.routed.is_empty() && site.removed.len() == 2);
    assert_eq!(site.headlines("laptop.example"), ["session ended: closed by the client"]);
}

#[test]
fn a_client_hears_its_address_only_after_the_host_forwards_for_it() {
    let mut site = with_psk("10.83.20.0/24");
    site.host = Err("nft is missing".into());
    let client = site.connect(laptop("laptop.example"), "198.51.100.7");
    assert!(client.addresses().is_empty());
    assert!(site.installed.is_empty() && site.users().is_empty());
    assert!(site.headlines("laptop.example")[0].contains("nft is missing"), "{:?}", site.headlines("laptop.example"));

    site.host = Ok(());
    assert_eq!(site.connect(laptop("laptop.example"), "198.51.100.8").addresses(), site.routed);
}

#[test]
fn an_exhausted_pool_is_explained_and_recovers() {
    let mut site = with_psk("10.83.20.0/30"); // one address besides the gateway's own
    let mut first = site.connect(laptop("first.example"), "198.51.100.7");
    let second = site.connect(laptop("second.example"), "198.51.100.8");
    assert!(first.is_up() && second.addresses().is_empty());
    assert!(site.headlines("second.example")[0].contains("all 1 addresses"), "{:?}", site.headlines("second.example"));

    site.do_task(&mut first, Task::Close);
    assert_eq!(site.connect(laptop("second.example"), "198.51.100.9").addresses(), site.routed);
}

#[test]
fn a_wrong_key_is_told_to_the_operator_only() {
    let mut site = with_psk("10.83.20.0/24");
    let client = site.connect(ClientConfig::psk(Identity::Fqdn("x.example".into()), b"another"), "198.51.100.7");
    assert!(matches!(client.end(), Some(End::Refused(_))), "{:?}", client.end());
    assert!(site.headlines("x.example")[0].contains("pre-shared key"), "{:?}", site.headlines("x.example"));
    assert!(site.routed.is_empty() && site.installed.is_empty());
}

#[test]
fn people_log_in_by_name_and_password() {
    let mut site = with_users("alice = \"correct horse\"");
    assert!(site.connect(person(&site, "alice", "correct horse"), "198.51.100.7").is_up());
    assert_eq!(site.users(), ["alice"]);

    for (name, password) in [("alice", "wrong"), ("mallory", "correct horse")] {
        let client = site.connect(person(&site, name, password), "198.51.100.8");
        assert!(!client.is_up(), "{name}");
        assert_eq!(site.users(), ["alice"]);
    }
    assert!(site.headlines("198.51.100.8").iter().any(|h| h.contains("wrong password for user \"alice\"")));
    assert!(site.headlines("198.51.100.8").iter().any(|h| h.contains("there is no user \"mallory\"")));
}

#[test]
fn guessing_is_slowed_down_whatever_the_guesser_calls_himself() {
    let mut site = with_users("alice = \"correct horse\"");
    for attempt in 0..10 {
        let from = format!("198.51.100.{}", 10 + attempt);
        assert!(!site.connect(person(&site, "alice", "guess"), &from).is_up());
    }
    assert!(!site.connect(person(&site, "alice", "correct horse"), "198.51.100.99").is_up());
    assert!(site.headlines("198.51.100.99")[0].contains("too many failed logins"));

    site.now.instant += Duration::from_secs(7);
    assert!(site.connect(person(&site, "alice", "correct horse"), "198.51.100.99").is_up());
}

#[test]
fn a_device_that_comes_back_takes_the_place_of_its_lost_session() {
    let mut site = with_users("alice = { password = \"correct horse\", devices = 1 }");
    let lost = site.connect(person(&site, "alice", "correct horse"), "198.51.100.7");
    let elsewhere = site.connect(person(&site, "alice", "correct horse"), "198.51.100.8");
    assert!(lost.is_up() && !elsewhere.is_up());
    assert!(site.headlines("alice")[0].contains("1 of 1 devices"), "{:?}", site.headlines("alice"));

    let back = site.connect(person(&site, "alice", "correct horse"), "198.51.100.7");
    assert!(back.is_up());
    assert_eq!((site.users(), back.addresses()), (vec!["alice".to_owned()], lost.addresses()));
}

#[test]
fn a_fixed_address_follows_its_owner() {
    let mut site = with_users("alice = { password = \"correct horse\", address = \"10.83.20.9\" }\nbob = \"battery\"");
    let first = site.connect(person(&site, "alice", "correct horse"), "198.51.100.7");
    let second = site.connect(person(&site, "alice", "correct horse"), "198.51.100.8");
    let fixed: Vec<IpAddr> = vec!["10.83.20.9".parse().unwrap()];
    assert_eq!((first.addresses(), second.addresses()), (fixed.clone(), fixed.clone()));
    assert_eq!((site.users().len(), &site.routed), (1, &fixed));
    assert_ne!(site.connect(person(&site, "bob", "battery"), "198.51.100.9").addresses(), fixed);
}

#[test]
fn who_only_has_the_key_does_not_get_the_address_of_a_person() {
    let users = "[users]\nalice = { password = \"correct horse\", address = \"10.83.20.9\" }";
    let mut site = Site::new(&format!(
        "psk = \"{KEY}\"\ncert = \"cert.pem\"\nkey = \"key.pem\"\npool = \"10.83.20.0/24\"\n{users}"
    ));
    let alice = site.connect(person(&site, "alice", "correct horse"), "198.51.100.7");
    let other = site.connect(laptop("alice"), "198.51.100.8");
    assert!(alice.is_up() && other.is_up());
    assert_eq!(site.users().len(), 2);
    assert_ne!(alice.addresses(), other.addresses());
}

#[test]
fn a_user_who_is_removed_is_disconnected_by_the_reload() {
    let mut site = with_users("alice = \"correct horse\"\nbob = \"battery\"");
    let mut alice = site.connect(person(&site, "alice", "correct horse"), "198.51.100.7");
    let bob = site.connect(person(&site, "bob", "battery"), "198.51.100.8");
    assert!(alice.is_up() && bob.is_up());

    let remote = "cert = \"cert.pem\"\nkey = \"key.pem\"\npool = \"10.83.20.0/24\"\n[users]\nbob = \"battery\"";
    let done = site.gateway.reload_from(site.now, settings(&site.folder, remote)).unwrap();
    site.settle(&mut alice);
    assert_eq!((done.disconnected, done.changes), (1, vec!["user alice removed".to_owned()]));
    assert_eq!(alice.end(), Some(&End::DeletedByServer));
    assert_eq!((site.users(), site.routed.len()), (vec!["bob".to_owned()], 1));
}

#[test]
fn the_gateway_says_goodbye_to_everybody() {
    let mut site = with_psk("10.83.20.0/24");
    let mut client = site.connect(laptop("laptop.example"), "198.51.100.7");
    site.gateway.shut_down(site.now);
    site.settle(&mut client);
    assert_eq!(client.end(), Some(&End::DeletedByServer));
    assert!(site.gateway.has_said_goodbye() && site.routed.is_empty());
}

#[test]
fn peers_that_move_are_told_the_addresses_that_were_chosen_to_listen_on() {
    let folder = tempfile::tempdir().unwrap();
    let told = |listen: &str| {
        let settings = settings(&folder, &format!("psk = \"{KEY}\"\npool = \"10.83.20.0/24\"\n{listen}"));
        super::ike_config::build(&settings, Vec::new(), 1).unwrap().addresses
    };
    assert!(told("").is_empty());
    assert!(told("listen = [\"0.0.0.0\", \"::\"]").is_empty());
    let two: [IpAddr; 2] = ["203.0.113.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    assert_eq!(told("listen = [\"203.0.113.1\", \"2001:db8::1\"]"), two);
}
