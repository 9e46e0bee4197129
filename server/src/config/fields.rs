//! Keys that mean the same in `[remote]` and in `[site.NAME]`: identities, networks, algorithms, lifetimes.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use cygnet_ike::proposal::{NotationError, PolicyName};
use ipnet::IpNet;

use super::checked::{Crl, CrlPolicy, Lifetimes, Policy, Proposals};
use super::nearest::nearest;
use super::problem::{Located, Problem};
use super::reader::{Section, Value};
use super::source::Source;
use super::{Secret, certificate, defaults, names};

/// A key that is true or false.
pub(super) fn flag(section: &Section<'_>, key: &'static str, default: bool) -> bool {
    section.value(key).and_then(|v| v.boolean()).unwrap_or(default)
}

/// One of `known` words; `what` names the kind of thing in messages.
pub(super) fn word<T: Copy>(value: &Value<'_>, what: &str, known: &[(&'static str, T)]) -> Option<T> {
    let text = value.text()?.value;
    let found = known.iter().find(|(name, _)| *name == text).map(|(_, meaning)| *meaning);
    found.or_else(|| {
        let help = match nearest(text, known.iter().map(|(name, _)| *name)) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => {
                let names: Vec<String> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
                format!("write {}", names.join(" or "))
            }
        };
        value.error(format!("unknown {what} \"{text}\""), "", Some(help))
    })
}

/// An IKE identity in text form.
pub(super) fn identity_text(value: &Value<'_>) -> Option<Located<String>> {
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

/// What identities look like.
pub(super) const IDENTITY_HELP: &str =
    "write an IP address, a DNS name such as gw.example.org, a mail address such as alice@example.org, or keyid:text";

/// Networks without bits behind their prefix.
pub(super) fn networks(section: &Section<'_>, key: &'static str) -> Vec<Located<IpNet>> {
    let items = section.value(key).map(|v| v.items()).unwrap_or_default();
    items.iter().filter_map(network).collect()
}

/// One network without bits behind its prefix; a bare address is a network of full length.
pub(super) fn network(value: &Value<'_>) -> Option<Located<IpNet>> {
    let text = value.text()?;
    let network = network_text(value, text.value, None)?;
    Some(Located { value: network, spot: text.spot })
}

/// Reads `text`, which is (part of) what `value` holds, as a network.
pub(super) fn network_text(value: &Value<'_>, text: &str, help: Option<&str>) -> Option<IpNet> {
    let parsed = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let Some(network) = parsed else {
        let label = if help.is_none() { "expected something like \"10.20.0.0/24\"" } else { "" };
        return value.error(format!("\"{text}\" is not a network"), label, help.map(str::to_owned));
    };
    if network.addr() != network.network() {
        let help = format!("the network is \"{}\"", network.trunc());
        return value.error(format!("\"{text}\" has bits behind its prefix"), "", Some(help));
    }
    Some(network)
}

/// One value or a list of them, each parsed.
pub(super) fn parsed_list<T: std::str::FromStr>(
    section: &Section<'_>,
    key: &'static str,
    what: &str,
) -> Vec<Located<T>> {
    let items = section.value(key).map(|v| v.items()).unwrap_or_default();
    items.iter().filter_map(|item| item.parse(what)).collect()
}

/// `policy`: named sets of algorithms.
pub(super) fn policies(section: &Section<'_>) -> Vec<Policy> {
    let Some(value) = section.value("policy") else { return vec![Policy::Compatible] };
    let mut found: Vec<Policy> = value.items().iter().filter_map(policy).collect();
    found.dedup();
    if found.is_empty() { vec![Policy::Compatible] } else { found }
}

fn policy(value: &Value<'_>) -> Option<Policy> {
    word(value, "policy", &Policy::ALL.map(|policy| (policy.name(), policy)))
}

/// `ike` and `esp`.
pub(super) fn proposals(section: &Section<'_>) -> Proposals {
    Proposals {
        ike: suites(section, "ike", |entry| any_policy().with_ike(&[entry])),
        esp: suites(section, "esp", |entry| any_policy().with_child(&[entry])),
    }
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
                let help = suite_help(key, text, &wrong);
                value.error(wrong.to_string().replace('`', "\""), "", Some(help))
            }
        }
    };
    let items = section.value(key).map(|v| v.items()).unwrap_or_default();
    items.iter().filter_map(entry).collect()
}

/// The words of a list of algorithms, for people.
pub(super) const ALGORITHMS: &str = "ciphers aes256gcm16 aes192gcm16 aes128gcm16 chacha20poly1305 aes256 aes192 aes128; \
     integrity sha256 sha384 sha512 sha1; prfsha256 prfsha384 prfsha512 prfsha1; \
     groups x25519 ecp256 ecp384 ecp521 modp2048 modp3072 modp4096 modp1536 modp1024";

