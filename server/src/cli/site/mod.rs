//! `cygnet site export`: the configuration for the other end of a site, mirrored from ours.
//!
//! With a pre-shared key what it prints works as it stands; with certificates and bare keys a comment says which files belong
//! where. What the other program cannot do is refused in words. Does not: talk to the daemon, or know the other machine.

mod algorithms;
mod cygnet;
mod libreswan;
mod openiked;
mod other_end;
mod strongswan;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::console::Console;
use super::{Global, Outcome};
use crate::config;
use other_end::OtherEnd;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: SiteVerb,
}

#[derive(clap::Subcommand)]
enum SiteVerb {
    /// Print the configuration for the other end. It holds the pre-shared key.
    Export(ExportArgs),
}

#[derive(clap::Args)]
struct ExportArgs {
    /// The site, as in [site.NAME].
    site: String,
    /// What runs at the other end.
    #[arg(long = "for", value_name = "PROGRAM", value_enum, default_value_t = Program::Strongswan)]
    program: Program,
    /// Our address or name as the other end sees it; by default `local_address`, the `name` of [remote], or the address of
    /// this machine towards the peer.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Write it into this new file, which only you can read, instead of printing it.
    #[arg(long, short, value_name = "FILE", conflicts_with = "json")]
    output: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Program {
    /// swanctl.conf
    Strongswan,
    /// ipsec.conf and ipsec.secrets
    Libreswan,
    /// iked.conf
    Openiked,
    /// cygnet.toml
    Cygnet,
}

#[derive(serde::Serialize)]
struct Exported<'a> {
    site: &'a str,
    configuration: &'a str,
}

pub(super) fn run(args: &Args, global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    let SiteVerb::Export(args) = &args.verb;
    let settings = config::load(&global.config, &Global::surroundings())?;
    let Some(site) = settings.sites.iter().find(|site| site.name == args.site) else {
        let names: Vec<&str> = settings.sites.iter().map(|site| site.name.as_str()).collect();
        match names.is_empty() {
            true => bail!("there is no site in {}", global.config.display()),
            false => bail!("there is no site {}; there is {}", args.site, names.join(", ")),
        }
    };
    let our_name = settings.remote.as_ref().map(|remote| remote.name.as_str());
    let end = OtherEnd::of(site, our_name, args.address.as_deref())
        .context("name our address as the other end sees it: --address 203.0.113.1")?;
    let text = match args.program {
        Program::Strongswan => strongswan::render(&end),
        Program::Libreswan => libreswan::render(&end)?,
        Program::Openiked => openiked::render(&end)?,
        Program::Cygnet => cygnet::render(&end),
    };
    if let Some(path) = &args.output {
        write_new(path, &text)?;
        console.line(format!("{} is written, mode 0600; copy it to the other end", path.display()))?;
    } else if args.json {
        console.json(&Exported { site: &site.name, configuration: &text })?;
    } else {
        console.print(&text)?;
    }
    Ok(Outcome::Done)
}

/// Writes a file that did not exist, for its owner only: it may hold a key.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match opened {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already; remove it, or take another name", path.display())
        }
        opened => opened.with_context(failed)?,
    };
    file.write_all(text.as_bytes()).with_context(failed)?;
    file.sync_all().with_context(failed)
}
