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
    assert_eq!(run.err.matches("no child voice").count(), 1, "said once: {run:?}");
    let run = site.run(&["down", "lyon"]);
    assert!(run.code == Some(1) && run.err.contains("there is no site lyon"), "{run:?}");
    let down = "berlin is down until `cygnet up berlin`; its peer is not let in meanwhile\n";
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
    assert!(run.out.ends_with(": 1 site: berlin (10.1.0.0/16 10.3.0.1 tcp/443 === 10.2.0.0/16)\n"), "{run:?}");
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
        check.contains("berlin (10.2.0.9 icmp/8 10.2.0.0/16 === 10.1.0.0/16 10.3.0.1 tcp/443)"),
        "{check}\n{exported}"
    );
    let back = other.run(&["site", "export", "berlin", "--for", "cygnet", "--address", "198.51.100.7"]).ok().out;
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
    assert!(text.contains("    id-1 = \"203.0.113.1\"\n    id-2 = \"@x\"\n"), "not a key for everybody\n{text}");
    assert!(text.contains("start_action = start"), "who cannot be called has to call\n{text}");
}

#[test]
fn an_export_of_a_site_that_is_not_there_names_those_that_are() {
    let site = configured("");
    let run = site.run(&["site", "export", "lyon"]);
    assert!(run.code == Some(1) && run.err.contains("there is no site lyon; there is berlin"), "{run:?}");
}

/// Fails where `text` lacks one of `lines`.
fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "{line:?} is missing in\n{text}");
    }
}

/// A gateway with a route-based site; `networks` are its `local` and `remote`.
fn route_based(networks: &str) -> Site {
    let site = Site::new();
    site.write(
        "cygnet.toml",
        &format!(
            "[site.cloud]\npeer = \"198.51.100.7\"\npsk = \"0123456789-0123456789\"\nlocal_address = \"203.0.113.1\"\n\
             mode = \"interface\"\ninterface = \"vpn-cloud\"\n{networks}"
        ),
    );
    site
}

#[test]
fn a_route_based_site_is_exported_as_one_that_catches_nothing_by_itself() {
    let site = route_based("");
    let export = |program: &str| site.run(&["site", "export", "cloud", "--for", program]);
    let text = export("strongswan").ok().out;
    let number = text.split("if_id_in = ").nth(1).unwrap().lines().next().unwrap().to_owned();
    assert!(number.parse::<u32>().is_ok_and(|number| (1..65_536).contains(&number)), "{number}");
    has(
        &text,
        &[
            &format!("    if_id_out = {number}\n"),
            &format!("#   ip link add vpn-cloud type xfrm if_id {number}\n#   ip link set vpn-cloud up\n"),
            "#   ip route add NETWORK dev vpn-cloud",
            "        local_ts = 0.0.0.0/0, ::/0",
            "        start_action = start\n        close_action = start",
        ],
    );
    assert!(!text.contains("trap"), "a trap for everything locks the operator out\n{text}");
    let text = export("libreswan").ok().out;
    has(
        &text,
        &[
            &format!("    ipsec-interface={number}\n"),
            "conn cygnet-cloud\n",
            "    leftsubnet=0.0.0.0/0\n    rightsubnet=0.0.0.0/0\n",
            "conn cygnet-cloud-v6\n",
            "    leftsubnet=::/0\n    rightsubnet=::/0\n",
            "    auto=start\n",
        ],
    );
    let run = export("openiked");
    assert!(run.code == Some(1) && run.err.contains("name them in `local` and `remote` of [site.cloud]"), "{run:?}");

    let text = export("cygnet").ok().out;
    has(&text, &["mode = \"interface\"\ninterface = \"vpn-cloud\"\n"]);
    assert!(!text.contains("0.0.0.0/0"), "{text}");
    let other = Site::new();
    other.write("cygnet.toml", &text);
    other.run(&["check"]).ok();
}

#[test]
fn a_route_based_site_with_networks_tells_the_routes() {
    let site = route_based("local = \"10.77.0.0/24\"\nremote = \"10.88.0.0/24\"\n");
    let export = |program: &str| site.run(&["site", "export", "cloud", "--for", program]).ok().out;
    has(&export("strongswan"), &["#   ip route add 10.77.0.0/24 dev vpn-cloud\n", "        local_ts = 10.88.0.0/24\n"]);
    has(&export("cygnet"), &["local = [\"10.88.0.0/24\"]\nremote = [\"10.77.0.0/24\"]\n"]);
    has(&export("openiked"), &["from 10.88.0.0/24 to 10.77.0.0/24"]);
}

