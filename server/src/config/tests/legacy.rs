//! The keys of L2TP, XAuth and IKEv1: what they become, and what does not go together.

use super::{Machine, machine, remote};
use crate::config::{ClientAuthentication, Legacy, PppAuth, Protocol, Settings, VendorIds};

const USERS: &str = "[users]\nalice = \"correct horse\"\n";

/// A configuration for L2TP with one user, with `more` in `[remote]`.
fn l2tp(more: &str) -> String {
    remote(&format!("protocols = [\"l2tp\", \"ikev2\"]\n{more}{USERS}"))
}

fn ways(settings: &Settings) -> ClientAuthentication {
    settings.client_authentication()
}

/// There is one problem with `text`, and its report has all of `parts`.
fn assert_one(machine: &Machine, text: &str, error: bool, parts: &[&str]) {
    let check = machine.check(text);
    let counts = if error { (1, 0) } else { (0, 1) };
    assert_eq!((check.errors, check.warnings), counts, "{}", check.report);
    for part in parts {
        assert!(check.report.contains(part), "{part:?} is missing in\n{}", check.report);
    }
}

#[test]
fn a_pre_shared_key_and_users_are_enough_for_l2tp() {
    let machine = machine();
    assert_eq!(machine.report(&l2tp("")), "");
    let settings = machine.settings(&l2tp(""));
    let remote = settings.remote.as_ref().unwrap();
    assert_eq!(remote.protocols, [Protocol::L2tp, Protocol::Ikev2]);
    assert!(remote.speaks(Protocol::L2tp) && remote.speaks_ikev1() && !remote.speaks(Protocol::Xauth));
    let expected = ClientAuthentication { legacy_password: true, ..ClientAuthentication::default() };
    assert_eq!(ways(&settings), expected, "the key that all of them know is not enough for IKEv2");
    let own = machine.settings(&format!("{}[psk]\n\"branch.example\" = \"{}\"\n", l2tp(""), "x".repeat(24)));
    assert!(ways(&own).psk);
}

#[test]
fn without_ikev2_nobody_logs_in_by_its_ways() {
    let settings = machine().settings(&remote(&format!("protocols = \"xauth\"\n{USERS}")));
    let expected = ClientAuthentication { legacy_password: true, ..ClientAuthentication::default() };
    assert_eq!(ways(&settings), expected);
    let ikev2 = machine().settings(&remote(""));
    assert!(!ways(&ikev2).legacy_password && ways(&ikev2).psk);
}

#[test]
fn every_key_has_its_effect() {
    let settings = machine().settings(&l2tp(
        "ppp_auth = [\"pap\", \"eap\", \"chap-md5\", \"mschapv2\", \"pap\"]\nl2tp_tunnels = 2\nl2tp_sessions = 3\n\
         aggressive = true\nvendor_ids = \"none\"\nsha256_96 = true\nnbns = [\"10.20.0.5\", \"10.20.0.6\"]\n",
    ));
    let remote = settings.remote.unwrap();
    let expected = Legacy {
        ppp_auth: vec![PppAuth::Pap, PppAuth::Eap, PppAuth::ChapMd5, PppAuth::MsChapV2],
        l2tp_tunnels: 2,
        l2tp_sessions: 3,
        aggressive: true,
        vendor_ids: VendorIds::None,
        sha256_96: true,
    };
    assert_eq!(remote.legacy, expected);
    assert_eq!(remote.nbns, ["10.20.0.5", "10.20.0.6"].map(|a| a.parse::<std::net::Ipv4Addr>().unwrap()));
}

#[test]
fn wrong_values_are_named() {
    for (more, parts) in [
        ("ppp_auth = \"mschap\"\n", ["unknown PPP authentication \"mschap\"", "did you mean \"mschapv2\"?"]),
        (
            "ppp_auth = \"token\"\n",
            ["unknown PPP authentication \"token\"", "known ones: mschapv2, eap, chap-md5, pap"],
        ),
        ("ppp_auth = []\n", ["`remote.ppp_auth` is empty", "nobody could log in"]),
        ("l2tp_tunnels = 0\n", ["`remote.l2tp_tunnels` is out of range", "expected 1 to 64 tunnels"]),
        ("l2tp_sessions = 65\n", ["`remote.l2tp_sessions` is out of range", "expected 1 to 64 sessions"]),
        ("aggressive = 1\n", ["`remote.aggressive` has the wrong type", "expected true or false"]),
        ("vendor_ids = \"all\"\n", ["`remote.vendor_ids` cannot be \"all\"", "write \"needed\", or \"none\""]),
        ("nbns = \"fd00::1\"\n", ["\"fd00::1\" is not an IPv4 address", "cygnet.toml:6:8"]),
        ("nbns = [\"10.0.0.1\", \"10.0.0.2\", \"10.0.0.3\"]\n", ["two NetBIOS name servers at most", "keep the two"]),
    ] {
        assert_one(&machine(), &l2tp(more), true, &parts);
    }
    let typo = remote("").replace("[remote]", "[remote]\nprotocols = \"l2pt\"");
    assert_one(&machine(), &typo, true, &["unknown protocol \"l2pt\"", "did you mean \"l2tp\"?"]);
}

