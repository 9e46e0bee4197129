//! `cygnet check`: reads the configuration as the daemon would and says what is wrong.

use serde::Serialize;

use super::console::Console;
use super::{Global, Outcome};
use crate::config::{self, Settings};

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
    let ways = settings.client_authentication();
    let names = [
        (ways.psk, "pre-shared key"),
        (ways.certificate, "certificate"),
        (ways.password || ways.legacy_password, "user and password"),
    ];
    let ways: Vec<&str> = names.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
    let warnings = if warnings > 0 { format!(", with {}", plural(warnings, "warning")) } else { String::new() };
    format!("{warnings}: clients log in by {}; {}", ways.join(" or "), plural(settings.users.len(), "user"))
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
