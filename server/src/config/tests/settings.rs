//! What a good file becomes.

use std::time::Duration;

use super::{Machine, machine, remote};
use crate::auth::nt_hash::NtHash;
use crate::config::{Legacy, LogFormat, Nat, Policy, PppAuth, Protocol, PskSelector, Secret, VendorIds};

#[test]
fn three_keys_are_enough_and_the_rest_has_defaults() {
    let settings = machine().settings(&remote(""));
    let remote = settings.remote.unwrap();
    assert_eq!((remote.name.as_str(), remote.id.as_str()), ("vpn.example.org", "vpn.example.org"));
    assert_eq!(remote.protocols, [Protocol::Ikev2]);
    assert_eq!(remote.policy, [Policy::Compatible]);
    assert_eq!(remote.nat, Nat::Masquerade);
    assert_eq!(remote.liveness, Some(Duration::from_secs(30)));
    assert_eq!((remote.replay_window, remote.mtu), (1024, None));
    assert!(remote.rsa_sha1 && !remote.force_udp_encap && !remote.client_to_client);
    assert!(remote.listen.is_empty() && remote.dns.is_empty() && remote.routes.is_empty());
    assert_eq!(remote.psks.len(), 1);
    assert_eq!(remote.psks[0].secret.expose(), b"a-pre-shared-key-in-a-file", "without its line end");
    assert_eq!(settings.daemon.interface, "cygnet0");
    assert_eq!(settings.daemon.control_socket.to_str(), Some("/run/cygnet/control.sock"));
    assert_eq!((settings.logging.filter.as_str(), settings.logging.format), ("info", LogFormat::Text));
    assert!(settings.users.is_empty() && settings.warnings.is_empty());
    let legacy = Legacy {
        ppp_auth: vec![PppAuth::MsChapV2, PppAuth::Eap],
        l2tp_tunnels: 1,
        l2tp_sessions: 1,
        aggressive: false,
        vendor_ids: VendorIds::Needed,
        sha256_96: false,
    };
    assert!(remote.legacy == legacy && remote.nbns.is_empty());
}

#[test]
fn sessions_and_proofs_have_their_keys() {
    use crate::config::{EapMethod, Lifetimes, Unique};
    let machine = machine();
    let settings = machine.settings(&remote(""));
    let defaults = settings.remote.unwrap();
    let hours = |n: u64| Some(Duration::from_secs(n * 3600));
    assert_eq!(defaults.lifetimes, Lifetimes { child: hours(8), ike: hours(24), bytes: None, packets: None });
    assert_eq!((defaults.unique, defaults.mobike, defaults.reauthentication), (Unique::Keep, true, None));
    assert!(defaults.eap.is_empty() && !defaults.eap_only && defaults.ppks.is_empty() && !defaults.ppk_required);
    let settings = machine.settings(&remote(
        "unique = \"never\"\nmobike = false\nreauth = \"12h\"\nchild_lifetime = false\nike_lifetime = 7200\nppk_required = true\n\
         [ppk]\nalice = \"0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"\n[users]\nbob = \"x\"\n",
    ));
    let given = settings.remote.unwrap();
    assert_eq!((given.unique, given.mobike, given.reauthentication), (Unique::Never, false, hours(12)));
    assert_eq!((given.lifetimes.child, given.lifetimes.ike), (None, hours(2)));
    assert_eq!(given.eap, [EapMethod::MsChapV2]);
    assert!(given.ppk_required && given.ppks[0].id == "alice" && given.ppks[0].secret.expose().len() == 32);
}

