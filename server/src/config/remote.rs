//! `[remote]` and `[psk]`: from text to types, key by key. What depends on several keys is checked in `crosscheck.rs`.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;

use super::certificate::{self, LocatedIdentity};
use super::checked::{Crl, EapMethod, Lifetimes, Nat, Policy, Ppk, Proposals, Protocol, PskEntry, PskSelector, Unique};
use super::fields::{self, IDENTITY_HELP, identity_text, networks, parsed_list};
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
    pub(super) identities: Vec<LocatedIdentity>,
    pub(super) cert_given: bool,
    pub(super) client_ca: Option<Located<Vec<Vec<u8>>>>,
    pub(super) crl: Crl,
    pub(super) eap: RawEap,
    /// Where it is switched on.
    pub(super) eap_only: Option<Spot>,
    pub(super) ppks: Vec<Located<Ppk>>,
    /// Where it is switched on.
    pub(super) ppk_required: Option<Spot>,
    pub(super) unique: Unique,
    pub(super) reauthentication: Option<Duration>,
    pub(super) lifetimes: Lifetimes,
    pub(super) mobike: bool,
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

impl RawRemote {
    /// How IKEv2 clients may log in by EAP: as the file says, otherwise what is possible.
    pub(super) fn eap_methods(&self, has_users: bool) -> Vec<EapMethod> {
        if let Some(named) = &self.eap.named {
            return named.iter().map(|method| method.value).collect();
        }
        let possible = [(has_users, EapMethod::MsChapV2), (self.client_ca.is_some(), EapMethod::Tls)];
        possible.into_iter().filter(|(possible, _)| *possible).map(|(_, method)| method).collect()
    }
}

/// The tables of keys beside `[remote]`.
pub(super) struct KeyTables<'a> {
    /// `[psk]`.
    pub(super) psk: Option<Value<'a>>,
    /// `[ppk]`.
    pub(super) ppk: Option<Value<'a>>,
}

/// Reads `[remote]`.
pub(super) fn read(source: &Source<'_>, section: &Section<'_>, tables: &KeyTables<'_>) -> RawRemote {
    let flag = |key, default| fields::flag(section, key, default);
    let psk = tables.psk.as_ref();
    let switched_on =
        |key| section.value(key).filter(|value| value.boolean() == Some(true)).map(|value| value.key_spot);
    RawRemote {
        spot: section.spot,
        protocols: protocols(source, section),
        name_given: section.value("name").is_some(),
        name: section.value("name").and_then(|v| server_name(&v)),
        id: section.value("id").and_then(|v| identity_text(&v)),
        listen: parsed_list(section, "listen", "an IP address").into_iter().map(|a| a.value).collect(),
        psk_given: section.value("psk").is_some() || psk.is_some(),
        psks: pre_shared_keys(source, section, psk),
        identities: certificate::server_identities(source, section),
        cert_given: section.value("cert").is_some(),
        client_ca: certificate::client_authorities(source, section),
        crl: fields::crl(source, section),
        eap: eap(source, section),
        eap_only: switched_on("eap_only"),
        ppks: tables.ppk.as_ref().map(|table| post_quantum_keys(source, table)).unwrap_or_default(),
        ppk_required: switched_on("ppk_required"),
        unique: section
            .value("unique")
            .and_then(|value| fields::word(&value, "policy", &UNIQUE))
            .unwrap_or(Unique::Keep),
        reauthentication: fields::span(section, "reauth", &defaults::REAUTH_RANGE, None),
        lifetimes: fields::lifetimes(section, defaults::CLIENT_LIFETIMES),
        mobike: flag("mobike", true),
        pool_given: section.value("pool").is_some_and(|v| !v.items().is_empty()),
        pools: networks(section, "pool"),
        dns: parsed_list(section, "dns", "an IP address"),
        dns_domains: dns_domains(section),
        routes: networks(section, "routes"),
        nat: nat(source, section),
        policy: fields::policies(section),
        proposals: fields::proposals(section),
        force_udp_encap: flag("force_udp_encap", false),
        client_to_client: flag("client_to_client", false),
        rsa_sha1: flag("rsa_sha1", true),
        liveness: fields::liveness(section),
        replay_window: replay_window(section),
        mtu: section.value("mtu").and_then(|v| v.integer(defaults::MTU_RANGE, "bytes")),
        nbns: legacy::nbns(source, section),
        legacy: legacy::read(source, section),
    }
}

const UNIQUE: [(&str, Unique); 3] = [("replace", Unique::Replace), ("keep", Unique::Keep), ("never", Unique::Never)];
const EAP: [(&str, EapMethod); 2] = [("mschapv2", EapMethod::MsChapV2), ("tls", EapMethod::Tls)];

/// `eap`: what the file names, and where; what is possible is decided later.
pub(super) struct RawEap {
    pub(super) named: Option<Vec<Located<EapMethod>>>,
}

fn eap(source: &Source<'_>, section: &Section<'_>) -> RawEap {
    let Some(value) = section.value("eap") else { return RawEap { named: None } };
    let mut named: Vec<Located<EapMethod>> = Vec::new();
    for item in value.items() {
        let Some(method) = fields::word(&item, "EAP method", &EAP) else { continue };
        if let Some(first) = named.iter().find(|other| other.value == method) {
            let problem = Problem::warning("this EAP method is named twice").at(item.spot, "").at(first.spot, "first");
            source.problems.report(problem.help("remove one of them"));
            continue;
        }
        named.push(Located { value: method, spot: item.spot });
    }
    RawEap { named: Some(named) }
}

fn post_quantum_keys(source: &Source<'_>, table: &Value<'_>) -> Vec<Located<Ppk>> {
    let entry = |(id, value): (Located<&str>, Value<'_>)| {
        if let Err(reason) = names::check_ppk_id(id.value) {
            return value.error(format!("\"{}\" cannot name a post-quantum key: {reason}", id.value), "", None);
        }
        let secret = fields::ppk_secret(source, &value)?;
        Some(Located { value: Ppk { id: id.value.to_owned(), secret }, spot: id.spot })
    };
    table.entries().into_iter().filter_map(entry).collect()
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
