//! `cygnet user`: edits the users file and tells the daemon.
//!
//! A change that would break the configuration (a fixed address that somebody has already, a name that stands in
//! cygnet.toml, too) is taken back and the reason printed.

use std::net::IpAddr;

use comfy_table::{Table, presets};
use jiff::civil::Date;
use serde::Serialize;
use zeroize::Zeroizing;

use super::console::Console;
use super::password::PasswordArgs;
use super::{Global, Outcome, block_on, wall_clock};
use crate::auth::nt_hash::NtHash;
use crate::config::{self, NewUser, User, UsersFile};
use crate::control::client::ClientError;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Add a user.
    Add(Add),
    /// Remove a user and close their sessions.
    #[command(visible_alias = "remove")]
    Del {
        /// The user.
        name: String,
    },
    /// Change a user's password.
    Passwd {
        /// The user.
        name: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// List all users, those of the configuration, too.
    List,
    /// Lock a user out and close their sessions.
    Disable {
        /// The user.
        name: String,
    },
    /// Let a user in again.
    Enable {
        /// The user.
        name: String,
    },
}

#[derive(clap::Args)]
struct Add {
    /// The name, as it is typed into the device.
    name: String,
    #[command(flatten)]
    password: PasswordArgs,
    /// Always this address; once per family.
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<IpAddr>,
    /// The last day on which they can log in.
    #[arg(long, value_name = "YYYY-MM-DD")]
    expires: Option<Date>,
    /// How many devices at the same time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    devices: Option<u32>,
}

pub(super) fn run(args: &Args, global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    match &args.action {
        Action::Add(add) => run_add(add, args.json, global, console),
        Action::Del { name } => change(name, "removed", args.json, global, console, |file| file.remove(name)),
        Action::Passwd { name, password } => run_passwd(name, password, args.json, global, console),
        Action::List => list(args.json, global, console),
        Action::Disable { name } => {
            change(name, "disabled", args.json, global, console, |file| file.set_disabled(name, true))
        }
        Action::Enable { name } => {
            change(name, "enabled", args.json, global, console, |file| file.set_disabled(name, false))
        }
    }
}

fn run_add(add: &Add, json: bool, global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    config::check_user_name(&add.name)
        .map_err(|reason| super::Usage(format!("a user cannot be called \"{}\": {reason}", add.name)))?;
    let mut file = UsersFile::open(&config::users_file(&global.config))?;
    anyhow::ensure!(
        !file.contains(&add.name),
        "{name} exists already; change the password with `cygnet user passwd {name}`",
        name = add.name
    );
    let password = add.password.obtain(&add.name)?;
    let user = NewUser {
        nt_hash: NtHash::of_password(&password.text),
        addresses: add.address.clone(),
        expires: add.expires,
        devices: add.devices,
    };
    file.insert(&add.name, &user);
    let done = Done::new(&add.name, "added", password.generated.then_some(password.text));
    commit(&file, done, json, global, console)
}

fn run_passwd(
    name: &str,
    password: &PasswordArgs,
    json: bool,
    global: &Global,
    console: &mut Console,
) -> anyhow::Result<Outcome> {
    let mut file = UsersFile::open(&config::users_file(&global.config))?;
    if !file.contains(name) {
        return Err(unknown_user(name, global));
    }
    let password = password.obtain(name)?;
    file.set_password(name, &NtHash::of_password(&password.text));
    let done = Done::new(name, "changed", password.generated.then_some(password.text));
    commit(&file, done, json, global, console)
}

/// An edit that needs nothing but the name; `edit` says whether there was such a user.
fn change(
    name: &str,
    action: &'static str,
    json: bool,
    global: &Global,
    console: &mut Console,
    edit: impl FnOnce(&mut UsersFile) -> bool,
) -> anyhow::Result<Outcome> {
    let mut file = UsersFile::open(&config::users_file(&global.config))?;
    if !edit(&mut file) {
        return Err(unknown_user(name, global));
    }
    commit(&file, Done::new(name, action, None), json, global, console)
}

