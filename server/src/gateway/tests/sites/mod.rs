//! Two gateways and the tunnel between them: how it begins, what ends it, and that it comes back.

mod reload;
mod world;

use world::{Wire, World};

use crate::control::model::SiteState;

const A: &str = "192.0.2.1";
const B: &str = "198.51.100.7";
const KEY: &str = "a key that is long enough for anybody";

/// The configuration of a gateway with one site.
fn config(name: &str, peer: &str, more: &str) -> String {
    let (local, remote) = if name == "b" { ("10.1.0.0/16", "10.2.0.0/16") } else { ("10.2.0.0/16", "10.1.0.0/16") };
    site(name, peer, local, remote, more)
}

fn site(name: &str, peer: &str, local: &str, remote: &str, more: &str) -> String {
    format!(
        "[site.{name}]\npeer = \"{peer}\"\npsk = \"{KEY}\"\nlocal = [\"{local}\"]\nremote = [\"{remote}\"]\n{more}\n"
    )
}

/// Two gateways: `more` goes into the configurations of both.
fn two(seed: u64, wire: Wire, more: [&str; 2]) -> World {
    let mut world = World::new(seed, wire);
    world.start(&[A], &config("b", B, more[0]));
    world.start(&[B], &config("a", A, more[1]));
    world
}

const ALWAYS: &str = "start = \"always\"";
const PASSIVE: &str = "start = \"passive\"";
const DEMAND: &str = "start = \"demand\"";

fn both_up(world: &World) -> bool {
    world.is_up(0, "b") && world.is_up(1, "a")
}

#[test]
fn a_site_comes_up_from_either_side() {
    for (seed, more) in [(1, [ALWAYS, PASSIVE]), (2, [PASSIVE, ALWAYS])] {
        let mut world = two(seed, Wire::GOOD, more);
        assert!(world.run_until(5.0, both_up), "{:?} {:?}", world.site(0, "b"), world.site(1, "a"));
        assert!(world.ping(0, 1) && world.ping(1, 0));
        world.run(3600.0);
        assert!(both_up(&world) && world.sessions(0) == 1 && world.sessions(1) == 1);
        let (a, b) = (world.site(1, "a"), world.site(0, "b"));
        assert_eq!((b.initiator, a.initiator), (more[0] == ALWAYS, more[1] == ALWAYS));
        assert_eq!((b.children[0].local.len(), b.attempts, b.last_error), (1, 0, None));
        assert_eq!((b.address.unwrap().ip().to_string(), a.identity.as_str()), (B.to_owned(), A));
    }
}

#[test]
fn ipv6_is_no_different() {
    let mut world = World::new(3, Wire::GOOD);
    world.start(&["2001:db8::1"], &site("b", "2001:db8::2", "fd00:1::/64", "fd00:2::/64", ""));
    world.start(&["2001:db8::2"], &site("a", "2001:db8::1", "fd00:2::/64", "fd00:1::/64", PASSIVE));
    assert!(world.run_until(5.0, both_up), "{:?}", world.site(0, "b"));
    assert!(world.ping(0, 1));
}

#[test]
fn both_sides_at_once_end_up_with_one_tunnel_that_works_all_the_time() {
    for seed in 1..=150 {
        let wire = Wire { jitter: std::time::Duration::from_millis(60), ..Wire::GOOD };
        let mut world = two(seed, wire, [ALWAYS, ALWAYS]);
        assert!(world.run_until(20.0, both_up), "seed {seed}");
        let mut lost = 0;
        for _ in 0..1500 {
            world.run(0.1);
            lost += u32::from(!world.ping(0, 1)) + u32::from(!world.ping(1, 0));
        }
        assert_eq!((world.sessions(0), world.sessions(1)), (1, 1), "seed {seed}");
        assert!(both_up(&world) && lost <= 2, "seed {seed}: {lost} lost");
    }
}

