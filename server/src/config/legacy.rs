//! What `[remote]` says about L2TP, XAuth and their IKEv1: from text to types, and what of it does not go together.

use std::net::Ipv4Addr;

use super::checked::{Legacy, PppAuth, Protocol, VendorIds};
use super::defaults;
use super::nearest::nearest;
use super::problem::{Located, Problem, Spot};
use super::reader::{Section, Value};
use super::remote::RawRemote;
use super::source::Source;
use super::users::RawUsers;

/// The settings, and where those were written that are looked at again.
pub(super) struct RawLegacy {
    pub(super) settings: Legacy,
    protocols: Spot,
    ppp_auth: Spot,
    aggressive: Spot,
    allow_weak_psk: bool,
}

/// Reads the keys.
pub(super) fn read(source: &Source<'_>, section: &Section<'_>) -> RawLegacy {
    let spot = |key| section.value(key).map_or(section.spot, |value| value.spot);
    let flag = |key| section.value(key).and_then(|value| value.boolean()).unwrap_or(false);
    let limit = |key, what| {
        let given = section.value(key).and_then(|value| value.integer(defaults::L2TP_LIMIT_RANGE, what));
        given.unwrap_or(defaults::L2TP_LIMIT)
    };
    RawLegacy {
        settings: Legacy {
            ppp_auth: ppp_auth(source, section),
            l2tp_tunnels: limit("l2tp_tunnels", "tunnels"),
            l2tp_sessions: limit("l2tp_sessions", "sessions"),
            aggressive: flag("aggressive"),
            vendor_ids: section.value("vendor_ids").and_then(|value| vendor_ids(&value)).unwrap_or(VendorIds::Needed),
            sha256_96: flag("sha256_96"),
        },
        protocols: spot("protocols"),
        ppp_auth: spot("ppp_auth"),
        aggressive: spot("aggressive"),
        allow_weak_psk: flag("allow_weak_psk"),
    }
}

/// The name of a method in the configuration.
const PPP_AUTH_NAMES: [(&str, PppAuth); 4] =
    [("mschapv2", PppAuth::MsChapV2), ("eap", PppAuth::Eap), ("chap-md5", PppAuth::ChapMd5), ("pap", PppAuth::Pap)];

fn ppp_auth(source: &Source<'_>, section: &Section<'_>) -> Vec<PppAuth> {
    let Some(value) = section.value("ppp_auth") else { return defaults::PPP_AUTH.to_vec() };
    let items = value.items();
    if items.is_empty() {
        let problem = Problem::error("`remote.ppp_auth` is empty").at(value.spot, "nobody could log in");
        source.problems.report(problem.help("write [\"mschapv2\", \"eap\"], or remove the key"));
    }
    let mut found: Vec<PppAuth> = Vec::new();
    for method in items.iter().filter_map(ppp_method) {
        if !found.contains(&method) {
            found.push(method);
        }
    }
    found
}

fn ppp_method(value: &Value<'_>) -> Option<PppAuth> {
    let text = value.text()?.value;
    let known = PPP_AUTH_NAMES.iter().find(|(name, _)| *name == text);
    known.map(|(_, method)| *method).or_else(|| {
        let names = PPP_AUTH_NAMES.map(|(name, _)| name);
        let help = match nearest(text, names) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("known ones: {}", names.join(", ")),
        };
        value.error(format!("unknown PPP authentication \"{text}\""), "", Some(help))
    })
}

fn vendor_ids(value: &Value<'_>) -> Option<VendorIds> {
    match value.text()?.value {
        "needed" => Some(VendorIds::Needed),
        "none" => Some(VendorIds::None),
        other => {
            let help = "write \"needed\", or \"none\" for clients that stumble over vendor ids";
            value.error(format!("`remote.vendor_ids` cannot be \"{other}\""), "", Some(help.into()))
        }
    }
}

/// Reads `nbns`.
pub(super) fn nbns(source: &Source<'_>, section: &Section<'_>) -> Vec<Ipv4Addr> {
    let Some(value) = section.value("nbns") else { return Vec::new() };
    let items = value.items();
    if let Some(third) = items.get(defaults::NBNS_MAX) {
        let problem = Problem::error("PPP can hand out two NetBIOS name servers at most").at(third.spot, "");
        source.problems.report(problem.help("keep the two most important ones"));
    }
    items.iter().filter_map(|item| item.parse::<Ipv4Addr>("an IPv4 address")).map(|address| address.value).collect()
}

