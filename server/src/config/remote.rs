//! `[remote]` and `[psk]`: from text to types, key by key. What depends on several keys is checked in `crosscheck.rs`.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use cygnet_ike::proposal::{NotationError, PolicyName};
use ipnet::IpNet;

use super::certificate::{self, LocatedIdentity};
use super::checked::{Nat, Policy, Proposals, Protocol, PskEntry, PskSelector};
use super::legacy::{self, RawLegacy};
use super::nearest::nearest;
use super::problem::{Located, Problem, Spot};
use super::reader::{Section, Value};
use super::source::Source;
use super::{defaults, names};

/// `[remote]` as far as each key can be judged alone.
pub(super) struct RawRemote {
    /// Where `[remote]` is.
    pub(super) spot: Spot,
    pub(super) protocols: Vec<Protocol>,
    /// The file has `name`, whether or not it makes sense; likewise below.
    pub(super) name_given: bool,
    pub(super) name: Option<Located<String>>,
    pub(super) id: Option<Located<String>>,
    pub(super) listen: Vec<IpAddr>,
    pub(super) psk_given: bool,
    pub(super) psks: Vec<Located<PskEntry>>,
    pub(super) identity: Option<LocatedIdentity>,
    pub(super) cert_given: bool,
    pub(super) client_ca: Option<Located<Vec<Vec<u8>>>>,
    pub(super) pool_given: bool,
    pub(super) pools: Vec<Located<IpNet>>,
    pub(super) dns: Vec<Located<IpAddr>>,
    pub(super) dns_domains: Vec<Located<String>>,
    pub(super) routes: Vec<Located<IpNet>>,
    pub(super) nat: Nat,
    pub(super) policy: Vec<Policy>,
    pub(super) proposals: Proposals,
    pub(super) force_udp_encap: bool,
    pub(super) client_to_client: bool,
    pub(super) rsa_sha1: bool,
    pub(super) liveness: Option<Duration>,
    pub(super) replay_window: u32,
    pub(super) mtu: Option<u16>,
    pub(super) nbns: Vec<Ipv4Addr>,
    pub(super) legacy: RawLegacy,
}

/// Reads `[remote]`; `psk` is the table `[psk]`.
pub(super) fn read(source: &Source<'_>, section: &Section<'_>, psk: Option<&Value<'_>>) -> RawRemote {
    let flag = |key, default| section.value(key).and_then(|v| v.boolean()).unwrap_or(default);
    RawRemote {
        spot: section.spot,
        protocols: protocols(source, section),
        name_given: section.value("name").is_some(),
        name: section.value("name").and_then(|v| server_name(&v)),
        id: section.value("id").and_then(|v| identity_text(&v)),
        listen: parsed_list(section, "listen", "an IP address").into_iter().map(|a| a.value).collect(),
        psk_given: section.value("psk").is_some() || psk.is_some(),
        psks: pre_shared_keys(source, section, psk),
        identity: certificate::server_identity(source, section),
        cert_given: section.value("cert").is_some(),
        client_ca: certificate::client_authorities(source, section),
        pool_given: section.value("pool").is_some_and(|v| !v.items().is_empty()),
        pools: networks(section, "pool"),
        dns: parsed_list(section, "dns", "an IP address"),
        dns_domains: dns_domains(section),
        routes: networks(section, "routes"),
        nat: nat(source, section),
        policy: policies(section),
        proposals: Proposals {
            ike: suites(section, "ike", |entry| any_policy().with_ike(&[entry])),
            esp: suites(section, "esp", |entry| any_policy().with_child(&[entry])),
        },
        force_udp_encap: flag("force_udp_encap", false),
        client_to_client: flag("client_to_client", false),
        rsa_sha1: flag("rsa_sha1", true),
        liveness: liveness(section),
        replay_window: replay_window(section),
        mtu: section.value("mtu").and_then(|v| v.integer(defaults::MTU_RANGE, "bytes")),
        nbns: legacy::nbns(source, section),
        legacy: legacy::read(source, section),
    }
}

fn protocols(source: &Source<'_>, section: &Section<'_>) -> Vec<Protocol> {
    let Some(value) = section.value("protocols") else { return vec![Protocol::Ikev2] };
    let items = value.items();
    if items.is_empty() {
        source
            .problems
            .report(Problem::error("`remote.protocols` is empty").at(value.spot, "").help("write [\"ikev2\"]"));
    }
    items.iter().filter_map(protocol).collect()
}

