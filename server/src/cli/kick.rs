//! `cygnet kick`: ends sessions, whatever protocol they came by.

use super::console::Console;
use super::{Global, Outcome, block_on};

#[derive(clap::Args)]
pub(super) struct Args {
    /// A user, a site, an IKE identity, or an address (of a client inside, or outside with or without port).
    #[arg(value_name = "USER|SITE|ADDRESS")]
    who: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    let done = block_on(global.client().kick(&args.who))??;
    if args.json {
        console.json(&done)?;
    } else {
        match done.disconnected {
            0 if done.sites > 0 => {}
            0 => console.line(format!("{} is not connected", args.who))?,
            1 => console.line(format!("{} is disconnected", args.who))?,
            n => console.line(format!("{n} sessions of {} are disconnected", args.who))?,
        }
        if done.sites > 0 {
            let who = &args.who;
            let next = format!("it may come back at once; `cygnet down {who}` keeps a site down");
            console.line(format!("the tunnel of {who} is closed; {next}"))?;
        }
    }
    Ok(if done.disconnected + done.sites > 0 { Outcome::Done } else { Outcome::Failed })
}
