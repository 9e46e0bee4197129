//! `[users]`, in the configuration and in the users file: who may log in with a password.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::{Timestamp, civil, tz::TimeZone};

use super::keys;
use super::names::check_user;
use super::problem::{Located, Problem};
use super::reader::{Section, Value};
use super::source::Source;
use super::{Secret, User, defaults};
use crate::auth::nt_hash::NtHash;
use crate::auth::users::canonical;

/// A user, and where their fixed addresses were written.
pub(super) struct RawUser {
    pub(super) user: User,
    pub(super) addresses: Vec<Located<IpAddr>>,
}

/// Users by the name that counts at login.
pub(super) type RawUsers = BTreeMap<String, Located<RawUser>>;

/// Adds the users of one table to `users`.
pub(super) fn read(source: &Source<'_>, table: &Value<'_>, users: &mut RawUsers) {
    for (name, value) in table.entries() {
        if let Err(reason) = check_user(name.value) {
            source.problems.report(
                Problem::error(format!("a user cannot be called \"{}\": {reason}", name.value)).at(name.spot, ""),
            );
            continue;
        }
        let Some(user) = read_user(source, name.value, &value) else { continue };
        let new = Located { value: user, spot: name.spot };
        if let Some(first) = users.get(&canonical(name.value)) {
            let problem = Problem::error(format!("the user \"{}\" exists twice", name.value))
                .at(new.spot, "second entry")
                .at(first.spot, "first entry")
                .help("remove one of them; capital letters make no difference");
            source.problems.report(problem);
            continue;
        }
        users.insert(canonical(name.value), new);
    }
}

fn read_user(source: &Source<'_>, name: &str, value: &Value<'_>) -> Option<RawUser> {
    if value.is_text() {
        let (nt_hash, password) = password(source, value)?;
        let user = User {
            name: name.into(),
            nt_hash,
            password,
            ipv4: None,
            ipv6: None,
            expires: None,
            devices: None,
            disabled: false,
        };
        return Some(RawUser { user, addresses: Vec::new() });
    }
    let section = value.section(&keys::USER)?;
    let addresses: Vec<Located<IpAddr>> = section
        .value("address")
        .map(|v| v.items())
        .unwrap_or_default()
        .iter()
        .filter_map(|item| item.parse("an IP address"))
        .collect();
    check_one_per_family(source, &addresses);
    let (nt_hash, password) = credential(source, &section, name)?;
    let user = User {
        name: name.to_owned(),
        nt_hash,
        password,
        ipv4: addresses.iter().find_map(|a| if let IpAddr::V4(v4) = a.value { Some(v4) } else { None }),
        ipv6: addresses.iter().find_map(|a| if let IpAddr::V6(v6) = a.value { Some(v6) } else { None }),
        expires: section.value("expires").and_then(|v| expiry(&v)),
        devices: section.value("devices").and_then(|v| v.integer(defaults::DEVICES_RANGE, "sessions")),
        disabled: section.value("disabled").and_then(|v| v.boolean()).unwrap_or(false),
    };
    Some(RawUser { user, addresses })
}

/// The hash, and the password where the file has it.
type Credential = (NtHash, Option<Secret>);

fn credential(source: &Source<'_>, section: &Section<'_>, name: &str) -> Option<Credential> {
    match (section.value("password"), section.value("nt_hash")) {
        (Some(value), None) => password(source, &value),
        (None, Some(value)) => Some((nt_hash(source, &value)?, None)),
        (None, None) => {
            let problem = Problem::error(format!("the user \"{name}\" has no password"))
                .at(section.spot, "")
                .help("add password = \"...\" or nt_hash = \"...\"; `cygnet user add` does it for you");
            source.problems.report(problem);
            None
        }
        (Some(first), Some(second)) => {
            let problem = Problem::error(format!("the user \"{name}\" has two passwords"))
                .at(second.key_spot, "and here")
                .at(first.key_spot, "here")
                .help("keep `password` or `nt_hash`");
            source.problems.report(problem);
            None
        }
    }
}

fn password(source: &Source<'_>, value: &Value<'_>) -> Option<Credential> {
    let secret = source.secret(value)?.value;
    match std::str::from_utf8(secret.expose()).map(NtHash::of_password) {
        Ok(nt_hash) => Some((nt_hash, Some(secret))),
        Err(_) => value.error("this password is not UTF-8", "", None),
    }
}

fn nt_hash(source: &Source<'_>, value: &Value<'_>) -> Option<NtHash> {
    let secret = source.secret(value)?;
    let hash = std::str::from_utf8(secret.value.expose()).ok().and_then(|text| NtHash::from_hex(text.trim()));
    hash.or_else(|| {
        let help = "it is 32 hexadecimal digits: MD4 of the password in UTF-16LE; `cygnet user passwd` makes it";
        value.error("this is not an NT hash", "", Some(help.into()))
    })
}

fn check_one_per_family(source: &Source<'_>, addresses: &[Located<IpAddr>]) {
    for (n, second) in addresses.iter().enumerate() {
        let earlier = addresses.iter().take(n).find(|a| a.value.is_ipv4() == second.value.is_ipv4());
        if let Some(first) = earlier {
            let problem = Problem::error("a user has one address per family at most")
                .at(second.spot, "second")
                .at(first.spot, "first")
                .help("remove one of them");
            source.problems.report(problem);
        }
    }
}

/// A date is the last day on which the user can log in, in UTC; a time with its offset is that moment.
fn expiry(value: &Value<'_>) -> Option<Timestamp> {
    let written = value.datetime()?.to_string();
    let last_day = |date: civil::Date| Some(date.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    let moment = written.parse::<Timestamp>().ok();
    let day = || if written.len() == "2027-01-31".len() { written.parse().ok().and_then(last_day) } else { None };
    moment.or_else(day).or_else(|| {
        let help =
            "write a day (2027-01-31, the last one that works) or a moment with its offset (2027-01-31T18:00:00Z)";
        value.error(format!("{written} is not a point in time"), "", Some(help.into()))
    })
}
