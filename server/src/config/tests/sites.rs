//! `[site.NAME]`: what a good one becomes, and what each mistake says.

use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::{Machine, machine, remote};
use crate::config::{CrlPolicy, Lifetimes, LocalAuth, Peer, PeerAuth, Policy, Site, SiteChange, SiteMode, Start};

/// Five lines, with `more` at the end.
fn site(more: &str) -> String {
    format!(
        "[site.berlin]\npeer = \"198.51.100.7\"\npsk = \"file:psk\"\nlocal = [\"10.1.0.0/16\"]\nremote = [\"10.2.0.0/16\"]\n{more}"
    )
}

/// A second site with networks and a key of its own.
fn lyon(more: &str) -> String {
    format!(
        "[site.lyon]\npeer = \"198.51.100.8\"\npsk = \"another-key-of-twenty-letters\"\nlocal = \"10.1.0.0/16\"\nremote = \"10.9.0.0/16\"\n{more}"
    )
}

fn one(machine: &Machine, text: &str) -> Site {
    let check = machine.check(text);
    assert_eq!(check.report, "", "{text}");
    check.settings.unwrap().sites.remove(0)
}

/// The report about `text` has all of `parts`.
fn assert_parts(machine: &Machine, text: &str, parts: &[&str]) {
    let report = machine.report(text);
    for part in parts {
        assert!(report.contains(part), "{part:?} is missing in\n{report}\nabout\n{text}");
    }
}

fn selectors(list: &[crate::config::Selector]) -> Vec<String> {
    list.iter().map(|s| format!("{} {} {}-{}", s.network, s.protocol, s.first_port, s.last_port)).collect()
}

/// Certificate, key and their authority in `gw.pem`, `gw.key`, `ca.pem`.
fn with_certificate(names: &[&str]) -> Machine {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2028, 1, 1);
    let authority = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.not_before = date_time_ymd(2026, 1, 1);
    ca.not_after = date_time_ymd(2030, 1, 1);
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let machine = machine();
    machine.write("gw.pem", &params.self_signed(&key).unwrap().pem()).write("gw.key", &key.serialize_pem());
    machine.write("ca.pem", &ca.self_signed(&authority).unwrap().pem());
    machine.write("peer.pub", &authority.public_key_pem());
    machine
}

const BY_CERTIFICATE: &str = "[site.berlin]\npeer = \"198.51.100.7\"\ncert = \"gw.pem\"\nkey = \"gw.key\"\nca = \"ca.pem\"\n\
                              local = \"10.1.0.0/16\"\nremote = \"10.2.0.0/16\"\n";

#[test]
fn five_lines_are_a_tunnel_and_the_rest_has_defaults() {
    let settings = machine().settings(&site(""));
    assert!(settings.remote.is_none(), "a gateway for sites only");
    let site = &settings.sites[0];
    assert_eq!((site.name.as_str(), &site.peer), ("berlin", &Peer::Address("198.51.100.7".parse().unwrap())));
    assert!(site.id.is_none() && site.peer_id.is_none() && site.ppk.is_none() && site.local_address.is_none());
    let (LocalAuth::Psk(own), PeerAuth::Psk(theirs)) = (&site.local_auth, &site.peer_auth) else { panic!("by key") };
    assert_eq!(
        (own.expose(), theirs.expose()),
        (&b"a-pre-shared-key-in-a-file"[..], &b"a-pre-shared-key-in-a-file"[..])
    );
    assert_eq!((site.start, &site.mode, site.routes), (Start::Always, &SiteMode::Tunnel, true));
    assert!(site.nat.is_empty() && site.mobike && !site.force_udp_encap && site.mtu.is_none());
    let (hour, four) = (Some(Duration::from_secs(3600)), Some(Duration::from_secs(4 * 3600)));
    assert_eq!(site.lifetimes, Lifetimes { child: hour, ike: four, bytes: None, packets: None });
    assert_eq!((site.liveness, site.reauthentication), (Some(Duration::from_secs(30)), None));
    assert_eq!((site.policy.as_slice(), site.crl.policy), (&[Policy::Compatible][..], CrlPolicy::Relaxed));
    assert_eq!(site.children.len(), 1);
    assert_eq!(site.children[0].name, "berlin");
    assert_eq!(selectors(&site.children[0].local), ["10.1.0.0/16 0 0-65535"]);
    assert_eq!(selectors(&site.children[0].remote), ["10.2.0.0/16 0 0-65535"]);
}