fn protocol(value: &Value<'_>) -> Option<Protocol> {
    match value.text()?.value {
        "ikev2" => Some(Protocol::Ikev2),
        "l2tp" => Some(Protocol::L2tp),
        "xauth" => Some(Protocol::Xauth),
        other => {
            let help = match nearest(other, ["ikev2", "l2tp", "xauth"]) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "known protocols: \"ikev2\", \"l2tp\", \"xauth\"".to_owned(),
            };
            value.error(format!("unknown protocol \"{other}\""), "", Some(help))
        }
    }
}

fn server_name(value: &Value<'_>) -> Option<Located<String>> {
    let text = value.text()?;
    if let Err(reason) = names::check_server(text.value) {
        let help = "write what users type into their device, such as \"vpn.example.org\" or \"192.0.2.1\"";
        return value.error(reason, "", Some(help.into()));
    }
    Some(Located { value: text.value.to_owned(), spot: text.spot })
}

fn identity_text(value: &Value<'_>) -> Option<Located<String>> {
    let text = value.text()?;
    if let Err(reason) = names::check_identity(text.value) {
        return value.error(
            format!("\"{}\" is not an IKE identity: {reason}", text.value),
            "",
            Some(IDENTITY_HELP.into()),
        );
    }
    Some(Located { value: text.value.to_owned(), spot: text.spot })
}

const IDENTITY_HELP: &str =
    "write an IP address, a DNS name such as gw.example.org, a mail address such as alice@example.org, or keyid:text";

fn pre_shared_keys(source: &Source<'_>, section: &Section<'_>, table: Option<&Value<'_>>) -> Vec<Located<PskEntry>> {
    let default = section.value("psk").and_then(|value| {
        if value.is_table() {
            let help =
                "remote.psk is one key for everybody; keys of single clients stand in a table of their own, [psk]";
            return value.error(
                "`remote.psk` has the wrong type",
                "expected a string, found a table",
                Some(help.into()),
            );
        }
        psk_entry(source, PskSelector::Any, &value)
    });
    let mut entries: Vec<_> = default.into_iter().collect();
    for (key, value) in table.map(Value::entries).unwrap_or_default() {
        let Some(selector) = psk_selector(&key, &value) else { continue };
        let Some(entry) = psk_entry(source, selector, &value) else { continue };
        if let Some(first) = entries.iter().find(|e| same_client(&e.value.selector, &entry.value.selector)) {
            let problem = Problem::error(format!("two pre-shared keys for \"{}\"", key.value))
                .at(entry.spot, "second key")
                .at(first.spot, "first key")
                .help("remove one of them");
            source.problems.report(problem);
            continue;
        }
        entries.push(entry);
    }
    entries
}

fn same_client(a: &PskSelector, b: &PskSelector) -> bool {
    match (a, b) {
        (PskSelector::Identity(a), PskSelector::Identity(b)) => names::check_identity(a) == names::check_identity(b),
        (a, b) => a == b,
    }
}

fn psk_selector(key: &Located<&str>, value: &Value<'_>) -> Option<PskSelector> {
    if let Ok(address) = key.value.parse::<IpAddr>() {
        return Some(PskSelector::Network(address.into()));
    }
    if let Ok(network) = key.value.parse::<IpNet>() {
        return Some(PskSelector::Network(network.trunc()));
    }
    match names::check_identity(key.value) {
        Ok(_) => Some(PskSelector::Identity(key.value.to_owned())),
        Err(reason) => {
            let help = format!("{IDENTITY_HELP}; or a network such as 192.0.2.0/24");
            value.error(format!("\"{}\" in [psk] names nobody: {reason}", key.value), "", Some(help))
        }
    }
}

fn psk_entry(source: &Source<'_>, selector: PskSelector, value: &Value<'_>) -> Option<Located<PskEntry>> {
    let secret = source.secret(value)?;
    Some(Located { value: PskEntry { selector, secret: secret.value }, spot: secret.spot })
}

fn networks(section: &Section<'_>, key: &'static str) -> Vec<Located<IpNet>> {
    let items = section.value(key).map(|v| v.items()).unwrap_or_default();
    items.iter().filter_map(network).collect()
}