/// Looks at these keys, the pre-shared keys and the users together.
pub(super) fn check(source: &Source<'_>, remote: &RawRemote, users: &RawUsers) {
    let speaks = |protocol| remote.protocols.contains(&protocol);
    let (l2tp, xauth) = (speaks(Protocol::L2tp), speaks(Protocol::Xauth));
    pre_shared_keys(source, remote, l2tp || xauth);
    aggressive(source, remote, xauth);
    if l2tp || xauth {
        logins(source, remote, users, if l2tp { "L2TP" } else { "XAuth" });
    }
    if l2tp {
        chap_md5(source, remote, users);
    }
}

/// In IKEv1 a short key is refused: everybody who can stand between can test guesses offline (CVE-2018-5389), and all
/// users share the key, so it leaks.
fn pre_shared_keys(source: &Source<'_>, remote: &RawRemote, ikev1: bool) {
    for psk in &remote.psks {
        let length = String::from_utf8_lossy(psk.value.secret.expose()).chars().count();
        if length >= defaults::PSK_GOOD_LENGTH {
            continue;
        }
        let title = format!("this pre-shared key has only {length} characters");
        let guess = "whoever can stand between client and gateway can guess it offline; make a long one:  openssl rand -base64 24";
        let problem = if ikev1 && !remote.legacy.allow_weak_psk {
            let least = defaults::PSK_GOOD_LENGTH;
            let help =
                format!("{guess}  (L2TP and XAuth ask for {least} characters; allow_weak_psk = true takes this one)");
            Problem::error(title).at(psk.spot, "").help(help)
        } else {
            Problem::warning(title).at(psk.spot, "").help(guess)
        };
        source.problems.report(problem);
    }
}

fn aggressive(source: &Source<'_>, remote: &RawRemote, xauth: bool) {
    if !remote.legacy.settings.aggressive {
        return;
    }
    let problem =
        if xauth {
            Problem::warning("aggressive mode gives everybody who asks a hash of the pre-shared key")
            .at(remote.legacy.aggressive, "weak")
            .help("anybody on the internet can then guess the key offline, without any client being there: use it only \
                   for clients that cannot do without (a group name), with a key of 20 random characters or more, or \
                   remove the key to have main mode only")
        } else {
            Problem::warning("`aggressive` has no effect without XAuth")
                .at(remote.legacy.aggressive, "")
                .help("add \"xauth\" to `protocols`, or remove the key")
        };
    source.problems.report(problem);
}

fn logins(source: &Source<'_>, remote: &RawRemote, users: &RawUsers, name: &str) {
    let spot = remote.legacy.protocols;
    let by_certificate = remote.cert_given && remote.client_ca.is_some();
    if !remote.psk_given && !by_certificate {
        let problem = Problem::error(format!("{name} needs a pre-shared key, or certificates on both sides"))
            .at(spot, format!("{name} is wanted here"))
            .help(
                "add psk = \"file:PATH\" to [remote] (or cert, key and ca): IPsec comes first, then user and password",
            );
        source.problems.report(problem);
    }
    if users.is_empty() {
        let problem = Problem::warning(format!("nobody can log in by {name}: there are no users")).at(spot, "");
        source.problems.report(problem.help("`cygnet user add NAME` makes one"));
    }
    if !remote.pools.is_empty() && !remote.pools.iter().any(|pool| pool.value.addr().is_ipv4()) {
        let problem = Problem::warning(format!("{name} clients expect an IPv4 address, but there is no IPv4 pool"));
        source.problems.report(problem.at(spot, "").help("add an IPv4 network to `pool`"));
    }
}

fn chap_md5(source: &Source<'_>, remote: &RawRemote, users: &RawUsers) {
    if !remote.legacy.settings.ppp_auth.contains(&PppAuth::ChapMd5) {
        return;
    }
    let hashed: Vec<&Located<_>> = users.values().filter(|user| user.value.user.password.is_none()).collect();
    if let Some(first) = hashed.first() {
        let others = match hashed.len() {
            1 => String::new(),
            2 => " and one more".to_owned(),
            n => format!(" and {} more", n - 1),
        };
        let title = format!("the user \"{}\"{others} cannot log in by CHAP-MD5", first.value.user.name);
        let problem = Problem::warning(title)
            .at(first.spot, "only the NT hash is known")
            .at(remote.legacy.ppp_auth, "CHAP-MD5 needs the password itself")
            .help("write password = \"...\" instead of `nt_hash`, or remove \"chap-md5\"; MS-CHAPv2 and PAP work with the hash");
        source.problems.report(problem);
    }
}
