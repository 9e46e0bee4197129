//! Frames like those of stock clients, and scripts for a link.

mod auth;
mod eap_tls;
mod inner;

use cygnet_ppp::testing::{LineQuality, Pair, Profile};
use cygnet_ppp::{LinkConfig, frame};

/// One file of the corpus.
pub(crate) struct Seed {
    /// The fuzz target that takes it.
    pub(crate) target: &'static str,
    /// Name of the file.
    pub(crate) name: String,
    /// Its content.
    pub(crate) bytes: Vec<u8>,
}

/// The seeds of all targets.
pub(crate) fn all() -> Vec<Seed> {
    let seed = |target| move |(name, bytes): (&str, Vec<u8>)| Seed { target, name: name.to_owned(), bytes };
    let parsers = frames().map(seed("frame")).chain(options().map(seed("options"))).chain(eap().map(seed("eap")));
    let services = inner::dhcp().map(seed("dhcp")).chain(inner::dhcpv6().map(seed("dhcpv6")));
    let services = services.chain(inner::packets().map(seed("inner"))).chain(auth::logins().map(seed("auth")));
    let services = services.chain(eap_tls::handshakes().map(seed("eap_tls")));
    parsers.chain(scripts().map(seed("link"))).chain(sessions()).chain(services).collect()
}

/// Scripts of `cygnet_ppp::fuzzing::link`: set-up, then operations.
fn scripts() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    const EXCHANGE: u8 = 0;
    const PASS: u8 = 5;
    const RAW: u8 = 6;
    const INJECT: u8 = 7;
    const LOSE_UP: u8 = 9;
    const LOSE_DOWN: u8 = 10;
    const JUDGE: u8 = 11;
    const GRANT: u8 = 12;
    const HEARD: u8 = 13;
    const CLOSE: u8 = 14;
    const ANEW: u8 = 15;
    let login = |setup: u8| [vec![setup], vec![EXCHANGE; 6], vec![JUDGE, 1, EXCHANGE, EXCHANGE, GRANT]].concat();
    let up = |setup: u8| [login(setup), vec![EXCHANGE; 12]].concat();
    [
        ("windows", up(0)),
        ("macos", up(1)),
        ("android", up(2)),
        (
            "pppd_eap",
            [vec![0x07], vec![EXCHANGE; 6], vec![JUDGE, 1], vec![EXCHANGE; 4], vec![GRANT], vec![EXCHANGE; 9]].concat(),
        ),
        ("wrong_password", [vec![0], vec![EXCHANGE; 6], vec![JUDGE, 0], vec![EXCHANGE; 6]].concat()),
        ("late_grant", [vec![0], vec![EXCHANGE; 6], vec![JUDGE, 1], vec![EXCHANGE; 6], vec![GRANT, EXCHANGE]].concat()),
        ("anew", [up(3), vec![ANEW], vec![EXCHANGE; 8], vec![JUDGE, 1], vec![EXCHANGE; 8]].concat()),
        ("lost", [vec![0, LOSE_UP, LOSE_DOWN, PASS, 11, EXCHANGE, LOSE_DOWN, PASS, 30], vec![EXCHANGE; 6]].concat()),
        ("silent", [up(1), vec![PASS, 255, HEARD, PASS, 255, PASS, 255, EXCHANGE, PASS, 255, CLOSE, 0]].concat()),
        ("echo", [up(1), vec![INJECT, 0, 9, 1, 6, 1, 2, 3, 4, 5, 6, INJECT, 0, 8, 1, 4, 0x80, 0x21, 1, 1]].concat()),
        (
            "ipcp",
            [up(0), vec![INJECT, 1, 1, 9, 12, 3, 6, 1, 2, 3, 4, 2, 6, 0, 0x2d, 15, 1, INJECT, 1, 5, 1, 0]].concat(),
        ),
        ("ipv6cp", [up(0), vec![INJECT, 2, 1, 9, 10, 1, 10, 0, 0, 0, 0, 0, 0, 0, 1, INJECT, 6, 1, 1, 0]].concat()),
        ("goodbye", [up(2), vec![INJECT, 0, 5, 1, 0, PASS, 11]].concat()),
        ("raw", [login(0), vec![RAW, 7, 0xff, 3, 0xc0, 0x21, 12, 2, 0, EXCHANGE]].concat()),
    ]
    .into_iter()
}

/// All frames of one session per client, as one file each.
fn sessions() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for profile in Profile::all() {
        let name = profile.name;
        let mut pair = Pair::new(LinkConfig::new("gateway", 1400), profile, LineQuality::PERFECT, 1);
        pair.run_for(std::time::Duration::from_secs(1));
        for (n, sent) in pair.sent.iter().enumerate().filter(|(_, sent)| is_control(sent)) {
            seeds.push(Seed { target: "frame", name: format!("to_{name}_{n:02}"), bytes: sent.to_vec() });
        }
    }
    seeds
}

/// Not the advertisements to the client's own stack.
fn is_control(sent: &[u8]) -> bool {
    frame::parse(sent).is_ok_and(|(protocol, _)| protocol.0 >= 0x8000)
}

fn frames() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    [
        ("empty_request", vec![0xff, 0x03, 0xc0, 0x21, 1, 2, 0, 4]),
        ("short_ipv4", vec![0x21, 0x45, 0, 0, 20]),
        ("ipcp_without_address", vec![0x80, 0x21, 1, 1, 0, 10, 3, 6, 0, 0, 0, 0]),
        ("identification", [&[0xff, 3, 0xc0, 0x21, 12, 2, 0, 18, 1, 2, 3, 4][..], b"MSRASV5.20"].concat()),
        ("padded", vec![0xff, 0x03, 0xc0, 0x21, 9, 1, 0, 8, 1, 2, 3, 4, 0, 0, 0]),
    ]
    .into_iter()
}

fn options() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    [
        ("windows", vec![1, 4, 5, 0x78, 5, 6, 0x12, 0x34, 0x56, 0x78, 7, 2, 8, 2, 13, 3, 6]),
        ("macos", vec![2, 6, 0, 0, 0, 0, 5, 6, 1, 2, 3, 4, 7, 2, 8, 2]),
        ("gateway", vec![1, 4, 5, 0x78, 3, 5, 0xc2, 0x23, 0x81, 5, 6, 1, 2, 3, 4]),
        ("name_servers", [3_u8, 129, 130, 131, 132].into_iter().flat_map(|kind| [kind, 6, 0, 0, 0, 0]).collect()),
        ("identifier", vec![1, 10, 2, 0x11, 0x22, 0xff, 0xfe, 0x33, 0x44, 0x55]),
        ("many", (0..32).flat_map(|kind| [kind, 2]).collect()),
    ]
    .into_iter()
}

fn eap() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let response = |length: u8| vec![2, 7, 0, length + 5, 26];
    [
        ("identity", [&[2, 1, 0, 9, 1][..], b"anna"].concat()),
        ("nak", vec![2, 1, 0, 7, 3, 13, 25]),
        ("success", vec![3, 9, 0, 4]),
        ("mschapv2_response", [response(58), vec![2, 7, 0, 58, 49], vec![0x5a; 49], b"anna".to_vec()].concat()),
        ("mschapv2_challenge", [vec![1, 7, 0, 32, 26, 1, 7, 0, 27, 16], vec![0x5a; 16], b"server".to_vec()].concat()),
        ("mschapv2_success", vec![2, 8, 0, 6, 26, 3]),
    ]
    .into_iter()
}
