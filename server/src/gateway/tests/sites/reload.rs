//! New settings under tunnels that are up: what they disturb, and what not.

use super::*;

const OTHER_KEY: &str = "quite another key, agreed upon meanwhile";

#[test]
fn what_does_not_concern_the_tunnel_leaves_it_alone() {
    let mut world = two(30, Wire::GOOD, [ALWAYS, PASSIVE]);
    assert!(world.run_until(5.0, both_up));
    let session = world.site(0, "b").session;
    for (more, told) in [
        (DEMAND, "its tunnel goes on"),
        ("routes = false", "its tunnel goes on"),
        ("liveness = \"7s\"\nchild_lifetime = \"2h\"", "goes on, with liveness and lifetimes as before"),
    ] {
        let changes = world.reload(0, &config("b", B, more));
        assert!(changes.len() == 1 && changes[0].contains(told), "{changes:?}");
        world.run(5.0);
        assert!(both_up(&world) && world.ping(0, 1) && world.ping(1, 0), "{more}");
        assert_eq!((world.site(0, "b").session, world.sessions(0)), (session, 1), "{more}");
    }
    world.reload(0, &config("b", B, PASSIVE));
    assert_eq!(world.nodes[0].traps, 0, "no packet begins a tunnel any more");
    world.reload(0, &config("b", B, ALWAYS));
    assert_eq!(world.nodes[0].traps, 1);
}

#[test]
fn a_new_key_is_agreed_upon_without_a_lost_packet() {
    let mut world = two(31, Wire::GOOD, [ALWAYS, PASSIVE]);
    assert!(world.run_until(5.0, both_up));
    let first = world.site(0, "b").session;
    let told = world.reload(0, &config("b", B, ALWAYS).replace(KEY, OTHER_KEY));
    assert!(told[0].contains("takes the place of the old one"), "{told:?}");
    for _ in 0..300 {
        world.run(0.1);
        assert!(world.ping(0, 1) && world.ping(1, 0));
    }
    assert_eq!(world.site(0, "b").session, first, "the other end does not know the key yet");

    let told = world.reload(1, &config("a", A, PASSIVE).replace(KEY, OTHER_KEY));
    assert!(told[0].contains("until the peer begins one"), "{told:?}");
    for _ in 0..1000 {
        world.run(0.1);
        assert!(world.ping(0, 1) && world.ping(1, 0));
    }
    assert_ne!(world.site(0, "b").session, first);
    assert_eq!((world.sessions(0), world.sessions(1), both_up(&world)), (1, 1, true));
}

#[test]
fn both_ends_change_their_terms_at_once() {
    for seed in 32..40 {
        let mut world = two(seed, Wire::GOOD, [ALWAYS, DEMAND]);
        assert!(world.run_until(5.0, both_up));
        let first = world.site(0, "b").session;
        world.reload(0, &config("b", B, ALWAYS).replace(KEY, OTHER_KEY));
        world.reload(1, &config("a", A, DEMAND).replace(KEY, OTHER_KEY));
        for _ in 0..1200 {
            world.run(0.1);
            assert!(world.ping(0, 1) && world.ping(1, 0), "seed {seed}");
        }
        assert_ne!(world.site(0, "b").session, first, "seed {seed}");
        assert_eq!((world.sessions(0), world.sessions(1), both_up(&world)), (1, 1, true), "seed {seed}");
    }
}

#[test]
fn an_attempt_with_the_old_key_gives_way_to_one_with_the_new_one() {
    let mut world = World::new(40, Wire::GOOD);
    world.start(&[A], &config("b", B, ALWAYS));
    world.start(&[B], &config("a", A, PASSIVE).replace(KEY, OTHER_KEY));
    world.run(100.0);
    assert!(!both_up(&world));
    world.reload(0, &config("b", B, ALWAYS).replace(KEY, OTHER_KEY));
    assert!(world.run_until(2.0, both_up), "at once, not after the pause");
}

#[test]
fn a_tunnel_to_other_networks_begins_anew_and_the_end_is_explained() {
    let mut world = two(41, Wire::GOOD, [ALWAYS, PASSIVE]);
    assert!(world.run_until(5.0, both_up));
    world.ping(0, 1);
    let told = world.reload(0, &config("b", B, ALWAYS).replace("10.2.0.0/16", "10.2.0.0/17"));
    assert_eq!(told, ["site b changed: its tunnel begins anew"]);
    world.reload(1, &config("a", A, PASSIVE).replace("10.2.0.0/16", "10.2.0.0/17"));
    assert!(world.run_until(10.0, both_up));
    world.run(5.0);
    assert_eq!(world.sessions(0), 1);
    let ends = |world: &World| world.headlines(0, "b").iter().filter(|text| text.starts_with("session ended")).count();
    assert!(world.headlines(0, "b").contains(&"session ended: its configuration changed".to_owned()));
    let before = ends(&world);
    let remote = format!("[remote]\nname = \"192.0.2.1\"\npool = \"10.83.20.0/24\"\npsk = \"{KEY}\"\n");
    assert_eq!(world.reload(0, &remote), ["site b removed", "[remote] added"]);
    world.run(5.0);
    assert!(world.headlines(0, "b").contains(&"session ended: it is no longer configured".to_owned()));
    assert_eq!(ends(&world), before + 1, "told once");
}
