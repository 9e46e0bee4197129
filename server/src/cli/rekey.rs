//! `cygnet rekey`: new keys for a site or a client, now.

use super::console::Console;
use super::{Global, Outcome, block_on};
use crate::control::model::Rekeyed;

#[derive(clap::Args)]
pub(super) struct Args {
    /// A site, a user, an IKE identity, or an address (inside, or outside with or without port).
    #[arg(value_name = "SITE|USER|ADDRESS")]
    who: String,
    /// The keys of the IKE SA instead of those of its child SAs.
    #[arg(long)]
    ike: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Begins; whether the peer agrees is told by `cygnet status` and, if it does not, by `cygnet explain`.
pub(super) fn run(args: &Args, global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    let done = block_on(global.client().rekey(&args.who, args.ike))??;
    if args.json {
        console.json(&done)?;
    } else {
        console.line(sentence(&args.who, &done))?;
    }
    Ok(if done == Rekeyed::default() { Outcome::Failed } else { Outcome::Done })
}

fn sentence(who: &str, done: &Rekeyed) -> String {
    let counted = |n: u64, what: &str| match n {
        0 => None,
        1 => Some(format!("1 {what}")),
        n => Some(format!("{n} {what}s")),
    };
    let parts: Vec<String> =
        [counted(done.ike_sas, "IKE SA"), counted(done.child_sas, "child SA")].into_iter().flatten().collect();
    match parts.is_empty() {
        true => format!("{who} has no session by IKEv2, and others renew their keys only themselves"),
        false => format!("{who} is getting new keys: {}", parts.join(", ")),
    }
}
