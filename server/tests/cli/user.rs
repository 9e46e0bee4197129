//! `cygnet user`, without a daemon and with one.

use cygnet_server::auth::nt_hash::NtHash;
use cygnet_server::config::{self, Surroundings};

use super::{Site, mode};

fn users(site: &Site) -> Vec<config::User> {
    let surroundings = Surroundings::of_this_machine("2026-11-21T12:00:00Z".parse().unwrap());
    config::load(&site.path("cygnet.toml"), &surroundings).unwrap().users
}

#[test]
fn a_user_is_added_changed_locked_and_removed() {
    let site = Site::configured();
    let run = site
        .run_with_input(
            &[
                "user",
                "add",
                "alice",
                "--password-stdin",
                "--address",
                "10.83.20.9",
                "--expires",
                "2027-01-31",
                "--devices",
                "2",
            ],
            "correct horse\n",
        )
        .ok();
    assert_eq!(run.out, "alice added\n");
    assert!(run.err.contains("cygnet is not running; it will read this when it starts"), "{run:?}");
    assert_eq!(mode(&site.path("users.toml")), 0o600);
    let text = std::fs::read_to_string(site.path("users.toml")).unwrap();
    assert!(!text.contains("correct horse"), "no password is stored");
    let found = users(&site);
    assert!(found[0].nt_hash.ct_eq(&NtHash::of_password("correct horse")));
    assert_eq!((found[0].ipv4, found[0].devices), (Some("10.83.20.9".parse().unwrap()), Some(2)));

    let list = site.run(&["user", "list"]).ok().out;
    assert!(
        list.starts_with(
            "USER   STATE  ADDRESS     DEVICES  EXPIRES\nalice  ok     10.83.20.9  2        2027-02-01 00:00 UTC\n"
        ),
        "{list}"
    );

    site.run_with_input(&["user", "passwd", "ALICE", "--password-stdin"], "battery staple\n").ok();
    assert!(users(&site)[0].nt_hash.ct_eq(&NtHash::of_password("battery staple")));
    site.run(&["user", "disable", "alice"]).ok();
    assert!(users(&site)[0].disabled);
    assert_eq!(site.run(&["user", "list", "--json"]).ok().json()[0]["state"], "disabled");
    site.run(&["user", "enable", "alice"]).ok();
    assert!(!users(&site)[0].disabled);
    assert_eq!(site.run(&["user", "del", "alice"]).ok().out, "alice removed\n");
    assert!(users(&site).is_empty());
    assert!(site.run(&["user", "list"]).ok().out.contains("there are no users"));
}

#[test]
fn a_generated_password_is_told_once() {
    let site = Site::configured();
    let json = site.run(&["user", "add", "bob", "--generate", "--json"]).ok().json();
    let password = json["password"].as_str().unwrap();
    assert_eq!((password.len(), json["action"].as_str(), json["live"].as_bool()), (23, Some("added"), Some(false)));
    assert!(users(&site)[0].nt_hash.ct_eq(&NtHash::of_password(password)));
    let run = site.run(&["user", "passwd", "bob", "--generate"]).ok();
    assert!(run.out.starts_with("bob changed\npassword: "), "{run:?}");
}

#[test]
fn what_cannot_be_done_is_told_and_changes_nothing() {
    let site = Site::configured();
    site.run(&["user", "add", "alice", "--generate", "--address", "10.83.20.9"]).ok();
    let before = std::fs::read_to_string(site.path("users.toml")).unwrap();
    for (arguments, code, part) in [
        (&["user", "add", "Alice", "--generate"][..], 1, "Alice exists already"),
        (&["user", "add", "bob", "--generate", "--address", "10.83.20.9"], 1, "alice and bob have the same address"),
        (&["user", "add", "bob", "--generate", "--address", "10.9.9.9"], 1, "10.9.9.9 is in no pool"),
        (&["user", "add", "a\\b", "--generate"], 2, "a user cannot be called"),
        (&["user", "add", "bob"], 2, "there is no terminal to ask for a password"),
        (&["user", "add", "bob", "--password-stdin"], 1, "end of file"),
        (&["user", "del", "carol"], 1, "there is no user carol"),
        (&["user", "passwd", "carol", "--generate"], 1, "there is no user carol"),
    ] {
        let run = site.run(arguments);
        assert!(run.code == Some(code) && run.err.contains(part), "{arguments:?} {run:?}");
    }
    assert_eq!(std::fs::read_to_string(site.path("users.toml")).unwrap(), before);
}

#[test]
fn a_user_of_the_configuration_stays_there() {
    let site = Site::configured();
    let text = std::fs::read_to_string(site.path("cygnet.toml")).unwrap();
    site.write("cygnet.toml", &format!("{text}[users]\nalice = \"x\"\n"));
    let run = site.run(&["user", "del", "alice"]);
    assert!(run.code == Some(1) && run.err.contains("alice stands in"), "{run:?}");
    let run = site.run(&["user", "add", "alice", "--generate"]);
    assert!(run.code == Some(1) && run.err.contains("the user \"alice\" exists twice"), "{run:?}");
    assert!(!site.path("users.toml").exists(), "the new file is taken back");
}
