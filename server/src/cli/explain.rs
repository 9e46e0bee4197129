//! `cygnet explain`: what went wrong lately, in words.

use jiff::tz::TimeZone;

use super::console::Console;
use super::{Global, Outcome, block_on, wall_clock};
use crate::control::model::{ExplainFilter, Status};
use crate::explain::render;

#[derive(clap::Args)]
pub(super) struct Args {
    /// A user, a site, an IKE identity, or an address with or without port; everybody if left out.
    #[arg(value_name = "USER|SITE|ADDRESS")]
    who: Option<String>,
    /// How many entries at most.
    #[arg(long, short = 'n', default_value_t = 10)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, global: &Global, console: &mut Console) -> anyhow::Result<Outcome> {
    let filter = ExplainFilter { who: args.who.clone(), limit: Some(args.limit) };
    let entries = block_on(global.client().explain(&filter))??;
    if args.json {
        console.json(&entries)?;
    } else if entries.is_empty() {
        console.line(nothing_known(args.who.as_deref()))?;
        if let Some(text) = block_on(global.client().status())?.ok().and_then(|status| clear_l2tp(&status)) {
            console.line(text)?;
        }
    } else {
        console.print(&render(&entries, wall_clock(), &TimeZone::system()))?;
    }
    Ok(Outcome::Done)
}

/// L2TP outside of IPsec is dropped before anybody looks who sends it.
fn clear_l2tp(status: &Status) -> Option<String> {
    let count = status.counters.iter().find(|counter| counter.name == "filter/clear_l2tp")?.value;
    (count > 0).then(|| {
        format!(
            "but {count} datagrams of L2TP outside of IPsec were dropped (UDP 1701): a client that sends them has no IPsec; \
             choose \"L2TP/IPsec with pre-shared key\" in its settings"
        )
    })
}

fn nothing_known(who: Option<&str>) -> String {
    match who {
        None => "nobody was refused and no session has ended since the gateway started".to_owned(),
        Some(who) => format!(
            "nothing is known about {who}: no packet was refused and no session has ended since the gateway started\n\
             if they tried, their packets did not arrive: check port forwards and firewalls for UDP 500 and 4500"
        ),
    }
}
