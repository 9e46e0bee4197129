//! The text of each message: place, reason, help.

use super::{Machine, machine, remote};

/// The report about one wrong key in `[remote]` is exactly `expected`; the key stands in line 5.
fn assert_remote(more: &str, expected: &str) {
    assert_eq!(machine().report(&remote(more)).trim_end(), expected.trim_matches('\n'), "{more}");
}

/// The report about `text` has all of `parts`.
fn assert_parts(machine: &Machine, text: &str, parts: &[&str]) {
    let report = machine.report(text);
    for part in parts {
        assert!(report.contains(part), "{part:?} is missing in\n{report}");
    }
}

#[test]
fn an_unknown_key_names_the_nearest_one() {
    assert_remote(
        "dsn = \"10.20.0.1\"\n",
        r#"
error: unknown key `dsn` in [remote]
 --> cygnet.toml:5:1
  |
5 | dsn = "*********"
  | ^^^
  |
help: did you mean `dns`?
"#,
    );
    assert_parts(&machine(), "[remotes]\n", &["error: unknown key `remotes`", "did you mean `remote`?"]);
    assert_parts(
        &machine(),
        &remote("[users]\na = { pasword = \"x\" }\n"),
        &["did you mean `password`?", "in [users.NAME]"],
    );
    assert_parts(&machine(), &remote("[daemon]\nbanana = 1\n"), &["known keys: state_dir, socket"]);
}

#[test]
fn what_comes_later_says_so() {
    let report = machine();
    assert_parts(
        &report,
        &remote("[group.staff]\n"),
        &["`group` is not supported yet", "will come with a later version"],
    );
    assert_parts(&report, &remote("[radius]\n"), &["`radius` is not supported yet", "users in RADIUS"]);
    assert_parts(&report, &remote("[users]\na = { password = \"x\", group = \"g\" }\n"), &["`group` in [users.NAME]"]);
    assert_parts(&report, &remote("nat = { except = [] }\n"), &["`remote.nat` as a table is not supported yet"]);
}

#[test]
fn ways_to_log_in_that_cannot_work_are_named() {
    for (more, parts) in [
        ("eap = \"tls\"\n", ["EAP-TLS needs to know whose certificates count", "add ca = \"FILE\""]),
        ("eap = \"mschapv2\"\n", ["nobody can log in by EAP-MSCHAPv2: there are no users", "`cygnet user add NAME`"]),
        ("eap = [\"tsl\"]\n", ["unknown EAP method \"tsl\"", "did you mean \"tls\"?"]),
        ("eap_only = true\n", ["`eap_only` needs EAP-TLS", "RFC 5998"]),
        ("ppk_required = true\n", ["post-quantum keys are required, but there is none", "add a table [ppk]"]),
        ("unique = \"one\"\n", ["unknown policy \"one\"", "\"replace\" or \"keep\" or \"never\""]),
        ("reauth = \"1s\"\n", ["`remote.reauth` is out of range", "or false for never"]),
        (
            "[ppk]\n\"alice\" = \"0x12\"\n",
            ["this post-quantum key is too short to help", "echo 0x$(openssl rand -hex 32)"],
        ),
    ] {
        assert_parts(&machine(), &remote(more), &parts);
    }
}

#[test]
fn several_mistakes_come_in_one_report() {
    assert_remote(
        "mtu = 100\nreplay_window = 100\npolicy = \"compatibel\"\nike = \"aes257-sha256-ecp256\"\nliveness = \"soon\"\n",
        r#"
error: `remote.mtu` is out of range
 --> cygnet.toml:5:7
  |
5 | mtu = 100
  |       ^^^ expected 1280 to 9000 bytes

error: `remote.replay_window` must be a multiple of 64
 --> cygnet.toml:6:17
  |
6 | replay_window = 100
  |                 ^^^
  |
help: the nearest are 64 and 128

error: unknown policy "compatibel"
 --> cygnet.toml:7:10
  |
7 | policy = "compatibel"
  |          ^^^^^^^^^^^^
  |
help: did you mean "compatible"?

error: "aes257-sha256-ecp256": unknown algorithm "aes257" (did you mean "aes256"?)
 --> cygnet.toml:8:7
  |
8 | ike = "aes257-sha256-ecp256"
  |       ^^^^^^^^^^^^^^^^^^^^^^
  |
help: write it like aes256gcm16-prfsha384-ecp384 or aes256-sha256-modp2048

error: `remote.liveness` is not a duration
 --> cygnet.toml:9:12
  |
9 | liveness = "soon"
  |            ^^^^^^ expected something like 30s or 1m30s
  |
help: the units are s, m, h and d: "90s", "1h30m", "1d"
"#,
    );
}