#[test]
fn a_short_pre_shared_key_is_refused_for_ikev1_unless_it_is_wanted() {
    let machine = machine();
    let short = |text: String| text.replace("file:psk", "short");
    assert_one(
        &machine,
        &short(l2tp("")),
        true,
        &["this pre-shared key has only 5 characters", "guess it offline", "openssl rand", "allow_weak_psk = true"],
    );
    assert_one(&machine, &short(l2tp("allow_weak_psk = true\n")), false, &["has only 5 characters"]);
    assert_one(&machine, &short(remote("")), false, &["has only 5 characters"]);
    assert!(!machine.report(&short(l2tp(""))).contains("\"short\""));
}

#[test]
fn aggressive_mode_is_warned_of() {
    let xauth = |more: &str| remote(&format!("protocols = [\"ikev2\", \"xauth\"]\n{more}{USERS}"));
    assert_eq!(machine().report(&xauth("")), "");
    let parts = ["gives everybody who asks a hash of the pre-shared key", "guess the key offline", "cygnet.toml:6:14"];
    assert_one(&machine(), &xauth("aggressive = true\n"), false, &parts);
    assert_eq!(machine().report(&xauth("aggressive = false\n")), "");
    let parts = ["`aggressive` has no effect without XAuth", "add \"xauth\" to `protocols`"];
    assert_one(&machine(), &l2tp("aggressive = true\n"), false, &parts);
}

#[test]
fn chap_md5_and_an_nt_hash_do_not_go_together() {
    let with = |hashed: &str| {
        l2tp("ppp_auth = [\"mschapv2\", \"chap-md5\"]\n")
            + &hashed.split(' ').fold(String::new(), |users, name| {
                users + name + " = { nt_hash = \"8846f7eaee8fb117ad06bdd830b7586c\" }\n"
            })
    };
    let parts = ["the user \"bob\" cannot log in by CHAP-MD5", "only the NT hash is known", "write password = \"...\""];
    assert_one(&machine(), &with("bob"), false, &parts);
    assert_one(&machine(), &with("bob carol"), false, &["the user \"bob\" and one more cannot"]);
    assert_one(&machine(), &with("bob carol dave"), false, &["the user \"bob\" and 2 more cannot"]);
    assert_eq!(machine().report(&l2tp("ppp_auth = \"chap-md5\"\n")), "", "alice has a password");
}

#[test]
fn l2tp_asks_for_what_comes_before_the_login() {
    let without_psk = l2tp("").replace("psk = \"file:psk\"\n", "").replace(", \"ikev2\"", "");
    assert_one(
        &machine(),
        &without_psk,
        true,
        &["L2TP needs a pre-shared key, or certificates on both sides", "add psk = \"file:PATH\""],
    );
    let nobody = l2tp("").replace(USERS, "");
    assert_one(
        &machine(),
        &nobody,
        false,
        &["nobody can log in by L2TP: there are no users", "`cygnet user add NAME`"],
    );
    let v6 = l2tp("").replace("10.20.0.0/24", "fd00:20::/64");
    assert_one(&machine(), &v6, false, &["L2TP clients expect an IPv4 address", "add an IPv4 network to `pool`"]);
}

#[test]
fn group_names_are_key_ids() {
    let text = remote(&format!("protocols = \"xauth\"\n[psk]\n\"keyid:staff\" = \"0123456789012345678901\"\n{USERS}"));
    let settings = machine().settings(&text);
    let selector = crate::config::PskSelector::Identity("keyid:staff".into());
    assert!(settings.remote.unwrap().psks.iter().any(|psk| psk.selector == selector));
}
