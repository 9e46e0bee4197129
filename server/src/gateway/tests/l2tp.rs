//! L2TP/IPsec sessions, from the first message of phase 1 to the address and to each way of ending.

use cygnet_ike::testing::v1::{V1End, V1Task, stock::Stock};
use cygnet_l2tp::testing::LacEvent;
use cygnet_ppp::auth::Method;

use super::world::{Device, HOME, SERVER, World};
use super::*;

const ALICE: &str = "alice = \"correct horse\"";

fn with_l2tp(extra: &str, users: &str) -> World {
    World::new(Site::new(&format!(
        "protocols = [\"l2tp\", \"ikev2\"]\npsk = \"{KEY}\"\ncert = \"cert.pem\"\nkey = \"key.pem\"\n\
         dns = \"10.83.0.53\"\n{extra}\n[users]\n{users}"
    )))
}

const POOL: &str = "pool = \"10.83.20.0/24\"";

fn alice(from: &str) -> Device<'_> {
    Device::windows("alice", "correct horse", from)
}

fn only_session(world: &World) -> crate::control::model::Session {
    let mut sessions = world.site.gateway.status(world.site.now).sessions;
    assert_eq!(sessions.len(), 1);
    sessions.remove(0)
}

#[test]
fn a_windows_laptop_connects_and_leaves_nothing_behind() {
    let mut world = with_l2tp(POOL, ALICE);
    let laptop = world.dial(alice("198.51.100.7"));
    let inside = world.inside(laptop).expect("PPP is up");
    let session = only_session(&world);
    assert_eq!((session.user.as_str(), session.via.as_str()), ("alice", "l2tp"));
    assert_eq!((session.state, session.inside.clone()), (SessionState::Established, vec![IpAddr::V4(inside)]));
    assert!(session.nat && session.cipher.starts_with("aes-cbc"), "{session:?}");
    assert_eq!((world.site.routed.clone(), world.route_mtu), (session.inside, Some(1390)));

    let [(spi, link)] = world.links.iter().collect::<Vec<_>>()[..] else { panic!("one link") };
    assert_eq!((link.peer_tunnel, link.peer_session, link.port), (1, 1, 1701));
    assert!(link.local_tunnel != 0 && link.local_session != 0);
    assert_eq!((link.addresses.as_slice(), link.mtu), (&[IpAddr::V4(inside)][..], 1390));
    assert_eq!(world.sent_by, Some(*spi));

    world.hang_up(laptop);
    assert!(world.site.users().is_empty() && world.site.routed.is_empty() && world.links.is_empty());
    assert!(world.site.headlines("alice")[0].contains("hung up"), "{:?}", world.site.headlines("alice"));
    world.task(laptop, V1Task::Close);
    assert!(world.children.is_empty() && world.site.gateway.channels.is_empty());
}

#[test]
fn rekeying_either_phase_leaves_the_session_alone() {
    let mut world = with_l2tp(POOL, ALICE);
    let laptop = world.dial(alice("198.51.100.7"));
    let (inside, before) = (world.inside(laptop), only_session(&world));
    let old: Vec<EspSpi> = world.links.keys().copied().collect();

    world.task(laptop, V1Task::RekeyChild);
    let new: Vec<EspSpi> = world.links.keys().copied().collect();
    assert!(new.len() == 1 && new != old, "{old:?} {new:?}");
    assert_eq!(world.children.keys().copied().collect::<Vec<_>>(), new);

    world.task(laptop, V1Task::RekeyIsakmp);
    assert_eq!(world.site.gateway.channels.len(), 1, "the new phase 1 joins the session");
    assert_eq!((world.links.keys().copied().collect::<Vec<_>>(), world.children.len()), (new.clone(), 1));
    world.run_for(Duration::from_secs(200)); // several LCP echoes
    assert_eq!(world.sent_by.as_slice(), new);
    let after = only_session(&world);
    assert_eq!((after.id, after.since, world.inside(laptop)), (before.id, before.since, inside));
    assert_eq!(after.bytes_in, 10, "of both pairs, without what the first had carried before the login");

    world.task(laptop, V1Task::Close);
    assert!(world.site.users().is_empty() && world.links.is_empty() && world.site.routed.is_empty());
}