#[test]
fn wrong_types_and_values_are_named() {
    for (more, parts) in [
        ("nat = \"yes\"\n", ["`remote.nat` has the wrong type", "expected true or false, found a string"]),
        ("mtu = 1.5\n", ["`remote.mtu` has the wrong type", "expected a whole number, found a number with a point"]),
        ("dns = \"localhost\"\n", ["\"localhost\" is not an IP address", "cygnet.toml:5:7"]),
        ("routes = [\"10.0.0.1/8\"]\n", ["has bits behind its prefix", "help: the network is \"10.0.0.0/8\""]),
        ("routes = \"all\"\n", ["\"all\" is not a network", "expected something like \"10.20.0.0/24\""]),
        ("dns_domains = [\"a b\"]\n", ["\"a b\" is not a domain", "cygnet.toml:5:16"]),
        ("id = \"two words\"\n", ["is not an IKE identity: it is neither", "help: write an IP address"]),
        ("protocols = [\"pptp\"]\n", ["unknown protocol \"pptp\"", "known protocols: \"ikev2\", \"l2tp\", \"xauth\""]),
        ("protocols = []\n", ["`remote.protocols` is empty", "write [\"ikev2\"]"]),
        ("listen = 5\n", ["`remote.listen` has the wrong type", "expected a string, found a whole number"]),
        ("[daemon]\ninterface = \"a b\"\n", ["an interface cannot be called \"a b\"", "cygnet.toml:6:13"]),
        ("[daemon]\nworkers = 0\n", ["`daemon.workers` is out of range", "expected 1 to 64 threads"]),
        ("[log]\nlevel = \"loud\"\n", ["\"loud\" is not a log level", "error, warn, info, debug or trace"]),
        ("[log]\nformat = \"jsn\"\n", ["unknown log format \"jsn\"", "did you mean \"json\"?"]),
        ("[users]\n\"a\\\\b\" = \"x\"\n", ["a user cannot be called \"a\\b\"", "is ignored at login"]),
        ("[users]\na = { devices = 2 }\n", ["the user \"a\" has no password", "cygnet.toml:6:1"]),
        (
            "[users]\na = { password = \"x\", nt_hash = \"y\" }\n",
            ["the user \"a\" has two passwords", "keep `password` or"],
        ),
        ("[users]\na = { nt_hash = \"12\" }\n", ["this is not an NT hash", "32 hexadecimal digits"]),
        (
            "[users]\na = { password = \"x\", expires = \"soon\" }\n",
            ["has the wrong type", "a date such as 2027-01-31"],
        ),
        (
            "[users]\na = { password = \"x\", expires = 12:00:00 }\n",
            ["is not a point in time", "the last one that works"],
        ),
        ("[users]\na = { password = \"x\", devices = 0 }\n", ["is out of range", "expected 1 to 10000 sessions"]),
        ("[users]\nalice = \"\"\n", ["a secret must not be empty", "nothing here"]),
        (
            "[psk]\n\"two words\" = \"0123456789012345678901\"\n",
            ["\"two words\" in [psk] names nobody", "or a network such as"],
        ),
    ] {
        assert_parts(&machine(), &remote(more), &parts);
    }
}

