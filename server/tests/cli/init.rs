//! `cygnet init`: what it writes is what the other commands accept.

use std::fs;

use cygnet_server::auth::nt_hash::NtHash;
use cygnet_server::config::{self, Protocol, Surroundings};

use super::{Site, mode};

const INIT: [&str; 6] = ["init", "--name", "vpn.example.org", "--user", "alice", "--dns"];

#[test]
fn a_first_configuration_works_and_is_told_once() {
    let site = Site::new();
    let run = site.run(&[&INIT[..], &["192.0.2.53"]].concat()).ok();
    for (file, expected) in [
        ("cygnet.toml", 0o600),
        ("psk", 0o600),
        ("users.toml", 0o600),
        ("pki/ca.pem", 0o644),
        ("pki/ca-key.pem", 0o600),
        ("pki/server.pem", 0o644),
        ("pki/server-key.pem", 0o600),
    ] {
        assert_eq!(mode(&site.path(file)), expected, "{file}");
        assert!(run.out.contains(file), "{file}\n{}", run.out);
    }
    for device in ["Windows", "macOS", "iPhone", "Android", "Linux", "ChromeOS", "L2TP/IPsec", "IKEv2"] {
        assert!(run.out.contains(device), "{device}\n{}", run.out);
    }
    let value = |label: &str| {
        let line = run.out.lines().find(|line| line.trim_start().starts_with(label)).unwrap();
        line.split_whitespace().last().unwrap().to_owned()
    };
    let surroundings = Surroundings::of_this_machine(jiff::Timestamp::now());
    let settings = config::load(&site.path("cygnet.toml"), &surroundings).unwrap();
    assert!(settings.users[0].nt_hash.ct_eq(&NtHash::of_password(&value("password"))));
    let remote = settings.remote.as_ref().unwrap();
    assert_eq!(remote.psks[0].secret.expose(), value("pre-shared key").as_bytes());
    let ways = settings.client_authentication();
    assert!(ways.legacy_password && ways.password && !ways.certificate);
    assert!(!ways.psk, "all users know it: it lets nobody in by itself");
    assert_eq!(remote.protocols, [Protocol::L2tp, Protocol::Ikev2]);

    let again = site.run(&INIT[..5]);
    assert!(again.code == Some(1) && again.err.contains("there is a configuration already"), "{again:?}");
}

#[test]
fn json_has_everything_that_is_told_once() {
    let site = Site::new();
    let arguments = [
        "init",
        "--name",
        "192.0.2.1",
        "--user",
        "bob",
        "--password-stdin",
        "--json",
        "--pool",
        "10.99.0.0/24",
        "--protocol",
        "ikev2",
    ];
    let json = site.run_with_input(&arguments, "hunter2 hunter2\n").ok().json();
    assert_eq!((json["name"].as_str(), json["user"].as_str()), (Some("192.0.2.1"), Some("bob")));
    assert!(json["password"].is_null() && json["psk"].is_null(), "{json}");
    assert_eq!(json["protocols"], serde_json::json!(["ikev2"]));
    assert_eq!(json["files"].as_array().unwrap().len(), 6);
    assert!(fs::read_to_string(site.path("cygnet.toml")).unwrap().contains("pool = [\"10.99.0.0/24\"]"));
}

#[test]
fn without_a_terminal_what_is_missing_is_asked_for_by_name() {
    let site = Site::new();
    for (arguments, part) in [
        (&["init"][..], "--name is missing"),
        (&["init", "--name", "two words", "--psk"], "is neither a DNS name nor an IP address"),
        (&["init", "--name", "vpn.example.org"], "nobody could log in"),
        (&["init", "--name", "vpn.example.org", "--protocol", "l2tp"], "l2tp needs somebody with a password"),
    ] {
        let run = site.run(arguments);
        assert!(run.code == Some(2) && run.err.contains(part), "{run:?}");
    }
    assert_eq!(fs::read_dir(site.directory.path()).unwrap().count(), 0, "nothing is written");
}