#[test]
fn every_key_of_a_site_has_its_effect() {
    let machine = machine();
    let settings = machine.settings(
        &site(
            "id = \"@here\"\npeer_id = \"keyid:there\"\nstart = \"demand\"\nnat = \"10.1.0.9\"\npolicy = \"modern\"\n\
             ike = [\"aes256gcm16-prfsha384-ecp384\"]\nesp = \"aes256gcm16\"\nchild_lifetime = \"20m\"\nike_lifetime = false\n\
             rekey_bytes = \"2G\"\nrekey_packets = 1000000\nreauth = \"8h\"\nliveness = 10\nmobike = false\n\
             force_udp_encap = true\nlocal_address = \"192.0.2.1\"\nmtu = 1380\n\
             ppk = { id = \"pq\", secret = \"0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\", required = true }\n",
        ),
    );
    let site = settings.sites.into_iter().next().unwrap();
    assert_eq!((site.id.as_deref(), site.peer_id.as_deref()), (Some("@here"), Some("keyid:there")));
    assert_eq!((site.start, site.nat.as_slice()), (Start::Demand, &["10.1.0.9".parse().unwrap()][..]));
    assert_eq!(site.policy, [Policy::Modern]);
    assert_eq!((site.proposals.ike.len(), site.proposals.esp.len()), (1, 1));
    let child = Some(Duration::from_secs(1200));
    let expected = Lifetimes { child, ike: None, bytes: Some(2_000_000_000), packets: Some(1_000_000) };
    assert_eq!(site.lifetimes, expected);
    assert_eq!(site.reauthentication, Some(Duration::from_secs(8 * 3600)));
    assert_eq!(site.liveness, Some(Duration::from_secs(10)));
    assert!(!site.mobike && site.force_udp_encap);
    assert_eq!((site.local_address, site.mtu), (Some("192.0.2.1".parse().unwrap()), Some(1380)));
    assert_eq!(site.crl.policy, CrlPolicy::Relaxed);
    let ppk = site.ppk.unwrap();
    assert_eq!((ppk.id.as_str(), ppk.required), ("pq", true));
    assert_eq!(ppk.secret.expose(), (0..32).collect::<Vec<u8>>());
}

#[test]
fn children_have_networks_of_their_own_or_those_of_the_site() {
    let machine = machine();
    let site = one(
        &machine,
        &site(
            "[[site.berlin.child]]\nname = \"web\"\nremote = \"10.2.0.0/16 tcp/443\"\n\
             [[site.berlin.child]]\nname = \"ping\"\nlocal = \"10.1.0.1 icmp/8\"\nremote = \"10.2.0.1 icmp\"\n\
             [[site.berlin.child]]\nname = \"all6\"\nlocal = \"fd01::/64\"\nremote = [\"fd02::/64 udp/1000-2000\", \"fd03::1 47\"]\n",
        )
        .replace("remote = [\"10.2.0.0/16\"]\n", ""),
    );
    let children: Vec<_> =
        site.children.iter().map(|c| (c.name.as_str(), selectors(&c.local), selectors(&c.remote))).collect();
    let expected = |name, local: &[&str], remote: &[&str]| {
        let text = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        (name, text(local), text(remote))
    };
    assert_eq!(
        children,
        [
            expected("web", &["10.1.0.0/16 0 0-65535"], &["10.2.0.0/16 6 443-443"]),
            expected("ping", &["10.1.0.1/32 1 2048-2303"], &["10.2.0.1/32 1 0-65535"]),
            expected("all6", &["fd01::/64 0 0-65535"], &["fd02::/64 17 1000-2000", "fd03::1/128 47 0-65535"]),
        ]
    );
}