#[test]
fn a_laptop_that_vanished_comes_back_from_elsewhere_to_its_address() {
    let mut world = with_l2tp(POOL, ALICE);
    let lost = world.dial(alice("198.51.100.7"));
    let inside = world.inside(lost).expect("PPP is up");
    world.vanish(lost);
    let back = world.dial(alice("203.0.113.9"));
    assert_eq!(world.inside(back), Some(inside));
    assert_eq!(only_session(&world).from.ip().to_string(), "203.0.113.9");
    assert_eq!((world.site.routed.as_slice(), world.links.len()), (&[IpAddr::V4(inside)][..], 1));

    world.run_for(Duration::from_secs(70));
    assert_eq!(world.site.gateway.channels.len(), 1, "the IPsec of the lost session ends, too");
    assert_eq!(world.inside(back), Some(inside));
}

#[test]
fn twins_behind_one_router_do_not_push_each_other_out() {
    let mut world = with_l2tp(POOL, "alice = { password = \"correct horse\", devices = 2 }");
    let first = world.dial(alice("198.51.100.7"));
    let second = world.dial(alice("198.51.100.7"));
    world.run_for(Duration::from_secs(300));
    let (a, b) = (world.inside(first).expect("up"), world.inside(second).expect("up"));
    assert_ne!(a, b);
    assert_eq!((world.site.users().len(), world.links.len()), (2, 2));
    let tunnels: Vec<_> = world.links.values().map(|link| (link.peer_tunnel, link.peer_session, link.port)).collect();
    assert_eq!(tunnels, [(1, 1, 1701), (1, 1, 1701)], "as alike as can be");

    let third = world.dial(alice("198.51.100.7"));
    assert!(world.inside(third).is_none() && world.inside(first) == Some(a) && world.inside(second) == Some(b));
    assert!(world.site.headlines("alice")[0].contains("2 of 2 devices"), "{:?}", world.site.headlines("alice"));
    world.vanish(first);
    let again = world.dial(alice("198.51.100.8"));
    assert_eq!((world.inside(again), world.inside(second)), (Some(a), Some(b)));
}

#[test]
fn another_device_of_the_user_is_let_in_at_once_unless_there_are_too_many() {
    let mut world = with_l2tp(POOL, "alice = { password = \"correct horse\", devices = 2 }");
    let first = world.dial(alice("198.51.100.7").named("laptop"));
    world.vanish(first);
    let second = world.start(alice("198.51.100.8").named("desktop"), true);
    world.run_for(Duration::from_secs(2));
    assert!(world.inside(second).is_some(), "no other device of this name: nobody has to be asked");
    assert_eq!(world.site.users().len(), 2);

    let third = world.dial(alice("198.51.100.9").named("phone"));
    assert!(world.inside(third).is_some(), "the silent one gives way");
    assert_eq!(world.site.users().len(), 2);
}

#[test]
fn one_user_is_on_by_l2tp_and_ikev2_at_once() {
    let mut world = with_l2tp(POOL, "alice = { password = \"correct horse\", devices = 2 }");
    let laptop = world.dial(alice("198.51.100.7"));
    let config = person(&world.site, "alice", "correct horse");
    let phone = world.site.connect(config, "198.51.100.8");
    assert!(phone.is_up() && world.inside(laptop).is_some());
    let sessions = world.site.gateway.status(world.site.now).sessions;
    let mut via: Vec<_> = sessions.iter().map(|s| (s.user.as_str(), s.via.as_str())).collect();
    via.sort_unstable();
    assert_eq!(via, [("alice", "ikev2"), ("alice", "l2tp")]);
    assert_eq!(world.site.routed.len(), 2);
}

#[test]
fn a_wrong_password_is_told_to_the_operator_and_slowed_down() {
    let mut world = with_l2tp(POOL, ALICE);
    for (user, password, part) in [
        ("alice", "wrong", "wrong password for user \"alice\""),
        ("mallory", "correct horse", "there is no user \"mallory\""),
    ] {
        let guesser = world.dial(Device::windows(user, password, "198.51.100.7"));
        assert!(world.inside(guesser).is_none() && world.dialers[guesser].farewell.is_some(), "{user}");
        assert!(world.site.headlines(user)[0].contains(part), "{:?}", world.site.headlines(user));
    }
    assert!(world.site.routed.is_empty() && world.links.is_empty() && world.site.users().is_empty());
    let sources: Vec<String> = (10..22).map(|n| format!("198.51.100.{n}")).collect();
    for from in &sources {
        world.start(Device::windows("alice", "guess", from), true);
    }
    world.run_for(Duration::from_secs(2));
    world.dial(alice("198.51.100.8"));
    assert!(world.site.headlines("alice")[0].contains("too many failed logins"), "{:?}", world.site.headlines("alice"));
}