#[test]
fn what_the_tunnel_needs_is_exported_or_refused_in_words() {
    let site = configured(
        "ike = \"chacha20poly1305-prfsha256-x25519\"\nesp = \"chacha20poly1305\"\nforce_udp_encap = true\n\
         ppk = { id = \"pq\", secret = \"0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\", required = true }\n\
         reauth = \"3h\"\nmtu = 1380\nmobike = false\nliveness = \"10s\"\nrekey_packets = 1000000\n",
    );
    let export = |program: &str| site.run(&["site", "export", "berlin", "--for", program]);
    has(
        &export("libreswan").ok().out,
        &[
            "    ike=chacha20_poly1305-sha2_256;dh31\n    esp=chacha20_poly1305\n",
            "    ppk=insist\n    encapsulation=yes\n",
            "# 198.51.100.7 203.0.113.1 : PPKS \"pq\" 0x000102",
        ],
    );
    has(
        &export("cygnet").ok().out,
        &[
            "rekey_packets = 1000000\nreauth = \"3h\"\nliveness = \"10s\"\nmobike = false\nforce_udp_encap = true\nmtu = 1380\n",
            "ike = [\"chacha20poly1305-prfsha256-x25519\"]\n",
        ],
    );
    let run = export("openiked");
    assert!(run.code == Some(1) && run.err.contains("iked has no post-quantum keys"), "{run:?}");

    let site = configured("ike = \"chacha20poly1305-prfsha256-x25519\"\n");
    let run = site.run(&["site", "export", "berlin", "--for", "openiked"]);
    assert!(run.code == Some(1) && run.err.contains("iked has chacha20-poly1305 for ESP only"), "{run:?}");
    let site = configured("ike = \"aes256-sha256-modp2048\"\nesp = \"aes256-sha512\"\n");
    has(
        &site.run(&["site", "export", "berlin", "--for", "openiked"]).ok().out,
        &[
            "        ikesa enc aes-256 auth hmac-sha2-256 prf hmac-sha2-256 group modp2048 \\\n",
            "        childsa enc aes-256 auth hmac-sha2-512 group none \\\n",
        ],
    );
}

#[test]
fn bare_keys_are_exported_with_ours_written_out() {
    let (ours, theirs) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let site = Site::new();
    site.write("our.key", &ours.serialize_pem());
    site.write("their.pub", &theirs.public_key_pem());
    site.write(
        "cygnet.toml",
        "[site.berlin]\npeer = \"198.51.100.7\"\nkey = \"our.key\"\npublic_key = \"their.pub\"\nlocal_address = \"203.0.113.1\"\n\
         id = \"gw.example.org\"\nlocal = \"10.1.0.0/16\"\nremote = \"10.2.0.0/16\"\n",
    );
    let marked = |pem: String| pem.lines().map(|line| format!("# {line}\n")).collect::<String>();
    let (our_key, their_key) = (marked(ours.public_key_pem()), marked(theirs.public_key_pem()));
    let export = |program: &str| site.run(&["site", "export", "berlin", "--for", program]);
    has(
        &export("strongswan").ok().out,
        &["pubkey/cygnet-berlin.pem.\n", &our_key, &their_key, "      pubkeys = cygnet-berlin.pem\n"],
    );
    let iked = export("openiked").ok().out;
    has(&iked, &["# /etc/iked/pubkeys/fqdn/gw.example.org\n", &our_key, "/etc/iked/private/local.key"]);
    assert!(iked.ends_with("lifetime 3600\n"), "the last line goes on nowhere\n{iked}");
    let run = export("libreswan");
    assert!(run.code == Some(1) && run.err.contains("use certificates or a pre-shared key"), "{run:?}");

    let text = export("cygnet").ok().out;
    has(&text, &["other-end.key (mode 0600)", &our_key, "public_key = \"cygnet.pub\"\n"]);
    let other = Site::new();
    other.write("cygnet.toml", &text);
    other.write("other-end.key", &theirs.serialize_pem());
    other.write("cygnet.pub", &our_key.replace("# ", ""));
    other.run(&["check"]).ok();
}

