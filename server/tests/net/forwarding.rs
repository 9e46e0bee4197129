//! Kernel switches.

use cygnet_server::net::forwarding::{Families, enable, is_enabled};
use cygnet_server::net::link::InterfaceName;

use crate::netns::Namespace;

const BOTH: Families = Families { v4: true, v6: true };

fn host() -> (Namespace, InterfaceName) {
    let host = Namespace::new();
    host.ip("tuntap add dev cygnet0 mode tun");
    host.ip("tuntap add dev wan0 mode tap");
    for path in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
        host.sysctl(path, "0");
    }
    (host, InterfaceName::new("cygnet0").unwrap())
}

#[test]
fn forwarding_is_switched_on_once() {
    let (host, tun) = host();
    assert_eq!(host.enter(is_enabled), Families::default());
    let changed = host.enter(|| enable(BOTH, &tun).unwrap());
    assert!(changed.iter().any(|c| c.path.ends_with("ipv4/ip_forward") && c.old == "0" && c.new == "1"));
    assert_eq!(host.enter(is_enabled), BOTH);
    assert_eq!(host.read_sysctl("net/ipv4/conf/cygnet0/rp_filter"), "2");
    assert_eq!(host.read_sysctl("net/ipv4/conf/cygnet0/accept_redirects"), "0");
    assert_eq!(host.enter(|| enable(BOTH, &tun).unwrap()), []);
}

#[test]
fn only_the_families_in_use_are_touched() {
    let (host, tun) = host();
    host.enter(|| enable(Families { v4: true, v6: false }, &tun).unwrap());
    assert_eq!(host.enter(is_enabled), Families { v4: true, v6: false });
}

#[test]
fn an_uplink_keeps_listening_to_router_advertisements() {
    let (host, tun) = host();
    host.sysctl("net/ipv6/conf/wan0/accept_ra", "1");
    host.sysctl("net/ipv6/conf/lo/accept_ra", "0");
    host.enter(|| enable(BOTH, &tun).unwrap());
    assert_eq!(host.read_sysctl("net/ipv6/conf/wan0/accept_ra"), "2");
    assert_eq!(host.read_sysctl("net/ipv6/conf/lo/accept_ra"), "0");
}

#[test]
fn a_missing_setting_is_named() {
    let (host, _) = host();
    let missing = InterfaceName::new("cygnet9").unwrap();
    let error = host.enter(|| enable(BOTH, &missing).unwrap_err()).to_string();
    assert!(error.starts_with("cannot set /proc/sys/net/ipv4/conf/cygnet9/rp_filter to 2"), "{error}");
}
