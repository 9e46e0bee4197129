//! From a path to [`Settings`]: reads the configuration and the users file, collects every problem, checks the whole.

use std::path::{Path, PathBuf};

use super::keys::{self, Table};
use super::problem::{Problem, Problems, Spot};
use super::reader::Section;
use super::remote::{KeyTables, RawRemote};
use super::site::RawSite;
use super::source::{Source, read_bounded};
use super::syntax::parse;
use super::users::RawUsers;
use super::{ConfigError, Daemon, Logging, Remote, Settings, Surroundings, User};
use super::{crosscheck, daemon, remote, site, users};

/// Reads and checks the configuration at `path`.
///
/// # Errors
/// If it cannot be used; the error lists every mistake.
pub fn load(path: &Path, surroundings: &Surroundings) -> Result<Settings, ConfigError> {
    let check = check(path, surroundings, false);
    check.settings.ok_or(ConfigError::new(check.report))
}

/// What came out of reading a configuration.
pub struct Check {
    /// The settings, if there is no error.
    pub settings: Option<Settings>,
    /// Errors and warnings as text; empty if there are none.
    pub report: String,
    /// Number of errors.
    pub errors: usize,
    /// Number of warnings.
    pub warnings: usize,
}

/// Reads and checks the configuration at `path` and reports warnings, too; `styled` adds colours for a terminal.
#[must_use]
pub fn check(path: &Path, surroundings: &Surroundings, styled: bool) -> Check {
    let problems = Problems::default();
    let settings = read(path, surroundings, &problems).filter(|_| !problems.has_errors());
    let (errors, warnings) = problems.counts();
    let settings = settings.map(|s| Settings { warnings: problems.warning_lines(), ..s });
    Check { settings, report: problems.render(styled), errors, warnings }
}

/// The control socket that the configuration at `path` names; the default one if it names none or cannot be read.
#[must_use]
pub fn control_socket(path: &Path) -> PathBuf {
    daemon_path(path, "socket", super::defaults::CONTROL_SOCKET)
}

/// The users file that the configuration at `path` names; the default one if it names none or cannot be read.
#[must_use]
pub fn users_file(path: &Path) -> PathBuf {
    daemon_path(path, "users_file", super::defaults::USERS_FILE)
}

/// A path of `[daemon]` without looking at the rest of the file, which may be broken.
fn daemon_path(path: &Path, key: &str, default: &str) -> PathBuf {
    let text = std::fs::read_to_string(path).map(zeroize::Zeroizing::new).unwrap_or_default();
    let table = text.parse::<toml::Table>().unwrap_or_default();
    let named = table.get("daemon").and_then(|daemon| daemon.get(key)).and_then(toml::Value::as_str);
    path.parent().unwrap_or(Path::new("")).join(named.unwrap_or(default))
}

fn read(path: &Path, surroundings: &Surroundings, problems: &Problems) -> Option<Settings> {
    let text = read_text(path, problems)?;
    let source = Source::new(problems, surroundings, path);
    let file = problems.add_file(path, &text);
    let table = parse(&text, file, problems)?;
    let top = Section::new(problems, file, &keys::TOP, &table, Spot::new(file, 0..0));

    let daemon = daemon::read_daemon(&source, sub_section(&top, "daemon", &keys::DAEMON).as_ref());
    let logging = daemon::read_logging(sub_section(&top, "log", &keys::LOG).as_ref());
    let mut users = RawUsers::new();
    if let Some(value) = top.value("users") {
        users::read(&source, &value, &mut users);
    }
    read_users_file(&daemon, surroundings, problems, &mut users);
    let tables = KeyTables { psk: top.value("psk"), ppk: top.value("ppk") };
    let remote = sub_section(&top, "remote", &keys::REMOTE).map(|s| remote::read(&source, &s, &tables));
    let sites = top.value("site").map(|table| site::read(&source, &table)).unwrap_or_default();
    if let Some(remote) = &remote {
        crosscheck::check(&source, &daemon, remote, &users);
    }
    site::check(&source, &daemon, remote.as_ref(), &sites);
    if top.value("remote").is_none() && top.value("site").is_none() {
        report_nothing_to_do(problems);
    }
    source.check_mode();
    settings(path, daemon, logging, Tunnels { remote, sites }, users, problems)
}