#[test]
fn both_sides_at_once_over_a_bad_wire() {
    for seed in 1..=60 {
        let wire = Wire { jitter: std::time::Duration::from_millis(300), loss: 20, ..Wire::GOOD };
        let mut world = two(seed, wire, [ALWAYS, ALWAYS]);
        assert!(world.run_until(240.0, both_up), "seed {seed}: {:?}", world.site(0, "b"));
        world.wire = Wire::GOOD;
        world.run(400.0);
        assert_eq!((world.sessions(0), world.sessions(1)), (1, 1), "seed {seed}");
        assert!(both_up(&world) && world.ping(0, 1), "seed {seed}");
    }
}

#[test]
fn the_first_packet_brings_a_tunnel_up() {
    let mut world = two(4, Wire::GOOD, [DEMAND, PASSIVE]);
    world.run(600.0);
    assert_eq!((world.sessions(0), world.nodes[0].traps, world.nodes[1].traps), (0, 1, 0));
    assert_eq!(world.site(0, "b").state, SiteState::Waiting);
    let now = world.now;
    world.nodes[0].gateway.no_tunnel(now, "b", "10.1.0.1".parse().unwrap(), "10.2.0.1".parse().unwrap());
    assert!(world.run_until(1.0, both_up));
}

#[test]
fn a_gateway_that_is_killed_comes_back_ten_times() {
    for seed in 1..=10 {
        let mut world = two(seed, Wire::GOOD, [ALWAYS, ALWAYS]);
        assert!(world.run_until(10.0, both_up));
        for round in 0..10 {
            let age = world.roll(90);
            world.run(age as f64);
            let (node, name, peer) = if round % 2 == 0 { (0, "b", B) } else { (1, "a", A) };
            world.kill(node, &config(name, peer, ALWAYS));
            assert!(world.run_until(3.0, both_up), "seed {seed} round {round}: {:?}", world.site(node, name));
            world.run(0.5);
            assert!(world.ping(0, 1) && world.ping(1, 0), "seed {seed} round {round}");
        }
        world.run(300.0);
        assert_eq!((world.sessions(0), world.sessions(1)), (1, 1), "seed {seed}");
    }
}

#[test]
fn a_dead_peer_is_noticed_and_called_until_it_is_back() {
    let mut world = two(5, Wire::GOOD, [ALWAYS, PASSIVE]);
    assert!(world.run_until(5.0, both_up));
    world.run(100.0);
    world.nodes[1].dead = true;
    assert!(world.run_until(100.0, |world| !world.is_up(0, "b")), "it is noticed");
    world.run(1800.0);
    let site = world.site(0, "b");
    assert!(matches!(site.state, SiteState::Connecting | SiteState::Down), "{site:?}");
    let error = site.last_error.unwrap();
    assert_eq!(error, "no answer on UDP 500 and 4500");
    let now = world.now;
    for (who, begin) in [("b", "b is down"), ("nobody", "there is no site, user or address")] {
        let told = world.nodes[0].gateway.rekey(now, who, false).unwrap_err();
        assert!(told.starts_with(begin), "{told}");
    }
    world.kill(1, &config("a", A, PASSIVE));
    world.nodes[1].dead = false;
    assert!(world.run_until(95.0, both_up), "{:?}", world.site(0, "b"));
    assert!(world.ping(0, 1));
}

#[test]
fn a_dead_peer_that_began_is_noticed_as_soon() {
    let mut world = two(17, Wire::GOOD, [ALWAYS, ALWAYS]);
    world.nodes[0].dead = true;
    world.run(20.0);
    world.nodes[0].dead = false;
    assert!(world.run_until(100.0, both_up));
    world.run(100.0);
    let began = if world.site(0, "b").initiator { 0 } else { 1 };
    let (left, name) = if began == 0 { (1, "a") } else { (0, "b") };
    world.nodes[began].dead = true;
    assert!(world.run_until(100.0, |world| !world.is_up(left, name)));
    world.run(5.0);
    assert!(world.site(left, name).state == SiteState::Connecting, "it is called at once");
}

#[test]
fn a_cut_wire_heals() {
    let mut world = two(6, Wire::GOOD, [ALWAYS, ALWAYS]);
    assert!(world.run_until(10.0, both_up));
    for minutes in [1.0, 5.0, 30.0] {
        world.run(120.0);
        world.cut = true;
        world.run(minutes * 60.0);
        world.cut = false;
        assert!(world.run_until(95.0, both_up), "{minutes} minutes: {:?}", world.site(0, "b"));
        world.run(200.0);
        assert!(world.ping(0, 1) && world.ping(1, 0), "{minutes} minutes");
        assert_eq!((world.sessions(0), world.sessions(1)), (1, 1), "{minutes} minutes");
    }
}

