//! `cygnet explain`: what went wrong lately, in words.

use jiff::tz::TimeZone;

use super::console::Console;
use super::{Global, Outcome, block_on, wall_clock};
use crate::control::model::{ExplainFilter, SiteState, SiteStatus, Status};
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
        let status = block_on(global.client().status())?.ok();
        let site = args.who.as_ref().and_then(|who| status.as_ref()?.sites.iter().find(|site| site.is_about(who)));
        console.line(site.map_or_else(|| nothing_known(args.who.as_deref()), quiet_site))?;
        if let Some(text) = status.as_ref().filter(|_| site.is_none()).and_then(clear_l2tp) {
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

/// Nothing was refused and no session has ended: what else is known about a site.
fn quiet_site(site: &SiteStatus) -> String {
    let name = &site.name;
    match (site.state, &site.last_error) {
        (SiteState::Up, _) => format!("{name} is up, and nothing has gone wrong since the gateway started"),
        (SiteState::Stopped, _) => format!("{name} was closed by `cygnet down`; `cygnet up {name}` opens it again"),
        (_, Some(error)) => format!("{name} is not up: {error}"),
        (SiteState::Connecting, None) => format!("{name} is just being called; ask again in a moment"),
        (SiteState::Waiting | SiteState::Down, None) => format!(
            "{name} is not up, and nothing was tried yet: it waits for a packet that wants to go there, or for the peer\n\
             `cygnet up {name}` tries now; if the peer says that it tried, its packets did not arrive: check UDP 500 and 4500"
        ),
    }
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