#[test]
fn the_peer_may_be_a_name_or_anywhere() {
    let machine = machine();
    let named = one(&machine, &site("").replace("198.51.100.7", "gw.example.org"));
    assert_eq!((&named.peer, named.start), (&Peer::Name("gw.example.org".into()), Start::Always));
    assert!(named.peer_id.is_none(), "a key is proof enough");
    let any = one(&machine, &site("peer_id = \"@berlin\"\n").replace("198.51.100.7", "any"));
    assert_eq!((&any.peer, any.start), (&Peer::Any, Start::Passive));
}

#[test]
fn modes_decide_about_device_networks_and_routes() {
    let machine = machine();
    let text = "[site.cloud]\npeer = \"198.51.100.7\"\npsk = \"file:psk\"\nmode = \"interface\"\n";
    let routed = one(&machine, text);
    assert_eq!((routed.mode, routed.routes), (SiteMode::Interface { device: "cloud".into() }, false));
    assert_eq!(selectors(&routed.children[0].remote), ["0.0.0.0/0 0 0-65535", "::/0 0 0-65535"]);
    let routed = one(&machine, &format!("{text}interface = \"tun-cloud\"\nremote = \"10.2.0.0/16\"\n"));
    assert_eq!((routed.mode, routed.routes), (SiteMode::Interface { device: "tun-cloud".into() }, true));
    assert_eq!(selectors(&routed.children[0].local), ["0.0.0.0/0 0 0-65535", "::/0 0 0-65535"]);

    let text = text.replace("interface", "transport");
    let hosts = one(&machine, &text);
    assert_eq!((hosts.mode, hosts.routes), (SiteMode::Transport, false));
    assert!(hosts.children[0].local.is_empty() && hosts.children[0].remote.is_empty());
    let limited = one(&machine, &format!("{text}local = \"tcp\"\nremote = \"tcp/179\"\n"));
    assert_eq!(selectors(&limited.children[0].remote), ["0.0.0.0/0 6 179-179"]);
}

#[test]
fn nat_takes_the_first_address_of_local_unless_told_otherwise() {
    let machine = machine();
    let both = one(&machine, &site("nat = true\n").replace("\"10.1.0.0/16\"", "\"10.1.0.0/16\", \"fd01::/64\""));
    assert_eq!(both.nat, ["10.1.0.1".parse::<std::net::IpAddr>().unwrap(), "fd01::1".parse().unwrap()]);
    let host = one(&machine, &site("nat = true\n").replace("10.1.0.0/16", "192.0.2.5"));
    assert_eq!(host.nat, ["192.0.2.5".parse::<std::net::IpAddr>().unwrap()]);
    assert_parts(&machine, &site("nat = \"10.5.0.1\"\n"), &["10.5.0.1 is not in `local`", "--> cygnet.toml:6:7"]);
}

#[test]
fn certificates_name_both_sides() {
    let machine = with_certificate(&["gw.example.org", "192.0.2.1"]);
    let site = one(&machine, &format!("{BY_CERTIFICATE}peer_id = \"berlin.example.org\"\ncrl = \"strict\"\n"));
    assert_eq!(site.crl.policy, CrlPolicy::Strict);
    assert_eq!((site.id.as_deref(), site.peer_id.as_deref()), (Some("gw.example.org"), Some("berlin.example.org")));
    assert!(
        matches!((&site.local_auth, &site.peer_auth), (LocalAuth::Certificate(_), PeerAuth::Certificate(ca)) if ca.len() == 1)
    );
    let by_name = BY_CERTIFICATE.replace("198.51.100.7", "berlin.example.org");
    assert_eq!(one(&machine, &by_name).peer_id.as_deref(), Some("berlin.example.org"), "who we call has to answer");
    let own = one(&machine, &format!("{by_name}id = \"192.0.2.1\"\n"));
    assert_eq!(own.id.as_deref(), Some("192.0.2.1"));

    let missing = "every certificate of this authority could claim to be berlin";
    assert_parts(&machine, BY_CERTIFICATE, &[missing, "`peer_id` is missing", "add peer_id = \"NAME\""]);
    let other = format!("{by_name}id = \"other.example.org\"\n");
    assert_parts(
        &machine,
        &other,
        &["the certificate does not name \"other.example.org\"", "names gw.example.org, 192.0.2.1"],
    );
    let only_subject = with_certificate(&[]);
    assert_eq!(one(&only_subject, &by_name).id.as_deref(), Some("CN=rcgen self signed cert"));
    let own = format!("{by_name}id = \"cn=RCGEN self signed cert\"\n");
    assert_eq!(one(&only_subject, &own).id.as_deref(), Some("cn=RCGEN self signed cert"));
    let other = format!("{by_name}id = \"CN=other\"\n");
    assert_parts(&only_subject, &other, &["the certificate does not name \"CN=other\""]);
    let malformed = format!("{by_name}id = \"CN=other,\"\n");
    assert_parts(&only_subject, &malformed, &["it is not a distinguished name"]);
}