#[test]
fn a_peer_is_followed_to_the_new_address_of_its_name() {
    let mut world = World::new(7, Wire::GOOD);
    world.names.insert("gw.example.org".into(), vec![B.parse().unwrap()]);
    world.start(&[A], &config("b", "gw.example.org", ALWAYS));
    world.start(&[B], &config("a", A, &format!("{PASSIVE}\nid = \"gw.example.org\"")));
    assert!(world.run_until(10.0, both_up), "{:?}", world.site(0, "b"));
    world.run(100.0);
    let moved = "198.51.100.99";
    world.nodes[1].addresses = vec![moved.parse().unwrap()];
    world.kill(1, &config("a", A, &format!("{PASSIVE}\nid = \"gw.example.org\"")));
    world.run(300.0);
    assert!(!world.is_up(0, "b"));
    world.names.insert("gw.example.org".into(), vec![moved.parse().unwrap()]);
    assert!(world.run_until(130.0, both_up), "{:?}", world.site(0, "b"));
    assert_eq!(world.site(0, "b").address.unwrap().ip().to_string(), moved);
    let lookups = world.lookups(0);
    world.run(1000.0);
    assert_eq!(world.lookups(0), lookups, "not while it is up");
}

#[test]
fn a_wrong_key_is_told_and_tried_again() {
    let mut world = World::new(8, Wire::GOOD);
    world.start(&[A], &config("b", B, ALWAYS));
    world.start(&[B], &config("a", A, PASSIVE).replace(KEY, "quite another key than the other side's"));
    world.run(30.0);
    let site = world.site(0, "b");
    assert!(site.state == SiteState::Down && site.attempts >= 3, "{site:?}");
    assert!(site.last_error.is_some_and(|error| error.contains("AUTHENTICATION_FAILED")));
    assert!(!world.headlines(0, "b").is_empty() && !world.headlines(1, "a").is_empty());
    let other = world.site(1, "a").last_error.unwrap();
    assert!(other.contains("pre-shared key"), "who was called knows the reason: {other}");
    world.reload(1, &config("a", A, PASSIVE));
    assert!(world.run_until(65.0, both_up));
    assert_eq!((world.site(0, "b").last_error, world.site(1, "a").last_error), (None, None), "it works now");
}

#[test]
fn a_reload_touches_what_has_changed() {
    const C: &str = "203.0.113.5";
    let other = |more: &str| site("c", C, "10.1.0.0/16", "10.3.0.0/16", more);
    let mut world = two(9, Wire::GOOD, [ALWAYS, PASSIVE]);
    world.start(&[C], &site("a", A, "10.3.0.0/16", "10.1.0.0/16", PASSIVE));
    assert!(world.run_until(5.0, both_up));
    let session = world.site(0, "b").session;

    let before = config("b", B, ALWAYS);
    assert_eq!(world.reload(0, &format!("{before}{}", other(ALWAYS))), ["site c added"]);
    assert!(world.run_until(5.0, |world| world.is_up(0, "c")));
    let both = format!("{before}{}", other("mobike = false"));
    let told = "site c changed: a tunnel on the new terms takes the place of the old one";
    assert_eq!(world.reload(0, &both), [told]);
    assert!(world.run_until(5.0, |world| world.is_up(0, "c") && world.is_up(2, "a")));
    assert_eq!(world.reload(0, &both), [""; 0]);
    assert_eq!(world.reload(0, &before), ["site c removed"]);
    world.run(2.0);
    assert_eq!((world.sessions(2), world.sessions(0)), (0, 1));
    assert_eq!(world.site(0, "b").session, session, "untouched by all of that");
}

