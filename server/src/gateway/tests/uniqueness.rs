//! Several sessions of one client: reauthentication that keeps the address, `unique`, and limits of devices.

use std::net::Ipv4Addr;

use super::*;

const HOME: &str = "198.51.100.7";
const AWAY: &str = "198.51.100.8";

fn ipv4(client: &Client) -> Option<Ipv4Addr> {
    client.addresses().iter().find_map(|address| if let IpAddr::V4(v4) = address { Some(*v4) } else { None })
}

/// The same client again, which asks for the address that it has.
fn again(config: ClientConfig, client: &Client) -> ClientConfig {
    ClientConfig { wanted: ipv4(client), ..config }
}

fn with_unique(unique: &str) -> Site {
    let users = "[users]\nalice = \"correct horse\"";
    let server = "cert = \"cert.pem\"\nkey = \"key.pem\"";
    Site::new(&format!("psk = \"{KEY}\"\n{server}\npool = \"10.83.20.0/24\"\nunique = \"{unique}\"\n{users}"))
}

fn inbound(site: &Site, nth: usize) -> EspSpi {
    site.installed[nth].0.inbound_spi
}

#[test]
fn a_client_that_proves_again_who_it_is_keeps_its_address() {
    let mut site = with_psk("10.83.20.0/24");
    let mut old = site.connect(laptop("laptop.example"), HOME);
    let address = old.addresses();
    site.hear(inbound(&site, 0));
    let mut new = site.connect(again(laptop("laptop.example"), &old), HOME);
    assert!(new.is_up() && old.is_up());
    assert_eq!((new.addresses(), &site.routed), (address.clone(), &address), "the host has nothing to do");
    assert_eq!(
        site.installed[1].1,
        Some(inbound(&site, 0)),
        "packets go by the old pair until the client uses the new one"
    );

    site.do_task(&mut old, Task::Close);
    assert_eq!((&site.routed, site.users().len()), (&address, 1));
    site.do_task(&mut new, Task::RekeyChild);
    assert!(new.is_up());
    site.do_task(&mut new, Task::Close);
    assert!(site.routed.is_empty() && site.users().is_empty() && site.removed.len() == 3);
}

#[test]
fn a_person_who_logs_in_again_keeps_the_address_too() {
    for devices in ["", ", devices = 1"] {
        let mut site = with_users(&format!("alice = {{ password = \"correct horse\"{devices} }}"));
        let mut client = site.connect(person(&site, "alice", "correct horse"), HOME);
        let address = client.addresses();
        for _ in 0..5 {
            let new = site.connect(again(person(&site, "alice", "correct horse"), &client), HOME);
            assert!(new.is_up());
            assert_eq!((new.addresses(), &site.routed), (address.clone(), &address));
            site.do_task(&mut client, Task::Close);
            client = new;
        }
        assert_eq!(site.users(), ["alice"]);
    }
}

#[test]
fn a_session_that_is_given_up_gives_the_address_back() {
    let mut site = with_psk("10.83.20.0/24");
    let mut old = site.connect(laptop("laptop.example"), HOME);
    let address = old.addresses();
    let mut new = site.connect(again(laptop("laptop.example"), &old), HOME);
    site.do_task(&mut new, Task::Close);
    assert_eq!((&site.routed, site.users().len()), (&address, 1));
    let mut third = site.connect(again(laptop("laptop.example"), &old), HOME);
    assert_eq!(third.addresses(), address);
    site.do_task(&mut old, Task::Close);
    site.do_task(&mut third, Task::Close);
    assert!(site.routed.is_empty() && site.users().is_empty());
}

#[test]
fn nobody_else_gets_an_address_by_asking_for_it() {
    let mut site = with_psk("10.83.20.0/24");
    let holder = site.connect(laptop("laptop.example"), HOME);
    for (name, from, port) in
        [("other.example", HOME, 500), ("laptop.example", HOME, 61000), ("laptop.example", AWAY, 500)]
    {
        let other = site.connect_from(again(laptop(name), &holder), from, port);
        assert!(other.is_up() && other.addresses() != holder.addresses(), "{name} {from} {port}");
    }
    assert_eq!((site.users().len(), site.routed.len()), (4, 4));
}