#[test]
fn accounts_that_may_not_log_in_are_named() {
    let users = "old = { password = \"correct horse\", expires = 2020-01-31 }\n\
                 locked = { password = \"correct horse\", disabled = true }";
    let mut world = with_l2tp(POOL, users);
    for (user, part) in [("old", "has expired"), ("locked", "is disabled")] {
        let device = world.dial(Device::windows(user, "correct horse", "198.51.100.7"));
        assert!(world.inside(device).is_none());
        assert!(world.site.headlines(user)[0].contains(part), "{:?}", world.site.headlines(user));
    }
}

#[test]
fn a_wrong_key_and_a_client_with_old_groups_only_are_explained() {
    let mut world = with_l2tp(POOL, ALICE);
    let mut device = alice("198.51.100.7");
    device.ike = Stock::Windows10.config(b"another key", HOME, SERVER);
    let stranger = world.dial(device);
    assert!(world.inside(stranger).is_none());
    assert!(world.site.headlines("198.51.100.7")[0].contains("pre-shared key"));

    let phone = Device { ike: Stock::Android7.config(KEY.as_bytes(), HOME, SERVER), ..alice("198.51.100.8") };
    let phone = world.dial(phone);
    assert!(world.inside(phone).is_none() && world.dialers[phone].end().is_some());
    assert!(world.site.fix("198.51.100.8").contains("legacy-android"), "{}", world.site.fix("198.51.100.8"));

    let mut world = with_l2tp(&format!("{POOL}\npolicy = [\"compatible\", \"legacy-android\"]"), ALICE);
    let phone = Device { ike: Stock::Android7.config(KEY.as_bytes(), HOME, SERVER), ..alice("198.51.100.8") };
    let phone = world.dial(phone);
    assert!(world.inside(phone).is_some());
}

#[test]
fn an_exhausted_pool_is_explained_and_recovers() {
    let mut world = with_l2tp("pool = \"10.83.20.0/30\"", &format!("{ALICE}\nbob = \"battery\""));
    let first = world.dial(alice("198.51.100.7"));
    let second = world.dial(Device::windows("bob", "battery", "198.51.100.8"));
    assert!(world.inside(first).is_some() && world.inside(second).is_none());
    assert!(world.site.headlines("bob")[0].contains("all 1 addresses"), "{:?}", world.site.headlines("bob"));
    world.hang_up(first);
    let third = world.dial(Device::windows("bob", "battery", "198.51.100.9"));
    assert!(world.inside(third).is_some());
}

#[test]
fn a_host_that_cannot_forward_grants_nothing() {
    let mut world = with_l2tp(POOL, ALICE);
    world.site.host = Err("nft is missing".into());
    let laptop = world.dial(alice("198.51.100.7"));
    assert!(world.inside(laptop).is_none() && world.links.is_empty() && world.site.users().is_empty());
    assert!(world.site.headlines("alice")[0].contains("nft is missing"), "{:?}", world.site.headlines("alice"));
    world.site.host = Ok(());
    let again = world.dial(alice("198.51.100.7"));
    assert!(world.inside(again).is_some());
}

#[test]
fn goodbye_by_ppp_ends_l2tp_and_then_ipsec() {
    let mut world = with_l2tp(POOL, ALICE);
    let laptop = world.dial(alice("198.51.100.7"));
    let now = world.site.now.instant;
    world.dialers[laptop].ppp.as_mut().unwrap().hang_up(now);
    world.run_for(Duration::from_secs(5));
    assert!(world.site.users().is_empty() && world.site.routed.is_empty() && world.links.is_empty());
    assert!(world.dialers[laptop].farewell.is_some(), "CDN");
    assert_eq!(world.children.len(), 1, "IPsec stays for another try");
    world.run_for(Duration::from_secs(70));
    assert!(world.children.is_empty() && world.site.gateway.channels.is_empty());
}

#[test]
fn a_client_that_falls_silent_is_given_up() {
    let mut world = with_l2tp(POOL, ALICE);
    let laptop = world.dial(alice("198.51.100.7"));
    world.vanish(laptop);
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.site.users(), ["alice"], "a short gap is forgiven");
    world.run_for(Duration::from_secs(120));
    assert!(world.site.users().is_empty() && world.site.routed.is_empty() && world.children.is_empty());
    assert!(world.site.headlines("alice")[0].contains("session ended"), "{:?}", world.site.headlines("alice"));
}