#[test]
fn what_is_missing_is_asked_for() {
    assert_parts(
        &machine(),
        "",
        &["error: the configuration has neither [remote] nor a [site.NAME]", "`cygnet init` writes a [remote]"],
    );
    let report = machine().report("[remote]\n");
    let expected = r#"
error: [remote] has no `name`
 --> cygnet.toml:1:2
  |
1 | [remote]
  |  ^^^^^^
  |
help: add what users type into their device:  name = "vpn.example.org"

error: nobody can log in
 --> cygnet.toml:1:2
  |
1 | [remote]
  |  ^^^^^^ no usable way to log in
  |
help: add a pre-shared key (psk = "file:PATH"), or a certificate (cert, key) with [users] or a client authority (ca)

error: [remote] has no `pool`
 --> cygnet.toml:1:2
  |
1 | [remote]
  |  ^^^^^^ clients need an address
  |
help: add a network that nothing else uses:  pool = "10.20.0.0/24"
"#;
    assert_eq!(report.trim_end(), expected.trim_matches('\n'));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let machine = Machine::new();
    let check = crate::config::check(&machine.path("none.toml"), &machine.surroundings, false);
    assert!(check.report.contains("none.toml: no such file or directory"), "{}", check.report);
    assert!(check.report.contains("help: make one with `cygnet init`, or name it with --config"), "{}", check.report);
    std::fs::write(machine.path("cygnet.toml"), b"[remote]\nname = \"\xff\"\n").unwrap();
    let check = crate::config::check(&machine.path("cygnet.toml"), &machine.surroundings, false);
    assert!(check.report.contains("is not UTF-8 (line 2)"), "{}", check.report);
}

#[test]
fn a_syntax_error_shows_its_place_and_hides_the_secret_beside_it() {
    let report = Machine::new().report("[remote]\npsk = \"open sesame\nname = \"x\"\n");
    let expected = r#"
error: this is not TOML: invalid basic string, expected `"`
 --> cygnet.toml:2:19
  |
2 | psk = "***********
  |                   ^
"#;
    assert_eq!(report.trim_end(), expected.trim_matches('\n'));
    let report = Machine::new().report("[users]\nalice = correct horse\n");
    assert!(report.contains("cygnet.toml:2") && !report.contains("horse"), "{report}");
}

#[test]
fn a_secret_that_everybody_can_read_is_refused_with_the_cure() {
    let machine = machine();
    machine.write_with_mode("psk", "a-pre-shared-key-in-a-file", 0o644);
    let path = machine.directory.path().display().to_string();
    let report = machine.check(&remote("")).report.replace(&path, "DIR");
    assert!(report.contains("error: DIR/psk holds a secret and is open to everybody (mode 0644)"), "{report}");
    assert!(report.contains("help: chmod 0640 DIR/psk"), "{report}");
    assert!(report.contains("cygnet.toml:4:7"), "{report}");

    let text = remote("").replace("file:psk", "written-out-0123456789");
    machine.write_with_mode("open.toml", &text, 0o604);
    let check = crate::config::check(&machine.path("open.toml"), &machine.surroundings, false);
    let report = check.report.replace(&path, "DIR");
    assert!(report.contains("error: DIR/open.toml holds a secret and is open to everybody (mode 0604)"), "{report}");
    assert!(report.contains("^^^^ this is a secret") && report.contains("help: chmod 0600 DIR/open.toml"), "{report}");
    assert!(!report.contains("written-out"), "{report}");
    machine.write_with_mode("open.toml", &remote(""), 0o644);
    machine.write("psk", "a-pre-shared-key-in-a-file");
    assert_eq!(
        crate::config::check(&machine.path("open.toml"), &machine.surroundings, false).errors,
        0,
        "no secret in it"
    );
}