fn read_text(path: &Path, problems: &Problems) -> Option<zeroize::Zeroizing<String>> {
    let bytes = match read_bounded(path) {
        Ok(bytes) => bytes,
        Err(unreadable) => {
            let exists = path.exists();
            let help =
                if exists { unreadable.help } else { "make one with `cygnet init`, or name it with --config".into() };
            problems.report(Problem::error(unreadable.title).help(help));
            return None;
        }
    };
    match std::str::from_utf8(&bytes) {
        Ok(text) => Some(zeroize::Zeroizing::new(text.to_owned())),
        Err(error) => {
            let line = bytes.iter().take(error.valid_up_to()).filter(|b| **b == b'\n').count() + 1;
            let title = format!("{} is not UTF-8 (line {line})", path.display());
            problems.report(Problem::error(title).help("save it as UTF-8 text"));
            None
        }
    }
}

fn sub_section<'a>(top: &Section<'a>, key: &'static str, keys: &'static Table) -> Option<Section<'a>> {
    top.value(key)?.section(keys)
}

fn read_users_file(daemon: &Daemon, surroundings: &Surroundings, problems: &Problems, users: &mut RawUsers) {
    let path = &daemon.users_file;
    if !path.exists() {
        return;
    }
    let Some(text) = read_text(path, problems) else { return };
    let source = Source::new(problems, surroundings, path);
    let file = problems.add_file(path, &text);
    let Some(table) = parse(&text, file, problems) else { return };
    let top = Section::new(problems, file, &keys::USERS_FILE, &table, Spot::new(file, 0..0));
    if let Some(value) = top.value("users") {
        users::read(&source, &value, users);
    }
    source.check_mode();
}

fn report_nothing_to_do(problems: &Problems) {
    let problem = Problem::error("the configuration has neither [remote] nor a [site.NAME]");
    problems.report(problem.help("without one of them there is nothing to do; `cygnet init` writes a [remote]"));
}

/// What the gateway is there for.
struct Tunnels {
    remote: Option<RawRemote>,
    sites: Vec<RawSite>,
}

fn settings(
    path: &Path,
    daemon: Daemon,
    logging: Logging,
    tunnels: Tunnels,
    users: RawUsers,
    problems: &Problems,
) -> Option<Settings> {
    if problems.has_errors() {
        return None;
    }
    let users: Vec<User> = users.into_values().map(|u| u.value.user).collect();
    let remote = tunnels.remote.map(|raw| checked_remote(raw, !users.is_empty()).ok_or(())).transpose().ok()?;
    let sites = tunnels.sites.into_iter().map(site::checked).collect::<Option<_>>()?;
    Some(Settings { path: path.to_owned(), daemon, logging, remote, sites, users, warnings: Vec::new() })
}

/// `None` only if `name` is missing, which is an error that was reported.
fn checked_remote(raw: RawRemote, has_users: bool) -> Option<Remote> {
    let eap = raw.eap_methods(has_users);
    let name = raw.name?.value;
    Some(Remote {
        protocols: raw.protocols,
        id: raw.id.map_or_else(|| name.clone(), |id| id.value),
        name,
        listen: raw.listen,
        psks: raw.psks.into_iter().map(|p| p.value).collect(),
        server_identities: raw.identities.into_iter().map(|i| i.identity).collect(),
        client_ca: raw.client_ca.map(|ca| ca.value),
        crl: raw.crl,
        eap,
        eap_only: raw.eap_only.is_some(),
        ppks: raw.ppks.into_iter().map(|ppk| ppk.value).collect(),
        ppk_required: raw.ppk_required.is_some(),
        unique: raw.unique,
        reauthentication: raw.reauthentication,
        lifetimes: raw.lifetimes,
        mobike: raw.mobike,
        pools: raw.pools.into_iter().map(|p| p.value).collect(),
        dns: raw.dns.into_iter().map(|d| d.value).collect(),
        dns_domains: raw.dns_domains.into_iter().map(|d| d.value).collect(),
        routes: raw.routes.into_iter().map(|r| r.value).collect(),
        nat: raw.nat,
        policy: raw.policy,
        proposals: raw.proposals,
        force_udp_encap: raw.force_udp_encap,
        client_to_client: raw.client_to_client,
        rsa_sha1: raw.rsa_sha1,
        liveness: raw.liveness,
        replay_window: raw.replay_window,
        mtu: raw.mtu,
        nbns: raw.nbns,
        legacy: raw.legacy.settings,
    })
}