#[test]
fn which_sessions_of_one_client_stay() {
    // By identity or as a user of EAP; with INITIAL_CONTACT or without; from the same place or another: how many stay.
    let cases = [
        ("keep", [2, 2, 1, 2], [2, 2, 1, 2]),
        ("replace", [1, 1, 1, 1], [1, 1, 1, 1]),
        ("never", [2, 2, 2, 2], [2, 2, 2, 2]),
    ];
    for (unique, by_identity, by_eap) in cases {
        let circumstances = [(false, HOME), (false, AWAY), (true, HOME), (true, AWAY)];
        for (nth, (initial_contact, from)) in circumstances.into_iter().enumerate() {
            for (expected, is_eap) in [(by_identity[nth], false), (by_eap[nth], true)] {
                let mut site = with_unique(unique);
                let config = |site: &Site| {
                    if is_eap { person(site, "alice", "correct horse") } else { laptop("laptop.example") }
                };
                let first = site.connect(config(&site), HOME);
                site.now.instant += Duration::from_secs(1);
                let second = site.connect(ClientConfig { initial_contact, ..config(&site) }, from);
                assert!(first.is_up() && second.is_up());
                let left = (site.users().len(), site.routed.len());
                assert_eq!(left, (expected, expected), "{unique}, eap {is_eap}, contact {initial_contact}, {from}");
            }
        }
    }
}

#[test]
fn who_replaces_hands_the_address_over_all_the_same() {
    let mut site = with_unique("replace");
    let old = site.connect(laptop("laptop.example"), HOME);
    let new = site.connect(again(laptop("laptop.example"), &old), HOME);
    assert!(new.is_up());
    assert_eq!((new.addresses(), site.routed.clone()), (old.addresses(), old.addresses()));
    assert_eq!((site.users().len(), site.removed.clone()), (1, vec![inbound(&site, 0)]));
    assert!(site.headlines("laptop.example")[0].contains("connected again"), "{:?}", site.headlines("laptop.example"));
}

#[test]
fn a_device_that_has_fallen_silent_makes_room_for_another() {
    let mut site = with_users("alice = { password = \"correct horse\", devices = 1 }");
    let lost = site.connect(person(&site, "alice", "correct horse"), HOME);
    let address = lost.addresses();
    site.now.instant += Duration::from_secs(20);
    site.hear(inbound(&site, 0));
    site.now.instant += Duration::from_secs(20);
    assert!(!site.connect(person(&site, "alice", "correct horse"), AWAY).is_up(), "it was heard 20 seconds ago");
    site.now.instant += Duration::from_secs(20);
    let other = site.connect(person(&site, "alice", "correct horse"), AWAY);
    assert!(other.is_up());
    assert_eq!((site.users(), other.addresses()), (vec!["alice".to_owned()], address));
}

#[test]
fn an_address_is_not_lost_when_a_session_between_two_others_goes_first() {
    let mut site = with_psk("10.83.20.0/24");
    let first = site.connect(laptop("laptop.example"), HOME);
    let address = first.addresses();
    let mut second = site.connect(again(laptop("laptop.example"), &first), HOME);
    let mut third = site.connect(again(laptop("laptop.example"), &first), HOME);
    site.do_task(&mut second, Task::Close);
    let mut fourth = site.connect(again(laptop("laptop.example"), &first), HOME);
    assert_eq!((third.addresses(), fourth.addresses(), &site.routed), (address.clone(), address.clone(), &address));
    site.do_task(&mut third, Task::Close);
    site.do_task(&mut fourth, Task::Close);
    assert_eq!((&site.routed, site.users().len()), (&address, 1), "the first has it again");
    let fifth = site.connect(again(laptop("laptop.example"), &first), HOME);
    assert_eq!(fifth.addresses(), address);
}