#[test]
fn each_side_may_prove_itself_in_its_own_way() {
    let machine = with_certificate(&["gw.example.org"]);
    let with = |keys: &str| {
        format!("[site.b]\npeer = \"198.51.100.7\"\nlocal = \"10.1.0.0/16\"\nremote = \"10.2.0.0/16\"\n{keys}")
    };
    let site = one(&machine, &with("key = \"gw.key\"\npublic_key = \"peer.pub\"\n"));
    assert!(matches!((&site.local_auth, &site.peer_auth), (LocalAuth::RawKey(_), PeerAuth::RawKey(_))));
    assert!(site.id.is_none() && site.peer_id.is_none());
    let site = one(&machine, &with("cert = \"gw.pem\"\nkey = \"gw.key\"\npsk = \"file:psk\"\n"));
    assert!(matches!((&site.local_auth, &site.peer_auth), (LocalAuth::Certificate(_), PeerAuth::Psk(_))));
    let site = one(&machine, &with("psk = \"file:psk\"\nca = \"ca.pem\"\npeer_id = \"x.example.org\"\n"));
    assert!(matches!((&site.local_auth, &site.peer_auth), (LocalAuth::Psk(_), PeerAuth::Certificate(_))));

    for (keys, part) in [
        ("", "nothing proves to the site b who we are, or to us who it is"),
        ("cert = \"gw.pem\"\nkey = \"gw.key\"\n", "nothing proves to us who the site b is"),
        ("ca = \"ca.pem\"\npeer_id = \"x\"\n", "nothing proves to the site b who we are"),
        (
            "key = \"gw.key\"\nca = \"ca.pem\"\npublic_key = \"peer.pub\"\npeer_id = \"x\"\n",
            "a certificate or a bare key, not both",
        ),
        (
            "key = \"gw.key\"\npublic_key = \"peer.pub\"\npsk = \"file:psk\"\n",
            "warning: this pre-shared key is used by neither side",
        ),
        ("key = \"gw.key\"\npublic_key = \"gw.pem\"\n", "there is no public key in this file"),
        (
            "cert = [\"gw.pem\", \"gw.pem\"]\nkey = [\"gw.key\", \"gw.key\"]\npsk = \"file:psk\"\n",
            "a site has one certificate",
        ),
        ("psk = \"short\"\n", "this pre-shared key has only 5 characters"),
    ] {
        assert_parts(&machine, &with(keys), &[part]);
    }
}