#[test]
fn traffic_on_the_data_path_is_a_sign_of_life() {
    let mut world = with_l2tp(POOL, ALICE);
    world.dial(alice("198.51.100.7"));
    let spi = *world.links.keys().next().unwrap();
    world.vanish(0);
    for _ in 0..100 {
        world.run_for(Duration::from_secs(5));
        world.site.hear(spi);
    }
    assert_eq!(world.site.users(), ["alice"]);
}

#[test]
fn ipsec_without_l2tp_is_explained_and_closed() {
    let mut world = with_l2tp(POOL, ALICE);
    world.start(alice("198.51.100.7"), false);
    world.run_for(Duration::from_secs(50));
    assert_eq!(world.children.len(), 1);
    world.run_for(Duration::from_secs(15));
    assert!(world.children.is_empty());
    assert_eq!(world.site.headlines("198.51.100.7")[0], "IPsec is up, but no L2TP came");
    assert!(world.site.fix("198.51.100.7").contains("UDP port 1701"));
}

#[test]
fn a_client_of_which_no_packet_is_authentic_gets_a_hint() {
    let mut world = with_l2tp(POOL, ALICE);
    world.start(alice("198.51.100.7"), false);
    let spi = *world.children.keys().next().expect("a pair");
    world.site.gateway.all_forged(world.site.now, spi);
    assert!(world.site.headlines("198.51.100.7")[0].contains("integrity check"));
    assert!(world.site.fix("198.51.100.7").contains("96 bits"), "{}", world.site.fix("198.51.100.7"));
}

#[test]
fn a_login_that_is_switched_off_names_the_key_to_change() {
    let mut world = with_l2tp(POOL, ALICE);
    let mut device = alice("198.51.100.7");
    device.profile.auth = vec![Method::Pap];
    let pap = world.dial(device);
    assert!(world.inside(pap).is_none());
    assert!(world.site.fix("198.51.100.7").contains("\"pap\" to ppp_auth"), "{}", world.site.fix("198.51.100.7"));

    let mut world = with_l2tp(&format!("{POOL}\nppp_auth = [\"mschapv2\", \"pap\"]"), ALICE);
    let mut device = alice("198.51.100.7");
    device.profile.auth = vec![Method::Pap];
    let pap = world.dial(device);
    assert!(world.inside(pap).is_some());
}

#[test]
fn chap_md5_needs_the_password_itself() {
    let hash = "alice = { nt_hash = \"8846f7eaee8fb117ad06bdd830b7586c\" }";
    let mut world = with_l2tp(&format!("{POOL}\nppp_auth = [\"chap-md5\"]"), hash);
    let mut device = Device::windows("alice", "password", "198.51.100.7");
    device.profile.auth = vec![Method::ChapMd5];
    let client = world.dial(device);
    assert!(world.inside(client).is_none());
    assert!(world.site.headlines("alice")[0].contains("CHAP-MD5"), "{:?}", world.site.headlines("alice"));
    assert!(world.site.fix("alice").contains("`password` instead of `nt_hash`"), "{}", world.site.fix("alice"));
}

#[test]
fn a_client_that_demands_mppe_is_told_that_ipsec_encrypts() {
    let mut world = with_l2tp(POOL, ALICE);
    let client = world.dial(alice("198.51.100.7")); // its profile tries CCP
    let now = world.site.now.instant;
    world.site.now.instant = now - Duration::from_secs(5);
    world.dialers[client].ppp.as_mut().unwrap().hang_up(now);
    world.run_for(Duration::from_secs(4));
    assert!(world.site.fix("alice").contains("MPPE"), "{:?}", world.site.headlines("alice"));
}

#[test]
fn a_user_who_is_removed_hears_it_by_ppp() {
    let mut world = with_l2tp(POOL, &format!("{ALICE}\nbob = \"battery\""));
    let laptop = world.dial(alice("198.51.100.7"));
    let text = format!("protocols = [\"l2tp\", \"ikev2\"]\npsk = \"{KEY}\"\n{POOL}\n[users]\nbob = \"battery\"");
    let settings = settings(&world.site.folder, &text);
    let done = world.site.gateway.reload_from(world.site.now, settings).unwrap();
    assert_eq!(done.disconnected, 1);
    world.run_for(Duration::from_secs(8));
    assert!(world.dialers[laptop].ppp.as_ref().unwrap().ended && world.site.users().is_empty());
    assert!(world.site.headlines("alice")[0].contains("administrator"), "{:?}", world.site.headlines("alice"));
}

