//! `cygnet check`: reads the configuration as the daemon would and says what is wrong.

use serde::Serialize;

use super::console::Console;
use super::{Global, Outcome};
use crate::config::{self, Settings, Site, SiteMode};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Treat warnings as errors.
    #[arg(long)]
    strict: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    errors: usize,
    warnings: usize,
    report: &'a str,
}

pub(super) fn run(args: &Args, global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    let check = config::check(&global.config, &Global::surroundings(), console.styled && !args.json);
    let ok = check.errors == 0 && !(args.strict && check.warnings > 0);
    if args.json {
        console.json(&Report { ok, errors: check.errors, warnings: check.warnings, report: &check.report })?;
    } else {
        console.print(&check.report)?;
        if !check.report.is_empty() {
            console.line("")?;
        }
        let path = global.config.display();
        match &check.settings {
            Some(settings) => console.line(format!("{path} is fine{}", summary(settings, check.warnings)))?,
            None => console.line(format!("{path}: {}", counted(check.errors, check.warnings)))?,
        }
    }
    Ok(if ok { Outcome::Done } else { Outcome::Failed })
}

fn summary(settings: &Settings, warnings: usize) -> String {
    let warnings = if warnings > 0 { format!(", with {}", plural(warnings, "warning")) } else { String::new() };
    let clients = settings.remote.as_ref().map(|_| {
        format!("clients log in by {}; {}", ways(settings).join(" or "), plural(settings.users.len(), "user"))
    });
    let sites = match settings.sites.as_slice() {
        [] => None,
        sites => Some(format!("{}: {}", plural(sites.len(), "site"), names(sites))),
    };
    let parts: Vec<String> = clients.into_iter().chain(sites).collect();
    format!("{warnings}: {}", parts.join("; "))
}

fn ways(settings: &Settings) -> Vec<&'static str> {
    let ways = settings.client_authentication();
    let names = [
        (ways.psk, "pre-shared key"),
        (ways.certificate || ways.eap_tls, "certificate"),
        (ways.password || ways.legacy_password, "user and password"),
    ];
    names.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect()
}

/// The sites with what they join.
fn names(sites: &[Site]) -> String {
    let list = |selectors: Vec<String>| {
        let mut once: Vec<String> = Vec::new();
        for text in selectors {
            if !once.contains(&text) {
                once.push(text);
            }
        }
        once.join(" ")
    };
    let one = |site: &Site| {
        let children = || site.children.iter();
        let local = list(children().flat_map(|child| &child.local).map(ToString::to_string).collect());
        let remote = list(children().flat_map(|child| &child.remote).map(ToString::to_string).collect());
        match site.mode {
            SiteMode::Transport => format!("{} (transport mode)", site.name),
            _ => format!("{} ({local} === {remote})", site.name),
        }
    };
    sites.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn counted(errors: usize, warnings: usize) -> String {
    match warnings {
        0 => plural(errors, "error"),
        _ => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    }
}

fn plural(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