#[test]
fn what_is_wrong_with_one_site_is_named() {
    let machine = machine();
    for (text, parts) in [
        (site("child = []\n"), ["`site.berlin.child` is empty", "write [[site.berlin.child]] for each"]),
        (site("cert = []\n"), ["`site.berlin.cert` is empty", "name a file, or remove the key"]),
        (site("ca = []\npeer_id = \"x\"\n"), ["`site.berlin.ca` is empty", "name a file, or remove the key"]),
        ("[site.berlin]\n".to_owned(), ["[site.berlin] has no `peer`", "add its address or name"]),
        (site("[site.\"two words\"]\n"), ["a site cannot be called \"two words\"", "take letters, digits, - and _"]),
        ("[site]\npeer = \"198.51.100.7\"\n".to_owned(), ["`peer` stands in [site]", "write [site.NAME] above it"]),
        (site("[site.Berlin]\n"), ["the site \"Berlin\" exists twice", "capital letters make no difference"]),
        (site("pear = 1\n"), ["unknown key `pear` in [site.NAME]", "did you mean `peer`?"]),
        (site("").replace("198.51.100.7", "0.0.0.0"), ["no gateway has the address 0.0.0.0", "write \"any\""]),
        (
            site("").replace("198.51.100.7", "no name"),
            ["\"no name\" is neither an address nor a name", "gw.example.org"],
        ),
        (site("start = \"demnd\"\n"), ["unknown start \"demnd\"", "did you mean \"demand\"?"]),
        (
            site("mode = \"policy\"\n"),
            ["unknown mode \"policy\"", "write \"tunnel\" or \"interface\" or \"transport\""],
        ),
        (site("child_lifetime = \"0s\"\n"), ["`site.berlin.child_lifetime` is out of range", "or false for never"]),
        (site("rekey_bytes = \"10X\"\n"), ["`site.berlin.rekey_bytes` is not a size", "500M or 10G"]),
        (site("rekey_bytes = \"1K\"\n"), ["`site.berlin.rekey_bytes` is out of range", "expected 100000 to"]),
        (
            site("ppk = { id = \"x\" }\n"),
            ["`site.berlin.ppk` has no `secret`", "ppk = { id = \"NAME\", secret = \"file:PATH\" }"],
        ),
        (site("ppk = { id = \"x\", secret = \"0xabc\" }\n"), ["this is not hexadecimal", "an even number"]),
        (site("ppk = { id = \"x\", secret = \"y\" }\n"), ["this post-quantum key is too short to help", "\"*\""]),
        (site("crl = \"lax\"\n"), ["unknown CRL policy \"lax\"", "write \"strict\" or \"ifuri\" or \"relaxed\""]),
        (site("[[site.berlin.child]]\nlocal = \"10.1.0.0/16\"\n"), ["a child has no `name`", "add name = \"NAME\""]),
        (
            site("[[site.berlin.child]]\nname = \"a\"\n[[site.berlin.child]]\nname = \"a\"\n"),
            ["two children are called \"a\"", "rename one of them"],
        ),
        (site("").replace("10.1.0.0/16", "10.1.0.0/16 tpc"), ["unknown protocol \"tpc\"", "did you mean \"tcp\"?"]),
        (
            site("").replace("10.1.0.0/16", "10.1.0.1/16"),
            ["has bits behind its prefix", "the network is \"10.1.0.0/16\""],
        ),
        (site("").replace("10.1.0.0/16", "lan tcp 443"), ["\"lan tcp 443\" is not a network", "10.1.0.0/16 tcp/443"]),
        (site("interface = \"a b\"\n"), ["an interface cannot be called \"a b\"", "only letters"]),
    ] {
        assert_parts(&machine, &text, &parts);
    }
}

#[test]
fn keys_that_do_not_go_together_are_named() {
    let machine = machine();
    for (text, parts) in [
        (
            site("start = \"demand\"\n").replace("198.51.100.7", "any"),
            ["nobody knows where to call a peer that may be anywhere", "write start = \"passive\""],
        ),
        (
            site("start = \"demand\"\nroutes = false\n"),
            ["without routes no packet may ever ask for this tunnel", "start = \"always\""],
        ),
        (site("mode = \"transport\"\n"), ["there are no networks in transport mode", "leave the networks out"]),
        (
            site("").replace("local = ", "nat = false #"),
            ["`local` is missing", "which of our networks does the tunnel join?"],
        ),
        (
            site("").replace("remote = [\"10.2.0.0/16\"]", "remote = \"fd02::/64\""),
            ["one side has IPv4 only, the other IPv6 only", "of the same family"],
        ),
        (site("").replace("10.2.0.0", "10.1.0.0"), ["both sides have the network 10.1.0.0/16", "mode = \"interface\""]),
        (site("interface = \"tun7\"\n"), ["`interface` has no effect without mode", "remove the key"]),
        (
            site("mode = \"interface\"\n").replace("berlin", "a-name-of-17-lett"),
            ["an interface cannot be called", "add interface = \"NAME\""],
        ),
        (
            site("mode = \"interface\"\ninterface = \"cygnet0\"\n"),
            ["\"cygnet0\" is the device that everybody shares", "with another name"],
        ),
        (
            site("").replace("10.2.0.0/16", "10.77.1.0/24"),
            ["10.77.1.0/24 is said to be behind the peer, but 10.77.0.0/16 is at eth1", "only at the peer's side"],
        ),
        (
            remote(
                &site("").replace("10.2.0.0/16", "10.20.0.0/25").replace("file:psk", "a-key-of-its-own-for-the-site"),
            ),
            ["error: 10.20.0.0/25 behind the peer overlaps the pool 10.20.0.0/24", "addresses of clients"],
        ),
        (
            remote(&site("").replace("10.2.0.0/16", "10.0.0.0/8").replace("file:psk", "a-key-of-its-own-for-the-site")),
            ["warning: 10.0.0.0/8 behind the peer overlaps the pool", "give the pool a network of its own"],
        ),
        (remote(&site("")), ["the key of the site berlin is a key of clients, too", "give the site a key of its own"]),
        (
            remote(&site("").replace("file:psk", "a-key-of-its-own-for-the-site").replace("198.51.100.7", "any")),
            ["the site berlin cannot be told from clients with a pre-shared key", "add peer_id = \"NAME\""],
        ),
    ] {
        assert_parts(&machine, &text, &parts);
    }
}

