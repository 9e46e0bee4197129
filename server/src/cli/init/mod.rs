//! `cygnet init`: a first configuration that works.
//!
//! Asks at a terminal, takes flags otherwise. Writes the configuration, an authority with a server certificate, the first
//! user and, for L2TP or if wanted, a pre-shared key; never overwrites a file. Does not: start anything or touch the
//! network.

mod files;
mod plan;
mod steps;

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use rustls_pki_types::UnixTime;
use serde::Serialize;

use super::console::Console;
use super::{Global, Outcome, wall_clock};
use crate::config;
use crate::pki::{self, KeyKind, SubjectName};
use files::NewFiles;
use plan::{Plan, Protocol};

#[derive(clap::Args)]
pub(super) struct Args {
    /// What users type into their device: the DNS name or address of this gateway.
    #[arg(long)]
    name: Option<String>,
    /// Addresses for clients: a network that nothing else uses; once per family.
    #[arg(long, value_name = "NETWORK")]
    pool: Vec<IpNet>,
    /// Name server for clients; may be repeated. By default the one of this machine.
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<IpAddr>,
    /// The first user; gets a password that is printed once.
    #[arg(long)]
    user: Option<String>,
    /// Read the user's password from standard input instead of making one.
    #[arg(long, requires = "user")]
    password_stdin: bool,
    /// What clients may speak; may be repeated. By default l2tp and ikev2 with a user, ikev2 without.
    #[arg(long, value_enum, value_name = "PROTOCOL")]
    protocol: Vec<Protocol>,
    /// Also make a pre-shared key, for devices that log in without user. L2TP and XAuth get one anyway.
    #[arg(long)]
    psk: bool,
    /// Ask nothing.
    #[arg(long, short)]
    yes: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    let plan = Plan::make(args)?;
    let directory = global.config.parent().unwrap_or(Path::new(""));
    let mut files = NewFiles::new(directory);
    add_files(&mut files, &plan, &global.config)?;
    let created = files.write()?;
    let check = config::check(&global.config, &Global::surroundings(), console.styled);
    if args.json {
        console.json(&Report::new(&plan, &created, &check.report))?;
    } else {
        report(&plan, &created, &check.report, &global.config, console)?;
    }
    Ok(if check.errors == 0 { Outcome::Done } else { Outcome::Failed })
}

fn add_files(files: &mut NewFiles, plan: &Plan, config: &Path) -> anyhow::Result<()> {
    let config = config.file_name().and_then(|name| name.to_str()).unwrap_or("cygnet.toml");
    files.private(config, plan.config_text());
    if let Some(psk) = &plan.psk {
        files.private("psk", format!("{}\n", psk.as_str()));
    }
    if let Some(user) = &plan.user {
        files.private("users.toml", user.users_file_text());
    }
    files.check_absent()?;
    let now = UnixTime::since_unix_epoch(wall_clock().duration_since(jiff::Timestamp::UNIX_EPOCH).unsigned_abs());
    let ca = pki::make_ca(&format!("Cygnet authority of {}", plan.name), KeyKind::default(), now)?;
    let name = match plan.name.parse() {
        Ok(address) => SubjectName::Ip(address),
        Err(_) => SubjectName::Dns(plan.name.clone()),
    };
    let server = pki::issue_server_certificate(&ca, &[name], KeyKind::default(), now)?;
    files.public("pki/ca.pem", ca.certificate_pem);
    files.private("pki/ca-key.pem", ca.key_pem.as_str());
    files.public("pki/server.pem", server.certificate_pem);
    files.private("pki/server-key.pem", server.key_pem.as_str());
    Ok(())
}

#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    protocols: Vec<&'static str>,
    files: &'a [String],
    user: Option<&'a str>,
    password: Option<&'a str>,
    psk: Option<&'a str>,
    check: &'a str,
}

impl<'a> Report<'a> {
    fn new(plan: &'a Plan, files: &'a [String], check: &'a str) -> Self {
        Self {
            name: &plan.name,
            protocols: plan.protocols.iter().map(|protocol| protocol.name()).collect(),
            files,
            user: plan.user.as_ref().map(|u| u.name.as_str()),
            password: plan.user.as_ref().and_then(plan::FirstUser::new_password),
            psk: plan.psk.as_ref().map(|psk| psk.as_str()),
            check,
        }
    }
}

fn report(plan: &Plan, created: &[String], check: &str, config: &Path, console: &mut Console) -> anyhow::Result<()> {
    console.line("Written:")?;
    for file in created {
        console.line(format!("  {file}"))?;
    }
    console.print(&steps::credentials(plan))?;
    console.print(&steps::start(config))?;
    console.print(&steps::clients(plan, config))?;
    if !check.is_empty() {
        console.line(format!("\n{check}"))?;
    }
    Ok(())
}