fn unknown_user(name: &str, global: &Global) -> anyhow::Error {
    let settings = config::load(&global.config, &Global::surroundings()).ok();
    let key = crate::auth::users::canonical(name);
    if settings.is_some_and(|s| s.users.iter().any(|u| crate::auth::users::canonical(&u.name) == key)) {
        anyhow::anyhow!("{name} stands in {}; change it there and `cygnet reload`", global.config.display())
    } else {
        anyhow::anyhow!("there is no user {name}; `cygnet user list` shows all")
    }
}

/// What was done, for people and for programs.
#[derive(Serialize)]
struct Done<'a> {
    user: &'a str,
    action: &'static str,
    /// Only if we made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    /// Whether a running daemon knows.
    live: bool,
    /// Sessions that were closed.
    disconnected: u64,
    #[serde(skip)]
    secret: Option<Zeroizing<String>>,
}

impl<'a> Done<'a> {
    fn new(user: &'a str, action: &'static str, secret: Option<Zeroizing<String>>) -> Self {
        Self { user, action, password: None, live: false, disconnected: 0, secret }
    }
}

/// Writes the file if the configuration stays as good as it was, tells the daemon, and says so.
fn commit(
    file: &UsersFile,
    mut done: Done<'_>,
    json: bool,
    global: &Global,
    console: &mut Console,
) -> anyhow::Result<Outcome> {
    let check = || config::check(&global.config, &Global::surroundings(), false);
    let errors_before = check().errors;
    file.save()?;
    let after = check();
    if after.errors > errors_before {
        file.restore()?;
        console.note(&format!("{}\nnothing was changed", after.report));
        return Ok(Outcome::Failed);
    }
    match block_on(global.client().users_changed())? {
        Ok(reloaded) => {
            done.live = true;
            done.disconnected = reloaded.disconnected;
        }
        Err(ClientError::NotRunning(_)) => {}
        Err(error) => {
            return Err(anyhow::Error::from(error).context("the users file is written, but the daemon did not take it"));
        }
    }
    let secret = done.secret.take();
    let done = Done { password: secret.as_ref().map(|s| s.as_str()), ..done };
    if json {
        console.json(&done)?;
    } else {
        print(&done, console)?;
    }
    Ok(Outcome::Done)
}

fn print(done: &Done<'_>, console: &mut Console) -> anyhow::Result<()> {
    console.line(format!("{} {}", done.user, done.action))?;
    if let Some(password) = done.password {
        console.line(format!("password: {password}"))?;
    }
    if done.disconnected > 0 {
        console.line(format!("disconnected: {}", done.disconnected))?;
    }
    if !done.live {
        console.note("cygnet is not running; it will read this when it starts");
    }
    Ok(())
}

#[derive(Serialize)]
struct Listed {
    name: String,
    addresses: Vec<IpAddr>,
    expires: Option<jiff::Timestamp>,
    devices: Option<u32>,
    state: &'static str,
}

fn list(json: bool, global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    let settings = match config::load(&global.config, &Global::surroundings()) {
        Ok(settings) => settings,
        Err(error) => {
            console.note(&error.to_string());
            return Ok(Outcome::Failed);
        }
    };
    let users: Vec<Listed> = settings.users.iter().map(listed).collect();
    if json {
        console.json(&users)?;
    } else if users.is_empty() {
        console.line("there are no users; add one with `cygnet user add NAME`")?;
    } else {
        console.print(&table(&users))?;
    }
    Ok(Outcome::Done)
}

fn listed(user: &User) -> Listed {
    let expired = user.expires.is_some_and(|end| end <= wall_clock());
    Listed {
        name: user.name.clone(),
        addresses: user.ipv4.map(IpAddr::V4).into_iter().chain(user.ipv6.map(IpAddr::V6)).collect(),
        expires: user.expires,
        devices: user.devices,
        state: if user.disabled {
            "disabled"
        } else if expired {
            "expired"
        } else {
            "ok"
        },
    }
}

fn table(users: &[Listed]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["USER", "STATE", "ADDRESS", "DEVICES", "EXPIRES"]);
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    for user in users {
        let addresses: Vec<String> = user.addresses.iter().map(ToString::to_string).collect();
        table.add_row([
            user.name.clone(),
            user.state.to_owned(),
            or_dash(addresses.join(" ")),
            or_dash(user.devices.map(|n| n.to_string()).unwrap_or_default()),
            or_dash(user.expires.map(|t| t.strftime("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default()),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt() + "\n"
}