#[test]
fn secrets_that_are_not_there_are_named() {
    let machine = Machine::new();
    for (value, parts) in [
        ("file:none", ["/none: no such file or directory", "relative to the configuration file"]),
        ("env:NONE", ["the environment variable NONE is not set", "set NONE for the daemon"]),
        ("cred:none", ["no systemd credentials to take \"none\" from", "LoadCredential=none:PATH"]),
    ] {
        let report = machine.check(&remote("").replace("file:psk", value)).report;
        assert!(parts.iter().all(|part| report.contains(part)), "{report}");
    }
}

#[test]
fn two_places_are_shown_when_two_keys_disagree() {
    assert_remote(
        "[users]\nalice = \"a\"\nALICE = \"b\"\n",
        r#"
error: the user "ALICE" exists twice
 --> cygnet.toml:7:1
  |
6 | alice = "*"
  | ----- first entry
7 | ALICE = "*"
  | ^^^^^ second entry
  |
help: remove one of them; capital letters make no difference

warning: users cannot log in without a certificate of the gateway
 --> cygnet.toml:6:1
  |
6 | alice = "*"
  | ^^^^^ a user with a password
  |
help: passwords travel by EAP: add `cert` and `key` to [remote], or remove the users
"#,
    );
}

#[test]
fn a_user_in_both_files_is_shown_in_both() {
    let machine = machine();
    machine.write("users.toml", "[users]\nalice = \"b\"\n");
    let text = remote("[users]\nalice = \"a\"\n");
    let report = machine.report(&text);
    assert!(report.contains("--> users.toml:2:1") && report.contains("::: cygnet.toml:6:1"), "{report}");
}

#[test]
fn pools_are_checked_against_everything() {
    let with_pool = |pool: &str, more: &str| remote(more).replace("\"10.20.0.0/24\"", pool);
    for (pool, more, parts) in [
        (
            "[\"10.20.0.0/24\", \"10.20.0.128/25\"]",
            "",
            ["the pools 10.20.0.0/24 and 10.20.0.128/25 overlap", "first pool"],
        ),
        ("\"10.20.0.0/31\"", "", ["the pool 10.20.0.0/31 is too small", "/30 is the smallest"]),
        ("\"fd00::/127\"", "", ["the pool fd00::/127 is too small", "/126 is the smallest"]),
        ("\"224.0.0.0/8\"", "", ["clients cannot have addresses of 224.0.0.0/8", "cygnet.toml:3:8"]),
        ("\"192.168.1.0/24\"", "", ["warning: the pool 192.168.1.0/24 overlaps", "the network of many homes"]),
        ("\"10.77.3.0/24\"", "", ["warning: the pool 10.77.3.0/24 overlaps 10.77.0.0/16 at eth1", "does not know yet"]),
        (
            "\"10.20.0.0/24\"",
            "routes = \"10.20.0.0/28\"\n",
            ["the route 10.20.0.0/28 lies in the pool", "client_to_client"],
        ),
        (
            "\"10.20.0.0/24\"",
            "routes = \"fd00::/8\"\n",
            ["no client can use the route fd00::/8", "there is no IPv6 pool"],
        ),
        ("\"10.20.0.0/24\"", "dns_domains = \"a.example\"\n", ["`dns_domains` has no effect", "add dns ="]),
        (
            "\"10.20.0.0/30\"",
            "[users]\na = \"x\"\nb = \"x\"\n",
            ["there are 2 users but only 1 addresses", "larger pool"],
        ),
    ] {
        assert_parts(&machine(), &with_pool(pool, more), &parts);
    }
    let own = Machine {
        surroundings: crate::config::Surroundings {
            networks: vec![("cygnet0".into(), "10.20.0.0/24".parse().unwrap())],
            ..machine().surroundings
        },
        ..machine()
    };
    assert_eq!(own.report(&remote("")), "", "our own interface does not count");
    assert_eq!(machine().report(&remote("routes = \"10.0.0.0/8\"\n")), "", "a route may hold the pool");
}