#[test]
fn every_key_has_its_effect() {
    let machine = machine();
    let settings = machine.settings(&remote(
        "protocols = [\"ikev2\"]\nid = \"gw@example.org\"\nlisten = [\"192.0.2.1\", \"2001:db8::1\"]\ndns = \"10.20.0.1\"\n\
         dns_domains = [\"corp.example\"]\nroutes = [\"10.0.0.0/8\", \"192.0.2.9\"]\nnat = false\n\
         policy = [\"modern\", \"legacy-android\"]\nike = \"aes256gcm16-prfsha384-ecp384\"\nesp = [\"aes256gcm16\"]\n\
         force_udp_encap = true\nclient_to_client = true\nrsa_sha1 = false\nliveness = \"1m30s\"\nreplay_window = 2048\n\
         mtu = 1400\n[daemon]\nstate_dir = \"state\"\nsocket = \"c.sock\"\nusers_file = \"/none/u.toml\"\ninterface = \"tun7\"\n\
         workers = 2\n[log]\nlevel = \"debug,cygnet_ike=trace\"\nformat = \"json\"\n",
    ));
    let remote = settings.remote.unwrap();
    assert_eq!(remote.id, "gw@example.org");
    assert_eq!(remote.listen.len(), 2);
    assert_eq!(remote.dns, ["10.20.0.1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(remote.dns_domains, ["corp.example"]);
    assert_eq!(remote.routes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "192.0.2.9/32"]);
    assert_eq!(remote.nat, Nat::Off);
    assert_eq!(remote.policy, [Policy::Modern, Policy::LegacyAndroid]);
    assert_eq!(remote.proposals.ike, ["aes256gcm16-prfsha384-ecp384"]);
    assert_eq!(remote.proposals.esp, ["aes256gcm16"]);
    assert!(remote.force_udp_encap && remote.client_to_client && !remote.rsa_sha1);
    assert_eq!(remote.liveness, Some(Duration::from_secs(90)));
    assert_eq!((remote.replay_window, remote.mtu), (2048, Some(1400)));
    let daemon = settings.daemon;
    assert_eq!((daemon.state_dir, daemon.control_socket), (machine.path("state"), machine.path("c.sock")));
    assert_eq!((daemon.users_file.to_str(), daemon.interface.as_str()), (Some("/none/u.toml"), "tun7"));
    assert_eq!(daemon.workers, Some(2));
    assert_eq!(
        (settings.logging.filter.as_str(), settings.logging.format),
        ("debug,cygnet_ike=trace", LogFormat::Json)
    );
}

#[test]
fn liveness_can_be_switched_off() {
    for off in ["0", "false", "\"0s\""] {
        let settings = machine().settings(&remote(&format!("liveness = {off}\n")));
        assert_eq!(settings.remote.unwrap().liveness, None, "{off}");
    }
}

#[test]
fn keys_of_single_clients_stand_beside_the_one_for_all() {
    let settings = machine().settings(&remote(
        "[psk]\n\"192.0.2.7\" = \"key-of-an-address-0123456789\"\n\"2001:db8::/32\" = \"env:CYGNET_TEST_PSK\"\n\
         \"alice@example.org\" = \"key-of-alice-0123456789\"\n",
    ));
    let psks = settings.remote.unwrap().psks;
    let selectors: Vec<_> = psks.iter().map(|p| p.selector.clone()).collect();
    for expected in [
        PskSelector::Any,
        PskSelector::Network("192.0.2.7/32".parse().unwrap()),
        PskSelector::Network("2001:db8::/32".parse().unwrap()),
        PskSelector::Identity("alice@example.org".into()),
    ] {
        assert!(selectors.contains(&expected), "{expected:?}");
    }
    assert!(psks.iter().any(|p| p.secret.expose() == b"a-pre-shared-key-from-the-environment"));
}

#[test]
fn a_systemd_credential_is_a_secret_like_any_other() {
    let mut machine = machine();
    machine.surroundings.credentials = Some(machine.directory.path().to_owned());
    let settings = machine.settings(&remote("").replace("file:psk", "cred:psk"));
    assert_eq!(settings.remote.unwrap().psks[0].secret.expose(), b"a-pre-shared-key-in-a-file");
}

#[test]
fn users_come_from_the_configuration_and_from_the_users_file() {
    let machine = machine();
    machine
        .write("users.toml", "[users]\ncarol = { nt_hash = \"8846f7eaee8fb117ad06bdd830b7586c\", disabled = true }\n");
    machine.write("bob.secret", "hunter2\n");
    let settings = machine.settings(&remote(
        "[users]\nalice = \"correct horse\"\n\
         [users.bob]\npassword = \"file:bob.secret\"\naddress = [\"10.20.0.9\"]\nexpires = 2027-01-31\ndevices = 2\n",
    ));
    let [alice, bob, carol] = settings.users.as_slice() else { panic!("three users") };
    assert_eq!(alice.password.as_ref().map(Secret::expose), Some(&b"correct horse"[..]));
    assert_eq!(bob.password.as_ref().map(Secret::expose), Some(&b"hunter2"[..]));
    assert!(carol.password.is_none(), "only its hash is known");
    assert!(alice.name == "alice" && alice.nt_hash.ct_eq(&NtHash::of_password("correct horse")));
    assert!(bob.nt_hash.ct_eq(&NtHash::of_password("hunter2")));
    assert_eq!(bob.ipv4, Some("10.20.0.9".parse().unwrap()));
    assert_eq!((bob.ipv6, bob.devices, bob.disabled), (None, Some(2), false));
    assert_eq!(bob.expires, Some("2027-02-01T00:00:00Z".parse().unwrap()), "the day itself still works");
    assert!(carol.disabled && carol.nt_hash.ct_eq(&NtHash::of_password("password")));
}

#[test]
fn an_expiry_may_be_a_moment() {
    let settings =
        machine().settings(&remote("[users]\na = { password = \"x\", expires = 2027-01-31T18:00:00+01:00 }\n"));
    assert_eq!(settings.users[0].expires, Some("2027-01-31T17:00:00Z".parse().unwrap()));
}

#[test]
fn warnings_are_single_lines_for_the_log() {
    let machine = Machine::new();
    let settings = machine.settings(&remote("").replace("file:psk", "short"));
    let [warning] = settings.warnings.as_slice() else { panic!("one warning") };
    assert!(warning.contains("cygnet.toml:4:7: this pre-shared key has only 5 characters; whoever"), "{warning}");
    assert!(!warning.contains("short"), "{warning}");
}

#[test]
fn paths_are_found_even_in_a_broken_file() {
    let machine = Machine::new();
    machine.write("cygnet.toml", "[daemon]\nsocket = \"my.sock\"\nworkers = \"many\"\n");
    let path = machine.path("cygnet.toml");
    assert_eq!(crate::config::control_socket(&path), machine.path("my.sock"));
    assert_eq!(crate::config::users_file(&path), machine.path("users.toml"));
    let none = machine.path("none.toml");
    assert_eq!(crate::config::control_socket(&none).to_str(), Some("/run/cygnet/control.sock"));
}