#[test]
fn the_operator_takes_a_site_down_and_up() {
    let mut world = two(10, Wire::GOOD, [ALWAYS, ALWAYS]);
    assert!(world.run_until(10.0, both_up));
    world.run(200.0);
    let now = world.now;
    assert_eq!(world.nodes[0].gateway.site_down(now, "b"), Ok(1));
    world.run(300.0);
    assert_eq!((world.site(0, "b").state, world.site(0, "b").last_error), (SiteState::Stopped, None));
    assert!(!world.is_up(1, "a") && world.nodes[0].traps == 0);
    assert!(world.headlines(0, "b").iter().any(|text| text.contains("taken down by the operator")));

    let now = world.now;
    world.nodes[0].gateway.site_up(now, "b", None).unwrap();
    assert!(world.run_until(5.0, both_up));
    assert!(world.nodes[0].outcomes.iter().all(|outcome| outcome.result.is_ok()));
    assert_eq!(world.nodes[0].outcomes.len(), 1);
    assert!(world.nodes[0].gateway.site_up(now, "nowhere", None).is_err());
}

#[test]
fn several_children_come_up_and_one_that_is_lost_comes_back() {
    let children = |name: &str, peer: &str, start: &str, flip: bool| {
        let child = |n: u8| {
            let (local, remote) = (format!("10.1.{n}.0/24"), format!("10.2.{n}.0/24"));
            let (local, remote) = if flip { (remote, local) } else { (local, remote) };
            format!("[[site.{name}.child]]\nname = \"net{n}\"\nlocal = [\"{local}\"]\nremote = [\"{remote}\"]\n")
        };
        let head = format!("[site.{name}]\npeer = \"{peer}\"\npsk = \"{KEY}\"\n{start}\n");
        format!("{head}{}{}{}", child(1), child(2), child(3))
    };
    let mut world = World::new(11, Wire::GOOD);
    world.start(&[A], &children("b", B, ALWAYS, false));
    world.start(&[B], &children("a", A, PASSIVE, true));
    assert!(world.run_until(10.0, both_up), "{:?}", world.site(0, "b"));
    assert_eq!((world.nodes[0].pairs.len(), world.nodes[1].pairs.len()), (3, 3));

    let (now, spi) = (world.now, world.nodes[1].pairs[1].child.inbound_spi);
    world.nodes[1].gateway.hard_limit(now, spi);
    world.run(0.5);
    assert!(!world.is_up(0, "b"));
    assert!(world.run_until(20.0, both_up), "{:?}", world.site(0, "b"));
}

#[test]
fn keys_are_renewed_on_request_without_a_lost_packet() {
    let mut world = two(12, Wire::GOOD, [ALWAYS, PASSIVE]);
    assert!(world.run_until(5.0, both_up));
    for ike in [false, true, false, true] {
        let now = world.now;
        let done = world.nodes[0].gateway.rekey(now, "b", ike).unwrap();
        assert_eq!((done.ike_sas, done.child_sas), (u64::from(ike), u64::from(!ike)));
        for _ in 0..100 {
            world.run(0.02);
            assert!(world.ping(0, 1) && world.ping(1, 0));
        }
    }
    assert_eq!((world.sessions(0), world.nodes[0].pairs.len()), (1, 1));
}

#[test]
fn both_sides_prove_again_who_they_are_without_a_lost_packet() {
    let mut world = two(13, Wire::GOOD, ["start = \"always\"\nreauth = \"10m\"", PASSIVE]);
    assert!(world.run_until(5.0, both_up));
    let first = world.site(0, "b").session;
    let mut sessions = std::collections::BTreeSet::from([first]);
    for _ in 0..30_000 {
        world.run(0.1);
        assert!(world.ping(0, 1) && world.ping(1, 0));
        sessions.insert(world.site(0, "b").session);
    }
    assert!((4..=8).contains(&sessions.len()), "{}", sessions.len());
    assert_eq!((world.sessions(0), world.sessions(1)), (1, 1));
    assert_eq!(world.site(0, "b").last_error, None);
}

