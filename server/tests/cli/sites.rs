//! Commands about sites: up, down, rekey, the table of status, and the configuration for the other end.

use super::Site;
use super::daemon::Daemon;

/// A gateway with one site and `more`.
fn configured(more: &str) -> Site {
    let site = Site::new();
    site.write(
        "cygnet.toml",
        &format!(
            "[site.berlin]\npeer = \"198.51.100.7\"\npsk = \"0123456789-0123456789\"\nlocal_address = \"203.0.113.1\"\n\
             local = [\"10.1.0.0/16\", \"10.3.0.1 tcp/443\"]\nremote = \"10.2.0.0/16\"\n{more}\n[daemon]\nsocket = \"control.sock\"\n"
        ),
    );
    site
}

#[test]
fn up_and_down_wait_and_say_how_it_ended() {
    let site = Site::configured();
    let daemon = Daemon::start(&site);
    let up = "berlin is up with 198.51.100.7:4500 nat, aes-gcm-256: 10.1.0.0/16 === 10.2.0.0/16\n";
    assert_eq!(site.run(&["up", "berlin"]).ok().out, up);
    assert_eq!(site.run(&["up", "berlin", "berlin"]).ok().out, up);
    assert_eq!(site.run(&["up", "berlin", "--json"]).ok().json()["state"], "UP");
    let run = site.run(&["up", "berlin", "voice"]);
    assert!(run.code == Some(1) && run.err.contains("berlin has no child voice"), "{run:?}");
    let run = site.run(&["down", "lyon"]);
    assert!(run.code == Some(1) && run.err.contains("there is no site lyon"), "{run:?}");
    let down = "berlin is down, whoever calls, until `cygnet up berlin`\n";
    assert_eq!(site.run(&["down", "berlin"]).ok().out, down);
    drop(daemon);
}

#[test]
fn rekey_says_what_gets_new_keys() {
    let site = Site::configured();
    let daemon = Daemon::start(&site);
    assert_eq!(site.run(&["rekey", "berlin"]).ok().out, "berlin is getting new keys: 2 child SAs\n");
    assert_eq!(site.run(&["rekey", "berlin", "--ike"]).ok().out, "berlin is getting new keys: 1 IKE SA\n");
    assert_eq!(site.run(&["rekey", "berlin", "--json"]).ok().json()["child_sas"], 2);
    assert_eq!(site.run(&["rekey", "lyon"]).code, Some(1));
    drop(daemon);
}

#[test]
fn status_shows_sites_below_clients() {
    let site = Site::configured();
    let daemon = Daemon::start(&site);
    let table = site.run(&["status"]).ok().out;
    assert!(table.contains("\n\nSITE    STATE  PEER"), "{table}");
    assert!(table.contains("\nberlin  up     198.51.100.7:4500 nat  10.1.0.0/16 === 10.2.0.0/16"), "{table}");
    assert!(table.contains("1 of 1 site up"), "{table}");
    let only = site.run(&["status", "berlin", "--no-header"]).ok().out;
    assert!(only.starts_with("berlin  up") && only.lines().count() == 1, "{only}");
    let json = site.run(&["status", "--json"]).ok().json();
    assert_eq!((json["sites"][0]["name"].as_str(), json["sites"][0]["state"].as_str()), (Some("berlin"), Some("UP")));
    drop(daemon);
}

#[test]
fn explain_knows_a_site_that_has_no_trouble() {
    let site = Site::configured();
    let daemon = Daemon::start(&site);
    let text = site.run(&["explain", "berlin"]).ok().out;
    assert_eq!(text, "berlin is up, and nothing has gone wrong since the gateway started\n");
    drop(daemon);
}

#[test]
fn check_names_the_sites() {
    let site = configured("");
    let run = site.run(&["check"]).ok();
    assert!(
        run.out.ends_with("cygnet.toml is fine: 1 site: berlin (10.1.0.0/16 10.3.0.1 tcp/443 === 10.2.0.0/16)\n"),
        "{run:?}"
    );
}