#[test]
fn what_has_no_effect_or_is_our_own_is_named() {
    let machine = with_certificate(&["gw.example.org"]);
    machine.write("own.pub", &{
        let pem = std::fs::read_to_string(machine.path("gw.key")).unwrap();
        KeyPair::from_pem(&pem).unwrap().public_key_pem()
    });
    for (text, parts) in [
        (site("crl = \"strict\"\n"), ["warning: `site.berlin.crl` has no effect", "add `ca`, or remove it"]),
        (
            site("id = \"gw.example.org\"\npeer_id = \"GW.example.org\"\n"),
            ["warning: both sides are called \"GW.example.org\"", "give each its own"],
        ),
        (
            site("").replace("198.51.100.7", "203.0.113.1"),
            ["warning: 203.0.113.1 is an address of this machine", "the address of the other gateway"],
        ),
        (
            site("local_address = \"203.0.113.9\"\n"),
            ["warning: 203.0.113.9 is not an address of this machine", "no packet can leave"],
        ),
        (
            site("local_address = \"2001:db8::1\"\n"),
            ["error: nothing leads from 2001:db8::1 to 198.51.100.7", "both have to be IPv4, or both IPv6"],
        ),
        (
            site("[[site.berlin.child]]\nname = \"a\"\nremote = \"10.3.0.0/16\"\n"),
            ["warning: `remote` of the site has no effect", "cygnet.toml:5:1"],
        ),
        (
            site("").replace("psk = \"file:psk\"", "key = \"gw.key\"\npublic_key = \"own.pub\""),
            ["warning: the public key of the peer is our own", "take the public key of the other gateway"],
        ),
        (
            BY_CERTIFICATE.replace("\"ca.pem\"", "\"gw.pem\"") + "peer_id = \"x.example.org\"\n",
            ["a certificate in this file is not an authority", "signs the peer's certificate"],
        ),
    ] {
        assert_parts(&machine, &text, &parts);
    }
    let ours = machine.report(&site("local_address = \"203.0.113.1\"\n"));
    assert_eq!(ours, "", "an address of this machine");
    let taken =
        site("[[site.berlin.child]]\nname = \"a\"\nremote = \"10.3.0.0/16\"\n[[site.berlin.child]]\nname = \"b\"\n");
    assert_eq!(machine.report(&taken), "", "the second child takes it");
}

#[test]
fn a_wrong_network_is_not_called_missing() {
    let machine = machine();
    for wrong in ["10.88.0.0/33", "10.88.0.1/16", "lan"] {
        let report = machine.report(&site("").replace("10.2.0.0/16", wrong));
        assert!(report.contains(wrong) && !report.contains("is missing"), "{report}");
        let child = "[[site.berlin.child]]\nname = \"a\"\nremote = \"WRONG\"\n".replace("WRONG", wrong);
        let report = machine.report(&site(&child).replace("remote = [\"10.2.0.0/16\"]\n", ""));
        assert!(report.contains(wrong) && !report.contains("is missing"), "{report}");
    }
    assert_parts(&machine, &site("").replace("[\"10.2.0.0/16\"]", "[]"), &["`remote` is missing"]);
}