#[test]
fn a_tunnel_follows_the_address_of_the_gateway() {
    for (seed, mobike) in [(14, "mobike = true"), (15, "mobike = false")] {
        let mut world = two(
            seed,
            Wire::GOOD,
            [&format!("{ALWAYS}\n{mobike}\nid = \"a.example\""), &format!("{PASSIVE}\n{mobike}")],
        );
        let anywhere = config("a", "any", &format!("{PASSIVE}\n{mobike}"));
        world.reload(1, &anywhere);
        assert!(world.run_until(5.0, both_up), "{:?}", world.site(0, "b"));
        let session = world.site(0, "b").session;
        world.run(100.0);
        world.nodes[0].addresses = vec!["192.0.2.77".parse().unwrap()];
        let now = world.now;
        world.nodes[0].gateway.addresses_changed(now);
        world.run(5.0);
        assert!(both_up(&world) && world.ping(0, 1) && world.ping(1, 0), "{mobike}");
        assert_eq!(world.site(1, "a").address.unwrap().ip().to_string(), "192.0.2.77");
        assert_eq!(world.site(0, "b").session == session, mobike.ends_with("true"));
        world.run(300.0);
        assert_eq!((world.sessions(0), world.sessions(1)), (1, 1), "{mobike}");
    }
}

#[test]
fn a_gateway_that_stops_says_goodbye_and_begins_nothing_more() {
    let mut world = two(16, Wire::GOOD, [ALWAYS, PASSIVE]);
    assert!(world.run_until(5.0, both_up));
    let now = world.now;
    world.nodes[0].gateway.shut_down(now);
    world.run(1.0);
    assert!(world.nodes[0].gateway.has_said_goodbye() && world.nodes[0].pairs.is_empty());
    assert!(!world.is_up(1, "a") && world.nodes[1].pairs.is_empty());
    world.run(100.0);
    assert_eq!((world.sessions(0), world.sessions(1)), (0, 0));
}

#[test]
fn a_kick_ends_a_tunnel_and_forbids_nothing() {
    let mut world = two(18, Wire::GOOD, [ALWAYS, PASSIVE]);
    assert!(world.run_until(5.0, both_up));
    world.run(100.0);
    let (now, before) = (world.now, world.site(0, "b").session);
    let inside = world.nodes[0].gateway.kick(now, "10.2.0.1");
    assert_eq!((inside.sites, inside.disconnected), (0, 0), "an inner address names clients only");
    for (who, name) in [("b", "b"), (B, "b")] {
        let now = world.now;
        assert_eq!(world.nodes[0].gateway.kick(now, who).sites, 1, "{who}");
        world.run(0.5);
        assert!(!world.is_up(0, name) && !world.is_up(1, "a"));
        assert_eq!(world.site(0, name).last_error.as_deref(), Some("ended by the operator"));
        assert!(world.run_until(30.0, both_up), "{:?}", world.site(0, name));
        world.run(100.0);
    }
    assert_ne!(world.site(0, "b").session, before);
    let now = world.now;
    assert_eq!(world.nodes[1].gateway.kick(now, A).sites, 1);
    assert!(world.run_until(30.0, both_up), "the passive side lets it in again");
}

#[test]
fn a_site_that_was_taken_down_stays_down_over_a_reload_that_changes_it() {
    let mut world = two(19, Wire::GOOD, [ALWAYS, ALWAYS]);
    assert!(world.run_until(10.0, both_up));
    let now = world.now;
    world.nodes[0].gateway.site_down(now, "b").unwrap();
    world.run(5.0);
    world.reload(0, &config("b", B, &format!("{ALWAYS}\nmobike = false")));
    world.run(300.0);
    assert_eq!((world.site(0, "b").state, world.nodes[0].traps), (SiteState::Stopped, 0));
    let now = world.now;
    world.nodes[0].gateway.site_up(now, "b", None).unwrap();
    assert!(world.run_until(70.0, both_up), "{:?}", world.site(0, "b"));
}

#[test]
fn an_answer_about_a_name_that_the_peer_had_before_is_passed_over() {
    let mut world = World::new(20, Wire::GOOD);
    world.names.insert("new.example.org".into(), vec![B.parse().unwrap()]);
    world.start(&[A], &config("b", "new.example.org", PASSIVE));
    world.run(5.0);
    let known = |world: &World| -> Vec<String> {
        let site = &world.nodes[0].gateway.ike_config.sites[0];
        site.peer_addresses.iter().map(|prefix| prefix.address.to_string()).collect()
    };
    assert_eq!(known(&world), [B]);
    let (now, stale) = (world.now, "203.0.113.9".parse().unwrap());
    world.nodes[0].gateway.resolved(now, "b", "old.example.org", Ok(vec![stale]));
    assert_eq!(known(&world), [B]);
    world.nodes[0].gateway.resolved(now, "b", "new.example.org", Ok(vec![stale]));
    assert_eq!(known(&world), ["203.0.113.9"]);
}

