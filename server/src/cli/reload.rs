//! `cygnet reload`: the daemon reads its configuration again.

use super::console::Console;
use super::{Global, Outcome, block_on};
use crate::control::model::Reloaded;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    let done = block_on(global.client().reload())??;
    if args.json {
        console.json(&done)?;
    } else {
        print(&done, console)?;
    }
    Ok(Outcome::Done)
}

fn print(done: &Reloaded, console: &mut Console) -> anyhow::Result<()> {
    for warning in &done.warnings {
        console.line(format!("warning: {warning}"))?;
    }
    if done.changes.is_empty() && done.needs_restart.is_empty() {
        console.line("nothing has changed")?;
    }
    for change in &done.changes {
        console.line(format!("changed: {change}"))?;
    }
    for change in &done.needs_restart {
        console.line(format!("after a restart: {change}"))?;
    }
    if done.disconnected > 0 {
        console.line(format!(
            "disconnected: {} whose account is gone or locked, or whose address is in no pool",
            done.disconnected
        ))?;
    }
    Ok(())
}