#[test]
fn the_other_end_for_strongswan_mirrors_ours() {
    let site = configured("id = \"gw.example.org\"\npeer_id = \"berlin.example.org\"\nrekey_bytes = \"1G\"\n");
    let text = site.run(&["site", "export", "berlin", "--for", "strongswan"]).ok().out;
    for line in [
        "    remote_addrs = 203.0.113.1",
        "    mobike = yes",
        "    dpd_delay = 30s",
        "    rekey_time = 4h",
        "    local {\n      auth = psk\n      id = \"berlin.example.org\"\n    }",
        "    remote {\n      auth = psk\n      id = \"gw.example.org\"\n    }",
        "      berlin {",
        "        local_ts = 10.2.0.0/16",
        "        remote_ts = 10.1.0.0/16, 10.3.0.1/32[6/443]",
        "        rekey_time = 1h",
        "        rekey_bytes = 1000000000",
        "        start_action = trap",
        "    id-1 = \"gw.example.org\"\n    id-2 = \"berlin.example.org\"\n    secret = \"0123456789-0123456789\"",
    ] {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
    let json = site.run(&["site", "export", "berlin", "--json"]).ok().json();
    assert_eq!((json["site"].as_str(), json["configuration"].as_str()), (Some("berlin"), Some(text.as_str())));
}

#[test]
fn the_other_end_for_others_mirrors_ours() {
    let site = configured("");
    let text = site.run(&["site", "export", "berlin", "--for", "libreswan"]).ok().out;
    for line in [
        "    leftid=198.51.100.7",
        "    right=203.0.113.1",
        "    rightid=203.0.113.1",
        "    leftsubnet=10.2.0.0/16",
        "conn cygnet-berlin-1\n",
        "    rightsubnet=10.1.0.0/16",
        "conn cygnet-berlin-2\n",
        "    leftprotoport=6/%any",
        "    rightprotoport=6/443\n    rightsubnet=10.3.0.1/32",
        "    auto=ondemand",
        "# 198.51.100.7 203.0.113.1 : PSK \"0123456789-0123456789\"",
    ] {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
    let text = site.run(&["site", "export", "berlin", "--for", "openiked", "--address", "vpn.example.org"]).ok().out;
    for line in
        ["from 10.2.0.0/16 to 10.1.0.0/16", "peer vpn.example.org", "lifetime 3600", "psk \"0123456789-0123456789\""]
    {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
}

#[test]
fn another_cygnet_accepts_what_is_exported_for_it_and_exports_the_first_one_again() {
    let site = configured(
        "ppk = { id = \"pq\", secret = \"0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\" }\n\
         [[site.berlin.child]]\nname = \"web\"\nremote = \"10.2.0.9 icmp/8\"\n[[site.berlin.child]]\nname = \"all\"\n",
    );
    let exported = site.run(&["site", "export", "berlin", "--for", "cygnet"]).ok().out;
    let other = Site::new();
    other.write("cygnet.toml", &exported);
    let check = other.run(&["check"]).ok().out;
    assert!(
        check.contains("cygnet (10.2.0.9 icmp/8 10.2.0.0/16 === 10.1.0.0/16 10.3.0.1 tcp/443)"),
        "{check}\n{exported}"
    );
    let back = other.run(&["site", "export", "cygnet", "--for", "cygnet", "--address", "198.51.100.7"]).ok().out;
    for line in [
        "peer = \"198.51.100.7\"",
        "local = [\"10.1.0.0/16\", \"10.3.0.1 tcp/443\"]",
        "remote = [\"10.2.0.9 icmp/8\"]",
        "name = \"web\"",
    ] {
        assert!(back.contains(line), "{line:?} is missing in\n{back}");
    }
}

#[test]
fn a_key_with_special_characters_is_exported_in_hexadecimal() {
    let site = Site::new();
    site.write(
        "cygnet.toml",
        "[site.x]\npeer = \"any\"\npeer_id = \"@x\"\npsk = 'a \"key\" with # and more'\nlocal_address = \"203.0.113.1\"\n\
         local = \"10.1.0.0/16\"\nremote = \"10.2.0.0/16\"\n",
    );
    let text = site.run(&["site", "export", "x"]).ok().out;
    assert!(text.contains("    secret = 0x6120226b6579222077697468202320616e64206d6f7265\n"), "{text}");
    assert!(text.contains("start_action = start"), "who cannot be called has to call\n{text}");
}

#[test]
fn an_export_of_a_site_that_is_not_there_names_those_that_are() {
    let site = configured("");
    let run = site.run(&["site", "export", "lyon"]);
    assert!(run.code == Some(1) && run.err.contains("there is no site lyon; there is berlin"), "{run:?}");
}