#[test]
fn others_words_and_other_shapes_lead_to_ours() {
    let machine = machine();
    for (text, part) in [
        (site("local_ts = \"10.1.0.0/16\"\n"), "did you mean `local`?"),
        (site("dpd_delay = 30\n"), "did you mean `liveness`?"),
        (site("left = \"192.0.2.1\"\n"), "did you mean `local_address`?"),
        (
            site("[site.berlin.office]\nremote = \"10.3.0.0/16\"\n"),
            "further networks of one site are [[site.NAME.child]]",
        ),
        ("[[site]]\nname = \"berlin\"\n".to_owned(), "write [site.NAME] with a name of your choice"),
        (site("mode = \"interface\"\ninterface = \"sixteen-letters-x\"\n"), "take at most 15 letters"),
        (site("rekey_bytes = \"10X\"\n"), "K, M, G and T count in steps of 1000"),
        (site("child_lifetime = \"1 week\"\n"), "the units are s, m, h and d"),
    ] {
        assert_parts(&machine, &text, &[part]);
    }
    machine.write("psk", "");
    assert_parts(&machine, &site(""), &["a secret must not be empty", "openssl rand -base64 24"]);
}

#[test]
fn two_sites_must_not_collide() {
    let machine = machine();
    assert_eq!(machine.report(&(site("") + &lyon(""))), "");
    let names: Vec<_> = machine.settings(&(lyon("") + &site(""))).sites.into_iter().map(|s| s.name).collect();
    assert_eq!(names, ["berlin", "lyon"], "sorted");
    for (text, parts) in [
        (
            site("") + &lyon("").replace("10.9.0.0", "10.2.0.0"),
            ["10.2.0.0/16 is behind berlin and lyon", "a packet can go one way only"],
        ),
        (
            site("") + &lyon("").replace("198.51.100.8", "198.51.100.7"),
            ["berlin and lyon cannot be told apart", "[[site.NAME.child]]"],
        ),
        (
            site("") + &lyon("").replace("another-key-of-twenty-letters", "a-pre-shared-key-in-a-file"),
            ["warning: berlin and lyon have the same key", "can pretend to be the other"],
        ),
        (
            site("mode = \"interface\"\ninterface = \"t\"\n") + &lyon("mode = \"interface\"\ninterface = \"t\"\n"),
            ["two sites have the device \"t\"", "give each its own"],
        ),
    ] {
        assert_parts(&machine, &text, &parts);
    }
    let apart = site("peer_id = \"a\"\n").replace("198.51.100.7", "any")
        + &lyon("peer_id = \"b\"\n").replace("198.51.100.8", "any");
    assert_eq!(machine.report(&apart), "");
}

#[test]
fn two_readings_of_a_site_are_the_same_unless_something_differs() {
    let machine = machine();
    let site = |more| one(&machine, &site(more));
    assert_eq!(site("").change_from(&site("")), SiteChange::Nothing);
    for (more, change) in [
        ("nat = true\n", SiteChange::Care),
        ("start = \"passive\"\n", SiteChange::Care),
        ("rekey_bytes = \"1G\"\n", SiteChange::Care),
        ("id = \"somebody.else\"\n", SiteChange::Terms),
        ("mobike = false\n", SiteChange::Terms),
        ("ppk = { id = \"x\", secret = \"0123456789-0123456789-0123456789\" }\n", SiteChange::Terms),
    ] {
        assert_eq!(site("").change_from(&site(more)), change, "{more}");
    }
    let elsewhere = one(&machine, &self::site("").replace("10.2.0.0", "10.3.0.0"));
    assert_eq!(site("").change_from(&elsewhere), SiteChange::Tunnel);
    machine.write("psk", "the-key-has-been-replaced\n");
    let other = site("");
    machine.write("psk", "a-pre-shared-key-in-a-file\n");
    assert_eq!(site("").change_from(&other), SiteChange::Terms, "another key");
}

#[test]
fn secrets_of_sites_never_show() {
    let machine = machine();
    let text = site("ppk = { id = \"x\", secret = \"visible\", requird = 1 }\n").replace("file:psk", "visible");
    let report = machine.report(&text);
    assert!(report.contains("requird") && !report.contains("visible"), "{report}");
}