fn network(value: &Value<'_>) -> Option<Located<IpNet>> {
    let text = value.text()?;
    let parsed = text.value.parse::<IpNet>().ok().or_else(|| text.value.parse::<IpAddr>().ok().map(IpNet::from));
    let Some(network) = parsed else {
        let label = "expected something like \"10.20.0.0/24\"";
        return value.error(format!("\"{}\" is not a network", text.value), label, None);
    };
    if network.addr() != network.network() {
        let help = format!("the network is \"{}\"", network.trunc());
        return value.error(format!("\"{}\" has bits behind its prefix", text.value), "", Some(help));
    }
    Some(Located { value: network, spot: text.spot })
}

fn parsed_list<T: std::str::FromStr>(section: &Section<'_>, key: &'static str, what: &str) -> Vec<Located<T>> {
    let items = section.value(key).map(|v| v.items()).unwrap_or_default();
    items.iter().filter_map(|item| item.parse(what)).collect()
}

fn dns_domains(section: &Section<'_>) -> Vec<Located<String>> {
    let domain = |value: &Value<'_>| {
        let text = value.text()?;
        if !names::is_dns_name(text.value) {
            return value.error(format!("\"{}\" is not a domain", text.value), "", None);
        }
        Some(Located { value: text.value.to_owned(), spot: text.spot })
    };
    let items = section.value("dns_domains").map(|v| v.items()).unwrap_or_default();
    items.iter().filter_map(domain).collect()
}

fn nat(source: &Source<'_>, section: &Section<'_>) -> Nat {
    let Some(value) = section.value("nat") else { return Nat::Masquerade };
    if value.is_table() {
        let problem = Problem::error("`remote.nat` as a table is not supported yet")
            .at(value.key_spot, "not in this version")
            .help("write nat = true (clients appear with the gateway's address) or nat = false (with their own)");
        source.problems.report(problem);
        return Nat::Masquerade;
    }
    if value.boolean() == Some(false) { Nat::Off } else { Nat::Masquerade }
}

fn policies(section: &Section<'_>) -> Vec<Policy> {
    let Some(value) = section.value("policy") else { return vec![Policy::Compatible] };
    let mut found: Vec<Policy> = value.items().iter().filter_map(policy).collect();
    found.dedup();
    if found.is_empty() { vec![Policy::Compatible] } else { found }
}

fn policy(value: &Value<'_>) -> Option<Policy> {
    let text = value.text()?.value;
    let known = Policy::ALL.iter().find(|p| p.name() == text).copied();
    known.or_else(|| {
        let names = Policy::ALL.map(Policy::name);
        let help = match nearest(text, names) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("known policies: {}", names.join(", ")),
        };
        value.error(format!("unknown policy \"{text}\""), "", Some(help))
    })
}

/// A list of algorithms; `check` is the engine's reading of one entry.
fn suites(
    section: &Section<'_>,
    key: &'static str,
    check: fn(&str) -> Result<cygnet_ike::proposal::Policy, NotationError>,
) -> Vec<String> {
    let entry = |value: &Value<'_>| {
        let text = value.text()?.value;
        match check(text) {
            Ok(_) => Some(text.to_owned()),
            Err(wrong) => {
                let help = "write it like aes256gcm16-prfsha384-ecp384 or aes256-sha256-modp2048 (for esp the last part may be missing)";
                value.error(wrong.to_string().replace('`', "\""), "", Some(help.into()))
            }
        }
    };
    let items = section.value(key).map(|v| v.items()).unwrap_or_default();
    items.iter().filter_map(entry).collect()
}

fn any_policy() -> cygnet_ike::proposal::Policy {
    cygnet_ike::proposal::Policy::named(&[PolicyName::Compatible])
}

fn liveness(section: &Section<'_>) -> Option<Duration> {
    let Some(value) = section.value("liveness") else { return Some(defaults::LIVENESS) };
    if value.is_boolean() {
        return if value.boolean() == Some(false) { None } else { Some(defaults::LIVENESS) };
    }
    value.duration().filter(|d| !d.is_zero())
}

fn replay_window(section: &Section<'_>) -> u32 {
    let Some(value) = section.value("replay_window") else { return defaults::REPLAY_WINDOW };
    let Some(width) = value.integer(defaults::REPLAY_WINDOW_RANGE, "packets") else { return defaults::REPLAY_WINDOW };
    let step = defaults::REPLAY_WINDOW_STEP;
    if width % step != 0 {
        let help = format!("the nearest are {} and {}", width - width % step, width - width % step + step);
        value.error::<()>(format!("`remote.replay_window` must be a multiple of {step}"), "", Some(help));
    }
    width
}