/// What to write instead of `text`.
fn suite_help(key: &str, text: &str, wrong: &NotationError) -> String {
    let entries: Vec<String> = text.split(',').map(|entry| format!("\"{}\"", entry.trim())).collect();
    match wrong {
        _ if text.contains(',') => format!("write a list:  {key} = [{}]", entries.join(", ")),
        _ if text.trim() == "default" => format!("leave `{key}` out to accept all that `policy` allows"),
        NotationError::Unknown { nearest: None, .. } => format!("there are {ALGORITHMS}"),
        _ if key == "esp" => "write it like aes256gcm16 or aes256-sha256-modp2048".to_owned(),
        _ => "write it like aes256gcm16-prfsha384-ecp384 or aes256-sha256-modp2048".to_owned(),
    }
}

fn any_policy() -> cygnet_ike::proposal::Policy {
    cygnet_ike::proposal::Policy::named(&[PolicyName::Compatible])
}

/// `liveness`: when a silent peer is asked; `false` or 0: never.
pub(super) fn liveness(section: &Section<'_>) -> Option<Duration> {
    let Some(value) = section.value("liveness") else { return Some(defaults::LIVENESS) };
    if value.is_boolean() {
        return if value.boolean() == Some(false) { None } else { Some(defaults::LIVENESS) };
    }
    value.duration().filter(|d| !d.is_zero())
}

/// A time span; `false` means never, and without the key it is `default`.
pub(super) fn span(
    section: &Section<'_>,
    key: &'static str,
    range: &RangeInclusive<Duration>,
    default: Option<Duration>,
) -> Option<Duration> {
    let Some(value) = section.value(key) else { return default };
    if value.is_boolean() {
        return if value.boolean() == Some(false) { None } else { default };
    }
    let written = value.duration()?;
    if range.contains(&written) {
        return Some(written);
    }
    let text = |d: &Duration| format!("{:#}", jiff::SignedDuration::try_from(*d).unwrap_or_default());
    let label = format!("expected {} to {}, or false for never", text(range.start()), text(range.end()));
    value.error(format!("`{}` is out of range", value.path()), label, None)
}

/// `child_lifetime` and `ike_lifetime`.
pub(super) fn lifetimes(section: &Section<'_>, default: Lifetimes) -> Lifetimes {
    let span = |key, default| span(section, key, &defaults::LIFETIME_RANGE, default);
    Lifetimes { child: span("child_lifetime", default.child), ike: span("ike_lifetime", default.ike), ..default }
}

/// The name of a post-quantum key: what both sides write, octet by octet.
pub(super) fn ppk_id(value: &Value<'_>) -> Option<String> {
    let text = value.text()?.value;
    if let Err(reason) = names::check_ppk_id(text) {
        return value.error(format!("\"{text}\" cannot name a post-quantum key: {reason}"), "", None);
    }
    Some(text.to_owned())
}

/// A post-quantum key: text, or octets in hexadecimal behind `0x`. One that can be guessed adds nothing (RFC 8784 section 6
/// asks for 256 bits of entropy).
pub(super) fn ppk_secret(source: &Source<'_>, value: &Value<'_>) -> Option<Secret> {
    let secret = source.secret(value)?.value;
    let text = std::str::from_utf8(secret.expose()).unwrap_or_default();
    let secret = match text.strip_prefix("0x").map(octets) {
        None => secret,
        Some(Some(octets)) => Secret::new(octets),
        Some(None) => {
            let help = "behind 0x stands an even number of the digits 0 to 9 and a to f";
            return value.error("this is not hexadecimal", "", Some(help.into()));
        }
    };
    if secret.expose().len() < defaults::PPK_GOOD_LENGTH {
        let problem = Problem::warning("this post-quantum key is too short to help").at(value.spot, "");
        source.problems.report(problem.help("it needs 256 random bits:  echo 0x$(openssl rand -hex 32)"));
    }
    Some(secret)
}

fn octets(hexadecimal: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, []) = hexadecimal.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?)).collect()
}

/// `crl` and `crl_files`.
pub(super) fn crl(source: &Source<'_>, section: &Section<'_>) -> Crl {
    const POLICIES: [(&str, CrlPolicy); 3] =
        [("strict", CrlPolicy::Strict), ("ifuri", CrlPolicy::IfUri), ("relaxed", CrlPolicy::Relaxed)];
    let policy = section.value("crl").and_then(|value| word(&value, "CRL policy", &POLICIES));
    let items = section.value("crl_files").map(|v| v.items()).unwrap_or_default();
    let file = |item: &Value<'_>| {
        let bytes = source.public_file(item)?.value;
        let path = source.resolve(item.text()?.value.trim_start_matches("file:"));
        match certificate::revocation_lists(&bytes) {
            Some(_) => Some(path),
            None => {
                item.error("there is no CRL in this file", "", Some("it must be DER, or PEM (BEGIN X509 CRL)".into()))
            }
        }
    };
    Crl { policy: policy.unwrap_or(CrlPolicy::Relaxed), files: items.iter().filter_map(file).collect() }
}
