//! `cygnet-interop`: runs the rows of `suite.toml`, real VPN clients against the `cygnet` binary, in network namespaces.
//!
//! Prints one line per row and ends with the plain line `N passed, N failed`. Logs and captures of rows that failed stay.
//! What a row does is in `recipes/`, how it does it in `lab/`; see `README.md`.

mod row;
mod schedule;
mod suite;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};

use crate::row::{Laboratory, Outcome, Verdict};
use crate::suite::{Group, Row};

/// Runs real VPN clients against the cygnet binary in network namespaces. Needs root.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Run only rows with one of these in their name
    filters: Vec<String>,
    /// What the clients connect to
    #[arg(long, value_enum, default_value_t = Server::Cygnet)]
    server: Server,
    /// The binary under test
    #[arg(long, default_value = "target/release/cygnet")]
    cygnet: PathBuf,
    /// How many rows run side by side
    #[arg(long, short, default_value_t = 2)]
    jobs: usize,
    /// Run only rows of this group
    #[arg(long, value_enum)]
    group: Option<Group>,
    /// Keep logs and captures of rows that passed, too
    #[arg(long)]
    keep: bool,
    /// Where logs and captures go (default: a new folder below interop/out)
    #[arg(long)]
    out: Option<PathBuf>,
    /// Say what each row proves; run nothing
    #[arg(long)]
    list: bool,
}

/// What the clients connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Server {
    /// The binary under test
    Cygnet,
    /// The row's reference server: proves the recipe itself
    Reference,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let interop = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut rows = suite::select(suite::load(interop)?, &arguments.filters, arguments.group);
    if arguments.server == Server::Reference {
        rows.retain(|row| row.reference.is_some());
    }
    ensure!(!rows.is_empty(), "no row has a name like that; --list shows all");
    if arguments.list {
        return list(&rows);
    }
    let laboratory = laboratory(&arguments, interop)?;
    let (mut passed, mut failed) = (0, 0);
    let ran = schedule::run_all(&laboratory, &rows, arguments.jobs, |row, outcome| {
        if outcome.verdict == Verdict::Passed {
            passed += 1;
        } else {
            failed += 1;
        }
        say(&describe(row, outcome));
    });
    if let Err(error) = ran {
        say(&format!("{error:#}"));
        failed = rows.len() - passed;
    }
    if failed == 0 && !arguments.keep {
        fs::remove_dir_all(&laboratory.out).context("cannot remove the output folder")?;
    }
    say(&format!("{passed} passed, {failed} failed"));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(rows: &[Row]) -> Result<ExitCode> {
    for row in rows {
        say(&format!("{:<22} {}", row.name, row.proves));
    }
    Ok(ExitCode::SUCCESS)
}

fn laboratory(arguments: &Arguments, interop: &Path) -> Result<Laboratory> {
    let reference = arguments.server == Server::Reference;
    let cygnet = if reference {
        PathBuf::new()
    } else {
        arguments.cygnet.canonicalize().with_context(|| {
            format!(
                "{} is not there; build it with: cargo build --release -p cygnet-server",
                arguments.cygnet.display()
            )
        })?
    };
    let out = match &arguments.out {
        Some(out) => fs::create_dir_all(out).map(|()| out.clone()).context("cannot create the output folder")?,
        None => new_run_folder(&interop.join("out"))?,
    };
    let out = out.canonicalize()?;
    Ok(Laboratory { interop: interop.to_owned(), cygnet, reference, out, keep: arguments.keep })
}

/// Creates the first of run-1, run-2, ... that does not exist yet.
fn new_run_folder(parent: &Path) -> Result<PathBuf> {
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    for number in 1.. {
        let folder = parent.join(format!("run-{number}"));
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|()| folder).context("cannot create the output folder"),
        }
    }
    bail!("every folder name in {} is taken", parent.display())
}

fn describe(row: &Row, outcome: &Outcome) -> String {
    let seconds = outcome.took.as_secs_f32();
    if outcome.verdict == Verdict::Passed {
        return format!("PASS  {:<22} {seconds:6.1} s", row.name);
    }
    let mut text = format!("FAIL  {:<22} {seconds:6.1} s  {}", row.name, outcome.verdict.reason());
    for line in &outcome.complaints {
        text += &format!("\n      {line}");
    }
    text + &format!("\n      logs and captures: {}", outcome.out.display())
}

/// One line to standard output, at once. A reader that has gone away is no reason to stop: rows must clean up.
fn say(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}