#[test]
fn a_kicked_user_goes_in_every_protocol_and_others_stay() {
    let mut world = with_l2tp(POOL, &format!("{ALICE}\nbob = \"battery\""));
    world.dial(alice("198.51.100.7"));
    world.dial(Device::windows("bob", "battery", "198.51.100.8"));
    let config = person(&world.site, "alice", "correct horse");
    assert!(world.site.connect(config, "198.51.100.9").is_up());
    assert_eq!(world.site.gateway.kick(world.site.now, "mallory").disconnected, 0);
    assert_eq!(world.site.gateway.kick(world.site.now, "Alice").disconnected, 2);
    world.run_for(Duration::from_secs(8));
    assert_eq!(world.site.users(), ["bob"]);
}

#[test]
fn a_client_that_moves_takes_its_session_along() {
    let mut world = with_l2tp(POOL, ALICE);
    let laptop = world.dial(alice("198.51.100.7"));
    let spi = *world.links.keys().next().unwrap();
    world.move_to(laptop, "203.0.113.9");
    let path = Path { local: "192.0.2.1:4500".parse().unwrap(), peer: "203.0.113.9:12277".parse().unwrap() };
    world.site.gateway.peer_moved(world.site.now, spi, path);
    world.exchange();
    assert_eq!(world.children[&spi].path, path);
    assert_eq!(only_session(&world).from, path.peer);
    world.task(laptop, V1Task::RekeyChild);
    world.run_for(Duration::from_secs(100));
    assert_eq!(world.site.users(), ["alice"]);
}

#[test]
fn the_gateway_says_goodbye_in_every_layer() {
    let mut world = with_l2tp(POOL, ALICE);
    let laptop = world.dial(alice("198.51.100.7"));
    world.site.gateway.shut_down(world.site.now);
    world.exchange();
    assert!(matches!(&world.dialers[laptop].farewell, Some(LacEvent::Closed { .. })), "by L2TP");
    assert_eq!(world.dialers[laptop].end(), Some(&V1End::Deleted), "by IKE");
    assert!(world.site.gateway.has_said_goodbye() && world.site.routed.is_empty() && world.children.is_empty());
}

#[test]
fn a_refused_login_does_not_delay_the_end() {
    let mut world = with_l2tp(POOL, ALICE);
    let config = person(&world.site, "alice", "wrong");
    assert!(!world.site.connect(config, "198.51.100.8").is_up());
    world.site.gateway.shut_down(world.site.now);
    assert!(world.site.gateway.has_said_goodbye());
}

#[test]
fn the_key_that_all_l2tp_users_know_does_not_let_ikev2_in_alone() {
    let mut world = with_l2tp(POOL, ALICE);
    let client = world.site.connect(laptop("alice"), "198.51.100.7");
    assert!(client.addresses().is_empty() && world.site.users().is_empty());
    assert!(
        world.site.headlines("alice")[0].contains("only the pre-shared key"),
        "{:?}",
        world.site.headlines("alice")
    );

    let own = format!("[psk]\n\"router.example\" = \"{KEY} of its own\"\n");
    let site = Site::new(&format!("protocols = [\"l2tp\", \"ikev2\"]\npsk = \"{KEY}\"\n{POOL}\n{own}[users]\n{ALICE}"));
    let mut world = World::new(site);
    let identity = Identity::Fqdn("router.example".into());
    let router = ClientConfig::psk(identity, format!("{KEY} of its own").as_bytes());
    assert!(world.site.connect(router, "198.51.100.8").is_up());
}

#[test]
fn a_protocol_that_is_not_listed_lets_nobody_in() {
    let site = Site::new(&format!("protocols = [\"l2tp\"]\npsk = \"{KEY}\"\n{POOL}\n[users]\n{ALICE}"));
    let mut world = World::new(site);
    assert!(world.site.connect(laptop("alice"), "198.51.100.7").addresses().is_empty());
    assert!(world.site.fix("alice").contains("\"ikev2\" to protocols"), "{:?}", world.site.headlines("alice"));

    let site = Site::new(&format!("psk = \"{KEY}\"\n{POOL}\n[users]\n{ALICE}"));
    let mut world = World::new(site);
    let client = world.dial(alice("198.51.100.7"));
    assert!(world.children.is_empty() && world.inside(client).is_none());
}