#[test]
fn certificates_are_exported_with_a_word_about_their_files() {
    let site = Site::new();
    let gateway = rcgen::generate_simple_self_signed(["gw.example.org".to_owned()]).unwrap();
    site.write("gw.pem", &gateway.cert.pem());
    site.write("gw.key", &gateway.signing_key.serialize_pem());
    site.write("ca.pem", &authority());
    site.write(
        "cygnet.toml",
        "[site.berlin]\npeer = \"198.51.100.7\"\npeer_id = \"berlin.example.org\"\ncert = \"gw.pem\"\nkey = \"gw.key\"\nca = \"ca.pem\"\n\
         local_address = \"203.0.113.1\"\nlocal = \"10.1.0.0/16\"\nremote = \"10.2.0.0/16\"\n",
    );
    let export = |program: &str| site.run(&["site", "export", "berlin", "--for", program]).ok().out;
    has(
        &export("libreswan"),
        &[
            "#   ipsec import other-end.p12\n",
            "-n cygnet-ca -t CT,, -i ca.pem\n",
            "    leftcert=other-end\n    leftsendcert=always\n",
        ],
    );
    has(&export("cygnet"), &["# Beside it: other-end.pem", "# Beside it: ca.pem, the authority of our certificate.\n"]);
    has(&export("openiked"), &["/etc/iked/private/local.key", "/etc/iked/ca."]);
}

/// A certificate of an authority, PEM.
fn authority() -> String {
    let mut authority = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
}

#[test]
fn a_key_that_is_no_text_is_exported_as_a_file() {
    let site = Site::new();
    let key = b"\xff\xfe0123456789-0123456789";
    site.write("berlin.psk", "");
    std::fs::write(site.path("berlin.psk"), key).unwrap();
    site.write(
        "cygnet.toml",
        "[site.berlin]\npeer = \"198.51.100.7\"\npsk = \"file:berlin.psk\"\nlocal_address = \"203.0.113.1\"\n\
         local = \"10.1.0.0/16\"\nremote = \"10.2.0.0/16\"\n",
    );
    let text = site.run(&["site", "export", "berlin", "--for", "cygnet"]).ok().out;
    has(&text, &["psk = \"file:berlin.psk\"\n", "# Beside it: berlin.psk (mode 0600)"]);
    assert!(!text.contains('\u{fffd}'), "{text}");
}

#[test]
fn an_export_goes_into_a_new_file_that_only_its_owner_reads() {
    use std::os::unix::fs::PermissionsExt;
    let site = configured("");
    let file = site.path("other.conf");
    let name = file.to_str().unwrap();
    let printed = site.run(&["site", "export", "berlin"]).ok().out;
    let said = site.run(&["site", "export", "berlin", "--output", name]).ok().out;
    assert!(said.contains("is written, mode 0600") && !said.contains("0123456789"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), printed);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let again = site.run(&["site", "export", "berlin", "--output", name]);
    assert!(again.code == Some(1) && again.err.contains("is there already"), "{again:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), printed, "nothing was overwritten");
}

#[test]
fn two_sites_are_exported_under_names_of_their_own() {
    let site = configured(
        "[site.lyon]\npeer = \"198.51.100.8\"\npsk = \"another-key-of-good-length\"\nlocal = \"10.1.0.0/16\"\nremote = \"10.9.0.0/16\"\nlocal_address = \"203.0.113.1\"\n",
    );
    let export = |name: &str| site.run(&["site", "export", name]).ok().out;
    has(&export("berlin"), &["  cygnet-berlin {\n", "  ike-cygnet-berlin {\n", "conf.d/cygnet-berlin.conf"]);
    has(
        &export("lyon"),
        &["  cygnet-lyon {\n", "  ike-cygnet-lyon {\n    id-1 = \"203.0.113.1\"\n    id-2 = \"198.51.100.8\"\n"],
    );
}

#[test]
fn the_subject_of_a_certificate_is_an_identity_where_the_program_can_say_so() {
    let site = configured("peer_id = \"C=CH, O=Example, CN=berlin\"\n");
    let export = |program: &str| site.run(&["site", "export", "berlin", "--for", program]);
    has(&export("libreswan").ok().out, &["    leftid=\"C=CH, O=Example, CN=berlin\"\n"]);
    has(&export("strongswan").ok().out, &["      id = \"C=CH, O=Example, CN=berlin\"\n"]);
    let run = export("openiked");
    assert!(run.code == Some(1) && run.err.contains("for a DNS name"), "{run:?}");
}