#[test]
fn fixed_addresses_must_be_free_and_in_a_pool() {
    let with = |a: &str, b: &str| {
        remote(&format!(
            "[users]\na = {{ password = \"x\", address = {a} }}\nb = {{ password = \"x\", address = {b} }}\n"
        ))
    };
    for (a, b, parts) in [
        ("\"10.20.0.9\"", "\"10.20.0.9\"", ["a and b have the same address", "first here"]),
        ("\"10.21.0.9\"", "\"10.20.0.9\"", ["10.21.0.9 is in no pool", "take an address of 10.20.0.0/24"]),
        ("\"10.20.0.1\"", "\"10.20.0.9\"", ["10.20.0.1 is the gateway's own address in 10.20.0.0/24", "take another"]),
        ("\"10.20.0.0\"", "\"10.20.0.9\"", ["10.20.0.0 is the address of the network", "take another"]),
        ("\"10.20.0.255\"", "\"10.20.0.9\"", ["10.20.0.255 is the broadcast address", "take another"]),
        ("[\"10.20.0.8\", \"10.20.0.7\"]", "\"10.20.0.9\"", ["one address per family", "second"]),
        ("\"nine\"", "\"10.20.0.9\"", ["\"nine\" is not an IP address", "cygnet.toml:6:33"]),
    ] {
        assert_parts(&machine(), &with(a, b), &parts);
    }
}

#[test]
fn two_keys_for_one_client_are_refused() {
    let text =
        remote("[psk]\n\"192.0.2.7\" = \"0123456789012345678901\"\n\"192.0.2.7/32\" = \"0123456789012345678901\"\n");
    assert_parts(&machine(), &text, &["two pre-shared keys for \"192.0.2.7", "first key", "second key"]);
    let text = remote("[psk]\n\"@GW\" = \"0123456789012345678901\"\n\"gw\" = \"0123456789012345678901\"\n");
    assert_parts(&machine(), &text, &["two pre-shared keys for"]);
    let text = "[remote]\nname = \"a.example\"\npool = \"10.20.0.0/24\"\n[remote.psk]\nx = \"y\"\n";
    assert_parts(&machine(), text, &["`remote.psk` has the wrong type", "in a table of their own, [psk]"]);
}

#[test]
fn colours_are_for_terminals_only() {
    let machine = machine();
    machine.write("cygnet.toml", "[remotes]\n");
    let path = machine.path("cygnet.toml");
    assert!(crate::config::check(&path, &machine.surroundings, true).report.contains("\u{1b}["));
    assert!(!crate::config::check(&path, &machine.surroundings, false).report.contains('\u{1b}'));
}

#[test]
fn help_about_algorithms_fits_the_mistake() {
    for (text, help) in [
        ("ike = \"3des-sha1-modp1024\"", "help: there are ciphers aes256gcm16"),
        (
            "ike = \"aes256-sha256-modp2048, aes128-sha1-ecp256\"",
            "ike = [\"aes256-sha256-modp2048\", \"aes128-sha1-ecp256\"]",
        ),
        ("esp = \"default\"", "help: leave `esp` out"),
        ("esp = \"aes256\"", "help: write it like aes256gcm16 or aes256-sha256-modp2048\n"),
    ] {
        let report = machine().report(&remote(text));
        assert!(report.contains(help), "{text}\n{report}");
    }
}

#[test]
fn a_secret_that_is_a_file_without_the_word_is_suspected() {
    let machine = machine();
    let inside = machine.path("not-there.psk").display().to_string();
    for name in ["psk", inside.as_str()] {
        let report = machine.report(&remote("").replace("file:psk", name));
        assert!(report.contains("this secret looks like the name of a file"), "{name}\n{report}");
        assert!(!report.contains(&format!("\"{name}\"")), "secrets are not shown\n{report}");
    }
    for key in ["/9pqVb8sJ0zVtLq3kXn5Rw2Tg7Hd9PmCf4a", "/vbJ8/q3kXn5Rw2Tg7Hd9PmCf4a=", "no-file-of-this-name-at-all"] {
        let report = machine.report(&remote("").replace("file:psk", key));
        assert!(!report.contains("looks like"), "{key}\n{report}");
    }
}