#[test]
fn the_next_rekey_of_the_ike_sa_is_told_also_after_the_first() {
    let lifetime = format!("{ALWAYS}\nike_lifetime = \"1h\"");
    let mut world = two(21, Wire::GOOD, [&lifetime, PASSIVE]);
    assert!(world.run_until(5.0, both_up));
    for _ in 0..3 {
        let due = world.site(0, "b").ike_rekey_seconds.unwrap();
        assert!((3140..=3600).contains(&due), "{due}");
        world.run(due as f64 + 5.0);
    }
}

/// A gateway's certificate, and where it lies with that of its authority.
struct Papers {
    folder: tempfile::TempDir,
    own: crate::pki::Issued,
}

impl Papers {
    fn issue(ca: &crate::pki::Issued, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = [crate::pki::SubjectName::from_text(name)];
        let kind = crate::pki::KeyKind::EcdsaP256;
        let own = crate::pki::issue_server_certificate(ca, &names, kind, super::now_unix()).unwrap();
        let files =
            [("ca.pem", &*ca.certificate_pem), ("own.pem", &*own.certificate_pem), ("own-key.pem", &**own.key_pem)];
        files.iter().for_each(|(name, text)| super::write(&folder.path().join(name), text));
        Self { folder, own }
    }

    fn config(&self, site: &str, peer: &str, names: [&str; 2], start: &str) -> String {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let [id, peer_id] = names;
        let (own, key, ca) = (at("own.pem"), at("own-key.pem"), at("ca.pem"));
        let proof =
            format!("cert = \"{own}\"\nkey = \"{key}\"\nca = \"{ca}\"\nid = \"{id}\"\npeer_id = \"{peer_id}\"\n");
        config(site, peer, start).replace(&format!("psk = \"{KEY}\"\n"), &proof)
    }
}

#[test]
fn a_tunnel_ends_when_the_certificate_of_its_peer_is_revoked() {
    let mut world = World::new(22, Wire::GOOD);
    world.now.wall = jiff::Timestamp::now();
    let ca = crate::pki::make_ca("Test CA", crate::pki::KeyKind::EcdsaP256, super::now_unix()).unwrap();
    let names = ["a.example.org", "b.example.org"];
    let [a, b] = names.map(|name| Papers::issue(&ca, name));
    world.start(&[A], &a.config("b", B, names, ALWAYS));
    world.start(&[B], &b.config("a", A, [names[1], names[0]], PASSIVE));
    assert!(world.run_until(5.0, both_up), "{:?}", world.site(0, "b"));
    let list = |revoked: &[&crate::pki::Issued]| {
        let day = std::time::Duration::from_secs(86_400);
        vec![crate::pki::testing::revocation_list(&ca, revoked, super::now_unix(), day)].into()
    };
    for lists in [list(&[&a.own]), Vec::new().into()] {
        let now = world.now;
        world.nodes[0].gateway.set_revocation_lists(now, lists);
        world.run(100.0);
        assert!(both_up(&world), "it is not the peer's, or there is no list");
    }
    let now = world.now;
    world.nodes[0].gateway.set_revocation_lists(now, list(&[&b.own]));
    assert!(!world.is_up(0, "b"), "at once");
    world.run(0.2);
    let error = world.site(0, "b").last_error.unwrap();
    assert!(error.contains("was revoked at "), "{error}");
    world.run(120.0);
    let site = world.site(0, "b");
    assert!(site.state == SiteState::Down && site.attempts > 1, "it is tried again: {site:?}");
    assert!(site.last_error.as_ref().is_some_and(|error| error.contains("was revoked at ")), "{site:?}");
    assert!(!world.is_up(1, "a"));
    let now = world.now;
    world.nodes[0].gateway.set_revocation_lists(now, list(&[]));
    assert!(world.run_until(600.0, both_up), "{:?}", world.site(0, "b"));
}
