//! New settings under live sessions: what is told of them, and who has to go.

use super::*;

const SERVER: &str = "cert = \"cert.pem\"\nkey = \"key.pem\"";

fn remote(pool: &str, more: &str, users: &str) -> String {
    format!("psk = \"{KEY}\"\n{SERVER}\npool = \"{pool}\"\n{more}\n[users]\n{users}")
}

fn reload(site: &mut Site, remote: &str) -> Reloaded {
    site.gateway.reload_from(site.now, settings(&site.folder, remote)).unwrap()
}

#[test]
fn everything_that_differs_is_told_and_nothing_else() {
    let before = remote("10.83.20.0/24", "", "alice = \"correct horse\"\nbob = \"battery\"");
    let mut site = Site::new(&before);
    assert_eq!(reload(&mut site, &before).changes, [""; 0]);
    for (more, key) in [
        ("unique = \"never\"", "unique"),
        ("mobike = false", "mobike"),
        ("reauth = \"8h\"", "reauth"),
        ("child_lifetime = \"2h\"", "lifetimes"),
        ("force_udp_encap = true", "force_udp_encap"),
        ("[ppk]\n\"x\" = \"0123456789-0123456789-0123456789\"", "ppk"),
        ("dns = [\"10.83.20.1\"]", "dns"),
    ] {
        let users = "alice = \"correct horse\"\nbob = \"battery\"";
        assert_eq!(reload(&mut site, &remote("10.83.20.0/24", more, users)).changes, [format!("{key} changed")]);
        assert_eq!(reload(&mut site, &before).changes, [format!("{key} changed")]);
    }
    let mtu = remote("10.83.20.0/24", "mtu = 1300", "alice = \"correct horse\"\nbob = \"battery\"");
    assert_eq!(reload(&mut site, &mtu).changes, [""; 0], "that takes a restart");
    let other = remote("10.83.20.0/24", "", "alice = \"another horse\"\nbob = { password = \"battery\", devices = 2 }");
    assert_eq!(reload(&mut site, &other).changes, ["user alice changed", "user bob changed"]);
    assert_eq!(reload(&mut site, &other.replace(KEY, "another key of some length")).changes, ["psk changed"]);
}

#[test]
fn a_renewed_certificate_is_told_and_shown() {
    let before = remote("10.83.20.0/24", "", "alice = \"correct horse\"");
    let mut site = Site::new(&before);
    let ca = pki::make_ca("Test CA", KeyKind::EcdsaP256, now_unix()).unwrap();
    let names = [SubjectName::Dns("vpn.example.org".into())];
    let own = pki::issue_server_certificate(&ca, &names, KeyKind::EcdsaP256, now_unix()).unwrap();
    let files = [("ca.pem", &*ca.certificate_pem), ("cert.pem", &*own.certificate_pem), ("key.pem", &**own.key_pem)];
    for (name, text) in files {
        write(&site.folder.path().join(name), text);
    }
    assert_eq!(reload(&mut site, &before).changes, ["cert and key changed"]);
    let alice = person(&site, "alice", "correct horse");
    assert!(site.connect(alice, "198.51.100.7").is_up(), "she trusts the new authority only");
}

#[test]
fn a_session_whose_address_is_in_no_pool_any_more_ends_and_is_told() {
    let users = "alice = \"correct horse\"";
    let mut site = Site::new(&remote("10.83.20.0/24", "", users));
    let mut alice = site.connect(person(&site, "alice", "correct horse"), "198.51.100.7");
    assert!(alice.is_up());
    let done = reload(&mut site, &remote("10.83.0.0/16", "", users));
    assert_eq!((done.changes, done.disconnected), (vec!["pool changed".to_owned()], 0));

    let done = reload(&mut site, &remote("10.99.0.0/24", "", users));
    let told = ["pool changed", "alice disconnected: the address is in no pool any more"];
    assert_eq!((done.changes, done.disconnected), (told.map(str::to_owned).to_vec(), 1));
    site.settle(&mut alice);
    assert_eq!(alice.end(), Some(&End::DeletedByServer));
    assert!(site.routed.is_empty());
}

#[test]
fn settings_that_are_only_prepared_change_nothing() {
    let before = remote("10.83.20.0/24", "", "alice = \"correct horse\"");
    let mut site = Site::new(&before);
    let mut alice = site.connect(person(&site, "alice", "correct horse"), "198.51.100.7");
    let other = settings(&site.folder, &remote("10.99.0.0/24", "mobike = false", "bob = \"battery\""));
    drop(site.gateway.prepare(site.now, other).unwrap());
    site.settle(&mut alice);
    assert!(alice.is_up() && site.users() == ["alice"]);
    assert_eq!(reload(&mut site, &before).changes, [""; 0]);
    let again = site.connect(person(&site, "alice", "correct horse"), "198.51.100.8");
    assert!(again.is_up());
}
